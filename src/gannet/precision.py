"""Whether a game may be played in bf16: its gradients must point where those in fp32 do.

Weights, losses, logits and penalties stay fp32 either way; products and convolutions are what is rounded. On the first
batch, before the first step: `agreement(engine)` is 1 where rounding changes nothing and 0 where it leaves no trace.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gannet.engine import Engine
from gannet.order import mixed_seed, reseed
from gannet.recipes.recipe import Turn

ENOUGH = 0.9
"""Least cosine between the gradients; rounding alone leaves .98 and more."""


def agreement(engine: Engine) -> float:
    """The least cosine, over the moves of a step, of the gradient in bf16 to the one in fp32."""
    found = []
    for turn in engine.recipe.turns:
        rounded, exact = (_gradient(engine, turn, bf16=bf16) for bf16 in (True, False))
        if exact.any():
            found.append(float(torch.cosine_similarity(rounded, exact, dim=0).nan_to_num(0.0)))
    return min(found, default=1.0)


def settle(engine: Engine) -> float:
    """Play in fp32 where bf16 would lead elsewhere; returns the agreement."""
    found = agreement(engine)
    if found < ENOUGH:
        engine.precision, engine.batches.bf16 = "fp32", False
        engine.notes.append(f"plays in fp32: in bf16 its gradients point elsewhere (cosine {found:.2f})")
    return found


def _gradient(engine: Engine, turn: Turn, *, bf16: bool) -> Tensor:
    """The whole gradient of a move on the first batch, which is not made."""
    batches, owner = engine.batches, engine.weights[turn.player]
    before, kept = [buffer.clone() for buffer in batches.buffers], (batches.bf16, batches.recorder)
    engine.hand_over(turn.player)
    reseed(mixed_seed(engine.seed, 0, engine.seen), engine.device)
    try:
        batches.bf16, batches.recorder = bf16, None
        indices = engine.orders[0].indices(engine.seen, engine.batch)
        nothing = torch.zeros(0, device=engine.device)
        batches.gather(getattr(engine.recipe, turn.loss), indices, owner, before, nothing)
        assert owner.own.grad is not None
        return owner.own.grad.clone()
    finally:
        batches.bf16, batches.recorder = kept
        batches.reset(before)
