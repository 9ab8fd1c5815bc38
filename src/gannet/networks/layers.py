"""Linear maps and convolutions with explicit normal initialisation, the activation, small helpers for all families.

Weights are drawn from torch's global generator, N(0, gain / sqrt(fan in)) (He et al. 2015); biases start at zero.
The caller seeds: `torch.manual_seed(0); linear(64, 128, gain=LEAKY_GAIN)`.
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

from gannet.homogeneous import biased_rectified, convolved, convolved_rectified, recomputed, rectified

SLOPE = 0.2
"""Slope of the leaky ReLU below zero, as in every GAN since DCGAN."""
LEAKY_GAIN = sqrt(2 / (1 + SLOPE**2))
"""The gain that keeps the variance through a leaky ReLU (He et al. 2015, eq. 15)."""


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU, in place: no layer here needs its output again once it has been activated."""
    return rectified(x, SLOPE, inplace=True)


def activate_biased(x: Tensor, bias: Tensor) -> Tensor:
    """Leaky ReLU of x [n, channels, h, w] plus a bias [channels, 1, 1]."""
    return biased_rectified(x, bias.flatten(), SLOPE, inplace=False)


class Activation(nn.Module):
    """Leaky ReLU; `inplace` where nobody else needs what comes in."""

    def __init__(self, *, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return rectified(x, SLOPE, inplace=self.inplace)


class Stage(nn.Sequential):
    """Layers in a row; what lies between them can be computed again instead of being kept for backward passes."""

    recomputed = False

    def forward(self, x: Tensor) -> Tensor:
        return recomputed(super().forward, x) if self.recomputed else super().forward(x)


class Convolution(nn.Conv2d):
    """[n, inputs, h, w] -> [n, outputs, h', w']."""

    def forward(self, x: Tensor) -> Tensor:
        return convolved(self, x)

    def activated(self, x: Tensor) -> Tensor:
        """Leaky ReLU of what comes out."""
        return convolved_rectified(self, x, SLOPE)


def linear(inputs: int, outputs: int, *, gain: float = 1.0, bias: bool = True) -> nn.Linear:
    """[n, inputs] -> [n, outputs]; a gain of 0 gives a map that starts at zero."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    initialise(layer, gain)
    return layer


def convolution(
    inputs: int, outputs: int, kernel: int, *, gain: float = 1.0, groups: int = 1, bias: bool = True
) -> Convolution:
    """[n, inputs, h, w] -> [n, outputs, h, w] with an odd kernel, zero padding and `groups` independent groups."""
    assert kernel % 2 == 1 and inputs % groups == 0 and outputs % groups == 0
    layer = Convolution(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
    initialise(layer, gain)
    return layer


def initialise(layer: nn.Linear | nn.Conv2d, gain: float) -> None:
    """Weights N(0, gain / sqrt(fan in)), bias zero."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def rounded(width: float, multiple: int, minimum: int) -> int:
    """The multiple of `multiple` nearest to `width`, at least `minimum`."""
    return max(minimum, multiple * round(width / multiple))


def parameter_count(module: nn.Module) -> int:
    """Trainable numbers in a module."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
