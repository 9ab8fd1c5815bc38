"""Singling out, linkability and attribute inference, each against a control (Giomi et al. 2023, "Anonymeter").

What an attack does to rows the model never saw is what the population teaches; only what it does beyond that is a leak:
risk = (main - control) / (1 - control). `table = Tabular.of([train, holdout, generated])`, then `linkability(...)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lgamma, sqrt
from typing import Any

import numpy as np

from gannet.metrics.shares import share_interval

ATTEMPTS = 2_000
"""Rows, or predicates, that each attack tries at most on either side."""
NEIGHBOURS = 5
"""Nearest generated rows in which the two halves of a row are looked for by linkability."""
TOLERANCE = 0.05
"""A number counts as guessed when it lies within this share of itself (the published rule)."""
MOST_CONDITIONS = 8
"""Columns that a multivariate predicate speaks of at most."""
SPLITS = 3
"""Different cuts of the columns in two halves; each target row meets one of them."""
TRIES = 10
"""Predicates made up for each one wanted, of which those are kept that single out one generated row."""
BLOCK = 2**18
"""Distances in a block: as many as stay in a processor's cache."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Rate:
    """A share of successful attempts, or a risk, and its 95 % interval."""

    value: float
    interval: Interval

    @classmethod
    def of(cls, value: float, attempts: int, scale: float = 1.0) -> Rate:
        """A share of `attempts`, with Wilson's interval, both times `scale` and at most 1."""
        low, high = share_interval(value, attempts)
        return cls(min(1.0, scale * value), (min(1.0, scale * low), min(1.0, scale * high)))


@dataclass(frozen=True)
class Attack:
    """What one attack achieved on training rows, on unseen rows, and by guessing."""

    name: str
    attempts: int
    main: Rate
    """On training rows."""
    control: Rate
    """On held-out rows: what anyone can guess who knows the population."""
    naive: float
    """By random guesses that use no generated rows; an attack that does worse proves nothing."""

    @property
    def risk(self) -> Rate:
        """(main - control) / (1 - control), not below 0 (Giomi et al. 2023).

        The interval joins the deviations of the two rates that would change it (Zou & Donner 2008).
        """
        main, control = self.main, self.control
        left = 1 - control.value
        if left <= 0:
            return Rate(0.0, (0.0, 1.0 if control.interval[0] < 1 else 0.0))
        by_control = (1 - main.value) / left**2
        value = (main.value - control.value) / left
        down = sqrt(
            ((main.value - main.interval[0]) / left) ** 2 + (by_control * (control.interval[1] - control.value)) ** 2
        )
        up = sqrt(
            ((main.interval[1] - main.value) / left) ** 2 + (by_control * (control.value - control.interval[0])) ** 2
        )
        return Rate(max(0.0, value), (max(0.0, value - down), min(1.0, max(0.0, value + up))))


# ------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class Tabular:
    """Several tables of the same columns as numbers, so that they can be compared."""

    names: tuple[str, ...]
    numeric: np.ndarray
    """[columns] whether a column is a number (times are seconds since the first); else its values are codes."""
    parts: tuple[np.ndarray, ...]
    """Each table [rows, columns] float64; NaN is missing."""

    @classmethod
    def of(cls, frames: Sequence[Any], *, skip: Sequence[str] = ()) -> Tabular:
        """Pandas frames of the same columns in the same order; columns named in `skip` are left out."""
        places = [place for place, name in enumerate(frames[0].columns) if str(name) not in skip]
        columns = [_as_numbers([frame.iloc[:, place] for frame in frames]) for place in places]
        return cls(
            tuple(str(frames[0].columns[place]) for place in places),
            np.array([numeric for numeric, _ in columns], dtype=bool),
            tuple(
                np.stack([values[part] for _, values in columns], axis=1) if columns else np.zeros((len(frame), 0))
                for part, frame in enumerate(frames)
            ),
        )

    def with_parts(self, *parts: np.ndarray) -> Tabular:
        """Other rows of the same columns: training rows, control rows, generated rows."""
        return Tabular(self.names, self.numeric, parts)

    def columns(self, places: np.ndarray) -> Tabular:
        """Only the chosen columns."""
        names = tuple(self.names[place] for place in places)
        return Tabular(names, self.numeric[places], tuple(part[:, places] for part in self.parts))


