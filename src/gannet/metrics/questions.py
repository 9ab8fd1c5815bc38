"""The six questions, in the order in which a reader asks them.

`answer_all(evidence, contents)` -> six answers; `contents` are lines about what the model's files hold.
"""

from __future__ import annotations

from dataclasses import replace

from gannet.metrics.answer import QUESTIONS, Answer
from gannet.metrics.diversity import answer_varied
from gannet.metrics.evidence import Evidence
from gannet.metrics.fairness import answer_fair
from gannet.metrics.fidelity import answer_real
from gannet.metrics.novelty import answer_new
from gannet.metrics.privacy import answer_private
from gannet.metrics.utility import answer_useful


def answer_all(evidence: Evidence, contents: list[str] | None = None) -> list[Answer]:
    """Real? Varied? New? Private? Fair? Useful?"""
    answers = [
        answer_real(evidence),
        answer_varied(evidence),
        answer_new(evidence),
        answer_private(evidence, contents),
        answer_fair(evidence),
        answer_useful(evidence),
    ]
    return [replace(answer, question=QUESTIONS[answer.key]) for answer in answers]
