"""A batch played in portions: noise is drawn for the whole batch, and every portion takes its own rows of it.

Portions are what one process holds in memory at a time, and what several processes share out among them. Since the
noise of a sample depends on its place in the batch alone, a game is the same game however its batches are divided:

    with Portion(16, 32, of=64).held():
        normal(16, latent)              # rows 16 to 31 of normal(64, latent)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout


@dataclass(frozen=True)
class Portion:
    """Samples [start, stop) of a batch of `of`."""

    start: int
    stop: int
    of: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def share(self) -> float:
        """The part of the batch that it is."""
        return len(self) / self.of

    @property
    def whole(self) -> bool:
        """Whether it is all of the batch."""
        return len(self) == self.of

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within: what is drawn is drawn for the whole batch."""
        global _held
        before, _held = _held, None if self.whole else self
        try:
            yield
        finally:
            _held = before


_held: Portion | None = None


def portions(start: int, stop: int, of: int, most: int) -> list[Portion]:
    """Samples [start, stop) of a batch in portions of at most `most`."""
    return [Portion(first, min(first + most, stop), of) for first in range(start, stop, most)]


def normal(count: int, *shape: int, device: torch.device | None = None) -> Tensor:
    """Standard normal numbers [count, *shape] for the samples of the portion at hand."""
    return _drawn(count, lambda rows: torch.randn(rows, *shape, device=device))


def uniform(count: int, *shape: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """Uniform numbers in [0, 1), [count, *shape], for the samples of the portion at hand."""
    return _drawn(count, lambda rows: torch.rand(rows, *shape, device=device, dtype=dtype))


def dropped(values: Tensor, chance: float) -> Tensor:
    """Values [count, ...] of which each is 0 by `chance` and the others are larger by 1 / (1 - chance)."""
    if _held is None:
        return dropout(values, chance)
    ones = values.new_ones
    return values * _drawn(len(values), lambda rows: dropout(ones(rows, *values.shape[1:]), chance))


def _drawn(count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """Rows for `count` samples; a multiple of the portion's size stands for several sets side by side."""
    if _held is None:
        return draw(count)
    sets, rest = divmod(count, len(_held))
    assert rest == 0, "what a portion draws is for each of its samples"
    whole = draw(sets * _held.of)
    return whole.view(sets, _held.of, *whole.shape[1:])[:, _held.start : _held.stop].flatten(0, 1)
