"""Every figure over one set of features: generated samples against held-out ones, with real samples in the same place.

`evaluate_features(train, holdout, generated, embedder=..., resize=..., seed=...)` gives a `Report`. All comparisons use
the same number of samples, because distances shrink and coverage changes with that number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics.answer import Better, Figure
from gannet.metrics.frechet import CHUNK_ROWS, frechet_distance, frechet_error
from gannet.metrics.intervals import (
    NORMAL,
    Interval,
    folded,
    mean_with_interval,
    parted,
    share_with_interval,
    wider,
    within,
)
from gannet.metrics.kernel import SUBSET_ROWS, Kernel, bounded, cubic, subset_distances
from gannet.metrics.neighbours import DENSITY_NEIGHBOURS, PRECISION_NEIGHBOURS, neighbour_scores
from gannet.metrics.report import Protocol, Report
from gannet.metrics.sliced_wasserstein import sliced_wasserstein

METRICS_VERSION = "2"
"""Raise it when a figure's definition changes: reports of different versions are not compared."""
LIMIT = 10_000
FEWEST = 10
FEW = 500

Scores = dict[str, tuple[float, Interval]]

MEANINGS: dict[str, tuple[Better, str]] = {
    "Fréchet distance": ("lower", "how far the average and the spread of the features lie from real ones."),
    "kernel distance": ("lower", "how far the whole distribution lies from the real one; about 0 when it is the same."),
    "sliced Wasserstein": (
        "lower",
        "how far samples would have to move, on average, to become distributed as real ones.",
    ),
    "precision": ("higher", "share of generated samples that lie where real ones lie: do they look real?"),
    "recall": ("higher", "share of real samples that lie where generated ones lie: is everything there?"),
    "density": ("higher", "how densely real samples surround a generated one; 1 is as among real ones."),
    "coverage": ("higher", "share of real samples with a generated one close by: are rare kinds there, too?"),
}


def evaluate_features(
    train: Tensor,
    holdout: Tensor | None,
    generated: Tensor,
    *,
    embedder: str,
    resize: str | None,
    seed: int,
    noise: Tensor | None = None,
    limit: int | None = LIMIT,
    scale_free: bool = True,
    data: str | None = None,
) -> Report:
    """Judge generated features [m, d] by held-out ones [h, d], beside training ones [n, d] in the same place.

    `holdout=None` (too little data to spare any): half of the training samples stands in, which the report says.
    `noise` [at least as many, d]: features of samples that are wrong on purpose, for the floor. `limit`: most samples a
    side (None: no limit). `scale_free`: features are centred and divided by the training features' root mean square
    deviation first, and the kernel distance takes a bounded kernel; turn it off for figures as in print. `data`:
    fingerprint of the data, kept in the protocol.
    The seed draws the subsets and the lines; the same features and seed give the same report.
    Raises GannetError for sets that are too small, of different widths, or not finite.
    """
    given = {"training": train, "held-out": holdout, "generated": generated, "noise": noise}
    sets = {
        name: checked_features(name, features, train.shape[1])
        for name, features in given.items()
        if features is not None
    }
    chosen = equal_counts(sets, limit, seed)
    if scale_free:
        chosen = in_real_units(chosen, sets["training"])
    kernel = bounded(chosen.real) if scale_free else cubic
    scores = feature_scores(chosen.real, chosen.generated, kernel, seed, intervals=True)
    references = feature_scores(chosen.real, chosen.stand_in, kernel, seed, intervals=False)
    floors = None if chosen.noise is None else feature_scores(chosen.real, chosen.noise, kernel, seed, intervals=False)
    figures = [
        Figure(name, *scores[name], references[name][0], None if floors is None else floors[name][0], better, meaning)
        for name, (better, meaning) in MEANINGS.items()
    ]
    protocol = Protocol(
        count=len(chosen.real),
        features=train.shape[1],
        embedder=embedder,
        resize=resize,
        reference="half of the training samples" if holdout is None else "held-out samples",
        unit="the training features' deviation" if scale_free else "the features' own",
        seed=seed,
        metrics=METRICS_VERSION,
        data=data,
    )
    return Report(protocol, figures, _notes(protocol))


@dataclass(frozen=True)
class Compared:
    """Features of subsets of one size [count, d]: distances shrink with the count, so all comparisons share it."""

    real: Tensor
    generated: Tensor
    stand_in: Tensor
    """Real training samples in the place of generated ones."""
    noise: Tensor | None


def checked_features(name: str, features: Tensor, width: int) -> Tensor:
    """The features [n, width], detached, where float64 exists; GannetError if few, of another width or not finite."""
    if features.dim() != 2 or features.shape[1] != width:
        raise GannetError(
            f"{name} features have shape {list(features.shape)}, training features have {width} columns: "
            "embed all samples with the same embedder"
        )
    if len(features) < FEWEST:
        raise GannetError(f"{len(features)} {name} samples are too few to judge: give at least {FEWEST}")
    bad = int((~features.isfinite().all(1)).sum())
    if bad:
        raise GannetError(
            f"{bad} of {len(features)} {name} samples have features that are NaN or infinite: "
            "look for such values in the samples"
        )
    # Apple's accelerator has no float64, and the figures need it.
    return features.detach().cpu() if features.device.type == "mps" else features.detach()


