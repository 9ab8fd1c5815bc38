"""The scorecard of faults: what was injected, and whether Gannet did what it promises (docs/reliability.md).

A test is marked `@pytest.mark.fault(3)` wherever it lives; `make faults` runs all of them and prints a line a fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

FAULTS = {
    1: "kill -9 at a random step, then the same command: bit-equal to a run that was never hurt",
    2: "kill -9 inside a save: no unreadable checkpoint, nothing left behind",
    3: "disk full during a save and under the log",
    4: "SIGTERM and SIGINT in the middle of a step",
    5: "one bit flipped, or the newest checkpoint cut",
    6: "one gradient that is not finite",
    7: "gradients that stay not finite",
    8: "out of memory in a step",
    9: "resumed on another number of processes",
    10: "two processes against one with twice the batch",
    11: "a process of several dies",
    12: "a folder with corrupt, empty, misnamed, CMYK, 16 bit and animated pictures",
    13: "decompression bombs: PNG, npz, zip",
    14: "paths that leave their archive: slips, symbolic links, absolute paths",
    15: "files that run code when they are loaded: .pt, .npy, .pkl, members of shards",
    16: "weights that lie: header, overlaps, NaN, shapes, a foreign architecture",
    17: "sound, music and video that lie about their sizes",
    18: "tables: ragged, BOM, NUL, bad UTF-8, 200,000 columns, one row, empty, constant, mixed, odd dates",
    19: "exported cells that a spreadsheet would run",
    20: "0, 1, 3 and 10 items, a batch larger than the data, identical items",
    21: "requests to the studio that flood, lie or trespass",
    22: "no network, an empty home, a home that cannot be written",
    23: "mutated files in every loader",
    24: "mistyped, contradictory and nonsensical settings",
}

DOES_NOT_APPLY_YET = {
    17: "there is no kind of data for sound, music or video yet",
    21: "there is no studio yet",
}

STILL_MISSING: dict[int, str] = {}
"""What a fault's tests do not cover yet. A line is deleted by whoever adds the tests."""


class Scorecard:
    """Gathers the outcome of every marked test, also from the workers of pytest-xdist, and prints a line a fault."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Counter[str]] = defaultdict(Counter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("fault"):
                for number in mark.args:
                    assert number in FAULTS, f"{item.nodeid} is marked with fault {number}, which is not on the list"
                    item.user_properties.append(("fault", number))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test counts once: when it ran, or when its preparation failed or was skipped.
        if report.when == "call" or report.outcome != "passed":
            for name, number in report.user_properties:
                if name == "fault":
                    self.outcomes[number][report.outcome] += 1

    def verdict(self, number: int) -> tuple[str, str]:
        """What is said of one fault, in a word or two, and why."""
        outcome, missing = self.outcomes[number], STILL_MISSING.get(number)
        told = f"{outcome.total()} tests" if outcome.total() != 1 else "1 test"
        if outcome["skipped"]:
            told += f", {outcome['skipped']} of them skipped"
        if outcome["failed"]:
            return "FAILED", f"{outcome['failed']} of {told}"
        if outcome["passed"] and missing:
            return "passed in part", f"{told}; still missing: {missing}"
        if outcome["passed"]:
            return "passed", told
        if number in DOES_NOT_APPLY_YET:
            return "does not apply yet", DOES_NOT_APPLY_YET[number]
        return "not there yet", missing or (told if outcome else "no test ran")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if "fault" not in str(config.option.markexpr):
            return
        terminalreporter.section("faults")
        verdicts = {number: self.verdict(number) for number in FAULTS}
        for number, (word, why) in verdicts.items():
            terminalreporter.line(f"{number:2}  {word:18}  {FAULTS[number]} ({why})")
        count = Counter(word for word, _ in verdicts.values())
        terminalreporter.line("total: " + ", ".join(f"{count[word]} {word}" for word in sorted(count, key=str.lower)))


def pytest_configure(config: pytest.Config) -> None:
    # An object of its own, because the hooks of a conftest see only the tests of its own folder.
    config.pluginmanager.register(Scorecard(), "scorecard-of-faults")
