"""A column's values in two plain forms, and how they are spelled: text <-> numbers, dates, booleans.

`understand(texts)` finds what a column of text means; `parse` and `spell` go there and back once its `Form` is
known. Standard library and numpy only: files, data frames and encoders all meet here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

from gannet.domains.table_clock import Clock, duration_of, read_clock, spell_clock, time_of
from gannet.errors import shorten

Meaning = Literal["integer", "decimal", "boolean", "date", "time", "duration", "text"]

MISSING_SPELLINGS = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "Nan", "null", "NULL", "Null", "None", "?"})
BOOLEAN_WORDS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"))
DATE_FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"),
    *("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y"),
    *("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M"),
    *("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %Y", "%B %Y", "%Y-%m"),
)
"""Tried in this order: where a column fits both, day/month wins over month/day."""

ISO_SHAPES = {
    "%Y-%m-%d": re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
    "%Y-%m-%d %H:%M:%S": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII),
    "%Y-%m-%dT%H:%M:%S": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII),
}
"""Formats that numpy reads by itself, a hundred times faster than the standard library."""

MICROSECONDS = {"D": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}
"""The units in which dates are counted since 1970, times of day since midnight, and durations; coarsest first."""

LARGEST_EXACT = 2**53
"""Beyond it a 64-bit float no longer holds every integer; longer digit strings are kept as text."""

_INTEGER = re.compile(r"(?:-?(?:0|[1-9][0-9]*)\n)*")
_DECIMAL = re.compile(r"(?:-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\n)*")
_COMMA_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:,[0-9]+)?")
_PADDING = re.compile(r"(?<![0-9:])0(?=[0-9])")


# ------------------------------------------------------------------------------------------------------ values


@dataclass(frozen=True)
class Numbers:
    """One column as float64 [n], NaN where missing; dates and times count their unit, booleans are 0 and 1."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    @property
    def missing(self) -> np.ndarray:
        """True [n] where no value stands."""
        return np.isnan(self.array)

    def take(self, rows: np.ndarray) -> Numbers:
        return Numbers(self.array[rows])

    def digest(self) -> bytes:
        """The content as bytes, the same on every machine."""
        return np.where(self.missing, np.nan, self.array + 0.0).astype("<f8").tobytes()


@dataclass(frozen=True)
class Texts:
    """One column as codes int64 [n] into distinct `levels`, -1 where missing: a repeated text is held once."""

    codes: np.ndarray
    levels: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> np.ndarray:
        """True [n] where no value stands."""
        return self.codes < 0

    @property
    def counts(self) -> np.ndarray:
        """How often each level stands [levels]."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels))

    def take(self, rows: np.ndarray) -> Texts:
        return Texts(self.codes[rows], self.levels)

    def objects(self) -> np.ndarray:
        """The texts themselves [n], None where missing."""
        table = np.empty(len(self.levels) + 1, dtype=object)
        table[:-1] = self.levels
        return table[self.codes]

    def digest(self) -> bytes:
        """The content as bytes, the same on every machine, whatever the order of the levels."""
        order = sorted(range(len(self.levels)), key=self.levels.__getitem__)
        rank = np.full(len(order) + 1, -1, dtype="<i8")
        rank[order] = np.arange(len(order))
        return rank[self.codes].tobytes() + "\0".join(sorted(self.levels)).encode("utf-8", "surrogatepass")


Values = Numbers | Texts


class Codebook(dict[str, int]):
    """Numbers new texts in the order of their appearance."""

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self)
        return code


def texts(items: Iterable[str | None]) -> Texts:
    """Texts (None = missing) as codes and levels."""
    book = Codebook()
    codes = np.fromiter((-1 if item is None else book[item] for item in items), dtype=np.int64)
    return Texts(codes, list(book))


# -------------------------------------------------------------------------------------------------------- form


@dataclass(frozen=True)
class Spelling:
    """How a column's values are written as text."""

    missing: str = ""
    words: tuple[str, str] | None = None
    """How false and true are written."""
    date_format: str | None = None
    clock: Clock | None = None
    """How times of day and durations are written."""
    padded: bool = True
    """Whether days and months below 10 are written with a zero."""
    fixed_decimals: int | None = None
    """Digits after the point, when every value has the same number of them."""
    bare_wholes: bool = False
    """Whether a whole value among decimals is written 3, not 3.0."""
    comma: bool = False
    """Whether the decimal point is a comma."""


