"""Features of pictures from a small network trained on the user's own: by their labels, or self-supervised without.

`embedder = trained_embedder(pictures, labels, seed=0)`, then `embedder.embed(others)`. The network tells classes (or
views of one picture from other pictures: Chen et al. 2020, eq. 1) and names planted damage, so that it stays sharp.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    affine_grid,
    avg_pool2d,
    cross_entropy,
    grid_sample,
    interpolate,
    normalize,
    pad,
    relu,
)

from gannet.errors import GannetError
from gannet.order import mixed_seed

VERSION = "trained-pictures-1"
"""Raise the number when anything here changes what a network learns: reports of other versions are not compared."""
SMALLEST, LEAST_SIDE, MOST_SIDE = 4, 8, 32
"""Sides: of a picture at least; and between which the network sees it (larger ones are averaged over areas)."""
FEWEST = 4
"""Pictures from which a network can learn anything at all."""
MOST_PICTURES = 50_000
"""Pictures trained on at most: the first so many."""
VIEWS, PASSES = 40_000, 100
"""Pictures shown in training: 40,000, but each no more than 100 times. About 40 s on one core at 28 x 28."""
BATCH, BLOCK = 64, 256
HARMED = 4
"""One in so many pictures of a batch is harmed, and its damage to be named."""
WIDTHS, CODE, PROJECTION = (32, 64, 128), 64, 128
RATE, DECAY = 4e-3, 0.01
TEMPERATURE = 0.2
"""Of the comparison of views (Chen et al. 2020, eq. 1)."""
SMOOTHING = 0.1
"""Share of a label spread over all classes, so that features within a class do not collapse into one point."""
PER_CLASS = 5
"""Pictures a class, on average, below which labels teach less than the pictures themselves."""


class Embedder(Protocol):
    """What turns pictures into features; the name is printed with every figure and forbids unlike comparisons."""

    @property
    def name(self) -> str:
        """Version, and digests of what it was trained from."""

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [n, c, h, w] in [-1, 1] -> features [n, d] float32."""


class Trunk(nn.Module):
    """Three convolutions and a code; its features are the means of all three layers and the code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.layers = nn.ModuleList(
            [_layer(channels, first, 5, 2), _layer(first, second, 3, 2), _layer(second, third, 3, 1)]
        )
        self.code = nn.Linear(4 * third, CODE, bias=False)
        self.norm = nn.BatchNorm1d(CODE)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Code [n, 64] and features [n, 288] of pictures [n, c, h, w]."""
        means = []
        for layer in self.layers:
            x = layer(x)
            means.append(x.mean((2, 3)))
        code = self.norm(self.code(adaptive_avg_pool2d(x, 2).flatten(1)))
        return code, torch.cat([*means, code], 1)


