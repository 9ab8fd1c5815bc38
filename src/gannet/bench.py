"""What this machine makes of a game: samples a second, waiting, memory, arithmetic, and where the time of a step goes.

`bench(engine, seconds=10)` plays an engine that is thrown away; `gannet bench SOURCE` prints the lines of `told`.
Operations are counted as they are made. The ceiling is what a product of large matrices reaches here, in the precision
of the game: no step gets there, for much of it moves numbers more than it computes with them.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gannet.engine import Engine
from gannet.memory import kept_by_the_process

WARM_UP = 6
PROFILED = 3
KINDS = {
    "convolutions": ("conv", "cudnn", "xmma", "cutlass", "implicit_gemm"),
    "matrix products": ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::matmul", "nvjet", "gemm"),
    "optimisers": ("adam", "rmsprop", "multi_tensor"),
    "random numbers": ("normal", "uniform", "rand", "bernoulli", "distribution"),
    "to the device": ("memcpy",),
}
"""Parts of the names of operations and kernels; the first that fits counts; what fits none is element by element."""


@dataclass(frozen=True)
class Bench:
    """What was measured."""

    device: str
    precision: str
    threads: int
    batch: int
    rate: float
    """Samples a second."""
    waiting: float
    """Share of the time in which the networks waited for data."""
    memory: int
    """Bytes at most: of the process, or on the GPU."""
    operations: float
    """Floating-point operations a sample, of products and convolutions."""
    ceiling: float
    """Operations a second of a product of large matrices."""
    kinds: dict[str, float]
    """Kind of operation -> its share of the device's time in a step."""

    @property
    def reached(self) -> float:
        """The share of the ceiling at which operations are made."""
        return self.rate * self.operations / self.ceiling

    def told(self) -> list[str]:
        """In lines for a person."""
        where = f"{self.device}, {self.threads} threads" if self.device == "cpu" else self.device
        kinds = sorted(self.kinds.items(), key=lambda kind: -kind[1])
        return [
            f"device      {where}, {self.precision}",
            f"speed       {self.rate:,.0f} samples/s: {1000 * self.batch / self.rate:,.1f} ms a step of {self.batch}",
            f"waiting     {self.waiting:.1%} of the time, for data",
            f"memory      {self.memory / 2**20:,.0f} MiB at most",
            f"arithmetic  {self.operations / 1e6:,.1f} million operations a sample: {self.reached:.1%} of the "
            f"{self.ceiling / 1e12:.2g} TFLOP/s that a product of large matrices reaches here",
            "a step      " + ", ".join(f"{kind} {share:.0%}" for kind, share in kinds if share >= 0.005),
        ]


def bench(engine: Engine, *, seconds: float = 10.0) -> Bench:
    """Play an engine for so long, and some steps more."""
    device = engine.device
    with engine.ahead, kept_by_the_process():
        for _ in range(WARM_UP):
            engine.step()
        engine.settle()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        waited, first, started = engine.ahead.waited, engine.seen, time.perf_counter()
        while time.perf_counter() - started < seconds or engine.seen == first:
            engine.step()
        engine.settle()
        took = time.perf_counter() - started
        rate, waiting = (engine.seen - first) / took, (engine.ahead.waited - waited) / took
        memory = peak_bytes(device)
        kinds = kinds_of_operations(engine)
        operations = operations_a_sample(engine)
    dtype = torch.bfloat16 if engine.precision == "bf16" else torch.float32
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    ceiling = product_ceiling(device, dtype)
    threads = torch.get_num_threads()
    return Bench(name, engine.precision, threads, engine.batch, rate, waiting, memory, operations, ceiling, kinds)


def peak_bytes(device: torch.device) -> int:
    """Most bytes held so far: of the GPU's memory, with what recordings keep, else by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Operations(TorchDispatchMode):
    """Counts the floating-point operations of products and convolutions while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet is torch.ops.aten.convolution:
            self.count += _convolution(args[0], out, args[1], transposed=args[6])
        elif packet is torch.ops.aten.convolution_backward:
            passes = sum(args[10][:2])
            self.count += passes * _convolution(args[1], args[0], args[2], transposed=args[7])
        elif packet in flop_registry:
            self.count += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


def _convolution(x: Tensor, y: Tensor, weight: Tensor, *, transposed: bool) -> float:
    """Every number of the output (of the input, where it is transposed) is a sum over a part of the weight."""
    return 2 * (x if transposed else y).numel() * prod(weight.shape[1:])


def operations_a_sample(engine: Engine) -> float:
    """Counted in one step that is played anew, not replayed."""
    recorder, engine.batches.recorder = engine.batches.recorder, None
    try:
        with Operations() as counter:
            engine.step()
    finally:
        engine.batches.recorder = recorder
    return counter.count / engine.batch


def kinds_of_operations(engine: Engine) -> dict[str, float]:
    """Kind -> share of the device's own time in a few steps."""
    away = engine.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if away else ProfilerActivity.CPU], acc_events=True) as seen:
        for _ in range(PROFILED):
            engine.step()
        engine.settle()
    times: Counter[str] = Counter()
    for event in seen.key_averages():
        spent = event.self_device_time_total if away else event.self_cpu_time_total
        times[_kind(event.key.lower(), away=away)] += spent
    whole = max(sum(times.values()), 1e-9)
    return {kind: spent / whole for kind, spent in times.items()}


def _kind(name: str, *, away: bool) -> str:
    for kind, parts in KINDS.items():
        if any(part in name for part in parts):
            return kind
    # On a GPU there are kernels alone, those of Triton under the names of functions.
    return "element by element" if away or name.startswith("aten::") else "the way through Python"


def product_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a product of large square matrices, the median of ten."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(12):
        started = time.perf_counter()
        torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return float(2 * side**3 / median(times[2:]))
