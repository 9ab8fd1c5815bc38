"""Every example runs as it stands and prints what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gannet

LONG = ("estimator", "table")
EXAMPLES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LONG else [])
    for path in sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs(example: Path, tmp_path: Path) -> None:
    if example.stem in LONG:
        pytest.importorskip("pandas")
    source = str(Path(gannet.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "GANNET_CACHE": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
