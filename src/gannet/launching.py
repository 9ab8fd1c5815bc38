"""Files that let a cluster run a training on several machines: SLURM batch scripts and SkyPilot tasks.

`slurm(command, cluster)` and `skypilot(command, cluster)` give the text; nothing is submitted. Every machine runs the
command with `--processes` and `--node`, and the same command goes on after a time limit, a preemption or a crash: what
is written here has only to start it again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gannet import __version__
from gannet.errors import GannetError, did_you_mean

WARNING_SECONDS = 180
"""Before its time is over a SLURM job is told to save; saving takes a few seconds."""
PORT = 29500
MOUNT = "/gannet"
"""Where a SkyPilot task sees its bucket."""


@dataclass(frozen=True)
class Cluster:
    """What is asked of a cluster."""

    nodes: int = 1
    gpus: str | None = None
    """GPUs a machine: a number (SLURM), or a kind and a number such as H100:8 (SkyPilot)."""
    processes: str = "auto"
    """Processes a machine; auto: one a GPU."""
    hours: float = 24.0
    partition: str | None = None
    """SLURM's partition."""
    bucket: str | None = None
    """SkyPilot: a bucket mounted at /gannet, where runs survive the machines."""


def checked(command: Sequence[str], cluster: Cluster) -> str:
    """The training's command line without `gannet`, quoted. Raises GannetError for what no cluster could go on with."""
    if not command or command[0] not in ("train", "resume"):
        raise GannetError("launch: after -- comes what to run, as in: -- train photos/ --out runs/photos")
    if any(re.search(r"[\x00-\x1f\x7f]", word) for word in command):
        raise GannetError("launch: a word of the command holds a control character; rename the file")
    given = {word.partition("=")[0] for word in command}
    if command[0] == "train" and "--out" not in given:
        raise GannetError("launch: say where the run goes, --out FOLDER on a disk that all machines share")
    for flag in ("--processes", "--node"):
        if flag in given:
            raise GannetError(f"launch: {flag} is what the file says itself; leave it out behind --")
    if cluster.nodes < 1 or not cluster.hours > 0:
        raise GannetError(f"launch: {cluster.nodes} machines for {cluster.hours:g} hours: both must be above 0")
    return shlex.join(["gannet", *command])


def name_of(command: Sequence[str]) -> str:
    """A name for the job: the source's or run's, in letters that every system takes."""
    word = next((word for word in command[1:] if not word.startswith("-")), "run").rstrip("/")
    stem = re.sub(r"[^A-Za-z0-9]+", "-", word.rpartition("/")[2].partition(".")[0]).strip("-").lower()
    return f"gannet-{stem or 'run'}"


def slurm(command: Sequence[str], cluster: Cluster) -> str:
    """A batch script: `sbatch FILE`. Before its time is over the run saves, and the job queues again by itself."""
    line, name = checked(command, cluster), name_of(command)
    if cluster.gpus is not None and not re.fullmatch(r"([A-Za-z0-9_.-]+:)?[0-9]+", cluster.gpus):
        raise GannetError(f"--gpus {cluster.gpus}: a number of GPUs a machine, or KIND:NUMBER")
    if cluster.partition is not None and not re.fullmatch(r"[\w,.-]+", cluster.partition):
        raise GannetError(f"--partition {cluster.partition!r}: no name of a partition")
    asked = [
        f"--job-name={name}",
        f"--nodes={cluster.nodes}",
        "--ntasks-per-node=1",
        *([f"--gpus-per-node={cluster.gpus}"] if cluster.gpus else []),
        *([f"--partition={cluster.partition}"] if cluster.partition else []),
        f"--time={_clock(cluster.hours)}",
        f"--signal=B:USR1@{WARNING_SECONDS}",
        "--requeue",
        "--open-mode=append",
        f"--output={name}-%j.log",
    ]
    each = f'exec {line} --processes {shlex.quote(cluster.processes)} --node "$SLURM_NODEID/$SLURM_JOB_NUM_NODES@$MEET"'
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in asked),
            "# Written by gannet launch; change what you like. All machines must see the run folder.",
            "",
            'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            'export MEET="$first:$((20000 + SLURM_JOB_ID % 20000))"',
            "# export NCCL_SOCKET_IFNAME=ib0   # where machines have several networks, the fast one",
            "",
            f"srun --kill-on-bad-exit=1 bash -c {shlex.quote(each)} &",
            "playing=$!",
            "again=no",
            "# Time is nearly over: every process saves and ends, and the job queues again to go on.",
            "trap 'again=yes; kill -USR1 $playing' USR1",
            "trap 'kill -TERM $playing' TERM",
            "wait $playing",
            "code=$?",
            "while kill -0 $playing 2>/dev/null; do wait $playing; code=$?; done",
            # A run that came to its end in the last minutes need not wait for machines once more.
            'if [ "$again" = yes ] && [ $code -ne 0 ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
            "exit $code",
            "",
        ]
    )


