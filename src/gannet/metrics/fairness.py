"""Is it fair? Groups in generated samples against real ones: their shares, their labels, how well each is made.

`answer_fair(evidence)` looks at every sensitive column; demographic parity (Dwork et al. 2012) and equal opportunity
(Hardt et al. 2016) of a model that learned from generated rows are set beside one that learned from real rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from torch import Tensor

from gannet.metrics.answer import Answer, Figure, Table, Verdict
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.groups import SMALL, Groups, class_groups, sensitive_groups
from gannet.metrics.learners import Array, Examples, Problem, problem_of
from gannet.metrics.neighbours import DENSITY_NEIGHBOURS, density_coverage
from gannet.metrics.shares import NORMAL, listed, percent, total_variation
from gannet.metrics.utility import Trial, error_of

QUESTION = "Is it fair?"
SMALL_POSITIVE = 20
"""Held-out rows of a group with the positive label, below which equal opportunity says nothing about it."""
MOST_OF_GROUP = 1_000
"""Rows of a group whose quality is measured."""
LEAST_RATIO, GOOD_RATIO = 0.8, 0.9
"""A group is lost when it surely comes out at less than four fifths of its real share (the rule of the US Uniform
Guidelines, 1978), and short when surely below nine tenths."""
GAP, SMALL_GAP = 0.05, 0.02
"""Points by which a gap between groups must surely have grown to be unfair, or partly so."""
BADLY_MADE = 0.2
"""A group is badly made when surely this much more of it is not covered than of the best-made group; half is partly."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Finding:
    """What one look at one column gave."""

    figures: list[Figure]
    verdict: Verdict
    complaints: list[str]
    """What is wrong, in words; empty when nothing is."""
    tables: list[Table]
    notes: list[str]


def answer_fair(evidence: Evidence) -> Answer:
    """Are groups treated in the generated samples as the real data treat them?

    "No" when a group is lost, or a gap between groups surely grew beyond the real data's own (beyond its interval,
    corrected for the number of comparisons). Tables: `evidence.sensitive`; others: their class conditions.
    Raises GannetError for a sensitive column that does not exist.
    """
    if evidence.train.frame is None:
        columns, reason = class_groups(evidence)
    else:
        columns, reason = sensitive_groups(evidence)
    if not columns:
        return Answer("fair", QUESTION, "unknown", f"Not judged: {reason}", notes=[reason])
    comparisons = sum(column.comparisons for column in columns)
    sure = NormalDist().inv_cdf(1 - 0.025 / comparisons)
    problem = problem_of(evidence) if evidence.train.frame is not None else "labels are the groups themselves."
    findings: list[Finding] = []
    models = None if isinstance(problem, str) else Models(evidence, problem)
    for column in columns:
        findings.append(share_finding(column, sure))
        if models is not None and column.name != models.problem.target:
            findings.append(label_finding(column, models, sure))
            findings.append(model_finding(column, models, sure))
        findings.append(quality_finding(column, evidence, sure))
    notes = [note for finding in findings for note in finding.notes]
    if models is not None:
        notes = [*models.problem.notes, models.meaning, *notes]
    elif evidence.train.frame is not None:
        notes.append(f"label gaps between groups were not judged: {problem}")
    notes.append(f'verdicts: intervals widened for {comparisons} comparisons, so that chance alone is rarely "unfair".')
    if not evidence.spared:
        notes.append(
            "no rows were held out from the generator's training: what is judged on held-out rows flatters it."
        )
    figures = [figure for finding in findings for figure in finding.figures]
    tables = [table for finding in findings for table in finding.tables]
    verdict = _worst([finding.verdict for finding in findings])
    return Answer("fair", QUESTION, verdict, _sentence(columns, findings, verdict), figures, tables, [], notes)


# ---------------------------------------------------------------------------------------------------------- shares


