"""Encoders of private tables: what they hold was told by noisy counts, and each row is read by itself alone.

A level that was not told is read as one that was, chosen by a hash of its name; a value that is missing where that was
not told, as the commonest. So a row moves nothing but its own features, on which the guarantee of training rests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_choice import Choice
from gannet.domains.table_column import Encoded
from gannet.domains.table_number import Number
from gannet.domains.table_stretches import read
from gannet.domains.table_values import Numbers, Values


@dataclass(frozen=True)
class PrivateChoice(Choice):
    """One of the levels that were told, by falling noisy count or, of numbers, ascending."""

    kind: ClassVar[str] = "private choice"
    commonest: str | float = 0.0
    """Stands for what is missing where no missing values were told."""

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        return super().encode(values if self.missing else filled(values, self.commonest))

    def _nearest(self, level: Any) -> int:
        if not isinstance(level, str) or self.shares is None:
            return super()._nearest(level)
        drawn = int.from_bytes(hashlib.sha256(level.encode("utf-8", "surrogatepass")).digest()[:6], "little")
        return int(read(np.array([2 * drawn / 2**48 - 1]), np.array(self.shares))[0])


@dataclass(frozen=True)
class PrivateNumber(Number):
    """Numbers by the values that were told, or by quantiles read off noisy counts."""

    kind: ClassVar[str] = "private number"
    commonest: float = 0.0
    """Stands for what is missing where no missing values were told."""

    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        return super().encode(values if self.missing else filled(values, self.commonest))


def filled(values: Values, commonest: str | float) -> Values:
    """The values with `commonest` where one is missing."""
    gone = values.missing
    if not gone.any():
        return values
    if isinstance(values, Numbers):
        return Numbers(np.where(gone, float(commonest), values.array))
    levels = [*values.levels, str(commonest)]
    if str(commonest) in values.levels:
        levels = values.levels
    return replace(values, codes=np.where(gone, levels.index(str(commonest)), values.codes), levels=levels)
