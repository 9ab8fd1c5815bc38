"""Collapse, seen in the running sample score alone: the one signal that every kind of collapse moves.

A score is compared with its own best in logarithms, beyond its own noise. A fast rise is believed sooner than a slow
drift: of public training logs, runs whose score doubled within a few evaluations did not come back by themselves,
while some that drifted did. `watch = ScoreWatch(); watch.add(score)` -> "collapse", "worse" or None.
"""

from __future__ import annotations

import math
from typing import Any, Literal

SUDDEN, DRIFTED = math.log(1.4), math.log(1.75)
"""How far above the best two scores in a row must lie: after a fast rise, and after a slow one."""
TWICE = math.log(2)
FAST = 6
"""Evaluations within which a rise counts as fast."""
NOISE = 3.0
"""Standard deviations of the score's own noise that a rise must exceed."""
LEAST_NOISE = 0.03
LEAST_RECENT = 10
EXCUSED = math.log(1.5)
"""The largest rise, two scores in a row, that noise can excuse."""

Trend = Literal["collapse", "worse"]


class ScoreWatch:
    """Takes scores (lower is better) in order; `floor` is what perfect samples score, added so that ratios near it
    mean little."""

    def __init__(self, floor: float = 0.0) -> None:
        self.floor = floor
        self.logs: list[float] = []

    def add(self, score: float) -> Trend | None:
        """Take note of a score; "collapse" when it has risen for certain, "worse" when it seems to."""
        self.logs.append(math.log(max(score, 0.0) + self.floor + 1e-12) if math.isfinite(score) else math.inf)
        if len(self.logs) < 3:
            return None
        return self._trend()

    def restart(self) -> None:
        """Forget what followed the best score: the game was rolled back to it."""
        if self.logs:
            self.logs = self.logs[: self.best_at + 1]

    def forget(self) -> None:
        """Forget everything: the game begins anew."""
        self.logs = []

    @property
    def best(self) -> float:
        """The best score so far."""
        return math.exp(min(self.logs)) - self.floor if self.logs else math.inf

    @property
    def best_at(self) -> int:
        """How many scores came before the best."""
        return self.logs.index(min(self.logs))

    def beyond_doubt(self) -> bool:
        """Whether the last two scores both lie above twice the best: what a collapse is by its usual definition."""
        return min(self.logs[-2:]) - self._best(self.logs[:-2]) > TWICE

    @property
    def recent(self) -> int:
        """How many of the last scores must bring something: half of them, and at least ten."""
        return max(LEAST_RECENT, round(len(self.logs) / 2))

    def settled(self) -> bool:
        """Whether the recent scores brought nothing beyond noise."""
        if len(self.logs) < self.recent + 3:
            return False
        gain = min(self.logs[: -self.recent]) - min(self.logs[-self.recent :])
        return gain < self._noise(self.logs)

    def _trend(self) -> Trend | None:
        before, last = self.logs[:-2], self.logs[-2:]
        excess = min(last) - self._best(before)
        sudden = min(last) - min(self.logs[-FAST:-1])
        noise = min(NOISE * self._noise(before), EXCUSED)
        if excess > max(DRIFTED, noise) or (excess > max(SUDDEN, noise) and sudden > max(SUDDEN, noise)):
            return "collapse"
        return "worse" if excess > max(SUDDEN, noise) else None

    @staticmethod
    def _best(logs: list[float]) -> float:
        """The best score, a single lucky one discounted: the least mean of two neighbours."""
        if len(logs) < 2:
            return logs[0]
        return min((first + second) / 2 for first, second in zip(logs, logs[1:], strict=False))

    @staticmethod
    def _noise(logs: list[float]) -> float:
        """The scores' own scatter: how far each lies from the middle of its neighbours, robustly."""
        off = sorted(
            abs(middle - (first + last) / 2)
            for first, middle, last in zip(logs, logs[1:], logs[2:], strict=False)
            if math.isfinite(first + middle + last)
        )
        if len(off) < 4:
            return LEAST_NOISE
        # The median absolute deviation of a normal is 0.6745 deviations; x - (y + z) / 2 has variance 1.5.
        return max(LEAST_NOISE, off[len(off) // 2] / 0.6745 / math.sqrt(1.5))

    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""
        return {"floor": self.floor, "logs": [value if math.isfinite(value) else None for value in self.logs]}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.floor = state["floor"]
        self.logs = [math.inf if value is None else value for value in state["logs"]]
