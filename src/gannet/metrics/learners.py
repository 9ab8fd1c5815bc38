"""What can be learned from samples: a target to predict, the two learners, and how well they do on held-out rows.

Boosted trees (Friedman 2001, in histograms) and a linear model, both scikit-learn's. `problem_of(evidence)` sets the
task, `learn(examples, classes, "strong", seed=0)` trains on some rows, `scores(...)` tells how right it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gannet.errors import GannetError, did_you_mean, missing_extra
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.table_fidelity import Column, read_columns
from gannet.metrics.two_sample import Material, from_features, from_frames

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Strength = Literal["strong", "weak"]

LIMIT = 10_000
"""Most held-out rows that a learner is asked about."""
FEWEST = 20
"""Rows with a known target that each real side must have."""
MOST_CLASSES = 20
"""Classes of a target; rarer ones are joined into one."""
FEW_VALUES = 10
"""A number with no more values than this, all whole, is taken for a class."""
ROUNDS, STEP, TREES = 50, 0.2, 200
"""Rounds of boosting at which step, half and twice the defaults: as good, in half the time; and the most trees in all,
since every class costs one a round."""
WIDEST_BOOSTED = 16
"""Features beyond which samples that are no table get the linear learner: trees would take minutes."""
PIXELS = 12
"""Pixels a side that pictures are shrunk to for a learner."""
MOST_NUMBERS = 1_024
RESAMPLES = 200
OTHER = "(other)"


@dataclass(frozen=True)
class Examples:
    """What a learner is shown of one side: only samples whose label is known."""

    inputs: Material
    labels: Array
    """[n] int64 classes, or float64 numbers."""
    rows: Array
    """[n] positions of these samples in their side."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> Examples:
        """The given examples (indices)."""
        return Examples(self.inputs.take(rows), self.labels[rows], self.rows[rows])

    def joined(self, other: Examples) -> Examples:
        """These and others, for a learner that is shown both."""
        inputs = Material(
            np.concatenate([self.inputs.strong, other.inputs.strong]),
            self.inputs.levels,
            np.concatenate([self.inputs.weak, other.inputs.weak]),
        )
        labels, rows = np.concatenate([self.labels, other.labels]), np.concatenate([self.rows, other.rows])
        return Examples(inputs, labels, rows)


@dataclass(frozen=True)
class Problem:
    """A target to predict from everything else, and the examples of every side."""

    target: str
    classes: tuple[str, ...] | None
    """Names of the classes; None when the target is a number."""
    train: Examples
    holdout: Examples
    generated: Examples
    strength: Strength
    """The learner that judges: boosting, except for wide samples."""
    notes: list[str]

    @property
    def rare(self) -> int:
        """The class with the fewest real examples (but some)."""
        counts = np.bincount(np.concatenate([self.train.labels, self.holdout.labels]))
        return int(np.where(counts > 0, counts, counts.max() + 1).argmin())


# ------------------------------------------------------------------------------------------------ setting the task


def problem_of(evidence: Evidence) -> Problem | str:
    """The task of this evidence; or, where there is none, the reason and what to do about it, in a sentence.

    Raises GannetError when the table has no column of the named target.
    """
    if evidence.train.frame is None:
        return _problem_of_classes(evidence)
    frames = [side.frame for side in (evidence.train, evidence.holdout, evidence.generated)]
    known = [str(name) for name in frames[0].columns]
    if evidence.target is not None and evidence.target not in known:
        raise GannetError(
            f"target {evidence.target!r}: the table has no such column; {did_you_mean(evidence.target, known)}"
        )
    name, notes = _target_of(evidence)
    if name is None:
        return notes[0]
    if name not in frames[2].columns:
        return f"the generated rows have no column {name!r}, which was to be predicted."
    shared = [column for column in frames[0].columns if all(column in frame.columns for frame in frames)]
    (column,) = read_columns([frame[[name]] for frame in frames], real=2)
    classes, labels = labels_of(column)
    materials = from_frames([frame[shared] for frame in frames], real=2, without=[name, *evidence.allowed])
    return _problem(name, classes, labels, materials, "strong", notes)


