"""What can be seen coming before the first step: data that is too little or says nothing, players that cannot match.

`foresee(sight, count=..., weights=...)` -> sentences; none where nothing is wrong. Settings are doubted by the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gannet.diagnostics.look import Sight

FEW = 200
DISTINCT = 0.2
"""Share of different samples below which the data repeats itself."""
MISMATCH = 10.0
"""How many times larger one player may be than another."""
COVERED = 0.85
"""Share of held-out samples that training samples should come close to; about .97 where both are alike."""
NEIGHBOURS = 5
INFORMED = 0.1
"""How far labels of neighbours must agree beyond chance, on the way from chance to always."""


def foresee(sight: Sight, *, count: int, weights: Mapping[str, int]) -> list[str]:
    """Sentences on what is likely to go wrong.

    `sight` holds training and held-out features and classes, `count` is the number of training samples, `weights` the
    number of weights of each player.
    """
    told = []
    if count < FEW:
        told.append(f"{count} training samples are few: expect samples that copy them; more data helps most")
    distinct = len(torch.unique(sight.train, dim=0)) / len(sight.train)
    if distinct < DISTINCT:
        told.append(f"only {distinct:.0%} of the training samples differ from each other: the data repeats itself")
    large, small = max(weights, key=lambda name: weights[name]), min(weights, key=lambda name: weights[name])
    if weights[large] > MISMATCH * weights[small]:
        ratio = weights[large] / weights[small]
        told.append(f"the {large} has {ratio:.0f} times the weights of the {small}: the players cannot match")
    told += _about_holdout(sight) if sight.spared else []
    return told + _about_labels(sight)


def _about_holdout(sight: Sight) -> list[str]:
    """Whether held-out samples look like training samples; else the score measures something never taught."""
    told = []
    covered = float(sight.covered.float().mean())
    if covered < COVERED:
        told.append(
            f"training samples come close to only {covered:.0%} of the held-out ones: "
            "a part of what is judged is missing from the training data"
        )
    if sight.holdout_classes is not None and sight.train_classes is not None:
        for level, name in enumerate(sight.names):
            if bool((sight.holdout_classes == level).any()) and not bool((sight.train_classes == level).any()):
                usual = int((sight.holdout_classes == level).sum()) / len(sight.holdout_classes)
                if usual * len(sight.train_classes) > 10:
                    told.append(f"class {name!r} is held out but hardly occurs in the training data")
    return told


def _about_labels(sight: Sight) -> list[str]:
    """Whether neighbours share their labels more often than chance."""
    classes = sight.train_classes
    if classes is None or len(classes) < 50 or len(torch.unique(classes)) < 2:
        return []
    between = torch.cdist(sight.train, sight.train).fill_diagonal_(torch.inf)
    near = between.topk(NEIGHBOURS, dim=1, largest=False).indices
    agreed = float((classes[near] == classes[:, None]).float().mean())
    shares = torch.bincount(classes).double() / len(classes)
    chance = float(shares.square().sum())
    if agreed < chance + INFORMED * (1 - chance):
        return [f"labels of alike samples agree {agreed:.0%} of the time, chance is {chance:.0%}: are they mixed up?"]
    return []