def skypilot(command: Sequence[str], cluster: Cluster) -> str:
    """A task: `sky launch FILE`, or `sky jobs launch FILE` for machines that may be taken away."""
    line, name = checked(command, cluster), name_of(command)
    if cluster.gpus is not None and not re.fullmatch(r"[A-Za-z0-9_.-]+:[0-9]+", cluster.gpus):
        raise GannetError(f"--gpus {cluster.gpus}: SkyPilot needs a kind and a number a machine, as H100:8")
    if cluster.bucket is not None and not re.fullmatch(r"[a-z0-9][a-z0-9._-]+", cluster.bucket):
        raise GannetError(f"--bucket {cluster.bucket!r}: no name of a bucket (small letters, digits, . _ -)")
    resources = ["resources:", *([f"  accelerators: {cluster.gpus}"] if cluster.gpus else ["  cpus: 8+"])]
    mounts = [
        "file_mounts:",
        f"  {MOUNT}:",
        f"    name: {cluster.bucket}",
        "    mode: MOUNT_CACHED  # the log grows and checkpoints are renamed, which MOUNT cannot do on every store",
    ]
    unmounted = [
        f"# With --bucket NAME a bucket is mounted at {MOUNT}: put --out below it, and a run survives its machines.",
    ]
    node = '"$SKYPILOT_NODE_RANK/$SKYPILOT_NUM_NODES@$first:' + f'{PORT}"'
    return "\n".join(
        [
            "# Written by gannet launch; change what you like.",
            f"name: {name}",
            f"num_nodes: {cluster.nodes}",
            *resources,
            "workdir: .",
            *(mounts if cluster.bucket else unmounted),
            "setup: |",
            # What is uploaded may be Gannet's own source, as it is for whoever works on it.
            """  if grep -qs '^name = "gannet"' pyproject.toml; then pip install ".[all]";""",
            f'  else pip install "gannet[all]=={__version__}"; fi',
            "run: |",
            '  first=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)',
            f"  {line} --processes {shlex.quote(cluster.processes)} --node {node}",
            "",
        ]
    )


WRITERS = {"slurm": (slurm, ".sbatch", "sbatch"), "skypilot": (skypilot, ".yaml", "sky launch (or sky jobs launch)")}
"""System -> what writes its file, the file's ending, and what to do with it."""


def write(system: str, command: Sequence[str], cluster: Cluster, out: str | None) -> str:
    """Write the file and say what is next. Raises GannetError for what cannot be, and where there is such a file."""
    if system not in WRITERS:
        raise GannetError(f"{system}: not a system files are written for; {did_you_mean(system, WRITERS)}")
    writer, ending, following = WRITERS[system]
    text = writer(command, cluster)
    path = Path(out or f"{name_of(command)}{ending}")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise GannetError(f"{path} is there already; give another --out, or remove it") from None
    except OSError as error:
        raise GannetError(f"{path}: cannot be written ({error.strerror}); give another --out") from None
    return f"wrote {path}; next: {following} {shlex.quote(str(path))}"


def _clock(hours: float) -> str:
    minutes = max(round(hours * 60), 1)
    return f"{minutes // 60}:{minutes % 60:02}:00"
