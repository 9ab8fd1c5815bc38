"""What files and arrays of pictures have in common on the way to training: a survey without decoding, then pixels.

Also the rule that gives pictures of many sizes one size. `picture_files` and `picture_arrays` are the two leaves.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gannet.domains.domain import Skipped
from gannet.domains.picture_labels import Column
from gannet.errors import GannetError

Fit = Literal["crop", "pad", "squash"]

LONGEST_SIDE = 256
"""Pictures are made no larger than this unless `resolution` says so: what a workstation trains in hours, not weeks."""
SMALLEST_SIDE, LARGEST_SIDE = 4, 2048


@dataclass(kw_only=True)
class ImageOptions:
    """How pictures are read."""

    resolution: int | str | None = None
    """Size of every picture: 64 (square) or 48x64 (height x width). None keeps a shared size, longer side at most 256;
    mixed sizes take the median size and aspect."""
    fit: Fit = "crop"
    """How a picture of another aspect meets the size: crop (cover it, cut the edges), pad (all of it, on black or
    transparent), squash."""
    labels: bool | None = None
    """Whether sub-folders or a label array are classes. None uses them when there are enough pictures a class."""
    attributes: str | None = None
    """A CSV file (file,attribute,...) in the source or elsewhere: what else each picture can be asked for."""
    max_skipped: float = 0.1
    """Share of the picture files that may be unreadable; beyond it, opening stops."""
    max_pixels: int = 50_000_000
    """A picture that declares more pixels is refused before it is decoded."""
    stream: bool = True
    """Shards: whether pictures are decoded whenever they are shown, or once, into the cache."""
    cache: str = "10GB"
    """Shards at a URL: how much space their copies may take; larger sets are mixed some shards at a time."""
    mixed: int | None = None
    """Shards: how many are mixed at a time, which spares slow disks. None mixes all where the cache holds them."""


@dataclass
class Survey:
    """What a source holds, told from headers alone."""

    widths: np.ndarray
    heights: np.ndarray
    """Pixels [n], after any rotation a file asks for."""
    channels: int
    """Enough for every picture: 1, 3 or 4."""
    columns: list[Column]
    names: list[str] | None = None
    """One a picture, in the order of the records; None for arrays."""
    narrow: bool = False
    """Whether channels that turn out to hold nothing (grey stored as colour, full opacity) may be dropped."""
    found: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.widths)


def parse_bytes(text: str, name: str) -> int:
    """ "256MB" -> 256,000,000; "10GB"; a plain number is bytes. Raises GannetError naming the setting."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?", text.strip())
    size = 0
    if found is not None:
        base = 1024 if found[3] else 1000
        size = int(float(found[1]) * base ** " kMGT".index(found[2].replace("K", "k") or " "))
    if not 0 < size < 10**18:
        raise GannetError(f"{name}={text}: not a size: write 256MB or 10GB")
    return size


class PictureSource(ABC):
    """A place pictures come from. Decoding yields them in a fixed order, in blocks, never all at once."""

    name: str
    """What the user called it, for messages."""

    @abstractmethod
    def key(self) -> Any:
        """JSON values that change when the content may have changed; quick, no decoding."""

    @abstractmethod
    def survey(self, options: ImageOptions) -> Survey:
        """Sizes, channels and labels without decoding. Raises GannetError when there is nothing usable."""

    @abstractmethod
    def decode(
        self, survey: Survey, shape: tuple[int, int, int], options: ImageOptions
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (positions in the survey [k], pixels [k, height, width, channels] uint8).

        Pictures that cannot be decoded are missing from the blocks and appended to `survey.skipped`.
        """


def shared_size(survey: Survey, options: ImageOptions) -> tuple[int, int, str]:
    """Height and width for all pictures, and the rule that chose them in words."""
    widths, heights = survey.widths.astype(float), survey.heights.astype(float)
    same = bool((widths == widths[0]).all() and (heights == heights[0]).all())
    if options.resolution is not None:
        height, width = parse_resolution(options.resolution)
        return height, width, _describe(survey, height, width, "as asked", options.fit)
    if same and max(widths[0], heights[0]) <= LONGEST_SIDE:
        height, width = int(heights[0]), int(widths[0])
        if min(height, width) < SMALLEST_SIDE:
            raise GannetError(
                f"pictures of {height}x{width} pixels are too small to learn from (least side {SMALLEST_SIDE}): "
                "give larger ones, or resolution=16 to enlarge them"
            )
        return height, width, f"size: all {height}x{width} (height x width), kept"
    aspect = float(np.median(widths / heights))
    side = float(np.median(np.sqrt(widths * heights)))
    height_wanted, width_wanted = side / aspect**0.5, side * aspect**0.5
    scale = min(1.0, LONGEST_SIDE / max(height_wanted, width_wanted))
    height, width = (max(SMALLEST_SIDE, round(wanted * scale)) for wanted in (height_wanted, width_wanted))
    rule = "the longer side brought to 256" if same else "the median size and aspect, longer side at most 256"
    return height, width, _describe(survey, height, width, rule, options.fit)


def parse_resolution(resolution: int | str) -> tuple[int, int]:
    """64 or "64" -> (64, 64); "48x64" -> (48, 64): height, width. Raises GannetError for anything else."""
    parts = str(resolution).lower().split("x")
    try:
        sides = [int(part) for part in parts]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise GannetError(
            f"resolution={resolution}: not a size: write one side (resolution=64) or height x width (resolution=48x64)"
        )
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
        raise GannetError(f"resolution={resolution}: each side must lie in {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    return sides[0], sides[-1]


def _describe(survey: Survey, height: int, width: int, rule: str, fit: Fit) -> str:
    """The size rule, with what it costs: how many pictures grow, how many lose or gain much at the edges."""
    text = f"size: {_span(survey.heights)}x{_span(survey.widths)} (height x width) brought to {height}x{width}: {rule}"
    down = np.minimum(survey.widths / width, survey.heights / height)
    enlarged = int((down < 1).sum())
    if enlarged:
        text += f"; {enlarged:,} enlarged"
    # The share of a picture's area that a crop to the target's aspect keeps.
    kept = down**2 * width * height / (survey.widths.astype(float) * survey.heights)
    cut = int((kept < 2 / 3).sum())
    if fit == "crop" and cut:
        text += f"; {cut:,} lose more than a third at the edges (fit=pad keeps all of them)"
    return text + ("" if bool((kept > 0.99).all()) else f"; fit={fit}")


def _span(sides: np.ndarray) -> str:
    low, high = int(sides.min()), int(sides.max())
    return str(low) if low == high else f"{low}-{high}"