def labels_of(column: Column) -> tuple[tuple[str, ...] | None, list[Array]]:
    """A column (real frames first, generated ones after) as a target: class names, and labels [n] of every frame.

    Text, categories and booleans are classes, and so are numbers of few whole values; a label that is missing, or that
    no real row has, is -1 or NaN.
    """
    if column.levels is not None:
        kept = column.real_levels if column.real_levels <= MOST_CLASSES else MOST_CLASSES - 1
        names = column.levels[:kept] + ((OTHER,) if kept < column.real_levels else ())
        parts = [np.where(part < column.real_levels, np.minimum(part, kept), -1) for part in column.values]
        return names, parts
    values = np.unique(np.concatenate(column.values[:2]))
    values = values[~np.isnan(values)]
    if len(values) > FEW_VALUES or (values % 1 != 0).any():
        return None, list(column.values)
    parts = []
    for part in column.values:
        place = np.searchsorted(values, part).clip(0, max(0, len(values) - 1))
        parts.append(np.where(values[place] == part, place, -1) if len(values) else np.full(len(part), -1))
    return tuple(f"{value:.0f}" for value in values), parts


def _target_of(evidence: Evidence) -> tuple[str | None, list[str]]:
    """The named target; or a class the model was trained to be asked for; or the last column of few classes."""
    if evidence.target is not None:
        return evidence.target, []
    frame, condition = evidence.train.frame, evidence.spec.condition
    columns = [column for column in frame.columns if str(column) not in evidence.allowed]
    asked = [field.name for field in condition.fields if field.levels] if condition else []
    for name in asked:
        if name in columns:
            return name, [f"no target was named: {name!r} was predicted, which samples can be asked for."]
    for name in reversed(columns):
        (column,) = read_columns([frame[[name]], evidence.holdout.frame[[name]]], real=2)
        classes = labels_of(column)[0]
        if classes is not None and 2 <= len(classes) and OTHER not in classes:
            last = f"{str(name)!r} was predicted, the last column of at most {MOST_CLASSES} classes"
            return str(name), [f"no target was named: {last}; name another with --target."]
    return None, ["no column has few classes: name the one to predict with --target, which may be a number."]


def _problem_of_classes(evidence: Evidence) -> Problem | str:
    """Predict the class that pictures (or other samples) were asked for; the first class field of the condition."""
    fields = evidence.spec.condition.fields if evidence.spec.condition else ()
    wanted = [at for at, field in enumerate(fields) if field.levels and evidence.target in (None, field.name)]
    if evidence.target is not None and not wanted:
        names = [field.name for field in fields if field.levels]
        raise GannetError(
            f"target {evidence.target!r}: samples have no such label; {did_you_mean(evidence.target, names)}"
        )
    if not wanted:
        return "the samples have no label to predict: train on labelled data (such as one folder a class)."
    sides = (evidence.train, evidence.holdout, evidence.generated)
    labels = [side.classes(evidence.spec, wanted[0]) for side in sides]
    codes = [
        np.full(len(side), -1) if found is None else found.numpy() for side, found in zip(sides, labels, strict=True)
    ]
    inputs = [picture_inputs(side) for side in sides]
    strength: Strength = "strong" if inputs[0].shape[1] <= WIDEST_BOOSTED else "weak"
    field = fields[wanted[0]]
    return _problem(field.name, field.levels, codes, from_features(*inputs), strength, [])


def picture_inputs(side: Side) -> Tensor:
    """What a learner sees of samples that are no table, [n, d]: values (of pictures shrunk), then features."""
    samples = side.samples
    if samples.dim() == 4 and max(samples.shape[2:]) > PIXELS:
        samples = torch.nn.functional.adaptive_avg_pool2d(samples, PIXELS)
    flat = samples.flatten(1)
    if flat.shape[1] > MOST_NUMBERS:
        flat = torch.nn.functional.adaptive_avg_pool1d(flat[:, None], MOST_NUMBERS)[:, 0]
    if flat.shape == side.features.shape and torch.equal(flat, side.features):
        return flat
    return torch.cat([flat, side.features.to(flat)], 1)


