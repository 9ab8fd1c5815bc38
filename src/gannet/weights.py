"""The weights of several networks as one vector: one operation for the norm, the optimiser and the average.

A small network is dozens of tensors of a few hundred numbers; visiting them one by one costs more than the
arithmetic. `weights = FlatWeights({"generator": G})`; the networks' parameters become views of `weights.vector`.

Of several processes each may own a part of the vector: it alone keeps that part's gradient and moments and steps it,
and `complete` puts the steps of all together (Rajbhandari et al. 2020, ZeRO). Between two steps the weights stand whole
on every process, so networks are called, differentiated and penalised as ever.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gannet.ranks import Ranks


class FlatWeights:
    """All parameters of the named networks, stored in one vector [total] of which each parameter is a view."""

    vector: Tensor
    """The whole, with zeros behind where parts of equal size need them."""
    own: nn.Parameter
    """What this process's optimiser steps, a view: all of the vector, or its part. `collect` fills the gradient."""
    spans: dict[str, slice]
    """Network -> its part of the vector."""

    def __init__(self, networks: Mapping[str, nn.Module], ranks: Ranks | None = None) -> None:
        """`ranks` add up their gradients, and divide the vector among themselves where it is long."""
        self.parameters = [weight for network in networks.values() for weight in network.parameters()]
        assert len({(weight.dtype, weight.device) for weight in self.parameters}) == 1
        self.ranks = ranks or Ranks()
        self.total = sum(weight.numel() for weight in self.parameters)
        self.divided = self.ranks.divide(self.total)
        pieces = [weight.detach().flatten() for weight in self.parameters]
        self.padding = pieces[0].new_zeros(-self.total % self.ranks.count if self.divided else 0)
        self.vector = torch.cat([*pieces, self.padding])
        self.own = nn.Parameter(self.vector[self.held])
        self._norm: Tensor | None = None
        offset, self.spans = 0, {}
        for name, network in networks.items():
            start = offset
            for weight in network.parameters():
                weight.data = self.vector[offset : offset + weight.numel()].view_as(weight)
                offset += weight.numel()
            self.spans[name] = slice(start, offset)

    @property
    def held(self) -> slice:
        """Which part of the vector is this process's own."""
        if not self.divided:
            return slice(0, len(self.vector))
        size = len(self.vector) // self.ranks.count
        return slice(self.ranks.index * size, (self.ranks.index + 1) * size)

    def learn(self, wanted: bool) -> None:
        """Whether a backward pass collects gradients of these weights."""
        for weight in self.parameters:
            weight.requires_grad = wanted

    def collect(self, *beside: Tensor) -> list[Tensor]:
        """Add up the parameters' gradients over all processes, into the own part's (zero where a weight had no part).

        Returns the numbers `beside` them, added up likewise, each flat.
        """
        gradients = [self._taken(weight) for weight in self.parameters]
        numbers = [number.detach().to(self.vector).flatten() for number in beside]
        if self.divided:
            self.own.grad = self.ranks.sum_divided(torch.cat([*gradients, self.padding]))
            together = torch.cat([*numbers, self.own.grad.square().sum()[None]])
            self.ranks.sum(together)
            self._norm = together[-1].sqrt()
            return list(together[:-1].split([len(number) for number in numbers]))
        together = torch.cat([*gradients, *numbers])
        self.ranks.sum(together)
        self.own.grad = together[: self.total]
        return list(together[self.total :].split([len(number) for number in numbers]))

    @staticmethod
    def _taken(weight: nn.Parameter) -> Tensor:
        gradient, weight.grad = weight.grad, None
        return (torch.zeros_like(weight) if gradient is None else gradient).flatten()

    def gradient_norm(self) -> Tensor:
        """The Euclidean norm of the whole gradient, a scalar; the same on every process."""
        assert self.own.grad is not None
        return self.own.grad.norm() if self._norm is None else self._norm

    def complete(self) -> None:
        """After a step: the parts of all processes, on each of them."""
        if self.divided:
            self.ranks.complete(self.vector, self.own.detach())

    def whole(self, part: Tensor) -> Tensor:
        """Something that every process has of its own part [own] (a moment), of the whole vector [total]."""
        if not self.divided:
            return part
        vector = torch.empty_like(self.vector, dtype=part.dtype)
        self.ranks.complete(vector, part)
        return vector[: self.total]

    def part_of(self, whole: Tensor) -> Tensor:
        """The inverse of `whole`: of [total] what belongs to the own part, a copy."""
        return torch.cat([whole, self.padding.to(whole)])[self.held].clone() if self.divided else whole.clone()

    def forget(self) -> None:
        """Drop what a backward pass that broke off has left behind."""
        for weight in self.parameters:
            weight.grad = None

    def part(self, name: str) -> Tensor:
        """The weights of one network, [its total]; a view."""
        return self.vector[self.spans[name]]
