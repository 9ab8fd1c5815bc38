"""A row that belongs to nobody else is found in a model without privacy by its likelihood, and not in a private one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gannet.domains.domain import ArrayDataset
from gannet.engine import Engine
from gannet.order import PoissonOrder
from gannet.privacy import Plan, Secret, Wanted
from gannet.recipes.private import Private
from gannet.spec import Block, Spec

LEVELS, COLUMNS, ROWS, COPIES, REFERENCES = 6, 6, 900, 4, 300
SPEC = Spec("tables", (LEVELS * COLUMNS,), None, (Block("choice", LEVELS),) * COLUMNS)
CANARY = torch.tensor([[0, 3, 1, 5, 2, 4]])


def samples(levels: Tensor) -> Tensor:
    """Levels int64 [n, columns] -> one-hot samples [n, features]."""
    return torch.nn.functional.one_hot(levels, LEVELS).flatten(1).float()


def people() -> Tensor:
    """Rows whose columns nearly agree, and a canary whose columns do not, four times."""
    common = torch.randint(LEVELS, (ROWS, 1)).expand(-1, COLUMNS)
    strange = torch.rand(ROWS, COLUMNS) < 0.1
    levels = torch.where(strange, torch.randint(LEVELS, (ROWS, COLUMNS)), common)
    return torch.cat([levels, CANARY.expand(COPIES, -1)])


def rank(recipe: Private) -> int:
    """The canary's place by likelihood among rows drawn as an attacker would draw it: 1 is found."""
    with torch.no_grad():
        asked = torch.cat([CANARY, torch.stack([torch.randperm(LEVELS) for _ in range(REFERENCES)])])
        likely = recipe.writer.log_likelihood(asked, list(range(COLUMNS))).sum(1)
    return 1 + int((likely[1:] >= likely[0]).sum())


def trained(epsilon: float | None) -> Private:
    """The same recipe at this epsilon; without clipping, noise and sampling to speak of where there is none."""
    torch.manual_seed(3)
    data, steps = people(), 120
    recipe = Private(batch_size=300, steps=steps, learning_rate=0.01, ema_share=0.0)
    networks = recipe.build(SPEC, size=1.0, count=len(data), holdout=0)
    secret, rate, noise = Secret.known(5), 300 / len(data), 0.0
    if epsilon is None:
        recipe.clip = 1e6
    else:
        plan = Plan.of(Wanted(epsilon), count=len(data), batch=300, steps=steps, clip=recipe.clip, share=0.15)
        noise = plan.noise_multiplier
    recipe.arm(secret, noise)
    order = PoissonOrder(rate, 300, lambda step: secret.uniform("rows", step, len(data)))
    engine = Engine(recipe, networks, ArrayDataset(samples(data)), total=steps * 300, drawn=order)
    assert engine.play()
    return recipe


def test_the_canary_is_found_without_privacy() -> None:
    assert rank(trained(None)) == 1


def test_the_canary_is_not_found_with_privacy() -> None:
    pytest.importorskip("opacus")
    # By chance its place is anywhere among 301; the chance of a place among the first ten is 3 %.
    assert rank(trained(1.0)) > 10
