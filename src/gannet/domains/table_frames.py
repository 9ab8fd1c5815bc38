"""Data frames and arrays, column by column, and back: pandas, polars, Arrow, NumPy, torch.

`take(source)` -> the columns and a `Shell` (what to give back); `Shell.build(forms, values)` -> the same type again.
No library is imported that the user's own object does not already need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from gannet.domains.table_arrays import ArrayShell, TensorShell
from gannet.domains.table_arrow import ArrowShell
from gannet.domains.table_files import check_names
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_polars import PolarsShell
from gannet.domains.table_shell import Raw, Shell
from gannet.domains.table_values import Form, Values
from gannet.errors import GannetError


def kind_of(source: Any) -> str | None:
    """Which frame or array this is, by the name of its type alone; None for anything else."""
    if isinstance(source, tuple):
        both = len(source) == 2 and all(isinstance(part, (np.ndarray, torch.Tensor)) for part in source)
        return "pair" if both and source[0].ndim == 2 and source[1].ndim == 1 else None
    if isinstance(source, np.ndarray):
        return "array" if source.ndim == 2 else None
    if isinstance(source, torch.Tensor):
        return "tensor" if source.ndim == 2 else None
    library, name = type(source).__module__.partition(".")[0], type(source).__name__
    known = {("pandas", "DataFrame"): "pandas", ("polars", "DataFrame"): "polars", ("pyarrow", "Table"): "arrow"}
    return known.get((library, name))


def shell_from_json(data: dict[str, Any]) -> Shell:
    """The inverse of `Shell.to_json`."""
    values = {key: value for key, value in data.items() if key != "kind"}
    return SHELLS[data["kind"]](**values)


def take(source: Any) -> tuple[Shell, list[str], list[Raw]]:
    """Any table that `kind_of` knows -> its shell, the columns' names and their contents."""
    kind = kind_of(source)
    assert kind is not None, f"{type(source).__name__} is no table"
    shell, names, columns = SHELLS[kind].take(source)
    check_names(names, "the table")
    return shell, names, columns


@dataclass(frozen=True)
class PairShell(Shell):
    """Samples and their labels (X, y), as scikit-learn gives them; y is the column "label"."""

    kind: ClassVar[str] = "pair"
    samples: dict[str, Any]
    labels: dict[str, Any]
    columns: int
    """Columns of X."""

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        samples, labels = source
        if len(samples) != len(labels):
            raise GannetError(f"(X, y): X has {len(samples):,} rows but y has {len(labels):,} labels")
        left, names, columns = take(samples)
        right, _, label = take(labels[:, None])
        return cls(left.to_json(), right.to_json(), len(names)), [*names, "label"], [*columns, *label]

    def select(self, kept: Sequence[int]) -> Shell:
        if not kept or kept[-1] != self.columns:
            return shell_from_json(self.samples)
        return PairShell(self.samples, self.labels, len(kept) - 1)

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        samples = shell_from_json(self.samples).build(forms[:-1], values[:-1])
        labels = shell_from_json(self.labels).build(forms[-1:], values[-1:])
        return samples, labels[:, 0]


SHELLS: dict[str, type[Shell]] = {
    shell.kind: shell for shell in (PandasShell, PolarsShell, ArrowShell, ArrayShell, TensorShell, PairShell)
}
