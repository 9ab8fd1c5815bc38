"""Constraints found in real tables: how many hold in rows that the search never saw, and what building them in does.

    python benchmarks/constraints.py FOLDER [--tables nyc_taxis,telco_churn] [--seeds 5] [--train 200k]

FOLDER holds the tables as NAME.csv.gz. Constraints are found in one half of the rows and checked in the other: a rule
is false where one row of the other half breaks it. Beside it the same search in the same table with every column
shuffled on its own, where every rule but those of one column alone is false. With --train, a generator is trained with
and without what was found, and the rows that break each rule are counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from gannet.domains import columns as encoders
from gannet.domains.table_constraint_finding import find
from gannet.domains.table_constraint_rules import read_rule
from gannet.domains.table_constraints import Constraints, Wish
from gannet.domains.table_settling import settle
from gannet.domains.table_source import read_source
from gannet.metrics.table_fidelity import table_fidelity

ROWS = 10_000
TABLES = "nyc_taxis,diamonds,telco_churn,titanic,penguins,insurance,bank_marketing,compas_deidentified,adult_train"


def load(path):
    """A file's columns and forms, and the columns that are made anew."""
    read = read_source(path)
    settled = [settle(name, raw, {}, True) for name, raw in zip(read.names, read.columns, strict=True)]
    table, forms = {form.name: values for form, values, _ in settled}, {form.name: form for form, _, _ in settled}
    kinds = {name: encoders.fit(forms[name], values, least=5).kind for name, values in table.items()}
    return table, forms, [name for name, kind in kinds.items() if kind in ("identifier", "withheld", "constant")]


def part(table, rows):
    return {name: values.take(rows) for name, values in table.items()}


def halves(table, forms, skip, seeds):
    """Per rule found in a half: its columns, and the share of rows of the other half in which it holds."""
    total = len(next(iter(table.values())))
    shares = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(total)
        first, second = part(table, order[: total // 2]), part(table, order[total // 2 :])
        for proposal in find(first, forms, skip):
            for constraint in read_rule(proposal.rule, forms):
                fitted = Constraints.fit(first, forms, [Wish(constraint)]).constraints
                shares.append((constraint.rule, len(constraint.columns), 1 - float(fitted.broken(second).mean())))
    return shares


def shuffled(table, forms, skip, seeds):
    """Rules over two columns or more found where columns have nothing to do with each other."""
    total, found = len(next(iter(table.values()))), []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        mixed = {name: values.take(random.permutation(total)) for name, values in table.items()}
        rules = [rule for proposal in find(mixed, forms, skip) for rule in read_rule(proposal.rule, forms)]
        found += [rule.rule for rule in rules if len(rule.columns) > 1]
    return found


def compare(path, samples_seen, folder):
    """Rows of a generator's that break each rule: trained without the rules, and with them."""
    import gannet

    table, forms, skip = load(path)
    rules = [rule for proposal in find(table, forms, skip) for rule in read_rule(proposal.rule, forms)]
    reference = Constraints.fit(table, forms, [Wish(rule, proposed=True) for rule in rules]).constraints
    broken, scores = {}, {}
    for setting in (None, "found"):
        options = {} if setting is None else {"constraints": setting}
        out = Path(folder) / f"{path.name}-{setting}"
        model = gannet.train(path, samples=samples_seen, out=out, seed=0, **options)
        samples = model.sample(ROWS, seed=1)
        values = dict(zip(model.domain.names, model.domain._values(samples), strict=True))
        broken[setting] = [float(rule.broken(values).mean()) for rule in reference.constraints]
        scores[setting] = quality(table, model.domain, samples)
    print(f"  {'rule':60s} {'without':>8s} {'with':>8s}   (of {ROWS:,} rows break it, after {samples_seen} samples)")
    for rule, without, held in zip(reference.constraints, broken[None], broken["found"], strict=True):
        print(f"  {rule.rule:60s} {without:8.2%} {held:8.2%}")
    for name, (without, ceiling) in scores[None].items():
        print(f"  {name:60s} {without:8.3f} {scores['found'][name][0]:8.3f}   (real rows {ceiling:.3f})")


def quality(table, domain, samples):
    """Figures of generated rows with those of real rows in their place."""
    random = np.random.default_rng(0)
    order = random.permutation(len(next(iter(table.values()))))
    size = min(len(order) // 2, len(samples))
    real, stand_in = (
        domain.shell.build(domain.forms, [table[name].take(rows) for name in domain.names])
        for rows in (order[:size], order[size : 2 * size])
    )
    floor = real.apply(lambda column: column.sample(frac=1, random_state=1).to_numpy())
    found = table_fidelity(real, samples.iloc[:size], stand_in, floor.astype(real.dtypes), random=random)
    return {figure.name: (figure.value, figure.reference) for figure in found.figures}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", default=TABLES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--train")
    arguments = parser.parse_args()
    print(f"{'table':20s} {'rules a half':>12s} {'true':>6s} {'rows held':>10s} {'shuffled':>9s} {'seconds':>8s}")
    whole: list[tuple[str, int, float]] = []
    for name in arguments.tables.split(","):
        table, forms, skip = load(arguments.folder / f"{name}.csv.gz")
        started = time.process_time()
        find(table, forms, skip)
        seconds = time.process_time() - started
        shares = halves(table, forms, skip, arguments.seeds)
        whole += shares
        good = sum(share == 1 for *_, share in shares)
        held = np.mean([share for *_, share in shares]) if shares else 1.0
        by_chance = len(shuffled(table, forms, skip, arguments.seeds)) / arguments.seeds
        print(
            f"{name:20s} {len(shares) / arguments.seeds:12.1f} {good:3d}/{len(shares):<3d} {held:9.4%} "
            f"{by_chance:9.1f} {seconds:8.2f}"
        )
        for rule, share in sorted({(rule, round(share, 5)) for rule, _, share in shares if share < 1}):
            print(f"    broken in the other half: {rule} (holds in {share:.3%} of its rows)")
    for title, least in (("all rules", 1), ("rules of two columns or more", 2)):
        counted = [share == 1 for _, columns, share in whole if columns >= least]
        print(f"{title} found in a half: {sum(counted)} of {len(counted)} hold in every row of the other half")
    if arguments.train:
        with tempfile.TemporaryDirectory() as folder:
            for name in arguments.tables.split(","):
                print(name)
                compare(arguments.folder / f"{name}.csv.gz", arguments.train, folder)


if __name__ == "__main__":
    main()
