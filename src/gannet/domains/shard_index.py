"""What one shard holds: its pictures with their places, sizes and labels, told from headers; as a JSON file.

`Part.of(read, size, source, max_pixels)` makes it in one pass over a tar file, in which members of a common stem are
one sample (WebDataset: 000123.jpg, 000123.cls); `to_json` and `from_json` keep it. Nothing but pictures is opened.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from gannet.domains.picture_decoding import SUFFIXES, Header, Refused, read_header
from gannet.domains.picture_files import in_threads, size_problem
from gannet.domains.shard_tar import Member, Read, members
from gannet.errors import GannetError

LABELS = (".cls", ".txt", ".json")
LONGEST_LABEL = 1 << 16
START = 1 << 14
"""Bytes of a picture that hold its header, nearly always."""
OBJECTS = {".pkl", ".pickle", ".pyd", ".pth", ".pt", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".ten", ".tenbin"}
"""Members that other programs decode into objects; here they are never opened."""

SECOND = "another picture of the same sample: only one is used"
SHOWN = 3
"""Names kept of members left alone for one reason."""

Value = str | int | float


@dataclass
class Part:
    """The pictures of one shard, one entry each in every list."""

    names: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    """63 bits of a picture; the same for copies."""
    labels: dict[str, list[Value | None]] = field(default_factory=dict)
    """By the name of what is told: a text or a number; None where a sample does not tell."""
    origins: list[str] = field(default_factory=list)
    """What the pictures were called where they came from; nothing where that is not known."""
    channels: int = 1
    """Enough for every picture."""
    narrow: int | None = None
    """Channels that hold something in the decoded pictures; None where they were not decoded."""
    formats: dict[str, int] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    aside: dict[str, list[str]] = field(default_factory=dict)
    """Members left alone by rule: the first names for each reason."""
    ignored: int = 0
    stop: int | None = None
    """Where in their source the pictures of the next shard begin, of shards that Gannet wrote."""

    def __len__(self) -> int:
        return len(self.names)

    def add(self, member: Member, header: Header, digest: int) -> None:
        """One more picture."""
        self.names.append(member.name)
        self.offsets.append(member.offset)
        self.sizes.append(member.size)
        self.widths.append(header.width)
        self.heights.append(header.height)
        self.digests.append(digest)
        self.channels = max(self.channels, header.channels)
        self.formats[header.format] = self.formats.get(header.format, 0) + 1

    def _leave(self, name: str, reason: str) -> None:
        names = self.aside.setdefault(reason, [])
        if len(names) < SHOWN:
            names.append(name)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Any, size: int, source: str) -> Part:
        """The inverse of `to_json`. Raises GannetError when it does not fit a shard of this size."""
        try:
            part = cls(**body)
            part.skipped = [(str(name), str(reason)) for name, reason in part.skipped]
            columns: list[Any] = [
                part.offsets,
                part.sizes,
                part.widths,
                part.heights,
                part.digests,
                *part.labels.values(),
            ]
            whole = all(isinstance(each, list) and len(each) == len(part.names) for each in columns)
            offsets, sizes = (np.array(values, dtype=np.int64) for values in (part.offsets, part.sizes))
            fits = bool((offsets >= 512).all() and (sizes > 0).all() and (offsets + sizes <= size).all())
            plain = all(type(value) in (str, float, int, type(None)) for told in part.labels.values() for value in told)
            sides = np.array([part.widths, part.heights], dtype=np.int64)
            sane = bool((sides > 0).all()) and part.channels in (1, 3, 4) and part.narrow in (None, 1, 3, 4)
            names = all(isinstance(name, str) for name in part.names)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise GannetError(f"{source}: the index is damaged ({error}): write the shards again") from error
        if not (whole and fits and plain and sane and names):
            raise GannetError(f"{source}: the index does not fit the shard: write the shards again")
        return part

    @classmethod
    def of(cls, read: Read, size: int, source: str, max_pixels: int) -> Part:
        """From a tar file, by its headers. Raises GannetError when it is no sound tar file."""
        part = cls()
        pictures: dict[str, Member] = {}
        told: dict[str, list[Member]] = {}
        for member in members(read, size, source):
            stem, suffix = _stem(member.name)
            kind = SUFFIXES.get(suffix)
            if never := member.problem or _never(suffix, member.size):
                part._leave(member.name, never)
            elif suffix in LABELS:
                told.setdefault(stem, []).append(member)
            elif kind is None:
                part.ignored += 1
            elif problem := size_problem(member.size, max_pixels):
                part.skipped.append((member.name, problem))
            elif stem in pictures and _is_plain(pictures[stem].name) >= _is_plain(member.name):
                part._leave(member.name, SECOND)
            else:
                if stem in pictures:
                    part._leave(pictures[stem].name, SECOND)
                pictures[stem] = member
        stems = []
        for stem, member, answer in _headers(read, pictures, max_pixels):
            if isinstance(answer, str):
                part.skipped.append((member.name, answer))
            else:
                part.add(member, *answer)
                stems.append(stem)
        part.labels = _labels(read, [told.get(stem, []) for stem in stems], source)
        return part


def _stem(name: str) -> tuple[str, str]:
    """The sample of a member, up to the first dot of its last part as WebDataset has it, and its last ending."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", f".{ending.rpartition('.')[2]}".lower()


