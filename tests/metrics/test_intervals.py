"""Intervals: known errors are found by leaving parts out and by parts on their own; shares never have an empty one."""

from __future__ import annotations

from math import inf, isinf, sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.metrics.answer import Figure, figure_from_json, figure_to_json
from gannet.metrics.frechet import frechet_distance, frechet_error
from gannet.metrics.intervals import STUDENT, folded, left_out_error, parted, share_with_interval, wider, within
from gannet.metrics.shares import total_variation


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean_gap(real: Tensor, other: Tensor) -> float:
    return abs(float(other.mean() - real.mean()))


def test_leaving_parts_out_finds_the_error_of_a_difference_of_means() -> None:
    halves = []
    for seed in range(40):
        value, interval = folded(mean_gap, normal(500, 1, seed), normal(500, 1, 900 + seed) + 3)
        assert interval is not None and interval[0] < value < interval[1]
        halves.append((interval[1] - interval[0]) / 2 / STUDENT[8])
    assert np.sqrt(np.mean(np.square(halves))) == pytest.approx(sqrt(2 / 500), rel=0.2)


def test_parts_on_their_own_find_the_same_error() -> None:
    errors = [
        parted(lambda x, y: {"gap": mean_gap(x, y)}, normal(500, 1, seed), normal(500, 1, 900 + seed) + 3)["gap"]
        for seed in range(60)
    ]
    assert np.sqrt(np.mean(np.square(errors))) / STUDENT[3] == pytest.approx(sqrt(2 / 500), rel=0.2)


def test_too_few_samples_for_parts_give_none() -> None:
    assert parted(lambda x, y: {"gap": mean_gap(x, y)}, normal(40, 1, 0), normal(500, 1, 1)) == {}
    assert folded(mean_gap, normal(2, 1, 0), normal(2, 1, 1))[1] is None
    assert np.isnan(left_out_error([1.0]))


@pytest.mark.parametrize(("rows", "width", "shift"), [(400, 8, 0.5), (400, 64, 0.3), (60, 100, 1.0)])
def test_the_derivative_gives_the_spread_that_repeated_frechet_distances_have(
    rows: int, width: int, shift: float
) -> None:
    values, errors = [], []
    for seed in range(40):
        real, other = normal(rows, width, seed), normal(rows, width, 900 + seed) * (1 - shift / 2) + shift
        values.append(frechet_distance(real, other))
        errors.append(frechet_error(real, other))
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.35)


def test_a_frechet_error_of_constant_features_is_nothing_and_no_crash() -> None:
    assert frechet_error(torch.ones(20, 3), torch.ones(20, 3) + 1) == 0


def test_intervals_stay_within_what_is_possible_and_are_not_made_of_nothing() -> None:
    assert within(0.9, 0.3, low=0.0, high=1.0) == (pytest.approx(0.6), 1.0)
    assert within(float("nan"), 1.0) is None and within(1.0, float("nan")) is None
    assert wider((0.1, 0.2), (0.15, 0.4)) == (0.1, 0.4)
    assert wider(None, (0.1, 0.2)) == (0.1, 0.2)
    low, high = share_with_interval(torch.ones(30))[1] or (1.0, 1.0)
    assert low < high == 1


def test_a_total_variation_lies_in_its_interval_as_often_as_promised() -> None:
    random = np.random.default_rng(0)
    real, made = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.3, 0.4])
    held = 0
    for _ in range(300):
        _, (low, high) = total_variation(random.multinomial(400, made), random.multinomial(4000, real))
        held += low <= 0.2 <= high
    assert held >= 0.92 * 300


def test_an_open_end_survives_json() -> None:
    figure = Figure("different samples", 900.0, (240.0, inf), 800.0, 1.0, "higher", "kinds")
    there = figure_to_json(figure)
    assert there["interval"] == [240.0, None]
    back = figure_from_json(there)
    assert back == figure and back.interval is not None and isinf(back.interval[1])
