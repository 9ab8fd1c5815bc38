"""Categories, booleans and few-valued numbers as one choice of levels; beyond 200 levels the rare ones are a number.

`Choice.fit(name, values, least=5)` learns no level held by fewer than five rows. Memory and time are linear in the
levels: a column of 100,000 takes 200 features and one number, the place of a rare level among the rare ones.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from os.path import commonprefix
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_column import (
    MISSING_NAME,
    OTHER_NAME,
    Column,
    Encoded,
    first_levels,
    missing_words,
    noun,
    span,
    spell_one,
)
from gannet.domains.table_rounding import learn_decimals, learn_step, onto_steps
from gannet.domains.table_stretches import MOST_STRETCHES, merged, place, pooled_cuts, read
from gannet.domains.table_values import Form, Numbers, Texts, Values
from gannet.errors import GannetError
from gannet.spec import Field

FEW_SHOWN = 6
MOST_LEVELS = 200
"""The widest choice; rarer levels share the last but one place, and a number tells them apart."""
GONE, UNKNOWN = -1, -2


@dataclass(frozen=True)
class Choice(Column):
    """One of `levels`, perhaps one of the `rare` rest, perhaps missing.

    The rest is one more level, and a number in [-1, 1]: the stretch of the rare level, in the levels' own order, as
    wide as its share. A level that was not learned is read as the nearest one where levels are numbers or many, so
    that texts keep their beginnings, and as a draw of the others by their shares where they are a few words.
    """

    kind: ClassVar[str] = "choice"
    levels: tuple[str, ...] | tuple[float, ...]
    rare: tuple[str, ...] | tuple[float, ...]
    """In their own order."""
    rare_cuts: tuple[float, ...]
    """Where in [-1, 1] one rare level ends and the next begins."""
    missing: bool
    placed: bool = True
    """Whether the number tells the rare level; if not, one is drawn by the shares."""
    least: int = 1
    """Rows that a level needed to be learned."""
    left_out: int = 0
    """Levels with fewer rows."""
    shares: tuple[float, ...] | None = None
    """Cuts by the shares of the levels and of the rest, to draw one for a level that was left out."""

    @classmethod
    def fit(cls, name: str, values: Values, *, least: int = 1, ordered: bool = False) -> Choice:
        """Levels by falling frequency, or in their own order where they are numbers or `ordered`."""
        levels, counts = frequencies(values)
        before = len(levels)
        if isinstance(values, Numbers) and least > 1:
            levels, counts = _few_numbers(levels, counts, least)
        enough = [index for index in range(len(levels)) if counts[index] >= least]
        missing = bool(values.missing.any())
        order = sorted(enough, key=lambda index: (-counts[index], levels[index]))
        room = MOST_LEVELS - missing
        kept, rest = (order, []) if len(order) <= room else (order[: room - 1], order[room - 1 :])
        numeric = isinstance(values, Numbers)
        if numeric or ordered:
            kept = sorted(kept)
        rest = sorted(rest) if numeric or ordered else sorted(rest, key=levels.__getitem__)
        left_out = before - len(enough)
        known = np.append(counts[kept], counts[rest].sum() if rest else [])
        return cls(
            name=name,
            levels=tuple(levels[index] for index in kept),
            rare=tuple(levels[index] for index in rest),
            rare_cuts=pooled_cuts(counts[rest]) if rest else (),
            missing=missing,
            least=least,
            left_out=left_out,
            shares=pooled_cuts(known) if left_out and not numeric else None,
        )

    @property
    def choice_width(self) -> int:
        return len(self.levels) + bool(self.rare) + self.missing

    @property
    def has_number(self) -> bool:
        return bool(self.rare) and self.placed

    @property
    def number_cuts(self) -> tuple[float, ...] | None:
        return self.rare_cuts if self.has_number and len(self.rare) <= MOST_STRETCHES else None

    # A spot is a level's place among `levels` and, after them, `rare`.

    @cached_property
    def _spots(self) -> dict[Any, int]:
        return {level: spot for spot, level in enumerate((*self.levels, *self.rare))}

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        if isinstance(values, Texts):
            known, codes = values.levels, values.codes
        else:
            distinct, codes = np.unique(values.array, return_inverse=True)
            known, codes = distinct.tolist(), np.where(values.missing, GONE, codes)
        counts = np.bincount(codes + 1, minlength=len(known) + 1)
        if counts[0] and not self.missing:
            raise GannetError(f"column {self.name!r} holds missing values, but none were there in training; fill them")
        spots = [self._spots.get(level, UNKNOWN) for level in known]
        for index in np.flatnonzero(counts[1:]).tolist():
            if spots[index] == UNKNOWN:
                spots[index] = self._nearest(known[index])
        found = np.array([*spots, GONE], dtype=np.int64)[codes]
        if counts[1:].any() and UNKNOWN in spots:
            self._draw(found, random or np.random.default_rng(0))
        return self._encoded(found, random)

    def _nearest(self, level: Any) -> int:
        """The spot that a level which was not learned is read as; UNKNOWN where one is to be drawn."""
        if not (self.rare or self.left_out):
            raise GannetError(f"column {self.name!r}: {level!r} is none of the values seen in training; map or drop it")
        if not isinstance(level, str):
            kept = np.nan_to_num(np.array([*self.levels, *self.rare], dtype=np.float64))
            return int(np.abs(kept - np.nan_to_num(level)).argmin())
        if not self.rare:
            return UNKNOWN
        after = bisect_left(self._in_order, level)
        around = self._in_order[max(after - 1, 0) : after + 1]
        return self._spots[max(around, key=lambda kept: len(commonprefix([kept, level])))]

    @cached_property
    def _in_order(self) -> list[str]:
        return sorted(str(level) for level in (*self.levels, *self.rare))

    def _draw(self, spots: np.ndarray, random: np.random.Generator) -> None:
        """Spots by the shares where they are unknown."""
        unknown = np.flatnonzero(spots == UNKNOWN)
        if len(unknown):
            assert self.shares is not None
            spots[unknown] = read(random.uniform(-1, 1, len(unknown)), np.array(self.shares))

    def _encoded(self, spots: np.ndarray, random: np.random.Generator | None) -> Encoded:
        first = len(self.levels)
        codes = np.minimum(spots, first)
        codes[spots == GONE] = self.choice_width - 1
        if not self.has_number:
            return Encoded(codes.astype(np.uint16), None)
        numbers, rest = np.zeros(len(spots), dtype=np.float32), spots >= first
        numbers[rest] = place(spots[rest] - first, np.array(self.rare_cuts), random)
        return Encoded(codes.astype(np.uint16), numbers)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        assert encoded.codes is not None
        spots, levels = encoded.codes.astype(np.int64), [*self.levels, *self.rare]
        gone = spots == self.choice_width - 1 if self.missing else np.zeros(len(spots), dtype=bool)
        if self.rare:
            rest = spots == len(self.levels)
            drawn = not self.has_number or encoded.numbers is None
            numbers = random.uniform(-1, 1, int(rest.sum())) if drawn else encoded.numbers[rest]  # type: ignore[index]
            spots[rest] += read(numbers, np.array(self.rare_cuts))
        spots[gone] = GONE
        if levels and isinstance(levels[0], str):
            return Texts(spots, [str(level) for level in levels])
        return Numbers(np.array([*levels, np.nan], dtype=np.float64)[spots])

    def describe(self, values: Values, form: Form) -> str:
        if form.meaning == "boolean":
            words = "boolean" if form.spelling.words is None else "boolean ({} / {})".format(*form.spelling.words)
        elif form.meaning == "text":
            shown = first_levels(self.fields(form)[0].levels or ())
            words = f"category of {len(self.levels) + len(self.rare):,}: {shown}"
        else:
            assert isinstance(values, Numbers)
            present = values.array[~values.missing]
            few = len(self.levels) <= FEW_SHOWN
            shown = first_levels(self.fields(form)[0].levels or ()) if few else f"{span(present, form)}"
            words = f"{len(self.levels)} different {noun(form, learn_decimals(present))}: {shown}"
        if self.rare:
            words += f", the {len(self.rare):,} rarest as one level" + " and a number" * self.placed
        return words + self._left_out_words() + missing_words(values, form)

    def _left_out_words(self) -> str:
        if not self.left_out:
            return ""
        read_as = "drawn from the others" if self.shares is not None and not self.rare else "read as the nearest"
        return f", {self.left_out:,} in fewer than {self.least} rows not learned ({read_as})"

    def fields(self, form: Form) -> tuple[Field, ...]:
        if self.levels and not isinstance(self.levels[0], str):
            names = [spell_one(float(level), form) for level in self.levels]
        else:
            names = [str(level) for level in self.levels]
        names += [OTHER_NAME] * bool(self.rare) + [MISSING_NAME] * self.missing
        return (Field(self.name, tuple(names)),)


def _few_numbers(levels: list[float], counts: np.ndarray, least: int) -> tuple[list[float], np.ndarray]:
    """Ascending numbers and their rows, each with `least` rows or more; neighbours of fewer become their mean."""
    values = np.array(levels, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return levels, counts
    decimals = learn_decimals(values[finite])
    kept, rows = merged(values[finite], counts[finite], least)
    kept, which = np.unique(onto_steps(kept, decimals, learn_step(values[finite], decimals)), return_inverse=True)
    rows = np.bincount(which, weights=rows)
    beyond = np.array([-np.inf, np.inf])
    rest = [counts[values == bound].sum() for bound in beyond]
    levels = [*kept.tolist(), *(float(bound) for bound, count in zip(beyond, rest, strict=True) if count)]
    return levels, np.array([*rows, *(count for count in rest if count)], dtype=np.int64)


def frequencies(values: Values) -> tuple[list[Any], np.ndarray]:
    """The levels that stand in a column, in its own order, and the rows of each int64 [levels]."""
    if isinstance(values, Texts):
        counts = values.counts
        return [level for level, count in zip(values.levels, counts, strict=True) if count], counts[counts > 0]
    distinct, counts = np.unique(values.array[~values.missing], return_counts=True)
    return distinct.tolist(), counts
