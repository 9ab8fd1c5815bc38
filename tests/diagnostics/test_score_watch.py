"""Collapse, seen in a series of scores."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gannet.diagnostics.score_watch import ScoreWatch


def trends(scores: list[float], floor: float = 0.0) -> list[str | None]:
    watch = ScoreWatch(floor)
    return [watch.add(score) for score in scores]


def descent(count: int, *, noise: float = 0.0) -> list[float]:
    """A score that falls to 10 and stays there, with a regular scatter."""
    return [(10 + 90 * 0.7**step) * (1 + noise * (-1) ** step) for step in range(count)]


def test_a_falling_score_raises_no_alarm() -> None:
    assert trends(descent(60)) == [None] * 60


def test_scatter_of_ten_per_cent_raises_no_alarm() -> None:
    assert "collapse" not in trends(descent(60, noise=0.1))


@pytest.mark.parametrize("at", [5, 20, 50])
def test_a_doubling_within_a_few_scores_is_a_collapse_at_the_second_score(at: int) -> None:
    scores = descent(at) + [descent(at)[-1] * 2] * 3
    assert trends(scores).index("collapse") == at + 1


def test_a_single_bad_score_is_no_collapse() -> None:
    scores = descent(30)
    scores[20] *= 5
    assert "collapse" not in trends(scores)


def test_a_slow_drift_to_half_as_much_again_is_worse_but_no_collapse() -> None:
    drift = [10 * 1.012**step for step in range(36)]
    found = trends(descent(30) + drift)
    assert "collapse" not in found and found[-1] == "worse"


def test_a_slow_drift_to_twice_is_a_collapse_in_the_end() -> None:
    assert "collapse" in trends(descent(30) + [10 * 1.02**step for step in range(60)])


def test_scores_that_are_no_number_are_a_collapse() -> None:
    assert trends([*descent(10), math.nan, math.inf])[-1] == "collapse"


def test_near_perfect_scores_may_double_without_alarm() -> None:
    """What real samples score in their place is added: .001 and .004 are equally perfect where real ones score .01."""
    assert "collapse" not in trends([*descent(20), 0.002, 0.001, 0.004, 0.004, 0.004], floor=10.0)


def test_a_restart_forgets_what_followed_the_best() -> None:
    watch = ScoreWatch()
    for score in [*descent(10), 40.0, 40.0]:
        watch.add(score)
    watch.restart()
    assert watch.best == pytest.approx(min(descent(10))) and watch.add(11.0) is None


def test_settled_means_that_the_last_scores_brought_nothing() -> None:
    improving, flat = ScoreWatch(), ScoreWatch()
    for step in range(30):
        improving.add(100 * 0.9**step)
        flat.add(10 + 90 * 0.3**step)
    assert flat.settled() and not improving.settled()


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40))
def test_state_goes_through_json_and_back(scores: list[float]) -> None:
    watch, other = ScoreWatch(0.5), ScoreWatch()
    for score in scores:
        watch.add(score)
    other.restore(json.loads(json.dumps(watch.state())))
    assert [watch.add(1.0), watch.add(50.0)] == [other.add(1.0), other.add(50.0)]
