"""How series of any size and colour come to look alike, so that a network sees the small beside the large.

Columns that go together are turned into what they share and what parts them; each series is scaled by its own mean and
deviation, which become attributes of it (Lin et al. 2020, section 4.1); what follows from the steps before is taken
out, every frequency is brought to the same power, and rare jumps are drawn in: what is left looks like noise.
`Shape.fit(standard, alive)`, then `apply` and `undo`, exact inverses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from gannet.domains.series_memory import Memory

Array = np.ndarray

TOGETHER = 0.8
"""Correlation within series from which columns are turned together."""
LOOSE = 0.15
"""Share of a deviation by which the mean and the scale of a series are off, at random."""
CALM = 0.05
"""Share of a typical deviation below which a series counts as still; keeps its scale from vanishing."""
LEAST_MOVE = 1e-6
"""Variance within series of a column that hardly moves in any."""
KNOTS = 48
"""Frequencies at which power is kept, besides 0."""
FAINTEST = 1e-3
"""Deviation at a frequency, of a series of deviation 1, below which nothing is raised any more."""
WIDEST = 30.0
"""Deviations at which a generated attribute is held, so that no scale overflows."""
QUANTILES, SERIES_PER_QUANTILE = 65, 5
"""Most quantiles kept of an attribute, and series that each stands for at least."""


@dataclass(frozen=True)
class Shape:
    """The linear maps between standardised columns [n, length, columns] and what the game sees."""

    turn: Array
    """[columns, components]: unit columns, so components = standard @ turn / size."""
    size: Array
    """How much each component moves within a series [components]."""
    group: Array
    """Which components share their scale, as those of columns that were turned together do [components]."""
    attributes: Array
    """Ascending quantiles of the components' means and the groups' log scales [components + groups, quantiles]."""
    floor: Array
    """Added to the scale of each group, in quadrature [groups]."""
    profile: Array
    """The mean course of the scaled components [components, length]."""
    memory: Memory
    """What each step follows from in the steps before."""
    power: Array
    """Deviation at each knot of frequency, 0 to 1/2 a step [components, KNOTS + 1]."""
    bends: Array
    """Ascending quantiles of the values that are left [components, quantiles]."""

    @property
    def components(self) -> int:
        return len(self.size)

    @property
    def width(self) -> int:
        """Attributes of a series: the mean of each component, the scale of each group."""
        return len(self.attributes)

    @classmethod
    def fit(cls, standard: Array, alive: Array, noise: Array, apart: Array, random: np.random.Generator) -> Shape:
        """From standardised columns [n, length, columns] without gaps, where `alive` [n, length].

        `noise` is the deviation of each column's rounding; columns of `apart` are not turned with others.
        """
        turn, size, group = _turned(standard, alive, noise, apart)
        components = standard @ turn / size
        floor = CALM * np.maximum(np.median(_own(components, alive, group)[1], 0), 1e-3)
        mean, scale = _loosely(components, alive, group, floor, random)
        attributes = np.concatenate([mean, np.log(scale)], 1)
        scaled = np.where(alive[:, :, None], (components - mean[:, None]) / scale[:, None, group], 0.0)
        profile = scaled.sum(0) / np.maximum(alive.sum(0), 1)[:, None]
        moving = np.where(alive[:, :, None], scaled - profile, 0.0)
        memory = Memory.fit(moving, alive)
        fresh = memory.innovations(moving, alive)
        power = _power(fresh, alive)
        shape = cls(
            turn, size, group, _quantiles(attributes), floor, profile.T.copy(), memory, power, np.zeros((len(size), 0))
        )
        return replace(shape, bends=_quantiles(shape._filtered(fresh, alive, inverse=False)[alive]))

    def apply(self, standard: Array, alive: Array, random: np.random.Generator | None = None) -> tuple[Array, Array]:
        """Columns [n, length, columns] -> attributes [n, width], courses [n, length, components].

        Any mean and scale will do, as the course makes up for them: with `random` they are somewhat off, so that
        the discriminator cannot tell real courses by a mean of exactly 0 and a deviation of exactly 1.
        """
        components = standard @ self.turn / self.size
        mean, scale = _loosely(components, alive, self.group, self.floor, random)
        attributes = _through(
            np.concatenate([mean, np.log(scale)], 1), self.attributes, _normal(self.attributes.shape[1])
        )
        scaled = (components - mean[:, None]) / scale[:, None, self.group] - self.profile.T[: standard.shape[1]]
        moving = np.where(alive[:, :, None], scaled, 0.0)
        even = self._filtered(self.memory.innovations(moving, alive), alive, inverse=False)
        return attributes, self._bent(even, self.bends, _normal(self.bends.shape[1])) * alive[:, :, None]

    def undo(self, attributes: Array, courses: Array, alive: Array) -> Array:
        """The inverse of `apply`."""
        held = _through(np.clip(attributes, -WIDEST, WIDEST), _normal(self.attributes.shape[1]), self.attributes)
        mean, scale = held[:, : self.components], np.exp(held[:, self.components :])[:, self.group]
        even = self._bent(courses, _normal(self.bends.shape[1]), self.bends) * alive[:, :, None]
        fresh = self._filtered(even, alive, inverse=True)
        scaled = self.memory.rebuilt(fresh, alive) + self.profile.T[: courses.shape[1]]
        return (scaled * scale[:, None] + mean[:, None]) * self.size @ self.turn.T

    @staticmethod
    def _bent(courses: Array, source: Array, target: Array) -> Array:
        return _through(courses.reshape(-1, courses.shape[2]), source, target).reshape(courses.shape)

    def _filtered(self, courses: Array, alive: Array, *, inverse: bool) -> Array:
        """Every frequency divided (or multiplied) by its usual deviation, each series over its own length."""
        out, lengths = np.zeros_like(courses), alive.sum(1)
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            gain = self._gain(length)
            out[rows, :length] = _filter(courses[rows, :length], gain if inverse else 1 / gain)
        return out

    def _gain(self, length: int) -> Array:
        """Deviation [length + 1, components] at the frequencies of a mirrored series of `length` steps."""
        places = np.linspace(0, 1, length + 1)
        knots = np.linspace(0, 1, self.power.shape[1])
        return np.stack([np.interp(places, knots, power) for power in self.power], 1)

    def to_json(self) -> dict[str, Any]:
        arrays = {name: value.tolist() for name, value in vars(self).items() if name != "memory"}
        return {**arrays, "memory": self.memory.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Shape:
        arrays = {name: np.array(value, dtype=np.float64) for name, value in data.items() if name != "memory"}
        arrays["group"] = arrays["group"].astype(np.int64)
        return cls(**arrays, memory=Memory.from_json(data["memory"]))


def _turned(standard: Array, alive: Array, noise: Array, apart: Array) -> tuple[Array, Array, Array]:
    """Principal directions of moves within series, in each group of columns that move together, their sizes and groups.

    Directions of rounding alone are left out.
    """
    columns = standard.shape[2]
    weights = alive[:, :, None]
    centred = (standard - (standard * weights).sum(1, keepdims=True) / weights.sum(1, keepdims=True)) * weights
    covariance = np.einsum("nta,ntb->ab", centred, centred) / alive.sum()
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    near = np.abs(covariance / np.outer(deviation, deviation)) >= TOGETHER
    near[apart] = near[:, apart] = False
    np.fill_diagonal(near, True)
    turns: list[Array] = []
    sizes: list[float] = []
    owners: list[int] = []
    for index, group in enumerate(_groups(near)):
        values, vectors = np.linalg.eigh(covariance[np.ix_(group, group)])
        for value, vector in zip(values[::-1], vectors.T[::-1], strict=True):
            rounding = float((vector**2 * noise[group] ** 2).sum())
            if len(group) > 1 and value <= max(2 * rounding, 1e-10):
                continue
            turn = np.zeros(columns)
            # A direction and its opposite are the same; the largest part is made positive.
            turn[group] = vector * np.sign(vector[np.abs(vector).argmax()])
            turns.append(turn)
            sizes.append(max(float(value), LEAST_MOVE) ** 0.5)
            owners.append(index)
    return np.stack(turns, 1), np.array(sizes), np.unique(owners, return_inverse=True)[1]


def _groups(near: Array) -> list[list[int]]:
    """Connected columns of a symmetrical relation."""
    left, groups = set(range(len(near))), []
    while left:
        group, fresh = set(), {min(left)}
        while fresh:
            group |= fresh
            fresh = {int(other) for index in fresh for other in np.flatnonzero(near[index])} - group
        groups.append(sorted(group))
        left -= group
    return groups


def _own(components: Array, alive: Array, group: Array) -> tuple[Array, Array]:
    """Mean [n, components] and deviation [n, groups] of each series over its own steps."""
    counts = alive.sum(1)[:, None]
    weights = alive[:, :, None]
    mean = (components * weights).sum(1) / counts
    power = (((components - mean[:, None]) ** 2) * weights).sum(1) / counts
    shares = np.stack([power[:, group == index].mean(1) for index in range(int(group.max()) + 1)], 1)
    return mean, np.sqrt(shares)


def _loosely(
    components: Array, alive: Array, group: Array, floor: Array, random: np.random.Generator | None
) -> tuple[Array, Array]:
    """Mean [n, components] and scale [n, groups] of each series, somewhat off where there is chance."""
    mean, deviation = _own(components, alive, group)
    scale = np.sqrt(deviation**2 + floor**2)
    if random is not None:
        mean = mean + LOOSE * scale[:, group] * random.standard_normal(mean.shape)
        scale = scale * np.exp(LOOSE * random.standard_normal(scale.shape))
    return mean, scale


def _quantiles(attributes: Array) -> Array:
    """Strictly ascending quantiles [attributes, quantiles] of attributes [n, attributes] at even steps of a normal."""
    count = int(np.clip(len(attributes) // SERIES_PER_QUANTILE, 3, QUANTILES))
    shares = np.array([NormalDist().cdf(place) for place in _normal(count)])
    shares[0], shares[-1] = 0, 1
    found = np.quantile(attributes, shares, axis=0).T
    ordered = np.sort(attributes, axis=0)
    # The outermost stand for several series, too: none is told by itself.
    found[:, 0], found[:, -1] = (
        part.mean(0) for part in (ordered[:SERIES_PER_QUANTILE], ordered[-SERIES_PER_QUANTILE:])
    )
    found[:, 1:-1] = np.clip(found[:, 1:-1], found[:, :1], found[:, -1:])
    least = np.maximum(1e-3, 1e-4 * (found[:, -1:] - found[:, :1]))
    return np.maximum.accumulate(found, 1) + least * np.arange(count)


def _normal(count: int) -> Array:
    """Places [count] at which the quantiles stand, as those of a standard normal variable."""
    reach = min(3.5, 1.0 + count / 20)
    return np.linspace(-reach, reach, count)


def _through(values: Array, source: Array, target: Array) -> Array:
    """Columns [n, k] through the broken line from `source` [k, m] or [m] to `target`; beyond it by its mean slope."""
    source, target = (np.broadcast_to(each, (values.shape[1], each.shape[-1])) for each in (source, target))
    out = np.empty_like(values)
    for index, (x, y) in enumerate(zip(source, target, strict=True)):
        column = values[:, index]
        out[:, index] = np.interp(column, x, y)
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        out[:, index] += slope * (np.minimum(column - x[0], 0) + np.maximum(column - x[-1], 0))
    return out


def _filter(courses: Array, gain: Array) -> Array:
    """Courses [n, length, components], each frequency times `gain` [length + 1, components], mirrored at the ends."""
    length = courses.shape[1]
    spectrum = np.fft.rfft(np.concatenate([courses, courses[:, ::-1]], 1), axis=1)
    return np.fft.irfft(spectrum * gain[: length + 1], n=2 * length, axis=1)[:, :length]


def _power(scaled: Array, alive: Array) -> Array:
    """Root mean square [components, knots] of the mirrored series' cosine coefficients, by frequency, evened out."""
    lengths = alive.sum(1)
    knots = min(KNOTS, max(int(lengths.max()), 2))
    total, weight = np.zeros((scaled.shape[2], knots + 1)), np.zeros(knots + 1)
    for length in np.unique(lengths[lengths > 1]).tolist():
        courses = scaled[lengths == length][:, :length]
        spectrum = np.abs(np.fft.rfft(np.concatenate([courses, courses[:, ::-1]], 1), axis=1)) ** 2 / (2 * length)
        places = np.arange(1, length) / length * knots
        below = np.floor(places).astype(int)
        for index, (low, share) in enumerate(zip(below, places - below, strict=True), start=1):
            for knot, part in ((low, 1 - share), (min(low + 1, knots), share)):
                total[:, knot] += part * spectrum[:, index].sum(0)
                weight[knot] += part * len(courses)
    known = weight > 0
    if not known.any():
        return np.ones_like(total)
    level = np.log(np.sqrt(total[:, known] / weight[known]) + FAINTEST)
    places = np.arange(knots + 1)
    filled = np.stack([np.interp(places, places[known], each) for each in level])
    padded = np.pad(filled, ((0, 0), (1, 1)), mode="edge")
    return np.exp(padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4)
