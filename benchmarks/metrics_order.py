"""Do the scores order models as they should? Real held-out samples, damaged step by step, in the generated ones' place.

    python benchmarks/metrics_order.py [--pictures FILE.npz | --table FILE.csv] [--rows 500] [--strong] [--joined]

Without a file: scikit-learn's digits, under two minutes on one core. FILE.npz holds `images` and `labels`. Prints, for
each embedder, the Spearman rank correlation of every score's badness with the severity, and after the stroke the first
of the severities that it tells from undamaged samples (of five; - for none). Scores that are meant to see the damage
are marked * and should have 0.9 or more (or never improve) and tell at least the last; copies should trouble none.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from gannet.domains import picture_features
from gannet.domains.tables import Tables
from gannet.metrics.embedders import joined_embedder, trained_embedder
from gannet.metrics.frechet import frechet_distance
from gannet.metrics.kernel import kernel_distance
from gannet.metrics.neighbours import neighbour_scores
from gannet.metrics.sliced_wasserstein import sliced_wasserstein, wasserstein
from gannet.metrics.support import alpha_precision, beta_recall
from gannet.metrics.two_sample import from_features, two_sample

REDRAWS = 10
"""Undamaged sets scored against each other: what a score says when nothing is wrong."""
DEVIATIONS = 3.0
"""A severity is told when the score lies this many standard deviations beyond the undamaged ones."""
ENOUGH = 0.9
"""Rank correlation that passes: of six severities, one neighbouring pair may change places."""
TRAINED_ON = 10_000
"""Rows the embedders learn from, at most."""
SHARED = 0.1
"""Share of the rows from which a value of a column of numbers counts as a level."""
STAGES = (2000, 600, 200, 60, 20)
"""Steps of the small generator whose stages stand for models trained ever less."""

DISTANCES = ("Fréchet", "kernel", "sliced")
REAL = (*DISTANCES, "precision", "density", "alpha", "weak test", "strong test")
BLENDED = (*DISTANCES, "precision", "coverage", "strong test")
VARIED = (*DISTANCES, "recall", "coverage", "beta")

Embed = Callable[[Any], Tensor]
Badness = dict[str, float]
"""By score; higher is worse, so scores of which more is better are negated."""


@dataclass(frozen=True)
class Data:
    """Real samples of one kind (pictures as a tensor, rows as a data frame), and how to embed them."""

    title: str
    train: Any
    real: Any
    """The samples all others are judged by."""
    other: Any
    """As many real samples again: undamaged, a perfect model's."""
    classes: np.ndarray
    """The class of each of `other`."""
    embedders: dict[str, Embed]
    damages: list[Damage]


@dataclass(frozen=True)
class Damage:
    """One way of being wrong, ever more so."""

    name: str
    apply: Callable[[Data, float], Any]
    severities: tuple[float, ...]
    """Five, ascending; severity 0 is the undamaged set."""
    seen_by: tuple[str, ...]
    """The scores that are meant to see it (of those that are measured)."""


@dataclass(frozen=True)
class Order:
    """How one score ordered the severities of one damage."""

    correlation: float
    first: int | None
    """Place (1 to 5) of the first severity from which on all are told; None when the last is not."""

    steady: bool
    """Whether no severity scores better than a lesser one: so does a score that is at its worst and stays there."""

    @property
    def right(self) -> bool:
        return (self.correlation >= ENOUGH or self.steady) and self.first is not None


# ------------------------------------------------------------------------------------------------------ the scores


def badness(real: Tensor, other: Tensor, *, strong: bool) -> Badness:
    """Every score of features [n, d] in the generated ones' place, in units of the real ones' deviation."""
    centre = real.mean(0)
    scale = (real - centre).square().mean().sqrt()
    real, other = (real - centre) / scale, (other - centre) / scale
    near = neighbour_scores(real, other).means()
    judged = from_features(real, other)
    scores = {
        "Fréchet": frechet_distance(real, other),
        "kernel": kernel_distance(real, other, scale_free=True),
        "sliced": sliced_wasserstein(real, other),
        **{name: -near[name] for name in ("precision", "recall", "density", "coverage")},
        "alpha": -alpha_precision(real, other),
        "beta": -beta_recall(real, other),
        "weak test": two_sample(*judged, "weak", seed=0).auc,
    }
    return {**scores, "strong test": two_sample(*judged, "strong", seed=0).auc} if strong else scores


