"""How true several tables are to each other: children per parent, parent and child columns together, siblings, keys.

Every figure stands beside that of real parents held against other real parents (the ceiling) and of the real tables
with their keys drawn anew or shuffled (the floor). `family_figures(link, real, generated, random)` -> figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gannet.metrics.answer import Figure
from gannet.metrics.table_fidelity import PAIR_BINS, cells, joint_distance, read_columns, shape_distance
from gannet.relational.preparing import order_of_siblings
from gannet.relational.reading import key_texts
from gannet.relational.schema import Link, Schema

FEWEST_PARENTS = 10
"""Fewer parents cannot be parted into two halves that say anything."""


@dataclass(frozen=True)
class Families:
    """The parents and children of one link: their frames, and each child's row of the parents; -1 without one."""

    parents: Any
    children: Any
    rows: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Children of each parent int64 [parents]."""
        return np.bincount(self.rows[self.rows >= 0], minlength=len(self.parents))

    def of(self, kept: np.ndarray) -> Families:
        """Some of the parents, by their rows, with their children."""
        places = np.full(len(self.parents) + 1, -1, dtype=np.int64)
        places[kept] = np.arange(len(kept))
        children = np.flatnonzero(places[self.rows] >= 0)
        return Families(
            self.parents.iloc[kept].reset_index(drop=True),
            self.children.iloc[children].reset_index(drop=True),
            places[self.rows[children]],
        )

    def shuffled(self, random: np.random.Generator) -> Families:
        """The keys dealt out among the children: every parent keeps its number."""
        return Families(self.parents, self.children, random.permutation(self.rows))

    def drawn(self, random: np.random.Generator) -> Families:
        """A parent drawn at random for every child."""
        return Families(self.parents, self.children, random.integers(len(self.parents), size=len(self.rows)))

    def joined(self) -> tuple[Any, Any]:
        """The parent's row, with the number of its children, beside each child's: two frames of the same rows."""
        known = np.flatnonzero(self.rows >= 0)
        parents = self.parents.assign(**{"(number of children)": self.counts}).iloc[self.rows[known]]
        return parents.reset_index(drop=True), self.children.iloc[known].reset_index(drop=True)

    def siblings(self) -> tuple[Any, Any]:
        """Each child but the first beside the one before it."""
        before, _ = order_of_siblings(self.rows)
        later = np.flatnonzero(before >= 0)
        first = self.children.iloc[before[later]].reset_index(drop=True)
        return first, self.children.iloc[later].reset_index(drop=True)


def rows_of(schema: Schema, tables: Mapping[str, Any], link: Link) -> tuple[np.ndarray, int]:
    """The parent's row int64 [n] of each child, by the keys in the tables, and how many keys refer nowhere."""
    key = schema.table(link.parent).key
    assert key is not None
    places: dict[str | None, int] = {text: row for row, text in enumerate(key_texts(tables[link.parent][key]))}
    keys = key_texts(tables[link.child][link.column])
    rows = np.array([-1 if text is None else places.get(text, -2) for text in keys], dtype=np.int64)
    return np.maximum(rows, -1), int((rows == -2).sum())


def family_figures(title: str, real: Families, generated: Families, random: np.random.Generator) -> list[Figure]:
    """What generated families are like beside real ones; none where there are too few parents."""
    if len(real.parents) < FEWEST_PARENTS or not len(generated.rows):
        return []
    order = random.permutation(len(real.parents))
    first, second = real.of(np.sort(order[::2])), real.of(np.sort(order[1::2]))
    figures = [
        Figure(
            f"{title}: children per parent",
            shape_distance(first.counts.astype(float), generated.counts.astype(float)),
            None,
            shape_distance(first.counts.astype(float), second.counts.astype(float)),
            shape_distance(first.counts.astype(float), second.drawn(random).counts.astype(float)),
            "lower",
            "Kolmogorov-Smirnov distance of the numbers of children, none included; 0 is the same, 1 is disjoint.",
        )
    ]
    sides = [each.joined() for each in (first, second, generated, second.shuffled(random))]
    meaning = "share of the rows that a column of the parent and one of the child have right together, on average."
    figures += _pair_figure(f"{title}: parent and child", sides, random, meaning)
    sides = [each.siblings() for each in (first, second, generated, second.shuffled(random))]
    meaning = "share of the rows that a column of a child and one of the sibling before have right together."
    return figures + _pair_figure(f"{title}: siblings", sides, random, meaning)


def distant_figures(title: str, real: Families, generated: Families, random: np.random.Generator) -> list[Figure]:
    """How columns of the parent's parent go with those of the child; the rows are those of the parent's parent."""
    if len(real.parents) < FEWEST_PARENTS or not len(generated.rows):
        return []
    order = random.permutation(len(real.parents))
    first, second = real.of(np.sort(order[::2])), real.of(np.sort(order[1::2]))
    sides = [each.joined() for each in (first, second, generated, second.shuffled(random))]
    meaning = "share of the rows that a column of the parent's parent and one of the child have right together."
    return _pair_figure(title, sides, random, meaning)


def _pair_figure(name: str, sides: list[tuple[Any, Any]], random: np.random.Generator, meaning: str) -> list[Figure]:
    """One figure of pairs; `sides` are real, other real, generated and wrong rows, left and right frames each."""
    count = min(len(left) for left, _ in sides)
    if count < FEWEST_PARENTS or not all(len(part.columns) for part in sides[0]):
        return []
    # Of fewer rows any two sets differ more: all are compared with as many.
    some = [np.sort(random.permutation(len(left))[:count]) for left, _ in sides[1:]]
    rows = [np.arange(len(sides[0][0])), *some]
    coded = []
    for at in (0, 1):
        frames = [side[at].iloc[kept].reset_index(drop=True) for side, kept in zip(sides, rows, strict=True)]
        coded.append([cells(column, PAIR_BINS) for column in read_columns(frames, real=2)])
    scores = []
    for side in (1, 2, 3):
        pairs = [
            1 - joint_distance(here[0] * width + there[0], here[side] * width + there[side], wide * width)
            for here, wide in coded[0]
            for there, width in coded[1]
        ]
        scores.append(float(np.mean(pairs)))
    return [Figure(name, scores[1], None, scores[0], scores[2], "higher", meaning)]
