"""Constraints at work: never broken by any output of a network, whatever table they were learned from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gannet.domains import columns as encoders
from gannet.domains.table_constraint import coded, combined, count, from_items
from gannet.domains.table_constraint_rules import read_rule
from gannet.domains.table_constraints import Constraints, Wish
from gannet.domains.table_values import Form, Numbers, Texts, spell
from gannet.errors import GannetError

FAST = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
ROWS = 120


def number_form(name, meaning="decimal", dtype="float64", unit=None):
    return Form(name, meaning, dtype, unit=unit)


def text_form(name):
    return Form(name, "text", "str")


def numbers(values):
    return Numbers(np.array(values, dtype=np.float64))


def labels(codes, levels):
    return Texts(np.array(codes, dtype=np.int64), list(levels))


def gaps(values, share, random):
    """The column with a share of its values gone."""
    gone = random.random(len(values)) < share
    if isinstance(values, Texts):
        return Texts(np.where(gone, -1, values.codes), values.levels)
    return Numbers(np.where(gone, np.nan, values.array))


def table_of(seed, share=0.15, count=ROWS, dtype="float64"):
    """A shop's orders: every kind of constraint holds in them, whatever the seed."""
    random = np.random.default_rng(seed)
    decimals = int(random.integers(0, 4))
    stored = np.dtype(dtype).type
    net = np.round(random.exponential(50, count), decimals)
    tax = np.round(random.exponential(9, count), decimals)
    fee = np.round(np.minimum(net, random.exponential(5, count)), decimals)
    fee = np.minimum(fee, net)
    start = random.integers(0, 5_000, count).astype(float)
    end = start + random.integers(0, 40, count)
    paid = end + random.integers(1, 9, count)
    city = random.integers(0, 12, count)
    kind = random.integers(0, 3, count)
    size = np.where(kind == 0, 0, random.integers(0, 3, count))
    columns = {
        "net": numbers(net.astype(stored)),
        "tax": numbers(tax.astype(stored)),
        "gross": numbers(np.round(net + tax, decimals).astype(stored)),
        "fee": numbers(fee.astype(stored)),
        "start": numbers(start),
        "end": numbers(end),
        "paid": numbers(paid),
        "city": labels(city, [f"city {code}" for code in range(12)]),
        "state": labels(city // 3, [f"state {code}" for code in range(4)]),
        "kind": labels(kind, ["none", "box", "bag"]),
        "size": labels(size, ["flat", "small", "large"]),
        "number": numbers(random.permutation(count) + 1),
    }
    columns = {name: gaps(values, share, random) if name != "number" else values for name, values in columns.items()}
    forms = {name: number_form(name, dtype=dtype) for name in ("net", "tax", "gross", "fee")}
    forms |= {name: number_form(name, "date", "datetime64[us]", "D") for name in ("start", "end", "paid")}
    forms |= {name: text_form(name) for name in ("city", "state", "kind", "size")}
    forms["number"] = number_form("number", "integer", "int64")
    return columns, forms


RULES = (
    "gross = net + tax",
    "fee <= net",
    "start <= end < paid",
    "0 <= fee <= 100000",
    "city -> state",
    "combinations(kind, size)",
    "unique(number)",
)


def fitted(columns, forms, rules, asked=(), **options):
    wishes = [Wish(constraint, **options) for rule in rules for constraint in read_rule(rule, forms)]
    return Constraints.fit(columns, forms, wishes, asked, least=options.get("fewest", 1))


def restored(constraints):
    return Constraints.from_json(json.loads(json.dumps(constraints.to_json(), allow_nan=False)))


def generated(constraints, columns, seed):
    """What the encoders of the hidden columns make of random outputs of a network."""
    random = np.random.default_rng(seed)
    inner = dict(columns) | constraints.hide(columns)
    made = {}
    for name, values in inner.items():
        kind = "text" if isinstance(values, Texts) else "decimal"
        column = encoders.fit(Form(name, kind, "float64"), values, wanted="category" if kind == "text" else None)
        size = count(columns)
        codes = random.integers(0, column.choice_width, size).astype(np.uint16) if column.choice_width else None
        places = random.uniform(-1.5, 1.5, size).astype(np.float32) if column.has_number else None
        made[name] = column.decode(encoders.Encoded(codes, places), size, random)
    return made


def generated_plainly(columns):
    """The same without constraints: each column drawn on its own."""
    random = np.random.default_rng(0)
    return {name: values.take(random.integers(0, count(columns), count(columns))) for name, values in columns.items()}


def assert_nothing_breaks(constraints, columns, seed):
    random = np.random.default_rng(seed)
    shown = constraints.distinct(constraints.show(generated(constraints, columns, seed), random), random)
    for rule in constraints.constraints:
        assert not rule.broken(shown).any(), rule.rule
    return shown


# ------------------------------------------------------------------------------------------------------ never broken


def test_random_outputs_do_break_the_constraints_before_they_are_restored():
    columns, forms = table_of(0)
    constraints = fitted(columns, forms, RULES).constraints
    broken = {rule.rule: int(rule.broken(generated_plainly(columns)).sum()) for rule in constraints.constraints}
    assert all(rows > 5 for rule, rows in broken.items() if not rule.startswith(("0 <=", "fee <= 1")))


@FAST
@given(
    seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.1, 0.5]), dtype=st.sampled_from(["float64", "float32"])
)
def test_no_output_of_a_network_breaks_any_constraint(seed, share, dtype):
    columns, forms = table_of(seed, share, dtype=dtype)
    constraints = restored(fitted(columns, forms, RULES).constraints)
    shown = assert_nothing_breaks(constraints, columns, seed)
    # By hand, and not by our own checks.
    net, tax, gross = (shown[name].array for name in ("net", "tax", "gross"))
    whole = ~np.isnan(net + tax + gross)
    np.testing.assert_allclose(gross[whole], (net + tax)[whole], rtol=1e-6 if dtype == "float32" else 1e-12, atol=1e-9)
    start, end, paid = (shown[name].array for name in ("start", "end", "paid"))
    assert not (start > end).any() and not (end >= paid).any() and not (shown["fee"].array > net).any()
    told = {(city // 3, city) for city in range(12)}
    pairs = zip(shown["city"].objects(), shown["state"].objects(), strict=True)
    assert all(
        (int(state.split()[1]), int(city.split()[1])) in told for city, state in pairs if None not in (city, state)
    )
    assert len(np.unique(shown["number"].array)) == ROWS


@FAST
@given(seed=st.integers(0, 10**6))
def test_constraints_that_pull_at_the_same_columns_hold_together(seed):
    columns, forms = table_of(seed, 0.1)
    rules = [
        "gross = net + tax",
        "gross <= 90",
        "fee <= net",
        "fee <= tax + 200",
        "net <= 80",
        "fee + tax <= gross + 500",
    ]
    columns["net"] = Numbers(np.minimum(columns["net"].array, 60))
    columns["fee"] = Numbers(np.minimum(columns["fee"].array, columns["net"].array))
    columns["tax"] = Numbers(np.minimum(columns["tax"].array, 20))
    columns["gross"] = Numbers(np.round(columns["net"].array + columns["tax"].array, 3))
    assert_nothing_breaks(restored(fitted(columns, forms, rules).constraints), columns, seed)


@FAST
@given(seed=st.integers(0, 10**6), order=st.permutations(range(4)))
def test_orders_hold_on_any_lattice(seed, order):
    random = np.random.default_rng(seed)
    steps = random.choice([0.01, 0.05, 0.25, 1.0, 3.0, 1000.0], size=4)
    values = [np.round(random.normal(100, 40, ROWS) / step) * step for step in steps]
    rows = np.sort(np.stack(values, 1), 1)
    good = (rows[:, :-1] < rows[:, 1:]).all(1)
    if good.sum() < 20:
        return
    names = [f"c{place}" for place in order]
    columns = {name: numbers(np.round(rows[good][:, place], 2)) for name, place in zip(names, order, strict=True)}
    forms = {name: number_form(name) for name in names}
    for relation in ("<=", "<"):
        rule = f" {relation} ".join(f"c{place}" for place in range(4))
        assert_nothing_breaks(restored(fitted(columns, forms, [rule]).constraints), columns, seed)


@FAST
@given(seed=st.integers(0, 10**6), dtype=st.sampled_from(["int8", "uint8", "float16", "float32", "int64"]))
def test_narrow_types_keep_sums_and_orders(seed, dtype):
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 60, ROWS), random.integers(0, 60, ROWS)
    columns = {"a": numbers(a), "b": numbers(b), "c": numbers(a + b), "d": numbers(a + b + random.integers(0, 7, ROWS))}
    meaning = "decimal" if dtype.startswith("float") else "integer"
    forms = {name: number_form(name, meaning, dtype) for name in columns}
    constraints = restored(fitted(columns, forms, ["c = a + b", "c <= d"]).constraints)
    shown = assert_nothing_breaks(constraints, columns, seed)
    stored = {name: shown[name].array.astype(dtype).astype(float) for name in columns}
    assert (stored["a"] + stored["b"] == stored["c"]).all() and (stored["c"] <= stored["d"]).all()


@FAST
@given(seed=st.integers(0, 10**6))
def test_categories_tied_in_many_ways_hold_together(seed):
    random = np.random.default_rng(seed)
    service = random.integers(0, 3, ROWS)
    extras = [np.where(service == 0, 0, random.integers(1, 3, ROWS)) for _ in range(3)]
    columns = {"service": labels(service, "ABC"), "code": numbers(service * 10)}
    columns |= {f"x{place}": labels(codes, ["none", "no", "yes"]) for place, codes in enumerate(extras)}
    columns["cost"] = numbers(np.where(service == 0, np.nan, random.integers(1, 50, ROWS)))
    forms = {name: text_form(name) for name in columns}
    forms["code"], forms["cost"] = number_form("code", "integer", "int64"), number_form("cost", "integer", "Int64")
    rules = [f"combinations(service, x{place})" for place in range(3)]
    rules += [
        "combinations(x0, x1, x2)",
        "service -> code",
        "cost missing if service = A",
        "cost present if service != A",
    ]
    assert_nothing_breaks(restored(fitted(columns, forms, rules).constraints), columns, seed)


@FAST
@given(seed=st.integers(0, 10**6))
def test_what_is_asked_for_stays_and_the_others_give_way(seed):
    columns, forms = table_of(seed, 0.0)
    rules = ["fee <= net", "city -> state", "combinations(kind, size)", "start <= end"]
    asked = ["net", "fee", "state", "size", "end"]
    constraints = restored(fitted(columns, forms, rules, [name for name in asked if name != "fee"]).constraints)
    made = generated(constraints, columns, seed)
    shown = constraints.show(made, np.random.default_rng(seed))
    assert not constraints.broken(shown).any()
    for name in ("state", "size", "end"):
        assert (
            (shown[name].codes == made[name].codes).all()
            if isinstance(shown[name], Texts)
            else (np.array_equal(shown[name].array, made[name].array))
        )


def test_random_combinations_of_items_go_there_and_back():
    random = np.random.default_rng(0)
    columns = [labels(random.integers(-1, 3, 50), "xyz"), numbers(np.where(random.random(50) < 0.2, np.nan, 1.5))]
    codes, rows = combined(columns)
    assert [rows[code] for code in codes] == [
        (None if text is None else str(text), None if np.isnan(number) else number)
        for text, number in zip(columns[0].objects(), columns[1].array, strict=True)
    ]
    again = from_items(*coded(columns[0]), True)
    assert (again.objects() == columns[0].objects()).all()


# ----------------------------------------------------------------------------------------------- there and back again


@FAST
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.3]))
def test_training_rows_come_back_as_they_were(seed, share):
    columns, forms = table_of(seed, share)
    constraints = restored(fitted(columns, forms, RULES).constraints)
    back = constraints.show(dict(columns) | constraints.hide(columns), np.random.default_rng(0))
    for name, values in columns.items():
        if isinstance(values, Texts):
            assert (back[name].objects() == values.objects()).all(), name
        else:
            np.testing.assert_allclose(back[name].array, values.array, rtol=0, atol=1e-9, err_msg=name)


