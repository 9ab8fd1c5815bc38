"""Rows given away: a twentieth of copies is found with few unseen rows, and no honest model is accused of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.given_away import given_away
from gannet.metrics.novelty import answer_new
from gannet.spec import Spec

TRAINING, UNSEEN, MADE = 900, 100, 3_600


def normal(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed))


def evidence(generated: Tensor, seed: int, *, unseen: int = UNSEEN, spared: bool = True) -> Evidence:
    train, holdout = normal(TRAINING, 3 * seed), normal(unseen, 3 * seed + 1)
    sides = [Side(rows, rows) for rows in (train, holdout, generated, holdout)]
    return Evidence(Spec("points", (8,)), None, *sides, spared=spared, embedder="by hand", seed=seed)


def copying(share: float, seed: int, jitter: float = 0.0) -> Tensor:
    made, copies = normal(MADE, 3 * seed + 2), int(share * MADE)
    rows = torch.randint(TRAINING, (copies,), generator=torch.Generator().manual_seed(seed))
    made[:copies] = normal(TRAINING, 3 * seed)[rows] + jitter * normal(copies, 7)
    return made


@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_a_twentieth_of_copies_is_found_with_a_hundred_unseen_rows(jitter: float) -> None:
    found = [given_away(evidence(copying(0.05, seed, jitter), seed)) for seed in range(20)]
    assert all(each is not None and each.attack.risk.interval[0] > 0.05 for each in found)
    assert answer_new(evidence(copying(0.05, 0, jitter), 0)).verdict in ("partly", "no")


@pytest.mark.parametrize("spread", [1.0, 0.5])
def test_a_model_without_memory_is_not_accused_however_close_to_the_middle_it_keeps(spread: float) -> None:
    found = [given_away(evidence(spread * normal(MADE, 3 * seed + 2), seed)) for seed in range(30)]
    assert sum(each is None or each.attack.risk.interval[0] > 0.01 for each in found) <= 1


def test_rows_that_repeat_by_nature_are_met_among_unseen_ones_as_well() -> None:
    draw = torch.Generator().manual_seed(0)
    sides = [
        Side(rows, rows) for rows in (torch.randint(4, (n, 3), generator=draw).float() for n in (900, 200, 900, 9))
    ]
    given = Evidence(Spec("points", (3,)), None, *sides, spared=True, embedder="by hand", seed=0)
    found = given_away(given)
    assert found is not None and found.attack.control.value > 0.99 and found.attack.risk.interval[0] == 0


def test_a_copying_model_gives_everything_away_and_real_samples_nothing() -> None:
    found = given_away(evidence(normal(TRAINING, 0), 0))
    assert found is not None
    assert found.attack.risk.value == found.copied == 1
    assert found.real < 0.05


def test_without_an_honest_control_nothing_is_said() -> None:
    assert given_away(evidence(normal(MADE, 2), 0, spared=False)) is None
    assert given_away(evidence(normal(MADE, 2), 0, unseen=19)) is None
