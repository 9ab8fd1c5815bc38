"""Which levels of a table's columns the generated rows have, and how much of the rare ones.

`category_coverage(train, other)` compares two data frames column by column; numbers have no levels and are left out.
A missing value counts as a level of its own: a model that never leaves a cell empty has lost something.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from gannet.metrics.intervals import within
from gannet.metrics.shares import NORMAL

RARE = 0.05
"""Levels with at most this share of the training rows are rare."""
KNOWN = 3
"""Rows a level must have in training: of rarer ones, no fresh sample owes any."""
MOST_LEVELS = 1000
"""Columns with more levels are names or keys, which are made up and not covered."""
MISSING = "(missing)"


@dataclass(frozen=True)
class Column:
    """One column of categories: its levels as text, with their shares of the training rows and of the others."""

    name: str
    levels: list[str]
    train: np.ndarray
    other: np.ndarray
    count: int
    """Rows of the others."""

    @property
    def covered(self) -> float:
        """Share of the levels that the others have."""
        return float((self.other > 0).mean())

    @property
    def lost(self) -> list[str]:
        """Levels that the others lack although about five rows or more were to be expected, commonest first."""
        order = np.argsort(-self.train, kind="stable")
        return [self.levels[i] for i in order if self.other[i] == 0 and self.train[i] * self.count >= 5]

    @property
    def rare(self) -> np.ndarray:
        return self.train <= RARE

    @property
    def rare_mass(self) -> tuple[float, float]:
        """Share of the rows with a rare level: in training, and among the others."""
        return float(self.train[self.rare].sum()), float(self.other[self.rare].sum())


@dataclass(frozen=True)
class CategoryCoverage:
    """All columns of categories with at least two levels."""

    columns: list[Column]

    @property
    def covered(self) -> float:
        """Mean over columns of the share of their levels that are there; 1 without such columns."""
        return float(np.mean([column.covered for column in self.columns])) if self.columns else 1.0

    @property
    def covered_interval(self) -> tuple[float, float] | None:
        """95 % interval of `covered`, were other rows drawn; columns count as independent. None without columns.

        A level of c rows would be found again with a chance of 1 - exp(-c - 1/2): half a row added, since a level that
        was not found may only have been missed.
        """
        if not self.columns:
            return None
        chances = [1 - np.exp(-(column.other * column.count + 0.5)) for column in self.columns]
        variance = sum(float((each * (1 - each)).sum()) / len(each) ** 2 for each in chances) / len(chances) ** 2
        return within(self.covered, NORMAL * sqrt(variance), low=0.0, high=1.0)

    @property
    def rare_ratio(self) -> float | None:
        """Mass of all rare levels over their mass in training: 1 is right, 0 means lost; None without rare levels."""
        masses = np.array([column.rare_mass for column in self.columns]).reshape(-1, 2).sum(0)
        return float(masses[1] / masses[0]) if masses[0] > 0 else None

    @property
    def rare_interval(self) -> tuple[float, float] | None:
        """95 % interval of the ratio, training held fixed; columns of a row count as dependent, so it errs wide."""
        ratio = self.rare_ratio
        if ratio is None:
            return None
        masses = np.array([column.rare_mass for column in self.columns])
        if not masses[:, 1].any():
            # None among n rows: at 95 %, at most three were to be expected.
            return 0.0, 3 / (self.columns[0].count * float(masses[:, 0].sum()))
        # The deviation of a sum is at most the sum of the deviations.
        deviation = np.sqrt(masses[:, 1] * (1 - masses[:, 1]) / self.columns[0].count).sum()
        error = NORMAL * float(deviation / masses[:, 0].sum())
        return max(0.0, ratio - error), ratio + error


def category_coverage(train: Any, other: Any, left_out: Collection[str] = ()) -> CategoryCoverage:
    """The levels of training rows among other rows, both pandas data frames with the same columns.

    Left out: columns named so, numbers, dates, columns with one level or with as many as a key has.
    """
    columns = []
    for name in train.columns:
        if name in left_out or train[name].dtype.kind not in "ObSU":
            continue
        before, after = _texts(train[name]), _texts(other[name])
        levels, counts = np.unique(before, return_counts=True)
        keyed = len(levels) > MOST_LEVELS or len(levels) > max(10, len(before) / 2)
        known = counts >= KNOWN
        if keyed or known.sum() < 2:
            continue
        found, times = np.unique(after, return_counts=True)
        tally = dict(zip(found.tolist(), times.tolist(), strict=True))
        shares = np.array([tally.get(level, 0) / len(after) for level in levels[known].tolist()])
        columns.append(Column(str(name), levels[known].tolist(), counts[known] / len(before), shares, len(after)))
    return CategoryCoverage(columns)


def _texts(column: Any) -> np.ndarray:
    """A column as text, missing cells by one name."""
    empty = column.isna().to_numpy(dtype=bool)
    texts = np.array([str(value) for value in column], dtype=object)
    texts[empty] = MISSING
    return texts.astype(str)
