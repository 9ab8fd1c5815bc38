"""New values for some cells of a table of any kind; every other cell, column and type stays as it is.

`patched(frame, {"age": Patch(form, values, cells)})` -> a new table of its type; `patched_texts` for a file's texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gannet.domains.table_arrays import ArrayShell
from gannet.domains.table_frames import kind_of, take
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_polars import PolarsShell
from gannet.domains.table_settling import settle
from gannet.domains.table_shell import Raw
from gannet.domains.table_values import Form, Numbers, Texts, Values, spell
from gannet.errors import GannetError

ALIKE = ("integer", "decimal", "boolean")
"""Meanings that are all told by numbers."""


@dataclass(frozen=True)
class Patch:
    """New values of one column."""

    form: Form
    """What the values are."""
    values: Values
    """[n]; only those in `cells` are put in."""
    cells: np.ndarray
    """Indices of rows."""


def patched(table: Any, patches: Mapping[str, Patch]) -> Any:
    """The table with new values in the cells of its patches; the one given is left alone."""
    kind = kind_of(table)
    if kind == "pair":
        samples, labels = table
        return patched(samples, patches), patched(
            labels[:, None], {"0": patches["label"]} if "label" in patches else {}
        )[:, 0]
    _, names, raws = take(table)
    put = {"pandas": _into_pandas, "polars": _into_polars, "arrow": _into_arrow}.get(str(kind), _into_array)
    chosen = [
        (index, name, _own_form(name, raw, patches[name]), patches[name])
        for index, (name, raw) in enumerate(zip(names, raws, strict=True))
        if name in patches and len(patches[name].cells)
    ]
    return put(table, chosen)


def patched_texts(column: Texts, patch: Patch, own: Form) -> np.ndarray:
    """A file's column as texts [n] objects, new ones spelled as the others are."""
    out = column.objects()
    form = replace(own, unit=patch.form.unit) if _is_alike(own, patch.form) else patch.form
    out[patch.cells] = spell(patch.values.take(patch.cells), form)
    return out


Chosen = Sequence[tuple[int, str, Form | None, Patch]]


def _own_form(name: str, raw: Raw, patch: Patch) -> Form | None:
    """The form that the table's own column has; None where it holds nothing that tells."""
    own, values, _ = settle(name, raw, {}, False)
    if values.missing.all() or not _is_alike(own, patch.form):
        return None
    if own.categories is not None and isinstance(patch.values, Texts):
        new = [patch.values.levels[code] for code in np.unique(patch.values.codes[patch.cells]) if code >= 0]
        own = replace(own, categories=(*own.categories, *(level for level in new if level not in own.categories)))
    return replace(own, unit=patch.form.unit)


def _is_alike(own: Form, form: Form) -> bool:
    return own.meaning == form.meaning or (own.meaning in ALIKE and form.meaning in ALIKE)


def _told(name: str, own: Form | None) -> Form:
    if own is None:
        raise GannetError(f"column {name!r} holds no value that tells its type; give the column its type first")
    return own


def _into_pandas(table: Any, chosen: Chosen) -> Any:
    out = table.copy()
    for index, name, own, patch in chosen:
        if own is None:
            # Nothing stands in the column: it takes the type that the model gives it.
            blank = np.setdiff1d(np.arange(len(table)), patch.cells)
            series = PandasShell([name]).build([patch.form], [_emptied(patch.values, blank)]).iloc[:, 0]
            series.index = table.index
        else:
            series = table.iloc[:, index].copy()
            made = PandasShell([name]).build([own], [patch.values.take(patch.cells)]).iloc[:, 0]
            if own.categories is not None:
                series = series.cat.set_categories(list(own.categories))
            series.iloc[patch.cells] = made.array
        out.isetitem(index, series)
    return out


def _emptied(values: Values, rows: np.ndarray) -> Values:
    if isinstance(values, Texts):
        codes = values.codes.copy()
        codes[rows] = -1
        return Texts(codes, values.levels)
    array = values.array.copy()
    array[rows] = np.nan
    return Numbers(array)


def _into_polars(table: Any, chosen: Chosen) -> Any:
    import polars

    out = table
    for _, name, own, patch in chosen:
        made = PolarsShell().build([_told(name, own)], [patch.values])[:, 0]
        out = out.with_columns(made.zip_with(polars.Series(_mask(patch)), table[name]).alias(name))
    return out


def _into_arrow(table: Any, chosen: Chosen) -> Any:
    import pyarrow
    import pyarrow.compute

    from gannet.domains.table_arrow import to_arrow

    out = table
    for index, name, own, patch in chosen:
        field, before = table.schema.field(index), table.column(index)
        made = to_arrow(field.type, _told(name, own), patch.values)
        if pyarrow.types.is_dictionary(field.type):
            plain = field.type.value_type
            both = pyarrow.compute.if_else(_mask(patch), made.cast(plain), before.cast(plain))
            after = both.dictionary_encode().cast(field.type)
        else:
            after = pyarrow.compute.if_else(_mask(patch), made, before)
        out = out.set_column(index, field, after)
    return out


def _into_array(table: Any, chosen: Chosen) -> Any:
    out = table.clone() if isinstance(table, torch.Tensor) else table.copy()
    for index, name, own, patch in chosen:
        dtype = "float64" if isinstance(table, torch.Tensor) else str(table.dtype)
        made = ArrayShell(dtype).build([own or replace(patch.form, name=name)], [patch.values.take(patch.cells)])[:, 0]
        if isinstance(table, torch.Tensor):
            out[torch.from_numpy(patch.cells), index] = torch.from_numpy(made).to(table.dtype)
        else:
            out[patch.cells, index] = made
    return out


def _mask(patch: Patch) -> np.ndarray:
    mask = np.zeros(len(patch.values), dtype=bool)
    mask[patch.cells] = True
    return mask
