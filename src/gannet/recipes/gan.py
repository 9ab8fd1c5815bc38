"""The original game (Goodfellow et al. 2014, algorithm 1): a discriminator that gives a probability.

Networks and optimiser settings are those of DCGAN (Radford et al. 2016), the first to make it work on pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.augment import Mode as Augmenting
from gannet.losses import binary_cross_entropy, minimax_generator
from gannet.recipes.pieces import game_networks
from gannet.recipes.recipe import Pace, Recipe, Terms, Turn
from gannet.spec import Spec


@dataclass(kw_only=True)
class GAN(Recipe):
    """The original game: a discriminator that gives a probability, against a generator that wants it wrong."""

    replayable: ClassVar[bool] = True

    batch_size: int = 128
    """Real samples a step shows to the discriminator."""
    latent: int = 100
    """Width of the generator's noise."""
    learning_rate: float = 2e-4
    """Adam's step size, both players."""
    beta1: float = 0.5
    """Adam's decay of the mean gradient."""
    beta2: float = 0.999
    """Adam's decay of the squared gradient."""
    generator_loss: Literal["non_saturating", "minimax"] = "non_saturating"
    """The generator's side of the game: the paper's eq. 1 (minimax) or its remedy for vanishing gradients."""
    real_target: float = 1.0
    """What the discriminator should say of reals; 0.9 is one-sided label smoothing (Salimans et al. 2016)."""
    ema_half_life: float = 10_000
    """Samples after which a weight's share in the averaged generator has halved."""
    discriminator_size: float = 1.0
    """Size of the discriminator's network in units of the generator's; 1 lets the players match."""
    family: str | None = "dcgan"
    """Family of networks for pictures: dcgan or convnets; none picks the default."""
    augment: Augmenting = "none"
    """Augmentation in front of the discriminator: none, auto, fixed or adaptive (pictures only)."""
    lecam: float | None = None
    """Weight of the LeCam regulariser (Tseng et al. 2021), 0.3 in its paper; none is off."""

    citation: ClassVar[str] = """@inproceedings{goodfellow2014generative,
  title = {Generative Adversarial Nets},
  author = {Goodfellow, Ian and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and Warde-Farley, David and Ozair,
            Sherjil and Courville, Aaron and Bengio, Yoshua},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2014}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("discriminator", "discriminator"), Turn("generator", self.generator_loss))

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
            lecam=self.lecam,
        )

    def pace(self, seen: int, total: int) -> Pace:
        return Pace(self.learning_rate, ema_half_life=self.ema_half_life)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.learning_rate, betas=(self.beta1, self.beta2), fused=True)

    def discriminator(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition).detach()
        real_logits, fake_logits = self.judge.pair(real, fake, condition)
        return {
            "real": binary_cross_entropy(real_logits, self.real_target),
            "fake": binary_cross_entropy(fake_logits, 0.0),
            **self.judge.regularise(real_logits, fake_logits),
        }

    def non_saturating(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake_logits = self.judge(self.generate(len(real), condition), condition)
        return {"adversarial": binary_cross_entropy(fake_logits, 1.0)}

    def minimax(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake_logits = self.judge(self.generate(len(real), condition), condition)
        return {"adversarial": minimax_generator(fake_logits)}
