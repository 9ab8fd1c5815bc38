"""How much one table's columns tell about another's: mutual information in coarse cells, beside that of shuffled rows.

`dependence(left, right)` -> [columns of left, columns of right], in nats, 0 where shuffled rows tell as much.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gannet.metrics.table_fidelity import cells, read_columns

BINS = 8
MOST_ROWS = 10_000
SHUFFLES = 3


def dependence(left: Any, right: Any) -> np.ndarray:
    """Mutual information of each column of `left` with each of `right`, two typed pandas frames of the same rows.

    The mean of what shuffled rows show is taken off: few rows and many cells always tell something. Below twice the
    largest of it nothing is left.
    """
    random = np.random.default_rng(0)
    if len(left) > MOST_ROWS:
        rows = random.choice(len(left), MOST_ROWS, replace=False)
        left, right = left.iloc[rows], right.iloc[rows]
    first, second = (
        [cells(column, BINS) for column in read_columns([frame.reset_index(drop=True)], real=1)]
        if len(frame.columns)
        else []
        for frame in (left, right)
    )
    out = np.zeros((len(first), len(second)))
    for i, ([here], wide) in enumerate(first):
        for j, ([there], width) in enumerate(second):
            shuffled = [information(random.permutation(here), there, wide, width) for _ in range(SHUFFLES)]
            found = information(here, there, wide, width)
            out[i, j] = found - np.mean(shuffled) if found > 2 * max(shuffled) else 0.0
    return np.maximum(out, 0)


def information(here: np.ndarray, there: np.ndarray, wide: int, width: int) -> float:
    """Mutual information, in nats, of two codings int64 [n] of `wide` and `width` cells."""
    joint = np.bincount(here * width + there, minlength=wide * width).reshape(wide, width) / max(len(here), 1)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def strength(left: Any, right: Any) -> float:
    """One number: what the best column of `left` tells about each of `right`, on average."""
    found = dependence(left, right)
    return float(found.max(0).mean()) if found.size else 0.0
