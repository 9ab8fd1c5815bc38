"""Gaps are filled given what is known of each row, and nothing else of a table changes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import gannet
from gannet.errors import GannetError
from gannet.filling import fill_file, numbered
from gannet.model import Model
from gannet.networks.gaps import features_of, filled_tokens

LEARNED = ["kind", "age", "gain", "score", "weight", "flag", "day", "town"]


@pytest.fixture(scope="module")
def gaps(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a fifth of its cells gone, a column of the user's own, and an index that is not 0, 1, 2, ..."""
    random = np.random.default_rng(1)
    out = table.astype({"flag": "boolean", "age": "Int64"}).mask(random.random(table.shape) < 0.2)
    out["own"] = [f"note {number}" for number in range(len(out))]
    return out.set_index(pd.RangeIndex(100, 100 + len(out)))


def test_every_gap_is_filled_and_all_else_stays_as_it_is(model: Model, gaps: pd.DataFrame) -> None:
    before = gaps.copy()
    filled = model.fill(gaps, seed=1)
    pd.testing.assert_frame_equal(gaps, before)
    assert list(filled.columns) == list(gaps.columns) and filled.dtypes.equals(gaps.dtypes)
    assert filled.index.equals(gaps.index) and not filled[[*LEARNED, "code", "one"]].isna().any(axis=None)
    pd.testing.assert_frame_equal(filled.where(gaps.notna()), gaps)
    assert set(filled.one) == {"always"} and filled.kind.isin(["a", "b", "c|d"]).all()


def test_the_same_seed_gives_the_same_rows_and_draws_differ(model: Model, gaps: pd.DataFrame) -> None:
    first, second = model.fill(gaps, seed=1, draws=2)
    pd.testing.assert_frame_equal(first, model.fill(gaps, seed=1))
    assert not first.equals(second) and not first.equals(model.fill(gaps, seed=2))


def test_each_rows_own_gaps_are_filled_as_one_pattern_would_be(model: Model) -> None:
    """Row by row the tokens that the writer draws where the known ones stand first, from the same noise."""
    writer = gannet.load(model.path).recipe.networks["generator"]
    torch.manual_seed(0)
    for weight in (*writer.heads.free, *writer.heads.slow):  # type: ignore[union-attr, misc]
        weight.normal_()
    tokens = writer.tokens
    count = len(tokens)  # type: ignore[arg-type]
    values = torch.stack([torch.randint(size, (40,)) for size in tokens.sizes], 1)  # type: ignore[union-attr]
    column = torch.rand(40, 60)[:, features_of(tokens)] < 0.5  # type: ignore[arg-type]
    uniform = torch.rand(40, writer.latent)  # type: ignore[arg-type]
    filled = filled_tokens(writer, values, column, uniform)  # type: ignore[arg-type]
    for row in range(0, 40, 4):
        known = torch.nonzero(column[row])[:, 0].tolist()
        samples, _ = writer.write(uniform[row : row + 1], known=(values[row : row + 1], known))  # type: ignore[operator]
        again = tokens.read(samples)  # type: ignore[union-attr, operator]
        # A fine token beyond the last leaf is read as that leaf.
        asked = tokens.read(tokens.write(filled[row : row + 1], uniform[row : row + 1, count:]))  # type: ignore[union-attr, operator]
        assert torch.equal(again, asked)


def test_a_column_is_drawn_as_the_known_one_wishes(model: Model, table: pd.DataFrame) -> None:
    """Where only `kind` is known, rows are those that are written for it."""
    asked = pd.DataFrame(
        {"kind": ["b"] * 3_000, "age": pd.array([pd.NA] * 3_000, dtype="Int64"), "flag": [True] + [None] * 2_999}
    )
    with pytest.warns(UserWarning, match="lacks the columns"):
        filled = model.fill(asked, seed=3)
    written = model.sample(3_000, where={"kind": "b"}, seed=4)
    age = filled.age.astype(float)
    error = np.sqrt(age.var() / 3_000 + written.age.var() / 3_000)
    assert abs(age.mean() - written.age.mean()) < 5 * error
    assert abs(filled.flag.astype(float).mean() - written.flag.mean()) < 5 * np.sqrt(0.5 / 3_000)


def test_what_was_never_learned_is_kept_and_said_once_a_column(model: Model, table: pd.DataFrame) -> None:
    rows = table.head(50).copy()
    rows.loc[:9, "kind"] = "zebra"
    rows.loc[5, "age"] = 1_000
    rows["flag"] = rows.flag.astype("boolean")
    rows.loc[:19, "flag"] = pd.NA
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filled = model.fill(rows)
    said = [str(each.message) for each in caught]
    assert len(said) == 2 and "'kind': 10 cells hold" in said[0] and "'age': 1 cells hold" in said[1]
    assert (filled.kind == rows.kind).all() and (filled.age == rows.age).all() and filled.flag.notna().all()


