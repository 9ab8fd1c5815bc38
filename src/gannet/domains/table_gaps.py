"""Rows with gaps as a generator is told of them: what is known of each, what is to be drawn, what it never learned.

`gaps = read_gaps(domain, names, raws, from_text=False)`; `gaps.missing[name]` [n] marks the cells to fill,
`encoded_gaps(domain, gaps)` gives the samples and which of their features are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gannet.domains.columns import Choice, Column, Number
from gannet.domains.table_arrow_text import ArrowText
from gannet.domains.table_constraint_opening import hide
from gannet.domains.table_number import Asked
from gannet.domains.table_rows import Layout
from gannet.domains.table_settling import conform
from gannet.domains.table_shell import Raw
from gannet.domains.table_values import MISSING_SPELLINGS, Form, Numbers, Texts, Values, parse

if TYPE_CHECKING:
    from gannet.domains.tables import Tables

BEYOND = 0.1
"""How far beyond the range that was learned a number is still told to the generator, in parts of the range."""


@dataclass(frozen=True)
class Gaps:
    """Rows of a table by the columns of a model; a column the table lacks is missing throughout."""

    values: dict[str, Values]
    """In the form of the columns learned."""
    missing: dict[str, np.ndarray]
    """True [n] where a cell is to be filled."""
    unread: dict[str, np.ndarray]
    """True [n] where something stands that the model cannot be told."""
    count: int


def read_gaps(domain: Tables, names: Sequence[str], raws: Sequence[Raw], *, from_text: bool) -> Gaps:
    """The columns of a table (those of a delimited file are `from_text`) as a model's own."""
    found, count = dict(zip(names, raws, strict=True)), len(raws[0].values) if raws else 0
    gaps = Gaps({}, {}, {}, count)
    for form in domain.forms:
        raw = found.get(form.name)
        if raw is None:
            everywhere = np.ones(count, dtype=bool)
            gaps.values[form.name], gaps.missing[form.name] = _nothing(form, count), everywhere
            gaps.unread[form.name] = ~everywhere
            continue
        values = parse(_texts(raw), form) if from_text else conform(raw, form)
        blank = _blank(raw, values, from_text)
        gaps.values[form.name], gaps.missing[form.name] = values, blank
        gaps.unread[form.name] = values.missing & ~blank
    return gaps


def _nothing(form: Form, count: int) -> Values:
    return Texts(np.full(count, -1), []) if form.meaning == "text" else Numbers(np.full(count, np.nan))


def _texts(raw: Raw) -> Texts:
    values = raw.values.texts() if isinstance(raw.values, ArrowText) else raw.values
    assert isinstance(values, Texts)
    return values


def _blank(raw: Raw, values: Values, from_text: bool) -> np.ndarray:
    """True [n] for cells where nothing stands, or a word for it."""
    if from_text or isinstance(raw.values, Texts | ArrowText):
        written = _texts(raw)
        # What a frame's text column holds is a text, unless the model was taught to read it as missing.
        words = np.array([*(level.strip() in MISSING_SPELLINGS for level in written.levels), True], dtype=bool)
        return words[written.codes] & values.missing
    gone: np.ndarray = np.isnat(raw.values) if isinstance(raw.values, np.ndarray) else raw.values.missing
    return gone


# -------------------------------------------------------------------------------------------- what a model is told


@dataclass(frozen=True)
class Told:
    """What the generator is told of rows with gaps."""

    samples: Tensor
    """[n, features]."""
    known: Tensor
    """bool [n, features]."""
    condition: Tensor | None
    given: Tensor | None
    """bool [n, condition features]: which of the conditions are known; None without conditions."""


