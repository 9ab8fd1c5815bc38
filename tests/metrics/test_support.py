"""Alpha-precision, beta-recall and authenticity where the answer is known, and against the definitions written out."""

from __future__ import annotations

from math import pi, sqrt

import pytest
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics.support import FEWEST, Hypersphere, alpha_precision, authenticity, beta_recall


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("width", [1, 2, 16, 60])
def test_one_distribution_has_alpha_precision_one_and_beta_recall_of_about_a_half(width: int) -> None:
    real, generated = normal(1000, width, 0), normal(1000, width, 1)
    assert alpha_precision(real, generated) == pytest.approx(1, abs=0.05)
    assert 0.45 < beta_recall(real, generated) < 0.7


def test_far_samples_score_nothing() -> None:
    real = normal(400, 4, 0)
    assert alpha_precision(real, real + 50) == pytest.approx(0, abs=0.01)
    assert beta_recall(real, real + 50) == 0


def test_a_crowd_at_the_centre_is_not_precise_and_recalls_nothing() -> None:
    # All of it lies within every ball: P(alpha) = 1, and 1 - 2 times the mean of 1 - alpha is 0.
    real = normal(500, 8, 0)
    assert alpha_precision(real, 1e-3 * normal(500, 8, 1)) == pytest.approx(0, abs=0.01)
    assert beta_recall(real, 1e-3 * normal(500, 8, 1)) < 0.05


def test_alpha_precision_of_a_half_far_off_follows_the_closed_form() -> None:
    # Half as real ones, half far off: P(alpha) = alpha / 2, so the score is 1 - 2 * 1/4.
    real = normal(2000, 3, 0)
    mixed = torch.cat([normal(1000, 3, 1), normal(1000, 3, 2) + 100])
    assert alpha_precision(real, mixed) == pytest.approx(0.5, abs=0.02)


def test_dropped_modes_lower_beta_recall_by_their_share() -> None:
    def modes(rows: int, seed: int, kept: int) -> Tensor:
        return 20 * torch.eye(4, dtype=torch.float64)[torch.arange(rows) % kept] + normal(rows, 4, seed)

    real = modes(800, 0, 4)
    whole, half = beta_recall(real, modes(800, 1, 4)), beta_recall(real, modes(800, 1, 2))
    assert half < 0.75 * whole


def recall_by_definition(real: Tensor, generated: Tensor) -> float:
    """Every ball of generated samples in turn, every pair of a real and a generated sample."""
    between, within = torch.cdist(real, generated), torch.cdist(real, real)
    reach = within.fill_diagonal_(torch.inf).amin(1)
    distances = Hypersphere.around(real).distances(generated, generated.mean(0))
    gap = 0.0
    for step in range(100):
        beta = (step + 0.5) / 100
        kept = int(beta * len(generated) + 1e-9)
        inside = distances.argsort()[:kept]
        covered = (between[:, inside] <= reach[:, None]).any(1).double().mean() if kept else 0.0
        gap += abs(float(covered) - beta) / 100
    return 1 - 2 * gap


@pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
def test_beta_recall_equals_its_definition(spread: float) -> None:
    real, generated = normal(150, 3, 0), spread * normal(200, 3, 1)
    assert beta_recall(real, generated) == pytest.approx(recall_by_definition(real, generated), abs=1e-9)


def test_authenticity_equals_its_definition() -> None:
    train, generated = normal(120, 3, 0), normal(80, 3, 1)
    between, within = torch.cdist(generated, train), torch.cdist(train, train).fill_diagonal_(torch.inf)
    distance, nearest = between.min(1)
    assert torch.equal(authenticity(train, generated), distance > within.amin(1)[nearest])


@pytest.mark.parametrize(("width", "mutual"), [(1, 2 / 3), (2, 6 * pi / (8 * pi + 3 * sqrt(3)))])
def test_authenticity_of_fresh_samples_is_the_chance_not_to_be_each_others_nearest(width: int, mutual: float) -> None:
    # The share of points that are their nearest neighbour's nearest neighbour (Clark & Evans 1955; Pickard 1982).
    draw = torch.Generator().manual_seed(0)
    train, fresh = (torch.rand(6000, width, generator=draw, dtype=torch.float64) for _ in range(2))
    assert float(authenticity(train, fresh).double().mean()) == pytest.approx(1 - mutual, abs=0.025)


def test_copies_are_not_authentic_jittered_or_not_and_far_samples_are() -> None:
    train = normal(300, 5, 0)
    assert not authenticity(train, train).any()
    assert not authenticity(train, train + 1e-4 * normal(300, 5, 1)).any()
    assert authenticity(train, train + 100).all()


def test_a_copy_of_a_row_that_has_a_twin_is_still_a_copy() -> None:
    train = torch.cat([normal(50, 3, 0)] * 2)
    assert not authenticity(train, train[:50]).any()
    assert authenticity(train, normal(50, 3, 1)).all()


def test_the_sphere_whitens_and_keeps_a_constant_feature_finite() -> None:
    real = normal(4000, 3, 0) @ torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    sphere = Hypersphere.around(real)
    assert float(sphere.distances(real).square().mean()) == pytest.approx(2, rel=0.1)
    shifted = real + torch.tensor([0.0, 0.0, 1.0])
    assert float(sphere.distances(shifted).min()) > 10


def test_columns_shuffled_on_their_own_are_outside() -> None:
    mixing = torch.eye(6, dtype=torch.float64) + 2
    real = normal(1000, 6, 0) @ mixing
    order = torch.Generator().manual_seed(1)
    shuffled = torch.stack([column[torch.randperm(1000, generator=order)] for column in real.T], 1)
    assert alpha_precision(real, shuffled) < 0.1
    assert alpha_precision(real, normal(1000, 6, 2) @ mixing) > 0.93


def test_units_and_places_of_the_features_do_not_matter() -> None:
    real, generated = normal(200, 4, 0), 1.2 * normal(200, 4, 1)
    moved = [rows * 1e3 - 7 for rows in (real, generated)]
    assert alpha_precision(*moved) == pytest.approx(alpha_precision(real, generated), abs=1e-9)
    assert beta_recall(*moved) == pytest.approx(beta_recall(real, generated), abs=1e-9)
    assert torch.equal(authenticity(*moved), authenticity(real, generated))


def test_ties_do_not_cost_precision() -> None:
    draw = torch.Generator().manual_seed(0)
    real, generated = (torch.randint(0, 2, (1000, 3), generator=draw).double() for _ in range(2))
    assert alpha_precision(real, generated) > 0.93


def test_constant_features_and_more_features_than_samples_give_figures() -> None:
    ones = torch.ones(20, 3)
    assert alpha_precision(ones, ones) == 1
    assert beta_recall(ones, ones) == pytest.approx(0, abs=1e-9)  # every sample belongs to the largest ball alone
    assert alpha_precision(ones, ones + 1) < 0.1
    assert not authenticity(ones, ones).any()
    assert 0.7 < alpha_precision(normal(60, 200, 0), normal(60, 200, 1)) <= 1


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(GannetError, match="7 real samples are too few"):
        alpha_precision(normal(FEWEST - 1, 2, 0), normal(20, 2, 1))
    with pytest.raises(GannetError, match="0 generated samples"):
        beta_recall(normal(20, 2, 0), normal(0, 2, 1))
    with pytest.raises(GannetError, match="nearest neighbours"):
        authenticity(normal(1, 2, 0), normal(3, 2, 1))
