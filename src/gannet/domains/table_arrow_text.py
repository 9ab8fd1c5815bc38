"""Delimited text read by Arrow, ten times as fast as Python reads it and held as one block of memory a column.

`read_fast(content, path)` -> the same columns as `table_files.read_text`, or None where Arrow is absent or anything is
odd: then the careful reader names the line and the cause.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from gannet.domains.table_files import TextTable, header, sniff
from gannet.domains.table_values import (
    LARGEST_EXACT,
    MISSING_SPELLINGS,
    Numbers,
    Spelling,
    Texts,
    Understood,
    decimal_spelling,
    texts,
    understand,
)

FIRST_BYTES = 100_000
FIRST_ROWS, SPELLING_ROWS = 1_000, 20_000
_INTEGER = r"^-?(?:0|[1-9][0-9]*)$"
_DECIMAL = r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"


class ArrowText:
    """One column of texts as Arrow holds it; Python strings are made only of what turns out to be text."""

    def __init__(self, column: Any) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def texts(self) -> Texts:
        """The same column as codes and levels, in the order of their appearance."""
        return coded(self.column)

    def understand(self, wanted: str | None) -> Understood:
        """What the column means, as `table_values.understand` finds it."""
        found = self._numbers() if wanted in (None, "integer", "decimal") else None
        return understand(self.texts(), wanted=wanted) if found is None else found

    def _numbers(self) -> Understood | None:
        """The column as numbers, if all of it is written so, with a decimal point and not beyond 2^53."""
        import pyarrow
        import pyarrow.compute as compute

        first = understand(ArrowText(self.column.slice(0, FIRST_ROWS)).texts())
        if first.meaning not in ("integer", "decimal") or first.spelling.comma:
            return None
        stripped = compute.utf8_trim_whitespace(self.column)
        gone = compute.is_in(stripped, value_set=pyarrow.array(sorted(MISSING_SPELLINGS)))
        kept = stripped.filter(compute.invert(gone))
        if not compute.all(compute.match_substring_regex(kept, _DECIMAL)).as_py():
            return None
        whole = compute.all(compute.match_substring_regex(kept, _INTEGER)).as_py()
        numbers = kept.cast(pyarrow.float64()).to_numpy()
        if not np.isfinite(numbers).all() or (whole and np.abs(numbers).max() >= LARGEST_EXACT):
            return None
        array = np.full(len(self), np.nan)
        array[~gone.to_numpy()] = numbers
        missing = _commonest(compute.value_counts(self.column.filter(gone)))
        if whole:
            return Understood("integer", Numbers(array), Spelling(missing=missing))
        shown = compute.unique(kept.slice(0, SPELLING_ROWS)).to_pylist()
        return Understood("decimal", Numbers(array), decimal_spelling(shown, missing, False))


def coded(column: Any) -> Texts:
    """A chunked Arrow array of texts, plain or a dictionary, as codes and levels; nulls are missing."""
    import pyarrow

    if not pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    codes = [
        chunk.indices.cast(pyarrow.int64()).fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks
    ]
    levels = column.chunk(0).dictionary.to_pylist() if codes else []
    if None in levels:
        return texts(column.to_pylist())
    return Texts(np.concatenate(codes) if codes else np.zeros(0, dtype=np.int64), levels)


def _commonest(counted: Any) -> str:
    counts = counted.field("counts").to_numpy()
    return counted.field("values")[int(counts.argmax())].as_py() if len(counts) else ""


def read_fast(content: bytes, path: Path) -> TextTable | None:
    """A delimited file with a header line; None where the careful reader is needed."""
    try:
        import pyarrow
        import pyarrow.csv
    except ImportError:
        return None
    first = _first_lines(content)
    if first is None:
        return None
    delimiter = sniff(first, path)
    line = next(csv.reader(io.StringIO(first, newline=""), delimiter=delimiter))
    if f"{delimiter} " in first[: first.find("\n") + 1] or not _soundly_quoted(content, delimiter):
        return None
    names, warnings = header(line, path)
    numbered = {f"f{index}": pyarrow.string() for index in range(len(names))}
    try:
        table = pyarrow.csv.read_csv(
            pyarrow.BufferReader(content),
            pyarrow.csv.ReadOptions(autogenerate_column_names=True, block_size=1 << 24),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in content),
            pyarrow.csv.ConvertOptions(column_types=numbered, strings_can_be_null=False),
        )
    except pyarrow.ArrowInvalid:
        return None
    if table.num_columns != len(names):
        return None
    return TextTable(names, [ArrowText(column) for column in table.slice(1).columns], delimiter, warnings)


def _first_lines(content: bytes) -> str | None:
    """The first whole lines of a file in UTF-8; None where it seems to be none."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        return None
    some = content[:FIRST_BYTES]
    if len(content) > FIRST_BYTES:
        some = some[: some.rfind(b"\n") + 1]
    try:
        return some.decode("utf-8-sig") or None
    except UnicodeDecodeError:
        return None


def _soundly_quoted(content: bytes, delimiter: str) -> bool:
    """Whether every quotation mark opens, closes or is doubled inside a quoted field: else readers may differ."""
    buffer = np.frombuffer(content, dtype=np.uint8)
    beside = np.zeros(256, dtype=bool)
    beside[[*b'\r\n"', ord(delimiter)]] = True
    start, seen = 3 * content.startswith(b"\xef\xbb\xbf"), 0
    for first in range(0, len(buffer), 1 << 24):
        marks = first + np.flatnonzero(buffer[first : first + (1 << 24)] == ord('"'))
        # Marks open and close by turns; a doubled one closes and opens again at once.
        opening, closing = marks[seen % 2 :: 2], marks[1 - seen % 2 :: 2]
        before, after = opening[opening > start], closing[closing + 1 < len(buffer)]
        if not (beside[buffer[before - 1]].all() and beside[buffer[after + 1]].all()):
            return False
        seen += len(marks)
    return seen % 2 == 0
