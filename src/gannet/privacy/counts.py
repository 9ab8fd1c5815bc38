"""Counts of rows behind Gaussian noise: what an encoder may know of the data (Dwork & Roth 2014, A.1).

A level whose name is not known beforehand is told only where its noisy count passes a threshold that the count of a
single row passes with a chance of `slip` in all (stability; Wilkins et al. 2024). One object a stage of a run:
`counts = NoisyCounts(secret, noise_multiplier=8, slip=1e-8)`; `counts.told("statistics", [histogram, ...])`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, log, sqrt

import numpy as np

from gannet.privacy.secret import Secret


@dataclass(frozen=True)
class NoisyCounts:
    """A Gaussian mechanism on several histograms at once, to each of which a row adds one count at most."""

    secret: Secret
    noise_multiplier: float
    slip: float
    """Chance that any level held by one row alone is told."""

    def deviation(self, histograms: int) -> float:
        """The noise on each count: one row moves all histograms by no more than the root of their number."""
        return self.noise_multiplier * sqrt(max(histograms, 1))

    def told(self, purpose: str, histograms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The counts [levels] of each histogram with noise, rounded to whole numbers."""
        deviation, found = self.deviation(len(histograms)), []
        for number, counts in enumerate(histograms):
            noise = self.secret.normal(f"counts {purpose}", number, len(counts))
            found.append(np.rint(counts + deviation * noise))
        return found

    def threshold(self, histograms: int) -> float:
        """A noisy count that a level held by one row passes in none of the histograms, but for a chance of `slip`."""
        return 1 + 0.5 + self.deviation(histograms) * upper_quantile(self.slip / max(histograms, 1))


def upper_quantile(chance: float) -> float:
    """What a standard normal number exceeds with this chance (of at most 1/2), rounded up."""
    low, high = 0.0, 1 + sqrt(2 * log(1 / chance))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if erfc(middle / sqrt(2)) / 2 > chance else (low, middle)
    return high
