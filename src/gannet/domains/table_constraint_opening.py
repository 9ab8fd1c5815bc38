"""Constraints as a table is opened: what was found, what the user takes of it, and the encoders of what is hidden.

`open_constraints(setting, forms, values, columns, asked, least, in_file=True)` -> `Opening`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gannet.domains import columns as encoders
from gannet.domains.columns import Column, Constant, Identifier, Withheld
from gannet.domains.table_column import missing_words, noun, span
from gannet.domains.table_constraint_evidence import Proposal
from gannet.domains.table_constraint_file import FOUND, wanted, wishes
from gannet.domains.table_constraint_finding import find
from gannet.domains.table_constraints import Constraints
from gannet.domains.table_rounding import learn_decimals
from gannet.domains.table_values import Form, Numbers, Texts, Values


@dataclass(frozen=True)
class Opening:
    """What becomes of a table's constraints when it is opened."""

    constraints: Constraints | None
    """None where nothing is built in."""
    kept: np.ndarray | None
    """Numbers of the rows that remain; None where all do."""
    found: list[str]
    """What was found and what is built in, in lines for a person."""
    warnings: list[str]


def open_constraints(
    setting: str | None,
    forms: Sequence[Form],
    values: Sequence[Values],
    columns: Sequence[Column],
    asked: Sequence[str],
    least: int,
    *,
    in_file: bool,
) -> Opening:
    """Find constraints, and learn those that the setting asks for (none, `found`, or a file).

    `columns` are the encoders without constraints: what they do not learn (identifiers, free text) is tied to nothing.
    Raises GannetError for a file that is wrong, and for rows that break a constraint of the user's.
    """
    request = wanted(setting)
    table = {form.name: content for form, content in zip(forms, values, strict=True)}
    named = {form.name: form for form in forms}
    anew = [column.name for column in columns if isinstance(column, Identifier | Withheld)]
    still = [column.name for column in columns if isinstance(column, Constant)]
    proposals = find(table, named, [*anew, *still])
    if request is None:
        return Opening(None, None, _offer(proposals), [])
    asked_for = wishes(request, [proposal.rule for proposal in proposals], named, anew, least)
    if not asked_for:
        return Opening(None, None, ["constraints: none was found that holds in every row"], [])
    fitted = Constraints.fit(table, named, asked_for, asked, least=least, in_file=in_file)
    offer = [] if request.found else _offer(_others(proposals, fitted.constraints))
    kept = None if fitted.kept is None else np.flatnonzero(fitted.kept)
    return Opening(fitted.constraints, kept, fitted.constraints.describe() + offer, fitted.remarks)


def _others(proposals: Sequence[Proposal], constraints: Constraints) -> list[Proposal]:
    """The proposals that are not built in already."""
    own = {" ".join(rule.rule.split()) for rule in constraints.constraints}
    return [proposal for proposal in proposals if proposal.rule not in own]


def _offer(proposals: Sequence[Proposal]) -> list[str]:
    """The proposals one a line, and how they are taken."""
    if not proposals:
        return []
    return [
        *(f"constraint found: {proposal}" for proposal in proposals),
        f"constraints found are not kept unless you say so: constraints={FOUND} takes them all, "
        "constraints=FILE.toml those in its rules = [...]",
    ]


def hidden_columns(
    constraints: Constraints, columns: Sequence[Column], values: Sequence[Values], least: int
) -> list[Column]:
    """The encoders, those of hidden columns learned from what the game sees in their place."""
    hidden = constraints.hide({column.name: content for column, content in zip(columns, values, strict=True)})
    other = constraints.words()
    return [_encoder(hidden[column.name], column, least) if column.name in other else column for column in columns]


def _encoder(values: Values, column: Column, least: int) -> Column:
    as_text = isinstance(values, Texts)
    form = Form(column.name, "text" if as_text else "decimal", "float64")
    return encoders.fit(form, values, wanted="category" if as_text else None, mixed=True, least=least)


def hide(constraints: Constraints | None, names: Sequence[str], values: Sequence[Values]) -> list[Values]:
    """A table's columns as the game sees them."""
    if constraints is None:
        return list(values)
    hidden = constraints.hide(dict(zip(names, values, strict=True)))
    return [hidden.get(name, content) for name, content in zip(names, values, strict=True)]


def show(
    constraints: Constraints | None, names: Sequence[str], values: Sequence[Values], random: np.random.Generator
) -> list[Values]:
    """Columns as the game has them -> rows that meet every constraint but uniqueness."""
    if constraints is None:
        return list(values)
    return list(constraints.show(dict(zip(names, values, strict=True)), random).values())


def distinct(
    constraints: Constraints | None, names: Sequence[str], values: Sequence[Values], *, strict: bool
) -> list[Values]:
    """The rows with repeats told apart; a pure function of them."""
    if constraints is None or not constraints.unique:
        return list(values)
    random = np.random.default_rng(0)
    return list(constraints.distinct(dict(zip(names, values, strict=True)), random, strict=strict).values())


def described(words: Mapping[str, str], form: Form, values: Values) -> str:
    """A hidden column in words: its values, and where they come from."""
    if isinstance(values, Numbers) and form.meaning not in ("text", "boolean"):
        present = values.array[~values.missing]
        content = f"{noun(form, learn_decimals(present))} {span(present, form)}"
    else:
        content = "boolean" if form.meaning == "boolean" else "category"
    return f"{content}{missing_words(values, form)}, {words[form.name]}"
