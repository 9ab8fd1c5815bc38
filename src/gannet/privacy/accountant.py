"""What Gaussian noise costs: epsilon at a delta, for mechanisms on all rows and on Poisson samples of them.

Composition is counted by Opacus through privacy loss distributions (Gopi, Lee & Wutschitz 2021), whose upper end is
taken. One Gaussian mechanism is known exactly: delta = F(mu/2 - eps/mu) - e^eps F(-mu/2 - eps/mu) (Balle & Wang 2018).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import erfc, exp, sqrt
from typing import NamedTuple

from gannet.errors import GannetError

UNUSED, AIM = 0.99, 0.995
"""Share of the budget that is used at least, and aimed at."""
SLOPE = 0.85
"""About how fast the noise falls, in logarithms, as the budget grows."""
TIGHTER, CLOSE, MOST_TRIES = 0.95, 1.01, 10
"""How much less noise the exact count usually needs than the rough one, how exact that is, and how often to try."""
LEAST_NOISE, MOST_NOISE = 0.3, 1e4
ERROR = 0.01
"""Largest error of the counted epsilon; it is added to it."""


class Mechanism(NamedTuple):
    """Gaussian noise on a sum over rows, `times` times, each on a Poisson sample of them."""

    noise_multiplier: float
    """Standard deviation of the noise over the most that one row can move the sum (Euclidean)."""
    rate: float = 1.0
    """Chance of each row to be in the sample; 1 is all rows."""
    times: int = 1


def epsilon_of(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """An upper bound of the epsilon that all mechanisms together spend at `delta`."""
    return _counted("PRVAccountant", mechanisms, delta, eps_error=ERROR)


def _counted(name: str, mechanisms: Sequence[Mechanism], delta: float, **options: float) -> float:
    try:
        with warnings.catch_warnings():
            # Opacus warns of what its own imports do, and of ranges of orders that are wide enough here.
            warnings.simplefilter("ignore")
            from opacus import accountants

            accountant = {"PRVAccountant": accountants.PRVAccountant, "RDPAccountant": accountants.RDPAccountant}[
                name
            ]()
            accountant.history = [tuple(mechanism) for mechanism in mechanisms]
            return float(accountant.get_epsilon(delta=delta, **options))
    except ImportError:
        raise GannetError(
            "training with differential privacy counts with opacus: pip install 'gannet[private]'"
        ) from None


def noise_for(epsilon: float, delta: float, before: Sequence[Mechanism], rate: float, times: int) -> float:
    """A noise multiplier of `times` sampled steps that, with what was spent before, just stays within the budget.

    Raises GannetError when no noise is enough: the budget is too small for the steps.
    """
    enough = _rough_noise(epsilon, delta, before, rate, times)
    noise = TIGHTER * enough
    for _ in range(MOST_TRIES):
        spent = epsilon_of([*before, Mechanism(noise, rate, times)], delta)
        if UNUSED * epsilon <= spent <= epsilon:
            return noise
        # What is spent falls about as a power of the noise.
        noise *= (spent / (AIM * epsilon)) ** SLOPE
    return enough


def _rough_noise(epsilon: float, delta: float, before: Sequence[Mechanism], rate: float, times: int) -> float:
    """Noise that is enough by Renyi divergences (Mironov 2017): quickly counted, and somewhat too much."""

    def spent(noise: float) -> float:
        return _counted("RDPAccountant", [*before, Mechanism(noise, rate, times)], delta)

    low, high = LEAST_NOISE, LEAST_NOISE
    while spent(high) > epsilon:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise GannetError(
                f"epsilon={epsilon:g} at delta={delta:.2g} is too small for {times:,} steps; give a larger epsilon"
            )
    while high > low * CLOSE:
        middle = sqrt(low * high)
        low, high = (middle, high) if spent(middle) > epsilon else (low, middle)
    return high


def gaussian_delta(mu: float, epsilon: float) -> float:
    """The delta at `epsilon` of one Gaussian mechanism whose noise multiplier is 1 / mu."""
    return _normal(mu / 2 - epsilon / mu) - exp(epsilon) * _normal(-mu / 2 - epsilon / mu)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest mu of a Gaussian mechanism that is (epsilon, delta)-private; its noise multiplier is 1 / mu."""
    return _largest(lambda mu: gaussian_delta(mu, epsilon) <= delta, 1e-6, 1e3)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The epsilon at `delta` of one Gaussian mechanism whose noise multiplier is 1 / mu."""
    return _largest(lambda epsilon: gaussian_delta(mu, epsilon) > delta, 1e-9, 500.0)


def _largest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number in [low, high] for which a falling condition holds, to nine digits."""
    if not holds(low):
        return low
    for _ in range(100):
        middle = sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _normal(value: float) -> float:
    """The standard normal distribution function."""
    return erfc(-value / sqrt(2)) / 2
