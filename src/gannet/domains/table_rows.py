"""Encoded rows kept compact (a code a choice, a float a number) and spread to one-hot features a batch at a time.

`Layout.of(columns)` says where each column's features lie; `expand` and `split` go there and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gannet.domains.domain import Dataset
from gannet.domains.table_column import Column, Encoded


@dataclass(frozen=True)
class Layout:
    """Where the columns' features lie in a flat sample: per column the start of its choice and of its number."""

    width: int
    choices: tuple[tuple[int, int] | None, ...]
    """(first feature, levels) of each column's choice; None without one."""
    numbers: tuple[int | None, ...]
    """The feature of each column's number; None without one."""

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Layout:
        width, choices, numbers = 0, [], []
        for column in columns:
            choices.append((width, column.choice_width) if column.choice_width else None)
            width += column.choice_width
            numbers.append(width if column.has_number else None)
            width += column.has_number
        return cls(width, tuple(choices), tuple(numbers))

    def pack(self, encoded: Sequence[Encoded], count: int) -> Rows:
        """Encoded columns of `count` values each -> compact rows."""
        codes = [column.codes for column in encoded if column.codes is not None]
        numbers = [column.numbers for column in encoded if column.numbers is not None]
        return Rows(
            self,
            np.stack(codes, axis=1) if codes else np.zeros((count, 0), dtype=np.uint16),
            np.stack(numbers, axis=1) if numbers else np.zeros((count, 0), dtype=np.float32),
        )

    def split(self, samples: np.ndarray) -> list[Encoded]:
        """Samples [n, width] -> each column's most probable level and number."""
        assert samples.shape[1] == self.width, f"{samples.shape[1]} features where {self.width} were expected"
        assert np.isfinite(samples).all(), "samples hold values that are not finite"
        out = []
        for choice, number in zip(self.choices, self.numbers, strict=True):
            codes = None
            if choice is not None:
                codes = samples[:, choice[0] : sum(choice)].argmax(axis=1).astype(np.uint16)
            out.append(Encoded(codes, None if number is None else samples[:, number]))
        return out


@dataclass(frozen=True)
class Rows:
    """Compact rows: codes uint16 [n, choices] and numbers float32 [n, numbers] of a layout."""

    layout: Layout
    codes: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def encoded(self, indices: np.ndarray | slice = slice(None)) -> list[Encoded]:
        """The chosen rows, column by column."""
        codes, numbers = iter(self.codes[indices].T), iter(self.numbers[indices].T)
        return [
            Encoded(None if choice is None else next(codes), None if number is None else next(numbers))
            for choice, number in zip(self.layout.choices, self.layout.numbers, strict=True)
        ]

    def expand(self, indices: np.ndarray | slice = slice(None)) -> Tensor:
        """The chosen rows as features [n, width] float32, choices one-hot."""
        codes, numbers = self.codes[indices], self.numbers[indices]
        out = torch.zeros(len(codes), self.layout.width)
        starts = np.array([choice[0] for choice in self.layout.choices if choice is not None], dtype=np.int64)
        places = [place for place in self.layout.numbers if place is not None]
        if len(starts):
            out.scatter_(1, torch.from_numpy(codes.astype(np.int64) + starts), 1.0)
        if places:
            out[:, places] = torch.from_numpy(numbers)
        return out


class RowDataset(Dataset):
    """Compact rows and their conditions; a read expands only the rows it is asked for."""

    def __init__(self, rows: Rows, condition: Rows | None) -> None:
        assert condition is None or len(condition) == len(rows)
        self.rows, self.condition = rows, condition

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        return self.rows.expand(indices), self.conditions(indices)

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        return None if self.condition is None else self.condition.expand(indices)