def share_finding(groups: Groups, sure: float) -> Finding:
    """Shares of the groups in generated against real samples: in all (total variation), and of the worst-off group."""
    train, holdout, generated = (groups.counts(side) for side in (groups.train, groups.holdout, groups.generated))
    real = train + holdout
    if not generated.sum():
        complaint = f"no generated row has a {groups.name!r}"
        return Finding([], "no", [complaint], [], [])
    variation, interval = total_variation(generated, real)
    largest = 1 - real.max() / real.sum()
    figures = [
        Figure(
            f"group shares: {groups.name}", variation, interval, total_variation(holdout, train)[0], largest, "lower",
            f"share of samples that would have to change their {groups.name} for the real shares; the floor is a model "
            "that makes the largest group only.",
            copying=0.0,
        )
    ]  # fmt: skip
    rated = [at for at in range(len(real)) if real[at] >= SMALL and real[at] / real.sum() * generated.sum() >= 5]
    verdict: Verdict = "yes" if rated else "unknown"
    complaints, notes = [], []
    if rated:
        ratios = {at: share_ratio(generated, real, at, NORMAL) for at in rated}
        worst = min(rated, key=lambda at: share_ratio(generated, real, at, sure)[1][1])
        there = share_ratio(holdout, train, worst, NORMAL)[0] if train[worst] else None
        meaning = (
            f"share of the group {groups.names[worst]!r} in generated rows over its share in real ones; 1 is right."
        )
        ratio, bounds = ratios[worst]
        figures.append(
            Figure(f"worst-off share: {groups.name}", ratio, bounds, there, 0.0, "higher", meaning, copying=1.0)
        )
        for at in rated:
            high = share_ratio(generated, real, at, sure)[1][1]
            if high < GOOD_RATIO:
                verdict = _worst([verdict, "no" if high < LEAST_RATIO else "partly"])
                complaints.append(
                    f"{groups.name} {groups.names[at]!r} is {percent(real[at] / real.sum())} of real and "
                    f"{percent(generated[at] / generated.sum())} of generated rows"
                )
    small = [groups.names[at] for at in range(len(real)) if at not in rated and real[at]]
    if small:
        notes.append(f"{groups.name}: too few rows to judge the shares of {listed(small, 6)}.")
    return Finding(figures, verdict, complaints, [_share_table(groups, real, generated)], notes)


def share_ratio(counts: Array, others: Array, group: int, sure: float) -> tuple[float, Interval]:
    """A group's share in the first counts over that in the second, and its interval of `sure` standard errors.

    The interval is Katz et al.'s (1978) with half a count added everywhere, so that an empty group has one.
    """
    x, n, y, m = counts[group], counts.sum(), others[group], others.sum()
    ratio = float((x / max(1, n)) / (y / max(1, m))) if y else 0.0
    centre = log(x + 0.5) - log(n + 0.5) - log(y + 0.5) + log(m + 0.5)
    error = sure * sqrt(max(0.0, 1 / (x + 0.5) - 1 / (n + 0.5) + 1 / (y + 0.5) - 1 / (m + 0.5)))
    return ratio, (min(ratio, exp(centre - error)), max(ratio, exp(centre + error)))


def _share_table(groups: Groups, real: Array, generated: Array) -> Table:
    rows = []
    for at, name in enumerate(groups.names):
        ratio, (low, high) = share_ratio(generated, real, at, NORMAL)
        spread = f"{ratio:.2f} ({low:.2f} to {high:.2f})" if real[at] else "not in real rows"
        shares = [percent(side[at] / max(1, side.sum())) for side in (real, generated)]
        rows.append([name, f"{real[at]:,}", *shares, spread])
    header = ["group", "real rows", "share of real", "share of generated", "generated over real"]
    return Table(f"Shares of {groups.name}", header, rows)


# ---------------------------------------------------------------------------------------------------------- labels


