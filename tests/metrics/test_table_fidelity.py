"""Tables by their columns, pairs and groups: known distances, independent references, and planted failures."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from scipy import stats

from gannet.metrics.answer import Figure
from gannet.metrics.table_fidelity import (
    TableFidelity,
    cells,
    column_shift,
    joint_distance,
    rank_correlations,
    read_columns,
    shape_distance,
    table_fidelity,
)

NAN = float("nan")


def people(rows: int, seed: int) -> pandas.DataFrame:
    """Six columns that depend on each other: skewed, mostly zero, categories, missing values, and a three-way XOR."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 80, rows).astype(float)
    income = np.exp(random.normal(8 + age / 40, 0.5))
    gain = np.where(random.random(rows) < 0.08, income * random.random(rows), 0.0)
    kind = np.where(random.random(rows) < age / 100, "owner", "tenant").astype(object)
    kind[random.random(rows) < 0.05] = None
    first, second = random.random(rows) < 0.5, random.random(rows) < 0.5
    frame = {"age": age, "income": income, "gain": gain, "kind": kind, "first": first, "second": second}
    return pandas.DataFrame({**frame, "odd": np.where(first ^ second, "odd", "even")})


def shuffled(frame: pandas.DataFrame, seed: int = 0) -> pandas.DataFrame:
    random = np.random.default_rng(seed)
    return pandas.DataFrame({name: random.permutation(frame[name].to_numpy()) for name in frame})


def judged(generated: pandas.DataFrame, rows: int = 1500, **options: object) -> TableFidelity:
    real, stand_in = people(rows, 1), people(rows, 2)
    floor = shuffled(stand_in)[list(generated.columns)]
    sides = [side[list(generated.columns)] for side in (real, generated, stand_in, floor)]
    return table_fidelity(*sides, random=np.random.default_rng(0), **options)


def figure(result: TableFidelity, name: str) -> Figure:
    return next(each for each in result.figures if each.name == name)


# The distances


def test_without_missing_values_the_shape_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    random = np.random.default_rng(0)
    for other in (random.normal(0.3, 2, 90), random.integers(0, 4, 90).astype(float)):
        real = random.normal(size=70)
        assert shape_distance(real, other) == pytest.approx(stats.ks_2samp(real, other).statistic)


def test_missing_values_count_as_a_level_of_a_number() -> None:
    assert shape_distance(np.array([1.0, NAN, NAN, NAN]), np.array([1.0, 1.0, 1.0, NAN])) == pytest.approx(0.5)
    assert shape_distance(np.array([NAN, NAN]), np.array([NAN])) == 0
    assert shape_distance(np.array([NAN, NAN]), np.array([5.0, 7.0])) == 1
    # Half of the rows turned from 1 and 2 to missing, both alike: only the missing ones differ.
    assert shape_distance(np.array([1.0, 1, 2, 2]), np.array([1.0, NAN, 2, NAN])) == pytest.approx(0.5)


def test_a_shift_is_measured_in_deviations_from_the_median() -> None:
    random = np.random.default_rng(0)
    real, other = random.exponential(size=300), random.exponential(size=200) * 2
    deviation = np.abs(real - np.median(real)).mean()
    expected = stats.wasserstein_distance(real, other) / deviation
    assert column_shift(real, other) == pytest.approx(expected)
    assert column_shift(real * 1e200, other * 1e200) == pytest.approx(expected)
    assert column_shift(real, np.full(50, np.median(real))) == pytest.approx(1)


def test_shifts_of_constant_and_empty_columns_are_defined() -> None:
    assert column_shift(np.ones(4), np.ones(9)) == 0
    assert column_shift(np.ones(4), np.array([1.0, 1, 1, 2])) == 0.25
    assert column_shift(np.ones(4), np.full(3, NAN)) is None


def test_rank_correlations_are_spearmans_also_with_ties() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 8, (200, 4)) + np.arange(200)[:, None] / 100
    values[:, 3] = np.round(values[:, 3])
    np.testing.assert_allclose(rank_correlations(values), stats.spearmanr(values).statistic, atol=1e-12)