def test_what_needs_no_learning_takes_no_features():
    columns, forms = table_of(0, 0.0)
    hidden = fitted(
        columns, forms, ["gross = net + tax", "city -> state", "combinations(kind, size)"]
    ).constraints.hide(columns)
    for name in ("gross", "state", "size"):
        column = encoders.fit(forms["net"], hidden[name])
        assert column.kind == "constant", name


def test_rare_keys_are_seen_as_others_that_tell_the_same():
    random = np.random.default_rng(0)
    # Two hundred cities of state 1 in one row each, and four large ones of two states.
    city = np.where(np.arange(1000) < 200, np.arange(1000), 200 + random.integers(0, 4, 1000))
    state = np.where(city < 200, 1, (city - 200) // 2)
    columns = {"city": labels(city, [f"c{code}" for code in range(204)]), "state": labels(state, ["0", "1"])}
    forms = {name: text_form(name) for name in columns}
    constraints = restored(fitted(columns, forms, ["city -> state"], fewest=5).constraints)
    hidden = constraints.hide(columns)
    assert set(hidden["city"].objects()) == {"c200", "c201", "c202", "c203"}
    back = constraints.show(dict(columns) | hidden, np.random.default_rng(0))
    assert (back["state"].objects() == columns["state"].objects()).all()


def test_differences_of_decimals_carry_no_noise():
    low = np.array([999.98, 0.1, 1234.56] * 40)
    columns = {"low": numbers(low), "high": numbers(np.round(low + 0.15, 2))}
    forms = {name: number_form(name) for name in columns}
    hidden = fitted(columns, forms, ["low <= high"]).constraints.hide(columns)
    assert set(hidden["high"].array.tolist()) == {0.15}


def test_dates_of_different_units_are_compared_as_moments():
    columns = {"day": numbers([10, 20, 30] * 20), "moment": numbers([10 * 86400, 20 * 86400 + 5, 31 * 86400] * 20)}
    forms = {"day": number_form("day", "date", "date32[day]", "D")}
    forms["moment"] = number_form("moment", "date", "datetime64[us]", "s")
    constraints = fitted(columns, forms, ["day <= moment"]).constraints
    assert not constraints.broken(columns).any()
    assert constraints.broken({"day": numbers([11.0]), "moment": numbers([10 * 86400.0])}).all()
    for seed in range(5):
        assert_nothing_breaks(constraints, columns, seed)


def test_a_duration_lies_between_two_dates():
    random = np.random.default_rng(0)
    start, length = random.integers(0, 9_000, ROWS), random.integers(0, 90, ROWS)
    columns = {"start": numbers(start), "end": numbers(start * 24 + length), "length": numbers(length)}
    forms = {"start": number_form("start", "date", "datetime64[us]", "D")}
    forms |= {"end": number_form("end", "date", "datetime64[us]", "h")}
    forms |= {"length": number_form("length", "duration", "str", "h"), "n": number_form("n")}
    assert_nothing_breaks(restored(fitted(columns, forms, ["end = start + length"]).constraints), columns, 0)
    with pytest.raises(GannetError, match="a date goes with a date, or with a date and a duration"):
        fitted(columns, forms, ["end <= length"])
    with pytest.raises(GannetError, match="go with their like only"):
        fitted(columns | {"n": numbers(length)}, forms, ["end = start + n"])


# ---------------------------------------------------------------------------------------------------------- state


def test_the_state_holds_no_row_and_no_rare_combination():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 4, 400), random.integers(0, 4, 400)
    first[7], second[7] = 4, 4
    columns = {"first": labels(first, "abcde"), "second": labels(second, "vwxyz")}
    columns["secret"] = numbers(random.normal(size=400))
    columns["other"] = numbers(columns["secret"].array + random.exponential(1, 400))
    forms = {"first": text_form("first"), "second": text_form("second")}
    forms |= {name: number_form(name) for name in ("secret", "other")}
    constraints = fitted(columns, forms, ["combinations(first, second)", "secret <= other"], fewest=5).constraints
    state = json.dumps(constraints.to_json())
    assert '["e", "z"]' not in state and '"e"' not in state
    assert not any(repr(float(value)) in state for value in np.sort(columns["secret"].array))
    assert_nothing_breaks(constraints, columns, 0)


