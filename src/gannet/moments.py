"""What optimisers remember of a player's weights, by name and whole, however many processes hold a part of it each."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer

from gannet.weights import FlatWeights


def of(optimisers: Mapping[str, Optimizer], weights: Mapping[str, FlatWeights]) -> dict[str, Tensor]:
    """`player.index.name` -> a moment [total] or a counter. All processes ask together."""
    found = {}
    for player, optimiser in optimisers.items():
        own = weights[player]
        for index, entries in optimiser.state_dict()["state"].items():
            for name, value in entries.items():
                found[f"{player}.{index}.{name}"] = own.whole(value) if value.shape == own.own.shape else value
    return found


def load(optimisers: Mapping[str, Optimizer], weights: Mapping[str, FlatWeights], moments: dict[str, Tensor]) -> None:
    """The inverse of `of`: each process keeps its part."""
    for player, optimiser in optimisers.items():
        own = weights[player]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in moments.items():
            owner, index, key = name.split(".")
            if owner == player:
                part = own.part_of(value) if value.shape == (own.total,) else value.clone()
                state.setdefault(int(index), {})[key] = part
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
