"""The card: every fact once, nothing that Markdown acts upon, and no claim about what is not known."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from gannet.metrics.answer import Answer, Figure
from gannet.metrics.report import Report
from gannet.report import render_card
from gannet.report.card import fenced, plain
from gannet.report.words import key_figures


def test_the_card_holds_what_a_reader_asks(report: Report, facts: dict[str, Any]) -> None:
    card = render_card(report, facts)
    titles = re.findall(r"^## (.*)", card, re.M)
    assert titles == [
        "The model",
        "The data",
        "What was proved",
        "Protocol",
        "Training",
        "What the model files hold",
        "Limits",
        "Load and sample",
        "Cite",
    ]
    for part in ("3f2a9c0de1", "R3GAN", "204,800", "10 min 12 s", "torch | 2.13", "huang2024gan", "✕ no", "0.873"):
        assert part in card
    assert 'gannet.load("runs/adult 1")' in card


def test_a_licence_is_named_only_when_known(report: Report, facts: dict[str, Any]) -> None:
    assert "licen" not in render_card(report, facts).lower()
    assert 'license: "cc-by-4.0"' in render_card(report, {**facts, "licence": "cc-by-4.0"})


def test_a_card_of_nothing_but_a_report_is_whole(report: Report) -> None:
    card = render_card(replace(report, answers=[], figures=[]), {})
    assert "A generative model" in card and "## Limits" in card and "## Cite" not in card


def test_every_row_of_every_table_has_the_cells_of_its_head(report: Report, facts: dict[str, Any]) -> None:
    blocks = re.findall(r"(?:^\|.*\n?)+", render_card(report, facts), re.M)
    assert len(blocks) == 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<b>x</b>", r"\<b\>x\</b\>"),
        ("a|b", r"a\|b"),
        ("capital_gain", "capital_gain"),
        ("_x_ __y__", r"\_x\_ \_\_y\_\_"),
        ("*x* `y` [z](q)", r"\*x\* \`y\` \[z\](q)"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("0.81 against 0.86", "0.81 against 0.86"),
        ("two\nlines\x00", "two lines�"),
        ("&lt; & more", r"\&lt; & more"),
        ("see https://a.example", r"see https\://a.example"),
        ("", ""),
    ],
)
def test_text_stays_text_in_markdown(text: str, written: str) -> None:
    assert plain(text) == written


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert fenced("a\n````\nb", "sh") == "`````sh\na\n````\nb\n`````"


def test_the_worst_figure_is_a_key_figure() -> None:
    figures = [Figure(str(place), 0.9, None, 1.0, 0.0, "higher", "") for place in range(5)]
    figures[4] = replace(figures[4], name="worst", value=0.1)
    chosen = key_figures(Answer("real", "?", "no", "", figures))
    assert [figure.name for figure in chosen] == ["0", "1", "worst"]
    assert key_figures(Answer("real", "?", "no", "")) == []


def test_a_floor_that_is_no_floor_makes_no_figure_the_worst() -> None:
    figures = [Figure(str(place), 0.9, None, 1.0, 0.0, "higher", "") for place in range(5)]
    figures[4] = replace(figures[4], value=0.98, reference=0.98, floor=1.0)
    assert [figure.name for figure in key_figures(Answer("real", "?", "no", "", figures))] == ["0", "1", "2"]


def test_the_card_of_the_same_facts_is_the_same(report: Report, facts: dict[str, Any]) -> None:
    assert render_card(report, facts) == render_card(report, facts)
