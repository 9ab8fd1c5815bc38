"""What sums a series up, for the metrics: its attributes, its path, its roughness, its echo at several lags.

`features(samples, encoding)` [n, at most 128]: fixed, free of networks, the same for every model of the same data.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gannet.domains.series_encoding import Encoding

NAME = "series-path-and-echo-1"
PLACES = 16
"""Moments of a series, from its first to its last step, at which its path is read."""
LAGS = (1, 2, 4, 8)
WIDEST = 32
"""Most features of one group; wider groups are projected by a fixed random matrix that keeps distances on average."""
FAINT = 1e-3


def features(samples: Tensor, encoding: Encoding) -> Tensor:
    """Samples [n, channels, length] -> features [n, d] float32, each group of them of about the same weight."""
    content = samples.detach().float().cpu().numpy()
    courses, alive = encoding.courses(content)
    groups = [_snapped(content[:, : encoding.constants].mean(2), encoding)]
    if courses is not None:
        courses = np.clip(courses, -10, 10)
        groups += [_path(courses, alive), _roughness(courses, alive), *_echo(courses, alive)]
    groups.append(_shares(content[:, encoding.constants + encoding.components :], alive))
    wide = [_narrowed(group / group.shape[1] ** 0.5) for group in groups if group.shape[1]]
    return torch.from_numpy(np.concatenate(wide, 1).astype(np.float32)).to(samples.device)


def _snapped(attributes: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Attributes [n, constants], each choice as its most probable level alone."""
    out, start = attributes.astype(np.float64), 0
    for block in encoding.blocks:
        if start >= encoding.constants:
            break
        if block.kind == "choice":
            part = out[:, start : start + block.width]
            out[:, start : start + block.width] = np.eye(block.width)[part.argmax(1)]
        start += block.width
    return np.clip(out, -5, 5)


def _path(courses: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Values at even moments of each series' own length [n, places * columns]."""
    lengths = alive.sum(1)
    moments = np.rint(np.linspace(0, 1, min(PLACES, courses.shape[1])) * (lengths - 1)[:, None]).astype(np.int64)
    return courses[np.arange(len(courses))[:, None], moments].reshape(len(courses), -1)


def _roughness(courses: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Log deviation of the moves from step to step [n, columns]."""
    both = (alive[:, 1:] & alive[:, :-1])[:, :, None]
    moves = np.diff(courses, axis=1) ** 2 * both
    return np.log(np.sqrt(moves.sum(1) / np.maximum(both.sum(1), 1)) + FAINT)


def _echo(courses: np.ndarray, alive: np.ndarray) -> list[np.ndarray]:
    """How like itself each series is some steps later, about its own mean [n, columns * lags]."""
    weights = alive[:, :, None].astype(np.float64)
    centred = (courses - (courses * weights).sum(1, keepdims=True) / weights.sum(1, keepdims=True)) * weights
    power = (centred**2).sum(1) + FAINT
    lags = [lag for lag in LAGS if lag < courses.shape[1]]
    if not lags:
        return []
    return [np.concatenate([(centred[:, lag:] * centred[:, :-lag]).sum(1) / power for lag in lags], 1)]


def _shares(channels: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Mean of every channel that is no smooth course, and how much it moves [n, 2 * channels]."""
    steps = np.maximum(alive.sum(1), 1)[:, None]
    moves = np.abs(np.diff(channels, axis=2)) * alive[:, None, 1:]
    return np.concatenate([(channels * alive[:, None]).sum(2) / steps, moves.sum(2) / steps], 1)


def _narrowed(group: np.ndarray) -> np.ndarray:
    if group.shape[1] <= WIDEST:
        return group
    projection = np.random.default_rng(0).standard_normal((group.shape[1], WIDEST)) / WIDEST**0.5
    return group @ projection
