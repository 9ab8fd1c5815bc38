"""Tables: rows of numbers, categories, booleans and dates, with whatever is missing, from files, frames and arrays.

Types are found column by column and said; samples come back in the same types, ranges, rounding and spelling.
`Tables.open("people.csv", Tables.Options(), seed=0, cache=folder)` -> `Opened`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gannet.domains import columns as encoders
from gannet.domains import table_files as files
from gannet.domains import table_preview as preview
from gannet.domains.columns import Asked, Choice, Column, Encoded, Withheld
from gannet.domains.domain import Domain, Opened, Subset
from gannet.domains.table_frames import PandasShell, Raw, Shell, kind_of, shell_from_json, take, to_objects
from gannet.domains.table_rows import Layout, RowDataset, Rows
from gannet.domains.table_values import (
    MICROSECONDS,
    Form,
    Numbers,
    Texts,
    Values,
    coarsest_unit,
    parse,
    spell,
    texts,
    understand,
)
from gannet.errors import GannetError, did_you_mean
from gannet.spec import Condition, Spec

TYPES = ("boolean", "category", "date", "decimal", "id", "integer")
FEWEST_ROWS, FEW_ROWS, ROWS_TO_SPARE = 3, 100, 200
MOST_HELD_OUT = 5_000
MANY_FEATURES = 2_000
MOST_LINES = 40
MOST_SHOWN = 100_000
"""Rows behind the histograms of a preview."""
LEAST = 5
WIDEST_EMBEDDING = 128


@dataclass(frozen=True)
class Read:
    """A source after reading, its columns' meaning still open."""

    shell: Shell | None
    """None for delimited text: samples become a pandas frame."""
    names: list[str]
    columns: list[Raw]
    delimiter: str
    warnings: list[str]


