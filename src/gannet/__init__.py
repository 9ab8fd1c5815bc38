"""Gannet trains a generative adversarial network on your own data, watches the game, and proves what came out.

    run = gannet.train("photos/", time="10m"); run.sample(16, seed=0)

The names below are loaded when first used, so that `import gannet` and `gannet --help` do not wait for PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gannet.errors import GannetError

if TYPE_CHECKING:
    from gannet.api import evaluate, load, resume, train
    from gannet.domains.domain import Domain
    from gannet.estimator import GAN
    from gannet.recipes.recipe import Recipe

__version__ = "0.1.0"

__all__ = ["GAN", "Domain", "GannetError", "Recipe", "__version__", "evaluate", "load", "resume", "train"]

_HOMES = {
    "GAN": "gannet.estimator",
    "Domain": "gannet.domains.domain",
    "Recipe": "gannet.recipes.recipe",
    "evaluate": "gannet.api",
    "load": "gannet.api",
    "resume": "gannet.api",
    "train": "gannet.api",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gannet' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
