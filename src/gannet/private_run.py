"""A private run from end to end: what it may spend, what it keeps secret, how its table is opened, what it covers.

`Privacy.begin(wanted, ...)` for a new run, `Privacy.of(settings, ...)` for one that goes on or is evaluated; the
session arms the recipe by it. Every use of a real row before `gannet evaluate` passes through this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from torch import nn

from gannet import settings as knobs
from gannet.domains import Domain, Opened
from gannet.domains.table_private_opening import open_private
from gannet.domains.tables import Tables
from gannet.errors import GannetError
from gannet.metrics.answer import Answer
from gannet.order import PoissonOrder
from gannet.privacy import NoisyCounts, Plan, Secret, Wanted
from gannet.recipes.private import Private
from gannet.recipes.recipe import Recipe
from gannet.spec import Spec

RECIPE = "private"


@dataclass
class Privacy:
    """The plan of a run and the secret it draws from; no secret once the run is over."""

    plan: Plan
    secret: Secret | None
    data: str
    """Keyed fingerprint of the data; empty once the key is gone."""
    shares: list[list[float]]
    """By noisy counts, the shares of the levels of each choice: where the generator begins."""

    def to_json(self) -> dict[str, Any]:
        """What the run's settings keep."""
        return {"private": self.plan.to_json(), "private_shares": self.shares}

    @classmethod
    def begin(
        cls, source: Any, options: Tables.Options, recipe: Private, wanted: Wanted, *, samples: int | None, seed: int
    ) -> tuple[Privacy, Opened]:
        """Plan a run and open its table, which spends the statistics' share. GannetError where it cannot be kept."""
        secret = Secret.fresh() if wanted.noise_seed is None else Secret.known(wanted.noise_seed)
        plans: list[Plan] = []

        def counters(count: int) -> tuple[NoisyCounts, NoisyCounts]:
            recipe.batch_size = min(recipe.batch_size, max(count // 2, 1))
            if samples is not None:
                recipe.steps = ceil(samples / recipe.batch_size)
            plan = Plan.of(
                wanted,
                count=count,
                batch=recipe.batch_size,
                steps=recipe.steps,
                clip=recipe.clip,
                share=recipe.statistics_share,
            )
            plans.append(plan)
            return (
                NoisyCounts(secret, plan.first_look, plan.slip),
                NoisyCounts(secret, plan.second_look, plan.slip),
            )

        found = open_private(source, options, seed=seed, counters=counters, limits=recipe.limits)
        privacy = cls(plans[0], secret, secret.digest(found.content), found.shares)
        return privacy, replace(found.opened, found=found.opened.found + privacy.plan.lines())

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], source: Any, options: Tables.Options, folder: Path, *, training: bool
    ) -> tuple[Privacy, Opened]:
        """A run that is there already: its table read as it reads it, nothing looked at anew.

        To go on (`training`) takes the key and the very same data; GannetError where either is missing.
        """
        plan, shares = Plan.from_json(settings["private"]), settings["private_shares"]
        known = Tables.restore(Spec.from_json(settings["spec"]), settings["domain"])
        found = open_private(source, options, seed=settings["seed"], counters=_never, known=known)
        if not training or settings.get("finished", False):
            return cls(plan, None, "", shares), found.opened
        secret, data = Secret.found(folder)
        if secret.digest(found.content) != data:
            raise GannetError(
                f"{folder}: the data is not what this private run began with; put the old data back, or begin another "
                "run with --out (the budget holds for one set of rows)"
            )
        return cls(plan, secret, data, shares), found.opened

    # -- playing --------------------------------------------------------------------------------------------------

    def arm(self, recipe: Recipe, networks: Mapping[str, nn.Module]) -> PoissonOrder | None:
        """Hand the recipe its noise, and give the order of its rows; None for a run that is over.

        The fresh generator begins with the columns as the statistics have them, independent of each other.
        """
        assert isinstance(recipe, Private)
        recipe.begin_with(networks["generator"], self.shares)
        if self.secret is None:
            return None
        secret, rows = self.secret, self.plan.rows
        recipe.arm(secret, self.plan.noise_multiplier)
        return PoissonOrder(
            self.plan.rate, recipe.batch_size, lambda step: secret.uniform("rows of a step", step, rows)
        )

    def keep(self, folder: Path) -> None:
        """Write the key into a new run folder: without it the run could not go on after a stop."""
        if self.secret is not None:
            self.secret.keep(folder, self.data)

    def forget(self, folder: Path) -> None:
        """The run is over: delete the key."""
        self.secret = None
        Secret.forget(folder)