def _problem(
    name: str,
    classes: tuple[str, ...] | None,
    labels: Sequence[Array],
    materials: Sequence[Material],
    strength: Strength,
    notes: list[str],
) -> Problem | str:
    examples = []
    for found, material in zip(labels, materials, strict=True):
        rows = np.flatnonzero(~np.isnan(found) if classes is None else found >= 0)
        examples.append(Examples(material.take(rows), found[rows], rows))
    train, holdout, generated = examples
    if min(len(train), len(holdout)) < FEWEST:
        fewest = min(len(train), len(holdout))
        return f"{fewest} real rows with a value of {name!r} are too few to judge by: {FEWEST} are needed on each side."
    if len(np.unique(train.labels)) < 2 or len(np.unique(holdout.labels)) < 2:
        return f"{name!r} has a single value among the real rows: there is nothing to predict."
    lost = len(labels[2]) - len(generated)
    if lost:
        notes = [
            *notes,
            f"{lost:,} of {len(labels[2]):,} generated rows have no {name!r} that a real row has; left out.",
        ]
    return Problem(name, classes, train, holdout, generated, strength, notes)


# ---------------------------------------------------------------------------------------------------- the learners


@dataclass(frozen=True)
class Learner:
    """A trained model; or, where there was nothing to learn, the only answer it ever saw."""

    strength: Strength
    classes: int | None
    """How many classes there are, seen or not; None for a number."""
    seen: Array
    """Classes among the examples; of a number, its mean."""
    model: Any
    """scikit-learn's; None when one answer was all there was."""
    kept: Array
    """[c] which inputs varied among the examples."""

    def predict(self, inputs: Material) -> Array:
        """Probabilities [n, classes], 0 for classes never seen; or numbers [n]."""
        if self.classes is None:
            if self.model is None:
                return np.full(len(inputs), self.seen[0] if len(self.seen) else 0.0)
            return np.asarray(self.model.predict(self._view(inputs)), dtype=np.float64)
        out = np.zeros((len(inputs), self.classes))
        if self.model is None:
            out[:, self.seen] = 1 / max(1, len(self.seen))
        else:
            out[:, self.seen] = self.model.predict_proba(self._view(inputs))
        return out

    def _view(self, inputs: Material) -> Array:
        return (inputs.strong if self.strength == "strong" else inputs.weak)[:, self.kept]


