"""What each step of several courses follows from in the few steps before it: a linear forecast, and what it leaves.

A vector autoregression (Lütkepohl 2005, section 3.2) by least squares, of lower order at the first steps. `innovations`
and `rebuilt` are exact inverses for series of any length; what is left is uncorrelated between columns and neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray

MOST_LAGS = 4
STEPS_PER_NUMBER = 20
"""Steps behind each number that a forecast reads, at least."""
MOST_NUMBERS = 50_000
"""Numbers kept, at most; of many columns fewer lags are read."""
RIDGE, LEAST = 1e-4, 1e-6
"""Added to the variances of what is read, and of what is left, as shares of them."""
STEADY = 0.999
"""The largest root of a forecast: one above 1 would run away in long series."""


@dataclass(frozen=True)
class Memory:
    """Forecasts of order 0, 1, ..., the last of which serves all later steps."""

    forecasts: tuple[Array, ...]
    """Order q: [q * columns, columns], the step before first."""
    spreads: tuple[Array, ...]
    """Order q: lower triangular [columns, columns]; what is left is spread @ unit noise."""

    @classmethod
    def fit(cls, courses: Array, alive: Array) -> Memory:
        """From courses [n, length, columns] of about unit size, 0 where not `alive` [n, length]."""
        count, length, columns = courses.shape
        forecasts, spreads = [np.zeros((0, columns))], [_spread(courses[:, 0])]
        steps = int(alive[:, 1:].sum())
        for order in range(1, min(MOST_LAGS, length - 1) + 1):
            # The last order is fitted on all steps after enough others, lower ones on the very step they serve too.
            there = alive[:, order:]
            wide = order * columns * STEPS_PER_NUMBER > steps or _numbers(order, columns) > MOST_NUMBERS
            if wide or there.sum() < 2 * order * columns:
                break
            past = _past(courses, order)[there]
            now = courses[:, order:][there]
            gram = past.T @ past
            weights = np.linalg.solve(gram + RIDGE * np.diag(np.diag(gram) + 1e-9), past.T @ now)
            weights = _steady(weights, order)
            forecasts.append(weights)
            spreads.append(_spread(now - past @ weights))
        return cls(tuple(forecasts), tuple(spreads))

    def innovations(self, courses: Array, alive: Array) -> Array:
        """What a forecast leaves [n, length, columns], of unit variance; 0 where not alive."""
        out = np.zeros_like(courses)
        for step in range(courses.shape[1]):
            weights, spread = self._at(step)
            left = courses[:, step] - self._forecast(courses, step, weights)
            out[:, step] = np.linalg.solve(spread, left.T).T
        return out * alive[:, :, None]

    def rebuilt(self, innovations: Array, alive: Array) -> Array:
        """The inverse of `innovations`."""
        out = np.zeros_like(innovations)
        for step in range(innovations.shape[1]):
            weights, spread = self._at(step)
            out[:, step] = self._forecast(out, step, weights) + innovations[:, step] @ spread.T
        return out * alive[:, :, None]

    def _at(self, step: int) -> tuple[Array, Array]:
        order = min(step, len(self.forecasts) - 1)
        return self.forecasts[order], self.spreads[order]

    @staticmethod
    def _forecast(courses: Array, step: int, weights: Array) -> Array:
        order = len(weights) // courses.shape[2]
        if not order:
            return np.zeros_like(courses[:, 0])
        past = courses[:, step - order : step][:, ::-1].reshape(len(courses), -1)
        return past @ weights

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": self.spreads[0].shape[0],
            "forecasts": [each.tolist() for each in self.forecasts],
            "spreads": [each.tolist() for each in self.spreads],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Memory:
        """The inverse of `to_json`."""
        columns = data["columns"]
        return cls(
            tuple(np.array(each, dtype=np.float64).reshape(-1, columns) for each in data["forecasts"]),
            tuple(np.array(each, dtype=np.float64) for each in data["spreads"]),
        )


def _past(courses: Array, order: int) -> Array:
    """The steps before each step from `order` on [n, length - order, order * columns], the nearest first."""
    length = courses.shape[1]
    return np.concatenate([courses[:, order - lag : length - lag] for lag in range(1, order + 1)], 2)


def _numbers(order: int, columns: int) -> int:
    return (order * (order + 1) // 2 + order + 1) * columns**2


def _spread(left: Array) -> Array:
    """The lower triangular factor [columns, columns] of the second moments of what is left [n, columns]."""
    moments = left.T @ left / max(len(left), 1)
    least = LEAST * max(float(np.diag(moments).max()), 1e-12)
    return np.linalg.cholesky(moments + np.diag(LEAST * np.diag(moments) + least))


def _steady(weights: Array, order: int) -> Array:
    """The forecast [order * columns, columns], drawn in where its largest root lies beyond `STEADY`."""
    columns = weights.shape[1]
    companion = np.zeros((order * columns, order * columns))
    companion[:columns] = weights.T
    companion[columns:, :-columns] = np.eye((order - 1) * columns) if order > 1 else companion[columns:, :-columns]
    root = float(np.abs(np.linalg.eigvals(companion)).max())
    if root <= STEADY:
        return weights
    shrink = (STEADY / root) ** np.repeat(np.arange(1, order + 1), columns)
    return weights * shrink[:, None]
