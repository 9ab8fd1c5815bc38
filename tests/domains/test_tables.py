"""The tables domain: what it finds, there and back for every kind of frame, conditions, pictures, embeddings."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gannet.domains.tables import Tables
from gannet.errors import GannetError
from gannet.spec import Spec

pandas = pytest.importorskip("pandas")
REAL = Path(os.environ.get("GANNET_TEST_DATA", "no-such-folder")) / "tables"
COUNT = 400


def people(count=COUNT):
    """A frame with a column of every kind."""
    random = np.random.default_rng(0)
    start = datetime.date(2020, 1, 1)
    ages = random.integers(18, 90, count)
    return pandas.DataFrame(
        {
            "id": [f"P{number:05d}" for number in range(count)],
            "age": pandas.array(ages, dtype="int64"),
            "children": pandas.array(np.where(ages % 7 == 0, None, ages % 4), dtype="Int64"),
            "income": np.where(ages < 30, np.nan, random.lognormal(8, 0.5, count).round(2)),
            "small": random.normal(size=count).astype("float32"),
            "member": random.random(count) < 0.3,
            "smoker": np.array(["yes", "no"])[random.integers(2, size=count)],
            "town": pandas.array(random.choice(["Bern", "Graz", None], count), dtype="string"),
            "grade": pandas.Categorical(random.choice(["low", "mid", "high"], count), ["low", "mid", "high"], True),
            "joined": pandas.to_datetime(
                [start + datetime.timedelta(int(day)) for day in random.integers(999, size=count)]
            ),
            "country": "Austria",
            "nothing": np.full(count, np.nan),
        }
    )


def opened(source, seed=0, **options):
    return Tables.open(source, Tables.Options(**options), seed=seed, cache=Path("unused"))


def everything(result):
    data = result.train.dataset
    return data.read(np.arange(len(data)))


def restored(result):
    state = json.loads(json.dumps(result.domain.state(), allow_nan=False))
    return Tables.restore(Spec.from_json(json.loads(json.dumps(result.domain.spec.to_json()))), state)


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------- claiming


@pytest.mark.parametrize("source", ["a.csv", "A.CSV", "a.tsv", "a.csv.gz", "a.tsv.gz", "a.parquet", Path("a.csv")])
def test_table_files_are_claimed_by_their_ending(source):
    assert Tables.claims(source)


@pytest.mark.parametrize(
    "source", ["a.txt", "toy:points.csv", "photos/", np.zeros(3), np.zeros((2, 3, 4)), [1], (1, 2)]
)
def test_other_sources_are_not_claimed(source):
    assert not Tables.claims(source)


def test_frames_arrays_and_pairs_are_claimed():
    for source in (people(3), np.zeros((3, 2)), torch.zeros(3, 2), (np.zeros((3, 2)), np.zeros(3))):
        assert Tables.claims(source)


# ------------------------------------------------------------------------------------------- there and back again


def test_a_pandas_frame_comes_back_with_its_types_values_and_missing_values():
    frame = people()
    result = opened(frame, least=1)
    samples, condition = everything(result)
    assert condition is None and samples.dtype == torch.float32
    assert samples.shape == (COUNT, *result.domain.spec.shape)
    back = restored(result).decode(samples)
    assert back.dtypes.to_dict() == frame.dtypes.to_dict()
    exact = [name for name in frame if name not in ("id", "small", "income")]
    pandas.testing.assert_frame_equal(back[exact], frame[exact])
    np.testing.assert_allclose(back["small"], frame["small"], atol=2e-6)
    np.testing.assert_allclose(back["income"], frame["income"], atol=0.02)
    assert not set(back["id"]) & set(frame["id"]) and back["id"].is_unique


def test_encoding_what_was_decoded_is_a_fixed_point():
    domain = opened(people()).domain
    first = domain.decode(torch.rand(50, *domain.spec.shape) * 2 - 1)
    again = domain.decode(domain.encode(first))
    pandas.testing.assert_frame_equal(first.drop(columns=["id", "small"]), again.drop(columns=["id", "small"]))


def test_any_sample_decodes_to_a_valid_row():
    frame, domain = people(), opened(people()).domain
    back = domain.decode(3 * torch.randn(500, *domain.spec.shape, generator=torch.Generator().manual_seed(0)))
    assert back["age"].between(frame["age"].min(), frame["age"].max()).all()
    assert set(back["town"].dropna()) <= {"Bern", "Graz"} and back["town"].isna().any()
    assert set(back["children"].dropna()) <= {0, 1, 2, 3}
    present = back["income"].dropna()
    np.testing.assert_array_equal(present, present.round(2))


def test_blocks_cover_the_features_and_choices_are_one_hot():
    result = opened(people())
    spec = result.domain.spec
    assert spec.kind == "tables" and sum(block.width for block in spec.blocks) == spec.features
    samples, start = everything(result)[0], 0
    for block in spec.blocks:
        part = samples[:, start : start + block.width]
        start += block.width
        if block.kind == "choice":
            assert (part.sum(1) == 1).all() and ((part == 0) | (part == 1)).all()
        else:
            assert block.width == 1 and part.abs().max() <= 1


def test_a_polars_frame_comes_back_as_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "n": polars.Series([1, None, 3, 4] * 60, dtype=polars.Int16),
            "flag": [True, False, None, True] * 60,
            "text": ["a", "b", None, "a"] * 60,
            "enum": polars.Series(["x", "y", "x", "y"] * 60, dtype=polars.Enum(["y", "x"])),
            "day": [datetime.date(2024, 1, 1 + index % 28) for index in range(240)],
            "moment": polars.Series([datetime.datetime(2024, 1, 1, hour % 24) for hour in range(240)]).cast(
                polars.Datetime("ms", "Europe/Vienna")
            ),
        }
    )
    result = opened(frame)
    assert restored(result).decode(everything(result)[0]).equals(frame)
    assert restored(result).decode(everything(result)[0]).schema == frame.schema


def test_an_arrow_table_comes_back_as_arrow():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(
        {
            "n": pyarrow.array([1, None, 3, 4] * 60, pyarrow.int16()),
            "flag": [True, False, None, True] * 60,
            "text": pyarrow.array(["a", "b", None, "a"] * 60).dictionary_encode(),
            "day": pyarrow.array([datetime.date(2024, 1, 1 + index % 28) for index in range(240)]),
            "moment": pyarrow.array([index * 3600 for index in range(240)], pyarrow.timestamp("s", "UTC")),
        }
    )
    result = opened(table, drop="n", least=1)
    back = restored(result).decode(everything(result)[0])
    assert back.equals(table.drop_columns(["n"]))


def test_arrays_tensors_and_pairs_come_back_as_they_came():
    random = np.random.default_rng(0)
    samples, labels = random.normal(size=(300, 3)).astype(np.float32), random.integers(0, 3, 300)
    result = opened(samples, least=1)
    back = restored(result).decode(everything(result)[0])
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, samples, atol=1e-5)
    result = opened(torch.from_numpy(samples).bfloat16())
    assert restored(result).decode(everything(result)[0]).dtype == torch.bfloat16
    result = opened((samples, labels), condition="label")
    back, back_labels = restored(result).decode(*everything(result))
    np.testing.assert_array_equal(back_labels, labels)
    assert back.shape == samples.shape and back_labels.dtype == labels.dtype


def test_an_array_of_objects_keeps_its_python_values():
    array = np.array([["a", 1, 2.5, None]] * 100 + [["b", 2, None, None]] * 100, dtype=object)
    result = opened(array)
    assert restored(result).decode(everything(result)[0]).tolist() == array.tolist()


# ---------------------------------------------------------------------------------------------------------- files


def csv_rows(count=300):
    random = np.random.default_rng(0)
    for index in range(count):
        yield [
            f"{random.integers(100):d}" if index % 9 else "NA",
            f"{9 + random.normal():.2f}",
            ["Yes", "No"][index % 2],
            ["TRUE", "FALSE"][index % 3 == 0],
            f"{1 + index % 28:02d}/{1 + index % 12:02d}/2021",
            f"{index % 90:05d}",
            ["x, y", 'q"q', "?"][index % 3],
        ]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz"])
def test_a_file_is_written_back_in_the_spelling_it_came_in(tmp_path, ending):
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["n", "d", "yes", "flag", "day", "zip", "text"], *csv_rows()])
    result = opened(path, least=1)
    back = restored(result).decode(everything(result)[0])
    assert isinstance(back, pandas.DataFrame)
    kinds = {name: str(dtype) for name, dtype in back.dtypes.items()}
    assert kinds["n"] == "Int64" and kinds["d"] == "float64" and kinds["flag"] == "bool"
    assert kinds["day"].startswith("datetime64") and back["zip"][3] == "00003" and back["text"].isna().sum() == 100
    (out,) = result.domain.write(back, tmp_path / f"out{ending}")
    text = (gzip.decompress(out.read_bytes()) if ending.endswith("gz") else out.read_bytes()).decode()
    rows = list(csv.reader(text.splitlines(), delimiter="\t" if ending == ".tsv" else ","))
    assert rows == list(csv.reader(path.read_text().splitlines()))


def test_parquet_and_json_are_written_by_their_ending(tmp_path):
    pytest.importorskip("pyarrow")
    frame = people().drop(columns=["nothing"])
    frame.to_parquet(tmp_path / "in.parquet")
    result = opened(str(tmp_path / "in.parquet"))
    back = result.domain.decode(everything(result)[0])
    (out,) = result.domain.write(back, tmp_path / "out.parquet")
    pandas.testing.assert_frame_equal(pandas.read_parquet(out), back)
    (out,) = result.domain.write(back, tmp_path / "out.json")
    first = json.loads(out.read_text())[0]
    assert first["age"] == int(back["age"][0]) and first["country"] == "Austria"
    assert first["joined"] == str(back["joined"][0].date())


def test_arrays_are_written_as_text_and_parquet(tmp_path):
    array = np.random.default_rng(0).normal(size=(50, 2)).round(3)
    result = opened(array)
    (out,) = result.domain.write(array, tmp_path / "rows")
    np.testing.assert_array_equal(np.loadtxt(out, delimiter=",", skiprows=1), array)
    pytest.importorskip("pyarrow")
    (out,) = result.domain.write(array, tmp_path / "rows.parquet")
    np.testing.assert_array_equal(pandas.read_parquet(out).to_numpy(), array)


# -------------------------------------------------------------------------------------------------------- options


def test_what_was_found_is_said_column_by_column():
    lines = {line.partition(": ")[0]: line for line in opened(people()).found}
    assert lines["table"] == "table: 400 rows, 12 columns as 36 features" or "400 rows" in lines["table"]
    assert "identifier" in lines["id"] and "constant 'Austria'" in lines["country"]
    assert lines["age"].startswith("age: integers 18 to 89")
    assert "4 different integers: 0, 1, 2, 3" in lines["children"] and "% missing" in lines["children"]
    assert lines["smoker"] == "smoker: boolean (no / yes)"
    assert lines["joined"].startswith("joined: dates 2020-01-0")
    assert "not learned" in lines["nothing"] and "held out for scores" in lines


def test_types_can_be_corrected_and_columns_dropped():
    result = opened(people(), types="children=integer,age=category,town=id", drop="income,small")
    kinds = {column.name: column.kind for column in result.domain.columns}
    assert kinds["children"] == "number" and kinds["age"] == "choice" and kinds["town"] == "identifier"
    assert "income" not in kinds
    assert list(result.domain.decode(everything(result)[0]).columns) == [
        name for name in people() if name not in ("income", "small")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"types": "agee=integer"}, "types: there is no column 'agee'; did you mean 'age'"),
        ({"types": "age=intger"}, "'intger' is no type of column; did you mean 'integer'"),
        ({"types": "smoker=date"}, "'smoker' cannot be read as date"),
        ({"types": "small=integer"}, "'small' holds fractions"),
        ({"types": "age=boolean"}, "'age' has 72 different values"),
        ({"drop": "towm"}, "drop: there is no column 'towm'; did you mean 'town'"),
        ({"condition": "grad"}, "condition: there is no column 'grad'; did you mean 'grade'"),
        ({"condition": "country"}, "'country' is constant"),
        ({"condition": "id"}, "'id' is identifier"),
        ({"condition": "age", "drop": "age"}, "also dropped"),
        ({"drop": ",".join(n for n in people(3) if n not in ("id", "country"))}, "no column can be learned"),
    ],
)
def test_a_wrong_option_is_refused_with_the_nearest_right_one(options, message):
    with pytest.raises(GannetError, match=message):
        opened(people(), **options)


def test_condition_columns_leave_the_sample_and_come_back_from_the_condition():
    frame = people()
    result = opened(frame, condition="grade,age,town")
    samples, condition = everything(result)
    spec = result.domain.spec
    assert [field.name for field in spec.condition.fields] == ["age", "town", "grade"]
    assert spec.condition.fields[1].levels == ("Graz", "Bern", "(missing)") or len(spec.condition.fields[1].levels) == 3
    assert condition.shape == (COUNT, spec.condition_width) and samples.shape[1] < opened(frame).domain.spec.features
    back = restored(result).decode(samples, condition)
    columns = ["age", "town", "grade", "member"]
    pandas.testing.assert_frame_equal(back[columns], frame[columns])


def test_without_pandas_arrays_play_and_files_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    array = np.random.default_rng(0).integers(0, 5, (60, 2))
    result = opened(array)
    np.testing.assert_array_equal(result.domain.decode(everything(result)[0]), array)
    with pytest.raises(GannetError, match=r'pandas: pip install "gannet\[tables\]"'):
        opened(written(tmp_path, "a,b\n1,2\n2,3\n3,4\n"))


# ------------------------------------------------------------------------------------------------ sizes and doubts


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_rows_are_refused(tmp_path, count):
    with pytest.raises(GannetError, match=f"{count} rows are too few"):
        opened(written(tmp_path, "a,b\n" + "1,x\n" * count))


def test_a_small_table_is_warned_about_and_nothing_is_held_out(tmp_path):
    result = opened(written(tmp_path, "a,b\n" + "".join(f"{index},{index % 2}\n" for index in range(12))))
    assert result.holdout is None and any("only 12 rows" in warning for warning in result.warnings)
    assert result.domain.decode(everything(result)[0])["b"].tolist() == [index % 2 for index in range(12)]


def test_a_tenth_is_held_out_and_never_trained_on():
    result = opened(people())
    assert len(result.holdout) == 40 and len(result.train) == 360
    assert not set(result.train.indices) & set(result.holdout.indices)
    assert (opened(people()).train.indices == result.train.indices).all()
    assert (opened(people(), seed=1).train.indices != result.train.indices).any()


def test_copies_rare_categories_and_mixed_columns_are_warned_about(tmp_path):
    rows = [f"{index % 50},{'abc'[index % 3]},{index % 40 if index % 10 else 'many'}" for index in range(300)]
    rows[7] = "9,rare,3"
    warnings = " | ".join(opened(written(tmp_path, "n,c,m\n" + "\n".join(rows))).warnings)
    assert "exact copies" in warnings and "c (1)" in warnings and "mixed with text such as 'many'" in warnings


def test_the_fingerprint_tells_content_and_not_paths(tmp_path):
    text = "a,b\n" + "".join(f"{index},{index % 3}\n" for index in range(30))
    first = opened(written(tmp_path, text)).fingerprint
    assert first == opened(written(tmp_path, text.replace(",", ";"), "other.csv")).fingerprint
    assert first != opened(written(tmp_path, text.replace("7,1", "7,2"))).fingerprint
    assert first != opened(written(tmp_path, text.replace("a,b", "a,c"))).fingerprint


def test_unlearnable_types_are_refused_with_the_remedy():
    frame = people()
    frame["wave"] = np.arange(COUNT) * 1j
    with pytest.raises(GannetError, match="'wave' has the type complex128.*drop=wave"):
        opened(frame)


def test_a_table_that_lacks_a_column_is_not_encoded():
    domain = opened(people()).domain
    with pytest.raises(GannetError, match="lacks the column 'age'"):
        domain.encode(people().drop(columns="age"))


# ---------------------------------------------------------------------------------------------- categories of few rows


def visits(count=2_000):
    random = np.random.default_rng(0)
    towns = random.choice(["Bern", "Graz", "Linz"], count).astype(object)
    towns[[3, 99]], towns[200:206] = "Hinterwald", "Vorderwald"
    town = pandas.Categorical(towns, ["Bern", "Graz", "Linz", "Hinterwald", "Vorderwald"])
    grade = pandas.Categorical(random.choice(["low", "mid"], count), ["low", "mid", "high"], ordered=True)
    return pandas.DataFrame({"town": town, "grade": grade, "age": random.integers(20, 80, count)})


def test_a_category_of_fewer_than_five_rows_is_nowhere_in_the_state_unless_allowed():
    result = opened(visits())
    assert "Hinterwald" not in json.dumps(result.domain.state()) + json.dumps(result.domain.spec.to_json())
    assert "Vorderwald" in json.dumps(result.domain.state())
    assert "no category of fewer than 5 rows is learned or saved (least=5)" in result.found
    assert any(line.startswith("town: ") and "1 in fewer than 5 rows not learned" in line for line in result.found)
    back = restored(result).decode(everything(result)[0])
    assert list(back["town"].cat.categories) == ["Bern", "Graz", "Linz", "Vorderwald"]
    assert back["grade"].dtype == visits()["grade"].dtype
    assert "Hinterwald" in json.dumps(opened(visits(), least=1).domain.state())


@pytest.mark.parametrize(("count", "least"), [(20, 1), (60, 2), (300, 3), (499, 4), (2_000, 5)])
def test_small_tables_learn_categories_of_fewer_rows(count, least):
    towns = ["a"] * (count - 2 * least + 1) + ["kept"] * least + ["lost"] * (least - 1)
    state = json.dumps(opened(pandas.DataFrame({"town": towns, "n": np.arange(count) % 7})).domain.state())
    assert '"kept"' in state and '"lost"' not in state


def test_a_threshold_below_one_is_refused():
    with pytest.raises(GannetError, match="least: 0 rows"):
        opened(people(), least=0)


def test_a_condition_on_very_many_levels_has_no_number():
    towns = [f"town {index % 400}" for index in range(2_400)]
    result = opened(pandas.DataFrame({"town": towns, "n": np.arange(2_400) % 7}), condition="town")
    samples, condition = everything(result)
    assert condition.shape[1] == result.domain.spec.condition_width == 200
    assert set(restored(result).decode(samples, condition)["town"]) <= set(towns)


def test_the_state_holds_no_row():
    frame = people()
    frame["secret"] = np.random.default_rng(5).normal(size=COUNT)
    stored = json.dumps(opened(frame).domain.state())
    inner = frame["secret"].sort_values()[1:-1]
    assert sum(repr(float(value)) in stored for value in inner) == 0
    assert not any(identifier in stored for identifier in frame["id"])


# ------------------------------------------------------------------------------------------ pictures and features


def test_the_preview_is_a_picture_of_up_to_twelve_columns():
    result = opened(people())
    picture = restored(result).preview(everything(result)[0][:100])
    assert picture.mode == "RGB" and picture.width > 800 and len(picture.getcolors(1 << 24)) > 3


def test_each_column_weighs_the_same_in_the_embedding():
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"coin": random.integers(0, 2, 2_000), "number": random.normal(size=2_000)})
    features = opened(frame).domain.embed(everything(opened(frame))[0])
    coin, number = features[:, :2], features[:, 2:]
    spread = [2 * part.var(0, correction=0).sum() for part in (coin, number)]
    assert spread[0] == pytest.approx(0.5, abs=0.01) and spread[1] == pytest.approx(0.5, abs=0.01)


def test_the_embedding_sees_what_the_user_gets_and_keeps_distances_when_projected():
    result = opened(people())
    samples, _ = everything(result)
    soft = torch.where(samples == 0, samples + 0.01, samples)
    domain = result.domain
    wide = pandas.DataFrame({f"c{index}": np.random.default_rng(index).integers(0, 9, 300) for index in range(40)})
    projected = opened(wide).domain.embed(everything(opened(wide))[0])
    assert projected.shape == (300, 128)
    assert float(torch.pdist(projected).square().mean()) == pytest.approx(40 * 8 / 9, rel=0.1)
    choices = [index for index, block in enumerate(_kinds(domain.spec)) if block == "choice"]
    assert torch.equal(domain.embed(samples)[:, choices], domain.embed(soft)[:, choices])


def _kinds(spec):
    return [block.kind for block in spec.blocks for _ in range(block.width)]


# ----------------------------------------------------------------------------------------------------- real tables


@pytest.mark.skipif(not REAL.is_dir(), reason="GANNET_TEST_DATA names no folder with tables/*.csv.gz")
@pytest.mark.parametrize("name", ["adult_train", "penguins", "titanic", "compas_deidentified", "telco_churn"])
def test_real_tables_come_back_as_the_text_they_were(tmp_path, name):
    path = REAL / f"{name}.csv.gz"
    result = opened(path, least=1)
    (out,) = result.domain.write(restored(result).decode(everything(result)[0]), tmp_path / "out.csv")
    with gzip.open(path, "rt") as source, out.open() as copy:
        pairs = list(zip(csv.reader(source), csv.reader(copy), strict=True))
    wrong = sum(a != b for before, after in pairs for a, b in zip(before, after, strict=True))
    # float32 cannot hold every value of long-tailed numbers; they come back within a millionth of their range.
    assert wrong <= 0.002 * len(pairs) * len(pairs[0][0])
