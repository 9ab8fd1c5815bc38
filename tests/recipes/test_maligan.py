"""MaliGAN on rows: it learns what hangs together, answers wishes, fills gaps, and says what it cannot play on."""

import numpy as np
import pandas
import pytest
import torch

import gannet
from gannet.domains.tables import Tables
from gannet.engine import Engine
from gannet.errors import GannetError
from gannet.model import Model
from gannet.recipes.maligan import MaliGAN
from gannet.spec import Range, Spec, Wish


def table(count: int = 3000, seed: int = 0) -> pandas.DataFrame:
    """Income hangs on education, hours on both; some hours are missing where the contract is free."""
    random = np.random.default_rng(seed)
    education = random.choice(["school", "college", "university"], count, p=[0.5, 0.3, 0.2])
    rank = np.select([education == "school", education == "college"], [0, 1], 2)
    income = np.exp(9 + 0.5 * rank + 0.2 * random.standard_normal(count)).round(-1)
    free = random.random(count) < 0.2
    hours = np.where(free & (random.random(count) < 0.7), np.nan, (20 + 8 * rank + 4 * random.random(count)).round())
    contract = np.where(free, "free", "fixed")
    return pandas.DataFrame({"education": education, "income": income, "hours": hours, "contract": contract})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return gannet.train(table(), out=tmp_path_factory.mktemp("runs") / "rows", samples=60_000)


@pytest.fixture(scope="module")
def rows(run: Model) -> pandas.DataFrame:
    return run.sample(3000, seed=1)


def test_it_is_the_default_for_tables() -> None:
    assert Tables.default_recipe == "maligan"


def test_single_columns_are_right(rows: pandas.DataFrame) -> None:
    real = table(seed=9)
    shares = rows["education"].value_counts(normalize=True) - real["education"].value_counts(normalize=True)
    assert shares.abs().max() < 0.04
    for column in ("income", "hours"):
        one, two = (np.sort(frame[column].dropna().astype(float)) for frame in (rows, real))
        both = np.concatenate([one, two])
        steps = [np.searchsorted(side, both, "right") / len(side) for side in (one, two)]
        assert np.abs(steps[0] - steps[1]).max() < 0.05


def test_what_hangs_together_comes_together(rows: pandas.DataFrame) -> None:
    real = table(seed=9)
    for column in ("income", "hours"):
        both = [frame.assign(v=frame[column].astype(float)).groupby("education")["v"].mean() for frame in (rows, real)]
        assert np.allclose(both[0], both[1].loc[both[0].index], rtol=0.05)


def test_values_are_missing_where_the_contract_says_so(rows: pandas.DataFrame) -> None:
    gone = rows["hours"].isna()
    assert 0.6 < gone[rows["contract"] == "free"].mean() < 0.8
    assert gone[rows["contract"] == "fixed"].mean() < 0.02


def test_unseen_rows_are_likelier_than_shuffled_ones(run: Model) -> None:
    unseen = run.domain.encode(table(500, seed=5))
    shuffled = unseen.clone()
    shuffled[:, :3] = unseen[torch.randperm(500, generator=torch.Generator().manual_seed(0)), :3]
    honest, spoiled = (run.recipe.surprise(samples) for samples in (unseen, shuffled))
    assert honest is not None and spoiled is not None
    assert float(honest.mean()) + 0.5 < float(spoiled.mean())


def test_wished_rows_meet_the_wish_and_keep_what_hangs_on_it(run: Model) -> None:
    torch.manual_seed(0)
    samples = run.recipe.wished(2000, Wish({0: (0.0, 0.0, 1.0)})).samples
    frame = run.domain.decode(samples)
    assert frame["education"].nunique() == 1
    level = frame["education"].iloc[0]
    real = table(seed=9)
    expected = real.loc[real["education"] == level, "income"].mean()
    assert frame["income"].astype(float).mean() == pytest.approx(expected, rel=0.06)


def test_gaps_are_filled_given_what_is_known_and_known_cells_stay(run: Model) -> None:
    torch.manual_seed(0)
    real = table(1500, seed=7)
    samples = run.domain.encode(real)
    known = torch.ones(samples.shape[1], dtype=torch.bool)
    known[:3] = False
    filled = run.recipe.filled(samples, known)
    assert torch.equal(filled[:, known], samples[:, known])
    frame = run.domain.decode(filled)
    agree = (frame["education"].to_numpy() == real["education"].to_numpy()).mean()
    chance = real["education"].value_counts(normalize=True).pow(2).sum()
    assert agree > chance + 0.25


def test_low_temperature_brings_typical_rows(run: Model) -> None:
    typical = run.sample(1000, seed=2, truncation=0.2)["education"].value_counts(normalize=True)
    assert typical.max() > 0.75


def test_the_game_is_played_at_the_end_and_the_discriminator_moves_only_then() -> None:
    opened = Tables.open(table(400), Tables.Options(), seed=0, cache=None)
    recipe = MaliGAN(batch_size=32, warm_up=0.5)
    torch.manual_seed(0)
    networks = recipe.build(opened.domain.spec, size=0.5, count=360, holdout=40)
    engine = Engine(recipe, networks, opened.train, total=640)
    before = engine.weights["discriminator"].vector.clone()
    for _ in range(10):
        engine.step()
    assert torch.equal(engine.weights["discriminator"].vector, before)
    assert set(engine.terms["generator"]) == {"likelihood"}
    for _ in range(5):
        engine.step()
    assert not torch.equal(engine.weights["discriminator"].vector, before)
    assert set(engine.terms["generator"]) == {"likelihood", "adversarial"}


@pytest.mark.parametrize(
    ("knobs", "told"), [({"dropout": 1.0}, "dropout"), ({"warm_up": 1.5}, "warm_up"), ({"batch_size": 0}, "batch_size")]
)
def test_knobs_out_of_range_are_named(knobs: dict[str, float], told: str) -> None:
    with pytest.raises(GannetError, match=told):
        MaliGAN(**knobs).check(Tables.open(table(50), Tables.Options(), seed=0, cache=None).domain.spec)


def test_pictures_are_refused_with_a_recipe_that_takes_them() -> None:
    with pytest.raises(GannetError, match="rows of a table"):
        MaliGAN().check(Spec("images", (1, 8, 8)))


def test_a_range_of_a_number_is_met_in_the_users_units(run: Model) -> None:
    torch.manual_seed(0)
    feature = next(f for f, b in zip((0, 3), run.spec.blocks or (), strict=False) if b.kind == "numbers")
    frame = run.domain.decode(run.recipe.wished(500, Wish({}, {feature: Range(0.5, 0.9)})).samples)
    real = table()["income"]
    assert frame["income"].astype(float).min() >= real.quantile(0.74) * 0.99
