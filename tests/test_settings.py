"""Settings: text becomes values of the annotated kind, mistakes are named in one line, help comes from the source."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from gannet.errors import GannetError
from gannet.settings import (
    apply,
    coerce,
    describe,
    fill,
    knobs,
    parse_count,
    parse_duration,
    parse_pairs,
    parse_size,
    show,
)


@dataclass(kw_only=True)
class Base:
    """Knobs every leaf has."""

    batch_size: int = 64
    """Samples a step."""
    latent: int = 16
    """Width of the
    noise."""
    built: list[int] = field(init=False, default_factory=list)
    """Not a setting."""


@dataclass(kw_only=True)
class Leaf(Base):
    """A leaf that changes a default and adds knobs."""

    latent: int = 32
    gamma: float | None = None
    """Weight of the penalty."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Adam's decay rates."""
    loss: Literal["hinge", "logistic"] = "hinge"
    """Which loss."""
    smooth: bool = False
    widths: tuple[int, ...] = ()
    """Widths of the layers."""
    name: ClassVar[str] = "leaf"
    _private: int = 0


@dataclass(kw_only=True)
class Options:
    """A domain's options."""

    side: int | Literal["original"] = "original"
    """Pixels of a side."""
    label: str | None = None
    """Column of the labels."""
    folder: Path = Path(".")
    """Where."""


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(GannetError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------------------ knobs


def test_knobs_are_the_fields_with_their_docstrings_inherited_ones_included() -> None:
    found = {knob.name: knob for knob in knobs(Leaf)}
    assert list(found) == ["batch_size", "latent", "gamma", "betas", "loss", "smooth", "widths"]
    assert found["batch_size"].help == "Samples a step."
    assert found["betas"].default == (0.0, 0.99)
    assert found["betas"].type == "2 values separated by commas: a number, a number"
    assert found["loss"].type == "hinge or logistic"
    assert found["gamma"].type == "number or none"
    assert found["smooth"].type == "yes or no"
    assert found["smooth"].help == ""


def test_what_a_setting_takes_is_told_in_words_with_none_last() -> None:
    assert describe(int) == "a whole number"
    assert describe(bool | None) == "yes, no or none"
    assert describe(None | Literal["a", "b"] | int) == "a, b, a whole number or none"
    assert describe(tuple[str, ...]) == "any number of values separated by commas, each text"


def test_a_leaf_that_only_changes_a_default_keeps_the_parents_help() -> None:
    latent = next(knob for knob in knobs(Leaf) if knob.name == "latent")
    assert (latent.default, latent.help) == (32, "Width of the noise.")


def test_every_default_reads_back_from_its_shown_form() -> None:
    for cls in (Leaf, Options):
        defaults = {knob.name: knob.default for knob in knobs(cls)}
        assert fill(cls, {name: show(value) for name, value in defaults.items()}) == cls()


def test_a_dataclass_without_sources_has_settings_without_help() -> None:
    made = dataclasses.make_dataclass("Made", [("depth", int, 3)])
    [depth] = knobs(made)
    assert (depth.name, depth.default, depth.help) == ("depth", 3, "")


# ------------------------------------------------------------------------------------------------ values from text


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "32", 32),
        (int, "500k", 500_000),
        (int, "2M", 2_000_000),
        (int, "1.1M", 1_100_000),
        (int, "1e3", 1000),
        (int, "1_000", 1000),
        (int, " -3 ", -3),
        (float, "0", 0.0),
        (float, "2e-4", 2e-4),
        (float, "10k", 1e4),
        (bool, "yes", True),
        (bool, "True", True),
        (bool, "off", False),
        (bool, "0", False),
        (str, "none", "none"),
        (str, "", ""),
        (Path, "a/b", Path("a/b")),
        (float | None, "none", None),
        (float | None, "auto", None),
        (float | None, "3", 3.0),
        (str | None, "none", None),
        (str | None, "class", "class"),
        (int | float, "3", 3),
        (int | float, "3.5", 3.5),
        (bool | int, "1", 1),
        (bool | None, "no", False),
        (Literal["a", "b"], "A", "a"),
        (Literal[1, 2], "2", 2),
        (Literal["a"] | None, "auto", None),
        (Literal["none", "auto"], "auto", "auto"),
        (int | Literal["auto"], "auto", "auto"),
        (tuple[float, float], "0,0.99", (0.0, 0.99)),
        (tuple[float, float], "(0, 0.99)", (0.0, 0.99)),
        (tuple[int, ...], "[64,128]", (64, 128)),
        (tuple[int, ...], "64", (64,)),
        (tuple[int, ...], "", ()),
        (tuple[str, ...] | None, "age, name", ("age", "name")),
        (tuple[int, int] | None, "none", None),
        (tuple[int, int] | int, "8", 8),
        (tuple[int, int] | int, "8,9", (8, 9)),
    ],
)
def test_text_becomes_a_value_of_the_annotated_kind(annotation: Any, text: str, value: object) -> None:
    read = coerce(annotation, text, "knob")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("annotation", "given", "value"),
    [
        (float, 0, 0.0),
        (tuple[float, float], (0, 0.99), (0.0, 0.99)),
        (tuple[float, float], [0, 0.99], (0.0, 0.99)),
        (int, 3.0, 3),
        (int, np.int64(7), 7),
        (float, np.float32(0.5), 0.5),
        (bool, True, True),
        (float | None, None, None),
        (Path, Path("x"), Path("x")),
    ],
)
def test_python_values_become_the_annotated_kind_so_that_adam_gets_floats(
    annotation: Any, given: object, value: object
) -> None:
    read = coerce(annotation, given, "knob")
    assert read == value
    assert type(read) is type(value)
    if isinstance(read, tuple):
        assert [type(item) for item in read] == [float, float]


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (int, "3.5"),
        (int, "lots"),
        (int, ""),
        (int, "k"),
        (int, "2m"),
        (int, True),
        (int, None),
        (int, "1e999999999"),
        (int, "1e30"),
        (int, 10**30),
        (int, 2.5),
        (int, float("inf")),
        (float, "nan"),
        (float, "-inf"),
        (float, "1e400"),
        (float, "1e999999999"),
        (float, float("nan")),
        (float, np.nan),
        (float, 10**400),
        (float, True),
        (float, "0x10"),
        (bool, "maybe"),
        (bool, 1),
        (str, 3),
        (Path, ""),
        (float | None, "off"),
        (Literal["a", "b"], "c"),
        (Literal[1], True),
        (tuple[float, float], "0.9"),
        (tuple[float, float], "0,0.9,1"),
        (tuple[float, float], "0,nan"),
        (tuple[int, ...], 8),
        (tuple[int, ...], "1,,2"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_naming_field_value_and_what_is_expected(
    annotation: Any, given: object
) -> None:
    message = refusal(coerce, annotation, given, "knob")
    assert message.startswith(f"knob must be {describe(annotation)}, not ")


def test_a_long_wrong_value_is_cut_in_the_message() -> None:
    assert len(refusal(coerce, int, "x" * 10_000, "knob")) < 150


def test_every_finite_float_reads_back_from_its_shown_form() -> None:
    bits = np.random.default_rng(0).integers(0, 2**64, size=2000, dtype=np.uint64)
    edges = [0.0, -0.0, sys.float_info.max, sys.float_info.min, 5e-324]
    for value in [*edges, *map(float, bits.view(np.float64))]:
        if np.isfinite(value):
            assert coerce(float, show(value), "knob") == value


@pytest.mark.fault(24)
def test_no_input_does_anything_but_convert_or_refuse() -> None:
    letters = list("0123456789.,-+eEkKMG_()[] naninfNone\n\x00²٣")
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(letters, size=random.integers(9))) for _ in range(2000)]
    others: list[object] = [b"3", 3j, object(), {}, [[]], (None,), np.zeros(3), np.bool_(True)]
    for given in [*texts, *others]:
        for annotation in (int, float, bool, Literal["a"], tuple[float, float], int | None):
            with contextlib.suppress(GannetError):
                coerce(annotation, given, "knob")


