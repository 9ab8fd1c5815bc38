"""Constraints as a person writes them, one rule a line, and back.

`read_rule("fare + tip <= total", forms)` -> the constraints it stands for (a chain is several). Names that are no plain
words stand in quotes: `'hours-per-week' > 0`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from gannet.domains.table_constraint import Constraint
from gannet.domains.table_constraint_kinds import (
    Combination,
    Depends,
    Linear,
    Presence,
    Product,
    Relation,
    Test,
    Unique,
    constant,
)
from gannet.domains.table_values import Form
from gannet.errors import GannetError, did_you_mean

_PLAIN = re.compile(r"[^\W\d]\w*")
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)(?!\w)|(?P<quoted>'[^']*'|"[^"]*"|`[^`]*`)"""
    r"""|(?P<mark>->|<=|>=|==|!=|[<>=+\-*(),])|(?P<word>[^\s<>=!+*(),'"`]+))"""
)
_WORDS = ("unique", "combinations", "present", "missing", "if")
_FLIPPED = {">=": "<=", ">": "<"}
_EXAMPLES = "'a <= b', 'gross = 1.2 * net + fee', 'city -> state', 'combinations(a, b)', 'unique(id)', 'b present if a'"


@dataclass(frozen=True)
class Token:
    """A piece of a rule: its kind (name, number, mark, text) and what it says."""

    kind: str
    text: str


def quoted(name: str) -> str:
    """A column's name as a rule takes it: plain words as they are, others in quotes."""
    if _PLAIN.fullmatch(name) and name not in _WORDS:
        return name
    return next((f"{mark}{name}{mark}" for mark in "'`\"" if mark not in name), name)


def read_rule(rule: str, forms: Mapping[str, Form]) -> list[Constraint]:
    """The constraints of one line. Raises GannetError naming the rule and what is wrong with it."""
    return _Reader(rule, forms).read()


