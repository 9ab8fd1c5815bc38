"""Writing shards: whole or not at all, on after an interruption to the same bytes, read by others as WebDataset's."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gannet.cli import main
from gannet.domains.domain import Opened
from gannet.domains.images import Images
from gannet.domains.shard_writing import pack
from gannet.errors import GannetError


def photos(folder: Path, count: int = 40) -> Path:
    for seed in range(count):
        path = folder / ("dark", "light")[seed % 2] / f"{seed:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(seed).randint(256, size=(12, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def write(source: Path, out: Path, tmp_path: Path, report=None, **options: object) -> list[str]:  # type: ignore[no-untyped-def]
    said: list[str] = []
    given = Images.Options(**options)  # type: ignore[arg-type]
    pack(str(source), out, given, size="8kB", cache=tmp_path / "cache", report=report or said.append)
    return said


def opened(source: Path, tmp_path: Path, **options: object) -> Opened:
    return Images.open(str(source), Images.Options(**options), seed=0, cache=tmp_path / "cache")  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupted_writing_goes_on_to_the_same_bytes(tmp_path: Path, after: int) -> None:
    source = photos(tmp_path / "photos")
    write(source, tmp_path / "straight", tmp_path)
    said: list[str] = []

    def stop(line: str) -> None:
        said.append(line)
        if len(said) == after:
            raise Interrupted

    with pytest.raises(Interrupted):
        write(source, tmp_path / "halting", tmp_path, report=stop)
    (tmp_path / "halting" / "pictures-000009.tar.part").write_bytes(b"half a shard")
    with pytest.raises(GannetError, match="unfinished"):
        opened(tmp_path / "halting", tmp_path)
    assert f"goes on after {after} shards that are whole" in write(source, tmp_path / "halting", tmp_path)
    assert contents(tmp_path / "straight") == contents(tmp_path / "halting")


def test_a_shard_that_was_hurt_in_between_is_written_again(tmp_path: Path) -> None:
    source, out = photos(tmp_path / "photos"), tmp_path / "shards"
    write(source, tmp_path / "straight", tmp_path)

    def stop(line: str) -> None:
        if "000002" in line:
            raise Interrupted

    with pytest.raises(Interrupted):
        write(source, out, tmp_path, report=stop)
    (out / "pictures-000001.json").write_text("{")
    assert "goes on after 1 shards that are whole" in write(source, out, tmp_path)
    assert contents(tmp_path / "straight") == contents(out)


def test_the_same_command_again_writes_nothing_and_another_source_is_refused(tmp_path: Path) -> None:
    source, out = photos(tmp_path / "photos"), tmp_path / "shards"
    write(source, out, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert write(source, out, tmp_path) == [f"{out} holds these shards already"]
    assert before == {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    for folder in (out, source):
        with pytest.raises(GannetError, match="holds something else already"):
            write(photos(tmp_path / "others", 30), folder, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(GannetError, match="not a folder"):
        write(source, tmp_path / "file", tmp_path)


def test_unfinished_shards_of_other_settings_are_not_mixed_with_these(tmp_path: Path) -> None:
    source, out = photos(tmp_path / "photos"), tmp_path / "shards"

    def stop(line: str) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        write(source, out, tmp_path, report=stop)
    with pytest.raises(GannetError, match="unfinished shards of another source or other settings"):
        write(source, out, tmp_path, resolution=8)


def test_the_index_tells_names_places_labels_digests_and_the_count(tmp_path: Path) -> None:
    source, out = photos(tmp_path / "photos"), tmp_path / "shards"
    write(source, out, tmp_path)
    index = json.loads((out / "index.json").read_text())
    assert index["count"] == 40 and index["columns"] == {"label": ["dark", "light"]}
    origins = []
    for entry in index["shards"]:
        data = (out / entry["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
        part = json.loads((out / entry["index"]).read_text())
        origins += part["origins"]
        with tarfile.open(out / entry["file"]) as archive:
            assert [name for name in archive.getnames() if name.endswith(".png")] == part["names"]
        for origin, offset, size in zip(part["origins"], part["offsets"], part["sizes"], strict=True):
            assert data[offset : offset + size] == (source / origin).read_bytes()
        assert part["labels"]["label"] == [origin.partition("/")[0] for origin in part["origins"]]
    assert origins == sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))


def test_pictures_that_cannot_be_decoded_are_left_out_by_name(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    whole = (source / "dark" / "004.png").read_bytes()
    (source / "dark" / "004.png").write_bytes(whole[:150])
    (source / "dark" / "005.png").write_bytes(b"")
    said = write(source, tmp_path / "shards", tmp_path)
    assert said[-3].endswith("; 2 files left out") and "dark/005.png" in said[-2] and "dark/004.png" in said[-1]
    folder, shards = opened(source, tmp_path), opened(tmp_path / "shards", tmp_path)
    assert len(folder.train) == len(shards.train) == 39
    assert torch.equal(folder.train.read(np.arange(39))[0], shards.train.read(np.arange(39))[0])
    assert shards.skipped == []


def test_arrays_and_pictures_brought_to_a_size_are_written_as_png_without_loss(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(3, size=60)
    np.savez(tmp_path / "set.npz", images=random.integers(256, size=(60, 9, 7), dtype=np.uint8), labels=labels)
    write(tmp_path / "set.npz", tmp_path / "from-array", tmp_path)
    source = photos(tmp_path / "photos")
    write(source, tmp_path / "small", tmp_path, resolution=8)
    pairs = [
        (opened(tmp_path / "set.npz", tmp_path), opened(tmp_path / "from-array", tmp_path)),
        (opened(source, tmp_path, resolution=8), opened(tmp_path / "small", tmp_path)),
    ]
    for left, right in pairs:
        assert left.domain.spec == right.domain.spec
        for one, other in zip(left.train.read(np.arange(40)), right.train.read(np.arange(40)), strict=True):
            assert one is not None and other is not None and torch.equal(one, other)


def test_shards_can_be_written_anew_in_another_size(tmp_path: Path) -> None:
    write(photos(tmp_path / "photos"), tmp_path / "shards", tmp_path)
    given = Images.Options()
    pack(str(tmp_path / "shards"), tmp_path / "one", given, size="1GB", cache=tmp_path, report=lambda line: None)
    left, right = opened(tmp_path / "shards", tmp_path), opened(tmp_path / "one", tmp_path)
    assert len(list((tmp_path / "one").glob("*.tar"))) == 1 < len(list((tmp_path / "shards").glob("*.tar")))
    assert torch.equal(left.train.read(np.arange(40))[0], right.train.read(np.arange(40))[0])


def test_the_command_line_writes_them_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")

    def run(*line: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as left:
            main(line)
        printed = capsys.readouterr()
        return left.value.code, printed.out + printed.err

    code, said = run("shards", "photos", "--out", "out", "--size", "8kB", "labels=no")
    assert code == 0 and "40 pictures in" in said and "next: gannet train out" in said
    assert run("inspect", "out")[0] == 0
    for line, wrong in (
        (["photos", "--out", "b", "--size", "many"], "--size=many"),
        (["photos", "--out", "b", "resolutoin=8"], "did you mean 'resolution'"),
        (["toy:ring", "--out", "b"], "no pictures"),
        (["nowhere", "--out", "b"], "no pictures"),
        (["photos", "--out", "b", "out=c"], "out is a flag"),
    ):
        code, said = run("shards", *line)
        assert code == 2 and wrong in said and said.count("\n") == 1


def test_shuffled_shards_hold_every_picture_with_its_class_and_go_on_after_an_interruption(tmp_path: Path) -> None:
    source, given = photos(tmp_path / "photos"), Images.Options()

    def write_shuffled(out: Path, stop_after: int) -> None:
        said: list[str] = []

        def report(line: str) -> None:
            said.append(line)
            if len(said) == stop_after:
                raise Interrupted

        pack(str(source), out, given, size="8kB", cache=tmp_path / "cache", report=report, shuffle=True)

    write_shuffled(tmp_path / "straight", 0)
    with pytest.raises(Interrupted):
        write_shuffled(tmp_path / "halting", 2)
    write_shuffled(tmp_path / "halting", 0)
    assert contents(tmp_path / "straight") == contents(tmp_path / "halting")
    parts = [json.loads(path.read_text()) for path in sorted((tmp_path / "straight").glob("pictures-*.json"))]
    origins = [origin for part in parts for origin in part["origins"]]
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    assert origins != names and sorted(origins) == names
    assert len(set(parts[0]["labels"]["label"])) == 2
    folder, shards = opened(source, tmp_path).train, opened(tmp_path / "straight", tmp_path).train
    places = np.array([names.index(origin) for origin in origins])
    for one, other in zip(folder.read(places), shards.read(np.arange(40)), strict=True):
        assert one is not None and other is not None and torch.equal(one, other)
    with pytest.raises(GannetError, match="--shuffle is for a folder or zip"):
        pack(
            str(tmp_path / "straight"),
            tmp_path / "again",
            given,
            size="8kB",
            cache=tmp_path / "cache",
            report=lambda line: None,
            shuffle=True,
        )
