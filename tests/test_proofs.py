"""The slow proofs: readable digits, every mode of the ring, and kill -9 at any moment without losing a bit."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gannet
from gannet.domains.points import RING_DEVIATION, ring_centres
from gannet.run import RunFolder

pytestmark = pytest.mark.slow

SAMPLES = 25_600


def test_generated_digits_are_read_as_the_digits_asked_for(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    svm = pytest.importorskip("sklearn.svm")
    images, labels = datasets.load_digits(return_X_y=True)
    reader = svm.SVC().fit(images[:1200], labels[:1200])
    assert reader.score(images[1200:], labels[1200:]) > 0.95
    run = gannet.train("digits", samples="40k", out=tmp_path / "run")
    read = []
    variety = []
    for digit in range(10):
        made = run.sample(100, where={"label": str(digit)}).reshape(100, 64) / 255 * 16
        read.append((reader.predict(made) == digit).mean())
        variety.append(made.var(0).sum() / images[labels == digit].var(0).sum())
    assert np.mean(read) >= 0.95
    assert np.mean(variety) > 0.5, "samples of a class must differ from each other about as real ones do"


def test_the_ring_keeps_all_its_modes(tmp_path: Path) -> None:
    run = gannet.train("toy:ring", samples="500k", out=tmp_path / "run")
    distances = np.linalg.norm(run.sample(4_000)[:, None] - ring_centres()[None], axis=2)
    near = distances.min(1) < 10 * RING_DEVIATION
    counts = np.bincount(distances.argmin(1)[near], minlength=8)
    assert near.mean() > 0.8 and counts.min() > 0.25 * 4_000 / 8


def train(out: Path, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gannet", "train", "toy:ring", "--samples", str(SAMPLES), "--out", str(out)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, **quiet)


def digest(out: Path) -> str:
    newest = RunFolder.open(out).newest()
    assert newest is not None and newest.seen >= SAMPLES
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(newest.path.iterdir()))).hexdigest()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """The final checkpoint of a run nobody disturbed, and how long it took."""
    out, started = tmp_path_factory.mktemp("unbroken") / "run", time.monotonic()
    assert train(out).wait() == 0
    return digest(out), time.monotonic() - started


@pytest.mark.fault(1)
@pytest.mark.parametrize("trial", range(4))
def test_a_run_killed_at_any_moment_ends_bit_equal(trial: int, unbroken: tuple[str, float], tmp_path: Path) -> None:
    out = tmp_path / "run"
    child = train(out)
    time.sleep(random.Random(trial).uniform(0.3, 0.95) * unbroken[1])
    child.kill()
    child.wait()
    assert train(out).wait() == 0
    assert digest(out) == unbroken[0]


@pytest.mark.fault(2)
@pytest.mark.parametrize("stage", ["save:averages", "save:filled", "save:renamed", "save:pruned"])
def test_a_run_killed_inside_a_save_ends_bit_equal(stage: str, unbroken: tuple[str, float], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train(out, GANNET_FAULT=stage).wait() == -signal.SIGKILL
    assert train(out).wait() == 0
    assert digest(out) == unbroken[0]
