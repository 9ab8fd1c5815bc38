"""One figure as a track from floor to ceiling: a dot with whiskers, and the mark of a copying model.

`figure_track(figure)` is an inline SVG whose marks lie at per cent of the width, so text keeps its size on a phone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gannet.metrics.answer import GOOD, Figure
from gannet.report.markup import escape
from gannet.report.words import bounded, figure_in_words, number, span

BEYOND = 0.35
"""How far a track reaches past the floor or the ceiling, as a share of the way between them."""
LEFT, RIGHT = 2.0, 98.0
"""Per cent of the width between which marks lie."""
LINE = 30
"""Height of the track, in pixels from the top."""
ROW = 17
"""Pixels between two lines of labels."""


@dataclass(frozen=True)
class Axis:
    """A figure's own scale: `zero` lies at 0, `one` at 1, and further right is always better."""

    zero: float
    one: float
    low: float
    high: float
    ends: bool
    """Whether 0 and 1 are the floor and the ceiling, rather than the worst and best number known."""

    def share(self, value: float) -> float:
        """Where a value lies between `zero` (0) and `one` (1)."""
        return (value - self.zero) / (self.one - self.zero)

    def percent(self, value: float) -> float:
        """Where a value is drawn, in per cent of the width; beyond the axis, at its end."""
        inside = min(self.high, max(self.low, self.share(value)))
        return LEFT + (RIGHT - LEFT) * (inside - self.low) / (self.high - self.low)

    def beyond(self, value: float) -> int:
        """-1 left of the axis, 1 right of it, else 0."""
        return -1 if self.share(value) < self.low - 1e-9 else int(self.share(value) > self.high + 1e-9)


def axis_of(figure: Figure) -> Axis | None:
    """The scale to draw a figure on; None when it has nothing to be compared with."""
    known = [figure.value, *(figure.interval or ())]
    known += [value for value in (figure.floor, figure.reference, figure.copying) if value is not None]
    known = [value for value in known if math.isfinite(value)]
    if not math.isfinite(figure.value) or not known:
        return None
    if bounded(figure) and figure.floor is not None and figure.reference is not None:
        floor, ceiling = figure.floor, figure.reference
        if math.isfinite(ceiling - floor) and abs(ceiling - floor) > 1e-12 * max(abs(ceiling), abs(floor)):
            shares = [(value - floor) / (ceiling - floor) for value in known]
            low, high = max(-BEYOND, min(0.0, *shares)), min(1 + BEYOND, max(1.0, *shares))
            return Axis(floor, ceiling, low, high, ends=True)
    worst, best = min(known), max(known)
    if not math.isfinite(best - worst) or best - worst <= 1e-12 * max(abs(best), abs(worst)):
        return None
    if figure.better == "lower":
        worst, best = best, worst
    return Axis(worst, best, 0.0, 1.0, ends=False)


def figure_track(figure: Figure) -> str:
    """The track of a figure as inline SVG; an empty text when the figure has nothing to be compared with."""
    axis = axis_of(figure)
    if axis is None:
        return ""
    ends, row = _ends(figure, axis)
    parts = [_rail(axis), *ends, *_interval(figure, axis)]
    if figure.copying is not None and math.isfinite(figure.copying):
        parts.append(_copying(figure.copying, axis, row))
        row += ROW
    parts.append(_value(figure, axis))
    height = row - ROW + 9
    return (
        f'<svg class="track" width="100%" height="{height}" role="img" aria-label="{escape(figure_in_words(figure))}">'
        f"{''.join(parts)}</svg>"
    )


def _rail(axis: Axis) -> str:
    """The line, and the stretch near real samples that counts as good."""
    rail = f'<line class="rail" x1="{LEFT:g}%" x2="{RIGHT:g}%" y1="{LINE}" y2="{LINE}"/>'
    if not axis.ends:
        return rail
    good = axis.percent(axis.zero + GOOD * (axis.one - axis.zero))
    return rail + f'<line class="near" x1="{good:.2f}%" x2="{RIGHT:g}%" y1="{LINE}" y2="{LINE}"/>'


def _ends(figure: Figure, axis: Axis) -> tuple[list[str], int]:
    """Ticks and labels of floor and real, and the row that is free below; one label where both are one number."""
    marks = [("floor", figure.floor), ("real", figure.reference)]
    known = [(name, value) for name, value in marks if value is not None and math.isfinite(value)]
    if len(known) == 2 and known[0][1] == known[1][1]:
        known = [("floor and real", known[0][1])]
    parts, row = [], LINE + 21
    for name, value in known:
        at = axis.percent(value)
        anchor = ("start" if name == "floor" else "end") if axis.ends else _anchor(at)
        parts.append(f'<line class="tick" x1="{at:.2f}%" x2="{at:.2f}%" y1="{LINE - 7}" y2="{LINE + 7}"/>')
        parts.append(_label(at, row, f"{name} {number(value)}", "end", anchor))
        # At the two ends of the track they share a line; anywhere else they might touch.
        row += 0 if axis.ends else ROW
    return parts, row + ROW if axis.ends or not known else row


def _interval(figure: Figure, axis: Axis) -> list[str]:
    """The whiskers of the 95 % interval, without a cap where they go on beyond the track."""
    if figure.interval is None or any(map(math.isnan, figure.interval)):
        return []
    first, last = (axis.percent(end) for end in figure.interval)
    parts = [f'<line class="whisker" x1="{first:.2f}%" x2="{last:.2f}%" y1="{LINE}" y2="{LINE}"/>']
    for end in figure.interval:
        if not axis.beyond(end):
            at = axis.percent(end)
            parts.append(f'<line class="whisker" x1="{at:.2f}%" x2="{at:.2f}%" y1="{LINE - 5}" y2="{LINE + 5}"/>')
    return parts


def _value(figure: Figure, axis: Axis) -> str:
    """The dot with its label; an arrow where the value lies beyond the track."""
    at, side = axis.percent(figure.value), axis.beyond(figure.value)
    if side:
        points = f"0,{LINE - 7} {9 * side},{LINE} 0,{LINE + 7}"
        mark = f'<svg x="{at:.2f}%" overflow="visible"><polygon class="dot" points="{points}"/></svg>'
    else:
        mark = f'<circle class="dot" cx="{at:.2f}%" cy="{LINE}" r="6"/>'
    text = number(figure.value)
    faint = "" if figure.interval is None else f'<tspan class="faint" dx="6">{escape(span(figure.interval))}</tspan>'
    anchor = _anchor(at)
    return mark + f'<text class="value" x="{at:.2f}%" y="13" text-anchor="{anchor}">{escape(text)}{faint}</text>'


def _copying(value: float, axis: Axis, row: int) -> str:
    """The diamond of a model that returns its training samples, with its label on a line of its own."""
    at = axis.percent(value)
    diamond = f'<polygon class="copy" points="0,{LINE - 7} 7,{LINE} 0,{LINE + 7} -7,{LINE}"/>'
    mark = f'<svg x="{at:.2f}%" overflow="visible">{diamond}</svg>'
    return mark + _label(at, row, f"◇ copying {number(value)}", "end", _anchor(at))


def _label(at: float, row: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{at:.2f}%" y="{row:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _anchor(at: float) -> str:
    """Text near an end grows inwards."""
    return "start" if at < 33 else "end" if at > 67 else "middle"
