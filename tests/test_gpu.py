"""On a GPU: replayed moves are the moves, verdicts wait and still hold, memory that runs out halves the portion."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from gannet import fused
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.portion import normal
from gannet.precision import _gradient
from gannet.recipes import recipe_named
from gannet.recipes.r3gan import R3GAN
from gannet.recorded import WARM_UP, Recorder
from gannet.spec import Condition, Field, Spec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

PICTURES = Spec("images", (3, 16, 16), Condition((Field("kind", ("a", "b")),)))


def game(recipe: str = "r3gan", *, recorded: bool = True, precision: str = "fp32", **knobs) -> Engine:
    torch.manual_seed(0)
    samples, condition = torch.rand(200, *PICTURES.shape) * 2 - 1, torch.eye(2).repeat(100, 1)
    played = recipe_named(recipe)(**{"batch_size": 16, **knobs})
    networks = played.build(PICTURES, size=0.5, count=200, holdout=0)
    engine = Engine(played, networks, ArrayDataset(samples, condition), total=10**6, device="cuda", precision=precision)
    if not recorded:
        engine.batches.recorder = None
    return engine


def weights(engine: Engine) -> Tensor:
    return torch.cat([part.flatten().float() for part in engine.networks.state_dict().values()])


def test_noise_under_a_replay_is_the_noise_that_would_have_come() -> None:
    def noisy(real: Tensor, _: Tensor | None) -> Tensor:
        return normal(4, 5, device=real.device) + real.sum()

    recorder, real = Recorder(), torch.zeros(4, 3, device="cuda")
    for step in range(WARM_UP + 4):
        torch.cuda.manual_seed_all(step)
        drawn = recorder.play("noise", noisy, real + step, None).clone()
        torch.cuda.manual_seed_all(step)
        assert torch.equal(drawn, torch.randn(4, 5, device="cuda") + 12 * step), step
    assert len(recorder._recordings) == 1


@pytest.mark.parametrize("recipe", ["r3gan", "wgan_gp", "gan", "lsgan", "hinge", "wgan"])
def test_a_replayed_game_is_the_game_played_anew_every_time(recipe: str) -> None:
    replayed, anew = game(recipe), game(recipe, recorded=False)
    start = weights(anew)
    for _ in range(8):
        replayed.step()
        anew.step()
    assert replayed.batches.recorder is not None and replayed.batches.recorder._recordings
    moved = (weights(anew) - start).norm()
    assert moved > 0
    # Kernels that add up in another order every time leave a little between any two runs.
    assert (weights(replayed) - weights(anew)).norm() < 0.02 * moved


def test_a_setting_that_changes_is_not_replayed_away() -> None:
    engine = game("wgan_gp")
    for _ in range(6):
        engine.step()
    assert engine.batches.recorder is not None and engine.batches.recorder._recordings
    engine.recipe.firmness *= 2
    engine._forget_recordings()
    assert not engine.batches.recorder._recordings
    engine.step()


@pytest.mark.parametrize("recorded", [True, False])
def test_a_move_that_is_not_finite_changes_nothing_and_is_told_later(recorded: bool) -> None:
    engine = game(recorded=recorded)
    for _ in range(8):
        engine.step()
    engine.settle()
    before = copy.deepcopy({**engine.networks.state_dict(), **{f"m {k}": v for k, v in moments(engine).items()}})
    sound, engine.train.samples[:] = engine.train.samples.clone(), torch.nan
    engine.ahead.close()
    engine.step()
    engine.settle()
    assert engine.skipped == engine.bad_in_a_row == 2
    after = {**engine.networks.state_dict(), **{f"m {k}": v for k, v in moments(engine).items()}}
    for name, value in after.items():
        assert torch.equal(value, before[name]), name
    engine.train.samples[:] = sound
    engine.ahead.close()
    engine.step()
    engine.settle()
    assert engine.skipped == 2 and engine.bad_in_a_row == 0


def moments(engine: Engine) -> dict[str, Tensor]:
    return engine.tensors()["optimisers"]


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_step_waits_for_nothing() -> None:
    engine = game(gamma=0.1)
    for _ in range(6):
        engine.step()
    engine.settle()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            engine.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_memory_that_runs_out_halves_the_portion_and_the_game_goes_on() -> None:
    spec = Spec("images", (3, 64, 64))
    torch.manual_seed(0)
    recipe = R3GAN(batch_size=256, augment="none")
    networks = recipe.build(spec, size=2.0, count=300, holdout=0)
    engine = Engine(recipe, networks, ArrayDataset(torch.rand(300, *spec.shape) * 2 - 1), total=10**6, device="cuda")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 4 * 2**30) / total)
    try:
        for _ in range(3):
            engine.step()
        engine.settle()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.batches.micro_batch < 256 and engine.skipped == 0
    assert any("memory ran out" in note for note in engine.notes)


def test_bf16_gradients_point_where_fp32_ones_do() -> None:
    gradients = []
    for precision in ("fp32", "bf16"):
        engine = game(recorded=False, precision=precision, augment="none")
        for parameter in engine.weights["discriminator"].parameters:
            torch.nn.init.normal_(parameter, 0, 0.1)
        torch.cuda.manual_seed_all(0)
        engine._move(engine.recipe.turns[0], engine.orders[0].indices(0, 16))
        gradients.append(engine.weights["discriminator"].own.grad.clone())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.97


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 160, 9, 7), (2, 24, 33, 16), (5, 512, 4, 4), (2, 300, 1, 1)])
def test_a_bias_and_an_activation_at_once_are_those_in_turns(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    pytest.importorskip("triton")
    torch.manual_seed(0)
    x, g = (torch.randn(shape).to(dtype) for _ in range(2))
    bias, more = torch.randn(shape[1]), torch.randn(shape[:2])
    expected = fused.biased_rectified(x.double(), bias.double(), 0.2, inplace=False)
    passed, total = fused.masked(g.double(), x.double(), 0.2, summed=True)
    along, _ = fused.masked(g.double(), x.double(), 0.2, more=more.double())
    there = [each.cuda().contiguous(memory_format=torch.channels_last) for each in (x, g)]
    assert fused.works_on(there[0])
    found = fused.biased_rectified(there[0].clone(), bias.cuda(), 0.2, inplace=True)
    found_passed, found_total = fused.masked(there[1], there[0], 0.2, summed=True)
    found_along, none = fused.masked(there[1], there[0], 0.2, more=more.cuda())
    assert none is None and found_total is not None and total is not None
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    for ours, theirs in ((found, expected), (found_passed, passed), (found_along, along)):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double().cpu(), theirs, **close)
    torch.testing.assert_close(found_total.double().cpu(), total, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_gradients_with_what_is_done_at_once_are_those_of_turns(size: float, monkeypatch) -> None:
    pytest.importorskip("triton")
    gradients = []
    for at_once in (True, False):
        if not at_once:
            monkeypatch.setattr(fused, "works_on", lambda x: False)
        torch.manual_seed(0)
        recipe = R3GAN(batch_size=16, gamma=0.5, augment="none")
        networks = recipe.build(Spec("images", (3, 32, 32)), size=size, count=200, holdout=0)
        data = ArrayDataset(torch.rand(200, 3, 32, 32) * 2 - 1)
        engine = Engine(recipe, networks, data, total=10**6, device="cuda", precision="fp32")
        for turn in recipe.turns:
            for parameter in engine.weights[turn.player].parameters:
                torch.nn.init.normal_(parameter, 0, 0.1)
        gradients.append([_gradient(engine, turn, bf16=False) for turn in recipe.turns])
    for ours, theirs in zip(*gradients, strict=True):
        # Not to the last digits: cuDNN rounds mantissas.
        assert torch.cosine_similarity(ours, theirs, dim=0) > 0.9999
