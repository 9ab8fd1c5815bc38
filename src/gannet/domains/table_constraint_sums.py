"""Equations between number columns: sums with whole or short decimal factors by least squares, products of two.

`sums(table, sample, grids)` -> proposals, and the sets of columns they tie together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gannet.domains.table_constraint import Grid, Table
from gannet.domains.table_constraint_evidence import FEWEST_ROWS, Proposal
from gannet.domains.table_constraint_kinds import numbers
from gannet.domains.table_constraint_rules import quoted

MOST_TERMS = 6
MOST_DIGITS = 4
"""Digits after the point of a factor that a person would have chosen."""
COARSE = 20
"""An equation that holds up to rounding is believed where its target spreads over this many last digits."""
EXACT = 1e-9
ENOUGH = 0.8
"""Columns missing in more of the rows are left out of the search."""
PRODUCT_ROWS = 200
MOST_FACTORS = 15


def sums(table: Table, sample: Table, grids: Mapping[str, Grid]) -> tuple[list[Proposal], list[frozenset[str]]]:
    """All equations found, each telling another column."""
    plain = [
        name
        for name, grid in grids.items()
        if grid.unit is None and (~table[name].missing).mean() >= ENOUGH and grid.decimals is not None
    ]
    found: list[Proposal] = []
    together: list[frozenset[str]] = []
    if len(plain) < 2:
        return found, together
    sampled = np.stack([numbers(sample, name) for name in plain], axis=1)
    known: list[int] = []
    for place, name in enumerate(plain):
        terms = _terms(sampled, known, place, grids[name])
        equation = None if terms is None else _nicest(table, sampled, [*terms, place], plain, grids)
        if equation is None:
            known.append(place)
            continue
        found.append(equation[0])
        together.append(equation[1])
    for rule, names in _products(table, sampled, plain, grids, together):
        found.append(rule)
        together.append(names)
    return found, together


def _complete(matrix: np.ndarray) -> np.ndarray:
    """The rows without a missing value."""
    return matrix[~np.isnan(matrix).any(axis=1)]


def _tolerance(grid: Grid) -> float:
    assert grid.decimals is not None
    return 0.5 * 10.0**-grid.decimals + EXACT * max(abs(grid.low), abs(grid.high))


def _solve(rows: np.ndarray, terms: Sequence[int], target: int) -> tuple[np.ndarray, float]:
    """Least squares of the target on the terms and a constant: factors, and the largest miss."""
    known = np.column_stack([rows[:, terms], np.ones(len(rows))])
    scales = np.maximum(np.abs(known).max(axis=0), 1e-300)
    factors = np.linalg.lstsq(known / scales, rows[:, target], rcond=None)[0] / scales
    return factors, float(np.abs(known @ factors - rows[:, target]).max())


def _terms(matrix: np.ndarray, known: Sequence[int], target: int, grid: Grid) -> list[int] | None:
    """The fewest of the known columns that give the target up to its rounding; None where they do not."""
    terms = list(known)
    rows = _complete(matrix[:, [*terms, target]])
    if not terms or len(rows) < max(FEWEST_ROWS, 5 * len(terms)) or np.ptp(rows[:, -1]) == 0:
        return None
    # Twice what rounding can do: least squares shares the misses out; `_written` is strict.
    limit = 2 * _tolerance(grid)
    if _solve(rows, list(range(len(terms))), len(terms))[1] > limit:
        return None
    places = list(range(len(terms)))
    for place in list(places):
        fewer = [each for each in places if each != place]
        if fewer and _solve(rows, fewer, len(terms))[1] <= limit:
            places = fewer
    return [terms[place] for place in places] if len(places) <= MOST_TERMS else None


def _nicest(
    table: Table, matrix: np.ndarray, members: Sequence[int], names: Sequence[str], grids: Mapping[str, Grid]
) -> tuple[Proposal, frozenset[str]] | None:
    """The equation with the shortest factors, whichever of its columns it tells."""
    rows = _complete(matrix[:, list(members)])
    if len(rows) < FEWEST_ROWS:
        return None
    ways: list[tuple[tuple[int, int, int], list[float], float, list[int]]] = []
    for target in range(len(members)):
        others = [place for place in range(len(members)) if place != target]
        written = _written(rows, others, target, grids[names[members[target]]])
        if written is not None:
            factors, constant, digits = written
            minus = sum(factor < 0 for factor in factors)
            ways.append(((digits, minus, -target), factors, constant, others))
    full = np.stack([numbers(table, names[place]) for place in members], axis=1) if ways else rows
    full = _complete(full)
    for (_, _, place), factors, constant, others in sorted(ways):
        name = names[members[-place]]
        if _meets(full, others, -place, factors, constant, grids[name]):
            shares = np.unique(rows[:, -place], return_counts=True)[1] / len(rows)
            expected = len(full) * (1 - float((shares**2).sum()))
            rule = f"{quoted(name)} = {_spelled(factors, [names[members[each]] for each in others], constant)}"
            return Proposal(rule, len(full), expected), frozenset(names[each] for each in members)
    return None


def _meets(
    rows: np.ndarray, others: list[int], target: int, factors: Sequence[float], constant: float, grid: Grid
) -> bool:
    """Whether the equation holds in every row, up to the target's rounding unless its spread is too small for that."""
    miss = np.abs(rows[:, target] - rows[:, others] @ np.array(factors) - constant).max()
    noise = EXACT * max(float(np.abs(rows).max()), 1.0)
    fractions = any(factor % 1 for factor in factors)
    coarse = np.std(rows[:, target]) < COARSE * 10.0 ** -(grid.decimals or 0)
    return bool(miss <= noise or (miss <= _tolerance(grid) and fractions and not coarse))


