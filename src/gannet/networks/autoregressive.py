"""A generator that writes a row token by token, each drawn from what the tokens before it make likely.

A masked perceptron (MADE, Germain et al. 2015) with a group of units for every token: group j reads the tokens before j
alone, in any order one wishes, so that one pass gives the likelihood of a whole row, and writing a row costs one pass
too. Noise [n, latent] is turned into tokens by the inverse of each distribution function.
`generator = RowGenerator(spec, count=1000, units=16)`; `generator(noise)`, `generator.log_likelihood(tokens, order)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear

from gannet.networks.heads import embedding
from gannet.networks.tokens import Leaves, Tokens
from gannet.portion import dropped
from gannet.spec import Range, Spec, Wish

EMBEDDING = 8
"""Width of a token's embedding."""
DEPTH = 2
"""Residual layers."""
WIDEST = 2048
"""Units of a layer; tables of many columns get fewer units a token."""
PADDED = 64
"""Levels up to which the heads of tokens share one block."""
WAVES = 8
"""Slow waves over the levels of a number."""
LEAST = 1e-30
"""Below it a wish counts as impossible."""


class RowGenerator(nn.Module):
    """Noise [n, latent] and conditions [n, width] -> flat samples [n, features] with one-hot choices."""

    def __init__(self, spec: Spec, *, count: int, units: int, dropout: float = 0.0) -> None:
        super().__init__()
        assert spec.blocks is not None, "rows are made of blocks"
        self.tokens = Tokens(spec.blocks, count)
        length = len(self.tokens)
        self.units = max(4, min(units, WIDEST // length))
        width, embedded = length * self.units, length * EMBEDDING
        self.embeddings = nn.Embedding(self.tokens.levels, EMBEDDING)
        self.condition = None if spec.condition is None else embedding(spec.condition, width)
        self.first = nn.Linear(embedded, width)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(DEPTH)])
        # A group reads half of the others on average.
        nn.init.normal_(self.first.weight, 0.0, sqrt(2 / embedded))
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, 0.0, 0.5 * sqrt(2 / width))
            nn.init.zeros_(layer.bias)
        self.heads = Heads(self.tokens.sizes, self.units, self.tokens.ordered)
        self._smoothen()
        self.dropout = nn.Dropout(dropout)

    @torch.no_grad()
    def _smoothen(self) -> None:
        """Levels of a number that lie side by side begin with embeddings that do."""
        for token in self.tokens.ordered:
            size, start = self.tokens.sizes[token], int(self.tokens.offsets[token])
            drawn = torch.randn(EMBEDDING, WAVES) / torch.arange(1, WAVES + 1) @ waves(size)
            drawn = drawn / drawn.std(1, correction=0, keepdim=True).clamp(min=0.1)
            self.embeddings.weight[start : start + size] = drawn.T + 0.1 * torch.randn(size, EMBEDDING)

    @property
    def latent(self) -> int:
        """Width of the noise: a number a token, and one for the place within each number's leaf."""
        return len(self.tokens) + len(self.tokens.numbers)

    # -- likelihood -----------------------------------------------------------------------------------------------

    def log_likelihood(self, values: Tensor, order: Sequence[int], condition: Tensor | None = None) -> Tensor:
        """log p of each token given those before it in `order`: tokens int64 [n, tokens] -> [n, tokens]."""
        return self.log_likelihood_of(self.embedded(values), values, order, condition)

    def embedded(self, values: Tensor) -> Tensor:
        """Tokens int64 [n, tokens] -> their embeddings side by side [n, tokens * width]."""
        return self.embeddings(values + self.tokens.offsets).flatten(1)

    def log_likelihood_of(
        self, embedded: Tensor, values: Tensor, order: Sequence[int], condition: Tensor | None = None
    ) -> Tensor:
        """`log_likelihood` of tokens whose embeddings are given."""
        earlier, not_later = self._masks(order)
        hidden = linear(embedded, self._masked(self.first.weight, earlier, EMBEDDING), self.first.bias)
        if self.condition is not None:
            hidden = hidden + self.condition(condition)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            active = gelu(hidden)
            active = dropped(active, self.dropout.p) if self.training else active
            hidden = hidden + linear(active, self._masked(layer.weight, not_later, self.units), layer.bias)
        return self.heads(gelu(hidden).view(len(values), len(self.tokens), self.units), values)

    def _masks(self, order: Sequence[int]) -> tuple[Tensor, Tensor]:
        """[tokens, tokens] each: which tokens stand before a token, and which do not stand after it."""
        device = self.first.weight.device
        rank = torch.empty(len(order), device=device)
        rank[torch.tensor(order, device=device)] = torch.arange(len(order), dtype=torch.float32, device=device)
        return (rank[:, None] > rank).float(), (rank[:, None] >= rank).float()

    def _masked(self, weight: Tensor, mask: Tensor, width: int) -> Tensor:
        """A weight [tokens * units, tokens * width] with what a group may not read set to zero."""
        length = len(self.tokens)
        return (weight.view(length, self.units, length, width) * mask[:, None, :, None]).view_as(weight)

    # -- order ----------------------------------------------------------------------------------------------------

    def first_these(self, given: Sequence[int]) -> list[int]:
        """The order that begins with the given tokens and what their fine tokens need; both parts as in the data."""
        chosen = set(given)
        begin = [token for token in range(len(self.tokens)) if token in chosen]
        return begin + [token for token in range(len(self.tokens)) if token not in chosen]

    def drawn_order(self) -> list[int]:
        """Half the time the data's own order, else any of the columns first: what conditions and gaps will ask for."""
        parents = self.tokens.parents
        draw = torch.rand(len(self.tokens) + 2)
        if draw[-1] < 0.5:
            return list(range(len(self.tokens)))
        share = float(draw[-2])
        return self.first_these(
            [token for token, parent in enumerate(parents) if draw[token if parent is None else parent] < share]
        )

    # -- writing --------------------------------------------------------------------------------------------------

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Standard normal noise [n, latent] -> samples [n, features]."""
        return self.write(torch.special.ndtr(latent), condition)[0]

    @torch.no_grad()
    def write(
        self,
        uniform: Tensor,
        condition: Tensor | None = None,
        *,
        wish: Wish | None = None,
        known: tuple[Tensor, Sequence[int]] | None = None,
        rows: int | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Uniform noise [n, latent] -> samples [rows, features], and the logarithm [n] of how likely the wish was.

        `known` gives tokens int64 [n, tokens] and which of them are to be kept; `wish` limits others. Both are written
        first. Where the wish is likelier after some beginnings than after others, `rows` of the n are drawn by that
        (sampling importance resampling, Rubin 1987), which makes rows as frequent as they are among those that meet
        the wish. Below 1, `temperature` makes likely tokens likelier. Not differentiable: tokens are drawn.
        """
        wish = wish or Wish()
        limits = self._limits(wish)
        kept = [] if known is None else list(known[1])
        begin = [*kept, *[token for token in limits if token not in kept]]
        order = begin + [token for token in range(len(self.tokens)) if token not in begin]
        values = torch.zeros(len(uniform), len(self.tokens), dtype=torch.long, device=uniform.device)
        if known is not None:
            values[:, kept] = known[0][:, kept]
        chances = torch.zeros(len(uniform), device=uniform.device)
        writer = _Writer(self, order, len(uniform), condition)
        for at, token in enumerate(order):
            if rows is not None and at == len(begin):
                chosen = resampled(chances, rows) if condition is None else resampled_each(chances, rows)
                values, uniform = values[chosen], uniform[:rows]
                writer.keep(chosen)
            group = writer.next_group()
            if token not in kept:
                shares = (writer.logits(group) / temperature).softmax(1)
                if token in limits:
                    shares = shares * limits[token].of(values)
                    chances = chances + shares.sum(1).clamp(min=LEAST).log()
                values[:, token] = inverse_draw(shares, uniform[:, token])
            writer.append(values[:, token])
        return self.tokens.write(values, uniform[:, len(self.tokens) :], wish.ranges), chances

    def _limits(self, wish: Wish) -> dict[int, _Limit]:
        """The wish token by token: those of choices before those of numbers, coarse before fine."""
        device, choices = self.first.weight.device, self.tokens.starts
        limits = {
            choices.index(feature): _Limit(torch.tensor(weights, dtype=torch.float32, device=device))
            for feature, weights in wish.levels.items()
        }
        for number in self.tokens.numbers:
            if number.feature in wish.ranges:
                asked = wish.ranges[number.feature]
                when = None if asked.when is None else (choices.index(asked.when[0]), asked.when[1])
                weights = self._overlaps(number, asked)
                if number.group is None:
                    limits[number.token] = _Limit(weights, when=when)
                else:
                    padded = weights.new_zeros(self.tokens.sizes[number.token] * number.group)
                    padded[: len(weights)] = weights
                    fine = padded.view(-1, number.group)
                    limits[number.token] = _Limit((fine > 0).any(1).float(), when=when)
                    limits[number.token + 1] = _Limit(fine, coarse=number.token, when=when)
        return limits

    def _overlaps(self, number: Leaves, asked: Range) -> Tensor:
        """The share [leaves] of each leaf that lies in a range."""
        edges = self.tokens.edges(number)
        overlap = (edges[1:].clamp(max=asked.high) - edges[:-1].clamp(min=asked.low)).clamp(min=0)
        return overlap / (edges[1:] - edges[:-1]).clamp(min=1e-9)


