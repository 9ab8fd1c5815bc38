"""Conditions and gaps on adult: what they cost, whether they are met, and whether what comes with them is right.

    python conditions.py FOLDER [--run RUN] [--rows 100000] [--samples 150k]

FOLDER holds adult_train.csv.gz. A fifth of the rows is held out by a fixed seed; a run is trained on the rest (or taken
from --run, trained so before). Printed side by side: rows a second without and with conditions, the share of rows that
meet them; the distance to held-out rows that meet the condition (mean over columns of the Kolmogorov-Smirnov or total
variation distance; 0 is best) of rows asked for, rows chosen among unconditional ones, real training rows that meet it,
and unconditional rows; and rows with a fifth of their cells removed, completed by the model, by each column's mode or
median, and by draws from each column.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas

import gannet
from gannet.model import Model

Frame = pandas.DataFrame

CONDITIONS: dict[str, dict[str, str]] = {
    "none": {},
    "income=>50K": {"income": ">50K"},
    "age=25..40": {"age": "25..40"},
    "hours-per-week=40..50": {"hours-per-week": "40..50"},
    "income=>50K age=25..40": {"income": ">50K", "age": "25..40"},
    "sex=Female hours-per-week=41..": {"sex": "Female", "hours-per-week": "41.."},
}
ROUNDS, BINS, LEVELS = 3, 10, 60


def split(folder: Path) -> tuple[Frame, Frame]:
    """Rows to learn from, and the fifth held out."""
    frame = pandas.read_csv(folder / "adult_train.csv.gz", na_values="?", skipinitialspace=True)
    order = np.random.default_rng(0).permutation(len(frame))
    spare = len(frame) // 5
    return frame.iloc[order[spare:]].reset_index(drop=True), frame.iloc[order[:spare]].reset_index(drop=True)


def meets(frame: Frame, where: dict[str, str]) -> np.ndarray:
    """The conditions, read here once more: what Gannet thinks of them plays no part."""
    good = np.ones(len(frame), dtype=bool)
    for name, text in where.items():
        column = frame[name]
        if ".." not in text:
            good &= (column == text).to_numpy()
            continue
        low, high = text.split("..")
        good &= ((column >= float(low or "-inf")) & (column <= float(high or "inf"))).to_numpy()
    return good


# ---------------------------------------------------------------------------------------------------- distances


def is_number(column: Any) -> bool:
    return column.dtype.kind in "iuf"


def distance(one: Frame, other: Frame) -> float:
    """Mean over columns: Kolmogorov-Smirnov for numbers, total variation for categories."""
    found = []
    for name in one.columns:
        first, second = one[name].dropna(), other[name].dropna()
        if is_number(first):
            grid = np.sort(np.concatenate([first, second]))
            parts = [np.searchsorted(np.sort(each), grid, side="right") / len(each) for each in (first, second)]
            found.append(np.abs(parts[0] - parts[1]).max())
        else:
            shares = [each.value_counts(normalize=True) for each in (first, second)]
            found.append(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
    return float(np.mean(found))


def pairs(one: Frame, other: Frame) -> float:
    """1 - total variation distance of all pairs of columns in common bins, mean."""
    codes = [{}, {}]  # type: list[dict[str, np.ndarray]]
    for name in one.columns:
        if is_number(one[name]):
            edges = np.unique(np.nanquantile(one[name], np.linspace(0, 1, BINS + 1)[1:-1]))
            for side, frame in zip(codes, (one, other), strict=True):
                side[name] = np.where(frame[name].isna(), BINS, np.searchsorted(edges, frame[name], side="right"))
        else:
            levels = {level: code for code, level in enumerate(one[name].value_counts().index[:LEVELS])}
            for side, frame in zip(codes, (one, other), strict=True):
                side[name] = frame[name].map(levels).fillna(LEVELS).to_numpy(int)
    found = []
    for left, right in combinations(one.columns, 2):
        counts = [np.bincount(side[left] * 64 + side[right], minlength=64 * 64) / len(side[left]) for side in codes]
        found.append(1 - np.abs(counts[0] - counts[1]).sum() / 2)
    return float(np.mean(found))


# ------------------------------------------------------------------------------------------------------ the figures


def cost(model: Model, rows: int) -> None:
    """Rows a second, the best of a few interleaved rounds, and how many of them are as asked."""
    model.sample(10)
    best = dict.fromkeys(CONDITIONS, (np.inf, np.inf))
    met = dict.fromkeys(CONDITIONS, 0.0)
    for round_ in range(ROUNDS):
        for name, where in CONDITIONS.items():
            wall, cpu = time.perf_counter(), time.process_time()
            drawn = model.sample(rows, where=where, seed=round_)
            took = time.process_time() - cpu, time.perf_counter() - wall
            best[name] = min(best[name][0], took[0]), min(best[name][1], took[1])
            met[name] = float(meets(drawn, where).mean())
    print(f"\n{'condition':34}{'rows/s':>12}{'rows/CPU-s':>12}{'cost':>7}{'met':>9}")
    for name, (cpu, wall) in best.items():
        times = cpu / best["none"][0]
        print(f"{name:34}{rows / wall:12,.0f}{rows / cpu:12,.0f}{times:6.2f}x{met[name]:9.2%}")


def rightness(model: Model, train: Frame, held: Frame) -> None:
    """Distances to the held-out rows that meet each condition."""
    print(f"\n{'distance to held-out rows of':34}{'rows':>7}{'asked':>9}{'chosen':>9}{'real':>9}{'unasked':>9}")
    plain = model.sample(2 * len(train), seed=1)
    for name, where in CONDITIONS.items():
        target = held[meets(held, where)]
        real = train[meets(train, where)]
        generated = model.sample(len(real), where=where, seed=2)
        rows = (generated, plain[meets(plain, where)], real, plain)
        print(f"{name:34}{len(target):7,}" + "".join(f"{distance(target, each):9.4f}" for each in rows))


def filling(model: Model, train: Frame, held: Frame) -> None:
    """Held-out rows with a fifth of their cells removed."""
    random = np.random.default_rng(3)
    removed = random.random(held.shape) < 0.2
    gaps = held.mask(removed)
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled = model.fill(gaps, seed=0)
    print(f"\nfilling: {len(gaps) / (time.process_time() - started):,.0f} rows a CPU-second")
    usual, drawn = gaps.copy(), gaps.copy()
    for name in held.columns:
        known, hole = train[name].dropna(), gaps[name].isna().to_numpy()
        usual.loc[hole, name] = known.median() if is_number(known) else known.mode()[0]
        drawn.loc[hole, name] = known.sample(int(hole.sum()), replace=True, random_state=4).to_numpy()
    ways = {"model": filled, "mode/median": usual, "marginal": drawn}
    print(f"{'removed cells':20}" + "".join(f"{way:>14}" for way in ways))
    for position, name in enumerate(held.columns):
        cells = removed[:, position] & held[name].notna().to_numpy()
        if is_number(held[name]):
            errors = [float((way[name] - held[name])[cells].abs().mean()) for way in ways.values()]
            print(f"{name:20}" + "".join(f"{error:14,.2f}" for error in errors) + "   mean error")
        else:
            right = [float((way[name] == held[name])[cells].mean()) for way in ways.values()]
            print(f"{name:20}" + "".join(f"{share:14.1%}" for share in right) + "   right")
    there = held.fillna({name: filled[name] for name in held.columns})
    print(
        f"{'pair trends':20}" + "".join(f"{pairs(there, way):14.4f}" for way in ways.values()) + "   to the whole rows"
    )
    known = np.where(gaps.notna(), gaps, "")
    same = bool((np.where(gaps.notna(), filled, "") == known).all())
    print(f"known cells unchanged: {same}; gaps left: {int(filled.isna().sum().sum())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--samples", default="150k")
    arguments = parser.parse_args()
    train, held = split(arguments.folder)
    run = arguments.run or Path(tempfile.mkdtemp()) / "run"
    model = (
        gannet.load(run) if run.exists() else gannet.train(train, out=run, recipe="maligan", samples=arguments.samples)
    )
    cost(model, arguments.rows)
    rightness(model, train, held)
    filling(model, train, held)


if __name__ == "__main__":
    main()