def _written(rows: np.ndarray, others: list[int], target: int, grid: Grid) -> tuple[list[float], float, int] | None:
    """Factors and constant with the fewest digits that still hold in every row."""
    assert grid.decimals is not None
    factors, _ = _solve(rows, others, target)
    for digits in range(MOST_DIGITS + 1):
        short = np.round(factors[:-1], digits)
        if not short.all():
            continue
        apart = rows[:, target] - rows[:, others] @ short
        constant = round(float(np.median(apart)), max(digits, grid.decimals)) + 0.0
        if _meets(rows, others, target, short.tolist(), constant, grid):
            return short.tolist(), constant, digits
    return None


def _spelled(factors: Sequence[float], labels: Sequence[str], constant: float) -> str:
    pieces: list[tuple[float, str]] = [
        (factor, quoted(label) if abs(factor) == 1 else f"{abs(factor):g} * {quoted(label)}")
        for factor, label in zip(factors, labels, strict=True)
    ]
    pieces.sort(key=lambda piece: piece[0] < 0)
    if constant:
        pieces.append((constant, f"{abs(constant):.10g}"))
    first, *rest = pieces
    return ("-" if first[0] < 0 else "") + first[1] + "".join(f" {'-' if f < 0 else '+'} {text}" for f, text in rest)


def _products(
    table: Table,
    matrix: np.ndarray,
    names: Sequence[str],
    grids: Mapping[str, Grid],
    together: Sequence[frozenset[str]],
) -> Iterator[tuple[Proposal, frozenset[str]]]:
    """c = a * b for columns that spread widely, none of them told by a sum."""
    wide = [
        place
        for place, name in enumerate(names)
        if len(np.unique(matrix[:PRODUCT_ROWS, place])) > COARSE / 2 and not any(name in part for part in together)
    ][:MOST_FACTORS]
    for target in wide:
        grid = grids[names[target]]
        if np.nanstd(matrix[:, target]) < COARSE * 10.0 ** -(grid.decimals or 0):
            continue
        for left, right in itertools.combinations([place for place in wide if place != target], 2):
            few = _complete(matrix[:PRODUCT_ROWS, [left, right, target]])
            if len(few) < FEWEST_ROWS or (np.abs(few[:, 0] * few[:, 1] - few[:, 2]) > _tolerance(grid)).any():
                continue
            rows = _complete(np.stack([numbers(table, names[place]) for place in (left, right, target)], axis=1))
            if (np.abs(rows[:, 0] * rows[:, 1] - rows[:, 2]) <= _tolerance(grid)).all():
                trio = frozenset(names[place] for place in (left, right, target))
                rule = f"{quoted(names[target])} = {quoted(names[left])} * {quoted(names[right])}"
                yield Proposal(rule, len(rows), float(len(rows))), trio
