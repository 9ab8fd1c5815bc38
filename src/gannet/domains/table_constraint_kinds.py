"""The kinds of constraint: linear relations, products, what follows from what, combinations, presence, uniqueness.

`Linear("a <= b", (("a", 1.0), ("b", -1.0)), 0.0, "<=").fit(table, forms, grids, 1).broken(table)` -> bool [n].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

import numpy as np

from gannet.domains.table_constraint import (
    Constraint,
    Grid,
    Item,
    Table,
    coded,
    combined,
    count,
    present,
    repeated,
    tupled,
)
from gannet.domains.table_values import MICROSECONDS, Form, Numbers, Texts, Values, parse
from gannet.errors import GannetError

Relation = Literal["<=", "<", "="]
Test = Literal["=", "!=", "<", "<=", ">", ">=", "present", "missing"]

NOISE, NOISE_SINGLE = 1e-9, 1e-6
"""Relative tolerance of a sum or product of numbers without rounding, as 64-bit and as 32-bit floats."""
MOST_DIGITS = 10
FEWEST_REPEATS = 2.0
"""What follows from a column must be told by that many rows a level on average; else the list would be one of rows."""


def from_json(data: dict[str, Any]) -> Constraint:
    """The inverse of `Constraint.to_json`."""
    leaves: tuple[type[Constraint], ...] = (Linear, Product, Depends, Combination, Presence, Unique)
    leaf = next(leaf for leaf in leaves if leaf.kind == data["kind"])
    return leaf(**{key: tupled(value) for key, value in data.items() if key != "kind"})


# ------------------------------------------------------------------------------------------------------ numbers


@dataclass(frozen=True)
class Linear(Constraint):
    """factor * column + ... + constant <= 0 (or < or =): orders, chains, ranges, signs and sums.

    Dates and times of day go with their like; a duration may lie between two of them.
    """

    kind: ClassVar[str] = "linear"
    terms: tuple[tuple[str, float], ...]
    constant: float
    relation: Relation
    scales: tuple[float, ...] = ()
    """What each column is multiplied by before its factor: units of dates; empty before `fit`."""
    digits: int | None = None
    """Digits after the point of the sum; None where it has no rounding."""
    slack: float = 0.0
    """How far from zero an equality may be: half of the last digit its first column can hold."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.terms)

    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Linear:
        scales = self._units(forms, grids)
        digits = self._digits([grids[name] for name in self.columns])
        slack = 0.0
        if self.relation == "=":
            own = grids[self.columns[0]].decimals
            if digits is None:
                slack = self._noise(table, grids)
            elif own is not None and own < digits:
                slack = 0.5 * 10.0**-own + 10.0 ** -(digits + 2)
        elif digits is None and len(self.terms) > 1 and not self.plain:
            slack = self._noise(table, grids)
        return replace(self, scales=scales, digits=digits, slack=slack)

    def _units(self, forms: Mapping[str, Form], grids: Mapping[str, Grid]) -> tuple[float, ...]:
        """What the columns are multiplied by to count the same unit; GannetError where they cannot."""
        units = [grids[name].unit for name in self.columns]
        clocked = [unit for unit in units if unit is not None]
        if not clocked:
            return (1.0,) * len(units)
        moments = {"date": 0.0, "time": 0.0}
        for name, factor in self.terms:
            family = grids[name].family
            moments[family] = moments.get(family, 0.0) + factor
        one = len(self.terms) == 1
        if len(clocked) < len(units) or any(abs(factor) != 1 for _, factor in self.terms):
            raise GannetError(f"constraint {self.rule!r}: dates, times and durations go with their like only")
        if not one and self.constant:
            raise GannetError(f"constraint {self.rule!r}: a number beside dates has no unit; name columns only")
        if not one and (moments["date"] or moments["time"]):
            raise GannetError(f"constraint {self.rule!r}: a date goes with a date, or with a date and a duration")
        if len({forms[name].timezone is None for name in self.columns if grids[name].family == "date"}) > 1:
            raise GannetError(f"constraint {self.rule!r}: one of the dates has a time zone, the other has none")
        finest = min(clocked)
        return (1.0,) if one else tuple(float(unit // finest) for unit in clocked)

    @property
    def plain(self) -> bool:
        """Whether two columns, or one and a number, are compared as they are: no rounding noise can arise."""
        return len(self.terms) + (self.constant != 0) <= 2 and all(abs(factor) == 1 for _, factor in self.terms)

    def _digits(self, grids: list[Grid]) -> int | None:
        digits = digits_of(self.constant)
        for grid, (_, factor) in zip(grids, self.terms, strict=True):
            own = digits_of(factor)
            if grid.decimals is None or own is None or digits is None:
                return None
            digits = max(digits, grid.decimals + own)
        return digits if digits is not None and digits <= MOST_DIGITS else None

    def _noise(self, table: Table, grids: Mapping[str, Grid]) -> float:
        single = any("32" in grids[name].dtype or "16" in grids[name].dtype for name in self.columns)
        sizes = [abs(factor) * max(abs(grids[name].low), abs(grids[name].high)) for name, factor in self.terms]
        return (NOISE_SINGLE if single else NOISE) * max([*sizes, abs(self.constant), 1e-30])

    def excess(self, table: Table) -> np.ndarray:
        """The left side [n], free of rounding noise; NaN where a member is missing."""
        total = np.full(count(table), self.constant)
        for (name, factor), scale in zip(self.terms, self.scales, strict=True):
            total = total + factor * scale * numbers(table, name)
        return total if self.plain or self.digits is None else np.round(total, self.digits)

    def broken(self, table: Table) -> np.ndarray:
        excess = self.excess(table)
        if self.relation == "=":
            return np.abs(excess) > self.slack
        return excess >= 0 if self.relation == "<" else excess > self.slack

    def owners(self, grids: Mapping[str, Grid]) -> tuple[str, ...]:
        """The columns that can be computed from the others, best first."""
        if self.relation != "=":
            # The larger side first: what is above is what is below plus a difference.
            return tuple(name for name, factor in sorted(self.terms, key=lambda term: term[1] > 0))
        first, others = self.terms[0], self.terms[1:]
        exact = self.slack == 0 and abs(first[1]) == 1 and self.digits is not None
        able = [name for name, factor in others if exact and abs(factor) == 1 and grids[name].decimals == self.digits]
        return (first[0], *able)

    def side(self, owner: str) -> Literal["low", "high", "equal"]:
        """Whether the others bound the owner from below, from above, or fix it."""
        if self.relation == "=":
            return "equal"
        return "high" if dict(self.terms)[owner] > 0 else "low"

    def bound(self, owner: str, table: Table, fills: Mapping[str, float] | None = None) -> np.ndarray:
        """Where the others put (the bound of) the owner [n]; missing ones are NaN, or stand at their fill."""
        total, scale, weight = np.full(count(table), self.constant), 1.0, 1.0
        for (name, factor), own in zip(self.terms, self.scales, strict=True):
            if name == owner:
                scale, weight = own, factor
                continue
            values = numbers(table, name)
            if fills is not None:
                values = np.where(np.isnan(values), fills[name], values)
            total = total + factor * own * values
        total = -total / weight
        if self.digits is not None and not self.plain and abs(weight) == 1:
            total = np.round(total, self.digits)
        return total / scale

    def digits_beside(self, owner: str) -> int | None:
        """Digits after the point of the distance between the owner and its bound; None where it has no rounding."""
        factor, scale = next(
            (factor, scale) for (name, factor), scale in zip(self.terms, self.scales, strict=True) if name == owner
        )
        return self.digits if abs(factor) == 1 and scale == 1 else None


@dataclass(frozen=True)
class Product(Constraint):
    """target = factor * left * right, rounded as the target is."""

    kind: ClassVar[str] = "product"
    target: str
    factors: tuple[str, str]
    factor: float = 1.0
    slack: float = 0.0
    relation: Relation = "="

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.target, *self.factors)

    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Product:
        if any(grids[name].unit is not None for name in self.columns):
            raise GannetError(f"constraint {self.rule!r}: dates and times cannot be multiplied")
        target = grids[self.target]
        noise = NOISE_SINGLE if "32" in target.dtype or "16" in target.dtype else NOISE
        noise *= max(abs(target.low), abs(target.high), 1e-30)
        return replace(self, slack=noise + (0.0 if target.decimals is None else 0.5 * 10.0**-target.decimals))

    def broken(self, table: Table) -> np.ndarray:
        return np.abs(self.bound(self.target, table) - numbers(table, self.target)) > self.slack

    def owners(self, grids: Mapping[str, Grid]) -> tuple[str, ...]:
        """The one column that can be computed from the others."""
        return (self.target,)

    def side(self, owner: str) -> Literal["low", "high", "equal"]:
        """The factors fix the target."""
        return "equal"

    def bound(self, owner: str, table: Table, fills: Mapping[str, float] | None = None) -> np.ndarray:
        """The product [n]; missing factors are NaN, or stand at their fill."""
        product = np.full(count(table), self.factor)
        for name in self.factors:
            values = numbers(table, name)
            product = product * (values if fills is None else np.where(np.isnan(values), fills[name], values))
        return product

    def digits_beside(self, owner: str) -> int | None:
        """A product has as many digits as it likes."""
        return None


Numeric = Linear | Product
"""Constraints by which a number column is bounded or computed."""


def numbers(table: Table, name: str) -> np.ndarray:
    """The values of a number column, float64 [n]."""
    values = table[name]
    assert isinstance(values, Numbers)
    return values.array


def digits_of(factor: float) -> int | None:
    """Digits after the point of a number as it is written; None beyond ten."""
    written = f"{abs(factor):.{MOST_DIGITS}f}".rstrip("0")
    return len(written.partition(".")[2]) if float(written) == abs(factor) else None


# --------------------------------------------------------------------------------------------------- categories


@dataclass(frozen=True)
class Depends(Constraint):
    """The keys fix the target: each combination of theirs seen in training has one value beside it.

    A missing key counts as a level where it too fixes the target; a key not seen has no say.
    """

    kind: ClassVar[str] = "depends"
    keys: tuple[str, ...]
    target: str
    entries: tuple[tuple[tuple[Item, ...], Item], ...] = ()
    """Combination of the keys -> value of the target."""
    times: tuple[int, ...] = ()
    """In how many rows each key was seen."""
    commonest: Item = None
    """The target's commonest value, for keys too rare to be kept."""
    as_text: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, self.target)

    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Depends:
        codes, keys = combined([table[name] for name in self.keys])
        target, items = coded(table[self.target])
        if len(codes) < FEWEST_REPEATS * len(keys):
            raise GannetError(
                f"constraint {self.rule!r}: {len(keys):,} different keys in {len(codes):,} rows would be a list of "
                "the rows themselves; leave the constraint out"
            )
        pairs, times = np.unique(codes * len(items) + target, return_counts=True)
        best: dict[int, tuple[int, int]] = {}
        rivals: dict[int, int] = {}
        for pair, often in zip(pairs.tolist(), times.tolist(), strict=True):
            code, value = divmod(pair, len(items))
            # A value wins over none: rows with a missing target are told apart elsewhere.
            rivals[code] = rivals.get(code, 0) + 1
            if code not in best or (value > 0, often) > (best[code][1] > 0, best[code][0]):
                best[code] = (often, value)
        often = np.bincount(codes, minlength=len(keys))
        kept = [
            code for code, key in enumerate(keys) if often[code] >= fewest and (None not in key or rivals[code] == 1)
        ]
        entries = tuple((keys[code], items[best[code][1]]) for code in kept)
        if not entries:
            raise GannetError(f"constraint {self.rule!r}: no key stands in {fewest:,} rows or more; lower fewest")
        seen = np.bincount(target, minlength=len(items))
        commonest = items[1 + int(seen[1:].argmax())] if len(items) > 1 else None
        as_text = isinstance(table[self.target], Texts)
        times_kept = tuple(int(often[code]) for code in kept)
        return replace(self, entries=entries, times=times_kept, commonest=commonest, as_text=as_text)

    def expected(self, table: Table) -> tuple[np.ndarray, list[Item]]:
        """What the keys say: codes int64 [n] into the items; -1 where the keys have no say."""
        items: list[Item] = list(dict.fromkeys([None, *(value for _, value in self.entries)]))
        places = {item: place for place, item in enumerate(items)}
        known = {key: places[value] for key, value in self.entries}
        codes, keys = combined([table[name] for name in self.keys])
        found = [known.get(key, -1) for key in keys]
        if len(self.keys) == 1 and not isinstance(table[self.keys[0]], Texts):
            found = self._nearest(keys, found, known)
        return np.array(found, dtype=np.int64)[codes], items

    @staticmethod
    def _nearest(keys: list[tuple[Item, ...]], found: list[int], known: dict[tuple[Item, ...], int]) -> list[int]:
        """A number between those seen is told by the nearest of them."""
        standing = np.sort([float(key[0]) for key in known if key[0] is not None])
        for place, key in enumerate(keys):
            if found[place] < 0 and key[0] is not None and len(standing):
                found[place] = known[(float(standing[np.abs(standing - float(key[0])).argmin()]),)]
        return found

    def broken(self, table: Table) -> np.ndarray:
        expected, items = self.expected(table)
        target, own = coded(table[self.target])
        place = {item: code for code, item in enumerate(items)}
        actual = np.array([place.get(item, len(items)) for item in own], dtype=np.int64)[target]
        return present(table, self.columns) & (expected > 0) & (actual != expected)


