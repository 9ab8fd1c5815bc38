"""Is it fair? Fresh samples are; a halved group, a doubled gap and a spoilt group are not; closed forms."""

from __future__ import annotations

import json
from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
import torch

from gannet.errors import GannetError
from gannet.metrics.answer import Answer
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.fairness import amplification, answer_fair, gap, share_ratio, total_variation
from gannet.metrics.groups import groups_of
from gannet.metrics.table_fidelity import read_columns
from gannet.spec import Condition, Field, Spec

pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

NORMAL = 1.96


def people(count: int, seed: int, rates=(0.25, 0.40), female: float = 0.35):
    """Women and men, whose rate of `hired` differs beyond what `score` says."""
    random = np.random.default_rng(seed)
    sex = np.where(random.random(count) < female, "f", "m")
    hired = random.random(count) < np.where(sex == "f", *rates)
    return pandas.DataFrame(
        {
            "sex": sex,
            "score": random.normal(size=count) + 1.2 * hired,
            "age": random.integers(18, 80, count),
            "hired": hired,
        }
    )


def side(frame) -> Side:
    parts = [frame["score"], frame["age"] / 20, frame["sex"] == "f"]
    numbers = torch.from_numpy(np.stack([np.asarray(part, dtype=np.float32) for part in parts], 1))
    return Side(numbers, numbers, None, frame.reset_index(drop=True))


def evidence(generated: Side, **more) -> Evidence:
    holdout = side(people(900, 2))
    settings = {"target": "hired", "sensitive": ("sex",), **more}
    return Evidence(
        Spec("tables", (3,)), None, side(people(2500, 1)), holdout, generated, holdout, True, "toy", 0, **settings
    )


@pytest.fixture(scope="module")
def fresh() -> Answer:
    return answer_fair(evidence(side(people(3000, 3))))


def test_fresh_samples_are_fair(fresh: Answer) -> None:
    assert fresh.verdict == "yes"
    assert "surely falls short of its real share" in fresh.sentence
    assert fresh.figure("group shares: sex").value < 0.03
    assert fresh.figure("worst-off share: sex").value > 0.9
    assert abs(fresh.figure("label gap amplification: sex").value) < 0.05


def test_every_figure_has_its_interval_and_a_real_reference(fresh: Answer) -> None:
    names = [figure.name.partition(":")[0] for figure in fresh.figures]
    assert names == [
        "group shares",
        "worst-off share",
        "label gap amplification",
        "demographic parity difference",
        "equal-opportunity difference",
        "worst-made group",
    ]
    for figure in fresh.figures:
        low, high = figure.interval
        assert low <= figure.value <= high and low < high and figure.reference is not None


def test_unbiased_samples_are_hardly_ever_called_unfair() -> None:
    verdicts = [answer_fair(evidence(side(people(1000, seed)))).verdict for seed in range(10, 15)]
    assert verdicts.count("yes") >= 4


def test_the_same_evidence_gives_the_same_answer_and_survives_json(fresh: Answer) -> None:
    assert answer_fair(evidence(side(people(3000, 3)))) == fresh
    assert Answer.from_json(json.loads(json.dumps(fresh.to_json()))) == fresh


def test_a_group_at_half_its_share_is_unfair() -> None:
    answer = answer_fair(evidence(side(people(3000, 3, female=0.175))))
    assert answer.verdict == "no"
    assert answer.sentence.startswith("Sex 'f' is 3")
    assert answer.figure("worst-off share: sex").value == pytest.approx(0.5, abs=0.06)


def test_a_gap_twice_as_wide_is_unfair() -> None:
    answer = answer_fair(evidence(side(people(3000, 3, rates=(0.10, 0.40)))))
    assert answer.verdict == "no"
    assert answer.figure("label gap amplification: sex").value == pytest.approx(0.15, abs=0.06)
    assert "gap" in answer.sentence
    parity = answer.figure("demographic parity difference: sex")
    assert parity.value > parity.reference


