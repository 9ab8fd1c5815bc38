"""Exact nearest neighbours at 100,000 x 100,000 samples of 64 features: seconds and peak memory.

    python benchmarks/neighbours.py [--rows 30000] [--features 64] [--threads 1]

Prints the measured time of `nearest(x, y, 5)`, the memory it takes beside the samples, and the time extrapolated to
100,000 a side (it grows with the product of the two counts). Aim: under 60 s on two cores, and no memory of the square.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from gannet.metrics.neighbours import nearest

GOAL_ROWS, GOAL_SECONDS, GOAL_THREADS = 100_000, 60, 2
NEIGHBOURS = 5


def peak() -> float:
    """Peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(arguments.rows, arguments.features, generator=draw) for _ in range(2))
    nearest(x[:100], y[:1000], NEIGHBOURS)  # loads what is loaded once
    before, started, used = peak(), time.monotonic(), time.process_time()
    nearest(x, y, NEIGHBOURS)
    seconds, used = time.monotonic() - started, time.process_time() - used
    goal = used * (GOAL_ROWS / arguments.rows) ** 2
    print(
        f"{arguments.rows:,} x {arguments.rows:,} x {arguments.features}, {arguments.threads} thread(s): "
        f"{seconds:.1f} s ({used:.1f} s of processor time), {peak() - before:.0f} MiB more at the peak"
    )
    print(
        f"{GOAL_ROWS:,} a side, from that: {goal:.0f} s of processor time, {goal / GOAL_THREADS:.0f} s on "
        f"{GOAL_THREADS} cores that are free (aim: under {GOAL_SECONDS} s)"
    )


if __name__ == "__main__":
    main()
