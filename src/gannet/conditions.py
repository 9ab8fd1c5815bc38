"""What samples are asked for: drawing condition vectors as frequent as in the data, or as the user wants them.

Only frequencies and quantiles are kept, never a condition vector of a training sample on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.errors import GannetError, did_you_mean
from gannet.spec import Condition, Field

QUANTILES = 101


@dataclass(frozen=True)
class ConditionPrior:
    """Frequencies of the combinations of classes, and quantiles of every number (in units of the condition vector)."""

    condition: Condition
    combinations: tuple[tuple[int, ...], ...]
    """Level of each class field, in the order of the fields."""
    frequencies: tuple[float, ...]
    quantiles: dict[str, tuple[float, ...]]

    @classmethod
    def of(cls, condition: Condition, vectors: Tensor) -> ConditionPrior:
        """The prior seen in condition vectors [n, width]."""
        levels, quantiles, start = [], {}, 0
        for field in condition.fields:
            part = vectors[:, start : start + field.width].double().numpy()
            start += field.width
            if field.levels is not None:
                levels.append(part.argmax(1))
            else:
                quantiles[field.name] = tuple(np.quantile(part[:, 0], np.linspace(0, 1, QUANTILES)).tolist())
        stacked = np.stack(levels, 1) if levels else np.zeros((len(vectors), 0), dtype=int)
        combinations, counts = np.unique(stacked, axis=0, return_counts=True)
        return cls(
            condition,
            tuple(tuple(map(int, row)) for row in combinations),
            tuple((counts / counts.sum()).tolist()),
            quantiles,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, for settings.json."""
        return {
            "combinations": [list(row) for row in self.combinations],
            "frequencies": list(self.frequencies),
            "quantiles": {name: list(values) for name, values in self.quantiles.items()},
        }

    @classmethod
    def from_json(cls, condition: Condition, data: dict[str, Any]) -> ConditionPrior:
        """The inverse of `to_json`."""
        return cls(
            condition,
            tuple(tuple(row) for row in data["combinations"]),
            tuple(data["frequencies"]),
            {name: tuple(values) for name, values in data["quantiles"].items()},
        )

    def draw(self, count: int, seed: int, where: Mapping[str, Any] | None = None) -> Tensor:
        """Condition vectors [count, width]: as frequent as in the data among those that meet `where`.

        `where` maps a field's name to a level, to several ("cat|dog" or a set), a number, or a range ("low..high" or
        a pair). Raises GannetError for a field or a level that is not known, and for classes that never occur together.
        """
        wanted = self._wanted(where or {})
        random = np.random.default_rng(seed)
        classes = [field for field in self.condition.fields if field.levels is not None]
        weights = np.array(self.frequencies)
        for position, field in enumerate(classes):
            if field.name in wanted:
                weights = weights * [row[position] in wanted[field.name] for row in self.combinations]
        if weights.sum() == 0:
            raise GannetError(f"where {dict(where or {})}: these never occur together in the training data")
        rows = np.array(self.combinations)[random.choice(len(weights), size=count, p=weights / weights.sum())]
        columns: list[np.ndarray] = []
        for field in self.condition.fields:
            if field.levels is not None:
                columns.append(np.eye(field.width)[rows[:, classes.index(field)]])
            else:
                columns.append(self._numbers(field, count, random, wanted.get(field.name))[:, None])
        return torch.from_numpy(np.concatenate(columns, 1)).float()

    def _numbers(self, field: Field, count: int, random: np.random.Generator, wanted: Any) -> np.ndarray:
        """Draws from a number's quantiles, within the wanted range when there is one."""
        quantiles = np.array(self.quantiles[field.name])
        share = random.random(count)
        if wanted is not None:
            low, high = wanted
            if low == high:
                return np.full(count, low)
            first, last = np.interp([low, high], quantiles, np.linspace(0, 1, QUANTILES))
            if first == last:
                return low + share * (high - low)
            share = first + share * (last - first)
        drawn = np.interp(share, np.linspace(0, 1, QUANTILES), quantiles)
        return drawn if wanted is None else drawn.clip(*wanted)

    def _wanted(self, where: Mapping[str, Any]) -> dict[str, Any]:
        """`where` in units of the condition vector: the indices of levels, or (low, high)."""
        known = {field.name: field for field in self.condition.fields}
        wanted: dict[str, Any] = {}
        for name, value in where.items():
            if name not in known:
                raise GannetError(
                    f"where {name}={value}: this run has no condition {name!r}; {did_you_mean(name, known)}"
                )
            field = known[name]
            if field.levels is None:
                wanted[name] = tuple((number - field.mean) / field.scale for number in _range(name, value))
            else:
                wanted[name] = {_index(field, name, level) for level in _several(field, value)}
        return wanted


def even(condition: Condition, count: int) -> Tensor:
    """Condition vectors [count, width] that cycle through the first field's levels; other fields at rest (zero)."""
    vectors = torch.zeros(count, condition.width)
    width = condition.fields[0].width
    if condition.fields[0].levels is not None:
        vectors[torch.arange(count), torch.arange(count) % width] = 1.0
    return vectors


def _several(field: Field, value: Any) -> Iterable[str]:
    """The levels that a wish names."""
    if isinstance(value, set | frozenset):
        return value
    text = str(value)
    parts = text.split("|")
    return parts if text not in (field.levels or ()) and all(part in (field.levels or ()) for part in parts) else [text]


def _index(field: Field, name: str, level: str) -> int:
    levels = field.levels or ()
    if level not in levels:
        raise GannetError(f"where {name}={level}: no such level; {did_you_mean(level, levels)}")
    return levels.index(level)


def _range(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, tuple):
        return value
    parts = str(value).split("..")
    try:
        low, high = float(parts[0]), float(parts[-1])
    except ValueError:
        raise GannetError(f"where {name}={value}: expected a number or a range low..high") from None
    if len(parts) > 2 or not low <= high:
        raise GannetError(f"where {name}={value}: expected a number or a range low..high")
    return low, high
