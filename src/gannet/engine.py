"""The game: turns, optimisers, averages, the clock. Knows no loss, no network and no kind of data.

The clock is the number of real samples a step has shown to the first player. Every step reseeds from (seed, rank,
clock) and reads data in an order that is a pure function of (seed, turn, position), so a resumed run is, on a CPU,
bit-equal to one that was never interrupted.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gannet import moments
from gannet.accumulation import Accumulation
from gannet.averages import Averages
from gannet.checkpoint import load_into
from gannet.errors import GannetError
from gannet.judge import OBSERVE_EVERY
from gannet.memory import kept_by_the_process
from gannet.order import Order, PoissonOrder, draws, mixed_seed, redraw, reseed
from gannet.prefetch import Prefetcher, computing, near, to_device
from gannet.ranks import Groups, Ranks
from gannet.recorded import Recorder
from gannet.tally import Tally
from gannet.verdict import Verdict, only_if, read
from gannet.watch import Decision, Look, Pulse, Watcher
from gannet.weights import FlatWeights

if TYPE_CHECKING:
    from gannet.domains.domain import Dataset
    from gannet.recipes.recipe import Recipe, Turn
    from gannet.run import RunFolder

Precision = Literal["fp32", "bf16"]
EXAMINATIONS = 20
LOG_LINES = 200
PERSISTENT = 25
PATIENCE = 16
"""Moves on a GPU between two readings of whether they were finite: each reading waits for all that was begun."""


@dataclass(frozen=True)
class Progress:
    """Where the game stands, for whoever is looking."""

    seen: int
    total: int
    rate: float
    """Samples per second since the start of this process."""
    seconds_left: float
    terms: dict[str, dict[str, float]]
    """Player -> name of a loss term -> its latest value."""
    balance: float | None
    """Share of pairs the discriminator orders rightly: 1/2 cannot tell, 1 always."""
    score: float | None
    """The running sample score; lower is better."""
    best_score: float | None
    look: Look | None = None
    """The latest reading of generated samples."""
    note: str | None = None
    waiting: float = 0.0
    """Share of the time in which the networks waited for data."""


class Engine:
    """Plays a recipe's turns on a data set until the clock reaches `total` samples."""

    def __init__(
        self,
        recipe: Recipe,
        networks: dict[str, nn.Module],
        train: Dataset,
        holdout: Dataset | None = None,
        *,
        total: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        run: RunFolder | None = None,
        examine: Callable[[int], Look] | None = None,
        watcher: Watcher | None = None,
        fresh: Callable[[int], dict[str, nn.Module]] | None = None,
        drawn: PoissonOrder | None = None,
        ranks: Ranks | None = None,
        save_seconds: float = 60.0,
    ) -> None:
        """`drawn` shows samples by chance in place of shuffled passes; a step's loss then takes all of them at once.

        Of several `ranks` each plays its part of every batch; `run`, `examine` and `watcher` matter to the first alone.
        """
        self.ranks = ranks or Ranks()
        self.owners = self.ranks.undivided
        self.device, self.recipe, self.holdout = torch.device(device), recipe, holdout
        self.train = near(train, self.device)
        self.total, self.seed, self.precision, self.run = total, seed, precision, run
        self.examine, self.watcher, self.save_seconds = examine, watcher, save_seconds
        self.fresh, self.beginnings, self.batch = fresh, 1, recipe.batch_size
        recorded = self.device.type == "cuda" and recipe.replayable and self.ranks.alone
        self.batches = Accumulation(
            lambda indices: to_device(self.ahead.read(indices), self.device),
            self.device,
            self.ranks,
            recipe.micro_batch or self.batch,
            bf16=precision == "bf16",
            undivided=drawn is not None,
            recorder=Recorder() if recorded else None,
        )
        self._seat(networks)
        self.drawn, turns = drawn, range(len(recipe.turns))
        self.orders = [drawn or Order(len(train), seed, "turn", index, runs=train.runs) for index in turns]
        self.ahead = Prefetcher(
            lambda indices: self.train.read(indices),
            self._upcoming,
            pinned=self.device.type == "cuda",
            busy=lambda: computing(self.device),
        )
        self.observed = Order(len(holdout), seed, "holdout") if holdout is not None else None
        self.seen, self.skipped, self.bad_in_a_row = 0, 0, 0
        self.score: float | None = None
        self.best_score: float | None = None
        self.best_rank: float | None = None
        self.terms: dict[str, dict[str, Tensor]] = {}
        self.skipped_lately = 0
        self.learning_factor, self.ended = 1.0, ""
        self.asked, self.late, self.stopping, self.saving = False, False, False, False
        self.unread, self.patience = list[Verdict](), PATIENCE if self.device.type == "cuda" else 1
        self.last_look: Look | None = None
        self.updates: dict[str, float] = {}
        self.kept: Groups | None = None
        self.tally = Tally()
        self.overruled: dict[str, Any] = {}
        self.notes: list[str] = []

    def _seat(self, networks: Mapping[str, nn.Module]) -> None:
        """Take the networks into play: averages, one vector of weights and one optimiser a player."""
        self.networks = nn.ModuleDict(networks).to(self.device)
        self.recipe.bind(self.networks)
        self.weights = {
            player: FlatWeights({name: self.networks[name] for name in names}, self.owners)
            for player, names in self.recipe.players.items()
        }
        self.optimisers = {player: self.recipe.optimiser([own.own]) for player, own in self.weights.items()}
        kept = self.networks.state_dict()
        self.batches.buffers = [buffer for name, buffer in self.networks.named_buffers() if name in kept]
        self._forget_recordings()
        self.following = Averages(self.networks, self.weights.values(), self.recipe.averaged)
        self.moving: str | None = None

    # -- playing ------------------------------------------------------------------------------------------------

    def play(self, report: Callable[[Progress], None] | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Step until the clock reaches the total or the watcher ends the game, which `ended` then says.

        False when `stop` interrupted it (after saving).
        """
        with self.ahead, kept_by_the_process():
            return self._play(report, stop)

    def fit(self) -> None:
        """Before the first step of a run: batches in portions that fit into memory, where they do not fit whole."""
        losses = {self.weights[turn.player]: getattr(self.recipe, turn.loss) for turn in self.recipe.turns}
        self.moving = None
        self.batches.fit(losses, self.orders[0].indices(self.seen, self.batch))
        if self.batches.micro_batch < self.batch // self.ranks.count:
            self.notes.append(
                f"a batch of {self.batch} is more than memory holds: {self.batches.micro_batch} at a time"
            )

    def _play(self, report: Callable[[Progress], None] | None, stop: Callable[[], bool]) -> bool:
        started, first, reported = time.monotonic(), self.seen, 0.0
        self.saved = started
        if self.examine is not None and self.watcher is not None and self.seen == 0 and self.score is None:
            self._examine()
        while self.seen < self.total and not self.ended:
            self.asked = stop()
            if self.asked and self.ranks.alone:
                self.save()
                return False
            self.late = time.monotonic() - self.saved > self.save_seconds
            self.step()
            if self.stopping:
                self.save()
                return False
            now = time.monotonic()
            if self._due(self.total / LOG_LINES):
                self._pulse()
            if self.examine is not None and self._due(self.total / EXAMINATIONS):
                self._examine()
            elif self.saving:
                self.save()
            if report is not None and (now - reported > 0.5 or self.notes or self.seen >= self.total):
                report(self._progress(now - started, self.seen - first))
                reported = now
        self.save()
        return True

    def step(self) -> None:
        """One round of the recipe's turns, then the averages, then the clock."""
        reseed(mixed_seed(self.seed, 0, self.seen), self.device)
        index = self.seen // self.batch
        pace = self.recipe.pace(self.seen, self.total)
        self.recipe.begin(self.seen, self.total)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = pace.learning_rate * self.learning_factor
                if pace.betas is not None:
                    group["betas"] = pace.betas
        for order, turn in zip(self.orders, self.recipe.turns, strict=True):
            if index % turn.every == 0:
                for repetition in range(turn.times):
                    self._move(turn, order.indices((index * turn.times + repetition) * self.batch, self.batch))
        if self.observed is not None and index % OBSERVE_EVERY == 0:
            self._observe(self.observed, index)
        half_life = pace.ema_half_life
        self.following.follow(0.5 ** (self.batch / half_life) if half_life > 0 else 0.0)
        self.seen += self.batch

    def _upcoming(self) -> Iterator[np.ndarray]:
        """What the moves from this step on will read."""
        for index in itertools.count(self.seen // self.batch):
            for order, turn in zip(self.orders, self.recipe.turns, strict=True):
                for repetition in range(turn.times if index % turn.every == 0 else 0):
                    indices = order.indices((index * turn.times + repetition) * self.batch, self.batch)
                    for portion in self.batches.portions(len(indices)):
                        yield indices[portion.start : portion.stop]

    def _move(self, turn: Turn, indices: Any) -> None:
        """One move of one player: loss terms, gradients, the finite check, the step."""
        self.hand_over(turn.player)
        before, owner = [buffer.clone() for buffer in self.batches.buffers], self.weights[turn.player]
        wishes = torch.zeros(2, device=self.device)
        for index, wish in enumerate((self.asked, self.late and self.ranks.first)):
            if wish:
                wishes[index].fill_(1)
        names, losses, wishes = self.batches.gather(getattr(self.recipe, turn.loss), indices, owner, before, wishes)
        if self.batches.halved:
            self._tell_halved()
        verdict = Verdict.on(turn, names, losses, owner.gradient_norm(), wishes)
        if self.patience > 1:
            self._descend_if(verdict.sound, turn, before)
        elif bool(verdict.sound):
            self._descend(turn)
        else:
            self.batches.reset(before)
        self.unread.append(verdict)
        if len(self.unread) >= self.patience:
            self.settle()

    def settle(self) -> None:
        """Take note of what came of the moves since the last time."""
        unread, self.unread = self.unread, []
        for told in read(unread):
            verdict, player = told.verdict, told.verdict.turn.player
            self.stopping = self.stopping or (told.stop and not self.ranks.alone)
            self.saving = self.saving or told.save
            if told.sound:
                self.bad_in_a_row = 0
                self.terms[player] = dict(zip(told.terms, verdict.values, strict=False))
                self.tally.add(player, verdict.names, verdict.values[: len(verdict.names)])
            else:
                self._skip(verdict.turn, told.terms, told.norm)

    def _tell_halved(self) -> None:
        self.batches.halved, size = False, self.batches.micro_batch
        self.notes.append(f"memory ran out: batches of {self.batch} are now played in portions of {size}")
        if self.run is not None:
            self.run.log({"event": "memory", "seen": self.seen, "micro_batch": size})

    def _descend(self, turn: Turn) -> None:
        """The optimiser's step and what follows it; just before a line of the log its size is measured, too."""
        weights = self.weights[turn.player]
        before = weights.vector.clone() if self._due(self.total / LOG_LINES, ahead=self.batch) else None
        self.optimisers[turn.player].step()
        weights.complete()
        if before is not None:
            self.updates[turn.player] = float((weights.vector - before).norm() / before.norm().clamp(min=1e-12))
        self.recipe.after_turn(turn)

    def _descend_if(self, sound: Tensor, turn: Turn, buffers: list[Tensor]) -> None:
        """The same where `sound` is true; else weights, moments and buffers stay as they were. Waits for nothing."""
        before = {name: tensor.clone() for name, tensor in self._moved(turn.player).items()}
        self._descend(turn)
        kept = {str(index): buffer for index, buffer in enumerate(buffers)}
        now = {str(index): buffer for index, buffer in enumerate(self.batches.buffers)}
        only_if(sound, {**before, **kept}, {**self._moved(turn.player), **now})

    def _moved(self, player: str) -> dict[str, Tensor]:
        """What an optimiser's step changes on the device; moments that are not there yet are zero."""
        weights = self.weights[player]
        state = self.optimisers[player].state.get(weights.own, {})
        moments = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        return {
            "": weights.vector,
            **{name: value for name, value in moments.items() if value.device == weights.vector.device},
        }

    def _forget_recordings(self) -> None:
        if self.batches.recorder is not None:
            self.batches.recorder.forget()

    def hand_over(self, player: str) -> None:
        """Only the player whose turn it is collects gradients."""
        if player != self.moving:
            for owner, weights in self.weights.items():
                weights.learn(owner == player)
            self.moving = player

    def _skip(self, turn: Turn, terms: dict[str, float], norm: float) -> None:
        """A move that is not finite changes nothing; many in a row end the run, naming every term."""
        self.skipped, self.bad_in_a_row = self.skipped + 1, self.bad_in_a_row + 1
        values = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
        self.skipped_lately += 1
        told = f"{turn.player} at {self.seen:,} samples: {values}, gradient norm {norm:.4g}"
        self.notes.append(f"skipped a move that is not finite ({told})")
        if self.run is not None:
            self.run.log({"event": "skipped", "seen": self.seen, "player": turn.player, "terms": values})
        if self.bad_in_a_row >= PERSISTENT:
            if self._pulse():
                self.bad_in_a_row = 0
                return
            raise GannetError(
                f"training stopped: {PERSISTENT} moves in a row were not finite ({told}); "
                "the last good checkpoint is kept. Try a lower learning_rate or a larger penalty"
            )

    def _observe(self, order: Order, index: int) -> None:
        """Show the judge trained-on, held-out and fake samples side by side."""
        assert self.holdout is not None
        judge = self.recipe.judge
        count, start, logits = min(self.batch, len(self.holdout)), draws(self.device), []
        if judge.augmentation is None or count < self.ranks.count:
            return
        trained = self.orders[0].indices(index * self.batch, count)
        unseen = order.indices(index // OBSERVE_EVERY * count, count)
        for portion in self.batches.portions(count):
            redraw(start, self.device)
            with portion.held(), torch.no_grad(), self.batches.rounded():
                real, condition = self._read(self.train, trained[portion.start : portion.stop])
                holdout = self._read(self.holdout, unseen[portion.start : portion.stop])
                fake = self.recipe.generate(len(portion), condition)
                sides = ((real, condition), holdout, (fake, condition))
                logits.append(torch.stack([judge.discriminator(*side).to(fake.dtype) for side in sides], 1))
        judge.observe(*self.ranks.joined(torch.cat(logits), count).unbind(1))

    def _read(self, data: Dataset, indices: Any) -> tuple[Tensor, Tensor | None]:
        return to_device(data.read(indices), self.device)

    # -- looking ------------------------------------------------------------------------------------------------

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within: the recipe generates with the averaged networks, which have to be whole."""
        self.recipe.bind(nn.ModuleDict({**self.networks, **self.following.networks}))
        try:
            with torch.no_grad():
                yield
        finally:
            self.recipe.bind(self.networks)

    def _examine(self) -> None:
        """Look at the averaged generator's samples; the best so far is saved as such. The first process looks."""
        self.settle()
        with self.following.whole():
            told = self.ranks.told(self._look)
        if told["keep"]:
            self._keep()
        self._obey(Decision(**told["decision"]) if told["decision"] else None)
        self.save(best=told["best"])

    def _look(self) -> dict[str, Any]:
        """A look and what the watcher makes of it, as JSON values: whether it is the best so far, and a decision."""
        assert self.examine is not None
        with self.averaged():
            look = self.examine(self.seen)
        self.last_look = look
        self.score = look.score if math.isfinite(look.score) else None
        # The average may still improve while the weights are already spoilt: those are no good to return to.
        sound = self.score is not None and self.bad_in_a_row == 0
        best = sound and (self.best_rank is None or look.rank < self.best_rank + look.slack(self.best_rank))
        if best:
            self.best_score = self.score
            self.best_rank = look.rank if self.best_rank is None else min(look.rank, self.best_rank)
        if self.run is not None:
            told = {key: value for key, value in asdict(look).items() if value not in (None, {})}
            self.run.log({"event": "score", "seen": self.seen, "best": best, **told, "score": self.score})
        decision = None if self.watcher is None else self.watcher.look(self.seen, self.total, look, best=best)
        # The best is what a remedy returns to, so no return follows one; before the first step nothing is lost.
        assert not best or decision is None or self.seen == 0 or decision.action not in ("roll back", "begin anew")
        keep = best and self.run is None and self.watcher is not None
        return {"best": best, "keep": keep, "decision": None if decision is None else asdict(decision)}

    def _keep(self) -> None:
        """Without a folder the best is kept in memory."""
        tensors = self.tensors()
        self.kept = {group: {name: value.clone() for name, value in each.items()} for group, each in tensors.items()}

    # -- remedies -----------------------------------------------------------------------------------------------

    def _obey(self, decision: Decision | None) -> None:
        """Do what the watcher asks, and write down why."""
        if decision is None:
            return
        if decision.settings:
            self._overrule(decision.settings)
        if decision.player is not None:
            self._thaw(decision.player)
        if decision.action == "begin anew" and self.fresh is not None:
            self._begin_anew(self.fresh(self.beginnings))
        elif decision.action in ("roll back", "begin anew"):
            self._return_to_best()
        self.learning_factor *= decision.learning_rate
        self.recipe.firmness *= decision.firmness
        self._forget_recordings()
        if decision.action == "stop":
            self.ended = decision.reason
        self.notes.append(f"{decision.finding}: {decision.reason}")
        if self.run is not None:
            self.run.log({"event": "referee", "seen": self.seen, **asdict(decision)})

    def _overrule(self, settings: Mapping[str, Any]) -> None:
        """Play on with these settings. A larger batch is gathered from pieces of the size that was asked for."""
        self.recipe.overrule(settings)
        self.overruled.update(settings)
        if "batch_size" in settings:
            self.batch = min(self.recipe.batch_size, len(self.train))
        networks = dict(self.networks.items())
        if "discriminator_size" in settings and self.fresh is not None:
            drawn = self.fresh(self.beginnings)
            networks.update({name: drawn[name] for name in drawn if name not in self.recipe.averaged})
        self._seat(networks)

    def _thaw(self, player: str) -> None:
        """A new optimiser over the weights as they stand: whatever had detached the old one is gone."""
        self.optimisers[player] = self.recipe.optimiser([self.weights[player].own])
        self.moving = None

    @torch.no_grad()
    def _begin_anew(self, networks: dict[str, nn.Module]) -> None:
        """Freshly drawn weights, averages that follow them, no moments; the clock and the best model stay."""
        self.beginnings += 1
        drawn = nn.ModuleDict(networks)
        load_into(self.networks, dict(drawn.state_dict()), "networks")
        with self.following.whole() as averages:
            for name in self.recipe.averaged:
                load_into(averages[name], dict(networks[name].state_dict()), "averages")
        for optimiser in self.optimisers.values():
            optimiser.state.clear()

    def _return_to_best(self) -> None:
        """The weights, averages and moments of the best score so far; the clock and its schedules go on."""
        tensors = self.kept
        if self.run is not None:
            best = self.run.best()
            tensors = None if best is None else best.read(self.device)[0]
        tensors = self.ranks.given(tensors)
        if tensors is not None:
            self._load(tensors)

    def _due(self, every: float, ahead: int = 0) -> bool:
        now = self.seen + ahead
        return now // every > (now - self.batch) // every or now >= self.total

    def _pulse(self) -> bool:
        """A line of the log, and the watcher's look at it; whether it asked for something to be done."""
        self.settle()
        means = self.tally.means()
        if self.run is not None:
            readings = {"balance": self._balance(), **self.recipe.readings(), **means}
            updates = {f"{player}/update": value for player, value in self.updates.items()}
            self.run.log({"event": "terms", "seen": self.seen, **readings, **updates})
        weights = {player: float(weights.vector.norm()) for player, weights in self.weights.items()}
        pulse = Pulse(self.seen, self.total, self._balance(), means, dict(self.updates), self.skipped_lately, weights)
        told = None if self.watcher is None else self.ranks.told(lambda: self._told(pulse))
        decision = None if told is None else Decision(**told)
        self.tally.clear()
        self.updates.clear()
        self.skipped_lately = 0
        self._obey(decision)
        return decision is not None and decision.action != "note"

    def _told(self, pulse: Pulse) -> dict[str, Any] | None:
        """The watcher's decision on a pulse, as JSON values."""
        assert self.watcher is not None
        decision = self.watcher.pulse(pulse)
        return None if decision is None else asdict(decision)

    def _balance(self) -> float:
        return float(self.recipe.judge.balance) if "judge" in self.networks else 0.5

    def _progress(self, seconds: float, played: int) -> Progress:
        rate = played / max(seconds, 1e-9)
        note = "; ".join(self.notes) or None
        self.notes = []
        return Progress(
            seen=self.seen,
            total=self.total,
            rate=rate,
            seconds_left=(self.total - self.seen) / max(rate, 1e-9),
            terms={
                player: {name: float(value) for name, value in terms.items()} for player, terms in self.terms.items()
            },
            balance=self._balance() if self.recipe.judges else None,
            score=self.score,
            best_score=self.best_score,
            look=self.last_look,
            note=note,
            waiting=self.ahead.waited / max(seconds, 1e-9),
        )

    # -- keeping ------------------------------------------------------------------------------------------------

    def save(self, *, best: bool = False) -> None:
        """Everything that resume needs, into the run folder."""
        self.settle()
        tensors = self.tensors()
        if self.run is not None:
            self.run.save(self.seen, tensors, self.state(), best=best)
        # Who left before the first process has written would have the launcher end it, too.
        self.ranks.told(lambda: None)
        self.saved, self.saving = time.monotonic(), False

    def tensors(self) -> Groups:
        """The networks, their averages and the optimisers' moments, whole and by name. For all processes."""
        return {
            "networks": dict(self.networks.state_dict()),
            "averages": self.following.tensors(),
            "optimisers": moments.of(self.optimisers, self.weights),
        }

    def state(self) -> dict[str, Any]:
        """The clock and the small numbers beside the tensors, as JSON values."""
        return {
            "seen": self.seen,
            "skipped": self.skipped,
            "bad_in_a_row": self.bad_in_a_row,
            "score": self.score,
            "best_score": self.best_score,
            "best_rank": self.best_rank,
            "tally": self.tally.state(),
            "skipped_lately": self.skipped_lately,
            "learning_factor": self.learning_factor,
            "firmness": self.recipe.firmness,
            "ended": self.ended,
            "beginnings": self.beginnings,
            "micro_batch": self.batches.micro_batch,
            "overruled": self.overruled,
            "watcher": None if self.watcher is None else self.watcher.state(),
        }

    def restore(self, tensors: Groups, state: dict[str, Any]) -> None:
        """The inverse of `tensors` and `state`: the game stands exactly where it stood."""
        self._take(state)
        self._load(tensors)

    def join(self) -> None:
        """Before the first of several processes' steps: all stand where the first one stands, and share the work."""
        if self.ranks.alone:
            return
        state = self.ranks.told(self.state)
        if not self.ranks.first:
            self._take(state)
        tensors = self.ranks.given(self.tensors())
        assert tensors is not None
        self.owners = self.ranks
        self._seat(dict(self.networks.items()))
        self._load(tensors)

    def _take(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        if overruled := state.get("overruled"):
            self._overrule(overruled)
        self.seen, self.skipped = state["seen"], state["skipped"]
        self.bad_in_a_row, self.skipped_lately = state["bad_in_a_row"], state["skipped_lately"]
        self.score, self.best_score = state["score"], state["best_score"]
        self.best_rank = state.get("best_rank", self.best_score)
        self.learning_factor, self.recipe.firmness = state["learning_factor"], state["firmness"]
        self.ended, self.beginnings = state["ended"], state["beginnings"]
        self.batches.micro_batch = state.get("micro_batch") or self.batches.micro_batch
        self.tally.restore(state["tally"], self.device)
        if self.watcher is not None and state["watcher"] is not None:
            self.watcher.restore(state["watcher"])

    def _load(self, tensors: Groups) -> None:
        load_into(self.networks, tensors["networks"], "networks")
        with self.following.whole() as averages:
            load_into(averages, tensors["averages"], "averages")
        moments.load(self.optimisers, self.weights, tensors["optimisers"])
