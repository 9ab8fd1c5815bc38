"""What a question about a model is answered with: a verdict, a sentence, figures beside their floor and ceiling.

Plain values only, so that an answer goes to JSON and back whole; pictures are PNG bytes.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from typing import Any, Literal

Better = Literal["lower", "higher"]
Verdict = Literal["yes", "partly", "no", "unknown"]

QUESTIONS: dict[str, str] = {
    "real": "Real?",
    "varied": "Varied?",
    "new": "New?",
    "private": "Private?",
    "fair": "Fair?",
    "useful": "Useful?",
}
"""The six questions in their order, by key."""

GOOD, POOR = 0.8, 0.4
"""Shares of the way from the floor to the ceiling above which a figure is good, below which it is poor."""


@dataclass(frozen=True)
class Figure:
    """One number about the generated samples, and what real samples, noise and copies score in their place."""

    name: str
    value: float
    interval: tuple[float, float] | None
    """95 % interval; an end may be infinite; None where there were too few samples for one."""
    reference: float | None
    """The ceiling: the same figure of real samples in the generated ones' place, at the same count."""
    floor: float | None
    """The same figure of samples that are wrong on purpose (columns or pixels shuffled independently)."""
    better: Better
    meaning: str
    """One sentence in plain words."""
    copying: float | None = None
    """The same figure of a model that returns its training samples; None where it was not measured."""

    @property
    def standing(self) -> float | None:
        """How far the value lies from the floor (0) to the ceiling (1), clipped.

        None without both, and where the floor is no worse than the ceiling: the figure cannot tell them apart.
        """
        if self.reference is None or self.floor is None:
            return None
        if (self.floor >= self.reference) if self.better == "higher" else (self.floor <= self.reference):
            return None
        return min(1.0, max(0.0, (self.value - self.floor) / (self.reference - self.floor)))


@dataclass(frozen=True)
class Table:
    """A small table beside the figures: per class, per column, per group."""

    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Picture:
    """A picture beside the figures."""

    caption: str
    png: bytes


@dataclass(frozen=True)
class Answer:
    """One of the six questions, answered."""

    key: Literal["real", "varied", "new", "private", "fair", "useful"]
    question: str
    verdict: Verdict
    sentence: str
    """One or two sentences for a person who knows no metrics; they name the figures they rest on."""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader should beware of: few samples, what was not measured and why."""

    def figure(self, name: str) -> Figure:
        """The figure of that name."""
        return next(figure for figure in self.figures if figure.name == name)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and text."""
        pictures = [{"caption": each.caption, "png": base64.b64encode(each.png).decode()} for each in self.pictures]
        return {**asdict(self), "figures": [figure_to_json(figure) for figure in self.figures], "pictures": pictures}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        """The inverse of `to_json`."""
        return cls(
            **{
                **data,
                "figures": [figure_from_json(figure) for figure in data["figures"]],
                "tables": [Table(**table) for table in data["tables"]],
                "pictures": [Picture(each["caption"], base64.b64decode(each["png"])) for each in data["pictures"]],
            }
        )


def figure_to_json(figure: Figure) -> dict[str, Any]:
    """A figure as plain values; an open end of its interval is None, since JSON knows no infinity."""
    ends = None if figure.interval is None else [end if isfinite(end) else None for end in figure.interval]
    return {**asdict(figure), "interval": ends}


def figure_from_json(data: dict[str, Any]) -> Figure:
    """The inverse of `figure_to_json`."""
    if data["interval"] is None:
        return Figure(**data)
    low, high = data["interval"]
    return Figure(**{**data, "interval": (-inf if low is None else low, inf if high is None else high)})


def verdict_of(figures: list[Figure]) -> Verdict:
    """The verdict that the figures' standings give together: as good as the worst of them, unless told apart."""
    standings = [figure.standing for figure in figures if figure.standing is not None]
    if not standings:
        return "unknown"
    if min(standings) >= GOOD:
        return "yes"
    return "no" if min(standings) < POOR else "partly"
