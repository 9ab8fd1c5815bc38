"""Generated samples beside their nearest training samples: a picture of pairs, or a table of the closest rows.

`show_pairs(evidence, train, generated, distances, rows, random)` shows the closest pairs, and pictures of random ones.
Of tables it hides what the training rows hold, unless `evidence.show_rows`; pictures are shown as they are.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.answer import Picture, Table
from gannet.metrics.evidence import Evidence, Side

PICTURE_PAIRS = 16
TABLE_PAIRS = 5
MOST_COLUMNS = 12
LONGEST = 24
"""Characters of a cell."""
EQUAL, CLOSE, TOLERANCE = "=", "≈", 0.05
"""In place of a generated cell that equals the hidden training row's, or is a number within this share of it."""
PICTURES_SHOWN = "the pairs under question 3 show training pictures as they are; mind who reads this page."
ROWS_SHOWN = "the table of closest pairs shows training rows as they are; mind who reads this page."
ROWS_HIDDEN = (
    f"training rows stay hidden: {EQUAL} stands for a cell in which the generated row equals its nearest training row, "
    f"{CLOSE} for a number within {TOLERANCE:.0%} of it; the other cells are the generated row's own. To see the rows, "
    "for your own eyes: gannet evaluate RUN --show-rows."
)


def show_pairs(
    evidence: Evidence, train: Side, generated: Side, distances: Tensor, rows: Tensor, random: np.random.Generator
) -> tuple[list[Table], list[Picture], list[str]]:
    """Tables, pictures and notes that put generated samples beside the training `rows` [k] nearest to them.

    `distances` [k] order them: the closest come first. Data of three axes is drawn by the domain, the rest is written.
    """
    order = distances.argsort(stable=True)
    if len(evidence.spec.shape) == 3:
        if evidence.domain is None:
            return [], [], []
        chance = torch.from_numpy(random.permutation(len(order)))
        pictures = [
            Picture(
                f"{which}, two by two: a generated picture left, its nearest training picture right",
                _drawn(evidence, train, generated, chosen[:PICTURE_PAIRS], rows),
            )
            for which, chosen in (("The closest pairs, closest first", order), ("Pairs drawn at random", chance))
        ]
        return [], pictures, [PICTURES_SHOWN]
    written, note = (_written, ROWS_SHOWN) if evidence.show_rows else (_hidden, ROWS_HIDDEN)
    return [written(train, generated, order[:TABLE_PAIRS], rows, distances)], [], [note]


def _drawn(evidence: Evidence, train: Side, generated: Side, chosen: Tensor, rows: Tensor) -> bytes:
    """PNG of pairs, one after another in rows of the domain's own (even) number of columns."""
    pairs = torch.stack([generated.samples[chosen], train.samples[rows[chosen]]], 1).flatten(0, 1)
    stream = io.BytesIO()
    evidence.domain.preview(pairs).save(stream, format="PNG")
    return stream.getvalue()


def _written(train: Side, generated: Side, chosen: Tensor, rows: Tensor, distances: Tensor) -> Table:
    names, made = _cells(generated, chosen)
    known = _cells(train, rows[chosen])[1]
    lines = []
    for place, index in enumerate(chosen.tolist()):
        lines.append([f"{distances[index]:.3g}", "generated", *made[place]])
        lines.append(["", "training", *known[place]])
    return Table("The closest samples and their nearest training rows", ["distance", "", *names], lines)


def _hidden(train: Side, generated: Side, chosen: Tensor, rows: Tensor, distances: Tensor) -> Table:
    """Generated rows, but for the cells that equal those of the nearest training row: those would give it away."""
    names, made = _cells(generated, chosen)
    known = _cells(train, rows[chosen])[1]
    lines = []
    for place, index in enumerate(chosen.tolist()):
        cells = [_masked(own, other) for own, other in zip(made[place], known[place], strict=True)]
        lines.append([f"{distances[index]:.3g}", f"{sum(cell == EQUAL for cell in cells)} of {len(cells)}", *cells])
    title = "The closest samples; what they share with their nearest training rows is hidden"
    return Table(title, ["distance", "equal", *names], lines)


def _masked(own: str, other: str) -> str:
    """A generated cell, unless it tells what the training row's cell holds."""
    if own == other:
        return EQUAL
    try:
        return CLOSE if abs(float(own) - float(other)) <= TOLERANCE * abs(float(other)) else own
    except ValueError:
        return own


def _cells(side: Side, chosen: Tensor) -> tuple[list[str], list[list[str]]]:
    """Names of the first columns, and the chosen rows' cells as text."""
    if side.frame is not None:
        frame = side.frame.iloc[chosen.numpy(), :MOST_COLUMNS]
        names = [str(name) for name in frame.columns]
        return names, [[_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    values = side.samples[chosen].flatten(1)[:, :MOST_COLUMNS]
    return [str(place) for place in range(values.shape[1])], [
        [_text(value) for value in row] for row in values.tolist()
    ]


def _text(value: Any) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
