"""Pictures decoded once into a cache folder: records, labels, what was found; reused while the source is the same.

`decoded_once(source, options, cache)` finds the whole folder that an earlier run left, or makes it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.domains.domain import Dataset, Skipped, on
from gannet.domains.picture_labels import Column, condition_of, vectors
from gannet.domains.picture_source import ImageOptions, PictureSource, Survey, shared_size
from gannet.domains.record_file import RecordFile, RecordWriter, fresh_folder, read_index, write_index
from gannet.errors import GannetError
from gannet.spec import Condition, Spec

RECORDS, COLUMNS, NAMES = "pictures.u8", "columns.npz", "names.json"
CACHE_FORMAT = 1
"""Part of the cache's key: raise it when decoding changes, so that old caches are not used."""
FEWEST, VERY_FEW, FEW = 3, 10, 500
UNBALANCED, FEW_IN_CLASS = 10, 10


class PictureDataset(Dataset):
    """Pictures [n, channels, height, width] in [-1, 1] and their conditions, read from the file when asked for."""

    def __init__(self, records: RecordFile, values: np.ndarray, condition: Condition | None) -> None:
        self.records, self.values, self.condition = records, values, condition

    def __len__(self) -> int:
        return len(self.records)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        return scaled(self.records.read(indices)), self.conditions(indices)

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        return None if self.condition is None else vectors(self.values[np.asarray(indices)], self.condition)

    def held(self, device: torch.device, room: int) -> Dataset | None:
        conditions = self.conditions(np.arange(len(self))) if len(self) <= room else None
        size = len(self) * self.records.width + (0 if conditions is None else conditions.nbytes)
        return HeldPictures(self.records, conditions, device) if size <= room else None


class HeldPictures(Dataset):
    """The pictures of a file as bytes in the memory of a device, scaled there when they are asked for."""

    def __init__(self, records: RecordFile, conditions: Tensor | None, device: torch.device) -> None:
        self.pictures = torch.empty(len(records), *records.shape, dtype=torch.uint8, device=device)
        start = 0
        for block in records.blocks():
            self.pictures[start : start + len(block)] = torch.from_numpy(block)
            start += len(block)
        self._conditions = None if conditions is None else conditions.to(device)

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        pictures = self.pictures[on(self.pictures.device, indices)].permute(0, 3, 1, 2)
        return pictures.float().contiguous().div_(127.5).sub_(1), self.conditions(indices)

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        return None if self._conditions is None else self._conditions[on(self._conditions.device, indices)]


@dataclass(frozen=True)
class Stored:
    """A cache folder as it was found: the samples and all that is known of them."""

    spec: Spec
    dataset: Dataset
    copied: np.ndarray
    """Mask [n] of pictures that occur more than once."""
    fingerprint: str
    found: list[str]
    skipped: list[Skipped]
    warnings: list[str]


def decoded_once(pictures: PictureSource, options: ImageOptions, cache: Path) -> Stored:
    """The pictures, decoded now if no whole folder of an earlier run is there. Raises GannetError."""
    asked = {name: value for name, value in asdict(options).items() if name not in ("stream", "cache", "mixed")}
    key = json.dumps([CACHE_FORMAT, asked, pictures.key()])
    folder = cache / f"images-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    stored = _load(folder)
    if stored is not None:
        return stored
    try:
        with fresh_folder(folder) as fresh:
            _decode_into(fresh, pictures, options)
    except OSError as error:
        raise GannetError(
            f"{cache}: the decoded pictures cannot be kept here ({error.strerror or error}): "
            "free some space or give another --out"
        ) from error
    stored = _load(folder)
    assert stored is not None
    return stored


def scaled(pictures: np.ndarray) -> Tensor:
    """Pictures [n, height, width, channels] uint8 -> float32 [n, channels, height, width]: x / 127.5 - 1."""
    channels_first = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    return torch.from_numpy(channels_first).float().div_(127.5).sub_(1)


def _decode_into(folder: Path, pictures: PictureSource, options: ImageOptions) -> None:
    """Decode everything into `folder`: the records, the columns of labels, the names, and last the index."""
    survey = pictures.survey(options)
    check_count(len(survey), pictures.name)
    height, width, rule = shared_size(survey, options)
    wide = (height, width, survey.channels)
    need, free = len(survey) * height * width * survey.channels, shutil.disk_usage(folder).free
    if need > free:
        raise GannetError(
            f"{folder.parent}: {need / 1e9:.1f} GB are needed for the decoded pictures, {free / 1e9:.1f} GB are free: "
            "free some space, give a smaller resolution, or write shards (gannet shards), which need no copy"
        )
    kept = np.zeros(len(survey), dtype=bool)
    with RecordWriter(folder / RECORDS, wide) as writer:
        for positions, pixels in pictures.decode(survey, wide, options):
            writer.append(pixels)
            kept[positions] = True
    check_count(int(kept.sum()), pictures.name)
    shape = _narrow(folder / RECORDS, wide) if survey.narrow else wide
    columns = [column for column in (column.take(kept) for column in survey.columns) if column.useful]
    spec = Spec("images", (shape[2], height, width), condition_of(columns))
    values = np.stack([column.values for column in columns], 1) if columns else np.zeros((int(kept.sum()), 0))
    fingerprint, copied = _digest(RecordFile(folder / RECORDS, shape), values, spec)
    np.savez(folder / COLUMNS, values=values, copied=copied)
    if survey.names is not None:
        names = [name for name, keep in zip(survey.names, kept, strict=True) if keep]
        (folder / NAMES).write_text(json.dumps(names), encoding="utf-8")
    body = {"spec": spec.to_json(), "fingerprint": fingerprint, **told(survey, rule, spec, columns, copied)}
    write_index(folder, body)


