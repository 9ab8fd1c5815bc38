"""Planted failures: does the referee see them in time, leave healthy runs alone, and save what can be saved?

    python benchmarks/referee.py [--seeds 5] [--games ring digits rows] [--sabotages ...] [--processes 2] [--out FILE]
    python benchmarks/referee.py --logs training_logs.json.gz

Plays every sabotage on every game, without remedies and with them, beside as many healthy runs. Damage is the logarithm
of the sample score over the healthy median at the same moment; a failure is caught in time when the referee speaks
before half of the damage at the end is done. Sabotages that do no harm (1.5 times the healthy score) count apart.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gannet.api import open_source
from gannet.diagnostics import Referee, foresee
from gannet.diagnostics.score_watch import ScoreWatch
from gannet.domains import Opened
from gannet.domains.domain import ArrayDataset, Dataset, Subset
from gannet.engine import Engine
from gannet.errors import GannetError
from gannet.examination import Examination
from gannet.recipes import recipe_named
from gannet.recipes.recipe import Doubt
from gannet.watch import Look, Pulse

HARM = 1.5


@dataclass(frozen=True)
class Game:
    """A small game on one kind of data."""

    source: Callable[[], Any]
    total: int
    size: float
    recipe: str = "r3gan"
    knobs: tuple[tuple[str, Any], ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


def rows() -> Any:
    """A table of 4,000 rows: a class, numbers that depend on it, a skewed one, a rare category."""
    import pandas as pd

    random = np.random.default_rng(7)
    kind = random.choice(["a", "b", "c", "d"], 4_000, p=[0.4, 0.3, 0.2, 0.1])
    centre = np.select([kind == "a", kind == "b", kind == "c"], [0.0, 3.0, -3.0], 6.0)
    x = centre + random.standard_normal(4_000)
    y = 0.5 * x**2 + random.standard_normal(4_000)
    z = np.exp(random.standard_normal(4_000) * 0.8 + 0.2 * centre)
    word = np.where(random.random(4_000) < 0.05, "rare", np.where(x + y > 4, "high", "low"))
    return pd.DataFrame({"kind": kind, "x": x.round(2), "y": y.round(2), "z": z.round(2), "word": word})


GAMES = {
    "ring": Game(lambda: "toy:ring", 48_000, 1.0, knobs=(("latent", 2), ("learning_rate", 5e-3), ("final_lead", 0.5))),
    "digits": Game(lambda: "digits", 20_000, 0.25),
    "rows": Game(rows, 32_000, 0.25, options=(("condition", "kind"),)),
    "rows-gan": Game(rows, 32_000, 0.25, recipe="gan", options=(("condition", "kind"),)),
}


@dataclass
class Play:
    """Everything a sabotage may lay its hands on."""

    opened: Opened
    recipe: Any
    networks: dict[str, torch.nn.Module]
    engine: Engine | None = None


@dataclass(frozen=True)
class Sabotage:
    """What is broken: settings, data before the game, or the game while it is played."""

    knobs: Callable[[Any], dict[str, Any]] = lambda recipe: {}
    data: Callable[[Opened, np.random.Generator], Opened | None] = lambda opened, random: opened
    """None: this game has nothing of the kind to break."""
    start: Callable[[Play], None] = lambda play: None
    during: Callable[[Play, float], None] = lambda play, share: None
    budget: float = 1.0
    """Share of the game's samples that are played, and healthy runs of that length beside."""
    curable: bool = True
    """False where the data itself lacks what the score asks for: no training can put it right."""


def _chosen(opened: Opened, rows: np.ndarray) -> Opened:
    return replace(opened, train=Subset(opened.train, rows))


def _few(count: int) -> Callable[[Opened, np.random.Generator], Opened]:
    return lambda opened, random: _chosen(opened, random.permutation(len(opened.train))[:count])


def _duplicated(opened: Opened, random: np.random.Generator) -> Opened:
    few = random.permutation(len(opened.train))[:40]
    return _chosen(opened, few[random.integers(40, size=len(opened.train))])


