"""Rows of a table as they are asked for: written so by a recipe that answers, else chosen among those that are drawn.

`rows_where(model, {"age": "25..40"}, n, seed)` and `rows_in_shares(model, ...)` -> a table. Every row is decoded,
looked at and, where it is not as asked, drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gannet.balance import FRUITLESS, draw_until, quotas
from gannet.domains.columns import Choice
from gannet.domains.table_column import spell_one
from gannet.domains.table_values import Values, spell
from gannet.domains.table_where import nearest_level
from gannet.domains.table_wishes import Asking, joined
from gannet.domains.tables import Tables
from gannet.errors import GannetError, did_you_mean
from gannet.order import mixed_seed, reseed

if TYPE_CHECKING:
    from gannet.model import Model

CANDIDATES = 4
"""Conditions offered for each row, where the generator has conditions and is asked for more."""
COMMON = 0.5
"""Where this share of all rows is as asked for, rows are chosen: that costs no more, and is exact."""
TRIES = 200
"""Rows drawn for each row wanted before it is given up."""
ROUNDS = 20
"""Times that rows are told apart and looked at again."""
MOST_GROUPS = 100


def rows_where(model: Model, where: Mapping[str, Any], n: int, seed: int, truncation: float | None, chunk: int) -> Any:
    """`n` rows, all of which meet `where`. Raises GannetError for what is impossible or too rare."""
    drawer = Drawer(model, tables(model).asking(where), seed, truncation, chunk)
    return tables(model).built(drawer.rows(n))


def tables(model: Model) -> Tables:
    """The domain of a model of tables."""
    assert isinstance(model.domain, Tables)
    return model.domain


@dataclass
class Drawer:
    """Draws rows that are as asked, chunk by chunk; row i of a seed is the same however many are drawn."""

    model: Model
    asking: Asking
    seed: int
    truncation: float | None
    chunk: int

    def __post_init__(self) -> None:
        self.drawn = self.met = 0
        self.common = False
        self._batches = self._good()

    @property
    def by_wish(self) -> bool:
        """Whether the recipe can be asked; if not, rows are chosen among those that it makes anyway."""
        wish = self.asking.wish
        return self.model.recipe.answers and bool(wish.levels or wish.ranges)

    def rows(self, n: int) -> list[Values]:
        """`n` rows as columns, told apart where they must be unique."""
        domain, kept = tables(self.model), self.some(n)
        for _ in range(ROUNDS):
            kept = domain.apart(kept, self.seed)
            good = np.flatnonzero(self.asking.meets(kept))
            if len(good) == n:
                return kept
            kept = _below([[content.take(good) for content in kept], self.some(n - len(good))])
        raise GannetError(f"where {self.asking.text}: not enough different rows are so; ask for fewer")

    def some(self, n: int) -> list[Values]:
        """The next `n` rows as columns."""
        parts: list[list[Values]] = []
        while n:
            batch = next(self._batches)
            take = min(n, len(batch[0]))
            parts.append([content.take(np.arange(take)) for content in batch])
            n -= take
        return _below(parts)

    def batch(self, number: int) -> list[Values]:
        """The rows of one chunk that are as asked."""
        batch = self.asking.settled(tables(self.model).values(*self._draw(number)))
        good = np.flatnonzero(self.asking.meets(batch))
        self.drawn, self.met = self.drawn + len(batch[0]), self.met + len(good)
        if number == 0:
            self.common = len(good) >= COMMON * len(batch[0])
        if not len(good) and self.drawn >= max(FRUITLESS, TRIES * self.met):
            self._too_rare(batch)
        return batch if len(good) == len(batch[0]) else [content.take(good) for content in batch]

    def _good(self) -> Iterator[list[Values]]:
        """Batch after batch of rows that are as asked. Raises GannetError when they are too rare."""
        for number in count():
            batch = self.batch(number)
            if len(batch[0]):
                yield batch

    def _too_rare(self, batch: Sequence[Values]) -> None:
        followed = f" ({', '.join(self.asking.chosen)}: made from other columns)" if self.asking.chosen else ""
        other = (
            "" if self.model.recipe.answers else ", or train with --recipe maligan, which any column can be asked of"
        )
        raise GannetError(
            f"where {self.asking.text}: only {self.met:,} of {self.drawn:,} rows drawn are so, rarest is "
            f"{self.asking.rarest(batch)}{followed}; ask for less at once{other}"
        )

    def _draw(self, number: int) -> tuple[Tensor, Tensor | None]:
        """The samples of one chunk and their conditions; the first is of all rows, to see how many are as asked."""
        model, seed = self.model, mixed_seed(self.seed, "where", number)
        by_wish = self.by_wish and number > 0 and not self.common
        offered = self.chunk * (CANDIDATES if by_wish else 1)
        condition = None
        if model.prior is not None:
            condition = model.prior.draw(offered, mixed_seed(seed, "condition"), self.asking.given).to(model.device)
        truncation = 1.0 if self.truncation is None else self.truncation
        with torch.random.fork_rng(), torch.no_grad():
            reseed(seed, model.device)
            if by_wish:
                samples, condition, _ = model.recipe.wished(self.chunk, self.asking.wish, condition, truncation)
                # Rows that share their beginning stand side by side; a few of them should be as various as all.
                order = torch.randperm(self.chunk, device=samples.device)
                samples, condition = samples[order], None if condition is None else condition[order]
            else:
                samples = model.recipe.generate(self.chunk, condition, truncation)
        return samples.cpu(), None if condition is None else condition.cpu()


def _below(parts: Sequence[list[Values]]) -> list[Values]:
    return [joined(column) for column in zip(*parts, strict=True)]


# ------------------------------------------------------------------------------------------------- wanted shares


@dataclass(frozen=True)
class Split:
    """A column whose groups shall have shares: what they are called, and how many rows each gets."""

    column: int
    counts: Mapping[str | None, int]
    """By the group as the column spells it; None: any other."""


def rows_in_shares(
    model: Model,
    balance: str | None,
    shares: Mapping[str, float],
    where: Mapping[str, Any],
    n: int,
    seed: int,
    truncation: float | None,
    chunk: int,
) -> Any:
    """`n` rows in random order of which each group has its share, exactly; within a group they are as the model's."""
    domain, split = tables(model), _split(model, balance, shares, n, seed, truncation, chunk)
    name = domain.names[split.column]
    if name in where:
        raise GannetError(f"{name}: give one of where, balance and shares for one column: each decides what comes")
    groups = _groups(domain, split.column)
    if model.recipe.answers and groups is not None:
        parts = []
        for number, (group, amount) in enumerate(split.counts.items()):
            asked = _left(domain, split, groups) if group is None else [group]
            if amount:
                asking = domain.asking({**where, name: asked})
                parts.append(Drawer(model, asking, mixed_seed(seed, "share", number), truncation, chunk).some(amount))
    else:
        drawer = Drawer(model, domain.asking(where), mixed_seed(seed, "share"), truncation, chunk)
        kept = draw_until(
            drawer.batch,
            lambda batch: _spelled(domain, split.column, batch),
            split.counts,
            most=max(TRIES * n, FRUITLESS),
        )
        parts = [[content.take(positions) for content in batch] for batch, positions in kept]
    order = np.random.default_rng(mixed_seed(seed, "order")).permutation(n)
    return domain.built(domain.apart([content.take(order) for content in _below(parts)], seed))


