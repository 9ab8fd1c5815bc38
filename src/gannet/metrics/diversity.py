"""Varied? Whether generated samples show all that real ones show: every mode, class and category, and differ as much.

`answer_varied(evidence)` -> `Answer`. Recall (Kynkäänniemi et al. 2019), coverage (Naeem et al. 2020), beta-recall
(Alaa et al. 2022), modes, categories, classes, pairwise variety, and the support's size (Arora & Zhang 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from gannet.metrics.answer import GOOD, POOR, Answer, Figure, Table, Verdict
from gannet.metrics.birthday import SupportSize, alike, support_size
from gannet.metrics.category_coverage import CategoryCoverage, category_coverage
from gannet.metrics.condition_variety import MOST_CLASSES, ClassVariety, class_variety
from gannet.metrics.evaluation import neighbour_figures
from gannet.metrics.evidence import Evidence, Side
from gannet.metrics.intervals import parted, within
from gannet.metrics.modes import EXPECTED, Modes, find_modes
from gannet.metrics.neighbours import neighbour_scores
from gannet.metrics.shares import listed, percent, share_interval, total_variation
from gannet.metrics.spread import spread_ratio
from gannet.metrics.support import beta_recall

QUESTION = "Varied?"
LIMIT = 5000
"""Most samples a side."""
FEWEST = 20
"""Samples a side below which nothing is said."""
MODES = 25
ROWS_PER_MODE = 50
TABLE_ROWS = 30


@dataclass
class Findings:
    """What one look at the samples found, to be joined with the others."""

    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reached: list[float] = field(default_factory=list)
    """Shares of what real samples reach: the verdict is as good as the smallest."""
    faults: list[str] = field(default_factory=list)
    """Things that are missing, in words that follow on 'Not all of the data's variety is there: '."""


@dataclass(frozen=True)
class Sides:
    """The same number of samples of every kind."""

    real: Side
    stand_in: Side
    """Training samples: real ones in the generated ones' place, and what a copying model returns."""
    generated: Side
    floor: Side


def answer_varied(evidence: Evidence) -> Answer:
    """Whether the generated samples are as varied as real ones: figures, a table of classes and of categories.

    All comparisons use the same number of samples, at most 5,000 a side. The same evidence gives the same answer.
    """
    count = min(len(evidence.holdout), len(evidence.train), len(evidence.generated), len(evidence.floor), LIMIT)
    if count < FEWEST:
        sentence = f"{count} samples a side are too few to tell how varied they are: at least {FEWEST} are needed."
        return Answer("varied", QUESTION, "unknown", sentence)
    random = evidence.random("varied")
    sides = Sides(*(_some(side, count, random) for side in _sides(evidence)))
    looks: list[Callable[[Evidence, Sides, np.random.Generator], Findings]] = [
        _neighbours,
        _spread,
        _modes,
        _classes,
        _categories,
        _support,
    ]
    found = [look(evidence, sides, random) for look in looks]
    faults = [fault for each in found for fault in each.faults]
    reached = [share for each in found for share in each.reached]
    verdict = _verdict(reached, faults)
    figures = [figure for each in found for figure in each.figures]
    return Answer(
        "varied",
        QUESTION,
        verdict,
        _sentence(verdict, faults, {figure.name: figure for figure in figures}),
        figures,
        [table for each in found for table in each.tables],
        notes=[*_notes(evidence, count), *(note for each in found for note in each.notes)],
    )


def _sides(evidence: Evidence) -> tuple[Side, Side, Side, Side]:
    return evidence.holdout, evidence.train, evidence.generated, evidence.floor


def _some(side: Side, count: int, random: np.random.Generator) -> Side:
    return side.take(random.permutation(len(side))[:count])


def _verdict(reached: list[float], faults: list[str]) -> Verdict:
    if min(reached) < POOR:
        return "no"
    return "partly" if min(reached) < GOOD or faults else "yes"


def _sentence(verdict: Verdict, faults: list[str], figures: dict[str, Figure]) -> str:
    coverage, recall = figures["coverage"], figures["recall"]
    near = (
        f"{percent(coverage.value)} of real samples have a generated one close by "
        f"(coverage; other real samples reach {percent(coverage.reference or 0)})"
    )
    if verdict == "yes":
        return f"The samples are about as varied as the data: {near}, and nothing that could be looked for is missing."
    lead = "The samples show little of the data's variety" if verdict == "no" else "Not all of the variety is there"
    if faults:
        return f"{lead}: {listed(faults, 4)}; {near}."
    return f"{lead}: {near}, recall is {recall.value:.2f} where real samples reach {recall.reference:.2f}."


def _notes(evidence: Evidence, count: int) -> list[str]:
    notes = [
        f"{count:,} samples a side (at most {LIMIT:,}).",
        "floors: of recall, coverage, beta-recall, modes and mode weights, samples shuffled on purpose; of the other "
        "figures, one sample repeated.",
        "a model that copies its training samples is as varied as they are: the question 'New?' tells it apart.",
    ]
    if not evidence.spared:
        notes.append("the real samples compared with were trained on, since none were set aside.")
    if count < 200:
        notes.append("few samples: rare modes, classes and categories cannot be judged.")
    return notes