def _is_plain(name: str) -> bool:
    """Whether a member is named by one ending: the picture itself rather than its mask (000.jpg, 000.mask.png)."""
    return name.rpartition("/")[2].count(".") == 1


def _never(suffix: str, size: int) -> str | None:
    """Why a member is not even opened."""
    if suffix in OBJECTS:
        return "may hold Python objects, which can run commands: never opened"
    if suffix in LABELS and size > LONGEST_LABEL:
        return f"a label of more than {LONGEST_LABEL:,} bytes: not read"
    return None


def _headers(
    read: Read, pictures: dict[str, Member], max_pixels: int
) -> Iterator[tuple[str, Member, tuple[Header, int] | str]]:
    def attempt(member: Member) -> tuple[Header, int] | str:
        start = read(member.offset, min(START, member.size))
        digest = digest_of(start, member.size)
        try:
            if len(start) < member.size and start[:3] not in (b"\xff\xd8\xff", b"\x89PN"):
                start = read(member.offset, member.size)
            try:
                return read_header(io.BytesIO(start), max_pixels), digest
            except Refused:
                if len(start) == member.size:
                    raise
                return read_header(io.BytesIO(read(member.offset, member.size)), max_pixels), digest
        except Refused as refused:
            return str(refused)

    answers = chain.from_iterable(in_threads(attempt, list(pictures.values())))
    for (stem, member), answer in zip(pictures.items(), answers, strict=True):
        yield stem, member, answer


def digest_of(data: bytes, size: int = 0) -> int:
    """63 bits of some bytes and a length: the same for the same, and for hardly anything else."""
    digest = hashlib.blake2b(data, digest_size=8, salt=size.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "little") >> 1


def _labels(read: Read, told: Sequence[list[Member]], source: str) -> dict[str, list[Value | None]]:
    """What the members beside each picture tell: `.cls` the `label`, `.txt` the `text`, `.json` all that it names."""
    labels: dict[str, list[Value | None]] = {}
    for place, listed in enumerate(told):
        for member in sorted(listed, key=lambda each: LABELS.index(_stem(each.name)[1]), reverse=True):
            text = read(member.offset, member.size)
            for name, value in _told(text, _stem(member.name)[1], f"{source}: {member.name}").items():
                labels.setdefault(name, [None] * len(told))[place] = value
    return labels


def _told(data: bytes, suffix: str, source: str) -> dict[str, Value]:
    try:
        text = data.decode("utf-8").strip()
        if suffix == ".json":
            body = json.loads(text)
            if not isinstance(body, dict):
                body = {"label": body}
            return {sys.intern(str(name)): _value(value) for name, value in body.items() if _scalar(value)}
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise GannetError(f"{source}: no {suffix} label in UTF-8 ({error}): mend or remove it") from error
    return {"text" if suffix == ".txt" else "label": sys.intern(text)}


def _scalar(value: Any) -> bool:
    """Whether a JSON value can be a label: a text, or a number that fits 64 bits."""
    return isinstance(value, str | bool) or (isinstance(value, int | float) and abs(value) < 2**53)


def _value(value: Any) -> Value:
    if isinstance(value, bool):
        return sys.intern(str(value).lower())
    return sys.intern(value.strip()) if isinstance(value, str) else value


def kinds(parts: Sequence[Part]) -> Counter[str]:
    """How many pictures there are of each format."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part.formats)
    return total