def test_a_gap_that_vanished_is_noted_but_not_unfair() -> None:
    answer = answer_fair(evidence(side(people(3000, 3, rates=(0.35, 0.35)))))
    assert answer.verdict == "yes"
    assert any("shrank" in note for note in answer.notes)


def test_a_gap_that_turned_is_noted() -> None:
    answer = answer_fair(evidence(side(people(3000, 3, rates=(0.45, 0.30)))))
    assert any("ahead in one" in note for note in answer.notes)


def test_a_group_that_is_made_worse_than_the_other_is_unfair() -> None:
    generated = side(people(3000, 3))
    women = torch.tensor((generated.frame["sex"] == "f").tolist())
    features = generated.features.clone()
    features[women, :2] = features[women, :2].mean(0)
    answer = answer_fair(evidence(Side(features, features, None, generated.frame), target=None))
    assert answer.verdict == "no"
    assert "made worse" in answer.sentence
    assert answer.figure("worst-made group: sex").value < 0.5


def test_a_group_that_is_missing_altogether_is_unfair() -> None:
    answer = answer_fair(evidence(side(people(3000, 3, female=0.0))))
    assert answer.verdict == "no"
    assert answer.figure("worst-off share: sex").value == 0


def test_labels_that_are_all_alike_or_absent_are_no_crash() -> None:
    frame = people(1000, 3)
    alike = answer_fair(evidence(side(frame.assign(hired=False))))
    assert any("one label" in note for note in alike.notes)
    absent = answer_fair(evidence(side(frame.drop(columns="hired"))))
    assert any("not judged" in note for note in absent.notes)
    empty = answer_fair(evidence(side(frame.assign(hired=None))))
    assert empty.verdict in ("yes", "partly")


def test_a_sensitive_column_that_was_not_generated_is_a_complaint() -> None:
    frame = people(1000, 3)
    made = side(frame)
    answer = answer_fair(evidence(Side(made.samples, made.features, None, frame.drop(columns="sex")), target="hired"))
    assert answer.verdict == "no" and "No generated row has a 'sex'" in answer.sentence


def test_small_groups_are_flagged_and_not_judged() -> None:
    def rare(frame, count: int):
        return frame.assign(sex=["x"] * count + frame["sex"].tolist()[count:])

    given = evidence(side(people(3000, 3)), target=None)
    given = replace(given, train=side(rare(people(2500, 1), 8)), holdout=side(rare(people(900, 2), 2)))
    answer = answer_fair(given)
    assert answer.verdict == "yes"
    assert any("too few rows to judge the shares of x" in note for note in answer.notes)


def test_without_a_named_column_likely_ones_are_suggested() -> None:
    answer = answer_fair(evidence(side(people(100, 3)), sensitive=()))
    assert answer.verdict == "unknown"
    assert "sex and age" in answer.notes[0] and "--sensitive" in answer.notes[0]
    assert "score" not in answer.notes[0]


def test_an_unknown_column_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(GannetError, match="did you mean 'sex'"):
        answer_fair(evidence(side(people(100, 3)), sensitive=("sexx",)))


def test_a_dozen_rows_are_too_few_to_tell() -> None:
    tiny = [side(people(12, seed)) for seed in range(4)]
    answer = answer_fair(Evidence(Spec("tables", (3,)), None, *tiny, True, "toy", 0, sensitive=("sex",)))
    assert answer.verdict == "unknown"


def pictures(count: int, seed: int, share: float = 0.4) -> Side:
    """8 x 8 noise, the upper half bright in class 1. What was asked for is at the data's own share throughout."""
    random = torch.Generator().manual_seed(seed)
    label = (torch.rand(count, generator=random) < share).long()
    samples = torch.randn(count, 1, 8, 8, generator=random)
    samples[:, :, :4] += 1.5 * label[:, None, None, None]
    asked = label if share == 0.4 else (torch.rand(count, generator=random) < 0.4).long()
    return Side(samples, samples.flatten(1)[:, ::8], torch.nn.functional.one_hot(asked, 2).float())


