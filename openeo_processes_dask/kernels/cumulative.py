"""Running totals along an axis; gaps stay where they are, and are skipped or end all."""

from __future__ import annotations

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.missing import gaps_as, wide_of
from openeo_processes_dask.kernels.tiling import mapped


def cumsum(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """Running sums, in float64 or integers of 64 bits."""
    if block.dtype.kind != "f":
        return _within(np.cumsum(block, axis, wide_of(block.dtype)), np.cumsum(block, axis, np.float64))
    if compiled.usable(block):
        return compiled.mapped("running_sums", block, axis, skip)
    return _running(np.add, block, 0, axis, skip)


def cumproduct(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """Running products, in float64 or integers of 64 bits."""
    if block.dtype.kind != "f":
        return _within(np.cumprod(block, axis, wide_of(block.dtype)), np.cumprod(block, axis, np.float64))
    if compiled.usable(block):
        return compiled.mapped("running_products", block, axis, skip)
    return _running(np.multiply, block, 1, axis, skip)


def cummax(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The largest value up to each place."""
    return _extreme(np.fmax, block, axis, skip)


def cummin(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The smallest value up to each place."""
    return _extreme(np.fmin, block, axis, skip)


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
        return compiled.mapped("running_extremes", block, axis, skip, sign)
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
