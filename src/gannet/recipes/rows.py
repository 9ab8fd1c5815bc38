"""Recipes whose generator writes rows of a table token by token, knows their likelihood, and answers any wish.

A leaf builds a `networks.autoregressive.RowGenerator` as its "generator" and says how it learns.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gannet.errors import GannetError
from gannet.networks.autoregressive import RowGenerator, resampled
from gannet.networks.gaps import features_of, filled_tokens
from gannet.networks.tokens import Tokens
from gannet.portion import uniform
from gannet.recipes.recipe import Recipe, Wished
from gannet.spec import Spec, Wish

CANDIDATES = 4
"""Beginnings of rows among which those that meet a wish are chosen, for each row wanted."""


@dataclass(kw_only=True)
class RowRecipe(Recipe, ABC):
    """What they have in common: how rows are written, wished for and completed."""

    answers: ClassVar[bool] = True

    def check(self, spec: Spec) -> None:
        super().check(spec)
        if spec.blocks is None:
            name = type(self).__name__.lower()
            raise GannetError(f"recipe {name} writes rows of a table, not {spec.kind}; use r3gan")

    @property
    def writer(self) -> RowGenerator:
        """The generator, which knows the likelihood of what it writes."""
        generator = self.networks["generator"]
        assert isinstance(generator, RowGenerator)
        return generator

    @property
    def tokens(self) -> Tokens:
        """The tokens of a row."""
        return self.writer.tokens

    def generate(self, count: int, condition: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """`count` rows; `truncation` below 1 makes likely values likelier."""
        device = self.writer.first.weight.device
        return self.writer.write(uniform(count, self.writer.latent, device=device), condition, temperature=truncation)[
            0
        ]

    def wished(self, count: int, wish: Wish, condition: Tensor | None = None, truncation: float = 1.0) -> Wished:
        tried = CANDIDATES * count if condition is None else len(condition)
        drawn = uniform(tried, self.writer.latent, device=self.writer.first.weight.device)
        if condition is None:
            samples, chances = self.writer.write(drawn, wish=wish, rows=count, temperature=truncation)
            return Wished(samples, None, share(chances))
        # Which condition a row has decides how likely it meets the wish: it is drawn with the row.
        samples, chances = self.writer.write(drawn, condition, wish=wish, temperature=truncation)
        chosen = resampled(chances, count)
        return Wished(samples[chosen], condition[chosen], share(chances))

    def filled(
        self, samples: Tensor, known: Tensor, condition: Tensor | None = None, wish: Wish | None = None
    ) -> Tensor:
        known = known.expand(len(samples), -1)
        drawn = uniform(len(samples), self.writer.latent, device=samples.device)
        values = filled_tokens(
            self.writer, self.tokens.read(samples), known[:, features_of(self.tokens)], drawn, condition, wish
        )
        ranges = None if wish is None else wish.ranges
        written = self.tokens.write(values, drawn[:, len(self.tokens) :], ranges)
        return torch.where(known, samples, written)


def share(chances: Tensor) -> float:
    """The mean of chances of which the logarithms [n] are given."""
    return float(chances.double().exp().mean())
