"""Four passes instead of six: gradients are those of differentiating twice, for every piecewise linear network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gannet import fused, homogeneous
from gannet.augment.pictures import DifferentiableAugmentation
from gannet.homogeneous import is_piecewise_linear, merged, value_and_slope
from gannet.judge import Judge
from gannet.losses import one_centred, zero_centred
from gannet.memory import saved_bytes
from gannet.networks import convnets, default_pair
from gannet.networks.layers import Activation, Convolution, Stage
from gannet.spec import Condition, Field, Spec

CONDITION = Condition((Field("kind", ("a", "b", "c")),))
NETWORKS = {
    "small pictures": (Spec("images", (1, 9, 12)), {"size": 1.0}),
    "bottlenecks": (Spec("images", (3, 8, 8)), {"size": 2.0}),
    "classes": (Spec("images", (3, 8, 8), CONDITION), {"size": 1.0}),
    "strided": (Spec("images", (2, 11, 8)), {"size": 1.0, "family": "dcgan", "normalise": False}),
}


def discriminator_of(name: str, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor, Tensor | None]:
    """A network whose every weight matters, samples and conditions."""
    torch.manual_seed(0)
    spec, options = NETWORKS[name]
    _, network = default_pair(spec, latent=4, **options)
    network = network.to(dtype)
    for weight in network.parameters():
        nn.init.normal_(weight, 0.0, 0.3)
    condition = torch.eye(3, dtype=dtype).repeat(2, 1) if spec.condition else None
    return network, torch.randn(6, *spec.shape, dtype=dtype), condition


def twice(network: nn.Module, samples: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits and slopes as they are usually written."""
    samples = samples.clone().requires_grad_()
    logits = network(samples, condition)
    (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return logits, slope


def game(logits: Tensor, slope: Tensor) -> Tensor:
    """Relativistic loss, R1 + R2 with a weight a side."""
    real, fake = logits.chunk(2)
    real_slope, fake_slope = slope.chunk(2)
    return softplus(fake - real).mean() + 0.7 * zero_centred(real_slope) + 1.9 * zero_centred(fake_slope)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relativistic with R1 and R2": game,
    "one-centred penalty alone": lambda logits, slope: one_centred(slope),
    "logits alone": lambda logits, slope: logits.square().sum(),
    "logits times slopes": lambda logits, slope: (logits * slope.flatten(1).sum(1)).sum(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_any_loss_of_logits_and_slopes_are_those_of_differentiating_twice(
    name: str, loss: Callable[[Tensor, Tensor], Tensor]
) -> None:
    network, samples, condition = discriminator_of(name)
    assert is_piecewise_linear(network)
    expected = twice(network, samples, condition)
    found = value_and_slope(network, samples, condition)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weights = list(network.parameters())
    theirs = torch.autograd.grad(loss(*expected), weights, allow_unused=True, materialize_grads=True)
    ours = torch.autograd.grad(loss(*found), weights, allow_unused=True, materialize_grads=True)
    scale = max(float(gradient.norm()) for gradient in theirs)
    for mine, his in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, his, rtol=1e-11, atol=1e-12 * scale)


@pytest.mark.parametrize("name", ["small pictures", "bottlenecks", "classes"])
def test_a_bias_and_an_activation_at_once_have_the_derivatives_of_one_after_the_other(name: str, monkeypatch) -> None:
    network, samples, condition = discriminator_of(name)
    weights = list(network.parameters())

    def gradients() -> list[Tensor]:
        losses = game(*value_and_slope(network, samples, condition)), game(*twice(network, samples, condition))
        losses = *losses, network(samples, condition).square().sum()
        return [each for loss in losses for each in torch.autograd.grad(loss, weights, materialize_grads=True)]

    expected = gradients()
    asked: list[torch.Size] = []
    monkeypatch.setattr(fused, "works_on", lambda x: asked.append(x.shape) is None)
    found = gradients()
    assert asked
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12 * float(theirs.norm() + 1))


VIEWS = {getattr(torch.ops.aten, name) for name in ("permute", "detach", "expand", "view", "_unsafe_view")}


class Layouts(TorchDispatchMode):
    """Notes pictures of many channels that do not lie with a pixel's channels side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else [out]:
            if isinstance(x, Tensor) and x.dim() == 4 and len(x) == 6 and x.shape[1] > 3:
                if func.overloadpacket not in VIEWS and not x.is_contiguous(memory_format=torch.channels_last):
                    self.others.append(f"{func} {tuple(x.shape)} {x.stride()}")
        return out


@pytest.mark.parametrize("name", ["small pictures", "bottlenecks"])
def test_where_channels_lie_side_by_side_they_do_so_in_all_four_passes(name: str, monkeypatch) -> None:
    """As on a GPU, which otherwise rearranges the largest tensors again and again."""

    def side_by_side(x: Tensor) -> Tensor:
        return homogeneous.side_by_side(x) if x.dim() == 4 else x

    network, samples, condition = discriminator_of(name)
    monkeypatch.setattr(homogeneous, "laid_out", side_by_side)
    monkeypatch.setattr(convnets, "laid_out", side_by_side)
    monkeypatch.setattr(fused, "works_on", lambda x: x.is_contiguous(memory_format=torch.channels_last))
    with Layouts() as layouts:
        game(*value_and_slope(network, samples, condition)).backward()
    assert layouts.others == []


def test_through_an_augmentation_slopes_are_by_the_samples_before_it() -> None:
    network, samples, _ = discriminator_of("bottlenecks")
    fast = Judge(network, DifferentiableAugmentation(strength=0.5)).double()
    slow = Judge(Plain(network), DifferentiableAugmentation(strength=0.5)).double()
    gradients = []
    for judge in (fast, slow):
        torch.manual_seed(1)
        real, fake, real_slope, fake_slope = judge.pair_with_gradients(samples[:3], samples[3:])
        loss = game(torch.cat([real, fake]), torch.cat([real_slope, fake_slope]))
        gradients.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.parameters()))]))
    assert (gradients[0] - gradients[1]).norm() < 1e-12 * gradients[1].norm()


class Plain(nn.Module):
    """A network that does not say what it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.network(samples, condition)


