"""Reports made by hand: every verdict, missing floors and intervals, hostile names, huge and tiny numbers."""

from __future__ import annotations

import io
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gannet.metrics.answer import Answer, Figure, Picture, Table
from gannet.metrics.report import Protocol, Report

HOSTILE = "<b>&\"'</b><script>alert(1)</script>|`*_ [x](http://evil.example)"
LONG = "the_extraordinarily_long_name_of_a_column_that_somebody_exported_from_a_hospital_information_system_in_2009"
UNICODE = "Größe – 年収 – الدخل – 🙂"


@cache
def png(width: int = 240, height: int = 120, seed: int = 0) -> bytes:
    """A small real PNG: soft blobs, so that a reader of the page sees a picture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.zeros((height, width, 3))
    for _ in range(12):
        centre = random.uniform((0, 0), (height, width))
        near = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (0.02 * height * width))
        pixels += near[..., None] * random.uniform(0, 255, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "png")
    return stream.getvalue()


def real_answer() -> Answer:
    meanings = "share of generated samples that lie where real ones lie: do they look real?"
    return Answer(
        "real",
        "Do the samples look real?",
        "yes",
        "A strong classifier tells generated from real rows 56 times in 100, little better than guessing.",
        [
            Figure("Fréchet distance", 0.42, (0.36, 0.49), 0.04, 6.3, "lower", "how far apart the averages lie.", 0.0),
            Figure("precision", 0.873, (0.861, 0.884), 0.951, 0.312, "higher", meanings, 0.99),
            Figure("told by boosting", 0.561, (0.541, 0.581), 0.5, 0.982, "lower", "0.5 cannot tell, 1 always.", 0.5),
            Figure("pair trends", 0.98, (0.97, 0.99), 0.97, 0.4, "higher", "how well pairs of columns go together."),
            Figure("tiny", 3.2e-7, (1e-8, 9e-7), 2e-9, 4.5e-4, "lower", "a figure of very small numbers."),
            Figure("huge", 8.1e11, None, 2e3, 5.5e12, "lower", "a figure of very large numbers."),
        ],
        [
            Table(
                "Columns, worst first",
                ["column", "kind", "shape", "real", "floor"],
                [
                    [HOSTILE, "number", "0.91", "0.97", "0.40"],
                    [LONG, "category", "0.95", "0.99", "0.61"],
                    [UNICODE, "category", "0.97", "0.99", "0.50"],
                    ["age", "number", "0.98"],
                ],
            )
        ],
        [Picture("Real and generated columns side by side", png(640, 300, 1))],
        ["two-sample tests used 5,000 of 32,561 rows a side."],
    )


def other_answers() -> list[Answer]:
    return [
        Answer(
            "varied",
            "Is everything there?",
            "partly",
            "9 of 10 kinds are there, but rare ones come half as often as they should.",
            [
                Figure("recall", 0.61, (0.58, 0.64), 0.93, 0.21, "higher", "share of real samples within reach."),
                Figure("coverage", 0.2, (0.18, 0.23), 0.95, 0.35, "higher", "share of real ones with a neighbour."),
                Figure("lower than floor", 90.0, (70.0, 120.0), 1.0, 10.0, "lower", "a value far beyond its floor."),
            ],
            [Table("Per class", ["class", "asked", "recall"], [[str(digit), "100", "0.61"] for digit in range(10)])],
        ),
        Answer(
            "new",
            "Are the samples new?",
            "no",
            "31 of 1,000 samples are copies of training rows.",
            [
                Figure("exact copies", 31.0, None, 0.0, None, "lower", "training rows returned as they are.", 1000.0),
                Figure("no neighbour known", 0.7, None, None, None, "higher", "a figure that stands alone."),
                Figure("all alike", 0.5, (0.5, 0.5), 0.5, 0.5, "higher", "a figure that cannot tell."),
                Figure("no floor", 0.52, (0.49, 0.55), 0.5, None, "lower", "share nearer to training.", 1.0),
            ],
            pictures=[Picture("Samples (left) beside the nearest training sample (right)", png(28, 28, 2))],
        ),
        Answer(
            "private", "Is the training data safe?", "unknown", "Too few rows to attack.", notes=["40 rows held out."]
        ),
        Answer(
            "fair",
            f"Are groups of {HOSTILE} treated alike?",
            "yes",
            f"The share of {HOSTILE} differs by 1 point from the real one.",
            [Figure(f"share of {HOSTILE}", 0.34, (0.32, 0.36), 0.35, 0.5, "higher", HOSTILE)],
        ),
        Answer("useful", "Do they train a model as well as real ones?", "partly", "0.81 against 0.86.", []),
    ]


def protocol(**changes: Any) -> Protocol:
    settings: dict[str, Any] = {
        "count": 10_000,
        "features": 64,
        "embedder": "encoded-columns-1",
        "resize": None,
        "reference": "held-out samples",
        "unit": "the training features' deviation",
        "seed": 0,
        "metrics": "1",
        "data": "3f2a9c0de1",
        "target": "income",
        "sensitive": ("sex", "race"),
    }
    return Protocol(**{**settings, **changes})


def full_report(**changes: Any) -> Report:
    features = [
        Figure("density", 0.92, (0.9, 0.94), 1.0, 0.1, "higher", "how densely real samples surround a generated one."),
        Figure("precision", 0.873, (0.861, 0.884), 0.951, 0.312, "higher", "shown by an answer already."),
    ]
    return Report(protocol(**changes), features, ["only 400 samples a side."], [real_answer(), *other_answers()])


def training_log() -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    random = np.random.default_rng(0)
    for place in range(1, 201):
        seen, way = place * 1024, place / 200
        records.append(
            {
                "event": "terms",
                "seen": seen,
                "balance": 0.5 + 0.4 * way + float(random.normal(0, 0.01)),
                "augmentation": 0.0,
                "discriminator/adversarial": 1.4 - way + float(random.normal(0, 0.03)),
                "discriminator/r1": 0.02 + 0.01 * float(random.random()) if place != 90 else math.inf,
                "discriminator/r2": 0.02 + 0.01 * float(random.random()),
                "discriminator/gradient_norm": 3.0 * math.exp(-2 * way),
                "generator/adversarial": 1.5 - 0.8 * way + (40.0 if place == 120 else 0.0),
                "generator/gradient_norm": 6.0 * math.exp(-3 * way),
                "generator/update": 0.001,
            }
        )
        if place % 10 == 0:
            score = 0.03 + 4.0 * math.exp(-6 * way)
            look = {
                "ceiling": 0.02,
                "variety": 0.7 + 0.3 * way,
                "coverage": 0.4 + 0.5 * way,
                "told_apart": 1 - 0.3 * way,
            }
            records.append({"event": "score", "seen": seen, "score": score, "best": True, **look})
    return records


def full_facts() -> dict[str, Any]:
    return {
        "name": "adult-1",
        "path": "runs/adult 1",
        "created": "2025-11-02 14:31",
        "command": "gannet train adult.csv --time 10m --out 'runs/adult 1'",
        "source": "adult.csv",
        "fingerprint": "3f2a9c0de1",
        "kind": "tables",
        "found": ["32,561 rows, 15 columns", f"column {HOSTILE}: category, 5 values"],
        "recipe": "r3gan",
        "recipe_title": "R3GAN",
        "citation": "@inproceedings{huang2024gan,\n  title = {The {GAN} is dead; long live the {GAN}!}\n}",
        "settings": {"batch_size": 256, "learning_rate": 2e-4, HOSTILE: HOSTILE},
        "versions": {"gannet": "0.1.0", "torch": "2.13"},
        "seen": 204_800,
        "total": 500_000,
        "seconds": 612.4,
        "log": training_log(),
        "preview": png(880, 440, 3),
        "holdings": ["weights of the generator (1.2 MB)", "no training row and no index of them"],
        "referee": [
            {
                "seen": 122_880,
                "finding": "instability",
                "reason": "the generator's loss rose to 27 times its usual size",
                "action": "soften",
            },
            {"seen": 204_800, "finding": "converged", "reason": "no better score in five looks", "action": "stop"},
        ],
    }


@pytest.fixture
def report() -> Report:
    return full_report()


@pytest.fixture
def facts() -> dict[str, Any]:
    return full_facts()
