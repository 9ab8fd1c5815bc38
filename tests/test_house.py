"""The house itself: which room may know which, how long files and functions may be, and what is never written.

The arrows are those of docs/architecture.md. A planted fault for each rule shows that the rule can be broken.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gannet"
FILES = sorted(SOURCE.rglob("*.py"))

FILE_CEILING = 600
FUNCTION_CEILING = 45
SHORT_SHARE = 0.9

ONLY = {
    "spec": set(),
    "errors": set(),
    "losses": {"portion"},
    "portion": set(),
    "order": set(),
    "memory": set(),
    "environment": {"errors"},
    "ranks": {"environment", "errors"},
    "processes": {"environment", "errors", "interruption"},
    "recorded": set(),
    "verdict": {"recipes.recipe"},
    "accumulation": {"memory", "order", "portion", "ranks", "recorded", "weights", "recipes.recipe"},
    "homogeneous": {"fused"},
    "fused": {"fused_kernels"},
    "fused_kernels": set(),
    "judge": {"homogeneous", "errors", "spec"},
    "augment": {"judge", "portion", "spec", "errors"},
    "regularisers": {"judge", "spec", "errors"},
    "networks": {"homogeneous", "portion", "spec", "errors"},
    "recipes": {"losses", "networks", "judge", "augment", "regularisers", "privacy", "portion", "spec", "errors"},
    "privacy": {"networks", "errors"},
    "domains": {"spec", "errors"},
    "metrics": {"spec", "errors", "order"},
    "watch": set(),
    "tally": set(),
    "weights": {"ranks"},
    "averages": {"weights"},
    "moments": {"weights"},
    "prefetch": {"memory", "domains.domain"},
    "balance": {"conditions", "spec", "errors"},
    "model_contents": {"checkpoint", "run", "errors"},
    "diagnostics": {"watch", "metrics"},
    "report": {"metrics", "errors"},
    "checkpoint": {"errors"},
    "run": {"checkpoint", "errors"},
    "settings": {"errors"},
    "engine": {
        "accumulation",
        "averages",
        "memory",
        "moments",
        "portion",
        "prefetch",
        "ranks",
        "recorded",
        "run",
        "checkpoint",
        "judge",
        "order",
        "tally",
        "verdict",
        "weights",
        "watch",
        "errors",
        "spec",
        "recipes.recipe",
        "domains.domain",
    },
}
"""What each room may import besides itself: a room, or one contract file of a room."""

NOBODY = {"cli", "console", "endings", "estimator"}
"""The faces: imported by their own entry points only."""

FACES = {
    ("__main__", "cli"),
    ("cli", "console"),
    ("cli", "endings"),
    ("endings", "console"),
    ("__init__", "estimator"),
}


class Import(NamedTuple):
    """One import: the module (dotted, below gannet), the line, and whether it runs when the file is loaded."""

    module: str
    line: int
    at_load: bool


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    """src/gannet/recipes/gan.py -> recipes.gan; a package is named by its folder, the root package __init__."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name(path): path for path in FILES}


def room(module: str) -> str:
    return module.split(".")[0]


