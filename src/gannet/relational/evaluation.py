"""Proof of several tables: new ones are drawn, and set beside the real ones as families of parents and children.

`report = evaluate("runs/shop-1")`; `report.lines()` for a person, `report.to_json()` for the run folder. Each table on
its own is an ordinary run, which `gannet evaluate RUN/TABLE` judges as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gannet.checkpoint import dump_json, replace_file
from gannet.errors import GannetError
from gannet.metrics.answer import Figure, figure_to_json
from gannet.order import mixed_seed
from gannet.relational.fidelity import Families, distant_figures, family_figures, rows_of
from gannet.relational.reading import key_texts, typed
from gannet.relational.sampling import TableSet
from gannet.relational.schema import Schema
from gannet.relational.training import open_database

REPORT = "report.json"


@dataclass(frozen=True)
class TablesReport:
    """What was found."""

    keys: int
    """Foreign keys in the generated tables."""
    lost: int
    """Those that refer to no row; there are none unless something is broken."""
    doubled: int
    """Keys that stand in two rows."""
    known: dict[str, float]
    """By table, the share of its new keys that are real ones."""
    figures: tuple[Figure, ...]
    rows: dict[str, tuple[int, int]]
    """By table, real and generated rows."""
    seed: int

    def lines(self) -> list[str]:
        """The report for a person."""
        share = 1.0 if not self.keys else 1 - self.lost / self.keys
        rows = ", ".join(f"{name} {made:,} ({real:,} real)" for name, (real, made) in self.rows.items())
        lines = [f"rows: {rows}"]
        lines.append(f"keys: {share:.0%} of {self.keys:,} refer to a row, {self.doubled} stand twice")
        met = {name: part for name, part in self.known.items() if part}
        if met:
            words = ", ".join(f"{name} {part:.1%}" for name, part in met.items())
            lines.append(f"new keys that are real ones by chance: {words}")
        width = max((len(figure.name) for figure in self.figures), default=0)
        lines.append(f"{'':{width}}  generated  real against real  keys shuffled")
        for figure in self.figures:
            lines.append(f"{figure.name:{width}}  {figure.value:9.3f}  {figure.reference:17.3f}  {figure.floor:13.3f}")
        return [*lines, "children per parent: lower is better; all others: higher is better"]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": "several tables",
            "seed": self.seed,
            "rows": {name: {"real": real, "generated": made} for name, (real, made) in self.rows.items()},
            "keys": {"checked": self.keys, "lost": self.lost, "doubled": self.doubled, "known": self.known},
            "figures": [figure_to_json(figure) for figure in self.figures],
        }


def evaluate(
    path: str | Path, *, samples: int | None = None, seed: int = 0, source: str | Path | None = None
) -> TablesReport:
    """Judge a run of several tables by as many rows of its root tables as there are real ones, or by `samples`.

    Raises GannetError when the real tables are gone or changed.
    """
    tables = TableSet(path)
    database = open_database(tables.source if source is None else source)
    if database.fingerprint != tables.fingerprint:
        raise GannetError(f"{source or tables.source}: not the tables that {path} was trained on; put those back")
    wanted = {name: samples or tables.plans[name].rows for name in tables.roots}
    made = tables.sample(wanted, seed=mixed_seed(seed, "evaluate"))
    real = {name: table.frame for name, table in database.sources.items()}
    return compared(tables, real, made, seed)


def write(report: TablesReport, folder: Path) -> Path:
    """The report as report.json in the folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / REPORT, dump_json(report.to_json()))
    return folder / REPORT


def compared(tables: TableSet, real: Mapping[str, Any], made: Mapping[str, Any], seed: int) -> TablesReport:
    """Generated tables beside the real ones, in the columns of the files."""
    schema, random = tables.schema, np.random.default_rng(mixed_seed(seed, "families"))
    sides = [
        (_learned(tables, real, as_read=True), _rows(schema, real)),
        (_learned(tables, made, as_read=False), _rows(schema, made)),
    ]
    figures: list[Figure] = []
    for link in schema.links:
        both = [Families(frames[link.parent], frames[link.child], rows[link][0]) for frames, rows in sides]
        figures += family_figures(str(link), both[0], both[1], random)
        for above in schema.links_of(link.parent):
            both = [
                Families(
                    frames[above.parent],
                    frames[link.child],
                    np.append(rows[above][0], -1)[rows[link][0]],
                )
                for frames, rows in sides
            ]
            figures += distant_figures(f"{link.child} and {above.parent}", both[0], both[1], random)
    made_rows = sides[1][1]
    keyed = {table.name: table.key for table in schema.tables if table.key}
    new = {name: key_texts(made[name][key]) for name, key in keyed.items()}
    old = {name: set(key_texts(real[name][key])) for name, key in keyed.items()}
    return TablesReport(
        keys=sum(int((rows >= 0).sum()) + lost for rows, lost in made_rows.values()),
        lost=sum(lost for _, lost in made_rows.values()),
        doubled=sum(len(keys) - len(set(keys)) for keys in new.values()),
        known={name: sum(key in old[name] for key in keys) / max(len(keys), 1) for name, keys in new.items()},
        figures=tuple(figures),
        rows={name: (len(real[name]), len(made[name])) for name in made},
        seed=seed,
    )


def _learned(tables: TableSet, frames: Mapping[str, Any], *, as_read: bool) -> dict[str, Any]:
    """The learned columns of each table; `as_read`, cells of delimited text become what they mean."""
    out = {}
    for name, plan in tables.plans.items():
        unlearned = tables.writer(name).domain.unlearned if plan.trained else plan.own
        frame = frames[name][[column for column in plan.own if column not in unlearned]]
        out[name] = typed(frame, as_read and plan.textual, tables.schema.table(name).types)
    return out


def _rows(schema: Schema, frames: Mapping[str, Any]) -> dict[Any, tuple[np.ndarray, int]]:
    return {link: rows_of(schema, frames, link) for link in schema.links}
