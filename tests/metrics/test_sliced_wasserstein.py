"""The sliced Wasserstein distance against closed forms and scipy, for equal and unequal counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gannet.metrics.sliced_wasserstein import directions, sliced_wasserstein, wasserstein


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_shift_costs_its_length_along_each_line() -> None:
    x, shift = normal(50, 6, 0), torch.tensor([3.0, 0, 0, -4, 0, 0], dtype=torch.float64)
    expected = float((directions(128, 6) @ shift).abs().mean())
    assert sliced_wasserstein(x, x + shift) == pytest.approx(expected, rel=1e-9)
    # E|u.e| in six dimensions is Gamma(3) / (sqrt(pi) Gamma(3.5)) = 0.3395.
    assert sliced_wasserstein(x, x + shift, projections=4096) == pytest.approx(5 * 0.3395, rel=0.03)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (3, 200), (7, 1), (100, 99)])
def test_the_distance_along_a_line_equals_scipy(n: int, m: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = normal(n, 3, 0), normal(m, 3, 1).exp()
    expected = [stats.wasserstein_distance(x[:, column], y[:, column]) for column in range(3)]
    assert wasserstein(x, y).tolist() == pytest.approx(expected, rel=1e-10)


def test_repeating_every_row_changes_nothing() -> None:
    x, y = normal(20, 4, 0), normal(30, 4, 1) + 1
    assert sliced_wasserstein(x.repeat(3, 1), y) == pytest.approx(sliced_wasserstein(x, y), rel=1e-10)
    assert sliced_wasserstein(x.repeat(3, 1), x) == pytest.approx(0, abs=1e-12)


def test_it_scales_with_the_features_and_ignores_the_order_of_rows() -> None:
    x, y = normal(20, 4, 0), normal(30, 4, 1) + 1
    assert sliced_wasserstein(7 * x, 7 * y) == pytest.approx(7 * sliced_wasserstein(x, y), rel=1e-10)
    assert sliced_wasserstein(x.flip(0), y) == pytest.approx(sliced_wasserstein(x, y), rel=1e-12)


def test_lines_are_unit_vectors_decided_by_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    assert torch.allclose(directions(10, 5).norm(dim=1), torch.ones(10, dtype=torch.float64))
    assert torch.equal(directions(10, 5, 3), directions(10, 5, 3))
    assert not torch.equal(directions(10, 5, 3), directions(10, 5, 4))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_shape_with_the_same_mean_and_covariance_and_a_scaled_column_are_noticed() -> None:
    real, same = normal(2000, 2, 0), normal(2000, 2, 1)
    square = (torch.rand(2000, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 0.5) * 12**0.5
    scaled = same * torch.tensor([1.0, 50.0])
    baseline = sliced_wasserstein(real, same)
    assert sliced_wasserstein(real, square) > 1.5 * baseline
    assert sliced_wasserstein(real, scaled) > 100 * baseline
