"""A picture of a table: small histograms of its columns, samples in front of the real data.

`summarise(column, values)` -> `Histogram` (counts alone, no row); `draw(panels)` -> a picture, with Pillow only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gannet.domains.table_column import span, spell_one
from gannet.domains.table_values import Form, Numbers, Texts, Values, spell

BINS = 20
MOST_BARS = 8
MOST_PANELS = 12
WIDTH, HEIGHT, MARGIN, ACROSS = 300, 190, 14, 4
INK, FAINT, REAL, SAMPLE = "#1f2a33", "#6b7780", "#c9d3db", "#d1495b"


@dataclass(frozen=True)
class Histogram:
    """The shares of one column of the real data, by bins between `edges` or by `levels`."""

    name: str
    edges: tuple[float, ...] | None
    levels: tuple[str, ...] | None
    shares: tuple[float, ...]
    missing: float
    caption: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Histogram:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**values)


def summarise(values: Values, form: Form, *, as_levels: bool) -> Histogram:
    """The histogram of a column: bars for its commonest levels, or bins over the middle 99 % of its values."""
    missing = float(values.missing.mean())
    if as_levels or isinstance(values, Texts):
        levels = _commonest(values, form)
        return Histogram(form.name, None, levels, tuple(level_shares(values, form, levels)), missing, "")
    finite = values.array[np.isfinite(values.array)]
    low, high = np.quantile(finite, [0.005, 0.995])
    edges = tuple(np.linspace(low, high if high > low else low + 1, BINS + 1).tolist())
    caption = span(np.array([edges[0], edges[-1]]), _rounded(form, edges))
    return Histogram(form.name, edges, None, tuple(bin_shares(values, edges)), missing, caption)


def _rounded(form: Form, edges: tuple[float, ...]) -> Form:
    """Few digits are enough under a histogram."""
    if form.meaning != "decimal":
        return form
    digits = int(np.clip(3 - np.ceil(np.log10(max(abs(edges[0]), abs(edges[-1]), 1e-9))), 0, 6))
    return Form.from_json({**form.to_json(), "spelling": {**form.to_json()["spelling"], "fixed_decimals": digits}})


def _commonest(values: Values, form: Form) -> tuple[str, ...]:
    if isinstance(values, Texts):
        order = np.argsort(-values.counts, kind="stable")[:MOST_BARS]
        return tuple(values.levels[index] for index in order if values.counts[index])
    distinct, counts = np.unique(values.array[~values.missing], return_counts=True)
    order = np.sort(np.argsort(-counts, kind="stable")[:MOST_BARS])
    return tuple(spell_one(float(distinct[index]), form) for index in order)


def level_shares(values: Values, form: Form, levels: Sequence[str]) -> list[float]:
    """The share of each level among all rows; what is none of them is left out."""
    if isinstance(values, Texts):
        found = dict(zip(values.levels, values.counts.tolist(), strict=True))
    else:
        distinct, counts = np.unique(values.array[~values.missing], return_counts=True)
        found = dict(zip(spell(Numbers(distinct), form).tolist(), counts.tolist(), strict=True))
    return [found.get(level, 0) / max(len(values), 1) for level in levels]


def bin_shares(values: Values, edges: Sequence[float]) -> list[float]:
    """The share of rows in each bin; values beyond the ends count in the outermost bins."""
    assert isinstance(values, Numbers)
    finite = values.array[np.isfinite(values.array)]
    counts, _ = np.histogram(np.clip(finite, edges[0], edges[-1]), bins=np.array(edges))
    return (counts / max(len(values), 1)).tolist()


def shares_of(values: Values, form: Form, histogram: Histogram) -> list[float]:
    """The shares of other values of the same column, by the bins or levels of `histogram`."""
    if histogram.levels is not None:
        return level_shares(values, form, histogram.levels)
    assert histogram.edges is not None
    return bin_shares(values, histogram.edges)


# ------------------------------------------------------------------------------------------------------ drawing


def draw(panels: Sequence[tuple[Histogram, Sequence[float], float]]) -> Image.Image:
    """Panels of (real histogram, samples' shares, samples' missing share), four to a row."""
    panels = panels[:MOST_PANELS]
    across = max(1, min(ACROSS, len(panels)))
    down = max(1, -(-len(panels) // across))
    picture = Image.new("RGB", (across * WIDTH + MARGIN, down * HEIGHT + 40), "white")
    pen = ImageDraw.Draw(picture)
    _legend(pen)
    for index, (histogram, shares, missing) in enumerate(panels):
        left, top = MARGIN + index % across * WIDTH, 40 + index // across * HEIGHT
        _panel(pen, left, top, histogram, shares, missing)
    return picture


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _legend(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle([MARGIN, 14, MARGIN + 22, 26], fill=REAL)
    pen.text((MARGIN + 28, 20), "real", fill=INK, font=_font(13), anchor="lm")
    pen.line([MARGIN + 72, 20, MARGIN + 94, 20], fill=SAMPLE, width=3)
    pen.text((MARGIN + 100, 20), "samples", fill=INK, font=_font(13), anchor="lm")


def _panel(
    pen: ImageDraw.ImageDraw, left: int, top: int, histogram: Histogram, shares: Sequence[float], missing: float
) -> None:
    width, right = WIDTH - 2 * MARGIN, left + WIDTH - 2 * MARGIN
    pen.text((left, top + 10), _shorten(pen, histogram.name, width - 130, 14), fill=INK, font=_font(14), anchor="lm")
    if histogram.missing or missing:
        note = f"missing {histogram.missing:.1%} / {missing:.1%}"
        pen.text((right, top + 10), note, fill=FAINT, font=_font(11), anchor="rm")
    box = (left, top + 26, right, top + HEIGHT - 30)
    if histogram.levels is None:
        _bins(pen, box, histogram, shares)
    else:
        _bars(pen, box, histogram.levels, histogram.shares, shares)


def _bins(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], histogram: Histogram, shares: Sequence[float]
) -> None:
    left, top, right, bottom = box
    tallest = max(max(histogram.shares), max(shares), 1e-9)
    step = (right - left) / len(shares)
    steps: list[tuple[float, float]] = []
    for index, (real, sample) in enumerate(zip(histogram.shares, shares, strict=True)):
        x = left + index * step
        pen.rectangle([x, bottom - real / tallest * (bottom - top), x + step, bottom], fill=REAL)
        y = bottom - sample / tallest * (bottom - top)
        steps += [(x, y), (x + step, y)]
    pen.line(steps, fill=SAMPLE, width=2)
    pen.line([left, bottom, right, bottom], fill=FAINT)
    low, _, high = histogram.caption.partition(" to ")
    pen.text((left, bottom + 10), low, fill=FAINT, font=_font(11), anchor="lm")
    pen.text((right, bottom + 10), high, fill=FAINT, font=_font(11), anchor="rm")


def _bars(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    levels: Sequence[str],
    real: Sequence[float],
    sample: Sequence[float],
) -> None:
    left, top, right, bottom = box
    start = left + 108
    widest = max(*real, *sample, 1e-9)
    step = min((bottom - top) / max(len(levels), 1), 26)
    for index, (level, share, drawn) in enumerate(zip(levels, real, sample, strict=True)):
        y = top + index * step
        pen.rectangle([start, y + 1, start + share / widest * (right - start), y + step - 3], fill=REAL)
        x = start + drawn / widest * (right - start)
        pen.line([start, y + step / 2 - 1, x, y + step / 2 - 1], fill=SAMPLE, width=3)
        label = _shorten(pen, level if level.strip() else repr(level), 102, 11)
        pen.text((start - 6, y + step / 2 - 1), label, fill=INK, font=_font(11), anchor="rm")


def _shorten(pen: ImageDraw.ImageDraw, text: str, room: int, size: int) -> str:
    """The text, cut with dots where it is wider than `room` pixels."""
    text = " ".join(text.split())
    if pen.textlength(text, font=_font(size)) <= room:
        return text
    while text and pen.textlength(text + "...", font=_font(size)) > room:
        text = text[:-1]
    return text + "..."
