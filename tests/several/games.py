"""Played by one or several processes: `python games.py FOLDER NAME ...` writes FOLDER/RANK.safetensors.

For each named game: the gradient of every turn's first move, in float64, and everything after a few whole steps.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from gannet.augment.choice import augmentation_for  # noqa: F401 - the package must load before recipes
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.losses import zero_centred
from gannet.ranks import Ranks
from gannet.recipes.gan import GAN
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Recipe, Terms, Turn
from gannet.recipes.wgan_gp import WGANGP
from gannet.spec import Condition, Field, Spec

BATCH, COUNT = 17, 60
"""A batch that neither two nor three processes share evenly."""


@dataclass(kw_only=True)
class Lazy(GAN):
    """R1 in a turn of its own, every second step: a penalty without logits."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (*super().turns, Turn("discriminator", "penalty", every=2))

    def penalty(self, real: Tensor, condition: Tensor | None) -> Terms:
        return {"r1": 5.0 * zero_centred(self.judge.gradient_at(real, condition))}


def points() -> tuple[Spec, ArrayDataset]:
    random = np.random.default_rng(0)
    condition = Condition((Field("mode", ("a", "b")),))
    values = torch.from_numpy(random.standard_normal((COUNT, 3)))
    return Spec("points", (3,), condition), ArrayDataset(values, torch.eye(2)[np.arange(COUNT) % 2].double())


def pictures() -> tuple[Spec, ArrayDataset]:
    values = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (COUNT, 3, 8, 8)))
    return Spec("images", (3, 8, 8)), ArrayDataset(values)


GAMES: dict[str, tuple[Callable[[], Recipe], Callable[[], tuple[Spec, ArrayDataset]]]] = {
    "r3gan": (lambda: R3GAN(batch_size=BATCH, latent=4), points),
    "wgan_gp": (lambda: WGANGP(batch_size=BATCH, latent=4, critic_turns=2), points),
    "lazy": (lambda: Lazy(batch_size=BATCH, latent=4), points),
    "accumulated": (lambda: R3GAN(batch_size=BATCH, latent=4, micro_batch=3), points),
    "gan": (lambda: GAN(batch_size=BATCH, latent=4, real_target=0.9), points),
    "pictures": (lambda: R3GAN(batch_size=BATCH, latent=4, augment="adaptive"), pictures),
}


def play(name: str, ranks: Ranks) -> dict[str, Tensor]:
    make, data = GAMES[name]
    recipe, (spec, samples) = make(), data()
    torch.manual_seed(ranks.index)  # each its own: joining must put that right
    networks = recipe.build(spec, size=0.25, count=COUNT, holdout=COUNT)
    if ranks.first:
        torch.manual_seed(7)
        networks = recipe.build(spec, size=0.25, count=COUNT, holdout=COUNT)
        for network in networks.values():
            for weight in network.parameters():
                # Layers that begin at zero would hide a wrong gradient behind them.
                torch.nn.init.normal_(weight, std=0.3)
    engine = Engine(recipe, networks, samples, samples, total=BATCH * 6, seed=3, ranks=ranks, save_seconds=0.0)
    engine.join()
    found = {}
    for turn in recipe.turns:
        torch.manual_seed(11)
        engine._move(turn, np.arange(BATCH))
        owner = engine.weights[turn.player]
        assert owner.own.grad is not None
        found[f"{name}/gradient/{turn.loss}"] = owner.whole(owner.own.grad).clone()
        found[f"{name}/norm/{turn.loss}"] = owner.gradient_norm().clone()
    assert engine.play()
    found |= standing(f"{name}/after", engine)
    memory = [value for each in engine.optimisers.values() for state in each.state.values() for value in state.values()]
    found[f"{name}/held/moments"] = torch.tensor(sum(value.numel() for value in memory))
    found[f"{name}/held/averages"] = torch.tensor(sum(bytes_of(each) for each in engine.following.networks.values()))
    # What a remedy does: back to what was kept, and on with another batch.
    engine._keep()
    engine.step()
    engine._return_to_best()
    found |= standing(f"{name}/returned", engine)
    engine._overrule({"batch_size": BATCH + 2})
    engine.step()
    return found | standing(f"{name}/overruled", engine)


def standing(prefix: str, engine: Engine) -> dict[str, Tensor]:
    groups = engine.tensors()
    return {f"{prefix}/{group}/{key}": value.clone() for group, each in groups.items() for key, value in each.items()}


def bytes_of(network: torch.nn.Module) -> int:
    """Of the memory that the network's weights lie in."""
    lying = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in network.parameters()}
    return sum(lying.values())


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    together = Ranks.of_environment("cpu")
    results: dict[str, Tensor] = {}
    for each in sys.argv[2:]:
        results |= play(each, together)
    save_file(
        {key: value.contiguous() for key, value in results.items()}, Path(sys.argv[1]) / f"{together.index}.safetensors"
    )
