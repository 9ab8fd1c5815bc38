"""A model card in Markdown, from the same facts as the page: what the model is, what was proved, what it cannot do.

`render_card(report, facts)`; the sections follow Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gannet.metrics.answer import Figure
from gannet.metrics.report import Report
from gannet.report.words import (
    QUESTIONS,
    SIGNS,
    answers_in_order,
    count,
    duration,
    key_figures,
    limits,
    number,
    printable,
    protocol_rows,
    span,
    summary,
)

Facts = Mapping[str, Any]


def render_card(report: Report, facts: Facts) -> str:
    """The card as Markdown text; `facts` as for `render_page`, and "licence" where it is known."""
    parts = [
        _front_matter(facts),
        f"# {plain(facts.get('name') or 'A generative model')}",
        plain(summary(report, facts)),
        _section("The model", _rows(_model_rows(facts))),
        _section("The data", _data(facts)),
        _section("What was proved", _proof(report)),
        _section("Protocol", _rows(protocol_rows(report))),
        _section("Training", _training(facts)),
        _section("What the model files hold", _bullets(facts.get("holdings") or [])),
        _section("Limits", _bullets(limits(report))),
        _section("Load and sample", _loading(facts)),
        _section("Cite", fenced(str(facts["citation"]), "bibtex") if facts.get("citation") else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: object) -> str:
    """Any text on one line, with nothing in it that Markdown or HTML would act upon."""
    line = " ".join(printable(text).split())
    line = re.sub(r"([\\`*\[\]<>|~$])", r"\\\1", line)
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    line = re.sub(r"&(?=#?\w+;)", r"\\&", line)
    line = line.replace("://", "\\://")
    # What at the start of a line would be a heading, a list or a rule.
    return re.sub(r"^([#+=-])|^(\d+)([.)])(?=\s|$)", lambda start: _shielded(*start.groups("")), line)


def _shielded(sign: str, digits: str, point: str) -> str:
    return f"\\{sign}" if sign else f"{digits}\\{point}"


def fenced(text: str, language: str = "") -> str:
    """A block of code, within a fence longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text).rstrip()}\n{fence}"


def _front_matter(facts: Facts) -> str:
    """What a hub reads: the library, the tags, the licence where it is known. JSON strings are YAML strings."""
    lines = ["---", "library_name: gannet", "tags: [gan, synthetic-data]"]
    if facts.get("licence"):
        lines.append(f"license: {json.dumps(printable(facts['licence']))}")
    return "\n".join([*lines, "---"])


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; nothing for no rows."""
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    return _table(["fact", "value"], rows)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def _model_rows(facts: Facts) -> list[tuple[str, str]]:
    names = [("kind", "makes"), ("recipe_title", "recipe"), ("recipe", "recipe's name"), ("created", "created")]
    names += [("licence", "licence")]
    return [(name, str(facts[key])) for key, name in names if facts.get(key)]


def _data(facts: Facts) -> str:
    """Where the data came from, its fingerprint, what was found in it."""
    names = [("source", "source"), ("fingerprint", "fingerprint")]
    table = _rows([(name, str(facts[key])) for key, name in names if facts.get(key)])
    found = _bullets(facts.get("found") or [])
    return "\n\n".join(part for part in (table, found) if part)


def _proof(report: Report) -> str:
    """The six answers and their key figures."""
    parts = []
    if report.answers:
        rows = []
        for key, answer in answers_in_order(report):
            word = "unknown" if answer is None else answer.verdict
            sentence = "not asked in this evaluation" if answer is None else answer.sentence
            rows.append([QUESTIONS[key], f"{SIGNS[word]} {word}", sentence])
        parts.append(_table(["question", "answer", "in words"], rows))
    key_rows = [
        [QUESTIONS.get(key, ""), figure.name, number(figure.value), span(figure.interval), *_neighbours(figure)]
        for key, figures in [
            *((answer.key, key_figures(answer)) for answer in report.answers),
            *([] if report.answers else [("", report.figures)]),
        ]
        for figure in figures
    ]
    header = ["question", "figure", "generated", "95 % interval", "real", "floor", "copying", "better"]
    parts.append(_table(header, key_rows))
    if key_rows:
        parts.append(
            "*real*: what as many real samples score in the generated ones' place. *floor*: samples wrong on purpose. "
            "*copying*: a model that returns its training samples."
        )
    return "\n\n".join(part for part in parts if part)


def _neighbours(figure: Figure) -> list[str]:
    return [number(figure.reference), number(figure.floor), number(figure.copying), figure.better]


def _training(facts: Facts) -> str:
    """How long, how, with which software, and what the referee did."""
    rows = []
    if facts.get("seen") is not None:
        rows.append(("samples seen", count(facts["seen"])))
    if facts.get("seconds") is not None:
        rows.append(("time", duration(facts["seconds"])))
    rows += [(f"setting {key}", str(value)) for key, value in (facts.get("settings") or {}).items()]
    rows += [(f"version of {key}", str(value)) for key, value in (facts.get("versions") or {}).items()]
    told = [
        f"at {count(record['seen'])} samples: {record['finding']}, {record['action']} ({record['reason']})"
        for record in facts.get("referee") or []
    ]
    command = fenced(str(facts["command"]), "sh") if facts.get("command") else ""
    referee = f"The referee, which watched the training:\n\n{_bullets(told)}" if told else ""
    return "\n\n".join(part for part in (_rows(rows), command, referee) if part)


def _loading(facts: Facts) -> str:
    path = str(facts.get("path") or "RUN")
    code = f"import gannet\n\nmodel = gannet.load({json.dumps(path)})\nsamples = model.sample(64, seed=0)"
    return f"{fenced(code, 'python')}\n\nThe same seed gives the same samples."
