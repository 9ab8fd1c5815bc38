"""The weights of several networks as one vector: one operation for the norm, the optimiser and the average.

A small network is dozens of tensors of a few hundred numbers; visiting them one by one costs more than the
arithmetic. `weights = FlatWeights({"generator": G})`; the networks' parameters become views of `weights.vector`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class FlatWeights:
    """All parameters of the named networks, stored in one vector [total] of which each parameter is a view."""

    vector: nn.Parameter
    """What an optimiser steps; its gradient is filled by `collect`."""
    spans: dict[str, slice]
    """Network -> its part of the vector."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self.parameters = [weight for network in networks.values() for weight in network.parameters()]
        assert len({(weight.dtype, weight.device) for weight in self.parameters}) == 1
        self.vector = nn.Parameter(torch.cat([weight.detach().flatten() for weight in self.parameters]))
        offset, self.spans = 0, {}
        for name, network in networks.items():
            start = offset
            for weight in network.parameters():
                weight.data = self.vector.data[offset : offset + weight.numel()].view_as(weight)
                offset += weight.numel()
            self.spans[name] = slice(start, offset)

    def learn(self, wanted: bool) -> None:
        """Whether a backward pass collects gradients of these weights."""
        for weight in self.parameters:
            weight.requires_grad = wanted

    def collect(self, *beside: Tensor) -> Tensor:
        """Move the parameters' gradients to the vector's (zero where a weight had no part).

        Returns them with the numbers `beside` them behind, in one piece [total + ...] of which the vector's gradient is
        the beginning: what is added up over processes is added up in place.
        """
        pieces = []
        for weight in self.parameters:
            gradient, weight.grad = weight.grad, None
            pieces.append((torch.zeros_like(weight) if gradient is None else gradient).flatten())
        pieces += [numbers.detach().to(self.vector).flatten() for numbers in beside]
        together = torch.cat(pieces)
        self.vector.grad = together[: self.vector.numel()]
        return together

    def forget(self) -> None:
        """Drop what a backward pass that broke off has left behind."""
        for weight in self.parameters:
            weight.grad = None

    def part(self, name: str) -> Tensor:
        """The weights of one network, [its total]; a view."""
        return self.vector.detach()[self.spans[name]]
