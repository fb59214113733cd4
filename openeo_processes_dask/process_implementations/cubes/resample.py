"""Resampling: the same values on another grid."""

from __future__ import annotations

import math
from typing import Any

import xarray as xr
from odc.geo.geobox import GeoBox

from openeo_processes_dask import blocks, dimensions, grids
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import CRSInvalid, ProcessParameterInvalid
from openeo_processes_dask.vocabulary import (
    CORNERS,
    METHODS,
    Corner,
    Method,
    Projection,
    RasterCube,
    Resolution,
    Scaling,
)


@declare("cubes", "reproject", scaling=Scaling.OVERLAP)
def resample_spatial(
    data: RasterCube,
    resolution: Resolution = 0,
    projection: Projection = None,
    method: Method = "near",
    align: Corner = "upper-left",
) -> RasterCube:
    """Resample x and y to a resolution, a CRS, or both.

    The new grid starts exactly at one corner of the cube's extent and covers all of it. Whole factors on the same
    CRS average (or pick) aligned pixels block by block; anything else is warped by GDAL, each block from the source
    pixels that it needs, with the coordinates of each pixel computed exactly. Methods that make new values
    (`average`, `bilinear`, `cubic` …) give floating point with NaN for gaps, and gaps do not count.
    """
    cube = dimensions.as_cube(data)
    _one_of("method", method, METHODS)
    _one_of("align", align, CORNERS)
    source = grids.of(cube)
    target = grids.resampled(source, _resolution(resolution), _target_crs(projection, cube), align)
    return _regridded(cube, source, target, method)


@declare("cubes", "reproject", scaling=Scaling.OVERLAP)
def resample_cube_spatial(data: RasterCube, target: RasterCube, method: Method = "near") -> RasterCube:
    """Bring a cube to the grid of another: CRS, resolution, extent and alignment.

    Pixels outside the source become no-data. Otherwise as `resample_spatial`.
    """
    cube, like = dimensions.as_cube(data), dimensions.as_cube(target)
    _one_of("method", method, METHODS)
    result = _regridded(cube, grids.of(cube), grids.of(like), method)
    (y, x), (like_y, like_x) = dimensions.require_spatial(cube), dimensions.require_spatial(like)
    return result.assign_coords(
        {y: like.coords[like_y].variable, x: like.coords[like_x].variable} if y == like_y else {}
    )


def aligned_with(cube: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Another cube on the grid of a cube: itself where the grids are the same, nearest pixels where not."""
    spatial = dimensions.of_role(cube, "x", "y")
    if len(spatial) < 2 or not set(spatial) <= set(other.dims) or not set(spatial) <= set(cube.coords):
        return other
    if grids.same(grids.of(cube), grids.of(other)):
        return other
    return resample_cube_spatial(other, cube)


def _regridded(cube: xr.DataArray, source: GeoBox, target: GeoBox, method: str) -> xr.DataArray:
    if grids.same(source, target):
        return cube
    y, x = dimensions.require_spatial(cube)
    if method not in grids.SELECTING:
        cube = blocks.without_nodata(cube)
    order = cube.dims
    cube = cube.transpose(..., y, x)
    values = grids.regrid(cube.data, source, target, method, dimensions.nodata(cube))
    kept = {n: c for n, c in cube.coords.items() if y not in c.dims and x not in c.dims}
    result = xr.DataArray(values, dims=cube.dims, coords=kept, attrs=cube.attrs)
    result.name = cube.name
    ys, xs = grids.centres(target)
    result = result.assign_coords({y: (y, ys, cube.coords[y].attrs), x: (x, xs, cube.coords[x].attrs)})
    if target.crs is not None and (source.crs is None or target.crs != source.crs or "spatial_ref" in cube.coords):
        result = grids.with_crs(result, target)
    return result.transpose(*order)


def _resolution(given: Any) -> tuple[float, float]:
    """Resolution in x and y; zero where it is to stay."""
    both = tuple(given) if isinstance(given, (list, tuple)) else (given, given)
    if len(both) != 2 or not all(isinstance(r, (int, float)) and r >= 0 and math.isfinite(r) for r in both):
        raise ProcessParameterInvalid(f"resolution must be a number of at least zero, or two of them, not {given!r}")
    return float(both[0]), float(both[1])


def _target_crs(projection: Any, cube: xr.DataArray) -> Any:
    if projection is None:
        return None
    if dimensions.crs(cube) is None:
        raise CRSInvalid(f"the cube has no CRS, so it cannot be warped to {projection!r}")
    return dimensions.parse_crs(projection)


def _one_of(name: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ProcessParameterInvalid(f"{name} must be one of {', '.join(known)}, not {given!r}")
