"""The networks for series: attributes stay, nothing moves after an end, choices are probabilities, penalties reach."""

import pytest
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.networks import default_pair
from gannet.spec import Block, Condition, Course, Field, Spec

BLOCKS = (Block("numbers", 1), Block("choice", 3), Block("numbers", 2), Block("numbers", 2), Block("choice", 2))
ENDS = (-0.5, 0.0, 0.25, 0.5, 0.9)
LABELS = Condition((Field("label", levels=("a", "b")),))


def spec(length: int = 6, ends: tuple[float, ...] | None = ENDS, condition: Condition | None = None) -> Spec:
    return Spec("series", (10, length), condition, BLOCKS, Course(6, ends))


def play(of: Spec, count: int = 40) -> tuple[torch.nn.Module, torch.nn.Module, Tensor, Tensor | None]:
    torch.manual_seed(0)
    generator, discriminator = default_pair(of, size=0.25, latent=12)
    condition = torch.eye(2)[torch.arange(count) % 2] if of.condition else None
    return generator, discriminator, generator(torch.randn(count, 12), condition), condition


@pytest.mark.parametrize("condition", [None, LABELS])
@pytest.mark.parametrize(("length", "ends"), [(6, ENDS), (6, None), (1, ()), (1, None), (97, None)])
def test_series_come_out_in_their_shape_with_a_logit_each(
    length: int, ends: tuple[float, ...] | None, condition: Condition | None
) -> None:
    of = spec(length, ends, condition)
    _, discriminator, samples, given = play(of)
    assert samples.shape == (40, *of.shape) and samples.isfinite().all()
    assert discriminator(samples, given).shape == (40,)


def test_attributes_keep_one_value_and_nothing_moves_after_the_end() -> None:
    _, _, samples, _ = play(spec())
    assert (samples[:, :6] == samples[:, :6, :1]).all()
    gone = torch.cat([torch.zeros(40, 1, dtype=torch.bool), samples[:, 0, :1] <= torch.tensor(ENDS)], 1)
    assert gone.any() and not gone.all()
    assert (samples[:, 6:].transpose(1, 2)[gone] == 0).all()
    assert (samples[:, 6:].transpose(1, 2)[~gone].abs().sum(1) > 0).all()


def test_categories_are_probabilities_at_each_step_that_is_there() -> None:
    _, _, samples, _ = play(spec(ends=None))
    for start, width in ((1, 3), (8, 2)):
        part = samples[:, start : start + width]
        assert torch.allclose(part.sum(1), torch.ones(40, 6)) and (part >= 0).all()


def test_what_stands_after_the_end_does_not_change_the_logit() -> None:
    _, discriminator, samples, _ = play(spec())
    changed = samples.clone()
    gone = torch.cat([torch.zeros(40, 1, dtype=torch.bool), samples[:, 0, :1] <= torch.tensor(ENDS)], 1)
    changed[:, 6:] += 100 * gone[:, None]
    assert torch.equal(discriminator(samples), discriminator(changed))


def test_an_attribute_counts_once_in_the_gradient_however_long_the_series() -> None:
    _, discriminator, samples, _ = play(spec(ends=None))
    leaf = samples.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(leaf).sum(), leaf)
    assert gradient[:, :6, 0].abs().sum() > 0 and (gradient[:, :6, 1:] == 0).all()


def test_a_penalty_on_the_gradient_reaches_every_weight_of_the_discriminator() -> None:
    _, discriminator, samples, given = play(spec(condition=LABELS))
    for weight in discriminator.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, 0, 0.1)
    leaf = samples.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(leaf, given).sum(), leaf, create_graph=True)
    gradient.square().sum().backward()
    reached = [
        name for name, weight in discriminator.named_parameters() if weight.grad is not None and weight.grad.any()
    ]
    assert {"first.weight", "head.unconditional", "head.embedding.weight"} <= set(reached)


def test_a_logit_depends_on_its_own_series_alone() -> None:
    _, discriminator, samples, _ = play(spec())
    assert torch.allclose(discriminator(samples)[:3], discriminator(samples[:3]), atol=1e-6)


def test_the_generator_learns_lengths_through_the_attribute_that_tells_them() -> None:
    generator, discriminator, samples, _ = play(spec())
    discriminator(samples).sum().backward()
    assert generator.attributes is not None and generator.attributes.weight.grad is not None
    assert generator.attributes.weight.grad[0].abs().sum() > 0


def test_a_family_for_other_data_says_what_it_takes() -> None:
    with pytest.raises(GannetError, match="networks=convnets: takes pictures, but series .* use networks=sequence"):
        default_pair(spec(), size=1, latent=4, family="convnets")
    with pytest.raises(GannetError, match="networks=sequence: takes series"):
        default_pair(Spec("tables", (4,)), size=1, latent=4, family="sequence")
