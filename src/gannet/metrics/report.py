"""The result of an evaluation: figures beside their references, and the protocol without which they mean nothing.

`report.lines()` for a person, `to_json` / `from_json` for a file, `compare(a, b)` for two models under one protocol.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from gannet.errors import GannetError
from gannet.metrics.answer import Figure, figure_from_json, figure_to_json


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

    def differences(self, other: Protocol) -> list[str]:
        """What differs, as "name: ours, theirs"."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{name}: {mine[name]}, {theirs[name]}" for name in mine if mine[name] != theirs[name]]


@dataclass(frozen=True)
class Report:
    """Every figure of one evaluation, with its protocol and what a reader should beware of."""

    protocol: Protocol
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)

    def figure(self, name: str) -> Figure:
        """The figure of that name."""
        return next(figure for figure in self.figures if figure.name == name)

    def lines(self) -> list[str]:
        """A plain table, its legend, the notes and the protocol; one string a line."""
        noise = any(figure.floor is not None for figure in self.figures)
        head = ["", "generated", "95 % interval", "real", *(["noise"] if noise else []), "better"]
        rows = [head, *(_row(figure, noise) for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        table = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in pairs
            ).rstrip()
            for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
        ]
        legend = [f"{figure.name}: {figure.meaning}" for figure in self.figures]
        return [*table, "", *legend, *(f"note: {note}" for note in self.notes), *self._protocol_lines()]

    def _protocol_lines(self) -> list[str]:
        about = self.protocol
        return [
            f"protocol: {about.count:,} samples a side against {about.reference}; "
            f"real: {'the other half' if about.reference.startswith('half') else 'training samples'} in their place",
            f"protocol: embedder {about.embedder}, {about.features} features, resize {about.resize or 'none'}, "
            f"unit {about.unit}, seed {about.seed}, metrics {about.metrics}, data {about.data or 'not named'}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return {
            "protocol": asdict(self.protocol),
            "figures": [figure_to_json(figure) for figure in self.figures],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """The inverse of `to_json`. Raises GannetError for a report of another shape."""
        try:
            figures = [figure_from_json(figure) for figure in data["figures"]]
            return cls(Protocol(**data["protocol"]), figures, list(data["notes"]))
        except (KeyError, TypeError) as error:
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
    """None where the intervals overlap, or are unknown and the figures are equal: the figure cannot tell."""


def compare(first: Report, second: Report) -> list[Comparison]:
    """The figures of two models beside each other.

    Raises GannetError when the protocols differ: the same model then scores differently for that alone.
    """
    differences = first.protocol.differences(second.protocol)
    if differences:
        raise GannetError(
            f"these reports cannot be compared ({'; '.join(differences)}): evaluate both models the same way"
        )
    theirs = {figure.name: figure for figure in second.figures}
    return [_compared(figure, theirs[figure.name]) for figure in first.figures if figure.name in theirs]


def _compared(first: Figure, second: Figure) -> Comparison:
    low_first, high_first = first.interval or (first.value, first.value)
    low_second, high_second = second.interval or (second.value, second.value)
    better: Literal["first", "second"] | None = None
    if high_first < low_second:
        better = "first" if first.better == "lower" else "second"
    elif high_second < low_first:
        better = "second" if first.better == "lower" else "first"
    return Comparison(first.name, first.value, second.value, better)


def _row(figure: Figure, noise: bool) -> list[str]:
    interval = "-" if figure.interval is None else " to ".join(_short(end) for end in figure.interval)
    floor = ["-" if figure.floor is None else _short(figure.floor)] if noise else []
    return [
        figure.name,
        _short(figure.value),
        interval,
        "-" if figure.reference is None else _short(figure.reference),
        *floor,
        figure.better,
    ]


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"
