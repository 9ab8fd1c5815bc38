"""Wasserstein GAN with weight clipping (Arjovsky et al. 2017, algorithm 1): a critic instead of a discriminator.

Five critic moves to one of the generator, RMSProp 5e-5, weights clipped to [-0.01, 0.01]. Kept for study:
`wgan_gp` does the same with a penalty and fares better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from gannet.augment import Mode as Augmenting
from gannet.losses import wasserstein_critic, wasserstein_generator
from gannet.recipes.pieces import game_networks
from gannet.recipes.recipe import Pace, Recipe, Terms, Turn
from gannet.spec import Spec


@dataclass(kw_only=True)
class WGAN(Recipe):
    """The critic estimates the Wasserstein-1 distance; clipping its weights bounds its slope."""

    players: ClassVar[dict[str, tuple[str, ...]]] = {"critic": ("judge",), "generator": ("generator",)}

    replayable: ClassVar[bool] = True

    batch_size: int = 64
    """Real samples a critic's move sees."""
    latent: int = 100
    """Width of the generator's noise."""
    learning_rate: float = 5e-5
    """RMSProp's step size, both players."""
    critic_turns: int = 5
    """Moves of the critic to one of the generator."""
    clip: float = 0.01
    """Every critic weight is clipped to [-clip, clip] after each of its moves."""
    ema_half_life: float = 10_000
    """Samples after which a weight's share in the averaged generator has halved."""
    discriminator_size: float = 1.0
    """Size of the critic's network in units of the generator's; 1 lets the players match."""
    family: str | None = "dcgan"
    """Family of networks for pictures: dcgan or convnets; none picks the default."""
    augment: Augmenting = "none"
    """Augmentation in front of the critic: none, auto, fixed or adaptive (pictures only)."""

    citation: ClassVar[str] = """@inproceedings{arjovsky2017wasserstein,
  title = {Wasserstein Generative Adversarial Networks},
  author = {Arjovsky, Martin and Chintala, Soumith and Bottou, L{\\'e}on},
  booktitle = {International Conference on Machine Learning},
  year = {2017}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("critic", "critic", times=self.critic_turns), Turn("generator", "generator"))

    def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
        return game_networks(
            spec,
            size=size,
            latent=self.latent,
            count=count,
            holdout=holdout,
            family=self.family,
            augment=self.augment,
            discriminator_size=self.discriminator_size,
        )

    def pace(self, seen: int, total: int) -> Pace:
        return Pace(self.learning_rate, ema_half_life=self.ema_half_life)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return RMSprop(parameters, lr=self.learning_rate)

    def critic(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition).detach()
        return {"adversarial": wasserstein_critic(*self.judge.pair(real, fake, condition))}

    def generator(self, real: Tensor, condition: Tensor | None) -> Terms:
        return {"adversarial": wasserstein_generator(self.judge(self.generate(len(real), condition), condition))}

    @torch.no_grad()
    def after_turn(self, turn: Turn) -> None:
        for weight in self.judge.parameters() if turn.player == "critic" else ():
            weight.clamp_(-self.clip, self.clip)
