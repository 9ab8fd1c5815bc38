"""The evidence about a run as files: report.html, report.json and a model card, and reports beside each other.

`write_report(model, report)` into the run folder, `kept_report(path)` back; `compare_runs(paths)`,
`write_comparison(paths, out)`, `write_card(path)`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gannet.checkpoint import replace_file
from gannet.errors import GannetError
from gannet.metrics import Report
from gannet.model import Model
from gannet.model_contents import model_contents
from gannet.recipes import recipe_named
from gannet.report.card import render_card
from gannet.report.comparison import comparison_lines, render_comparison
from gannet.report.page import render_page
from gannet.run import RunFolder

PAGE, FIGURES, CARD = "report.html", "report.json", "card.md"
SHOWN = 64


def write_report(model: Model, report: Report, out: Path | None = None) -> tuple[Path, Path]:
    """The page and the figures, into the run folder or the folder `out`; returns their paths.

    Raises GannetError when the folder cannot be written.
    """
    folder = model.path if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    page, figures = folder / PAGE, folder / FIGURES
    replace_file(figures, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    replace_file(page, render_page(report, facts(model)).encode())
    return page, figures


def facts(model: Model) -> dict[str, Any]:
    """What the run folder knows, for the page and the card."""
    folder = RunFolder.open(model.path)
    settings, log = folder.settings, model.log()
    shown, condition = model.draw(SHOWN, seed=0)
    picture = io.BytesIO()
    model.domain.preview(shown, condition).save(picture, format="PNG")
    return {
        "name": model.path.name,
        "path": str(model.path),
        "created": folder.created,
        "command": folder.command,
        "source": settings["request"]["source"],
        "fingerprint": settings["fingerprint"],
        "kind": model.spec.kind,
        "recipe": settings["recipe"],
        "citation": recipe_named(settings["recipe"]).citation,
        "settings": settings["knobs"],
        "versions": folder.versions,
        "seen": model.seen,
        "total": settings["total"],
        "seed": settings["seed"],
        "count": settings["count"],
        "holdout": settings["holdout"],
        "size": settings["size"],
        "device": settings["device"],
        "log": log,
        "preview": picture.getvalue(),
        "holdings": model_contents(model.path),
        "referee": [record for record in log if record["event"] == "referee"],
    }


def kept_report(path: Path) -> Report:
    """The report of a run as `write_report` left it. Raises GannetError when there is none."""
    file = path / FIGURES if path.is_dir() else path
    if not file.is_file():
        raise GannetError(f"{path} has no {FIGURES} yet; make it with: gannet evaluate {path}")
    try:
        return Report.from_json(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise GannetError(f"{file} is not a report ({error}); run gannet evaluate {path} again") from error


def compare_runs(paths: Sequence[Path]) -> list[str]:
    """The reports of several runs in one table. Raises GannetError when their protocols differ."""
    return comparison_lines([(str(path), kept_report(path)) for path in paths])


def write_comparison(paths: Sequence[Path], out: Path) -> Path:
    """The same as a page at `out`; returns its path. Raises GannetError when their protocols differ."""
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, render_comparison([(str(path), kept_report(path)) for path in paths]).encode())
    return out


def write_card(path: Path) -> Path:
    """A model card in the run folder, from the report there; returns its path."""
    model = Model(RunFolder.open(path))
    file = path / CARD
    replace_file(file, render_card(kept_report(path), facts(model)).encode())
    return file
