"""The row writer: its likelihood is that of what it writes, in any order, and no wish is ever broken."""

import pytest
import torch
from torch import Tensor

from gannet.networks.autoregressive import Heads, RowGenerator, inverse_draw, resampled, resampled_each, waves
from gannet.spec import Block, Condition, Field, Range, Spec, Wish

BLOCKS = (Block("choice", 3), Block("choice", 2), Block("choice", 4))
MIXED = (Block("choice", 3), Block("numbers", 1), Block("choice", 2), Block("numbers", 1, (-0.5, 0.0, 0.7)))


def writer(blocks: tuple[Block, ...] = BLOCKS, condition: Condition | None = None) -> RowGenerator:
    """A writer whose columns depend on each other: its heads do not begin at zero."""
    torch.manual_seed(0)
    network = RowGenerator(Spec("tables", (sum(b.width for b in blocks),), condition, blocks), count=5000, units=8)
    with torch.no_grad():
        for weight in network.heads.parameters():
            weight.normal_()
    return network.eval()


def every_row(network: RowGenerator) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(size) for size in network.tokens.sizes])


def uniform(network: RowGenerator, count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, network.latent, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_probabilities_of_all_rows_add_up_to_one_in_any_order(order: list[int]) -> None:
    network = writer()
    total = network.log_likelihood(every_row(network), order).sum(1).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-5)


def test_rows_come_as_often_as_their_likelihood_says() -> None:
    network = writer()
    rows = every_row(network)
    expected = network.log_likelihood(rows, [0, 1, 2]).sum(1).exp()
    written = network.tokens.read(network.write(uniform(network, 40_000))[0])
    seen = torch.stack([(written == row).all(1).float().mean() for row in rows])
    assert (seen - expected).abs().max() < 0.01


def test_a_token_depends_on_those_before_it_alone() -> None:
    network = writer(MIXED)
    values = network.tokens.read(network.write(uniform(network, 16))[0])
    order = [4, 1, 2, 0, 3]
    embedded = network.embedded(values).detach().requires_grad_()
    lines = network.log_likelihood_of(embedded, values, order)
    for at, token in enumerate(order):
        (gradient,) = torch.autograd.grad(lines[:, token].sum(), embedded, retain_graph=True)
        reached = gradient.view(16, len(order), -1).abs().sum((0, 2)) > 0
        assert {t for t in range(len(order)) if reached[t]} <= set(order[:at])
        assert at == 0 or reached.any()


def test_the_first_token_is_drawn_by_the_inverse_of_its_distribution() -> None:
    shares = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).expand(5, -1)
    assert inverse_draw(shares, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71])).tolist() == [0, 0, 2, 2, 3]


def test_a_level_without_weight_is_never_drawn() -> None:
    shares = torch.tensor([[0.0, 1e-20, 0.0], [0.5, 0.0, 0.0], [0.3, 0.3, 0.0]])
    for share in (0.0, 0.5, 1.0 - 1e-7, 1.0):
        drawn = inverse_draw(shares, torch.full((3,), share))
        assert (shares.gather(1, drawn[:, None]) > 0).all()


def test_wishes_are_met_by_every_row_and_right_in_distribution() -> None:
    network = writer(MIXED)
    many = network.write(uniform(network, 100_000))[0]
    wish = Wish({0: (1.0, 0.0, 1.0)}, {3: Range(-0.31, 0.2)})
    rows, _ = network.write(uniform(network, 40_000, 2), wish=wish, rows=10_000)
    assert (rows[:, 1] == 0).all() and (rows[:, 3] >= -0.31).all() and (rows[:, 3] <= 0.2).all()
    among = many[(many[:, 1] == 0) & (many[:, 3] >= -0.31) & (many[:, 3] <= 0.2)]
    assert len(rows) == 10_000 and len(among) > 5_000
    assert (rows.mean(0) - among.mean(0)).abs().max() < 0.03


