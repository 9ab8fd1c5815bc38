"""Arrays in .npy and .npz files, read in blocks: headers first, and never more than the file really holds.

`StoredArray(path)`, or `stored_arrays(path)` for every member of a .npz. No pickle is ever loaded; a header that
promises more than there is, and a member that unpacks absurdly, are refused before anything is set aside for them.
"""

from __future__ import annotations

import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from gannet.domains.containers import is_absurd
from gannet.errors import GannetError, shorten

BLOCK = 1 << 24
"""Bytes of an array handled at a time."""
HURT = (
    *(OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, RuntimeError, OverflowError, MemoryError),
    *(UserWarning, RuntimeWarning, DeprecationWarning, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, RecursionError),
)
"""What NumPy and zipfile raise on hurt files; warnings among them, for they are made errors while a header is read."""


class StoredArray:
    """An array in a .npy file or in a member of a .npz file: its header, and its rows in blocks."""

    def __init__(self, path: Path, member: str | None = None) -> None:
        self.path, self.member = path, member
        with self._data() as (_, shape, fortran, dtype):
            self.shape, self.fortran, self.dtype = shape, fortran, dtype

    def blocks(self) -> Iterator[np.ndarray]:
        """Rows [k, ...] in order. Raises GannetError when the file ends too early."""
        if self.fortran:  # its rows are scattered over the file
            yield from array_blocks(self.whole())
            return
        row = prod(self.shape[1:]) * self.dtype.itemsize
        step = max(1, BLOCK // max(1, row))
        with self._data() as (file, *_):
            for start in range(0, self.shape[0], step):
                count = min(step, self.shape[0] - start)
                data = file.read(count * row)
                if len(data) != count * row:
                    raise self._short()
                yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

    def whole(self) -> np.ndarray:
        """All of it in memory. Raises GannetError for Python objects, which would have to be unpickled."""
        if self.dtype.hasobject:
            raise GannetError(
                f"{self.path}: {self._name()} holds Python objects, which may run code when they are loaded: refused; "
                "save numbers or texts"
            )
        with self._data() as (file, shape, fortran, dtype):
            wanted = prod(shape) * dtype.itemsize
            data = file.read(wanted)
            if len(data) != wanted:
                raise self._short()
            return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")

    def _name(self) -> str:
        return "the array" if self.member is None else repr(self.member.removesuffix(".npy"))

    def _short(self) -> GannetError:
        return GannetError(f"{self.path}: {self._name()} ends too early: the file is incomplete; get it again")

    @contextmanager
    def _file(self) -> Iterator[tuple[BinaryIO, int]]:
        """The file, and its bytes."""
        try:
            if self.member is None:
                with open(self.path, "rb") as plain:
                    yield plain, self.path.stat().st_size
                return
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(self.member)
                if is_absurd(info.file_size, info.compress_size):
                    raise GannetError(
                        f"{self.path}: {self.member} unpacks to {info.file_size:,} bytes from {info.compress_size:,}: "
                        "refused; save it uncompressed (numpy.savez) if you trust it"
                    )
                with archive.open(info) as packed:
                    yield packed, info.file_size  # type: ignore[misc]
        except HURT as error:
            reason = shorten(" ".join(str(error).split()) or type(error).__name__, 150)
            raise GannetError(
                f"{self.path}: not a whole NumPy file ({reason}): save it again with numpy.savez"
            ) from error

    @contextmanager
    def _data(self) -> Iterator[tuple[BinaryIO, tuple[int, ...], bool, np.dtype[Any]]]:
        """The file at the first byte of the values, with its header's shape, order and type."""
        with self._file() as (file, size):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                version = npy.read_magic(file)
                if version not in ((1, 0), (2, 0)):
                    raise ValueError(f"format version {version}")
                header = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
            shape, fortran, dtype = header
            if any(length < 0 for length in shape):
                raise ValueError(f"shape {shape}")
            if not dtype.hasobject and prod(shape) * dtype.itemsize > size:
                raise self._short()
            yield file, shape, fortran, dtype


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """Every array of a .npz file by its name. Raises GannetError when it is none, or one of them is hurt."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    except HURT as error:
        raise GannetError(f"{path}: not a whole .npz file ({error}): save it again with numpy.savez") from error
    return {member.removesuffix(".npy"): StoredArray(path, member) for member in members}


def array_blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of an array in memory, in blocks of about `BLOCK` bytes."""
    step = max(1, BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        yield array[start : start + step]
