"""The order of the data and the seed of every step, as pure functions: what makes resume exact without stored state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch


def mixed_seed(*parts: int | str) -> int:
    """One 63-bit seed from several parts, the same in every process and on every machine."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def reseed(seed: int, device: torch.device) -> None:
    """Seed the generators a step draws from: the CPU's, and the GPU's when the game is played there.

    `torch.manual_seed` would also queue a stack trace for every kind of accelerator that is not in use.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def draws(device: torch.device) -> list[torch.Tensor]:
    """Where the generators of random numbers stand, for `redraw`."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def redraw(states: list[torch.Tensor], device: torch.device) -> None:
    """Let the same numbers come once more."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


class Order:
    """An endless shuffled pass over `count` samples: position p is sample `index` of epoch p // count.

    With `runs` (the first sample of each run, and a number of runs to mix) the runs are shuffled, and samples only
    within each window of so many of them: a slow disk then reads a window at a time.
    """

    def __init__(self, count: int, *seed: int | str, runs: tuple[np.ndarray, int] | None = None) -> None:
        self.count, self.seed, self.runs = count, seed, runs
        self._epochs: dict[int, np.ndarray] = {}

    def indices(self, position: int, length: int) -> np.ndarray:
        """The samples at positions [position, position + length), across the ends of epochs."""
        pieces = []
        while length > 0:
            epoch, offset = divmod(position, self.count)
            piece = self._permutation(epoch)[offset : offset + length]
            pieces.append(piece)
            position, length = position + len(piece), length - len(piece)
        return np.concatenate(pieces)

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            self._epochs = {kept: order for kept, order in self._epochs.items() if kept >= epoch - 1}
            seed = mixed_seed(*self.seed, epoch)
            self._epochs[epoch] = self._shuffled(np.random.default_rng(seed))
        return self._epochs[epoch]

    def _shuffled(self, random: np.random.Generator) -> np.ndarray:
        if self.runs is None:
            return random.permutation(self.count)
        starts, mixed = self.runs
        runs = np.split(np.arange(self.count), starts[1:])
        order = [runs[run] for run in random.permutation(len(runs))]
        windows = [np.concatenate(order[first : first + mixed]) for first in range(0, len(order), mixed)]
        return np.concatenate([random.permutation(window) for window in windows])


class PoissonOrder:
    """Each step shows every sample with the same chance, by itself: steps of varying size, some perhaps empty.

    `uniform(step)` gives a number in [0, 1) a sample, from a source that nobody can compute: who knew which samples a
    step showed could tell more of them than the noise on all of them hides. A pure function of the step.
    """

    def __init__(self, rate: float, length: int, uniform: Callable[[int], np.ndarray]) -> None:
        """`rate`: the chance of each sample to be in a step; `length`: positions that a step moves on by."""
        self.rate, self.length, self.uniform = rate, length, uniform

    def indices(self, position: int, length: int) -> np.ndarray:
        """The samples of the step at this position."""
        assert length == self.length and position % length == 0, "a step is drawn as a whole"
        return np.flatnonzero(self.uniform(position // length) < self.rate)
