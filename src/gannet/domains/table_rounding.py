"""How a column of numbers is rounded: its digits after the point, and the step of which all values are multiples.

`decimals = learn_decimals(values)`, `step = learn_step(values, decimals)`, then `onto_steps(values, decimals, step)`.
"""

from __future__ import annotations

import numpy as np

from gannet.domains.table_values import LARGEST_EXACT


def learn_decimals(values: np.ndarray) -> int | None:
    """The fewest digits after the point that write every value [n]; None beyond ten."""
    if not len(values) or np.abs(values).max() > LARGEST_EXACT:
        return None
    # float32 data carries the rounding noise of its own type.
    single = bool((values.astype(np.float32) == values).all())
    tolerance = (2e-7 if single else 4e-16) * np.abs(values)
    for decimals in range(11):
        few = values[:1000]
        if (np.abs(np.round(few, decimals) - few) <= tolerance[:1000]).all() and (
            np.abs(np.round(values, decimals) - values) <= tolerance
        ).all():
            return decimals
    return None


def learn_step(values: np.ndarray, decimals: int | None) -> float:
    """The largest step of which every value [n] is a multiple; 0 where there is no rounding."""
    if decimals is None:
        return 0.0
    scaled = values * 10.0**decimals
    if np.abs(scaled).max() > LARGEST_EXACT:
        return 10.0**-decimals
    return float(max(np.gcd.reduce(np.rint(scaled).astype(np.int64)), 1)) / 10.0**decimals


def onto_steps(values: np.ndarray, decimals: int | None, step: float) -> np.ndarray:
    """Values [n] at their nearest multiples of `step`."""
    if decimals is None:
        return values
    # Adding zero turns -0.0, which would be written so, into 0.0.
    return np.round(np.rint(values / step) * step, decimals) + 0.0
