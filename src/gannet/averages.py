"""Moving averages of networks (Karras et al. 2018, section 4.1): what samples are drawn from.

`Averages(networks, weights, ["generator"])` copies the networks; `follow(decay)` moves the copies after every step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gannet.weights import FlatWeights


class Averages:
    """Copies of the named networks whose weights follow theirs; what is no weight (running statistics) is copied."""

    networks: nn.ModuleDict

    def __init__(self, networks: nn.ModuleDict, weights: Iterable[FlatWeights], names: Iterable[str]) -> None:
        self.networks = nn.ModuleDict(
            {name: copy.deepcopy(networks[name]).requires_grad_(False).eval() for name in names}
        )
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []
        owners = list(weights)
        for name, average in self.networks.items():
            owner = next(own for own in owners if name in own.spans)
            self._pairs.append((FlatWeights({name: average}).part(name), owner.part(name)))
            self._buffers += zip(average.buffers(), networks[name].buffers(), strict=True)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """average <- decay * average + (1 - decay) * weights."""
        for average, weights in self._pairs:
            average.lerp_(weights, 1 - decay)
        for kept, buffer in self._buffers:
            kept.copy_(buffer)
