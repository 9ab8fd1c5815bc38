"""MaliGAN (Che et al. 2017) for rows of a table: likelihood first, then the game, for a generator that draws tokens.

    D: -log D(x) - log(1 - D(G(z)))      G: -log p(x) + lambda * sum_i (w_i - 1/n) (-log p(G(z_i))),  w ~ D / (1 - D)

The generator is the masked perceptron of `networks.autoregressive`, which knows the likelihood of what it writes: it
begins by maximum likelihood in changing orders of the columns (Uria et al. 2014), which makes it answer any condition
and fill any gap, and ends in the game, in which real rows keep teaching it beside the discriminator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.errors import GannetError
from gannet.judge import Judge
from gannet.losses import augmented_likelihood, binary_cross_entropy, negative_log_likelihood
from gannet.networks import default_pair
from gannet.networks.autoregressive import RowGenerator
from gannet.networks.tokens import Retold, Tokens
from gannet.recipes.pieces import cosine
from gannet.recipes.recipe import Pace, Terms, Turn
from gannet.recipes.rows import RowRecipe
from gannet.spec import Spec

UNITS = 16
"""Units a token of a generator of size 1."""
MOST_DROPOUT, FEW_ROWS, MANY_ROWS = 0.5, 5_000, 10_000
"""Dropout of up to so many rows, beyond which it falls in inverse proportion; rows that bear larger batches."""


@dataclass(kw_only=True)
class MaliGAN(RowRecipe):
    """The default for tables: learns by likelihood, then by the game; answers any condition and fills gaps."""

    batch_size: int = 64
    """Real rows a step shows to each player (128 suit many rows)."""
    latent: int = 64
    """Width of the noise; follows from the columns, whatever is given."""
    learning_rate: float = 2e-3
    """Adam's first step size, both players."""
    final_share: float = 0.02
    """Adam's last step size over the first."""
    beta1: float = 0.9
    """Adam's decay of the mean gradient."""
    beta2: float = 0.99
    """Adam's decay of the squared gradient."""
    dropout: float = 0.5
    """Share of the generator's units left out at every step of likelihood (half for few rows, less for many)."""
    warm_up: float = 0.9
    """Share of the run in which the generator learns by likelihood alone."""
    weight: float = 1.0
    """Weight of the game beside the likelihood (lambda)."""
    bound: float = 3.0
    """Largest size of the logits behind the weights of generated rows."""
    ema_share: float = 0.03
    """Share of the run after which a weight's share in the averaged generator has halved."""

    warm: bool = field(init=False, repr=False, compare=False, default=True)

    citation: ClassVar[str] = """@article{che2017maximum,
  title = {Maximum-Likelihood Augmented Discrete Generative Adversarial Networks},
  author = {Che, Tong and Li, Yanran and Zhang, Ruixiang and Hjelm, R. Devon and Li, Wenjie and Song, Yangqiu and
            Bengio, Yoshua},
  journal = {arXiv preprint arXiv:1702.07983},
  year = {2017}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        if self.warm:
            return (Turn("discriminator", "discriminator", times=0), Turn("generator", "likelihood"))
        return (Turn("discriminator", "discriminator"), Turn("generator", "game"))

    @classmethod
    def suited(cls, spec: Spec, size: float, count: int) -> dict[str, Any]:
        # Few rows are soon known by heart; of many, single columns come out right only with little left out.
        dropout = round(min(MOST_DROPOUT, MOST_DROPOUT * FEW_ROWS / max(count, 1)), 3)
        return {"dropout": dropout, "batch_size": 64 if count < MANY_ROWS else 128}

    def check(self, spec: Spec) -> None:
        super().check(spec)
        if not 0 <= self.dropout < 1:
            raise GannetError(f"dropout={self.dropout}: must be at least 0 and below 1")
        if not 0 <= self.warm_up <= 1:
            raise GannetError(f"warm_up={self.warm_up}: must be a share of the run, from 0 to 1")

    def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
        _, discriminator = default_pair(spec, size=size, latent=1)
        generator = RowGenerator(spec, count=count, units=max(4, round(UNITS * size)), dropout=self.dropout)
        self.latent = generator.latent
        return {"generator": generator, "judge": Judge(Retold(discriminator, Tokens(spec.blocks or (), count)))}

    def pace(self, seen: int, total: int) -> Pace:
        rate = cosine(self.learning_rate, self.learning_rate * self.final_share, seen, total)
        return Pace(rate, ema_half_life=cosine(0.0, self.ema_share * total, seen, total / 4))

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.learning_rate, betas=(self.beta1, self.beta2), fused=True)

    @property
    def judges(self) -> bool:
        return not self.warm

    def begin(self, seen: int, total: int) -> None:
        self.warm = seen < self.warm_up * total

    def surprise(self, real: Tensor, condition: Tensor | None = None) -> Tensor | None:
        own = list(range(len(self.tokens)))
        return -self.writer.log_likelihood(self.tokens.read(real), own, condition).sum(1)

    def likelihood(self, real: Tensor, condition: Tensor | None) -> Terms:
        order = self.writer.drawn_order()
        return {
            "likelihood": negative_log_likelihood(self.writer.log_likelihood(self.tokens.read(real), order, condition))
        }

    def discriminator(self, real: Tensor, condition: Tensor | None) -> Terms:
        real_logits, fake_logits = self.judge.pair(real, self.generate(len(real), condition), condition)
        return {"real": binary_cross_entropy(real_logits, 1.0), "fake": binary_cross_entropy(fake_logits, 0.0)}

    def game(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition)
        own = list(range(len(self.tokens)))
        written = self.writer.log_likelihood(self.tokens.read(fake), own, condition)
        with torch.no_grad():
            fake_logits = self.judge(fake, condition)
        return {
            **self.likelihood(real, condition),
            "adversarial": self.weight * augmented_likelihood(written, fake_logits, self.bound),
        }

    def describe(self) -> dict[str, Any]:
        return {
            "learning rate": f"{self.learning_rate:.2g}",
            "game": f"from {self.warm_up:.0%} of the run on",
        }
