"""Whether generated samples lie nearer to what the model was trained on than to real samples it never saw.

`nearer_to_training(train, holdout, generated)` gives the share nearer to training than to a holdout of equal size (0.5:
no memory), and the share of samples that only memory explains, which uses all of a large training set.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from gannet.metrics.neighbours import TIE, counts_within, nearest
from gannet.metrics.shares import NORMAL

FOLDS = 10
STUDENT = 2.262
"""97.5 % quantile of Student's t with nine degrees of freedom, for the ten folds."""
Estimate = tuple[float, tuple[float, float]]


@dataclass(frozen=True)
class Memory:
    """Both shares with their 95 % intervals."""

    nearer: Estimate
    """Share of generated samples nearer to training than to an equal-sized holdout, ties counted half."""
    remembered: Estimate
    """Share of generated samples that memory explains: 0 when the nearest real sample is as often an unseen one as
    their number lets expect, 1 when it never is."""


def nearer_to_training(train: Tensor, holdout: Tensor, generated: Tensor) -> Memory:
    """How generated features [k, d] lie between training ones [n, d] and unseen ones [m, d], n >= m >= 20.

    The equal-sized share is the mean over *all* subsets of m training samples, in closed form: of the training samples
    nearer than the nearest unseen one, a subset holds at least one with a hypergeometric chance. The intervals count
    the chance of the holdout, too (leaving out a tenth at a time), not only that of the generated samples: with few
    unseen samples that is the larger part.
    """
    folds = torch.arange(len(holdout), device=holdout.device) % FOLDS
    parts = [holdout[folds == fold] for fold in range(FOLDS)]
    # The nearest unseen sample, and the nearest outside its fold: all that leaving one fold out can change.
    by_fold, rows = (torch.cat(each, 1) for each in zip(*(nearest(generated, part, 1) for part in parts), strict=True))
    nearby = by_fold.topk(2, dim=1, largest=False)
    nearest_unseen = FOLDS * rows.gather(1, nearby.indices[:, :1])[:, 0] + nearby.indices[:, 0]
    around = [_around(train, generated, distances) for distances in nearby.values.unbind(1)]
    shares = [_nearer(*around[0], len(train), len(holdout))]
    for fold, part in enumerate(parts):
        changed = nearby.indices[:, 0] == fold
        nearer, tied = (torch.where(changed, second, first) for first, second in zip(*around, strict=True))
        shares.append(_nearer(nearer, tied, len(train), len(holdout) - len(part)))
    return Memory(
        _estimate(shares, nearest_unseen, 1 + len(holdout) / len(train)), _remembered(train, holdout, generated)
    )


def _around(train: Tensor, generated: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
    """Training samples nearer to each generated one than the distance [k], and just as near."""
    within = counts_within(generated, distances, train)
    nearer = counts_within(generated, distances * (1 - 2 * TIE), train)
    nearer[distances == 0] = 0  # nothing is nearer than a copy
    return nearer, within - nearer


def _nearer(nearer: Tensor, tied: Tensor, count: int, unseen: int) -> Tensor:
    """Each sample's chance [k] to be nearer to a subset of training as large as the holdout, ties counted half."""
    size = min(unseen, count)
    return 1 - (_avoided(nearer, count, size) + _avoided(nearer + tied, count, size)) / 2


def _avoided(marked: Tensor, count: int, size: int) -> Tensor:
    """Chance that `size` of `count` samples, drawn without replacement, hold none of the marked ones."""
    rest = (count - marked).double()
    logs = torch.lgamma(rest + 1) - torch.lgamma((rest - size).clamp(min=0) + 1)
    whole = torch.lgamma(torch.tensor(count + 1.0, dtype=torch.float64)) - torch.lgamma(
        torch.tensor(count - size + 1.0, dtype=torch.float64)
    )
    return torch.where(rest >= size, (logs - whole).exp(), 0.0)


def _estimate(values: list[Tensor], group: Tensor, own: float) -> Estimate:
    """The mean of the first values [k], its interval by their spread and by the means of the others, a fold less.

    `group` [k]: values with one nearest unseen sample stand and fall together. `own`: the training samples are as much
    chance as the unseen ones, by their number.
    """
    value, left_out = float(values[0].mean()), torch.stack([each.mean() for each in values[1:]])
    unseen = (FOLDS - 1) * float(left_out.var(correction=0)) * own
    together = torch.zeros(int(group.max()) + 1, dtype=torch.float64, device=group.device)
    together.index_add_(0, group, values[0].double() - value)
    # Both hold the chance of who lies nearest to whom, so their sum would count it twice.
    error = STUDENT * sqrt(max(unseen, float(together.square().sum()) / len(group) ** 2))
    return value, (max(0.0, value - error), min(1.0, value + error))


def _remembered(train: Tensor, holdout: Tensor, generated: Tensor) -> Estimate:
    """Without memory, each real sample that is nearest to some generated one is an unseen one by chance alone.

    That chance p is known, and so is the spread of the unseen ones' mass: p (1 - p) times the sum of squared masses, so
    that a crowd around one real sample counts as one finding.
    """
    real = torch.cat([train, holdout])
    distances, rows = (each[:, 0] for each in nearest(generated, real, 1))
    known, unseen = counts_within(generated, distances, train), counts_within(generated, distances, holdout)
    # Of the real samples that are nearest together, one drawn at random.
    mass = torch.bincount(rows, minlength=len(real)).double() / len(generated)
    alike = torch.ones(len(real), dtype=torch.float64, device=real.device)
    alike[rows] = (known + unseen).double().clamp(min=1)
    chance = len(holdout) / len(real)
    value = 1 - float((unseen / (known + unseen).clamp(min=1)).double().mean()) / chance
    error = NORMAL * sqrt((1 - chance) / chance * float((mass.square() / alike).sum()))
    return value, (value - error, min(1.0, value + error))
