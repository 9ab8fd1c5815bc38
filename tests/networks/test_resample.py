"""Resampling: constants stay, detail beyond the coarse grid goes, smooth pictures survive."""

import pytest
import torch
from torch.nn.functional import interpolate

from gannet.networks.resample import Resample, halvings, triangle

SIZES = [((28, 28), (14, 14)), ((7, 7), (4, 4)), ((105, 53), (53, 27)), ((4, 4), (7, 7)), ((5, 64), (5, 32))]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_a_constant_picture_stays_constant(source: tuple[int, int], target: tuple[int, int]) -> None:
    pictures = torch.full((2, 3, *source), 0.7)
    torch.testing.assert_close(Resample(source, target)(pictures), torch.full((2, 3, *target), 0.7))


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_it_equals_antialiased_bilinear_interpolation(source: tuple[int, int], target: tuple[int, int]) -> None:
    pictures = torch.randn(2, 3, *source)
    expected = interpolate(pictures, target, mode="bilinear", antialias=True)
    torch.testing.assert_close(Resample(source, target)(pictures), expected, atol=1e-5, rtol=1e-5)


def test_halving_is_the_1331_kernel_and_doubling_its_adjoint() -> None:
    weights = triangle(16, 8)
    torch.testing.assert_close(weights[3, 5:9], torch.tensor([1.0, 3, 3, 1]) / 8)
    assert weights[3].count_nonzero() == 4
    torch.testing.assert_close(triangle(8, 16)[3:-3], 2 * weights.T[3:-3])


def test_one_matrix_over_all_pixels_equals_one_along_each_side() -> None:
    joint = Resample((16, 12), (8, 6))
    assert joint.joint
    pictures = torch.randn(2, 3, 16, 12)
    torch.testing.assert_close(joint(pictures), triangle(16, 8) @ pictures @ triangle(12, 6).T)


def test_a_checkerboard_vanishes_on_the_coarse_grid() -> None:
    checkerboard = (torch.arange(32)[:, None] + torch.arange(32)[None, :]).remainder(2).mul(2).sub(1).float()
    coarse = Resample((32, 32), (16, 16))(checkerboard[None, None])
    assert coarse[..., 1:-1, 1:-1].abs().max() < 1e-6


def test_a_smooth_picture_survives_going_up_and_down() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 3, 20), torch.linspace(0, 3, 28), indexing="ij")
    smooth = (torch.sin(y) * torch.cos(x))[None, None]
    returned = Resample((40, 56), (20, 28))(Resample((20, 28), (40, 56))(smooth))
    assert (returned - smooth)[..., 1:-1, 1:-1].abs().max() < 0.01


def test_each_side_halves_rounding_up_until_the_grid_is_about_four() -> None:
    assert halvings((28, 28)) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert halvings((105, 105))[-1] == (4, 4)
    assert halvings((96, 160))[-1] == (3, 5)
    assert halvings((64, 256))[-1] == (4, 4)
    assert halvings((8, 8)) == [(8, 8), (4, 4)]
    assert halvings((3, 5)) == [(3, 5)]


def test_matrices_are_left_out_of_checkpoints() -> None:
    assert not Resample((28, 28), (14, 14)).state_dict()


WAYS = [
    ((9, 12), (5, 6)),
    ((5, 6), (9, 12)),
    ((160, 130), (80, 65)),
    ((2, 14), (1, 7)),
    ((1, 7), (2, 14)),
    ((4, 8), (4, 4)),
]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_it_does_not_matter_how_pictures_lie_in_memory(source: tuple[int, int], target: tuple[int, int]) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        resample = Resample(source, target)
    finally:
        torch.set_default_dtype(before)
    pictures = torch.randn(2, 3, *source, dtype=torch.float64)
    beside = resample(pictures.contiguous(memory_format=torch.channels_last))
    assert beside.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(beside, resample(pictures), rtol=1e-12, atol=1e-12)
