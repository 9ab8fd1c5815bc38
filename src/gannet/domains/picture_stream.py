"""Pictures decoded whenever they are shown: for sets whose decoded form, or even the files, fit no disk.

`streamed(shards, options, cache)` is what `decoded_once` is for folders: the same samples in the same order, without
a copy of them. Only an index (places, labels) lies in memory and in the cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gannet.domains.domain import Dataset, Runs, Skipped
from gannet.domains.picture_decoding import Refused, decode
from gannet.domains.picture_labels import condition_of, vectors
from gannet.domains.picture_source import ImageOptions, shared_size
from gannet.domains.picture_store import Stored, check_count, scaled, told
from gannet.domains.record_file import fresh_folder, read_index, write_index
from gannet.domains.shard_source import PictureShards, Places
from gannet.errors import GannetError, TrainingWarning
from gannet.spec import Spec

STREAM_FORMAT = 1
COLUMNS = "columns.npz"
AT_A_TIME = 16
"""Pictures waited for at a time from a far place, and the most that are decoded at a time."""
THREADS = min(AT_A_TIME, os.cpu_count() or 1)
"""Threads where nothing is waited for; decoding lets go of Python's lock."""
TRIED = 8
"""Pictures in a row that may be broken before reading gives up."""
OPEN_TURNS = 4
"""Windows of shards that the cache must hold: one for each turn of a game, and those that come next."""


class StreamDataset(Dataset):
    """Pictures [n, channels, height, width] in [-1, 1] and their conditions, read from shards and decoded when asked.

    In place of a picture that cannot be decoded stands the next one, always the same, and a warning names it.
    """

    def __init__(
        self, shards: PictureShards, places: Places, values: np.ndarray, spec: Spec, wide: int, options: ImageOptions
    ) -> None:
        """`wide`: channels the pictures are decoded to, of which the spec's are kept."""
        self.shards, self.places, self.values, self.spec = shards, places, values, spec
        self.wide, self.options, self.runs = wide, options, _runs(shards, places, options)
        self.far = any(shard.remote for shard in shards.shards)
        # A picture either decodes or is named with the reason; `catch_warnings` would not do in threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        self._broken: dict[int, str] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.places.shard)

    def read(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        indices = np.asarray(indices)
        with self._lock:
            if self._pool is None:
                threads = AT_A_TIME if self.far else THREADS
                self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gannet-decode")
        # From a disk a thread takes several: handing over each by itself would cost as much as decoding it.
        parts = np.array_split(indices, max(1, len(indices) if self.far else min(len(indices), 4 * THREADS)))
        decoded = [each for part in self._pool.map(self._pictures, parts) for each in part]
        channels, height, width = self.spec.shape
        pixels = (
            np.stack([each for _, each in decoded]) if decoded else np.empty((0, height, width, channels), np.uint8)
        )
        if self.spec.condition is None:
            return scaled(pixels), None
        shown = np.array([position for position, _ in decoded], dtype=np.int64)
        return scaled(pixels), vectors(self.values[shown], self.spec.condition)

    def conditions(self, indices: np.ndarray) -> Tensor | None:
        return None if self.spec.condition is None else vectors(self.values[np.asarray(indices)], self.spec.condition)

    def _pictures(self, positions: np.ndarray) -> list[tuple[int, np.ndarray]]:
        return [self._picture(position) for position in positions.tolist()]

    def _picture(self, position: int) -> tuple[int, np.ndarray]:
        """The picture at a position, or the next that can be decoded, with its position."""
        channels, height, width = self.spec.shape
        for shown in ((position + step) % len(self) for step in range(TRIED)):
            try:
                data = self.shards.picture(self.places, shown)
                shape = (height, width, self.wide)
                pixels = decode(io.BytesIO(data), shape, self.options.fit, self.options.max_pixels).pixels
                return shown, pixels[..., :channels]
            except Refused as refused:
                self._note(shown, str(refused))
        raise GannetError(f"{self.shards.name}: {TRIED} pictures in a row cannot be decoded, {self._broken[position]}")

    def _note(self, position: int, reason: str) -> None:
        if position in self._broken:
            return
        shard = self.shards.shards[int(self.places.shard[position])].name
        self._broken[position] = f"{shard} at byte {int(self.places.offset[position]):,}: {reason}"
        if len(self._broken) > self.options.max_skipped * len(self):
            raise GannetError(
                f"{self.shards.name}: {len(self._broken):,} of {len(self):,} pictures cannot be decoded, more than "
                f"max_skipped={self.options.max_skipped:g} allows: {self._broken[position]}. Mend the shards"
            )
        warnings.warn(
            f"{self._broken[position]}: the next picture is shown in its place", TrainingWarning, stacklevel=2
        )


def streamed(shards: PictureShards, options: ImageOptions, cache: Path) -> Stored:
    """The pictures of shards, to be decoded when shown; their index from the cache, or made now. Raises GannetError."""
    asked = {name: value for name, value in asdict(options).items() if name not in ("cache", "mixed", "stream")}
    key = json.dumps([STREAM_FORMAT, asked, shards.key()])
    folder = cache / f"stream-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    stored = _load(folder, shards, options)
    if stored is not None:
        return stored
    try:
        with fresh_folder(folder) as fresh:
            _index_into(fresh, shards, options)
    except OSError as error:
        raise GannetError(
            f"{cache}: the index of the shards cannot be kept here ({error.strerror or error}): free some space"
        ) from error
    stored = _load(folder, shards, options)
    assert stored is not None
    return stored


def _index_into(folder: Path, shards: PictureShards, options: ImageOptions) -> None:
    survey = shards.survey(options)
    places, digests = shards.places, shards.digests
    assert places is not None and digests is not None
    check_count(len(survey), shards.name)
    height, width, rule = shared_size(survey, options)
    channels = survey.channels if shards.narrow is None else min(shards.narrow, survey.channels)
    columns = [column for column in (column.take(np.arange(len(survey))) for column in survey.columns) if column.useful]
    spec = Spec("images", (channels, height, width), condition_of(columns))
    values = np.stack([column.values for column in columns], 1) if columns else np.zeros((len(survey), 0))
    _, first, counts = np.unique(digests, return_inverse=True, return_counts=True)
    copied = counts[first] > 1
    whole = hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode())
    for array in (digests.astype("<i8"), values.astype("<f8")):
        whole.update(np.ascontiguousarray(array).data)
    np.savez(folder / COLUMNS, values=values, copied=copied, **places._asdict())
    told_by = told(survey, rule, spec, columns, copied)
    told_by["found"].append("decoded whenever they are shown (stream=false decodes them once, into the cache)")
    write_index(folder, {"spec": spec.to_json(), "wide": survey.channels, "fingerprint": whole.hexdigest(), **told_by})


