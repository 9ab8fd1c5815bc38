"""How real series are, step by step: a recurrent judge, a forecaster taught on samples, echoes and correlations.

Discriminative and predictive score as in TimeGAN (Yoon et al. 2019, section 5), but with nothing shared between what a
judge learns from and what it is asked: windows that overlap stay on one side. `series_figures(real, generated, ...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gannet.metrics.answer import Figure, Table

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

HIDDEN, BATCH, PEAK_RATE = 24, 128, 5e-3
ROUNDS = 400
"""Steps of training of a judge or a forecaster."""
MOST_SERIES, MOST_STEPS = 2_000, 100
"""Series a side, and first steps of each, that judges see: for cost, said in a note."""
FEWEST = 20
SHARED = 4
"""Steps in a row that two series hold alike when one is the other, moved in time."""
GRAIN = 1_000
"""Parts of a deviation in which values are compared for that."""
MOST_LAGS = 24
JUMP = 8.0


@dataclass(frozen=True)
class Steps:
    """One side: what every series holds at every step, in units of the training data."""

    values: Tensor
    """[n, length, columns] float32, 0 where nothing is; the first `numbers` columns are numbers, the others levels."""
    present: Tensor
    """Whether the series goes on at a step [n, length] bool."""
    numbers: int

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> Steps:
        chosen = torch.from_numpy(rows)
        return Steps(self.values[chosen], self.present[chosen], self.numbers)


# ------------------------------------------------------------------------------------------------- what is shared


def stretches(steps: Steps) -> Array:
    """The stretch of time [n] that each series comes from: windows that hold the same steps are of one stretch.

    Told by runs of `SHARED` steps, alike to a thousandth of a deviation, in which something moves.
    """
    grains = np.rint(steps.values.numpy() * GRAIN).astype(np.int64)
    count, length, columns = grains.shape
    run = min(SHARED, length)
    runs = np.stack([grains[:, start : length - run + 1 + start] for start in range(run)], 2)
    runs = runs.reshape(count, length - run + 1, run * columns)
    held = steps.present.numpy()[:, run - 1 :]
    moving = held & (np.diff(runs.reshape(*runs.shape[:2], run, columns), axis=2) != 0).any((2, 3))
    owner, place = np.nonzero(moving)
    labels = np.arange(count)
    if not len(owner):
        return labels
    weights = np.random.default_rng(0).integers(1, 2**62, size=run * columns)
    _, kind = np.unique((runs[owner, place] * weights).sum(1), return_inverse=True)
    while True:
        lowest = np.full(kind.max() + 1, count)
        np.minimum.at(lowest, kind, labels[owner])
        new = labels.copy()
        np.minimum.at(new, owner, lowest[kind])
        new = new[new]
        if (new == labels).all():
            return np.unique(labels, return_inverse=True)[1]
        labels = new


def halves(steps: Steps, random: np.random.Generator) -> tuple[Array, Array]:
    """Positions of two parts of about the same size that share no stretch of time; both in random order."""
    stretch = stretches(steps)
    order = random.permutation(stretch.max() + 1)
    sizes = np.bincount(stretch)[order].cumsum()
    first = np.isin(stretch, order[: max(1, int((sizes <= 0.55 * len(stretch)).sum()))])
    if first.all():
        first = np.arange(len(stretch)) < len(stretch) // 2
    parts = np.flatnonzero(first), np.flatnonzero(~first)
    return random.permutation(parts[0]), random.permutation(parts[1])


# --------------------------------------------------------------------------------------------------------- learners


class Recurrent(nn.Module):
    """A gated recurrent network (Cho et al. 2014) with a linear map on top, of every step or of the last one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.cell = nn.GRU(inputs, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, outputs)

    def forward(self, steps: Tensor) -> Tensor:
        """[n, length, inputs] -> [n, length, outputs]."""
        return self.out(self.cell(steps)[0])


def taught(network: Recurrent, loss: Callable[[Tensor], Tensor], count: int, seed: int) -> Recurrent:
    """The network after `ROUNDS` steps of Adam on `loss(rows)`, a batch of rows at a time."""
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), PEAK_RATE)
    for step in range(ROUNDS):
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(1.0, 2 * (1 - step / ROUNDS))
        value = loss(torch.randint(count, (min(BATCH, count),), generator=draw))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network


