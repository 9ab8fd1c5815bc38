"""The kernel distance: unbiased, equal to the sum written out, and indifferent to units when asked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gannet.metrics.kernel import bounded, kernel_distance, squared_discrepancy, subset_distances


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def written_out(x: Tensor, y: Tensor) -> float:
    """Binkowski et al. 2018, equation 4, pair by pair."""

    def kernel(a: Tensor, b: Tensor) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(kernel(a, b) for a in x for b in y) / (n * m)
    return within_x + within_y - 2 * between


def test_the_estimate_equals_the_sum_written_out_also_for_unequal_counts() -> None:
    x, y = normal(7, 3, 0), normal(4, 3, 1) + 1
    assert squared_discrepancy(x, y) == pytest.approx(written_out(x, y), rel=1e-12)


def test_the_mean_over_many_draws_of_one_distribution_is_zero() -> None:
    values = torch.tensor(
        [squared_discrepancy(normal(10, 4, seed), normal(10, 4, 10_000 + seed)) for seed in range(2000)]
    )
    assert abs(float(values.mean())) < 4 * float(values.std()) / 2000**0.5
    assert bool((values < 0).any())  # clamping at zero would bias it


def test_the_bounded_kernel_is_unbiased_too_and_stays_within_its_bounds() -> None:
    kernel = bounded(normal(500, 4, 7))
    values = torch.tensor(
        [squared_discrepancy(normal(10, 4, seed), normal(10, 4, 10_000 + seed), kernel) for seed in range(1000)]
    )
    assert abs(float(values.mean())) < 4 * float(values.std()) / 1000**0.5
    assert squared_discrepancy(normal(50, 4, 0), normal(50, 4, 1) + 1e6, kernel) < 2


def test_point_masses_have_the_closed_form() -> None:
    # k(a, a) = (|a|^2 / d + 1)^3 and k(a, 0) = 1, so the distance is k(a, a) - 1.
    x, y = torch.tensor([[2.0, 0.0]]).repeat(5, 1), torch.zeros(3, 2)
    assert squared_discrepancy(x, y) == pytest.approx(3.0**3 - 1, rel=1e-12)


def test_a_shift_a_spread_and_a_scaled_column_are_noticed() -> None:
    real, same = normal(1000, 8, 0), normal(1000, 8, 1)
    scaled = same.clone()
    scaled[:, 3] *= 50
    baseline = abs(kernel_distance(real, same, scale_free=True))
    for wrong in (same + 0.5, same * 1.5, scaled):
        assert kernel_distance(real, wrong, scale_free=True) > 20 * baseline
    for wrong in (same + 0.5, same * 1.5):
        assert kernel_distance(real, wrong) > 20 * abs(kernel_distance(real, same))


def test_only_the_bounded_kernel_keeps_its_sign_when_a_column_is_far_too_wide() -> None:
    real, stretch = normal(400, 8, 0), torch.tensor([1.0] * 7 + [50])
    wide = [normal(400, 8, seed) * stretch for seed in range(1, 13)]
    assert min(kernel_distance(real, each, scale_free=True) for each in wide) > 0.05
    plain = [kernel_distance(real, each) for each in wide]
    assert min(plain) < 0 < max(plain)


def test_three_equal_moments_fool_the_cubic_kernel_and_not_the_bounded_one() -> None:
    real, coin = normal(1000, 1, 0), normal(1000, 1, 1).sign()  # mean 0, variance 1, skewness 0, both
    assert kernel_distance(real, coin, scale_free=True) > 0.02
    assert abs(kernel_distance(real, coin)) < 0.2  # a shift of one deviation gives 22


def test_the_scale_free_distance_does_not_depend_on_units_and_the_plain_one_does() -> None:
    real, other = normal(300, 5, 0), normal(200, 5, 1) + 0.3
    plain = kernel_distance(real, other, scale_free=True)
    assert kernel_distance(1000 * real - 4, 1000 * other - 4, scale_free=True) == pytest.approx(plain, rel=1e-6)
    assert kernel_distance(1000 * real, 1000 * other) > 1e6 * plain


def test_constant_real_features_do_not_divide_by_zero() -> None:
    for scale_free in (False, True):
        assert kernel_distance(torch.ones(10, 2), torch.ones(10, 2), scale_free=scale_free) == pytest.approx(
            0, abs=1e-12
        )


def test_subsets_cover_different_rows_and_are_the_same_for_the_same_seed() -> None:
    real, other = normal(100, 3, 0), normal(130, 3, 1)
    values = subset_distances(real, other, rows=20, subsets=12, seed=4)
    assert len(values) == 12
    assert len(values.unique()) == 12
    assert torch.equal(values, subset_distances(real, other, rows=20, subsets=12, seed=4))
    assert not torch.equal(values, subset_distances(real, other, rows=20, subsets=12, seed=5))


def test_subsets_as_large_as_both_sets_are_taken_once() -> None:
    real, other = normal(30, 3, 0), normal(30, 3, 1)
    values = subset_distances(real, other)
    assert values.tolist() == pytest.approx([squared_discrepancy(real, other)], rel=1e-9)


def test_one_set_smaller_than_a_subset_still_gives_every_subset() -> None:
    assert len(subset_distances(normal(30, 3, 0), normal(300, 3, 1), rows=50, subsets=7)) == 7
