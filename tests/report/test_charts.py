"""Tracks and curves: every mark at its right place, nothing drawn from nothing, and labels that do not touch."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gannet.metrics.answer import Figure
from gannet.report.charts import LEFT, RIGHT, axis_of, figure_track
from gannet.report.curves import Chart, Line, chart_figure, scale_of, training_charts


def figure(value: float = 0.8, **changes: Any) -> Figure:
    given_ = {"interval": (0.7, 0.9), "reference": 1.0, "floor": 0.0, "better": "higher", "copying": None}
    return Figure("precision", value, meaning="share", **{**given_, **changes})


def percents(svg: str, kind: str, attribute: str) -> list[float]:
    return [float(at) for at in re.findall(rf'<\w+ class="{kind}"[^>]*? {attribute}="([\d.]+)%"', svg)]


def test_a_value_lies_between_floor_and_ceiling_where_its_standing_says() -> None:
    (at,) = percents(figure_track(figure(0.8)), "dot", "cx")
    assert at == pytest.approx(LEFT + 0.8 * (RIGHT - LEFT), abs=0.01)


def test_further_right_is_better_when_lower_is_better_too() -> None:
    poor = figure(9.0, reference=0.1, floor=10.0, better="lower", interval=None)
    good = figure(0.5, reference=0.1, floor=10.0, better="lower", interval=None)
    assert percents(figure_track(poor), "dot", "cx") < percents(figure_track(good), "dot", "cx")
    alone = figure(2.0, reference=1.0, floor=None, better="lower", interval=None)
    axis = axis_of(alone)
    assert axis is not None and not axis.ends
    assert axis.percent(1.0) > axis.percent(2.0)


def test_whiskers_span_the_interval() -> None:
    span = percents(figure_track(figure()), "whisker", "x1") + percents(figure_track(figure()), "whisker", "x2")
    assert min(span) == pytest.approx(LEFT + 0.7 * (RIGHT - LEFT), abs=0.01)
    assert max(span) == pytest.approx(LEFT + 0.9 * (RIGHT - LEFT), abs=0.01)


def test_a_value_beyond_the_track_is_an_arrow_at_its_end_and_a_tick_keeps_its_place() -> None:
    svg = figure_track(figure(-50.0, interval=(-60.0, -40.0)))
    assert "circle" not in svg and 'points="0,23 -9,30 0,37"' in svg
    assert "−50" in svg and "−60 to −40" in svg
    assert 'points="0,23 9,30 0,37"' in figure_track(figure(50.0, interval=None))


def test_a_copying_model_has_a_diamond_and_a_label_of_its_own_line() -> None:
    svg = figure_track(figure(copying=0.99))
    assert 'class="copy"' in svg and "◇ copying 0.990" in svg and 'height="77"' in svg
    assert 'class="copy"' not in figure_track(figure())


def test_the_label_for_those_who_cannot_see_it_says_everything() -> None:
    svg = figure_track(figure(copying=0.99))
    told = "precision 0.800; 95 % interval 0.700 to 0.900; floor 0; real 1; copying 0.990; higher is better"
    assert f'aria-label="{told}"' in svg


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": None, "floor": None, "interval": None},
        {"reference": 0.8, "floor": 0.8, "interval": (0.8, 0.8)},
        {"value": math.nan},
        {"value": math.inf},
    ],
)
def test_nothing_is_drawn_where_nothing_can_be_compared(changes: dict[str, Any]) -> None:
    assert figure_track(figure(**changes)) == ""


def test_floor_and_ceiling_at_one_place_share_a_label() -> None:
    svg = figure_track(figure(0.2, reference=0.5, floor=0.5))
    assert "floor and real 0.500" in svg and 'class="near"' not in svg


def test_a_floor_that_is_no_worse_than_real_is_no_end_of_the_track() -> None:
    shuffled = figure(0.69, interval=None, reference=0.52, floor=0.46, better="lower")
    svg = figure_track(shuffled)
    assert 'class="near"' not in svg
    (value,) = percents(svg, "dot", "cx")
    floor, real = percents(svg, "tick", "x1")
    assert value < real < floor
    rows = re.findall(r'class="end" x="[^"]*" y="(\d+)"', svg)
    assert len(set(rows)) == 2


numbers = some.floats(allow_nan=True, allow_infinity=True)


@given(numbers, some.none() | some.tuples(numbers, numbers), *[some.none() | numbers] * 3, some.booleans())
def test_no_numbers_break_a_track_or_leave_it(
    value: float,
    interval: tuple[float, float] | None,
    reference: float | None,
    floor: float | None,
    copying: float | None,
    lower: bool,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        better = "lower" if lower else "higher"
        svg = figure_track(Figure("f", value, interval, reference, floor, better, "m", copying))
    assert "nan%" not in svg and "inf%" not in svg
    assert all(LEFT - 0.01 <= float(at) <= RIGHT + 0.01 for at in re.findall(r'(?:x|cx|x1|x2)="([-\d.]+)%"', svg))


# Curves


def test_the_log_gives_a_chart_for_every_kind_of_reading(facts: dict[str, Any]) -> None:
    charts = training_charts(facts["log"], facts["referee"])
    titles = [re.search(r"<figcaption>(.*?)( <span|</fig)", chart)[1] for chart in charts]  # type: ignore[index]
    assert titles == [
        "Score of the samples (lower is better)",
        "Variety of the samples (1 is like real)",
        "Told from real by a fresh classifier (0.5 is best)",
        "Pairs the discriminator orders rightly",
        "Loss terms of the discriminator",
        "Loss terms of the generator",
        "Gradient norms",
    ]


@pytest.mark.parametrize(
    "log",
    [
        [],
        [{"event": "score", "seen": 10, "score": None}],
        [{"event": "skipped", "seen": 3}],
        [{"event": "terms", "seen": None, "balance": 0.5}],
        [{"event": "terms"}],
    ],
)
def test_a_log_without_values_gives_no_chart(log: list[dict[str, Any]]) -> None:
    assert training_charts(log) == []


def test_a_single_reading_is_visible() -> None:
    (chart,) = training_charts([{"event": "score", "seen": 10, "score": 2.0}])
    assert "score" in chart and "<circle" in chart


def test_the_line_breaks_where_a_value_is_missing_or_the_clock_went_back() -> None:
    def score(seen: int, value: float | None) -> dict[str, Any]:
        return {"event": "score", "seen": seen, "score": value}

    (gap,) = training_charts([score(1, 1.0), score(2, None), score(3, 2.0)])
    assert gap.count("<polyline") == 2
    (back,) = training_charts([score(1, 1.0), score(5, 2.0), score(3, 1.5), score(6, 1.0)])
    assert back.count("<polyline") == 2
    (whole,) = training_charts([score(1, 1.0), score(5, 2.0)])
    assert whole.count("<polyline") == 1


def test_many_points_are_thinned_and_the_last_is_kept() -> None:
    log = [{"event": "terms", "seen": seen, "balance": seen / 10_000} for seen in range(10_000)]
    (chart,) = training_charts(log)
    (points,) = re.findall(r'points="([^"]*)"', chart)
    assert len(points.split()) < 400
    assert points.split()[-1].startswith("1000.0,")


def test_values_that_span_much_are_on_a_logarithmic_scale_with_decades() -> None:
    scale = scale_of([0.01, 0.5, 20.0], None)
    assert scale.logarithmic and scale.ticks() == pytest.approx([0.01, 0.1, 1.0, 10.0])
    assert scale.height(0.01) == 0 and scale.height(20.0) == 1


def test_a_spike_does_not_flatten_the_rest_and_is_said_to_be_cut() -> None:
    values = [*(place / 100 for place in range(-50, 50)), 1e6]
    scale = scale_of(values, None)
    assert scale.cut and scale.high < 2
    points: list[tuple[float, float | None]] = [(float(at), value) for at, value in enumerate(values)]
    assert "spikes beyond the frame" in chart_figure(Chart("t", [Line("a", points)]))


@given(some.lists(some.floats(-1e100, 1e100), min_size=1, max_size=60))
def test_every_scale_holds_its_ticks_and_values(values: list[float]) -> None:
    scale = scale_of(values, None)
    assert all(0 <= scale.height(value) <= 1 for value in values)
    assert 0 <= len(scale.ticks()) <= 9
    assert "nan" not in chart_figure(Chart("t", [Line("a", [(float(at), value) for at, value in enumerate(values)])]))


def test_labels_at_the_ends_of_lines_do_not_touch() -> None:
    lines = [Line(f"term {place}", [(0.0, 0.0), (1.0, 1.0 + place / 1e4)]) for place in range(5)]
    svg = chart_figure(Chart("t", lines, level=("real", 1.0)))
    rows = sorted(float(y) for y in re.findall(r'<text class="name [^"]*" x="[\d.]+%" y="([\d.]+)"', svg))
    assert len(rows) == 6
    assert all(after - before >= 14.9 for before, after in zip(rows, rows[1:], strict=False))
    assert rows[0] > 0 and rows[-1] < 180


def test_names_of_terms_are_text_and_never_markup() -> None:
    (chart,) = training_charts([{"event": "terms", "seen": 1, "<b>/<i>": 1.0}])
    assert "<b>" not in chart and "<i>" not in chart


def test_a_loss_that_ran_away_is_still_drawn() -> None:
    log = [{"event": "score", "seen": seen, "score": value} for seen, value in enumerate((-1.7e308, 0.0, 1.7e308))]
    (chart,) = training_charts(log)
    assert "nan" not in chart and "10¹⁰⁰" in chart
