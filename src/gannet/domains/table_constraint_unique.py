"""Rows told apart: where columns must be unique, repeats move to the nearest values nobody holds.

Numbers step to the nearest free multiple of their step (beyond the largest seen where the span is full), categories to
the commonest free level. `separate(table, rule, names, others, grids, random)` changes the table in place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from gannet.domains.table_constraint import Constraint, Grid, Item, coded, combined, count, from_items
from gannet.domains.table_constraint_kinds import Combination, Depends, Linear, Product, Unique, numbers
from gannet.domains.table_values import Numbers, Texts, Values
from gannet.errors import GannetError

NEAR = 32
"""So many steps to either side are tried before a number is put into the nearest gap of all."""
MOST_PLACES = 20_000_000
DRAWS, MOST_LEVELS = 60, 500


def adjustable(rule: Unique, others: Sequence[Constraint], asked: Collection[str]) -> list[str]:
    """The columns whose values may change to tell rows apart: those no list, sum or condition fixes."""
    fixed = set(asked)
    for other in others:
        if isinstance(other, Depends | Combination | Product) or (isinstance(other, Linear) and other.relation == "="):
            fixed |= set(other.columns)
    return [name for name in rule.members if name not in fixed]


def separate(
    table: dict[str, Values],
    rule: Unique,
    names: Sequence[str],
    others: Sequence[Constraint],
    grids: Mapping[str, Grid],
    random: np.random.Generator,
    *,
    strict: bool,
) -> None:
    """Change repeats, in place, until no two rows are alike; the other constraints stay met.

    Raises GannetError where some repeats find no place; leaves them as they are unless `strict`.
    """
    rows = np.flatnonzero(rule.broken(table))
    if not len(rows):
        return
    ordered = sorted(names, key=lambda name: (name not in grids, grids[name].step if name in grids else 0.0))
    for name in ordered:
        for make in _makers(table, rule, name, grids.get(name), random):
            rows = _take(table, rule, name, rows, make(rows), others)
            if not len(rows):
                return
    if strict:
        total = count(table)
        raise GannetError(
            f"constraint {rule.rule!r}: of {total:,} rows only {total - len(rows):,} can be different in "
            f"{', '.join(rule.members)}; ask for fewer rows, or train without the constraint"
        )


Maker = Callable[[np.ndarray], Values]
"""Rows that still repeat -> one candidate each, missing where there is none."""


def _makers(
    table: dict[str, Values], rule: Unique, name: str, grid: Grid | None, random: np.random.Generator
) -> Iterator[Maker]:
    """Ways to find candidates, the smallest changes first."""
    alone = len(rule.members) == 1
    if grid is None:
        yield from _levels(table[name], alone)
        return
    step = grid.step or max((grid.high - grid.low) * 1e-6, abs(grid.high) * 1e-12, 1e-12)
    for away in range(1, NEAR + 1):
        for moved in (away * step, -away * step):
            yield lambda rows, moved=moved: _within(numbers(table, name)[rows] + moved, grid)  # type: ignore[misc]
    if alone and grid.step and (grid.high - grid.low) / step <= MOST_PLACES:
        yield lambda rows: _gaps(numbers(table, name), rows, grid)
    else:
        for _ in range(DRAWS):
            yield lambda rows: _within(random.uniform(grid.low, grid.high, len(rows)), grid)
    yield lambda rows: Numbers(
        grid.nearest(max(grid.high, np.nanmax(numbers(table, name))) + step * np.arange(1, len(rows) + 1))
    )


def _within(values: np.ndarray, grid: Grid) -> Numbers:
    values = grid.nearest(values)
    return Numbers(np.where((values >= grid.low) & (values <= grid.high), values, np.nan))


def _gaps(values: np.ndarray, rows: np.ndarray, grid: Grid) -> Numbers:
    """Free multiples of the step between the smallest and the largest value, each row the next one upwards."""
    places = grid.nearest(grid.low + grid.step * np.arange(round((grid.high - grid.low) / grid.step) + 1))
    free = places[~np.isin(places, values)]
    out = np.full(len(rows), np.nan)
    order = np.argsort(values[rows], kind="stable")[: len(free)]
    steps = np.arange(len(order))
    nearest = np.searchsorted(free, values[rows[order]])
    nearest = np.maximum.accumulate(nearest - steps) + steps
    out[order] = free[np.minimum(nearest, len(free) - len(order) + steps)] if len(order) else out[order]
    return Numbers(out)


def _levels(values: Values, alone: bool) -> Iterator[Maker]:
    codes, items = coded(values)
    times = np.bincount(codes, minlength=len(items))
    as_text = isinstance(values, Texts)
    if alone:
        unused = [place for place in range(1, len(items)) if not times[place]]

        def hand_out(rows: np.ndarray) -> Values:
            given = np.zeros(len(rows), dtype=np.int64)
            given[: len(unused)] = unused[: len(rows)]
            return from_items(given, items, as_text)

        yield hand_out
        return
    for place in np.argsort(-times[1:], kind="stable")[:MOST_LEVELS] + 1:
        yield lambda rows, place=place: from_items(np.full(len(rows), place), items, as_text)  # type: ignore[misc]


def _take(
    table: dict[str, Values],
    rule: Unique,
    name: str,
    rows: np.ndarray,
    candidates: Values,
    others: Sequence[Constraint],
) -> np.ndarray:
    """Give the rows their candidates where those are free and break nothing; the rows that still repeat."""
    before = table[name]
    trial = dict(table)
    trial[name] = _put(before, rows, candidates)
    good = ~candidates.missing
    subset = {each: values.take(rows) for each, values in trial.items()}
    for other in others:
        if name in other.columns:
            good &= ~other.broken(subset)
    # Rows that keep their own value come first, so that nobody takes it from them.
    codes, _ = combined([trial[each] for each in rule.members])
    settled = np.ones(len(codes), dtype=bool)
    settled[rows] = False
    held = np.zeros(int(codes.max()) + 1, dtype=bool)
    held[codes[settled]] = True
    own = codes[rows]
    first = np.zeros(len(rows), dtype=bool)
    usable = np.flatnonzero(good & ~held[own])
    first[usable[np.unique(own[usable], return_index=True)[1]]] = True
    table[name] = _put(before, rows[first], candidates.take(np.flatnonzero(first)))
    return rows[~first]


def _put(values: Values, rows: np.ndarray, new: Values) -> Values:
    """The column with other values in some rows."""
    if isinstance(values, Numbers):
        array = values.array.copy()
        assert isinstance(new, Numbers)
        array[rows] = new.array
        return Numbers(array)
    codes, items = coded(values)
    fresh, others = coded(new)
    places: dict[Item, int] = {item: place for place, item in enumerate(items)}
    for item in others:
        if item not in places:
            places[item] = len(items)
            items.append(item)
    codes[rows] = np.array([places[item] for item in others], dtype=np.int64)[fresh]
    return from_items(codes, items, True)
