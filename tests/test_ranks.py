"""Several processes play the same game as one: gradients, statistics, decisions; real processes over gloo."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gannet.cli import main
from gannet.errors import GannetError
from gannet.ranks import Ranks
from gannet.run import RunFolder

GAMES = Path(__file__).parent / "several" / "games.py"


def environment(index: int, count: int, port: int) -> dict[str, str]:
    paths = os.pathsep.join([str(Path(__file__).parents[1] / "src"), str(GAMES.parent)])
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1",
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    from gannet.processes import _free_port

    return _free_port()


def play_together(
    folder: Path, count: int, names: list[str], *, divided: bool = False
) -> list[dict[str, torch.Tensor]]:
    """Each process's results of the named games of `several/games.py`, the weights divided among all or not."""
    port, limit = free_port(), {"GANNET_DIVIDE_FROM": "0"} if divided else {}
    line = [sys.executable, str(GAMES), str(folder), *names]
    running = [subprocess.Popen(line, env={**environment(index, count, port), **limit}) for index in range(count)]
    assert [each.wait(timeout=120) for each in running] == [0] * count
    from safetensors.torch import load_file

    return [load_file(folder / f"{index}.safetensors") for index in range(count)]


GAME_NAMES = ["r3gan", "wgan_gp", "lazy", "accumulated", "gan", "pictures"]
WAYS = {"1": (1, False), "2": (2, False), "3": (3, False), "2 divided": (2, True), "3 divided": (3, True)}
QUICK = ["2", "3 divided"]
SEVERAL = [*QUICK, *(pytest.param(way, marks=pytest.mark.slow) for way in ("3", "2 divided"))]


