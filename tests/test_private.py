"""Private training from end to end: what it keeps, what it deletes, what it refuses, and what an attacker can find."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from gannet import api
from gannet.errors import GannetError
from gannet.metrics.answer import Answer
from gannet.private_run import covered, with_guarantee
from gannet.run import RunFolder

pytest.importorskip("opacus")

SECRET = "zanzibar-only-here"
EXTREME = 917_364
QUICK: dict[str, Any] = {"batch_size": 120, "steps": 8}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """900 rows; one of them holds a level, and another a number, that no other row holds."""
    random, path = np.random.default_rng(0), tmp_path_factory.mktemp("private") / "people.csv"
    old = random.random(900) < 0.4
    rows = pandas.DataFrame(
        {
            "age": np.where(old, random.integers(60, 80, 900), random.integers(20, 40, 900)),
            "town": np.where(random.random(900) < 0.3, "Bern", "Wien").astype(object),
            "member": np.where(old, "yes", "no"),
            "weight": random.normal(70, 9, 900).round(1),
        }
    )
    rows.loc[13, "town"], rows.loc[14, "age"] = SECRET, EXTREME
    rows.to_csv(path, index=False)
    return path


def stopped(table: Path, out: Path, **private: Any) -> None:
    """A run interrupted at its first report."""
    session = api.prepare(table, out=out, private={"epsilon": 20, **private}, settings=QUICK)
    outcome = session.play(lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert outcome.status == "interrupted"


def test_a_finished_run_keeps_its_budget_and_nothing_that_one_row_alone_told(table: Path, tmp_path: Path) -> None:
    model = api.train(table, out=tmp_path / "run", private=20, **QUICK)
    spent = model.settings["private"]
    assert 0.97 * 20 < spent["spent_epsilon"] <= 20
    assert (spent["steps"], spent["rate"], spent["noise_seed"]) == (8, 120 / 810, None)
    drawn = model.sample(300, seed=0)
    assert set(drawn["town"]) == {"Bern", "Wien"}
    assert set(drawn["member"]) == {"no", "yes"}
    assert drawn["age"].between(0, 200).all()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert "secret.json" not in {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert str(EXTREME).encode() not in content
    events = {record["event"] for record in model.log()}
    assert events == {"terms"}, "no score of real rows, no referee"
    assert {key for record in model.log() for key in record} <= {
        *("event", "seen", "balance"),
        *("generator/private", "generator/gradient_norm", "generator/update"),
    }


@pytest.mark.slow
def test_a_resumed_run_is_the_run_that_was_never_stopped(table: Path, tmp_path: Path) -> None:
    whole = api.train(table, out=tmp_path / "whole", private={"epsilon": 20, "noise_seed": 4}, **QUICK)
    stopped(table, tmp_path / "parts", noise_seed=4)
    kept = tmp_path / "parts" / "secret.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_bytes() not in (tmp_path / "parts" / "settings.json").read_bytes()
    assert api.resume(tmp_path / "parts").play().status == "finished"
    assert not kept.exists()
    ours, theirs = (RunFolder.open(tmp_path / name).newest() for name in ("whole", "parts"))
    assert ours is not None and theirs is not None
    (one, _), (two, _) = ours.read(torch.device("cpu")), theirs.read(torch.device("cpu"))
    for group in one:
        for name, value in one[group].items():
            assert torch.equal(value, two[group][name]), name
    assert "NOT PRIVATE" in "\n".join(
        api.prepare(table, private="epsilon=20,noise_seed=4", settings=QUICK).announcement
    )
    pandas.testing.assert_frame_equal(whole.sample(20), api.load(tmp_path / "parts").sample(20))


@pytest.mark.slow
def test_the_noise_does_not_follow_from_the_seed(table: Path) -> None:
    one, two = (api.prepare(table, private=20, seed=7, settings=QUICK) for _ in range(2))
    assert one.settings["private"] == two.settings["private"]
    assert one.settings["domain"] != two.settings["domain"]


def test_a_stopped_run_goes_on_within_its_budget_or_not_at_all(table: Path, tmp_path: Path) -> None:
    own = tmp_path / "people.csv"
    own.write_text(table.read_text())
    stopped(own, tmp_path / "run")
    with pytest.raises(GannetError, match="more would go beyond it"):
        api.resume(tmp_path / "run", samples=10_000)
    own.write_text(table.read_text().replace("Wien", "Bern", 1))
    with pytest.raises(GannetError, match="the data is not what this private run began with"):
        api.resume(tmp_path / "run", allow_changed_data=True)
    own.write_text(table.read_text())
    (tmp_path / "run" / "secret.json").unlink()
    with pytest.raises(GannetError, match="key of the noise is gone"):
        api.resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"private": 0}, "epsilon=0"),
        ({"private": {"epsilon": 1, "delta": 0.01}}, "below one over the number of rows"),
        ({"private": 3, "recipe": "maligan"}, "leave --recipe out"),
        ({"recipe": "private"}, "needs a budget"),
        ({"private": 3, "time": "1m"}, "part of its budget"),
        ({"private": 3, "settings": {"condition": "town"}}, "not together with --private"),
        ({"private": 3, "settings": {"constraints": "found"}}, "not together with --private"),
        ({"private": 3, "settings": {"parity": "income by sex"}}, "not together with --private"),
        ({"private": 3, "settings": {"limits": "age=0..x"}}, "is no range"),
        ({"private": 3, "source": "toy:ring"}, "tables alone"),
        ({"private": 3, "rows": 400}, "too few"),
    ],
)
def test_what_cannot_be_private_is_refused_in_one_line(
    table: Path, tmp_path: Path, given: dict[str, Any], told: str
) -> None:
    source = given.pop("source", table)
    if rows := given.pop("rows", None):
        source = tmp_path / "few.csv"
        source.write_text("\n".join(table.read_text().splitlines()[: rows + 1]))
    with pytest.raises(GannetError, match=told) as error:
        api.prepare(source, **given)
    assert "\n" not in str(error.value)


def test_the_report_says_what_the_guarantee_covers(table: Path) -> None:
    settings = api.prepare(table, private=20, settings=QUICK).settings
    answer = Answer("private", "Private?", "yes", "No attack did better than chance.", notes=["a note"])
    (told,) = with_guarantee([answer], settings)
    assert len(told.notes) == 2 + len(covered(settings))
    words = json.dumps(told.to_json())
    for part in ("epsilon 20", "Poisson sample", "taken as public", "not covered", "a note"):
        assert part in words
    assert with_guarantee([answer], {"private": None}) == [answer]
