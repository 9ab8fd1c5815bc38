"""What a launcher sets in the environment, read with a line that names the variable where it cannot be."""

from __future__ import annotations

import math
import os

from gannet.errors import GannetError

UNSET = "set it so, or unset it"
LAUNCH = "start several processes with --processes or torchrun, or unset WORLD_SIZE to play with one"


def whole(name: str, least: int, default: int | None = None) -> int:
    """A variable that is a whole number. Raises GannetError for anything else, and where it is not set and must be."""
    told = os.environ.get(name)
    if told is None and default is not None:
        return default
    if told is None or not told.isdecimal() or int(told) < least:
        raise _unfit(name, told, f"a whole number, {least} or more", UNSET if default is not None else LAUNCH)
    return int(told)


def seconds(name: str, default: float) -> float:
    """A variable that is a time above 0 in seconds. Raises GannetError for anything else."""
    told = os.environ.get(name)
    if told is None:
        return default
    try:
        found = float(told)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise _unfit(name, told, "a number of seconds above 0", UNSET)
    return found


def text(name: str) -> str:
    """A variable that must be set. Raises GannetError where it is not."""
    told = os.environ.get(name)
    if not told:
        raise _unfit(name, told, "the address of the first machine", LAUNCH)
    return told


def _unfit(name: str, told: str | None, wanted: str, remedy: str) -> GannetError:
    found = "is not set" if told is None else f"is {told!r}"
    return GannetError(f"${name} {found}, but must be {wanted}: {remedy}")
