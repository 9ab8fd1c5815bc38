"""The result of an evaluation: answers and figures, and the protocol without which they mean nothing.

`report.lines()` for a person, `to_json` / `from_json` for a file, `compare(a, b)` for two models under one protocol.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from math import isinf
from typing import Any, Literal

from gannet.errors import GannetError
from gannet.metrics.answer import Answer, Figure, figure_from_json, figure_to_json


@dataclass(frozen=True)
class Protocol:
    """All that decides a figure apart from the model. Reports are compared only when all of it is equal."""

    count: int
    """Samples on each side of every comparison, real or generated."""
    features: int
    """Width of the features."""
    embedder: str
    resize: str | None
    """How pictures were resized for the embedder; None where nothing is resized."""
    reference: Literal["held-out samples", "half of the training samples"]
    """What generated samples are compared with."""
    unit: Literal["the training features' deviation", "the features' own"]
    """What a distance of 1 means."""
    seed: int
    metrics: str
    """Version of the figures' definitions."""
    data: str | None
    """Fingerprint of the data, when the caller gave one."""
    target: str | None = None
    """Tables: the column that the question of use predicts."""
    sensitive: tuple[str, ...] = ()
    """Tables: the columns whose groups the question of fairness compares."""

    def differences(self, other: Protocol) -> list[str]:
        """What differs, as "name: ours, theirs"."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{name}: {mine[name]}, {theirs[name]}" for name in mine if mine[name] != theirs[name]]


@dataclass(frozen=True)
class Report:
    """Everything one evaluation found, with its protocol and what a reader should beware of."""

    protocol: Protocol
    figures: list[Figure]
    """Figures over the features alone."""
    notes: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    """The six questions, each with figures of its own; empty where only features were compared."""

    def figure(self, name: str) -> Figure:
        """The figure over the features of that name."""
        return next(figure for figure in self.figures if figure.name == name)

    def answer(self, key: str) -> Answer | None:
        """The answer to the question of that key ("real", "varied", ...); None where it was not asked."""
        return next((answer for answer in self.answers if answer.key == key), None)

    def other_figures(self) -> list[Figure]:
        """The figures over the features that no answer shows."""
        shown = {figure.name for answer in self.answers for figure in answer.figures}
        return [figure for figure in self.figures if figure.name not in shown]

    def lines(self) -> list[str]:
        """For a screen: every question with answer, figures and notes; then the other figures, notes, the protocol."""
        lines: list[str] = []
        for answer in self.answers:
            lines += [*_answer_lines(answer), ""]
        others = self.other_figures()
        if others:
            lines += [*_figure_lines(others, floor="noise", direction=True), ""]
            lines += [f"{figure.name}: {figure.meaning}" for figure in others]
        return [*lines, *(f"note: {note}" for note in self.notes), *self._protocol_lines()]

    def _protocol_lines(self) -> list[str]:
        about = self.protocol
        return [
            f"protocol: {about.count:,} samples a side against {about.reference}; "
            f"real: {'the other half' if about.reference.startswith('half') else 'training samples'} in their place",
            f"protocol: embedder {about.embedder}, {about.features} features, resize {about.resize or 'none'}, "
            f"unit {about.unit}, seed {about.seed}, metrics {about.metrics}, data {about.data or 'not named'}",
            *([f"protocol: column to predict {about.target}"] if about.target is not None else []),
            *([f"protocol: sensitive columns {', '.join(about.sensitive)}"] if about.sensitive else []),
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return {
            "protocol": {**asdict(self.protocol), "sensitive": list(self.protocol.sensitive)},
            "figures": [figure_to_json(figure) for figure in self.figures],
            "notes": list(self.notes),
            "answers": [answer.to_json() for answer in self.answers],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """The inverse of `to_json`. Raises GannetError for a report of another shape."""
        try:
            protocol = Protocol(**{**data["protocol"], "sensitive": tuple(data["protocol"].get("sensitive", ()))})
            figures = [figure_from_json(figure) for figure in data["figures"]]
            answers = [Answer.from_json(answer) for answer in data.get("answers", [])]
            return cls(protocol, figures, list(data["notes"]), answers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            expected = ", ".join(part.name for part in fields(cls))
            raise GannetError(
                f"not an evaluation report ({error}): expected {expected} as this version of Gannet writes them; "
                "run gannet evaluate again"
            ) from error


@dataclass(frozen=True)
class Comparison:
    """One figure of two models."""

    name: str
    first: float
    second: float
    better: Literal["first", "second"] | None
    """None where the intervals overlap or one is unknown: the figure cannot tell."""
    question: str | None = None
    """Key of the question the figure belongs to; None for the figures over the features alone."""


def refuse_to_compare(first: Report, second: Report, names: tuple[str, str] | None = None) -> None:
    """Raise GannetError, naming all that differs, when the protocols differ: that alone would change the figures."""
    differences = first.protocol.differences(second.protocol)
    if differences:
        which = "these reports" if names is None else f"{names[0]} and {names[1]}"
        raise GannetError(f"{which} cannot be compared ({'; '.join(differences)}): evaluate both models the same way")


def compare(first: Report, second: Report) -> list[Comparison]:
    """The figures that both models have, question by question, beside each other.

    Raises GannetError when the protocols differ: the same model then scores differently for that alone.
    """
    refuse_to_compare(first, second)
    theirs = dict(keyed_figures(second))
    return [_compared(key[0], figure, theirs[key]) for key, figure in keyed_figures(first) if key in theirs]


def keyed_figures(report: Report) -> list[tuple[tuple[str | None, str], Figure]]:
    """Every figure under (key of its question, its name), in the order of the report; each key once."""
    found: dict[tuple[str | None, str], Figure] = {}
    for answer in report.answers:
        for figure in answer.figures:
            found.setdefault((answer.key, figure.name), figure)
    for figure in report.other_figures():
        found.setdefault((None, figure.name), figure)
    return list(found.items())


def clearly_better(first: Figure, second: Figure) -> bool:
    """Whether the first interval lies wholly on the better side of the second; False where one is unknown."""
    if first.interval is None or second.interval is None:
        return False
    if first.better == "lower":
        return first.interval[1] < second.interval[0]
    return first.interval[0] > second.interval[1]


def _compared(question: str | None, first: Figure, second: Figure) -> Comparison:
    better: Literal["first", "second"] | None = None
    if clearly_better(first, second):
        better = "first"
    elif clearly_better(second, first):
        better = "second"
    return Comparison(first.name, first.value, second.value, better, question)


def _answer_lines(answer: Answer) -> list[str]:
    """The question, the verdict, the sentence, the table of figures, the notes."""
    lines = [f"{answer.question} {answer.verdict.upper()}", f"  {answer.sentence}"]
    if answer.figures:
        lines += ["", *(f"  {line}".rstrip() for line in _figure_lines(answer.figures, floor="floor", direction=False))]
    return [*lines, *(f"  note: {note}" for note in answer.notes)]


def _figure_lines(figures: list[Figure], *, floor: str, direction: bool) -> list[str]:
    """The figures as an aligned table; floor and copying have a column where a figure has them.

    Without `direction` an arrow beside the name says whether higher or lower is better.
    """
    columns: list[tuple[str, list[str]]] = [
        ("", [figure.name if direction else f"{figure.name} {ARROWS[figure.better]}" for figure in figures]),
        ("generated", [_short(figure.value) for figure in figures]),
        ("95 % interval", [_range(figure.interval) for figure in figures]),
        ("real", [_optional(figure.reference) for figure in figures]),
    ]
    if any(figure.floor is not None for figure in figures):
        columns.append((floor, [_optional(figure.floor) for figure in figures]))
    if any(figure.copying is not None for figure in figures):
        columns.append(("copying", [_optional(figure.copying) for figure in figures]))
    if direction:
        columns.append(("better", [figure.better for figure in figures]))
    return aligned(columns)


ARROWS = {"higher": "↑", "lower": "↓"}
"""Which way is better."""


def aligned(columns: list[tuple[str, list[str]]]) -> list[str]:
    """Columns (head, cells) -> lines of one table: the first column to the left, the others to the right."""
    widths = [max(len(head), *map(len, cells)) for head, cells in columns]
    rows = [[head for head, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _range(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "-"
    low, high = interval
    return f"at least {_short(low)}" if isinf(high) else f"{_short(low)} to {_short(high)}"


def _optional(value: float | None) -> str:
    return "-" if value is None else _short(value)


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"
