"""The command line: one function a verb, each a thin cover of `gannet.api`; `main` turns every failure into one line.

Nothing heavy is imported before a verb needs it, so that help and completion answer at once.
Exit codes: 0 done, 2 the user's mistake, 130 interrupted (and saved), 70 our mistake.
"""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from gannet import __version__
from gannet.command_parser import Verb, Verbs
from gannet.endings import INTERRUPTED, ended
from gannet.errors import GannetError, did_you_mean
from gannet.settings import Knob, apply, coerce, knobs, parse_count, parse_duration, parse_pairs, parse_size, show

if TYPE_CHECKING:
    from gannet.api import Session

TEACHING = """\
Gannet trains a generative adversarial network on your own data.

  gannet train photos/                    a folder of pictures; sub-folders become labels
  gannet train people.csv --time 10m      a table, for ten minutes
  gannet train digits                     an embedded set, to see how it goes
  gannet sample runs/photos-1 -n 64       new pictures from a trained run
  gannet fill runs/people-1 gaps.csv      missing cells of rows, completed
  gannet evaluate runs/photos-1           real? varied? new? private? fair? useful?

  gannet inspect photos/                  what would be trained on, and how
  gannet list                             recipes and kinds of data
  gannet list r3gan                       everything that can be set on one
  gannet resume runs/photos-1             go on after a stop; Ctrl-C saves first

Settings follow the source as key=value: gannet train photos/ batch_size=32
gannet VERB --help explains a verb.
"""

SPINS = "10000"
"""Turns that a thread of PyTorch waits for another before it lets the processor go: some ten microseconds' worth."""

