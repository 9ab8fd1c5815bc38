"""What parity='income by sex' does on adult: how far the outcome still depends on the group, and what it costs in use.

    python parity.py FOLDER [--samples 150k]

FOLDER holds adult_train.csv.gz. A fifth of the rows is held out by a fixed seed. Side by side: real rows, generated
rows without and with parity. `gap` is the difference between men and women in the share of the outcome among the rows;
boosted trees learn income from the rows and are tested on real held-out ones: AUC, and the gap in what they predict.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas
from conditions import Frame, split
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import gannet

OUTCOME, GROUP, POSITIVE = "income", "sex", ">50K"


def gap(rows: Frame, outcome: pandas.Series) -> float:
    """The largest difference between groups in the share of an outcome."""
    rates = outcome.groupby(rows[GROUP].to_numpy()).mean()
    return float(rates.max() - rates.min())


def features(rows: Frame, like: Frame) -> Frame:
    """Categories as codes of the real rows' levels."""
    out = rows.drop(columns=OUTCOME).copy()
    for name in out.columns:
        if like[name].dtype.kind not in "iuf":
            levels = sorted(like[name].dropna().unique())
            out[name] = pandas.Categorical(out[name].where(out[name].isin(levels)), categories=levels)
    return out


def row(name: str, rows: Frame, real: Frame, held: Frame) -> None:
    trees = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    trees.fit(features(rows, real), rows[OUTCOME] == POSITIVE)
    chance = pandas.Series(trees.predict_proba(features(held, real))[:, 1])
    own = gap(rows, (rows[OUTCOME] == POSITIVE).reset_index(drop=True))
    auc = roc_auc_score(held[OUTCOME] == POSITIVE, chance)
    print(f"{name:28}{own:10.4f}{auc:10.4f}{gap(held, chance > 0.5):14.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", default="150k")
    arguments = parser.parse_args()
    train, held = split(arguments.folder)
    root = Path(tempfile.mkdtemp())
    print(f"{'rows':28}{'gap':>10}{'AUC':>10}{'predicted gap':>14}")
    row("real", train, train, held)
    for name, settings in (("generated", {}), ("generated with parity", {"parity": f"{OUTCOME} by {GROUP}"})):
        out = root / name.replace(" ", "-")
        model = gannet.train(train, out=out, recipe="maligan", samples=arguments.samples, **settings)
        row(name, model.sample(len(train), seed=1), train, held)


if __name__ == "__main__":
    main()
