"""Whether a move was finite, found out without waiting: on a GPU the verdict decides there, and is read later.

A value that Python looks at must first be computed, and everything begun before it, too; a look after every move
leaves a fast device idle. So a move that is not finite is undone where it was made (`only_if`), and what came of a
number of moves is read at once (`read`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gannet.recipes.recipe import Turn


@dataclass(frozen=True)
class Verdict:
    """What came of a move."""

    turn: Turn
    names: list[str]
    """Of the loss terms, and gradient_norm."""
    values: Tensor
    """[names + 3]: the terms and the norm, their sum, and how many processes wish to stop, and to save."""

    @classmethod
    def on(cls, turn: Turn, names: list[str], losses: Tensor, norm: Tensor, wishes: Tensor) -> Verdict:
        """From loss terms [names], the norm of the whole gradient, and wishes [2] to stop and to save."""
        values = torch.cat([losses, norm[None]])
        return cls(turn, [*names, "gradient_norm"], torch.cat([values, values.sum()[None], wishes]))

    @property
    def sound(self) -> Tensor:
        """Whether all is finite; a boolean on the device."""
        return self.values[-3].isfinite()


@dataclass(frozen=True)
class Read:
    """A verdict's numbers."""

    verdict: Verdict
    terms: dict[str, float]
    norm: float
    sound: bool
    stop: bool
    save: bool


def read(verdicts: list[Verdict]) -> list[Read]:
    """All their numbers in one transfer."""
    numbers = torch.cat([verdict.values for verdict in verdicts]).tolist() if verdicts else []
    told = []
    for verdict in verdicts:
        count = len(verdict.names)
        *terms, norm, total, stop, save = numbers[: count + 3]
        numbers = numbers[count + 3 :]
        named = dict(zip(verdict.names, terms, strict=False))
        told.append(Read(verdict, named, norm, math.isfinite(total), stop > 0, save > 0))
    return told


def only_if(sound: Tensor, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Leave `after` as it is where `sound` is true, else as it was `before` (zero where it was not there yet)."""
    for name, now in after.items():
        torch.where(sound, now, before[name] if name in before else torch.zeros_like(now), out=now)