class Models:
    """The target as yes or no, and models that learned it from real and from generated rows."""

    def __init__(self, evidence: Evidence, problem: Problem) -> None:
        self.meaning, binary = _binary(problem)
        self.problem = binary
        trial = Trial(binary, evidence.random("fair"))
        self.holdout, self.weights = trial.holdout, trial.weights
        ready = len(binary.generated) > 0
        if len(np.unique(binary.generated.labels)) == 1:
            self.meaning += " All generated rows have one label, so that a model learned from them treats all alike."
        self.real = np.stack([answer[:, 1] > 0.5 for answer in trial.of(trial.real).answers])
        self.generated = (
            np.stack([answer[:, 1] > 0.5 for answer in trial.of(trial.generated).answers]) if ready else None
        )


def _binary(problem: Problem) -> tuple[str, Problem]:
    """The problem as yes (1) or no (0): the rarer class of two, the rarest of several, above the median of a number."""
    if problem.classes is None:
        middle = float(np.median(problem.train.labels))
        name = f"over {middle:g}"
        yes = [side.labels > middle for side in (problem.train, problem.holdout, problem.generated)]
    else:
        name = problem.classes[problem.rare]
        yes = [side.labels == problem.rare for side in (problem.train, problem.holdout, problem.generated)]
    train, holdout, generated = (
        replace(side, labels=labels.astype(np.int64))
        for side, labels in zip((problem.train, problem.holdout, problem.generated), yes, strict=True)
    )
    note = f"label gaps are about {problem.target} = {name!r}."
    return note, replace(problem, classes=("other", name), train=train, holdout=holdout, generated=generated)


def label_finding(groups: Groups, models: Models, sure: float) -> Finding:
    """How far each group's rate of the label is from everybody else's: further in generated rows than in real ones?"""
    problem = models.problem
    assert problem.classes is not None
    sides = [(groups.train, problem.train), (groups.holdout, problem.holdout), (groups.generated, problem.generated)]
    train, holdout, generated = (_tally(group, part, len(groups.names)) for group, part in sides)
    real = train + holdout
    rated = [at for at in range(len(groups.names)) if all(_rateable(side, at) for side in (real, generated))]
    table = _label_table(groups, real, generated, problem)
    if not rated:
        note = f"{groups.name}: too few rows of each group to compare their {problem.target}."
        return Finding([], "unknown", [], [table], [note])
    if groups.comparisons == 1:
        rated = rated[-1:]  # of two groups, the smaller speaks for both: their gaps mirror each other
    worst = max(rated, key=lambda at: amplification(generated, real, at, sure)[1][0])
    value, interval = amplification(generated, real, worst, NORMAL)
    there = amplification(holdout, train, worst, NORMAL)[0] if _rateable(holdout, worst) else None
    own = abs(gap(real, worst)[0])
    figure = Figure(
        f"label gap amplification: {groups.name}", value, interval, there, own or None, "lower",
        f"how much further the group {groups.names[worst]!r} lies from everybody else in {problem.target} = "
        f"{problem.classes[1]!r} than in real rows ({100 * own:.1f} points apart); the floor doubles that.",
        copying=0.0,
    )  # fmt: skip
    verdict: Verdict = "yes"
    complaints = []
    for at in rated:
        low = amplification(generated, real, at, sure)[1][0]
        grown = amplification(generated, real, at, sure)[0]
        if low > 0 and grown >= SMALL_GAP:
            verdict = _worst([verdict, "no" if grown >= GAP else "partly"])
            complaints.append(
                f"the gap of {groups.name} {groups.names[at]!r} to everybody else in {problem.target} grew from "
                f"{100 * abs(gap(real, at)[0]):.0f} to {100 * abs(gap(generated, at)[0]):.0f} points"
            )
    return Finding([figure], verdict, complaints, [table], _changes(groups, real, generated, rated, sure))


