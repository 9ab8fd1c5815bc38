"""What is asked of one column, as text or value: a level, several, a number, a range, a date, or that it is missing.

`demand = read_demand(index, form, column, "25..40")`; `demand.meets(values)` [n] says which values are as asked.
GannetError names the nearest level, or the column's range.
"""

from __future__ import annotations

import datetime
import difflib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from gannet.domains.columns import Choice, Column, Constant, Number
from gannet.domains.table_column import MISSING_NAME, OTHER_NAME, first_levels, spell_one
from gannet.domains.table_values import BOOLEAN_WORDS, DATE_FORMATS, MICROSECONDS, Form, Numbers, Values, parse, texts
from gannet.errors import GannetError

OR, TO = "|", ".."
DAY = MICROSECONDS["D"]


@dataclass(frozen=True)
class Demand:
    """What will do in one column: texts, spans of numbers (ends included), or nothing at all."""

    index: int
    """The column's position."""
    text: str
    """As the user may have written it."""
    levels: frozenset[str] = frozenset()
    spans: tuple[tuple[float, float], ...] = ()
    missing: bool = False

    @property
    def only_number(self) -> float | None:
        """The one number that will do; None where there are others, or other things."""
        single = len(self.spans) == 1 and self.spans[0][0] == self.spans[0][1]
        return self.spans[0][0] if single and not self.missing else None

    def same(self, other: Demand) -> bool:
        """Whether the same values will do."""
        return (self.levels, self.spans, self.missing) == (other.levels, other.spans, other.missing)

    def takes(self, level: str | float) -> bool:
        """Whether one value will do."""
        if isinstance(level, str):
            return level in self.levels
        return any(low <= level <= high for low, high in self.spans)

    def meets(self, values: Values) -> np.ndarray:
        """True [n] for the values that will do."""
        if isinstance(values, Numbers):
            good = values.missing & self.missing
            for low, high in self.spans:
                good |= (values.array >= low) & (values.array <= high)
            return good
        table = np.array([*(level in self.levels for level in values.levels), self.missing], dtype=bool)
        return table[values.codes]


def read_demand(index: int, form: Form, column: Column | None, wanted: Any) -> Demand:
    """What is asked of a column; `column` is None where its levels are not known. Raises GannetError."""
    several = isinstance(wanted, list | tuple | set | frozenset)
    items = list(wanted) if several else [wanted]
    text = f"{form.name}={OR.join(map(str, items))}"
    if not items:
        raise GannetError(f"where {form.name}: an empty list asks for nothing; give at least one value")
    reader = _Texts(text, form, column) if form.meaning == "text" else _Numbers(text, form, column)
    for item in items:
        reader.read(item)
    return Demand(index, text, frozenset(reader.levels), tuple(reader.spans), reader.missing)


class _Reader(ABC):
    """Gathers what will do, item by item."""

    def __init__(self, text: str, form: Form, column: Column | None) -> None:
        self.text, self.form, self.column = text, form, column
        self.levels: list[str] = []
        self.spans: list[tuple[float, float]] = []
        self.missing = False

    def read(self, item: Any) -> None:
        """Take one value: a text, a number, a date, or None for missing."""
        if item is None or item is np.ma.masked or (isinstance(item, float | np.floating) and np.isnan(item)):
            self._read_missing()
        elif isinstance(item, str):
            self._read_text(item)
        else:
            self._read_value(item)

    def _read_missing(self) -> None:
        if isinstance(self.column, Choice | Number) and not self.column.missing:
            raise GannetError(f"where {self.text}: nothing was missing in this column in training")
        self.missing = True

    @abstractmethod
    def _read_text(self, text: str) -> None:
        """Take note of a value in the column's own spelling."""

    @abstractmethod
    def _read_value(self, value: Any) -> None:
        """Take note of a value of a type of Python's."""


