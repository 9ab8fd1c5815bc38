"""How real a table is: single columns, all pairs, and random groups of columns, in shares of rows that are right.

Written from the definitions: Kolmogorov-Smirnov and total variation distances, Spearman's correlation, Wasserstein's
distance; missing values count as a level, bins are those of the real rows. `table_fidelity(real, generated, ...)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from gannet.metrics.answer import Better, Figure, Table
from gannet.metrics.intervals import folds_of, left_out_error, within
from gannet.metrics.sliced_wasserstein import wasserstein

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

PAIR_BINS, MOST_PAIRS = 10, 2_000
GROUP_BINS = {3: 5, 6: 2}
"""Columns in a group, and bins a column then gets: the cells must stay fewer than the rows."""
MOST_GROUPS = 60
SHOWN_COLUMNS, SHOWN_PAIRS = 40, 10
OUTSIDE = 3
"""Cells of a number column that are no bin: missing, below and above all real values."""

MEANINGS: dict[str, tuple[Better, str]] = {
    "column shapes": (
        "higher",
        "share of the rows that each column on its own has right, on average; blind to how columns go together.",
    ),
    "largest column shift": (
        "lower",
        "the worst number column: how far its values would have to move, where 1 is as far as a constant would.",
    ),
    "pair trends": ("higher", "share of the rows that two columns together have right, averaged over the pairs."),
    "rank correlations": ("lower", "how far rank correlations between numbers lie from the real ones, on average."),
    "groups of 3 columns": ("higher", "share of the rows that three columns together have right, in coarse cells."),
    "groups of 6 columns": ("higher", "share of the rows that six columns together have right, in coarser cells."),
}


# ------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True)
class Column:
    """One column of several frames in one coding: numbers (dates too), or codes of levels."""

    name: str
    values: tuple[Array, ...]
    """One array [n] a frame: float64 with NaN where missing, or int64 codes with -1 where missing."""
    levels: tuple[str, ...] | None = None
    """None for numbers; otherwise the levels of the real frames, most frequent first, then those found elsewhere."""
    real_levels: int = 0

    def missing(self, frame: int) -> Array:
        """True [n] where the frame has no value."""
        return np.isnan(self.values[frame]) if self.levels is None else self.values[frame] < 0


def read_columns(frames: Sequence[Any], *, real: int, without: Sequence[str] = ()) -> list[Column]:
    """The columns of pandas frames of one table, the first `real` frames being real; `without` some by name.

    Numbers, moments and spans of time become numbers; all else becomes levels by the text it prints as. Infinite
    numbers count as missing.
    """
    names = [name for name in frames[0].columns if str(name) not in without]
    return [_read(str(name), [frame[name] for frame in frames], real) for name in names]


def _read(name: str, parts: list[Any], real: int) -> Column:
    kinds = {kind for part in parts if (kind := _kind(part)) is not None}
    if len(kinds) == 1 and "level" not in kinds:
        return Column(name, tuple(_numbers(part) for part in parts))
    texts = [[None if gone else _text(value) for value, gone in zip(part, part.isna(), strict=True)] for part in parts]
    counts: dict[str, int] = {}
    for text in (text for part in texts[:real] for text in part if text is not None):
        counts[text] = counts.get(text, 0) + 1
    known = sorted(counts, key=lambda text: (-counts[text], text))
    new = sorted({text for part in texts[real:] for text in part if text is not None} - counts.keys())
    codes: dict[str | None, int] = {None: -1} | {text: code for code, text in enumerate([*known, *new])}
    values = tuple(np.array([codes[text] for text in part], dtype=np.int64) for part in texts)
    return Column(name, values, (*known, *new), len(known))


def _kind(part: Any) -> Literal["number", "moment", "span", "level"] | None:
    """What a pandas series holds; None when nothing is there, which fits with everything."""
    if bool(part.isna().all()):
        return None
    if part.dtype.name == "object":
        plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in part.dropna())
        return "number" if plain else "level"
    kinds: dict[str, Literal["number", "moment", "span"]] = {"i": "number", "u": "number", "f": "number"}
    kinds |= {"M": "moment", "m": "span"}
    return kinds.get(part.dtype.kind, "level")


def _numbers(part: Any) -> Array:
    gone = part.isna().to_numpy(dtype=bool)
    out = np.full(len(part), np.nan)
    present = part[~gone]
    if len(present) and part.dtype.kind in "Mm":
        unit = "datetime64[us]" if part.dtype.kind == "M" else "timedelta64[us]"
        out[~gone] = present.to_numpy(dtype=unit).astype(np.int64)
    elif len(present):
        out[~gone] = present.to_numpy(dtype=np.float64)
    out[np.isinf(out)] = np.nan
    return out


def _text(value: Any) -> str:
    """1 and 1.0 are one level: a frame may hold either, depending on whether anything is missing."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def cells(column: Column, bins: int) -> tuple[list[Array], int]:
    """Every frame's values of a column as cells [n] int64, and how many cells there are; bins are those of frame 0.

    Numbers: a value that fills a bin alone is its own cell, the rest get bins of equal frequency; missing, and beyond
    the real range on either side, are cells as well, so that a scale or shift cannot hide in the outermost bin.
    Levels: the `bins` most frequent, all other real ones together, unknown ones together, missing.
    """
    if column.levels is not None:
        table = np.minimum(np.arange(len(column.levels)), bins) + 1
        table[column.real_levels :] = bins + 2
        table = np.append(table, 0)
        return [table[values] for values in column.values], bins + 3
    real = column.values[0][~column.missing(0)]
    distinct, counts = np.unique(real, return_counts=True)
    alone = counts * bins >= max(len(real), 1)
    rest = np.sort(real[~np.isin(real, distinct[alone])])
    parts = max(2, round(bins * len(rest) / max(len(real), 1)))
    # A bin ends at an observed value, so that no rounding of an interpolated quantile decides where a value falls.
    edges = np.unique(rest[(np.arange(1, parts) * len(rest)) // parts - 1]) if len(rest) else rest

    def found(values: Array) -> Array:
        out = OUTSIDE + np.searchsorted(edges, values, "left")
        for place, atom in enumerate(distinct[alone]):
            out[values == atom] = OUTSIDE + len(edges) + 1 + place
        if len(real):
            out[values < distinct[0]], out[values > distinct[-1]] = 1, 2
        out[np.isnan(values)] = 0
        return out

    return [found(values) for values in column.values], OUTSIDE + len(edges) + 1 + int(alone.sum())


# ----------------------------------------------------------------------------------------------------- distances


def shape_distance(real: Array, other: Array) -> float:
    """Kolmogorov-Smirnov distance of numbers [n] and [m], NaN where missing; 0 = equally distributed, 1 = disjoint.

    The largest difference in frequency over the events "at most x" and "at most x, or missing": without missing values
    the usual distance, and with none but missing ones the difference in their share.
    """
    here, there = np.sort(real[~np.isnan(real)]), np.sort(other[~np.isnan(other)])
    grid = np.unique(np.concatenate([here, there]))
    below = np.searchsorted(here, grid, "right") / len(real) - np.searchsorted(there, grid, "right") / len(other)
    gone = (len(real) - len(here)) / len(real) - (len(other) - len(there)) / len(other)
    return float(max(np.abs(np.concatenate([below, below + gone, [gone]]))))


def joint_distance(real: Array, other: Array, size: int) -> float:
    """Total variation between the cells [n] and [m] of two sets, of `size` cells: half the summed differences."""
    here, there = np.bincount(real, minlength=size) / len(real), np.bincount(other, minlength=size) / len(other)
    return float(np.abs(here - there).sum() / 2)


def column_shift(real: Array, other: Array) -> float | None:
    """Wasserstein-1 distance between the values present, in mean deviations of the real ones from their median.

    So 1 is the distance of a constant at the median. Unlike a distance of shapes it grows with the scale: a column of
    nine zeros in ten, scaled by 50, keeps nine tenths of its shape. None where a side has no values; of a constant
    column, the share of values that differ from it.
    """
    real, other = real[~np.isnan(real)], other[~np.isnan(other)]
    if not len(real) or not len(other):
        return None
    middle = np.median(real)
    # Divided by the largest number, so that the sums of very large ones stay finite.
    largest = max(float(np.abs(real).max()), float(np.abs(other).max())) or 1.0
    spread = float(np.abs(real / largest - middle / largest).mean())
    if spread == 0:
        return float((other != middle).mean())
    left, right = (torch.from_numpy(values / largest)[:, None] for values in (real, other))
    return float(wasserstein(left, right)) / spread


def rank_correlations(values: Array) -> Array:
    """Spearman's correlations [c, c] between columns [n, c], over the rows where both have a value.

    Ranks (ties share theirs) are those among all present values of a column. 0 where a column does not vary.
    """
    present = ~np.isnan(values)
    ranks = np.stack([_ranks(column) for column in values.T], 1) if values.shape[1] else values
    mask = present.astype(np.float64)
    counts = np.maximum(mask.T @ mask, 1)
    sums = ranks.T @ mask / counts
    squares = ranks.T**2 @ mask / counts - sums**2
    products = ranks.T @ ranks / counts - sums * sums.T
    scale = np.sqrt(np.maximum(squares * squares.T, 0))
    return np.where(scale > 1e-9, products / np.where(scale > 1e-9, scale, 1), 0.0)


def _ranks(column: Array) -> Array:
    """Average ranks [n], scaled to -1/2..1/2; 0 where missing."""
    present = ~np.isnan(column)
    out = np.zeros(len(column))
    if present.any():
        _, place, counts = np.unique(column[present], return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        out[present] = ((last - (counts - 1) / 2)[place] - (len(place) + 1) / 2) / len(place)
    return out


# ------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class TableFidelity:
    """The figures of a table, the columns and pairs they come from, and what to beware of."""

    figures: list[Figure]
    tables: list[Table]
    notes: list[str]
    worst_column: str | None
    """The column that lies furthest from the real one beside real rows in its place; None without columns."""


@dataclass(frozen=True)
class _Coded:
    """Everything that is compared, for all frames: columns, their cells by number of bins, pairs and groups."""

    columns: list[Column]
    coded: dict[int, list[tuple[list[Array], int]]]
    """Bins -> for each column, the cells of each frame and how many there are."""
    pairs: list[tuple[int, int]]
    groups: dict[int, list[tuple[int, ...]]]

    def scores(self, frame: int, left_out: tuple[int, int] | None = None) -> dict[str, list[float]]:
        """Every single score of one frame against frame 0, by figure; without one part of (which, how many) parts."""
        real, other = (_kept(len(self.columns[0].values[each]), left_out) for each in (0, frame))
        shapes, shifts = [], []
        for column in self.columns:
            here, there = column.values[0][real], column.values[frame][other]
            if column.levels is None:
                shapes.append(1 - shape_distance(here, there))
                shift = column_shift(here, there)
                shifts.append(float("nan") if shift is None else shift)
            else:
                shapes.append(1 - joint_distance(here + 1, there + 1, len(column.levels) + 1))
                shifts.append(float("nan"))
        scores = {"column shapes": shapes, "largest column shift": shifts}
        scores["pair trends"] = [self._joint(PAIR_BINS, pair, frame, real, other) for pair in self.pairs]
        numbers = [column for column in self.columns if column.levels is None]
        if len(numbers) > 1:
            first, second = (
                rank_correlations(np.stack([column.values[each][rows] for column in numbers], 1))
                for each, rows in ((0, real), (frame, other))
            )
            scores["rank correlations"] = np.abs(first - second)[np.triu_indices(len(numbers), 1)].tolist()
        for size, groups in self.groups.items():
            name = f"groups of {size} columns"
            scores[name] = [self._joint(GROUP_BINS[size], group, frame, real, other) for group in groups]
        return scores

    def _joint(self, bins: int, group: tuple[int, ...], frame: int, real: Array, other: Array) -> float:
        """The complement of the total variation between the joint cells of a group of columns."""
        here, there, size = np.zeros(1, np.int64), np.zeros(1, np.int64), 1
        for column in group:
            found, width = self.coded[bins][column]
            here, there, size = here * width + found[0][real], there * width + found[frame][other], size * width
        return 1 - joint_distance(here, there, size)


def _kept(count: int, left_out: tuple[int, int] | None) -> Array:
    rows = np.arange(count)
    return rows if left_out is None else rows[rows % left_out[1] != left_out[0]]


def table_fidelity(
    real: Any,
    generated: Any,
    stand_in: Any,
    floor: Any,
    *,
    random: np.random.Generator,
    without: Sequence[str] = (),
) -> TableFidelity:
    """Judge generated rows by real ones; all four are pandas frames of the same columns and, best, the same count.

    `stand_in`: other real rows, in the generated ones' place (the ceiling). `floor`: rows whose columns were shuffled.
    `without`: columns not to judge. The generator draws the groups of columns. Frames in random order, please: the
    intervals leave out every tenth row in turn.
    """
    columns = read_columns([real, stand_in, generated, floor], real=2, without=without)
    if not columns:
        return TableFidelity([], [], ["there are no columns to judge."], None)
    compared, notes = _coded(columns, random)
    value, reference, wrong = (compared.scores(frame) for frame in (2, 1, 3))
    parts = folds_of(min(len(real), len(generated)))
    folds = [compared.scores(2, (part, parts)) for part in range(parts)]
    figures = [
        _figure(name, value[name], reference[name], wrong[name], [fold[name] for fold in folds])
        for name in MEANINGS
        if name in value and np.isfinite(value[name]).any() and np.isfinite(reference[name]).any()
    ]
    lost = [
        column.name
        for column in columns
        if column.levels is None and column.missing(2).all() and not column.missing(0).all()
    ]
    notes += [f"column {name!r}: every generated value is missing." for name in lost]
    tables = [_column_table(columns, value, reference)]
    if compared.pairs:
        tables.append(_pair_table(compared, value["pair trends"], reference["pair trends"], wrong["pair trends"]))
    worst = columns[_badness(value, reference).argmax()].name
    return TableFidelity(figures, tables, notes, worst)


def _coded(columns: list[Column], random: np.random.Generator) -> tuple[_Coded, list[str]]:
    pairs, notes = list(combinations(range(len(columns)), 2)), []
    if len(pairs) > MOST_PAIRS:
        notes.append(f"{MOST_PAIRS:,} of {len(pairs):,} pairs of columns, drawn at random, were compared.")
        pairs = [pairs[place] for place in np.sort(random.permutation(len(pairs))[:MOST_PAIRS])]
    groups = {size: _groups(len(columns), size, random) for size in GROUP_BINS if len(columns) >= size}
    used = {PAIR_BINS, *(GROUP_BINS[size] for size in groups)}
    return _Coded(columns, {bins: [cells(column, bins) for column in columns] for bins in used}, pairs, groups), notes


def _groups(columns: int, size: int, random: np.random.Generator) -> list[tuple[int, ...]]:
    """All groups of columns when they are few, else random ones."""
    if comb(columns, size) <= MOST_GROUPS:
        return list(combinations(range(columns), size))
    return [tuple(sorted(random.choice(columns, size, replace=False).tolist())) for _ in range(MOST_GROUPS)]


def _summed(name: str, scores: list[float]) -> float:
    present = [score for score in scores if score == score]
    if not present:
        return float("nan")
    return max(present) if name == "largest column shift" else float(np.mean(present))


def _figure(
    name: str, value: list[float], reference: list[float], floor: list[float], folds: list[list[float]]
) -> Figure:
    better, meaning = MEANINGS[name]
    middle, ceiling, wrong = (_summed(name, scores) for scores in (value, reference, floor))
    error = left_out_error([_summed(name, fold) for fold in folds])
    interval = within(middle, error, low=0.0, high=None if better == "lower" else 1.0)
    return Figure(name, middle, interval, ceiling, wrong if wrong == wrong else None, better, meaning)


# -------------------------------------------------------------------------------------------------------- tables


def _badness(value: dict[str, list[float]], reference: dict[str, list[float]]) -> Array:
    """How much worse each column is than the real one in its place [c], by shape or by scale."""
    shapes = np.array(reference["column shapes"]) - np.array(value["column shapes"])
    shifts = np.array(value["largest column shift"]) - np.array(reference["largest column shift"])
    return np.maximum(shapes, np.nan_to_num(shifts))


def _column_table(columns: list[Column], value: dict[str, list[float]], reference: dict[str, list[float]]) -> Table:
    order = np.argsort(-_badness(value, reference), kind="stable")[:SHOWN_COLUMNS]
    rows = [
        [
            columns[place].name,
            "numbers" if columns[place].levels is None else f"{columns[place].real_levels:,} levels",
            f"{value['column shapes'][place]:.3f}",
            f"{reference['column shapes'][place]:.3f}",
            *(_short(scores["largest column shift"][place]) for scores in (value, reference)),
            *(f"{columns[place].missing(frame).mean():.1%}" for frame in (2, 0)),
        ]
        for place in order
    ]
    title = "columns, worst first" if len(columns) <= SHOWN_COLUMNS else f"the {SHOWN_COLUMNS} worst columns"
    head = ["column", "kind", "shape", "real in its place", "shift", "real in its place", "missing", "missing in real"]
    return Table(title, head, rows)


def _pair_table(compared: _Coded, value: list[float], reference: list[float], floor: list[float]) -> Table:
    order = np.argsort(np.array(value) - np.array(reference), kind="stable")[:SHOWN_PAIRS]
    names = [column.name for column in compared.columns]
    rows = [
        [
            names[compared.pairs[place][0]],
            names[compared.pairs[place][1]],
            *(f"{scores[place]:.3f}" for scores in (value, reference, floor)),
        ]
        for place in order
    ]
    return Table(
        "worst pairs of columns", ["column", "column", "together", "real in their place", "columns shuffled"], rows
    )


def _short(number: float) -> str:
    return f"{number:.3g}" if number == number else ""
