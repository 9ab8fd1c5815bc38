"""95 % intervals of figures, by the cheapest way that holds: closed forms, parts left out in turn, parts on their own.

`folded(distance, real, other)` leaves out a tenth at a time (the delete-a-group jackknife, Shao & Wu 1989), for figures
that change smoothly. `parted(score, real, other)` judges fifths on their own (subsampling, Politis & Romano 1994), for
nearest neighbours, where leaving samples out misleads (Abadie & Imbens 2008); `benchmarks/intervals.py` measures both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, sqrt

import numpy as np
import torch
from torch import Tensor

NORMAL = 1.96
"""97.5 % quantile of the normal distribution."""
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The same of Student's t with 1 to 9 degrees of freedom."""
FOLDS, PARTS = 10, 5
"""Parts that are left out in turn, and parts that are judged on their own."""
FEWEST_IN_PART = 12
"""Samples a part must hold for its nearest neighbours to mean anything."""

Interval = tuple[float, float] | None
Scores = dict[str, float]


def share_with_interval(hits: Tensor) -> tuple[float, Interval]:
    """The share of ones in float hits [n], and Wilson's interval: it stays within 0 and 1 and is never empty."""
    count, share = len(hits), float(hits.mean())
    middle = (share + NORMAL**2 / (2 * count)) / (1 + NORMAL**2 / count)
    reach = NORMAL / (1 + NORMAL**2 / count) * sqrt(share * (1 - share) / count + NORMAL**2 / (4 * count**2))
    return share, (max(0.0, middle - reach), min(1.0, middle + reach))


def mean_with_interval(values: Tensor) -> tuple[float, Interval]:
    """The mean of values [n] that are never negative, and its normal interval."""
    value = float(values.mean())
    return value, within(value, NORMAL * float(values.std()) / sqrt(len(values)), low=0.0)


def within(value: float, error: float, *, low: float | None = None, high: float | None = None) -> Interval:
    """The value with an error to either side, cut at the ends of what is possible; None for what is no number."""
    if not (isfinite(value) and isfinite(error)):
        return None
    first, last = value - error, value + error
    return (first if low is None else max(low, first), last if high is None else min(high, last))


def wider(first: Interval, second: Interval) -> Interval:
    """Both intervals of one figure together: each alone may miss a source of chance."""
    if first is None or second is None:
        return first or second
    return min(first[0], second[0]), max(first[1], second[1])


def folds_of(rows: int) -> int:
    """How many parts of so many rows are left out in turn; 0 where that tells nothing."""
    return min(FOLDS, rows) if rows >= 3 else 0


def left_out_error(values: Sequence[float]) -> float:
    """Half a 95 % interval, from the figure with each part left out in turn; NaN with fewer than two."""
    count = len(values)
    if count < 2:
        return float("nan")
    return STUDENT[min(count, FOLDS) - 2] * sqrt((count - 1) * float(np.var(values)))


def folded(
    distance: Callable[[Tensor, Tensor], float],
    real: Tensor,
    other: Tensor,
    interval: bool = True,
    *,
    high: float | None = None,
) -> tuple[float, Interval]:
    """A figure of [n, ...] and [m, ...] that is never negative, and its interval by leaving parts out."""
    value, folds = distance(real, other), folds_of(min(len(real), len(other)))
    if not interval or not folds:
        return value, None
    left_out = [
        distance(*(side[torch.arange(len(side), device=side.device) % folds != fold] for side in (real, other)))
        for fold in range(folds)
    ]
    return value, within(value, left_out_error(left_out), low=0.0, high=high)


def parted(score: Callable[[Tensor, Tensor], Scores], real: Tensor, other: Tensor) -> Scores:
    """Half a 95 % interval of each figure, from the figures of every fifth of both sides [n, d] and [m, d] alone.

    A fifth has five times the variance, and the fifths cost a fifth of the whole. Samples in random order, please.
    Empty where the fifths would be too small.
    """
    if min(len(real), len(other)) < PARTS * FEWEST_IN_PART:
        return {}
    found = [score(real[part::PARTS], other[part::PARTS]) for part in range(PARTS)]
    scale = STUDENT[PARTS - 2] / sqrt(PARTS)
    return {name: scale * float(np.std([each[name] for each in found], ddof=1)) for name in found[0]}
