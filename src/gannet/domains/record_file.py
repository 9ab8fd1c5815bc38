"""Decoded samples as uint8 records of one size in a single file, and the folder that holds them beside an index.

Records are read with seek and read, never mapped, so memory does not grow with their number; a folder appears whole or
not at all. Call `fresh_folder`, `RecordWriter`, `write_index` to make one, `read_index` and `RecordFile` to use it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gannet.errors import GannetError

INDEX = "index.json"
ABANDONED_AFTER = 24 * 3600
"""Seconds after which a half-made folder is surely nobody's (its maker was killed) and may be removed."""


class RecordFile:
    """Records [count, *shape] uint8 in a file. Nothing stays open, so any thread or process may read."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self.width = path, tuple(shape), prod(shape)
        size = path.stat().st_size
        assert size % self.width == 0, f"{path}: {size} bytes are no whole number of records of {self.width}"
        self.count = size // self.width

    def __len__(self) -> int:
        return self.count

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Records [n, *shape] uint8 in the order asked. Raises GannetError when the file was hurt or removed."""
        indices = np.asarray(indices, dtype=np.int64)
        assert indices.ndim == 1 and (len(indices) == 0 or (indices.min() >= 0 and indices.max() < self.count))
        records = np.empty((len(indices), self.width), dtype=np.uint8)
        try:
            with open(self.path, "rb", buffering=0) as file:
                # In file order, so that a batch is one sweep over the disk.
                for position in np.argsort(indices, kind="stable"):
                    file.seek(int(indices[position]) * self.width)
                    self._fill(file, records[position])
        except OSError as error:
            raise self._hurt(error.strerror or str(error)) from error
        return records.reshape(len(indices), *self.shape)

    def blocks(self, size: int = 1 << 24) -> Iterator[np.ndarray]:
        """All records in order, in blocks [n, *shape] of about `size` bytes."""
        step = max(1, size // self.width)
        with open(self.path, "rb", buffering=0) as file:
            for start in range(0, self.count, step):
                block = np.empty((min(step, self.count - start), *self.shape), dtype=np.uint8)
                self._fill(file, block.reshape(-1))
                yield block

    def _fill(self, file: Any, target: np.ndarray) -> None:
        view, done = memoryview(target.data), 0
        while done < len(view):
            got = file.readinto(view[done:])
            if not got:
                raise self._hurt("it ends too early")
            done += got

    def _hurt(self, why: str) -> GannetError:
        return GannetError(
            f"{self.path}: the decoded samples cannot be read ({why}): delete the folder and run again; "
            "they are decoded anew from your data"
        )


class RecordWriter:
    """Appends records [n, *shape] uint8 to a new file, which is on the disk for good when the block ends."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self.file = open(path, "wb")

    def append(self, records: np.ndarray) -> None:
        assert records.dtype == np.uint8 and records.shape[1:] == self.shape
        self.file.write(np.ascontiguousarray(records).data)

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.file:
            if kind is None:
                self.file.flush()
                os.fsync(self.file.fileno())


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place when the block ends well, and vanishes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        yield fresh
        for path in fresh.iterdir():
            _sync(path)
        shutil.rmtree(target, ignore_errors=True)  # it was found missing or damaged
        try:
            os.replace(fresh, target)
        except OSError:
            if read_index(target) is None:  # unless another process has just made the same
                raise
        _sync(target.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_index(folder: Path, body: dict[str, Any]) -> None:
    """Store `body` (JSON values) with its own checksum and the sizes of the files beside it."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != INDEX}
    text = json.dumps({"sizes": sizes, "body": body})
    (folder / INDEX).write_text(json.dumps({"sha256": _digest(text), "content": text}), encoding="utf-8")


def read_index(folder: Path) -> dict[str, Any] | None:
    """The body that `write_index` stored, or None when the folder is missing, incomplete or damaged."""
    try:
        stored = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if stored["sha256"] != _digest(stored["content"]):
            return None
        content = json.loads(stored["content"])
        if any((folder / name).stat().st_size != size for name, size in content["sizes"].items()):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content["body"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    for path in target.parent.glob(f"{target.name}.*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > ABANDONED_AFTER:
            shutil.rmtree(path, ignore_errors=True)
