"""Where series come from: a long table, one long series, a .ts file, or arrays; all become a panel.

`read_series(source, options)` -> `Found`. A long table has a row a step; with `entity` its rows belong to the series
that this column names, without one all rows are one long series, of which windows are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from gannet.domains.series_arrays import TimeSeries, from_arrays, read_arrays
from gannet.domains.series_long import codes_of, in_order, pieces, repeats, span_of, stays
from gannet.domains.series_panel import Named, Panel
from gannet.domains.series_ts import SUFFIXES, read_ts
from gannet.domains.series_windows import cut
from gannet.domains.table_settling import choices, settle
from gannet.domains.table_source import read_source, title
from gannet.domains.table_values import Form, Numbers, Texts, texts
from gannet.errors import GannetError, did_you_mean

PREFIX = "series:"
LABEL = "label"
USUAL_LENGTH, MOST_LENGTH = 24, 1_000
MOST_WINDOWS_NUMBERS = 200_000_000
"""Numbers in all windows together; of a longer series fewer windows are taken."""
MEASURED = ("integer", "decimal", "date", "time", "duration")


@dataclass(kw_only=True)
class SeriesOptions:
    """How series are read; see docs/series.md."""

    length: int | None = None
    """Steps of a window of one long series (24 by default), or the most steps of a series (1000 by default)."""
    stride: int | None = None
    """Steps from the start of one window to the next; 1 in one long series, the length in many."""
    entity: str | None = None
    """The column that names the series which a row belongs to; none: all rows are one long series."""
    order: str | None = None
    """The column that orders the steps: dates or numbers. None: the first one of dates, else the order of the rows."""
    held_out: float = 0.1
    """Share of the series, or of the time of one long series, that is kept from training for scores."""
    split: Literal["spread", "end"] = "spread"
    """Which time of one long series is held out: stretches spread over it, or its end."""
    types: str | None = None
    """Types to correct, as dose=decimal,ward=category (see the tables)."""
    drop: str | None = None
    """Columns to leave out, parted by commas."""
    condition: str | None = None
    """Columns that stay the same within each series and that samples can be asked for (--where), parted by commas."""


@dataclass
class Found:
    """A source as a panel, with what the way back and the announcement need."""

    panel: Panel
    order: list[str]
    """All columns in the order in which samples are written."""
    asked: list[str]
    """Constants that samples can be asked for."""
    wanted: dict[str, str] = field(default_factory=dict)
    """Types by the user's word."""
    held: np.ndarray | None = None
    """Whether each series is held out, where the source itself decides it [n]."""
    groups: np.ndarray | None = None
    """Whose piece each series is [n], where long series were cut: pieces of one are held out together."""
    form: Literal["frame", "arrays"] = "frame"
    delimiter: str = ","
    found: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def claims_series(source: Any) -> bool:
    """Whether a source says that it holds series: by its type, by `series:`, or by the ending .ts."""
    if isinstance(source, (str, Path)):
        return str(source).startswith(PREFIX) or str(source).lower().endswith(SUFFIXES)
    return isinstance(source, TimeSeries)


def read_series(source: Any, options: SeriesOptions) -> Found:
    """Any source that `claims_series` knows -> its panel. Raises GannetError naming what is wrong and where."""
    _check(options)
    if isinstance(source, TimeSeries):
        if not isinstance(source.values, (np.ndarray, torch.Tensor, list, tuple)):
            return _from_table(source.values, options)
        return _from_arrays(source, options, "the arrays")
    path = Path(str(source).removeprefix(PREFIX))
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return _from_ts(path, options)
    if name.endswith((".npz", ".npy")):
        return _from_arrays(read_arrays(path), options, str(path))
    if not path.exists():
        raise GannetError(f"{path}: no such file of series")
    return _from_table(path, options)


