"""After training: a model's samples beside the training and the held-out data, by the metrics of `gannet.metrics`.

Embedder, counts and resize rule are part of the report, since figures of different protocols cannot be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gannet.api import open_source
from gannet.domains import Dataset, Opened
from gannet.errors import GannetError
from gannet.metrics import Report, evaluate_features
from gannet.metrics.inception import RESIZE_RULE, InceptionFeatures
from gannet.model import Model
from gannet.order import mixed_seed

MOST = 10_000
"""Samples compared when no number is asked for; fewer when the data holds fewer."""
CHUNK = 500


def evaluate_model(
    model: Model, *, samples: int | None = None, seed: int = 0, inception: str | Path | None = None
) -> Report:
    """Figures of `samples` generated samples against held-out ones, each beside real against real.

    `inception` is a file of Inception-v3 weights; without it the domain's own network-free features are used.
    Raises GannetError when the training data is gone or is not what the run was trained on.
    """
    settings = model.settings
    source = settings["request"]["source"]
    if source is None:
        raise GannetError(f"{model.path} was trained on data in memory, which is not here to compare with")
    opened = open_source(source, settings["request"]["settings"], settings["request"]["seed"], settings["recipe"])
    if opened.fingerprint != settings["fingerprint"]:
        raise GannetError(f"{source} is not the data that {model.path} was trained on; put that data back to evaluate")
    embed, name, resize = _embedder(model, inception)
    half = 0 if opened.holdout is None else len(opened.holdout)
    count = min(samples or MOST, len(opened.train), half or MOST)
    generated, _ = model.draw(count, seed=mixed_seed(seed, "evaluate"))
    return evaluate_features(
        _features(opened.train, count, embed, seed),
        None if opened.holdout is None else _features(opened.holdout, count, embed, seed),
        embed(generated),
        embedder=name,
        resize=resize,
        seed=seed,
        noise=embed(_noise(opened, count, seed)),
        scale_free=inception is None,
        data=opened.fingerprint,
    )


def _embedder(model: Model, inception: str | Path | None) -> tuple[Callable[[Tensor], Tensor], str, str | None]:
    """Features [n, d] of samples, the embedder's name, and its resize rule."""
    if inception is None:
        return _in_chunks(model.domain.embed), model.domain.embedder, None
    if model.spec.kind != "images":
        raise GannetError(
            f"inception={inception}: Inception features are for pictures, this run makes {model.spec.kind}"
        )
    network = InceptionFeatures.from_file(Path(inception))
    return _in_chunks(lambda samples: network.embed(samples)), network.name, RESIZE_RULE


def _in_chunks(embed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda samples: torch.cat([embed(part) for part in samples.split(CHUNK)])


def _features(data: Dataset, count: int, embed: Callable[[Tensor], Tensor], seed: int) -> Tensor:
    """Features of `count` samples chosen by the seed; only one chunk of samples is in memory at a time."""
    chosen = np.random.default_rng(mixed_seed(seed, "evaluate")).permutation(len(data))[:count]
    parts = np.array_split(np.sort(chosen), max(count // CHUNK, 1))
    return torch.cat([embed(data.read(part)[0]) for part in parts])


def _noise(opened: Opened, count: int, seed: int) -> Tensor:
    """The floor: samples whose every feature is drawn from the data on its own [count, *shape]."""
    random = np.random.default_rng(mixed_seed(seed, "noise"))
    real, _ = opened.train.read(np.sort(random.permutation(len(opened.train))[:count]))
    flat = real.flatten(1)
    shuffled = random.permuted(flat.numpy(), axis=0)
    return torch.from_numpy(shuffled).view_as(real)
