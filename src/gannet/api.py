"""What the command line and Python callers share: prepare a session, train, resume, load, evaluate, inspect.

run = gannet.train("photos/", time="10m")
run.sample(16, seed=0)
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from gannet import settings as knobs
from gannet.conditions import ConditionPrior
from gannet.domains import Opened, domain_for
from gannet.engine import Progress
from gannet.errors import GannetError
from gannet.model import Model
from gannet.order import mixed_seed
from gannet.privacy import Wanted
from gannet.private_run import RECIPE as PRIVATE
from gannet.private_run import Privacy, refuse, refuse_more
from gannet.ranks import Ranks
from gannet.recipes import Recipe, recipe_named
from gannet.recipes.private import Private
from gannet.run import RunFolder, unused_run_path
from gannet.session import Outcome, Session, announce

if TYPE_CHECKING:
    from gannet.bench import Bench

__all__ = ["Outcome", "Progress", "Session", "bench", "evaluate", "inspect", "load", "prepare", "resume", "train"]

RUNS = Path("runs")
PRIOR_NUMBERS = 1 << 24
"""Numbers in the condition vectors that the frequencies of classes are counted from: all samples, unless millions."""


def train(
    source: Any,
    *,
    recipe: str | None = None,
    out: str | Path | None = None,
    time: str | float | None = None,
    samples: str | int | None = None,
    size: str | float | None = None,
    device: str = "auto",
    seed: int = 0,
    remedies: bool = True,
    private: Any = None,
    report: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Model:
    """Train on `source` (a path, a built-in name, arrays, a data frame) and return the model.

    The referee watches the game; with `remedies=False` it reports trouble and touches nothing. `private` trains a
    table with differential privacy: an epsilon, or {"epsilon": 3, "delta": 1e-6}.
    `settings` are the recipe's and the domain's own (see `gannet list RECIPE`). Raises GannetError for anything
    that cannot be done as asked; Ctrl-C saves, and the same call goes on.
    """
    session = prepare(
        source,
        recipe=recipe,
        out=out,
        time=time,
        samples=samples,
        size=size,
        device=device,
        seed=seed,
        remedies=remedies,
        private=private,
        settings=settings,
    )
    outcome = session.play(report)
    if outcome.status == "interrupted":
        raise KeyboardInterrupt(outcome.message)
    return load(session.run_path)


def resume(
    path: str | Path,
    *,
    samples: str | int | None = None,
    time: str | float | None = None,
    device: str = "auto",
    allow_changed_data: bool = False,
    source: Any = None,
) -> Session:
    """Go on with the run at `path`, to its own budget or to a new one. Raises GannetError when its data changed."""
    folder = RunFolder.open(Path(path))
    request = folder.settings["request"]
    if source is None and request["source"] is None:
        raise GannetError(f"{path} was trained on data in memory; give the same data again as source")
    return prepare(
        request["source"] if source is None else source,
        recipe=request["recipe"],
        out=path,
        time=time,
        samples=samples,
        size=request["size"],
        device=device,
        seed=request["seed"],
        remedies=request.get("remedies", True),
        private=request.get("private"),
        settings=request["settings"],
        allow_changed_data=allow_changed_data,
    )


def load(path: str | Path, *, checkpoint: Literal["best", "newest"] = "best", device: str = "cpu") -> Model:
    """The model of the run at `path`, by its best (or newest) checkpoint."""
    return Model(RunFolder.open(Path(path)), checkpoint, device)


def evaluate(path: str | Path, **options: Any) -> Any:
    """Measure the model of the run at `path`; see `Model.evaluate`."""
    return load(path).evaluate(**options)


def inspect(source: Any, *, seed: int = 0, **settings: Any) -> list[str]:
    """What a source holds, in lines for a person, without training on it."""
    return found_lines(open_source(source, settings, seed))


def bench(source: Any, *, seconds: float = 10.0, **choices: Any) -> Bench:
    """Play the game that `train` would play on `source` for so long and keep nothing: what this machine makes of it.

    `choices` are those of `prepare`. Raises GannetError for anything that cannot be done as asked.
    """
    from gannet import bench as benching

    # Of a run that this command itself might have begun nothing is wanted, so its folder is one that is not there.
    nowhere = Path(tempfile.gettempdir()) / f"gannet-bench-{os.getpid()}"
    return benching.bench(prepare(source, samples=10**9, out=nowhere, **choices).trial(), seconds=seconds)


def open_source(source: Any, settings: Mapping[str, Any], seed: int, recipe: str | None = None) -> Opened:
    """A source opened with those of the settings that are its domain's own (the others are the recipe's)."""
    domain = domain_for(source)
    _, options = knobs.apply([recipe_named(recipe or domain.default_recipe), domain.Options], settings)
    return domain.open(source, domain.Options(**options), seed=seed, cache=cache_folder())


def prepare(
    source: Any,
    *,
    recipe: str | None = None,
    out: str | Path | None = None,
    time: str | float | None = None,
    samples: str | int | None = None,
    size: str | float | None = None,
    device: str = "auto",
    seed: int = 0,
    remedies: bool = True,
    private: Any = None,
    settings: Mapping[str, Any] | None = None,
    command: str | None = None,
    allow_changed_data: bool = False,
) -> Session:
    """Open the data, choose what was not said, and make (or find again) the run folder. Nothing is trained yet."""
    if time is not None and samples is not None:
        raise GannetError("give either a time or a number of samples, not both")
    seconds = None if time is None else knobs.parse_duration(time)
    count = None if samples is None else knobs.parse_count(samples)
    where = chosen_device(device)
    ranks = Ranks.of_environment(where)
    domain, wanted = domain_for(source), None if private is None else Wanted.parse(private)
    if wanted is not None and not ranks.alone:
        raise GannetError(
            f"--private plays in one process, and this is one of {ranks.count}; start it without --processes"
        )
    refuse(domain, source, recipe, wanted, seconds)
    name = recipe or (domain.default_recipe if wanted is None else PRIVATE)
    recipe_class = recipe_named(name)
    chosen, options = knobs.apply([recipe_class, domain.Options], settings or {})
    request = {
        "source": str(source) if isinstance(source, str | Path) else None,
        "recipe": recipe,
        "size": size,
        "seed": seed,
        "remedies": remedies,
        "settings": {key: value if _plain(value) else str(value) for key, value in (settings or {}).items()},
        **({} if wanted is None else {"private": wanted.to_json()}),
    }
    privacy: Privacy | None = None
    with ranks.first_ahead():
        folder, read = _found_again(request, out) if ranks.first else None, domain.Options(**options)
        if wanted is None:
            opened = domain.open(source, read, seed=seed, cache=cache_folder())
        elif folder is None:
            asked = Private(**chosen)
            privacy, opened = Privacy.begin(source, read, asked, wanted, samples=count, seed=seed)
            chosen |= {"batch_size": asked.batch_size, "steps": asked.steps}
        else:
            refuse_more(folder.settings, count, seconds, folder.path)
            privacy, opened = Privacy.of(folder.settings, source, read, folder.path, training=True)
        if not ranks.first:
            resolved = {}
        elif folder is None:
            capacity = knobs.parse_size(size) if size is not None else (1.0 if where == "cpu" else 2.0)
            suited = recipe_class.suited(opened.domain.spec, capacity, len(opened.train))
            resolved = _resolve(recipe_class(**{**suited, **chosen}), name, opened, request, capacity, where)
            if privacy is not None:
                resolved |= {**privacy.to_json(), "total": privacy.plan.steps * chosen["batch_size"]}
        elif folder.settings["fingerprint"] != opened.fingerprint and not allow_changed_data:
            raise GannetError(
                f"{folder.path}: the data is not what this run was trained on; put the old data back, choose another "
                "--out for the new data, or go on anyway with --allow-changed-data"
            )
        else:
            resolved = {**folder.settings, "device": where}
    resolved = ranks.told(lambda: resolved)
    _check_parts(resolved, ranks)
    line = command or _command()
    session = Session(resolved, opened, folder=folder, command=line, privacy=privacy, ranks=ranks)
    session.set_budget(seconds=seconds, samples=count if privacy is None else None)
    session.run_path = Path(ranks.told(lambda: str(_run_path(folder, out, source))))
    session.announcement = announce(session, found_lines(opened))
    return session


def _run_path(folder: RunFolder | None, out: str | Path | None, source: Any) -> Path:
    if folder is not None:
        return folder.path
    return Path(out) if out is not None else unused_run_path(RUNS, _stem(source))


def _check_parts(settings: Mapping[str, Any], ranks: Ranks) -> None:
    batch = settings["knobs"]["batch_size"]
    if batch < ranks.count:
        raise GannetError(
            f"batch_size={batch}: each of {ranks.count} processes needs a sample of every batch; "
            f"start fewer, or set batch_size={ranks.count} or more"
        )


def _resolve(
    recipe: Recipe, name: str, opened: Opened, request: dict[str, Any], size: float, device: str
) -> dict[str, Any]:
    """Every choice of a new run, as JSON values."""
    spec, count = opened.domain.spec, len(opened.train)
    if recipe.batch_size > count:
        recipe.batch_size = max(count, 2)
    recipe.check(spec)
    prior = None
    if spec.condition is not None:
        vectors = opened.train.conditions(_spread(count, PRIOR_NUMBERS // spec.condition_width, request["seed"]))
        assert vectors is not None
        prior = ConditionPrior.of(spec.condition, vectors).to_json()
    return {
        "request": request,
        "recipe": name,
        "knobs": {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe) if field.init},
        "size": size,
        "seed": request["seed"],
        "device": device,
        "precision": chosen_precision(recipe.precision, device),
        "spec": spec.to_json(),
        "domain": opened.domain.state(),
        "prior": prior,
        "count": count,
        "holdout": 0 if opened.holdout is None else len(opened.holdout),
        "fingerprint": opened.fingerprint,
        "embedder": opened.domain.embedder,
    }


def _spread(count: int, most: int, seed: int) -> np.ndarray:
    """All positions of so many samples, or some of them from everywhere: classes often lie one after the other."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(mixed_seed(seed, "prior")).choice(count, most, replace=False))


