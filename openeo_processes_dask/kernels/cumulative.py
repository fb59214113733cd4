"""Running totals along an axis; gaps stay where they are, and are skipped or end all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.missing import gaps_as, wide_of
from openeo_processes_dask.kernels.tiling import mapped

Kernel = Callable[..., np.ndarray]
FRESH = np.empty((0, 0, 0))  # no totals that a loop would go on from


def cumsum(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """Running sums, in float64 or integers of 64 bits."""
    if block.dtype.kind != "f":
        return _within(np.cumsum(block, axis, wide_of(block.dtype)), np.cumsum(block, axis, np.float64))
    if compiled.usable(block):
        return compiled.mapped("running_sums", block, axis, skip, FRESH)
    return _running(np.add, block, 0, axis, skip)


def cumproduct(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """Running products, in float64 or integers of 64 bits."""
    if block.dtype.kind != "f":
        return _within(np.cumprod(block, axis, wide_of(block.dtype)), np.cumprod(block, axis, np.float64))
    if compiled.usable(block):
        return compiled.mapped("running_products", block, axis, skip, FRESH)
    return _running(np.multiply, block, 1, axis, skip)


def cummax(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The largest value up to each place."""
    return _extreme(np.fmax, block, axis, skip)


def cummin(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The smallest value up to each place."""
    return _extreme(np.fmin, block, axis, skip)


def step(
    kernel: Kernel, block: np.ndarray, axis: int, before: np.ndarray | None, skip: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a block that follows others along an axis, and what the next one starts from.

    That is a row, in the type that is computed in: what was reached so far, where nothing was the neutral value, and
    NaN where that is all there will be.
    """
    if not block.shape[axis]:
        return kernel(block, axis, skip), before
    if block.dtype.kind != "f":  # without gaps the last row is what was reached
        values = kernel(block, axis, skip) if before is None else _after(before, kernel, block, axis, skip)
        return values, values[_rows(axis, -1, None)].copy()  # a view would keep all of them
    if before is None:
        dtype = block.dtype if kernel in (cummax, cummin) else np.dtype(np.float64)
        before = np.full([1 if i == axis else n for i, n in enumerate(block.shape)], NEUTRAL[kernel], dtype)
    wide = np.prod(block.shape[axis + 1 :]) >= compiled.NARROW
    if compiled.usable(block) and wide:
        return _continued(kernel, block, axis, before, skip)
    values = _after(before, kernel, block, axis, skip)
    values = np.where(np.isnan(before), values.dtype.type(np.nan), values)
    if not skip:
        return values.astype(block.dtype), values[_rows(axis, -1, None)].copy()
    known = np.flip(~np.isnan(block), axis)
    last = block.shape[axis] - 1 - np.argmax(known, axis, keepdims=True)
    reached = np.where(known.any(axis, keepdims=True), np.take_along_axis(values, last, axis), before)
    return values.astype(block.dtype), reached


def _after(before: np.ndarray, kernel: Kernel, block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The values of a block as if a row were before it."""
    return kernel(np.concatenate([before, block], axis), axis, skip)[_rows(axis, 1, None)]


def _rows(axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)


def _continued(
    kernel: Kernel, block: np.ndarray, axis: int, before: np.ndarray, skip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The same by a loop, which leaves in the row what was reached; views of larger arrays go through it in parts."""
    if not block.flags.c_contiguous:
        return _in_parts(kernel, block, axis, before, skip)
    beside = int(np.prod(block.shape[axis + 1 :]))
    reached, out = before.copy(), np.empty_like(block)
    sign = {cummax: (block.dtype.type(1),), cummin: (block.dtype.type(-1),)}.get(kernel, ())
    arrays = [array.reshape(-1, array.shape[axis], beside) for array in (block, reached, out)]
    compiled.run(LOOPS[kernel], arrays[:1], skip, *sign, *arrays[1:])
    return out, reached


def _in_parts(
    kernel: Kernel, block: np.ndarray, axis: int, before: np.ndarray, skip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The same of parts that are copied while they are in the cache."""
    out, reached = np.empty(block.shape, block.dtype), np.empty(before.shape, before.dtype)
    across = 0 if axis else 1
    step = max(1, compiled.TURNED * block.shape[across] // block.size)
    for start in range(0, block.shape[across], step):
        part = (slice(None),) * across + (slice(start, start + step),)
        values = np.ascontiguousarray(block[part])
        out[part], reached[part] = _continued(kernel, values, axis, before[part], skip)
    return out, reached


def _running(ufunc: np.ufunc, block: np.ndarray, neutral: int, axis: int, skip: bool) -> np.ndarray:
    def run(tile: np.ndarray, out: np.ndarray) -> None:
        total = np.full(tile.shape[1], neutral, np.float64)
        for row, result in zip(tile, out, strict=True):
            gap = np.isnan(row)
            ufunc(total, gaps_as(row, neutral) if skip else row, out=total)
            np.copyto(result, total, casting="same_kind")
            np.copyto(result, np.nan, where=gap)

    return mapped(run, block, axis)


def _extreme(ufunc: np.ufunc, block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    if block.dtype.kind != "f":
        return ufunc.accumulate(block, axis)
    if compiled.usable(block):
        sign = block.dtype.type(1 if ufunc is np.fmax else -1)
        return compiled.mapped("running_extremes", block, axis, skip, sign, FRESH.astype(block.dtype))
    result = ufunc.accumulate(block, axis)
    gap = np.isnan(block)
    result[gap if skip else np.logical_or.accumulate(gap, axis)] = np.nan
    return result


def _within(values: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Integers at the limits of their type from where they went beyond them."""
    limits = np.iinfo(values.dtype)
    beyond = (estimate >= float(limits.max)) | (estimate < float(limits.min))
    if not beyond.any():
        return values
    return np.where(beyond, np.where(estimate > 0, limits.max, limits.min), values).astype(values.dtype)


NEUTRAL: dict[Kernel, float] = {cumsum: 0, cumproduct: 1, cummax: -np.inf, cummin: np.inf}
LOOPS: dict[Kernel, str] = {
    cumsum: "running_sums", cumproduct: "running_products", cummax: "running_extremes", cummin: "running_extremes"
}  # fmt: skip
