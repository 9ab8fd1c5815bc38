"""What a fixed number of generated samples tells beside as many real ones: variety, coverage, repeats, a fresh look.

Every reading is a ratio to what real samples score in the same place, over the domain's features, so it means the same
for pictures, rows and points. `sight = Sight(train, holdout, ...)`, then `sight.look(features, ...)` -> `Look`.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from torch import Tensor

from gannet.metrics import ReferenceStatistics, running_score
from gannet.watch import Look

COMPARED = 500
"""Samples a side behind every reading but the score: all their distances take milliseconds."""
NEIGHBOURS = 5
FEWEST_OF_A_CLASS = 10
REPEAT = 0.05
"""Samples nearer than this share of the middle distance between real neighbours repeat each other."""
IDENTICAL = 0.01
"""The same for samples that differ by rounding alone: above the rounding of fast distances (about .001 of a sample's
size), and far below what noise leaves, even in networks that begin with small outputs."""
RIDGE = 1e-2


class Sight:
    """Real samples in the forms that a look needs, prepared once.

    train, holdout, reference: features [n, d], [m, d] and, for the score, [r, d]; `spared`: whether the held-out
    ones are truly unseen; train_classes, holdout_classes: levels [n] and [m], or None; `names`: of the levels.
    """

    def __init__(
        self,
        train: Tensor,
        holdout: Tensor,
        *,
        reference: Tensor,
        spared: bool,
        train_classes: Tensor | None = None,
        holdout_classes: Tensor | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        self.reference = ReferenceStatistics.from_features(reference)
        self.spared, self.names = spared, names
        self.ceiling = running_score(self.reference, train)
        centre, scale = train.mean(0), train.std() + 1e-12
        self.centre, self.scale = centre, scale
        self.train, self.holdout = (self._scaled(side)[:COMPARED] for side in (train, holdout))
        self.train_classes = None if train_classes is None else train_classes[:COMPARED]
        self.holdout_classes = None if holdout_classes is None else holdout_classes[:COMPARED]
        between = torch.cdist(self.holdout, self.holdout)
        ordered = between.sort(1).values
        self.radii = ordered[:, min(NEIGHBOURS, len(ordered) - 1)]
        self.gap = float(ordered[:, 1].median()) if len(ordered) > 1 else 0.0
        self.between, self.spread = between, _mean_distance(between)
        real = torch.cdist(self.holdout, self.train)
        self.covered = real.amin(1) <= self.radii
        within = torch.cdist(self.train, self.train)
        self.real_repeats, self.real_identical = self._repeats(within), self._repeats(within, IDENTICAL)
        random = np.random.default_rng(0)
        self.fold = torch.from_numpy(random.permutation(2 * COMPARED) % 2 == 0)

    def look(
        self,
        generated: Tensor,
        classes: Tensor | None = None,
        *,
        ordered: float | None = None,
        ordered_train: float | None = None,
        surprise: float | None = None,
    ) -> Look:
        """A look at features [n, d] of generated samples (n the same every time), asked for as `classes` [n]."""
        score = running_score(self.reference, generated)
        if not generated.isfinite().all():
            return Look(float("inf"), self.ceiling)
        some = self._scaled(generated)[:COMPARED]
        between = torch.cdist(some, some)
        to_real = torch.cdist(self.holdout, some)
        covered = to_real.amin(1) <= self.radii
        return Look(
            score=score,
            ceiling=self.ceiling,
            variety=_mean_distance(between) / max(self.spread, 1e-12),
            class_variety={} if classes is None else self._class_variety(between, classes[:COMPARED]),
            coverage=float(covered.float().mean()) / max(float(self.covered.float().mean()), 1e-12),
            class_coverage=self._class_coverage(covered),
            repeats=max(0.0, self._repeats(between) - self.real_repeats),
            identical=max(0.0, self._repeats(between, IDENTICAL) - self.real_identical),
            told_apart=self._told_apart(some),
            ordered=ordered,
            ordered_train=ordered_train,
            surprise=surprise,
            nearer_train=self._nearer_train(some) if self.spared else None,
        )

    def _scaled(self, features: Tensor) -> Tensor:
        return (features - self.centre) / self.scale

    def _repeats(self, between: Tensor, share: float = REPEAT) -> float:
        """Share of samples with another one closer than a small share of the real neighbours' distance."""
        if len(between) < 2:
            return 0.0
        nearest = (between + torch.diag(torch.full((len(between),), torch.inf))).amin(1)
        return float((nearest < share * self.gap).float().mean())

    def _class_variety(self, between: Tensor, classes: Tensor) -> dict[str, float]:
        if self.holdout_classes is None:
            return {}
        found = {}
        for level, name in enumerate(self.names):
            ours, theirs = classes == level, self.holdout_classes == level
            if min(int(ours.sum()), int(theirs.sum())) >= FEWEST_OF_A_CLASS:
                spread = _mean_distance(self.between[theirs][:, theirs])
                found[name] = _mean_distance(between[ours][:, ours]) / max(spread, 1e-12)
        return found

    def _class_coverage(self, covered: Tensor) -> dict[str, float]:
        if self.holdout_classes is None:
            return {}
        usual = max(float(self.covered.float().mean()), 1e-12)
        return {
            name: float(covered[self.holdout_classes == level].float().mean()) / usual
            for level, name in enumerate(self.names)
            if int((self.holdout_classes == level).sum()) >= FEWEST_OF_A_CLASS
        }

    def _told_apart(self, generated: Tensor) -> float:
        """Accuracy of a ridge classifier on features, their squares and distances to centre; each half judged by the
        other."""
        count = min(len(self.train), len(generated))
        samples = torch.cat([self.train[:count], generated[:count]]).double()
        labels = torch.cat([torch.ones(count), -torch.ones(count)]).double()
        lifted = torch.cat([samples, samples.square(), torch.ones(2 * count, 1)], 1)
        lifted = lifted / lifted.square().mean(0).sqrt().clamp(min=1e-9)
        fold = self.fold[: 2 * count]
        right = 0.0
        for learn, judge in ((fold, ~fold), (~fold, fold)):
            x, y = lifted[learn], labels[learn]
            gram = x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
            weights = torch.linalg.solve(gram, x.T @ y)
            right += float(((lifted[judge] @ weights).sign() == labels[judge]).double().sum())
        return right / (2 * count)

    def _nearer_train(self, generated: Tensor) -> float:
        count = min(len(self.train), len(self.holdout))
        to_train = torch.cdist(generated, self.train[:count]).amin(1)
        to_holdout = torch.cdist(generated, self.holdout[:count]).amin(1)
        return float((to_train < to_holdout).float().mean() + (to_train == to_holdout).float().mean() / 2)


def standard_error(share: float, count: int) -> float:
    """Of a share observed on `count` samples."""
    return sqrt(max(share * (1 - share), 0.25 / count) / count)


def _mean_distance(between: Tensor) -> float:
    """Mean of the distances [n, n] between different samples."""
    count = len(between)
    return float(between.sum()) / (count * (count - 1)) if count > 1 else 0.0
