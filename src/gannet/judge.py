"""The seam in front of every discriminator: augmentation, the pairing of real and fake, extra regularisers.

A technique orthogonal to the game (DiffAugment, adaptive augmentation, LeCam) is a module hung here, so that a
recipe never knows of it. With nothing hung, the judge is its discriminator, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gannet.homogeneous import is_piecewise_linear, value_and_slope

OBSERVE_EVERY = 8
"""Steps between two looks at held-out samples."""


class Regulariser(nn.Module, ABC):
    """A term over a pair of logits, added to the discriminator's loss; its state lives in buffers."""

    name: str
    requires_anchored_losses: ClassVar[bool] = False
    """Whether it reads the level of the logits, which relativistic games leave free."""

    @abstractmethod
    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """A scalar from logits [batch] and [batch]."""


class Augmentation(nn.Module):
    """Differentiable changes of samples [n, *shape] before the discriminator; `strength` in [0, 1] is a buffer."""

    strength: Tensor

    def observe(self, real_logits: Tensor, holdout_logits: Tensor, fake_logits: Tensor) -> None:
        """Adapt `strength` to the discriminator's gap between trained-on and held-out reals; a fixed one ignores it."""


class Judge(nn.Module):
    """A discriminator behind its augmentation and regularisers.

    `balance` is the running share of pairs that the discriminator orders rightly: 1/2 = it cannot tell,
    1 = it always can. It is a statement about differences, so it holds for relativistic games too.
    """

    balance: Tensor

    def __init__(
        self,
        discriminator: nn.Module,
        augmentation: Augmentation | None = None,
        regularisers: Sequence[Regulariser] = (),
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.augmentation = augmentation
        self.regularisers = nn.ModuleDict({regulariser.name: regulariser for regulariser in regularisers})
        # Batch statistics would leak between real and fake samples in one forward pass.
        self.joint = not any(isinstance(module, _BatchNorm) for module in discriminator.modules())
        self.register_buffer("balance", torch.tensor(0.5))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits [batch] of samples [batch, *shape] under their conditions [batch, width]."""
        if self.augmentation is not None:
            samples = self.augmentation(samples)
        return self.discriminator(samples, condition).to(samples.dtype)

    def pair(self, real: Tensor, fake: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits of reals and fakes that share their conditions; one forward pass where the network allows it."""
        if not self.joint:
            return self._weigh(self(real, condition), self(fake, condition))
        real_logits, fake_logits = self(torch.cat([real, fake]), _twice(condition)).chunk(2)
        return self._weigh(real_logits, fake_logits)

    def pair_with_gradients(
        self, real: Tensor, fake: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`pair`, and the gradient of each logit by its own (un-augmented) sample [batch, *shape], differentiable."""
        logits, gradients = self._with_gradients(torch.cat([real, fake]), _twice(condition))
        real_logits, fake_logits = logits.chunk(2)
        real_gradient, fake_gradient = gradients.chunk(2)
        return *self._weigh(real_logits, fake_logits), real_gradient, fake_gradient

    def gradient_at(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """The gradient of each logit by its own sample [batch, *shape], differentiable."""
        return self._with_gradients(samples, condition)[1]

    def _with_gradients(self, samples: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits [n] and their gradients by the un-augmented samples, both differentiable by the weights."""
        samples = samples.detach().requires_grad_()
        if not is_piecewise_linear(self.discriminator):
            logits = self(samples, condition)
            (gradients,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
            return logits, gradients
        if self.augmentation is None:
            logits, gradients = value_and_slope(self.discriminator, samples, condition)
            return logits.to(samples.dtype), gradients
        changed = self.augmentation(samples)
        logits, slope = value_and_slope(self.discriminator, changed, condition)
        # The sum over products: see `value_and_slope`.
        (gradients,) = torch.autograd.grad((changed * slope).sum(), samples, create_graph=True)
        return logits.to(samples.dtype), gradients

    def regularise(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        """The extra terms of whatever hangs here, by name."""
        return {name: regulariser(real_logits, fake_logits) for name, regulariser in self.regularisers.items()}

    def observe(self, real_logits: Tensor, holdout_logits: Tensor, fake_logits: Tensor) -> None:
        """Let the augmentation see how trained-on, held-out and fake samples [n] are told apart (un-augmented)."""
        if self.augmentation is not None:
            self.augmentation.observe(real_logits, holdout_logits, fake_logits)

    def _weigh(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            share = (real_logits > fake_logits).to(self.balance.dtype).mean()
            self.balance.lerp_(share, 0.02)
        return real_logits, fake_logits


def _twice(condition: Tensor | None) -> Tensor | None:
    return None if condition is None else torch.cat([condition, condition])
