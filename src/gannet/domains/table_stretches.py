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
    narrowest = min(NARROWEST, 0.1 / len(counts))
    shares = np.maximum(_pooled(counts), narrowest * counts.sum())
    ends = 2 * np.cumsum(shares)[:-1] / shares.sum() - 1
    return tuple(ends.astype(np.float32).astype(np.float64).tolist())


def _pooled(counts: np.ndarray) -> np.ndarray:
    """Counts [n] in which neighbours held by few rows share their mean, so that no share tells fewer than ten rows."""
    out = counts.astype(np.float64)
    left: list[int] = []
    first = total = 0
    for index, count in enumerate(counts.tolist()):
        if count >= FEWEST_TOLD:
            left += range(first, index)
            first, total = index + 1, 0
            continue
        total += count
        if total >= FEWEST_TOLD:
            out[first : index + 1] = total / (index + 1 - first)
            first, total = index + 1, 0
    left += range(first, len(counts))
    if left:
        # Too few between heavier neighbours to be told there: one mean for all of these together.
        out[left] = counts[left].mean() if counts[left].sum() >= FEWEST_TOLD else FEWEST_TOLD / 2
    return out


def merged(values: np.ndarray, counts: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Ascending values [n] and their rows [n] -> fewer values, each the `nearest` for `least` rows or more.

    Neighbours of few rows become their mean; one left over goes to its nearest heavier neighbour.
    """
    kept: list[float] = []
    total, weighted = 0, 0.0
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if count >= least:
            kept.append(value)
            total, weighted = 0, 0.0
            continue
        total, weighted = total + count, weighted + value * count
        if total >= least:
            kept.append(weighted / total)
            total, weighted = 0, 0.0
    chosen = np.unique(kept) if kept else np.array([np.average(values, weights=counts)])
    rows = np.bincount(nearest(values, chosen), weights=counts, minlength=len(chosen))
    while len(chosen) > 1 and rows.min() < least:
        chosen = np.delete(chosen, rows.argmin())
        rows = np.bincount(nearest(values, chosen), weights=counts, minlength=len(chosen))
    return chosen, rows.astype(np.int64)


def blunted(values: np.ndarray, counts: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Ascending values [n] and their rows [n], the outermost joined to their mean until it stands for `least` rows."""
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])
    if below[-1] < 2 * least:
        return merged(values, counts, least)
    low = int(np.searchsorted(below, least)) + 1
    high = len(values) - int(np.searchsorted(above, least)) - 1
    ends = [np.average(values[part], weights=counts[part]) for part in (slice(None, low), slice(high, None))]
    chosen = np.unique([ends[0], *values[low:high], ends[1]])
    return chosen, np.bincount(nearest(values, chosen), weights=counts, minlength=len(chosen)).astype(np.int64)


def nearest(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The index [n] of the nearest of the ascending `kept` to each value [n]."""
    return np.searchsorted((kept[:-1] + kept[1:]) / 2, values)


def place(indices: np.ndarray, cuts: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
    """A point float32 [n] inside the stretch of each index [n]: its middle, or spread evenly over it by `random`."""
    edges = np.concatenate([[-1.0], cuts, [1.0]])
    low, high = edges[indices], edges[indices + 1]
    share = 0.5 if random is None else random.random(len(indices))
    aside = np.minimum(ASIDE, (high - low) / 4)
    return np.clip(low + share * (high - low), low + aside, high - aside).astype(np.float32)


def read(numbers: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The index [n] of the stretch that holds each number [n]; beyond the ends the outermost."""
    return np.searchsorted(cuts, numbers.astype(np.float64), side="right")