def judged(steps: Steps, moves: Tensor) -> Tensor:
    """What a judge sees of each step [n, length, inputs]: values, and moves of numbers in units of `moves`."""
    numbers = steps.values[:, :, : steps.numbers]
    change = torch.diff(numbers, dim=1, prepend=numbers[:, :1]) / moves
    on = steps.present[:, :, None].float()
    return torch.cat([steps.values, change.clamp(-JUMP, JUMP) * on, on], 2)


def usual_moves(steps: Steps) -> Tensor:
    """The deviation of a number from one step to the next [numbers]."""
    both = (steps.present[:, 1:] & steps.present[:, :-1])[:, :, None]
    change = torch.diff(steps.values[:, :, : steps.numbers], dim=1) * both
    return (change.square().sum((0, 1)) / both.sum().clamp(min=1)).sqrt().clamp(min=1e-6)


def discriminative_score(real: Steps, other: Steps, *, seed: int) -> float:
    """|accuracy - 1/2| of a recurrent judge on series it never saw: 0 = it can only guess, 0.5 = it is always right.

    Both sides are halved without a shared stretch of time, and as many of one side as of the other are used.
    """
    random = np.random.default_rng(seed)
    (real_a, real_b), (other_a, other_b) = halves(real, random), halves(other, random)
    first, second = min(len(real_a), len(other_a)), min(len(real_b), len(other_b))
    moves = usual_moves(real)
    seen = [judged(side.take(rows[:first]), moves) for side, rows in ((real, real_a), (other, other_a))]
    asked = [judged(side.take(rows[:second]), moves) for side, rows in ((real, real_b), (other, other_b))]
    inputs, target = torch.cat(seen), torch.cat([torch.ones(first), torch.zeros(first)])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Recurrent(inputs.shape[2], 1)

    def loss(rows: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(_at_end(network(inputs[rows]), inputs[rows]), target[rows])

    taught(network, loss, len(inputs), seed)
    with torch.no_grad():
        right = [
            ((_at_end(network(side), side) > 0) == (index == 0)).float().mean() for index, side in enumerate(asked)
        ]
    return abs(float(sum(right)) / 2 - 0.5)


def _at_end(outputs: Tensor, inputs: Tensor) -> Tensor:
    """The output [n] at each series' own last step; whether it goes on is the last input."""
    last = inputs[:, :, -1].sum(1).long().clamp(min=1) - 1
    return outputs[torch.arange(len(outputs)), last, 0]


def predictive_score(train: Steps, test: Steps, *, seed: int, only: Sequence[int] | None = None) -> float:
    """Mean absolute error, on `test`, of a forecaster of the next step's numbers that was taught on `train`.

    `only` names the columns to forecast, from the others (TimeGAN: the last from all before it); None: all from all.
    """
    wanted = list(range(train.numbers)) if only is None else list(only)
    known = [column for column in range(train.values.shape[2]) if only is None or column not in wanted] or wanted

    def parts(side: Steps) -> tuple[Tensor, Tensor, Tensor]:
        both = (side.present[:, 1:] & side.present[:, :-1])[:, :, None].float()
        return side.values[:, :-1, known], side.values[:, 1:, wanted], both

    inputs, target, weight = parts(train)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Recurrent(len(known), len(wanted))

    def error(inputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return ((network(inputs) - target).abs() * weight).sum() / (weight.sum() * len(wanted)).clamp(min=1)

    taught(network, lambda rows: error(inputs[rows], target[rows], weight[rows]), len(inputs), seed)
    with torch.no_grad():
        return float(error(*parts(test)))


# ---------------------------------------------------------------------------------------- echoes and correlations


def autocorrelation(steps: Steps) -> Array:
    """How like themselves numbers are some steps later, about each series' own mean [lags, numbers]."""
    values, present = steps.values[:, :, : steps.numbers].double(), steps.present[:, :, None].double()
    centred = (values - (values * present).sum(1, keepdim=True) / present.sum(1, keepdim=True)) * present
    power = centred.square().sum((0, 1)).clamp(min=1e-12)
    lags = range(1, min(MOST_LAGS, values.shape[1] - 1) + 1)
    return torch.stack([(centred[:, lag:] * centred[:, :-lag]).sum((0, 1)) / power for lag in lags]).numpy()


def cross_correlation(steps: Steps) -> Array:
    """Correlations of numbers at the same step, over all steps of all series [pairs]."""
    values = steps.values[:, :, : steps.numbers][steps.present].double()
    centred = values - values.mean(0)
    covariance = centred.T @ centred / len(values)
    deviation = covariance.diagonal().clamp(min=1e-12).sqrt()
    rows, columns = torch.triu_indices(steps.numbers, steps.numbers, 1)
    return (covariance / torch.outer(deviation, deviation))[rows, columns].numpy()


def difference(measure: Callable[[Steps], Array], real: Steps, other: Steps) -> float:
    """Mean absolute difference of a measure of two sides."""
    return float(np.abs(measure(real) - measure(other)).mean())


# ---------------------------------------------------------------------------------------------------------- figures


def series_figures(
    real: Steps, generated: Steps, stand_in: Steps, floor: Steps, *, names: Sequence[str], random: np.random.Generator
) -> tuple[list[Figure], list[Table], list[str]]:
    """Figures of generated series, the echoes of each column, and notes.

    `stand_in`: other real series, in the generated ones' place; `floor`: series whose values were shuffled. `names` are
    those of the numbers.
    """
    count = min(len(side) for side in (real, generated, stand_in, floor))
    length = real.values.shape[1]
    if count < 2 * FEWEST or length < 2:
        return [], [], [f"{count} series a side are too few for recurrent judges: at least {2 * FEWEST} are needed."]
    seed = int(random.integers(2**31))
    sides = [_some(side, random) for side in (real, generated, stand_in, floor)]
    held, others = sides[0], sides[1:]
    meaning = "how far above guessing (0) a recurrent judge tells series from held-out real ones; 0.5 = always."
    scores = [discriminative_score(held, side, seed=seed) for side in others]
    figures = [_figure("discriminative score", scores, meaning)]
    notes = [f"judges of series saw {len(held):,} a side; windows that share time were never on both sides of a judge."]
    if length > MOST_STEPS:
        notes.append(f"of each series, judges saw the first {MOST_STEPS} of {length:,} steps.")
    if not held.numbers:
        return figures, [], notes
    scores = [predictive_score(side, held, seed=seed) for side in others]
    meaning = "error, in deviations, of forecasting a real series' next step by a forecaster taught on these."
    figures.append(_figure("predictive error", scores, meaning))
    scores = [difference(autocorrelation, real, side) for side in (generated, stand_in, floor)]
    meaning = "how far echoes of numbers in themselves, up to 24 steps later, lie from the real ones."
    figures.append(_figure("autocorrelation difference", scores, meaning))
    if held.numbers > 1:
        scores = [difference(cross_correlation, real, side) for side in (generated, stand_in, floor)]
        meaning = "how far correlations between columns at the same step lie from the real ones."
        figures.append(_figure("cross-correlation difference", scores, meaning))
    return figures, [_echoes(real, generated, names)], notes


def _some(side: Steps, random: np.random.Generator) -> Steps:
    rows = np.sort(random.permutation(len(side))[:MOST_SERIES])
    some = side.take(rows)
    return Steps(some.values[:, :MOST_STEPS], some.present[:, :MOST_STEPS], some.numbers)


def _figure(name: str, scores: Sequence[float], meaning: str) -> Figure:
    value, reference, floor = scores
    return Figure(name, value, None, reference, floor, "lower", meaning)


def _echoes(real: Steps, generated: Steps, names: Sequence[str]) -> Table:
    """The autocorrelation of each column at a few lags, real beside generated."""
    here, there = autocorrelation(real), autocorrelation(generated)
    lags = [lag for lag in (1, 2, 4, 8, 16) if lag <= len(here)]
    rows = [
        [name, *(f"{here[lag - 1, column]:.2f} / {there[lag - 1, column]:.2f}" for lag in lags)]
        for column, name in enumerate(names)
    ]
    return Table("autocorrelation, real / generated", ["column", *(f"{lag} later" for lag in lags)], rows)
