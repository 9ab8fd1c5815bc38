"""Rows of a table as a person asks for them, on any columns: age=25..40, income=>50K, job=(missing), city=Oslo|Bergen.

`asking = read_asking(where, forms, columns, places, tied)`: `asking.wish` is for a recipe that answers, `asking.given`
for the conditions of a generator, and `asking.meets(values)` [n] says which decoded rows are as asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gannet.domains.columns import Choice, Column, Constant, Identifier, Number, Withheld
from gannet.domains.table_column import Encoded
from gannet.domains.table_number import Asked, knot_probabilities
from gannet.domains.table_rows import Layout
from gannet.domains.table_values import Codebook, Form, Numbers, Texts, Values
from gannet.domains.table_where import Demand, read_demand
from gannet.errors import GannetError, did_you_mean
from gannet.spec import Range, Wish

HAIR = 1e-6
"""Far less than the share of any value, and wider than the steps of a 32-bit float in [-1, 1]."""


@dataclass(frozen=True)
class Part:
    """What a column's features must be for a demand to be met."""

    levels: tuple[float, ...] | None = None
    """The weight of each level of its choice; None without one."""
    span: tuple[float, float] | None = None
    """Where its number must lie; None where it is free."""
    when: int | None = None
    """The level for which the number counts; None where it always does."""

    @property
    def is_possible(self) -> bool:
        return self.levels is None or any(self.levels)


@dataclass(frozen=True)
class Asking:
    """What rows are asked to be."""

    demands: tuple[Demand, ...]
    wish: Wish
    """For a recipe that answers."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """For the conditions of the generator, by field."""
    exact: Mapping[int, float] = field(default_factory=dict)
    """Column -> the one value asked for, which the nearest place of a smooth number may miss by rounding."""
    chosen: tuple[str, ...] = ()
    """Columns that no recipe can be asked for: rows are chosen by them."""

    @property
    def text(self) -> str:
        return " and ".join(demand.text for demand in self.demands)

    def settled(self, values: Sequence[Values]) -> list[Values]:
        """Decoded columns with the values asked for to the last digit where one value alone will do."""
        out = list(values)
        for index, value in self.exact.items():
            content = out[index]
            assert isinstance(content, Numbers)
            out[index] = Numbers(np.where(content.missing, np.nan, value))
        return out

    def meets(self, values: Sequence[Values]) -> np.ndarray:
        """True [n] for the rows, given column by column, that are as asked."""
        good = np.ones(len(values[0]), dtype=bool)
        for demand in self.demands:
            good &= demand.meets(values[demand.index])
        return good

    def rarest(self, values: Sequence[Values]) -> str:
        """The demand that the fewest of some rows meet."""
        return min(self.demands, key=lambda demand: int(demand.meets(values[demand.index]).sum())).text


@dataclass(frozen=True)
class Sight:
    """What must be known of a table to read what is asked of it."""

    forms: Sequence[Form]
    columns: Sequence[Column]
    free: Sequence[int]
    """Columns that the generator makes, in the order of its layout."""
    layout: Layout
    fields: Collection[str]
    """The conditions of the generator."""
    tied: Collection[str]
    """Columns that a constraint may change after the generator."""
    hidden: Collection[str]
    """Columns that the generator makes in another form."""


def read_asking(where: Mapping[str, Any], sight: Sight) -> Asking:
    """`where` (column -> text or value) as demands, and as a wish. Raises GannetError for what cannot be met."""
    names = [form.name for form in sight.forms]
    demands: list[Demand] = []
    levels: dict[int, tuple[float, ...]] = {}
    ranges: dict[int, Range] = {}
    given: dict[str, Any] = {}
    exact: dict[int, float] = {}
    chosen: list[str] = []
    for name, wanted in where.items():
        if name not in names:
            if name not in sight.fields:
                raise GannetError(f"where {name}={wanted}: there is no column {name!r}; {did_you_mean(name, names)}")
            given[name] = wanted
            continue
        index = names.index(name)
        form, column = sight.forms[index], sight.columns[index]
        hidden = name in sight.hidden
        demand = read_demand(index, form, None if hidden else column, wanted)
        demands.append(demand)
        if hidden:
            chosen.append(name)
        elif isinstance(column, Constant | Identifier | Withheld):
            _check_unlearned(column, demand)
        elif index not in sight.free:
            given |= _condition(column, form, demand)
        else:
            _add(sight.layout, sight.free.index(index), part_of(column, demand), levels, ranges)
            value = demand.only_number
            smooth = isinstance(column, Number) and column.values is None
            if value is not None and smooth and name not in sight.tied:
                exact[index] = value
    return Asking(tuple(demands), Wish(levels, ranges), given, exact, tuple(chosen))


def _check_unlearned(column: Column, demand: Demand) -> None:
    """Raise GannetError where a column that is not learned cannot be as asked."""
    if isinstance(column, Identifier):
        raise GannetError(
            f"where {demand.text}: {column.name!r} names rows and is made anew for each; ask for another column"
        )
    only = column.decode(Encoded(None, None), 1, np.random.default_rng(0))
    if not demand.meets(only).all():
        why = "is the same in every row" if isinstance(column, Constant) else "is not learned and comes back empty"
        raise GannetError(f"where {demand.text}: {column.name!r} {why}")


def _add(
    layout: Layout, place: int, part: Part, levels: dict[int, tuple[float, ...]], ranges: dict[int, Range]
) -> None:
    """Put a column's part of the wish where its features lie."""
    choice, number = layout.choices[place], layout.numbers[place]
    # Where the number hangs on the choice, the choice is asked for even if all of it will do: it is written first.
    if part.levels is not None and choice is not None and (part.when is not None or min(part.levels) < 1):
        levels[choice[0]] = part.levels
    if part.span is not None and number is not None:
        when = None if part.when is None or choice is None else (choice[0], part.when)
        ranges[number] = Range(*part.span, when)


