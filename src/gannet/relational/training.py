"""Training on several tables: one ordinary run a table, parents first, in one folder with what binds them together.

`training = Training.of("shop/")`, then for each `session` of `training.sessions()`: play it. The same command goes on
after a stop: finished tables are kept, an interrupted one is resumed where it stood.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gannet import api
from gannet.checkpoint import dump_json, parse_json, replace_file
from gannet.domains.tables import Tables
from gannet.engine import Progress
from gannet.errors import GannetError
from gannet.relational.finding import find_schema, table_files, told
from gannet.relational.plan import Plan
from gannet.relational.preparing import Prepared, prepare_table
from gannet.relational.reading import Database, read_tables
from gannet.relational.schema import FILE_NAME, Schema, read_schema
from gannet.run import RunFolder, unused_run_path
from gannet.session import Session
from gannet.settings import coerce, parse_duration
from gannet.spec import Spec

HEADER, FORMAT = "tables.json", 1
RECIPE = "maligan"
_OF_TABLES = ("types", "drop", "condition", "constraints")


def claims(source: Any) -> bool:
    """Whether a source is several tables: a file of their keys, or a folder of nothing but table files."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    if path.suffix.lower() == ".toml":
        return True
    return path.is_dir() and ((path / FILE_NAME).is_file() or bool(table_files(path)))


def is_run(path: str | Path) -> bool:
    """Whether a folder is a run of several tables."""
    return (Path(path) / HEADER).is_file()


def open_database(source: str | Path) -> Database:
    """The tables of a source, read and checked. Raises GannetError for whatever does not fit together."""
    path = Path(source)
    if path.is_dir() and (path / FILE_NAME).is_file():
        path = path / FILE_NAME
    if path.is_dir():
        return read_tables(path, find_schema(path))
    return read_tables(path.parent, read_schema(path))


def inspect(source: str | Path) -> list[str]:
    """The tables and keys of a source, in lines for a person."""
    database = open_database(source)
    counted = {name: f"{len(table.frame):,} rows" for name, table in database.sources.items()}
    lines = [f"{line} ({counted[line.partition(':')[0]]})" for line in told(database.schema)]
    return [f"{len(counted)} tables, {len(database.schema.links)} foreign keys", *lines]


def read_header(path: Path) -> dict[str, Any]:
    """What the folder of a run of several tables says about it. Raises GannetError when there is none."""
    if not is_run(path):
        raise GannetError(f"{path} is no run of several tables: it has no {HEADER}")
    header = parse_json((path / HEADER).read_bytes())
    if header["format"] > FORMAT:
        raise GannetError(f"{path} has format {header['format']}, newer than {FORMAT}; upgrade Gannet to open it")
    return header


