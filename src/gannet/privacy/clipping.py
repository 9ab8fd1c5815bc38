"""The gradient of each row's own likelihood, held only by its norm, and sums of clipped ones (Abadi et al. 2016).

Of a linear map the gradient of row i is the outer product g_i a_i of what comes back and what went in, so its squared
norm is g_i^2 M a_i^2 under a mask M (Goodfellow 2015; Li et al. 2022), and the weighted sum over rows is one product
(Bu et al. 2023): one backward pass in all. `row_gradients(generator, tokens, order)` -> norms and `clipped_sum`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear

from gannet.networks.autoregressive import EMBEDDING, RowGenerator

HAIR = 1e-4
"""How much below the bound rows are clipped, so that rounding never lifts one above it."""


@dataclass(frozen=True)
class _Map:
    """A masked linear map: its name, what went in [n, in], what comes back [n, out], and its mask by tokens."""

    name: str
    entered: Tensor
    back: Tensor
    mask: Tensor

    def squared_norms(self) -> Tensor:
        entered, back = (self._by_token(each).square().sum(2) for each in (self.entered, self.back))
        return (back @ self.mask * entered).sum(1) + back.sum(1)

    def _by_token(self, features: Tensor) -> Tensor:
        """Features [n, tokens * units] -> [n, tokens, units]."""
        return features.view(len(features), len(self.mask), features.shape[1] // len(self.mask))

    def summed(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum over rows of the gradients of weight [out, in] and bias [out]."""
        tokens, weighted = len(self.mask), self.back * weights[:, None]
        whole = (weighted.T @ self.entered).view(tokens, self.back.shape[1] // tokens, tokens, -1)
        return (whole * self.mask[:, None, :, None]).flatten(2).flatten(0, 1), weighted.sum(0)


@dataclass(frozen=True)
class _Block:
    """Heads of one width: what went into them [tokens, n, units], and what comes back to their logits."""

    entered: Tensor
    back: Tensor
    """[tokens, n, levels]"""
    slow: Tensor
    """What comes back to the slow waves of the levels [tokens, n, waves]."""

    def squared_norms(self) -> Tensor:
        back, entered = self.back.square().sum(2), self.entered.square().sum(2)
        return ((back + self.slow.square().sum(2)) * entered + back).sum(0)

    def summed(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted sums over rows of the gradients of free weights, waves and biases."""
        weighted, entered = self.back * weights[:, None], self.entered.transpose(1, 2)
        return entered @ weighted, entered @ (self.slow * weights[:, None]), weighted.sum(1)


@dataclass(frozen=True)
class RowGradients:
    """The gradients of minus the log-likelihood of each row, by all weights of a generator."""

    embeddings: Tensor
    """The table of embeddings [levels, width]."""
    places: Tensor
    """Which embedding each token took, int64 [n, tokens]."""
    embedded: Tensor
    """What comes back to the embeddings [n, tokens, width]."""
    maps: list[_Map]
    blocks: list[_Block]

    def norms(self) -> Tensor:
        """The Euclidean norm of each row's whole gradient [n]."""
        squared = self.embedded.square().sum((1, 2))
        parts: list[_Map | _Block] = [*self.maps, *self.blocks]
        for each in parts:
            squared = squared + each.squared_norms()
        return squared.sqrt()

    def clipped_sum(self, bound: float) -> dict[str, Tensor]:
        """Parameter -> the sum over rows of gradients shortened to a norm of `bound` at most.

        A row whose gradient is not finite adds nothing.
        """
        norms = self.norms()
        finite = norms.isfinite()
        shares = torch.where(finite, (bound * (1 - HAIR) / norms.clamp(min=1e-12)).clamp(max=1.0), 0.0)
        if not bool(finite.all()):
            return self._only(finite).weighted_sum(shares[finite])
        return self.weighted_sum(shares)

    def weighted_sum(self, weights: Tensor) -> dict[str, Tensor]:
        """Parameter -> the sum over rows of weights [n] times gradients."""
        summed = torch.zeros_like(self.embeddings)
        summed.index_add_(0, self.places.flatten(), (self.embedded * weights[:, None, None]).flatten(0, 1))
        found = {"embeddings.weight": summed}
        for each in self.maps:
            found[f"{each.name}.weight"], found[f"{each.name}.bias"] = each.summed(weights)
        for at, block in enumerate(self.blocks):
            free, slow, bias = block.summed(weights)
            found |= {f"heads.free.{at}": free, f"heads.slow.{at}": slow, f"heads.biases.{at}": bias}
        return found

    def _only(self, rows: Tensor) -> RowGradients:
        maps = [_Map(each.name, each.entered[rows], each.back[rows], each.mask) for each in self.maps]
        blocks = [_Block(*(part[:, rows] for part in (each.entered, each.back, each.slow))) for each in self.blocks]
        return RowGradients(self.embeddings, self.places[rows], self.embedded[rows], maps, blocks)


def row_gradients(generator: RowGenerator, values: Tensor, order: Sequence[int]) -> RowGradients:
    """The gradients of tokens int64 [n, tokens], told in `order`; n may be 0. Without conditions and dropout."""
    assert generator.condition is None and (generator.dropout.p == 0 or not generator.training)
    earlier, not_later = generator._masks(order)
    with torch.enable_grad():
        embedded = generator.embedded(values).detach().requires_grad_()
        hidden = linear(embedded, generator._masked(generator.first.weight, earlier, EMBEDDING), generator.first.bias)
        entered, outs = [embedded], [hidden]
        for layer in generator.layers:
            assert isinstance(layer, nn.Linear)
            active = gelu(hidden)
            out = linear(active, generator._masked(layer.weight, not_later, generator.units), layer.bias)
            hidden = hidden + out
            entered.append(active)
            outs.append(out)
        groups = gelu(hidden).view(len(values), len(generator.tokens), generator.units)
        told = [groups[:, tokens].transpose(0, 1) for tokens in generator.heads.blocks]
        logits = [_logits(generator, at, each) for at, each in enumerate(told)]
        losses = [
            cross_entropy(each.flatten(0, 1), values[:, tokens].T.flatten(), reduction="sum")
            for each, tokens in zip(logits, generator.heads.blocks, strict=True)
        ]
        back = torch.autograd.grad(torch.stack(losses).sum(), [embedded, *outs, *logits])
    names = ["first", *(f"layers.{place}" for place in range(len(generator.layers)))]
    masks = [earlier] + [not_later] * len(generator.layers)
    through, heard = back[1 : 1 + len(outs)], back[1 + len(outs) :]
    return RowGradients(
        generator.embeddings.weight.detach(),
        values + generator.tokens.offsets,
        back[0].view(len(values), len(generator.tokens), EMBEDDING),
        [_Map(*each) for each in zip(names, [went.detach() for went in entered], through, masks, strict=True)],
        [
            _Block(each.detach(), came, came @ generator.heads.get_buffer(f"basis_{at}").transpose(1, 2))
            for at, (each, came) in enumerate(zip(told, heard, strict=True))
        ],
    )


def _logits(generator: RowGenerator, at: int, told: Tensor) -> Tensor:
    """The logits [tokens, n, levels] of one block of heads, from its tokens' units."""
    heads = generator.heads
    padding = heads.get_buffer(f"padding_{at}")
    return torch.baddbmm((heads.biases[at] + padding)[:, None], told, heads.weights(at))
