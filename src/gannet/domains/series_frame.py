"""The user's form of series: a long frame of a row a step, or an array [n, length, columns]; and files of either.

`frame.build(panel)`, `frame.panel(decoded)` the way back, `frame.write(decoded, path)`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gannet.domains import table_files as files
from gannet.domains.series_arrays import TimeSeries, from_arrays
from gannet.domains.series_long import long_panel
from gannet.domains.series_panel import Named, Panel
from gannet.domains.table_frames import kind_of, take
from gannet.domains.table_pandas import PandasShell
from gannet.domains.table_settling import conform
from gannet.domains.table_values import Form, Numbers, Texts, Values, spell
from gannet.domains.table_writing import as_json, write_parquet
from gannet.errors import GannetError, did_you_mean

if TYPE_CHECKING:
    from gannet.domains.series_encoding import Encoding
    from gannet.domains.series_source import Found

SERIES, STEP = "series", "step"


@dataclass(frozen=True)
class Frame:
    """Which columns a long frame has, in order, and by what the rows of a series are known."""

    kind: Literal["frame", "arrays"]
    forms: tuple[Form, ...]
    """All columns in the order in which they are written; where series have no names, a number of the series first."""
    entity: str
    time: str
    """The column that orders the steps, made up where there was none."""
    constants: tuple[str, ...]
    made_up: tuple[str, ...]
    """Those of the columns that the source did not have."""
    delimiter: str

    @classmethod
    def of(cls, found: Found, encoding: Encoding) -> Frame:
        """The form in which the samples of a source come back."""
        panel = found.panel
        forms = {form.name: form for form, _ in (*encoding.tracks, *encoding.free, *encoding.given)}
        forms |= {column.name: column.form for column in (panel.identity, panel.time) if column is not None}
        made_up = []
        for missing, wanted in ((panel.identity, SERIES), (panel.time, STEP)):
            if missing is None:
                name = wanted
                while name in forms:
                    name += "_"
                forms[name] = Form(name, "integer", "int64")
                made_up.append((wanted, name))
        names = dict(made_up)
        entity = names[SERIES] if panel.identity is None else panel.identity.name
        time = names[STEP] if panel.time is None else panel.time.name
        order = [name for _, name in made_up] + found.order
        constants = tuple(column.name for column in panel.constants)
        ordered = tuple(forms[name] for name in order)
        return cls(found.form, ordered, entity, time, constants, tuple(names.values()), found.delimiter)

    # ------------------------------------------------------------------------------------------- there and back

    def build(self, panel: Panel) -> Any:
        """A pandas frame of a row a step, or an array [n, length, columns] with NaN past the end."""
        if self.kind == "arrays":
            return _rectangle(panel)
        values = self._values(panel)
        return PandasShell([form.name for form in self.forms]).build(self.forms, values)

    def _values(self, panel: Panel) -> list[Values]:
        """Each column of the long frame, in order."""
        owner = np.repeat(np.arange(len(panel)), panel.lengths)
        found: dict[str, Values] = {column.name: column.values for column in panel.courses}
        found |= {column.name: column.values.take(owner) for column in panel.constants}
        if panel.identity is not None:
            found[self.entity] = panel.identity.values.take(owner)
        else:
            found[self.entity] = Numbers(owner + 1.0)
        if panel.time is not None:
            found[self.time] = panel.time.values
        else:
            found[self.time] = Numbers((np.arange(len(owner)) - panel.begin[owner]).astype(np.float64))
        return [found[form.name] for form in self.forms]

    def panel(self, decoded: Any) -> Panel:
        """A frame or array as `build` gives it -> its panel."""
        if self.kind == "arrays" and kind_of(decoded) != "pandas":
            begin, end, courses, _ = from_arrays(TimeSeries(decoded, names=self._channels()), "the arrays")
            return Panel(begin, end, tuple(courses))
        if kind_of(decoded) is None:
            raise GannetError(f"{type(decoded).__name__}: no series; give a data frame of a row a step")
        _, names, columns = take(decoded)
        lost = [form.name for form in self.forms if form.name not in names]
        if lost:
            raise GannetError(f"the series lack the column {lost[0]!r}; {did_you_mean(lost[0], names)}")
        raw = dict(zip(names, columns, strict=True))
        found = [Named(form, conform(raw[form.name], form)) for form in self.forms]
        constants, made_up = set(self.constants), set(self.made_up)
        return long_panel(found, entity=self.entity, time=self.time, constants=constants, made_up=made_up)

    def _channels(self) -> list[str]:
        return [form.name for form in self.forms if form.name not in (*self.made_up, *self.constants)]

    # ----------------------------------------------------------------------------------------------------- files

    def write(self, decoded: Any, out: Path) -> list[Path]:
        """One file by its ending."""
        if out.suffix.lower() == ".npz":
            self._write_arrays(decoded, out)
            return [out]
        path = files.target(out)
        suffix = files.suffix_of(path)
        panel = self.panel(decoded)
        values = self._values(panel)
        if suffix == ".parquet":
            write_parquet(PandasShell([form.name for form in self.forms]).build(self.forms, values), path)
            return [path]
        headers = [form.name for form in self.forms]
        if suffix == ".json":
            files.write_json(path, headers, [as_json(*pair) for pair in zip(values, self.forms, strict=True)])
            return [path]
        columns = [
            np.where(content.missing, form.spelling.missing, spell(content, form))
            for content, form in zip(values, self.forms, strict=True)
        ]
        delimiter = "\t" if suffix.startswith(".tsv") else self.delimiter if self.delimiter != "\t" else ","
        files.write_text(path, headers, columns, delimiter)
        return [path]

    def _write_arrays(self, decoded: Any, path: Path) -> None:
        """`values` [n, length, numeric columns] with their `columns`, `lengths`, and every other column by its name."""
        panel = self.panel(decoded)
        numeric = [course for course in panel.courses if isinstance(course.values, Numbers)]
        arrays: dict[str, np.ndarray] = {"lengths": panel.lengths}
        if numeric:
            arrays["values"] = _rectangle(Panel(panel.begin, panel.end, tuple(numeric)))
            arrays["columns"] = np.array([course.name for course in numeric])
        places, alive = panel.places(int(panel.lengths.max()))
        others = [course for course in panel.courses if isinstance(course.values, Texts)]
        for course in others + ([panel.time] if panel.time is not None else []):
            arrays[course.name] = np.where(alive, _words(course)[places], "").astype(str)
        for column in [*panel.constants, *([panel.identity] if panel.identity is not None else [])]:
            numbers = isinstance(column.values, Numbers) and column.form.meaning in ("integer", "decimal")
            arrays[column.name] = column.values.array if numbers else _words(column).astype(str)  # type: ignore[union-attr]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    # ----------------------------------------------------------------------------------------------------- state

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "forms": [form.to_json() for form in self.forms]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Frame:
        lists = {name: tuple(data[name]) for name in ("constants", "made_up")}
        return cls(**{**data, **lists, "forms": tuple(Form.from_json(form) for form in data["forms"])})


def _rectangle(panel: Panel) -> np.ndarray:
    """Courses of numbers as [n, length, columns], NaN past the end and where missing."""
    places, alive = panel.places(int(panel.lengths.max()))
    single = all(course.form.dtype == "float32" for course in panel.courses)
    columns = []
    for course in panel.courses:
        assert isinstance(course.values, Numbers)
        columns.append(np.where(alive, course.values.array[places], np.nan))
    return np.stack(columns, 2).astype(np.float32 if single else np.float64)


def _words(column: Named) -> np.ndarray:
    """The values as text [n], empty where missing."""
    return np.where(column.values.missing, "", spell(column.values, column.form))
