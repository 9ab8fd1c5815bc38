"""Gannet's step against a plain one: the same networks, batch, losses and optimiser, written in the ordinary way.

    python benchmarks/speed.py [--device cuda] [--quality] [--seconds 10] [--only NAME ...] [--alone] [--in-turns]

The plain step runs the discriminator on reals and on fakes, then once more on each for R1 and R2, in fp32, eagerly,
with PyTorch's default Adam, an average kept weight by weight and every loss read at every step. Both are played in
turns; printed are the medians of time a step, their ratio (aims: 2 on a CPU, 3 on a GPU), what part of the time that
a product of large matrices would take for the same operations, and the peak memory. `--quality` plays digits to
the same number of samples with either way of differentiating, three seeds each: the scores must not tell them apart.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn.functional import softplus

from gannet import fused
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.memory import kept_by_the_process
from gannet.order import Order, mixed_seed
from gannet.recipes.r3gan import R3GAN
from gannet.run import RunFolder
from gannet.spec import Spec

GAMMA, RATE = 0.5, 1e-3
WARM = 2
"""Steps of either before it is timed anew."""
CPU = {"28 px, S": ((1, 28, 28), 1.0, 64), "64 px, S": ((3, 64, 64), 1.0, 32), "64 px, M": ((3, 64, 64), 2.0, 16)}
GPU = {
    "28 px, S": ((1, 28, 28), 1.0, 64),
    "64 px, S": ((3, 64, 64), 1.0, 64),
    "64 px, M": ((3, 64, 64), 2.0, 256),
    "64 px, L": ((3, 64, 64), 4.0, 256),
    "256 px, M": ((3, 256, 256), 2.0, 64),
    "256 px, L": ((3, 256, 256), 4.0, 64),
    "64 px, published": ((3, 64, 64), 12.0, 64),
}


def plain(generator, discriminator, data: ArrayDataset, batch: int, latent: int, device: str) -> Iterator[None]:
    """The game as it is usually written."""
    first = torch.optim.Adam(discriminator.parameters(), lr=RATE, betas=(0.0, 0.9))
    second = torch.optim.Adam(generator.parameters(), lr=RATE, betas=(0.0, 0.9))
    average = copy.deepcopy(generator)
    orders = [Order(len(data), 0, "turn", 0), Order(len(data), 0, "turn", 1)]
    step = 0
    while True:
        torch.manual_seed(mixed_seed(0, 0, step * batch))
        real = data.samples[orders[0].indices(step * batch, batch)].to(device)
        discriminator.requires_grad_(True)
        with torch.no_grad():
            fake = generator(torch.randn(batch, latent, device=device), None)
        first.zero_grad()
        loss = softplus(discriminator(fake, None) - discriminator(real, None)).mean()
        loss.backward()
        penalties = []
        for samples in (real, fake):
            samples = samples.detach().requires_grad_()
            logits = discriminator(samples, None)
            (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
            penalty = GAMMA / 2 * slope.flatten(1).square().sum(1).mean()
            penalty.backward()
            penalties.append(penalty.item())
        first.step()
        loss.item()
        real = data.samples[orders[1].indices(step * batch, batch)].to(device)
        discriminator.requires_grad_(False)
        second.zero_grad()
        fake = generator(torch.randn(batch, latent, device=device), None)
        loss = softplus(discriminator(real, None) - discriminator(fake, None)).mean()
        loss.backward()
        second.step()
        loss.item()
        with torch.no_grad():
            for kept, weight in zip(average.parameters(), generator.parameters(), strict=True):
                kept.lerp_(weight, 0.01)
        step += 1
        yield


def operations(discriminator, generator, shape: tuple[int, ...], latent: int) -> float:
    """Floating-point operations of a step a sample: 4 passes of D on two samples, 3 of D and 4 of G for the rest."""
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    for network, given in ((discriminator, torch.zeros(1, *shape)), (generator, torch.zeros(1, latent))):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            copy.deepcopy(network).cpu()(given, None)
        counts.append(counter.get_total_flops())
    judge, maker = counts
    return 8 * judge + maker + 3 * judge + 3 * maker


def ceiling(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    side = 8192 if device == "cuda" else 1536
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(12):
        wait(device)
        started = time.perf_counter()
        torch.mm(a, b)
        wait(device)
        times.append(time.perf_counter() - started)
    return 2 * side**3 / statistics.median(times[2:])


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def timed(device: str, play: Callable[[], object], steps: int) -> float:
    """Seconds a step; of the processor's time on a CPU, which other programs do not count in."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    wait(device)
    started = clock()
    for _ in range(steps):
        play()
    wait(device)
    return (clock() - started) / steps


