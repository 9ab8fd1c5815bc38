"""Data frames and arrays, column by column, and back: pandas, polars, Arrow, NumPy, torch.

`take(source)` -> the columns and a `Shell` (what to give back); `Shell.build(forms, values)` -> the same type again.
No library is imported that the user's own object does not already need.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from gannet.domains.table_files import check_names, import_pandas
from gannet.domains.table_values import MICROSECONDS, Form, Meaning, Numbers, Texts, Values, spell, texts
from gannet.errors import GannetError


@dataclass(frozen=True)
class Raw:
    """One column as the frame holds it: values, or moments as datetime64[us] [n]; `meaning` None: still to be found."""

    values: Values | np.ndarray
    dtype: str
    meaning: Meaning | None = None
    timezone: str | None = None
    categories: tuple[str | float, ...] | None = None
    ordered: bool = False
    remark: str | None = None


def kind_of(source: Any) -> str | None:
    """Which frame or array this is, by the name of its type alone; None for anything else."""
    if isinstance(source, tuple):
        both = len(source) == 2 and all(isinstance(part, (np.ndarray, torch.Tensor)) for part in source)
        return "pair" if both and source[0].ndim == 2 and source[1].ndim == 1 else None
    if isinstance(source, np.ndarray):
        return "array" if source.ndim == 2 else None
    if isinstance(source, torch.Tensor):
        return "tensor" if source.ndim == 2 else None
    library, name = type(source).__module__.partition(".")[0], type(source).__name__
    known = {("pandas", "DataFrame"): "pandas", ("polars", "DataFrame"): "polars", ("pyarrow", "Table"): "arrow"}
    return known.get((library, name))


class Shell(ABC):
    """What a table came in, so that samples leave in the same; leaves are frozen dataclasses of JSON values."""

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        """The shell, and the columns' names and contents."""

    @abstractmethod
    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        """A new table of this type."""

    def select(self, kept: Sequence[int]) -> Shell:
        """The shell of a table of which only some columns are kept."""
        return self

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


def shell_from_json(data: dict[str, Any]) -> Shell:
    """The inverse of `Shell.to_json`."""
    values = {key: value for key, value in data.items() if key != "kind"}
    return SHELLS[data["kind"]](**values)


def take(source: Any) -> tuple[Shell, list[str], list[Raw]]:
    """Any table that `kind_of` knows -> its shell, the columns' names and their contents."""
    kind = kind_of(source)
    assert kind is not None, f"{type(source).__name__} is no table"
    shell, names, columns = SHELLS[kind].take(source)
    check_names(names, "the table")
    return shell, names, columns


def from_objects(items: Sequence[Any], missing: np.ndarray, dtype: str) -> Raw:
    """Python objects -> text, booleans, numbers or moments, by what they are; a mixture becomes text."""
    present = [item for item, gone in zip(items, missing, strict=True) if not gone]
    if all(isinstance(item, str) for item in present):
        return Raw(texts(None if gone else str(item) for item, gone in zip(items, missing, strict=True)), dtype)
    if all(isinstance(item, (bool, np.bool_)) for item in present):
        return Raw(_spread([float(item) for item in present], missing), dtype, "boolean")
    if all(isinstance(item, (numbers.Real, decimal.Decimal)) for item in present):
        whole = all(isinstance(item, numbers.Integral) for item in present)
        return Raw(_spread([float(item) for item in present], missing), dtype, "integer" if whole else "decimal")
    if all(_is_plain_date(item) for item in present):
        moments = np.full(len(missing), np.datetime64("NaT", "us"))
        moments[~missing] = np.array(present, dtype="datetime64[us]")
        return Raw(moments, dtype, "date")
    kinds = sorted({type(item).__name__ for item in present})
    remark = f"values of several types ({', '.join(kinds[:4])}): kept as the text they print as"
    spelled = texts(None if gone else str(item) for item, gone in zip(items, missing, strict=True))
    return Raw(spelled, dtype, "text", remark=remark)


def _is_plain_date(item: Any) -> bool:
    return isinstance(item, datetime.date) and not (isinstance(item, datetime.datetime) and item.tzinfo is not None)


def _spread(present: list[float], missing: np.ndarray) -> Numbers:
    out = np.full(len(missing), np.nan)
    out[~missing] = present
    return Numbers(out)


def to_objects(values: Values, form: Form) -> list[Any]:
    """Plain Python values [n] by the column's meaning: int, float, bool, str, date or datetime, None when missing."""
    if form.textual or isinstance(values, Texts):
        return spell(values, form).tolist()
    if form.meaning == "date":
        found = moments(values, form).astype(datetime.datetime).tolist()
        return [item.date() if item and form.unit == "D" else item for item in found]
    convert = {"integer": lambda number: int(round(number)), "boolean": bool}.get(form.meaning, float)
    return [None if number != number else convert(number) for number in values.array.tolist()]


def moments(values: Values, form: Form) -> np.ndarray:
    """A column of dates as datetime64[us] [n], NaT where missing."""
    assert isinstance(values, Numbers)
    micros = np.where(values.missing, 0, np.rint(values.array)).astype(np.int64) * MICROSECONDS[form.unit or "us"]
    out = micros.astype("datetime64[us]")
    out[values.missing] = np.datetime64("NaT", "us")
    return out


