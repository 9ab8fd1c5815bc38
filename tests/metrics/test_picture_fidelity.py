"""Likeness of pairs and spectra of pictures: closed forms, an independent reference, and planted failures."""

from __future__ import annotations

from math import log10

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gannet.metrics.answer import Figure
from gannet.metrics.picture_fidelity import (
    SCALE_WEIGHTS,
    ms_ssim,
    pair_likeness,
    picture_figures,
    radial_power,
    scales,
    spectrum_distance,
)


def noise(rows: int, *shape: int, seed: int = 0, size: float = 0.3) -> Tensor:
    return (size * torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed))).clamp(-1, 1)


def blobs(rows: int, seed: int, side: int = 24) -> Tensor:
    """Grey pictures of three soft dots each on black."""
    random = np.random.default_rng(seed)
    pictures = np.zeros((rows, 1, side, side))
    for _ in range(3):
        places = random.integers(4, side - 4, (rows, 2))
        pictures[np.arange(rows), 0, places[:, 0], places[:, 1]] = 1
    soft = gaussian_filter(pictures, (0, 0, 2, 2))
    return torch.from_numpy(soft / soft.max() * 2 - 1).float()


def by_the_book(first: Tensor, second: Tensor) -> float:
    """MS-SSIM of two grey pictures [height, width], scale by scale with another library's window."""
    x, y = (((picture + 1) / 2).double().numpy() for picture in (first, second))
    count = scales(*x.shape)
    weights = np.array(SCALE_WEIGHTS[:count]) / sum(SCALE_WEIGHTS[:count])
    total = 1.0
    for place, weight in enumerate(weights):

        def mean(values: np.ndarray) -> np.ndarray:
            return gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

        covariance = mean(x * y) - mean(x) * mean(y)
        spread = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
        structure = (2 * covariance + 0.03**2) / (spread + 0.03**2)
        luminance = (2 * mean(x) * mean(y) + 0.01**2) / (mean(x) ** 2 + mean(y) ** 2 + 0.01**2)
        total *= max(0.0, (structure * luminance if place == count - 1 else structure).mean()) ** weight
        rows, columns = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        x, y = (picture[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)) for picture in (x, y))
    return total


# Likeness


@pytest.mark.parametrize("shape", [(16, 16), (33, 47), (90, 100), (176, 180)])
def test_likeness_is_that_of_the_definition(shape: tuple[int, int]) -> None:
    first = noise(2, 1, *shape, seed=1)
    second = 0.7 * first + 0.2 + 0.3 * noise(2, 1, *shape, seed=2)
    expected = [by_the_book(a[0], b[0]) for a, b in zip(first, second.clamp(-1, 1), strict=True)]
    assert ms_ssim(first, second).tolist() == pytest.approx(expected, abs=1e-4)


def test_a_picture_is_like_itself_and_unlike_its_negative() -> None:
    pictures = blobs(5, 0)
    assert ms_ssim(pictures, pictures).tolist() == pytest.approx([1.0] * 5)
    assert ms_ssim(noise(5, 3, 30, 30), -noise(5, 3, 30, 30)).tolist() == pytest.approx([0.0] * 5, abs=1e-6)


def test_of_flat_pictures_only_the_brightness_differs() -> None:
    dark, bright = torch.full((1, 1, 12, 12), -0.5), torch.full((1, 1, 12, 12), 0.5)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert float(ms_ssim(dark, bright)) == pytest.approx(expected, abs=1e-4)


def test_scales_are_as_many_as_the_window_fits_into() -> None:
    assert [scales(side, 400) for side in (5, 11, 21, 22, 44, 88, 175, 176, 400)] == [1, 1, 1, 2, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 9), (3, 5, 7), (4, 10, 3)])
def test_pictures_smaller_than_the_window_have_a_likeness(shape: tuple[int, int, int]) -> None:
    values = ms_ssim(noise(4, *shape), noise(4, *shape, seed=1))
    assert values.shape == (4,)
    assert bool(values.isfinite().all()) and float(values.max()) <= 1.0001


def test_pairs_are_of_different_pictures_and_no_picture_is_used_twice() -> None:
    pictures = blobs(9, 0)
    assert len(pair_likeness(pictures, np.arange(9))) == 4
    assert float(pair_likeness(pictures, np.arange(8)).max()) < 0.9


