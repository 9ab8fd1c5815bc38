"""Files for clusters: valid, safely quoted, and they really train on several machines (played by one)."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import gannet
from gannet.cli import main
from gannet.errors import GannetError
from gannet.launching import Cluster, checked, name_of, skypilot, slurm
from gannet.run import RunFolder

ODD = "my $(touch hacked) `touch hacked` 'pictures' \"all\"; touch hacked"
TRAIN = ["train", "toy:ring", "--out", "run", "--samples", "2k", "--size", "0.5"]
SRUN = """[ "$1" = --kill-on-bad-exit=1 ] || exit 64
shift
export JOB=$PPID
for id in 0 1; do SLURM_NODEID=$id "$@" & tasks+=" $! "; done
trap 'kill -USR1 $tasks' USR1
worst=0
while [ -n "$tasks" ]; do
    wait -n -p ended $tasks
    code=$?
    [ -n "$ended" ] || continue
    tasks=${tasks/ $ended /}
    [ $code -gt $worst ] && worst=$code
    [ $code -ne 0 ] && [ -n "$tasks" ] && kill -KILL $tasks
done
exit $worst"""
"""Two machines, which are both this one. As srun does: a signal reaches both, a failure ends both, the highest code is
told (https://slurm.schedmd.com/srun.html)."""


def test_a_slurm_script_is_valid_and_says_what_was_asked() -> None:
    text = slurm(TRAIN, Cluster(nodes=4, gpus="8", hours=1.5, partition="long"))
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=True).returncode == 0
    for option in ("--nodes=4", "--gpus-per-node=8", "--time=1:30:00", "--partition=long", "--signal=B:USR1@180"):
        assert f"#SBATCH {option}\n" in text
    assert text.startswith("#!/bin/bash\n#SBATCH ")


