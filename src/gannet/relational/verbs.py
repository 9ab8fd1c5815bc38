"""What the verbs of the command line do with several tables: train one after another, draw all, judge families.

`refuse({"--where": where})` answers the flags that say nothing to several tables at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gannet.domains.table_cells import disarming
from gannet.errors import GannetError
from gannet.relational import evaluation
from gannet.relational.sampling import TableSet
from gannet.relational.training import Training
from gannet.run import unused_run_path
from gannet.session import Session
from gannet.settings import parse_count, parse_pairs


def refuse(asked: Mapping[str, Any]) -> None:
    """Raise GannetError for a flag that was given."""
    for flag, value in asked.items():
        if value:
            raise GannetError(f"{flag} is asked of one table; give the data or the run of one, such as RUN/TABLE")


def train(training: Training, play: Callable[[Session], None]) -> None:
    """Train table after table; what is finished stays, and the same command goes on after a stop."""
    print("\n".join(training.announcement))
    for session in training.sessions():
        play(session)
    print(f"finished; next: gannet sample {training.path} -n 1000, gannet evaluate {training.path}")


def sample(folder: Path, count: str, *, seed: int, out: str | None, safe_cells: bool = False) -> None:
    """Draw several tables: so many rows of each root table, or of those named (customers=1000,shops=20)."""
    named = parse_pairs(count.split(",")) if "=" in count else None
    wanted = parse_count(count, "-n") if named is None else {k: parse_count(v, f"-n {k}") for k, v in named.items()}
    tables = TableSet(folder)
    drawn = tables.sample(wanted, seed=seed)
    target = unused_run_path(folder, "samples") if out is None else Path(out)
    with disarming(safe_cells):
        tables.write(drawn, target)
    print(f"drew {', '.join(f'{name} {len(rows):,}' for name, rows in drawn.items())}: {target}")


def evaluate(folder: Path, samples: int | None, *, seed: int, out: str | None) -> None:
    """Judge a run of several tables, print the figures and keep them."""
    found = evaluation.evaluate(folder, samples=samples, seed=seed)
    print("\n".join(found.lines()))
    print(f"wrote {evaluation.write(found, folder if out is None else Path(out))}")
