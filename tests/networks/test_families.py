"""What every family promises: shapes, conditions, twice differentiable, per-sample logits, one dial, clear refusals."""

import copy

import pytest
import torch
from torch import Tensor, nn

from gannet.errors import GannetError
from gannet.networks import default_pair, families, parameter_count
from gannet.spec import Block, Condition, Field, Spec

LABELS = Condition((Field("label", levels=("a", "b", "c")),))
MIXED = Condition((Field("label", levels=("a", "b", "c")), Field("age", mean=40.0, scale=10.0)))
ROW = (Block("numbers", 3), Block("choice", 4), Block("numbers", 1), Block("choice", 2))
PICTURES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (4, 17, 31), (5, 9, 6), (2, 3, 3), (1, 1, 1), (3, 6, 40)]


STEP = 1e-9
"""So small that hardly any activation crosses its kink, where the penalty jumps."""


def pictures(*shape: int, condition: Condition | None = None) -> Spec:
    return Spec("images", shape, condition)


def rows(condition: Condition | None = None) -> Spec:
    return Spec("tables", (10,), condition, ROW)


def conditions(spec: Spec, count: int) -> Tensor | None:
    return torch.randn(count, spec.condition_width) if spec.condition else None


def play(spec: Spec, **options: object) -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    """A pair, and one forward pass of five samples through both."""
    torch.manual_seed(0)
    generator, discriminator = default_pair(spec, **{"size": 0.25, "latent": 6, **options})  # type: ignore[arg-type]
    condition = conditions(spec, 5)
    samples = generator(torch.randn(5, 6), condition)
    return generator, discriminator, samples, discriminator(samples, condition)


@pytest.mark.parametrize("condition", [None, LABELS, MIXED])
@pytest.mark.parametrize("family", ["convnets", "dcgan"])
@pytest.mark.parametrize("shape", PICTURES)
def test_pictures_of_any_size_come_out_in_their_exact_shape(
    shape: tuple[int, int, int], family: str, condition: Condition | None
) -> None:
    _, _, samples, logits = play(pictures(*shape, condition=condition), family=family)
    assert samples.shape == (5, *shape) and logits.shape == (5,)
    assert samples.isfinite().all() and logits.isfinite().all()


@pytest.mark.parametrize("size", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(1, 105, 105), (3, 96, 160)])
def test_large_odd_pictures_work_at_every_size_of_network(shape: tuple[int, int, int], size: float) -> None:
    _, _, samples, logits = play(pictures(*shape, condition=MIXED), size=size)
    assert samples.shape == (5, *shape) and logits.shape == (5,)


@pytest.mark.parametrize("condition", [None, LABELS, MIXED])
@pytest.mark.parametrize("spec", [Spec("points", (2,)), rows(), Spec("tables", (1,))])
def test_flat_data_takes_perceptrons(spec: Spec, condition: Condition | None) -> None:
    spec = Spec(spec.kind, spec.shape, condition, spec.blocks)
    _, _, samples, logits = play(spec)
    assert samples.shape == (5, *spec.shape) and logits.shape == (5,)


def test_probabilities_of_a_choice_sum_to_one_and_numbers_are_free() -> None:
    generator, *_ = play(rows())
    samples = generator(100 * torch.randn(64, 6), None)
    for first, last in [(3, 7), (8, 10)]:
        torch.testing.assert_close(samples[:, first:last].sum(1), torch.ones(64))
        assert (samples[:, first:last] >= 0).all()
    assert samples[:, :3].abs().max() > 1


CALM = [
    (rows(MIXED), {}),
    (Spec("points", (2,)), {}),
    (pictures(1, 28, 28, condition=LABELS), {"size": 1.0}),
    (pictures(3, 15, 22), {"size": 2.0}),
    (pictures(1, 12, 9, condition=LABELS), {"family": "dcgan", "normalise": False}),
]


@pytest.mark.parametrize(("spec", "options"), CALM)
def test_a_gradient_penalty_reaches_every_weight_of_the_discriminator(spec: Spec, options: dict[str, object]) -> None:
    _, discriminator, samples, _ = play(spec, **options)
    stir(discriminator)
    samples = samples.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(samples, conditions(spec, 5)).sum(), samples, create_graph=True)
    gradient.square().sum().backward()
    grown = [weight for weight in discriminator.parameters() if weight.grad is not None and weight.grad.any()]
    assert all(weight.grad.isfinite().all() for weight in grown)
    matrices = [weight for weight in discriminator.parameters() if weight.dim() > 1]
    assert {id(weight) for weight in matrices if weight.shape[-1:] != (1,)} <= {id(weight) for weight in grown}


