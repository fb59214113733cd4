"""Masking: pixels are replaced where a mask says so."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask import blocks, dimensions, geometries
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import IncompatibleDataCubes
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.process_implementations.cubes.resample import aligned_with
from openeo_processes_dask.vocabulary import Flag, Polygons, RasterCube, Replacement, Scalar, Scaling


@declare("cubes", "masks", scaling=Scaling.BLOCKWISE)
@checked
def mask(data: RasterCube, mask: RasterCube, replacement: Scalar = None) -> RasterCube:
    """Replace the pixels for which a mask is true or not zero.

    Where the mask itself is no-data, pixels stay. Without a replacement they become no-data: the declared value of
    an integer cube, else NaN, for which integers become floating point. The mask stays lazy; a dimension that it
    lacks meets it at each label. If its grid differs it is brought to that of the data, nearest pixel.

    Raises
    ------
    IncompatibleDataCubes
        If the mask has a dimension that the data lack, or other labels in one.
    """
    cube = dimensions.as_cube(data)
    given = aligned_with(cube, dimensions.as_cube(mask))
    for dimension in given.dims:
        if dimension not in cube.dims:
            raise IncompatibleDataCubes(f"the mask has dimension {dimension!r}, the data have {tuple(cube.dims)}")
        if cube.sizes[dimension] != given.sizes[dimension] or not _same_labels(cube, given, dimension):
            raise IncompatibleDataCubes(
                f"dimension {dimension!r} has {given.sizes[dimension]} labels in the mask and"
                f" {cube.sizes[dimension]} others in the data"
            )
    fill = dimensions.nodata(cube) if replacement is None else replacement
    dtype = missing.holding(cube.dtype, fill)
    run = functools.partial(_replace, fill, dtype, dimensions.nodata(given))
    values = blocks.blockwise(run, dtype, cube.data, blocks.arranged(given, cube.dims))
    return cube.copy(data=values)


@declare("cubes", "masks", scaling=Scaling.BLOCKWISE)
@checked
def mask_polygon(data: RasterCube, mask: Polygons, replacement: Replacement = None, inside: Flag = False) -> RasterCube:
    """Replace the pixels whose centres lie outside all polygons, or those inside any of them.

    A centre on the edge of a polygon, or of its hole, lies inside. Polygons without a CRS of their own are in
    longitude and latitude; they are brought to the grid of the cube once. Each spatial block gets the edges that
    decide on its pixels, and is filled once for all dates and bands. Without a replacement pixels become no-data: the
    declared value of an integer cube, else NaN, for which integers become floating point. No-data stays as it is.
    """
    cube = dimensions.as_cube(data)
    dimensions.require_spatial(cube)
    if not cube.size:
        return cube
    return replaced(cube, geometries.burned(geometries.of(mask, cube, name="mask"), cube), replacement, inside)


def replaced(cube: xr.DataArray, covered: Any, replacement: Any = None, inside: bool = False) -> xr.DataArray:
    """A cube with another value in the pixels outside, or inside, of what is covered; no-data stays."""
    gap = dimensions.nodata(cube)
    fill = gap if replacement is None else replacement
    dtype = missing.holding(cube.dtype, fill)
    run = functools.partial(_replace_covered, fill, dtype, gap, inside)
    return cube.copy(data=blocks.blockwise(run, dtype, cube.data, covered))


def _same_labels(cube: xr.DataArray, given: xr.DataArray, dimension: Any) -> bool:
    if dimension not in cube.coords or dimension not in given.coords:
        return True
    mine, theirs = cube.coords[dimension].values, given.coords[dimension].values
    if mine.dtype.kind == "f" and theirs.dtype.kind == "f":
        step = abs(mine[1] - mine[0]) if mine.size > 1 else 1.0
        return bool(np.all(np.abs(mine - theirs) <= 1e-6 * step))
    return bool(np.array_equal(mine, theirs))


def _replace(fill: Any, dtype: np.dtype, gap: Any, block: np.ndarray, masked: np.ndarray) -> np.ndarray:
    where = (masked != 0) & (masked == masked)  # NaN is neither true nor a number
    if gap is not None:
        where &= masked != gap
    return missing.replaced(block.astype(dtype, copy=False), where, np.nan if fill is None else fill)


def _replace_covered(
    fill: Any, dtype: np.dtype, gap: Any, inside: bool, block: np.ndarray, covered: np.ndarray
) -> np.ndarray:
    where = covered if inside else ~covered
    if fill is not None and block.dtype.kind == "f":
        where = where & (block == block)
    if gap is not None and fill != gap:
        where = where & (block != gap)
    return missing.replaced(block.astype(dtype, copy=False), where, np.nan if fill is None else fill)
