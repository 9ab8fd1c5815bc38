"""A trained run, ready for use: `gannet.load(path)`, then `sample`, `write` and `evaluate`.

Everything comes from the run folder; the training data is needed only by `evaluate`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gannet.balance import balanced, with_shares
from gannet.checkpoint import load_into
from gannet.conditions import ConditionPrior
from gannet.domains import DOMAINS, Domain
from gannet.domains.table_cells import disarming
from gannet.errors import GannetError, shorten
from gannet.filling import fill_frame
from gannet.order import mixed_seed, reseed
from gannet.recipes import Recipe, recipe_named
from gannet.rows import rows_in_shares, rows_where
from gannet.run import RunFolder
from gannet.spec import Spec

CHUNK, FLAT_CHUNK = 256, 4_096
"""Pictures, and flat samples, generated at a time; sample i of a seed is the same however many are asked for."""


class Model:
    """The averaged generator of a run, and the way from its samples to the user's kind of data."""

    def __init__(self, folder: RunFolder, checkpoint: Literal["best", "newest"] = "best", device: str = "cpu") -> None:
        settings = folder.settings
        self.path, self.settings, self.device = folder.path, settings, torch.device(device)
        with understood(folder):
            self.spec = Spec.from_json(settings["spec"])
            self.recipe = recipe_of(settings)
            self.domain: Domain = DOMAINS[self.spec.kind].restore(self.spec, settings["domain"])
            self.prior = (
                None
                if self.spec.condition is None
                else ConditionPrior.from_json(self.spec.condition, settings["prior"])
            )
            built = build_networks(self.recipe, self.spec, settings)
        kept = folder.best() if checkpoint == "best" else folder.newest()
        if kept is None:
            raise GannetError(f"{folder.path} holds no whole checkpoint yet; train it first")
        tensors, state = kept.read(self.device)
        self.seen = kept.seen
        networks = nn.ModuleDict(built).to(self.device)
        averages = nn.ModuleDict({name: networks[name] for name in self.recipe.averaged})
        load_into(averages, tensors["averages"], "averages")
        self.recipe.bind(networks.eval().requires_grad_(False))

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        where: Mapping[str, Any] | None = None,
        truncation: float | None = None,
        balance: str | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> Any:
        """`n` new samples in the user's form: pictures uint8 [n, height, width, channels], a data frame, points.

        `where` asks for conditions ({"label": "cat"}), of a table for values of any columns ({"age": "25..40"}), which
        all rows then have; `truncation` in (0, 1] trades variety for typicality.
        `balance` names a class or column of which every level shall come equally often, `shares` gives the wanted
        shares of some levels ({"sex=Female": 0.5}); without either, levels are as frequent as in the training data.
        Raises GannetError for unknown conditions and impossible numbers.
        """
        self._check(n, truncation)
        if balance is not None or shares:
            return self._in_shares(n, seed, where or {}, truncation, balance, shares or {})
        if where and self.spec.kind == "tables":
            return rows_where(self, where, n, seed, truncation, self.chunk)
        samples, condition = self.draw(n, seed=seed, where=where, truncation=truncation)
        return self.domain.decode(samples, condition)

    def draw(
        self,
        n: int,
        *,
        seed: int = 0,
        where: Mapping[str, Any] | None = None,
        truncation: float | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`n` encoded samples [n, *shape] on the CPU, and the conditions [n, width] they were asked for."""
        self._check(n, truncation)
        if where and self.prior is None:
            beside = "; sample() asks any column of a table" if self.spec.kind == "tables" else ""
            raise GannetError(f"where {dict(where)}: this run was trained without conditions{beside}")
        condition = None
        if self.prior is not None:
            condition = self.prior.draw(n, mixed_seed(seed, "condition"), where)
        return self.draw_for(condition, n, seed=seed, truncation=truncation), condition

    @staticmethod
    def _check(n: int, truncation: float | None) -> None:
        if n < 1:
            raise GannetError(f"n={n}: ask for at least one sample")
        if truncation is not None and not 0 < truncation <= 1:
            raise GannetError(f"truncation={truncation:g} is outside (0, 1]: 1 is full variety, 0.7 is typical")

    @property
    def chunk(self) -> int:
        """Samples generated at a time."""
        return CHUNK if len(self.spec.shape) == 3 else FLAT_CHUNK

    def draw_for(self, condition: Tensor | None, n: int, *, seed: int = 0, truncation: float | None = None) -> Tensor:
        """Encoded samples [n, *shape] for given conditions [n, width]."""
        pieces, chunk = [], self.chunk
        with torch.random.fork_rng(), torch.no_grad():
            for start in range(0, n, chunk):
                reseed(mixed_seed(seed, "sample", start), self.device)
                wanted = None
                if condition is not None:
                    part = condition[start : start + chunk]
                    # A short last chunk is filled up: every chunk then runs the same arithmetic.
                    wanted = torch.cat([part, part[:1].expand(chunk - len(part), -1)]).to(self.device)
                made = self.recipe.generate(chunk, wanted, 1.0 if truncation is None else truncation)
                pieces.append(made[: n - start].cpu())
        return torch.cat(pieces)

    def _in_shares(
        self,
        n: int,
        seed: int,
        where: Mapping[str, Any],
        truncation: float | None,
        balance: str | None,
        shares: Mapping[str, float],
    ) -> Any:
        """Decoded samples with the wanted shares: by conditions where the run has them, else by wishes or by choice."""
        if balance is not None and shares:
            raise GannetError("give one of balance and shares: each decides what is asked for")
        classes = [] if self.prior is None else [each.name for each in self.prior.condition.fields if each.levels]
        asked = [balance] if balance is not None else [group.partition("=")[0] for group in shares]
        if self.prior is None or where or not all(name in classes for name in asked):
            if self.spec.kind != "tables":
                told = "one of where, balance and shares: each decides" if where else "shares of classes: they decide"
                raise GannetError(f"{', '.join(asked)}: this run cannot be asked for it; give {told} what is asked for")
            return rows_in_shares(self, balance, shares, where, n, seed, truncation, self.chunk)
        chosen = mixed_seed(seed, "condition")
        condition = (
            with_shares(self.prior, shares, n, chosen) if balance is None else balanced(self.prior, balance, n, chosen)
        )
        return self.domain.decode(self.draw_for(condition, n, seed=seed, truncation=truncation), condition)

    def fill(self, table: Any, *, seed: int = 0, draws: int | None = None) -> Any:
        """A table with gaps (frame or array), its missing cells drawn together given what is known of each row.

        Known cells, other columns, types and the order stay as they are. With `draws`, a list of that many completions.
        What the user should know comes as a warning. Raises GannetError for recipes that cannot fill gaps.
        """
        if draws is not None and draws < 1:
            raise GannetError(f"draws={draws}: ask for at least one")
        filled, notes = fill_frame(self, table, seed=seed, draws=draws or 1)
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return filled[0] if draws is None else filled

    def log(self) -> list[dict[str, Any]]:
        """The records of training, oldest first: events "terms", "score" and "skipped" with the samples seen."""
        return RunFolder.open(self.path).read_log()

    def write(self, decoded: Any, out: str | Path, *, safe_cells: bool = False) -> list[Path]:
        """Decoded samples -> files; returns their paths.

        `safe_cells` puts an apostrophe before text in .csv and .tsv that a spreadsheet would run as a formula; without
        it the text stays as it is, and an ExportWarning says so.
        """
        with disarming(safe_cells):
            return self.domain.write(decoded, Path(out))

    def evaluate(self, **options: Any) -> Any:
        """Answer the six questions about the model; see `gannet.evaluation.evaluate_model` for the options."""
        from gannet.evaluation import evaluate_model

        return evaluate_model(self, **options)


@contextmanager
def understood(folder: RunFolder) -> Iterator[None]:
    """Settings that no run of this Gannet could have written, told as one line with the run's name."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, ArithmeticError, RuntimeError) as error:
        told = shorten(" ".join(f"{type(error).__name__}: {error}".split()), 150)
        raise GannetError(
            f"{folder.path}: its settings.json does not describe a run ({told}); restore it from a copy"
        ) from error


def recipe_of(settings: Mapping[str, Any]) -> Recipe:
    """The recipe a run was trained with, from its resolved settings."""
    return recipe_named(settings["recipe"])(**settings["knobs"])


def build_networks(recipe: Recipe, spec: Spec, settings: Mapping[str, Any], attempt: int = 0) -> dict[str, nn.Module]:
    """The networks of a run before training, from its seed alone; others for each attempt to begin anew."""
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(settings["seed"], "networks", *([attempt] if attempt else [])))
        return recipe.build(spec, size=settings["size"], count=settings["count"], holdout=settings["holdout"])
