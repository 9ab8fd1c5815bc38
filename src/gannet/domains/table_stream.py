"""Parquet files too large to hold: read a batch at a time, surveyed, and encoded into a file of compact rows.

`stream_of(source)` -> `ParquetStream`, or None for anything else; `stored_rows(folder, layouts, batches)` encodes once
and maps the rows from the file, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gannet.domains import table_files as files
from gannet.domains.record_file import fresh_folder, read_index, write_index
from gannet.domains.table_arrow import from_arrow
from gannet.domains.table_rows import Layout, Rows
from gannet.domains.table_shell import Raw
from gannet.domains.table_survey import Survey, survey
from gannet.domains.table_values import Numbers, Texts
from gannet.errors import GannetError

MANY_ROWS = 2_000_000
"""Parquet files of more rows than this are streamed."""
SAMPLE_ROWS = 500_000
ROWS_AT_A_TIME = 200_000
CACHE_FORMAT = 1
"""Part of the cache's key: raise it when encoding changes, so that old caches are not used."""


@dataclass(frozen=True)
class ParquetStream:
    """A Parquet file, of which only a batch is ever in memory."""

    path: Path
    names: list[str]
    count: int
    schema: Any

    def batches(self, names: Sequence[str]) -> Iterator[list[Raw]]:
        """The columns of these names, a batch of rows at a time."""
        import pyarrow.parquet

        file = pyarrow.parquet.ParquetFile(self.path, pre_buffer=False)
        dtypes = [self._dtype(name) for name in names]
        for table in _even(file.iter_batches(ROWS_AT_A_TIME, columns=list(names))):
            raws = [from_arrow(name, table[name]) for name in names]
            yield [replace(raw, dtype=dtype) for raw, dtype in zip(raws, dtypes, strict=True)]

    def _dtype(self, name: str) -> str:
        """The type of the column in a pandas frame without missing values."""
        return str(self.schema.empty_table().select([name]).to_pandas()[name].dtype)

    def survey(self, names: Sequence[str], seed: int) -> Survey:
        """One reading of these columns; the sample is drawn by the seed."""
        random = np.random.default_rng([seed, 3])
        chosen = np.sort(random.choice(self.count, min(SAMPLE_ROWS, self.count), replace=False, shuffle=False))
        found = survey(self.batches(names), names, chosen)
        orders = [_is_ordered(self.schema.field(name).type) for name in names]
        return replace(found, columns=[_typed(*pair) for pair in zip(found.columns, orders, strict=True)])


def _even(batches: Iterator[Any]) -> Iterator[Any]:
    """Tables of ROWS_AT_A_TIME rows each, but the last, however the file is cut into groups of rows."""
    import pyarrow

    held: list[Any] = []
    count = 0
    for batch in batches:
        held, count = [*held, batch], count + batch.num_rows
        while count >= ROWS_AT_A_TIME:
            table = pyarrow.Table.from_batches(held)
            yield table.slice(0, ROWS_AT_A_TIME)
            held, count = table.slice(ROWS_AT_A_TIME).to_batches(), count - ROWS_AT_A_TIME
    if count:
        yield pyarrow.Table.from_batches(held)


def _is_ordered(dtype: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_dictionary(dtype) and dtype.ordered)


def _typed(raw: Raw, ordered: bool) -> Raw:
    """A column with its type in a pandas frame, which depends on all of its values."""
    if raw.dtype == "category" and isinstance(raw.values, Texts):
        return replace(raw, categories=tuple(raw.values.levels), ordered=ordered)
    if raw.dtype == "category":
        return replace(raw, dtype="float64", meaning="decimal")
    # pandas holds whole numbers beside missing ones as decimals, and booleans as objects.
    gaps = isinstance(raw.values, Numbers) and bool(raw.values.missing.any())
    if gaps and raw.dtype.startswith(("int", "uint")):
        return replace(raw, dtype="float64")
    return replace(raw, dtype="object") if gaps and raw.dtype == "bool" else raw


def stream_of(source: Any) -> ParquetStream | None:
    """The stream of a large Parquet file; None for all that is read at once."""
    if not isinstance(source, (str, Path)) or files.suffix_of(Path(source)) != ".parquet":
        return None
    path = Path(source)
    files.import_pandas("a Parquet file")
    pyarrow = files.import_parquet()
    try:
        metadata = pyarrow.parquet.read_metadata(path)
    except (pyarrow.ArrowException, OSError, ValueError):
        # The usual reader says what is wrong.
        return None
    if metadata.num_rows <= MANY_ROWS:
        return None
    schema = metadata.schema.to_arrow_schema()
    files.check_names(schema.names, str(path))
    own = (schema.pandas_metadata or {}).get("index_columns", [])
    return ParquetStream(path, [name for name in schema.names if name not in own], metadata.num_rows, schema)


# ----------------------------------------------------------------------------------------------- encoded once, kept


def stored_rows(folder: Path, layouts: Sequence[Layout], batches: Callable[[], Iterator[Sequence[Rows]]]) -> list[Rows]:
    """Rows of each layout, mapped from `folder`; encoded into it first unless an earlier run left it whole.

    `batches()` yields, a batch at a time, the rows of each layout. Raises GannetError where the folder cannot be kept.
    """
    if read_index(folder) is None:
        try:
            with fresh_folder(folder) as fresh:
                _encode_into(fresh, len(layouts), batches())
        except OSError as error:
            raise GannetError(
                f"{folder.parent}: the encoded rows cannot be kept here ({error.strerror or error}): "
                "free some space or set GANNET_CACHE to another folder"
            ) from error
    index = read_index(folder)
    assert index is not None
    return [_mapped(folder, number, layout, index["count"]) for number, layout in enumerate(layouts)]


def _encode_into(folder: Path, parts: int, batches: Iterator[Sequence[Rows]]) -> None:
    count = 0
    with ExitStack() as stack:
        names = [(folder / f"codes-{part}.u2", folder / f"numbers-{part}.f4") for part in range(parts)]
        open_files = [tuple(stack.enter_context(path.open("wb")) for path in pair) for pair in names]
        for batch in batches:
            for rows, (codes, numbers) in zip(batch, open_files, strict=True):
                codes.write(np.ascontiguousarray(rows.codes, dtype="<u2").data)
                numbers.write(np.ascontiguousarray(rows.numbers, dtype="<f4").data)
            count += len(batch[0])
    write_index(folder, {"count": count})


def _mapped(folder: Path, part: int, layout: Layout, count: int) -> Rows:
    choices = sum(choice is not None for choice in layout.choices)
    numbers = sum(number is not None for number in layout.numbers)
    return Rows(
        layout,
        _map(folder / f"codes-{part}.u2", "<u2", (count, choices)),
        _map(folder / f"numbers-{part}.f4", "<f4", (count, numbers)),
    )


def _map(path: Path, dtype: str, shape: tuple[int, int]) -> np.ndarray:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, "r", shape=shape) if shape[1] else np.zeros(shape, dtype)
