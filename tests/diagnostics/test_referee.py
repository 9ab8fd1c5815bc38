"""What the referee asks for, and how far it goes."""

import json
from dataclasses import replace

from gannet.diagnostics import Referee
from gannet.diagnostics.referee import MOST_RETURNS, MOST_THAWS, PATIENCE, WARM
from gannet.recipes.recipe import Doubt
from gannet.watch import Decision, Look, Pulse

LOOK = Look(
    1.0, 0.01, variety=1.0, coverage=0.9, repeats=0.0, told_apart=0.7, ordered=0.6, ordered_train=0.6, nearer_train=0.5
)


def warm(referee: Referee) -> Referee:
    """A referee that has heard enough pulses to judge samples."""
    for _ in range(WARM):
        assert referee.pulse(Pulse(0, 1000, 0.6, {}, {}, 0)) is None
    return referee


def run(referee: Referee, scores: list[float]) -> list[Decision | None]:
    """Looks of these scores, spread over a run."""
    warm(referee)
    best, decisions = float("inf"), []
    for index, score in enumerate(scores):
        look = replace(LOOK, score=score)
        decisions.append(referee.look(index * 100, len(scores) * 100, look, best=score < best))
        best = min(best, score)
    return decisions


def falling(count: int) -> list[float]:
    return [0.1 + 0.8**step for step in range(count)]


def test_a_healthy_run_is_left_alone() -> None:
    assert run(Referee(), falling(20)) == [None] * 20


def test_a_collapse_rolls_back_softer_and_says_why() -> None:
    decisions = run(Referee(), [*falling(10), 0.9, 0.9])
    decision = decisions[-1]
    assert decision is not None and decision.action == "roll back" and decision.finding == "collapse"
    assert decision.learning_rate < 1 < decision.firmness and "times its best" in decision.reason


def test_after_a_remedy_the_game_is_left_alone_for_a_while() -> None:
    referee = Referee()
    decisions = run(referee, [*falling(10), 0.9, 0.9, *[0.9] * PATIENCE])
    assert [decision.action for decision in decisions if decision is not None][0] == "roll back"
    assert all(decision is None or decision.action == "note" for decision in decisions[12 : 12 + PATIENCE - 1])


def test_remedies_run_out_and_the_game_ends_with_the_best() -> None:
    decisions = run(Referee(), [*falling(10), *[2.0] * 60])
    actions = [decision.action for decision in decisions if decision is not None and decision.action != "note"]
    assert actions[:MOST_RETURNS] == ["roll back"] * MOST_RETURNS and actions[MOST_RETURNS] == "stop"


def test_without_remedies_it_only_reports_and_reports_once() -> None:
    decisions = run(Referee(remedies=False), [*falling(10), *[0.9] * 10])
    told = [decision for decision in decisions if decision is not None]
    assert {decision.action for decision in told} == {"note"}
    assert [decision.finding for decision in told].count("collapse") == 1


def test_a_settled_score_in_balance_ends_the_run_as_converged() -> None:
    decisions = run(Referee(), [*falling(20), *[0.11] * 40])
    assert decisions[-1] is not None and decisions[-1].action == "stop" and decisions[-1].finding == "converged"


def test_moves_that_are_not_finite_roll_back_from_a_pulse() -> None:
    referee = Referee()
    decision = referee.pulse(Pulse(100, 1000, 0.6, {}, {}, 25))
    assert decision is not None and decision.action == "roll back" and decision.learning_rate < 1


def test_a_referee_restored_in_the_middle_decides_the_same() -> None:
    scores = [*falling(10), 0.9, 0.9, 0.9, 0.5, 0.6, 2.0, 2.0, 2.0]
    whole = run(Referee(), scores)
    first, second = warm(Referee()), Referee()
    best, decisions = float("inf"), []
    for index, score in enumerate(scores):
        watcher = first if index < 11 else second
        if index == 11:
            second.restore(json.loads(json.dumps(first.state())))
        look = replace(LOOK, score=score)
        decisions.append(watcher.look(index * 100, len(scores) * 100, look, best=score < best))
        best = min(best, score)
    assert decisions == whole


def test_what_was_foreseen_is_told_at_the_first_look() -> None:
    referee = Referee(foreseen=["50 training samples are few", "labels are mixed up"])
    decision = referee.look(0, 1000, LOOK, best=True)
    assert decision is not None and decision.action == "note" and decision.finding == "foreseen"
    assert "few" in decision.reason and "mixed up" in decision.reason
    assert referee.look(50, 1000, LOOK, best=False) is None


