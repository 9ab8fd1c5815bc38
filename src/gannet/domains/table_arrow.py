"""Arrow tables, column by column, and back; pyarrow is imported only for those who use it."""

from __future__ import annotations

import base64
import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_arrow_text import coded
from gannet.domains.table_shell import Raw, Shell, long_integers, moments, spans, to_objects, unsupported, within
from gannet.domains.table_values import LARGEST_EXACT, Form, Meaning, Numbers, Values, texts


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
        columns = [from_arrow(name, column) for name, column in zip(schema.names, source.columns, strict=True)]
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
        arrays = [to_arrow(kind, form, column) for kind, form, column in types]
        return pyarrow.Table.from_arrays(arrays, names=schema.names)


def from_arrow(name: str, column: Any) -> Raw:
    """An Arrow array, in one piece or several, as a column."""
    import pyarrow

    dtype, types = column.type, pyarrow.types
    label = str(dtype)
    if types.is_null(dtype):
        return Raw(Numbers(np.full(len(column), np.nan)), label, "decimal")
    if types.is_dictionary(dtype) and types.is_string(dtype.value_type):
        return Raw(coded(column), label, "text")
    if types.is_dictionary(dtype):
        column, dtype = column.cast(dtype.value_type), dtype.value_type
        meaning: Meaning | None = "text"
    else:
        meaning = None
    if types.is_string(dtype) or types.is_large_string(dtype):
        return Raw(coded(column), label, meaning)
    if types.is_string_view(dtype):
        return Raw(texts(column.to_pylist()), label, meaning)
    if types.is_boolean(dtype):
        floats = column.cast(pyarrow.int8()).cast(pyarrow.float64())
        return Raw(Numbers(np.array(floats.to_numpy(), dtype=np.float64)), label, "boolean")
    if types.is_timestamp(dtype) or types.is_date(dtype):
        zone = dtype.tz if types.is_timestamp(dtype) else None
        micros = column.cast(pyarrow.timestamp("us", zone), safe=False).cast(pyarrow.timestamp("us"))
        return Raw(np.array(micros.to_numpy(), dtype="datetime64[us]"), label, "date", timezone=zone)
    if types.is_time(dtype) or types.is_duration(dtype):
        unit = pyarrow.time64("us") if types.is_time(dtype) else pyarrow.duration("us")
        counts = column.cast(unit, safe=False).cast(pyarrow.int64()).cast(pyarrow.duration("us"))
        meaning = "time" if types.is_time(dtype) else "duration"
        return Raw(np.array(counts.to_numpy(), dtype="timedelta64[us]"), label, meaning)
    if types.is_integer(dtype) and _longest(column) > LARGEST_EXACT:
        return long_integers(column.to_pylist(), label)
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        floats = np.array(column.cast(pyarrow.float64(), safe=False).to_numpy(), dtype=np.float64)
        return Raw(Numbers(floats), label, "integer" if types.is_integer(dtype) else "decimal")
    raise unsupported(name, label)


def _longest(column: Any) -> int:
    """The largest absolute value of a column of integers."""
    import pyarrow.compute

    ends = pyarrow.compute.min_max(column)
    return max(abs(ends["min"].as_py() or 0), abs(ends["max"].as_py() or 0))


def to_arrow(dtype: Any, form: Form, values: Values) -> Any:
    """Values as an Arrow array of the type `dtype`."""
    import pyarrow

    if pyarrow.types.is_dictionary(dtype):
        plain = pyarrow.array(to_objects(values, form), type=dtype.value_type)
        return plain.dictionary_encode().cast(dtype)
    if form.meaning == "date" and not form.textual:
        return pyarrow.array(moments(values, form)).cast(dtype, safe=False)
    if form.meaning in ("time", "duration") and not form.textual:
        counts = pyarrow.array(spans(values, form)).cast(pyarrow.int64())
        unit = pyarrow.time64("us") if form.meaning == "time" else pyarrow.duration("us")
        return counts.cast(unit).cast(dtype, safe=False)
    if form.digits:
        return pyarrow.array(within(to_objects(values, form), str(dtype)), type=dtype)
    if pyarrow.types.is_decimal(dtype):
        exact = [None if item is None else decimal.Decimal(repr(item)) for item in to_objects(values, form)]
        return pyarrow.array([item and round(item, dtype.scale) for item in exact], type=dtype)
    return pyarrow.array(to_objects(values, form), type=dtype)
