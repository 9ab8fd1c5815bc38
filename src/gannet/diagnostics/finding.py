"""What a watch has found: its name, the sentence for a person, and the remedy that it calls for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One kind of trouble, seen once."""

    name: str
    told: str
    """One sentence with its figures."""
    remedy: Literal["note", "soften", "thaw", "roll back"]
    learning_rate: float = 0.5
    firmness: float = 1.0
    urgent: bool = False
    """Whether it cannot wait for an earlier remedy to show its effect."""
    player: str | None = None
    """Who stands still."""


class Streak:
    """How many times in a row something was so."""

    def __init__(self) -> None:
        self.length = 0

    def add(self, so: bool) -> int:
        """Count one more, or begin again; returns the length."""
        self.length = self.length + 1 if so else 0
        return self.length


class Watch(ABC):
    """One kind of trouble. All state is JSON."""

    @abstractmethod
    def restart(self) -> None:
        """Forget what a remedy has put right."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """JSON values for `restore`."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
