"""The task found in frames and labels, learners that cannot fail, and scores against scikit-learn's own."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
import torch

from gannet.errors import GannetError
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.learners import (
    Examples,
    Problem,
    area_under_curve,
    labels_of,
    learn,
    picture_inputs,
    problem_of,
    recall,
    resamples,
    scores,
)
from gannet.metrics.table_fidelity import read_columns
from gannet.metrics.two_sample import from_features
from gannet.spec import Condition, Field, Spec

pandas = pytest.importorskip("pandas")
metrics = pytest.importorskip("sklearn.metrics")


def people(count: int, seed: int):
    """Rows of every kind of column, whose `rich` follows from age and town, and `income` from age."""
    random = np.random.default_rng(seed)
    age, town = random.integers(18, 90, count), random.choice(["Bern", "Graz", "Linz"], count)
    rich = age + 30 * (town == "Bern") + random.normal(0, 10, count) > 80
    start = datetime.datetime(2020, 1, 1)
    return pandas.DataFrame(
        {
            "age": age,
            "town": pandas.array(np.where(random.random(count) < 0.1, None, town), dtype="string"),
            "joined": pandas.to_datetime(
                [start + datetime.timedelta(int(day)) for day in random.integers(999, size=count)]
            ),
            "nothing": np.full(count, np.nan),
            "country": "Austria",
            "income": age * 100 + random.normal(0, 300, count),
            "children": pandas.array(np.where(age % 7 == 0, None, age % 4), dtype="Int64"),
            "rich": rich,
        }
    )


def side(frame) -> Side:
    numbers = torch.arange(float(len(frame)))[:, None]
    return Side(numbers, numbers, None, frame)


def evidence(train, holdout, generated, **more) -> Evidence:
    sides = [side(frame) for frame in (train, holdout, generated)]
    return Evidence(Spec("tables", (1,)), None, *sides, sides[1], True, "toy", 0, **more)


def found(**more) -> Problem:
    problem = problem_of(evidence(people(300, 0), people(100, 1), people(200, 2), **more))
    assert isinstance(problem, Problem)
    return problem


def points(labels, width: int = 2, seed: int = 0) -> Examples:
    labels = np.asarray(labels)
    shift = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(labels), width)))
    (inputs,) = from_features(shift + 3 * torch.from_numpy(labels.astype(np.float64))[:, None])
    return Examples(inputs, labels, np.arange(len(labels)))


# The task


def test_a_named_target_is_a_class_or_a_number_by_its_values() -> None:
    assert found(target="rich").classes == ("False", "True") or found(target="rich").classes == ("True", "False")
    assert found(target="income").classes is None
    assert found(target="children").classes == ("0", "1", "2", "3")
    assert set(found(target="town").classes) == {"Bern", "Graz", "Linz"}


def test_rows_without_the_target_are_left_out() -> None:
    problem = found(target="town")
    frame = people(300, 0)
    assert len(problem.train) == frame["town"].notna().sum()
    assert (frame["town"].notna().to_numpy()[problem.train.rows]).all()


def test_without_a_name_the_last_column_of_few_classes_is_taken_and_said() -> None:
    problem = found()
    assert problem.target == "rich"
    assert "--target" in problem.notes[0]


def test_columns_that_are_not_learned_are_no_target_and_no_input() -> None:
    problem = found(allowed=("rich", "age"))
    assert problem.target == "children"
    assert problem.train.inputs.strong.shape[1] == 5


def test_an_unknown_target_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(GannetError, match="did you mean 'income'"):
        found(target="incom")


def test_what_cannot_be_judged_is_said_in_a_sentence() -> None:
    frame = people(100, 0)
    assert "no column 'rich'" in problem_of(evidence(frame, frame, frame.drop(columns="rich"), target="rich"))
    assert "too few" in problem_of(evidence(frame, frame[:5], frame, target="rich"))
    assert "single value" in problem_of(evidence(frame, frame, frame, target="country"))
    assert "too few" in problem_of(evidence(frame, frame, frame, target="nothing"))
    numbers = frame[["income"]]
    assert "--target" in problem_of(evidence(numbers, numbers, numbers))


def test_a_label_no_real_row_has_is_left_out_and_counted() -> None:
    train, holdout, generated = people(100, 0), people(100, 1), people(100, 2)
    generated["town"] = generated["town"].fillna("Bern").where(np.arange(100) >= 30, "Atlantis")
    problem = problem_of(evidence(train, holdout, generated, target="town"))
    assert len(problem.generated) == 70
    assert "30 of 100" in problem.notes[-1]


def test_many_rare_classes_are_joined() -> None:
    values = [f"c{at}" for at in range(40) for _ in range(at + 1)]
    frame = pandas.DataFrame({"c": values})
    (column,) = read_columns([frame, frame, frame], real=2)
    classes, labels = labels_of(column)
    assert len(classes) == 20 and classes[-1] == "(other)"
    assert labels[0].max() == 19 and labels[0].min() == 0


def test_pictures_are_judged_by_the_class_they_were_asked_for() -> None:
    spec = Spec("images", (1, 32, 32), Condition((Field("label", ("cat", "dog")),)))

    def pictures(count: int) -> Side:
        label = torch.arange(count) % 2
        samples = label.float()[:, None, None, None].expand(count, 1, 32, 32) + torch.zeros(1, 1, 32, 32)
        return Side(samples, samples.flatten(1)[:, :5], torch.nn.functional.one_hot(label, 2).float())

    sides = [pictures(50) for _ in range(4)]
    problem = problem_of(Evidence(spec, None, *sides, True, "toy", 0))
    assert problem.classes == ("cat", "dog") and problem.strength == "weak"
    assert picture_inputs(sides[0]).shape == (50, 144 + 5)
    plain = Spec("images", (1, 32, 32))
    assert "labelled data" in problem_of(Evidence(plain, None, *sides, True, "toy", 0))
    with pytest.raises(GannetError, match="no such label"):
        problem_of(Evidence(spec, None, *sides, True, "toy", 0, target="labl"))


# The learners


@pytest.mark.parametrize("strength", ["strong", "weak"])
def test_what_is_plain_is_learned(strength) -> None:
    learned = learn(points([0, 1] * 200), 2, strength, seed=0).predict(points([0, 1] * 200, seed=1).inputs)
    assert learned.shape == (400, 2)
    assert (learned.argmax(1) == np.array([0, 1] * 200)).mean() > 0.97
    numbers = points(np.linspace(0, 3, 400))
    assert np.corrcoef(learn(numbers, None, strength, seed=0).predict(numbers.inputs), numbers.labels)[0, 1] > 0.9


@pytest.mark.parametrize("strength", ["strong", "weak"])
@pytest.mark.parametrize("labels", [[], [1], [1] * 30, [0, 2] * 6])
def test_a_learner_of_next_to_nothing_still_answers(strength, labels) -> None:
    examples = points(np.array(labels, dtype=np.int64))
    answer = learn(examples, 3, strength, seed=0).predict(points([0, 1, 2]).inputs)
    assert answer.shape == (3, 3) and np.isfinite(answer).all()
    never = sorted({0, 1, 2} - set(labels))
    assert (answer[:, never] == 0).all()


@pytest.mark.parametrize("strength", ["strong", "weak"])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_a_learner_of_few_numbers_still_answers(strength, count) -> None:
    answer = learn(points(np.linspace(0, 1, count)), None, strength, seed=0).predict(points([0, 1]).inputs)
    assert answer.shape == (2,) and np.isfinite(answer).all()


def test_inputs_that_are_missing_or_constant_are_no_trouble() -> None:
    problem = found(target="rich")
    for strength in ("strong", "weak"):
        answer = learn(problem.train, 2, strength, seed=0).predict(problem.holdout.inputs)
        assert (answer.argmax(1) == problem.holdout.labels).mean() > 0.7
    inputs = from_features(torch.zeros(50, 3))[0]
    flat = Examples(inputs, np.arange(50) % 2, np.arange(50))
    assert learn(flat, 2, "strong", seed=0).predict(inputs) == pytest.approx(0.5)


def test_training_again_gives_the_same_learner() -> None:
    problem = found(target="income")
    first, again = (learn(problem.train, None, "strong", seed=3).predict(problem.holdout.inputs) for _ in range(2))
    assert np.array_equal(first, again)


# The scores


def test_scores_of_classes_are_those_of_scikit_learn_under_any_weights() -> None:
    random = np.random.default_rng(0)
    truth = random.choice(3, 300, p=[0.6, 0.3, 0.1])
    guesses = np.round(random.dirichlet([1, 1, 1], 300) + 0.3 * np.eye(3)[truth], 1)  # many ties
    weights = resamples(300, random, times=5)
    found = scores(truth, guesses, 2, weights)
    answer = guesses.argmax(1)
    for at, weight in enumerate(weights):
        area = [metrics.roc_auc_score(truth == level, guesses[:, level], sample_weight=weight) for level in range(3)]
        assert found["AUC"][at] == pytest.approx(np.mean(area))
        assert found["accuracy"][at] == pytest.approx(metrics.accuracy_score(truth, answer, sample_weight=weight))
        balanced = metrics.balanced_accuracy_score(truth, answer, sample_weight=weight)
        assert found["balanced accuracy"][at] == pytest.approx(balanced)
        rare = metrics.f1_score(truth == 2, answer == 2, sample_weight=weight)
        assert found["F1 of the rarest class"][at] == pytest.approx(rare)


def test_scores_of_numbers_are_those_of_scikit_learn_under_any_weights() -> None:
    random = np.random.default_rng(0)
    truth, guesses = random.normal(5, 2, 200), random.normal(5, 2, 200)
    weights = resamples(200, random, times=5)
    found = scores(truth, guesses, None, weights)
    for at, weight in enumerate(weights):
        assert found["R2"][at] == pytest.approx(metrics.r2_score(truth, guesses, sample_weight=weight))
        error = metrics.mean_absolute_error(truth, guesses, sample_weight=weight)
        assert found["mean absolute error"][at] == pytest.approx(error)


def test_known_areas() -> None:
    ones = np.ones((1, 4))
    positive = np.array([False, False, True, True])
    for scored, area in (([0, 1, 2, 3], 1.0), ([3, 2, 1, 0], 0.0), ([1, 1, 1, 1], 0.5), ([0, 2, 1, 3], 0.75)):
        assert area_under_curve(positive, np.array(scored), ones)[0] == area


def test_a_class_without_weight_has_no_recall_and_no_area() -> None:
    weights = np.array([[1.0, 1.0, 0.0]])
    truth = np.array([0, 0, 1])
    assert np.isnan(recall(truth, truth, 1, weights)[0])
    assert np.isnan(area_under_curve(truth == 1, truth, weights)[0])


def test_resamples_begin_with_every_row_once() -> None:
    weights = resamples(50, np.random.default_rng(0), times=10)
    assert weights.shape == (11, 50)
    assert (weights[0] == 1).all() and (weights.sum(1) == 50).all()
