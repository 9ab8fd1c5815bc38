"""Tables: rows of numbers, categories, booleans and dates, with whatever is missing, from files, frames and arrays.

Types are found column by column and said; samples come back in the same types, ranges, rounding and spelling.
`Tables.open("people.csv", Tables.Options(), seed=0, cache=folder)` -> `Opened`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
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
from gannet.domains.columns import Choice, Column, Encoded, Withheld
from gannet.domains.domain import Domain, Opened, Subset
from gannet.domains.table_constraint_opening import described, distinct, hidden_columns, hide, open_constraints, show
from gannet.domains.table_constraints import Constraints
from gannet.domains.table_excel import write_excel
from gannet.domains.table_frames import kind_of, shell_from_json, take
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_parity import Parity, parity_of
from gannet.domains.table_rows import Layout, RowDataset, Rows
from gannet.domains.table_settling import choices, conform, encoder, fewest, settle, spec_of, told
from gannet.domains.table_shell import Shell, to_objects
from gannet.domains.table_source import count_of, read_source, title
from gannet.domains.table_stream import CACHE_FORMAT, MANY_ROWS, SAMPLE_ROWS, ParquetStream, stored_rows, stream_of
from gannet.domains.table_survey import mixed
from gannet.domains.table_values import Form, Texts, Values, spell
from gannet.domains.table_wishes import Asking, Sight, read_asking
from gannet.domains.table_writing import as_json, write_parquet
from gannet.errors import GannetError, did_you_mean
from gannet.spec import Spec

FEWEST_ROWS, FEW_ROWS, ROWS_TO_SPARE = 3, 100, 200
MOST_HELD_OUT = 5_000
MANY_FEATURES = 2_000
MOST_LINES = 40
MOST_SHOWN = 100_000
"""Rows behind the histograms of a preview."""
WIDEST_EMBEDDING = 128


class Tables(Domain):
    """Rows of a table: numbers, categories, booleans, dates and missing values.

    A row is a flat sample: per column a choice (one-hot), a number in [-1, 1], or both; see `columns`.
    """

    kind: ClassVar[str] = "tables"
    default_recipe: ClassVar[str] = "maligan"
    embedder: ClassVar[str] = "encoded-columns-1"

    @dataclass(kw_only=True)
    class Options:
        """How a table is read."""

        types: str | None = None
        """Types to correct, as age=integer,zip=category; known: boolean, category, date, decimal, duration, id,
        integer, text (which is not learned), time."""
        drop: str | None = None
        """Columns to leave out, parted by commas."""
        condition: str | None = None
        """Columns that samples can be asked for (--where), parted by commas: categories, booleans or numbers."""
        least: int | None = None
        """A category seen in fewer rows than this is neither learned nor saved; 1 allows all.

        By default 5, in tables of fewer than 500 rows one for each hundred rows.
        """
        encoding: str | None = None
        """How a delimited file is encoded, as latin1 or cp1252; by default UTF-8, or UTF-16 by its mark."""
        constraints: str | None = None
        """What holds in every row: found (all that was found in the data), or a .toml file of rules."""
        parity: str | None = None
        """OUTCOME by GROUP, as 'income by sex': training rows are repeated or left out until the outcome is as
        frequent in every group."""

    def __init__(
        self,
        spec: Spec,
        shell: Shell,
        forms: Sequence[Form],
        columns: Sequence[Column],
        asked: Sequence[str],
        delimiter: str,
        histograms: Sequence[preview.Histogram],
        constraints: Constraints | None = None,
    ) -> None:
        self.spec, self.shell, self.forms, self.columns = spec, shell, list(forms), list(columns)
        self.asked, self.delimiter, self.histograms = list(asked), delimiter, list(histograms)
        self.constraints, self.names = constraints, [form.name for form in self.forms]
        self.hidden = {} if constraints is None else constraints.words()
        self.free = [index for index, column in enumerate(self.columns) if column.name not in self.asked]
        self.given = [index for index, column in enumerate(self.columns) if column.name in self.asked]
        self.layout = Layout.of([self.columns[index] for index in self.free])
        self.condition_layout = Layout.of([self.columns[index] for index in self.given])

    # ------------------------------------------------------------------------------------------------ opening

    @classmethod
    def claims(cls, source: Any) -> bool:
        if isinstance(source, (str, Path)):
            scheme = re.match(r"[a-z]{2,}:", str(source)) is not None
            named = str(source).lower().endswith(files.READ_SUFFIXES)
            return not scheme and (named or bool(files.tables_in_zip(Path(source))))
        return kind_of(source) is not None

    @classmethod
    def open(cls, source: Any, options: Tables.Options, *, seed: int, cache: Path) -> Opened:
        stream = stream_of(source)
        if stream is not None:
            return cls._open_stream(stream, options, seed, cache)
        read = read_source(source, options.encoding)
        wanted, drop, asked = choices(read.names, options.types, options.drop, options.condition)
        kept = [index for index, name in enumerate(read.names) if name not in drop]
        count = count_of(read.columns)
        if count < FEWEST_ROWS:
            raise GannetError(f"{title(source)}: {count} rows are too few to learn from; give at least {FEWEST_ROWS}")
        settled = [settle(read.names[index], read.columns[index], wanted, read.shell is None) for index in kept]
        forms, values = [form for form, _, _ in settled], [column for _, column, _ in settled]
        remarks = {form.name: remark for form, _, remark in settled if remark}
        least = fewest(options.least, count)
        columns = [
            encoder(form, column, wanted, asked, remarks, least) for form, column in zip(forms, values, strict=True)
        ]
        held = open_constraints(options.constraints, forms, values, columns, asked, least, in_file=read.shell is None)
        if held.kept is not None:
            values, count = [column.take(held.kept) for column in values], len(held.kept)
            columns = [
                encoder(form, column, wanted, asked, remarks, least) for form, column in zip(forms, values, strict=True)
            ]
        forms = [told(form, column) for form, column in zip(forms, columns, strict=True)]
        if held.constraints is not None:
            columns = hidden_columns(held.constraints, columns, values, least)
        shell = (read.shell or PandasShell(list(read.names))).select(kept)
        domain = cls(spec_of(columns, forms, asked), shell, forms, columns, asked, read.delimiter, [], held.constraints)
        if not domain.layout.width:
            raise GannetError(f"{title(source)}: no column can be learned (only constants and ids); check types=")
        data = domain.dataset(values, np.random.default_rng([seed, 2]))
        domain.histograms = domain._histograms(data)
        warnings = read.warnings + _remarked(remarks) + held.warnings
        opened = domain._opened(data, values, least, seed, warnings, copies=count - _distinct_rows(values))
        fingerprint = _fingerprint(forms, values, held.constraints)
        opened = replace(opened, fingerprint=fingerprint, kept=held.kept, found=opened.found + held.found)
        return opened if options.parity is None else _evened(opened, parity_of(options.parity, forms, values), seed)

    @classmethod
    def _open_stream(cls, stream: ParquetStream, options: Tables.Options, seed: int, cache: Path) -> Opened:
        """A file too large to hold: fitted to a sample, encoded once into the cache, read from there."""
        if options.constraints is not None:
            raise GannetError(f"{stream.path}: constraints= takes up to {MANY_ROWS:,} rows; give fewer")
        if options.parity is not None:
            raise GannetError(f"{stream.path}: parity= takes up to {MANY_ROWS:,} rows; give fewer")
        wanted, drop, asked = choices(stream.names, options.types, options.drop, options.condition)
        names = [name for name in stream.names if name not in drop]
        survey = stream.survey(names, seed)
        settled = [settle(name, raw, wanted, False) for name, raw in zip(names, survey.columns, strict=True)]
        values, remarks = [content for _, content, _ in settled], {form.name: said for form, _, said in settled if said}
        least = fewest(options.least, stream.count)
        columns = [survey.exact(encoder(form, content, wanted, asked, remarks, least)) for form, content, _ in settled]
        forms = [told(form, column) for (form, _, _), column in zip(settled, columns, strict=True)]
        domain = cls(spec_of(columns, forms, asked), PandasShell(names), forms, columns, asked, ",", [])
        if not domain.layout.width:
            raise GannetError(f"{stream.path}: no column can be learned (only constants and ids); check types=")
        data = domain._stored(stream, survey.fingerprint, seed, cache)
        domain.histograms = domain._histograms(data)
        opened = domain._opened(data, values, least, seed, _remarked(remarks), copies=survey.copies)
        said = f"read in batches: found from {SAMPLE_ROWS:,} of its rows, categories counted in all"
        return replace(opened, fingerprint=survey.fingerprint, found=[opened.found[0], said, *opened.found[1:]])

    def _stored(self, stream: ParquetStream, fingerprint: str, seed: int, cache: Path) -> RowDataset:
        """All rows of a stream, encoded into a file of the cache unless they are there already."""

        def encoded() -> Iterator[list[Rows]]:
            for number, raws in enumerate(stream.batches(self.names)):
                values = [conform(raw, form) for raw, form in zip(raws, self.forms, strict=True)]
                data = self.dataset(values, np.random.default_rng([seed, 2, number]))
                yield [data.rows] if data.condition is None else [data.rows, data.condition]

        layouts = [self.layout, self.condition_layout] if self.given else [self.layout]
        columns = json.dumps([column.to_json() for column in self.columns])
        key = hashlib.sha256(f"{CACHE_FORMAT} {fingerprint} {seed} {self.asked} {columns}".encode()).hexdigest()
        rows, *given = stored_rows(cache / f"tables-{key[:16]}", layouts, encoded)
        return RowDataset(rows, given[0] if given else None)

    def _opened(
        self, data: RowDataset, values: Sequence[Values], least: int, seed: int, warnings: list[str], *, copies: int
    ) -> Opened:
        """The domain with its data parted in two; `values` are the columns or a sample of them."""
        count = len(data)
        order = np.random.default_rng([seed, 1]).permutation(count)
        spare = min(count // 10, MOST_HELD_OUT) if count >= ROWS_TO_SPARE else 0
        return Opened(
            domain=self,
            train=Subset(data, order[spare:]),
            holdout=Subset(data, order[:spare]) if spare else None,
            fingerprint="",
            found=self._found(values, count, spare, least),
            warnings=warnings + self._doubts(values, count, copies),
        )

    def dataset(self, values: Sequence[Values], random: np.random.Generator | None) -> RowDataset:
        count, values = len(values[0]), hide(self.constraints, self.names, values)
        encoded = [self.columns[index].encode(values[index], random) for index in self.free]
        rows = self.layout.pack(encoded, count)
        given = [self.columns[index].encode(values[index]) for index in self.given]
        return RowDataset(rows, self.condition_layout.pack(given, count) if given else None)

    def _histograms(self, data: RowDataset) -> list[preview.Histogram]:
        """Of what was learned, not of what was read: no level that was left out is shown or saved."""
        some = np.linspace(0, len(data) - 1, min(len(data), MOST_SHOWN)).astype(np.int64)
        given = [] if data.condition is None else data.condition.encoded(some)
        values = self._columns(data.rows.encoded(some), given, len(some), np.random.default_rng(0))
        panels: list[preview.Histogram] = []
        for index in self.free:
            column, form = self.columns[index], self.forms[index]
            if (column.blocks or form.name in self.hidden) and len(panels) < preview.MOST_PANELS:
                as_levels = isinstance(column, Choice) and form.name not in self.hidden
                panels.append(preview.summarise(values[index], form, as_levels=as_levels))
        return panels

    def _found(self, values: Sequence[Values], count: int, spare: int, least: int) -> list[str]:
        lines = [f"table: {count:,} rows, {len(self.columns):,} columns as {self.layout.width:,} features"]
        if len(self.columns) <= MOST_LINES:
            for form, column, content in zip(self.forms, self.columns, values, strict=True):
                given = ", asked for" if column.name in self.asked else ""
                words = column.describe(content, form) if form.name not in self.hidden else None
                lines.append(f"{form.name}: {words or described(self.hidden, form, content)}{given}")
        else:
            groups: dict[str, list[str]] = {}
            for form, column in zip(self.forms, self.columns, strict=True):
                kind = form.meaning if column.blocks else column.kind
                groups.setdefault(kind, []).append(column.name)
            lines += [f"{kind}: {len(names):,} columns ({', '.join(names[:4])})" for kind, names in groups.items()]
        if least > 1 and any(isinstance(column, Choice) for column in self.columns):
            lines.append(f"no category of fewer than {least} rows is learned or saved (least={least})")
        return lines + ([f"held out for scores: {spare:,} rows"] if spare else [])

    def _doubts(self, values: Sequence[Values], count: int, copies: int) -> list[str]:
        """What the user should know before training."""
        doubts = []
        if count < FEW_ROWS:
            doubts.append(f"only {count} rows: the generator will copy them; give some hundreds")
        if self.layout.width > MANY_FEATURES:
            doubts.append(f"{self.layout.width:,} features: training will be slow; drop= columns of many categories")
        if copies > 0.01 * count:
            doubts.append(f"{copies:,} rows ({copies / count:.0%}) are exact copies of others")
        doubts += [
            f"column {form.name!r}: {column.describe(content, form)}"
            for form, content, column in zip(self.forms, values, self.columns, strict=True)
            if isinstance(column, Withheld) and form.name not in self.hidden
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
            "constraints": None if self.constraints is None else self.constraints.to_json(),
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
            Constraints.from_json(state["constraints"]) if state.get("constraints") else None,
        )

    # -------------------------------------------------------------------------------------- there and back again

    def encode(self, decoded: Any) -> Tensor:
        """A frame or array with the same columns -> samples [n, features]; conditions and ids are left out."""
        values = hide(self.constraints, self.names, self._values(decoded))
        encoded = [self.columns[index].encode(values[index]) for index in self.free]
        return self.layout.pack(encoded, len(values[0])).expand()

    def decode(self, samples: Tensor, condition: Tensor | None = None) -> Any:
        """Samples [n, features] -> a table of the type that came in.

        Of a choice (the generator gives its probabilities) the most probable level is taken. What is not learned
        (ids, which of the rare levels) is drawn from a generator seeded by the samples, so that decoding is pure.
        Every constraint holds; GannetError where uniqueness is asked for and there are fewer values than rows.
        """
        values = distinct(self.constraints, self.names, self._decode(samples, condition), strict=True)
        return self.shell.build(self.forms, values)

    def asking(self, where: Mapping[str, Any]) -> Asking:
        """What rows are asked to be, by column: texts such as "25..40" or values. Raises GannetError."""
        tied = set() if self.constraints is None else {name for part, _ in self.constraints.parts for name in part}
        fields = () if self.spec.condition is None else [each.name for each in self.spec.condition.fields]
        return read_asking(where, Sight(self.forms, self.columns, self.free, self.layout, fields, tied, self.hidden))

    def values(self, samples: Tensor, condition: Tensor | None = None) -> list[Values]:
        """Samples [n, features] -> columns of plain values, every constraint but uniqueness met."""
        return self._decode(samples, condition)

    def apart(self, values: Sequence[Values], seed: int) -> list[Values]:
        """Rows from several calls of `values` with what names rows made anew and repeats told apart."""
        random, count = np.random.default_rng([seed, 3]), len(values[0])
        anew = [
            column.decode(Encoded(None, None), count, random) if isinstance(column, encoders.Identifier) else content
            for column, content in zip(self.columns, values, strict=True)
        ]
        return distinct(self.constraints, self.names, anew, strict=True)

    def built(self, values: Sequence[Values]) -> Any:
        """Columns of plain values -> a table of the type that came in."""
        return self.shell.build(self.forms, values)

    def _decode(self, samples: Tensor, condition: Tensor | None) -> list[Values]:
        content = _plain(samples)
        given = None if condition is None else _plain(condition)
        assert (given is not None) == bool(self.given), "conditions are wanted where the data has them, and only there"
        free, asked = self.layout.split(content), [] if given is None else self.condition_layout.split(given)
        # Levels and numbers tell samples apart as well as all their features do, at a tenth of the bytes.
        seed = hashlib.sha256()
        for part in [*free, *asked]:
            for array in (part.codes, part.numbers):
                seed.update(b"" if array is None else array.tobytes())
        random = np.random.default_rng(np.frombuffer(seed.digest(), dtype=np.uint32))
        return self._columns(free, asked, len(content), random)

    def _columns(
        self, free: Sequence[Encoded], given: Sequence[Encoded], count: int, random: np.random.Generator
    ) -> list[Values]:
        """Encoded columns -> the user's, every constraint but uniqueness met."""
        encoded = dict(zip(self.free, free, strict=True)) | dict(zip(self.given, given, strict=True))
        values = [column.decode(encoded[index], count, random) for index, column in enumerate(self.columns)]
        return show(self.constraints, self.names, values, random)

    def _values(self, decoded: Any) -> list[Values]:
        """The columns of a frame, in our order and by our forms."""
        if kind_of(decoded) is None:
            raise GannetError(f"{type(decoded).__name__}: not a table; give a data frame or a 2-D array")
        _, names, columns = take(decoded)
        lost = [form.name for form in self.forms if form.name not in names]
        if lost:
            raise GannetError(f"the table lacks the column {lost[0]!r}; {did_you_mean(lost[0], names)}")
        found = dict(zip(names, columns, strict=True))
        return [conform(found[form.name], form) for form in self.forms]

    # ------------------------------------------------------------------------------------------ files and pictures

    def write(self, decoded: Any, out: Path, *, names: list[str] | None = None) -> list[Path]:
        """Rows to one file by its ending: .csv, .tsv (also .gz), .parquet, .xlsx, .json; else .csv."""
        path = files.target(out)
        suffix = files.suffix_of(path)
        if suffix == ".parquet":
            write_parquet(decoded, path)
            return [path]
        values = self._values(decoded)
        headers = [form.name for form in self.forms]
        if suffix == ".xlsx":
            write_excel(path, headers, [to_objects(*pair) for pair in zip(values, self.forms, strict=True)])
            return [path]
        if suffix == ".json":
            files.write_json(path, headers, [as_json(*pair) for pair in zip(values, self.forms, strict=True)])
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
        values = distinct(self.constraints, self.names, self._decode(samples, condition), strict=False)
        decoded = self.shell.build(self.forms, values)
        return decoded if kind_of(decoded) == "pandas" else None

    def rows(self, source: Any, options: Tables.Options) -> Any:
        if stream_of(source) is not None:
            return None
        read = read_source(source, options.encoding)
        found = dict(zip(read.names, read.columns, strict=True))
        lost = [form.name for form in self.forms if form.name not in found]
        if lost:
            raise GannetError(f"{title(source)} lacks the column {lost[0]!r}; {did_you_mean(lost[0], read.names)}")
        kinds = {form.name: "category" if form.meaning == "text" else form.meaning for form in self.forms}
        settled = [settle(form.name, found[form.name], kinds, read.shell is None) for form in self.forms]
        shell = read.shell.select([read.names.index(name) for name in kinds]) if read.shell else PandasShell([*kinds])
        built = shell.build([form for form, _, _ in settled], [values for _, values, _ in settled])
        return built if kind_of(built) == "pandas" else None

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
        blank = [column.name for column in self.columns if not (column.choice_width or column.has_number)]
        return tuple(name for name in blank if name not in self.hidden)

    def _weights(self, device: torch.device) -> Tensor:
        weights: list[float] = []
        for index in self.free:
            column = self.columns[index]
            both = 0.5**0.5 if column.choice_width and column.has_number else 1.0
            weights += [0.5**0.5 * both] * column.choice_width + [0.75**0.5 * both] * column.has_number
        return torch.tensor(weights, device=device)