def _condition(column: Column, form: Form, demand: Demand) -> dict[str, Any]:
    """What the conditions of the generator are asked for."""
    if isinstance(column, Choice):
        (known,) = column.fields(form)
        weights = part_of(column, demand).levels or ()
        return {
            known.name: frozenset(level for level, weight in zip(known.levels or (), weights, strict=True) if weight)
        }
    assert isinstance(column, Asked)
    asked: dict[str, Any] = {}
    if demand.spans:
        low, high = min(low for low, _ in demand.spans), max(high for _, high in demand.spans)
        low, high = max(low, min(column.low, high)), min(high, max(column.high, low))
        asked[column.name] = (low, high)
    if column.missing and not (demand.missing and demand.spans):
        asked[f"{column.name} is missing"] = "yes" if demand.missing else "no"
    return asked


# ------------------------------------------------------------------------------------------ a column's features


def part_of(column: Column, demand: Demand) -> Part:
    """What the features of a column must be. Raises GannetError where nothing that was learned will do."""
    part = _of_choice(column, demand) if isinstance(column, Choice) else _of_number(column, demand)
    if not part.is_possible:
        raise GannetError(f"where {demand.text}: nothing that was learned of {column.name!r} will do")
    return part


def _of_choice(column: Choice, demand: Demand) -> Part:
    weights = [float(demand.takes(level)) for level in column.levels]
    span = when = None
    if column.rare:
        fit = np.flatnonzero([demand.takes(level) for level in column.rare])
        weights.append(float(len(fit) > 0))
        if len(fit) and column.has_number:
            edges = np.array([-1.0, *column.rare_cuts, 1.0])
            span, when = (float(edges[fit[0]]), float(edges[fit[-1] + 1])), len(column.levels)
    if column.missing:
        weights.append(float(demand.missing))
    return Part(tuple(weights), span, when)


def _of_number(column: Column, demand: Demand) -> Part:
    assert isinstance(column, Number)
    span = _stepped_span(column, demand) if column.values is not None else _smooth_span(column, demand)
    if not column.choice_width:
        if span is None:
            raise GannetError(f"where {demand.text}: nothing that was learned of {column.name!r} will do")
        return Part(None, span)
    weights = [float(span is not None), *(float(demand.takes(mass)) for mass in column.masses)]
    if column.missing:
        weights.append(float(demand.missing))
    return Part(tuple(weights), span, None if span is None else 0)


def _stepped_span(column: Number, demand: Demand) -> tuple[float, float] | None:
    """The stretches of the distinct values that will do, and all between them."""
    fit = np.flatnonzero([demand.takes(value) for value in column.values or ()])
    if not len(fit):
        return None
    edges = np.array([-1.0, *(column.cuts or ()), 1.0])
    return float(edges[fit[0]]), float(edges[fit[-1] + 1])


def _smooth_span(column: Number, demand: Demand) -> tuple[float, float] | None:
    """From the least to the largest place whose value, rounded, may do."""
    places: list[float] = []
    knots, probabilities = np.array(column.knots), knot_probabilities(column.sampled)
    for low, high in demand.spans:
        found = _places(knots, probabilities, low - column.step / 2, high + column.step / 2)
        places += [] if found is None else found
    return (2 * min(places) - 1, 2 * max(places) - 1) if places else None


def _places(knots: np.ndarray, probabilities: np.ndarray, low: float, high: float) -> list[float] | None:
    """The first and the last probability at which the quantile function lies from `low` to `high`; None: it never does.

    A single point is widened by a hair to both sides, for no draw ever meets it.
    """
    if high < knots[0] or low > knots[-1]:
        return None
    first = float(probabilities[0]) if low <= knots[0] else _crossing(knots, probabilities, low, "left")
    last = float(probabilities[-1]) if high >= knots[-1] else _crossing(knots, probabilities, high, "right")
    return [max(0.0, first - HAIR), min(1.0, last + HAIR)]


def _crossing(knots: np.ndarray, probabilities: np.ndarray, value: float, side: Any) -> float:
    """Where the quantile function reaches (left) or leaves (right) a value strictly inside its range."""
    after = int(np.searchsorted(knots, value, side=side))
    below, above = knots[after - 1], knots[after]
    share = (value - below) / (above - below)
    return float(probabilities[after - 1] + share * (probabilities[after] - probabilities[after - 1]))


# ----------------------------------------------------------------------------------------------- columns joined


def joined(parts: Sequence[Values]) -> Values:
    """The same column of several batches of rows, one below the other."""
    first = parts[0]
    if isinstance(first, Numbers):
        return Numbers(np.concatenate([part.array for part in parts if isinstance(part, Numbers)]))
    texts = [part for part in parts if isinstance(part, Texts)]
    if all(part.levels == first.levels for part in texts):
        return Texts(np.concatenate([part.codes for part in texts]), first.levels)
    book = Codebook()
    codes = [np.array([*map(book.__getitem__, part.levels), -1], dtype=np.int64)[part.codes] for part in texts]
    return Texts(np.concatenate(codes), list(book))
