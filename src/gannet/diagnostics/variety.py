"""Lost variety: samples that become alike, repeat each other, leave real samples uncovered, or miss a class.

Losses do not move when modes are lost, and neither need an average over all classes; so each reading is a ratio to
real samples, also within each class, and is compared with its own best. `VarietyWatch().look(look, share)`.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from gannet.diagnostics.finding import Finding, Streak, Watch
from gannet.watch import Look

FALLEN = 0.7
"""Share of its best below which a reading has fallen."""
WITNESS = 0.85
"""Share of its best below which a reading bears out a collapse: half of the way to `FALLEN`."""
WORTH = 0.3
"""A reading below this has nothing to fall from yet."""
REPEATS = 0.2
EARLY = 0.25
"""Share of a run within which everything may still be missing."""
MISSED = 0.2
"""A class covered less than this share of the middle class is all but missing, unless it is still coming."""
LATE = 0.5
"""Share of a run until which a class may still come: classes have been seen to follow one another."""
MOSTLY = 0.6
"""Coverage of the middle class from which on a class that is not covered stands out."""
NOTHING = 0.9
"""Share of identical samples that is no early stage of training, whatever share of the run is done."""
ONE_PICTURE = 0.3
"""Variety, within a class or at all, at which samples are almost one sample."""


class VarietyWatch(Watch):
    """Compares variety, coverage and repeats with their best, and classes with each other."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}
        self.best_class: dict[str, float] = {}
        self.fallen, self.alike, self.missed = Streak(), Streak(), Streak()

    def look(self, look: Look, share: float) -> Finding | None:
        """What the samples lack at this look, if it has lasted for two."""
        if look.variety is None or look.coverage is None or look.repeats is None:
            return None
        values = {"variety": min(look.variety, 1.0), "coverage": min(look.coverage, 1.0)}
        self.best = {name: max(value, self.best.get(name, 0.0)) for name, value in values.items()}
        low = [name for name, best in self.best.items() if best > WORTH and values[name] < FALLEN * best]
        if self.fallen.add(bool(low)) >= 2:
            name = low[0]
            told = f"{name} of the samples fell to {values[name]:.2f} of real, from {self.best[name]:.2f}"
            return Finding("lost variety", told, "roll back")
        thin, name = self._thinnest(look)
        alike = share > EARLY and (thin < ONE_PICTURE or look.repeats > REPEATS)
        same = look.identical is not None and look.identical > NOTHING
        if self.alike.add(alike or same) >= 2:
            where = f" within {name!r}" if name else ""
            told = f"samples are nearly alike{where}: variety {thin:.2f} of real, {look.repeats:.0%} repeat another"
            return Finding("lost variety", told, "roll back")
        missing = self._missing(look)
        coming = missing is not None and look.class_coverage[missing] > self.best_class.get(missing, 0.0)
        for name, value in look.class_coverage.items():
            self.best_class[name] = max(value, self.best_class.get(name, 0.0))
        if self.missed.add(share > LATE and missing is not None and not coming) >= 3:
            return Finding("missing class", f"hardly any sample covers {missing!r}", "note")
        return None

    def stands_by(self, look: Look) -> bool:
        """Whether the samples themselves bear out a rise of the score: less variety or coverage than they had.

        True where they were never measured, since nothing then speaks against the score.
        """
        if not self.best or look.variety is None or look.coverage is None:
            return True
        values = {"variety": look.variety, "coverage": look.coverage}
        return any(values[name] < WITNESS * best for name, best in self.best.items())

    @staticmethod
    def _thinnest(look: Look) -> tuple[float, str]:
        assert look.variety is not None
        found = {"": look.variety, **look.class_variety}
        name = min(found, key=lambda key: found[key])
        return found[name], name

    @staticmethod
    def _missing(look: Look) -> str | None:
        if len(look.class_coverage) < 2:
            return None
        usual = median(look.class_coverage.values())
        name = min(look.class_coverage, key=lambda key: look.class_coverage[key])
        return name if usual > MOSTLY and look.class_coverage[name] < MISSED * usual else None

    def restart(self) -> None:
        self.fallen, self.alike, self.missed = Streak(), Streak(), Streak()

    def state(self) -> dict[str, Any]:
        return {
            "best": dict(self.best),
            "best_class": dict(self.best_class),
            "fallen": self.fallen.length,
            "alike": self.alike.length,
            "missed": self.missed.length,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.best_class = dict(state["best"]), dict(state.get("best_class", {}))
        self.fallen.length, self.alike.length = state["fallen"], state["alike"]
        self.missed.length = state["missed"]
