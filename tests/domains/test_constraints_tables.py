"""Constraints in the tables domain: opened, said, encoded, decoded, saved, and held in files that come out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from gannet.domains.tables import Tables
from gannet.errors import GannetError
from gannet.spec import Spec

pandas = pytest.importorskip("pandas")
REAL = Path(os.environ.get("GANNET_TEST_DATA", "no-such-folder")) / "tables"
COUNT = 600


def rides(count=COUNT):
    """A frame of rides: sums, orders of dates, zones within boroughs, gaps."""
    random = np.random.default_rng(0)
    fare, tip = random.integers(5, 99, count) / 2, np.round(random.exponential(2, count), 2)
    tip[random.random(count) < 0.3] = 0
    zone = random.integers(0, 20, count)
    start = pandas.Timestamp("2024-01-01") + pandas.to_timedelta(random.integers(0, 10**6, count), unit="s")
    frame = pandas.DataFrame(
        {
            "pickup": start,
            "dropoff": start + pandas.to_timedelta(random.integers(60, 4_000, count), unit="s"),
            "fare": fare,
            "tip": tip,
            "total": np.round(fare + tip + random.choice([0.5, 0.8, 2.5], count), 2),
            "tax": np.round(fare * 0.5, 2),
            "gross": np.round(fare * 1.5, 2),
            "zone": pandas.array(np.array([f"zone {code}" for code in range(20)])[zone], dtype="string"),
            "borough": pandas.Categorical(np.array(["north", "south", "west", "east"])[zone // 5]),
            "number": np.arange(count)[::-1] * 3,
        }
    )
    frame.loc[frame.index % 17 == 0, ["zone", "borough"]] = None
    frame.loc[frame.index % 23 == 0, "tip"] = None
    return frame


def opened(source, seed=0, **options):
    return Tables.open(source, Tables.Options(**options), seed=seed, cache=Path("unused"))


def everything(result):
    data = result.train.dataset
    return data.read(np.arange(len(data)))


def restored(result):
    state = json.loads(json.dumps(result.domain.state(), allow_nan=False))
    return Tables.restore(Spec.from_json(json.loads(json.dumps(result.domain.spec.to_json()))), state)


def written(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def noise(domain, count=COUNT, seed=0):
    return 3 * torch.randn(count, *domain.spec.shape, generator=torch.Generator().manual_seed(seed))


def assert_rides(frame):
    """Every constraint of rides(), by pandas itself."""
    assert (frame["pickup"] <= frame["dropoff"]).all()
    there = frame["tip"].notna()
    assert (np.round(frame["fare"] + frame["tip"] - frame["total"], 9) <= 0)[there].all()
    assert (np.round(frame["fare"] + frame["tax"] - frame["gross"], 9) == 0).all()
    real = rides()
    told = set(zip(real["zone"].fillna(""), real["borough"].astype(object).fillna(""), strict=True))
    pairs = set(zip(frame["zone"].fillna(""), frame["borough"].astype(object).fillna(""), strict=True))
    assert {pair for pair in pairs if "" not in pair} <= told


def test_without_a_word_nothing_is_kept_and_all_is_offered():
    result = opened(rides())
    lines = "\n".join(result.found)
    assert result.domain.constraints is None and result.domain.state()["constraints"] is None
    for rule in ("pickup <= dropoff", "fare + tip <= total", "zone -> borough"):
        assert f"constraint found: {rule} (holds in all" in lines
    assert "constraints=found takes them all" in lines
    assert "constraint found: gross = 1.5 * fare" in lines and "tax <= gross" not in lines


def test_taking_all_that_was_found_holds_in_whatever_a_network_says():
    result = opened(rides(), constraints="found")
    domain = restored(result)
    for seed in range(5):
        frame = domain.decode(noise(domain, seed=seed))
        assert frame.dtypes.to_dict() == rides().dtypes.to_dict()
        assert_rides(frame)
    assert not any(line.startswith("constraints found are not kept") for line in result.found)
    assert any("zone -> borough (borough is looked up)" in line for line in result.found)


def test_real_rows_come_back_through_their_constraints():
    frame = rides()
    result = opened(frame, constraints="found", types="number=integer")
    back = restored(result).decode(everything(result)[0])
    exact = ["fare", "tax", "gross", "zone", "borough"]
    pandas.testing.assert_frame_equal(back[exact], frame[exact])
    # The largest tips are not kept by their encoder; what lies between the parts and the total is.
    apart, before = (each["total"] - each["fare"] - each["tip"] for each in (back, frame))
    assert (np.abs(apart - before)[frame["tip"].notna()] < 1e-9).mean() > 0.99
    for name in ("pickup", "dropoff"):
        assert (back[name] - frame[name]).abs().quantile(0.95) <= pandas.Timedelta("2s")


def test_hidden_columns_are_ordinary_ones_outside_of_the_game():
    result = opened(rides(), constraints="found")
    domain, plain = result.domain, opened(rides()).domain
    assert domain.layout.width < plain.layout.width
    assert domain.unlearned == plain.unlearned
    samples = everything(result)[0]
    frame = domain.frame(samples[:50])
    assert list(frame.columns) == list(rides().columns) and frame["borough"].notna().any()
    shown = {histogram.name for histogram in domain.histograms}
    assert {"gross", "borough", "total"} <= shown
    total = next(histogram for histogram in domain.histograms if histogram.name == "total")
    assert total.edges[-1] > 40
    assert domain.preview(samples[:50]).width > 800 and domain.embed(samples[:50]).shape[0] == 50
    encoded = domain.encode(domain.decode(samples[:50]))
    assert torch.isfinite(encoded).all() and encoded.shape == samples[:50].shape
    said = {line.partition(": ")[0]: line for line in result.found}
    assert said["gross"].startswith("gross: decimals 3.75 to 73.5, computed from") or "computed from" in said["gross"]
    assert "told by zone" in said["borough"]


def test_a_file_of_rules_is_kept_and_the_rest_offered(tmp_path):
    frame = rides()
    text = "rules = ['pickup < dropoff', 'unique(number)', 'tip >= 0', 'number <= 1797']\n"
    result = opened(frame, constraints=written(tmp_path, text), types="number=integer")
    lines = "\n".join(result.found)
    assert "constraint: pickup < dropoff (dropoff is learned as a distance)" in lines
    assert "constraint found: zone -> borough" in lines
    domain = restored(result)
    frame = domain.decode(noise(domain, 300))
    assert (frame["pickup"] < frame["dropoff"]).all() and frame["number"].is_unique
    with pytest.raises(GannetError, match="ask for fewer rows"):
        domain.decode(noise(domain, 2_000))
    # Scores during training are no place for such a refusal.
    assert len(domain.frame(noise(domain, 2_000))) == 2_000


def test_rows_that_break_a_rule_are_refused_by_their_line_or_left_out(tmp_path):
    frame = rides()[["fare", "tip", "zone"]]
    frame.loc[7, "tip"] = 4_321.77
    path = tmp_path / "rides.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(GannetError, match=r"'tip <= 100': 1 of 600 rows break it, the first in line 9 \(tip=4321.77"):
        opened(path, constraints=written(tmp_path, "rules = ['tip <= 100']"))
    result = opened(path, constraints=written(tmp_path, "rules = ['tip <= 100']\ntolerance = 0.01"))
    assert len(result.train.dataset) == 599
    assert any("1 rows that break it are left out" in warning for warning in result.warnings)
    assert "4321.77" not in json.dumps(result.domain.state())


def test_conditions_stand_and_what_depends_on_them_follows():
    result = opened(rides(), constraints="found", condition="zone,dropoff")
    samples, condition = everything(result)
    domain = restored(result)
    frame = domain.decode(noise(domain), condition)
    pandas.testing.assert_series_equal(frame["zone"], rides()["zone"])
    assert (frame["dropoff"] - rides()["dropoff"]).abs().max() <= pandas.Timedelta("1s")
    assert_rides(frame)
    asked = opened(rides(), constraints="found", condition="borough")
    domain = restored(asked)
    frame = domain.decode(noise(domain), everything(asked)[1])
    assert_rides(frame)
    assert (frame["borough"].astype(object).fillna("") == rides()["borough"].astype(object).fillna("")).all()


def test_changed_constraints_are_changed_data():
    frame = rides()
    assert opened(frame).fingerprint == opened(frame).fingerprint != opened(frame, constraints="found").fingerprint


def test_decoding_is_pure():
    domain = opened(rides(), constraints="found").domain
    samples = noise(domain)
    pandas.testing.assert_frame_equal(domain.decode(samples), domain.decode(samples))


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="GANNET_TEST_DATA names no folder with tables/*.csv.gz")
@pytest.mark.parametrize("name", ["nyc_taxis", "telco_churn", "titanic", "compas_deidentified"])
def test_all_that_was_found_in_real_tables_holds_in_noise(name):
    result = opened(REAL / f"{name}.csv.gz", constraints="found")
    domain = restored(result)
    for seed in range(3):
        samples = noise(domain, 1_000, seed)
        values = dict(zip(domain.names, domain._decode(samples, None), strict=True))
        for rule in domain.constraints.rows:
            assert not rule.broken(values).any(), rule.rule
