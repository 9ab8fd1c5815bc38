"""What streaming costs: pictures a second from shards, decoded when shown, beside the cache that holds them decoded.

    python benchmarks/shards.py [--side 64] [--pictures 4000] [--threads 1]

Batches of 64 in a shuffled order, as in training, after one pass that fills the system's file cache. Also the bytes on
the disk, and the seconds to write the shards and to open them anew.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gannet.domains.domain import Dataset
from gannet.domains.images import Images
from gannet.domains.shard_writing import pack
from gannet.order import Order

BATCH = 64


def make_photos(folder: Path, count: int, side: int) -> None:
    """Colour JPEG files of smooth shapes under some noise, as large as photographs of this size are."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        shapes = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side), 3)
        pixels = np.asarray(shapes) + random.normal(0, 6, (side, side, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index:06d}.jpg", quality=90)


def rate(data: Dataset) -> float:
    """Pictures a second over one shuffled pass, after another."""
    order, count = Order(len(data), 0, runs=data.runs), len(data) // BATCH
    for epoch in range(2):
        started = time.monotonic()
        for step in range(count):
            data.read(order.indices((epoch * count + step) * BATCH, BATCH))
    return count * BATCH / (time.monotonic() - started)


def size(folder: Path) -> float:
    """Megabytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as temporary:
        photos, shards, cache = (Path(temporary) / name for name in ("photos", "shards", "cache"))
        make_photos(photos, given.pictures, given.side)
        started = time.monotonic()
        pack(str(photos), shards, Images.Options(), size="16MB", cache=cache, report=lambda line: None)
        written = time.monotonic() - started
        print(
            f"{given.pictures:,} JPEG of {given.side} x {given.side}: {size(photos):.1f} MB, written in {written:.1f} s"
        )
        for name, source, stream in (("shards", shards, True), ("decoded once", photos, True)):
            own = cache / name.replace(" ", "-")
            for opening in ("first opened", "opened again"):
                started = time.monotonic()
                data = Images.open(str(source), Images.Options(stream=stream), seed=0, cache=own).train
                print(f"{name:12}  {opening} in {time.monotonic() - started:.2f} s")
            used = size(own) + (size(shards) if source == shards else 0)
            print(f"{name:12}  {rate(data):,.0f} pictures/s, {used:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
