"""A checkpoint is whole or does not count, gives back exactly what was saved, and says how it is hurt."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from gannet.checkpoint import (
    TEMPORARY,
    Checkpoint,
    dump_json,
    explained,
    list_checkpoints,
    load_into,
    parse_json,
    replace_file,
    write_checkpoint,
)
from gannet.errors import GannetError

TYPES = [
    *(torch.int64, torch.float64, torch.float32, torch.int32, torch.bfloat16),
    *(torch.float16, torch.int16, torch.int8, torch.uint8, torch.bool),
]


def digests(checkpoint: Checkpoint) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoint.path.iterdir()}


def small(folder: Path, seen: int = 8) -> Checkpoint:
    groups = {"networks": {"weight": torch.arange(6.0).view(2, 3)}, "ema": {"weight": torch.ones(3)}}
    return write_checkpoint(folder, seen, groups, {"step": 2})


def flip_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_type_and_shape_comes_back_as_it_was(tmp_path: Path, dtype: torch.dtype) -> None:
    named = {
        "matrix": (torch.rand(4, 3) * 9).to(dtype),
        "scalar": torch.tensor(1).to(dtype),
        "empty": torch.zeros(0, 5).to(dtype),
        'odd.name é "quoted"': torch.ones(1).to(dtype),
    }
    groups, _ = write_checkpoint(tmp_path, 0, {"networks": named}, {}).read()
    assert groups["networks"].keys() == named.keys()
    for name, tensor in named.items():
        assert groups["networks"][name].dtype == dtype
        assert groups["networks"][name].shape == tensor.shape
        assert torch.equal(groups["networks"][name], tensor)


def test_the_files_are_those_the_safetensors_library_reads(tmp_path: Path) -> None:
    named = {f"{name}.{dtype}": (torch.rand(3, 2) * 9).to(dtype) for name in "ba" for dtype in TYPES}
    checkpoint = write_checkpoint(tmp_path, 0, {"networks": named}, {})
    with safetensors.safe_open(checkpoint.path / "networks.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(named)
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in named.items())


def test_shared_strided_and_tracked_tensors_save_their_values(tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    named = {
        "base": base,
        "alias": base,
        "row": base[1],
        "transposed": base.t(),
        "strided": base[:, ::2],
        "expanded": torch.tensor([7.0]).expand(3),
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": nn.Parameter(torch.rand(3)),
    }
    groups, _ = write_checkpoint(tmp_path, 0, {"networks": named}, {}).read()
    assert all(torch.equal(groups["networks"][name], tensor) for name, tensor in named.items())
    groups["networks"]["alias"].zero_()
    assert groups["networks"]["base"].sum() == base.sum(), "what was read shares no memory"


def test_groups_may_be_empty_and_absent(tmp_path: Path) -> None:
    assert write_checkpoint(tmp_path, 1, {"ema": {}}, {}).read() == ({"ema": {}}, {})
    assert write_checkpoint(tmp_path, 2, {}, {}).read() == ({}, {})


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    named = {"a": torch.rand(3), "b": torch.rand(2, 2), "c": torch.zeros(2, dtype=torch.int64)}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = write_checkpoint(tmp_path / "one", 5, {"x": named, "y": named}, {"p": 1, "q": [1.5, None]})
    backwards = dict(reversed(named.items()))
    two = write_checkpoint(tmp_path / "two", 5, {"y": backwards, "x": backwards}, {"q": [1.5, None], "p": 1})
    assert digests(one) == digests(two)


def test_the_state_comes_back_with_its_odd_numbers() -> None:
    state = {"best": math.inf, "worst": -math.inf, "list": [0.1, 1, None, True, "é"], "nested": {"x": 1e-320}}
    assert parse_json(dump_json(state)) == state
    assert math.isnan(parse_json(dump_json({"score": math.nan}))["score"])
    assert b"NaN" not in dump_json({"score": math.nan})


def test_json_nested_without_end_is_a_clean_error() -> None:
    with pytest.raises(ValueError):
        parse_json(b"[" * 200_000)


def test_the_mark_of_the_best_is_sealed_with_the_checkpoint(tmp_path: Path) -> None:
    assert not small(tmp_path).is_best()
    best = write_checkpoint(tmp_path, 9, {}, {}, best=True)
    assert best.is_best()
    (best.path / "manifest.json").write_text("{")
    assert not best.is_best()


@pytest.mark.fault(5)
def test_every_byte_of_a_checkpoint_is_watched(tmp_path: Path) -> None:
    checkpoint = small(tmp_path)
    for path in checkpoint.path.iterdir():
        whole = path.read_bytes()
        for position in range(0, len(whole), 3):
            flip_bit(path, position)
            try:
                changed = checkpoint.read()
            except GannetError as error:
                assert checkpoint.path.name in str(error)
            else:
                path.write_bytes(whole)
                assert str(changed) == str(checkpoint.read()), (path.name, position)
        path.write_bytes(whole)
    checkpoint.verify()


@pytest.mark.fault(5)
def test_a_hurt_file_is_named_with_its_injury(tmp_path: Path) -> None:
    checkpoint = small(tmp_path)
    path = checkpoint.path / "ema.safetensors"
    whole = path.read_bytes()
    flip_bit(path, len(whole) - 1)
    assert checkpoint.is_complete(), "the cheap check looks at sizes only"
    with pytest.raises(GannetError, match=r"000000008 is hurt: ema.safetensors was altered"):
        checkpoint.verify()
    path.write_bytes(whole[:-4])
    with pytest.raises(GannetError, match=f"ema.safetensors has {len(whole) - 4} bytes instead of {len(whole)}"):
        checkpoint.read()
    assert not checkpoint.is_complete()
    path.unlink()
    with pytest.raises(GannetError, match="ema.safetensors cannot be read"):
        checkpoint.verify()
    (checkpoint.path / "manifest.json").unlink()
    with pytest.raises(GannetError, match="manifest.json is missing"):
        checkpoint.verify()


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    "manifest",
    [
        {"format": 1, "best": False, "seen": 8, "files": {"../settings.json": {"bytes": 1, "sha256": ""}}},
        {"format": 1, "best": False, "seen": 9, "files": {}},
        {"format": 1, "best": False, "seen": 8, "files": {}},
        {"format": 1, "best": False, "seen": 8, "files": []},
        {"format": 1, "best": False, "seen": 8},
        {"format": 99, "best": False, "seen": 8, "files": {}},
        [],
        "text",
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path: Path, manifest: object) -> None:
    checkpoint = small(tmp_path)
    (checkpoint.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(GannetError, match="000000008 is hurt"):
        checkpoint.read()


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 16,
        (10**15).to_bytes(8, "little") + b"{}",
        b'\x3a\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[9999],"data_offsets":[0,8]}}  ' + b"\0" * 8,
        b'\x38\0\0\0\0\0\0\0{"a":{"dtype":"X99","shape":[2],"data_offsets":[0,8]}}   ' + b"\0" * 8,
    ],
)
def test_a_sealed_file_that_is_no_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    checkpoint = small(tmp_path)
    (checkpoint.path / "ema.safetensors").write_bytes(data)
    manifest = json.loads((checkpoint.path / "manifest.json").read_bytes())
    manifest["files"]["ema.safetensors"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (checkpoint.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(GannetError, match="ema.safetensors cannot be decoded"):
        checkpoint.read()


@pytest.mark.fault(2)
def test_saving_the_same_moment_again_never_leaves_it_without_a_checkpoint(tmp_path: Path) -> None:
    first = small(tmp_path)
    before = digests(first)
    second = write_checkpoint(tmp_path, 8, {}, {"step": 3})
    assert second.path.name == "000000008"
    old, new = list_checkpoints(tmp_path)
    assert (old.seen, new.seen) == (8, 8)
    assert digests(old) == before
    assert new.read() == ({}, {"step": 3})


def test_checkpoints_are_listed_by_their_moment(tmp_path: Path) -> None:
    for seen in (1_000_000_000, 999_999_999, 20, 3):
        write_checkpoint(tmp_path, seen, {}, {})
    (tmp_path / "notes").mkdir()
    (tmp_path / "000000007").write_text("a file, not a folder")
    assert [checkpoint.seen for checkpoint in list_checkpoints(tmp_path)] == [3, 20, 999_999_999, 1_000_000_000]
    assert list_checkpoints(tmp_path / "absent") == []


@pytest.mark.fault(2)
def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    small(tmp_path)
    unknown = {"x": torch.ones(2, dtype=torch.complex64)}
    with pytest.raises(AssertionError, match="complex64"):
        write_checkpoint(tmp_path, 9, {"ema": {"x": torch.ones(2)}, "networks": unknown}, {})
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path, 9, {}, {"step": object()})
    assert os.listdir(tmp_path) == ["000000008"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    path.unlink()
    path.mkdir()
    with pytest.raises(GannetError, match="cannot write best.json in"):
        replace_file(path, b"three")
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.json"], "the file written aside is gone"


@pytest.mark.fault(3)
def test_a_disk_that_fills_in_the_middle_of_a_save_costs_only_that_save(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="no resource limits on Windows")
    first = small(tmp_path)
    groups = {"ema": {"x": torch.zeros(9)}, "networks": {"x": torch.zeros(50_000)}}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as a quota: half of networks fits
    try:
        with pytest.raises(GannetError) as caught:
            write_checkpoint(tmp_path, 9, groups, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"cannot save a checkpoint in {tmp_path}: the disk or quota is full (0.2 MB needed, " in str(caught.value)
    assert "free some space" in str(caught.value)
    assert os.listdir(tmp_path) == ["000000008"]
    first.verify()


@pytest.mark.fault(3)
def test_a_save_that_cannot_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(10**15)
    with pytest.raises(GannetError, match=r"4,000,000,000\.\d MB needed, .* MB free"):
        write_checkpoint(tmp_path, 1, {"networks": {"x": huge}}, {})
    assert os.listdir(tmp_path) == []


def test_refusals_of_the_file_system_name_action_folder_and_cause(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(GannetError, match=r"cannot save a checkpoint in .*file: Not a directory; check the path"):
        write_checkpoint(file, 1, {}, {})
    with pytest.raises(GannetError, match="may not be written by this user"), explained("save", tmp_path):
        raise PermissionError(13, "Permission denied")


class Pair(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(2, width)
        self.register_buffer("strength", torch.tensor(0.5))
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))


def test_weights_load_into_an_equal_module() -> None:
    source, target = Pair(), Pair()
    load_into(target, source.state_dict(), "generator")
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda saved: saved.pop("strength"), r"generator does not fit: missing \['strength'\], unknown \[\]"),
        (lambda saved: saved.update(extra=torch.ones(1)), r"missing \[\], unknown \['extra'\]"),
        (
            lambda saved: saved.update({"linear.weight": torch.ones(5, 2)}),
            r"generator.linear.weight does not fit: saved \[5, 2\] float32, expected \[3, 2\] float32",
        ),
        (lambda saved: saved.update(strength=torch.tensor(1)), r"saved \[\] int64, expected \[\] float32"),
        (
            lambda saved: saved.update({"linear.bias": torch.tensor([1.0, math.nan, 2.0])}),
            "generator.linear.bias holds nan or infinite weights",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named_and_change_nothing(change, words: str) -> None:
    module = Pair()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    saved = dict(Pair().state_dict())
    change(saved)
    with pytest.raises(GannetError, match=words):
        load_into(module, saved, "generator")
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_tied_weight_is_saved_and_loaded(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        module[1].weight = module[0].weight
        return module

    source, target = tied(), tied()
    groups, _ = write_checkpoint(tmp_path, 1, {"networks": source.state_dict()}, {}).read()
    load_into(target, groups["networks"], "generator")
    assert torch.equal(target[1].weight, source[0].weight)
    assert target[1].weight is target[0].weight


def test_temporary_names_are_never_checkpoints() -> None:
    assert not TEMPORARY.removesuffix("-old").isdigit()