def _tally(groups: Array, examples: Examples, count: int) -> Array:
    """Rows and positive rows [2, groups] among examples whose label is known; none of a side without the column."""
    if not len(groups):
        return np.zeros((2, count))
    own, labels = groups[examples.rows], examples.labels
    known = own >= 0
    weights = (np.ones(int(known.sum())), labels[known])
    return np.stack([np.bincount(own[known], weight, minlength=count) for weight in weights])


def _rateable(tally: Array, group: int) -> bool:
    """Enough rows in the group, and outside it."""
    return bool(min(tally[0, group], tally[0].sum() - tally[0, group]) >= SMALL)


def gap(tally: Array, group: int) -> tuple[float, float]:
    """How much higher a group's rate is than everybody else's, and its variance; of rows and positives [2, groups]."""
    own, rest = tally[:, group], tally.sum(1) - tally[:, group]
    rates = [part[1] / max(1.0, part[0]) for part in (own, rest)]
    # Half a row of each kind in the variance: a rate of 0 or 1 in few rows is not certain.
    smooth = [(part[1] + 0.5) / (part[0] + 1) for part in (own, rest)]
    variance = sum(rate * (1 - rate) / (part[0] + 1) for rate, part in zip(smooth, (own, rest), strict=True))
    return float(rates[0] - rates[1]), float(variance)


def amplification(generated: Array, real: Array, group: int, sure: float) -> tuple[float, Interval]:
    """Growth of the size of a group's gap to everybody else, and its interval of `sure` standard errors."""
    (new, new_variance), (old, old_variance) = gap(generated, group), gap(real, group)
    value, error = abs(new) - abs(old), sure * sqrt(new_variance + old_variance)
    return value, (value - error, value + error)


def _changes(groups: Groups, real: Array, generated: Array, rated: list[int], sure: float) -> list[str]:
    """Notes on gaps that surely shrank, or turned: no amplification, but not what the real rows say either."""
    notes = []
    for at in rated:
        (old, old_variance), (new, new_variance) = gap(real, at), gap(generated, at)
        name = f"{groups.name} {groups.names[at]!r}"
        if old * new < 0 and abs(old) > sure * sqrt(old_variance) and abs(new) > sure * sqrt(new_variance):
            notes.append(f"{name}: ahead in one of real and generated rows, behind in the other.")
        elif abs(new) < abs(old) / 2 and amplification(generated, real, at, sure)[1][1] < 0:
            notes.append(f"{name}: its gap of {100 * abs(old):.0f} points shrank to {100 * abs(new):.0f}.")
    return notes


def _label_table(groups: Groups, real: Array, generated: Array, problem: Problem) -> Table:
    assert problem.classes is not None
    rows = []
    for at, name in enumerate(groups.names):
        rates = [percent(side[1, at] / side[0, at]) if side[0, at] else "no rows" for side in (real, generated)]
        value, (low, high) = amplification(generated, real, at, NORMAL)
        told = _rateable(real, at) and _rateable(generated, at)
        change = f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})" if told else "too few rows"
        rows.append([name, *(f"{int(side[0, at]):,}" for side in (real, generated)), *rates, change])
    header = ["group", "real rows", "generated rows", "rate in real", "rate in generated", "gap grown by (points)"]
    return Table(f"{problem.target} = {problem.classes[1]} by {groups.name}", header, rows)


# ---------------------------------------------------------------------------------------------------------- models