def _found_again(request: dict[str, Any], out: str | Path | None) -> RunFolder | None:
    """The run that the same request began: at `out`, or the newest unfinished one below runs/."""
    if out is not None:
        path = Path(out)
        if not RunFolder.exists(path):
            return None
        folder = RunFolder.open(path)
        for key, value in {"private": None, **folder.settings["request"]}.items():
            if value != request.get(key):
                raise GannetError(
                    f"{path} holds a run with {key}={value}, this command says {key}={request.get(key)}; "
                    "choose another --out, or repeat the first command to go on"
                )
        return folder
    if request["source"] is None:
        return None
    for path in sorted(RUNS.glob(f"{_stem(request['source'])}-*"), reverse=True):
        if RunFolder.exists(path):
            folder = RunFolder.open(path)
            if folder.settings["request"] == request and not folder.settings.get("finished", False):
                return folder
    return None


def found_lines(opened: Opened) -> list[str]:
    """What a source holds: findings, what was skipped and why, and warnings."""
    lines = list(opened.found)
    if opened.skipped:
        lines.append(f"skipped {len(opened.skipped)} files:")
        lines += [f"  {item.name}: {item.reason}" for item in opened.skipped[:10]]
        if len(opened.skipped) > 10:
            lines.append(f"  and {len(opened.skipped) - 10} more")
    return lines + [f"warning: {warning}" for warning in opened.warnings]


def chosen_device(device: str) -> str:
    """cpu or cuda; "auto" takes a GPU where there is one."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise GannetError(f"device={device}: expected auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise GannetError("device=cuda: this PyTorch sees no GPU; use --device cpu, or install a CUDA build of PyTorch")
    return device


def chosen_precision(precision: str, device: str) -> str:
    """fp32 or bf16; "auto" takes bf16 on a GPU that computes in it."""
    if precision == "auto":
        return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return precision


def cache_folder() -> Path:
    """Where decoded data is kept: $GANNET_CACHE, else the user's cache folder, else a temporary one."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    for candidate in (os.environ.get("GANNET_CACHE"), f"{home}/gannet", f"{tempfile.gettempdir()}/gannet-cache"):
        if candidate is None:
            continue
        try:
            folder = Path(candidate).expanduser()
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise GannetError("no folder for decoded data can be written; set GANNET_CACHE to one that can")


def _stem(source: Any) -> str:
    if not isinstance(source, str | Path):
        return "array"
    name = Path(str(source).removeprefix("toy:").removeprefix("series:")).name.split(".")[0]
    return name or Path(source).resolve().name or "run"


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _command() -> str:
    return " ".join(sys.argv)
