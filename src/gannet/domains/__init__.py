"""Kinds of data, one a file; the registry is this dict, written by hand, in the order in which sources are offered."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from gannet.domains.domain import Dataset, Domain, Opened
from gannet.domains.images import Images
from gannet.domains.picture_decoding import SUFFIXES
from gannet.domains.points import DENSITIES, PREFIX, Points
from gannet.domains.series import Series
from gannet.domains.tables import Tables
from gannet.errors import GannetError, did_you_mean

__all__ = ["DOMAINS", "NOT_BUILT", "Dataset", "Domain", "Opened", "domain_for"]

DOMAINS: dict[str, type[Domain]] = {"points": Points, "series": Series, "images": Images, "tables": Tables}

NOT_BUILT: dict[str, tuple[str, ...]] = {
    "audio": (".wav", ".flac", ".mp3", ".ogg"),
    "music": (".mid", ".midi"),
    "text": (".txt", ".jsonl", ".txt.gz"),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".webm"),
    "molecules": (".smi", ".sdf", ".smi.gz"),
}
"""Kinds that are planned, by the endings of their files."""
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".bin")


def domain_for(source: Any) -> type[Domain]:
    """The kind of data that `source` is; GannetError says what is missing, planned or unknown."""
    if isinstance(source, str | Path) and "\0" in str(source):
        raise GannetError(f"{str(source)!r}: no path holds a NUL character")
    for domain in DOMAINS.values():
        if domain.claims(source):
            return domain
    if not isinstance(source, str | Path):
        raise GannetError(
            f"a {type(source).__name__} is no source Gannet knows: give pictures [n, height, width(, channels)], "
            "rows [n, columns], a data frame, or a path"
        )
    path = Path(source)
    named = str(source).lower()
    inside = _names_inside(path)
    for kind, endings in NOT_BUILT.items():
        if named.endswith(endings) or any(name.endswith(endings) for name in inside):
            raise GannetError(f"{source}: {kind} is a kind of data that is not built yet; built: {', '.join(DOMAINS)}")
    if not path.exists():
        names = [PREFIX + name for name in DENSITIES] + ["digits"]
        raise GannetError(
            f"{source}: no such file or folder, and no built-in data of that name; {did_you_mean(str(source), names)}"
        )
    if path.is_dir():
        raise GannetError(f"{source}: no pictures in this folder; give a folder or zip of pictures, or a CSV file")
    if named.endswith((".npy", ".npz")):
        raise GannetError(
            f"{source}: no array of pictures [n, height, width(, channels)] of numbers in it (Python objects are never "
            "loaded: they may run code); series: series:FILE"
        )
    if named.endswith(PICKLES):
        raise GannetError(f"{source}: such files may run code when they are loaded, so they never are; save as .npz")
    if named.endswith(tuple(SUFFIXES)):
        raise GannetError(f"{source}: one picture is not enough to learn from; give the folder it lies in")
    raise GannetError(
        f"{source}: files of this ending are not known; give pictures, .npz, .npy, .csv, .tsv or .parquet"
    )


def _names_inside(path: Path) -> list[str]:
    """Names of the files in a folder or a zip, in lower case; none for anything else."""
    if path.is_dir():
        return [child.name.lower() for child in path.iterdir()]
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return [name.lower() for name in archive.namelist()]
    return []
