"""Several models under one protocol: the clearly best is marked, and different protocols are refused by name."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gannet.errors import GannetError
from gannet.metrics.answer import Answer, Better, Figure, Verdict
from gannet.metrics.report import Report
from gannet.report import comparison_lines, comparison_table, render_comparison
from gannet.report.comparison import best_of


def figure(value: float, half: float | None = 0.01, better: Better = "higher", name: str = "recall") -> Figure:
    interval = None if half is None else (value - half, value + half)
    return Figure(name, value, interval, 0.95, 0.1, better, "share")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r" {2,}|(?<=\*) ", line.strip())]


def model(report: Report, *figures: Figure, verdict: Verdict = "yes") -> Report:
    return replace(report, figures=[], answers=[Answer("varied", "Varied?", verdict, "words", list(figures))])


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([figure(0.5), figure(0.9), figure(0.7)], 1),
        ([figure(0.5), figure(0.9), figure(0.89)], None),
        ([figure(0.5, better="lower"), figure(0.9, better="lower")], 0),
        ([figure(0.5, None), figure(0.9)], None),
        ([None, figure(0.9)], None),
        ([None, figure(0.9), figure(0.2)], 1),
        ([figure(0.5), figure(0.5)], None),
    ],
)
def test_the_best_is_marked_only_where_its_interval_is_clear(figures: list[Figure | None], best: int | None) -> None:
    assert best_of(figures) == best


def test_models_stand_beside_each_other_question_by_question(report: Report) -> None:
    named = [("a", model(report, figure(0.5), verdict="no")), ("b", model(report, figure(0.9)))]
    lines = comparison_lines(named)
    assert lines[0].endswith(" real") and lines[0].count("95 % interval") == 2
    assert lines[1].split() == ["Varied?", "✕", "no", "✓", "yes"]
    assert cells(lines[2]) == ["recall ↑", "0.500", "0.490 to 0.510", "0.900*", "0.890 to 0.910", "0.950"]
    assert any(line.startswith("* clearly the best") for line in lines)
    assert "encoded-columns-1" in lines[-1]


def test_a_figure_that_one_model_lacks_is_a_dash(report: Report) -> None:
    named = [("a", model(report, figure(0.5), figure(0.3, name="coverage"))), ("b", model(report, figure(0.9)))]
    assert cells(comparison_lines(named)[3]) == ["coverage ↑", "0.300", "0.290 to 0.310", "–", "–", "0.950"]


def test_the_same_name_under_two_questions_is_two_rows(report: Report) -> None:
    answers = [Answer("varied", "?", "yes", "", [figure(0.5)]), Answer("fair", "?", "yes", "", [figure(0.4)])]
    both = replace(report, figures=[], answers=answers)
    rows = [cells(line) for line in comparison_lines([("a", both), ("b", both)])]
    for value, interval in (("0.500", "0.490 to 0.510"), ("0.400", "0.390 to 0.410")):
        assert ["recall ↑", value, interval, value, interval, "0.950"] in rows


def test_figures_over_the_features_are_compared_without_answers(report: Report) -> None:
    plain = replace(report, answers=[])
    lines = comparison_lines([("a", plain), ("b", plain), ("c", plain)])
    assert lines[1] == "Further figures"
    assert cells(lines[2]) == ["density ↑", *["0.920", "0.900 to 0.940"] * 3, "1"]


def test_different_protocols_are_refused_naming_models_and_differences(report: Report) -> None:
    other = replace(report, protocol=replace(report.protocol, count=400, target="age"))
    message = "b and c cannot be compared \\(count: 10000, 400; target: income, age\\): evaluate both"
    for compared in (comparison_lines, comparison_table):
        with pytest.raises(GannetError, match=message):
            compared([("a", report), ("b", report), ("c", other)])


def test_a_single_model_is_nothing_to_compare(report: Report) -> None:
    with pytest.raises(GannetError, match="at least two"):
        comparison_lines([("a", report)])


def test_the_html_table_shows_intervals_and_escapes_names(report: Report) -> None:
    text = comparison_table([("<b>", model(report, figure(0.5))), ("b", model(report, figure(0.9)))])
    assert "0.900* (0.890 to 0.910)" in text
    assert "<b>" not in text and "&lt;b&gt;" in text


def test_the_page_holds_the_table_the_protocol_and_nothing_from_elsewhere(report: Report) -> None:
    text = render_comparison([("<b>", model(report, figure(0.5))), ("b", model(report, figure(0.9)))])
    assert "0.900* (0.890 to 0.910)" in text and "encoded-columns-1" in text
    assert "<b>" not in text and "http" not in text.replace("http-equiv", "")
    with pytest.raises(GannetError, match="cannot be compared"):
        render_comparison([("a", report), ("b", replace(report, protocol=replace(report.protocol, seed=9)))])
