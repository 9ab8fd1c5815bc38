"""One picture file to 8-bit pixels: its header first, then EXIF rotation, 8 bits, and the shared size.

Only `read_header` looks at a file before its declared size is known to be sane. `Refused` says why one is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from gannet.domains.picture_source import Fit

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
}
"""Endings of picture files and the formats they promise."""
FORMATS = tuple(sorted(set(SUFFIXES.values())))
"""The only decoders ever tried, whatever else Pillow has."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
ORIENTATION = 0x0112
SIXTEEN_BITS = 65535


class Refused(Exception):
    """Why one picture is left out, in words for the user."""


@dataclass(frozen=True)
class Header:
    """What a picture declares about itself: upright size in pixels, channels needed (1, 3, 4), format, frames."""

    width: int
    height: int
    channels: int
    format: str
    animated: bool


@dataclass(frozen=True)
class Picture:
    """Pixels [height, width, channels] uint8, and the brightest value of 16-bit ones (None for 8 bits)."""

    pixels: np.ndarray
    peak: int | None


def sniff(start: bytes) -> str | None:
    """The format that the first 16 bytes of a file speak of; None when they are no picture's."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    return "TIFF" if start[:4] in (b"II*\0", b"MM\0*") else None


def read_header(file: BinaryIO, max_pixels: int) -> Header:
    """Read a header without decoding. Raises Refused when it is no picture or declares too many pixels."""
    try:
        with Image.open(file, formats=FORMATS) as picture:
            _check_pixels(picture, max_pixels)
            width, height = picture.size
            if _lies_on_its_side(picture):
                width, height = height, width
            animated = isinstance(picture, GifImageFile | PngImageFile | WebPImageFile) and picture.is_animated
            # MPO is what phones write for a JPEG with a second view.
            form = "JPEG" if picture.format == "MPO" else str(picture.format)
            return Header(width, height, _channels(picture), form, animated)
    except Refused:
        raise
    except Exception as error:  # Pillow's decoders raise nearly every kind on hurt files
        raise Refused(_reason(error)) from error


def decode(file: BinaryIO, shape: tuple[int, int, int], fit: Fit, max_pixels: int) -> Picture:
    """Decode to `shape` (height, width, channels). Raises Refused when the file is hurt."""
    height, width, channels = shape
    try:
        with Image.open(file, formats=FORMATS) as opened:
            _check_pixels(opened, max_pixels)
            # JPEG can decode at 1/2, 1/4, 1/8 size; twice the target leaves Lanczos the final say.
            scale = 2 * max(width, height) / min(opened.size)
            opened.draft(None, (ceil(scale * opened.width), ceil(scale * opened.height)))
            upright = ImageOps.exif_transpose(opened)
            picture, peak = eight_bit(upright)
            picture = fitted(picture.convert(MODES[channels]), height, width, fit)
    except Refused:
        raise
    except Exception as error:
        raise Refused(_reason(error)) from error
    pixels = np.asarray(picture, dtype=np.uint8).reshape(height, width, channels)
    if channels == 4:
        # Colour under full transparency is invisible noise; the discriminator should not see it either.
        pixels = np.where(pixels[..., 3:] == 0, np.uint8(0), pixels)
    return Picture(pixels, peak)


def eight_bit(picture: Image.Image) -> tuple[Image.Image, int | None]:
    """A picture in L, RGB or RGBA, and the brightest value if it had 16 bits (scaled by their full range)."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        if picture.mode == "F":
            if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
                raise Refused("32-bit numbers outside 0 to 1 have no known white: convert it to 16 bits")
            return Image.fromarray(np.round(values * 255).astype(np.uint8)), None
        low, peak = int(values.min()), int(values.max())
        if low < 0 or peak > SIXTEEN_BITS:
            raise Refused("32-bit numbers outside 0 to 65535 have no known white: convert it to 16 bits")
        return Image.fromarray(scale_sixteen(values)), peak
    return picture.convert(MODES[_channels(picture)]), None


def scale_sixteen(values: np.ndarray) -> np.ndarray:
    """Integers 0 to 65535 -> uint8, the full range to the full range."""
    return ((values.astype(np.uint32) * 255 + SIXTEEN_BITS // 2) // SIXTEEN_BITS).astype(np.uint8)


def fitted(picture: Image.Image, height: int, width: int, fit: Fit) -> Image.Image:
    """An L, RGB or RGBA picture at the given size: Lanczos, antialiased, alpha weighted; untouched when it fits."""
    if picture.size == (width, height):
        return picture
    lanczos, across, down = Image.Resampling.LANCZOS, picture.width / width, picture.height / height
    if fit == "squash":
        return picture.resize((width, height), lanczos, reducing_gap=3.0)
    if fit == "crop":
        left, top = (picture.width - width * min(across, down)) / 2, (picture.height - height * min(across, down)) / 2
        box = (left, top, picture.width - left, picture.height - top)
        return picture.resize((width, height), lanczos, box=box, reducing_gap=3.0)
    scale = max(across, down)
    inner = (max(1, round(picture.width / scale)), max(1, round(picture.height / scale)))
    canvas = Image.new(picture.mode, (width, height))
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        canvas.putalpha(255)  # black like its sisters without opacity, not a frame to see through
    canvas.paste(picture.resize(inner, lanczos, reducing_gap=3.0), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def _check_pixels(picture: Image.Image, max_pixels: int) -> None:
    width, height = picture.size
    if min(width, height) < 1:
        raise Refused(f"declares {width} x {height} pixels")
    if width * height > max_pixels:
        raise Refused(
            f"declares {width:,} x {height:,} pixels, more than max_pixels={max_pixels:,}: not decoded "
            "(shrink it, or raise max_pixels if you trust it)"
        )


def _channels(picture: Image.Image) -> int:
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        return 4
    return 1 if picture.mode in ("1", "L", "F") or picture.mode.startswith("I") else 3


def _lies_on_its_side(picture: Image.Image) -> bool:
    # A TIFF's size is upright already; asking a PNG for EXIF it has not shown yet would decode it.
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return False
    return picture.getexif().get(ORIENTATION, 1) >= 5


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "its content is no picture that can be read"
    if isinstance(error, Image.DecompressionBombError):
        return "declares an absurd number of pixels: not decoded"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    return f"truncated or damaged ({str(error) or type(error).__name__})".replace("\n", " ")
