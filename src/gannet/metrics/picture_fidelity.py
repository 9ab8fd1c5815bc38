"""How real pictures are beyond features: likeness of pairs (MS-SSIM, Wang et al. 2003) and power at each frequency.

Likeness shows pictures that all look the same (Odena et al. 2017, section 4.2); the spectrum shows blur and the ripple
of upsampling (Durall et al. 2020). `picture_figures(real, generated, stand_in, floor, random=...)`.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from gannet.metrics.answer import Figure, Table
from gannet.metrics.intervals import NORMAL, folded

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, finest first (Wang et al. 2003, section 3.2)."""
WINDOW, WINDOW_DEVIATION = 11, 1.5
LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""The small constants of SSIM (Wang et al. 2004, eq. 7 and 9), for values from 0 to 1."""
MOST_PAIRS, FEWEST_PAIRS, PAIR_NUMBERS = 1_000, 50, 2**22
"""Pairs of pictures a side, and numbers in all of them: larger pictures are compared in fewer pairs."""
MOST_PICTURES, FEWEST_PICTURES, PICTURE_NUMBERS = 10_000, 200, 2**25
"""Pictures a side behind a spectrum, and numbers in all of them."""
BLOCK = 2**20
"""Numbers handled at a time."""
SMALLEST = 4
"""Side below which there is no spectrum to speak of."""
GREY_LEVEL = 2 / 255


# ---------------------------------------------------------------------------------------------- likeness of pairs


@torch.no_grad()
def ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Likeness [n] of pictures [n, c, height, width] in [-1, 1], pair by pair: 1 = the same, about 0 = unrelated.

    As many of the five scales as the window of 11 fits into, their weights made to sum to 1; pictures smaller than the
    window get a smaller one. Negative correlations count as 0, since a fractional power follows. Channels are averaged.
    """
    assert first.shape == second.shape and first.dim() == 4, f"{tuple(first.shape)} and {tuple(second.shape)}"
    step = max(1, BLOCK // max(1, first[:1].numel()))
    parts = [_ms_ssim(a, b) for a, b in zip(first.split(step), second.split(step), strict=True)]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def _ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    x, y = ((pictures.float().clamp(-1, 1) + 1) / 2 for pictures in (first, second))
    weights = torch.tensor(SCALE_WEIGHTS[: scales(*x.shape[2:])])
    likeness = torch.ones(x.shape[:2])
    for place, weight in enumerate(weights / weights.sum()):
        if place:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        luminance, structure = _ssim_parts(x, y)
        last = place == len(weights) - 1
        likeness = likeness * ((luminance * structure if last else structure).mean((2, 3)).clamp(min=0) ** weight)
    return likeness.double().mean(1)


def scales(height: int, width: int) -> int:
    """How many scales a picture is compared at: as long as the window fits, at least one."""
    side, count = min(height, width) // 2, 1
    while count < len(SCALE_WEIGHTS) and side >= WINDOW:
        side, count = side // 2, count + 1
    return count


def _ssim_parts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at every place where the window fits (Wang et al. 2004, eq. 6-10)."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = (_blurred(x * x) - mean_x**2).clamp(min=0)
    variance_y = (_blurred(y * y) - mean_y**2).clamp(min=0)
    covariance = _blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    return luminance, (2 * covariance + CONTRAST) / (variance_x + variance_y + CONTRAST)


def _blurred(planes: Tensor) -> Tensor:
    """Means under a Gaussian window, [n, c, height, width] -> what is left without padding."""
    channels = planes.shape[1]
    for axis, length in ((2, planes.shape[2]), (3, planes.shape[3])):
        size = min(WINDOW, length if length % 2 else length - 1)
        places = torch.arange(size) - (size - 1) / 2
        window = torch.exp(-(places**2) / (2 * WINDOW_DEVIATION**2))
        shape = (1, 1, size, 1) if axis == 2 else (1, 1, 1, size)
        kernel = (window / window.sum()).view(shape).repeat(channels, 1, 1, 1)
        planes = conv2d(planes, kernel, groups=channels)
    return planes


def pair_likeness(pictures: Tensor, order: np.ndarray) -> Tensor:
    """MS-SSIM [pairs] of pictures [n, c, height, width], each paired with the next one of a random order [n]."""
    wanted = min(MOST_PAIRS, max(FEWEST_PAIRS, PAIR_NUMBERS // max(1, pictures[0].numel())))
    pairs = min(len(order) // 2, wanted)
    chosen = torch.as_tensor(order[: 2 * pairs].copy())
    return ms_ssim(pictures[chosen[:pairs]], pictures[chosen[pairs:]])


# ------------------------------------------------------------------------------------------------------- spectrum


@torch.no_grad()
def radial_power(pictures: Tensor) -> Tensor:
    """Power [n, min(height, width) // 2] of pictures [n, c, height, width] at each spatial frequency, coarse to fine.

    Mean over directions of the squared Fourier transform of the mean channel, up to the Nyquist frequency. A Hann
    window keeps the borders, where a picture does not continue, from looking like fine detail.
    """
    height, width = pictures.shape[2:]
    bands = min(height, width) // 2
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(width, periodic=False)
    window = window / window.square().mean().sqrt()
    rows, columns = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    band = ((rows[:, None] ** 2 + columns**2).sqrt() * 2 * bands).round().long().flatten()
    # A real picture's transform is symmetrical: the columns that are not stored count as well.
    twice = torch.where((columns == 0) | (columns == 0.5), 1.0, 2.0).expand(height, -1).flatten().double()
    kept = (band >= 1) & (band <= bands)
    counts = torch.zeros(bands, dtype=torch.float64).index_add(0, band[kept] - 1, twice[kept])
    profiles = []
    for block in pictures.split(max(1, BLOCK // max(1, pictures[:1].numel()))):
        grey = block.float().clamp(-1, 1).mean(1)
        grey = (grey - grey.mean((1, 2), keepdim=True)) * window
        power = torch.fft.rfft2(grey, norm="ortho").abs().square().double().flatten(1)
        sums = torch.zeros(len(power), bands, dtype=torch.float64)
        profiles.append(sums.index_add(1, band[kept] - 1, power[:, kept] * twice[kept]) / counts)
    return torch.cat(profiles)


def spectrum_distance(real: Tensor, generated: Tensor) -> float:
    """Mean difference, in decibels, between the mean power of two sets [n, bands] and [m, bands] at each frequency.

    3 dB is twice (or half) the power. Power below the rounding of 8-bit pictures counts as that, since none can see it.
    """
    unseen = GREY_LEVEL**2 / 12
    here, there = (10 * (profiles.mean(0) + unseen).log10() for profiles in (real, generated))
    return float((here - there).abs().mean())


# -------------------------------------------------------------------------------------------------------- figures


def picture_figures(
    real: Tensor, generated: Tensor, stand_in: Tensor, floor: Tensor, *, random: np.random.Generator
) -> tuple[list[Figure], list[Table], list[str]]:
    """Figures of generated pictures [n, c, height, width] in [-1, 1], a table of the likeness of pairs, and notes.

    `stand_in`: other real pictures, in the generated ones' place; `floor`: pictures whose pixels were shuffled.
    """
    figures, tables, notes = [], [], []
    count = min(len(side) for side in (real, generated, stand_in, floor))
    if count >= 4:
        likeness = [pair_likeness(side, random.permutation(len(side))) for side in (real, generated, stand_in, floor)]
        figures.append(_likeness_figure(*likeness[:3]))
        tables.append(_likeness_table(*likeness))
        notes.append(
            f"MS-SSIM from {len(likeness[1]):,} pairs at {scales(*real.shape[2:])} of {len(SCALE_WEIGHTS)} scales."
        )
    if min(real.shape[2:]) < SMALLEST:
        notes.append(f"pictures less than {SMALLEST} pixels wide or high have no spectrum.")
    elif count >= 1:
        wanted = min(MOST_PICTURES, max(FEWEST_PICTURES, PICTURE_NUMBERS // max(1, real[0].numel())))
        rows = min(count, wanted)
        power = [
            radial_power(side[torch.as_tensor(random.permutation(len(side))[:rows])])
            for side in (real, generated, stand_in, floor)
        ]
        value, interval = folded(spectrum_distance, power[0], power[1])
        reference, wrong = spectrum_distance(power[0], power[2]), spectrum_distance(power[0], power[3])
        meaning = (
            "decibels by which coarse and fine detail is too strong or weak; 3 dB is double. Shows blur and ripple."
        )
        figures.append(Figure("spectrum distance", value, interval, reference, wrong, "lower", meaning))
    return figures, tables, notes


def _likeness_figure(real: Tensor, generated: Tensor, stand_in: Tensor) -> Figure:
    """Neither more nor less alike is better, so the figure is the gap to real pairs.

    It has no floor: shuffled pixels happen to be about as alike as real pictures of many kinds.
    """
    value, reference = (abs(float(side.mean() - real.mean())) for side in (generated, stand_in))
    error = NORMAL * sqrt(sum(float(side.var(correction=0)) / len(side) for side in (real, generated)))
    meaning = "how much more or less alike two generated pictures are than two real ones (MS-SSIM); 0 = as alike."
    return Figure(
        "pair likeness gap", value, (max(0.0, value - error), value + error), reference, None, "lower", meaning
    )


def _likeness_table(real: Tensor, generated: Tensor, stand_in: Tensor, floor: Tensor) -> Table:
    named = {"generated": generated, "real": real, "real, others": stand_in, "shuffled pixels": floor}
    rows = [
        [name, f"{float(side.mean()):.3f}", f"{NORMAL * float(side.std(correction=0)) / sqrt(len(side)):.3f}"]
        for name, side in named.items()
    ]
    return Table("likeness of two pictures of a set (MS-SSIM, 1 = the same)", ["pictures", "mean", "±"], rows)
