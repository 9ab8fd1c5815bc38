"""Several tables: how true generated families are, beside real against real, and what the sibling before is worth.

    python benchmarks/relational.py [--taxis nyc_taxis.csv.gz] [--customers 1500] [--samples 60k] [--seeds 1]

The shop is made here: gold customers order most (with a heavy tail), the old pay more and in the store, a customer's
taste runs through all of their orders, web orders hold fewer items, and items share out the order's amount. The taxis
are a real table parted in two: pick-up zones with their borough, and the trips that begin there. Each is trained with
and without the columns of the sibling before; figures are those of `gannet evaluate`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas

from gannet import relational


def shop(folder, customers, seed=0):
    """Customers, orders and items with known dependence, as CSV files."""
    random = np.random.default_rng(seed)
    tier = random.choice(["basic", "plus", "gold"], customers, p=[0.6, 0.3, 0.1])
    age = random.integers(18, 80, customers)
    rate = np.select([tier == "basic", tier == "plus"], [0.7, 2.5], 8.0)
    owner = np.repeat(np.arange(customers), random.poisson(rate * random.gamma(2, 0.5, customers)))
    taste, count = random.normal(size=customers), len(owner)
    amount = np.exp(2 + 0.02 * (age[owner] - 18) + 0.6 * taste[owner] + 0.3 * random.normal(size=count))
    channel = np.where(random.random(count) < np.where(age[owner] < 40, 0.85, 0.2), "web", "store")
    sold = 1 + random.binomial(3, np.where(channel == "web", 0.2, 0.6))
    order = np.repeat(np.arange(count), sold)
    price = amount[order] / sold[order] * np.exp(0.2 * random.normal(size=len(order)))
    gift = np.where(random.random(len(order)) < np.where(tier[owner][order] == "gold", 0.5, 0.05), "yes", "no")
    names = np.array([f"C-{number:05d}" for number in range(1, customers + 1)])
    region = random.choice(["north", "south", "west"], customers)
    tables = {
        "customers": {"customer_id": names, "tier": tier, "age": age, "region": region},
        "orders": {
            "order_id": 1 + np.arange(count),
            "customer_id": names[owner],
            "amount": amount.round(2),
            "channel": channel,
        },
        "items": {"order_id": 1 + order, "price": price.round(2), "gift": gift},
    }
    for name, columns in tables.items():
        pandas.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)


def taxis(folder, path):
    """Zones and trips: one real table parted in two."""
    trips = pandas.read_csv(path, dtype=str, keep_default_na=False)
    zones = trips[["pickup_zone", "pickup_borough"]].drop_duplicates("pickup_zone").reset_index(drop=True)
    zones.insert(0, "zone_id", 1 + np.arange(len(zones)))
    numbers = zones.set_index("pickup_zone")["zone_id"]
    trips.insert(0, "zone_id", trips["pickup_zone"].map(numbers))
    zones.drop(columns="pickup_zone").to_csv(folder / "zones.csv", index=False)
    trips.drop(columns=["pickup_zone", "pickup_borough"]).to_csv(folder / "trips.csv", index=False)


def planted(tables):
    """What was planted in the shop, found again: orders a tier, amounts and their likeness within a customer."""
    customers, orders = tables["customers"], tables["orders"]
    counts = customers["customer_id"].map(orders["customer_id"].value_counts()).fillna(0)
    by_tier = counts.groupby(customers["tier"].to_numpy()).mean()
    known = orders.merge(customers, on="customer_id")
    logs = np.log(known["amount"].astype(float).clip(lower=0.01))
    later = (known["customer_id"] == known["customer_id"].shift()).to_numpy()
    alike = np.corrcoef(logs[later], logs.shift()[later])[0, 1]
    age = np.corrcoef(known["age"].astype(float), logs)[0, 1]
    tiers = ", ".join(f"{tier} {mean:.2f}" for tier, mean in by_tier.items())
    deep = f"variance of the counts {counts.var():.1f}, largest {counts.max():.0f}"
    return f"orders per customer {tiers}; {deep}; age and log amount {age:.2f}; log amounts of siblings {alike:.2f}"


def measure(name, folder, samples, seed):
    """Train, draw and judge, with and without the sibling before."""
    if name == "shop":
        real = {each: pandas.read_csv(folder / f"{each}.csv") for each in ("customers", "orders", "items")}
        print(f"  real: {planted(real)}")
    for siblings in ("yes", "no"):
        with tempfile.TemporaryDirectory() as out:
            wall, cpu = time.monotonic(), time.process_time()
            path = relational.train(
                folder, out=Path(out) / "run", samples=samples, seed=seed, settings={"siblings": siblings}
            )
            trained, trained_cpu = time.monotonic() - wall, time.process_time() - cpu
            wall = time.monotonic()
            report = relational.evaluate(path, seed=seed)
            told = f"trained in {trained:.0f} s ({trained_cpu:.0f} CPU-s), judged in {time.monotonic() - wall:.0f} s"
            print(f"{name}, siblings={siblings}, seed {seed}: {told}")
            print("\n".join(f"  {line}" for line in report.lines()))
            if name == "shop":
                tables = relational.TableSet(path).sample({"customers": report.rows["customers"][0]}, seed=seed)
                print(f"  generated: {planted(tables)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taxis", type=Path, help="the table nyc_taxis as a CSV file")
    parser.add_argument("--customers", type=int, default=1500)
    parser.add_argument("--samples", default=None, help="samples seen a table; by default as in a plain run")
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as folder:
            shop(Path(folder), asked.customers)
            measure("shop", Path(folder), asked.samples, seed)
        if asked.taxis:
            with tempfile.TemporaryDirectory() as folder:
                taxis(Path(folder), asked.taxis)
                measure("taxis", Path(folder), asked.samples, seed)


if __name__ == "__main__":
    main()
