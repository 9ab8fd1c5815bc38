"""The contract of a constraint between a table's columns, and what values a number column can hold.

A leaf (see `table_constraint_kinds`) is a frozen dataclass of JSON values: `fit` learns what its rule leaves open,
`broken(table)` says which rows break it. A row in which a member is missing breaks nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_rounding import learn_decimals, learn_step
from gannet.domains.table_values import MICROSECONDS, Form, Numbers, Texts, Values

Table = Mapping[str, Values]
"""Columns by name, all of the same number of rows."""
Item = str | float | None
"""One value of a category: a text or a number, None where missing."""

STORED: dict[str, np.dtype[Any]] = {
    **dict.fromkeys(("float32", "Float32", "float"), np.dtype(np.float32)),
    **dict.fromkeys(("float16", "Float16", "halffloat"), np.dtype(np.float16)),
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""Types of a frame (pandas, polars, Arrow; integers in small letters) that hold less than a 64-bit float."""
CLOCKED = ("date", "time", "duration")
"""Meanings of columns that count a unit of time."""
DAY = MICROSECONDS["D"]
BITS_LOST = 16
"""bfloat16 is the upper half of a 32-bit float."""


@dataclass(frozen=True)
class Grid:
    """The numbers a column can hold: their rounding, their type in the frame, and the span seen in training."""

    decimals: int | None
    step: float
    """What every value is a multiple of; 0 without rounding."""
    dtype: str
    """The frame's own name of the type."""
    low: float
    high: float
    family: str = "number"
    """What the values measure: number, date, time (of day) or duration."""
    unit: int | None = None
    """Microseconds in the unit of a date, time or duration; None for numbers."""

    @classmethod
    def of(cls, form: Form, values: Numbers, least: int = 1) -> Grid:
        """The grid of a column with at least one value, none of them infinite.

        The span is that of means of `least` values, so that no row's own is kept.
        """
        present = values.array[~values.missing]
        decimals = learn_decimals(present)
        family = form.meaning if form.meaning in CLOCKED else "number"
        unit = None if family == "number" else MICROSECONDS[form.unit or "us"]
        dtype = "float64" if form.textual or unit else form.dtype
        step = learn_step(present, decimals)
        # A step learned from a handful of values says little; their rounding is enough.
        if decimals is not None and len(present) < 100:
            step = 10.0**-decimals
        grid = cls(decimals, step, dtype, 0.0, 0.0, family, unit)
        least = min(least, len(present))
        ends = np.partition(present, [least - 1, len(present) - least])
        low, high = grid.nearest(np.array([ends[:least].mean(), ends[len(ends) - least :].mean()])).tolist()
        return replace(grid, low=low, high=high)

    def stored(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers [n] as the frame will hold them."""
        if self.dtype.endswith("bfloat16"):
            bits = numbers.astype(np.float32).view(np.uint32)
            return (bits >> BITS_LOST << BITS_LOST).view(np.float32).astype(np.float64)
        dtype = STORED.get(self.dtype)
        return numbers if dtype is None or dtype.kind != "f" else numbers.astype(dtype).astype(np.float64)

    def fits(self, numbers: np.ndarray) -> np.ndarray:
        """True [n] where an integer type, or a day, has room for the number; missing ones fit."""
        if self.family == "time":
            return np.isnan(numbers) | ((numbers >= 0) & (numbers * (self.unit or 1) < DAY))
        dtype = STORED.get(self.dtype.lower())
        if dtype is None or dtype.kind not in "iu":
            return np.ones(len(numbers), dtype=bool)
        limits = np.iinfo(dtype)
        return np.isnan(numbers) | ((numbers >= float(limits.min)) & (numbers <= float(limits.max)))

    def rounded(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers [n] with the column's digits after the point."""
        return self.stored(numbers if self.decimals is None else np.round(numbers, self.decimals) + 0.0)

    def nearest(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers [n] at the nearest multiples of the step."""
        if self.decimals is None:
            return self.stored(numbers)
        return self.stored(np.round(np.rint(numbers / self.step) * self.step, self.decimals) + 0.0)

    def beyond(self, bounds: np.ndarray, strict: np.ndarray | bool, upward: bool) -> np.ndarray:
        """The nearest possible number at or above (upward) or at or below each bound [n]; beyond it where strict."""
        sign = 1.0 if upward else -1.0
        numbers = self.nearest(bounds)
        for _ in range(4):
            short = (numbers - bounds) * sign < 0
            short |= np.asarray(strict) & (numbers == bounds)
            if not short.any():
                break
            numbers = np.where(short, self._next(numbers, sign), numbers)
        return numbers

    def _next(self, numbers: np.ndarray, sign: float) -> np.ndarray:
        if self.decimals is not None:
            return self.nearest(numbers + sign * self.step)
        dtype: np.dtype[Any] = STORED.get(self.dtype, np.dtype(np.float64))
        if dtype.kind != "f":
            return np.nextafter(numbers, sign * np.inf)
        if self.dtype.endswith("bfloat16"):
            return self.stored(numbers * (1 + sign * np.sign(numbers) / 64) + sign * 1e-30)
        return np.nextafter(numbers.astype(dtype), dtype.type(sign * np.inf)).astype(np.float64)


@dataclass(frozen=True)
class Constraint(ABC):
    """Something that holds in every row. Leaves are frozen dataclasses of JSON values."""

    kind: ClassVar[str]
    rule: str
    """The constraint as the user writes it."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns it is about."""

    @abstractmethod
    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Constraint:
        """The same constraint with what its rule leaves open learned from training rows (levels, rounding).

        Levels and combinations in fewer than `fewest` rows are left out. GannetError where the columns cannot bear it.
        """

    @abstractmethod
    def broken(self, table: Table) -> np.ndarray:
        """True [n] for every row that breaks it."""

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


def count(table: Table) -> int:
    """The number of rows."""
    return len(next(iter(table.values())))


def present(table: Table, columns: Sequence[str]) -> np.ndarray:
    """True [n] where none of the columns is missing."""
    here = np.ones(count(table), dtype=bool)
    for name in columns:
        here &= ~table[name].missing
    return here


def coded(values: Values) -> tuple[np.ndarray, list[Item]]:
    """A column as codes int64 [n] into distinct items; the first item is None, for missing values."""
    if isinstance(values, Texts):
        return values.codes + 1, [None, *values.levels]
    distinct, codes = np.unique(values.array[~values.missing], return_inverse=True)
    out = np.zeros(len(values), dtype=np.int64)
    out[~values.missing] = codes + 1
    return out, [None, *(distinct + 0.0).tolist()]


def combined(columns: Sequence[Values]) -> tuple[np.ndarray, list[tuple[Item, ...]]]:
    """Several columns as codes int64 [n] into their distinct combinations that occur."""
    parts = [coded(values) for values in columns]
    mixed, first = _mixed(parts)
    return mixed, [tuple(items[codes[row]] for codes, items in parts) for row in first]


def repeated(columns: Sequence[Values]) -> np.ndarray:
    """True [n] for every row that is like an earlier one in these columns."""
    again = np.ones(len(columns[0]), dtype=bool)
    again[_mixed([coded(values) for values in columns])[1]] = False
    return again


def _mixed(parts: Sequence[tuple[np.ndarray, list[Item]]]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of combinations int64 [n], and the first row of each."""
    mixed = np.zeros(len(parts[0][0]), dtype=np.int64)
    first = mixed[:0]
    for codes, items in parts:
        _, first, mixed = np.unique(mixed * len(items) + codes, return_index=True, return_inverse=True)
    return mixed, first


def from_items(codes: np.ndarray, items: Sequence[Item], as_text: bool) -> Values:
    """The inverse of `coded` for items in any order: codes int64 [n], -1 or the place of None where missing."""
    if as_text:
        levels = [str(item) for item in items if item is not None]
        places = np.cumsum([item is not None for item in items]) - 1
        table = np.append(np.where([item is None for item in items], -1, places), -1).astype(np.int64)
        return Texts(table[codes], levels)
    return Numbers(np.array([np.nan if item is None else float(item) for item in [*items, None]])[codes])


def tupled(data: Any) -> Any:
    """JSON lists as tuples, at every depth."""
    return tuple(tupled(item) for item in data) if isinstance(data, list) else data
