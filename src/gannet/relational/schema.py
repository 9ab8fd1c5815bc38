"""What tables there are and how they refer to each other: tables, their keys, and links from child to parent.

`read_schema("shop/tables.toml")` reads the file a person writes; `Schema.order()` puts parents before their children.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gannet.errors import GannetError, did_you_mean

FILE_NAME = "tables.toml"
_KEYS = ("file", "key", "parent", "follows", "drop", "types")


@dataclass(frozen=True)
class Table:
    """One table: its name, its file beside the schema, and its key (None: nothing refers to it)."""

    name: str
    file: str
    key: str | None = None
    follows: str | None = None
    """The column whose parent the rows are conditioned on, where the user says; None: found by dependence."""
    drop: tuple[str, ...] = ()
    types: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A foreign key: `column` of the table `child` holds keys of the table `parent`."""

    child: str
    column: str
    parent: str

    def __str__(self) -> str:
        return f"{self.child}.{self.column} -> {self.parent}"


@dataclass(frozen=True)
class Schema:
    """All tables and all links between them."""

    tables: tuple[Table, ...]
    links: tuple[Link, ...]

    def table(self, name: str) -> Table:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)

    def links_of(self, child: str) -> list[Link]:
        """The foreign keys of a table."""
        return [link for link in self.links if link.child == child]

    def links_to(self, parent: str) -> list[Link]:
        """The foreign keys that refer to a table."""
        return [link for link in self.links if link.parent == parent]

    def order(self) -> list[str]:
        """Tables with all parents before their children. Raises GannetError where tables refer to each other in a ring.

        Among those that are free to come, the order is that of the schema.
        """
        out: list[str] = []
        while len(out) < len(self.tables):
            free = [
                table.name
                for table in self.tables
                if table.name not in out and all(link.parent in out for link in self.links_of(table.name))
            ]
            if not free:
                ring = [table.name for table in self.tables if table.name not in out]
                raise GannetError(
                    f"tables {', '.join(ring)} refer to each other in a ring: which come first? "
                    f"take one foreign key out of {FILE_NAME} and drop its column"
                )
            out.append(free[0])
        return out

    def to_json(self) -> dict[str, Any]:
        return {
            "tables": [{**asdict(table), "drop": list(table.drop)} for table in self.tables],
            "links": [asdict(link) for link in self.links],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        """The inverse of `to_json`."""
        tables = tuple(Table(**{**table, "drop": tuple(table["drop"])}) for table in data["tables"])
        return cls(tables, tuple(Link(**link) for link in data["links"]))


def checked(schema: Schema) -> Schema:
    """The schema itself. Raises GannetError for links to unknown tables, to themselves, or in a ring."""
    names = [table.name for table in schema.tables]
    if len(names) < 2:
        raise GannetError(f"{', '.join(names) or 'no table'}: several tables are wanted; train one by its file")
    for link in schema.links:
        if link.parent not in names:
            raise GannetError(
                f"table {link.child}: there is no table {link.parent!r}; {did_you_mean(link.parent, names)}"
            )
        if link.parent == link.child:
            raise GannetError(
                f"{link.child}.{link.column} refers to its own table, which is not learned; write "
                f'drop = ["{link.column}"] for {link.child} in {FILE_NAME} to leave the column out'
            )
        if schema.table(link.parent).key is None:
            raise GannetError(f'table {link.parent} needs its key, for {link} refers to it: key = "COLUMN"')
    schema.order()
    return schema


def read_schema(path: Path) -> Schema:
    """The schema of a TOML file: one section a table. Raises GannetError naming the file, the key and the remedy."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GannetError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GannetError(f"{path}: is not valid TOML ({error})") from None
    tables, links = [], []
    for name, entry in data.items():
        if not isinstance(entry, dict):
            raise GannetError(f"{path}: {name} stands outside of a table; begin a section for each: [{name}]")
        table, own = _section(path, name, entry)
        tables.append(table)
        links += own
    return checked(Schema(tuple(tables), tuple(links)))


def _section(path: Path, name: str, entry: dict[str, Any]) -> tuple[Table, list[Link]]:
    for key in entry:
        if key not in _KEYS:
            raise GannetError(f"{path} [{name}]: unknown key {key!r}; {did_you_mean(key, _KEYS)}")
    file_name, column, follows = (_text(path, name, entry, each) for each in ("file", "key", "follows"))
    if file_name is None:
        raise GannetError(f'{path} [{name}]: lacks its file = "{name}.csv"')
    links = []
    parents = entry.get("parent", {})
    if not isinstance(parents, dict):
        raise GannetError(f'{path} [{name}]: write parent.TABLE = "COLUMN"')
    for parent, columns in parents.items():
        for each in columns if isinstance(columns, list) else [columns]:
            if not isinstance(each, str):
                raise GannetError(f'{path} [{name}]: parent.{parent} = {each!r}: write the column as "TEXT"')
            links.append(Link(name, each, parent))
    if follows is not None and follows not in [link.column for link in links]:
        raise GannetError(f"{path} [{name}]: follows = {follows!r} is no foreign key; name one of parent.TABLE")
    drop, types = entry.get("drop", []), entry.get("types", {})
    if not isinstance(drop, list) or not all(isinstance(column, str) for column in drop):
        raise GannetError(f'{path} [{name}]: drop is a list of columns: drop = ["note"]')
    if not isinstance(types, dict) or not all(isinstance(kind, str) for kind in types.values()):
        raise GannetError(f'{path} [{name}]: write types = {{ zip = "category" }}')
    return Table(name, file_name, column, follows, tuple(drop), dict(types)), links


def _text(path: Path, name: str, entry: dict[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise GannetError(f'{path} [{name}]: {key} = {value!r}: write it as "TEXT"')
    return value
