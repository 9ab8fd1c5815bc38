"""Heads: conditions in, logits out, and the columns of a row."""

import torch

from gannet.networks.heads import EMBEDDING, BlockOutput, LatentInput, ProjectionHead, embedding
from gannet.spec import Block, Condition, Field

MANY = Condition(tuple(Field(f"field {i}", levels=("yes", "no")) for i in range(16)))


def test_an_embedded_condition_has_unit_variance_whatever_the_number_of_fields() -> None:
    torch.manual_seed(0)
    for fields in (1, 4, 16):
        condition = Condition(MANY.fields[:fields])
        chosen = torch.tensor([1.0, 0.0]).repeat(fields)[None]
        assert 0.8 < embedding(condition, 4000)(chosen).std() < 1.2


def test_without_conditions_the_noise_passes_and_with_them_their_embedding_stands_beside_it() -> None:
    noise = torch.randn(3, 5)
    assert torch.equal(LatentInput(5, None)(noise), noise)
    with_labels = LatentInput(5, MANY)
    out = with_labels(noise, torch.ones(3, 32))
    assert out.shape == (3, 5 + EMBEDDING) and torch.equal(out[:, :5], noise)


def test_the_projection_logit_is_its_formula() -> None:
    head = ProjectionHead(8, MANY)
    features, condition = torch.randn(3, 8), torch.randn(3, 32)
    assert head.embedding is not None and head.embedding.bias is None
    embedded = condition @ head.embedding.weight.T
    expected = (features @ head.unconditional + (features * embedded).sum(1)) / 8**0.5
    torch.testing.assert_close(head(features, condition), expected)


def test_a_logit_starts_at_the_size_of_its_features_whatever_their_number() -> None:
    torch.manual_seed(0)
    for width in (16, 4096):
        logits = torch.stack([ProjectionHead(width, None)(torch.randn(8, width)) for _ in range(50)])
        assert 0.7 < logits.std() < 1.4


def test_choices_are_softmax_and_numbers_are_as_they_are() -> None:
    raw = torch.randn(4, 5)
    out = BlockOutput((Block("numbers", 2), Block("choice", 3)))(raw)
    assert torch.equal(out[:, :2], raw[:, :2])
    torch.testing.assert_close(out[:, 2:], raw[:, 2:].softmax(1))
