"""A reader: a small classifier of small grey pictures, by which benchmarks ask whether samples show what was requested.

`reader = train_reader(images, labels)`, then `reader.accuracy(images, labels)` on real pictures, or
`reader.agreement(generated, requested)` on samples. About a minute for 30,000 pictures of 28 x 28 on one core.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

BATCH = 128
PEAK_RATE = 4e-3
MOST_SEEN = 90_000
"""Pictures shown in training: three rounds of 30,000."""
MOST_ROUNDS = 30


@dataclass(frozen=True)
class Reader:
    """A trained classifier with the scale of its inputs; classes are the sorted distinct labels it was trained on."""

    network: nn.Module
    classes: Tensor

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """The label [n] that the reader sees in each picture [n, height, width] uint8."""
        self.network.eval()
        logits = torch.cat([self.network(_scaled(some)) for some in images.split(1000)])
        return self.classes[logits.argmax(1)]

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of real pictures [n, height, width] read as their labels [n]."""
        return float((self.read(images) == labels).double().mean())

    def agreement(self, generated: Tensor, requested: Tensor) -> float:
        """Share of generated pictures [n, height, width] read as the labels [n] that were asked for."""
        return self.accuracy(generated, requested)

    def agreement_by_class(self, generated: Tensor, requested: Tensor) -> dict[int, float]:
        """`agreement` of each requested label on its own: a mean can hide a class that fails."""
        return {
            int(label): self.agreement(generated[requested == label], requested[requested == label])
            for label in requested.unique()
        }


def train_reader(images: Tensor, labels: Tensor, *, seed: int = 0) -> Reader:
    """A reader of pictures [n, height, width] uint8 with labels [n] of whole numbers; the seed decides everything else.

    The pictures may be real ones, or generated ones to ask what a classifier learns from samples alone.
    """
    classes, targets = labels.long().unique(return_inverse=True)
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    network = _network(images.shape[1], images.shape[2], len(classes))
    rounds = max(1, min(MOST_ROUNDS, round(MOST_SEEN / len(images))))
    batches = [
        chosen for _ in range(rounds) for chosen in torch.randperm(len(images)).split(BATCH) if len(chosen) > BATCH // 4
    ]
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=len(batches))
    network.train()
    for chosen in batches:
        loss = cross_entropy(network(_scaled(images[chosen])), targets[chosen], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    torch.random.set_rng_state(generator_state)
    return Reader(network, classes)


def _network(height: int, width: int, classes: int) -> nn.Module:
    """Three convolutions; the first two halve the picture."""
    sides = (-(-height // 4)) * (-(-width // 4))
    return nn.Sequential(
        *_convolution(1, 24, nn.MaxPool2d(2, ceil_mode=True)),
        *_convolution(24, 48, nn.MaxPool2d(2, ceil_mode=True)),
        *_convolution(48, 64, nn.Identity()),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64 * sides, classes),
    )


def _convolution(inputs: int, outputs: int, pool: nn.Module) -> list[nn.Module]:
    # Pooling first leaves a quarter of the pixels for the rest.
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), pool, nn.BatchNorm2d(outputs), nn.ReLU()]


def _scaled(images: Tensor) -> Tensor:
    return images[:, None].float() / 127.5 - 1
