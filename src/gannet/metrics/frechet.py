"""Fréchet distance between two sets of features, each as a Gaussian (Dowson & Landau 1982; Heusel et al. 2017).

`frechet_distance(real, generated)` for a report; `running_score(ReferenceStatistics.from_features(real), generated)`
for a cheap score during training. No matrix square root: a covariance is kept as a triangular root, so n < d is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from gannet.errors import GannetError

CHUNK_ROWS = 4096
RUNNING_SAMPLES = 1000
"""Generated samples behind every running score: the distance falls with their number, so it must not change."""
RUNNING_WIDTH = 128
"""Features behind a running score: wider ones are projected, so that it stays cheap."""
NARROW = 32
"""Features narrower than this are lifted: mean and covariance of two columns cannot tell a ring from a blob."""


@dataclass(frozen=True)
class Moments:
    """Mean [d] and covariance `root.T @ root` [d, d] of a set of features, in float64; `root` is upper triangular."""

    mean: Tensor
    root: Tensor

    @classmethod
    def from_features(cls, features: Tensor) -> Moments:
        """The unbiased moments of features [n, d], n >= 2; memory beside the features: d * (d + 4096) numbers."""
        assert features.dim() == 2 and len(features) >= 2, f"features [n >= 2, d], not {tuple(features.shape)}"
        rows = len(features)
        mean = features.mean(0, dtype=torch.float64)
        root = torch.zeros(0, features.shape[1], dtype=torch.float64, device=features.device)
        for chunk in features.split(CHUNK_ROWS):
            root = torch.linalg.qr(torch.cat([root, chunk.double() - mean]), mode="r").R
        return cls(mean, root / sqrt(rows - 1))

    @property
    def total_variance(self) -> float:
        """Sum of the features' variances: the trace of the covariance."""
        return float(self.root.square().sum())


def distance_between(first: Moments, second: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson & Landau 1982, eq. 4).

    With C = R^T R the last trace is the sum of the singular values of R1 R2^T, which never leaves the real numbers,
    needs no small number on the diagonal and is exact for singular covariances.
    """
    shift = float((first.mean - second.mean).square().sum())
    overlap = float(torch.linalg.svdvals(first.root @ second.root.T).sum())
    return max(0.0, shift + first.total_variance + second.total_variance - 2 * overlap)


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance between features [n, d] and [m, d]; in squared units of the features, 0 = the same Gaussian.

    Biased upwards, the more the fewer samples: compare only figures of equal counts.
    """
    return distance_between(Moments.from_features(real), Moments.from_features(generated))


def frechet_error(real: Tensor, generated: Tensor) -> float:
    """Standard error of the Fréchet distance between features [n, d] and [m, d], by its derivative in every sample.

    With T the optimal map of one Gaussian onto the other (Dowson & Landau 1982, eq. 5), a sample at x from its side's
    mean moves the distance by 2 x.(m - m') + |x|^2 - x.Tx; the spread of that over the samples is the error (the
    delta method). Two equal sets have T = 1 and no error to first order: there it errs high, as their maps differ.
    """
    sides = [side.double() for side in (real, generated)]
    means = [side.mean(0) for side in sides]
    deviations = [side - mean for side, mean in zip(sides, means, strict=True)]
    covariances = [side.T @ side / (len(side) - 1) for side in deviations]
    return sqrt(
        sum(
            float(_moved(deviations[one], covariances[one], means[one] - means[other], covariances[other]).var())
            / len(deviations[one])
            for one, other in ((0, 1), (1, 0))
        )
    )


def _moved(deviations: Tensor, own: Tensor, shift: Tensor, other: Tensor) -> Tensor:
    """How far each sample [n, d] moves the distance: T lives where the samples do, whatever their number."""
    values, vectors = torch.linalg.eigh(own)
    kept = values > 1e-12 * float(values[-1])
    if not bool(kept.any()):
        return 2 * deviations @ shift
    vectors, scale = vectors[:, kept], values[kept].sqrt()
    between = scale[:, None] * (vectors.T @ other @ vectors) * scale
    squares, turned = torch.linalg.eigh(between)
    root = (turned * squares.clamp(min=0).sqrt()) @ turned.T
    inside = deviations @ vectors / scale
    return 2 * deviations @ shift + deviations.square().sum(1) - ((inside @ root) * inside).sum(1)


@dataclass(frozen=True)
class ReferenceStatistics:
    """What a running score compares with: the moments of prepared real features, and how to prepare generated ones.

    Everything is float64 on the processor, whatever device the features come from.
    """

    moments: Moments
    projection: Tensor | None
    """[d, 128] orthonormal columns for wide features; None when they are used whole."""
    frequencies: Tensor | None
    """[d, 3 * 32] of the random cosines that narrow features are lifted by; None when they are wide enough."""
    centre: Tensor
    scale: float

    @classmethod
    def from_features(cls, features: Tensor, *, seed: int = 0) -> ReferenceStatistics:
        """Sum up real features [n, d]; n of 1,000 or more makes the score's noise that of the generated samples.

        Pure: the same features and seed give the same statistics, so a resumed run need not store them.
        Raises GannetError for fewer than 2 rows or values that are not finite.
        """
        if len(features) < 2:
            raise GannetError(f"the running score needs at least 2 real samples, found {len(features)}: give more data")
        if not bool(features.isfinite().all()):
            raise GannetError("the real samples' features hold NaN or infinity: clean the data before training")
        features = features.detach().cpu().double()
        width = features.shape[1]
        draw = torch.Generator().manual_seed(seed)
        projection = _orthonormal(width, RUNNING_WIDTH, draw) if width > RUNNING_WIDTH else None
        centre = features.mean(0)
        scale = float((features - centre).square().mean().sqrt()) or 1.0
        frequencies = _frequencies(width, draw) if width < NARROW else None
        bare = cls(Moments(centre, centre[None]), projection, frequencies, centre, scale)
        return cls(Moments.from_features(bare.prepare(features)), projection, frequencies, centre, scale)

    def prepare(self, features: Tensor) -> Tensor:
        """Features [n, d] -> the columns [n, at most 128] whose moments are compared, float64."""
        prepared = (features.detach().cpu().double() - self.centre) / self.scale
        if self.projection is not None:
            return prepared @ self.projection
        if self.frequencies is not None:
            phases = prepared @ self.frequencies
            return torch.cat([prepared, phases.cos(), phases.sin()], 1)
        return prepared


def running_score(reference: ReferenceStatistics, features: Tensor) -> float:
    """Fréchet distance of generated features [n, d] to the reference, in shares of the reference's total variance.

    0 = the same moments; 1 = as far as a generator that always gives the average sample; infinity when the features
    are not finite. Always score the same number of samples (`RUNNING_SAMPLES`). Deterministic; about 20 ms.
    """
    if not bool(features.isfinite().all()):
        return float("inf")
    moments = Moments.from_features(reference.prepare(features))
    return distance_between(reference.moments, moments) / (reference.moments.total_variance or 1.0)


def _orthonormal(rows: int, columns: int, draw: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(rows, columns, generator=draw, dtype=torch.float64)).Q


def _frequencies(width: int, draw: torch.Generator) -> Tensor:
    """Random Fourier frequencies [width, 48] (Rahimi & Recht 2007) at three length scales of unit-size data."""
    lengths = torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64).repeat_interleave(16) * sqrt(width)
    return torch.randn(width, 48, generator=draw, dtype=torch.float64) / lengths
