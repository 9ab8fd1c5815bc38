"""Constraints that a table seems to keep, proposed as rules: they hold in every row, and chance would have broken them.

`find(table, forms, skip)` -> proposals, strongest kinds first. A proposal names its evidence: in how many rows it would
have been expected to break, had the columns nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from gannet.domains.table_constraint import Grid, Table, coded, count, repeated
from gannet.domains.table_constraint_categories import among_categories
from gannet.domains.table_constraint_evidence import EXPECTED, FEWEST_ROWS, Proposal
from gannet.domains.table_constraint_kinds import numbers
from gannet.domains.table_constraint_rules import quoted
from gannet.domains.table_constraint_sums import sums
from gannet.domains.table_values import Form, Numbers, Texts, Values

SCREENED = 4_000
"""Rows by which candidates are sorted out before all rows are asked."""
MOST_NUMBERS, MOST_COLUMNS = 60, 40
EXPECTED_SHARE = 0.01
"""Of an order, by this share of the rows at least: columns of one mind break it less often than unrelated ones."""
EXPECTED_REPEATS = 200.0
"""Columns are proposed as unique where as many pairs of rows would have been alike."""
CLOSE, CLOSE_SHARE = 0.25, 0.02
"""An order is more than two scales apart where gaps below a quarter of the middle one are 2 % of all, or more."""
FIRST_ROWS = 10_000
MOST_SHOWN = 30

Pair = tuple[np.ndarray, np.ndarray]
"""What is lower and what is higher, float64 [n] each."""


def find(table: Table, forms: Mapping[str, Form], skip: Collection[str] = ()) -> list[Proposal]:
    """Rules that hold in every row of the table; `skip` names columns that are made anew (identifiers)."""
    kept = {name: values for name, values in table.items() if name not in skip}
    total = count(kept) if kept else 0
    if total < FEWEST_ROWS:
        return []
    few = np.unique(np.linspace(0, total - 1, SCREENED).astype(np.int64)) if total > SCREENED else None
    sample = kept if few is None else {name: values.take(few) for name, values in kept.items()}
    grids = _grids(kept, forms)
    found, tied = sums(kept, sample, grids)
    fixed = joined(tied)
    found += _orders(kept, sample, grids, fixed)
    found += among_categories(kept, sample)
    found += _uniques(kept, sample, grids)
    return found[:MOST_SHOWN] + _signs(kept, sample, grids)


def joined(groups: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Groups that share a column as one."""
    out: list[frozenset[str]] = []
    for group in groups:
        meeting = [each for each in out if each & group]
        out = [each for each in out if not each & group] + [group.union(*meeting)]
    return out


def _grids(table: Table, forms: Mapping[str, Form]) -> dict[str, Grid]:
    """The numbers and dates that can be compared: finite, of three values or more, in enough rows."""
    grids: dict[str, Grid] = {}
    for name, values in table.items():
        if not isinstance(values, Numbers) or forms[name].meaning == "boolean" or len(grids) == MOST_NUMBERS:
            continue
        here = values.array[~values.missing]
        if len(here) >= FEWEST_ROWS and np.isfinite(here).all() and here.min() < here.max():
            grids[name] = Grid.of(forms[name], values)
    return grids


# ------------------------------------------------------------------------------------------------------- orders


def order_evidence(low: np.ndarray, high: np.ndarray) -> float:
    """The share of rows [n] in which low > high would be expected, were the two unrelated."""
    return float(1 - np.searchsorted(np.sort(low), high, side="right").mean() / len(low))


def _close(low: np.ndarray, high: np.ndarray, step: float) -> bool:
    """Whether the two come near each other often enough for the order to be more than a difference of scale."""
    gaps = high - low
    return bool((gaps <= max(CLOSE * np.median(gaps), 1.01 * step)).mean() >= CLOSE_SHARE)


def _holds(table: Pair, sample: Pair, step: float) -> float:
    """The evidence for low <= high in all rows where both are there, by a sample; 0 where it is too little."""
    here = ~np.isnan(sample[0]) & ~np.isnan(sample[1])
    low, high = sample[0][here], sample[1][here]
    if len(low) < FEWEST_ROWS or (low > high).any() or (low == high).all():
        return 0.0
    rows = int((~np.isnan(table[0]) & ~np.isnan(table[1])).sum())
    expected = order_evidence(low, high) * rows
    enough = expected >= max(EXPECTED, EXPECTED_SHARE * rows) and _close(low, high, step)
    return expected if enough and not (table[0] > table[1]).any() else 0.0


def _scaled(table: Table, name: str, grid: Grid) -> np.ndarray:
    return numbers(table, name) * (grid.unit or 1)


def _orders(table: Table, sample: Table, grids: Mapping[str, Grid], fixed: Sequence[frozenset[str]]) -> list[Proposal]:
    """a <= b for numbers and dates, chains reduced to neighbours, and sums of parts below a total."""
    pairs: dict[tuple[str, str], float] = {}
    known: set[tuple[str, str]] = set()
    for low, below in grids.items():
        for high, above in grids.items():
            same = low != high and below.family == above.family
            if not same or below.low > above.low or below.high > above.high:
                continue
            if (_scaled(sample, low, below) > _scaled(sample, high, above)).any():
                continue
            if any({low, high} <= together for together in fixed):
                known.add((low, high))
                continue
            step = max(below.step * (below.unit or 1), above.step * (above.unit or 1))
            both, some = ((_scaled(each, low, below), _scaled(each, high, above)) for each in (table, sample))
            expected = _holds(both, some, step)
            if expected:
                pairs[low, high] = expected
    summed = _partial_sums(table, sample, grids, pairs)
    # What follows from two others is not said again.
    known |= set(pairs)
    direct = [
        pair for pair in pairs if not any((pair[0], name) in known and (name, pair[1]) in known for name in grids)
    ]
    parts = {
        (part, whole)
        for whole, (names, _, _) in summed.items()
        for part in names
        if not any(table[name].missing.any() for name in names)
    }
    found = [Proposal(rule, rows, expected) for _, rule, rows, expected in _summed_rules(summed)]
    return found + [_order(table, grids, *pair, pairs[pair]) for pair in direct if pair not in parts]