def test_rank_correlations_survive_constants_and_missing_values() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=400)
    values = np.stack([first, np.where(random.random(400) < 0.3, NAN, first**3), np.ones(400), np.full(400, NAN)], 1)
    found = rank_correlations(values)
    assert found[0, 1] == pytest.approx(1, abs=0.01)
    assert (found[2:] == 0).all()
    assert np.isfinite(found).all()


def test_the_joint_distance_is_half_the_summed_differences() -> None:
    assert joint_distance(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), 4) == pytest.approx(0.25)
    assert joint_distance(np.array([0, 0]), np.array([3]), 4) == 1


# Reading and cutting columns


def test_whole_numbers_and_floats_spell_the_same_level_and_infinity_is_missing() -> None:
    left = pandas.DataFrame({"a": pandas.Categorical([1, 2, 1]), "b": [1.0, np.inf, 3.0]})
    right = pandas.DataFrame({"a": pandas.Categorical([1.0, None, 2.0]), "b": [1, 2, 3]})
    level, number = read_columns([left, right], real=1)
    assert level.levels == ("1", "2")
    assert [values.tolist() for values in level.values] == [[0, 1, 0], [0, -1, 1]]
    assert number.levels is None
    assert np.isnan(number.values[0]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (pandas.array([1, None, 3], dtype="Int64"), [1, NAN, 3]),
        (pandas.to_datetime(["1970-01-01", None, "1970-01-02"]), [0, NAN, 86_400e6]),
        (pandas.to_datetime(["1970-01-01", None, "1970-01-02"]).tz_localize("UTC"), [0, NAN, 86_400e6]),
        (pandas.to_timedelta([0, None, 1], unit="s"), [0, NAN, 1e6]),
        (pandas.array([1, None, 3.5], dtype=object), [1, NAN, 3.5]),
    ],
)
def test_numbers_of_every_type_are_read(values: object, numbers: list[float]) -> None:
    (column,) = read_columns([pandas.DataFrame({"a": values})], real=1)
    np.testing.assert_array_equal(column.values[0], numbers)


@pytest.mark.parametrize("values", [[True, None, False], ["x", None, "y"], [("a",), None, "b"], [1, None, "b"]])
def test_anything_else_is_levels(values: list[object]) -> None:
    (column,) = read_columns([pandas.DataFrame({"a": pandas.array(values, dtype=object)})] * 2, real=1)
    assert column.levels is not None and len(column.levels) == 2
    assert column.missing(0).tolist() == [False, True, False]


def test_a_column_where_nothing_is_known_fits_with_any_other() -> None:
    nothing, numbers = pandas.DataFrame({"a": [None, None]}), pandas.DataFrame({"a": [1.0, 2.0]})
    (column,) = read_columns([nothing, numbers], real=1)
    assert column.levels is None
    assert column.missing(0).all() and not column.missing(1).any()


def test_bins_are_those_of_the_real_rows_and_equally_full() -> None:
    real, wide = np.random.default_rng(0).normal(size=(2, 1000))
    (column,) = read_columns([pandas.DataFrame({"a": real}), pandas.DataFrame({"a": wide * 50})], real=1)
    (here, there), size = cells(column, 10)
    counts = np.bincount(here, minlength=size)
    assert counts[:3].tolist() == [0, 0, 0]
    assert counts[3:].min() >= 95
    assert (np.isin(there, [1, 2])).mean() > 0.9  # beyond the real range


def test_a_value_that_fills_a_bin_is_a_cell_and_the_rest_is_still_cut() -> None:
    real = np.concatenate([np.zeros(920), np.arange(1, 81)])
    (column,) = read_columns([pandas.DataFrame({"a": real})], real=1)
    (found,), size = cells(column, 10)
    assert np.bincount(found, minlength=size).tolist() == [0, 0, 0, 40, 40, 920]


# The figures


def test_real_rows_stand_where_real_rows_stand() -> None:
    result = judged(people(1500, 3))
    for each in result.figures:
        slack = 0.25 if each.name == "largest column shift" else 0.03  # two sets of a heavy tail differ
        assert each.value == pytest.approx(each.reference, abs=slack), each.name
        assert each.interval is not None and each.interval[0] <= each.value <= each.interval[1]
    assert {each.name for each in result.figures} == {
        *("column shapes", "largest column shift", "pair trends", "rank correlations"),
        *("groups of 3 columns", "groups of 6 columns"),
    }


