"""Every type of column there and back: property tests over pandas, polars, Arrow, NumPy and delimited text."""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gannet.domains.table_clock import duration_of, read_clock, spell_clock, time_of
from gannet.domains.table_values import MISSING_SPELLINGS
from gannet.domains.tables import Tables
from gannet.errors import GannetError
from gannet.spec import Spec

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

EASY = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
DAYS = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
MOMENTS = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
TIMES = st.times()
SPANS = st.timedeltas(datetime.timedelta(days=-9_999), datetime.timedelta(days=9_999))
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
FLOATS = st.floats(-1e12, 1e12, allow_subnormal=False)


def opened(source, **options):
    return Tables.open(source, Tables.Options(**{"least": 1, **options}), seed=0, cache=Path("unused"))


def back_again(source, **options):
    """The whole table encoded, its state saved as JSON and read, and decoded."""
    result = opened(source, **options)
    state = json.loads(json.dumps(result.domain.state(), allow_nan=False))
    domain = Tables.restore(Spec.from_json(json.loads(json.dumps(result.domain.spec.to_json()))), state)
    data = result.train.dataset
    return domain.decode(data.read(np.arange(len(data)))[0])


@st.composite
def columns(draw, values, missing=True):
    """Up to twelve different values, each three times or more, in any order, perhaps with gaps."""
    distinct = draw(st.lists(values, min_size=1, max_size=12, unique_by=repr))
    rows = distinct * (3 + 24 // len(distinct)) + [None] * draw(st.sampled_from([0, 5]) if missing else st.just(0))
    return draw(st.permutations(rows))


def beside(count):
    """Something to learn, whatever the column is."""
    return [index % 3 for index in range(count)]


PANDAS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "float32": st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
    "float64": FLOATS | st.sampled_from([np.inf, -np.inf]),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "UInt16": st.integers(0, 2**16 - 1),
    "Float64": FLOATS,
    "bool": st.booleans(),
    "boolean": st.booleans(),
    "string": WORDS,
    "str": WORDS,
    "object": WORDS,
    "category": WORDS,
    "datetime64[us]": MOMENTS,
    "datetime64[s]": MOMENTS.map(lambda moment: moment.replace(microsecond=0)),
    "timedelta64[us]": SPANS,
    "int64[pyarrow]": st.integers(-(2**50), 2**50),
    "bool[pyarrow]": st.booleans(),
    "timestamp[us][pyarrow]": MOMENTS,
    "date32[day][pyarrow]": DAYS,
    "duration[us][pyarrow]": SPANS,
    "time64[us][pyarrow]": TIMES,
}
NEVER_MISSING = {"int64", "uint8", "bool"}


@pytest.mark.parametrize("dtype", PANDAS)
@EASY
@given(data=st.data())
def test_pandas_columns_come_back_with_values_and_types(dtype, data):
    items = data.draw(columns(PANDAS[dtype], missing=dtype not in NEVER_MISSING))
    frame = pandas.DataFrame({"x": pandas.Series(items, dtype=dtype), "y": beside(len(items))})
    pandas.testing.assert_frame_equal(back_again(frame), frame, check_exact=True)


@EASY
@given(data=st.data(), values=st.sampled_from([DAYS, TIMES, SPANS, st.integers(-(2**70), 2**70), st.booleans()]))
def test_python_objects_in_a_frame_come_back_as_they_were(data, values):
    items = data.draw(columns(values))
    frame = pandas.DataFrame({"x": pandas.Series(items, dtype="object"), "y": beside(len(items))})
    assert back_again(frame)["x"].tolist() == items


POLARS = {
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "UInt8": st.integers(0, 255),
    "Int128": st.integers(-(2**100), 2**100),
    "Float32": st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
    "Float64": FLOATS | st.sampled_from([np.inf, -np.inf]),
    "Boolean": st.booleans(),
    "String": WORDS,
    "Date": DAYS,
    "Time": TIMES,
    "Datetime": MOMENTS,
    "Duration": SPANS,
    "Categorical": WORDS,
    "Null": st.none(),
}


@pytest.mark.parametrize("dtype", POLARS)
@EASY
@given(data=st.data())
def test_polars_columns_come_back_with_values_and_types(dtype, data):
    items = data.draw(columns(POLARS[dtype]))
    kind = getattr(polars, dtype)
    frame = polars.DataFrame({"x": polars.Series(items, dtype=kind), "y": beside(len(items))})
    back = back_again(frame)
    assert back.schema == frame.schema and back["x"].to_list() == items


@pytest.mark.parametrize(
    "dtype", ["Int64", "float64", "boolean", "string", "datetime64[us]", "timedelta64[us]", "object"]
)
def test_a_column_of_nothing_comes_back_as_nothing_of_its_type(dtype):
    frame = pandas.DataFrame({"x": pandas.Series([None] * 60, dtype=dtype), "y": beside(60)})
    pandas.testing.assert_frame_equal(back_again(frame), frame)


