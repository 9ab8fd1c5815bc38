"""Private? What attackers who see only the samples find out about training rows, beyond what the population teaches.

Membership inference for all kinds of data (`membership`); singling out, linkability and attribute inference for tables
(`attacks`). `answer_private(evidence, contents)`; `contents` are lines about the model's files, see `model_contents`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gannet.metrics.answer import Answer, Figure, Table, Verdict
from gannet.metrics.attacks import (
    ATTEMPTS,
    NEIGHBOURS,
    Attack,
    Tabular,
    attribute_inference,
    linkability,
    singling_out,
)
from gannet.metrics.evidence import Evidence
from gannet.metrics.given_away import GivenAway, given_away
from gannet.metrics.membership import FEWEST, membership_figures
from gannet.metrics.shares import listed, percent

QUESTION = "Private?"
MOST_TRAINING = 50_000
"""Training rows in the attacks on tables at most."""
MOST_GENERATED = 10_000
MOST_COLUMNS = 64
BESIDE = 500
"""Attempts for the two figures beside an attack's own: real samples and copies in the samples' place."""
ENOUGH = 100
"""Held-out samples below which attacks that fail prove nothing."""
CAUTION = "Attacks that fail are no guarantee: others may succeed. Only training with differential privacy gives one."

MEANINGS = {
    "being copied": "share of training samples that some generated one copies exactly or nearly, beyond the share of "
    "unseen samples that are met so by chance.",
    "singling out, one column": "sentences about one value that fit one generated row alone also fit one real person "
    "alone: how much more often among training rows than among unseen ones.",
    "singling out, several columns": "sentences about several values that fit one generated row alone also fit one "
    "real person alone: how much more often among training rows than among unseen ones.",
    "linkability": "two halves of a person's row are found to belong together by way of the samples: how much more "
    "often for training rows than for unseen ones.",
    "attribute inference": "one unknown value of a row is learned from the most alike sample: how much more often for "
    "training rows than for unseen ones.",
}


@dataclass(frozen=True)
class _Bar:
    """What a figure's interval must leave out to count against the model."""

    tiny: float
    """An interval that begins at or below this shows no advantage worth the name."""
    clear: float
    """One that begins above this shows a clear leak."""


def answer_private(evidence: Evidence, contents: list[str] | None = None) -> Answer:
    """Answer the question from all attacks; `contents` are plain lines about what the model's files hold.

    "yes" when no attack's interval leaves out a tiny advantage, "no" when one shows a clear advantage, "partly" between
    the two, "unknown" without held-out samples or with too few to rule anything out. Every attack is judged beside its
    control: what unseen rows are exposed to as well is no risk.
    """
    held = [] if not contents else [Table("What the model's files hold", ["content"], [[line] for line in contents])]
    if not evidence.spared:
        return Answer(
            key="private",
            question=QUESTION,
            verdict="unknown",
            sentence="It cannot be told: no real samples were held out, so there is nothing to compare attacks with. "
            "Train with more data, of which some is held out.",
            tables=held,
            notes=["no held-out samples: attacks without an honest control would mislead, so none is shown.", CAUTION],
        )
    figures, notes = membership_figures(evidence)
    copies = given_away(evidence)
    if copies is not None:
        figures.append(_figure(copies.attack, copies.real, copies.copied))
        notes.append(_copies_note(copies))
    tables: list[Table] = []
    if evidence.train.frame is not None:
        on_rows = _attacks_on_rows(evidence)
        figures, tables, notes = figures + on_rows.figures, on_rows.tables, notes + on_rows.notes
    count = len(evidence.holdout)
    verdict = _verdict(figures, count)
    return Answer(
        key="private",
        question=QUESTION,
        verdict=verdict,
        sentence=_sentence(verdict, figures, count),
        figures=figures,
        tables=tables + held,
        notes=[*notes, CAUTION],
    )


