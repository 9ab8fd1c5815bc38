"""Pictures in shards (tar files, WebDataset's layout): indexed once, then any picture is had by one read at its place.

Shards that `gannet shards` wrote bring their index; others are indexed by one pass over their headers, kept in the
cache. `PictureShards("data-{000..099}.tar", options, cache)` is a source like a folder, and can be streamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gannet.domains.domain import Skipped
from gannet.domains.picture_decoding import Refused, decode
from gannet.domains.picture_files import in_threads
from gannet.domains.picture_source import ImageOptions, PictureSource, Survey, parse_bytes
from gannet.domains.shard_index import SHOWN, Part, kinds
from gannet.domains.shard_labels import columns_of, known_columns
from gannet.domains.shard_places import Shard, Shelf, beside, shards_of
from gannet.domains.shard_tar import BLOCK, holds
from gannet.errors import GannetError

INDEX, WRITING = "index.json", "writing.json"
"""Beside the shards that Gannet wrote; the second says, while they are written, of which source and how."""
INDEX_FORMAT = "gannet-shards-1"
PART_FORMAT = 1
"""Part of the key of indices in the cache: raise it when what they hold changes."""


class Places(NamedTuple):
    """Where the pictures lie, one entry each: the shard's number, the byte, and how many."""

    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def take(self, kept: np.ndarray) -> Places:
        """The places of the kept pictures."""
        return Places(self.shard[kept], self.offset[kept], self.size[kept])


