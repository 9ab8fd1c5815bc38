"""What a look at samples tells, on samples whose trouble is known."""

import pytest
import torch
from torch import Tensor

from gannet.diagnostics.look import Sight

WIDTH = 6


def normal(count: int, seed: int) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def clusters(count: int, seed: int, kept: int = 4) -> tuple[Tensor, Tensor]:
    """Samples of `kept` of four classes far apart, and their classes."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(kept, (count,), generator=draw)
    centres = 8 * torch.eye(4, WIDTH)
    return centres[classes] + torch.randn(count, WIDTH, generator=draw), classes


@pytest.fixture
def sight() -> Sight:
    return Sight(normal(1000, 0), normal(1000, 1), reference=normal(1000, 1), spared=True)


def test_real_samples_are_found_right_in_every_reading(sight: Sight) -> None:
    look = sight.look(normal(1000, 2))
    assert look.variety == pytest.approx(1.0, abs=0.05) and look.coverage == pytest.approx(1.0, abs=0.05)
    assert look.repeats == look.identical == 0 and look.told_apart == pytest.approx(0.5, abs=0.06)
    assert look.nearer_train == pytest.approx(0.5, abs=0.08) and look.score < 2 * look.ceiling


def test_one_sample_repeated_has_no_variety_and_repeats_itself(sight: Sight) -> None:
    look = sight.look(normal(1, 2).expand(1000, WIDTH))
    assert (
        look.variety < 0.01 and look.repeats == look.identical == 1.0 and look.coverage < 0.1 and look.told_apart > 0.9
    )


def test_half_the_spread_lowers_variety_to_half(sight: Sight) -> None:
    assert sight.look(normal(1000, 2) / 2).variety == pytest.approx(0.5, abs=0.03)


def test_copies_of_training_samples_lie_nearer_to_training(sight: Sight) -> None:
    look = sight.look(normal(1000, 0) + 0.01 * normal(1000, 3))
    assert look.nearer_train > 0.95


def test_a_shift_is_told_apart(sight: Sight) -> None:
    assert sight.look(normal(1000, 2) + 1.0).told_apart > 0.8


def test_features_that_are_not_finite_score_infinity_and_break_nothing(sight: Sight) -> None:
    samples = normal(1000, 2)
    samples[3, 2] = torch.nan
    look = sight.look(samples)
    assert look.score == float("inf") and look.variety is None


def test_a_class_that_is_never_covered_is_named() -> None:
    (train, train_classes), (holdout, holdout_classes) = clusters(1000, 0), clusters(1000, 1)
    sight = Sight(
        train,
        holdout,
        reference=holdout,
        spared=True,
        train_classes=train_classes,
        holdout_classes=holdout_classes,
        names=("a", "b", "c", "d"),
    )
    samples, classes = clusters(1000, 2, kept=3)
    look = sight.look(samples, classes)
    assert look.class_coverage["d"] < 0.05 and look.class_coverage["a"] > 0.8
    assert set(look.class_variety) == {"a", "b", "c"}
    one = samples.clone()
    one[classes == 1] = samples[classes == 1][:1]
    found = sight.look(one, classes).class_variety
    assert found["b"] < 0.01 and found["a"] == pytest.approx(1.0, abs=0.1)


def test_a_handful_of_samples_is_enough() -> None:
    sight = Sight(normal(12, 0), normal(12, 0), reference=normal(12, 0), spared=False)
    look = sight.look(normal(12, 1))
    assert look.nearer_train is None and 0 < look.variety < 3
