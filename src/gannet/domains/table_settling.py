"""What each column of a table is, by what it holds and by the user's own word, and the encoder that follows.

`wishes = choices(names, types, drop, condition)`, then for each column `settle`, `encoder` and `told`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gannet.domains import columns as encoders
from gannet.domains.columns import Asked, Choice, Column
from gannet.domains.table_arrow_text import ArrowText
from gannet.domains.table_shell import Raw, to_objects
from gannet.domains.table_values import (
    MICROSECONDS,
    Form,
    Numbers,
    Texts,
    Values,
    coarsest_unit,
    parse,
    spell,
    texts,
    understand,
)
from gannet.errors import GannetError, did_you_mean
from gannet.spec import Condition, Spec

TYPES = ("boolean", "category", "date", "decimal", "duration", "id", "integer", "text", "time")
LEAST, ROWS_PER_LEAST = 5, 100
TINY = 50
"""Fewer rows than this, and every category is learned."""


def choices(
    names: list[str], types: str | None, drop: str | None, condition: str | None
) -> tuple[dict[str, str], set[str], list[str]]:
    """The types, drops and conditions asked for, by existing columns' names."""
    wanted: dict[str, str] = {}
    for entry in _listed(types):
        name, _, kind = entry.rpartition("=")
        _known(name.strip(), names, "types")
        if kind.strip() not in TYPES:
            raise GannetError(f"types: {kind.strip()!r} is no type of column; {did_you_mean(kind.strip(), TYPES)}")
        wanted[name.strip()] = kind.strip()
    dropped, asked = set(_listed(drop)), _listed(condition)
    for name in sorted(dropped):
        _known(name, names, "drop")
    for name in asked:
        _known(name, names, "condition")
        if name in dropped:
            raise GannetError(f"condition: column {name!r} is also dropped; take it out of drop= or condition=")
    return wanted, dropped, [name for name in names if name in asked]


def _listed(text: str | None) -> list[str]:
    return [entry.strip() for entry in (text or "").split(",") if entry.strip()]


def _known(name: str, names: list[str], option: str) -> None:
    if name not in names:
        raise GannetError(f"{option}: there is no column {name!r}; {did_you_mean(name, names)}")


def settle(name: str, raw: Raw, wanted: dict[str, str], from_text: bool) -> tuple[Form, Values, str | None]:
    """What a column means, its values in plain form, and a remark for the user."""
    kind = wanted.get(name)
    if from_text:
        return _of_file(name, raw, kind)
    assert not isinstance(raw.values, ArrowText)
    if isinstance(raw.values, np.ndarray):
        return *_dated(name, raw), raw.remark
    if isinstance(raw.values, Numbers) or raw.meaning == "text":
        meaning = raw.meaning or "text"
        form = Form(name, meaning, raw.dtype, categories=raw.categories, ordered=raw.ordered, digits=raw.digits)
        return form, raw.values, raw.remark
    found = understand(raw.values, wanted=kind)
    if found.meaning == "text":
        # In a frame, which has nulls of its own, the text NA may be a country.
        return Form(name, "text", raw.dtype, True), raw.values, found.remark
    gap = found.spelling.missing if found.values.missing.any() and not raw.values.missing.any() else None
    form = Form(name, found.meaning, raw.dtype, True, found.unit, spelling=found.spelling, gap=gap)
    return form, found.values, found.remark


def _of_file(name: str, raw: Raw, kind: str | None) -> tuple[Form, Values, str | None]:
    """A column of delimited text, which becomes one of a pandas frame."""
    if isinstance(raw.values, ArrowText):
        found = raw.values.understand(kind)
    else:
        assert isinstance(raw.values, Texts)
        found = understand(raw.values, wanted=kind)
    words = found.spelling.words
    # pandas has no type of its own for times of day.
    textual = found.meaning in ("text", "time") or (words is not None and words[1].lower() != "true")
    dtype = "str" if textual else file_dtype(found.meaning, bool(found.values.missing.any()))
    form = Form(name, found.meaning, dtype, textual, found.unit, spelling=found.spelling)
    return form, found.values, found.remark


def file_dtype(meaning: str, missing: bool) -> str:
    """The pandas type of a column of a delimited file; integers and booleans stay so beside missing values."""
    names = {"integer": ("int64", "Int64"), "boolean": ("bool", "boolean"), "date": ("datetime64[us]",) * 2}
    names["duration"] = ("timedelta64[us]",) * 2
    return names.get(meaning, ("float64",) * 2)[missing]


