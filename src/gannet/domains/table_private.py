"""Columns learned from noisy counts: two looks at the rows, and what encodes a column follows from them alone.

The first look counts levels, distinct values and powers of two; the second parts what is smooth into fine bins. Types
and spellings are taken as public. `learn(forms, values, wanted, limits, first, second)` -> a `Learned` a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from gannet.domains.columns import ENOUGH_LEARNED, FEW_VALUES, Column, Withheld
from gannet.domains.table_choice import MOST_LEVELS
from gannet.domains.table_column import Encoded
from gannet.domains.table_number import MASS, knot_probabilities
from gannet.domains.table_private_columns import PrivateChoice, PrivateNumber
from gannet.domains.table_private_quantiles import LEVELS, Tree, bounds, exponents
from gannet.domains.table_rounding import onto_steps
from gannet.domains.table_settling import file_dtype
from gannet.domains.table_stretches import MOST_STRETCHES, pooled_cuts
from gannet.domains.table_values import Form, Numbers, Texts, Values

COVERED = 0.98
"""Share of a number's rows that its told values must hold for the rest to be done without."""
MOST_DIGITS = 8
ROUNDED = 0.98
"""Share of the decimals that must be written by as many digits after the point."""
BEHIND = 2_000
"""Rows a private number's knots stand for: 200 quantiles."""
SHOWN = 2_000