class _Texts(_Reader):
    """Levels of a category, exactly as written."""

    @property
    def known(self) -> Sequence[str] | None:
        """The levels, those of an ordered category in its order; None where they are not known."""
        if self.form.categories is not None and self.form.ordered:
            return [str(level) for level in self.form.categories]
        if isinstance(self.column, Choice):
            return [str(level) for level in (*self.column.levels, *self.column.rare)]
        return [self.column.value] if isinstance(self.column, Constant) and isinstance(self.column.value, str) else None

    def _read_value(self, value: Any) -> None:
        self._read_text(str(value))

    def _read_text(self, text: str) -> None:
        known = self.known
        if known is None:
            # Not known before rows are drawn: the text as it is, or any of its parts.
            self.missing |= text == MISSING_NAME
            self.levels += [text, *text.split(OR)]
        elif text in known:
            self.levels.append(text)
        elif text == MISSING_NAME:
            self._read_missing()
        elif text == OTHER_NAME and isinstance(self.column, Choice) and self.column.rare:
            self.levels += [str(level) for level in self.column.rare]
        elif spaced := [level for level in known if level.strip() == text.strip()]:
            self.levels += spaced[:1]
        elif OR in text:
            for part in text.split(OR):
                self._read_text(part)
        elif self.form.ordered and TO in text:
            self._read_span(text, known)
        else:
            raise GannetError(f"where {self.text}: no level {text!r} was learned; {nearest_level(text, known)}")

    def _read_span(self, text: str, known: Sequence[str]) -> None:
        low, _, high = text.partition(TO)
        for end in (low, high):
            if end and end not in known:
                raise GannetError(f"where {self.text}: no level {end!r} was learned; {nearest_level(end, known)}")
        first = known.index(low) if low else 0
        last = known.index(high) if high else len(known) - 1
        if first > last:
            raise GannetError(f"where {self.text}: {low!r} stands after {high!r} in the order of this category")
        self.levels += known[first : last + 1]


def nearest_level(text: str, known: Sequence[str]) -> str:
    """The tail of an error about an unknown level: the nearest one, or the first of them."""
    folded = {level.casefold(): level for level in known}
    near = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.5)
    return f"did you mean {folded[near[0]]!r}?" if near else f"known: {first_levels(tuple(known), 120)}"