def test_a_fault_that_has_passed_leaves_no_mark() -> None:
    decisions = run(Referee(), [*falling(10), 0.9, 0.9, *[0.2 * 0.9**step for step in range(8)]])
    told = [decision for decision in decisions if decision is not None]
    assert [decision.action for decision in told] == ["roll back", "restore"]
    assert told[0].learning_rate * told[1].learning_rate == told[0].firmness * told[1].firmness == 1.0


def test_a_game_that_learned_nothing_begins_anew_instead_of_returning_to_nothing() -> None:
    decisions = run(Referee(), [1.0] * 20)
    told = [decision for decision in decisions if decision is not None]
    assert told[0].action == "begin anew" and told[0].finding == "not learning"


def test_a_game_of_a_few_steps_is_not_judged_by_its_samples() -> None:
    referee = Referee()
    for index in range(20):
        assert referee.look(index * 10, 200, replace(LOOK, score=1.0), best=False) is None


# ------------------------------------------------------------------------------------------ before the first step

GAMMA = Doubt("gamma", None, "gamma=0 switches the penalty off")


def test_a_doubtful_setting_is_told_and_overruled_before_the_first_step() -> None:
    decision = Referee(doubts=[GAMMA], foreseen=["50 training samples are few"]).look(0, 1000, LOOK, best=True)
    assert decision is not None and decision.action == "overrule" and decision.settings == {"gamma": None}
    assert "gamma=0" in decision.reason and "instead" in decision.reason and "few" in decision.reason


def test_without_remedies_a_doubtful_setting_is_only_told() -> None:
    decision = Referee(remedies=False, doubts=[GAMMA]).look(0, 1000, LOOK, best=True)
    assert decision is not None and decision.action == "note" and not decision.settings
    assert "gamma=0" in decision.reason and "instead" not in decision.reason


def test_a_generator_that_does_not_hear_its_noise_is_drawn_anew_before_the_first_step() -> None:
    deaf = replace(LOOK, identical=1.0)
    decision = Referee().look(0, 1000, deaf, best=True)
    assert decision is not None and decision.action == "begin anew" and "hear its noise" in decision.reason
    told = Referee(remedies=False).look(0, 1000, deaf, best=True)
    assert told is not None and told.action == "note"
    assert Referee().look(0, 1000, replace(LOOK, identical=0.5, variety=0.01), best=True) is None


# ------------------------------------------------------------------------------------------------------- in the game


def frozen(gradient: float) -> Pulse:
    return Pulse(0, 1000, 0.6, {"discriminator/gradient_norm": gradient}, {"discriminator": 0.0, "generator": 0.01}, 0)


def test_a_player_that_has_gradients_and_does_not_move_is_thawed_a_few_times_and_then_only_told() -> None:
    referee = Referee()
    decisions = [referee.pulse(frozen(2.0)) for _ in range(20)]
    acts = [decision for decision in decisions if decision is not None]
    assert decisions[0] is None and [act.action for act in acts] == ["thaw"] * MOST_THAWS + ["note"]
    assert all(act.player == "discriminator" and act.learning_rate == 1 for act in acts[:MOST_THAWS])


def test_a_player_without_gradients_is_told_since_no_optimiser_could_move_it() -> None:
    referee = Referee()
    acts = [act for act in (referee.pulse(frozen(0.0)) for _ in range(5)) if act is not None]
    assert [act.action for act in acts] == ["note"] and "no gradient" in acts[0].reason


def swinging(coverage: float, rise: float) -> list[Decision | None]:
    """A settled game whose score rises `rise` times, with this coverage beside it."""
    referee, best, decisions = warm(Referee()), float("inf"), []
    for index, score in enumerate([*falling(12), 0.2 * rise, 0.2 * rise]):
        look = replace(LOOK, score=score, coverage=coverage if score > best else 0.9)
        decisions.append(referee.look(index * 100, 1400, look, best=score < best))
        best = min(best, score)
    return decisions


def test_a_score_that_swings_alone_is_no_collapse_unless_it_doubles_or_coverage_falls_with_it() -> None:
    assert swinging(coverage=0.88, rise=1.6) == [None] * 14
    assert any(act is not None and act.finding == "collapse" for act in swinging(coverage=0.88, rise=3.0))
    assert any(act is not None and act.finding in ("collapse", "worsening") for act in swinging(coverage=0.7, rise=1.6))
