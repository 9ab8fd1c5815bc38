"""How long to play: a number of samples from a number of samples, a time, or nothing but the data and the networks.

Without a wish the budget is a pure function of data, networks and kind of device, so that the same command gives
the same result; a time is turned into samples once, at the start, and the samples are what is kept.
"""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gannet.engine import EXAMINATIONS, Engine
from gannet.memory import kept_by_the_process
from gannet.spec import Spec

OPERATIONS = {"cpu": 6e13, "cuda": 5e16}
"""Floating-point operations of a default run: about ten minutes on two cores, about an hour on a large GPU."""
PASSES = 55
"""Most passes over the data of a default run."""
LEAST = 50_000
"""Fewest samples of a default run."""
FORWARDS_A_SAMPLE = 25
"""A step's cost in units of one generator and one discriminator pass: both turns, gradients, double backward."""
TRIAL_SECONDS = 3.0
WARM_UP = 5
"""Steps before time is taken; in the fourth a GPU records its moves."""


def default_samples(spec: Spec, networks: dict[str, nn.Module], latent: int, count: int, device: str) -> int:
    """Samples of a run nobody put a limit on, rounded to two digits."""
    condition = torch.zeros(1, spec.condition_width) if spec.condition else None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        networks["generator"](torch.zeros(1, latent), condition)
        networks["judge"](torch.zeros(1, *spec.shape), condition)
    affordable = OPERATIONS[device] / (counter.get_total_flops() * FORWARDS_A_SAMPLE)
    return _round(max(LEAST, min(affordable, PASSES * count)))


def samples_in(seconds: float, engine: Engine, processes: int = 1) -> tuple[int, float]:
    """How many samples fit into `seconds` on this machine now, and its samples per second.

    `engine` is one of the same game, or of one process's part of it, to measure and throw away.
    """
    with kept_by_the_process():
        for _ in range(WARM_UP):
            engine.step()
        engine.settle()
        started, first = time.monotonic(), engine.seen
        while time.monotonic() - started < min(TRIAL_SECONDS, seconds / 20) or engine.seen == first:
            engine.step()
        engine.settle()
        rate = processes * (engine.seen - first) / (time.monotonic() - started)
    examining = EXAMINATIONS * _examination_seconds(engine)
    play = max(seconds - examining, seconds / 2) * 0.97
    return max(_round(play * rate), processes * engine.batch), rate


def _examination_seconds(engine: Engine) -> float:
    if engine.examine is None:
        return 0.0
    started = time.monotonic()
    with engine.averaged():
        engine.examine(engine.seen)
    return time.monotonic() - started


def _round(samples: float) -> int:
    digits = max(len(str(int(samples))) - 3, 0)
    return int(samples // 10**digits) * 10**digits
