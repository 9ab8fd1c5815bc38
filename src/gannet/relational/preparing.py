"""From tables with keys to one training table each: what is known of the parent, the place among siblings, the rest.

`prepare_table(database, name, above, ...)` -> `Prepared`: a frame for an ordinary run, and the `Plan` that is kept.
A row of a child begins with its parent's columns, so that a generator asked to go on from them writes the child.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gannet.domains.table_identifiers import Identifier
from gannet.domains.table_values import texts
from gannet.errors import GannetError
from gannet.relational.dependence import dependence, strength
from gannet.relational.plan import Count, Match, Plan
from gannet.relational.reading import Database, key_texts, typed
from gannet.relational.schema import Link

MOST_CONTEXT = 30
"""Columns of the parent, and of its parents, that a child sees; the nearest come first."""
MOST_ATTRIBUTES = 6
"""Columns of a second parent that a row tells, so that one like it can be chosen."""
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Prepared:
    """One table made ready."""

    plan: Plan
    frame: Any
    """The training table."""
    types: dict[str, str]
    """What columns of the training table are, where it is known before."""
    learned: tuple[str, ...] = ()
    """Columns of it that the model learns; a child sees no other."""


def prepare_table(database: Database, name: str, above: Mapping[str, Prepared], *, siblings: bool) -> Prepared:
    """The training table of `name`; `above` holds those of its parents. `siblings`: show each row the one before."""
    table, source = database.schema.table(name), database.sources[name]
    links = database.schema.links_of(name)
    keys = {table.key, *(link.column for link in links)}
    columns = [str(column) for column in source.frame.columns if column not in table.drop]
    own = [column for column in columns if column not in keys]
    types = {column: kind for column, kind in table.types.items() if column in own}
    main = followed(database, name, above, own)
    builder = _Builder(database, name, own, types)
    context = builder.add_context(main, above) if main else {}
    position, previous = builder.add_siblings(main, siblings) if main else (None, {})
    matches = [builder.add_match(link, above, main) for link in links if link != main]
    counts = [builder.add_count(link) for link in database.schema.links_to(name)]
    builder.add_own()
    trained = builder.varied([*own, *(count.name for count in counts)]) or any(match.attributes for match in matches)
    if not trained:
        counts = [Count(c.child, c.column, c.name, int(builder.parts[c.name].iloc[0])) for c in counts]
    plan = Plan(
        name=name,
        rows=len(source.frame),
        columns=tuple(columns),
        own=tuple(own),
        textual=source.textual,
        delimiter=source.delimiter,
        suffix=source.suffix,
        key=table.key,
        identifier=None if table.key is None else identifier(source.frame[table.key]),
        follows=None if main is None else main.column,
        parent=None if main is None else main.parent,
        orphans=0.0 if main is None else float((database.parents[main] < 0).mean()),
        context=context,
        position=position,
        previous=previous,
        matches=tuple(matches),
        counts=tuple(counts),
        trained=trained,
        dtypes={} if source.textual else {key: str(source.frame[key].dtype) for key in keys if key is not None},
    )
    return Prepared(plan, builder.frame(), builder.types)


def identifier(series: Any) -> dict[str, Any]:
    """How the keys of a column look, as plain values."""
    return Identifier.fit(str(series.name), texts(key_texts(series).tolist())).to_json()


def followed(database: Database, name: str, above: Mapping[str, Prepared], own: Sequence[str]) -> Link | None:
    """The foreign key whose parent tells most about a table's own columns; the user's word goes first."""
    links = [link for link in database.schema.links_of(name) if (database.parents[link] >= 0).any()]
    wanted = database.schema.table(name).follows
    if wanted is not None:
        return next((link for link in links if link.column == wanted), None)
    if len(links) < 2:
        return links[0] if links else None
    strengths = [_strength(database, link, above, own) for link in links]
    return links[int(np.argmax(strengths))]


def _strength(database: Database, link: Link, above: Mapping[str, Prepared], own: Sequence[str]) -> float:
    rows = database.parents[link]
    left = parent_columns(above[link.parent]).iloc[rows[rows >= 0]]
    return strength(left, own_columns(database, link.child, own).iloc[rows >= 0])


def own_columns(database: Database, name: str, own: Sequence[str]) -> Any:
    """Columns of a table as what they mean."""
    source = database.sources[name]
    return typed(source.frame[list(own)], source.textual, database.schema.table(name).types)


def parent_columns(parent: Prepared) -> Any:
    """A parent's own learned columns as what they mean."""
    shown = [column for column in parent.plan.own if column in parent.learned]
    return typed(parent.frame[shown], parent.plan.textual, parent.types)