class Heads(nn.Module):
    """From each token's group of units to the logits of its levels, in as few operations as there are widths.

    Heads of few levels lie in one padded block; those of many have blocks of their own. The head of an `ordered` token
    is a sum of slow waves over its levels and of free weights, so that neighbours learn from each other.
    All begin at zero.
    """

    def __init__(self, sizes: Sequence[int], units: int, ordered: Sequence[int] = ()) -> None:
        super().__init__()
        widths = [PADDED if size <= PADDED else size for size in sizes]
        self.blocks = [[t for t, wide in enumerate(widths) if wide == width] for width in sorted(set(widths))]
        """The tokens of each block."""
        self.places = {token: (at, row) for at, tokens in enumerate(self.blocks) for row, token in enumerate(tokens)}
        shapes = [(len(tokens), max(sizes[token] for token in tokens)) for tokens in self.blocks]
        self.free = nn.ParameterList([torch.zeros(count, units, width) for count, width in shapes])
        self.slow = nn.ParameterList([torch.zeros(count, units, WAVES) for count, _ in shapes])
        self.biases = nn.ParameterList([torch.zeros(count, width) for count, width in shapes])
        self.sizes = list(sizes)
        for at, (tokens, (_, width)) in enumerate(zip(self.blocks, shapes, strict=True)):
            padding, basis = torch.zeros(len(tokens), width), torch.zeros(len(tokens), WAVES, width)
            for row, token in enumerate(tokens):
                padding[row, sizes[token] :] = -torch.inf
                if token in ordered:
                    basis[row, :, : sizes[token]] = waves(sizes[token])
            self.register_buffer(f"padding_{at}", padding, persistent=False)
            self.register_buffer(f"basis_{at}", basis, persistent=False)

    def weights(self, at: int) -> Tensor:
        """The heads [tokens, units, levels] of a block."""
        return torch.baddbmm(self.free[at], self.slow[at], getattr(self, f"basis_{at}"))

    def forward(self, groups: Tensor, values: Tensor) -> Tensor:
        """log p [n, tokens] of tokens int64 [n, tokens], from units [n, tokens, units]."""
        lines = []
        for at, tokens in enumerate(self.blocks):
            padded = self.biases[at] + getattr(self, f"padding_{at}")
            logits = torch.baddbmm(padded[:, None], groups[:, tokens].transpose(0, 1), self.weights(at))
            wanted = values[:, tokens].T.flatten()
            lines.append(-cross_entropy(logits.flatten(0, 1), wanted, reduction="none").view(len(tokens), -1))
        order = [token for tokens in self.blocks for token in tokens]
        return torch.cat(lines)[sorted(range(len(order)), key=order.__getitem__)].T

    def logits(self, token: int, group: Tensor) -> Tensor:
        """Logits [n, levels] of one token, from its units [n, units]."""
        (at, row), size = self.places[token], self.sizes[token]
        weight = torch.addmm(self.free[at][row], self.slow[at][row], getattr(self, f"basis_{at}")[row])
        return torch.addmm(self.biases[at][row, :size], group, weight[:, :size])

    def plain(self) -> list[tuple[Tensor, Tensor]]:
        """Each token's own weights [units, levels] and bias [levels], for writing."""
        blocks = [self.weights(at) for at in range(len(self.blocks))]
        return [
            (blocks[at][row, :, :size], self.biases[at][row, :size])
            for (at, row), size in zip(
                (self.places[token] for token in range(len(self.sizes))), self.sizes, strict=True
            )
        ]