def as_dtype(numbers: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """float64 [n] -> a NumPy type, whole numbers rounded and held inside its range."""
    if dtype.kind not in "iu":
        return numbers.astype(dtype)
    limits = np.iinfo(dtype)
    # float64 cannot hold the largest 64-bit integer; the next one below it can.
    top = np.nextafter(float(limits.max), 0) if dtype.itemsize == 8 else float(limits.max)
    return np.clip(np.rint(numbers), float(limits.min), top).astype(dtype)


# ------------------------------------------------------------------------------------------------------- pandas


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
    if types.is_bool_dtype(series.dtype):
        return Raw(Numbers(_floats(series)), dtype, "boolean")
    if types.is_datetime64_any_dtype(series.dtype):
        timezone = None if series.dt.tz is None else str(series.dt.tz)
        plain = series if timezone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)
        return Raw(plain.to_numpy("datetime64[us]"), dtype, "date", timezone=timezone)
    if types.is_numeric_dtype(series.dtype) and not types.is_complex_dtype(series.dtype):
        return Raw(Numbers(_floats(series)), dtype, "integer" if types.is_integer_dtype(series.dtype) else "decimal")
    if isinstance(series.dtype, pandas.StringDtype):
        codes, levels = pandas.factorize(series)
        return Raw(Texts(codes.astype(np.int64), [str(level) for level in levels]), dtype)
    if series.dtype == object:
        return from_objects(series.tolist(), series.isna().to_numpy(), dtype)
    if dtype in ("string[pyarrow]", "large_string[pyarrow]"):
        return from_objects(series.tolist(), series.isna().to_numpy(), dtype)
    raise unsupported(str(series.name), dtype)


def unsupported(name: str, dtype: str) -> GannetError:
    """The error for a column type that cannot be learned."""
    return GannetError(f"column {name!r} has the type {dtype}, which is not learned; convert it, or drop={name}")


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
    names = [str(level) for level in levels]
    return Raw(Texts(codes, names), "category", "text", categories=tuple(names), ordered=ordered)


def _to_pandas(pandas: Any, form: Form, values: Values) -> Any:
    if form.categories is not None:
        items = to_objects(values, form)
        return pandas.Series(pandas.Categorical(items, categories=list(form.categories), ordered=form.ordered))
    if form.textual or form.meaning == "text":
        # pandas 3 calls its own text type "str"; older ones would turn None into the word None.
        spelled = spell(values, form)
        own = form.dtype == "str" and not values.missing.all()
        return pandas.Series(spelled) if own else pandas.Series(spelled, dtype="object").astype(_text_type(form.dtype))
    if form.dtype == "object":
        return pandas.Series(to_objects(values, form), dtype="object")
    if form.meaning == "date":
        series = pandas.Series(moments(values, form))
        if form.timezone is not None:
            series = series.dt.tz_localize("UTC").dt.tz_convert(form.timezone)
        return series.astype(form.dtype)
    assert isinstance(values, Numbers)
    if form.dtype in _NUMPY_TYPES:
        return pandas.Series(as_dtype(values.array, np.dtype(form.dtype)))
    return pandas.Series(to_objects(values, form), dtype=form.dtype)


_NUMPY_TYPES = {*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64", "bool"}
_NUMPY_TYPES |= {"float16"}


def _text_type(dtype: str) -> str:
    return dtype if dtype.startswith(("string", "large_string")) else "object"


# ------------------------------------------------------------------------------------------------------- polars


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


# -------------------------------------------------------------------------------------------------------- Arrow


@dataclass(frozen=True)
class ArrowShell(Shell):
    """An Arrow table; its schema as base64 of Arrow's own message."""

    kind: ClassVar[str] = "arrow"
    schema: str

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        # Metadata may hold anything, even values of an index; the types are enough.
        schema = source.schema.remove_metadata()
        packed = base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")
        columns = [_from_arrow(name, column) for name, column in zip(schema.names, source.columns, strict=True)]
        return cls(packed), list(schema.names), columns

    def select(self, kept: Sequence[int]) -> Shell:
        import pyarrow

        fields = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(self.schema)))
        schema = pyarrow.schema([fields.field(index) for index in kept])
        return ArrowShell(base64.b64encode(schema.serialize().to_pybytes()).decode("ascii"))

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        import pyarrow

        schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(self.schema)))
        types = zip(schema.types, forms, values, strict=True)
        arrays = [_to_arrow(pyarrow, kind, form, column) for kind, form, column in types]
        return pyarrow.Table.from_arrays(arrays, names=schema.names)


