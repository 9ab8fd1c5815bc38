"""Completing rows that have gaps: the missing cells of a row drawn together, given all that is known of it.

`fill_frame(model, frame, seed=0)` and `fill_file(model, source, [out], seed=0)`; every draw is another plausible
completion (multiple imputation, Rubin 1987). Known cells, other columns and the order of the rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gannet.domains import table_files as files
from gannet.domains.table_excel import read_excel
from gannet.domains.table_frames import kind_of, take
from gannet.domains.table_gaps import encoded_gaps, never_missing, read_gaps
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_patching import Patch, patched, patched_texts
from gannet.domains.table_settling import settle
from gannet.domains.table_shell import Raw
from gannet.domains.table_source import Read, read_source
from gannet.domains.table_values import Form, Numbers, Texts, Values, spell
from gannet.domains.table_wishes import joined
from gannet.domains.table_writing import as_json, write_parquet
from gannet.domains.tables import Tables
from gannet.errors import GannetError
from gannet.order import mixed_seed, reseed
from gannet.spec import Wish

if TYPE_CHECKING:
    from gannet.model import Model

ROUNDS = 5
"""Times that rows are drawn again which break a constraint."""
POOL = 20_000
"""Generated rows among which values are sought for those that still do."""


def fill_frame(model: Model, frame: Any, *, seed: int = 0, draws: int = 1) -> tuple[list[Any], list[str]]:
    """`draws` completions of a frame or array, and what the user should know. Raises GannetError."""
    if kind_of(frame) is None:
        raise GannetError(f"fill: {type(frame).__name__} is not a table; give a data frame or a 2-D array")
    _, names, raws = take(frame)
    filler = Filler(model, names, raws, from_text=False)
    return [patched(frame, filler.draw(mixed_seed(seed, "draw", number))) for number in range(draws)], filler.notes


def fill_file(model: Model, source: Path, outs: Sequence[Path], *, seed: int = 0) -> list[str]:
    """A completion of a file of rows for each path; returns what the user should know. Raises GannetError."""
    targets = [files.target(out) for out in outs]
    if files.suffix_of(source) not in files.TEXT_SUFFIXES:
        frames, notes = fill_frame(model, _frame_of(source), seed=seed, draws=len(outs))
        for frame, path in zip(frames, targets, strict=True):
            _write_frame(frame, path)
        return notes
    read = read_source(source, model.settings["request"]["settings"].get("encoding"))
    filler = Filler(model, read.names, read.columns, from_text=True)
    for number, path in enumerate(targets):
        _write_texts(read, filler.draw(mixed_seed(seed, "draw", number)), path)
    return read.warnings + filler.notes


class Filler:
    """Rows with gaps, told to the generator once and completed as often as one wishes."""

    def __init__(self, model: Model, names: Sequence[str], raws: Sequence[Raw], *, from_text: bool) -> None:
        if not isinstance(model.domain, Tables):
            raise GannetError(f"fill: this run makes {model.spec.kind}; only rows of a table have cells to fill")
        if not model.recipe.answers:
            raise GannetError("fill: the recipe of this run cannot fill gaps; train with --recipe maligan")
        self.model, self.domain, self.names = model, model.domain, list(names)
        if not set(names) & set(self.domain.names):
            raise GannetError(f"fill: none of the columns is one of the model's ({', '.join(self.domain.names[:6])})")
        self.gaps = read_gaps(self.domain, names, raws, from_text=from_text)
        told, foreign = encoded_gaps(self.domain, self.gaps)
        here = [self.gaps.missing[name] for name in self.domain.names if name in names]
        self.rows = np.flatnonzero(np.any(here, axis=0))
        self.samples, self.known = told.samples[self.rows], told.known[self.rows]
        self.condition = None if told.condition is None else told.condition[self.rows]
        self.given = None if told.given is None else told.given[self.rows]
        self.notes = [*self._lacking(), *self._foreign(foreign)]

    def _lacking(self) -> list[str]:
        lost = [name for name in self.domain.names if name not in self.names]
        return [f"the table lacks the columns {', '.join(lost)}: rows are completed without them"] if lost else []

    def _foreign(self, foreign: dict[str, np.ndarray]) -> list[str]:
        """One line for each column with cells that the model never learned."""
        return [
            f"column {name!r}: {int(cells.sum()):,} cells hold what the model never learned; they are kept, and their "
            "rows are completed as if they were not known"
            for name, cells in foreign.items()
            if cells.any()
        ]

    # -------------------------------------------------------------------------------------------------- drawing

    def draw(self, seed: int) -> dict[str, Patch]:
        """New values for the missing cells, by column."""
        if not len(self.rows):
            return {}
        own = {name: content.take(self.rows) for name, content in self.gaps.values.items()}
        holes = {name: self.gaps.missing[name][self.rows] for name in self.domain.names}
        table = self._completed(own, holes, np.arange(len(self.rows)), mixed_seed(seed, "fill"))
        for number in range(ROUNDS):
            again = np.flatnonzero(self._broken(table))
            if not len(again):
                break
            part = {name: content.take(again) for name, content in own.items()}
            marks = {name: hole[again] for name, hole in holes.items()}
            new = self._completed(part, marks, again, mixed_seed(seed, "again", number))
            table = {name: _put(table[name], again, new[name]) for name in table}
        if self._broken(table).any():
            self._borrow(table, holes, mixed_seed(seed, "borrow"))
        return {name: self._patch(name, table[name], holes[name]) for name in self.names if name in table}

    def _borrow(self, table: dict[str, Values], holes: dict[str, np.ndarray], seed: int) -> None:
        """Rows that break a constraint take what is missing of the columns it ties from a generated row that agrees."""
        assert self.domain.constraints is not None
        pool = dict(zip(self.domain.names, self.domain.values(*self.model.draw(POOL, seed=seed)), strict=True))
        random = np.random.default_rng(seed)
        for part, rules in self.domain.constraints.parts:
            names = sorted(part)
            broken = np.zeros(len(self.rows), dtype=bool)
            for rule in rules:
                broken |= rule.broken(table)
            patterns = np.stack([holes[name] for name in names], axis=1)
            for pattern in np.unique(patterns[broken], axis=0):
                rows = np.flatnonzero(broken & (patterns == pattern).all(axis=1))
                known = [name for name, hole in zip(names, pattern, strict=True) if not hole]
                donors = _donors([table[name].take(rows) for name in known], [pool[name] for name in known], random)
                found = donors >= 0
                for name in set(names) - set(known):
                    table[name] = _put(table[name], rows[found], pool[name].take(donors[found]))

    def _patch(self, name: str, values: Values, holes: np.ndarray) -> Patch:
        """The new values of one column, among all rows of the table."""
        form = self.domain.forms[self.domain.names.index(name)]
        everywhere = _put(self.gaps.values[name], self.rows, values)
        return Patch(form, everywhere, self.rows[holes & ~values.missing])

    def _completed(
        self, own: dict[str, Values], holes: dict[str, np.ndarray], rows: np.ndarray, seed: int
    ) -> dict[str, Values]:
        """Columns of these rows (positions among those with gaps), their holes filled."""
        drawn = self._drawn(rows, seed)
        return {
            name: _put(own[name], np.flatnonzero(holes[name]), content.take(np.flatnonzero(holes[name])))
            for name, content in zip(self.domain.names, drawn, strict=True)
        }

    def _drawn(self, rows: np.ndarray, seed: int) -> list[Values]:
        """Whole rows that agree with what the generator is told of these."""
        model, wish = self.model, Wish(levels=never_missing(self.domain))
        pieces: list[Tensor] = []
        asked: list[Tensor] = []
        with torch.random.fork_rng(), torch.no_grad():
            for start in range(0, len(rows), model.chunk):
                part = rows[start : start + model.chunk]
                reseed(mixed_seed(seed, start), model.device)
                condition = self._condition(part, mixed_seed(seed, "condition", start))
                samples, known = self.samples[part].to(model.device), self.known[part].to(model.device)
                given = None if condition is None else condition.to(model.device)
                pieces.append(model.recipe.filled(samples, known, given, wish).cpu())
                asked += [] if condition is None else [condition]
        return self.domain.values(torch.cat(pieces), torch.cat(asked) if asked else None)

    def _condition(self, rows: np.ndarray, seed: int) -> Tensor | None:
        """The conditions of rows; those that are not known are drawn as frequent as in the training data."""
        if self.condition is None or self.given is None or self.model.prior is None:
            return None
        return torch.where(self.given[rows], self.condition[rows], self.model.prior.draw(len(rows), seed))

    def _broken(self, table: dict[str, Values]) -> np.ndarray:
        """True for the rows that break a constraint of single rows."""
        out = np.zeros(len(self.rows), dtype=bool)
        for rule in () if self.domain.constraints is None else self.domain.constraints.rows:
            out |= rule.broken(table)
        return out


def _donors(wanted: list[Values], pool: list[Values], random: np.random.Generator) -> np.ndarray:
    """For each row, one of the pool's rows with the same values, at random; -1 where there is none."""
    assert wanted, "a row of which nothing is known breaks nothing"
    count = len(wanted[0])
    keys = np.zeros(count + len(pool[0]), dtype=np.int64)
    for own, others in zip(wanted, pool, strict=True):
        both = joined([own, others])
        codes = both.codes if isinstance(both, Texts) else np.unique(both.array, return_inverse=True)[1]
        keys = np.unique(keys * (codes.max() + 2) + codes + 1, return_inverse=True)[1]
    order = count + random.permutation(len(pool[0]))
    order = order[np.argsort(keys[order], kind="stable")]
    first, after = (np.searchsorted(keys[order], keys[:count], side=side) for side in ("left", "right"))  # type: ignore[call-overload]
    chosen = np.minimum(first + (random.random(count) * (after - first)).astype(np.int64), len(order) - 1)
    return np.where(after > first, order[chosen] - count, -1)


