"""What run folders hold: a real one holds no row, and rows planted in any file are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import gannet
from gannet.errors import GannetError
from gannet.model_contents import model_contents, training_rows_in_files
from gannet.run import RunFolder

pandas = pytest.importorskip("pandas")

SETTINGS = {
    "spec": {"kind": "images", "shape": [1, 4, 4], "condition": None, "blocks": None},
    "domain": {},
    "count": 40,
    "holdout": 5,
}


def rows(count: int, width: int) -> Tensor:
    return torch.rand(count, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def run(path: Path, tensors: dict[str, Tensor], state: dict | None = None) -> Path:
    folder = RunFolder.create(path, SETTINGS, "gannet train somewhere")
    folder.save(100, {"networks": {"generator.weight": torch.randn(30, 20), **tensors}}, state or {}, best=True)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A real run on a small table, and its training rows as the networks saw them."""
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"x": random.normal(size=300), "kind": random.choice(list("abc"), 300), "same": 1})
    path = tmp_path_factory.mktemp("runs") / "one"
    model = gannet.train(frame, samples=512, out=path)
    return path, model.domain.encode(frame)


def test_a_real_run_holds_weights_and_statistics_and_no_row(trained) -> None:
    path, encoded = trained
    lines = "\n".join(model_contents(path))
    assert "weights of the networks" in lines
    assert "names of categories: 3 in 1 columns" in lines
    assert "its smallest and largest value among them" in lines
    assert "the one value of each constant column: 1" in lines
    assert "no table of its rows and no index to them" in lines
    assert training_rows_in_files(path, encoded) == 0


def test_the_weights_are_counted_by_network(tmp_path: Path) -> None:
    path = run(tmp_path / "run", {"judge.bias": torch.zeros(7), "generator.bias": torch.zeros(())})
    assert any("608 numbers in 3 tensors (generator 601, judge 7)" in line for line in model_contents(path))


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_planted_rows_are_found_in_tensors_of_any_precision(tmp_path: Path, kind: torch.dtype) -> None:
    data = rows(40, 25)
    hidden = torch.cat([torch.randn(11), data[3:6].flatten(), torch.randn(5)])
    assert training_rows_in_files(run(tmp_path / "run", {"memory": hidden.to(kind)}), data) == 3


def test_planted_rows_are_found_transposed_and_as_pictures_of_bytes(tmp_path: Path) -> None:
    data = rows(40, 25)
    assert training_rows_in_files(run(tmp_path / "one", {"bank": data[:4].T.contiguous()}), data) == 4
    pictures = torch.randint(0, 256, (40, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scaled = pictures.float() / 127.5 - 1
    assert training_rows_in_files(run(tmp_path / "two", {"bank": pictures[:6]}), scaled) == 6


def test_planted_rows_are_found_in_json(tmp_path: Path) -> None:
    data = rows(40, 25)
    state = {"deep": [{"kept": data[7].tolist()}, {"nested": data[1:3].tolist()}]}
    assert training_rows_in_files(run(tmp_path / "run", {}, state), data) == 3


def test_rows_with_equal_borders_and_rows_of_one_value_raise_no_false_alarm(tmp_path: Path) -> None:
    pictures = torch.full((40, 64), -1.0)
    pictures[:, 28:36] = rows(40, 8)
    pictures[0] = 0.0
    path = run(tmp_path / "run", {"bias": torch.zeros(500), "filled": torch.full((500,), -1.0), "noise": rows(9, 600)})
    assert training_rows_in_files(path, pictures) == 0
    assert training_rows_in_files(run(tmp_path / "two", {"bank": pictures[1:4]}), pictures) == 3


def test_what_is_as_long_as_the_data_is_named(tmp_path: Path) -> None:
    lines = model_contents(run(tmp_path / "run", {"judge.bank": torch.randn(40, 3)}))
    assert any("perhaps by chance: networks.judge.bank" in line for line in lines)
    lines = model_contents(run(tmp_path / "two", {}, {"index": list(range(45))}))
    assert any("state.json" in line for line in lines)


def test_foreign_files_and_changed_checkpoints_are_told(tmp_path: Path) -> None:
    path = run(tmp_path / "run", {})
    RunFolder.open(path).save(200, {"networks": {"generator.weight": torch.randn(30, 20)}}, {}, best=False)
    RunFolder.open(path).save(300, {"other": {"generator.weight": torch.randn(30, 2)}}, {}, best=False)
    (path / "rows.csv").write_text("a,b\n1,2\n")
    lines = "\n".join(model_contents(path))
    assert "checkpoint 000000200: as many numbers again" in lines
    assert "checkpoint 000000300: other, 60 numbers" in lines
    assert "not looked into: rows.csv" in lines


def test_no_run_no_checkpoint_and_a_hurt_file(tmp_path: Path) -> None:
    with pytest.raises(GannetError, match="not a folder"):
        model_contents(tmp_path / "nowhere")
    folder = RunFolder.create(tmp_path / "new", SETTINGS, "gannet train")
    assert "no checkpoint yet" in model_contents(folder.path)
    path = run(tmp_path / "run", {})
    (path / "checkpoints" / "000000100" / "networks.safetensors").write_bytes(b"\x04\x00\x00\x00\x00\x00\x00\x00nope")
    for look in (lambda: model_contents(path), lambda: training_rows_in_files(path, rows(4, 25))):
        with pytest.raises(GannetError, match="networks.safetensors cannot be read"):
            look()


def test_settings_are_read_as_they_are_written(trained) -> None:
    settings = json.loads((trained[0] / "settings.json").read_text())["settings"]
    assert settings["count"] + settings["holdout"] == 300
