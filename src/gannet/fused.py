"""A bias and a leaky ReLU in one pass over memory, and what their derivatives need in another: two kernels for a GPU.

Between two convolutions numbers are only carried to and fro: a GPU adds and compares a hundred times faster than it
reads. `biased_rectified(x, bias, slope)` reads and writes them once where an addition and an activation take two turns
and a half; `masked(g, y, slope)` does so for the way back, and adds up what the bias gets while the numbers are there.
Written in Triton, which comes with PyTorch for GPUs; `works_on(x)` says where. On a CPU the same is done in turns.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

TILE = 8192
"""Numbers that a program of a kernel takes at once."""
MOST_CHANNELS = 128
"""Channels among them."""


def works_on(x: Tensor) -> bool:
    """Whether there are kernels for x [n, channels, h, w]: on a GPU, channels side by side, not double precision."""
    return (
        x.device.type == "cuda"
        and x.dim() == 4
        and x.dtype in (torch.bfloat16, torch.float16, torch.float32)
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()  # a compiler sees to it by itself
        and _kernels() is not None
    )


def biased_rectified(x: Tensor, bias: Tensor, slope: float, *, inplace: bool) -> Tensor:
    """Leaky ReLU of x [n, channels, h, w] plus bias [channels], in x itself where `inplace`."""
    if x.device.type == "cpu":
        sums = x.add_(bias.view(-1, 1, 1)) if inplace else x + bias.view(-1, 1, 1)
        return torch.nn.functional.leaky_relu_(sums, slope)
    y = x if inplace else torch.empty_like(x)
    (_, channels, height, width), (grid, sizes) = x.shape, _laid(x)
    _kernels().biased_rectified[grid](x, bias, y, channels, height * width, slope, **sizes)
    return y


def masked(
    g: Tensor, y: Tensor, slope: float, *, more: Tensor | None = None, summed: bool = False
) -> tuple[Tensor, Tensor | None]:
    """What a leaky ReLU that gave y passes back of g plus `more` [n, channels] at every place, all [n, channels, h, w].

    Where `summed`, beside it the sum over all places, [n, channels] in single precision or better.
    """
    if y.device.type == "cpu":
        whole = g if more is None else g + more[:, :, None, None].to(g.dtype)
        passed = torch.ops.aten.leaky_relu_backward(whole, y, slope, True)
        wide = torch.promote_types(g.dtype, torch.float32)
        return passed, passed.sum((2, 3), dtype=wide) if summed else None
    g, passed = g.to(y.dtype).contiguous(memory_format=torch.channels_last), torch.empty_like(y)
    (_, channels, height, width), (grid, sizes) = y.shape, _laid(y)
    parts = y.new_empty(*grid[:2], channels, dtype=torch.float32) if summed else passed
    more = None if more is None else more.float().contiguous()
    _kernels().masked[grid](
        g, y, passed if more is None else more, passed, parts, channels, height * width, slope,
        MORE=more is not None, SUMMED=summed, **sizes,
    )  # fmt: skip
    if not summed:
        return passed, None
    return passed, parts[:, 0] if grid[1] == 1 else parts.sum(1)


def _laid(x: Tensor) -> tuple[tuple[int, int, int], dict[str, int]]:
    """The programs for x - samples, places, channels - and how many places and channels each takes."""
    n, channels, height, width = x.shape
    beside = min(1 << (channels - 1).bit_length(), MOST_CHANNELS)
    places = min(TILE // beside, 1 << (height * width - 1).bit_length())
    grid = n, -(-height * width // places), -(-channels // beside)
    return grid, {"PLACES": places, "CHANNELS": beside}


@functools.cache
def _kernels() -> Any:
    """The kernels, tried once; None where there is no Triton, or no compiler for what it writes."""
    try:
        from gannet import fused_kernels

        if torch.cuda.is_available():
            x, bias = torch.ones(1, 1, device="cuda"), torch.ones(1, device="cuda")
            fused_kernels.biased_rectified[(1, 1, 1)](x, bias, x, 1, 1, 0.5, PLACES=1, CHANNELS=1)
    except Exception:  # whatever a compiler on somebody's machine comes up with: there is another way
        return None
    return fused_kernels
