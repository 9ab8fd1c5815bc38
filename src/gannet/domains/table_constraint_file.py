"""The file of constraints: a small TOML of rules, how many rows may break them, and whether those found are taken too.

`read_file("rules.toml")` -> `Wanted`; `wishes(wanted, proposals, forms, ...)` -> what `Constraints.fit` takes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gannet.domains.table_constraint_rules import read_rule
from gannet.domains.table_constraints import Wish
from gannet.domains.table_values import Form
from gannet.errors import GannetError, did_you_mean

FOUND = "found"
_KEYS = ("rules", "constraint", "found", "without", "tolerance", "fewest")
_OWN_KEYS = ("rule", "tolerance", "fewest")


@dataclass(frozen=True)
class Line:
    """One rule of a file."""

    rule: str
    tolerance: float = 0.0
    fewest: int | None = None


@dataclass(frozen=True)
class Wanted:
    """What the user asks for: rules of their own, those found, or both."""

    lines: tuple[Line, ...] = ()
    found: bool = False
    without: tuple[str, ...] = ()
    """Rules found that are not taken."""
    fewest: int | None = None
    title: str = "constraints=found"


def wanted(setting: str | None) -> Wanted | None:
    """What the setting `constraints` asks for: nothing, `found`, or a file's content."""
    if setting is None:
        return None
    return Wanted(found=True) if setting.strip().lower() == FOUND else read_file(Path(setting))


def read_file(path: Path) -> Wanted:
    """The content of a TOML file. Raises GannetError naming the file, the key and the remedy."""
    if path.suffix.lower() != ".toml":
        raise GannetError(f"constraints={path}: give {FOUND}, or a file whose name ends in .toml")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GannetError(f"constraints={path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GannetError(f"constraints={path}: is not valid TOML ({error})") from None
    _known(path, data, _KEYS)
    tolerance, fewest = _share(path, data), _fewest(path, data)
    lines = [Line(rule, tolerance, fewest) for rule in _texts(path, data, "rules")]
    tables = data.get("constraint", [])
    if not isinstance(tables, list):
        raise GannetError(f"{path}: write [[constraint]] with two brackets, once for each rule")
    for entry in tables:
        _known(path, entry, _OWN_KEYS)
        rule = entry.get("rule")
        if not isinstance(rule, str):
            raise GannetError(f'{path}: a [[constraint]] lacks its rule = "..."')
        lines.append(Line(rule, _share(path, entry, tolerance), _fewest(path, entry, fewest)))
    found = data.get("found", False)
    if not isinstance(found, bool):
        raise GannetError(f"{path}: found = {found!r}: write true or false")
    if not lines and not found:
        raise GannetError(f'{path}: holds no rule; write rules = ["a <= b"], or found = true')
    return Wanted(tuple(lines), found, tuple(_texts(path, data, "without")), fewest, str(path))


def wishes(
    asked: Wanted,
    proposals: Sequence[str],
    forms: Mapping[str, Form],
    identifiers: Collection[str] = (),
    fewest: int = 1,
) -> list[Wish]:
    """The constraints wanted: the user's own, then those found that they do not leave out or say themselves.

    `identifiers` are columns that are made anew and cannot be tied to others; `fewest` holds where the file says none.
    """
    out: list[Wish] = []
    for line in asked.lines:
        for constraint in read_rule(line.rule, forms):
            made = sorted(set(constraint.columns) & set(identifiers)) if constraint.kind != "unique" else []
            if made:
                raise GannetError(
                    f"constraint {line.rule!r}: {made[0]!r} is an identifier, made anew for every row; "
                    f"types={made[0]}=category (or integer, decimal) has it learned"
                )
            least = line.fewest or asked.fewest or fewest
            out.append(Wish(constraint, line.tolerance, least))
    known = [" ".join(rule.split()) for rule in proposals]
    for rule in asked.without:
        if " ".join(rule.split()) not in known:
            near = did_you_mean(rule, known)
            raise GannetError(f"{asked.title}: without names {rule!r}, which was not found in the data; {near}")
    left_out = {" ".join(rule.split()) for rule in asked.without}
    own = {(wish.constraint.kind, frozenset(wish.constraint.columns)) for wish in out}
    for rule in known if asked.found else []:
        if rule not in left_out:
            for constraint in read_rule(rule, forms):
                if (constraint.kind, frozenset(constraint.columns)) not in own:
                    out.append(Wish(constraint, 0.0, asked.fewest or fewest, proposed=True))
    return out


def _known(path: Path, data: Any, keys: Sequence[str]) -> None:
    if not isinstance(data, dict):
        raise GannetError(f"{path}: {data!r} stands where a table of {', '.join(keys)} was expected")
    for key in data:
        if key not in keys:
            raise GannetError(f"{path}: unknown key {key!r}; {did_you_mean(key, keys)}")


def _texts(path: Path, data: dict[str, Any], key: str) -> list[str]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise GannetError(f'{path}: {key} is a list of texts: {key} = ["a <= b", "city -> state"]')
    return entries


def _share(path: Path, data: dict[str, Any], default: float = 0.0) -> float:
    share = data.get("tolerance", default)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise GannetError(f"{path}: tolerance = {share!r}: give a share of rows from 0 up to 1, such as 0.01")
    return float(share)


def _fewest(path: Path, data: dict[str, Any], default: int | None = None) -> int | None:
    fewest = data.get("fewest", default)
    if fewest is None:
        return None
    if isinstance(fewest, bool) or not isinstance(fewest, int) or fewest < 1:
        raise GannetError(f"{path}: fewest = {fewest!r}: give a number of rows, 1 or more")
    return fewest
