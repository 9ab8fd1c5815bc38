"""Intervals of shares and of their differences, and the words that sentences write them in.

`share_interval(0.3, 200)` is Wilson's 95 % interval (Wilson 1927): within 0 and 1, and never empty.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

NORMAL = 1.96
"""97.5 % quantile of the normal distribution."""


def share_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` >= 1 independent samples."""
    middle = (share + NORMAL**2 / (2 * count)) / (1 + NORMAL**2 / count)
    reach = NORMAL / (1 + NORMAL**2 / count) * sqrt(share * (1 - share) / count + NORMAL**2 / (4 * count**2))
    return min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach))


def difference_interval(first: float, first_count: int, second: float, second_count: int) -> tuple[float, float]:
    """95 % interval of a difference of two shares of independent samples (Newcombe 1998, method 10)."""
    low, high = share_interval(first, first_count)
    other_low, other_high = share_interval(second, second_count)
    below = sqrt((first - low) ** 2 + (other_high - second) ** 2)
    above = sqrt((high - first) ** 2 + (second - other_low) ** 2)
    return first - second - below, first - second + above


def total_variation(counts: np.ndarray, others: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Half the summed differences of two sets of shares, from counts [groups]; 95 % by the shares' own variances."""
    shares, base = counts / max(1, counts.sum()), others / max(1, others.sum())
    difference = shares - base
    # The distance is the summed surplus of the groups that have one, so its chance is that of one share.
    over = difference > 0
    error = NORMAL * sqrt(
        sum(
            part * (1 - part) / max(1, n)
            for part, n in ((shares[over].sum(), counts.sum()), (base[over].sum(), others.sum()))
        )
    )
    value = float(np.abs(difference).sum() / 2)
    return value, (max(0.0, value - error), min(1.0, value + error))


def percent(share: float) -> str:
    """A share in whole percent, except where that would hide something: '97 %', '0.4 %'."""
    points = 100 * share
    return f"{points:.1f} %" if 0 < points < 1 or 99 < points < 100 else f"{points:.0f} %"


def listed(names: list[str], most: int = 3) -> str:
    """Names as a sentence has them: 'a, b and c', or 'a, b, c and 4 more'."""
    shown = names[:most] + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
