"""The page: whole, well-formed, self-contained, safe with hostile names, legible, and complete whatever is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from gannet.metrics.answer import Answer, Figure, Picture, Table
from gannet.metrics.report import Report
from gannet.metrics.side_by_side import ROWS_SHOWN
from gannet.report import render_page
from gannet.report.style import DARK, LIGHT, STYLE
from gannet.report.words import QUESTIONS, duration, number, printable

VOID = {"meta", "img", "line", "circle", "polygon", "polyline", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Reads a page strictly: every tag closed in order; keeps tags, attributes, ids and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def bare(report: Report, **changes: Any) -> Report:
    return replace(report, **changes)


def test_the_page_is_well_formed_and_its_ids_are_unique(report: Report, facts: dict[str, Any]) -> None:
    page = render_page(report, facts)
    assert page.startswith("<!DOCTYPE html>")
    ids = [given["id"] for _, given in Reader(page).tags if "id" in given]
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched_and_nothing_runs(report: Report, facts: dict[str, Any]) -> None:
    reader = Reader(render_page(report, facts))
    sources = [
        given.get(name) for _, given in reader.tags for name in ("src", "href", "srcset", "xlink:href", "action")
    ]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources if source)
    assert not reader.named("script", "link", "iframe", "object", "embed", "base", "form")
    assert "url(" not in STYLE and "@import" not in STYLE
    assert not [name for _, given in reader.tags for name in given if name.startswith("on")]
    (policy,) = [each["content"] for each in reader.named("meta") if each.get("http-equiv")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_hostile_names_are_shown_as_they_are_and_make_no_element(report: Report, facts: dict[str, Any]) -> None:
    page = render_page(report, {**facts, "name": '"><script>alert(1)</script>', "kind": "<img src=x onerror=alert(1)>"})
    reader = Reader(page)
    assert not reader.named("script", "b")
    assert len(reader.named("img")) == 3
    assert "<b>&\"'</b><script>alert(1)</script>" in reader.text


@pytest.mark.parametrize("hurt", ["\x00\x1b[31m", "\ud800", "\u202eevil", "\x85"])
def test_characters_that_break_documents_are_replaced(hurt: str, report: Report) -> None:
    page = render_page(report, {"name": f"a{hurt}b"})
    page.encode("utf-8")
    assert hurt not in page
    assert printable("Größe 年収 🙂\t") == "Größe 年収 🙂\t"


def test_headings_go_down_one_step_at_a_time(report: Report, facts: dict[str, Any]) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(render_page(report, facts)).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_every_picture_has_words_every_table_a_caption_and_every_chart_a_label(
    report: Report, facts: dict[str, Any]
) -> None:
    page = render_page(report, facts)
    reader = Reader(page)
    assert all(each["alt"] for each in reader.named("img"))
    assert page.count("<table>") == page.count("<caption>") > 3
    charts = [each for each in reader.named("svg") if each.get("role") == "img"]
    assert len(charts) > 15 and all(each["aria-label"] for each in charts)
    assert all(each["scope"] in ("row", "col") for each in reader.named("th"))


def test_the_parts_come_in_the_order_in_which_a_reader_asks(report: Report, facts: dict[str, Any]) -> None:
    page = render_page(report, facts)
    places = [page.index(f'id="{key}"') for key in (*QUESTIONS, "figures", "training", "protocol", "limits")]
    assert places == sorted(places)
    assert page.index("Samples this model generated") < places[0]


def test_six_chips_say_the_verdict_in_words_and_lead_to_their_question(report: Report) -> None:
    page = render_page(report, {})
    chips = re.findall(r'<a href="#(\w+)"><span>(\w+)</span><span class="verdict \w+">.*?</span> (\w+)</span>', page)
    wanted = ["yes", "partly", "no", "unknown", "yes", "partly"]
    assert [(key, word) for key, _, word in chips] == list(zip(QUESTIONS, wanted, strict=True))


def test_the_summary_says_all_six_verdicts(report: Report, facts: dict[str, Any]) -> None:
    text = Reader(render_page(report, facts)).text
    assert "adult-1 generates tables, trained with R3GAN on adult.csv for 204,800 samples (10 min 12 s)." in text
    assert "Real and fair: yes. Varied and useful: only partly. New: no. Private: could not be told." in text


def test_a_question_that_was_not_asked_is_unknown_and_said_to_be(report: Report) -> None:
    text = Reader(render_page(bare(report, answers=report.answers[:2]), {})).text
    assert text.count("This question was not asked") == 4
    assert "Not judged: whether the samples are new, private, fair and useful." in text


def test_figures_of_answers_are_not_shown_twice(report: Report) -> None:
    page = render_page(report, {})
    assert page.count('class="name"><span>precision</span>') == 1
    assert page.count('class="name"><span>density</span>') == 1


@pytest.mark.parametrize("gone", ["name", "log", "preview", "seen", "settings", "referee", "citation", "holdings"])
def test_facts_may_be_missing_or_none(gone: str, report: Report, facts: dict[str, Any]) -> None:
    without = Reader(render_page(report, {key: value for key, value in facts.items() if key != gone})).text
    assert Reader(render_page(report, {**facts, gone: None})).text == without


def test_a_report_without_answers_and_facts_still_makes_a_page(report: Report) -> None:
    text = Reader(render_page(bare(report, answers=[]), {})).text
    assert "the six questions were not asked" in text
    assert "density" in text and "precision" in text


def test_a_report_of_nothing_makes_a_page(report: Report) -> None:
    empty = Answer("real", "Real?", "unknown", "", tables=[Table("", [], [])], pictures=[Picture("gone", b"")])
    Reader(render_page(bare(report, answers=[empty], figures=[], notes=[]), {"log": [], "referee": []}))


def test_what_the_referee_did_is_numbered_in_the_curves_and_told(report: Report, facts: dict[str, Any]) -> None:
    page = render_page(report, facts)
    assert page.count('class="mark"') == 2 * 7
    assert "soften: the generator's loss rose to 27 times" in Reader(page).text
    assert "found nothing to mend" in Reader(render_page(report, {"referee": [], "seen": 3})).text


def test_what_the_files_hold_stands_with_privacy_once(report: Report, facts: dict[str, Any]) -> None:
    page = render_page(report, facts)
    place = page.index("no training row and no index")
    assert page.index('id="private"') < place < page.index('id="fair"')
    told = [replace(each, notes=facts["holdings"]) if each.key == "private" else each for each in report.answers]
    assert render_page(bare(report, answers=told), facts).count("no training row and no index") == 1


def test_the_commands_that_give_this_again_are_ready_to_paste(report: Report, facts: dict[str, Any]) -> None:
    text = Reader(render_page(report, facts)).text
    assert "gannet evaluate 'runs/adult 1' --target income --sensitive sex --sensitive race" in text


def test_half_of_the_training_samples_as_reference_is_named_a_limit(report: Report) -> None:
    halved = bare(report, protocol=replace(report.protocol, reference="half of the training samples"))
    assert "memorised" in Reader(render_page(halved, {})).text
    assert "memorised" not in Reader(render_page(report, {})).text


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_the_contrast_that_accessibility_asks(colours: dict[str, str]) -> None:
    inks = ("text", "faint", "link", "yes", "partly", "no", "unknown", "s0", "s1", "s2", "s3", "s4")
    grounds = ("ground", "raised")
    poor = [(ink, ground) for ink in inks for ground in grounds if contrast(colours[ink], colours[ground]) < 4.5]
    assert poor == []
    assert contrast(colours["rail"], colours["ground"]) >= 3


def test_contrast_is_the_one_of_the_accessibility_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8731, "0.873"),
        (0.99996, "1.00"),
        (1.0, "1"),
        (0.0, "0"),
        (-0.5, "−0.500"),
        (12.345, "12.3"),
        (999.7, "1,000"),
        (31_207.4, "31,207"),
        (3.2e-7, "3.20 × 10⁻⁷"),
        (-8.1e11, "−8.10 × 10¹¹"),
        (1e6, "1.00 × 10⁶"),
        (None, "–"),
        (float("nan"), "not a number"),
        (float("inf"), "infinite"),
    ],
)
def test_numbers_are_short_and_honest(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "under 1 s"), (0, "0 s"), (42, "42 s"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min")],
)
def test_times_are_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_in_tables_stand_to_the_right_and_words_do_not() -> None:
    rows = [["a", "0.91", "0.8 to 0.9", "kind 1"], ["b", "–", "3.20 × 10⁻⁷", "2"]]
    answer = Answer("real", "Real?", "yes", "", tables=[Table("t", ["", "x", "y", "z"], rows)])
    figure = Figure("f", 1.0, None, None, None, "lower", "")
    page = render_page(Report(_protocol(), [figure], [], [answer]), {})
    assert '<td class="number">0.8 to 0.9</td>' in page
    assert "<td>kind 1</td>" in page


def _protocol() -> Any:
    from gannet.metrics.report import Protocol

    return Protocol(10, 2, "toy-1", None, "held-out samples", "the features' own", 0, "1", None)


def test_a_page_that_shows_training_samples_says_so_at_its_top(report: Report, facts: dict[str, Any]) -> None:
    assert "Holds real data" not in render_page(report, facts)
    answers = [replace(each, notes=[*each.notes, ROWS_SHOWN]) if each.key == "new" else each for each in report.answers]
    page = render_page(replace(report, answers=answers), facts)
    assert page.index("Holds real data") < page.index('id="real"')
