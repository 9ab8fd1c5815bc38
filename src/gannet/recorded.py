"""Moves on a GPU, recorded once and replayed (CUDA graphs): hundreds of small kernels start as one.

A small network's kernels take less time than Python takes to start them. `recorder.play("generator", compute, real,
condition)` calls `compute(real, condition)` a few times and then replays what it did, on new samples and new noise:
the generators of random numbers go on under a replay as they would have. What `compute` decides in Python is decided
once; so it is for games whose losses depend on tensors alone, and all is forgotten when a setting changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Compute = Callable[[Tensor, Tensor | None], Any]
WARM_UP = 3
"""Plays before the recording: libraries choose their kernels and take their workspaces in them."""


@dataclass
class Recording:
    """What was recorded, the tensors that it reads and those that it leaves."""

    graph: torch.cuda.CUDAGraph
    real: Tensor
    condition: Tensor | None
    result: Any

    def replay(self, real: Tensor, condition: Tensor | None) -> Any:
        """The result for these samples, in the same tensors every time: read it before the next replay."""
        self.real.copy_(real, non_blocking=True)
        if self.condition is not None and condition is not None:
            self.condition.copy_(condition, non_blocking=True)
        self.graph.replay()
        return self.result


class Recorder:
    """The recordings of a game, by name and shape of samples; they share their memory, for they follow each other."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop all recordings: a setting or the networks have changed."""
        self._recordings: dict[tuple[str, torch.Size], Recording] = {}
        self._played: Counter[tuple[str, torch.Size]] = Counter()
        self._pool: Any = None

    def play(self, name: str, compute: Compute, real: Tensor, condition: Tensor | None) -> Any:
        """`compute(real, condition)`, replayed if it has been played often enough. All tensors are on the GPU."""
        key = name, real.shape
        if key not in self._recordings:
            self._played[key] += 1
            if self._played[key] <= WARM_UP:
                return compute(real, condition)
            self._recordings[key] = self._record(compute, real, condition)
        return self._recordings[key].replay(real, condition)

    def _record(self, compute: Compute, real: Tensor, condition: Tensor | None) -> Recording:
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        real, condition = real.clone(), None if condition is None else condition.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = compute(real, condition)
        return Recording(graph, real, condition, result)
