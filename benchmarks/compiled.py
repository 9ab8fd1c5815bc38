"""Whether `torch.compile` pays: the generator's turn, which differentiates once, compiled and not, in turns.

    python benchmarks/compiled.py [--device cuda] [--rounds 12] [--only NAME ...]

Printed are the time the compiler takes, the medians of a turn and their ratio: above 1 compiling wins. A discriminator
that is differentiated twice cannot be compiled as it is (PyTorch refuses). On a GPU the eager turn is replayed from a
recording (`recorded.py`), as Gannet plays it, and so is the compiled one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gannet.losses import relativistic
from gannet.memory import kept_by_the_process
from gannet.recipes.r3gan import R3GAN
from gannet.recorded import Recorder
from gannet.spec import Spec

CPU = {"28 px, S": ((1, 28, 28), 1.0, 64), "64 px, S": ((3, 64, 64), 1.0, 32)}
GPU = {**CPU, "64 px, M": ((3, 64, 64), 2.0, 256), "64 px, L": ((3, 64, 64), 4.0, 256)}


def turn(
    generator: nn.Module, discriminator: nn.Module, latent: int, recorder: Recorder | None
) -> Callable[[Tensor], None]:
    """The generator's turn on real samples, without the step of its optimiser."""
    weights = list(generator.parameters())

    def compute(real: Tensor, condition: Tensor | None) -> Tensor:
        with torch.autocast(real.device.type, torch.bfloat16, enabled=real.device.type == "cuda"):
            fake = generator(torch.randn(len(real), latent, device=real.device), condition)
            loss = relativistic(discriminator(fake, condition), discriminator(real, condition))
        loss.backward()
        for weight in weights:
            weight.grad = None
        return loss.detach()

    def play(real: Tensor) -> None:
        compute(real, None) if recorder is None else recorder.play("generator", compute, real, None)

    return play


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", nargs="*", help="names of lines")
    arguments = parser.parse_args()
    away = arguments.device == "cuda"
    clock = time.perf_counter if away else time.process_time
    for name, (shape, size, batch) in (GPU if away else CPU).items():
        if arguments.only and name not in arguments.only:
            continue
        torch.manual_seed(0)
        recipe = R3GAN(batch_size=batch, augment="none")
        networks = recipe.build(Spec("images", shape), size=size, count=1000, holdout=0)
        generator, discriminator = (networks[each].to(arguments.device) for each in ("generator", "judge"))
        discriminator.requires_grad_(False)
        ways = {
            way: turn(*players, recipe.latent, Recorder() if away else None)
            for way, players in {
                "eager": (generator, discriminator),
                "compiled": tuple(torch.compile(each, dynamic=False) for each in (generator, discriminator)),
            }.items()
        }
        real, times = torch.rand(batch, *shape, device=arguments.device) * 2 - 1, {way: list[float]() for way in ways}
        with kept_by_the_process():
            began = time.monotonic()
            ways["compiled"](real)
            compiling = time.monotonic() - began
            for _ in range(arguments.rounds + 5):
                for way, play in ways.items():
                    started = clock()
                    play(real)
                    if away:
                        torch.cuda.synchronize()
                    times[way].append(clock() - started)
        eager, compiled = (1000 * statistics.median(times[way][5:]) for way in ("eager", "compiled"))
        print(
            f"{name}: compiled in {compiling:.0f} s; a turn takes {eager:.1f} ms, compiled {compiled:.1f} ms: "
            f"{eager / compiled:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
