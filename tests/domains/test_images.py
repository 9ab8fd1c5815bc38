"""Pictures as a kind of data: arrays in, the cache, the way back, grids, features."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from gannet import api
from gannet.domains.domain import ArrayDataset, Opened
from gannet.domains.images import Images, split
from gannet.errors import GannetError
from gannet.spec import Condition, Field, Spec


def opened(source: Any, cache: Path, seed: int = 0, **options: Any) -> Opened:
    return Images.open(source, Images.Options(**options), seed=seed, cache=cache)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(256, size=shape).astype(np.uint8)


def decoded(data: Opened) -> np.ndarray:
    return data.domain.decode(data.train.read(np.arange(len(data.train)))[0])


def model(channels: int = 3, height: int = 5, width: int = 7, levels: tuple[str, ...] | None = None) -> Images:
    condition = None if levels is None else Condition((Field("label", levels=levels),))
    return Images(Spec("images", (channels, height, width), condition))


def test_every_byte_survives_encode_and_decode() -> None:
    pictures = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    domain = model(1, 16, 16)
    encoded = domain.encode(pictures)
    assert encoded.dtype == torch.float32 and encoded.min() == -1 and encoded.max() == 1
    assert np.array_equal(domain.decode(encoded), pictures)


def test_decode_clamps_and_never_fails_on_a_diverged_generator() -> None:
    samples = torch.tensor([-5.0, 5.0, float("nan"), float("inf")]).reshape(1, 1, 2, 2)
    assert model(1, 2, 2).decode(samples).reshape(-1).tolist() == [0, 255, 0, 255]


def test_encode_names_the_shape_it_wants() -> None:
    with pytest.raises(GannetError, match=r"this model's are \[n, 5, 7, 3\] of uint8"):
        model().encode(noise(2, 5, 7, 1))


def test_digits_are_ten_classes_of_grey_pictures_with_a_share_held_out(tmp_path: Path) -> None:
    assert Images.claims("digits")
    data = opened("digits", tmp_path)
    assert data.domain.spec.shape == (1, 8, 8) and data.holdout is not None
    assert (len(data.train), len(data.holdout)) == (1707, 90)
    assert data.domain.spec.condition is not None
    assert data.domain.spec.condition.fields[0].levels == tuple("0123456789")
    pictures, condition = data.train.read(np.array([5, 900, 5]))
    assert pictures.shape == (3, 1, 8, 8) and pictures.is_contiguous() and condition is not None
    assert torch.equal(pictures[0], pictures[2]) and condition.shape == (3, 10)
    originals = {image.tobytes() for image in np.round(load_digits().images * 255 / 16).astype(np.uint8)}
    assert all(picture.tobytes() in originals for picture in decoded(data))


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (noise(9, 6, 5), (1, 6, 5)),
        (noise(9, 6, 5, 3), (3, 6, 5)),
        (noise(9, 4, 6, 5), (4, 6, 5)),
        (noise(9, 6, 5, 1), (1, 6, 5)),
        (torch.from_numpy(noise(9, 3, 6, 4)), (3, 6, 4)),
        (noise(9, 4, 6, 4), (4, 4, 6)),
        (torch.from_numpy(noise(9, 4, 6, 4)), (4, 6, 4)),
    ],
)
def test_array_axes_are_told_apart(tmp_path: Path, array: Any, shape: tuple[int, ...]) -> None:
    assert Images.claims(array)
    assert opened(array, tmp_path).domain.spec.shape == shape


def test_channels_first_and_last_give_the_same_pictures(tmp_path: Path) -> None:
    array = noise(9, 6, 5, 3)
    assert np.array_equal(decoded(opened(array, tmp_path)), array)
    assert np.array_equal(decoded(opened(array.transpose(0, 3, 1, 2), tmp_path)), array)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x.astype(np.uint16) * 257,
        lambda x: (x.astype(np.uint16) * 257).astype(">u2"),
        lambda x: x / 255.0,
        lambda x: (x / 127.5 - 1).astype(np.float32),
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.int64),
    ],
)
def test_number_types_and_ranges_come_to_the_same_pictures(tmp_path: Path, change: Any) -> None:
    array = noise(9, 6, 5)
    assert np.array_equal(decoded(opened(change(array), tmp_path))[..., 0], array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((9, 6, 5), 300.0), "no known black and white"),
        (np.full((9, 6, 5), np.nan), "no finite number"),
        (noise(9, 6, 5, 2), "no axis of 1, 3 or 4 channels"),
        (noise(60, 50, 3), "looks like one colour picture"),
        (noise(0, 6, 5), "0 pictures"),
        (noise(2, 6, 5), "2 pictures: a GAN cannot learn"),
        ((noise(9, 6, 5), np.arange(8)), "8 labels for 9 pictures"),
        ((noise(9, 6, 5), np.full(9, np.nan)), "no number"),
        (noise(9, 2, 2), "too small to learn from"),
    ],
)
def test_arrays_that_cannot_be_pictures_are_refused_in_words(tmp_path: Path, array: Any, message: str) -> None:
    with pytest.raises(GannetError, match=message):
        opened(array, tmp_path)


def test_tables_are_not_claimed(tmp_path: Path) -> None:
    np.save(tmp_path / "table.npy", np.zeros((9, 4)))
    assert not Images.claims(np.zeros((9, 4))) and not Images.claims(tmp_path / "table.npy")
    assert not Images.claims((np.zeros((9, 4)), np.zeros(9)))


@pytest.mark.parametrize(
    ("labels", "names", "width"),
    [
        (np.arange(60) % 3, ["label"], 3),
        ((np.arange(60) % 3)[:, None].astype(np.uint8), ["label"], 3),
        (np.array(["ape", "bee"] * 30), ["label"], 2),
        (np.eye(3, dtype=int)[np.arange(60) % 3], ["label"], 3),
        (np.linspace(0, 7, 60), ["label"], 1),
        (np.arange(60) * 1000, ["label"], 1),
        (np.random.RandomState(0).rand(60, 2), ["label_0", "label_1"], 2),
        (torch.arange(60) % 2, ["label"], 2),
        (["x", "y", "z"] * 20, ["label"], 3),
    ],
)
def test_labels_are_classes_or_numbers_by_their_type(tmp_path: Path, labels: Any, names: list[str], width: int) -> None:
    condition = opened((noise(60, 6, 5), labels), tmp_path).domain.spec.condition
    assert condition is not None
    assert [field.name for field in condition.fields] == names and condition.width == width
    assert opened((noise(60, 6, 5), labels), tmp_path, labels=False).domain.spec.condition is None


def test_class_levels_are_in_natural_order(tmp_path: Path) -> None:
    condition = opened((noise(120, 6, 5), np.array([str(i % 12) for i in range(120)])), tmp_path).domain.spec.condition
    assert condition is not None and condition.fields[0].levels == tuple(str(i) for i in range(12))


def test_npz_files_are_read_by_their_usual_keys(tmp_path: Path) -> None:
    pictures, labels = noise(30, 6, 5, 3), np.arange(30) % 2
    for name, keys in (
        ("a", ("images", "labels")),
        ("b", ("train_images", "train_labels")),
        ("c", ("x_train", "y_train")),
    ):
        path = tmp_path / f"{name}.npz"
        np.savez_compressed(path, **{keys[0]: pictures, keys[1]: labels, "val_images": pictures[:3]})
        assert Images.claims(str(path))
        data = opened(path, tmp_path / "cache")
        assert np.array_equal(decoded(data), pictures)
        assert data.domain.spec.condition_width == 2
        assert any("left alone: val_images" in text for text in data.found)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(pictures))
    assert np.array_equal(decoded(opened(tmp_path / "fortran.npy", tmp_path / "cache")), pictures)


@pytest.mark.fault(15)
def test_hurt_pickled_and_absurd_array_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "cut.npy", noise(30, 6, 5))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-10])
    with pytest.raises(GannetError, match="ends too early"):
        opened(tmp_path / "cut.npy", tmp_path / "cache")
    (tmp_path / "text.npz").write_text("no zip")
    assert Images.claims(tmp_path / "text.npz")
    with pytest.raises(GannetError, match=r"text\.npz: not a whole"):
        opened(tmp_path / "text.npz", tmp_path / "cache")
    np.save(tmp_path / "pickled.npy", np.full((9, 6, 5), None), allow_pickle=True)
    assert not Images.claims(tmp_path / "pickled.npy")
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((70 << 10, 32, 32), np.uint8))
    with pytest.raises(GannetError, match="unpacks to"):
        opened(tmp_path / "bomb.npz", tmp_path / "cache")


def test_the_second_opening_decodes_nothing_and_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened("digits", tmp_path)

    def never(*_: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("gannet.domains.picture_store._decode_into", never)
    again = opened("digits", tmp_path)
    assert (again.fingerprint, again.found, again.warnings) == (data.fingerprint, data.found, data.warnings)
    assert np.array_equal(decoded(again), decoded(data))


@pytest.mark.parametrize("victim", ["pictures.u8", "columns.npz", "index.json"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, victim: str) -> None:
    data = opened("digits", tmp_path)
    (path,) = tmp_path.rglob(victim)
    path.write_bytes(path.read_bytes()[:-7])
    assert np.array_equal(decoded(opened("digits", tmp_path)), decoded(data))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(30, 6, 5))
    first = opened(tmp_path / "a.npy", tmp_path / "cache")
    np.save(tmp_path / "a.npy", noise(30, 6, 5, seed=1))
    os.utime(tmp_path / "a.npy", ns=(1, 1))
    assert opened(tmp_path / "a.npy", tmp_path / "cache").fingerprint != first.fingerprint


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GannetError, match="cannot be kept here"):
        opened("digits", tmp_path / "file" / "cache")


def test_the_held_out_share_is_fixed_by_the_seed_and_never_has_a_twin_in_training() -> None:
    copied = np.arange(1000) % 4 == 0
    train, holdout = split(copied, seed=3)
    assert len(holdout) == 50 and not copied[holdout].any()
    assert np.array_equal(np.sort(np.concatenate([train, holdout])), np.arange(1000))
    assert np.array_equal(split(copied, seed=3)[1], holdout) and not np.array_equal(split(copied, seed=4)[1], holdout)
    assert len(split(np.zeros(199, bool), 0)[1]) == 0 and len(split(np.zeros(100_000, bool), 0)[1]) == 2000


@pytest.mark.fault(20)
def test_few_pictures_copies_and_rare_classes_are_warned_of(tmp_path: Path) -> None:
    assert "memorise" in opened(noise(5, 6, 5), tmp_path).warnings[0]
    assert "few" in opened(noise(50, 6, 5), tmp_path).warnings[0]
    array = noise(600, 6, 5)
    array[7] = array[3]
    data = opened((array, (np.arange(600) < 5).astype(int)), tmp_path)
    assert any(text.startswith("2 pictures occur more than once") for text in data.warnings)
    assert any("uneven: 5 pictures of 1, 595 of 0" in text for text in data.warnings)
    assert len(data.train) + len(data.holdout or []) == 600, "copies are kept"


def test_state_and_spec_restore_the_way_back(tmp_path: Path) -> None:
    domain = opened("digits", tmp_path).domain
    again = Images.restore(Spec.from_json(domain.spec.to_json()), domain.state())
    assert again.spec == domain.spec
    samples = torch.rand(3, 1, 8, 8)
    assert np.array_equal(again.decode(samples), domain.decode(samples))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_written_pictures_read_back_bit_for_bit(tmp_path: Path, channels: int) -> None:
    pictures = noise(3, 5, 7, channels)
    paths = model(channels).write(pictures, tmp_path / "deep" / "out")
    assert [path.name for path in paths] == ["00000.png", "00001.png", "00002.png"]
    for path, pixels in zip(paths, pictures, strict=True):
        with Image.open(path) as picture:
            assert np.array_equal(np.asarray(picture).reshape(5, 7, channels), pixels)
    model(channels).write(pictures[::-1], tmp_path / "deep" / "out")
    assert len(list((tmp_path / "deep" / "out").iterdir())) == 3, "the same names are replaced"


def test_one_file_is_an_array_a_picture_or_a_grid(tmp_path: Path) -> None:
    pictures = noise(9, 5, 7, 3)
    (array,) = model().write(pictures, tmp_path / "out.npz")
    with np.load(array) as stored:
        assert np.array_equal(stored["images"], pictures)
    (single,) = model().write(pictures[:1], tmp_path / "one.png")
    (grid,) = model().write(pictures, tmp_path / "grid.png")
    with Image.open(single) as picture, Image.open(grid) as sheet:
        assert picture.size == (7, 5) and sheet.width > 500


@pytest.mark.fault(14)
def test_names_make_sub_folders_but_never_leave_the_folder(tmp_path: Path) -> None:
    (path,) = model().write(noise(1, 5, 7, 3), tmp_path / "out", names=["cat/1"])
    assert path == tmp_path / "out" / "cat" / "1.png" and path.exists()
    with pytest.raises(GannetError, match="leaves the folder"):
        model().write(noise(1, 5, 7, 3), tmp_path / "out", names=["../1"])


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GannetError, match="cannot write pictures here"):
        model().write(noise(1, 5, 7, 3), tmp_path / "file" / "out")


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 20), (4, 72, 72), (3, 128, 128), (3, 300, 200), (3, 4, 256)])
def test_previews_are_of_a_readable_size(shape: tuple[int, int, int]) -> None:
    grid = Images(Spec("images", shape)).preview(torch.rand(64, *shape) * 2 - 1)
    assert grid.mode == "RGB" and 400 <= grid.width <= 900


def test_previews_keep_the_order_and_enlarge_without_smoothing() -> None:
    shades = torch.linspace(-1, 1, 16).reshape(16, 1, 1, 1).expand(16, 1, 2, 2)
    grid = np.asarray(Images(Spec("images", (1, 2, 2))).preview(shades))
    tile = (grid.shape[1] - 2) // 8
    centres = grid[2 + tile // 2 :: tile, 2 + tile // 2 :: tile, 0][:2, :8].reshape(-1)
    assert np.array_equal(centres, np.round(np.linspace(0, 255, 16)).astype(np.uint8))


def test_ten_classes_make_ten_columns() -> None:
    domain = model(1, 8, 8, levels=tuple("0123456789"))
    samples, condition = torch.rand(100, 1, 8, 8), torch.eye(10).repeat(10, 1)
    grid = domain.preview(samples, condition)
    assert grid.width == grid.height, "ten rows of ten"


def test_transparency_lies_on_a_light_ground() -> None:
    grid = np.asarray(model(4, 8, 8).preview(-torch.ones(4, 4, 8, 8)))
    assert (grid > 230).all()


def test_wrong_options_are_named(tmp_path: Path) -> None:
    for options in ({"fit": "stretch"}, {"max_skipped": 2.0}, {"max_pixels": 0}, {"attributes": "x.csv"}):
        ((name, value),) = options.items()
        with pytest.raises(GannetError, match=f"{name}={value}"):
            opened("digits", tmp_path, **options)


def test_conditions_are_those_of_reading_and_no_picture_is_read_for_them(tmp_path: Path) -> None:
    data = opened((noise(300, 6, 5, 3), np.repeat(["a", "b", "c"], 100)), tmp_path)
    some = np.array([250, 3, 3, 120])
    read, asked = data.train.read(some)[1], data.train.conditions(some)
    assert read is not None and asked is not None and torch.equal(read, asked)
    for records in tmp_path.rglob("pictures.u8"):
        records.unlink()
    assert torch.equal(data.train.conditions(some), asked)  # type: ignore[arg-type]


def test_classes_that_lie_last_in_a_large_set_are_asked_for_as_often_as_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))
    pictures = np.random.default_rng(0).integers(256, size=(30_000, 5, 5), dtype=np.uint8)
    session = api.prepare((pictures, np.repeat(np.arange(3), 10_000)), out=tmp_path / "run", samples=64)
    assert session.settings["prior"]["combinations"] == [[0], [1], [2]]
    assert session.settings["prior"]["frequencies"] == pytest.approx([1 / 3] * 3, abs=0.02)


@pytest.mark.parametrize("labelled", [True, False])
def test_pictures_held_by_a_device_are_the_same_bit_for_bit(tmp_path: Path, labelled: bool) -> None:
    random = np.random.default_rng(0)
    arrays = {"images": random.integers(0, 256, (250, 5, 7, 3), dtype=np.uint8), "labels": np.arange(250) % 3}
    np.savez(tmp_path / "set.npz", **(arrays if labelled else {"images": arrays["images"]}))
    opened = Images.open(tmp_path / "set.npz", Images.Options(), seed=0, cache=tmp_path)
    assert opened.holdout is not None
    held = opened.train.held(torch.device("cpu"), room=10**6)
    assert held is not None and len(held) == len(opened.train)
    indices = random.permutation(len(held))[:40]
    for ours, theirs in zip(held.read(indices), opened.train.read(indices), strict=True):
        assert (ours is None and theirs is None) or (
            ours is not None and theirs is not None and torch.equal(ours, theirs)
        )
    assert opened.train.held(torch.device("cpu"), room=250 * 5 * 7 * 3 - 1) is None


def test_arrays_held_by_a_device_take_what_they_say() -> None:
    data = ArrayDataset(torch.randn(10, 3), torch.randn(10, 2))
    held = data.held(torch.device("cpu"), room=200)
    assert held is not None and torch.equal(held.read(np.array([3, 1]))[0], data.samples[[3, 1]])
    assert data.held(torch.device("cpu"), room=199) is None
