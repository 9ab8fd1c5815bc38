"""What the referee's looks at samples cost, as a share of a default run.

    python benchmarks/looks.py SOURCE ...

Prints, a source a line: processor time of one look and of one step on one thread, and the share of 21 looks in the
default budget. Aim: <= 3 %.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gannet.api import prepare
from gannet.engine import EXAMINATIONS


def seconds(act: Callable[[], object], times: int) -> float:
    """Processor time of one call, the first left out."""
    act()
    started = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - started) / times


def measure(source: str) -> str:
    """The line of one source."""
    with tempfile.TemporaryDirectory() as folder:
        session = prepare(source, out=Path(folder) / "run")
    engine = session._trial()
    assert engine.examine is not None
    examine = engine.examine
    with engine.averaged():
        look = seconds(lambda: examine(0), 2)
    step = seconds(engine.step, 5)
    share = (EXAMINATIONS + 1) * look / (session.total / engine.batch * step)
    return f"{source}: a look {look * 1e3:.0f} ms, a step {step * 1e3:.0f} ms, share of the run {share:.1%}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ["toy:ring", "digits"]:
        print(measure(name), flush=True)