def _dated(name: str, raw: Raw) -> tuple[Form, Values]:
    assert isinstance(raw.values, np.ndarray)
    gone = np.isnat(raw.values)
    unit = coarsest_unit(raw.values[~gone].astype(np.int64))
    form = Form(name, raw.meaning or "date", raw.dtype, unit=unit, timezone=raw.timezone)
    return form, _counted(raw.values, unit)


def _counted(moments: np.ndarray, unit: str) -> Numbers:
    gone = np.isnat(moments)
    micros = np.where(gone, 0, moments.astype(np.int64))
    return Numbers(np.where(gone, np.nan, micros / MICROSECONDS[unit]))


def conform(raw: Raw, form: Form) -> Values:
    """A column of a later frame in the plain form of the column learned."""
    assert not isinstance(raw.values, ArrowText)
    if isinstance(raw.values, np.ndarray):
        counted = _counted(raw.values, form.unit or "us")
        return counted if form.meaning == raw.meaning else texts(spell(counted, form))
    if isinstance(raw.values, Texts):
        plain = raw.meaning == "text" or (form.meaning == "text" and not form.spelling.missing)
        return raw.values if plain else parse(raw.values, form)
    if form.meaning == "text":
        return texts(None if item is None else str(item) for item in to_objects(raw.values, Form("", "decimal", "")))
    return raw.values


def fewest(wanted: int | None, count: int) -> int:
    """The fewest rows of a category that is learned."""
    if wanted is not None and wanted < 1:
        raise GannetError(f"least: {wanted} rows; say 1 to learn every category, or more")
    if wanted is not None:
        return wanted
    return 1 if count < TINY else min(LEAST, max(2, count // ROWS_PER_LEAST))


def told(form: Form, column: Column) -> Form:
    """The form without those levels of a categorical type that are not learned; a scale in its order is kept whole."""
    if form.categories is None or form.ordered or not isinstance(column, Choice) or column.least == 1:
        return form
    learned = {*column.levels, *column.rare}
    return replace(form, categories=tuple(level for level in form.categories if level in learned))


def encoder(
    form: Form, values: Values, wanted: dict[str, str], asked: list[str], remarks: dict[str, str], least: int
) -> Column:
    """The encoder of a column; what can be asked for is standardised, not ranked."""
    _check_type(form, values, wanted.get(form.name))
    kind = wanted.get(form.name) or ("category" if form.categories is not None else None)
    column = encoders.fit(form, values, wanted=kind, mixed=form.name in remarks, least=least)
    if form.name in asked and isinstance(column, encoders.Number) and isinstance(values, Numbers):
        return Asked.fit(form.name, values, least=least)
    # A condition is told in words and numbers of the user's own: of the rare levels, that it is one of them.
    return replace(column, placed=False) if form.name in asked and isinstance(column, Choice) else column


def _check_type(form: Form, values: Values, kind: str | None) -> None:
    """Raise GannetError where a column cannot be what the user says it is."""
    readable = {"integer": ("integer", "decimal"), "decimal": ("integer", "decimal"), "date": ("date",)}
    readable |= {"time": ("time",), "duration": ("duration",)}
    if kind in readable and form.meaning not in readable[kind] and not values.missing.all():
        raise GannetError(f"types: column {form.name!r} cannot be read as {kind}, it holds {form.meaning} values")
    if kind == "integer" and isinstance(values, Numbers):
        fractions = values.array[np.isfinite(values.array) & (values.array % 1 != 0)]
        if len(fractions):
            raise GannetError(f"types: column {form.name!r} holds fractions such as {fractions[0]:g}; say decimal")


def spec_of(columns: Sequence[Column], forms: Sequence[Form], asked: list[str]) -> Spec:
    """What a network must know: the blocks of the columns it plays, the fields of those it is given."""
    free = [column for column in columns if column.name not in asked]
    blocks = tuple(block for column in free for block in column.blocks)
    pairs = [(column, form) for column, form in zip(columns, forms, strict=True) if column.name in asked]
    fields = tuple(field for column, form in pairs for field in column.fields(form))
    width = sum(block.width for block in blocks)
    return Spec("tables", (width,), Condition(fields) if fields else None, blocks)
