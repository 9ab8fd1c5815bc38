"""Rows written on from what is known of them: some columns given as a frame, the others drawn by the generator.

`writer = RowWriter(run_folder)`; `writer.rows(n, seed)` draws whole rows, `writer.continued(frame, seed)` goes on from
given columns. Columns keep the types of the training table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet import api
from gannet.domains.columns import Choice, Column
from gannet.domains.table_column import Encoded
from gannet.domains.table_frames import take
from gannet.domains.table_settling import conform
from gannet.domains.table_values import Form, Numbers, Texts, Values
from gannet.domains.tables import Tables
from gannet.order import mixed_seed, reseed

CHUNK = 4_096
"""Rows written at a time."""


class RowWriter:
    """The model of one table, as the author of whole rows or of their rest."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.model = api.load(path, device=device)
        assert isinstance(self.model.domain, Tables)
        self.domain = self.model.domain

    def rows(self, count: int, seed: int) -> Any:
        """A frame of `count` rows of the training table, none of it given."""
        samples, _ = self.model.draw(count, seed=seed)
        return self.domain.decode(samples)

    def continued(self, given: Any, seed: int) -> Any:
        """A frame of as many rows as `given`, a frame of some of the columns; the others go with them."""
        samples, known = self._encoded(given, np.random.default_rng(mixed_seed(seed, "unknown")))
        pieces = []
        with torch.random.fork_rng(), torch.no_grad():
            for start in range(0, len(samples), CHUNK):
                reseed(mixed_seed(seed, "rows", start), self.model.device)
                part = samples[start : start + CHUNK].to(self.model.device)
                pieces.append(self.model.recipe.filled(part, known.to(self.model.device)).cpu())
        return self.domain.decode(torch.cat(pieces))

    def _encoded(self, given: Any, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Samples [n, features] with the given columns filled in, and which features those are [features]."""
        _, names, raws = take(given)
        found = dict(zip(names, raws, strict=True))
        samples = torch.zeros(len(given), self.domain.layout.width)
        known = torch.zeros(self.domain.layout.width, dtype=torch.bool)
        for place, index in enumerate(self.domain.free):
            column, form = self.domain.columns[index], self.domain.forms[index]
            if form.name not in found:
                continue
            encoded = column.encode(self._familiar(column, form, found[form.name], random), random)
            choice, number = self.domain.layout.choices[place], self.domain.layout.numbers[place]
            if choice is not None:
                assert encoded.codes is not None
                codes = torch.from_numpy(encoded.codes.astype(np.int64)) + choice[0]
                samples[torch.arange(len(samples)), codes] = 1.0
                known[choice[0] : sum(choice)] = True
            if number is not None:
                assert encoded.numbers is not None
                samples[:, number] = torch.from_numpy(encoded.numbers)
                known[number] = True
        return samples, known

    @staticmethod
    def _familiar(column: Column, form: Form, raw: Any, random: np.random.Generator) -> Values:
        """The values of a column, those its encoder has never seen replaced by draws of those that it has.

        A generated parent may be one that no real child had.
        """
        values = _conformed(raw, form)
        strange = _strange(column, values)
        if not strange.any():
            return values
        drawn = column.decode(_some(column, len(values), random), len(values), random)
        return _merged(values, drawn, strange)


def _conformed(raw: Any, form: Form) -> Values:
    """`conform`, and gaps alone in the column's own form whatever the frame calls them."""
    if isinstance(raw.values, (Numbers, Texts)) and bool(raw.values.missing.all()):
        count = len(raw.values)
        return Texts(np.full(count, -1), []) if form.meaning == "text" else Numbers(np.full(count, np.nan))
    return conform(raw, form)


def _strange(column: Column, values: Values) -> np.ndarray:
    """Where values [n] are none that the column's encoder can read."""
    strange = np.zeros(len(values), dtype=bool)
    learned: Sequence[Any] = ()
    gaps = not column.choice_width
    if isinstance(column, Choice):
        gaps, learned = not column.missing, (*column.levels, *column.rare)
        if not (column.rare or column.left_out):
            if isinstance(values, Texts):
                unknown = np.array([level not in set(learned) for level in values.levels] + [False], dtype=bool)
                strange |= unknown[values.codes]
            else:
                strange |= ~np.isin(values.array, np.array(learned, dtype=np.float64)) & ~values.missing
    elif column.choice_width:
        gaps = not bool(column.to_json().get("missing"))
    return strange | values.missing if gaps else strange


def _some(column: Column, count: int, random: np.random.Generator) -> Encoded:
    """Encoded values of a column, none of them missing."""
    levels = len(column.levels) if isinstance(column, Choice) else 1
    codes = random.integers(levels, size=count).astype(np.uint16) if column.choice_width else None
    return Encoded(codes, random.uniform(-1, 1, count).astype(np.float32) if column.has_number else None)


def _merged(values: Values, drawn: Values, strange: np.ndarray) -> Values:
    if isinstance(values, Numbers) and isinstance(drawn, Numbers):
        return Numbers(np.where(strange, drawn.array, values.array))
    assert isinstance(values, Texts) and isinstance(drawn, Texts)
    codes = np.where(strange, drawn.codes + len(values.levels), values.codes)
    return Texts(codes, [*values.levels, *drawn.levels])
