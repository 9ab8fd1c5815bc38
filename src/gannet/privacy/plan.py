"""The budget of a private run and how it is spent: statistics of the columns first, then the steps of training.

`Plan.of(Wanted(3.0), count=44_000, batch=2048, steps=600, clip=1.0, share=0.15)`; the plan is kept in the run's
settings, and nothing is ever drawn beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import floor, log10, sqrt
from typing import Any

from gannet.errors import GannetError, did_you_mean
from gannet.privacy.accountant import Mechanism, epsilon_of, gaussian_epsilon, gaussian_mu, noise_for

FEWEST_ROWS = 500
SLIP_SHARE = 0.1
"""Share of delta for the chance that a level held by one row is told."""
FIRST_SHARE = 0.7
"""Share of the statistics' noise budget for the first look: which levels there are, and within which bounds."""
LARGEST_EPSILON = 100.0
KEYS = ("epsilon", "delta", "noise_seed")


@dataclass(frozen=True)
class Wanted:
    """What the user asks for."""

    epsilon: float
    delta: float | None = None
    """None: 1 / (10 n), rounded down to one digit."""
    noise_seed: int | None = None
    """NOT PRIVATE: noise that anyone can compute from this number, for tests."""

    @classmethod
    def parse(cls, given: Any) -> Wanted:
        """From a number (epsilon), a mapping, or text such as epsilon=3,delta=1e-6. GannetError names what is wrong."""
        if isinstance(given, int | float) and not isinstance(given, bool):
            given = {"epsilon": given}
        if isinstance(given, str):
            given = _pairs(given)
        if not isinstance(given, Mapping) or "epsilon" not in given:
            raise GannetError(f"private={given!r}: say how private, as epsilon=3 or epsilon=3,delta=1e-6")
        for key in given:
            if key not in KEYS:
                raise GannetError(f"private: {key!r} is not known; {did_you_mean(str(key), KEYS)}")
        epsilon, delta = _number(given, "epsilon"), None if given.get("delta") is None else _number(given, "delta")
        if not 0 < epsilon <= LARGEST_EPSILON:
            raise GannetError(
                f"epsilon={epsilon:g}: must be above 0 and at most {LARGEST_EPSILON:g}; 1 is strong, 10 is weak"
            )
        if delta is not None and not 0 < delta < 1:
            raise GannetError(f"delta={delta:g}: must be above 0 and below one over the number of rows")
        seed = given.get("noise_seed")
        return cls(epsilon, delta, None if seed is None else int(_number(given, "noise_seed")))

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for entry in text.split(","):
        key, equals, value = entry.partition("=")
        if not equals:
            raise GannetError(f"--private {text}: say how private, as --private epsilon=3")
        pairs[key.strip()] = value.strip()
    return pairs


def _number(given: Mapping[str, Any], key: str) -> float:
    try:
        return float(given[key])
    except (TypeError, ValueError):
        raise GannetError(f"{key}={given[key]}: must be a number") from None


@dataclass(frozen=True)
class Plan:
    """All that the guarantee rests on, as it is kept in settings.json."""

    epsilon: float
    delta: float
    noise_seed: int | None
    rows: int
    """Rows that are trained on; their number is taken as public."""
    first_look: float
    """Noise multiplier of the first look at the columns."""
    second_look: float
    """Noise multiplier of the second, finer look."""
    slip: float
    """Share of delta: the chance that either look tells a level held by one row."""
    rate: float
    """Chance of each row to be in a step."""
    steps: int
    clip: float
    """Largest norm of one row's gradient."""
    noise_multiplier: float
    """Deviation of the noise on the sum of a step's gradients, over `clip`."""
    statistics_epsilon: float
    """What the two looks alone would spend at `delta`."""
    training_epsilon: float
    """What the steps alone would spend at `delta`."""
    spent_epsilon: float
    """What all of it spends together; never above `epsilon`."""
    counted_by: str = "opacus, privacy loss distributions"

    @classmethod
    def of(cls, wanted: Wanted, *, count: int, batch: int, steps: int, clip: float, share: float) -> Plan:
        """The plan for `count` rows, `batch` of them a step on average; GannetError where it cannot be kept.

        `share` is the statistics' share of the squared mu of a Gaussian mechanism of the whole budget.
        """
        if count < FEWEST_ROWS:
            raise GannetError(
                f"--private: {count} rows are too few to learn anything without learning of anyone; "
                f"give {FEWEST_ROWS} or more"
            )
        delta = default_delta(count) if wanted.delta is None else wanted.delta
        if delta >= 1 / count:
            raise GannetError(f"delta={delta:g}: must be below one over the number of rows, {1 / count:.2g}")
        slip = SLIP_SHARE * delta
        kept = delta - slip
        statistics = share * gaussian_mu(wanted.epsilon, kept) ** 2
        looks = [1 / sqrt(FIRST_SHARE * statistics), 1 / sqrt((1 - FIRST_SHARE) * statistics)]
        before, rate = [Mechanism(noise) for noise in looks], min(1.0, batch / count)
        noise = noise_for(wanted.epsilon, kept, before, rate, steps)
        training = Mechanism(noise, rate, steps)
        return cls(
            epsilon=wanted.epsilon,
            delta=delta,
            noise_seed=wanted.noise_seed,
            rows=count,
            first_look=looks[0],
            second_look=looks[1],
            slip=slip,
            rate=rate,
            steps=steps,
            clip=clip,
            noise_multiplier=noise,
            statistics_epsilon=gaussian_epsilon(sqrt(statistics), kept),
            training_epsilon=epsilon_of([training], kept),
            spent_epsilon=epsilon_of([*before, training], kept),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person, before training."""
        told = [
            f"differential privacy: epsilon {self.epsilon:g} at delta {self.delta:.2g}, for one row more or less",
            f"statistics of the columns would spend {self.statistics_epsilon:.2f} alone, training "
            f"{self.training_epsilon:.2f} alone, both together {self.spent_epsilon:.2f}",
            f"{self.steps:,} steps on {self.rate:.2%} of the rows each, gradients clipped to {self.clip:g}, "
            f"noise {self.noise_multiplier:.2f} times that",
        ]
        if self.noise_seed is not None:
            told.append("NOT PRIVATE: the noise follows from noise_seed; never give away what this run makes")
        return told


def default_delta(count: int) -> float:
    """1 / (10 n), rounded down to one digit."""
    exact = 1 / (10 * count)
    digit = 10.0 ** floor(log10(exact))
    return floor(exact / digit) * digit
