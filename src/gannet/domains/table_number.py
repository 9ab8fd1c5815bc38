"""Numbers as the game sees them: by their quantiles, uniform in [-1, 1], or standardised where they are asked for.

A column of few distinct values keeps them with their shares (`values`, `cuts`), a smooth one keeps knots of its
quantile function. `Number.fit(name, values)`; `decode(encode(x)) ~ x`, exactly so where there are cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_column import Column, Encoded, missing_words, noun, span, spell_one
from gannet.domains.table_rounding import learn_decimals, learn_step, onto_steps
from gannet.domains.table_stretches import MOST_STRETCHES, blunted, merged, nearest, place, pooled_cuts, read
from gannet.domains.table_values import Form, Numbers, Values
from gannet.errors import GannetError
from gannet.spec import Field

MASS = 0.05
"""A value that fills at least this share of a column becomes a level of its own."""
KNOTS = 981
"""Evenly spaced quantiles kept of a number, before those of its tails; in all at most 1001."""
ROWS_PER_KNOT = 10
ROWS_PER_VALUE = 3
"""Distinct values are kept where there are at most 1024 of them, each held by this many rows on average."""
MOST_SCARCE = 0.1
"""And at most this share of the rows holds values of too few rows, which become their neighbours' mean."""


@dataclass(frozen=True)
class Number(Column):
    """Integers, decimals and dates through their empirical quantiles, uniform in [-1, 1].

    Point masses and missing values are levels of a choice beside the number (0 = the number itself). A column of few
    distinct values keeps them, with the cuts between their stretches; a smooth one keeps at most 1001 knots, each
    standing for ten rows or more, the first and the last for `least` rows.
    """

    kind: ClassVar[str] = "number"
    decimals: int | None
    """Digits after the point; None without rounding."""
    step: float
    """What every value is a multiple of, 25 for weights in quarters of a hundred; 0 without rounding."""
    knots: tuple[float, ...]
    """Quantiles; none where the distinct values are kept."""
    sampled: int
    """Rows behind the knots; it says at which probabilities they stand."""
    masses: tuple[float, ...]
    missing: bool
    values: tuple[float, ...] | None = None
    """The distinct values beside the point masses, ascending; None for a smooth column."""
    cuts: tuple[float, ...] | None = None
    """Where in [-1, 1] one of `values` ends and the next begins."""

    @classmethod
    def fit(cls, name: str, values: Numbers, *, least: int = 1, apart: Sequence[float] = ()) -> Number:
        """Point masses, rounding, and distinct values or quantiles of a column that holds at least one value.

        The smallest and the largest value kept stand for `least` rows or more; so do those between them, unless they
        are most of the column's steps. Values of `apart` are levels in any case, and tell nothing of the others.
        """
        present = values.array[~values.missing]
        distinct, counts = np.unique(present, return_counts=True)
        own = np.isin(distinct, np.array(apart, dtype=np.float64))
        heavy = (counts >= MASS * len(present)) | np.isinf(distinct) | own
        finite = distinct[np.isfinite(distinct) & ~own]
        decimals = learn_decimals(finite)
        step = learn_step(finite, decimals)
        masses, missing = tuple(distinct[heavy].tolist()), bool(values.missing.any())
        light, rows = distinct[~heavy], counts[~heavy]
        common = name, decimals, step
        if _is_stepped(rows, _is_dense(light, step), least):
            # Where every value is a point mass, the number is never read.
            light, rows = (light, rows) if len(light) else (distinct[:1], counts[:1])
            kept, rows = _few(light, rows, decimals, step, least)
            return cls(*common, (), int(rows.sum()), masses, missing, tuple(kept.tolist()), pooled_cuts(rows))
        free = np.repeat(light, rows)
        knots = _blunted(_quantiles(free, knot_probabilities(len(free))), free, least)
        return cls(*common, tuple(onto_steps(knots, decimals, step).tolist()), len(free), masses, missing)

    @property
    def choice_width(self) -> int:
        extra = len(self.masses) + self.missing
        return extra + 1 if extra else 0

    @property
    def has_number(self) -> bool:
        return True

    @property
    def number_cuts(self) -> tuple[float, ...] | None:
        return self.cuts

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        assert isinstance(values, Numbers)
        codes = np.zeros(len(values), dtype=np.uint16)
        for code, mass in enumerate(self.masses, start=1):
            codes[values.array == mass] = code
        if self.missing:
            codes[values.missing] = self.choice_width - 1
        elif values.missing.any():
            raise GannetError(f"column {self.name!r} holds missing values, but none were there in training; fill them")
        free = codes == 0
        numbers = np.zeros(len(values), dtype=np.float32)
        numbers[free] = self._place(values.array[free], random)
        return Encoded(codes if self.choice_width else None, numbers)

    def _place(self, values: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
        """Where values lie among the distinct values or the quantiles, in [-1, 1].

        A rounded value owns a stretch of them: its middle is taken, or a random place, so that the discriminator
        cannot tell reals by their standing on a lattice.
        """
        if self.values is not None and self.cuts is not None:
            return place(nearest(values, np.array(self.values)), np.array(self.cuts), random)
        half = self.step / 2
        probabilities = knot_probabilities(self.sampled)
        low = np.interp(values - half, self.knots, probabilities)
        high = np.interp(values + half, self.knots, probabilities)
        share = 0.5 if random is None else random.random(len(values))
        return 2 * (low + share * (high - low)) - 1

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        assert encoded.numbers is not None
        values = self._read(encoded.numbers)
        if encoded.codes is not None:
            table = np.array([0.0, *self.masses, *([np.nan] if self.missing else [])])
            values = np.where(encoded.codes == 0, values, table[encoded.codes])
        return Numbers(values)

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        """The values [n] that numbers [n] stand for."""
        if self.values is not None and self.cuts is not None:
            return np.array(self.values)[read(numbers, np.array(self.cuts))]
        places = (np.clip(numbers.astype(np.float64), -1, 1) + 1) / 2
        values = np.interp(places, knot_probabilities(self.sampled), self.knots)
        return np.clip(onto_steps(values, self.decimals, self.step), self.knots[0], self.knots[-1])

    def describe(self, values: Values, form: Form) -> str:
        assert isinstance(values, Numbers)
        finite = values.array[np.isfinite(values.array)]
        words = f"{noun(form, self.decimals)} {span(finite, form)}"
        for mass in self.masses:
            share = np.mean(values.array[~values.missing] == mass)
            words += f", {share:.0%} are {spell_one(mass, form)}"
        return words + missing_words(values, form)

    def to_json(self) -> dict[str, Any]:
        # JSON knows no infinity.
        return {**super().to_json(), "masses": [repr(mass) for mass in self.masses]}

    def __post_init__(self) -> None:
        object.__setattr__(self, "masses", tuple(float(mass) for mass in self.masses))


def knot_probabilities(count: int) -> np.ndarray:
    """Evenly spaced, and finer in the tails of large columns; each stands for `ROWS_PER_KNOT` rows or more."""
    even = np.linspace(0, 1, max(2, min(KNOTS, count // ROWS_PER_KNOT)))
    tail = ROWS_PER_KNOT / max(count, 1) * 2.0 ** np.arange(10)
    tail = tail[tail < even[1]]
    return np.concatenate([even[:1], tail, even[1:-1], 1 - tail[::-1], even[-1:]])


def _is_stepped(rows: np.ndarray, dense: bool, least: int) -> bool:
    """Whether a column of these rows per distinct value keeps its values; one of mostly scarce ones is smooth."""
    repeats = len(rows) <= MOST_STRETCHES and rows.sum() >= ROWS_PER_VALUE * len(rows)
    return bool(repeats and (dense or rows[rows < least].sum() <= MOST_SCARCE * rows.sum()))


def _is_dense(values: np.ndarray, step: float) -> bool:
    """Whether ascending values are most of the steps between the smallest and the largest: none of them is telling."""
    return bool(step and len(values) and len(values) * 2 * step >= values[-1] - values[0])


def _few(
    values: np.ndarray, rows: np.ndarray, decimals: int | None, step: float, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ascending values and their rows, on the steps of the column.

    Each has `least` rows or more; or the outermost alone, where values are `_is_dense`.
    """
    if least > 1:
        values, rows = (blunted if _is_dense(values, step) else merged)(values, rows, least)
    # 0.3 and 0.1 + 0.2 are one value where the column is rounded.
    kept, which = np.unique(onto_steps(values, decimals, step), return_inverse=True)
    return kept, np.bincount(which, weights=rows).astype(np.int64)


def _blunted(knots: np.ndarray, values: np.ndarray, least: int) -> np.ndarray:
    """Knots whose first and last are no single row's value but the mean of the `least` smallest and largest [n]."""
    inner = min(least, len(values))
    low, high = float(values[:inner].mean()), float(values[-inner:].mean())
    low = values[0] if values[inner - 1] == values[0] else low
    high = values[-1] if values[-inner] == values[-1] else high
    return np.concatenate([[low], np.clip(knots[1:-1], low, high), [high]])


def _quantiles(values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Quantiles that blend neighbouring values, so that no knot but the outermost is one row's own value."""
    aside = np.where((probabilities == 0) | (probabilities == 1), 0.0, 0.25 / max(len(values) - 1, 1))
    below, above = np.clip(probabilities - aside, 0, 1), np.clip(probabilities + aside, 0, 1)
    return (np.quantile(values, below) + np.quantile(values, above)) / 2


@dataclass(frozen=True)
class Asked(Column):
    """A number the generator is asked for: (value - mean) / scale, and whether it is missing."""

    kind: ClassVar[str] = "asked"
    decimals: int | None
    mean: float
    scale: float
    low: float
    high: float
    missing: bool

    @classmethod
    def fit(cls, name: str, values: Numbers, *, least: int = 1) -> Asked:
        finite = np.sort(values.array[np.isfinite(values.array)])
        return cls(
            name=name,
            decimals=learn_decimals(finite),
            mean=float(finite.mean()),
            scale=float(finite.std()) or 1.0,
            low=float(finite[:least].mean()),
            high=float(finite[-least:].mean()),
            missing=not np.isfinite(values.array).all(),
        )

    @property
    def choice_width(self) -> int:
        return 2 if self.missing else 0

    @property
    def has_number(self) -> bool:
        return True

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        assert isinstance(values, Numbers)
        gone = ~np.isfinite(values.array)
        numbers = np.where(gone, 0.0, (values.array - self.mean) / self.scale).astype(np.float32)
        return Encoded(gone.astype(np.uint16) if self.missing else None, numbers)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        assert encoded.numbers is not None
        values = encoded.numbers.astype(np.float64) * self.scale + self.mean
        if self.decimals is not None:
            values = np.round(values, self.decimals) + 0.0
        if encoded.codes is not None:
            values = np.where(encoded.codes == 1, np.nan, values)
        return Numbers(values)

    def describe(self, values: Values, form: Form) -> str:
        assert isinstance(values, Numbers)
        finite = values.array[np.isfinite(values.array)]
        return f"{noun(form, self.decimals)} {span(finite, form)}{missing_words(values, form)}"

    def fields(self, form: Form) -> tuple[Field, ...]:
        number = Field(self.name, None, self.mean, self.scale, self.low, self.high)
        return (Field(f"{self.name} is missing", ("no", "yes")), number) if self.missing else (number,)
