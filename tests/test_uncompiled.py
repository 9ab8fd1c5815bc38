"""Training from the command line imports no compiler and takes the same course; its threads wait politely."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gannet.cli import SPINS, main

GAME = """
import sys
import torch
from torch import nn
if sys.argv[1] == "spared":
    from gannet.uncompiled import spare_compiler
    spare_compiler()
from torch.optim import Adam, RMSprop
from torch.utils.flop_counter import FlopCounterMode
torch.manual_seed(0)
net = nn.Linear(4, 3)
with FlopCounterMode(display=False) as counter, torch.no_grad():
    net(torch.ones(2, 4))
told = [counter.get_total_flops()]
for kind, more in ((Adam, {"fused": True}), (Adam, {}), (RMSprop, {})):
    optimiser = kind([net.weight], lr=0.01, **more)
    for _ in range(3):
        optimiser.zero_grad()
        net(torch.ones(2, 4)).square().sum().backward()
        optimiser.step()
    optimiser.load_state_dict(optimiser.state_dict())
    optimiser.step()
    told += net.weight.flatten().tolist() + [net.weight.requires_grad, torch.is_grad_enabled()]
print("torch._dynamo" in sys.modules, told)
"""


def played(how: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", GAME, how], capture_output=True, text=True, check=True)
    imported, _, told = done.stdout.partition(" ")
    return imported, told


def test_optimisers_and_counters_give_the_same_numbers_and_import_no_compiler() -> None:
    with_it, without = played("plain"), played("spared")
    assert without[0] == "False" and with_it[1] == without[1]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {"GOMP_SPINCOUNT": SPINS}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_threads_let_the_processor_go_unless_the_user_says_how_they_wait(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], kept: dict[str, str]
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that whatever is set below is undone
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert {name: os.environ[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ} == kept
