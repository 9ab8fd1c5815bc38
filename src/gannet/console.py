"""What a person sees while a network trains: a live display on a terminal, a plain line now and then elsewhere.

`with TrainingDisplay() as display: display.announce(lines); outcome = session.play(display.report)`
Colour follows NO_COLOR; nothing is animated unless standard output is a terminal.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from gannet.engine import Progress
    from gannet.watch import Look

PLAIN_SHARE = 0.1
"""Share of the run after which a plain line is due."""
PLAIN_SECONDS = 30.0
"""Seconds after which a plain line is due."""
TOLD_WAITING = 0.05
"""Share of the time spent waiting for data from which on it is told."""


class TrainingDisplay:
    """Shows the `Progress` of a run on `stream`; a context manager, so that the terminal is always given back."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stdout
        terminal = self.stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
        self.console = Console(file=self.stream, force_terminal=terminal, highlight=False, markup=False, emoji=False)
        self.live = Live(console=self.console, auto_refresh=False) if terminal else None
        self.clock = clock
        self.told_at: float | None = None
        self.told_share = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def announce(self, lines: Iterable[str]) -> None:
        """Print what was found and chosen, before training."""
        for line in lines:
            self._print(line)

    def report(self, progress: Progress) -> None:
        """Show where the game stands; a note stays on the screen above it."""
        if progress.note is not None:
            self._print(progress.note)
        if self.live is not None:
            self.live.start()
            self.live.update(picture(progress, self.console.width), refresh=True)
        elif self._due(progress):
            self._print(plain_line(progress))

    def _due(self, progress: Progress) -> bool:
        """Whether a plain line is due: the first report, every tenth of the run, every half minute, the end."""
        now, share = self.clock(), _share(progress)
        due = (
            self.told_at is None
            or now - self.told_at >= PLAIN_SECONDS
            or share - self.told_share >= PLAIN_SHARE
            or (share >= 1 and self.told_share < 1)
        )
        if due:
            # tenths of the whole run, so that the lines fall on 10 %, 20 %, ... and do not drift
            self.told_at, self.told_share = now, 1.0 if share >= 1 else math.floor(share / PLAIN_SHARE) * PLAIN_SHARE
        return due

    def _print(self, line: str) -> None:
        if self.live is None:
            print(printable(line), file=self.stream, flush=True)
        else:
            self.console.print(Text(printable(line)), soft_wrap=True)


# ---------------------------------------------------------------------------------------------- in words


def picture(progress: Progress, width: int) -> Group:
    """The live display: a bar, a line of loss terms a player, and the balance beside the scores."""
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(
            total=max(progress.total, 1),
            completed=progress.seen,
            width=min(40, max(10, width - 60)),
            complete_style="cyan",
            finished_style="cyan",
        ),
        Text(f"{thousands(progress.seen)} / {thousands(progress.total)} samples", style="bold"),
        Text(speed_in_words(progress)),
        Text(f"{clock_time(progress.seconds_left)} left", style="cyan"),
    )
    rows = Table.grid(padding=(0, 2))
    for player, terms in progress.terms.items():
        rows.add_row(Text(player, style="dim"), Text(terms_in_words(terms)))
    rows.add_row(Text("balance", style="dim"), Text(balance_in_words(progress.balance), style=_mood(progress.balance)))
    rows.add_row(Text("sample score (lower is better)", style="dim"), Text(score_in_words(progress)))
    if progress.look is not None:
        rows.add_row(Text("samples beside real ones", style="dim"), Text(look_in_words(progress.look)))
    return Group(bar, rows)


def plain_line(progress: Progress) -> str:
    """The same on one line of ASCII, for logs and pipes."""
    parts = [
        f"{_share(progress):4.0%} {thousands(progress.seen)}/{thousands(progress.total)} samples",
        speed_in_words(progress),
        f"{clock_time(progress.seconds_left)} left",
        *(f"{player}: {terms_in_words(terms)}" for player, terms in progress.terms.items()),
        f"balance: {balance_in_words(progress.balance)}",
        f"sample score: {score_in_words(progress)}",
    ]
    return " | ".join(parts)


def speed_in_words(progress: Progress) -> str:
    """Samples a second, and how much of the time went into waiting for data where that is worth telling."""
    waiting = f", {progress.waiting:.0%} of the time waiting for data" if progress.waiting > TOLD_WAITING else ""
    return per_second(progress.rate) + waiting


def balance_in_words(balance: float | None) -> str:
    """The share of pairs the discriminator orders rightly, judged: 1/2 is a coin's toss, 1 is never fooled."""
    if balance is None:
        return "the discriminator does not play yet"
    if not math.isfinite(balance):
        return "not known yet"
    bounds = {
        0.45: "generator ahead",
        0.55: "cannot tell real from fake",
        0.85: "even",
        0.98: "discriminator ahead",
    }
    words = next((words for bound, words in bounds.items() if balance < bound), "discriminator far ahead")
    return f"{words} {balance:.2f}"


def _mood(balance: float | None) -> str:
    return "green" if balance is None or 0.45 <= balance < 0.85 else "yellow"


def terms_in_words(terms: Mapping[str, float]) -> str:
    """`adversarial 0.61  r1 0.1`."""
    return "  ".join(f"{name} {value:.3g}" for name, value in terms.items()) or "no move yet"


def score_in_words(progress: Progress) -> str:
    """The running sample score and the best so far."""
    if progress.score is None and progress.best_score is None:
        return "not known yet"
    score = "not finite" if progress.score is None else f"{progress.score:.4g}"
    best = "" if progress.best_score is None else f" (best {progress.best_score:.4g})"
    return f"{score}{best}"


def look_in_words(look: Look) -> str:
    """`variety 0.95  coverage 0.80  told apart 0.71`: what of the latest look could be measured."""
    values = {"variety": look.variety, "coverage": look.coverage, "told apart": look.told_apart}
    return "  ".join(f"{name} {value:.2f}" for name, value in values.items() if value is not None) or "not known yet"


def thousands(count: int) -> str:
    """850, 64k, 1.25M."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.0f}k" if count < 1_000_000 else f"{count / 1e6:.2f}M"


def per_second(rate: float) -> str:
    """Samples a second, in figures that do not flicker."""
    return f"{rate:,.0f} samples/s" if rate >= 10 else f"{rate:.1f} samples/s"


def clock_time(seconds: float) -> str:
    """45s, 2m05s, 3h20m."""
    if not math.isfinite(seconds):
        return "unknown time"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def printable(text: str) -> str:
    """`text` without control characters: a file's name must not steer the terminal."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _share(progress: Progress) -> float:
    return min(1.0, progress.seen / max(progress.total, 1))
