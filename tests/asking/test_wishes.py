"""Rows asked for on any column: met by every row after decoding, and as frequent as among all that meet it."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gannet
from gannet.domains.columns import Number
from gannet.domains.table_column import Encoded
from gannet.domains.table_number import knot_probabilities
from gannet.domains.table_values import Form, Numbers, Spelling
from gannet.domains.table_where import Demand, read_demand
from gannet.domains.table_wishes import part_of
from gannet.errors import GannetError
from gannet.model import Model
from gannet.rows import Drawer

WISHES: list[tuple[dict[str, Any], Any]] = [
    ({"kind": "b"}, lambda rows: rows.kind == "b"),
    ({"kind": "c|d"}, lambda rows: rows.kind == "c|d"),  # a level that holds the sign for "or"
    ({"kind": "a|b"}, lambda rows: rows.kind.isin(["a", "b"])),
    ({"kind": ["a", "c|d"]}, lambda rows: rows.kind.isin(["a", "c|d"])),
    ({"age": "25..40"}, lambda rows: rows.age.between(25, 40)),
    ({"age": "..24"}, lambda rows: rows.age <= 24),
    ({"age": 33}, lambda rows: rows.age == 33),
    ({"gain": "100..600"}, lambda rows: rows.gain.between(100, 600)),
    ({"gain": "100|200..300"}, lambda rows: (rows.gain == 100) | rows.gain.between(200, 300)),
    ({"score": "(missing)"}, lambda rows: rows.score.isna()),
    ({"score": None}, lambda rows: rows.score.isna()),
    ({"score": "40.."}, lambda rows: rows.score >= 40),
    ({"weight": "1.5..1.6"}, lambda rows: rows.weight.between(1.5, 1.6)),
    ({"weight": "1.55"}, lambda rows: rows.weight == 1.55),
    ({"flag": "yes"}, lambda rows: rows.flag),
    ({"flag": False}, lambda rows: ~rows.flag),
    ({"day": "2020-03-01..2020-03-31"}, lambda rows: (rows.day.dt.year == 2020) & (rows.day.dt.month == 3)),
    ({"day": datetime.date(2020, 5, 17)}, lambda rows: rows.day == pd.Timestamp("2020-05-17")),
    ({"town": "town 001"}, lambda rows: rows.town == "town 001"),
    ({"one": "always", "kind": "b"}, lambda rows: rows.kind == "b"),
    (
        {"kind": "b", "age": "50..", "gain": "..0"},
        lambda rows: (rows.kind == "b") & (rows.age >= 50) & (rows.gain == 0),
    ),
]


@pytest.mark.parametrize(("where", "meets"), WISHES, ids=[str(where) for where, _ in WISHES])
def test_every_row_is_as_asked_for_and_rows_are_told_apart(model: Model, where: dict[str, Any], meets: Any) -> None:
    rows = model.sample(300, where=where, seed=1)
    assert len(rows) == 300 and meets(rows).all()
    assert rows.code.is_unique and rows.dtypes.equals(model.sample(2).dtypes)


def test_each_of_the_rarest_of_many_levels_can_be_asked_for(model: Model, table: pd.DataFrame) -> None:
    rare = sorted(table.town.value_counts().index[-5:])
    for town in rare:
        assert set(model.sample(20, where={"town": town}).town) == {town}


FIRST: list[dict[str, Any]] = [
    {"kind": "b"},
    {"kind": "a|b", "age": "25..40"},
    {"kind": "a", "age": "..30", "gain": "100..500"},
]
"""Wishes on the first columns: written in the same order as all rows are."""
ANY: list[dict[str, Any]] = [
    {"age": "30..45", "weight": "2..3"},
    {"gain": "100..500"},
    {"gain": "0", "flag": "true"},
    {"score": "(missing)", "day": "2021-01-01..2021-06-30"},
    {"score": "30..50", "town": "town 001|town 002"},
]


@pytest.fixture(scope="module")
def apart(model: Model) -> Model:
    """A model of columns that do not lean on each other: the order in which it writes makes no difference."""
    other = gannet.load(model.path)
    heads = other.recipe.networks["generator"].heads
    for weight in (*heads.free, *heads.slow):  # type: ignore[union-attr, misc]
        weight.zero_()
    return other


@pytest.mark.parametrize("where", FIRST, ids=str)
def test_rows_asked_for_are_those_of_all_rows_that_meet_it(model: Model, where: dict[str, Any]) -> None:
    check_alike(model, where)


@pytest.mark.parametrize("where", ANY, ids=str)
def test_each_column_keeps_its_frequencies_within_what_is_asked_of_it(apart: Model, where: dict[str, Any]) -> None:
    check_alike(apart, where)


def check_alike(model: Model, where: dict[str, Any]) -> None:
    """Every column's mean or share agrees within five standard errors with the rows chosen among all."""
    pool = model.sample(40_000, seed=2)
    asking = model.domain.asking(where)  # type: ignore[attr-defined]
    chosen = pool[asking.meets(model.domain._values(pool))]  # type: ignore[attr-defined]
    asked = model.sample(4_000, where=where, seed=3)
    assert len(chosen) > 100
    for one, other in zip(features(chosen).T, features(asked).T, strict=True):
        error = np.sqrt(one.var() / len(one) + other.var() / len(other))
        assert abs(one.mean() - other.mean()) <= 5 * error + 1e-9


