"""Constraints found among categories: what follows from what, pairs that never meet, gaps that go with a value.

`among_categories(table, sample)` -> proposals; the sample sorts out candidates, every row has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gannet.domains.table_constraint import Item, Table, coded, count
from gannet.domains.table_constraint_evidence import EXPECTED, FEWEST_ROWS, Proposal
from gannet.domains.table_constraint_rules import quoted
from gannet.domains.table_values import Texts

MOST_CATEGORIES = 40
MOST_KEY_LEVELS, ROWS_PER_KEY = 1_000, 5
MOST_COMBINED_LEVELS, FEW_VALUES = 30, 30
MUCH_RARER = 0.1
"""Where a combination that occurs is rarer than this share of the expected, those that do not may be mere chance."""


@dataclass(frozen=True)
class Category:
    """A column of few values as codes [n], 0 where missing, and the values that occur."""

    name: str
    codes: np.ndarray
    items: list[Item]
    sample: np.ndarray
    """The codes of the rows by which candidates are sorted out."""

    @property
    def levels(self) -> int:
        """How many different values stand in the column."""
        return len(self.items) - 1


Told = dict[tuple[str, str], Proposal]


def among_categories(table: Table, sample: Table) -> list[Proposal]:
    """Every constraint found among the columns of few values."""
    total, few = count(table), count(sample)
    rows = None if few == total else np.unique(np.linspace(0, total - 1, few).astype(np.int64))
    categories = _categories(table, rows)
    told = _told(categories)
    found = [told[pair] for pair in _direct(told, categories)]
    found += _presences(table, categories, told)
    return found + _combinations(categories, told)


def _categories(table: Table, rows: np.ndarray | None) -> list[Category]:
    """Columns of few enough values to be told by others, or to tell them."""
    found: list[Category] = []
    for name, values in table.items():
        few = np.unique(coded(values if rows is None else values.take(rows))[0])
        if len(few) > MOST_KEY_LEVELS:
            continue
        codes, items = coded(values)
        times = np.bincount(codes, minlength=len(items))
        used = np.flatnonzero(times[1:]) + 1
        if not 2 <= len(used) <= MOST_KEY_LEVELS or len(used) * ROWS_PER_KEY > len(codes):
            continue
        whole = isinstance(values, Texts) or len(used) <= FEW_VALUES
        if whole or all(float(item or 0) % 1 == 0 for item in items):
            place = np.zeros(len(items), dtype=np.int64)
            place[used] = np.arange(1, len(used) + 1)
            codes = place[codes]
            kept: list[Item] = [None, *(items[each] for each in used)]
            found.append(Category(name, codes, kept, codes if rows is None else codes[rows]))
    return found[:MOST_CATEGORIES]


# --------------------------------------------------------------------------------------------- what follows from what


def _fixes(key: np.ndarray, target: np.ndarray, width: int) -> bool:
    """Whether each code of the key stands beside one code of the target, where neither is missing."""
    here = (key > 0) & (target > 0)
    pairs = np.unique(key[here] * width + target[here])
    return len(pairs) > 0 and len(np.unique(pairs // width)) == len(pairs)


def _told(categories: Sequence[Category]) -> Told:
    """What one column tells of another."""
    told: Told = {}
    for key in categories:
        for target in categories:
            width = len(target.items)
            if key is target or target.levels > key.levels or not _fixes(key.sample, target.sample, width):
                continue
            if not _fixes(key.codes, target.codes, width):
                continue
            here = (key.codes > 0) & (target.codes > 0)
            times = np.bincount(target.codes[here], minlength=width)
            rows, keys = int(here.sum()), len(np.unique(key.codes[here]))
            expected = (rows - keys) * (1 - float(((times / rows) ** 2).sum()))
            if expected >= EXPECTED:
                told[key.name, target.name] = Proposal(f"{quoted(key.name)} -> {quoted(target.name)}", rows, expected)
    return told


def _direct(told: Told, categories: Sequence[Category]) -> list[tuple[str, str]]:
    """Pairs that do not follow from two others; of columns that tell each other, the first tells the rest."""
    names = [category.name for category in categories]
    first = {
        name: next(each for each in names if each == name or ((each, name) in told and (name, each) in told))
        for name in names
    }
    heads = {(key, target) for key, target in told if first[key] == key and first[target] == target}
    direct = {
        (key, target)
        for key, target in heads
        if not any((key, each) in heads and (each, target) in heads for each in names)
    }
    return [pair for pair in told if pair in direct or (first[pair[1]] == pair[0] and pair[0] != pair[1])]


# ----------------------------------------------------------------------------------------------- pairs that never meet


def _crossed(first: Category, second: Category) -> np.ndarray:
    """How often each level of one stands beside each of the other [levels, levels]."""
    here = (first.codes > 0) & (second.codes > 0)
    flat = (first.codes[here] - 1) * second.levels + second.codes[here] - 1
    return np.bincount(flat, minlength=first.levels * second.levels).reshape(first.levels, second.levels)


def _combinations(categories: Sequence[Category], told: Told) -> list[Proposal]:
    """Pairs of which some combinations never occur, though each would be expected in many rows."""
    small = [category for category in categories if category.levels <= MOST_COMBINED_LEVELS]
    found: list[tuple[float, str, str, int, np.ndarray]] = []
    kept: dict[tuple[str, str], np.ndarray] = {}
    for place, first in enumerate(small):
        for second in small[place + 1 :]:
            follows = (first.name, second.name) in told or (second.name, first.name) in told
            pairs = np.unique(first.sample * len(second.items) + second.sample)
            if not follows and len(pairs) >= len(first.items) * len(second.items):
                continue
            times = _crossed(first, second)
            if follows:
                kept[first.name, second.name], kept[second.name, first.name] = times > 0, times.T > 0
                continue
            usual = np.outer(times.sum(1), times.sum(0)) / max(times.sum(), 1)
            never = times == 0
            sharp = never.any() and not ((times < MUCH_RARER * usual) & ~never & (usual >= EXPECTED)).any()
            if sharp and usual[never].min() >= EXPECTED:
                found.append((float(usual[never].sum()), first.name, second.name, int(times.sum()), ~never))
    # Ties are rounded away, so that the first column of a group is what the others are said to go with.
    found.sort(key=lambda each: -round(np.log(each[0]), 2))
    proposals = []
    for expected, one, other, rows, seen in found:
        if rows >= FEWEST_ROWS and not _follows(kept, one, other, seen):
            proposals.append(Proposal(f"combinations({quoted(one)}, {quoted(other)})", rows, expected))
        kept[one, other], kept[other, one] = seen, seen.T
    return proposals


def _follows(kept: Mapping[tuple[str, str], np.ndarray], first: str, second: str, seen: np.ndarray) -> bool:
    """Whether two pairs already known leave no other combinations than those seen."""
    middles = {pair[1] for pair in kept if pair[0] == first} & {pair[0] for pair in kept if pair[1] == second}
    return any(bool((kept[first, each] @ kept[each, second] == seen).all()) for each in middles)


# ------------------------------------------------------------------------------------------- gaps that go with a value


def _presences(table: Table, categories: Sequence[Category], told: Told) -> list[Proposal]:
    """Columns that are missing together, and columns missing exactly where another has one certain value."""
    total = count(table)
    gaps = {name: values.missing for name, values in table.items()}
    some = [name for name, missing in gaps.items() if EXPECTED <= missing.sum() <= total - EXPECTED][:MOST_CATEGORIES]
    found: list[Proposal] = []
    for place, name in enumerate(some):
        missing, share = gaps[name], float(gaps[name].mean())
        expected = total * share * (1 - share)
        twin = next((each for each in some[:place] if (gaps[each] == missing).all()), None)
        if twin is not None:
            if (twin, name) not in told and (name, twin) not in told:
                found.append(Proposal(f"{quoted(name)} missing if {quoted(twin)} missing", total, expected))
                found.append(Proposal(f"{quoted(name)} present if {quoted(twin)}", total, expected))
            continue
        for other in categories:
            level = _gap_level(other, missing) if other.name != name else None
            if level is not None:
                found.append(Proposal(f"{quoted(name)} missing if {quoted(other.name)} = {level}", total, expected))
                found.append(Proposal(f"{quoted(name)} present if {quoted(other.name)} != {level}", total, expected))
                break
    return found


def _gap_level(other: Category, missing: np.ndarray) -> str | None:
    """The one value beside which all is missing, as a rule takes it; None where gaps have another reason."""
    codes = np.unique(other.codes[missing])
    if len(codes) != 1 or codes[0] == 0 or not missing[other.codes == codes[0]].all():
        return None
    item = other.items[codes[0]]
    if isinstance(item, str):
        return quoted(item)
    return f"{item:g}"
