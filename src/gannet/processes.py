"""Several processes of one training, started, watched and ended together: what `--processes` and `--node` do.

Each runs the same command with the variables that torchrun would set, so torchrun, SLURM or anything else that sets
them can take this file's place. When one dies the others are ended in bounded time; a signal is passed on to all.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from gannet.environment import whole
from gannet.errors import GannetError
from gannet.interruption import POLITE

GRACE = 25.0
"""Seconds in which a process must have saved and ended after a signal; then it is killed."""
FAREWELL = 5.0
"""Seconds in which the others notice by themselves that one has died."""
PARENT_DEATH = 1
"""prctl(PR_SET_PDEATHSIG, ...)."""


@dataclass(frozen=True)
class Layout:
    """How many processes play, and where."""

    here: int
    """Processes on this machine."""
    nodes: int = 1
    node: int = 0
    """Which of the machines this is, from 0."""
    meet: str | None = None
    """HOST:PORT of the first machine, where several meet."""

    @classmethod
    def of(cls, here: int, node: str | None) -> Layout:
        """`here` processes on this machine, which is `node` I/N@HOST:PORT. Raises GannetError for what cannot be."""
        if here < 1:
            raise GannetError(f"--processes {here}: must be at least 1")
        if node is None:
            return cls(here)
        parts = re.fullmatch(r"(\d+)/(\d+)@(.+:\d+)", node)
        if parts is None:
            raise GannetError(f"--node {node}: expected I/N@HOST:PORT, as 0/2@node0:29500 on the first of two machines")
        index, nodes = int(parts[1]), int(parts[2])
        if index >= nodes:
            raise GannetError(f"--node {node}: {nodes} machines are counted from 0 to {nodes - 1}")
        return cls(here, nodes, index, parts[3])

    def variables(self, local: int, port: int) -> dict[str, str]:
        """The environment of process `local` of this machine, as torchrun sets it."""
        host, _, there = (self.meet or f"127.0.0.1:{port}").rpartition(":")
        return {
            "RANK": str(self.node * self.here + local),
            "LOCAL_RANK": str(local),
            "WORLD_SIZE": str(self.nodes * self.here),
            "MASTER_ADDR": host,
            "MASTER_PORT": there,
        }


def started_by_launcher() -> bool:
    """Whether this process is already one of several."""
    return whole("WORLD_SIZE", 1, default=1) > 1


def run_together(arguments: Sequence[str], layout: Layout) -> int:
    """Run `gannet ARGUMENTS` in every process of this machine; the exit code of one that failed, or 0."""
    port = _free_port()
    threads = os.environ.get("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // layout.here, 1)))
    children = []
    for local in range(layout.here):
        variables = {**os.environ, "OMP_NUM_THREADS": threads, **layout.variables(local, port)}
        line = [sys.executable, "-m", "gannet", *arguments]
        # A session of its own keeps the terminal's Ctrl-C for us to pass on, once.
        children.append(subprocess.Popen(line, env=variables, start_new_session=True, preexec_fn=_end_with_parent))
    with _Forwarding(children):
        return _watch(children)


def _watch(children: list[subprocess.Popen[bytes]]) -> int:
    """Wait for all; after the first failure the others have `FAREWELL` seconds, then a signal, then `GRACE` more."""
    failed: dict[int, int] = {}
    since, asked = 0.0, False
    while any(child.poll() is None for child in children):
        if not asked:
            failed = {index: child.returncode for index, child in enumerate(children) if child.returncode}
        since = since or (time.monotonic() if failed else 0.0)
        if failed and not asked and time.monotonic() - since > FAREWELL:
            asked = True
            _send(children, signal.SIGTERM)
        if failed and time.monotonic() - since > FAREWELL + GRACE:
            _send(children, signal.SIGKILL)
        time.sleep(0.05)
    if not asked:
        failed = {index: child.returncode for index, child in enumerate(children) if child.returncode}
    for index, code in failed.items():
        if code < 0:
            print(f"error: process {index} of {len(children)} was killed by signal {-code}", file=sys.stderr)
            return 128 - code
    return next(iter(failed.values()), 0)


class _Forwarding:
    """Within: a signal that asks this process to end is passed on to its children, who save and end."""

    def __init__(self, children: list[subprocess.Popen[bytes]]) -> None:
        self.children = children

    def __enter__(self) -> None:
        self.before = {number: signal.signal(number, self._pass_on) for number in POLITE}

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        _send(self.children, signal.Signals(number))


def _send(children: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _end_with_parent() -> None:
    """In the child: be asked to end when the parent dies, however it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
