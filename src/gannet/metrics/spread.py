"""How far samples lie from each other: mean pairwise distance, and its ratio to that of real samples.

`spread_ratio(generated, real)` is 1 where samples differ as much as real ones do, and 0 where one sample is repeated.
"""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import torch
from torch import Tensor

ROWS = 2000
"""Most samples whose pairs are measured."""
NORMAL = 1.96
HEIGHT = 512


def mean_distances(features: Tensor) -> Tensor:
    """Mean distance [n] of each sample of features [n >= 2, d] to the others, float64; memory grows with n alone."""
    points = features.double() - features.mean(0, dtype=torch.float64)
    squares = points.square().sum(1)
    sums = []
    for start in range(0, len(points), HEIGHT):
        some = slice(start, start + HEIGHT)
        lengths = squares[some, None] + squares
        squared = lengths - 2 * points[some] @ points.T
        squared[squared < 1e-12 * lengths] = 0  # the rest that a product leaves between equal points
        sums.append(squared.clamp(min=0).sqrt().sum(1))
    return torch.cat(sums) / (len(points) - 1)


def spread_ratio(
    generated: Tensor, real: Tensor, random: np.random.Generator
) -> tuple[float, tuple[float, float]] | None:
    """Mean pairwise distance within generated features over that within real ones, and its 95 % interval.

    On at most 2,000 samples a side. The interval takes both means as U-statistics. None when real samples are all equal
    or a side has fewer than two.
    """
    if min(len(generated), len(real)) < 2:
        return None
    above, below = mean_distances(_some(generated, random)), mean_distances(_some(real, random))
    if float(below.mean()) == 0:
        return None
    return ratio_with_interval(above, below)


def ratio_with_interval(above: Tensor, below: Tensor) -> tuple[float, tuple[float, float]]:
    """The ratio of the means of two sets of mean distances [n] and [m] (the second not 0), and its 95 % interval."""
    ratio = float(above.mean() / below.mean())
    if ratio == 0:
        return 0.0, (0.0, 0.0)
    error = NORMAL * sqrt(sum(4 * float(each.var()) / len(each) / float(each.mean()) ** 2 for each in (above, below)))
    return ratio, (exp(log(ratio) - error), exp(log(ratio) + error))


def _some(features: Tensor, random: np.random.Generator) -> Tensor:
    return features if len(features) <= ROWS else features[torch.from_numpy(random.permutation(len(features))[:ROWS])]
