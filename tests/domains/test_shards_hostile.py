"""Shards from strangers: nothing in them runs, leaves the archive, or makes the machine decode what it cannot hold."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gannet.cli import main
from gannet.domains.domain import Opened
from gannet.domains.images import Images
from gannet.domains.shard_index import LONGEST_LABEL
from gannet.domains.shard_tar import Member, members
from gannet.domains.shard_writing import pack
from gannet.errors import GannetError, TrainingWarning


def coded(seed: int, side: int = 12) -> bytes:
    file = io.BytesIO()
    pixels = np.random.RandomState(seed).randint(256, size=(side, side, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def png_declaring(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header declares any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def honest(count: int = 12) -> dict[str, bytes]:
    return {f"{seed:03d}.png": coded(seed) for seed in range(count)}


def tar(path: Path, files: dict[str, bytes], *planted: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in planted:
            archive.addfile(member)
    return path


def planted(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def opened(source: Path | str, tmp_path: Path, **options: object) -> Opened:
    return Images.open(str(source), Images.Options(**options), seed=0, cache=tmp_path / "cache")  # type: ignore[arg-type]


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.fault(14)
@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/tmp/out.png", "C:/out.png", "..\\out.png"])
def test_a_member_that_points_outside_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "a.tar", {**honest(), name: coded(99)})
    with pytest.raises(GannetError, match="points outside the archive: refused"):
        opened(path, tmp_path)
    assert not any(name.endswith("out.png") for name in everything_below(tmp_path))


@pytest.mark.fault(14)
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_are_never_followed_and_named(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(coded(77, side=40))
    data = opened(tar(tmp_path / "a.tar", honest(), planted("link.png", kind, str(secret))), tmp_path)
    assert len(data.train) == 12 and data.domain.spec.shape == (3, 12, 12)
    assert any("link.png" in warning and "never followed" in warning for warning in data.warnings)


@pytest.mark.fault(14)
def test_an_index_that_points_outside_its_folder_is_refused(tmp_path: Path) -> None:
    shards = written(tmp_path)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_bytes((shards / "pictures-000000.json").read_bytes())
    for name in ("../elsewhere.json", str(elsewhere), "..\\elsewhere.json", ".hidden.json"):
        change(shards / "index.json", lambda index, name=name: index["shards"][0].update(index=name))
        with pytest.raises(GannetError, match=r"index.json"):
            opened(shards, tmp_path)


@pytest.mark.fault(15)
@pytest.mark.parametrize("suffix", ["pkl", "pickle", "pyd", "pth", "pt", "npy", "joblib", "PKL"])
def test_members_that_hold_objects_are_never_opened_and_named(tmp_path: Path, suffix: str) -> None:
    canary = tmp_path / "canary"
    load = pickle.dumps(Canary(canary))
    files = {**honest(), **{f"{seed:03d}.{suffix}": load for seed in range(12)}}
    data = opened(tar(tmp_path / "a.tar", files), tmp_path)
    data.train.read(np.arange(12))
    assert len(data.train) == 12 and not canary.exists()
    assert any("000." in warning and "never opened" in warning for warning in data.warnings)


@pytest.mark.fault(15)
def test_a_pickle_that_calls_itself_a_picture_or_a_label_is_no_picture_and_no_label(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    load = pickle.dumps(Canary(canary))
    data = opened(tar(tmp_path / "a.tar", {**honest(), "999.png": load}), tmp_path)
    assert [skip.name for skip in data.skipped] == ["999.png"]
    for suffix in ("cls", "json", "txt"):
        files = {**honest(), **{f"{seed:03d}.{suffix}": b"\x80\x04\xff" + load for seed in range(12)}}
        with pytest.raises(GannetError, match=f"000.{suffix}: no .{suffix} label in UTF-8"):
            opened(tar(tmp_path / f"{suffix}.tar", files), tmp_path)
    assert not canary.exists()


@pytest.mark.fault(15)
@pytest.mark.parametrize("source", ["pipe:touch {canary}", "pipe:cat a.tar", "simplecache::file://{folder}"])
def test_commands_and_chained_locations_are_refused_unrun(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tar(tmp_path / "a.tar", honest())
    with pytest.raises(SystemExit) as left:
        main(["train", source.format(canary=tmp_path / "canary", folder=tmp_path)])
    error = capsys.readouterr().err
    assert left.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1
    assert "never run" in error and not (tmp_path / "canary").exists()


@pytest.mark.fault(13)
def test_a_picture_that_declares_an_absurd_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = opened(tar(tmp_path / "a.tar", {**honest(), "999.png": png_declaring(60_000, 60_000)}), tmp_path)
    assert len(data.train) == 12
    assert [(skip.name, "not decoded" in skip.reason) for skip in data.skipped] == [("999.png", True)]


@pytest.mark.fault(13)
def test_labels_and_names_of_absurd_length_are_not_read(tmp_path: Path) -> None:
    files = {**honest(), "000.json": b"[" * (LONGEST_LABEL + 1)}
    data = opened(tar(tmp_path / "a.tar", files), tmp_path)
    assert any("000.json" in warning and "not read" in warning for warning in data.warnings)
    deep = {**honest(), "000.json": b"[" * LONGEST_LABEL}
    with pytest.raises(GannetError, match=r"000.json: no .json label"):
        opened(tar(tmp_path / "b.tar", deep), tmp_path)
    with pytest.raises(GannetError, match="refused"):
        opened(tar(tmp_path / "c.tar", {**honest(), "x" * 100_000 + ".png": coded(1)}), tmp_path)


@pytest.mark.parametrize("cut", [100, 700, 5_000])
def test_a_shard_that_is_cut_off_is_refused_by_name(tmp_path: Path, cut: int) -> None:
    data = tar(tmp_path / "a.tar", honest()).read_bytes()
    (tmp_path / "a.tar").write_bytes(data[: len(data.rstrip(b"\0")) - cut])
    with pytest.raises(GannetError, match=r"a.tar: the tar file ends too early"):
        opened(tmp_path / "a.tar", tmp_path)


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"])
def test_a_packed_tar_is_refused_with_what_to_do(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(start + bytes(2000))
    with pytest.raises(GannetError, match="unpack it first"):
        opened(tmp_path / "a.tar", tmp_path)


def test_a_flipped_bit_in_any_header_is_told_not_guessed_around(tmp_path: Path) -> None:
    data = bytearray(tar(tmp_path / "a.tar", honest()).read_bytes())
    places = [member.offset - 512 for member in all_members(bytes(data))]
    for place in (places[0] + 124, places[5] + 3, places[-1] + 150):
        hurt = bytearray(data)
        hurt[place] ^= 1
        (tmp_path / "a.tar").write_bytes(hurt)
        with pytest.raises(GannetError, match="damaged header"):
            opened(tmp_path / "a.tar", tmp_path)


@pytest.mark.fault(23)
def test_mutated_shards_end_in_pictures_or_in_one_line_never_in_another_error(tmp_path: Path) -> None:
    data, random = tar(tmp_path / "a.tar", honest(5)).read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        hurt = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 12)):
            hurt[place] = random.integers(256)
        hurt = hurt[: random.integers(1, len(hurt))] if random.random() < 0.3 else hurt
        try:
            found = all_members(bytes(hurt))
            assert all(member.offset + member.size <= len(hurt) for member in found)
        except GannetError:
            continue


def all_members(data: bytes) -> list[Member]:
    return list(members(lambda offset, size: data[offset : offset + size], len(data), "a.tar"))


def written(tmp_path: Path) -> Path:
    """A folder of shards that Gannet wrote."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in honest(24).items():
        (folder / name).write_bytes(data)
    pack(
        str(folder),
        tmp_path / "shards",
        Images.Options(),
        size="4kB",
        cache=tmp_path / "cache",
        report=lambda line: None,
    )
    return tmp_path / "shards"


