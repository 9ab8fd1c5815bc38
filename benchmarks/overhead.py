"""The engine against a hand-written loop with the same networks, the same losses and the same data.

    python benchmarks/overhead.py [--pairs 1]

Plays both step by step in turn (engine, loop, engine, loop ...) and prints the median of the ratios of their
process times, for a small MLP and for the default networks on 28 x 28 pictures. Aim: <= 1.03.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn.functional import softplus

from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.order import Order, mixed_seed
from gannet.recipes.r3gan import R3GAN
from gannet.spec import Block, Spec

GAMMA, RATE = 0.5, 1e-3


def hand_written(generator, discriminator, data: ArrayDataset, batch: int, latent: int) -> Iterator[None]:
    """R3GAN as one writes it for a paper: two Adams, an average, nothing checked, nothing kept."""
    first = torch.optim.Adam(discriminator.parameters(), lr=RATE, betas=(0.0, 0.9), fused=True)
    second = torch.optim.Adam(generator.parameters(), lr=RATE, betas=(0.0, 0.9), fused=True)
    average = copy.deepcopy(generator)
    averaged, followed = list(average.parameters()), list(generator.parameters())
    orders = [Order(len(data), 0, "turn", 0), Order(len(data), 0, "turn", 1)]
    step = 0
    while True:
        torch.default_generator.manual_seed(mixed_seed(0, 0, step * batch))
        real = data.samples[orders[0].indices(step * batch, batch)]
        discriminator.requires_grad_(True)
        generator.requires_grad_(False)
        samples = torch.cat([real, generator(torch.randn(batch, latent), None)]).requires_grad_()
        logits = discriminator(samples, None)
        (slopes,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
        real_logits, fake_logits = logits.chunk(2)
        penalty = GAMMA / 2 * slopes.flatten(1).square().sum(1).mean() * 2
        first.zero_grad(set_to_none=True)
        (softplus(fake_logits - real_logits).mean() + penalty).backward()
        first.step()
        real = data.samples[orders[1].indices(step * batch, batch)]
        discriminator.requires_grad_(False)
        generator.requires_grad_(True)
        fake_logits = discriminator(generator(torch.randn(batch, latent), None), None)
        second.zero_grad(set_to_none=True)
        softplus(discriminator(real, None) - fake_logits).mean().backward()
        second.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, followed, 0.01)
        step += 1
        yield


def seconds(play: Callable[[], object]) -> float:
    started = time.process_time()
    play()
    return time.process_time() - started


def compare(name: str, spec: Spec, batch: int, steps: int) -> None:
    data = ArrayDataset(torch.rand(2_000, *spec.shape) * 2 - 1)
    recipe = R3GAN(batch_size=batch, gamma=GAMMA, learning_rate=RATE, augment="none")
    networks = recipe.build(spec, size=1.0, count=len(data), holdout=0)
    twin = copy.deepcopy(networks)
    engine = Engine(recipe, networks, data, total=10**9)
    loop = hand_written(twin["generator"], twin["judge"].discriminator, data, batch, recipe.latent)
    for _ in range(3):
        engine.step(), next(loop)
    ours, theirs = [], []
    for _ in range(steps):
        ours.append(seconds(engine.step))
        theirs.append(seconds(lambda: next(loop)))
    ratios = [mine / his for mine, his in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name}: engine / loop = {middle:.3f} (median of {steps} pairs of steps, quartiles {low:.3f} to {high:.3f}); "
        f"{statistics.median(theirs) * 1e3:.1f} {(statistics.median(ours) - statistics.median(theirs)) * 1e3:+.2f} ms",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=float, default=1.0, help="multiplies the numbers of pairs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    compare("pictures 28x28, default convnets, batch 64", Spec("images", (1, 28, 28)), 64, round(60 * arguments.pairs))
    compare("pictures 8x8, default convnets, batch 64", Spec("images", (1, 8, 8)), 64, round(200 * arguments.pairs))
    rows = Spec("tables", (40,), blocks=(Block("numbers", 40),))
    compare("table rows of 40 numbers, default mlp, batch 64", rows, 64, round(500 * arguments.pairs))
    compare("points, default mlp, batch 64", Spec("points", (2,)), 64, round(2000 * arguments.pairs))