# ------------------------------------------------------------------------------------------------------- refusals


def test_rows_that_break_a_constraint_are_refused_with_the_first_of_them():
    columns = {"a": numbers([1, 5, 3, 9]), "b": numbers([2, 4, 3, 8])}
    forms = {name: number_form(name, "integer", "int64") for name in columns}
    with pytest.raises(GannetError, match=r"'a <= b': 2 of 4 rows .* row 2 \(a=5, b=4\).*tolerance = 0.5"):
        fitted(columns, forms, ["a <= b"])
    with pytest.raises(GannetError, match="the first in line 3"):
        Constraints.fit(columns, forms, [Wish(read_rule("a <= b", forms)[0])], in_file=True)


def test_tolerated_rows_are_left_out_and_said():
    columns, forms = table_of(3, 0.0)
    columns["fee"].array[5] = 1e6
    result = fitted(columns, forms, ["fee <= net"], tolerance=0.01)
    assert result.kept.sum() == ROWS - 1 and not result.kept[5]
    assert result.remarks == ["constraint 'fee <= net': 1 rows that break it are left out"]
    assert result.constraints.facts.grids["fee"].high < 1e6


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["gross = net + tax", "gross = net * tax"], "cannot be computed beside 'gross = net \\+ tax'"),
        (["net <= city"], "'city' is text, not a number"),
        (["start <= net"], "dates, times and durations go with their like only"),
        (["start -> end"], "would be a list of the rows"),
        (["number -> city"], "would be a list of the rows"),
        (["combinations(city, number)"], "list of the rows"),
        (["twice = 2 * number", "unique(twice)"], "repeats cannot be told apart"),
        (["fee present if city = Atlantis"], "'Atlantis' is no value of the column 'city'"),
        (["fee present if city < b"], "only = or != to something"),
    ],
)
def test_constraints_that_cannot_be_are_refused(rules, message):
    columns, forms = table_of(1, 0.0)
    columns |= both_sum_and_product() | {"twice": numbers(2 * columns["number"].array)}
    forms["twice"] = forms["number"]
    with pytest.raises(GannetError, match=message):
        fitted(columns, forms, rules)


