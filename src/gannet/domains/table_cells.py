"""Cells that a spreadsheet would run: text that begins with = + - @ or a control character and is no number.

Formula injection (CWE-1236): a category learned from hostile data comes out of the generator as it went in. The safe
form puts an apostrophe in front, as OWASP advises; the faithful form keeps the cell and warns.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gannet.errors import ExportWarning

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First letters that make a formula in one spreadsheet or another; the last four are the full-width forms."""
SHOWN = 40
"""Letters of a cell shown in a warning."""
DURATION = re.compile(r"[-+]?(\d+ days?,? ?)?[-+]?\d{1,4}:[0-5]\d(:[0-5]\d(\.\d+)?)?")
"""Signed durations, which are data like signed numbers."""

_disarming = False


@contextmanager
def disarming(wanted: bool = True) -> Iterator[None]:
    """Within: text files of rows are written in the safe form."""
    global _disarming
    before, _disarming = _disarming, wanted
    try:
        yield
    finally:
        _disarming = before


def runs(text: str) -> bool:
    """Whether a spreadsheet may run this cell: signed numbers and durations are data, nothing else that begins so."""
    if not text.startswith(STARTS) or DURATION.fullmatch(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text[0] in "\t\r\n"


def disarmed(text: str) -> str:
    """The cell as text in every spreadsheet."""
    return f"'{text}" if runs(text) else text


def checked(path: Path, names: list[str], columns: list[np.ndarray]) -> tuple[list[str], list[np.ndarray]]:
    """A table's header and columns of text [n] as they are written: disarmed where asked for, else warned of, once."""
    suspects = [sorted({text for text in set(column.tolist()) if runs(text)}) for column in columns]
    if _disarming:
        return [disarmed(name) for name in names], [
            np.array([disarmed(text) for text in column], dtype=object) if found else column
            for column, found in zip(columns, suspects, strict=True)
        ]
    named = [name for name, found in zip(names, suspects, strict=True) if found or runs(name)]
    if named:
        example = next((found[0] for found in suspects if found), named[0])[:SHOWN]
        warnings.warn(
            f"{path}: cells such as {example!r} in column {named[0]!r} would run as formulas in a spreadsheet; "
            "write them safely with --safe-cells (safe_cells=True), if it is opened in one",
            ExportWarning,
            stacklevel=2,
        )
    return names, columns
