"""Modes of the 8-mode ring and the 25-mode grid that a default run finds, from ten seeds.

    python benchmarks/modes.py [--seeds 10] [--set ring|grid]

Prints, a run a line: seconds, modes found, share of samples within 4 standard deviations of a mode. A mode counts as
found when at least a quarter of its fair share of good samples lies on it. Aim: all modes, >= 95 %, in under 60 s.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import numpy as np

import gannet
from gannet.domains.points import DENSITIES, GRID_DEVIATION, RING_DEVIATION, grid_centres, ring_centres

SETS = {"ring": (ring_centres(), RING_DEVIATION), "grid": (grid_centres(), GRID_DEVIATION)}
SAMPLES = 10_000


def modes_and_quality(points: np.ndarray, centres: np.ndarray, deviation: float) -> tuple[int, float]:
    """Modes found, and the share of points [n, 2] within 4 standard deviations of a centre [m, 2]."""
    distances = np.linalg.norm(points[:, None] - centres[None], axis=2)
    good = distances.min(1) < 4 * deviation
    counts = np.bincount(distances.argmin(1)[good], minlength=len(centres))
    return int((counts >= 0.25 * len(points) / len(centres)).sum()), float(good.mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", choices=SETS, action="append")
    arguments = parser.parse_args()
    for name in arguments.set or SETS:
        centres, deviation = SETS[name]
        real = DENSITIES[name](SAMPLES, np.random.default_rng(1))
        print(f"{name}: real samples {modes_and_quality(real, centres, deviation)}", flush=True)
        results = []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                started = time.monotonic()
                run = gannet.train(f"toy:{name}", seed=seed, out=f"{folder}/run")
                seconds = time.monotonic() - started
                modes, quality = modes_and_quality(run.sample(SAMPLES, seed=1), centres, deviation)
            results.append((seconds, modes, quality))
            print(f"  seed {seed}: {seconds:5.1f} s, {modes}/{len(centres)} modes, {quality:.3f} good", flush=True)
        seconds, modes, quality = zip(*results, strict=True)
        print(
            f"{name}: {sum(count == len(centres) for count in modes)}/{len(results)} runs with all modes, "
            f"lowest share good {min(quality):.3f}, median {statistics.median(quality):.3f}, "
            f"longest {max(seconds):.1f} s (aim: all, >= .95, < 60 s)"
        )


if __name__ == "__main__":
    main()
