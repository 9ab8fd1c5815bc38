"""Tables, side by side: Gannet's default against CTGAN and TVAE at theirs, copying, independent columns and real rows.

    python tables.py FOLDER                      every set of the folder that is named below
    python tables.py FOLDER --sets insurance compas_deidentified --methods gannet ctgan
    python tables.py FOLDER --ablation           what each step of Gannet's default buys

FOLDER holds NAME.csv.gz. The peers need `pip install ctgan`. A fifth of the rows is held out by a fixed seed; every
method learns from the rest and draws as many rows. Figures, all against the held-out rows: shapes (1 - Kolmogorov-
Smirnov or total variation distance, mean over columns), pairs (1 - total variation distance of all pairs in common
bins, ten a number), boost (cross-validated AUC of boosted trees that tell synthetic from real; .5 is best), use (trees
trained on synthetic rows, tested on real ones: AUC, or R2), F1 of the rare class, near (share of synthetic rows nearer
to a training row than to a held-out one; .5 is right, its standard error beside it).
Results are kept in --out, one entry a set and method, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import f1_score, r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

import gannet

Frame = pandas.DataFrame
Method = Callable[[Frame, Path], Frame]

TARGETS = {
    "insurance": ("charges", None),
    "compas_deidentified": ("two_year_recid", "1"),
    "telco_churn": ("Churn", "Yes"),
    "nyc_taxis": ("fare", None),
    "diamonds": ("price", None),
    "bank_marketing": ("y", "yes"),
    "adult_train": ("income", ">50K"),
}
"""Data set -> what is predicted, and its rarer class (None: a number)."""
MOMENTS = {"nyc_taxis": ("pickup", "dropoff")}
TEXT_NUMBERS = {"telco_churn": ("TotalCharges",)}
LEVELS, BINS = 250, 10


def read(folder: Path, name: str) -> Frame:
    frame = pandas.read_csv(folder / f"{name}.csv.gz")
    for column in TEXT_NUMBERS.get(name, ()):
        frame[column] = pandas.to_numeric(frame[column], errors="coerce")
    return frame


def halves(frame: Frame) -> tuple[Frame, Frame]:
    order = np.random.default_rng(0).permutation(len(frame))
    cut = int(0.8 * len(frame))
    return frame.iloc[order[:cut]].reset_index(drop=True), frame.iloc[order[cut:]].reset_index(drop=True)


# ------------------------------------------------------------------------------------------------------- methods


def by_gannet(train: Frame, work: Path, samples: int | None = None, **settings: Any) -> Frame:
    train.to_csv(work / "train.csv", index=False)
    run = gannet.train(work / "train.csv", out=work / "run", samples=samples, **settings)
    # Through a file, as the real rows came: what the file calls missing is written as it was.
    run.write(run.sample(len(train), seed=1), work / "made.csv")
    return pandas.read_csv(work / "made.csv")


def by_peer(name: str) -> Method:
    def fit(train: Frame, work: Path) -> Frame:
        import ctgan
        import torch

        torch.manual_seed(0)
        np.random.seed(0)
        model = getattr(ctgan, name)()
        frame, moments = train.copy(), [column for column in train if is_moment(train[column])]
        for column in moments:
            # The peers know no moments: seconds stand in for them.
            frame[column] = pandas.to_datetime(frame[column]).map(lambda moment: moment.timestamp())
        discrete = [column for column in frame if not is_number(frame[column])]
        for column in frame:
            if column in discrete:
                frame[column] = frame[column].astype(str)
            elif frame[column].isna().any():
                # The peers refuse missing numbers: the middle stands in for them.
                frame[column] = frame[column].fillna(frame[column].median())
        model.fit(frame, discrete)
        made = model.sample(len(frame))
        for column in moments:
            made[column] = pandas.to_datetime(made[column].round(), unit="s").dt.strftime("%Y-%m-%d %H:%M:%S")
        return made

    return fit


def by_neighbours(train: Frame, work: Path) -> Frame:
    """SMOTE-like: every row moved towards one of its five nearest; nearly a copy, and the reference for copying."""
    random = np.random.default_rng(0)
    values, _ = codes([train])
    near = NearestNeighbors(n_neighbors=6).fit(scaled(values[0], train)).kneighbors(return_distance=False)
    other = train.iloc[near[np.arange(len(train)), random.integers(0, 5, len(train))]].reset_index(drop=True)
    share, out = random.random(len(train)), train.copy()
    for column in train:
        if is_number(train[column]):
            mixed = train[column] + share * (other[column] - train[column])
            out[column] = mixed.round(decimals(train[column]))
        else:
            out[column] = train[column].where(share < 0.5, other[column])
    return out


def by_columns(train: Frame, work: Path) -> Frame:
    """Every column drawn by itself: the floor."""
    random = np.random.default_rng(0)
    return Frame({column: random.permutation(train[column].to_numpy()) for column in train})


METHODS: dict[str, Method] = {
    "real": lambda train, work: train,
    "independent": by_columns,
    "neighbours": by_neighbours,
    "gannet": by_gannet,
    "ctgan": by_peer("CTGAN"),
    "tvae": by_peer("TVAE"),
}
ABLATION: dict[str, dict[str, Any]] = {
    "default": {},
    "likelihood alone": {"warm_up": 1.0},
    "game for half of the run": {"warm_up": 0.5},
    "no dropout": {"dropout": 0.0},
    "r3gan on plain rows": {"recipe": "r3gan"},
    "wgan_gp on plain rows": {"recipe": "wgan_gp"},
}


# ------------------------------------------------------------------------------------------------------- figures


def is_number(column: pandas.Series) -> bool:
    return column.dtype.kind in "iuf"


def is_moment(column: pandas.Series) -> bool:
    return not is_number(column) and bool(
        pandas.to_datetime(column, format="%Y-%m-%d %H:%M:%S", errors="coerce").notna().all()
    )


def decimals(column: pandas.Series) -> int:
    return next((d for d in range(6) if np.allclose(column.dropna().round(d), column.dropna())), 6)


def plain(frame: Frame, like: Frame, name: str) -> Frame:
    """Moments as seconds, and the kinds of columns the real table has."""
    out = frame[list(like.columns)].copy()
    for column in out:
        if column in MOMENTS.get(name, ()):
            out[column] = pandas.to_datetime(out[column], errors="coerce").astype("int64") // 10**9
        elif is_number(like[column]):
            out[column] = pandas.to_numeric(out[column], errors="coerce").astype(float)
    return out


def codes(frames: list[Frame]) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames -> float arrays [n, columns], levels as their rank in the first frame; which columns hold levels."""
    first = frames[0]
    kinds = np.array([not is_number(first[column]) for column in first])
    out = [np.empty(frame.shape) for frame in frames]
    for at, column in enumerate(first):
        ranks = {level: rank for rank, level in enumerate(first[column].astype(str).value_counts().index[:LEVELS])}
        for values, frame in zip(out, frames, strict=True):
            if kinds[at]:
                values[:, at] = [ranks.get(level, LEVELS) for level in frame[column].astype(str)]
            else:
                values[:, at] = frame[column].to_numpy(float)
    return out, kinds


