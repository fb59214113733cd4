"""Applying: a child process on each value, or on each row of a dimension; the dimensions stay."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask import blocks, dimensions, neighborhoods, segments, vectors
from openeo_processes_dask import geometries as outlined
from openeo_processes_dask import overlap as rims
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import DimensionExists, KernelDimensionsUneven, ProcessParameterInvalid
from openeo_processes_dask.kernels import missing, windows
from openeo_processes_dask.values import is_number
from openeo_processes_dask.vocabulary import (
    BORDERS,
    Anything,
    ArrayProcess,
    Border,
    Cube,
    CubeProcess,
    DimensionName,
    Kernel,
    OptionalDimensionName,
    PlainNumber,
    PolygonCube,
    Process,
    RasterCube,
    Replacement,
    Scaling,
    WindowOverlaps,
    WindowProcess,
    WindowSizes,
)


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def apply(data: Cube, process: Process, context: Anything = None) -> Cube:
    """Run a process on every value.

    The child process is read once and runs as one task per block, however many nodes it has. An integer cube with
    a declared no-data value keeps it where integers come out, else its gaps become NaN.
    """
    cube = dimensions.as_cube(data)
    return blocks.apply(trace(process, "x", context=context), cube)


@declare("cubes", scaling=Scaling.SHUFFLE)
@checked
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
@checked
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
    values = rims.with_rims(run, cube.data, (y, x), depths, dtype, border == "wrap")
    return blocks.undeclared(cube.copy(data=values))


@declare("cubes", scaling=Scaling.OVERLAP)
@checked
def apply_neighborhood(
    data: RasterCube,
    process: WindowProcess,
    size: WindowSizes,
    overlap: WindowOverlaps = None,
    context: Anything = None,
) -> RasterCube:
    """Run a process on windows that lie side by side, each with what is around it.

    The child process gets a cube of the window and its overlap, with dimensions, labels and CRS, and must return one
    of the same dimensions and labels, of which the overlap is cut off. Windows of a single dimension are arrays, all of
    a block at once. Beyond the borders of the cube lies no-data; the last window of a dimension may be smaller.

    Sizes and overlaps are in labels (`px`), in metres (`m`), without a unit in units of the labels along x and y and
    in labels elsewhere, or durations along time: those windows follow each other from the first label on. Sizes are
    rounded to whole labels, overlaps up. Blocks hold whole windows; each block costs one task, and one more where
    it gives its edges to others. Windows that see all labels of a dimension in several chunks bring these together.

    Raises
    ------
    DimensionNotAvailable
        If the cube lacks one of the dimensions.
    DataCubePropertiesImmutable
        If the child process returns other dimensions or labels.
    """
    cube = dimensions.as_cube(data)
    dimensions.require_spatial(cube)
    along = neighborhoods.windows(cube, _lengths(cube, "size", size), _lengths(cube, "overlap", overlap))
    beyond = any(any(w.absent) for found in along for w in found)
    if beyond and cube.dtype.kind in "biu" and dimensions.nodata(cube) is None:
        cube = cube.astype(missing.float_of(cube.dtype))  # there is no-data around it
    values, way = neighborhoods.apply(trace(process, "data", context=context), cube, along)
    return blocks.like(cube, values, way)


@declare("cubes", scaling=Scaling.SHUFFLE)
@checked
def apply_polygon(
    data: RasterCube,
    geometries: PolygonCube,
    process: CubeProcess,
    mask_value: Replacement = None,
    context: Anything = None,
) -> RasterCube:
    """Run a process on the part of the cube under each polygon.

    The child process gets a cube of the smallest window of the grid around the pixels of a polygon, with all labels
    of the other dimensions and the mask value, or no-data, in pixels outside the polygon. It must return one of the
    same dimensions and labels, of which the pixels inside the polygon are taken. Pixels outside all polygons become
    the mask value too. A pixel belongs to a polygon if its centre lies in it or on its edge.

    Polygons that lie side by side run together in one task, as many as fill about one block in space with all labels
    of the other dimensions; blocks give them only what they need. Processes on each value, or along dimensions other
    than x and y, need no polygon as a whole: they run block by block, and polygons may be larger than memory. Other
    dimensions or labels than those of the segment are refused, as by `apply_neighborhood`.

    Raises
    ------
    GeometriesOverlap
        If a pixel lies in several polygons.
    """
    cube = dimensions.as_cube(data)
    dimensions.require_spatial(cube)
    if mask_value is not None and not isinstance(mask_value, (bool, np.bool_)) and not is_number(mask_value):
        raise ProcessParameterInvalid(f"mask_value must be a number, true, false or null, not {mask_value!r}")
    features = vectors.read(geometries, kinds=vectors.POLYGONS)
    if not cube.size:
        return cube
    inside = outlined.placed(features, cube)
    values, way = segments.apply(trace(process, "data", context=context), cube, inside, mask_value)
    return blocks.like(cube, values, way)


def _lengths(cube: xr.DataArray, name: str, given: Any) -> dict[str, tuple[Any, Any]]:
    """Values and units by dimension."""
    found: dict[str, tuple[Any, Any]] = {}
    for one in given or []:
        if not isinstance(one, Mapping) or "dimension" not in one:
            raise ProcessParameterInvalid(f"{name} is a list of objects with dimension and value, not {given!r}")
        dimension, value, unit = dimensions.require(cube, one["dimension"]), one.get("value"), one.get("unit")
        number = _finite(value) and (float(value or 0) > 0 or (value == 0 and name == "overlap"))
        if not (value is None or number or isinstance(value, str)) or unit not in (None, "px", "m"):
            raise ProcessParameterInvalid(f"{name} of {dimension!r} cannot be {value!r} in the unit {unit!r}")
        found[dimension] = value, unit
    return found


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
