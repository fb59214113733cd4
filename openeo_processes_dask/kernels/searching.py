"""Finding values along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.missing import is_true, same
from openeo_processes_dask.kernels.reduction import Reduction, combined, folded
from openeo_processes_dask.kernels.tiling import tiled

Part = tuple[np.ndarray, ...]


def element(block: np.ndarray, index: int, axis: int) -> np.ndarray:
    """One element of each row, on an axis of length one."""
    return block[(slice(None),) * axis + (slice(index, index + 1),)]


def _first(block: np.ndarray, axis: int, skip: bool) -> Part:
    """The first value that is no gap, a gap where there is none."""
    return _found(block, axis, skip, step=1)


def _last(block: np.ndarray, axis: int, skip: bool) -> Part:
    """The last value that is no gap, a gap where there is none."""
    return _found(block, axis, skip, step=-1)


def _found(block: np.ndarray, axis: int, skip: bool, step: int) -> Part:
    if compiled.usable(block):
        return compiled.reduced("first", block, axis, [(block.dtype, 1)], step)
    return _plainly_found(block, axis, skip, step=step)


@tiled
def _plainly_found(block: np.ndarray, axis: int, skip: bool, step: int) -> Part:
    return (_filled(block, axis, range(block.shape[axis])[::step]),)


def _filled(block: np.ndarray, axis: int, order: Sequence[int]) -> np.ndarray:
    """Values at the positions in their order, until there is one everywhere."""
    found = np.full(tuple(1 if i == axis else n for i, n in enumerate(block.shape)), np.nan, block.dtype)
    for index in order:
        gap = np.isnan(found)
        if not gap.any():
            break
        np.copyto(found, element(block, index, axis), where=gap)
    return found


def _merge_first(parts: list[Part]) -> Part:
    return (folded(lambda a, b: np.where(np.isnan(a), b, a), [p[0] for p in parts]),)


def _merge_last(parts: list[Part]) -> Part:
    return _merge_first(parts[::-1])


def _final(part: Part, dtype: np.dtype) -> np.ndarray:
    return part[0].astype(dtype, copy=False)


def find(block: np.ndarray, axis: int, skip: bool, reverse: bool = False) -> np.ndarray:
    """The position of the first, or last, true value of each row; a gap where there is none."""
    held = is_true(np.flip(block, axis) if reverse else block)
    position = np.argmax(held, axis=axis, keepdims=True)
    if reverse:
        position = block.shape[axis] - 1 - position
    return np.where(held.any(axis, keepdims=True), position, np.nan)


def _float64(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float64)


FIND = Reduction(find, dtype=_float64, name="array_find")

# Both skip gaps; where gaps count as values, or cannot be, the element at the end is the answer.
FIRST = combined(_first, _merge_first, _final, same, ordered=True, name="first")
LAST = combined(_last, _merge_last, _final, same, ordered=True, name="last")
