"""Copies of training samples: exact ones, by their decoded form, and near ones, by a distance real samples hardly have.

`exact_copies(train, others, domain)` says of each sample whether it is one; samples within `near_radius(...)` of their
nearest training sample are near ones. What held-out real samples score are the natural duplicates to subtract.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gannet.metrics.evidence import Side

NEAR = 0.2
"""Near copies lie within this share of the usual distance from an unseen real sample to its nearest training one."""
CHUNK_ROWS = 1000


def exact_copies(train: Side, others: Side, domain: Any) -> Tensor:
    """Which samples of the others [m] bool equal a training sample as the user gets it: row, picture or point.

    Tables are compared by their frames, as they are and as the model could give them back (encoded and decoded),
    without columns that are made anew (ids); other data by what the domain decodes (None: by the encoded samples).
    """
    copies = torch.zeros(len(others), dtype=torch.bool)
    for known, asked in zip(_forms(train, domain), _forms(others, domain), strict=True):
        digests = set(_digests(known, domain))
        copies |= torch.tensor([digest in digests for digest in _digests(asked, domain)], dtype=torch.bool)
    return copies


def _forms(side: Side, domain: Any) -> list[Side]:
    """A side as it is, and, where it has rows and a domain, as it comes back from the model's encoding."""
    if side.frame is None or domain is None:
        return [side]
    return [side, replace(side, frame=domain.frame(side.samples, side.condition))]


def near_radius(usual: Tensor) -> float:
    """The distance below which a sample is a near copy, of the distances [n] of unseen real samples to training."""
    return NEAR * float(usual.median())


def _digests(side: Side, domain: Any) -> list[bytes]:
    """16 bytes a sample, equal where the decoded samples are."""
    if side.frame is not None:
        anew = () if domain is None else domain.unlearned
        columns = [_cells(side.frame[name]) for name in side.frame.columns if str(name) not in anew]
        return [_digest(repr(row).encode()) for row in zip(*columns, strict=True)]
    digests = []
    for samples in side.samples.split(CHUNK_ROWS):
        decoded = samples.numpy() if domain is None else np.asarray(domain.decode(samples))
        digests += [_digest(np.ascontiguousarray(each).tobytes()) for each in decoded]
    return digests


def _cells(column: Any) -> list[str]:
    """A column as text: whole numbers alike whether or not they are stored with a fraction, missing cells alike."""
    empty = column.isna().to_numpy(dtype=bool)
    if column.dtype.kind in "iuf":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return ["" if missing else repr(value) for value, missing in zip(values.tolist(), empty, strict=True)]
    return ["" if missing else str(value) for value, missing in zip(column, empty, strict=True)]


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
