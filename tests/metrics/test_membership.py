"""Membership inference: closed forms, scikit-learn's AUC, calibration without a leak, and planted copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.membership import advantage, area, attack_scores, found_at, membership_figures
from gannet.spec import Spec


def normal(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def evidence(train: Tensor, holdout: Tensor, generated: Tensor) -> Evidence:
    sides = [Side(rows, rows) for rows in (train, holdout, generated, holdout)]
    return Evidence(Spec("points", (train.shape[1],)), None, *sides, spared=True, embedder="as they are", seed=0)


def values(figures: list) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures}


def test_the_area_equals_that_of_scikit_learn_with_and_without_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for members, others in ((normal(80, 1, 0)[:, 0] + 0.5, normal(120, 1, 1)[:, 0]),) * 2:
        for unit in (1e-6, 0.5):
            left, right = (members / unit).round() * unit, (others / unit).round() * unit
            labels = [1] * len(left) + [0] * len(right)
            assert area(left, right)[0] == pytest.approx(metrics.roc_auc_score(labels, torch.cat([left, right])))


def test_the_interval_of_the_area_holds_the_truth_as_often_as_it_says() -> None:
    truth = 0.5 * (1 + torch.erf(torch.tensor(0.5) / 2)).item()  # P(x + 0.5 > y) = Phi(0.5 / sqrt 2)
    inside = 0
    for seed in range(200):
        low, high = area(normal(100, 1, 2 * seed)[:, 0] + 0.5, normal(100, 1, 2 * seed + 1)[:, 0])[1]
        inside += low <= truth <= high
    assert 180 <= inside <= 198


def test_perfect_and_useless_scores_have_the_areas_they_should_and_intervals_that_are_not_empty() -> None:
    value, (low, high) = area(torch.ones(50), torch.zeros(50))
    assert (value, high) == (1, 1)
    assert 0.9 < low < 1
    value, (low, high) = area(torch.zeros(50), torch.zeros(50))
    assert value == 0.5
    assert low < 0.5 < high


def test_members_found_counts_those_above_the_wanted_share_of_others() -> None:
    others = torch.arange(999.0)  # the 10th from the top is 989
    members = torch.tensor([988.5, 989.5, 1000.0, 5.0])
    assert found_at(members, others, 0.01)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("levels", [10**6, 7])
def test_without_an_advantage_the_share_found_is_the_share_wrongly_accused_even_with_ties(levels: int) -> None:
    draw = torch.Generator().manual_seed(0)
    found, alarms = [], 0
    for _ in range(400):
        members, others = (torch.randint(levels, (200,), generator=draw).double() for _ in range(2))
        value, (low, _) = found_at(members, others, 0.01)
        found.append(value)
        alarms += low > 0.01
    assert np.mean(found) == pytest.approx(0.01, abs=0.0015)
    assert alarms <= 16


def test_rates_that_the_count_cannot_show_are_left_out() -> None:
    assert set(advantage(normal(99, 1, 0)[:, 0], normal(99, 1, 1)[:, 0]).found) == set()
    assert set(advantage(normal(999, 1, 0)[:, 0], normal(999, 1, 1)[:, 0]).found) == {0.01}
    assert set(advantage(normal(1000, 1, 0)[:, 0], normal(1000, 1, 1)[:, 0]).found) == {0.01, 0.001}


def test_the_density_ratio_grows_with_the_samples_density_and_not_with_the_populations() -> None:
    # Samples N(1, 1), population N(0, 1): the log ratio is x - 1/2, while the density of samples peaks at 1.
    rows = torch.linspace(-1.5, 2.5, 400)[:, None]
    scores = attack_scores(rows, normal(20_000, 1, 0) + 1, normal(20_000, 1, 1))["density ratio"]
    assert float(torch.corrcoef(torch.stack([rows[:, 0], scores]))[0, 1]) > 0.5
    assert float(scores[300:].mean() - scores[:100].mean()) == pytest.approx(3.0, abs=0.4)


def test_a_model_that_returns_its_training_samples_is_found_by_both_attacks() -> None:
    train, holdout = normal(1500, 6, 0), normal(300, 6, 1)
    figures, notes = membership_figures(evidence(train, holdout, train))
    found = values(figures)
    for attack in ("distance", "density ratio"):
        assert found[f"membership AUC, {attack}"] > 0.99
        assert found[f"members found at 1 % false alarms, {attack}"] > 0.99
    assert all(figure.copying == pytest.approx(figure.value, abs=0.01) for figure in figures)
    assert any("0.1 % false alarms: not measured, it takes 1,000" in note for note in notes)


def test_fresh_samples_give_nobody_away() -> None:
    outside = 0
    for seed in range(10):
        figures, _ = membership_figures(evidence(*(normal(n, 4, 10 * seed + n) for n in (900, 300, 1200))))
        outside += sum(figure.interval[0] > (0.5 if "AUC" in figure.name else 0.01) for figure in figures)
    assert outside <= 4  # of 40, each with 1 chance in 40


def test_a_few_memorised_samples_show_at_few_false_alarms_though_not_on_average() -> None:
    train, holdout, fresh = normal(4000, 6, 0), normal(1200, 6, 1), normal(4000, 6, 2)
    figures, _ = membership_figures(evidence(train, holdout, torch.cat([train[:200], fresh[200:]])))
    found = {figure.name: figure for figure in figures}
    for attack in ("distance", "density ratio"):
        assert found[f"membership AUC, {attack}"].value < 0.57
        one = found[f"members found at 1 % false alarms, {attack}"]
        assert one.value > 0.035
        assert one.interval[0] > 0.02
        assert found[f"members found at 0.1 % false alarms, {attack}"].interval[0] > 0.002


def test_samples_near_their_training_rows_are_found_without_an_exact_copy() -> None:
    train, holdout = normal(1500, 8, 0), normal(300, 8, 1)
    figures, _ = membership_figures(evidence(train, holdout, train + 0.2 * normal(1500, 8, 2)))
    assert min(value for name, value in values(figures).items() if "AUC" in name) > 0.9


def test_real_samples_stand_beside_each_figure_at_guessing() -> None:
    train = normal(3000, 4, 0)
    figures, _ = membership_figures(evidence(train, normal(600, 4, 1), train))
    for figure in figures:
        assert figure.reference == pytest.approx(0.5 if "AUC" in figure.name else 0.01, abs=0.05)


def test_the_same_evidence_gives_the_same_figures() -> None:
    given = evidence(normal(400, 3, 0), normal(100, 3, 1), normal(400, 3, 2))
    assert membership_figures(given) == membership_figures(given)


def test_twelve_samples_are_not_attacked_and_the_note_says_why() -> None:
    figures, notes = membership_figures(evidence(normal(100, 2, 0), normal(12, 2, 1), normal(100, 2, 2)))
    assert figures == []
    assert "at least 20 held-out" in notes[0]


def test_constant_features_are_guessing() -> None:
    figures, _ = membership_figures(evidence(torch.zeros(200, 3), torch.zeros(100, 3), torch.zeros(200, 3)))
    assert values(figures)["membership AUC, distance"] == 0.5
    assert values(figures)["membership AUC, density ratio"] == 0.5