def _split(
    model: Model,
    balance: str | None,
    shares: Mapping[str, float],
    n: int,
    seed: int,
    truncation: float | None,
    chunk: int,
) -> Split:
    """The column and the rows of each group. Raises GannetError for unknown columns and groups."""
    domain = tables(model)
    pairs = {group: _parted(domain, group) for group in shares}
    names = [balance] if balance is not None else list(dict.fromkeys(name for name, _ in pairs.values()))
    if len(names) > 1:
        raise GannetError(
            f"{' and '.join(names)}: shares of several columns at once need a run trained with condition=...; "
            "give shares of one column"
        )
    if names[0] not in domain.names:
        raise GannetError(f"no column {names[0]!r}; {did_you_mean(names[0], domain.names)}")
    column = domain.names.index(names[0])
    known = _groups(domain, column)
    if known is None:
        drawer = Drawer(model, domain.asking({}), mixed_seed(seed, "share"), truncation, chunk)
        known = sorted({text for text in _spelled(domain, column, drawer.batch(0)) if text is not None})
        if len(known) > MOST_GROUPS and not shares:
            raise GannetError(f"balance={balance}: {len(known):,} different values; give a column of few classes")
        return Split(
            column, quotas({level: 1 / len(known) for level in known} if balance else dict(_plain(pairs, shares)), n)
        )
    if balance is not None:
        if len(known) > MOST_GROUPS:
            raise GannetError(f"balance={balance}: {len(known):,} different values; give a column of few classes")
        return Split(column, quotas({level: 1 / len(known) for level in known}, n))
    return Split(column, quotas({_named(domain, column, pairs[group][1], known): shares[group] for group in shares}, n))


def _left(domain: Tables, split: Split, groups: Sequence[str]) -> list[str | None]:
    """The groups without a share of their own, a missing one among them."""
    encoder = domain.columns[split.column]
    left: list[str | None] = [group for group in groups if group not in split.counts]
    return [*left, None] if isinstance(encoder, Choice) and encoder.missing else left


def _plain(pairs: Mapping[str, tuple[str, str]], shares: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((level, shares[group]) for group, (_, level) in pairs.items())


def _named(domain: Tables, column: int, level: str, known: Sequence[str]) -> str:
    """A group as its column spells it: yes and true may be one. Raises GannetError for an unknown one."""
    name = domain.names[column]
    (wanted,) = domain.asking({name: level}).demands
    for each in known:
        if domain.asking({name: [each]}).demands[0].same(wanted):
            return each
    raise GannetError(f"share {name}={level}: no such level; {nearest_level(level, known)}")


def _parted(domain: Tables, group: str) -> tuple[str, str]:
    """`sex=Female` -> column and level; names and levels may hold `=` themselves."""
    for name in sorted(domain.names, key=len, reverse=True):
        if group.startswith(name + "="):
            return name, group[len(name) + 1 :]
    name = group.partition("=")[0]
    raise GannetError(f"share {group!r}: there is no column {name!r}; {did_you_mean(name, domain.names)}")


def _groups(domain: Tables, column: int) -> list[str] | None:
    """The levels of a class column as the user writes them; None where they are not known before rows are drawn."""
    encoder = domain.columns[column]
    if not isinstance(encoder, Choice) or domain.names[column] in domain.hidden:
        return None
    return _texts(domain, column, [*encoder.levels, *encoder.rare])


def _spelled(domain: Tables, column: int, batch: Sequence[Values]) -> list[str | None]:
    return spell(batch[column], domain.forms[column]).tolist()


def _texts(domain: Tables, column: int, levels: Sequence[str | float]) -> list[str]:
    form = domain.forms[column]
    return [level if isinstance(level, str) else spell_one(level, form) for level in levels]
