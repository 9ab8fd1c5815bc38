"""Mutated files in every loader: what cannot be read ends in one line, never in another error."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from PIL import Image

import gannet
from gannet import api
from gannet.errors import GannetError
from gannet.run import RunFolder

RANDOM = np.random.default_rng(0)


def picture(kind: str, index: int = 0) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(index).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def frame() -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "age": RANDOM.integers(18, 80, 40),
            "city": RANDOM.choice(["Oslo", "Bergen", "Å, b"], 40),
            "when": pandas.date_range("2026-01-01", periods=40).astype(str),
            "paid": np.round(RANDOM.normal(10, 3, 40), 2),
        }
    )


def array(write: Callable[..., None], **given: Any) -> bytes:
    file = io.BytesIO()
    write(file, **given) if given else write(file, RANDOM.integers(0, 256, (6, 5, 5), dtype=np.uint8))
    return file.getvalue()


def packed(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, mtime=0)


def parquet() -> bytes:
    file = io.BytesIO()
    frame().to_parquet(file)
    return file.getvalue()


def excel() -> bytes:
    pytest.importorskip("openpyxl")
    file = io.BytesIO()
    frame().to_excel(file, index=False)
    return file.getvalue()


def archive() -> bytes:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for index in range(6):
            zipped.writestr(f"{'ab'[index % 2]}/{index}.png", picture("PNG", index))
    return file.getvalue()


SERIES = b"@problemName x\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n" + b"".join(
    f"{','.join(f'{value:.2f}' for value in RANDOM.normal(size=8))}:{'ab'[row % 2]}\n".encode() for row in range(12)
)

FILES: dict[str, Callable[[], bytes]] = {
    "x.csv": lambda: frame().to_csv(index=False).encode(),
    "x.csv.gz": lambda: packed(frame().to_csv(index=False).encode()),
    "x.tsv": lambda: frame().to_csv(index=False, sep="\t").encode(),
    "x.parquet": parquet,
    "x.xlsx": excel,
    "x.ts": lambda: SERIES,
    "x.npy": lambda: array(np.save),
    "x.npz": lambda: array(
        np.savez, images=RANDOM.integers(0, 256, (6, 5, 5), dtype=np.uint8), labels=np.arange(6) % 2
    ),
    "x.zip": archive,
    "rules.toml": lambda: b'[[rule]]\nkind = "range"\ncolumns = ["age"]\nleast = 18\nmost = 90\n',
}


def mutations(data: bytes, count: int, seed: int) -> list[bytes]:
    """Bytes flipped, cut out, put in twice, cut off, and lies in places that look like sizes."""
    random, found = np.random.default_rng(seed), []
    for _ in range(count):
        hurt = bytearray(data)
        for _ in range(random.integers(1, 6)):
            place, length = int(random.integers(0, max(len(hurt), 1))), int(random.integers(1, 9))
            match random.integers(0, 5):
                case 0:
                    hurt[place : place + 1] = bytes([random.integers(256)])
                case 1:
                    del hurt[place : place + length]
                case 2:
                    hurt[place:place] = hurt[place : place + length]
                case 3:
                    hurt[place : place + 4] = random.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
                case _:
                    hurt = hurt[: max(place, 1)] if random.random() < 0.3 else hurt
        found.append(bytes(hurt))
    return found


def opened(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open a source as `inspect` does and read a sample of it; GannetError is an answer, and so is a set of samples."""
    monkeypatch.setenv("GANNET_CACHE", str(cache))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.name == "rules.toml":
            source, settings = path.parent / "whole.csv", {"constraints": str(path)}
        else:
            source, settings = path, {}
        try:
            found = api.open_source(str(source), settings, seed=0)
            found.train.read(np.arange(min(2, len(found.train))))
        except GannetError as error:
            assert "\n" not in str(error), "a refusal is one line"


def fuzz(name: str, count: int, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> None:
    data = FILES[name]()
    (folder / "whole.csv").write_bytes(FILES["x.csv"]())
    for number, hurt in enumerate(mutations(data, count, seed)):
        path, cache = folder / name, folder / "cache"
        path.write_bytes(hurt)
        try:
            opened(path, cache, monkeypatch)
        except Exception as error:
            raise AssertionError(
                f"mutation {number} of {name} (seed {seed}): {type(error).__name__}: {error}"
            ) from error
        shutil.rmtree(cache, ignore_errors=True)


@pytest.mark.fault(23)
@pytest.mark.parametrize("name", FILES)
def test_mutated_files_end_in_samples_or_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz(name, 25, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.fault(23)
@pytest.mark.parametrize("name", FILES)
def test_many_mutated_files_end_in_samples_or_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz(name, 400, tmp_path, monkeypatch, seed=1)


@pytest.mark.fault(23)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_mutated_pictures_are_shown_or_left_out_by_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    ending = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    for index, hurt in enumerate(mutations(picture(kind), 40, seed=2)):
        (folder / f"{index:02}.{ending}").write_bytes(hurt)
    for index in range(40):
        (folder / f"whole{index:02}.{ending}").write_bytes(picture(kind, index))
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))
    found = api.open_source(str(folder), {"max_skipped": 0.6, "resolution": 8}, seed=0)
    assert 40 <= len(found.train) + len(found.skipped) <= 80
    assert all("\n" not in item.reason for item in found.skipped)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    gannet.train(frame(), out=folder / "run", samples=640, size=0.25, batch_size=32)
    return folder / "run"


@pytest.mark.fault(16, 23)
@pytest.mark.parametrize("name", ["settings.json", "checkpoint"])
def test_mutated_runs_end_in_samples_or_in_one_line(run: Path, tmp_path: Path, name: str) -> None:
    found = RunFolder.open(run).best()
    assert found is not None
    inside = "settings.json" if name == "settings.json" else None
    for number in range(25):
        copy = tmp_path / str(number)
        shutil.copytree(run, copy)
        files = [copy / inside] if inside else sorted((copy / found.path.relative_to(run)).iterdir())
        hurt = files[number % len(files)]
        hurt.write_bytes(mutations(hurt.read_bytes(), 1, seed=number)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                gannet.load(copy).sample(2, seed=0)
            except GannetError as error:
                assert "\n" not in str(error)
        shutil.rmtree(copy)
    assert len(gannet.load(run).sample(2, seed=0)) == 2