# ------------------------------------------------------------------------------------------------ keys


def test_each_key_goes_to_the_class_that_has_it() -> None:
    values = {"gamma": "0.5", "side": "32", "batch-size": 8}
    assert apply([Leaf, Options], values) == [{"gamma": 0.5, "batch_size": 8}, {"side": 32}]


def test_fill_makes_an_instance_with_the_rest_at_its_defaults() -> None:
    leaf = fill(Leaf, {"betas": "0,0.9", "smooth": "on"})
    assert leaf == Leaf(betas=(0.0, 0.9), smooth=True)


@pytest.mark.fault(24)
def test_an_unknown_key_is_answered_with_the_nearest_of_all_classes() -> None:
    assert refusal(apply, [Leaf, Options], {"gama": "1"}) == "no setting 'gama'; did you mean 'gamma'?"
    assert "did you mean 'label'?" in refusal(apply, [Leaf, Options], {"labels": "x"})


def test_fields_that_are_not_settings_cannot_be_set() -> None:
    for name in ("built", "_private", "name"):
        assert f"no setting '{name}'" in refusal(fill, Leaf, {name: "1"})


def test_a_key_given_twice_is_refused_also_in_two_spellings() -> None:
    assert "a is given twice" in refusal(parse_pairs, ["a=1", "a=2"])
    assert "batch_size is given twice" in refusal(fill, Leaf, {"batch-size": "1", "batch_size": "2"})


