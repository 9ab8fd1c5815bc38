"""Modes of real features: the cells of k-means (Lloyd 1982, seeded after Arthur & Vassilvitskii 2007).

`modes = find_modes(real, count, random)`, then `modes.weights(samples)`: the share of samples in every mode. A mode
that is dropped, or given far less than its share, shows whether or not anyone has named it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STARTS, ROUNDS = 3, 30
SETTLED = 1e-4
"""Share by which the mean squared distance must fall for another round to be worth it."""
ROWS = 10_000
"""Most samples that modes are found among."""
FAIR = 0.25
"""A mode counts as found with at least this share of the samples that real ones would put there."""
BLOCK_ROWS = 4096
ROUNDING = 1e-12
EXPECTED = 20
"""Samples to be expected in a mode for its absence to be no chance: five or fewer come once in 14,000."""


@dataclass(frozen=True)
class Modes:
    """Centres [k, d] and the share [k] of real samples nearest to each."""

    centres: Tensor
    shares: Tensor

    def weights(self, features: Tensor) -> Tensor:
        """Share [k] of features [n, d] in every mode, float64."""
        return _shares(_assigned(features, self.centres)[0], len(self.centres))

    def judged(self, count: int) -> Tensor:
        """Which modes [k] are large enough to be missed among `count` samples."""
        return self.shares * count >= EXPECTED

    def found(self, features: Tensor) -> Tensor:
        """Which modes [k] have at least a quarter of their fair share of features [n, d]."""
        return self.weights(features) >= FAIR * self.shares

    def total_variation(self, features: Tensor) -> float:
        """Half the summed difference of the weights: the share of samples that lie in the wrong mode."""
        return float((self.weights(features) - self.shares).abs().sum() / 2)


def find_modes(real: Tensor, count: int, random: np.random.Generator) -> Modes:
    """At most `count` modes of real features [n, d]: fewer when there are fewer different samples.

    The best of three starts, on at most 10,000 samples; the shares are of all.
    """
    chosen = real if len(real) <= ROWS else real[torch.from_numpy(random.permutation(len(real))[:ROWS])]
    centre = chosen.mean(0, dtype=torch.float64)
    runs = [_lloyd(chosen.double() - centre, count, random) for _ in range(STARTS)]
    centres = min(runs, key=lambda run: run[1])[0] + centre
    return Modes(centres, _shares(_assigned(real, centres)[0], len(centres)))


def _lloyd(points: Tensor, count: int, random: np.random.Generator) -> tuple[Tensor, float]:
    """Centres [<= count, d] and the mean squared distance of the points to them."""
    centres = _seeds(points, count, random)
    before = float("inf")
    for _ in range(ROUNDS):
        place, squared = _assigned(points, centres)
        spread = float(squared.mean())
        if spread >= before * (1 - SETTLED):
            break
        before = spread
        sizes = torch.bincount(place, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, place, points)
        centres = (sums / sizes.clamp(min=1)[:, None])[sizes > 0]
    return centres, spread


def _seeds(points: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Points drawn one after another, each with a chance in proportion to its squared distance from those before."""
    chosen = [int(random.integers(len(points)))]
    squared = _assigned(points, points[chosen])[1]
    while len(chosen) < count and float(squared.max()) > 0:
        steps = squared.cumsum(0)
        drawn = int(torch.searchsorted(steps, random.random() * float(steps[-1]), right=True))
        chosen.append(min(drawn, len(points) - 1))
        squared = torch.minimum(squared, _assigned(points, points[chosen[-1:]])[1])
    return points[chosen]


def _assigned(features: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre [n] of every feature [n, d] and the squared distance [n] to it, a block at a time."""
    origin = centres.mean(0)
    centres = centres.double() - origin
    pieces = []
    for some in features.split(BLOCK_ROWS):
        points = some.double() - origin
        squares = points.square().sum(1, keepdim=True) + centres.square().sum(1)
        squared = squares - 2 * points @ centres.T
        # A product leaves a rest where a point lies on a centre.
        squared[squared < ROUNDING * squares] = 0
        pieces.append(squared.min(1))
    return torch.cat([piece.indices for piece in pieces]), torch.cat([piece.values for piece in pieces])


def _shares(place: Tensor, count: int) -> Tensor:
    return torch.bincount(place, minlength=count).double() / len(place)
