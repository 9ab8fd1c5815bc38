"""Distinct values in order as stretches of [-1, 1], each as wide as its share of the rows.

`cuts = pooled_cuts(counts)` -> where one value ends and the next begins; `place(indices, cuts, random)` -> a point
inside each value's stretch; `read(numbers, cuts)` -> the index of the value whose stretch holds each point.
"""

from __future__ import annotations

import numpy as np

MOST_STRETCHES = 1024
"""Numbers of more distinct values are smooth: they are told by knots of their quantile function."""
FEWEST_TOLD = 10
"""Rows behind a share; fewer are told only as part of a mean over several values."""
NARROWEST = 1e-6
"""The smallest share of a value: far wider than a float32 step, however many rows there are."""
ASIDE = 2.0**-22
"""How far inside its stretch a value stays at least."""


def pooled_cuts(counts: np.ndarray) -> tuple[float, ...]:
    """Rows per value [n], in order -> n - 1 ascending cuts strictly inside (-1, 1), exact in float32."""
    shares = np.maximum(_pooled(counts), NARROWEST * counts.sum())
    ends = 2 * np.cumsum(shares)[:-1] / shares.sum() - 1
    return tuple(ends.astype(np.float32).astype(np.float64).tolist())


def _pooled(counts: np.ndarray) -> np.ndarray:
    """Counts [n] in which neighbours held by few rows share their mean, so that no share tells fewer than ten rows."""
    out = counts.astype(np.float64)
    alone = counts >= FEWEST_TOLD
    left: list[int] = []
    pool: list[int] = []
    for index in range(len(counts)):
        if alone[index]:
            left, pool = left + pool, []
            continue
        pool.append(index)
        if counts[pool].sum() >= FEWEST_TOLD:
            out[pool] = counts[pool].mean()
            pool = []
    left += pool
    if left:
        # Too few between heavier neighbours to be told there: one mean for all of these together.
        out[left] = counts[left].mean() if counts[left].sum() >= FEWEST_TOLD else FEWEST_TOLD / 2
    return out


def place(indices: np.ndarray, cuts: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
    """A point float32 [n] inside the stretch of each index [n]: its middle, or spread evenly over it by `random`."""
    edges = np.concatenate([[-1.0], cuts, [1.0]])
    low, high = edges[indices], edges[indices + 1]
    share = 0.5 if random is None else random.random(len(indices))
    return np.clip(low + share * (high - low), low + ASIDE, high - ASIDE).astype(np.float32)


def read(numbers: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The index [n] of the stretch that holds each number [n]; beyond the ends the outermost."""
    return np.searchsorted(cuts, numbers.astype(np.float64), side="right")
