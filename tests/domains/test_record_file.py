"""Records on disk: what is written is read, in any order and process; a folder is whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gannet.domains.record_file import RecordFile, RecordWriter, fresh_folder, read_index, write_index
from gannet.errors import GannetError


def written(path: Path, count: int = 50, shape: tuple[int, ...] = (3, 4, 2)) -> np.ndarray:
    records = np.random.RandomState(0).randint(256, size=(count, *shape)).astype(np.uint8)
    with RecordWriter(path, shape) as writer:
        writer.append(records[:20])
        writer.append(records[20:])
    return records


def test_records_come_back_in_the_order_asked_repeats_included(tmp_path: Path) -> None:
    records = written(tmp_path / "r")
    file = RecordFile(tmp_path / "r", (3, 4, 2))
    indices = np.array([49, 0, 7, 7, 31])
    assert len(file) == 50
    assert np.array_equal(file.read(indices), records[indices])
    assert file.read(np.array([], dtype=int)).shape == (0, 3, 4, 2)
    assert np.array_equal(np.concatenate(list(file.blocks(size=100))), records)


def test_a_file_cut_or_removed_after_opening_is_named_with_the_remedy(tmp_path: Path) -> None:
    written(tmp_path / "r")
    file = RecordFile(tmp_path / "r", (3, 4, 2))
    (tmp_path / "r").write_bytes(b"short")
    with pytest.raises(GannetError, match=r"ends too early.*delete the folder"):
        file.read(np.array([10]))
    (tmp_path / "r").unlink()
    with pytest.raises(GannetError, match="cannot be read"):
        file.read(np.array([10]))


def test_a_folder_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), fresh_folder(tmp_path / "cache") as fresh:
        (fresh / "part").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_finished_folder_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "old").write_text("old")
    with fresh_folder(tmp_path / "cache") as fresh:
        (fresh / "data").write_text("new")
        write_index(fresh, {"answer": 42})
    assert read_index(tmp_path / "cache") == {"answer": 42}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "data", "index.json"]


def test_an_index_is_refused_when_it_or_a_file_beside_it_is_hurt(tmp_path: Path) -> None:
    assert read_index(tmp_path) is None
    (tmp_path / "data").write_bytes(b"12345")
    write_index(tmp_path, {"answer": 42})
    index = tmp_path / "index.json"
    good = index.read_text()
    for bad in (good.replace("42", "43"), good[:-9], "", "[]", "null"):
        index.write_text(bad)
        assert read_index(tmp_path) is None
    index.write_text(good)
    assert read_index(tmp_path) == {"answer": 42}
    (tmp_path / "data").write_bytes(b"1234")
    assert read_index(tmp_path) is None
