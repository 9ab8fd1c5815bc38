"""The report as one self-contained HTML page: six answers, each figure between its floor and its ceiling.

`render_page(report, facts)`; no script, no network, readable on a phone, at a desk and on paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gannet.metrics.answer import QUESTIONS, Answer, Figure, Verdict
from gannet.metrics.report import Report
from gannet.metrics.side_by_side import PICTURES_SHOWN, ROWS_SHOWN
from gannet.report.charts import figure_track
from gannet.report.curves import training_charts
from gannet.report.markup import bullets, document, escape, paragraph, picture, table
from gannet.report.words import (
    SIGNS,
    answers_in_order,
    count,
    duration,
    limits,
    number,
    protocol_rows,
    reproduce_lines,
    span,
    summary,
)

Facts = Mapping[str, Any]

KEY = (
    "Each figure lies on a track: at its left end the floor (samples wrong on purpose), at its right end what as many "
    "real samples score. Further right is always better; the shaded stretch is nearly as good as real. The dot is this "
    "model, the line through it the 95 % interval, an arrow at an end a value beyond it, ◇ a model that returns "
    "its training samples. Without a floor, or with one no worse than real, a track is not shaded and shows only what "
    "is known."
)


def render_page(report: Report, facts: Facts) -> str:
    """The whole page as HTML text (UTF-8 when written).

    `facts` come from the run folder: "name", "path", "created", "command", "source", "fingerprint", "kind", "found",
    "recipe", "recipe_title", "citation", "settings", "versions", "seen", "total", "seconds", "log", "preview" (PNG
    bytes), "holdings", "referee"; what is missing or None is left out.
    """
    parts = [
        _opening(report, facts),
        *(_question(place, key, answer, facts) for place, (key, answer) in enumerate(_asked(report), start=1)),
        _other_figures(report),
        _training(facts),
        _protocol(report, facts),
        _section("limits", "Limits", bullets(limits(report), "notes")),
    ]
    return document(f"{facts.get('name') or 'Evaluation'} – Gannet report", parts)


def _asked(report: Report) -> list[tuple[str, Answer | None]]:
    return answers_in_order(report) if report.answers else []


def verdict(word: Verdict) -> str:
    """A verdict with its sign; the colour only repeats it."""
    return f'<span class="verdict {word}"><span aria-hidden="true">{SIGNS[word]}</span> {word}</span>'


def _word(answer: Answer | None) -> Verdict:
    return "unknown" if answer is None else answer.verdict


def _opening(report: Report, facts: Facts) -> str:
    """Title, summary, the six verdicts, the preview picture."""
    made = " · ".join(escape(facts[key]) for key in ("kind", "created") if facts.get(key))
    chips = "".join(
        f'<li><a href="#{key}"><span>{QUESTIONS[key].rstrip("?")}</span>{verdict(_word(answer))}</a></li>'
        for key, answer in _asked(report)
    )
    preview = facts.get("preview")
    return (
        f"<header><h1>{escape(facts.get('name') or 'Evaluation')}</h1>"
        + (f'<p class="faint">{made}</p>' if made else "")
        + paragraph(summary(report, facts), "lead")
        + (f'<nav aria-label="The six questions"><ul class="chips">{chips}</ul></nav>' if chips else "")
        + _holds_real(report)
        + (picture(preview, "Samples this model generated", wide=facts.get("kind") == "tables") if preview else "")
        + (paragraph(KEY, "key") if chips or report.figures else "")
        + "</header>"
    )


def _holds_real(report: Report) -> str:
    """A warning at the top of a page that shows training pictures or rows: such a page is not for everybody."""
    answer = report.answer("new")
    told = [] if answer is None else [note for note in answer.notes if note in (PICTURES_SHOWN, ROWS_SHOWN)]
    return "".join(f'<p class="warning"><strong>Holds real data:</strong> {escape(note)}</p>' for note in told)


def _question(place: int, key: str, answer: Answer | None, facts: Facts) -> str:
    """One question: verdict, sentence, tracks, tables, pictures, notes."""
    title = QUESTIONS[key] if answer is None else answer.question
    head = (
        f'<section id="{key}" aria-labelledby="{key}-title"><div class="asked">'
        f'<h2 id="{key}-title">{place}. {escape(title)}</h2>{verdict(_word(answer))}</div>'
    )
    if answer is None:
        unasked = paragraph("This question was not asked in this evaluation.")
        return f"{head}{unasked}{_holdings(key, facts, [])}</section>"
    parts = [
        paragraph(answer.sentence, "lead"),
        _tracks(answer.figures),
        *(table(each.title, each.header, each.rows) for each in answer.tables if each.header or each.rows),
        *(picture(each.png, each.caption) for each in answer.pictures),
        _holdings(key, facts, _told(answer)),
        f"<h3>Beware</h3>{bullets(answer.notes, 'notes')}" if answer.notes else "",
    ]
    return f"{head}{''.join(parts)}</section>"


def _told(answer: Answer) -> list[str]:
    """Everything an answer says in notes and tables."""
    return [*answer.notes, *(str(cell) for each in answer.tables for row in each.rows for cell in row)]


def _holdings(key: str, facts: Facts, told: list[str]) -> str:
    """What the model files hold belongs to the question of privacy; what the answer tells already is left out."""
    lines = [line for line in facts.get("holdings") or [] if line not in told]
    return f"<h3>What the model files hold</h3>{bullets(lines, 'notes')}" if key == "private" and lines else ""


def _tracks(figures: list[Figure]) -> str:
    items = "".join(_figure(figure) for figure in figures)
    return f'<ul class="figures">{items}</ul>' if items else ""


def _figure(figure: Figure) -> str:
    """Name, meaning and track of a figure; without anything to compare with, its number alone."""
    arrow = "↑ higher" if figure.better == "higher" else "↓ lower"
    drawn = figure_track(figure)
    if not drawn:
        known = [("real", figure.reference), ("floor", figure.floor), ("copying", figure.copying)]
        beside = [f"{name} {number(value)}" for name, value in known if value is not None]
        text = f' <span class="faint">{escape("; ".join(beside))}</span>' if beside else ""
        drawn = f'<p class="plain"><strong>{escape(number(figure.value))}</strong>{text}</p>'
    return (
        f'<li><div class="name"><span>{escape(figure.name)}</span><span class="faint">{arrow} is better</span></div>'
        f'<p class="meaning">{escape(figure.meaning)}</p>{drawn}</li>'
    )


def _other_figures(report: Report) -> str:
    figures = report.other_figures()
    if not figures:
        return ""
    title = "Further figures" if report.answers else "Figures over the features"
    return _section("figures", title, _tracks(figures))


def _training(facts: Facts) -> str:
    """How training went: its length, the curves, what the referee found and did, the settings."""
    referee = facts.get("referee") or []
    charts = training_charts(facts.get("log") or [], referee)
    rows = []
    if facts.get("seen") is not None:
        planned = "" if facts.get("total") is None else f" of {count(facts['total'])} planned"
        rows.append(("samples seen", f"{count(facts['seen'])}{planned}"))
    if facts.get("seconds") is not None:
        rows.append(("time", duration(facts["seconds"])))
    if facts.get("recipe_title") or facts.get("recipe"):
        names = [str(facts[key]) for key in ("recipe_title", "recipe") if facts.get(key)]
        rows.append(("recipe", names[0] if len(names) == 1 or names[0] == names[1] else f"{names[0]} ({names[1]})"))
    if not (charts or rows or referee):
        return ""
    drawn = f'<div class="charts">{"".join(charts)}</div>' if charts else ""
    found = _referee(referee, watched=facts.get("referee") is not None, numbered=bool(charts))
    return _section("training", "Training", _terms(rows) + drawn + found)


def _referee(records: list[Mapping[str, Any]], *, watched: bool, numbered: bool) -> str:
    """What the referee found and did, numbered as in the curves."""
    if not records:
        return paragraph("The referee watched and found nothing to mend.", "note") if watched else ""
    items = "".join(
        f"<li><strong>{escape(record['finding'])}</strong> at {count(record['seen'])} samples – "
        f"{escape(record['action'])}: {escape(record['reason'])}</li>"
        for record in records
    )
    note = (
        "" if not numbered else paragraph("Dashed upright lines in the curves carry the numbers of this list.", "note")
    )
    return f'<h3>What the referee found, and what it did</h3>{note}<ol class="acts">{items}</ol>'


def _terms(rows: list[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{items}</dl>" if items else ""


def _protocol(report: Report, facts: Facts) -> str:
    """All that decides the figures, every figure in one table, and the commands that give them again."""
    commands = reproduce_lines(report, facts)
    known = [("source", "data"), ("fingerprint", "fingerprint of the training data"), ("path", "run folder")]
    rows = [(name, str(facts[key])) for key, name in known if facts.get(key)]
    settings = [(str(key), str(value)) for key, value in (facts.get("settings") or {}).items()]
    versions = [(str(key), str(value)) for key, value in (facts.get("versions") or {}).items()]
    parts = [
        "<p>Two reports can be compared only when all of this is equal.</p>",
        _terms(protocol_rows(report)),
        _every_figure(report),
        f"<h3>How to reproduce</h3><pre>{escape(chr(10).join(commands))}</pre>" if commands else "",
        _terms(rows),
        f"<h3>What was found in the data</h3>{bullets(facts['found'], 'notes')}" if facts.get("found") else "",
        table("Settings of the run", ["setting", "value"], settings) if settings else "",
        table("Versions", ["software", "version"], versions) if versions else "",
        f"<h3>Cite</h3><pre>{escape(facts['citation'])}</pre>" if facts.get("citation") else "",
    ]
    return _section("protocol", "Protocol", "".join(parts))


def _every_figure(report: Report) -> str:
    groups = [(QUESTIONS[key], answer.figures) for key, answer in _asked(report) if answer is not None]
    groups.append(("–", report.other_figures()))
    rows = [
        [
            figure.name,
            question,
            number(figure.value),
            span(figure.interval),
            number(figure.reference),
            number(figure.floor),
            number(figure.copying),
            figure.better,
        ]
        for question, figures in groups
        for figure in figures
    ]
    header = ["figure", "question", "generated", "95 % interval", "real", "floor", "copying", "better"]
    if not report.answers:
        header, rows = [header[0], *header[2:]], [[row[0], *row[2:]] for row in rows]
    return table("Every figure", header, rows) if rows else ""


def _section(key: str, title: str, body: str) -> str:
    """A part of the page under its heading."""
    return (
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{escape(title)}</h2>{body}</section>'
    )
