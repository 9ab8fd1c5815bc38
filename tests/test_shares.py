"""Samples with wanted shares, from a run that was trained with a condition and from one that was not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gannet
from gannet.errors import GannetError
from gannet.model import Model


def people() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "sex": random.choice(["f", "m"], 300, p=[0.2, 0.8]),
            "age": random.integers(18, 80, 300),
            "one": random.random(300),
        }
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    root: Path = tmp_path_factory.mktemp("runs")
    options = {"samples": 640, "size": 0.1, "batch_size": 32}
    return {
        "asked": gannet.train(people(), out=root / "asked", condition="sex", **options),
        "free": gannet.train(people(), out=root / "free", **options),
    }


@pytest.mark.parametrize("name", ["asked", "free"])
def test_balanced_samples_have_every_class_equally_often(runs: dict, name: str) -> None:
    rows = runs[name].sample(101, balance="sex", seed=3)
    assert sorted(rows["sex"].value_counts()) == [50, 51]


@pytest.mark.parametrize("name", ["asked", "free"])
def test_shares_are_met_exactly_and_the_same_seed_gives_the_same_rows(runs: dict, name: str) -> None:
    rows = runs[name].sample(40, shares={"sex=f": 0.75}, seed=1)
    assert (rows["sex"] == "f").sum() == 30
    pd.testing.assert_frame_equal(rows, runs[name].sample(40, shares={"sex=f": 0.75}, seed=1))


def test_what_cannot_be_asked_for_is_refused(runs: dict) -> None:
    with pytest.raises(GannetError, match="no column 'sexx'; did you mean 'sex'"):
        runs["free"].sample(10, balance="sexx")
    with pytest.raises(GannetError, match="different values"):
        runs["free"].sample(10, balance="one")
    with pytest.raises(GannetError, match="one of where, balance and shares"):
        runs["asked"].sample(10, balance="sex", where={"sex": "f"})
    with pytest.raises(GannetError, match="no such level"):
        runs["asked"].sample(10, shares={"sex=x": 0.5})