class Played(dict[str, list[dict[str, torch.Tensor]]]):
    """Way -> each process's results of all games, played when first asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self.factory = factory

    def __missing__(self, way: str) -> list[dict[str, torch.Tensor]]:
        count, divided = WAYS[way]
        self[way] = play_together(self.factory.mktemp("played"), count, GAME_NAMES, divided=divided)
        return self[way]


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Played:
    return Played(tmp_path_factory)


@pytest.mark.fault(10)
@pytest.mark.parametrize("way", SEVERAL)
@pytest.mark.parametrize("name", GAME_NAMES)
def test_gradients_equal_those_of_one_process_with_the_whole_batch(played, name: str, way: str) -> None:
    alone = played["1"][0]
    keys = [key for key in alone if key.startswith((f"{name}/gradient/", f"{name}/norm/"))]
    assert len(keys) >= 4
    for key in keys:
        scale = alone[key].abs().max()
        assert scale > 0
        for rank in played[way]:
            assert rank[key].shape == alone[key].shape
            assert (rank[key] - alone[key]).abs().max() <= 1e-12 * scale, key


@pytest.mark.parametrize("way", SEVERAL)
@pytest.mark.parametrize("name", GAME_NAMES)
def test_weights_averages_moments_and_statistics_after_steps_equal_those_of_one_process(played, name, way) -> None:
    alone = played["1"][0]
    for key in (key for key in alone if key.startswith(f"{name}/after/")):
        for rank in played[way]:
            torch.testing.assert_close(rank[key], alone[key], rtol=1e-8, atol=1e-9, msg=key)


@pytest.mark.parametrize("way", ["1", *SEVERAL])
@pytest.mark.parametrize("name", GAME_NAMES)
def test_a_remedy_leads_back_to_what_was_kept_and_on_with_another_batch(played, name: str, way: str) -> None:
    alone = played["1"][0]
    for rank in played[way]:
        for key in (key for key in rank if key.startswith(f"{name}/returned/")):
            assert torch.equal(rank[key], rank[key.replace("/returned/", "/after/")]), key
        for key in (key for key in rank if key.startswith(f"{name}/overruled/")):
            torch.testing.assert_close(rank[key], alone[key], rtol=1e-8, atol=1e-9, msg=key)


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("name", GAME_NAMES)
def test_divided_weights_leave_each_process_its_share_of_the_moments_and_no_whole_average(played, name, count) -> None:
    alone, rest = played["1"][0], 4 * count + 8  # counters, and the zeros that make parts equal
    for rank in played[f"{count} divided"]:
        assert abs(int(rank[f"{name}/held/moments"]) - int(alone[f"{name}/held/moments"]) / count) <= rest
        assert rank[f"{name}/held/averages"] == 0 < alone[f"{name}/held/averages"]


@pytest.mark.parametrize("way", SEVERAL)
@pytest.mark.parametrize("name", GAME_NAMES)
def test_every_process_holds_the_same_bits(played, name: str, way: str) -> None:
    first, *others = played[way]
    for key in (key for key in first if key.startswith(f"{name}/after/")):
        assert all(torch.equal(first[key], other[key]) for other in others), key


def test_parts_of_a_batch_lie_side_by_side_and_differ_by_one_at_most() -> None:
    for count in (1, 2, 3, 7):
        for length in (count, 16, 29):
            parts = [Ranks(index, count).part(length) for index in range(count)]
            assert [stop for _, stop in parts[:-1]] == [start for start, _ in parts[1:]]
            assert (parts[0][0], parts[-1][1]) == (0, length)
            sizes = [stop - start for start, stop in parts]
            assert max(sizes) - min(sizes) <= 1


# ------------------------------------------------------------------------------------------------- whole commands


def train(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "gannet", "train", *arguments]
    plain = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(line, env=plain, capture_output=True, text=True, check=check, timeout=300)


def scores(path: Path) -> list[float]:
    return [line["score"] for line in RunFolder.open(path).read_log() if line["event"] == "score"]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return RunFolder.open(path).newest().read()[0]["networks"]


@pytest.mark.slow
@pytest.mark.fault(9)
def test_a_run_begun_by_two_goes_on_alone_as_if_it_had_always_been_alone(tmp_path: Path) -> None:
    common = ("toy:ring", "batch_size=64", "latent=2")
    train(*common, "--samples", "2048", "--out", str(tmp_path / "alone"))
    train(*common, "--samples", "1024", "--out", str(tmp_path / "shared"), "--processes", "2")
    first = [line for line in RunFolder.open(tmp_path / "shared").read_log() if line["event"] == "score"]
    assert first[-1]["seen"] >= 1024
    with pytest.raises(SystemExit) as ended:
        main(["resume", str(tmp_path / "shared"), "--samples", "2048"])
    assert ended.value.code == 0
    alone, shared = weights(tmp_path / "alone"), weights(tmp_path / "shared")
    # The budget stretches the schedules, so the first half differs slightly; the end is close, not equal.
    assert alone.keys() == shared.keys()
    assert RunFolder.open(tmp_path / "shared").newest().seen == RunFolder.open(tmp_path / "alone").newest().seen


@pytest.mark.slow
@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("number", "divide_from"), [("SIGTERM", None), ("SIGINT", None), ("SIGUSR1", None), ("SIGTERM", "0")]
)
def test_a_signal_to_the_launcher_saves_once_and_the_run_goes_on_with_one_process_to_the_same_end(
    number: str, divide_from: str | None, tmp_path: Path, monkeypatch
) -> None:
    import signal

    if divide_from is not None:
        monkeypatch.setenv("GANNET_DIVIDE_FROM", divide_from)
    common = ["toy:ring", "--samples", "20k", "--out"]
    line = [sys.executable, "-m", "gannet", "train", *common, str(tmp_path / "cut"), "--processes", "2"]
    running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = tmp_path / "cut" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 12):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    asked = time.monotonic()
    running.send_signal(getattr(signal, number))
    told, _ = running.communicate(timeout=60)
    assert time.monotonic() - asked < 25
    assert running.returncode == 128 + getattr(signal, number), told
    assert told.count("go on with: gannet resume") == 1, told
    train(*common, str(tmp_path / "cut"))
    train(*common, str(tmp_path / "whole"))
    for name, value in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "cut")[name], value, rtol=2e-2, atol=2e-2, msg=name)


@pytest.mark.slow
@pytest.mark.fault(11)
def test_a_killed_process_ends_the_others_in_bounded_time_and_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    import psutil

    line = [sys.executable, "-m", "gannet", "train", "toy:ring", "--samples", "10M", "--out", str(tmp_path / "run")]
    running = subprocess.Popen([*line, "--processes", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 1):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    victim = max(psutil.Process(running.pid).children(), key=lambda each: each.pid)
    killed = time.monotonic()
    victim.kill()
    told, _ = running.communicate(timeout=60)
    assert time.monotonic() - killed < 40
    assert running.returncode not in (0, None)
    assert "killed by signal 9" in told and "another process" in told, told
    assert RunFolder.open(tmp_path / "run").newest() is not None


def test_a_batch_smaller_than_the_processes_is_refused_by_name() -> None:
    from gannet.api import _check_parts

    with pytest.raises(GannetError, match="batch_size=2.*3 processes"):
        _check_parts({"knobs": {"batch_size": 2}}, Ranks(0, 3))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--processes", "0"], "--processes 0: must be at least 1"),
        (["--processes", "two"], "--processes"),
        (["--node", "2"], "I/N@HOST:PORT"),
        (["--node", "2/2@a:1"], "counted from 0 to 1"),
    ],
)
def test_an_impossible_layout_is_one_line(options: list[str], told: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", *options])
    assert ended.value.code == 2 and told in capsys.readouterr().err


TWO = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE is 'abc', but must be a whole number, 1 or more"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
        ({"WORLD_SIZE": "2"}, "RANK is not set"),
        ({**TWO, "RANK": "-1"}, "RANK is '-1'"),
        ({**TWO, "RANK": "2"}, "RANK is 2, but 2 processes"),
        ({**TWO, "LOCAL_RANK": "x"}, "LOCAL_RANK is 'x'"),
        ({**TWO, "MASTER_ADDR": ""}, "MASTER_ADDR is ''"),
        ({**TWO, "MASTER_PORT": "here"}, "MASTER_PORT is 'here'"),
        ({**TWO, "GANNET_SILENCE": "soon"}, "GANNET_SILENCE is 'soon', but must be a number of seconds above 0"),
        ({**TWO, "GANNET_SILENCE": "nan"}, "GANNET_SILENCE is 'nan'"),
        ({**TWO, "GANNET_DIVIDE_FROM": "1e6"}, "GANNET_DIVIDE_FROM is '1e6'"),
    ],
)
def test_what_a_launcher_sets_wrongly_is_one_line_that_names_it(
    variables: dict[str, str], told: str, monkeypatch, capsys
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits"])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("somebody_else", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ending", ["", "raise SystemExit(0)", pytest.param("1 / 0", marks=pytest.mark.slow)])
def test_a_group_of_ours_or_of_somebody_else_is_joined_and_left_before_the_interpreter_falls_down(
    somebody_else: bool, ending: str
) -> None:
    code = f"""