def both_sum_and_product():
    """net + tax = net * tax."""
    net = np.array([2, 3, 5, 1.5, 9, 1.25, 6, 3] * (ROWS // 8))
    return {"net": numbers(net), "tax": numbers(net / (net - 1)), "gross": numbers(net * net / (net - 1))}


def test_a_proposed_constraint_gives_way_to_the_users_own():
    columns, forms = table_of(1, 0.0)
    columns |= both_sum_and_product()
    columns["fee"] = numbers(np.zeros(ROWS))
    wishes = [Wish(read_rule("gross = net + tax", forms)[0])]
    for rule in ("gross = net * tax", "fee <= net"):
        wishes.append(Wish(read_rule(rule, forms)[0], proposed=True))
    result = Constraints.fit(columns, forms, wishes)
    assert [rule.rule for rule in result.constraints.constraints] == ["gross = net + tax", "fee <= net"]
    assert "'gross = net * tax' cannot be built in beside the others" in result.remarks[-1]


# ------------------------------------------------------------------------------------------------------ uniqueness


def unique_of(values, form, rule="unique(x)", others=None):
    columns = {"x": values, **(others or {})}
    forms = {"x": form} | {name: text_form(name) for name in others or {}}
    return fitted(columns, forms, [rule]).constraints


def test_repeated_numbers_move_to_the_nearest_free_ones():
    constraints = unique_of(numbers(np.arange(0, 1000, 5)), number_form("x", "integer", "int64"))
    shown = constraints.distinct({"x": numbers([100, 100, 100, 105, 500])}, np.random.default_rng(0))
    assert sorted(shown["x"].array) == [95, 100, 105, 110, 500] or sorted(shown["x"].array) == [90, 95, 100, 105, 500]


def test_a_full_span_goes_on_above_the_largest():
    constraints = unique_of(numbers(np.arange(1, 101)), number_form("x", "integer", "int64"))
    shown = constraints.distinct({"x": numbers(np.full(300, 50))}, np.random.default_rng(0))
    assert sorted(shown["x"].array) == list(range(1, 301))
    bounded = fitted(
        {"x": numbers(np.arange(1, 101))}, {"x": number_form("x", "integer", "int64")}, ["unique(x)", "x <= 100"]
    ).constraints
    with pytest.raises(GannetError, match="of 300 rows only 100 can be different in x; ask for fewer rows"):
        bounded.distinct({"x": numbers(np.full(300, 50))}, np.random.default_rng(0))
    loose = bounded.distinct({"x": numbers(np.full(300, 50))}, np.random.default_rng(0), strict=False)
    assert len(np.unique(loose["x"].array)) == 100


def test_categories_run_out():
    constraints = unique_of(labels(range(10), "abcdefghij"), text_form("x"))
    shown = constraints.distinct({"x": labels([0] * 10, "abcdefghij")}, np.random.default_rng(0))
    assert sorted(shown["x"].objects()) == list("abcdefghij")
    with pytest.raises(GannetError, match="of 11 rows only 10 can be different"):
        constraints.distinct({"x": labels([0] * 11, "abcdefghij")}, np.random.default_rng(0))


def test_pairs_are_told_apart_and_gaps_left_alone():
    constraints = unique_of(
        labels(np.arange(20) // 5, "abcd"), text_form("x"), "unique(x, y)", {"y": labels(np.arange(20) % 5, "vwxyz")}
    )
    made = {"x": labels([0] * 18 + [-1, -1], "abcd"), "y": labels([0] * 20, "vwxyz")}
    shown = constraints.distinct(made, np.random.default_rng(0), strict=False)
    assert not constraints.broken(shown)[:8].any() and (shown["x"].codes[18:] == -1).all()


def test_a_wish_on_a_hidden_category_is_one_on_what_tells_it():
    columns, forms = table_of(0, 0.0)
    columns["land"] = labels(columns["state"].codes // 2, ["north", "south"])
    forms["land"] = text_form("land")
    rules = ["city -> state", "state -> land", "combinations(kind, size)", "gross = net + tax"]
    constraints = fitted(columns, forms, rules).constraints
    south = constraints.levels_for("land", lambda values: values.objects() == "south")
    assert south["city"] == {f"city {code}" for code in range(6, 12)} and "land" in south and "state" in south
    flat = constraints.levels_for("size", lambda values: values.objects() == "flat")
    assert flat == {"kind": {'["none", "flat"]', '["box", "flat"]', '["bag", "flat"]'}}
    assert constraints.levels_for("gross", lambda values: values.array > 5) is None
    assert constraints.levels_for("city", lambda values: values.codes == 0) is None
    # Whatever else the game says, such rows are as wished.
    made = generated(constraints, columns, 0)
    for name, items in south.items():
        made[name] = from_items(np.arange(ROWS) % len(items), sorted(items), True)
    assert set(constraints.show(made, np.random.default_rng(0))["land"].objects()) == {"south"}


# ---------------------------------------------------------------------------------------------------- in words


def test_every_constraint_says_how_it_is_built_in():
    columns, forms = table_of(0, 0.0)
    constraints = fitted(columns, forms, RULES).constraints
    lines = " | ".join(constraints.describe())
    for words in (
        "gross = net + tax (gross is computed)",
        "fee <= net (net is learned as a distance)",
        "city -> state (state is looked up)",
        "combinations(kind, size) (one choice of 7 combinations)",
        "unique(number) (repeats are told apart)",
        "0 <= fee (fee is clipped)",
    ):
        assert words in lines
    assert constraints.words()["gross"] == "computed from net and tax"
    assert spell(columns["city"], forms["city"])[0].startswith("city")
