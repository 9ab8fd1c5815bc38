"""Large tables: seconds and peak memory to open (read, find types, encode) and to decode again.

`python benchmarks/table_scale.py` makes 1,000,000 rows of 20 mixed columns; `--rows 10000000 --sources parquet` a file
that is streamed. Each figure comes from a fresh process; the files lie in a temporary folder and are deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS_AT_A_TIME = 250_000
TARGET_SECONDS, TARGET_GIB = 20.0, 2.0


def batch(first: int, count: int) -> dict[str, Any]:
    """Rows `first` to `first + count` of the table: 20 columns of every kind that is found in practice."""
    random = np.random.default_rng([7, first])
    age = random.integers(18, 95, count)
    income = np.where(random.random(count) < 0.1, np.nan, random.lognormal(10, 0.6, count).round(2))
    towns = 50_000 * random.random(count) ** 2
    start = np.datetime64("2015-01-01")
    words = np.array(["red", "green", "blue", "black", "white"])
    columns: dict[str, Any] = {
        "id": np.arange(first, first + count),
        "age": age,
        "income": income,
        "hours": random.integers(1, 100, count),
        "gain": np.where(random.random(count) < 0.9, 0, random.integers(100, 100_000, count)),
        "weight": random.normal(70, 12, count),
        "ratio": random.random(count),
        "price": random.gamma(2, 500, count).round(2),
        "score": random.normal(size=count).astype("float32"),
        "children": random.poisson(1.5, count),
        "member": random.random(count) < 0.3,
        "joined": start + random.integers(0, 3_000, count).astype("timedelta64[D]"),
        "seen": start.astype("datetime64[s]") + random.integers(0, 2 * 10**8, count).astype("timedelta64[s]"),
        "colour": words[random.integers(5, size=count)],
        "grade": np.where(age > 60, "high", np.where(age > 30, "mid", "low")),
        "town": np.char.add("t", towns.astype(int).astype(str)),
        "trade": np.char.add("trade ", random.integers(0, 300, count).astype(str)),
        "zip": np.char.zfill(random.integers(0, 9_999, count).astype(str), 5),
        "smoker": np.array(["no", "yes"])[random.integers(2, size=count)],
        "country": np.array(["AT", "CH", "DE", "FR", "IT", "LI"])[(6 * random.random(count) ** 3).astype(int)],
    }
    return columns


def write(folder: Path, rows: int, sources: list[str]) -> dict[str, Path]:
    """The table as files, a batch at a time."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    paths = {"parquet": folder / "t.parquet", "csv": folder / "t.csv"}
    schema = pyarrow.table(batch(0, 10)).schema
    with pyarrow.parquet.ParquetWriter(paths["parquet"], schema) as parquet:
        csv = pyarrow.csv.CSVWriter(paths["csv"], schema) if "csv" in sources else None
        for first in range(0, rows, ROWS_AT_A_TIME):
            table = pyarrow.table(batch(first, min(ROWS_AT_A_TIME, rows - first)), schema)
            parquet.write_table(table)
            if csv is not None:
                csv.write_table(table)
        if csv is not None:
            csv.close()
    return paths


def peak() -> float:
    """The most memory this process has held [GiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(source: str, path: Path, cache: Path) -> dict[str, Any]:
    """Seconds and memory of opening one source, of reading batches of it, and of decoding."""
    import pandas
    import torch

    from gannet.domains.tables import Tables

    given: Any = path
    if source == "pandas":
        given = pandas.read_parquet(path)
    before, start, cpu = peak(), time.perf_counter(), time.process_time()
    opened = Tables.open(given, Tables.Options(), seed=0, cache=cache)
    seconds = time.perf_counter() - start
    after, cpu = peak(), time.process_time() - cpu
    start = time.perf_counter()
    order = np.random.default_rng(0)
    for _ in range(50):
        samples, _ = opened.train.read(order.integers(len(opened.train), size=1_000))
    reading = 50_000 / (time.perf_counter() - start)
    several = torch.cat([samples] * 50)
    start = time.perf_counter()
    opened.domain.decode(several)
    decoding = len(several) / (time.perf_counter() - start)
    return {
        "source": source,
        "before": before,
        "seconds": seconds,
        "cpu": cpu,
        "peak": after,
        "reading": reading,
        "decoding": decoding,
        "features": opened.domain.spec.features,
        "found": opened.found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sources", default="pandas,parquet,csv")
    parser.add_argument("--found", action="store_true", help="print what was found too")
    parser.add_argument("--one", nargs=3, metavar=("SOURCE", "PATH", "CACHE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        source, path, cache = arguments.one
        print(json.dumps(measure(source, Path(path), Path(cache))))
        return
    sources = arguments.sources.split(",")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        paths = write(Path(folder), arguments.rows, sources)
        sizes = ", ".join(
            f"{name} {path.stat().st_size / 1e6:,.0f} MB" for name, path in paths.items() if path.exists()
        )
        print(f"{arguments.rows:,} rows x 20 columns made in {time.perf_counter() - start:.0f} s ({sizes})")
        print("source    open s  (target)  CPU s  peak GiB  (target)  before   read rows/s  decode rows/s")
        for source in sources:
            path = paths["csv" if source == "csv" else "parquet"]
            command = [sys.executable, __file__, "--one", source, str(path), str(Path(folder) / "cache")]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
            if done.returncode:
                print(f"{source:8s}  failed: {done.stderr.strip().splitlines()[-1]}")
                continue
            figures = json.loads(done.stdout.splitlines()[-1])
            row = "{source:8s}  {seconds:6.1f}  ({:g})  {cpu:5.1f}  {peak:8.2f}  ({:g})       {before:6.2f}"
            row += "  {reading:11,.0f}  {decoding:13,.0f}"
            print(row.format(TARGET_SECONDS, TARGET_GIB, **figures), flush=True)
            if arguments.found:
                print("\n".join(f"    {line}" for line in figures["found"]))


if __name__ == "__main__":
    main()
