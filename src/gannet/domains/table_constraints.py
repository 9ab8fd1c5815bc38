"""The constraints of a table at work: hidden in the encoding, restored in decoding, held in every row that comes out.

`Constraints.fit(table, forms, wishes, asked)` learns them; `hide(table)` gives the columns the game sees,
`show(columns, random)` turns them back into rows that break nothing, and `distinct` sees to uniqueness at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gannet.domains.table_constraint import Constraint, Grid, Item, Table, coded, combined, count, from_items
from gannet.domains.table_constraint_kinds import Combination, Linear, Product, Unique, from_json, numbers
from gannet.domains.table_constraint_plan import Plan, plan
from gannet.domains.table_constraint_steps import AS_TOLD, Bounded, Chosen, Computed, Lookup, Merged
from gannet.domains.table_constraint_unique import adjustable, separate
from gannet.domains.table_values import Form, Numbers, Texts, Values, spell
from gannet.errors import GannetError

TRIALS, FEW_VALUES = 500, 100
"""Made-up rows among which one is sought that meets all constraints, for when no generated row does."""


@dataclass(frozen=True)
class Wish:
    """A constraint somebody asks for."""

    constraint: Constraint
    tolerance: float = 0.0
    """Largest share of training rows that may break it; they are left out."""
    fewest: int = 1
    """Combinations and keys in fewer rows are not kept."""
    proposed: bool = False
    """Whether it was found in the data; such a one gives way where two cannot be met together."""


@dataclass(frozen=True)
class Fitted:
    """Constraints that were learned, the rows they leave, and what to tell the user."""

    constraints: Constraints
    kept: np.ndarray | None
    """True [n] for the rows that break nothing; None where all do."""
    remarks: list[str]


@dataclass(frozen=True)
class Facts:
    """What the constraints know of the columns besides their own rules, as JSON values."""

    columns: tuple[str, ...]
    grids: dict[str, Grid]
    fills: dict[str, float]
    """The middle of each number, which stands for it where it is missing."""
    usual: dict[str, Item]
    """The commonest or middle value of each column as the game sees it."""
    asked: tuple[str, ...]
    texts: tuple[str, ...]
    spare: dict[str, Item]
    """A made-up row that meets the constraints; empty where none was found."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Facts:
        lists = {key: tuple(data[key]) for key in ("columns", "asked", "texts")}
        return cls(**{**data, **lists, "grids": {name: Grid(**grid) for name, grid in data["grids"].items()}})


