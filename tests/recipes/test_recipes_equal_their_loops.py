"""Every recipe on the engine equals its hand-written training loop, bit for bit."""

import copy
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.order import Order, mixed_seed
from gannet.recipes.gan import GAN
from gannet.recipes.hinge import Hinge
from gannet.recipes.lsgan import LSGAN
from gannet.recipes.maligan import MaliGAN
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Recipe
from gannet.recipes.wgan import WGAN
from gannet.recipes.wgan_gp import WGANGP
from gannet.spec import Block, Condition, Field, Spec
from gannet.weights import FlatWeights

STEPS, BATCH, SEED = 25, 16, 3


def ring(conditional: bool) -> tuple[Spec, ArrayDataset]:
    random = np.random.default_rng(0)
    mode = random.integers(8, size=500)
    angle = 2 * np.pi * mode / 8
    points = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.02 * random.standard_normal((500, 2))
    condition = None
    vectors = None
    if conditional:
        condition = Condition((Field("mode", tuple("01234567")), Field("height", mean=0.0, scale=1.0)))
        vectors = torch.from_numpy(np.concatenate([np.eye(8)[mode], points[:, 1:]], 1)).float()
    return Spec("points", (2,), condition), ArrayDataset(torch.from_numpy(points).float(), vectors)


class Loop:
    """What every hand-written loop shares: the seeds, the order of the data, the pair of networks."""

    def __init__(self, networks: dict[str, nn.Module], data: ArrayDataset, latent: int) -> None:
        self.generator = networks["generator"]
        self.discriminator = networks["judge"].discriminator
        self.data, self.latent = data, latent

    def steps(self) -> Iterator[int]:
        for step in range(STEPS):
            torch.manual_seed(mixed_seed(SEED, 0, step * BATCH))
            yield step

    def real(self, turn: int, move: int) -> tuple[Tensor, Tensor | None]:
        return self.data.read(Order(len(self.data), SEED, "turn", turn).indices(move * BATCH, BATCH))

    def fake(self, condition: Tensor | None) -> Tensor:
        return self.generator(torch.randn(BATCH, self.latent), condition)

    def pair(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        twice = None if condition is None else torch.cat([condition, condition])
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake]), twice).chunk(2)
        return real_logits, fake_logits

    def descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        for weight in [*self.generator.parameters(), *self.discriminator.parameters()]:
            weight.grad = None
        loss.backward()
        optimiser.step()


def two_player(
    loop: Loop,
    make: Callable[[nn.Module], torch.optim.Optimizer],
    first_loss: Callable[[Tensor, Tensor | None], Tensor],
    second_loss: Callable[[Tensor | None], Tensor],
    moves: int = 1,
    after: Callable[[], None] = lambda: None,
) -> None:
    first, second = make(loop.discriminator), make(loop.generator)
    for step in loop.steps():
        for move in range(moves):
            loop.descend(first, first_loss(*loop.real(0, step * moves + move)))
            after()
        loop.descend(second, second_loss(loop.real(1, step)[1]))


