"""R3GAN (Huang et al. 2024): relativistic pairing with R1 and R2 at every step, on networks without tricks.

    D: softplus(-(D(x) - D(G(z)))) + gamma/2 (|grad D(x)|^2 + |grad D(G(z))|^2)      G: softplus(-(D(G(z)) - D(x)))

What differs from the paper: gamma and the learning rate choose themselves (see docs/penalty-weight.md), and the
schedules are told in shares of the run, so that a ten-minute run has the shape of a ten-day one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gannet.augment import Mode as Augmenting
from gannet.losses import relativistic, zero_centred
from gannet.recipes.penalty_weight import PenaltyWeight
from gannet.recipes.pieces import cosine, game_networks
from gannet.recipes.recipe import MANY_TIMES, Doubt, Pace, Recipe, Terms, Turn
from gannet.spec import Spec

LEAST_GAMMA = 0.1
"""Where a self-chosen weight begins in a game that had to be softened."""


@dataclass(kw_only=True)
class R3GAN(Recipe):
    """The default game: stable, covers every mode, needs no tuning."""

    replayable: ClassVar[bool] = True

    batch_size: int = 64
    """Real samples a step shows to the discriminator (256 suit points)."""
    latent: int = 64
    """Width of the generator's noise (for points, as many as their dimensions)."""
    learning_rate: float | None = None
    """Adam's first step size; none: 2e-4 at the published width of 768, in inverse proportion to the width."""
    final_learning_rate: float | None = None
    """Adam's step size after the burn-in; none: a tenth of the first."""
    beta1: float = 0.0
    """Adam's decay of the mean gradient."""
    beta2: float = 0.9
    """Adam's first decay of the squared gradient."""
    final_beta2: float = 0.99
    """Adam's decay of the squared gradient after the burn-in."""
    gamma: float | None = None
    """Weight of R1 and R2 at the start; none: it chooses itself."""
    final_gamma: float | None = None
    """Weight of R1 and R2 after the burn-in; none: a tenth of the first, as published."""
    lead: float = 0.05
    """Mean difference of paired logits at which a self-chosen gamma holds the discriminator at the start."""
    final_lead: float = 0.1
    """Mean difference of paired logits at which a self-chosen gamma holds the discriminator after the burn-in."""
    burn_in: float = 1.0
    """Share of the run over which the schedules move."""
    ema_half_life: float | None = None
    """Samples after which a weight's share in the averaged generator has halved; none: 1 % of the run."""
    discriminator_size: float = 1.0
    """Size of the discriminator's network in units of the generator's; 1 lets the players match."""
    family: str | None = None
    """Family of networks for pictures: convnets or dcgan; none picks the default."""
    augment: Augmenting = "auto"
    """Augmentation in front of the discriminator: none, auto, fixed or adaptive (pictures only)."""

    usual_rate: float = field(init=False, repr=False, default=0.0)
    suited_rate: float | None = field(init=False, repr=False, default=None)
    resolved_rate: float = field(init=False, repr=False, default=0.0)
    target_lead: float | None = field(init=False, repr=False, default=None)

    citation: ClassVar[str] = """@inproceedings{huang2024gan,
  title = {The {GAN} is dead; long live the {GAN}! A Modern {GAN} Baseline},
  author = {Huang, Yiwen and Gokaslan, Aaron and Kuleshov, Volodymyr and Tompkin, James},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024}
}"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("discriminator", "discriminator"), Turn("generator", "generator"))

    @classmethod
    def suited(cls, spec: Spec, size: float, count: int) -> dict[str, Any]:
        if spec.kind == "points":
            # Few coordinates carry sharp detail: small noise, large steps, and a sharper discriminator at the end.
            return {
                "batch_size": 256,
                "latent": spec.features,
                "learning_rate": 5e-3,
                "final_lead": 0.5,
            }
        if spec.kind == "series":
            # Every step of a whitened course is as good as independent, and needs noise of its own.
            return {"batch_size": 256, "latent": 256, "learning_rate": 2e-3}
        return {}

    def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
        networks = game_networks(
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
        widest = max(min(weight.shape[:2]) for weight in networks["judge"].parameters() if weight.dim() > 1)
        self.usual_rate = min(2e-4 * 768 / widest, 2e-3)
        self.suited_rate = self.suited(spec, size, count).get("learning_rate")
        self.resolved_rate = self.learning_rate or self.usual_rate
        return {**networks, "penalty": PenaltyWeight()}

    def doubts(self) -> list[Doubt]:
        doubts = super().doubts()
        if self.gamma is not None and self.gamma < LEAST_GAMMA / 100:
            told = f"gamma={self.gamma:g} all but switches R1 and R2 off, without which modes are lost"
            doubts.append(Doubt("gamma", None, told))
        if self.resolved_rate > MANY_TIMES * self.usual_rate:
            told = f"learning_rate={self.resolved_rate:g} is far above the usual {self.usual_rate:.2g}"
            doubts.append(Doubt("learning_rate", self.suited_rate, told))
        return doubts

    def overrule(self, settings: Mapping[str, Any]) -> None:
        super().overrule(settings)
        self.resolved_rate = self.learning_rate or self.usual_rate

    @property
    def penalty(self) -> PenaltyWeight:
        """The weight of R1 and R2."""
        penalty = self.networks["penalty"]
        assert isinstance(penalty, PenaltyWeight)
        return penalty

    def pace(self, seen: int, total: int) -> Pace:
        over = self.burn_in * total
        final_rate = self.final_learning_rate or self.resolved_rate / 10
        half_life = self.ema_half_life or total / 100
        return Pace(
            cosine(self.resolved_rate, final_rate, seen, over),
            betas=(self.beta1, cosine(self.beta2, self.final_beta2, seen, over)),
            ema_half_life=cosine(0.0, half_life, seen, over / 4),
        )

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.resolved_rate, betas=(self.beta1, self.beta2), fused=True)

    def begin(self, seen: int, total: int) -> None:
        over = self.burn_in * total
        if self.gamma is None or self.firmness > 1:
            # A game that had to be softened chooses its weight itself, whatever it began with.
            self.target_lead = cosine(self.lead, self.final_lead, seen, over) / self.firmness
            self.penalty.gamma.clamp_(min=0.0 if self.gamma is None else LEAST_GAMMA)
        else:
            final = self.gamma / 10 if self.final_gamma is None else self.final_gamma
            self.target_lead = None
            self.penalty.gamma.fill_(cosine(self.gamma, final, seen, over) * self.firmness)

    def discriminator(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition).detach()
        real_logits, fake_logits, real_gradient, fake_gradient = self.judge.pair_with_gradients(real, fake, condition)
        self.penalty.observe(real_logits, fake_logits)
        return {
            "adversarial": relativistic(real_logits, fake_logits),
            "r1": self.penalty.gamma / 2 * zero_centred(real_gradient),
            "r2": self.penalty.gamma / 2 * zero_centred(fake_gradient),
        }

    def generator(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition)
        return {"adversarial": relativistic(self.judge(fake, condition), self.judge(real, condition))}

    def after_turn(self, turn: Turn) -> None:
        if turn.player == "discriminator":
            self.penalty.update(self.target_lead)

    def readings(self) -> dict[str, float]:
        return {**super().readings(), "gamma": float(self.penalty.gamma), "lead": float(self.penalty.lead)}

    def describe(self) -> dict[str, Any]:
        return {
            "learning rate": f"{self.resolved_rate:.2g}" + (" (from the width)" if self.learning_rate is None else ""),
            "penalty weight": "chooses itself" if self.gamma is None else f"{self.gamma:g}",
        }