def _neighbours(evidence: Evidence, sides: Sides, random: np.random.Generator) -> Findings:
    real, generated = sides.real.features, sides.generated.features
    beside = [side.features for side in (sides.stand_in, sides.floor)]
    found = neighbour_figures(real, generated, intervals=True)
    scores = [neighbour_scores(real, other).means() for other in beside]
    findings = Findings()
    recall = "share of real samples that lie where generated ones lie; generous to a few stray samples."
    coverage = "share of real samples that have a generated one close by: are rare kinds there, too?"
    for name, meaning in {"recall": recall, "coverage": coverage}.items():
        reference, floor = (score[name] for score in scores)
        findings.figures.append(Figure(name, *found[name], reference, floor, "higher", meaning, copying=reference))
        findings.reached.append(_reached(found[name][0], reference))
    findings.figures.append(_beta_recall(real, generated, beside))
    return findings


def _beta_recall(real: Tensor, generated: Tensor, beside: list[Tensor]) -> Figure:
    value, reference, floor = (beta_recall(real, other) for other in (generated, *beside))
    errors = parted(lambda first, second: {"beta-recall": beta_recall(first, second)}, real, generated)
    return Figure(
        "beta-recall",
        value,
        # Too few to judge fifths by: then every sample counts as one trial, which errs wide.
        within(value, errors["beta-recall"], low=0.0, high=1.0) if errors else share_interval(value, len(real)),
        reference,
        floor,
        "higher",
        "how well the commonest generated samples, then rarer ones, cover as much of the real ones; a perfect "
        "generator reaches about 0.5, as other real samples do.",
        copying=reference,
    )


def _reached(value: float, reference: float) -> float:
    return 1.0 if reference <= 0 else min(1.0, value / reference)


def _spread(evidence: Evidence, sides: Sides, random: np.random.Generator) -> Findings:
    real = sides.real.features
    ratio = spread_ratio(sides.generated.features, real, random)
    other = spread_ratio(sides.stand_in.features, real, random)
    if ratio is None or other is None:
        return Findings(notes=["real samples are all alike in their features, so no variety can be asked for."])
    meaning = "how far generated samples lie from each other, over how far real ones do: 1 is as varied as real ones."
    figure = Figure("pairwise variety", *ratio, other[0], 0.0, "higher", meaning, copying=other[0])
    return Findings([figure], reached=[_reached(ratio[0], other[0])])


def _modes(evidence: Evidence, sides: Sides, random: np.random.Generator) -> Findings:
    modes = find_modes(evidence.train.features, _how_many(evidence), random)
    count = len(sides.real)
    judged = modes.judged(count)
    generated, stand_in, floor = (side.features for side in (sides.generated, sides.real, sides.floor))
    weights = Figure(
        "mode weights",
        *_moved(modes, generated, len(evidence.train)),
        modes.total_variation(stand_in),
        modes.total_variation(floor),
        "lower",
        "share of samples that lie in the wrong mode (total variation): 0 when every mode has its share.",
    )
    kept = 1 - max(0.0, weights.value - (weights.reference or 0.0))
    many = int(judged.sum())
    if many < 2:
        note = f"fewer than two modes of the data would hold {EXPECTED} samples, so modes were not counted."
        return Findings([weights], notes=[note], reached=[kept])
    found = [modes.found(features)[judged] for features in (generated, stand_in, floor)]
    value, reference, lowest = (float(each.double().mean()) for each in found)
    meaning = f"share of {many} modes (cells of k-means) that have at least a quarter of their fair share of samples."
    figure = Figure("modes found", value, share_interval(value, many), reference, lowest, "higher", meaning)
    lost = ~found[0] & found[1]
    mass = float(modes.shares[judged][lost].sum())
    faults = [f"{int(lost.sum())} of {many} modes are missing ({percent(mass)} of the data)"] if lost.any() else []
    return Findings([figure, weights], reached=[_reached(value, reference), kept], faults=faults)


def _moved(modes: Modes, generated: Tensor, known: int) -> tuple[float, tuple[float, float]]:
    """The share of generated samples in the wrong mode, and its interval; `known` samples gave the modes' shares."""
    counts = [
        (shares * rows).round().numpy()
        for shares, rows in ((modes.weights(generated), len(generated)), (modes.shares, known))
    ]
    return total_variation(*counts)