def test_pictures_are_judged_by_what_they_show_not_by_what_was_asked_for() -> None:
    spec = Spec("images", (1, 8, 8), Condition((Field("label", ("dark", "bright")),)))
    given = Evidence(spec, None, *(pictures(1500, seed) for seed in range(4)), True, "toy", 0)
    assert answer_fair(given).verdict == "yes"
    biased = answer_fair(replace(given, generated=pictures(1500, 2, share=0.2)))
    assert biased.verdict == "no" and "Label 'bright'" in biased.sentence
    plain = answer_fair(replace(given, spec=Spec("images", (1, 8, 8))))
    assert plain.verdict == "unknown"


# Groups


def test_numbers_become_quarters_and_missing_values_a_group() -> None:
    frames = [pandas.DataFrame({"age": list(map(float, range(1, 101)))}) for _ in range(4)]
    frames[2] = pandas.DataFrame({"age": [25.0, 26.0, 1000.0, np.nan, 3.0]})
    (column,) = read_columns(frames, real=2)
    groups = groups_of(column)
    assert groups.names == ("up to 25.75", "over 25.75 up to 50.5", "over 50.5 up to 75.25", "over 75.25", "(missing)")
    assert groups.generated.tolist() == [0, 1, 3, 4, 0]
    assert groups.counts(groups.train).tolist() == [25, 25, 25, 25, 0]


def test_unknown_and_rare_levels_are_joined() -> None:
    real = pandas.DataFrame({"town": [f"t{at}" for at in range(20) for _ in range(at + 1)]})
    made = pandas.DataFrame({"town": ["t19", "t0", "nowhere"]})
    (column,) = read_columns([real, real, made, real], real=2)
    groups = groups_of(column)
    assert len(groups.names) == 12 and groups.names[-1] == "(other)"
    assert [groups.names[at] for at in groups.generated] == ["t19", "(other)", "(other)"]


# Closed forms


def test_total_variation_of_known_shares() -> None:
    assert total_variation(np.array([50, 50]), np.array([80, 20]))[0] == pytest.approx(0.3)
    assert total_variation(np.array([10, 0]), np.array([0, 30]))[0] == 1.0
    assert total_variation(np.array([7, 7]), np.array([2, 2]))[0] == 0.0


def test_the_ratio_of_shares_and_its_interval_in_closed_form() -> None:
    ratio, (low, high) = share_ratio(np.array([20, 180]), np.array([200, 800]), 0, NORMAL)
    assert ratio == pytest.approx(0.5)
    centre = log(20.5 / 200.5) - log(200.5 / 1000.5)
    error = NORMAL * sqrt(1 / 20.5 - 1 / 200.5 + 1 / 200.5 - 1 / 1000.5)
    assert (low, high) == pytest.approx((exp(centre - error), exp(centre + error)))
    nothing, (low, high) = share_ratio(np.array([0, 200]), np.array([200, 800]), 0, NORMAL)
    assert nothing == low == 0 and 0 < high < 0.2


def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        x, y = random.binomial(500, 0.1), random.binomial(800, 0.1)
        low, high = share_ratio(np.array([x, 500 - x]), np.array([y, 800 - y]), 0, NORMAL)[1]
        inside += low <= 1 <= high
    assert 930 <= inside <= 970


def test_gaps_and_their_growth_in_closed_form() -> None:
    real, generated = np.array([[100.0, 100.0], [40.0, 60.0]]), np.array([[1000.0, 1000.0], [300.0, 700.0]])
    assert gap(real, 0)[0] == pytest.approx(-0.2)
    assert gap(real, 1)[0] == pytest.approx(0.2)
    value, (low, high) = amplification(generated, real, 0, NORMAL)
    assert value == pytest.approx(0.2)
    expected = NORMAL * sqrt(2 * 0.24 / 100 + 2 * 0.21 / 1000)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.02)
    turned = np.array([[100.0, 100.0], [60.0, 40.0]])
    assert amplification(turned, real, 0, NORMAL)[0] == pytest.approx(0.0)
