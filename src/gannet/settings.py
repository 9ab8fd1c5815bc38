"""Dataclasses as settings: their fields are the keys of `key=value`, their attribute docstrings the help.

`fill(Options, parse_pairs(["side=32"]))` makes an instance from text; `knobs(Options)` lists what can be set.
Standard library only: the command line reads its arguments here before anything heavy is imported.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import numbers
import re
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, TypeVar

from gannet.errors import GannetError, did_you_mean

Settings = TypeVar("Settings")

NONE_WORDS = ("none", "auto")
"""What a person writes for None: nothing of the kind, or left to Gannet."""
YES_WORDS = ("yes", "true", "on", "1")
NO_WORDS = ("no", "false", "off", "0")
MULTIPLES = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
LARGEST = Decimal(10) ** 18
"""Whole numbers beyond this are slips of the keyboard, and would overflow 64 bits."""
REFUSALS = (TypeError, ValueError, OverflowError)
"""What the conversions below raise for a value of the wrong kind."""
SIZES = {"S": 1.0, "M": 2.0, "L": 4.0}
SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Knob:
    """One thing that can be set: its name, what it takes in words, its default, and its help."""

    name: str
    type: str
    default: object
    help: str


# ---------------------------------------------------------------------------------------------- what can be set


def knobs(cls: type) -> list[Knob]:
    """What can be set of the dataclass `cls`, in the order of its fields, inherited ones first."""
    annotations = _annotations(cls)
    helps = _attribute_docstrings(cls)
    return [
        Knob(
            name=field.name,
            type=describe(annotations[field.name]).removeprefix("a "),
            default=_default(field),
            help=helps.get(field.name, ""),
        )
        for field in _settable(cls)
    ]


def _settable(cls: type) -> list[dataclasses.Field[Any]]:
    assert dataclasses.is_dataclass(cls), f"{cls.__name__} is not a dataclass"
    return [field for field in dataclasses.fields(cls) if field.init and not field.name.startswith("_")]


def _annotations(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in _settable(cls)}


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    assert field.default is not dataclasses.MISSING, f"the setting {field.name} has no default"
    return field.default


def _attribute_docstrings(cls: type) -> dict[str, str]:
    """The text under each annotated attribute of `cls`; a leaf that only changes a default keeps the parent's text."""
    helps: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(ancestor):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(ancestor))
        except OSError:  # installed without sources: settings work, only their help is missing
            continue
        definition = ast.parse(source).body[0]
        assert isinstance(definition, ast.ClassDef)
        for attribute, below in zip(definition.body, definition.body[1:], strict=False):
            match attribute, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    helps[name] = " ".join(text.split())
    return helps


def describe(annotation: Any) -> str:
    """What a setting of this annotation takes, in words: "a whole number", "a number or none", "hinge or lsgan"."""
    words = _choices_in_words(annotation)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _choices_in_words(annotation: Any) -> list[str]:
    """Each thing the annotation takes; none last, wherever a union has it."""
    plain = {int: "a whole number", float: "a number", str: "text", Path: "a path", types.NoneType: "none"}
    if annotation in plain:
        return [plain[annotation]]
    if annotation is bool:
        return ["yes", "no"]
    arguments = typing.get_args(annotation)
    match _shape(annotation):
        case "literal":
            return [show(choice) for choice in arguments]
        case "union":
            parts = sorted(arguments, key=lambda part: part is types.NoneType)
            return [word for part in parts for word in _choices_in_words(part)]
        case "sequence":
            return [f"any number of values separated by commas, each {describe(arguments[0])}"]
        case "tuple":
            return [f"{len(arguments)} values separated by commas: {', '.join(map(describe, arguments))}"]


def _shape(annotation: Any) -> Literal["literal", "union", "sequence", "tuple"]:
    """The composite annotations settings may use; another one is a mistake in the dataclass."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "literal"
    if origin in (typing.Union, types.UnionType):
        return "union"
    assert origin is tuple, f"settings cannot be {annotation}"
    return "sequence" if len(arguments) == 2 and arguments[1] is Ellipsis else "tuple"


def show(value: object) -> str:
    """A value as a person writes it after `key=`; `coerce` reads it back."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(show, value))
    return str(value)


# ---------------------------------------------------------------------------------------------- setting it


def parse_pairs(texts: Iterable[str]) -> dict[str, str]:
    """["a=1", "b=2"] -> {"a": "1", "b": "2"}. Raises GannetError for text without `=` and for a key given twice."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            raise GannetError(f"{text!r} is not of the form key=value (as in batch_size=32)")
        if key in pairs:
            raise GannetError(f"{key} is given twice, as {pairs[key]!r} and as {value!r}; keep one")
        pairs[key] = value
    return pairs


def apply(classes: list[type], values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Sorts `values` to the dataclasses that have those fields: one dict of keyword arguments a class.

    Text is read by the field's annotation; `-` in a key counts as `_`. Raises GannetError for a key that no class
    has (with the nearest one), a key given twice, and a value of the wrong kind.
    """
    annotations = [_annotations(cls) for cls in classes]
    known = [name for fields in annotations for name in fields]
    assert len(known) == len(set(known)), f"{[cls.__name__ for cls in classes]} share the name of a setting: {known}"
    filled: list[dict[str, Any]] = [{} for _ in classes]
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise GannetError(f"no setting {key!r}; {did_you_mean(name, known)}")
        home = next(place for place, fields in enumerate(annotations) if name in fields)
        if name in filled[home]:
            raise GannetError(f"{name} is given twice; keep one")
        filled[home][name] = coerce(annotations[home][name], value, name)
    return filled


