"""When the steps of a series are: its start as weeks, weekdays and times of day, and steps that are even or not.

`Clock.fit(time, panel)`; `starts(panel)` are columns of the series, `gaps(panel, length)` a course where steps are
uneven, `times(...)` the way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gannet.domains import columns as encoders
from gannet.domains.columns import Column
from gannet.domains.series_panel import Named, Panel
from gannet.domains.table_values import MICROSECONDS, Form, Numbers

DAY = MICROSECONDS["D"]
MONDAY = 3
"""Days from the first Monday's week to the first of January 1970, a Thursday."""
PARTS = {
    "plain": ("start",),
    "weeks": ("week", "weekday", "time of day"),
    "months": ("year", "month", "day", "time of day"),
}


@dataclass(frozen=True)
class Clock:
    """The encoders of a start, and what lies between two steps."""

    form: Form
    kind: Literal["plain", "weeks", "months"]
    """Plain numbers; dates in even or uneven steps; dates in whole months."""
    step: float | None
    """Units (or months) from one step to the next; None where they are uneven."""
    usual: float
    """The middle gap, which stands where there is no gap: before a first step, after a last one."""
    parts: tuple[Column, ...]

    @classmethod
    def fit(cls, time: Named, panel: Panel) -> Clock:
        """From the times of all steps."""
        values = _numbers(time)
        dated = time.form.meaning == "date"
        inside = _inside(panel, len(values))
        gaps = np.diff(values)[inside]
        kind: Literal["plain", "weeks", "months"] = "weeks" if dated else "plain"
        step = float(gaps[0]) if len(gaps) and (gaps == gaps[0]).all() else None
        if step is None and dated and len(gaps):
            months = _months(values, time.form)
            whole = np.diff(months[0])[inside]
            if (whole == whole[0]).all() and whole[0] > 0 and (np.diff(months[1])[inside] == 0).all():
                kind, step = "months", float(whole[0])
        parts = cls._split(values[panel.begin], time.form, kind)
        # Never as identifiers: a start is learned even where no two series share it.
        columns = [
            encoders.fit(Form(name, "integer", "int64"), Numbers(part), mixed=True)
            for name, part in zip(PARTS[kind], parts, strict=True)
        ]
        usual = float(np.sort(gaps)[len(gaps) // 2]) if len(gaps) else 0.0
        return cls(time.form, kind, step, usual, tuple(columns))

    @property
    def even(self) -> bool:
        return self.step is not None

    def starts(self, panel: Panel) -> list[Numbers]:
        """The parts of each series' start, in the order of `parts`."""
        assert panel.time is not None
        return [Numbers(part) for part in self._split(_numbers(panel.time)[panel.begin], self.form, self.kind)]

    def gaps(self, panel: Panel, length: int) -> np.ndarray:
        """Time from the step before [n, length]; the usual one where there is none before."""
        assert panel.time is not None
        places, alive = panel.places(length)
        times = _numbers(panel.time)[places]
        gaps = np.diff(times, axis=1, prepend=times[:, :1])
        gaps[:, 0] = self.usual
        return np.where(alive, gaps, self.usual)

    @staticmethod
    def _split(values: np.ndarray, form: Form, kind: str) -> list[np.ndarray]:
        if kind == "plain":
            return [values]
        unit = MICROSECONDS[form.unit or "us"]
        if kind == "months":
            months, rest = _months(values, form)
            return [months // 12, months % 12, np.floor(rest * unit / DAY), rest * unit % DAY // unit]
        micros = values * unit
        days = np.floor(micros / DAY) + MONDAY
        return [days // 7, days % 7, np.rint(micros % DAY / unit)]

    def times(self, parts: list[Numbers], gaps: np.ndarray | None, length: int) -> np.ndarray:
        """Times [n, length] in units of the form: from the parts of the starts and, where uneven, gaps [n, length]."""
        unit = MICROSECONDS[self.form.unit or "us"]
        arrays = [part.array for part in parts]
        if self.kind == "months":
            assert self.step is not None
            year, month, day, rest = arrays
            months = (year * 12 + month)[:, None] + self.step * np.arange(length)
            first = _first_of(months, unit)
            room = (_first_of(months + 1, unit) - first) * unit / DAY
            return first + (np.minimum(day[:, None], room - 1) * DAY / unit + rest[:, None])
        if self.kind == "weeks":
            start = ((arrays[0] * 7 + arrays[1] - MONDAY) * DAY) / unit + arrays[2]
        else:
            start = arrays[0]
        if self.step is not None:
            return start[:, None] + self.step * np.arange(length)
        assert gaps is not None
        moved = gaps.copy()
        moved[:, 0] = 0
        return start[:, None] + np.cumsum(moved, 1)

    def describe(self) -> str:
        """What was found, in a few words."""
        if self.step is None:
            return "steps are uneven: the time between them is learned"
        if self.kind == "months":
            return f"a step every {'month' if self.step == 1 else f'{self.step:g} months'}"
        if self.form.meaning != "date":
            return f"steps of {self.step:g}"
        micros = self.step * MICROSECONDS[self.form.unit or "us"]
        names = {"D": "day", "h": "hour", "m": "minute", "s": "second", "ms": "millisecond", "us": "microsecond"}
        unit = next(unit for unit, length in MICROSECONDS.items() if micros % length == 0)
        count = micros / MICROSECONDS[unit]
        return f"a step every {names[unit]}" if count == 1 else f"a step every {count:g} {names[unit]}s"

    def to_json(self) -> dict[str, Any]:
        return {
            "form": self.form.to_json(),
            "kind": self.kind,
            "step": self.step,
            "usual": self.usual,
            "parts": [part.to_json() for part in self.parts],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Clock:
        parts = tuple(encoders.from_json(part) for part in data["parts"])
        return cls(Form.from_json(data["form"]), data["kind"], data["step"], data["usual"], parts)


def _numbers(time: Named) -> np.ndarray:
    assert isinstance(time.values, Numbers)
    return time.values.array


def _inside(panel: Panel, steps: int) -> np.ndarray:
    """Whether two neighbouring steps [steps - 1] belong to one series."""
    linked = np.zeros(steps + 1, dtype=np.int64)
    np.add.at(linked, panel.begin, 1)
    np.add.at(linked, panel.end - 1, -1)
    return np.cumsum(linked)[: steps - 1] > 0


def _months(values: np.ndarray, form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Months since year 0, and the units since the month began."""
    unit = MICROSECONDS[form.unit or "us"]
    moments = np.rint(values * unit).astype(np.int64).astype("datetime64[us]")
    months = moments.astype("datetime64[M]")
    rest = (moments - months.astype("datetime64[us]")).astype(np.int64) / unit
    return months.astype(np.int64).astype(np.float64) + 1970 * 12, rest


def _first_of(months: np.ndarray, unit: int) -> np.ndarray:
    """When months (since year 0) begin, in units since 1970."""
    moments = (np.rint(months).astype(np.int64) - 1970 * 12).astype("datetime64[M]").astype("datetime64[us]")
    return moments.astype(np.int64) / unit
