"""Sliced Wasserstein distance: the mean cost of moving one set onto the other along random lines (Rabin et al. 2011).

`sliced_wasserstein(real, generated)`: exact for the two empirical distributions, also of unequal counts.
"""

from __future__ import annotations

import torch
from torch import Tensor

PROJECTIONS = 128
LINES_AT_ONCE = 16


def directions(count: int, width: int, seed: int = 0) -> Tensor:
    """`count` fixed random unit vectors [count, width], float64, uniform on the sphere."""
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn / drawn.norm(dim=1, keepdim=True)


def sliced_wasserstein(real: Tensor, generated: Tensor, *, projections: int = PROJECTIONS, seed: int = 0) -> float:
    """Mean Wasserstein-1 distance of features [n, d] and [m, d] along random lines, in units of the features.

    A shift s gives |s| E|u.e| (about |s| sqrt(2 / (pi d))): the wider the features, the smaller the figure.
    """
    lines = directions(projections, real.shape[1], seed).to(real.device)
    total = 0.0
    for some in lines.split(LINES_AT_ONCE):
        total += float(wasserstein(real.double() @ some.T, generated.double() @ some.T).sum())
    return total / projections


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Wasserstein-1 distances [c] between the columns of x [n, c] and y [m, c]: the area between their quantiles."""
    x, y = x.sort(0).values, y.sort(0).values
    if len(x) == len(y):
        return (x - y).abs().mean(0)
    steps_x = torch.arange(1, len(x) + 1, dtype=torch.float64, device=x.device) / len(x)
    steps_y = torch.arange(1, len(y) + 1, dtype=torch.float64, device=x.device) / len(y)
    ends = torch.cat([steps_x, steps_y]).sort().values
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    middles = (starts + ends) / 2
    rank_x = (middles * len(x)).long().clamp(max=len(x) - 1)
    rank_y = (middles * len(y)).long().clamp(max=len(y) - 1)
    return ((x[rank_x] - y[rank_y]).abs() * (ends - starts)[:, None]).sum(0)
