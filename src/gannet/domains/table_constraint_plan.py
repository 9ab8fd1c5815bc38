"""Which constraint is built into which column: every column is settled once, after the columns it depends on.

`plan(constraints, ...)` -> steps in the order of settling, and the constraints that no step could take; those are held
by putting another generated row's values in place of a row that breaks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gannet.domains.table_constraint import Constraint, Grid, Item
from gannet.domains.table_constraint_kinds import Combination, Depends, Linear, Numeric, Presence, Product
from gannet.domains.table_constraint_steps import (
    Allowed,
    Bounded,
    Chosen,
    Computed,
    Filled,
    Lookup,
    Merged,
    Step,
)
from gannet.errors import GannetError


@dataclass
class Plan:
    """Who settles what, while it is being worked out."""

    columns: Sequence[str]
    grids: Mapping[str, Grid]
    fills: Mapping[str, float]
    usual: Mapping[str, Item]
    """The commonest (or middle) value of each column as the game sees it."""
    asked: frozenset[str]
    """Columns the generator is conditioned on: their values are given."""
    texts: frozenset[str]
    """Columns of text."""
    computed: dict[str, Numeric] = field(default_factory=dict)
    looked_up: dict[str, Depends] = field(default_factory=dict)
    merged: dict[str, Combination] = field(default_factory=dict)
    bounded: dict[str, list[Numeric]] = field(default_factory=dict)
    chosen: dict[str, list[Allowed]] = field(default_factory=dict)
    filled: dict[str, list[Presence]] = field(default_factory=dict)
    before: dict[str, set[str]] = field(default_factory=dict)
    """Columns that must be settled before each column."""
    left: list[Constraint] = field(default_factory=list)

    def owned(self, name: str) -> bool:
        """Whether one constraint alone settles the column."""
        return name in self.computed or name in self.looked_up or name in self.merged

    def free(self, name: str, sources: Iterable[str]) -> bool:
        """Whether the column can still be settled by one constraint, after the sources."""
        taken = self.owned(name) or name in self.bounded or name in self.chosen or name in self.asked
        return not taken and not self.circular(name, sources)

    def circular(self, name: str, sources: Iterable[str]) -> bool:
        """Whether one of the sources itself waits for the column."""
        waiting = {name, *(self.merged[name].columns if name in self.merged else ())}
        queue, seen = [*sources], set()
        while queue:
            source = queue.pop()
            if source in waiting:
                return True
            if source not in seen:
                seen.add(source)
                group = self.merged[source].columns if source in self.merged else (source,)
                queue += [each for member in group for each in self.before.get(member, ())]
        return False

    def wait(self, name: str, sources: Iterable[str]) -> None:
        """Notes that the sources come before the column."""
        self.before.setdefault(name, set()).update(source for source in sources if source != name)


def plan(constraints: Sequence[Constraint], draft: Plan) -> tuple[list[Step], list[Constraint]]:
    """The steps in their order, and the constraints among rows' columns that are held without one."""
    shared = _shared(constraints)
    for rule in constraints:
        if isinstance(rule, Linear | Product) and rule.relation == "=" and len(rule.columns) > 1:
            _compute(rule, draft)
    for rule in constraints:
        if isinstance(rule, Depends):
            _look_up(rule, draft)
    for rule in constraints:
        if isinstance(rule, Combination):
            _combine(rule, draft, shared)
    orders = [rule for rule in constraints if isinstance(rule, Linear) and rule not in draft.computed.values()]
    for rule in sorted(orders, key=lambda rule: -len(rule.columns)):
        _bound(rule, draft)
    for rule in constraints:
        if isinstance(rule, Presence):
            _fill(rule, draft)
    return _ordered(draft), draft.left


def _shared(constraints: Sequence[Constraint]) -> set[str]:
    """Columns that stand in more than one combination or number constraint: they are not merged."""
    seen: set[str] = set()
    shared: set[str] = set()
    for rule in constraints:
        if isinstance(rule, Combination | Linear | Product | Presence):
            shared |= seen & set(rule.columns)
            seen |= set(rule.columns)
    return shared


def _compute(rule: Numeric, draft: Plan) -> None:
    for name in rule.owners(draft.grids):
        sources = [each for each in rule.columns if each != name]
        if draft.free(name, sources):
            draft.computed[name] = rule
            draft.wait(name, sources)
            return
    others = [each.rule for name, each in draft.computed.items() if name in rule.columns]
    also = f" beside {others[0]!r}" if others else " (its columns are all asked for by condition=)"
    raise GannetError(f"constraint {rule.rule!r} cannot be computed{also}; leave one of them out")


