"""Running sums of the loss terms between two lines of the log, on the device: no step waits for a number.

`tally.add("discriminator", ["adversarial", "r1"], values)`, later `tally.means()`; `state` and `restore` for resume.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Tally:
    """Sums of named values per player; a player's turns may have names of their own."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, tuple[str, ...]], Tensor] = {}
        self._counts: dict[tuple[str, tuple[str, ...]], int] = {}

    def add(self, player: str, names: list[str], values: Tensor) -> None:
        """Count one move of `player` with values [len(names)]."""
        key = (player, tuple(names))
        if key in self._sums:
            self._sums[key] += values
        else:
            self._sums[key] = values.clone()
        self._counts[key] = self._counts.get(key, 0) + 1

    def means(self) -> dict[str, float]:
        """`player/name` -> the mean over the moves counted."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for (player, names), values in self._sums.items():
            for name, value in zip(names, values.tolist(), strict=True):
                key = f"{player}/{name}"
                sums[key] = sums.get(key, 0.0) + value
                counts[key] = counts.get(key, 0) + self._counts[player, names]
        return {key: value / counts[key] for key, value in sums.items()}

    def clear(self) -> None:
        """Begin anew."""
        self._sums.clear()
        self._counts.clear()

    def state(self) -> list[dict[str, Any]]:
        """The sums and counts as JSON values."""
        return [
            {"player": player, "names": list(names), "sums": sums.tolist(), "count": self._counts[player, names]}
            for (player, names), sums in self._sums.items()
        ]

    def restore(self, state: list[dict[str, Any]], device: torch.device) -> None:
        """The inverse of `state`."""
        self.clear()
        for entry in state:
            key = (entry["player"], tuple(entry["names"]))
            self._sums[key] = torch.tensor(entry["sums"], device=device)
            self._counts[key] = entry["count"]
