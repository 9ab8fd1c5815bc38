"""New tables from a run of several: parents first, then for each as many children as its row says, keys made anew.

`TableSet("runs/shop-1").sample(1000, seed=0)` -> {table: frame}; every key of a child is one of a generated parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gannet.domains import table_files as files
from gannet.domains.table_column import Encoded
from gannet.domains.table_frames import take
from gannet.domains.table_settling import conform
from gannet.domains.table_values import Texts, spell
from gannet.domains.table_writing import write_parquet
from gannet.errors import GannetError, did_you_mean
from gannet.order import mixed_seed
from gannet.relational.matching import matched, rooms
from gannet.relational.plan import Match, Plan
from gannet.relational.preparing import YES
from gannet.relational.schema import Schema
from gannet.relational.training import read_header
from gannet.relational.writing import RowWriter


@dataclass
class _Made:
    """One generated table while its children are still to come."""

    frame: Any
    """In the columns of the training table."""
    keys: np.ndarray | None
    parents: dict[str, np.ndarray]
    """By foreign key, the parent's row int64 [n]; -1 where the key is missing."""

    def part(self, rows: np.ndarray) -> _Made:
        keys = None if self.keys is None else self.keys[rows]
        parents = {column: values[rows] for column, values in self.parents.items()}
        return _Made(self.frame.iloc[rows].reset_index(drop=True), keys, parents)