def _from_arrow(name: str, column: Any) -> Raw:
    import pyarrow

    dtype, types = column.type, pyarrow.types
    label = str(dtype)
    if types.is_dictionary(dtype):
        column, dtype = column.cast(dtype.value_type), dtype.value_type
        meaning: Meaning | None = "text"
    else:
        meaning = None
    if types.is_string(dtype) or types.is_large_string(dtype):
        return Raw(texts(column.to_pylist()), label, meaning)
    if types.is_boolean(dtype):
        floats = column.cast(pyarrow.int8()).cast(pyarrow.float64())
        return Raw(Numbers(np.array(floats.to_numpy(), dtype=np.float64)), label, "boolean")
    if types.is_timestamp(dtype) or types.is_date(dtype):
        zone = dtype.tz if types.is_timestamp(dtype) else None
        micros = column.cast(pyarrow.timestamp("us", zone), safe=False).cast(pyarrow.timestamp("us"))
        return Raw(np.array(micros.to_numpy(), dtype="datetime64[us]"), label, "date", timezone=zone)
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        floats = np.array(column.cast(pyarrow.float64(), safe=False).to_numpy(), dtype=np.float64)
        return Raw(Numbers(floats), label, "integer" if types.is_integer(dtype) else "decimal")
    raise unsupported(name, label)


def _to_arrow(pyarrow: Any, dtype: Any, form: Form, values: Values) -> Any:
    if pyarrow.types.is_dictionary(dtype):
        plain = pyarrow.array(to_objects(values, form), type=dtype.value_type)
        return plain.dictionary_encode().cast(dtype)
    if form.meaning == "date" and not form.textual:
        return pyarrow.array(moments(values, form)).cast(dtype, safe=False)
    if pyarrow.types.is_decimal(dtype):
        exact = [None if item is None else decimal.Decimal(repr(item)) for item in to_objects(values, form)]
        return pyarrow.array([item and round(item, dtype.scale) for item in exact], type=dtype)
    return pyarrow.array(to_objects(values, form), type=dtype)


# ------------------------------------------------------------------------------------------------------- arrays


@dataclass(frozen=True)
class ArrayShell(Shell):
    """A NumPy array [n, columns]."""

    kind: ClassVar[str] = "array"
    dtype: str

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        names = [str(index) for index in range(source.shape[1])]
        return cls(str(source.dtype)), names, [_from_vector(source[:, index]) for index in range(source.shape[1])]

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        columns = [_to_vector(form, column, self.dtype) for form, column in zip(forms, values, strict=True)]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class TensorShell(Shell):
    """A torch tensor [n, columns]."""

    kind: ClassVar[str] = "tensor"
    dtype: str

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        source = source.detach().cpu()
        dtype = str(source.dtype).removeprefix("torch.")
        # NumPy has no bfloat16.
        shell, names, columns = ArrayShell.take((source.float() if source.is_floating_point() else source).numpy())
        return cls(dtype), names, columns

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        plain = "float64" if "float" in self.dtype else self.dtype
        array = ArrayShell(plain).build(forms, values)
        return torch.from_numpy(array).to(TORCH_TYPES[self.dtype])


TORCH_TYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}


@dataclass(frozen=True)
class PairShell(Shell):
    """Samples and their labels (X, y), as scikit-learn gives them; y is the column "label"."""

    kind: ClassVar[str] = "pair"
    samples: dict[str, Any]
    labels: dict[str, Any]
    columns: int
    """Columns of X."""

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        samples, labels = source
        if len(samples) != len(labels):
            raise GannetError(f"(X, y): X has {len(samples):,} rows but y has {len(labels):,} labels")
        left, names, columns = take(samples)
        right, _, label = take(labels[:, None])
        return cls(left.to_json(), right.to_json(), len(names)), [*names, "label"], [*columns, *label]

    def select(self, kept: Sequence[int]) -> Shell:
        if not kept or kept[-1] != self.columns:
            return shell_from_json(self.samples)
        return PairShell(self.samples, self.labels, len(kept) - 1)

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        samples = shell_from_json(self.samples).build(forms[:-1], values[:-1])
        labels = shell_from_json(self.labels).build(forms[-1:], values[-1:])
        return samples, labels[:, 0]


def _from_vector(vector: np.ndarray) -> Raw:
    dtype = str(vector.dtype)
    if vector.dtype.kind == "M":
        return Raw(vector.astype("datetime64[us]"), dtype, "date")
    if vector.dtype.kind in "biuf":
        meaning: Meaning = {"b": "boolean", "f": "decimal"}.get(vector.dtype.kind, "integer")  # type: ignore[assignment]
        return Raw(Numbers(vector.astype(np.float64)), dtype, meaning)
    if vector.dtype.kind in "OU":
        items = vector.tolist()
        missing = np.array([item is None or item != item for item in items], dtype=bool)
        return from_objects(items, missing, dtype)
    raise unsupported("0", dtype)


def _to_vector(form: Form, values: Values, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if form.meaning == "date" and kind.kind == "M":
        return moments(values, form).astype(kind)
    if kind.kind in "OU":
        items = np.empty(len(values), dtype=object)
        items[:] = to_objects(values, form)
        return items if kind.kind == "O" else np.array(["" if item is None else item for item in items], dtype=kind)
    assert isinstance(values, Numbers)
    return as_dtype(values.array, kind)


SHELLS: dict[str, type[Shell]] = {
    shell.kind: shell for shell in (PandasShell, PolarsShell, ArrowShell, ArrayShell, TensorShell, PairShell)
}
