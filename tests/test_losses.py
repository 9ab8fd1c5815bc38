"""Every loss and penalty against its closed form, at batch >= 2 with >= 2 non-batch axes."""

import math

import pytest
import torch

from gannet import losses

REAL = torch.tensor([1.0, -2.0, 0.5])
FAKE = torch.tensor([0.0, 3.0, -1.0])


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("target", [0.0, 0.9, 1.0])
def test_cross_entropy_is_that_of_the_discriminators_probability(target: float) -> None:
    expected = [-target * math.log(sigmoid(x)) - (1 - target) * math.log(1 - sigmoid(x)) for x in REAL.tolist()]
    assert losses.binary_cross_entropy(REAL, target).item() == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_minimax_generator_minimises_log_of_one_minus_d() -> None:
    expected = [math.log(1 - sigmoid(x)) for x in FAKE.tolist()]
    assert losses.minimax_generator(FAKE).item() == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_least_squares_is_half_the_mean_square() -> None:
    assert losses.least_squares(REAL, 1.0).item() == pytest.approx((0 + 9 + 0.25) / 6)


def test_hinge_counts_only_what_is_inside_the_margin() -> None:
    real, fake = (0 + 3 + 0.5) / 3, (1 + 4 + 0) / 3
    assert losses.hinge_discriminator(REAL, FAKE).item() == pytest.approx(real + fake)


def test_wasserstein_terms_are_means() -> None:
    assert losses.wasserstein_critic(REAL, FAKE).item() == pytest.approx(2 / 3 + 0.5 / 3)
    assert losses.wasserstein_generator(FAKE).item() == pytest.approx(-2 / 3)


def test_relativistic_is_over_pairs_and_free_of_shifts() -> None:
    expected = sum(softplus(-(r - f)) for r, f in zip(REAL.tolist(), FAKE.tolist(), strict=True)) / 3
    assert losses.relativistic(REAL, FAKE).item() == pytest.approx(expected, rel=1e-5)
    assert losses.relativistic(REAL + 7, FAKE + 7).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("shape", [(4,), (3, 8, 8), (2, 3, 4, 5)])
def test_penalties_of_a_linear_critic_depend_on_neither_batch_nor_layout(batch: int, shape: tuple[int, ...]) -> None:
    slope = torch.full(shape, 3 / math.sqrt(math.prod(shape)))
    gradient = slope.expand(batch, *shape)
    assert losses.zero_centred(gradient).item() == pytest.approx(9.0, rel=1e-5)
    assert losses.one_centred(gradient).item() == pytest.approx(4.0, rel=1e-5)


def test_penalties_average_over_samples_of_different_slope() -> None:
    gradient = torch.zeros(2, 2, 3)
    gradient[0], gradient[1, 0, 0] = 1.0, 5.0
    assert losses.zero_centred(gradient).item() == pytest.approx((6 + 25) / 2)
    assert losses.one_centred(gradient).item() == pytest.approx(((math.sqrt(6) - 1) ** 2 + 16) / 2, rel=1e-5)


def test_points_between_lie_on_the_lines_with_one_share_a_sample() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(64, 2, 3), torch.randn(64, 2, 3)
    share = (losses.between(real, fake) - fake) / (real - fake)
    assert torch.allclose(share, share[:, :1, :1].expand_as(share), atol=1e-3)
    assert share.min() > -1e-3 and share.max() < 1 + 1e-3
    assert 0.3 < share[:, 0, 0].mean() < 0.7


def test_gradient_penalty_differentiates_by_the_weights() -> None:
    weight = torch.tensor([[2.0, -1.0], [0.5, 1.0]], requires_grad=True)
    samples = torch.randn(3, 2, 2, requires_grad=True)
    logits = (samples * weight).flatten(1).sum(1)
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    losses.zero_centred(gradient).backward()
    assert torch.allclose(weight.grad, 2 * weight.detach())


def test_likelihood_of_a_row_is_the_product_over_its_tokens() -> None:
    chances = torch.tensor([[0.5, 0.25], [1.0, 0.1]])
    expected = (-math.log(0.5 * 0.25) - math.log(1.0 * 0.1)) / 2
    assert losses.negative_log_likelihood(chances.log()).item() == pytest.approx(expected, rel=1e-5)


def test_augmented_likelihood_weighs_rows_by_the_discriminators_odds_less_their_mean() -> None:
    lines = torch.tensor([[-1.0, -2.0], [-0.5, -0.1], [-3.0, -1.0]], requires_grad=True)
    logits = torch.tensor([0.0, math.log(2.0), math.log(5.0)])
    loss = losses.augmented_likelihood(lines, logits, bound=3.0)
    weights = [1 / 8, 2 / 8, 5 / 8]
    costs = [3.0, 0.6, 4.0]
    expected = sum((w - 1 / 3) * cost for w, cost in zip(weights, costs, strict=True))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert torch.allclose(lines.grad, -(torch.tensor(weights) - 1 / 3)[:, None].expand(3, 2))


def test_augmented_likelihood_is_nothing_where_the_discriminator_cannot_tell_and_bounded_where_it_is_sure() -> None:
    lines = torch.tensor([[-1.0, -2.0], [-0.5, -0.1]])
    assert losses.augmented_likelihood(lines, torch.tensor([4.0, 4.0]), bound=3.0).item() == pytest.approx(0.0)
    sure = losses.augmented_likelihood(lines, torch.tensor([-50.0, 50.0]), bound=1.0)
    weight = math.exp(1.0) / (math.exp(1.0) + math.exp(-1.0))
    assert sure.item() == pytest.approx((1 - weight - 0.5) * 3.0 + (weight - 0.5) * 0.6, rel=1e-5)
