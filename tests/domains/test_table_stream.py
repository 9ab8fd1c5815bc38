"""Large Parquet files: what is streamed equals what is held, whatever the sample leaves out, and is encoded once."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest

from gannet.domains import table_stream
from gannet.domains.table_shell import Raw
from gannet.domains.table_survey import Tallied, survey
from gannet.domains.table_values import Numbers, texts
from gannet.domains.tables import Tables
from gannet.errors import GannetError
from gannet.spec import Spec

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")
COUNT = 3_000


@pytest.fixture
def small(monkeypatch):
    """The sizes of a large table, a thousandth of what they are."""
    monkeypatch.setattr(table_stream, "MANY_ROWS", 2_000)
    monkeypatch.setattr(table_stream, "SAMPLE_ROWS", 1_000)
    monkeypatch.setattr(table_stream, "ROWS_AT_A_TIME", 400)


def visits(count=COUNT):
    random = np.random.default_rng(0)
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(int(day)) for day in random.integers(99, size=count)]
    age = random.integers(20, 60, count).astype(float)
    age[1_234] = np.nan
    return pandas.DataFrame(
        {
            "id": np.arange(1, count + 1),
            "age": pandas.array(np.where(np.isnan(age), 0, age), dtype="int64"),
            "weight": np.where(np.arange(count) == 77, np.inf, age),
            "pulse": pandas.array(random.integers(50, 90, count), dtype="Int64"),
            "sick": random.random(count) < 0.2,
            "town": np.char.add("t", random.integers(0, 500, count).astype(str)),
            "grade": pandas.Categorical(random.choice(["low", "mid"], count), ["low", "mid", "high"], ordered=True),
            "colour": pandas.Categorical(random.choice(["red", "blue"], count)),
            "day": pandas.to_datetime(days),
            "wait": pandas.to_timedelta(random.integers(0, 30, count), unit="min"),
        }
    )


def opened(path, cache, **options):
    return Tables.open(str(path), Tables.Options(**options), seed=0, cache=cache)


def everything(result):
    data = result.train.dataset
    return data.read(np.arange(len(data)))


def test_a_streamed_table_comes_back_with_its_values_and_types(tmp_path, small):
    frame = visits()
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=700)
    frame = pandas.read_parquet(tmp_path / "t.parquet")
    result = opened(tmp_path / "t.parquet", tmp_path / "cache", least=1)
    assert len(result.train) + len(result.holdout) == COUNT
    state = json.loads(json.dumps(result.domain.state(), allow_nan=False))
    domain = Tables.restore(Spec.from_json(json.loads(json.dumps(result.domain.spec.to_json()))), state)
    samples, _ = everything(result)
    back = domain.decode(samples)
    assert back.dtypes.drop("colour").to_dict() == frame.dtypes.drop("colour").to_dict()
    assert back["colour"].dtype == "category"
    exact = ["age", "weight", "sick", "town", "grade", "pulse", "day", "wait"]
    pandas.testing.assert_frame_equal(back[exact], frame[exact])
    assert back["id"].min() == COUNT + 1


def test_every_level_is_counted_however_few_rows_the_sample_holds(tmp_path, small):
    frame = visits()
    frame.loc[:, "town"] = "common"
    frame.loc[[5, 900, 1_700, 2_300, 2_999], "town"] = "rare"
    frame.loc[[6, 901, 1_701, 2_301], "town"] = "rarer"
    frame.to_parquet(tmp_path / "t.parquet")
    state = json.dumps(opened(tmp_path / "t.parquet", tmp_path / "cache").domain.state())
    assert '"rare"' in state and '"rarer"' not in state


def test_a_single_missing_value_outside_the_sample_is_found(tmp_path, small):
    frame = visits()
    for row, name in ((17, "pulse"), (1_111, "town"), (2_222, "day")):
        frame.loc[row, name] = None
    frame.to_parquet(tmp_path / "t.parquet")
    result = opened(tmp_path / "t.parquet", tmp_path / "cache", least=1)
    back = result.domain.decode(everything(result)[0])
    for name in ("pulse", "town", "day"):
        assert back[name].isna().tolist() == frame[name].isna().tolist()


def test_the_second_opening_reads_the_encoded_rows_and_other_data_do_not(tmp_path, small, monkeypatch):
    frame = visits()
    frame.to_parquet(tmp_path / "t.parquet")
    first = opened(tmp_path / "t.parquet", tmp_path / "cache")
    frame.to_parquet(tmp_path / "same.parquet", row_group_size=311)
    with monkeypatch.context() as patched:
        patched.setattr(table_stream, "_encode_into", None)
        again = opened(tmp_path / "same.parquet", tmp_path / "cache")
    assert first.fingerprint == again.fingerprint and first.found == again.found
    assert (everything(first)[0] == everything(again)[0]).all()
    frame.loc[0, "pulse"] += 1
    frame.to_parquet(tmp_path / "t.parquet")
    assert opened(tmp_path / "t.parquet", tmp_path / "cache").fingerprint != first.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_conditions_and_copies_are_streamed_too(tmp_path, small):
    frame = pandas.concat([visits(2_000).drop(columns="id")] * 2)
    frame.to_parquet(tmp_path / "t.parquet")
    result = opened(tmp_path / "t.parquet", tmp_path / "cache", condition="sick,pulse")
    samples, condition = everything(result)
    assert condition.shape == (4_000, result.domain.spec.condition_width)
    assert (result.domain.decode(samples, condition)["sick"].to_numpy() == frame["sick"].to_numpy()).all()
    assert any("2,000 rows (50%) are exact copies" in warning for warning in result.warnings)
    assert any("read in batches" in line for line in result.found)


def test_a_cache_that_cannot_be_written_and_constraints_are_refused(tmp_path, small):
    visits().to_parquet(tmp_path / "t.parquet")
    (tmp_path / "file").write_text("")
    with pytest.raises(GannetError, match="cannot be kept here"):
        opened(tmp_path / "t.parquet", tmp_path / "file")
    with pytest.raises(GannetError, match="constraints="):
        opened(tmp_path / "t.parquet", tmp_path / "cache", constraints="found")


def test_texts_beyond_what_is_counted_are_judged_by_the_sample(monkeypatch):
    monkeypatch.setattr("gannet.domains.table_survey.MOST_LEVELS_COUNTED", 100)
    names = [f"n{index:04d}" for index in range(1_000)]
    batches = [[Raw(texts(names[first : first + 200]), "str")] for first in range(0, 1_000, 200)]
    found = survey(batches, ["name"], np.arange(0, 1_000, 10))
    (column,) = found.columns
    assert not isinstance(column.values, Tallied) and column.values.objects().tolist() == names[::10]
    assert found.copies == 0


def test_integers_that_turn_long_halfway_are_refused():
    batches = [[Raw(Numbers(np.arange(5.0)), "int64")], [Raw(texts(["9" * 18]), "int64")]]
    with pytest.raises(GannetError, match="'n': some of its integers are beyond"):
        survey(batches, ["n"], np.arange(3))
