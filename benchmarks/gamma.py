"""The self-chosen penalty weight of R3GAN against fixed weights over four decades, on several kinds of data.

    python benchmarks/gamma.py [DATA] [--samples 200k] [--seeds 1] [--sets ring grid digits ...]

DATA is the folder of further sets (Fashion-MNIST, adult, diamonds); without it the built-in sets alone are played.
Prints the best running score of every run (lower is better), and for the self-chosen weight its ratio to the best
and to the worst fixed weight of the same set. A rule that needs no tuning is one whose ratio to the best is near 1.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import gannet
from gannet.settings import parse_count

FIXED = (0.001, 0.01, 0.1, 1.0, 10.0)
TOYS = ("ring", "grid", "spirals")
BUILT_IN = {"ring": "toy:ring", "grid": "toy:grid", "spirals": "toy:spirals", "digits": "digits"}
FURTHER = {
    "fashion": "images/fashion_mnist/train30k.npz",
    "adult": "tables/adult_train.csv.gz",
    "diamonds": "tables/diamonds.csv.gz",
}


def score(source: str, gamma: float | None, samples: int, seed: int) -> float:
    """The best running score of one run."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {} if gamma is None else {"gamma": gamma}
        run = gannet.train(source, recipe="r3gan", samples=samples, seed=seed, out=f"{folder}/run", **settings)
        return min(line["score"] for line in run.log() if line["event"] == "score")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--samples", default="200k", help="for points; a fifth of it for pictures and tables")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", nargs="+")
    arguments = parser.parse_args()
    sets = dict(BUILT_IN)
    if arguments.data is not None:
        sets |= {name: str(arguments.data / path) for name, path in FURTHER.items()}
    samples = parse_count(arguments.samples)
    for name in arguments.sets or sets:
        scores = {
            gamma: statistics.median(
                score(sets[name], gamma, samples // (1 if name in TOYS else 5), seed) for seed in range(arguments.seeds)
            )
            for gamma in (None, *FIXED)
        }
        chosen, fixed = scores[None], [scores[gamma] for gamma in FIXED]
        row = "  ".join(f"{gamma:g}: {scores[gamma]:.4f}" for gamma in FIXED)
        print(
            f"{name:9s} self-chosen {chosen:.4f}   fixed {row}   "
            f"to the best {chosen / min(fixed):.2f}, to the worst {chosen / max(fixed):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
