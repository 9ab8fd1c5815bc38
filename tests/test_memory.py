"""Memory: what backward passes keep is counted, batches are divided to fit, running out divides them further."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gannet.accumulation
from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.memory import fitting, free_memory, kept_by_the_process, out_of_memory, saved_bytes
from gannet.recipes.gan import GAN
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Recipe
from gannet.run import RunFolder
from gannet.spec import Spec

BATCH = 16


class Cap(nn.Module):
    """A discriminator on a device whose memory holds so many samples: a planted failure."""

    def __init__(self, network: nn.Module, samples: int, words: str = "out of memory") -> None:
        super().__init__()
        self.network, self.samples, self.words, self.failures = network, samples, words, 0

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        logits = self.network(samples, condition)
        if len(samples) > self.samples:
            self.failures += 1
            raise RuntimeError(f"DefaultCPUAllocator: {self.words}: you tried to allocate 1 bytes")
        return logits


def game(
    cap: int | None = None, *, recipe: Recipe | None = None, shape: tuple[int, ...] = (6,), run: RunFolder | None = None
) -> Engine:
    """A game in float64, so that portions differ from the whole by nothing but rounding."""
    torch.manual_seed(0)
    recipe = copy.deepcopy(recipe) or R3GAN(batch_size=BATCH, latent=4)
    samples = torch.randn(50, *shape, dtype=torch.float64)
    spec = Spec("images" if len(shape) == 3 else "tables", shape)
    networks = {name: network.double() for name, network in recipe.build(spec, size=0.25, count=50, holdout=0).items()}
    if cap is not None:
        networks["judge"].discriminator = Cap(networks["judge"].discriminator, cap)
    return Engine(recipe, networks, ArrayDataset(samples), total=10 * BATCH, seed=3, run=run)


def weights(engine: Engine) -> Tensor:
    return torch.cat([own.vector.detach() for own in engine.weights.values()])


@pytest.fixture(autouse=True)
def wide_noise() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.fault(8)
@pytest.mark.parametrize("recipe", [R3GAN(batch_size=BATCH, latent=4), GAN(batch_size=BATCH, latent=4)])
@pytest.mark.parametrize("cap", [2 * BATCH - 1, 7, 2])
def test_memory_that_runs_out_divides_the_batch_and_changes_nothing_else(recipe: Recipe, cap: int) -> None:
    whole, capped = game(recipe=recipe), game(cap, recipe=recipe)
    for _ in range(4):
        whole.step()
        capped.step()
    assert capped.batches.micro_batch <= cap
    torch.testing.assert_close(weights(capped), weights(whole), rtol=1e-9, atol=1e-11)
    assert capped.seen == whole.seen == 4 * BATCH and capped.skipped == 0


@pytest.mark.fault(8)
def test_the_division_is_found_once_said_and_kept_in_the_log(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"seed": 0}, "gannet train")
    engine = game(8, run=run)
    engine.step()
    failures = engine.networks["judge"].discriminator.failures
    for _ in range(3):
        engine.step()
    assert engine.networks["judge"].discriminator.failures == failures
    assert [note for note in engine.notes if "memory ran out" in note][-1].endswith(
        f"batches of {BATCH} are now played in portions of {engine.batches.micro_batch}"
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["micro_batch"] for line in lines if line["event"] == "memory"][-1] == engine.batches.micro_batch


@pytest.mark.fault(8)
def test_a_sample_that_does_not_fit_alone_is_an_error_and_not_an_endless_loop() -> None:
    engine = game(0)
    before = weights(engine)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.step()
    assert torch.equal(weights(engine), before)


def test_other_errors_are_not_taken_for_memory() -> None:
    engine = game(8)
    engine.networks["judge"].discriminator.words = "shapes cannot be multiplied"
    with pytest.raises(RuntimeError, match="shapes"):
        engine.step()
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("size mismatch"))


def test_what_a_backward_pass_keeps_is_counted_once() -> None:
    x = torch.ones(1000, requires_grad=True)
    assert saved_bytes(lambda: x.exp()) == 8000  # its own result
    assert saved_bytes(lambda: (x * 2).sum()) == 0
    assert saved_bytes(lambda: [part.exp() for part in (x * 1).split(500)]) == 8000
    assert saved_bytes(lambda: torch.stack([x, x]).pow(2).pow(2)) == 2 * 16000


def test_the_largest_portion_that_fits_is_taken() -> None:
    assert fitting(1.0, 64, free=10**9) == 64
    assert fitting(100.0, 64, free=5_000) == 16  # 60 % of 5,000 is room for 30
    assert fitting(100.0, 10, free=1_000) == 5
    assert fitting(1e12, 64, free=10**9) == 1
    assert free_memory(torch.device("cpu")) > 2**20


def test_a_batch_that_memory_cannot_hold_is_divided_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, fitted = game(shape=(1, 12, 12)), game(shape=(1, 12, 12))
    before = [buffer.clone() for buffer in fitted.batches.buffers]
    fitted.fit()
    assert fitted.batches.micro_batch == BATCH and not fitted.notes
    one = fitted.batches._bytes_a_sample(fitted.recipe.discriminator, fitted.weights["discriminator"], range(BATCH))
    fitted.batches.reset(before)
    # Logits and slopes keep, for two samples (a real and a fake), at least what they are made of.
    assert one > 2 * 12 * 12 * 8
    monkeypatch.setattr(gannet.accumulation, "free_memory", lambda device: round(one * 5 / 0.6))
    fitted.fit()
    assert fitted.batches.micro_batch in (2, 4)
    assert fitted.notes == [f"a batch of 16 is more than memory holds: {fitted.batches.micro_batch} at a time"]
    for buffer, value in zip(fitted.batches.buffers, before, strict=True):
        assert torch.equal(buffer, value)
    for _ in range(3):
        whole.step()
        fitted.step()
    torch.testing.assert_close(weights(fitted), weights(whole), rtol=1e-9, atol=1e-11)


def test_a_run_goes_on_with_the_portions_it_had() -> None:
    capped, resumed = game(7), game()
    capped.step()
    resumed.restore({group: dict(named) for group, named in capped_tensors(capped).items()}, capped.state())
    assert resumed.batches.micro_batch == capped.batches.micro_batch < 8


def capped_tensors(engine: Engine) -> dict[str, dict[str, Tensor]]:
    """The engine's tensors under the names of an uncapped discriminator's."""
    return {
        group: {name.replace("discriminator.network.", "discriminator."): value for name, value in named.items()}
        for group, named in engine.tensors().items()
    }


def test_the_allocator_is_told_and_told_back() -> None:
    with kept_by_the_process(), kept_by_the_process():
        assert torch.ones(10**6).sum() == 10**6
    assert torch.ones(10**6).sum() == 10**6
