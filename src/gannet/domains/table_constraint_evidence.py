"""A constraint found in data, and how much it takes to propose one."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_ROWS = 50
"""Fewer rows prove nothing."""
EXPECTED = 20.0
"""A proposal would have been broken by this many rows at least, were the columns unrelated."""


@dataclass(frozen=True)
class Proposal:
    """A rule that holds in every row."""

    rule: str
    rows: int
    """Rows in which all its columns are there."""
    expected: float
    """Rows that would break it, were the columns unrelated; 0 where nobody would ask."""

    def __str__(self) -> str:
        would = f"; by chance {self.expected:,.0f} would break it" if self.expected else ""
        return f"{self.rule} (holds in all {self.rows:,} rows{would})"
