"""The files of several tables: as frames whose cells are as the file has them, their keys, and what must hold of those.

`read_tables(folder, schema)` -> `Database`: frames, and for every link the parent's row of each child's row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gannet.domains import table_files as files
from gannet.domains.table_arrow_text import ArrowText
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_settling import settle
from gannet.domains.table_shell import Raw
from gannet.domains.table_source import read_source
from gannet.domains.table_values import MISSING_SPELLINGS, Texts, texts
from gannet.errors import GannetError, did_you_mean
from gannet.relational.schema import Link, Schema

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")


@dataclass(frozen=True)
class Source:
    """One file: a pandas frame, of texts where the file is delimited text."""

    frame: Any
    textual: bool
    delimiter: str
    suffix: str
    digest: str
    """Of the file's bytes."""


@dataclass(frozen=True)
class Database:
    """All tables of a schema, read and checked."""

    schema: Schema
    sources: Mapping[str, Source]
    parents: Mapping[Link, np.ndarray]
    """The parent's row int64 [n] of each row of a link's child; -1 where the key is missing."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of all files."""
        joined = " ".join(f"{name} {source.digest}" for name, source in sorted(self.sources.items()))
        return hashlib.sha256(joined.encode("utf-8")).hexdigest()

    def counts(self, link: Link) -> np.ndarray:
        """Children int64 [rows of the parent] that each row of a link's parent has."""
        rows = self.parents[link]
        return np.bincount(rows[rows >= 0], minlength=len(self.sources[link.parent].frame))


def read_file(path: Path) -> Source:
    """A table's file. Raises GannetError for what is not one."""
    pandas = files.import_pandas("a folder of tables")
    suffix = files.suffix_of(path)
    if suffix not in files.READ_SUFFIXES:
        raise GannetError(f"{path}: not a table's file; known: {', '.join(files.READ_SUFFIXES)}")
    if not path.is_file():
        raise GannetError(f"{path}: no such file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if suffix == ".parquet":
        return Source(files.read_parquet(path), False, ",", suffix, digest)
    read = read_source(path)
    columns = {}
    for name, raw in zip(read.names, read.columns, strict=True):
        content = raw.values.texts() if isinstance(raw.values, ArrowText) else raw.values
        assert isinstance(content, Texts)
        columns[name] = pandas.Series(content.objects(), dtype=object)
    return Source(pandas.DataFrame(columns), True, read.delimiter, suffix, digest)


def read_tables(folder: Path, schema: Schema) -> Database:
    """Every file of a schema, below `folder`. Raises GannetError where a key is none, or refers to nothing."""
    sources = {table.name: read_file(folder / table.file) for table in schema.tables}
    for table in schema.tables:
        own = [table.key] if table.key else []
        links = [link.column for link in schema.links_of(table.name)]
        for column in [*own, *links, *table.drop, *table.types]:
            _known(table.name, column, sources[table.name])
        if table.key is not None:
            _check_key(table.name, table.key, sources[table.name])
    parents = {}
    for link in schema.links:
        key = schema.table(link.parent).key
        assert key is not None
        parents[link] = _rows(link, key, sources)
    return Database(schema, sources, parents)


def key_texts(series: Any) -> np.ndarray:
    """Keys [n] as texts, None where missing; 17.0, as some tools write whole numbers beside gaps, is 17."""
    out = np.empty(len(series), dtype=object)
    spelled: dict[Any, str | None] = {}
    for row, (value, gone) in enumerate(zip(series.tolist(), series.isna().tolist(), strict=True)):
        if not gone and value not in spelled:
            text = str(value).strip()
            whole = _WHOLE.fullmatch(text)
            spelled[value] = None if text in MISSING_SPELLINGS else whole[1] if whole else text
        out[row] = None if gone else spelled[value]
    return out


def typed(frame: Any, textual: bool, types: Mapping[str, str] | None = None) -> Any:
    """A frame of texts as a frame of what they mean; other frames as they are."""
    if not textual:
        return frame
    wanted = {name: kind for name, kind in (types or {}).items() if kind not in ("id", "text")}
    raws = [(str(name), Raw(texts(frame[name].tolist()), "text")) for name in frame.columns]
    settled = [settle(name, raw, wanted, True) for name, raw in raws]
    if not settled:
        return frame
    return PandasShell([name for name, _ in raws]).build([form for form, _, _ in settled], [v for _, v, _ in settled])


def _known(table: str, column: str, source: Source) -> None:
    if column not in source.frame.columns:
        raise GannetError(
            f"table {table} has no column {column!r}; {did_you_mean(column, list(map(str, source.frame.columns)))}"
        )


def _check_key(table: str, column: str, source: Source) -> None:
    keys = key_texts(source.frame[column])
    gone = sum(key is None for key in keys)
    if gone:
        raise GannetError(f"{table}.{column}: rows without a key ({gone:,}); complete them, or name another key")
    distinct, counts = np.unique(keys.astype(str), return_counts=True)
    if len(distinct) < len(keys):
        raise GannetError(
            f"{table}.{column}: keys stand in several rows ({int((counts > 1).sum()):,}, "
            f"such as {str(distinct[counts > 1][0])!r}), but a key names one row; mend them, or name another key"
        )


def _rows(link: Link, key: str, sources: Mapping[str, Source]) -> np.ndarray:
    places = {text: row for row, text in enumerate(key_texts(sources[link.parent].frame[key]))}
    children = key_texts(sources[link.child].frame[link.column])
    lost = {text for text in children if text is not None and text not in places}
    if lost:
        raise GannetError(
            f"{link.child}.{link.column}: keys that are not in {link.parent}.{key} ({len(lost):,}, such as "
            f"{min(lost)!r}); add the missing rows of {link.parent}, or empty those cells"
        )
    places[None] = -1
    return np.array([places[text] for text in children], dtype=np.int64)
