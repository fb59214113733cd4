"""Loops that numba compiles: how often digits occur in the bits of values, which order as the values do."""

from __future__ import annotations

import numpy as np

from openeo_processes_dask.kernels.loops import compiled_once


@compiled_once
def first_digits(bits, sign, top, low, infinity, shift, out):  # type: ignore[no-untyped-def]
    """How often each leading digit occurs, and behind them gaps; no branch, as gaps come without a pattern."""
    gap = out.shape[0] - 1
    for i in range(bits.shape[0]):
        value = bits[i]
        key = value ^ (top | (low & (np.uint64(0) - (value >> sign))))
        out[np.int64(key >> shift) if (value & low) <= infinity else gap] += np.uint32(1)


@compiled_once
def next_digits(bits, prefixes, sign, top, low, infinity, shift, own, mask, out):  # type: ignore[no-untyped-def]
    """How often each digit occurs behind each of some leading digits, which ascend and few values have."""
    least, reach = prefixes[0], prefixes[-1] - prefixes[0]
    for i in range(bits.shape[0]):
        value = bits[i]
        key = value ^ (top | (low & (np.uint64(0) - (value >> sign))))
        leading = key >> shift >> own
        if leading - least <= reach and (value & low) <= infinity:
            for place in range(prefixes.shape[0]):
                if prefixes[place] == leading:
                    out[place, np.int64((key >> shift) & mask)] += np.uint32(1)
