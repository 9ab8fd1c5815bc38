"""The periodic look at a fixed number of samples: a running score beside real data, and a picture for the run folder.

Losses alone do not show a collapse; a distance between features of samples and of real data does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.conditions import even
from gannet.domains import Opened
from gannet.metrics import ReferenceStatistics, running_score
from gannet.order import mixed_seed, reseed
from gannet.recipes import Recipe
from gannet.run import RunFolder
from gannet.spec import Spec

SCORED = 1_000
"""Samples behind every running score of a run."""
SHOWN = 64
"""Samples on a preview, or somewhat fewer so that every class fills its column."""
REFERENCE = 2_000


class Examination:
    """Called with the clock: draws the same latents under the same conditions every time, scores and shows them."""

    def __init__(self, recipe: Recipe, opened: Opened, folder: RunFolder | None, seed: int, device: Any) -> None:
        domain = opened.domain
        self.recipe, self.domain, self.folder, self.seed, self.device = recipe, domain, folder, seed, device
        # Held-out samples are the honest reference; a handful of them would be too noisy a one.
        source = opened.holdout if opened.holdout is not None and len(opened.holdout) >= 500 else opened.train
        chosen = np.random.default_rng(mixed_seed(seed, "reference")).permutation(len(source))[:REFERENCE]
        real, condition = source.read(np.sort(chosen))
        self.reference = ReferenceStatistics.from_features(domain.embed(real))
        self.condition = None if condition is None else condition[torch.arange(SCORED) % len(condition)]
        self.shown = None if domain.spec.condition is None else even(domain.spec.condition, preview_count(domain.spec))

    def __call__(self, seen: int) -> float:
        """The running score (lower is better); also adds a preview to the run folder."""
        if self.folder is not None:
            shown = self._generate(preview_count(self.domain.spec), self.shown, "preview")
            self.folder.add_preview(seen, self.domain.preview(shown, self.shown))
        return running_score(self.reference, self.domain.embed(self._generate(SCORED, self.condition, "score")))

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
