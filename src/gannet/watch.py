"""What the engine shows to whoever watches the game, and what a watcher may ask of it.

The engine knows only these values; the referee of `gannet.diagnostics` is one watcher. A watcher's `state` is saved
with every checkpoint, and it decides by what it was shown alone, so that a resumed game takes the same course.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["note", "soften", "restore", "overrule", "thaw", "roll back", "begin anew", "stop"]
"""`restore` takes back part of an earlier softening; `overrule` plays on with other settings than were asked for;
`thaw` gives a player that no longer moves a new optimiser; `begin anew` replaces the networks by freshly drawn ones."""


SLACK = 0.01
"""Surprise beyond the least, as a share of it, at which a later model is still the better one: the surprise of unseen
samples soon rises by overconfidence in what is noise, while what hangs together still becomes sharper."""


@dataclass(frozen=True)
class Pulse:
    """A cheap reading, a few hundred times in a run."""

    seen: int
    total: int
    balance: float
    """Running share of pairs of real and generated samples that the discriminator orders rightly."""
    means: dict[str, float]
    """`player/term` -> mean since the last pulse, `player/gradient_norm` among them."""
    updates: dict[str, float]
    """Player -> size of its last step over the size of its weights."""
    skipped: int
    """Moves since the last pulse that were not finite and changed nothing."""
    weights: dict[str, float] = field(default_factory=dict)
    """Player -> size of all its weights together."""


@dataclass(frozen=True)
class Look:
    """A reading of generated samples, some twenty times in a run. What cannot be measured is None."""

    score: float
    """Distance between features of generated and real samples; lower is better."""
    ceiling: float | None = None
    """The score of as many real samples in the generated ones' place."""
    variety: float | None = None
    """Mean distance between two generated samples over that of two real ones; 1 is right, 0 is one picture."""
    class_variety: dict[str, float] = field(default_factory=dict)
    """The same within each class."""
    coverage: float | None = None
    """Share of real samples with a generated one close by, over the same share for real ones; 1 is right."""
    class_coverage: dict[str, float] = field(default_factory=dict)
    """The same within each class of the held-out samples."""
    repeats: float | None = None
    """Share of generated samples that repeat another one, beyond what real samples do."""
    identical: float | None = None
    """Share of generated samples that equal another one but for rounding, beyond what real samples do."""
    told_apart: float | None = None
    """How often a fresh classifier, on samples it was not fitted to, tells real from generated; 1/2 cannot tell."""
    ordered: float | None = None
    """Share of held-out pairs that the discriminator orders rightly."""
    ordered_train: float | None = None
    """Share of trained-on pairs that it orders rightly; beyond `ordered` by what it knows by heart."""
    surprise: float | None = None
    """Minus the log-likelihood of a held-out sample, where the recipe knows it; the best model is then told by it."""
    nearer_train: float | None = None
    """Share of generated samples nearer to training than to as many held-out samples; 1/2 is right."""

    @property
    def rank(self) -> float:
        """What the best model of a run is told by; lower is better."""
        return self.score if self.surprise is None else self.surprise

    def slack(self, best: float) -> float:
        """How far above the best rank a later model still counts as the best."""
        return 0.0 if self.surprise is None else SLACK * abs(best)


@dataclass(frozen=True)
class Decision:
    """What a watcher asks of the engine, and why, in plain words."""

    action: Action
    finding: str
    """Name of what was found: collapse, lost variety, instability, ..."""
    reason: str
    """One sentence with the figures it rests on."""
    learning_rate: float = 1.0
    """Factor on every player's learning rate from now on."""
    firmness: float = 1.0
    """Factor on what calms the discriminator (penalty weight, augmentation) from now on."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Knob of the recipe -> the value it has from now on, whatever was asked for."""
    player: str | None = None
    """Whom a thaw is for."""


class Watcher(ABC):
    """Sees every pulse and look, and may ask for one thing at a time."""

    @abstractmethod
    def pulse(self, pulse: Pulse) -> Decision | None:
        """After each line of the log."""

    @abstractmethod
    def look(self, seen: int, total: int, look: Look, *, best: bool) -> Decision | None:
        """After each examination; `best`: whether its score is the best of the run."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON values."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
