"""Several models in one table, under one protocol; a row's best is marked where its interval is clear of all others.

`comparison_lines([("first", report), ("second", report)])` for a screen, `render_comparison(named)` as a page.
"""

from __future__ import annotations

from itertools import pairwise

from gannet.errors import GannetError
from gannet.metrics.answer import QUESTIONS, Figure
from gannet.metrics.report import ARROWS, Report, aligned, clearly_better, keyed_figures, refuse_to_compare
from gannet.report.markup import document, escape, paragraph, table
from gannet.report.words import SIGNS, listed, number, printable, protocol_rows, span

Named = list[tuple[str, Report]]
Key = tuple[str | None, str]

LEGEND = (
    "* clearly the best: its 95 % interval touches no other model's. real: real samples in the generated ones' place."
)
FURTHER = "Further figures"


def comparison_lines(named: Named) -> list[str]:
    """A plain table of all models' figures, question by question, with the legend; one string a line.

    Raises GannetError for fewer than two models, and for protocols that differ, naming what does.
    """
    _check(named)
    names = [" ".join(printable(name).split()) for name, _ in named]
    columns: list[tuple[str, list[str]]] = [("", [])]
    for name in names:
        columns += [(name, []), ("95 % interval", [])]
    columns.append(("real", []))

    def add(*cells: str) -> None:
        for (_, column), cell in zip(columns, cells, strict=True):
            column.append(cell)

    for question, keys in _grouped(named):
        verdicts = [_verdict(report, question) for _, report in named]
        add(FURTHER if question is None else QUESTIONS[question], *_beside(verdicts, ["" for _ in named]), "")
        for key in keys:
            figures = [_found(report, key) for _, report in named]
            best = best_of(figures)
            values = [_value(figure) + ("*" if place == best else " ") for place, figure in enumerate(figures)]
            first = next(figure for figure in figures if figure is not None)
            intervals = [span(None if figure is None else figure.interval) for figure in figures]
            add(f"  {key[1]} {ARROWS[first.better]}", *_beside(values, intervals), _reference(figures))
    about = named[0][1].protocol
    against = f"{about.count:,} samples a side against {about.reference}, embedder {about.embedder}, seed {about.seed}"
    return [
        *aligned(columns),
        "",
        LEGEND,
        f"protocol: {against}, metrics {about.metrics}, data {about.data or 'not named'}",
    ]


def comparison_table(named: Named) -> str:
    """The same as an HTML table with intervals, for a page. Raises GannetError as `comparison_lines` does."""
    _check(named)
    rows = []
    for question, keys in _grouped(named):
        verdicts = [_verdict(report, question) for _, report in named]
        rows.append([FURTHER if question is None else QUESTIONS[question], *verdicts, ""])
        for key in keys:
            figures = [_found(report, key) for _, report in named]
            best = best_of(figures)
            cells = [
                "–"
                if figure is None
                else f"{number(figure.value)}{'*' if place == best else ''}"
                + ("" if figure.interval is None else f" ({span(figure.interval)})")
                for place, figure in enumerate(figures)
            ]
            first = next(figure for figure in figures if figure is not None)
            rows.append([f"{key[1]} {ARROWS[first.better]}", *cells, _reference(figures)])
    caption = "The models under one protocol"
    return table(caption, ["", *(name for name, _ in named), "real"], rows) + f'<p class="note">{escape(LEGEND)}</p>'


def render_comparison(named: Named) -> str:
    """A page of its own with the table and the protocol. Raises GannetError as `comparison_lines` does."""
    body = comparison_table(named)
    names = listed([printable(name) for name, _ in named])
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in protocol_rows(named[0][1]))
    return document(
        "Models beside each other – Gannet",
        [
            "<header><h1>Models beside each other</h1>"
            + paragraph(f"{names}, judged in the same way.", "lead")
            + "</header>",
            body,
            f"<section><h2>Protocol</h2>{paragraph('All models were judged by this.')}<dl>{rows}</dl></section>",
        ],
    )


def _beside(values: list[str], others: list[str]) -> list[str]:
    """First value, first other, second value, ..."""
    return [cell for pair in zip(values, others, strict=True) for cell in pair]


def best_of(figures: list[Figure | None]) -> int | None:
    """Place of the figure whose interval is clear of all the others'; None where there is none such."""
    known = [(place, figure) for place, figure in enumerate(figures) if figure is not None]
    if len(known) < 2:
        return None
    return next(
        (
            place
            for place, figure in known
            if all(clearly_better(figure, other) for elsewhere, other in known if elsewhere != place)
        ),
        None,
    )


def _check(named: Named) -> None:
    if len(named) < 2:
        raise GannetError(f"{len(named)} reports to compare: name at least two runs")
    for (first, report), (second, other) in pairwise(named):
        refuse_to_compare(report, other, (printable(first), printable(second)))


def _grouped(named: Named) -> list[tuple[str | None, list[Key]]]:
    """Every figure that any model has, by question in their order; the figures of no question last."""
    keys = dict.fromkeys(key for _, report in named for key, _ in keyed_figures(report))
    asked = {answer.key for _, report in named for answer in report.answers}
    groups = [(question, [key for key in keys if key[0] == question]) for question in (*QUESTIONS, None)]
    return [(question, found) for question, found in groups if found or question in asked]


def _found(report: Report, key: Key) -> Figure | None:
    return dict(keyed_figures(report)).get(key)


def _verdict(report: Report, question: str | None) -> str:
    """The sign and the word; aligned with the figures, which leave a place for their mark."""
    answer = None if question is None else report.answer(question)
    return "" if answer is None else f"{SIGNS[answer.verdict]} {answer.verdict} "


def _value(figure: Figure | None) -> str:
    return "–" if figure is None else number(figure.value)


def _reference(figures: list[Figure | None]) -> str:
    """Real samples score the same beside every model of one protocol: the first known will do."""
    return number(next((figure.reference for figure in figures if figure and figure.reference is not None), None))
