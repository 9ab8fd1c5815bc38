"""Pictures back to the user: a tidy grid of many, and files of each.

`sheet(pictures)` is one Pillow picture; `write_pictures(pictures, out)` makes a folder of PNG, one file, or .npz.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from gannet.domains.picture_decoding import MODES
from gannet.errors import GannetError

WIDEST, TALLEST = 900, 1200
"""Pixels a grid is enlarged to at most; larger pictures are reduced to fit the width."""
GAP = 2
GROUND = (244, 244, 244)
SINGLE = (".png", ".webp", ".tif", ".tiff", ".bmp")
"""Endings of a single picture file, all without loss."""


def sheet(pictures: np.ndarray, columns: int = 8) -> Image.Image:
    """Pictures [n, height, width, 1 | 3 | 4] uint8 -> one RGB picture, row by row, at most `columns` squared of them.

    Small pictures are enlarged by a whole number without smoothing; transparent ones lie on a light ground.
    """
    assert len(pictures) > 0
    pictures = pictures[: columns * columns]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = pictures.shape[1:3]
    across = (WIDEST - GAP * (columns + 1)) / (columns * width)
    down = (TALLEST - GAP * (rows + 1)) / (rows * height)
    scale = min(across, down)
    size = (
        (width * int(scale), height * int(scale))
        if scale >= 1
        else (_at_least(width * across), _at_least(height * across))
    )
    filter_ = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    grid = Image.new("RGB", (columns * (size[0] + GAP) + GAP, rows * (size[1] + GAP) + GAP), GROUND)
    for place, pixels in enumerate(pictures):
        row, column = divmod(place, columns)
        tile = on_ground(pixels).resize(size, filter_)
        grid.paste(tile, (GAP + column * (size[0] + GAP), GAP + row * (size[1] + GAP)))
    return grid


def image_of(pixels: np.ndarray) -> Image.Image:
    """Pixels [height, width, 1 | 3 | 4] uint8 -> a Pillow picture in L, RGB or RGBA."""
    channels = pixels.shape[2]
    assert channels in MODES
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels))


def on_ground(pixels: np.ndarray) -> Image.Image:
    """A picture in RGB, laid on the light ground where it is transparent."""
    picture = image_of(pixels)
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, (*GROUND, 255))
    return Image.alpha_composite(ground, picture).convert("RGB")


def write_pictures(pictures: np.ndarray, out: Path, names: Sequence[str] | None = None, columns: int = 8) -> list[Path]:
    """Write pictures [n, height, width, channels] uint8 and return the paths written.

    `out` is a folder (00000.png, 00001.png, ..., or `names` below it, "cat/1" too), a .npz file (key `images`), or one
    picture file (.png, .webp, .tif, .bmp: the picture itself, or a grid of several). Files of the same name are
    replaced, each at once. Raises GannetError when the place cannot be written.
    """
    suffix = out.suffix.lower()
    try:
        if suffix == ".npz":
            stream = io.BytesIO()
            np.savez_compressed(stream, images=pictures)
            return [_put(out, stream.getvalue())]
        if suffix in SINGLE:
            picture = image_of(pictures[0]) if len(pictures) == 1 else sheet(pictures, columns)
            return [_put(out, _encoded(picture, suffix))]
        if names is None:
            names = [f"{place:05d}" for place in range(len(pictures))]
        paths = [out / _checked(name) for name in names]
        return [
            _put(path, _encoded(image_of(pixels), path.suffix.lower()))
            for path, pixels in zip(paths, pictures, strict=True)
        ]
    except OSError as error:
        raise GannetError(
            f"{out}: cannot write pictures here ({error.strerror or error}): give another --out"
        ) from error


def _at_least(side: float) -> int:
    return max(1, int(side))


def _checked(name: str) -> PurePosixPath:
    """A name below the folder, ending in .png when it has no ending of a picture file."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise GannetError(f"picture name {name!r} leaves the folder it is written to: give plain names")
    return path if path.suffix.lower() in SINGLE else path.with_name(f"{path.name}.png")


def _encoded(picture: Image.Image, suffix: str) -> bytes:
    stream = io.BytesIO()
    if suffix == ".webp":
        picture.save(stream, format="WEBP", lossless=True, exact=True)
    else:
        picture.save(stream, format={".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}.get(suffix, "PNG"))
    return stream.getvalue()


def _put(path: Path, data: bytes) -> Path:
    """Write a file so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
