"""Instability: gradients that jump, steps that are too large or none at all, moves that are not finite.

Every figure is compared with its own recent past, since each game has its own units. `StabilityWatch().pulse(pulse)`.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from gannet.diagnostics.finding import Finding, Streak, Watch
from gannet.watch import Pulse

MEMORY = 40
"""Pulses that make up the recent past."""
LEAST = 8
JUMP = 20.0
"""A gradient norm this many times the recent one has jumped."""
LARGE_STEP = 0.2
"""Share of its weights by which no player should move in one step."""
NOT_FINITE = 3
STILL = 2
"""Pulses without any movement: an optimiser that has a gradient moves every weight at every step."""
LEAP, BEYOND = 0.05, 10.0
"""A change of the size of all weights between two pulses that no training makes: this share, and this many times the
usual change."""


class StabilityWatch(Watch):
    """Follows gradient norms, step sizes and skipped moves of every player."""

    def __init__(self) -> None:
        self.norms: dict[str, list[float]] = {}
        self.sizes: dict[str, list[float]] = {}
        self.skipped = 0
        self.jumped, self.large, self.still = Streak(), Streak(), Streak()

    def pulse(self, pulse: Pulse) -> Finding | None:
        """What is wrong with the steps since the last pulse, if it has lasted."""
        self.skipped = self.skipped + pulse.skipped if pulse.skipped else 0
        if self.skipped >= NOT_FINITE:
            told = f"{self.skipped} moves were not finite"
            return Finding("instability", told, "roll back", learning_rate=0.5, urgent=True)
        leaps = self._leaps(pulse)
        if leaps:
            player, share = next(iter(leaps.items()))
            told = f"the size of the {player}'s weights changed by {share:.0%} at once, which no training does"
            return Finding("instability", told, "roll back", learning_rate=1.0, urgent=True)
        still = [player for player, update in pulse.updates.items() if update == 0]
        if self.still.add(bool(still)) >= STILL:
            return self._stands_still(still[0], pulse)
        large = {player: update for player, update in pulse.updates.items() if update > LARGE_STEP}
        if self.large.add(bool(large)) >= 3:
            player = next(iter(large))
            told = f"the {player} moves by {large[player]:.0%} of its weights in one step"
            return Finding("instability", told, "roll back", learning_rate=0.25, urgent=True)
        jumps = self._jumps(pulse)
        if self.jumped.add(bool(jumps)) >= 3:
            player, times = next(iter(jumps.items()))
            told = f"the {player}'s gradients are {times:.0f} times what they were"
            return Finding("instability", told, "soften", firmness=2.0)
        return None

    @staticmethod
    def _stands_still(player: str, pulse: Pulse) -> Finding:
        told = f"the {player}'s weights no longer move"
        if not pulse.means.get(f"{player}/gradient_norm", 0.0) > 0:
            return Finding("not learning", f"{told}: it gets no gradient", "note")
        return Finding("not learning", f"{told}, though it has a gradient", "thaw", player=player)

    def _jumps(self, pulse: Pulse) -> dict[str, float]:
        jumps = {}
        for key, norm in pulse.means.items():
            player, _, name = key.partition("/")
            if name != "gradient_norm" or not math.isfinite(norm):
                continue
            past = self.norms.setdefault(player, [])
            if len(past) >= LEAST and norm > JUMP * median(past):
                jumps[player] = norm / max(median(past), 1e-12)
            else:
                past.append(norm)
                del past[:-MEMORY]
        return jumps

    def _leaps(self, pulse: Pulse) -> dict[str, float]:
        """Players whose weights changed their size all at once, and by what share."""
        leaps = {}
        for player, size in pulse.weights.items():
            past = self.sizes.setdefault(player, [])
            changes = [abs(math.log(after / before)) for before, after in zip(past, past[1:], strict=False)]
            if len(changes) >= LEAST and math.isfinite(size) and size > 0:
                change = abs(math.log(size / past[-1]))
                if change > max(LEAP, BEYOND * median(changes)):
                    leaps[player] = math.expm1(change) if size > past[-1] else -math.expm1(-change)
            if math.isfinite(size) and size > 0:
                past.append(size)
                del past[:-MEMORY]
        return leaps

    def restart(self) -> None:
        self.norms, self.sizes, self.skipped = {}, {}, 0
        self.jumped, self.large, self.still = Streak(), Streak(), Streak()

    def state(self) -> dict[str, Any]:
        return {
            "norms": {player: list(norms) for player, norms in self.norms.items()},
            "sizes": {player: list(sizes) for player, sizes in self.sizes.items()},
            "skipped": self.skipped,
            "jumped": self.jumped.length,
            "large": self.large.length,
            "still": self.still.length,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.norms = {player: list(norms) for player, norms in state["norms"].items()}
        self.sizes = {player: list(sizes) for player, sizes in state["sizes"].items()}
        self.jumped.length, self.large.length = state["jumped"], state["large"]
        self.skipped, self.still.length = state["skipped"], state["still"]
