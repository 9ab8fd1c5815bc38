"""The course of training from the run's log: small line charts with their labels at the lines' own ends.

`training_charts(log, referee)` gives SVG figures: score, variety, balance, each player's terms, gradients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gannet.report.markup import escape
from gannet.report.words import number, short_count

Point = tuple[float, float | None]
Record = Mapping[str, Any]

PLOT_LEFT, PLOT_RIGHT = 9.0, 72.0
"""Per cent of the width between which the lines lie; right of them are their labels."""
TOP, DEPTH = 14, 140
"""Pixels above the plot, and its height."""
MOST_POINTS = 300
MOST_LINES = 5
WIDE = 50.0
"""Ratio of the largest to the smallest value from which the scale is logarithmic."""
CUT = 0.02
"""Share of the values that may lie beyond the frame, so that one spike does not flatten the rest."""
LARGEST = 1e100
"""Size at which values of the log are cut, so that the differences of two are numbers."""
LABEL_GAP = 15
LONGEST_LABEL = 15


@dataclass(frozen=True)
class Line:
    """One curve: its name and its points (samples seen, value), None where there was no finite value."""

    name: str
    points: list[Point]

    def values(self) -> list[float]:
        """The finite values, in order."""
        return [value for _, value in self.points if value is not None]


@dataclass(frozen=True)
class Chart:
    """Several curves in one frame."""

    title: str
    lines: list[Line]
    level: tuple[str, float] | None = None
    """A value to compare with, and its name: drawn as a dashed line."""
    marks: list[float] = field(default_factory=list)
    """Samples seen at which the referee acted; numbered as in its list."""


def training_charts(log: Sequence[Record], referee: Sequence[Record] = ()) -> list[str]:
    """The charts that the log has values for, as SVG figures."""
    terms = [record for record in log if record.get("event") == "terms"]
    looks = [record for record in log if record.get("event") == "score"]
    marks = [float(record["seen"]) for record in referee if _finite(record.get("seen")) is not None]
    return [
        chart_figure(Chart(chart.title, lines, chart.level, marks))
        for chart in [*_look_charts(looks), *_term_charts(terms)]
        if (lines := [line for line in chart.lines if line.values()])
    ]


def _look_charts(looks: Sequence[Record]) -> list[Chart]:
    ceilings = [value for record in looks if (value := _finite(record.get("ceiling"))) is not None]
    return [
        Chart(
            "Score of the samples (lower is better)",
            [_line(looks, "score")],
            ("real", ceilings[-1]) if ceilings else None,
        ),
        Chart("Variety of the samples (1 is like real)", _lines(looks, ("variety", "coverage")), ("real", 1.0)),
        Chart("Told from real by a fresh classifier (0.5 is best)", [_line(looks, "told_apart")], ("chance", 0.5)),
    ]


def _term_charts(terms: Sequence[Record]) -> list[Chart]:
    names = list(dict.fromkeys(key for record in terms for key in record if "/" in key))
    players = list(dict.fromkeys(name.split("/")[0] for name in names))
    charts = [Chart("Pairs the discriminator orders rightly", [_line(terms, "balance")], ("chance", 0.5))]
    for player in players:
        own = [
            name for name in names if name.startswith(f"{player}/") and not name.endswith(("gradient_norm", "update"))
        ]
        # More lines than can be told apart go to further charts.
        for start in range(0, len(own), MOST_LINES):
            part = own[start : start + MOST_LINES]
            charts.append(Chart(f"Loss terms of the {player}", _lines(terms, part)))
    charts.append(Chart("Gradient norms", [_line(terms, f"{player}/gradient_norm", player) for player in players]))
    strength = _line(terms, "augmentation")
    if any(strength.values()):
        charts.append(Chart("Strength of the augmentation", [strength]))
    return charts


def _lines(records: Sequence[Record], keys: Sequence[str]) -> list[Line]:
    return [_line(records, key) for key in keys]


def _line(records: Sequence[Record], key: str, name: str | None = None) -> Line:
    """The curve of one entry of the log, thinned; where the clock went back, the line is broken."""
    given = [(_finite(record.get("seen")), _finite(record[key])) for record in records if key in record]
    step = max(1, len(given) // MOST_POINTS)
    # Counted from the end, so that the last value, which the label names, is always among them.
    thinned = given[(len(given) - 1) % step :: step] if given else []
    points: list[Point] = []
    for seen, value in thinned:
        if seen is not None:
            if points and seen < points[-1][0]:
                points.append((seen, None))
            points.append((seen, value))
    return Line(name or key.split("/")[-1].replace("_", " "), points)


def _finite(value: object) -> float | None:
    """A number of the log that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(LARGEST, max(-LARGEST, float(value))) if math.isfinite(value) else None