def _as_numbers(series: list[Any]) -> tuple[bool, list[np.ndarray]]:
    """One column of every table as floats with NaN for missing, and whether they are numbers rather than codes."""
    kinds = {each.dtype.kind for each in series}
    if kinds <= set("iuf"):
        values = [each.to_numpy(dtype=np.float64, na_value=np.nan) for each in series]
        return True, [np.where(np.isfinite(each), each, np.nan) for each in values]
    if kinds == {"M"}:
        first = min((each.min() for each in series if each.notna().any()), default=None)
        elapsed = [each if first is None else each - first for each in series]
        return True, [np.full(len(each), np.nan) if first is None else _seconds(each) for each in elapsed]
    if kinds == {"m"}:
        return True, [_seconds(each) for each in series]
    texts = [each.astype(object).astype(str).to_numpy(dtype=object) for each in series]
    codes = np.unique(np.concatenate(texts).astype(str), return_inverse=True)[1].astype(np.float64)
    cuts = np.cumsum([len(each) for each in series])[:-1]
    missing = [each.isna().to_numpy(dtype=bool) for each in series]
    return False, [np.where(gone, np.nan, part) for gone, part in zip(missing, np.split(codes, cuts), strict=True)]


def _seconds(elapsed: Any) -> np.ndarray:
    return elapsed.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)


# ---------------------------------------------------------------------------------------------------- distances


