"""Is it useful? Fresh samples are; shuffled, swapped and one-class ones are not; what cannot be judged is said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gannet.metrics.answer import Answer
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.utility import answer_useful, error_of
from gannet.spec import Condition, Field, Spec

pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")


def rows(count: int, seed: int):
    """Three columns that decide two targets: `sick` (a quarter of the rows), and `cost`; one that decides nothing."""
    random = np.random.default_rng(seed)
    age, smoker = random.integers(20, 80, count), random.choice(["yes", "no"], count)
    weight = np.where(random.random(count) < 0.1, np.nan, random.normal(80, 15, count))
    risk = (age - 50) / 10 + 2 * (smoker == "yes") + np.nan_to_num(weight - 80) / 15
    return pandas.DataFrame(
        {
            "age": age,
            "smoker": smoker,
            "weight": weight,
            "noise": random.normal(size=count),
            "cost": 100 * risk + random.normal(0, 60, count),
            "sick": np.where(risk + random.normal(0, 0.7, count) > 2.5, "sick", "well"),
        }
    )


def shuffled(frame, seed: int = 9):
    random = np.random.default_rng(seed)
    return pandas.DataFrame({name: random.permutation(frame[name].to_numpy()) for name in frame})


def side(frame) -> Side:
    numbers = torch.arange(float(len(frame)))[:, None]
    return Side(numbers, numbers, None, frame)


def evidence(generated, **more) -> Evidence:
    train, holdout = rows(400, 1), rows(400, 2)
    sides = [side(frame) for frame in (train, holdout, generated, shuffled(holdout))]
    return Evidence(Spec("tables", (1,)), None, *sides, True, "toy", 0, **more)


@pytest.fixture(scope="module")
def fresh() -> Answer:
    return answer_useful(evidence(rows(500, 3), target="sick"))


def test_fresh_samples_are_useful(fresh: Answer) -> None:
    assert fresh.verdict == "yes"
    area = fresh.figure("AUC")
    assert area.standing > 0.9 and abs(area.floor - 0.5) < 0.1 and area.reference > 0.85
    assert abs(area.copying - area.reference) < 0.05
    assert "AUC" in fresh.sentence and "'sick'" in fresh.sentence


def test_every_figure_lies_in_its_interval_and_beside_its_references(fresh: Answer) -> None:
    for figure in fresh.figures:
        low, high = figure.interval
        assert low <= figure.value <= high and high - low < 0.4, figure
        assert figure.reference is not None and figure.floor is not None
        assert figure.reference > figure.floor


def test_tables_tell_each_class_and_each_number_of_real_rows(fresh: Answer) -> None:
    classes, sizes = fresh.tables
    assert {row[0] for row in classes.rows} == {"sick", "well"}
    assert [row[0] for row in sizes.rows] == ["100", "300", "400 (all)"]
    assert fresh.figure("gain over 100 real rows").value > 0


def test_the_same_evidence_gives_the_same_answer_and_survives_json(fresh: Answer) -> None:
    assert answer_useful(evidence(rows(500, 3), target="sick")) == fresh
    assert Answer.from_json(json.loads(json.dumps(fresh.to_json()))) == fresh


def test_shuffled_columns_are_of_no_use() -> None:
    answer = answer_useful(evidence(shuffled(rows(500, 3)), target="sick"))
    assert answer.verdict == "no"
    assert abs(answer.figure("AUC").value - 0.5) < 0.15


def test_swapped_labels_are_worse_than_none() -> None:
    generated = rows(500, 3)
    generated["sick"] = generated["sick"].map({"sick": "well", "well": "sick"})
    answer = answer_useful(evidence(generated, target="sick"))
    assert answer.verdict == "no"
    assert answer.figure("AUC").value < 0.3
    assert "hurts" in answer.sentence


def test_one_class_only_is_of_no_use_and_said() -> None:
    answer = answer_useful(evidence(rows(500, 3).assign(sick="well"), target="sick"))
    assert answer.verdict == "no"
    assert answer.figure("AUC").value == 0.5
    assert any("same 'sick'" in note for note in answer.notes)


def test_a_number_is_judged_by_its_variance_explained() -> None:
    answer = answer_useful(evidence(rows(500, 3).drop(columns="noise").assign(noise=0.0), target="cost"))
    assert answer.verdict == "yes"
    assert answer.figure("R2").standing > 0.9 and answer.figure("R2").floor < 0
    error = answer.figure("mean absolute error")
    assert error.better == "lower" and error.reference < error.floor
    assert len(answer.tables[0].rows) == 4


def test_a_lost_class_is_named_and_no_yes() -> None:
    def three(count: int, seed: int):
        random = np.random.default_rng(seed)
        kind = random.choice(3, count, p=[0.46, 0.46, 0.08])
        centres = np.array([[0, 0], [4, 0], [2, 4]])[kind] + random.normal(size=(count, 2))
        return pandas.DataFrame({"x": centres[:, 0], "y": centres[:, 1], "kind": [f"k{each}" for each in kind]})

    generated = three(500, 3).query("kind != 'k2'").reset_index(drop=True)
    train, holdout = three(400, 1), three(400, 2)
    sides = [side(frame) for frame in (train, holdout, generated, shuffled(holdout))]
    answer = answer_useful(Evidence(Spec("tables", (1,)), None, *sides, True, "toy", 0, target="kind"))
    assert answer.verdict in ("partly", "no")
    assert "k2" in answer.sentence


def test_a_target_that_generated_rows_lack_gives_a_note() -> None:
    answer = answer_useful(evidence(rows(500, 3).drop(columns="sick"), target="sick"))
    assert answer.verdict == "unknown" and "no column 'sick'" in answer.notes[0]
    answer = answer_useful(evidence(rows(500, 3).assign(sick=None), target="sick"))
    assert answer.verdict == "no" and any("nothing can be learned" in note for note in answer.notes)


def test_a_target_that_real_rows_do_not_decide_says_nothing_about_use() -> None:
    def coin(frame, seed: int):
        return frame.assign(coin=np.random.default_rng(seed).choice(["heads", "tails"], len(frame)))

    sides = [side(coin(rows(count, at), 100 + at)) for at, count in enumerate((400, 300, 400, 300))]
    answer = answer_useful(Evidence(Spec("tables", (1,)), None, *sides, True, "toy", 0, target="coin"))
    assert answer.verdict == "unknown" and "cannot be predicted from real rows either" in answer.sentence


def test_a_handful_of_generated_rows_is_no_crash() -> None:
    for count in (1, 3):
        answer = answer_useful(evidence(rows(count, 3), target="sick"))
        assert answer.verdict in ("no", "partly", "unknown")


def labelled(count: int, seed: int, swap: bool = False) -> Side:
    """Pictures of 8 x 8 whose brighter half tells the class."""
    random = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (count,), generator=random)
    samples = torch.randn(count, 1, 8, 8, generator=random)
    samples[:, :, :4] += label[:, None, None, None] * 0.5
    told = 1 - label if swap else label
    return Side(samples, samples.flatten(1), torch.nn.functional.one_hot(told, 2).float())


def test_pictures_with_the_wrong_class_are_of_no_use() -> None:
    spec = Spec("images", (1, 8, 8), Condition((Field("label", ("dark", "bright")),)))
    sides = [labelled(400, 1), labelled(300, 2), labelled(500, 3), labelled(300, 4)]
    given = Evidence(spec, None, *sides, True, "toy", 0)
    assert answer_useful(given).verdict == "yes"
    assert answer_useful(replace(given, generated=labelled(500, 3, swap=True))).verdict == "no"
    assert answer_useful(replace(given, spec=Spec("images", (1, 8, 8)))).verdict == "unknown"


def test_the_error_of_trainings_holds_both_sources_of_chance() -> None:
    random = np.random.default_rng(0)
    rows_only = np.repeat(0.5 + 0.1 * random.normal(size=(1, 2001)), 3, axis=0)
    assert error_of(rows_only) == pytest.approx(0.1, rel=0.05)
    assert error_of(np.array([[0.4, 0.5, 0.5], [0.6, 0.5, 0.5]])) == pytest.approx(np.sqrt(0.02))
