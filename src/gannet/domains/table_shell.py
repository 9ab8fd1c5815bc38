"""The contract of a kind of frame or array, and what all of them share: columns out of it, and values back.

A leaf (pandas, polars, Arrow, arrays) takes a table apart into `Raw` columns and builds the same type of table again.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_arrow_text import ArrowText
from gannet.domains.table_values import LARGEST_EXACT, MICROSECONDS, Form, Meaning, Numbers, Texts, Values, spell, texts
from gannet.errors import GannetError


@dataclass(frozen=True)
class Raw:
    """One column as the frame holds it; `meaning` None: still to be found.

    Dates are datetime64[us] [n]; times of day and durations timedelta64[us] [n].
    """

    values: Values | np.ndarray | ArrowText
    dtype: str
    meaning: Meaning | None = None
    timezone: str | None = None
    categories: tuple[str | float, ...] | None = None
    ordered: bool = False
    remark: str | None = None
    digits: bool = False
    """Whether the texts are integers too long for arithmetic."""


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
        if whole and present and max(abs(int(item)) for item in present) > LARGEST_EXACT:
            whole_items = (None if gone else int(item) for item, gone in zip(items, missing, strict=True))
            return long_integers(whole_items, dtype)
        return Raw(_spread([float(item) for item in present], missing), dtype, "integer" if whole else "decimal")
    if all(_is_plain_date(item) for item in present):
        moments = np.full(len(missing), np.datetime64("NaT", "us"))
        moments[~missing] = np.array(present, dtype="datetime64[us]")
        return Raw(moments, dtype, "date")
    if all(isinstance(item, (datetime.time, datetime.timedelta)) for item in present):
        lengths = [item if isinstance(item, datetime.timedelta) else _since_midnight(item) for item in present]
        spans = np.full(len(missing), np.timedelta64("NaT", "us"))
        spans[~missing] = np.array(lengths, dtype="timedelta64[us]")
        of_day = [isinstance(item, datetime.time) for item in present]
        if all(of_day) or not any(of_day):
            return Raw(spans, dtype, "time" if any(of_day) else "duration")
    kinds = sorted({type(item).__name__ for item in present})
    remark = f"values of several types ({', '.join(kinds[:4])}): kept as the text they print as"
    spelled = texts(None if gone else str(item) for item, gone in zip(items, missing, strict=True))
    return Raw(spelled, dtype, "text", remark=remark)


def long_integers(items: Iterable[int | None], dtype: str) -> Raw:
    """Integers that 64-bit floats cannot hold, as texts: they are names of things, not amounts."""
    remark = "integers beyond 2^53: taken as names, not as amounts"
    digits = texts(None if item is None else str(item) for item in items)
    return Raw(digits, dtype, "text", remark=remark, digits=True)


def _since_midnight(moment: datetime.time) -> datetime.timedelta:
    return datetime.datetime.combine(datetime.date.min, moment.replace(tzinfo=None)) - datetime.datetime.min


def _is_plain_date(item: Any) -> bool:
    return isinstance(item, datetime.date) and not (isinstance(item, datetime.datetime) and item.tzinfo is not None)


def _spread(present: list[float], missing: np.ndarray) -> Numbers:
    out = np.full(len(missing), np.nan)
    out[~missing] = present
    return Numbers(out)


def to_objects(values: Values, form: Form) -> list[Any]:
    """Plain Python values [n] by the column's meaning, None when missing: int, float, bool, str, those of datetime."""
    if form.digits:
        return [None if item is None else int(item) for item in spell(values, form).tolist()]
    if form.textual or isinstance(values, Texts):
        return spelled(values, form).tolist()
    if form.meaning == "date":
        found = moments(values, form).astype(datetime.datetime).tolist()
        return [item.date() if item and form.unit == "D" else item for item in found]
    if form.meaning in ("time", "duration"):
        lengths = spans(values, form).astype(datetime.timedelta).tolist()
        if form.meaning == "duration":
            return lengths
        return [None if item is None else (datetime.datetime.min + item).time() for item in lengths]
    convert = {"integer": lambda number: int(round(number)), "boolean": bool}.get(form.meaning, float)
    return [None if number != number else convert(number) for number in values.array.tolist()]


def spelled(values: Values, form: Form) -> np.ndarray:
    """The values as the text that the frame holds [n] objects."""
    written = spell(values, form)
    return written if form.gap is None else np.where(values.missing, form.gap, written)


def moments(values: Values, form: Form) -> np.ndarray:
    """A column of dates as datetime64[us] [n], NaT where missing."""
    assert isinstance(values, Numbers)
    micros = np.where(values.missing, 0, np.rint(values.array)).astype(np.int64) * MICROSECONDS[form.unit or "us"]
    out = micros.astype("datetime64[us]")
    out[values.missing] = np.datetime64("NaT", "us")
    return out


def spans(values: Values, form: Form) -> np.ndarray:
    """A column of times of day or durations as timedelta64[us] [n], NaT where missing."""
    return moments(values, form) - np.datetime64(0, "us")


def within(digits: list[int | None], dtype: str) -> list[int | None]:
    """Made-up integers held inside the range of `dtype`, as int64 or uint128."""
    signed, bits = not dtype.startswith("u"), int(dtype.partition("int")[2])
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return [item if item is None or low <= item < high else item % high for item in digits]


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
