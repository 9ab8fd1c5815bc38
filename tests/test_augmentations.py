"""The augmentation in front of the judge: closed forms, identities, derivatives, the random stream, the controller."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gannet.augment import CEILING, AdaptiveStrength, DifferentiableAugmentation, Policy, augmentation_for
from gannet.augment.operations import cut_out, pick, recolour, shift, turn
from gannet.errors import GannetError
from gannet.judge import Judge
from gannet.losses import zero_centred
from gannet.spec import Spec

EVERYTHING = Policy(mirror=True, scale=0.3, rotation=30.0)
SHAPES = [(1, 28, 28), (3, 32, 32), (4, 9, 14), (2, 8, 8), (5, 7, 3), (3, 1, 1), (1, 1, 6)]


def pictures(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def truth(n: int, value: bool = True) -> Tensor:
    return torch.full((n,), value)


# Operations


def test_recolouring_is_brightness_then_saturation_then_contrast() -> None:
    x = pictures(4, 3, 5, 6, dtype=torch.float64)
    b, s, k = (pictures(4, seed=seed, dtype=torch.float64) for seed in (1, 2, 3))
    by_hand = x + b.view(4, 1, 1, 1)
    grey = by_hand.mean(1, keepdim=True)
    by_hand = grey + s.view(4, 1, 1, 1) * (by_hand - grey)
    mean = by_hand.mean((1, 2, 3), keepdim=True)
    by_hand = mean + k.view(4, 1, 1, 1) * (by_hand - mean)
    torch.testing.assert_close(recolour(x, b, s, k), by_hand)


def test_recolouring_leaves_transparency_alone_and_knows_no_saturation_of_grey() -> None:
    x = pictures(3, 4, 5, 5)
    changed = recolour(x, torch.full((3,), 0.2), torch.full((3,), 1.5), torch.full((3,), 0.7))
    assert torch.equal(changed[:, 3], x[:, 3])
    assert not torch.equal(changed[:, :3], x[:, :3])
    grey = pictures(3, 1, 5, 5)
    assert torch.equal(recolour(grey, torch.zeros(3), torch.full((3,), 1.7), torch.ones(3)), grey)


def test_shifting_moves_each_sample_by_its_own_whole_pixels_and_pads_with_zeros() -> None:
    x = pictures(2, 2, 4, 5)
    moved = shift(x, torch.tensor([1, -2]), torch.tensor([-1, 3]), truth(2, False))
    by_hand = torch.zeros_like(x)
    by_hand[0, :, 1:, :-1] = x[0, :, :-1, 1:]
    by_hand[1, :, :-2, 3:] = x[1, :, 2:, :-3]
    assert torch.equal(moved, by_hand)


def test_mirroring_comes_before_the_shift() -> None:
    x = pictures(2, 1, 3, 4)
    moved = shift(x, torch.tensor([0, 0]), torch.tensor([1, 0]), torch.tensor([True, False]))
    assert torch.equal(moved[0, :, :, 1:], x[0].flip(2)[:, :, :-1])
    assert torch.equal(moved[1], x[1])


def test_a_shift_of_the_whole_picture_leaves_nothing() -> None:
    assert not shift(torch.ones(1, 1, 3, 3), torch.tensor([3]), torch.tensor([0]), truth(1, False)).any()


def test_a_quarter_turn_is_the_exact_rotation_and_no_turn_is_the_identity() -> None:
    x = pictures(2, 3, 6, 6)
    turned = turn(x, torch.ones(2), torch.tensor([torch.pi / 2, 0.0]))
    torch.testing.assert_close(turned[0], x[0].rot90(1, (1, 2)), atol=1e-5, rtol=0)
    assert torch.equal(turned[1], x[1])


def test_enlarging_keeps_the_mean_of_a_constant_centre_and_a_known_ramp() -> None:
    ramp = torch.linspace(-1, 1, 9).expand(1, 1, 9, 9).contiguous()
    larger = turn(ramp, torch.tensor([2.0]), torch.zeros(1))
    torch.testing.assert_close(larger, ramp / 2)


def test_cutting_out_blanks_a_box_clipped_at_the_border_where_chosen() -> None:
    x = torch.ones(3, 2, 5, 6)
    cut = cut_out(x, torch.tensor([1, -1, 0]), torch.tensor([2, 4, 0]), (2, 3), torch.tensor([True, True, False]))
    by_hand = torch.ones_like(x)
    by_hand[0, :, 1:3, 2:5] = 0
    by_hand[1, :, :1, 4:] = 0
    assert torch.equal(cut, by_hand)


def test_picking_the_own_positions_is_the_identity() -> None:
    x = pictures(3, 2, 4, 5)
    assert torch.equal(pick(x, torch.arange(4).view(1, 4, 1).expand(3, 4, 5), torch.arange(5).view(1, 1, 5)), x)


# The module


@pytest.mark.parametrize("shape", SHAPES)
def test_strength_zero_is_the_identity_bit_for_bit(shape: tuple[int, ...]) -> None:
    x = pictures(4, *shape)
    assert DifferentiableAugmentation(EVERYTHING)(x) is x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("policy", [Policy(), EVERYTHING])
def test_samples_of_any_shape_keep_it_and_change(shape: tuple[int, ...], policy: Policy) -> None:
    x = pictures(16, *shape)
    changed = DifferentiableAugmentation(policy, strength=CEILING)(x)
    assert changed.shape == x.shape and changed.dtype == x.dtype
    assert changed.isfinite().all() and not torch.equal(changed, x)


@pytest.mark.parametrize("policy", [Policy(), EVERYTHING])
def test_samples_that_no_operation_chose_come_back_exactly(policy: Policy) -> None:
    torch.manual_seed(3)
    x = pictures(400, 3, 6, 7)
    changed = DifferentiableAugmentation(policy, strength=0.1)(x)
    alike = (changed == x).flatten(1).all(1).double().mean()
    assert 0.9**8 - 0.1 < alike < 0.9**5 + 0.1  # five operations can change a sample, or all eight


@pytest.mark.parametrize(
    ("policy", "operations"),
    [
        (Policy(0.5, 0, 0, 0, 0), 1),
        (Policy(0, 0, 0.5, 0, 0), 1),
        (Policy(0, 0, 0, 0, 0.5), 1),
        (Policy(0, 0, 0, 0, 0, scale=0.3, rotation=20), 2),
    ],
)
def test_each_operation_meets_a_share_of_samples_equal_to_the_strength(policy: Policy, operations: int) -> None:
    torch.manual_seed(0)
    x = pictures(2000, 3, 4, 4)
    changed = (DifferentiableAugmentation(policy, strength=0.3)(x) != x).flatten(1).any(1)
    assert changed.double().mean().item() == pytest.approx(1 - 0.7**operations, abs=0.04)


def test_translation_reaches_both_limits_and_all_moves_are_equally_likely() -> None:
    torch.manual_seed(0)
    x = torch.zeros(4000, 1, 16, 16)
    x[:, :, 8, 8] = 1
    moved = DifferentiableAugmentation(Policy(0, 0, 0, 0.125, 0), strength=0.8)(x)
    rows = moved.amax((1, 3)).argmax(1) - 8
    counts = torch.bincount(rows + 2, minlength=5).double() / 4000
    assert len(counts) == 5
    torch.testing.assert_close(counts, torch.tensor([0.16, 0.16, 0.36, 0.16, 0.16]).double(), atol=0.03, rtol=0)


def test_operations_are_chosen_apart_from_each_other() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 1, 16, 16)
    changed = DifferentiableAugmentation(Policy(0, 0, 0, 0.125, 0.5), strength=0.5)(x)
    alike = (changed == x).flatten(1).all(1).double().mean()
    assert alike.item() == pytest.approx(0.5 * (0.5 + 0.5 / 25), abs=0.03)  # one move in 25 is no move


def test_nothing_is_mirrored_unless_asked() -> None:
    torch.manual_seed(0)
    arrow = torch.zeros(300, 1, 16, 16)
    arrow[:, :, 8, 7], arrow[:, :, 8, 8] = 1, 2
    moved = DifferentiableAugmentation(Policy(0, 0, 0, 0.125, 0), strength=0.8)(arrow)
    assert torch.equal((moved == 2).flatten(1).int().argmax(1), (moved == 1).flatten(1).int().argmax(1) + 1)
    x = pictures(500, 1, 4, 6)
    nothing = Policy(0, 0, 0, 0, 0)
    assert torch.equal(DifferentiableAugmentation(nothing, strength=0.8)(x), x)
    mirrored = DifferentiableAugmentation(Policy(0, 0, 0, 0, 0, mirror=True), strength=0.8)(x)
    flipped = (mirrored == x.flip(3)).flatten(1).all(1)
    assert torch.equal(mirrored[~flipped], x[~flipped])
    assert flipped.double().mean().item() == pytest.approx(0.4, abs=0.06)


def test_the_random_stream_does_not_depend_on_strength_or_policy() -> None:
    x, following = pictures(8, 3, 8, 8), []
    for strength, policy in ((0.0, Policy()), (0.3, Policy()), (0.8, EVERYTHING)):
        torch.manual_seed(7)
        DifferentiableAugmentation(policy, strength=strength)(x)
        following.append(torch.rand(()))
    assert following[0] == following[1] == following[2]


def test_the_same_seed_gives_the_same_pictures_and_a_strength_above_the_ceiling_counts_as_it() -> None:
    x, augmentation = pictures(32, 3, 8, 8), DifferentiableAugmentation()
    results = []
    for strength in (CEILING, CEILING, 1.0):
        augmentation.strength.fill_(strength)
        torch.manual_seed(1)
        results.append(augmentation(x))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_first_and_second_derivatives_are_right(channels: int) -> None:
    augmentation = DifferentiableAugmentation(EVERYTHING, strength=0.8)

    def curved(x: Tensor) -> Tensor:
        torch.manual_seed(5)
        return augmentation(x).pow(3)

    x = pictures(2, channels, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(curved, x)
    assert torch.autograd.gradgradcheck(curved, x)


def test_a_gradient_penalty_flows_through_the_augmentation_to_the_discriminator() -> None:
    class Quadratic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

        def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
            return self.weight * samples.flatten(1).square().sum(1) / 2

    # D = w |x|^2 / 2 behind a mask M (cutout): the gradient by x is w M x and the penalty w^2 |M x|^2.
    policy = Policy(0, 0, 0, 0, 0.5)
    judge = Judge(Quadratic(), DifferentiableAugmentation(policy, strength=0.8))
    real, fake = (pictures(5, 2, 6, 6, seed=seed, dtype=torch.float64) for seed in (0, 1))
    torch.manual_seed(2)
    *_, real_gradient, _ = judge.pair_with_gradients(real, fake)
    penalty = zero_centred(real_gradient)
    torch.manual_seed(2)
    masked = DifferentiableAugmentation(policy, strength=0.8)(torch.cat([real, fake]))[:5]
    size = masked.flatten(1).square().sum(1).mean()
    torch.testing.assert_close(penalty, 1.5**2 * size)
    (slope,) = torch.autograd.grad(penalty, judge.discriminator.weight)
    torch.testing.assert_close(slope, 2 * 1.5 * size)


def test_half_precision_samples_stay_in_half_precision() -> None:
    x = pictures(4, 3, 8, 8).bfloat16()
    assert DifferentiableAugmentation(EVERYTHING, strength=0.8)(x).dtype == torch.bfloat16


# The controller


def observed(strength: float = 0.4, train: float = 1.0, holdout: float = 0.0, fake: float = -1.0, **knobs) -> Tensor:
    """The strength after one observation of constant logits, with a memory short enough to act at once."""
    augmentation = DifferentiableAugmentation(
        strength=strength, control=AdaptiveStrength(half_life=1, span=1_000, **knobs)
    )
    augmentation.observe(torch.full((10,), train), torch.full((10,), holdout), torch.full((10,), fake))
    return augmentation.strength


def test_strength_rises_when_held_out_samples_look_fake_and_falls_when_they_look_trained_on() -> None:
    assert observed(holdout=0.0).item() == pytest.approx(0.41)  # ratio 1/2
    assert observed(holdout=0.9).item() == pytest.approx(0.39)  # ratio 1/20
    assert observed(holdout=1.4).item() == pytest.approx(0.39)  # held out above trained on: no over-fitting
    assert observed(holdout=0.0, every=4).item() == pytest.approx(0.44)


def test_strength_stays_between_zero_and_the_ceiling() -> None:
    assert observed(strength=0.0, holdout=1.0).item() == 0
    assert observed(strength=CEILING, holdout=-1.0).item() == pytest.approx(CEILING)


def test_the_whole_range_takes_the_stated_number_of_samples() -> None:
    control, strength = AdaptiveStrength(span=1_000, half_life=1), torch.tensor(0.0)
    for _ in range(10):
        control.update(strength, torch.ones(64), torch.zeros(64), -torch.ones(64))
    assert strength.item() == pytest.approx(10 * 64 / 1_000)


@pytest.mark.parametrize("fake", [0.95, 1.0, 2.0])
def test_a_discriminator_that_cannot_tell_changes_nothing(fake: float) -> None:
    control, strength = AdaptiveStrength(half_life=1), torch.tensor(0.4)
    spread = torch.tensor([-1.0, 1.0]).repeat(8)
    control.update(strength, 1 + spread, spread, fake + spread)
    assert strength == 0.4 and control.ratio is None


def test_logits_that_are_not_finite_are_passed_over() -> None:
    control, strength = AdaptiveStrength(half_life=1), torch.tensor(0.4)
    control.update(strength, torch.tensor([1.0, float("nan")]), torch.zeros(2), -torch.ones(2))
    control.update(strength, torch.tensor([float("inf"), 1.0]), torch.zeros(2), -torch.ones(2))
    assert strength == 0.4 and not any(buffer.any() for buffer in control.buffers())
    control.update(strength, torch.ones(2), torch.zeros(2), -torch.ones(2))
    assert strength > 0.4


def test_nothing_moves_before_half_a_memory_is_seen() -> None:
    control, strength = AdaptiveStrength(half_life=640), torch.tensor(0.0)
    for step in range(1, 13):
        control.update(strength, torch.ones(64), torch.zeros(64), -torch.ones(64))
        if step != 10:  # at the half itself rounding decides
            assert (strength > 0) == (step > 10)


def test_numerator_and_denominator_are_averaged_apart() -> None:
    control, strength = AdaptiveStrength(half_life=1), torch.tensor(0.0)
    control.update(strength, torch.ones(1), torch.zeros(1), -torch.ones(1))  # gaps 1 and 2, share 1/2
    control.update(strength, torch.full((1,), 3.0), torch.zeros(1), torch.full((1,), -3.0))  # gaps 3 and 6
    assert control.train_gap.item() == pytest.approx(1.75) and control.fake_gap.item() == pytest.approx(3.5)
    assert control.ratio == pytest.approx(0.5)


eighths = st.lists(st.integers(-80, 80).map(lambda value: value / 8), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(eighths, eighths, eighths), min_size=1, max_size=4), st.integers(-5000, 5000), st.data())
def test_a_constant_added_to_all_logits_or_a_positive_factor_changes_no_bit(rounds, constant, data) -> None:
    """Numbers whose sums and products are exact in float32, so that equality can be asked for."""
    factor = 2.0 ** data.draw(st.integers(-10, 10))
    strengths = [torch.tensor(0.4) for _ in range(3)]
    controls = [AdaptiveStrength(half_life=1) for _ in range(3)]
    for observation in rounds:
        logits = [torch.tensor(values) for values in observation]
        controls[0].update(strengths[0], *logits)
        controls[1].update(strengths[1], *(values + constant for values in logits))
        controls[2].update(strengths[2], *(values * factor for values in logits))
    assert strengths[0] == strengths[1] == strengths[2]
    assert controls[0].ratio == controls[1].ratio == controls[2].ratio


def test_state_is_in_buffers_so_that_a_resumed_run_goes_on_alike() -> None:
    def logits(step: int) -> tuple[Tensor, Tensor, Tensor]:
        return pictures(16, seed=step) + 2, pictures(16, seed=step + 100), pictures(16, seed=step + 200) - 2

    def fresh() -> DifferentiableAugmentation:
        return DifferentiableAugmentation(control=AdaptiveStrength(half_life=32, span=500))

    whole, first, second = fresh(), fresh(), fresh()
    for step in range(20):
        whole.observe(*logits(step))
    for step in range(10):
        first.observe(*logits(step))
    second.load_state_dict(first.state_dict())
    for step in range(10, 20):
        second.observe(*logits(step))
    assert whole.strength > 0
    assert all(torch.equal(a, b) for a, b in zip(whole.buffers(), second.buffers(), strict=True))


def test_a_fixed_strength_ignores_what_is_observed() -> None:
    augmentation = DifferentiableAugmentation(strength=0.25)
    augmentation.observe(torch.ones(8), torch.zeros(8), -torch.ones(8))
    assert augmentation.strength == 0.25


# The choice


def test_few_pictures_get_an_adaptive_strength_that_starts_at_nothing() -> None:
    augmentation, reason = augmentation_for(Spec("images", (3, 64, 64)), 5_000)
    assert isinstance(augmentation, DifferentiableAugmentation)
    assert augmentation.control is not None and augmentation.strength == 0 and augmentation.policy == Policy()
    assert "5,000" in reason and "over-fitting" in reason


def test_many_pictures_and_other_data_get_none_with_the_reason() -> None:
    for spec, count, word in (
        (Spec("images", (3, 64, 64)), 70_000, "70,000"),
        (Spec("tables", (12,)), 500, "tables"),
    ):
        augmentation, reason = augmentation_for(spec, count)
        assert augmentation is None and word in reason


def test_without_held_out_samples_the_strength_is_fixed() -> None:
    augmentation, reason = augmentation_for(Spec("images", (1, 28, 28)), 40, holdout=False)
    assert isinstance(augmentation, DifferentiableAugmentation)
    assert augmentation.control is None and augmentation.strength.item() == pytest.approx(0.3)
    assert "held out" in reason


def test_tiny_pictures_are_treated_mildly_and_mirroring_only_when_asked() -> None:
    augmentation, reason = augmentation_for(Spec("images", (1, 8, 8)), 1_797, mirror=True)
    assert isinstance(augmentation, DifferentiableAugmentation)
    assert augmentation.policy.cutout == 0.25 and augmentation.policy.mirror
    assert "mild" in reason and "mirroring" in reason


@pytest.mark.parametrize(
    ("kind", "mode", "strength", "holdout", "word"),
    [
        ("images", "adaptve", 0.3, True, "adaptive"),
        ("images", "fixed", 0.9, True, "0.8"),
        ("images", "adaptive", 0.3, False, "held-out"),
        ("tables", "fixed", 0.3, True, "tables"),
    ],
)
def test_a_wrong_request_is_answered_in_one_line(kind, mode, strength, holdout, word) -> None:
    with pytest.raises(GannetError, match=word) as caught:
        augmentation_for(Spec(kind, (3, 32, 32)), 1_000, mode, strength, holdout=holdout)
    assert "\n" not in str(caught.value)


def test_fixed_and_none_can_be_asked_for_at_any_size() -> None:
    spec = Spec("images", (3, 32, 32))
    fixed, _ = augmentation_for(spec, 10**6, "fixed", 0.5)
    assert isinstance(fixed, DifferentiableAugmentation) and fixed.strength == 0.5
    assert augmentation_for(spec, 10, "none")[0] is None
