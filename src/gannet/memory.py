"""How much of a batch fits into memory: what one sample's backward pass keeps, and the portion that leaves room.

What autograd saves is counted, not measured: the same on every device, and before anything has run out.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

ROOM = 0.6
"""Share of the free memory that what is saved for backward passes may take; gradients and workspaces need the rest."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`."""
WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out, on a GPU or (where the system refuses rather than kills) on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error).lower() for words in WORDS)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available


def saved_bytes(play: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward passes of what `play` computes; shared memory counts once."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        # What was computed must live until all is counted, or its memory is given out twice.
        computed = play()
    del computed
    return sum(kept.values())


@contextmanager
def kept_by_the_process() -> Iterator[None]:
    """Within: memory that is given back stays with the process, as far as the C library can be told so.

    A step on a CPU takes and gives back tensors of megabytes by the hundred; asking the system for each anew, and
    having every page of it cleared, takes a tenth to a quarter of the time. Only glibc does so and can be told.
    """
    told = sys.platform == "linux" and _allocator({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1})
    try:
        yield
    finally:
        if told:
            _allocator({M_MMAP_MAX: 65536, M_TRIM_THRESHOLD: 128 * 1024})
            ctypes.CDLL(None).malloc_trim(0)


def _allocator(parameters: dict[int, int]) -> bool:
    """Set parameters of glibc's allocator; False where the C library is another."""
    library = ctypes.CDLL(None)
    try:
        return all(library.mallopt(name, value) == 1 for name, value in parameters.items())
    except AttributeError:
        return False


def fitting(bytes_a_sample: float, batch: int, free: int) -> int:
    """The largest portion of a batch, halved as often as needed, whose saved tensors fit into the free memory."""
    portion = batch
    while portion > 1 and portion * bytes_a_sample > ROOM * free:
        portion = -(-portion // 2)
    return portion
