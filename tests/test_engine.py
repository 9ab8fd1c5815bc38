"""The engine's promises: turns, clocks, exact resume, averages, accumulation, and moves that are not finite."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gannet.diagnostics import Referee
from gannet.domains.domain import ArrayDataset
from gannet.engine import PERSISTENT, Engine
from gannet.errors import GannetError
from gannet.order import Order, mixed_seed
from gannet.recipes.gan import GAN
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Terms, Turn
from gannet.recipes.wgan_gp import WGANGP
from gannet.run import RunFolder
from gannet.spec import Spec
from gannet.watch import Look

SPEC = Spec("points", (2,))


def data(count: int = 300) -> ArrayDataset:
    torch.manual_seed(0)
    return ArrayDataset(torch.randn(count, 2))


def engine(recipe=None, *, total=320, run=None, seed=5, examine=None, **options) -> Engine:
    recipe = recipe or R3GAN(batch_size=16, latent=4)
    torch.manual_seed(2)
    networks = recipe.build(SPEC, size=0.25, count=300, holdout=0)
    return Engine(recipe, networks, data(), total=total, seed=seed, run=run, examine=examine, **options)


def flat(tensors: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{group}/{name}": value for group, named in tensors.items() for name, value in named.items()}


def assert_equal(first: Engine, second: Engine) -> None:
    ours, theirs = flat(first.tensors()), flat(second.tensors())
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_the_order_visits_every_sample_once_an_epoch_and_is_a_pure_function() -> None:
    order = Order(10, 3, "turn", 0)
    stream = order.indices(0, 35)
    for epoch in range(3):
        assert sorted(stream[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert np.array_equal(Order(10, 3, "turn", 0).indices(17, 9), stream[17:26])
    assert not np.array_equal(Order(10, 4, "turn", 0).indices(0, 10), stream[:10])


@pytest.mark.fault(20)
def test_a_batch_larger_than_the_data_spans_epochs() -> None:
    assert len(Order(3, 0).indices(2, 10)) == 10


def test_mixed_seeds_do_not_collide_across_their_parts() -> None:
    assert mixed_seed(1, 23) != mixed_seed(12, 3)


@pytest.mark.parametrize(
    "recipe",
    [R3GAN(batch_size=16, latent=4), GAN(batch_size=16, lecam=0.3), WGANGP(batch_size=16)],
    ids=lambda r: type(r).__name__,
)
@pytest.mark.parametrize("stop_after", [1, 7])
def test_a_resumed_game_is_bit_equal_to_an_uninterrupted_one(recipe, stop_after: int, tmp_path: Path) -> None:
    whole = engine(copy.deepcopy(recipe))
    whole.play()

    run = RunFolder.create(tmp_path / "run", {}, "test")
    first = engine(copy.deepcopy(recipe), run=run)
    steps = iter(range(100))
    assert not first.play(stop=lambda: next(steps) >= stop_after)
    second = engine(copy.deepcopy(recipe), run=run)
    kept = run.newest()
    assert kept is not None and kept.seen == stop_after * 16
    second.restore(*kept.read())
    assert second.play()

    assert_equal(whole, second)
    assert whole.state() == second.state()


def test_the_log_of_a_resumed_game_equals_that_of_an_uninterrupted_one(tmp_path: Path) -> None:
    def lines(run: RunFolder) -> list[dict]:
        return [{key: value for key, value in line.items() if key != "time"} for line in run.read_log()]

    whole = RunFolder.create(tmp_path / "whole", {}, "test")
    engine(run=whole, total=3200).play()
    broken = RunFolder.create(tmp_path / "broken", {}, "test")
    first = engine(run=broken, total=3200)
    steps = iter(range(1000))
    first.play(stop=lambda: next(steps) >= 77)
    for _ in range(9):
        first.step()
    second = engine(run=broken, total=3200)
    second.restore(*broken.newest().read())
    broken.rewind_log(second.seen)
    second.play()
    assert lines(whole) == lines(broken)


def test_only_the_player_whose_turn_it_is_moves() -> None:
    game = engine()
    before = {name: value.clone() for name, value in game.networks.named_parameters()}
    turn = game.recipe.turns[0]
    game._move(turn, np.arange(16))
    moved = {
        name.split(".")[0] for name, value in game.networks.named_parameters() if not torch.equal(value, before[name])
    }
    assert moved == {"judge"}


def test_turns_come_as_often_as_they_say() -> None:
    played: list[str] = []

    @dataclass(kw_only=True)
    class Counting(R3GAN):
        @property
        def turns(self) -> tuple[Turn, ...]:
            return (
                Turn("discriminator", "discriminator", times=2),
                Turn("discriminator", "lazy", every=3),
                Turn("generator", "generator"),
            )

        def lazy(self, real: Tensor, condition: Tensor | None) -> Terms:
            return super().discriminator(real, condition)

        def after_turn(self, turn: Turn) -> None:
            played.append(turn.loss)

    engine(Counting(batch_size=16, latent=4), total=96).play()
    assert (played.count("discriminator"), played.count("lazy"), played.count("generator")) == (12, 2, 6)


def test_three_players_move_each_on_their_own() -> None:
    @dataclass(kw_only=True)
    class WithEncoder(R3GAN):
        players: ClassVar[dict[str, tuple[str, ...]]] = {**R3GAN.players, "encoder": ("encoder",)}

        @property
        def turns(self) -> tuple[Turn, ...]:
            return (*super().turns, Turn("encoder", "encode", times=2))

        def build(self, spec: Spec, *, size: float, count: int, holdout: int) -> dict[str, nn.Module]:
            return {**super().build(spec, size=size, count=count, holdout=holdout), "encoder": nn.Linear(2, 4)}

        def encode(self, real: Tensor, condition: Tensor | None) -> Terms:
            noise = torch.randn(len(real), self.latent)
            found = self.networks["encoder"](self.networks["generator"](noise, condition))
            return {"reconstruction": (found - noise).square().mean()}

    game = engine(WithEncoder(batch_size=16, latent=4), total=160)
    before = game.networks["encoder"].weight.clone()
    game.play()
    assert not torch.equal(before, game.networks["encoder"].weight)
    assert set(game.terms) == {"discriminator", "generator", "encoder"}
    assert any(name.startswith("encoder.") for name in game.tensors()["optimisers"])


@dataclass(kw_only=True)
class Still(R3GAN):
    """Noise that is always one: the same fakes however the batch is cut."""

    def generate(self, count: int, condition: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        return self.networks["generator"](torch.ones(count, self.latent), condition)


def test_accumulating_micro_batches_gives_the_gradient_of_the_whole_batch() -> None:
    gradients = []
    torch.set_default_dtype(torch.float64)
    try:
        for micro in (None, 4):
            game = engine(Still(batch_size=16, latent=4, gamma=1.0, micro_batch=micro))
            game.train = ArrayDataset(data().samples.double())
            game._move(game.recipe.turns[0], np.arange(16))
            gradients.append(game.weights["discriminator"].own.grad)
    finally:
        torch.set_default_dtype(torch.float32)
    whole, accumulated = gradients
    assert whole.any() and torch.allclose(whole, accumulated, rtol=1e-10, atol=1e-12)


def test_the_average_follows_with_its_half_life() -> None:
    game = engine()
    average, followed = game.following.networks["generator"], game.networks["generator"]
    with torch.no_grad():
        for weight in average.parameters():
            weight.zero_()
        for weight in followed.parameters():
            weight.fill_(1.0)
    for _ in range(10):
        game.following.follow(0.5 ** (game.batch / 160))
    assert all(torch.allclose(weight, torch.full_like(weight, 0.5)) for weight in average.parameters())
    game.following.follow(0.0)
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in average.parameters())


class Poisoned(ArrayDataset):
    """Turns chosen reads into NaN: a planted failure."""

    def __init__(self, poison) -> None:
        super().__init__(data().samples)
        self.poison, self.reads = poison, 0

    def read(self, indices):
        self.reads += 1
        samples, condition = super().read(indices)
        return (samples * math.nan if self.poison(self.reads) else samples), condition


@pytest.mark.fault(6)
def test_a_single_move_that_is_not_finite_changes_nothing_and_is_told() -> None:
    game = engine()
    game.train = Poisoned(lambda read: True)
    before = copy.deepcopy(flat(game.tensors()))
    game._move(game.recipe.turns[0], np.arange(16))
    after = flat(game.tensors())
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert game.skipped == 1 and "discriminator" in game.notes[0] and "r1" in game.notes[0]


@pytest.mark.fault(6)
def test_the_game_goes_on_after_a_single_bad_move() -> None:
    game = engine()
    game.train = Poisoned(lambda read: read == 5)
    assert game.play()
    assert game.skipped == 1
    assert all(torch.isfinite(value).all() for value in flat(game.tensors()).values())


@pytest.mark.fault(7)
def test_persistent_bad_moves_stop_the_game_and_name_every_term(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    game = engine(run=run, total=16_000)
    game.train = Poisoned(lambda read: read > 20)
    with pytest.raises(GannetError, match=rf"{PERSISTENT} moves in a row.*adversarial.*"):
        game.play()
    assert len([line for line in run.read_log() if line["event"] == "skipped"]) == PERSISTENT


def test_examinations_come_evenly_and_the_best_is_kept(tmp_path: Path) -> None:
    scores = iter([3.0, 1.0, 2.0, math.nan] + [5.0] * 16)
    run = RunFolder.create(tmp_path / "run", {}, "test")
    game = engine(run=run, total=3200, examine=lambda seen: Look(next(scores)))
    game.play()
    told = [line for line in run.read_log() if line["event"] == "score"]
    assert [line["seen"] for line in told] == list(range(160, 3201, 160))
    assert game.best_score == 1.0
    assert run.best().seen == 320 and run.newest().seen == 3200


FALLING_THEN_BAD = [2.0, 1.0, 0.5, 0.4, 0.3, 0.2, *[2.0] * 30]
"""Scores of a game that collapses after its sixth look."""


def scripted(run: RunFolder | None, *, remedies: bool = True, **options) -> Engine:
    """A game whose looks come from a list, by the clock: a collapse on demand."""
    looks = 20
    return engine(
        run=run,
        total=3200,
        examine=lambda seen: Look(FALLING_THEN_BAD[seen * looks // 3200]),
        watcher=Referee(remedies=remedies),
        **options,
    )


def events(run: RunFolder) -> list[dict]:
    return [line for line in run.read_log() if line["event"] == "referee"]


def test_a_collapse_returns_the_weights_of_the_best_and_goes_on_softer(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    game = scripted(run)
    steps = iter(range(1000))
    game.play(stop=lambda: next(steps) * 16 >= 1120)
    (told,) = events(run)
    assert told["action"] == "roll back" and told["seen"] == 1120 and told["finding"] == "collapse"
    assert game.learning_factor == 0.5 and game.recipe.firmness == 2.0
    best, _ = run.best().read()
    assert run.best().seen == 800
    for name, value in game.networks.state_dict().items():
        assert torch.equal(value, best["networks"][name]), name
    assert game.seen == 1120


def test_a_rolled_back_game_without_a_run_folder_returns_to_the_same_weights(tmp_path: Path) -> None:
    kept, unkept = scripted(RunFolder.create(tmp_path / "run", {}, "test")), scripted(None)
    kept.play()
    unkept.play()
    assert kept.ended == unkept.ended
    assert_equal(kept, unkept)


@pytest.mark.parametrize("stop_after", [69, 70, *(pytest.param(at, marks=pytest.mark.slow) for at in (49, 71, 90))])
def test_a_game_resumed_around_a_roll_back_takes_the_same_course(stop_after: int, tmp_path: Path) -> None:
    whole = scripted(RunFolder.create(tmp_path / "whole", {}, "test"))
    whole.play()
    run = RunFolder.create(tmp_path / "broken", {}, "test")
    first = scripted(run)
    steps = iter(range(1000))
    first.play(stop=lambda: next(steps) >= stop_after)
    second = scripted(run)
    second.restore(*run.newest().read())
    second.play()
    assert_equal(whole, second)
    assert whole.state() == second.state()


def test_without_remedies_trouble_is_told_and_the_course_is_that_of_an_unwatched_game(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    watched = scripted(run, remedies=False)
    watched.play()
    blind = engine(total=3200)
    blind.play()
    assert {told["action"] for told in events(run)} == {"note"}
    assert_equal(watched, blind)


@pytest.mark.fault(7)
def test_moves_that_are_not_finite_return_to_the_best_before_the_game_is_given_up(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    game = engine(run=run, total=3200, examine=lambda seen: Look(1.0 - seen / 3300), watcher=Referee())
    steps = iter(range(1000))
    game.play(stop=lambda: next(steps) >= 50)
    with torch.no_grad():
        next(game.networks["judge"].parameters()).fill_(torch.nan)
    assert game.play()
    assert events(run)[0]["action"] == "roll back" and events(run)[0]["finding"] == "instability"
    assert all(weight.isfinite().all() for weight in game.networks.parameters())


def test_a_game_that_has_learned_nothing_begins_anew_with_other_weights(tmp_path: Path) -> None:
    def fresh(attempt: int) -> dict[str, nn.Module]:
        torch.manual_seed(attempt)
        return R3GAN(batch_size=16, latent=4).build(SPEC, size=0.25, count=300, holdout=0)

    run = RunFolder.create(tmp_path / "run", {}, "test")
    game = engine(run=run, total=3200, examine=lambda seen: Look(1.0), watcher=Referee(), fresh=fresh)
    steps = iter(range(1000))
    game.play(stop=lambda: bool(events(run)) or next(steps) > 200)
    (told,) = events(run)
    assert told["action"] == "begin anew" and told["finding"] == "not learning"
    drawn = fresh(1)["generator"].state_dict()
    assert all(torch.equal(value, drawn[name]) for name, value in game.networks["generator"].state_dict().items())
    assert not any(optimiser.state for optimiser in game.optimisers.values())
    second = engine(run=run, total=3200, examine=lambda seen: Look(1.0), watcher=Referee(), fresh=fresh)
    second.restore(*run.newest().read())
    assert second.beginnings == 2
    second.step()


def test_an_examination_does_not_change_the_course_of_the_game() -> None:
    watched, blind = engine(examine=lambda seen: Look(float(torch.randn(1)))), engine()
    watched.play()
    blind.play()
    assert_equal(watched, blind)


def test_progress_names_every_term_and_ends_at_the_total() -> None:
    reports = []
    engine().play(reports.append)
    assert reports[-1].seen == reports[-1].total == 320
    assert set(reports[-1].terms["discriminator"]) == {"adversarial", "r1", "r2"}
    assert set(reports[-1].terms["generator"]) == {"adversarial"}
    assert 0 <= reports[-1].balance <= 1


def test_bfloat16_keeps_weights_and_penalties_in_float32() -> None:
    game = engine(precision="bf16")
    game.play()
    assert all(value.dtype == torch.float32 for value in game.networks.parameters())
    assert all(term.dtype == torch.float32 for terms in game.terms.values() for term in terms.values())
    assert all(torch.isfinite(weight).all() for weight in game.networks.parameters())


def test_networks_without_batch_statistics_are_judged_in_one_pass() -> None:
    from gannet.judge import Judge

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

        def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
            return self.net(x)[:, 0]

    judge = Judge(Normalised())
    assert not judge.joint
    real, fake = torch.randn(8, 2), torch.randn(8, 2) + 5
    twin = copy.deepcopy(judge)
    expected = twin.discriminator(real), twin.discriminator(fake)
    for ours, theirs in zip(judge.pair(real, fake), expected, strict=True):
        assert torch.equal(ours, theirs)
