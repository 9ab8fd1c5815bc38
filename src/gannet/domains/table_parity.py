"""Training rows repeated or left out until an outcome is as frequent in every group (Kamiran & Calders 2012, 5.4).

    rows of (group s, outcome y):  |s| |y| / n          in place of as many as there are

Uniform sampling: within a cell every row is as likely to be repeated or left out. `parity_of("income by sex", ...)`,
then `parity.resampled(indices, random)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gannet.domains.table_column import MISSING_NAME
from gannet.domains.table_values import Form, Values, spell
from gannet.errors import GannetError, did_you_mean

BY = " by "
MOST_CLASSES = 100
MOST_TOLD = 6


@dataclass(frozen=True)
class Classes:
    """A column as classes: what they are called, and the class of each row [n]."""

    name: str
    levels: list[str]
    codes: np.ndarray

    @classmethod
    def of(cls, form: Form, values: Values) -> Classes:
        """Raises GannetError for a column of too many values."""
        spelled = [MISSING_NAME if text is None else str(text) for text in spell(values, form).tolist()]
        levels, codes = np.unique(spelled, return_inverse=True)
        if len(levels) > MOST_CLASSES or len(levels) < 2:
            raise GannetError(
                f"parity: column {form.name!r} has {len(levels):,} different values; give one of 2 to {MOST_CLASSES}"
            )
        return cls(form.name, levels.tolist(), codes)


@dataclass(frozen=True)
class Parity:
    """An outcome that shall not depend on a group."""

    outcome: Classes
    group: Classes

    def resampled(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """As many indices of rows, some repeated and some left out, in which outcome and group are independent."""
        outcome, group = self.outcome.codes[rows], self.group.codes[rows]
        parts = []
        for each, amount in enumerate(np.bincount(group, minlength=len(self.group.levels))):
            present = np.bincount(outcome[group == each], minlength=len(self.outcome.levels))
            shares = np.bincount(outcome, minlength=len(self.outcome.levels)) / len(rows)
            for level, wanted in enumerate(_whole(np.where(present > 0, shares, 0.0), int(amount))):
                cell = rows[(group == each) & (outcome == level)]
                parts.append(_drawn(cell, wanted, random))
        return random.permutation(np.concatenate(parts))

    def rates(self, rows: np.ndarray) -> np.ndarray:
        """The share [groups, outcomes] of each outcome in each group."""
        table = np.zeros((len(self.group.levels), len(self.outcome.levels)))
        np.add.at(table, (self.group.codes[rows], self.outcome.codes[rows]), 1)
        rates: np.ndarray = table / np.maximum(table.sum(1, keepdims=True), 1)
        return rates

    def told(self, before: np.ndarray, after: np.ndarray) -> str:
        """What was done, in a line for a person: by the outcome that differed most."""
        rates, evened = self.rates(before), self.rates(after)
        level = int(np.ptp(rates, axis=0).argmax())
        groups = [
            f"{rates[each, level]:.1%} of {self.group.levels[each]}"
            for each in np.argsort(-rates[:, level])[:MOST_TOLD]
        ]
        repeated = len(after) - len(np.unique(after))
        return (
            f"parity: {self.outcome.name}={self.outcome.levels[level]} holds for {', '.join(groups)}; in training for "
            f"{evened[:, level].min():.1%} to {evened[:, level].max():.1%} of each ({repeated:,} rows repeated, "
            f"{len(before) - len(np.unique(after)):,} left out); the held-out rows are as they are"
        )


def parity_of(setting: str, forms: Sequence[Form], values: Sequence[Values]) -> Parity:
    """`outcome by group`. Raises GannetError for unknown columns and for those of too many values."""
    names = [form.name for form in forms]
    pieces = setting.split(BY)
    for at in range(1, len(pieces)):
        outcome, group = BY.join(pieces[:at]).strip(), BY.join(pieces[at:]).strip()
        if outcome in names and group in names and outcome != group:
            first, second = names.index(outcome), names.index(group)
            return Parity(Classes.of(forms[first], values[first]), Classes.of(forms[second], values[second]))
    if len(pieces) == 2:
        wrong = next((piece.strip() for piece in pieces if piece.strip() not in names), None)
        if wrong is not None:
            raise GannetError(f"parity: there is no column {wrong!r}; {did_you_mean(wrong, names)}")
    raise GannetError(f"parity={setting}: expected OUTCOME by GROUP, two columns, as parity='income by sex'")


def _whole(shares: np.ndarray, count: int) -> list[int]:
    """Whole numbers nearest to count times the shares that add up to it (largest remainders)."""
    exact = shares / shares.sum() * count if count else np.zeros(len(shares))
    whole = np.floor(exact).astype(int)
    for index in np.argsort(whole - exact, kind="stable")[: count - whole.sum()]:
        whole[index] += 1
    return whole.tolist()


def _drawn(cell: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of the rows: all of them as often as it takes, and some once more."""
    if not count:
        return cell[:0]
    often, once = divmod(count, len(cell))
    return np.concatenate([np.repeat(cell, often), random.permutation(cell)[:once]])
