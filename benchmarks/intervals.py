"""Do the intervals of a report hold? Figures of many fresh draws beside the intervals that each draw alone gave.

    python benchmarks/intervals.py [--rows 400] [--features 32] [--shift 0] [--draws 100]

Both sides are Gaussian; `shift` makes the generated ones narrower and moves them. "spread" is the standard deviation of
the figure over the draws, "said" what the intervals take it for (half their width over 1.96), "holds" the share of the
intervals that hold the mean over the draws (aim: .95; one that errs wide is no harm).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.evaluation import feature_scores
from gannet.metrics.intervals import NORMAL, folded, parted, within
from gannet.metrics.kernel import bounded
from gannet.metrics.support import alpha_precision, beta_recall

Measured = dict[str, tuple[float, tuple[float, float] | None]]


def measured(real: Tensor, made: Tensor) -> Measured:
    found: Measured = dict(feature_scores(real, made, bounded(real), 0, intervals=True))
    found["alpha-precision"] = folded(alpha_precision, real, made, high=1.0)
    value = beta_recall(real, made)
    error = parted(lambda x, y: {"beta": beta_recall(x, y)}, real, made)["beta"]
    found["beta-recall"] = value, within(value, error, low=0.0, high=1.0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--shift", type=float, default=0.0)
    parser.add_argument("--draws", type=int, default=100)
    given = parser.parse_args()
    draw, seen = torch.Generator().manual_seed(0), {}
    for _ in range(given.draws):
        real, made = (torch.randn(given.rows, given.features, generator=draw) for _ in range(2))
        for name, (value, interval) in measured(real, made * (1 - given.shift) + given.shift / 2).items():
            assert interval is not None
            seen.setdefault(name, []).append((value, *interval))
    print(f"{'figure':20s} {'mean':>8s} {'spread':>8s} {'said':>8s} {'holds':>6s}")
    for name, rows in seen.items():
        value, low, high = np.array(rows).T
        held = ((low <= value.mean()) & (value.mean() <= high)).mean()
        said = (high - low).mean() / 2 / NORMAL
        print(f"{name:20s} {value.mean():8.4f} {value.std():8.4f} {said:8.4f} {held:6.2f}")


if __name__ == "__main__":
    main()
