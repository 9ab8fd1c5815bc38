"""The training display: what a person reads on a terminal, in a log, and after a stop."""

from __future__ import annotations

import io
import math

import pytest

from gannet.console import (
    TrainingDisplay,
    balance_in_words,
    clock_time,
    look_in_words,
    per_second,
    printable,
    terms_in_words,
    thousands,
)
from gannet.engine import Progress
from gannet.watch import Look


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def progress(seen: int, *, note: str | None = None, score: float | None = 0.25, balance: float = 0.7) -> Progress:
    return Progress(
        seen=seen,
        total=100_000,
        rate=3200.0,
        seconds_left=125.0,
        terms={"discriminator": {"adversarial": 0.61, "r1": 0.1}, "generator": {"adversarial": 1.234}},
        balance=balance,
        score=score,
        best_score=None if score is None else 0.2,
        note=note,
    )


def lines_of(reports: list[tuple[float, Progress]]) -> list[str]:
    """What a log gets from (time, progress) reports."""
    stream, now = io.StringIO(), [0.0]
    with TrainingDisplay(stream, clock=lambda: now[0]) as display:
        for at, report in reports:
            now[0] = at
            display.report(report)
    return stream.getvalue().splitlines()


def test_a_log_gets_one_line_with_everything_by_name() -> None:
    [line] = lines_of([(0.0, progress(40_000))])
    for part in ("40%", "40k/100k samples", "3,200 samples/s", "2m05s left", "discriminator: adversarial 0.61  r1 0.1"):
        assert part in line
    assert line.endswith("generator: adversarial 1.23 | balance: even 0.70 | sample score: 0.25 (best 0.2)")
    assert line.isascii()


def test_a_log_gets_a_line_every_tenth_of_the_run_and_not_more() -> None:
    lines = lines_of([(0.0, progress(seen)) for seen in range(500, 100_001, 500)])
    assert [line.split("%")[0].strip() for line in lines] == ["0", *(str(share) for share in range(10, 101, 10))]


def test_a_log_of_a_slow_run_gets_a_line_every_half_minute() -> None:
    assert len(lines_of([(float(second), progress(100 + second)) for second in range(91)])) == 4


def test_a_log_ends_with_the_last_report_even_when_none_was_due() -> None:
    assert lines_of([(0.0, progress(95_000)), (1.0, progress(100_000))])[-1].startswith("100%")


def test_notes_are_always_printed() -> None:
    lines = lines_of([(0.0, progress(1_000)), (1.0, progress(1_100, note="skipped a bad step"))])
    assert lines[-1] == "skipped a bad step"


def test_nothing_that_is_not_known_yet_is_shown_as_a_number() -> None:
    [line] = lines_of([(0.0, progress(0, score=None, balance=math.nan))])
    assert "balance: not known yet" in line
    assert "sample score: not known yet" in line
    assert "nan" not in line


def test_a_terminal_gets_a_live_picture_with_notes_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with TrainingDisplay(stream) as display:
        display.announce(["found 1,797 pictures [8x8]"])
        display.report(progress(40_000, note="checkpoint saved"))
        display.report(progress(50_000))
    shown = stream.getvalue()
    assert shown.startswith("found 1,797 pictures [8x8]\n")  # square brackets are text, not markup
    assert shown.index("checkpoint saved") < shown.index("40k / 100k samples")
    for part in ("50k / 100k samples", "adversarial 0.61  r1 0.1", "even 0.70", "0.25 (best 0.2)", "2m05s left"):
        assert part in shown
    assert "\x1b[32m" in shown  # green: an even game
    assert shown.rstrip("\n").endswith("\x1b[?25h")  # the cursor is given back


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with TrainingDisplay(stream) as display:
        display.report(progress(40_000))
    assert "\x1b[32m" not in stream.getvalue()
    assert "\x1b[36m" not in stream.getvalue()


def test_forced_colour_does_not_animate_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in lines_of([(0.0, progress(40_000))])[0]


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with TrainingDisplay(stream) as display:
        display.report(progress(40_000))
    assert stream.getvalue().startswith(" 40% 40k/100k samples")


def test_the_terminal_is_given_back_when_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with pytest.raises(RuntimeError), TrainingDisplay(stream) as display:
        display.report(progress(40_000))
        raise RuntimeError
    assert stream.getvalue().rstrip("\n").endswith("\x1b[?25h")


@pytest.mark.parametrize("width", ["20", "60", "200"])
def test_any_width_of_terminal_will_do(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", width)
    with TrainingDisplay(Terminal()) as display:
        display.report(progress(40_000))


@pytest.mark.parametrize(
    ("balance", "words"),
    [
        (0.3, "generator ahead 0.30"),
        (0.5, "cannot tell real from fake 0.50"),
        (0.75, "even 0.75"),
        (0.93, "discriminator ahead 0.93"),
        (1.0, "discriminator far ahead 1.00"),
        (math.nan, "not known yet"),
    ],
)
def test_the_balance_is_told_in_words(balance: float, words: str) -> None:
    assert balance_in_words(balance) == words


def test_figures_are_short() -> None:
    assert [thousands(count) for count in (850, 9_999, 64_000, 1_250_000)] == ["850", "9,999", "64k", "1.25M"]
    assert [clock_time(seconds) for seconds in (45, 125, 12_000, math.inf)] == ["45s", "2m05s", "3h20m", "unknown time"]
    assert [per_second(rate) for rate in (3_200.4, 0.53)] == ["3,200 samples/s", "0.5 samples/s"]
    assert terms_in_words({}) == "no move yet"


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("cat\x1b[2J\x07.png") == "cat\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}.png"
    assert printable("naïve 猫\tx\n") == "naïve 猫\tx\n"


def test_the_latest_look_is_told_in_words_as_far_as_it_could_be_measured() -> None:
    assert look_in_words(Look(0.5)) == "not known yet"
    assert look_in_words(Look(0.5, variety=0.953, coverage=0.8)) == "variety 0.95  coverage 0.80"
