"""How constraints are built into the encoding: differences, look-ups, merged choices, choices among what is allowed.

A step owns columns: `hide(table)` gives what the game sees in their place, `show(table, random)` turns that back into
values that meet the step's constraints, whatever the game came up with.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from gannet.domains.table_constraint import Grid, Item, Table, coded, combined, from_items, present
from gannet.domains.table_constraint_kinds import Combination, Depends, Numeric, Presence, numbers
from gannet.domains.table_values import Numbers, Texts, Values

AS_TOLD = "(as told by the other columns)"
"""The level of a looked-up column that needs no learning."""


class Step(ABC):
    """Constraints put together, and the columns whose values they settle."""

    columns: tuple[str, ...]
    sources: tuple[str, ...]
    """Columns whose values must be settled before."""

    @property
    def hide_names(self) -> tuple[str, ...]:
        """The columns that the game sees otherwise than they are."""
        return self.columns

    @abstractmethod
    def hide(self, table: Table) -> dict[str, Values]:
        """What the game sees in place of the columns; nothing where it sees them as they are."""

    @abstractmethod
    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        """Settles the columns in `table`, where the sources already have their values."""


# ------------------------------------------------------------------------------------------------------ numbers


class Bounded(Step):
    """A number between bounds that other columns set, seen as its distance from the nearest lower (or upper) one."""

    def __init__(self, column: str, grid: Grid, rules: Sequence[Numeric], fills: dict[str, float]) -> None:
        self.columns, self.grid, self.rules, self.fills = (column,), grid, tuple(rules), fills
        self.sources = tuple(dict.fromkeys(name for rule in rules for name in rule.columns if name != column))
        self.column = column
        sides = [rule.side(column) for rule in rules]
        self.lows = [rule for rule, side in zip(rules, sides, strict=True) if side == "low"]
        self.highs = [rule for rule, side in zip(rules, sides, strict=True) if side == "high"]
        moving = {side: [rule for rule in part if len(rule.columns) > 1] for side, part in self._parts()}
        self.base, self.sign = (moving["low"], 1.0) if moving["low"] else (moving["high"], -1.0)

    @property
    def hide_names(self) -> tuple[str, ...]:
        return self.columns if self.base else ()

    def _parts(self) -> list[tuple[str, list[Numeric]]]:
        return [("low", self.lows), ("high", self.highs)]

    def _anchor(self, table: Table) -> np.ndarray:
        """What the distance is counted from [n]; where no bound is known, from where it usually lies."""
        nearest = np.fmax if self.sign > 0 else np.fmin
        known: np.ndarray = nearest.reduce([rule.bound(self.column, table) for rule in self.base])
        usual = nearest.reduce([rule.bound(self.column, table, self.fills) for rule in self.base])
        unknown = np.isnan(known)
        known[unknown] = usual[unknown]
        return known

    def hide(self, table: Table) -> dict[str, Values]:
        if not self.base:
            return {}
        apart = self.sign * (numbers(table, self.column) - self._anchor(table))
        return {self.column: Numbers(_cleaned(apart, self.column, self.base, self.grid))}

    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        values = numbers(table, self.column)
        if self.base:
            values = self._anchor(table) + self.sign * values
        values = self.grid.nearest(np.clip(values, self.grid.low, self.grid.high))
        for side, rules in self._parts():
            upward = side == "low"
            for rule in rules:
                bounds = rule.bound(self.column, table)
                strict = rule.relation == "<"
                out = values < bounds if upward else values > bounds
                out |= (values == bounds) & strict
                if out.any():
                    values = np.where(out, self.grid.beyond(bounds, strict, upward), values)
        table[self.column] = Numbers(values)


class Computed(Step):
    """A number that the others fix, seen as what it lies beside them where one of them is missing."""

    def __init__(self, column: str, grid: Grid, rule: Numeric, fills: dict[str, float]) -> None:
        self.columns, self.column, self.grid, self.rule, self.fills = (column,), column, grid, rule, fills
        self.sources = tuple(name for name in rule.columns if name != column)

    def hide(self, table: Table) -> dict[str, Values]:
        values = numbers(table, self.column)
        apart = values - self.rule.bound(self.column, table, self.fills)
        apart = _cleaned(apart, self.column, [self.rule], self.grid)
        told = present(table, self.sources) & ~np.isnan(values)
        return {self.column: Numbers(np.where(told, 0.0, apart))}

    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        apart = numbers(table, self.column)
        beside = np.clip(self.rule.bound(self.column, table, self.fills) + apart, self.grid.low, self.grid.high)
        told = present(table, self.sources) & ~np.isnan(apart)
        exact = self.grid.rounded(self.rule.bound(self.column, table))
        table[self.column] = Numbers(np.where(told, exact, self.grid.nearest(beside)))


def _cleaned(apart: np.ndarray, column: str, rules: Sequence[Numeric], grid: Grid) -> np.ndarray:
    """Differences [n] without the noise of subtracting decimals."""
    digits = [rule.digits_beside(column) for rule in rules]
    known = [each for each in digits if each is not None]
    if grid.decimals is None or len(known) < len(rules):
        return apart
    return np.round(apart, max([grid.decimals, *known])) + 0.0


# --------------------------------------------------------------------------------------------------- categories


class Lookup(Step):
    """A column that its keys tell; the game sees whether it is missing, and its value where a key is.

    With `stand_ins`, a key too rare to be kept is seen as one that tells the same, so that the told column keeps its
    shares.
    """

    def __init__(self, rule: Depends, *, stand_ins: bool = False) -> None:
        self.rule, self.column, self.stand_ins = rule, rule.target, stand_ins
        self.columns, self.sources = (rule.target,), rule.keys

    def hide(self, table: Table) -> dict[str, Values]:
        expected, _ = self.rule.expected(table)
        target, items = coded(table[self.column])
        told = (expected >= 0) | present(table, self.rule.keys)
        codes = np.where(told, 0, target)
        # Missing where the keys would say nothing else is told by the keys alone.
        gone = (target == 0) & (expected != 0)
        levels = [AS_TOLD, *(json.dumps(item) for item in items[1:])]
        hidden: dict[str, Values] = {self.column: Texts(np.where(gone, -1, codes).astype(np.int64), levels)}
        keys = table[self.rule.keys[0]]
        rare = (expected < 0) & (target > 0) & ~keys.missing
        if self.stand_ins and rare.any() and isinstance(keys, Texts):
            hidden[self.rule.keys[0]] = self._stand_ins(keys, [items[code] for code in target], np.flatnonzero(rare))
        return hidden

    def _stand_ins(self, keys: Texts, told: Sequence[Item], rows: np.ndarray) -> Texts:
        """The keys, each rare one replaced by a kept one that tells the same: always the same one, as often as seen."""
        kept: dict[Item, list[tuple[str, int]]] = {}
        for (key, value), times in zip(self.rule.entries, self.rule.times, strict=True):
            if value is not None and key[0] is not None:
                kept.setdefault(value, []).append((str(key[0]), times))
        levels = list(keys.levels)
        places = {level: place for place, level in enumerate(levels)}
        codes = keys.codes.copy()
        for row in rows:
            like = kept.get(told[row])
            if like is not None:
                share = crc32(levels[codes[row]].encode("utf-8", "surrogatepass")) / 2**32
                sums = np.cumsum([times for _, times in like])
                chosen = like[int(np.searchsorted(sums, share * sums[-1], side="right"))][0]
                if chosen not in places:
                    places[chosen] = len(levels)
                    levels.append(chosen)
                codes[row] = places[chosen]
        return Texts(codes, levels)

    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        inner = _texts(table[self.column])
        expected, items = self.rule.expected(table)
        items = list(dict.fromkeys([*items, self.rule.commonest, *(own_item(level) for level in inner.levels)]))
        places = {item: place for place, item in enumerate(items)}
        own = np.array([places[own_item(level)] for level in inner.levels], dtype=np.int64)
        # Places of the items that keys tell are those in `expected`: both lists begin alike.
        unknown = np.where(present(table, self.rule.keys), places[self.rule.commonest], np.append(own, 0)[inner.codes])
        as_told = np.append([level == AS_TOLD for level in inner.levels], False)[inner.codes]
        unknown = np.where(as_told, places[self.rule.commonest], unknown)
        codes = np.where(expected >= 0, expected, unknown)
        table[self.column] = from_items(np.where(inner.codes < 0, 0, codes), items, self.rule.as_text)


def _texts(values: Values) -> Texts:
    """The column as texts: one that is missing throughout comes as numbers."""
    return values if isinstance(values, Texts) else Texts(np.full(len(values), -1), [])


def own_item(level: str) -> Item:
    """A level of a looked-up column as the value it stands for; None for "as told"."""
    if level == AS_TOLD:
        return None
    item = json.loads(level)
    return item if isinstance(item, str) else float(item)


class Merged(Step):
    """Several columns as one choice of the combinations seen."""

    def __init__(self, rule: Combination) -> None:
        self.rule, self.columns, self.sources = rule, rule.members, ()
        self.rows = [row for row, _ in rule.entries]
        self.names = [json.dumps(list(row), ensure_ascii=False) for row in self.rows]

    def hide(self, table: Table) -> dict[str, Values]:
        places = {row: place for place, row in enumerate(self.rows)}
        codes, rows = combined([table[name] for name in self.columns])
        found = np.array([places.get(row, -1) for row in rows], dtype=np.int64)
        for place in np.flatnonzero(found < 0):
            found[place] = self._stand_in(rows[place])
        first, *others = self.columns
        nothing = np.full(len(codes), np.nan)
        return {first: Texts(found[codes], list(self.names)), **{name: Numbers(nothing) for name in others}}

    def _stand_in(self, row: tuple[Item, ...]) -> int:
        """The kept combination that shares most members with one too rare to be kept, the commonest of those."""
        shared = [(sum(a == b for a, b in zip(row, kept, strict=True)), times) for kept, times in self.rule.entries]
        return max(range(len(shared)), key=shared.__getitem__)

    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        inner = _texts(table[self.columns[0]])
        places = {name: place for place, name in enumerate(self.names)}
        commonest = max(range(len(self.rows)), key=lambda place: self.rule.entries[place][1])
        found = np.array([*(places.get(level, commonest) for level in inner.levels), commonest], dtype=np.int64)
        codes = found[inner.codes]
        for position, (name, as_text) in enumerate(zip(self.columns, self.rule.texts, strict=True)):
            items = list(dict.fromkeys([None, *(row[position] for row in self.rows)]))
            place = {item: code for code, item in enumerate(items)}
            own = np.array([place[row[position]] for row in self.rows], dtype=np.int64)
            table[name] = from_items(own[codes], items, as_text)


@dataclass(frozen=True)
class Allowed:
    """Which values of a column go with values of others, and how often each was seen beside them."""

    fixed: tuple[str, ...]
    times: dict[tuple[Item, ...], dict[Item, int]]

    @classmethod
    def of(cls, rule: Combination | Depends, target: str, fixed: tuple[str, ...]) -> Allowed:
        """From a constraint's list, over those of its columns that are settled before the target."""
        rows = rule.entries if isinstance(rule, Combination) else [((*key, value), 1) for key, value in rule.entries]
        times: dict[tuple[Item, ...], dict[Item, int]] = {}
        places = [rule.columns.index(name) for name in fixed]
        own = rule.columns.index(target)
        for row, often in rows:
            if row[own] is None:
                continue
            beside = times.setdefault(tuple(row[place] for place in places), {})
            beside[row[own]] = beside.get(row[own], 0) + int(often)
        return cls(fixed, times)