def test_a_text_file_keeps_every_known_cell_to_the_letter(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "gaps.csv"
    lines = ["own;kind;age;score;day;code", '"x; y";a;030;41.50;2020-03-04;P-1', ";;NA;;;", "z;b;52;?;;Q"]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    notes = fill_file(model, source, [tmp_path / "full.csv", tmp_path / "full.json"], seed=1)
    assert any("lacks the columns gain, weight, flag, town, one" in note for note in notes)
    head, first, second, third = (tmp_path / "full.csv").read_text(encoding="utf-8").splitlines()
    assert head == lines[0] and first == lines[1]
    own, kind, age, score, day, code = second.split(";")
    assert own == "" and kind in ("a", "b", "c|d") and 18 <= int(age) <= 80 and code.startswith("P-")
    assert len(score.partition(".")[2]) == 2 and pd.Timestamp(day).year in (2020, 2021)
    assert third.startswith("z;b;52;") and third.endswith(";Q") and "?" not in third
    assert (tmp_path / "full.json").read_text(encoding="utf-8").count("kind") == 3


def test_files_and_frames_of_every_kind_come_back_as_they_were(
    model: Model, gaps: pd.DataFrame, tmp_path: Path
) -> None:
    some = gaps.head(60).reset_index(drop=True)
    some.to_parquet(tmp_path / "gaps.parquet")
    fill_file(model, tmp_path / "gaps.parquet", [tmp_path / "full.parquet", tmp_path / "full.csv"], seed=1)
    full = pd.read_parquet(tmp_path / "full.parquet")
    assert full.dtypes.equals(some.dtypes) and not full[LEARNED].isna().any(axis=None)
    pd.testing.assert_frame_equal(full.where(some.notna()), some)
    assert len(pd.read_csv(tmp_path / "full.csv")) == 60


def test_polars_arrow_and_arrays_are_filled(model: Model, gaps: pd.DataFrame, tmp_path: Path, train: Any) -> None:
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    some = gaps.head(60).reset_index(drop=True)
    table = pyarrow.Table.from_pandas(some, preserve_index=False)
    for frame in (table, polars.from_arrow(table)):
        full = model.fill(frame)
        assert type(full) is type(frame) and str(full.schema) == str(frame.schema)
        back = full.to_pandas()
        assert not back[LEARNED].isna().any(axis=None)
        assert (back.kind[some.kind.notna()] == some.kind.dropna()).all()
    array = np.random.default_rng(0).normal(size=(300, 3))
    array[:, 2] = array[:, 0] + array[:, 1]
    plain = train(tmp_path / "array", table=array, samples=2_000, size=0.2)
    array[::3, 1] = np.nan
    full = plain.fill(array)
    assert not np.isnan(full).any() and (full[array == array] == array[array == array]).all()


def test_constraints_hold_in_rows_that_are_filled(tmp_path: Path, table: pd.DataFrame, train: Any) -> None:
    tied = table[["kind", "age"]].assign(group=lambda rows: rows.kind.str.upper(), twice=lambda rows: rows.age * 2)
    bound = train(tmp_path / "bound", table=tied, constraints="found", samples=3_000, size=0.2)
    rows = tied.astype({"age": "Int64", "twice": "Int64"}).head(300)
    rows = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.3)
    full = bound.fill(rows)
    assert not full.isna().any(axis=None)
    assert (full.group == full.kind.str.upper()).all() and (full.twice == 2 * full.age).all()


def test_what_cannot_be_filled_is_refused(model: Model, tmp_path: Path, table: pd.DataFrame, train: Any) -> None:
    with pytest.raises(GannetError, match="none of the columns"):
        model.fill(pd.DataFrame({"x": [1, None]}))
    with pytest.raises(GannetError, match="not a table"):
        model.fill("gaps.csv")
    with pytest.raises(GannetError, match="at least one"):
        model.fill(table, draws=0)
    plain = train(tmp_path / "plain", "r3gan", table[["kind", "age"]], samples=640, size=0.1)
    with pytest.raises(GannetError, match="--recipe maligan"):
        plain.fill(table)
    assert [path.name for path in numbered(Path("a.csv.gz"), 2)] == ["a-1.csv.gz", "a-2.csv.gz"]
