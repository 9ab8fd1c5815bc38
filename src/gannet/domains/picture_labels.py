"""What a picture can be asked for: classes from sub-folders, label arrays and CSV attributes, as condition vectors.

A column holds one value a picture; `condition_of` turns columns into the spec's fields, `vectors` into features.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.spec import Condition, Field

MOST_LEVELS = 1000
FEWEST_A_CLASS = 5
"""Classes are used unasked when there are no more than MOST_LEVELS, of FEWEST_A_CLASS pictures on average."""
LOOSE_SHARE = 0.1
"""With class folders, this share of pictures outside them is left out; more, and the folders are no classes."""
CHOICE_AT_MOST = 10
"""A CSV column of numbers with no more distinct values is a choice (-1 and 1, 0 to 5), with more a quantity."""
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "holdout"}


@dataclass(frozen=True)
class Column:
    """One value a picture: positions in `levels` for a class, numbers when `levels` is None; values [n] float64."""

    name: str
    values: np.ndarray
    levels: tuple[str, ...] | None = None

    def take(self, kept: np.ndarray) -> Column:
        """The column of the kept pictures (positions or mask), without levels that no picture has any more."""
        values = self.values[kept]
        if self.levels is None:
            return Column(self.name, values)
        used = np.unique(values.astype(np.int64))
        return Column(self.name, np.searchsorted(used, values).astype(np.float64), tuple(self.levels[i] for i in used))

    @property
    def useful(self) -> bool:
        """Whether it says anything: not the same for every picture."""
        return len(np.unique(self.values)) > 1

    @property
    def counts(self) -> np.ndarray:
        """Pictures of each level."""
        return np.bincount(self.values.astype(np.int64), minlength=len(self.levels or ()))


def class_column(name: str, values: Sequence[str]) -> Column:
    """A class column from one text a picture; levels in natural order (2 before 10)."""
    levels = sorted(set(values), key=_natural)
    position = {level: code for code, level in enumerate(levels)}
    return Column(name, np.array([position[value] for value in values], dtype=np.float64), tuple(levels))


def folder_layout(names: Sequence[str]) -> tuple[str, list[str], dict[str, int]]:
    """Where the pictures of relative paths lie: (root, splits left alone, pictures directly in each folder below root).

    Single wrapping folders are descended. Where all folders are named like splits and one is `train`, that is the root
    and the others are left alone. The key "" of the counts stands for pictures at the root itself.
    """
    root = ""
    splits: list[str] = []
    while True:
        counts: dict[str, int] = {}
        for name in names:
            if name.startswith(root):
                head, slash, _ = name[len(root) :].partition("/")
                folder = head if slash else ""
                counts[folder] = counts.get(folder, 0) + 1
        folders = [folder for folder in counts if folder]
        train = [folder for folder in folders if folder.lower() in ("train", "training")]
        if "" in counts or not folders:
            return root, splits, counts
        if len(folders) > 1 and len(train) == 1 and all(folder.lower() in SPLITS for folder in folders):
            splits = [f"{root}{folder}" for folder in folders if folder not in train]
            root = f"{root}{train[0]}/"
        elif len(folders) == 1:
            root = f"{root}{folders[0]}/"
        else:
            return root, splits, counts


def folder_class(name: str, root: str) -> str:
    """The class folder of a relative path: its first part below `root`, "" when it lies at the root itself."""
    head, slash, _ = name[len(root) :].partition("/")
    return head if slash else ""


def folder_classes(
    names: Sequence[str], root: str, counts: dict[str, int], wanted: bool | None, source: str
) -> tuple[list[str] | None, str | None]:
    """The class folder of each name ("" at the root) where folders are classes, else None and why they are not.

    `counts` as `folder_layout` gives them; `wanted` as the option `labels`. Raises GannetError when that cannot be met.
    """
    classes, loose = [folder for folder in counts if folder], counts.get("", 0)
    total = sum(counts.values())
    if wanted is False or len(classes) < 2:
        if wanted:
            raise GannetError(f"{source}: labels=true, but there are no two sub-folders with pictures")
        return None, "no classes" + (": sub-folders not used (labels=false)" if len(classes) > 1 else "")
    odd = None
    if loose > LOOSE_SHARE * total:
        odd = f"{loose:,} of {total:,} pictures lie outside the sub-folders"
    elif len(classes) > MOST_LEVELS or total < FEWEST_A_CLASS * len(classes):
        odd = f"{len(classes):,} sub-folders for {total:,} pictures are too many for classes"
    if odd and not wanted:
        return None, f"no classes: {odd} (labels=true uses them all the same)"
    return [folder_class(name, root) for name in names], None


def array_columns(labels: np.ndarray, source: str) -> list[Column]:
    """Columns from a label array [n] or [n, k]: integers, booleans and texts are classes, other numbers quantities.

    A one-hot array of integers is one class; other arrays give one column each, named label_0, label_1, ...
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    binary = labels.ndim == 2 and labels.dtype.kind in "biu" and bool(((labels == 0) | (labels == 1)).all())
    if binary and (labels.sum(1) == 1).all():
        labels = labels.argmax(1)
    if labels.ndim == 1:
        return [array_column("label", labels, source)]
    if labels.ndim != 2:
        raise GannetError(f"{source}: labels of shape {labels.shape}: one row a picture is needed, [n] or [n, k]")
    return [array_column(f"label_{i}", labels[:, i], source) for i in range(labels.shape[1])]


