"""One checkpoint: a folder of safetensors and JSON that is whole or does not count.

Written aside, flushed to the disk, sealed by a manifest of sizes and SHA-256 digests, then renamed into its place.
`checkpoint = write_checkpoint(folder, seen, tensors, state)`; `tensors, state = checkpoint.read()`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gannet.errors import GannetError

Groups = dict[str, dict[str, Tensor]]
"""Tensors by group ("networks", "ema", ...) and name; each group is one safetensors file."""

FORMAT = 1
"""Version of the layout on disk; a folder with a higher one is refused."""
TEMPORARY = ".unfinished-"
"""Prefix of what a killed process may leave behind; swept by the next save."""
MANIFEST = "manifest.json"
STATE = "state.json"
SUPERSEDED = "-old"
"""Suffix of a checkpoint while a new one of the same moment takes its name."""

_DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The names that safetensors gives to types, in the order in which it lays tensors out."""


def fault(stage: str) -> None:
    """Die here by SIGKILL when the environment says GANNET_FAULT=stage: how the tests prove that a kill is harmless."""
    if os.environ.get("GANNET_FAULT") == stage:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def explained(action: str, folder: Path, *, needed: int | None = None) -> Iterator[None]:
    """Turn a refusal of the file system into a GannetError that names the action, the folder, the cause, the remedy.

    `needed` is the size in bytes of what is being written, told when the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise full(action, folder, needed) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            remedy = "it may not be written by this user; change its permissions or choose another folder"
            raise GannetError(f"cannot {action} in {folder}: {error.strerror}; {remedy}") from error
        raise GannetError(f"cannot {action} in {folder}: {error.strerror}; check the path and the disk") from error


def full(action: str, folder: Path, needed: int | None) -> GannetError:
    """The error for a full disk (or quota): needed and free bytes, and that nothing saved before was touched."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    need = "" if needed is None else f"{_size(needed)} needed, "
    free = _size(shutil.disk_usage(place).free)
    return GannetError(
        f"cannot {action} in {folder}: the disk or quota is full ({need}{free} free); "
        "free some space and go on: what was saved before is whole"
    )


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk. Not atomic by itself; see `replace_file`."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write or replace a file atomically: after a crash it holds the old content or the new, never a part.

    Raises GannetError when the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f"{TEMPORARY}{path.name}")
    with explained(f"write {path.name}", path.parent, needed=len(data)):
        try:
            write_file(aside, data)
            fault(f"replace:{path.name}")
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut (a no-op on Windows, which cannot open folders)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder. Only for the one process that writes there."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def dump_json(value: Any, *, sort: bool = False) -> bytes:
    """JSON for `parse_json`; inf and nan survive as {"$float": "inf"}. `sort`: equal values give equal bytes."""
    return (json.dumps(_wrap(value), indent=1, sort_keys=sort, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse_json(data: bytes) -> Any:
    """The inverse of `dump_json`. Raises ValueError for anything that is not JSON."""
    try:
        return json.loads(data, object_hook=_unwrap)
    except RecursionError:
        raise ValueError("nested too deeply") from None


@dataclass(frozen=True)
class Manifest:
    """The seal of a checkpoint: file name -> (bytes, SHA-256), and whether it was the best so far."""

    files: dict[str, tuple[int, str]]
    best: bool


@dataclass(frozen=True)
class Checkpoint:
    """A saved moment of a run: the folder it lies in, and how many samples had been seen."""

    seen: int
    path: Path

    def manifest(self) -> Manifest:
        """What the checkpoint says it holds. Raises GannetError when it does not say it plainly."""
        try:
            content = parse_json((self.path / MANIFEST).read_bytes())
            version, seen, best = int(content["format"]), int(content["seen"]), content["best"] is True
            files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in content["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._hurt(f"{MANIFEST} is missing or unreadable") from error
        if version > FORMAT:
            raise self._hurt(f"format {version} is newer than this Gannet reads ({FORMAT}); upgrade Gannet")
        if seen != self.seen or STATE not in files or any(name != Path(name).name for name in files):
            raise self._hurt(f"{MANIFEST} does not describe this folder")
        return Manifest(files, best)

    def is_complete(self) -> bool:
        """The cheap check: a manifest, and every file of its size. `verify` reads all bytes."""
        try:
            files = self.manifest().files
            return all((self.path / name).stat().st_size == size for name, (size, _) in files.items())
        except (GannetError, OSError):
            return False

    def is_best(self) -> bool:
        """Whether it was saved as the best so far; not when its manifest is hurt."""
        try:
            return self.manifest().best
        except GannetError:
            return False

    def verify(self) -> None:
        """Check the size and digest of every file. Raises GannetError naming the hurt one and how it is hurt."""
        for name, (size, digest) in self.manifest().files.items():
            self._whole(name, size, digest)

    def read(self, device: str | torch.device = "cpu") -> tuple[Groups, dict[str, Any]]:
        """The tensors by group and name, on `device`, and the state; every byte is verified on the way.

        Raises GannetError naming the file when one is missing, cut short or altered.
        """
        groups: Groups = {}
        state: dict[str, Any] = {}
        for name, (size, digest) in self.manifest().files.items():
            data = self._whole(name, size, digest)
            try:
                if name == STATE:
                    state = parse_json(data)
                else:
                    named = safetensors.torch.load(data)
                    groups[Path(name).stem] = {key: tensor.to(device) for key, tensor in named.items()}
            except (SafetensorError, KeyError, ValueError) as error:
                raise self._hurt(f"{name} cannot be decoded ({error})") from error
        if not isinstance(state, dict):
            raise self._hurt(f"{STATE} holds no state")
        return groups, state

    def _whole(self, name: str, size: int, digest: str) -> bytes:
        """The bytes of one file, after checking them against the manifest."""
        try:
            data = (self.path / name).read_bytes()
        except OSError as error:
            raise self._hurt(f"{name} cannot be read ({error.strerror})") from error
        if len(data) != size:
            raise self._hurt(f"{name} has {len(data)} bytes instead of {size}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._hurt(f"{name} was altered after it was saved (its SHA-256 differs)")
        return data

    def _hurt(self, cause: str) -> GannetError:
        return GannetError(f"checkpoint {self.path} is hurt: {cause}; only another checkpoint of the run can be used")


def write_checkpoint(
    folder: Path, seen: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Any, *, best: bool = False
) -> Checkpoint:
    """Save groups of tensors, a JSON state and the mark of the best as folder/NNNNNNNNN, atomically.

    A checkpoint of the same moment is kept beside it as NNNNNNNNN-old until the caller removes it.
    Equal content gives equal bytes. Raises GannetError when the disk is full or the folder cannot be written.
    """
    data = dump_json(state, sort=True)
    seal = {"format": FORMAT, "seen": seen, "best": best}
    needed = len(data) + sum(tensor.nbytes + 256 for group in tensors.values() for tensor in group.values())
    name = f"{seen:09d}"
    aside, final = folder / f"{TEMPORARY}{name}", folder / name
    with explained("save a checkpoint", folder, needed=needed):
        if shutil.disk_usage(folder).free < needed * 1.1:
            raise full("save a checkpoint", folder, needed)
        try:
            aside.mkdir()
            fault("save:begin")
            entries = _fill(aside, tensors, data)
            write_file(aside / MANIFEST, dump_json({**seal, "files": entries}, sort=True))
            flush_folder(aside)
            fault("save:filled")
            if final.exists():
                discard(final.with_name(name + SUPERSEDED))
                os.rename(final, final.with_name(name + SUPERSEDED))
                fault("save:aside")
            os.rename(aside, final)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        flush_folder(folder)
    fault("save:renamed")
    return Checkpoint(seen, final)


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Every finished checkpoint of a folder, oldest first, whole or hurt; a superseded one before its successor."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        number = path.name.removesuffix(SUPERSEDED)
        if number.isascii() and number.isdigit() and path.is_dir():
            found.append(Checkpoint(int(number), path))
    return sorted(found, key=lambda checkpoint: (checkpoint.seen, not checkpoint.path.name.endswith(SUPERSEDED)))


def discard(path: Path) -> None:
    """Remove a checkpoint's folder so that a kill half-way leaves no half checkpoint under its name."""
    if not path.exists():
        return
    doomed = path.with_name(f"{TEMPORARY}gone-{path.name}")
    os.rename(path, doomed)
    fault("prune:renamed")
    shutil.rmtree(doomed)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy saved tensors into a module, strictly; `name` is what the module is called in messages ("generator").

    Raises GannetError naming the first tensor that is missing, unknown, of another shape or type, or a weight
    that is not finite; the module is then left as it was.
    """
    expected = module.state_dict()
    weights = dict(module.named_parameters(remove_duplicate=False))
    remedy = "it was saved from another network; use the settings it was trained with"
    if expected.keys() != tensors.keys():
        missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
        raise GannetError(f"{name} does not fit: missing {missing[:3]}, unknown {unknown[:3]}; {remedy}")
    for key, value in expected.items():
        saved = tensors[key]
        if saved.shape != value.shape or saved.dtype != value.dtype:
            raise GannetError(
                f"{name}.{key} does not fit: saved {_describe(saved)}, expected {_describe(value)}; {remedy}"
            )
        if key in weights and not saved.isfinite().all():
            raise GannetError(f"{name}.{key} holds nan or infinite weights; use an earlier checkpoint")
    module.load_state_dict(dict(tensors))


def _fill(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: bytes) -> dict[str, Any]:
    """Every file of a checkpoint but the manifest, each flushed to the disk; returns the manifest's entries."""
    entries = {}
    for group, named in sorted(tensors.items()):
        assert group.isidentifier(), group
        entries[f"{group}.safetensors"] = _write_tensors(folder / f"{group}.safetensors", named)
        fault(f"save:{group}")
    write_file(folder / STATE, state)
    entries[STATE] = {"bytes": len(state), "sha256": hashlib.sha256(state).hexdigest()}
    fault("save:state")
    return entries


def _write_tensors(path: Path, named: Mapping[str, Tensor]) -> dict[str, Any]:
    """Stream tensors into a safetensors file, flushed; returns its manifest entry.

    `safetensors.torch.save` lays out the same bytes, but holds a second copy of everything in memory, takes three
    times as long, and refuses tensors that share memory or are strided.
    """
    assert sys.byteorder == "little", "safetensors files are little-endian"
    order = list(_DTYPES)
    assert all(tensor.dtype in _DTYPES for tensor in named.values()), {tensor.dtype for tensor in named.values()}
    named = dict(sorted(named.items(), key=lambda item: (order.index(item[1].dtype), item[0])))
    header, offset = {}, 0
    for name, tensor in named.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with open(path, "wb", buffering=0) as file:
        for rest in chain([memoryview(len(text).to_bytes(8, "little") + text)], map(_bytes, named.values())):
            digest.update(rest)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    return {"bytes": 8 + len(text) + offset, "sha256": digest.hexdigest()}


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _describe(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 100_000 else f"{count / 1e6:,.1f} MB"


def _wrap(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value), f"JSON keys are text: {list(value)}"
        return {key: _wrap(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_wrap(entry) for entry in value]
    return value


def _unwrap(value: dict[str, Any]) -> Any:
    return float(value["$float"]) if value.keys() == {"$float"} else value
