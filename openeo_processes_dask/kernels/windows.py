"""Weighted sums of the pixels around each pixel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from openeo_processes_dask.kernels import compiled, missing

BORDERS = {"replicate": "edge", "reflect": "symmetric", "reflect_pixel": "reflect", "wrap": "wrap"}
_TILE = 32_768  # numbers that stay in a processor's own cache while all weights pass over them
_ALIKE = 1e-14  # of the largest singular value: as small, a part of a kernel is rounding

Pads = tuple[tuple[int, int], tuple[int, int]]


class Window(NamedTuple):
    """A kernel, itself or as a sum of columns times rows; what lies behind borders and in gaps."""

    weights: np.ndarray
    terms: tuple[tuple[np.ndarray, np.ndarray], ...]
    factor: float
    border: Any
    invalid: float
    fill: Any


def terms(weights: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """A kernel as a sum of products of a column and a row; none where that takes no fewer multiplications.

    A kernel that is one column times one row, such as a mean or a Gauss, costs as much as its two sides.
    """
    left, values, right = np.linalg.svd(weights)
    rank = int((values > _ALIKE * values[0]).sum())
    if rank * sum(weights.shape) >= np.count_nonzero(weights):
        return ()
    return tuple((left[:, i] * values[i], right[i]) for i in range(rank))


def correlate(block: np.ndarray, pads: Pads, window: Window, axes: tuple[int, int]) -> np.ndarray:
    """The weighted sums over the planes of two axes, y and x, of a block that brings a rim of its neighbours.

    `pads` says how far it must be continued at the sides where it has no neighbours. Sums are made in
    float64, whatever comes in.
    """
    planes = np.moveaxis(block, axes, (-2, -1))
    sides = zip(planes.shape[-2:], pads, window.weights.shape, strict=True)
    height, width = (size + sum(pad) - weights + 1 for size, pad, weights in sides)
    out = np.empty((*planes.shape[:-2], height, width), missing.float_of(block.dtype))
    if out.size:
        for index in np.ndindex(*planes.shape[:-2]):
            if window.terms and compiled.usable(planes[index]):
                _weigh_by_lines(planes[index], pads, window, out[index])
                continue
            plane = _continued(_numbers(planes[index], window), pads, window.border)
            (_weigh_apart if window.terms else _weigh)(plane, window, out[index])
    return np.moveaxis(out, (-2, -1), axes)


def _numbers(plane: np.ndarray, window: Window) -> np.ndarray:
    """A plane in floating point, with what is no number replaced."""
    values = plane.astype(missing.float_of(plane.dtype), copy=False)
    held = np.isfinite(values)
    if window.fill is not None:
        held &= plane != window.fill
    return values if held.all() else np.where(held, values, values.dtype.type(window.invalid))


def _continued(plane: np.ndarray, pads: Pads, border: Any) -> np.ndarray:
    if not any(map(any, pads)):
        return plane
    if isinstance(border, str):
        return np.pad(plane, pads, mode=BORDERS[border])  # type: ignore[call-overload]
    return np.pad(plane, pads, constant_values=border)


def _weigh_by_lines(plane: np.ndarray, pads: Pads, window: Window, out: np.ndarray) -> None:
    """Fill the sums of a plane by a loop, which reads it once."""
    before, held = (pads[0][0], pads[1][0]), plane.dtype.type
    border = 0.0
    if isinstance(window.border, str):
        plane, before = _continued(plane, pads, window.border), (0, 0)
    else:
        border = float(held(window.border))
    fill = np.nan if window.fill is None else float(held(window.fill))
    columns, rows = (np.array(side) for side in zip(*window.terms, strict=True))
    numbers = (float(held(window.invalid)), columns, rows, float(window.factor))
    compiled.run("loops_of_windows.weigh_apart", [np.ascontiguousarray(plane)], before, border, fill, *numbers, out)


def _weigh(plane: np.ndarray, window: Window, out: np.ndarray) -> None:
    """Fill the sums of a plane, all weights at once."""
    sums = ndimage.correlate(plane, window.weights, output=out.dtype, mode="constant")
    top, left = (length // 2 for length in window.weights.shape)
    np.multiply(sums[top : top + out.shape[0], left : left + out.shape[1]], window.factor, out=out)


def _weigh_apart(plane: np.ndarray, window: Window, out: np.ndarray) -> None:
    """Fill the sums of a plane, first along columns and then along rows, some rows at a time."""
    height, width = out.shape
    rows = min(max(1, _TILE // width), height)
    sums, mixture, product = np.empty((rows, width)), *np.empty((2, rows, plane.shape[1]))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        tile = plane[top : top + count + len(window.weights) - 1].astype(np.float64)
        total, mixed = sums[:count], mixture[:count]
        total[...] = 0
        for column, row in window.terms:
            mixed[...] = 0
            for shift in np.flatnonzero(column):
                mixed += np.multiply(tile[shift : shift + count], column[shift], out=product[:count])
            for shift in np.flatnonzero(row):
                total += np.multiply(mixed[:, shift : shift + width], row[shift], out=product[:count, :width])
        np.multiply(total, window.factor, out=out[top : top + count], casting="same_kind")
