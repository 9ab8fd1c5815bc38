"""polars data frames, column by column, and back; polars is imported only for those who use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gannet.domains.table_shell import Raw, Shell, moments, to_objects, unsupported
from gannet.domains.table_values import Form, Meaning, Numbers, Values, texts


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
    if dtype.is_numeric() and not dtype.is_decimal():
        meaning: Meaning = "integer" if dtype.is_integer() else "decimal"
        return Raw(Numbers(series.cast(polars.Float64).to_numpy()), name, meaning)
    if isinstance(dtype, (polars.Categorical, polars.Enum)):
        levels = tuple(dtype.categories.to_list()) if isinstance(dtype, polars.Enum) else ()
        label = "Enum" if levels else "Categorical"
        return Raw(texts(series.cast(polars.String).to_list()), label, "text", categories=levels)
    if dtype == polars.String:
        return Raw(texts(series.to_list()), name)
    raise unsupported(series.name, name)


def _to_polars(polars: Any, form: Form, values: Values) -> Any:
    plain = [polars.Int8, polars.Int16, polars.Int32, polars.Int64, polars.UInt8, polars.UInt16, polars.UInt32]
    plain += [polars.UInt64, polars.Float32, polars.Float64, polars.Boolean, polars.Date, polars.String]
    known = {str(dtype): dtype for dtype in plain}
    if form.dtype.startswith("Datetime"):
        unit = form.dtype.removeprefix("Datetime ")
        series = polars.Series(form.name, moments(values, form)).cast(polars.Datetime(unit))
        zoned = form.timezone is not None
        return series.dt.replace_time_zone("UTC").dt.convert_time_zone(form.timezone) if zoned else series
    items = to_objects(values, form)
    if form.dtype in ("Enum", "Categorical"):
        dtype = polars.Enum(list(form.categories or ())) if form.dtype == "Enum" else polars.Categorical()
        return polars.Series(form.name, items, dtype=polars.String).cast(dtype)
    if form.dtype == "Date":
        return polars.Series(form.name, moments(values, form)).cast(polars.Date)
    return polars.Series(form.name, items, dtype=known[form.dtype])
