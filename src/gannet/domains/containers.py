"""Files by relative path, in a folder or in a zip that is read in place and never unpacked.

`Folder(path)` and `Archive(path)` list entries with what is wrong with them, and open them; hostile zips are refused.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from gannet.errors import GannetError

ABSURD_RATIO, ABSURD_BYTES = 200, 64 << 20
"""What unpacks to more bytes than this, at more than this ratio, is a bomb."""
READ_AT_ONCE = 4 << 20


class Readable(Protocol):
    """A file, plain or unpacked while it is read."""

    def read(self, size: int, /) -> bytes: ...


def is_absurd(unpacked: int, packed: int) -> bool:
    """Whether so many bytes from so few packed ones are a bomb."""
    return unpacked > ABSURD_BYTES and unpacked > ABSURD_RATIO * max(1, packed)


def read_unpacked(file: Readable, packed: int, most: int, name: str) -> bytes:
    """The content of a file that is unpacked while it is read, from `packed` bytes, of at most `most` + 1 bytes.

    Raises GannetError as soon as it grows absurdly: what a bomb would unpack to is never held.
    """
    parts: list[bytes] = []
    size = 0
    while size <= most and (part := file.read(min(READ_AT_ONCE, most + 1 - size))):
        parts.append(part)
        size += len(part)
        if is_absurd(size, packed):
            raise GannetError(
                f"{name}: unpacks to more than {size:,} bytes from {packed:,}: refused; unpack it yourself if you "
                "trust it"
            )
    return b"".join(parts)


class Entry(NamedTuple):
    """A file of a folder or zip: path from its top with forward slashes, bytes, time or checksum, what is wrong."""

    name: str
    size: int
    mark: int
    problem: str | None = None


class Container(ABC):
    """A folder or a zip: files by relative path."""

    path: Path

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """All files, in any order."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """A seekable file. Raises OSError or ValueError kinds when it cannot be read."""

    @abstractmethod
    def stamp(self) -> list[Any]:
        """JSON values that change when any file is added, removed, renamed or rewritten."""

    def start(self, name: str) -> bytes:
        """The first bytes of a file, enough for `sniff`; none when it cannot be read."""
        try:
            with self.open(name) as file:
                return file.read(16)
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, NotImplementedError):
            return b""


class Folder(Container):
    """A folder with its sub-folders; links are followed, each real folder once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[Entry]:
        visited: set[tuple[int, int]] = set()
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            try:
                here = (self.path / inside).stat()
                if (here.st_dev, here.st_ino) in visited and here.st_ino:
                    continue  # a link back up
                visited.add((here.st_dev, here.st_ino))
                with os.scandir(self.path / inside) as children:
                    found = sorted(children, key=lambda child: child.name)
            except OSError as error:
                yield Entry(inside or ".", 0, 0, f"folder cannot be read ({error.strerror})")
                continue
            for child in found:
                name = f"{inside}{child.name}"
                try:
                    status = child.stat()
                except OSError as error:
                    yield Entry(
                        name, 0, 0, "broken link" if child.is_symlink() else f"cannot be read ({error.strerror})"
                    )
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(f"{name}/")
                elif stat.S_ISREG(status.st_mode):  # never a pipe or device, which would block
                    yield Entry(name, status.st_size, status.st_mtime_ns)

    def open(self, name: str) -> BinaryIO:
        return open(self.path / name, "rb")

    def stamp(self) -> list[Any]:
        return [str(self.path.resolve()), *sorted([entry.name, entry.size, entry.mark] for entry in self.entries())]


class Archive(Container):
    """A zip file, read in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)  # closes itself when nobody holds it any more
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise GannetError(f"{path}: the zip file cannot be opened ({error}): make or download it again") from error
        self.infos = {info.filename.replace("\\", "/"): info for info in self.zip.infolist() if not info.is_dir()}

    def entries(self) -> Iterator[Entry]:
        for name, info in self.infos.items():
            if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
                raise GannetError(
                    f"{self.path}: its entry {name!r} points outside the archive: refused; make the zip again from a "
                    "folder you trust"
                )
            problem = None
            if info.flag_bits & 1:
                problem = "encrypted"
            elif is_absurd(info.file_size, info.compress_size):
                problem = f"unpacks to {info.file_size:,} bytes from {info.compress_size:,}: not unpacked"
            yield Entry(name, info.file_size, info.CRC, problem)

    def open(self, name: str) -> BinaryIO:
        # In memory: Pillow seeks to and fro, which a compressed stream answers by starting over.
        return io.BytesIO(self.zip.read(self.infos[name]))

    def start(self, name: str) -> bytes:
        try:
            with self.zip.open(self.infos[name]) as file:
                return file.read(16)
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, NotImplementedError):
            return b""

    def stamp(self) -> list[Any]:
        return sorted([name, info.file_size, info.CRC] for name, info in self.infos.items())
