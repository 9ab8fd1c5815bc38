"""Condition vectors are drawn as often as in the data, or exactly as asked for."""

import numpy as np
import pytest
import torch

from gannet.conditions import ConditionPrior, even
from gannet.errors import GannetError
from gannet.spec import Condition, Field, Spec

CONDITION = Condition(
    (
        Field("animal", ("cat", "dog")),
        Field("weight", mean=10.0, scale=2.0, low=4.0, high=16.0),
        Field("colour", ("red", "grey", "blue")),
    )
)


def vectors(count: int = 4_000) -> torch.Tensor:
    """Cats (3 of 4) are red or grey, dogs are blue; weights are standard normal."""
    random = np.random.default_rng(0)
    animal = (random.random(count) > 0.75).astype(int)
    colour = np.where(animal == 1, 2, random.integers(2, size=count))
    columns = [np.eye(2)[animal], random.standard_normal((count, 1)), np.eye(3)[colour]]
    return torch.from_numpy(np.concatenate(columns, 1)).float()


def prior() -> ConditionPrior:
    return ConditionPrior.of(CONDITION, vectors())


def test_draws_are_as_frequent_as_in_the_data_and_keep_combinations() -> None:
    drawn = prior().draw(8_000, seed=1)
    assert drawn.shape == (8_000, CONDITION.width)
    assert drawn[:, 0].mean().item() == pytest.approx(0.75, abs=0.02)
    dogs = drawn[:, 1] == 1
    assert (drawn[dogs, 5] == 1).all()
    assert drawn[:, 2].std().item() == pytest.approx(1.0, abs=0.05)


def test_wishes_are_met_exactly() -> None:
    drawn = prior().draw(500, seed=2, where={"animal": "cat", "weight": "9..11"})
    assert (drawn[:, 0] == 1).all() and (drawn[:, 5] == 0).all()
    assert (drawn[:, 2].abs() <= 0.5 + 1e-6).all() and drawn[:, 2].std() > 0.1
    assert (prior().draw(5, seed=2, where={"weight": 12})[:, 2] == 1.0).all()


def test_a_range_beyond_the_data_is_still_met() -> None:
    drawn = prior().draw(50, seed=2, where={"weight": "100..102"})
    assert (drawn[:, 2] >= 45).all() and (drawn[:, 2] <= 46).all()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"animla": "cat"}, "did you mean 'animal'"),
        ({"animal": "cow"}, "no such level"),
        ({"animal": "dog", "colour": "red"}, "never occur together"),
        ({"weight": "heavy"}, "expected a number or a range"),
        ({"weight": "9..7"}, "expected a number or a range"),
    ],
)
def test_impossible_wishes_are_refused(where: dict, message: str) -> None:
    with pytest.raises(GannetError, match=message):
        prior().draw(3, seed=0, where=where)


def test_a_prior_survives_json_and_keeps_no_vector() -> None:
    data = prior().to_json()
    assert ConditionPrior.from_json(CONDITION, data) == prior()
    assert len(data["combinations"]) == 3 and len(data["quantiles"]["weight"]) == 101


def test_even_conditions_cycle_through_the_classes() -> None:
    assert even(CONDITION, 5)[:, :2].argmax(1).tolist() == [0, 1, 0, 1, 0]


def test_a_spec_survives_json() -> None:
    spec = Spec("images", (3, 8, 9), CONDITION)
    assert Spec.from_json(spec.to_json()) == spec
