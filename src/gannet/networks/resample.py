"""Antialiased resampling between any two picture sizes, as a fixed pair of matrices: rows and columns.

The filter is a triangle as wide as the coarser grid's spacing; at an exact factor of two it is the [1, 3, 3, 1]
kernel of Huang et al. (2024). At the border the weights are renormalised, so a constant picture stays as it is.
Call `Resample((28, 28), (14, 14))(pictures)`.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

from gannet.homogeneous import filtered

Size = tuple[int, int]
"""Height and width."""
JOINT = 128 * 128
"""Source times target pixels up to which one matrix over all pixels beats one along each side (16x16 to 8x8)."""


def triangle(source: int, target: int) -> Tensor:
    """The matrix [target, source] whose row j holds the weights of the source pixels in target pixel j.

    Pixels are squares: target pixel j is centred at (j + 1/2) * source / target - 1/2 in source coordinates. Growing
    interpolates linearly; shrinking averages under a triangle of half-width source / target (a low-pass filter).
    """
    spacing = max(source / target, 1.0)
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5
    distance = (torch.arange(source, dtype=torch.float64)[None, :] - centres[:, None]).abs()
    weights = (1 - distance / spacing).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).to(torch.get_default_dtype())


class Resample(nn.Module):
    """Pictures [n, channels, *source] -> [n, channels, *target].

    Small planes take one product with a matrix over all pixels, larger ones one product along each side. On a processor
    whose channels lie side by side, halving and doubling are convolutions with the kernel instead, in a third of the
    time. Matrices and kernel follow from the sizes, so checkpoints leave them out.
    """

    rows: Tensor
    columns: Tensor
    kernel: Tensor
    """[1, 1, 4, 4], by which sides halve or double."""
    scale: Tensor
    """[*target], what brings the kernel's weights inside of the picture to 1."""

    def __init__(self, source: Size, target: Size) -> None:
        super().__init__()
        self.source, self.target = source, target
        rows, columns = triangle(source[0], target[0]), triangle(source[1], target[1])
        self.joint = prod(source) * prod(target) <= JOINT
        self.register_buffer("rows", torch.empty(0) if self.joint else rows, persistent=False)
        self.register_buffer("columns", (torch.kron(rows, columns) if self.joint else columns).T, persistent=False)
        self.halves = source == (2 * target[0], 2 * target[1])
        self.doubles = target == (2 * source[0], 2 * source[1])
        side = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (8 if self.halves else 4)
        self.register_buffer("kernel", torch.outer(side, side)[None, None], persistent=False)
        self.register_buffer("scale", torch.ones(()), persistent=False)
        if self.halves or self.doubles:
            outside = 1 / 8 if self.halves else 1 / 4
            down, right = (1 / weights_inside(side, outside) for side in target)
            self.scale = torch.outer(down, right).to(self.kernel)

    def forward(self, pictures: Tensor) -> Tensor:
        if channels_last(pictures):
            if pictures.device.type == "cpu" and (self.halves or self.doubles):
                return self._filtered(pictures)
            return self._beside(pictures.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.joint:
            return (pictures.flatten(2) @ self.columns).unflatten(2, self.target)
        return self.rows @ (pictures @ self.columns)

    def _filtered(self, pictures: Tensor) -> Tensor:
        """[n, channels, *source] -> [n, channels, *target] by a convolution, or its transpose."""
        if self.halves:
            return filtered(pictures, self.kernel, stride=2, padding=1) * self.scale
        channels = pictures.shape[1]
        kernel = self.kernel.expand(channels, -1, -1, -1)
        return conv_transpose2d(pictures, kernel, stride=2, padding=1, groups=channels) * self.scale

    def _beside(self, pictures: Tensor) -> Tensor:
        """[n, *source, channels] -> [n, *target, channels]: products that leave a pixel's channels side by side."""
        n, height, width, channels = pictures.shape
        if self.joint:
            return (self.columns.T @ pictures.reshape(n, height * width, channels)).unflatten(1, self.target)
        lines = self.rows @ pictures.reshape(n, height, width * channels)
        return (self.columns.T @ lines.reshape(-1, width, channels)).unflatten(0, (n, self.target[0]))

    def extra_repr(self) -> str:
        return f"{self.source[0]}x{self.source[1]} -> {self.target[0]}x{self.target[1]}"


def weights_inside(side: int, outside: float) -> Tensor:
    """How much of a kernel's weights lies inside of the picture, [side]: but for `outside` at either end all."""
    weights = torch.ones(side, dtype=torch.float64)
    weights[0] -= outside
    weights[-1] -= outside
    return weights


def channels_last(pictures: Tensor) -> bool:
    """Whether pictures [n, channels, h, w] lie in memory with the channels of a pixel side by side."""
    return not pictures.is_contiguous() and pictures.is_contiguous(memory_format=torch.channels_last)


def halvings(size: Size, *, base: int = 5) -> list[Size]:
    """The picture size and its coarser levels: each side halves, rounding up, until it is at most `base`.

    28x28 -> 14 -> 7 -> 4; 96x160 -> 48x80 -> 24x40 -> 12x20 -> 6x10 -> 3x5; 64x256 ends at 4x4, for a side that has
    arrived waits for the other.
    """
    levels = [size]
    while max(levels[-1]) > base:
        height, width = levels[-1]
        levels.append((_half(height, base), _half(width, base)))
    return levels


def _half(side: int, base: int) -> int:
    return (side + 1) // 2 if side > base else side