class _Numbers(_Reader):
    """Numbers, booleans, dates, times of day and durations: single values and ranges."""

    def _read_text(self, text: str) -> None:
        if text == MISSING_NAME:
            self._read_missing()
        elif OR in text:
            for part in text.split(OR):
                self._read_text(part)
        elif TO in text and self.form.meaning != "boolean":
            low, _, high = text.partition(TO)
            if not low.strip() and not high.strip():
                raise GannetError(f"where {self.text}: a range needs a lower or an upper end, as 25..40, 25.. or ..40")
            first = self._moment(low)[0] if low.strip() else -np.inf
            last = self._moment(high)[1] if high.strip() else np.inf
            if first > last:
                raise GannetError(f"where {self.text}: the lower end comes first, as 25..40")
            self._add(first, last)
        else:
            self._add(*self._moment(text))

    def _read_value(self, value: Any) -> None:
        if isinstance(value, datetime.date | datetime.time | datetime.timedelta | np.datetime64 | np.timedelta64):
            number = self._counted(value)
        else:
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise GannetError(f"where {self.text}: {value!r} is no value of a column of {self._noun}") from None
        self._add(number, number)

    def _add(self, low: float, high: float) -> None:
        self._check(low, high)
        self.spans.append((low, high))

    @property
    def _noun(self) -> str:
        return {"boolean": "yes and no", "time": "times of day"}.get(self.form.meaning, f"{self.form.meaning}s")

    def _moment(self, text: str) -> tuple[float, float]:
        """The first and the last number that a text stands for: a day, in a column of seconds, stands for all of it."""
        if self.form.meaning == "boolean":
            return (self._boolean(text),) * 2
        values = parse(texts([text.strip()]), self.form)
        assert isinstance(values, Numbers)
        number = float(values.array[0])
        if self.form.meaning in ("integer", "decimal") and np.isnan(number):
            try:
                number = float(text)
            except ValueError:
                pass
        if not np.isnan(number):
            return number, number
        if self.form.meaning == "date" and (read := self._date(text.strip())):
            return read
        example = "" if self.column is None else f", as {self._example()}"
        raise GannetError(f"where {self.text}: {text!r} cannot be read as one of its {self._noun}{example}")

    def _boolean(self, text: str) -> float:
        words = [self.form.spelling.words or ("False", "True"), *BOOLEAN_WORDS, ("0", "1")]
        for no, yes in words:
            if text.strip().lower() in (no.lower(), yes.lower()):
                return float(text.strip().lower() == yes.lower())
        raise GannetError(f"where {self.text}: {text!r} is neither of {words[0][0]!r} and {words[0][1]!r}")

    def _date(self, text: str) -> tuple[float, float] | None:
        """A date in one of the usual formats."""
        for date_format in DATE_FORMATS:
            try:
                moment = datetime.datetime.strptime(text, date_format)
            except ValueError:
                continue
            first = self._counted(moment)
            whole = "%H" not in date_format and self.form.unit not in (None, "D")
            return first, first + (DAY // MICROSECONDS[self.form.unit or "us"] - 1 if whole else 0)
        return None

    def _counted(self, value: Any) -> float:
        """A moment or a length of time in the column's unit."""
        if isinstance(value, datetime.time):
            value = datetime.datetime.combine(datetime.date.min, value.replace(tzinfo=None)) - datetime.datetime.min
        if isinstance(value, datetime.timedelta | np.timedelta64):
            micros = np.timedelta64(value, "us").astype(np.int64)
        else:
            if isinstance(value, datetime.datetime) and (value.tzinfo is not None or self.form.timezone is not None):
                zone = value.tzinfo or ZoneInfo(self.form.timezone or "UTC")
                value = value.replace(tzinfo=zone).astimezone(datetime.UTC).replace(tzinfo=None)
            micros = np.datetime64(value, "us").astype(np.int64)
        return float(micros / MICROSECONDS[self.form.unit or "us"])

    def _check(self, low: float, high: float) -> None:
        """Raise GannetError where no value that was learned lies from `low` to `high`, naming what is near."""
        column = self.column
        if not isinstance(column, Choice | Number):
            return
        kept = (
            (*column.levels, *column.rare) if isinstance(column, Choice) else (*column.masses, *(column.values or ()))
        )
        known = np.array(kept, dtype=np.float64)
        if ((known >= low) & (known <= high)).any():
            return
        if isinstance(column, Number) and column.values is None:
            if _reaches(column, low, high):
                return
            known = np.concatenate([known, _beside(column, low, high)])
        if self.form.meaning == "boolean":
            raise GannetError(f"where {self.text}: never seen in training")
        finite = np.sort(known[np.isfinite(known)])
        near = [spell_one(float(each), self.form) for each in (*finite[finite < low][-1:], *finite[finite > high][:1])]
        reach = f"{spell_one(float(finite[0]), self.form)} to {spell_one(float(finite[-1]), self.form)}"
        raise GannetError(f"where {self.text}: the column runs from {reach}; the nearest is {' or '.join(near)}")

    def _example(self) -> str:
        column = self.column
        known: Sequence[Any] = ()
        if isinstance(column, Choice):
            known = column.levels
        elif isinstance(column, Number):
            known = column.values or column.knots or column.masses
        return spell_one(float(known[len(known) // 2]), self.form) if known else "25"


def _reaches(column: Number, low: float, high: float) -> bool:
    """Whether a smooth number has values from `low` to `high`: a multiple of its step inside its range."""
    low, high = max(low, column.knots[0]), min(high, column.knots[-1])
    if not column.step:
        return low <= high
    return bool(np.floor(high / column.step + 1e-6) * column.step >= low - 1e-6 * column.step)


def _beside(column: Number, low: float, high: float) -> np.ndarray:
    """The values of a smooth number next to a stretch without any, and the ends of its range."""
    first, last, step = column.knots[0], column.knots[-1], column.step or 1.0
    beside = np.array([np.floor(low / step) * step, np.ceil(high / step) * step])
    return np.array([first, *np.clip(beside[np.isfinite(beside)], first, last), last])
