"""Tables in files: delimited text (plain, gzip, zip) read column by column, Parquet through pandas, and writing.

`read_text(path)` -> `TextTable` of still untyped columns; every complaint names the line and its cause.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from gannet.domains.containers import read_unpacked
from gannet.domains.table_cells import checked
from gannet.domains.table_values import Codebook, Texts
from gannet.errors import GannetError, missing_extra

if TYPE_CHECKING:
    from gannet.domains.table_arrow_text import ArrowText

TEXT_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
READ_SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".xlsx")
WRITE_SUFFIXES = (*READ_SUFFIXES, ".json")
MOST_BYTES = 8 * 2**30
"""Text beyond this is refused before it fills the memory (a gzip file may hide any size)."""
MOST_COLUMNS = 5_000
DELIMITERS = (",", ";", "\t", "|")
ROWS_AT_A_TIME = 50_000


@dataclass(frozen=True)
class TextTable:
    """A delimited file as text: the columns' names, their texts, and how the fields are parted."""

    names: list[str]
    columns: Sequence[Texts | ArrowText]
    delimiter: str
    warnings: list[str]


def suffix_of(path: Path) -> str:
    """The ending that says what a file is, in lower case: ".csv", ".csv.gz", ".parquet"."""
    name = path.name.lower()
    return next((suffix for suffix in (".csv.gz", ".tsv.gz") if name.endswith(suffix)), path.suffix.lower())


# ------------------------------------------------------------------------------------------------------ reading


def read_text(path: Path) -> TextTable:
    """A delimited file with a header line. Raises GannetError for what is not a table, naming the line."""
    return read_carefully(contents(path), path)


def read_carefully(content: bytes, path: Path) -> TextTable:
    """`read_text` of a file's content."""
    text = _decode(content, path)
    delimiter = sniff(text, path)
    csv.field_size_limit(2**31 - 1)
    spaced = f"{delimiter} " in text[: text.find("\n") + 1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=spaced)
    try:
        names, warnings = header(next(reader, []), path)
        columns = _columns(reader, len(names), path)
    except csv.Error as error:
        raise GannetError(f"{path} line {reader.line_num}: {error}; mend the quotes of that line") from None
    return TextTable(names, columns, delimiter, warnings)


def tables_in_zip(path: Path) -> list[str]:
    """Names of the delimited files in a zip, if it holds nothing else; none for anything but a zip."""
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    return names if all(name.lower().endswith((".csv", ".tsv")) for name in names) else []


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a plain file, of a gzip file, or of the one table in a zip."""
    inside = tables_in_zip(path)
    if len(inside) > 1:
        raise GannetError(f"{path}: holds {len(inside)} tables; unpack it and give one of them")
    if inside:
        with zipfile.ZipFile(path) as archive, archive.open(inside[0]) as file:
            yield file
    else:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]


def contents(path: Path, encoding: str | None = None) -> bytes:
    """The bytes of a file in UTF-8 (or as they are, where no encoding is given), unpacked by its ending."""
    content = _bytes(path)
    if encoding is None:
        return content
    try:
        return content.decode(encoding).encode("utf-8")
    except (LookupError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            line = content.count(b"\n", 0, error.start) + 1
            raise GannetError(
                f"{path} line {line}: byte {error.start} is not {encoding}; say another encoding="
            ) from None
        raise GannetError(f"encoding: {encoding!r} is not known; say latin1, cp1252, utf-16, ...") from None


def _bytes(path: Path) -> bytes:
    try:
        with _unpacked(path) as file:
            size = path.stat().st_size
            packed = path.suffix.lower() in (".gz", ".zip") or size > MOST_BYTES
            # Asked for so many bytes, a plain file would set them all aside at once.
            content = read_unpacked(file, size, MOST_BYTES, str(path)) if packed else file.read()
    except FileNotFoundError:
        raise GannetError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise GannetError(f"{path}: cannot be read ({error}); is the file whole, and yours to read?") from None
    if len(content) > MOST_BYTES:
        raise GannetError(f"{path}: more than {MOST_BYTES / 2**30:.0f} GiB of text; give a sample of its rows")
    if not content.strip():
        raise GannetError(f"{path}: the file is empty; give a header line and rows")
    return content


def _decode(content: bytes, path: Path) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _utf_16(content, path)
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise GannetError(f"{path} line {line}: byte {nul} is NUL, so this is no text; export the table as UTF-8 CSV")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise GannetError(
            f"{path} line {line}: byte {error.start} (0x{byte:02x}) is not UTF-8; say encoding=latin1 "
            f"(or cp1252, ...) for a file of an older program, or save it as UTF-8"
        ) from None


def _utf_16(content: bytes, path: Path) -> str:
    try:
        text = content.decode("utf-16")
    except UnicodeDecodeError as error:
        raise GannetError(
            f"{path}: begins as UTF-16, but byte {error.start} is none; the file is cut or mixed: export it again as "
            "UTF-8"
        ) from None
    # Plain text behind a false mark comes out as letters of scripts that no table is parted in.
    if not any(delimiter in text or "\n" in text for delimiter in DELIMITERS):
        raise GannetError(f"{path}: begins as UTF-16, but holds no line of it; export it again as UTF-8")
    return text


def sniff(text: str, path: Path) -> str:
    """The delimiter that parts the first lines into the same number of fields, more than one; else the file's own."""
    lines = [line for line in text[:100_000].splitlines()[:20] if line.strip()]
    usual = "\t" if suffix_of(path) in (".tsv", ".tsv.gz") else ","
    best, most = usual, 1
    for delimiter in sorted(DELIMITERS, key=lambda delimiter: delimiter != usual):
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
        width, agreeing = widths.most_common(1)[0]
        header = len(next(csv.reader(lines[:1], delimiter=delimiter)))
        if width > most and (agreeing * 2 > sum(widths.values()) or header > most) and header > 1:
            best, most = delimiter, width
        if best == usual and most > 1:
            break
    return best


