"""The order of samples: every one once a pass, a pure function of the position, in windows of runs where asked."""

from __future__ import annotations

import numpy as np
import pytest

from gannet.order import Order

STARTS = np.array([0, 7, 8, 20, 33, 40, 61, 70])
COUNT = 83


def runs_of(indices: np.ndarray) -> np.ndarray:
    """The run that each sample belongs to."""
    return np.searchsorted(STARTS, indices, side="right") - 1


def windows(passed: np.ndarray, mixed: int) -> list[set[int]]:
    """The runs of each window of a pass: as many as are mixed, all of their samples before any of the next."""
    sizes, found, place = np.diff([*STARTS, COUNT]), [], 0
    order = list(dict.fromkeys(runs_of(passed).tolist()))
    while place < COUNT:
        here = list(dict.fromkeys(runs_of(passed[place:]).tolist()))[:mixed]
        length = int(sizes[here].sum())
        assert set(runs_of(passed[place : place + length])) == set(here)
        found.append(set(here))
        place += length
    assert len(order) == len(STARTS)
    return found


@pytest.mark.parametrize("mixed", [1, 2, 3, 8, 100])
def test_every_sample_comes_exactly_once_a_pass_however_many_runs_are_mixed(mixed: int) -> None:
    order = Order(COUNT, 5, runs=(STARTS, mixed))
    for epoch in range(4):
        assert sorted(order.indices(epoch * COUNT, COUNT)) == list(range(COUNT))


@pytest.mark.parametrize("mixed", [1, 3, 8])
def test_any_position_gives_the_same_samples_whatever_was_asked_before(mixed: int) -> None:
    stream = Order(COUNT, 5, runs=(STARTS, mixed)).indices(0, 4 * COUNT)
    wandering = Order(COUNT, 5, runs=(STARTS, mixed))
    for position in [3 * COUNT - 2, 0, COUNT - 1, 200, 17, 2 * COUNT, 16]:
        asked = stream[position : position + 30]
        assert np.array_equal(wandering.indices(position, 30), asked)
        assert np.array_equal(Order(COUNT, 5, runs=(STARTS, mixed)).indices(position, 30), asked)
    assert not np.array_equal(Order(COUNT, 6, runs=(STARTS, mixed)).indices(0, COUNT), stream[:COUNT])


@pytest.mark.parametrize("mixed", [1, 2, 3])
def test_a_window_of_runs_is_used_up_before_the_next_is_touched(mixed: int) -> None:
    passed = Order(COUNT, 1, runs=(STARTS, mixed)).indices(0, COUNT)
    found = windows(passed, mixed)
    assert [len(window) for window in found[:-1]] == [mixed] * (len(found) - 1)
    assert set.union(*found) == set(range(len(STARTS)))


def test_windows_and_the_order_within_them_differ_from_pass_to_pass() -> None:
    order = Order(COUNT, 1, runs=(STARTS, 3))
    passes = [order.indices(epoch * COUNT, COUNT) for epoch in range(6)]
    assert len({tuple(passed) for passed in passes}) == 6
    assert len({frozenset(map(frozenset, windows(passed, 3))) for passed in passes}) > 1
    # Samples of a run do not follow each other as they lie.
    long = passes[0][runs_of(passes[0]) == 5]
    assert not np.array_equal(long, np.sort(long))


def test_all_runs_mixed_are_shuffled_like_one_and_each_sample_goes_anywhere() -> None:
    places = np.zeros((200, COUNT))
    for seed in range(200):
        places[seed, Order(COUNT, seed, runs=(STARTS, 100)).indices(0, COUNT)] = np.arange(COUNT)
    # The mean place of a sample over many seeds: the middle, within five standard errors of a uniform place.
    error = np.sqrt((COUNT**2 - 1) / 12 / 200)
    assert np.abs(places.mean(0) - (COUNT - 1) / 2).max() < 5 * error


def test_a_run_of_one_sample_and_a_single_run_are_orders_like_any_other() -> None:
    for starts in (np.arange(COUNT), np.array([0]), np.array([], dtype=np.int64)):
        order = Order(COUNT, 2, runs=(starts, 1))
        assert sorted(order.indices(COUNT, COUNT)) == list(range(COUNT))


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_several_processes_that_read_their_part_of_each_batch_read_the_batch(processes: int) -> None:
    alone, batch = Order(COUNT, 4, runs=(STARTS, 2)), 12
    ranks = [Order(COUNT, 4, runs=(STARTS, 2)) for _ in range(processes)]
    for step in range(20):
        parts = [np.array_split(order.indices(step * batch, batch), processes) for order in ranks]
        own = [part[rank] for rank, part in enumerate(parts)]
        assert np.array_equal(np.concatenate(own), alone.indices(step * batch, batch))


def test_the_order_of_runs_begun_earlier_has_not_changed() -> None:
    assert Order(7, 3, "turn", 0).indices(0, 14).tolist() == [0, 1, 6, 5, 3, 4, 2, 0, 1, 3, 5, 6, 2, 4]