@pytest.mark.parametrize("write", [slurm, skypilot])
def test_odd_paths_reach_the_command_as_they_are_and_run_nothing(write, tmp_path: Path) -> None:
    text = write(["train", ODD, "--out", "o ut"], Cluster(nodes=2))
    seen = tmp_path / "seen"
    fakes = {
        "gannet": f'printf "%s\\n" "$@" > {shlex.quote(str(seen))}',
        "srun": 'shift; exec "$@"',
        "scontrol": "echo 127.0.0.1",
    }
    environment = with_fakes(tmp_path, fakes)
    if write is skypilot:
        text = "\n".join(line[2:] for line in text.split("run: |\n")[1].splitlines())
    subprocess.run(["bash", "-c", text], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert seen.read_text().splitlines()[:4] == ["train", ODD, "--out", "o ut"]
    assert not (tmp_path / "hacked").exists()


def with_fakes(folder: Path, scripts: dict[str, str]) -> dict[str, str]:
    """An environment in which these programs are the scripts, on a cluster of one."""
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(gannet.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        **{"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NODELIST": "one", "SLURM_JOB_NUM_NODES": "2"},
        **{"SLURM_NODEID": "0", "SKYPILOT_NODE_RANK": "0", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_IPS": "1.2.3.4"},
    }


def test_a_skypilot_task_is_yaml_of_the_known_fields() -> None:
    task = yaml.safe_load(skypilot(["train", ODD, "--out", "/gannet/run"], Cluster(3, "H100:8", bucket="my-runs")))
    assert task["num_nodes"] == 3 and task["resources"] == {"accelerators": "H100:8"}
    assert task["file_mounts"] == {"/gannet": {"name": "my-runs", "mode": "MOUNT_CACHED"}}
    assert shlex.split(task["run"].splitlines()[1])[:4] == ["gannet", "train", ODD, "--out"]


@pytest.mark.parametrize(
    ("command", "cluster", "told"),
    [
        ([], Cluster(), "after -- comes what to run"),
        (["sample", "run"], Cluster(), "after -- comes what to run"),
        (["train", "photos"], Cluster(), "--out FOLDER on a disk that all machines share"),
        ([*TRAIN, "--processes", "2"], Cluster(), "--processes is what the file says itself"),
        ([*TRAIN, "--node=0/2@a:1"], Cluster(), "--node is what the file says itself"),
        (["train", "a\nb", "--out", "run"], Cluster(), "control character"),
        (TRAIN, Cluster(nodes=0), "both must be above 0"),
        (TRAIN, Cluster(gpus="H100:8 --wrap=x"), "--gpus"),
        (TRAIN, Cluster(partition="a b"), "--partition"),
    ],
)
def test_what_no_cluster_could_do_is_refused_in_a_line(command: list[str], cluster: Cluster, told: str) -> None:
    with pytest.raises(GannetError, match=told) as refused:
        slurm(command, cluster)
    assert "\n" not in str(refused.value)


def test_skypilot_needs_the_kind_of_gpu_and_a_bucket_a_name() -> None:
    with pytest.raises(GannetError, match="as H100:8"):
        skypilot(TRAIN, Cluster(gpus="8"))
    with pytest.raises(GannetError, match="no name of a bucket"):
        skypilot(TRAIN, Cluster(bucket="A b"))


def test_jobs_are_named_after_what_they_train_on() -> None:
    assert name_of(["train", "data/My Photos (2)/"]) == "gannet-my-photos-2"
    assert name_of(["train", "toy:ring"]) == "gannet-toy-ring"
    assert name_of(["resume", "--time", "1h"]) == "gannet-1h" or name_of(["resume"]) == "gannet-run"
    assert checked(TRAIN, Cluster()).startswith("gannet train toy:ring")


def test_the_verb_writes_a_file_says_what_is_next_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["launch", "slurm", "--nodes", "2", "--", *TRAIN]
    for code in (0, 2):
        with pytest.raises(SystemExit) as left:
            main(line)
        assert (left.value.code or 0) == code
    told = capsys.readouterr()
    assert told.out == "wrote gannet-toy-ring.sbatch; next: sbatch gannet-toy-ring.sbatch\n"
    assert told.err == "error: gannet-toy-ring.sbatch is there already; give another --out, or remove it\n"
    assert "#SBATCH --nodes=2" in (tmp_path / "gannet-toy-ring.sbatch").read_text()


def requeueing(folder: Path) -> str:
    """A `scontrol` that leaves a file where a job queues again."""
    return f'[ "$1" = requeue ] && touch {shlex.quote(str(folder / "requeued"))} || echo 127.0.0.1'


def test_a_job_whose_task_fails_ends_with_a_failure_and_does_not_queue_again(tmp_path: Path) -> None:
    fakes = {
        "gannet": "[ $SLURM_NODEID = 1 ] && exit 3; exec sleep 100",
        "srun": SRUN,
        "scontrol": requeueing(tmp_path),
    }
    job = ["bash", "-c", slurm(TRAIN, Cluster(nodes=2))]
    assert subprocess.run(job, env=with_fakes(tmp_path, fakes), timeout=60).returncode in (3, 128 + signal.SIGKILL)
    assert not (tmp_path / "requeued").exists()


@pytest.mark.parametrize("code", [0, 128 + signal.SIGUSR1])
def test_a_job_that_was_warned_queues_again_unless_its_run_came_to_an_end(code: int, tmp_path: Path) -> None:
    gannet_fake = f"""trap 'sleep 1; exit {int(code)}' USR1
touch ready$SLURM_NODEID
if [ $SLURM_NODEID = 0 ]; then until [ -e ready1 ]; do sleep 0.1; done; kill -USR1 $JOB; fi
while true; do sleep 0.1; done"""
    fakes = {"gannet": gannet_fake, "srun": SRUN, "scontrol": requeueing(tmp_path)}
    job = ["bash", "-c", slurm(TRAIN, Cluster(nodes=2))]
    done = subprocess.run(job, cwd=tmp_path, env=with_fakes(tmp_path, fakes), timeout=60)
    assert done.returncode == code
    assert (tmp_path / "requeued").exists() == (code != 0)


@pytest.mark.parametrize("project", ["gannet", "another", None])
def test_a_skypilot_task_installs_the_uploaded_source_or_the_published_version(
    project: str | None, tmp_path: Path
) -> None:
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "{project}"\n')
    setup = yaml.safe_load(skypilot(TRAIN, Cluster()))["setup"]
    environment = with_fakes(tmp_path, {"pip": 'printf "%s" "$2" > installed'})
    subprocess.run(["bash", "-c", setup], cwd=tmp_path, env=environment, check=True, timeout=60)
    expected = ".[all]" if project == "gannet" else f"gannet[all]=={gannet.__version__}"
    assert (tmp_path / "installed").read_text() == expected


def test_the_line_by_which_a_skypilot_task_knows_its_source_is_in_the_project() -> None:
    assert '\nname = "gannet"\n' in (Path(__file__).parents[1] / "pyproject.toml").read_text()


@pytest.mark.slow
def test_a_slurm_script_trains_one_run_on_two_machines_and_queues_again_when_its_time_is_over(tmp_path: Path) -> None:
    python = shlex.quote(sys.executable)
    fakes = {"gannet": f'exec {python} -m gannet "$@"', "srun": SRUN, "scontrol": requeueing(tmp_path)}
    environment = with_fakes(tmp_path, fakes)
    long = ["train", "toy:ring", "--out", "run", "--samples", "60k", "--size", "0.5"]
    (tmp_path / "job").write_text(slurm(long, Cluster(nodes=2, processes="1")))
    job = subprocess.Popen(["bash", "job"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    patience = time.monotonic() + 120
    while not (RunFolder.exists(tmp_path / "run") and (tmp_path / "run" / "log.jsonl").exists()):
        assert job.poll() is None and time.monotonic() < patience
        time.sleep(0.2)
    time.sleep(3)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(120) == 128 + signal.SIGUSR1
    assert (tmp_path / "requeued").exists()
    assert not RunFolder.open(tmp_path / "run").settings["finished"]
    done = subprocess.run(["bash", "job"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert RunFolder.open(tmp_path / "run").settings["finished"]
