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
    """[names + 2]: the terms and the norm, their sum, and the wishes to stop of all processes."""

    @classmethod
    def on(cls, turn: Turn, names: list[str], losses: Tensor, gradient: Tensor, asked: Tensor) -> Verdict:
        """From loss terms [names], the whole gradient [weights] and wishes [1]."""
        values = torch.cat([losses, gradient.norm()[None]])
        return cls(turn, [*names, "gradient_norm"], torch.cat([values, values.sum()[None], asked]))

    @property
    def sound(self) -> Tensor:
        """Whether all is finite; a boolean on the device."""
        return self.values[-2].isfinite()


@dataclass(frozen=True)
class Read:
    """A verdict's numbers."""

    verdict: Verdict
    terms: dict[str, float]
    norm: float
    sound: bool
    asked: bool


def read(verdicts: list[Verdict]) -> list[Read]:
    """All their numbers in one transfer."""
    numbers = torch.cat([verdict.values for verdict in verdicts]).tolist() if verdicts else []
    told = []
    for verdict in verdicts:
        count = len(verdict.names)
        *terms, norm, total, asked = numbers[: count + 2]
        numbers = numbers[count + 2 :]
        named = dict(zip(verdict.names, terms, strict=False))
        told.append(Read(verdict, named, norm, math.isfinite(total), asked > 0))
    return told


def only_if(sound: Tensor, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Leave `after` as it is where `sound` is true, else as it was `before` (zero where it was not there yet)."""
    for name, now in after.items():
        torch.where(sound, now, before[name] if name in before else torch.zeros_like(now), out=now)