def waves(size: int) -> Tensor:
    """Cosines [waves, size] over `size` levels in order, the slowest first, of unit variance (the rows of a DCT)."""
    places = (torch.arange(size) + 0.5) / size
    return torch.stack([sqrt(2) * torch.cos(pi * wave * places) for wave in range(1, WAVES + 1)])


@dataclass(frozen=True)
class _Limit:
    """What a token may be: weights [levels], or [coarse levels, levels] after each level of its coarse token."""

    weights: Tensor
    coarse: int | None = None
    when: tuple[int, int] | None = None
    """The token and the level that it must have for the limit to hold; None where it always does."""

    def of(self, values: Tensor) -> Tensor:
        """The weights of the token's levels [n or 1, levels], after the tokens already written [n, tokens]."""
        weights = self.weights[None] if self.coarse is None else self.weights[values[:, self.coarse]]
        if self.when is None:
            return weights
        token, level = self.when
        return torch.where((values[:, token] == level)[:, None], weights, 1.0)


class _Writer:
    """The units of a batch of rows, computed group by group as the tokens become known."""

    def __init__(self, network: RowGenerator, order: Sequence[int], count: int, condition: Tensor | None) -> None:
        device = network.first.weight.device
        self.network, self.order, self.at, self.heads = network, order, 0, network.heads.plain()
        units, embedded = _spread(order, network.units, device), _spread(order, EMBEDDING, device)
        layers = [network.first, *network.layers]
        self.first, *self.layers = [
            _taken(layer, units, embedded if layer is network.first else units)
            for layer in layers
            if isinstance(layer, nn.Linear)
        ]
        given = None if network.condition is None else network.condition(condition)
        self.given = given if given is None or units is None else given[:, units]
        self.embedded = torch.zeros(count, len(order) * EMBEDDING, device=device)
        self.active = [torch.zeros(count, len(order) * network.units, device=device) for _ in self.layers]

    def next_group(self) -> Tensor:
        """The last layer's units [n, units] of the next token, from all tokens written so far."""
        units, embedded = self.network.units, self.at * EMBEDDING
        own, until = slice(self.at * units, (self.at + 1) * units), (self.at + 1) * units
        weight, bias = self.first
        hidden = torch.addmm(bias[own], self.embedded[:, :embedded], weight[own, :embedded].T)
        if self.given is not None:
            hidden = hidden + self.given[:, own]
        for active, (weight, bias) in zip(self.active, self.layers, strict=True):
            active[:, own] = gelu(hidden)
            hidden = hidden + torch.addmm(bias[own], active[:, :until], weight[own, :until].T)
        return gelu(hidden)

    def logits(self, group: Tensor) -> Tensor:
        """Logits [n, levels] of the next token, from its group of units."""
        weight, bias = self.heads[self.order[self.at]]
        return torch.addmm(bias, group, weight)

    def append(self, values: Tensor) -> None:
        """Write the next token int64 [n] down."""
        start, offset = self.at * EMBEDDING, self.network.tokens.offsets[self.order[self.at]]
        self.embedded[:, start : start + EMBEDDING] = self.network.embeddings(values + offset)
        self.at += 1

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows (indices, perhaps repeated) alone."""
        self.embedded, self.active = self.embedded[rows], [active[rows] for active in self.active]
        self.given = None if self.given is None else self.given[rows]


def _spread(order: Sequence[int], width: int, device: torch.device) -> Tensor | None:
    """The places of groups of `width` units in an order of their tokens; None for the tokens' own order."""
    if list(order) == list(range(len(order))):
        return None
    starts = torch.tensor(order, device=device) * width
    return (starts[:, None] + torch.arange(width, device=device)).flatten()


