"""Folders and zips of pictures: what is read, what is left out by name and why, and what is refused unread."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gannet.domains.domain import Opened
from gannet.domains.images import Images
from gannet.errors import GannetError


def picture(seed: int, height: int = 12, width: int = 10, channels: int = 3) -> Image.Image:
    pixels = np.random.RandomState(seed).randint(256, size=(height, width, channels)).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def fill(folder: Path, count: int = 20, start: int = 0, **shape: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(start, start + count):
        picture(seed, **shape).save(folder / f"{seed:03d}.png")
    return folder


def opened(source: Path, cache: Path, **options: object) -> Opened:
    return Images.open(source, Images.Options(**options), seed=0, cache=cache)  # type: ignore[arg-type]


def decoded(data: Opened) -> np.ndarray:
    return data.domain.decode(data.train.read(np.arange(len(data.train)))[0])


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


def png_declaring(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header declares any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_folder_and_its_zip_hold_the_same_pictures_bit_for_bit(tmp_path: Path, cache: Path) -> None:
    folder = fill(tmp_path / "photos")
    archive = zipped(folder, tmp_path / "photos.zip")
    assert Images.claims(str(folder)) and Images.claims(archive)
    from_folder, from_zip = opened(folder, cache), opened(archive, cache)
    expected = np.stack([np.asarray(picture(seed)) for seed in range(20)])
    assert np.array_equal(decoded(from_folder), expected)
    assert from_folder.fingerprint == from_zip.fingerprint
    assert from_folder.domain.spec.shape == (3, 12, 10)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif", "ppm"])
def test_each_format_is_read_close_to_what_was_saved(tmp_path: Path, cache: Path, suffix: str) -> None:
    rows, columns = np.mgrid[0:40, 0:30]
    for place in range(3):
        pixels = np.stack([rows * 5, columns * 7, 0 * rows + place * 60], -1).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{place}.{suffix}")
    data = opened(tmp_path, cache)
    expected = np.stack([rows * 5, columns * 7, 0 * rows + 120], -1)
    assert np.abs(decoded(data)[2].astype(int) - expected).mean() < 8


@pytest.mark.fault(12)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_by_their_full_range(tmp_path: Path, cache: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for place in range(3):
        Image.fromarray(values).save(tmp_path / f"{place}.{suffix}")
    data = opened(tmp_path, cache)
    assert np.array_equal(decoded(data)[0, ..., 0], np.round(values / 257.0).astype(np.uint8))
    assert not any("dark" in text for text in data.warnings)


def test_twelve_bits_in_sixteen_are_told_to_look_dark(tmp_path: Path, cache: Path) -> None:
    for place in range(3):
        Image.fromarray(np.full((8, 8), 4095 - place, np.uint16)).save(tmp_path / f"{place}.png")
    assert any("4,095 of 65,535" in text for text in opened(tmp_path, cache).warnings)


def test_exif_rotation_is_applied_before_sizes_are_compared(tmp_path: Path, cache: Path) -> None:
    upright = np.zeros((16, 8, 3), np.uint8)
    upright[:4] = 255  # white on top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    for place in range(3):
        lying = Image.fromarray(np.rot90(upright).copy())
        lying.save(tmp_path / f"{place}.jpg", exif=exif, quality=100, subsampling=0)
        lying.save(tmp_path / f"{place}.png", exif=exif)
        lying.save(tmp_path / f"{place}.tif", exif=exif)
        Image.fromarray(upright).save(tmp_path / f"upright{place}.png")
    data = opened(tmp_path, cache)
    assert data.domain.spec.shape[1:] == (16, 8) and "kept" in " ".join(data.found)
    assert (np.abs(decoded(data)[..., 0] - upright[..., 0].astype(int)) < 8).all()


def test_grey_is_one_channel_even_when_stored_as_colour(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, channels=1)
    picture(77, channels=1).convert("RGB").save(tmp_path / "colour.png")
    picture(78, channels=1).convert("RGBA").save(tmp_path / "opacity.png")
    picture(79, channels=1).convert("P").save(tmp_path / "palette.png")
    picture(80, channels=1).convert("1").save(tmp_path / "bit.png")
    data = opened(tmp_path, cache)
    assert data.domain.spec.shape == (1, 12, 10)
    assert np.array_equal(decoded(data)[0, ..., 0], np.asarray(picture(0, channels=1)))


def test_one_coloured_picture_makes_three_channels_and_one_transparent_makes_four(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "a", channels=1)
    picture(1).convert("CMYK").save(tmp_path / "a" / "print.jpg")
    assert opened(tmp_path / "a", cache).domain.spec.shape[0] == 3
    clear = picture(2).convert("RGBA")
    clear.putpixel((0, 0), (200, 100, 50, 0))
    clear.save(tmp_path / "a" / "z.png")
    data = opened(tmp_path / "a", cache)
    assert data.domain.spec.shape[0] == 4
    pixels = decoded(data)
    assert (pixels[:-1, ..., 3] == 255).all()
    assert pixels[-1, 0, 0].tolist() == [0, 0, 0, 0], "colour that cannot be seen is not kept"


def test_palettes_with_transparency_keep_it(tmp_path: Path, cache: Path) -> None:
    for place in range(3):
        image = picture(place).convert("P")
        image.save(tmp_path / f"{place}.png", transparency=image.getpixel((3, 4)))
    assert decoded(opened(tmp_path, cache))[0, 4, 3, 3] == 0


@pytest.mark.fault(12)
def test_animations_give_their_first_frame_and_it_is_said(tmp_path: Path, cache: Path) -> None:
    for place in range(3):
        frames = [Image.new("L", (8, 8), shade) for shade in (40 + place, 200, 120)]
        frames[0].save(tmp_path / f"{place}.gif", save_all=True, append_images=frames[1:])
    data = opened(tmp_path, cache)
    assert decoded(data)[0, 0, 0].tolist() == [40]
    assert any("first frame" in text for text in data.found)


@pytest.mark.fault(12)
def test_unusable_files_are_named_with_their_reasons_and_others_ignored(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 60)
    good = (tmp_path / "000.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "letter.png").write_text("Dear Sir or Madam, this is no picture")
    (tmp_path / "picture.dat").write_bytes(good)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "other.jpg").write_bytes(good)
    for name in ("notes.txt", "captions.csv", ".DS_Store", "._000.png", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    data = opened(tmp_path, cache)
    reasons = {skip.name: skip.reason for skip in data.skipped}
    assert sorted(reasons) == ["cut.png", "empty.jpg", "gone.png", "letter.png", "picture.dat"]
    assert "truncated" in reasons["cut.png"] and "0 bytes" in reasons["empty.jpg"]
    assert "no picture" in reasons["letter.png"] and "rename" in reasons["picture.dat"]
    assert reasons["gone.png"] == "broken link"
    assert len(data.train) == 61 and "5 other files ignored" in data.found[0]
    assert any("other.jpg (PNG)" in text for text in data.warnings)


@pytest.mark.fault(12)
def test_too_many_unusable_files_stop_with_the_first_names(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 16)
    for place in range(4):
        (tmp_path / f"bad{place}.png").write_bytes(b"")
    with pytest.raises(GannetError, match=r"4 of 20 picture files.*max_skipped=0\.1.*bad0\.png.*and 1 more"):
        opened(tmp_path, cache)
    assert len(opened(tmp_path, cache, max_skipped=0.2).train) == 16


@pytest.mark.fault(12)
def test_pictures_hurt_inside_count_against_the_limit_too(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 10)
    for place in range(3):
        path = tmp_path / f"{place:03d}.png"
        path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(GannetError, match=r"3 of 10.*000\.png: truncated or damaged"):
        opened(tmp_path, cache)
    assert not list(cache.iterdir()), "nothing half-made stays"


@pytest.mark.fault(13)
@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_picture_that_declares_an_absurd_size_is_never_decoded(tmp_path: Path, cache: Path, side: int) -> None:
    fill(tmp_path, 12)
    (tmp_path / "bomb.png").write_bytes(png_declaring(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = opened(tmp_path, cache)
    assert [skip.name for skip in data.skipped] == ["bomb.png"]
    assert "not decoded" in data.skipped[0].reason and len(data.train) == 12


@pytest.mark.fault(13)
def test_a_zip_entry_that_unpacks_absurdly_is_left_packed(tmp_path: Path, cache: Path) -> None:
    folder = fill(tmp_path / "photos", 12)
    archive = zipped(folder, tmp_path / "photos.zip")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as target:
        target.writestr("zeros.bmp", bytes(70 << 20))
    data = opened(archive, cache)
    assert [skip.name for skip in data.skipped] == ["zeros.bmp"] and "not unpacked" in data.skipped[0].reason


@pytest.mark.fault(14)
@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_a_zip_whose_names_leave_it_is_refused(tmp_path: Path, cache: Path, name: str) -> None:
    archive = zipped(fill(tmp_path / "photos", 12), tmp_path / "photos.zip")
    buffer = io.BytesIO()
    picture(0).save(buffer, format="PNG")
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(name, buffer.getvalue())
    with pytest.raises(GannetError, match="points outside the archive"):
        opened(archive, cache)


def test_a_broken_zip_is_claimed_and_named(tmp_path: Path, cache: Path) -> None:
    archive = zipped(fill(tmp_path / "photos", 12), tmp_path / "photos.zip")
    archive.write_bytes(archive.read_bytes()[:-40])
    assert Images.claims(archive)
    with pytest.raises(GannetError, match=r"photos\.zip: the zip file cannot be opened"):
        opened(archive, cache)


def test_sub_folders_are_classes_nested_or_wrapped(tmp_path: Path, cache: Path) -> None:
    for place, folder in enumerate(["set/cats", "set/dogs/big", "set/dogs/small", "set/10"]):
        fill(tmp_path / folder, 8, start=10 * place)
    data = opened(tmp_path, cache)
    assert data.domain.spec.condition is not None
    (field,) = data.domain.spec.condition.fields
    assert (field.name, field.levels) == ("label", ("10", "cats", "dogs"))
    _, condition = data.train.read(np.arange(32))
    assert condition is not None and condition.sum(0).tolist() == [8, 8, 16]
    assert condition[0].tolist() == [1, 0, 0] and condition.sum(1).tolist() == [1] * 32
    assert opened(tmp_path, cache, labels=False).domain.spec.condition is None


def test_split_folders_are_no_classes_and_only_train_is_read(tmp_path: Path, cache: Path) -> None:
    for place, folder in enumerate(["train/a", "train/b", "test/a", "test/b"]):
        fill(tmp_path / folder, 10, start=10 * place)
    data = opened(tmp_path, cache)
    assert len(data.train) == 20
    assert data.domain.spec.condition is not None and data.domain.spec.condition.fields[0].levels == ("a", "b")
    assert any("test left alone (20 pictures)" in text for text in data.found)


def test_few_loose_pictures_are_left_out_and_many_undo_the_classes(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "a", 20)
    fill(tmp_path / "b", 20, start=20)
    fill(tmp_path, 2, start=40)
    few = opened(tmp_path, cache)
    assert len(few.train) == 40 and [skip.name for skip in few.skipped] == ["040.png", "041.png"]
    fill(tmp_path, 12, start=42)
    many = opened(tmp_path, cache)
    assert len(many.train) == 54 and many.domain.spec.condition is None
    assert any("lie outside the sub-folders" in text for text in many.found)


def test_a_folder_for_every_picture_makes_no_classes(tmp_path: Path, cache: Path) -> None:
    for place in range(12):
        fill(tmp_path / f"person{place}", 1, start=place)
    data = opened(tmp_path, cache)
    assert data.domain.spec.condition is None and any("too many for classes" in text for text in data.found)


def test_attributes_become_classes_and_standardised_numbers(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "images", 30)
    lines = ["file,age,smiling,comment"]
    lines += [f"images/{place:03d}.png,{20 + place},{place % 2},text {place}" for place in range(30)]
    (tmp_path / "about.csv").write_text("\n".join(lines))
    data = opened(tmp_path, cache, attributes="about.csv")
    assert data.domain.spec.condition is not None
    age, smiling = data.domain.spec.condition.fields
    assert (age.low, age.high, age.mean) == (20, 49, 34.5) and smiling.levels == ("0", "1")
    _, condition = data.train.read(np.arange(30))
    assert condition is not None
    assert np.allclose(condition[:, 0] * age.scale + age.mean, np.arange(20, 50), atol=1e-4)
    assert condition[3, 1:].tolist() == [0, 1]
    assert any("comment left out" in text for text in data.found)


def test_attributes_that_miss_pictures_or_columns_are_told(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 20)
    (tmp_path / "a.csv").write_text("file,mood\n" + "".join(f"{i:03d}.png,{i % 2}\n" for i in range(19)))
    data = opened(tmp_path, cache, attributes="a.csv")
    assert [skip.name for skip in data.skipped] == ["019.png"] and len(data.train) == 19
    (tmp_path / "b.csv").write_text("file,mood\nx.png,1\ny.png,2\n")
    with pytest.raises(GannetError, match=r"none of its first column's names \(x\.png"):
        opened(tmp_path, cache, attributes="b.csv")
    (tmp_path / "c.csv").write_text("file,mood\n000.png,1,2\n")
    with pytest.raises(GannetError, match="line 2 has 3 fields"):
        opened(tmp_path, cache, attributes="c.csv")
    with pytest.raises(GannetError, match=r"attributes=nowhere\.csv: cannot be read"):
        opened(tmp_path, cache, attributes="nowhere.csv")


@pytest.mark.fault(14)
def test_links_out_of_the_folder_and_back_up_are_followed_once(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "elsewhere", 6)
    inside = fill(tmp_path / "photos", 4, start=6)
    (inside / "more").symlink_to(tmp_path / "elsewhere")
    (inside / "loop").symlink_to(inside)
    assert len(opened(inside, cache, labels=False).train) == 10


def test_folders_and_zips_of_other_things_are_not_claimed(tmp_path: Path) -> None:
    for place in range(9):
        (tmp_path / f"{place}.wav").write_bytes(b"RIFF")
    picture(0).save(tmp_path / "cover.jpg")
    (tmp_path / "empty").mkdir()
    assert not Images.claims(tmp_path) and not Images.claims(tmp_path / "empty")
    assert not Images.claims(tmp_path / "0.wav") and not Images.claims("no such place")


@pytest.mark.fault(20)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_picture_and_almost_none_are_refused(tmp_path: Path, cache: Path, count: int) -> None:
    fill(tmp_path, count)
    with pytest.raises(GannetError, match="no pictures here" if count == 0 else f"{count} pictures: a GAN cannot"):
        opened(tmp_path, cache)


def test_mixed_sizes_take_the_median_and_say_so(tmp_path: Path, cache: Path) -> None:
    for place, (height, width) in enumerate([(40, 60), (40, 60), (80, 120), (30, 30), (20, 30)]):
        picture(place, height, width).save(tmp_path / f"{place}.png")
    data = opened(tmp_path, cache)
    assert data.domain.spec.shape == (3, 40, 60)
    assert any("median" in text and "2 enlarged" in text for text in data.found)


def test_large_pictures_are_brought_to_256_unless_asked_otherwise(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path, 3, height=300, width=600)
    assert opened(tmp_path, cache).domain.spec.shape == (3, 128, 256)
    assert opened(tmp_path, cache, resolution=64).domain.spec.shape == (3, 64, 64)
    assert opened(tmp_path, cache, resolution="30x50").domain.spec.shape == (3, 30, 50)


@pytest.mark.parametrize("value", ["big", "64x64x3", 0, "2x64", 100_000, "x", ""])
def test_a_size_that_is_none_is_refused_with_the_way_to_write_it(tmp_path: Path, cache: Path, value: object) -> None:
    fill(tmp_path, 3)
    with pytest.raises(GannetError, match=f"resolution={value}: "):
        opened(tmp_path, cache, resolution=value)


def test_the_three_fits_crop_pad_and_squash(tmp_path: Path, cache: Path) -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = (255, 0, 0)  # the middle square is red
    for place in range(3):
        Image.fromarray(wide).save(tmp_path / f"{place}.png")
    crop, pad, squash = (
        decoded(opened(tmp_path, cache, resolution=20, fit=fit))[0, ..., 0].astype(int)
        for fit in ("crop", "pad", "squash")
    )
    assert (crop > 230).all()
    assert (pad[:5] == 0).all() and (pad[15:] == 0).all() and pad[10, 10] > 250
    assert squash[10, 10] > 250 and (squash[:, :3] < 5).all() and (squash[:, 8] > 250).all()


def test_the_fingerprint_follows_content_not_place_time_or_unrelated_options(tmp_path: Path, cache: Path) -> None:
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    first = opened(one, cache).fingerprint
    assert opened(two, cache, max_skipped=0.5).fingerprint == first
    picture(99).save(two / "000.png")
    assert opened(two, cache).fingerprint != first
