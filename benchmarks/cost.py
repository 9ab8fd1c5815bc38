"""What a game costs: the figures behind docs/scale.md, and what they can be checked against.

    python benchmarks/cost.py

Operations of one pass a sample, counted on networks without memory; those of a step by the model 11 D + 4 G, beside
those of a step really played; bytes that a move sends, beside those that two processes hand to `torch.distributed`;
the time of a step on an H100 by arithmetic alone, beside the measured ones of docs/benchmarks.md; what failures take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import torch
from torch import Tensor, nn

from gannet.bench import Operations, operations_a_sample
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.processes import Layout, _free_port
from gannet.ranks import Ranks
from gannet.recipes.r3gan import R3GAN
from gannet.spec import Spec

SIZES = {"S": 1.0, "M": 2.0, "L": 4.0, "published": 12.0}
PIXELS = (28, 32, 64, 128, 256)
CEILING = 745e12
"""Operations a second of a product of large bf16 matrices on an H100, as `gannet bench` measures it."""
MEASURED = {("S", 28): 22_509, ("S", 64): 15_927, ("M", 64): 10_080, ("L", 64): 3_560, ("M", 256): 944, ("L", 256): 739}
"""Samples a second on an H100, docs/benchmarks.md."""
BYTES = {False: "18", True: "4 + 14 / N"}
"""Weights, gradient and two moments of 4 bytes each, and the average of the generator alone; between two moves."""
FAILURES_AN_HOUR = 1 / 3000
"""Of one GPU: a thousand of them fail every three hours."""
SAVE_MINUTES, SAVE_SECONDS, RESUME_MINUTES = 10.0, 4.0, 2.0


def shape_of(pixels: int) -> tuple[int, int, int]:
    return (1 if pixels == 28 else 3, pixels, pixels)


def built(size: float, pixels: int) -> tuple[R3GAN, dict[str, nn.Module]]:
    recipe = R3GAN(batch_size=4, augment="none")
    return recipe, recipe.build(Spec("images", shape_of(pixels)), size=size, count=100_000, holdout=0)


def passes(size: float, pixels: int) -> tuple[float, float, int]:
    """Operations of the discriminator and of the generator a sample, and the weights of both."""
    with torch.device("meta"):
        recipe, networks = built(size, pixels)
        counts = []
        for network, shape in ((networks["judge"], shape_of(pixels)), (networks["generator"], (recipe.latent,))):
            with Operations() as counter, torch.no_grad():
                network(torch.empty(1, *shape), None)
            counts.append(counter.count)
    weights = sum(weight.numel() for network in networks.values() for weight in network.parameters())
    return counts[0], counts[1], weights


def table() -> dict[tuple[str, int], float]:
    """Prints a line a network; returns the operations of a step a sample."""
    print("size       pixels  D Mop   G Mop   11 D + 4 G  weights M  sent a step, many processes, MB")
    found = {}
    for name, size in SIZES.items():
        for pixels in PIXELS:
            one, other, weights = passes(size, pixels)
            found[name, pixels] = 11 * one + 4 * other
            print(
                f"{name:10} {pixels:6} {one / 1e6:7,.1f} {other / 1e6:7,.1f} {found[name, pixels] / 1e6:11,.0f} "
                f"{weights / 1e6:10.2f} {8 * weights / 1e6:8.1f}"
            )
    return found


def played() -> None:
    """A step's operations, counted, beside the model's."""
    for name, pixels in (("S", 28), ("S", 64), ("M", 64)):
        recipe, networks = built(SIZES[name], pixels)
        engine = Engine(recipe, networks, ArrayDataset(torch.rand(16, *shape_of(pixels))), total=10**9)
        engine.step()
        one, other, _ = passes(SIZES[name], pixels)
        counted, model = operations_a_sample(engine), 11 * one + 4 * other
        print(
            f"{name} at {pixels} px: a step makes {counted / 1e6:,.0f} Mop a sample, the model says {model / 1e6:,.0f}"
        )


def send() -> None:
    """One of two processes: how many bytes of a step are handed to be added up or put together."""
    ranks, handed = Ranks.of_environment("cpu"), [0]

    def noted(name: str) -> None:
        kept = getattr(Ranks, name)

        def call(self: Ranks, vector: Tensor, *part: Tensor) -> Tensor | None:
            handed[0] += vector.nbytes
            return kept(self, vector, *part)

        setattr(Ranks, name, call)

    recipe, networks = built(1.0, 28)
    engine = Engine(recipe, networks, ArrayDataset(torch.rand(16, 1, 28, 28)), total=10**9, ranks=ranks)
    engine.join()
    for name in ("sum", "sum_divided", "complete"):
        noted(name)
    engine.step()
    weights = sum(own.total for own in engine.weights.values())
    print(json.dumps({"rank": ranks.index, "bytes": handed[0], "weights": weights}), flush=True)


def sent(divided: bool) -> None:
    port, running = _free_port(), []
    limit = {"GANNET_DIVIDE_FROM": "0"} if divided else {}
    for local in range(2):
        variables = {**os.environ, **Layout(2).variables(local, port), **limit, "OMP_NUM_THREADS": "1"}
        running.append(
            subprocess.Popen([sys.executable, __file__, "--child"], env=variables, stdout=subprocess.PIPE, text=True)
        )
    told = json.loads([each.communicate()[0] for each in running][0])
    # A ring goes round twice for a sum that all have; once for one of which each has a part, once to share the parts.
    rounds = told["bytes"] * (1 if divided else 2)
    print(
        f"{'divided' if divided else 'whole'} weights: a ring of many sends {rounds:,} bytes a step, the model says "
        f"{8 * told['weights']:,}; memory a weight {BYTES[divided]} bytes"
    )


def h100(steps: dict[tuple[str, int], float]) -> None:
    for (name, pixels), rate in MEASURED.items():
        alone = 1e6 * steps[name, pixels] / CEILING
        print(
            f"{name} at {pixels} px: {alone:,.2f} us a sample by arithmetic alone, {1e6 / rate:,.0f} measured: "
            f"{rate * steps[name, pixels] / CEILING:.1%} of the ceiling"
        )


def failures() -> None:
    """A failure takes the resume, and half of what lies between two saves."""
    for gpus in (8, 64, 1000):
        hours = 1 / (gpus * FAILURES_AN_HOUR)
        lost = (RESUME_MINUTES + SAVE_MINUTES / 2) / 60 / hours
        saving = SAVE_SECONDS / (60 * SAVE_MINUTES)
        print(
            f"{gpus:5} GPUs: a failure every {hours:,.0f} hours; resume and lost work {lost:.2%}, saving every "
            f"{SAVE_MINUTES:g} minutes {saving:.2%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", action="store_true")
    if parser.parse_args().child:
        send()
        return
    steps = table()
    played()
    for divided in (False, True):
        sent(divided)
    h100(steps)
    failures()


if __name__ == "__main__":
    main()
