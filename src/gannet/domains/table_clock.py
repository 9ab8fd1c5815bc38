"""Times of day and durations as text: 09:30, 9:30 pm, 26:15:00, PT1H30M, 1 days 02:03:04.

`read_clock(levels)` finds which they are and how they are spelled; `spell_clock` writes microseconds that way again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SECOND = 1_000_000
MINUTE, HOUR, DAY, WEEK = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND, 7 * 86_400 * SECOND

_TIME = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?(?: ?([AaPp][Mm]))?", re.ASCII)
_CLOCK = re.compile(r"(-?)(\d+):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?", re.ASCII)
_DAYS = re.compile(r"(-?\d+) days?,? \+?(\d{1,2}):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?", re.ASCII)
_ISO = re.compile(
    r"(-?)P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?", re.ASCII
)


@dataclass(frozen=True)
class Clock:
    """How times of day or durations are spelled."""

    style: Literal["time", "half-day time", "clock", "days", "iso"]
    seconds: bool = True
    """Whether seconds are written."""
    digits: int | None = 0
    """Digits after the second's point; None: as many as there are."""
    padded: bool = True
    """Whether hours below 10 are written with a zero."""
    suffix: str = ""
    """For half-day times, what stands after the minutes, as " AM"."""


def read_clock(levels: Sequence[str], wanted: str | None = None) -> tuple[str, list[int], Clock] | None:
    """Meaning ("time", "duration"), microseconds [n] and spelling of texts [n] that are all one of these."""
    if not levels or not re.search(r"\d", levels[0]):
        return None
    for meaning, read in (("time", time_of), ("duration", duration_of)):
        if wanted in (None, meaning) and all(read(level) is not None for level in levels[:3]):
            micros = [read(level) for level in levels]
            if all(micro is not None for micro in micros):
                return meaning, [micro for micro in micros if micro is not None], _style(levels, meaning)
    return None


def time_of(text: str) -> int | None:
    """Microseconds since midnight; None for what is no time of day."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    hours, half = int(found[1]), (found[5] or "").lower()
    if half and not 1 <= hours <= 12 or hours > 23:
        return None
    if half:
        hours = hours % 12 + 12 * (half == "pm")
    return hours * HOUR + int(found[2]) * MINUTE + int(found[3] or 0) * SECOND + _fraction(found[4])


def duration_of(text: str) -> int | None:
    """Microseconds; None for what is no duration."""
    if found := _ISO.fullmatch(text):
        parts = (int(found[index] or 0) for index in range(2, 7))
        length = sum(part * unit for part, unit in zip(parts, (WEEK, DAY, HOUR, MINUTE, SECOND), strict=True))
        return (length + _fraction(found[7])) * (-1 if found[1] else 1)
    if found := _DAYS.fullmatch(text):
        clock = int(found[2]) * HOUR + int(found[3]) * MINUTE + int(found[4]) * SECOND + _fraction(found[5])
        return int(found[1]) * DAY + clock
    if found := _CLOCK.fullmatch(text):
        length = int(found[2]) * HOUR + int(found[3]) * MINUTE + int(found[4] or 0) * SECOND + _fraction(found[5])
        return length * (-1 if found[1] else 1)
    return None


def _fraction(digits: str | None) -> int:
    return int((digits or "").ljust(6, "0")[:6])


def _style(levels: Sequence[str], meaning: str) -> Clock:
    first = levels[0]
    digits = {len(level.partition(".")[2].rstrip("SapmAPM ")) for level in levels[:10_000]}
    common = digits.pop() if len(digits) == 1 else None
    seconds = any(level.count(":") == 2 for level in levels[:10_000])
    padded = not any(re.match(r"-?\d:", level) for level in levels[:10_000])
    if meaning == "time" and (half := re.search(r" ?[AaPp][Mm]$", first)):
        return Clock("half-day time", seconds, common, padded, half[0])
    if meaning == "time":
        return Clock("time", seconds, common, padded)
    if "P" in first:
        return Clock("iso", True, common)
    if "day" in first:
        return Clock("days", True, common)
    return Clock("clock", seconds, common, padded)


def spell_clock(micros: Sequence[int], clock: Clock) -> list[str]:
    """Microseconds [n] as text."""
    write = {"iso": _write_iso, "days": _write_days}.get(clock.style, _write_time)
    return [write(micro, clock) for micro in micros]


def _write_time(micros: int, clock: Clock) -> str:
    if clock.style != "clock":
        micros %= DAY
    sign, micros = "-" if micros < 0 else "", abs(micros)
    hours, minutes = micros // HOUR, micros // MINUTE % 60
    suffix = ""
    if clock.style == "half-day time":
        half = "AM" if hours < 12 else "PM"
        suffix = clock.suffix[:-2] + (half if clock.suffix[-2:].isupper() else half.lower())
        hours = hours % 12 or 12
    written = f"{sign}{hours:02d}:{minutes:02d}" if clock.padded else f"{sign}{hours}:{minutes:02d}"
    return written + (f":{_seconds(micros, clock, 2)}" if clock.seconds else "") + suffix


def _write_days(micros: int, clock: Clock) -> str:
    days, rest = divmod(micros, DAY)
    plus = "+" if days < 0 else ""
    return f"{days} days {plus}{rest // HOUR:02d}:{rest // MINUTE % 60:02d}:{_seconds(rest, clock, 2)}"


def _write_iso(micros: int, clock: Clock) -> str:
    sign, micros = "-" if micros < 0 else "", abs(micros)
    days, rest = divmod(micros, DAY)
    parts = [(rest // HOUR, "H"), (rest // MINUTE % 60, "M")]
    time = "".join(f"{count}{unit}" for count, unit in parts if count)
    seconds = _seconds(rest, clock, 1)
    if float(seconds) or not (days or time):
        time += f"{seconds}S"
    return f"{sign}P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")


def _seconds(micros: int, clock: Clock, width: int) -> str:
    whole, fraction = micros // SECOND % 60, micros % SECOND
    if clock.digits is None:
        digits = f"{fraction:06d}".rstrip("0")
    else:
        digits = f"{fraction:06d}".ljust(9, "0")[: clock.digits]
    return f"{whole:0{width}d}" + (f".{digits}" if digits else "")