class Chosen(Step):
    """A column seen as it is; a value that may not stand beside the others gives way to one that may."""

    def __init__(self, column: str, as_text: bool, tables: Sequence[Allowed]) -> None:
        self.column, self.columns, self.as_text, self.tables = column, (column,), as_text, tuple(tables)
        self.sources = tuple(dict.fromkeys(name for part in tables for name in part.fixed))

    @property
    def hide_names(self) -> tuple[str, ...]:
        return ()

    def hide(self, table: Table) -> dict[str, Values]:
        return {}

    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        codes, rows = combined([table[self.column], *(table[name] for name in self.sources)])
        wrong = np.array([not self._allowed(row) for row in rows], dtype=bool)
        if not wrong.any():
            return
        target, items = coded(table[self.column])
        for code in np.flatnonzero(wrong):
            weights = self._weights(rows[code])
            places = np.flatnonzero(codes == code)
            if not weights:
                continue
            shares = np.array(list(weights.values()), dtype=np.float64)
            drawn = random.choice(len(shares), size=len(places), p=shares / shares.sum())
            new = list(weights)
            items += [item for item in new if item not in items]
            target[places] = np.array([items.index(item) for item in new])[drawn]
        table[self.column] = from_items(target, items, self.as_text)

    def _beside(self, row: tuple[Item, ...]) -> list[dict[Item, int]]:
        """Per table that has a say about this row, the values that may stand there."""
        values = dict(zip(self.sources, row[1:], strict=True))
        keys = [tuple(values[name] for name in part.fixed) for part in self.tables]
        return [part.times.get(key, {}) for part, key in zip(self.tables, keys, strict=True) if None not in key]

    def _allowed(self, row: tuple[Item, ...]) -> bool:
        return row[0] is None or all(row[0] in beside for beside in self._beside(row))

    def _weights(self, row: tuple[Item, ...]) -> dict[Item, int]:
        first, *others = self._beside(row)
        return {item: times for item, times in first.items() if all(item in beside for beside in others)}