def _taken(layer: nn.Linear, rows: Tensor | None, columns: Tensor | None) -> tuple[Tensor, Tensor]:
    """A layer's weight and bias with their rows and columns in another order."""
    if rows is None or columns is None:
        return layer.weight, layer.bias
    return layer.weight[rows][:, columns], layer.bias[rows]


def inverse_draw(shares: Tensor, uniform: Tensor) -> Tensor:
    """A level int64 [n] by weights [n, levels] (they need not add up to 1) and uniform numbers [n]."""
    reached = shares.cumsum(1)
    level = (reached <= uniform[:, None] * reached[:, -1:]).sum(1).clamp(max=shares.shape[1] - 1)
    # Rounding may step past the last level of any weight: the likeliest one has some.
    return torch.where(shares.gather(1, level[:, None])[:, 0] > 0, level, shares.argmax(1))


def resampled(chances: Tensor, count: int) -> Tensor:
    """`count` indices int64 drawn in proportion to weights of which the logarithms [n] are given (systematically)."""
    ends = (chances - chances.max()).exp().double().cumsum(0)
    marks = (torch.arange(count, device=chances.device) + torch.rand((), device=chances.device)) / count
    return torch.searchsorted(ends, marks.double() * ends[-1]).clamp(max=len(ends) - 1)


def resampled_each(chances: Tensor, count: int) -> Tensor:
    """The same for rows that must stay what they are: row i is one of i, i + count, i + 2 count, ..."""
    several = chances.view(-1, count)
    drawn = (several - torch.empty_like(several).exponential_().log()).argmax(0)
    return drawn * count + torch.arange(count, device=chances.device)
