"""No network, an empty home, a home that cannot be written: training and sampling go on as ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gannet

CUT_OFF = """
import socket, sys

class Refused(socket.socket):
    def connect(self, address):
        raise AssertionError(f"something wants to talk to {address}")

    connect_ex = connect

def lookup(*asked, **_):
    raise AssertionError(f"something asks for the address of {asked}")

socket.socket, socket.getaddrinfo, socket.create_connection = Refused, lookup, lookup
from gannet.cli import main
main(sys.argv[1:])
"""


def play(folder: Path, home: Path, *arguments: str, code: str = CUT_OFF) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    environment = {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(Path(gannet.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "home",
    ["read-only", *(pytest.param(home, marks=pytest.mark.slow) for home in ("empty", "missing", "not a folder"))],
)
def test_a_run_needs_neither_network_nor_home(tmp_path: Path, home: str) -> None:
    place = tmp_path / "home"
    if home == "empty":
        place.mkdir()
    elif home == "not a folder":
        place.write_text("")
    elif home == "read-only":
        place = Path("/proc/1") if Path("/proc/1").is_dir() else place  # nobody may write there, the superuser neither
    trained = play(tmp_path, place, "train", "toy:ring", "--samples", "2k", "--size", "0.5", "--out", "run")
    assert trained.returncode == 0, trained.stderr
    assert "Traceback" not in trained.stderr
    drawn = play(tmp_path, place, "sample", "run", "-n", "8", "--out", "points.csv")
    assert drawn.returncode == 0, drawn.stderr
    assert len((tmp_path / "points.csv").read_text().splitlines()) == 8