def fill(cls: type[Settings], values: Mapping[str, object]) -> Settings:
    """An instance of the dataclass `cls` with these settings, the others at their defaults. Raises as `apply`."""
    return cls(**apply([cls], values)[0])


def coerce(annotation: Any, value: object, name: str) -> Any:
    """`value`, text or not, as the kind `annotation` asks for. Raises GannetError naming the setting `name`."""
    try:
        return _convert(annotation, value)
    except REFUSALS:
        raise GannetError(f"{name} must be {describe(annotation)}, not {show_given(value)}") from None


def show_given(value: object) -> str:
    """A refused value, quoted, cut to a length an error line bears."""
    quoted = repr(value)
    return quoted if len(quoted) <= 80 else f"{quoted[:77]}..."


def _convert(annotation: Any, value: Any) -> Any:
    """`coerce`, with one of REFUSALS for a value of the wrong kind."""
    simple = {int: _whole, float: _real, bool: _yes_or_no, str: _text, Path: _path, types.NoneType: _none}
    if annotation in simple:
        return simple[annotation](value)
    arguments = typing.get_args(annotation)
    match _shape(annotation):
        case "literal":
            return _choice(arguments, value)
        case "union":
            return _first_that_fits(arguments, value)
        case "sequence":
            return tuple(_convert(arguments[0], item) for item in _items(value))
        case "tuple":
            return tuple(_convert(part, item) for part, item in zip(arguments, _items(value), strict=True))


def _first_that_fits(parts: tuple[Any, ...], value: Any) -> Any:
    """The value as the narrowest part of a union that takes it: "none" is None before it is text, 1 is an int."""
    order = [Literal, types.NoneType, int, float, bool, tuple, Path, str]
    for part in sorted(parts, key=lambda part: order.index(typing.get_origin(part) or part)):
        try:
            return _convert(part, value)
        except REFUSALS:
            continue
    raise ValueError


def _choice(choices: tuple[Any, ...], value: Any) -> Any:
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
        if isinstance(value, str) and value.strip().lower() == show(choice).lower():
            return choice
    raise ValueError


def _items(value: Any) -> list[Any]:
    """The parts of "0,0.99", of "(0, 0.99)", and of a Python sequence."""
    if not isinstance(value, str):
        if not isinstance(value, (list, tuple)):
            raise TypeError
        return list(value)
    text = value.strip()
    if text[:1] + text[-1:] in ("()", "[]"):
        text = text[1:-1]
    return [item.strip() for item in text.split(",")] if text.strip() else []


def _whole(value: Any) -> int:
    exact = _exact(value)
    if exact != exact.to_integral_value() or abs(exact) > LARGEST:
        raise ValueError
    return int(exact)


def _real(value: Any) -> float:
    real = float(_exact(value))
    if not math.isfinite(real):
        raise ValueError
    return real


def _exact(value: Any) -> Decimal:
    """A finite number, from a Python or NumPy number or from text such as 500k, 1.5M, 2e-4. Decimal: 1.1M is whole."""
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        raise TypeError
    if not isinstance(value, str):
        return Decimal(int(value) if isinstance(value, numbers.Integral) else repr(float(value)))
    text = value.strip()
    multiple = MULTIPLES.get(text[-1:], 1)
    try:
        exact = Decimal(text[:-1].rstrip() if multiple > 1 else text)
    except InvalidOperation:
        raise ValueError from None
    # also bounds the exponent: int(Decimal("1e999999999")) would never return
    if not exact.is_finite() or exact.adjusted() > 400:
        raise ValueError
    return exact * multiple


def _yes_or_no(value: Any) -> bool:
    word = show(value).strip().lower() if isinstance(value, (bool, str)) else ""
    if word not in YES_WORDS + NO_WORDS:
        raise ValueError
    return word in YES_WORDS


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError
    return Path(value)


def _none(value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value.strip().lower() in NONE_WORDS):
        raise ValueError


# ---------------------------------------------------------------------------------------------- quantities


def parse_duration(value: str | float, name: str = "time") -> float:
    """Seconds in "90s", "10m", "1h30m" or "1.5h"; a Python number is seconds already. Raises GannetError."""
    expected = "a duration such as 90s, 10m or 1h30m"
    if isinstance(value, str):
        parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", value.strip().lower())
        whole = "".join(amount + unit for amount, unit in parts) == value.strip().lower()
        units = [unit for _, unit in parts]
        falling = units == sorted(set(units), key=list(SECONDS).index)
        seconds = sum(float(amount) * SECONDS[unit] for amount, unit in parts) if whole and falling else 0.0
    else:
        seconds = coerce(float, value, name)
    if not 0 < seconds < math.inf:
        raise GannetError(f"{name} must be {expected}, not {show_given(value)}")
    return seconds


def parse_count(value: str | int, name: str = "samples") -> int:
    """A positive whole number, from 5000, "500k" or "2M". Raises GannetError."""
    try:
        count = _whole(value)
    except REFUSALS:
        count = 0
    if count < 1:
        raise GannetError(f"{name} must be a positive count such as 5000, 500k or 2M, not {show_given(value)}")
    return count


def parse_size(value: str | float, name: str = "size") -> float:
    """The dial of capacity: S is 1, M is 2, L is 4, or any positive number. Raises GannetError."""
    try:
        size = SIZES.get(value.strip().upper()) if isinstance(value, str) else None
        size = _real(value) if size is None else size
    except REFUSALS:
        size = 0.0
    if size <= 0:
        raise GannetError(f"{name} must be S, M, L or a positive number (S is 1), not {show_given(value)}")
    return size
