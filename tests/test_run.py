"""A run folder keeps everything, for one writer at a time, through kills, full disks and hurt files."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image

from gannet.errors import GannetError, TrainingWarning
from gannet.run import RunFolder, unused_run_path

FAULTS = Path(__file__).parent / "faults"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"seed": 3}, "gannet train digits")


def save(run: RunFolder, *moments: int, best: int | None = None) -> None:
    for seen in moments:
        groups = {"networks": {"w": torch.full((4,), float(seen))}, "ema": {"w": torch.zeros(4)}}
        run.save(seen, groups, {"seen": seen}, best=seen == best)


def kept(run: RunFolder) -> list[int]:
    return [checkpoint.seen for checkpoint in run.checkpoints()]


def hurt(run: RunFolder, seen: int) -> None:
    """Flip one bit of a checkpoint's weights."""
    path = run.path / "checkpoints" / f"{seen:09d}" / "networks.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def found(run: RunFolder) -> int:
    """The moment of the newest checkpoint, which must exist."""
    checkpoint = run.newest()
    assert checkpoint is not None
    return checkpoint.seen


# Settings


def test_a_new_run_tells_its_settings_command_and_versions(run: RunFolder) -> None:
    again = RunFolder.open(run.path)
    assert again.settings == {"seed": 3}
    assert again.command == "gannet train digits"
    assert again.versions["torch"] == str(torch.__version__)
    assert {"gannet", "python", "platform", "torch", "numpy"} == again.versions.keys()
    assert again.created.startswith("20")
    assert RunFolder.exists(run.path)
    assert not RunFolder.exists(run.path.parent)


def test_settings_change_for_every_later_reader(run: RunFolder) -> None:
    run.update_settings(total=500, pair=(1, math.inf))
    assert run.settings == {"seed": 3, "total": 500, "pair": [1, math.inf]}
    assert RunFolder.open(run.path).settings == run.settings
    assert RunFolder.open(run.path).created == run.created


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", {}, "")
    left_by_a_kill = tmp_path / "left"
    (left_by_a_kill / "checkpoints").mkdir(parents=True)
    (left_by_a_kill / ".unfinished-settings.json").write_text("{")
    RunFolder.create(left_by_a_kill, {}, "")


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, run: RunFolder) -> None:
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "cat.png").write_bytes(b"cat")
    with pytest.raises(GannetError, match=r"photos exists and is not a run; choose a new or empty folder"):
        RunFolder.create(foreign, {}, "")
    with pytest.raises(GannetError, match="cat.png exists and is not a run"):
        RunFolder.create(foreign / "cat.png", {}, "")
    with pytest.raises(GannetError, match="is already a run; go on with it"):
        RunFolder.create(run.path, {}, "")
    assert os.listdir(foreign) == ["cat.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": 1, "settings": {"se', "settings.json cannot be read"),
        (b"\xff\xfe\x00", "settings.json cannot be read"),
        (b"[]", "settings.json cannot be read"),
        (b"{}", "settings.json cannot be read"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"format": 1, "settings": 3, "versions": {}}', "lacks the settings"),
        (b'{"format": 2, "settings": {}, "versions": {}}', "run format 2, newer than 1; upgrade Gannet"),
    ],
)
def test_hurt_settings_are_told_in_one_line(run: RunFolder, content: bytes, words: str) -> None:
    (run.path / "settings.json").write_bytes(content)
    with pytest.raises(GannetError, match=words) as caught:
        RunFolder.open(run.path)
    assert "\n" not in str(caught.value)


def test_what_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(GannetError, match="is not a run: it has no settings.json"):
        RunFolder.open(tmp_path)
    with pytest.raises(GannetError, match="is not a folder"):
        RunFolder.open(tmp_path / "absent")