class Counter(Protocol):
    """Noise on histograms to each of which a row adds one count at most (see `gannet.privacy.counts`)."""

    def told(self, purpose: str, histograms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The counts of each histogram with noise."""

    def deviation(self, histograms: int) -> float:
        """The noise on each count, of so many histograms together."""

    def threshold(self, histograms: int) -> float:
        """The noisy count beyond which the name of a level may be told."""


@dataclass(frozen=True)
class Learned:
    """A column's encoder, and its levels' shares by the noisy counts."""

    column: Column
    shares: np.ndarray | None = None
    """[choice width]; None without a choice."""

    def example(self, seed: int) -> Values:
        """Values [2000] as the noisy counts have them: what may be shown of the column."""
        random, column = np.random.default_rng(seed), self.column
        codes = None
        if self.shares is not None:
            codes = random.choice(len(self.shares), SHOWN, p=self.shares / self.shares.sum()).astype(np.uint16)
        numbers = random.uniform(-1, 1, SHOWN).astype(np.float32) if column.has_number else None
        return column.decode(Encoded(codes, numbers), SHOWN, random)


@dataclass(frozen=True)
class _First:
    """What the first look told of a column."""

    levels: list[Any]
    """Those told, texts or numbers, by falling count."""
    counts: np.ndarray
    missing: float
    """Rows without a value; 0 where they are too few to tell."""
    present: float
    """Rows with one."""
    limits: tuple[float, float] | None = None
    decimals: int | None = None


def learn(
    forms: Sequence[Form],
    values: Sequence[Values],
    wanted: Mapping[str, str],
    limits: Mapping[str, tuple[float, float]],
    first: Counter,
    second: Counter,
) -> list[Learned]:
    """The encoders of columns by their forms and values [n]; `limits` are known ranges of numbers, by name."""
    count = len(values[0])
    told = _first_look(forms, values, wanted, limits, first, count)
    columns: dict[int, Learned] = {}
    smooth: dict[int, tuple[Tree, list[float], np.ndarray]] = {}
    for index, (form, content) in enumerate(zip(forms, values, strict=True)):
        found = told[index]
        if found is None:
            columns[index] = Learned(Withheld(form.name, "not learned", isinstance(content, Numbers)))
        elif isinstance(content, Texts) or form.meaning == "boolean" or wanted.get(form.name) == "category":
            columns[index] = _choice(form, found)
        elif _is_stepped(found):
            columns[index] = _choice(form, found) if len(found.levels) <= FEW_VALUES else _stepped(form, found)
        elif found.limits is None:
            columns[index] = Learned(Withheld(form.name, "too few of its values are there", True))
        else:
            masses = [
                float(level)
                for level, rows in zip(found.levels, found.counts, strict=True)
                if rows >= MASS * found.present
            ]
            tree = Tree.over(*found.limits, _step(found.decimals))
            rest = content.array[np.isfinite(content.array) & ~np.isin(content.array, masses)]
            smooth[index] = tree, masses, rest
    trees = [histogram for tree, _, rest in smooth.values() for histogram in tree.counts(rest)]
    noisy = second.told("second", trees)
    for place, (index, (tree, masses, _)) in enumerate(smooth.items()):
        found = told[index]
        assert found is not None
        rows = tree.shares(noisy[LEVELS * place : LEVELS * (place + 1)], second.deviation(len(trees)))
        columns[index] = _smooth(forms[index], found, tree, masses, rows)
    return [columns[index] for index in range(len(forms))]


# ---------------------------------------------------------------------------------------------------- the first look


def _first_look(
    forms: Sequence[Form],
    values: Sequence[Values],
    wanted: Mapping[str, str],
    limits: Mapping[str, tuple[float, float]],
    counter: Counter,
    count: int,
) -> list[_First | None]:
    """What may be known of each column; None for those that the user takes out of learning."""
    histograms: list[np.ndarray] = []
    places: list[dict[str, int] | None] = []
    levels: list[list[Any]] = []
    for form, content in zip(forms, values, strict=True):
        if wanted.get(form.name) in ("id", "text"):
            places.append(None)
            levels.append([])
            continue
        known, counts = _levels(form, content)
        mine = {"levels": np.append(counts, content.missing.sum())}
        if isinstance(content, Numbers) and form.meaning != "boolean":
            finite = content.array[np.isfinite(content.array)]
            if form.name not in limits:
                mine["exponents"] = exponents(finite)
            if form.meaning == "decimal":
                mine["digits"] = np.bincount(_digits(finite), minlength=MOST_DIGITS + 1)
        places.append({key: len(histograms) + place for place, key in enumerate(mine)})
        levels.append(known)
        histograms += mine.values()
    noisy = counter.told("first", histograms)
    least, deviation = counter.threshold(len(histograms)), counter.deviation(len(histograms))
    found: list[_First | None] = []
    for form, known, where in zip(forms, levels, places, strict=True):
        if where is None:
            found.append(None)
            continue
        mine = {key: noisy[place] for key, place in where.items()}
        found.append(_told(form, known, mine, least, deviation, count, limits.get(form.name)))
    return found


def _levels(form: Form, values: Values) -> tuple[list[Any], np.ndarray]:
    """The levels that stand in a column and their rows; of a boolean both, whether they stand there or not."""
    if isinstance(values, Texts):
        held = np.flatnonzero(values.counts)
        return [values.levels[level] for level in held], values.counts[held]
    if form.meaning == "boolean":
        return [0.0, 1.0], np.array([(values.array == level).sum() for level in (0.0, 1.0)])
    distinct, counts = np.unique(values.array[np.isfinite(values.array)], return_counts=True)
    return distinct.tolist(), counts


def _digits(values: np.ndarray) -> np.ndarray:
    """The digits after the point [n] that write each value, at most `MOST_DIGITS`."""
    digits = np.full(len(values), MOST_DIGITS)
    for fewer in reversed(range(MOST_DIGITS)):
        digits[np.abs(np.round(values, fewer) - values) <= 4e-16 * np.abs(values)] = fewer
    return digits


def _told(
    form: Form,
    known: list[Any],
    noisy: Mapping[str, np.ndarray],
    least: float,
    deviation: float,
    count: int,
    limits: tuple[float, float] | None,
) -> _First:
    """What the noisy counts of one column tell."""
    counts, missing = noisy["levels"][:-1], float(noisy["levels"][-1])
    missing = min(missing, float(count)) if missing > least else 0.0
    if form.meaning == "boolean":
        # That there are two values is known before any row is seen.
        counts, told = np.maximum(counts, 1.0), [0, 1]
    else:
        told = sorted(np.flatnonzero(counts > least).tolist(), key=lambda level: (-counts[level], known[level]))
    decimals = 0 if form.meaning == "integer" else None
    if "digits" in noisy:
        reached = np.cumsum(np.maximum(noisy["digits"], 0))
        decimals = int(np.searchsorted(reached, ROUNDED * reached[-1])) if reached[-1] > 0 else MOST_DIGITS
        decimals = None if decimals == MOST_DIGITS else decimals
    if limits is None and "exponents" in noisy:
        limits = bounds(noisy["exponents"], deviation)
    return _First([known[level] for level in told], counts[told], missing, max(count - missing, 1.0), limits, decimals)


def _is_stepped(found: _First) -> bool:
    """Whether the values told are as good as all."""
    return 0 < len(found.levels) <= MOST_STRETCHES and found.counts.sum() >= COVERED * found.present


def _step(decimals: int | None) -> float:
    return 0.0 if decimals is None else 10.0**-decimals


# --------------------------------------------------------------------------------------------------------- encoders


def _choice(form: Form, found: _First) -> Learned:
    """The told levels, 199 at most; of the others a row is read as one of these."""
    kept = range(min(len(found.levels), MOST_LEVELS - 1))
    levels, counts = [found.levels[level] for level in kept], found.counts[: len(kept)]
    if not levels or (form.meaning == "text" and counts.sum() < ENOUGH_LEARNED * found.present):
        reason = "most of its rows hold levels that are too rare to be told"
        return Learned(Withheld(form.name, reason, form.meaning != "text"))
    commonest = levels[0]
    if form.meaning != "text":
        order = sorted(kept, key=lambda level: levels[level])
        levels, counts = [levels[level] for level in order], counts[order]
    column = PrivateChoice(
        name=form.name,
        levels=tuple(levels),
        rare=(),
        rare_cuts=(),
        missing=found.missing > 0,
        left_out=1,
        shares=pooled_cuts(counts) if isinstance(levels[0], str) else None,
        commonest=commonest,
    )
    return Learned(column, np.append(counts, [found.missing] if found.missing else []))


def _stepped(form: Form, found: _First) -> Learned:
    """A number of the values that were told."""
    values, order = np.unique(np.array(found.levels, dtype=np.float64), return_index=True)
    column = PrivateNumber(
        name=form.name,
        decimals=found.decimals,
        step=_step(found.decimals),
        knots=(),
        sampled=BEHIND,
        masses=(),
        missing=found.missing > 0,
        values=tuple(values.tolist()),
        cuts=pooled_cuts(found.counts[order]),
        commonest=float(found.levels[0]),
    )
    return Learned(column, np.array([found.present, found.missing]) if found.missing else None)


def _smooth(form: Form, found: _First, tree: Tree, masses: list[float], rows: np.ndarray) -> Learned:
    """A number by its quantiles, and its point masses."""
    if not rows.any():
        rows = np.ones(len(rows))
    knots = tree.quantiles(rows, knot_probabilities(BEHIND))
    assert found.limits is not None
    knots = np.clip(onto_steps(knots, found.decimals, _step(found.decimals)), *found.limits)
    column = PrivateNumber(
        name=form.name,
        decimals=found.decimals,
        step=_step(found.decimals),
        knots=tuple(np.maximum.accumulate(knots).tolist()),
        sampled=BEHIND,
        masses=tuple(masses),
        missing=found.missing > 0,
        commonest=float(knots[len(knots) // 2]),
    )
    heavy = [float(count) for level, count in zip(found.levels, found.counts, strict=True) if float(level) in masses]
    shares = [max(found.present - sum(heavy), 1.0), *heavy, *([found.missing] if found.missing else [])]
    return Learned(column, np.array(shares) if column.choice_width else None)


def public(form: Form, column: Column, *, in_file: bool) -> Form:
    """The form without what rows alone had told: levels, missing values, digits after the point."""
    missing = isinstance(column, PrivateChoice | PrivateNumber) and column.missing
    spelling, dtype, categories = form.spelling, form.dtype, form.categories
    if not missing:
        spelling = replace(spelling, missing="")
    if isinstance(column, PrivateNumber) and spelling.fixed_decimals is not None:
        spelling = replace(spelling, fixed_decimals=column.decimals)
    if in_file and not form.textual:
        dtype = file_dtype(form.meaning, missing)
    if categories is not None:
        learned = set(column.levels) if isinstance(column, PrivateChoice) else set()
        categories = tuple(level for level in categories if level in learned)
    return replace(form, spelling=spelling, dtype=dtype, gap=form.gap if missing else None, categories=categories)
