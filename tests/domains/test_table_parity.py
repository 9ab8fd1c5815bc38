"""Training rows are repeated or left out until an outcome is as frequent in every group."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gannet.domains.domain import Opened, Subset
from gannet.domains.tables import Tables
from gannet.errors import GannetError


def lopsided(count: int = 4_000) -> pd.DataFrame:
    """A third of the men and a tenth of the women have the outcome."""
    random = np.random.default_rng(0)
    sex = random.choice(["f", "m"], count, p=[0.3, 0.7])
    outcome = random.random(count) < np.where(sex == "m", 1 / 3, 0.1)
    return pd.DataFrame({"sex": sex, "rich": outcome, "age": random.integers(18, 80, count), "x by y": sex})


def opened(**options: str) -> Opened:
    return Tables.open(lopsided(), Tables.Options(**options), seed=3, cache=Path("/nonexistent"))


def rates(data: object) -> pd.Series:
    assert isinstance(data, Subset)
    rows = lopsided().iloc[data.indices]
    return rows.groupby("sex").rich.mean()


def test_the_outcome_is_as_frequent_in_every_group_that_is_trained_on() -> None:
    before, after = opened(), opened(parity="rich by sex")
    assert np.ptp(rates(before.train)) > 0.2
    assert np.ptp(rates(after.train)) < 1 / 700  # whole rows
    assert isinstance(before.train, Subset) and isinstance(after.train, Subset)
    assert len(after.train) == len(before.train)
    groups = [lopsided().sex.iloc[data.indices].value_counts().to_dict() for data in (before.train, after.train)]
    assert groups[0] == groups[1]
    assert set(after.train.indices) <= set(before.train.indices)
    told = next(line for line in after.found if line.startswith("parity: rich"))
    assert "of m" in told and "rows repeated" in told


def test_within_group_and_outcome_rows_stay_as_they_are_and_the_held_out_are_not_touched() -> None:
    before, after = opened(), opened(parity="rich by sex")
    assert isinstance(before.holdout, Subset) and isinstance(after.holdout, Subset)
    assert np.array_equal(before.holdout.indices, after.holdout.indices)
    table = lopsided()
    ages = [table.iloc[data.train.indices].query("rich and sex == 'f'").age.mean() for data in (before, after)]  # type: ignore[attr-defined]
    assert abs(ages[0] - ages[1]) < 2
    positions = np.arange(50)
    assert torch.equal(opened(parity="rich by sex").train.read(positions)[0], after.train.read(positions)[0])


def test_names_may_hold_the_word_by_and_wrong_ones_are_refused() -> None:
    assert any(line.startswith("parity: rich") for line in opened(parity="rich by x by y").found)
    for setting, message in [
        ("rich by sexx", "did you mean 'sex'"),
        ("rich", "expected OUTCOME by GROUP"),
        ("rich by rich", "expected OUTCOME by GROUP"),
    ]:
        with pytest.raises(GannetError, match=message):
            opened(parity=setting)
    table = lopsided().assign(code=np.arange(4_000))
    with pytest.raises(GannetError, match=r"'code' has 4,000 different values; give one of 2 to 100"):
        Tables.open(table, Tables.Options(parity="rich by code"), seed=0, cache=Path("/nonexistent"))
