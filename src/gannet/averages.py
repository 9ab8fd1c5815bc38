"""Moving averages of networks (Karras et al. 2018, section 4.1): what samples are drawn from.

`Averages(networks, weights, ["generator"])` copies the networks; `follow(decay)` moves the copies after every step.
Where several processes own a part of the weights each, each follows its own, and the copies have weights within
`whole()` only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gannet.weights import FlatWeights


class Averages:
    """Copies of the named networks whose weights follow theirs; what is no weight (running statistics) is copied."""

    networks: nn.ModuleDict

    def __init__(self, networks: nn.ModuleDict, weights: Iterable[FlatWeights], names: Iterable[str]) -> None:
        self.networks = nn.ModuleDict(
            {name: copy.deepcopy(networks[name]).requires_grad_(False).eval() for name in names}
        )
        self._followers: list[_Follower] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []
        owners = list(weights)
        for name, average in self.networks.items():
            owner = next(own for own in owners if name in own.spans)
            self._followers.append(_Follower(FlatWeights({name: average}, owner.ranks), owner.part(name)))
            self._buffers += zip(average.buffers(), networks[name].buffers(), strict=True)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """average <- decay * average + (1 - decay) * weights."""
        for follower in self._followers:
            follower.follow(decay)
        for kept, buffer in self._buffers:
            kept.copy_(buffer)

    @contextmanager
    def whole(self) -> Iterator[nn.ModuleDict]:
        """Within: the networks with all their weights; what is written there is followed from. For all processes."""
        divided = [follower for follower in self._followers if follower.average.divided]
        for follower in divided:
            follower.put_together()
        try:
            yield self.networks
        finally:
            for follower in divided:
                follower.divide()

    def tensors(self) -> dict[str, Tensor]:
        """All weights and statistics by name. For all processes."""
        with self.whole():
            divided = any(follower.average.divided for follower in self._followers)
            return {name: value.clone() if divided else value for name, value in self.networks.state_dict().items()}


class _Follower:
    """The average of one network's weights [total] that another vector follows."""

    def __init__(self, average: FlatWeights, leader: Tensor) -> None:
        self.average, self.leader = average, leader
        self.kept, self.followed = average.vector, leader
        self.bytes = average.vector.untyped_storage().nbytes()
        if average.divided:
            self.divide()

    def follow(self, decay: float) -> None:
        # What is kept may end in zeros that nobody leads.
        self.kept[: len(self.followed)].lerp_(self.followed, 1 - decay)

    def put_together(self) -> None:
        self.average.vector.untyped_storage().resize_(self.bytes)
        self.average.ranks.complete(self.average.vector, self.kept)

    def divide(self) -> None:
        """Keep the own part alone; the rest of the vector gives its memory back."""
        self.followed = self.leader[self.average.held]
        self.kept = self.average.vector[self.average.held].clone()
        self.average.vector.untyped_storage().resize_(0)