class _Builder:
    """Collects the columns of a training table in order."""

    def __init__(self, database: Database, name: str, own: Sequence[str], types: Mapping[str, str]) -> None:
        self.database, self.name, self.own = database, name, list(own)
        self.source = database.sources[name].frame
        self.types = dict(types)
        self.parts: dict[str, Any] = {}

    def _free(self, name: str) -> str:
        while name in self.parts or name in self.own:
            name += "_"
        return name

    def _add(self, name: str, series: Any, kind: str | None = None) -> str:
        name = self._free(name)
        self.parts[name] = series
        if kind is not None:
            self.types[name] = kind
        return name

    def add_context(self, main: Link, above: Mapping[str, Prepared]) -> dict[str, str]:
        """What the parent's row says: its own columns and counts, then what it knows of its own parents."""
        parent, rows = above[main.parent], self.database.parents[main]
        counts = [count.name for count in parent.plan.counts if count.constant is None]
        told = [name for match in parent.plan.matches for name in match.attributes]
        shown = [*parent.plan.own, *counts, *told, *parent.plan.context]
        shown = [column for column in shown if column in parent.learned][:MOST_CONTEXT]
        inherited = {*told, *parent.plan.context}
        return {
            self._add(
                column if column in inherited else f"{main.parent}.{column}",
                taken(parent.frame[column], rows),
                parent.types.get(column),
            ): column
            for column in shown
        }

    def add_siblings(self, main: Link, previous: bool) -> tuple[str | None, dict[str, str]]:
        """The place among the siblings in the order of the file, and the columns of the sibling before."""
        before, places = order_of_siblings(self.database.parents[main])
        if places.max(initial=0) < 2:
            return None, {}
        position = self._add("position", _series(places), "integer")
        shown = self.own if previous else []
        return position, {
            self._add(f"previous {column}", taken(self.source[column], before), self.types.get(column)): column
            for column in shown
        }

    def add_match(self, link: Link, above: Mapping[str, Prepared], main: Link | None) -> Match:
        """What a row says about a parent that it does not follow, of the columns that tell something about it."""
        parent, rows = above[link.parent], self.database.parents[link]
        known = rows >= 0
        mine = own_columns(self.database, self.name, self.own)
        if main is not None:
            leading = parent_columns(above[main.parent]).iloc[np.maximum(self.database.parents[main], 0)]
            mine = _beside(mine, leading)
        candidates = parent_columns(parent)
        found = dependence(candidates.iloc[rows[known]], mine[known]) if known.any() else np.zeros((0, 0))
        best = found.max(1) if found.size else np.zeros(0)
        chosen = [candidates.columns[i] for i in np.argsort(-best, kind="stable")[:MOST_ATTRIBUTES] if best[i] > 0]
        told = None
        if not known.all():
            told = self._add(f"{link.column} is known", _series(np.where(known, YES, NO).astype(object)), "boolean")
        attributes = {
            self._add(f"{link.column}: {column}", taken(parent.frame[column], rows), parent.types.get(column)): column
            for column in candidates.columns
            if column in chosen
        }
        distinct = main is not None and _never_twice(self.database.parents[main], rows)
        return Match(link.column, link.parent, attributes, told, distinct)

    def add_count(self, link: Link) -> Count:
        """How many children each row has by a foreign key of another table."""
        several = len([other for other in self.database.schema.links_to(self.name) if other.child == link.child]) > 1
        words = f"number of {link.child}" + (f" by {link.column}" if several else "")
        name = self._add(words, _series(self.database.counts(link)), "integer")
        return Count(link.child, link.column, name)

    def add_own(self) -> None:
        self.parts |= {column: self.source[column] for column in self.own}

    def varied(self, columns: Sequence[str]) -> bool:
        """Whether any of the columns is other than constant."""
        return any(self.parts[column].nunique(dropna=False) > 1 for column in columns)

    def frame(self) -> Any:
        import pandas

        for name in self.types:
            if "," in name:
                raise GannetError(f"table {self.name}: column {name!r} holds a comma; rename the column")
        return pandas.DataFrame({name: series.reset_index(drop=True) for name, series in self.parts.items()})


def taken(series: Any, rows: np.ndarray) -> Any:
    """The cells of a column at `rows` int64 [n]; missing where -1."""
    out = series.iloc[np.maximum(rows, 0)].reset_index(drop=True)
    if not (rows < 0).any():
        return out
    # Beside gaps, whole numbers stay whole only in a type that has gaps.
    return (out.astype("Int64") if out.dtype.kind in "iu" else out).where(rows >= 0)


def order_of_siblings(parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For children of parents int64 [n]: the row of the sibling before (-1: none), and the place from 1, in file order.

    Children without a parent have no siblings.
    """
    order = np.argsort(parents, kind="stable")
    sorted_parents = parents[order]
    begins = np.ones(len(parents), dtype=bool)
    begins[1:] = (sorted_parents[1:] != sorted_parents[:-1]) | (sorted_parents[1:] < 0)
    starts = np.maximum.accumulate(np.where(begins, np.arange(len(parents)), 0))
    before, places = np.empty(len(parents), dtype=np.int64), np.empty(len(parents), dtype=np.int64)
    before[order] = np.where(begins, -1, np.roll(order, 1))
    places[order] = np.arange(len(parents)) - starts + 1
    return before, places


def _never_twice(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether no pair of parents stands in two rows."""
    both = (first >= 0) & (second >= 0)
    pairs = np.stack([first[both], second[both]], axis=1)
    return len(pairs) > 1 and len(np.unique(pairs, axis=0)) == len(pairs)


def _series(values: np.ndarray) -> Any:
    import pandas

    return pandas.Series(values)


def _beside(left: Any, right: Any) -> Any:
    import pandas

    left, right = left.reset_index(drop=True), right.reset_index(drop=True)
    right.columns = [f"parent {column}" for column in right.columns]
    return pandas.concat([left, right], axis=1)
