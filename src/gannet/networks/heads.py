"""What goes in and out of every family: condition embeddings, the projection critic's logit, the columns of a table.

Projection: Miyato & Koyama (2018), eq. 3. A condition is a float vector (one-hots and standardised numbers in a row),
so its embedding is a linear map without bias. Call `ProjectionHead(128, spec.condition)(features, condition)`.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from gannet.spec import Block, Condition

EMBEDDING = 64
"""Width of a generator's embedded condition (Huang et al. 2024)."""


def embedding(condition: Condition, width: int) -> nn.Linear:
    """Condition vectors [n, condition width] -> [n, width] of about unit variance, whatever the number of fields."""
    layer = nn.Linear(condition.width, width, bias=False)
    nn.init.normal_(layer.weight, 0.0, 1 / sqrt(len(condition.fields)))
    return layer


class LatentInput(nn.Module):
    """Noise [n, latent] and conditions [n, condition width] -> [n, width]: the noise beside the embedded condition."""

    def __init__(self, latent: int, condition: Condition | None) -> None:
        super().__init__()
        self.embedding = None if condition is None else embedding(condition, EMBEDDING)
        self.width = latent + (0 if condition is None else EMBEDDING)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.embedding is None:
            return latent
        assert condition is not None, "a conditional generator needs conditions"
        return torch.cat([latent, self.embedding(condition)], 1)


class ProjectionHead(nn.Module):
    """Features [n, width] and conditions -> logits [n]: features . (v + embed(condition)) / sqrt(width).

    v and the embedding start at unit size and are scaled on the way, so that one step of Adam moves the logits by as
    little on wide features as on narrow ones; neither has a bias.
    """

    def __init__(self, width: int, condition: Condition | None) -> None:
        super().__init__()
        self.unconditional = nn.Parameter(torch.randn(width))
        self.embedding = None if condition is None else embedding(condition, width)
        self.scale = 1 / sqrt(width)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.embedding is None:
            # A product and a sum, not a matrix product: under autocast that would round the logits to bf16.
            return (features * self.unconditional).sum(1) * self.scale
        assert condition is not None, "a conditional discriminator needs conditions"
        return (features * (self.unconditional + self.embedding(condition))).sum(1) * self.scale


class BlockOutput(nn.Module):
    """Raw features [n, features] -> flat samples [n, features]: numbers as they are, choices as probabilities."""

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, raw: Tensor) -> Tensor:
        pieces = raw.split([block.width for block in self.blocks], 1)
        return torch.cat(
            [
                piece.softmax(1) if block.kind == "choice" else piece
                for block, piece in zip(self.blocks, pieces, strict=True)
            ],
            1,
        )
