"""Target shares: exact quotas, untouched proportions elsewhere, raking to known answers, and drawing until full."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gannet.balance import balanced, draw_until, parse_shares, quotas, with_shares
from gannet.conditions import ConditionPrior
from gannet.errors import GannetError
from gannet.spec import Condition, Field

CONDITION = Condition(
    (
        Field("sex", ("Female", "Male", "Other")),
        Field("age", mean=40.0, scale=10.0, low=18.0, high=90.0),
        Field("race=group", ("A", "B=1")),
    )
)


@pytest.fixture(scope="module")
def prior() -> ConditionPrior:
    """20 % women, of whom half are B; of men a quarter are B; nobody is Other. Women are older."""
    draw = np.random.default_rng(0)
    female = np.arange(4000) < 800
    b = np.where(female, np.arange(4000) % 2 == 0, np.arange(4000) % 4 == 0)
    vectors = torch.zeros(4000, CONDITION.width)
    vectors[np.arange(4000), np.where(female, 0, 1)] = 1
    vectors[:, 3] = torch.from_numpy(draw.normal(size=4000)).float()
    vectors[np.arange(4000), np.where(b, 5, 4)] = 1
    return ConditionPrior.of(CONDITION, vectors)


def test_balanced_classes_come_equally_often_and_unseen_ones_never(prior: ConditionPrior) -> None:
    vectors = balanced(prior, "sex", 1001, seed=1)
    assert vectors.shape == (1001, CONDITION.width)
    counts = vectors[:, :3].sum(0)
    assert counts[2] == 0
    assert abs(counts[0] - counts[1]) <= 1
    assert (vectors[:, :3].sum(1) == 1).all() and (vectors[:, 4:].sum(1) == 1).all()


def test_everything_else_keeps_its_proportion_in_each_class(prior: ConditionPrior) -> None:
    vectors = balanced(prior, "sex", 4000, seed=2)
    for level, share in ((0, 0.5), (1, 0.25)):
        own = vectors[vectors[:, level] == 1]
        assert abs(float(own[:, 5].mean()) - share) < 1e-2
        assert abs(float(own[:, 3].mean())) < 0.1 and abs(float(own[:, 3].std()) - 1) < 0.1


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), n=st.integers(1, 300))
def test_a_share_is_met_to_within_one_sample(prior: ConditionPrior, share: float, n: int) -> None:
    vectors = with_shares(prior, {"sex=Female": share}, n, seed=3)
    assert abs(float(vectors[:, 0].sum()) - share * n) <= 1


def test_shares_of_two_fields_hold_together_and_keep_the_odds_ratio(prior: ConditionPrior) -> None:
    vectors = with_shares(prior, {"sex=Female": 0.5, "race=group=B=1": 0.6}, 10_000, seed=4)
    female, b = vectors[:, 0] == 1, vectors[:, 5] == 1
    assert abs(float(female.double().mean()) - 0.5) < 1e-3
    assert abs(float(b.double().mean()) - 0.6) < 1e-3
    odds = [float((b & own).sum() / (~b & own).sum()) for own in (female, ~female)]
    assert odds[0] / odds[1] == pytest.approx(3.0, rel=0.02)  # 1/1 over 1/3 in the data: raking keeps it


def test_the_same_seed_gives_the_same_conditions_in_mixed_order(prior: ConditionPrior) -> None:
    first, again, other = (balanced(prior, "sex", 100, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0 < first[:50, 0].sum() < 50


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"sex=Female": 0.8, "sex=Male": 0.7}, "add up to 1.5"),
        ({"sex=Female": 0.2, "sex=Male": 0.2}, "add up to 0.4"),
        ({"sex=Femal": 0.5}, "did you mean 'Female'"),
        ({"sexx=Female": 0.5}, "did you mean 'sex'"),
        ({"sex=Other": 0.5}, "never seen"),
        ({"age=30": 0.5}, "is a number"),
        ({"sex=Female": 1.5}, "outside 0 to 1"),
    ],
)
def test_impossible_shares_are_refused_with_the_remedy(
    prior: ConditionPrior, shares: dict[str, float], words: str
) -> None:
    with pytest.raises(GannetError, match=words):
        with_shares(prior, shares, 10, seed=0)


def test_shares_that_no_mixture_of_the_data_has_are_refused() -> None:
    condition = Condition((Field("x", ("a", "b")), Field("y", ("c", "d"))))
    prior = ConditionPrior(condition, ((0, 0), (1, 1)), (0.5, 0.5), {})
    with pytest.raises(GannetError, match="no mixture"):
        with_shares(prior, {"x=a": 0.9, "y=d": 0.9}, 10, seed=0)


def test_shares_are_read_from_text() -> None:
    assert parse_shares(["sex=Female:0.5", "time=12:30:0.25"]) == {"sex=Female": 0.5, "time=12:30": 0.25}
    for text in ("sex=Female", "sex:0.5", "sex=Female:1.5", "sex=Female:half", "sex=Female:nan"):
        with pytest.raises(GannetError, match="expected COLUMN=GROUP:SHARE"):
            parse_shares([text])
    with pytest.raises(GannetError, match="already"):
        parse_shares(["sex=Female:0.5", "sex=Female:0.4"])


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(1, 1000))
def test_quotas_add_up_and_lie_within_one_of_their_share(parts: list[float], n: int) -> None:
    shares: dict[str | None, float] = {str(at): part / (sum(parts) * 1.25) for at, part in enumerate(parts)}
    counts = quotas(shares, n)
    assert sum(counts.values()) == n
    assert all(abs(counts[group] - share * n) <= 1 for group, share in shares.items())
    assert abs(counts[None] - 0.2 * n) <= 1 + 1e-6


def test_quotas_beyond_one_are_refused() -> None:
    with pytest.raises(GannetError, match="add up to 1.1"):
        quotas({"a": 0.6, "b": 0.5}, 10)


def batches(shares: dict[str, float]):
    """A model that makes groups with these shares, and a number with each that tells samples apart."""

    def draw(batch: int) -> list[tuple[str, float]]:
        random = np.random.default_rng(batch)
        names = random.choice(list(shares), size=200, p=list(shares.values()))
        return [(str(name), float(number)) for name, number in zip(names, random.normal(size=200), strict=True)]

    return draw


def test_drawing_ends_when_every_group_is_full_and_keeps_nothing_more() -> None:
    wanted = quotas({"rare": 0.5, "common": 0.3}, 300)
    kept = draw_until(
        batches({"rare": 0.05, "common": 0.9, "other": 0.05}),
        lambda batch: [name for name, _ in batch],
        wanted,
        most=10**5,
    )
    samples = [batch[at] for batch, positions in kept for at in positions]
    names = [name for name, _ in samples]
    assert (names.count("rare"), names.count("common"), names.count("other")) == (150, 90, 60)
    assert len({number for _, number in samples}) == 300
    values = np.array([number for name, number in samples if name == "rare"])
    assert abs(values.mean()) < 0.3 and 0.8 < values.std() < 1.2


def test_a_group_that_is_too_rare_ends_with_what_to_do() -> None:
    with pytest.raises(GannetError, match=r"group 'rare': only \d+ came in 2,000 samples, 150 are wanted.*condition"):
        draw_until(
            batches({"rare": 0.01, "a": 0.99}), lambda batch: [name for name, _ in batch], {"rare": 150}, most=2000
        )


def test_a_group_that_never_comes_is_given_up_early() -> None:
    with pytest.raises(GannetError, match="only 0 came in 20,000"):
        draw_until(batches({"a": 1.0}), lambda batch: [name for name, _ in batch], {"b": 1, "a": 1}, most=10**9)
