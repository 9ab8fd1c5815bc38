"""The first question, real?: planted failures are called so, real samples are called real, and nothing crashes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics.answer import Answer
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.fidelity import answer_real
from gannet.spec import Spec

ROWS = 300
REAL = Path(os.environ.get("GANNET_TEST_DATA", "no-such-folder")) / "tables"

TABLE_FIGURES = [
    *("strong two-sample test", "strong two-sample accuracy", "weak two-sample test", "weak two-sample accuracy"),
    *("Fréchet distance", "kernel distance", "sliced Wasserstein", "precision", "density", "alpha-precision"),
    *("column shapes", "largest column shift", "pair trends", "rank correlations", "groups of 3 columns"),
]


def people(seed: int, rows: int = ROWS) -> pandas.DataFrame:
    """Five columns that depend on each other; one mostly zero, one with missing values."""
    random = np.random.default_rng(seed)
    age = random.uniform(18, 80, rows)
    wage = 20 * age + random.normal(0, 60, rows)
    gain = np.where(random.random(rows) < 0.08, wage * random.uniform(0.5, 1, rows), 0.0)
    kind = np.where(age + random.normal(0, 5, rows) > 50, "owner", "tenant").astype(object)
    kind[random.random(rows) < 0.05] = None
    town = np.where(wage > 900, random.choice(["a", "b"], rows), "c")
    return pandas.DataFrame({"age": age, "wage": wage, "gain": gain, "kind": kind, "town": town})


def shuffled(frame: pandas.DataFrame, seed: int = 9) -> pandas.DataFrame:
    random = np.random.default_rng(seed)
    return pandas.DataFrame({name: random.permutation(frame[name].to_numpy()) for name in frame})


def embedded(frame: pandas.DataFrame) -> Tensor:
    """Every column as one or more numbers of about unit size."""
    known = frame.reindex(columns=["age", "wage", "gain", "kind", "town"])
    numbers = known[["age", "wage", "gain"]].to_numpy(dtype=float, na_value=0.0) / [20, 400, 100]
    levels = [(known[name] == level) for name in ("kind", "town") for level in ("owner", "tenant", "a", "b", "c")]
    columns = np.column_stack([np.nan_to_num(numbers).clip(-30, 30), *levels])
    return torch.from_numpy(columns.astype(np.float32))


def table_side(frame: pandas.DataFrame) -> Side:
    features = embedded(frame)
    return Side(features, features, None, frame)


def evidence(train: Side, holdout: Side, generated: Side, floor: Side, kind: str, **options: object) -> Evidence:
    spec = Spec(kind, tuple(train.samples.shape[1:]))
    options = {"spared": True, "embedder": "toy-1", "seed": 0, **options}
    return Evidence(spec, None, train, holdout, generated, floor, **options)


def tables(generated: pandas.DataFrame, **options: object) -> Answer:
    sides = people(1), people(2), generated, shuffled(people(1))
    return answer_real(evidence(*map(table_side, sides), "tables", **options))


def vectors(generated: Tensor, real: object, **options: object) -> Answer:
    """An answer on points: `real(seed)` draws real ones [n, d]."""
    random = torch.Generator().manual_seed(0)
    floor = torch.stack([column[torch.randperm(len(column), generator=random)] for column in real(1).T], 1)
    sides = (Side(points, points) for points in (real(1), real(2), generated, floor))
    return answer_real(evidence(*sides, "points", **options))


def ring(seed: int, rows: int = ROWS) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(rows, generator=draw)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(rows, 2, generator=draw)


# Tables


@pytest.fixture(scope="module")
def real() -> Answer:
    return tables(people(3))


@pytest.fixture(scope="module")
def independent() -> Answer:
    return tables(shuffled(people(3), 4))


def test_unseen_real_rows_are_called_real(real: Answer) -> None:
    assert real.verdict == "yes", real.sentence
    assert real.sentence.startswith("Yes, they look real: shown a generated and a real sample")
    assert [figure.name for figure in real.figures] == TABLE_FIGURES
    assert [table.title for table in real.tables] == ["columns, worst first", "worst pairs of columns"]


def test_every_figure_has_its_ceiling_its_floor_and_a_copys_score(real: Answer) -> None:
    for figure in real.figures:
        assert figure.reference is not None and figure.floor is not None, figure.name
        assert figure.copying == figure.reference
        assert figure.meaning.endswith((".", "?"))
        if figure.interval is not None:
            assert figure.interval[0] <= figure.value <= figure.interval[1], figure.name


def test_shuffled_columns_are_called_unrealistic_though_each_column_is_right(independent: Answer) -> None:
    assert independent.verdict == "no"
    assert independent.figure("column shapes").value > 0.88
    assert independent.figure("pair trends").standing < 0.3
    assert independent.figure("groups of 3 columns").standing < 0.3
    assert independent.figure("strong two-sample test").standing < 0.2
    assert "Each column alone looks right" in independent.sentence


@pytest.mark.parametrize("column", ["age", "gain"])
def test_a_column_scaled_by_fifty_is_noticed_and_named(column: str) -> None:
    generated = people(3)
    answer = tables(generated.assign(**{column: generated[column] * 50}))
    assert answer.verdict == "no"
    assert answer.figure("largest column shift").value > 10
    assert f"column {column!r} are far off" in answer.sentence


def test_a_little_noise_is_neither_real_nor_hopeless() -> None:
    generated = people(3)
    generated["wage"] += np.random.default_rng(0).normal(0, 200, ROWS)
    answer = tables(generated)
    assert answer.verdict == "partly", answer.sentence
    assert answer.sentence.startswith("Only partly")


def test_a_column_that_is_not_to_be_judged_by_does_not_count() -> None:
    generated = people(3).assign(gain=1e6)
    assert tables(generated, allowed=("gain",)).figure("strong two-sample test").value < 0.6


def test_a_copy_looks_real_and_the_answer_says_who_tells() -> None:
    answer = tables(people(1))
    assert answer.verdict == "yes"
    assert any("returns its training samples, each once, looks as real" in note for note in answer.notes)


def test_without_unseen_samples_no_score_of_a_copy_is_claimed() -> None:
    answer = tables(people(3), spared=False)
    assert all(figure.copying is None for figure in answer.figures)
    assert any("stand in for unseen ones" in note for note in answer.notes)


def test_rows_repeated_from_the_unseen_ones_are_told_in_a_note() -> None:
    assert any("repeat the real ones exactly" in note for note in tables(people(2)).notes)


def test_the_same_evidence_gives_the_same_answer_and_survives_json(real: Answer) -> None:
    again = tables(people(3))
    assert again == real
    assert Answer.from_json(json.loads(json.dumps(real.to_json(), allow_nan=False))) == real


# Points


def test_an_interplay_that_logistic_regression_cannot_see_decides() -> None:
    def linked(seed: int) -> Tensor:
        values = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(seed))
        return torch.stack([values[:, 0], values[:, 1].abs() * values[:, 0].sign()], 1)

    answer = vectors(torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(7)), linked)
    assert answer.figure("weak two-sample test").value < 0.56
    assert answer.figure("strong two-sample test").value > 0.6
    assert answer.verdict == "no"


def test_many_faint_shifts_that_boosting_is_poor_at_are_found_by_the_other_judge() -> None:
    def wide(seed: int) -> Tensor:
        return torch.randn(ROWS, 60, generator=torch.Generator().manual_seed(seed))

    answer = vectors(wide(3) + 0.25, wide)
    assert answer.figure("weak two-sample test").value > answer.figure("strong two-sample test").value
    assert "the weak two-sample test finds" in answer.sentence
    assert answer.verdict == "no"


def test_one_good_sample_again_and_again_is_not_called_real() -> None:
    answer = vectors(ring(3)[:1] + 0.001 * torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0)), ring)
    assert answer.figure("precision").value > 0.95  # which is why it has no say
    assert answer.verdict == "no"


def test_numbers_that_do_not_depend_on_each_other_are_judged_by_the_judge_alone() -> None:
    def independent(seed: int) -> Tensor:
        return torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(seed))

    good = vectors(independent(3), independent)
    assert good.verdict == "yes"
    assert any("cannot well tell shuffled samples" in note for note in good.notes)
    assert vectors(independent(3) + 2, independent).verdict == "no"


# Pictures


def stripes(seed: int, rows: int = 200) -> Tensor:
    """Pictures [n, 1, 12, 12] of waves of any phase."""
    random = torch.Generator().manual_seed(seed)
    phase, tilt = 6.3 * torch.rand(2, rows, 1, 1, generator=random)
    places = torch.arange(12)
    waves = torch.sin(0.8 * places + 0.3 * tilt * places[:, None] + phase)[:, None]
    return 0.8 * waves + 0.05 * torch.randn(waves.shape, generator=random)


def pictures(generated: Tensor) -> Answer:
    order = torch.rand(200, 144, generator=torch.Generator().manual_seed(0)).argsort(0)
    floor = stripes(1).flatten(1).gather(0, order).view(-1, 1, 12, 12)
    sides = [Side(each, each[:, 0, ::3, ::3].flatten(1)) for each in (stripes(1), stripes(2), generated, floor)]
    return answer_real(evidence(*sides, "images"))


def test_pictures_have_likeness_and_spectrum() -> None:
    answer = pictures(stripes(3))
    assert answer.verdict == "yes", answer.sentence
    assert answer.figure("spectrum distance").standing > 0.9
    assert "pictures of shuffled pixels" in answer.sentence
    assert answer.figure("pair likeness gap").floor is None


def test_noise_is_no_picture() -> None:
    answer = pictures(torch.rand(200, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert answer.verdict == "no"
    assert " of the way from wrong samples to real ones." in answer.sentence


# Too little, too odd


@pytest.mark.parametrize("rows", [1, 7, 12, 29])
def test_too_few_rows_are_unknown_and_said_to_be(rows: int) -> None:
    sides = [people(1, rows), people(2, rows), people(3, rows), shuffled(people(1, rows))]
    answer = answer_real(evidence(*map(table_side, sides), "tables"))
    assert answer.verdict == "unknown"
    assert any(f"{rows} samples a side are too few for a judge" in note for note in answer.notes)
    json.dumps(answer.to_json(), allow_nan=False)


def test_constant_and_empty_columns_are_judged_without_a_warning() -> None:
    frame = pandas.DataFrame({"age": [30.0] * 60, "wage": [float("nan")] * 60, "kind": [None] * 60, "town": ["a"] * 60})
    answer = answer_real(evidence(*[table_side(frame)] * 4, "tables"))
    assert answer.verdict == "yes"
    json.dumps(answer.to_json(), allow_nan=False)


def test_a_generator_of_nothing_but_missing_values_is_called_out() -> None:
    empty = pandas.DataFrame({name: [None] * ROWS for name in people(3)})
    answer = tables(empty)
    assert answer.verdict == "no"
    assert any("every generated value is missing" in note for note in answer.notes)


def test_features_that_are_not_finite_are_refused() -> None:
    broken = ring(3)
    broken[0, 0] = float("nan")
    with pytest.raises(GannetError, match="1 of 300 generated samples have features that are NaN"):
        vectors(broken, ring)


# Real data


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="GANNET_TEST_DATA names no folder with tables/*.csv.gz")
def test_a_census_is_real_and_its_shuffled_columns_are_not() -> None:
    table = pandas.read_csv(REAL / "adult_train.csv.gz", na_values="?").sample(6000, random_state=0)
    parts = [table.iloc[start : start + 2000].reset_index(drop=True) for start in (0, 2000, 4000)]
    numbers = ["age", "education-num", "hours-per-week"]

    def side(frame: pandas.DataFrame) -> Side:
        levels = [(frame[name] == level) for name in ("sex", "income") for level in ("Male", ">50K")]
        features = np.column_stack([frame[numbers] / [14, 3, 12], *levels]).astype(np.float32)
        return Side(torch.from_numpy(features), torch.from_numpy(features), None, frame)

    floor = shuffled(parts[0])
    for generated, verdict in ((parts[2], "yes"), (shuffled(parts[2], 5), "no")):
        sides = (side(frame) for frame in (parts[0], parts[1], generated, floor))
        assert answer_real(evidence(*sides, "tables")).verdict == verdict