@dataclass(frozen=True)
class Combination(Constraint):
    """Only combinations seen in training stand side by side."""

    kind: ClassVar[str] = "combination"
    members: tuple[str, ...]
    entries: tuple[tuple[tuple[Item, ...], int], ...] = ()
    """Combinations, missing values included, and in how many rows each was seen."""
    texts: tuple[bool, ...] = ()
    """Which of the members are texts."""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.members

    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Combination:
        codes, rows = combined([table[name] for name in self.members])
        if len(codes) < FEWEST_REPEATS * len(rows):
            raise GannetError(
                f"constraint {self.rule!r}: {len(rows):,} different combinations in {len(codes):,} rows would be a "
                "list of the rows themselves; name fewer columns, or leave the constraint out"
            )
        often = np.bincount(codes, minlength=len(rows)).tolist()
        entries = tuple((row, times) for row, times in zip(rows, often, strict=True) if times >= fewest)
        if not any(None not in row for row, _ in entries):
            raise GannetError(f"constraint {self.rule!r}: no combination stands in {fewest:,} rows; lower fewest")
        texts = tuple(isinstance(table[name], Texts) for name in self.members)
        return replace(self, entries=entries, texts=texts)

    def broken(self, table: Table) -> np.ndarray:
        allowed = {row for row, _ in self.entries}
        codes, rows = combined([table[name] for name in self.members])
        wrong = np.array([None not in row and row not in allowed for row in rows], dtype=bool)
        return wrong[codes] if len(rows) else np.zeros(len(codes), dtype=bool)


