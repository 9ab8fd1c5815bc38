"""Kill a saving process at every stage of a save, then at random moments; print one JSON line a trial.

Run as `python kill_inside_save.py FOLDER STAGE...`: a stage, `random:N` for N kills at random moments, or
`read:SECONDS` to read while another process saves.
One interpreter forks the victims, so that a trial costs milliseconds. Used by tests/test_run.py.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gannet.checkpoint import TEMPORARY
from gannet.run import RunFolder


def content(seen: int) -> dict[str, dict[str, Tensor]]:
    """What a checkpoint of this moment holds: every value tells the moment."""
    return {group: {"weight": torch.full((200_000,), float(seen))} for group in ("ema", "networks", "optimisers")}


def save(run: RunFolder, seen: int) -> None:
    if seen not in [record["seen"] for record in run.read_log()[-1:]]:
        run.log({"seen": seen, "loss": 1 / seen})
    run.save(seen, content(seen), {"seen": seen}, best=seen % 300 == 0)


def killed(victim: Callable[[int], None], after: float | None) -> tuple[int, list[int]]:
    """Run `victim` in a child until it dies (killed from here after `after` seconds); its signal and its reports."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        victim(writing)
        os._exit(0)
    os.close(writing)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as reports:
        return os.WTERMSIG(status), [int(line) for line in reports]


def trial(path: Path, stage: str | None) -> dict[str, Any]:
    """One kill, and what is found afterwards."""
    run = RunFolder.open(path)
    last = run.checkpoints()[-1].seen

    def victim(reports: int) -> None:
        with run.hold():
            if stage is not None:
                os.environ["GANNET_FAULT"] = stage
                save(run, last if stage == "save:aside" else last - last % 300 + 300)
                return
            for seen in range(last + 100, last + 100_000, 100):
                save(run, seen)
                os.write(reports, b"%d\n" % seen)

    # A range that ends inside the first saves and inside later ones, whatever the speed of the disk.
    signalled, reports = killed(victim, None if stage else random.uniform(0.0, 0.12))
    run = RunFolder.open(path)
    newest, best = run.newest(), run.best()
    assert newest is not None and best is not None
    tensors, state = newest.read()
    same = state == {"seen": newest.seen} and all(
        torch.equal(tensors[group][name], tensor)
        for group, named in content(newest.seen).items()
        for name, tensor in named.items()
    )
    same = same and best.read()[1] == {"seen": best.seen}
    left = [entry.name for entry in path.rglob(f"{TEMPORARY}*")]
    run.rewind_log(newest.seen)
    with run.hold():
        save(run, newest.seen + 100)
    return {
        "stage": stage,
        "signal": signalled,
        "left behind": left,
        "lost": newest.seen < max(reports, default=last),
        "right": same,
        "stray": [str(entry) for entry in path.rglob(f"{TEMPORARY}*")],
        "kept": len(run.checkpoints()),
        "log": sorted({record["seen"] for record in run.read_log()}) == [record["seen"] for record in run.read_log()],
        "held": (path / "lock.json").exists(),
    }


def read_along(path: Path, seconds: float) -> dict[str, Any]:
    """Read the newest and the best again and again while another process saves as fast as it can."""
    run, reads = RunFolder.open(path), 0
    last = run.checkpoints()[-1].seen
    trainer = os.fork()
    if trainer == 0:
        for seen in range(last + 100, last + 10_000_000, 100):
            save(run, seen)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        newest, best = run.newest(), run.best()
        assert newest is not None and best is not None and best.seen % 300 == 0
        reads += 1
    os.kill(trainer, signal.SIGKILL)
    os.waitpid(trainer, 0)
    return {"stage": "read", "reads": reads, "saves": (run.checkpoints()[-1].seen - last) // 100}


def main(folder: str, *stages: str) -> None:
    path = Path(folder)
    run = RunFolder.create(path, {}, "kill_inside_save")
    for seen in (100, 200, 300, 400):
        save(run, seen)
    for stage in stages:
        if stage.startswith("random:"):
            random.seed(0)
            for _ in range(int(stage.removeprefix("random:"))):
                print(json.dumps(trial(path, None)))
        elif stage.startswith("read:"):
            print(json.dumps(read_along(path, float(stage.removeprefix("read:")))))
        else:
            print(json.dumps(trial(path, stage)))


if __name__ == "__main__":
    main(*sys.argv[1:])
