"""Series: many by an entity, labelled ones, or windows of one long series; numbers, categories, gaps and dates.

`series:FILE` (a table of a row a step, .npz), FILE.ts, or `TimeSeries(arrays)` from Python. Each series is scaled by
its own mean and deviation, which are learned with its other attributes (DoppelGANger, Lin et al. 2020).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gannet.domains.domain import ArrayDataset, Domain, Opened, Subset
from gannet.domains.series_encoding import Encoding
from gannet.domains.series_features import NAME, features
from gannet.domains.series_frame import Frame
from gannet.domains.series_panel import Panel
from gannet.domains.series_preview import Backdrop, draw
from gannet.domains.series_smooth import Smooth
from gannet.domains.series_source import Found, SeriesOptions, claims_series, read_series
from gannet.domains.series_summary import summary
from gannet.domains.table_column import Column
from gannet.domains.table_settling import fewest
from gannet.errors import GannetError
from gannet.spec import Condition, Course, Spec

FEWEST, FEW, TO_SPARE = 3, 100, 200
MOST_HELD_OUT = 5_000
MANY_CHANNELS = 500
SHOWN_REAL = 24
"""Real series kept in memory (never in a run folder) for the pictures made during training."""


class Series(Domain):
    """Series as [channels, length]: attributes first, which keep one value, then what changes from step to step."""

    kind: ClassVar[str] = "series"
    embedder: ClassVar[str] = NAME
    Options = SeriesOptions

    def __init__(self, spec: Spec, encoding: Encoding, frame: Frame, backdrop: Backdrop) -> None:
        self.spec, self.encoding, self.form, self.backdrop = spec, encoding, frame, backdrop
        self.shown: Panel | None = None
        """A few real series behind the pictures; none in a restored domain."""

    # ------------------------------------------------------------------------------------------------ opening

    @classmethod
    def claims(cls, source: Any) -> bool:
        return claims_series(source)

    @classmethod
    def open(cls, source: Any, options: SeriesOptions, *, seed: int, cache: Path) -> Opened:
        found = read_series(source, options)
        panel, count = found.panel, len(found.panel)
        if count < FEWEST:
            raise GannetError(f"{source}: {count} series are too few to learn from; give at least {FEWEST}")
        owners = count if found.groups is None else int(found.groups.max()) + 1
        length = int(panel.lengths.max())
        encoding = Encoding.fit(panel, found.asked, found.wanted, length, fewest(None, owners))
        if not any(block.width for block in encoding.blocks):
            raise GannetError(f"{source}: no column can be learned (only constants and ids); check types=")
        domain = cls(_spec(encoding), encoding, Frame.of(found, encoding), Backdrop.of(panel, encoding))
        samples = torch.from_numpy(encoding.encode(panel, np.random.default_rng([seed, 2])))
        condition = encoding.condition(panel)
        data = ArrayDataset(samples, None if condition is None else torch.from_numpy(condition))
        train, holdout = _split(found, options, seed)
        domain.shown = panel.take(np.sort(train[np.random.default_rng([seed, 3]).permutation(len(train))[:SHOWN_REAL]]))
        return Opened(
            domain=domain,
            train=Subset(data, train),
            holdout=Subset(data, holdout) if len(holdout) else None,
            fingerprint=panel.digest(),
            found=domain._found(found, len(holdout)),
            warnings=found.warnings + domain._doubts(found, count),
        )

    def _found(self, found: Found, spare: int) -> list[str]:
        panel, encoding = found.panel, self.encoding
        lines = [f"series: {found.found[0]}; {self.spec.shape[0]} channels, {encoding.constants} of them attributes"]
        lines += found.found[1:]
        if encoding.clock is not None:
            lines.append(f"{encoding.clock.form.name}: {encoding.clock.describe()}")
        courses = {course.name: course for course in panel.courses}
        for form, track in encoding.tracks:
            if form.name in courses:
                lines.append(f"{form.name}: {_described(track, courses[form.name].values, form)}")
        for column, (form, coder) in zip(panel.constants, self._constants(panel), strict=True):
            given = ", asked for" if form.name in found.asked else ""
            lines.append(f"{form.name}: {coder.describe(column.values, form)}{given}")
        if encoding.shape is not None:
            dropped = sum(isinstance(track, Smooth) for _, track in encoding.tracks) - encoding.components
            if dropped:
                lines.append(f"{dropped} of the columns follow from the others, and are not learned by themselves")
        return lines + ([f"held out for scores: {spare:,} series"] if found.held is None and spare else [])

    def _constants(self, panel: Panel) -> list[tuple[Any, Column]]:
        known = {form.name: (form, column) for form, column in (*self.encoding.free, *self.encoding.given)}
        return [known[column.name] for column in panel.constants]

    def _doubts(self, found: Found, count: int) -> list[str]:
        doubts = []
        if found.held is None and count < FEW:
            doubts.append(f"only {count} series: the generator will copy them; give some hundreds")
        if self.spec.shape[0] > MANY_CHANNELS:
            doubts.append(f"{self.spec.shape[0]:,} channels: training will be slow; drop= columns of many categories")
        return doubts

    # -------------------------------------------------------------------------------------------------- state

    def state(self) -> dict[str, Any]:
        return {
            "encoding": self.encoding.to_json(),
            "frame": self.form.to_json(),
            "backdrop": self.backdrop.to_json(),
        }

    @classmethod
    def restore(cls, spec: Spec, state: dict[str, Any]) -> Series:
        return cls(
            spec,
            Encoding.from_json(state["encoding"]),
            Frame.from_json(state["frame"]),
            Backdrop.from_json(state["backdrop"]),
        )

    # -------------------------------------------------------------------------------------- there and back again

    def encode(self, decoded: Any) -> Tensor:
        """A long frame or an array as `decode` gives it -> samples [n, channels, length]; conditions are left out."""
        return torch.from_numpy(self.encoding.encode(self.form.panel(decoded)))

    def decode(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        """Samples [n, channels, length] -> a frame of a row a step; for arrays [n, length, columns], NaN past the end.

        What is not learned (names of series) is drawn from a generator seeded by the samples: decoding is pure.
        """
        return self.form.build(self._decode(samples, condition))

    def _decode(self, samples: Tensor, condition: Tensor | None) -> Panel:
        content = _plain(samples)
        given = None if condition is None else _plain(condition)
        seed = hashlib.sha256(content.tobytes() + (b"" if given is None else given.tobytes())).digest()
        random = np.random.default_rng(np.frombuffer(seed, dtype=np.uint32))
        return self.encoding.decode(content, given, random)

    def write(self, decoded: Any, out: Path, *, names: list[str] | None = None) -> list[Path]:
        """Series to one file by its ending: a row a step in .csv, .tsv (also .gz), .parquet, .json; arrays in .npz."""
        return self.form.write(decoded, Path(out))

    # -------------------------------------------------------------------------------------------- looking at them

    def preview(self, samples: Tensor, condition: Tensor | None = None) -> Image.Image:
        """Lines of some samples in red over a few real series in grey and the range of all real ones."""
        return draw(self._decode(samples, condition), self.shown, self.backdrop, self.encoding.length)

    def embed(self, samples: Tensor) -> Tensor:
        """What sums each series up [n, at most 128]: see `series_features`."""
        return features(samples, self.encoding)

    def steps(self, samples: Tensor) -> tuple[Tensor, Tensor, int]:
        """What each step of the decoded samples holds, whether it is there, and how many of its inputs are numbers."""
        values, alive, numbers = self.encoding.steps(self._decode(samples, None))
        return torch.from_numpy(values), torch.from_numpy(alive), numbers

    def frame(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        """A row a series: its constants, its length, and what sums up each course; conditions included."""
        return summary(self._decode(samples, condition), self.encoding)

    def conditions(self, decoded: Any) -> Tensor | None:
        condition = self.encoding.condition(self.form.panel(decoded))
        return None if condition is None else torch.from_numpy(condition)

    def spoiled(
        self, samples: Tensor, condition: Tensor | None, random: np.random.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Every attribute, and every channel's whole set of values at a step, shuffled over the series on its own."""
        constants = self.encoding.constants
        content = samples.numpy().copy()
        for channel in range(constants):
            content[:, channel] = content[random.permutation(len(content)), channel]
        content[:, constants:] = random.permuted(content[:, constants:], axis=0)
        order = torch.from_numpy(random.permutation(len(samples)))
        return torch.from_numpy(content), None if condition is None else condition[order]


def _spec(encoding: Encoding) -> Spec:
    fields = tuple(field for form, column in encoding.given for field in column.fields(form))
    blocks = encoding.blocks
    return Spec(
        "series",
        (sum(block.width for block in blocks), encoding.length),
        Condition(fields) if fields else None,
        blocks,
        Course(encoding.constants, encoding.ends),
    )


def _split(found: Found, options: SeriesOptions, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (to train on, held out): by time where the source says so, else whole entities by chance."""
    count = len(found.panel)
    if found.held is not None:
        return np.flatnonzero(~found.held), np.flatnonzero(found.held)
    groups = np.arange(count) if found.groups is None else found.groups
    owners = int(groups.max()) + 1
    spare = min(round(owners * options.held_out), MOST_HELD_OUT) if owners >= TO_SPARE else 0
    apart = np.random.default_rng([seed, 1]).permutation(owners)[:spare]
    held = np.isin(groups, apart)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _described(track: Any, values: Any, form: Any) -> str:
    return str(track.describe(values, form))


def _plain(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
