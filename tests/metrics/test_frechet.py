"""The Fréchet distance against closed forms and scipy, and the running score's promises."""

from __future__ import annotations

import time
from math import cos, pi, sin

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics.frechet import Moments, ReferenceStatistics, distance_between, frechet_distance, running_score


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean: Tensor, root: Tensor, seed: int, rows: int = 50) -> Tensor:
    """Rows whose sample mean and covariance are exactly `mean` and `root.T @ root`."""
    drawn = normal(rows, len(mean), seed)
    drawn = drawn - drawn.mean(0)
    whitened = drawn @ torch.linalg.inv(torch.linalg.cholesky(drawn.T @ drawn / (rows - 1))).T
    return whitened @ root + mean


@pytest.mark.parametrize("width", [1, 2, 7])
def test_gaussians_with_commuting_covariances_have_the_closed_form_distance(width: int) -> None:
    first, second = torch.linspace(0.5, 2, width).double(), torch.linspace(3, 0.1, width).double()
    shift = torch.arange(width).double()
    x, y = with_moments(shift * 0, first.diag(), 0), with_moments(shift, second.diag(), 1)
    expected = float((shift**2).sum() + ((first - second) ** 2).sum())
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_a_shift_alone_gives_its_squared_length() -> None:
    x = normal(100, 5, 0)
    assert frechet_distance(x, x + torch.tensor([3.0, 4, 0, 0, 0])) == pytest.approx(25, rel=1e-9)


def test_a_set_is_at_distance_zero_from_itself_and_the_distance_is_symmetric() -> None:
    x, y = normal(60, 9, 0), 2 * normal(40, 9, 1) + 1
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-10)


def test_the_order_of_rows_and_the_float32_storage_do_not_matter() -> None:
    x, y = normal(60, 9, 0), 2 * normal(40, 9, 1) + 1
    assert frechet_distance(x.flip(0), y) == pytest.approx(frechet_distance(x, y), rel=1e-10)
    assert frechet_distance(x.float(), y.float()) == pytest.approx(frechet_distance(x, y), rel=1e-5)


@pytest.mark.parametrize(("rows", "width"), [(400, 6), (4500, 3), (12, 30)])
def test_the_distance_equals_the_matrix_square_root_of_scipy(rows: int, width: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    mix = normal(width, width, 3)
    x, y = (normal(rows, width, 0) @ mix).numpy(), (normal(rows, width, 1) + 0.3).numpy()
    first, second = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    # The symmetric form, since the square root of a singular product is itself ill-defined.
    half = np.real(linalg.sqrtm(first + 1e-13 * np.eye(width)))
    cross = np.real(linalg.sqrtm(half @ second @ half + 1e-13 * np.eye(width)))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(first + second - 2 * cross)
    assert frechet_distance(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected, rel=1e-4)


def test_fewer_rows_than_features_is_exact_for_a_rotated_plane() -> None:
    # Two flat sets in orthogonal planes of twenty dimensions: the covariances' product vanishes, so traces add up.
    x, y = torch.zeros(9, 20, dtype=torch.float64), torch.zeros(11, 20, dtype=torch.float64)
    x[:, :3], y[:, 10:14] = normal(9, 3, 0), normal(11, 4, 1)
    expected = (x.mean(0) - y.mean(0)).square().sum() + x.var(0).sum() + y.var(0).sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-12)


def test_moments_in_chunks_equal_those_of_torch() -> None:
    x = normal(9000, 4, 0) * torch.tensor([1.0, 10, 100, 1000]) + 1e6
    moments = Moments.from_features(x)
    assert torch.allclose(moments.root.T @ moments.root, x.T.cov(), rtol=1e-9)
    assert moments.total_variance == pytest.approx(float(x.var(0).sum()), rel=1e-9)
    assert distance_between(moments, Moments.from_features(x.flip(0))) < 1e-6


def score(real: Tensor, generated: Tensor) -> float:
    return running_score(ReferenceStatistics.from_features(real), generated)


@pytest.mark.parametrize("width", [2, 31, 32, 128, 300])
def test_the_running_score_is_near_zero_for_the_same_distribution_and_one_for_a_single_answer(width: int) -> None:
    real = normal(2000, width, 0)
    assert score(real, normal(1000, width, 1)) < 0.1
    assert score(real, real.mean(0).expand(1000, -1)) > 0.4
    if width in (32, 128):
        assert score(real, real.mean(0).expand(1000, -1)) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("width", [2, 64, 300])
def test_the_running_score_rises_as_modes_are_dropped(width: int) -> None:
    centres = 4 * normal(8, width, 5)
    real = centres[torch.arange(2000) % 8] + 0.1 * normal(2000, width, 0)
    scores = [score(real, centres[torch.arange(1000) % kept] + 0.1 * normal(1000, width, 1)) for kept in (8, 6, 3, 1)]
    assert scores == sorted(scores)
    assert scores[1] > 3 * scores[0]


def ring(rows: int, seed: int, modes: list[int]) -> Tensor:
    centres = torch.tensor([[cos(2 * pi * mode / 8), sin(2 * pi * mode / 8)] for mode in modes])
    return centres.double()[torch.arange(rows) % len(modes)] + 0.02 * normal(rows, 2, seed)


def test_two_columns_tell_a_ring_from_half_of_its_modes_and_from_a_blob_of_the_same_moments() -> None:
    real = ring(2000, 0, list(range(8)))
    same = score(real, ring(1000, 1, list(range(8))))
    half = score(real, ring(1000, 2, [0, 2, 4, 6]))  # same mean, same covariance
    blob = score(real, normal(1000, 2, 3) * 0.5**0.5)
    assert same < 0.01 < 0.1 < min(half, blob)


def test_the_running_score_does_not_depend_on_the_units_of_the_features() -> None:
    real, generated = normal(500, 16, 0), normal(300, 16, 1) * 1.3
    assert score(real * 1e4 + 7, generated * 1e4 + 7) == pytest.approx(score(real, generated), rel=1e-6)


def test_the_running_score_is_deterministic_and_leaves_the_random_state_alone() -> None:
    real, generated = normal(500, 200, 0), normal(300, 200, 1)
    state = torch.random.get_rng_state()
    assert score(real, generated) == score(real, generated)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("planted", [float("nan"), float("inf")])
def test_a_sample_that_is_not_finite_scores_infinitely_badly(planted: float) -> None:
    generated = normal(50, 4, 1)
    generated[3, 2] = planted
    assert score(normal(50, 4, 0), generated) == float("inf")


def test_constant_columns_and_a_constant_reference_give_finite_scores() -> None:
    real = normal(50, 40, 0)
    real[:, 5] = 3
    assert score(real, real.flip(0)) == pytest.approx(0, abs=1e-9)
    assert 0 < score(torch.ones(50, 40), torch.zeros(50, 40)) < float("inf")


def test_unusable_references_are_refused() -> None:
    with pytest.raises(GannetError, match="at least 2 real samples, found 1"):
        ReferenceStatistics.from_features(torch.zeros(1, 3))
    with pytest.raises(GannetError, match="NaN or infinity"):
        ReferenceStatistics.from_features(torch.full((3, 3), float("nan")))


def test_a_running_score_of_a_thousand_samples_takes_under_a_fifth_of_a_second() -> None:
    reference, generated = ReferenceStatistics.from_features(normal(2000, 128, 0)), normal(1000, 128, 1)
    running_score(reference, generated)
    started = time.process_time()
    running_score(reference, generated)
    assert time.process_time() - started < 0.2
