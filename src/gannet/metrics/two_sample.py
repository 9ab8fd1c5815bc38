"""Two-sample tests by classifiers (Lopez-Paz & Oquab 2017): how well can a judge tell generated from real samples?

The weak judge is a logistic regression, the strong one gradient boosting; 0.5 = cannot tell, 1 = always tells.
`two_sample_figures(real, generated, stand_in, floor, seed=0)` on what `from_features` or `from_frames` made of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gannet.errors import missing_extra
from gannet.metrics.answer import Figure
from gannet.metrics.intervals import NORMAL, Interval, share_with_interval
from gannet.metrics.table_fidelity import Column, read_columns

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Strength = Literal["strong", "weak"]

FEWEST = 30
"""Samples a side below which a judge that cannot tell proves nothing."""
MOST, MOST_CELLS = 10_000, 400_000
"""Samples a side, and numbers a side: wider samples are fewer, since boosting costs the product."""
STRONG_LEVELS, WEAK_LEVELS = 200, 30
"""Most frequent real levels of a column that a judge sees singly; the other real ones are one, unknown ones another."""
FOLDS = 3


@dataclass(frozen=True)
class Material:
    """One set of samples as the judges see it."""

    strong: Array
    """[n, c] float64 for boosting; NaN where missing, levels as codes."""
    levels: Array
    """[c] True where a column holds levels."""
    weak: Array
    """[n, w] float64 for the logistic regression: numbers in real deviations, levels one-hot, nothing missing."""

    def __len__(self) -> int:
        return len(self.strong)

    def take(self, rows: Array) -> Material:
        """The given rows."""
        return Material(self.strong[rows], self.levels, self.weak[rows])


@dataclass(frozen=True)
class Told:
    """How well a judge told two sets apart, on samples it had not seen."""

    auc: float
    """Chance that of one sample of each set the judge ranks the generated one as more likely generated."""
    auc_interval: Interval
    accuracy: float
    accuracy_interval: Interval


def from_features(*sets: Tensor) -> list[Material]:
    """Sets of features [n, d]; the first is real and gives the weak judge its units."""
    arrays = [features.detach().cpu().double().numpy() for features in sets]
    centre, scale = _units(arrays[0])
    numbers = np.zeros(arrays[0].shape[1], dtype=bool)
    return [Material(array, numbers, (array - centre) / scale) for array in arrays]


def from_frames(frames: Sequence[Any], *, real: int, without: Sequence[str] = ()) -> list[Material]:
    """Pandas frames of one table, the first `real` of them real; `without` some columns by name.

    Boosting takes levels and missing values as they are; levels are capped (`STRONG_LEVELS`, `WEAK_LEVELS`).
    """
    columns = read_columns(frames, real=real, without=without)
    levels = np.array([column.levels is not None for column in columns], dtype=bool)
    materials = []
    for frame, rows in enumerate(len(frame) for frame in frames):
        strong = [_strong(column, frame) for column in columns]
        weak = [part for column in columns for part in _weak(column, frame)]
        materials.append(Material(_stacked(strong, rows), levels, _stacked(weak, rows)))
    return materials


def two_sample(real: Material, other: Material, strength: Strength, *, seed: int) -> Told:
    """Train the judge on some of both sets and ask it about the rest, in turn; equal counts make 0.5 mean guessing.

    The area under the ROC curve is the mean over the folds, its interval DeLong's (1988), for the judge as trained.
    Raises GannetError without scikit-learn.
    """
    count = min(len(real), len(other))
    assert count >= FEWEST, f"{count} samples a side"
    draw = np.random.default_rng(seed)
    real, other = (each.take(draw.permutation(len(each))[:count]) for each in (real, other))
    truth = np.repeat([0, 1], count)
    fold = np.tile(np.arange(count) % FOLDS, 2)
    if strength == "strong":
        guesses = _out_of_fold(*_varying(real, other), truth, fold, seed)
    else:
        guesses = _out_of_fold(np.concatenate([real.weak, other.weak]), None, truth, fold, seed)
    parts = [auc_with_variance(guesses[(fold == each) & (truth == 0)], guesses[(fold == each) & (truth == 1)])
             for each in range(FOLDS)]  # fmt: skip
    auc = float(np.mean([area for area, _ in parts]))
    # Perfect ranking has no variance in the sample; the rule of three says what may still hide behind it.
    error = max(NORMAL * sqrt(sum(variance for _, variance in parts)) / FOLDS, 3 / count)
    hits = np.where(guesses == 0.5, 0.5, (guesses > 0.5) == truth)
    accuracy, accuracy_interval = share_with_interval(torch.from_numpy(hits))
    return Told(auc, (max(0.0, auc - error), min(1.0, auc + error)), accuracy, accuracy_interval)


def two_sample_figures(
    real: Material, generated: Material, stand_in: Material, floor: Material, *, seed: int
) -> list[Figure]:
    """Area and accuracy of both judges: generated, real (`stand_in`) and wrong (`floor`) samples against real ones.

    At most `MOST` samples a side and `MOST_CELLS` numbers. Raises GannetError without scikit-learn.
    """
    count = rows_judged(real, generated, stand_in, floor)
    draw = np.random.default_rng(seed)
    real, *others = (each.take(draw.permutation(len(each))[:count]) for each in (real, generated, stand_in, floor))
    figures = []
    for strength, name in (("strong", "gradient boosting"), ("weak", "logistic regression")):
        value, reference, wrong = (two_sample(real, other, strength, seed=seed) for other in others)  # type: ignore[arg-type]
        blind = "" if strength == "strong" else "; it sees no interplay, so guessing here proves little"
        meaning = f"how often {name} finds the generated one of a pair; 0.5 = cannot tell{blind}."
        figures += [
            Figure(
                f"{strength} two-sample test", value.auc, value.auc_interval, reference.auc, wrong.auc, "lower", meaning
            ),
            Figure(
                f"{strength} two-sample accuracy",
                value.accuracy,
                value.accuracy_interval,
                reference.accuracy,
                wrong.accuracy,
                "lower",
                f"share of samples that {name} sorts rightly into real and generated; 0.5 = guessing.",
            ),
        ]
    return figures


def rows_judged(*sides: Material) -> int:
    """Samples a side that the judges see."""
    return min(MOST, MOST_CELLS // max(1, sides[0].strong.shape[1]), *(len(side) for side in sides))


def auc_with_variance(negatives: Array, positives: Array) -> tuple[float, float]:
    """Area under the ROC curve of scores [n] and [m], ties counting half, and its variance (DeLong et al. 1988)."""
    together = _midranks(np.concatenate([positives, negatives]))
    n, m = len(negatives), len(positives)
    above = (together[:m] - _midranks(positives)) / n
    below = 1 - (together[m:] - _midranks(negatives)) / m
    variance = (above.var(ddof=1) / m if m > 1 else 0.0) + (below.var(ddof=1) / n if n > 1 else 0.0)
    return float(above.mean()), float(variance)


def _midranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


# ----------------------------------------------------------------------------------------------------- the judges


def _out_of_fold(samples: Array, levels: Array | None, truth: Array, fold: Array, seed: int) -> Array:
    """Chance [n] of being generated, each from a judge that never saw the sample; `levels` None: the weak one."""
    guesses = np.full(len(truth), 0.5)
    if not samples.shape[1]:
        return guesses
    for test in _folds(fold):
        judge = _logistic() if levels is None else _boosting(levels, int((~test).sum()), seed)
        with warnings.catch_warnings():
            # An optimiser that stopped early leaves the weak judge a little weaker, which is no news for a user.
            warnings.filterwarnings("ignore", module="sklearn")
            judge.fit(samples[~test], truth[~test])
            guesses[test] = judge.predict_proba(samples[test])[:, 1]
    return guesses


def _folds(fold: Array) -> Iterator[Array]:
    return (fold == each for each in range(int(fold.max()) + 1))


def _boosting(levels: Array, rows: int, seed: int) -> Any:
    """Defaults throughout, but for what few samples need: leaves of twenty would leave nothing to split."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise missing_extra("scikit-learn", "report", "the two-sample test") from error
    leaf = min(20, max(3, rows // 20))
    return HistGradientBoostingClassifier(
        categorical_features=levels, min_samples_leaf=leaf, early_stopping=False, random_state=seed
    )


def _logistic() -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise missing_extra("scikit-learn", "report", "the two-sample test") from error
    return LogisticRegression(max_iter=200, tol=1e-3)


# --------------------------------------------------------------------------------------------------- the material


def _varying(real: Material, other: Material) -> tuple[Array, Array]:
    """Both sets of boosting's columns [n + m, c] that hold at least two different things, and which hold levels."""
    both = np.concatenate([real.strong, other.strong])
    marked = np.where(np.isnan(both), np.inf, both)
    kept = (marked != marked[:1]).any(0)
    return both[:, kept], real.levels[kept]


def _strong(column: Column, frame: int) -> Array:
    if column.levels is None:
        return column.values[frame]
    codes = _capped(column, frame, STRONG_LEVELS).astype(np.float64)
    codes[codes < 0] = np.nan
    return codes


def _weak(column: Column, frame: int) -> list[Array]:
    if column.levels is None:
        centre, scale = _units(column.values[0][:, None])
        standard = (column.values[frame] - centre) / scale
        gone = np.isnan(standard)
        return [np.where(gone, 0.0, standard), gone.astype(np.float64)]
    codes = _capped(column, frame, WEAK_LEVELS)
    return [(codes == code).astype(np.float64) for code in range(-1, min(WEAK_LEVELS, column.real_levels) + 2)]


def _capped(column: Column, frame: int, most: int) -> Array:
    """Codes [n]: the `most` commonest real levels, one for all other real ones, one for unknown ones; -1 missing."""
    codes = column.values[frame]
    most = min(most, column.real_levels)
    return np.where(codes >= column.real_levels, most + 1, np.minimum(codes, most))


def _units(real: Array) -> tuple[Array, Array]:
    """Mean and deviation [c] of the real numbers present; 0 and 1 where there are none."""
    present = ~np.isnan(real)
    count = np.maximum(present.sum(0), 1)
    filled = np.where(present, real, 0.0)
    centre = filled.sum(0) / count
    scale = np.sqrt((np.where(present, filled - centre, 0.0) ** 2).sum(0) / count)
    return centre, np.where(scale > 0, scale, 1.0)


def _stacked(parts: list[Array], rows: int) -> Array:
    return np.stack(parts, 1) if parts else np.zeros((rows, 0))