class Constraints:
    """Constraints of one table, built in."""

    def __init__(self, constraints: Sequence[Constraint], facts: Facts) -> None:
        self.constraints, self.facts = tuple(constraints), facts
        draft = Plan(
            facts.columns, facts.grids, facts.fills, facts.usual, frozenset(facts.asked), frozenset(facts.texts)
        )
        self.steps, self.left = plan(self.constraints, draft)
        self.rows = [rule for rule in self.constraints if not isinstance(rule, Unique)]
        self.unique = [rule for rule in self.constraints if isinstance(rule, Unique)]
        self.parts = _parts(self.rows)
        self.computed = [step for step in self.steps if isinstance(step, Computed)]

    # --------------------------------------------------------------------------------------------------- learning

    @classmethod
    def fit(
        cls,
        table: dict[str, Values],
        forms: Mapping[str, Form],
        wishes: Sequence[Wish],
        asked: Iterable[str] = (),
        *,
        least: int = 1,
        in_file: bool = False,
    ) -> Fitted:
        """Learn the constraints from training rows; `asked` are columns that samples are conditioned on.

        Of numbers nothing is kept that stands for fewer than `least` rows.
        Raises GannetError for rows that break one (with the first), and for constraints that cannot be met together.
        """
        asked = tuple(asked)
        rules = _learned(table, forms, wishes)
        broken = np.zeros(count(table), dtype=bool)
        remarks: list[str] = []
        for wish, rule in zip(wishes, rules, strict=True):
            if not isinstance(rule, Combination):
                rows = rule.broken(table)
                _refuse(rule, rows, wish.tolerance, table, forms, in_file)
                if rows.any():
                    remarks.append(f"constraint {rule.rule!r}: {rows.sum():,} rows that break it are left out")
                broken |= rows
        if broken.any():
            table = {name: values.take(np.flatnonzero(~broken)) for name, values in table.items()}
            rules = _learned(table, forms, wishes)
        facts = _facts(table, forms, rules, asked, least)
        chosen, given_up = _together(rules, wishes, facts)
        remarks += [f"constraint {rule.rule!r} cannot be built in beside the others: left out" for rule in given_up]
        facts = _completed(cls(chosen, facts), table, least)
        return Fitted(cls(chosen, facts), ~broken if broken.any() else None, remarks)

    # --------------------------------------------------------------------------------------------- there and back

    def hide(self, table: Table) -> dict[str, Values]:
        """The columns that the game sees otherwise than they are, in that other form; a pure function of each row."""
        hidden: dict[str, Values] = {}
        for step in self.steps:
            hidden |= step.hide(table)
        return hidden

    def show(self, table: Table, random: np.random.Generator) -> dict[str, Values]:
        """Columns as the game has them -> rows that meet every constraint but uniqueness (see `distinct`)."""
        shown = dict(table)
        for step in self.steps:
            step.show(shown, random)
        for part, rules in self.parts:
            broken = self._broken(shown, part, rules)
            if broken.any():
                self._replace(shown, part, broken, random)
        return shown

    def broken(self, table: Table) -> np.ndarray:
        """True [n] for every row that breaks any constraint, uniqueness included."""
        out = np.zeros(count(table), dtype=bool)
        for rule in self.constraints:
            out |= rule.broken(table)
        return out

    def distinct(self, table: Table, random: np.random.Generator, *, strict: bool = True) -> dict[str, Values]:
        """The same rows with repeats told apart by the smallest changes where uniqueness is asked for.

        Raises GannetError where there are not as many different values, unless `strict` is off: then repeats stay.
        """
        shown = dict(table)
        for rule in self.unique:
            others = [each for each in self.rows if set(each.columns) & set(rule.columns)]
            names = adjustable(rule, self.rows, self.facts.asked)
            separate(shown, rule, names, others, self.facts.grids, random, strict=strict)
        return shown

    def _broken(self, table: Table, part: frozenset[str], rules: Sequence[Constraint]) -> np.ndarray:
        out = np.zeros(count(table), dtype=bool)
        for rule in rules:
            out |= rule.broken(table)
        for step in self.computed:
            if step.column in part:
                out |= ~step.grid.fits(numbers(table, step.column))
        return out

    def _replace(
        self, table: dict[str, Values], part: frozenset[str], broken: np.ndarray, random: np.random.Generator
    ) -> None:
        """Broken rows take over another generated row's values in the columns the constraints tie together.

        One with the same asked-for values where there is one; the made-up spare row where no generated row will do.
        """
        names = sorted(part)
        if broken.all():
            if not set(names) <= set(self.facts.spare):
                raise GannetError(f"the constraints on {', '.join(names)} leave no row that meets them all; drop one")
            for name in names:
                items = [self.facts.spare[name]]
                table[name] = from_items(np.zeros(len(broken), dtype=np.int64), items, name in self.facts.texts)
            return
        source = np.arange(len(broken))
        given = [table[name] for name in names if name in self.facts.asked]
        groups = combined(given)[0] if given else np.zeros(len(broken), dtype=np.int64)
        good = np.flatnonzero(~broken)
        for group in np.unique(groups[broken]):
            rows = np.flatnonzero(broken & (groups == group))
            alike = good[groups[good] == group]
            source[rows] = random.choice(alike if len(alike) else good, size=len(rows))
        for name in names:
            table[name] = table[name].take(source)

    # ------------------------------------------------------------------------------------------------ wishes

    def levels_for(self, name: str, meets: Callable[[Values], np.ndarray]) -> dict[str, frozenset[Item]] | None:
        """What the columns that the game sees must be, for a hidden one to be as wished: levels by column.

        `meets` tells of values [n] which are as wished. None where no levels say so (numbers learned as distances,
        sums), and nothing for a column that is not hidden.
        """
        step = next((step for step in self.steps if name in step.columns and name in step.hide_names), None)
        if isinstance(step, Merged):
            place = step.columns.index(name)
            values = from_items(*_listed_items([row[place] for row in step.rows]), step.rule.texts[place])
            wanted = meets(values)
            return {step.columns[0]: frozenset(n for n, good in zip(step.names, wanted, strict=True) if good)}
        if not isinstance(step, Lookup) or len(step.rule.keys) != 1:
            return None
        (key,) = step.rule.keys
        values = from_items(*_listed_items([value for _, value in step.rule.entries]), step.rule.as_text)
        keys = {row[0] for (row, _), good in zip(step.rule.entries, meets(values), strict=True) if good}
        told: dict[str, frozenset[Item]] = {name: frozenset([AS_TOLD])}
        if any(key in each.hide_names for each in self.steps):
            further = self.levels_for(key, lambda values: np.array([item in keys for item in _items_of(values)]))
            return None if further is None else told | further
        return told | {key: frozenset(keys)}

    # ----------------------------------------------------------------------------------------------- in words

    def describe(self) -> list[str]:
        """One line a constraint: what holds, and how it is built in."""
        return [f"constraint: {rule.rule} ({self._how(rule)})" for rule in self.constraints]

    def words(self) -> dict[str, str]:
        """For each column that the game sees otherwise than it is, where its values come from."""
        out: dict[str, str] = {}
        for step in self.steps:
            if isinstance(step, Bounded) and step.base:
                out[step.column] = f"learned as the distance from {_listed(step.sources)}"
            elif isinstance(step, Computed | Lookup):
                verb = "computed from" if isinstance(step, Computed) else "told by"
                out[step.column] = f"{verb} {_listed(step.sources)}"
            elif isinstance(step, Merged):
                out |= {name: f"one choice with {_listed(set(step.columns) - {name})}" for name in step.columns}
        return out

    def _how(self, rule: Constraint) -> str:
        if isinstance(rule, Unique):
            return "repeats are told apart"
        if rule in self.left:
            return "rows that break it are replaced"
        for step in self.steps:
            if isinstance(step, Computed) and step.rule is rule:
                return f"{step.column} is computed"
            if isinstance(step, Lookup) and step.rule is rule:
                return f"{step.column} is looked up"
            if isinstance(step, Merged) and step.rule is rule:
                return f"one choice of {len(step.rows):,} combinations"
            if isinstance(step, Bounded) and rule in step.rules:
                return f"{step.column} is learned as a distance" if rule in step.base else f"{step.column} is clipped"
            if isinstance(step, Chosen) and set(rule.columns) <= {step.column, *step.sources}:
                return f"{step.column} is drawn again where it does not fit"
        return "gaps are filled or made"

    # ----------------------------------------------------------------------------------------------------- state

    def to_json(self) -> dict[str, Any]:
        return {"rules": [rule.to_json() for rule in self.constraints], "facts": self.facts.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Constraints:
        return cls([from_json(rule) for rule in data["rules"]], Facts.from_json(data["facts"]))


def _listed_items(items: Sequence[Item]) -> tuple[np.ndarray, list[Item]]:
    """Items [n] as codes and distinct items."""
    distinct = list(dict.fromkeys(items))
    return np.array([distinct.index(item) for item in items], dtype=np.int64), distinct


def _items_of(values: Values) -> list[Item]:
    codes, items = coded(values)
    return [items[code] for code in codes]


def _listed(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


# ----------------------------------------------------------------------------------------------------------- details


def _learned(table: Table, forms: Mapping[str, Form], wishes: Sequence[Wish]) -> list[Constraint]:
    grids: dict[str, Grid] = {}
    for wish in wishes:
        for name in wish.constraint.columns:
            numeric = isinstance(wish.constraint, Linear | Product)
            if numeric and forms[name].meaning in ("text", "boolean"):
                what = "text" if forms[name].meaning == "text" else "a boolean"
                raise GannetError(f"constraint {wish.constraint.rule!r}: {name!r} is {what}, not a number or a date")
            if numeric or isinstance(wish.constraint, Unique):
                grids |= _grid(name, table[name], forms[name], wish.constraint)
    return [wish.constraint.fit(table, forms, grids, wish.fewest) for wish in wishes]


def _grid(name: str, values: Values, form: Form, rule: Constraint, least: int = 1) -> dict[str, Grid]:
    if not isinstance(values, Numbers) or (isinstance(rule, Unique) and form.meaning == "boolean"):
        return {}
    if np.isinf(values.array).any():
        raise GannetError(f"constraint {rule.rule!r}: {name!r} holds infinite values; make them missing")
    if values.missing.all():
        raise GannetError(f"constraint {rule.rule!r}: every value of {name!r} is missing; leave the constraint out")
    return {name: Grid.of(form, values, least)}


def _refuse(
    rule: Constraint, rows: np.ndarray, tolerance: float, table: Table, forms: Mapping[str, Form], in_file: bool
) -> None:
    """Raise GannetError where more training rows break a constraint than are tolerated."""
    share = rows.mean()
    if share <= tolerance:
        return
    first = int(np.flatnonzero(rows)[0])
    shown = ", ".join(f"{name}={_shown(table[name], forms[name], first)}" for name in table if name in rule.columns)
    place = f"line {first + 2:,}" if in_file else f"row {first + 1:,}"
    wanted = f"{np.ceil(share * 1000) / 1000:g}"
    remedy = "correct the rows, or leave the constraint out"
    if share <= 0.5:
        remedy = f"correct the rows, leave the constraint out, or leave out the rows by tolerance = {wanted}"
    raise GannetError(
        f"constraint {rule.rule!r}: {rows.sum():,} of {len(rows):,} rows break it, the first in {place} ({shown}); "
        f"{remedy} (see docs/constraints.md)"
    )


def _shown(values: Values, form: Form, row: int) -> str:
    written = spell(values.take(np.array([row])), form)[0]
    return "missing" if written is None else str(written)


def _together(
    rules: Sequence[Constraint], wishes: Sequence[Wish], facts: Facts
) -> tuple[list[Constraint], list[Constraint]]:
    """The constraints that can be built in together; a proposed one gives way, a user's own raises GannetError."""
    chosen: list[Constraint] = [rule for rule, wish in zip(rules, wishes, strict=True) if not wish.proposed]
    Constraints(chosen, facts)
    for rule in chosen:
        if isinstance(rule, Unique) and not adjustable(rule, chosen, facts.asked):
            raise GannetError(
                f"constraint {rule.rule!r}: other constraints or condition= fix its columns, so that repeats cannot be "
                "told apart; leave one of them out"
            )
    given_up: list[Constraint] = []
    for rule in (rule for rule, wish in zip(rules, wishes, strict=True) if wish.proposed):
        try:
            Constraints([*chosen, rule], facts)
            others = [each for each in [*chosen, rule] if isinstance(each, Unique)]
            able = all(adjustable(each, [*chosen, rule], facts.asked) for each in others)
        except GannetError:
            able = False
        (chosen if able else given_up).append(rule)
    return chosen, given_up


def _facts(
    table: Table, forms: Mapping[str, Form], rules: Sequence[Constraint], asked: Sequence[str], least: int
) -> Facts:
    """The facts that a plan needs; those that need a plan are added by `_completed`."""
    members = {name for rule in rules for name in rule.columns}
    names = tuple(name for name in table if name in members)
    grids: dict[str, Grid] = {}
    for rule in rules:
        if isinstance(rule, Linear | Product | Unique):
            for name in rule.columns:
                grids |= _grid(name, table[name], forms[name], rule, least)
    fills = {name: float(grids[name].nearest(_middle(table[name], 0.5, least))) for name in grids}
    texts = tuple(name for name in names if isinstance(table[name], Texts))
    return Facts(names, grids, fills, {}, tuple(name for name in asked if name in names), texts, {})


def _middle(values: Values, shares: np.ndarray | float, least: int) -> np.ndarray:
    """The means of the `least` values around quantiles of a number column, as many as `shares`."""
    assert isinstance(values, Numbers)
    present = np.sort(values.array[~values.missing])
    least = min(least, len(present))
    starts = np.clip(np.asarray(shares) * len(present) - least / 2, 0, len(present) - least).astype(np.int64)
    return present[starts[..., None] + np.arange(least)].mean(axis=-1)


def _completed(draft: Constraints, table: Table, least: int) -> Facts:
    """The facts with the usual value of each column, and a made-up row that meets the constraints."""
    facts = draft.facts
    inner = {name: table[name] for name in facts.columns} | draft.hide(table)
    usual = {name: _usual(values, least) for name, values in inner.items()}
    facts = replace(facts, usual=usual)
    return replace(facts, spare=_spare(Constraints(draft.constraints, facts), inner, least))


def _usual(values: Values, least: int) -> Item:
    """The commonest value, or the middle of a number of many values; None where nothing is there."""
    if values.missing.all():
        return None
    items, times = _common(values, least)
    return items[int(times.argmax())] if items else float(_middle(values, 0.5, least))


def _common(values: Values, least: int) -> tuple[list[Item], np.ndarray]:
    """The values that stand in `least` rows or more, and how often; none where a number has many values."""
    codes, items = coded(values)
    times = np.bincount(codes, minlength=len(items))[1:]
    enough = np.flatnonzero(times >= min(least, times.max(initial=0)))
    if isinstance(values, Numbers) and len(items) > FEW_VALUES:
        return [], times[:0]
    return [items[1 + place] for place in enough], times[enough]


def _spare(constraints: Constraints, inner: dict[str, Values], least: int) -> dict[str, Item]:
    """A row that meets the constraints, made up of values drawn column by column: no training row's own."""
    random = np.random.default_rng(0)
    drawn: dict[str, Values] = {}
    for name, values in inner.items():
        usual, as_text = constraints.facts.usual[name], isinstance(values, Texts)
        if usual is None:
            drawn[name] = from_items(np.zeros(TRIALS, dtype=np.int64), [None], as_text)
            continue
        items, times = _common(values, least)
        if items:
            codes = random.choice(len(items), size=TRIALS, p=times / times.sum())
            codes[0] = items.index(usual)
            drawn[name] = from_items(codes, items, as_text)
            continue
        numbers = _middle(values, random.random(TRIALS), least)
        numbers[0] = float(usual or 0.0)
        grid = constraints.facts.grids.get(name)
        drawn[name] = Numbers(numbers if grid is None else grid.nearest(numbers))
    for step in constraints.steps:
        step.show(drawn, random)
    spare: dict[str, Item] = {}
    for part, rules in constraints.parts:
        good = np.flatnonzero(~constraints._broken(drawn, part, rules))
        if len(good):
            for name in part:
                codes, items = coded(drawn[name].take(good[:1]))
                spare[name] = items[int(codes[0])]
    return spare


def _parts(rules: Sequence[Constraint]) -> list[tuple[frozenset[str], list[Constraint]]]:
    """Columns that constraints tie together, directly or through others, with their constraints."""
    parts: list[tuple[set[str], list[Constraint]]] = []
    for rule in rules:
        joined, names = [rule], set(rule.columns)
        apart = []
        for part in parts:
            if part[0] & names:
                names |= part[0]
                joined = [*part[1], *joined]
            else:
                apart.append(part)
        parts = [*apart, (names, joined)]
    return [(frozenset(names), joined) for names, joined in parts]