class TableSet:
    """A trained run of several tables, ready to sample from."""

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        self.path, self.device = Path(path), device
        header = read_header(self.path)
        self.schema = Schema.from_json(header["schema"])
        self.source: str = header["request"]["source"]
        self.fingerprint: str = header["fingerprint"]
        missing = [table.name for table in self.schema.tables if table.name not in header["plans"]]
        if missing or not header["finished"]:
            raise GannetError(f"{path} is not trained to its end; go on with: gannet resume {path}")
        self.plans = {name: Plan.from_json(plan) for name, plan in header["plans"].items()}
        self.writer = cache(lambda name: RowWriter(self.path / name, device))

    @property
    def roots(self) -> list[str]:
        """Tables that follow no other."""
        return [name for name in self.schema.order() if self.plans[name].follows is None]

    def sample(self, n: int | Mapping[str, int], *, seed: int = 0) -> dict[str, Any]:
        """New tables as frames by name: `n` rows of each root table, or as a mapping says, and children for each.

        Raises GannetError for a name that is no root table.
        """
        if not isinstance(n, Mapping):
            n = dict.fromkeys(self.roots, n)
        for name, count in n.items():
            if name not in self.roots:
                raise GannetError(
                    f"{name}={count}: rows can be asked for of root tables; {did_you_mean(name, self.roots)}"
                )
            if count < 1:
                raise GannetError(f"{name}={count}: ask for at least one row")
        made: dict[str, _Made] = {}
        for name in self.schema.order():
            plan, seeded = self.plans[name], mixed_seed(seed, "table", name)
            if plan.follows is None:
                rows = n.get(name, max(n.values()))
                frame = self._rows(plan, None, rows, seeded)
                made[name] = _Made(frame, None, {})
            else:
                made[name] = self._children(plan, made, seeded)
            made[name] = self._with_matches(plan, made, seeded)
            random = np.random.default_rng(mixed_seed(seeded, "keys"))
            made[name].keys = _new_keys(plan, len(made[name].frame), random)
        return {name: self._finished(self.plans[name], made) for name in made}

    def _rows(self, plan: Plan, given: Any, count: int, seed: int) -> Any:
        import pandas

        if not plan.trained or not count:
            columns = self.writer(plan.name).domain.names if plan.trained else []
            return pandas.DataFrame(index=range(count), columns=columns)
        writer = self.writer(plan.name)
        return writer.rows(count, seed) if given is None else writer.continued(given, seed)

    # -- children -------------------------------------------------------------------------------------------------

    def _children(self, plan: Plan, made: Mapping[str, _Made], seed: int) -> _Made:
        """The children of every parent, one place among the siblings after the other."""
        import pandas

        assert plan.parent is not None and plan.follows is not None
        parent = made[plan.parent].frame
        counts = self._counts(plan.parent, plan.name, plan.follows, parent)
        orphans = round(int(counts.sum()) * plan.orphans / (1 - plan.orphans))
        families = np.append(np.arange(len(parent)), np.full(orphans, -1))
        sizes = np.append(counts, np.ones(orphans, dtype=np.int64))
        pieces, places, rows = [], [], []
        before: Any = None
        if plan.position is None:
            steps = [np.repeat(np.arange(len(families)), sizes)]
        else:
            steps = [np.flatnonzero(sizes >= place) for place in range(1, int(sizes.max(initial=0)) + 1)]
        last = np.zeros(0, dtype=np.int64)
        for place, wanted in enumerate(steps, start=1):
            given = self._given(plan, parent, families[wanted], place, before, np.searchsorted(last, wanted))
            before, last = self._rows(plan, given, len(wanted), mixed_seed(seed, "place", place)), wanted
            pieces.append(before)
            rows.append(wanted)
            places.append(np.full(len(wanted), place))
        frame = pandas.concat(pieces, ignore_index=True) if pieces else self._rows(plan, None, 0, seed)
        order = np.lexsort((np.concatenate(places), np.concatenate(rows))) if pieces else np.zeros(0, dtype=np.int64)
        belongs = families[np.concatenate(rows)[order]] if pieces else order
        return _Made(frame.iloc[order].reset_index(drop=True), None, {plan.follows: belongs})

    def _given(self, plan: Plan, parent: Any, rows: np.ndarray, place: int, before: Any, at: np.ndarray) -> Any:
        """What is known of the children of parents' `rows`: their parents, their place, the siblings before them."""
        import pandas

        columns = {name: _taken(parent[column], rows) for name, column in plan.context.items()}
        if plan.position is not None:
            columns[plan.position] = pandas.Series(np.full(len(rows), place))
        for name, column in plan.previous.items():
            gap = pandas.Series([None] * len(rows), dtype=object)
            columns[name] = gap if before is None else before[column].iloc[at].reset_index(drop=True)
        return pandas.DataFrame(columns, index=range(len(rows)))

    def _counts(self, parent: str, child: str, column: str, frame: Any) -> np.ndarray:
        """How many children each row of a generated parent has int64 [n]."""
        plan = self.plans[parent]
        count = next(each for each in plan.counts if (each.child, each.column) == (child, column))
        if count.constant is not None:
            return np.full(len(frame), count.constant, dtype=np.int64)
        numbers = frame[count.name].astype("Float64").fillna(0).to_numpy(dtype=np.float64)
        return np.maximum(np.rint(numbers), 0).astype(np.int64)

    # -- other parents --------------------------------------------------------------------------------------------

    def _with_matches(self, plan: Plan, made: Mapping[str, _Made], seed: int) -> _Made:
        """The rows with a parent for each foreign key that is not followed; rows that find none are left out."""
        own = made[plan.name]
        kept = np.ones(len(own.frame), dtype=bool)
        for match in plan.matches:
            random = np.random.default_rng(mixed_seed(seed, "match", match.column))
            wanted = np.ones(len(own.frame), dtype=bool)
            if match.known is not None and plan.trained:
                wanted = (own.frame[match.known].astype(str).str.lower().isin([YES, "true"])).to_numpy(dtype=bool)
            chosen = self._matched(plan, match, own.part(np.flatnonzero(wanted)), made[match.parent].frame, random)
            parents = np.full(len(own.frame), -1, dtype=np.int64)
            parents[wanted] = chosen
            kept &= ~wanted | (parents >= 0)
            own.parents[match.column] = parents
        return own if kept.all() else own.part(np.flatnonzero(kept))

    def _matched(self, plan: Plan, match: Match, own: _Made, parent: Any, random: np.random.Generator) -> np.ndarray:
        degrees = self._counts(match.parent, plan.name, match.column, parent)
        room = rooms(degrees, len(own.frame), random)
        said = own.frame[list(match.attributes)].rename(columns=match.attributes)
        families = own.parents.get(plan.follows) if match.distinct and plan.follows else None
        return matched(said, parent[list(match.attributes.values())], room, families, random)

    # -- the user's tables ----------------------------------------------------------------------------------------

    def _finished(self, plan: Plan, made: Mapping[str, _Made]) -> Any:
        """A table in the columns of its file."""
        import pandas

        own, columns = made[plan.name], {}
        for column in plan.columns:
            if column == plan.key:
                columns[column] = _typed_keys(own.keys, plan.dtypes.get(column))
            elif column in own.parents:
                parent = next(link.parent for link in self.schema.links_of(plan.name) if link.column == column)
                keys = made[parent].keys
                assert keys is not None
                rows = own.parents[column]
                columns[column] = _typed_keys([None if row < 0 else keys[row] for row in rows], plan.dtypes.get(column))
            elif plan.trained and column in plan.own:
                columns[column] = own.frame[column]
            else:
                columns[column] = pandas.Series([None] * len(own.frame), dtype=object)
        return pandas.DataFrame(columns)

    def write(self, tables: Mapping[str, Any], out: str | Path) -> list[Path]:
        """One file a table in the folder `out`, in the kind, delimiter and spelling of the real one."""
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise GannetError(f"{folder} is a file; give a folder for several tables")
        folder.mkdir(parents=True, exist_ok=True)
        return [self._written(self.plans[name], frame, folder) for name, frame in tables.items()]

    def _written(self, plan: Plan, frame: Any, folder: Path) -> Path:
        path = folder / f"{plan.name}{plan.suffix}"
        if not plan.textual:
            write_parquet(frame, path)
            return path
        forms = {form.name: form for form in self.writer(plan.name).domain.forms} if plan.trained else {}
        _, names, raws = take(frame)
        columns = []
        for name, raw in zip(names, raws, strict=True):
            if name in plan.own and name in forms:
                values = conform(raw, forms[name])
                columns.append(np.where(values.missing, forms[name].spelling.missing, spell(values, forms[name])))
            else:
                columns.append(frame[name].astype(object).where(frame[name].notna(), "").astype(str).to_numpy())
        files.write_text(path, list(frame.columns), columns, plan.delimiter)
        return path


def _taken(series: Any, rows: np.ndarray) -> Any:
    """The cells of a column at `rows` int64 [n]; missing where -1."""
    if not len(series):
        return series.reindex(range(len(rows)))
    objects = series.iloc[np.maximum(rows, 0)].reset_index(drop=True)
    return objects if (rows >= 0).all() else objects.astype(object).where(rows >= 0, None)


def _new_keys(plan: Plan, count: int, random: np.random.Generator) -> np.ndarray | None:
    """As many different keys as rows, in the form of the real ones."""
    if plan.key is None:
        return None
    made = plan.identifiers().decode(Encoded(None, None), count, random)
    assert isinstance(made, Texts)
    return made.objects()


def _typed_keys(keys: Sequence[Any] | np.ndarray | None, dtype: str | None) -> Any:
    """Keys as a column: texts, or the type they have in the user's own file."""
    import pandas

    assert keys is not None
    if dtype is None or not ("int" in dtype.lower() or "float" in dtype.lower()):
        return pandas.Series(list(keys), dtype=object)
    gaps = any(key is None for key in keys)
    numbers = pandas.array([None if key is None else int(key) for key in keys], dtype="Int64")
    return pandas.Series(numbers).astype("float64" if gaps and dtype.startswith("int") else dtype)