def adam(rate: float, beta1: float, beta2: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda module: torch.optim.Adam(module.parameters(), lr=rate, betas=(beta1, beta2), fused=True)


def gan_loop(loop: Loop) -> None:
    def first(real: Tensor, condition: Tensor | None) -> Tensor:
        real_logits, fake_logits = loop.pair(real, loop.fake(condition).detach(), condition)
        bce = nn.functional.binary_cross_entropy_with_logits
        return torch.stack([bce(real_logits, torch.full((BATCH,), 0.9)), bce(fake_logits, torch.zeros(BATCH))]).sum()

    def second(condition: Tensor | None) -> Tensor:
        logits = loop.discriminator(loop.fake(condition), condition)
        return nn.functional.binary_cross_entropy_with_logits(logits, torch.ones(BATCH))

    two_player(loop, adam(2e-4, 0.5, 0.999), first, second)


def lsgan_loop(loop: Loop) -> None:
    def first(real: Tensor, condition: Tensor | None) -> Tensor:
        real_logits, fake_logits = loop.pair(real, loop.fake(condition).detach(), condition)
        return torch.stack([(real_logits - 1).square().mean() / 2, (fake_logits - 0.0).square().mean() / 2]).sum()

    def second(condition: Tensor | None) -> Tensor:
        return (loop.discriminator(loop.fake(condition), condition) - 1).square().mean() / 2

    two_player(loop, adam(1e-3, 0.5, 0.999), first, second)


def hinge_loop(loop: Loop) -> None:
    def first(real: Tensor, condition: Tensor | None) -> Tensor:
        real_logits, fake_logits = loop.pair(real, loop.fake(condition).detach(), condition)
        return torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()

    def second(condition: Tensor | None) -> Tensor:
        return -loop.discriminator(loop.fake(condition), condition).mean()

    two_player(loop, adam(2e-4, 0.0, 0.9), first, second, moves=5)


def wgan_loop(loop: Loop) -> None:
    def first(real: Tensor, condition: Tensor | None) -> Tensor:
        real_logits, fake_logits = loop.pair(real, loop.fake(condition).detach(), condition)
        return fake_logits.mean() - real_logits.mean()

    def second(condition: Tensor | None) -> Tensor:
        return -loop.discriminator(loop.fake(condition), condition).mean()

    def clip() -> None:
        for weight in loop.discriminator.parameters():
            weight.data.clamp_(-0.01, 0.01)

    def rmsprop(module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(module.parameters(), lr=5e-5)

    two_player(loop, rmsprop, first, second, moves=5, after=clip)


def wgan_gp_loop(loop: Loop) -> None:
    def first(real: Tensor, condition: Tensor | None) -> Tensor:
        fake = loop.fake(condition).detach()
        real_logits, fake_logits = loop.pair(real, fake, condition)
        mixed = (fake + torch.rand(BATCH, 1) * (real - fake)).requires_grad_()
        logits = loop.discriminator(mixed, condition)
        (slope,) = torch.autograd.grad(logits.sum(), mixed, create_graph=True)
        penalty = 10.0 * (slope.norm(dim=1) - 1).square().mean()
        return torch.stack([fake_logits.mean() - real_logits.mean(), penalty]).sum()

    def second(condition: Tensor | None) -> Tensor:
        return -loop.discriminator(loop.fake(condition), condition).mean()

    two_player(loop, adam(1e-4, 0.0, 0.9), first, second, moves=5)


def r3gan_loop(loop: Loop) -> None:
    """Huang et al. 2024 with fixed gamma 0.5 -> 0.05, rate 1e-3 -> 1e-4, beta2 0.9 -> 0.99 over the run."""
    first = torch.optim.Adam(loop.discriminator.parameters(), lr=1e-3, betas=(0.0, 0.9), fused=True)
    second = torch.optim.Adam(loop.generator.parameters(), lr=1e-3, betas=(0.0, 0.9), fused=True)

    def scheduled(start: float, end: float, step: int) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * (step / STEPS))) / 2

    for step in loop.steps():
        for optimiser in (first, second):
            optimiser.param_groups[0]["lr"] = scheduled(1e-3, 1e-4, step)
            optimiser.param_groups[0]["betas"] = (0.0, scheduled(0.9, 0.99, step))
        gamma = torch.tensor(scheduled(0.5, 0.05, step))

        real, condition = loop.real(0, step)
        samples = torch.cat([real, loop.fake(condition).detach()]).requires_grad_()
        logits = loop.discriminator(samples, None if condition is None else torch.cat([condition, condition]))
        (slopes,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
        real_logits, fake_logits = logits.chunk(2)
        real_slope, fake_slope = slopes.chunk(2)
        adversarial = softplus(fake_logits - real_logits).mean()
        r1 = gamma / 2 * real_slope.square().sum(1).mean()
        r2 = gamma / 2 * fake_slope.square().sum(1).mean()
        loop.descend(first, torch.stack([adversarial, r1, r2]).sum())

        real, condition = loop.real(1, step)
        fake_logits = loop.discriminator(loop.fake(condition), condition)
        loop.descend(second, softplus(loop.discriminator(real, condition) - fake_logits).mean())


def maligan_loop(loop: Loop) -> None:
    """Che et al. 2017 on rows: likelihood in drawn orders for half the run, then the game beside it."""
    generator = loop.generator
    # Layers of odd sizes: a vector of all weights is stepped in other chunks than each layer by itself.
    weights = [FlatWeights({"discriminator": loop.discriminator}), FlatWeights({"generator": generator})]
    first, second = [torch.optim.Adam([each.own], lr=1e-3, betas=(0.9, 0.99), fused=True) for each in weights]

    def descend(optimiser: torch.optim.Optimizer, *terms: Tensor) -> None:
        for each in weights:
            each.learn(True)
        torch.stack(terms).sum().backward()
        for each in weights:
            each.collect()
        optimiser.step()

    def likelihood(tokens: Tensor, condition: Tensor | None) -> Tensor:
        return -generator.log_likelihood(tokens, generator.drawn_order(), condition).sum(1).mean()

    def fake(condition: Tensor | None) -> Tensor:
        return generator.write(torch.rand(BATCH, generator.latent), condition)[0]

    for step in loop.steps():
        rate = 2e-5 + (1e-3 - 2e-5) * (1 + math.cos(math.pi * (step / STEPS))) / 2
        first.param_groups[0]["lr"] = second.param_groups[0]["lr"] = rate
        if step * BATCH < 0.5 * STEPS * BATCH:
            real, condition = loop.real(1, step)
            descend(second, likelihood(generator.tokens.read(real), condition))
            continue
        real, condition = loop.real(0, step)
        real_logits, fake_logits = loop.pair(real, fake(condition), condition)
        bce = nn.functional.binary_cross_entropy_with_logits
        descend(first, bce(real_logits, torch.ones(BATCH)), bce(fake_logits, torch.zeros(BATCH)))

        real, condition = loop.real(1, step)
        made = fake(condition)
        told = generator.tokens.read(made)
        written = generator.log_likelihood(told, list(range(len(generator.tokens))), condition)
        odds = loop.discriminator(made, condition).detach().clamp(-3, 3).softmax(0) - 1 / BATCH
        game = (odds * -written.sum(1)).sum()
        descend(second, likelihood(generator.tokens.read(real), condition), game)


def rows(conditional: bool) -> tuple[Spec, ArrayDataset]:
    """The ring as rows of a table: which half, and the two coordinates."""
    spec, data = ring(conditional)
    half = (data.samples[:, :1] > 0).float()
    blocks = (Block("choice", 2), Block("numbers", 2))
    samples = torch.cat([half, 1 - half, data.samples / 1.2], 1)
    return Spec("tables", (4,), spec.condition, blocks), ArrayDataset(samples, data.condition)


GAMES: dict[str, tuple[Recipe, Callable[[Loop], None]]] = {
    "gan": (GAN(batch_size=BATCH, latent=8, real_target=0.9), gan_loop),
    "lsgan": (LSGAN(batch_size=BATCH, latent=8), lsgan_loop),
    "hinge": (Hinge(batch_size=BATCH, latent=8), hinge_loop),
    "maligan": (MaliGAN(batch_size=BATCH, learning_rate=1e-3, warm_up=0.5, dropout=0.0, bound=3.0), maligan_loop),
    "wgan": (WGAN(batch_size=BATCH, latent=8), wgan_loop),
    "wgan_gp": (WGANGP(batch_size=BATCH, latent=8), wgan_gp_loop),
    "r3gan": (R3GAN(batch_size=BATCH, latent=8, gamma=0.5, learning_rate=1e-3), r3gan_loop),
}


@pytest.mark.parametrize("conditional", [False, True], ids=["unconditional", "conditional"])
@pytest.mark.parametrize("name", GAMES)
def test_the_recipe_equals_its_hand_written_loop_bit_for_bit(name: str, conditional: bool) -> None:
    recipe, by_hand = GAMES[name]
    recipe = copy.deepcopy(recipe)
    spec, data = rows(conditional) if name == "maligan" else ring(conditional)
    torch.manual_seed(1)
    networks = recipe.build(spec, size=0.25, count=len(data), holdout=0)
    loop = Loop(copy.deepcopy(networks), data, recipe.latent)

    engine = Engine(recipe, networks, data, total=STEPS * BATCH, seed=SEED)
    assert engine.play()
    for optimised in [loop.generator, loop.discriminator]:
        optimised.train()
    by_hand(loop)

    for engine_net, loop_net in (
        (engine.networks["generator"], loop.generator),
        (engine.networks["judge"].discriminator, loop.discriminator),
    ):
        for (key, ours), (_, theirs) in zip(
            engine_net.state_dict().items(), loop_net.state_dict().items(), strict=True
        ):
            assert torch.equal(ours, theirs), f"{key} differs by {(ours - theirs).abs().max()}"


def test_r3gan_doubts_settings_that_are_known_to_end_badly_and_no_others() -> None:
    def doubts(**knobs) -> list[str]:
        recipe = R3GAN(**knobs)
        recipe.build(Spec("points", (2,)), size=0.5, count=100, holdout=0)
        return [doubt.told for doubt in recipe.doubts()]

    assert doubts() == doubts(gamma=1.0) == doubts(learning_rate=5e-3) == []
    assert "gamma=0" in doubts(gamma=0.0)[0] and "learning_rate=0.2" in doubts(learning_rate=0.2)[0]