# ------------------------------------------------------------------------------------------ presence, uniqueness


@dataclass(frozen=True)
class Presence(Constraint):
    """The target is there (or missing) wherever another column passes a test; everywhere without one."""

    kind: ClassVar[str] = "presence"
    target: str
    here: bool
    """Whether the target is there or missing in those rows."""
    other: str | None = None
    test: Test | None = None
    value: str | None = None
    """What the other column is compared with, as the user wrote it."""
    level: Item = None
    """The same in plain form, known after `fit`."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.target,) if self.other is None else (self.target, self.other)

    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Presence:
        if self.value is None or self.other is None:
            return self
        level = constant(self.value, forms[self.other], self.rule)
        if isinstance(level, str) and self.test not in ("=", "!="):
            raise GannetError(f"constraint {self.rule!r}: {self.other!r} is text, which is only = or != to something")
        if isinstance(level, str) and level not in coded(table[self.other])[1]:
            raise GannetError(f"constraint {self.rule!r}: {self.value!r} is no value of the column {self.other!r}")
        return replace(self, level=level)

    def asked(self, table: Table) -> np.ndarray:
        """True [n] where the other column passes the test."""
        if self.other is None:
            return np.ones(count(table), dtype=bool)
        values, missing = table[self.other], table[self.other].missing
        if self.test in ("present", "missing"):
            return missing if self.test == "missing" else ~missing
        if isinstance(values, Texts):
            code = values.levels.index(str(self.level)) if self.level in values.levels else -2
            return ~missing & ((values.codes == code) == (self.test == "="))
        level = float(self.level or 0.0)
        tests = {"=": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater}
        return ~missing & tests.get(self.test or "", np.greater_equal)(values.array, level)

    def broken(self, table: Table) -> np.ndarray:
        return self.asked(table) & (table[self.target].missing == self.here)


@dataclass(frozen=True)
class Unique(Constraint):
    """No two rows are alike in these columns; rows in which one of them is missing are left alone."""

    kind: ClassVar[str] = "unique"
    members: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.members

    def fit(self, table: Table, forms: Mapping[str, Form], grids: Mapping[str, Grid], fewest: int) -> Unique:
        return self

    def broken(self, table: Table) -> np.ndarray:
        """Every row that repeats an earlier one."""
        return repeated([table[name] for name in self.members]) & present(table, self.members)


def constant(text: str, form: Form, rule: str) -> str | float:
    """What the user wrote as a value of the column: a level, a number, a boolean, or a date as the column spells it."""
    if form.meaning == "text":
        return text
    values: Values = parse(Texts(np.zeros(1, dtype=np.int64), [text]), form)
    if not values.missing[0] and isinstance(values, Numbers):
        return float(values.array[0])
    try:
        if form.meaning == "date":
            moment = np.datetime64(datetime.fromisoformat(text), "us").astype(np.int64)
            return float(moment / MICROSECONDS[form.unit or "us"])
        return float({"true": "1", "false": "0", "yes": "1", "no": "0"}.get(text.lower(), text))
    except ValueError:
        pass
    raise GannetError(f"constraint {rule!r}: {text!r} cannot be read as a value of the column {form.name!r}")
