"""Question 1, real? Could anyone tell generated from real samples, and by what?

`answer_real(evidence)` brings judges (Lopez-Paz & Oquab 2017), distances, precision, density and alpha-precision
together, and columns, pairs and groups of columns for tables, likeness and spectra for pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

from torch import Tensor

from gannet.metrics.answer import Answer, Figure, Table, Verdict, verdict_of
from gannet.metrics.evaluation import (
    FEWEST,
    MEANINGS,
    Compared,
    checked_features,
    equal_counts,
    feature_scores,
    in_real_units,
)
from gannet.metrics.evidence import Evidence
from gannet.metrics.intervals import NORMAL, folded
from gannet.metrics.kernel import bounded
from gannet.metrics.picture_fidelity import picture_figures
from gannet.metrics.series_fidelity import Steps, series_figures
from gannet.metrics.support import alpha_precision
from gannet.metrics.table_fidelity import table_fidelity
from gannet.metrics.two_sample import FEWEST as FEWEST_JUDGED
from gannet.metrics.two_sample import Material, from_features, from_frames, rows_judged, two_sample_figures

QUESTION = "Real? Could anyone tell generated from real samples?"
FEATURES_LIMIT, ROWS_LIMIT = 5_000, 10_000
"""Samples a side behind figures over features, and rows a side behind those over tables: for cost, said in a note."""
FEW = 500
SHOWN = ("Fréchet distance", "kernel distance", "sliced Wasserstein", "precision", "density")
CLEAR_ERRORS, CLEAR_RATIO = 5, 4
"""How far the floor must lie from the ceiling before a standing between them means anything: in half-widths of an
interval, or as a ratio for distances that even two real sets do not bring to 0."""
SHIFT_OF_A_CONSTANT = 1.0
RIGHT_SHAPES = 0.02
"""Share of rows by which columns on their own may be off before the sentence blames them."""
FLOORS = {
    "tables": "rows of shuffled columns",
    "series": "series of shuffled values",
    "images": "pictures of shuffled pixels",
}


@dataclass
class _Found:
    """What has been measured so far."""

    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    judged: list[Figure] = field(default_factory=list)
    """The distances that the verdict rests on, with the floor that it reads them by."""
    judge: Figure | None = None
    """The two-sample test that tells more, read likewise; None where there were too few samples."""
    worst_column: str | None = None


def answer_real(evidence: Evidence) -> Answer:
    """Whether the generated samples look real; figures beside training samples in their place and shuffled ones.

    The ceiling is real training samples in the generated ones' place, which is also what a copying model scores here.
    Raises GannetError for features that are not finite, and when scikit-learn is not installed.
    """
    found = _Found()
    sets = _feature_sets(evidence, found)
    _judges(evidence, found)
    if sets is not None:
        _distances(evidence, sets, found)
    sides = [evidence.holdout, evidence.generated, evidence.train, evidence.floor]
    if all(side.frame is not None for side in sides):
        _tables(evidence, found)
    if evidence.spec.kind == "series":
        walked = [Steps(*evidence.domain.steps(side.samples)) for side in sides]
        names = evidence.domain.encoding.numbers
        figures, tables, notes = series_figures(*walked, names=names, random=evidence.random("series"))
        found.figures += figures
        found.tables += tables
        found.notes += notes
    if evidence.spec.kind == "images":
        figures, tables, notes = picture_figures(*(side.samples for side in sides), random=evidence.random("pictures"))
        found.figures += figures
        found.tables += tables
        found.notes += notes
    verdict = _verdict(found)
    if evidence.spared:
        found.figures = [replace(figure, copying=figure.reference) for figure in found.figures]
        found.notes.append(
            "a model that returns its training samples, each once, looks as real as they are: see the third question."
        )
    else:
        found.notes.append("no sample was kept from training: half of the training samples stand in for unseen ones.")
    sentence = _sentence(verdict, found, FLOORS.get(evidence.spec.kind, "samples with every number shuffled"))
    return Answer("real", QUESTION, verdict, sentence, found.figures, found.tables, notes=found.notes)


# ------------------------------------------------------------------------------------------------------- measuring


def _judges(evidence: Evidence, found: _Found) -> None:
    """The two-sample tests, on the rows of a table or the features of anything else."""
    real, generated, stand_in, floor = _materials(evidence)
    count = rows_judged(real, generated, stand_in, floor)
    if count < FEWEST_JUDGED:
        found.notes.append(
            f"{count} samples a side are too few for a judge to learn from: at least {FEWEST_JUDGED} are needed."
        )
        return
    seed = int(evidence.random("judges").integers(2**31))
    found.figures += two_sample_figures(real, generated, stand_in, floor, seed=seed)
    found.notes.append(f"judges were trained and asked on {count:,} samples a side, never on the same ones.")
    if count < FEW:
        found.notes.append("few samples: a judge with more would tell more.")
    strong = found.figures[0]
    assert strong.reference is not None and strong.floor is not None and strong.interval is not None
    if strong.interval[1] < 0.5:
        found.notes.append(
            "the strong judge guesses worse than chance: generated samples repeat the real ones exactly."
        )
    # Where columns hardly depend on each other, shuffled ones are real, and a place between them and real ones is
    # chance. The area has a scale of its own, so it is then read by that: 1 is always telling.
    clear = strong.floor - strong.reference > CLEAR_ERRORS * NORMAL * sqrt(1 / (6 * count))
    # Nearly always the strong judge, but many faint shifts in one direction are what the weak one is best at.
    weak = found.figures[2]
    assert weak.interval is not None
    better = weak if weak.interval[0] > strong.value else strong
    found.judge = replace(better, reference=_guessing(better), floor=strong.floor if clear else 1.0)
    if not clear:
        found.notes.append(
            "the strong judge cannot well tell shuffled samples from real ones either: their parts hardly depend on "
            "each other, or there are too few samples."
        )


def _guessing(judge: Figure) -> float:
    """What the judge reaches on real samples; less than a half of them is chance, and no achievement."""
    assert judge.reference is not None
    return max(0.5, judge.reference)


def _materials(evidence: Evidence) -> list[Material]:
    """Held-out, generated, training and floor samples, as the judges see them."""
    sides = [evidence.holdout, evidence.train, evidence.generated, evidence.floor]
    if all(side.frame is not None for side in sides):
        frames = _frames(evidence, [side.frame for side in sides], "judged rows")
        held_out, train, generated, floor = from_frames(frames, real=2, without=evidence.allowed)
    else:
        held_out, train, generated, floor = from_features(*(side.features for side in sides))
    return [held_out, generated, train, floor]


def _frames(evidence: Evidence, frames: list[Any], name: str) -> list[Any]:
    """The same number of rows of every frame, in random order."""
    random = evidence.random(name)
    count = min(ROWS_LIMIT, *(len(frame) for frame in frames))
    return [frame.iloc[random.permutation(len(frame))[:count]].reset_index(drop=True) for frame in frames]


def _feature_sets(evidence: Evidence, found: _Found) -> dict[str, Tensor] | None:
    """Every side's features, known to be finite; None when there are too few samples."""
    sides = {
        "training": evidence.train,
        "held-out": evidence.holdout,
        "generated": evidence.generated,
        "noise": evidence.floor,
    }
    least = min(len(side) for side in sides.values())
    if least < FEWEST:
        found.notes.append(f"{least} samples a side are too few for distances: at least {FEWEST} are needed.")
        return None
    width = evidence.train.features.shape[1]
    return {name: checked_features(name, side.features, width) for name, side in sides.items()}


