"""What a machine makes of a game: operations counted as they are made, shares that add up, nothing kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gannet import api
from gannet.bench import Operations, _kind


def test_operations_of_convolutions_with_groups_strides_and_their_backward_passes_are_counted() -> None:
    layer = nn.Conv2d(8, 4, 3, stride=2, padding=1, groups=2)
    x = torch.randn(5, 8, 6, 6, requires_grad=True)
    forward = 2 * 5 * 4 * 9 * (4 * 9)  # two for each of [5, 4, 3, 3] numbers' 4 x 3 x 3 products
    with Operations() as once:
        y = layer(x)
    assert once.count == forward
    with Operations() as back:
        y.sum().backward()
    assert back.count == 2 * forward
    with Operations() as transposed:
        nn.ConvTranspose2d(8, 4, 3, bias=False)(x)
    assert transposed.count == 2 * x.numel() * 4 * 9


def test_operations_of_products_are_counted_and_others_are_not() -> None:
    with Operations() as counter:
        (torch.randn(3, 4) @ torch.randn(4, 5)).relu().sum()
    assert counter.count == 2 * 3 * 4 * 5


@pytest.mark.parametrize(
    ("name", "away", "kind"),
    [
        ("aten::mkldnn_convolution", False, "convolutions"),
        ("sm90_xmma_dgrad_implicit_gemm_bf16", True, "convolutions"),
        ("aten::addmm", False, "matrix products"),
        ("aten::leaky_relu_backward", False, "element by element"),
        ("biased_rectified", True, "element by element"),
        ("aten::_fused_adam_", False, "optimisers"),
        ("torch::autograd::accumulategrad", False, "the way through Python"),
    ],
)
def test_operations_are_told_apart_by_kind(name: str, away: bool, kind: str) -> None:
    assert _kind(name, away=away) == kind


def test_a_bench_tells_shares_of_a_whole_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = api.bench("digits", seconds=0.2, size=0.25)
    assert told.rate > 0 and 0 <= told.waiting <= 1 and 0 < told.reached < 1
    assert sum(told.kinds.values()) == pytest.approx(1)
    assert told.kinds["convolutions"] > 0.02
    assert told.memory > 2**20
    assert [line.split()[0] for line in told.told()] == ["device", "speed", "waiting", "memory", "arithmetic", "a"]
    assert not list(tmp_path.iterdir())
