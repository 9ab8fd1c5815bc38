"""Inception-v3 without its weights: the layout, the variants of the 2015 network, and every way a file can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics.inception import InceptionFeatures, InceptionV3, Mixed, prepare

# Of the published port: 94 convolutions, each with its weight and its normalisation's four tensors and counter.
CONVOLUTIONS = 94
WEIGHTS_WITHOUT_CLASSIFIER = 21_785_568


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Random weights that keep the signal's size, in the layout of the published file, with its classifier."""
    draw = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in InceptionV3().state_dict().items()}
    made = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue  # older files have none
        if name.endswith("conv.weight"):
            made[name] = torch.randn(shape, generator=draw) * (2 / shape[1:].numel()) ** 0.5
        else:
            made[name] = torch.full(shape, 1.0 if name.endswith(("bn.weight", "running_var")) else 0.1)
    return {**made, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


@pytest.fixture(scope="module")
def file(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(weights, path)
    return path


@pytest.fixture(scope="module")
def features(file: Path) -> InceptionFeatures:
    return InceptionFeatures.from_file(file)


def test_the_network_has_the_published_number_of_weights_and_names() -> None:
    with torch.device("meta"):
        network = InceptionV3()
    names = set(network.state_dict())
    assert sum(weight.numel() for weight in network.parameters()) == WEIGHTS_WITHOUT_CLASSIFIER
    assert len(names) == 6 * CONVOLUTIONS
    for name in (
        "Conv2d_4a_3x3.conv.weight",
        "Mixed_5b.branch5x5_2.bn.running_mean",
        "Mixed_6a.branch3x3dbl_3.conv.weight",
        "Mixed_6e.branch7x7dbl_5.bn.bias",
        "Mixed_7a.branch7x7x3_4.conv.weight",
        "Mixed_7c.branch3x3dbl_3b.conv.weight",
        "Mixed_7c.branch_pool.bn.weight",
    ):
        assert name in names


def test_pictures_of_any_size_and_one_channel_give_2048_features(features: InceptionFeatures) -> None:
    grey = torch.randint(0, 256, (2, 1, 28, 20), dtype=torch.uint8)
    embedded = features.embed(grey, batch=1)
    assert embedded.shape == (2, 2048)
    assert bool(embedded.isfinite().all())
    assert float((embedded[0] - embedded[1]).abs().max()) > 1e-4
    assert torch.allclose(features.embed(grey.expand(-1, 3, -1, -1)), embedded, rtol=1e-4, atol=1e-5)


def test_floats_are_judged_as_the_bytes_they_would_be_stored_in() -> None:
    stored = torch.randint(0, 256, (2, 3, 9, 9), dtype=torch.uint8)
    floats = stored.float() / 127.5 - 1
    assert torch.allclose(prepare(floats + 0.003), prepare(stored), atol=1e-6)
    assert torch.allclose(prepare(floats * 0 + 7), torch.ones(2, 3, 299, 299))


def test_the_resize_keeps_flat_colours_and_averages_finer_detail_away() -> None:
    flat = torch.full((1, 3, 7, 5), 200, dtype=torch.uint8)
    assert torch.allclose(prepare(flat), torch.full((1, 3, 299, 299), 200 / 127.5 - 1), atol=1e-5)
    stripes = (torch.arange(1196) % 2 * 255).to(torch.uint8).expand(1, 3, 1196, 1196)
    assert float(prepare(stripes)[..., 5:-5].abs().max()) < 0.05  # without antialiasing it would alias


def test_the_pools_are_those_of_the_2015_network(weights: dict[str, Tensor]) -> None:
    network = InceptionV3()
    pools = {name: block.maximum for name, block in network.named_children() if isinstance(block, Mixed)}
    assert pools == {name: name == "Mixed_7c" for name in pools}
    constant = torch.ones(1, 192, 5, 5)
    # An average that counted the padding would darken the border of a constant picture.
    pooled = network.Mixed_5b.eval()._pooled(constant)
    assert torch.allclose(pooled[..., 0, 0], pooled[..., 2, 2])


def test_the_name_tells_which_weights(features: InceptionFeatures, file: Path, weights: dict[str, Tensor]) -> None:
    assert features.name.startswith("Inception-v3 pool3 (weights ")
    other = file.with_name("other.safetensors")
    save_file({**weights, "fc.bias": torch.ones(1008)}, other)
    assert InceptionFeatures.from_file(other).name != features.name


def test_a_pt_file_of_plain_tensors_is_read_too(
    weights: dict[str, Tensor], features: InceptionFeatures, tmp_path: Path
) -> None:
    torch.save(weights, tmp_path / "weights.pth")
    picture = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    assert torch.equal(InceptionFeatures.from_file(tmp_path / "weights.pth").embed(picture), features.embed(picture))


def test_missing_unexpected_and_misshapen_weights_are_named(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    for change, message in (
        (lambda all_: all_.pop("Mixed_5b.branch1x1.bn.bias"), "lacks 1 weights .*Mixed_5b.branch1x1.bn.bias"),
        (lambda all_: all_.update(extra=torch.zeros(1)), r"unknown 1 weights of Inception-v3 \(extra\)"),
        (lambda all_: all_.update({"Mixed_7a.branch3x3_1.bn.bias": torch.zeros(3)}), "shapes for 1 .*Mixed_7a.branch"),
    ):
        wrong = dict(weights)
        change(wrong)
        save_file(wrong, path)
        with pytest.raises(GannetError, match=message):
            InceptionFeatures.from_file(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(GannetError, match=r"lacks 470 weights .*, \.\.\."):
        InceptionFeatures.from_file(path)


def test_files_that_are_absent_damaged_or_not_plain_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GannetError, match="no such file; Gannet never fetches weights"):
        InceptionFeatures.from_file(tmp_path / "nothing.pt")
    for name in ("noise.pt", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(GannetError, match=f"{name}: cannot be read"):
            InceptionFeatures.from_file(tmp_path / name)
    torch.save(InceptionV3, tmp_path / "code.pt")  # a reference to code: weights_only refuses it
    with pytest.raises(GannetError, match="code.pt: cannot be read"):
        InceptionFeatures.from_file(tmp_path / "code.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(GannetError, match="list.pt: holds no dictionary"):
        InceptionFeatures.from_file(tmp_path / "list.pt")


def test_transparent_pictures_are_refused(features: InceptionFeatures) -> None:
    with pytest.raises(GannetError, match="1 or 3, height, width"):
        features.embed(torch.zeros(1, 4, 8, 8))