def _distances(evidence: Evidence, sets: dict[str, Tensor], found: _Found) -> None:
    """Everything over features: distances, precision, density, alpha-precision."""
    seed = int(evidence.random("distances").integers(2**31))
    chosen = in_real_units(equal_counts(sets, FEATURES_LIMIT, seed), sets["training"])
    assert chosen.noise is not None
    kernel = bounded(chosen.real)
    value = feature_scores(chosen.real, chosen.generated, kernel, seed, intervals=True)
    reference, floor = (
        feature_scores(chosen.real, other, kernel, seed, intervals=False) for other in (chosen.stand_in, chosen.noise)
    )
    figures = [Figure(name, *value[name], reference[name][0], floor[name][0], *MEANINGS[name]) for name in SHOWN]
    found.figures += [*figures, _alpha_precision(chosen)]
    found.notes.append(f"distances, precision and density from {len(chosen.real):,} samples a side.")
    low, high = reference["kernel distance"][1] or (0.0, 0.0)
    for figure in figures[:3]:
        assert figure.reference is not None and figure.floor is not None
        if figure.name == "kernel distance":
            far = figure.reference + CLEAR_ERRORS * (high - low) / 2
        else:
            far = CLEAR_RATIO * figure.reference
        found.judged.append(_doubted(figure, max(far, figure.floor)))