def ordered(severities: tuple[float, ...], values: list[float], undamaged: np.ndarray) -> Order:
    """`values` [6], the first without damage; `undamaged` [redraws] of the same score."""
    limit = undamaged.mean() + DEVIATIONS * undamaged.std(ddof=1) + 1e-9
    first = None
    for place in range(len(severities), 0, -1):
        if not values[place] > limit:
            break
        first = place
    correlation = rank_correlation(np.array([0.0, *severities]), np.array(values))
    return Order(correlation, first, bool((np.diff(values) >= 0).all()))


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's, ties at their middle rank; 0 where nothing changes."""
    ranks = [np.array([(v < value).sum() + ((v == value).sum() - 1) / 2 for value in v]) for v in (x, y)]
    if min(rank.std() for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def orders(data: Data, embed: Embed, *, strong: bool) -> dict[str, dict[str, Order]]:
    """By damage and score."""
    real, other = embed(data.real), embed(data.other)
    pool = torch.cat([real, other])
    redrawn = [torch.randperm(len(pool), generator=torch.Generator().manual_seed(each)) for each in range(REDRAWS)]
    undamaged = [badness(*pool[rows].tensor_split(2), strong=strong) for rows in redrawn]
    without = badness(real, other, strong=strong)
    found = {}
    for damage in data.damages:
        steps = [badness(real, embed(damage.apply(data, each)), strong=strong) for each in damage.severities]
        found[damage.name] = {
            name: ordered(
                damage.severities, [each[name] for each in (without, *steps)], np.array([u[name] for u in undamaged])
            )
            for name in without
        }
    return found


# ------------------------------------------------------------------------------------------------ damage to pictures


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(data: Data, severity: float) -> Tensor:
    return (data.other + severity * torch.randn(data.other.shape, generator=generator())).clamp(-1, 1)


def blurred(data: Data, severity: float) -> Tensor:
    """Mixed with its mean over a window of a seventh of the side."""
    reach = max(1, data.other.shape[-1] // 14)
    soft = avg_pool2d(pad(data.other, [reach] * 4, mode="replicate"), 2 * reach + 1, stride=1)
    return torch.lerp(data.other, soft, severity)


def moved(data: Data, severity: float) -> Tensor:
    """Shifted to the right by a share of the side, between pixels too."""
    distance = severity * data.other.shape[-1]
    whole = math.floor(distance)
    wide = pad(data.other, [whole + 1, 0, 0, 0], mode="replicate")
    width = data.other.shape[-1]
    return torch.lerp(wide[..., 1 : width + 1], wide[..., :width], distance - whole)


def faded(data: Data, severity: float) -> Tensor:
    return data.other * (1 - severity)


def pixels_shuffled(data: Data, severity: float) -> Tensor:
    """A share of the pictures made of pixels of different ones."""
    made = data.other.clone()
    count = round(len(made) * severity)
    places = torch.rand(made.flatten(1).shape, generator=generator()).argsort(0)[:count]
    made[:count] = data.other.flatten(1).gather(0, places).view_as(made[:count])
    return made


def less_trained(data: Data, severity: float) -> Tensor:
    """Samples of a small generator after ever fewer steps."""
    return stages(data.train)[round(severity) - 1][: len(data.other)]


_STAGES: dict[int, list[Tensor]] = {}


def stages(train: Tensor) -> list[Tensor]:
    """Samples [1000, c, h, w] of a generator after each of `STAGES`, taught by sliced Wasserstein distance: no game,
    so it gets better steadily."""
    if id(train) in _STAGES:
        return _STAGES[id(train)]
    shape, width = train.shape[1:], train[0].numel()
    made: dict[int, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, width), nn.Tanh()
        )
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        seen = torch.randn(1000, 32)
        for step in range(1, max(STAGES) + 1):
            lines = torch.nn.functional.normalize(torch.randn(128, width), dim=1)
            real = train[torch.randint(len(train), (256,))].flatten(1)
            loss = wasserstein(network(torch.randn(256, 32)) @ lines.T, real @ lines.T).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step in STAGES:
                made[step] = network(seen).detach().view(-1, *shape)
    _STAGES[id(train)] = [made[step] for step in STAGES]
    return _STAGES[id(train)]


# ------------------------------------------------------------------------------------------------------ damage to any


def take(samples: Any, rows: np.ndarray) -> Any:
    return samples[torch.from_numpy(rows)] if isinstance(samples, Tensor) else samples.iloc[rows].reset_index(drop=True)


def fewer_classes(data: Data, severity: float) -> Any:
    """The last classes are missing; what is left is drawn again."""
    levels = np.unique(data.classes)
    kept = np.flatnonzero(np.isin(data.classes, levels[: max(1, round(len(levels) * (1 - severity)))]))
    return take(data.other, np.random.default_rng(0).choice(kept, len(data.other)))


def repeated(data: Data, severity: float) -> Any:
    """Only a share of the samples are different ones."""
    distinct = max(1, round(len(data.other) * (1 - severity)))
    return take(data.other, np.arange(len(data.other)) % distinct)


def copied(data: Data, severity: float) -> Any:
    """A share of the samples are training samples: as good as real ones, and not for these scores to see."""
    count = round(len(data.other) * severity)
    if isinstance(data.other, Tensor):
        return torch.cat([data.train[:count], data.other[count:]])
    import pandas

    return pandas.concat([data.train.iloc[:count], data.other.iloc[count:]], ignore_index=True)


ANY_DAMAGES = [
    Damage("fewer classes", fewer_classes, (0.1, 0.2, 0.4, 0.6, 0.8), VARIED),
    Damage("repeated", repeated, (0.5, 0.75, 0.9, 0.95, 0.98), VARIED),
    Damage("copies", copied, (0.2, 0.4, 0.6, 0.8, 1.0), ()),
]
PICTURE_DAMAGES = [
    Damage("noise", noisy, (0.05, 0.1, 0.2, 0.4, 0.8), (*REAL, "coverage")),
    Damage("blur", blurred, (0.1, 0.2, 0.4, 0.7, 1.0), (*REAL, "coverage")),
    Damage("shift", moved, (0.02, 0.05, 0.1, 0.2, 0.3), (*REAL, "coverage")),
    Damage("fading", faded, (0.05, 0.1, 0.2, 0.4, 0.8), (*REAL, "coverage")),
    Damage("shuffled pixels", pixels_shuffled, (0.05, 0.1, 0.2, 0.4, 0.8), REAL),
    Damage("less training", less_trained, (1, 2, 3, 4, 5), (*REAL, *VARIED[3:])),
    *ANY_DAMAGES,
]


# ----------------------------------------------------------------------------------------------------- damage to rows


def numbers(frame: Any) -> list[str]:
    return [name for name in frame.columns if frame[name].dtype.kind in "if" and frame[name].nunique() > 50]


def numbers_changed(data: Data, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Any:
    """`change` gets the values of a column of numbers and those of the training rows.

    A value that many rows share (capital gains of 0) stays: the least change of it would be the greatest.
    """
    frame = data.other.copy()
    for name in numbers(data.train):
        common = data.train[name].value_counts(normalize=True)
        before = frame[name].to_numpy(float)
        changed = change(before, data.train[name].to_numpy(float))
        frame[name] = np.where(np.isin(before, common[common > SHARED].index), before, changed)
    return frame


def noisy_numbers(data: Data, severity: float) -> Any:
    random = np.random.default_rng(0)
    return numbers_changed(data, lambda x, train: x + severity * np.nanstd(train) * random.standard_normal(len(x)))


def shifted_numbers(data: Data, severity: float) -> Any:
    return numbers_changed(data, lambda x, train: x + severity * np.nanstd(train))


def columns_shuffled(data: Data, severity: float) -> Any:
    """A share of the rows made of cells of different ones."""
    frame, random = data.other.copy(), np.random.default_rng(0)
    count = round(len(frame) * severity)
    for place in range(frame.shape[1]):
        frame.isetitem(place, mixed(frame.iloc[:, place], count, random))
    return frame


def mixed(column: Any, count: int, random: np.random.Generator) -> Any:
    rows = np.arange(len(column))
    rows[:count] = random.permutation(len(column))[:count]
    return column.iloc[rows].reset_index(drop=True)


# No straight line parts rows from the same rows with noise, nor rows from shuffled ones: the weak test need not see it.
TABLE_DAMAGES = [
    Damage("noise", noisy_numbers, (0.1, 0.2, 0.4, 0.8, 1.6), BLENDED),
    Damage(
        "shift",
        shifted_numbers,
        (0.1, 0.2, 0.4, 0.8, 1.6),
        (*DISTANCES, "precision", "coverage", "weak test", "strong test"),
    ),
    Damage("shuffled columns", columns_shuffled, (0.1, 0.2, 0.4, 0.7, 1.0), BLENDED),
    *ANY_DAMAGES,
]


# -------------------------------------------------------------------------------------------------------- the data


def digits(rows: int, joined: bool) -> Data:
    from sklearn.datasets import load_digits

    data = load_digits()
    return picture_data("digits", data.images / 8 - 1, data.target, rows, joined)


def pictures(path: Path, rows: int, joined: bool) -> Data:
    data = np.load(path)
    return picture_data(path.stem, data["images"] / 127.5 - 1, data["labels"], rows, joined)


def picture_data(title: str, images: np.ndarray, labels: np.ndarray, rows: int, joined: bool) -> Data:
    """Pictures [n, h, w] or [n, h, w, c] in [-1, 1] in three parts, with every embedder."""
    order = np.random.default_rng(0).permutation(len(images))[: TRAINED_ON + 2 * rows]
    chosen = torch.from_numpy(images[order].astype(np.float32))
    chosen = chosen[:, None] if chosen.dim() == 3 else chosen.movedim(3, 1)
    classes = torch.from_numpy(labels[order].astype(np.int64))
    real, other, train = chosen.split([rows, rows, len(chosen) - 2 * rows])
    started = time.process_time()
    trained = {
        "by labels": trained_embedder(train, classes[2 * rows :], seed=0),
        "by views": trained_embedder(train, None, seed=0),
    }
    print(f"two embedders trained on {len(train):,} pictures in {time.process_time() - started:.0f} s of one core")
    free, name = picture_features.features, picture_features.NAME
    embedders: dict[str, Embed] = {"network-free": free}
    for taught, embedder in trained.items():
        embedders[f"trained {taught}"] = embedder.embed
        if joined:
            embedders[f"trained {taught} + network-free"] = joined_embedder(embedder, free, name, train).embed
    return Data(title, train, real, other, classes[rows : 2 * rows].numpy(), embedders, PICTURE_DAMAGES)


def table(path: Path, rows: int) -> Data:
    """A CSV file in three parts; the classes are the levels of its least varied column of text."""
    import pandas

    frame = pandas.read_csv(path)
    order = np.random.default_rng(0).permutation(len(frame))[: TRAINED_ON + 2 * rows]
    frame = frame.iloc[order].reset_index(drop=True)
    numeric = numbers(frame)
    frame[numeric] = frame[numeric].astype(float)
    parts = [frame.iloc[:rows], frame.iloc[rows : 2 * rows], frame.iloc[2 * rows :]]
    real, other, train = (part.reset_index(drop=True) for part in parts)
    domain = Tables.open(frame, Tables.Options(), seed=0, cache=Path()).domain
    grouped = max(
        (n for n in frame.columns if n not in numeric and frame[n].nunique() <= 20), key=lambda n: frame[n].nunique()
    )
    embedders: dict[str, Embed] = {"encoded columns": lambda part: domain.embed(domain.encode(part))}
    return Data(
        f"{path.name} (classes: {grouped})",
        train,
        real,
        other,
        other[grouped].astype(str).to_numpy(),
        embedders,
        TABLE_DAMAGES,
    )


# ------------------------------------------------------------------------------------------------------- the table


def show(data: Data, embedder: str, found: dict[str, dict[str, Order]]) -> tuple[int, int]:
    """Print one embedder's table; returns how many of the marked cells are right, and how many there are."""
    names = list(next(iter(found.values())))
    print(f"\n{data.title}, {embedder}: rank correlation / first severity told (* meant to see it, ! and does not)")
    print(f"{'':16}" + "".join(f"{name:>12}" for name in names))
    right = asked = 0
    for damage in data.damages:
        cells = []
        for name in names:
            order = found[damage.name][name]
            meant = name in damage.seen_by
            right, asked = right + (meant and order.right), asked + meant
            mark = ("*" if order.right else "!") if meant else " "
            cells.append(f"{order.correlation:+.2f}/{order.first or '-'}{mark}")
        print(f"{damage.name:16}" + "".join(f"{cell:>12}" for cell in cells))
    return right, asked


def verdict(data: Data, embedder: str, found: dict[str, dict[str, Order]], right: int, asked: int) -> str:
    meant = [found[each.name][name] for each in data.damages for name in each.seen_by if name in found[each.name]]
    correlation = np.mean([order.correlation for order in meant])
    first = np.mean([order.first or 6 for order in meant])
    alarmed = [name for name, order in found["copies"].items() if order.first is not None]
    copies = f"; copies troubled {', '.join(alarmed)}" if alarmed else "; copies troubled none, as is right"
    return (
        f"{embedder:34} right {right:3} of {asked}, mean correlation {correlation:.3f}, "
        f"told from severity {first:.2f} of 5 on{copies}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=Path, help="npz of images and labels")
    parser.add_argument("--table", type=Path, help="csv, may be gzipped")
    parser.add_argument("--rows", type=int, default=500, help="samples a side")
    parser.add_argument("--joined", action="store_true", help="trained and network-free features side by side, too")
    parser.add_argument("--strong", action="store_true", help="the strong two-sample test, too: minutes")
    arguments = parser.parse_args()
    if arguments.pictures:
        data = pictures(arguments.pictures, arguments.rows, arguments.joined)
    else:
        data = table(arguments.table, arguments.rows) if arguments.table else digits(arguments.rows, arguments.joined)
    lines = []
    for name, embed in data.embedders.items():
        found = orders(data, embed, strong=arguments.strong)
        right, asked = show(data, name, found)
        lines.append(verdict(data, name, found, right, asked))
    print(f"\nverdict, {data.title}, {arguments.rows} samples a side:", *lines, sep="\n")


if __name__ == "__main__":
    main()
