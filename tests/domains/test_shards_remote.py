"""Shards at a URL: the same pictures as here, copies within their limit, and one line where something is missing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gannet import api
from gannet.domains.domain import Opened
from gannet.domains.images import Images
from gannet.domains.picture_source import parse_bytes
from gannet.domains.picture_stream import StreamDataset
from gannet.domains.shard_places import Shelf, shards_of
from gannet.domains.shard_writing import pack
from gannet.errors import GannetError

fsspec = pytest.importorskip("fsspec", reason="shards at a URL need the extra `remote`: pip install 'gannet[remote]'")


def opened(source: Path | str, tmp_path: Path, **options: object) -> Opened:
    return Images.open(str(source), Images.Options(**options), seed=0, cache=tmp_path / "cache")  # type: ignore[arg-type]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for seed in range(40):
        folder = tmp_path / "photos" / ("dark", "light")[seed % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(seed).randint(256, size=(12, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed:03d}.png")
    out = tmp_path / "shards"
    pack(str(tmp_path / "photos"), out, Images.Options(), size="8kB", cache=tmp_path, report=lambda line: None)
    return out


@pytest.fixture
def memory(shards: Path) -> Any:
    """A store that forgets when the test ends, with the shards in it."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for path in shards.iterdir():
        system.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    yield system
    system.store.clear()


def all_of(data: Opened) -> torch.Tensor:
    return data.train.read(np.arange(len(data.train)))[0]


def shelf_of(data: Opened) -> Shelf:
    assert isinstance(data.train, StreamDataset)
    return data.train.shards.shelf


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("location", ["memory://bucket", "memory://bucket/", "file://{shards}"])
def test_shards_at_a_url_hold_what_they_hold_here(shards: Path, memory: Any, tmp_path: Path, location: str) -> None:
    here, there = opened(shards, tmp_path), opened(location.format(shards=shards), tmp_path)
    assert Images.claims(location) and here.domain.spec == there.domain.spec
    assert torch.equal(all_of(here), all_of(there)) and here.fingerprint == there.fingerprint


def test_a_pattern_of_urls_names_shards_and_finds_their_index(shards: Path, memory: Any, tmp_path: Path) -> None:
    last = len(list(shards.glob("*.tar"))) - 1
    some = opened(f"memory://bucket/pictures-{{000001..{last:06d}}}.tar", tmp_path)
    whole = opened(shards, tmp_path)
    count = len(some.train)
    assert 0 < count < 40 and torch.equal(all_of(some), all_of(whole)[-count:])
    assert some.domain.spec.condition == whole.domain.spec.condition


def test_shards_of_another_program_at_a_url_are_indexed_on_first_use(shards: Path, memory: Any, tmp_path: Path) -> None:
    for path in shards.glob("*.json"):
        memory.rm_file(f"/bucket/{path.name}")
    assert torch.equal(all_of(opened("memory://bucket", tmp_path)), all_of(opened(shards, tmp_path)))


def test_copies_stay_within_the_limit_and_the_longest_unused_go_first(
    shards: Path, memory: Any, tmp_path: Path
) -> None:
    sizes = [path.stat().st_size for path in shards.glob("*.tar")]
    assert len(sizes) >= 5
    limit = 2 * max(sizes)
    shelf = Shelf(shards_of("memory://bucket"), tmp_path / "cache", limit)
    for number in (0, 1, 0, 2, 3, 4, 0):
        expected = (shards / f"pictures-{number:06d}.tar").read_bytes()
        assert shelf.read(number, 100, 900) == expected[100:1000]
        shelf.fetch(number)
        assert shelf.read(number, 100, 900) == expected[100:1000]
        kept = list((tmp_path / "cache" / "shards").iterdir())
        assert sum(path.stat().st_size for path in kept) <= limit and all(path.suffix == ".tar" for path in kept)


