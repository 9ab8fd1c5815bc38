"""Sampling with the shares a person wants, not those of the data: the remedy for an unfair or lopsided data set.

`balanced(prior, "sex", n, seed)` and `with_shares(prior, {"sex=Female": 0.5}, n, seed)` give the conditions to ask for;
where the column is no condition, `draw_until` draws until every group has its quota.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from gannet.conditions import ConditionPrior
from gannet.errors import GannetError, did_you_mean
from gannet.spec import Field

Drawn = TypeVar("Drawn")

ROUNDS, CLOSE = 500, 1e-6
"""Most rounds of raking, and the error of a share at which it ends."""
FRUITLESS = 20_000
"""Samples drawn without a single one of a group, after which the rest is not tried."""


def parse_shares(texts: Sequence[str]) -> dict[str, float]:
    """`["sex=Female:0.5"]`, as on the command line, -> `{"sex=Female": 0.5}`. Raises GannetError naming the text."""
    shares: dict[str, float] = {}
    for text in texts:
        group, colon, number = text.rpartition(":")
        try:
            share = float(number)
        except ValueError:
            share = float("nan")
        if not colon or "=" not in group or not 0 <= share <= 1:
            raise GannetError(
                f"share {text!r}: expected COLUMN=GROUP:SHARE with a share from 0 to 1, as sex=Female:0.5"
            )
        if group in shares:
            raise GannetError(f"share {text!r}: {group!r} has a share already ({shares[group]:g}); give one")
        shares[group] = share
    return shares


# ----------------------------------------------------------------------------------------- columns that are conditions


def balanced(prior: ConditionPrior, field: str, n: int, seed: int) -> Tensor:
    """Conditions [n, width] with every class of a field equally often, counts differing by one at most.

    Everything else is as frequent as in the data among each class. Classes never seen in training are left out.
    Raises GannetError for a field that is no class.
    """
    position = _class_field(prior, field)
    seen = sorted({row[position] for row in prior.combinations})
    return _asked(prior, {position: {level: 1 / len(seen) for level in seen}}, n, seed)


def with_shares(prior: ConditionPrior, shares: Mapping[str, float], n: int, seed: int) -> Tensor:
    """Conditions [n, width] with the given shares, as {"sex=Female": 0.5, "race=Black": 0.3}.

    Levels without a share keep their proportions in what is left; shares of several fields hold together (raking,
    Deming & Stephan 1940). The counts of one field are within one of n times the share; of several, nearly so.
    Raises GannetError for unknown fields and levels, shares beyond 1, and shares that the data's combinations exclude.
    """
    wanted: dict[int, dict[int, float]] = {}
    for group, share in shares.items():
        position, level = _group(prior, group)
        wanted.setdefault(position, {})[level] = share
    targets = {position: _completed(prior, position, given) for position, given in wanted.items()}
    return _asked(prior, targets, n, seed)


def _classes(prior: ConditionPrior) -> list[Field]:
    return [field for field in prior.condition.fields if field.levels is not None]


def _class_field(prior: ConditionPrior, name: str) -> int:
    """Position among the class fields. Raises GannetError for other names."""
    names = [field.name for field in _classes(prior)]
    if name in names:
        return names.index(name)
    if any(field.name == name for field in prior.condition.fields):
        raise GannetError(f"balance {name!r}: this condition is a number; only classes can be balanced")
    raise GannetError(f"balance {name!r}: this run has no such class condition; {did_you_mean(name, names)}")


def _group(prior: ConditionPrior, group: str) -> tuple[int, int]:
    """`sex=Female` -> (position among the class fields, level). Names and levels may hold `=` themselves."""
    classes = _classes(prior)
    for position, field in enumerate(classes):
        if group.startswith(field.name + "="):
            levels, level = field.levels or (), group[len(field.name) + 1 :]
            if level in levels:
                return position, levels.index(level)
    name = group.partition("=")[0]
    position = _class_field(prior, name)
    level = group[len(name) + 1 :]
    raise GannetError(f"share {group!r}: no such level; {did_you_mean(level, classes[position].levels or ())}")


def _completed(prior: ConditionPrior, position: int, given: dict[int, float]) -> dict[int, float]:
    """Shares of all levels of a field: the given ones, and the data's proportions for what is left."""
    field = _classes(prior)[position]
    own: dict[int, float] = {}
    for row, frequency in zip(prior.combinations, prior.frequencies, strict=True):
        own[row[position]] = own.get(row[position], 0.0) + frequency
    for level, share in given.items():
        if not 0 <= share <= 1:
            raise GannetError(f"share {field.name}={(field.levels or ())[level]}: {share:g} is outside 0 to 1")
        if share > 0 and level not in own:
            raise GannetError(
                f"share {field.name}={(field.levels or ())[level]}: never seen in training, so it cannot be asked for"
            )
    total, left = sum(given.values()), sum(share for level, share in own.items() if level not in given)
    if total > 1 + CLOSE or (total < 1 - CLOSE and left == 0):
        raise GannetError(f"shares of {field.name!r} add up to {total:g}: they must leave a total of 1")
    rest = {level: share / left * max(0.0, 1 - total) for level, share in own.items() if level not in given and left}
    return {**given, **rest}


