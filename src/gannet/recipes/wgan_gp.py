"""Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, algorithm 1).

The critic's slope is pulled to 1, sample by sample, on the lines between real and fake; no batch statistics
in the critic, since the penalty is per sample (their section 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.augment import Mode as Augmenting
from gannet.losses import between, one_centred, wasserstein_critic, wasserstein_generator
from gannet.recipes.pieces import game_networks
from gannet.recipes.recipe import Pace, Recipe, Terms, Turn
from gannet.spec import Spec


@dataclass(kw_only=True)
class WGANGP(Recipe):
    """The critic estimates the Wasserstein-1 distance; a penalty holds its slope at 1."""

    players: ClassVar[dict[str, tuple[str, ...]]] = {"critic": ("judge",), "generator": ("generator",)}

    replayable: ClassVar[bool] = True

    batch_size: int = 64
    """Real samples a critic's move sees."""
    latent: int = 128
    """Width of the generator's noise."""
    learning_rate: float = 1e-4
    """Adam's step size, both players."""
    beta1: float = 0.0
    """Adam's decay of the mean gradient."""
    beta2: float = 0.9
    """Adam's decay of the squared gradient."""
    critic_turns: int = 5
    """Moves of the critic to one of the generator."""
    penalty: float = 10.0
    """lambda: weight of the gradient penalty."""
    ema_half_life: float = 10_000
    """Samples after which a weight's share in the averaged generator has halved."""
    discriminator_size: float = 1.0
    """Size of the critic's network in units of the generator's; 1 lets the players match."""
    family: str | None = "dcgan"
    """Family of networks for pictures: dcgan or convnets; none picks the default."""
    augment: Augmenting = "none"
    """Augmentation in front of the critic: none, auto, fixed or adaptive (pictures only)."""

    citation: ClassVar[str] = """@inproceedings{gulrajani2017improved,
  title = {Improved Training of Wasserstein {GAN}s},
  author = {Gulrajani, Ishaan and Ahmed, Faruk and Arjovsky, Martin and Dumoulin, Vincent and Courville, Aaron},
  booktitle = {Advances in Neural Information Processing Systems},
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
            normalise=False,
            augment=self.augment,
            discriminator_size=self.discriminator_size,
        )

    def pace(self, seen: int, total: int) -> Pace:
        return Pace(self.learning_rate, ema_half_life=self.ema_half_life)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.learning_rate, betas=(self.beta1, self.beta2), fused=True)

    def critic(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition).detach()
        return {
            "adversarial": wasserstein_critic(*self.judge.pair(real, fake, condition)),
            "penalty": self.penalty
            * self.firmness
            * one_centred(self.judge.gradient_at(between(real, fake), condition)),
        }

    def generator(self, real: Tensor, condition: Tensor | None) -> Terms:
        return {"adversarial": wasserstein_generator(self.judge(self.generate(len(real), condition), condition))}
