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
from gannet.domains.table_values import LARGEST_EXACT, Form, Numbers, Texts, Values
from gannet.errors import GannetError
from gannet.spec import Field

MASS = 0.05
"""A value that fills at least this share of a column becomes a level of its own."""
FEW_VALUES = 30
"""Numbers with at most this many distinct values are played as a choice."""
FEW_SHOWN = 6
MOST_LEVELS = 200
"""The widest choice; rarer levels share the last but one place."""
KNOTS = 981
"""Evenly spaced quantiles kept of a number, before those of its tails; in all at most 1001."""
ROWS_PER_KNOT = 10


def from_json(data: dict[str, Any]) -> Column:
    """The inverse of `Column.to_json`."""
    kinds: dict[str, type[Column]] = {leaf.kind: leaf for leaf in (Number, Choice, Constant, Identifier, Asked)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "kind"
    }
    return kinds[data["kind"]](**values)


# ------------------------------------------------------------------------------------------------------ numbers


@dataclass(frozen=True)
class Number(Column):
    """Integers, decimals and dates through their empirical quantiles, uniform in [-1, 1].

    Point masses and missing values are levels of a choice beside the number (0 = the number itself). Kept are at
    most 1001 knots of the quantile function, each standing for ten rows or more; but the first and the last knot
    are the true smallest and largest value, which may point at a person.
    """

    kind: ClassVar[str] = "number"
    decimals: int | None
    """Digits after the point; None without rounding."""
    step: float
    """What every value is a multiple of, 25 for weights in quarters of a hundred; 0 without rounding."""
    knots: tuple[float, ...]
    sampled: int
    """Rows behind the knots; it says at which probabilities they stand."""
    masses: tuple[float, ...]
    missing: bool

    @classmethod
    def fit(cls, name: str, values: Numbers) -> Number:
        """Point masses, rounding and quantiles of a column that holds at least one value."""
        present = values.array[~values.missing]
        distinct, counts = np.unique(present, return_counts=True)
        heavy = (counts >= MASS * len(present)) | np.isinf(distinct)
        free = present[~np.isin(present, distinct[heavy])] if heavy.any() else present
        finite = present[np.isfinite(present)]
        decimals = learn_decimals(finite)
        step = learn_step(finite, decimals)
        probabilities = knot_probabilities(len(free))
        # Where every value is a point mass, the number is never read.
        knots = _quantiles(free, probabilities) if len(free) else np.zeros(len(probabilities))
        return cls(
            name=name,
            decimals=decimals,
            step=step,
            knots=tuple(_onto_steps(knots, decimals, step).tolist()),
            sampled=len(free),
            masses=tuple(float(value) for value in distinct[heavy]),
            missing=bool(values.missing.any()),
        )

    @property
    def choice_width(self) -> int:
        extra = len(self.masses) + self.missing
        return extra + 1 if extra else 0

    @property
    def has_number(self) -> bool:
        return True

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        assert isinstance(values, Numbers)
        codes = np.zeros(len(values), dtype=np.uint16)
        for code, mass in enumerate(self.masses, start=1):
            codes[values.array == mass] = code
        if self.missing:
            codes[values.missing] = self.choice_width - 1
        elif values.missing.any():
            raise GannetError(f"column {self.name!r} holds missing values, but none were there in training; fill them")
        free = codes == 0
        numbers = np.zeros(len(values), dtype=np.float32)
        numbers[free] = self._place(values.array[free], random)
        return Encoded(codes if self.choice_width else None, numbers)

    def _place(self, values: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
        """Where values lie among the quantiles, in [-1, 1].

        A rounded value owns a stretch of them: its middle is taken, or a random place, so that the discriminator
        cannot tell reals by their standing on a lattice.
        """
        half = self.step / 2
        probabilities = knot_probabilities(self.sampled)
        low = np.interp(values - half, self.knots, probabilities)
        high = np.interp(values + half, self.knots, probabilities)
        share = 0.5 if random is None else random.random(len(values))
        return 2 * (low + share * (high - low)) - 1

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        assert encoded.numbers is not None
        places = (np.clip(encoded.numbers.astype(np.float64), -1, 1) + 1) / 2
        values = np.interp(places, knot_probabilities(self.sampled), self.knots)
        values = np.clip(_onto_steps(values, self.decimals, self.step), self.knots[0], self.knots[-1])
        if encoded.codes is not None:
            table = np.array([0.0, *self.masses, *([np.nan] if self.missing else [])])
            values = np.where(encoded.codes == 0, values, table[encoded.codes])
        return Numbers(values)

    def describe(self, values: Values, form: Form) -> str:
        assert isinstance(values, Numbers)
        finite = values.array[np.isfinite(values.array)]
        words = f"{noun(form, self.decimals)} {span(finite, form)}"
        for mass in self.masses:
            share = np.mean(values.array[~values.missing] == mass)
            words += f", {share:.0%} are {spell_one(mass, form)}"
        return words + missing_words(values, form)

    def to_json(self) -> dict[str, Any]:
        # JSON knows no infinity.
        return {**super().to_json(), "masses": [repr(mass) for mass in self.masses]}

    def __post_init__(self) -> None:
        object.__setattr__(self, "masses", tuple(float(mass) for mass in self.masses))


def knot_probabilities(count: int) -> np.ndarray:
    """Evenly spaced, and finer in the tails of large columns; each stands for `ROWS_PER_KNOT` rows or more."""
    even = np.linspace(0, 1, max(2, min(KNOTS, count // ROWS_PER_KNOT)))
    tail = ROWS_PER_KNOT / max(count, 1) * 2.0 ** np.arange(10)
    tail = tail[tail < even[1]]
    return np.concatenate([even[:1], tail, even[1:-1], 1 - tail[::-1], even[-1:]])


def _quantiles(values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Quantiles that blend neighbouring values, so that no knot but the outermost is one row's own value."""
    aside = np.where((probabilities == 0) | (probabilities == 1), 0.0, 0.25 / max(len(values) - 1, 1))
    below, above = np.clip(probabilities - aside, 0, 1), np.clip(probabilities + aside, 0, 1)
    return (np.quantile(values, below) + np.quantile(values, above)) / 2


def learn_decimals(values: np.ndarray) -> int | None:
    """The fewest digits after the point that write every value [n]; None beyond ten."""
    if not len(values) or np.abs(values).max() > LARGEST_EXACT:
        return None
    # float32 data carries the rounding noise of its own type.
    single = bool((values.astype(np.float32) == values).all())
    tolerance = (2e-7 if single else 4e-16) * np.abs(values)
    for decimals in range(11):
        few = values[:1000]
        if (np.abs(np.round(few, decimals) - few) <= tolerance[:1000]).all() and (
            np.abs(np.round(values, decimals) - values) <= tolerance
        ).all():
            return decimals
    return None


def learn_step(values: np.ndarray, decimals: int | None) -> float:
    """The largest step of which every value [n] is a multiple; 0 where there is no rounding."""
    if decimals is None:
        return 0.0
    scaled = values * 10.0**decimals
    if np.abs(scaled).max() > LARGEST_EXACT:
        return 10.0**-decimals
    return float(max(np.gcd.reduce(np.rint(scaled).astype(np.int64)), 1)) / 10.0**decimals


def _onto_steps(values: np.ndarray, decimals: int | None, step: float) -> np.ndarray:
    """Values [n] at their nearest multiples of `step`."""
    if decimals is None:
        return values
    # Adding zero turns -0.0, which would be written so, into 0.0.
    return np.round(np.rint(values / step) * step, decimals) + 0.0


@dataclass(frozen=True)
class Asked(Column):
    """A number the generator is asked for: (value - mean) / scale, and whether it is missing."""

    kind: ClassVar[str] = "asked"
    decimals: int | None
    mean: float
    scale: float
    low: float
    high: float
    missing: bool

    @classmethod
    def fit(cls, name: str, values: Numbers) -> Asked:
        finite = values.array[np.isfinite(values.array)]
        return cls(
            name=name,
            decimals=learn_decimals(finite),
            mean=float(finite.mean()),
            scale=float(finite.std()) or 1.0,
            low=float(finite.min()),
            high=float(finite.max()),
            missing=not np.isfinite(values.array).all(),
        )

    @property
    def choice_width(self) -> int:
        return 2 if self.missing else 0

    @property
    def has_number(self) -> bool:
        return True

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        assert isinstance(values, Numbers)
        gone = ~np.isfinite(values.array)
        numbers = np.where(gone, 0.0, (values.array - self.mean) / self.scale).astype(np.float32)
        return Encoded(gone.astype(np.uint16) if self.missing else None, numbers)

    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        assert encoded.numbers is not None
        values = encoded.numbers.astype(np.float64) * self.scale + self.mean
        if self.decimals is not None:
            values = np.round(values, self.decimals) + 0.0
        if encoded.codes is not None:
            values = np.where(encoded.codes == 1, np.nan, values)
        return Numbers(values)

    def describe(self, values: Values, form: Form) -> str:
        assert isinstance(values, Numbers)
        finite = values.array[np.isfinite(values.array)]
        return f"{noun(form, self.decimals)} {span(finite, form)}{missing_words(values, form)}"

    def fields(self, form: Form) -> tuple[Field, ...]:
        number = Field(self.name, None, self.mean, self.scale, self.low, self.high)
        return (Field(f"{self.name} is missing", ("no", "yes")), number) if self.missing else (number,)


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
