"""The one error a user sees, and the one warning about training.

A `GannetError` is a user's mistake or a hurt file: one line naming the field or file, the cause and the remedy.
The command line prints it without a traceback and exits with code 2. Our own mistakes are assertions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GannetError(Exception):
    """A request Gannet cannot carry out, explained in one line: what, why, and what to do instead."""


class TrainingWarning(UserWarning):
    """Trouble in training that the caller should read; the message says what to try."""


class ExportWarning(UserWarning):
    """What a written file may do to whoever opens it; the message says how to write it otherwise."""


def shorten(text: str, letters: int = 60) -> str:
    """The text, cut to so many letters where it is longer: a message stays one line whatever a file holds."""
    return text if len(text) <= letters else f"{text[: letters - 4]} ..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the nearest known one, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"


def missing_extra(package: str, extra: str, purpose: str) -> GannetError:
    """The error for an optional library that is not installed: names the command that brings it."""
    return GannetError(f'{purpose} needs the package {package}: pip install "gannet[{extra}]"')
