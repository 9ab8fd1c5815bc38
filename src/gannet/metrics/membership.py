"""Membership inference: can a stranger who sees only samples tell which real rows the model was trained on?

By distance to the nearest sample (Chen et al. 2020, black box) and by the ratio of densities (DOMIAS, van Breugel et
al. 2023), judged by AUC and at few false positives (Carlini et al. 2022): `membership_figures(evidence)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, sqrt

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.answer import Figure
from gannet.metrics.evidence import Evidence
from gannet.metrics.neighbours import nearest
from gannet.metrics.shares import NORMAL, share_interval

FALSE_POSITIVES = (0.01, 0.001)
"""Shares of non-members that an attacker may wrongly accuse."""
MOST = 10_000
"""Members, and as many non-members, that are attacked at most; also the most rows of the reference density."""
MOST_GENERATED = 20_000
FEWEST = 20
"""Rows a side below which no attack is measured."""
NEAR = 1e-3
"""Distances below this share of the usual one count as none: a copy differs from its row by rounding."""

Measured = tuple[float, tuple[float, float]]
"""A value and its 95 % interval."""


@dataclass(frozen=True)
class Advantage:
    """How well one score tells members from as many non-members."""

    auc: Measured
    """Chance that a member scores higher than a non-member: 0.5 is guessing, 1 is certainty."""
    found: dict[float, Measured]
    """Share of members found, by the share of non-members wrongly accused; only where there are enough of them."""


def advantage(members: Tensor, others: Tensor) -> Advantage:
    """Judge an attack by its scores (higher: rather a member) of members [m] and of non-members [n].

    A rate at f false positives is measured where n >= 1 / f.
    """
    enough = [rate for rate in FALSE_POSITIVES if len(others) * rate >= 1]
    return Advantage(area(members, others), {rate: found_at(members, others, rate) for rate in enough})


def area(members: Tensor, others: Tensor) -> Measured:
    """AUC of scores [m] and [n], ties counted half, and its interval.

    The variance is DeLong's (DeLong et al. 1988); Wilson's interval at the count with that variance keeps it
    within 0 and 1 and never empty.
    """
    above, below = _share_below(members, others), 1 - _share_below(others, members)
    value = float(above.mean())
    variance = float(above.var(correction=1)) / len(members) + float(below.var(correction=1)) / len(others)
    count = value * (1 - value) / variance if variance > 0 else min(len(members), len(others))
    return value, share_interval(value, max(1, round(count)))


def found_at(members: Tensor, others: Tensor, rate: float) -> Measured:
    """Share of members [m] above the threshold that `rate` of the non-members [n] pass, and its interval.

    Ties fall in any order, so that without an advantage the expected share is `rate`. The threshold is as uncertain as
    the few non-members above it, hence the interval of a ratio of two shares (Katz et al. 1978).
    """
    place = rate * (len(others) + 1)
    whole = floor(place)
    lower, upper = _members_before(members, others, whole), _members_before(members, others, whole + 1)
    hits = lower + (place - whole) * (upper - lower)
    share = hits / len(members)
    spread = 1 / max(hits, 0.5) - 1 / len(members) + 1 / place - 1 / len(others)
    reach = exp(NORMAL * sqrt(max(0.0, spread)))
    most = max(hits, 0.5) / len(members) * reach
    return share, (share / reach, min(1.0, max(most, share)))


def _members_before(members: Tensor, others: Tensor, place: int) -> float:
    """How many members are expected to score above the non-member of that place from the top (1 is the highest)."""
    if place > len(others):
        return float(len(members))
    threshold = others.topk(place).values[-1]
    above, tied = int((members > threshold).sum()), int((members == threshold).sum())
    others_above, others_tied = int((others > threshold).sum()), int((others == threshold).sum())
    return above + tied * (place - others_above) / (others_tied + 1)


def _share_below(scores: Tensor, among: Tensor) -> Tensor:
    """For each score [n] the share of `among` [m] that lies below it, ties counted half."""
    ordered = among.sort().values
    return (torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True)) / 2 / len(among)


def attack_scores(rows: Tensor, generated: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """Scores [n] of both attacks on real rows [n, d]; higher: rather a member.

    `generated` [m, d] are the model's samples; `reference` [r, d] are real rows apart from those attacked.
    Density by the nearest neighbour: p(x) ~ 1 / (count * distance^d), so that the ratio orders rows as
    log(distance to the nearest real row) - log(distance to the nearest sample).
    """
    to_generated, to_reference = nearest(rows, generated, 1)[0][:, 0], nearest(rows, reference, 1)[0][:, 0]
    least = NEAR * float(to_reference.median()) or 1e-12
    return {
        "distance": -(to_generated.clamp(min=least)),
        "density ratio": (to_reference + least).log() - (to_generated + least).log(),
    }


@dataclass(frozen=True)
class _Parts:
    """Features of disjoint sets of real rows."""

    members: Tensor
    others: Tensor
    rest: Tensor
    """Training rows that are not attacked."""

    def attack(self, generated: Tensor, reference: Tensor) -> dict[str, Advantage]:
        rows = torch.cat([self.members, self.others])
        scores = attack_scores(rows, generated, reference)
        return {name: advantage(*values.split(len(self.members))) for name, values in scores.items()}


def membership_figures(evidence: Evidence) -> tuple[list[Figure], list[str]]:
    """Figures of both attacks on equal counts of training and held-out samples, and notes.

    The reference density comes from training samples that are not attacked: to them members and non-members are alike,
    so it favours neither. Beside each figure: real samples, and copies of training samples, in the samples' place.
    No figures (and a note that says why) when fewer than `FEWEST` samples can be spared for either part.
    """
    random = evidence.random("membership")
    parts = _parts(evidence, random)
    if min(len(parts.members), len(parts.rest), len(evidence.generated)) < FEWEST:
        return [], [f"no membership attack: it takes at least {FEWEST} held-out and {2 * FEWEST} training samples."]
    generated = _some(evidence.generated.features, MOST_GENERATED, random)
    reference = parts.rest[:MOST]
    attacked = parts.attack(generated, reference)
    copied = parts.attack(_some(evidence.train.features, len(generated), random), reference)
    fresh, density = parts.rest[: len(generated) + MOST].tensor_split(2)
    real = parts.attack(fresh, density)
    figures = [figure for name in attacked for figure in _figures(name, attacked[name], real[name], copied[name])]
    return figures, _notes(len(parts.others), len(generated))


def _parts(evidence: Evidence, random: np.random.Generator) -> _Parts:
    train, holdout = evidence.train.features, evidence.holdout.features
    count = min(len(holdout), len(train) // 2, MOST)
    order = torch.from_numpy(random.permutation(len(train)))
    return _Parts(train[order[:count]], _some(holdout, count, random), train[order[count:]])


def _some(features: Tensor, most: int, random: np.random.Generator) -> Tensor:
    return features[torch.from_numpy(random.permutation(len(features))[:most])]


def _figures(name: str, attacked: Advantage, real: Advantage, copied: Advantage) -> list[Figure]:
    figures = [
        Figure(
            f"membership AUC, {name}",
            *attacked.auc,
            reference=real.auc[0],
            floor=None,
            better="lower",
            meaning="chance that the attack ranks a training sample above an unseen one; 0.5 is guessing.",
            copying=copied.auc[0],
        )
    ]
    for rate, found in attacked.found.items():
        figures.append(
            Figure(
                f"members found at {100 * rate:g} % false alarms, {name}",
                *found,
                reference=real.found[rate][0],
                floor=None,
                better="lower",
                meaning="share of training samples recognised while so few unseen ones are wrongly accused; "
                f"guessing finds {100 * rate:g} %.",
                copying=copied.found[rate][0],
            )
        )
    return figures


def _notes(count: int, generated: int) -> list[str]:
    notes = [
        f"membership: {count:,} training and as many held-out samples attacked by way of {generated:,} generated ones."
    ]
    for rate in FALSE_POSITIVES:
        if count * rate < 1:
            missed = f"members found at {100 * rate:g} % false alarms"
            notes.append(f"{missed}: not measured, it takes {1 / rate:,.0f} held-out samples.")
    return notes
