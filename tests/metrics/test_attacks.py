"""The three attacks on rows: known rates, controls that rise with the data's own ties, planted copies, odd columns."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gannet.metrics.attacks import (
    Attack,
    Condition,
    Rate,
    Tabular,
    _alone_in_subset,
    _Distances,
    attribute_inference,
    linkability,
    matches,
    singling_out,
)

pandas = pytest.importorskip("pandas")


def people(count: int, seed: int):
    """Correlated numbers and categories, some missing."""
    random = np.random.default_rng(seed)
    age = random.normal(40, 12, count).round().clip(17, 90)
    income = np.exp(random.normal(3, 1, count) + age / 60).round(2)
    frame = pandas.DataFrame(
        {
            "age": age,
            "income": income,
            "job": random.choice(list("abcdefgh"), count),
            "rich": np.where(income > 40, "yes", "no"),
            "height": random.normal(170, 10, count).round(1),
            "visits": random.poisson(age / 3),
        }
    )
    frame.loc[random.random(count) < 0.05, "height"] = np.nan
    return frame


def table(train, control, generated) -> Tabular:
    return Tabular.of([train, control, generated])


def every(given: Tabular, seed: int = 0, attempts: int = 300) -> dict[str, Attack]:
    random = np.random.default_rng(seed)
    inferred = attribute_inference(given, random, attempts)
    found = [
        singling_out(given, random, multivariate=False, attempts=attempts),
        singling_out(given, random, multivariate=True, attempts=attempts),
        linkability(given, random, attempts),
        None if inferred is None else inferred[0],
    ]
    return {attack.name: attack for attack in found if attack is not None}


# Rates and risks


def test_the_risk_is_what_exceeds_the_control_and_never_below_nothing() -> None:
    attack = Attack("a", 1000, Rate.of(0.6, 1000), Rate.of(0.5, 1000), 0.1)
    assert attack.risk.value == pytest.approx(0.2)
    assert attack.risk.interval[0] < 0.2 < attack.risk.interval[1]
    below = Attack("a", 1000, Rate.of(0.4, 1000), Rate.of(0.5, 1000), 0.1)
    assert below.risk.value == 0
    assert below.risk.interval[0] == 0
    everything = Attack("a", 10, Rate.of(1.0, 10), Rate.of(1.0, 10), 0.1)
    assert everything.risk.value == 0


def test_the_interval_of_the_risk_holds_the_truth_as_often_as_it_says() -> None:
    random, inside = np.random.default_rng(0), 0
    for _ in range(400):
        main, control = random.binomial(200, 0.5) / 200, random.binomial(200, 0.3) / 200
        low, high = Attack("a", 200, Rate.of(main, 200), Rate.of(control, 200), 0.0).risk.interval
        inside += low <= (0.5 - 0.3) / 0.7 <= high
    assert 368 <= inside <= 394


# Tables as numbers


def test_columns_of_every_kind_become_comparable_numbers() -> None:
    first = pandas.DataFrame(
        {
            "whole": pandas.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "word": ["x", None, "y"],
            "kind": pandas.Categorical(["p", "q", "p"]),
            "day": pandas.to_datetime(["2024-01-02", None, "2024-01-01"]),
            "span": pandas.to_timedelta([1, 2, None], unit="s"),
            "wild": [np.inf, 1.0, np.nan],
            7: ["left", "out", "x"],
        }
    )
    given = Tabular.of([first, first.iloc[[2, 0]]], skip=["7"])
    assert given.names == ("whole", "flag", "word", "kind", "day", "span", "wild")
    assert given.numeric.tolist() == [True, False, False, False, True, True, True]
    rows = given.parts[0]
    assert np.array_equal(rows[[2, 0]], given.parts[1], equal_nan=True)
    assert np.array_equal(rows[:, 0], [1, np.nan, 3], equal_nan=True)
    assert np.isnan(rows[1, 2])
    assert rows[0, 3] == rows[2, 3] != rows[1, 3]
    assert np.array_equal(rows[:, 4], [86400, np.nan, 0], equal_nan=True)
    assert np.isnan(rows[[0, 2], 6]).all()


def test_distances_are_those_of_the_definition() -> None:
    frame = people(60, 0)
    given = Tabular.of([frame, frame])
    rows = given.parts[0]
    distances = _Distances(given, rows[:20], rows)
    distances.height = 7
    found = np.zeros((20, 60), dtype=np.float32)
    for block in distances.blocks():
        part = np.zeros((len(found[block]), 60), dtype=np.float32)
        for column in range(rows.shape[1]):
            distances.add(part, block, column)
        found[block] = part
    for one, other in combinations(range(20), 2):
        expected = 0.0
        for column in range(rows.shape[1]):
            x, y, all_values = rows[one, column], rows[other, column], rows[:, column]
            if np.isnan(x) or np.isnan(y):
                expected += float(np.isnan(x) != np.isnan(y))
            elif given.numeric[column]:
                present = all_values[~np.isnan(all_values)]
                rank = [((present < value).mean() + (present <= value).mean()) / 2 for value in (x, y)]
                expected += abs(rank[0] - rank[1])
            else:
                expected += float(x != y)
        assert found[one, other] == pytest.approx(expected, abs=1e-5)


# Predicates


def test_predicates_match_what_they_say() -> None:
    rows = np.array([[1.0, 5.0], [2.0, np.nan], [2.0, 7.0]])
    assert matches((Condition(0, "=", 2.0),), rows).tolist() == [1, 2]
    assert matches((Condition(0, ">=", 2.0), Condition(1, ">=", 6.0)), rows).tolist() == [2]
    assert matches((Condition(1, "=", float("nan")),), rows).tolist() == [1]
    assert matches((Condition(1, "<=", 5.0),), rows).tolist() == [0]


def test_the_chance_to_stay_alone_in_a_subset_equals_counting_all_subsets() -> None:
    total, size = 7, 3
    subsets = list(combinations(range(total), size))
    counts = np.array([0, 1, 2, 5, 7])
    expected = [np.mean([sum(row < count for row in subset) == 1 for subset in subsets]) for count in counts]
    assert _alone_in_subset(counts, total, size) == pytest.approx(np.array(expected))


# What the attacks find


def test_a_copying_model_is_caught_by_every_attack_far_above_its_control() -> None:
    train, control = people(900, 0), people(300, 1)
    attacks = every(table(train, control, train))
    assert len(attacks) == 4
    for attack in attacks.values():
        assert attack.main.value > 0.9
        assert attack.risk.interval[0] > 0.5
        assert attack.naive < attack.main.value


def test_fresh_rows_are_no_risk_over_several_seeds() -> None:
    low = [
        attack.risk.interval[0]
        for seed in range(6)
        for attack in every(table(people(900, 3 * seed), people(300, 3 * seed + 1), people(900, 3 * seed + 2))).values()
    ]
    assert len(low) == 24
    assert sum(value > 0.01 for value in low) <= 2
    assert max(low) < 0.05


def test_what_the_population_teaches_is_no_risk() -> None:
    # The secret is a function of a known column: guessed nearly always, and of unseen rows just as well.
    def doubles(seed: int):
        values = np.random.default_rng(seed).integers(1, 30, 600)
        return pandas.DataFrame({"known": values, "secret": 2 * values, "word": [f"w{value}" for value in values]})

    attack, columns = attribute_inference(table(doubles(0), doubles(1), doubles(2)), np.random.default_rng(0))
    assert attack.main.value > 0.99
    assert attack.control.value > 0.99
    assert attack.naive < 0.2
    assert attack.risk.value <= 0.01
    assert [each.name for each in columns] == ["known", "secret", "word"]


def test_the_control_of_singling_out_is_brought_to_the_number_of_training_rows() -> None:
    # Fresh rows, ten times as many of them in training as in the control: alike only after the correction.
    mains, controls = [], []
    for seed in range(4):
        given = table(people(3000, 3 * seed), people(300, 3 * seed + 1), people(2000, 3 * seed + 2))
        attack = singling_out(given, np.random.default_rng(0), multivariate=True, attempts=400)
        mains.append(attack.main.value)
        controls.append(attack.control.value)
    assert np.mean(controls) == pytest.approx(np.mean(mains), rel=0.25)


def test_guessing_links_by_chance_alone_where_columns_say_nothing() -> None:
    random = np.random.default_rng(0)
    frames = [pandas.DataFrame(random.random((count, 4))) for count in (2000, 2000, 100)]
    attack = linkability(Tabular.of(frames), np.random.default_rng(0))
    expected = 1 - np.prod([(95 - step) / (100 - step) for step in range(5)])  # no common one of two fives in 100
    assert attack.naive == pytest.approx(expected)
    assert attack.main.value == pytest.approx(expected, abs=0.03)
    assert attack.control.value == pytest.approx(expected, abs=0.03)


def test_identical_rows_are_not_linked_because_they_come_first() -> None:
    alike = pandas.DataFrame({name: ["same"] * 200 for name in "abcd"})
    assert linkability(table(alike, alike, alike), np.random.default_rng(0)).main.value <= 0.5


def test_numbers_within_five_per_cent_count_as_guessed() -> None:
    train = pandas.DataFrame({"key": list("abcdefgh") * 10, "value": [100.0, 200, 300, 400, 500, 600, 700, 800] * 10})
    for factor, expected in ((1.04, 1.0), (1.06, 0.0)):
        generated = train.assign(value=train["value"] * factor)
        _, columns = attribute_inference(table(train, train, generated), np.random.default_rng(0))
        assert columns[1].main.value == expected


@pytest.mark.parametrize(
    "frame",
    [
        {"a": [1.0] * 30, "b": ["x"] * 30},
        {"a": [np.nan] * 30, "b": [None] * 30},
        {"a": [np.nan] * 29 + [1.0], "b": list(range(30))},
        {"day": [None] * 30, "b": [True] * 30},
        {"only": list(range(30))},
    ],
)
def test_odd_columns_neither_crash_nor_alarm(frame: dict) -> None:
    rows = pandas.DataFrame(frame)
    if "day" in frame:
        rows["day"] = pandas.to_datetime(rows["day"])
    for attack in every(table(rows, rows, rows)).values():
        assert 0 <= attack.risk.value <= attack.risk.interval[1] <= 1
        assert attack.risk.interval[0] == 0


def test_the_same_draw_gives_the_same_attacks() -> None:
    given = table(people(200, 0), people(100, 1), people(200, 2))
    assert every(given) == every(given)
