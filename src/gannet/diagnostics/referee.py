"""The referee: hears every watch, decides on one remedy at a time, and says why in plain words.

Softening and rolling back come before stopping, since runs that alarmed have been seen to recover: a roll back returns
to the best model with a quarter of the learning rate and a calmer discriminator; only when that has been tried
`MOST_RETURNS` times does the game end, with the best model. `Referee(remedies=False)` reports and touches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gannet.diagnostics.equilibrium import EquilibriumWatch
from gannet.diagnostics.finding import Finding
from gannet.diagnostics.overfitting import OverfittingWatch
from gannet.diagnostics.score_watch import ScoreWatch
from gannet.diagnostics.stability import StabilityWatch
from gannet.diagnostics.variety import VarietyWatch
from gannet.watch import Action, Decision, Look, Pulse, Watcher

MOST_RETURNS = 4
MOST_SOFTENINGS = 4
MOST_THAWS = 3
PATIENCE = 2
"""Looks after a remedy during which the game is left alone."""
FIRMER = 2.0
"""How much firmer a return makes what calms the discriminator."""
MOST_RESTORED = 2
CALM = 3
"""Best scores after a remedy at which half of what it took from the learning rate comes back."""
WARM = 25
"""Pulses before samples are judged: a game of a few steps has nothing to show yet."""
LEARNED = 0.5
"""A best score below this share of the first has been earned; only then can a game have converged."""
HARDLY = 0.8
"""A best score above this share of the first is nothing to return to: the game begins anew."""
ONE_SAMPLE = 0.7
"""Share of identical ones among the very first samples at which the generator does not hear its noise. (How much they
vary says less: some networks begin with small outputs, and several classes vary by themselves.)"""


class Doubt(Protocol):
    """A setting that is known to end badly: a sentence, and what to play with instead."""

    @property
    def knob(self) -> str: ...
    @property
    def instead(self) -> Any: ...
    @property
    def told(self) -> str: ...


class Referee(Watcher):
    """The watcher of every run."""

    def __init__(self, *, remedies: bool = True, foreseen: Sequence[str] = (), doubts: Sequence[Doubt] = ()) -> None:
        """`foreseen`: what is likely to go wrong, told at the first look (see `foresight`); `doubts`: settings that are
        told, too, and overruled."""
        self.remedies, self.foreseen, self.doubts = remedies, list(foreseen), list(doubts)
        self.score = ScoreWatch()
        self.variety, self.equilibrium = VarietyWatch(), EquilibriumWatch()
        self.stability, self.overfitting = StabilityWatch(), OverfittingWatch()
        self.returns, self.softenings, self.looks, self.quiet_until = 0, 0, 0, 0
        self.pulses, self.calm, self.restored, self.thaws = 0, 0, 0, 0
        self.owed, self.firmer = 1.0, 1.0
        self.first: float | None = None
        self.told: list[str] = []

    # -- seeing ---------------------------------------------------------------------------------------------------

    def pulse(self, pulse: Pulse) -> Decision | None:
        self.pulses += 1
        return self._decide([self.stability.pulse(pulse)], can_return=True)

    def look(self, seen: int, total: int, look: Look, *, best: bool) -> Decision | None:
        if self.looks == 0 and look.ceiling is not None:
            self.score.floor = look.ceiling
        self.looks += 1
        self.first = look.score if self.first is None else self.first
        if self.looks == 1:
            self._watch(seen / total, look, best=best)
            return self._before_the_first_step(look) if seen == 0 else None
        return self._judge(seen / total, look, best=best)

    def _before_the_first_step(self, look: Look) -> Decision | None:
        """What can be known now is told and put right now, when it costs nothing."""
        settings = {doubt.knob: doubt.instead for doubt in self.doubts} if self.remedies else {}
        told = [doubt.told for doubt in self.doubts] + self.foreseen
        action: Action = "overrule" if settings else "note"
        if settings:
            told.append("played with " + ", ".join(_setting(*each) for each in settings.items()) + " instead")
        if look.identical is not None and look.identical > ONE_SAMPLE:
            told.append(f"the generator does not hear its noise: {look.identical:.0%} of its samples equal another one")
            if self.remedies:
                told[-1] += "; it is drawn anew"
                action = "begin anew"
                self.score.forget()
        return Decision(action, "foreseen", "; ".join(told), settings=settings) if told else None

    def _judge(self, share: float, look: Look, *, best: bool) -> Decision | None:
        findings = self._watch(share, look, best=best)
        if self.pulses < WARM:
            return None
        decision = self._decide(findings, can_return=not best)
        if decision is None:
            decision = self._restore(best)
        if decision is None and self.overfitting.by_heart is not None and self.remedies:
            return Decision("stop", "learned by heart", self.overfitting.by_heart)
        learned = self.first is not None and self.score.best < LEARNED * self.first
        if decision is None and learned and self.equilibrium.holds and self.score.settled() and self.remedies:
            told = (
                f"for {self.score.recent} looks the score improved by no more than its noise; {self.equilibrium.words}"
            )
            return Decision("stop", "converged", told)
        return decision

    def _watch(self, share: float, look: Look, *, best: bool) -> list[Finding | None]:
        return [
            self._score_finding(look),
            self.variety.look(look, share),
            self.equilibrium.look(look, share, best=best),
            self.overfitting.look(look, share),
        ]

    def _score_finding(self, look: Look) -> Finding | None:
        trend = self.score.add(look.score)
        best, last = self.score.best, look.score
        if trend is None or not (self.score.beyond_doubt() or self.variety.stands_by(look)):
            # A score that stands alone may only swing; real collapses take variety with them, or go beyond twice.
            return None
        told = f"the sample score rose to {last:.3g}, {last / max(best, 1e-12):.1f} times its best {best:.3g}"
        return Finding("collapse", told, "roll back") if trend == "collapse" else Finding("worsening", told, "soften")

    # -- deciding -------------------------------------------------------------------------------------------------

    def _decide(self, found: list[Finding | None], *, can_return: bool) -> Decision | None:
        """The gravest finding's remedy, within what is left of them; a finding is told once between remedies."""
        findings = [finding for finding in found if finding is not None]
        if not findings:
            return None
        finding = min(findings, key=lambda each: ("roll back", "thaw", "soften", "note").index(each.remedy))
        if not self.remedies or finding.remedy == "note":
            return self._note(finding)
        if finding.player is not None:
            return self._thaw(finding, finding.player)
        if self.looks < self.quiet_until and not finding.urgent:
            return self._note(finding)
        if finding.remedy == "soften":
            return self._soften(finding)
        # What has just given its best samples is not left behind.
        return self._return(finding) if can_return else self._note(finding)

    def _note(self, finding: Finding) -> Decision | None:
        if finding.name in self.told:
            return None
        self.told.append(finding.name)
        return Decision("note", finding.name, finding.told)

    def _return(self, finding: Finding) -> Decision:
        self.returns += 1
        if self.returns > MOST_RETURNS:
            return Decision("stop", finding.name, f"{finding.told}; {MOST_RETURNS} returns did not help")
        learned = self.first is None or self.score.best < HARDLY * self.first
        self._begin_again()
        self.owed *= finding.learning_rate
        self.firmer *= FIRMER
        where = "back to the best model" if learned else "nothing learned yet is worth returning to, so it begins anew"
        slower = ", with a smaller learning rate" if finding.learning_rate < 1 else ""
        told = f"{finding.told}; {where}{slower}"
        action: Action = "roll back" if learned else "begin anew"
        if learned:
            self.score.restart()
        else:
            self.score.forget()
        return Decision(action, finding.name, told, learning_rate=finding.learning_rate, firmness=FIRMER)

    def _soften(self, finding: Finding) -> Decision | None:
        if self.softenings >= MOST_SOFTENINGS:
            return self._note(finding)
        self.softenings += 1
        self._begin_again()
        self.owed *= finding.learning_rate
        return Decision(
            "soften", finding.name, finding.told, learning_rate=finding.learning_rate, firmness=finding.firmness
        )

    def _thaw(self, finding: Finding, player: str) -> Decision | None:
        """A new optimiser, a few times; the game itself has done nothing wrong and is not softened."""
        if self.thaws >= MOST_THAWS:
            return self._note(finding)
        self.thaws += 1
        self.stability.restart()
        told = f"{finding.told}; its optimiser is made anew"
        return Decision("thaw", finding.name, told, player=player)

    def _restore(self, best: bool) -> Decision | None:
        """After some calm, what returns took comes back by halves: a fault that has passed should leave no mark."""
        self.calm += best
        if (
            (self.owed >= 1 and self.firmer <= 1)
            or self.calm < CALM
            or self.restored >= MOST_RESTORED
            or not self.remedies
        ):
            return None
        self.restored += 1
        self.calm, factor, firmness = 0, min(2.0, 1 / self.owed), max(1 / FIRMER, 1 / self.firmer)
        self.owed, self.firmer = self.owed * factor, self.firmer * firmness
        told = f"{CALM} best scores since the last remedy: part of what it took is given back"
        return Decision("restore", "calm", told, learning_rate=factor, firmness=firmness)

    def _begin_again(self) -> None:
        self.quiet_until, self.calm = self.looks + PATIENCE, 0
        self.told = []
        for watch in (self.variety, self.equilibrium, self.stability, self.overfitting):
            watch.restart()

    # -- keeping --------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            "score": self.score.state(),
            "variety": self.variety.state(),
            "equilibrium": self.equilibrium.state(),
            "stability": self.stability.state(),
            "overfitting": self.overfitting.state(),
            "returns": self.returns,
            "softenings": self.softenings,
            "looks": self.looks,
            "quiet_until": self.quiet_until,
            "told": list(self.told),
            "pulses": self.pulses,
            "calm": self.calm,
            "restored": self.restored,
            "thaws": self.thaws,
            "owed": self.owed,
            "firmer": self.firmer,
            "first": self.first,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.score.restore(state["score"])
        self.variety.restore(state["variety"])
        self.equilibrium.restore(state["equilibrium"])
        self.stability.restore(state["stability"])
        self.overfitting.restore(state["overfitting"])
        self.returns, self.softenings = state["returns"], state["softenings"]
        self.looks, self.quiet_until, self.told = state["looks"], state["quiet_until"], list(state["told"])
        self.calm, self.restored, self.owed = state["calm"], state["restored"], state["owed"]
        self.firmer = state.get("firmer", 1.0)
        self.first, self.pulses, self.thaws = state["first"], state["pulses"], state.get("thaws", 0)


def _setting(knob: str, value: Any) -> str:
    return f"{knob} chosen by itself" if value is None else f"{knob}={value}"