app = typer.Typer(
    cls=Verbs,
    name="gannet",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gannet {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def gannet(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train a generative adversarial network on your own data, watch the game, and prove what came out."""
    if ctx.invoked_subcommand is None:
        print(TEACHING, end="")


def recipe_names(incomplete: str) -> list[str]:
    """Recipes for shell completion: the keys of the registry, read from its source, for importing it loads PyTorch."""
    registry = ast.parse((Path(__file__).parent / "recipes" / "__init__.py").read_text(encoding="utf-8"))
    keys: list[str] = []
    for statement in registry.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id="RECIPES"), value=ast.Dict(keys=names)):
                keys = [name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)]
    return [key for key in keys if key.startswith(incomplete)]


# ---------------------------------------------------------------------------------------------- flags that verbs share

Pairs = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings; see gannet list.")]
RunPath = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, such as runs/photos-1.")]
Time = Annotated[str | None, typer.Option(metavar="10m", help="How long to train: 90s, 10m, 1h30m.")]
Samples = Annotated[str | None, typer.Option(metavar="500k", help="How long to train, in samples seen: 500k, 2M.")]
Size = Annotated[str | None, typer.Option(metavar="S|M|L", help="Size of the networks, or a number (S is 1).")]
Device = Annotated[str, typer.Option(metavar="NAME", help="Where to train: auto, cpu or cuda.")]
Seed = Annotated[str, typer.Option(metavar="N", help="The same seed gives the same result.")]
SafeCells = Annotated[
    bool, typer.Option("--safe-cells", help="In .csv: an apostrophe before text that a spreadsheet would run.")
]
Processes = Annotated[
    str | None,
    typer.Option(metavar="N|auto", help="Share every batch among N processes here; auto: one a GPU. Same result."),
]
Node = Annotated[
    str | None,
    typer.Option(
        metavar="I/N@HOST:PORT", help="This is machine I (from 0) of N; they meet at the first one's address."
    ),
]


def _how_long(time: str | None, samples: str | None) -> dict[str, Any]:
    """The arguments `time` (seconds) and `samples`, of which at most one is given."""
    if time is not None and samples is not None:
        raise GannetError("--time and --samples both say how long to train; give one")
    return {
        "time": None if time is None else parse_duration(time, "--time"),
        "samples": None if samples is None else parse_count(samples, "--samples"),
    }


def _seed(text: str) -> int:
    seed: int = coerce(int, text, "--seed")
    if seed < 0:
        raise GannetError(f"--seed must be 0 or more, not {text}")
    return seed


def _settings(texts: list[str] | None, flags: Iterable[str]) -> dict[str, str]:
    """Trailing key=value; what a verb has as a flag is answered with the flag."""
    pairs = parse_pairs(texts or [])
    for key in flags:
        if key in pairs:
            raise GannetError(f"{key} is a flag, not a setting: --{key} {shlex.quote(pairs[key])}")
    return pairs


def _run_folder(text: str) -> Path:
    """The run folder, or an error naming one that is meant; checked before PyTorch is loaded."""
    path = Path(text)
    if not path.is_dir():
        runs = [str(folder) for folder in Path("runs").glob("*") if folder.is_dir()]
        meant = f"runs/{path.name}"
        advice = f"did you mean {meant!r}?" if meant in runs else did_you_mean(text, runs)
        raise GannetError(f"{text}: no such run folder; {advice}")
    return path


# ---------------------------------------------------------------------------------------------- verbs


@app.command(cls=Verb)
def train(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder, zip or file of data, digits, or toy:ring.")
    ],
    settings: Pairs = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Published system to train.", autocompletion=recipe_names)
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Run folder; an unfinished run there goes on.")
    ] = None,
    time: Time = None,
    samples: Samples = None,
    size: Size = None,
    device: Device = "auto",
    seed: Seed = "0",
    remedies: Annotated[
        bool, typer.Option("--remedies/--no-remedies", help="Let the referee act on trouble, or only report it.")
    ] = True,
    private: Annotated[
        str | None,
        typer.Option(metavar="epsilon=3", help="Tables: train with differential privacy; delta=1e-6 may follow."),
    ] = None,
    processes: Processes = None,
    node: Node = None,
) -> None:
    """Train on SOURCE, keeping everything in a run folder. Ctrl-C saves and tells how to go on."""
    _together(ctx, processes, node)
    flags = {
        "recipe": recipe,
        "out": out,
        **_how_long(time, samples),
        "size": None if size is None else parse_size(size, "--size"),
        "device": device,
        "seed": _seed(seed),
        "remedies": remedies,
    }
    pairs = _settings(settings, [*flags, "private", "processes", "node"])
    if private is not None and "delta" in pairs:
        private = f"{private},delta={pairs.pop('delta')}"
    from gannet import api, relational
    from gannet.uncompiled import spare_compiler

    spare_compiler()
    if relational.claims(source):
        relational.verbs.refuse({"--private": private, "--processes": processes})
        relational.verbs.train(relational.Training.of(source, **flags, settings=pairs), _play)
    else:
        _play(api.prepare(source, **flags, private=private, settings=pairs, command=ctx.obj))


def _together(ctx: typer.Context, processes: str | None, node: str | None) -> None:
    """Start the processes asked for and exit as they did; nothing where one is asked for, or we are one of them."""
    from gannet.processes import Layout, run_together, started_by_launcher

    if started_by_launcher() or (processes is None and node is None):
        return
    here = _processes_here() if processes in (None, "auto") else coerce(int, processes, "--processes")
    layout = Layout.of(here, node)
    if layout.here * layout.nodes > 1:
        raise typer.Exit(run_together(shlex.split(ctx.obj)[1:], layout))


def _processes_here() -> int:
    """One process a GPU, or one."""
    import torch

    return max(torch.cuda.device_count(), 1)


@app.command(cls=Verb)
def resume(
    ctx: typer.Context,
    run: RunPath,
    samples: Samples = None,
    time: Time = None,
    device: Device = "auto",
    allow_changed_data: Annotated[
        bool, typer.Option("--allow-changed-data", help="Go on although the data is no longer the same.")
    ] = False,
    source: Annotated[str | None, typer.Option(metavar="PATH", help="Where the data is now, if it moved.")] = None,
    processes: Processes = None,
    node: Node = None,
) -> None:
    """Go on with a run exactly where it stopped, or beyond its end with --samples or --time."""
    _together(ctx, processes, node)
    folder, how_long = _run_folder(run), _how_long(time, samples)
    from gannet import api, relational
    from gannet.uncompiled import spare_compiler

    spare_compiler()
    if relational.is_run(folder):
        relational.verbs.train(relational.resume(folder, **how_long, device=device, source=source), _play)
        return
    _play(api.resume(folder, **how_long, device=device, allow_changed_data=allow_changed_data, source=source))


def _play(session: Session) -> None:
    """Tell, train and show; exit with 130 when a signal ended it. Of several processes the first one speaks."""
    from gannet.console import TrainingDisplay

    if session.ranks.first:
        with TrainingDisplay() as display:
            display.announce(session.announcement)
            outcome = session.play(display.report)
        display.announce([outcome.message])
    else:
        outcome = session.play()
    if outcome.status == "interrupted":
        raise typer.Exit(INTERRUPTED if outcome.signal is None else 128 + outcome.signal)


@app.command(cls=Verb)
def sample(
    run: RunPath,
    count: Annotated[str, typer.Option("-n", "--count", metavar="N", help="How many.")] = "64",
    seed: Seed = "0",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A label, or values of any column: age=25..40, city=Oslo|Bergen, job=(missing); repeatable.",
        ),
    ] = None,
    balance: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Every class of this column equally often.")
    ] = None,
    share: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=GROUP:SHARE", help="As sex=Female:0.5; repeatable.")
    ] = None,
    truncation: Annotated[
        str | None, typer.Option(metavar="PSI", help="0 to 1: below 1 gives up variety for quality.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where to write. [default: RUN/samples-1, -2, ...]")
    ] = None,
    checkpoint: Annotated[str, typer.Option(metavar="best|newest", help="Which weights to use.")] = "best",
    safe_cells: SafeCells = False,
) -> None:
    """Draw new samples from a trained run and write them: pictures to a folder, rows to a file."""
    folder = _run_folder(run)
    if (folder / "tables.json").is_file():
        from gannet.relational import verbs

        verbs.refuse({"--where": where, "--balance": balance, "--share": share, "--truncation": truncation})
        return verbs.sample(folder, count, seed=_seed(seed), out=out, safe_cells=safe_cells)
    from gannet.balance import parse_shares

    arguments = {
        "balance": balance,
        "shares": parse_shares(share or []),
        "seed": _seed(seed),
        "where": parse_pairs(where) if where else None,
        "truncation": coerce(float | None, truncation, "--truncation"),
    }
    number, weights = parse_count(count, "-n"), coerce(Literal["best", "newest"], checkpoint, "--checkpoint")
    from gannet import api
    from gannet.run import unused_run_path

    trained = api.load(folder, checkpoint=weights)
    drawn = trained.sample(number, **arguments)
    target = unused_run_path(folder, "samples") if out is None else Path(out)
    written = trained.write(drawn, target, safe_cells=safe_cells)
    place = written[0] if len(written) == 1 else target
    print(f"drew {number:,} samples: {place}")


@app.command(cls=Verb)
def fill(
    run: RunPath,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file of rows with gaps.")],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to write. [default: filled-SOURCE in this folder]")
    ] = None,
    draws: Annotated[
        str, typer.Option(metavar="K", help="Several completions, to FILE-1, FILE-2, ... (multiple imputation).")
    ] = "1",
    seed: Seed = "0",
    checkpoint: Annotated[str, typer.Option(metavar="best|newest", help="Which weights to use.")] = "best",
    safe_cells: SafeCells = False,
) -> None:
    """Complete the rows of a file: missing cells drawn together given what is known; all else stays as it is."""
    folder, number, chosen = _run_folder(run), parse_count(draws, "--draws"), _seed(seed)
    weights = coerce(Literal["best", "newest"], checkpoint, "--checkpoint")
    if not Path(source).is_file():
        raise GannetError(f"{source}: no such file")
    target = Path(out) if out is not None else Path(f"filled-{Path(source).name}")
    if target.resolve() == Path(source).resolve():
        raise GannetError(f"--out {target}: the file with the gaps would be overwritten; give another name")
    from gannet import api
    from gannet.domains.table_cells import disarming
    from gannet.filling import fill_file, numbered

    targets = numbered(target, number)
    with disarming(safe_cells):
        notes = fill_file(api.load(folder, checkpoint=weights), Path(source), targets, seed=chosen)
    for note in notes:
        print(f"note: {note}")
    print(f"filled {source}: {', '.join(map(str, targets[:3]))}{', ...' if number > 3 else ''}")


@app.command(cls=Verb)
def evaluate(
    run: RunPath,
    samples: Annotated[str | None, typer.Option(metavar="N", help="How many samples to judge by.")] = None,
    against: Annotated[
        str | None, typer.Option(metavar="HOLDOUT", help="Unseen data to judge by, in place of what was held out.")
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column one would predict.")] = None,
    sensitive: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column whose groups should be treated alike; repeatable."),
    ] = None,
    seed: Seed = "0",
    inception: Annotated[
        str | None, typer.Option(metavar="FILE", help="Weights of an Inception network, for the classical FID.")
    ] = None,
    trained: Annotated[
        bool, typer.Option("--trained", help="Pictures: also judge by features learned from the training pictures.")
    ] = False,
    show_rows: Annotated[
        bool,
        typer.Option("--show-rows", help="Tables: show the training rows beside their closest generated ones."),
    ] = False,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where report.html and report.json go. [default: RUN]")
    ] = None,
) -> None:
    """Prove what a run makes: real? varied? new? private? fair? useful? Writes report.html and report.json."""
    folder, number = _run_folder(run), None if samples is None else parse_count(samples, "--samples")
    for flag, name in (("--inception", inception), ("--against", against)):
        if name is not None and not Path(name).exists():
            raise GannetError(f"{flag} {name}: no such file")
    chosen = _seed(seed)
    if trained and inception is not None:
        raise GannetError("--trained and --inception both say what to judge by; give one")
    if (folder / "tables.json").is_file():
        from gannet.relational import verbs

        asked = {"--against": against, "--target": target, "--sensitive": sensitive, "--inception": inception}
        verbs.refuse({**asked, "--trained": trained, "--show-rows": show_rows})
        return verbs.evaluate(folder, number, seed=chosen, out=out)
    from gannet import api
    from gannet.proof import write_report

    model = api.load(folder)
    report = model.evaluate(
        samples=number,
        seed=chosen,
        inception=inception,
        trained=trained,
        against=against,
        target=target,
        sensitive=tuple(sensitive or ()),
        show_rows=show_rows,
    )
    print("\n".join(report.lines()))
    page, figures = write_report(model, report, None if out is None else Path(out))
    print(f"wrote {page} and {figures}")


@app.command(cls=Verb)
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN ...", help="Runs that have been evaluated.")],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the table as a page, say comparison.html.")
    ] = None,
) -> None:
    """Set the reports of several runs beside each other; refuses reports of different protocols."""
    folders = [_run_folder(run) for run in runs]
    if len(folders) < 2:
        raise GannetError(f"{runs[0]} alone cannot be compared; give at least two runs")
    from gannet.proof import compare_runs, write_comparison

    print("\n".join(compare_runs(folders)))
    if out is not None:
        print(f"wrote {write_comparison(folders, Path(out))}")


@app.command(cls=Verb)
def card(run: RunPath) -> None:
    """Write a model card (Markdown) of an evaluated run: what it is, what it was trained on, how good it is."""
    folder = _run_folder(run)
    from gannet.proof import write_card

    print(f"wrote {write_card(folder)}")


@app.command(cls=Verb)
def inspect(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="What you would train on.")],
    settings: Pairs = None,
    seed: Seed = "0",
) -> None:
    """Say what SOURCE is: kind, count, labels, what would be skipped and why, and how it would be trained."""
    pairs, chosen = _settings(settings, ["seed"]), _seed(seed)
    from gannet import api, relational

    if relational.claims(source):
        print("\n".join(relational.inspect(source)))
        return
    print("\n".join(api.inspect(source, seed=chosen, **pairs)))


@app.command(cls=Verb)
def bench(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="What you would train on.")],
    settings: Pairs = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Published system to play.", autocompletion=recipe_names)
    ] = None,
    size: Size = None,
    device: Device = "auto",
    time: Annotated[str, typer.Option(metavar="10s", help="How long to play.")] = "10s",
) -> None:
    """Say what this machine does: samples a second, waiting, memory, arithmetic, and where a step's time goes."""
    pairs = _settings(settings, ["recipe", "size", "device", "time"])
    seconds, capacity = parse_duration(time, "--time"), None if size is None else parse_size(size, "--size")
    from gannet import api, relational

    if relational.claims(source):
        raise GannetError(f"{source}: several tables are trained one after the other; bench one of them")
    choices: dict[str, Any] = {"recipe": recipe, "size": capacity, "device": device, "settings": pairs}
    print("\n".join(api.bench(source, seconds=seconds, **choices).told()))


@app.command(cls=Verb)
def launch(
    system: Annotated[str, typer.Argument(metavar="slurm|skypilot", help="What runs the machines.")],
    command: Annotated[list[str], typer.Argument(metavar="-- train SOURCE ...", help="What to run, behind --.")],
    nodes: Annotated[str, typer.Option(metavar="N", help="Machines.")] = "1",
    gpus: Annotated[str | None, typer.Option(metavar="8|H100:8", help="GPUs a machine.")] = None,
    processes: Annotated[str, typer.Option(metavar="N|auto", help="Processes a machine; auto: one a GPU.")] = "auto",
    hours: Annotated[str, typer.Option(metavar="H", help="SLURM's time limit; the run goes on after it.")] = "24",
    partition: Annotated[str | None, typer.Option(metavar="NAME", help="SLURM's partition.")] = None,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="SkyPilot: a bucket to keep runs in.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Where to write. [default: gannet-SOURCE...]")] = None,
) -> None:
    """Write the file with which a cluster trains on several machines; nothing is submitted."""
    from gannet import launching

    count, limit = coerce(int, nodes, "--nodes"), coerce(float, hours, "--hours")
    print(launching.write(system, command, launching.Cluster(count, gpus, processes, limit, partition, bucket), out))


@app.command(cls=Verb)
def shards(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Pictures: a folder, zip or file of them.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the shards go; unfinished ones there go on.")],
    settings: Pairs = None,
    size: Annotated[str, typer.Option(metavar="256MB", help="Bytes of a shard, about.")] = "256MB",
    shuffle: Annotated[bool, typer.Option("--shuffle", help="In an order of its own, not by folder.")] = False,
) -> None:
    """Write the pictures of SOURCE as shards: tar files with an index, to train on from slow or far disks."""
    pairs = _settings(settings, ["out", "size", "shuffle"])
    from gannet import api
    from gannet.domains.images import Images
    from gannet.domains.shard_writing import pack

    pack(
        source,
        Path(out),
        Images.Options(**apply([Images.Options], pairs)[0]),
        size=size,
        cache=api.cache_folder(),
        report=print,
        shuffle=shuffle,
    )
    print(f"next: gannet train {shlex.quote(out)}")


@app.command("list", cls=Verb)
def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A recipe, a kind of data, or kinds.")] = None,
) -> None:
    """List the recipes and kinds of data; with NAME, everything that can be set on one of them."""
    from gannet.domains import DOMAINS, NOT_BUILT
    from gannet.recipes import RECIPES

    if name is None:
        print("Recipes (--recipe NAME; gannet list NAME shows the settings):")
        print(_columns([(key, _first_line(recipe)) for key, recipe in RECIPES.items()]))
        print()
    if name in (None, "kinds"):
        rows = [(key, _first_line(domain)) for key, domain in DOMAINS.items()]
        print("Kinds of data (found from the source; gannet list KIND shows the settings):")
        print(_columns([*rows, *((kind, "not built yet") for kind in NOT_BUILT)]))
    elif name in RECIPES:
        _print_knobs(f"{name}: {_first_line(RECIPES[name])}", knobs(RECIPES[name]))
    elif name in DOMAINS:
        _print_knobs(f"{name}: {_first_line(DOMAINS[name])}", knobs(DOMAINS[name].Options))
    elif name in NOT_BUILT:
        raise GannetError(f"{name} is a kind of data that is not built yet; built: {', '.join(DOMAINS)}")
    else:
        raise GannetError(f"no recipe or kind of data {name!r}; {did_you_mean(name, [*RECIPES, *DOMAINS, 'kinds'])}")


