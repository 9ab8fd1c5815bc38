"""The evidence as files: an evaluated run has a page and figures, a card and a place beside other runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import gannet
from gannet.api import open_source
from gannet.domains.domain import Subset
from gannet.errors import GannetError
from gannet.model import Model
from gannet.proof import compare_runs, kept_report, write_card, write_comparison, write_report


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Model:
    out = tmp_path_factory.mktemp("runs") / "moons"
    return gannet.train("toy:moons", out=out, samples=1_280, size=0.25, batch_size=64, points=600)


def test_an_evaluation_answers_six_questions_and_goes_into_the_run_folder_and_back(run: Model) -> None:
    report = run.evaluate(samples=100)
    assert [answer.key for answer in report.answers] == ["real", "varied", "new", "private", "fair", "useful"]
    page, figures = write_report(run, report)
    assert page == run.path / "report.html" and "Varied?" in page.read_text(encoding="utf-8")
    assert json.loads(figures.read_text())["protocol"]["data"] == run.settings["fingerprint"]
    assert kept_report(run.path).to_json() == report.to_json()
    assert write_card(run.path).read_text(encoding="utf-8").count("toy:moons") >= 1
    assert any("95 % interval" in line for line in compare_runs([run.path, run.path]))
    beside = write_comparison([run.path, run.path], run.path / "beside" / "comparison.html")
    assert "judged in the same way" in beside.read_text(encoding="utf-8")


def people(path: Path, rows: int = 360) -> Path:
    """A table with what encoding loses: a level of two rows, and numbers with more digits than matter."""
    random = np.random.default_rng(0)
    lines = ["age,income,sex,town"]
    for row in range(rows):
        age, sex = int(random.integers(18, 80)), "fm"[row % 2]
        town = "Tinytown" if row in (5, 200) else f"town{row % 4}"
        lines.append(f"{age},{1000 * age + 300 * random.standard_normal():.4f},{sex},{town}")
    path.write_text("\n".join(lines))
    return path


def test_real_rows_are_judged_as_the_source_has_them(tmp_path: Path) -> None:
    file = people(tmp_path / "people.csv")
    opened = open_source(str(file), {}, 0)
    rows = opened.domain.rows(str(file), opened.domain.Options())
    assert (rows["town"] == "Tinytown").sum() == 2
    for data in (opened.train, opened.holdout):
        assert isinstance(data, Subset)
        chosen = np.arange(len(data))
        encoded = opened.domain.encode(rows.iloc[data.indices].reset_index(drop=True))
        assert torch.equal(encoded.argmax(1), data.read(chosen)[0].argmax(1))
    with pytest.raises(GannetError, match="lacks the column 'income'"):
        other = tmp_path / "other.csv"
        other.write_text("age,sex,town\n" + "\n".join(f"{row},f,a" for row in range(9)))
        opened.domain.rows(str(other), opened.domain.Options())


def test_a_table_is_judged_with_an_interval_beside_every_figure_and_hides_its_training_rows(tmp_path: Path) -> None:
    file = people(tmp_path / "people.csv")
    run = gannet.train(file, out=tmp_path / "run", samples=1_280, size=0.25, batch_size=64)
    report = run.evaluate(samples=100, target="sex", sensitive=("town",))
    for figure in [figure for answer in report.answers for figure in answer.figures] + report.figures:
        assert figure.interval is not None, figure
        assert figure.interval[0] <= figure.value <= figure.interval[1], figure
    incomes = {line.split(",")[1] for line in file.read_text().splitlines()[1:]}
    page = write_report(run, report)[0].read_text(encoding="utf-8")
    assert "training rows stay hidden" in page
    assert not any(
        income in page or f"{float(income):.5g}" in page.split("Private?")[0] for income in list(incomes)[:40]
    )
    shown = run.evaluate(samples=100, target="sex", sensitive=("town",), show_rows=True).answer("new")
    assert shown is not None and any(row[1] == "training" for row in shown.tables[0].rows)


def test_the_same_evaluation_gives_the_same_figures(run: Model) -> None:
    assert run.evaluate(samples=60).to_json() == run.evaluate(samples=60).to_json()


def test_unseen_data_of_the_same_kind_takes_the_place_of_what_was_held_out(run: Model, tmp_path: Path) -> None:
    unseen = tmp_path / "unseen.csv"
    points = run.sample(200, seed=5)
    unseen.write_text("\n".join(",".join(f"{value:.5f}" for value in point) for point in points))
    report = run.evaluate(samples=60, against=f"toy:{unseen}")
    assert "unseen.csv" in report.protocol.data


def test_what_cannot_be_judged_by_is_refused(run: Model, tmp_path: Path) -> None:
    with pytest.raises(GannetError, match="is the data the run was trained on"):
        run.evaluate(against="toy:moons")
    table = tmp_path / "people.csv"
    table.write_text("a,b\n" + "\n".join(f"{row},x{row % 3}" for row in range(60)))
    with pytest.raises(GannetError, match="holds tables, the run makes points"):
        run.evaluate(against=table)
    with pytest.raises(GannetError, match="no report.json yet; make it with: gannet evaluate"):
        kept_report(tmp_path)
