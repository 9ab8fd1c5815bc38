"""The convolutional pair: the rule of its widths, fix-up at the start, and sane signals at depth."""

import pytest
import torch
from torch import nn

from gannet.networks import default_pair, parameter_count
from gannet.networks.convnets import Bottleneck, DenseBlock, plan
from gannet.networks.mlp import ResidualLayer
from gannet.spec import Condition, Field, Spec

LABELS = Condition((Field("label", levels=tuple("abcdefghij")),))


def test_size_twelve_has_the_published_widths() -> None:
    assert plan(256, 256, 12).widths == (96, 192, 384, 768, 768, 768, 768)
    assert plan(256, 256, 12).blocks == (2,) * 7


def test_size_twelve_has_about_the_published_parameters() -> None:
    """Huang et al. (2024), CIFAR-10: 20.78 million in the generator, 21.28 in the discriminator."""
    generator, discriminator = default_pair(Spec("images", (3, 32, 32), LABELS), size=12, latent=64)
    assert parameter_count(generator) == pytest.approx(20.78e6, rel=0.03)
    assert parameter_count(discriminator) == pytest.approx(21.28e6, rel=0.03)


def test_small_networks_spare_the_finest_level_and_large_ones_do_not() -> None:
    small, medium = plan(28, 28, 1), plan(28, 28, 2)
    assert small.blocks == (0, 1, 1, 1) and small.dense
    assert medium.blocks == (2, 2, 2, 2) and not medium.dense
    assert list(small.widths) == sorted(small.widths)


@pytest.mark.parametrize("block", [Bottleneck(32, 8), DenseBlock(32, 8), ResidualLayer(32, 3)])
def test_a_residual_block_starts_as_the_identity(block: nn.Module) -> None:
    x = torch.randn(3, 32) if isinstance(block, ResidualLayer) else torch.randn(3, 32, 7, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 48, 80)])
@pytest.mark.parametrize("size", [1, 2])
def test_signals_start_at_about_unit_size_at_any_depth(shape: tuple[int, int, int], size: float) -> None:
    torch.manual_seed(0)
    spec = Spec("images", shape, LABELS)
    generator, discriminator = default_pair(spec, size=size, latent=64)
    condition = torch.eye(10).repeat(2, 1)
    with torch.no_grad():
        samples = generator(torch.randn(20, 64), condition)
        logits = discriminator(torch.rand(20, 1, 1, 1) * torch.ones(20, *shape), condition)
    assert 0.1 < samples.std() < 3
    assert 0.01 < logits.std() < 10


def test_the_residual_branches_are_what_the_network_learns_first() -> None:
    torch.manual_seed(0)
    _, discriminator = default_pair(Spec("images", (1, 16, 16)), size=2, latent=8)
    discriminator(torch.randn(4, 1, 16, 16), None).sum().backward()
    for block in (module for module in discriminator.modules() if isinstance(module, Bottleneck)):
        assert block.narrow.weight.grad is not None and block.narrow.weight.grad.any()
        assert block.mix.weight.grad is not None and not block.mix.weight.grad.any()