def _check(options: SeriesOptions) -> None:
    for name, least in (("length", 2), ("stride", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise GannetError(f"{name}={value}: must be at least {least}")
    if not 0 <= options.held_out < 1:
        raise GannetError(f"held_out={options.held_out}: a share is needed, from 0 to below 1")


# ----------------------------------------------------------------------------------------------------- long tables


def _from_table(source: Any, options: SeriesOptions) -> Found:
    """A table with a row a step."""
    read = read_source(source)
    where = title(source)
    for option, name in (("entity", options.entity), ("order", options.order)):
        if name is not None and name not in read.names:
            raise GannetError(f"{option}: {where} has no column {name!r}; {did_you_mean(name, read.names)}")
    wanted, dropped, asked = choices(read.names, options.types, options.drop, options.condition)
    special = {options.entity, options.order} - {None}
    if special & dropped:
        raise GannetError(f"drop: column {min(map(str, special & dropped))!r} is entity or order and is needed")
    names = [name for name in read.names if name not in dropped]
    columns: list[Named] = []
    warnings = list(read.warnings)
    for name, raw in zip(read.names, read.columns, strict=True):
        if name not in dropped:
            form, values, remark = settle(name, raw, wanted, read.shell is None)
            columns.append(Named(form, values))
            warnings += [f"column {name!r}: {remark}"] if remark else []
    found = Found(Panel(np.zeros(0), np.zeros(0), ()), names, asked, wanted, delimiter=read.delimiter)
    found.warnings = warnings
    by_name = {column.name: column for column in columns}
    time = _time(columns, options, where)
    rest = [column for column in columns if column.name not in (options.entity, None if time is None else time.name)]
    if options.entity is None:
        _windows(found, rest, time, options, where)
    else:
        _entities(found, by_name[options.entity], rest, time, options, where)
    return found


def _time(columns: Sequence[Named], options: SeriesOptions, where: str) -> Named | None:
    """The column that orders the steps."""
    dated = [column for column in columns if column.form.meaning == "date" and column.name != options.entity]
    if options.order is None:
        whole = [column for column in dated if not column.values.missing.any()]
        return whole[0] if whole else None
    column = next(column for column in columns if column.name == options.order)
    if not isinstance(column.values, Numbers) or column.form.meaning not in MEASURED:
        raise GannetError(
            f"order: column {column.name!r} holds {column.form.meaning} values; order by dates or numbers"
        )
    gone = int(column.values.missing.sum())
    if gone:
        raise GannetError(f"order: {gone:,} rows of {where} have no {column.name!r}; complete or remove them")
    return column


def _windows(found: Found, courses: list[Named], time: Named | None, options: SeriesOptions, where: str) -> None:
    """Windows of one long series."""
    if found.asked:
        raise GannetError(
            f"condition: column {found.asked[0]!r} changes from step to step; only what stays the same within each "
            "series can be asked for, and one long series has no such column"
        )
    length, stride = options.length or USUAL_LENGTH, options.stride or 1
    steps = len((time or courses[0]).values) if time or courses else 0
    if steps < 3 * length:
        raise GannetError(f"{where}: {steps:,} steps are too few for windows of {length}; give at least {3 * length}")
    if time is not None:
        assert isinstance(time.values, Numbers)
        rows = np.argsort(time.values.array, kind="stable")
        if (np.diff(rows) < 0).any():
            found.warnings.append(f"the rows were not in the order of {time.name!r}: they were put in order")
            time, courses = time.take(rows), [column.take(rows) for column in courses]
    most = MOST_WINDOWS_NUMBERS // max(1, length * len(courses))
    if options.stride is None:
        stride = max(1, -(-steps // most))
    windows = cut(steps, length, stride, options.held_out, at_end=options.split == "end")
    found.panel = Panel(windows.begin, windows.begin + length, tuple(courses), time=time)
    found.held = windows.held
    found.found.append(
        f"one series of {steps:,} steps: {len(windows.begin):,} windows of {length} steps (length={length})"
        + (f", one every {stride}" if stride > 1 else "")
    )
    if windows.held_steps:
        place = "at its end" if options.split == "end" else f"in {windows.stretches} stretches"
        found.found.append(
            f"held out for scores: {windows.held_steps:,} steps {place}, {int(windows.held.sum()):,} windows; "
            "no step is on both sides"
        )
    else:
        found.warnings.append("too short to hold any time out: scores will be against training windows")


def _entities(
    found: Found,
    entity: Named,
    columns: list[Named],
    time: Named | None,
    options: SeriesOptions,
    where: str,
) -> None:
    """One series an entity, or several pieces of it where it is long."""
    rows, first, last = in_order(codes_of(entity, where), time)
    columns = [column.take(rows) for column in columns]
    time = None if time is None else time.take(rows)
    constant = [stays(column.values, first, last) for column in columns]
    longest = int((last - first).max())
    length = options.length or min(longest, MOST_LENGTH)
    begin, end, owner = pieces(first, last, length, options.stride or length)
    kept = [column for column, same in zip(columns, constant, strict=True) if same]
    moving = [column for column, same in zip(columns, constant, strict=True) if not same]
    for name in found.asked:
        if name not in [column.name for column in kept]:
            raise GannetError(
                f"condition: column {name!r} changes within series; only what stays the same in each can be asked for"
            )
    found.panel = Panel(
        begin,
        end,
        tuple(moving),
        tuple(column.take(first[owner]) for column in kept),
        entity.take(rows[first[owner]]),
        time,
    )
    found.groups = owner
    found.found.append(f"{len(first):,} series by {entity.name!r}, of {span_of(last - first)} steps")
    if len(begin) > len(first):
        found.found.append(f"longer ones are cut: {len(begin):,} pieces of at most {length} steps (length={length})")
    if kept:
        found.found.append(f"the same within each series: {', '.join(column.name for column in kept)}")
    if time is not None and repeats(time, begin, end):
        found.warnings.append(f"some series have several rows at one {time.name!r}: kept, in the order of the file")


# -------------------------------------------------------------------------------------------- arrays and .ts files


def _from_ts(path: Path, options: SeriesOptions) -> Found:
    file = read_ts(path)
    dimensions = file.series[0].shape[1]
    names = [f"dim_{index}" for index in range(dimensions)] if dimensions > 1 else ["value"]
    data = TimeSeries(file.series, labels=file.labels, names=names)
    found = _from_arrays(data, options, str(path))
    found.form = "frame"
    if file.levels and found.panel.constants:
        # All labels of the header, so that a training and a test file agree.
        label = found.panel.constants[0]
        order = {level: code for code, level in enumerate(file.levels)}
        assert isinstance(label.values, Texts)
        codes = np.array([order[level] for level in label.values.levels])[label.values.codes]
        found.panel = Panel(
            found.panel.begin,
            found.panel.end,
            found.panel.courses,
            (Named(replace(label.form, ordered=True), Texts(codes, list(file.levels))),),
        )
    return found


def _from_arrays(data: TimeSeries, options: SeriesOptions, where: str) -> Found:
    """Series held in arrays; one array of two axes is one long series."""
    for name in ("entity", "order", "condition", "types"):
        if getattr(options, name) is not None:
            raise GannetError(f"{name}: {where} has no columns; it is for tables")
    begin, end, courses, whole = from_arrays(data, where)
    if whole:
        found = Found(Panel(begin, end, ()), [], [], form="arrays")
        _windows(found, courses, None, options, where)
        found.order = [column.name for column in courses]
        return found
    owner = np.arange(len(begin))
    longest = int((end - begin).max())
    length = options.length or min(longest, MOST_LENGTH)
    if longest > length:
        begin, end, owner = pieces(begin, end, length, options.stride or length)
    constants = []
    if data.labels is not None:
        labels = texts(str(label) for label in data.labels)
        constants = [Named(Form(LABEL, "text", "str", textual=True), labels).take(owner)]
    found = Found(Panel(begin, end, tuple(courses), tuple(constants)), [column.name for column in courses], [])
    found.order += [LABEL] * len(constants)
    found.asked, found.wanted = [LABEL] * len(constants), {LABEL: "category"}
    found.groups, found.form = owner, "arrays"
    found.found.append(f"{len(begin):,} series of {span_of(end - begin)} steps")
    return found