class Training:
    """The tables of one run, opened, and the sessions that train them one after another."""

    def __init__(self, path: Path, database: Database, header: dict[str, Any], how_long: Mapping[str, Any]) -> None:
        self.path, self.database, self.header, self.how_long = path, database, header, how_long

    @classmethod
    def of(
        cls,
        source: str | Path,
        *,
        out: str | Path | None = None,
        recipe: str | None = None,
        time: str | float | None = None,
        samples: str | int | None = None,
        size: str | float | None = None,
        device: str = "auto",
        seed: int = 0,
        remedies: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> Training:
        """Read the tables and make (or find again) the run folder. Raises GannetError for what cannot be done as asked.

        `time` is shared among the tables by their cells; `samples` is for each. `settings` are those of the recipe,
        and `siblings` (whether a row sees the one before it).
        """
        given = {key: str(value) for key, value in (settings or {}).items()}
        for key in _OF_TABLES:
            if key in given:
                raise GannetError(f"{key}: of which table? write it into its section of {FILE_NAME}")
        coerce(bool, given.get("siblings", "yes"), "siblings")
        request = {
            "source": str(source),
            "recipe": recipe,
            "size": size,
            "seed": seed,
            "remedies": remedies,
            "settings": given,
        }
        database = open_database(source)
        if time is not None and samples is not None:
            raise GannetError("give either a time or a number of samples, not both")
        how_long = {"time": None if time is None else parse_duration(time), "samples": samples, "device": device}
        path = _found_again(request, out)
        if path is None:
            path = unused_run_path(api.RUNS, _stem(source)) if out is None else Path(out)
            header = _header(database, request)
            path.mkdir(parents=True, exist_ok=True)
            replace_file(path / HEADER, dump_json(header))
        else:
            header = read_header(path)
            same = header["fingerprint"] == database.fingerprint
            if not same or Schema.from_json(header["schema"]) != database.schema:
                raise GannetError(f"{path}: the tables are not those this run began with; choose another --out")
        return cls(path, database, header, how_long)

    @property
    def announcement(self) -> list[str]:
        """What was found, in lines for a person."""
        lines = [f"found   {len(self.database.sources)} tables, {len(self.database.schema.links)} foreign keys"]
        return [*lines, *(f"        {line}" for line in told(self.database.schema)), f"into    {self.path}"]

    def sessions(self) -> Iterator[Session]:
        """One session a table that is not yet trained, parents first; ask for the next when one is finished."""
        above: dict[str, Prepared] = {}
        siblings = coerce(bool, self.header["request"]["settings"].get("siblings", "yes"), "siblings")
        for name in self.database.schema.order():
            prepared = prepare_table(self.database, name, above, siblings=siblings)
            folder = self.path / name
            if prepared.plan.trained:
                domain = None
                if not _finished(folder):
                    session = self._session(prepared, folder)
                    domain = session.opened.domain
                    self._keep(prepared.plan)
                    yield session
                assert domain is None or isinstance(domain, Tables)
                domain = domain or _domain(folder)
                learned = tuple(form.name for form in domain.forms if form.name not in domain.unlearned)
                prepared = replace(prepared, learned=learned)
            else:
                self._keep(prepared.plan)
            above[name] = prepared
        self.header["finished"] = True
        replace_file(self.path / HEADER, dump_json(self.header))

    def _keep(self, plan: Plan) -> None:
        self.header["plans"][plan.name] = plan.to_json()
        replace_file(self.path / HEADER, dump_json(self.header))

    def _session(self, prepared: Prepared, folder: Path) -> Session:
        request, name = self.header["request"], prepared.plan.name
        time = self.how_long["time"]
        settings = {key: value for key, value in request["settings"].items() if key != "siblings"}
        if prepared.types:
            settings["types"] = ",".join(f"{column}={kind}" for column, kind in prepared.types.items())
        session = api.prepare(
            self._written(prepared, folder),
            recipe=request["recipe"] or RECIPE,
            out=folder,
            time=None if time is None else time * self._share(name),
            samples=self.how_long["samples"],
            size=request["size"],
            device=self.how_long["device"],
            seed=request["seed"],
            remedies=request["remedies"],
            settings=settings,
        )
        if not session.recipe.answers:
            raise GannetError(f"recipe {request['recipe']} cannot go on from a given part of a row; use {RECIPE}")
        # Constraints are not taken here, so none are offered.
        said = [line for line in session.announcement if not line.lstrip().startswith("constraint")]
        session.announcement = [f"--- {name}", *said]
        return session

    def _share(self, name: str) -> float:
        """The share of a table's cells among all."""
        cells = {each: source.frame.size for each, source in self.database.sources.items()}
        return cells[name] / sum(cells.values())

    def _written(self, prepared: Prepared, folder: Path) -> Path:
        """The training table as a file in the cache, where the ordinary run reads it and finds it again."""
        name, suffix = prepared.plan.name, ".csv" if prepared.plan.textual else ".parquet"
        if RunFolder.exists(folder):
            path = Path(RunFolder.open(folder).settings["request"]["source"])
        else:
            key = json.dumps([self.header["fingerprint"], self.header["schema"], list(prepared.frame.columns)])
            digest = hashlib.sha256(key.encode("utf-8")).hexdigest()[:16]
            path = api.cache_folder() / f"tables-{digest}" / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = prepared.frame
        if prepared.plan.textual:
            replace_file(path, frame.to_csv(index=False, lineterminator="\n").encode("utf-8"))
        else:
            replace_file(path, frame.to_parquet(index=False))
        return path


def train(source: str | Path, *, report: Callable[[Progress], None] | None = None, **options: Any) -> Path:
    """Train on several tables; returns the run folder. Ctrl-C saves, and the same call goes on; see `Training.of`."""
    training = Training.of(source, **options)
    for session in training.sessions():
        outcome = session.play(report)
        if outcome.status == "interrupted":
            raise KeyboardInterrupt(outcome.message)
    return training.path


def resume(path: str | Path, *, source: str | Path | None = None, **how_long: Any) -> Training:
    """Go on with a run of several tables. `source` says where they are now, if they moved."""
    request = read_header(Path(path))["request"]
    return Training.of(
        request["source"] if source is None else source,
        out=path,
        recipe=request["recipe"],
        size=request["size"],
        seed=request["seed"],
        remedies=request["remedies"],
        settings=request["settings"],
        **how_long,
    )


def _header(database: Database, request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "request": dict(request),
        "schema": database.schema.to_json(),
        "fingerprint": database.fingerprint,
        "plans": {},
        "finished": False,
    }


def _finished(folder: Path) -> bool:
    return RunFolder.exists(folder) and bool(RunFolder.open(folder).settings.get("finished", False))


def _domain(folder: Path) -> Tables:
    settings = RunFolder.open(folder).settings
    return Tables.restore(Spec.from_json(settings["spec"]), settings["domain"])


def _stem(source: str | Path) -> str:
    path = Path(source)
    return (path.parent if path.suffix.lower() == ".toml" else path).resolve().name or "tables"


def _found_again(request: Mapping[str, Any], out: str | Path | None) -> Path | None:
    """The run that the same request began: at `out`, or the newest unfinished one below runs/."""
    if out is not None:
        path = Path(out)
        if not is_run(path):
            if path.exists() and any(path.iterdir()):
                raise GannetError(f"{path} exists and is not a run of several tables; choose another --out")
            return None
        for key, value in read_header(path)["request"].items():
            # Tables may have moved: whether they are the same is told by their content.
            if value != request[key] and key != "source":
                raise GannetError(
                    f"{path} holds a run with {key}={value}, this command says {key}={request[key]}; "
                    "choose another --out, or repeat the first command to go on"
                )
        return path
    for path in sorted(api.RUNS.glob(f"{_stem(request['source'])}-*"), reverse=True):
        if is_run(path):
            header = read_header(path)
            if header["request"] == request and not header["finished"]:
                return path
    return None
