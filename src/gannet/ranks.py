"""The processes that play one game together, each a portion of every batch; a game of one process is the usual case.

`torchrun --nproc-per-node 2 -m gannet train ...` starts them; they speak through `torch.distributed` (NCCL on GPUs,
gloo on CPUs). What a move needs of the others - gradients, loss terms, running statistics, a wish to stop - is one
vector that is added up over all; there is no wrapper around a network that one could forget to call. Of large networks
each process owns a part (`weights.py`). The first rank alone looks, decides and writes; the others are told.
"""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.torch_version import TorchVersion

from gannet import environment
from gannet.errors import GannetError

RENAMED = TorchVersion(torch.__version__) >= "2.13"
"""Whether PyTorch has new names for collectives of one tensor, and warns of the old ones."""
Groups = dict[str, dict[str, Tensor]]
"""Tensors by group and name."""
SILENCE = 600.0
"""Seconds without an answer after which another process counts as dead ($GANNET_SILENCE)."""
DIVIDE_FROM = 20_000_000
"""Weights of a player from which on each process owns a part of them ($GANNET_DIVIDE_FROM)."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that play the same game."""

    index: int = 0
    count: int = 1
    local: int = 0
    """Index among the processes of this machine: which of its GPUs is this one's."""
    device: torch.device = torch.device("cpu")
    divide_from: int = DIVIDE_FROM
    """Weights of a player from which on each process owns a part of them."""

    @classmethod
    def of_environment(cls, device: str) -> Ranks:
        """Join the processes that a launcher (torchrun, or anything that sets its variables) has started, if any.

        `device` is cpu or cuda, the same for all. Raises GannetError when they cannot be reached.
        """
        count = environment.whole("WORLD_SIZE", 1, default=1)
        if count == 1:
            return cls()
        index, local = environment.whole("RANK", 0), environment.whole("LOCAL_RANK", 0, default=0)
        divide_from = environment.whole("GANNET_DIVIDE_FROM", 0, default=DIVIDE_FROM)
        silence = timedelta(seconds=environment.seconds("GANNET_SILENCE", SILENCE))
        if index >= count:
            raise GannetError(
                f"$RANK is {index}, but {count} processes ($WORLD_SIZE) are counted from 0 to {count - 1}"
            )
        own = torch.device(device, local) if device == "cuda" else torch.device(device)
        if own.type == "cuda":
            torch.cuda.set_device(own)
        if not dist.is_initialized():
            environment.text("MASTER_ADDR")
            environment.whole("MASTER_PORT", 1)
            with _explained():
                dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=silence)
        atexit.register(_leave)
        return cls(index, count, local, own, divide_from)

    @property
    def undivided(self) -> Ranks:
        """The same, each with the whole of all weights."""
        return replace(self, divide_from=sys.maxsize)

    @property
    def first(self) -> bool:
        """Whether this is the process that looks, decides and writes."""
        return self.index == 0

    @property
    def alone(self) -> bool:
        """Whether nobody else plays."""
        return self.count == 1

    def part(self, length: int) -> tuple[int, int]:
        """Which samples [start, stop) of a batch are this process's; sizes differ by one at most."""
        return self.index * length // self.count, (self.index + 1) * length // self.count

    def sum(self, vector: Tensor) -> None:
        """Add up a vector over all processes, in place; every process then has the same bits."""
        if not self.alone:
            with _explained():
                dist.all_reduce(vector)

    def divide(self, weights: int) -> bool:
        """Whether each process owns a part of so many weights. It costs two messages more and no byte."""
        return not self.alone and weights >= self.divide_from

    def sum_divided(self, vector: Tensor) -> Tensor:
        """This process's part [length / count] of the sum of all processes' vectors [length]."""
        part = vector.new_empty(len(vector) // self.count)
        with _explained():
            sum_parts = dist.reduce_scatter_single if RENAMED else dist.reduce_scatter_tensor
            sum_parts(part, vector)
        return part

    def complete(self, vector: Tensor, part: Tensor) -> None:
        """Fill a vector [length] with the parts [length / count] of all processes, in their order."""
        with _explained():
            # A copy, since the part may lie in the vector.
            gather = dist.all_gather_single if RENAMED else dist.all_gather_into_tensor
            gather(vector, part.clone())

    def joined(self, piece: Tensor, length: int) -> Tensor:
        """The pieces [n, ...] of all processes in the order of the batch, [length, ...]."""
        if self.alone:
            return piece
        start, stop = self.part(length)
        whole = piece.new_zeros(length, *piece.shape[1:])
        whole[start:stop] = piece
        self.sum(whole)
        return whole

    def given(self, groups: Groups | None) -> Groups | None:
        """The tensors that the first process gives, by group and name, on every process; None where it gives none."""
        if self.alone:
            return groups
        kinds = self.told(lambda: groups and {group: _kinds(tensors) for group, tensors in groups.items()})
        if kinds is None:
            return None
        found: Groups = {}
        with _explained():
            for group, named in kinds.items():
                found[group] = {}
                for name, (shape, kind) in named.items():
                    tensor = torch.empty(shape, dtype=getattr(torch, kind), device=self.device)
                    if groups is not None and self.first:
                        tensor.copy_(groups[group][name])
                    dist.broadcast(tensor, 0)
                    found[group][name] = tensor
        return found

    def told(self, find: Callable[[], Any]) -> Any:
        """What the first process finds (JSON values), on every process."""
        if self.alone:
            return find()
        data = json.dumps(find()).encode() if self.first else b""
        with _explained():
            size = torch.tensor([len(data)], device=self.device)
            dist.broadcast(size, 0)
            told = torch.zeros(int(size), dtype=torch.uint8, device=self.device)
            if self.first:
                told.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
            dist.broadcast(told, 0)
        return json.loads(told.cpu().numpy().tobytes())

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """The first process goes through the block before the others enter it: it fills caches that they then read.

        A failure of the first is told to the others, who end with it.
        """
        if not self.first and self.told(lambda: None) is not None:
            raise GannetError("the first process could not begin; its own message says why")
        try:
            yield
        except BaseException:
            if self.first:
                self.told(lambda: "failed")
            raise
        if self.first:
            self.told(lambda: None)


def _leave() -> None:
    """End the conversation while the interpreter stands: its threads abort a process that falls down around them."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _kinds(tensors: dict[str, Tensor]) -> dict[str, tuple[list[int], str]]:
    """Shape and type of each, as JSON values."""
    return {name: (list(each.shape), str(each.dtype).removeprefix("torch.")) for name, each in tensors.items()}


@contextmanager
def _explained() -> Iterator[None]:
    """A conversation that breaks off means that another process has ended."""
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        told = " ".join(str(error).split())[:120]
        raise GannetError(
            "another process of this training has ended or does not answer; its own message says why, and the same "
            f"command goes on from the last checkpoint ({told})"
        ) from error
