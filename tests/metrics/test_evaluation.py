"""A whole evaluation: equal counts, references that mean what they say, refusals, and the way to JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics import Report, compare, evaluate_features


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def clusters(rows: int, seed: int, kept: int = 8) -> Tensor:
    return (8 * torch.eye(8))[torch.arange(rows) % kept] + normal(rows, 8, seed)


def evaluate(generated: Tensor, *, holdout: Tensor | None = None, noise: Tensor | None = None, seed: int = 0) -> Report:
    train, holdout = clusters(1200, 1), clusters(400, 2) if holdout is None else holdout
    return evaluate_features(train, holdout, generated, embedder="toy-1", resize=None, seed=seed, noise=noise)


@pytest.fixture(scope="module")
def good() -> Report:
    return evaluate(clusters(700, 3), noise=20 * normal(400, 8, 4))


@pytest.fixture(scope="module")
def collapsed() -> Report:
    return evaluate(clusters(700, 3, kept=3))


def test_every_comparison_uses_the_smallest_count(good: Report) -> None:
    assert good.protocol.count == 400
    assert good.protocol.features == 8
    assert good.protocol.reference == "held-out samples"


def test_perfect_samples_score_like_real_ones_and_unlike_noise(good: Report) -> None:
    for figure in good.figures:
        assert figure.floor is not None
        assert abs(figure.value - figure.reference) < 0.25 * abs(figure.value - figure.floor), figure


def test_every_interval_holds_its_figure(good: Report) -> None:
    for figure in good.figures:
        assert figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]
        assert figure.interval[0] < figure.interval[1]


@pytest.mark.parametrize("fault", ["dropped", "noisy", "scaled"])
def test_a_planted_fault_is_seen_by_the_figures_made_for_it(good: Report, fault: str) -> None:
    generated = clusters(700, 3, kept=4 if fault == "dropped" else 8)
    if fault == "noisy":
        generated = generated + 2 * normal(700, 8, 5)
    if fault == "scaled":
        generated[:, 3] *= 50
    worse = {row.name for row in compare(good, evaluate(generated)) if row.better == "first"}
    seen = {
        "dropped": {"Fréchet distance", "kernel distance", "sliced Wasserstein", "recall", "coverage"},
        "noisy": {"Fréchet distance", "kernel distance", "precision", "density", "coverage"},
        "scaled": {"Fréchet distance", "kernel distance", "sliced Wasserstein", "precision", "density"},
    }[fault]
    assert seen <= worse
    if fault == "dropped":
        assert "precision" not in worse


def test_the_same_features_and_seed_give_the_same_report_and_leave_the_random_state_alone(good: Report) -> None:
    state = torch.random.get_rng_state()
    assert evaluate(clusters(700, 3), noise=20 * normal(400, 8, 4)) == good
    assert torch.equal(state, torch.random.get_rng_state())


def test_units_of_the_features_do_not_matter_unless_print_is_asked_for() -> None:
    sets = [clusters(300, seed) for seed in (1, 2, 3)]
    options = {"embedder": "toy-1", "resize": None, "seed": 0}
    first, second = (evaluate_features(*(rows * unit for rows in sets), **options) for unit in (1, 1000))
    for one, other in zip(first.figures, second.figures, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-4, abs=1e-6)
    plain = evaluate_features(*(rows * 1000 for rows in sets), **options, scale_free=False)
    assert plain.figure("Fréchet distance").value > 1e5 * first.figure("Fréchet distance").value
    assert any("as in print" in note for note in plain.notes)
    with pytest.raises(GannetError, match="unit"):
        compare(first, plain)


def test_without_held_out_samples_the_training_set_is_halved_and_the_report_says_so() -> None:
    report = evaluate_features(clusters(600, 1), None, clusters(900, 3), embedder="toy-1", resize=None, seed=0)
    assert report.protocol.count == 300
    assert report.protocol.reference == "half of the training samples"
    assert any("memorised" in note for note in report.notes)


def test_the_limit_bounds_the_count() -> None:
    options = {"embedder": "toy-1", "resize": None, "seed": 0}
    sets = [clusters(300, seed) for seed in (1, 2, 3)]
    assert evaluate_features(*sets, **options, limit=50).protocol.count == 50
    assert evaluate_features(*sets, **options, limit=None).protocol.count == 300


def test_fewer_samples_than_features_are_judged_with_a_warning() -> None:
    sets = [normal(60, 100, seed) for seed in (1, 2, 3)]
    report = evaluate_features(*sets, embedder="toy-1", resize=None, seed=0)
    assert any("fewer samples than features" in note for note in report.notes)
    assert report.figure("Fréchet distance").value > 0


def test_features_wider_than_the_samples_are_many_have_intervals_too() -> None:
    sets = [normal(30, 600, seed) for seed in (1, 2, 3)]
    report = evaluate_features(*sets, embedder="toy-1", resize=None, seed=0)
    for figure in report.figures:
        assert figure.interval is not None and figure.interval[0] <= figure.value <= figure.interval[1], figure


def test_constant_and_repeated_features_give_finite_figures() -> None:
    ones = torch.ones(50, 3)
    report = evaluate_features(ones, ones, ones, embedder="toy-1", resize=None, seed=0, noise=ones + 1)
    json.dumps(report.to_json(), allow_nan=False)
    assert report.figure("Fréchet distance").value == pytest.approx(0, abs=1e-9)
    assert report.figure("coverage").value == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generated": normal(50, 7, 0)}, r"generated features have shape \[50, 7\], training features have 8 columns"),
        ({"generated": normal(3, 8, 0)}, "3 generated samples are too few"),
        ({"holdout": normal(0, 8, 0)}, "0 held-out samples are too few"),
        ({"holdout": torch.full((50, 8), float("nan"))}, "50 of 50 held-out samples have features that are NaN"),
        ({"noise": normal(20, 8, 0)}, "20 noise samples beside 400 others: give at least 400"),
    ],
)
def test_unusable_features_are_refused_by_name(change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(GannetError, match=message):
        evaluate(**{"generated": clusters(700, 3), **change})


def test_a_report_survives_json(good: Report) -> None:
    assert Report.from_json(json.loads(json.dumps(good.to_json(), allow_nan=False))) == good


def test_something_else_than_a_report_is_refused() -> None:
    with pytest.raises(GannetError, match="not an evaluation report"):
        Report.from_json({"figures": []})


def test_the_table_names_every_figure_its_reference_and_the_protocol(good: Report) -> None:
    lines = good.lines()
    assert lines[0].split() == ["generated", "95", "%", "interval", "real", "noise", "better"]
    table = lines[1 : 1 + len(good.figures)]
    assert [line.split("  ")[0] for line in table] == [figure.name for figure in good.figures]
    assert len({len(line) for line in lines[: 1 + len(good.figures)]}) == 1  # aligned to the right edge
    text = "\n".join(lines)
    for part in ("400 samples a side", "embedder toy-1", "8 features", "resize none", "seed 0", "metrics 2"):
        assert part in text


def test_a_table_without_noise_has_no_column_for_it(collapsed: Report) -> None:
    assert "noise" not in collapsed.lines()[0]


def test_two_models_under_one_protocol_are_compared_both_ways(good: Report, collapsed: Report) -> None:
    forth = {row.name: row.better for row in compare(good, collapsed)}
    back = {row.name: row.better for row in compare(collapsed, good)}
    assert forth["recall"] == "first"
    assert back["recall"] == "second"
    assert all(row.better is None for row in compare(good, good))


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 399), ("embedder", "toy-2"), ("resize", "bilinear"), ("seed", 1), ("metrics", "0"), ("data", "ab12")],
)
def test_reports_of_different_protocols_are_not_compared(good: Report, field: str, value: object) -> None:
    other = replace(good, protocol=replace(good.protocol, **{field: value}))
    with pytest.raises(GannetError, match=f"cannot be compared \\({field}: "):
        compare(good, other)
