"""The features put pictures that differ more further apart: noise, blur, lost classes; for any size and channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from gannet.domains.picture_features import WIDTH, features


def frechet(first: Tensor, second: Tensor) -> float:
    """The Fréchet distance between Gaussians fitted to two sets of features."""
    a, b = first.double().numpy(), second.double().numpy()
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, np.ndarray]:
    """Two halves of the digits and the classes of the second."""
    data = load_digits()
    order = np.random.RandomState(0).permutation(len(data.images))
    pictures = torch.from_numpy(data.images[order] / 8 - 1).float()[:, None]
    return pictures[:900], pictures[900:], data.target[order][900:]


def blurred(pictures: Tensor, weight: float) -> Tensor:
    padded = torch.nn.functional.pad(pictures, [1, 1, 1, 1], mode="replicate")
    return (1 - weight) * pictures + weight * torch.nn.functional.avg_pool2d(padded, 3, stride=1)


def test_noise_blur_and_lost_classes_each_raise_the_distance_step_by_step(
    digits: tuple[Tensor, Tensor, np.ndarray],
) -> None:
    reference, other, classes = digits
    base = features(reference)
    noise = torch.randn(other.shape, generator=torch.Generator().manual_seed(0))
    series = {
        "noise": [other + amount * noise for amount in (0, 0.1, 0.2, 0.4, 0.8)],
        "blur": [blurred(other, weight) for weight in (0, 0.25, 0.5, 0.75, 1)],
        "classes": [other[torch.from_numpy(classes < kept)] for kept in (10, 8, 6, 4, 2, 1)],
        "contrast": [other * factor for factor in (1, 0.9, 0.8, 0.6, 0.4)],
    }
    for name, steps in series.items():
        distances = [frechet(base, features(step)) for step in steps]
        assert all(np.diff(distances) > 0), (name, distances)
        assert distances[-1] > 10 * distances[0], (name, distances)


def test_near_neighbours_in_features_are_of_the_same_class(digits: tuple[Tensor, Tensor, np.ndarray]) -> None:
    reference, other, classes = digits
    data = load_digits()
    order = np.random.RandomState(0).permutation(len(data.images))
    nearest = torch.cdist(features(other), features(reference)).argmin(1).numpy()
    assert (data.target[order][:900][nearest] == classes).mean() > 0.95


@pytest.mark.parametrize(
    "shape", [(1, 4, 4), (1, 8, 8), (1, 28, 28), (3, 32, 32), (4, 17, 40), (3, 5, 90), (3, 130, 70), (1, 4, 300)]
)
def test_any_size_and_channels_give_finite_features_one_row_each(shape: tuple[int, int, int]) -> None:
    pictures = torch.rand(5, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    result = features(pictures)
    assert result.shape == (5, WIDTH) and result.dtype == torch.float32 and result.isfinite().all()
    assert torch.allclose(result[3:4], features(pictures[3:4]), atol=1e-5), "a row depends on its picture alone"
    assert torch.equal(result, features(pictures))


def test_odd_values_and_empty_sets_do_no_harm() -> None:
    pictures = torch.full((2, 1, 8, 8), float("nan"))
    assert features(pictures).isfinite().all()
    assert features(torch.zeros(0, 1, 8, 8)).shape == (0, WIDTH)
    assert torch.equal(features(torch.full((1, 1, 8, 8), 9.0)), features(torch.ones(1, 1, 8, 8)))


def test_hidden_colour_under_full_transparency_changes_nothing() -> None:
    clear = torch.full((1, 4, 16, 16), -1.0)
    painted = clear.clone()
    painted[:, :3] = torch.rand(1, 3, 16, 16)
    assert torch.allclose(features(clear), features(painted))