# ----------------------------------------------------------------------------------------------------- presence


class Filled(Step):
    """What must be there is there: where the game left a gap, a value from another generated row takes its place."""

    def __init__(self, rule: Presence, usual: Item) -> None:
        self.rule, self.column, self.usual = rule, rule.target, usual
        self.columns = (rule.target,)
        self.sources = () if rule.other is None else (rule.other,)

    @property
    def hide_names(self) -> tuple[str, ...]:
        return ()

    def hide(self, table: Table) -> dict[str, Values]:
        return {}

    def show(self, table: dict[str, Values], random: np.random.Generator) -> None:
        values, asked = table[self.column], self.rule.asked(table)
        gaps = np.flatnonzero(asked & (values.missing == self.rule.here))
        if not len(gaps):
            return
        if not self.rule.here:
            codes, items = coded(values)
            codes[gaps] = 0
        else:
            donors = np.flatnonzero(asked & ~values.missing)
            donors = donors if len(donors) else np.flatnonzero(~values.missing)
            codes, items = coded(values)
            if len(donors):
                codes[gaps] = codes[random.choice(donors, size=len(gaps))]
            else:
                codes[gaps] = items.index(self.usual) if self.usual in items else len(items)
                items = [*items, self.usual]
        table[self.column] = from_items(codes, items, isinstance(values, Texts))
