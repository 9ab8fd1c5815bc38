"""The .ts format of the UCR and UEA archives (also gzip): labelled series of one or more dimensions, one series a line.

`read_ts(path)` -> `TsFile`; values of a dimension are parted by commas, dimensions and the label by colons, and ? is a
missing value. Every complaint names the line.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gannet.domains.containers import read_unpacked
from gannet.errors import GannetError

SUFFIXES = (".ts", ".ts.gz")
MOST_BYTES = 8 * 2**30


@dataclass(frozen=True)
class TsFile:
    """Series of a file: values [length, dimensions] each, NaN where missing, and a label each where there are any."""

    series: list[np.ndarray]
    labels: list[str] | None
    levels: tuple[str, ...]
    """The labels that the header names, in its order."""


@dataclass
class _Header:
    labelled: bool = False
    levels: tuple[str, ...] = ()
    timestamps: bool = False


def read_ts(path: Path) -> TsFile:
    """All series of a .ts file. Raises GannetError naming the line that is not in the format."""
    header = _Header()
    series: list[np.ndarray] = []
    labels: list[str] = []
    inside = False
    for number, line in _lines(path):
        if line.startswith("@"):
            inside = _tag(line, header, f"{path} line {number}") or inside
        elif not inside:
            raise GannetError(f"{path} line {number}: data before a line @data; is this a .ts file of series?")
        else:
            if header.timestamps:
                raise GannetError(f"{path}: series with time stamps in brackets are not read; save them as a long CSV")
            values, label = _series(line, header, f"{path} line {number}")
            if series and values.shape[1] != series[0].shape[1]:
                raise GannetError(
                    f"{path} line {number}: {values.shape[1]} dimensions, the first series has {series[0].shape[1]}"
                )
            series.append(values)
            labels.append(label)
    if not series:
        raise GannetError(f"{path}: no series after @data; is the file whole?")
    return TsFile(series, labels if header.labelled else None, header.levels)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor comments, with their numbers."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            content = read_unpacked(file, path.stat().st_size, MOST_BYTES, str(path))
    except FileNotFoundError:
        raise GannetError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise GannetError(f"{path}: cannot be read ({error}); is the file whole, and yours to read?") from None
    if len(content) > MOST_BYTES:
        raise GannetError(f"{path}: more than {MOST_BYTES / 2**30:.0f} GiB of text; give a part of its series")
    for number, raw in enumerate(content.decode("utf-8-sig", errors="replace").splitlines(), start=1):
        line = raw.strip()
        if line and not line.startswith(("#", "%")):
            yield number, line


def _tag(line: str, header: _Header, where: str) -> bool:
    """Take note of a line of the header; True for @data."""
    name, *rest = line[1:].split() or [""]
    name = name.lower()
    if name == "classlabel":
        if not rest or rest[0].lower() not in ("true", "false"):
            raise GannetError(f"{where}: {line!r} is no @classLabel true LABEL ... or @classLabel false")
        header.labelled, header.levels = rest[0].lower() == "true", tuple(rest[1:])
    elif name == "timestamps":
        header.timestamps = bool(rest) and rest[0].lower() == "true"
    elif name == "targetlabel" and rest and rest[0].lower() == "true":
        # A target of regression stands where a label does.
        header.labelled, header.levels = True, ()
    return name == "data"


def _series(line: str, header: _Header, where: str) -> tuple[np.ndarray, str]:
    """Values [length, dimensions] of one line and its label ("" without labels); short dimensions end in NaN."""
    parts = line.split(":")
    label = parts.pop().strip() if header.labelled else ""
    if header.labelled and header.levels and label not in header.levels:
        raise GannetError(f"{where}: label {label!r} is none of the header's: {', '.join(header.levels)}")
    dimensions = [_numbers(part, where) for part in parts if part.strip()]
    if not dimensions:
        raise GannetError(f"{where}: no values")
    values = np.full((max(map(len, dimensions)), len(dimensions)), np.nan)
    for index, dimension in enumerate(dimensions):
        values[: len(dimension), index] = dimension
    return values, label


def _numbers(text: str, where: str) -> np.ndarray:
    items = [item.strip() for item in text.split(",")]
    try:
        values = np.array([np.nan if item in ("?", "NaN", "nan") else float(item) for item in items])
    except ValueError:
        wrong = next(item for item in items if not _is_number(item))
        raise GannetError(
            f"{where}: {wrong!r} is no number; values are parted by commas, dimensions by colons"
        ) from None
    if np.isinf(values).any():
        raise GannetError(f"{where}: an infinite value; mark missing values with ?")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "?"
    return True
