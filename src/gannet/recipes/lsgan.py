"""Least-squares GAN (Mao et al. 2017): regress reals to 1 and fakes to 0, so that far samples still pull.

Targets a = 0, b = c = 1 (the paper's eq. 9); Adam 1e-3 with beta1 0.5 as in its experiments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.augment import Mode as Augmenting
from gannet.losses import least_squares
from gannet.recipes.pieces import game_networks
from gannet.recipes.recipe import Pace, Recipe, Terms, Turn
from gannet.spec import Spec


@dataclass(kw_only=True)
class LSGAN(Recipe):
    """Both players minimise squared distances of logits to targets."""

    replayable: ClassVar[bool] = True

    batch_size: int = 64
    """Real samples a step shows to the discriminator."""
    latent: int = 100
    """Width of the generator's noise."""
    learning_rate: float = 1e-3
    """Adam's step size, both players."""
    beta1: float = 0.5
    """Adam's decay of the mean gradient."""
    beta2: float = 0.999
    """Adam's decay of the squared gradient."""
    fake_target: float = 0.0
    """a: what the discriminator should say of fakes."""
    real_target: float = 1.0
    """b: what the discriminator should say of reals."""
    wanted_target: float = 1.0
    """c: what the generator wants the discriminator to say of fakes."""
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

    citation: ClassVar[str] = """@inproceedings{mao2017least,
  title = {Least Squares Generative Adversarial Networks},
  author = {Mao, Xudong and Li, Qing and Xie, Haoran and Lau, Raymond Y. K. and Wang, Zhen and Smolley, Stephen Paul},
  booktitle = {International Conference on Computer Vision},
  year = {2017}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("discriminator", "discriminator"), Turn("generator", "generator"))

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
            "real": least_squares(real_logits, self.real_target),
            "fake": least_squares(fake_logits, self.fake_target),
            **self.judge.regularise(real_logits, fake_logits),
        }

    def generator(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake_logits = self.judge(self.generate(len(real), condition), condition)
        return {"adversarial": least_squares(fake_logits, self.wanted_target)}
