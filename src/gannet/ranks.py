"""The processes that play one game together, each a portion of every batch; a game of one process is the usual case.

`torchrun --nproc-per-node 2 -m gannet train ...` starts them; they speak through `torch.distributed` (NCCL on GPUs,
gloo on CPUs). What a move needs of the others - gradients, loss terms, running statistics, a wish to stop - is one
vector that is added up over all; there is no wrapper around a network that one could forget to call. The first rank
alone looks, decides and writes; the others are told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gannet.errors import GannetError

SILENCE = 600.0
"""Seconds without an answer after which another process counts as dead ($GANNET_SILENCE)."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that play the same game."""

    index: int = 0
    count: int = 1
    local: int = 0
    """Index among the processes of this machine: which of its GPUs is this one's."""
    device: torch.device = torch.device("cpu")

    @classmethod
    def of_environment(cls, device: str) -> Ranks:
        """Join the processes that a launcher (torchrun, or anything that sets its variables) has started, if any.

        `device` is cpu or cuda, the same for all. Raises GannetError when they cannot be reached.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        index, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
        own = torch.device(device, local) if device == "cuda" else torch.device(device)
        if own.type == "cuda":
            torch.cuda.set_device(own)
        if not dist.is_initialized():
            silence = timedelta(seconds=float(os.environ.get("GANNET_SILENCE", SILENCE)))
            with _explained():
                dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=silence)
        return cls(index, count, local, own)

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

    def joined(self, piece: Tensor, length: int) -> Tensor:
        """The pieces [n, ...] of all processes in the order of the batch, [length, ...]."""
        if self.alone:
            return piece
        start, stop = self.part(length)
        whole = piece.new_zeros(length, *piece.shape[1:])
        whole[start:stop] = piece
        self.sum(whole)
        return whole

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if not self.alone:
            with _explained():
                for tensor in tensors:
                    # gloo and NCCL want what lies in one piece.
                    values = tensor.detach().contiguous()
                    dist.broadcast(values, 0)
                    tensor.detach().copy_(values)

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

    def leave(self) -> None:
        """End the conversation, after the last step."""
        if not self.alone and dist.is_initialized():
            dist.destroy_process_group()


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
