"""A report with answers: whole through JSON, legible as lines, and comparable question by question."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gannet.errors import GannetError
from gannet.metrics.answer import Answer, Figure, Picture, Table
from gannet.metrics.report import Protocol, Report, clearly_better, compare


def protocol(**changes: Any) -> Protocol:
    given = {"count": 400, "features": 8, "embedder": "toy-1", "resize": None, "seed": 0, "metrics": "1", "data": None}
    words = {"reference": "held-out samples", "unit": "the features' own"}
    return Protocol(**{**given, **words, **changes})


@pytest.fixture
def report() -> Report:
    recall = Figure("recall", 0.61, (0.58, 0.64), 0.93, 0.21, "higher", "is everything there?", 1.0)
    copies = Figure("copies", 31.0, None, None, None, "lower", "rows returned as they are")
    answers = [
        Answer(
            "varied",
            "Is everything there?",
            "partly",
            "Nine kinds of ten.",
            [recall],
            [Table("per class", ["class", "recall"], [["Größe", "0.5"]])],
            [Picture("neighbours", b"\x89PNG\x00\xff")],
            ["few samples"],
        ),
        Answer("new", "Are they new?", "unknown", "Not measured.", [copies]),
    ]
    features = [replace(recall, copying=None), Figure("density", 0.9, (0.8, 1.0), 1.0, 0.1, "higher", "how dense")]
    return Report(protocol(target="income", sensitive=("sex", "race")), features, ["a note"], answers)


def test_a_report_with_answers_survives_json(report: Report) -> None:
    assert Report.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report


def test_a_report_written_before_there_were_answers_is_read(report: Report) -> None:
    data = replace(report, answers=[]).to_json()
    del data["answers"], data["protocol"]["sensitive"], data["protocol"]["target"]
    old = Report.from_json(data)
    assert old.answers == [] and old.protocol.sensitive == () and old.figures == report.figures


@pytest.mark.parametrize(
    "hurt",
    [
        {"answers": [{"key": "real"}]},
        {"answers": 3},
        {"protocol": None},
        {"figures": [{"name": "x"}]},
        {"protocol": {"count": 3}},
    ],
)
def test_a_hurt_report_is_refused(report: Report, hurt: dict[str, Any]) -> None:
    with pytest.raises(GannetError, match="not an evaluation report"):
        Report.from_json({**report.to_json(), **hurt})


def test_a_hurt_picture_is_refused(report: Report) -> None:
    data = report.to_json()
    data["answers"][0]["pictures"][0]["png"] = "a"
    with pytest.raises(GannetError, match="not an evaluation report"):
        Report.from_json(data)


def test_lines_give_each_question_its_verdict_sentence_figures_and_notes(report: Report) -> None:
    lines = report.lines()
    assert lines[:5] == [
        "Is everything there? PARTLY",
        "  Nine kinds of ten.",
        "",
        "            generated  95 % interval  real  floor  copying",
        "  recall ↑       0.61   0.58 to 0.64  0.93   0.21        1",
    ]
    assert lines[5] == "  note: few samples"
    assert "Are they new? UNKNOWN" in lines
    assert "  copies ↓         31              -     -" in lines


def test_lines_end_with_the_figures_no_answer_shows_and_the_protocol(report: Report) -> None:
    lines = report.lines()
    assert [figure.name for figure in report.other_figures()] == ["density"]
    assert sum(line.startswith(("recall", "  recall")) for line in lines) == 1
    assert "density: how dense" in lines and "note: a note" in lines
    assert lines[-2:] == ["protocol: column to predict income", "protocol: sensitive columns sex, race"]


def test_answers_are_found_by_key(report: Report) -> None:
    found = report.answer("new")
    assert found is not None and found.question == "Are they new?"
    assert report.answer("fair") is None


def test_figures_of_answers_are_compared_under_their_question(report: Report) -> None:
    better = replace(
        report.answers[0], figures=[replace(report.answers[0].figures[0], value=0.9, interval=(0.85, 0.95))]
    )
    rows = compare(report, replace(report, answers=[better, report.answers[1]]))
    assert [(row.question, row.name, row.better) for row in rows] == [
        ("varied", "recall", "second"),
        ("new", "copies", None),
        (None, "density", None),
    ]


@pytest.mark.parametrize("change", [{"target": "age"}, {"sensitive": ("sex",)}])
def test_what_was_predicted_and_whose_groups_are_part_of_the_protocol(report: Report, change: dict[str, Any]) -> None:
    with pytest.raises(GannetError, match=f"cannot be compared \\({next(iter(change))}: "):
        compare(report, replace(report, protocol=replace(report.protocol, **change)))


def test_nothing_is_clear_without_both_intervals(report: Report) -> None:
    sure = report.answers[0].figures[0]
    assert clearly_better(sure, replace(sure, value=0.1, interval=(0.0, 0.2)))
    assert not clearly_better(sure, replace(sure, value=0.1, interval=None))
    assert clearly_better(
        replace(sure, better="lower", interval=(0.0, 0.1)), replace(sure, better="lower", interval=(0.2, 0.3))
    )
