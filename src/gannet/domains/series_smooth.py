"""One column of numbers that changes from step to step: its rounding, its heavy values, and whether logarithms suit it.

`Smooth.fit(column, panel)`; `standard(values)` gives numbers of unit size with NaN where a heavy value or none stands,
`levels(values)` says which; `restore(standard, levels)` is the way back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gannet.domains.series_panel import Named, Panel
from gannet.domains.table_column import missing_words, noun, span, spell_one
from gannet.domains.table_rounding import learn_decimals, learn_step, onto_steps
from gannet.domains.table_stretches import MOST_STRETCHES, nearest
from gannet.domains.table_values import Form, Numbers

MASS = 0.15
"""A value that fills at least this share of the steps (the zeros of sales) is a level of its own."""
ROWS_PER_VALUE = 10
"""Distinct values are kept where each is held by this many steps on average."""
GROWING = 0.5
"""How fast steps must grow with the level (as its power) for logarithms to even them out."""


@dataclass(frozen=True)
class Smooth:
    """Numbers, or their logarithms, of mean 0 and deviation 1 over all steps."""

    name: str
    logarithm: bool
    mean: float
    scale: float
    decimals: int | None
    step: float
    low: float
    high: float
    """The range of the data, which samples keep to."""
    masses: tuple[float, ...]
    missing: bool
    values: tuple[float, ...] | None = None
    """The distinct values where they are few: samples stand on one of them. None where any value may occur."""

    @classmethod
    def fit(cls, column: Named, panel: Panel | None) -> Smooth:
        """What a column of numbers looks like over all steps; without a panel its values are gaps, in no order."""
        assert isinstance(column.values, Numbers)
        values = column.values.array
        finite = single(values[np.isfinite(values)])
        distinct, counts = np.unique(finite, return_counts=True)
        masses = tuple(distinct[counts >= MASS * len(finite)].tolist())
        free = finite[~np.isin(finite, masses)] if masses else finite
        free = free if len(free) else finite
        decimals = learn_decimals(finite)
        logarithm = bool(free.min() > 0) and (panel is None or _grows(values, panel))
        plain = np.log(free) if logarithm else free
        return cls(
            name=column.name,
            logarithm=logarithm,
            mean=float(plain.mean()),
            scale=float(plain.std()) or 1.0,
            decimals=decimals,
            step=learn_step(finite, decimals),
            low=float(finite.min()),
            high=float(finite.max()),
            masses=masses,
            missing=not np.isfinite(values).all(),
            values=tuple(distinct.tolist()) if _few(distinct, counts) else None,
        )

    @property
    def choice_width(self) -> int:
        """Levels beside the number itself: 0 without any, else one more than there are heavy values and gaps."""
        extra = len(self.masses) + self.missing
        return extra + 1 if extra else 0

    @property
    def noise(self) -> float:
        """The deviation of rounding, in units of `standard`."""
        typical = float(np.exp(self.mean)) if self.logarithm else 1.0
        return self.step / typical / self.scale / 12**0.5

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Of each value: 0 = the number itself, then the heavy values in order, last whether it is missing."""
        codes = np.zeros(values.shape, dtype=np.int64)
        for code, mass in enumerate(self.masses, start=1):
            codes[values == mass] = code
        codes[~np.isfinite(values)] = len(self.masses) + 1
        return codes

    def standard(self, values: np.ndarray, random: np.random.Generator | None = None) -> np.ndarray:
        """Numbers of unit size, NaN where there is none; `random` spreads a rounded value over its step.

        So the discriminator cannot tell reals by their standing on a lattice.
        """
        plain = np.where(self.levels(values) == 0, values, np.nan)
        if random is not None and self.values is not None:
            plain = _spread(plain, np.array(self.values), random)
        elif random is not None and self.step:
            plain = plain + self.step * (random.random(plain.shape) - 0.5)
        return self.scaled(plain)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Any values, heavy ones too, in units of `standard`; NaN stays."""
        if self.logarithm:
            values = np.log(np.maximum(values, self.low / 2))
        return (values - self.mean) / self.scale

    def restore(self, standard: np.ndarray, levels: np.ndarray | None) -> np.ndarray:
        """The inverse of `standard` and `levels`: rounded, and inside the range of the data."""
        values = standard * self.scale + self.mean
        if self.logarithm:
            values = np.exp(np.minimum(values, np.log(self.high)))
        values = np.clip(values, self.low, self.high)
        if self.values is not None:
            known = np.array(self.values)
            values = known[nearest(values, known)]
        else:
            values = np.clip(onto_steps(values, self.decimals, self.step), self.low, self.high)
        if levels is not None:
            values = np.where(levels == 0, values, np.array([0.0, *self.masses, np.nan])[levels])
        return values

    def describe(self, values: Numbers, form: Form) -> str:
        """What was found, in a few words."""
        finite = values.array[np.isfinite(values.array)]
        words = f"{noun(form, self.decimals)} {span(finite, form)}"
        for mass in self.masses:
            words += f", {np.mean(finite == mass):.0%} are {spell_one(mass, form)}"
        return words + ", learned as logarithms" * self.logarithm + missing_words(values, form)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Smooth:
        values = data["values"]
        return cls(**{**data, "masses": tuple(data["masses"]), "values": None if values is None else tuple(values)})


def single(values: np.ndarray) -> np.ndarray:
    """Values [n] that are 32-bit ones written out to 16 digits, as those again, so that their rounding is found."""
    short = values.astype(np.float32).astype(np.float64)
    return short if np.allclose(short, values, rtol=1e-14, atol=0) else values


def _few(distinct: np.ndarray, counts: np.ndarray) -> bool:
    """Whether a column stands on so few values, each so often, that it is measured in steps."""
    return len(distinct) <= MOST_STRETCHES and counts.sum() >= ROWS_PER_VALUE * len(distinct) and len(distinct) > 1


def _spread(values: np.ndarray, known: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each value somewhere between it and half way to its neighbours, NaN where there is none."""
    cuts = (known[:-1] + known[1:]) / 2
    edges = np.concatenate([[1.5 * known[0] - 0.5 * known[1]], cuts, [1.5 * known[-1] - 0.5 * known[-2]]])
    index = nearest(np.nan_to_num(values), known)
    place = edges[index] + random.random(values.shape) * (edges[index + 1] - edges[index])
    return np.where(np.isnan(values), np.nan, place)


def _grows(values: np.ndarray, panel: Panel) -> bool:
    """Whether positive values move in proportion to where they stand, as prices do."""
    moves = np.abs(np.diff(values))
    inside = np.ones(len(moves), dtype=bool)
    # From the last step of one series to the first of the next is no move.
    ends = panel.end[panel.end < len(values)]
    if panel.lengths.sum() <= len(values):
        inside[ends - 1] = False
    level = (values[1:] + values[:-1]) / 2
    used = inside & (moves > 0) & (level > 0)
    if used.sum() < 20:
        return False
    x, y = np.log(level[used]), np.log(moves[used])
    spread = x.var()
    return bool(spread > 0.01 and ((x - x.mean()) * (y - y.mean())).mean() / spread > GROWING)