def _layer(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Pupil(nn.Module):
    """The trunk with the heads it is taught by; only the trunk is kept."""

    def __init__(self, channels: int, classes: int | None) -> None:
        """`classes` None: no labels to learn, so views of a picture are told from those of others."""
        super().__init__()
        self.trunk = Trunk(channels)
        self.damage = nn.Linear(CODE, len(DAMAGES))
        self.classes = None if classes is None else nn.Linear(CODE, classes)
        self.projection = nn.Sequential(nn.ReLU(), nn.Linear(CODE, PROJECTION), nn.BatchNorm1d(PROJECTION))
        self.projection.extend([nn.ReLU(), nn.Linear(PROJECTION, PROJECTION)])

    @property
    def views(self) -> float:
        """Pictures that go through the trunk for each one of a batch."""
        return (2 if self.classes is None else 1) + 1 / HARMED

    def loss(self, pictures: Tensor, labels: Tensor | None, draw: torch.Generator) -> Tensor:
        """The cost [] of a batch [n, c, h, w]: of its damage, and of its labels [n] or of its pairs of views."""
        harmed, kinds = damaged(pictures[::HARMED], draw)
        cropped = [crops(pictures, draw) for _ in range(2 if self.classes is None else 1)]
        code, _ = self.trunk(torch.cat([harmed, *cropped]).contiguous(memory_format=torch.channels_last))
        of_harmed, of_cropped = code.split([len(harmed), len(code) - len(harmed)])
        damage = cross_entropy(self.damage(relu(of_harmed)), kinds)
        if self.classes is None:
            return damage + agreement(self.projection(of_cropped))
        assert labels is not None
        return damage + cross_entropy(self.classes(relu(of_cropped)), labels, label_smoothing=SMOOTHING)


def agreement(views: Tensor) -> Tensor:
    """The normalised cross-entropy [] of pairs (Chen et al. 2020, eq. 1): rows i and n + i of views [2 n, d].

    The mean over all 2 n views of how surprising its partner is among the others.
    """
    views = normalize(views, dim=1)
    apart = torch.eye(len(views), dtype=torch.bool)
    likeness = (views @ views.T / TEMPERATURE).masked_fill(apart, -torch.inf)
    return cross_entropy(likeness, torch.arange(len(views)).roll(len(views) // 2))


def crops(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Another view of every picture [n, c, h, w]: moved, stretched, scaled and in another contrast, each by little.

    Wider crops told classes of Fashion-MNIST less well at this length of training.
    """
    count = len(pictures)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=draw) * (high - low) + low

    size, stretch = between(0.9, 1.1), between(-0.1, 0.1).exp()
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 1, 1] = size * stretch, size / stretch
    places[:, :, 2] = between(-0.06, 0.06, 2)
    grid = affine_grid(places, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, padding_mode="border", align_corners=False) * between(0.9, 1.1, 1, 1, 1)


def damaged(pictures: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Every picture [n, c, h, w] harmed in one of the ways of `DAMAGES`, and which [n]."""
    kinds = torch.randint(len(DAMAGES), (len(pictures),), generator=draw)
    harmed = pictures.clone()
    for kind, harm in enumerate(DAMAGES):
        chosen = kinds == kind
        harmed[chosen] = harm(pictures[chosen], draw)
    return harmed, kinds


def _strength(x: Tensor, low: float, high: float, draw: torch.Generator) -> Tensor:
    return torch.rand(len(x), 1, 1, 1, generator=draw) * (high - low) + low


def _intact(x: Tensor, draw: torch.Generator) -> Tensor:
    return x


def _noisy(x: Tensor, draw: torch.Generator) -> Tensor:
    return x + _strength(x, 0.05, 0.5, draw) * torch.randn(x.shape, generator=draw)


def _blurred(x: Tensor, draw: torch.Generator) -> Tensor:
    return torch.lerp(x, avg_pool2d(pad(x, [1] * 4, mode="replicate"), 3, 1), _strength(x, 0.3, 1.0, draw))


def _mirrored(x: Tensor, draw: torch.Generator) -> Tensor:
    return x.flip(3)


def _upside_down(x: Tensor, draw: torch.Generator) -> Tensor:
    return x.flip(2)


def _turned(x: Tensor, draw: torch.Generator) -> Tensor:
    """A quarter turn of a square, else half a turn."""
    return x.rot90(1, (2, 3)) if x.shape[2] == x.shape[3] else x.flip(2, 3)


def _coarse(x: Tensor, draw: torch.Generator) -> Tensor:
    """Pixels in blocks of two by two."""
    return interpolate(avg_pool2d(x, 2, ceil_mode=True), x.shape[2:], mode="nearest")


def _mixed(x: Tensor, draw: torch.Generator) -> Tensor:
    """A quarter of the pixels from another picture."""
    taken = torch.rand(len(x), 1, *x.shape[2:], generator=draw) < 0.25
    return torch.where(taken, x.roll(1, 0), x)


DAMAGES: tuple[Callable[[Tensor, torch.Generator], Tensor], ...] = (
    _intact,
    _noisy,
    _blurred,
    _mirrored,
    _upside_down,
    _turned,
    _coarse,
    _mixed,
)
"""What the network learns to name: had it only classes to tell, it would overlook what makes a picture look wrong."""


@dataclass(frozen=True)
class TrainedEmbedder:
    """A trained network, ready to embed; `state` and `from_state` let the caller keep it."""

    trunk: Trunk
    centre: Tensor
    """Means [288] of the training pictures' features."""
    scale: Tensor
    """Their deviations [288]: every feature weighs the same."""
    channels: int
    taught: str
    """By "labels" or by "views"."""
    digest: str
    """Of the training pictures, labels and seed."""

    @property
    def name(self) -> str:
        """Version, teaching, and the first digits of the data's and the weights' digests: unlike networks differ."""
        return f"{VERSION} (by {self.taught}, data {self.digest[:8]}, weights {self._fingerprint()[:8]})"

    @torch.no_grad()
    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [n, c, h, w] in [-1, 1] of any size -> features [n, 288] float32 on the CPU.

        Values beyond the range are clamped, ones that are no number count as black. Raises GannetError for another
        number of channels than it was trained on.
        """
        _check(pictures, 0)
        if pictures.shape[1] != self.channels:
            raise GannetError(
                f"pictures have {pictures.shape[1]} channels, the embedder was trained on {self.channels}: "
                "embed pictures of one kind, or train another embedder"
            )
        parts = [self.trunk(prepared(block))[1] for block in pictures.split(BLOCK)] if len(pictures) else []
        return (torch.cat(parts) - self.centre) / self.scale if parts else self.centre.new_zeros(0, len(self.centre))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name and a JSON dictionary; no training picture is among them."""
        tensors = {f"trunk.{name}": value for name, value in self.trunk.state_dict().items()}
        described = {"version": VERSION, "channels": self.channels, "taught": self.taught, "digest": self.digest}
        return {**tensors, "centre": self.centre, "scale": self.scale}, described

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], described: dict[str, Any]) -> TrainedEmbedder:
        """The inverse of `state`, bit for bit. Raises GannetError for a state of another version."""
        if described.get("version") != VERSION:
            raise GannetError(
                f"the embedder is {described.get('version')}, this Gannet makes {VERSION}: train it again, "
                "or evaluate with the Gannet that made it"
            )
        with torch.device("meta"):
            trunk = Trunk(described["channels"])
        weights = {name.removeprefix("trunk."): value for name, value in tensors.items() if name.startswith("trunk.")}
        trunk.load_state_dict(weights, assign=True)
        return cls(_frozen(trunk), tensors["centre"], tensors["scale"], *_described(described))

    def _fingerprint(self) -> str:
        tensors, _ = self.state()
        return _digest(tensors[name] for name in sorted(tensors))


def trained_embedder(
    pictures: Tensor, labels: Tensor | None, *, seed: int, cache: Path | None = None
) -> TrainedEmbedder:
    """Train on pictures [n, 1 | 3 | 4, h, w] in [-1, 1], sides of 4 or more, and on their classes [n] (int) if known.

    The same pictures, labels and seed give the same network, bit for bit, on any number of threads of one machine;
    torch's own random state is left as it was. Labels of a single class, or of fewer than 5 pictures a class, are left
    unused. `cache`: a safetensors file to take the network from if it was trained on the same, else to write it to.
    Raises GannetError for shapes it cannot learn from and a cache that cannot be written.
    """
    _check(pictures, FEWEST)
    pictures = pictures.detach()[:MOST_PICTURES]
    classes = _classes(labels, len(pictures))
    digest = _digest([torch.tensor([seed, *pictures.shape]), *([] if classes is None else [classes]), pictures])
    kept = None if cache is None else _read(cache, digest)
    if kept is not None:
        return kept
    small = torch.cat([prepared(block) for block in pictures.split(BLOCK)])
    with _one_thread():
        trunk = _taught(small, classes, mixed_seed(VERSION, seed))
        centre, scale = _units(trunk, small)
    embedder = TrainedEmbedder(
        trunk, centre, scale, pictures.shape[1], "views" if classes is None else "labels", digest
    )
    if cache is not None:
        _write(cache, embedder)
    return embedder


@dataclass(frozen=True)
class JoinedEmbedder:
    """Trained features beside others, both weighing the same."""

    trained: TrainedEmbedder
    others: Callable[[Tensor], Tensor]
    others_name: str
    sizes: tuple[float, float]
    """Root of the total variance of each kind of features over the pictures they were joined on."""

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.trained.name} + {self.others_name}"

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [n, c, h, w] in [-1, 1] -> features [n, d] float32 of total variance 2 on the pictures joined on."""
        both = self.trained.embed(pictures), self.others(pictures).cpu().float()
        return torch.cat([features / size for features, size in zip(both, self.sizes, strict=True)], 1)


def joined_embedder(
    trained: TrainedEmbedder, others: Callable[[Tensor], Tensor], name: str, pictures: Tensor
) -> JoinedEmbedder:
    """Join a trained embedder with other features (say, a domain's network-free ones, by their name).

    `pictures` [n, c, h, w], real ones, tell how much each kind of features varies. `others` is to be deterministic.
    """
    sizes = [_size(features) for features in (trained.embed(pictures), others(pictures).cpu().float())]
    return JoinedEmbedder(trained, others, name, (sizes[0], sizes[1]))


def prepared(pictures: Tensor) -> Tensor:
    """Pictures as the network sees them: finite, in [-1, 1], hidden colour black, sides of 8 to 32 (area averages)."""
    pictures = pictures.detach().cpu().float().nan_to_num(-1.0).clamp(-1, 1)
    if pictures.shape[1] == 4:
        opacity = (pictures[:, 3:] + 1) / 2
        pictures = torch.cat([(pictures[:, :3] + 1) * opacity - 1, pictures[:, 3:]], 1)
    size = [min(MOST_SIDE, max(LEAST_SIDE, side)) for side in pictures.shape[2:]]
    small = pictures if size == list(pictures.shape[2:]) else interpolate(pictures, size=size, mode="area")
    return small.contiguous(memory_format=torch.channels_last)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums split over another number of threads round differently, and training makes much of little."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def _units(trunk: Trunk, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Means and deviations [288] of the features of prepared pictures."""
    features = torch.cat([trunk(block)[1] for block in pictures.split(BLOCK)])
    deviations = features.std(0)
    least = 0.01 * float(deviations.mean()) or 1.0  # a feature that hardly varies is no reason to shout
    return features.mean(0), deviations.clamp(min=least)


def _taught(pictures: Tensor, labels: Tensor | None, seed: int) -> Trunk:
    """A trunk trained by AdamW, its rate warmed up and annealed (Smith & Topin 2018)."""
    batch = min(BATCH, len(pictures))
    # The evaluation may run inside no_grad or inference_mode.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)  # the layers' first weights
        pupil = Pupil(pictures.shape[1], None if labels is None else int(labels.max()) + 1)
        draw = torch.Generator().manual_seed(seed)
        pictures = pictures.clone()  # in inference mode a tensor may not be saved for the way back
        steps = max(1, min(VIEWS, PASSES * len(pictures)) // int(batch * pupil.views))
        optimiser = torch.optim.AdamW(pupil.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step / steps))
        order = torch.zeros(0, dtype=torch.long)
        for _ in range(steps):
            if len(order) < batch:
                order = torch.randperm(len(pictures), generator=draw)
            rows, order = order[:batch], order[batch:]
            loss = pupil.loss(pictures[rows], None if labels is None else labels[rows], draw)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return _frozen(pupil.trunk)


def _pace(done: float) -> float:
    """Share of the highest rate: up over a quarter of the steps, then down to nearly nothing."""
    return 0.04 + 0.96 * (done / 0.25 if done < 0.25 else 0.5 + 0.5 * float(np.cos(np.pi * (done - 0.25) / 0.75)))


def _frozen(trunk: Trunk) -> Trunk:
    return trunk.eval().requires_grad_(False)


def _check(pictures: Tensor, fewest: int) -> None:
    if pictures.dim() != 4 or pictures.shape[1] == 0 or min(pictures.shape[2:]) < SMALLEST:
        raise GannetError(
            f"pictures have shape {list(pictures.shape)}: give [count, channels, height, width] with sides of at least "
            f"{SMALLEST}"
        )
    if len(pictures) < fewest:
        raise GannetError(f"{len(pictures)} pictures are too few to train an embedder on: give at least {fewest}")


def _classes(labels: Tensor | None, count: int) -> Tensor | None:
    """Labels as 0, 1, 2 ...; None when they teach nothing."""
    if labels is None:
        return None
    if labels.dim() != 1 or len(labels) < count:
        raise GannetError(f"labels have shape {list(labels.shape)}, pictures are {count}: give one class a picture")
    levels, classes = labels.detach().cpu()[:count].unique(return_inverse=True)
    return classes if len(levels) > 1 and count >= PER_CLASS * len(levels) else None


def _size(features: Tensor) -> float:
    return float(features.var(0).sum().sqrt()) or 1.0


def _described(described: dict[str, Any]) -> tuple[int, str, str]:
    return described["channels"], described["taught"], described["digest"]


def _digest(tensors: Iterable[Tensor]) -> str:
    seen = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        for block in tensor.detach().reshape(-1).split(2**22):
            seen.update(block.cpu().contiguous().numpy().tobytes())
    return seen.hexdigest()


def _read(cache: Path, digest: str) -> TrainedEmbedder | None:
    """The embedder kept at a file; None when there is none, it is damaged, or it was trained on something else."""
    try:
        with safetensors.safe_open(cache, framework="pt") as file:
            described = json.loads((file.metadata() or {}).get("embedder", "{}"))
            if described.get("digest") != digest or described.get("version") != VERSION:
                return None
            return TrainedEmbedder.from_state({name: file.get_tensor(name) for name in file.keys()}, described)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError):
        return None


def _write(cache: Path, embedder: TrainedEmbedder) -> None:
    """Write aside, flush, rename: a kill leaves the old file or the new one."""
    tensors, described = embedder.state()
    aside = cache.with_name(f".unfinished-{cache.name}")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(safetensors.torch.save(tensors, {"embedder": json.dumps(described)}))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(cache)
    except OSError as error:
        raise GannetError(
            f"{cache}: cannot be written ({error.strerror}): free some space or name another file"
        ) from error
