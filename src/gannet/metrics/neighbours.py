"""Precision and recall (Kynkäänniemi et al. 2019) and density and coverage (Naeem et al. 2020) from nearest neighbours.

`neighbour_scores(real, generated)` gives all four; `nearest(queries, points, k)` is the exact search beneath them;
`counts_within` and `least_within` look into balls of given radii.
Everything streams in blocks: memory grows with the rows, never with their square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from gannet.errors import GannetError

PRECISION_NEIGHBOURS = 3
"""k of precision and recall: the published default."""
DENSITY_NEIGHBOURS = 5
"""k of density and coverage: the published default."""

MANY_PAIRS = 10**8
"""Pairs of samples from which a search is shared out among threads."""
BLOCK = 2**24
"""Numbers in the largest block of distances."""
GROUP = 32
"""Points among which only the nearest is kept in the first sieve."""
HEIGHT, TILE = 512, 2048
"""Queries and points whose distances are measured at once: few enough to stay in a processor's cache."""
SPARE = 8
"""Candidates beyond k that are measured exactly, against rounding in the sieve."""
TIE = 1e-6
"""Squared distances closer than this share count as equal: on a lattice stored in float32, ties would be chance."""


def nearest(queries: Tensor, points: Tensor, k: int, *, exclude_self: bool = False) -> tuple[Tensor, Tensor]:
    """The k nearest points of every query: distances [q, k] float64, ascending, and their indices [q, k].

    A matrix product in float32 sieves the candidates; their distances are then measured by differences in float64.
    `exclude_self`: queries are the points themselves, and no row is its own neighbour.
    Raises GannetError when there are not enough points.
    """
    available = len(points) - exclude_self
    if k > available:
        raise GannetError(f"{k} nearest neighbours need more than {available} other samples: give more data")
    left, right, _ = _factors(queries, points)
    tiles = -(-len(points) // TILE)
    padding = right.new_zeros(tiles * TILE - len(points), right.shape[1])
    padding[:, -1] = torch.inf  # further than any point
    right = torch.cat([right, padding])

    def found(start: int) -> tuple[Tensor, Tensor]:
        rows = left[start : start + HEIGHT]
        own = torch.arange(start, start + len(rows), device=rows.device)[:, None] if exclude_self else None
        candidates, missing = _sieve(rows, right, k, own)
        candidates = candidates.clamp(max=len(points) - 1)
        exact = _squared_distances(queries[start : start + HEIGHT, None], points[candidates])
        exact[missing] = torch.inf
        order = exact.sort(stable=True, dim=1)
        return order.values[:, :k].sqrt(), candidates.gather(1, order.indices[:, :k])

    starts = range(0, len(queries), HEIGHT)
    large = len(queries) * len(points) >= MANY_PAIRS and queries.device.type == "cpu"
    parts = _at_once(found, starts) if large else [found(start) for start in starts]
    distances, indices = zip(*parts, strict=True)
    return torch.cat(distances), torch.cat(indices)


def _at_once(work: Callable[[int], tuple[Tensor, Tensor]], starts: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """The work at every start, on as many threads as PyTorch may use, each with operations of one thread.

    Threads that share every operation wait for each other, which costs several times the work where another program
    keeps a core busy. Only for what is large: the number of threads is PyTorch's own setting, put back at the end.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [work(start) for start in starts]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, starts))
    finally:
        torch.set_num_threads(threads)


def radii(points: Tensor, k: int) -> Tensor:
    """Distance [n] of every point [n, d] to its k-th nearest other point, float64."""
    return nearest(points, points, k, exclude_self=True)[0][:, -1]


def counts_within(centres: Tensor, radius: Tensor, points: Tensor) -> Tensor:
    """How many points [m, d] lie within the radius [n] of each centre [n, d], the border included: [n] int64."""
    counts = torch.zeros(len(centres), dtype=torch.int64, device=centres.device)
    for block in _blocks(centres, points):
        counts[block.rows] += block.within(radius[block.rows, None]).sum(1)
    return counts


def least_within(centres: Tensor, radius: Tensor, points: Tensor, values: Tensor) -> Tensor:
    """The least value [m] of the points [m, d] within the radius [n] of each centre [n, d]; infinite where none is."""
    values = values.double()
    least = torch.full((len(centres),), torch.inf, dtype=torch.float64, device=centres.device)
    for block in _blocks(centres, points):
        inside = block.within(radius[block.rows, None])
        found = torch.where(inside, values[None, block.columns], torch.inf).amin(1)
        least[block.rows] = torch.minimum(least[block.rows], found)
    return least


@dataclass(frozen=True)
class NeighbourScores:
    """The four figures, sample by sample; their means are the published figures."""

    precision: Tensor
    """[generated] 1 where the sample lies within the reals' support (a ball around some real sample)."""
    recall: Tensor
    """[real] 1 where the sample lies within the generated samples' support."""
    density: Tensor
    """[generated] how many reals' balls hold the sample, over k: 1 on average where the density is right."""
    coverage: Tensor
    """[real] 1 where some generated sample lies in the sample's own ball."""

    def means(self) -> dict[str, float]:
        """The published figures by name."""
        return {name: float(values.mean()) for name, values in vars(self).items()}


def neighbour_scores(
    real: Tensor,
    generated: Tensor,
    *,
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    density_neighbours: int = DENSITY_NEIGHBOURS,
) -> NeighbourScores:
    """Precision, recall, density and coverage of generated features [m, d] against real ones [n, d].

    Raises GannetError when either side has no more samples than neighbours are asked for.
    """
    real_distances = nearest(real, real, max(precision_neighbours, density_neighbours), exclude_self=True)[0]
    real_reach = real_distances[:, precision_neighbours - 1]
    real_ball = real_distances[:, density_neighbours - 1]
    generated_reach = radii(generated, precision_neighbours)
    precision = torch.zeros(len(generated), dtype=torch.bool, device=real.device)
    recall = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    density = torch.zeros(len(generated), dtype=torch.float64, device=real.device)
    coverage = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for block in _blocks(generated, real):
        precision[block.rows] |= _any(block.within(real_reach[None, block.columns]), 1)
        recall[block.columns] |= _any(block.within(generated_reach[block.rows, None]), 0)
        inside = block.within(real_ball[None, block.columns])
        density[block.rows] += inside.sum(1, dtype=torch.int32)
        coverage[block.columns] |= _any(inside, 0)
    return NeighbourScores(precision.double(), recall.double(), density / density_neighbours, coverage.double())


def precision_recall(real: Tensor, generated: Tensor, k: int = PRECISION_NEIGHBOURS) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1-3) of features [n, d] and [m, d]."""
    scores = neighbour_scores(real, generated, precision_neighbours=k, density_neighbours=k)
    return float(scores.precision.mean()), float(scores.recall.mean())


def density_coverage(real: Tensor, generated: Tensor, k: int = DENSITY_NEIGHBOURS) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, eq. 3-4) of features [n, d] and [m, d]."""
    scores = neighbour_scores(real, generated, precision_neighbours=k, density_neighbours=k)
    return float(scores.density.mean()), float(scores.coverage.mean())


@dataclass(frozen=True)
class _Block:
    """A rectangle of pairs of rows of x and y, with a lower bound on each squared distance in sieve units."""

    x: Tensor
    y: Tensor
    rows: slice
    columns: slice
    low: Tensor
    slack: tuple[Tensor, Tensor]
    """How far the distance may lie above its bound: the sum of [rows, 1] and [columns]."""
    unit: float
    """Sieve units in one unit of the features."""

    def within(self, radius: Tensor) -> Tensor:
        """Which pairs [rows, columns] lie within the radius (broadcast); rounding never decides."""
        squared = radius.square() * (1 + TIE)
        limit = (squared * self.unit**2).to(self.low)
        inside = self.low <= limit
        doubtful = inside.nonzero()
        if len(doubtful) > inside.numel() / 500:  # too many to measure them all: pass those that are surely inside
            doubtful = (inside & (self.low + self.slack[0] + self.slack[1] > limit)).nonzero()
        squared = squared.expand_as(inside)
        for some in doubtful.split(BLOCK // (16 * self.x.shape[1]) + 1):
            row, column = some.unbind(1)
            exact = _squared_distances(self.x[self.rows][row], self.y[self.columns][column])
            inside[row, column] = exact <= squared[row, column]
        return inside


def _blocks(x: Tensor, y: Tensor, height: int = 256, width: int = 2048) -> Iterator[_Block]:
    """Every pair of rows of x and y, a rectangle at a time."""
    rounding = _rounding(x.shape[1])
    left, right, unit = _factors(x, y, shrink=1 - rounding)
    slack_x, slack_y = 2 * rounding * left[:, -2, None], 2 * rounding * right[:, -1]
    for top in range(0, len(x), height):
        rows = slice(top, top + height)
        for start in range(0, len(y), width):
            columns = slice(start, start + width)
            yield _Block(x, y, rows, columns, left[rows] @ right[columns].T, (slack_x[rows], slack_y[columns]), unit)


def _any(mask: Tensor, axis: int) -> Tensor:
    """`mask.any(axis)`, ten times as fast on a processor."""
    return mask.view(torch.uint8).amax(axis).bool()


def _sieve(left: Tensor, right: Tensor, k: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """Indices [rows, >= k], ascending, of the points nearest by the factors [rows, d + 2] and [tiles * TILE, d + 2].

    And which of them are no points to be found: padding, or the row itself.
    Of each group of points only the nearest is kept: a tile of distances is still in the processor's cache when its
    groups are summed up. The k nearest points lie in the k groups with the nearest, so only those are looked into.
    `own` [rows, 1]: the point that each row is, which is not its neighbour.
    """
    block, minima = left.new_empty(len(left), TILE), left.new_empty(len(left), len(right) // GROUP)
    width = TILE // GROUP
    for tile in range(len(right) // TILE):
        torch.mm(left, right[tile * TILE : (tile + 1) * TILE].T, out=block)
        if own is not None:
            _leave_out(block, own - tile * TILE)
        minima[:, tile * width : (tile + 1) * width] = block.view(len(left), GROUP, width).amin(1)
    groups = minima.topk(min(k + 2, minima.shape[1]), dim=1, largest=False).indices
    # A group's points lie `width` apart in its tile.
    first = groups // width * TILE + groups % width
    members = (first[:, :, None] + width * torch.arange(GROUP, device=left.device)).flatten(1)
    values = torch.bmm(right[members], left[:, :, None])[:, :, 0]
    if own is not None:
        values[members == own] = torch.inf
    place = values.topk(min(k + SPARE, values.shape[1]), dim=1, largest=False).indices
    found = members.gather(1, place).sort(1)
    return found.values, values.gather(1, place).gather(1, found.indices) == torch.inf


def _leave_out(block: Tensor, own: Tensor) -> None:
    """Put each row's own point out of reach where it lies in this block."""
    inside = ((own >= 0) & (own < block.shape[1]))[:, 0].nonzero()[:, 0]
    block[inside, own[inside, 0]] = torch.inf


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() - y.double()).square().sum(-1)


def _factors(x: Tensor, y: Tensor, shrink: float = 1.0) -> tuple[Tensor, Tensor, float]:
    """Factors [n, d + 2] and [m, d + 2] whose product is |x - y|^2, and the sieve units in a feature's unit.

    `shrink` shortens |x|^2 + |y|^2 by a share, which makes the product a lower bound. Both sets are centred on y and
    made at most 1 in size: the product loses its digits far from the origin, and overflows for large values.
    """
    centre = y.mean(0, dtype=torch.float64)
    x, y = x - centre, y - centre
    largest = max(float(x.abs().max()), float(y.abs().max()))
    unit = 1 / largest if largest > 0 else 1.0
    x, y = x * unit, y * unit
    length_x, length_y = shrink * x.square().sum(1, keepdim=True), shrink * y.square().sum(1, keepdim=True)
    left = torch.cat([-2 * x, length_x, torch.ones_like(length_x)], 1)
    right = torch.cat([y, torch.ones_like(length_y), length_y], 1)
    kind = _sieve_type(x.device)
    return left.to(kind), right.to(kind), unit


def _rounding(width: int) -> float:
    """Bound on the error of |x|^2 + |y|^2 - 2 x.y in float32, in shares of |x|^2 + |y|^2."""
    return (16 + sqrt(width)) * torch.finfo(torch.float32).eps


def _sieve_type(device: torch.device) -> torch.dtype:
    """Float32 where a float32 product is one; training may have allowed faster products that carry only ten bits."""
    exact = device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"
    return torch.float32 if exact else torch.float64