# --------------------------------------------------------------------------------------------------------- details


def _plain(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _evened(opened: Opened, parity: Parity, seed: int) -> Opened:
    """The same data with training rows repeated or left out for parity; what is held out stays a look at the world."""
    assert isinstance(opened.train, Subset)
    before = opened.train.indices
    after = parity.resampled(before, np.random.default_rng([seed, 4]))
    train, found = Subset(opened.train.dataset, after), [*opened.found, parity.told(before, after)]
    return replace(opened, train=train, found=found)


def _fingerprint(forms: Sequence[Form], values: Sequence[Values], constraints: Constraints | None) -> str:
    digest = hashlib.sha256(b"" if constraints is None else json.dumps(constraints.to_json()).encode("utf-8"))
    for form, content in zip(forms, values, strict=True):
        name = form.name.encode("utf-8")
        digest.update(len(name).to_bytes(4, "little") + name + content.digest())
    return digest.hexdigest()


def _distinct_rows(values: Sequence[Values]) -> int:
    """How many different rows there are, by a 64-bit hash of each."""
    bits = [
        content.codes.astype(np.int64) if isinstance(content, Texts) else (content.array + 0.0).view(np.int64)
        for content in values
    ]
    return len(np.unique(mixed(bits)))


def _remarked(remarks: dict[str, str]) -> list[str]:
    return [f"column {name!r}: {remark}" for name, remark in remarks.items()]
