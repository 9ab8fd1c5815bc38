"""A large table surveyed in one reading: a sample of its rows, exact counts, and a digest of it all.

`survey(batches, names, chosen)` -> `Survey`, whose `columns` are settled and fitted as if they were a small table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gannet.domains.table_column import Column
from gannet.domains.table_identifiers import Identifier
from gannet.domains.table_shell import Raw
from gannet.domains.table_values import Codebook, Numbers, Texts
from gannet.errors import GannetError

MOST_LEVELS_COUNTED = 1_000_000
"""Texts of more levels than this name rows, or are judged by the sample alone."""


@dataclass(frozen=True)
class Tallied(Texts):
    """Texts of a sample with the rows of each level in the whole table."""

    tally: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return self.tally


@dataclass(frozen=True)
class Survey:
    """What is known of a large table after one reading."""

    columns: list[Raw]
    """The sample, column by column."""
    largest: dict[str, float]
    """The largest of all values of each column of numbers."""
    fingerprint: str
    copies: int
    """Rows that equal another one before them."""

    def exact(self, column: Column) -> Column:
        """A column's encoder, fitted to the sample, with what is known of all rows."""
        if isinstance(column, Identifier) and column.numeric:
            return replace(column, last=int(self.largest[column.name]))
        return column


def survey(batches: Iterable[list[Raw]], names: Sequence[str], chosen: np.ndarray) -> Survey:
    """Read all batches of columns once; `chosen` are the numbers of the rows [n] of the sample, ascending.

    Rows with the first missing or infinite value of a column join the sample, so that none is overlooked.
    """
    gathered = [_Gathered(name) for name in names]
    first, countable = 0, True
    hashes: list[np.ndarray] = []
    for raws in batches:
        count = len(raws[0].values)
        inside = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, first + count)] - first
        odd = [row for column, raw in zip(gathered, raws, strict=True) for row in column.odd_rows(raw)]
        rows = np.unique(np.concatenate([inside, np.array(odd, dtype=np.int64)]))
        bits = [column.add(raw, rows) for column, raw in zip(gathered, raws, strict=True)]
        known = [part for part in bits if part is not None]
        # A column of a million different texts hardly leaves two rows that are equal.
        countable = countable and len(known) == len(bits)
        hashes = [*hashes, mixed(known)] if countable else []
        first += count
    digest = hashlib.sha256()
    for column in gathered:
        name = column.name.encode()
        digest.update(len(name).to_bytes(4, "little") + name + column.digest.digest())
    copies = 0 if not hashes else first - len(np.unique(np.concatenate(hashes)))
    largest = {column.name: column.largest for column in gathered}
    return Survey([column.sample() for column in gathered], largest, digest.hexdigest(), copies)


def mixed(bits: Sequence[np.ndarray]) -> np.ndarray:
    """A 64-bit hash [n] of rows, from the bits int64 [n] of each of their columns."""
    out = np.zeros(len(bits[0]), dtype=np.uint64)
    for part in bits:
        out = (out ^ part.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        out ^= out >> np.uint64(29)
    return out


@dataclass
class _Gathered:
    """One column as it passes by."""

    name: str
    parts: list[Any] = field(default_factory=list)
    raw: Raw | None = None
    """The latest batch: it says of what type the column is."""
    book: Codebook | None = field(default_factory=Codebook)
    tally: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    digest: Any = field(default_factory=hashlib.sha256)
    largest: float = -np.inf
    seen: set[str] = field(default_factory=set)
    """The oddities that the sample holds already."""

    def odd_rows(self, raw: Raw) -> list[int]:
        """First rows with a missing or infinite value, if the sample holds none yet."""
        if isinstance(raw.values, Numbers):
            array = raw.values.array
            masks = {"missing": np.isnan(array), "above": array == np.inf, "below": array == -np.inf}
        else:
            masks = {"missing": raw.values.missing if isinstance(raw.values, Texts) else np.isnat(_moments(raw))}
        fresh = [name for name, mask in masks.items() if name not in self.seen and mask.any()]
        self.seen.update(fresh)
        return [int(masks[name].argmax()) for name in fresh]

    def add(self, raw: Raw, rows: np.ndarray) -> np.ndarray | None:
        """Take a batch in, with `rows` for the sample; returns bits int64 [n] that tell its rows apart, if any."""
        if self.raw is not None and type(self.raw.values) is not type(raw.values):
            raise GannetError(
                f"column {self.name!r}: some of its integers are beyond 2^53; save it as text, or drop it"
            )
        self.raw = raw
        if isinstance(raw.values, Texts):
            self.parts.append(_compact(raw.values.take(rows)))
            levels = "\0".join(raw.values.levels).encode("utf-8", "surrogatepass")
            self.digest.update(raw.values.codes.astype("<i4").tobytes() + levels)
            return self._counted(raw.values)
        if isinstance(raw.values, Numbers):
            array = np.where(raw.values.missing, np.nan, raw.values.array + 0.0)
            self.largest = max(self.largest, float(np.nanmax(array, initial=-np.inf)))
        else:
            array = _moments(raw)
        self.digest.update(array.astype(f"<{array.dtype.kind}8").tobytes())
        self.parts.append(array[rows])
        return array.view(np.int64)

    def _counted(self, values: Texts) -> np.ndarray | None:
        """Codes [n] into the levels of all batches so far; None when these are too many."""
        if self.book is None:
            return None
        table = np.array([*map(self.book.__getitem__, values.levels), -1], dtype=np.int64)
        codes = table[values.codes]
        grown = np.bincount(codes[codes >= 0], minlength=len(self.book))
        grown[: len(self.tally)] += self.tally
        self.tally = grown
        if len(self.book) > MOST_LEVELS_COUNTED:
            self.book = None
        return codes

    def sample(self) -> Raw:
        """The sample of this column."""
        assert self.raw is not None
        if not isinstance(self.raw.values, Texts):
            joined = np.concatenate(self.parts)
            return replace(self.raw, values=Numbers(joined) if isinstance(self.raw.values, Numbers) else joined)
        book = Codebook() if self.book is None else self.book
        codes = [np.array([*map(book.__getitem__, part.levels), -1], dtype=np.int64)[part.codes] for part in self.parts]
        joined = np.concatenate(codes)
        whole = Texts(joined, list(book)) if self.book is None else Tallied(joined, list(book), self.tally)
        return replace(self.raw, values=whole)


def _moments(raw: Raw) -> np.ndarray:
    assert isinstance(raw.values, np.ndarray)
    return raw.values


def _compact(values: Texts) -> Texts:
    """The same texts without the levels that do not stand in them."""
    used = np.unique(values.codes[values.codes >= 0])
    recode = np.full(len(values.levels) + 1, -1, dtype=np.int64)
    recode[used] = np.arange(len(used))
    return Texts(recode[values.codes], [values.levels[index] for index in used.tolist()])
