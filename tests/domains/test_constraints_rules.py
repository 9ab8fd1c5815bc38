"""Rules and files of constraints: what they stand for, and what a slip of the pen is told."""

from __future__ import annotations

import pytest

from gannet.domains.table_constraint_file import Wanted, read_file, wanted, wishes
from gannet.domains.table_constraint_kinds import Combination, Depends, Linear, Presence, Product, Unique
from gannet.domains.table_constraint_rules import quoted, read_rule
from gannet.domains.table_values import Form
from gannet.errors import GannetError

NAMES = ("a", "b", "c", "total", "hours-per-week", "a b", "2020", "city", "state", "day", "unique")
FORMS = {name: Form(name, "decimal", "float64") for name in NAMES}
FORMS |= {name: Form(name, "text", "str") for name in ("city", "state")}
FORMS["day"] = Form("day", "date", "datetime64[us]", unit="D")


def read(rule):
    return read_rule(rule, FORMS)


def one(rule):
    (constraint,) = read(rule)
    return constraint


def linear(rule):
    found = read(rule)
    assert all(isinstance(each, Linear) for each in found)
    return [(dict(each.terms), each.constant, each.relation) for each in found]


@pytest.mark.parametrize(
    ("rule", "meaning"),
    [
        ("a <= b", [({"b": -1, "a": 1}, 0, "<=")]),
        ("b > a", [({"b": -1, "a": 1}, 0, "<")]),
        ("a<b<=c", [({"b": -1, "a": 1}, 0, "<"), ({"c": -1, "b": 1}, 0, "<=")]),
        ("0 <= a <= 120", [({"a": -1}, 0, "<="), ({"a": 1}, -120, "<=")]),
        ("a, 'a b' > 0", [({"a": -1}, 0, "<"), ({"a b": -1}, 0, "<")]),
        ("a + 2 * b - 3 <= total", [({"total": -1, "a": 1, "b": 2}, -3, "<=")]),
        ("total = a + 1.2 * b", [({"total": -1, "a": 1, "b": 1.2}, 0, "=")]),
        ("a + b = total", [({"total": -1, "a": 1, "b": 1}, 0, "=")]),
        ("hours-per-week >= 1", [({"hours-per-week": -1}, 1, "<=")]),
        ('"hours-per-week" <= a b', [({"a b": -1, "hours-per-week": 1}, 0, "<=")]),
        ("a <= 2020", [({"a": 1}, -2020, "<=")]),
        ("a <= '2020'", [({"2020": -1, "a": 1}, 0, "<=")]),
        ("day >= '1970-01-11'", [({"day": -1}, 10, "<=")]),
        ("a <= -b", [({"b": 1, "a": 1}, 0, "<=")]),
    ],
)
def test_comparisons_are_sums_that_are_at_most_zero(rule, meaning):
    assert linear(rule) == meaning


def test_other_rules_are_read_as_what_they_say():
    assert one("total = a * b") == Product("total = a * b", "total", ("a", "b"))
    assert one("1.2 * a * b = total").factor == 1.2
    assert one("a, city -> state") == Depends("a, city -> state", ("a", "city"), "state")
    assert [each.target for each in read("city -> state, a")] == ["state", "a"]
    assert one("combinations(city, state)") == Combination("combinations(city, state)", ("city", "state"))
    assert one("unique(day, city)").columns == ("day", "city")
    assert isinstance(one("unique('unique')"), Unique)
    assert one("a present") == Presence("a present", "a", True)
    assert one("a present if b") == Presence("a present if b", "a", True, "b", "present")
    assert one("a missing if b missing").test == "missing"
    assert one("a missing if city = New York").value == "New York"
    assert one("a present if b != -1.5").value == "-1.5"
    assert [each.target for each in read("a, b present if city = X")] == ["a", "b"]