def _asked(prior: ConditionPrior, targets: dict[int, dict[int, float]], n: int, seed: int) -> Tensor:
    """Conditions [n, width] whose class fields have the target shares, in random order."""
    if n < 1:
        raise GannetError(f"n={n}: ask for at least one sample")
    weights = _raked(prior, targets)
    first = next(iter(targets))
    # Combinations of one level of the first field side by side: evenly spaced picks then give each level its share.
    order = sorted(range(len(weights)), key=lambda at: (prior.combinations[at][first], at))
    ends = np.cumsum(weights[order])
    picks = np.searchsorted(ends, (np.arange(n) + 0.5) / n * ends[-1])
    random = np.random.default_rng(seed)
    chosen = random.permutation(np.array(order)[picks.clip(0, len(order) - 1)])
    vectors = torch.zeros(n, prior.condition.width)
    for at in np.unique(chosen):
        rows = np.flatnonzero(chosen == at)
        vectors[rows] = _drawn(prior, int(at), len(rows), int(random.integers(2**62)))
    return vectors


def _drawn(prior: ConditionPrior, combination: int, count: int, seed: int) -> Tensor:
    """Conditions [count, width] of one combination of classes, numbers as the prior draws them."""
    names = [field.name for field in _classes(prior)]
    levels = [
        (field.levels or ())[at] for field, at in zip(_classes(prior), prior.combinations[combination], strict=True)
    ]
    return prior.draw(count, seed, dict(zip(names, levels, strict=True)))


def _raked(prior: ConditionPrior, targets: dict[int, dict[int, float]]) -> np.ndarray:
    """Weights of the combinations, nearest to their frequencies, that have the target shares. Raises GannetError."""
    rows, weights = np.array(prior.combinations), np.array(prior.frequencies, dtype=np.float64)
    for _ in range(ROUNDS):
        error = 0.0
        for position, shares in targets.items():
            for level, share in shares.items():
                own = rows[:, position] == level
                now = weights[own].sum()
                error = max(error, abs(now - share))
                if now > 0:
                    weights[own] *= share / now
        if error < CLOSE:
            return weights / weights.sum()
    names = " and ".join(_classes(prior)[position].name for position in targets)
    raise GannetError(
        f"shares of {names}: no mixture of the combinations in the training data has them all; ask for fewer of them"
    )


# ------------------------------------------------------------------------------------ columns that are not conditions


def quotas(shares: Mapping[str | None, float], n: int) -> dict[str | None, int]:
    """How many of n samples each group gets, largest remainders first (Hamilton), so that they add up to n.

    What the shares leave goes to None: samples of any other group. Raises GannetError for shares beyond 1.
    """
    total = sum(shares.values())
    if total > 1 + CLOSE or any(share < 0 for share in shares.values()):
        raise GannetError(f"shares add up to {total:g}: each must be from 0 to 1, and all together at most 1")
    full: dict[str | None, float] = dict(shares)
    if total < 1 - CLOSE:
        full[None] = full.get(None, 0.0) + 1 - total
    exact = {group: share / max(total, 1.0) * n for group, share in full.items()}
    counts = {group: int(amount + CLOSE) for group, amount in exact.items()}
    order = sorted(exact, key=lambda group: counts[group] - exact[group])
    for group in order[: n - sum(counts.values())]:
        counts[group] += 1
    return counts


def draw_until(
    draw: Callable[[int], Drawn],
    groups: Callable[[Drawn], Sequence[str | None]],
    wanted: Mapping[str | None, int],
    *,
    most: int,
) -> list[tuple[Drawn, np.ndarray]]:
    """Draw until every group has as many samples as `wanted`; keep those, first come, first served.

    `draw(i)` gives the i-th batch (fresh samples for every i), `groups(batch)` the group of each of its samples; `None`
    in `wanted` stands for all groups that are not named. Returns the batches with the positions [k] kept of each, in
    order; they hold the wanted samples and no others. Samples are kept or left by their group alone, so that within a
    group they are distributed as the model makes them.
    Raises GannetError when a group is not full after `most` samples, or never came in `FRUITLESS`.
    """
    missing = {group: count for group, count in wanted.items() if count > 0}
    kept: list[tuple[Drawn, np.ndarray]] = []
    met = dict.fromkeys(missing, 0)
    drawn = batch_number = 0
    while missing:
        if drawn >= most or (drawn >= FRUITLESS and not all(met[group] for group in missing)):
            _too_rare(missing, met, wanted, drawn)
        batch = draw(batch_number)
        names = [name if name in wanted else None for name in groups(batch)]
        assert names, "an empty batch would be drawn for ever"
        drawn, batch_number = drawn + len(names), batch_number + 1
        positions = []
        for position, name in enumerate(names):
            if name in met:
                met[name] += 1
            if name in missing:
                positions.append(position)
                missing[name] -= 1
                if not missing[name]:
                    del missing[name]
        if positions:
            kept.append((batch, np.array(positions)))
    return kept


def _too_rare(
    missing: Mapping[str | None, int], met: Mapping[str | None, int], wanted: Mapping[str | None, int], drawn: int
) -> None:
    group = min(missing, key=lambda name: met[name] / wanted[name])
    name = "other groups" if group is None else f"group {group!r}"
    raise GannetError(
        f"{name}: only {met[group]:,} came in {drawn:,} samples, {wanted[group]:,} are wanted; the model makes it too "
        "rarely: ask for fewer, or train with the column as a condition"
    )
