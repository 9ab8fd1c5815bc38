"""The deep convolutional pair of Radford et al. (2016), for pictures of any size: the classic baseline.

Strided 4x4 convolutions, batch normalisation (not in the generator's last layer or the discriminator's first), ReLU and
leaky ReLU, tanh, weights N(0, 0.02). Call `dcgan_pair(spec, size=1, latent=64, normalise=True)`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gannet.homogeneous import PiecewiseLinear
from gannet.networks.heads import LatentInput, ProjectionHead
from gannet.networks.layers import LEAKY_GAIN, Activation, Convolution, initialise, rounded
from gannet.networks.resample import Size, halvings
from gannet.spec import Spec

Stage = tuple[Size, Size]
"""The fine and the coarse size that a strided convolution joins."""


def stages(height: int, width: int) -> list[Stage]:
    """Finest first; a picture too small to halve has one stage without a stride."""
    levels = halvings((height, width))
    return list(zip(levels, levels[1:], strict=False)) or [(levels[0], levels[0])]


def widths(count: int, size: float) -> list[int]:
    """Channels of the `count` coarse sides, finest first: 32 * size, doubling, at most eight times as many.

    Size 4 gives the paper's 128, 256, 512, 1024 for 64x64 pictures. Small pictures have few sides and start wider, so
    that the coarsest has at least 128 * size channels.
    """
    ahead = max(3 - count, 0)
    return [rounded(32 * size * min(2 ** (index + ahead), 8), multiple=8, minimum=8) for index in range(count)]


def strided(stage: Stage, inputs: int, outputs: int, *, transposed: bool, bias: bool) -> nn.Module:
    """A convolution from fine to coarse, or transposed from coarse to fine.

    A halved side has kernel 4 and stride 2, an unchanged one kernel 3 and stride 1; padding is 1. Where the fine side
    is odd, it is padded by one pixel at its end before, or cropped by one after.
    """
    fine, coarse = stage
    halved = fine[0] != coarse[0], fine[1] != coarse[1]
    kernel = 3 + halved[0], 3 + halved[1]
    stride = 1 + halved[0], 1 + halved[1]
    if transposed:
        return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, kernel, stride, 1, bias=bias), Crop(fine))
    odd = [s * b - a for s, a, b in zip(stride, fine, coarse, strict=True)]
    return nn.Sequential(
        nn.ZeroPad2d((0, odd[1], 0, odd[0])), Convolution(inputs, outputs, kernel, stride, 1, bias=bias)
    )


class Crop(nn.Module):
    """Pictures [n, c, >= height, >= width] -> [n, c, height, width], from the first corner."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.size[0], : self.size[1]]


class DcganGenerator(nn.Module):
    """Noise [n, latent] and conditions -> pictures [n, channels, height, width] in (-1, 1)."""

    def __init__(self, spec: Spec, size: float, latent: int) -> None:
        super().__init__()
        channels, height, width = spec.shape
        steps = stages(height, width)
        wide = widths(len(steps), size)
        self.input = LatentInput(latent, spec.condition)
        base = steps[-1][1]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(self.input.width, wide[-1], base, bias=False),
            nn.BatchNorm2d(wide[-1]),
            nn.ReLU(inplace=True),
        ]
        for index in reversed(range(1, len(steps))):
            layers += [
                strided(steps[index], wide[index], wide[index - 1], transposed=True, bias=False),
                nn.BatchNorm2d(wide[index - 1]),
                nn.ReLU(inplace=True),
            ]
        layers += [strided(steps[0], wide[0], channels, transposed=True, bias=True), nn.Tanh()]
        self.layers = nn.Sequential(*layers).apply(classic)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(self.input(latent, condition)[:, :, None, None])


class DcganDiscriminator(PiecewiseLinear):
    """Pictures [n, channels, height, width] and conditions -> logits [n].

    `normalise=False` leaves batch normalisation out, for games that differentiate each logit by its own sample.
    """

    def __init__(self, spec: Spec, size: float, *, normalise: bool) -> None:
        super().__init__()
        self.piecewise_linear = not normalise
        channels, height, width = spec.shape
        steps = stages(height, width)
        wide = [channels, *widths(len(steps), size)]
        layers: list[nn.Module] = []
        for index, stage in enumerate(steps):
            normalised = normalise and index > 0
            layers += [strided(stage, wide[index], wide[index + 1], transposed=False, bias=not normalised)]
            layers += [nn.BatchNorm2d(wide[index + 1])] if normalised else []
            layers += [Activation(inplace=True)]
        # The paper's small weights rely on batch normalisation to restore the scale; without it they keep their own.
        self.layers = nn.Sequential(*layers, nn.Flatten()).apply(classic if normalise else kept)
        base = steps[-1][1]
        self.head = ProjectionHead(wide[-1] * base[0] * base[1], spec.condition)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.layers(samples), condition)


@torch.no_grad()
def classic(module: nn.Module) -> None:
    """The paper's start: convolutions N(0, 0.02), normalisation scales N(1, 0.02), biases zero (section 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        module.weight.normal_(0.0, 0.02)
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, nn.BatchNorm2d):
        module.weight.normal_(1.0, 0.02)


def kept(module: nn.Module) -> None:
    """A start that keeps the scale without normalisation (He et al. 2015)."""
    if isinstance(module, nn.Conv2d):
        initialise(module, LEAKY_GAIN)


def dcgan_pair(
    spec: Spec, *, size: float, latent: int, normalise: bool = True
) -> tuple[DcganGenerator, DcganDiscriminator]:
    """Generator and discriminator for pictures [channels, height, width]; `size` 4 is the published width."""
    return DcganGenerator(spec, size, latent), DcganDiscriminator(spec, size, normalise=normalise)