def scaled(values: np.ndarray, like: Frame) -> np.ndarray:
    """Numbers in deviations, levels one-hot: two unlike levels lie 1 apart."""
    pieces = []
    for at, column in enumerate(like):
        if is_number(like[column]):
            spread = like[column].std() or 1.0
            pieces.append(np.nan_to_num(values[:, at : at + 1] / spread, nan=-9.0))
        else:
            pieces.append(np.eye(LEVELS + 1)[values[:, at].astype(int)] * 0.5**0.5)
    return np.concatenate(pieces, 1).astype(np.float32)


def fidelity(real: Frame, made: Frame) -> tuple[float, float]:
    (a, b), kinds = codes([real, made])
    shapes, binned = [], []
    for at, is_level in enumerate(kinds):
        one, two = a[:, at], b[:, at]
        if is_level:
            bins = one.astype(int), two.astype(int)
            shapes.append(1 - distance(*bins))
        else:
            known, drawn = np.sort(one[~np.isnan(one)]), np.sort(two[~np.isnan(two)])
            both = np.concatenate([known, drawn])
            steps = [np.searchsorted(side, both, "right") / max(len(side), 1) for side in (known, drawn)]
            shapes.append(1 - np.abs(steps[0] - steps[1]).max())
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
            gone = len(edges) + 1
            bins = tuple(
                np.where(np.isnan(side), gone, np.searchsorted(edges, side, "right")).astype(int) for side in (one, two)
            )
        binned.append(bins)
    wide = LEVELS + 1
    pairs = [
        1 - distance(binned[i][0] * wide + binned[j][0], binned[i][1] * wide + binned[j][1])
        for i, j in combinations(range(len(kinds)), 2)
    ]
    return float(np.mean(shapes)), float(np.mean(pairs))


