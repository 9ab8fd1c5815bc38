"""Residual perceptrons for flat data: points and rows of a table.

Pre-activation blocks (He et al. 2016) whose last map starts at zero (Zhang et al. 2019), so that both players start
linear and calm; no normalisation, so each logit depends on its own sample alone. `mlp_pair(spec, size=1, latent=64)`.
"""

from __future__ import annotations

from torch import Tensor, nn

from gannet.networks.heads import BlockOutput, LatentInput, ProjectionHead
from gannet.networks.layers import LEAKY_GAIN, SLOPE, activate, linear, rounded
from gannet.spec import Block, Spec

DEPTH = 3
"""Residual blocks of a network."""
FEW = 4
"""A sample of at most this many numbers is a point: half the width of a table row's networks does for it."""


class ResidualLayer(nn.Module):
    """x -> x + W2 act(W1 act(x)) over [n, width]; W2 starts at zero, so the block starts as the identity."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.activation = nn.LeakyReLU(SLOPE)
        self.first = linear(width, width, gain=LEAKY_GAIN * depth**-0.5)
        self.last = linear(width, width, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(activate(self.first(self.activation(x))))


def trunk(width: int) -> nn.Sequential:
    """`DEPTH` residual blocks and a closing activation over [n, width]."""
    return nn.Sequential(*[ResidualLayer(width, DEPTH) for _ in range(DEPTH)], nn.LeakyReLU(SLOPE))


class MlpGenerator(nn.Module):
    """Noise [n, latent] and conditions -> flat samples [n, features]; choices come out as probabilities."""

    def __init__(self, spec: Spec, width: int, latent: int) -> None:
        super().__init__()
        self.input = LatentInput(latent, spec.condition)
        self.first = linear(self.input.width, width)
        self.trunk = trunk(width)
        self.last = linear(width, spec.features)
        self.output = BlockOutput(spec.blocks or (Block("numbers", spec.features),))

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.output(self.last(self.trunk(self.first(self.input(latent, condition)))))


class MlpDiscriminator(nn.Module):
    """Flat samples [n, features] and conditions -> logits [n]."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.first = linear(spec.features, width)
        self.trunk = trunk(width)
        self.head = ProjectionHead(width, spec.condition)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.trunk(self.first(samples)), condition)


def mlp_pair(spec: Spec, *, size: float, latent: int) -> tuple[MlpGenerator, MlpDiscriminator]:
    """Generator and discriminator of width 64 * size for points, 256 * size for rows."""
    width = rounded(size * (64 if spec.features <= FEW else 256), multiple=8, minimum=8)
    return MlpGenerator(spec, width, latent), MlpDiscriminator(spec, width)
