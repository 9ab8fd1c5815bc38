"""Gaps in rows, each row's own, filled in one pass by a generator that writes token by token.

What is known of a row stands first, in the order of the data, then its gaps, as in `RowGenerator.write(known=...)`;
here every row may have others. `filled_tokens(generator, tokens, known, uniform)` -> tokens [n, tokens].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from gannet.networks.autoregressive import EMBEDDING, RowGenerator, inverse_draw
from gannet.networks.tokens import Tokens
from gannet.spec import Wish


def features_of(tokens: Tokens) -> list[int]:
    """For every token, a feature of the block that it tells."""
    features = [-1 if start is None else start for start in tokens.starts]
    for number in tokens.numbers:
        for token in range(number.token, number.token + (1 if number.group is None else 2)):
            features[token] = number.feature
    return features


@torch.no_grad()
def filled_tokens(
    generator: RowGenerator,
    values: Tensor,
    known: Tensor,
    uniform: Tensor,
    condition: Tensor | None = None,
    wish: Wish | None = None,
) -> Tensor:
    """Tokens int64 [n, tokens] with those not marked in `known` [n, tokens] drawn, given the known ones of their row.

    `uniform` [n, tokens or more] is the noise, `wish` limits what is drawn.
    """
    values, limits = values.clone(), generator._limits(wish or Wish())
    first, layers = generator.first, [layer for layer in generator.layers if isinstance(layer, nn.Linear)]
    embedded = (generator.embedded(values).view(*values.shape, EMBEDDING) * known[:, :, None]).flatten(1)
    given = None if generator.condition is None else generator.condition(condition)
    active, heads = _known_units(generator, embedded, known, given), generator.heads.plain()
    for token in range(values.shape[1]):
        rows = (~known[:, token]).nonzero()[:, 0]
        if not len(rows):
            continue
        own = slice(token * generator.units, (token + 1) * generator.units)
        hidden = torch.addmm(first.bias[own], embedded[rows], first.weight[own].T)
        if given is not None:
            hidden = hidden + given[rows][:, own]
        # What is not written yet is zero and says nothing.
        for units, layer in zip(active, layers, strict=True):
            units[rows, own] = gelu(hidden)
            hidden = hidden + torch.addmm(layer.bias[own], units[rows], layer.weight[own].T)
        weight, bias = heads[token]
        shares = torch.addmm(bias, gelu(hidden), weight).softmax(1)
        if token in limits:
            shares = shares * limits[token].of(values[rows])
        drawn = inverse_draw(shares, uniform[rows, token])
        values[rows, token] = drawn
        embedded[rows, token * EMBEDDING : (token + 1) * EMBEDDING] = generator.embeddings(
            drawn + generator.tokens.offsets[token]
        )
    return values


def _known_units(generator: RowGenerator, embedded: Tensor, known: Tensor, given: Tensor | None) -> list[Tensor]:
    """The active units [n, units] of each layer for the tokens that are known, which read known ones before them."""
    earlier, not_later = generator._masks(range(known.shape[1]))
    groups = known.repeat_interleave(generator.units, dim=1)
    hidden = linear(embedded, generator._masked(generator.first.weight, earlier, EMBEDDING), generator.first.bias)
    hidden = hidden if given is None else hidden + given
    active = []
    for layer in generator.layers:
        assert isinstance(layer, nn.Linear)
        active.append(gelu(hidden) * groups)
        hidden = hidden + linear(active[-1], generator._masked(layer.weight, not_later, generator.units), layer.bias)
    return active