def test_polars_and_arrow_decimals_come_back():
    amounts = [f"{cents / 100:.2f}" for cents in (5, 199, 100_000)] * 20
    frame = polars.DataFrame({"x": polars.Series(amounts).cast(polars.Decimal(9, 2)), "y": beside(60)})
    assert back_again(frame).equals(frame) and back_again(frame).schema == frame.schema
    table = frame.to_arrow()
    assert back_again(table).equals(table)


ARROW = {
    pyarrow.int64(): st.integers(-(2**63), 2**63 - 1),
    pyarrow.uint64(): st.integers(0, 2**64 - 1),
    pyarrow.float32(): st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
    pyarrow.bool_(): st.booleans(),
    pyarrow.string(): WORDS,
    pyarrow.large_string(): WORDS,
    pyarrow.string_view(): WORDS,
    pyarrow.date32(): DAYS,
    pyarrow.date64(): DAYS,
    pyarrow.timestamp("ms"): MOMENTS.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)),
    pyarrow.timestamp("ns"): MOMENTS,
    pyarrow.time32("s"): TIMES.map(lambda time: time.replace(microsecond=0)),
    pyarrow.time64("ns"): TIMES,
    pyarrow.duration("us"): SPANS,
    pyarrow.dictionary(pyarrow.int32(), pyarrow.string()): WORDS,
    pyarrow.null(): st.none(),
}


@pytest.mark.parametrize("dtype", ARROW, ids=str)
@EASY
@given(data=st.data())
def test_arrow_columns_come_back_with_values_and_types(dtype, data):
    items = data.draw(columns(ARROW[dtype]))
    table = pyarrow.table({"x": pyarrow.array(items, dtype), "y": beside(len(items))})
    back = back_again(table)
    assert back.schema == table.schema and back.to_pydict() == table.to_pydict()


def test_numpy_durations_and_long_integers_come_back():
    spans = np.array([[1, 90], [-5, 10**10]] * 30, dtype="timedelta64[s]")
    np.testing.assert_array_equal(back_again(spans), spans)
    long = np.array([[2**63 - 1, 7], [-(2**63), 8]] * 30)
    np.testing.assert_array_equal(back_again(long), long)


def test_made_up_long_integers_stay_inside_their_type():
    frame = pandas.DataFrame({"x": np.random.default_rng(0).integers(2**62, 2**63 - 1, 300), "y": beside(300)})
    result = opened(frame)
    made = result.domain.decode(result.train.read(np.arange(100))[0])["x"]
    assert made.dtype == "int64" and made.is_unique
    assert any("beyond 2^53" in warning for warning in result.warnings)


def test_nanoseconds_are_cut_off_and_it_is_said():
    frame = pandas.DataFrame({"x": pandas.to_datetime([1_000, 2_001] * 30, unit="ns"), "y": beside(60)})
    assert any("finer than a microsecond" in warning for warning in opened(frame).warnings)
    cut = frame.astype({"x": "datetime64[us]"}).astype({"x": "datetime64[ns]"})
    assert not any("finer" in warning for warning in opened(cut).warnings)
    assert back_again(frame)["x"].dtype == frame["x"].dtype


def test_a_scale_in_its_order_keeps_it_and_a_country_called_na_stays_one():
    sizes = pandas.Categorical(["low", "high", "mid"] * 20, ["low", "mid", "high"], ordered=True)
    frame = pandas.DataFrame({"size": sizes, "country": ["NA", "AT", None] * 20, "sure": [True, None, False] * 20})
    result = opened(frame)
    pandas.testing.assert_frame_equal(back_again(frame), frame)
    assert result.domain.columns[0].levels == ("low", "mid", "high")


def test_numbers_written_as_text_in_a_frame_keep_their_own_word_for_missing():
    frame = pandas.DataFrame({"x": ["1", "NA", "3"] * 20, "y": beside(60)})
    result = opened(frame)
    assert result.domain.forms[0].meaning == "integer"
    pandas.testing.assert_frame_equal(back_again(frame), frame)


# ---------------------------------------------------------------------------------------------- delimited text


def written_again(tmp_path, columns, **options):
    """The rows of a delimited file, and those of the file that is written after encoding and decoding them."""
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([list(columns), *zip(*columns.values(), strict=True)])
    result = opened(path, **options)
    back = result.domain.decode(result.train.dataset.read(np.arange(len(result.train.dataset)))[0])
    (out,) = result.domain.write(back, tmp_path / "out.csv")
    read = [list(csv.reader(each.read_text("utf-8").splitlines(keepends=True))) for each in (path, out)]
    return *read, result


