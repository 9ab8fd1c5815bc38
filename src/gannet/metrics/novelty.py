"""New? Whether generated samples are more than training samples given back.

`answer_new(evidence)` -> `Answer`: exact and near copies beside those among real samples, nearness to training against
an equal-sized holdout, authenticity (Alaa et al. 2022), and the nearest training samples side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.answer import Answer, Figure, Verdict
from gannet.metrics.copies import NEAR, exact_copies, near_radius
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.given_away import GivenAway, given_away
from gannet.metrics.memory import Memory, nearer_to_training
from gannet.metrics.neighbours import nearest
from gannet.metrics.shares import NORMAL, difference_interval, percent, share_interval
from gannet.metrics.side_by_side import show_pairs
from gannet.metrics.support import authenticity

QUESTION = "New?"
MOST_TRAIN, MOST_OTHERS = 50_000, 4000
"""Most training samples that are searched, and most generated and held-out ones that are searched for."""
MOST_COPIES = 500
"""Training samples that stand in for the generated ones, to show what a copying model scores."""
FEWEST = 20
COPIES, FEW_COPIES = 0.05, 0.01
"""Shares of copies beyond natural ones above which a model copies, or copies now and then."""
REMEMBERED, PARTLY_REMEMBERED = 0.5, 0.1
"""The same of samples that only memory explains."""


@dataclass(frozen=True)
class Copied:
    """Shares of copies among generated samples and among real ones, and the difference's 95 % interval."""

    generated: float
    natural: float
    interval: tuple[float, float]

    @classmethod
    def counted(cls, generated: Tensor, natural: Tensor) -> Copied:
        """From which generated [k] and which held-out samples [m] are copies."""
        shares = float(generated.double().mean()), float(natural.double().mean())
        return cls(*shares, difference_interval(shares[0], len(generated), shares[1], len(natural)))


@dataclass(frozen=True)
class Searched:
    """The samples that are looked at, and the nearest training sample of each."""

    train: Side
    holdout: Side
    generated: Side
    distances: Tensor
    """[generated] to the nearest training sample."""
    rows: Tensor
    """[generated] which training sample that is."""
    natural: Tensor
    """[holdout] distances of held-out samples to their nearest training sample."""


def answer_new(evidence: Evidence) -> Answer:
    """Whether the generated samples are new, with pictures or rows of the closest ones beside their training samples.

    Without real samples set aside (`spared` False) only copies can be found, never ruled out: the answer is then "no",
    "partly" or "unknown". The same evidence gives the same answer.
    """
    if min(len(evidence.train), len(evidence.holdout), len(evidence.generated)) < FEWEST:
        sentence = f"Fewer than {FEWEST} samples a side are too few to tell whether generated ones are new."
        return Answer("new", QUESTION, "unknown", sentence)
    random = evidence.random("new")
    searched = _search(evidence, random)
    exact = Copied.counted(
        *(exact_copies(searched.train, side, evidence.domain) for side in (searched.generated, searched.holdout))
    )
    radius = near_radius(searched.natural)
    near = Copied.counted(searched.distances <= radius, searched.natural <= radius)
    memory, copying = _memory(searched, random) if evidence.spared else (None, None)
    away = given_away(evidence)
    verdict = _verdict(exact, near, memory, away)
    tables, pictures, notes = show_pairs(
        evidence, searched.train, searched.generated, searched.distances, searched.rows, random
    )
    figures = [*_memory_figures(memory, copying), *_copy_figures(exact, near, searched)]
    figures += [*_away_figure(away), _authenticity(searched)]
    return Answer(
        "new",
        QUESTION,
        verdict,
        _sentence(verdict, exact, near, memory, away),
        figures,
        tables,
        pictures,
        [*_notes(evidence, searched, copying), *notes],
    )


def _search(evidence: Evidence, random: np.random.Generator) -> Searched:
    train = _some(evidence.train, MOST_TRAIN, random)
    holdout = _some(evidence.holdout, MOST_OTHERS, random)
    generated = _some(evidence.generated, MOST_OTHERS, random)
    distances, rows = nearest(generated.features, train.features, 1)
    natural = nearest(holdout.features, train.features, 1)[0]
    return Searched(train, holdout, generated, distances[:, 0], rows[:, 0], natural[:, 0])


def _some(side: Side, most: int, random: np.random.Generator) -> Side:
    return side if len(side) <= most else side.take(np.sort(random.permutation(len(side))[:most]))


def _memory(searched: Searched, random: np.random.Generator) -> tuple[Memory, Memory]:
    """Of the generated samples, and of training samples in their place."""
    train, holdout = searched.train.features, searched.holdout.features
    copies = train[torch.from_numpy(random.permutation(len(train))[:MOST_COPIES])]
    return nearer_to_training(train, holdout, searched.generated.features), nearer_to_training(train, holdout, copies)


def _verdict(exact: Copied, near: Copied, memory: Memory | None, away: GivenAway | None) -> Verdict:
    # Samples near the middle of the data are near everything, unseen samples too: nearness alone is no copying.
    low = None if memory is None else memory.remembered[1][0]
    beyond = exact.interval[0] if low is not None and low <= 0 else max(exact.interval[0], near.interval[0])
    if away is not None:
        beyond = max(beyond, away.attack.risk.interval[0])
    remembered = 0.0 if memory is None or memory.remembered[1][0] <= 0 else memory.remembered[0]
    if beyond > COPIES or remembered > REMEMBERED:
        return "no"
    if beyond > FEW_COPIES or remembered > PARTLY_REMEMBERED:
        return "partly"
    return "unknown" if memory is None else "yes"


