"""The periodic look at a fixed number of samples: a running score beside real data, and a picture for the run folder.

Losses alone do not show a collapse; a distance between features of samples and of real data does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.conditions import even
from gannet.diagnostics.look import Sight
from gannet.domains import Dataset, Opened
from gannet.order import mixed_seed, reseed
from gannet.recipes import Recipe
from gannet.run import RunFolder
from gannet.spec import Condition, Spec
from gannet.watch import Look

SCORED = 1_000
"""Samples behind every running score of a run."""
SHOWN = 64
"""Samples on a preview, or somewhat fewer so that every class fills its column."""
REFERENCE = 2_000
JUDGED = 250
FEWEST_HELD_OUT, FEWEST_SCORED = 50, 500
"""Held-out samples below which training samples stand in: as unseen ones, and as the reference of the score."""


class Examination:
    """Called with the clock: draws the same latents under the same conditions every time, measures and shows them."""

    def __init__(self, recipe: Recipe, opened: Opened, folder: RunFolder | None, seed: int, device: Any) -> None:
        domain = opened.domain
        self.recipe, self.domain, self.folder, self.seed, self.device = recipe, domain, folder, seed, device
        spared = opened.holdout is not None and len(opened.holdout) >= FEWEST_HELD_OUT
        train = self._some(opened.train, "train", SCORED)
        holdout = self._some(opened.holdout, "holdout") if spared and opened.holdout is not None else train
        # Held-out samples are the honest reference of the score; few of them would be too noisy a one.
        reference = holdout if len(holdout[0]) >= FEWEST_SCORED else self._some(opened.train, "reference")
        self.real, self.holdout = train, holdout if spared else None
        names, _ = levels_of(domain.spec.condition, None)
        unseen = domain.embed(holdout[0])
        self.sight = Sight(
            domain.embed(train[0]),
            unseen,
            reference=unseen if reference is holdout else domain.embed(reference[0]),
            spared=spared,
            train_classes=levels_of(domain.spec.condition, train[1])[1],
            holdout_classes=levels_of(domain.spec.condition, holdout[1])[1],
            names=names,
        )
        condition = reference[1]
        self.condition = None if condition is None else condition[torch.arange(SCORED) % len(condition)]
        self.classes = levels_of(domain.spec.condition, self.condition)[1]
        self.shown = None if domain.spec.condition is None else even(domain.spec.condition, preview_count(domain.spec))

    def __call__(self, seen: int) -> Look:
        """A look at the samples; also adds a preview to the run folder."""
        if self.folder is not None:
            shown = self._generate(preview_count(self.domain.spec), self.shown, "preview")
            self.folder.add_preview(seen, self.domain.preview(shown, self.shown))
        samples = self._generate(SCORED, self.condition, "score")
        judged = {} if self.holdout is None else {**self._judged(samples), **self._surprise(*self.holdout)}
        return self.sight.look(self.domain.embed(samples), self.classes, **judged)

    def _judged(self, samples: Tensor) -> dict[str, float]:
        """How the discriminator orders pairs of real (held-out, trained-on) and generated samples, un-augmented."""
        assert self.holdout is not None
        if not self.recipe.judges:
            return {}
        count = min(JUDGED, len(self.real[0]), len(self.holdout[0]))
        fake = self._logits(samples[:count], None if self.condition is None else self.condition[:count])
        held_out, trained_on = (self._logits(*_first(side, count)) for side in (self.holdout, self.real))
        return {
            "ordered": float((held_out[:, None] > fake).float().mean()),
            "ordered_train": float((trained_on[:, None] > fake).float().mean()),
        }

    def _surprise(self, real: Tensor, condition: Tensor | None) -> dict[str, float]:
        """How unlikely the generator finds held-out samples, where it knows."""
        condition = None if condition is None else condition.to(self.device)
        surprise = self.recipe.surprise(real.to(self.device), condition)
        return {} if surprise is None else {"surprise": float(surprise.mean())}

    def _logits(self, samples: Tensor, condition: Tensor | None) -> Tensor:
        condition = None if condition is None else condition.to(self.device)
        return self.recipe.judge.discriminator(samples.to(self.device), condition).float().cpu()

    def _some(self, data: Dataset, name: str, count: int = REFERENCE) -> tuple[Tensor, Tensor | None]:
        chosen = np.random.default_rng(mixed_seed(self.seed, name)).permutation(len(data))[:count]
        return data.read(chosen)

    def _generate(self, count: int, condition: Tensor | None, name: str) -> Tensor:
        reseed(mixed_seed(self.seed, name), torch.device(self.device))
        pieces = []
        for start in range(0, count, 250):
            part = None if condition is None else condition[start : start + 250].to(self.device)
            pieces.append(self.recipe.generate(min(250, count - start), part).cpu())
        return torch.cat(pieces)


def preview_count(spec: Spec) -> int:
    """Samples on a preview: whole rows of the first field's classes where there are several."""
    levels = None if spec.condition is None else spec.condition.fields[0].levels
    return SHOWN if levels is None or len(levels) > SHOWN else SHOWN // len(levels) * len(levels)


def levels_of(condition: Condition | None, vectors: Tensor | None) -> tuple[tuple[str, ...], Tensor | None]:
    """The names of the first class field of a condition, and the level [n] of each vector [n, width]."""
    start = 0
    for field in () if condition is None else condition.fields:
        if field.levels is not None:
            return field.levels, None if vectors is None else vectors[:, start : start + field.width].argmax(1)
        start += field.width
    return (), None


def _first(side: tuple[Tensor, Tensor | None], count: int) -> tuple[Tensor, Tensor | None]:
    samples, condition = side
    return samples[:count], None if condition is None else condition[:count]
