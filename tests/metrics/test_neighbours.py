"""Exact neighbours against brute force, and the four shares where the answer is known or a fault is planted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics import neighbours
from gannet.metrics.neighbours import density_coverage, nearest, neighbour_scores, precision_recall, radii


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_distances(x: Tensor, y: Tensor) -> Tensor:
    return (x.double()[:, None] - y.double()).square().sum(2).sqrt()


def by_brute_force(real: Tensor, generated: Tensor, k: int) -> dict[str, float]:
    """The definitions of both papers over all pairs at once."""
    within_real, within_generated = all_distances(real, real), all_distances(generated, generated)
    real_radius = within_real.kthvalue(k + 1, dim=1).values * (1 + 1e-12)  # the nearest of all is the row itself
    generated_radius = within_generated.kthvalue(k + 1, dim=1).values * (1 + 1e-12)
    between = all_distances(real, generated)
    in_real = between <= real_radius[:, None]
    return {
        "precision": float(in_real.any(0).double().mean()),
        "recall": float((between <= generated_radius).any(1).double().mean()),
        "density": float(in_real.sum(0).double().mean() / k),
        "coverage": float(in_real.any(1).double().mean()),
    }


@pytest.mark.parametrize(("queries", "points", "width", "k"), [(40, 70, 3, 1), (1100, 333, 5, 7), (20, 6, 2, 6)])
def test_neighbours_equal_scipy_and_come_in_order(queries: int, points: int, width: int, k: int) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    x, y = normal(queries, width, 0), normal(points, width, 1)
    distances, indices = nearest(x, y, k)
    expected = torch.from_numpy(distance.cdist(x, y)).sort(1).values[:, :k]
    assert torch.allclose(distances, expected, rtol=1e-12)
    assert torch.allclose(all_distances(x, y).gather(1, indices), expected, rtol=1e-12)


def test_no_row_is_its_own_neighbour_but_its_twin_is() -> None:
    x = normal(50, 3, 0)
    distances, indices = nearest(x, x, 2, exclude_self=True)
    assert bool((indices != torch.arange(50)[:, None]).all())
    assert bool((distances > 0).all())
    twins = torch.cat([x, x])
    distances, indices = nearest(twins, twins, 1, exclude_self=True)
    assert indices[:, 0].tolist() == [(row + 50) % 100 for row in range(100)]
    assert float(distances.max()) == 0


def test_neighbours_far_from_the_origin_and_of_any_size_keep_their_digits() -> None:
    x = normal(300, 4, 0)
    expected = radii(x, 3)
    assert torch.allclose(radii(x + 1e6, 3), expected, rtol=1e-6)
    assert torch.allclose(radii(x * 1e25, 3), expected * 1e25, rtol=1e-9)
    assert torch.allclose(radii(x * 1e-25, 3), expected * 1e-25, rtol=1e-9)


def test_one_far_outlier_does_not_blur_the_neighbours_of_the_others() -> None:
    x = torch.cat([normal(400, 4, 0), torch.full((1, 4), 1e4, dtype=torch.float64)])
    expected = all_distances(x, x).kthvalue(4, dim=1).values
    assert torch.allclose(radii(x, 3), expected, rtol=1e-6)


def test_training_with_fast_matrix_products_does_not_blur_the_search() -> None:
    x = normal(300, 64, 0).float()
    expected = radii(x, 3)
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(radii(x, 3), expected)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_the_four_shares_equal_brute_force(k: int, spread: float) -> None:
    real, generated = normal(400, 3, 0).float(), (normal(300, 3, 1) * spread + 0.2).float()
    scores = neighbour_scores(real, generated, precision_neighbours=k, density_neighbours=k).means()
    assert scores == pytest.approx(by_brute_force(real, generated, k), abs=1e-12)


def test_the_four_shares_equal_brute_force_on_a_lattice_where_ties_are_everywhere() -> None:
    draw = torch.Generator().manual_seed(0)
    real, generated = (torch.randint(0, 4, (rows, 3), generator=draw).float() for rows in (300, 200))
    expected = pytest.approx(by_brute_force(real, generated, 3), abs=1e-12)
    for unit in (1, 1 / 3, 0.7):  # thirds are not exact in float32
        options = {"precision_neighbours": 3, "density_neighbours": 3}
        assert neighbour_scores(real * unit, generated * unit, **options).means() == expected


def test_small_blocks_give_the_same_shares_as_one_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = normal(700, 3, 0), normal(600, 3, 1) * 1.3
    whole = neighbour_scores(real, generated).means()
    small = neighbours._blocks
    monkeypatch.setattr(neighbours, "_blocks", lambda x, y: small(x, y, height=37, width=64))
    assert neighbour_scores(real, generated).means() == pytest.approx(whole, abs=1e-12)


def test_disjoint_supports_score_nothing_and_identical_sets_everything() -> None:
    x = normal(200, 4, 0)
    assert precision_recall(x, x + 100) == (0, 0)
    assert density_coverage(x, x + 100) == (0, 0)
    assert precision_recall(x, x) == (1, 1)
    assert density_coverage(x, x)[1] == 1


def test_one_distribution_has_density_one_and_coverage_of_the_closed_form() -> None:
    # Naeem et al. 2020, lemma 2: E coverage = 1 - (m - 1)...(m - k) / ((2m - 1)...(2m - k)) for m samples a side.
    count, k = 300, 5
    expected = 1.0
    for step in range(1, k + 1):
        expected *= (count - step) / (2 * count - step)
    values = torch.tensor(
        [density_coverage(normal(count, 2, s), normal(count, 2, 100 + s)) for s in range(20)]
    ).double()
    density, coverage = values.mean(0).tolist()
    assert density == pytest.approx(1, abs=0.03)
    assert coverage == pytest.approx(1 - expected, abs=0.006)


def clusters(rows: int, seed: int, kept: int) -> Tensor:
    centres = 30 * torch.eye(8, dtype=torch.float64)
    return centres[torch.arange(rows) % kept] + normal(rows, 8, seed)


def test_dropping_modes_lowers_recall_and_coverage_and_not_precision() -> None:
    real, same, dropped = clusters(800, 0, 8), clusters(800, 1, 8), clusters(800, 2, 4)
    whole, part = neighbour_scores(real, same).means(), neighbour_scores(real, dropped).means()
    assert part["recall"] < 0.6 * whole["recall"]
    assert part["coverage"] < 0.6 * whole["coverage"]
    assert part["precision"] > whole["precision"] - 0.05
    assert part["density"] > whole["density"] - 0.1


def test_noise_added_to_samples_lowers_precision_and_density() -> None:
    real, same = clusters(800, 0, 8), clusters(800, 1, 8)
    noisy = same + 2 * normal(800, 8, 9)
    whole, part = neighbour_scores(real, same).means(), neighbour_scores(real, noisy).means()
    assert part["precision"] < 0.3 * whole["precision"]
    assert part["density"] < 0.3 * whole["density"]


def test_generated_outliers_raise_recall_and_not_coverage_or_density() -> None:
    # A ball around each far-off sample reaches over all the reals, which recall takes for variety.
    real, collapsed = normal(500, 4, 0), normal(495, 4, 1) * 0.05
    generated = torch.cat([collapsed, 40 * normal(5, 4, 2)])
    before, after = neighbour_scores(real, collapsed).means(), neighbour_scores(real, generated).means()
    assert before["recall"] < 0.1
    assert after["recall"] > 0.9
    assert after["coverage"] == pytest.approx(before["coverage"], abs=0.01)
    assert after["density"] == pytest.approx(before["density"], rel=0.02)


def test_a_real_outlier_whose_ball_swallows_bad_samples_raises_precision_far_more_than_density() -> None:
    # Naeem et al. 2020, figure 1: one lone real sample lends its huge ball to everything around it.
    real = torch.cat([normal(500, 4, 0), torch.full((1, 4), 8.0)])
    bad = normal(500, 4, 1) * 0.3 + 6
    assert precision_recall(real, bad, 5)[0] > 0.9
    density, coverage = density_coverage(real, bad)
    assert density < 0.3
    assert coverage < 0.1


def test_a_column_scaled_by_fifty_is_noticed() -> None:
    real, scaled = normal(500, 6, 0), normal(500, 6, 1)
    scaled[:, 2] *= 50
    scores = neighbour_scores(real, scaled).means()
    assert scores["precision"] < 0.2
    assert scores["density"] < 0.2
    assert scores["coverage"] < 0.3


def test_the_shares_do_not_depend_on_the_units_of_the_features() -> None:
    real, generated = normal(300, 6, 0), normal(300, 6, 1) * 1.2
    expected = neighbour_scores(real, generated).means()
    assert neighbour_scores(real * 1e7 - 3, generated * 1e7 - 3).means() == pytest.approx(expected, abs=1e-12)


def test_many_identical_rows_are_measured_in_bounded_memory() -> None:
    real = torch.zeros(2000, 3)
    assert neighbour_scores(real, real[:1500]).means() == pytest.approx(
        {"precision": 1, "recall": 1, "density": 2000 / 5, "coverage": 1}
    )


def test_too_few_samples_are_refused_with_the_numbers() -> None:
    with pytest.raises(GannetError, match="5 nearest neighbours need more than 4 other samples"):
        neighbour_scores(normal(5, 2, 0), normal(20, 2, 1))


@pytest.mark.parametrize("rows", [9, 33, 100, 2047, 2049, 4200])
def test_the_search_is_exact_whatever_the_number_of_points(rows: int) -> None:
    draw = torch.Generator().manual_seed(rows)
    points, queries = torch.randn(rows, 5, generator=draw), torch.randn(40, 5, generator=draw)
    for found, distances in (
        (nearest(queries, points, 7), torch.cdist(queries.double(), points.double())),
        (
            nearest(points, points, 7, exclude_self=True),
            torch.cdist(points.double(), points.double()).fill_diagonal_(9e9),
        ),
    ):
        best = distances.topk(7, largest=False)
        assert torch.allclose(found[0], best.values)
        assert torch.equal(found[1], best.indices)


def test_equally_near_points_are_each_found_once_and_in_order() -> None:
    points = torch.randint(2, (3000, 2), generator=torch.Generator().manual_seed(0)).float()
    _, rows = nearest(points[:50], points, 3)
    for query, found in zip(points[:50], rows, strict=True):
        assert len(set(found.tolist())) == 3 and bool((points[found] == query).all())
    assert torch.equal(rows, rows.sort(1).values)


def test_a_search_on_several_threads_finds_the_same_and_leaves_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    points, queries = torch.randn(2500, 6, generator=draw), torch.randn(1500, 6, generator=draw)
    alone, before = nearest(queries, points, 4), torch.get_num_threads()
    monkeypatch.setattr(neighbours, "MANY_PAIRS", 1)
    try:
        torch.set_num_threads(3)
        shared = nearest(queries, points, 4)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))
