"""Many series in memory: shared steps laid end to end, and where each series begins and ends among them.

`Panel.places(length)` gives the step behind each place of a rectangle [n, length]; windows of one long series overlap
there without being copied. Readers make panels, encoders read them, and what is decoded becomes one again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from gannet.domains.table_values import Form, Numbers, Values


@dataclass(frozen=True)
class Named:
    """One column: what it is, and its values."""

    form: Form
    values: Values

    @property
    def name(self) -> str:
        return self.form.name

    def take(self, rows: np.ndarray) -> Named:
        return Named(self.form, self.values.take(rows))


@dataclass(frozen=True)
class Panel:
    """Series i is the steps begin[i] to end[i] (exclusive) of every course; constants have one value a series."""

    begin: np.ndarray
    end: np.ndarray
    courses: tuple[Named, ...]
    """What changes from step to step [steps]."""
    constants: tuple[Named, ...] = ()
    """What stays the same within a series [n]."""
    identity: Named | None = None
    """The names of the series [n]; None where they have none."""
    time: Named | None = None
    """When each step was [steps]; None where only the order is known."""

    def __len__(self) -> int:
        return len(self.begin)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each series [n]."""
        return self.end - self.begin

    def places(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The step at each place [n, length], and whether the series goes on there (else its last step stands)."""
        steps = self.begin[:, None] + np.arange(length)
        alive = steps < self.end[:, None]
        return np.minimum(steps, self.end[:, None] - 1), alive

    def take(self, rows: np.ndarray) -> Panel:
        """The chosen series; their steps are shared, not copied."""
        return Panel(
            self.begin[rows],
            self.end[rows],
            self.courses,
            tuple(column.take(rows) for column in self.constants),
            None if self.identity is None else self.identity.take(rows),
            self.time,
        )

    def digest(self) -> str:
        """A hex digest of the content."""
        digest = hashlib.sha256(self.begin.astype("<i8").tobytes() + self.end.astype("<i8").tobytes())
        columns = [*self.courses, *self.constants, *(each for each in (self.identity, self.time) if each is not None)]
        for column in columns:
            name = column.name.encode("utf-8")
            digest.update(len(name).to_bytes(4, "little") + name + column.values.digest())
        return digest.hexdigest()


def laid_out(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end [n] of series of these lengths, one after the other."""
    end = np.cumsum(lengths)
    return end - lengths, end


def rectangle(values: Values, places: np.ndarray) -> np.ndarray:
    """Numbers of a course at the places [n, length] of a panel, NaN where missing."""
    assert isinstance(values, Numbers)
    return values.array[places]
