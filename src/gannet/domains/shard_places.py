"""Where shards lie: a folder, a tar file, "data-{000..099}.tar", or a URL; read at any place, remote ones by a copy.

`shards_of("data-{000..099}.tar")` names them; `Shelf(shards, cache, limit).read(shard, offset, size)` reads, with a
bounded number of open files. Nothing is fetched unless the user gave a URL; that needs the extra `remote`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from gannet.errors import GannetError, missing_extra

SUFFIX = ".tar"
MOST_SHARDS = 100_000
OPEN_FILES = 32
CHUNK = 1 << 20
COPIED_FROM = 0.02
"""Share of a remote shard that is read piece by piece before it is copied whole: a glance at many copies none."""
ABANDONED_AFTER = 24 * 3600
"""Seconds after which a half-made copy is surely nobody's."""
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.:-]+://")


@dataclass(frozen=True)
class Shard:
    """One tar file: its path or URL, its bytes, and what changes when it is written anew (a time, an ETag)."""

    location: str
    size: int
    mark: str

    @property
    def name(self) -> str:
        """The last part of the location."""
        return self.location.rstrip("/").rsplit("/", 1)[-1].rsplit(os.sep, 1)[-1]

    @property
    def remote(self) -> bool:
        """Whether it lies at a URL."""
        return is_url(self.location)


def is_url(source: str) -> bool:
    """Whether a source is a URL rather than a path."""
    return URL.match(source) is not None


def claims_shards(source: Any) -> bool:
    """Whether a source names tar files: a URL, a .tar, a pattern of them, or a folder with them. Cheap."""
    text = str(source)
    if is_url(text) or text.startswith("pipe:"):
        return True
    if BRACES.search(text) or text.lower().endswith((SUFFIX, ".tar.gz", ".tgz")):
        return BRACES.search(text) is not None or Path(text).is_file()
    try:
        with os.scandir(text) as children:
            return any(child.name.lower().endswith(SUFFIX) for child in children)
    except OSError:
        return False


def shards_of(source: str) -> list[Shard]:
    """The tar files a source names, in order. Raises GannetError when there are none or one is missing."""
    if source.startswith("pipe:") or "::" in source:
        raise GannetError(f"{source}: commands and chained locations are never run or followed: give a path or one URL")
    shards = _remote(source) if is_url(source) else _local(source)
    if not shards:
        raise GannetError(f"{source}: no {SUFFIX} files here; shards are plain tar files, as gannet shards writes them")
    return shards


def beside(source: str, name: str) -> bytes | None:
    """A small file beside the shards of a folder or URL, such as their index; None when there is none."""
    try:
        if not is_url(source):
            local = Path(source) / name
            return local.read_bytes() if local.is_file() else None
        system, path = _system(source)
        place = f"{path.rstrip('/')}/{name}"
        return system.cat_file(place) if system.isfile(place) else None
    except (OSError, ValueError) as error:
        raise GannetError(f"{source}: {name} cannot be read ({error}): check the location") from error