def header(names: list[str], path: Path) -> tuple[list[str], list[str]]:
    """The columns' names as they are used, and warnings; GannetError where they cannot be used."""
    names = [name.strip() for name in names]
    warnings: list[str] = []
    if len(names) > MOST_COLUMNS:
        raise GannetError(
            f"{path}: {len(names):,} columns, the limit is {MOST_COLUMNS:,}; drop columns, or turn wide data into rows"
        )
    if len(names) > 1 and not names[0] and all(names[1:]):
        names = ["Unnamed: 0", *names[1:]]
        warnings.append("the first column has no name (a saved row index?): called 'Unnamed: 0'")
    if "" in names or not names:
        raise GannetError(
            f"{path} line 1: column {names.index('') + 1 if names else 1} has no name; complete the header"
        )
    check_names(names, str(path))
    if all(_is_number(name) for name in names):
        warnings.append(f"the names of all columns are numbers ({names[0]}, ...): does the file lack a header line?")
    return names, warnings


def check_names(names: list[str], source: str) -> None:
    """Raise GannetError when two columns share a name."""
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise GannetError(f"{source}: {times} columns are called {name!r}; give each column a name of its own")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _columns(reader: Any, width: int, path: Path) -> list[Texts]:
    """All rows, as one `Texts` a column; each text is kept once, so a million rows stay small."""
    books = [Codebook() for _ in range(width)]
    codes: list[list[np.ndarray]] = [[] for _ in range(width)]
    for rows in _batches(reader, width, path):
        for index, items in enumerate(zip(*rows, strict=True)):
            codes[index].append(np.fromiter(map(books[index].__getitem__, items), dtype=np.int64, count=len(items)))
    return [
        Texts(np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64), list(book))
        for parts, book in zip(codes, books, strict=True)
    ]


def _batches(reader: Any, width: int, path: Path) -> Iterator[list[list[str]]]:
    """Rows by the thousand, blank lines left out; a row of another width is found with its line number."""
    while rows := list(islice(_checked(reader, width, path), ROWS_AT_A_TIME)):
        yield rows


def _checked(reader: Any, width: int, path: Path) -> Iterator[list[str]]:
    for row in reader:
        if len(row) == width:
            yield row
        elif row:
            remedy = "quote fields that hold the delimiter" if len(row) > width else "complete the line"
            raise GannetError(f"{path} line {reader.line_num}: {len(row)} fields, the header has {width}; {remedy}")


def read_parquet(path: Path) -> Any:
    """A Parquet file as a pandas frame."""
    pandas, pyarrow = import_pandas("a Parquet file"), import_parquet()
    if not path.is_file():
        raise GannetError(f"{path}: no such file")
    try:
        return pandas.read_parquet(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise GannetError(f"{path}: not a whole Parquet file ({reason})") from None


def import_parquet() -> Any:
    """The pyarrow module with its Parquet part, or the error that names what to install."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "tables", "a Parquet file") from None
    return pyarrow


def import_pandas(purpose: str) -> Any:
    """The pandas module, or the error that names what to install."""
    try:
        import pandas
    except ImportError:
        raise missing_extra("pandas", "tables", purpose) from None
    return pandas


# ------------------------------------------------------------------------------------------------------ writing


def target(out: Path) -> Path:
    """Where a table asked for at `out` goes: `out` itself, with .csv where no ending says otherwise."""
    if out.is_dir():
        return out / "samples.csv"
    suffix = suffix_of(out)
    if not suffix:
        return out.with_name(out.name + ".csv")
    if suffix not in WRITE_SUFFIXES:
        raise GannetError(f"{out}: cannot write a table as {suffix!r}; known: {', '.join(WRITE_SUFFIXES)}")
    return out


def write_text(path: Path, names: list[str], columns: list[np.ndarray], delimiter: str) -> None:
    """Columns of text [n] as a delimited file with a header line; gzip by the ending.

    Cells that a spreadsheet would run are warned of, or disarmed within `table_cells.disarming`.
    """
    names, columns = checked(path, names, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".gz":
        # Without name and time in the header, the same table gives the same bytes.
        with path.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:
            with io.TextIOWrapper(packed, encoding="utf-8", newline="") as file:
                _write_rows(file, names, columns, delimiter)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            _write_rows(file, names, columns, delimiter)


class _Lines:
    """A file whose lines end in a line feed alone, while the writer quotes carriage returns as parts of its ends."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


def _write_rows(file: Any, names: list[str], columns: list[np.ndarray], delimiter: str) -> None:
    if any("\r" in text for column in [names, *(column.tolist() for column in columns)] for text in set(column)):
        writer = csv.writer(_Lines(file), delimiter=delimiter)
    else:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))


def write_json(path: Path, names: list[str], columns: list[list[Any]]) -> None:
    """Rows as a JSON list of objects, missing values as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