def peak(device: str, play: Callable[[], object], steps: int) -> float:
    """GiB of a GPU's memory taken at most for some steps, with what recordings keep."""
    if device != "cuda":
        return float("nan")
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(steps):
        play()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_reserved() - before) / 2**30


def compare(
    name: str, shape: tuple[int, int, int], size: float, batch: int, device: str, seconds: float, alone: bool
) -> None:
    torch.manual_seed(0)
    data = ArrayDataset(torch.rand(1_000, *shape) * 2 - 1)
    recipe = R3GAN(batch_size=batch, gamma=GAMMA, learning_rate=RATE, augment="none")
    networks = recipe.build(Spec("images", shape), size=size, count=len(data), holdout=0)
    twin = copy.deepcopy(networks)
    precision = "bf16" if device == "cuda" else "fp32"
    engine = Engine(recipe, networks, data, total=10**9, device=device, precision=precision)
    generator, discriminator = twin["generator"].to(device), twin["judge"].discriminator.to(device)
    loop = itertools.repeat(None) if alone else plain(generator, discriminator, data, batch, recipe.latent, device)
    ours, theirs = [], []
    memory = peak(device, engine.step, 8), peak(device, lambda: next(loop), 1)
    if device != "cuda":
        engine.step()
        next(loop)
    steps = max(1, round(seconds / 12 / max(timed(device, lambda: next(loop), 1), timed(device, engine.step, 1))))
    for _ in range(5):
        with kept_by_the_process():  # as in `engine.play`, where memory is asked for once
            timed(device, engine.step, WARM)
            ours.append(timed(device, engine.step, steps))
        timed(device, lambda: next(loop), WARM)
        theirs.append(timed(device, lambda: next(loop), steps))
    ratio = float("nan") if alone else statistics.median(his / mine for mine, his in zip(ours, theirs, strict=True))
    mine = statistics.median(ours)
    top = ceiling(device, torch.bfloat16 if device == "cuda" else torch.float32)
    share = operations(discriminator, generator, shape, recipe.latent) * batch / mine / top
    print(
        f"{name:16} batch {batch:3}: plain / Gannet = {ratio:.2f}x ({statistics.median(theirs) * 1e3:.1f} / "
        f"{mine * 1e3:.1f} ms, {batch / mine:,.0f} samples/s); {share:.1%} of the {top / 1e12:.2f} TFLOP/s that a "
        f"matrix product reaches; peak {memory[1]:.2f} / {memory[0]:.2f} GiB",
        flush=True,
    )
    if device == "cuda":
        torch.cuda.empty_cache()


def quality(device: str) -> None:
    """Digits to the same number of samples, with four passes and with six."""
    import tempfile

    import gannet
    from gannet.networks.convnets import ConvnetDiscriminator

    for passes, fast in (("four passes", True), ("differentiated twice", False)):
        ConvnetDiscriminator.piecewise_linear = fast
        scores = []
        for seed in range(3):
            with tempfile.TemporaryDirectory() as folder:
                gannet.train("digits", out=f"{folder}/run", samples=60_000, seed=seed, device=device)
                best = RunFolder.open(f"{folder}/run").best()
                assert best is not None
                scores.append(best.read("cpu")[1]["best_score"])
        print(f"digits, 60,000 samples, {passes}: scores {', '.join(f'{score:.3f}' for score in scores)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=30.0, help="spent on each line")
    parser.add_argument("--only", nargs="*", help="names of lines")
    parser.add_argument("--alone", action="store_true", help="without the plain step, which large networks are slow in")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--in-turns", action="store_true", help="a bias and an activation one after the other")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.in_turns:
        fused.works_on = lambda x: False
    told = torch.cuda.get_device_name() if arguments.device == "cuda" else "one CPU thread"
    print(f"{told}, torch {torch.__version__}, {datetime.date.today()}", flush=True)
    if arguments.quality:
        quality(arguments.device)
    else:
        for name, case in (GPU if arguments.device == "cuda" else CPU).items():
            if not arguments.only or name in arguments.only:
                compare(name, *case, arguments.device, arguments.seconds, arguments.alone)
