"""A table opened for private training: all that is kept of it was told by noisy counts of the rows trained on.

`open_private(source, options, seed=0, counters=...)` learns; with `known` (a run's domain) it reads the rows as that
run does and looks at nothing anew. The held-out rows take part in nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gannet.domains import table_preview as preview
from gannet.domains.columns import Choice
from gannet.domains.domain import Opened, Subset
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_private import Counter, Learned, learn, public
from gannet.domains.table_settling import choices, settle, spec_of
from gannet.domains.table_source import count_of, read_source, title
from gannet.domains.table_values import Form, Values
from gannet.domains.tables import MOST_HELD_OUT, MOST_LINES, ROWS_TO_SPARE, Tables
from gannet.errors import GannetError, did_you_mean

Counters = Callable[[int], tuple[Counter, Counter]]
"""From the number of rows trained on to the two looks at them."""


@dataclass(frozen=True)
class OpenedPrivately:
    """The opened table, whose fingerprint tells nothing but what is public, and all of its content as bytes."""

    opened: Opened
    content: bytes
    """A digest of every value, for a keyed fingerprint alone."""
    shares: list[list[float]]
    """By noisy counts, the shares of the levels of each choice block, where columns were learned anew."""


def open_private(
    source: Any,
    options: Tables.Options,
    *,
    seed: int,
    counters: Counters,
    limits: str | None = None,
    known: Tables | None = None,
) -> OpenedPrivately:
    """Open a table; `limits` are ranges of numbers known beforehand. Raises GannetError for what cannot be private."""
    refused = (
        ("condition", options.condition, "any column can be asked for without it"),
        ("constraints", options.constraints, "they are learned from real rows"),
        ("parity", options.parity, "it repeats rows, each of which would then count several times"),
    )
    for name, given, why in refused:
        if given is not None:
            raise GannetError(f"{name}={given}: not together with --private; {why}")
    if options.least is not None:
        raise GannetError(f"least={options.least}: not together with --private, where the noise decides what is rare")
    read = read_source(source)
    wanted, drop, _ = choices(read.names, options.types, options.drop, None)
    kept = [index for index, name in enumerate(read.names) if name not in drop]
    in_file = read.shell is None
    settled = [settle(read.names[index], read.columns[index], wanted, in_file) for index in kept]
    forms, values = [form for form, _, _ in settled], [content for _, content, _ in settled]
    count = count_of(read.columns)
    order = np.random.default_rng([seed, 1]).permutation(count)
    learned: list[Learned] = []
    spare = min(count // 10, MOST_HELD_OUT) if count >= ROWS_TO_SPARE else 0
    if known is None:
        ranges = parse_limits(limits, forms)
        first, second = counters(count - spare)
        some = [content.take(order[spare:]) for content in values]
        learned = learn(forms, some, wanted, ranges, first, second)
        forms = [public(form, each.column, in_file=in_file) for form, each in zip(forms, learned, strict=True)]
        shell = (read.shell or PandasShell(list(read.names))).select(kept)
        known = _domain(source, learned, forms, shell, read.delimiter)
    elif known.names != [form.name for form in forms]:
        raise GannetError(f"{title(source)}: its columns are not those of the run; put the old data back")
    data = known.dataset(values, None)
    opened = Opened(
        domain=known,
        train=Subset(data, order[spare:]),
        holdout=Subset(data, order[:spare]) if spare else None,
        fingerprint=_public_fingerprint(known.forms, count),
        found=_found(known, count, spare),
        warnings=read.warnings,
    )
    shares = [(each.shares / each.shares.sum()).tolist() for each in learned if each.shares is not None]
    return OpenedPrivately(opened, _content(forms, values), shares)


def _domain(source: Any, learned: Sequence[Learned], forms: Sequence[Form], shell: Any, delimiter: str) -> Tables:
    columns = [each.column for each in learned]
    panels: list[preview.Histogram] = []
    for index, (form, each) in enumerate(zip(forms, learned, strict=True)):
        if each.column.blocks and len(panels) < preview.MOST_PANELS:
            as_levels = isinstance(each.column, Choice)
            panels.append(preview.summarise(each.example(index), form, as_levels=as_levels))
    domain = Tables(spec_of(columns, forms, []), shell, forms, columns, [], delimiter, panels)
    if not domain.layout.width:
        raise GannetError(
            f"{title(source)}: the noise of this budget hides every column; give more rows or a larger epsilon"
        )
    return domain


def _found(domain: Tables, count: int, spare: int) -> list[str]:
    """What may be told of the table: nothing but what is public or was told by noisy counts."""
    lines = [f"table: {count:,} rows, {len(domain.columns):,} columns as {domain.layout.width:,} features"]
    if len(domain.columns) <= MOST_LINES:
        shown = {panel.name for panel in domain.histograms}
        for form, column in zip(domain.forms, domain.columns, strict=True):
            kind = "category" if form.meaning == "text" else form.meaning
            levels = f" of {column.choice_width:,} levels" if column.choice_width and not column.has_number else ""
            known = "" if form.name in shown or column.blocks else ", comes back empty: too rare to be told"
            lines.append(f"{form.name}: {kind}{levels}{known}")
    lines.append("taken as public: the number of rows, the names, types and spellings of the columns")
    return lines + ([f"held out, and looked at by nothing but gannet evaluate: {spare:,} rows"] if spare else [])


def parse_limits(text: str | None, forms: Sequence[Form]) -> Mapping[str, tuple[float, float]]:
    """age=0..120,income=0..1e6 -> ranges by name. GannetError names the entry that is wrong."""
    found: dict[str, tuple[float, float]] = {}
    numbers = [form.name for form in forms if form.meaning in ("integer", "decimal")]
    for entry in (part.strip() for part in (text or "").split(",") if part.strip()):
        name, _, ends = entry.rpartition("=")
        low, dots, high = ends.partition("..")
        if name not in numbers:
            raise GannetError(f"limits: no column of numbers {name!r}; {did_you_mean(name, numbers)}")
        try:
            found[name] = float(low), float(high)
        except ValueError:
            raise GannetError(f"limits: {entry!r} is no range; write {name}=0..100") from None
        if not dots or not found[name][0] < found[name][1] < float("inf"):
            raise GannetError(f"limits: {entry!r} is no range; write {name}=0..100")
    return found


def _public_fingerprint(forms: Sequence[Form], count: int) -> str:
    """Of what is public alone: a digest of the rows would tell whether a guess at all of them is right."""
    told = json.dumps([count, [[form.name, form.meaning] for form in forms]])
    return hashlib.sha256(told.encode("utf-8")).hexdigest()


def _content(forms: Sequence[Form], values: Sequence[Values]) -> bytes:
    digest = hashlib.sha256()
    for form, content in zip(forms, values, strict=True):
        name, bytes_ = form.name.encode("utf-8"), content.digest()
        digest.update(len(name).to_bytes(4, "little") + name + len(bytes_).to_bytes(8, "little") + bytes_)
    return digest.digest()
