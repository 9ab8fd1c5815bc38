"""Kernel distance: the unbiased squared maximum mean discrepancy (Binkowski et al. 2018, eq. 4), over random subsets.

`kernel_distance(real, generated)` with the cubic kernel of print, or `scale_free=True` with a bounded one. Its expected
value is 0 for two sets from one distribution at any sample count, so it may come out slightly negative.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SUBSET_ROWS = 1000
SUBSETS = 50
REACHES = (0.05, 0.25, 1.0)
"""Squared lengths of the bounded kernel, in shares of the median squared distance between real samples."""

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Similarities [n, m] of features [n, d] and [m, d], float64."""


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / d + 1)^3, the kernel of print. It sees three moments, knows no units and is unbounded.

    With features far wider than the real ones its noise outgrows its value, so that even the sign is chance.
    """
    return (x @ y.T / x.shape[1] + 1) ** 3


def bounded(real: Tensor) -> Kernel:
    """The mean of 1 / (1 + |x - y|^2 / l^2) over three lengths l taken from real features [n, d].

    A rational quadratic kernel: it tells any two distributions apart and lies within 0 and 1, so that far-off samples
    count fully but no more; and features in other units give the same similarities.
    """
    real = real[:SUBSET_ROWS].double()
    centre = real.mean(0)
    between = _squared_distances(real - centre, real - centre)
    typical = between[~torch.eye(len(real), dtype=torch.bool, device=real.device)]
    length = float(typical.median()) or float(typical.mean()) or 1.0

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        shares = _squared_distances(x - centre, y - centre) / length
        return torch.stack([1 / (1 + shares / reach) for reach in REACHES]).mean(0)

    return kernel


def squared_discrepancy(x: Tensor, y: Tensor, kernel: Kernel = cubic) -> float:
    """Unbiased squared discrepancy between features [n, d] and [m, d]; n, m >= 2."""
    x, y = x.double(), y.double()
    assert len(x) >= 2 and len(y) >= 2
    return float(_among(kernel(x, x)) + _among(kernel(y, y)) - 2 * kernel(x, y).mean())


def subset_distances(
    real: Tensor,
    generated: Tensor,
    *,
    kernel: Kernel = cubic,
    rows: int = SUBSET_ROWS,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> Tensor:
    """`squared_discrepancy` of `subsets` random subsets of `rows` rows a side (fewer when the sets are smaller).

    Float64 [subsets]; a single one when the sets are no larger than a subset. The subsets of one shuffle share no row,
    so `len(real) // rows` of them are independent of each other.
    """
    rows = min(rows, len(real), len(generated))
    draw = torch.Generator().manual_seed(seed)
    values: list[float] = []
    while len(values) < subsets:
        first = torch.randperm(len(real), generator=draw).to(real.device).split(rows)
        second = torch.randperm(len(generated), generator=draw).to(generated.device).split(rows)
        whole = [(a, b) for a, b in zip(first, second, strict=False) if len(a) == len(b) == rows]
        values += [squared_discrepancy(real[a], generated[b], kernel) for a, b in whole[: subsets - len(values)]]
        if rows == len(real) == len(generated):
            break  # every further shuffle would be the same sum
    return torch.tensor(values, dtype=torch.float64)


def kernel_distance(
    real: Tensor,
    generated: Tensor,
    *,
    rows: int = SUBSET_ROWS,
    subsets: int = SUBSETS,
    seed: int = 0,
    scale_free: bool = False,
) -> float:
    """Mean squared discrepancy between features [n, d] and [m, d] over subsets; print multiplies it by 1,000 ("KID").

    `scale_free` takes the bounded kernel with lengths from the real features; otherwise the cubic one of print.
    """
    kernel = bounded(real) if scale_free else cubic
    return float(subset_distances(real, generated, kernel=kernel, rows=rows, subsets=subsets, seed=seed).mean())


def _among(similarities: Tensor) -> Tensor:
    """Mean similarity of different rows of one set: leaving out each row with itself is what makes it unbiased."""
    count = len(similarities)
    return (similarities.sum() - similarities.diagonal().sum()) / (count * (count - 1))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp(min=0)
