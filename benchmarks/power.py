"""How small a leak, and how small an unfair gap, does a report see? Planted ones, and as many honest models.

    python benchmarks/power.py copies TABLE [--train 900] [--unseen 100] [--draws 60]
    python benchmarks/power.py gaps [--real 5771] [--draws 2000]

copies: rows of TABLE are the population; a model returns some training rows and else fresh rows. Beside each other: the
verdict by membership attacks alone, and by rows given away (risk surely above .01). Where the table runs out of fresh
rows, they are drawn with replacement. gaps: two groups whose rates of a label differ; the model doubles the difference.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from gannet.api import open_source
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.fairness import SMALL_GAP, amplification
from gannet.metrics.given_away import given_away
from gannet.metrics.membership import membership_figures
from gannet.metrics.privacy import _verdict
from gannet.spec import Spec

CASES = ((0.0, 0.0), (0.02, 0.0), (0.05, 0.0), (0.05, 0.1))
"""Share of copies, and how far they are moved, in shares of the usual distance to training."""
MANY_TIMES = 4
"""Generated rows for each training row, as in an evaluation."""


def evidence(rows: Tensor, train: int, unseen: int, share: float, jitter: float, seed: int) -> Evidence:
    random = np.random.default_rng(seed)
    order = torch.from_numpy(random.permutation(len(rows)))
    known, fresh = rows[order[:train]], rows[order[train + unseen :]]
    holdout = rows[order[train : train + unseen]]
    wanted = MANY_TIMES * train
    made = fresh[random.choice(len(fresh), wanted, replace=wanted > len(fresh))].clone()
    copies = torch.from_numpy(random.random(wanted) < share)
    made[copies] = known[random.integers(train, size=int(copies.sum()))]
    usual = float(torch.cdist(holdout, known).amin(1).median())
    noise = torch.from_numpy(random.standard_normal(tuple(made[copies].shape))).to(made) / made.shape[1] ** 0.5
    made[copies] += jitter * usual * noise
    sides = [Side(each, each) for each in (known, holdout, made, holdout)]
    return Evidence(Spec("points", (rows.shape[1],)), None, *sides, spared=True, embedder="columns", seed=seed)


def copies(arguments: argparse.Namespace) -> None:
    opened = open_source(arguments.table, {}, 0)
    read = opened.train.read(np.arange(len(opened.train)))[0]
    rows = torch.cat([opened.domain.embed(part) for part in read.split(2000)])
    print(f"{len(rows):,} rows, {rows.shape[1]} features; {arguments.train} for training, {arguments.unseen} unseen")
    for share, jitter in CASES:
        verdicts, risks = [], []
        for seed in range(arguments.draws):
            given = evidence(rows, arguments.train, arguments.unseen, share, jitter, seed)
            few = replace(given, generated=given.generated.take(np.arange(arguments.train)))
            verdicts.append(_verdict(membership_figures(few)[0], arguments.unseen))
            found = given_away(given)
            assert found is not None
            risks.append(found.attack.risk.interval[0] > 0.01)
        seen = np.mean([verdict in ("no", "partly") for verdict in verdicts])
        print(
            f"copied {share:.0%}, moved by {jitter}: by membership {seen:.2f}, by rows {np.mean(risks):.2f}", flush=True
        )


def gaps(arguments: argparse.Namespace) -> None:
    random, sure = np.random.default_rng(0), NormalDist().inv_cdf(0.975)

    def drawn(rows: int, minority: float, gap: float) -> np.ndarray:
        own = random.binomial(rows, minority)
        rates = 0.45 + gap * (1 - minority), 0.45 - gap * minority
        counts = own, rows - own
        return np.array([counts, [random.binomial(n, rate) for n, rate in zip(counts, rates, strict=True)]], float)

    for minority, gap in ((0.2, 0.04), (0.2, 0.06), (0.34, 0.04), (0.34, 0.06)):
        for made in (arguments.real, 20_000):
            found = {}
            for times in (2, 1):
                sides = [(drawn(made, minority, times * gap), drawn(arguments.real, minority, gap))
                         for _ in range(arguments.draws)]  # fmt: skip
                grown = [amplification(*pair, 0, sure) for pair in sides]
                found[times] = np.mean([low > 0 and value >= SMALL_GAP for value, (low, _) in grown])
            print(
                f"a gap of {100 * gap:.0f} points of a group of {minority:.0%}, {made:,} generated rows: doubled, "
                f"found {found[2]:.2f}; left as it is, accused {found[1]:.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("copies")
    part.add_argument("table")
    part.add_argument("--train", type=int, default=900)
    part.add_argument("--unseen", type=int, default=100)
    part.add_argument("--draws", type=int, default=60)
    part.set_defaults(run=copies)
    part = parts.add_parser("gaps")
    part.add_argument("--real", type=int, default=5_771)
    part.add_argument("--draws", type=int, default=2_000)
    part.set_defaults(run=gaps)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
