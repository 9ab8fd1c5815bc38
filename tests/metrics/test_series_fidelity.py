"""Figures of series: closed forms, planted faults, and judges that are never asked what they were shown."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gannet.metrics import series_fidelity as fidelity
from gannet.metrics.series_fidelity import Steps


def steps(values: np.ndarray, lengths: np.ndarray | None = None) -> Steps:
    """Series [n, length, numbers] of the given lengths."""
    count, length, numbers = values.shape
    present = np.arange(length) < (np.full(count, length) if lengths is None else lengths)[:, None]
    held = (values * present[:, :, None]).astype(np.float32)
    return Steps(torch.from_numpy(held), torch.from_numpy(present), numbers)


def walks(count: int, seed: int, echo: float = 0.9, length: int = 8) -> np.ndarray:
    """Two columns of first-order echoes, the second following the first."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(count, length, 2))
    out = noise.copy()
    for step in range(1, length):
        out[:, step] = echo * out[:, step - 1] + (1 - echo**2) ** 0.5 * noise[:, step]
    out[:, :, 1] = 0.7 * out[:, :, 0] + 0.7 * out[:, :, 1]
    return out


@pytest.fixture(autouse=True)
def short_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "ROUNDS", 120)


def windows(series: np.ndarray, length: int) -> np.ndarray:
    return np.stack([series[start : start + length] for start in range(len(series) - length + 1)])


def test_windows_of_one_stretch_of_time_are_known_by_the_steps_they_share() -> None:
    random = np.random.default_rng(0)
    parts = [windows(random.normal(size=(40, 2)).cumsum(0), 10) for _ in range(3)]
    found = fidelity.stretches(steps(np.concatenate(parts)))
    assert len(np.unique(found)) == 3
    assert all(len(np.unique(found[start : start + 31])) == 1 for start in (0, 31, 62))


def test_series_at_rest_share_nothing_by_being_at_rest() -> None:
    still = np.random.default_rng(0).normal(size=(9, 1, 1)).repeat(12, 1)
    still[:, 6] += np.arange(9)[:, None]
    still[:5] = 0
    assert len(np.unique(fidelity.stretches(steps(still)))) == 9


def test_a_judge_is_never_asked_about_time_it_was_shown() -> None:
    random = np.random.default_rng(0)
    long = [random.normal(size=(30, 1)).cumsum(0) for _ in range(8)]
    side = steps(np.concatenate([windows(each, 9) for each in long]))
    first, second = fidelity.halves(side, np.random.default_rng(1))
    shown = {round(float(value), 3) for value in side.values[torch.from_numpy(first)].flatten()}
    asked = {round(float(value), 3) for value in side.values[torch.from_numpy(second)].flatten()}
    assert len(first) + len(second) == len(side) and 0.3 < len(first) / len(side) < 0.7
    # By chance a few of some hundred numbers agree to a thousandth.
    assert len(shown & asked) < 0.1 * min(len(shown), len(asked))


def test_a_judge_guesses_at_more_of_the_same_and_finds_another_echo() -> None:
    real, same, other = (steps(walks(400, seed, echo)) for seed, echo in ((0, 0.9), (1, 0.9), (2, 0.2)))
    assert fidelity.discriminative_score(real, same, seed=0) < 0.1
    assert fidelity.discriminative_score(real, other, seed=0) > 0.3


def test_a_forecaster_taught_on_the_right_echo_is_better_and_near_the_best_there_is() -> None:
    test = steps(walks(600, 3))
    right, wrong = (fidelity.predictive_score(steps(walks(600, 4, echo)), test, seed=0) for echo in (0.9, -0.5))
    best = (1 - 0.9**2) ** 0.5 * (2 / np.pi) ** 0.5 * (1 + 0.98**0.5) / 2
    assert best * 0.95 < right < best * 1.4 and wrong > 1.3 * right


def test_a_forecaster_of_one_column_reads_only_the_others() -> None:
    random = np.random.default_rng(0)
    leads = random.normal(size=(400, 8, 2))
    leads[:, 1:, 1] = leads[:, :-1, 0]
    score = fidelity.predictive_score(steps(leads), steps(leads), seed=0, only=[1])
    assert score < 0.35


def test_echoes_are_those_of_the_definition_and_blind_to_what_stands_after_the_end() -> None:
    values = walks(30, 0, length=9)
    lengths = np.random.default_rng(0).integers(5, 10, 30)
    side = steps(values, lengths)
    expected = np.zeros((8, 2))
    for column in range(2):
        centred = [
            values[row, : lengths[row], column] - values[row, : lengths[row], column].mean() for row in range(30)
        ]
        power = sum(float(each @ each) for each in centred)
        for lag in range(1, 9):
            expected[lag - 1, column] = (
                sum(float(each[lag:] @ each[:-lag]) for each in centred if len(each) > lag) / power
            )
    assert np.allclose(fidelity.autocorrelation(side), expected, atol=1e-5)
    assert fidelity.difference(fidelity.autocorrelation, side, side) == 0


def test_correlations_are_those_of_all_steps_together() -> None:
    values = walks(50, 0)
    lengths = np.random.default_rng(1).integers(2, 9, 50)
    joined = np.concatenate([row[:length] for row, length in zip(values, lengths, strict=True)])
    found = fidelity.cross_correlation(steps(values, lengths))
    assert found == pytest.approx([np.corrcoef(joined.T)[0, 1]], abs=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_and_leaves_chance_alone() -> None:
    sides = [steps(walks(80, seed)) for seed in range(4)]
    before = torch.random.get_rng_state()

    def figures() -> list[Tensor]:
        found, tables, _ = fidelity.series_figures(*sides, names=["x", "y"], random=np.random.default_rng(0))
        assert [figure.name for figure in found] == [
            "discriminative score",
            "predictive error",
            "autocorrelation difference",
            "cross-correlation difference",
        ]
        assert len(tables[0].rows) == 2 and tables[0].header[:2] == ["column", "1 later"]
        return [torch.tensor([figure.value, figure.reference, figure.floor]) for figure in found]

    assert all(torch.equal(first, second) for first, second in zip(figures(), figures(), strict=True))
    assert torch.equal(before, torch.random.get_rng_state())


def test_too_few_series_are_said_and_not_judged() -> None:
    few = steps(walks(10, 0))
    figures, tables, notes = fidelity.series_figures(
        few, few, few, few, names=["x", "y"], random=np.random.default_rng(0)
    )
    assert not figures and not tables and "10 series a side are too few" in notes[0]