def _whole(data: Dataset) -> tuple[torch.Tensor, torch.Tensor | None]:
    return data.read(np.arange(len(data)))


def _class_missing(opened: Opened, random: np.random.Generator) -> Opened | None:
    samples, condition = _whole(opened.train)
    if condition is None:
        # Points have no classes: a quarter of the plane goes.
        kept = ~((samples[:, 0] > 0) & (samples[:, 1] > 0))
    else:
        kept = condition.argmax(1) != 1
    return _chosen(opened, kept.nonzero()[:, 0].numpy())


def _shuffled_labels(opened: Opened, random: np.random.Generator) -> Opened | None:
    samples, condition = _whole(opened.train)
    if condition is None:
        return None
    return replace(opened, train=ArrayDataset(samples, condition[torch.from_numpy(random.permutation(len(samples)))]))


@torch.no_grad()
def _dead_layer(play: Play, share: float) -> None:
    assert play.engine is not None
    if 0 <= share - 0.4 < play.engine.batch / play.engine.total:
        matrices = [weight for weight in play.networks["generator"].parameters() if weight.dim() > 1]
        matrices[len(matrices) // 2].zero_()
        matrices[0].zero_()


@torch.no_grad()
def _not_a_number(play: Play, share: float) -> None:
    assert play.engine is not None
    if 0 <= share - 0.4 < play.engine.batch / play.engine.total:
        next(play.networks["judge"].parameters()).view(-1)[0] = float("nan")


def _frozen(play: Play, share: float) -> None:
    """The discriminator's optimiser stops stepping at a tenth of the run, and never steps again."""
    assert play.engine is not None
    if 0 <= share - 0.1 < play.engine.batch / play.engine.total:
        play.engine.optimisers["discriminator"].step = lambda: None


@torch.no_grad()
def _one_mode(play: Play) -> None:
    """The generator begins as one that gives a single sample: its maps of the noise are all but nothing."""
    for weight in play.networks["generator"].parameters():
        if weight.dim() > 1:
            weight.mul_(0.02)


def _shaken(play: Play, share: float) -> None:
    """For a while in the middle the generator's weights are shaken at every step, as by gradients gone wild."""
    if 0.5 < share < 0.52:
        with torch.no_grad():
            for weight in play.networks["generator"].parameters():
                weight.add_(torch.randn_like(weight) * 0.02)


def _rate(factor: float) -> Callable[[Any], dict[str, Any]]:
    return lambda recipe: {"learning_rate": factor * (recipe.learning_rate or 2e-3)}


def _no_penalty(recipe: Any) -> dict[str, Any]:
    return {"gamma": 0.0} if hasattr(recipe, "gamma") else {"beta1": 0.95}


SABOTAGES = {
    "learning rate x30": Sabotage(knobs=_rate(30)),
    "penalty off": Sabotage(knobs=_no_penalty),
    "discriminator 1/8": Sabotage(knobs=lambda recipe: {"discriminator_size": 1 / 8}),
    "discriminator x8": Sabotage(knobs=lambda recipe: {"discriminator_size": 8.0}),
    "batch 4": Sabotage(knobs=lambda recipe: {"batch_size": 4}, budget=1 / 4),
    "dead generator layer": Sabotage(during=_dead_layer),
    "one class missing": Sabotage(data=_class_missing, curable=False),
    "duplicated data": Sabotage(data=_duplicated, curable=False),
    "50 samples only": Sabotage(data=_few(50), curable=False),
    "NaN in the weights": Sabotage(during=_not_a_number),
    "labels shuffled": Sabotage(data=_shuffled_labels, curable=False),
    "frozen discriminator": Sabotage(during=_frozen),
    "one-mode start": Sabotage(start=_one_mode),
    "shaken generator": Sabotage(during=_shaken),
}
BRIEF = "healthy, a quarter"
HEALTHY: dict[str | None, Sabotage] = {None: Sabotage(), BRIEF: Sabotage(budget=1 / 4)}
"""Nothing broken; the second is what sabotages of a quarter of the samples are compared with."""


class Recording(Referee):
    """The referee, and a record of all it saw."""

    def __init__(self, *, remedies: bool, foreseen: list[str], doubts: list[Doubt]) -> None:
        super().__init__(remedies=remedies, foreseen=foreseen, doubts=doubts)
        self.spoken: list[dict[str, Any]] = []
        self.looked: list[dict[str, Any]] = []
        self.seconds = 0.0

    def pulse(self, pulse: Pulse) -> Any:
        started = time.process_time()
        decision = super().pulse(pulse)
        self.seconds += time.process_time() - started
        if decision is not None:
            self.spoken.append({"seen": pulse.seen, **asdict(decision)})
        return decision

    def look(self, seen: int, total: int, look: Look, *, best: bool) -> Any:
        decision = super().look(seen, total, look, best=best)
        self.looked.append({"seen": seen, **asdict(look)})
        if decision is not None:
            self.spoken.append({"seen": seen, **asdict(decision)})
        return decision


def play(game_name: str, sabotage_name: str | None, seed: int, remedies: bool) -> dict[str, Any] | None:
    """One run; None where the sabotage does not apply to the game."""
    torch.set_num_threads(1)
    game, sabotage = GAMES[game_name], HEALTHY.get(sabotage_name) or SABOTAGES[str(sabotage_name)]
    started = time.process_time()
    clean = open_source(game.source(), dict(game.options), seed, game.recipe)
    torch.manual_seed(seed)
    opened = sabotage.data(clean, np.random.default_rng(seed))
    knobs = dict(game.knobs)
    recipe = recipe_named(game.recipe)(**knobs)
    recipe = recipe_named(game.recipe)(**{**knobs, **sabotage.knobs(recipe)})
    if opened is None or (len(clean.domain.spec.shape) == 3 and recipe.discriminator_size > 4):
        # The second: minutes on a CPU for a picture game of seconds.
        return None
    spec, count = opened.domain.spec, len(opened.train)
    held = 0 if opened.holdout is None else len(opened.holdout)

    def fresh(attempt: int) -> dict[str, torch.nn.Module]:
        with torch.random.fork_rng():
            torch.manual_seed(1_000 * seed + attempt)
            return recipe.build(spec, size=game.size, count=count, holdout=held)

    networks = fresh(0)
    staged = Play(opened, recipe, networks)
    sabotage.start(staged)
    examine = Examination(recipe, opened, None, seed, "cpu")
    weights = {
        player: sum(weight.numel() for name in names for weight in networks[name].parameters())
        for player, names in recipe.players.items()
    }
    foreseen = foresee(examine.sight, count=count, weights=weights)
    referee = Recording(remedies=remedies, foreseen=foreseen, doubts=recipe.doubts())
    staged.engine = engine = Engine(
        recipe,
        networks,
        opened.train,
        opened.holdout,
        total=round(game.total * sabotage.budget),
        seed=seed,
        examine=examine,
        watcher=referee,
        fresh=fresh,
    )
    failed = None

    def meddle() -> bool:
        sabotage.during(staged, engine.seen / engine.total)
        return False

    try:
        engine.play(stop=meddle)
    except GannetError as error:
        failed = str(error)
    if engine.kept is not None:
        engine._load(engine.kept)
    judge = Examination(recipe, clean, None, seed, "cpu")
    with engine.averaged():
        delivered = judge(engine.seen)
    return {
        "game": game_name,
        "sabotage": None if sabotage_name in HEALTHY else sabotage_name,
        "seed": seed,
        "remedies": remedies,
        "looks": referee.looked,
        "spoken": referee.spoken,
        "delivered": delivered.score,
        "ceiling": delivered.ceiling,
        "seen": engine.seen,
        "total": engine.total,
        "ended": engine.ended,
        "failed": failed,
        "seconds": time.process_time() - started,
    }


# ------------------------------------------------------------------------------------------------------- judging


def damage_curve(run: dict[str, Any], healthy: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """(samples seen, log of score over the healthy median at that moment), scores counted from the ceiling up."""
    curve = []
    for index, look in enumerate(run["looks"]):
        same = [other["looks"][index]["score"] for other in healthy if index < len(other["looks"])]
        if same:
            usual = statistics.median(same) + run["ceiling"]
            score = look["score"] + run["ceiling"] if math.isfinite(look["score"]) else 1e3
            curve.append((look["seen"], max(0.0, math.log(score / usual))))
    return curve


def first_alarm(run: dict[str, Any]) -> dict[str, Any] | None:
    """The first finding that is no good news."""
    return next((said for said in run["spoken"] if said["finding"] != "converged"), None)


def summarise(runs: list[dict[str, Any]]) -> list[str]:
    """The table and the figures beside their aims."""
    lines, caught, late, missed, saved, lost, spoiled, before = [], 0, 0, 0, 0, 0, 0, 0
    saved_by_data, lost_by_data = 0, 0
    healthy = [run for run in runs if run["sabotage"] is None]
    alarmed = [run for run in healthy if first_alarm(run) is not None]
    usual = {
        kind: statistics.median(run["delivered"] + run["ceiling"] for run in healthy if _kind(run) == kind)
        for kind in {_kind(run) for run in healthy}
    }
    lines.append(f"{'sabotage':24}{'game':10} without: score  damage  seen at     with: score   findings")
    for name in SABOTAGES:
        for game, total in sorted(usual):
            mine = [run for run in runs if run["sabotage"] == name and _kind(run) == (game, total)]
            told, without, with_, damages, shares = set(), [], [], [], []
            beside = [run for run in healthy if _kind(run) == (game, total) and not run["remedies"]]
            for run in mine:
                ratio = (run["delivered"] + run["ceiling"]) / usual[game, total]
                if run["remedies"]:
                    with_.append(ratio)
                    good = ratio <= HARM
                    saved, lost = saved + good, lost + (not good)
                    if not SABOTAGES[name].curable:
                        saved_by_data, lost_by_data = saved_by_data + good, lost_by_data + (not good)
                    continue
                without.append(ratio)
                curve = damage_curve(run, beside)
                whole = max((damage for _, damage in curve[-3:]), default=0.0)
                whole = max(whole, math.log(max(ratio, 1.0)), math.log(1e3) if run["failed"] else 0.0)
                damages.append(math.exp(whole))
                alarm = first_alarm(run)
                told |= {said["finding"] for said in run["spoken"]}
                if whole < math.log(HARM):
                    spoiled += alarm is not None
                    continue
                if alarm is None:
                    missed += 1
                    continue
                before += alarm["finding"] == "foreseen"
                # What is foreseen is told before anything was trained; the scores beside each other differ even then.
                done = (
                    0.0
                    if alarm["seen"] == 0
                    else max((damage for seen, damage in curve if seen <= alarm["seen"]), default=0.0)
                )
                shares.append(done / whole)
                caught, late = caught + (done <= whole / 2), late + (done > whole / 2)
            if mine:
                shown = f"{statistics.median(shares):.0%}" if shares else "-"
                lines.append(
                    f"{name:24}{game:10} {_middle(without):>14}x {_middle(damages):>6}x {shown:>8} "
                    f"{_middle(with_):>14}x   {', '.join(sorted(told)) or '-'}"
                )
    harmful = caught + late + missed
    lines += [
        f"harmful runs: {harmful}; seen before half the damage {_share(caught, harmful)} (aim >= 95 %), "
        f"later {late}, never {missed}; {before} foreseen before the first step",
        f"healthy runs: {len(healthy)}; false alarms {_share(len(alarmed), len(healthy))} (aim <= 2 %)",
        f"sabotaged runs that deliver within {HARM} of the healthy score with remedies: "
        f"{_share(saved, saved + lost)} (aim >= 80 %)",
        "  of these, where the data itself is broken, which can only be told: "
        f"{_share(saved_by_data, saved_by_data + lost_by_data)}; all others: "
        f"{_share(saved - saved_by_data, saved - saved_by_data + lost - lost_by_data)}",
        f"sabotages without harm that were remarked on: {spoiled}",
    ]
    for run in alarmed:
        alarm = first_alarm(run)
        lines.append(f"  false alarm: {run['game']} seed {run['seed']}: {alarm['finding']}: {alarm['reason']}")
    return lines


def together(files: list[Path]) -> list[dict[str, Any]]:
    """The runs of several files; where one was played again, the later file's."""
    runs = [run for file in files for run in json.loads(file.read_text())]
    keys = ("game", "sabotage", "seed", "remedies", "total")
    return list({tuple(run[key] for key in keys): run for run in runs}.values())


def _kind(run: dict[str, Any]) -> tuple[str, int]:
    """Runs of the same game and length can be compared."""
    return run["game"], run["total"]


def _middle(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else "-"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / max(whole, 1):.0%})"


def read_logs(path: Path) -> list[str]:
    """The score watch on public training logs: a collapse is a score that later reaches twice its best."""
    runs = json.load(gzip.open(path))["runs"]
    lines, caught, false, collapses = [], 0, 0, 0
    for name, table in runs.items():
        scores = [row[1] for row in table]
        best = scores.index(min(scores))
        collapsed = max(scores[best:]) >= 2 * scores[best]
        watch = ScoreWatch()
        alarm = next((index for index, score in enumerate(scores) if watch.add(score) == "collapse"), None)
        collapses += collapsed
        caught += collapsed and alarm is not None
        false += not collapsed and alarm is not None
        if collapsed or alarm is not None:
            lines.append(f"{name}: {'collapse' if collapsed else 'healthy'}, alarm at {alarm} of {len(scores)}")
    lines.append(f"{len(runs)} logs: {caught} of {collapses} collapses caught, {false} false alarms")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--games", nargs="+", default=["ring", "digits", "rows", "rows-gan"])
    parser.add_argument("--sabotages", nargs="*", default=list(SABOTAGES))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--without-remedies-only", action="store_true")
    parser.add_argument("--out", type=Path, help="also write every run's record here, as JSON")
    parser.add_argument(
        "--summarise", type=Path, nargs="+", metavar="FILE", help="print the table of files that --out wrote"
    )
    parser.add_argument("--logs", type=Path)
    arguments = parser.parse_args()
    if arguments.summarise is not None:
        print("\n".join(summarise(together(arguments.summarise))))
        return
    if arguments.logs is not None:
        print("\n".join(read_logs(arguments.logs)))
        return
    ways = (False,) if arguments.without_remedies_only else (False, True)
    brief = any(SABOTAGES[name].budget < 1 for name in arguments.sabotages)
    jobs = [
        (game, sabotage, seed, remedies)
        for seed in range(arguments.seeds)
        for game in arguments.games
        for sabotage in [*(HEALTHY if brief else [None]), *arguments.sabotages]
        for remedies in ways
    ]
    runs: list[dict[str, Any]] = []
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(play, *job) for job in jobs]
        for number, future in enumerate(futures):
            run = future.result()
            if run is not None:
                runs.append(run)
                alarm = first_alarm(run)
                told = "-" if alarm is None else f"{alarm['finding']} at {alarm['seen'] / run['total']:.0%}"
                last = run["looks"][-1]["score"]
                print(
                    f"{run['game']:8} {run['sabotage'] or 'healthy':22} {'with' if run['remedies'] else 'without':8}"
                    f" last {last:.3f} delivered {run['delivered']:.3f} first {told}; {run['seconds']:.0f} s",
                    flush=True,
                )
                if arguments.out is not None:
                    arguments.out.write_text(json.dumps(runs))
            if number % 20 == 19:
                print(f"{number + 1} of {len(jobs)} runs", flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(runs))
    print("\n".join(summarise(runs)))


if __name__ == "__main__":
    main()
