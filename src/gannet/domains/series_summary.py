"""A row a series: its constants, its length, and what sums up each course, for everything that reads tables.

`summary(panel, encoding)` -> a pandas frame of n rows; numbers get mean, deviation, change and roughness, categories
their commonest level and how often they switch, either the share that is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gannet.domains.series_encoding import Encoding
from gannet.domains.series_panel import Named, Panel
from gannet.domains.series_smooth import Smooth
from gannet.domains.table_choice import Choice
from gannet.domains.table_files import import_pandas
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_values import Numbers, Texts


def summary(panel: Panel, encoding: Encoding) -> Any:
    """What each series is, in one row; the columns are the same for all series of an encoding."""
    pandas = import_pandas("a summary of series")
    frame = pandas.DataFrame(index=range(len(panel)))
    if panel.constants:
        forms = [column.form for column in panel.constants]
        frame = PandasShell([form.name for form in forms]).build(forms, [column.values for column in panel.constants])
    columns: dict[str, Any] = {} if encoding.ends is None else {"steps": panel.lengths}
    places, alive = panel.places(int(panel.lengths.max()))
    gappy = {form.name for form, track in encoding.tracks if isinstance(track, Smooth | Choice) and track.missing}
    for course in panel.courses:
        if isinstance(course.values, Numbers):
            columns |= _of_numbers(course.name, course.values.array[places], alive, course.name in gappy)
        else:
            columns |= _of_levels(course, places, alive, course.name in gappy)
    taken = {name: values for name, values in columns.items() if name not in frame.columns}
    return pandas.concat([frame, pandas.DataFrame(taken)], axis=1)


def _of_numbers(name: str, values: np.ndarray, alive: np.ndarray, gappy: bool) -> dict[str, np.ndarray]:
    present = alive & np.isfinite(values)
    count = present.sum(1)
    held = np.where(present, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = held.sum(1) / count
        deviation = np.sqrt((np.where(present, values - mean[:, None], 0.0) ** 2).sum(1) / count)
        both = present[:, 1:] & present[:, :-1]
        moves = np.where(both, values[:, 1:] - values[:, :-1], 0.0)
        rough = np.sqrt((moves**2).sum(1) / both.sum(1))
    rows = np.arange(len(values))
    first = values[rows, present.argmax(1)]
    last = values[rows, values.shape[1] - 1 - present[:, ::-1].argmax(1)]
    change = np.where(count > 0, last - first, np.nan)
    found = {f"{name} mean": mean, f"{name} deviation": deviation, f"{name} change": change, f"{name} roughness": rough}
    return found | _missing(name, present, alive, gappy)


def _of_levels(course: Named, places: np.ndarray, alive: np.ndarray, gappy: bool) -> dict[str, np.ndarray]:
    assert isinstance(course.values, Texts)
    codes = np.where(alive, course.values.codes[places], -1)
    present = codes >= 0
    counts = np.stack([(codes == code).sum(1) for code in range(len(course.values.levels))], 1)
    names = np.array([*course.values.levels, None], dtype=object)
    common = names[np.where(present.any(1), counts.argmax(1), -1)]
    both = present[:, 1:] & present[:, :-1]
    switches = (both & (codes[:, 1:] != codes[:, :-1])).sum(1)
    found = {f"{course.name} commonest": common, f"{course.name} switches": switches}
    return found | _missing(course.name, present, alive, gappy)


def _missing(name: str, present: np.ndarray, alive: np.ndarray, gappy: bool) -> dict[str, np.ndarray]:
    return {f"{name} missing": 1 - present.sum(1) / alive.sum(1)} if gappy else {}
