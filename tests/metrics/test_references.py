"""Figures that others define alike are theirs: SDMetrics for tables, TorchMetrics for features and pictures.

Both libraries are test-only: `pip install "gannet[references]"`; without them these tests are skipped.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gannet.metrics.frechet import frechet_distance
from gannet.metrics.kernel import squared_discrepancy
from gannet.metrics.picture_fidelity import SCALE_WEIGHTS, ms_ssim
from gannet.metrics.table_fidelity import (
    PAIR_BINS,
    cells,
    joint_distance,
    rank_correlations,
    read_columns,
    shape_distance,
)

pandas = pytest.importorskip("pandas")

WHY = "a reference for comparison only; it comes with gannet[references]"


@pytest.fixture(scope="module")
def sdmetrics() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn of their own imports
        return pytest.importorskip("sdmetrics.column_pairs", reason=WHY)


@pytest.fixture(scope="module")
def torchmetrics() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torchmetrics", reason=WHY)


def table(rows: int, seed: int) -> Any:
    random = np.random.default_rng(seed)
    age = random.normal(40 + seed, 12, rows).round()
    income = age * 900 + random.gamma(2, 4000, rows)
    job = random.choice(["a", "b", "c", "d"], rows, p=[0.5, 0.3, 0.15, 0.05] if seed else [0.4, 0.3, 0.2, 0.1])
    town = np.where(age > 40, random.choice(["x", "y"], rows), "z")
    return pandas.DataFrame({"age": age, "income": income, "job": job, "town": town})


@pytest.mark.parametrize("column", ["age", "income"])
def test_shapes_of_number_columns_are_sdmetrics_ks_complement(sdmetrics: ModuleType, column: str) -> None:
    from sdmetrics.column_pairs import CorrelationSimilarity
    from sdmetrics.single_column import KSComplement

    real, other = table(1500, 0), table(1100, 1)
    theirs = KSComplement.compute(real[column], other[column])
    assert 1 - shape_distance(real[column].to_numpy(), other[column].to_numpy()) == pytest.approx(theirs, abs=1e-12)
    both = [frame[["age", "income"]] for frame in (real, other)]
    first, second = (rank_correlations(frame.to_numpy())[0, 1] for frame in both)
    theirs = CorrelationSimilarity.compute(*both, coefficient="Spearman")
    assert 1 - abs(first - second) / 2 == pytest.approx(theirs, abs=1e-9)


def test_shapes_and_pairs_of_level_columns_are_sdmetrics_complements(sdmetrics: ModuleType) -> None:
    from sdmetrics.column_pairs import ContingencySimilarity
    from sdmetrics.single_column import TVComplement

    real, other = table(1500, 0), table(1100, 1)
    (job, town) = read_columns([real[["job", "town"]], other[["job", "town"]]], real=1)
    for column in (job, town):
        ours = 1 - joint_distance(column.values[0], column.values[1], len(column.levels or ()))
        assert ours == pytest.approx(TVComplement.compute(real[column.name], other[column.name]), abs=1e-12)
    (a, b), width = cells(job, PAIR_BINS)
    (c, d), other_width = cells(town, PAIR_BINS)
    ours = 1 - joint_distance(a * other_width + c, b * other_width + d, width * other_width)
    theirs = ContingencySimilarity.compute(real[["job", "town"]], other[["job", "town"]])
    assert ours == pytest.approx(theirs, abs=1e-12)


def features(rows: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, 12, generator=draw, dtype=torch.float64) @ torch.randn(12, 12, generator=draw).double() + seed
    )


def test_the_frechet_distance_is_torchmetrics_fid_of_the_same_features(torchmetrics: ModuleType) -> None:
    from torchmetrics.image.fid import _compute_fid

    real, other = features(800, 1), features(900, 2)
    moments = [part for side in (real, other) for part in (side.mean(0), torch.cov(side.T))]
    assert frechet_distance(real, other) == pytest.approx(float(_compute_fid(*moments)), rel=1e-6)


def test_the_kernel_distance_is_torchmetrics_kid_of_the_same_features(torchmetrics: ModuleType) -> None:
    from torchmetrics.image.kid import poly_mmd

    real, other = features(300, 1), features(300, 2)
    assert squared_discrepancy(real, other) == pytest.approx(float(poly_mmd(real, other)), rel=1e-9)


def test_the_likeness_of_pictures_is_torchmetrics_ms_ssim_where_the_window_fits(torchmetrics: ModuleType) -> None:
    from torchmetrics.functional.image.ssim import _ssim_update as ssim

    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 1, 24, 24, generator=draw)
    first = nn.functional.interpolate(coarse, size=192, mode="bicubic").clamp(0, 1)
    noise = torch.tensor([0.02, 0.1, 0.2, 0.4])[:, None, None, None] * torch.randn(first.shape, generator=draw)
    second = (first + noise).clamp(0, 1)
    # Theirs goes beyond the border by reflection at the coarsest scale; the definition does not, hence the crop.
    theirs, x, y = torch.ones(4), first, second
    for scale, weight in enumerate(SCALE_WEIGHTS):
        x, y = (x, y) if scale == 0 else (nn.functional.avg_pool2d(each, 2) for each in (x, y))
        if scale < len(SCALE_WEIGHTS) - 1:
            likeness = ssim(x, y, data_range=1.0, return_contrast_sensitivity=True)[1]
        else:
            likeness = ssim(x, y, data_range=1.0, return_full_image=True)[1][..., 5:-5, 5:-5].mean((1, 2, 3))
        theirs = theirs * likeness**weight
    assert ms_ssim(2 * first - 1, 2 * second - 1).tolist() == pytest.approx(theirs.tolist(), rel=1e-4)
