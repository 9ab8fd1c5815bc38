"""Quantiles of a number from noisy counts alone: its range from counts by powers of two, its shape from a tree of bins.

The tree (Cormode et al. 2012) counts the same rows in ever finer bins; a bin's share is parted among those within it
where the noise lets one tell, and evenly where it does not. `exponents` and `Tree.counts` make the histograms, to each
of which a row adds one count at most; `bounds` and `Tree.shares` read what the noise left of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMALLEST, LARGEST = -30, 62
"""Powers of two between which numbers are told apart; smaller ones count as zero, larger ones as the largest."""
CLEAR = 4.5
"""Deviations of the noise beyond which a count is taken for more than noise."""
BRANCHES = 4
COARSEST = 16
LEVELS = 5
"""Levels of the tree: 16, 64, 256, 1024 and 4096 bins."""
FINEST = COARSEST * BRANCHES ** (LEVELS - 1)


def exponents(values: np.ndarray) -> np.ndarray:
    """Counts of numbers [n] by sign and power of two: bins from the most negative over zero to the largest."""
    powers = LARGEST - SMALLEST + 1
    with np.errstate(divide="ignore"):
        power = np.clip(np.floor(np.log2(np.abs(values))), SMALLEST - 1, LARGEST) - SMALLEST + 1
    return np.bincount((powers + np.sign(values) * power).astype(np.int64), minlength=2 * powers + 1)


def bounds(noisy: np.ndarray, deviation: float) -> tuple[float, float] | None:
    """The range of the bins that clearly hold rows; None where none does."""
    held = np.flatnonzero(noisy > CLEAR * deviation)
    if not len(held):
        return None
    powers = LARGEST - SMALLEST + 1

    def edge(bin_: int, outer: int) -> float:
        """The end of a bin away from zero (`outer` = 1) or towards it (0)."""
        power = abs(bin_ - powers)
        return 0.0 if power == 0 else float(np.sign(bin_ - powers) * 2.0 ** (power - 1 + outer + SMALLEST))

    first, last = int(held[0]), int(held[-1])
    return edge(first, int(first < powers)), edge(last, int(last > powers))


@dataclass(frozen=True)
class Tree:
    """Nested bins over [low, low + 4096 * width]; a rounded value lies in the middle of its own bin's step."""

    low: float
    width: float

    @classmethod
    def over(cls, low: float, high: float, step: float) -> Tree:
        """Bins that cover a range; of values that are multiples of `step` none is cut in two."""
        width = max((high - low) / FINEST, 1e-300)
        if step:
            width = step * max(1, np.ceil((high - low + step) / (FINEST * step)))
        return cls(low - step / 2, float(width))

    def counts(self, values: np.ndarray) -> list[np.ndarray]:
        """The histograms of numbers [n], coarsest first; beyond the ends counts in the outermost bins."""
        place = np.clip(np.floor((values - self.low) / self.width), 0, FINEST - 1).astype(np.int64)
        sizes = [COARSEST * BRANCHES**level for level in range(LEVELS)]
        return [np.bincount(place // (FINEST // size), minlength=size) for size in sizes]

    def shares(self, noisy: Sequence[np.ndarray], deviation: float) -> np.ndarray:
        """How many rows each finest bin holds [4096], none below zero."""
        rows = np.where(noisy[0] > deviation, noisy[0], 0.0)
        for finer in noisy[1:]:
            within = np.maximum(finer, 0).reshape(-1, BRANCHES)
            # Parts that are mostly noise would scatter rows over empty bins.
            within = np.where(within > deviation, within, 0.0)
            clear = (rows > CLEAR * deviation) & (within.sum(1) > 0)
            parts = np.where(clear[:, None], within, 1.0)
            rows = (rows[:, None] * parts / parts.sum(1, keepdims=True)).ravel()
        return rows

    def quantiles(self, rows: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Values at probabilities, by bins that hold these rows evenly."""
        held = np.flatnonzero(rows)
        parts = rows[held] / rows[held].sum()
        ends = np.cumsum(parts)
        # Between bins that hold rows lies nothing: a quantile is always inside one.
        bin_ = np.minimum(np.searchsorted(ends, probabilities, side="left"), len(held) - 1)
        inside = np.clip((probabilities - (ends[bin_] - parts[bin_])) / parts[bin_], 0, 1)
        return self.low + self.width * (held[bin_] + inside)
