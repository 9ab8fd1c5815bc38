"""How many different samples a generator can make, from how often two are alike (Arora & Zhang 2018, theorem 1).

Among s samples of N equally likely kinds, s(s - 1) / 2N pairs are alike. `support_size(samples, radius)` turns the
pairs nearer than the radius into N; `alike(real)` is a radius far below what lies between real samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import torch
from torch import Tensor

from gannet.metrics.neighbours import counts_within, radii

CLOSE = 1 / 3
"""Samples are alike when they are nearer than this share of the usual distance between nearest real samples."""
NORMAL = 1.96
NONE_SEEN = 3.69
"""Upper 97.5 % limit of a Poisson mean of which nothing was seen."""


@dataclass(frozen=True)
class SupportSize:
    """An estimate of the number of kinds: as many equally likely ones would give as many pairs alike."""

    samples: int
    pairs: int
    """Pairs of samples nearer to each other than the radius."""
    kinds: float
    """The estimate; without a pair, what one pair would give."""
    interval: tuple[float, float]
    """95 %; the upper end is infinite when no pair was seen."""

    @property
    def only_lower_bound(self) -> bool:
        """Whether no two samples were alike: then the support is at least the interval's lower end, and no more known.

        Even with pairs, uneven probabilities hide kinds: the estimate is the number of *common* kinds.
        """
        return self.pairs == 0


def alike(real: Tensor) -> Tensor:
    """The radius [] within which samples count as alike: a third of the median distance from real features [n >= 2, d]
    to their nearest neighbour.

    It falls with n: give as many real samples as `support_size` will see generated ones, and read both estimates.
    """
    return CLOSE * radii(real, 1).median()


def support_size(samples: Tensor, radius: Tensor | float) -> SupportSize:
    """The number of kinds among the generator's features [s >= 2, d], two nearer than the radius being of one kind.

    The interval takes the pairs as a U-statistic: a sample with many twins counts as one finding, not many.
    """
    count = len(samples)
    assert count >= 2, "one sample has no pair"
    reach = torch.full((count,), float(radius), dtype=torch.float64, device=samples.device)
    twins = (counts_within(samples, reach, samples) - 1).clamp(min=0).double()
    pairs = round(float(twins.sum()) / 2)
    all_pairs = count * (count - 1) / 2
    if pairs == 0:
        return SupportSize(count, 0, all_pairs, (max(1.0, all_pairs / NONE_SEEN), float("inf")))
    kinds = all_pairs / pairs
    mean = float(twins.mean())
    clumped = max(0.0, float(twins.var()) - mean) * 4 / (count * mean**2)
    error = NORMAL * sqrt(clumped + 1 / pairs)
    return SupportSize(count, pairs, kinds, (max(1.0, exp(log(kinds) - error)), exp(log(kinds) + error)))
