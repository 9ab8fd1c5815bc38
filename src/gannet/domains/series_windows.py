"""Windows of one long series, and stretches of its time that are held out so that no window reaches into both sides.

`cut(steps, length, stride, held_out, at_end)` -> begins of windows and which of them are held out. A window that would
share a single step with the other side is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRETCHES = 10
"""Stretches of time that are held out, where the series is long enough for each to hold some windows."""
LEAST_STRETCH = 2
"""Lengths of a window that a stretch has at least."""


@dataclass(frozen=True)
class Cut:
    """Where windows begin among the steps, which of them are held out, and how much time that is."""

    begin: np.ndarray
    held: np.ndarray
    stretches: int
    held_steps: int


def cut(steps: int, length: int, stride: int, held_out: float, *, at_end: bool) -> Cut:
    """Windows of `length` among `steps`, one every `stride`; a share `held_out` of the time is kept from training.

    The held-out time is spread over the series in up to ten stretches, so that it holds what training time holds, or
    lies at its end.
    """
    begin = np.arange(0, steps - length + 1, stride)
    stretch = max(LEAST_STRETCH * length, round(steps * held_out / STRETCHES))
    count = round(steps * held_out / stretch)
    if at_end and count:
        stretch, count = round(steps * held_out), 1
    kept_from = np.zeros(steps, dtype=bool)
    for index in range(count):
        middle = steps - stretch / 2 if at_end else (index + 0.5) * steps / count
        first = round(middle - stretch / 2)
        kept_from[first : first + stretch] = True
    inside = np.concatenate([[0], np.cumsum(kept_from)])
    shared = inside[begin + length] - inside[begin]
    whole = (shared == 0) | (shared == length)
    return Cut(begin[whole], shared[whole] == length, count, int(kept_from.sum()))
