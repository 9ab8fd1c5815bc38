"""The members of a tar file by its headers alone: regular files with their places, and why others are left out.

Nothing is unpacked and no member is opened here; a name that points outside, or an archive that is cut off, is refused.
Formats: ustar, GNU long names and pax (POSIX.1-2001, "ustar Interchange Format" and "pax Header Block").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from gannet.errors import GannetError

BLOCK = 512
LONGEST_NAME = 4096
LONGEST_PAX = 1 << 16
"""Bytes of names and pax records that are read; an honest archive needs far less."""
KINDS = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a device",
    "4": "a device",
    "6": "a pipe",
    "S": "a sparse file",
}
"""Members that are never used, by their type flag."""
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}

Read = Callable[[int, int], bytes]
"""`read(offset, size)` of a file: fewer bytes only at its end."""


class Member(NamedTuple):
    """A member: its name with forward slashes, where its bytes begin, how many, and what is wrong with it."""

    name: str
    offset: int
    size: int
    problem: str | None = None


def members(read: Read, size: int, source: str) -> Iterator[Member]:
    """All members but folders, in order. Raises GannetError when the file is no tar, cut off, or points outside."""
    place, name, claimed = 0, None, None
    while place + BLOCK <= size:
        header = read(place, BLOCK)
        if header == bytes(BLOCK):
            return
        kind, length = _kind(header), _number(header[124:136])
        if not _sound(header) or length is None:
            raise GannetError(f"{source}: {_unsound(header, place)}")
        data, place = place + BLOCK, place + BLOCK + _padded(length)
        if kind in ("L", "K", "x", "g"):
            extra = _extra(read, data, length, kind, source)
            if kind == "L":
                name = extra.rstrip(b"\0").decode("utf-8", "replace")
            elif kind == "x":
                records = _pax(extra, source)
                name, claimed = records.get("path", name), records.get("size", claimed)
            continue
        if claimed is not None:
            if not claimed.isascii() or not claimed.isdecimal() or len(claimed) > 18:
                raise GannetError(f"{source}: a member declares the size {claimed[:20]!r}: make the tar file again")
            length = int(claimed)
            place = data + _padded(length)
        full, name, claimed = name or _name(header), None, None
        if kind in ("0", "\0", "7", *KINDS):
            yield _checked(full, data, length, kind, size, source)
        elif kind != "5":
            yield Member(full, data, length, f"a member of the unknown type {kind!r}")
    if place > size or size % BLOCK:
        raise GannetError(f"{source}: the tar file ends too early (at {size:,} bytes): get or make it again")


def holds(header: bytes, size: int) -> bool:
    """Whether a block is the header of a member of this size; tells that an index belongs to the file."""
    return len(header) == BLOCK and _sound(header) and _number(header[124:136]) == size


def _checked(name: str, offset: int, length: int, kind: str, size: int, source: str) -> Member:
    if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":" or "\\" in name:
        raise GannetError(
            f"{source}: its member {name!r} points outside the archive: refused; make the tar file again from a "
            "folder you trust"
        )
    if kind in KINDS:
        return Member(name, offset, 0, f"{KINDS[kind]}, not a file: never followed")
    if offset + length > size:
        raise GannetError(
            f"{source}: the tar file ends too early, within {name} ({size:,} bytes): get or make it again"
        )
    return Member(name.removeprefix("./"), offset, length)


def _extra(read: Read, offset: int, length: int, kind: str, source: str) -> bytes:
    limit = LONGEST_NAME if kind in ("L", "K") else LONGEST_PAX
    if length > limit:
        raise GannetError(f"{source}: a header of {length:,} bytes (at most {limit:,}): refused; make the tar again")
    data = read(offset, length)
    if len(data) < length:
        raise GannetError(f"{source}: the tar file ends too early: get or make it again")
    return data


def _pax(data: bytes, source: str) -> dict[str, str]:
    """The records "length key=value" of a pax header, of which `path` and `size` matter."""
    records: dict[str, str] = {}
    while data:
        digits, _, rest = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 7 else 0
        if not len(digits) + 3 <= length <= len(data) or b"=" not in rest[: length - len(digits) - 1]:
            raise GannetError(f"{source}: a pax header is damaged: get or make the tar file again")
        key, _, value = rest[: length - len(digits) - 2].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        data = data[length:]
    if any(key.startswith("GNU.sparse") for key in records):
        raise GannetError(f"{source}: it holds sparse files, which are not read: make the tar file again without them")
    return records


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0].decode("utf-8", "replace")
    prefix = header[345:500].split(b"\0", 1)[0].decode("utf-8", "replace") if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _kind(header: bytes) -> str:
    return chr(header[156]) if len(header) == BLOCK else "?"


def _sound(header: bytes) -> bool:
    """Whether the checksum of a header is right: all bytes added, its own field as if of blanks."""
    stated = _number(header[148:156])
    return len(header) == BLOCK and stated == sum(header) - sum(header[148:156]) + 8 * ord(" ")


def _unsound(header: bytes, place: int) -> str:
    form = next((name for start, name in PACKED.items() if place == 0 and header.startswith(start)), None)
    if form is not None:
        return f"packed with {form}: shards are read at any place, so they must be plain tar: unpack it first"
    return f"no whole tar file (a damaged header at byte {place:,}): get or make it again"


def _number(field: bytes) -> int | None:
    """An octal number, or a big-endian one where the first bit is set (GNU, beyond 8 GiB); None when it is neither."""
    if field and field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and all(48 <= digit < 56 for digit in digits) else (None if digits else 0)


def _padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK
