"""Features of pictures for the metrics, without a trained network: coarse pixels, fine detail, and random filters.

Random filters with rectification and pooling describe texture (cf. Jarrett et al. 2009; Saxe et al. 2011); the pixels
describe layout. Deterministic: the filters come from NumPy's frozen legacy generator. Call `features(pictures)`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate, pad

NAME = "pixels-and-filters-1"
WIDTH = 96
"""Features of one picture."""
FILTERS, FILTER_SIDE = 12, 5
SCALES = 3
LONGEST = 32
"""The filters see pictures no larger than this; larger ones are reduced with antialiasing first."""
LAYOUT = 8
"""Side of the coarse pixels in brightness; colour and opacity get half of it."""
JUST_VISIBLE = 0.01
"""About one grey level of 255: differences between neighbours below it count for nothing."""
BLOCK = 128
"""Pictures handled at a time, few enough for a core's cache."""


@torch.no_grad()
def features(pictures: Tensor) -> Tensor:
    """Pictures [n, 1 | 3 | 4, height, width] in [-1, 1] -> features [n, 96] float32.

    Values beyond the range are clamped and ones that are no number count as black, as they would when written.
    """
    blocks = [_block(block) for block in pictures.detach().float().split(BLOCK)]
    return torch.cat(blocks) if len(pictures) else torch.zeros(0, WIDTH)


def _block(pictures: Tensor) -> Tensor:
    planes = _planes(pictures.nan_to_num(-1.0).clamp(-1, 1))
    parts = _detail(planes[:, :1])
    planes = _resized(planes, LONGEST)
    parts.append(adaptive_avg_pool2d(_resized(planes[:, :1], None, LAYOUT), LAYOUT).flatten(1))
    parts.append(adaptive_avg_pool2d(_resized(planes[:, 1:], None, LAYOUT // 2), LAYOUT // 2).flatten(1))
    filters = _filters(planes.shape[1]).to(planes)
    for scale in range(SCALES):
        if scale and min(planes.shape[2:]) >= 4:
            planes = avg_pool2d(planes, 2)
        parts += _texture(planes, filters)
    joined = torch.cat(parts, dim=1)
    return joined @ _projection(joined.shape[1]).to(joined)


def _planes(pictures: Tensor) -> Tensor:
    """Brightness, two colour differences, opacity: [n, 1], [n, 3] or [n, 4] planes; hidden colour is weighted away."""
    channels = pictures.shape[1]
    if channels == 1:
        return pictures
    colour = pictures[:, :3]
    opacity = (pictures[:, 3:] + 1) / 2 if channels == 4 else None
    if opacity is not None:
        colour = colour * opacity
    red, green, blue = colour.unbind(1)
    planes = [0.299 * red + 0.587 * green + 0.114 * blue, (red - green) / 2, (red + green) / 4 - blue / 2]
    return torch.stack([*planes, *([] if opacity is None else [opacity[:, 0] * 2 - 1])], dim=1)


def _detail(brightness: Tensor) -> list[Tensor]:
    """Logarithm of the mean size and root mean square of the differences between neighbours, across and down."""
    sizes = []
    for axis in (2, 3):
        change = brightness.diff(dim=axis).flatten(1)
        count = max(1, change.shape[1])
        sizes += [torch.linalg.vector_norm(change, ord, dim=1) / count ** (1 / ord) for ord in (1, 2)]
    return [torch.log(torch.stack(sizes, dim=1) + JUST_VISIBLE)]


def _texture(planes: Tensor, filters: Tensor) -> list[Tensor]:
    """Mean size of each filter's response in the quarters of the picture, and its root mean square over the whole."""
    response = conv2d(pad(planes, [FILTER_SIDE // 2] * 4, mode="replicate"), filters).abs_()
    mean = adaptive_avg_pool2d(response, 2).flatten(1)
    pixels = response.shape[2] * response.shape[3]
    return [mean, torch.linalg.vector_norm(response.flatten(2), dim=2) / pixels**0.5]


def _resized(planes: Tensor, longest: int | None, least: int = 1) -> Tensor:
    """Planes reduced (antialiased) to a longer side of `longest`, or enlarged until no side is below `least`."""
    height, width = planes.shape[2:]
    scale = 1.0 if longest is None else min(1.0, longest / max(height, width))
    size = (max(least, round(height * scale)), max(least, round(width * scale)))
    if planes.shape[1] == 0 or size == (height, width):
        return planes
    return interpolate(planes, size=size, mode="bilinear", antialias=scale < 1, align_corners=False)


@lru_cache
def _filters(planes: int) -> Tensor:
    """Random filters [12, planes, 5, 5], each of zero mean (flat areas answer nothing) and unit norm."""
    random = np.random.RandomState(20160)
    values = random.standard_normal((FILTERS, planes, FILTER_SIDE, FILTER_SIDE))
    values -= values.mean(axis=(2, 3), keepdims=True)
    values /= np.sqrt((values**2).sum(axis=(1, 2, 3), keepdims=True))
    return torch.from_numpy(values).float()


@lru_cache
def _projection(width: int) -> Tensor:
    """Random orthonormal columns [width, 96], scaled so that distances keep their size on average."""
    random = np.random.RandomState(20161)
    values = np.linalg.qr(random.standard_normal((max(width, WIDTH), WIDTH)))[0][:width]
    return torch.from_numpy(values * np.sqrt(width / WIDTH)).float()
