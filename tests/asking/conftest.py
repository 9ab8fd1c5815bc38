"""A small table with every kind of column, and models of it that are trained for a moment, for the tests of asking."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gannet
from gannet.model import Model

SMALL = {"samples": 12_000, "size": 0.5, "batch_size": 64, "least": 1}


def people(count: int = 1_500) -> pd.DataFrame:
    """Columns that lean on each other; `town` has more levels than the widest choice, `gain` is mostly 0 or 100."""
    random = np.random.default_rng(0)
    kind = random.choice(["a", "b", "c|d"], count, p=[0.6, 0.3, 0.1])
    age = np.clip(random.normal(np.where(kind == "a", 30, 50), 10).round(), 18, 80).astype(int)
    gain = np.where(random.random(count) < 0.5, 0, np.where(random.random(count) < 0.3, 100, age * 10))
    gain = gain + (gain > 100) * random.integers(0, 400, count)
    score = np.where((kind == "b") & (random.random(count) < 0.5), np.nan, random.normal(age, 5).round(2))
    town = np.array([f"town {rank:03d}" for rank in np.minimum(random.zipf(1.25, count), 400)])
    return pd.DataFrame(
        {
            "code": [f"P-{number:05d}" for number in range(count)],
            "kind": kind,
            "age": age,
            "gain": gain,
            "score": score,
            "weight": random.lognormal(age / 40, 0.3),
            "flag": random.random(count) < np.where(age > 40, 0.8, 0.2),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 700, count), unit="D"),
            "town": town,
            "one": "always",
        }
    )


def trained(out: Path, recipe: str = "maligan", table: pd.DataFrame | None = None, **settings: Any) -> Model:
    return gannet.train(people() if table is None else table, recipe=recipe, out=out, **{**SMALL, **settings})


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """The table itself."""
    return people()


@pytest.fixture(scope="session")
def train() -> Callable[..., Model]:
    """Trains on it, or on another table, for a moment."""
    return trained


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """One model of all columns."""
    return trained(tmp_path_factory.mktemp("asking") / "run")
