"""Per-row gradients from one backward pass are those of one row at a time; clipped sums are the hand-made ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gannet.networks.autoregressive import RowGenerator
from gannet.privacy.clipping import HAIR, row_gradients
from gannet.spec import Block, Spec

ROWS = 7


@pytest.fixture
def generator() -> RowGenerator:
    torch.manual_seed(0)
    blocks = (Block("choice", 4), Block("numbers", 1), Block("choice", 3), Block("numbers", 1, (-0.2, 0.5)))
    made = RowGenerator(Spec("tables", (9,), None, blocks), count=4000, units=5)
    for weight in made.parameters():
        # Fresh heads are zero and would hide most of the gradients.
        torch.nn.init.normal_(weight, 0.0, 0.3)
    return made


@pytest.fixture
def rows(generator: RowGenerator) -> Tensor:
    tokens = generator.tokens
    return torch.stack([torch.randint(0, size, (ROWS,)) for size in tokens.sizes], 1)


def one_at_a_time(generator: RowGenerator, rows: Tensor, order: list[int]) -> list[dict[str, Tensor]]:
    """Each row's gradient by plain autograd."""
    found = []
    for row in rows:
        generator.zero_grad()
        (-generator.log_likelihood(row[None], order).sum()).backward()
        found.append({name: weight.grad.clone() for name, weight in generator.named_parameters()})
    return found


@pytest.mark.parametrize("begin", [[], [3, 0]])
def test_norms_and_sums_equal_those_of_one_row_at_a_time(
    generator: RowGenerator, rows: Tensor, begin: list[int]
) -> None:
    order = generator.first_these(begin)
    singles = one_at_a_time(generator, rows, order)
    gradients = row_gradients(generator, rows, order)
    norms = torch.tensor([sum(float(each.square().sum()) for each in single.values()) ** 0.5 for single in singles])
    torch.testing.assert_close(gradients.norms(), norms, rtol=1e-5, atol=1e-6)

    bound = float(norms.median())
    clipped = gradients.clipped_sum(bound)
    assert clipped.keys() == dict(generator.named_parameters()).keys()
    for name in clipped:
        by_hand = sum(
            single[name] * min(1.0, bound * (1 - HAIR) / float(norm))
            for single, norm in zip(singles, norms, strict=True)
        )
        torch.testing.assert_close(clipped[name], by_hand, rtol=1e-4, atol=1e-5)


def test_one_row_moves_a_clipped_sum_by_no_more_than_the_bound(generator: RowGenerator, rows: Tensor) -> None:
    order, bound = list(range(len(generator.tokens))), 0.05
    whole = row_gradients(generator, rows, order).clipped_sum(bound)
    for left_out in range(ROWS):
        kept = torch.arange(ROWS) != left_out
        fewer = row_gradients(generator, rows[kept], order).clipped_sum(bound)
        moved = sum(float((whole[name] - fewer[name]).double().square().sum()) for name in whole) ** 0.5
        assert moved <= bound


def test_no_rows_add_nothing(generator: RowGenerator, rows: Tensor) -> None:
    clipped = row_gradients(generator, rows[:0], list(range(len(generator.tokens)))).clipped_sum(1.0)
    assert all(not bool(each.any()) for each in clipped.values())


def test_a_row_whose_gradient_is_not_finite_adds_nothing(generator: RowGenerator, rows: Tensor) -> None:
    order = list(range(len(generator.tokens)))
    with torch.no_grad():
        generator.embeddings.weight[generator.tokens.offsets[0] + 3] = torch.nan
    rows[:, 0] = torch.tensor([3] + [1] * (ROWS - 1))
    clipped = row_gradients(generator, rows, order).clipped_sum(0.5)
    without = row_gradients(generator, rows[1:], order).clipped_sum(0.5)
    for name in clipped:
        torch.testing.assert_close(clipped[name], without[name])
