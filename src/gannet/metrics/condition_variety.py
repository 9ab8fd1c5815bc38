"""Variety of each class on its own: are the real samples of the class covered, and do its samples differ?

`class_variety(train, generated, spec, random)` compares what the model gave for a class with that class's real samples,
so it sees a class that is missing, one that shows another, and one whose samples are all alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.evidence import Side
from gannet.metrics.neighbours import DENSITY_NEIGHBOURS, neighbour_scores
from gannet.metrics.spread import mean_distances, ratio_with_interval
from gannet.spec import Spec

MOST_ROWS = 500
"""Most samples of a class whose neighbours are looked at."""
FEWEST = 2 * DENSITY_NEIGHBOURS
"""Samples of a class, in each half of the real ones, below which it is not judged."""
MOST_CLASSES = 50
MISSING, ALIKE = 0.25, 0.5
"""Shares of what real samples reach below which a class counts as missing, or its samples as hardly different."""


@dataclass(frozen=True)
class ClassVariety:
    """One class: shares of all samples, and coverage and spread beside those of real samples."""

    name: str
    real_share: float
    generated_share: float
    coverage: float
    real_coverage: float
    spread: float | None
    """Mean distance within the class's generated samples over that within its real ones; None where real ones do not
    differ."""
    spread_interval: tuple[float, float] | None
    real_spread: float | None
    """The same of two halves of the real samples."""

    @property
    def missing(self) -> bool:
        """Whether hardly any real sample of the class has a generated one of the class close by."""
        return self.coverage < MISSING * self.real_coverage

    @property
    def alike(self) -> bool:
        """Whether the class's samples differ less than half as much as real ones."""
        return self.spread is not None and self.spread < ALIKE

    @property
    def verdict(self) -> str:
        """One word or two for a table."""
        return "missing" if self.missing else "hardly any variety" if self.alike else "there"


def class_field(spec: Spec) -> int | None:
    """The first field of the condition that is a class; None without one."""
    fields = spec.condition.fields if spec.condition is not None else ()
    return next((place for place, field in enumerate(fields) if field.levels is not None), None)


def class_variety(
    train: Side, generated: Side, spec: Spec, random: np.random.Generator
) -> tuple[list[ClassVariety], list[str]]:
    """Every class of the first class field, the commonest 50, and the names of those too small to judge.

    Real samples of a class fall into two halves: one is to be covered, the other shows what real ones cover. All counts
    are equal within a class, at most 500. Empty without classes.
    """
    place = class_field(spec)
    if place is None or spec.condition is None:
        return [], []
    levels = spec.condition.fields[place].levels
    real_classes, classes = train.classes(spec, place), generated.classes(spec, place)
    if levels is None or real_classes is None or classes is None:
        return [], []
    counts = torch.bincount(real_classes, minlength=len(levels))
    judged, small = [], []
    for level in counts.argsort(descending=True, stable=True)[:MOST_CLASSES].sort().values.tolist():
        real, made = train.features[real_classes == level], generated.features[classes == level]
        owed = int(counts[level]) / len(train) * len(generated)
        count = min(len(real) // 2, int(owed), MOST_ROWS)
        if count < FEWEST:
            small.append(levels[level])
            continue
        order = torch.from_numpy(random.permutation(len(real)))
        halves = real[order[:count]], real[order[count : 2 * count]]
        made = made[torch.from_numpy(random.permutation(len(made))[:count])]
        shares = float(counts[level]) / len(train), float((classes == level).double().mean())
        judged.append(_judge(levels[level], shares, halves, made))
    return judged, small


def _judge(name: str, shares: tuple[float, float], halves: tuple[Tensor, Tensor], made: Tensor) -> ClassVariety:
    real, other = halves
    among = mean_distances(real)
    usual = float(among.mean())
    spread, interval = (None, None) if usual == 0 or len(made) < 2 else ratio_with_interval(mean_distances(made), among)
    return ClassVariety(
        name,
        *shares,
        coverage=_coverage(real, made),
        real_coverage=_coverage(real, other),
        spread=spread,
        spread_interval=interval,
        real_spread=None if usual == 0 else float(mean_distances(other).mean()) / usual,
    )


def _coverage(real: Tensor, other: Tensor) -> float:
    if len(other) <= DENSITY_NEIGHBOURS:  # too few for neighbours of their own, and for covering anything
        return 0.0
    return neighbour_scores(real, other).means()["coverage"]
