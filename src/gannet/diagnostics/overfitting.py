"""Overfitting: a discriminator that knows its training samples by heart, and samples that copy them.

Both are seen only beside samples that were never trained on. `OverfittingWatch().look(look, share)`.
"""

from __future__ import annotations

from typing import Any

from gannet.diagnostics.finding import Finding, Streak, Watch
from gannet.watch import SLACK, Look

GAP = 0.2
"""Pairs ordered rightly on training samples beyond those on held-out ones: knowledge that does not carry over."""
COPIES = 0.65
"""Share of samples nearer to training than to as many held-out samples; a half is right."""


LASTING = 4
"""Looks at which unseen samples have been less likely than they were, beyond the slack, after which a run ends."""
EARLY = 0.25
"""Share of a run within which samples may still lie far from all data, where the nearer side means nothing."""


class OverfittingWatch(Watch):
    """Compares training with held-out samples at every look."""

    def __init__(self) -> None:
        self.gap, self.copies = Streak(), Streak()
        self.surprises: list[float] = []

    def look(self, look: Look, share: float) -> Finding | None:
        """What is known by heart, if it has lasted for three looks."""
        if look.surprise is not None:
            self.surprises.append(look.surprise)
        copied = look.nearer_train is not None and share > EARLY and look.nearer_train > COPIES
        if self.copies.add(copied) >= 3:
            told = f"{look.nearer_train:.0%} of samples lie nearer to training samples than to unseen ones"
            return Finding("copies", told, "soften", firmness=2.0)
        if look.ordered is None or look.ordered_train is None:
            return None
        if self.gap.add(look.ordered_train - look.ordered > GAP) >= 3:
            told = (
                f"the discriminator orders {look.ordered_train:.0%} of trained-on pairs rightly, "
                f"but {look.ordered:.0%} of unseen ones"
            )
            return Finding("overfitting", told, "soften", learning_rate=1.0, firmness=2.0)
        return None

    @property
    def by_heart(self) -> str | None:
        """Why to end: for some looks unseen samples have been less likely than they were. None while they have not."""
        if not self.surprises:
            return None
        best = min(self.surprises)
        bound = best + SLACK * abs(best)
        since = next((at for at, surprise in enumerate(reversed(self.surprises)) if surprise <= bound), 0)
        if since < LASTING:
            return None
        return (
            f"for {since} looks unseen samples have been less likely than before ({self.surprises[-1]:.4g} nats after "
            f"{best:.4g}): what is learned since is the training samples by heart"
        )

    def restart(self) -> None:
        self.gap, self.copies, self.surprises = Streak(), Streak(), []

    def state(self) -> dict[str, Any]:
        return {"gap": self.gap.length, "copies": self.copies.length, "surprises": list(self.surprises)}

    def restore(self, state: dict[str, Any]) -> None:
        self.gap.length, self.copies.length = state["gap"], state["copies"]
        self.surprises = list(state.get("surprises", []))
