"""Arithmetic on blocks that are broadcast: IEEE 754 on floats, exact on integers and never around their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from openeo_processes_dask.kernels import tiling
from openeo_processes_dask.kernels.missing import is_uint64, operand, wide_of

Range = tuple[int, int]


# --- closed over the integers


def add(x: Any, y: Any) -> Any:
    """Sum of two blocks."""
    return _closed(np.add, lambda a, b: (a[0] + b[0], a[1] + b[1]), x, y)


def subtract(x: Any, y: Any) -> Any:
    """Difference of two blocks."""
    if _is_uint64(x) or _is_uint64(y):
        return np.subtract(*_promoted(x, y))
    return _closed(np.subtract, lambda a, b: (a[0] - b[1], a[1] - b[0]), x, y)


def multiply(x: Any, y: Any) -> Any:
    """Product of two blocks."""
    return _closed(np.multiply, _range_of_product, x, y)


def absolute(x: Any) -> Any:
    """Values without their sign."""
    if x.dtype.kind == "f":
        return np.abs(x)
    values = np.abs(x.astype(wide_of(x.dtype)))
    if x.dtype.kind == "i" and x.dtype.itemsize == 8:  # the smallest has no counterpart
        return np.where(values < 0, np.iinfo(np.int64).max, values)
    return values


def mod(x: Any, y: Any) -> Any:
    """Remainder of a division, with the sign of the divisor; by zero it is what the quotient would be."""
    if isinstance(y, int) and y and not _floats(x) and (y > 0 or not _is_uint64(x)) and abs(y) < 2**63:
        return np.remainder(x.astype(wide_of(x.dtype)), y)
    x, y = _promoted(x, y)
    result = np.remainder(x, y)
    by_zero = np.equal(y, 0)
    if by_zero.any():
        result = np.where(by_zero, np.divide(x, np.abs(y)), result)
    by_infinity = np.isinf(y)
    if by_infinity.any():
        result = np.where(by_infinity & np.isfinite(x), x, result)
    return result


def clip(x: Any, lowest: Any, highest: Any) -> Any:
    """Values within bounds; a missing bound makes all missing. Integers keep their type where the results fit."""
    if _floats(x, lowest, highest):
        return np.clip(*_promoted(x, lowest, highest))
    if isinstance(lowest, int) and isinstance(highest, int):
        limits = _limits(x)
        ends = [min(max(end, lowest), highest) for end in limits]
        if limits[0] <= min(ends) and max(ends) <= limits[1]:
            low, high = (min(max(bound, limits[0]), limits[1]) for bound in (lowest, highest))
            return np.clip(x.astype(np.uint8) if x.dtype.kind == "b" else x, low, high)
        if max(map(abs, (lowest, highest))) > np.iinfo(np.int64).max:
            return clip(x, float(lowest), float(highest))
    if any(_is_uint64(value) for value in (x, lowest, highest)):
        return clip(_floating(x), _floating(lowest), _floating(highest))
    return np.minimum(np.maximum(_wide(x), _wide(lowest)), _wide(highest))


# --- always floating


def divide(x: Any, y: Any) -> Any:
    """Quotient of two blocks."""
    return np.divide(*_promoted(x, y))


def normalized_difference(x: Any, y: Any) -> Any:
    """Difference over sum."""
    x, y = _promoted(x, y)
    if np.shape(x) != np.shape(y):  # one is a plain number, or they are broadcast
        return np.divide(np.subtract(x, y), np.add(x, y))
    x, y = np.asarray(x), np.asarray(y)
    out = np.empty(x.shape, np.result_type(x, y))
    for part in tiling.parts(x.shape):
        between = np.add(x[part], y[part])
        np.divide(np.subtract(x[part], y[part]), between, out=out[part])
    return out[()]  # a number where it has no axes


def linear_scale_range(x: Any, in_min: Any, in_max: Any, out_min: Any, out_max: Any) -> Any:
    """Values moved from one range to another, those outside of it to its ends."""
    x, in_min, in_max, out_min, out_max = _promoted(x, in_min, in_max, out_min, out_max)
    if not all(isinstance(bound, float) for bound in (in_min, in_max, out_min, out_max)):
        inside = np.minimum(np.maximum(x, np.minimum(in_min, in_max)), np.maximum(in_min, in_max))
        return (inside - in_min) / (in_max - in_min) * (out_max - out_min) + out_min
    x = np.asarray(x)
    out = np.empty(x.shape, np.result_type(x, 0.0))
    for part in tiling.parts(x.shape):
        values = out[part]
        np.clip(x[part], min(in_min, in_max), max(in_min, in_max), out=values)
        values -= in_min
        values /= in_max - in_min
        values *= out_max - out_min
        values += out_min
    return out[()]


def sgn(x: Any) -> Any:
    """Minus one, zero or one."""
    return x.astype(np.uint8) if x.dtype.kind == "b" else np.sign(x)


# --- types


def _closed(ufunc: np.ufunc, reach: Callable[[Range, Range], Range], x: Any, y: Any) -> Any:
    """Apply a ufunc; `reach` tells from the ranges of two integer operands in which range the results lie."""
    if _floats(x, y):
        return ufunc(*_promoted(x, y))
    target = _common_integer(x, y)
    if target is None:
        return ufunc(_floating(x), _floating(y))
    lowest, highest = np.iinfo(target).min, np.iinfo(target).max
    ends = reach(_limits(x), _limits(y))
    if ends[0] < lowest or ends[1] > highest:
        ends = reach(_extent(x), _extent(y))
    result = ufunc(x, y, dtype=target)
    if lowest <= ends[0] and ends[1] <= highest:
        return result
    estimate = ufunc(_floating(x), _floating(y))
    result = np.where(estimate >= float(highest), target.type(highest), result)
    return np.where(estimate < float(lowest), target.type(lowest), result)


def _range_of_product(a: Range, b: Range) -> Range:
    products = [p * q for p in a for q in b]
    return min(products), max(products)


def _common_integer(x: Any, y: Any) -> np.dtype | None:
    """The type in which two integer operands meet; None if there is none."""
    if not (_is_uint64(x) or _is_uint64(y)):
        fits = all(abs(v) < 2**63 for v in (x, y) if isinstance(v, int))
        return np.dtype(np.int64) if fits else None
    for value in (x, y):
        fits = 0 <= value < 2**64 if isinstance(value, int) else value.dtype.kind != "i"
        if not fits:
            return None
    return np.dtype(np.uint64)


def _floats(*values: Any) -> bool:
    return any(isinstance(v, float) or getattr(v, "dtype", np.dtype(int)).kind == "f" for v in values)


def _promoted(*values: Any) -> list[Any]:
    """Blocks in floating point; plain numbers leave their type alone."""
    return [float(v) if isinstance(v, int) else operand(v) for v in values]


def _floating(value: Any) -> Any:
    """In float64."""
    return float(value) if isinstance(value, (int, float)) else value.astype(np.float64)


def _is_uint64(value: Any) -> bool:
    return not isinstance(value, (int, float)) and is_uint64(value.dtype)


def _wide(value: Any) -> Any:
    return value if isinstance(value, int) else value.astype(wide_of(value.dtype), copy=False)


def _limits(value: Any) -> Range:
    """Between which integers a value lies, by its type."""
    if isinstance(value, int):
        return value, value
    if value.dtype.kind == "b":
        return 0, 1
    return int(np.iinfo(value.dtype).min), int(np.iinfo(value.dtype).max)


def _extent(value: Any) -> Range:
    """Between which integers a value lies, by looking."""
    if isinstance(value, int) or not value.size:
        return (value, value) if isinstance(value, int) else (0, 0)
    return int(value.min()), int(value.max())
