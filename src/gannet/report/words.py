"""Numbers, times and verdicts in words, for the page and the card alike.

`number(0.8731)` is "0.873"; `summary(report, facts)` and `limits(report, facts)` are what both documents say.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from gannet.metrics.answer import QUESTIONS, Answer, Figure, Verdict
from gannet.metrics.report import Report

SIGNS: dict[Verdict, str] = {"yes": "✓", "partly": "◐", "no": "✕", "unknown": "?"}
"""Drawn beside every verdict: colour is never the only sign."""
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS = "\u2212"


def number(value: float | None) -> str:
    """Three significant digits, whole numbers whole; beyond a million and below a thousandth as a power of ten."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    size = abs(value)
    if value == round(value) and size < 1e6:
        text = f"{size:,.0f}"
    elif 1e-3 <= size < 999.5:
        text = f"{size:#.3g}".rstrip(".")
    elif 999.5 <= size < 1e6:
        text = f"{size:,.0f}"
    else:
        digits, power = f"{size:.2e}".split("e")
        text = f"{digits} × 10{str(int(power)).translate(SUPERSCRIPT)}"
    return f"{MINUS}{text}" if value < 0 else text


def span(interval: tuple[float, float] | None) -> str:
    """An interval, or a dash; one that is open at an end says at least, or at most."""
    if interval is None:
        return "–"
    low, high = interval
    if math.isinf(high):
        return f"at least {number(low)}"
    return f"at most {number(high)}" if math.isinf(low) else f"{number(low)} to {number(high)}"


def count(value: float) -> str:
    """A number of samples, with separators."""
    return f"{round(value):,}"


def short_count(value: float) -> str:
    """A number of samples for the end of an axis: 1.2M, 45k, 300."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s" if seconds >= 1 or seconds <= 0 else "under 1 s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(whole / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def printable(text: object) -> str:
    """Any text without what breaks a document: control characters, lone surrogates, reversals of direction."""
    safe = str(text)
    unsafe = {"Cc", "Cs"}
    reversals = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return "".join(
        "\ufffd" if (unicodedata.category(each) in unsafe and each not in "\n\t") or each in reversals else each
        for each in safe
    )


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def answers_in_order(report: Report) -> list[tuple[str, Answer | None]]:
    """The six keys with their answers; None where a question was not asked."""
    return [(key, report.answer(key)) for key in QUESTIONS]


def summary(report: Report, facts: Mapping[str, Any]) -> str:
    """The whole report in one paragraph."""
    trained = _what_it_is(facts)
    if not report.answers:
        return f"{trained} Only figures over features were measured; the six questions were not asked."
    said: dict[Verdict, list[str]] = {"yes": [], "partly": [], "no": [], "unknown": []}
    for key, answer in answers_in_order(report):
        said["unknown" if answer is None else answer.verdict].append(key)
    ends: dict[Verdict, str] = {"yes": "yes", "partly": "only partly", "no": "no", "unknown": "could not be told"}
    told = [f"{listed(keys).capitalize()}: {ends[word]}." for word, keys in said.items() if keys]
    return " ".join([trained, *told])


def _what_it_is(facts: Mapping[str, Any]) -> str:
    """One sentence on the model from what is known of it."""
    name, kind = facts.get("name") or "This model", facts.get("kind")
    sentence = f"{name} generates {kind}" if kind else f"{name} is a generator"
    recipe = facts.get("recipe_title") or facts.get("recipe")
    if recipe:
        sentence += f", trained with {recipe}"
    if facts.get("source"):
        sentence += f" on {facts['source']}"
    seen, seconds = facts.get("seen"), facts.get("seconds")
    if seen is not None:
        sentence += f" for {count(seen)} samples" + (f" ({duration(seconds)})" if seconds is not None else "")
    return f"{sentence}."


def bounded(figure: Figure) -> bool:
    """Whether the floor lies on the worse side of the ceiling: only then does a figure lie between the two.

    Where shuffling does no harm (a single column keeps its shape), the floor may score like real samples or better.
    """
    if figure.floor is None or figure.reference is None:
        return False
    return figure.floor < figure.reference if figure.better == "higher" else figure.floor > figure.reference


def key_figures(answer: Answer, most: int = 3) -> list[Figure]:
    """The first figures of an answer, and the one that stands worst when it is not among them."""
    chosen = answer.figures[:most]
    standings = [figure.standing if bounded(figure) else None for figure in answer.figures]
    judged = [(standing, place) for place, standing in enumerate(standings) if standing is not None]
    if judged:
        worst = answer.figures[min(judged)[1]]
        if all(worst is not figure for figure in chosen):
            chosen = [*chosen[: most - 1], worst]
    return chosen


def figure_in_words(figure: Figure) -> str:
    """One figure with all its neighbours, as a line of text."""
    parts = [f"{figure.name} {number(figure.value)}"]
    if figure.interval is not None:
        parts.append(f"95 % interval {span(figure.interval)}")
    for name, value in (("floor", figure.floor), ("real", figure.reference), ("copying", figure.copying)):
        if value is not None:
            parts.append(f"{name} {number(value)}")
    return "; ".join([*parts, f"{figure.better} is better"])


def protocol_rows(report: Report) -> list[tuple[str, str]]:
    """The protocol, entry by entry."""
    about = report.protocol
    rows = [
        ("samples on each side", count(about.count)),
        ("compared with", about.reference),
        ("embedder", f"{about.embedder}, {about.features:,} features"),
        ("resize", about.resize or "none"),
        ("unit of distances", about.unit),
        ("seed of the evaluation", str(about.seed)),
        ("version of the figures", about.metrics),
        ("fingerprint of the data", about.data or "not named"),
    ]
    if about.target is not None:
        rows.append(("column to predict", about.target))
    if about.sensitive:
        rows.append(("sensitive columns", ", ".join(about.sensitive)))
    return rows


def reproduce_lines(report: Report, facts: Mapping[str, Any]) -> list[str]:
    """The commands that give this model and this report again, as far as they are known."""
    lines = [str(facts["command"])] if facts.get("command") else []
    if facts.get("path"):
        about = report.protocol
        options = "".join(f" --sensitive {_quoted(column)}" for column in about.sensitive)
        target = "" if about.target is None else f" --target {_quoted(about.target)}"
        lines.append(f"gannet evaluate {_quoted(str(facts['path']))}{target}{options}")
    return lines


def _quoted(text: str) -> str:
    plain = all(each.isalnum() or each in "-_./:=" for each in text) and text
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


def limits(report: Report) -> list[str]:
    """What the figures do not say, in plain words."""
    about = report.protocol
    found = [
        f"The figures judge {count(about.count)} samples through the eyes of {about.embedder}: what those features "
        "do not see, no figure over them notices.",
        "They hold for samples drawn at the data's own frequencies from this checkpoint; truncation or other "
        "conditions change them.",
        "An attack that failed here is no guarantee of privacy: other attacks exist, and nothing was trained with "
        "differential privacy.",
    ]
    if not about.reference.startswith("held-out"):
        found.append(
            "No real samples were held out: half of the training samples stands in, so a model that memorised its "
            "data looks better here than it is."
        )
    silent = [
        QUESTIONS[key].rstrip("?").lower()
        for key, answer in answers_in_order(report)
        if answer is None or answer.verdict == "unknown"
    ]
    if report.answers and silent:
        found.append(f"Not judged: whether the samples are {listed(silent)}. Silence is no good mark.")
    if not report.answers:
        found.append("The six questions were not asked: nothing here tells of privacy, fairness or use.")
    return [*found, *report.notes]