def learn(examples: Examples, classes: int | None, strength: Strength, *, seed: int) -> Learner:
    """Train boosted trees ("strong") or a logistic or ridge regression ("weak") with fixed seeds.

    With no examples, a single class, or inputs that never vary, the learner always answers the same.
    Raises GannetError without scikit-learn.
    """
    inputs = examples.inputs.strong if strength == "strong" else examples.inputs.weak
    marked = np.where(np.isnan(inputs), np.inf, inputs)
    kept = (marked != marked[:1]).any(0)
    if classes is None:
        seen = examples.labels.mean(keepdims=True) if len(examples) else np.zeros(0)
        one_answer = len(examples) < 2
    else:
        seen = np.unique(examples.labels)
        one_answer = len(seen) < 2
    if one_answer or not kept.any():
        return Learner(strength, classes, seen, None, kept)
    rounds = max(10, min(ROUNDS, TREES // (len(seen) if classes is not None and len(seen) > 2 else 1)))
    levels = examples.inputs.levels[kept] if strength == "strong" else None
    model = _model(levels, classes is None, len(examples), rounds, seed)
    with warnings.catch_warnings():
        # An optimiser that stopped early leaves the weak learner a little weaker, which is no news for a user.
        warnings.filterwarnings("ignore", module="sklearn")
        model.fit(inputs[:, kept], examples.labels)
    return Learner(strength, classes, seen, model, kept)


def _model(levels: Array | None, number: bool, count: int, rounds: int, seed: int) -> Any:
    """Defaults throughout, but for leaves: twenty examples in each would leave little to split of a hundred."""
    try:
        ensemble, linear = import_module("sklearn.ensemble"), import_module("sklearn.linear_model")
    except ImportError as error:
        raise missing_extra("scikit-learn", "report", "judging what can be learned from samples") from error
    if levels is None:
        return linear.Ridge() if number else linear.LogisticRegression(max_iter=200, tol=1e-3)
    kind = ensemble.HistGradientBoostingRegressor if number else ensemble.HistGradientBoostingClassifier
    leaf = min(20, max(3, count // 20))
    return kind(
        categorical_features=levels,
        learning_rate=STEP,
        max_iter=rounds,
        min_samples_leaf=leaf,
        early_stopping=False,
        random_state=seed,
    )


# ------------------------------------------------------------------------------------------------------ the scores


def resamples(count: int, random: np.random.Generator, times: int = RESAMPLES) -> Array:
    """Weights [1 + times, count]: all rows once, then how often each row is drawn in a bootstrap (Efron 1979)."""
    drawn = random.multinomial(count, np.full(count, 1 / count), size=times)
    return np.concatenate([np.ones((1, count)), drawn.astype(np.float64)])


def scores(truth: Array, predicted: Array, rare: int | None, weights: Array) -> dict[str, Array]:
    """Every score [times] of predictions, under weights [times, n] of the rows; the first row of them gives the value.

    Classes (probabilities [n, classes], `rare` the class F1 is about): AUC (mean over the classes, one against the
    rest), balanced accuracy, F1, accuracy. Numbers (`rare` None): R2 and mean absolute error.
    """
    if rare is None:
        error = predicted - truth
        total = weights.sum(1)
        mean = weights @ truth / total
        spread = weights @ truth**2 / total - mean**2
        unexplained = weights @ error**2 / total
        return {
            "R2": 1 - _divided(unexplained, spread),
            "mean absolute error": weights @ np.abs(error) / total,
        }
    answer = predicted.argmax(1)
    present = np.unique(truth)
    recalls = np.stack([recall(truth, answer, level, weights) for level in present])
    areas = np.stack([area_under_curve(truth == level, predicted[:, level], weights) for level in present])
    hits = weights @ ((truth == rare) & (answer == rare)).astype(np.float64)
    both = weights @ (truth == rare).astype(np.float64) + weights @ (answer == rare).astype(np.float64)
    return {
        "AUC": np.nanmean(areas, 0),
        "balanced accuracy": np.nanmean(recalls, 0),
        "F1 of the rarest class": np.where(both > 0, 2 * hits / np.maximum(both, 1), 0.0),
        "accuracy": weights @ (truth == answer).astype(np.float64) / weights.sum(1),
    }


def recall(truth: Array, answer: Array, level: int, weights: Array) -> Array:
    """Share [times] of the rows of a class that are told rightly; NaN where the weights leave none."""
    own = (truth == level).astype(np.float64)
    return _divided(weights @ (own * (answer == level)), weights @ own)


def area_under_curve(positive: Array, score: Array, weights: Array) -> Array:
    """Area [times] under the ROC curve of scores [n], ties counting half; NaN where a side has no weight."""
    _, place = np.unique(score, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    ordered = weights[:, order]
    positives = np.add.reduceat(ordered * positive[order], starts, axis=1)
    negatives = np.add.reduceat(ordered * ~positive[order], starts, axis=1)
    below = np.cumsum(negatives, 1) - negatives / 2
    return _divided((positives * below).sum(1), positives.sum(1) * negatives.sum(1))


def _divided(above: Array, below: Array) -> Array:
    """Quotients, NaN where the divisor is 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)