def _copies_note(copies: GivenAway) -> str:
    main, control = copies.attack.main, copies.attack.control
    return (
        f"copies: of {copies.attack.attempts:,} training samples {percent(main.value)} have an exact or near copy "
        f"among {copies.samples:,} generated ones, {percent(control.value)} of unseen ones; more samples, more copies."
    )


# ------------------------------------------------------------------------------------------------ attacks on rows


@dataclass(frozen=True)
class _OnRows:
    figures: list[Figure]
    tables: list[Table]
    notes: list[str]


def _attacks_on_rows(evidence: Evidence) -> _OnRows:
    random = evidence.random("attacks")
    sides = (evidence.train, evidence.holdout, evidence.generated)
    fewest = min(len(side) for side in sides)
    if fewest < FEWEST:
        return _OnRows([], [], [f"no attacks on rows: {fewest} rows on one side, it takes at least {FEWEST}."])
    limits = (MOST_TRAINING, MOST_TRAINING, MOST_GENERATED)
    chosen = [random.permutation(len(side))[:most] for side, most in zip(sides, limits, strict=True)]
    frames = [side.frame.iloc[rows] for side, rows in zip(sides, chosen, strict=True)]
    whole = Tabular.of(frames, skip=evidence.allowed)
    table, notes = _fewer_columns(whole, evidence, random)
    train, holdout, generated = table.parts
    some = random.permutation(len(train))[: len(generated)]
    first, second = train[: len(train) // 2], train[len(train) // 2 :]
    attacks, columns = _all(table, random, ATTEMPTS)
    copied, _ = _all(table.with_parts(train, holdout, train[some]), random, BESIDE)
    real, _ = _all(table.with_parts(first, holdout, second[: len(generated)]), random, BESIDE)
    figures = [_figure(attack, _risk(real, attack.name), _risk(copied, attack.name)) for attack in attacks]
    header = ["attempts", "on training rows", "on unseen rows", "by guessing", "risk (95 % interval)"]
    tables = [Table("Attacks beside their controls", ["attack", *header], [_row(attack) for attack in attacks])]
    if columns:
        notes.append("attribute inference by column: of many intervals one in forty starts above 0 by chance alone.")
        ordered = sorted(columns, key=lambda attack: -attack.risk.value)
        tables.append(Table("Attribute inference by column", ["column", *header], [_row(each) for each in ordered]))
    return _OnRows(figures, tables, notes + _notes(table, attacks))


def _fewer_columns(table: Tabular, evidence: Evidence, random: np.random.Generator) -> tuple[Tabular, list[str]]:
    """At most `MOST_COLUMNS` columns, those the user named first."""
    if len(table.names) <= MOST_COLUMNS:
        return table, []
    named = [name in (evidence.target, *evidence.sensitive) for name in table.names]
    order = np.argsort(random.random(len(named)) - np.array(named))[:MOST_COLUMNS]
    note = f"attacks on rows: {MOST_COLUMNS} of {len(named):,} columns, drawn at random."
    return table.columns(np.sort(order)), [note]


def _all(table: Tabular, random: np.random.Generator, attempts: int) -> tuple[list[Attack], list[Attack]]:
    """Every attack that the columns allow, and attribute inference column by column."""
    inferred = attribute_inference(table, random, attempts)
    whole: list[Attack | None] = [
        singling_out(table, random, multivariate=False, attempts=attempts),
        singling_out(table, random, multivariate=True, attempts=attempts // 2),
        linkability(table, random, attempts),
        None if inferred is None else inferred[0],
    ]
    return [attack for attack in whole if attack is not None], [] if inferred is None else inferred[1]


def _risk(attacks: list[Attack], name: str) -> float | None:
    return next((attack.risk.value for attack in attacks if attack.name == name), None)


def _figure(attack: Attack, real: float | None, copied: float | None) -> Figure:
    risk, meaning = attack.risk, MEANINGS[attack.name]
    return Figure(f"risk of {attack.name}", risk.value, risk.interval, real, None, "lower", meaning, copied)


def _row(attack: Attack) -> list[str]:
    risk = attack.risk
    return [
        attack.name,
        f"{attack.attempts:,}",
        percent(attack.main.value),
        percent(attack.control.value),
        percent(attack.naive),
        f"{risk.value:.3f} ({risk.interval[0]:.3f} to {risk.interval[1]:.3f})",
    ]


def _notes(table: Tabular, attacks: list[Attack]) -> list[str]:
    train, holdout, generated = (len(part) for part in table.parts)
    notes = [
        f"attacks on rows: {generated:,} generated rows against {train:,} training rows, with {holdout:,} unseen rows "
        f"as control; linkability looks at {NEIGHBOURS} neighbours.",
        "risk = (training - unseen) / (1 - unseen): what is guessed as well of unseen rows is known from the "
        "population, and no leak.",
    ]
    if holdout < train and any(attack.name.startswith("singling out") for attack in attacks):
        notes.append(
            "singling out: the rate on unseen rows is brought to the number of training rows, by how the rate on "
            "training rows changes between the two numbers."
        )
    weak = [attack.name for attack in attacks if attack.main.interval[1] < attack.naive]
    if weak:
        notes.append(f"{listed(weak, 4)}: weaker than guessing here, so a low risk proves nothing.")
    if len(table.names) < 2:
        notes.append("only one column: no linkability, no attribute inference, no singling out by several columns.")
    return notes


# --------------------------------------------------------------------------------------------------------- verdict


def _bar(figure: Figure) -> _Bar:
    """AUC against 0.5, members found against the false alarms allowed, a risk against 0."""
    if figure.name.startswith("membership AUC"):
        return _Bar(0.51, 0.55)
    if figure.name.startswith("members found"):
        allowed = float(figure.name.removeprefix("members found at ").partition(" %")[0]) / 100
        return _Bar(1.5 * allowed, 2 * allowed)
    return _Bar(0.01, 0.05)


def _over(figures: list[Figure], level: Callable[[_Bar], float]) -> list[Figure]:
    """Figures whose whole interval lies above a level."""
    return [figure for figure in figures if figure.interval is not None and figure.interval[0] > level(_bar(figure))]


def _verdict(figures: list[Figure], count: int) -> Verdict:
    if _over(figures, lambda bar: bar.clear):
        return "no"
    if not figures or count < ENOUGH:
        return "unknown"
    return "partly" if _over(figures, lambda bar: bar.tiny) else "yes"


def _sentence(verdict: Verdict, figures: list[Figure], count: int) -> str:
    if not figures:
        return "It cannot be told: too few samples to attack."
    if verdict == "unknown":
        return f"It cannot be told: no attack succeeds, but {count} unseen samples are too few to rule one out."
    if verdict == "yes":
        aucs = [each for each in figures if each.name.startswith("membership AUC")]
        worst = max(aucs, key=lambda each: each.value)
        risks = [each.value for each in figures if each.name.startswith("risk of")]
        tail = f", and the other attacks gain at most {max(risks):.2f} over their controls" if risks else ""
        found = f"{worst.name}: {worst.value:.2f}, guessing is 0.50{tail}"
        return (
            f"No attack tells training data from unseen data ({found}). "
            "That is no guarantee; only differential privacy gives one."
        )
    succeeded = _over(figures, lambda bar: bar.clear if verdict == "no" else bar.tiny)
    words = listed([f"{each.name} {_written(each)}" for each in succeeded])
    if verdict == "partly":
        return f"Some attack does a little better on training data than on unseen data: {words}. Share with care."
    return (
        f"The samples give training data away, well beyond what the population teaches: {words}. "
        "Do not treat them as anonymous."
    )


def _written(figure: Figure) -> str:
    return percent(figure.value) if figure.name.startswith("members found") else f"{figure.value:.2f}"
