"""Exported cells that a spreadsheet would run: warned of by default, disarmed when asked, numbers never touched."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import gannet
from gannet.cli import main
from gannet.domains.table_cells import disarmed, disarming, runs
from gannet.domains.table_files import write_text
from gannet.errors import ExportWarning

HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"]
HARMLESS = ["", "plain", "-1", "+1.5", "-1e5", "1=1", "a@b", "-1 days +23:59:59", "-02:15", "'=1", "-inf"]


def written(path: Path, cells: list[str]) -> list[str]:
    write_text(path, ["x"], [np.array(cells, dtype=object)], ",")
    with path.open(newline="", encoding="utf-8") as file:
        return [row[0] if row else "" for row in csv.reader(file)][1:]


@pytest.mark.fault(19)
@pytest.mark.parametrize("cell", HOSTILE)
def test_a_cell_that_would_run_is_warned_of_and_written_as_it_is(tmp_path: Path, cell: str) -> None:
    assert runs(cell)
    with pytest.warns(ExportWarning, match="would run as formulas in a spreadsheet; write them safely"):
        assert written(tmp_path / "x.csv", ["fine", cell]) == ["fine", cell]


@pytest.mark.fault(19)
@pytest.mark.parametrize("cell", HOSTILE)
def test_in_the_safe_form_it_is_text(tmp_path: Path, cell: str) -> None:
    with warnings.catch_warnings(), disarming():
        warnings.simplefilter("error")
        assert written(tmp_path / "x.csv", ["fine", cell]) == ["fine", f"'{cell}"]


@pytest.mark.fault(19)
@pytest.mark.parametrize("cell", HARMLESS)
def test_numbers_durations_and_other_text_are_neither_warned_of_nor_touched(tmp_path: Path, cell: str) -> None:
    assert not runs(cell) and disarmed(cell) == cell
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert written(tmp_path / "x.csv", ["fine", cell]) == ["fine", cell]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of rows of which half hold a formula."""
    folder = tmp_path_factory.mktemp("cells")
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"note": random.choice(["=1+1", "fine"], 300), "size": random.normal(size=300)})
    settings: dict[str, Any] = {"batch_size": 64}
    gannet.train(frame, out=folder / "run", samples=1_000, size=0.25, **settings)
    return folder / "run"


@pytest.mark.fault(19)
def test_the_command_line_warns_in_a_line_and_writes_safely_when_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag, cell in (([], "=1+1"), (["--safe-cells"], "'=1+1")):
        out = tmp_path / f"out{len(flag)}.csv"
        with warnings.catch_warnings(), pytest.raises(SystemExit) as left:
            warnings.simplefilter("default")
            main(["sample", str(run), "-n", "40", "--out", str(out), *flag])
        said = capsys.readouterr().err
        assert left.value.code in (0, None)
        assert cell in out.read_text() and ("'=" in out.read_text()) == bool(flag)
        assert said.count("warning: ") == (0 if flag else 1)


@pytest.mark.fault(19)
def test_python_callers_ask_for_the_safe_form_too(run: Path, tmp_path: Path) -> None:
    model = gannet.load(run)
    rows = model.sample(40, seed=0)
    model.write(rows, tmp_path / "safe.csv", safe_cells=True)
    assert "'=1+1" in (tmp_path / "safe.csv").read_text()
    assert set(rows["note"]) == {"=1+1", "fine"}, "what is returned is never changed"
