"""What watching costs, as a share of a default run.

    python benchmarks/looks.py SOURCE ...
    python benchmarks/looks.py --side-by-side [--part 0.1] SOURCE ...

Prints, a source a line: processor time of one look and of one step on one thread, and the share of 21 looks in the
default budget. Side by side: the same game with everything that watches (looks, pulses, the referee) and without,
turn by turn over a part of the default run, and the ratio of their processor times. Aim: <= 3 %.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gannet.api import prepare
from gannet.diagnostics import Referee
from gannet.engine import EXAMINATIONS, Engine
from gannet.model import build_networks, recipe_of
from gannet.session import Session

SLICES = 10
"""How often the two games take turns within one look's share of the run."""


def seconds(act: Callable[[], object], times: int) -> float:
    """Processor time of one call, the first left out."""
    act()
    started = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - started) / times


def opened(source: str) -> Session:
    with tempfile.TemporaryDirectory() as folder:
        return prepare(source, out=Path(folder) / "run")


def measure(source: str) -> str:
    """The line of one source: a look and a step by themselves."""
    session = opened(source)
    engine = session._trial()
    assert engine.examine is not None
    examine = engine.examine
    with engine.averaged():
        look = seconds(lambda: examine(0), 2)
    step = seconds(engine.step, 5)
    share = (EXAMINATIONS + 1) * look / (session.total / engine.batch * step)
    return f"{source}: a look {look * 1e3:.0f} ms, a step {step * 1e3:.0f} ms, share of the run {share:.1%}"


def side_by_side(source: str, part: float) -> str:
    """The line of one source: the watched and the unwatched game in turns, over `part` of the default run."""
    session = opened(source)
    games: dict[str, Engine] = {}
    for name in ("watched", "unwatched"):
        recipe = recipe_of(session.settings)
        networks = build_networks(recipe, session.opened.domain.spec, session.settings)
        games[name] = session._engine(networks, recipe, None, total=session.total)
    games["watched"].watcher = Referee()
    games["unwatched"].examine = None
    spent = dict.fromkeys(games, 0.0)
    for number in range(1, round(part * EXAMINATIONS * SLICES) + 2):
        until = number * session.total / (EXAMINATIONS * SLICES)
        # The first turn warms up; the order alternates, so that what slows the machine slows both alike.
        for name in sorted(games, reverse=number % 2 == 0):
            game, started = games[name], time.process_time()
            game.play(stop=lambda game=game, until=until: game.seen >= until)  # type: ignore[misc]
            spent[name] += time.process_time() - started if number > 1 else 0.0
    more = spent["watched"] / spent["unwatched"] - 1
    return (
        f"{source}: {part:.0%} of {session.total:,} samples in {spent['watched']:.1f} s watched, "
        f"{spent['unwatched']:.1f} s unwatched: {more:+.1%} (aim <= 3 %)"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("sources", nargs="*", default=["toy:ring", "digits"])
    parser.add_argument("--side-by-side", action="store_true")
    parser.add_argument("--part", type=float, default=0.1)
    arguments = parser.parse_args()
    for name in arguments.sources:
        print(side_by_side(name, arguments.part) if arguments.side_by_side else measure(name), flush=True)
