"""The hinge game with spectral normalisation (Lim & Ye 2017; Miyato et al. 2018, eq. 16-17).

Every layer of the discriminator is divided by its largest singular value, which bounds its Lipschitz constant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.augment import Mode as Augmenting
from gannet.losses import hinge_discriminator, wasserstein_generator
from gannet.recipes.pieces import game_networks
from gannet.recipes.recipe import Pace, Recipe, Terms, Turn
from gannet.spec import Spec


@dataclass(kw_only=True)
class Hinge(Recipe):
    """The discriminator asks for a margin of 1 on either side; the generator raises the fakes' logits."""

    replayable: ClassVar[bool] = True

    batch_size: int = 64
    """Real samples a step shows to the discriminator."""
    latent: int = 128
    """Width of the generator's noise."""
    learning_rate: float = 2e-4
    """Adam's step size, both players."""
    beta1: float = 0.0
    """Adam's decay of the mean gradient."""
    beta2: float = 0.9
    """Adam's decay of the squared gradient."""
    discriminator_turns: int = 5
    """Moves of the discriminator to one of the generator."""
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

    citation: ClassVar[str] = """@inproceedings{miyato2018spectral,
  title = {Spectral Normalization for Generative Adversarial Networks},
  author = {Miyato, Takeru and Kataoka, Toshiki and Koyama, Masanori and Yoshida, Yuichi},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("discriminator", "discriminator", times=self.discriminator_turns), Turn("generator", "generator"))

    def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
        return game_networks(
            spec,
            size=size,
            latent=self.latent,
            count=count,
            holdout=holdout,
            family=self.family,
            normalise=False,
            spectral=True,
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
            "adversarial": hinge_discriminator(real_logits, fake_logits),
            **self.judge.regularise(real_logits, fake_logits),
        }

    def generator(self, real: Tensor, condition: Tensor | None) -> Terms:
        return {"adversarial": wasserstein_generator(self.judge(self.generate(len(real), condition), condition))}