def test_independent_columns_are_right_one_by_one_and_wrong_together() -> None:
    result = judged(shuffled(people(1500, 3)))
    assert figure(result, "column shapes").value > 0.97
    for name in ("pair trends", "rank correlations", "groups of 3 columns", "groups of 6 columns"):
        assert figure(result, name).standing < 0.3, name


def test_what_takes_three_columns_is_seen_by_groups_of_three_alone() -> None:
    columns = ["first", "second", "odd"]
    result = judged(shuffled(people(1500, 3))[columns])
    assert figure(result, "pair trends").value > 0.95
    assert figure(result, "groups of 3 columns").value < 0.6
    assert figure(result, "groups of 3 columns").reference > 0.95


@pytest.mark.parametrize("column", ["age", "income", "gain"])
def test_a_column_scaled_by_fifty_is_noticed_and_named(column: str) -> None:
    generated = people(1500, 3)
    result = judged(generated.assign(**{column: generated[column] * 50}))
    shift = figure(result, "largest column shift")
    assert shift.value > 20 * shift.reference
    assert shift.interval[0] > shift.reference
    assert result.worst_column == column
    assert result.tables[0].rows[0][0] == column
    assert figure(result, "pair trends").value < figure(result, "pair trends").reference - 0.02


def test_missing_values_filled_in_are_noticed() -> None:
    generated = people(1500, 3)
    generated["age"] = generated["age"].where(np.arange(1500) % 3 > 0)
    result = judged(generated)
    assert result.worst_column == "age"
    assert float(result.tables[0].rows[0][2]) < 0.7


def test_the_worst_pair_is_the_one_that_was_broken() -> None:
    generated = people(1500, 3)
    generated["income"] = np.random.default_rng(0).permutation(generated["income"].to_numpy())
    (worst, *_) = judged(generated).tables[1].rows
    assert worst[:2] == ["age", "income"]


def test_columns_left_out_are_not_judged() -> None:
    generated = people(1500, 3)
    result = judged(generated.assign(gain=generated["gain"] * 50), without=("gain",))
    assert figure(result, "largest column shift").value < 0.3
    assert "gain" not in [row[0] for row in result.tables[0].rows]


def test_a_lost_column_is_told() -> None:
    result = judged(people(1500, 3).assign(income=NAN))
    assert result.worst_column == "income"
    assert any("'income': every generated value is missing" in note for note in result.notes)


def test_wide_tables_are_compared_in_a_sample_of_pairs() -> None:
    random = np.random.default_rng(0)
    sides = [pandas.DataFrame(random.normal(size=(15, 70))).rename(columns=str) for _ in range(4)]
    result = table_fidelity(*sides, random=random)
    assert any("2,000 of 2,415 pairs" in note for note in result.notes)
    assert len(result.tables[0].rows) == 40


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"a": [1.0] * 12}),
        pandas.DataFrame({"a": [None] * 12, "b": ["x"] * 12}),
        pandas.DataFrame({"a": [NAN] * 12, "b": np.arange(12)}),
        pandas.DataFrame({"a": [1e300, -1e300] * 6, "b": [f"text {row}" for row in range(12)]}),
        pandas.DataFrame({"a": [1.0], "b": ["x"]}),
    ],
)
def test_degenerate_tables_have_perfect_figures_beside_themselves(frame: pandas.DataFrame) -> None:
    result = table_fidelity(frame, frame, frame, frame, random=np.random.default_rng(0))
    for each in result.figures:
        assert each.value == (0 if each.better == "lower" else 1), each.name


def test_a_table_without_columns_says_so() -> None:
    empty = pandas.DataFrame({"a": [1.0]})
    result = table_fidelity(empty, empty, empty, empty, random=np.random.default_rng(0), without=("a",))
    assert result.figures == []
    assert result.notes == ["there are no columns to judge."]
