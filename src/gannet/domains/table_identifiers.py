"""Identifiers: texts and numbers that name rows. They are never learned; new ones are made in the same pattern.

`looks_like_identifier(...)` finds such columns; `Identifier.fit(name, values)` keeps the pattern alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gannet.domains.table_column import Column, Encoded, missing_words
from gannet.domains.table_values import Form, Numbers, Texts, Values

_KEY_NAME = re.compile(r"(?i:(?:.*[ _.-])?(?:id|key|uuid|guid|index|nr|no))|.*[a-z]I[dD]|Unnamed: 0")


def looks_like_identifier(form: Form, values: Values, distinct: int, present: int) -> bool:
    """Texts of which nine in ten differ, or whole numbers that count the rows."""
    if isinstance(values, Texts):
        return distinct == present >= 20 or (present >= 50 and distinct >= 0.9 * present)
    if form.meaning != "integer" or distinct < present or present < 20:
        return False
    numbers = values.array[~values.missing]
    reach = numbers.max() - numbers.min() + 1
    steps = np.diff(numbers)
    monotone = bool((steps > 0).all() or (steps < 0).all())
    named = _KEY_NAME.fullmatch(form.name) is not None
    return (
        named or (monotone and present >= 50 and reach <= 20 * present) or (present >= 100 and reach <= 1.5 * present)
    )


@dataclass(frozen=True)
class Identifier(Column):
    """Names of rows: never learned; new ones are made in the same pattern, unlike each other.

    Kept is the pattern alone (an alphabet a position, or prefix and largest counter), not the values; so a made-up
    text may equal an existing one by chance, where the pattern leaves little room. Counters go on past the largest.
    """

    kind: ClassVar[str] = "identifier"
    prefix: str
    digits: int
    """Zero-padded width of the counter; 0 without padding."""
    last: int | None
    """The largest counter; None where the patterns are used."""
    patterns: tuple[tuple[str, ...], ...]
    """For each pattern, the alphabet of each position."""
    weights: tuple[float, ...]
    missing: float
    """Share of rows without one."""
    numeric: bool

    @classmethod
    def fit(cls, name: str, values: Values) -> Identifier:
        missing = float(values.missing.mean())
        if isinstance(values, Numbers):
            last = int(np.nanmax(values.array))
            return cls(name, "", 0, last, (), (), missing, True)
        used = [level for level, count in zip(values.levels, values.counts.tolist(), strict=True) if count]
        counter = _counter(used)
        if counter:
            return cls(name, *counter, (), (), missing, False)
        patterns = _patterns(used)
        total = sum(patterns.values())
        weights = tuple(count / total for count in patterns.values())
        return cls(name, "", 0, None, tuple(patterns), weights, missing, False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", tuple(tuple(pattern) for pattern in self.patterns))

    @property
    def choice_width(self) -> int:
        return 0

    @property
    def has_number(self) -> bool:
        return False

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        return Encoded(None, None)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        gone = random.random(count) < self.missing
        if self.numeric:
            assert self.last is not None
            return Numbers(np.where(gone, np.nan, self.last + 1.0 + np.arange(count)))
        made = self._draw(count, random) if self.last is None else self._count(count)
        return Texts(np.where(gone, -1, np.arange(count)), made)

    def _count(self, count: int) -> list[str]:
        assert self.last is not None
        return [f"{self.prefix}{number:0{self.digits}d}" for number in range(self.last + 1, self.last + 1 + count)]

    def _draw(self, count: int, random: np.random.Generator) -> list[str]:
        """`count` different texts; a pattern without room for so many grows a counter."""
        made: dict[str, None] = {}
        for _ in range(20):
            chosen = random.choice(len(self.patterns), size=count - len(made), p=self.weights)
            drawn = np.empty(len(chosen), dtype=object)
            for index in np.unique(chosen):
                rows = np.flatnonzero(chosen == index)
                letters = [_letters(alphabet, len(rows), random) for alphabet in self.patterns[index]]
                drawn[rows] = ["".join(row) for row in zip(*letters, strict=True)]
            made.update(dict.fromkeys(drawn.tolist()))
            if len(made) >= count:
                return list(made)
        stem = next(iter(made))
        for number in range(count - len(made)):
            made[f"{stem}-{number + 1}"] = None
        return list(made)

    def describe(self, values: Values, form: Form) -> str:
        return "identifier: never learned, made anew in the same pattern" + missing_words(values, form)


def _letters(alphabet: str, count: int, random: np.random.Generator) -> list[str]:
    return np.array(list(alphabet))[random.integers(len(alphabet), size=count)].tolist()


def _counter(texts: list[str]) -> tuple[str, int, int] | None:
    """Prefix, padded width and largest number of texts like A-0001; None where they are not."""
    parts = [re.fullmatch(r"(.*?)([0-9]{1,15})", text, re.DOTALL) for text in texts]
    if not all(parts):
        return None
    prefixes = {part[1] for part in parts if part}
    numbers = [part[2] for part in parts if part]
    widths = {len(number) for number in numbers}
    padded = any(number.startswith("0") and number != "0" for number in numbers)
    if len(prefixes) > 1 or (padded and len(widths) > 1):
        return None
    return prefixes.pop(), widths.pop() if padded else 0, max(map(int, numbers))


_CLASSES = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEXADECIMAL = ("0123456789abcdef", "0123456789ABCDEF")
_MOST_PATTERNS = 50
_LONGEST_PATTERN = 80


def _patterns(texts: list[str]) -> dict[tuple[str, ...], int]:
    """Alphabets by position with their frequency: one pattern for texts of one length, else one a shape."""
    if len({len(text) for text in texts}) == 1:
        return {tuple(_alphabet(set(letters)) for letters in zip(*texts, strict=True)): len(texts)}
    shapes: dict[tuple[str, ...], int] = {}
    for text in texts:
        shape = tuple(_alphabet({letter}, widen=True) for letter in text[:_LONGEST_PATTERN])
        shapes[shape] = shapes.get(shape, 0) + 1
    common = sorted(shapes, key=lambda shape: -shapes[shape])[:_MOST_PATTERNS]
    return {shape: shapes[shape] for shape in common}


def _alphabet(letters: set[str], *, widen: bool = False) -> str:
    """The letters a position may hold: itself when constant, whole classes of digits and letters otherwise."""
    if len(letters) == 1 and not widen:
        return "".join(letters)
    for whole in (_CLASSES[0], *_HEXADECIMAL, *_CLASSES[1:]):
        if letters <= set(whole):
            return whole
    classes = [whole for whole in _CLASSES if letters & set(whole)]
    others = letters - set("".join(_CLASSES))
    # A letter of another script would give its word away; its place is filled with plain letters.
    foreign = any(letter.isalpha() for letter in others)
    return "".join([*classes, *sorted(letter for letter in others if not letter.isalpha())]) or _CLASSES[1] * foreign
