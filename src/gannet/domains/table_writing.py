"""A table of samples as values of JSON and as a Parquet file.

`write_parquet(table, path)` takes whatever table `kind_of` knows; `as_json(values, form)` gives one column.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gannet.domains import table_files as files
from gannet.domains.table_frames import kind_of, take
from gannet.domains.table_shell import Raw, to_objects
from gannet.domains.table_values import Form, Numbers, Texts, Values, spell


def as_json(values: Values, form: Form) -> list[Any]:
    """A column [n] as values of JSON: dates as they are spelled."""
    return spell(values, form).tolist() if form.meaning in ("date", "time", "duration") else to_objects(values, form)


def write_parquet(decoded: Any, path: Path) -> None:
    """Any table that `kind_of` knows as a Parquet file, by the library it belongs to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = kind_of(decoded)
    if kind == "polars":
        decoded.write_parquet(path)
        return
    pandas = files.import_pandas("a Parquet file")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise files.missing_extra("pyarrow", "tables", "a Parquet file") from None
    if kind == "arrow":
        pyarrow.parquet.write_table(decoded, path)
        return
    _, names, columns = take(decoded)
    frame = decoded if kind == "pandas" else _frame(pandas, names, columns)
    frame.to_parquet(path, index=False)


def _frame(pandas: Any, names: list[str], columns: list[Raw]) -> Any:
    forms = [Form(name, raw.meaning or "text", raw.dtype) for name, raw in zip(names, columns, strict=True)]
    contents = [raw.values.array if isinstance(raw.values, Numbers) else raw.values for raw in columns]
    return pandas.DataFrame(
        {
            form.name: content.objects() if isinstance(content, Texts) else content
            for form, content in zip(forms, contents, strict=True)
        }
    )
