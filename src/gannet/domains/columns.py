"""How the game sees a column: a choice of levels, a number by its quantile, both at once, or not at all.

`fit(form, values)` chooses the encoder: `Number`, `Choice`, `Constant`, `Identifier`, or `Asked` for a number that the
generator is conditioned on. Each turns values into codes and one number, and back: `decode(encode(x)) ~ x`.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from gannet.domains.table_identifiers import Identifier, looks_like_identifier
from gannet.domains.table_number import Asked, Number
from gannet.domains.table_rounding import learn_decimals
from gannet.domains.table_values import Form, Numbers, Texts, Values
from gannet.errors import GannetError
from gannet.spec import Field

FEW_VALUES = 30
"""Numbers with at most this many distinct values are played as a choice."""
FEW_SHOWN = 6
MOST_LEVELS = 200
"""The widest choice; rarer levels share the last but one place."""


def from_json(data: dict[str, Any]) -> Column:
    """The inverse of `Column.to_json`."""
    kinds: dict[str, type[Column]] = {leaf.kind: leaf for leaf in (Number, Choice, Constant, Identifier, Asked)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "kind"
    }
    return kinds[data["kind"]](**values)


# ------------------------------------------------------------------------------------------------------ choices


@dataclass(frozen=True)
class Choice(Column):
    """Categories, booleans and few-valued numbers as one choice: levels, perhaps the rare rest, perhaps missing.

    The rare rest is one level that decodes to one of `rare`, drawn by its frequency.
    """

    kind: ClassVar[str] = "choice"
    levels: tuple[str, ...] | tuple[float, ...]
    rare: tuple[str, ...] | tuple[float, ...]
    rare_counts: tuple[int, ...]
    missing: bool

    @classmethod
    def fit(cls, name: str, values: Values) -> Choice:
        """Levels in their own order (numbers) or by falling frequency (texts)."""
        levels: list[Any]
        if isinstance(values, Texts):
            counts, levels = values.counts, values.levels
            levels = [level for level, count in zip(levels, counts, strict=True) if count]
            counts = counts[counts > 0]
        else:
            distinct, counts = np.unique(values.array[~values.missing], return_counts=True)
            levels = distinct.tolist()
        missing = bool(values.missing.any())
        order = sorted(range(len(levels)), key=lambda index: (-counts[index], levels[index]))
        room = MOST_LEVELS - missing
        kept, rest = (order, []) if len(order) <= room else (order[: room - 1], order[room - 1 :])
        if isinstance(values, Numbers):
            kept = sorted(kept)
        return cls(
            name=name,
            levels=tuple(levels[index] for index in kept),
            rare=tuple(levels[index] for index in rest),
            rare_counts=tuple(int(counts[index]) for index in rest),
            missing=missing,
        )

    @property
    def choice_width(self) -> int:
        return len(self.levels) + bool(self.rare) + self.missing

    @property
    def has_number(self) -> bool:
        return False

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        places: dict[Any, int] = {level: code for code, level in enumerate(self.levels)}
        if isinstance(values, Texts):
            known, codes = values.levels, values.codes
        else:
            distinct, codes = np.unique(values.array, return_inverse=True)
            known, codes = distinct.tolist(), np.where(values.missing, -1, codes)
        used = set(np.unique(codes).tolist())
        table = [self._place(level, places) if index in used else 0 for index, level in enumerate(known)]
        if -1 in used and not self.missing:
            raise GannetError(f"column {self.name!r} holds missing values, but none were there in training; fill them")
        return Encoded(np.array([*table, self.choice_width - 1], dtype=np.uint16)[codes], None)

    def _place(self, level: Any, places: dict[Any, int]) -> int:
        if level in places:
            return places[level]
        if self.rare:
            return len(self.levels)
        raise GannetError(f"column {self.name!r}: {level!r} is none of the values seen in training; map or drop it")

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        assert encoded.codes is not None
        codes, levels = encoded.codes.astype(np.int64), [*self.levels, *self.rare]
        gone = codes == self.choice_width - 1 if self.missing else np.zeros(len(codes), dtype=bool)
        if self.rare:
            rest = codes == len(self.levels)
            weights = np.array(self.rare_counts) / sum(self.rare_counts)
            codes[rest] += random.choice(len(self.rare), size=int(rest.sum()), p=weights)
        codes[gone] = -1
        if levels and isinstance(levels[0], str):
            return Texts(codes, [str(level) for level in levels])
        return Numbers(np.array([*levels, np.nan], dtype=np.float64)[codes])

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
            words += f", the {len(self.rare):,} rarest as one level"
        return words + missing_words(values, form)

    def fields(self, form: Form) -> tuple[Field, ...]:
        if self.levels and not isinstance(self.levels[0], str):
            names = [spell_one(float(level), form) for level in self.levels]
        else:
            names = [str(level) for level in self.levels]
        names += [OTHER_NAME] * bool(self.rare) + [MISSING_NAME] * self.missing
        return (Field(self.name, tuple(names)),)


# ------------------------------------------------------------------------------------------------- not learned


@dataclass(frozen=True)
class Constant(Column):
    """One value throughout (None: all missing), written back without being learned."""

    kind: ClassVar[str] = "constant"
    value: str | float | None

    @property
    def choice_width(self) -> int:
        return 0

    @property
    def has_number(self) -> bool:
        return False

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        return Encoded(None, None)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        if isinstance(self.value, str):
            return Texts(np.zeros(count, dtype=np.int64), [self.value])
        return Numbers(np.full(count, np.nan if self.value is None else self.value))

    def describe(self, values: Values, form: Form) -> str:
        if self.value is None:
            return "all missing: written back as missing, not learned"
        value = self.value if isinstance(self.value, str) else spell_one(self.value, form)
        return f"constant {value!r}: written back, not learned"


# ------------------------------------------------------------------------------------------------------- choosing


def fit(form: Form, values: Values, *, wanted: str | None = None, mixed: bool = False) -> Column:
    """The encoder for a column, by the user's word (`wanted`) or by what its values look like."""
    present = int((~values.missing).sum())
    distinct = _distinct(values)
    if distinct == 0:
        return Constant(form.name, None)
    if wanted == "boolean" and distinct > 2:
        raise GannetError(f"types: column {form.name!r} has {distinct:,} different values, a boolean has two")
    if wanted == "id":
        return Identifier.fit(form.name, values)
    if distinct == 1 and present == len(values):
        value = values.levels[values.codes[0]] if isinstance(values, Texts) else float(values.array[0])
        return Constant(form.name, value)
    if wanted is None and not mixed and looks_like_identifier(form, values, distinct, present):
        return Identifier.fit(form.name, values)
    if isinstance(values, Texts) or wanted in ("category", "boolean") or form.meaning == "boolean":
        return Choice.fit(form.name, values)
    if wanted is None and distinct <= FEW_VALUES and present >= 3 * distinct:
        return Choice.fit(form.name, values)
    return Number.fit(form.name, values)


def _distinct(values: Values) -> int:
    if isinstance(values, Texts):
        return int((values.counts > 0).sum())
    return len(np.unique(values.array[~values.missing]))
