"""Alpha-precision, beta-recall and authenticity (Alaa et al. 2022, sections 3 and 4), sample by sample, then summed up.

`alpha_precision(real, generated)` and `beta_recall(real, generated)` are the integrated scores, 1 minus twice the area
between curve and diagonal; `authenticity(train, generated)` says of each sample whether it is no copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics.neighbours import TIE, least_within, nearest, radii

LEVELS = 100
"""Levels of alpha and beta at which a curve is read, evenly spaced: 0.005, 0.015, ..., 0.995."""
FEWEST = 8
"""Real samples without which no half of them gives a centre and a spread."""


@dataclass(frozen=True)
class Hypersphere:
    """Where real features lie: a centre [d] and a map [d, d] under which they spread alike in every direction."""

    centre: Tensor
    whitening: Tensor

    @classmethod
    def around(cls, real: Tensor) -> Hypersphere:
        """The sphere around features [n, d]: their mean, and the inverse root of their shrunk covariance.

        Shrinking towards the mean variance (oracle approximating shrinkage, Chen et al. 2010, eq. 23) keeps the map
        finite where features are constant or outnumber the samples.
        """
        rows, width = real.shape
        centre = real.mean(0, dtype=torch.float64)
        deviations = real.double() - centre
        covariance = deviations.T @ deviations / rows
        trace, square = float(covariance.trace()), float(covariance.square().sum())
        if trace == 0:
            return cls(centre, torch.eye(width, dtype=torch.float64, device=real.device))
        numerator = (1 - 2 / width) * square + trace**2
        denominator = (rows + 1 - 2 / width) * (square - trace**2 / width)
        share = 1.0 if denominator <= 0 else min(1.0, max(0.0, numerator / denominator))
        values, vectors = torch.linalg.eigh(covariance)
        shrunk = (1 - share) * values.clamp(min=0) + share * trace / width
        return cls(centre, vectors / shrunk.sqrt())

    def distances(self, features: Tensor, centre: Tensor | None = None) -> Tensor:
        """Distance [n] of features [n, d] from the sphere's centre, or from another, under the map."""
        centre = self.centre if centre is None else centre
        return ((features.double() - centre) @ self.whitening).norm(dim=1)


def alpha_precision(real: Tensor, generated: Tensor) -> float:
    """How well the generated features [m, d] fill the real ones' [n, d] supports of every mass, from 0 to 1 (best).

    P(alpha) is the share of generated samples within the ball that holds a share alpha of real ones; the score is 1 - 2
    times the mean of |P(alpha) - alpha| (section 3.1). The ball is placed by one half of the real samples and its size
    read off the other, both ways, because samples lie nearer to a centre that they decided. Where ties put more than
    alpha into a ball, the mass it really holds takes alpha's place.
    Raises GannetError for fewer than 8 real samples.
    """
    _enough(real)
    halves = real[::2], real[1::2]
    scores = [_alpha_score(fitted, scored, generated) for fitted, scored in (halves, halves[::-1])]
    return sum(scores) / 2


def _alpha_score(fitted: Tensor, scored: Tensor, generated: Tensor) -> float:
    sphere = Hypersphere.around(fitted)
    inside, samples = sphere.distances(scored), sphere.distances(generated)
    edges = inside.sort().values
    ranks = (_levels(edges) * len(edges)).ceil().long() - 1
    limits = edges[ranks] * (1 + TIE)
    return _integrated(_shares(samples, limits), _shares(inside, limits))


def beta_recall(real: Tensor, generated: Tensor, *, neighbours: int = 1) -> float:
    """How well the generated features' [m, d] supports of every mass cover the real ones [n, d], from 0 to a ceiling.

    R(beta) is the share of real samples that have, within the distance of their k-th real neighbour, a generated sample
    of the ball that holds a share beta of generated ones; the score is 1 - 2 times the mean of |R(beta) - beta|
    (sections 3.1 and 4). Balls are measured as for `alpha_precision`, neighbours in the features' own space.
    **A perfect generator scores about 0.5** with one neighbour and as many samples as real ones: a real and a generated
    sample are equally likely to be the nearer. Print it beside real samples in the generated ones' place.
    Raises GannetError for fewer than 8 real samples or no generated one.
    """
    _enough(real)
    if not len(generated):
        raise GannetError("0 generated samples cover nothing: draw some")
    distances = Hypersphere.around(real).distances(generated, generated.mean(0, dtype=torch.float64))
    edges = distances.sort().values
    mass = torch.searchsorted(edges, distances * (1 + TIE), right=True).double() / len(edges)
    reached = least_within(real, radii(real, neighbours), generated, mass)
    levels = _levels(reached)
    return _integrated(_shares(reached, levels + 1e-12), levels)


def authenticity(train: Tensor, generated: Tensor) -> Tensor:
    """Which generated features [m, d] are no copies of training ones [n, d]: [m] bool (section 4.3).

    A sample is a copy when it lies no farther from its nearest training sample than that one's nearest other training
    sample does. Of fresh real samples a third pass in one dimension and most in many (two points drawn at random are
    often each other's nearest): read the mean beside theirs.
    Raises GannetError for fewer than two training samples.
    """
    distances, nearest_row = nearest(generated, train, 1)
    rows, place = nearest_row[:, 0].unique(return_inverse=True)
    spacing = nearest(train[rows], train, 2)[0][:, 1]  # the nearest of all is the row itself, or its twin
    return distances[:, 0].square() > spacing[place].square() * (1 + TIE)


def _enough(real: Tensor) -> None:
    if len(real) < FEWEST:
        raise GannetError(f"{len(real)} real samples are too few to tell where their mass lies: give at least {FEWEST}")


def _levels(beside: Tensor) -> Tensor:
    return (torch.arange(LEVELS, dtype=torch.float64, device=beside.device) + 0.5) / LEVELS


def _shares(values: Tensor, limits: Tensor) -> Tensor:
    """Share of values at or below each of the limits [k]."""
    return torch.searchsorted(values.sort().values, limits, right=True).double() / len(values)


def _integrated(curve: Tensor, diagonal: Tensor) -> float:
    return max(0.0, 1 - 2 * float((curve - diagonal).abs().mean()))