def _put(values: Values, rows: np.ndarray, new: Values) -> Values:
    """Values [n] with new ones in some rows."""
    if isinstance(values, Numbers):
        assert isinstance(new, Numbers)
        array = values.array.copy()
        array[rows] = new.array
        return Numbers(array)
    both = joined([values, new])
    assert isinstance(both, Texts)
    codes = both.codes[: len(values)].copy()
    codes[rows] = both.codes[len(values) :]
    return Texts(codes, both.levels)


# ---------------------------------------------------------------------------------------------------- files


def numbered(out: Path, count: int) -> list[Path]:
    """The path, or for several completions path-1, path-2, ... before the ending."""
    out = files.target(out)
    suffix = files.suffix_of(out)
    stem = out.name[: len(out.name) - len(suffix)]
    return (
        [out]
        if count == 1
        else [out.with_name(f"{stem}-{number + 1}{out.name[len(stem) :]}") for number in range(count)]
    )


def _frame_of(source: Path) -> Any:
    """A file that is no delimited text, as a pandas frame with all its columns as they are."""
    return read_excel(source)[0] if files.suffix_of(source) == ".xlsx" else files.read_parquet(source)


def _write_texts(read: Read, patches: dict[str, Patch], path: Path) -> None:
    """The texts of a delimited file with some cells new: as text again, or typed where the ending says so."""
    columns: list[np.ndarray] = []
    forms: list[Form] = []
    contents: list[Values] = []
    typed = files.suffix_of(path) not in files.TEXT_SUFFIXES
    for name, raw in zip(read.names, read.columns, strict=True):
        own, values, _ = settle(name, raw, {}, True)
        patch = patches.get(name)
        if typed:
            forms.append(own if patch is None else patch.form)
            contents.append(values if patch is None else patch.values)
        else:
            texts = raw.values if isinstance(raw.values, Texts) else raw.values.texts()  # type: ignore[union-attr]
            columns.append(texts.objects() if patch is None else patched_texts(texts, patch, own))
    if typed:
        _write_columns(read.names, forms, contents, path)
        return
    files.write_text(path, read.names, columns, _delimiter(path, read.delimiter))


def _write_frame(frame: Any, path: Path) -> None:
    if files.suffix_of(path) == ".parquet":
        write_parquet(frame, path)
        return
    _, names, raws = take(frame)
    settled = [settle(name, raw, {}, False) for name, raw in zip(names, raws, strict=True)]
    forms, values = [form for form, _, _ in settled], [content for _, content, _ in settled]
    if files.suffix_of(path) == ".json":
        _write_columns(names, forms, values, path)
        return
    columns = [np.where(v.missing, "", spell(v, form)) for v, form in zip(values, forms, strict=True)]
    files.write_text(path, names, columns, _delimiter(path, ","))


def _write_columns(names: list[str], forms: Sequence[Form], values: Sequence[Values], path: Path) -> None:
    if files.suffix_of(path) == ".json":
        files.write_json(path, names, [as_json(*pair) for pair in zip(values, forms, strict=True)])
    else:
        write_parquet(PandasShell(list(names)).build(forms, values), path)


def _delimiter(path: Path, own: str) -> str:
    return "\t" if files.suffix_of(path).startswith(".tsv") else own if own != "\t" else ","
