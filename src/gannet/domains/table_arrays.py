"""NumPy arrays and torch tensors of rows, column by column, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from gannet.domains.table_shell import (
    Raw,
    Shell,
    as_dtype,
    from_objects,
    long_integers,
    moments,
    spans,
    to_objects,
    unsupported,
    within,
)
from gannet.domains.table_values import LARGEST_EXACT, Form, Meaning, Numbers, Values


@dataclass(frozen=True)
class ArrayShell(Shell):
    """A NumPy array [n, columns]."""

    kind: ClassVar[str] = "array"
    dtype: str

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        names = [str(index) for index in range(source.shape[1])]
        return cls(str(source.dtype)), names, [_from_vector(source[:, index]) for index in range(source.shape[1])]

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        columns = [_to_vector(form, column, self.dtype) for form, column in zip(forms, values, strict=True)]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class TensorShell(Shell):
    """A torch tensor [n, columns]."""

    kind: ClassVar[str] = "tensor"
    dtype: str

    @classmethod
    def take(cls, source: Any) -> tuple[Shell, list[str], list[Raw]]:
        source = source.detach().cpu()
        dtype = str(source.dtype).removeprefix("torch.")
        # NumPy has no bfloat16.
        shell, names, columns = ArrayShell.take((source.float() if source.is_floating_point() else source).numpy())
        return cls(dtype), names, columns

    def build(self, forms: Sequence[Form], values: Sequence[Values]) -> Any:
        plain = "float64" if "float" in self.dtype else self.dtype
        array = ArrayShell(plain).build(forms, values)
        return torch.from_numpy(array).to(TORCH_TYPES[self.dtype])


TORCH_TYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}


def _from_vector(vector: np.ndarray) -> Raw:
    dtype = str(vector.dtype)
    if vector.dtype.kind == "M":
        return Raw(vector.astype("datetime64[us]"), dtype, "date")
    if vector.dtype.kind == "m":
        return Raw(vector.astype("timedelta64[us]"), dtype, "duration")
    if vector.dtype.kind in "iu" and len(vector) and max(-int(vector.min()), int(vector.max())) > LARGEST_EXACT:
        return long_integers(vector.tolist(), dtype)
    if vector.dtype.kind in "biuf":
        meaning: Meaning = {"b": "boolean", "f": "decimal"}.get(vector.dtype.kind, "integer")  # type: ignore[assignment]
        return Raw(Numbers(vector.astype(np.float64)), dtype, meaning)
    if vector.dtype.kind in "OU":
        items = vector.tolist()
        missing = np.array([item is None or item != item for item in items], dtype=bool)
        return from_objects(items, missing, dtype)
    raise unsupported("0", dtype)


def _to_vector(form: Form, values: Values, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if form.meaning == "date" and kind.kind == "M":
        return moments(values, form).astype(kind)
    if form.meaning == "duration" and kind.kind == "m":
        return spans(values, form).astype(kind)
    if form.digits and kind.kind in "iu":
        return np.array(within(to_objects(values, form), dtype), dtype=kind)
    if kind.kind in "OU":
        items = np.empty(len(values), dtype=object)
        items[:] = to_objects(values, form)
        return items if kind.kind == "O" else np.array(["" if item is None else item for item in items], dtype=kind)
    assert isinstance(values, Numbers)
    return as_dtype(values.array, kind)
