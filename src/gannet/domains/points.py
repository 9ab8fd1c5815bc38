"""Points in the plane (or a few dimensions): the toy densities on which every idea is tried first.

`toy:ring`, `toy:grid`, `toy:spirals`, `toy:moons`, or `toy:FILE.csv`, a file of one point a line.
The ring and the grid are those of the mode-collapse literature (Metz et al. 2017; Srivastava et al. 2017).
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gannet.domains.domain import ArrayDataset, Domain, Opened, Subset
from gannet.errors import GannetError, did_you_mean, shorten
from gannet.spec import Spec

PREFIX = "toy:"
FOURIER_FEATURES = 64
MOST_DIMENSIONS = 1_000


def ring_centres() -> np.ndarray:
    """The 8 modes of the ring [8, 2], radius 2."""
    angles = 2 * np.pi * np.arange(8) / 8
    return 2 * np.stack([np.cos(angles), np.sin(angles)], 1)


def grid_centres() -> np.ndarray:
    """The 25 modes of the grid [25, 2], 2 apart."""
    steps = np.arange(-2, 3) * 2.0
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)


RING_DEVIATION, GRID_DEVIATION = 0.02, 0.05


def _ring(count: int, random: np.random.Generator) -> np.ndarray:
    return ring_centres()[random.integers(8, size=count)] + RING_DEVIATION * random.standard_normal((count, 2))


def _grid(count: int, random: np.random.Generator) -> np.ndarray:
    return grid_centres()[random.integers(25, size=count)] + GRID_DEVIATION * random.standard_normal((count, 2))


def _spirals(count: int, random: np.random.Generator) -> np.ndarray:
    turn = np.sqrt(random.random(count)) * 3 * np.pi
    arm = random.integers(2, size=count) * np.pi
    spiral = turn[:, None] / 4 * np.stack([np.cos(turn + arm), np.sin(turn + arm)], 1)
    return spiral + 0.04 * random.standard_normal((count, 2))


def _moons(count: int, random: np.random.Generator) -> np.ndarray:
    angle, lower = random.random(count) * np.pi, random.integers(2, size=count)
    upper_moon = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower_moon = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    return np.where(lower[:, None] == 1, lower_moon, upper_moon) + 0.05 * random.standard_normal((count, 2))


DENSITIES = {"grid": _grid, "moons": _moons, "ring": _ring, "spirals": _spirals}


class Points(Domain):
    """Points [n, d], centred and divided by one overall scale so that distances keep their proportions."""

    kind: ClassVar[str] = "points"
    embedder: ClassVar[str] = "random-fourier-1"

    @dataclass(kw_only=True)
    class Options:
        """How a toy density is drawn."""

        points: int = 20_000
        """Points drawn from the density (a file is taken whole)."""

    def __init__(self, spec: Spec, centre: np.ndarray, scale: float, backdrop: np.ndarray) -> None:
        self.spec, self.centre, self.scale, self.backdrop = spec, centre, scale, backdrop

    @classmethod
    def claims(cls, source: Any) -> bool:
        return isinstance(source, str) and source.startswith(PREFIX)

    @classmethod
    def open(cls, source: Any, options: Points.Options, *, seed: int, cache: Path) -> Opened:
        name = source.removeprefix(PREFIX)
        if options.points < 3:
            raise GannetError(f"points={options.points}: too few to learn from; give at least 3")
        if name in DENSITIES:
            points = DENSITIES[name](options.points, np.random.default_rng(0))
        elif name.endswith(".csv"):
            points = read_points(Path(name))
        else:
            raise GannetError(f"toy:{name} is not a known density; {did_you_mean(name, [*DENSITIES, 'FILE.csv'])}")
        if len(points) < 3:
            raise GannetError(f"{source}: {len(points)} points are too few to learn from; give at least 3")
        centre, scale = points.mean(0), float(points.std()) or 1.0
        x, y = ((points[:, :2] - centre[:2]) / scale).T
        occupied, _, _ = np.histogram2d(x, y, bins=64, range=[[-3, 3], [-3, 3]])
        domain = cls(Spec(cls.kind, (points.shape[1],)), centre, scale, occupied > 0)
        data = ArrayDataset(domain.encode(points))
        order = np.random.default_rng([seed, 1]).permutation(len(data))
        spare = min(len(data) // 10, 2_000) if len(data) >= 200 else 0
        return Opened(
            domain=domain,
            train=Subset(data, order[spare:]),
            holdout=Subset(data, order[:spare]) if spare else None,
            fingerprint=hashlib.sha256(np.ascontiguousarray(points, dtype="<f8").tobytes()).hexdigest(),
            found=[f"points: {len(points):,} in {points.shape[1]} dimensions ({source})"],
            warnings=_doubts(points),
        )

    def state(self) -> dict[str, Any]:
        occupied = [[int(x), int(y)] for x, y in np.argwhere(self.backdrop)]
        return {"centre": self.centre.tolist(), "scale": self.scale, "occupied": occupied}

    @classmethod
    def restore(cls, spec: Spec, state: dict[str, Any]) -> Points:
        backdrop = np.zeros((64, 64), dtype=bool)
        for x, y in state["occupied"]:
            backdrop[x, y] = True
        return cls(spec, np.array(state["centre"]), state["scale"], backdrop)

    def encode(self, decoded: Any) -> Tensor:
        return torch.from_numpy(((np.asarray(decoded) - self.centre) / self.scale).astype(np.float32))

    def decode(self, samples: Tensor, condition: Tensor | None = None) -> np.ndarray:
        return samples.double().cpu().numpy() * self.scale + self.centre

    def write(self, decoded: Any, out: Path, *, names: list[str] | None = None) -> list[Path]:
        path = out if out.suffix == ".csv" else out / "points.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[f"{value:.6g}" for value in point] for point in decoded])
        return [path]

    def preview(self, samples: Tensor, condition: Tensor | None = None) -> Image.Image:
        """Samples as dots over the cells where the real points lie (the first two dimensions)."""
        side, cell = 640, 10
        image = Image.new("RGB", (side, side), "white")
        draw = ImageDraw.Draw(image)
        for x, y in np.argwhere(self.backdrop):
            draw.rectangle([x * cell, side - (y + 1) * cell, (x + 1) * cell, side - y * cell], fill="#cfe3f5")
        for x, y in (samples[:, :2].cpu().numpy() + 3) / 6 * side:
            draw.ellipse([x - 1.5, side - y - 1.5, x + 1.5, side - y + 1.5], fill="#d1495b")
        return image

    def embed(self, samples: Tensor) -> Tensor:
        """Cosines of random projections at three length scales (Rahimi & Recht 2007) [n, 64]: sees every mode."""
        random = np.random.default_rng(7)
        lengths = np.repeat([1.0, 0.4, 0.15], [22, 21, 21])
        frequencies = random.standard_normal((samples.shape[1], FOURIER_FEATURES)) / lengths
        phases = random.random(FOURIER_FEATURES) * 2 * np.pi
        projected = samples.float() @ torch.from_numpy(frequencies).float().to(samples.device)
        return torch.cos(projected + torch.from_numpy(phases).float().to(samples.device))


def _doubts(points: np.ndarray) -> list[str]:
    distinct = len(np.unique(points, axis=0))
    if len(points) < 100:
        return [f"only {len(points)} points: the generator will copy them"]
    return [f"only {distinct:,} of {len(points):,} points differ: they are learnt by heart"] if distinct < 100 else []


def read_points(path: Path) -> np.ndarray:
    """Points [n, d] of a CSV without a header (one is skipped); GannetError names the line that is not numbers."""
    if not path.is_file():
        raise GannetError(f"{path}: no such file of points")
    rows: list[list[float]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if row and (point := _point(row, number, path)) is not None:
                    rows.append(point)
                    if len(point) != len(rows[0]):
                        raise GannetError(f"{path} line {number}: {len(point)} numbers, expected {len(rows[0])}")
    except (OSError, csv.Error) as error:
        raise GannetError(f"{path}: cannot be read ({error}); give lines of numbers parted by commas") from None
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else 2)


def _point(row: list[str], number: int, path: Path) -> list[float] | None:
    """The numbers of a line; None for a header. Raises GannetError for what is no point."""
    told = shorten(",".join(row))
    try:
        point = [float(value) for value in row]
    except ValueError:
        if number == 1:
            return None
        raise GannetError(f"{path} line {number}: {told!r} is not numbers") from None
    if not 2 <= len(point) <= MOST_DIMENSIONS:
        raise GannetError(f"{path} line {number}: {len(point):,} numbers, expected 2 to {MOST_DIMENSIONS}; see tables")
    if not np.isfinite(point).all():
        raise GannetError(f"{path} line {number}: {told!r} is not finite")
    return point
