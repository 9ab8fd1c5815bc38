"""Whether a model's samples are varied: the truth is, and every planted collapse is seen and named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gannet.metrics.answer import Answer
from gannet.metrics.category_coverage import category_coverage
from gannet.metrics.diversity import answer_varied
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.modes import find_modes
from gannet.metrics.spread import mean_distances
from gannet.spec import Condition, Field, Spec

CLASSES = tuple("0123456789")
SPEC = Spec("points", (12,), Condition((Field("digit", CLASSES),)))
PLAIN = Spec("points", (12,))


def classes_of(rows: int, seed: int) -> Tensor:
    return torch.randint(10, (rows,), generator=torch.Generator().manual_seed(seed))


def points(classes: Tensor, seed: int, spread: float = 1.0) -> Tensor:
    """One Gaussian a class [n, 12], well apart."""
    centres = 6 * torch.eye(12)[:10]
    return centres[classes] + spread * torch.randn(len(classes), 12, generator=torch.Generator().manual_seed(seed))


def side(samples: Tensor, classes: Tensor | None) -> Side:
    return Side(samples, samples, None if classes is None else one_hot(classes, 10).float())


def shuffled(samples: Tensor, seed: int = 9) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.stack([column[torch.randperm(len(column), generator=draw)] for column in samples.T], 1)


def evidence(generated: Side, *, named: bool = True, seed: int = 0, rows: int = 1500, spared: bool = True) -> Evidence:
    train, holdout = classes_of(rows, 1), classes_of(500, 2)
    real = points(holdout, 2)
    return Evidence(
        spec=SPEC if named else PLAIN,
        domain=None,
        train=side(points(train, 1), train if named else None),
        holdout=side(real, holdout if named else None),
        generated=generated,
        floor=side(shuffled(real), holdout if named else None),
        spared=spared,
        embedder="toy-1",
        seed=seed,
    )


def varied(classes: Tensor, asked: Tensor | None = None, *, spread: float = 1.0) -> Answer:
    """The answer about samples of the classes, asked for as `asked` (None: a model without conditions)."""
    return answer_varied(evidence(side(points(classes, 3, spread), asked), named=asked is not None))


TRUE = classes_of(1500, 3)


@pytest.mark.parametrize("named", [True, False])
def test_samples_of_the_true_distribution_are_varied(named: bool) -> None:
    answer = varied(TRUE, TRUE if named else None)
    assert answer.verdict == "yes"
    assert "coverage" in answer.sentence
    for figure in answer.figures:
        if figure.name not in ("different samples", "mode weights"):
            assert figure.value == pytest.approx(figure.reference, abs=0.12), figure


def test_the_true_distribution_is_called_varied_whatever_the_draw() -> None:
    for seed in range(4, 7):
        classes = classes_of(1200, seed)
        assert answer_varied(evidence(side(points(classes, seed), classes), seed=seed)).verdict == "yes"


@pytest.mark.parametrize("named", [True, False])
def test_a_model_of_one_mode_is_not_varied(named: bool) -> None:
    answer = varied(torch.full_like(TRUE, 4), TRUE if named else None)
    assert answer.verdict == "no"
    assert answer.figure("modes found").value < 0.2
    assert answer.figure("coverage").value < 0.2
    assert answer.figure("mode weights").value > 0.8


@pytest.mark.parametrize("named", [True, False])
def test_a_model_that_repeats_one_sample_is_not_varied(named: bool) -> None:
    one = points(torch.tensor([4]), 3).expand(1500, 12)
    answer = answer_varied(evidence(side(one, TRUE if named else None), named=named))
    assert answer.verdict == "no"
    assert answer.figure("pairwise variety").value == 0
    assert answer.figure("different samples").value == 1


def test_a_class_that_is_never_drawn_is_named() -> None:
    kept = TRUE[TRUE != 7]
    answer = varied(kept, kept)
    assert answer.verdict in ("partly", "no")
    assert "class '7' is missing" in answer.sentence


def test_a_class_that_shows_another_is_named() -> None:
    shown = torch.where(TRUE == 7, 1, TRUE)
    answer = varied(shown, TRUE)
    assert answer.verdict in ("partly", "no")
    assert "class '7' is missing" in answer.sentence
    (row,) = [row for row in answer.tables[0].rows if row[0] == "7"]
    assert row[-1] == "missing"


def test_a_dropped_mode_is_seen_without_classes() -> None:
    answer = varied(TRUE[TRUE != 7], None)
    assert answer.verdict in ("partly", "no")
    assert "modes are missing" in answer.sentence
    assert answer.figure("modes found").value < answer.figure("modes found").reference == 1


def test_classes_that_are_right_but_collapsed_within_are_seen() -> None:
    answer = varied(TRUE, TRUE, spread=0.05)
    assert answer.verdict == "no"
    assert answer.figure("modes found").value > 0.3
    assert answer.figure("least varied class").value < 0.1


def test_one_class_collapsed_within_is_named() -> None:
    samples = torch.where((TRUE == 2)[:, None], points(TRUE, 3, 0.3), points(TRUE, 3))
    answer = answer_varied(evidence(side(samples, TRUE)))
    assert answer.verdict == "partly"
    assert "'2'" in answer.sentence


def test_a_copying_model_is_as_varied_as_its_training_samples_and_a_note_says_so() -> None:
    train = evidence(side(points(TRUE, 3), TRUE)).train
    answer = answer_varied(evidence(train))
    assert answer.verdict == "yes"
    assert any("copies" in note for note in answer.notes)


def test_uneven_mode_weights_show_in_the_total_variation() -> None:
    tilted = torch.where((TRUE >= 5) & (torch.arange(len(TRUE)) % 2 == 0), TRUE - 5, TRUE)
    answer = varied(tilted, None)
    assert answer.figure("mode weights").value == pytest.approx(0.25, abs=0.05)
    assert answer.figure("mode weights").reference < 0.15


def test_the_same_evidence_gives_the_same_answer_and_it_goes_to_json_and_back() -> None:
    given = evidence(side(points(TRUE, 3), TRUE))
    state = torch.random.get_rng_state()
    answer = answer_varied(given)
    assert answer_varied(given) == answer
    assert torch.equal(state, torch.random.get_rng_state())
    assert Answer.from_json(json.loads(json.dumps(answer.to_json(), allow_nan=False))) == answer


def test_few_samples_are_unknown_and_constant_features_are_no_trouble() -> None:
    given = evidence(side(points(TRUE, 3), TRUE))
    few = replace(given, holdout=given.holdout.take(np.arange(12)))
    assert answer_varied(few).verdict == "unknown"
    ones = side(torch.ones(100, 3), None)
    same = replace(given, spec=Spec("points", (3,)), train=ones, holdout=ones, generated=ones, floor=ones)
    answer = answer_varied(same)
    assert answer.verdict == "yes"
    json.dumps(answer.to_json(), allow_nan=False)
    alike = replace(same, generated=side(torch.zeros(100, 3), None))
    assert answer_varied(alike).verdict == "no"


def frames(rows: int, seed: int, kinds: str = "aaaaabbbc") -> Side:
    """A table of a number, a column of categories with a share of 1/100 missing, a yes-or-no, a key and a constant."""
    pandas = pytest.importorskip("pandas")
    draw = np.random.default_rng(seed)
    size, kind = draw.standard_normal(rows), draw.choice([*kinds], rows).astype(object)
    kind[draw.random(rows) < 0.02] = "rare"
    gaps = draw.random(rows) < 0.01
    features = np.stack([size, *(kind == level for level in ("a", "b", "c", "rare"))], 1)
    frame = pandas.DataFrame(
        {
            "size": np.where(gaps, np.nan, size),
            "kind": pandas.Series(kind).where(~gaps, None),
            "yes": draw.random(rows) < 0.5,
            "key": [f"{seed}-{row}" for row in range(rows)],
            "constant": "x",
            "empty": None,
        }
    )
    return Side(torch.from_numpy(features).float(), torch.from_numpy(features).float(), frame=frame)


def table_evidence(generated: Side) -> Evidence:
    holdout = frames(600, 2)
    return replace(
        evidence(generated, named=False),
        spec=Spec("tables", (5,)),
        train=frames(2000, 1),
        holdout=holdout,
        floor=replace(holdout, features=shuffled(holdout.features)),
    )


def test_true_rows_have_every_category_and_the_rare_ones_as_often() -> None:
    answer = answer_varied(table_evidence(frames(1500, 3)))
    assert answer.verdict == "yes"
    assert answer.figure("categories found").value == 1
    assert answer.figure("rare categories").value == pytest.approx(1, abs=0.6)
    assert [row[0] for row in answer.tables[0].rows] == ["kind", "yes"]


def test_a_lost_category_is_named() -> None:
    answer = answer_varied(table_evidence(frames(1500, 3, kinds="aaaaabbb")))
    assert answer.verdict in ("partly", "no")
    assert "kind = c never comes" in answer.sentence
    assert answer.figure("categories found").value < 1


def test_a_lost_rare_category_shows_in_the_rare_mass() -> None:
    generated = frames(1500, 3)
    assert generated.frame is not None
    generated.frame["kind"] = generated.frame["kind"].replace({"rare": "a"})
    answer = answer_varied(table_evidence(generated))
    assert answer.figure("rare categories").value < 0.6
    assert "kind = rare never comes" in answer.sentence


def test_modes_are_those_of_the_data_and_no_more_than_its_different_rows() -> None:
    centres = 20 * torch.eye(6, dtype=torch.float64)
    place = torch.arange(900) % 6
    rows = centres[place] + torch.randn(900, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    modes = find_modes(rows, 6, np.random.default_rng(0))
    assert torch.cdist(centres, modes.centres).amin(1).max() < 1
    assert modes.shares.tolist() == pytest.approx([1 / 6] * 6)
    assert modes.found(rows[place != 2]).sum() == 5
    assert modes.total_variation(rows[place != 2]) == pytest.approx(1 / 6)
    assert len(find_modes(torch.ones(50, 3), 10, np.random.default_rng(0)).centres) == 1


def test_modes_are_as_tight_as_those_of_scikit_learn() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    rows = points(classes_of(1000, 0), 0).double()
    modes = find_modes(rows, 10, np.random.default_rng(0))
    ours = float(torch.cdist(rows, modes.centres).amin(1).square().sum())
    theirs = cluster.KMeans(10, n_init=10, random_state=0).fit(rows.numpy()).inertia_
    assert ours == pytest.approx(theirs, rel=0.01)


def test_mean_distances_equal_scipy_and_equal_rows_lie_at_none() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    rows = points(classes_of(700, 0), 0)
    expected = distance.squareform(distance.pdist(rows.double().numpy())).sum(1) / 699
    assert mean_distances(rows).numpy() == pytest.approx(expected, rel=1e-9)
    assert mean_distances(rows[:1].expand(30, -1) + 1000).max() == 0


def test_small_classes_are_named_and_not_judged() -> None:
    given = evidence(side(points(TRUE, 3), TRUE), rows=1500)
    rare = given.train.take(torch.cat([(TRUE_TRAIN != 3).nonzero()[:, 0], (TRUE_TRAIN == 3).nonzero()[:4, 0]]))
    answer = answer_varied(replace(given, train=rare))
    assert any("'3'" in note or "class 3 alone" in note for note in answer.notes)
    assert "3" not in [row[0] for row in answer.tables[0].rows]


TRUE_TRAIN = classes_of(1500, 1)


def test_real_samples_that_were_trained_on_are_said_to_be() -> None:
    answer = answer_varied(evidence(side(points(TRUE, 3), TRUE), spared=False))
    assert any("trained on" in note for note in answer.notes)


def test_a_rare_level_that_never_comes_is_seen_among_all_generated_rows() -> None:
    """1 % of 300 rows may be missing by chance; of 3,000 it may not."""
    random = np.random.default_rng(0)

    def rows(count: int, levels: tuple[str, ...]) -> pd.DataFrame:
        shares = [0.6, 0.39, 0.01][: len(levels)]
        chosen = random.choice(levels, count, p=np.array(shares) / sum(shares))
        return pd.DataFrame({"kind": chosen, "x": random.standard_normal(count)})

    train, rare = rows(3000, ("a", "b", "rare")), rows(3000, ("a", "b"))
    assert category_coverage(train, rare).columns[0].lost == ["rare"]
    assert category_coverage(train, rare[:300]).columns[0].lost == []
    low, high = category_coverage(train, rare[:300]).rare_interval
    assert low == 0 and 0.5 < high < 2
