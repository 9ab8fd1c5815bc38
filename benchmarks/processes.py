"""Two processes with one thread each against one process with two threads: the same game, batch and order of samples.

    python benchmarks/processes.py [--rounds 6] [--seconds 8]

Both play the default game on pictures, each first in every other round; printed are the median and the range of the
rounds' ratios (aim: .9 or more), the median samples a second, after a warm-up, and the load of the machine, which has
to have two cores to itself. The order is
compared by a digest of the positions that all processes of a kind have read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.memory import kept_by_the_process
from gannet.processes import Layout, _free_port
from gannet.ranks import Ranks
from gannet.recipes.r3gan import R3GAN
from gannet.spec import Spec

CASES = {"28 px": ((1, 28, 28), 64), "64 px": ((3, 64, 64), 32)}
STEPS = 4


class Noted(ArrayDataset):
    """Remembers which positions were read."""

    def __init__(self, samples: torch.Tensor) -> None:
        super().__init__(samples)
        self.positions: list[np.ndarray] = []

    def read(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor | None]:
        self.positions.append(np.asarray(indices))
        return super().read(indices)


def play(name: str, seconds: float) -> None:
    """One process: the rate of the whole game, and the positions read in its first steps."""
    shape, batch = CASES[name]
    ranks = Ranks.of_environment("cpu")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    data = Noted(torch.rand(1_000, *shape) * 2 - 1)
    recipe = R3GAN(batch_size=batch, augment="none")
    networks = recipe.build(Spec("images", shape), size=1.0, count=len(data), holdout=0)
    engine = Engine(recipe, networks, data, total=10**9, ranks=ranks)
    with kept_by_the_process():
        for _ in range(STEPS):
            engine.step()
        positions = [each.tolist() for each in data.positions[: 2 * STEPS]]  # what is read ahead comes after
        started, first = time.monotonic(), engine.seen
        # The first process says when it is over: a different number of steps would leave the other waiting.
        while ranks.told(lambda: time.monotonic() - started < seconds):
            engine.step()
        rate = (engine.seen - first) / (time.monotonic() - started)
    print(json.dumps({"rank": ranks.index, "rate": rate, "positions": positions}), flush=True)


def started(name: str, processes: int, seconds: float) -> tuple[float, str]:
    """Samples a second, and a digest of what was read in the first steps by all processes together."""
    port, threads = _free_port(), 2 // processes
    line = [sys.executable, __file__, "--child", name, "--seconds", str(seconds)]
    running = []
    for local in range(processes):
        variables = Layout(processes).variables(local, port) if processes > 1 else {}
        environment = {**os.environ, **variables, "OMP_NUM_THREADS": str(threads)}
        running.append(subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True))
    told = sorted((json.loads(each.communicate()[0]) for each in running), key=lambda one: one["rank"])
    # A batch is the parts of all processes side by side; reads are by turn and step.
    batches = [sum(parts, []) for parts in zip(*(one["positions"] for one in told), strict=True)]
    return told[0]["rate"], hashlib.sha256(json.dumps(batches).encode()).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--child")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    if arguments.child:
        play(arguments.child, arguments.seconds)
        return
    for name in CASES:
        rates: dict[int, list[float]] = {1: [], 2: []}
        orders: dict[int, set[str]] = {1: set(), 2: set()}
        for number in range(arguments.rounds):
            for processes in sorted(rates, reverse=number % 2 == 1):
                rate, order = started(name, processes, arguments.seconds)
                rates[processes].append(rate)
                orders[processes].add(order)
        ratios = sorted(two / one for one, two in zip(rates[1], rates[2], strict=True))
        same = "the same order" if orders[1] == orders[2] and len(orders[1]) == 1 else f"ORDERS DIFFER {orders}"
        print(
            f"{name}: two processes / two threads = {statistics.median(ratios):.2f} ({ratios[0]:.2f} to "
            f"{ratios[-1]:.2f}; {statistics.median(rates[2]):.0f} / {statistics.median(rates[1]):.0f} samples/s); "
            f"{same}; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