def test_a_network_that_does_not_say_so_is_differentiated_twice() -> None:
    network, samples, _ = discriminator_of("strided")
    assert not is_piecewise_linear(Plain(network))
    smooth = Smooth()
    slope = Judge(smooth).gradient_at(torch.randn(3, 7))
    (by_weight,) = torch.autograd.grad(zero_centred(slope), smooth.weight)
    assert by_weight.norm() > 0


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return (samples * self.weight).tanh().sum(1)


class Counter(TorchDispatchMode):
    """Counts the floating-point operations of products and convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=out)
        return out


def test_four_passes_are_made_and_not_six() -> None:
    network, samples, _ = discriminator_of("small pictures", torch.float32)

    def passes(play: Callable[[], object]) -> float:
        with Counter() as counter:
            play()
        return counter.operations

    once = passes(lambda: network(samples, None))
    ours = passes(lambda: game(*value_and_slope(network, samples, None)).backward())
    theirs = passes(lambda: game(*twice(network, samples, None)).backward())
    assert (ours / once, theirs / once) == (pytest.approx(4, abs=0.2), pytest.approx(6, abs=0.5))


def test_a_frozen_part_gets_no_gradient() -> None:
    network, samples, condition = discriminator_of("classes")
    frozen = next(network.parameters()).requires_grad_(False)
    game(*value_and_slope(network, samples, condition)).backward()
    assert frozen.grad is None
    assert all(weight.grad is not None for weight in network.parameters() if weight.requires_grad)


def test_outside_of_it_the_layers_are_their_plain_selves() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 5)
    layer = Convolution(3, 4, 3, padding=1)
    assert torch.equal(layer(x), torch.conv2d(x, layer.weight, layer.bias, padding=1))
    assert torch.equal(Activation()(x), nn.functional.leaky_relu(x, 0.2))


def test_a_slope_cannot_be_differentiated_a_third_time() -> None:
    network, samples, _ = discriminator_of("strided")
    _, slope = value_and_slope(network, samples, None)
    weight = next(network.parameters())
    (gradient,) = torch.autograd.grad(zero_centred(slope), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_under_autocast_logits_and_slopes_stay_wide(dtype: torch.dtype) -> None:
    network, samples, _ = discriminator_of("bottlenecks", torch.float32)
    with torch.autocast("cpu", dtype):
        logits, slope = value_and_slope(network, samples, None)
        loss = game(logits, slope)
    assert logits.dtype == slope.dtype == torch.float32
    expected = torch.autograd.grad(game(*twice(network, samples, None)), list(network.parameters()))
    found = torch.autograd.grad(loss, list(network.parameters()))
    flat, exact = (torch.cat([part.flatten() for part in parts]) for parts in (found, expected))
    assert torch.cosine_similarity(flat, exact, dim=0) > 0.98


@pytest.mark.parametrize("name", ["small pictures", "bottlenecks", "classes"])
def test_what_is_computed_again_gives_the_same_bits_and_keeps_less(name: str) -> None:
    network, samples, condition = discriminator_of(name)
    weights = list(network.parameters())

    def stages(wanted: bool) -> None:
        for module in network.modules():
            if isinstance(module, Stage):
                module.recomputed = wanted

    found, kept = [], []
    for wanted in (False, True):
        stages(wanted)
        found.append(torch.autograd.grad(game(*value_and_slope(network, samples, condition)), weights))
        found.append(torch.autograd.grad(network(samples, condition).square().sum(), weights))
        kept.append(saved_bytes(lambda: network(samples, condition)))
    for kept_way, again in ((found[0], found[2]), (found[1], found[3])):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(again, kept_way, strict=True))
    assert kept[1] < 0.8 * kept[0]


@pytest.mark.parametrize("together", [1, 2, 4])
def test_groups_that_come_together_are_convolved_as_apart(together: int) -> None:
    x, weight = torch.randn(2, 12, 5, 5, dtype=torch.float64), torch.randn(8, 3, 3, 3, dtype=torch.float64)
    apart = torch.conv2d(x, weight, None, padding=1, groups=4)
    found = torch.conv2d(x, merged(weight, 4, together), None, padding=1, groups=4 // together)
    torch.testing.assert_close(found, apart, rtol=1e-12, atol=1e-12)
