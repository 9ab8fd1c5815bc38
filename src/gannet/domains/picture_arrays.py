"""Pictures in arrays: NumPy arrays and tensors from Python, .npy and .npz files, and scikit-learn's digits.

Files are read in blocks, so a large array never lies in memory. The layout and the range of the values are found, by
rules that are stated; what has no known white is refused.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gannet.domains.picture_decoding import MODES, SIXTEEN_BITS, fitted, scale_sixteen
from gannet.domains.picture_labels import array_columns
from gannet.domains.picture_source import ImageOptions, PictureSource, Survey
from gannet.domains.stored_array import StoredArray, array_blocks, stored_arrays
from gannet.errors import GannetError, missing_extra

PREFERRED = ("images", "train_images", "x_train", "X_train", "X", "x", "data", "arr_0")
"""Keys under which .npz files keep their pictures, tried in this order before any other array that fits."""
LABELS = ("labels", "label", "targets", "target", "classes", "y", "Y")
DARK = 64
"""Whole numbers that stay below this of 255 are probably counts or class numbers, not brightness."""


def claims_array(source: Any) -> bool:
    """Whether a value from Python is pictures: 3 or 4 axes, alone or with labels as (pictures, labels)."""
    if isinstance(source, tuple) and len(source) == 2:
        source = source[0]
    return isinstance(source, np.ndarray | torch.Tensor) and source.ndim in (3, 4)


def claims_array_file(path: Path) -> bool:
    """Whether a .npy or .npz file holds an array of pictures; only headers are read."""
    if path.suffix.lower() not in (".npy", ".npz") or not path.is_file():
        return False
    try:
        return find_pictures(path) is not None
    except GannetError:
        return True  # `open` tells what is wrong with it


def find_pictures(path: Path) -> tuple[StoredArray, StoredArray | None, list[str]] | None:
    """The picture array of a file, its labels, and the keys left alone; None when no array has 3 or 4 axes."""
    if path.suffix.lower() == ".npy":
        array = StoredArray(path)
        return (array, None, []) if _suits(array) else None
    arrays = stored_arrays(path)
    suitable = [key for key, array in arrays.items() if _suits(array)]
    if not suitable:
        return None
    chosen = next((key for key in PREFERRED if key in suitable), suitable[0])
    names = [chosen.replace("image", "label"), chosen.replace("x", "y"), chosen.replace("X", "y"), *LABELS]
    names += ["arr_1"] if chosen == "arr_0" else []
    label = next((key for key in names if key in arrays and _are_labels(arrays[key], arrays[chosen])), None)
    left = [key for key in arrays if key not in (chosen, label)]
    return arrays[chosen], None if label is None else arrays[label], left


class PictureArray(PictureSource):
    """Pictures [n, height, width], [n, height, width, channels] or [n, channels, height, width] of any number type."""

    def __init__(self, name: str, pictures: np.ndarray | StoredArray, labels: Any, notes: list[str]) -> None:
        self.name, self.pictures, self.notes = name, pictures, notes
        self.labels: np.ndarray | None = None if labels is None else _labels(labels, name)
        self.channels_first = False

    @classmethod
    def from_python(cls, source: Any) -> PictureArray:
        """From an array or tensor, or (pictures, labels)."""
        pictures, labels = source if isinstance(source, tuple) else (source, None)
        tensor = isinstance(pictures, torch.Tensor)
        array = cls("the array", pictures.detach().cpu().numpy() if tensor else pictures, labels, [])
        array.channels_first = tensor
        return array

    @classmethod
    def from_file(cls, path: Path) -> PictureArray:
        """From a .npy or .npz file. Raises GannetError when no array in it can be pictures."""
        found = find_pictures(path)
        if found is None:
            raise GannetError(
                f"{path}: no array with 3 or 4 axes of numbers: pictures are [n, height, width(, channels)]"
            )
        pictures, labels, left = found
        notes = [] if pictures.member is None else [f"pictures from {pictures.member.removesuffix('.npy')}"]
        notes += [f"left alone: {', '.join(left)}"] if left else []
        return cls(str(path), pictures, None if labels is None else labels.whole(), notes)

    @classmethod
    def digits(cls) -> PictureArray:
        """The 1,797 handwritten digits, 8x8 grey, that come with scikit-learn (values 0 to 16)."""
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise missing_extra("scikit-learn", "digits", "the digits data set") from error
        data = load_digits()
        return cls("digits", np.round(data.images * (255 / 16)).astype(np.uint8), data.target, [])

    def key(self) -> Any:
        if isinstance(self.pictures, StoredArray):
            return _stamp(self.pictures.path)
        digest = hashlib.sha256(f"{self.pictures.dtype.str} {self.pictures.shape} {self.channels_first}".encode())
        for array in (self.pictures, self.labels):
            for block in [] if array is None else array_blocks(array):
                digest.update(np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()

    def survey(self, options: ImageOptions) -> Survey:
        if options.attributes is not None:
            raise GannetError(f"attributes={options.attributes}: {self.name} is an array; give labels [n, k] beside it")
        shape = self.pictures.shape
        if shape[0] == 0:
            raise GannetError(f"{self.name}: 0 pictures: give an array with pictures in it")
        height, width, channels = self._layout()
        survey = Survey(
            widths=np.full(shape[0], width, dtype=np.int32),
            heights=np.full(shape[0], height, dtype=np.int32),
            channels=channels,
            columns=[],
            found=[f"{shape[0]:,} pictures in {self.name}", *self.notes],
        )
        if self.labels is not None and options.labels is not False:
            if len(self.labels) != shape[0]:
                raise GannetError(f"{self.name}: {len(self.labels):,} labels for {shape[0]:,} pictures: give one each")
            survey.columns = array_columns(self.labels, self.name)
        elif options.labels:
            raise GannetError(f"{self.name}: labels=true, but there is no array of labels")
        return survey

    def decode(
        self, survey: Survey, shape: tuple[int, int, int], options: ImageOptions
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        convert, note, warning = self._range()
        survey.found.append(note)
        survey.warnings += [warning] if warning else []
        start = 0
        for block in self._blocks():
            pixels = convert(self._channels_last(block))
            if pixels.shape[1:] != shape:
                pixels = np.stack([_resized(picture, shape, options) for picture in pixels])
            yield np.arange(start, start + len(pixels)), np.ascontiguousarray(pixels)
            start += len(pixels)

    def _blocks(self) -> Iterator[np.ndarray]:
        return self.pictures.blocks() if isinstance(self.pictures, StoredArray) else array_blocks(self.pictures)

    def _layout(self) -> tuple[int, int, int]:
        """(height, width, channels); sets `channels_first`. Raises GannetError for axes that are no picture's."""
        shape = self.pictures.shape
        if len(shape) == 3:
            if shape[2] in (3, 4):
                raise GannetError(
                    f"{self.name}: shape {shape} looks like one colour picture: give [n, height, width, channels]"
                )
            return shape[1], shape[2], 1
        last, first = shape[3] in (1, 3, 4), shape[1] in (1, 3, 4)
        if not (last or first):
            raise GannetError(
                f"{self.name}: shape {shape} has no axis of 1, 3 or 4 channels, second or last: "
                "give grey, colour or colour with opacity"
            )
        # A tensor has its channels first by habit, an array last; the habit decides where the shape does not.
        self.channels_first = first and (self.channels_first or not last)
        place = "first" if self.channels_first else "last"
        self.notes.append(f"array axes: channels {place}")
        return (shape[2], shape[3], shape[1]) if self.channels_first else (shape[1], shape[2], shape[3])

    def _channels_last(self, block: np.ndarray) -> np.ndarray:
        if block.ndim == 3:
            return block[..., None]
        return block.transpose(0, 2, 3, 1) if self.channels_first else block

    def _range(self) -> tuple[Any, str, str | None]:
        """How values become 0 to 255: the conversion, the rule in words, a warning. GannetError if none is known."""
        dtype = self.pictures.dtype
        if dtype == np.uint8:
            return lambda block: block, "values: 8 bits", None
        if dtype == np.bool_:
            return lambda block: block.astype(np.uint8) * 255, "values: true is white", None
        low, high = self._extremes()
        if dtype.kind == "u" and dtype.itemsize == 2:
            dark = f"the 16-bit pictures reach only {high:.0f} of 65,535 and will look dark: stretch them"
            return scale_sixteen, "values: 16 bits, scaled from 0 to 65,535", dark if high < SIXTEEN_BITS / 4 else None
        if dtype.kind == "f" and low >= 0 and high <= 1:
            return lambda block: _rounded(block * 255.0), "values: 0 to 1", None
        if dtype.kind == "f" and low >= -1 and high <= 1:
            return lambda block: _rounded((block + 1.0) * 127.5), "values: -1 to 1", None
        if low >= 0 and high <= 255:
            dark = f"{self.name}: the values reach only {high:g} of 255 and will look dark: scale them"
            return _rounded, "values: 0 to 255", dark if high < DARK else None
        raise GannetError(
            f"{self.name}: values from {low:g} to {high:g} ({dtype}) have no known black and white: "
            "scale them to 0..1 or -1..1, or give uint8 or uint16"
        )

    def _extremes(self) -> tuple[float, float]:
        low, high = np.inf, -np.inf
        for block in self._blocks():
            if not np.isfinite(block).all():
                raise GannetError(f"{self.name}: some pictures hold values that are no finite number: remove them")
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        return low, high


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values).astype(np.uint8)


