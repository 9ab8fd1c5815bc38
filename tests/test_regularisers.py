"""LeCam against its closed form, through warm-up, resume and the judge's seam."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gannet.errors import GannetError
from gannet.judge import Judge
from gannet.regularisers import LeCam, lecam


def test_the_term_is_the_published_formula_with_anchors_of_both_batches() -> None:
    term = LeCam(weight=0.3, decay=0.5, warm_up=0)
    real, fake = torch.tensor([1.0, 3.0, 2.0]), torch.tensor([-1.0, 0.0, -2.0])
    # First batch: anchors 2 and -1. E (real + 1)^2 = (4 + 16 + 9) / 3, E (fake - 2)^2 = (9 + 4 + 16) / 3.
    torch.testing.assert_close(term(real, fake), torch.tensor(0.3 * 58 / 3))
    # Second batch of fours and zeros: anchors (2 + 4) / 2 = 3 and (-1 + 0) / 2 = -1/2.
    torch.testing.assert_close(term(torch.full((2,), 4.0), torch.zeros(2)), torch.tensor(0.3 * (4.5**2 + 3**2)))


def test_its_gradient_pulls_each_side_towards_the_other_and_not_the_anchors() -> None:
    real, fake = torch.tensor([1.0, 3.0]).requires_grad_(), torch.tensor([-1.0, 0.0]).requires_grad_()
    term = LeCam(weight=1.0, warm_up=0)
    term(real, fake).backward()
    torch.testing.assert_close(real.grad, 2 * (real.detach() + 0.5) / 2)
    torch.testing.assert_close(fake.grad, 2 * (fake.detach() - 2.0) / 2)


def test_anchors_follow_with_the_decay_and_start_from_the_first_batch() -> None:
    term = LeCam(decay=0.99)
    term(torch.full((4,), 5.0), torch.full((4,), -5.0))
    assert term.real_anchor == 5 and term.fake_anchor == -5
    term(torch.full((4,), 6.0), torch.full((4,), -7.0))
    assert term.real_anchor.item() == pytest.approx(5.01) and term.fake_anchor.item() == pytest.approx(-5.02)


def test_it_is_silent_while_warming_up() -> None:
    term, values = LeCam(warm_up=3), []
    for _ in range(5):
        real = torch.ones(2, requires_grad=True)
        value = term(real, -torch.ones(2))
        value.backward()
        assert (real.grad != 0).all() == (value != 0)
        values.append(value.item())
    assert values[:3] == [0, 0, 0] and values[3] == values[4] == pytest.approx(0.3 * 8)


def test_a_batch_that_is_not_finite_leaves_the_anchors_alone() -> None:
    term = LeCam(warm_up=0)
    term(torch.ones(2), torch.zeros(2))
    term(torch.tensor([1.0, float("nan")]), torch.tensor([float("inf"), 0.0]))
    assert term.real_anchor == 1 and term.fake_anchor == 0


def test_its_state_is_saved_and_resumed() -> None:
    term, resumed = LeCam(warm_up=2), LeCam(warm_up=2)
    for step in range(4):
        term(torch.full((2,), float(step)), torch.zeros(2))
    resumed.load_state_dict(term.state_dict())
    assert torch.equal(term(torch.ones(2), torch.zeros(2)), resumed(torch.ones(2), torch.zeros(2)))


def test_it_says_that_it_needs_a_fixed_zero() -> None:
    assert LeCam.requires_anchored_losses


def test_the_judge_adds_it_by_name() -> None:
    class Sum(nn.Module):
        def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
            return samples.flatten(1).sum(1)

    judge = Judge(Sum(), regularisers=[LeCam(warm_up=0)])
    terms = judge.regularise(*judge.pair(torch.ones(2, 3), torch.zeros(2, 3)))
    torch.testing.assert_close(terms, {"lecam": torch.tensor(0.3 * 18)})
    assert any(name.endswith("real_anchor") for name in judge.state_dict())


def test_a_recipe_asks_by_weight_and_none_hangs_nothing() -> None:
    assert lecam(None) == ()
    (term,) = lecam(0.5)
    assert isinstance(term, LeCam) and term.weight == 0.5
    with pytest.raises(GannetError, match="positive"):
        lecam(0.0)