def change(path: Path, how) -> None:  # type: ignore[no-untyped-def]
    body = json.loads(path.read_bytes())
    how(body)
    path.write_text(json.dumps(body))


def change_part(shards: Path, how) -> None:  # type: ignore[no-untyped-def]
    """Change the index of the first shard, and its digest with it, as a liar would."""
    part = shards / "pictures-000000.json"
    change(part, how)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    change(shards / "index.json", lambda index: index["shards"][0].update(index_sha256=digest))


@pytest.mark.parametrize(
    "lie",
    [
        lambda part: part["offsets"].__setitem__(0, 10**15),
        lambda part: part["offsets"].__setitem__(0, -512),
        lambda part: part["sizes"].__setitem__(0, 10**30),
        lambda part: part["sizes"].__setitem__(0, "many"),
        lambda part: part["widths"].__setitem__(0, 0),
        lambda part: part["names"].pop(),
        lambda part: part["names"].__setitem__(0, 5),
        lambda part: part["labels"].update(label=[1]),
        lambda part: part["labels"].update(other=["a"] * len(part["names"])),
        lambda part: part.update(channels=7),
        lambda part: part.update(surprise=1),
        lambda part: part.update(offsets={"0": 1}),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, lie) -> None:  # type: ignore[no-untyped-def]
    shards = written(tmp_path)
    change_part(shards, lie)
    with pytest.raises(GannetError, match="write the shards again"):
        opened(shards, tmp_path)


def test_an_index_of_another_shard_is_seen_by_the_members_own_headers(tmp_path: Path) -> None:
    shards = written(tmp_path)
    change_part(shards, lambda part: part.update(offsets=[offset + 512 for offset in part["offsets"][:-1]] + [512]))
    data = opened(shards, tmp_path).train
    with (
        pytest.raises(GannetError, match=r"pictures-000000.tar .*not where the index of"),
        pytest.warns(TrainingWarning),
    ):
        data.read(np.arange(24))


@pytest.mark.parametrize("hurt", ["part", "changed part", "shard", "grown", "list", "words"])
def test_an_index_that_does_not_fit_its_shards_is_refused_with_what_to_do(tmp_path: Path, hurt: str) -> None:
    shards = written(tmp_path)
    part, shard = shards / "pictures-000000.json", shards / "pictures-000000.tar"
    if hurt == "part":
        part.unlink()
    elif hurt == "changed part":
        change(part, lambda body: body.update(ignored=1))
    elif hurt == "shard":
        shard.unlink()
    elif hurt == "grown":
        shard.write_bytes(shard.read_bytes() + bytes(512))
    else:
        (shards / "index.json").write_text({"list": '{"format": "gannet-shards-1", "shards": 3}', "words": "{"}[hurt])
    with pytest.raises(GannetError, match=r"index|pictures-000000.json"):
        opened(shards, tmp_path)
