"""The contract of a column's encoder, and the words in which a column is described.

A leaf (see `columns` and `table_identifiers`) is a frozen dataclass of JSON values: `encode`, `decode`, `describe`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from gannet.domains.table_values import Form, Numbers, Values, spell
from gannet.errors import GannetError
from gannet.spec import Block, Field

MISSING_NAME, OTHER_NAME = "(missing)", "(other)"


@dataclass(frozen=True)
class Encoded:
    """A column in the game: codes into its choice uint16 [n], and its number float32 [n]; None without one."""

    codes: np.ndarray | None
    numbers: np.ndarray | None


@dataclass(frozen=True)
class Column(ABC):
    """The encoder of one column. Leaves are frozen dataclasses of JSON values."""

    kind: ClassVar[str]
    name: str

    @property
    @abstractmethod
    def choice_width(self) -> int:
        """Levels of the column's choice block; 0 without one."""

    @property
    @abstractmethod
    def has_number(self) -> bool:
        """Whether the column takes one number, after its choice block."""

    @property
    def number_cuts(self) -> tuple[float, ...] | None:
        """Where one distinct value of the number ends and the next begins (see `Block.cuts`); None for smooth ones."""
        return None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The column's features in the order of a sample."""
        choice = (Block("choice", self.choice_width),) if self.choice_width else ()
        return choice + ((Block("numbers", 1, self.number_cuts),) if self.has_number else ())

    @abstractmethod
    def encode(self, values: Values, random: np.random.Generator | None = None) -> Encoded:
        """Values [n] -> codes and number; `random` spreads a rounded number over the quantiles it stands for."""

    @abstractmethod
    def decode(self, encoded: Encoded, count: int, random: np.random.Generator) -> Values:
        """The inverse of `encode`; `random` draws what is not learned (rare levels, identifiers)."""

    @abstractmethod
    def describe(self, values: Values, form: Form) -> str:
        """What was found, in a few words."""

    def fields(self, form: Form) -> tuple[Field, ...]:
        """What a generator conditioned on this column can be asked for."""
        raise GannetError(f"condition: column {self.name!r} is {self.kind}; condition on a category or a number")

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **{key: _to_json(value) for key, value in asdict(self).items()}}


def _to_json(value: Any) -> Any:
    """JSON knows no infinity."""
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return {"float": repr(value)} if isinstance(value, float) and not np.isfinite(value) else value


def from_json(value: Any) -> Any:
    """A field of a column from JSON: lists are tuples, and infinite numbers are spelled."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    return float(value["float"]) if isinstance(value, dict) and set(value) == {"float"} else value


# ---------------------------------------------------------------------------------------------------------- words


def noun(form: Form, decimals: int | None) -> str:
    """What the values are called in the plural."""
    if form.meaning in ("time", "duration"):
        return "times of day" if form.meaning == "time" else "durations"
    if form.meaning == "date":
        return "dates" if form.unit == "D" else "times"
    return "integers" if decimals == 0 else "decimals"


def span(values: np.ndarray, form: Form) -> str:
    """From the smallest to the largest value [n], in words."""
    if not len(values):
        return "(none finite)"
    low, high = float(values.min()), float(values.max())
    return f"{spell_short(low, form)} to {spell_short(high, form)}"


def spell_one(value: float, form: Form) -> str:
    """One number as the user writes it."""
    if not np.isfinite(value):
        return repr(value)
    return str(spell(Numbers(np.array([value])), form)[0])


def spell_short(value: float, form: Form) -> str:
    """One number for a line of text: six digits of a long decimal are enough."""
    written = spell_one(value, form)
    return f"{value:.6g}" if form.meaning == "decimal" and len(written) > 10 else written


def first_levels(levels: tuple[str, ...], room: int = 48) -> str:
    """As many of the levels as fit into a short line, and dots for the rest."""
    shown = ""
    for level in levels:
        if level in (OTHER_NAME, MISSING_NAME):
            continue
        if len(shown) + len(level) > room:
            return f"{shown}, ..." if shown else f"{level[:room]}..."
        shown += f", {level}" if shown else level
    return shown


def missing_words(values: Values, form: Form) -> str:
    """The tail of a description: how much is missing, and how that is written."""
    share = float(values.missing.mean())
    if not share:
        return ""
    written = f" (written {form.spelling.missing!r})" if form.spelling.missing.strip() else ""
    return f", {share:.1%} missing{written}"