def test_a_range_that_hangs_on_a_level_leaves_the_other_levels_free() -> None:
    network = writer(MIXED)
    many = network.write(uniform(network, 100_000))[0]
    wish = Wish({0: (1.0, 0.0, 1.0)}, {3: Range(-0.31, 0.2, when=(0, 2))})
    rows, _ = network.write(uniform(network, 40_000, 2), wish=wish, rows=10_000)
    inside = (rows[:, 3] >= -0.31) & (rows[:, 3] <= 0.2)
    assert inside[rows[:, 2] == 1].all() and not inside[rows[:, 0] == 1].all()
    among = many[(many[:, 1] == 0) & ((many[:, 2] == 0) | ((many[:, 3] >= -0.31) & (many[:, 3] <= 0.2)))]
    assert (rows.mean(0) - among.mean(0)).abs().max() < 0.03


def test_known_tokens_are_kept_and_the_rest_is_drawn_given_them() -> None:
    network = writer()
    known = torch.tensor([[0, 1, 3]]).expand(20_000, -1)
    rows, _ = network.write(uniform(network, 20_000), known=(known, [2]))
    values = network.tokens.read(rows)
    assert (values[:, 2] == 3).all()
    every = every_row(network)
    given = every[every[:, 2] == 3]
    expected = network.log_likelihood(given, [2, 0, 1])[:, :2].sum(1).exp()
    seen = torch.stack([(values == row).all(1).float().mean() for row in given])
    assert (seen - expected).abs().max() < 0.015


def test_conditions_reach_every_token_and_keep_their_rows_under_a_wish() -> None:
    network = writer(condition=Condition((Field("side", ("left", "right")),)))
    sides = torch.eye(2)[torch.arange(600) % 2]
    values = network.tokens.read(network.write(uniform(network, 600), sides)[0])
    lines = network.log_likelihood(values, [0, 1, 2], sides)
    other = network.log_likelihood(values, [0, 1, 2], sides.flip(1))
    assert (lines != other).any(0).all()
    chances = torch.zeros(8)
    assert (resampled_each(chances, 4) % 4).tolist() == [0, 1, 2, 3]


def test_resampling_is_in_proportion_to_the_weights() -> None:
    chosen = resampled(torch.tensor([0.0, -torch.inf, 1.0]).log_softmax(0), 10_000)
    counts = torch.bincount(chosen, minlength=3) / 10_000
    assert counts[1] == 0
    assert counts[2].item() == pytest.approx(torch.e / (1 + torch.e), abs=1e-3)


def test_orders_keep_a_fine_token_behind_its_coarse_one() -> None:
    network = writer(MIXED)
    torch.manual_seed(0)
    orders = [network.drawn_order() for _ in range(200)]
    assert all(order.index(1) + 1 == order.index(2) for order in orders)
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len({tuple(order) for order in orders}) > 3
    assert 0.3 < sum(order == list(range(5)) for order in orders) / 200 < 0.8


def test_heads_of_any_width_give_what_single_heads_would() -> None:
    torch.manual_seed(0)
    sizes = [3, 100, 5, 70, 2]
    heads = Heads(sizes, 4, ordered=[1, 2])
    for weight in heads.parameters():
        torch.nn.init.normal_(weight)
    groups = torch.randn(6, 5, 4)
    values = torch.stack([torch.randint(size, (6,)) for size in sizes], 1)
    plain = [torch.addmm(bias, groups[:, t], weight).log_softmax(1) for t, (weight, bias) in enumerate(heads.plain())]
    single = [lines.gather(1, values[:, t : t + 1])[:, 0] for t, lines in enumerate(plain)]
    assert [lines.shape[1] for lines in plain] == sizes
    for token in range(5):
        assert torch.allclose(heads.logits(token, groups[:, token]).log_softmax(1), plain[token], atol=1e-5)
    assert torch.allclose(heads(groups, values), torch.stack(single, 1), atol=1e-5)


def test_waves_are_orthogonal_of_unit_variance_and_mean_zero() -> None:
    product = waves(40) @ waves(40).T / 40
    assert torch.allclose(product, torch.eye(len(product)), atol=1e-5)
    assert waves(40).mean(1).abs().max() < 1e-6


def test_neighbouring_levels_of_a_number_begin_alike_and_those_of_a_choice_do_not() -> None:
    network = writer((Block("numbers", 1, tuple(torch.linspace(-0.9, 0.9, 40).tolist())), Block("choice", 41)))
    weight = network.embeddings.weight
    steps = (weight[1:] - weight[:-1]).square().mean(1)
    assert steps[:40].mean() < 0.4 * steps[41:].mean()
