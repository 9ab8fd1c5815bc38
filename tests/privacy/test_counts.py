"""Noisy counts: how large the noise is, and that the threshold hides what one row alone holds."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
import pytest

from gannet.privacy import NoisyCounts, Secret
from gannet.privacy.counts import upper_quantile


def test_the_noise_is_that_of_all_histograms_together() -> None:
    counts = NoisyCounts(Secret.known(0), noise_multiplier=3.0, slip=1e-8)
    histograms = [np.full(20_000, 1_000)] * 4
    noisy = np.concatenate(counts.told("test", histograms)) - 1_000
    assert counts.deviation(4) == 6.0
    assert abs(noisy.std() - 6.0) < 0.1
    assert abs(noisy.mean()) < 0.1
    assert (noisy == np.rint(noisy)).all()


@pytest.mark.parametrize("slip", [1e-3, 1e-6, 1e-9])
def test_levels_of_one_row_pass_the_threshold_with_no_more_than_the_chance_of_a_slip(slip: float) -> None:
    counts, histograms = NoisyCounts(Secret.known(0), 2.0, slip), 9
    excess = (counts.threshold(histograms) - 0.5 - 1) / counts.deviation(histograms)
    each = erfc(excess / sqrt(2)) / 2
    assert 0.99 * slip < histograms * each <= slip * (1 + 1e-9)


def test_a_frequent_slip_is_seen_as_often_as_it_is_promised() -> None:
    counts = NoisyCounts(Secret.known(3), 1.0, slip=0.01)
    single = np.ones(100_000)
    passed = (counts.told("test", [single])[0] > counts.threshold(1)).mean()
    # Counts are whole, so the threshold lies between two of them and the chance a little below.
    assert 0.001 < passed <= 0.0115


def test_upper_quantiles_are_those_of_the_normal_distribution() -> None:
    assert upper_quantile(0.025) == pytest.approx(1.959964, abs=1e-5)
    assert upper_quantile(1e-8) == pytest.approx(5.612001, abs=1e-5)
