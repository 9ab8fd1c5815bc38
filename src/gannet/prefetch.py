"""The next batches read ahead in a thread of their own, so that decoding and disks hide behind the game.

`ahead = Prefetcher(dataset.read, upcoming)`, then `ahead.read(indices)` in place of `dataset.read(indices)`: the same
tensors in the same order, whatever was read ahead. A plan that turns out wrong costs time, never a wrong batch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from gannet.domains.domain import Dataset
from gannet.memory import free_memory

Batch = tuple[Tensor, Tensor | None]

WORTH_SECONDS = 0.0002
"""Reads that take less are not handed to a thread: the handing over would cost as much."""
TRIED = 4
"""Reads made directly, at first, to learn how long one takes."""
SEARCHED = 4096
"""Batches of the plan that are looked through for the one just asked for, when the plan is taken up."""
HELD = 0.25
"""Share of a GPU's free memory that samples may take to be kept there."""
MEMORY = 256 << 20
"""Bytes of batches held ready, unless a single one is larger."""


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch on the device; a pinned one travels while the computation goes on."""
    samples, condition = batch
    away = device.type != "cpu"
    moved = samples.to(device, non_blocking=away)
    return moved, None if condition is None else condition.to(device, non_blocking=away)


def near(data: Dataset, device: torch.device) -> Dataset:
    """The same samples in a GPU's memory, where they fit into a part of it; else as they are."""
    held = data.held(device, round(HELD * free_memory(device))) if device.type == "cuda" else None
    return data if held is None else held


def computing(device: torch.device) -> bool:
    """Whether a GPU still has to do what it has been given; a CPU has always done it."""
    return device.type == "cuda" and not torch.cuda.current_stream(device).query()


class Prefetcher:
    """Reads the batches of a plan before they are asked for, one at a time and in its order.

    At most `depth` batches, and about `memory` bytes, are held ready. The plan is followed in the caller's thread, only
    `read` runs in another; so `read` must be pure (as `Dataset.read` is), `upcoming` need not be safe for threads.
    """

    waited: float
    """Seconds that callers of `read` have waited for data, all in all, while the device had nothing to do."""

    def __init__(
        self,
        read: Callable[[np.ndarray], Batch],
        upcoming: Callable[[], Iterator[np.ndarray]],
        *,
        depth: int = 2,
        memory: int = MEMORY,
        pinned: bool = False,
        worth: float = WORTH_SECONDS,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`upcoming()` iterates over the indices of batches to come; it may begin before the batch just asked for.

        `pinned` holds batches in page-locked memory, from which a GPU copies while it computes. Reads that take less
        than `worth` seconds are made directly. While the device is `busy` nobody waits for data.
        """
        assert depth >= 1
        self._read, self._upcoming, self._depth, self._memory = read, upcoming, depth, memory
        self._pinned, self._worth, self._busy = pinned, worth, busy
        self._pool: ThreadPoolExecutor | None = None
        self._plan: Iterator[np.ndarray] | None = None
        self._ready: deque[tuple[np.ndarray, Future[tuple[Batch, float]]]] = deque()
        self._missed = self._tried = self._largest = 0
        self._typical = float("inf")
        self.waited = 0.0

    def read(self, indices: np.ndarray) -> Batch:
        """What `read(indices)` gives, at once where it was planned; whatever that raises is raised here."""
        busy, started = self._busy(), time.perf_counter()
        try:
            future = self._planned(indices)
            batch, seconds = self._timed(indices) if future is None else future.result()
            self._learn(seconds)
            self._look_ahead(indices, batch, found=future is not None)
        finally:
            if not (busy and self._busy()):
                self.waited += time.perf_counter() - started
        return batch

    def close(self) -> None:
        """Let go of what was read ahead and end the thread; a later `read` begins anew."""
        self._forget()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _planned(self, indices: np.ndarray) -> Future[tuple[Batch, float]] | None:
        """The read begun for these indices, if any; those planned before it are let go."""
        for place, (planned, future) in enumerate(self._ready):
            if np.array_equal(planned, indices):
                for _ in range(place + 1):
                    self._ready.popleft()
                return future
        return None

    def _timed(self, indices: np.ndarray) -> tuple[Batch, float]:
        """A batch, pinned if asked for, and the seconds it took; in either thread."""
        started = time.perf_counter()
        samples, condition = self._read(indices)
        if self._pinned and samples.device.type == "cpu":
            samples, condition = samples.pin_memory(), None if condition is None else condition.pin_memory()
        return (samples, condition), time.perf_counter() - started

    def _learn(self, seconds: float) -> None:
        """Follow what a read takes; at first the quickest counts, for the first of all opens files and fills caches."""
        self._tried += 1
        typical = 0.9 * self._typical + 0.1 * seconds
        self._typical = min(self._typical, seconds) if self._tried <= TRIED else typical

    def _look_ahead(self, indices: np.ndarray, batch: Batch, *, found: bool) -> None:
        """Begin the reads that follow; after two misses in a row the plan is taken up where the caller stands."""
        self._missed = 0 if found else self._missed + 1
        if self._tried < TRIED or self._typical < self._worth:
            self._plan = None
            return
        if self._missed > 1 or (self._plan is None and not found):
            self._forget()
            self._missed, plan = 0, self._upcoming()
            if any(np.array_equal(planned, indices) for planned in islice(plan, SEARCHED)):
                self._plan = plan
        if self._plan is not None:
            self._largest = max(self._largest, _bytes(batch))
            self._fill(self._plan)

    def _fill(self, plan: Iterator[np.ndarray]) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="gannet-prefetch")
        wanted = min(self._depth, max(1, self._memory // max(1, self._largest)))
        for indices in islice(plan, max(0, wanted - len(self._ready))):
            self._ready.append((indices, self._pool.submit(self._timed, indices)))

    def _forget(self) -> None:
        for _, future in self._ready:
            future.cancel()
        self._ready.clear()
        self._plan = None


def _bytes(batch: Batch) -> int:
    return sum(part.nbytes for part in batch if part is not None)
