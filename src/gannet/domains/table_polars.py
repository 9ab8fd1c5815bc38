"""polars data frames, column by column, and back; polars is imported only for those who use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_shell import Raw, Shell, long_integers, moments, spans, to_objects, unsupported, within
from gannet.domains.table_values import LARGEST_EXACT, Form, Meaning, Numbers, Values, texts


@dataclass(frozen=True)
class PolarsShell(Shell):
    """A polars DataFrame."""

    kind: ClassVar[str] = "polars"

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        return cls(), list(source.columns), [_from_polars(series) for series in source]

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        import polars

        return polars.DataFrame([_to_polars(polars, form, column) for form, column in zip(forms, values, strict=True)])


def _from_polars(series: Any) -> Raw:
    import polars

    dtype, name = series.dtype, str(series.dtype)
    if dtype == polars.Boolean:
        return Raw(Numbers(series.cast(polars.Float64).to_numpy()), name, "boolean")
    if isinstance(dtype, polars.Datetime):
        plain = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else series
        micros = plain.cast(polars.Datetime("us")).to_numpy()
        return Raw(micros, f"Datetime {dtype.time_unit}", "date", timezone=dtype.time_zone)
    if dtype == polars.Date:
        return Raw(series.cast(polars.Datetime("us")).to_numpy(), name, "date")
    if dtype in (polars.Time, polars.Duration):
        label = name if dtype == polars.Time else f"Duration {dtype.time_unit}"
        micros = series.cast(polars.Duration("ns") if dtype == polars.Time else dtype).cast(polars.Duration("us"))
        return Raw(micros.to_numpy(), label, "time" if dtype == polars.Time else "duration")
    if dtype == polars.Null:
        return Raw(Numbers(np.full(len(series), np.nan)), name, "decimal")
    if dtype.is_decimal():
        floats = series.cast(polars.Float64).to_numpy()
        return Raw(Numbers(floats), f"Decimal {dtype.precision} {dtype.scale}", "decimal")
    if dtype.is_integer() and _longest(series) > LARGEST_EXACT:
        return long_integers(series.to_list(), name)
    if dtype.is_numeric():
        meaning: Meaning = "integer" if dtype.is_integer() else "decimal"
        return Raw(Numbers(series.cast(polars.Float64).to_numpy()), name, meaning)
    if isinstance(dtype, (polars.Categorical, polars.Enum)):
        levels = tuple(dtype.categories.to_list()) if isinstance(dtype, polars.Enum) else ()
        label = "Enum" if levels else "Categorical"
        return Raw(texts(series.cast(polars.String).to_list()), label, "text", categories=levels)
    if dtype == polars.String:
        return Raw(texts(series.to_list()), name)
    raise unsupported(series.name, name)


def _longest(series: Any) -> int:
    """The largest absolute value of a column of integers."""
    return max(abs(series.min() or 0), abs(series.max() or 0))


def _to_polars(polars: Any, form: Form, values: Values) -> Any:
    plain = [polars.Int8, polars.Int16, polars.Int32, polars.Int64, polars.Int128, polars.Float32, polars.Float64]
    plain += [polars.UInt8, polars.UInt16, polars.UInt32, polars.UInt64, polars.Boolean, polars.Date, polars.String]
    known = {str(dtype): dtype for dtype in plain}
    if form.dtype.startswith("Datetime"):
        unit = form.dtype.removeprefix("Datetime ")
        series = polars.Series(form.name, moments(values, form)).cast(polars.Datetime(unit))
        zoned = form.timezone is not None
        return series.dt.replace_time_zone("UTC").dt.convert_time_zone(form.timezone) if zoned else series
    if form.dtype == "Time":
        return polars.Series(form.name, to_objects(values, form), dtype=polars.Time)
    if form.dtype.startswith("Duration"):
        return polars.Series(form.name, spans(values, form)).cast(polars.Duration(form.dtype.removeprefix("Duration ")))
    if form.dtype == "Null":
        return polars.Series(form.name, [None] * len(values))
    items = to_objects(values, form)
    if form.dtype.startswith("Decimal"):
        precision, scale = map(int, form.dtype.split()[1:])
        return polars.Series(form.name, items, dtype=polars.Float64).cast(polars.Decimal(precision, scale))
    if form.digits:
        items = within(items, form.dtype.lower())
    if form.dtype in ("Enum", "Categorical"):
        dtype = polars.Enum(list(form.categories or ())) if form.dtype == "Enum" else polars.Categorical()
        return polars.Series(form.name, items, dtype=polars.String).cast(dtype)
    if form.dtype == "Date":
        return polars.Series(form.name, moments(values, form)).cast(polars.Date)
    return polars.Series(form.name, items, dtype=known[form.dtype])
