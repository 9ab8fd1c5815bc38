"""What the pictures of shards can be asked for: from members beside them, or from their folders, as elsewhere.

`columns_of(told, names, options, source)` turns what label members tell into columns by the rules of arrays and CSV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gannet.domains.picture_labels import (
    FEWEST_A_CLASS,
    LOOSE_SHARE,
    MOST_LEVELS,
    Column,
    array_column,
    class_column,
    folder_classes,
    folder_layout,
    text_column,
)
from gannet.domains.picture_source import ImageOptions
from gannet.domains.shard_index import Value
from gannet.errors import GannetError

LABEL, TEXT = "label", "text"


def columns_of(
    told: Mapping[str, Sequence[Value | None]], names: Sequence[str], options: ImageOptions, source: str
) -> tuple[list[Column], np.ndarray, list[str]]:
    """Columns of all pictures, a mask of the pictures to keep, and notes of what was decided.

    Folders are classes only where no member tells anything. Raises GannetError when `labels=true` cannot be met.
    """
    everyone = np.ones(len(names), dtype=bool)
    if options.labels is False:
        return [], everyone, ["no classes: labels not used (labels=false)"] if told else []
    if not told:
        return _from_folders(names, options, source)
    columns, kept, notes = [], everyone, []
    for name, values in sorted(told.items(), key=lambda item: (item[0] != LABEL, item[0])):
        known = np.array([value is not None for value in values])
        column, why_not = _column(name, [value for value in values if value is not None], len(values), options, source)
        if column is None:
            notes.append(f"no {name} used: {why_not}")
            continue
        whole = np.zeros(len(values))
        whole[known] = column.values
        title = LABEL if name == TEXT and LABEL not in told else name
        columns.append(Column(title, whole, column.levels))
        kept = kept & known
    if options.labels and not any(column.name == LABEL for column in columns):
        raise GannetError(f"{source}: labels=true, but no .cls, .json or .txt member gives the pictures a label")
    return columns, kept, notes


def known_columns(
    told: Mapping[str, Sequence[Value | None]], levels: Mapping[str, Sequence[str] | None], source: str
) -> list[Column]:
    """Columns of shards that Gannet wrote: their levels are known. Raises GannetError when the values are others."""
    columns = []
    for name, values in told.items():
        try:
            names = levels[name]
            position = None if names is None else {level: float(place) for place, level in enumerate(names)}
            numbers = [float(value) if position is None else position[str(value)] for value in values]  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise GannetError(
                f"{source}: the index has labels that it does not name: write the shards again"
            ) from error
        columns.append(Column(name, np.array(numbers, dtype=np.float64), None if names is None else tuple(names)))
    return columns


def _column(
    name: str, values: list[Value], total: int, options: ImageOptions, source: str
) -> tuple[Column | None, str]:
    """A column of the values there are, or None and the reason."""
    missing = total - len(values)
    if missing > LOOSE_SHARE * total:
        return None, f"{missing:,} of {total:,} pictures have none"
    if all(isinstance(value, int) for value in values):
        return array_column(name, np.array(values, dtype=np.int64), source), ""
    texts = [str(value) for value in values]
    if name not in (LABEL, TEXT):
        return text_column(name, texts, source), "text that differs from picture to picture"
    levels = len(set(texts))
    if levels > MOST_LEVELS or len(texts) < FEWEST_A_CLASS * levels:
        if not (options.labels and name == LABEL):
            return None, f"{levels:,} different ones for {len(texts):,} pictures are too many for classes"
    return class_column(name, texts), ""


def _from_folders(
    names: Sequence[str], options: ImageOptions, source: str
) -> tuple[list[Column], np.ndarray, list[str]]:
    root, splits, counts = folder_layout(names)
    inside = np.array([name.startswith(root) for name in names])
    notes = [f"only {root} is read; {', '.join(splits)} left alone, for tests"] if splits else []
    folders, why_not = folder_classes(names, root, counts, options.labels, source)
    if folders is None:
        return [], inside, [*notes, str(why_not)]
    kept = inside & np.array([bool(folder) for folder in folders])
    return [class_column(LABEL, folders)], kept, notes
