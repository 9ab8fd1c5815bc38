"""What a CPU gains where a pixel's channels lie side by side, and where sides halve and double by a convolution.

    python benchmarks/layouts.py [--threads 1] [--rounds 8]

Steps of the default game in turns: channels in planes, as PyTorch makes them; side by side; side by side with halving
and doubling by a convolution, as Gannet plays. Printed are medians of milliseconds, of processor time on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from speed import CPU, GAMMA, RATE
from torch import Tensor

from gannet import homogeneous
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.memory import kept_by_the_process
from gannet.networks import convnets
from gannet.networks.resample import Resample
from gannet.recipes.r3gan import R3GAN
from gannet.spec import Spec

CASES = {**CPU, "32 px, M": ((3, 32, 32), 2.0, 32)}


def in_planes(x: Tensor) -> Tensor:
    return x


def step(engine: Engine, way: str, side_by_side: object, filtering: dict[Resample, tuple[bool, bool]]) -> float:
    """Seconds of a step in one of the ways."""
    homogeneous.laid_out = convnets.laid_out = in_planes if way == "in planes" else side_by_side
    for resample, (halves, doubles) in filtering.items():
        convolves = way == "and convolved"
        resample.halves, resample.doubles = halves and convolves, doubles and convolves
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    engine.step()
    return clock() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    side_by_side = homogeneous.laid_out
    for name, (shape, size, batch) in CASES.items():
        torch.manual_seed(0)
        recipe = R3GAN(batch_size=batch, gamma=GAMMA, learning_rate=RATE, augment="none")
        networks = recipe.build(Spec("images", shape), size=size, count=200, holdout=0)
        engine = Engine(recipe, networks, ArrayDataset(torch.rand(200, *shape) * 2 - 1), total=10**9)
        found = [module for module in engine.networks.modules() if isinstance(module, Resample)]
        filtering = {resample: (resample.halves, resample.doubles) for resample in found}
        times: dict[str, list[float]] = {way: [] for way in ("in planes", "side by side", "and convolved")}
        with kept_by_the_process():
            for _ in range(arguments.rounds + 2):
                for way, spent in times.items():
                    spent.append(1000 * step(engine, way, side_by_side, filtering))
        first, *others = (statistics.median(spent[2:]) for spent in times.values())
        told = ", ".join(f"{way} {ms:.0f} ({first / ms:.2f}x)" for way, ms in zip(list(times)[1:], others, strict=True))
        print(f"{name}, batch {batch}: in planes {first:.0f} ms, {told}", flush=True)


if __name__ == "__main__":
    main()
