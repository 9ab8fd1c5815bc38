"""Where a table comes from: a path, a data frame or an array, as columns whose meaning is still open.

`read_source(source)` -> `Read`; GannetError says what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gannet.domains import table_files as files
from gannet.domains.table_arrow_text import read_fast
from gannet.domains.table_excel import read_excel
from gannet.domains.table_frames import take
from gannet.domains.table_shell import Raw, Shell
from gannet.errors import GannetError


@dataclass(frozen=True)
class Read:
    """A source after reading, its columns' meaning still open."""

    shell: Shell | None
    """None for delimited text: samples become a pandas frame."""
    names: list[str]
    columns: list[Raw]
    delimiter: str
    warnings: list[str]


def read_source(source: Any, encoding: str | None = None) -> Read:
    """A path, frame or array -> its columns; GannetError says what is wrong and where.

    `encoding` is that of delimited text; None: UTF-8, or UTF-16 by its mark.
    """
    if not isinstance(source, (str, Path)):
        shell, names, columns = take(source)
        if len(names) > files.MOST_COLUMNS:
            raise GannetError(
                f"the table has {len(names):,} columns, the limit is {files.MOST_COLUMNS:,}; drop columns"
            )
        return Read(shell, names, columns, ",", [])
    path = Path(source)
    if files.suffix_of(path) == ".parquet":
        return read_source(files.read_parquet(path))
    if files.suffix_of(path) == ".xlsx":
        frame, warnings = read_excel(path)
        return replace(read_source(frame), warnings=warnings)
    files.import_pandas(f"{path.name}, whose samples become a data frame,")
    content = files.contents(path, encoding)
    table = read_fast(content, path) or files.read_carefully(content, path)
    return Read(None, table.names, [Raw(column, "text") for column in table.columns], table.delimiter, table.warnings)


def title(source: Any) -> str:
    """What errors call the source."""
    return str(source) if isinstance(source, (str, Path)) else "the table"


def count_of(columns: Sequence[Raw]) -> int:
    """The rows of the table."""
    return len(columns[0].values) if columns else 0
