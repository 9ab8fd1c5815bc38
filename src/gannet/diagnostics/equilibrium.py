"""Who is ahead: how well the discriminator, and a fresh look, tell held-out real samples from generated ones.

Absolute logits mean nothing in a relativistic game, so pairs are compared: 1/2 is a coin's toss, 1 is never fooled.
A discriminator that cannot tell while a fresh look can is blind; one that always can leaves nothing to learn from.
"""

from __future__ import annotations

from typing import Any

from gannet.diagnostics.finding import Finding, Streak, Watch
from gannet.watch import Look

SCALE = {
    0.45: "the generator is ahead",
    0.55: "the discriminator cannot tell real from generated",
    0.75: "the players are even",
    0.95: "the discriminator is ahead",
    1.01: "the discriminator wins",
}
WINS = 0.98
BLIND = 0.55
SEEN = 0.9
"""Accuracy of a fresh look at which a difference is plain to see."""
EARLY = 0.25
LATE = 0.75
AHEAD = 0.78
"""Share of unseen pairs ordered rightly at which, with a stalled score, the discriminator is too far ahead."""
STALLED, GAIN = 5, 0.9
"""Looks within which the best score should fall to this share of itself."""
UNLEARNED = 0.9
"""Share of the first score above which nothing has been learned."""


class EquilibriumWatch(Watch):
    """Judges the balance of the players from look to look."""

    def __init__(self) -> None:
        self.ordered: float | None = None
        self.first: float | None = None
        self.bests: list[float] = []
        self.ahead = Streak()
        self.wins, self.blind, self.unlearned = Streak(), Streak(), Streak()

    @property
    def words(self) -> str:
        """The balance on its scale."""
        if self.ordered is None:
            return "the balance is not known"
        return next(words for bound, words in SCALE.items() if self.ordered < bound)

    @property
    def holds(self) -> bool:
        """Whether neither player has run away."""
        return self.ordered is not None and 0.4 < self.ordered < WINS

    def look(self, look: Look, share: float, *, best: bool) -> Finding | None:
        """Trouble with the balance that has lasted for three looks."""
        self.ordered = look.ordered
        self.first = look.score if self.first is None else self.first
        stuck = share > EARLY and look.score > UNLEARNED * self.first
        if self.unlearned.add(stuck) >= 2:
            told = f"after {share:.0%} of the run the samples are no better than at the start (score {look.score:.3g})"
            return Finding("not learning", told, "roll back")
        self.bests = [*self.bests[-STALLED:], min([look.score, *self.bests[-1:]])]
        if look.ordered is None:
            return None
        if self.wins.add(look.ordered > WINS and not best) >= 3:
            told = f"the discriminator orders {look.ordered:.0%} of unseen pairs rightly and samples do not improve"
            return Finding("discriminator wins", told, "soften", learning_rate=1.0, firmness=2.0)
        stalled = len(self.bests) > STALLED and self.bests[-1] > GAIN * self.bests[0] and share < LATE
        if self.ahead.add(look.ordered > AHEAD) >= 3 and stalled:
            told = (
                f"the best score has stayed at {self.bests[-1]:.3g} for {STALLED} looks while the discriminator orders "
                f"{look.ordered:.0%} of unseen pairs rightly: it is too far ahead to teach"
            )
            return Finding("stalled", told, "soften", learning_rate=1.0, firmness=2.0)
        plain = look.told_apart is not None and look.told_apart > SEEN
        if self.blind.add(share > EARLY and plain and look.ordered < BLIND) >= 3:
            told = (
                f"a fresh look tells {look.told_apart:.0%} of samples from real ones, the discriminator orders "
                f"only {look.ordered:.0%} of pairs rightly"
            )
            return Finding("blind discriminator", told, "soften", learning_rate=1.0, firmness=0.25)
        return None

    def restart(self) -> None:
        self.ahead, self.bests = Streak(), []
        self.wins, self.blind, self.unlearned = Streak(), Streak(), Streak()

    def state(self) -> dict[str, Any]:
        return {
            "ordered": self.ordered,
            "first": self.first,
            "bests": list(self.bests),
            "ahead": self.ahead.length,
            "wins": self.wins.length,
            "blind": self.blind.length,
            "unlearned": self.unlearned.length,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.ordered, self.first, self.bests = state["ordered"], state["first"], list(state["bests"])
        self.ahead.length = state["ahead"]
        self.wins.length, self.blind.length = state["wins"], state["blind"]
        self.unlearned.length = state["unlearned"]
