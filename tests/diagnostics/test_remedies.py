"""What the engine does when the referee asks: settings overruled, batches gathered, players rebuilt and thawed.

Each remedy on a game that was really broken; each resumed around its moment, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gannet
from gannet.cli import main
from gannet.diagnostics import Referee
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.networks import parameter_count
from gannet.recipes import RECIPES
from gannet.recipes.gan import GAN
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Recipe
from gannet.recipes.wgan_gp import WGANGP
from gannet.run import RunFolder
from gannet.spec import Spec
from gannet.watch import Look

SPEC = Spec("points", (2,))
TOTAL = 320


def game(
    recipe: Recipe,
    run: RunFolder | None = None,
    *,
    remedies: bool = True,
    identical: float | None = None,
    **options: Any,
) -> Engine:
    """A game whose looks fall steadily, watched by a referee that has asked the recipe for its doubts."""
    torch.manual_seed(0)
    data = ArrayDataset(torch.randn(300, 2))

    def fresh(attempt: int) -> dict[str, nn.Module]:
        with torch.random.fork_rng():
            torch.manual_seed(10 + attempt)
            return recipe.build(SPEC, size=0.5, count=300, holdout=0)

    networks = fresh(0)
    return Engine(
        recipe,
        networks,
        data,
        total=TOTAL,
        seed=5,
        run=run,
        examine=lambda seen: Look(1.0 - seen / (2 * TOTAL), identical=identical),
        watcher=Referee(remedies=remedies, doubts=recipe.doubts()),
        fresh=fresh,
        **options,
    )


def flat(engine: Engine) -> dict[str, torch.Tensor]:
    return {f"{group}/{name}": value for group, named in engine.tensors().items() for name, value in named.items()}


def assert_equal(first: Engine, second: Engine) -> None:
    ours, theirs = flat(first), flat(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def events(run: RunFolder) -> list[dict]:
    return [line for line in run.read_log() if line["event"] == "referee"]


# -------------------------------------------------------------------------------------------- settings overruled

DOUBTFUL: dict[str, Callable[[], Recipe]] = {
    "gamma": lambda: R3GAN(batch_size=16, latent=4, gamma=0.0),
    "learning_rate": lambda: GAN(batch_size=16, latent=4, learning_rate=0.05),
    "beta1": lambda: GAN(batch_size=16, latent=4, beta1=0.95),
    "penalty": lambda: WGANGP(batch_size=16, latent=4, penalty=0.0),
    "batch_size": lambda: R3GAN(batch_size=4, latent=4),
    "discriminator_size": lambda: R3GAN(batch_size=16, latent=4, discriminator_size=0.1),
}


@pytest.mark.parametrize("knob", DOUBTFUL)
def test_each_doubtful_setting_is_overruled_before_the_first_step_and_written_down(knob: str, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    played = game(DOUBTFUL[knob](), run)
    played.play()
    usual = getattr(type(played.recipe)(), knob)
    told = events(run)[0]
    assert told["action"] == "overrule" and told["seen"] == 0 and told["settings"] == {knob: usual}
    assert getattr(played.recipe, knob) == usual and played.overruled == {knob: usual}


@pytest.mark.parametrize(
    ("knob", "stop_after"),
    [
        ("gamma", 3),
        ("beta1", 3),
        ("batch_size", 0),
        ("batch_size", 3),
        ("discriminator_size", 0),
        ("discriminator_size", 3),
    ],
)
def test_a_game_resumed_after_an_overruled_setting_takes_the_same_course(
    knob: str, stop_after: int, tmp_path: Path
) -> None:
    whole = game(DOUBTFUL[knob](), RunFolder.create(tmp_path / "whole", {}, "test"))
    whole.play()
    run = RunFolder.create(tmp_path / "run", {}, "test")
    steps = iter(range(1000))
    assert not game(DOUBTFUL[knob](), run).play(stop=lambda: next(steps) >= stop_after)
    second = game(DOUBTFUL[knob](), run)
    second.restore(*run.newest().read())
    second.play()
    assert_equal(whole, second)
    assert whole.state() == second.state()


@pytest.mark.parametrize("knob", ["gamma", "learning_rate", "beta1", "penalty"])
def test_an_overruled_game_equals_one_that_was_asked_for_with_the_usual_setting(knob: str) -> None:
    overruled, usual = game(DOUBTFUL[knob]()), DOUBTFUL[knob]()
    setattr(usual, knob, getattr(type(usual)(), knob))
    plain = game(usual)
    overruled.play()
    plain.play()
    assert_equal(overruled, plain)


@pytest.mark.parametrize("knob", ["gamma", "batch_size", "discriminator_size"])
def test_without_remedies_what_was_asked_for_is_played(knob: str) -> None:
    told, unwatched = game(DOUBTFUL[knob](), remedies=False), game(DOUBTFUL[knob]())
    unwatched.watcher = None
    told.play()
    unwatched.play()
    assert_equal(told, unwatched)


def test_a_tiny_batch_is_gathered_to_the_usual_one_in_pieces_of_the_size_asked_for() -> None:
    played, read = game(DOUBTFUL["batch_size"]()), []
    plain = played.train.read

    class Noting(ArrayDataset):
        def read(self, indices):
            read.append(len(indices))
            return plain(indices)

    played.train = Noting(torch.zeros(300, 2))
    played.play()
    assert played.batch == R3GAN().batch_size and set(read) == {4}
    # A slow machine reads two batches ahead of what is played.
    assert 2 * TOTAL // 4 <= len(read) <= 2 * TOTAL // 4 + 2


def test_gathered_pieces_step_as_the_whole_batch_does() -> None:
    gathered, whole = game(DOUBTFUL["batch_size"]()), game(R3GAN(latent=4))
    whole.batches.micro_batch = 4
    gathered.play()
    whole.play()
    assert_equal(gathered, whole)


def test_a_mismatched_discriminator_is_rebuilt_at_the_generator_s_size_and_the_generator_stays(tmp_path: Path) -> None:
    played = game(DOUBTFUL["discriminator_size"]())
    before, generator = parameter_count(played.networks["judge"]), played.networks["generator"]
    drawn = {name: value.clone() for name, value in generator.state_dict().items()}
    played.play(stop=lambda: True)
    assert parameter_count(played.networks["judge"]) > 10 * before
    assert all(torch.equal(value, drawn[name]) for name, value in played.networks["generator"].state_dict().items())
    played.play()
    moved = played.weights["discriminator"].vector.detach()
    assert any(not torch.equal(value, drawn[name]) for name, value in generator.state_dict().items())
    assert moved.numel() == sum(weight.numel() for weight in played.networks["judge"].parameters())


# ------------------------------------------------------------------------------------------------- begun anew, thawed


def test_a_generator_of_one_sample_is_drawn_anew_before_the_first_step(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    played = game(R3GAN(batch_size=16, latent=4), run, identical=1.0)
    deaf = {name: value.clone() for name, value in played.networks["generator"].state_dict().items()}
    assert not played.play(stop=lambda: True)
    assert played.seen == 0 and played.beginnings == 2 and events(run)[0]["action"] == "begin anew"
    assert any(not torch.equal(value, deaf[name]) for name, value in played.networks["generator"].state_dict().items())


def freeze(engine: Engine) -> None:
    engine.optimisers["discriminator"].step = lambda: None


def at(engine: Engine, step: int, act: Callable[[Engine], None]) -> Callable[[], bool]:
    """A `stop` that never stops, and acts once before the given step."""

    def stop() -> bool:
        if engine.seen == step * engine.batch:
            act(engine)
        return False

    return stop


@pytest.mark.parametrize("recipe", [R3GAN, GAN])
def test_a_frozen_player_is_thawed_and_moves_again(recipe: type[Recipe], tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    played = game(recipe(batch_size=16, latent=4), run)
    played.play(stop=at(played, 5, freeze))
    told = events(run)
    assert [act["action"] for act in told] == ["thaw"] and told[0]["player"] == "discriminator"
    updates = [line["discriminator/update"] for line in run.read_log() if line["event"] == "terms"]
    assert updates[5:7] == [0.0, 0.0] and all(update > 0 for update in updates[7:])


@pytest.mark.parametrize("stop_after", [6, 7, 8])
def test_a_game_resumed_around_a_thaw_takes_the_same_course(stop_after: int, tmp_path: Path) -> None:
    """The fault is planted again where the game is resumed before its thaw, as it would come with the process."""
    whole = game(R3GAN(batch_size=16, latent=4), RunFolder.create(tmp_path / "whole", {}, "test"))
    whole.play(stop=at(whole, 5, freeze))
    run = RunFolder.create(tmp_path / "run", {}, "test")
    first = game(R3GAN(batch_size=16, latent=4), run)
    freezing = at(first, 5, freeze)
    first.play(stop=lambda: freezing() or first.seen >= stop_after * 16)
    second = game(R3GAN(batch_size=16, latent=4), run)
    second.restore(*run.newest().read())
    if not events(run):
        freeze(second)
    second.play()
    assert_equal(whole, second)
    assert whole.state() == second.state()


def test_without_remedies_a_frozen_player_stays_frozen_and_is_told(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, "test")
    played = game(R3GAN(batch_size=16, latent=4), run, remedies=False)
    played.play(stop=at(played, 5, freeze))
    assert [act["action"] for act in events(run)] == ["note"] and "no longer move" in events(run)[0]["reason"]


def test_a_sound_game_takes_the_course_of_an_unwatched_one() -> None:
    for recipe in (R3GAN, GAN, WGANGP):
        watched, unwatched = game(recipe(batch_size=16, latent=4)), game(recipe(batch_size=16, latent=4))
        unwatched.watcher = None
        watched.play()
        unwatched.play()
        assert_equal(watched, unwatched)


@pytest.mark.parametrize("name", RECIPES)
def test_published_settings_raise_no_doubt(name: str) -> None:
    assert RECIPES[name]().doubts() == []


def test_a_run_with_a_rebuilt_discriminator_and_a_gathered_batch_resumes_and_samples(tmp_path: Path) -> None:
    """From the verbs' side: what was asked for stays in the settings, what is played is in the checkpoints."""
    out, asked = tmp_path / "run", {"batch_size": 4, "discriminator_size": 0.1}
    gannet.train("toy:ring", out=out, samples=256, size=0.25, **asked)
    session = gannet.resume(out, samples=512)
    assert session.play().status == "finished"
    model = gannet.load(out, checkpoint="newest")
    (told,) = [line for line in model.log() if line["event"] == "referee"]
    assert told["action"] == "overrule" and told["settings"] == {"batch_size": 64, "discriminator_size": 1.0}
    assert {knob: model.settings["knobs"][knob] for knob in asked} == asked
    assert model.seen == 512 and len(model.sample(5)) == 5


def test_no_remedies_is_heard_from_the_command_line(tmp_path: Path) -> None:
    line = ["train", "toy:ring", "batch_size=4", "--no-remedies", "--samples", "32", "--size", "0.25"]
    with pytest.raises(SystemExit) as left:
        main([*line, "--out", str(tmp_path / "run")])
    assert left.value.code == 0
    (told,) = [line for line in gannet.load(tmp_path / "run").log() if line["event"] == "referee"]
    assert told["action"] == "note" and "batch of 4" in told["reason"]
