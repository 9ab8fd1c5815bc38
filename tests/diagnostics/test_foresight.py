"""What is seen coming, on data and players whose trouble is known; and silence where there is none."""

import torch
from torch import Tensor

from gannet.diagnostics import foresee
from gannet.diagnostics.look import Sight

PLAYERS = {"generator": 1000, "discriminator": 1200}


def classes(count: int, seed: int, kinds: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(kinds, (count,), generator=draw)
    return 6 * torch.eye(4, 5)[labels] + torch.randn(count, 5, generator=draw), labels


def sight(train: tuple[Tensor, Tensor], holdout: tuple[Tensor, Tensor]) -> Sight:
    return Sight(
        train[0],
        holdout[0],
        reference=holdout[0],
        spared=True,
        train_classes=train[1],
        holdout_classes=holdout[1],
        names=("a", "b", "c", "d"),
    )


def told(train: tuple[Tensor, Tensor], **options) -> list[str]:
    settings = {"count": len(train[0]), "weights": PLAYERS, **options}
    return foresee(sight(train, classes(500, 9)), **settings)


def test_nothing_is_foreseen_where_nothing_is_wrong() -> None:
    for seed in range(5):
        assert told(classes(1000, seed)) == []


def test_few_and_repeated_samples_are_foreseen() -> None:
    few = classes(30, 1)
    assert any("few" in line for line in told(few))
    repeated = tuple(part[torch.arange(1000) % 30] for part in few)
    assert any("repeats itself" in line for line in told(repeated))


def test_a_class_that_the_training_data_lacks_is_named() -> None:
    lines = told(classes(1000, 1, kinds=3))
    assert any("'d'" in line for line in lines) and any("missing" in line for line in lines)


def test_mixed_up_labels_are_foreseen() -> None:
    samples, labels = classes(1000, 1)
    assert any("mixed up" in line for line in told((samples, labels[torch.randperm(1000)])))


def test_players_that_cannot_match_are_foreseen() -> None:
    lines = told(classes(1000, 1), weights={"generator": 64_000, "discriminator": 1000})
    assert any("64 times" in line for line in lines)