def _resized(picture: np.ndarray, shape: tuple[int, int, int], options: ImageOptions) -> np.ndarray:
    height, width, channels = shape
    image = Image.fromarray(np.ascontiguousarray(picture[..., 0] if channels == 1 else picture))
    assert image.mode == MODES[channels]
    return np.asarray(fitted(image, height, width, options.fit), dtype=np.uint8).reshape(shape)


def _stamp(path: Path) -> Any:
    """What changes with a file: its place, size and time, or the checksums of its members."""
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as archive:
            return [[info.filename, info.file_size, info.CRC] for info in archive.infolist()]
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _suits(array: StoredArray) -> bool:
    return len(array.shape) in (3, 4) and array.dtype.kind in "biuf" and all(array.shape[1:])


def _are_labels(labels: StoredArray, pictures: StoredArray) -> bool:
    return len(labels.shape) in (1, 2) and labels.shape[0] == pictures.shape[0]


def _labels(labels: Any, name: str) -> np.ndarray:
    array = np.asarray(labels.detach().cpu() if isinstance(labels, torch.Tensor) else labels)
    if array.ndim not in (1, 2):
        raise GannetError(f"{name}: labels of shape {array.shape}: give one row a picture, [n] or [n, k]")
    return array.astype(str) if array.dtype == object else array