def table_columns(
    text: str, source: str, names: Sequence[str], root: str
) -> tuple[list[Column], np.ndarray, list[str]]:
    """Attributes of the named pictures from CSV text: (columns, mask of pictures that have a row, notes).

    The first column names the file: its path from the top, from `root`, or the bare file name where that is unique.
    """
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    rows = [row for row in rows if row]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise GannetError(f"{source}: no attributes: needs a first line file,attribute,... and one line a picture")
    header = [title.strip() for title in rows[0]]
    for line, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise GannetError(f"{source}: line {line} has {len(row)} fields, the first line {len(header)}: mend it")
    found = _rows_of(rows[1:], names, root)
    known = np.array([row is not None for row in found])
    matched = [row for row in found if row is not None]
    if not matched:
        raise GannetError(
            f"{source}: none of its first column's names ({rows[1][0]}, ...) is one of the pictures ({names[0]}, ...)"
        )
    columns, notes = [], []
    for place, title in enumerate(header[1:], start=1):
        column = text_column(title, [row[place].strip() for row in matched], source)
        if column is None:
            notes.append(f"attribute {title} left out: text that differs from picture to picture")
            continue
        values = np.zeros(len(names))
        values[known] = column.values
        columns.append(Column(title, values, column.levels))
    return columns, known, notes


def condition_of(columns: Sequence[Column]) -> Condition | None:
    """The fields of the columns; None without columns."""
    return Condition(tuple(_field(column) for column in columns)) if columns else None


def vectors(values: np.ndarray, condition: Condition) -> Tensor:
    """Column values [n, fields] -> condition vectors [n, width] float32: one-hot classes, standardised numbers."""
    parts = []
    for place, field in enumerate(condition.fields):
        column = torch.from_numpy(np.ascontiguousarray(values[:, place]))
        if field.levels is None:
            parts.append(((column - field.mean) / field.scale).float()[:, None])
        else:
            parts.append(torch.nn.functional.one_hot(column.long(), len(field.levels)).float())
    return torch.cat(parts, dim=1)


def array_column(name: str, labels: np.ndarray, source: str) -> Column:
    """A column from labels [n]: integers, booleans and texts are classes, other numbers quantities."""
    kind = labels.dtype.kind
    if kind in "US":
        return class_column(name, [str(label) for label in labels.astype(str)])
    if kind not in "biuf":
        raise GannetError(f"{source}: labels of type {labels.dtype}: use integers, numbers or texts")
    values = labels.astype(np.float64)
    if not np.isfinite(values).all():
        raise GannetError(
            f"{source}: {name} has {int((~np.isfinite(values)).sum()):,} values that are no number: fill or remove them"
        )
    levels, codes = np.unique(labels, return_inverse=True)
    if kind == "f" or len(levels) > min(MOST_LEVELS, max(CHOICE_AT_MOST, len(labels) // FEWEST_A_CLASS)):
        return Column(name, values)
    return Column(name, codes.astype(np.float64), tuple(str(int(level)) for level in levels))


def _rows_of(rows: list[list[str]], names: Sequence[str], root: str) -> list[list[str] | None]:
    by_path = {row[0].strip().replace("\\", "/").removeprefix("./"): row for row in rows}
    by_name: dict[str, list[str] | None] = {}
    for path, row in by_path.items():
        base = PurePosixPath(path).name
        by_name[base] = None if base in by_name else row  # twice the same bare name tells nothing
    return [
        by_path.get(name) or by_path.get(name[len(root) :]) or by_name.get(PurePosixPath(name).name) for name in names
    ]


def text_column(title: str, texts: list[str], source: str) -> Column | None:
    """A column from a CSV's texts; None for free text."""
    distinct = len(set(texts))
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        numbers = None
    if numbers is not None and not np.isfinite(numbers).all():
        raise GannetError(f"{source}: attribute {title} holds a value that is no finite number: fill or remove it")
    if numbers is not None and distinct > CHOICE_AT_MOST:
        return Column(title, numbers)
    if distinct > min(MOST_LEVELS, max(CHOICE_AT_MOST, len(texts) // FEWEST_A_CLASS)):
        if "" in texts and all(_is_number(text) for text in texts if text):
            raise GannetError(f"{source}: attribute {title} has empty fields among its numbers: fill or remove them")
        return None
    return class_column(title, [text or "missing" for text in texts])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _field(column: Column) -> Field:
    if column.levels is not None:
        return Field(column.name, levels=column.levels)
    values = column.values
    scale = float(values.std()) or 1.0
    return Field(column.name, mean=float(values.mean()), scale=scale, low=float(values.min()), high=float(values.max()))


def _natural(text: str) -> tuple[int, float, str]:
    return (0, float(text), text) if text.lstrip("-").isdecimal() else (1, 0.0, text)
