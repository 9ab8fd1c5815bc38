"""The series domain: windows that share nothing with what is held out, entities, .ts files, arrays; there and back."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gannet
from gannet import api
from gannet.domains import domain_for
from gannet.domains.series import Series
from gannet.domains.series_arrays import TimeSeries
from gannet.domains.series_memory import Memory
from gannet.domains.series_shape import Shape
from gannet.domains.series_ts import read_ts
from gannet.domains.series_windows import cut
from gannet.errors import GannetError
from gannet.spec import Spec

pandas = pytest.importorskip("pandas")
REAL = Path(os.environ.get("GANNET_TEST_DATA", "no-such-folder")) / "timeseries"


def opened(source: Any, tmp_path: Path, **options: Any) -> Any:
    return Series.open(source, Series.Options(**options), seed=0, cache=tmp_path)


def everything(data: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    return data.read(np.arange(len(data)))


def write(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def long_csv(tmp_path: Path, steps: int = 600) -> Path:
    """One series: a counter, two columns that go together, a price, and an hour a step."""
    random = np.random.default_rng(0)
    walk = random.normal(size=steps).cumsum()
    price = np.exp(random.normal(0, 0.05, steps).cumsum() + 4)
    hours = np.datetime64("2024-02-28T00", "h") + np.arange(steps)
    rows = [
        [str(hours[index]).replace("T", " ") + ":00:00", index, f"{walk[index]:.3f}"]
        + [f"{walk[index] * 2 + random.normal(0, 0.01):.4f}", f"{price[index]:.2f}"]
        for index in range(steps)
    ]
    return write(tmp_path / "long.csv", ["when", "count", "walk", "double", "price"], rows)


def events(tmp_path: Path, entities: int = 60) -> Path:
    """Series of 1 to 9 steps in mixed order: constants, a category, gaps, uneven dates, mostly zeros."""
    random = np.random.default_rng(0)
    rows = []
    for index in range(entities):
        day = np.datetime64("2023-01-02") + int(random.integers(300))
        tier = ["gold", "basic", "basic"][index % 3]
        for _ in range(1 + index % 9):
            day += int(random.choice([1, 1, 2, 7]))
            amount = "" if random.random() < 0.1 else f"{random.lognormal(3 if tier == 'basic' else 8, 0.3):.2f}"
            orders = 0 if random.random() < 0.6 else int(random.integers(1, 90))
            state = random.choice(["ok", "late", "ok"])
            rows.append([f"C{index:04d}", tier, str(day), amount, state, orders, "EUR", index % 3 * 10 + 30])
    random.shuffle(rows)
    header = ["customer", "tier", "day", "amount", "state", "orders", "currency", "age"]
    return write(tmp_path / "events.csv", header, rows)


def of_events(tmp_path: Path, **options: Any) -> Any:
    return opened(f"series:{events(tmp_path)}", tmp_path, entity="customer", **options)


# ------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(("steps", "length", "stride"), [(600, 24, 1), (600, 24, 5), (3_685, 24, 1), (150, 40, 3)])
def test_no_step_is_in_a_training_window_and_in_a_held_out_one(
    steps: int, length: int, stride: int, at_end: bool
) -> None:
    windows = cut(steps, length, stride, 0.1, at_end=at_end)
    seen = [{step for start in windows.begin[windows.held == held] for step in range(start, start + length)}
            for held in (False, True)]  # fmt: skip
    assert not seen[0] & seen[1]
    assert windows.held.any() == (steps * 0.1 >= length)
    assert not at_end or not windows.held.any() or max(seen[1]) > max(seen[0])


def test_windows_of_one_long_series_share_no_step_with_what_is_held_out(tmp_path: Path) -> None:
    data = opened(f"series:{long_csv(tmp_path)}", tmp_path, length=12)
    assert data.domain.spec.kind == "series" and data.domain.spec.shape[1] == 12
    counts = [set(data.domain.decode(*everything(part))["count"]) for part in (data.train, data.holdout)]
    assert counts[0] and counts[1] and not counts[0] & counts[1]
    assert any("no step is on both sides" in line for line in data.found)


def test_a_window_comes_back_with_its_dates_its_rounding_and_columns_that_go_together(tmp_path: Path) -> None:
    path = long_csv(tmp_path)
    data = opened(f"series:{path}", tmp_path, length=12)
    frame = data.domain.decode(data.train.read(np.array([5]))[0])
    source = pandas.read_csv(path, parse_dates=["when"])
    assert list(frame.columns) == ["series", "when", "count", "walk", "double", "price"]
    row = int(frame["count"][0])
    expected = source.iloc[row : row + 12].reset_index(drop=True)
    assert (frame["when"].diff().dropna() == pandas.Timedelta(hours=1)).all()
    assert np.allclose(frame[["count", "walk", "double"]], expected[["count", "walk", "double"]], atol=2e-3)
    assert np.allclose(frame["price"], expected["price"], atol=0.02)
    assert any("price" in line and "logarithms" in line for line in data.found)
    assert not any("walk" in line and "logarithms" in line for line in data.found)


def test_rows_out_of_order_are_put_in_order_by_their_dates(tmp_path: Path) -> None:
    path = long_csv(tmp_path, 120)
    header, *rows = path.read_text().splitlines()
    (tmp_path / "mixed.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    straight = opened(f"series:{path}", tmp_path, length=12)
    mixed = opened(f"series:{tmp_path / 'mixed.csv'}", tmp_path, length=12)
    assert straight.fingerprint == mixed.fingerprint and "put in order" in mixed.warnings[0]


# ------------------------------------------------------------------------------------------------- entities


def test_series_of_entities_are_found_with_their_constants_lengths_and_uneven_dates(tmp_path: Path) -> None:
    data = of_events(tmp_path)
    said = "\n".join(data.found)
    assert "60 series by 'customer', of 1 to 9 steps" in said
    assert "the same within each series: tier, currency, age" in said
    assert "day: steps are uneven" in said and "orders: integers 0 to" in said and "are 0" in said
    course = data.domain.spec.course
    assert course is not None and course.ends is not None and len(course.ends) == 8


def test_entities_come_back_as_they_went_in_but_for_their_names(tmp_path: Path) -> None:
    data = of_events(tmp_path, held_out=0)
    frame = data.domain.decode(*everything(data.train))
    source = pandas.read_csv(tmp_path / "events.csv", parse_dates=["day"])
    first = source["customer"].drop_duplicates()
    source["order"] = source["customer"].map({name: index for index, name in enumerate(first)})
    source = source.sort_values(["order", "day"], kind="stable").reset_index(drop=True)
    assert list(frame.columns) == list(source.columns[:-1]) and len(frame) == len(source)
    for column in ("tier", "state", "currency", "age", "orders", "day"):
        assert (frame[column] == source[column]).all(), column
    assert (frame["amount"].isna() == source["amount"].isna()).all()
    assert np.allclose(frame["amount"].dropna(), source["amount"].dropna(), rtol=2e-3, atol=0.011)
    assert not set(frame["customer"]) & set(source["customer"]) and frame["customer"].nunique() == 60


def test_encoding_what_was_decoded_gives_the_same_series_again(tmp_path: Path) -> None:
    data = of_events(tmp_path)
    samples, _ = everything(data.train)
    once = data.domain.decode(samples)
    twice = data.domain.decode(data.domain.encode(once))
    assert once.drop(columns=["customer", "amount"]).equals(twice.drop(columns=["customer", "amount"]))
    assert np.allclose(once["amount"].dropna(), twice["amount"].dropna(), rtol=1e-3, atol=0.011)


def test_series_of_unlike_magnitude_look_alike_to_the_game(tmp_path: Path) -> None:
    data = of_events(tmp_path)
    samples, _ = everything(data.train)
    gold = data.domain.frame(samples)["tier"].to_numpy() == "gold"
    moving = samples[:, data.domain.spec.course.constants]
    on = samples[:, data.domain.spec.course.constants :].abs().sum(1) > 0
    spread = [float(moving[group][on[group]].std()) for group in (torch.tensor(gold), torch.tensor(~gold))]
    assert 0.6 < spread[0] / spread[1] < 1.7


def test_nothing_moves_after_a_series_own_end_and_attributes_never_do(tmp_path: Path) -> None:
    data = of_events(tmp_path)
    samples, _ = everything(data.train)
    constants, ends = data.domain.spec.course.constants, torch.tensor(data.domain.spec.course.ends)
    assert (samples[:, :constants] == samples[:, :constants, :1]).all()
    gone = torch.cat([torch.zeros(len(samples), 1, dtype=torch.bool), samples[:, 0, :1] <= ends], 1)
    assert gone.any() and (samples[:, constants:].transpose(1, 2)[gone] == 0).all()


def test_long_series_are_cut_into_pieces_of_which_none_is_held_out_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [[entity, step, 100 * entity + random.normal()] for entity in range(250) for step in range(20)]
    path = write(tmp_path / "pieces.csv", ["unit", "hour", "load"], rows)
    data = opened(f"series:{path}", tmp_path, entity="unit", order="hour", length=8)
    assert any("750 pieces of at most 8 steps" in line for line in data.found)
    assert (len(data.train), len(data.holdout)) == (675, 75)
    parts = [data.domain.decode(*everything(part)) for part in (data.train, data.holdout)]
    owners = [set(np.rint(part["load"] / 100)) for part in parts]
    assert len(owners[1]) == 25 and not owners[0] & owners[1]


def test_what_stays_the_same_can_be_asked_for_and_what_changes_cannot(tmp_path: Path) -> None:
    data = of_events(tmp_path, condition="tier,age")
    assert [field.name for field in data.domain.spec.condition.fields] == ["tier", "age"]
    samples, condition = everything(data.train)
    frame = data.domain.decode(samples, condition)
    again = data.domain.conditions(frame)
    assert torch.equal(again, condition) and set(frame["tier"]) == {"gold", "basic"}
    with pytest.raises(GannetError, match="condition: column 'state' changes within series"):
        of_events(tmp_path, condition="state")


def test_months_are_even_steps_though_their_days_differ(tmp_path: Path) -> None:
    rows = [[f"{1990 + index // 12}-{index % 12 + 1:02d}-31" if index % 12 in (0, 2, 4, 6, 7, 9, 11) else
             f"{1990 + index // 12}-{index % 12 + 1:02d}-28", index] for index in range(150)]  # fmt: skip
    month = write(tmp_path / "month.csv", ["month", "value"], [[row[0][:7], row[1]] for row in rows])
    data = opened(f"series:{month}", tmp_path, length=13)
    assert any("a step every month" in line for line in data.found)
    frame = data.domain.decode(data.train.read(np.array([3]))[0])
    assert [str(moment)[:7] for moment in frame["month"]] == [row[0][:7] for row in rows[3:16]]


# --------------------------------------------------------------------------------------------- .ts files, arrays


def ts_text(labels: str = "@classLabel true walk run") -> str:
    return "\n".join(
        ["# a remark", "@problemName Toy", "@timeStamps false", "@univariate false", labels, "@data"]
        + [f"{index},1,{index * 2},?:0.5,{index},1.5,2:{('walk', 'run')[index % 2]}" for index in range(12)]
    )


def test_the_steps_of_labelled_series_are_told_without_their_labels(tmp_path: Path) -> None:
    (tmp_path / "moves.ts").write_text(ts_text())
    opened = Series.open(str(tmp_path / "moves.ts"), Series.Options(), seed=0, cache=tmp_path)
    samples, labels = opened.train.read(np.arange(len(opened.train)))
    values, alive, _ = opened.domain.steps(samples)
    assert labels is not None and len(values) == len(alive) == len(samples)


@pytest.mark.parametrize("suffix", [".ts", ".ts.gz"])
def test_ts_files_are_read_with_labels_dimensions_and_gaps(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"toy{suffix}"
    path.write_bytes(gzip.compress(ts_text().encode()) if suffix == ".ts.gz" else ts_text().encode())
    assert domain_for(str(path)) is Series
    data = opened(str(path), tmp_path)
    assert data.domain.spec.condition.fields[0].levels == ("walk", "run")
    frame = data.domain.decode(*everything(data.train))
    assert list(frame.columns) == ["series", "step", "dim_0", "dim_1", "label"]
    assert frame["dim_0"].isna().sum() == 12 and frame["label"].tolist()[:8] == ["walk"] * 4 + ["run"] * 4
    assert np.allclose(frame["dim_1"][4:8], [0.5, 1, 1.5, 2], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1,2,3\n", "line 1: data before a line @data"),
        (ts_text().replace("2,1,4,?", "2,one,4,?"), "line 9: 'one' is no number"),
        (ts_text().replace("2,1,4,?:", ""), "line 9: 1 dimensions, the first series has 2"),
        (ts_text("@classLabel true walk"), "line 8: label 'run' is none of the header's: walk"),
        ("@data\n", "no series after @data"),
        (ts_text().replace("@timeStamps false", "@timeStamps true"), "time stamps"),
    ],
)
def test_a_ts_file_out_of_its_format_is_refused_by_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "bad.ts").write_text(text)
    with pytest.raises(GannetError, match=complaint):
        read_ts(tmp_path / "bad.ts")


def test_arrays_come_back_as_arrays_and_a_tail_of_nothing_is_an_end(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 9, 2)).cumsum(1)
    values[3, 6:] = np.nan
    values[4, 2, 1] = np.nan
    data = opened(TimeSeries(values, labels=["a", "b"] * 15, names=["x", "y"]), tmp_path)
    samples, condition = everything(data.train)
    back = data.domain.decode(samples, condition)
    assert back.shape == values.shape and np.allclose(back, values, atol=1e-4, equal_nan=True)
    # Mean, scale and place of the length are loose in training samples; without chance they are settled.
    settled = data.domain.encode(back)
    assert np.allclose(data.domain.decode(settled, condition), back, atol=1e-4, equal_nan=True)
    assert torch.allclose(data.domain.encode(data.domain.decode(settled, condition)), settled, atol=1e-3)
    np.savez(tmp_path / "series.npz", values=values.astype(np.float32), labels=np.array(["a", "b"] * 15))
    again = opened(f"series:{tmp_path / 'series.npz'}", tmp_path)
    assert again.domain.spec.shape == data.domain.spec.shape
    assert again.domain.decode(*everything(again.train)).dtype == np.float32


# ---------------------------------------------------------------------------------------------- state and files


def test_a_restored_domain_does_the_same_and_holds_no_series(tmp_path: Path) -> None:
    data = of_events(tmp_path, condition="tier")
    text = json.dumps(data.domain.state())
    restored = Series.restore(Spec.from_json(data.domain.spec.to_json()), json.loads(text))
    samples, condition = everything(data.train)
    assert restored.spec == data.domain.spec
    assert restored.decode(samples, condition).equals(data.domain.decode(samples, condition))
    assert torch.equal(restored.embed(samples), data.domain.embed(samples))
    assert restored.shown is None and "C0007" not in text


@pytest.mark.parametrize("name", ["out.csv", "out.tsv.gz", "out.parquet", "out.json", "out.npz", "plain"])
def test_samples_are_written_by_the_ending_and_read_again(tmp_path: Path, name: str) -> None:
    data = of_events(tmp_path)
    samples, _ = everything(data.train)
    decoded = data.domain.decode(samples)
    (path,) = data.domain.write(decoded, tmp_path / name)
    if name.endswith((".json", ".npz")):
        if name == "out.npz":
            with np.load(path) as arrays:
                assert arrays["values"].shape == (len(samples), 9, 2) and arrays["state"].shape == (len(samples), 9)
                assert arrays["lengths"].sum() == len(decoded) and list(arrays["columns"]) == ["amount", "orders"]
        return
    again = opened(f"series:{path}", tmp_path, entity="customer", held_out=0)
    kept = again.domain.decode(*everything(again.train))
    assert kept.drop(columns=["customer", "amount"]).equals(decoded.drop(columns=["customer", "amount"]))


def test_pictures_features_and_rows_of_series(tmp_path: Path) -> None:
    data = of_events(tmp_path)
    samples, _ = everything(data.train)
    features = data.domain.embed(samples)
    assert features.shape[0] == len(samples) and features.shape[1] <= 200 and features.isfinite().all()
    assert torch.equal(features[:7], data.domain.embed(samples[:7]))
    picture = data.domain.preview(samples[:16])
    assert picture.width > 300 and len(picture.getcolors(100_000)) > 4
    frame = data.domain.frame(samples)
    assert len(frame) == len(samples) and {"tier", "steps", "amount mean", "amount missing", "state commonest"} <= set(
        frame
    )
    spoiled, _ = data.domain.spoiled(samples, None, np.random.default_rng(0))
    assert set(data.domain.frame(spoiled)) == set(frame)
    constants = data.domain.spec.course.constants
    assert (spoiled[:, :constants] == spoiled[:, :constants, :1]).all()


def test_shape_is_undone_exactly_whatever_the_lengths_and_magnitudes() -> None:
    random = np.random.default_rng(1)
    alive = np.arange(17) < random.integers(1, 18, 80)[:, None]
    columns = random.normal(size=(80, 17, 3)).cumsum(1) * np.exp(2 * random.normal(size=(80, 1, 1)))
    columns[:, :, 1] = columns[:, :, 0] + 0.01 * columns[:, :, 1]
    columns *= alive[:, :, None]
    shape = Shape.fit(columns, alive, np.zeros(3), np.zeros(3, dtype=bool), random)
    attributes, courses = shape.apply(columns, alive)
    assert np.allclose(shape.undo(attributes, courses, alive)[alive], columns[alive], atol=1e-8)
    assert 0.5 < courses[alive].std() < 1.5 and (courses[~alive] == 0).all()


def test_columns_that_follow_from_others_are_not_learned_by_themselves() -> None:
    random = np.random.default_rng(1)
    columns = random.normal(size=(50, 12, 3)).cumsum(1)
    columns[:, :, 2] = columns[:, :, 0]
    shape = Shape.fit(columns, np.ones((50, 12), dtype=bool), np.zeros(3), np.zeros(3, dtype=bool), random)
    assert shape.components == 2


# ------------------------------------------------------------------------------------------------- the whole way


SMALL = {"batch_size": 16, "latent": 8, "entity": "customer", "condition": "tier"}


def test_a_run_stopped_and_gone_on_with_ends_bit_equal_and_samples_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = f"series:{events(tmp_path)}"
    whole = gannet.train(source, samples=96, size=0.1, out="whole", **SMALL)
    parts = api.prepare(source, out="parts", samples=96, size=0.1, settings=SMALL)
    assert parts.play(lambda progress: os.kill(os.getpid(), signal.SIGINT)).status == "interrupted"
    rest = api.prepare(source, out="parts", samples=96, size=0.1, settings=SMALL)
    assert rest.resumed and rest.play().status == "finished"
    again = gannet.load("parts")
    assert all(torch.equal(first, second) for first, second in zip(whole.draw(30), again.draw(30), strict=True))
    frame = whole.sample(20, where={"tier": "gold"})
    assert set(frame["tier"]) == {"gold"} and frame["customer"].nunique() == 20
    assert len(set(frame.groupby("customer").size())) > 1


@pytest.mark.parametrize("recipe", ["gan", "lsgan", "hinge", "wgan", "wgan_gp"])
def test_every_game_plays_on_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    monkeypatch.chdir(tmp_path)
    session = api.prepare(f"series:{events(tmp_path)}", recipe=recipe, samples=32, size=0.1, settings=SMALL)
    assert session.play().status == "finished"


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"entity": "client"}, "entity: .* has no column 'client'; did you mean|entity: .* has no column 'client'"),
        ({"entity": "customer", "order": "state"}, "order: column 'state' holds text values"),
        ({"entity": "customer", "drop": "customer"}, "drop: column 'customer' is entity or order"),
        ({"length": 1}, "length=1: must be at least 2"),
        ({"held_out": 1.5}, "held_out=1.5"),
        ({"length": 100}, "186|steps are too few for windows of 100|too few"),
        ({"condition": "state"}, "condition: column 'state' changes from step to step"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(GannetError, match=complaint):
        opened(f"series:{events(tmp_path)}", tmp_path, **options)


def test_bad_arrays_are_refused(tmp_path: Path) -> None:
    for values, complaint in (
        (np.zeros((2, 3, 4, 5)), "is no \\[n, length, channels\\]"),
        (np.full((4, 3, 1), np.inf), "infinite"),
        ([np.zeros((3, 2)), np.zeros((3, 1))], "need the same"),
        (np.array([["a", "b"]]), "give numbers"),
    ):
        with pytest.raises(GannetError, match=complaint):
            opened(TimeSeries(values), tmp_path)
    with pytest.raises(GannetError, match="no such file of series"):
        opened("series:nowhere.csv", tmp_path)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="GANNET_TEST_DATA names no folder with timeseries/")
def test_real_files_open_and_come_back(tmp_path: Path) -> None:
    for name in ("ETTh1.csv.gz", "google_stock.csv.gz", "BasicMotions_TRAIN.ts.gz", "monthly-sunspots.csv"):
        source = str(REAL / name) if ".ts" in name else f"series:{REAL / name}"
        data = opened(source, tmp_path)
        samples, condition = data.train.read(np.arange(40))
        once = data.domain.decode(samples, condition)
        twice = data.domain.decode(data.domain.encode(once), condition)
        for column in data.domain.encoding.numbers:
            assert np.allclose(once[column], twice[column], rtol=1e-4, atol=1e-3 * once[column].std()), (name, column)


def test_what_follows_from_the_steps_before_is_taken_out_and_put_back_exactly() -> None:
    random = np.random.default_rng(0)
    alive = np.arange(14) < random.integers(1, 15, 400)[:, None]
    noise = random.normal(size=(400, 14, 2))
    courses = noise.copy()
    for step in range(1, 14):
        # The second column repeats the first one a step later: a relation across time, as open follows close.
        courses[:, step, 0] = 0.8 * courses[:, step - 1, 0] + 0.6 * noise[:, step, 0]
        courses[:, step, 1] = courses[:, step - 1, 0] + 0.05 * noise[:, step, 1]
    courses *= alive[:, :, None]
    memory = Memory.fit(courses, alive)
    fresh = memory.innovations(courses, alive)
    assert np.allclose(memory.rebuilt(fresh, alive), courses, atol=1e-9)
    again = Memory.from_json(json.loads(json.dumps(memory.to_json())))
    assert np.array_equal(again.innovations(courses, alive), fresh)
    both = alive[:, 1:] & alive[:, :-1]
    joined = np.concatenate([fresh[:, 1:][both], fresh[:, :-1][both]], 1)
    assert np.abs(np.corrcoef(joined.T) - np.eye(4)).max() < 0.06
    assert np.abs(fresh[alive].std(0) - 1).max() < 0.05


def test_a_forecast_that_would_run_away_is_drawn_in() -> None:
    courses = 1.3 ** np.arange(12)[None, :, None] * np.random.default_rng(0).normal(size=(300, 1, 1))
    alive = np.ones((300, 12), dtype=bool)
    memory = Memory.fit(courses, alive)
    quiet = np.zeros((1, 3_000, 1))
    quiet[0, 0] = 1
    far = memory.rebuilt(quiet, np.ones((1, 3_000), dtype=bool))
    assert np.isfinite(far).all() and np.abs(far).max() < 100 * np.abs(courses).max()
    assert np.allclose(memory.rebuilt(memory.innovations(courses, alive), alive), courses)