def _never(count: int) -> Any:
    raise AssertionError("the columns of a run are learned once")


def reopened(settings: Mapping[str, Any], source: Any) -> Opened:
    """The table of a private run, for its steward's own look at it. GannetError when it is another table."""
    _, options = knobs.apply([Private, Tables.Options], settings["request"]["settings"])
    _, opened = Privacy.of(settings, source, Tables.Options(**options), Path(), training=False)
    if opened.fingerprint != settings["fingerprint"]:
        raise GannetError(f"{source} is not the data that the run was trained on; put that data back to evaluate")
    return opened


def refuse(domain: type[Domain], source: Any, recipe: str | None, wanted: Wanted | None, seconds: float | None) -> None:
    """Raise GannetError for what cannot be trained privately, and for the private recipe without a budget."""
    if wanted is None:
        if recipe == RECIPE:
            raise GannetError("recipe private needs a budget; say how private: --private epsilon=3")
        return
    if not issubclass(domain, Tables):
        raise GannetError(
            f"--private: tables alone can be trained with differential privacy, {source} is {domain.kind}"
        )
    if recipe not in (None, RECIPE):
        raise GannetError(
            f"--private: recipe {recipe} shows real rows to networks of unbounded gradients; leave --recipe out"
        )
    if seconds is not None:
        raise GannetError("--time: the steps of a private run are part of its budget; leave it out, or say steps=400")


def refuse_more(settings: Mapping[str, Any], samples: int | None, seconds: float | None, path: Path) -> None:
    """Raise GannetError where a private run is asked for more than it planned."""
    more = samples is not None and samples != settings.get("total")
    if more or seconds is not None:
        raise GannetError(
            f"{path}: the budget of this private run is spent by the {settings['private']['steps']:,} steps it "
            "planned, more would go beyond it; begin another run with --out"
        )


# -- the report -------------------------------------------------------------------------------------------------------


def covered(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the guarantee of a private run covers and what not, as (what, words)."""
    plan = Plan.from_json(settings["private"])
    guarantee = f"epsilon {plan.epsilon:g}, delta {plan.delta:.2g} (counted: {plan.spent_epsilon:.3g})"
    told = {
        "guarantee": f"{guarantee}: one row of the training data more or less changes the chance of anything computed "
        "from the model's files by a factor of e^epsilon at most, but for delta",
        "covered: statistics": "levels, missing values, ranges and quantiles of the columns: Gaussian noise on counts "
        f"(multipliers {plan.first_look:.3g} and {plan.second_look:.3g}), names told only above a threshold; alone "
        f"epsilon {plan.statistics_epsilon:.3g}",
        "covered: training": f"{plan.steps:,} steps, each on a Poisson sample of {plan.rate:.2%} of {plan.rows:,} "
        f"rows; gradients of single rows clipped to {plan.clip:g}, noise multiplier {plan.noise_multiplier:.3g}; alone "
        f"epsilon {plan.training_epsilon:.3g}",
        "covered: choice": "the newest weights are the model: no real row chose a checkpoint, a setting or the end",
        "taken as public": "the number of rows; names, types and spellings (formats of dates, words for yes and no) "
        "of the columns; settings given by the user",
        "not covered": "this report, which compares with real rows; a person of several rows (k rows: k times "
        "epsilon); other models or releases of the same data, whose budgets add up",
    }
    return list(told.items())


def with_guarantee(answers: Sequence[Answer], settings: Mapping[str, Any]) -> list[Answer]:
    """The answers, that to "Private?" with what the guarantee covers; as they are for runs without one."""
    if settings.get("private") is None:
        return list(answers)
    warned = settings["private"]["noise_seed"] is not None
    note = (
        "NOT PRIVATE: the noise of this run follows from a known number (noise_seed)."
        if warned
        else "Trained with differential privacy: the guarantee holds whatever the attacks above find."
    )
    return [
        replace(answer, notes=[note, *(f"{part}: {words}" for part, words in covered(settings)), *answer.notes])
        if answer.key == "private"
        else answer
        for answer in answers
    ]
