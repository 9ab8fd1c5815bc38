"""The secret source of noise: what it draws, that it can be drawn again with the key alone, and how the key is kept."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from gannet.errors import GannetError
from gannet.order import PoissonOrder
from gannet.privacy import Secret
from gannet.privacy.secret import FILE


def test_normal_numbers_have_the_moments_and_tails_of_the_normal_distribution() -> None:
    drawn = Secret.known(0).normal("test", 0, 200_001)
    assert len(drawn) == 200_001
    error = 1 / np.sqrt(len(drawn))
    assert abs(drawn.mean()) < 4 * error
    assert abs(drawn.std() - 1) < 4 * error
    assert abs((drawn**4).mean() - 3) < 4 * np.sqrt(96) * error
    for level, beyond in ((1.0, 0.15866), (2.0, 0.02275), (3.0, 0.00135)):
        assert abs((drawn > level).mean() - beyond) < 4 * np.sqrt(beyond) * error


def test_a_draw_follows_from_key_purpose_and_number_alone() -> None:
    secret = Secret.fresh()
    again = Secret(secret.key).normal("step", 3, 50)
    np.testing.assert_array_equal(secret.normal("step", 3, 50), again)
    for other in (secret.normal("step", 4, 50), secret.normal("rows", 3, 50), Secret.fresh().normal("step", 3, 50)):
        assert abs(np.corrcoef(again, other)[0, 1]) < 0.6
        assert not (again == other).any()


def test_the_key_is_kept_for_its_owner_alone_and_forgotten(tmp_path: Path) -> None:
    secret = Secret.fresh()
    assert secret.key.hex() not in repr(secret)
    secret.keep(tmp_path, "data")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert Secret.found(tmp_path) == (secret, "data")
    Secret.forget(tmp_path)
    assert not (tmp_path / FILE).exists()
    with pytest.raises(GannetError, match="key of the noise is gone"):
        Secret.found(tmp_path)


def test_a_keyed_fingerprint_says_nothing_without_the_key() -> None:
    one, two = Secret.fresh(), Secret.fresh()
    assert one.digest(b"rows") == Secret(one.key).digest(b"rows") != two.digest(b"rows")


def test_each_row_is_in_a_step_by_itself_with_the_same_chance() -> None:
    secret, rows, steps = Secret.known(1), 300, 2_000
    order = PoissonOrder(0.02, 6, lambda step: secret.uniform("rows", step, rows))
    held = np.zeros((steps, rows))
    for step in range(steps):
        held[step, order.indices(6 * step, 6)] = 1
    sizes = held.sum(1)
    # Binomial sizes: a shuffled pass would have none but 6.
    assert abs(sizes.mean() - 6) < 4 * np.sqrt(5.88 / steps)
    assert abs(sizes.var() - 5.88) < 4 * 5.88 * np.sqrt(2 / steps)
    assert (sizes == 0).any()
    assert np.abs(held.mean(0) - 0.02).max() < 5 * np.sqrt(0.0196 / steps)
    np.testing.assert_array_equal(order.indices(60, 6), np.flatnonzero(held[10]))