class Tables(Domain):
    """Rows of a table: numbers, categories, booleans, dates and missing values.

    A row is a flat sample: per column a choice (one-hot), a number in [-1, 1], or both; see `columns`.
    """

    kind: ClassVar[str] = "tables"
    embedder: ClassVar[str] = "encoded-columns-1"

    @dataclass(kw_only=True)
    class Options:
        """How a table is read."""

        types: str | None = None
        """Types to correct, as age=integer,zip=category; known: boolean, category, date, decimal, id, integer."""
        drop: str | None = None
        """Columns to leave out, parted by commas."""
        condition: str | None = None
        """Columns that samples can be asked for (--where), parted by commas: categories, booleans or numbers."""
        least: int | None = None
        """A category seen in fewer rows than this is neither learned nor saved; 1 allows all.

        By default 5, in tables of fewer than 500 rows one for each hundred rows.
        """

    def __init__(
        self,
        spec: Spec,
        shell: Shell,
        forms: Sequence[Form],
        columns: Sequence[Column],
        asked: Sequence[str],
        delimiter: str,
        histograms: Sequence[preview.Histogram],
    ) -> None:
        self.spec, self.shell, self.forms, self.columns = spec, shell, list(forms), list(columns)
        self.asked, self.delimiter, self.histograms = list(asked), delimiter, list(histograms)
        self.free = [index for index, column in enumerate(self.columns) if column.name not in self.asked]
        self.given = [index for index, column in enumerate(self.columns) if column.name in self.asked]
        self.layout = Layout.of([self.columns[index] for index in self.free])
        self.condition_layout = Layout.of([self.columns[index] for index in self.given])

    # ------------------------------------------------------------------------------------------------ opening

    @classmethod
    def claims(cls, source: Any) -> bool:
        if isinstance(source, (str, Path)):
            scheme = re.match(r"[a-z]{2,}:", str(source)) is not None
            return not scheme and str(source).lower().endswith(files.READ_SUFFIXES)
        return kind_of(source) is not None

    @classmethod
    def open(cls, source: Any, options: Tables.Options, *, seed: int, cache: Path) -> Opened:
        read = read_source(source)
        wanted, drop, asked = _choices(read.names, options)
        kept = [index for index, name in enumerate(read.names) if name not in drop]
        count = _count(read.columns)
        if count < FEWEST_ROWS:
            raise GannetError(f"{_title(source)}: {count} rows are too few to learn from; give at least {FEWEST_ROWS}")
        settled = [_settle(read.names[index], read.columns[index], wanted, read.shell is None) for index in kept]
        forms, values = [form for form, _, _ in settled], [column for _, column, _ in settled]
        remarks = {form.name: remark for form, _, remark in settled if remark}
        least = _least(options.least, count)
        columns = [
            _encoder(form, column, wanted, asked, remarks, least) for form, column in zip(forms, values, strict=True)
        ]
        forms = [_told(form, column) for form, column in zip(forms, columns, strict=True)]
        shell = (read.shell or PandasShell(list(read.names))).select(kept)
        domain = cls(_spec(columns, forms, asked), shell, forms, columns, asked, read.delimiter, [])
        if not domain.layout.width:
            raise GannetError(f"{_title(source)}: no column can be learned (only constants and ids); check types=")
        data = domain._dataset(values, np.random.default_rng([seed, 2]))
        domain.histograms = domain._histograms(data.rows)
        order = np.random.default_rng([seed, 1]).permutation(count)
        spare = min(count // 10, MOST_HELD_OUT) if count >= ROWS_TO_SPARE else 0
        warnings = read.warnings + [f"column {name!r}: {remark}" for name, remark in remarks.items()]
        return Opened(
            domain=domain,
            train=Subset(data, order[spare:]),
            holdout=Subset(data, order[:spare]) if spare else None,
            fingerprint=_fingerprint(forms, values),
            found=domain._found(values, count, spare, least),
            warnings=warnings + domain._doubts(values, data.rows, data.condition),
        )

    def _dataset(self, values: Sequence[Values], random: np.random.Generator) -> RowDataset:
        count = len(values[0])
        encoded = [self.columns[index].encode(values[index], random) for index in self.free]
        rows = self.layout.pack(encoded, count)
        given = [self.columns[index].encode(values[index]) for index in self.given]
        return RowDataset(rows, self.condition_layout.pack(given, count) if given else None)

    def _histograms(self, rows: Rows) -> list[preview.Histogram]:
        """Of what was learned, not of what was read: no level that was left out is shown or saved."""
        some = np.linspace(0, len(rows) - 1, min(len(rows), MOST_SHOWN)).astype(np.int64)
        encoded, random = rows.encoded(some), np.random.default_rng(0)
        panels: list[preview.Histogram] = []
        for index, content in zip(self.free, encoded, strict=True):
            column, form = self.columns[index], self.forms[index]
            if column.blocks and len(panels) < preview.MOST_PANELS:
                values = column.decode(content, len(some), random)
                panels.append(preview.summarise(values, form, as_levels=isinstance(column, Choice)))
        return panels

    def _found(self, values: Sequence[Values], count: int, spare: int, least: int) -> list[str]:
        lines = [f"table: {count:,} rows, {len(self.columns):,} columns as {self.layout.width:,} features"]
        if len(self.columns) <= MOST_LINES:
            for form, column, content in zip(self.forms, self.columns, values, strict=True):
                given = ", asked for" if column.name in self.asked else ""
                lines.append(f"{column.name}: {column.describe(content, form)}{given}")
        else:
            groups: dict[str, list[str]] = {}
            for form, column in zip(self.forms, self.columns, strict=True):
                kind = form.meaning if column.blocks else column.kind
                groups.setdefault(kind, []).append(column.name)
            lines += [f"{kind}: {len(names):,} columns ({', '.join(names[:4])})" for kind, names in groups.items()]
        if least > 1 and any(isinstance(column, Choice) for column in self.columns):
            lines.append(f"no category of fewer than {least} rows is learned or saved (least={least})")
        return lines + ([f"held out for scores: {spare:,} rows"] if spare else [])

    def _doubts(self, values: Sequence[Values], rows: Rows, condition: Rows | None) -> list[str]:
        """What the user should know before training."""
        doubts = []
        if len(rows) < FEW_ROWS:
            doubts.append(f"only {len(rows)} rows: the generator will copy them; give some hundreds")
        if self.layout.width > MANY_FEATURES:
            doubts.append(f"{self.layout.width:,} features: training will be slow; drop= columns of many categories")
        copies = len(rows) - _distinct_rows(values)
        if copies > 0.01 * len(rows):
            doubts.append(f"{copies:,} rows ({copies / len(rows):.0%}) are exact copies of others")
        doubts += [
            f"column {form.name!r}: {column.describe(content, form)}"
            for form, content, column in zip(self.forms, values, self.columns, strict=True)
            if isinstance(column, Withheld)
        ]
        single = {
            form.name: int((content.counts == 1).sum())
            for form, content, column in zip(self.forms, values, self.columns, strict=True)
            if isinstance(content, Texts) and isinstance(column, Choice) and (content.counts == 1).any()
        }
        names = ", ".join(f"{name} ({times:,})" for name, times in list(single.items())[:6])
        if single and any(isinstance(column, Choice) and column.least == 1 for column in self.columns):
            doubts.append(f"categories seen in one row only can come out again, and may point at a person: {names}")
        elif single:
            doubts.append(f"categories seen in one row only are not learned; other rows stand in for them: {names}")
        return doubts

    # -------------------------------------------------------------------------------------------------- state

    def state(self) -> dict[str, Any]:
        return {
            "shell": self.shell.to_json(),
            "forms": [form.to_json() for form in self.forms],
            "columns": [column.to_json() for column in self.columns],
            "asked": self.asked,
            "delimiter": self.delimiter,
            "histograms": [histogram.to_json() for histogram in self.histograms],
        }

    @classmethod
    def restore(cls, spec: Spec, state: dict[str, Any]) -> Tables:
        return cls(
            spec,
            shell_from_json(state["shell"]),
            [Form.from_json(form) for form in state["forms"]],
            [encoders.from_json(column) for column in state["columns"]],
            state["asked"],
            state["delimiter"],
            [preview.Histogram.from_json(histogram) for histogram in state["histograms"]],
        )

    # -------------------------------------------------------------------------------------- there and back again

    def encode(self, decoded: Any) -> Tensor:
        """A frame or array with the same columns -> samples [n, features]; conditions and ids are left out."""
        values = self._values(decoded)
        encoded = [self.columns[index].encode(values[index]) for index in self.free]
        return self.layout.pack(encoded, len(values[0])).expand()

    def decode(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        """Samples [n, features] -> a table of the type that came in.

        Of a choice (the generator gives its probabilities) the most probable level is taken. What is not learned
        (ids, which of the rare levels) is drawn from a generator seeded by the samples, so that decoding is pure.
        """
        return self.shell.build(self.forms, self._decode(samples, condition))

    def _decode(self, samples: Tensor, condition: Tensor | None) -> list[Values]:
        content = _plain(samples)
        given = None if condition is None else _plain(condition)
        assert (given is not None) == bool(self.given), "conditions are wanted where the data has them, and only there"
        seed = hashlib.sha256(content.tobytes() + (b"" if given is None else given.tobytes())).digest()
        random = np.random.default_rng(np.frombuffer(seed, dtype=np.uint32))
        encoded: dict[int, Encoded] = dict(zip(self.free, self.layout.split(content), strict=True))
        if given is not None:
            encoded |= dict(zip(self.given, self.condition_layout.split(given), strict=True))
        return [column.decode(encoded[index], len(content), random) for index, column in enumerate(self.columns)]

    def _values(self, decoded: Any) -> list[Values]:
        """The columns of a frame, in our order and by our forms."""
        if kind_of(decoded) is None:
            raise GannetError(f"{type(decoded).__name__}: not a table; give a data frame or a 2-D array")
        _, names, columns = take(decoded)
        lost = [form.name for form in self.forms if form.name not in names]
        if lost:
            raise GannetError(f"the table lacks the column {lost[0]!r}; {did_you_mean(lost[0], names)}")
        found = dict(zip(names, columns, strict=True))
        return [_conform(found[form.name], form) for form in self.forms]

    # ------------------------------------------------------------------------------------------ files and pictures

    def write(self, decoded: Any, out: Path, *, names: list[str] | None = None) -> list[Path]:
        """Rows to one file by its ending: .csv, .tsv (also .gz), .parquet, .json; .csv where there is none."""
        path = files.target(out)
        suffix = files.suffix_of(path)
        if suffix == ".parquet":
            _write_parquet(decoded, path)
            return [path]
        values = self._values(decoded)
        headers = [form.name for form in self.forms]
        if suffix == ".json":
            files.write_json(path, headers, [_json(*pair) for pair in zip(values, self.forms, strict=True)])
            return [path]
        columns = []
        for content, form in zip(values, self.forms, strict=True):
            spelled = spell(content, form)
            columns.append(np.where(content.missing, form.spelling.missing, spelled))
        delimiter = "\t" if suffix.startswith(".tsv") else self.delimiter if self.delimiter != "\t" else ","
        files.write_text(path, headers, columns, delimiter)
        return [path]

    def preview(self, samples: Tensor, condition: Tensor | None = None) -> Image.Image:
        """Histograms of up to twelve columns: samples as a red line or bar, the real data in grey behind."""
        values = self._decode(samples, condition)
        places = {column.name: index for index, column in enumerate(self.columns)}
        panels = []
        for histogram in self.histograms:
            index = places[histogram.name]
            shares = preview.shares_of(values[index], self.forms[index], histogram)
            panels.append((histogram, shares, float(values[index].missing.mean())))
        return preview.draw(panels)

    def embed(self, samples: Tensor) -> Tensor:
        """The decoded row, encoded again and scaled so that each column weighs the same [n, at most 128].

        Two unlike levels lie 1 apart; a number spreads as a fair coin does. Wider rows are projected by a fixed
        random matrix that keeps distances on average.
        """
        content, random = _plain(samples), np.random.default_rng(0)
        columns = [self.columns[index] for index in self.free]
        snapped = [
            column.encode(column.decode(encoded, len(content), random))
            for column, encoded in zip(columns, self.layout.split(content), strict=True)
        ]
        features = self.layout.pack(snapped, len(content)).expand().to(samples.device) * self._weights(samples.device)
        if features.shape[1] <= WIDEST_EMBEDDING:
            return features
        generator = torch.Generator().manual_seed(0)
        projection = torch.randn(features.shape[1], WIDEST_EMBEDDING, generator=generator) / WIDEST_EMBEDDING**0.5
        return features @ projection.to(samples.device)

    def frame(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        decoded = self.decode(samples, condition)
        return decoded if kind_of(decoded) == "pandas" else None

    def conditions(self, decoded: Any) -> Tensor | None:
        """The condition vectors [n, width] of a table's rows; None where nothing can be asked for."""
        if not self.given:
            return None
        values = self._values(decoded)
        encoded = [self.columns[index].encode(values[index]) for index in self.given]
        return self.condition_layout.pack(encoded, len(values[0])).expand()

    def spoiled(
        self, samples: Tensor, condition: Tensor | None, random: np.random.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Every column shuffled on its own."""
        return self._shuffled(self.layout, samples, random), (
            None if condition is None else self._shuffled(self.condition_layout, condition, random)
        )

    @staticmethod
    def _shuffled(layout: Layout, samples: Tensor, random: np.random.Generator) -> Tensor:
        columns = []
        for column in layout.split(_plain(samples)):
            order = random.permutation(len(samples))
            codes = None if column.codes is None else column.codes[order]
            columns.append(Encoded(codes, None if column.numbers is None else column.numbers[order]))
        return layout.pack(columns, len(samples)).expand()

    @property
    def unlearned(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if not (column.choice_width or column.has_number))

    def _weights(self, device: torch.device) -> Tensor:
        weights: list[float] = []
        for index in self.free:
            column = self.columns[index]
            both = 0.5**0.5 if column.choice_width and column.has_number else 1.0
            weights += [0.5**0.5 * both] * column.choice_width + [0.75**0.5 * both] * column.has_number
        return torch.tensor(weights, device=device)


# --------------------------------------------------------------------------------------------------------- reading


def read_source(source: Any) -> Read:
    """A path, frame or array -> its columns; GannetError says what is wrong and where."""
    if not isinstance(source, (str, Path)):
        shell, names, columns = take(source)
        if len(names) > files.MOST_COLUMNS:
            raise GannetError(
                f"the table has {len(names):,} columns, the limit is {files.MOST_COLUMNS:,}; drop columns"
            )
        return Read(shell, names, columns, ",", [])
    path = Path(source)
    if files.suffix_of(path) == ".parquet":
        return read_source(files.read_parquet(path))
    files.import_pandas(f"{path.name}, whose samples become a data frame,")
    table = files.read_text(path)
    return Read(None, table.names, [Raw(column, "text") for column in table.columns], table.delimiter, table.warnings)


def _title(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else "the table"


def _count(columns: Sequence[Raw]) -> int:
    return len(columns[0].values) if columns else 0


def _choices(names: list[str], options: Tables.Options) -> tuple[dict[str, str], set[str], list[str]]:
    """The types, drops and conditions asked for, by existing columns' names."""
    wanted: dict[str, str] = {}
    for entry in _listed(options.types):
        name, _, kind = entry.rpartition("=")
        _known(name.strip(), names, "types")
        if kind.strip() not in TYPES:
            raise GannetError(f"types: {kind.strip()!r} is no type of column; {did_you_mean(kind.strip(), TYPES)}")
        wanted[name.strip()] = kind.strip()
    drop, asked = set(_listed(options.drop)), _listed(options.condition)
    for name in sorted(drop):
        _known(name, names, "drop")
    for name in asked:
        _known(name, names, "condition")
        if name in drop:
            raise GannetError(f"condition: column {name!r} is also dropped; take it out of drop= or condition=")
    return wanted, drop, [name for name in names if name in asked]


def _listed(text: str | None) -> list[str]:
    return [entry.strip() for entry in (text or "").split(",") if entry.strip()]


def _known(name: str, names: list[str], option: str) -> None:
    if name not in names:
        raise GannetError(f"{option}: there is no column {name!r}; {did_you_mean(name, names)}")


# -------------------------------------------------------------------------------------------------------- settling


def _settle(name: str, raw: Raw, wanted: dict[str, str], from_text: bool) -> tuple[Form, Values, str | None]:
    """What a column means, its values in plain form, and a remark for the user."""
    kind = wanted.get(name)
    if isinstance(raw.values, np.ndarray):
        return *_dated(name, raw), raw.remark
    if isinstance(raw.values, Numbers) or raw.meaning == "text":
        meaning = raw.meaning or "text"
        form = Form(name, meaning, raw.dtype, categories=raw.categories, ordered=raw.ordered)
        return form, raw.values, raw.remark
    found = understand(raw.values, wanted=kind)
    if not from_text:
        form = Form(name, found.meaning, raw.dtype, True, found.unit, spelling=found.spelling)
        return form, found.values, found.remark
    words = found.spelling.words
    textual = found.meaning == "text" or (words is not None and words[1].lower() != "true")
    dtype = "str" if textual else _file_dtype(found.meaning, bool(found.values.missing.any()))
    form = Form(name, found.meaning, dtype, textual, found.unit, spelling=found.spelling)
    return form, found.values, found.remark


def _file_dtype(meaning: str, missing: bool) -> str:
    """The pandas type of a column of a delimited file; integers and booleans stay so beside missing values."""
    names = {"integer": ("int64", "Int64"), "boolean": ("bool", "boolean"), "date": ("datetime64[us]",) * 2}
    return names.get(meaning, ("float64",) * 2)[missing]


def _dated(name: str, raw: Raw) -> tuple[Form, Values]:
    assert isinstance(raw.values, np.ndarray)
    gone = np.isnat(raw.values)
    unit = coarsest_unit(raw.values[~gone].astype(np.int64))
    form = Form(name, "date", raw.dtype, unit=unit, timezone=raw.timezone)
    return form, _counted(raw.values, unit)


def _counted(moments: np.ndarray, unit: str) -> Numbers:
    gone = np.isnat(moments)
    micros = np.where(gone, np.datetime64(0, "us"), moments).astype(np.int64)
    return Numbers(np.where(gone, np.nan, micros / MICROSECONDS[unit]))


def _conform(raw: Raw, form: Form) -> Values:
    """A column of a later frame in the plain form of the column learned."""
    if isinstance(raw.values, np.ndarray):
        counted = _counted(raw.values, form.unit or "us")
        return counted if form.meaning == "date" else texts(spell(counted, form))
    if isinstance(raw.values, Texts):
        return raw.values if raw.meaning == "text" else parse(raw.values, form)
    if form.meaning == "text":
        return texts(None if item is None else str(item) for item in to_objects(raw.values, Form("", "decimal", "")))
    return raw.values


def _least(wanted: int | None, count: int) -> int:
    """The fewest rows of a category that is learned."""
    if wanted is not None and wanted < 1:
        raise GannetError(f"least: {wanted} rows; say 1 to learn every category, or more")
    if wanted is not None:
        return wanted
    return 1 if count < FEW_ROWS // 2 else min(LEAST, max(2, count // 100))


def _told(form: Form, column: Column) -> Form:
    """The form without those levels of a categorical type that are not learned; a scale in its order is kept whole."""
    if form.categories is None or form.ordered or not isinstance(column, Choice) or column.least == 1:
        return form
    learned = {*column.levels, *column.rare}
    return replace(form, categories=tuple(level for level in form.categories if level in learned))


def _encoder(
    form: Form, values: Values, wanted: dict[str, str], asked: list[str], remarks: dict[str, str], least: int
) -> Column:
    _check_type(form, values, wanted.get(form.name))
    kind = wanted.get(form.name) or ("category" if form.categories is not None else None)
    column = encoders.fit(form, values, wanted=kind, mixed=form.name in remarks, least=least)
    if form.name in asked and isinstance(column, encoders.Number) and isinstance(values, Numbers):
        return Asked.fit(form.name, values, least=least)
    # A condition is told in words and numbers of the user's own: of the rare levels, that it is one of them.
    return replace(column, placed=False) if form.name in asked and isinstance(column, Choice) else column


def _check_type(form: Form, values: Values, kind: str | None) -> None:
    """Raise GannetError where a column cannot be what the user says it is."""
    readable = {"integer": ("integer", "decimal"), "decimal": ("integer", "decimal"), "date": ("date",)}
    if kind in readable and form.meaning not in readable[kind] and not values.missing.all():
        raise GannetError(f"types: column {form.name!r} cannot be read as {kind}, it holds {form.meaning} values")
    if kind == "integer" and isinstance(values, Numbers):
        fractions = values.array[np.isfinite(values.array) & (values.array % 1 != 0)]
        if len(fractions):
            raise GannetError(f"types: column {form.name!r} holds fractions such as {fractions[0]:g}; say decimal")


def _spec(columns: Sequence[Column], forms: Sequence[Form], asked: list[str]) -> Spec:
    free = [column for column in columns if column.name not in asked]
    blocks = tuple(block for column in free for block in column.blocks)
    pairs = [(column, form) for column, form in zip(columns, forms, strict=True) if column.name in asked]
    fields = tuple(field for column, form in pairs for field in column.fields(form))
    width = sum(block.width for block in blocks)
    return Spec("tables", (width,), Condition(fields) if fields else None, blocks)


# --------------------------------------------------------------------------------------------------------- details


def _plain(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _fingerprint(forms: Sequence[Form], values: Sequence[Values]) -> str:
    digest = hashlib.sha256()
    for form, content in zip(forms, values, strict=True):
        name = form.name.encode("utf-8")
        digest.update(len(name).to_bytes(4, "little") + name + content.digest())
    return digest.hexdigest()


def _distinct_rows(values: Sequence[Values]) -> int:
    """How many different rows there are, by a 64-bit hash of each."""
    mixed = np.zeros(len(values[0]), dtype=np.uint64)
    for content in values:
        bits = content.codes.astype(np.int64) if isinstance(content, Texts) else (content.array + 0.0).view(np.int64)
        mixed = (mixed ^ bits.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return len(np.unique(mixed))


def _json(values: Values, form: Form) -> list[Any]:
    return spell(values, form).tolist() if form.meaning == "date" else to_objects(values, form)


def _write_parquet(decoded: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = kind_of(decoded)
    if kind == "polars":
        decoded.write_parquet(path)
        return
    pandas = files.import_pandas("a Parquet file")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise files.missing_extra("pyarrow", "tables", "a Parquet file") from None
    if kind == "arrow":
        pyarrow.parquet.write_table(decoded, path)
        return
    _, names, columns = take(decoded)
    frame = decoded if kind == "pandas" else _frame(pandas, names, columns)
    frame.to_parquet(path, index=False)


def _frame(pandas: Any, names: list[str], columns: list[Raw]) -> Any:
    forms = [Form(name, raw.meaning or "text", raw.dtype) for name, raw in zip(names, columns, strict=True)]
    contents = [raw.values.array if isinstance(raw.values, Numbers) else raw.values for raw in columns]
    return pandas.DataFrame(
        {
            form.name: content.objects() if isinstance(content, Texts) else content
            for form, content in zip(forms, contents, strict=True)
        }
    )
