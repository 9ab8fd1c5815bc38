"""Columns of numbers beside words, such as 12, 15.5, unknown: the words are levels, the numbers stay numbers.

`Mixed.fit(name, texts, least=5)` -> the encoder, or None where numbers are few or words many: then it is a category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_column import Column, Encoded, from_json, missing_words, noun, span
from gannet.domains.table_number import Number
from gannet.domains.table_values import (
    LARGEST_EXACT,
    Form,
    Numbers,
    Spelling,
    Texts,
    Values,
    decimal_spelling,
    is_number,
    number_of,
    spell,
    texts,
)

MOST_WORDS, MOST_RARE, FEWEST_NUMBERS = 20, 0.05, 31
"""Words that are kept, the share of rows with others, and the different numbers without which it is a category."""


@dataclass(frozen=True)
class Mixed(Column):
    """Numbers and a few words. Inside, each word is a number of its own beyond the largest, and a point mass there."""

    kind: ClassVar[str] = "mixed"
    number: dict[str, Any]
    """The `Number` within, as JSON."""
    words: tuple[str, ...]
    codes: tuple[float, ...]
    """The number that stands for each word."""
    fixed_decimals: int | None
    bare_wholes: bool
    left_out: int
    """Different words of too few rows, which are read as missing."""

    @classmethod
    def fit(cls, name: str, values: Texts, *, least: int = 1) -> Mixed | None:
        counts = values.counts
        numeric = np.array([is_number(level) for level in values.levels], dtype=bool)
        total, rows = int(counts.sum()), int(counts[numeric].sum())
        words = sorted(np.flatnonzero(~numeric & (counts > 0)).tolist(), key=lambda index: (-counts[index], index))
        kept = [index for index in words if counts[index] >= least][:MOST_WORDS]
        rare = total - rows - int(counts[kept].sum())
        if not words or 2 * rows < total or (numeric & (counts > 0)).sum() < FEWEST_NUMBERS or rare > MOST_RARE * total:
            return None
        written = [values.levels[index].strip() for index in np.flatnonzero(numeric).tolist()]
        spelling = decimal_spelling(written[:10_000], "", False)
        whole = all("." not in level and "e" not in level.lower() for level in written)
        largest = max(map(float, written))
        if max(largest, -min(map(float, written))) > LARGEST_EXACT / 2:
            return None
        beyond = np.floor(largest) + 1
        codes = tuple(float(beyond + place) for place in range(len(kept)))
        chosen = tuple(values.levels[index] for index in kept)
        read = Numbers(_table(values.levels, chosen, codes)[values.codes])
        number = Number.fit(name, read, least=least, apart=codes)
        decimals = 0 if whole else spelling.fixed_decimals
        return cls(name, number.to_json(), chosen, codes, decimals, spelling.bare_wholes, len(words) - len(kept))

    @cached_property
    def _number(self) -> Number:
        return Number(**{key: from_json(value) for key, value in self.number.items() if key != "kind"})

    @property
    def choice_width(self) -> int:
        return self._number.choice_width

    @property
    def has_number(self) -> bool:
        return True

    @property
    def number_cuts(self) -> tuple[float, ...] | None:
        return self._number.cuts

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        assert isinstance(values, Texts)
        return self._number.encode(Numbers(_table(values.levels, self.words, self.codes)[values.codes]), random)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        array = self._number.decode(encoded, count, random)
        assert isinstance(array, Numbers)
        written = spell(array, self._form)
        for word, code in zip(self.words, self.codes, strict=True):
            written[array.array == code] = word
        return texts(written.tolist())

    @property
    def _form(self) -> Form:
        spelling = Spelling(fixed_decimals=self.fixed_decimals, bare_wholes=self.bare_wholes)
        return Form(self.name, "integer" if self.fixed_decimals == 0 else "decimal", "", spelling=spelling)

    def describe(self, values: Values, form: Form) -> str:
        assert isinstance(values, Texts)
        levels = [level for level, count in zip(values.levels, values.counts.tolist(), strict=True) if count]
        numbers = np.array([number_of(level) for level in levels if is_number(level)])
        said = f"{noun(self._form, self._number.decimals)} {span(numbers, self._form)}"
        if self.words:
            said += f", or {' or '.join(map(repr, self.words))}"
        if self.left_out:
            said += f", {self.left_out:,} other words of few rows read as missing"
        return said + missing_words(values, form)


def _table(levels: Sequence[str], words: Sequence[str], codes: Sequence[float]) -> np.ndarray:
    """The number of each level, and NaN for missing at the end."""
    known = dict(zip(words, codes, strict=True))
    read = [known.get(level, number_of(level)) for level in levels]
    return np.array([*read, np.nan], dtype=np.float64)
