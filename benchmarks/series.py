"""How real generated series are, in a small budget: ETTh1 and google_stock in windows of 24 steps, BasicMotions whole.

One default for all sets. Beside every figure stand real training series in the generated ones' place (the ceiling),
series whose values were shuffled (the floor), and, for stocks, what TimeGAN's paper (Yoon et al. 2019, table 2) says.
The paper's protocol is another: there windows that share steps lie on both sides of the judge, and the forecaster is
asked about the series that the model was trained on. Here held-out time, or another file, alone is asked about.

    python benchmarks/series.py FOLDER --seconds 300        # FOLDER holds ETTh1.csv.gz, google_stock.csv.gz, ...
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gannet
from gannet.api import open_source
from gannet.metrics.series_fidelity import (
    Steps,
    autocorrelation,
    cross_correlation,
    difference,
    discriminative_score,
    predictive_score,
)

SETS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "ETTh1": ("series:{}/ETTh1.csv.gz", None, {"length": 24, "held_out": 0.2}),
    "google_stock": ("series:{}/google_stock.csv.gz", None, {"length": 24, "held_out": 0.2}),
    "BasicMotions": ("{}/BasicMotions_TRAIN.ts.gz", "{}/BasicMotions_TEST.ts.gz", {}),
}
"""The file to train on, the file to ask about where it is not held-out time of the same one, and how it is read."""
PUBLISHED = {
    ("google_stock", "discriminative score"): "0.102 (0.021)",
    ("google_stock", "predictive score"): "0.038 (0.001)",
}
TRIAL = 20_000
MOST = 2_000


def trained(source: str, seconds: float, seed: int, folder: Path, options: dict[str, Any]) -> tuple[Any, float, int]:
    """A model trained for about so many seconds of one processor, and what it took."""
    started = time.process_time()
    trial = gannet.train(source, samples=TRIAL, seed=seed, out=folder / "trial", remedies=False, **options)
    rate = trial.seen / (time.process_time() - started)
    started = time.process_time()
    model = gannet.train(source, samples=max(TRIAL, int(rate * seconds)), seed=seed, out=folder / "run", **options)
    return model, time.process_time() - started, model.settings["total"]


def in_range(steps: Steps, like: Steps) -> Steps:
    """Numbers from 0 to 1 over the range of `like`, as TimeGAN scales them."""
    numbers = like.values[:, :, : like.numbers][like.present]
    low, high = numbers.amin(0), numbers.amax(0)
    scaled = (steps.values[:, :, : like.numbers] - low) / (high - low).clamp(min=1e-9) * steps.present[:, :, None]
    return Steps(scaled.float(), steps.present, like.numbers)


def sides(model: Any, folder: Path, name: str) -> dict[str, Steps]:
    """Held-out, generated, training and shuffled series: all of one count, at most 2,000."""
    source, against, options = SETS[name]
    opened = open_source(source.format(folder), options, 0)
    domain, random = opened.domain, np.random.default_rng(0)
    if against is None:
        held = opened.holdout.read(np.arange(len(opened.holdout)))[0]
    else:
        other = open_source(against.format(folder), options, 0)
        held = domain.encode(other.domain.decode(*other.train.read(np.arange(len(other.train)))))
    held = held[np.sort(random.permutation(len(held))[:MOST])]
    train = opened.train.read(random.permutation(len(opened.train))[: len(held)])[0]
    made, _ = model.draw(len(held), seed=1)
    floor, _ = domain.spoiled(train, None, random)
    named = {"held-out": held, "generated": made, "real": train, "shuffled": floor}
    return {side: Steps(*domain.steps(samples)) for side, samples in named.items()}


def figures(found: dict[str, Steps], judges: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and deviation over the judges' seeds of each figure, for generated, real and shuffled series."""
    held = found["held-out"]
    ranged = {side: in_range(steps, found["real"]) for side, steps in found.items()}
    last = [held.numbers - 1]
    measures: dict[str, Callable[[str, int], float]] = {
        "discriminative score": lambda side, seed: discriminative_score(held, found[side], seed=seed),
        "predictive score": lambda side, seed: predictive_score(
            ranged[side], ranged["held-out"], seed=seed, only=last if held.numbers > 1 else None
        ),
        "autocorrelation difference": lambda side, _: difference(autocorrelation, held, found[side]),
        "cross-correlation difference": lambda side, _: difference(cross_correlation, held, found[side]),
    }
    out: dict[str, dict[str, tuple[float, float]]] = {}
    for name, measure in measures.items():
        seeds = range(judges if "score" in name else 1)
        for side in ("generated", "real", "shuffled"):
            values = [measure(side, seed) for seed in seeds]
            out.setdefault(name, {})[side] = float(np.mean(values)), float(np.std(values))
    return out


def show(name: str, found: dict[str, dict[str, tuple[float, float]]], told: str) -> None:
    """One block of the table."""
    print(f"\n{name}: {told}")
    print(f"  {'':30s}{'generated':>16s}{'real instead':>16s}{'shuffled':>16s}   TimeGAN's paper")
    for figure, values in found.items():
        cells = "".join(
            f"{mean:9.3f} ({spread:.3f})" if spread else f"{mean:9.3f}        " for mean, spread in values.values()
        )
        print(f"  {figure:30s}{cells}   {PUBLISHED.get((name, figure), '-')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seconds", type=float, default=300, help="processor seconds of training a set")
    parser.add_argument("--judges", type=int, default=3, help="seeds of the recurrent networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--previews", type=Path, help="a folder for a picture of each set")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.sets:
        source, _, options = SETS[name]
        with tempfile.TemporaryDirectory() as folder:
            model, seconds, seen = trained(
                source.format(given.folder), given.seconds, given.seed, Path(folder), options
            )
            found = sides(model, given.folder, name)
            told = f"{seconds:.0f} processor seconds, {seen:,} samples, {len(found['held-out']):,} held-out series"
            show(name, figures(found, given.judges), told)
            if given.previews is not None:
                given.previews.mkdir(parents=True, exist_ok=True)
                last = sorted((Path(folder) / "run" / "previews").iterdir())[-1]
                (given.previews / f"{name}.png").write_bytes(last.read_bytes())


if __name__ == "__main__":
    main()