class _Distances:
    """Gower's distance (Gower 1971) between rows and generated rows, column by column, in blocks.

    A number counts by the difference of its ranks among the generated rows, so that no outlier flattens the others; a
    code, or a missing value beside a present one, by 0 or 1. Ties between generated rows are broken by a fixed draw.
    """

    def __init__(self, table: Tabular, rows: np.ndarray, points: np.ndarray) -> None:
        columns = range(len(table.names))
        self.numeric = table.numeric
        self.points = [_position(points[:, c], points[:, c], table.numeric[c]) for c in columns]
        self.rows = [_position(rows[:, c], points[:, c], table.numeric[c]) for c in columns]
        self.count, self.height = len(rows), max(1, BLOCK // len(points))

    def blocks(self) -> Iterator[slice]:
        """Ranges of rows that are compared with all points at once."""
        return (slice(start, start + self.height) for start in range(0, self.count, self.height))

    def add(self, out: np.ndarray, block: slice, column: int) -> np.ndarray:
        """Add one column's distances [rows of the block, points] to `out`; returns them."""
        rows, points = self.rows[column][block, None], self.points[column][None]
        if self.numeric[column]:
            part = np.subtract(rows, points)
            np.minimum(np.abs(part, out=part), 1, out=part)  # a missing value lies at -1 or below
        else:
            part = (rows != points).astype(np.float32)
        out += part
        return part


def _position(values: np.ndarray, among: np.ndarray, numeric: np.bool_) -> np.ndarray:
    """Numbers as middle ranks among others, in [0, 1]; codes as they are; missing ones at -1. All float32."""
    if numeric:
        ordered = np.sort(among[~np.isnan(among)])
        low, high = np.searchsorted(ordered, values), np.searchsorted(ordered, values, side="right")
        positions = (low + high) / (2 * max(1, len(ordered)))
    else:
        positions = values
    return np.where(np.isnan(values), -1.0, positions).astype(np.float32)


def _tie_breaker(points: int, random: np.random.Generator) -> np.ndarray:
    return (1e-5 * random.random(points)).astype(np.float32)


# --------------------------------------------------------------------------------------------------- linkability


def linkability(table: Tabular, random: np.random.Generator, attempts: int = ATTEMPTS) -> Attack | None:
    """Can two sources, each with half of the columns, find out by the samples that they hold the same person?

    `table` has the parts training, control and generated rows. A target's halves are linked when some generated row is
    among the nearest `NEIGHBOURS` of both (Giomi et al. 2023). None with fewer than two columns.
    """
    train, control, generated = table.parts
    if len(table.names) < 2 or len(generated) <= NEIGHBOURS:
        return None
    main, other = _targets(train, control, attempts, random)
    cuts = [np.array_split(random.permutation(len(table.names)), 2) for _ in range(SPLITS)]
    hits = np.zeros(len(main) + len(other), dtype=bool)
    targets = np.concatenate([main, other])
    for number, (first, second) in enumerate(cuts):
        chosen = np.arange(len(targets)) % SPLITS == number
        found = [_nearest(table, targets[chosen], generated, half, random) for half in (first, second)]
        hits[chosen] = (found[0][:, :, None] == found[1][:, None, :]).any((1, 2))
    naive = 1 - np.prod(1 - NEIGHBOURS / (len(generated) - np.arange(NEIGHBOURS)))
    return _attack("linkability", hits[: len(main)], hits[len(main) :], float(naive))


def _nearest(
    table: Tabular, rows: np.ndarray, points: np.ndarray, columns: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Indices [rows, NEIGHBOURS] of the nearest points by some columns."""
    distances, ties = _Distances(table, rows, points), _tie_breaker(len(points), random)
    found = np.empty((len(rows), NEIGHBOURS), dtype=np.int64)
    for block in distances.blocks():
        total = np.tile(ties, (len(found[block]), 1))
        for column in columns:
            distances.add(total, block, column)
        found[block] = np.argpartition(total, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    return found


# ------------------------------------------------------------------------------------------- attribute inference


def attribute_inference(
    table: Tabular, random: np.random.Generator, attempts: int = ATTEMPTS
) -> tuple[Attack, list[Attack]] | None:
    """Can someone who knows all but one value of a row learn that value from the samples?

    `table` has the parts training, control and generated rows. The guess is the value of the generated row that is
    nearest in the other columns; right is the same code, or a number within 5 % (Giomi et al. 2023).
    Returns the attack on the average column and on every column. None with fewer than two columns.
    """
    train, control, generated = table.parts
    if len(table.names) < 2 or not len(generated):
        return None
    main, other = _targets(train, control, attempts, random)
    targets = np.concatenate([main, other])
    distances, ties = _Distances(table, targets, generated), _tie_breaker(len(generated), random)
    hits = np.empty(targets.shape, dtype=bool)
    for block in distances.blocks():
        total = np.tile(ties, (len(targets[block]), 1))
        for column in range(len(table.names)):
            distances.add(total, block, column)
        for column in range(len(table.names)):
            known = total - distances.add(np.zeros_like(total), block, column)
            guess = generated[known.argmin(1), column]
            hits[block, column] = _right(guess, targets[block, column], table.numeric[column])
    drawn = generated[random.integers(len(generated), size=len(main))]
    lucky = np.stack([_right(drawn[:, c], main[:, c], table.numeric[c]) for c in range(len(table.names))], axis=1)
    each = [
        _attack(name, hits[: len(main), c], hits[len(main) :, c], float(lucky[:, c].mean()))
        for c, name in enumerate(table.names)
    ]
    return _attack("attribute inference", hits[: len(main)], hits[len(main) :], float(lucky.mean())), each


def _right(guess: np.ndarray, truth: np.ndarray, numeric: np.bool_) -> np.ndarray:
    """Which guesses [n] hit: both missing, the same code, or a number within the tolerance."""
    near = np.abs(guess - truth) <= (TOLERANCE * np.abs(truth) if numeric else 0)
    return near | (np.isnan(guess) & np.isnan(truth))


# --------------------------------------------------------------------------------------------------- singling out


@dataclass(frozen=True)
class Condition:
    """What a predicate says of one column: equal to, at most, or at least a value; NaN is "is missing"."""

    column: int
    relation: str
    value: float

    def holds(self, values: np.ndarray) -> np.ndarray:
        """For which of the column's values [n] it is true."""
        if np.isnan(self.value):
            return np.isnan(values)
        if self.relation == "=":
            return values == self.value
        return values <= self.value if self.relation == "<=" else values >= self.value


Predicate = tuple[Condition, ...]


def matches(predicate: Predicate, rows: np.ndarray) -> np.ndarray:
    """Indices of the rows [n, columns] all conditions are true of. Fast where a column lies in one piece."""
    left = np.flatnonzero(predicate[0].holds(rows[:, predicate[0].column]))
    for condition in predicate[1:]:
        left = left[condition.holds(rows[left, condition.column])]
    return left


def singling_out(
    table: Tabular, random: np.random.Generator, *, multivariate: bool, attempts: int = ATTEMPTS
) -> Attack | None:
    """Do sentences that are true of one generated row only single out one real person?

    `table` has the parts training, control and generated rows. Univariate predicates speak of rare values and of
    extremes, multivariate ones of several values of one generated row (Giomi et al. 2023). The chance to
    be the only one depends on the number of rows: where there are fewer control rows than training rows, the control
    rate is multiplied by how the training rate changes between the two numbers. None when no predicate can be made.
    """
    train, control, generated = (np.asfortranarray(part) for part in table.parts)
    control = control[: len(train)]
    candidates = _several_values(table, random, attempts) if multivariate else _single_values(table, random)
    chosen: dict[Predicate, None] = {}
    for predicate in candidates:
        if predicate not in chosen and len(matches(predicate, generated)) == 1:
            chosen[predicate] = None
        if len(chosen) == attempts:
            break
    if not chosen or not len(control):
        return None
    here, there = ([matches(predicate, rows) for predicate in chosen] for rows in (train, control))
    at_control_size = float(_alone_in_subset(np.array([len(found) for found in here]), len(train), len(control)).mean())
    main = _alone(here, 1.0)
    scale = main.value / at_control_size if at_control_size > 0 else 1.0
    guesses = [_guess(table, random, multivariate) for _ in range(min(len(chosen), ATTEMPTS // 4))]
    naive = np.mean([len(matches(predicate, train)) == 1 for predicate in guesses])
    name = "singling out, several columns" if multivariate else "singling out, one column"
    return Attack(name, len(chosen), main, _alone(there, scale), float(naive))


def _alone(found: list[np.ndarray], scale: float) -> Rate:
    """Share of predicates that are true of one row only, times `scale`.

    Predicates that single out the same odd row are no independent attempts: with h predicates a row, the count behind
    the interval is divided by sum(h^2) / sum(h), the design effect of clusters (Kish 1965).
    """
    times = np.unique([rows[0] for rows in found if len(rows) == 1], return_counts=True)[1]
    together = float((times**2).sum() / times.sum()) if len(times) else 1.0
    return Rate.of(float(times.sum()) / len(found), max(1, round(len(found) / together)), scale)


def _alone_in_subset(counts: np.ndarray, total: int, size: int) -> np.ndarray:
    """Chance [n] that a random subset of `size` of the `total` rows holds exactly one of so many (`counts` [n])."""

    def choose(n: int, k: int) -> float:
        return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) if 0 <= k <= n else -np.inf

    several = np.unique(counts)
    chances = [m * np.exp(choose(total - m, size - 1) - choose(total, size)) for m in several.tolist()]
    return np.array(chances)[np.searchsorted(several, counts)]


def _single_values(table: Tabular, random: np.random.Generator) -> list[Predicate]:
    """In random order: every value that one generated row alone has, and each number's extremes."""
    generated, found = table.parts[2], []
    for column in range(len(table.names)):
        values, counts = np.unique(generated[:, column], return_counts=True)
        found += [Condition(column, "=", float(value)) for value in values[counts == 1]]
        present = values[~np.isnan(values)]
        if table.numeric[column] and len(present):
            found += [Condition(column, "<=", float(present[0])), Condition(column, ">=", float(present[-1]))]
    return [(found[place],) for place in random.permutation(len(found))]


def _several_values(table: Tabular, random: np.random.Generator, attempts: int) -> Iterator[Predicate]:
    """Of random generated rows: some codes, and the numbers' sides away from the middle."""
    generated, width = table.parts[2], len(table.names)
    if width < 2 or not len(generated):
        return
    present = ~np.isnan(generated)
    middle = [np.median(generated[present[:, c], c]) if present[:, c].any() else 0.0 for c in range(width)]
    for _ in range(TRIES * attempts):
        row = generated[random.integers(len(generated))]
        columns = random.permutation(width)[: random.integers(2, min(width, MOST_CONDITIONS) + 1)]
        yield tuple(
            Condition(c, ("<=" if row[c] <= middle[c] else ">=") if table.numeric[c] else "=", float(row[c]))
            for c in sorted(columns.tolist())
        )


def _guess(table: Tabular, random: np.random.Generator, multivariate: bool) -> Predicate:
    """A predicate by someone who knows only which values are possible."""
    generated, width = table.parts[2], len(table.names)
    most = min(width, MOST_CONDITIONS)
    columns = random.permutation(width)[: random.integers(2, most + 1) if multivariate and most > 1 else 1]
    conditions = []
    for column in columns.tolist():
        possible = np.unique(generated[:, column])
        relation = str(random.choice(["=", "<=", ">="])) if table.numeric[column] else "="
        value = float(random.choice(possible))
        if table.numeric[column] and not np.isnan(value):
            present = possible[~np.isnan(possible)]
            value = float(random.uniform(present[0], present[-1])) if relation != "=" else value
        conditions.append(Condition(column, relation, value))
    return tuple(conditions)


# --------------------------------------------------------------------------------------------------------- shared


def _targets(
    train: np.ndarray, control: np.ndarray, attempts: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Equal numbers of random training and control rows."""
    count = min(attempts, len(train), len(control))
    main, other = (rows[random.permutation(len(rows))[:count]] for rows in (train, control))
    return main, other


def _attack(name: str, main: np.ndarray, control: np.ndarray, naive: float) -> Attack:
    """From successes [attempts] or [attempts, columns]."""
    return Attack(name, len(main), _rate(main), _rate(control), naive)


def _rate(hits: np.ndarray) -> Rate:
    """The share of successes; its interval counts rows as independent, the columns of one row not."""
    rows = hits.reshape(len(hits), -1).mean(1)
    share, variance = float(rows.mean()), float(rows.var()) / len(rows)
    return Rate.of(share, round(share * (1 - share) / variance) if variance > 0 else len(rows))
