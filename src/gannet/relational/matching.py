"""Which second parent a row belongs to: one like it says, and each parent as often as its own row says.

`matched(children, parents, room, random)` draws, row after row, a parent with probability proportional to
(room left) * exp(-distance / SHARPNESS): numbers differ by their ranks, categories by whether they are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gannet.metrics.table_fidelity import read_columns

SHARPNESS = 0.03
"""Distances well above it are not bridged while something nearer has room."""
CHUNK = 256
MOST_CANDIDATES = 4_096
"""Parents that a chunk of rows is offered, drawn anew for each."""
ROUNDS = 30


def rooms(degrees: np.ndarray, children: int, random: np.random.Generator) -> np.ndarray:
    """How many of `children` each parent takes int64 [parents]: its degree, thinned or repeated to give the sum."""
    degrees = degrees if degrees.sum() else np.ones_like(degrees)
    total = int(degrees.sum())
    times, rest = divmod(children, total)
    return degrees * times + random.multivariate_hypergeometric(degrees, rest, method="marginals")


def matched(
    children: Any, parents: Any, room: np.ndarray, families: np.ndarray | None, random: np.random.Generator
) -> np.ndarray:
    """A row of `parents` int64 [n] for each row of `children`, both typed frames of the same columns.

    No parent is taken more often than its `room`. `families` [n], where given, are rows of which no two with the same
    number may have the same parent; -1 where none was left for such a row.
    """
    here, there, levels = _coded(children, parents)
    out, left = np.full(len(children), -1, dtype=np.int64), room.astype(np.int64).copy()
    taken: set[tuple[int, int]] = set()
    order = random.permutation(len(children))
    for start in range(0, len(order), CHUNK):
        waiting = order[start : start + CHUNK]
        for _ in range(ROUNDS):
            open_ones = np.flatnonzero(left > 0)
            if not len(waiting) or not len(open_ones):
                break
            if len(open_ones) > MOST_CANDIDATES:
                open_ones = random.choice(open_ones, MOST_CANDIDATES, replace=False)
            score = -_distances(here[:, waiting], there[:, open_ones], levels) / SHARPNESS
            score += np.log(left[open_ones]) + random.gumbel(size=score.shape)
            chosen, refused = open_ones[score.argmax(1)], []
            for row, parent in zip(waiting.tolist(), chosen.tolist(), strict=True):
                pair = None if families is None else (int(families[row]), parent)
                if left[parent] > 0 and pair not in taken:
                    out[row], left[parent] = parent, left[parent] - 1
                    if pair is not None:
                        taken.add(pair)
                else:
                    refused.append(row)
            waiting = np.array(refused, dtype=np.int64)
    return out


def _coded(children: Any, parents: Any) -> tuple[np.ndarray, np.ndarray, Sequence[bool]]:
    """Both frames as numbers [columns, rows], ranks in 0..1 or codes of levels, and which columns are levels."""
    if not len(children.columns):
        return np.zeros((0, len(children))), np.zeros((0, len(parents))), []
    here, there, levels = [], [], []
    for column in read_columns([parents, children], real=1):
        pair = [values.astype(np.float64) for values in column.values]
        if column.levels is None:
            known = np.sort(pair[0][~np.isnan(pair[0])])
            ranks = [(np.searchsorted(known, v, "left") + np.searchsorted(known, v, "right")) / 2 for v in pair]
            pair = [np.where(np.isnan(v), -1.0, r / max(len(known), 1)) for v, r in zip(pair, ranks, strict=True)]
        there.append(pair[0])
        here.append(pair[1])
        levels.append(column.levels is not None)
    return np.stack(here), np.stack(there), levels


def _distances(here: np.ndarray, there: np.ndarray, levels: Sequence[bool]) -> np.ndarray:
    """Summed differences [rows, parents] over the columns."""
    out = np.zeros((here.shape[1], there.shape[1]))
    for row, parent, is_level in zip(here, there, levels, strict=True):
        gap = row[:, None] - parent
        out += (gap != 0) if is_level else np.abs(gap)
    return out
