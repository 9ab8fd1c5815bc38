"""How the game sees a column: a choice of levels, a number by its quantile, both at once, or not at all.

`fit(form, values, least=5)` chooses the encoder: `Number`, `Choice`, `Constant`, `Identifier`, `Withheld`, or `Asked`
for a number that the generator is conditioned on. Each turns values into codes and one number, and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_choice import Choice, frequencies
from gannet.domains.table_column import Column, Encoded, spell_one
from gannet.domains.table_column import from_json as field_from_json
from gannet.domains.table_identifiers import Identifier, looks_like_identifier
from gannet.domains.table_mixed import Mixed
from gannet.domains.table_number import Asked, Number
from gannet.domains.table_private_columns import PrivateChoice, PrivateNumber
from gannet.domains.table_stretches import pooled_cuts
from gannet.domains.table_values import Form, Numbers, Texts, Values
from gannet.errors import GannetError

FEW_VALUES = 30
"""Numbers with at most this many distinct values are played as a choice."""
MANY_WORDS, LONG_TEXT = 4, 60
"""Texts of this many words or letters on average, most of them different, are free text."""
ENOUGH_LEARNED = 0.5
"""Texts of which less than this share stands in levels that may be learned are not learned at all."""


def from_json(data: dict[str, Any]) -> Column:
    """The inverse of `Column.to_json`."""
    leaves = (Number, Mixed, Choice, Constant, Identifier, Withheld, Asked, PrivateNumber, PrivateChoice)
    kinds: dict[str, type[Column]] = {leaf.kind: leaf for leaf in leaves}
    values: dict[str, Any] = {key: field_from_json(value) for key, value in data.items() if key != "kind"}
    if "rare_counts" in values:
        # Runs made before the rare levels had a number.
        counts = np.array(values.pop("rare_counts"), dtype=np.int64)
        values |= {"rare_cuts": pooled_cuts(counts) if len(counts) else (), "placed": False}
    return kinds[data["kind"]](**values)


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


@dataclass(frozen=True)
class Withheld(Column):
    """Values that are not learned and not made up: the column comes back empty. Nothing of it is kept."""

    kind: ClassVar[str] = "withheld"
    reason: str
    numeric: bool = False

    @property
    def choice_width(self) -> int:
        return 0

    @property
    def has_number(self) -> bool:
        return False

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        return Encoded(None, None)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        return Numbers(np.full(count, np.nan)) if self.numeric else Texts(np.full(count, -1, dtype=np.int64), [])

    def describe(self, values: Values, form: Form) -> str:
        return (f"{self.reason}: not learned, comes back empty; drop={self.name} leaves it out") + (
            "" if self.numeric else f", types={self.name}=category learns what repeats"
        )


# ------------------------------------------------------------------------------------------------------- choosing


def fit(form: Form, values: Values, *, wanted: str | None = None, mixed: bool = False, least: int = 1) -> Column:
    """The encoder for a column, by the user's word (`wanted`) or by what its values look like.

    No value of a category held by fewer than `least` rows is learned or kept.
    """
    levels, counts = frequencies(values)
    present, distinct = int(counts.sum()), len(levels)
    if distinct == 0:
        return Constant(form.name, None)
    if wanted == "boolean" and distinct > 2:
        raise GannetError(f"types: column {form.name!r} has {distinct:,} different values, a boolean has two")
    if wanted == "id":
        return Identifier.fit(form.name, values)
    if wanted == "text":
        return Withheld(form.name, "free text", isinstance(values, Numbers))
    if distinct == 1 and not values.missing.any():
        return Constant(form.name, levels[0])
    if present < least and form.meaning != "boolean":
        return Withheld(form.name, f"only {present} of its values are there", isinstance(values, Numbers))
    if wanted is None and isinstance(values, Texts) and form.categories is None and not form.digits:
        both = Mixed.fit(form.name, values, least=least)
        if both is not None:
            return both
    if wanted is None and isinstance(values, Texts) and _is_free_text(levels, present):
        return Withheld(form.name, f"free text ({distinct:,} different)")
    if wanted is None and not mixed and looks_like_identifier(form, values, distinct, present):
        return Identifier.fit(form.name, values)
    if form.meaning == "boolean" or wanted == "boolean":
        # That there are two values is known of a boolean before any row is seen.
        return Choice.fit(form.name, values)
    if isinstance(values, Texts):
        return _category(form, values, counts, wanted, least)
    if wanted == "category" or (wanted is None and distinct <= FEW_VALUES and present >= 3 * distinct):
        return Choice.fit(form.name, values, least=least)
    return Number.fit(form.name, values, least=least)


def _category(form: Form, values: Texts, counts: np.ndarray, wanted: str | None, least: int) -> Column:
    share = counts[counts >= least].sum() / counts.sum()
    if wanted == "category" and not share:
        raise GannetError(f"types: column {form.name!r} has no value in {least} rows or more; least=1 learns them all")
    if wanted is None and share < ENOUGH_LEARNED:
        return Withheld(form.name, f"{1 - share:.0%} of its rows hold texts of fewer than {least} rows")
    return Choice.fit(form.name, values, least=least, ordered=form.ordered)


def _is_free_text(levels: list[str], present: int) -> bool:
    """Sentences: most of them different, of many words or letters."""
    if len(levels) < 20 or 2 * len(levels) < present:
        return False
    some = levels[:1000]
    words = sum(len(level.split()) for level in some) / len(some)
    letters = sum(map(len, some)) / len(some)
    return words >= MANY_WORDS or (words > 1.5 and letters >= LONG_TEXT)
