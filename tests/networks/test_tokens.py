"""Rows as tokens: what is written reads the same, whatever the grid."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.networks.tokens import MOST_LEAVES, MOST_SHORT, Retold, Tokens, edges_of
from gannet.spec import Block, Range

CUTS = tuple(np.linspace(-0.95, 0.9, 100).tolist())
BLOCKS = (Block("choice", 3), Block("numbers", 1), Block("choice", 2), Block("numbers", 1, (-0.5, 0.0, 0.7)))


def some_tokens(tokens: Tokens, count: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(size, (count,), generator=random) for size in tokens.sizes], 1)


@pytest.mark.parametrize("blocks", [BLOCKS, (Block("numbers", 2), Block("numbers", 1, CUTS)), (Block("choice", 7),)])
def test_what_is_written_reads_as_the_same_leaves_and_levels(blocks: tuple[Block, ...]) -> None:
    tokens = Tokens(blocks, 20_000)
    values = some_tokens(tokens, 500)
    samples = tokens.write(values, torch.rand(500, len(tokens.numbers)))
    again = tokens.read(samples)
    for number in tokens.numbers:
        assert torch.equal(tokens.leaf(number, values), tokens.leaf(number, again))
    choices = [token for token, start in enumerate(tokens.starts) if start is not None]
    assert torch.equal(values[:, choices], again[:, choices])


def test_reading_any_number_finds_the_leaf_that_holds_it() -> None:
    tokens = Tokens((Block("numbers", 1),), 20_000)
    samples = torch.linspace(-1, 1, 4001)[:, None]
    number, edges = tokens.numbers[0], tokens.edges(tokens.numbers[0])
    leaf = tokens.leaf(number, tokens.read(samples))
    assert ((edges[leaf] <= samples[:, 0]) & (samples[:, 0] <= edges[leaf + 1])).all()


def test_a_number_of_few_values_is_one_token_and_of_many_is_two() -> None:
    assert Tokens((Block("numbers", 1, (0.0,)),), 1000).sizes == [2]
    tokens = Tokens((Block("numbers", 1, CUTS),), 10_000)
    assert tokens.sizes == [10, 11]
    assert tokens.parents == [None, 0]


def test_no_leaf_of_a_smooth_number_stands_for_few_rows() -> None:
    assert len(edges_of(None, 200)) == 21
    assert len(edges_of(None, 10**7)) == MOST_LEAVES + 1
    assert len(edges_of(None, 3)) == 3


def test_distinct_values_that_hold_a_row_each_are_no_leaves() -> None:
    assert len(edges_of(CUTS, 101)) == 11
    assert edges_of(CUTS, 1000) == (-1.0, *CUTS, 1.0)


def test_samples_stay_within_the_range_asked_for() -> None:
    tokens = Tokens((Block("numbers", 1),), 300)
    assert len(tokens.edges(tokens.numbers[0])) - 1 <= MOST_SHORT
    values = torch.full((200, 1), 15)
    low, high = tokens.numbers[0].edges[15], tokens.numbers[0].edges[16]
    middle = (low + high) / 2
    samples = tokens.write(values, torch.rand(200, 1), {0: Range(middle, 1.0)})
    assert (samples >= middle).all() and (samples <= high).all()


def test_among_tells_whole_blocks() -> None:
    tokens = Tokens((Block("choice", 3), Block("numbers", 1)), 20_000)
    assert tokens.among(torch.tensor([True, True, True, False])) == [0]
    assert tokens.among(torch.tensor([False, False, False, True])) == [1, 2]


def test_a_retold_discriminator_sees_the_leaf_and_not_the_place_in_it() -> None:
    tokens = Tokens(BLOCKS, 20_000)

    class Sum(torch.nn.Module):
        def forward(self, samples: Tensor, condition: Tensor | None) -> Tensor:
            return samples.sum(1)

    retold = Retold(Sum(), tokens)
    values = some_tokens(tokens, 100)
    one, other = (tokens.write(values, torch.full((100, 2), place)) for place in (0.1, 0.9))
    assert not torch.equal(one, other)
    assert torch.equal(retold(one), retold(other))
    assert not torch.equal(retold(one), retold(one.roll(1, 0)))