def _load(folder: Path, shards: PictureShards, options: ImageOptions) -> Stored | None:
    body = read_index(folder)
    if body is None:
        return None
    try:
        with np.load(folder / COLUMNS, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in ("values", "copied", *Places._fields)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    values, copied = arrays.pop("values"), arrays.pop("copied")
    spec = Spec.from_json(body["spec"])
    return Stored(
        spec=spec,
        dataset=StreamDataset(shards, Places(**arrays), values, spec, body["wide"], options),
        copied=copied,
        fingerprint=body["fingerprint"],
        found=body["found"],
        skipped=[Skipped(name, reason) for name, reason in body["skipped"]],
        warnings=body["warnings"],
    )


def _runs(shards: PictureShards, places: Places, options: ImageOptions) -> Runs | None:
    """How the pictures should be shuffled: all of them, or some shards at a time where the cache holds no more."""
    size, count = sum(shard.size for shard in shards.shards), len(shards.shards)
    mixed: Any = options.mixed
    if mixed is None:
        if not any(shard.remote for shard in shards.shards) or size <= shards.limit:
            return None
        mixed = max(1, int(shards.limit / OPEN_TURNS / (size / count)))
    if mixed < 1:
        raise GannetError(f"mixed={mixed}: a number of shards, 1 or more")
    return Runs(np.flatnonzero(np.diff(places.shard, prepend=-1)), mixed)
