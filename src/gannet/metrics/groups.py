"""Groups of samples that should be treated alike: the levels or quarters of a sensitive column, or classes.

`sensitive_groups(evidence)` reads the columns that were named; `class_groups(evidence)` sorts samples that are no table
by what a classifier sees in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gannet.errors import GannetError, did_you_mean
from gannet.metrics.evidence import Evidence
from gannet.metrics.learners import FEW_VALUES, Array, Examples, learn, picture_inputs
from gannet.metrics.shares import listed
from gannet.metrics.table_fidelity import Column, read_columns
from gannet.metrics.two_sample import from_features
from gannet.spec import Field

SUSPECTS = (
    "age", "birth", "caste", "citizen", "disab", "ethnic", "gender", "immigra", "marital", "nation", "orientation",
    "pregnan", "race", "relig", "sex", "skin", "veteran",
)  # fmt: skip
"""Parts of column names that hint at a group the law protects."""
MOST_GROUPS = 12
"""Groups of a column; smaller ones are joined into one."""
SMALL = 30
"""Rows below which a group is too small for a rate to be told."""
MOST_LEARNED = 5_000
"""Samples that the classifier of groups learns from."""
MISSING, OTHER = "(missing)", "(other)"


@dataclass(frozen=True)
class Groups:
    """One sensitive column: names of its groups, and every sample's group [n] on each side (-1: none of them)."""

    name: str
    names: tuple[str, ...]
    train: Array
    holdout: Array
    generated: Array
    floor: Array

    @property
    def comparisons(self) -> int:
        """Groups of enough real samples to be judged; of two, one is the other's mirror image."""
        large = int((self.counts(self.train) + self.counts(self.holdout) >= SMALL).sum())
        return large if large > 2 else 1

    def counts(self, side: Array) -> Array:
        """Samples [groups] of a side in each group."""
        return np.bincount(side[side >= 0], minlength=len(self.names))


def sensitive_groups(evidence: Evidence) -> tuple[list[Groups], str]:
    """The named columns of a table as groups; or none, and the reason with what to do about it.

    Raises GannetError for a name that is no column.
    """
    frames = [side.frame for side in (evidence.train, evidence.holdout, evidence.generated, evidence.floor)]
    known = [str(name) for name in frames[0].columns]
    for name in evidence.sensitive:
        if name not in known:
            raise GannetError(f"sensitive {name!r}: the table has no such column; {did_you_mean(name, known)}")
    if not evidence.sensitive:
        suspects = [name for name in known if _suspect(name)]
        hint = f"; by their names, these may be: {listed(suspects, 6)}" if suspects else ""
        return [], f"no sensitive column was named{hint}. Name them with --sensitive."
    columns = []
    for name in evidence.sensitive:
        parts = [frame[[name]] if name in frame else frames[0][[name]].iloc[:0] for frame in frames]
        (column,) = read_columns(parts, real=2)
        moment = frames[0][name].dtype.kind in "Mm"
        columns.append(groups_of(column, moment=moment))
    return columns, ""


def _suspect(name: str) -> bool:
    """Whether a name hints at a protected group; `age` only as a word of its own, since many words end in it."""
    lower = name.lower()
    words = "".join(letter if letter.isalpha() else " " for letter in lower).split()
    return any(part in words if part in ("age", "race", "sex") else part in lower for part in SUSPECTS)


def groups_of(column: Column, *, moment: bool = False) -> Groups:
    """A column of four frames (training, held out, generated, wrong) as groups: levels, or quarters of numbers.

    Missing values are a group of their own where there are any; rare levels are joined; `moment`: numbers are dates.
    """
    if column.levels is None:
        names, codes = _quarters(column, moment)
    else:
        kept = column.real_levels if column.real_levels <= MOST_GROUPS else MOST_GROUPS - 1
        names = list(column.levels[:kept])
        codes = [np.where(part >= kept, kept, part) for part in column.values]
        if any((part == kept).any() for part in codes):
            names.append(OTHER)
    gone = [column.missing(frame) for frame in range(4)]
    if any(part.any() for part in gone):
        names.append(MISSING)
    sides = [np.where(no, len(names) - 1, code) for code, no in zip(codes, gone, strict=True)]
    return Groups(column.name, tuple(names), *sides)


def _quarters(column: Column, moment: bool) -> tuple[list[str], list[Array]]:
    real = np.concatenate(column.values[:2])
    real = real[~np.isnan(real)]
    values = np.unique(real)
    if len(values) <= min(FEW_VALUES, MOST_GROUPS) and not moment:
        edges = (values[:-1] + values[1:]) / 2
        return [f"{value:g}" for value in values], [np.searchsorted(edges, part) for part in column.values]
    edges = np.unique(np.quantile(real, [0.25, 0.5, 0.75]))
    # At or below the first edge, up to the second, ...: an edge belongs to the group it closes.
    codes = [np.searchsorted(edges, part, side="left") for part in column.values]
    if moment:
        return [f"part {at + 1} of {len(edges) + 1}, by date" for at in range(len(edges) + 1)], codes
    middle = [f"over {low:g} up to {high:g}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [f"up to {edges[0]:g}", *middle, f"over {edges[-1]:g}"], codes


def class_groups(evidence: Evidence) -> tuple[list[Groups], str]:
    """Class conditions as groups; generated samples go by what a classifier sees in them, not by what was asked for.

    Or none, and the reason. Raises GannetError for a sensitive name that is no class condition.
    """
    fields = evidence.spec.condition.fields if evidence.spec.condition else ()
    names = [field.name for field in fields if field.levels]
    for name in evidence.sensitive:
        if name not in names:
            raise GannetError(f"sensitive {name!r}: samples have no such label; {did_you_mean(name, names)}")
    columns = []
    for at, field in enumerate(fields):
        if field.levels is None or (evidence.sensitive and field.name not in evidence.sensitive):
            continue
        known = evidence.train.classes(evidence.spec, at)
        if known is not None and len(field.levels) > 1:
            columns.append(_recognised(field, known.numpy(), evidence))
    return columns, "the samples have no class whose groups could be compared: train on labelled data."


def _recognised(field: Field, classes: Array, evidence: Evidence) -> Groups:
    """Groups by a classifier that learned half of the training samples and sorts the rest, and all other samples."""
    sides = (evidence.train, evidence.holdout, evidence.generated, evidence.floor)
    inputs = from_features(*(picture_inputs(side) for side in sides))
    rows = evidence.random("fair/" + field.name).permutation(len(classes))
    learned = rows[: max(1, min(len(rows) // 2, MOST_LEARNED))]
    learner = learn(Examples(inputs[0].take(learned), classes[learned], learned), field.width, "weak", seed=0)
    seen = [learner.predict(side).argmax(1) for side in inputs]
    seen[0][learned] = -1
    return Groups(field.name, field.levels or (), *seen)