def _load(folder: Path) -> Stored | None:
    """What `_decode_into` left; None when there is nothing whole."""
    body = read_index(folder)
    if body is None:
        return None
    try:
        with np.load(folder / COLUMNS, allow_pickle=False) as columns:
            values, copied = columns["values"], columns["copied"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    spec = Spec.from_json(body["spec"])
    channels, height, width = spec.shape
    return Stored(
        spec=spec,
        dataset=PictureDataset(RecordFile(folder / RECORDS, (height, width, channels)), values, spec.condition),
        copied=copied,
        fingerprint=body["fingerprint"],
        found=body["found"],
        skipped=[Skipped(name, reason) for name, reason in body["skipped"]],
        warnings=body["warnings"],
    )


def _narrow(path: Path, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Drop channels that say nothing: opacity that is full everywhere, colour of which every pixel is grey."""
    height, width, channels = shape
    records = RecordFile(path, shape)
    if channels == 1:
        return shape
    grey = True
    for block in records.blocks():
        opaque = channels == 3 or bool((block[..., 3] == 255).all())
        grey = grey and bool((block[..., 0] == block[..., 1]).all() and (block[..., 1] == block[..., 2]).all())
        if not opaque or (channels == 3 and not grey):
            return shape
    narrow = 1 if grey else 3
    rewritten = path.with_name(f"{path.name}.narrow")
    with RecordWriter(rewritten, (height, width, narrow)) as writer:
        for block in records.blocks():
            writer.append(block[..., :narrow])
    rewritten.replace(path)
    return height, width, narrow


def _digest(records: RecordFile, values: np.ndarray, spec: Spec) -> tuple[str, np.ndarray]:
    """SHA-256 of pictures, labels and spec, and a mask of the pictures that occur more than once.

    Options, names and times are left out: what matters to a resumed run is whether it sees the same samples.
    """
    whole = hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode())
    each = np.empty((len(records), 2), dtype=np.uint64)
    start = 0
    with ThreadPoolExecutor(1) as beside:  # hashing lets go of Python's lock
        for block in records.blocks():
            added = beside.submit(whole.update, block.data)
            for place, picture in enumerate(block, start):
                digest = hashlib.blake2b(picture.data, digest_size=16).digest()
                each[place] = np.frombuffer(digest, dtype=np.uint64)
            start += len(block)
            added.result()
    whole.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    _, first, counts = np.unique(each, axis=0, return_inverse=True, return_counts=True)
    return whole.hexdigest(), counts[first.reshape(-1)] > 1


def told(survey: Survey, rule: str, spec: Spec, columns: list[Column], copied: np.ndarray) -> dict[str, Any]:
    """What a person is told of the pictures, as JSON values: found, skipped, warnings."""
    return {
        "found": _printable([*survey.found, rule, _channel_words(spec.shape[0]), *_label_words(columns)]),
        "skipped": [_printable([skip.name, skip.reason]) for skip in survey.skipped],
        "warnings": _printable([*survey.warnings, *_count_warnings(len(copied), copied), *_class_warnings(columns)]),
    }


def check_count(count: int, name: str) -> None:
    """Raise GannetError when there are too few pictures to learn from."""
    if count < FEWEST:
        raise GannetError(
            f"{name}: {count} pictures: a GAN cannot learn from fewer than {FEWEST}; a few hundred are a start"
        )


def _printable(texts: list[str]) -> list[str]:
    """File names may hold bytes that are no text; show them escaped."""
    return [text.encode("utf-8", "backslashreplace").decode() for text in texts]


def _channel_words(channels: int) -> str:
    return {1: "1 channel: grey", 3: "3 channels: colour", 4: "4 channels: colour with opacity"}[channels]


def _label_words(columns: list[Column]) -> list[str]:
    words = []
    for column in columns:
        if column.levels is None:
            words.append(f"{column.name}: a number from {column.values.min():g} to {column.values.max():g}")
            continue
        named = ", ".join(column.levels[:13]) + (", ..." if len(column.levels) > 13 else "")
        low, high = int(column.counts.min()), int(column.counts.max())
        each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        words.append(f"{column.name}: {len(column.levels):,} classes ({named}), {each} pictures each")
    return words


def _count_warnings(count: int, copied: np.ndarray) -> list[str]:
    texts = []
    if count < VERY_FEW:
        texts.append(f"only {count} pictures: the model will memorise them and show copies, not new pictures")
    elif count < FEW:
        texts.append(f"{count} pictures are few: expect some copies of them; {FEW} or more are a fair start")
    if copied.any():
        texts.append(f"{int(copied.sum()):,} pictures occur more than once, bit for bit: they are learnt more strongly")
    return texts


def _class_warnings(columns: list[Column]) -> list[str]:
    texts = []
    for column in columns:
        if column.levels is None:
            continue
        counts = column.counts
        rarest, commonest = int(counts.argmin()), int(counts.argmax())
        if counts[rarest] < FEW_IN_CLASS or counts[rarest] * UNBALANCED < counts[commonest]:
            texts.append(
                f"{column.name} is uneven: {counts[rarest]:,} pictures of {column.levels[rarest]}, "
                f"{counts[commonest]:,} of {column.levels[commonest]}: rare classes will look worse"
            )
    return texts
