"""Each watch on readings whose trouble is known, and on readings without trouble."""

import json
from dataclasses import replace

import pytest

from gannet.diagnostics.equilibrium import EquilibriumWatch
from gannet.diagnostics.overfitting import OverfittingWatch
from gannet.diagnostics.stability import StabilityWatch
from gannet.diagnostics.variety import VarietyWatch
from gannet.watch import Look, Pulse

FINE = Look(
    score=0.1,
    ceiling=0.01,
    variety=1.0,
    class_variety={"a": 0.9, "b": 1.0, "c": 0.95},
    coverage=0.9,
    class_coverage={"a": 0.9, "b": 0.8, "c": 0.9},
    repeats=0.0,
    told_apart=0.7,
    ordered=0.65,
    ordered_train=0.68,
    nearer_train=0.52,
)
CALM = Pulse(0, 1000, 0.6, {"discriminator/gradient_norm": 1.0, "generator/gradient_norm": 0.1}, {"generator": 0.01}, 0)


def test_fine_looks_bring_no_finding() -> None:
    watches = (VarietyWatch(), OverfittingWatch())
    for share in range(20):
        assert all(watch.look(FINE, share / 20) is None for watch in watches)
    balance = EquilibriumWatch()
    assert all(balance.look(replace(FINE, score=1 - step / 20), step / 20, best=True) is None for step in range(20))


@pytest.mark.parametrize(
    "trouble", [{"variety": 0.4}, {"coverage": 0.3}, {"class_variety": {"a": 0.1, "b": 1.0}}, {"repeats": 0.6}]
)
def test_lost_variety_is_found_at_the_second_look(trouble: dict) -> None:
    watch = VarietyWatch()
    assert watch.look(FINE, 0.5) is None
    assert watch.look(replace(FINE, **trouble), 0.55) is None
    finding = watch.look(replace(FINE, **trouble), 0.6)
    assert finding is not None and finding.name == "lost variety" and finding.remedy == "roll back"


def test_a_class_that_stays_uncovered_is_named() -> None:
    watch, look = VarietyWatch(), replace(FINE, class_coverage={"a": 0.9, "b": 0.02, "c": 0.8})
    assert all(watch.look(look, 0.3) is None for _ in range(4))
    findings = [watch.look(look, 0.6 + step / 20) for step in range(4)]
    assert findings[-1] is not None and findings[-1].name == "missing class" and "'b'" in findings[-1].told


def test_a_class_that_is_still_coming_is_not_missing() -> None:
    watch = VarietyWatch()
    for step in range(12):
        look = replace(FINE, class_coverage={"a": 0.9, "b": 0.01 * step, "c": 0.8})
        assert watch.look(look, 0.6 + step / 40) is None


def test_variety_that_is_still_to_come_is_no_loss() -> None:
    watch = VarietyWatch()
    assert all(watch.look(replace(FINE, coverage=step / 20, variety=0.5), step / 20) is None for step in range(20))


def test_a_discriminator_that_always_wins_is_found_unless_samples_still_improve() -> None:
    watch, look = EquilibriumWatch(), replace(FINE, ordered=0.995)
    assert all(watch.look(look, 0.1, best=True) is None for _ in range(5))
    findings = [watch.look(look, 0.1, best=False) for _ in range(3)]
    assert findings[-1] is not None and findings[-1].name == "discriminator wins" and findings[-1].firmness > 1


def test_a_blind_discriminator_is_found_and_made_sharper() -> None:
    watch, look = EquilibriumWatch(), replace(FINE, ordered=0.5, told_apart=0.99)
    watch.look(replace(FINE, score=1.0), 0.0, best=True)
    findings = [watch.look(look, 0.5, best=False) for _ in range(3)]
    assert findings[-1] is not None and findings[-1].name == "blind discriminator" and findings[-1].firmness < 1


def test_a_score_that_never_falls_is_not_learning() -> None:
    watch = EquilibriumWatch()
    findings = [watch.look(replace(FINE, score=1.0), step / 10, best=False) for step in range(6)]
    assert findings[:3] == [None] * 3
    assert any(finding is not None and finding.name == "not learning" for finding in findings[3:])


def test_the_balance_has_a_name_on_its_scale() -> None:
    watch = EquilibriumWatch()
    for ordered, words in ((0.5, "cannot tell"), (0.65, "even"), (0.9, "ahead"), (0.99, "wins"), (0.3, "generator")):
        watch.look(replace(FINE, ordered=ordered), 0.0, best=True)
        assert words in watch.words


def test_knowledge_by_heart_and_copies_are_found_at_the_third_look() -> None:
    for trouble, name in (({"ordered_train": 0.95}, "overfitting"), ({"nearer_train": 0.8}, "copies")):
        watch = OverfittingWatch()
        findings = [watch.look(replace(FINE, **trouble), 0.5) for _ in range(3)]
        assert findings[:2] == [None, None] and findings[2] is not None and findings[2].name == name


def test_samples_that_still_lie_far_from_all_data_are_no_copies() -> None:
    watch = OverfittingWatch()
    assert all(watch.look(replace(FINE, nearer_train=0.8), share / 20) is None for share in range(6))


def test_calm_pulses_bring_no_finding() -> None:
    watch = StabilityWatch()
    assert all(watch.pulse(CALM) is None for _ in range(100))


def test_moves_that_are_not_finite_call_for_a_return_at_once() -> None:
    finding = StabilityWatch().pulse(replace(CALM, skipped=25))
    assert finding is not None and finding.remedy == "roll back" and finding.urgent


def test_gradients_that_jump_are_found_at_the_third_pulse() -> None:
    watch = StabilityWatch()
    for _ in range(20):
        watch.pulse(CALM)
    wild = replace(CALM, means={**CALM.means, "generator/gradient_norm": 50.0})
    findings = [watch.pulse(wild) for _ in range(3)]
    assert findings[:2] == [None, None] and findings[2] is not None and "generator" in findings[2].told


def test_steps_too_large_and_none_at_all_are_found() -> None:
    for update, name in ((0.5, "instability"), (0.0, "not learning")):
        watch = StabilityWatch()
        findings = [watch.pulse(replace(CALM, updates={"generator": update})) for _ in range(3)]
        assert findings[2] is not None and findings[2].name == name


def test_weights_that_change_their_size_at_once_are_found_at_once_and_steady_growth_is_not() -> None:
    for fate in (0.8, 1.3):
        watch = StabilityWatch()
        for step in range(30):
            assert watch.pulse(replace(CALM, weights={"generator": 10 * 1.01**step})) is None
        finding = watch.pulse(replace(CALM, weights={"generator": 10 * 1.01**30 * fate}))
        assert finding is not None and finding.remedy == "roll back" and "generator" in finding.told
        assert f"{abs(1.01 * fate - 1):.0%}" in finding.told


@pytest.mark.parametrize("watch", [VarietyWatch, EquilibriumWatch, OverfittingWatch, StabilityWatch])
def test_state_goes_through_json_and_back(watch) -> None:
    first, second = watch(), watch()
    if watch is StabilityWatch:
        first.pulse(replace(CALM, updates={"generator": 0.5}))
    elif watch is EquilibriumWatch:
        first.look(replace(FINE, ordered=0.99), 0.5, best=False)
    else:
        first.look(replace(FINE, repeats=0.9, ordered_train=1.0), 0.5)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