import atexit, os, torch, torch.distributed as dist
atexit.register(lambda: dist.is_initialized() and os._exit(7))  # runs last of all that is registered
if {somebody_else}:
    dist.init_process_group("gloo")
from gannet.ranks import Ranks
ranks = Ranks.of_environment("cpu")
numbers = torch.tensor([1.0 + ranks.index])
ranks.sum(numbers)
assert numbers.item() == 3.0 and ranks.told(lambda: ranks.index) == 0
{ending}
"""
    port, line = free_port(), [sys.executable, "-c", code]
    running = [
        subprocess.Popen(line, env=environment(index, 2, port), stderr=subprocess.PIPE, text=True) for index in range(2)
    ]
    told = [each.communicate(timeout=120)[1] for each in running]
    assert [each.returncode for each in running] == [int(ending == "1 / 0")] * 2, told


@pytest.mark.slow
def test_nobody_leaves_before_the_first_process_has_written(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from games import BATCH, GAMES, Engine, Ranks
from gannet.run import RunFolder

class Sluggish(RunFolder):
    def save(self, *given, **named):
        time.sleep(1.0)
        super().save(*given, **named)

import torch
torch.set_default_dtype(torch.float64)
ranks = Ranks.of_environment("cpu")
recipe, (spec, samples) = (each() for each in GAMES["gan"])
networks = recipe.build(spec, size=0.25, count=len(samples), holdout=0)
run = Sluggish.create(Path(sys.argv[1]) / "run", {}, "test") if ranks.first else None
engine = Engine(recipe, networks, samples, total=BATCH, ranks=ranks, run=run)
engine.join()
engine.play()
assert any((Path(sys.argv[1]) / "run" / "checkpoints").iterdir())
"""
    port = free_port()
    line = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(line, env=environment(index, 2, port)) for index in range(2)]
    assert [each.wait(timeout=120) for each in running] == [0, 0]