def test_pairs_are_split_at_the_first_equals_sign() -> None:
    assert parse_pairs(["a=1", "b=x=y", " c = 2 ", "d="]) == {"a": "1", "b": "x=y", "c": "2", "d": ""}
    assert parse_pairs([]) == {}


@pytest.mark.parametrize("text", ["gamma", "=3", "", " =3"])
def test_text_that_is_no_pair_is_refused(text: str) -> None:
    assert "key=value" in refusal(parse_pairs, [text])


# ------------------------------------------------------------------------------------------------ quantities


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10m", 600), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800), (" 10M ", 600), (30, 30), (0.5, 0.5)],
)
def test_durations_are_read_in_seconds(value: str | float, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["10", "", "m", "10 minutes", "0s", "-5m", "30m1h", "5m5m", "nans", "infs", "1e3s", "9" * 400 + "s"]
)
def test_what_is_no_duration_is_refused_with_an_example(value: str) -> None:
    assert "such as 90s, 10m or 1h30m" in refusal(parse_duration, value)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_seconds_must_be_positive_and_finite(value: float) -> None:
    assert refusal(parse_duration, value).startswith("time must be")


def test_counts_take_suffixes_and_must_be_positive() -> None:
    assert [parse_count(value) for value in ("500k", "2M", "64", 7)] == [500_000, 2_000_000, 64, 7]
    for wrong in ("0", "-5", "2.5", "2m", "ten", "", 0):
        assert "must be a positive count" in refusal(parse_count, wrong)
    assert refusal(parse_count, "x", "-n").startswith("-n must be")


def test_sizes_are_letters_or_positive_numbers() -> None:
    assert [parse_size(value) for value in ("S", "m", "L", "0.5", 3)] == [1.0, 2.0, 4.0, 0.5, 3.0]
    for wrong in ("XL", "0", "-1", "nan", "", 0):
        assert "must be S, M, L or a positive number" in refusal(parse_size, wrong)


def test_settings_import_only_the_standard_library() -> None:
    code = "import sys; before = set(sys.modules); import gannet.settings; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    foreign = {re.split(r"\.", name)[0] for name in loaded} - set(sys.stdlib_module_names) - {"gannet"}
    assert not foreign
