"""What a network must know about the data it plays on: the shape of a sample and what it can be conditioned on.

Standard library only, so that every room (domains, networks, recipes, run) can share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal


@dataclass(frozen=True)
class Field:
    """One thing a sample can be asked for: a class (`levels`) or a number (`mean`, `scale`, `low`, `high`).

    A class takes `len(levels)` condition features (one-hot); a number takes one, `(value - mean) / scale`.
    """

    name: str
    levels: tuple[str, ...] | None = None
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0

    @property
    def width(self) -> int:
        return len(self.levels) if self.levels is not None else 1


@dataclass(frozen=True)
class Condition:
    """The fields a sample can be asked for, in the order of their features in a condition vector [width]."""

    fields: tuple[Field, ...]

    @property
    def width(self) -> int:
        return sum(field.width for field in self.fields)


@dataclass(frozen=True)
class Block:
    """A run of consecutive features of a flat sample: free numbers, or the probabilities of one choice."""

    kind: Literal["numbers", "choice"]
    width: int


@dataclass(frozen=True)
class Spec:
    """The shape of the data, as every network sees it.

    `kind` is the domain's name ("images", "tables", "points"); `shape` is one sample without the batch axis,
    channels first for pictures; `blocks` groups the features of a flat sample (None: all numbers).
    Values are scaled by the domain: pictures to [-1, 1], numbers to about unit size, choices one-hot.
    """

    kind: str
    shape: tuple[int, ...]
    condition: Condition | None = None
    blocks: tuple[Block, ...] | None = None

    @property
    def features(self) -> int:
        """Numbers in one sample."""
        return prod(self.shape)

    @property
    def condition_width(self) -> int:
        """Features of one condition vector; 0 when the data has no conditions."""
        return self.condition.width if self.condition else 0

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, for settings.json."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "condition": None
            if self.condition is None
            else [
                {
                    "name": field.name,
                    "levels": None if field.levels is None else list(field.levels),
                    "mean": field.mean,
                    "scale": field.scale,
                    "low": field.low,
                    "high": field.high,
                }
                for field in self.condition.fields
            ],
            "blocks": None if self.blocks is None else [[block.kind, block.width] for block in self.blocks],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Spec:
        """The inverse of `to_json`."""
        fields = data["condition"]
        return cls(
            kind=data["kind"],
            shape=tuple(data["shape"]),
            condition=None
            if fields is None
            else Condition(
                tuple(
                    Field(**{**field, "levels": None if field["levels"] is None else tuple(field["levels"])})
                    for field in fields
                )
            ),
            blocks=None if data["blocks"] is None else tuple(Block(kind, width) for kind, width in data["blocks"]),
        )
