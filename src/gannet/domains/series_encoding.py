"""Series as the game sees them: [attributes and channels, length], and the way back to a panel.

The first `constants` channels keep one value over all steps: where the series ends, when it starts, what stays the
same in it, and the mean and deviation by which its numbers were scaled. `Encoding.fit(...)`, then `encode`, `decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gannet.domains import columns as encoders
from gannet.domains.columns import Column, Encoded
from gannet.domains.series_clock import Clock
from gannet.domains.series_panel import Named, Panel, laid_out
from gannet.domains.series_shape import Shape
from gannet.domains.series_smooth import Smooth
from gannet.domains.table_rows import Layout
from gannet.domains.table_settling import encoder
from gannet.domains.table_stretches import place, pooled_cuts, read
from gannet.domains.table_values import Form, Numbers, Values
from gannet.errors import GannetError
from gannet.spec import Block

Track = Smooth | Column
"""A course is a `Smooth` number, or a column of the tables where it is a choice, a constant or nothing to learn."""
GAP = "gap before a step"


@dataclass(frozen=True)
class Encoding:
    """Everything that is learned of the data before the game; JSON values."""

    length: int
    ends: tuple[float, ...] | None
    """Cuts between the lengths 1, 2, ... in [-1, 1] (see `table_stretches`); None where all are equal."""
    clock: Clock | None
    identity: tuple[Form, Column] | None
    free: tuple[tuple[Form, Column], ...]
    """Constants that the game plays."""
    given: tuple[tuple[Form, Column], ...]
    """Constants that it is given, as conditions."""
    tracks: tuple[tuple[Form, Track], ...]
    """Courses, the gaps between uneven steps last."""
    shape: Shape | None
    """None without a smooth course."""

    # -------------------------------------------------------------------------------------------------- fitting

    @classmethod
    def fit(cls, panel: Panel, asked: Sequence[str], wanted: dict[str, str], length: int, least: int) -> Encoding:
        """From the series of a panel; `asked` names the constants that samples can be asked for."""
        lengths = panel.lengths
        counts = np.bincount(lengths, minlength=length + 1)[1:]
        clock = None if panel.time is None else Clock.fit(panel.time, panel)
        constants = [
            (column.form, encoder(column.form, column.values, wanted, list(asked), {}, least))
            for column in panel.constants
        ]
        tracks = [(course.form, _track(course, panel, wanted)) for course in panel.courses]
        if clock is not None and not clock.even:
            _, alive = panel.places(length)
            gap = _gap_column(panel, clock, length)
            gap = Named(gap.form, gap.values.take(np.flatnonzero(alive.ravel())))
            tracks.append((gap.form, _track(gap, None, wanted)))
        empty = cls(
            length,
            None if (lengths == length).all() else pooled_cuts(counts),
            clock,
            None if panel.identity is None else (panel.identity.form, _identity(panel.identity)),
            tuple(pair for pair in constants if pair[0].name not in asked),
            tuple(pair for pair in constants if pair[0].name in asked),
            tuple(tracks),
            None,
        )
        smooth = [track for _, track in tracks if isinstance(track, Smooth)]
        if not smooth:
            return empty
        random = np.random.default_rng(0)
        standard, alive = empty._standard(panel, random)
        noise = np.array([track.noise for track in smooth])
        apart = np.array([bool(track.masses) for track in smooth])
        return cls(**{**vars(empty), "shape": Shape.fit(standard, alive, noise, apart, random)})

    # -------------------------------------------------------------------------------------------------- layout

    @property
    def components(self) -> int:
        """Smooth courses after columns that go together were turned."""
        return 0 if self.shape is None else self.shape.components

    @property
    def columns(self) -> list[Column]:
        """What is encoded by columns of the tables among the attributes: the start, then the free constants."""
        return [*(() if self.clock is None else self.clock.parts), *(column for _, column in self.free)]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All channels in order: attributes, then what changes from step to step."""
        return self._attribute_blocks() + self._course_blocks()

    @property
    def constants(self) -> int:
        """How many of the channels are attributes."""
        return sum(block.width for block in self._attribute_blocks())

    def _attribute_blocks(self) -> tuple[Block, ...]:
        ends = (Block("numbers", 1),) if self.ends is not None else ()
        columns = tuple(block for column in self.columns for block in column.blocks)
        own = () if self.shape is None else (Block("numbers", self.shape.width),)
        return ends + columns + own

    def _course_blocks(self) -> tuple[Block, ...]:
        blocks = [Block("numbers", self.components)] if self.components else []
        for _, track in self.tracks:
            if isinstance(track, Smooth):
                blocks += [Block("choice", track.choice_width)] if track.choice_width else []
            else:
                blocks += track.blocks
        return tuple(blocks)

    # -------------------------------------------------------------------------------------------------- encoding

    def encode(self, panel: Panel, random: np.random.Generator | None = None) -> np.ndarray:
        """A panel -> samples [n, channels, length] float32; `random` spreads what is rounded over its step."""
        if (panel.lengths > self.length).any():
            raise GannetError(f"a series of {panel.lengths.max():,} steps: this model's have at most {self.length:,}")
        attributes = [self._ends(panel.lengths, random), self._columns(panel, random)]
        courses: list[np.ndarray] = []
        places, alive = panel.places(self.length)
        if self.shape is not None:
            own, moving = self.shape.apply(*self._standard(panel, random), random)
            attributes.append(own)
            courses.append(moving)
        for course, (_, track) in zip(self._courses(panel), self.tracks, strict=True):
            courses += _levels(course, track, places, random)
        steps = np.concatenate([np.zeros((*alive.shape, 0)), *courses], 2) * alive[:, :, None]
        fixed = np.concatenate(attributes, 1)
        still = np.broadcast_to(fixed[:, :, None], (*fixed.shape, self.length))
        return np.concatenate([still, steps.transpose(0, 2, 1)], 1).astype(np.float32)

    def courses(self, samples: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """The smooth courses [n, length, columns] of samples in units of their own, and where the series go on."""
        alive = self.alive(samples)
        if self.shape is None:
            return None, alive
        own = samples[:, self.constants - self.shape.width : self.constants].astype(np.float64).mean(2)
        steps = samples[:, self.constants : self.constants + self.components].astype(np.float64).transpose(0, 2, 1)
        return self.shape.undo(own, steps * alive[:, :, None], alive), alive

    def steps(self, panel: Panel) -> tuple[np.ndarray, np.ndarray, int]:
        """What each step holds [n, length, inputs], numbers first and in units of their own, then levels and gaps.

        With it, whether the series goes on at the step [n, length], and how many of the inputs are numbers.
        """
        places, alive = panel.places(self.length)
        numbers: list[np.ndarray] = []
        levels: list[np.ndarray] = []
        for course, (_, track) in zip(self._courses(panel), self.tracks, strict=True):
            at = np.arange(places.size).reshape(places.shape) if course.name == GAP else places
            if isinstance(track, Smooth):
                assert isinstance(course.values, Numbers)
                scaled = track.scaled(course.values.array)[at][:, :, None]
                numbers.append(np.nan_to_num(scaled))
                levels += [np.isnan(scaled)] if track.missing else []
            elif track.choice_width:
                levels.append(_levels(course, track, places, None)[0])
        values = np.concatenate([np.zeros((*alive.shape, 0)), *numbers, *levels], 2) * alive[:, :, None]
        return values.astype(np.float32), alive, len(numbers)

    @property
    def numbers(self) -> list[str]:
        """The names of the numbers among the `steps`."""
        return [form.name for form, track in self.tracks if isinstance(track, Smooth)]

    def condition(self, panel: Panel) -> np.ndarray | None:
        """What the series are asked to be [n, width] float32; None without anything to ask for."""
        if not self.given:
            return None
        values = {column.name: column.values for column in panel.constants}
        given = [column.encode(_there(values, form)) for form, column in self.given]
        return self.condition_layout.pack(given, len(panel)).expand().numpy()

    @property
    def condition_layout(self) -> Layout:
        """Where the given constants lie in a condition vector."""
        return Layout.of([column for _, column in self.given])

    def _courses(self, panel: Panel) -> list[Named]:
        """The courses of a panel in the order of the tracks, as rectangles need them."""
        found = {course.name: course for course in panel.courses}
        courses = []
        for form, _ in self.tracks:
            if form.name == GAP:
                assert self.clock is not None
                courses.append(_gap_column(panel, self.clock, self.length))
            elif form.name not in found:
                raise GannetError(f"the series lack the column {form.name!r}")
            else:
                courses.append(found[form.name])
        return courses

    def _standard(self, panel: Panel, random: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """The smooth courses [n, length, columns] in units of their own, gaps filled, and where series go on."""
        places, alive = panel.places(self.length)
        filled = []
        for course, (_, track) in zip(self._courses(panel), self.tracks, strict=True):
            if isinstance(track, Smooth):
                assert isinstance(course.values, Numbers)
                if not track.missing and course.values.missing.any():
                    raise GannetError(
                        f"column {course.name!r} holds missing values, but none were there in training; fill them"
                    )
                standard = track.standard(course.values.array, random)
                shown = standard.reshape(places.shape) if course.name == GAP else standard[places]
                filled.append(_filled(shown, alive))
        return np.stack(filled, 2), alive

    def _ends(self, lengths: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
        if self.ends is None:
            if (lengths != self.length).any():
                raise GannetError(f"a series of {lengths.min():,} steps: all of this model's have {self.length:,}")
            return np.zeros((len(lengths), 0))
        return place(lengths - 1, np.array(self.ends), random)[:, None]

    def _columns(self, panel: Panel, random: np.random.Generator | None) -> np.ndarray:
        """The attributes that columns of the tables encode [n, features]."""
        values = {column.name: column.values for column in panel.constants}
        starts: list[Values] = [] if self.clock is None else [*self.clock.starts(panel)]
        everything = [*starts, *(_there(values, form) for form, _ in self.free)]
        encoded = [column.encode(each, random) for column, each in zip(self.columns, everything, strict=True)]
        return Layout.of(self.columns).pack(encoded, len(panel)).expand().numpy()

    # -------------------------------------------------------------------------------------------------- decoding

    def alive(self, samples: np.ndarray) -> np.ndarray:
        """Whether each series of samples [n, channels, length] goes on at each step [n, length]."""
        lengths = np.full(len(samples), self.length)
        if self.ends is not None:
            lengths = 1 + read(samples[:, 0].mean(1), np.array(self.ends))
        return np.arange(self.length) < lengths[:, None]

    def decode(self, samples: np.ndarray, given: np.ndarray | None, random: np.random.Generator) -> Panel:
        """Samples [n, channels, length] and their conditions -> a panel; `random` draws what is not learned."""
        count, alive = len(samples), self.alive(samples)
        constants = self.constants
        fixed = samples[:, :constants].astype(np.float64).mean(2)
        steps = samples[:, constants:].astype(np.float64).transpose(0, 2, 1)
        start = 1 if self.ends is not None else 0
        layout = Layout.of(self.columns)
        encoded = layout.split(fixed[:, start : start + layout.width].astype(np.float32))
        values = [column.decode(each, count, random) for column, each in zip(self.columns, encoded, strict=True)]
        starts, plain = values[: len(values) - len(self.free)], values[len(values) - len(self.free) :]
        courses = self._restored(fixed[:, start + layout.width :], steps, alive, random)
        time = self._times(starts, courses, alive)
        begin, end = laid_out(alive.sum(1))
        shown = [
            Named(form, _flat(course, alive))
            for (form, _), course in zip(self.tracks, courses, strict=True)
            if form.name != GAP
        ]
        named = [Named(form, each) for (form, _), each in zip(self.free, plain, strict=True)]
        if given is not None:
            asked = zip(self.given, self.condition_layout.split(given), strict=True)
            named += [Named(form, column.decode(each, count, random)) for (form, column), each in asked]
        identity = None
        if self.identity is not None:
            form, column = self.identity
            identity = Named(form, column.decode(Encoded(None, None), count, random))
        return Panel(begin, end, tuple(shown), tuple(named), identity, time)

    def _restored(
        self, own: np.ndarray, steps: np.ndarray, alive: np.ndarray, random: np.random.Generator
    ) -> list[Values]:
        """Each track's values [n * length], from the series' own attributes and the channels [n, length, channels]."""
        standard = None
        if self.shape is not None:
            standard = self.shape.undo(own, steps[:, :, : self.components] * alive[:, :, None], alive)
        start, smooth, out = self.components, 0, list[Values]()
        for _, track in self.tracks:
            width = track.choice_width
            codes = steps[:, :, start : start + width].argmax(2) if width else None
            start += width
            if isinstance(track, Smooth):
                assert standard is not None
                out.append(Numbers(track.restore(standard[:, :, smooth], codes).ravel()))
                smooth += 1
                continue
            numbers = None
            if track.has_number:
                numbers, start = steps[:, :, start].ravel().astype(np.float32), start + 1
            flat = None if codes is None else codes.ravel().astype(np.uint16)
            out.append(track.decode(Encoded(flat, numbers), alive.size, random))
        return out

    def _times(self, starts: Sequence[Values], courses: Sequence[Values], alive: np.ndarray) -> Named | None:
        if self.clock is None:
            return None
        gaps = None
        if not self.clock.even:
            gap = courses[-1]
            assert isinstance(gap, Numbers)
            gaps = np.maximum(gap.array.reshape(alive.shape), 0)
        parts = [part for part in starts if isinstance(part, Numbers)]
        times = self.clock.times(parts, gaps, self.length)
        return Named(self.clock.form, Numbers(times[alive]))

    # -------------------------------------------------------------------------------------------------- state

    def to_json(self) -> dict[str, Any]:
        def pairs(items: Sequence[tuple[Form, Track]]) -> list[Any]:
            return [[form.to_json(), isinstance(track, Smooth), track.to_json()] for form, track in items]

        return {
            "length": self.length,
            "ends": None if self.ends is None else list(self.ends),
            "clock": None if self.clock is None else self.clock.to_json(),
            "identity": None if self.identity is None else pairs([self.identity])[0],
            "free": pairs(self.free),
            "given": pairs(self.given),
            "tracks": pairs(self.tracks),
            "shape": None if self.shape is None else self.shape.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Encoding:
        """The inverse of `to_json`."""

        def pair(item: list[Any]) -> tuple[Form, Any]:
            form, smooth, track = item
            return Form.from_json(form), Smooth.from_json(track) if smooth else encoders.from_json(track)

        return cls(
            data["length"],
            None if data["ends"] is None else tuple(data["ends"]),
            None if data["clock"] is None else Clock.from_json(data["clock"]),
            None if data["identity"] is None else pair(data["identity"]),
            tuple(map(pair, data["free"])),
            tuple(map(pair, data["given"])),
            tuple(map(pair, data["tracks"])),
            None if data["shape"] is None else Shape.from_json(data["shape"]),
        )


# ---------------------------------------------------------------------------------------------------------- details


def _track(course: Named, panel: Panel | None, wanted: dict[str, str]) -> Track:
    """How a course is played: a column of the tables where that is a choice, a constant or not learned."""
    column = encoder(course.form, course.values, wanted, [], {course.name: "a course"}, 1)
    if isinstance(column, encoders.Number):
        return Smooth.fit(course, panel)
    return column


def _there(constants: dict[str, Values], form: Form) -> Values:
    """The values of a constant, by its name."""
    if form.name not in constants:
        raise GannetError(f"the series lack the column {form.name!r}, or it changes within a series")
    return constants[form.name]


def _identity(identity: Named) -> Column:
    return encoders.fit(identity.form, identity.values, wanted="id")


def _gap_column(panel: Panel, clock: Clock, length: int) -> Named:
    """The gaps of a panel as one course, a value a place of the rectangle (not a step)."""
    gaps = clock.gaps(panel, length)
    whole = bool((gaps % 1 == 0).all())
    return Named(Form(GAP, "integer" if whole else "decimal", "float64"), Numbers(gaps.ravel()))


def _levels(course: Named, track: Track, places: np.ndarray, random: np.random.Generator | None) -> list[np.ndarray]:
    """The channels [n, length, width] of a course beside its smooth number."""
    at = np.arange(places.size).reshape(places.shape) if course.name == GAP else places
    if isinstance(track, Smooth):
        assert isinstance(course.values, Numbers)
        return [_one_hot(track.levels(course.values.array)[at], track.choice_width)] if track.choice_width else []
    encoded = track.encode(course.values, random)
    channels = [] if encoded.codes is None else [_one_hot(encoded.codes.astype(np.int64)[at], track.choice_width)]
    return channels + ([] if encoded.numbers is None else [encoded.numbers[at][:, :, None]])


def _one_hot(codes: np.ndarray, width: int) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[codes]


def _filled(values: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Values [n, length] with each gap bridged by a straight line, ends held; 0 where a series has no value at all."""
    out = np.where(alive, values, np.nan)
    places = np.arange(values.shape[1])
    for row in np.flatnonzero((np.isnan(out) & alive).any(1)):
        known = ~np.isnan(out[row])
        out[row] = np.interp(places, places[known], out[row][known]) if known.any() else 0.0
    return np.where(alive, np.nan_to_num(out), 0.0)


def _flat(values: Values, alive: np.ndarray) -> Values:
    """Values at all places [n * length] -> at the steps alone."""
    return values.take(np.flatnonzero(alive.ravel()))
