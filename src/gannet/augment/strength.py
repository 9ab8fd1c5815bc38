"""How strongly to augment: the controller of adaptive discriminator augmentation (Karras et al. 2020, section 3.1).

It reads r_v = (E D_train - E D_holdout) / (E D_train - E D_fake), eq. 1: a ratio of differences, so neither a
constant added to all logits nor a positive factor changes it. ADA's other signal, the sign of D, means nothing in a
relativistic game, where the zero of the logits is arbitrary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CEILING = 0.8
"""Above this chance the operations begin to leak into the generator's pictures (Karras et al. 2020, section 2.2)."""

DISCERNING = 0.1
"""Least gap of real to fake, in mean absolute deviations of the logits, at which the ratio is trusted.

A blind discriminator has a gap near 0; one that separates the two perfectly reaches 2.
"""


class AdaptiveStrength(nn.Module):
    """Moves a strength up while the discriminator knows its training pictures better than `target`, else down.

    `target` is the value of r_v to hold: 0 = held-out reals are judged like trained-on ones, 1 = like fakes. The
    default 0.2 is the least that stands well clear of the noise: a memory of `half_life` observed reals leaves a
    standard error of 0.02 when reals and fakes lie one standard deviation apart, 0.04 when they lie half of one.
    `span` is the number of samples in which the strength crosses the whole range 0 to 1. ADA takes 500,000 of the
    25 million samples of its runs, and 100,000 when it resumes; ours are the short runs, so 100,000.
    `every` is the number of steps an observation stands for. All state is in buffers, so it is saved and resumed.
    """

    train_gap: Tensor
    fake_gap: Tensor
    deviation: Tensor
    weight: Tensor

    def __init__(self, *, target: float = 0.2, span: float = 100_000, half_life: float = 2_000, every: int = 1) -> None:
        super().__init__()
        assert 0 < target < 1 and span > 0 and half_life > 0 and every >= 1
        self.target, self.span, self.half_life, self.every = target, span, half_life, every
        for name in ("train_gap", "fake_gap", "deviation", "weight"):
            self.register_buffer(name, torch.tensor(0.0))

    @property
    def ratio(self) -> float | None:
        """r_v of the recent past; None before enough is seen or while the discriminator cannot tell real from fake."""
        if self.weight < 0.5 or self.fake_gap <= DISCERNING * self.deviation:
            return None
        return float(self.train_gap / self.fake_gap)

    @torch.no_grad()
    def update(self, strength: Tensor, real_logits: Tensor, holdout_logits: Tensor, fake_logits: Tensor) -> None:
        """Take one observation of logits [n] of trained-on, held-out and fake samples, and move `strength` in place.

        Numerator and denominator are averaged apart, so that a moment of blindness cannot blow up the ratio. Logits
        that are not finite are passed over.
        """
        assert len(real_logits) and len(holdout_logits) and len(fake_logits)
        # Differences to one logit are exact where means of large logits are not: shift-free in floating point too.
        origin = real_logits.flatten()[0].float()
        real, holdout, fake = (
            logits.flatten().float() - origin for logits in (real_logits, holdout_logits, fake_logits)
        )
        gaps = torch.stack([real.mean() - holdout.mean(), real.mean() - fake.mean()])
        both = torch.cat([real, fake])
        deviation = (both - both.mean()).abs().mean()
        if not bool(torch.isfinite(gaps).all()):
            return
        share = 1 - 0.5 ** (len(real) / self.half_life)
        for average, value in ((self.train_gap, gaps[0]), (self.fake_gap, gaps[1]), (self.deviation, deviation)):
            average.lerp_(value.to(average), share)
        self.weight.lerp_(torch.ones_like(self.weight), share)
        ratio = self.ratio
        if ratio is not None:
            step = self.every * len(real) / self.span
            strength.add_(step if ratio > self.target else -step).clamp_(0, CEILING)
