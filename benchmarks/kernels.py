"""What a GPU makes of the parts of a block: a bias and an activation at once or in turns; groups apart or together.

    python benchmarks/kernels.py [--device cuda]

For the shapes of the default game's networks (64 px, L, and the published width): medians of milliseconds, forward and
back; for the first kind also the share of the GPU's own copying speed. Grouped convolutions are written as ones with
fewer groups and zeros between (`homogeneous.merged`), whose multiplications are for nothing.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from gannet import fused
from gannet.homogeneous import merged

SHAPES = {
    "64 px, L": [(256, 128, 64), (256, 256, 32), (256, 512, 16), (256, 512, 8), (256, 512, 4)],
    "64 px, published": [(64, 768, 64), (64, 1536, 32), (64, 1536, 16), (64, 1536, 4)],
}
"""Samples, channels in the middle of a block, side of the plane."""
SLOPE, GROUP = 0.2, 16


def spent(device: str, play: Callable[[], object], rounds: int = 20) -> float:
    """Median milliseconds."""
    times = []
    for _ in range(rounds + 3):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        play()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[3:])


def activations(device: str, x: Tensor) -> str:
    bias, more = torch.randn(x.shape[1], device=device), torch.randn(*x.shape[:2], device=device)
    g, y = torch.randn_like(x), torch.randn_like(x)
    wide = bias.to(x.dtype).view(-1, 1, 1)

    def forward() -> None:
        torch.nn.functional.leaky_relu_(x + wide, SLOPE)

    def back() -> None:
        torch.ops.aten.leaky_relu_backward(g, y, SLOPE, True).sum((2, 3))

    def along() -> None:
        torch.ops.aten.leaky_relu_backward(g + more[:, :, None, None].to(g.dtype), y, SLOPE, True)

    copied = spent(device, lambda: y.copy_(g))
    lines = []
    for name, turns, once, passes in (
        ("forward", forward, lambda: fused.biased_rectified(x, bias, SLOPE, inplace=True), 2),
        ("slopes", back, lambda: fused.masked(g, y, SLOPE, summed=True), 3),
        ("mixture", along, lambda: fused.masked(g, y, SLOPE, more=more), 3),
    ):
        before, after = spent(device, turns), spent(device, once)
        lines.append(f"{name} {before:.2f} -> {after:.2f} ({passes / 2 * copied / after:.0%} of a copy)")
    return ", ".join(lines)


def groups(device: str, x: Tensor) -> str:
    channels = x.shape[1]
    count, found = channels // GROUP, []
    weight = torch.randn(channels, GROUP, 3, 3, device=device, dtype=x.dtype)
    together = 1
    while together <= min(count, 16):
        whole = merged(weight, count, together).contiguous(memory_format=torch.channels_last)
        times = []
        for wanted in ((), (True, False, False), (False, True, False)):
            if wanted:
                given = (x, x, whole, None, [1, 1], [1, 1], [1, 1], False, [0, 0], count // together, list(wanted))
                times.append(spent(device, lambda given=given: torch.ops.aten.convolution_backward(*given), 10))
            else:
                kept = {"padding": 1, "groups": count // together}
                times.append(spent(device, lambda kept=kept, whole=whole: torch.conv2d(x, whole, **kept), 10))
        found.append(f"{GROUP * together} wide " + " + ".join(f"{each:.2f}" for each in times))
        together *= 2
    return "; ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    device = parser.parse_args().device
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"{name}, torch {torch.__version__}, {datetime.date.today()}; milliseconds", flush=True)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    for name, shapes in SHAPES.items():
        for n, channels, side in shapes:
            n = n if device == "cuda" else 1
            x = torch.randn(n, channels, side, side, device=device, dtype=dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            print(f"{name}, [{n}, {channels}, {side}, {side}]", flush=True)
            print(f"  bias and activation: {activations(device, x)}", flush=True)
            print(f"  groups, forward + by input + by weight: {groups(device, x)}", flush=True)


if __name__ == "__main__":
    main()
