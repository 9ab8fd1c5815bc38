"""What the files of a run hold, in plain lines, and a search of them for training rows.

`model_contents(path)` reads the settings and the headers of the checkpoints; `training_rows_in_files(path, rows)` looks
for encoded training rows in every tensor and every list of numbers. Traces in the weights are for attacks to find.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from gannet.checkpoint import Checkpoint, parse_json
from gannet.errors import GannetError
from gannet.run import RunFolder

GROUPS = {
    "networks": "weights of the networks",
    "averages": "running averages of the weights",
    "optimisers": "the optimisers' moments",
}
"""What the tensors of a checkpoint are, by the name of their file."""
KNOWN = {
    "settings.json",
    "command.txt",
    "log.jsonl",
    "lock.json",
    "previews",
    "checkpoints",
    "report.html",
    "report.json",
}
"""What a run folder is known to hold; anything else is named as foreign."""
PROBE = 16
"""Numbers of a row that are looked for before the whole row is compared."""
WINDOWS = 2**20
"""Places in a tensor that are compared at once."""


def model_contents(run_path: Path) -> list[str]:
    """Plain lines about what the run folder holds: weights by network, statistics of the data, and what is not there.

    Raises GannetError when the folder is no run or one of its files cannot be read.
    """
    run = RunFolder.open(run_path)
    checkpoints = run.checkpoints()
    lines = []
    make_up = {checkpoint.path.name: _tensors(checkpoint) for checkpoint in checkpoints}
    for place, (name, files) in enumerate(make_up.items()):
        if place and files == make_up[checkpoints[0].path.name]:
            lines.append(f"checkpoint {name}: as many numbers again, of the same make-up")
        else:
            lines += [_weights(name, group, stored) for group, stored in files.items()]
    if not checkpoints:
        lines.append("no checkpoint yet")
    lines += _statistics(run.settings)
    lines += _long_lists(run, checkpoints)
    foreign = sorted(path.name for path in Path(run_path).iterdir() if path.name not in KNOWN)
    if foreign:
        lines.append(f"files that Gannet did not make, not looked into: {', '.join(foreign)}")
    return lines


# --------------------------------------------------------------------------------------------------------- tensors


@dataclass(frozen=True)
class _Stored:
    """One tensor of a file, by its header."""

    name: str
    shape: tuple[int, ...]


def _tensor_files(checkpoint: Checkpoint) -> list[tuple[str, Path]]:
    return [(path.stem, path) for path in sorted(checkpoint.path.glob("*.safetensors"))]


def _header(path: Path) -> list[_Stored]:
    """The tensors a safetensors file names; no weight is read."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return [_Stored(name, tuple(entry["shape"])) for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise GannetError(f"{path} cannot be read ({error}); use another checkpoint of the run") from error


def _tensors(checkpoint: Checkpoint) -> dict[str, list[_Stored]]:
    return {name: _header(path) for name, path in _tensor_files(checkpoint)}


def _weights(checkpoint: str, name: str, stored: list[_Stored]) -> str:
    owners: Counter[str] = Counter()
    for tensor in stored:
        owners[tensor.name.split(".")[0]] += prod(tensor.shape)
    parts = ", ".join(f"{owner} {count:,}" for owner, count in sorted(owners.items()))
    what = GROUPS.get(name, name)
    return f"checkpoint {checkpoint}: {what}, {sum(owners.values()):,} numbers in {len(stored)} tensors ({parts})"


# ------------------------------------------------------------------------------------------------------ statistics


def _statistics(settings: dict[str, Any]) -> list[str]:
    """What settings.json tells of the data, by the kind of data."""
    kind, state = settings["spec"]["kind"], settings["domain"]
    lines = []
    if kind == "tables":
        lines = _table_statistics(state)
    elif kind == "points":
        lines = [
            "of the data: its centre and scale, and a map of 64 x 64 cells that real points lie in "
            f"({len(state['occupied'])} cells; coarse places, no coordinates)"
        ]
    elif not state:
        lines = ["of the data: only the size, the channels and the names of the classes, no picture"]
    else:
        lines = [f"of the data: {', '.join(sorted(state))}"]
    if settings["spec"]["condition"]:
        names = [field["name"] for field in settings["spec"]["condition"]]
        lines.append(f"what samples can be asked for: {', '.join(names)} (class names, or mean, scale and range)")
    return [
        *lines,
        "a fingerprint (SHA-256) of the data, its source's name, and the counts of training and held-out rows",
    ]


def _table_statistics(state: dict[str, Any]) -> list[str]:
    columns = state["columns"]
    choices = [column for column in columns if column["kind"] == "choice"]
    numbers = [column for column in columns if column["kind"] == "number"]
    constants = [column for column in columns if column["kind"] == "constant"]
    lines = []
    if choices:
        levels = sum(len(column["levels"]) for column in choices)
        rare = sum(len(column["rare"]) for column in choices)
        tail = f", {rare:,} of them rare, with their counts: they may point at a person" if rare else ""
        lines.append(f"names of categories: {levels + rare:,} in {len(choices)} columns{tail}")
    if numbers:
        knots = sum(len(column["knots"]) + len(column["masses"]) for column in numbers)
        lines.append(
            f"quantiles and frequent values of numbers: {knots:,} in {len(numbers)} columns, each column on its own, "
            "its smallest and largest value among them"
        )
    if constants:
        lines.append(f"the one value of each constant column: {len(constants)}")
    if state["histograms"]:
        lines.append(f"histograms of {len(state['histograms'])} columns, each on its own, for previews")
    return lines


