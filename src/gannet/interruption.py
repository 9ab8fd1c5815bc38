"""Ctrl-C, SIGTERM and SIGUSR1 (a batch system's warning) as a polite request.

The game ends after the step at hand, saves, and says how to go on.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

POLITE = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGUSR1")]


class Interruption:
    """A context within which the first of these signals sets `requested`; the second one is not held back."""

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        # Python delivers signals to the main thread alone; elsewhere the caller's own handling stays in force.
        if threading.current_thread() is threading.main_thread():
            for number in POLITE:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
