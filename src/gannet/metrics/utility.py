"""Is it useful? What is learned from generated samples, tested on real ones nobody saw (TSTR, Esteban et al. 2017).

`answer_useful(evidence)` sets it beside learning from as many real rows (the ceiling) and from shuffled labels (the
floor), and tells what generated rows add to few real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gannet.metrics.answer import GOOD, POOR, Answer, Figure, Table, Verdict
from gannet.metrics.evidence import Evidence
from gannet.metrics.learners import (
    LIMIT,
    Array,
    Examples,
    Problem,
    Strength,
    learn,
    problem_of,
    recall,
    resamples,
    scores,
)
from gannet.metrics.shares import NORMAL, listed, percent

QUESTION = "Is it useful?"
REPEATS = 3
"""Trainings on rows drawn afresh, so that an interval holds the luck of the draw."""
DRAWN = 0.75
"""Share of the smaller side's examples that one training sees; the rest makes the draws differ."""
MOST = 10_000
"""Most examples of one training."""
SIZES = (100, 300, 1_000)
"""Real rows that generated ones are added to, besides all of them."""
ADDED, MOST_REAL = 5_000, 20_000
"""Most generated rows added, and what `all real rows` is cut to."""
CHANCE = {"AUC": 0.5, "R2": 0.0}
"""Main scores of guessing."""
LEAST_ROOM = 0.05
"""Room between guessing and the ceiling below which the target cannot be predicted from real rows either."""
LOST, FOUND, FEWEST_OF_CLASS = 0.5, 0.3, 20
"""A class is lost when the share of it found falls below this share of what learning from real rows finds; it counts
when real rows find at least `FOUND` of it, and the holdout has `FEWEST_OF_CLASS` rows of it."""

MEANINGS = {
    "AUC": "chance that the model ranks a row of a class above one of another; 0.5 = guessing.",
    "balanced accuracy": "share told rightly, averaged over the classes, so that rare ones count as much.",
    "F1 of the rarest class": "how well the rarest class is found without false alarms.",
    "accuracy": "share of the held-out rows told rightly; flattering where one class is frequent.",
    "R2": "share of the target's variance that the model explains; 0 = no better than the mean.",
    "mean absolute error": "how far predictions lie from the truth on average, in the target's own unit.",
}


@dataclass(frozen=True)
class Trained:
    """Scores of several trainings of one kind, under every resampling of the held-out rows."""

    scores: dict[str, Array]
    """[trainings, 1 + resamples] by name; column 0 holds the values."""
    answers: list[Array]
    """Predictions of every training."""

    def value(self, name: str) -> float:
        """The mean over the trainings."""
        return float(self.scores[name][:, 0].mean())

    def interval(self, name: str) -> tuple[float, float]:
        """95 %: held-out rows resampled, and how much the trainings differ."""
        error, value = NORMAL * error_of(self.scores[name]), self.value(name)
        lowest = -np.inf if name == "R2" else 0.0
        highest = np.inf if name == "mean absolute error" else 1.0
        return max(lowest, value - error), min(highest, value + error)


def error_of(values: Array) -> float:
    """Standard error of the mean of trainings [trainings, 1 + resamples], from both sources of chance."""
    between = values[:, 0].var(ddof=1) if len(values) > 1 else 0.0
    return float(np.sqrt(np.nanvar(values[:, 1:].mean(0)) + between))