@pytest.mark.parametrize("name", [*NAMES, "it's", "if", "x.y", "ä"])
def test_a_quoted_name_is_read_as_the_column(name):
    forms = {**FORMS, name: Form(name, "decimal", "float64"), "z": FORMS["a"]}
    (rule,) = read_rule(f"{quoted(name)} <= z", forms)
    assert rule.columns == ("z", name)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("tota <= a", "no column 'tota', did you mean 'total'"),
        ("a", "a comparison was expected"),
        ("a <= ", "a column was expected at the end"),
        ("a <= b <", "expected at the end"),
        ("a = b = c", "an equation stands alone"),
        ("a = 5", "says nothing about how columns go together"),
        ("a <= a", "no column is left"),
        ("a * b <= c", "multiplied in equations only"),
        ("a * b = c + 1", "equals one column and nothing more"),
        ("combinations(city)", "two columns or more"),
        ("unique(a", "bracket is not closed"),
        ("unique(a, a)", "named twice"),
        ("city -> city", "both sides"),
        ("a, b -> ", "a column was expected at the end"),
        ("a ? b", "not understood|not expected|no column"),
        ("a present if b ~ 3", "comparison was expected|not expected"),
        ("a <= 'Paris'", "cannot be read as a value|no column 'Paris'"),
        ("day >= 'soon'", "'soon' cannot be read as a value of the column 'day'"),
    ],
)
def test_a_rule_that_says_nothing_is_refused_with_examples(rule, message):
    with pytest.raises(GannetError, match=message):
        read(rule)


# ---------------------------------------------------------------------------------------------------------- files


def written(tmp_path, text, name="rules.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_holds_rules_their_tolerance_and_what_was_found(tmp_path):
    path = written(
        tmp_path,
        """
        rules = ["a <= b", "city -> state"]
        tolerance = 0.01
        found = true
        without = ["a   <= c"]
        [[constraint]]
        rule = "combinations(city, state)"
        fewest = 7
        tolerance = 0
        """,
    )
    asked = wanted(str(path))
    assert [(line.rule, line.tolerance, line.fewest) for line in asked.lines] == [
        ("a <= b", 0.01, None),
        ("city -> state", 0.01, None),
        ("combinations(city, state)", 0.0, 7),
    ]
    found = wishes(asked, ["a <= b", "a <= c", "b <= total"], FORMS, fewest=3)
    told = [(wish.constraint.rule, wish.tolerance, wish.fewest, wish.proposed) for wish in found]
    # What the user says is not taken twice, what they leave out not at all.
    assert told == [
        ("a <= b", 0.01, 3, False),
        ("city -> state", 0.01, 3, False),
        ("combinations(city, state)", 0.0, 7, False),
        ("b <= total", 0.0, 3, True),
    ]
    assert wanted("found") == Wanted(found=True) and wanted(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rule"),
        ("rules = 3", "rules is a list of texts"),
        ("rule = ['a <= b']", "unknown key 'rule'; did you mean 'rules'"),
        ("rules = ['a <= b'", "is not valid TOML"),
        ("rules = ['a <= b']\ntolerance = 2", "tolerance = 2: give a share"),
        ("rules = ['a <= b']\nfewest = 0", "fewest = 0: give a number of rows"),
        ("found = 'yes'", "write true or false"),
        ("[constraint]\nrule = 'a <= b'", "two brackets"),
        ("[[constraint]]\ntolerance = 0.1", "lacks its rule"),
    ],
)
def test_a_wrong_file_is_refused_naming_the_key(tmp_path, text, message):
    with pytest.raises(GannetError, match=message):
        read_file(written(tmp_path, text))


def test_a_missing_file_and_a_wrong_name_are_refused(tmp_path):
    with pytest.raises(GannetError, match="cannot be read"):
        read_file(tmp_path / "none.toml")
    with pytest.raises(GannetError, match="give found, or a file whose name ends in .toml"):
        wanted("foud")


def test_what_was_not_found_cannot_be_left_out_and_identifiers_cannot_be_tied(tmp_path):
    asked = read_file(written(tmp_path, "found = true\nwithout = ['a <= d']"))
    with pytest.raises(GannetError, match="'a <= d', which was not found in the data; did you mean 'a <= b'"):
        wishes(asked, ["a <= b"], FORMS)
    asked = read_file(written(tmp_path, "rules = ['city -> state']"))
    with pytest.raises(GannetError, match="'city' is an identifier.*types=city=category"):
        wishes(asked, [], FORMS, identifiers=["city"])