def _how_many(evidence: Evidence) -> int:
    return max(2, min(MODES, len(evidence.train) // ROWS_PER_MODE))


def _classes(evidence: Evidence, sides: Sides, random: np.random.Generator) -> Findings:
    classes, small = class_variety(evidence.train, evidence.generated, evidence.spec, random)
    findings = Findings()
    if small:
        findings.notes.append(f"too few samples to judge class {listed(small, 5)} alone.")
    if not classes:
        return findings
    missing = [each.name for each in classes if each.missing]
    dull = [each.name for each in classes if each.alike and not each.missing]
    findings.faults += [_named(missing, "missing")] if missing else []
    findings.faults += (
        [_named(dull, f"hardly varied within {'itself' if len(dull) == 1 else 'themselves'}")] if dull else []
    )
    findings.tables.append(_class_table(classes))
    spreads = [each for each in classes if each.real_spread is not None]
    if spreads:
        least, reference = (
            min(spreads, key=lambda each: each.spread or 0.0),
            min(each.real_spread or 0.0 for each in spreads),
        )
        meaning = "pairwise variety within the class that has least of it: 1 is as varied as real samples of a class."
        value, interval = least.spread or 0.0, least.spread_interval
        figure = Figure("least varied class", value, interval, reference, 0.0, "higher", meaning, copying=reference)
        findings.figures.append(figure)
    # One class of many that is lost makes a model partly varied; half of them, not varied.
    bad = sum(each.missing or each.alike for each in classes) / len(classes)
    findings.reached.append(1.0 if bad == 0 else GOOD if bad < 0.5 else 0.0)
    findings.notes.append(
        f"classes: each against two halves of its training samples, at most {MOST_CLASSES} classes; generated samples "
        "count as what they were asked for."
    )
    return findings


def _named(names: list[str], state: str) -> str:
    quoted = [f"'{name}'" for name in names]
    return f"class {quoted[0]} is {state}" if len(names) == 1 else f"classes {listed(quoted)} are {state}"


def _class_table(classes: list[ClassVariety]) -> Table:
    worst = sorted(classes, key=lambda each: each.coverage / (each.real_coverage or 1.0))[:TABLE_ROWS]
    shown = [each for each in classes if each in worst]
    return Table(
        "Each class on its own",
        ["class", "real share", "generated share", "coverage", "of real samples", "pairwise variety", "verdict"],
        [
            [
                each.name,
                percent(each.real_share),
                percent(each.generated_share),
                f"{each.coverage:.2f}",
                f"{each.real_coverage:.2f}",
                "" if each.spread is None else f"{each.spread:.2f}",
                each.verdict,
            ]
            for each in shown
        ],
    )


def _categories(evidence: Evidence, sides: Sides, random: np.random.Generator) -> Findings:
    if evidence.train.frame is None or evidence.generated.frame is None or evidence.holdout.frame is None:
        return Findings()
    found, real = (
        category_coverage(evidence.train.frame, side.frame, evidence.allowed) for side in (sides.generated, sides.real)
    )
    if not found.columns:
        return Findings()
    meaning = "mean share of a column's levels that are there, rare ones included."
    lowest = float(np.mean([1 / len(column.levels) for column in found.columns]))
    figures = [
        Figure("categories found", found.covered, found.covered_interval, real.covered, lowest, "higher", meaning)
    ]
    if found.rare_ratio is not None:
        figures.append(
            Figure(
                "rare categories",
                found.rare_ratio,
                found.rare_interval,
                real.rare_ratio,
                0.0,
                "higher",
                "how often rare levels (at most 5 % of the rows each) come, over how often in training: 1 is right.",
            )
        )
    # All generated rows are asked for lost levels: what an equal number of them misses may be chance.
    whole = category_coverage(evidence.train.frame, evidence.generated.frame, evidence.allowed)
    lost = [f"{column.name} = {level}" for column in whole.columns for level in column.lost]
    faults = [f"{listed(lost)} never come{'s' if len(lost) == 1 else ''}"] if lost else []
    return Findings(figures, [_category_table(found)], reached=[_reached(found.covered, real.covered)], faults=faults)


def _category_table(found: CategoryCoverage) -> Table:
    columns = sorted(found.columns, key=lambda column: column.covered)[:TABLE_ROWS]
    return Table(
        "Levels of each column",
        ["column", "levels", "found", "rare ones in training", "rare ones generated", "never seen"],
        [
            [
                column.name,
                str(len(column.levels)),
                percent(column.covered),
                *(percent(mass) for mass in column.rare_mass),
                listed(column.lost) if column.lost else "",
            ]
            for column in columns
        ],
    )


def _support(evidence: Evidence, sides: Sides, random: np.random.Generator) -> Findings:
    radius = alike(sides.stand_in.features)
    size, real = (support_size(side.features, radius) for side in (sides.generated, sides.real))
    meaning = "how many different samples the model seems able to make, by how often two are alike."
    figure = Figure(
        "different samples",
        size.kinds,
        size.interval,
        real.kinds,
        1.0,
        "higher",
        meaning,
    )
    return Findings([figure], notes=[_support_note(size, real)])


def _support_note(size: SupportSize, real: SupportSize) -> str:
    alike_ = f"different samples: {size.pairs:,} pairs of {size.samples:,} generated samples are alike"
    beside = f"{real.pairs:,} of as many real ones"
    if size.only_lower_bound:
        return f"{alike_} ({beside}), so the number is only a lower bound: at least {size.interval[0]:,.0f}."
    if size.interval[1] >= real.kinds:
        return f"{alike_} ({beside}): no fewer than real samples would show, so the number is only a lower bound."
    return f"{alike_} ({beside}); the number counts the common kinds, rare ones may come on top."