def model_finding(groups: Groups, models: Models, sure: float) -> Finding:
    """Demographic parity and equal opportunity on held-out rows, after learning from generated and from real rows."""
    if models.generated is None:
        return Finding([], "unknown", [], [], [])
    group, truth = groups.holdout[models.holdout.rows], models.holdout.labels
    figures, complaints, notes = [], [], []
    verdict: Verdict = "yes"
    rows = [[name, f"{(group == at).sum():,}"] for at, name in enumerate(groups.names)]
    for name, among, fewest, meaning in (
        ("demographic parity difference", np.ones(len(truth), bool), SMALL, "rate of positive predictions"),
        ("equal-opportunity difference", truth == 1, SMALL_POSITIVE, "share of the truly positive found"),
    ):
        sizes = np.array([((group == at) & among).sum() for at in range(len(groups.names))])
        rated = np.flatnonzero(sizes >= fewest)
        rates = [
            _rates(part, group, among, models.weights, len(groups.names)) for part in (models.real, models.generated)
        ]
        for at, row in enumerate(rows):
            row.extend(percent(float(rate[:, 0, at].mean())) if sizes[at] else "no rows" for rate in rates)
        if len(rated) < 2:
            notes.append(f"{groups.name}: fewer than two groups have {fewest} rows for the {name}.")
            continue
        real, generated = (_spread(rate[:, :, rated]) for rate in rates)
        value, error = float(generated[:, 0].mean()), NORMAL * error_of(generated)
        grown = value - float(real[:, 0].mean())
        doubt = sure * sqrt(error_of(generated - real.mean(0)) ** 2 + real[:, 0].var(ddof=1))
        words = f"largest difference between groups of {groups.name} in the {meaning}, learned from generated rows."
        bounds = (max(0.0, value - error), min(1.0, value + error))
        figures.append(Figure(f"{name}: {groups.name}", value, bounds, float(real[:, 0].mean()), None, "lower", words))
        if grown - doubt > 0 and grown >= SMALL_GAP:
            verdict = _worst([verdict, "no" if grown >= GAP else "partly"])
            complaints.append(
                f"a model that learned from generated rows shows {name} {value:.2f} for {groups.name} "
                f"(from real rows {value - grown:.2f})"
            )
    header = [
        "group",
        "held-out rows",
        *(f"{rate}, {side}" for rate in ("predicted", "found") for side in ("real", "generated")),
    ]
    title = f"Predicted {models.problem.target} by {groups.name}, after learning from real or generated rows"
    return Finding(figures, verdict if figures else "unknown", complaints, [Table(title, header, rows)], notes)


def _rates(answers: Array, group: Array, among: Array, weights: Array, count: int) -> Array:
    """Rates of yes [trainings, times, groups] among some rows, under weights [times, n]; 0 where there are none."""
    member = (group[:, None] == np.arange(count)) & among[:, None]
    total = weights @ member.astype(np.float64)
    yes = np.stack([weights @ (member & answer[:, None]).astype(np.float64) for answer in answers])
    return yes / np.maximum(total, 1)


def _spread(rates: Array) -> Array:
    """Largest difference between groups [trainings, times]."""
    return rates.max(2) - rates.min(2)


# --------------------------------------------------------------------------------------------------------- quality


@dataclass(frozen=True)
class Covered:
    """Coverage of a group's held-out samples, by what, at equal counts."""

    count: int
    generated: float
    real: float
    floor: float | None

    @property
    def lacking(self) -> float:
        """How much less of the group generated samples cover than real ones do."""
        return self.real - self.generated

    @property
    def variance(self) -> float:
        """Of `lacking`."""
        return _variance(self.generated, self.count) + _variance(self.real, self.count)


