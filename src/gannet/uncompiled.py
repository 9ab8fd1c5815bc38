"""PyTorch without its compiler, which optimisers and counters import, in a second or two, only to be left alone by it.

`spare_compiler()` once, before the first optimiser, in a process that compiles nothing: the command line's. The numbers
are the same; a PyTorch that is built otherwise imports its compiler as ever.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Adam, Optimizer, RMSprop
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode


def spare_compiler() -> None:
    """Let optimisers and the counting of operations run without `torch._dynamo`, where that is not imported yet."""
    if "torch._dynamo" in sys.modules:
        return
    guarded: list[Any] = [
        Optimizer.add_param_group,
        Optimizer.zero_grad,
        Optimizer.state_dict,
        Optimizer.load_state_dict,
        *(kind.__torch_dispatch__ for kind in _kinds(TorchDispatchMode) if "__torch_dispatch__" in vars(kind)),
    ]
    for function in map(inspect.unwrap, guarded):
        # Where `torch._disable_dynamo` keeps, after its first call, what it calls in place of the function.
        setattr(function, "__dynamo_disable", function)
    for optimiser in (Adam, RMSprop):
        optimiser.step = _step(inspect.unwrap(optimiser.step))  # type: ignore[method-assign]


def _kinds(parent: type) -> list[Any]:
    """The classes of a kind by which operations are counted."""
    return [each for each in vars(flop_counter).values() if inspect.isclass(each) and issubclass(each, parent)]


def _step(plain: Callable[..., Any]) -> Callable[..., Any]:
    """An optimiser's step as PyTorch guards it, without a word to the compiler."""

    @functools.wraps(plain)
    def step(self: Optimizer, *given: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return plain(self, *given)

    return step
