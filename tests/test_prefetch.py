"""Reading ahead: the same batches in the same order, errors where they belong, bounded memory, threads that end."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.domains.domain import Dataset
from gannet.order import Order
from gannet.prefetch import TRIED, Prefetcher, to_device

BATCH = 4


class Slow(Dataset):
    """Samples that are their own numbers, read slowly enough to be worth reading ahead; remembers who read what."""

    def __init__(self, length: int = 1009, seconds: float = 0.002) -> None:
        self.length, self.seconds = length, seconds
        self.reads: list[tuple[str, tuple[int, ...]]] = []
        self.hurt: int | None = None

    def __len__(self) -> int:
        return self.length

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        self.reads.append((threading.current_thread().name, tuple(indices.tolist())))
        time.sleep(self.seconds)
        if self.hurt is not None and self.hurt in indices:
            raise OSError(f"sample {self.hurt} is hurt")
        numbers = torch.from_numpy(indices).float()[:, None]
        return numbers, -numbers

    @property
    def ahead(self) -> list[tuple[int, ...]]:
        """The batches that were read in another thread than the caller's."""
        return [batch for name, batch in self.reads if name.startswith("gannet-prefetch")]


class Game:
    """Reads as the engine does: two turns with orders of their own, the second in two parts, now and then others."""

    def __init__(self, data: Slow, **options: Any) -> None:
        self.data, self.step = data, 0
        self.orders = [Order(len(data), 0, "turn", turn) for turn in range(2)]
        self.ahead = Prefetcher(data.read, self.upcoming, **options)

    def batches(self, step: int) -> Iterator[np.ndarray]:
        yield self.orders[0].indices(step * BATCH, BATCH)
        second = self.orders[1].indices(step * BATCH, BATCH)
        yield second[:3]
        yield second[3:]

    def upcoming(self) -> Iterator[np.ndarray]:
        for step in count(self.step):
            yield from self.batches(step)

    def play(self, steps: int, *, looking: bool = True) -> list[Tensor]:
        given = []
        for _ in range(steps):
            for indices in self.batches(self.step):
                given.append(self.ahead.read(indices)[0])
            if looking and self.step % 8 == 0:
                given.append(self.ahead.read(np.array([self.step % 7, 100]))[0])
            self.step += 1
        return given


def expected(steps: range, *, looking: bool = True) -> list[Tensor]:
    """What a game without reading ahead sees, from the orders alone."""
    orders, given = [Order(1009, 0, "turn", turn) for turn in range(2)], []
    for step in steps:
        first, second = (order.indices(step * BATCH, BATCH) for order in orders)
        given += [first, second[:3], second[3:]]
        if looking and step % 8 == 0:
            given.append(np.array([step % 7, 100]))
    return [torch.from_numpy(indices).float()[:, None] for indices in given]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(*pair) for pair in zip(left, right, strict=True))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_batches_are_those_of_reading_directly_in_the_same_order(depth: int) -> None:
    game = Game(Slow(), depth=depth)
    with game.ahead:
        assert same(game.play(60), expected(range(60)))
    assert len(game.data.ahead) > 100


def test_what_was_read_ahead_is_not_read_again() -> None:
    game = Game(Slow(), depth=2)
    with game.ahead:
        game.play(40, looking=False)
    batches = [batch for _, batch in game.data.reads]
    assert len(batches) == len(set(batches)) <= 40 * 3 + 2


def test_conditions_come_with_their_samples() -> None:
    game = Game(Slow())
    with game.ahead:
        for step in range(20):
            for indices in game.batches(step):
                samples, condition = game.ahead.read(indices)
                assert condition is not None and torch.equal(condition, -samples)


def test_a_jump_to_another_place_gives_the_right_batches_and_takes_the_plan_up_there() -> None:
    game = Game(Slow())
    with game.ahead:
        game.play(10, looking=False)
        game.step, before = 200, len(game.data.ahead)
        assert same(game.play(30, looking=False), expected(range(200, 230), looking=False))
    assert len(game.data.ahead) - before > 60


def test_a_plan_that_is_wrong_costs_no_exactness() -> None:
    data = Slow()
    with Prefetcher(data.read, lambda: iter([np.array([1, 2]), np.array([7])])) as ahead:
        for index in range(30):
            samples, _ = ahead.read(np.array([index, index + 1]))
            assert samples.flatten().tolist() == [index, index + 1]


