"""Rows given away: real rows that some generated sample copies, exactly or nearly, among training and unseen rows.

Rows the model never saw show how many are met by chance; what training rows exceed them by is a leak. Counting copies
row by row finds a few copies that an average over all rows (the area under a curve) drowns: `given_away(evidence)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.attacks import Attack, Rate
from gannet.metrics.copies import near_radius
from gannet.metrics.evidence import Evidence
from gannet.metrics.neighbours import nearest

MOST_ROWS, MOST_GENERATED = 10_000, 20_000
"""Real rows a side that are looked for, and generated samples among which they are looked for."""
FEWEST = 20


@dataclass(frozen=True)
class GivenAway:
    """What the model gives away, and what real samples and copies in the samples' place would."""

    attack: Attack
    real: float
    copied: float
    samples: int


def given_away(evidence: Evidence, name: str = "being copied") -> GivenAway | None:
    """How much more often training rows have a near copy among the samples than unseen rows have.

    A near copy lies within a fifth of the usual distance from an unseen row to training. Without memory training and
    unseen rows are alike to the samples, whatever these are: also where they keep to the middle of the data.
    None with too few samples, and without samples that were set aside.
    """
    train, holdout, generated = (side.features for side in (evidence.train, evidence.holdout, evidence.generated))
    if not evidence.spared or min(len(train) // 2, len(holdout), len(generated)) < FEWEST:
        return None
    random = evidence.random("given away")
    holdout, generated = _some(holdout, MOST_ROWS, random), _some(generated, MOST_GENERATED, random)
    order = torch.from_numpy(random.permutation(len(train)))
    radius = near_radius(nearest(holdout, train, 1)[0][:, 0])
    rows = train[order[:MOST_ROWS]]
    met = _met(rows, generated, radius)
    asked, others = rows[: len(rows) // 2], train[order[len(rows) // 2 :]]
    return GivenAway(
        _attack(name, met, _met(holdout, generated, radius)),
        _attack(name, _met(asked, others, radius), _met(holdout, others, radius)).risk.value,
        _attack(name, _met(rows, rows, radius), _met(holdout, rows, radius)).risk.value,
        len(generated),
    )


def _met(rows: Tensor, samples: Tensor, radius: float) -> np.ndarray:
    """Which rows [n] have a sample within the radius."""
    return (nearest(rows, samples, 1)[0][:, 0] <= radius).numpy()


def _attack(name: str, main: np.ndarray, control: np.ndarray) -> Attack:
    on_training, on_unseen = (Rate.of(float(hits.mean()), len(hits)) for hits in (main, control))
    return Attack(name, len(main), on_training, on_unseen, naive=0.0)


def _some(features: Tensor, most: int, random: np.random.Generator) -> Tensor:
    return features[torch.from_numpy(random.permutation(len(features))[:most])]
