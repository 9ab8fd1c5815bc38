"""How single columns are encoded: exact round trips, quantile tolerance, rare levels, identifiers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gannet.domains.columns import Choice, Constant, Identifier, Withheld, fit, from_json
from gannet.domains.table_choice import MOST_LEVELS
from gannet.domains.table_column import Encoded
from gannet.domains.table_number import Asked, Number, knot_probabilities
from gannet.domains.table_rounding import learn_decimals, learn_step
from gannet.domains.table_stretches import merged, nearest, place, pooled_cuts, read
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


@pytest.fixture(scope="module")
def towns():
    """100,000 levels over 200,000 rows, with prefixes as postcodes have; the later the name, the commoner."""
    random = np.random.default_rng(0)
    names = [f"{code:06d}" for code in random.permutation(100_000)]
    codes = np.concatenate([np.arange(100_000), (100_000 * random.random(100_000) ** 3).astype(int)])
    return Texts(random.permutation(codes), names)


def test_a_hundred_thousand_levels_take_200_features_and_a_number_and_come_back_exactly(towns):
    column = Choice.fit("x", towns)
    assert column.choice_width == MOST_LEVELS and [block.kind for block in column.blocks] == ["choice", "numbers"]
    for random in (None, np.random.default_rng(1)):
        back = column.decode(column.encode(towns, random), len(towns), RANDOM)
        assert (back.objects() == towns.objects()).all()


def test_the_number_of_a_rare_level_is_uniform_and_keeps_beginnings_together(towns):
    column = Choice.fit("x", towns)
    encoded = column.encode(towns, np.random.default_rng(1))
    rest = encoded.codes == MOST_LEVELS - 1
    numbers = np.sort(encoded.numbers[rest])
    assert np.abs(numbers - np.linspace(-1, 1, len(numbers))).max() < 0.01
    place = dict(zip(towns.objects()[rest], encoded.numbers[rest], strict=True))
    near = [number for text, number in place.items() if text.startswith("0421")]
    assert len(near) > 80 and np.ptp(near) < 0.01


def test_rare_levels_that_are_asked_for_as_one_come_back_by_their_frequency(towns):
    column = replace(Choice.fit("x", towns), placed=False)
    assert not column.has_number
    rare = Encoded(np.full(2_000, MOST_LEVELS - 1, dtype=np.uint16), None)
    drawn = column.decode(rare, 2_000, np.random.default_rng(0)).objects()
    assert len(set(drawn)) > 1_500 and not set(drawn) & set(column.levels)
    assert (drawn == column.decode(rare, 2_000, np.random.default_rng(0)).objects()).all()


def test_a_run_saved_before_rare_levels_had_a_number_is_read():
    column = replace(Choice.fit("x", texts([f"t{index % 300}" for index in range(900)])), placed=False)
    older = {"kind": "choice", "name": "x", "levels": list(column.levels), "rare": list(column.rare), "missing": False}
    assert from_json({**older, "rare_counts": [3] * len(column.rare)}) == column


# ------------------------------------------------------------------------------------------- too few rows to tell


def test_a_category_of_too_few_rows_is_neither_kept_nor_shown_and_others_stand_in_by_their_shares():
    values = texts(["a"] * 600 + ["b"] * 300 + ["Jane Doe"] * 4 + ["c"] * 5 + [None] * 91)
    column = fit(form("text"), values, least=5)
    assert set(column.levels) == {"a", "b", "c"} and "Jane Doe" not in json.dumps(column.to_json())
    back = there_and_back(column, values).objects()
    assert (back[:900] == values.objects()[:900]).all() and (back[904:] == values.objects()[904:]).all()
    assert set(back[900:904]) <= {"a", "b", "c"}
    many = column.encode(texts(["Jane Doe"] * 9_000), np.random.default_rng(0)).codes
    assert np.bincount(many)[:2] / 9_000 == pytest.approx([600 / 905, 300 / 905], abs=0.02)
    assert "1 in fewer than 5 rows not learned (drawn from the others)" in column.describe(values, form("text"))


def test_of_very_many_levels_the_nearest_in_order_stands_in():
    values = texts([f"{code:04d}" for code in range(1_000) for _ in range(5 if code % 2 else 2)])
    column = Choice.fit("x", values, least=5)
    assert len(column.levels) + len(column.rare) == 500
    back = there_and_back(column, values).objects()
    assert max(abs(int(new) - int(old)) for old, new in zip(values.objects(), back, strict=True)) == 1
    # Of two neighbours the one with the longer common beginning.
    assert column.decode(column.encode(texts(["0130"])), 1, RANDOM).objects()[0] == "0131"


def test_numbers_of_too_few_rows_become_their_mean_or_their_neighbour():
    values, counts = np.array([1.0, 2, 3, 10, 11, 12, 90]), np.array([50, 1, 50, 2, 2, 2, 1])
    kept, rows = merged(values, counts, 5)
    assert kept.tolist() == [1, 3, 11] and rows.sum() == counts.sum() and rows.min() >= 5
    few = Numbers(np.repeat(values, counts))
    column = Choice.fit("x", few, least=5)
    assert column.levels == (1, 3, 11) and column.left_out == 4
    back = there_and_back(column, few).array
    assert set(back) == {1, 3, 11} and (back[few.array == 12] == 11).all()


def test_an_odd_number_among_round_ones_is_not_kept_but_ages_are_all_but_the_oldest():
    random = np.random.default_rng(0)
    salaries = Numbers(np.append(random.integers(20, 90, 2_000) * 1_000.0, [31_417, 31_417, 44_444]))
    column = Number.fit("x", salaries, least=5)
    assert len(column.cuts) == 69 and not {31_417, 44_444} & set(column.values)
    ages = Numbers(np.append(random.integers(18, 80, 500), [81, 84, 84, 85, 89, 93]).astype(float))
    column = Number.fit("x", ages, least=5)
    assert {*range(18, 80), 81}.issuperset(column.values[:-1]) and column.values[-1] == pytest.approx(87)
    back = there_and_back(column, ages).array
    np.testing.assert_array_equal(back[:500], ages.array[:500])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=80), st.integers(2, 7))
def test_every_merged_number_stands_for_enough_rows_as_they_are_read(counts, least):
    values, counts = np.cumsum(np.random.default_rng(len(counts)).random(len(counts)) + 0.01), np.array(counts)
    kept, rows = merged(values, counts, least)
    np.testing.assert_array_equal(np.bincount(nearest(values, kept), weights=counts), rows)
    assert rows.min() >= min(least, counts.sum()) and (np.diff(kept) > 0).all()
    assert kept[0] >= values[0] and kept[-1] <= values[-1]


def test_the_outermost_knots_are_no_single_rows_values_unless_allowed_or_shared():
    array = np.random.default_rng(0).normal(size=2_000)
    blunt, sharp = Number.fit("x", Numbers(array), least=5).knots, Number.fit("x", Numbers(array)).knots
    ordered = np.sort(array)
    assert (sharp[0], sharp[-1]) == (ordered[0], ordered[-1])
    assert blunt[0] == pytest.approx(ordered[:5].mean()) and blunt[-1] == pytest.approx(ordered[-5:].mean())
    assert (np.diff(blunt) >= 0).all()
    shared = np.append(array, np.full(30, 9.0))
    assert Number.fit("x", Numbers(shared), least=5).knots[-1] == 9.0


def test_booleans_keep_both_values_however_rare():
    values = Numbers(np.array([0.0] * 999 + [1.0]))
    assert fit(form("boolean"), values, least=5).levels == (0.0, 1.0)


def test_texts_that_hardly_repeat_are_withheld_and_learned_on_request():
    values = texts([f"n{index % 397}" for index in range(1_000)])
    column = fit(form("text"), values, least=5)
    assert isinstance(column, Withheld) and column.blocks == ()
    assert there_and_back(column, values).missing.all()
    with pytest.raises(GannetError, match="no value in 5 rows or more"):
        fit(form("text"), values, wanted="category", least=5)
    assert isinstance(fit(form("text"), values, wanted="category", least=1), Choice)


def test_sentences_are_free_text_and_are_withheld_with_the_remedy():
    values = texts([f"The patient of bed {index} slept well" for index in range(60)])
    column = fit(form("text", "note"), values)
    assert isinstance(column, Withheld)
    said = column.describe(values, form("text", "note"))
    assert "free text" in said and "drop=note" in said and "types=note=category" in said
    assert isinstance(fit(form("text"), texts(["quite well today, thanks", "not so well today"] * 30)), Choice)


# ------------------------------------------------------------------------------------------------- refusals


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


@pytest.mark.parametrize("space", ["\x1f", "\x1c", "\u2003", " ", "\t"])
def test_white_space_of_any_kind_around_a_number_leaves_it_one(space: str) -> None:
    from gannet.domains.table_values import is_number, number_of

    for level in (f"{space}2.5", f"2.5{space}", f"{space}2.5{space}"):
        assert is_number(level) and number_of(level) == 2.5
    assert not is_number(f"2{space}5") and not is_number(space) and not is_number("1e999")
