"""Antialiased resampling between any two picture sizes, as a fixed pair of matrices: rows and columns.

The filter is a triangle as wide as the coarser grid's spacing; at an exact factor of two it is the [1, 3, 3, 1]
kernel of Huang et al. (2024). At the border the weights are renormalised, so a constant picture stays as it is.
Call `Resample((28, 28), (14, 14))(pictures)`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Size = tuple[int, int]
"""Height and width."""


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

    Two matrix products are faster on a processor than interpolation with its double backward, have the same result on
    every run and device, and hold for odd sizes. The matrices follow from the sizes, so checkpoints leave them out.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, source: Size, target: Size) -> None:
        super().__init__()
        self.source, self.target = source, target
        self.register_buffer("rows", triangle(source[0], target[0]), persistent=False)
        self.register_buffer("columns", triangle(source[1], target[1]).T.contiguous(), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        if self.source[1] < self.target[1]:  # grow the columns while there are few rows, shrink the rows first
            return self._along_rows(self._along_columns(pictures))
        return self._along_columns(self._along_rows(pictures))

    def _along_rows(self, pictures: Tensor) -> Tensor:
        return pictures if self.source[0] == self.target[0] else self.rows @ pictures

    def _along_columns(self, pictures: Tensor) -> Tensor:
        return pictures if self.source[1] == self.target[1] else pictures @ self.columns

    def extra_repr(self) -> str:
        return f"{self.source[0]}x{self.source[1]} -> {self.target[0]}x{self.target[1]}"


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
