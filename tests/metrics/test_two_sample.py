"""Judges that tell generated from real: known areas, an independent reference, and what only one judge sees."""

from __future__ import annotations

import builtins
from math import sqrt

import numpy as np
import pandas
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from gannet.errors import GannetError
from gannet.metrics.two_sample import (
    MOST_CELLS,
    Material,
    auc_with_variance,
    from_features,
    from_frames,
    rows_judged,
    two_sample,
    two_sample_figures,
)


def normal(rows: int, seed: int, shift: float = 0.0, width: int = 2) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) + shift


def linked(rows: int, seed: int) -> torch.Tensor:
    """Two numbers, each normal, whose signs agree: with either alone, or any weighted sum, nothing is seen."""
    values = normal(rows, seed)
    return torch.stack([values[:, 0], values[:, 1].abs() * values[:, 0].sign()], 1)


def frame(rows: int, seed: int) -> pandas.DataFrame:
    random = np.random.default_rng(seed)
    number = np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows))
    town = random.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    town[random.random(rows) < 0.1] = None
    return pandas.DataFrame({"number": number, "town": town, "name": [f"{seed}-{row}" for row in range(rows)]})


# The area under the curve


def test_the_area_is_scikit_learns_also_with_ties() -> None:
    random = np.random.default_rng(0)
    for negatives, positives in (
        (random.normal(size=60), random.normal(0.5, 1, 90)),
        (random.integers(0, 4, 60) / 3, random.integers(0, 5, 90) / 3),
    ):
        truth = np.repeat([0, 1], [60, 90])
        expected = roc_auc_score(truth, np.concatenate([negatives, positives]))
        assert auc_with_variance(negatives, positives)[0] == pytest.approx(expected)


def test_the_variance_of_the_area_is_that_of_repeated_draws() -> None:
    random = np.random.default_rng(0)
    found = [auc_with_variance(random.normal(size=80), random.normal(1, 1, 120)) for _ in range(400)]
    areas, variances = (np.array(column) for column in zip(*found, strict=True))
    assert areas.mean() == pytest.approx(norm.cdf(1 / sqrt(2)), abs=0.005)
    assert variances.mean() == pytest.approx(areas.var(), rel=0.2)


def test_areas_of_guesses_that_say_nothing_or_all_are_a_half_and_one() -> None:
    assert auc_with_variance(np.ones(5), np.ones(7)) == (0.5, 0.0)
    assert auc_with_variance(np.zeros(5), np.ones(7)) == (1.0, 0.0)
    assert auc_with_variance(np.zeros(1), np.ones(1)) == (1.0, 0.0)


# The judges


@pytest.mark.parametrize("strength", ["strong", "weak"])
def test_neither_judge_tells_two_sets_of_one_distribution_apart(strength: str) -> None:
    real, other = from_features(normal(1500, 1), normal(1500, 2))
    told = two_sample(real, other, strength, seed=0)
    assert told.auc_interval[0] - 0.02 < 0.5 < told.auc_interval[1] + 0.02
    assert told.accuracy == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("strength", "slack"), [("strong", 0.04), ("weak", 0.01)])
def test_both_judges_come_near_the_best_possible_area_for_a_shift(strength: str, slack: float) -> None:
    real, other = from_features(normal(1500, 1), normal(1500, 2, shift=1.0))
    told = two_sample(real, other, strength, seed=0)
    best = norm.cdf(1.0)  # a shift of (1, 1) is sqrt(2) deviations along its line
    assert best - slack < told.auc < best + 0.02
    assert told.auc_interval[0] < told.auc < told.auc_interval[1]


def test_only_the_strong_judge_sees_an_interplay() -> None:
    real, other = from_features(linked(1500, 1), normal(1500, 2))
    assert two_sample(real, other, "weak", seed=0).auc == pytest.approx(0.5, abs=0.05)
    assert two_sample(real, other, "strong", seed=0).auc > 0.65  # the best possible is 0.75