def _look_up(rule: Depends, draft: Plan) -> None:
    if draft.free(rule.target, rule.keys):
        draft.looked_up[rule.target] = rule
        draft.wait(rule.target, rule.keys)
        return
    (key, *more) = rule.keys
    if not more and not draft.circular(key, [rule.target]) and not _settled(key, draft):
        draft.chosen.setdefault(key, []).append(Allowed.of(rule, key, (rule.target,)))
        draft.wait(key, [rule.target])
        return
    draft.left.append(rule)


def _settled(name: str, draft: Plan) -> bool:
    return draft.owned(name) or name in draft.bounded or name in draft.asked


def _combine(rule: Combination, draft: Plan, shared: set[str]) -> None:
    members = rule.columns
    if not shared & set(members) and all(draft.free(name, ()) and not draft.before.get(name) for name in members):
        for name in members:
            draft.merged[name] = rule
        return
    order = sorted(members, key=lambda name: (not _settled(name, draft), draft.columns.index(name)))
    complete = True
    for place, name in enumerate(order):
        fixed = tuple(order[:place])
        if not fixed:
            continue
        if _settled(name, draft) or draft.circular(name, fixed):
            complete = False
            continue
        draft.chosen.setdefault(name, []).append(Allowed.of(rule, name, fixed))
        draft.wait(name, fixed)
    if not complete:
        draft.left.append(rule)


def _bound(rule: Linear, draft: Plan) -> None:
    for name in rule.owners(draft.grids):
        sources = [each for each in rule.columns if each != name]
        settled = draft.owned(name) or name in draft.chosen or (name in draft.asked and bool(sources))
        if not settled and not draft.circular(name, sources):
            draft.bounded.setdefault(name, []).append(rule)
            draft.wait(name, sources)
            return
    draft.left.append(rule)


def _fill(rule: Presence, draft: Plan) -> None:
    sources = [] if rule.other is None else [rule.other]
    if rule.target in draft.merged or rule.target in draft.asked or draft.circular(rule.target, sources):
        draft.left.append(rule)
        return
    draft.filled.setdefault(rule.target, []).append(rule)
    draft.wait(rule.target, sources)


def _ordered(draft: Plan) -> list[Step]:
    """Steps column by column, each after the columns it waits for."""
    steps: list[Step] = []
    done: set[str] = set()
    waiting = list(draft.columns)
    while waiting:
        ready = [name for name in waiting if draft.before.get(name, set()) <= done]
        assert ready, f"constraints wait for each other in a circle: {waiting}"
        for name in ready:
            steps += _steps_of(name, draft, done)
            done.add(name)
        waiting = [name for name in waiting if name not in done]
    return steps


def _steps_of(name: str, draft: Plan, done: set[str]) -> list[Step]:
    steps: list[Step] = [Filled(rule, draft.usual.get(name)) for rule in draft.filled.get(name, [])]
    if name in draft.computed:
        rule = draft.computed[name]
        steps.append(Computed(name, draft.grids[name], rule, _fills(rule.columns, draft)))
    elif name in draft.looked_up:
        steps.append(Lookup(draft.looked_up[name], stand_ins=_may_stand_in(name, draft)))
    elif name in draft.merged and not done & set(draft.merged[name].columns):
        steps.append(Merged(draft.merged[name]))
    elif name in draft.bounded:
        rules = draft.bounded[name]
        names = [each for rule in rules for each in rule.columns]
        steps.append(Bounded(name, draft.grids[name], rules, _fills(names, draft)))
    elif name in draft.chosen:
        steps.append(Chosen(name, name in draft.texts, draft.chosen[name]))
    return steps


def _may_stand_in(name: str, draft: Plan) -> bool:
    """Whether the key of a look-up is the game's own column, and this the first look-up by it."""
    (key, *more) = draft.looked_up[name].keys
    first = next(each for each, rule in draft.looked_up.items() if rule.keys[0] == key)
    return not more and first == name and key not in draft.asked and not draft.owned(key)


def _fills(names: Iterable[str], draft: Plan) -> dict[str, float]:
    return {name: draft.fills[name] for name in names}