@dataclass(frozen=True)
class Form:
    """What a column is outside of the game: its name, meaning, type in the user's frame and spelling."""

    name: str
    meaning: Meaning
    dtype: str
    """The frame's own name of the type."""
    textual: bool = False
    """Whether the frame holds the values spelled as text, whatever they mean."""
    unit: str | None = None
    """What dates, times and durations count (see MICROSECONDS)."""
    timezone: str | None = None
    spelling: Spelling = field(default_factory=Spelling)
    categories: tuple[str | float, ...] | None = None
    """Levels of a categorical type, in its order."""
    ordered: bool = False
    gap: str | None = None
    """The text that the frame itself holds where nothing stands; None: its own null."""
    digits: bool = False
    """Whether the texts are whole numbers too long for arithmetic, which the frame holds as integers."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Form:
        spelling = dict(data["spelling"])
        words, categories = spelling["words"], data["categories"]
        spelling["words"] = None if words is None else (words[0], words[1])
        spelling["clock"] = None if spelling.get("clock") is None else Clock(**spelling["clock"])
        categories = None if categories is None else tuple(categories)
        return cls(**{**data, "spelling": Spelling(**spelling), "categories": categories})


@dataclass(frozen=True)
class Understood:
    """What a column of text turned out to be."""

    meaning: Meaning
    values: Values
    spelling: Spelling
    unit: str | None = None
    remark: str | None = None
    """Something the user should know about the column."""


# -------------------------------------------------------------------------------------------- text -> meaning


def understand(column: Texts, *, wanted: str | None = None) -> Understood:
    """What a column of text means: booleans, numbers, dates, or text; `wanted` is the user's own word for it.

    A text that does not fit the wanted type becomes missing, with a remark.
    """
    column, missing = _without_missing(column)
    levels, spelling = column.levels, Spelling(missing=missing)
    if wanted in ("category", "id", "text") or not levels:
        return Understood("text", column, spelling)
    words = boolean_words(levels)
    if wanted == "boolean" and words is None and len(levels) == 2:
        words = (min(levels), max(levels))
    if wanted in (None, "boolean") and words:
        table = np.array([float(level == words[1]) for level in levels])
        return Understood("boolean", _look_up(table, column), Spelling(missing=missing, words=words))
    if wanted in (None, "integer", "decimal") and (found := _numbers(column, missing)):
        return found
    if wanted in (None, "time", "duration") and (clocked := _clocked(column, missing, wanted)):
        return clocked
    if wanted in (None, "date") and (dated := _dates(column, missing)):
        return dated
    if wanted in ("integer", "decimal", "date", "time", "duration"):
        return _forced(column, wanted, missing)
    return Understood("text", column, spelling, remark=_mixed_remark(column))


def _without_missing(column: Texts) -> tuple[Texts, str]:
    """The column with its missing spellings taken out, and the commonest of them."""
    is_missing = np.array([level.strip() in MISSING_SPELLINGS for level in column.levels], dtype=bool)
    if not is_missing.any():
        return column, ""
    counts = np.where(is_missing, column.counts, -1)
    recode = np.append(np.where(is_missing, -1, np.cumsum(~is_missing) - 1), -1)
    kept = [level for level, gone in zip(column.levels, is_missing, strict=True) if not gone]
    commonest = column.levels[int(counts.argmax())]
    # A column that already had gaps of its own (a data frame's) keeps those as its spelling.
    return Texts(recode[column.codes], kept), commonest


def _look_up(table: np.ndarray, column: Texts) -> Numbers:
    return Numbers(np.append(table, np.nan)[column.codes])


def boolean_words(levels: Sequence[str]) -> tuple[str, str] | None:
    """How false and true are spelled, when the levels are the two words of such a pair."""
    if len(levels) != 2:
        return None
    low, high = sorted(levels, key=lambda level: level.strip().lower())
    return (low, high) if (low.strip().lower(), high.strip().lower()) in BOOLEAN_WORDS else None


def _numbers(column: Texts, missing: str) -> Understood | None:
    stripped = [level.strip() for level in column.levels]
    joined = "\n".join(stripped) + "\n"
    comma = False
    if not _DECIMAL.fullmatch(joined):
        if not all(_COMMA_DECIMAL.fullmatch(level) for level in stripped) or _thousands(stripped):
            return None
        comma, stripped = True, [level.replace(",", ".") for level in stripped]
    parsed = np.array(stripped, dtype=np.float64)
    if not np.isfinite(parsed).all():
        return None
    values = _look_up(parsed, column)
    if not comma and _INTEGER.fullmatch(joined):
        if np.abs(parsed).max() >= LARGEST_EXACT:
            return Understood("text", column, Spelling(missing=missing))
        return Understood("integer", values, Spelling(missing=missing))
    return Understood("decimal", values, decimal_spelling(stripped[:10_000], missing, comma))


def _thousands(levels: list[str]) -> bool:
    """1,234 and 56,789: more likely thousands than three decimals."""
    return all(len(level.rpartition(",")[2]) == 3 for level in levels if "," in level)


def decimal_spelling(levels: list[str], missing: str, comma: bool) -> Spelling:
    """How decimals are written, by some of them."""
    powers = any("e" in level.lower() for level in levels)
    digits = set() if powers else {len(level.partition(".")[2]) if "." in level else 0 for level in levels}
    whole = [level for level in levels if not level.partition(".")[2].strip("0")]
    return Spelling(
        missing=missing,
        fixed_decimals=digits.pop() if len(digits) == 1 else None,
        bare_wholes=bool(whole) and sum("." not in level for level in whole) * 2 > len(whole),
        comma=comma,
    )


def _dates(column: Texts, missing: str) -> Understood | None:
    levels = [level.strip() for level in column.levels]
    if not re.search("[0-9]", levels[0]):
        return None
    for date_format in DATE_FORMATS:
        if _moments(levels[:3], date_format) is None:
            continue
        micros = _moments(levels, date_format)
        if micros is not None:
            unit = coarsest_unit(micros)
            counted = micros // MICROSECONDS[unit]
            form = Spelling(missing=missing, date_format=date_format)
            written = spell_dates(counted[:200].astype(np.float64), unit, form)
            padded = written == levels[:200]
            values = _look_up(counted.astype(np.float64), column)
            spelling = Spelling(missing=missing, date_format=date_format, padded=padded)
            return Understood("date", values, spelling, unit, _other_reading(levels, date_format))
    return None


def _clocked(column: Texts, missing: str, wanted: str | None) -> Understood | None:
    found = read_clock([level.strip() for level in column.levels], wanted)
    if found is None:
        return None
    micros = np.array(found[1], dtype=np.int64)
    unit = coarsest_unit(micros)
    values = _look_up((micros // MICROSECONDS[unit]).astype(np.float64), column)
    meaning: Meaning = "time" if found[0] == "time" else "duration"
    return Understood(meaning, values, Spelling(missing=missing, clock=found[2]), unit)


def _other_reading(levels: list[str], date_format: str) -> str | None:
    """A remark where day and month could as well be the other way round."""
    swapped = date_format.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
    if date_format.startswith("%Y") or "%m" not in date_format or _moments(levels, swapped) is None:
        return None
    return f"dates read as {date_format}, but {swapped} would fit too"


def _moments(levels: list[str], date_format: str) -> np.ndarray | None:
    """Microseconds since 1970 int64 [n], or None when a text does not fit the format."""
    try:
        if date_format in ISO_SHAPES:
            if not all(map(ISO_SHAPES[date_format].fullmatch, levels)):
                return None
            return np.array(levels, dtype="datetime64[us]").astype(np.int64)
        moments = [datetime.strptime(level, date_format) for level in levels]
    except ValueError:
        return None
    return np.array(moments, dtype="datetime64[us]").astype(np.int64)


def coarsest_unit(microseconds: np.ndarray) -> str:
    """The coarsest unit of which every moment is a whole number."""
    return next(unit for unit, length in MICROSECONDS.items() if not (microseconds % length).any())


def _forced(column: Texts, wanted: str, missing: str) -> Understood:
    """The texts that fit the wanted type; all others become missing."""
    fits = [_fits(level, wanted) for level in column.levels]
    kept = [level for level, good in zip(column.levels, fits, strict=True) if good]
    recode = np.append(np.where(fits, np.cumsum(fits) - 1, -1), -1)
    reduced = Texts(recode[column.codes], kept)
    found = None
    if kept and wanted in ("time", "duration"):
        found = _clocked(reduced, missing, wanted)
    elif kept:
        found = (_dates if wanted == "date" else _numbers)(reduced, missing)
    lost = int(column.counts[~np.array(fits)].sum())
    remark = f"{lost:,} of its values are no {wanted} and became missing"
    if found is None:
        return Understood("text", column, Spelling(missing=missing), remark=f"its values cannot be read as {wanted}")
    return Understood(found.meaning, found.values, found.spelling, found.unit, remark)


def number_of(level: str) -> float:
    """The finite number that a text is, with a point and without leading zeros, white space aside; NaN for others."""
    stripped = level.strip()  # which takes more for white space than `float` does
    number = float(stripped) if _DECIMAL.fullmatch(stripped + "\n") else np.nan
    return number if np.isfinite(number) else np.nan


def is_number(level: str) -> bool:
    """Whether a text is such a number."""
    return not np.isnan(number_of(level))


def _fits(level: str, wanted: str) -> bool:
    if wanted == "date":
        return any(_moments([level.strip()], date_format) is not None for date_format in DATE_FORMATS)
    if wanted in ("time", "duration"):
        return (time_of if wanted == "time" else duration_of)(level.strip()) is not None
    return is_number(level)


def _mixed_remark(column: Texts) -> str | None:
    numeric = np.array([bool(_DECIMAL.fullmatch(level.strip() + "\n")) for level in column.levels])
    counts = column.counts
    share = counts[numeric].sum() / max(counts.sum(), 1)
    if not 0.5 <= share < 1:
        return None
    other = column.levels[int(np.where(numeric, -1, counts).argmax())]
    return f"numbers mixed with text such as {shorten(other)!r}"


# -------------------------------------------------------------------------------------------- meaning -> text


def spell(values: Values, form: Form) -> np.ndarray:
    """The values as text [n] objects, None where missing."""
    if isinstance(values, Texts):
        return values.objects()
    out = np.full(len(values), None, dtype=object)
    present = ~values.missing
    numbers = values.array[present]
    if form.meaning == "boolean":
        no, yes = form.spelling.words or ("False", "True")
        out[present] = [yes if number else no for number in numbers]
    elif form.meaning == "date":
        out[present] = spell_dates(numbers, form.unit or "us", form.spelling)
    elif form.meaning in ("time", "duration"):
        micros = np.rint(numbers).astype(np.int64) * MICROSECONDS[form.unit or "us"]
        usual = Clock("time" if form.meaning == "time" else "days", digits=None)
        out[present] = spell_clock(micros.tolist(), form.spelling.clock or usual)
    elif form.meaning == "integer":
        out[present] = [str(number) for number in np.rint(numbers).astype(np.int64).tolist()]
    else:
        out[present] = _spell_decimals(numbers.tolist(), form.spelling)
    return out


def _spell_decimals(numbers: list[float], spelling: Spelling) -> list[str]:
    if spelling.fixed_decimals is not None:
        written = [f"{number:.{spelling.fixed_decimals}f}" for number in numbers]
    elif spelling.bare_wholes:
        written = [repr(number).removesuffix(".0") for number in numbers]
    else:
        written = [repr(number) for number in numbers]
    return [text.replace(".", ",") for text in written] if spelling.comma else written


def spell_dates(numbers: np.ndarray, unit: str, spelling: Spelling) -> list[str]:
    """Counts of `unit` since 1970 [n] as text."""
    micros = np.rint(numbers).astype(np.int64) * MICROSECONDS[unit]
    moments = micros.astype("datetime64[us]").astype(datetime)
    default = "%Y-%m-%d" if unit == "D" else "%Y-%m-%d %H:%M:%S" if unit in ("h", "m", "s") else "%Y-%m-%d %H:%M:%S.%f"
    date_format = spelling.date_format or default
    written = [moment.strftime(date_format) for moment in moments]
    if unit == "ms" and date_format.removesuffix("Z").endswith("%f"):
        written = [re.sub(r"([0-9]{3})000(?=Z?$)", r"\1", text) for text in written]
    return written if spelling.padded else [_PADDING.sub("", text) for text in written]


def parse(column: Texts, form: Form) -> Values:
    """Texts spelled as `form` says -> values; what cannot be read becomes missing."""
    column, _ = _without_missing(column)
    if form.meaning == "text":
        return column
    if form.meaning == "boolean":
        no, yes = form.spelling.words or ("False", "True")
        table = np.array([{no: 0.0, yes: 1.0}.get(level, np.nan) for level in column.levels])
        return _look_up(table, column)
    if form.meaning in ("time", "duration"):
        read, length = time_of if form.meaning == "time" else duration_of, MICROSECONDS[form.unit or "us"]
        clocked = [read(level.strip()) for level in column.levels]
        return _look_up(np.array([np.nan if micro is None else micro // length for micro in clocked]), column)
    if form.meaning == "date":
        length = MICROSECONDS[form.unit or "us"]
        date_format = form.spelling.date_format or "%Y-%m-%d %H:%M:%S"
        together = _moments([level.strip() for level in column.levels], date_format)
        if together is not None:
            return _look_up((together // length).astype(np.float64), column)
        moments = [_moments([level.strip()], date_format) for level in column.levels]
        return _look_up(np.array([np.nan if m is None else m[0] // length for m in moments], dtype=float), column)
    levels = [level.strip().replace(",", ".") if form.spelling.comma else level.strip() for level in column.levels]
    numbers = [float(level) if _DECIMAL.fullmatch(level + "\n") else np.nan for level in levels]
    return _look_up(np.array(numbers, dtype=np.float64), column)