class _Reader:
    """One rule, read from left to right."""

    def __init__(self, rule: str, forms: Mapping[str, Form]) -> None:
        self.rule, self.forms = " ".join(rule.split()), forms
        self.tokens = self._tokens()
        self.place = 0

    def wrong(self, what: str) -> NoReturn:
        raise GannetError(f"constraint {self.rule!r}: {what}; rules are like {_EXAMPLES}")

    # ---------------------------------------------------------------------------------------------------- tokens

    def _tokens(self) -> list[Token]:
        tokens: list[Token] = []
        names = sorted(self.forms, key=len, reverse=True)
        place = 0
        while place < len(self.rule):
            if self.rule[place].isspace():
                place += 1
                continue
            name = next((each for each in names if each and self._stands(each, place)), None)
            if name is not None:
                tokens.append(Token("name", name))
                place += len(name)
                continue
            found = _TOKEN.match(self.rule, place)
            if found is None:
                self.wrong(f"{self.rule[place]!r} is not understood")
            place = found.end()
            kind, text = str(found.lastgroup), str(found[str(found.lastgroup)])
            if kind == "quoted":
                text = text[1:-1]
                kind = "name" if text in self.forms else "text"
            tokens.append(Token(kind, text))
        return tokens

    def _stands(self, name: str, place: int) -> bool:
        """Whether a column's name stands here as a whole; a number or a word of rules is one, unless in quotes."""
        if not self.rule.startswith(name, place) or name in _WORDS or re.fullmatch(r"[\d.]+", name):
            return False
        after = self.rule[place + len(name) : place + len(name) + 1]
        return not (name[-1].isalnum() and (after.isalnum() or after == "_"))

    def _peek(self) -> Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else Token("end", "")

    def _next(self) -> Token:
        token = self._peek()
        self.place += 1
        return token

    def _takes(self, *texts: str) -> bool:
        """Moves on if the next piece is one of these marks or words."""
        token = self._peek()
        if token.kind in ("mark", "word") and token.text in texts:
            self.place += 1
            return True
        return False

    def _name(self) -> str:
        token = self._next()
        if token.kind == "name":
            return token.text
        if token.kind in ("word", "text"):
            self.wrong(f"there is no column {token.text!r}, {did_you_mean(token.text, self.forms)}")
        self.wrong(f"a column was expected {'at the end' if token.kind == 'end' else f'before {token.text!r}'}")

    def _names(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._takes(","):
            names.append(self._name())
        if len(set(names)) < len(names):
            self.wrong("a column is named twice")
        return tuple(names)

    def _end(self) -> None:
        if self._peek().kind != "end":
            self.wrong(f"{self._peek().text!r} was not expected")

    # ----------------------------------------------------------------------------------------------------- rules

    def read(self) -> list[Constraint]:
        """All that the rule stands for."""
        for word in ("unique", "combinations"):
            if self._takes(word):
                return [self._list(word)]
        if self._peek().kind == "name":
            names = self._names()
            if self._takes("->"):
                targets = self._names()
                self._end()
                return [self._depends(names, target, len(targets) > 1) for target in targets]
            word = self._peek().text
            if self._peek().kind == "word" and word in ("present", "missing"):
                self.place += 1
                return self._presence(names, word == "present")
            if len(names) > 1:
                return self._each(names)
            self.place = 0
        return self._chain()

    def _list(self, word: str) -> Constraint:
        if not self._takes("("):
            self.wrong(f"columns in brackets were expected after {word!r}")
        names = self._names()
        if not self._takes(")"):
            self.wrong("a bracket is not closed")
        self._end()
        if word == "unique":
            return Unique(self.rule, names)
        if len(names) < 2:
            self.wrong("a combination takes two columns or more")
        return Combination(self.rule, names)

    def _depends(self, keys: tuple[str, ...], target: str, several: bool) -> Constraint:
        if target in keys:
            self.wrong(f"{target!r} stands on both sides")
        rule = f"{', '.join(map(quoted, keys))} -> {quoted(target)}" if several else self.rule
        return Depends(rule, keys, target)

    def _presence(self, targets: tuple[str, ...], here: bool) -> list[Constraint]:
        other: str | None = None
        test: Test | None = None
        value: str | None = None
        condition = ""
        if self._takes("if"):
            other = self._name()
            if other in targets:
                self.wrong(f"{other!r} stands on both sides")
            token = self._next()
            if token.kind == "end":
                test = "present"
            elif token.text in ("present", "missing") and token.kind == "word":
                test = "present" if token.text == "present" else "missing"
            elif token.text in ("=", "==", "!=", "<", "<=", ">", ">="):
                test = "=" if token.text == "==" else token.text  # type: ignore[assignment]
                value = self._value()
            else:
                self.wrong(f"a comparison was expected after {other!r}")
            condition = f" if {self.rule.partition(' if ')[2]}"
        self._end()
        word = "present" if here else "missing"
        return [Presence(f"{quoted(name)} {word}{condition}", name, here, other, test, value) for name in targets]

    def _value(self) -> str:
        """The rest of the rule as one value, spaces included."""
        first = self._next()
        sign = ""
        if first == Token("mark", "-"):
            sign, first = "-", self._next()
        if first.kind == "end":
            self.wrong("a value was expected at the end")
        words = [sign + first.text]
        while self._peek().kind in ("word", "number", "name"):
            words.append(self._next().text)
        return " ".join(words)

    def _each(self, names: tuple[str, ...]) -> list[Constraint]:
        """Several columns compared with the same: a, b >= 0."""
        token = self._peek()
        if token.text not in ("<", "<=", ">", ">="):
            self.wrong(f"a comparison or -> was expected after {names[-1]!r}")
        rest = self.tokens[self.place :]
        found: list[Constraint] = []
        for name in names:
            self.tokens, self.place = [Token("name", name), *rest], 0
            found += self._chain(whole=False)
        return found

    # ------------------------------------------------------------------------------------------ sums and comparisons

    def _chain(self, whole: bool = True) -> list[Constraint]:
        sides, marks = [self._side()], []
        while self._peek().kind == "mark" and self._peek().text in ("<", "<=", ">", ">=", "=", "=="):
            marks.append(self._next().text)
            sides.append(self._side())
        self._end()
        if not marks:
            self.wrong("a comparison was expected")
        if "=" in marks or "==" in marks:
            if len(marks) > 1:
                self.wrong("an equation stands alone")
            return [self._equation(*sides)]
        found: list[Constraint] = []
        for place, mark in enumerate(marks):
            left, right = sides[place], sides[place + 1]
            if mark in _FLIPPED:
                left, right = right, left
            text = self.rule if whole and len(marks) == 1 else f"{left.shown} {_FLIPPED.get(mark, mark)} {right.shown}"
            relation: Relation = "<" if mark in ("<", ">") else "<="
            found.append(self._linear(left, right, relation, text))
        return found

    def _side(self) -> _Side:
        """A sum of numbers, columns, and products of them."""
        start = self.place
        side = _Side()
        sign = -1.0 if self._takes("-") else 1.0
        while True:
            side.add(sign, *self._term())
            if not self._peek().text or self._peek().kind != "mark" or self._peek().text not in ("+", "-"):
                break
            sign = 1.0 if self._next().text == "+" else -1.0
        pieces = [quoted(each.text) if each.kind == "name" else each.text for each in self.tokens[start : self.place]]
        side.shown = " ".join(pieces).replace("( ", "(")
        return side

    def _term(self) -> tuple[float, list[str], str | None]:
        """One product: its factor, its columns, and a text that is to be read as a value."""
        factor, names = 1.0, []
        while True:
            token = self._next()
            if token.kind == "number":
                factor *= float(token.text)
            elif token.kind == "name":
                names.append(token.text)
            elif token.kind == "text":
                return factor, names, token.text
            else:
                self.place -= 1
                self._name()
            if not self._takes("*"):
                return factor, names, None

    def _equation(self, left: _Side, right: _Side) -> Constraint:
        if left.products or right.products:
            if left.products:
                left, right = right, left
            simple = len(left.terms) == 1 and not left.constant and next(iter(left.terms.values())) == 1
            if not simple or right.terms or right.constant or len(right.products) > 1:
                self.wrong("a product of two columns equals one column and nothing more: c = a * b")
            factor, factors = right.products[0]
            if len(factors) != 2:
                self.wrong("a product takes two columns")
            (target,) = left.terms
            if target in factors:
                self.wrong(f"{target!r} stands on both sides")
            return Product(self.rule, target, (factors[0], factors[1]), factor)
        if len(left.terms) != 1 and len(right.terms) == 1:
            left, right = right, left
        return self._linear(right, left, "=", self.rule)

    def _linear(self, left: _Side, right: _Side, relation: Relation, rule: str) -> Constraint:
        """left <= right as a sum that is at most zero, the right side's columns first."""
        if left.products or right.products:
            self.wrong("columns are multiplied in equations only: c = a * b")
        if left.texts and right.texts:
            self.wrong("two values are compared, and no column")
        terms: dict[str, float] = {}
        for side, sign in ((right, -1.0), (left, 1.0)):
            for name, factor in side.terms.items():
                terms[name] = terms.get(name, 0.0) + sign * factor
        total = left.constant - right.constant
        for side, sign in ((right, -1.0), (left, 1.0)):
            for factor, text in side.texts:
                total += sign * factor * self._moment(text, terms)
        kept = {name: factor for name, factor in terms.items() if factor}
        if not kept or (relation == "=" and len(kept) == 1):
            self.wrong("it says nothing about how columns go together" if kept else "no column is left in it")
        return Linear(rule, tuple(kept.items()), total, relation)

    def _moment(self, text: str, terms: Mapping[str, float]) -> float:
        """A quoted value (a date) in the units of the one column it is compared with."""
        if len(terms) != 1:
            self.wrong(f"{text!r} is no column; a value in quotes is compared with one column")
        name = next(iter(terms))
        value = constant(text, self.forms[name], self.rule)
        if isinstance(value, str):
            self.wrong(f"{text!r} is no column, {did_you_mean(text, self.forms)}")
        return value


class _Side:
    """One side of a comparison."""

    def __init__(self) -> None:
        self.terms: dict[str, float] = {}
        self.products: list[tuple[float, Sequence[str]]] = []
        self.texts: list[tuple[float, str]] = []
        self.constant = 0.0
        self.shown = ""

    def add(self, sign: float, factor: float, names: Sequence[str], text: str | None) -> None:
        """Adds one term."""
        if text is not None:
            self.texts.append((sign * factor, text))
        elif len(names) > 1:
            self.products.append((sign * factor, names))
        elif names:
            self.terms[names[0]] = self.terms.get(names[0], 0.0) + sign * factor
        else:
            self.constant += sign * factor