def encoded_gaps(domain: Tables, gaps: Gaps) -> tuple[Told, dict[str, np.ndarray]]:
    """What the generator is told, and for each column which cells [n] hold something that it never learned."""
    present = {form.name: ~(gaps.missing[form.name] | gaps.unread[form.name]) for form in domain.forms}
    inner = dict(zip(domain.names, hide(domain.constraints, domain.names, list(gaps.values.values())), strict=True))
    known, foreign = {}, {}
    for name, column in zip(domain.names, domain.columns, strict=True):
        seen = present[name].copy()
        for other in _sources(domain, name):
            seen &= present[other]
        unlearned = not (column.choice_width or column.has_number)
        strange = np.zeros_like(seen) if unlearned else seen & ~learned(column, inner[name])
        known[name] = seen & ~strange
        foreign[name] = (
            np.zeros_like(seen) if unlearned else gaps.unread[name] | (strange & (name not in domain.hidden))
        )
    sides = []
    for indices, layout in ((domain.free, domain.layout), (domain.given, domain.condition_layout)):
        names = [domain.names[index] for index in indices]
        encoded = [
            domain.columns[index].encode(_standing(domain.columns[index], inner[name], known[name]))
            for index, name in zip(indices, names, strict=True)
        ]
        sides.append((layout.pack(encoded, gaps.count).expand(), _spread(layout, [known[name] for name in names])))
    (samples, marks), (condition, given) = sides
    return Told(samples, marks, condition if domain.given else None, given if domain.given else None), foreign


def _sources(domain: Tables, name: str) -> list[str]:
    """The columns that must be known for a column that the generator sees in another form."""
    if domain.constraints is None or name not in domain.hidden:
        return []
    return [each for part, _ in domain.constraints.parts if name in part for each in part]


def learned(column: Column, values: Values) -> np.ndarray:
    """True [n] for values that the column's encoder learned, or nearly so."""
    if isinstance(column, Choice) and isinstance(values, Texts):
        levels = {*column.levels, *column.rare}
        return np.array([*(level in levels for level in values.levels), False], dtype=bool)[values.codes]
    if not isinstance(column, Choice | Number | Asked) or not isinstance(values, Numbers):
        return np.zeros(len(values), dtype=bool)
    ends, alone = _range(column)
    span = BEYOND * (ends[1] - ends[0])
    inside = (values.array >= ends[0] - span) & (values.array <= ends[1] + span)
    return inside | np.isin(values.array, alone)


def _range(column: Column) -> tuple[tuple[float, float], np.ndarray]:
    """The smallest and largest number of a column, and values that count on their own."""
    if isinstance(column, Asked):
        return (column.low, column.high), np.zeros(0)
    if isinstance(column, Choice):
        levels = np.array([*column.levels, *column.rare], dtype=np.float64)
        finite = levels[np.isfinite(levels)]
        return (finite.min(initial=np.inf), finite.max(initial=-np.inf)), levels
    assert isinstance(column, Number)
    values = column.knots if column.values is None else column.values
    return (values[0], values[-1]), np.array(column.masses)


def _standing(column: Column, values: Values, known: np.ndarray) -> Values:
    """The values, and any that was learned in place of those that are not known."""
    if known.all() or not (column.choice_width or column.has_number):
        return values
    if isinstance(values, Texts):
        assert isinstance(column, Choice)
        stand_in = str((*column.levels, *column.rare)[0])
        return Texts(np.where(known, values.codes, len(values.levels)), [*values.levels, stand_in])
    ends, alone = _range(column)
    return Numbers(np.where(known, values.array, ends[0] if np.isfinite(ends[0]) else alone[0]))


def _spread(layout: Layout, known: Sequence[np.ndarray]) -> Tensor:
    """Which features [n, width] are known, from which columns are."""
    out = torch.zeros(len(known[0]) if known else 0, layout.width, dtype=torch.bool)
    for choice, number, column in zip(layout.choices, layout.numbers, known, strict=True):
        marks = torch.from_numpy(column)[:, None]
        if choice is not None:
            out[:, choice[0] : sum(choice)] = marks
        if number is not None:
            out[:, number] = marks[:, 0]
    return out


def never_missing(domain: Tables) -> Mapping[int, tuple[float, ...]]:
    """The weights of levels by which nothing that is drawn comes out missing: the first feature of a choice -> weights.

    A column that a constraint settles may have to stay empty.
    """
    tied = set() if domain.constraints is None else {name for part, _ in domain.constraints.parts for name in part}
    levels: dict[int, tuple[float, ...]] = {}
    for index, choice in zip(domain.free, domain.layout.choices, strict=True):
        column = domain.columns[index]
        missing = isinstance(column, Choice | Number) and column.missing
        if choice is not None and missing and domain.names[index] not in tied:
            levels[choice[0]] = (1.0,) * (choice[1] - 1) + (0.0,)
    return levels