def features(rows: pd.DataFrame) -> np.ndarray:
    """Numbers, their gaps, shares of levels, and two products that tell how columns lean on each other."""
    day = (rows.day - pd.Timestamp("2020-01-01")).dt.days
    score = rows.score.fillna(0)
    columns = [rows.age, rows.gain, rows.gain == 0, score, rows.score.isna(), np.log(rows.weight), rows.flag, day]
    columns += [rows.kind == level for level in ("a", "b")] + [rows.town == "town 001", rows.age * rows.flag]
    return np.stack([np.asarray(column, dtype=np.float64) for column in (*columns, rows.age * score)], axis=1)


def test_row_i_of_a_seed_is_the_same_however_many_are_asked_for(model: Model) -> None:
    few, many = (model.sample(n, where={"age": "20..30"}, seed=5).drop(columns="code") for n in (7, 5_000))
    pd.testing.assert_frame_equal(few, many.head(7))
    other = model.sample(7, where={"age": "20..30"}, seed=6).drop(columns="code")
    assert not few.equals(other)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"knid": "a"}, "no column 'knid'; did you mean 'kind'"),
        ({"kind": "A"}, "no level 'A' was learned; did you mean 'a'"),
        ({"town": "town 00l"}, "did you mean 'town "),
        ({"age": "200"}, r"the column runs from \d+ to \d+; the nearest is \d+"),
        ({"age": "30.5"}, "the nearest is 30 or 31"),
        ({"age": "40..30"}, "the lower end comes first"),
        ({"age": ".."}, "needs a lower or an upper end"),
        ({"age": "old"}, "cannot be read as one of its integers, as"),
        ({"age": "(missing)"}, "nothing was missing"),
        ({"flag": "perhaps"}, "neither of"),
        ({"day": "1999-01-01"}, "runs from 2020-01-01 to 2021"),
        ({"code": "P-00001"}, "made anew"),
        ({"one": "never"}, "no level 'never' was learned; known: always"),
        ({"kind": []}, "empty list"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(model: Model, where: dict[str, Any], message: str) -> None:
    with pytest.raises(GannetError, match=message):
        model.sample(5, where=where)


# ------------------------------------------------------------------------------------------- shares of classes


def test_shares_are_exact_and_groups_are_as_the_model_makes_them(model: Model) -> None:
    rows = model.sample(301, balance="kind", seed=1)
    assert sorted(rows.kind.value_counts()) == [100, 100, 101] and rows.code.is_unique
    assert rows.kind.head(100).nunique() == 3
    rows = model.sample(200, shares={"kind=c|d": 0.75}, where={"age": "30.."}, seed=1)
    assert (rows.kind == "c|d").sum() == 150 and (rows.age >= 30).all()
    assert {"a", "b"} <= set(rows.kind)
    assert model.sample(40, shares={"flag=yes": 0.25}).flag.sum() == 10


def test_shares_that_cannot_be_are_refused(model: Model) -> None:
    for shares, message in [
        ({"kind=x": 0.5}, "no level 'x'"),
        ({"kind=a": 0.5, "flag=yes": 0.5}, "shares of several columns"),
        ({"kin=a": 0.5}, "did you mean 'kind'"),
        ({"kind=a": 0.7, "kind=b": 0.7}, "add up to 1.4"),
    ]:
        with pytest.raises(GannetError, match=message):
            model.sample(10, shares=shares)
    with pytest.raises(GannetError, match="one of where, balance and shares"):
        model.sample(10, balance="kind", where={"kind": "a"})


# --------------------------------------------------------------------------- other recipes, conditions, constraints


def test_a_recipe_that_cannot_be_asked_has_its_rows_chosen(tmp_path: Path, table: pd.DataFrame, train: Any) -> None:
    plain = train(tmp_path / "plain", "r3gan", table[["kind", "age"]], samples=640, size=0.1)
    usual = str(plain.sample(4_096).kind.value_counts().index[0])
    assert (plain.sample(50, where={"kind": usual, "age": "18..80"}).kind == usual).all()
    never = replace(plain.domain.asking({"kind": usual}), demands=(Demand(0, "kind=z", frozenset({"z"})),))
    with pytest.raises(GannetError, match=r"only 0 of 20,480 rows drawn are so, rarest is kind=z.*--recipe maligan"):
        Drawer(plain, never, 0, None, 4_096).some(1)


def test_conditions_and_other_columns_are_asked_for_together(tmp_path: Path, table: pd.DataFrame, train: Any) -> None:
    """The condition is as frequent as among the rows that meet the wish on another column."""
    asked = train(tmp_path / "asked", table=table[["kind", "age", "weight"]], condition="kind")
    rows = asked.sample(3_000, where={"age": "..30"}, seed=1)
    pool = asked.sample(20_000, seed=2)
    expected = pool[pool.age <= 30].kind.value_counts(normalize=True)
    assert (rows.age <= 30).all()
    for level, share in rows.kind.value_counts(normalize=True).items():
        assert abs(share - expected[level]) < 5 * np.sqrt(expected[level] / 3_000)
    assert set(asked.sample(200, where={"kind": ["b", "c|d"], "age": "40..50"}).kind) == {"b", "c|d"}


def test_a_column_that_follows_from_others_is_chosen_by(tmp_path: Path, table: pd.DataFrame, train: Any) -> None:
    tied = table[["kind", "age"]].assign(group=lambda rows: rows.kind.str.upper(), twice=lambda rows: rows.age * 2)
    bound = train(tmp_path / "bound", table=tied, constraints="found", samples=3_000)
    assert {"group", "twice"} & set(bound.domain.hidden)  # type: ignore[attr-defined]
    rows = bound.sample(100, where={"group": "B", "twice": "60..120"})
    assert (rows.kind == "b").all() and (rows.group == "B").all() and rows.age.between(30, 60).all()


# ----------------------------------------------------------------------------------------- how wishes are read


def demand(text: Any, meaning: Any, **form: Any) -> Any:
    return read_demand(0, Form("x", meaning, "object", **form), None, text)


def test_dates_and_times_are_read_as_the_column_spells_them() -> None:
    german = Spelling(date_format="%d.%m.%Y")
    assert demand("03.02.2020", "date", unit="D", spelling=german).spans == ((18295.0, 18295.0),)
    assert demand("2020-02-03", "date", unit="D", spelling=german).spans == ((18295.0, 18295.0),)
    assert demand(np.datetime64("2020-02-03"), "date", unit="D").spans == ((18295.0, 18295.0),)
    day = 18295 * 86_400
    assert demand("2020-02-03", "date", unit="s").spans == ((day, day + 86_399),)
    assert demand("2020-02-03 00:00:05..", "date", unit="s").spans == ((day + 5, np.inf),)
    summer = pd.Timestamp("2020-07-01 02:00", tz="Europe/Oslo")
    assert demand(summer, "date", unit="h", timezone="Europe/Oslo").spans == ((442656.0, 442656.0),)
    assert demand("2020-07-01 02:00", "date", unit="h", timezone="Europe/Oslo").spans == ((442656.0, 442656.0),)
    assert demand("09:30..10:00", "time", unit="m").spans == ((570.0, 600.0),)
    assert demand(datetime.time(9, 30), "time", unit="m").spans == ((570.0, 570.0),)
    assert demand("PT1H30M", "duration", unit="m").spans == ((90.0, 90.0),)


def test_an_ordered_category_is_asked_for_by_its_order() -> None:
    scale = {"categories": ("low", "middle", "high"), "ordered": True}
    assert demand("middle..", "text", **scale).levels == {"middle", "high"}
    with pytest.raises(GannetError, match="stands after"):
        demand("high..low", "text", **scale)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=60, max_size=200),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.floats(-60, 60),
    st.floats(0, 40),
)
def test_the_stretch_of_a_smooth_number_holds_every_place_that_will_do(
    values: list[int], step: float, low: float, width: float
) -> None:
    knots = np.quantile(np.array(values, dtype=float), knot_probabilities(200))
    column = Number("x", 1 if step else None, step, tuple(knots.tolist()), 200, (), False)
    wish = read_demand(0, Form("x", "decimal", "float64"), None, f"{low!r}..{low + width!r}")
    places = np.linspace(-1, 1, 2_001).astype(np.float32)
    decoded = column.decode(Encoded(None, places), len(places), np.random.default_rng(0))
    good = wish.meets(decoded)
    assert isinstance(decoded, Numbers)
    if not good.any():
        return
    span = part_of(column, wish).span
    assert span is not None
    assert (places[good] >= span[0] - 1e-6).all() and (places[good] <= span[1] + 1e-6).all()
    inside = (places > span[0] + 2e-3) & (places < span[1] - 2e-3)
    if step == 0:
        assert good[inside].all()
