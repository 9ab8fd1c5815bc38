"""The gradient of a whole batch, in portions that fit into memory and shared out among processes.

Every portion starts from the same running statistics and the same draws and counts by its share of the batch; losses,
gradients and statistics are added up over portions, then over processes in one go. So a batch is the same batch however
it is divided, and memory that runs out only makes the portions smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from gannet.memory import fitting, free_memory, out_of_memory, saved_bytes
from gannet.order import draws, redraw
from gannet.portion import Portion, portions
from gannet.ranks import Ranks
from gannet.recorded import Recorder
from gannet.weights import FlatWeights

if TYPE_CHECKING:
    from gannet.recipes.recipe import Terms


class Loss(Protocol):
    """A loss method of a recipe: samples [n, *shape] and conditions [n, width] -> terms."""

    __name__: str

    def __call__(self, real: Tensor, condition: Tensor | None, /) -> Terms: ...


@dataclass
class Accumulation:
    """How the batches of a game are divided."""

    read: Callable[[Any], tuple[Tensor, Tensor | None]]
    """Indices -> samples [n, *shape] and conditions [n, width], on the device."""
    device: torch.device
    ranks: Ranks
    micro_batch: int
    """Samples in memory at a time."""
    bf16: bool = False
    undivided: bool = False
    """A loss that takes all samples at once, even none."""
    halved: bool = False
    """Whether memory has run out since this was last set to False."""
    recorder: Recorder | None = None
    """Replays what is played whole, where the game may be recorded and the device can."""
    buffers: list[Tensor] = field(default_factory=list)
    """What the networks in play remember beside their weights."""

    def gather(
        self, loss: Loss, indices: Any, owner: FlatWeights, before: list[Tensor], beside: Tensor
    ) -> tuple[list[str], Tensor, Tensor]:
        """The loss terms of a whole batch, by name and value [terms]; its gradient is then that of `owner.own`.

        `before` are the buffers' values to start from. `beside` are numbers that are added up over processes, too.
        """
        start = draws(self.device)
        while True:
            try:
                if self.recorder is not None and len(indices) <= self.micro_batch and self.ranks.alone:
                    return *self._replay(self.recorder, loss, indices, owner), beside
                names, losses, statistics = self._play(loss, indices, before)
                break
            except RuntimeError as error:
                if not out_of_memory(error) or self.micro_batch == 1 or self.undivided:
                    raise
            owner.forget()
            self.reset(before)
            redraw(start, self.device)
            self._halve(len(indices))
        losses, *statistics, beside = owner.collect(losses, *statistics, beside)
        for buffer, value in zip(self._running() if statistics else [], statistics, strict=True):
            buffer.copy_(value.view_as(buffer))
        return names, losses, beside

    def fit(self, losses: Mapping[FlatWeights, Loss], indices: Any) -> None:
        """Make portions small enough that what backward passes keep leaves room in memory; none larger than now.

        `losses` are those of the moves by whose weights they move; two of the samples `indices` tell what one takes.
        """
        before = [buffer.clone() for buffer in self.buffers]
        most = max(self._bytes_a_sample(loss, owner, indices) for owner, loss in losses.items())
        self.reset(before)
        start, stop = self.ranks.part(len(indices))
        if not self.undivided:
            self.micro_batch = fitting(most, min(self.micro_batch, stop - start), free_memory(self.device))

    def _bytes_a_sample(self, loss: Loss, owner: FlatWeights, indices: Any) -> int:
        owner.learn(True)
        one, two = (saved_bytes(partial(self._terms, loss, *self.read(indices[:count]))) for count in (1, 2))
        owner.learn(False)
        return two - one

    def _terms(self, loss: Loss, real: Tensor, condition: Tensor | None) -> Terms:
        with self.rounded():
            return loss(real, condition)

    def rounded(self) -> torch.autocast:
        """Within: products and convolutions are played in the game's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def portions(self, length: int) -> list[Portion]:
        """This process's part of a batch in portions of at most `micro_batch`."""
        if self.undivided:
            return [Portion(0, length, length)]
        return portions(*self.ranks.part(length), length, self.micro_batch)

    def reset(self, before: list[Tensor]) -> None:
        """The buffers as they were."""
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)

    def _play(self, loss: Loss, indices: Any, before: list[Tensor]) -> tuple[list[str], Tensor, list[Tensor]]:
        """This process's part of a batch, backward passes included: names, losses and, if shared, running statistics.

        The statistics are those after each portion by its share; where one portion is all there is they stay in place.
        """
        names: list[str] = []
        losses: Tensor | None = None
        statistics: list[Tensor] = []
        start = draws(self.device)
        for number, portion in enumerate(self.portions(len(indices))):
            if number:
                self.reset(before)
                redraw(start, self.device)
            real, condition = self.read(indices[portion.start : portion.stop])
            with portion.held():
                terms = self._terms(loss, real, condition)
            values = torch.stack(list(terms.values())) * portion.share
            values.sum().backward()
            names, losses = list(terms), values.detach() if losses is None else losses + values.detach()
            if not portion.whole:
                shares = [portion.share * buffer for buffer in self._running()]
                statistics = [a + b for a, b in zip(statistics, shares, strict=True)] if statistics else shares
        assert losses is not None
        return names, losses, statistics

    def _replay(self, recorder: Recorder, loss: Loss, indices: Any, owner: FlatWeights) -> tuple[list[str], Tensor]:
        """What `gather` gives for a batch in one piece that no other process shares."""

        def compute(real: Tensor, condition: Tensor | None) -> tuple[list[str], Tensor, Tensor | None]:
            terms = self._terms(loss, real, condition)
            losses = torch.stack(list(terms.values()))
            losses.sum().backward()
            owner.collect()
            return list(terms), losses.detach(), owner.own.grad

        names, losses, owner.own.grad = recorder.play(loss.__name__, compute, *self.read(indices))
        return names, losses

    def _running(self) -> list[Tensor]:
        """The buffers that are numbers with a mean: running statistics, not counters."""
        return [buffer for buffer in self.buffers if buffer.is_floating_point()]

    def _halve(self, length: int) -> None:
        start, stop = self.ranks.part(length)
        self.micro_batch, self.halved = max(min(self.micro_batch, stop - start) // 2, 1), True
        if self.recorder is not None:
            self.recorder.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
