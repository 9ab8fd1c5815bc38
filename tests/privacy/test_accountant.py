"""The accounting: against the closed form of one mechanism, an independent bound, and the first published figure."""

from __future__ import annotations

from math import comb, exp, log

import pytest

from gannet.errors import GannetError
from gannet.privacy.accountant import Mechanism, epsilon_of, gaussian_delta, gaussian_epsilon, gaussian_mu, noise_for
from gannet.privacy.plan import Plan, Wanted, default_delta

pytest.importorskip("opacus")


def renyi_epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    """The bound of Mironov, Talwar & Zhang (2019) at whole orders: looser than the truth, and found another way."""
    found = []
    for order in range(2, 24):
        terms = [
            comb(order, k) * (1 - rate) ** (order - k) * rate**k * exp(k * (k - 1) / (2 * noise**2))
            for k in range(order + 1)
        ]
        found.append(steps * log(sum(terms)) / (order - 1) + log(1 / delta) / (order - 1))
    return min(found)


def test_one_mechanism_on_all_rows_costs_what_its_closed_form_says() -> None:
    mu = gaussian_mu(1.0, 1e-5)
    assert gaussian_delta(mu, 1.0) == pytest.approx(1e-5, rel=1e-6)
    assert 1 / mu == pytest.approx(3.7306, abs=1e-3)
    assert gaussian_epsilon(mu, 1e-5) == pytest.approx(1.0, rel=1e-6)
    assert 1.0 <= epsilon_of([Mechanism(1 / mu)], 1e-5) <= 1.03


def test_sampled_steps_cost_less_than_an_independent_bound_and_the_first_published_one() -> None:
    # Abadi et al. (2016), section 3: q = 0.01, noise 4, 10,000 steps, delta 1e-5 by their moments: epsilon 1.26.
    spent = epsilon_of([Mechanism(4.0, 0.01, 10_000)], 1e-5)
    assert 0.9 < spent < 1.26
    for noise, rate, steps in ((1.2, 0.05, 300), (3.0, 0.2, 100)):
        spent, bound = epsilon_of([Mechanism(noise, rate, steps)], 1e-6), renyi_epsilon(noise, rate, steps, 1e-6)
        assert 0.75 * bound < spent < bound


def test_the_noise_found_spends_the_budget_and_no_more() -> None:
    before = [Mechanism(6.0), Mechanism(9.0)]
    noise = noise_for(2.0, 1e-6, before, 0.05, 200)
    assert 1.97 < epsilon_of([*before, Mechanism(noise, 0.05, 200)], 1e-6) <= 2.0


def test_a_plan_keeps_its_budget_and_comes_back_from_the_settings() -> None:
    plan = Plan.of(Wanted(1.0), count=5_000, batch=500, steps=100, clip=1.0, share=0.15)
    assert plan.delta == 2e-5 == default_delta(5_000)
    assert 0.97 < plan.spent_epsilon <= 1.0
    assert plan.statistics_epsilon < plan.spent_epsilon
    assert plan.training_epsilon < plan.spent_epsilon
    looks = plan.first_look**-2 + plan.second_look**-2
    assert looks == pytest.approx(0.15 * gaussian_mu(1.0, 0.9 * plan.delta) ** 2)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("count", [500, 999, 29_305, 10**7])
def test_the_default_delta_is_a_tenth_of_one_over_n_or_somewhat_less(count: int) -> None:
    assert 0.5 / (10 * count) < default_delta(count) <= 1 / (10 * count) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("epsilon=0", "epsilon=0: must be above 0"),
        ({"epsilon": -1}, "epsilon=-1"),
        ("epsilon=3,delta=2", "delta=2"),
        ("epsilon=3,gamma=1", "'gamma' is not known"),
        ("3", "as --private epsilon=3"),
        ("epsilon=few", "epsilon=few: must be a number"),
        ({"delta": 1e-6}, "say how private"),
    ],
)
def test_a_budget_that_is_none_is_refused_in_one_line(given: object, told: str) -> None:
    with pytest.raises(GannetError, match=told):
        Wanted.parse(given)


@pytest.mark.parametrize(
    ("wanted", "count", "told"),
    [
        (Wanted(1.0), 300, "300 rows are too few"),
        (Wanted(1.0, 1e-3), 2_000, "delta=0.001: must be below one over the number of rows"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(wanted: Wanted, count: int, told: str) -> None:
    with pytest.raises(GannetError, match=told):
        Plan.of(wanted, count=count, batch=100, steps=10, clip=1.0, share=0.15)
