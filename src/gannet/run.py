"""The run folder: settings, command, log, previews and checkpoints of one training, whole after any crash.

`with run.hold():` one process at a time writes, through `log`, `save` and `add_preview`; anyone may read at any time.
After a kill, `run.newest().read()` and `run.rewind_log(seen)` give back the run as it was when that was saved.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import platform
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from torch import Tensor

from gannet.checkpoint import (
    FORMAT,
    TEMPORARY,
    Checkpoint,
    discard,
    dump_json,
    explained,
    fault,
    flush_folder,
    list_checkpoints,
    parse_json,
    replace_file,
    sweep,
    write_checkpoint,
)
from gannet.errors import GannetError, TrainingWarning

KEPT = 2
"""Checkpoints kept besides the best one."""
SILENCE = 600.0
"""Seconds without a sign of life after which the lock of another machine counts as left behind."""
SETTINGS, COMMAND, LOG, LOCK = "settings.json", "command.txt", "log.jsonl", "lock.json"


class RunFolder:
    """All that is kept of one training. Get one from `create` or `open`."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self._header = header
        self._held = False
        self._mended = False

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether there is a run folder at `path`."""
        return (Path(path) / SETTINGS).is_file()

    @classmethod
    def create(cls, path: str | Path, settings: Mapping[str, Any], command: str) -> RunFolder:
        """Make a run folder at `path`, which must be new or empty, from resolved settings (JSON values).

        `command` is the line that started the run. Raises GannetError when something else lies there.
        """
        path = Path(path)
        with explained("make a run folder", path.parent):
            if cls.exists(path):
                raise GannetError(
                    f"{path} is already a run; go on with it (gannet resume {path}) or choose another --out"
                )
            if path.exists() and (not path.is_dir() or any(not _unfinished(entry) for entry in path.iterdir())):
                raise GannetError(f"{path} exists and is not a run; choose a new or empty folder with --out")
            for folder in (path / "checkpoints", path / "previews"):
                folder.mkdir(parents=True, exist_ok=True)
        header = {"format": FORMAT, "created": _now(), "versions": _versions(), "settings": dict(settings)}
        replace_file(path / SETTINGS, dump_json(header))
        replace_file(path / COMMAND, f"{command}\n".encode())
        flush_folder(path.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run at `path`. Raises GannetError when there is none, it is hurt, or made by a newer Gannet."""
        path = Path(path)
        if not path.is_dir():
            raise GannetError(f"{path} is not a folder; give the folder of a run, such as runs/photos-1")
        try:
            header = parse_json((path / SETTINGS).read_bytes())
            made_by = int(header["format"])
            complete = isinstance(header["settings"], dict) and isinstance(header["versions"], dict)
        except FileNotFoundError:
            raise GannetError(
                f"{path} is not a run: it has no {SETTINGS}; give the folder that training made"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GannetError(f"{path / SETTINGS} cannot be read ({error}); restore it from a copy") from error
        if made_by > FORMAT:
            raise GannetError(f"{path} has run format {made_by}, newer than {FORMAT}; upgrade Gannet to open it")
        if not complete:
            raise GannetError(f"{path / SETTINGS} lacks the settings; restore it from a copy")
        return cls(path, header)

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved settings, as JSON values; change them with `update_settings`."""
        return self._header["settings"]

    @property
    def versions(self) -> dict[str, str | None]:
        """Versions of Python, the platform and the main packages when the run was made."""
        return self._header["versions"]

    @property
    def created(self) -> str:
        """When the run was made: ISO 8601, UTC."""
        return self._header["created"]

    @property
    def command(self) -> str | None:
        """The line that started the run; None when it was lost."""
        try:
            return (self.path / COMMAND).read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def update_settings(self, **changes: Any) -> None:
        """Change top-level settings, atomically."""
        header = {**self._header, "settings": {**self.settings, **changes}}
        data = dump_json(header)
        replace_file(self.path / SETTINGS, data)
        self._header = parse_json(data)

    # The log

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one record (JSON values; `seen` says when) to log.jsonl; a kill afterwards does not lose it.

        A number that is not finite becomes null and is told in the record's `not_finite`.
        Log before you save at the same moment: `rewind_log` then finds the record in its place.
        """
        strange: dict[str, str] = {}
        plain = _finite(record, "", strange)
        if strange:
            plain["not_finite"] = strange
        line = (json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n").encode()
        with explained(f"append to {LOG}", self.path, needed=len(line)):
            if not self._mended:
                _cut_torn_line(self.path / LOG)
                self._mended = True
            _append(self.path / LOG, line)
            self._show_life()

    def read_log(self) -> list[dict[str, Any]]:
        """Every record of the log, oldest first; a last line that a kill tore is left out."""
        return [record for _, record in self._log_lines()]

    def rewind_log(self, seen: int) -> None:
        """Drop, atomically, what was logged after `seen` samples, so that a resumed run writes the same log again.

        A record without `seen` belongs to the one before it.
        """
        kept, last = [], 0
        for line, record in self._log_lines():
            last = record.get("seen", last)
            if last <= seen:
                kept.append(line)
        replace_file(self.path / LOG, b"".join(kept))

    def _log_lines(self) -> list[tuple[bytes, dict[str, Any]]]:
        try:
            lines = (self.path / LOG).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise GannetError(f"{self.path / LOG} cannot be read ({error.strerror}); check the disk") from error
        found = []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                found.append((line + b"\n", record))
            else:
                _warn(f"line {number} of {self.path / LOG} is hurt and left out")
        return found

    # Checkpoints

    def save(
        self, seen: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], *, best: bool
    ) -> Checkpoint:
        """Save the moment after `seen` samples: one safetensors file a group, and a JSON state; all or nothing.

        Then keep the newest two and the newest saved as `best`. Checkpoints of a later moment belong to a
        continuation that was given up (the run went back), so they go too.
        Raises GannetError when the disk is full or read-only; the checkpoints before are then untouched.
        """
        folder = self.path / "checkpoints"
        with explained("save a checkpoint", folder):
            for place in (self.path, folder, self.path / "previews"):
                sweep(place)
            if (self.path / LOG).exists():
                _flush_file(self.path / LOG)
        same = [checkpoint for checkpoint in self.checkpoints() if checkpoint.seen == seen]
        best = best or any(checkpoint.is_best() for checkpoint in same)
        checkpoint = write_checkpoint(folder, seen, tensors, dict(state), best=best)
        with explained("remove old checkpoints", folder):
            fault("save:prune")
            self._prune(checkpoint)
            self._show_life()
        return checkpoint

    def checkpoints(self) -> list[Checkpoint]:
        """Every checkpoint, oldest first, unverified."""
        return list_checkpoints(self.path / "checkpoints")

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, every byte verified; None before the first save.

        A hurt one is passed over with a TrainingWarning that says which and why.
        Raises GannetError when there are checkpoints and all are hurt.
        """
        hurt: list[GannetError] = []
        for checkpoint in reversed(self.checkpoints()):
            try:
                checkpoint.verify()
            except GannetError as error:
                if not checkpoint.path.exists():
                    return self.newest()  # the trainer removed it while we looked, so there is a newer one
                hurt.append(error)
                continue
            for reason in hurt:
                _warn(f"{reason}; going back to {checkpoint.path.name}")
            return checkpoint
        if hurt:
            raise GannetError(f"no whole checkpoint is left of {len(hurt)}: {hurt[0]}; restore one from a copy")
        return None

    def best(self) -> Checkpoint | None:
        """The checkpoint last saved as best; the newest whole one when there is none or it is hurt (a warning says)."""
        listed = self.checkpoints()
        marked = [checkpoint for checkpoint in listed if checkpoint.is_best()]
        if not all(checkpoint.path.exists() for checkpoint in listed):
            return self.best()  # the trainer removed one while we looked, perhaps for a better one
        for checkpoint in reversed(marked):
            try:
                checkpoint.verify()
                return checkpoint
            except GannetError as error:
                if not checkpoint.path.exists():
                    return self.best()
                _warn(f"{error}; using another instead of the best")
        return self.newest()

    def _prune(self, newest: Checkpoint) -> None:
        """Remove all but the newest two and the best; a file-size check keeps a cut one from counting."""
        whole = {c.seen: c for c in self.checkpoints() if c.seen <= newest.seen and c.is_complete()}
        order = sorted(whole)
        best = [seen for seen in order if whole[seen].is_best()]
        keep = {whole[seen].path for seen in order[-KEPT:] + best[-1:]} | {newest.path}
        for checkpoint in self.checkpoints():
            if checkpoint.path not in keep:
                discard(checkpoint.path)
        fault("save:pruned")

    # Previews

    def add_preview(self, seen: int, image: Image.Image) -> Path:
        """Keep a picture of the samples at this moment as previews/NNNNNNNNN.png, atomically; returns its path."""
        data = io.BytesIO()
        image.save(data, format="PNG")
        path = self.path / "previews" / f"{seen:09d}.png"
        replace_file(path, data.getvalue())
        return path

    def previews(self) -> list[Path]:
        """The pictures kept so far, oldest first."""
        return sorted((self.path / "previews").glob("[0-9]*.png"), key=lambda path: (len(path.name), path.name))

    # One writer at a time

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be the only process that trains here. A lock left by a dead process is taken over.

        Raises GannetError naming the process that trains here already.
        """
        lock = self.path / LOCK
        with explained("lock the run", self.path):
            mine = _take_lock(lock)
        self._held = True
        try:
            yield
        finally:
            self._held = False
            with suppress(OSError):
                if lock.read_bytes() == mine:
                    lock.unlink()

    def _show_life(self) -> None:
        """Renew the lock's time, by which another machine knows that this one still trains."""
        if self._held:
            with suppress(FileNotFoundError):
                os.utime(self.path / LOCK)


def unused_run_path(root: str | Path, stem: str) -> Path:
    """Claim the first free root/stem-1, -2, ... by making it (empty); `stem` is cleaned for use as a file name.

    Two processes never get the same one. Raises GannetError when `root` cannot be written.
    """
    root = Path(root)
    stem = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"
    with explained("make a run folder", root):
        root.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = root / f"{stem}-{number}"
            with suppress(FileExistsError):
                path.mkdir()
                return path
    raise AssertionError("unreachable")


def _versions() -> dict[str, str | None]:
    try:
        own = version("gannet")
    except PackageNotFoundError:  # run from a source tree that is not installed
        own = None
    return {
        "gannet": own,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": str(torch.__version__),
        "numpy": version("numpy"),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _warn(text: str) -> None:
    warnings.warn(TrainingWarning(text), stacklevel=3)


def _unfinished(path: Path) -> bool:
    """Whether a killed `create` may have left this; not worth refusing a folder for."""
    return path.name.startswith(TEMPORARY) or (path.name in ("checkpoints", "previews") and not any(path.iterdir()))


def _finite(value: Any, name: str, strange: dict[str, str]) -> Any:
    """A copy with null for every number that is not finite; `strange` collects their dotted names."""
    if isinstance(value, float) and not math.isfinite(value):
        strange[name] = str(value)
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry, f"{name}.{key}" if name else str(key), strange) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry, f"{name}.{index}", strange) for index, entry in enumerate(value)]
    return value


