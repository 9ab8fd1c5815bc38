"""A flat sample as a short sentence of tokens: one a choice, one or two a number, and back.

A number in [-1, 1] is a leaf of a fine grid - the stretches of its distinct values where the data told them, else
stretches of equal length - and a leaf beyond `MOST_SHORT` is told by two tokens, coarse and fine, as the digits of a
number are. `tokens = Tokens(spec.blocks, count)`; `tokens.read(samples)`, `tokens.write(values, places)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from torch import Tensor, nn

from gannet.spec import Block, Range

MOST_LEAVES = 1024
"""The finest grid of a number."""
ROWS_PER_LEAF = 10
"""A leaf of a smooth number stands for this many rows or more, so that no leaf is a person's."""
ROWS_PER_VALUE = 4
"""Distinct values are leaves of their own where they hold this many rows on average."""
MOST_SHORT = 48
"""Leaves that one token tells; more take two."""
ASIDE = 1e-3
"""Share of a leaf at either end where no sample is placed: rounding must not push it over the edge."""


@dataclass(frozen=True)
class Leaves:
    """The grid of one number: where its tokens stand, and its leaves in groups."""

    feature: int
    """The number's feature of a flat sample."""
    token: int
    """Its first (perhaps only) token."""
    edges: tuple[float, ...]
    """The ends of the leaves, -1 and 1 among them."""
    group: int | None
    """Leaves a coarse token stands for; None where one token tells the leaf."""

    @property
    def count(self) -> int:
        return len(self.edges) - 1


class Tokens(nn.Module):
    """Where the tokens of a flat sample lie; its grids are buffers, so they move with the network."""

    def __init__(self, blocks: Sequence[Block], count: int) -> None:
        super().__init__()
        self.sizes: list[int] = []
        """Levels of each token."""
        self.parents: list[int | None] = []
        """The coarse token of a fine one; None for all others."""
        self.starts: list[int | None] = []
        """The first feature of a choice's token; None for a number's."""
        self.numbers: list[Leaves] = []
        feature = 0
        for block in blocks:
            if block.kind == "choice":
                self._add(block.width, None, feature)
            else:
                for offset in range(block.width):
                    self._add_number(feature + offset, edges_of(block.cuts, count))
            feature += block.width
        self.features = feature
        self.offsets: Tensor
        self.spell: Tensor
        self.register_buffer("offsets", torch.tensor([0, *self.sizes]).cumsum(0)[:-1], persistent=False)
        self.register_buffer("spell", self._spelling(), persistent=False)
        for number in self.numbers:
            self.register_buffer(f"edges_{number.feature}", torch.tensor(number.edges), persistent=False)

    def _add(self, size: int, parent: int | None, start: int | None) -> None:
        self.sizes.append(size)
        self.parents.append(parent)
        self.starts.append(start)

    def _add_number(self, feature: int, edges: tuple[float, ...]) -> None:
        token, leaves = len(self.sizes), len(edges) - 1
        if leaves <= MOST_SHORT:
            self._add(leaves, None, None)
            self.numbers.append(Leaves(feature, token, edges, None))
        else:
            group = ceil(sqrt(leaves))
            self._add(ceil(leaves / group), None, None)
            self._add(group, token, None)
            self.numbers.append(Leaves(feature, token, edges, group))

    def _spelling(self) -> Tensor:
        """A matrix [features, tokens] that turns one-hot features into their levels."""
        spell = torch.zeros(self.features, len(self.sizes))
        for token, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            if start is not None:
                spell[start : start + size, token] = torch.arange(size, dtype=torch.float32)
        return spell

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def levels(self) -> int:
        """Levels of all tokens together."""
        return sum(self.sizes)

    @property
    def ordered(self) -> list[int]:
        """The tokens whose levels lie in order: those of numbers."""
        return [token for token, start in enumerate(self.starts) if start is None]

    def edges(self, number: Leaves) -> Tensor:
        """The ends of a number's leaves [leaves + 1]."""
        edges = getattr(self, f"edges_{number.feature}")
        assert isinstance(edges, Tensor)
        return edges

    def read(self, samples: Tensor) -> Tensor:
        """Samples [n, features] with one-hot choices -> tokens int64 [n, tokens]."""
        values = (samples @ self.spell).round().long()
        for number in self.numbers:
            leaf = torch.bucketize(samples[:, number.feature].contiguous(), self.edges(number)[1:-1])
            if number.group is None:
                values[:, number.token] = leaf
            else:
                values[:, number.token] = leaf // number.group
                values[:, number.token + 1] = leaf % number.group
        return values

    def among(self, features: Tensor) -> list[int]:
        """The tokens that tell the features marked True [features]: whole blocks of them."""
        tokens = [token for token, start in enumerate(self.starts) if start is not None and bool(features[start])]
        for number in self.numbers:
            if bool(features[number.feature]):
                tokens += [number.token] if number.group is None else [number.token, number.token + 1]
        return sorted(tokens)

    def leaf(self, number: Leaves, values: Tensor) -> Tensor:
        """The leaf int64 [n] that tokens [n, tokens] tell of a number."""
        if number.group is None:
            return values[:, number.token]
        # A fine token beyond the last leaf of the last group stands for that leaf.
        return (values[:, number.token] * number.group + values[:, number.token + 1]).clamp(max=number.count - 1)

    def write(self, values: Tensor, places: Tensor, ranges: Mapping[int, Range] | None = None) -> Tensor:
        """Tokens [n, tokens] and places [n, numbers] in [0, 1) within the leaves -> samples [n, features].

        `ranges` narrows numbers, by their feature, to a range of [-1, 1].
        """
        samples = torch.zeros(len(values), self.features, device=values.device)
        chosen = [token for token, start in enumerate(self.starts) if start is not None]
        if chosen:
            starts = torch.tensor([self.starts[token] for token in chosen], device=values.device)
            samples.scatter_(1, values[:, chosen] + starts, 1.0)
        for position, number in enumerate(self.numbers):
            leaf, edges = self.leaf(number, values), self.edges(number)
            low, high = edges[leaf], edges[leaf + 1]
            asked = None if ranges is None else ranges.get(number.feature)
            if asked is not None:
                # Outside of its leaf a limit says nothing: it did not hold for this row.
                low, high = (
                    torch.minimum(low.clamp(min=asked.low), high),
                    torch.maximum(high.clamp(max=asked.high), low),
                )
            share = ASIDE + (1 - 2 * ASIDE) * places[:, position]
            samples[:, number.feature] = low + share * (high - low)
        return samples


class Retold(nn.Module):
    """A discriminator that is shown rows as their tokens tell them: it cannot tell rows by where in a leaf they lie."""

    def __init__(self, discriminator: nn.Module, tokens: Tokens) -> None:
        super().__init__()
        self.discriminator, self.tokens = discriminator, tokens

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits [n] of samples [n, features]; not differentiable by the samples."""
        middle = samples.new_full((len(samples), len(self.tokens.numbers)), 0.5)
        logits: Tensor = self.discriminator(self.tokens.write(self.tokens.read(samples), middle), condition)
        return logits


def edges_of(cuts: tuple[float, ...] | None, count: int) -> tuple[float, ...]:
    """The ends of a number's leaves, learned from `count` rows: its distinct values', or an even grid."""
    if cuts is not None and len(cuts) < MOST_LEAVES and count >= ROWS_PER_VALUE * (len(cuts) + 1):
        return (-1.0, *cuts, 1.0)
    leaves = max(2, min(MOST_LEAVES, count // ROWS_PER_LEAF))
    return tuple(torch.linspace(-1, 1, leaves + 1).tolist())
