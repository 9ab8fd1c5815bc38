"""How much memory a step takes, with all kept for backward passes and with parts computed again; running out of it.

    python benchmarks/memory.py [--device cuda] [--batch 64]

Networks of size L for pictures of 256 x 256. On any device: what the backward passes of a turn keep, counted, a sample.
On a GPU also the peak of a step and its time; and a step under a cap of memory that the whole batch does not
fit under: the batch is divided, and the game goes on.
"""

from __future__ import annotations

import argparse
import time

import torch

from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.recipes.r3gan import R3GAN
from gannet.spec import Spec

SHAPE, SIZE = (3, 256, 256), 4.0


def engine_of(batch: int, device: str, *, checkpoint: bool) -> Engine:
    torch.manual_seed(0)
    recipe = R3GAN(batch_size=batch, gamma=0.5, learning_rate=1e-3, augment="none", checkpoint=checkpoint)
    networks = recipe.build(Spec("images", SHAPE), size=SIZE, count=200, holdout=0)
    data = ArrayDataset(torch.rand(200, *SHAPE) * 2 - 1)
    precision = "bf16" if device == "cuda" else "fp32"
    return Engine(recipe, networks, data, total=10**9, device=device, precision=precision)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cap", type=float, default=6.0, help="GiB")
    arguments = parser.parse_args()
    for checkpoint in (False, True):
        engine = engine_of(arguments.batch, arguments.device, checkpoint=checkpoint)
        kept = [
            engine.batches._bytes_a_sample(getattr(engine.recipe, turn.loss), engine.weights[turn.player], range(2))
            for turn in engine.recipe.turns
        ]
        told = ", ".join(
            f"{turn.player} {size / 2**20:,.0f}" for turn, size in zip(engine.recipe.turns, kept, strict=True)
        )
        line = f"checkpoint={checkpoint}: kept for backward passes, MiB a sample: {told}"
        if arguments.device == "cuda":
            engine.batches.recorder = None
            for _ in range(2):
                engine.step()
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            for _ in range(3):
                engine.step()
            torch.cuda.synchronize()
            seconds, peak = (time.perf_counter() - started) / 3, torch.cuda.max_memory_allocated() / 2**30
            line += f"; batch {arguments.batch}: peak {peak:.2f} GiB, {seconds * 1e3:.0f} ms a step"
        print(line, flush=True)
        del engine
    if arguments.device == "cuda":
        torch.cuda.empty_cache()
        engine = engine_of(arguments.batch, arguments.device, checkpoint=False)
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(arguments.cap * 2**30 / total)
        for _ in range(6):
            engine.step()
        engine.settle()
        print(f"under a cap of {arguments.cap:g} GiB: {'; '.join(engine.notes)}; {engine.skipped} moves skipped")


if __name__ == "__main__":
    main()
