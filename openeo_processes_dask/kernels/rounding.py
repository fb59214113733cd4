"""Rounding; whole numbers stay as they are, and fractions stay in floating point."""

from __future__ import annotations

import numpy as np

from openeo_processes_dask.kernels.missing import is_uint64

MOST_DIGITS = 308  # more do not exist in floating point


def ceil(x: np.ndarray) -> np.ndarray:
    """The next whole number above."""
    return np.ceil(x) if x.dtype.kind == "f" else x


def floor(x: np.ndarray) -> np.ndarray:
    """The next whole number below."""
    return np.floor(x) if x.dtype.kind == "f" else x


def int_(x: np.ndarray) -> np.ndarray:
    """The whole part."""
    return np.trunc(x) if x.dtype.kind == "f" else x


def round_(x: np.ndarray, p: int = 0) -> np.ndarray:
    """To p digits after the point, or before it where p is negative; halves go to the even neighbour."""
    if p > MOST_DIGITS or (p >= 0 and x.dtype.kind != "f"):
        return x
    if p < -MOST_DIGITS:
        return np.where(np.isfinite(x), 0, x).astype(x.dtype)
    if x.dtype.kind != "f":
        return _whole(x, 10**-p)
    if p == 0:
        return np.rint(x)
    scale = 10.0 ** abs(p)
    there, back = (np.multiply, np.divide) if p > 0 else (np.divide, np.multiply)
    rounded = np.asarray(there(x, scale))
    np.rint(rounded, out=rounded)
    back(rounded, scale, out=rounded)
    lost = np.isinf(rounded) if scale <= np.finfo(x.dtype).max else ~np.isfinite(rounded)
    return np.where(lost, x, rounded) if lost.any() else rounded  # what overflows has no such digits


def _whole(x: np.ndarray, step: int) -> np.ndarray:
    """Integers to multiples of a step, as signed integers of 64 bits."""
    wide = x.astype(np.uint64 if is_uint64(x.dtype) else np.int64)
    if step > np.iinfo(np.int64).max:
        return np.zeros_like(wide)
    below, rest = np.divmod(wide, wide.dtype.type(step))
    up = (rest * 2 > step) | ((rest * 2 == step) & (below % 2 == 1))
    return (below + up.astype(wide.dtype)) * wide.dtype.type(step)
