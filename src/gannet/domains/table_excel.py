"""Excel workbooks (.xlsx): one sheet read as a table with a header line, and tables written as one sheet.

`read_excel(path)` -> names, pandas columns and warnings; `write_excel(path, names, columns)`. Needs openpyxl.
"""

from __future__ import annotations

import datetime
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gannet.domains.containers import is_absurd
from gannet.domains.table_files import check_names, import_pandas
from gannet.errors import GannetError, missing_extra, shorten

MOST_ROWS = 1_048_575
"""What a sheet holds below its header line."""
LONGEST_INTEGER = 10**15
"""Excel keeps fifteen digits; longer integers are written as text."""
HURT = (
    *(zipfile.BadZipFile, zlib.error, ElementTree.ParseError, EOFError, OSError),
    *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, AssertionError),
)
"""What openpyxl raises, by where a file is hurt."""


def read_excel(path: Path) -> tuple[Any, list[str]]:
    """The first sheet that holds anything as a pandas frame, and warnings. Raises GannetError naming sheet and row."""
    pandas = import_pandas("an Excel file")
    openpyxl = _import_openpyxl()
    if not path.is_file():
        raise GannetError(f"{path}: no such file")
    with _whole(path):
        refuse_bombs(path)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            return _read_book(book, path, pandas)
        finally:
            book.close()


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What the library stumbles over in a hurt file, as one line."""
    try:
        yield
    except GannetError:
        raise
    except HURT as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GannetError(f"{path}: not a whole Excel file ({shorten(reason)}); save it again as .xlsx") from None


def refuse_bombs(path: Path) -> None:
    """Raise GannetError for a workbook whose parts unpack to absurdly more than they are."""
    with zipfile.ZipFile(path) as parts:
        for part in parts.infolist():
            if is_absurd(part.file_size, part.compress_size):
                raise GannetError(
                    f"{path}: {part.filename} unpacks to {part.file_size:,} bytes from {part.compress_size:,}: "
                    "refused; save the sheet as .csv if you trust it"
                )


def _read_book(book: Any, path: Path, pandas: Any) -> tuple[Any, list[str]]:
    used, others = None, []
    for sheet in book.worksheets:
        rows = list(_rows(sheet))
        if rows and used is None:
            used = (sheet.title, rows)
        elif rows:
            others.append(sheet.title)
    if used is None:
        raise GannetError(f"{path}: no sheet holds anything; give a header line and rows")
    title, rows = used
    names = _header(rows[0], f"{path} sheet {title!r}")
    columns = _columns(rows[1:], names, f"{path} sheet {title!r}")
    warnings = [f"sheet {title!r} is read; {', '.join(map(repr, others))} are not"] if others else []
    return pandas.DataFrame(
        {name: _series(pandas, items) for name, items in zip(names, columns, strict=True)}
    ), warnings


def _rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Rows that hold anything, with their numbers; errors such as #N/A are missing values."""
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        row = [None if cell.data_type == "e" or cell.value == "" else cell.value for cell in cells]
        while row and row[-1] is None:
            row.pop()
        if row:
            yield number, row


def _header(row: tuple[int, list[Any]], source: str) -> list[str]:
    number, cells = row
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    if "" in names:
        raise GannetError(f"{source} row {number}: column {names.index('') + 1} has no name; complete the header")
    check_names(names, source)
    return names


def _columns(rows: Sequence[tuple[int, list[Any]]], names: list[str], source: str) -> list[list[Any]]:
    for number, row in rows:
        if len(row) > len(names):
            raise GannetError(
                f"{source} row {number}: {len(row)} cells, the header has {len(names)}; name them or clear them"
            )
    width = len(names)
    return [list(items) for items in zip(*(row + [None] * (width - len(row)) for _, row in rows), strict=True)] or [
        [] for _ in names
    ]


def _series(pandas: Any, items: list[Any]) -> Any:
    """A column of cells with the type that pandas has for it."""
    kinds = {type(item) for item in items if item is not None}
    if kinds == {int} and None in items:
        return pandas.Series(items, dtype="Int64")
    if kinds == {bool} and None in items:
        return pandas.Series(items, dtype="boolean")
    return pandas.Series(items, dtype="object" if bool in kinds and len(kinds) > 1 else None)


def write_excel(path: Path, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
    """Columns of plain Python values as one sheet; None leaves a cell empty. Raises GannetError for what cannot be."""
    openpyxl = _import_openpyxl()
    count = len(columns[0]) if columns else 0
    if count > MOST_ROWS:
        raise GannetError(f"{path}: {count:,} rows, an Excel sheet holds {MOST_ROWS:,}; write .parquet or .csv")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    for name, row in [(None, names), *((index, row) for index, row in enumerate(zip(*columns, strict=True)))]:
        try:
            sheet.append([_cell(openpyxl, sheet, value) for value in row])
        except openpyxl.utils.exceptions.IllegalCharacterError:
            where = "the header" if name is None else f"row {name + 1}"
            raise GannetError(f"{path}: {where} holds a control character, which Excel refuses; write .csv") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def _cell(openpyxl: Any, sheet: Any, value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.isoformat(sep=" ")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    if isinstance(value, int) and abs(value) >= LONGEST_INTEGER:
        return str(value)
    if isinstance(value, str) and value.startswith("="):
        # A text, not a formula.
        cell = openpyxl.cell.WriteOnlyCell(sheet, value)
        cell.data_type = "s"
        return cell
    return value


def _import_openpyxl() -> Any:
    try:
        import openpyxl
        import openpyxl.utils.exceptions
    except ImportError:
        raise missing_extra("openpyxl", "excel", "an Excel file") from None
    return openpyxl