def expanded(pattern: str) -> list[str]:
    """Every location of a pattern: {0000..0099} counts, with the digits written. Raises GannetError for too many."""
    found = BRACES.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    if not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise GannetError(f"{pattern}: {found[0]} must count upwards, over at most {MOST_SHARDS:,} shards")
    heads = [f"{pattern[: found.start()]}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    locations = [f"{head}{tail}" for head in heads for tail in expanded(pattern[found.end() :])]
    if len(locations) > MOST_SHARDS:
        raise GannetError(f"{pattern}: names more than {MOST_SHARDS:,} shards")
    return locations


def _local(source: str) -> list[Shard]:
    path = Path(source)
    if path.is_dir():
        paths = sorted(child for child in path.iterdir() if child.suffix.lower() == SUFFIX and child.is_file())
    else:
        paths = [Path(location) for location in expanded(source)]
    shards = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise GannetError(
                f"{path}: no such shard ({error.strerror}): give all of them, or another range"
            ) from error
        shards.append(Shard(str(path), status.st_size, str(status.st_mtime_ns)))
    return shards


def _remote(source: str) -> list[Shard]:
    shards = []
    try:
        system, path = _system(expanded(source)[0])
        if BRACES.search(source) or source.lower().endswith(SUFFIX):
            places = [system._strip_protocol(location) for location in expanded(source)]
            infos = [system.info(place) for place in places]
        else:
            infos = [info for info in system.ls(path, detail=True) if info["name"].lower().endswith(SUFFIX)]
        for info in sorted(infos, key=lambda info: info["name"]):
            mark = next(
                (str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), ""
            )
            shards.append(Shard(system.unstrip_protocol(info["name"]), int(info["size"]), mark))
    except (OSError, ValueError, TypeError) as error:
        raise GannetError(f"{source}: cannot be listed ({error}): check the location and your access to it") from error
    return shards


def _system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path in it."""
    try:
        import fsspec
    except ImportError as error:
        raise missing_extra("fsspec", "remote", f"the location {url}") from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:  # fsspec names the package that speaks this protocol
        raise GannetError(f"{url}: {error}: install it beside Gannet") from error
    except ValueError as error:
        raise GannetError(f"{url}: not a location that can be read ({error})") from error
    return system, path


class _Opened:
    """A file descriptor that closes itself when nobody reads from it any more."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self.number)


class Shelf:
    """Shards to read from, in any thread. Remote ones are read piece by piece where they lie, until enough of one was
    asked for: then a thread copies it whole into `cache`, where the longest unused copies are let go.

    Copies take at most `limit` bytes; a shard larger than that is always read piece by piece.
    """

    def __init__(self, shards: list[Shard], cache: Path, limit: int, digests: list[str] | None = None) -> None:
        """`digests`: SHA-256 of each shard, asked of its copy."""
        self.shards, self.cache, self.limit, self.digests = shards, cache / "shards", limit, digests
        self._open: OrderedDict[int, _Opened] = OrderedDict()
        self._asked: dict[int, int] = {}
        self._copies: dict[int, Future[Path]] = {}
        self._waiting: SimpleQueue[int] = SimpleQueue()
        self._copier: threading.Thread | None = None
        self._lock = threading.Lock()

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """Bytes of a shard; fewer only at its end. Raises GannetError when it cannot be read."""
        place = self.shards[shard]
        try:
            file = self._opened(shard, size)
            if file is None:
                return _piece(place, offset, size)
            data = b""
            while len(data) < size:
                part = os.pread(file.number, size - len(data), offset + len(data))
                if not part:
                    break
                data = part if not data else data + part
            return data
        except (OSError, ValueError) as error:
            raise GannetError(
                f"{place.location}: cannot be read ({error}): put it back, or check your access to it"
            ) from error

    def fetch(self, shard: int) -> None:
        """Wait for the copy of a remote shard that will be read from end to end, unless it is too large for one."""
        place = self.shards[shard]
        if place.remote and place.size <= self.limit:
            with self._lock:
                copy = self._begun(shard)
            copy.result()

    def _opened(self, shard: int, size: int) -> _Opened | None:
        """A shard, or its copy, open to be read; None where it is to be read piece by piece."""
        with self._lock:
            file = self._open.get(shard)
            if file is not None:
                self._open.move_to_end(shard)
                return file
            copy = self._copy_for(shard, size) if self.shards[shard].remote else None
        if copy is not None:
            if not copy.done():
                return None
            path = copy.result()
        elif self.shards[shard].remote:
            return None
        else:
            path = Path(self.shards[shard].location)
        try:
            file = _Opened(path)
        except FileNotFoundError:
            if copy is None:
                raise
            self._forget(path)  # another process made room
            return None
        with self._lock:
            self._open[shard] = file
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        return file

    def _copy_for(self, shard: int, size: int) -> Future[Path] | None:
        """The copy, made or on its way, of a remote shard of which so many bytes are asked for; None: not worth one."""
        place = self.shards[shard]
        if place.size > self.limit:
            return None
        self._asked[shard] = self._asked.get(shard, 0) + size
        if shard in self._copies or self._asked[shard] > COPIED_FROM * place.size or self._is_whole(place):
            return self._begun(shard)
        return None

    def _begun(self, shard: int) -> Future[Path]:
        copy = self._copies.get(shard)
        if copy is not None:
            return copy
        copy = self._copies[shard] = Future()
        if self._is_whole(self.shards[shard]):
            path = self._target(self.shards[shard])
            with suppress(OSError):
                os.utime(path)
            copy.set_result(path)
            return copy
        self._waiting.put(shard)
        if self._copier is None:
            # A daemon: a program that ends does not wait for what it no longer needs.
            self._copier = threading.Thread(target=self._copy_all, name="gannet-shards", daemon=True)
            self._copier.start()
        return copy

    def _copy_all(self) -> None:
        while True:
            shard = self._waiting.get()
            copy = self._copies[shard]
            try:
                copy.set_result(self._copy(self.shards[shard], None if self.digests is None else self.digests[shard]))
            except GannetError as error:
                copy.set_exception(error)
            except Exception as error:
                location = self.shards[shard].location
                copy.set_exception(GannetError(f"{location}: cannot be copied ({error}): check your access to it"))

    def _target(self, shard: Shard) -> Path:
        key = hashlib.sha256(f"{shard.location} {shard.size} {shard.mark}".encode()).hexdigest()[:24]
        return self.cache / f"{key}{SUFFIX}"

    def _is_whole(self, shard: Shard) -> bool:
        target = self._target(shard)
        return target.is_file() and target.stat().st_size == shard.size

    def _copy(self, shard: Shard, digest: str | None) -> Path:
        """The local copy of a remote shard, made if it is not there; within the limit afterwards."""
        target = self._target(shard)
        if self._is_whole(shard):
            return target
        self.cache.mkdir(parents=True, exist_ok=True)
        self._make_room(shard.size)
        descriptor, temporary = tempfile.mkstemp(prefix=f"{target.stem}.", suffix=".part", dir=self.cache)
        try:
            got, seen = _download(shard, descriptor)
            if seen != shard.size or (digest is not None and got != digest):
                raise GannetError(f"{shard.location}: what arrived is not what its index says: fetch or write it again")
            os.replace(temporary, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        return target

    def _make_room(self, size: int) -> None:
        """Let copies go, the longest unused first, until so many bytes more are within the limit."""
        for path in self.cache.glob("*.part"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                    path.unlink()
        copies = [(path.stat(), path) for path in self.cache.glob(f"*{SUFFIX}")]
        used = sum(status.st_size for status, _ in copies)
        for status, path in sorted(copies, key=lambda copy: copy[0].st_mtime_ns):
            if used + size <= self.limit:
                break
            self._forget(path)
            with suppress(OSError):
                path.unlink()
            used -= status.st_size

    def _forget(self, path: Path) -> None:
        """Close a copy, whose space is free only then, and ask anew whether one is worth it."""
        with self._lock:
            gone = [shard for shard in self._copies if self._target(self.shards[shard]) == path]
            for shard in gone:
                if self._copies[shard].done():
                    del self._copies[shard]
                self._open.pop(shard, None)
                self._asked.pop(shard, None)


def _piece(shard: Shard, offset: int, size: int) -> bytes:
    system, path = _system(shard.location)
    return bytes(system.cat_file(path, start=offset, end=min(offset + size, shard.size)))


def _download(shard: Shard, descriptor: int) -> tuple[str, int]:
    """Copy a remote shard into an open file, and say its SHA-256 and its bytes."""
    whole, seen = hashlib.sha256(), 0
    system, path = _system(shard.location)
    with os.fdopen(descriptor, "wb") as local, system.open(path, "rb") as far:
        while chunk := far.read(CHUNK):
            local.write(chunk)
            whole.update(chunk)
            seen += len(chunk)
            if seen > shard.size:
                break
    return whole.hexdigest(), seen
