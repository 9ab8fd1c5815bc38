"""The contract of a kind of frame or array, and what all of them share: columns out of it, and values back.

A leaf (pandas, polars, Arrow, arrays) takes a table apart into `Raw` columns and builds the same type of table again.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

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


def unsupported(name: str, dtype: str) -> GannetError:
    """The error for a column type that cannot be learned."""
    return GannetError(f"column {name!r} has the type {dtype}, which is not learned; convert it, or drop={name}")
