"""From a source to samples and back again: train, go on, sample, evaluate, and every refusal on the way."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gannet
from gannet import api
from gannet.errors import GannetError
from gannet.run import RunFolder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANNET_CACHE", str(tmp_path / "cache"))


def small(source: Any = "toy:ring", **options: Any) -> gannet.api.Model:
    return gannet.train(source, **{"samples": 640, "size": 0.25, "batch_size": 32, **options})


def pictures(folder: Path, count: int = 24, size: int = 12) -> Path:
    random = np.random.default_rng(0)
    for index in range(count):
        kind = ("bright", "dark")[index % 2]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 120, (size, size + 2, 3)) + (0 if kind == "dark" else 130)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"{index}.png")
    return folder


def table(path: Path, rows: int = 120) -> Path:
    random = np.random.default_rng(0)
    lines = ["age,income,city"]
    for _ in range(rows):
        age = random.integers(18, 80)
        lines.append(f"{age},{age * 1000 + random.integers(500)},{random.choice(['Oslo', 'Rome', ''])}")
    path.write_text("\n".join(lines) + "\n")
    return path


def checkpoint_bytes(path: Path) -> dict[str, bytes]:
    newest = RunFolder.open(path).newest()
    assert newest is not None
    return {file.name: file.read_bytes() for file in newest.path.iterdir()}


def test_the_same_command_gives_the_same_bytes() -> None:
    small(out="a")
    small(out="b")
    assert checkpoint_bytes(Path("a")) == checkpoint_bytes(Path("b"))
    small(out="c", seed=1)
    assert checkpoint_bytes(Path("a")) != checkpoint_bytes(Path("c"))


def test_sample_i_of_a_seed_does_not_depend_on_how_many_are_asked_for() -> None:
    run = small()
    whole = run.sample(300, seed=4)
    assert np.array_equal(whole[:7], run.sample(7, seed=4))
    assert not np.array_equal(whole, run.sample(300, seed=5))


def test_truncation_shrinks_the_variety_of_samples() -> None:
    run = small()
    full, typical = run.sample(500), run.sample(500, truncation=0.2)
    assert typical.std(0).sum() < 0.7 * full.std(0).sum()


def test_a_caller_keeps_its_own_random_stream() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    small().sample(5)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.fault(4)
def test_the_same_command_goes_on_after_ctrl_c_and_ends_bit_equal() -> None:
    small(out="whole")
    session = api.prepare("toy:ring", out="parts", samples=640, size=0.25, settings={"batch_size": 32})
    outcome = session.play(lambda progress: os.kill(os.getpid(), signal.SIGINT))
    assert outcome.status == "interrupted" and outcome.seen < 640
    assert outcome.message.endswith("go on with: gannet resume parts")
    small(out="parts")
    assert checkpoint_bytes(Path("whole")) == checkpoint_bytes(Path("parts"))


def test_a_run_without_out_is_numbered_and_found_again_until_it_is_finished() -> None:
    first, second = small(), small()
    assert (first.path, second.path) == (Path("runs/ring-1"), Path("runs/ring-2"))
    RunFolder.open(Path("runs/ring-2")).update_settings(finished=False)
    assert small().path == Path("runs/ring-2")


def test_a_finished_run_can_be_extended() -> None:
    small(out="run")
    session = gannet.resume("run", samples=960)
    assert session.resumed
    assert session.play().seen == 960


def test_another_command_on_the_same_folder_is_refused() -> None:
    small(out="run")
    with pytest.raises(GannetError, match=r"run holds a run with seed=0, this command says seed=9"):
        small(out="run", seed=9)


def test_changed_data_is_noticed_and_refused_unless_allowed() -> None:
    source = str(table(Path("people.csv")))
    small(source, out="run", samples=320)
    table(Path("people.csv"), rows=130)
    with pytest.raises(GannetError, match="data is not what this run was trained on"):
        gannet.resume("run", samples=640)
    with pytest.raises(GannetError, match="not the data"):
        gannet.load("run").evaluate()
    assert gannet.resume("run", samples=640, allow_changed_data=True).play().seen == 640


def test_classes_of_pictures_can_be_asked_for() -> None:
    run = small(str(pictures(Path("photos"))), out="run", samples=320)
    made = run.sample(6, where={"label": "dark"})
    assert made.shape == (6, 12, 14, 3) and made.dtype == np.uint8
    written = run.write(made, "out")
    assert len(written) == 6
    with Image.open(written[0]) as first:
        assert first.size == (14, 12)
    assert len(list(Path("run/previews").iterdir())) > 0
    with pytest.raises(GannetError, match="did you mean 'dark'"):
        run.sample(1, where={"label": "drak"})
    with pytest.raises(GannetError, match="did you mean 'label'"):
        run.sample(1, where={"lable": "dark"})


def test_rows_of_a_table_come_back_in_their_own_types() -> None:
    run = small(str(table(Path("people.csv"))), out="run")
    rows = run.sample(50)
    assert list(rows.columns) == ["age", "income", "city"]
    assert rows["age"].between(18, 80).all()
    assert set(rows["city"].dropna()) <= {"Oslo", "Rome"}
    assert run.write(rows, "made.csv")[0].read_text().startswith("age,income,city\n")


def test_evaluation_puts_every_figure_beside_real_and_noise() -> None:
    report = small(out="run").evaluate(samples=300)
    names = {figure.name for figure in report.figures}
    assert {"Fréchet distance", "kernel distance", "precision", "recall", "density", "coverage"} <= names
    assert all(np.isfinite(figure.value) for figure in report.figures)
    assert "random-fourier-1" in " ".join(report.lines())


@pytest.mark.parametrize("recipe", ["gan", "lsgan", "hinge", "wgan", "wgan_gp", "r3gan"])
@pytest.mark.parametrize("source", ["points", "pictures", "table"])
def test_every_recipe_plays_on_every_kind_of_data(recipe: str, source: str) -> None:
    chosen = {
        "points": lambda: "toy:moons",
        "pictures": lambda: str(pictures(Path("photos"))),
        "table": lambda: str(table(Path("people.csv"))),
    }[source]()
    run = small(chosen, recipe=recipe, out="run", samples=64, batch_size=16)
    assert len(run.sample(3)) == 3


def test_arrays_pictures_and_frames_train_from_python() -> None:
    random = np.random.default_rng(0)
    rows = small(random.standard_normal((200, 3)), out="rows").sample(4)
    assert isinstance(rows, np.ndarray) and rows.shape == (4, 3)
    grey = small(random.integers(0, 255, (40, 8, 8), dtype=np.uint8), out="grey", samples=64).sample(4)
    assert grey.dtype == np.uint8 and grey.shape[:3] == (4, 8, 8)


def test_the_estimator_keeps_scikit_learns_conventions() -> None:
    base = pytest.importorskip("sklearn.base")
    rows = np.random.default_rng(0).standard_normal((200, 2))
    model = gannet.GAN(samples=640, random_state=3, settings={"batch_size": 32})
    twin = base.clone(model)
    assert twin is not model and twin.get_params() == model.get_params()
    assert model.fit(rows) is model
    assert np.array_equal(model.sample(5), twin.fit(rows).sample(5))
    with pytest.raises(GannetError, match="fit"):
        gannet.GAN().sample(1)
    with pytest.raises(GannetError, match="did you mean 'recipe'"):
        model.set_params(recipes="gan")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("toy:rnig", {}, "did you mean 'ring'"),
        ("nowhere/", {}, "no such file or folder"),
        ("toy:ring", {"recipe": "r3gam"}, "did you mean 'r3gan'"),
        ("toy:ring", {"batch_sise": 3}, "did you mean 'batch_size'"),
        ("toy:ring", {"samples": 10, "time": "1m"}, "not both"),
        ("toy:ring", {"device": "tpu"}, "expected auto, cpu or cuda"),
        ("toy:ring", {"augment": "adaptive"}, "pictures"),
        ("toy:ring", {"batch_size": 0}, "batch_size=0: must be at least 1"),
        ("toy:ring", {"learning_rate": -1}, "learning_rate=-1.0: must be at least 0"),
        ("toy:ring", {"samples": "many"}, "samples"),
        ("toy:ring", {"size": "XXL"}, "size"),
    ],
)
def test_mistakes_are_answered_in_one_line(source: str, options: dict, message: str) -> None:
    with pytest.raises(GannetError, match=message) as caught:
        gannet.train(source, **{"samples": 64, **options})
    assert "\n" not in str(caught.value)
    assert not Path("runs").exists() or not any(Path("runs").iterdir())


def test_a_kind_that_is_not_built_yet_says_so(tmp_path: Path) -> None:
    (tmp_path / "song.mid").write_bytes(b"MThd")
    with pytest.raises(GannetError, match="music is a kind of data that is not built yet"):
        gannet.train(str(tmp_path / "song.mid"))


def test_the_default_budget_is_a_function_of_data_and_networks_alone() -> None:
    first = api.prepare("toy:ring").total
    assert first == api.prepare("toy:ring", seed=4).total
    assert api.prepare("toy:ring", size=8).total < first


def test_a_time_is_measured_into_samples_once_and_kept() -> None:
    session = api.prepare("toy:ring", time="2s", out="run", size=0.25)
    total = session.total
    assert total > 0 and session.rate is not None
    session.play()
    assert gannet.resume("run").total == total