# ------------------------------------------------------------------------------------------- nothing row by row


def _long_lists(run: RunFolder, checkpoints: list[Checkpoint]) -> list[str]:
    """Whether anything is as long as the training data, which an index or a table of rows would be."""
    counts = {count for count in (run.settings["count"], run.settings["count"] + run.settings["holdout"]) if count}
    shapes = {
        f"{name}.{tensor.name}": tensor.shape
        for checkpoint in checkpoints
        for name, stored in _tensors(checkpoint).items()
        for tensor in stored
    }
    suspects = [name for name, shape in shapes.items() if counts & {*shape, prod(shape)}]
    for path in _json_files(run.path, checkpoints):
        suspects += [path.name for each in _lists(_content(path)) if len(each) in counts]
    if suspects:
        named = ", ".join(sorted(set(suspects))[:3])
        return [f"as long as the training data, perhaps by chance: {named}; training_rows_in_files looks inside"]
    rows = f"{run.settings['count']:,} rows"
    return [f"nothing as long as the training data ({rows}): no table of its rows and no index to them"]


def _json_files(path: Path, checkpoints: list[Checkpoint]) -> list[Path]:
    found = [path / "settings.json", *(file for each in checkpoints for file in sorted(each.path.glob("*.json")))]
    return [file for file in found if file.is_file()]


def _content(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise GannetError(f"{path} cannot be read ({error}); use another checkpoint of the run") from error


def _lists(content: Any) -> Iterator[list[Any]]:
    """Every list in a JSON value, the outer ones first."""
    if isinstance(content, list):
        yield content
    for child in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _lists(child)


def training_rows_in_files(run_path: Path, rows: Tensor) -> int:
    """How many of the encoded rows [n, *shape] lie, number after number, in a tensor or list of the run's files.

    Looks at every checkpoint, at tensors as they lie and transposed, bytes also as pictures in [-1, 1]. Rows whose
    numbers are all the same are passed over (every bias begins as one), and rows of fewer than four numbers can be
    found by chance. Raises GannetError when a file cannot be read.
    """
    run = RunFolder.open(run_path)
    flat = rows.detach().cpu().reshape(len(rows), -1).double().numpy()
    search = _Search(flat)
    for checkpoint in run.checkpoints():
        for _, path in _tensor_files(checkpoint):
            try:
                named = safetensors.torch.load(path.read_bytes())
            except (OSError, SafetensorError, ValueError) as error:
                raise GannetError(f"{path} cannot be read ({error}); use another checkpoint of the run") from error
            for tensor in named.values():
                search.look_into(tensor)
    for path in _json_files(run.path, run.checkpoints()):
        for each in _lists(_content(path)):
            search.look_at(_numbers(each), 1e-6)
    return len(search.found)


def _numbers(content: list[Any]) -> np.ndarray:
    """All numbers of a list and of the lists in it, in order."""
    return np.array([value for part in _lists(content) for value in part if type(value) in (int, float)], dtype=float)


class _Search:
    """Looks for rows in runs of numbers: a weighted sum of `PROBE` numbers first, then the row, number by number."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.found = rows, set[int]()
        self.width = rows.shape[1]
        self.probe = min(PROBE, self.width)
        # Where rows differ most: a picture's border is the same in all of them.
        spread = np.concatenate([[0.0], rows.var(0).cumsum()])
        self.start = int((spread[self.probe :] - spread[: -self.probe]).argmax())
        self.weights = np.random.default_rng(0).uniform(0.5, 1.5, self.probe)
        telling = np.flatnonzero(np.ptp(rows, axis=1) > 0) if rows.size else np.zeros(0, dtype=np.int64)
        sums = rows[telling, self.start : self.start + self.probe] @ self.weights
        order = sums.argsort()
        self.sums, self.order = sums[order], telling[order]

    def look_into(self, tensor: Tensor) -> None:
        """Every reading of one stored tensor."""
        tolerance = 4 * torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 1e-6
        readings = [tensor.double()] + ([tensor.double() / 127.5 - 1] if tensor.dtype == torch.uint8 else [])
        for reading in readings:
            values = reading.numpy()
            self.look_at(values.ravel(), tolerance)
            if values.ndim > 1:
                self.look_at(np.moveaxis(values, 0, -1).ravel(), tolerance)

    def look_at(self, values: np.ndarray, tolerance: float) -> None:
        """All places [values - width + 1] where a row could begin."""
        places = len(values) - self.width + 1
        if places < 1 or not len(self.order):
            return
        for begin in range(0, places, WINDOWS):
            part = values[begin + self.start : min(begin + WINDOWS, places) + self.start + self.probe - 1]
            sums = np.correlate(part, self.weights, mode="valid")
            # Each number may be off by the tolerance times its size, or times 1 for small ones.
            reach = tolerance * 2 * self.probe * (1 + np.abs(sums))
            low, high = np.searchsorted(self.sums, sums - reach), np.searchsorted(self.sums, sums + reach)
            for place in np.flatnonzero(high > low):
                window = values[begin + place : begin + place + self.width]
                candidates = self.order[low[place] : high[place]]
                alike = np.isclose(self.rows[candidates], window, rtol=tolerance, atol=tolerance).all(1)
                self.found.update(candidates[alike].tolist())
