"""The contract of a kind of data: files in, tensors for the game, and the way back to files.

A new kind of data is one file that implements `Domain`, plus its line in `domains/__init__.py`.
`decode(encode(x)) ~ x` must hold; a test asks it of every domain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gannet.spec import Spec


class Runs(NamedTuple):
    """Samples that are best read together: the first position of each run, and how many runs are mixed at a time."""

    starts: np.ndarray
    mixed: int


class Dataset(ABC):
    """Encoded samples by position. Reading is pure: the same indices give the same tensors, in any process or thread.

    It may be asked of several threads at once.
    """

    runs: Runs | None = None
    """How an order may spare a slow disk; None: every order is as good."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Samples [n, *shape] float32 and their conditions [n, condition width] float32 (None without conditions)."""

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        """The conditions that `read` gives, of samples that need not be read for them."""
        return self.read(indices)[1]

    def held(self, device: torch.device, room: int) -> Dataset | None:
        """The same samples, bit for bit, in the memory of a device, if they take at most `room` bytes there.

        None where they do not, or cannot be kept.
        """
        return None


def on(device: torch.device, indices: np.ndarray) -> Tensor:
    """Positions [n] on a device, which is not waited for."""
    positions = torch.from_numpy(np.ascontiguousarray(indices))
    return positions if device.type == "cpu" else positions.pin_memory().to(device, non_blocking=True)


class ArrayDataset(Dataset):
    """Samples (and conditions) held in memory as tensors."""

    def __init__(self, samples: Tensor, condition: Tensor | None = None) -> None:
        assert condition is None or len(condition) == len(samples)
        self.samples, self.condition = samples, condition

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        return self.samples[on(self.samples.device, indices)], self.conditions(indices)

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        return None if self.condition is None else self.condition[on(self.condition.device, indices)]

    def held(self, device: torch.device, room: int) -> Dataset | None:
        parts = [self.samples] if self.condition is None else [self.samples, self.condition]
        return (
            ArrayDataset(*(part.to(device) for part in parts)) if sum(part.nbytes for part in parts) <= room else None
        )


class Subset(Dataset):
    """Chosen positions of another dataset; how the held-out share is set apart."""

    def __init__(self, dataset: Dataset, indices: np.ndarray) -> None:
        self.dataset, self.indices = dataset, indices
        if dataset.runs is not None:
            starts = np.unique(np.searchsorted(indices, dataset.runs.starts))
            self.runs = Runs(starts[starts < len(indices)], dataset.runs.mixed)

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        return self.dataset.read(self.indices[indices])

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        return self.dataset.conditions(self.indices[indices])

    def held(self, device: torch.device, room: int) -> Dataset | None:
        held = self.dataset.held(device, room)
        return None if held is None else Subset(held, self.indices)


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    name: str
    reason: str


@dataclass
class Opened:
    """A source after opening: the domain that knows the way back, the samples, and what to tell the user."""

    domain: Domain
    train: Dataset
    holdout: Dataset | None
    """Samples never trained on, for scores; None when the data is too small to spare any."""
    fingerprint: str
    """Hex digest of the content (not of paths or times): tells whether a resumed run sees the same data."""
    found: list[str]
    """What was found, in short lines for a person: kind, count, shape, labels, the rule applied to odd sizes."""
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the user should know before training: tiny data, duplicates, imbalance."""
    kept: np.ndarray | None = None
    """Tables: which rows of the source the samples are, in order; None: all of them."""


class Domain(ABC):
    """One kind of data. Final classes implement all of it; state is JSON so that a run folder restores it alone."""

    kind: ClassVar[str]
    """Name of the kind, in the plural: "images", "tables", "points"."""
    default_recipe: ClassVar[str] = "r3gan"
    Options: ClassVar[type]
    """Dataclass of what `key=value` can set for this kind of data, a docstring under each field."""
    embedder: ClassVar[str]
    """Name and version of `embed`, printed with every figure it produced."""

    spec: Spec

    @classmethod
    @abstractmethod
    def claims(cls, source: Any) -> bool:
        """Whether `source` (a path or name as text, an array, a data frame) is this kind of data. Cheap."""

    @classmethod
    @abstractmethod
    def open(cls, source: Any, options: Any, *, seed: int, cache: Path) -> Opened:
        """Read the source. `options` is an instance of `cls.Options`; `cache` is a writable folder for decoded data.

        Raises GannetError naming the file or column, the cause and the remedy.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON values; never a training sample."""

    @classmethod
    @abstractmethod
    def restore(cls, spec: Spec, state: dict[str, Any]) -> Domain:
        """The inverse of `state`."""

    @abstractmethod
    def encode(self, decoded: Any) -> Tensor:
        """The user's form of samples (as `decode` returns them) -> tensors [n, *shape]."""

    @abstractmethod
    def decode(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        """Tensors [n, *shape] -> the user's form: uint8 pictures [n, height, width, channels], a data frame, points."""

    @abstractmethod
    def write(self, decoded: Any, out: Path, *, names: list[str] | None = None) -> list[Path]:
        """Decoded samples -> files at `out` (a folder for pictures, a file for rows); returns what was written."""

    @abstractmethod
    def preview(self, samples: Tensor, condition: Tensor | None = None) -> Image.Image:
        """A picture of some samples, for the run folder, the report and the studio."""

    @abstractmethod
    def embed(self, samples: Tensor) -> Tensor:
        """Features [n, d] float32 for the metrics; deterministic and network-free by default."""

    def frame(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        """The samples as a pandas data frame of n rows, conditions included; None where they are no rows."""
        return None

    def rows(self, source: Any, options: Any) -> Any:
        """All rows of a source as they are, without what encoding loses, in the columns of `frame`.

        None where there are no rows, or too many to hold. Raises GannetError when a column is missing.
        """
        return None

    def conditions(self, decoded: Any) -> Tensor | None:
        """The condition vectors [n, width] of rows of a frame; None where samples are no rows or have none."""
        return None

    def spoiled(
        self, samples: Tensor, condition: Tensor | None, random: np.random.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Samples that are wrong on purpose: every part of them is right, and no two belong together.

        Here every number is shuffled over the samples on its own.
        """
        flat = random.permuted(samples.flatten(1).numpy(), axis=0)
        order = torch.from_numpy(random.permutation(len(samples)))
        return torch.from_numpy(flat).view_as(samples), None if condition is None else condition[order]

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Names of columns that are made anew, not learned: nothing to judge a model by."""
        return ()
