"""Convolutional generator and discriminator for pictures of any size and channels, after R3GAN (Huang et al. 2024).

Residual blocks, antialiased resampling, no normalisation, fix-up initialisation (Zhang et al. 2019): bare networks
that R1 + R2 keep stable. Call `convnet_pair(spec, size=1, latent=64)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from gannet.homogeneous import PiecewiseLinear, laid_out
from gannet.networks.heads import LatentInput, ProjectionHead
from gannet.networks.layers import LEAKY_GAIN, Activation, Stage, activate_biased, convolution, linear, rounded
from gannet.networks.resample import Resample, Size, halvings
from gannet.spec import Spec

GROUP = 16
"""Channels that a grouped convolution mixes."""
EXPANSION = 2
"""Width of a bottleneck's middle over its ends."""
NARROWEST = 16
"""Channels a level has at least."""


@dataclass(frozen=True)
class Plan:
    """The levels of a network, finest first: their sizes, widths and residual blocks.

    `dense` takes the pair of dense 3x3 convolutions for a block instead of the grouped bottleneck.
    """

    sizes: tuple[Size, ...]
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dense: bool


def plan(height: int, width: int, size: float) -> Plan:
    """How pictures of this height and width are taken apart; `size` 1 is S, 2 M, 4 L, and 12 the published network.

    - Levels halve, rounding up, down to a grid of about 4x4.
    - A level has 64 * size channels up to a side (geometric mean) of 4 * size, at most 32, and beyond falls as one over
      the side: at size 12 the published 768 up to 32 pixels, 384 at 64, 192 at 128, 96 at 256.
    - From size 2 on, two bottlenecks a level as published. Below, one dense block a level and none at the finest:
      on a processor a grouped or pointwise convolution runs at half the speed of a dense one, and a block at full
      resolution takes as long as all the others together.
    """
    sizes = halvings((height, width))
    sides = [sqrt(h * w) for h, w in sizes]
    knee = min(4 * size, 32)
    widths = [rounded(64 * size * min(1.0, knee / side), multiple=8, minimum=NARROWEST) for side in sides]
    small = size < 2
    blocks = [1 if small else 2] * len(sizes)
    if small and len(sizes) > 1:
        blocks[0] = 0
    return Plan(tuple(sizes), tuple(widths), tuple(blocks), dense=small)


class Bottleneck(nn.Module):
    """1x1 (wider), grouped 3x3, 1x1 (back) over [n, width, h, w], added to the input.

    `blocks` is the number of residual blocks in the network: the first two maps start with gain * blocks^(-1/4) and
    the last at zero, so the block starts as the identity and the network's updates do not grow with its depth.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        middle = rounded(EXPANSION * width, multiple=GROUP, minimum=GROUP)
        gain = LEAKY_GAIN * blocks**-0.25
        self.widen = convolution(width, middle, 1, gain=gain)
        self.mix = convolution(middle, middle, 3, gain=gain, groups=middle // GROUP)
        self.narrow = convolution(middle, width, 1, gain=0.0, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.mix.activated(self.widen.activated(x)))


class DenseBlock(nn.Module):
    """Activation, 3x3, activation, 3x3 over [n, width, h, w], added to the input (He et al. 2016, full pre-activation).

    The first map starts with gain * blocks^(-1/2), the last at zero (Zhang et al. 2019, for two maps a block).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.first = convolution(width, width, 3, gain=LEAKY_GAIN * blocks**-0.5)
        self.last = convolution(width, width, 3, gain=0.0, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.first.activated(activate_biased(x, self.bias)))


def level(plan: Plan, index: int) -> Stage:
    """The residual blocks of one level, size and width unchanged."""
    block = DenseBlock if plan.dense else Bottleneck
    return Stage(*[block(plan.widths[index], sum(plan.blocks)) for _ in range(plan.blocks[index])])


def rewidth(source: int, target: int) -> nn.Module:
    """A 1x1 convolution where the number of channels changes."""
    return nn.Identity() if source == target else convolution(source, target, 1, bias=False)


class ConvnetGenerator(nn.Module):
    """Noise [n, latent] and conditions -> pictures [n, channels, height, width], unbounded as published.

    A learned picture of the coarsest size, its channels weighed by a linear map of the noise, then blocks and
    upsampling level by level.
    """

    def __init__(self, spec: Spec, plan: Plan, latent: int) -> None:
        super().__init__()
        widths, sizes = plan.widths, plan.sizes
        self.input = LatentInput(latent, spec.condition)
        self.weigh = linear(self.input.width, widths[-1], bias=False)
        self.base = nn.Parameter(torch.randn(widths[-1], *sizes[-1]))
        steps: list[nn.Module] = [level(plan, len(sizes) - 1)]
        for finer in reversed(range(len(sizes) - 1)):
            steps += [rewidth(widths[finer + 1], widths[finer]), Resample(sizes[finer + 1], sizes[finer])]
            steps += [level(plan, finer)]
        self.levels = nn.Sequential(*steps)
        self.picture = ToPicture(widths[0], spec.shape[0], bare=plan.blocks[0] == 0)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        weights = self.weigh(self.input(latent, condition))
        return self.picture(self.levels(laid_out(self.base * weights[:, :, None, None])))


class ToPicture(nn.Module):
    """Features [n, width, h, w] -> channels [n, channels, h, w]: 1x1, or an activation and 3x3 after a bare level."""

    def __init__(self, width: int, channels: int, *, bare: bool) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width, 1, 1)) if bare else None
        self.convolution = convolution(width, channels, 3 if bare else 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x if self.bias is None else activate_biased(x, self.bias))


class ConvnetDiscriminator(PiecewiseLinear):
    """Pictures [n, channels, height, width] and conditions -> logits [n]: the generator's mirror image.

    The coarsest grid is read by one learned picture per channel, then by the projection head.
    """

    def __init__(self, spec: Spec, plan: Plan) -> None:
        super().__init__()
        widths, sizes = plan.widths, plan.sizes
        bare = plan.blocks[0] == 0
        self.picture = convolution(
            spec.shape[0], widths[0], 3 if bare else 1, bias=bare, gain=LEAKY_GAIN if bare else 1.0
        )
        steps: list[nn.Module] = [Activation(inplace=True)] if bare else []
        steps += [level(plan, 0)]
        for coarser in range(1, len(sizes)):
            steps += [Resample(sizes[coarser - 1], sizes[coarser]), rewidth(widths[coarser - 1], widths[coarser])]
            steps += [level(plan, coarser)]
        self.levels = nn.Sequential(*steps)
        height, width = sizes[-1]
        self.read = nn.Parameter(torch.randn(widths[-1], height, width) / sqrt(height * width))
        self.head = ProjectionHead(widths[-1], spec.condition)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.levels(self.picture(laid_out(samples)))
        return self.head((features * laid_out(self.read[None])).sum((2, 3)), condition)


def convnet_pair(spec: Spec, *, size: float, latent: int) -> tuple[ConvnetGenerator, ConvnetDiscriminator]:
    """Generator and discriminator for pictures [channels, height, width]; `size` 12 is the published width of 768."""
    _, height, width = spec.shape
    levels = plan(height, width, size)
    return ConvnetGenerator(spec, levels, latent), ConvnetDiscriminator(spec, levels)
