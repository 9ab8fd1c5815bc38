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

    def __init__(self, *, start: float = 1.0, rate: float = 0.02, low: float = 1e-6, high: float = 1e6) -> None:
        super().__init__()
        self.rate, self.low, self.high = rate, low, high
        self.register_buffer("gamma", torch.tensor(start))
        self.register_buffer("lead", torch.tensor(0.0))
        self.register_buffer("total", torch.tensor(0.0))
        self.register_buffer("count", torch.tensor(0.0))

    @torch.no_grad()
    def observe(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Take note of the lead over pairs of logits [batch]."""
        self.total += (real_logits - fake_logits).mean()
        self.count += 1

    @torch.no_grad()
    def update(self, target: float | None) -> None:
        """Follow the leads observed since the last update; move gamma towards the target lead (None: hold it)."""
        self.lead.lerp_(self.total / self.count.clamp(min=1), 0.1)
        self.total.zero_()
        self.count.zero_()
        if target is not None:
            # A clearly negative lead means that the generator runs ahead: the game swings and lacks damping.
            error = torch.where(self.lead < -target, 1.0, (self.lead / target - 1).clamp(-1, 1))
            self.gamma.mul_((error * self.rate).exp()).clamp_(self.low, self.high)
