"""What differential privacy costs a table, and what it prevents: adult at epsilon 1, 3 and 10 beside no privacy.

`python benchmarks/private.py FOLDER` (FOLDER holds adult_train.csv.gz). Four fifths of the rows are trained on, with
canaries among them: rows put together from values that do not belong together, ten of them once and ten of them ten
times. An attacker who holds the model ranks each canary by its likelihood among 1,000 rows put together the same way;
exposure = log2(1,000 / rank) (Carlini et al. 2019): 1.4 is chance, 10 is found. All figures in one run:

    processor-seconds, column shapes, pair trends (1 is right), area under the ROC curve of boosted trees that learn
    from the synthetic rows and are asked about real ones, exposure and share ranked first (once; ten times).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
from tables import TARGETS, fidelity, halves, plain, read, use

import gannet
from gannet.settings import parse_pairs

NAME = "adult_train"
CANARIES, COPIES, REFERENCES = 10, 10, 1_000
COMMON = 0.01

Frame = pandas.DataFrame


def strange_rows(frame: Frame, count: int, seed: int) -> Frame:
    """Rows whose values are each common in their column and do not belong together."""
    random, columns = np.random.default_rng(seed), {}
    for name in frame:
        shares = frame[name].value_counts(normalize=True)
        common = np.sort(shares.index[shares >= COMMON].to_numpy())
        known = frame[name].dropna().to_numpy()
        columns[name] = random.choice(common if len(common) > 1 else known, count)
    return pandas.DataFrame(columns)


def with_canaries(train: Frame) -> tuple[Frame, Frame, Frame]:
    """The rows with canaries among them, in random order; the canaries (once first); and the reference rows."""
    canaries = strange_rows(train, 2 * CANARIES, 1)
    often = pandas.concat([canaries.iloc[CANARIES:]] * COPIES)
    rows = pandas.concat([train, canaries.iloc[:CANARIES], often], ignore_index=True)
    return rows.sample(frac=1, random_state=0, ignore_index=True), canaries, strange_rows(train, REFERENCES, 2)


def likelihoods(model: Any, rows: Frame) -> np.ndarray:
    """What an attacker who holds the model takes for how likely each row is, in logarithms [n]."""
    writer = model.recipe.writer
    with torch.no_grad():
        values = writer.tokens.read(model.domain.encode(rows))
        return writer.log_likelihood(values, list(range(values.shape[1]))).sum(1).numpy()


def exposures(model: Any, canaries: Frame, references: Frame) -> tuple[np.ndarray, np.ndarray]:
    """log2 of the references over the rank, and whether the canary is ranked first [canaries]."""
    found, usual = likelihoods(model, canaries), likelihoods(model, references)
    ranks = 1 + (usual[None] >= found[:, None]).sum(1)
    return np.log2(len(usual) / np.minimum(ranks, len(usual))), ranks == 1


def measured(train: Frame, held: Frame, private: float | None, settings: dict[str, Any]) -> str:
    """One line of figures."""
    rows, canaries, references = with_canaries(train)
    work = Path(tempfile.mkdtemp())
    try:
        rows.to_csv(work / "train.csv", index=False)
        started = time.process_time()
        model = gannet.train(work / "train.csv", out=work / "run", private=private, **settings)
        seconds = time.process_time() - started
        made = plain(model.sample(len(train), seed=1), held, NAME)
        shapes, pairs = fidelity(held, made)
        area, _ = use(made, held, NAME)
        exposed, first = exposures(model, canaries, references)
    finally:
        shutil.rmtree(work)
    label = "not private" if private is None else f"epsilon {private:g}"
    canary = "  ".join(
        f"{exposed[part].mean():5.2f} {first[part].mean():4.0%}" for part in (slice(CANARIES), slice(CANARIES, None))
    )
    return f"{label:12} {seconds:7.1f} {shapes:7.3f} {pairs:7.3f} {area:7.3f}   {canary}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epsilons", nargs="*", type=float, default=[1.0, 3.0, 10.0])
    parser.add_argument("--private-only", action="store_true", help="leave the run without privacy out")
    parser.add_argument("--set", nargs="*", default=[], help="settings of the private recipe, as steps=400")
    given = parser.parse_args()
    assert NAME in TARGETS
    train, held = halves(read(given.folder, NAME))
    area, _ = use(plain(train, held, NAME), plain(held, held, NAME), NAME)
    print(f"{len(train):,} rows; trees that learn from the real rows: area {area:.3f}")
    print("             seconds  shapes   pairs    area   exposure, first: once, ten times", flush=True)
    if not given.private_only:
        print(measured(train, held, None, {}), flush=True)
    for epsilon in given.epsilons:
        print(measured(train, held, epsilon, parse_pairs(given.set)), flush=True)


if __name__ == "__main__":
    main()