def _order(table: Table, grids: Mapping[str, Grid], low: str, high: str, expected: float) -> Proposal:
    gaps = _scaled(table, high, grids[high]) - _scaled(table, low, grids[low])
    gaps = gaps[~np.isnan(gaps)]
    step = max(grids[low].step * (grids[low].unit or 1), grids[high].step * (grids[high].unit or 1))
    # Never equal, though often one step apart: equality would have been seen.
    strict = step > 0 and gaps.min() > 0 and int((gaps < 1.5 * step).sum()) >= 5
    return Proposal(f"{quoted(low)} {'<' if strict else '<='} {quoted(high)}", len(gaps), expected)


def _partial_sums(
    table: Table, sample: Table, grids: Mapping[str, Grid], pairs: Mapping[tuple[str, str], float]
) -> dict[str, tuple[list[str], int, float]]:
    """For each whole, parts that together stay below it: each of them beside what the others leave."""
    found: dict[str, tuple[list[str], int, float]] = {}
    for whole in grids:
        first = [low for low, high in pairs if high == whole and grids[low].low >= 0 and grids[low].unit is None]
        if not first:
            continue
        others = [name for name in grids if grids[name].low >= 0 and grids[name].unit is None and name not in first]
        parts = sorted(first, key=lambda part: -pairs[part, whole]) + [name for name in others if name != whole]
        left, some = numbers(table, whole), numbers(sample, whole)
        chosen, least = list[str](), np.inf
        for part in parts:
            # That the first part comes near the whole is enough: what is left may well be a fee of some size.
            pair, pair_of_some = (numbers(table, part), left), (numbers(sample, part), some)
            expected = _holds(pair, pair_of_some, np.inf)
            if expected:
                chosen.append(part)
                left, some = np.round(left - pair[0], 9), np.round(some - pair_of_some[0], 9)
                least = min(least, expected)
        if len(chosen) > 1:
            found[whole] = (chosen, int((~np.isnan(left)).sum()), least)
    return found


def _summed_rules(
    summed: Mapping[str, tuple[list[str], int, float]],
) -> list[tuple[str, str, int, float]]:
    return [
        (whole, f"{' + '.join(map(quoted, parts))} <= {quoted(whole)}", rows, expected)
        for whole, (parts, rows, expected) in summed.items()
    ]


# ------------------------------------------------------------------------------------------ uniqueness and signs


def _uniques(table: Table, sample: Table, grids: Mapping[str, Grid]) -> list[Proposal]:
    """Whole numbers without repeats, and pairs of columns without, where repeats would have been expected."""
    total = count(table)
    # A fraction is hardly ever part of a key.
    keys = [
        name
        for name, values in table.items()
        if not values.missing.any() and (isinstance(values, Texts) or (name in grids and grids[name].decimals == 0))
    ]
    found, alone = [], set()
    for name in keys:
        if name in grids and grids[name].unit is None:
            grid = grids[name]
            expected = total**2 / 2 * grid.step / (grid.high - grid.low + grid.step)
            if expected >= EXPECTED_REPEATS and _is_unique(table, (name,)):
                found.append(Proposal(f"unique({quoted(name)})", total, expected))
                alone.add(name)
    repeats = {name: _repeats(sample[name]) for name in keys if name not in alone}
    names = [name for name, chance in repeats.items() if 0 < chance < 0.5][:MOST_COLUMNS]
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            expected = total**2 / 2 * repeats[first] * repeats[second]
            if expected >= EXPECTED_REPEATS and _is_unique(table, (first, second)):
                found.append(Proposal(f"unique({quoted(first)}, {quoted(second)})", total, expected))
    return found


def _repeats(values: Values) -> float:
    """The chance that two rows hold the same value."""
    times = np.unique(coded(values)[0], return_counts=True)[1].astype(np.float64)
    return float((times * (times - 1)).sum() / (len(values) * (len(values) - 1)))


def _is_unique(table: Table, names: tuple[str, ...]) -> bool:
    """Whether no two rows are alike; the first rows mostly tell."""
    total = count(table)
    for rows in (FIRST_ROWS, 10 * FIRST_ROWS, total):
        first = np.arange(min(rows, total))
        if repeated([table[name].take(first) for name in names]).any():
            return False
        if rows >= total:
            break
    return True


def _signs(table: Table, sample: Table, grids: Mapping[str, Grid]) -> list[Proposal]:
    """One line for all numbers that come near zero and never below."""
    found = []
    for rule, strict in ((">= 0", False), ("> 0", True)):
        names = []
        for name, grid in grids.items():
            middle = float(np.nanmedian(numbers(sample, name)))
            near = grid.low == 0 if not strict else 0 < grid.low <= 0.1 * middle
            if grid.unit is None and near and (grid.high - grid.low) > 1.5 * grid.step:
                names.append(name)
        if names:
            found.append(Proposal(f"{', '.join(map(quoted, names))} {rule}", count(table), 0.0))
    return found
