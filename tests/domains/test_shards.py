"""Shards: the same pictures, labels and training as the folder they come from, read at any place in any order."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gannet
from gannet import api
from gannet.domains.domain import Opened, Runs, Subset
from gannet.domains.images import Images
from gannet.domains.picture_stream import StreamDataset
from gannet.domains.shard_places import OPEN_FILES, Shard, Shelf, expanded
from gannet.domains.shard_writing import pack
from gannet.errors import GannetError, TrainingWarning
from gannet.order import Order
from gannet.run import RunFolder


def picture(seed: int, height: int = 12, width: int = 10, channels: int = 3) -> Image.Image:
    pixels = np.random.RandomState(seed).randint(256, size=(height, width, channels)).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def photos(folder: Path, count: int = 24, suffix: str = "png", **shape: int) -> Path:
    for seed in range(count):
        path = folder / ("bright", "dark", "10", "9")[seed % 4] / f"{seed:03d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed, **shape).save(path)
    return folder


def coded(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def tar(path: Path, files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def opened(source: Path | str, cache: Path, **options: object) -> Opened:
    return Images.open(str(source), Images.Options(**options), seed=0, cache=cache)  # type: ignore[arg-type]


def packed(source: Path, out: Path, cache: Path, size: str = "4kB", **options: object) -> Path:
    pack(str(source), out, Images.Options(**options), size=size, cache=cache, report=lambda line: None)  # type: ignore[arg-type]
    return out


def same(left: Opened, right: Opened) -> bool:
    """Whether two openings give the same samples and conditions at the same positions, held-out ones too."""
    assert len(left.train) == len(right.train)
    for one, other in ((left.train, right.train), (left.holdout, right.holdout)):
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        for first, second in zip(one.read(np.arange(len(one))), other.read(np.arange(len(other))), strict=True):
            if (first is None) != (second is None) or (first is not None and not torch.equal(first, second)):
                return False
    return left.domain.spec == right.domain.spec


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("suffix", "shape"), [("png", {"channels": 1}), ("png", {"channels": 4}), ("webp", {"height": 20, "width": 31})]
)
def test_shards_hold_what_the_folder_holds_bit_for_bit(
    tmp_path: Path, cache: Path, suffix: str, shape: dict[str, int]
) -> None:
    folder = photos(tmp_path / "photos", suffix=suffix, **shape)
    shards = packed(folder, tmp_path / "shards", cache)
    assert len(list(shards.glob("*.tar"))) > 1 and Images.claims(str(shards))
    for options in ({}, {"resolution": 8, "fit": "pad"}, {"labels": False}):
        assert same(opened(folder, cache, **options), opened(shards, cache, **options))


def test_pictures_of_many_sizes_copies_and_grey_ones_stored_as_colour_come_out_as_from_the_folder(
    tmp_path: Path, cache: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(260):
        grey = picture(seed % 250, height=9 + seed % 250 % 7, width=8 + seed % 250 % 5, channels=1).convert("RGBA")
        grey.save(folder / f"{seed:03d}.png")
    shards = packed(folder, tmp_path / "shards", cache)
    from_folder, from_shards = opened(folder, cache), opened(shards, cache)
    assert from_folder.domain.spec.shape[0] == 1 and from_folder.holdout is not None
    assert same(from_folder, from_shards)
    assert from_folder.warnings == from_shards.warnings != []


def test_shards_decoded_once_are_the_folder_to_a_resumed_run_too(tmp_path: Path, cache: Path) -> None:
    folder = photos(tmp_path / "photos")
    shards = packed(folder, tmp_path / "shards", cache)
    from_folder, once = opened(folder, cache), opened(shards, cache, stream=False)
    assert same(from_folder, once) and from_folder.fingerprint == once.fingerprint


def test_training_on_shards_is_training_on_the_folder_to_the_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))
    packed(photos(tmp_path / "photos"), tmp_path / "shards", tmp_path / "cache")
    for source in ("photos", "shards"):
        gannet.train(source, out=f"run-{source}", samples=64, size=0.25, batch_size=8)
    newest = [RunFolder.open(Path(f"run-{source}")).newest() for source in ("photos", "shards")]
    networks = [(each.path / "networks.safetensors").read_bytes() for each in newest if each is not None]
    assert len(networks) == 2 and networks[0] == networks[1]
    assert any("shards" in line for line in api.inspect("shards"))


def test_shards_of_another_program_are_indexed_by_one_pass_and_once(tmp_path: Path, cache: Path) -> None:
    files = {}
    for seed in range(20):
        files[f"{seed:06d}.jpg"] = coded(picture(seed), "JPEG")
        files[f"{seed:06d}.cls"] = str(seed % 2).encode()
    for number in range(3):
        tar(tmp_path / "shards" / f"data-{number:04d}.tar", files)
    data = opened(tmp_path / "shards", cache)
    field = data.domain.spec.condition.fields[0]  # type: ignore[union-attr]
    assert len(data.train) == 60 and (field.name, field.levels) == ("label", ("0", "1"))
    by_pattern = opened(str(tmp_path / "shards" / "data-{0000..0002}.tar"), cache)
    assert same(data, by_pattern)
    kept = sorted((cache / "shards").glob("index-*.json"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    opened(tmp_path / "shards", cache, resolution=8)
    assert len(kept) == 3 and stamps == [path.stat().st_mtime_ns for path in kept]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_read_with_long_names_and_letters_of_any_script(
    tmp_path: Path, cache: Path, form: int
) -> None:
    long = "" if form == tarfile.USTAR_FORMAT else "x" * 150
    files = {f"./ordner/{seed}-größe{long}.png": coded(picture(seed)) for seed in range(6)}
    data = opened(tar(tmp_path / "a.tar", files, form), cache)
    assert len(data.train) == 6
    assert np.array_equal(data.domain.decode(data.train.read(np.array([3]))[0])[0], np.asarray(picture(3)))


def test_labels_come_from_cls_txt_json_or_folders_as_elsewhere(tmp_path: Path, cache: Path) -> None:
    def of(name: str, told: dict[str, list[bytes]], folder: bool = False) -> Opened:
        files = {}
        for seed in range(30):
            stem = f"{'cat' if seed % 3 else 'dog'}/{seed:03d}" if folder else f"{seed:03d}"
            files[f"{stem}.png"] = coded(picture(seed))
            for suffix, values in told.items():
                files[f"{stem}.{suffix}"] = values[seed % len(values)]
        return opened(tar(tmp_path / f"{name}.tar", files), cache)

    def fields(data: Opened) -> list[tuple[str, tuple[str, ...] | None]]:
        condition = data.domain.spec.condition
        return [] if condition is None else [(field.name, field.levels) for field in condition.fields]

    numbers = [b"10", b"9", b"2"]
    assert fields(of("cls", {"cls": numbers})) == [("label", ("2", "9", "10"))]
    assert fields(of("txt", {"txt": [b"cat\n", b"dog\n"]})) == [("label", ("cat", "dog"))]
    captions = [f"a picture of {seed}".encode() for seed in range(30)]
    captioned = of("captions", {"txt": captions, "cls": numbers})
    assert fields(captioned) == [("label", ("2", "9", "10"))] and any(
        "no text used" in line for line in captioned.found
    )
    told = [json.dumps({"label": "ab"[seed % 2], "age": seed / 2, "deep": {"er": 1}}).encode() for seed in range(30)]
    assert fields(of("json", {"json": told})) == [("label", ("a", "b")), ("age", None)]
    assert fields(of("folders", {}, folder=True)) == [("label", ("cat", "dog"))]


def test_what_a_folder_was_labelled_with_is_what_its_shards_are_labelled_with(tmp_path: Path, cache: Path) -> None:
    folder = photos(tmp_path / "photos")
    lines = [f"{path.relative_to(folder)},{place / 3}" for place, path in enumerate(sorted(folder.rglob("*.png")))]
    (folder / "ages.csv").write_text("file,age\n" + "\n".join(lines))
    shards = packed(folder, tmp_path / "shards", cache, attributes="ages.csv")
    assert same(opened(folder, cache, attributes="ages.csv"), opened(shards, cache))
    with tarfile.open(sorted(shards.glob("*.tar"))[0]) as archive:
        first, *_ = names = archive.getnames()
        told = archive.extractfile(names[2])
        assert told is not None and json.load(told) == {"label": "10", "age": 0.0}
    assert [Path(name).suffix for name in names[:3]] == [".png", ".cls", ".json"] and first == "000000000.png"
    with pytest.raises(GannetError, match="gannet shards SOURCE attributes="):
        opened(shards, cache, attributes="ages.csv")


def test_of_several_pictures_of_a_sample_the_plain_one_is_used(tmp_path: Path, cache: Path) -> None:
    files = {}
    for seed in range(5):
        files[f"{seed}.mask.png"] = coded(picture(90 + seed))
        files[f"{seed}.png"] = coded(picture(seed))
    data = opened(tar(tmp_path / "a.tar", files), cache)
    assert np.array_equal(data.domain.decode(data.train.read(np.array([2]))[0])[0], np.asarray(picture(2)))
    assert any("0.mask.png" in warning for warning in data.warnings)


def test_any_order_and_many_threads_give_the_same_pictures_with_few_files_open(tmp_path: Path, cache: Path) -> None:
    paths = [tar(tmp_path / f"{index:03d}.tar", {f"{index}.bin": bytes([index]) * 600}) for index in range(50)]
    shelf = Shelf([Shard(str(path), path.stat().st_size, "") for path in paths], cache, limit=1)
    wrong = []

    def reader(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, 50, 200):
            if shelf.read(int(index), 512, 600) != bytes([index]) * 600:
                wrong.append(index)

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(shelf._open) <= OPEN_FILES
    data = opened(packed(photos(tmp_path / "photos"), tmp_path / "shards", cache), cache)
    whole = data.train.read(np.arange(24))[0]
    order = np.random.default_rng(0).integers(0, 24, 100)
    assert torch.equal(data.train.read(order)[0], whole[order])
    assert data.train.read(np.array([], dtype=np.int64))[0].shape == (0, 3, 12, 10)


def test_a_picture_that_breaks_after_indexing_is_replaced_by_the_next_and_named(tmp_path: Path, cache: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{seed:03d}.png": coded(picture(seed)) for seed in range(40)})
    data, whole = bytearray(path.read_bytes()), opened(path, cache).train.read(np.arange(40))[0]
    place = data.index(coded(picture(7))[60:])
    data[place : place + 200] = bytes(200)
    hurt = tmp_path / "hurt" / "a.tar"
    hurt.parent.mkdir()
    hurt.write_bytes(data)
    broken = opened(hurt, cache).train
    with pytest.warns(TrainingWarning, match=r"a.tar at byte .*the next picture is shown in its place"):
        assert torch.equal(broken.read(np.array([6, 7, 9]))[0], whole[[6, 8, 9]])
    assert torch.equal(broken.read(np.array([7]))[0], whole[[8]])


def test_a_window_of_shards_is_read_at_a_time_when_asked_and_every_picture_once_a_pass(
    tmp_path: Path, cache: Path
) -> None:
    shards = packed(photos(tmp_path / "photos", 60), tmp_path / "shards", cache, size="8kB")
    data = opened(shards, cache, mixed=2)
    assert isinstance(data.train, StreamDataset) and data.train.runs is not None
    assert opened(shards, cache).train.runs is None
    shard, count = data.train.places.shard, len(data.train)
    order = Order(count, 0, runs=data.train.runs)
    first, second = order.indices(0, count), order.indices(count, count)
    assert sorted(first) == sorted(second) == list(range(count)) and not np.array_equal(first, second)
    assert np.array_equal(Order(count, 0, runs=data.train.runs).indices(17, 30), order.indices(17, 30))
    sizes, place = np.bincount(shard), 0
    while place < count:
        pair = shard[first[place]], next(each for each in [*shard[first[place:]], -1] if each != shard[first[place]])
        window = int(sum(sizes[each] for each in pair if each >= 0))
        assert set(shard[first[place : place + window]]) == {each for each in pair if each >= 0}
        place += window
    with pytest.raises(GannetError, match="mixed=0"):
        opened(shards, cache, mixed=0)


def test_runs_of_a_subset_begin_where_its_own_samples_do() -> None:
    class Numbers(StreamDataset):
        def __init__(self) -> None:
            self.runs = Runs(np.array([0, 10, 20, 30]), 1)

    part = Subset(Numbers(), np.array([1, 2, 12, 13, 14, 25]))
    assert part.runs is not None and part.runs.starts.tolist() == [0, 2, 5]


def test_patterns_count_with_the_digits_written_and_upwards_only() -> None:
    assert expanded("a-{008..010}.tar") == ["a-008.tar", "a-009.tar", "a-010.tar"]
    assert expanded("{0..1}/{2..3}.tar") == ["0/2.tar", "0/3.tar", "1/2.tar", "1/3.tar"]
    assert expanded("plain.tar") == ["plain.tar"]
    for pattern in ("{3..1}.tar", "{0..9999999999}.tar", "{0..999}{0..999}.tar"):
        with pytest.raises(GannetError):
            expanded(pattern)


def test_a_missing_shard_is_named(tmp_path: Path, cache: Path) -> None:
    tar(tmp_path / "a-0.tar", {"0.png": coded(picture(0))})
    with pytest.raises(GannetError, match=r"a-1.tar: no such shard"):
        opened(str(tmp_path / "a-{0..1}.tar"), cache)


def test_the_limit_of_too_many_broken_pictures_holds_for_shards(tmp_path: Path, cache: Path) -> None:
    files = {f"{seed:03d}.png": coded(picture(seed)) if seed % 2 else b"no picture" for seed in range(20)}
    path = tar(tmp_path / "a.tar", files)
    with pytest.raises(GannetError, match="10 of 20 pictures cannot be used"):
        opened(path, cache)
    assert len(opened(path, cache, max_skipped=0.5).train) == 10