def test_the_same_seed_gives_the_same_answer() -> None:
    real, other = from_features(normal(100, 1), normal(100, 2))
    first, second, third = (two_sample(real, other, "strong", seed=seed) for seed in (3, 3, 4))
    assert first == second != third


def test_thirty_samples_a_side_are_enough_to_see_the_obvious() -> None:
    real, other = from_features(normal(30, 1), normal(30, 2, shift=5.0))
    for strength in ("strong", "weak"):
        told = two_sample(real, other, strength, seed=0)
        assert told.auc > 0.9
        assert told.auc_interval[0] < told.auc  # never certain from thirty


def test_samples_that_do_not_vary_leave_both_judges_guessing() -> None:
    ones = torch.ones(40, 3)
    real, other = from_features(ones, ones)
    for strength in ("strong", "weak"):
        told = two_sample(real, other, strength, seed=0)
        assert (told.auc, told.accuracy) == (0.5, 0.5)


# Tables


def test_levels_missing_values_and_texts_of_real_rows_tell_nothing() -> None:
    real, _, other = from_frames([frame(1000, 1), frame(1000, 2), frame(1000, 2)], real=2)
    assert two_sample(real, other, "strong", seed=0).auc == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(number=rows["number"].fillna(0.0)),
        lambda rows: rows.assign(town=rows["town"].fillna("a")),
        lambda rows: rows.assign(town=rows["town"].where(rows.index % 4 > 0, "elsewhere")),
        lambda rows: rows.assign(number=rows["number"] * 50),
    ],
    ids=["numbers filled in", "levels filled in", "an unknown level", "another scale"],
)
def test_the_strong_judge_sees_what_a_generator_gets_wrong(change: object) -> None:
    real, _, other = from_frames([frame(1000, 1), frame(1000, 2), change(frame(1000, 2))], real=2)
    assert two_sample(real, other, "strong", seed=0).auc > 0.53


def test_levels_are_capped_so_that_a_column_of_names_costs_nothing() -> None:
    (material, *_) = from_frames([frame(3000, 1), frame(3000, 2)], real=2, without=("number", "town"))
    assert np.nanmax(material.strong) == 200
    assert material.weak.shape == (3000, 33)  # missing, thirty levels, the others, unknown ones


def test_without_columns_there_is_nothing_to_tell() -> None:
    columns = ("number", "town", "name")
    real, other = from_frames([frame(40, 1), frame(40, 2)], real=1, without=columns)
    assert len(real) == 40
    assert two_sample(real, other, "strong", seed=0).auc == 0.5
    assert two_sample(real, other, "weak", seed=0).auc == 0.5


# The figures


@pytest.fixture(scope="module")
def sides() -> list[Material]:
    """Held-out, generated (a little off), training and wrong samples."""
    return from_features(linked(600, 1), linked(700, 2) + 0.4, linked(800, 3), normal(600, 4))


def test_figures_stand_between_real_and_wrong_samples(sides: list[Material]) -> None:
    figures = {figure.name: figure for figure in two_sample_figures(*sides, seed=0)}
    assert list(figures) == [
        f"{judge} two-sample {what}" for judge in ("strong", "weak") for what in ("test", "accuracy")
    ]
    strong, weak = figures["strong two-sample test"], figures["weak two-sample test"]
    assert strong.reference == pytest.approx(0.5, abs=0.05)
    assert strong.reference < strong.value
    assert strong.floor > 0.65
    assert weak.floor == pytest.approx(0.5, abs=0.06)
    assert weak.value > 0.55
    assert all(figure.better == "lower" for figure in figures.values())


def test_wide_samples_are_judged_in_smaller_numbers() -> None:
    wide = [Material(np.zeros((5000, 200)), np.zeros(200, bool), np.zeros((5000, 200)))] * 4
    assert rows_judged(*wide) == MOST_CELLS // 200


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, sides: list[Material]) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(GannetError, match=r'pip install "gannet\[report\]"'):
        two_sample_figures(*sides, seed=0)