def _append(path: Path, line: bytes) -> None:
    """Append a whole line or nothing."""
    with open(path, "ab", buffering=0) as file:
        size = file.tell()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def _cut_torn_line(path: Path) -> None:
    """Drop a last line without its end, which a kill or a full disk left, before more is appended to it."""
    if path.is_file():
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            os.truncate(path, data.rfind(b"\n") + 1)


def _flush_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_lock(lock: Path) -> bytes:
    """Write our name into the lock, or raise GannetError naming its living holder; returns what was written."""
    mine = dump_json({"pid": os.getpid(), "started": _started(os.getpid()), "host": platform.node(), "since": _now()})
    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            _clear_lock(lock)
            continue
        try:
            os.write(descriptor, mine)
        except OSError:
            lock.unlink()
            raise
        finally:
            os.close(descriptor)
        return mine


def _clear_lock(lock: Path) -> None:
    """Remove a lock whose holder is dead; raise GannetError when the holder lives."""
    try:
        found, age = lock.read_bytes(), time.time() - lock.stat().st_mtime
    except FileNotFoundError:
        return
    holder = _living_holder(found, age)
    if holder is not None:
        raise GannetError(
            f"{lock.parent} is being trained by {holder}; wait for it, stop it, or choose another folder with --out"
        )
    if not found and age < 2:
        time.sleep(0.05)  # its maker is between making and writing it
        return
    # Whoever wins this rename removes the stale lock; if it caught a fresh one instead, that goes back.
    caught = lock.with_name(f"{TEMPORARY}lock-{os.getpid()}")
    with suppress(FileNotFoundError):
        os.rename(lock, caught)
        if caught.read_bytes() == found:
            caught.unlink()
        else:
            os.rename(caught, lock)


def _living_holder(content: bytes, age: float) -> str | None:
    """Who holds a lock, in words; None when it is dead or unknown. `age`: seconds since its last sign of life."""
    try:
        lock = parse_json(content)
        pid, started, host, since = int(lock["pid"]), float(lock["started"]), str(lock["host"]), str(lock["since"])
    except (ValueError, KeyError, TypeError):
        return None
    if host != platform.node():
        return f"process {pid} on {host} (last sign of life {age:.0f} s ago)" if age < SILENCE else None
    # A process id is used again, after a restart even soon; its start time tells the two apart.
    now = _started(pid)
    return f"process {pid} (since {since})" if now is not None and abs(now - started) < 2 else None


def _started(pid: int) -> float | None:
    """When a living process started, in seconds since 1970; None when there is none (or a dead one not yet reaped)."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.NoSuchProcess, ValueError):
        return None
