"""A trained run, ready for use: `gannet.load(path)`, then `sample`, `write` and `evaluate`.

Everything comes from the run folder; the training data is needed only by `evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gannet.checkpoint import load_into
from gannet.conditions import ConditionPrior
from gannet.domains import DOMAINS, Domain
from gannet.errors import GannetError
from gannet.order import mixed_seed, reseed
from gannet.recipes import Recipe, recipe_named
from gannet.run import RunFolder
from gannet.spec import Spec

CHUNK = 256
"""Samples generated at a time; sample i of a seed is the same however many are asked for."""


class Model:
    """The averaged generator of a run, and the way from its samples to the user's kind of data."""

    def __init__(self, folder: RunFolder, checkpoint: Literal["best", "newest"] = "best", device: str = "cpu") -> None:
        settings = folder.settings
        self.path, self.settings, self.device = folder.path, settings, torch.device(device)
        self.spec = Spec.from_json(settings["spec"])
        self.recipe = recipe_of(settings)
        self.domain: Domain = DOMAINS[self.spec.kind].restore(self.spec, settings["domain"])
        self.prior = (
            None if self.spec.condition is None else ConditionPrior.from_json(self.spec.condition, settings["prior"])
        )
        kept = folder.best() if checkpoint == "best" else folder.newest()
        if kept is None:
            raise GannetError(f"{folder.path} holds no whole checkpoint yet; train it first")
        tensors, state = kept.read(self.device)
        self.seen: int = state["seen"]
        networks = nn.ModuleDict(build_networks(self.recipe, self.spec, settings)).to(self.device)
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
    ) -> Any:
        """`n` new samples in the user's form: pictures uint8 [n, height, width, channels], a data frame, points.

        `where` asks for conditions ({"label": "cat"}), `truncation` in (0, 1] trades variety for typicality.
        Raises GannetError for unknown conditions and impossible numbers.
        """
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
        if n < 1:
            raise GannetError(f"n={n}: ask for at least one sample")
        if truncation is not None and not 0 < truncation <= 1:
            raise GannetError(f"truncation={truncation:g} is outside (0, 1]: 1 is full variety, 0.7 is typical")
        if where and self.prior is None:
            raise GannetError(f"where {dict(where)}: this run was trained without conditions")
        condition = None
        if self.prior is not None:
            condition = self.prior.draw(n, mixed_seed(seed, "condition"), where)
        return self.draw_for(condition, n, seed=seed, truncation=truncation), condition

    def draw_for(self, condition: Tensor | None, n: int, *, seed: int = 0, truncation: float | None = None) -> Tensor:
        """Encoded samples [n, *shape] for given conditions [n, width]."""
        pieces = []
        with torch.random.fork_rng(), torch.no_grad():
            for start in range(0, n, CHUNK):
                reseed(mixed_seed(seed, "sample", start), self.device)
                wanted = None
                if condition is not None:
                    part = condition[start : start + CHUNK]
                    # A short last chunk is filled up: every chunk then runs the same arithmetic.
                    wanted = torch.cat([part, part[:1].expand(CHUNK - len(part), -1)]).to(self.device)
                made = self.recipe.generate(CHUNK, wanted, 1.0 if truncation is None else truncation)
                pieces.append(made[: n - start].cpu())
        return torch.cat(pieces)

    def log(self) -> list[dict[str, Any]]:
        """The records of training, oldest first: events "terms", "score" and "skipped" with the samples seen."""
        return RunFolder.open(self.path).read_log()

    def write(self, decoded: Any, out: str | Path) -> list[Path]:
        """Decoded samples -> files; returns their paths."""
        return self.domain.write(decoded, Path(out))

    def evaluate(self, *, samples: int | None = None, seed: int = 0, inception: str | Path | None = None) -> Any:
        """Measure samples against the training and the held-out data; see `gannet.evaluation`."""
        from gannet.evaluation import evaluate_model

        return evaluate_model(self, samples=samples, seed=seed, inception=inception)


def recipe_of(settings: Mapping[str, Any]) -> Recipe:
    """The recipe a run was trained with, from its resolved settings."""
    return recipe_named(settings["recipe"])(**settings["knobs"])


def build_networks(recipe: Recipe, spec: Spec, settings: Mapping[str, Any]) -> dict[str, nn.Module]:
    """The networks of a run before training, from its seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(settings["seed"], "networks"))
        return recipe.build(spec, size=settings["size"], count=settings["count"], holdout=settings["holdout"])
