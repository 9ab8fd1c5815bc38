"""bf16 is played in only where its gradients point where those of fp32 do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gannet import precision
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.recipes.r3gan import R3GAN
from gannet.spec import Spec

SPEC = Spec("images", (1, 8, 8))


class Faulty(nn.Module):
    """A discriminator whose half-precision kernel has its sign wrong: a planted failure."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        logits = self.network(samples, condition)
        return -logits if torch.is_autocast_enabled("cpu") else logits


def game(*, faulty: bool = False) -> Engine:
    torch.manual_seed(0)
    recipe = R3GAN(batch_size=8, augment="none")
    networks = recipe.build(SPEC, size=0.5, count=40, holdout=0)
    for weight in networks["judge"].parameters():
        nn.init.normal_(weight, 0, 0.1)
    if faulty:
        networks["judge"].discriminator = Faulty(networks["judge"].discriminator)
    return Engine(recipe, networks, ArrayDataset(torch.rand(40, 1, 8, 8) * 2 - 1), total=800, precision="bf16")


def test_rounding_alone_changes_the_direction_little_and_the_game_is_left_as_it_was() -> None:
    engine, twin = game(), game()
    assert precision.ENOUGH < 0.97 < precision.settle(engine) < 1
    assert engine.precision == "bf16" and engine.batches.bf16 and not engine.notes
    for name, value in engine.networks.state_dict().items():
        assert torch.equal(value, twin.networks.state_dict()[name]), name
    for _ in range(3):
        engine.step()
        twin.step()
    assert all(torch.equal(engine.weights[player].vector, twin.weights[player].vector) for player in engine.weights)


def test_gradients_that_point_elsewhere_are_found_and_the_game_is_played_in_fp32() -> None:
    engine = game(faulty=True)
    assert precision.settle(engine) < 0
    assert engine.precision == "fp32" and not engine.batches.bf16
    assert engine.notes[0].startswith("plays in fp32: in bf16 its gradients point elsewhere (cosine -")
