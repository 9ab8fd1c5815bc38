"""Extra terms over a judge's logits, hung on it beside any game whose logits have a fixed zero.

`LeCam` (Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data", eq. 4 and 5).
Call: `Judge(discriminator, regularisers=lecam(0.3))`; the judge adds the term by its name.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.judge import Regulariser


class LeCam(Regulariser):
    """weight * (E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2) with a_R, a_F moving averages of real and fake logits.

    Pulls each side towards the other's anchor, which keeps a discriminator short of data from drifting apart. The
    published weight is 0.3, the decay 0.99 a step, and the term starts after `warm_up` steps, when the anchors have
    settled. The published game is the hinge one; it does not help every game (harmful with StyleGAN2 on CIFAR-10).
    """

    name = "lecam"
    requires_anchored_losses: ClassVar[bool] = True
    """Relativistic games leave the zero of the logits free, so anchors would chase a drifting level."""

    real_anchor: Tensor
    fake_anchor: Tensor
    steps: Tensor

    def __init__(self, *, weight: float = 0.3, decay: float = 0.99, warm_up: int = 1_000) -> None:
        super().__init__()
        assert weight > 0 and 0 <= decay < 1 and warm_up >= 0
        self.weight, self.decay, self.warm_up = weight, decay, warm_up
        self.register_buffer("real_anchor", torch.tensor(0.0))
        self.register_buffer("fake_anchor", torch.tensor(0.0))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The weighted term, a scalar, from logits [batch] and [batch]; 0 while warming up."""
        self._follow(real_logits, fake_logits)
        apart = (real_logits - self.fake_anchor).square().mean() + (fake_logits - self.real_anchor).square().mean()
        return self.weight * torch.where(self.steps > self.warm_up, apart, 0.0)

    @torch.no_grad()
    def _follow(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Move the anchors towards this batch; the first batch sets them, so that they do not start from zero."""
        share = torch.where(self.steps == 0, 1.0, 1 - self.decay)
        for anchor, logits in ((self.real_anchor, real_logits), (self.fake_anchor, fake_logits)):
            mean = logits.mean().to(anchor)
            # The engine skips a step that is not finite; its logits must not stay behind in the anchors.
            anchor.lerp_(torch.where(mean.isfinite(), mean, anchor), share.to(anchor))
        self.steps += 1


def lecam(weight: float | None) -> tuple[Regulariser, ...]:
    """LeCam of this weight as a recipe's setting gives it; None hangs nothing. For games with anchored losses only.

    Raises GannetError for a weight that is not positive.
    """
    if weight is None:
        return ()
    if not weight > 0:
        raise GannetError(f"lecam={weight:g} must be positive (0.3 is the published weight): leave it out for none")
    return (LeCam(weight=weight),)
