"""Embedders trained on the user's pictures: the same again bit for bit, of any shape, and better at telling classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from gannet.errors import GannetError
from gannet.metrics import embedders
from gannet.metrics.embedders import (
    CODE,
    DAMAGES,
    WIDTHS,
    TrainedEmbedder,
    agreement,
    crops,
    damaged,
    joined_embedder,
    prepared,
    trained_embedder,
)
from gannet.metrics.frechet import frechet_distance

WIDTH = sum(WIDTHS) + CODE


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """All digits, shuffled: pictures [1797, 1, 8, 8] in [-1, 1] and their classes."""
    data = load_digits()
    order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(0))
    return (torch.from_numpy(data.images) / 8 - 1).float()[:, None][order], torch.from_numpy(data.target)[order]


@pytest.fixture(scope="module")
def by_labels(digits: tuple[Tensor, Tensor]) -> TrainedEmbedder:
    return shortly(digits[0][:800], digits[1][:800])


@pytest.fixture(scope="module")
def by_views(digits: tuple[Tensor, Tensor]) -> TrainedEmbedder:
    return shortly(digits[0][:800], None)


def shortly(pictures: Tensor, labels: Tensor | None) -> TrainedEmbedder:
    """Trained for a quarter of the usual time: two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedders, "VIEWS", 10_000)
        return trained_embedder(pictures, labels, seed=0)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any training, where it is not the quality that is tested."""
    monkeypatch.setattr(embedders, "VIEWS", 200)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def separation(features: Tensor, labels: Tensor) -> float:
    """Variance between the classes over variance within them."""
    means = torch.stack([features[labels == level].mean(0) for level in labels.unique()])
    within = float((features - means[labels]).square().sum(1).mean())
    return float((means[labels] - features.mean(0)).square().sum(1).mean()) / within


def neighbours_agree(known: Tensor, classes: Tensor, asked: Tensor, truth: Tensor) -> float:
    return float((classes[torch.cdist(asked, known).argmin(1)] == truth).float().mean())


# What it learns


def test_unseen_digits_of_a_class_lie_closer_together_than_in_raw_pixels(
    digits: tuple[Tensor, Tensor], by_labels: TrainedEmbedder
) -> None:
    pictures, labels = digits[0][800:], digits[1][800:]
    raw, features = separation(pictures.flatten(1), labels), by_labels.embed(pictures)
    assert separation(features, labels) > 1.1 * raw
    assert separation(features[:, -CODE:], labels) > 1.6 * raw, "the code is what classes are told by"


def test_the_nearest_known_digit_is_of_the_same_class_with_labels_and_without(
    digits: tuple[Tensor, Tensor], by_labels: TrainedEmbedder, by_views: TrainedEmbedder
) -> None:
    pictures, labels = digits
    for embedder, least in ((by_labels, 0.96), (by_views, 0.94)):
        known, asked = embedder.embed(pictures[:800]), embedder.embed(pictures[800:])
        assert neighbours_agree(known, labels[:800], asked, labels[800:]) > least, embedder.name


@pytest.mark.parametrize("taught", ["by_labels", "by_views"])
def test_more_noise_more_blur_and_fewer_classes_are_farther_away(
    taught: str, digits: tuple[Tensor, Tensor], request: pytest.FixtureRequest
) -> None:
    embedder = request.getfixturevalue(taught)
    real, other, classes = embedder.embed(digits[0][800:1300]), digits[0][1300:], digits[1][1300:]
    harm = torch.randn(other.shape, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(other, [1] * 4, mode="replicate"), 3, 1)
    series = {
        "noise": [other + amount * harm for amount in (0, 0.2, 0.4, 0.8)],
        "blur": [torch.lerp(other, soft, weight) for weight in (0, 0.3, 0.6, 1.0)],
        "classes": [other[classes < kept] for kept in (10, 7, 4, 2)],
    }
    for name, steps in series.items():
        distances = torch.tensor([frechet_distance(real, embedder.embed(step)) for step in steps])
        assert bool((distances.diff() > 0).all()), (name, distances)


# The same again, and nothing else touched


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("labelled", [True, False])
def test_the_same_data_and_seed_give_the_same_network_bit_for_bit(
    digits: tuple[Tensor, Tensor], labelled: bool
) -> None:
    pictures, labels = digits[0][:200], digits[1][:200] if labelled else None
    first, again = (trained_embedder(pictures, labels, seed=3) for _ in range(2))
    assert torch.equal(first.embed(pictures), again.embed(pictures))
    assert first.name == again.name
    other = trained_embedder(pictures, labels, seed=4)
    assert not torch.equal(first.embed(pictures), other.embed(pictures))
    assert len({first.name, other.name, trained_embedder(pictures + 0.1, labels, seed=3).name}) == 3


@pytest.mark.usefixtures("few")
def test_the_number_of_threads_changes_nothing_and_is_left_as_it_was() -> None:
    pictures = noise(300, 1, 28, 28)
    single = trained_embedder(pictures, None, seed=0)
    torch.set_num_threads(2)
    try:
        assert trained_embedder(pictures, None, seed=0).name == single.name
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.usefixtures("few")
def test_the_random_state_gradients_and_modes_of_the_caller_are_left_alone(digits: tuple[Tensor, Tensor]) -> None:
    pictures = digits[0][:100]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    plain = trained_embedder(pictures, None, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    with torch.inference_mode():
        inside = trained_embedder(pictures, None, seed=0)
        assert torch.equal(inside.embed(pictures), plain.embed(pictures)), "neither state nor mode may leak in"
    with torch.no_grad():
        assert trained_embedder(pictures, None, seed=0).name == plain.name
        assert not torch.is_grad_enabled()
    assert not plain.embed(pictures).requires_grad


# Any picture


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "shape", [(1, 4, 4), (1, 28, 28), (3, 32, 32), (4, 17, 40), (3, 5, 90), (3, 130, 70), (1, 4, 300)]
)
def test_any_channels_and_size_give_finite_features_one_row_each(shape: tuple[int, int, int]) -> None:
    pictures = noise(20, *shape)
    embedder = trained_embedder(pictures, torch.arange(20) % 2, seed=0)
    features = embedder.embed(pictures)
    assert features.shape == (20, WIDTH) and features.dtype == torch.float32 and bool(features.isfinite().all())
    assert torch.allclose(features[3:4], embedder.embed(pictures[3:4]), atol=1e-4), "a row depends on its picture alone"
    assert embedder.embed(pictures[:0]).shape == (0, WIDTH)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "labels", [torch.zeros(20), torch.arange(20), torch.full((20,), 7)], ids=["one class", "all alone", "one odd class"]
)
def test_labels_that_teach_nothing_are_left_unused(labels: Tensor) -> None:
    pictures = noise(20, 1, 8, 8)
    assert trained_embedder(pictures, labels, seed=0).name == trained_embedder(pictures, None, seed=0).name


@pytest.mark.usefixtures("few")
def test_classes_may_have_any_numbers() -> None:
    pictures, labels = noise(40, 1, 8, 8), torch.arange(40) % 2
    shown = trained_embedder(pictures, labels * 1000 - 5, seed=0)
    assert shown.taught == "labels"
    assert torch.equal(shown.embed(pictures), trained_embedder(pictures, labels, seed=0).embed(pictures))


@pytest.mark.usefixtures("few")
def test_constant_pictures_and_odd_values_do_no_harm() -> None:
    flat = torch.zeros(20, 3, 8, 8)
    embedder = trained_embedder(flat, None, seed=0)
    assert bool(embedder.embed(flat).isfinite().all())
    odd = torch.full((1, 3, 8, 8), float("nan"))
    assert torch.equal(embedder.embed(odd), embedder.embed(torch.full((1, 3, 8, 8), -9.0)))


def test_hidden_colour_under_full_transparency_is_not_seen() -> None:
    clear = torch.full((1, 4, 16, 16), -1.0)
    painted = torch.cat([noise(1, 3, 16, 16), clear[:, 3:]], 1)
    assert torch.equal(prepared(painted), prepared(clear))


def test_large_pictures_are_averaged_over_areas() -> None:
    stripes = (torch.arange(64) % 2 * 2.0 - 1).expand(1, 1, 64, 64)
    assert torch.equal(prepared(stripes), torch.zeros(1, 1, 32, 32))


# Kept and read back


@pytest.mark.usefixtures("few")
def test_the_cache_gives_the_same_network_and_only_for_the_same_data(tmp_path: Path) -> None:
    cache, pictures = tmp_path / "new folder" / "embedder.safetensors", noise(40, 3, 9, 12)
    made = trained_embedder(pictures, None, seed=0, cache=cache)
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]
    written = cache.stat().st_mtime_ns
    read = trained_embedder(pictures, None, seed=0, cache=cache)
    assert cache.stat().st_mtime_ns == written
    assert read.name == made.name and torch.equal(read.embed(pictures), made.embed(pictures))
    other = trained_embedder(pictures, None, seed=1, cache=cache)
    assert other.name != made.name and trained_embedder(pictures, None, seed=1, cache=cache).name == other.name


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("keep", [0, 5, 200, 50_000])
def test_a_damaged_cache_is_made_again(tmp_path: Path, keep: int) -> None:
    cache, pictures = tmp_path / "embedder.safetensors", noise(40, 1, 8, 8)
    made = trained_embedder(pictures, None, seed=0, cache=cache)
    whole = cache.read_bytes()
    cache.write_bytes(whole[:keep])
    assert trained_embedder(pictures, None, seed=0, cache=cache).name == made.name
    assert cache.read_bytes() == whole


@pytest.mark.usefixtures("few")
def test_the_state_goes_there_and_back_and_another_version_is_refused() -> None:
    pictures = noise(40, 1, 8, 8)
    made = trained_embedder(pictures, None, seed=0)
    tensors, described = made.state()
    again = TrainedEmbedder.from_state(tensors, described)
    assert again.name == made.name and torch.equal(again.embed(pictures), made.embed(pictures))
    with pytest.raises(GannetError, match="trained-pictures-0.*train it again"):
        TrainedEmbedder.from_state(tensors, {**described, "version": "trained-pictures-0"})


@pytest.mark.usefixtures("few")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(GannetError, match="embedder: cannot be written"):
        trained_embedder(noise(20, 1, 8, 8), None, seed=0, cache=tmp_path / "file" / "embedder")


# Joined


def test_joined_features_weigh_the_same_and_carry_both_names(
    digits: tuple[Tensor, Tensor], by_views: TrainedEmbedder
) -> None:
    pictures = digits[0][:300]
    joined = joined_embedder(by_views, lambda x: 50 * x.flatten(1), "pixels-1", pictures)
    features = joined.embed(pictures)
    assert features.shape == (300, WIDTH + 64) and features.dtype == torch.float32
    parts = [float(part.var(0).sum()) for part in features.split([WIDTH, 64], 1)]
    assert parts == pytest.approx([1, 1], rel=1e-4)
    assert joined.name == f"{by_views.name} + pixels-1"


# What it is taught by


def test_agreement_is_that_of_the_formula() -> None:
    views = noise(6, 5)
    unit = views / views.norm(dim=1, keepdim=True)
    likeness = torch.exp(unit @ unit.T / embedders.TEMPERATURE)
    expected = [
        -torch.log(likeness[row, (row + 3) % 6] / (likeness[row].sum() - likeness[row, row])) for row in range(6)
    ]
    assert float(agreement(views)) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-5)


def test_views_and_damage_keep_shapes_and_harm_every_kind_but_the_first() -> None:
    pictures, draw = noise(400, 3, 9, 12), torch.Generator().manual_seed(0)
    assert crops(pictures, draw).shape == pictures.shape
    harmed, kinds = damaged(pictures, draw)
    assert harmed.shape == pictures.shape and kinds.unique().tolist() == list(range(len(DAMAGES)))
    changed = (harmed != pictures).flatten(1).any(1)
    assert torch.equal(changed, kinds != 0)


# Refusals


@pytest.mark.parametrize(
    ("shape", "message"),
    [((20, 8, 8), "give .count, channels"), ((20, 1, 3, 8), "at least 4"), ((3, 1, 8, 8), "3 pictures are too few")],
)
def test_pictures_it_cannot_learn_from_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(GannetError, match=message):
        trained_embedder(torch.zeros(shape), None, seed=0)


@pytest.mark.usefixtures("few")
def test_labels_and_channels_that_do_not_fit_are_refused() -> None:
    pictures = noise(20, 3, 8, 8)
    with pytest.raises(GannetError, match="one class a picture"):
        trained_embedder(pictures, torch.zeros(19), seed=0)
    with pytest.raises(GannetError, match="1 channels, the embedder was trained on 3"):
        trained_embedder(pictures, None, seed=0).embed(pictures[:, :1])
