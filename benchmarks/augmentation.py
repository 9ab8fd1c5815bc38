"""Does it help to add generated rows of the rare class? Boosted trees on real rows, with and without more.

    python augmentation.py FOLDER [--sets telco_churn bank_marketing] [--rows 500 2000 0]

FOLDER holds NAME.csv.gz. For each number of real training rows (0: all of them) trees learn from the real rows alone,
with the rare class repeated, with interpolated rare rows (SMOTE-like) and with generated ones, each until classes are
even; F1 of the rare class and AUC on held-out real rows, the mean of three seeds of the trees. Generators see the same
rows.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score, roc_auc_score
from tables import TARGETS, by_neighbours, codes, halves, read

import gannet

Frame = pandas.DataFrame


def generated(train: Frame, target: str, rare: str, count: int) -> Frame:
    work = Path(tempfile.mkdtemp())
    try:
        train.to_csv(work / "train.csv", index=False)
        run = gannet.train(work / "train.csv", out=work / "run")
        run.write(run.sample(count, seed=1, where={target: rare}), work / "made.csv")
        return pandas.read_csv(work / "made.csv")
    finally:
        shutil.rmtree(work)


def interpolated(rows: Frame, count: int) -> Frame:
    times = -(-count // len(rows))
    made = [by_neighbours(rows.sample(frac=1, random_state=seed), Path()) for seed in range(times)]
    return pandas.concat(made).head(count)


def figures(train: Frame, held: Frame, target: str, rare: str) -> tuple[float, float]:
    (a, b), kinds = codes([train, held])
    at = list(train).index(target)
    others = np.arange(a.shape[1]) != at
    one, two = ((frame[target].astype(str) == rare).to_numpy() for frame in (train, held))
    rows = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(a))
        trees = HistGradientBoostingClassifier(categorical_features=kinds[others], random_state=seed)
        chances = trees.fit(a[order][:, others], one[order]).predict_proba(b[:, others])[:, 1]
        rows.append((f1_score(two, chances > 0.5), roc_auc_score(two, chances)))
    return tuple(np.mean(rows, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=["telco_churn", "bank_marketing"])
    parser.add_argument("--rows", nargs="+", type=int, default=[500, 2000, 0])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in options.sets:
        target, rare = TARGETS[name]
        every, held = halves(read(options.folder, name))
        for count in options.rows:
            train = every.head(count) if count else every
            few = train[train[target] == rare]
            missing = len(train) - 2 * len(few)
            more = {
                "real alone": train.head(0),
                "rare rows repeated": few.sample(missing, replace=True, random_state=0),
                "interpolated": interpolated(few.reset_index(drop=True), missing),
                "generated": generated(train, target, rare, missing),
            }
            print(f"{name}, {len(train):,} real rows, {len(few):,} of them {target}={rare}")
            for label, rows in more.items():
                score, area = figures(pandas.concat([train, rows[list(train)]]), held, target, rare)
                print(f"  {label:20} F1 {score:.3f}   AUC {area:.3f}", flush=True)


if __name__ == "__main__":
    main()
