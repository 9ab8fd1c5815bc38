"""The running means of the log."""

import torch

from gannet.tally import Tally


def filled() -> Tally:
    tally = Tally()
    tally.add("discriminator", ["adversarial", "norm"], torch.tensor([1.0, 4.0]))
    tally.add("discriminator", ["adversarial", "norm"], torch.tensor([3.0, 8.0]))
    tally.add("discriminator", ["r1", "norm"], torch.tensor([5.0, 5.0]))
    return tally


def test_means_are_over_the_moves_that_had_the_term() -> None:
    means = filled().means()
    assert means["discriminator/adversarial"] == 2.0 and means["discriminator/r1"] == 5.0
    assert means["discriminator/norm"] == (4.0 + 8.0 + 5.0) / 3


def test_adding_never_changes_the_callers_values() -> None:
    tally, values = Tally(), torch.tensor([1.0])
    tally.add("generator", ["adversarial"], values)
    tally.add("generator", ["adversarial"], values)
    assert values.item() == 1.0


def test_state_and_restore_are_inverse() -> None:
    tally, other = filled(), Tally()
    other.restore(tally.state(), torch.device("cpu"))
    assert other.means() == tally.means() and other.state() == tally.state()
    other.clear()
    assert other.means() == {} and other.state() == []
