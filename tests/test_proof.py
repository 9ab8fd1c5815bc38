"""The evidence as files: an evaluated run has a page and figures, a card and a place beside other runs."""

import json
from pathlib import Path

import pytest

import gannet
from gannet.errors import GannetError
from gannet.model import Model
from gannet.proof import compare_runs, kept_report, write_card, write_report


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
    assert compare_runs([run.path, run.path])


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
