"""Pictures in a folder or a zip file: found, checked by header, labelled by sub-folder or CSV, decoded by threads.

A zip is read in place, never unpacked. Files that cannot be used are named with the reason, up to a stated share.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from gannet.domains.containers import Archive, Container, Folder
from gannet.domains.domain import Skipped
from gannet.domains.picture_decoding import SUFFIXES, Header, Picture, Refused, decode, read_header, sniff
from gannet.domains.picture_labels import class_column, folder_classes, folder_layout, table_columns
from gannet.domains.picture_source import ImageOptions, PictureSource, Survey
from gannet.errors import GannetError

THREADS = min(4, os.cpu_count() or 1)
AT_A_TIME = 256
"""Files handed to the threads at once, so that memory holds no more than twice these."""
HANDFUL = 16
"""Files that a thread takes at a time: handing over each by itself would cost as much as decoding it."""
BYTES_PER_PIXEL = 8
"""No honest file needs more for a pixel (four channels of 16 bits, uncompressed)."""
Item = TypeVar("Item")
Answer = TypeVar("Answer")

PROBED = 2000
"""Names looked at to tell whether a folder or zip is one of pictures."""


def claims_path(path: Path) -> bool:
    """Whether a folder or zip holds pictures: among its first names at least one in three, hidden ones aside."""
    try:
        if path.is_dir():
            names = _some_names(Folder(path))
        elif path.suffix.lower() == ".zip" and path.is_file():
            names = _some_names(Archive(path))
        else:
            return False
    except GannetError:
        return path.suffix.lower() == ".zip"  # `open` says what is wrong with it
    pictures = sum(_suffix(name) in SUFFIXES for name in names)
    return pictures > 0 and 3 * pictures >= len(names)


class PictureFiles(PictureSource):
    """The pictures of a folder or zip, in the order of their paths."""

    def __init__(self, path: Path, options: ImageOptions) -> None:
        self.name = str(path)
        self.container: Container = Folder(path) if path.is_dir() else Archive(path)
        self.limit, self.max_pixels = options.max_skipped, options.max_pixels
        self.attributes = options.attributes
        self.candidates = self.excused = 0

    def key(self) -> Any:
        outside = None
        if self.attributes is not None and Path(self.attributes).is_file():
            status = Path(self.attributes).stat()
            outside = [status.st_size, status.st_mtime_ns]
        return [self.container.stamp(), outside]

    def survey(self, options: ImageOptions) -> Survey:
        skipped: list[Skipped] = []
        names, ignored = self._candidates(skipped)
        if not names and not skipped:
            raise GannetError(f"{self.name}: no pictures here; known endings: {', '.join(sorted(SUFFIXES))}")
        root, splits, counts = folder_layout(names)
        inside = [name for name in names if name.startswith(root)]
        self.candidates = len(inside) + len(skipped)
        headers = dict(self._headers(inside, skipped))
        self._check_skips(skipped)
        survey = _survey_of(self.name, headers, skipped, ignored)
        if splits:
            left = len(names) - len(inside)
            survey.found.append(f"only {root} is read; {', '.join(splits)} left alone ({left:,} pictures), for tests")
        self._label(survey, root, counts, options)
        if options.attributes is not None:
            self._attributes(survey, root, options.attributes)
            self._check_skips(skipped)
        return survey

    def decode(
        self, survey: Survey, shape: tuple[int, int, int], options: ImageOptions
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        names = survey.names
        assert names is not None
        peak = 0

        def attempt(name: str) -> Picture | Refused:
            try:
                with self.container.open(name) as file:
                    return decode(file, shape, options.fit, self.max_pixels)
            except Refused as refused:
                return refused
            except Exception as error:  # zip and disk errors of many kinds; the file is named either way
                return Refused(f"cannot be read ({error})")

        start = 0
        for answers in in_threads(attempt, names):
            kept, pixels = [], []
            for place, answer in enumerate(answers, start):
                if isinstance(answer, Refused):
                    survey.skipped.append(Skipped(names[place], str(answer)))
                    continue
                kept.append(place)
                pixels.append(answer.pixels)
                peak = max(peak, answer.peak or 0)
            start += len(answers)
            self._check_skips(survey.skipped)
            if kept:
                yield np.array(kept), np.stack(pixels)
        if 0 < peak < 65535 // 4:
            survey.warnings.append(
                f"the 16-bit pictures reach only {peak:,} of 65,535 and will look dark: stretch them to the full range"
            )

    def original(self, name: str) -> bytes:
        """The file of a picture as it is. Raises OSError and zip errors when it cannot be read."""
        with self.container.open(name) as file:
            return file.read()

    def _candidates(self, skipped: list[Skipped]) -> tuple[list[str], int]:
        """Sorted names that may be pictures, and the number of files that are plainly something else."""
        names, ignored = [], 0
        for entry in self.container.entries():
            suffix = _suffix(entry.name)
            if _hidden(entry.name):
                ignored += 1
            elif suffix in SUFFIXES:
                problem = entry.problem or size_problem(entry.size, self.max_pixels)
                if problem:
                    skipped.append(Skipped(entry.name, problem))
                else:
                    names.append(entry.name)
            elif entry.name.endswith("/") or (entry.problem == "broken link" and not suffix):
                skipped.append(Skipped(entry.name, entry.problem or "cannot be read"))
            else:
                form = None if entry.problem or not entry.size else sniff(self.container.start(entry.name))
                if form is None:
                    ignored += 1
                else:
                    reason = f"a {form} picture by its content, but not by its ending: rename it to be used"
                    skipped.append(Skipped(entry.name, reason))
        return sorted(names), ignored

    def _headers(self, names: Sequence[str], skipped: list[Skipped]) -> Iterator[tuple[str, Header]]:
        def attempt(name: str) -> Header | str:
            try:
                with self.container.open(name) as file:
                    return read_header(file, self.max_pixels)
            except Refused as refused:
                return str(refused)
            except Exception as error:
                return f"cannot be read ({error})"

        answers = chain.from_iterable(in_threads(attempt, names))
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Header):
                yield name, answer
            else:
                skipped.append(Skipped(name, answer))

    def _check_skips(self, skipped: list[Skipped]) -> None:
        """Raise GannetError when more than the allowed share of the files is unusable."""
        if len(skipped) - self.excused <= self.limit * self.candidates:
            return
        first = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3])
        more = f"; and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
        raise GannetError(
            f"{self.name}: {len(skipped):,} of {self.candidates:,} picture files cannot be used, more than "
            f"max_skipped={self.limit:g} allows: {first}{more}. Mend or remove them, or raise max_skipped"
        )

    def _label(self, survey: Survey, root: str, counts: dict[str, int], options: ImageOptions) -> None:
        """Give the survey its class column when the folders are classes, and say what was decided."""
        assert survey.names is not None
        folders, why_not = folder_classes(survey.names, root, counts, options.labels, self.name)
        if folders is None:
            survey.found.append(str(why_not))
            return
        if not all(folders):
            _keep(survey, np.array([bool(folder) for folder in folders]), "lies outside the class folders")
            self.excused = len(folders) - len(survey)  # by our own rule, so not counted against the limit
        survey.columns.append(class_column("label", [folder for folder in folders if folder]))

    def _attributes(self, survey: Survey, root: str, attributes: str) -> None:
        assert survey.names is not None
        columns, known, notes = table_columns(self._text(attributes), attributes, survey.names, root)
        taken = {column.name for column in survey.columns}
        for column in columns:
            if column.name in taken:
                raise GannetError(
                    f"{attributes}: the attribute {column.name!r} has the name of another: rename it, or labels=false"
                )
            taken.add(column.name)
        survey.columns += columns
        survey.found += notes
        _keep(survey, known, f"no line in {attributes}")

    def _text(self, name: str) -> str:
        try:
            try:
                with self.container.open(name) as file:
                    return file.read().decode("utf-8")
            except (OSError, KeyError):
                return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GannetError(
                f"attributes={name}: cannot be read, neither in {self.name} nor as a path ({error}): give CSV in UTF-8"
            ) from error


def _survey_of(name: str, headers: dict[str, Header], skipped: list[Skipped], ignored: int) -> Survey:
    if not headers:
        first = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3])
        raise GannetError(f"{name}: none of its picture files can be read: {first}. Give others")
    survey = Survey(
        widths=np.array([header.width for header in headers.values()], dtype=np.int32),
        heights=np.array([header.height for header in headers.values()], dtype=np.int32),
        channels=max(header.channels for header in headers.values()),
        columns=[],
        names=list(headers),
        narrow=True,
        skipped=skipped,
    )
    aside = f"; {ignored:,} other files ignored" if ignored else ""
    formats = Counter(header.format for header in headers.values())
    kinds = ", ".join(f"{form} {count:,}" if len(formats) > 1 else form for form, count in formats.most_common())
    survey.found.append(f"{len(headers):,} pictures in {name} ({kinds}){aside}")
    animated = sum(header.animated for header in headers.values())
    if animated:
        survey.found.append(f"{animated:,} animated: only the first frame is used")
    wrong = [name for name, header in headers.items() if SUFFIXES[_suffix(name)] != header.format]
    if wrong:
        named = ", ".join(f"{name} ({headers[name].format})" for name in wrong[:3])
        survey.warnings.append(f"{len(wrong):,} files have another format's ending; read by content: {named}")
    return survey


def _keep(survey: Survey, kept: np.ndarray, reason: str) -> None:
    """Narrow the survey to a mask of its pictures; the others are skipped for one reason."""
    assert survey.names is not None
    survey.skipped += [Skipped(name, reason) for name, keep in zip(survey.names, kept, strict=True) if not keep]
    survey.names = [name for name, keep in zip(survey.names, kept, strict=True) if keep]
    survey.widths, survey.heights = survey.widths[kept], survey.heights[kept]
    survey.columns = [column.take(kept) for column in survey.columns]


def in_threads(function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[list[Answer]]:
    """What a function gives for each item, in order and in blocks; the next block is on its way meanwhile."""

    def several(part: Sequence[Item]) -> list[Answer]:
        return [function(item) for item in part]

    def begun(start: int) -> list[Future[list[Answer]]]:
        block = items[start : start + AT_A_TIME]
        return [pool.submit(several, block[first : first + HANDFUL]) for first in range(0, len(block), HANDFUL)]

    pool = ThreadPoolExecutor(THREADS)
    try:
        waiting = begun(0)
        for start in range(0, len(items), AT_A_TIME):
            now, waiting = waiting, begun(start + AT_A_TIME)
            yield [answer for part in now for answer in part.result()]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def size_problem(size: int, max_pixels: int) -> str | None:
    """Why a file of so many bytes is no honest picture."""
    if size == 0:
        return "empty file (0 bytes)"
    if size > BYTES_PER_PIXEL * max_pixels + (1 << 20):
        return f"oversized ({size:,} bytes for at most max_pixels={max_pixels:,})"
    return None


def _some_names(container: Container) -> list[str]:
    names = []
    for entry in container.entries():
        if not _hidden(entry.name):
            names.append(entry.name)
        if len(names) >= PROBED:
            break
    return names


def _hidden(name: str) -> bool:
    return (
        name.startswith((".", "__MACOSX/")) or "/." in name or PurePosixPath(name).name in ("Thumbs.db", "desktop.ini")
    )


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