def imports(module: ast.Module) -> Iterator[Import]:
    """Every import of ours; imports for the type checker alone, or inside a function, are not at load."""

    def walk(node: ast.AST, at_load: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if isinstance(child, ast.ImportFrom) and child.module and room(child.module) == "gannet":
                below = child.module.partition(".")[2]
                for alias in child.names:
                    longer = f"{below}.{alias.name}".lstrip(".")
                    yield Import(longer if longer in MODULES else below or "__init__", child.lineno, at_load)
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    if room(alias.name) == "gannet":
                        yield Import(alias.name.partition(".")[2] or "__init__", child.lineno, at_load)
            else:
                yield from walk(child, at_load and not inside and not typing_only)

    return walk(module, at_load=True)


def calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def forbidden_arrows(module: str, code: ast.Module) -> list[str]:
    faults = []
    for found in imports(code):
        allowed = ONLY.get(room(module))
        if (
            allowed is not None
            and room(found.module) != room(module)
            and not {found.module, room(found.module)} & allowed
        ):
            faults.append(f"{module}:{found.line} may not import {found.module}")
        if room(found.module) in NOBODY and (module, found.module) not in FACES:
            faults.append(f"{module}:{found.line} imports the face {found.module}")
    return faults


def unsafe(module: str, code: ast.Module) -> list[str]:
    """Pickle in any dress, torchvision, and probing for attributes instead of knowing them."""
    faults = []
    for node in ast.walk(code):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        never = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torchvision"}
        faults += [f"{module}:{node.lineno} imports {each}" for each in names if room(each) in never]
    for call in calls(code):
        called, given = ast.unparse(call.func), {key.arg: ast.unparse(key.value) for key in call.keywords}
        if called == "torch.load" and given.get("weights_only") != "True":
            faults.append(f"{module}:{call.lineno} torch.load without weights_only=True")
        if given.get("allow_pickle") == "True":
            faults.append(f"{module}:{call.lineno} allow_pickle=True")
        if called in ("hasattr", "eval", "exec") or (called == "getattr" and len(call.args) == 3):
            faults.append(f"{module}:{call.lineno} probes or evaluates with {called}")
    return faults


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring apart."""
    words = function.body[0] if ast.get_docstring(function) is not None else None
    return function.end_lineno - function.lineno + 1 - (words.end_lineno - words.lineno + 1 if words else 0)


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """A chain of modules that import each other at load, or nothing."""
    done: set[str] = set()

    def visit(module: str, chain: list[str]) -> list[str]:
        if module in chain:
            return [*chain[chain.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            found = visit(target, [*chain, module])
            if found:
                return found
        done.add(module)
        return []

    return next((found for module in sorted(edges) if (found := visit(module, []))), [])


# The rules


def test_every_room_knows_only_the_rooms_below_it() -> None:
    assert [fault for module, path in MODULES.items() for fault in forbidden_arrows(module, tree(path))] == []


def test_every_import_of_ours_names_a_file_that_exists() -> None:
    missing = [
        f"{module}:{found.line} imports {found.module}"
        for module, path in MODULES.items()
        for found in imports(tree(path))
        if found.module not in MODULES
    ]
    assert missing == []


def test_no_files_import_each_other_in_a_circle() -> None:
    edges = {
        module: {found.module for found in imports(tree(path)) if found.at_load and found.module != module}
        for module, path in MODULES.items()
    }
    assert cycle(edges) == []


def test_no_file_is_longer_than_the_ceiling() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > FILE_CEILING} == {}


def test_nine_functions_in_ten_are_short() -> None:
    lengths = [length(function) for path in FILES for function in functions(tree(path))]
    assert sum(lines < FUNCTION_CEILING for lines in lengths) >= SHORT_SHARE * len(lengths)


def test_every_file_says_what_it_is() -> None:
    assert [module for module, path in MODULES.items() if not ast.get_docstring(tree(path))] == []


def test_nothing_unsafe_and_no_probing() -> None:
    assert [fault for module, path in MODULES.items() for fault in unsafe(module, tree(path))] == []


def test_nothing_is_left_to_be_done_later() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    left = [path.name for path in FILES if any(word in path.read_text(encoding="utf-8") for word in words)]
    assert left == []


# The rules can be broken


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("engine", "from gannet.losses import relativistic"),
        ("engine", "from gannet.recipes import RECIPES"),
        ("recipes.gan", "def f():\n    from gannet.engine import Engine"),
        ("recipes.gan", "import gannet.domains.images"),
        ("metrics.frechet", "from gannet.recipes.gan import GAN"),
        ("domains.images", "from gannet import recipes"),
        ("api", "from gannet.cli import main"),
        ("losses", "from gannet.spec import Spec"),
    ],
)
def test_a_forbidden_arrow_is_seen(module: str, code: str) -> None:
    assert forbidden_arrows(module, ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from torchvision.transforms import Resize",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
        "hasattr(thing, 'name')",
        "getattr(thing, 'name', None)",
    ],
)
def test_an_unsafe_line_is_seen(code: str) -> None:
    assert unsafe("somewhere", ast.parse(code))


def test_a_permitted_line_is_not_called_a_fault() -> None:
    fine = "import torch\nfrom gannet.recipes.recipe import Turn\ntorch.load(path, weights_only=True)\ngetattr(a, name)"
    assert unsafe("engine", ast.parse(fine)) == []
    assert forbidden_arrows("engine", ast.parse(fine)) == []


def test_a_circle_is_seen_and_a_diamond_is_none() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_a_docstring_is_no_part_of_the_length_of_a_function() -> None:
    (function,) = functions(ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n'))
    assert length(function) == 2
