"""Several tables: keys found and checked, families learned and generated, every key refers, and every refusal."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gannet import relational
from gannet.cli import main
from gannet.engine import Progress
from gannet.errors import GannetError
from gannet.relational.dependence import dependence
from gannet.relational.fidelity import Families, family_figures
from gannet.relational.finding import find_schema
from gannet.relational.matching import matched, rooms
from gannet.relational.preparing import Prepared, order_of_siblings, prepare_table
from gannet.relational.reading import key_texts
from gannet.relational.schema import Link, Schema, read_schema
from gannet.relational.training import open_database
from gannet.run import RunFolder

QUICK: dict[str, Any] = {"samples": 640, "size": 0.25, "settings": {"batch_size": 64}}
LEARNED: dict[str, Any] = {"samples": 12_000, "size": 0.5, "settings": {"batch_size": 32}}


def shop(folder: Path, customers: int = 300, seed: int = 0) -> Path:
    """Customers, their orders, the items of those, and products: gold customers order most, the old pay most."""
    random = np.random.default_rng(seed)
    tier = random.choice(["basic", "gold"], customers, p=[0.7, 0.3])
    age = random.integers(18, 80, customers)
    counts = random.poisson(np.where(tier == "gold", 6.0, 0.8))
    owner = np.repeat(np.arange(customers), counts)
    old = age[owner] >= 50
    orders = len(owner)
    paid = np.where(random.random(orders) < np.where(old, 0.95, 0.05), "card", "cash")
    amount = np.round(np.where(old, 90, 20) * np.exp(0.2 * random.normal(size=orders)), 2)
    sold = random.integers(1, 4, orders)
    order = np.repeat(np.arange(orders), sold)
    kinds = [*["fruit", "tool"] * 10, ""]
    product = 2 * random.integers(0, 10, len(order)) + (random.random(len(order)) < np.where(old[order], 0.9, 0.1))
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array([f"C-{number:04d}" for number in range(1, customers + 1)])
    nobody = random.random(orders) < 0.05
    tables = {
        "customers": {"customer_id": names, "tier": tier, "age": age},
        "orders": {
            "order_id": np.arange(100, 100 + orders),
            "customer_id": np.where(nobody, "", names[owner]),
            "paid": paid,
            "amount": amount,
        },
        "products": {"product_id": [f"{i:08x}-ab{i:02x}" for i in range(21)], "kind": kinds},
        "items": {
            "order_id": order + 100,
            "product_id": [f"{i:08x}-ab{i:02x}" for i in product],
            "wrapped": np.where(random.random(len(order)) < 0.5, "yes", "no"),
        },
    }
    for name, columns in tables.items():
        pandas.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    return folder


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def trained(folder: Path, options: dict[str, Any]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANNET_CACHE", str(folder / "cache"))
        return relational.train(shop(folder / "shop"), out=folder / "run", **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the shop that has hardly begun to learn: what always holds must hold of it."""
    return trained(tmp_path_factory.mktemp("relational"), QUICK)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the shop that has learned."""
    return trained(tmp_path_factory.mktemp("learned"), LEARNED)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))


def refusal(folder: Path) -> str:
    with pytest.raises(GannetError) as caught:
        open_database(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ schema and keys


def test_keys_are_found_by_name_and_content(tmp_path: Path) -> None:
    schema = find_schema(shop(tmp_path / "shop"))
    assert {str(link) for link in schema.links} == {
        "orders.customer_id -> customers",
        "items.order_id -> orders",
        "items.product_id -> products",
    }
    assert [schema.table(name).key for name in ("customers", "orders", "items")] == ["customer_id", "order_id", None]
    order = schema.order()
    assert order.index("customers") < order.index("orders") < order.index("items")


def test_a_file_of_keys_says_what_names_do_not(tmp_path: Path) -> None:
    write(tmp_path, "airports.csv", "code,size\nAAA,3\nBBB,4\n")
    write(tmp_path, "flights.csv", "origin,target,delay\nAAA,BBB,5\nBBB,AAA,7\n")
    write(
        tmp_path,
        "tables.toml",
        '[airports]\nfile = "airports.csv"\nkey = "code"\n'
        '[flights]\nfile = "flights.csv"\nparent.airports = ["origin", "target"]\n',
    )
    database = open_database(tmp_path)
    assert database.parents[Link("flights", "target", "airports")].tolist() == [1, 0]
    assert Schema.from_json(json.loads(json.dumps(database.schema.to_json()))) == database.schema


def test_a_column_that_may_be_two_keys_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "user.csv", "id,a\n1,2\n2,3\n")
    write(tmp_path, "users.csv", "id,a\n1,2\n2,3\n")
    write(tmp_path, "visits.csv", "user_id,b\n1,2\n1,3\n")
    assert re.search(r"visits.user_id may refer to user or users.*tables.toml", refusal(tmp_path))


def test_tables_without_keys_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "x,y\n1,2\n")
    write(tmp_path, "b.csv", "x,y\n1,2\n")
    assert "no keys found" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("customers", "orders", "words"),
    [
        ("1,a\n1,b\n", "1,1\n", r"customers.customer_id: keys stand in several rows \(1, such as '1'\)"),
        ("1,a\n,b\n", "1,1\n", r"customers.customer_id: rows without a key \(1\)"),
        (
            "1,a\n2,b\n",
            "1,1\n2,9\n",
            r"orders.customer_id: keys that are not in customers.customer_id \(1, such as '9'\)",
        ),
    ],
)
def test_broken_keys_are_one_clear_line(tmp_path: Path, customers: str, orders: str, words: str) -> None:
    write(tmp_path, "customers.csv", "customer_id,name\n" + customers)
    write(tmp_path, "orders.csv", "order_id,customer_id\n" + orders)
    write(
        tmp_path,
        "tables.toml",
        '[customers]\nfile = "customers.csv"\nkey = "customer_id"\n'
        '[orders]\nfile = "orders.csv"\nparent.customers = "customer_id"\n',
    )
    assert re.search(words, refusal(tmp_path))


def test_missing_parents_are_told_where_keys_are_found_too(tmp_path: Path) -> None:
    folder = shop(tmp_path / "shop")
    customers = (folder / "customers.csv").read_text().splitlines(keepends=True)
    (folder / "customers.csv").write_text("".join(customers[:-20]))
    assert "orders.customer_id looks like the key of customers" in refusal(folder)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[a]\nfile = "a"\nkey = "i"\nparent.b = "j"\n[b]\nfile = "b"\nkey = "i"\nparent.a = "j"\n', "in a ring"),
        ('[a]\nfile = "a"\nkey = "i"\nparent.a = "boss"\n[b]\nfile = "b"\n', "a.boss refers to its own table"),
        ('[a]\nfile = "a"\nparent.c = "j"\n[b]\nfile = "b"\n', "there is no table 'c'"),
        ('[a]\nfile = "a"\nparent.b = "j"\n[b]\nfile = "b"\n', "table b needs its key"),
        ('[a]\nkey = "i"\n[b]\nfile = "b"\n', "lacks its file"),
        ('[a]\nfile = "a"\nkeys = "i"\n', "unknown key 'keys'; did you mean 'key'"),
        ('[a]\nfile = "a"\nfollows = "i"\n[b]\nfile = "b"\n', "is no foreign key"),
        ('[a]\nfile = "a"\n', "several tables are wanted"),
        ('a = "a.csv"\n', "outside of a table"),
        ("[a\n", "not valid TOML"),
    ],
)
def test_a_wrong_file_of_keys_is_one_clear_line(tmp_path: Path, toml: str, words: str) -> None:
    write(tmp_path, "tables.toml", toml)
    with pytest.raises(GannetError, match=re.escape(words)) as caught:
        read_schema(tmp_path / "tables.toml")
    assert "\n" not in str(caught.value)


def test_whole_numbers_beside_gaps_are_the_keys_they_were() -> None:
    assert key_texts(pandas.Series(["17.0", "17", "", None, "A-1"])).tolist() == ["17", "17", None, None, "A-1"]


# ----------------------------------------------------------------------------------------------------- pieces


def test_siblings_stand_in_the_order_of_the_file() -> None:
    before, places = order_of_siblings(np.array([1, 0, 1, -1, 1, -1]))
    assert before.tolist() == [-1, -1, 0, -1, 2, -1]
    assert places.tolist() == [1, 1, 2, 1, 3, 1]


def test_dependence_is_seen_where_it_is_planted_and_nowhere_else() -> None:
    random = np.random.default_rng(0)
    left = pandas.DataFrame({"cause": random.normal(size=2000), "noise": random.normal(size=2000)})
    right = pandas.DataFrame({"effect": left["cause"] + random.normal(size=2000), "other": random.normal(size=2000)})
    found = dependence(left, right)
    assert found[0, 0] > 0.2
    assert found[0, 1] == found[1, 0] == found[1, 1] == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 90), st.integers(0, 9))
def test_no_second_parent_is_taken_more_often_than_it_has_room(degrees: list[int], children: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    room = rooms(np.array(degrees), children, random)
    assert room.sum() == children
    frames = [pandas.DataFrame({"x": random.normal(size=n)}) for n in (children, len(degrees))]
    chosen = matched(*frames, room, None, random)
    assert np.array_equal(np.bincount(chosen, minlength=len(degrees)), room)


def test_second_parents_are_those_the_rows_tell_of_and_never_twice_in_a_family() -> None:
    random = np.random.default_rng(0)
    parents = pandas.DataFrame({"kind": ["fruit", "tool"] * 20})
    children = pandas.DataFrame({"kind": random.choice(["fruit", "tool"], 200)})
    families = np.repeat(np.arange(20), 10)
    chosen = matched(children, parents, np.full(40, 10), families, random)
    kept = chosen >= 0
    assert kept.all()
    assert (parents["kind"].to_numpy()[chosen] == children["kind"].to_numpy()).mean() > 0.95
    assert len({*zip(families.tolist(), chosen.tolist(), strict=True)}) == 200


def planted(parents: int, seed: int, shuffle: bool) -> Families:
    random = np.random.default_rng(seed)
    left = pandas.DataFrame({"level": random.choice(["a", "b"], parents)})
    counts = np.where(left["level"] == "a", 1, 4)
    rows = np.repeat(np.arange(parents), counts)
    right = pandas.DataFrame({"value": np.where(left["level"].to_numpy()[rows] == "a", 0.0, 5.0)})
    right["value"] += random.normal(size=len(rows))
    return Families(left, right, random.permutation(rows) if shuffle else rows)


def test_figures_of_families_tell_true_keys_from_shuffled_ones() -> None:
    real = planted(400, 0, shuffle=False)
    true, false = (
        {
            figure.name: figure
            for figure in family_figures("t", real, planted(400, 1, shuffle), np.random.default_rng(0))
        }
        for shuffle in (False, True)
    )
    assert [*true] == ["t: children per parent", "t: parent and child", "t: siblings"]
    assert all(figure.standing is not None and figure.standing > 0.7 for figure in true.values())
    for name in ("t: parent and child", "t: siblings"):
        standing = false[name].standing
        assert standing is not None and standing < 0.3
    assert false["t: children per parent"].value < 0.1


# ------------------------------------------------------------------------------------------------ training tables


def prepared_shop(folder: Path) -> dict[str, Prepared]:
    database = open_database(shop(folder / "shop"))
    above: dict[str, Prepared] = {}
    for name in database.schema.order():
        made = prepare_table(database, name, above, siblings=True)
        above[name] = Prepared(made.plan, made.frame, made.types, tuple(made.frame.columns))
    return above


def test_a_training_table_holds_the_parent_the_place_and_the_sibling_before(tmp_path: Path) -> None:
    tables = prepared_shop(tmp_path)
    orders = tables["orders"]
    assert list(orders.frame.columns) == [
        "customers.tier",
        "customers.age",
        "customers.number of orders",
        "position",
        "previous paid",
        "previous amount",
        "number of items",
        "paid",
        "amount",
    ]
    later = np.flatnonzero((orders.frame["position"] > 1).to_numpy())
    assert (
        orders.frame["previous amount"].iloc[later] == orders.frame["amount"].iloc[later - 1].to_numpy()
    ).mean() > 0.9
    assert 0.02 < orders.plan.orphans < 0.1
    assert orders.frame["customers.tier"].isna().mean() == pytest.approx(orders.plan.orphans)
    assert tables["customers"].frame["number of orders"].sum() == (orders.frame["customers.tier"].notna()).sum()


def test_a_second_parent_is_told_by_the_columns_that_matter(tmp_path: Path) -> None:
    plan = prepared_shop(tmp_path)["items"].plan
    assert {plan.follows, *(match.column for match in plan.matches)} == {"order_id", "product_id"}
    (match,) = plan.matches
    told = set(match.attributes.values())
    assert "kind" in told if match.parent == "products" else {"paid", "amount"} & told


def test_what_is_kept_of_the_tables_holds_no_row(run: Path) -> None:
    kept = (run / "tables.json").read_text()
    keys = pandas.read_csv(run.parent / "shop" / "customers.csv")["customer_id"]
    # The largest counter is known, since new ones go on from there.
    assert not any(key in kept for key in keys)


# ------------------------------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (40, 1), (300, 2)])
def test_every_key_refers_to_a_generated_row(run: Path, count: int, seed: int) -> None:
    tables = relational.TableSet(run).sample(count, seed=seed)
    assert len(tables["customers"]) == count
    for name, key in (("customers", "customer_id"), ("orders", "order_id"), ("products", "product_id")):
        assert tables[name][key].is_unique and tables[name][key].notna().all()
    assert set(tables["orders"]["customer_id"].dropna()) <= set(tables["customers"]["customer_id"])
    assert set(tables["items"]["order_id"]) <= set(tables["orders"]["order_id"])
    assert set(tables["items"]["product_id"]) <= set(tables["products"]["product_id"])
    assert tables["items"][["order_id", "product_id"]].notna().all(axis=None)


@pytest.mark.slow
def test_families_are_as_large_and_as_alike_as_planted(learned: Path) -> None:
    tables = relational.TableSet(learned).sample({"customers": 1500, "products": 20}, seed=3)
    customers, orders = tables["customers"], tables["orders"]
    counts = customers["customer_id"].map(orders["customer_id"].value_counts()).fillna(0)
    gold = customers["tier"] == "gold"
    assert counts[gold].mean() == pytest.approx(6.0, rel=0.2)
    assert counts[~gold].mean() == pytest.approx(0.8, rel=0.35)
    known = orders.dropna(subset=["customer_id"])
    age = known["customer_id"].map(customers.set_index("customer_id")["age"])
    card = known["paid"] == "card"
    assert card[age >= 55].mean() > 0.8 and card[age < 45].mean() < 0.2
    assert known["amount"][age >= 55].median() > 2 * known["amount"][age < 45].median()
    assert orders["customer_id"].isna().mean() == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
def test_grandchildren_and_second_parents_go_together(learned: Path) -> None:
    tables = relational.TableSet(learned).sample({"customers": 1500, "products": 20}, seed=3)
    items = tables["items"].merge(tables["products"], on="product_id").merge(tables["orders"], on="order_id")
    tools = items["kind"] == "tool"
    assert tools[items["paid"] == "card"].mean() > tools[items["paid"] == "cash"].mean() + 0.4


@pytest.mark.slow
def test_a_report_tells_a_run_that_has_learned(learned: Path) -> None:
    figures = {figure.name: figure for figure in relational.evaluate(learned).figures}
    for link in ("orders.customer_id -> customers", "items.order_id -> orders"):
        for name in ("children per parent", "parent and child"):
            standing = figures[f"{link}: {name}"].standing
            assert standing is None or standing > 0.5


def test_keys_are_made_in_the_form_found(run: Path) -> None:
    tables = relational.TableSet(run).sample(30, seed=1)
    assert tables["customers"]["customer_id"].str.fullmatch(r"C-\d{4}").all()
    assert tables["orders"]["order_id"].str.fullmatch(r"\d+").all()
    assert tables["products"]["product_id"].str.fullmatch(r"[0-9a-f]{8}-ab[0-9a-f]{2}").all()


def test_the_same_seed_gives_the_same_files(run: Path, tmp_path: Path) -> None:
    tables = relational.TableSet(run)
    first, second = (tables.write(tables.sample(25, seed=5), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    for path in first:
        header = (run.parent / "shop" / path.name).read_text().splitlines()[0]
        assert path.read_text().splitlines()[0] == header
    assert relational.inspect(tmp_path / "a")[1:] != []  # what comes out can go in


def test_a_table_that_is_no_root_cannot_be_counted(run: Path) -> None:
    with pytest.raises(GannetError, match=r"orders=5: rows can be asked for of root tables; did you mean 'customers'"):
        relational.TableSet(run).sample({"orders": 5})


# ------------------------------------------------------------------------------------------------ the command line


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_command_line_draws_and_proves(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("sample", str(run), "-n", "customers=50,products=20", "--out", str(tmp_path / "new")) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "customers.csv",
        "items.csv",
        "orders.csv",
        "products.csv",
    ]
    assert command("evaluate", str(run), "--out", str(tmp_path)) == 0
    assert "keys: 100% of" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["keys"]["lost"] == report["keys"]["doubled"] == 0
    assert "orders.customer_id -> customers: parent and child" in {figure["name"] for figure in report["figures"]}
    assert command("inspect", str(run.parent / "shop")) == 0
    assert "items: no key; order_id -> orders, product_id -> products" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "RUN", "--where", "tier=gold"], "--where is asked of one table"),
        (["evaluate", "RUN", "--target", "tier"], "--target is asked of one table"),
        (["train", "SHOP", "--private", "epsilon=3"], "--private is asked of one table"),
        (["train", "SHOP", "types=age=integer"], "types: of which table? write it into its section of tables.toml"),
        (["train", "SHOP", "--out", "new", "--recipe", "r3gan", "--samples", "200"], "use maligan"),
    ],
)
def test_what_several_tables_do_not_take_is_said(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(run), "SHOP": str(run.parent / "shop")}
    assert command(*(places.get(word, word) for word in words)) == 2
    assert said in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- interruptions


def two_tables(folder: Path) -> Path:
    random = np.random.default_rng(0)
    parent = {"id": np.arange(60), "kind": random.choice(["a", "b"], 60)}
    child = {"parent_id": random.integers(0, 60, 150), "value": np.round(random.normal(size=150), 1)}
    folder.mkdir()
    pandas.DataFrame(parent).to_parquet(folder / "parent.parquet")
    pandas.DataFrame(child).to_parquet(folder / "child.parquet")
    return folder


def newest(run: Path) -> dict[str, bytes]:
    checkpoint = RunFolder.open(run).newest()
    assert checkpoint is not None
    return {path.name: path.read_bytes() for path in checkpoint.path.iterdir()}


def test_the_same_command_goes_on_after_a_stop_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = two_tables(tmp_path / "two")
    options: dict[str, Any] = {"samples": 600, "size": 0.25, "settings": {"batch_size": 50}}
    whole = relational.train(source, out="whole", **options)

    def stop(progress: Progress) -> None:
        if RunFolder.exists("runs/two-1/child"):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        relational.train(source, report=stop, **options)
    with pytest.raises(GannetError, match=r"not trained to its end; go on with: gannet resume runs/two-1"):
        relational.TableSet("runs/two-1")
    kept = newest(Path("runs/two-1/parent"))
    assert relational.train(source, **options) == Path("runs/two-1")
    assert newest(Path("runs/two-1/parent")) == kept == newest(whole / "parent")
    assert newest(Path("runs/two-1/child")) == newest(whole / "child")
    tables = relational.TableSet("runs/two-1").sample(20)
    assert tables["child"]["parent_id"].dtype == tables["parent"]["id"].dtype == np.int64
    assert set(tables["child"]["parent_id"]) <= set(tables["parent"]["id"])


def test_changed_tables_do_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = two_tables(tmp_path / "two")
    training = relational.Training.of(source, out="run")
    pandas.DataFrame({"id": np.arange(60), "kind": ["a"] * 60}).to_parquet(source / "parent.parquet")
    with pytest.raises(GannetError, match="not those this run began with"):
        relational.resume(training.path)