def _sentence(verdict: Verdict, exact: Copied, near: Copied, memory: Memory | None, away: GivenAway | None) -> str:
    copies = (
        f"{percent(near.generated)} of the samples are near copies of training samples ({percent(exact.generated)} "
        f"exact ones), where {percent(near.natural)} of real samples are ({percent(exact.natural)} exact)"
    )
    if memory is None:
        lead = {"no": "The model copies", "partly": "The model copies now and then"}.get(
            verdict, "No copying was found"
        )
        rest = (
            "; without real samples set aside, memory short of copying cannot be told." if verdict == "unknown" else "."
        )
        return f"{lead}: {copies}{rest}"
    nearer = (
        f"{percent(memory.nearer[0])} lie nearer to training than to as many unseen real samples (50 % is no memory)"
    )
    if verdict == "yes":
        return f"The samples are new: {copies}, and {nearer}."
    lead = "The model copies" if verdict == "no" else "Some samples are remembered"
    share = percent(max(0.0, memory.remembered[0]))
    met = ""
    if away is not None and away.attack.risk.interval[0] > FEW_COPIES:
        main, control = (percent(rate.value) for rate in (away.attack.main, away.attack.control))
        met = f" {main} of training samples come back, {control} of unseen ones do."
    return f"{lead}: {copies}; memory explains {share} of the samples, and {nearer}.{met}"


def _away_figure(away: GivenAway | None) -> list[Figure]:
    if away is None:
        return []
    risk = away.attack.risk
    meaning = (
        f"share of training samples that come back among {away.samples:,} generated ones, exactly or nearly, beyond "
        "the share of unseen samples that are met by chance."
    )
    return [
        Figure("training samples given back", risk.value, risk.interval, away.real, None, "lower", meaning, away.copied)
    ]


def _memory_figures(memory: Memory | None, copying: Memory | None) -> list[Figure]:
    if memory is None or copying is None:
        return []
    return [
        Figure(
            "nearer to training",
            *memory.nearer,
            0.5,
            None,
            "lower",
            "share of samples nearer to training than to an equal number of unseen real samples: 0.5 is no memory.",
            copying=copying.nearer[0],
        ),
        Figure(
            "remembered",
            *memory.remembered,
            0.0,
            None,
            "lower",
            "share of samples that only memory explains, by how seldom their nearest real sample is an unseen one.",
            copying=copying.remembered[0],
        ),
    ]


def _copy_figures(exact: Copied, near: Copied, searched: Searched) -> list[Figure]:
    count = len(searched.generated)
    near_meaning = f"share of samples within {NEAR:g} of the usual distance from an unseen real sample to training."
    figures = [
        Figure(
            name, found.generated, share_interval(found.generated, count), found.natural, None, "lower", meaning, 1.0
        )
        for name, found, meaning in (
            ("exact copies", exact, "share of samples that equal a training sample."),
            ("near copies", near, f"{near_meaning[:-1]}, exact copies included."),
        )
    ]
    beyond = Figure(
        "copies beyond natural",
        near.generated - near.natural,
        near.interval,
        0.0,
        None,
        "lower",
        "near copies less those among unseen real samples: real data repeats itself, too.",
        copying=1 - near.natural,
    )
    return [*figures, beyond]


def _authenticity(searched: Searched) -> Figure:
    train = searched.train.features
    authentic = authenticity(train, searched.generated.features).double()
    value, reference, copying = (
        float(each.double().mean())
        for each in (
            authentic,
            authenticity(train, searched.holdout.features),
            authenticity(train, train[:MOST_COPIES]),
        )
    )
    # Samples with one nearest training sample share its fate.
    shared = torch.zeros(len(train), dtype=torch.float64).index_add_(0, searched.rows, authentic - value)
    error = NORMAL * float(shared.norm()) / len(authentic)
    return Figure(
        "authenticity",
        value,
        (max(0.0, value - error), min(1.0, value + error)),
        reference,
        None,
        "higher",
        "share of samples farther from their nearest training sample than that one is from its own nearest other.",
        copying,
    )


def _notes(evidence: Evidence, searched: Searched, copying: Memory | None) -> list[str]:
    notes = [
        f"searched: {len(searched.train):,} training, {len(searched.holdout):,} held-out and "
        f"{len(searched.generated):,} generated samples (at most {MOST_TRAIN:,}, {MOST_OTHERS:,}, {MOST_OTHERS:,})."
    ]
    if not evidence.spared:
        notes.append(
            "no real samples were set aside, so nearness to training cannot be told from nearness to the data: natural "
            "copies are those between two halves of the training samples, and copies of one half are found."
        )
    if len(searched.train) < len(evidence.train):
        beyond = len(evidence.train) - len(searched.train)
        notes.append(f"copies of the {beyond:,} training samples beyond the limit are not seen.")
    if copying is not None and copying.nearer[0] < 0.65:
        notes.append(
            f"so few real samples are unseen that even a copying model would lie nearer to training in only "
            f"{percent(copying.nearer[0])} of cases: rest on 'remembered' and on the copies."
        )
    return notes
