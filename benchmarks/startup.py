"""How long Gannet takes to say hello and to make its first step, and how much memory a large folder of pictures takes.

    python benchmarks/startup.py [--part hello|step|memory] [--pictures 100000]

hello: the median time of `gannet --help`, of completion, and of `import gannet` (aim: < 0.3 s), beside a bare
interpreter. step: the median time from the command `gannet train FOLDER` to the line that tells of its first step, on
10,000 pictures of 64 x 64, when they are first seen and when they are in the cache (aims: 5 s, 3 s on two cores),
beside the import of PyTorch, which says how fast the machine is at the moment. memory: the peak of opening and reading
folders of ten times as many small pictures, which must grow by no more than an index of their names.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from gannet.domains.images import Images
opened = Images.open(sys.argv[1], Images.Options(), seed=0, cache=Path(sys.argv[2]))
for start in range(0, 2000, 64):
    opened.train.read(np.arange(start, start + 64) % len(opened.train))
print(len(opened.train), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def timed(*command: str, times: int = 5, **extra: str) -> float:
    """Median seconds of some runs of a command."""
    seconds = []
    for _ in range(times):
        started = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env={**os.environ, **extra})
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def make_pictures(folder: Path, count: int) -> None:
    """`count` different PNG files of 16 x 16 in two classes."""
    random = np.random.default_rng(0)
    for name in ("dark", "light"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        name = "light" if index % 2 else "dark"
        pixels = random.integers(0, 128, (16, 16), dtype=np.uint8) + 127 * (index % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index:06d}.png")


def make_photos(folder: Path, count: int) -> None:
    """`count` different colour PNG files of 64 x 64 in five classes: smooth shapes under some noise, as in photos."""
    random = np.random.default_rng(0)
    for index in range(count):
        shapes = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((64, 64), 3)
        pixels = np.asarray(shapes) + random.normal(0, 3, (64, 64, 3))
        path = folder / f"class-{index % 5}" / f"{index:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def first_step(folder: Path, cache: Path, out: Path) -> float:
    """Seconds from the start of `gannet train` to its first line of progress, which follows the first step at once."""
    started = time.monotonic()
    command = [sys.executable, "-m", "gannet", "train", str(folder), "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "GANNET_CACHE": str(cache)}
    ) as training:
        assert training.stdout is not None
        told = any(re.match(r" *\d+% ", line) for line in training.stdout)
        seconds = time.monotonic() - started
        training.kill()
    assert told, "the training ended before its first step"
    shutil.rmtree(out)
    return seconds


def steps(temporary: Path) -> None:
    """Print the medians of three first steps, cold and cached, turn about."""
    folder, cache = temporary / "photos", temporary / "cache"
    make_photos(folder, 10_000)
    found: dict[str, list[float]] = {"cold": [], "cached": [], "import torch": []}
    for _ in range(3):
        shutil.rmtree(cache, ignore_errors=True)
        for name in ("cold", "cached"):
            found[name].append(first_step(folder, cache, temporary / "run"))
        found["import torch"].append(timed(sys.executable, "-c", "import torch", times=1))
    for name, aim in (("cold", " (aim < 5)"), ("cached", " (aim < 3)"), ("import torch", "")):
        told = ", ".join(f"{seconds:.1f}" for seconds in found[name])
        print(f"first step, 10,000 pictures of 64 x 64, {name}: {statistics.median(found[name]):.1f} s of {told}{aim}")


def peak(folder: Path, cache: Path) -> float:
    """Peak memory in MiB of a process that opens the folder and reads from it."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), str(cache)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[1])


def hello() -> None:
    """Print how long it takes until anything is said."""
    python = sys.executable
    print(f"bare interpreter    {timed(python, '-c', 'pass'):.3f} s")
    print(f"import gannet       {timed(python, '-c', 'import gannet'):.3f} s")
    print(f"gannet --help       {timed(python, '-m', 'gannet', '--help'):.3f} s (aim < 0.3)")
    completion = {"_GANNET_COMPLETE": "complete_bash", "COMP_WORDS": "gannet tr", "COMP_CWORD": "1"}
    print(f"completion          {timed(python, '-m', 'gannet', **completion):.3f} s (aim < 0.3)", flush=True)


def memory(temporary: Path, pictures: int) -> None:
    """Print the peak memory for a tenth of the pictures and for all."""
    for count in (pictures // 10, pictures):
        folder, cache = temporary / f"pictures-{count}", temporary / f"cache-{count}"
        cache.mkdir()
        make_pictures(folder, count)
        cold, warm = peak(folder, cache), peak(folder, cache)
        print(
            f"{count:7,} pictures: peak {cold:.0f} MiB when first opened, {warm:.0f} MiB when opened again",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("hello", "step", "memory"))
    parser.add_argument("--pictures", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.part in (None, "hello"):
            hello()
        if arguments.part in (None, "step"):
            steps(Path(temporary))
        if arguments.part in (None, "memory"):
            memory(Path(temporary), arguments.pictures)


if __name__ == "__main__":
    main()
