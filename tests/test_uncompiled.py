"""Training from the command line imports no compiler, and takes the same course as with it."""

from __future__ import annotations

import subprocess
import sys

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
