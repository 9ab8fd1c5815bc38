"""The question of privacy: copies are told, fresh samples pass, and without a control nothing is claimed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.metrics import privacy
from gannet.metrics.answer import Answer
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.privacy import answer_private
from gannet.spec import Spec

pandas = pytest.importorskip("pandas")


def people(count: int, seed: int):
    random = np.random.default_rng(seed)
    age = random.normal(40, 12, count).round().clip(17, 90)
    income = np.exp(random.normal(3, 1, count) + age / 60).round(2)
    frame = pandas.DataFrame({"age": age, "income": income, "job": random.choice(list("abcdef"), count)})
    frame["rich"] = np.where(income > 40, "yes", "no")
    frame["weight"] = random.normal(70, 10, count).round(1)
    frame.loc[random.random(count) < 0.05, "weight"] = np.nan
    return frame


def side(frame) -> Side:
    columns = [(frame.age - 40) / 12, np.log(frame.income), (frame.weight.fillna(70) - 70) / 10]
    columns += [frame.job == job for job in "abcdef"] + [frame.rich == "yes"]
    features = torch.from_numpy(np.column_stack(columns).astype(np.float32))
    return Side(features, features, None, frame)


def tables(train, holdout, generated, **changes) -> Evidence:
    sides = [side(frame) for frame in (train, holdout, generated, holdout)]
    given = {"spared": True, "embedder": "by hand", "seed": 0, **changes}
    return Evidence(Spec("tables", (10,)), None, *sides, **given)


def points(train: Tensor, holdout: Tensor, generated: Tensor) -> Evidence:
    sides = [Side(rows, rows) for rows in (train, holdout, generated, holdout)]
    return Evidence(Spec("points", (2,)), None, *sides, spared=True, embedder="as they are", seed=0)


def normal(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "ATTEMPTS", 400)
    monkeypatch.setattr(privacy, "BESIDE", 100)


def test_a_copying_model_is_not_private_by_any_attack() -> None:
    train = people(900, 0)
    answer = answer_private(tables(train, people(250, 1), train))
    assert answer.verdict == "no"
    assert "Do not treat them as anonymous" in answer.sentence
    risks = [figure for figure in answer.figures if figure.name.startswith("risk of")]
    assert len(risks) == 5
    for figure in risks:
        assert figure.interval[0] > 0.2
        assert figure.copying > 0.8
        assert figure.reference < 0.2
    assert min(figure.value for figure in answer.figures if "AUC" in figure.name) > 0.95


def test_fresh_samples_pass_with_few_false_alarms_and_a_caution() -> None:
    verdicts = []
    for seed in range(5):
        answer = answer_private(tables(*(people(n, 10 * seed + i) for i, n in enumerate((700, 200, 700)))))
        verdicts.append(answer.verdict)
        assert any("differential privacy" in note for note in answer.notes)
    assert verdicts.count("yes") >= 4
    assert "no" not in verdicts


def test_a_few_memorised_rows_are_noticed() -> None:
    train, fresh = people(3000, 0), people(3000, 2)
    generated = pandas.concat([train[:150], fresh[150:]]).reset_index(drop=True)
    answer = answer_private(tables(train, people(600, 1), generated))
    assert answer.verdict == "no"
    assert answer.figure("membership AUC, distance").value < 0.58
    assert answer.figure("members found at 1 % false alarms, distance").interval[0] > 0.02


def test_without_held_out_rows_nothing_is_claimed_but_the_contents_are_told() -> None:
    train = people(200, 0)
    answer = answer_private(tables(train, people(100, 1), train, spared=False), ["weights: 12"])
    assert answer.verdict == "unknown"
    assert answer.figures == []
    assert any("held-out" in note for note in answer.notes)
    assert [table.rows for table in answer.tables] == [[["weights: 12"]]]


def test_too_few_held_out_rows_rule_nothing_out_but_a_copy_is_still_told() -> None:
    train, holdout = people(300, 0), people(40, 1)
    answer = answer_private(tables(train, holdout, people(300, 2)))
    assert answer.verdict == "unknown"
    assert "40 unseen samples are too few" in answer.sentence
    assert answer_private(tables(train, holdout, train)).verdict == "no"


def test_points_are_judged_by_membership_and_copies_alone() -> None:
    fresh = answer_private(points(normal(900, 0), normal(300, 1), normal(900, 2)))
    assert fresh.verdict == "yes"
    assert fresh.tables == []
    assert {figure.name.split(",")[0] for figure in fresh.figures} == {
        "membership AUC",
        "members found at 1 % false alarms",
        "risk of being copied",
    }
    train = normal(900, 0)
    assert answer_private(points(train, normal(300, 1), train)).verdict == "no"


@pytest.mark.parametrize("rows", [1, 12])
def test_a_handful_of_rows_gives_notes_and_no_crash(rows: int) -> None:
    answer = answer_private(tables(people(30, 0), people(rows, 1), people(30, 2)))
    assert answer.verdict == "unknown"
    assert answer.figures == []
    assert len(answer.notes) >= 3


def test_odd_columns_are_survived() -> None:
    def odd(count: int, seed: int):
        frame = people(count, seed)
        return frame.assign(constant=1, empty=np.nan, number=np.arange(count))

    answer = answer_private(tables(odd(400, 0), odd(150, 1), odd(400, 2), allowed=("number",)))
    assert answer.verdict in ("yes", "partly")
    columns = [row[0] for row in answer.tables[1].rows]
    assert "empty" in columns
    assert "number" not in columns


def test_wide_tables_are_cut_to_some_columns_the_named_ones_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "MOST_COLUMNS", 2)
    answer = answer_private(tables(*(people(n, n) for n in (300, 150, 301)), target="rich", sensitive=("job",)))
    assert {row[0] for row in answer.tables[1].rows} == {"rich", "job"}
    assert any("2 of 5 columns" in note for note in answer.notes)


def test_the_answer_goes_to_json_and_back_and_is_the_same_for_the_same_evidence() -> None:
    given = tables(people(300, 0), people(120, 1), people(300, 2))
    answer = answer_private(given, ["weights"])
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer
    assert answer_private(replace(given), ["weights"]) == answer
