"""Pictures of any source written as shards: plain tar files in WebDataset's layout, beside an index that Gannet reads.

`pack("photos/", Path("shards"), options, size="256MB", cache=cache, report=print)` decodes every picture on the way, so
that none in the shards is broken. A shard appears whole or not at all, and the same call goes on after an interruption.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gannet.domains.images import Images, check_options, source_of
from gannet.domains.picture_decoding import SUFFIXES
from gannet.domains.picture_files import PictureFiles
from gannet.domains.picture_source import ImageOptions, PictureSource, Survey, parse_bytes, shared_size
from gannet.domains.picture_store import check_count
from gannet.domains.shard_index import Part, digest_of
from gannet.domains.shard_source import INDEX, INDEX_FORMAT, WRITING, PictureShards
from gannet.domains.shard_tar import BLOCK
from gannet.errors import GannetError

PART = ".part"


def pack(
    source: Any,
    out: Path,
    options: ImageOptions,
    *,
    size: str,
    cache: Path,
    report: Callable[[str], None],
    shuffle: bool = False,
) -> Path:
    """Write the pictures of a source (as `gannet train` takes it) into `out`, in shards of about `size` ("256MB").

    `shuffle` writes those of a folder or zip in an order that is always the same and tells nothing. Returns the index.
    Raises GannetError when the source holds no pictures, and as `write_shards`.
    """
    if not Images.claims(source):
        raise GannetError(f"{source}: no pictures: shards are written from a folder, zip or file of pictures")
    check_options(options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of oddities: a file either decodes or is named with the reason
        pictures = source_of(source, options, cache)
        return write_shards(pictures, out, options, size=parse_bytes(size, "--size"), report=report, shuffle=shuffle)


def write_shards(
    pictures: PictureSource,
    out: Path,
    options: ImageOptions,
    *,
    size: int,
    report: Callable[[str], None],
    shuffle: bool = False,
) -> Path:
    """Write the pictures into `out`, in shards of about `size` bytes; returns the index.

    Files stay as they are; pictures of arrays, and all when `options.resolution` is set, become PNG. Raises GannetError
    when `out` holds something else, or the disk is full.
    """
    asked = {name: value for name, value in asdict(options).items() if name not in ("stream", "cache", "mixed")}
    if shuffle and not isinstance(pictures, PictureFiles):
        raise GannetError(f"{pictures.name}: --shuffle is for a folder or zip of pictures: leave it out")
    told = [INDEX_FORMAT, asked, size, pictures.key(), *(["shuffled"] if shuffle else [])]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    try:
        if _done(out, key):
            report(f"{out} holds these shards already")
            return out / INDEX
        parts = _begun(out, key)
        if parts:
            report(f"goes on after {len(parts):,} shards that are whole")
        survey = pictures.survey(options)
        check_count(len(survey), pictures.name)
        return _write(pictures, _shuffled(survey) if shuffle else survey, out, options, size, key, parts, report)
    except OSError as error:
        raise GannetError(
            f"{out}: the shards cannot be written ({error.strerror or error}): free some space; the same command then "
            "goes on after the last whole one"
        ) from error


def _done(out: Path, key: str) -> bool:
    """Whether `out` holds just these shards already. Raises GannetError when it holds something else."""
    if not out.exists():
        out.mkdir(parents=True)
        return False
    if not out.is_dir():
        raise GannetError(f"{out}: not a folder: give --out a new one")
    if (out / INDEX).is_file():
        try:
            held = json.loads((out / INDEX).read_text(encoding="utf-8")).get("key")
        except (ValueError, AttributeError):
            held = None
        if held == key:
            return True
    elif (out / WRITING).is_file() or not any(out.iterdir()):
        return False
    raise GannetError(f"{out}: holds something else already: give --out a new folder")


def _begun(out: Path, key: str) -> list[tuple[Part, dict[str, Any]]]:
    """The whole shards of an interrupted writing, with their entries in the index; half-made ones are removed."""
    mark = out / WRITING
    if not mark.is_file():
        _replace(mark, json.dumps({"key": key}))
        return []
    try:
        other = json.loads(mark.read_text(encoding="utf-8"))["key"] != key
    except (ValueError, KeyError, TypeError):
        other = True
    if other:
        raise GannetError(
            f"{out}: holds unfinished shards of another source or other settings: remove it, or give --out a new folder"
        )
    for path in out.glob(f"*{PART}"):
        path.unlink()
    parts: list[tuple[Part, dict[str, Any]]] = []
    while (out / _name(len(parts), ".json")).is_file():
        shard, index = (out / _name(len(parts), suffix) for suffix in (".tar", ".json"))
        try:
            part = Part.from_json(json.loads(index.read_text(encoding="utf-8")), shard.stat().st_size, str(shard))
        except (OSError, ValueError, GannetError):
            break
        parts.append((part, _entry(shard, index, len(part))))
    return parts


def _shuffled(survey: Survey) -> Survey:
    """The same pictures in an order that NumPy promises never to change."""
    assert survey.names is not None
    order = np.random.RandomState(0).permutation(len(survey))
    return replace(
        survey,
        names=[survey.names[place] for place in order],
        widths=survey.widths[order],
        heights=survey.heights[order],
        columns=[column.take(order) for column in survey.columns],
    )


def _write(
    pictures: PictureSource,
    survey: Survey,
    out: Path,
    options: ImageOptions,
    size: int,
    key: str,
    parts: list[tuple[Part, dict[str, Any]]],
    report: Callable[[str], None],
) -> Path:
    height, width, _ = shared_size(survey, options)
    left_out, start = list(survey.skipped), parts[-1][0].stop or 0 if parts else 0
    shard: _Shard | None = None
    try:
        for taken in _taken(pictures, survey, (height, width, survey.channels), options, start):
            if shard is not None and shard.size >= size:
                parts.append(shard.close(taken.position, report))
                shard = None
            if shard is None:
                shard = _Shard(out, len(parts), survey, parts[-1][0].stop or 0 if parts else 0)
            shard.add(taken)
        if shard is not None:
            parts.append(shard.close(len(survey), report))
    finally:
        if shard is not None:
            shard.file.close()
    count = sum(len(part) for part, _ in parts)
    check_count(count, pictures.name)
    skipped = [(skip.name, skip.reason) for skip in left_out] + [each for part, _ in parts for each in part.skipped]
    body = {
        "format": INDEX_FORMAT,
        "key": key,
        "count": count,
        "columns": {column.name: column.levels for column in survey.columns},
        "shards": [entry for _, entry in parts],
        "skipped": skipped,
    }
    _replace(out / INDEX, json.dumps(body))
    (out / WRITING).unlink()
    report(f"{count:,} pictures in {len(parts):,} shards" + (f"; {len(skipped):,} files left out" if skipped else ""))
    for name, reason in skipped[:10]:
        report(f"  {name}: {reason}")
    return out / INDEX


class _Taken(NamedTuple):
    """A picture on its way: its position in the survey, file name ending, bytes, size, and decoded pixels."""

    position: int
    suffix: str
    data: bytes
    width: int
    height: int
    pixels: np.ndarray


def _taken(
    pictures: PictureSource, survey: Survey, shape: tuple[int, int, int], options: ImageOptions, start: int
) -> Iterator[_Taken]:
    """Every picture from `start` on that can be decoded, in order."""
    original, first = None if options.resolution is not None else _originals(pictures, survey), 0
    if isinstance(pictures, PictureFiles) and survey.names is not None:
        rest = replace(survey, names=survey.names[start:])
        survey, first = rest, start
    for positions, block in pictures.decode(survey, shape, options):
        for position, pixels in zip((positions + first).tolist(), block, strict=True):
            if position < start:
                continue
            if original is None:
                yield _Taken(position, ".png", _png(pixels), shape[1], shape[0], pixels)
            else:
                suffix, data = original(position)
                sides = int(survey.widths[position]), int(survey.heights[position])
                yield _Taken(position, suffix, data, *sides, pixels)


def _originals(pictures: PictureSource, survey: Survey) -> Callable[[int], tuple[str, bytes]] | None:
    """The ending and the bytes of a picture's file, by position; None where there are no files."""
    names, places = survey.names, pictures.places if isinstance(pictures, PictureShards) else None
    if names is None:
        return None

    def original(position: int) -> tuple[str, bytes]:
        suffix = PurePosixPath(names[position]).suffix.lower()
        if isinstance(pictures, PictureFiles):
            return suffix, pictures.original(names[position])
        assert isinstance(pictures, PictureShards) and places is not None
        return suffix, pictures.picture(places, position)

    return original