def _alpha_precision(chosen: Compared) -> Figure:
    assert chosen.noise is not None
    value, interval = folded(alpha_precision, chosen.real, chosen.generated, high=1.0)
    reference, floor = (alpha_precision(chosen.real, other) for other in (chosen.stand_in, chosen.noise))
    meaning = "how well generated samples fill the typical and the rarer regions of real ones, each with its share."
    return Figure("alpha-precision", value, interval, reference, floor, "higher", meaning)


def _tables(evidence: Evidence, found: _Found) -> None:
    """Columns, pairs and groups of columns."""
    sides = [evidence.holdout, evidence.generated, evidence.train, evidence.floor]
    frames = _frames(evidence, [side.frame for side in sides], "compared rows")
    if not len(frames[0]):
        found.notes.append("there are no rows to compare columns by.")
        return
    result = table_fidelity(*frames, random=evidence.random("groups of columns"), without=evidence.allowed)
    found.figures += result.figures
    found.tables += result.tables
    found.notes += result.notes
    found.worst_column = result.worst_column
    for figure in result.figures:
        # A judge ranks: a column of nine zeros in ten, scaled by 50, costs it little, but no one would call it real.
        if figure.name == "largest column shift":
            found.judged.append(_doubted(figure, _far_shift(figure)))


def _doubted(figure: Figure, far: float) -> Figure:
    """A distance as the verdict reads it: from the favourable end of its interval, and `far` is its floor.

    A few far-off samples decide a distance, also between two real sets; that alone must not condemn.
    """
    assert figure.reference is not None and figure.better == "lower"
    lowest = figure.value if figure.interval is None else max(figure.interval[0], figure.reference)
    return replace(figure, value=lowest, floor=far)


def _far_shift(figure: Figure) -> float:
    assert figure.reference is not None
    return max(SHIFT_OF_A_CONSTANT, CLEAR_RATIO * figure.reference)


# --------------------------------------------------------------------------------------------------------- telling


def _verdict(found: _Found) -> Verdict:
    """As good as the worst of the figures that cannot be fooled: the better judge, the distances, a column's scale.

    Not the others: precision, density and alpha-precision are high for one good sample repeated, the shapes of columns
    are perfect when columns are independent, pair trends miss what takes three columns, and the weak judge alone
    misses whatever is no shift of an average. They explain the verdict.
    """
    return "unknown" if found.judge is None else verdict_of([found.judge, *found.judged])


LEADS: dict[Verdict, str] = {"yes": "Yes, they look real", "partly": "Only partly", "no": "No"}


def _sentence(verdict: Verdict, found: _Found, shuffled: str) -> str:
    judge = found.judge
    if verdict == "unknown" or judge is None:
        return (
            "There are too few samples, or real ones differ too much among themselves, to say whether these look real."
        )
    measured = next(figure for figure in found.figures if figure.name == judge.name)
    assert measured.reference is not None and measured.floor is not None
    value, reference, floor = (f"{100 * share:.0f}" for share in (measured.value, measured.reference, measured.floor))
    judged = (
        f"{LEADS[verdict]}: shown a generated and a real sample, the {judge.name} finds the generated one "
        f"{value} times in 100 (50 is guessing; {reference} for real samples, {floor} for {shuffled})."
    )
    return f"{judged} {_because(verdict, found)}".strip()


def _because(verdict: Verdict, found: _Found) -> str:
    """What to look at first; empty when all is well."""
    if verdict == "yes":
        return ""
    for figure in found.figures:
        if figure.name == "largest column shift" and figure.value > _far_shift(figure):
            return f"Values of column {found.worst_column!r} are far off (largest column shift {figure.value:.2g})."
    shapes = next((figure for figure in found.figures if figure.name == "column shapes"), None)
    if shapes is not None and shapes.reference is not None:
        _, highest = shapes.interval or (shapes.value, shapes.value)
        if highest > shapes.reference - RIGHT_SHAPES:
            return f"Each column alone looks right (column shapes {shapes.value:.2f}); how they go together does not."
        return f"Look first at column {found.worst_column!r} (column shapes {shapes.value:.2f} over all)."
    worst = min(found.judged, key=_standing, default=None)
    if worst is None:
        return ""
    standing = f"{100 * _standing(worst):.0f} %"
    return f"By {worst.name} they lie at best {standing} of the way from wrong samples to real ones."


def _standing(figure: Figure) -> float:
    return 1.0 if figure.standing is None else figure.standing
