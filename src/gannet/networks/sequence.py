"""Networks for series [channels, length]: attributes first, which keep one value, then what changes from step to step.

As in DoppelGANger (Lin et al. 2020) attributes and course come from one generator and go to one discriminator; both are
residual perceptrons over whole series, which suits courses that were whitened (see `domains/series_shape`).
`sequence_pair(spec, size=1, latent=256)`.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from gannet.networks.heads import BlockOutput, LatentInput, ProjectionHead
from gannet.networks.layers import linear, rounded
from gannet.networks.mlp import trunk
from gannet.spec import Block, Course, Spec


class Goes(nn.Module):
    """Attributes [n, constants] -> whether each series goes on at each step [n, 1, length], 1 or 0."""

    cuts: Tensor

    def __init__(self, ends: tuple[float, ...], length: int) -> None:
        super().__init__()
        assert len(ends) == length - 1
        self.register_buffer("cuts", torch.tensor(ends, dtype=torch.float32), persistent=False)

    def forward(self, attributes: Tensor) -> Tensor:
        on = (attributes[:, :1].detach() > self.cuts).to(attributes.dtype)
        return torch.cat([on.new_ones(len(on), 1), on], 1)[:, None]


def parted(spec: Spec) -> tuple[int, tuple[Block, ...], tuple[Block, ...]]:
    """Channels that are attributes, their blocks, and the blocks of what changes."""
    course = spec.course or Course()
    blocks = spec.blocks or (Block("numbers", spec.shape[0]),)
    totals = list(accumulate((block.width for block in blocks), initial=0))
    assert course.constants in totals, "a block lies on both sides of where the attributes end"
    fixed = totals.index(course.constants)
    return course.constants, blocks[:fixed], blocks[fixed:]


def goes_on(spec: Spec) -> Goes | None:
    """The module that tells where a series has ended; None where none ends early."""
    ends = None if spec.course is None else spec.course.ends
    return None if ends is None else Goes(ends, spec.shape[1])


class SequenceGenerator(nn.Module):
    """Noise [n, latent] and conditions -> series [n, channels, length]; nothing moves after a series' own end."""

    def __init__(self, spec: Spec, width: int, latent: int) -> None:
        super().__init__()
        self.shape = spec.shape
        self.constants, fixed, moving = parted(spec)
        self.input = LatentInput(latent, spec.condition)
        self.first = linear(self.input.width, width)
        self.trunk = trunk(width)
        self.attributes = linear(width, self.constants) if fixed else None
        self.attribute_output = BlockOutput(fixed)
        self.course = linear(width, (self.shape[0] - self.constants) * self.shape[1]) if moving else None
        self.course_output = BlockOutput(moving)
        self.goes = goes_on(spec)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        hidden = self.trunk(self.first(self.input(latent, condition)))
        channels, length = self.shape
        parts, attributes = [], None
        if self.attributes is not None:
            attributes = self.attribute_output(self.attributes(hidden))
            parts.append(attributes[:, :, None].expand(-1, -1, length))
        if self.course is not None:
            course = self.course_output(self.course(hidden).view(-1, channels - self.constants, length))
            if self.goes is not None and attributes is not None:
                course = course * self.goes(attributes)
            parts.append(course)
        return torch.cat(parts, 1)


class SequenceDiscriminator(nn.Module):
    """Series [n, channels, length] and conditions -> logits [n]; each attribute is read once, at the first step."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        channels, length = spec.shape
        self.constants, _, _ = parted(spec)
        self.goes = goes_on(spec)
        inputs = self.constants + (channels - self.constants + (self.goes is not None)) * length
        self.first = linear(inputs, width)
        self.trunk = trunk(width)
        self.head = ProjectionHead(width, spec.condition)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        attributes, course = samples[:, : self.constants, 0], samples[:, self.constants :]
        if self.goes is not None:
            on = self.goes(attributes)
            course = torch.cat([course * on, on], 1)
        return self.head(self.trunk(self.first(torch.cat([attributes, course.flatten(1)], 1))), condition)


def sequence_pair(spec: Spec, *, size: float, latent: int) -> tuple[SequenceGenerator, SequenceDiscriminator]:
    """Generator and discriminator of width 256 * size."""
    width = rounded(size * 256, multiple=8, minimum=8)
    return SequenceGenerator(spec, width, latent), SequenceDiscriminator(spec, width)