def test_an_error_surfaces_in_the_caller_at_its_batch_and_only_there() -> None:
    game = Game(Slow(), depth=3)
    with game.ahead:
        game.play(10, looking=False)
        hurt = next(iter(game.batches(12)))
        game.data.hurt = int(hurt[0])
        assert same(game.play(2, looking=False), expected(range(10, 12), looking=False))
        with pytest.raises(OSError, match="is hurt"):
            game.ahead.read(hurt)
        game.data.hurt = None
        samples, _ = game.ahead.read(hurt)
        assert torch.equal(samples.flatten(), torch.from_numpy(hurt).float())


def test_an_error_read_ahead_but_never_asked_for_is_nobodys() -> None:
    game = Game(Slow(), depth=3)
    with game.ahead:
        game.play(10, looking=False)
        game.data.hurt = int(next(iter(game.batches(10)))[0])
        samples, _ = game.ahead.read(np.array([3]) if game.data.hurt != 3 else np.array([4]))
        assert len(samples) == 1


def test_no_more_batches_are_held_than_asked_for() -> None:
    game = Game(Slow(), depth=2)
    with game.ahead:
        game.play(10, looking=False)
        time.sleep(0.05)
        assert len(game.data.reads) <= 30 + 2
    wide = Game(Slow(), depth=50, memory=3 * (4 + 4) * BATCH)
    with wide.ahead:
        wide.play(10, looking=False)
        time.sleep(0.05)
        assert len(wide.data.reads) <= 30 + 6


def test_quick_reads_are_made_directly() -> None:
    game = Game(Slow(seconds=0.0), worth=0.1)
    with game.ahead:
        assert same(game.play(30), expected(range(30)))
    assert len(game.data.ahead) == 0


def test_waiting_is_measured_and_hidden_behind_the_game() -> None:
    direct, hidden = Game(Slow(seconds=0.01)), Game(Slow(seconds=0.01))
    direct.ahead = Prefetcher(direct.data.read, direct.upcoming, worth=float("inf"))
    for game in (direct, hidden):
        for step in range(10):
            for indices in game.batches(step):
                game.ahead.read(indices)
                time.sleep(0.012)
            game.step = step + 1
        game.ahead.close()
    assert direct.ahead.waited > 0.29
    assert hidden.ahead.waited < direct.ahead.waited


@pytest.mark.parametrize(
    ("busy", "counted"), [((True, True), False), ((True, False), True), ((False, True), True), ((False, False), True)]
)
def test_a_read_is_waited_for_unless_the_device_has_enough_to_do_before_and_after_it(busy, counted: bool) -> None:
    game, states = Game(Slow(seconds=0.01)), iter(busy)
    with Prefetcher(game.data.read, game.upcoming, busy=lambda: next(states)) as ahead:
        ahead.read(np.array([3, 4]))
        assert (ahead.waited > 0.005) == counted == bool(ahead.waited)


def test_threads_end_with_close_and_with_the_last_reference() -> None:
    others = set(threading.enumerate())

    def threads() -> int:
        return sum(thread.name.startswith("gannet-prefetch") for thread in set(threading.enumerate()) - others)

    closed = Game(Slow())
    closed.play(TRIED + 1)
    assert threads() == 1
    closed.ahead.close()
    assert threads() == 0
    assert same(closed.play(3), expected(range(TRIED + 1, TRIED + 4)))
    closed.ahead.close()

    dropped = Game(Slow())
    dropped.play(TRIED + 1)
    del dropped
    patience = time.monotonic() + 5
    while threads() and time.monotonic() < patience:
        gc.collect()  # reads that were under way hold on until they are done
        time.sleep(0.01)
    assert threads() == 0


def test_a_batch_on_the_processor_is_moved_nowhere() -> None:
    samples, condition = torch.ones(2, 3), torch.zeros(2, 1)
    moved = to_device((samples, condition), torch.device("cpu"))
    assert moved[0] is samples and moved[1] is condition
    assert to_device((samples, None), torch.device("cpu"))[1] is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinned_batches_reach_the_device_whole(tmp_path: Path) -> None:
    game = Game(Slow())
    with Prefetcher(game.data.read, game.upcoming, pinned=True) as ahead:
        for step, wanted in zip(range(20), expected(range(20), looking=False)[::3], strict=True):
            game.step = step
            batch = ahead.read(game.orders[0].indices(step * BATCH, BATCH))
            assert batch[0].is_pinned()
            assert torch.equal(to_device(batch, torch.device("cuda"))[0].cpu(), wanted)
