"""One sitting of training: the budget, the announcement, the play with its interruptions, the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from gannet import precision
from gannet.augment import augmentation_for
from gannet.budget import default_samples, samples_in
from gannet.diagnostics import Referee, foresee
from gannet.domains import Opened
from gannet.engine import Engine, Precision, Progress
from gannet.examination import Examination
from gannet.interruption import Interruption
from gannet.model import Model, build_networks, recipe_of
from gannet.private_run import Privacy
from gannet.ranks import Ranks
from gannet.recipes import Recipe
from gannet.run import RunFolder
from gannet.watch import Look


@dataclass(frozen=True)
class Outcome:
    """How a sitting ended."""

    status: Literal["finished", "interrupted"]
    seen: int
    best_score: float | None
    run_path: Path
    message: str
    """For a person: where the model is, or the exact line that goes on."""
    signal: int | None = None
    """Number of the signal that interrupted, when one did."""

    @property
    def run(self) -> Model:
        """The model as it stands."""
        return Model(RunFolder.open(self.run_path))


class Session:
    """A run that is opened, chosen and budgeted, and waits for `play`."""

    run_path: Path
    """The run folder; made by `play` when it is not there yet."""

    def __init__(
        self,
        settings: dict[str, Any],
        opened: Opened,
        *,
        folder: RunFolder | None,
        command: str,
        privacy: Privacy | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """`folder` is None for a run that is new, and for all but the first of several `ranks`."""
        self.ranks = ranks or Ranks()
        self.settings, self.opened, self.folder, self.privacy = settings, opened, folder, privacy
        self.command, self.device = command, settings["device"]
        self.precision: Precision = settings["precision"]
        self.recipe: Recipe = recipe_of(settings)
        self.networks = build_networks(self.recipe, opened.domain.spec, settings)
        self.rate: float | None = None
        self.extended = False
        self.announcement: list[str] = []

    @property
    def resumed(self) -> bool:
        """Whether this sitting goes on with an earlier one."""
        return self.folder is not None

    @property
    def total(self) -> int:
        """Samples at which the run ends."""
        return self.settings["total"]

    def set_budget(self, *, seconds: float | None, samples: int | None) -> None:
        """Fix the number of samples: as asked, as fits the time, as begun, or as the data and networks suggest."""
        if self.ranks.first:
            self._fix_budget(seconds, samples)
        fixed = self.ranks.told(lambda: [self.settings["total"], self.settings["seconds"], self.extended])
        self.settings["total"], self.settings["seconds"], self.extended = fixed

    def _fix_budget(self, seconds: float | None, samples: int | None) -> None:
        begun = self.settings.get("total")
        if samples is not None:
            self.settings["total"] = samples
        elif seconds is not None and (not self.resumed or self.settings["seconds"] != seconds):
            with torch.random.fork_rng():
                self.settings["total"], self.rate = samples_in(seconds, self.trial(), self.ranks.count)
        elif "total" not in self.settings:
            self.settings["total"] = default_samples(
                self.opened.domain.spec, self.networks, self.recipe.latent, self.settings["count"], self.device
            )
        self.settings["seconds"] = seconds
        self.extended = begun is not None and self.total != begun

    def play(self, report: Callable[[Progress], None] | None = None) -> Outcome:
        """Train until the budget is spent or a signal asks to stop; either way everything is saved."""
        with ExitStack() as stack:
            if self.ranks.first:
                stack.enter_context(self._hold())
            interruption = stack.enter_context(Interruption())
            stack.enter_context(torch.random.fork_rng())
            with self.ranks.first_ahead():
                engine = self._engine(self.networks, self.recipe, self.folder, total=self.total)
                self._restore(engine)
            if not self.resumed:
                self._fit(engine)
            engine.join()
            finished = engine.play(report, lambda: interruption.requested is not None)
            if self.folder is not None:
                self.folder.update_settings(finished=finished)
            if self.privacy is not None and finished:
                self.privacy.forget(self.run_path)
        return self._outcome(engine, finished, interruption)

    def _fit(self, engine: Engine) -> None:
        """Portions that fit into memory, and a precision that the game bears, where nobody has said which."""
        if self.recipe.micro_batch is None:
            engine.fit()
        if self.precision == "bf16" and self.recipe.precision == "auto" and self.privacy is None:
            precision.settle(engine)
            self.settings["precision"] = self.precision = engine.precision
            if self.folder is not None:
                self.folder.update_settings(precision=self.precision)

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """The run folder, made where it is not there yet, as this process's own to write."""
        if self.folder is None:
            self.folder = RunFolder.create(self.run_path, self.settings, self.command)
            if self.privacy is not None:
                self.privacy.keep(self.run_path)
        with self.folder.hold():
            self.folder.update_settings(total=self.total, seconds=self.settings["seconds"], finished=False)
            yield

    def _engine(
        self,
        networks: dict[str, nn.Module],
        recipe: Recipe,
        folder: RunFolder | None,
        *,
        total: int,
        trial: bool = False,
    ) -> Engine:
        seed = self.settings["seed"]
        if self.privacy is not None:
            return self._private_engine(self.privacy, networks, recipe, folder, total=total)
        examine: Callable[[int], Look] = _nothing_to_see
        foreseen: list[str] = []
        if self.ranks.first:
            examine = examination = Examination(recipe, self.opened, folder, seed, self.device)
            foreseen = [] if trial else self._foreseen(examination, networks, recipe)
        watcher = None if trial else self._referee(recipe, foreseen)
        return Engine(
            recipe,
            networks,
            self.opened.train,
            self.opened.holdout,
            total=total,
            seed=seed,
            device=self.device,
            precision=self.precision,
            run=folder,
            examine=examine,
            watcher=watcher,
            fresh=lambda attempt: build_networks(recipe, self.opened.domain.spec, self.settings, attempt),
            ranks=None if trial else self.ranks,
        )

    def _foreseen(self, examination: Examination, networks: dict[str, nn.Module], recipe: Recipe) -> list[str]:
        weights = {
            player: sum(weight.numel() for name in names for weight in networks[name].parameters())
            for player, names in recipe.players.items()
        }
        return foresee(examination.sight, count=len(self.opened.train), weights=weights)

    def _referee(self, recipe: Recipe, foreseen: list[str]) -> Referee:
        # A batch of all there is cannot be larger.
        whole = recipe.batch_size >= len(self.opened.train)
        doubts = [doubt for doubt in recipe.doubts() if doubt.knob != "batch_size" or not whole]
        remedies = self.settings["request"].get("remedies", True)
        return Referee(remedies=remedies, foreseen=foreseen, doubts=doubts)

    def _private_engine(
        self, privacy: Privacy, networks: dict[str, nn.Module], recipe: Recipe, folder: RunFolder | None, *, total: int
    ) -> Engine:
        """An engine without examinations, referee and held-out rows: they would look at real rows beside the budget."""
        return Engine(
            recipe,
            networks,
            self.opened.train,
            total=total,
            seed=self.settings["seed"],
            device=self.device,
            run=folder,
            drawn=privacy.arm(recipe, networks),
        )

    def trial(self) -> Engine:
        """An engine of one process's part of the same game, to measure and throw away."""
        recipe = recipe_of(self.settings)
        recipe.batch_size = max(recipe.batch_size // self.ranks.count, 1)
        networks = build_networks(recipe, self.opened.domain.spec, self.settings)
        return self._engine(networks, recipe, None, total=10**9, trial=True)

    def _restore(self, engine: Engine) -> None:
        if self.folder is None:
            return
        checkpoint = self.folder.newest()
        if checkpoint is not None:
            engine.restore(*checkpoint.read(engine.device))
            if self.extended:
                # A new budget reopens a game that the referee had ended.
                engine.ended = ""
        self.folder.rewind_log(engine.seen)

    def _outcome(self, engine: Engine, finished: bool, interruption: Interruption) -> Outcome:
        path = self.run_path
        score = "" if engine.best_score is None else f", best score {engine.best_score:.3g}"
        if finished:
            why = f" ({engine.ended})" if engine.ended else " (the budget is spent)"
            following = f"gannet sample {path} -n 64, gannet evaluate {path}"
            message = f"finished at {engine.seen:,} samples{score}{why}; next: {following}"
        else:
            message = f"saved at {engine.seen:,} of {self.total:,} samples{score}; go on with: gannet resume {path}"
        number = interruption.requested
        return Outcome(
            "finished" if finished else "interrupted",
            engine.seen,
            engine.best_score,
            path,
            message,
            None if number is None else int(number),
        )


def _nothing_to_see(seen: int) -> Look:
    raise AssertionError("the first process alone looks")


def announce(session: Session, found: list[str]) -> list[str]:
    """What was found, what was chosen and why, and what it will take: the lines before the first sample."""
    settings, recipe = session.settings, session.recipe
    said = settings["request"]
    sizes = {name: sum(weight.numel() for weight in net.parameters()) for name, net in session.networks.items()}
    networks = ", ".join(f"{name} {_millions(size)}" for name, size in sizes.items() if size)
    _, augmentation = augmentation_for(
        session.opened.domain.spec,
        settings["count"],
        settings["knobs"].get("augment", "none"),
        holdout=settings["holdout"] > 0,
    )
    lines = [f"found   {found[0]}", *(f"        {line}" for line in found[1:])]
    why = "as asked" if said["recipe"] else "the default: stable, covers every mode"
    if session.privacy is not None:
        why = "the one that learns by clipped and noisy gradients"
    lines.append(f"chose   recipe {settings['recipe']} ({why})")
    lines.append(f"        networks: {networks} (size {settings['size']:g}); batch {recipe.batch_size}")
    lines += [f"        {name}: {choice}" for name, choice in recipe.describe().items()]
    lines.append(f"        {augmentation}")
    lines.append(f"takes   {_takes(session)}")
    lines.append(f"{'goes on' if session.resumed else 'into   '} {session.run_path}")
    return lines


def _takes(session: Session) -> str:
    settings = session.settings
    passes = session.total / max(settings["count"], 1)
    where = f"{session.device}, {torch.get_num_threads()} threads" if session.device == "cpu" else session.device
    if not session.ranks.alone:
        where = f"{session.ranks.count} processes ({where} each)"
    text = f"{session.total:,} samples ({passes:,.0f} passes over the data) on {where}, {settings['precision']}"
    if session.rate is not None:
        text += f"; about {_duration(settings['seconds'])} at {session.rate:,.0f} samples/s"
    return text


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 1e5 else f"{count / 1e3:.0f} k"


def _duration(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds))