SPELLED = {
    "time": (TIMES, lambda time: time.isoformat("seconds")),
    "minutes": (TIMES, lambda time: time.isoformat("minutes")),
    "half-day": (TIMES, lambda time: time.strftime("%I:%M %p")),
    "micros": (TIMES, lambda time: time.isoformat("microseconds")),
    "iso duration": (st.integers(0, 10**7), lambda seconds: spell_clock([seconds * 10**6], read_clock(["PT5S"])[2])[0]),
    "pandas duration": (st.integers(-(10**7), 10**7), lambda seconds: str(pandas.Timedelta(seconds=seconds))),
    "clock": (
        st.integers(90_000, 10**7),
        lambda seconds: f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
    ),
    "date": (DAYS, str),
    "moment": (MOMENTS, lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S")),
    "integer": (st.integers(-(10**15), 10**15), str),
    "long integer": (st.integers(10**17, 10**25), str),
    "decimal": (st.integers(-(10**8), 10**8), lambda cents: f"{cents / 100:.2f}"),
    "float": (FLOATS.filter(lambda number: number % 1), repr),
    "boolean": (st.booleans(), lambda flag: "yes" if flag else "no"),
    "text": (WORDS.filter(lambda text: text.strip() not in MISSING_SPELLINGS and "\r" not in text), str),
}


@pytest.mark.filterwarnings("ignore::gannet.errors.ExportWarning")  # some words drawn begin like formulas
@pytest.mark.parametrize("kind", SPELLED)
@EASY
@given(data=st.data())
def test_delimited_text_is_written_back_as_it_was(tmp_path_factory, kind, data):
    values, spell = SPELLED[kind]
    # The file's own first rows decide the spelling; one that cannot be told from them is not asked for.
    items = ["NA" if item is None else spell(item) for item in data.draw(columns(values))]
    before, after, _ = written_again(tmp_path_factory.mktemp("t"), {"x": items, "y": beside(len(items))})
    assert after == before


@pytest.mark.parametrize(
    ("items", "meaning", "said"),
    [
        (["09:30", "14:05", "23:59"], "time", "times of day"),
        (["9:30 PM", "12:05 AM", "1:15 AM"], "time", "times of day"),
        (["01:30:00", "26:15:00", "00:00:10"], "duration", "durations"),
        (["PT1H30M", "P2DT5S", "PT0S"], "duration", "durations"),
        (["1 days 02:03:04", "-1 days +22:00:00", "0 days 00:00:01"], "duration", "durations"),
    ],
)
def test_times_and_durations_are_found_and_said(tmp_path, items, meaning, said):
    rows = [item for item in items for _ in range(20)]
    before, after, result = written_again(tmp_path, {"x": rows, "y": beside(60)})
    assert after == before and result.domain.forms[0].meaning == meaning
    assert any(said in line for line in result.found)


def test_numbers_beside_words_stay_numbers_and_the_words_come_back(tmp_path):
    random = np.random.default_rng(0)
    numbers = [f"{number:.1f}" for number in random.normal(50, 9, 900)]
    x = [word for trio in zip(numbers, numbers, ["unknown", "NA", "refused"] * 300, strict=True) for word in trio]
    before, after, result = written_again(tmp_path, {"x": x, "y": beside(len(x))})
    assert after == before
    (column, _) = result.domain.columns
    assert column.kind == "mixed" and column.choice_width == 4 and set(column.words) == {"unknown", "refused"}
    assert any("decimals" in line and "or 'unknown' or 'refused'" in line for line in result.found)


def test_a_word_of_few_rows_among_numbers_is_read_as_missing_and_not_kept(tmp_path):
    x = [str(number) for number in np.random.default_rng(0).integers(0, 10**6, 1_000)] + ["see note of Dr. Who"]
    _, after, result = written_again(tmp_path, {"x": x, "y": beside(1_001)}, least=5)
    assert "Dr. Who" not in json.dumps(result.domain.state()) and after[-1][0] == ""
    assert any("1 other words of few rows read as missing" in line for line in result.found)


def test_words_that_outweigh_the_numbers_are_a_category(tmp_path):
    x = [*map(str, range(40)), *["a", "b", "c"] * 30]
    _, _, result = written_again(tmp_path, {"x": x, "y": beside(len(x))})
    assert result.domain.columns[0].kind == "choice"


def test_a_time_can_be_said_to_be_a_duration_and_what_does_not_fit_becomes_missing(tmp_path):
    columns = {"x": ["01:30", "02:00", "soon"] * 30, "y": beside(90)}
    _, after, result = written_again(tmp_path, columns, types="x=duration")
    assert result.domain.forms[0].meaning == "duration" and {row[0] for row in after} == {"x", "01:30", "02:00", ""}
    assert any("30 of its values are no duration" in warning for warning in result.warnings)


def test_a_column_said_to_be_text_comes_back_empty(tmp_path):
    _, after, result = written_again(tmp_path, {"x": ["a", "b", "c"] * 30, "y": beside(90)}, types="x=text")
    assert {row[0] for row in after[1:]} == {""}
    assert any("drop=x" in warning for warning in result.warnings)


@pytest.mark.parametrize("wrong", ["25:00", "12:60", "12:5", "13:00 PM", "P", "PT", "P1Y", "1:2:3", "noon"])
def test_what_is_no_time_or_duration_is_not_taken_for_one(wrong):
    assert time_of(wrong) is None
    assert duration_of(wrong) is None or wrong == "25:00"


def test_a_time_of_a_frame_without_a_type_for_it_is_refused_by_name():
    frame = pandas.DataFrame({"x": pandas.period_range("2024-01", periods=60, freq="M"), "y": beside(60)})
    with pytest.raises(GannetError, match="'x' has the type period"):
        opened(frame)
