"""Keys found in a folder of tables: a column named like a table's key, unique there, whose values all come from it.

`find_schema(folder)` -> the schema and lines that tell it; what is not plain is asked of the user, as a TOML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gannet.domains import table_files as files
from gannet.errors import GannetError
from gannet.relational.reading import Source, key_texts, read_file
from gannet.relational.schema import FILE_NAME, Link, Schema, Table, checked

ENOUGH_SHARED = 0.5
"""Share of a column's keys in a table of the right name from which on the others are missing rows, not other things."""


def table_files(folder: Path) -> list[Path]:
    """The files of a folder that holds several tables and nothing else; otherwise none."""
    found = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name != FILE_NAME)
    tables = [path for path in found if path.is_file() and files.suffix_of(path) in files.READ_SUFFIXES]
    return tables if len(tables) == len(found) and len(tables) > 1 else []


def find_schema(folder: Path) -> Schema:
    """The tables of a folder and the keys between them. Raises GannetError where that is not plain."""
    paths = table_files(folder)
    sources = {path.name[: -len(files.suffix_of(path))]: read_file(path) for path in paths}
    if len(sources) < len(paths):
        raise GannetError(f"{folder}: two files are one table by their names; rename one, or write {FILE_NAME}")
    keys = {name: key for name, source in sources.items() if (key := _key(name, source)) is not None}
    links = [link for name, source in sources.items() for link in _links(folder, name, source, keys, sources)]
    if not links:
        raise GannetError(
            f"{folder}: no keys found between {', '.join(sources)}; write {FILE_NAME} there with a section a table, "
            'such as [orders] file = "orders.csv" key = "order_id" parent.customers = "customer_id"'
        )
    tables = [Table(name, path.name, keys.get(name)) for name, path in zip(sources, paths, strict=True)]
    return checked(Schema(tuple(tables), tuple(links)))


def told(schema: Schema) -> list[str]:
    """The schema in lines for a person."""
    lines = []
    for name in schema.order():
        table = schema.table(name)
        key = f"key {table.key}" if table.key else "no key"
        links = ", ".join(f"{link.column} -> {link.parent}" for link in schema.links_of(name))
        lines.append(f"{name}: {key}{'; ' + links if links else ''}")
    return lines


def names_of_key(table: str) -> list[str]:
    """What the key of a table may be called, beside `id`: customers -> customers_id, customer_id, customerid, ..."""
    singular = [table]
    if table.endswith("ies"):
        singular.append(table[:-3] + "y")
    if table.endswith("es"):
        singular.append(table[:-2])
    if table.endswith("s"):
        singular.append(table[:-1])
    return [
        f"{stem}{joint}{end}".lower() for stem in singular for joint in ("_", "") for end in ("id", "key", "no", "nr")
    ]


def _key(table: str, source: Source) -> str | None:
    """The column that names the rows of a table, if one is called so and does."""
    columns = [str(column) for column in source.frame.columns]
    wanted = [*names_of_key(table), "id", "key", "uuid"]
    called = [column for column in columns if column.lower() in wanted]
    for column in sorted(called, key=lambda column: wanted.index(column.lower())):
        keys = key_texts(source.frame[column])
        if all(key is not None for key in keys) and len(set(keys)) == len(keys):
            return column
    return None


def _links(
    folder: Path, child: str, source: Source, keys: Mapping[str, str], sources: Mapping[str, Source]
) -> list[Link]:
    links = []
    for column in map(str, source.frame.columns):
        if column == keys.get(child):
            continue
        named = [
            parent
            for parent, key in keys.items()
            if parent != child and column.lower() in [*names_of_key(parent), *([] if key == "id" else [key.lower()])]
        ]
        contained = [parent for parent in named if _shared(source, column, sources[parent], keys[parent]) == 1]
        if len(contained) > 1:
            raise GannetError(
                f"{folder}: {child}.{column} may refer to {' or '.join(contained)}; say which in {FILE_NAME}: "
                f'[{child}] parent.{contained[0]} = "{column}"'
            )
        for parent in [] if contained else named:
            share = _shared(source, column, sources[parent], keys[parent])
            if share >= ENOUGH_SHARED:
                raise GannetError(
                    f"{folder}: {child}.{column} looks like the key of {parent}, but {1 - share:.1%} of its values are "
                    f"not in {parent}.{keys[parent]}; add those rows, or say in {FILE_NAME} what it is"
                )
        links += [Link(child, column, parent) for parent in contained]
    return links


def _shared(source: Source, column: str, parent: Source, key: str) -> float:
    """The share of the rows with a key whose key is one of the parent's."""
    known = set(key_texts(parent.frame[key]))
    keys = [text for text in key_texts(source.frame[column]) if text is not None]
    return float(np.mean([text in known for text in keys])) if keys else 0.0
