"""How single columns are encoded: exact round trips, quantile tolerance, rare levels, identifiers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gannet.domains.columns import MOST_LEVELS, Choice, Constant, Identifier, fit, from_json
from gannet.domains.table_column import Encoded
from gannet.domains.table_number import Asked, Number, knot_probabilities
from gannet.domains.table_rounding import learn_decimals, learn_step
from gannet.domains.table_stretches import place, pooled_cuts, read
from gannet.domains.table_values import Form, Numbers, Spelling, Texts, spell, texts, understand
from gannet.errors import GannetError
from gannet.spec import Block, Spec

RANDOM = np.random.default_rng(0)


def form(meaning="decimal", name="x", **more):
    return Form(name, meaning, "float64", **more)


def there_and_back(column, values, random=None):
    again = from_json(json.loads(json.dumps(column.to_json(), allow_nan=False)))
    assert again == column
    return again.decode(column.encode(values, random), len(values), np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("seed", [None, 3])
def test_integers_come_back_exactly_whether_or_not_they_are_spread_over_their_quantiles(seed):
    values = Numbers(np.random.default_rng(0).poisson(40, 5_000).astype(float))
    random = None if seed is None else np.random.default_rng(seed)
    back = there_and_back(Number.fit("x", values), values, random)
    np.testing.assert_array_equal(back.array, values.array)


def test_decimals_come_back_within_one_float32_step_of_the_steepest_quantile_segment():
    values = Numbers(np.random.default_rng(0).lognormal(3, 1.5, 20_000))
    column = Number.fit("x", values)
    back = there_and_back(column, values)
    # One step of float32 near 1, in units of probability, times the steepest knot-to-knot slope.
    slope = (np.diff(column.knots) / np.diff(knot_probabilities(column.sampled))).max()
    assert np.abs(back.array - values.array).max() <= slope * 2.0**-24
    assert column.decimals is None


def test_the_number_of_a_column_is_uniform_between_minus_one_and_one():
    values = Numbers(np.random.default_rng(0).exponential(5, 20_000).round())
    numbers = Number.fit("x", values).encode(values, np.random.default_rng(1)).numbers
    codes = Number.fit("x", values).encode(values).codes
    free = np.sort(numbers[codes == 0])
    ideal = np.linspace(-1, 1, len(free))
    assert np.abs(free - ideal).max() < 0.02


def test_a_quantile_table_never_holds_all_values_and_at_most_1001_knots():
    for count in (50, 3_000, 200_000):
        column = Number.fit("x", Numbers(np.random.default_rng(0).normal(size=count)))
        assert len(column.knots) <= min(1001, max(2, count // 10 + 2))


def test_point_masses_and_missing_values_become_levels_beside_the_number():
    array = np.concatenate([np.zeros(900), np.full(200, 999.0), np.full(300, np.nan), RANDOM.normal(50, 9, 600)])
    column = Number.fit("x", Numbers(array))
    assert column.masses == (0.0, 999.0)
    assert [block.kind for block in column.blocks] == ["choice", "numbers"]
    assert column.choice_width == 4
    back = there_and_back(column, Numbers(array))
    np.testing.assert_array_equal(np.isnan(back.array), np.isnan(array))
    np.testing.assert_array_equal(back.array[:1100], array[:1100])


def test_a_complete_continuous_column_is_one_number_and_nothing_else():
    column = Number.fit("x", Numbers(RANDOM.normal(size=500)))
    assert column.choice_width == 0 and column.has_number


def test_decoded_numbers_stay_inside_the_seen_range_and_on_its_rounding():
    values = Numbers(np.random.default_rng(0).uniform(1.5, 9.5, 1_000).round(1))
    column = Number.fit("x", values)
    wild = Encoded(None, np.linspace(-9, 9, 400).astype(np.float32))
    back = column.decode(wild, 400, RANDOM).array
    assert back.min() == values.array.min() and back.max() == values.array.max()
    np.testing.assert_array_equal(back, back.round(1))


def test_infinite_values_are_levels_and_survive_json():
    array = np.append(RANDOM.normal(size=500), [np.inf, -np.inf])
    column = Number.fit("x", Numbers(array))
    np.testing.assert_array_equal(there_and_back(column, Numbers(array)).array[-2:], array[-2:])


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([1.0, 2.0], 0), ([1.5, 2.0], 1), ([1.25, 3.0], 2), ([100.0, 2500.0], 0), ([1 / 3, 0.1], None)],
)
def test_rounding_is_learned(values, decimals):
    assert learn_decimals(np.array(values)) == decimals


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([3400.0, 3425.0, 4000.0], 25.0),
        ([0.05, 1.15, -2.0], 0.05),
        ([0.0, 7.0], 7.0),
        ([0.0, 0.0], 1.0),
        ([1 / 3], 0.0),
    ],
)
def test_values_keep_to_the_multiples_they_came_in(values, step):
    values = np.array(values)
    assert learn_step(values, learn_decimals(values)) == pytest.approx(step)


def test_decoded_numbers_are_multiples_of_the_step():
    values = Numbers(np.random.default_rng(0).integers(100, 250, 900) * 25.0)
    back = Number.fit("x", values).decode(Encoded(None, np.linspace(-1, 1, 777).astype(np.float32)), 777, RANDOM)
    assert (back.array % 25 == 0).all()


def test_rounding_is_learned_through_the_noise_of_float32():
    assert learn_decimals(np.array([0.1, 2.7, 33.3], dtype=np.float32).astype(float)) == 1


# ------------------------------------------------------------------------------------------ stretches of values


def rows_of(values, least=3):
    """Each value `least` times and more, the more the larger its place."""
    return np.repeat(values, least + np.arange(len(values)) % 40)


IRREGULAR = [0.3, 0.31, 0.5, 7.25]
DISTINCT = {
    "integers": np.arange(17.0, 91),
    "irregular decimals": np.array([*IRREGULAR, *np.arange(8, 40, 0.35).round(2), 1e6]),
    "as many as there may be": np.random.default_rng(0).permutation(5_000)[:1024] / 100,
    "unrounded": np.random.default_rng(0).normal(size=300),
    "dates": np.arange(18_000.0, 18_900),
}


@pytest.mark.parametrize("name", DISTINCT)
@pytest.mark.parametrize("seed", [None, 3])
def test_stretches_between_cuts_are_the_distinct_values_one_to_one(name, seed):
    values = np.random.default_rng(1).permutation(rows_of(DISTINCT[name]))
    column = Number.fit("x", Numbers(values))
    (block,) = column.blocks
    cuts = np.array(block.cuts)
    distinct = np.unique(values)
    assert len(cuts) == len(distinct) - 1
    edges = np.concatenate([[-1], cuts, [1]])
    assert (np.diff(edges) > 0).all() and (cuts == cuts.astype(np.float32)).all()
    numbers = column.encode(Numbers(values), None if seed is None else np.random.default_rng(seed)).numbers
    place = np.searchsorted(distinct, values)
    assert ((edges[place] < numbers) & (numbers < edges[place + 1])).all()
    for share in (1e-3, 0.4, 1 - 1e-3):
        inside = (edges[:-1] + share * np.diff(edges)).astype(np.float32)
        np.testing.assert_array_equal(column.decode(Encoded(None, inside), len(inside), RANDOM).array, distinct)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.floats(-1e6, 1e6, allow_subnormal=False), st.integers(3, 3_000_000), min_size=21, max_size=60)
)
def test_whatever_the_values_and_however_uneven_their_counts_each_keeps_its_stretch(rows):
    values, counts = np.array(sorted(rows)), np.array([rows[value] for value in sorted(rows)])
    cuts = np.array(pooled_cuts(counts))
    for random in (None, np.random.default_rng(0)):
        indices = np.repeat(np.arange(len(values)), 5)
        np.testing.assert_array_equal(read(place(indices, cuts, random), cuts), indices)


def test_a_stretch_is_as_wide_as_the_share_of_its_value_unless_few_rows_stand_behind_it():
    counts = np.array([500, 4, 300, 1, 3, 8, 188, 6, 30])
    widths = np.diff([-1, *pooled_cuts(counts), 1]) / 2 * counts.sum()
    np.testing.assert_allclose(widths, [500, 5, 300, 4, 4, 4, 188, 5, 30], rtol=1e-4)
    assert sum(widths) == pytest.approx(counts.sum())


def test_values_told_apart_by_single_rows_alone_are_smooth_and_those_that_repeat_have_cuts():
    assert Number.fit("x", Numbers(RANDOM.normal(size=900))).blocks[0].cuts is None
    assert Number.fit("x", Numbers(rows_of(np.arange(1025.0)))).blocks[0].cuts is None
    assert Number.fit("x", Numbers(rows_of(np.arange(1024.0)))).blocks[0].cuts is not None


def test_point_masses_have_no_stretch_and_a_spec_keeps_its_cuts():
    array = np.concatenate([np.zeros(500), rows_of(np.arange(1.0, 41)), [np.nan] * 20])
    choice, number = Number.fit("x", Numbers(array)).blocks
    assert choice.cuts is None and len(number.cuts) == 39
    spec = Spec("tables", (choice.width + 1,), None, (choice, number))
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    older = {"kind": "tables", "shape": [3], "condition": None, "blocks": [["choice", 2], ["numbers", 1]]}
    assert Spec.from_json(older).blocks == (Block("choice", 2), Block("numbers", 1))


# ------------------------------------------------------------------------------------------------------ choices


def test_categories_booleans_and_few_valued_numbers_come_back_exactly():
    column = texts(["a", None, "b", "a"] * 30)
    back = there_and_back(fit(form("text"), column), column)
    assert back.objects().tolist() == column.objects().tolist()
    few = Numbers(np.array([0, 1, 5, 5, np.nan, 0] * 20, dtype=float))
    encoder = fit(form("integer"), few)
    assert isinstance(encoder, Choice) and encoder.choice_width == 4
    np.testing.assert_array_equal(there_and_back(encoder, few).array, few.array)


def test_a_hundred_thousand_levels_take_200_features_and_the_rare_ones_come_back_by_frequency():
    codes = np.concatenate([np.arange(100_000), np.zeros(5_000, dtype=int), np.full(40_000, 70_000)])
    column = Choice.fit("x", Texts(codes, [f"level {code}" for code in range(100_000)]))
    assert column.choice_width == MOST_LEVELS
    rare = Encoded(np.full(2_000, MOST_LEVELS - 1, dtype=np.uint16), None)
    drawn = column.decode(rare, 2_000, np.random.default_rng(0)).objects()
    assert len(set(drawn)) > 1_900 and not set(drawn) & set(column.levels)
    assert (drawn == column.decode(rare, 2_000, np.random.default_rng(0)).objects()).all()


def test_a_value_never_seen_is_refused_by_name_unless_rare_values_have_a_level():
    column = Choice.fit("town", texts(["a", "b"] * 20))
    with pytest.raises(GannetError, match="'town'.*'c'"):
        column.encode(texts(["a", "c"]))


def test_missing_values_where_none_were_seen_are_refused():
    for column, values in (
        (Choice.fit("x", texts(["a", "b"])), texts(["a", None])),
        (Number.fit("x", Numbers(np.arange(99.0))), Numbers(np.array([1.0, np.nan]))),
    ):
        with pytest.raises(GannetError, match="missing"):
            column.encode(values)


# ------------------------------------------------------------------------------------------------- not learned


def test_constants_and_empty_columns_are_written_back():
    for values in (Numbers(np.full(50, 7.0)), texts(["only"] * 50), Numbers(np.full(50, np.nan)), texts([None] * 50)):
        column = fit(form("text"), values)
        assert isinstance(column, Constant) and column.blocks == ()
        back = there_and_back(column, values)
        np.testing.assert_array_equal(spell(back, form()), spell(values, form()))


@pytest.mark.parametrize(
    "values",
    [
        [f"C-{number:05d}" for number in range(300)],
        [f"{number * 7919 % 16**6:06x}-{number:02x}" for number in range(200)],
        [f"{'ab'[number % 2]}{number * 37}@mail.org" for number in range(200)],
    ],
)
def test_unique_texts_are_identifiers_made_anew_in_the_same_pattern(values):
    column = fit(form("text", "key"), texts(values))
    assert isinstance(column, Identifier)
    made = there_and_back(column, texts(values)).objects().tolist()
    assert len(set(made)) == len(made) == len(values)
    assert len(set(made) & set(values)) <= 2
    shape = [sum(letter in "-@." for letter in text) for text in values]
    assert [sum(letter in "-@." for letter in text) for text in made] == shape


def test_the_state_of_identifiers_holds_their_pattern_and_no_value():
    values = [f"{number * 7919 % 16**6:06x}" for number in range(300)]
    stored = json.dumps(fit(form("text"), texts(values)).to_json())
    assert not any(value in stored for value in values)


def test_counters_go_on_past_the_largest():
    column = fit(form("integer", "row"), Numbers(np.arange(1.0, 301)))
    back = there_and_back(column, Numbers(np.arange(1.0, 301)))
    np.testing.assert_array_equal(back.array, np.arange(301.0, 601))


def test_different_integers_that_do_not_count_rows_are_numbers():
    salaries = np.sort(np.random.default_rng(0).choice(90_000, 300, replace=False)).astype(float)
    assert isinstance(fit(form("integer", "salary"), Numbers(salaries)), Number)
    assert isinstance(fit(form("integer", "paid"), Numbers(salaries)), Number)
    assert isinstance(fit(form("integer", "customerID"), Numbers(salaries)), Identifier)


def test_nearly_unique_text_is_not_learned_either():
    names = [f"Anna {chr(97 + number % 26)}{number}" for number in range(100)] + ["Anna a0"] * 3
    assert isinstance(fit(form("text", "name"), texts(names)), Identifier)


# ----------------------------------------------------------------------------------------------------- conditions


def test_an_asked_number_is_standardised_and_comes_back_with_its_missing_values():
    array = np.append(np.arange(100.0), np.nan)
    column = Asked.fit("age", Numbers(array))
    number = column.encode(Numbers(array)).numbers[:100]
    assert abs(number.mean()) < 1e-6 and abs(number.std() - 1) < 1e-6
    np.testing.assert_array_equal(there_and_back(column, Numbers(array)).array, array)
    assert [field.name for field in column.fields(form("integer"))] == ["age is missing", "age"]


def test_a_missing_value_is_a_level_that_can_be_asked_for():
    field = Choice.fit("sex", texts(["f", "m", None])).fields(form("text"))[0]
    assert field.levels == ("f", "m", "(missing)")


def test_constants_cannot_be_asked_for():
    with pytest.raises(GannetError, match="constant"):
        Constant("x", 1.0).fields(form())


# ---------------------------------------------------------------------------------------------- what text means


@pytest.mark.parametrize(
    ("items", "meaning"),
    [
        (["1", "2", "-3"], "integer"),
        (["1.5", "2", "1e-3"], "decimal"),
        (["1,5", "2,25"], "decimal"),
        (["yes", "no", "yes"], "boolean"),
        (["True", "False"], "boolean"),
        (["0", "1"], "integer"),
        (["007", "010"], "text"),
        (["12345678901234567890", "2"], "text"),
        (["2024-01-31", "1999-12-01"], "date"),
        (["31/01/2024", "01/12/1999"], "date"),
        (["1/31/2024 5:03", "12/1/1999 14:30"], "date"),
        (["3 Feb 2024", "11 Mar 2024"], "date"),
        (["a", "1"], "text"),
        (["inf", "1"], "text"),
    ],
)
def test_text_is_understood_and_spelled_back_as_it_was(items, meaning):
    column = texts([*items, "", " NA "])
    found = understand(column)
    assert found.meaning == meaning
    spelled = spell(found.values, Form("x", found.meaning, "", True, found.unit, spelling=found.spelling))
    assert spelled.tolist()[: len(items)] == [item if item != "1e-3" else "0.001" for item in items][: len(items)]
    assert spelled.tolist()[len(items) :] == [None, None]


@pytest.mark.parametrize("spelling", ["", "NA", "NaN", "null", "None", "?", " "])
def test_the_spelling_of_missing_values_is_kept(spelling):
    assert understand(texts(["1", spelling, spelling, "2"])).spelling.missing == spelling


def test_fixed_decimals_are_written_back():
    found = understand(texts(["1.50", "2.00"]))
    assert found.spelling == Spelling(fixed_decimals=2)


def test_numbers_mixed_with_text_are_categories_with_a_remark():
    found = understand(texts(["1", "2", "3", "unknown"]))
    assert found.meaning == "text" and "'unknown'" in found.remark


def test_an_ambiguous_date_is_said_to_be_so():
    assert "would fit too" in understand(texts(["01/02/2024", "03/04/2024"])).remark
    assert understand(texts(["31/02/2024", "03/04/2024"])).meaning == "text"
    assert understand(texts(["31/01/2024", "03/04/2024"])).remark is None


def test_a_wanted_type_turns_what_does_not_fit_into_missing():
    found = understand(texts(["1", "2", "many"]), wanted="integer")
    assert found.meaning == "integer" and np.isnan(found.values.array[2])
    assert "1 of its values" in found.remark
