"""What every question looks at: real, generated, wrong-on-purpose and copied samples, each in all its forms.

Built once by `gannet.evaluation`; a question reads it and returns an `Answer`. Nothing here knows a recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.spec import Spec


@dataclass(frozen=True)
class Side:
    """One set of samples in all its forms; row i of each form is the same sample."""

    samples: Tensor
    """Encoded samples [n, *shape] float32, as the networks see them (pictures in [-1, 1], channels first)."""
    features: Tensor
    """The embedder's features [n, d] float32."""
    condition: Tensor | None = None
    """Condition vectors [n, width] (see `Spec.condition`); for generated samples, what they were asked for."""
    frame: Any = None
    """For tables: the rows as a pandas data frame of n rows (all columns, conditions included), else None.

    Real rows are those of the source as they are, so that what encoding loses is judged; generated ones are decoded.
    """

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: Tensor | np.ndarray) -> Side:
        """The side made of the given rows (indices)."""
        chosen = torch.as_tensor(rows)
        return Side(
            self.samples[chosen],
            self.features[chosen],
            None if self.condition is None else self.condition[chosen],
            None if self.frame is None else self.frame.iloc[chosen.numpy()].reset_index(drop=True),
        )

    def classes(self, spec: Spec, field: int = 0) -> Tensor | None:
        """The level [n] int64 of a class field of the condition; None when there is no such class."""
        if self.condition is None or spec.condition is None or field >= len(spec.condition.fields):
            return None
        wanted = spec.condition.fields[field]
        if wanted.levels is None:
            return None
        start = sum(before.width for before in spec.condition.fields[:field])
        return self.condition[:, start : start + wanted.width].argmax(1)


@dataclass(frozen=True)
class Evidence:
    """All sides of one evaluation. Counts may differ between sides; a metric that needs equal counts takes subsets.

    With data too small to hold any out, half of the training samples stands in as `holdout` (`spared` is False) and
    `train` is the other half.
    """

    spec: Spec
    domain: Any
    """The `Domain`: `preview(samples, condition)` draws pictures, `decode` gives the user's form."""
    train: Side
    """Samples the model was trained on."""
    holdout: Side
    """Real samples it never saw."""
    generated: Side
    """The model's samples, drawn at the data's own frequencies; at least as many as `holdout`, usually more."""
    floor: Side
    """Samples wrong on purpose: every column (or pixel) of training rows shuffled on its own."""
    spared: bool
    """Whether `holdout` is truly unseen by the model."""
    embedder: str
    """Name and version of what made the features."""
    seed: int
    target: str | None = None
    """Tables: the column a user would predict. None: the question of use falls back on a class condition, if any."""
    sensitive: tuple[str, ...] = ()
    """Tables: columns whose groups should be treated alike (may be empty; a class condition serves for pictures)."""
    allowed: tuple[str, ...] = ()
    """Names of columns never to judge by: ids and constants that are regenerated, not learned."""
    show_rows: bool = False
    """Whether the answers may show training rows as they are; else what they hold stays hidden."""

    def random(self, name: str) -> np.random.Generator:
        """A generator of its own for one metric: the same evaluation gives the same figures in any order."""
        return np.random.default_rng([self.seed, *name.encode()])