class _Shard:
    """A tar file on the way, under a name of its own until it is whole, and the index of what it holds."""

    def __init__(self, folder: Path, number: int, survey: Survey, start: int) -> None:
        self.path, self.index = folder / _name(number, ".tar"), folder / _name(number, ".json")
        self.survey, self.start = survey, start
        self.file = open(f"{self.path}{PART}", "wb")
        self.tar = tarfile.open(fileobj=self.file, mode="w", format=tarfile.USTAR_FORMAT)
        self.part = Part(channels=survey.channels, narrow=1, labels={column.name: [] for column in survey.columns})

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.file.tell()

    def add(self, taken: _Taken) -> None:
        """A picture, and what is told of it: `.cls` for a class, `.json` for more."""
        name, part = f"{taken.position:09d}", self.part
        part.names.append(f"{name}{taken.suffix}")
        part.offsets.append(self._member(part.names[-1], taken.data))
        part.sizes.append(len(taken.data))
        part.widths.append(taken.width)
        part.heights.append(taken.height)
        part.digests.append(digest_of(taken.pixels.tobytes()))
        part.narrow = max(part.narrow or 1, _narrow(taken.pixels))
        form = SUFFIXES[taken.suffix]
        part.formats[form] = part.formats.get(form, 0) + 1
        if self.survey.names is not None:
            part.origins.append(self.survey.names[taken.position].encode("utf-8", "backslashreplace").decode())
        told = {}
        for column in self.survey.columns:
            value = float(column.values[taken.position])
            told[column.name] = value if column.levels is None else column.levels[int(value)]
            part.labels[column.name].append(told[column.name])
            if column.levels is not None and column.name == "label":
                self._member(f"{name}.cls", str(int(value)).encode())
        if list(told) not in ([], ["label"]):
            self._member(f"{name}.json", json.dumps(told, ensure_ascii=False).encode())

    def close(self, stop: int, report: Callable[[str], None]) -> tuple[Part, dict[str, Any]]:
        """Put the shard and its index in their places; the next shard begins at the position `stop`."""
        self.tar.close()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(f"{self.path}{PART}", self.path)
        within = set(self.survey.names[self.start : stop]) if self.survey.names is not None else set()
        self.part.skipped = [(skip.name, skip.reason) for skip in self.survey.skipped if skip.name in within]
        self.part.stop = stop
        _replace(self.index, json.dumps(self.part.to_json()))
        entry = _entry(self.path, self.index, len(self.part))
        report(f"wrote {entry['file']}: {entry['count']:,} pictures, {entry['bytes'] / 1e6:,.1f} MB")
        return self.part, entry

    def _member(self, name: str, data: bytes) -> int:
        """Append a file; returns where its bytes begin."""
        member = tarfile.TarInfo(name)
        member.size, place = len(data), self.file.tell()
        self.tar.addfile(member, io.BytesIO(data))
        return place + BLOCK


def _entry(shard: Path, index: Path, count: int) -> dict[str, Any]:
    with shard.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return {
        "file": shard.name,
        "bytes": size,
        "sha256": digest,
        "count": count,
        "index": index.name,
        "index_sha256": hashlib.sha256(index.read_bytes()).hexdigest(),
    }


def _name(number: int, suffix: str) -> str:
    return f"pictures-{number:06d}{suffix}"


def _narrow(pixels: np.ndarray) -> int:
    """Channels of a picture that hold something: opacity that is full and colour that is grey do not."""
    channels = pixels.shape[2]
    if channels == 1 or (channels == 4 and not (pixels[..., 3] == 255).all()):
        return channels
    grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    return 1 if grey else 3


def _png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(written, "PNG")
    return written.getvalue()


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f"{path.name}{PART}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
