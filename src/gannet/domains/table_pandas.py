"""pandas data frames, column by column, and back; pandas is imported only for those who use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_arrow import from_arrow, to_arrow
from gannet.domains.table_files import import_pandas
from gannet.domains.table_shell import (
    Raw,
    Shell,
    as_dtype,
    from_objects,
    long_integers,
    moments,
    spans,
    spelled,
    to_objects,
    unsupported,
    within,
)
from gannet.domains.table_values import LARGEST_EXACT, Form, Meaning, Numbers, Texts, Values
from gannet.errors import GannetError


@dataclass(frozen=True)
class PandasShell(Shell):
    """A pandas DataFrame; `labels` are its own column labels, which need not be text."""

    kind: ClassVar[str] = "pandas"
    labels: list[Any]

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        labels = [label.item() if isinstance(label, np.generic) else label for label in source.columns]
        if not all(isinstance(label, (str, int, float)) for label in labels):
            raise GannetError("the data frame's columns have several levels; flatten their names to text")
        return cls(labels), [str(label) for label in labels], [_from_pandas(series) for _, series in source.items()]

    def select(self, kept: Sequence[int]) -> Shell:
        return PandasShell([self.labels[index] for index in kept])

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        pandas = import_pandas("a data frame")
        columns = [_to_pandas(pandas, form, column) for form, column in zip(forms, values, strict=True)]
        frame = pandas.concat(columns, axis=1, ignore_index=True)
        frame.columns = self.labels
        return frame


def _from_pandas(series: Any) -> Raw:
    import pandas

    dtype, types = str(series.dtype), pandas.api.types
    if isinstance(series.dtype, pandas.CategoricalDtype):
        return _from_categorical(series)
    if isinstance(series.dtype, pandas.ArrowDtype) and not types.is_string_dtype(series.dtype):
        return _from_arrow_dtype(pandas, series)
    if types.is_bool_dtype(series.dtype):
        return Raw(Numbers(_floats(series)), dtype, "boolean")
    if types.is_datetime64_any_dtype(series.dtype):
        timezone = None if series.dt.tz is None else str(series.dt.tz)
        plain = series if timezone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)
        return Raw(plain.to_numpy("datetime64[us]"), dtype, "date", timezone=timezone, remark=_too_fine(plain))
    if types.is_timedelta64_dtype(series.dtype):
        return Raw(series.to_numpy("timedelta64[us]"), dtype, "duration", remark=_too_fine(series))
    # The largest of none is missing itself.
    if types.is_integer_dtype(series.dtype) and series.notna().any() and series.abs().max() > LARGEST_EXACT:
        return long_integers((None if item is None else int(item) for item in _or_none(series)), dtype)
    if types.is_numeric_dtype(series.dtype) and not types.is_complex_dtype(series.dtype):
        return Raw(Numbers(_floats(series)), dtype, "integer" if types.is_integer_dtype(series.dtype) else "decimal")
    if isinstance(series.dtype, pandas.StringDtype):
        codes, levels = pandas.factorize(series)
        return Raw(Texts(codes.astype(np.int64), [str(level) for level in levels]), dtype)
    if series.dtype == object or dtype in ("string[pyarrow]", "large_string[pyarrow]"):
        return from_objects(series.tolist(), series.isna().to_numpy(), dtype)
    raise unsupported(str(series.name), dtype)


def _too_fine(series: Any) -> str | None:
    """A remark where moments or durations are finer than what is kept of them."""
    moments = series.to_numpy()
    finer = moments.dtype.str.endswith("[ns]") and (moments[~np.isnat(moments)].view(np.int64) % 1000).any()
    return "finer than a microsecond: cut off there" if finer else None


def _from_arrow_dtype(pandas: Any, series: Any) -> Raw:
    """A column that pandas holds as an Arrow array."""
    dtype = str(series.dtype)
    try:
        known = pandas.api.types.pandas_dtype(dtype) == series.dtype
    except (NotImplementedError, TypeError):
        known = False
    if not known:
        raise unsupported(str(series.name), dtype)
    return replace(from_arrow(str(series.name), series.array.__arrow_array__()), dtype=dtype)


def _or_none(series: Any) -> list[Any]:
    return series.astype(object).where(series.notna(), None).tolist()


def _floats(series: Any) -> np.ndarray:
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def _from_categorical(series: Any) -> Raw:
    codes = series.cat.codes.to_numpy().astype(np.int64)
    levels, ordered = series.cat.categories.tolist(), bool(series.cat.ordered)
    if levels and all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in levels):
        table = np.array([*levels, np.nan], dtype=np.float64)
        whole = all(isinstance(level, int) for level in levels)
        meaning: Meaning = "integer" if whole else "decimal"
        return Raw(Numbers(table[codes]), "category", meaning, categories=tuple(levels), ordered=ordered)
    names, other = [str(level) for level in levels], {type(level).__name__ for level in levels} - {"str"}
    remark = f"categories of {', '.join(sorted(other))}: kept as the text they print as" if other else None
    return Raw(Texts(codes, names), "category", "text", None, tuple(names), ordered, remark)


def _to_pandas(pandas: Any, form: Form, values: Values) -> Any:
    if form.categories is not None:
        items = to_objects(values, form)
        return pandas.Series(pandas.Categorical(items, categories=list(form.categories), ordered=form.ordered))
    if form.digits:
        bounds = form.dtype.lower() if form.dtype.lower() in _NUMPY_TYPES else "int64"
        made = to_objects(values, form) if form.dtype == "object" else within(to_objects(values, form), bounds)
        return pandas.Series(made, dtype=form.dtype)
    if form.dtype.endswith("[pyarrow]") and not form.textual and form.meaning != "text":
        dtype = pandas.api.types.pandas_dtype(form.dtype)
        return pandas.Series(to_arrow(dtype.pyarrow_dtype, form, values).to_pylist(), dtype=dtype)
    if form.textual or form.meaning == "text":
        written = spelled(values, form)
        if form.dtype == "str":
            # pandas 3 calls its own text type so and finds it by itself, if there is a text at all; older ones would
            # turn None into the word None.
            return pandas.Series(np.append(written, "x")).iloc[:-1]
        return pandas.Series(written, dtype="object").astype(_text_type(form.dtype))
    if form.dtype == "object":
        return pandas.Series(to_objects(values, form), dtype="object")
    if form.meaning == "date":
        series = pandas.Series(moments(values, form))
        if form.timezone is not None:
            series = series.dt.tz_localize("UTC").dt.tz_convert(form.timezone)
        return series.astype(form.dtype)
    if form.meaning == "duration":
        return pandas.Series(spans(values, form)).astype(form.dtype)
    assert isinstance(values, Numbers)
    if form.dtype in _NUMPY_TYPES:
        return pandas.Series(as_dtype(values.array, np.dtype(form.dtype)))
    return pandas.Series(to_objects(values, form), dtype=form.dtype)


_NUMPY_TYPES = {*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64", "bool"}
_NUMPY_TYPES |= {"float16"}


def _text_type(dtype: str) -> str:
    return dtype if dtype.startswith(("string", "large_string")) else "object"