def test_a_glance_at_a_shard_is_a_piece_and_more_of_it_a_copy_that_nobody_waits_for(
    shards: Path, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gannet.domains.shard_places.COPIED_FROM", 0.5)
    shelf, copies = Shelf(shards_of("memory://bucket"), tmp_path / "cache", 10**9), tmp_path / "cache" / "shards"
    expected = (shards / "pictures-000001.tar").read_bytes()
    assert len(expected) > 4096 and shelf.read(1, 512, 700) == expected[512:1212]
    assert not copies.exists() and shelf._copier is None
    assert shelf.read(1, 0, len(expected)) == expected  # a piece still: the copy has just begun
    until(lambda: len(list(copies.glob("*.tar"))) == 1)
    memory.rm_file("/bucket/pictures-000001.tar")
    until(lambda: shelf._copies[1].done())
    assert shelf.read(1, 512, 700) == expected[512:1212]
    again = Shelf(shelf.shards, tmp_path / "cache", 10**9)
    assert again.read(1, 512, 700) == expected[512:1212]


def test_a_copy_that_another_process_let_go_is_read_where_it_lies(shards: Path, memory: Any, tmp_path: Path) -> None:
    shelf = Shelf(shards_of("memory://bucket"), tmp_path / "cache", 10**9)
    shelf.fetch(0)
    for path in (tmp_path / "cache" / "shards").glob("*.tar"):
        path.unlink()
    assert shelf.read(0, 0, 600) == (shards / "pictures-000000.tar").read_bytes()[:600]


def test_half_made_copies_that_were_left_behind_are_removed(shards: Path, memory: Any, tmp_path: Path) -> None:
    copies = tmp_path / "cache" / "shards"
    copies.mkdir(parents=True)
    for name, age in (("old.1.part", 2 * 24 * 3600), ("new.1.part", 60)):
        (copies / name).write_bytes(b"half")
        os.utime(copies / name, (time.time() - age,) * 2)
    Shelf(shards_of("memory://bucket"), tmp_path / "cache", 10**9).fetch(0)
    assert [path.name for path in copies.glob("*.part")] == ["new.1.part"]


def test_a_shard_larger_than_the_limit_is_read_piece_by_piece(shards: Path, memory: Any, tmp_path: Path) -> None:
    data = opened("memory://bucket", tmp_path, cache="2kB")
    assert torch.equal(all_of(data), all_of(opened(shards, tmp_path)))
    assert not list((tmp_path / "cache").rglob("*.tar"))


def test_a_set_that_the_cache_cannot_hold_is_mixed_a_window_at_a_time(
    shards: Path, memory: Any, tmp_path: Path
) -> None:
    assert opened("memory://bucket", tmp_path).train.runs is None
    runs = opened("memory://bucket", tmp_path, cache="90kB").train.runs
    assert runs is not None and runs.mixed >= 1 and len(runs.starts) >= 5
    assert opened("memory://bucket", tmp_path, mixed=3).train.runs.mixed == 3  # type: ignore[union-attr]


def test_what_arrives_changed_is_refused_and_not_kept(shards: Path, memory: Any, tmp_path: Path) -> None:
    name = "/bucket/pictures-000001.tar"
    data = bytearray(memory.cat_file(name))
    data[700] ^= 1
    memory.pipe_file(name, bytes(data))
    with pytest.raises(GannetError, match="what arrived is not what its index says"):
        shelf_of(opened("memory://bucket", tmp_path)).fetch(1)
    for path in (tmp_path / "cache" / "shards").glob("*.tar"):
        assert path.read_bytes() in [each.read_bytes() for each in shards.glob("*.tar")]


def test_nothing_there_and_protocols_unknown_are_told_in_a_line(memory: Any, tmp_path: Path) -> None:
    for source in ("memory://nowhere", "memory://bucket/none-{0..2}.tar", "nonsense://bucket", "memory://bucket/a.tar"):
        with pytest.raises(GannetError, match="memory://|nonsense://"):
            opened(source, tmp_path)


def test_without_the_extra_a_url_is_refused_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(GannetError, match=r'pip install "gannet\[remote\]"'):
        opened("s3://bucket/data-{0..9}.tar", tmp_path)
    with pytest.raises(GannetError, match="remote"):
        api.inspect("s3://bucket/shards")


@pytest.mark.parametrize(
    ("text", "size"), [("256MB", 256_000_000), ("10GB", 10**10), ("1.5 GiB", 3 << 29), ("4kB", 4000), ("700", 700)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text, "cache") == size


@pytest.mark.parametrize("text", ["", "0", "-1GB", "lots", "1e9", "1PB", "99999999999TB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(GannetError, match="cache="):
        parse_bytes(text, "cache")