# ------------------------------------------------------------------------------------------------------ drawing


@dataclass(frozen=True)
class Scale:
    """From values to pixels; logarithmic where the values span much."""

    low: float
    high: float
    logarithmic: bool
    cut: bool
    """Whether some values lie beyond the frame."""

    def height(self, value: float) -> float:
        """0 at the lower end, 1 at the upper; clipped."""
        if self.logarithmic:
            value = math.log(value) if value > 0 else -math.inf
        low, high = (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def pixel(self, value: float) -> float:
        """Pixels from the top of the figure."""
        return TOP + DEPTH * (1 - self.height(value))

    def ticks(self) -> list[float]:
        """Two to five round values."""
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers][:: max(1, len(powers) // 4)]
        rough = (self.high - self.low) / 3
        base = 10.0 ** math.floor(math.log10(rough))
        step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale_of(values: Sequence[float], level: float | None) -> Scale:
    """A scale that shows the values, but for the outermost two per cent where they would flatten the rest."""
    ordered = sorted(values)
    shown = [*ordered] if level is None else sorted([*ordered, level])
    if shown[0] > 0 and shown[-1] / shown[0] > WIDE:
        return Scale(shown[0], shown[-1], logarithmic=True, cut=False)
    edge = int(CUT * len(ordered))
    low, high = ordered[edge], ordered[len(ordered) - 1 - edge]
    if level is not None:
        low, high = min(low, level), max(high, level)
    cut = edge > 0 and high > low and shown[-1] - shown[0] > 3 * (high - low)
    if not cut:
        low, high = shown[0], shown[-1]
    if not (math.isfinite(high - low) and high - low > 1e-9 * max(abs(high), abs(low))):
        pad = 0.5 * abs(high) or 0.5
        return Scale(high - pad, high + pad, logarithmic=False, cut=False)
    pad = 0.05 * (high - low)
    return Scale(low - pad, high + pad, logarithmic=False, cut=cut)


def chart_figure(chart: Chart) -> str:
    """A chart as an HTML figure: title above, SVG below; every line has at least one finite value."""
    scale = scale_of([value for line in chart.lines for value in line.values()], chart.level and chart.level[1])
    seen = [at for line in chart.lines for at, _ in line.points]
    first, last = min(0.0, *seen), max(*seen, 1.0)

    def across(at: float) -> float:
        return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * min(1.0, max(0.0, (at - first) / (last - first)))

    parts = [*_frame(scale, last), *_level(chart, scale)]
    parts += [_mark(place, across(at)) for place, at in enumerate(chart.marks, start=1)]
    parts.append(_curves(chart, scale, first, last))
    parts += _labels(chart, scale, across)
    about = "; ".join([_in_words(line) for line in chart.lines])
    remarks = [
        *(["logarithmic scale"] if scale.logarithmic else []),
        *(["spikes beyond the frame"] if scale.cut else []),
    ]
    remark = f' <span class="faint">({", ".join(remarks)})</span>' if remarks else ""
    return (
        f'<figure class="chart"><figcaption>{escape(chart.title)}{remark}</figcaption>'
        f'<svg width="100%" height="{TOP + DEPTH + 24}" role="img" aria-label="{escape(f"{chart.title}: {about}")}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _in_words(line: Line) -> str:
    values = line.values()
    ends = f"{line.name} from {number(values[0])} to {number(values[-1])}"
    return f"{ends}, lowest {number(min(values))}, highest {number(max(values))}"


def _frame(scale: Scale, last: float) -> list[str]:
    """Grid lines with their values, and the axis of samples seen."""
    parts = []
    for tick in scale.ticks():
        y = scale.pixel(tick)
        parts.append(f'<line class="grid" x1="{PLOT_LEFT:g}%" x2="{PLOT_RIGHT:g}%" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = f'x="{PLOT_LEFT - 1:g}%" y="{y + 4:.1f}" text-anchor="end"'
        parts.append(f'<text class="tickname" {text}>{escape(_tick_name(tick))}</text>')
    bottom = TOP + DEPTH
    parts.append(f'<line class="rail thin" x1="{PLOT_LEFT:g}%" x2="{PLOT_RIGHT:g}%" y1="{bottom}" y2="{bottom}"/>')
    parts.append(f'<text class="tickname" x="{PLOT_LEFT:g}%" y="{bottom + 17}">0</text>')
    end = f"{short_count(last)} samples seen"
    return [*parts, f'<text class="tickname" x="{PLOT_RIGHT:g}%" y="{bottom + 17}" text-anchor="end">{end}</text>']


def _tick_name(tick: float) -> str:
    """A round value without the noughts that tell nothing: 0.5, 20, 1,000."""
    text = number(float(f"{tick:.6g}"))
    return text.rstrip("0").rstrip(".") if "." in text and "×" not in text else text


def _level(chart: Chart, scale: Scale) -> list[str]:
    if chart.level is None:
        return []
    y = scale.pixel(chart.level[1])
    return [f'<line class="level" x1="{PLOT_LEFT:g}%" x2="{PLOT_RIGHT:g}%" y1="{y:.1f}" y2="{y:.1f}"/>']


def _mark(place: int, at: float) -> str:
    """What the referee did, at its time."""
    return (
        f'<line class="mark" x1="{at:.2f}%" x2="{at:.2f}%" y1="{TOP}" y2="{TOP + DEPTH}"/>'
        f'<text class="tickname" x="{at:.2f}%" y="{TOP - 3}" text-anchor="middle">{place}</text>'
    )


def _curves(chart: Chart, scale: Scale, first: float, last: float) -> str:
    """The lines, in a frame of their own that stretches with the page."""
    drawn = []
    for place, line in enumerate(chart.lines):
        for piece in _pieces(line):
            points = " ".join(
                f"{1000 * (at - first) / (last - first):.1f},{1000 * (1 - scale.height(value)):.1f}"
                for at, value in piece
            )
            # A single point is a line of no length, which a round cap makes visible.
            doubled = f"{points} {points}" if len(piece) == 1 else points
            drawn.append(f'<polyline class="line s{place % MOST_LINES}" points="{doubled}"/>')
    where = f'x="{PLOT_LEFT:g}%" y="{TOP}" width="{PLOT_RIGHT - PLOT_LEFT:g}%" height="{DEPTH}"'
    frame = 'viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible"'
    return f"<svg {where} {frame}>{''.join(drawn)}</svg>"


def _pieces(line: Line) -> list[list[tuple[float, float]]]:
    """The line's stretches of finite values."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in line.points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((at, value))
    return [piece for piece in pieces if piece]


def _labels(chart: Chart, scale: Scale, across: Any) -> list[str]:
    """Each line's name and last value at its end, moved apart where they would touch."""
    wanted = [
        (scale.pixel(line.values()[-1]), f"s{place % MOST_LINES}", line.name, line.values()[-1])
        for place, line in enumerate(chart.lines)
    ]
    if chart.level is not None:
        wanted.append((scale.pixel(chart.level[1]), "faint", *chart.level))
    wanted.sort(key=lambda each: each[0])
    rows = _spread([each[0] for each in wanted])
    parts = []
    for row, (_, kind, name, value) in zip(rows, wanted, strict=True):
        short = name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"
        parts.append(
            f'<text class="name {kind}" x="{PLOT_RIGHT + 1.5:g}%" y="{row + 4:.1f}">{escape(short)} '
            f'<tspan class="faint">{escape(number(value))}</tspan></text>'
        )
    for place, line in enumerate(chart.lines):
        at, value = next((at, value) for at, value in reversed(line.points) if value is not None)
        parts.append(
            f'<circle class="end s{place % MOST_LINES}" cx="{across(at):.2f}%" cy="{scale.pixel(value):.1f}" r="3"/>'
        )
    return parts


def _spread(rows: list[float]) -> list[float]:
    """Heights in order, moved apart to the gap of two labels and kept inside the figure."""
    moved: list[float] = []
    for row in rows:
        moved.append(max(row, moved[-1] + LABEL_GAP) if moved else row)
    lowest = float(TOP + DEPTH)
    for place in range(len(moved) - 1, -1, -1):
        moved[place] = min(moved[place], lowest)
        lowest = moved[place] - LABEL_GAP
    return moved
