"""What a network must know about the data it plays on: the shape of a sample and what it can be conditioned on.

Standard library only, so that every room (domains, networks, recipes, run) can share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    cuts: tuple[float, ...] | None = None
    """Where, in [-1, 1], one distinct value of a number ends and the next begins; None for smooth numbers.

    Ascending and strictly between -1 and 1. The stretches [-1, cuts[0]], ..., [cuts[-1], 1] are the values in order:
    what is encoded lies inside the stretch of its value, and every point inside a stretch decodes to that value.
    """

    def to_json(self) -> list[Any]:
        return [self.kind, self.width] if self.cuts is None else [self.kind, self.width, list(self.cuts)]

    @classmethod
    def from_json(cls, data: list[Any]) -> Block:
        """The inverse of `to_json`; older settings hold no cuts."""
        return cls(data[0], data[1], tuple(data[2]) if len(data) > 2 else None)


@dataclass(frozen=True)
class Range:
    """A stretch of a number feature, in [-1, 1]."""

    low: float
    high: float
    when: tuple[int, int] | None = None
    """(first feature of a choice, level): the range is asked for only where that choice has that level."""


@dataclass(frozen=True)
class Wish:
    """What flat samples are asked to be, by the features of their blocks; what is not named is free."""

    levels: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """First feature of a choice -> the weight in [0, 1] of each of its levels; one of weight 0 must not come."""
    ranges: Mapping[int, Range] = field(default_factory=dict)
    """Feature of a number -> its range."""


@dataclass(frozen=True)
class Course:
    """How the channels of a series [channels, length] run: `blocks` groups them, attributes first."""

    constants: int = 0
    """Channels, the first ones, that keep one value over all steps: the attributes of a series."""
    ends: tuple[float, ...] | None = None
    """Where series end at different steps: ascending cuts between the lengths 1, 2, ..., length.

    Channel 0 then tells the length: a series goes on at step t (from 0) where t = 0 or channel 0 is above cuts[t - 1].
    Where it does not, all that changes from step to step is 0.
    """

    def to_json(self) -> dict[str, Any]:
        return {"constants": self.constants, "ends": None if self.ends is None else list(self.ends)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Course:
        """The inverse of `to_json`."""
        return cls(data["constants"], None if data["ends"] is None else tuple(data["ends"]))


@dataclass(frozen=True)
class Spec:
    """The shape of the data, as every network sees it.

    `kind` is the domain's name ("images", "tables", "points"); `shape` is one sample without the batch axis,
    channels first for pictures and series; `blocks` groups the features of a flat sample or the channels of a series
    (None: all numbers); `course` is told of series alone.
    Values are scaled by the domain: pictures to [-1, 1], numbers to about unit size, choices one-hot.
    """

    kind: str
    shape: tuple[int, ...]
    condition: Condition | None = None
    blocks: tuple[Block, ...] | None = None
    course: Course | None = None

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
            "blocks": None if self.blocks is None else [block.to_json() for block in self.blocks],
            **({} if self.course is None else {"course": self.course.to_json()}),
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
            blocks=None if data["blocks"] is None else tuple(Block.from_json(block) for block in data["blocks"]),
            course=Course.from_json(data["course"]) if "course" in data else None,
        )
