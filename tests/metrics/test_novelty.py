"""Whether samples are new: fresh ones are, copies are called copies, and dense data alone is no copying."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gannet.domains.images import Images
from gannet.metrics.answer import Answer
from gannet.metrics.copies import exact_copies
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.memory import nearer_to_training
from gannet.metrics.novelty import answer_new
from gannet.metrics.side_by_side import show_pairs
from gannet.spec import Spec

WIDTH = 8
Interval = tuple[float, float]


def normal(rows: int, seed: int, width: int = WIDTH) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def side(samples: Tensor, frame: Any = None) -> Side:
    return Side(samples, samples.flatten(1), frame=frame)


def evidence(
    generated: Tensor, *, train: int = 1200, holdout: int = 500, spared: bool = True, seed: int = 0, width: int = WIDTH
) -> Evidence:
    return Evidence(
        spec=Spec("points", (width,)),
        domain=None,
        train=side(normal(train, 1, width)),
        holdout=side(normal(holdout, 2, width)),
        generated=side(generated),
        floor=side(normal(holdout, 4, width)),
        spared=spared,
        embedder="toy-1",
        seed=seed,
    )


TRAIN = normal(1200, 1)
FRESH = normal(800, 3)


def test_samples_of_the_true_distribution_are_new() -> None:
    answer = answer_new(evidence(FRESH))
    assert answer.verdict == "yes"
    assert answer.figure("nearer to training").value == pytest.approx(0.5, abs=0.05)
    assert answer.figure("exact copies").value == 0
    assert answer.figure("authenticity").value == pytest.approx(answer.figure("authenticity").reference, abs=0.1)


def test_the_true_distribution_is_called_new_whatever_the_draw_and_however_small_the_holdout() -> None:
    for seed in range(10, 16):
        assert answer_new(evidence(normal(600, seed), holdout=60 if seed % 2 else 400, seed=seed)).verdict == "yes"


@pytest.mark.parametrize("jitter", [0.0, 1e-6, 0.01, 0.05])
@pytest.mark.parametrize("holdout", [500, 60])
def test_a_copying_model_is_called_a_copy(jitter: float, holdout: int) -> None:
    answer = answer_new(evidence(TRAIN[:800] + jitter * FRESH, holdout=holdout))
    assert answer.verdict == "no"
    assert answer.sentence.startswith("The model copies")
    assert answer.figure("near copies").value > 0.99
    assert answer.figure("authenticity").value < 0.02
    assert answer.figure("exact copies").value == (1 if jitter == 0 else 0)


def test_what_a_copying_model_would_score_stands_beside_every_figure() -> None:
    fresh, copied = answer_new(evidence(FRESH)), answer_new(evidence(TRAIN))
    for figure in fresh.figures:
        assert figure.copying == pytest.approx(copied.figure(figure.name).value, abs=0.02), figure.name


def test_memory_too_soft_to_be_a_copy_is_noticed() -> None:
    answer = answer_new(evidence(TRAIN[:800] + 0.3 * FRESH))
    assert answer.figure("near copies").value < 0.05
    assert answer.figure("remembered").value > 0.5
    assert answer.verdict == "no"


def test_a_tenth_of_copies_among_new_samples_is_noticed() -> None:
    mixed = FRESH.clone()
    mixed[:80] = TRAIN[:80]
    answer = answer_new(evidence(mixed))
    assert answer.verdict in ("partly", "no")
    assert answer.figure("exact copies").value == pytest.approx(0.1)


def test_samples_crowded_in_the_middle_are_poor_and_not_called_copies() -> None:
    answer = answer_new(evidence(0.1 * FRESH))
    assert answer.verdict == "yes"
    assert answer.figure("authenticity").value < answer.figure("authenticity").reference  # it takes them for copies


def test_natural_duplicates_are_not_held_against_a_model() -> None:
    draw = torch.Generator().manual_seed(0)

    def lattice(rows: int) -> Tensor:
        return torch.randint(0, 4, (rows, 4), generator=draw).float() / 3

    given = replace(
        evidence(FRESH, width=4), train=side(lattice(1500)), holdout=side(lattice(300)), generated=side(lattice(1000))
    )
    answer = answer_new(given)
    assert answer.figure("exact copies").value > 0.9
    assert answer.figure("exact copies").reference > 0.9
    assert answer.figure("copies beyond natural").value == pytest.approx(0, abs=0.03)
    assert answer.figure("nearer to training").value == pytest.approx(0.5, abs=0.05)
    assert answer.verdict == "yes"


def test_without_samples_set_aside_copies_are_found_and_newness_is_not_claimed() -> None:
    fresh = answer_new(evidence(FRESH, spared=False))
    assert fresh.verdict == "unknown"
    assert any("no real samples were set aside" in note for note in fresh.notes)
    assert "remembered" not in [figure.name for figure in fresh.figures]
    assert answer_new(evidence(TRAIN[:700] + 1e-3 * FRESH[:700], spared=False)).verdict == "no"


def test_few_samples_are_unknown_and_constant_ones_are_no_trouble() -> None:
    assert answer_new(evidence(FRESH[:12])).verdict == "unknown"
    ones = side(torch.ones(60, WIDTH))
    answer = answer_new(replace(evidence(FRESH), train=ones, holdout=ones, generated=ones))
    assert answer.verdict == "yes"
    json.dumps(answer.to_json(), allow_nan=False)


def test_the_same_evidence_gives_the_same_answer_and_it_goes_to_json_and_back() -> None:
    given, state = evidence(FRESH[:300]), torch.random.get_rng_state()
    answer = answer_new(given)
    assert answer_new(given) == answer
    assert torch.equal(state, torch.random.get_rng_state())
    assert Answer.from_json(json.loads(json.dumps(answer.to_json(), allow_nan=False))) == answer


def test_pictures_show_the_closest_pairs_first() -> None:
    spec = Spec("images", (1, 6, 6))
    domain = Images(spec)
    draw = np.random.default_rng(0)
    samples = [domain.encode(draw.integers(0, 256, (rows, 6, 6, 1), dtype=np.uint8)) for rows in (80, 40, 60)]
    samples[2][7] = samples[0][11] + 0.001  # the same picture after rounding
    train, holdout, generated = (side(some) for some in samples)
    given = replace(
        evidence(FRESH), spec=spec, domain=domain, train=train, holdout=holdout, generated=generated, floor=holdout
    )
    answer = answer_new(given)
    closest, _ = (np.asarray(Image.open(io.BytesIO(picture.png))) for picture in answer.pictures)
    width = closest.shape[1] // 8
    assert np.array_equal(closest[2:width, 2 : width - 2], closest[2:width, width + 2 : 2 * width - 2])
    assert not answer.tables
    assert answer.figure("exact copies").value == pytest.approx(1 / 60)


def test_rows_of_tables_are_compared_and_shown_as_the_user_gets_them() -> None:
    pandas = pytest.importorskip("pandas")
    draw = np.random.default_rng(0)

    def rows(count: int) -> Side:
        numbers, letters = draw.standard_normal((count, 2)), draw.integers(0, 3, count)
        kinds = np.array(["a", "b", "c"])[letters]
        frame = pandas.DataFrame({"size": numbers[:, 0], "weight": numbers[:, 1], "kind": kinds})
        frame.loc[:2, "size"] = np.nan
        values = np.concatenate([np.nan_to_num(numbers), np.eye(3)[letters]], 1)
        return side(torch.from_numpy(values).float(), frame)

    train, holdout, generated = rows(300), rows(100), rows(200)
    given = replace(evidence(FRESH), spec=Spec("tables", (5,)), train=train, holdout=holdout, generated=generated)
    assert answer_new(given).figure("exact copies").value == 0
    copied = answer_new(replace(given, generated=train.take(np.arange(200))))
    assert copied.verdict == "no"
    assert copied.figure("exact copies").value == 1
    (table,) = answer_new(replace(given, generated=train.take(np.arange(200)), show_rows=True)).tables
    assert table.header == ["distance", "", "size", "weight", "kind"]
    assert [row[1] for row in table.rows[:2]] == ["generated", "training"]
    assert table.rows[0][2:] == table.rows[1][2:]


def test_what_training_rows_hold_stays_hidden_unless_it_is_asked_for() -> None:
    pandas = pytest.importorskip("pandas")
    features = torch.arange(60.0)[:, None]
    train = side(
        features, pandas.DataFrame({"income": 1000.0 + 10 * np.arange(60), "town": [f"t{i}" for i in range(60)]})
    )
    made = train.frame.copy()
    made["income"] += np.where(np.arange(60) % 2, 20.0, 900.0)  # within 5 % of the row's own, and far from it
    generated = side(features, made)
    given = replace(evidence(FRESH), spec=Spec("tables", (1,)), train=train, holdout=train, generated=generated)
    (hidden,), (shown,) = (
        show_pairs(given_, train, generated, torch.zeros(60), torch.arange(60), np.random.default_rng(0))[0]
        for given_ in (given, replace(given, show_rows=True))
    )
    assert hidden.header == ["distance", "equal", "income", "town"]
    assert [row[1:] for row in hidden.rows[:2]] == [["1 of 2", "1900", "="], ["1 of 2", "≈", "="]]
    secrets = {cell for row in shown.rows if row[1] == "training" for cell in row[2:]}
    assert secrets and not secrets & {cell for row in hidden.rows for cell in row}


def test_whole_numbers_equal_themselves_with_a_fraction_and_missing_cells_are_alike() -> None:
    pandas = pytest.importorskip("pandas")
    features = torch.zeros(3, 1)
    train = side(features, pandas.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"]}))
    other = side(features, pandas.DataFrame({"a": [1.0, 2.0, 3.5], "b": ["x", np.nan, "y"]}))
    assert exact_copies(train, other, None).tolist() == [True, True, False]


def by_subsets(train: Tensor, holdout: Tensor, generated: Tensor, times: int = 400) -> float:
    """The share nearer to training by drawing subsets of the holdout's size again and again."""
    draw = torch.Generator().manual_seed(0)
    unseen = torch.cdist(generated.double(), holdout.double()).amin(1)
    shares = []
    for _ in range(times):
        chosen = train[torch.randperm(len(train), generator=draw)[: len(holdout)]]
        known = torch.cdist(generated.double(), chosen.double(), compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        shares.append(float(((known < unseen - 1e-9).double() + ((known - unseen).abs() <= 1e-9) / 2).mean()))
    return float(np.mean(shares))


@pytest.mark.parametrize("spread", [1.0, 0.3])
def test_the_share_nearer_to_training_is_the_mean_over_subsets(spread: float) -> None:
    train, holdout, generated = normal(200, 0, 3), normal(40, 1, 3), spread * normal(100, 2, 3)
    expected = by_subsets(train, holdout, generated)
    assert nearer_to_training(train, holdout, generated).nearer[0] == pytest.approx(expected, abs=0.005)


def test_the_intervals_hold_the_truth_of_a_model_without_memory() -> None:
    held = []
    for seed in range(30):
        sets = normal(400, 3 * seed, 4), normal(60, 3 * seed + 1, 4), normal(300, 3 * seed + 2, 4)
        memory = nearer_to_training(*sets)
        held.append((within(memory.nearer[1], 0.5), within(memory.remembered[1], 0.0)))
    assert min(np.mean(held, 0)) >= 0.9


def test_a_crowd_around_one_real_sample_is_one_finding_and_many_copies_are_many() -> None:
    train, holdout = normal(900, 0), normal(100, 1)
    crowd = nearer_to_training(train, holdout, train[:1] + 1e-3 * normal(500, 2))
    assert crowd.remembered[0] == 1
    assert crowd.remembered[1][0] < 0
    copies = nearer_to_training(train, holdout, train[:500])
    assert copies.remembered[1][0] > 0.6


def within(interval: Interval, truth: float) -> bool:
    return interval[0] <= truth <= interval[1]
