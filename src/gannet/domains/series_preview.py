"""A picture of series: lines of some samples over a few real ones and the range in which the real ones run.

`Backdrop.of(panel, encoding)` keeps ranges by step (of many series, no single one); `draw(samples, real, ...)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gannet.domains.series_panel import Named, Panel
from gannet.domains.series_smooth import Smooth
from gannet.domains.table_column import spell_short
from gannet.domains.table_values import Numbers, Texts

if TYPE_CHECKING:
    from gannet.domains.series_encoding import Encoding

MOST_PANELS, MOST_LINES = 9, 6
WIDTH, HEIGHT, MARGIN, ACROSS = 340, 210, 16, 3
INK, FAINT, BAND, MIDDLE, REAL = "#1f2a33", "#6b7780", "#eef2f5", "#dfe6ec", "#a9b6c1"
SAMPLES = ("#d1495b", "#a8324a", "#e8808d")
RANGES = (0.02, 0.25, 0.75, 0.98)
LEAST_SERIES = 20
"""Series behind a range; fewer would show one of them."""
MOST_READ = 5_000
MAGNITUDES = 100
"""Largest over smallest value from which an axis is logarithmic."""


@dataclass(frozen=True)
class Backdrop:
    """For each course, by step: where most of the real series run (numbers), or how common each level is."""

    ranges: dict[str, list[list[float]]]
    """Course of numbers -> low, lower, upper, high, each [steps]; shorter than the series where few go on."""
    shares: dict[str, dict[str, list[float]]]
    """Course of levels -> level -> share [steps]."""
    logarithms: list[str]
    """Courses over so many magnitudes that their axis is logarithmic."""

    @classmethod
    def of(cls, panel: Panel, encoding: Encoding) -> Backdrop:
        """From some thousands of the series."""
        some = panel.take(np.linspace(0, len(panel) - 1, min(len(panel), MOST_READ)).astype(np.int64))
        places, alive = some.places(encoding.length)
        known = int((alive.sum(0) >= LEAST_SERIES).sum())
        ranges, shares = {}, {}
        for course in panel.courses[:MOST_PANELS]:
            if isinstance(course.values, Numbers):
                values = np.where(alive, course.values.array[places], np.nan)[:, :known]
                ranges[course.name] = [_quantiles(column) for column in values.T]
            else:
                shares[course.name] = _shares(course.values, places, alive, known)
        across = {name: np.array(rows).T.reshape(len(RANGES), -1).tolist() for name, rows in ranges.items()}
        wide = [
            form.name
            for form, track in encoding.tracks
            if isinstance(track, Smooth) and track.low > 0 and track.high > MAGNITUDES * track.low
        ]
        return cls(across, shares, wide)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Backdrop:
        return cls(**data)


def _quantiles(column: np.ndarray) -> list[float]:
    """Ranges of the values of one step; of too few, the bare middle."""
    present = column[np.isfinite(column)]
    if not len(present):
        return [0.0] * len(RANGES)
    return [float(value) for value in np.quantile(present, RANGES)]


def _shares(values: Texts, places: np.ndarray, alive: np.ndarray, known: int) -> dict[str, list[float]]:
    codes = np.where(alive, values.codes[places], -1)[:, :known]
    common = np.argsort(-values.counts, kind="stable")[:8]
    count = np.maximum((codes >= 0).sum(0), 1)
    return {values.levels[code]: ((codes == code).sum(0) / count).tolist() for code in common.tolist()}


def draw(samples: Panel, real: Panel | None, backdrop: Backdrop, length: int) -> Image.Image:
    """A panel a course, three to a row: the range of the real series, some real ones in grey, some samples in red."""
    courses = samples.courses[:MOST_PANELS]
    across = max(1, min(ACROSS, len(courses)))
    down = max(1, -(-len(courses) // across))
    picture = Image.new("RGB", (across * WIDTH + MARGIN, down * HEIGHT + 44), "white")
    pen = ImageDraw.Draw(picture)
    _legend(pen, real is not None)
    for index, course in enumerate(courses):
        left, top = MARGIN + index % across * WIDTH, 44 + index // across * HEIGHT
        box = (left, top + 24, left + WIDTH - MARGIN - 46, top + HEIGHT - 26)
        pen.text((left, top + 10), _short(pen, course.name, WIDTH - MARGIN - 8), fill=INK, font=_font(14), anchor="lm")
        beside = None if real is None else next((each for each in real.courses if each.name == course.name), None)
        if isinstance(course.values, Numbers):
            logarithmic = course.name in backdrop.logarithms
            ranges = _scaled(np.array(backdrop.ranges.get(course.name, [])), logarithmic)
            grey = [] if beside is None or real is None else _lines(beside, real, logarithmic)
            ends = _curves(pen, box, _lines(course, samples, logarithmic), grey, ranges, length)
            for value, y in zip(np.exp(ends) if logarithmic else ends, (box[3], box[1]), strict=True):
                pen.text((box[2] + 6, y), _number(float(value), course), fill=FAINT, font=_font(11), anchor="lm")
        else:
            _levels(pen, box, course, samples, backdrop.shares.get(course.name, {}), length)
    return picture


def _curves(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    samples: list[np.ndarray],
    real: list[np.ndarray],
    ranges: np.ndarray,
    length: int,
) -> tuple[float, float]:
    """Lines over time over the ranges [4, steps] of real ones; returns the values at the lower and the upper end."""
    left, top, right, bottom = box
    inside = np.concatenate([ranges.ravel(), *samples, *real])
    inside = inside[np.isfinite(inside)]
    low, high = (float(inside.min()), float(inside.max())) if len(inside) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, low + 0.5

    def at(values: Sequence[float] | np.ndarray) -> list[tuple[float, float]]:
        across, up = (right - left) / max(length - 1, 1), (bottom - top) / (high - low)
        return [(left + step * across, bottom - (value - low) * up) for step, value in enumerate(values)]

    if ranges.size and ranges.shape[1] > 1:
        for lower, upper, shade in ((ranges[0], ranges[3], BAND), (ranges[1], ranges[2], MIDDLE)):
            pen.polygon(at(upper) + at(lower)[::-1], fill=shade)
    for line in real:
        _stroke(pen, at(line), line, REAL, 1)
    for index, line in enumerate(samples):
        _stroke(pen, at(line), line, SAMPLES[index % len(SAMPLES)], 2)
    _axes(pen, box, length)
    return low, high


def _levels(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    course: Named,
    samples: Panel,
    shares: dict[str, list[float]],
    length: int,
) -> None:
    """How common each level is at each step: the real ones as bands, the samples as lines."""
    left, top, right, bottom = box
    assert isinstance(course.values, Texts)
    places, alive = samples.places(length)
    codes = np.where(alive, course.values.codes[places], -1)
    count = np.maximum((codes >= 0).sum(0), 1)
    rows = max(len(shares), 1)
    height = (bottom - top) / rows
    for row, (level, real) in enumerate(shares.items()):
        floor = top + (row + 1) * height - 2
        drawn = np.zeros(length)
        if level in course.values.levels:
            drawn = (codes == course.values.levels.index(level)).sum(0) / count
        step = (right - left) / max(length, 1)
        for index, share in enumerate(real):
            x = left + index * step
            pen.rectangle([x, floor - share * (height - 4), x + step, floor], fill=BAND if not share else "#cfd9e1")
        points = [(left + (index + 0.5) * step, floor - share * (height - 4)) for index, share in enumerate(drawn)]
        if len(points) > 1:
            pen.line(points, fill=SAMPLES[0], width=2)
        pen.text(
            (right + 6, floor - height / 2 + 2), _short(pen, level or "''", 44), fill=FAINT, font=_font(11), anchor="lm"
        )
    _axes(pen, box, length)


def _lines(course: Named, panel: Panel, logarithmic: bool) -> list[np.ndarray]:
    """The first series of a panel, at most six."""
    assert isinstance(course.values, Numbers)
    pairs = zip(panel.begin[:MOST_LINES].tolist(), panel.end[:MOST_LINES].tolist(), strict=True)
    return [_scaled(course.values.array[begin:end], logarithmic) for begin, end in pairs]


def _scaled(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    return np.log(np.maximum(values, np.finfo(float).tiny)) if logarithmic else values


def _stroke(
    pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], line: np.ndarray, colour: str, width: int
) -> None:
    """A line that is broken where values are missing; a lone value is a dot."""
    run: list[tuple[float, float]] = []
    for point, there in zip([*points, (0.0, 0.0)], [*np.isfinite(line), False], strict=True):
        if there:
            run.append(point)
            continue
        if len(run) == 1:
            x, y = run[0]
            pen.ellipse([x - width, y - width, x + width, y + width], fill=colour)
        elif run:
            pen.line(run, fill=colour, width=width, joint="curve")
        run = []


def _axes(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], length: int) -> None:
    left, _, right, bottom = box
    pen.line([left, bottom + 1, right, bottom + 1], fill=FAINT)
    pen.text((left, bottom + 11), "1", fill=FAINT, font=_font(11), anchor="lm")
    pen.text((right, bottom + 11), f"{length:,}", fill=FAINT, font=_font(11), anchor="rm")


def _number(value: float, course: Named) -> str:
    """A number beside an axis."""
    if course.form.meaning in ("integer", "decimal"):
        return f"{value:.4g}"
    return spell_short(value, course.form)


def _legend(pen: ImageDraw.ImageDraw, real: bool) -> None:
    pen.rectangle([MARGIN, 12, MARGIN + 22, 28], fill=MIDDLE)
    pen.text((MARGIN + 28, 20), "where real series run", fill=INK, font=_font(13), anchor="lm")
    x = MARGIN + 180
    if real:
        pen.line([x, 20, x + 22, 20], fill=REAL, width=2)
        pen.text((x + 28, 20), "real", fill=INK, font=_font(13), anchor="lm")
        x += 76
    pen.line([x, 20, x + 22, 20], fill=SAMPLES[0], width=3)
    pen.text((x + 28, 20), "samples", fill=INK, font=_font(13), anchor="lm")


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _short(pen: ImageDraw.ImageDraw, text: str, room: int) -> str:
    """The text, cut with dots where it is wider than `room` pixels."""
    text = " ".join(text.split())
    if pen.textlength(text, font=_font(12)) <= room:
        return text
    while text and pen.textlength(text + "...", font=_font(12)) > room:
        text = text[:-1]
    return text + "..."
