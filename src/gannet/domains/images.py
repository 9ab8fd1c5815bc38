"""Pictures: a folder or zip of files, shards, an array, or the name `digits`, as [channels, height, width] in [-1, 1].

They are decoded once, into a file of 8-bit records in the cache, or (shards) whenever they are shown; either way memory
does not grow with their number.
`Images.open("photos/", Images.Options(), seed=0, cache=Path("cache"))` gives the samples and what was found.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gannet.domains.domain import Domain, Opened, Subset
from gannet.domains.picture_arrays import PictureArray, claims_array, claims_array_file
from gannet.domains.picture_features import NAME, features
from gannet.domains.picture_files import PictureFiles, claims_path
from gannet.domains.picture_sheet import sheet, write_pictures
from gannet.domains.picture_source import ImageOptions, PictureSource
from gannet.domains.picture_store import decoded_once, scaled
from gannet.domains.picture_stream import streamed
from gannet.domains.shard_places import claims_shards
from gannet.domains.shard_source import PictureShards
from gannet.errors import GannetError
from gannet.spec import Spec

DIGITS = "digits"
HOLDOUT_SHARE, HOLDOUT_MOST, HOLDOUT_FROM = 0.05, 2000, 200


class Images(Domain):
    """Pictures of one size with 1, 3 or 4 channels, with or without classes and attributes."""

    kind: ClassVar[str] = "images"
    embedder: ClassVar[str] = NAME
    Options = ImageOptions

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @classmethod
    def claims(cls, source: Any) -> bool:
        if not isinstance(source, str | Path):
            return claims_array(source)
        named = source == DIGITS or claims_path(Path(source)) or claims_array_file(Path(source))
        return named or claims_shards(source)

    @classmethod
    def open(cls, source: Any, options: ImageOptions, *, seed: int, cache: Path) -> Opened:
        check_options(options)
        with warnings.catch_warnings():
            # Pillow warns of oddities in files; a file either decodes or is named with the reason.
            warnings.simplefilter("ignore")
            pictures = source_of(source, options, cache)
            if isinstance(pictures, PictureShards) and options.stream:
                stored = streamed(pictures, options, cache)
            else:
                stored = decoded_once(pictures, options, cache)
        train, holdout = split(stored.copied, seed)
        aside = [f"{len(holdout):,} of them set aside, never trained on, to score against"] if len(holdout) else []
        return Opened(
            domain=cls(stored.spec),
            train=Subset(stored.dataset, train) if len(holdout) else stored.dataset,
            holdout=Subset(stored.dataset, holdout) if len(holdout) else None,
            fingerprint=stored.fingerprint,
            found=[*stored.found, *aside],
            skipped=stored.skipped,
            warnings=stored.warnings,
        )

    def state(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restore(cls, spec: Spec, state: dict[str, Any]) -> Images:
        return cls(spec)

    def encode(self, decoded: Any) -> Tensor:
        """Pictures [n, height, width, channels] uint8 -> [n, channels, height, width] in [-1, 1], without loss."""
        pictures = np.asarray(decoded)
        channels, height, width = self.spec.shape
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (height, width, channels):
            raise GannetError(
                f"pictures of shape {pictures.shape} and type {pictures.dtype}: "
                f"this model's are [n, {height}, {width}, {channels}] of uint8"
            )
        return scaled(pictures)

    def decode(self, samples: Tensor, condition: Tensor | None = None) -> np.ndarray:
        """Samples [n, channels, height, width] -> pictures [n, height, width, channels] uint8, rounded and clamped."""
        values = samples.detach().float().nan_to_num(-1.0)
        pixels = ((values + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def write(self, decoded: Any, out: Path, *, names: list[str] | None = None) -> list[Path]:
        return write_pictures(np.asarray(decoded), Path(out), names, self._columns())

    def preview(self, samples: Tensor, condition: Tensor | None = None) -> Image.Image:
        """A grid of up to 64 samples in the order given (10 columns, up to 100, when they are of 10 classes)."""
        return sheet(self.decode(samples[:100]), 8 if condition is None else self._columns())

    def embed(self, samples: Tensor) -> Tensor:
        return features(samples)

    def _columns(self) -> int:
        fields = self.spec.condition.fields if self.spec.condition else ()
        return 10 if any(field.levels is not None and len(field.levels) == 10 for field in fields[:1]) else 8


def split(copied: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (to train on, held out), sorted: 5 % but at most 2,000 held out, none of fewer than 200 pictures.

    A picture of which there are copies (mask `copied` [n]) is never held out: its twin would be trained on.
    """
    count = len(copied)
    share = min(HOLDOUT_MOST, round(HOLDOUT_SHARE * count)) if count >= HOLDOUT_FROM else 0
    # NumPy promises never to change the legacy generator's stream; a resumed run must hold out the same pictures.
    order = np.random.RandomState(seed % 2**32).permutation(np.flatnonzero(~copied))
    holdout = np.sort(order[:share])
    return np.setdiff1d(np.arange(count), holdout), holdout


def check_options(options: ImageOptions) -> None:
    """Raise GannetError for a setting that cannot be."""
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if options.fit not in ("crop", "pad", "squash"):
        raise GannetError(f"fit={options.fit}: not a way to fit pictures; known: crop, pad, squash")
    if not 0 <= options.max_skipped <= 1:
        raise GannetError(f"max_skipped={options.max_skipped}: a share of the files is needed, from 0 to 1")
    if not 1 <= options.max_pixels <= limit:
        raise GannetError(f"max_pixels={options.max_pixels}: must lie in 1 to {limit:,} (the decoder's own limit)")


def source_of(source: Any, options: ImageOptions, cache: Path) -> PictureSource:
    """Where the pictures come from, by what the source is. Raises GannetError when there is no such file."""
    if not isinstance(source, str | Path):
        return PictureArray.from_python(source)
    if source == DIGITS:
        return PictureArray.digits()
    path = Path(source)
    if claims_shards(source) and not claims_path(path):
        return PictureShards(str(source), options, cache)
    if not path.exists():
        raise GannetError(f"{source}: no such file or folder")
    if path.suffix.lower() in (".npy", ".npz"):
        return PictureArray.from_file(path)
    return PictureFiles(path, options)
