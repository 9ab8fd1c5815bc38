"""Long tables taken apart: whose each row is, in which order, what stays the same in a series, and pieces of long ones.

`long_panel(columns, entity=..., time=...)` makes a panel of a table whose columns are known, as samples are written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gannet.domains.series_panel import Named, Panel
from gannet.domains.table_values import Numbers, Texts, Values
from gannet.errors import GannetError


def long_panel(columns: Sequence[Named], *, entity: str, time: str, constants: set[str], made_up: set[str]) -> Panel:
    """The panel of a long table; `made_up` are those of entity and time that only number the series and steps."""
    known = {column.name: column for column in columns}
    rows, first, last = in_order(codes_of(known[entity], "the series"), known[time])
    for name in constants:
        column = known[name].take(rows)
        if not stays(column.values, first, last) and (last - first).max() > 1:
            raise GannetError(f"column {name!r} changes within a series, but stayed the same in training")
    kept = [column for column in columns if column.name not in (entity, time)]
    return Panel(
        first,
        last,
        tuple(column.take(rows) for column in kept if column.name not in constants),
        tuple(column.take(rows[first]) for column in kept if column.name in constants),
        None if entity in made_up else known[entity].take(rows[first]),
        None if time in made_up else known[time].take(rows),
    )


def in_order(codes: np.ndarray, time: Named | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows by series and time, and where each series begins and ends among them."""
    keys = [codes]
    if time is not None:
        assert isinstance(time.values, Numbers)
        keys = [time.values.array, codes]
    rows = np.lexsort(keys)
    first = np.flatnonzero(np.r_[True, np.diff(codes[rows]) > 0])
    return rows, first, np.r_[first[1:], len(codes)]


def codes_of(entity: Named, where: str) -> np.ndarray:
    """Whose each row is [rows], numbered by first appearance."""
    gone = int(entity.values.missing.sum())
    if gone:
        raise GannetError(f"entity: {gone:,} rows of {where} have no {entity.name!r}; complete or remove them")
    values: Values = entity.values
    plain = values.codes if isinstance(values, Texts) else values.array
    _, places, codes = np.unique(plain, return_index=True, return_inverse=True)
    rank = np.empty(len(places), dtype=np.int64)
    rank[np.argsort(places)] = np.arange(len(places))
    return rank[codes]


def stays(values: Values, first: np.ndarray, last: np.ndarray) -> bool:
    """Whether a column has one value within every series; not said of series of one step alone."""
    plain = values.codes if isinstance(values, Texts) else values.array
    before, after = plain[:-1], plain[1:]
    changes = before != after
    if isinstance(values, Numbers):
        changes &= ~(np.isnan(before) & np.isnan(after))
    inside = np.ones(len(plain) - 1, dtype=bool)
    inside[last[:-1] - 1] = False
    return bool(inside.any() and not changes[inside].any())


def pieces(first: np.ndarray, last: np.ndarray, length: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Begin, end and owner of pieces of at most `length` steps; a rest shorter than half of it is left out."""
    begin, end, owner = [], [], []
    for index, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if stop - start <= length:
            cuts = [(start, stop)]
        else:
            starts = range(start, stop - (length + 1) // 2 + 1, stride)
            cuts = [(place, min(place + length, stop)) for place in starts]
        begin += [piece[0] for piece in cuts]
        end += [piece[1] for piece in cuts]
        owner += [index] * len(cuts)
    return np.array(begin), np.array(end), np.array(owner)


def repeats(time: Named, begin: np.ndarray, end: np.ndarray) -> bool:
    """Whether two steps of one series share their time."""
    assert isinstance(time.values, Numbers)
    same = np.r_[False, np.diff(time.values.array) == 0]
    same[begin] = False
    return bool(same.any())


def span_of(lengths: np.ndarray) -> str:
    """From the fewest to the most steps, in words."""
    low, high = int(lengths.min()), int(lengths.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