@pytest.mark.parametrize(("spec", "options"), CALM)
def test_second_derivatives_agree_with_finite_differences(spec: Spec, options: dict[str, object]) -> None:
    _, discriminator, samples, _ = play(spec, **options)
    stir(discriminator)
    discriminator.double()
    samples, condition = samples.detach().double(), conditions(spec, 5)
    condition = None if condition is None else condition.double()
    weight = max(discriminator.parameters(), key=lambda parameter: parameter.numel())
    direction = torch.randn_like(weight)

    def penalty() -> Tensor:
        point = samples.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(point, condition).sum(), point, create_graph=True)
        return gradient.square().sum()

    (slope,) = torch.autograd.grad(penalty(), weight)
    with torch.no_grad():
        weight.add_(direction, alpha=STEP)
    above = penalty().item()
    with torch.no_grad():
        weight.sub_(direction, alpha=2 * STEP)
    difference = (above - penalty().item()) / (2 * STEP)
    assert difference == pytest.approx((slope * direction).sum().item(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("spec", "options"), CALM)
def test_a_logit_depends_on_its_own_sample_alone(spec: Spec, options: dict[str, object]) -> None:
    _, discriminator, samples, _ = play(spec, **options)
    stir(discriminator)
    condition = conditions(spec, 5)
    changed = samples.clone()
    changed[1:] += torch.randn_like(changed[1:])
    before, after = discriminator(samples, condition), discriminator(changed, condition)
    torch.testing.assert_close(before[0], after[0])
    assert (before[1:] != after[1:]).all()


@pytest.mark.parametrize(("spec", "options"), CALM)
def test_logits_are_linear_in_the_embedded_condition(spec: Spec, options: dict[str, object]) -> None:
    spec = Spec(spec.kind, spec.shape, MIXED, spec.blocks)
    _, discriminator, samples, _ = play(spec, **options)
    stir(discriminator)
    first, second = torch.randn(2, 5, spec.condition_width)
    neither = discriminator(samples, torch.zeros_like(first))
    both = discriminator(samples, first + 2 * second) - neither
    apart = discriminator(samples, first) - neither + 2 * (discriminator(samples, second) - neither)
    torch.testing.assert_close(both, apart, atol=1e-4, rtol=1e-4)
    assert both.abs().max() > 1e-4


@pytest.mark.parametrize("spec", [rows(), Spec("points", (2,)), pictures(1, 28, 28), pictures(3, 32, 32)])
def test_a_larger_dial_gives_more_parameters_to_both_players(spec: Spec) -> None:
    for family in ["convnets", "dcgan"] if len(spec.shape) == 3 else ["mlp"]:
        counts = [
            [parameter_count(network) for network in default_pair(spec, size=size, latent=16, family=family)]
            for size in (0.5, 1, 2, 4)
        ]
        for smaller, larger in zip(counts, counts[1:], strict=False):
            assert smaller[0] < larger[0] and smaller[1] < larger[1]


@pytest.mark.parametrize("spec", [rows(LABELS), pictures(1, 10, 10, condition=LABELS)])
def test_weights_come_from_the_global_seed_alone(spec: Spec) -> None:
    torch.manual_seed(3)
    first = default_pair(spec, size=0.25, latent=4)
    torch.manual_seed(3)
    second = default_pair(spec, size=0.25, latent=4)
    for one, other in zip(first, second, strict=True):
        for name, weight in one.state_dict().items():
            assert torch.equal(weight, other.state_dict()[name]), name
        assert copy.deepcopy(one).state_dict().keys() == one.state_dict().keys()


def test_a_family_refuses_data_it_cannot_take_and_says_what_to_do() -> None:
    for spec, family, words in [
        (pictures(1, 8, 8), "mlp", "use networks=convnets or dcgan"),
        (rows(), "convnets", "use networks=mlp"),
        (rows(), "dcgan", "use networks=mlp"),
        (Spec("video", (8, 3, 6, 6)), None, "8x3x6x6; choose a recipe that brings its own networks"),
        (pictures(1, 8, 8), "convnet", "did you mean 'convnets'"),
    ]:
        with pytest.raises(GannetError, match=words):
            default_pair(spec, size=1, latent=8, family=family)
    for size in (0.0, -1.0, float("nan")):
        with pytest.raises(GannetError, match="size"):
            default_pair(rows(), size=size, latent=8)


def test_families_are_named_with_a_line_each() -> None:
    assert set(families()) == {"mlp", "sequence", "convnets", "dcgan"}
    assert all(line and "\n" not in line for line in families().values())


def test_without_normalisation_dcgan_has_none_in_its_discriminator() -> None:
    for normalise in (True, False):
        pair = default_pair(pictures(1, 28, 28), size=1, latent=8, family="dcgan", normalise=normalise)
        found = [any(isinstance(module, nn.BatchNorm2d) for module in network.modules()) for network in pair]
        assert found == [True, normalise]


def test_dcgan_is_the_published_network_at_size_four() -> None:
    generator, _ = default_pair(pictures(3, 64, 64), size=4, latent=100, family="dcgan")
    widths = [m.out_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert widths == [1024, 512, 256, 128, 3]


def stir(module: nn.Module) -> None:
    """Move the maps that start at zero, so that the whole network takes part."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.05)