def quality_finding(groups: Groups, evidence: Evidence, sure: float) -> Finding:
    """Coverage (Naeem et al. 2020) of each group by its own generated samples, beside that by training samples.

    Unfair is one group made worse than the others, not all made badly.
    """
    looked = {at: _covered(groups, evidence, at) for at in range(len(groups.names))}
    measured = {at: covered for at, covered in looked.items() if covered is not None}
    if len(measured) < 2:
        note = f"{groups.name}: too few groups have {SMALL} samples to compare how well they are made."
        return Finding([], "unknown", [], [], [note])
    worst_at = max(measured, key=lambda at: measured[at].lacking)
    worst, best = measured[worst_at], min(measured.values(), key=lambda covered: covered.lacking)
    name = groups.names[worst_at]
    error = NORMAL * sqrt(_variance(worst.generated, worst.count))
    bounds = (max(0.0, worst.generated - error), min(1.0, worst.generated + error))
    meaning = f"share of held-out samples of {name!r} with a generated one of that group close by."
    figure = Figure(
        f"worst-made group: {groups.name}", worst.generated, bounds, worst.real, worst.floor, "higher", meaning
    )
    surely = worst.lacking - best.lacking - sure * sqrt(worst.variance + best.variance)
    verdict: Verdict = "no" if surely > BADLY_MADE else "partly" if surely > BADLY_MADE / 2 else "yes"
    complaint = (
        f"{groups.name} {name!r} is made worse than the other groups: {percent(worst.generated)} of it is covered, "
        f"where real samples reach {percent(worst.real)}"
    )
    rows = [
        [groups.names[at], f"{covered.count:,}", f"{covered.real:.2f}", f"{covered.generated:.2f}"]
        for at, covered in measured.items()
    ]
    header = ["group", "samples", "covered by real", "covered by generated"]
    table = Table(f"How well each group of {groups.name} is made", header, rows)
    return Finding([figure], verdict, [] if verdict == "yes" else [complaint], [table], [])


def _covered(groups: Groups, evidence: Evidence, group: int) -> Covered | None:
    """Coverage of one group; None when it has too few real samples on a side.

    Where fewer were generated, as few real ones stand beside them: how many there are is a matter of shares.
    """
    draw = evidence.random(f"fair/{groups.name}/{group}")

    def some(side: Side, codes: Array) -> Tensor:
        return side.features[draw.permutation(np.flatnonzero(codes == group))[:MOST_OF_GROUP]]

    holdout, train = some(evidence.holdout, groups.holdout), some(evidence.train, groups.train)
    generated, floor = some(evidence.generated, groups.generated), some(evidence.floor, groups.floor)
    count = min(len(holdout), len(train))
    if count < SMALL:
        return None
    holdout, equal = holdout[:count], min(count, len(generated))
    if equal <= DENSITY_NEIGHBOURS:
        return Covered(count, 0.0, density_coverage(holdout, train[:count])[1], None)
    coverage = [
        density_coverage(holdout, side[:equal])[1] if len(side) >= equal else None for side in (generated, train, floor)
    ]
    assert coverage[0] is not None and coverage[1] is not None
    return Covered(count, coverage[0], coverage[1], coverage[2])


def _variance(share: float, count: int) -> float:
    smooth = (share * count + 0.5) / (count + 1)
    return smooth * (1 - smooth) / count


# --------------------------------------------------------------------------------------------------------- verdict


def _worst(verdicts: list[Verdict]) -> Verdict:
    """The worst that was judged; "unknown" only when nothing was."""
    order: tuple[Verdict, ...] = ("no", "partly", "yes")
    return next((verdict for verdict in order if verdict in verdicts), "unknown")


def _sentence(columns: list[Groups], findings: list[Finding], verdict: Verdict) -> str:
    names = listed([column.name for column in columns])
    if verdict == "unknown":
        return f"Too few samples in each group of {names} to tell."
    if verdict == "yes":
        figures = [figure for finding in findings for figure in finding.figures]
        moved = max((figure.value for figure in figures if figure.name.startswith("group shares")), default=0.0)
        grown = [figure.value for figure in figures if figure.name.startswith("label gap")]
        gaps = f" (by {100 * max(grown):+.1f} points at most, within chance)" if grown else ""
        return (
            f"No group of {names} surely falls short of its real share ({percent(moved)} of samples would have to "
            f"change their group), and no gap between groups surely grew{gaps}."
        )
    order = {"no": 0, "partly": 1}
    worst = sorted((each for each in findings if each.complaints), key=lambda each: order.get(each.verdict, 2))
    complaints = [complaint for finding in worst for complaint in finding.complaints]
    more = f"; and {len(complaints) - 2} more" if len(complaints) > 2 else ""
    text = "; ".join(complaints[:2]) + more + "."
    return text[0].upper() + text[1:]
