"""Comparisons and three-valued logic on blocks that are broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.missing import (
    either_missing,
    float_of,
    gaps,
    is_true,
    truth_of,
    wide_of,
    with_gaps,
)
from openeo_processes_dask.kernels.reduction import combined, folded

Part = tuple[np.ndarray, ...]


# --- comparisons of numbers


def eq(x: Any, y: Any, delta: float | None = None) -> np.ndarray:
    """Whether values are equal, or differ by no more than `delta`."""
    if delta is None:
        return _compared(np.equal, x, y)
    return with_gaps(_apart(x, y) <= delta, either_missing(x, y))


def neq(x: Any, y: Any, delta: float | None = None) -> np.ndarray:
    """Whether values differ, or by more than `delta`."""
    if delta is None:
        return _compared(np.not_equal, x, y)
    return with_gaps(~(_apart(x, y) <= delta), either_missing(x, y))


def gt(x: Any, y: Any) -> np.ndarray:
    """Whether x is greater."""
    return _compared(np.greater, x, y)


def gte(x: Any, y: Any) -> np.ndarray:
    """Whether x is greater or equal."""
    return _compared(np.greater_equal, x, y)


def lt(x: Any, y: Any) -> np.ndarray:
    """Whether x is less."""
    return _compared(np.less, x, y)


def lte(x: Any, y: Any) -> np.ndarray:
    """Whether x is less or equal."""
    return _compared(np.less_equal, x, y)


def between(x: Any, lowest: Any, highest: Any, exclude_max: bool = False) -> np.ndarray:
    """Whether values lie within bounds; nothing does if the bounds are swapped."""
    if lowest <= highest if isinstance(lowest, (int, float)) and isinstance(highest, (int, float)) else False:
        found = compiled.truths("between", x, lowest, highest, not exclude_max)
        if found is not None:
            return found
    inside = np.greater_equal(x, lowest) & (np.less(x, highest) if exclude_max else np.less_equal(x, highest))
    return with_gaps(inside & np.less_equal(lowest, highest), gaps(x))


def nothing(*operands: Any) -> np.ndarray:
    """False for all values that can be compared."""
    found = np.zeros(np.broadcast_shapes(*(np.shape(o) for o in operands)), np.bool_)
    return with_gaps(found, either_missing(*operands))


def everything(*operands: Any) -> np.ndarray:
    """True for all values that can be compared."""
    found = np.ones(np.broadcast_shapes(*(np.shape(o) for o in operands)), np.bool_)
    return with_gaps(found, either_missing(*operands))


_HELD: dict[Any, tuple[bool, bool, bool]] = {  # where x is greater, equal, less
    np.equal: (False, True, False),
    np.not_equal: (True, False, True),
    np.greater: (True, False, False),
    np.greater_equal: (True, True, False),
    np.less: (False, False, True),
    np.less_equal: (False, True, True),
}


def _compared(ufunc: np.ufunc, x: Any, y: Any) -> np.ndarray:
    """Compare blocks of any types; what floats can be compared by a loop is seen once only."""
    held = _HELD[ufunc]
    if isinstance(x, (int, float)):
        x, y, held = y, x, held[::-1]
        ufunc = next(other for other, answers in _HELD.items() if answers == held)
    name = "compare_pairs" if isinstance(y, np.ndarray) else "compare"
    found = compiled.truths(name, x, y, *held) if not isinstance(y, bool) else None
    return with_gaps(ufunc(x, y), either_missing(x, y)) if found is None else found


def _apart(x: Any, y: Any) -> Any:
    """Distances between values, in types that hold them."""
    wide = [np.asarray(v) if np.asarray(v).dtype.kind == "f" else np.asarray(v, np.float64) for v in (x, y)]
    return np.abs(np.subtract(*wide))


# --- kinds of values


def is_nodata(x: np.ndarray) -> np.ndarray:
    """Where values are missing."""
    gap = gaps(x)
    return np.zeros(np.shape(x), np.bool_) if gap is None else gap


def is_valid(x: np.ndarray) -> np.ndarray:
    """Where values are finite numbers, or of another kind and not missing."""
    return np.isfinite(x) if x.dtype.kind == "f" else ~is_nodata(x)


def is_infinite(x: np.ndarray) -> np.ndarray:
    """Where values are infinite."""
    return np.isinf(x) if x.dtype.kind == "f" else np.zeros(x.shape, np.bool_)


# --- logic: 0 is false, NaN is missing, all else is true


def and_(x: Any, y: Any) -> np.ndarray:
    """Three-valued and: a false operand decides."""
    found = compiled.truths("conjunction", x, y) if isinstance(y, np.ndarray) else None
    if found is not None:
        return found
    false = np.equal(x, 0) | np.equal(y, 0)
    gap = either_missing(x, y)
    return with_gaps(~false, None if gap is None else gap & ~false)


def or_(x: Any, y: Any) -> np.ndarray:
    """Three-valued or: a true operand decides."""
    found = compiled.truths("disjunction", x, y) if isinstance(y, np.ndarray) else None
    if found is not None:
        return found
    true = is_true(x) | is_true(y)
    gap = either_missing(x, y)
    return with_gaps(true, None if gap is None else gap & ~true)


def xor(x: Any, y: Any) -> np.ndarray:
    """Whether exactly one is true."""
    found = compiled.truths("exclusion", x, y) if isinstance(y, np.ndarray) else None
    if found is not None:
        return found
    return with_gaps(np.not_equal(x, 0) ^ np.not_equal(y, 0), either_missing(x, y))


def not_(x: Any) -> np.ndarray:
    """The opposite."""
    found = compiled.truths("opposite", x)
    return with_gaps(np.equal(x, 0), gaps(x)) if found is None else found


def choose(value: Any, accept: Any, reject: Any) -> np.ndarray:
    """Accepted where a value is true, else rejected; no-data is false."""
    return np.where(is_true(value), *_common(accept, reject))


def _common(accept: Any, reject: Any) -> tuple[Any, Any]:
    """Both as one type: plain numbers leave the type of blocks alone, and integers with gaps become floats."""
    for one, other in ((accept, reject), (reject, accept)):
        dtype = getattr(one, "dtype", None)
        if dtype is None or dtype.kind not in "biu" or hasattr(other, "dtype"):
            continue
        if isinstance(other, float):
            target = float_of(dtype)
        elif dtype.kind == "b" or np.iinfo(dtype).min <= other <= np.iinfo(dtype).max:
            target = dtype if dtype.kind != "b" or isinstance(other, bool) else np.dtype(np.int64)
        else:
            target = wide_of(dtype)
        return np.asarray(accept, target), np.asarray(reject, target)
    if isinstance(accept, (int, float)) and getattr(reject, "dtype", np.dtype(object)).kind == "f":
        accept = reject.dtype.type(accept)
    if isinstance(reject, (int, float)) and getattr(accept, "dtype", np.dtype(object)).kind == "f":
        reject = accept.dtype.type(reject)
    return accept, reject


# --- along an axis


def _seen(block: np.ndarray, axis: int, skip: bool, decisive: bool) -> Part:
    """Whether the decisive truth value was seen, and whether a gap and any value were."""
    held, gap = is_true(block), gaps(block)
    found = held if decisive else ~held if gap is None else ~held & ~gap
    parts = [found] if skip or gap is None else [found, gap, ~gap]
    return tuple(np.any(part, axis, keepdims=True) for part in parts)


def _any(block: np.ndarray, axis: int, skip: bool) -> Part:
    return _seen(block, axis, skip, True)


def _all(block: np.ndarray, axis: int, skip: bool) -> Part:
    return _seen(block, axis, skip, False)


def _merge(parts: list[Part]) -> Part:
    return tuple(folded(np.logical_or, [p[i] for p in parts]) for i in range(len(parts[0])))


def _final_any(part: Part, dtype: np.dtype) -> np.ndarray:
    return _decided(part, part[0], dtype)


def _final_all(part: Part, dtype: np.dtype) -> np.ndarray:
    return _decided(part, ~part[0], dtype)


def _decided(part: Part, result: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Missing where a gap was seen among other values and nothing decided; nothing but gaps is like no values."""
    if len(part) > 1:
        result = with_gaps(result, ~part[0] & part[1] & part[2])
    return result.astype(dtype, copy=False)


def _bool(dtype: Any) -> np.dtype:
    return np.dtype(np.bool_)


ANY = {
    True: combined(_any, _merge, _final_any, _bool, empty=False, name="any"),
    False: combined(_any, _merge, _final_any, truth_of, empty=False, name="any"),
}
ALL = {
    True: combined(_all, _merge, _final_all, _bool, empty=True, name="all"),
    False: combined(_all, _merge, _final_all, truth_of, empty=True, name="all"),
}
