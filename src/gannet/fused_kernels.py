"""The kernels of `fused.py`. A program takes a tile [places, channels] of one sample, channels side by side."""
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def biased_rectified(x, bias, y, channels, places, slope, PLACES: tl.constexpr, CHANNELS: tl.constexpr):
    """y = leaky ReLU of x + bias."""
    place = tl.program_id(1) * PLACES + tl.arange(0, PLACES)[:, None]
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    at = tl.program_id(0).to(tl.int64) * places * channels + place * channels + channel
    inside = (place < places) & (channel < channels)
    found = tl.load(x + at, mask=inside).to(tl.float32) + tl.load(bias + channel, mask=channel < channels)
    tl.store(y + at, tl.where(found > 0, found, found * slope), mask=inside)


@triton.jit
def masked(
    g, y, more, passed, parts, channels, places, slope,
    MORE: tl.constexpr, SUMMED: tl.constexpr, PLACES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """passed = (g + more) where y > 0, slope times it elsewhere; parts = its sum over the places of the tile."""
    sample = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * PLACES + tl.arange(0, PLACES)[:, None]
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    at = sample * places * channels + place * channels + channel
    inside = (place < places) & (channel < channels)
    found = tl.load(g + at, mask=inside, other=0.0).to(tl.float32)
    if MORE:
        found += tl.load(more + sample * channels + channel, mask=channel < channels, other=0.0)
    kept = tl.load(y + at, mask=inside, other=0.0).to(tl.float32) > 0
    found = tl.where(kept, found, found * slope)
    tl.store(passed + at, found, mask=inside)
    if SUMMED:
        row = sample * tl.num_programs(1) + tl.program_id(1)
        column = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
        # What lies outside was loaded as zero, and `more` is not given together with a sum.
        tl.store(parts + row * channels + column, tl.sum(found, axis=0), mask=column < channels)
