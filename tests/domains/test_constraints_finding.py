"""Constraints found: those planted are proposed, and nothing is proposed of columns that have nothing to do with each
other."""

from __future__ import annotations

import numpy as np
import pytest

from gannet.domains.table_constraint_finding import find
from gannet.domains.table_constraint_rules import read_rule
from gannet.domains.table_constraints import Constraints, Wish
from gannet.domains.table_values import Form, Numbers, Texts

ROWS = 1_500


def forms_of(columns, **meanings):
    return {
        name: Form(name, meanings.get(name, "text" if isinstance(values, Texts) else "decimal"), "float64", unit="s")
        for name, values in columns.items()
    }


def found(columns, **meanings):
    return [proposal.rule for proposal in find(columns, forms_of(columns, **meanings))]


def labels(codes, stem):
    return Texts(np.asarray(codes, dtype=np.int64), [f"{stem}{code}" for code in range(int(np.max(codes)) + 1)])


def money(random, scale, count=ROWS):
    return np.round(random.exponential(scale, count), 2)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_proposed_of_unrelated_columns(seed):
    random = np.random.default_rng(seed)
    columns = {f"n{place}": Numbers(np.round(random.normal(50, 20, ROWS), place)) for place in range(5)}
    columns |= {f"e{place}": Numbers(money(random, 40) + 1) for place in range(3)}
    columns |= {f"c{place}": labels(random.integers(0, 2 + 4 * place, ROWS), "c") for place in range(5)}
    columns["small"] = Numbers(random.uniform(0, 1, ROWS))
    columns["large"] = Numbers(random.uniform(1000, 2000, ROWS))
    assert [rule for rule in found(columns) if not rule.endswith((">= 0", "> 0"))] == []


def test_sums_are_found_whatever_the_order_of_their_columns():
    random = np.random.default_rng(0)
    net, ship, tip = money(random, 50), money(random, 5), money(random, 3)
    columns = {
        "gross": Numbers(np.round(1.19 * net + ship, 2)),
        "net": Numbers(net),
        "ship": Numbers(ship),
        "tip": Numbers(np.where(random.random(ROWS) < 0.1, np.nan, tip)),
        "paid": Numbers(np.round(net + tip + 2.5, 2)),
        "noise": Numbers(money(random, 9)),
    }
    columns["paid"].array[np.isnan(columns["tip"].array)] = 7.25
    rules = found(columns)
    assert "gross = 1.19 * net + ship" in rules and "paid = net + tip + 2.5" in rules
    assert not any("noise" in rule for rule in rules if "=" in rule.replace(">= 0", ""))


def test_products_are_found():
    random = np.random.default_rng(0)
    width, height = random.integers(1, 60, ROWS).astype(float), money(random, 9)
    columns = {"area": Numbers(np.round(width * height, 2)), "width": Numbers(width), "height": Numbers(height)}
    assert "area = width * height" in found(columns)


def test_chains_are_told_by_neighbours_and_parts_by_their_whole():
    random = np.random.default_rng(0)
    start = random.integers(0, 10**6, ROWS).astype(float)
    columns = {"start": Numbers(start), "middle": Numbers(start + random.integers(0, 900, ROWS))}
    columns["end"] = Numbers(columns["middle"].array + random.integers(1, 5, ROWS))
    rules = found(columns, start="date", middle="date", end="date")
    assert rules == ["start <= middle", "middle < end"]
    a, b, c = (money(random, scale) for scale in (20, 5, 4))
    columns = {
        "a": Numbers(a),
        "b": Numbers(b),
        "c": Numbers(c),
        "whole": Numbers(np.round(a + b + c + money(random, 3), 2)),
    }
    assert [rule for rule in found(columns) if "<=" in rule] == ["a + b + c <= whole"]


def test_columns_of_other_scales_are_not_called_ordered():
    random = np.random.default_rng(0)
    age = random.integers(18, 90, ROWS).astype(float)
    columns = {"age": Numbers(age), "income": Numbers(20_000 + 500 * age + random.normal(0, 100, ROWS).round())}
    assert not any("<=" in rule for rule in found(columns))


def test_what_follows_and_what_never_meets_is_found():
    random = np.random.default_rng(0)
    city = random.integers(0, 40, ROWS)
    service = random.integers(0, 3, ROWS)
    columns = {
        "city": labels(city, "city"),
        "state": labels(city // 5, "state"),
        "land": labels(city // 20, "land"),
        "service": labels(service, "s"),
        "extra": labels(np.where(service == 0, 0, random.integers(1, 3, ROWS)), "x"),
        "more": labels(np.where(service == 0, 0, random.integers(1, 3, ROWS)), "m"),
        "code": Numbers((city // 5) * 10.0),
    }
    rules = found(columns)
    assert "city -> state" in rules and "state -> land" in rules and "city -> land" not in rules
    assert "state -> code" in rules and "code -> state" not in rules
    assert "combinations(service, extra)" in rules and "combinations(service, more)" in rules
    assert "combinations(extra, more)" not in rules


def test_gaps_that_go_together_are_found():
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, ROWS)
    gone = random.random(ROWS) < 0.2
    columns = {
        "kind": labels(kind, "k"),
        "size": Numbers(np.where(kind == 1, np.nan, money(random, 5))),
        "x": Numbers(np.where(gone, np.nan, random.normal(size=ROWS))),
        "y": Numbers(np.where(gone, np.nan, random.normal(size=ROWS))),
    }
    rules = found(columns)
    assert "size missing if kind = k1" in rules and "size present if kind != k1" in rules
    assert "y missing if x missing" in rules and "y present if x" in rules


def test_uniqueness_is_found_where_repeats_were_to_be_expected():
    random = np.random.default_rng(0)
    columns = {
        "rank": Numbers(random.permutation(ROWS) + 1.0),
        "shop": labels(np.arange(ROWS) % 30, "shop"),
        "day": labels(np.arange(ROWS) // 30, "day"),
        "fine": Numbers(random.normal(size=ROWS)),
    }
    rules = found(columns, rank="integer")
    assert "unique(rank)" in rules and "unique(shop, day)" in rules and "unique(fine)" not in rules


def test_every_proposal_can_be_taken_as_it_is_printed():
    random = np.random.default_rng(0)
    a, b = money(random, 20), money(random, 5)
    city = random.integers(0, 12, ROWS)
    columns = {"net price": Numbers(a), "tip-1": Numbers(b), "sum": Numbers(np.round(a + b, 2))}
    columns |= {"if": labels(city, "c"), "it's": labels(city // 3, "s")}
    forms = forms_of(columns)
    proposals = find(columns, forms)
    assert len(proposals) >= 3
    wishes = [Wish(each, proposed=True) for proposal in proposals for each in read_rule(proposal.rule, forms)]
    fitted = Constraints.fit(columns, forms, wishes)
    assert not fitted.remarks and not fitted.constraints.broken(columns).any()


def test_few_rows_and_identifiers_prove_nothing():
    few = {"a": Numbers(np.arange(40.0)), "b": Numbers(np.arange(40.0) + 1)}
    assert found(few) == []
    columns = {"id": labels(np.arange(300) // 6, "id"), "group": labels(np.arange(300) // 60, "g")}
    assert find(columns, forms_of(columns), skip=["id"]) == []
