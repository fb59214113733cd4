"""Applying: a child process on each value, or on each row of a dimension; the dimensions stay."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from openeo_processes_dask import blocks, dimensions, overlap
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import DimensionExists, KernelDimensionsUneven, ProcessParameterInvalid
from openeo_processes_dask.kernels import missing, windows
from openeo_processes_dask.vocabulary import (
    BORDERS,
    Anything,
    ArrayProcess,
    Border,
    Cube,
    DimensionName,
    Kernel,
    OptionalDimensionName,
    PlainNumber,
    Process,
    RasterCube,
    Scaling,
)


@declare("cubes", scaling=Scaling.BLOCKWISE)
def apply(data: Cube, process: Process, context: Anything = None) -> Cube:
    """Run a process on every value.

    The child process is read once and runs as one task per block, however many nodes it has. An integer cube with
    a declared no-data value keeps it where integers come out, else its gaps become NaN.
    """
    cube = dimensions.as_cube(data)
    return blocks.apply(trace(process, "x", context=context), cube)


@declare("cubes", scaling=Scaling.SHUFFLE)
def apply_dimension(
    data: Cube,
    process: ArrayProcess,
    dimension: DimensionName,
    target_dimension: OptionalDimensionName = None,
    context: Anything = None,
) -> Cube:
    """Run a process on the array of values along a dimension.

    The dimension keeps its place and, if as many values come out as went in, its labels; else labels count up from
    zero. With another target dimension that takes the place of the source. A dimension in one chunk costs one task
    per block; one in several is brought together first.

    Raises
    ------
    DimensionNotAvailable
        If the cube has no such dimension.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, dimension)
    if target_dimension not in (None, dimension) and target_dimension in cube.dims:
        raise DimensionExists(f"the target dimension {target_dimension!r} is one of {tuple(cube.dims)}")
    return blocks.along(trace(process, "data", context=context), cube, dimension, target_dimension)


@declare("cubes", "math > image filter", scaling=Scaling.OVERLAP)
def apply_kernel(
    data: RasterCube,
    kernel: Kernel,
    factor: PlainNumber = 1,
    border: Border = 0,
    replace_invalid: PlainNumber = 0,
) -> RasterCube:
    """Sum up the pixels around each pixel, weighted by a kernel, and multiply by a factor.

    The kernel is laid on as it is written, not flipped. No-data, NaN and infinite values count as `replace_invalid`,
    so that the result has no gaps; it is in floating point. Planes in one chunk cost one task per chunk. Where they
    are cut, each block gets a rim of its neighbours as deep as half the kernel, for one more task per chunk.

    Raises
    ------
    KernelDimensionsUneven
        If the kernel has an even number of rows or columns.
    """
    cube = dimensions.as_cube(data)
    y, x = (cube.get_axis_num(name) for name in dimensions.require_spatial(cube))
    weights = _kernel(kernel)
    if not _finite(border) and border not in BORDERS:
        raise ProcessParameterInvalid(f"border must be a number or one of {', '.join(BORDERS)}, not {border!r}")
    for name, number in (("factor", factor), ("replace_invalid", replace_invalid)):
        if not _finite(number):
            raise ProcessParameterInvalid(f"{name} must be a number, not {number!r}")
    shape = weights.shape[0], weights.shape[1]
    window = windows.Window(weights, windows.terms(weights), factor, border, replace_invalid, dimensions.nodata(cube))
    run = functools.partial(windows.correlate, window=window, axes=(y, x))
    dtype, depths = missing.float_of(cube.dtype), (shape[0] // 2, shape[1] // 2)
    values = overlap.with_rims(run, cube.data, (y, x), depths, dtype, border == "wrap")
    return blocks.undeclared(cube.copy(data=values))


def _kernel(given: Any) -> np.ndarray:
    try:
        weights = np.array(given, np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.ndim != 2 or not np.isfinite(weights).all():
        raise ProcessParameterInvalid(f"a kernel is rows of as many numbers each, this is {given!r}")
    if not all(length % 2 for length in weights.shape):
        raise KernelDimensionsUneven(f"the kernel has {weights.shape[0]} rows and {weights.shape[1]} columns")
    return weights


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
