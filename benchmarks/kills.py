"""kill -9 at random moments of a run, and inside its saves: every resume must end bit-equal to the unbroken run.

    python benchmarks/kills.py [--random 20] [--saves 20]

Trains `toy:ring` once undisturbed, then again and again with a SIGKILL at a random moment (or at a stage inside a
save, by the fault points of `gannet.checkpoint`), resumes, and compares SHA-256 of the final checkpoint's files.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gannet.run import RunFolder

SAMPLES = 40_000
STAGES = (
    "save:begin",
    "save:networks",
    "save:averages",
    "save:optimisers",
    "save:state",
    "save:filled",
    "save:renamed",
    "save:prune",
    "save:pruned",
    "prune:renamed",
)
"""Fault points inside a save (see `gannet.checkpoint.fault`), in their order."""


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "gannet", "train", "toy:ring", "--samples", str(SAMPLES), "--out", str(out)]


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **extra}


def train(out: Path, **extra: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(out), env=environment(**extra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def digest(out: Path) -> str:
    """SHA-256 over the files of the newest checkpoint."""
    checkpoint = RunFolder.open(out).newest()
    assert checkpoint is not None and checkpoint.seen >= SAMPLES
    joined = hashlib.sha256()
    for file in sorted(checkpoint.path.iterdir()):
        joined.update(file.name.encode() + file.read_bytes())
    return joined.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", type=int, default=20)
    parser.add_argument("--saves", type=int, default=20)
    arguments = parser.parse_args()
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        unbroken = Path(folder) / "unbroken"
        started = time.monotonic()
        train(unbroken).wait()
        length, wanted = time.monotonic() - started, digest(unbroken)
        equal = killed = 0
        for index in range(arguments.random):
            out = Path(folder) / f"random-{index}"
            child = train(out)
            time.sleep(draw.uniform(0.2, 1.0) * length)
            killed += child.poll() is None
            child.kill()
            child.wait()
            train(out).wait()
            equal += digest(out) == wanted
        print(f"killed at random: {killed} of {arguments.random} mid-run, {equal} end bit-equal", flush=True)
        equal = killed = 0
        for index in range(arguments.saves):
            out = Path(folder) / f"save-{index}"
            child = train(out)
            # Let some saves go by undisturbed, then die at the stage within the next one.
            time.sleep(draw.uniform(0.0, 0.8) * length)
            child.kill()
            child.wait()
            killed += train(out, GANNET_FAULT=STAGES[index % len(STAGES)]).wait() == -9
            train(out).wait()
            equal += digest(out) == wanted
        print(f"killed inside a save: {killed} of {arguments.saves}, {equal} end bit-equal")


if __name__ == "__main__":
    main()