def test_free_names_count_up_and_are_claimed(tmp_path: Path) -> None:
    paths = [unused_run_path(tmp_path / "runs", "photos") for _ in range(3)]
    assert [path.name for path in paths] == ["photos-1", "photos-2", "photos-3"]
    assert unused_run_path(tmp_path, "../a b:c/").name == "a-b-c-1"
    assert unused_run_path(tmp_path, "...").name == "run-1"
    RunFolder.create(paths[0], {}, "")


# The log


def test_the_log_gives_back_its_records(run: RunFolder) -> None:
    assert run.read_log() == []
    run.log({"seen": 64, "terms": {"r1": 0.5}, "note": "é\n"})
    run.log({"seen": 128})
    assert RunFolder.open(run.path).read_log() == [{"seen": 64, "terms": {"r1": 0.5}, "note": "é\n"}, {"seen": 128}]
    assert len((run.path / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_numbers_that_are_not_finite_are_null_and_named(run: RunFolder) -> None:
    run.log({"seen": 1, "terms": {"r1": math.nan, "adversarial": 1.0}, "list": [1.0, -math.inf]})
    (record,) = run.read_log()
    assert record == {
        "seen": 1,
        "terms": {"r1": None, "adversarial": 1.0},
        "list": [1.0, None],
        "not_finite": {"terms.r1": "nan", "list.1": "-inf"},
    }
    assert "NaN" not in (run.path / "log.jsonl").read_text()


def test_a_torn_last_line_is_left_out_and_not_continued(run: RunFolder) -> None:
    run.log({"seen": 1})
    with open(run.path / "log.jsonl", "ab") as file:
        file.write(b'{"seen": 2, "te')
    again = RunFolder.open(run.path)
    assert again.read_log() == [{"seen": 1}]
    again.log({"seen": 3})
    assert again.read_log() == [{"seen": 1}, {"seen": 3}]


def test_a_hurt_line_in_the_middle_is_left_out_and_told(run: RunFolder) -> None:
    (run.path / "log.jsonl").write_bytes(b'{"seen": 1}\n{"se\xff\n{"seen": 3}\n')
    with pytest.warns(TrainingWarning, match="line 2 of .*log.jsonl is hurt"):
        assert run.read_log() == [{"seen": 1}, {"seen": 3}]


def test_a_rewound_log_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    def play(run: RunFolder, moments: range) -> None:
        for seen in moments:
            run.log({"seen": seen, "loss": seen / 7})
            run.log({"event": f"after {seen}"})

    straight = RunFolder.create(tmp_path / "straight", {}, "")
    broken = RunFolder.create(tmp_path / "broken", {}, "")
    play(straight, range(9))
    play(broken, range(6))
    broken.rewind_log(3)
    play(RunFolder.open(broken.path), range(4, 9))
    assert (broken.path / "log.jsonl").read_bytes() == (straight.path / "log.jsonl").read_bytes()


@pytest.mark.fault(3)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_log_is_told_with_sizes(run: RunFolder) -> None:
    (run.path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        GannetError, match=r"cannot append to log.jsonl in .*run: the disk or quota is full \(12 bytes needed"
    ):
        run.log({"seen": 1})


# Checkpoints


def test_the_newest_two_and_the_best_are_kept(run: RunFolder) -> None:
    assert run.newest() is None
    assert run.best() is None
    save(run, 10, 20, 30, best=10)
    assert kept(run) == [10, 20, 30]
    save(run, 40, 50)
    assert kept(run) == [10, 40, 50]
    save(run, 60, best=60)
    assert kept(run) == [50, 60]
    best = run.best()
    assert best is not None and best.seen == 60
    groups, state = best.read()
    assert torch.equal(groups["networks"]["w"], torch.full((4,), 60.0))
    assert state == {"seen": 60}


def test_without_a_best_the_newest_serves(run: RunFolder) -> None:
    save(run, 10, 20)
    best = run.best()
    assert best is not None and best.seen == 20


def test_saving_the_same_moment_again_keeps_one(run: RunFolder) -> None:
    save(run, 10, 20, 20, 20)
    assert kept(run) == [10, 20]
    assert {path.name for path in (run.path / "checkpoints").iterdir()} == {"000000010", "000000020"}


@pytest.mark.fault(5)
def test_a_hurt_newest_is_passed_over_and_named(run: RunFolder) -> None:
    save(run, 10, 20)
    hurt(run, 20)
    with pytest.warns(TrainingWarning, match=r"000000020 is hurt: networks.safetensors was altered.*back to 000000010"):
        assert found(run) == 10
    (run.path / "checkpoints" / "000000020" / "state.json").unlink()
    with pytest.warns(TrainingWarning, match="000000020 is hurt"):
        assert found(run) == 10


@pytest.mark.fault(5)
def test_when_all_are_hurt_nothing_starts_anew_silently(run: RunFolder) -> None:
    save(run, 10, 20)
    hurt(run, 10)
    hurt(run, 20)
    with pytest.raises(GannetError, match="no whole checkpoint is left of 2: .*000000020 is hurt"):
        run.newest()


@pytest.mark.fault(5)
def test_a_hurt_or_lost_best_gives_way_to_the_newest(run: RunFolder) -> None:
    save(run, 10, 20, 30, best=10)
    hurt(run, 10)
    with pytest.warns(TrainingWarning, match="000000010 is hurt"):
        best = run.best()
    assert best is not None and best.seen == 30
    (run.path / "checkpoints" / "000000010" / "manifest.json").unlink()
    best = run.best()
    assert best is not None and best.seen == 30


def test_going_back_drops_the_given_up_future(run: RunFolder) -> None:
    save(run, 10, 20, 30, 40, best=40)
    hurt(run, 40)
    save(run, 35)
    assert kept(run) == [30, 35]
    assert found(run) == 35
    best = run.best()
    assert best is not None and best.seen == 35, "the best of the given-up future is forgotten"


def test_the_best_stays_the_best_when_its_moment_is_saved_again(run: RunFolder) -> None:
    save(run, 10, 20, best=20)
    save(run, 20, 30, 40, 50)
    best = run.best()
    assert best is not None and best.seen == 20


def test_a_cut_checkpoint_does_not_count_as_one_of_the_two(run: RunFolder) -> None:
    save(run, 10, 20)
    os.truncate(run.path / "checkpoints" / "000000020" / "networks.safetensors", 9)
    save(run, 30)
    assert kept(run) == [10, 30]


def test_previews_are_kept_by_their_moment(run: RunFolder) -> None:
    picture = Image.new("RGB", (4, 3), (200, 10, 10))
    path = run.add_preview(1024, picture)
    assert path == run.path / "previews" / "000001024.png"
    run.add_preview(64, picture)
    run.add_preview(64, picture)
    assert [path.stem for path in run.previews()] == ["000000064", "000001024"]
    with Image.open(path) as again:
        assert again.getpixel((3, 2)) == (200, 10, 10)


def test_a_folder_that_may_not_be_written_is_told(run: RunFolder) -> None:
    save(run, 10)
    for folder in (run.path / "checkpoints", run.path):
        folder.chmod(0o500)
    try:
        if os.access(run.path, os.W_OK):
            pytest.skip("permissions do not bind the superuser, nor Windows")
        with pytest.raises(GannetError, match="may not be written by this user"):
            save(run, 20)
        with pytest.raises(GannetError, match="may not be written by this user"), run.hold():
            pass
        assert found(run) == 10
    finally:
        for folder in (run.path, run.path / "checkpoints"):
            folder.chmod(0o700)


# One writer


@pytest.fixture
def trainer(run: RunFolder) -> Iterator[subprocess.Popen]:
    """Another process that holds the run: the lock is ours, with its name put in."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with run.hold():
        lock = json.loads((run.path / "lock.json").read_text())
    lock |= {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
    (run.path / "lock.json").write_text(json.dumps(lock))
    yield process
    process.kill()
    process.wait()


def test_two_processes_cannot_train_in_one_folder(run: RunFolder, trainer: subprocess.Popen) -> None:
    with pytest.raises(GannetError, match=rf"run is being trained by process {trainer.pid} .*wait for it, stop it"):
        with run.hold():
            pass
    trainer.kill()
    while psutil.Process(trainer.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with run.hold():  # the dead child is still a zombie: taken over all the same
        assert json.loads((run.path / "lock.json").read_text())["pid"] == os.getpid()
    assert not (run.path / "lock.json").exists()


def test_one_process_cannot_hold_twice(run: RunFolder) -> None:
    with run.hold():
        with pytest.raises(GannetError, match=f"is being trained by process {os.getpid()}"):
            with RunFolder.open(run.path).hold():
                pass
        assert (run.path / "lock.json").exists()
    with run.hold():
        pass


def test_the_lock_is_given_up_after_an_error(run: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt), run.hold():
        raise KeyboardInterrupt
    assert not (run.path / "lock.json").exists()


def test_a_process_id_that_was_used_again_is_not_the_holder(run: RunFolder) -> None:
    with run.hold():
        lock = json.loads((run.path / "lock.json").read_text())
    lock["started"] -= 60
    (run.path / "lock.json").write_text(json.dumps(lock))
    with run.hold():
        pass


def test_a_lock_of_another_machine_holds_while_it_shows_life(run: RunFolder) -> None:
    with run.hold():
        lock = json.loads((run.path / "lock.json").read_text())
    path = run.path / "lock.json"
    path.write_text(json.dumps({**lock, "host": "elsewhere"}))
    with pytest.raises(GannetError, match="on elsewhere"), run.hold():
        pass
    os.utime(path, (time.time() - 900,) * 2)
    with run.hold():
        os.utime(path, (time.time() - 900,) * 2)
        run.log({"seen": 1})
        assert time.time() - path.stat().st_mtime < 60, "a log line shows life"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid": -1, "started": 0, "host": "", "since": ""}']
)
def test_a_hurt_lock_is_taken_over(run: RunFolder, content: bytes) -> None:
    path = run.path / "lock.json"
    path.write_bytes(content)
    os.utime(path, (time.time() - 900,) * 2)
    with run.hold():
        pass
    assert not list(run.path.glob(".unfinished-*"))


# Kills

STAGES = (
    *("save:begin", "save:ema", "save:networks", "save:optimisers", "save:state", "save:filled", "save:aside"),
    *("save:renamed", "save:prune", "prune:renamed", "save:pruned"),
)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What one run of the script of kills reports, a record a trial."""
    if os.name == "nt":
        pytest.skip("needs fork")
    script = [
        sys.executable,
        "-W",
        "error",
        str(FAULTS / "kill_inside_save.py"),
        str(tmp_path_factory.mktemp("kills") / "run"),
    ]
    told = subprocess.run([*script, *STAGES, "random:9", "read:1"], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


@pytest.mark.fault(2)
def test_a_kill_at_any_stage_of_a_save_costs_at_most_that_save(trials: list[dict]) -> None:
    kills = trials[:-1]
    assert len(kills) == len(STAGES) + 9 == 20
    for trial in kills:
        assert trial["signal"] == 9, trial
        assert not trial["lost"], trial
        assert trial["right"] and trial["log"], trial
        assert trial["stray"] == [] and not trial["held"], trial
        assert trial["kept"] in (2, 3), trial
    assert sum(bool(trial["left behind"]) for trial in kills) >= 8, "the kills did fall inside saves"
    assert any(re.fullmatch(r".*gone-\d+", name) for trial in kills for name in trial["left behind"])


def test_a_reader_is_not_troubled_by_the_trainer(trials: list[dict]) -> None:
    assert trials[-1]["stage"] == "read"
    assert trials[-1]["reads"] > 0 and trials[-1]["saves"] > 0


def test_without_the_environment_nothing_dies(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANNET_FAULT", "save:elsewhere")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(run, 1)
    assert found(run) == 1
