"""The weight gamma of a zero-centred gradient penalty: fixed by the user, or chosen by the game itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PenaltyWeight(nn.Module):
    """gamma, held so that the discriminator's lead over the generator stays where the generator learns most.

    `lead` is the mean difference of paired logits, D(x) - D(G(z)): free of units, shift and data scale. A larger
    gamma flattens the discriminator and shrinks the lead; so gamma is multiplied up while the lead is above its
    target and down while it is below. All state is in buffers; `update` is called once a turn.
    """

    gamma: Tensor
    lead: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, gamma: float | None, *, start: float, target: float, rate: float, low: float, high: float):
        super().__init__()
        self.adapts = gamma is None
        self.target, self.rate, self.low, self.high = target, rate, low, high
        self.register_buffer("gamma", torch.tensor(start if gamma is None else gamma))
        self.register_buffer("lead", torch.tensor(target))
        self.register_buffer("total", torch.tensor(0.0))
        self.register_buffer("count", torch.tensor(0.0))

    @torch.no_grad()
    def observe(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Take note of the lead over pairs of logits [batch]."""
        self.total += (real_logits - fake_logits).sum()
        self.count += len(real_logits)

    @torch.no_grad()
    def update(self) -> None:
        """Move gamma by the leads observed since the last update."""
        self.lead.lerp_(self.total / self.count.clamp(min=1), 0.1)
        self.total.zero_()
        self.count.zero_()
        if self.adapts:
            step = (self.lead / self.target).clamp(0.1, 10).log().clamp(-1, 1) * self.rate
            self.gamma.mul_(step.exp()).clamp_(self.low, self.high)