def distance(one: np.ndarray, two: np.ndarray) -> float:
    """Total variation distance of two sets of codes."""
    size = int(max(one.max(), two.max())) + 1
    return np.abs(np.bincount(one, minlength=size) / len(one) - np.bincount(two, minlength=size) / len(two)).sum() / 2


def told(real: Frame, made: Frame) -> float:
    count = min(len(real), len(made))
    (a, b), kinds = codes([real.iloc[:count], made.iloc[:count]])
    rows, labels = np.concatenate([a, b]), np.repeat([1, 0], count)
    judge = HistGradientBoostingClassifier(categorical_features=kinds, random_state=0)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return roc_auc_score(labels, cross_val_predict(judge, rows, labels, cv=folds, method="predict_proba")[:, 1])


def use(made: Frame, real: Frame, name: str) -> tuple[float, float | None]:
    target, rare = TARGETS[name]
    (a, b), kinds = codes([made, real])
    at = list(made).index(target)
    others = np.arange(a.shape[1]) != at
    if rare is None:
        known = ~np.isnan(a[:, at])
        trees = HistGradientBoostingRegressor(categorical_features=kinds[others], random_state=0)
        trees.fit(a[known][:, others], a[known, at])
        return r2_score(b[:, at], trees.predict(b[:, others])), None
    one, two = ((frame[target].astype(str).str.removesuffix(".0") == rare).to_numpy() for frame in (made, real))
    if one.all() or not one.any():
        return 0.5, 0.0
    trees = HistGradientBoostingClassifier(categorical_features=kinds[others], random_state=0)
    chances = trees.fit(a[:, others], one).predict_proba(b[:, others])[:, 1]
    return roc_auc_score(two, chances), f1_score(two, chances > 0.5)


def nearer(train: Frame, held: Frame, made: Frame) -> tuple[float, float]:
    (a, b, c), _ = codes([train, held, made])
    some = np.random.default_rng(0).permutation(len(a))[: len(b)]
    known, unseen, drawn = (scaled(each, train) for each in (a[some], b, c[:4000]))
    one, two = (NearestNeighbors(n_neighbors=1).fit(side).kneighbors(drawn)[0][:, 0] for side in (known, unseen))
    return float((one < two).mean() + 0.5 * (one == two).mean()), 0.5 / len(drawn) ** 0.5


def judged(train: Frame, held: Frame, made: Frame, name: str) -> dict[str, float | None]:
    train, held, made = (plain(frame, held, name) for frame in (train, held, made))
    shapes, pairs = fidelity(held, made)
    utility, rare = use(made, held, name)
    near, error = nearer(train, held, made)
    figures = {"shapes": shapes, "pairs": pairs, "boost": told(held, made), "use": utility, "F1": rare}
    return {**figures, "near": near, "error": error}


# ----------------------------------------------------------------------------------------------------------- runs


def processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measured(method: Method, train: Frame, held: Frame, name: str) -> dict[str, float | None]:
    work = Path(tempfile.mkdtemp())
    try:
        started = processor_seconds()
        made = method(train, work)
        seconds = processor_seconds() - started
    finally:
        shutil.rmtree(work)
    return {"seconds": seconds, **judged(train, held, made, name)}


def line(label: str, figures: dict[str, float | None]) -> str:
    cells = [f"{figures['seconds']:8.1f}"]
    for key in ("shapes", "pairs", "boost", "use", "F1", "near"):
        value = figures[key]
        cells.append("      -" if value is None else f"{value:7.3f}")
    return f"{label:26}" + " ".join(cells) + f" +-{figures['error']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("tables.json"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    kept: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    methods: dict[str, Method] = {name: METHODS[name] for name in options.methods}
    if options.ablation:
        methods = {
            label: lambda train, work, settings=settings: by_gannet(train, work, **settings)
            for label, settings in ABLATION.items()
        }
    for name in options.sets:
        train, held = halves(read(options.folder, name))
        print(f"{name}: {len(train):,} rows to learn from, {len(held):,} held out")
        print(f"{'':26} seconds  shapes   pairs   boost     use      F1    near", flush=True)
        for label, method in methods.items():
            key = f"{name}/{label}"
            if key not in kept:
                kept[key] = measured(method, train, held, name)
                options.out.write_text(json.dumps(kept, indent=1))
            print(line(label, kept[key]), flush=True)


if __name__ == "__main__":
    main()
