"""What a run keeps of each table: its columns, how its keys look, whom it follows; plain values, and no row.

A `Plan` is made from the data when its table is prepared for training, and is all that sampling needs beside the model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from gannet.domains.table_identifiers import Identifier


@dataclass(frozen=True)
class Count:
    """A column of a parent: how many children it has by one foreign key."""

    child: str
    column: str
    """The foreign key."""
    name: str
    """The column of the parent's training table."""
    constant: int | None = None
    """The number, where the parent has no model to say it."""


@dataclass(frozen=True)
class Match:
    """A foreign key beside the one that is followed: its parent is chosen by what the row says about it."""

    column: str
    parent: str
    attributes: dict[str, str]
    """Columns of the training table -> those of the parent that they copy."""
    known: str | None
    """The column that says whether there is a parent; None where there always is."""
    distinct: bool
    """Whether no parent comes twice in one family."""


@dataclass(frozen=True)
class Plan:
    """One table."""

    name: str
    rows: int
    columns: tuple[str, ...]
    """All columns of the file, in order, without dropped ones."""
    own: tuple[str, ...]
    """Those that are no keys."""
    textual: bool
    delimiter: str
    suffix: str
    key: str | None
    identifier: dict[str, Any] | None
    """How keys look; None without a key."""
    follows: str | None
    """The foreign key whose parent the rows are conditioned on."""
    parent: str | None
    orphans: float
    """Share of the rows whose followed key is missing."""
    context: dict[str, str]
    """Columns of the training table -> those of the parent's that they copy."""
    position: str | None
    """The column that counts the siblings from 1."""
    previous: dict[str, str]
    """Columns of the training table -> those of the sibling before that they copy."""
    matches: tuple[Match, ...]
    counts: tuple[Count, ...]
    trained: bool
    """Whether there is a model; a table of nothing but keys needs none."""
    dtypes: dict[str, str] = field(default_factory=dict)
    """Types of the key columns where the file has types."""

    @property
    def given(self) -> tuple[str, ...]:
        """Columns of the training table that are known before a row is drawn."""
        return (*self.context, *([self.position] if self.position else []), *self.previous)

    def identifiers(self) -> Identifier:
        """The maker of new keys."""
        assert self.identifier is not None
        return Identifier(**{key: value for key, value in self.identifier.items() if key != "kind"})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The inverse of `to_json`."""
        plain = {name: tuple(data[name]) for name in ("columns", "own")}
        matches = tuple(Match(**match) for match in data["matches"])
        counts = tuple(Count(**count) for count in data["counts"])
        return cls(**{**data, **plain, "matches": matches, "counts": counts})
