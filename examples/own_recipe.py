"""A new idea costs one class: a game with its own loss, played by the engine on any data.

Here the discriminator plays the hinge game and the generator the non-saturating one, with R1 on reals every 4 steps.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gannet.domains.points import Points
from gannet.engine import Engine
from gannet.losses import binary_cross_entropy, hinge_discriminator, zero_centred
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Terms, Turn


@dataclass(kw_only=True)
class Mixed(R3GAN):
    """Hinge against non-saturating, with lazy R1."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (
            Turn("discriminator", "hinge"),
            Turn("discriminator", "lazy_r1", every=4),
            Turn("generator", "non_saturating"),
        )

    def hinge(self, real: Tensor, condition: Tensor | None) -> Terms:
        fake = self.generate(len(real), condition).detach()
        return {"hinge": hinge_discriminator(*self.judge.pair(real, fake, condition))}

    def lazy_r1(self, real: Tensor, condition: Tensor | None) -> Terms:
        return {"r1": 4 * 0.1 * zero_centred(self.judge.gradient_at(real, condition))}

    def non_saturating(self, real: Tensor, condition: Tensor | None) -> Terms:
        return {"adversarial": binary_cross_entropy(self.judge(self.generate(len(real)), condition), 1.0)}


opened = Points.open("toy:moons", Points.Options(), seed=0, cache=Path(tempfile.gettempdir()))
recipe = Mixed()
torch.manual_seed(0)
engine = Engine(
    recipe,
    recipe.build(opened.domain.spec, size=0.5, count=len(opened.train), holdout=0),
    opened.train,
    total=20_000,
)
engine.play()
with engine.averaged():
    samples = recipe.generate(500)
real, _ = opened.train.read(np.arange(500))
print(f"500 samples, spread {samples.std(0).numpy().round(2)} (real: {real.std(0).numpy().round(2)})")
