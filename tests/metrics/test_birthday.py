"""The size of a support, estimated from pairs alike: right for known sizes, bounded below when no pair is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.metrics.birthday import alike, support_size


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def of_kinds(kinds: int, rows: int, seed: int) -> Tensor:
    """Samples of so many different kinds, each a little blurred."""
    draw = torch.Generator().manual_seed(seed)
    return normal(kinds, 16, 0)[torch.randint(kinds, (rows,), generator=draw)] + 1e-4 * normal(rows, 16, seed)


@pytest.mark.parametrize("kinds", [10, 100, 1000, 5000])
def test_the_number_of_kinds_is_found_and_its_interval_holds_it(kinds: int) -> None:
    sizes = [support_size(of_kinds(kinds, 800, seed), 0.1) for seed in range(1, 13)]
    assert np.median([size.kinds for size in sizes]) == pytest.approx(kinds, rel=0.1)
    assert np.mean([size.interval[0] <= kinds <= size.interval[1] for size in sizes]) >= 10 / 12


def test_one_repeated_sample_is_one_kind() -> None:
    size = support_size(torch.ones(50, 3), 0.0)
    assert size.kinds == 1
    assert size.interval[0] == 1
    assert not size.only_lower_bound


def test_without_a_pair_only_a_lower_bound_is_known() -> None:
    size = support_size(normal(200, 16, 0), 1e-6)
    assert size.only_lower_bound
    assert size.pairs == 0
    assert size.interval == (pytest.approx(200 * 199 / 2 / 3.69), float("inf"))


def test_real_samples_are_hardly_alike_and_a_collapsed_model_s_often() -> None:
    real, fresh = normal(1000, 16, 1), normal(1000, 16, 2)
    radius = alike(real)
    assert support_size(fresh, radius).only_lower_bound
    few = support_size(of_kinds(200, 1000, 3), radius)
    assert few.kinds == pytest.approx(200, rel=0.1)


def test_uneven_kinds_count_as_the_common_ones() -> None:
    # Half of the mass on one kind: two samples are alike with chance 1/4 and a little, so about four kinds.
    rows = torch.where(torch.arange(1000)[:, None] % 2 == 0, torch.zeros(1000, 16), normal(1000, 16, 4))
    assert support_size(rows, 0.01).kinds == pytest.approx(4, rel=0.05)


def test_a_crowd_counts_as_one_finding_in_the_interval() -> None:
    rows = normal(500, 16, 0)
    rows[:10] = rows[0]  # 45 pairs, of one event
    size = support_size(rows, 1e-6)
    assert size.pairs == 45
    assert size.interval[1] / size.interval[0] > 5


def test_discrete_data_is_alike_when_equal() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 3, (400, 3), generator=draw).float()
    assert float(alike(rows)) == 0
    assert support_size(rows, alike(rows)).kinds == pytest.approx(27, rel=0.1)