def _first_line(cls: type) -> str:
    assert cls.__doc__, f"{cls.__name__} has no docstring"
    return cls.__doc__.strip().splitlines()[0]


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of two columns, the right one wrapped to the terminal."""
    indent = max(len(left) for left, _ in rows) + 4
    width = max(40, min(110, shutil.get_terminal_size().columns) - indent)
    lines = []
    for left, right in rows:
        first, *rest = textwrap.wrap(right, width, break_on_hyphens=False) or [""]
        lines += [f"  {left}".ljust(indent) + first, *(" " * indent + more for more in rest)]
    return "\n".join(lines)


def _print_knobs(title: str, found: Sequence[Knob]) -> None:
    """Each setting with its default, its help and what it takes."""
    print(title)
    print("Settings (key=value after the source):")
    rows = [(f"{knob.name}={show(knob.default)}", f"{knob.help} ({knob.type})".strip()) for knob in found]
    print(_columns(rows) if rows else "  none")


@app.command(cls=Verb)
def cite(
    name: Annotated[str, typer.Argument(metavar="RUN|RECIPE", help="A run folder or the name of a recipe.")],
) -> None:
    """Print the BibTeX entry of the publication behind a recipe or a run."""
    from gannet.recipes import RECIPES

    if name in RECIPES:
        print(RECIPES[name].citation)
        return
    if not Path(name).is_dir():
        raise GannetError(f"{name}: neither a recipe nor a run folder; {did_you_mean(name, RECIPES)}")
    from gannet.run import RunFolder

    print(RECIPES[RunFolder.open(name).settings["recipe"]].citation)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    if "OMP_WAIT_POLICY" not in os.environ:
        # Read when PyTorch is loaded. By default threads wait for each other at full speed, for so long that beside
        # another busy program everything takes three times as long.
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    sys.exit(ended(app, arguments))