def equal_counts(sets: dict[str, Tensor], limit: int | None, seed: int) -> Compared:
    """Random subsets of one size of the sets named "training", "generated" and, where given, "held-out" and "noise".

    Without held-out samples the training samples are halved. Raises GannetError for sets that are too small.
    """
    draw = torch.Generator().manual_seed(seed)
    order = {name: torch.randperm(len(rows), generator=draw) for name, rows in sets.items()}
    if "held-out" in sets:
        real, train = order["held-out"], order["training"]
    else:
        real, train = order["training"].tensor_split(2)
    count = min(len(real), len(train), len(order["generated"]), limit or len(real))
    if count < FEWEST:
        raise GannetError(f"{count} real samples a side are too few to judge: give at least {2 * FEWEST} in all")
    if "noise" in sets and len(sets["noise"]) < count:
        raise GannetError(f"{len(sets['noise'])} noise samples beside {count} others: give at least {count}")

    def chosen(name: str, rows: Tensor) -> Tensor:
        return sets[name][rows[:count].to(sets[name].device)]

    return Compared(
        real=chosen("held-out" if "held-out" in sets else "training", real),
        generated=chosen("generated", order["generated"]),
        stand_in=chosen("training", train),
        noise=chosen("noise", order["noise"]) if "noise" in sets else None,
    )


def in_real_units(chosen: Compared, train: Tensor) -> Compared:
    """All sets in units of the training features: one centre, one scale, so that geometry is kept."""
    centre = train.mean(0, dtype=torch.float64)
    squares = sum(float((some - centre).square().sum()) for some in train.split(CHUNK_ROWS))
    scale = sqrt(squares / train.numel()) or 1.0
    real, generated, stand_in = ((rows - centre) / scale for rows in (chosen.real, chosen.generated, chosen.stand_in))
    return Compared(real, generated, stand_in, None if chosen.noise is None else (chosen.noise - centre) / scale)


def feature_scores(real: Tensor, other: Tensor, kernel: Kernel, seed: int, *, intervals: bool) -> Scores:
    """Value and interval of every figure of features [n, d] and [n, d], by name as in `MEANINGS`.

    Without `intervals`, those that cost time are None. The seed draws lines and subsets.
    """

    def sliced(first: Tensor, second: Tensor) -> float:
        return sliced_wasserstein(first, second, seed=seed)

    return {
        "Fréchet distance": _frechet(real, other, intervals),
        "kernel distance": _kernel(real, other, kernel, seed),
        "sliced Wasserstein": folded(sliced, real, other, intervals),
        **neighbour_figures(real, other, intervals),
    }


def _frechet(real: Tensor, other: Tensor, interval: bool) -> tuple[float, Interval]:
    value = frechet_distance(real, other)
    return value, within(value, NORMAL * frechet_error(real, other), low=0.0) if interval else None


def neighbour_figures(real: Tensor, other: Tensor, intervals: bool) -> Scores:
    """Precision, recall, density and coverage of features [n, d] and [m, d], each with its interval.

    An interval holds the chance of the samples that are counted, and that of those that they are counted by.
    """
    near = neighbour_scores(real, other)
    errors = parted(lambda first, second: neighbour_scores(first, second).means(), real, other) if intervals else {}
    figures: Scores = {}
    for name, hits in vars(near).items():
        high = None if name == "density" else 1.0
        value, interval = mean_with_interval(hits) if high is None else share_with_interval(hits)
        if name in errors:
            interval = wider(interval, within(value, errors[name], low=0.0, high=high))
        figures[name] = value, interval
    return figures


def _kernel(real: Tensor, other: Tensor, kernel: Kernel, seed: int) -> tuple[float, Interval]:
    rows = max(2, min(SUBSET_ROWS, len(real) // 5))
    values = subset_distances(real, other, kernel=kernel, rows=rows, seed=seed)
    value = float(values.mean())
    independent = len(real) // rows
    error = NORMAL * float(values.std()) / sqrt(independent)
    return value, (value - error, value + error)


def _notes(protocol: Protocol) -> list[str]:
    notes = []
    if protocol.reference != "held-out samples":
        notes.append("no held-out samples: a model that memorised its training data would score well here.")
    if protocol.unit == "the features' own":
        notes.append("distances as in print: the features' own units, and the cubic kernel (times 1,000 is KID).")
    if protocol.count < FEW:
        notes.append(f"only {protocol.count} samples a side: read each figure beside its real reference, not alone.")
    if protocol.count <= protocol.features:
        notes.append("fewer samples than features: the Fréchet distance sees only part of the spread.")
    notes.append(
        "intervals: the Fréchet distance by its derivative in every sample, others by leaving samples out; precision, "
        f"recall (k = {PRECISION_NEIGHBOURS}), density and coverage (k = {DENSITY_NEIGHBOURS}) also by judging fifths "
        "of the samples on their own."
    )
    return notes
