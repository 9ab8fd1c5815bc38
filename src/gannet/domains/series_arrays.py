"""Series in arrays: from Python as `TimeSeries(values, labels)`, and in .npy and .npz files.

An array [n, length, channels], or [n, length] of one channel each, or a list of arrays of unlike lengths; NaN is a
missing value, and a tail of nothing but NaN is the end of a series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gannet.domains.series_panel import Named, laid_out
from gannet.domains.stored_array import StoredArray, stored_arrays
from gannet.domains.table_values import Form, Numbers
from gannet.errors import GannetError

PREFERRED = ("values", "series", "X", "x", "data", "arr_0")
LABELS = ("labels", "label", "y", "Y", "targets", "target")


@dataclass(frozen=True)
class TimeSeries:
    """Series for `gannet.train`: `TimeSeries(array, labels=y)`, or a data frame of a row a step with entity= given.

    `values`: [n, length, channels] or [n, length], a list of [length, channels], one long series [length, channels]
    with `windows=True`, or a data frame.
    """

    values: Any
    labels: Any = None
    """A class each [n]."""
    names: Sequence[str] | None = None
    """Names of the channels."""
    windows: bool = False
    """Whether an array of two axes is one long series [length, channels] to take windows of."""


def read_arrays(path: Path) -> TimeSeries:
    """The series of a .npy or .npz file: of the latter `values` (or the first array of two or three axes), `labels`."""
    if not path.is_file():
        raise GannetError(f"{path}: no such file of series")
    if path.suffix.lower() == ".npy":
        return TimeSeries(StoredArray(path).whole())
    stored = stored_arrays(path)
    fitting = [name for name, array in stored.items() if len(array.shape) in (2, 3) and array.dtype.kind in "iuf"]
    chosen = next((name for name in PREFERRED if name in fitting), fitting[0] if fitting else None)
    if chosen is None:
        raise GannetError(
            f"{path}: no array [n, length, channels] of numbers; it holds {', '.join(stored) or 'nothing'}"
        )
    count = stored[chosen].shape[0]
    label = next((name for name in LABELS if name in stored and stored[name].shape == (count,)), None)
    columns = stored.get("columns")
    names = None if columns is None or columns.dtype.kind != "U" else [str(name) for name in columns.whole().flat]
    return TimeSeries(stored[chosen].whole(), labels=None if label is None else stored[label].whole(), names=names)


def from_arrays(data: TimeSeries, where: str) -> tuple[np.ndarray, np.ndarray, list[Named], bool]:
    """Begin and end of each series, the channels laid end to end, and whether all of it is one long series."""
    series = _listed(data, where)
    channels = series[0].shape[1]
    for index, each in enumerate(series):
        if each.ndim != 2 or each.shape[1] != channels:
            raise GannetError(
                f"{where}: series {index} has the shape {each.shape}, the first {series[0].shape}; all need the same "
                "channels"
            )
    single = all(np.array_equal(each, each.astype(np.float32), equal_nan=True) for each in series[:10])
    lengths = np.array([_length(each) for each in series])
    if (lengths == 0).any():
        raise GannetError(f"{where}: series {int(lengths.argmin())} holds no value; leave it out")
    joined = np.concatenate([each[:length] for each, length in zip(series, lengths, strict=True)]).astype(np.float64)
    if np.isinf(joined).any():
        raise GannetError(f"{where}: infinite values; mark missing ones with NaN")
    names = [f"channel_{index}" for index in range(channels)] if data.names is None else list(data.names)
    if len(names) != channels or len(set(names)) != channels:
        raise GannetError(f"{where}: {len(names)} names for {channels} channels; give each a name of its own")
    if data.labels is not None and len(data.labels) != len(series):
        raise GannetError(f"{where}: {len(data.labels):,} labels for {len(series):,} series")
    begin, end = laid_out(lengths)
    whole = all((column[np.isfinite(column)] % 1 == 0).all() for column in joined.T)
    dtype = "float32" if single else "float64"
    forms = [Form(name, "integer" if whole else "decimal", dtype) for name in names]
    courses = [Named(form, Numbers(joined[:, index])) for index, form in enumerate(forms)]
    return begin, end, courses, data.windows


def _listed(data: TimeSeries, where: str) -> list[np.ndarray]:
    """Each series as an array [length, channels]."""
    values = data.values
    if isinstance(values, (list, tuple)):
        if not values:
            raise GannetError(f"{where}: no series")
        parts = [_array(each, where) for each in values]
        return [part[:, None] if part.ndim == 1 else part for part in parts]
    array = _array(values, where)
    if data.windows:
        if array.ndim not in (1, 2):
            raise GannetError(f"{where}: the shape {array.shape} is no one long series [length, channels]")
        return [array[:, None] if array.ndim == 1 else array]
    if array.ndim not in (2, 3) or not array.size:
        raise GannetError(f"{where}: the shape {array.shape} is no [n, length, channels]")
    return list(array[:, :, None] if array.ndim == 2 else array)


def _array(values: Any, where: str) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise GannetError(f"{where}: values of type {array.dtype}; give numbers")
    return array


def _length(series: np.ndarray) -> int:
    """Steps [length, channels] up to the last that holds any value."""
    present = np.flatnonzero(~np.isnan(series.astype(np.float64)).all(1))
    return int(present[-1]) + 1 if len(present) else 0