# Spectrum


def test_white_noise_has_the_same_power_at_every_frequency() -> None:
    power = radial_power(noise(300, 1, 32, 32, size=0.1)).mean(0)
    assert power.shape == (16,)
    # The lowest band loses a little with the mean that is taken away.
    torch.testing.assert_close(power[2:], torch.full((14,), 0.01, dtype=torch.float64), rtol=0.06, atol=0)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 48), (33, 31)])
def test_a_wave_has_its_power_at_its_frequency_in_any_direction(height: int, width: int) -> None:
    frequency = 0.2
    along = torch.sin(2 * torch.pi * frequency * torch.arange(width)).expand(height, width)
    across = torch.sin(2 * torch.pi * frequency * torch.arange(height))[:, None].expand(height, width)
    power = radial_power(torch.stack([along, across])[:, None] * 0.5)
    bands = min(height, width) // 2
    peak = round(frequency * 2 * bands) - 1
    assert int((power.argmax(1) - peak).abs().max()) <= 1  # the window spreads it over its neighbours
    assert bool((power[:, peak - 1 : peak + 2].sum(1) > 0.95 * power.sum(1)).all())


def test_twice_the_contrast_is_six_decibels() -> None:
    weak, strong = (radial_power(noise(50, 1, 20, 20, size=size)) for size in (0.1, 0.2))
    assert spectrum_distance(weak, strong) == pytest.approx(20 * log10(2), abs=0.05)
    assert spectrum_distance(weak, weak) == 0


def test_what_eight_bits_cannot_hold_is_not_seen() -> None:
    flat = torch.zeros(10, 1, 16, 16)
    assert spectrum_distance(radial_power(flat), radial_power(noise(10, 1, 16, 16, size=1e-4))) < 0.1


# The figures


def figures(generated: Tensor) -> dict[str, Figure]:
    real, stand_in = blobs(300, 1), blobs(300, 2)
    order = torch.rand(300, 24 * 24, generator=torch.Generator().manual_seed(0)).argsort(0)
    floor = stand_in.flatten(1).gather(0, order).view_as(stand_in)
    found, _, _ = picture_figures(real, generated, stand_in, floor, random=np.random.default_rng(0))
    return {figure.name: figure for figure in found}


def test_other_real_pictures_stand_with_real_ones() -> None:
    found = figures(blobs(300, 3))
    assert found["spectrum distance"].standing > 0.95
    low, high = found["pair likeness gap"].interval
    assert low == 0 and high < 0.1


def test_one_picture_again_and_again_is_too_alike() -> None:
    found = figures(blobs(1, 3).expand(300, -1, -1, -1))
    assert found["pair likeness gap"].interval[0] > 0.3


def test_blur_and_ripple_show_in_the_spectrum() -> None:
    pictures = blobs(300, 3)
    blurred = avg_pool2d(pictures, 5, 1, 2, count_include_pad=False)
    ripple = pictures + 0.02 * torch.tensor([1.0, -1.0]).repeat(12)
    for planted in (blurred, ripple):
        spectrum = figures(planted)["spectrum distance"]
        assert spectrum.interval[0] > 5 * spectrum.reference


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 8), (1, 4, 4), (4, 16, 9)])
def test_tiny_pictures_have_what_can_be_had(shape: tuple[int, int, int]) -> None:
    side = noise(12, *shape)
    found, tables, notes = picture_figures(side, side, side, side, random=np.random.default_rng(0))
    assert [figure.name for figure in found][0] == "pair likeness gap"
    assert (len(found) == 1) == any("no spectrum" in note for note in notes)
    assert len(tables[0].rows) == 4


@pytest.mark.slow
def test_large_pictures_are_compared_in_fewer_pairs() -> None:
    side = torch.zeros(110, 3, 160, 160)
    _, _, notes = picture_figures(side, side, side, side, random=np.random.default_rng(0))
    assert any("from 54 pairs at 4 of 5 scales" in note for note in notes)


def test_a_single_picture_is_no_reason_to_fail() -> None:
    side = noise(1, 1, 8, 8)
    found, tables, _ = picture_figures(side, side, side, side, random=np.random.default_rng(0))
    assert [figure.value for figure in found] == [0.0]
    assert tables == []