def answer_useful(evidence: Evidence) -> Answer:
    """Can one learn from the generated samples what one learns from real ones?

    Tables: `evidence.target`, or a class condition, or the last column of few classes. Others: their class condition.
    Without a label the verdict is "unknown". Raises GannetError for a target that is no column.
    """
    problem = problem_of(evidence)
    if isinstance(problem, str):
        return Answer("useful", QUESTION, "unknown", f"Not judged: {problem}", notes=[problem])
    trial = Trial(problem, evidence.random("useful"))
    if len(problem.generated) == 0:
        note = (
            f"no generated row has a value of {problem.target!r} that a real row has: nothing can be learned from them."
        )
        return Answer("useful", QUESTION, "no", note[0].upper() + note[1:], notes=[*problem.notes, note])
    real, generated, shuffled = trial.of(trial.real), trial.of(trial.generated), trial.of(trial.shuffled)
    copied = trial.of(trial.copied, repeats=1)
    figures = [_figure(name, problem, generated, real, shuffled, copied) for name in generated.scores]
    figures += _second_opinion(trial)
    tables = [_class_table(trial, real, generated) if problem.classes else _quarter_table(trial, real, generated)]
    steps = augmentation(trial)
    tables.append(_augmentation_table(trial.main, steps))
    figures += _gain_figures(trial.main, steps, real)
    lost = _lost_classes(trial, real, generated) if problem.classes else []
    verdict = _verdict(figures[0], learnable(trial.main, real, shuffled), bool(lost))
    notes = [*problem.notes, *_notes(trial, evidence, verdict, lost)]
    return Answer(
        "useful", QUESTION, verdict, _sentence(problem, figures[0], verdict, steps, lost), figures, tables, [], notes
    )


class Trial:
    """One problem, the held-out rows it is judged on, and trainings on all kinds of rows."""

    def __init__(self, problem: Problem, random: np.random.Generator) -> None:
        holdout = problem.holdout
        if len(holdout) > LIMIT:
            holdout = holdout.take(np.sort(random.choice(len(holdout), LIMIT, replace=False)))
        self.problem, self.holdout, self.random = problem, holdout, random
        self.weights = resamples(len(holdout), random)
        self.classes = None if problem.classes is None else len(problem.classes)
        self.rare = None if problem.classes is None else problem.rare
        self.main = "R2" if problem.classes is None else "AUC"
        smaller = min(len(problem.train), max(1, len(problem.generated)))
        self.count = max(1, min(MOST, int(DRAWN * smaller)))

    def real(self) -> Examples:
        """As many real rows as any training sees."""
        return self._some(self.problem.train, self.count)

    def generated(self) -> Examples:
        """As many generated ones."""
        return self._some(self.problem.generated, self.count)

    def shuffled(self) -> Examples:
        """Real rows with each other's labels: nothing can be learned from them."""
        real = self.real()
        return Examples(real.inputs, self.random.permutation(real.labels), real.rows)

    def copied(self) -> Examples:
        """What a model returns that only repeats its training rows: drawn with replacement."""
        return self.problem.train.take(self.random.integers(len(self.problem.train), size=self.count))

    def of(self, draw: Callable[[], Examples], *, strength: Strength | None = None, repeats: int = REPEATS) -> Trained:
        """Train on what `draw()` gives, several times, and score each on the held-out rows."""
        return self.trained([draw() for _ in range(repeats)], strength)

    def trained(self, sets: list[Examples], strength: Strength | None = None) -> Trained:
        """Train once on each set, and score on the held-out rows."""
        answers = []
        for examples in sets:
            learner = learn(examples, self.classes, strength or self.problem.strength, seed=0)
            answers.append(learner.predict(self.holdout.inputs))
        parts = [scores(self.holdout.labels, answer, self.rare, self.weights) for answer in answers]
        return Trained({name: np.stack([part[name] for part in parts]) for name in parts[0]}, answers)

    def _some(self, examples: Examples, count: int) -> Examples:
        return examples.take(self.random.permutation(len(examples))[:count])


# ---------------------------------------------------------------------------------------------------- augmentation


@dataclass(frozen=True)
class Step:
    """What generated rows add to so many real ones."""

    size: int
    every: bool
    """Whether these are all the real rows."""
    alone: Trained
    both: Trained

    def gain(self, name: str) -> tuple[float, tuple[float, float]]:
        """How much higher the score is with generated rows, and its 95 % interval (the same rows are resampled)."""
        difference = self.both.scores[name] - self.alone.scores[name]
        value, error = float(difference[:, 0].mean()), NORMAL * error_of(difference)
        return value, (value - error, value + error)


