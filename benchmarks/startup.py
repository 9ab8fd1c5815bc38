"""How long Gannet takes to say hello, and how much memory a large folder of pictures takes.

    python benchmarks/startup.py [--pictures 100000]

Prints the median time of `gannet --help`, of completion, and of `import gannet` (aim: < 0.3 s), beside a bare
interpreter; and the peak memory of opening and reading folders of ten times as many small pictures, which must grow
by no more than an index of their names.
"""

from __future__ import annotations

import argparse
import os
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


def timed(*command: str, **extra: str) -> float:
    """Median seconds of five runs of a command."""
    seconds = []
    for _ in range(5):
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


def peak(folder: Path, cache: Path) -> float:
    """Peak memory in MiB of a process that opens the folder and reads from it."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), str(cache)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=100_000)
    arguments = parser.parse_args()
    python = sys.executable
    print(f"bare interpreter    {timed(python, '-c', 'pass'):.3f} s")
    print(f"import gannet       {timed(python, '-c', 'import gannet'):.3f} s")
    print(f"gannet --help       {timed(python, '-m', 'gannet', '--help'):.3f} s (aim < 0.3)")
    completion = {"_GANNET_COMPLETE": "complete_bash", "COMP_WORDS": "gannet tr", "COMP_CWORD": "1"}
    print(f"completion          {timed(python, '-m', 'gannet', **completion):.3f} s (aim < 0.3)", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        few, many = arguments.pictures // 10, arguments.pictures
        for count in (few, many):
            folder, cache = Path(temporary) / f"pictures-{count}", Path(temporary) / f"cache-{count}"
            cache.mkdir()
            make_pictures(folder, count)
            cold, warm = peak(folder, cache), peak(folder, cache)
            print(
                f"{count:7,} pictures: peak {cold:.0f} MiB when first opened, {warm:.0f} MiB when opened again",
                flush=True,
            )


if __name__ == "__main__":
    main()