class PictureShards(PictureSource):
    """The pictures of tar files, shard after shard in the order of their names."""

    def __init__(self, source: str, options: ImageOptions, cache: Path) -> None:
        self.name, self.cache, self.max_pixels = source, cache, options.max_pixels
        self.shards = shards_of(source)
        self.folder = source if "{" not in source and not source.lower().endswith(".tar") else _parent(source)
        self.index = _index_of(self.folder, self.shards, whole=self.folder == source)
        if self.index is None and beside(self.folder, WRITING) is not None:
            raise GannetError(
                f"{source}: these shards are unfinished: give the gannet shards command again; it goes on"
            )
        self.limit = parse_bytes(options.cache, "cache")
        digests = None if self.index is None else [entry["sha256"] for entry in self.index["shards"]]
        self.shelf = Shelf(self.shards, cache, self.limit, digests)
        self.places: Places | None = None
        """Of the pictures of the survey; None before it."""
        self.digests: np.ndarray | None = None
        """A number a picture, the same for copies; None before the survey."""
        self.narrow: int | None = None
        """Channels that hold something, where the index tells."""

    def key(self) -> Any:
        listed = [[shard.location, shard.size, shard.mark] for shard in self.shards]
        return [listed, self.index is not None and self.index["shards"]]

    def survey(self, options: ImageOptions) -> Survey:
        if options.attributes is not None:
            raise GannetError(
                f"attributes={options.attributes}: shards bring their own: write them with gannet shards SOURCE "
                f"attributes={options.attributes}, or as .json members"
            )
        parts = [self._part(number) for number in range(len(self.shards))]
        names = [name for part in parts for name in (part.origins or part.names)]
        # What was left out when Gannet wrote the shards is not in them.
        own = self.index is not None
        skipped = [] if own else [Skipped(name, reason) for part in parts for name, reason in part.skipped]
        if not names:
            first = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3])
            raise GannetError(f"{self.name}: no pictures in these shards" + (f": {first}" if first else ""))
        self._check(len(skipped), len(names) + len(skipped), skipped, options)
        survey = self._survey(parts, names, skipped)
        self.places = Places(
            np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]),
            np.concatenate([np.array(part.offsets, dtype=np.int64) for part in parts]),
            np.concatenate([np.array(part.sizes, dtype=np.int64) for part in parts]),
        )
        self.digests = np.concatenate([np.array(part.digests, dtype=np.int64) for part in parts])
        narrow = [part.narrow for part in parts if len(part)]
        self.narrow = max(map(int, narrow)) if all(each is not None for each in narrow) else None  # type: ignore[arg-type]
        self._label(survey, parts, options)
        for reason in {reason: None for part in parts for reason in part.aside}:
            left = [name for part in parts for name in part.aside.get(reason, [])]
            survey.warnings.append(f"members left alone, {', '.join(left[:SHOWN])} among them: {reason}")
        return survey

    def picture(self, places: Places, position: int) -> bytes:
        """The bytes of a picture. Raises Refused when its shard does not hold it where the index says."""
        shard, offset, size = (int(column[position]) for column in places)
        data = self.shelf.read(shard, offset - BLOCK, size + BLOCK)
        if len(data) < size + BLOCK or not holds(data[:BLOCK], size):
            raise Refused(f"not where the index of {self.shards[shard].name} says: the shard or its index was changed")
        return data[BLOCK:]

    def decode(
        self, survey: Survey, shape: tuple[int, int, int], options: ImageOptions
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        places, names = self.places, survey.names
        assert places is not None and names is not None

        def attempt(position: int) -> np.ndarray | Refused:
            try:
                return decode(io.BytesIO(self.picture(places, position)), shape, options.fit, self.max_pixels).pixels
            except Refused as refused:
                return refused

        start = 0
        for block in in_threads(attempt, range(len(survey))):
            answers = list(enumerate(block, start))
            start += len(block)
            survey.skipped += [Skipped(names[at], str(why)) for at, why in answers if isinstance(why, Refused)]
            self._check(len(survey.skipped), len(survey) + len(survey.skipped), survey.skipped, options)
            kept = [(at, pixels) for at, pixels in answers if not isinstance(pixels, Refused)]
            if kept:
                yield np.array([at for at, _ in kept]), np.stack([pixels for _, pixels in kept])

    def _survey(self, parts: list[Part], names: list[str], skipped: list[Skipped]) -> Survey:
        survey = Survey(
            widths=np.concatenate([np.array(part.widths, dtype=np.int32) for part in parts]),
            heights=np.concatenate([np.array(part.heights, dtype=np.int32) for part in parts]),
            channels=max(part.channels for part in parts),
            columns=[],
            names=names,
            narrow=True,
            skipped=skipped,
        )
        formats = kinds(parts).most_common()
        told = ", ".join(f"{form} {count:,}" if len(formats) > 1 else form for form, count in formats)
        ignored = sum(part.ignored for part in parts)
        aside = f"; {ignored:,} other members ignored" if ignored else ""
        size = sum(shard.size for shard in self.shards)
        survey.found.append(
            f"{len(names):,} pictures in {len(parts):,} shards of {self.name} ({told}; {size / 1e9:.2f} GB){aside}"
        )
        return survey

    def _label(self, survey: Survey, parts: list[Part], options: ImageOptions) -> None:
        assert survey.names is not None and self.places is not None and self.digests is not None
        told = {
            name: [value for part in parts for value in part.labels.get(name, [None] * len(part))]
            for name in {name: None for part in parts for name in part.labels}
        }
        if self.index is not None:
            if options.labels is not False:
                survey.columns = known_columns(told, self.index["columns"], self.name)
            survey.found += [] if survey.columns else ["no classes"]
            return
        columns, kept, notes = columns_of(told, survey.names, options, self.name)
        survey.found += notes
        if not kept.all():
            survey.skipped += [
                Skipped(name, "without a label, or outside the class folders")
                for name, keep in zip(survey.names, kept, strict=True)
                if not keep
            ]
            survey.names = [name for name, keep in zip(survey.names, kept, strict=True) if keep]
            survey.widths, survey.heights = survey.widths[kept], survey.heights[kept]
            self.places, self.digests = self.places.take(kept), self.digests[kept]
        survey.columns = [column.take(kept) for column in columns]

    def _part(self, number: int) -> Part:
        """The index of one shard: beside it, from the cache, or by a pass over its headers that the cache keeps."""
        shard = self.shards[number]
        if self.index is not None:
            entry = self.index["shards"][number]
            text = beside(self.folder, entry["index"])
            if text is None or hashlib.sha256(text).hexdigest() != entry["index_sha256"]:
                raise GannetError(f"{self.name}: {entry['index']} is missing or changed: write the shards again")
            return Part.from_json(_parsed(text, f"{self.name}: {entry['index']}"), shard.size, shard.location)
        key = json.dumps([PART_FORMAT, shard.location, shard.size, shard.mark, self.max_pixels])
        kept = self.shelf.cache / f"index-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
        with suppress(OSError, ValueError, GannetError):
            return Part.from_json(json.loads(kept.read_bytes()), shard.size, shard.location)

        def read(offset: int, size: int) -> bytes:
            return self.shelf.read(number, offset, size)

        self.shelf.fetch(number)
        part = Part.of(read, shard.size, shard.location, self.max_pixels)
        _keep(kept, json.dumps(part.to_json()))
        return part

    def _check(self, skipped: int, candidates: int, named: list[Skipped], options: ImageOptions) -> None:
        if skipped > options.max_skipped * candidates:
            first = "; ".join(f"{skip.name}: {skip.reason}" for skip in named[:3])
            raise GannetError(
                f"{self.name}: {skipped:,} of {candidates:,} pictures cannot be used, more than "
                f"max_skipped={options.max_skipped:g} allows: {first}. Mend the shards, or raise max_skipped"
            )


def _parent(source: str) -> str:
    return source.replace("\\", "/").rpartition("/")[0] or "."


def _index_of(folder: str, shards: list[Shard], *, whole: bool) -> dict[str, Any] | None:
    """What Gannet wrote beside the shards, checked against them; None for other shards.

    `whole`: the shards are all of the folder, so that an index of others is a mistake.
    """
    text = beside(folder, INDEX)
    index = None if text is None else _parsed(text, f"{folder}: {INDEX}")
    if not isinstance(index, dict) or index.get("format") != INDEX_FORMAT:
        return None
    try:
        entries = {(entry["file"], entry["bytes"]): entry for entry in index["shards"]}
        plain = all(_is_name(entry["index"]) and _is_text(entry["sha256"]) for entry in entries.values())
        levels = all(value is None or all(map(_is_text, value)) for value in index["columns"].values())
    except (KeyError, TypeError, AttributeError) as error:
        raise GannetError(f"{folder}: {INDEX} is damaged ({error!r}): write the shards again") from error
    wanted = [(shard.name, shard.size) for shard in shards]
    fits = list(entries) == wanted if whole else set(wanted) <= set(entries)
    if not (plain and levels) or (whole and not fits):
        raise GannetError(
            f"{folder}: {INDEX} tells of other shards than lie here: put them back, write them again, or remove "
            f"{INDEX} to have them indexed anew"
        )
    return {**index, "shards": [entries[each] for each in wanted]} if fits else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    """Whether a text is the plain name of a file in the same folder."""
    return isinstance(value, str) and value.endswith(".json") and not set(value) & set("/\\:\0") and value[0] != "."


def _parsed(text: bytes, source: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GannetError(f"{source}: damaged ({error}): write the shards again") from error


def _keep(path: Path, text: str) -> None:
    """Write a file whole or not at all; an index that cannot be kept is made again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
