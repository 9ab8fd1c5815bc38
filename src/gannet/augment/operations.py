"""Changes of pictures [n, C, H, W], one set of numbers per sample, linear in the pixels and differentiable twice.

Each is the exact identity, sample by sample, at its neutral numbers (0 for sums and shifts, 1 for factors). Plain
gathers instead of `grid_sample`, whose second derivative PyTorch lacks and gradient penalties need.
"""

from __future__ import annotations

import torch
from torch import Tensor


def recolour(samples: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """x + b, then away from the pixel's grey by s, then away from the picture's mean by k; in one pass.

    `brightness`, `saturation`, `contrast` are [n]. Saturation needs exactly three colours, and a fourth channel is
    transparency, which has no colour; any other number of channels takes brightness and contrast only.
    """
    channels = samples.shape[1]
    if channels == 4:
        return torch.cat([recolour(samples[:, :3], brightness, saturation, contrast), samples[:, 3:]], 1)
    shift, s, k = (numbers.to(samples.dtype).view(-1, 1, 1, 1) for numbers in (brightness, saturation, contrast))
    if channels != 3:
        return k * samples + ((1 - k) * samples.mean((1, 2, 3), keepdim=True) + shift)
    grey = samples.mean(1, keepdim=True)
    return k * s * samples + (k * (1 - s) * grey + ((1 - k) * grey.mean((2, 3), keepdim=True) + shift))


def pick(samples: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels at whole-number `rows` and `columns`, broadcastable to [n, H, W]; zero outside the picture."""
    n, channels, height, width = samples.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    positions = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    flat = positions.view(n, 1, height * width).expand(n, channels, height * width)
    return samples.flatten(2).gather(2, flat).view_as(samples) * inside.unsqueeze(1)


def shift(samples: Tensor, down: Tensor, right: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror left to right where `mirrored`, then move by whole pixels `down` and `right`; each [n], zero padded."""
    height, width = samples.shape[2:]
    rows = torch.arange(height, device=samples.device) - down.view(-1, 1)
    columns = torch.arange(width, device=samples.device) - right.view(-1, 1)
    columns = torch.where(mirrored.view(-1, 1), width - 1 - columns, columns)
    return pick(samples, rows[:, :, None], columns[:, None, :])


def turn(samples: Tensor, factor: Tensor, angle: Tensor) -> Tensor:
    """Enlarge by `factor` and rotate by `angle` (radians, anticlockwise as seen) about the centre; each [n].

    Bilinear and zero padded: four picks, so about four times the cost of `shift`.
    """
    height, width = samples.shape[2:]
    y = (torch.arange(height, device=samples.device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=samples.device) - (width - 1) / 2).view(1, 1, -1)
    cosine, sine = ((wave(angle) / factor).view(-1, 1, 1) for wave in (torch.cos, torch.sin))
    source_y = cosine * y + sine * x + (height - 1) / 2
    source_x = cosine * x - sine * y + (width - 1) / 2
    top, left = source_y.floor(), source_x.floor()
    lower, righter = source_y - top, source_x - left
    corners = []
    for below, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (lower if below else 1 - lower) * (righter if across else 1 - righter)
        corner = pick(samples, top.long() + below, left.long() + across)
        corners.append(corner * weight.to(samples.dtype).unsqueeze(1))
    return corners[0] + corners[1] + corners[2] + corners[3]


def cut_out(samples: Tensor, top: Tensor, left: Tensor, size: tuple[int, int], chosen: Tensor) -> Tensor:
    """Blank (to 0, mid-grey) a box of `size` (height, width), its corner at `top`, `left` [n], where `chosen` [n]."""
    rows = torch.arange(samples.shape[2], device=samples.device) - top.view(-1, 1)
    columns = torch.arange(samples.shape[3], device=samples.device) - left.view(-1, 1)
    rows_hit = (rows >= 0) & (rows < size[0]) & chosen.view(-1, 1)
    columns_hit = (columns >= 0) & (columns < size[1])
    return samples * ~(rows_hit[:, :, None] & columns_hit[:, None, :]).unsqueeze(1)