def augmentation(trial: Trial) -> list[Step]:
    """Real rows alone against real and generated ones, at several numbers of real rows."""
    problem, steps = trial.problem, []
    every = min(len(problem.train), MOST_REAL)
    added = min(len(problem.generated), ADDED)
    for size in [size for size in SIZES if size < every] + [every]:
        repeats = REPEATS if size < every else 1
        alone = [trial._some(problem.train, size) for _ in range(repeats)]
        both = [real.joined(trial._some(problem.generated, added)) for real in alone]
        steps.append(Step(size, size == every, trial.trained(alone), trial.trained(both)))
    return steps


def _augmentation_table(name: str, steps: list[Step]) -> Table:
    rows = []
    for step in steps:
        gain, (low, high) = step.gain(name)
        size = f"{step.size:,} (all)" if step.every else f"{step.size:,}"
        alone, both = step.alone.value(name), step.both.value(name)
        rows.append([size, f"{alone:.3f}", f"{both:.3f}", f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"])
    return Table(
        f"{name} of real rows with and without generated ones", ["real rows", "alone", "with generated", "gain"], rows
    )


def _gain_figures(name: str, steps: list[Step], real: Trained) -> list[Figure]:
    """The gain at the fewest real rows, beside what as many real rows again would have brought."""
    first = steps[0]
    if first.every:
        return []
    gain, interval = first.gain(name)
    most = real.value(name) - first.alone.value(name)
    meaning = f"rise of the {name} when generated rows join {first.size} real ones; the floor is no rise."
    return [Figure(f"gain over {first.size} real rows", gain, interval, most, 0.0, "higher", meaning)]


# --------------------------------------------------------------------------------------------------------- figures


def _figure(
    name: str, problem: Problem, generated: Trained, real: Trained, shuffled: Trained, copied: Trained
) -> Figure:
    return Figure(
        name,
        generated.value(name),
        generated.interval(name),
        real.value(name),
        shuffled.value(name),
        "lower" if name == "mean absolute error" else "higher",
        f"{problem.target!r} learned from generated rows, asked of real ones: {MEANINGS[name]}",
        copied.value(name),
    )


def _second_opinion(trial: Trial) -> list[Figure]:
    """The main score of the linear learner, where boosting is the first."""
    if trial.problem.strength == "weak":
        return []
    value, real, floor = (
        trial.of(draw, strength="weak", repeats=1) for draw in (trial.generated, trial.real, trial.shuffled)
    )
    name = trial.main
    meaning = "the same of a linear model, which sees no interplay of columns."
    return [
        Figure(
            f"{name} of a linear model", value.value(name), value.interval(name), real.value(name), floor.value(name),
            "higher", meaning,
        )
    ]  # fmt: skip


def _class_table(trial: Trial, real: Trained, generated: Trained) -> Table:
    problem, truth = trial.problem, trial.holdout.labels
    assert problem.classes is not None
    rows = []
    for level, name in enumerate(problem.classes):
        held_out = int((truth == level).sum())
        found = [
            f"{percent(_found(trial, trained, level))}" if held_out else "no rows" for trained in (real, generated)
        ]
        shares = [percent(float((side.labels == level).mean())) for side in (problem.train, problem.generated)]
        rows.append([name, f"{held_out:,}", *shares, *found])
    header = ["class", "held-out rows", "share of real", "share of generated", "found by real", "found by generated"]
    return Table(
        f"Each class of {problem.target}: share found after learning from real or generated rows", header, rows
    )


def _found(trial: Trial, trained: Trained, level: int) -> float:
    ones = trial.weights[:1]
    return float(
        np.mean([recall(trial.holdout.labels, answer.argmax(1), level, ones)[0] for answer in trained.answers])
    )


def _lost_classes(trial: Trial, real: Trained, generated: Trained) -> list[str]:
    lost = []
    for level, name in enumerate(trial.problem.classes or ()):
        if (trial.holdout.labels == level).sum() >= FEWEST_OF_CLASS:
            before, after = _found(trial, real, level), _found(trial, generated, level)
            if before >= FOUND and after < LOST * before:
                lost.append(name)
    return lost


def _quarter_table(trial: Trial, real: Trained, generated: Trained) -> Table:
    """Mean absolute error by quarter of the true value."""
    truth = trial.holdout.labels
    edges = np.unique(np.quantile(truth, [0.25, 0.5, 0.75]))
    part = np.searchsorted(edges, truth, side="right")
    rows = []
    for at in np.unique(part):
        errors = [
            np.mean([np.abs(answer - truth)[part == at].mean() for answer in each.answers])
            for each in (real, generated)
        ]
        rows.append([_quarter(edges, int(at)), f"{(part == at).sum():,}", *(f"{error:.4g}" for error in errors)])
    header = ["true value", "held-out rows", "learned from real", "learned from generated"]
    return Table(f"Mean absolute error by quarter of {trial.problem.target}", header, rows)


def _quarter(edges: Array, at: int) -> str:
    """The name of a part of the true values: by the quarters' edges, never by a single row's extreme."""
    if at == 0:
        return f"below {edges[0]:.4g}"
    return f"from {edges[at - 1]:.4g}" if at == len(edges) else f"{edges[at - 1]:.4g} to {edges[at]:.4g}"


# --------------------------------------------------------------------------------------------------------- verdict


def learnable(name: str, real: Trained, shuffled: Trained) -> bool:
    """Whether learning from real rows surely beats shuffled labels and guessing, by enough to tell degrees of it."""
    difference = real.scores[name] - shuffled.scores[name]
    surely = difference[:, 0].mean() > NORMAL * error_of(difference) and real.interval(name)[0] > CHANCE[name]
    return bool(surely and real.value(name) - max(CHANCE[name], shuffled.value(name)) >= LEAST_ROOM)


def _verdict(main: Figure, learnable: bool, lost: bool) -> Verdict:
    """By the main score's way from floor to ceiling; a lost class is no "yes"; no way to go is "unknown"."""
    if not learnable:
        return "unknown"
    standing = main.standing or 0.0
    if standing >= GOOD:
        return "partly" if lost else "yes"
    return "no" if standing < POOR else "partly"


def _sentence(problem: Problem, main: Figure, verdict: Verdict, steps: list[Step], lost: list[str]) -> str:
    if verdict == "unknown":
        return (
            f"{problem.target!r} cannot be predicted from real rows either ({main.name} {main.reference:.2f}, "
            f"{main.floor:.2f} from shuffled labels): its use cannot be judged by it."
        )
    text = (
        f"Learned from generated rows, {problem.target!r} is predicted on real ones with {main.name} {main.value:.2f}; "
        f"as many real rows give {main.reference:.2f}, shuffled labels {main.floor:.2f}."
    )
    if lost:
        text += f" Hardly found after learning from generated rows: {listed(lost)}."
    gain, (low, high) = steps[0].gain(main.name)
    if not steps[0].every:
        effect = "helps" if low > 0 else "hurts" if high < 0 else "changes little"
        text += f" Adding generated rows to {steps[0].size} real ones {effect} ({gain:+.2f})."
    return text


def _notes(trial: Trial, evidence: Evidence, verdict: Verdict, lost: list[str]) -> list[str]:
    problem = trial.problem
    learner = "boosted trees" if problem.strength == "strong" else "a logistic regression"
    notes = [
        f"{learner}, trained {REPEATS} times on {trial.count:,} rows of each kind, asked about {len(trial.holdout):,} "
        "held-out real rows; intervals hold both the held-out rows' chance and the trainings'.",
        "a copy of the training rows scores as well: this answer says nothing about whether samples are new.",
        f"gains: at most {ADDED:,} generated rows are added. The generator itself learned from all training rows, so a "
        "gain over few real rows is what someone gets who has only those and is given the generated ones.",
    ]
    if problem.classes is not None and len(np.unique(problem.generated.labels)) == 1:
        notes.append(f"all generated rows have the same {problem.target!r}: nothing can be learned from them.")
    if len(trial.holdout) < 200:
        notes.append(f"only {len(trial.holdout)} held-out rows: small differences mean nothing.")
    if not evidence.spared:
        notes.append("no rows were held out from the generator's training: these figures flatter it.")
    return notes
