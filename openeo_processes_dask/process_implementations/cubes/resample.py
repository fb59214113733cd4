"""Resampling: the same values on another grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from openeo_processes_dask import blocks, dimensions, grids, lazy
from openeo_processes_dask.arguments import instants
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    CRSInvalid,
    DimensionMismatch,
    DimensionNotAvailable,
    ProcessParameterInvalid,
)
from openeo_processes_dask.kernels import missing, nearest
from openeo_processes_dask.values import is_number
from openeo_processes_dask.vocabulary import (
    CORNERS,
    METHODS,
    Corner,
    Method,
    Number,
    OptionalDimensionName,
    Projection,
    RasterCube,
    Resolution,
    Scaling,
    TemporalCube,
)


@declare("cubes", "reproject", scaling=Scaling.OVERLAP)
@checked
def resample_spatial(
    data: RasterCube,
    resolution: Resolution = 0,
    projection: Projection = None,
    method: Method = "near",
    align: Corner = "upper-left",
) -> RasterCube:
    """Resample x and y to a resolution, a CRS, or both.

    The new grid starts exactly at one corner of the cube's extent and covers all of it. Whole factors on the same
    CRS average (or pick) aligned pixels block by block; anything else is warped, each block from the source pixels
    that it needs, by GDAL or, for nearest pixels and means of four, by loops of our own. Coordinates are exact, or to
    a hundredth of a pixel and the same in whichever block a pixel lies. Methods that make new values
    (`average`, `bilinear`, `cubic` …) give floating point with NaN for gaps, and gaps do not count.
    """
    cube = dimensions.as_cube(data)
    _one_of("method", method, METHODS)
    _one_of("align", align, CORNERS)
    source = grids.of(cube)
    target = grids.resampled(source, _resolution(resolution), _target_crs(projection, cube), align)
    return _regridded(cube, source, target, method)


@declare("cubes", "reproject", scaling=Scaling.OVERLAP)
@checked
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


@declare("cubes", "reproject", scaling=Scaling.SHUFFLE)
@checked
def resample_cube_temporal(
    data: TemporalCube, target: TemporalCube, dimension: OptionalDimensionName = None, valid_within: Number = None
) -> TemporalCube:
    """Bring a cube to the instants of another: for each of them the nearest that the cube has.

    Of two that are as near the earlier one counts. With `valid_within`, a number of days, each pixel looks for its
    nearest valid value less than so many days away, and becomes no-data where there is none; time is then brought
    into one chunk. Without, whole dates are picked and no value is looked at.

    Raises
    ------
    DimensionNotAvailable
        If one of the cubes lacks the named dimension.
    DimensionMismatch
        If it is not temporal in both cubes, or if none is named and no temporal dimension is in both.
    """
    cube, like = dimensions.as_cube(data), dimensions.as_cube(target)
    limit = _days(valid_within)
    for name in _shared_times(cube, like, dimension):
        cube = _at_instants(cube, like, name, limit)
    return cube


def aligned_with(cube: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Another cube on the grid of a cube: itself where the grids are the same, nearest pixels where not."""
    spatial = dimensions.of_role(cube, "x", "y")
    if len(spatial) < 2 or not set(spatial) <= set(other.dims) or not set(spatial) <= set(cube.coords):
        return other
    if not all(one.sizes[d] for one in (cube, other) for d in spatial) or grids.same(grids.of(cube), grids.of(other)):
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


def _days(given: Any) -> np.timedelta64 | None:
    if given is None:
        return None
    if not isinstance(given, (int, float)) or isinstance(given, bool) or not (math.isfinite(given) and given >= 0):
        raise ProcessParameterInvalid(f"valid_within must be a number of days, not {given!r}")
    nanoseconds = round(given * 86_400_000_000_000)
    return np.timedelta64(nanoseconds, "ns") if nanoseconds < 2**63 else None  # nothing is further away


def _shared_times(cube: xr.DataArray, like: xr.DataArray, dimension: str | None) -> tuple[str, ...]:
    """The temporal dimensions to resample."""
    mine, theirs = dimensions.of_role(cube, "temporal"), dimensions.of_role(like, "temporal")
    if dimension is None:
        shared = tuple(name for name in mine if name in theirs)
        if not shared:
            raise DimensionMismatch(f"the temporal dimensions {mine} of the data are not among {theirs} of the target")
        return shared
    for kind, one in (("data", cube), ("target", like)):
        if dimension not in one.dims:
            raise DimensionNotAvailable(f"no dimension {dimension!r} in the {kind} among {tuple(one.dims)}")
    if dimension not in mine or dimension not in theirs:
        raise DimensionMismatch(f"dimension {dimension!r} is not temporal in both cubes")
    return (dimension,)


def _at_instants(cube: xr.DataArray, like: xr.DataArray, name: str, limit: np.timedelta64 | None) -> xr.DataArray:
    here, there = instants(cube, name).astype("datetime64[ns]"), instants(like, name).astype("datetime64[ns]")
    if limit is None:
        if not here.size and there.size:
            raise DimensionMismatch(f"dimension {name!r} of the data has no labels of which one could be the nearest")
        picked = cube.isel({name: nearest.indices(here, there) if here.size else []})
        return picked.assign_coords({name: like.coords[name].variable})
    near, fill = nearest.candidates(here, there, limit), dimensions.nodata(cube)
    holds_gaps = cube.dtype.kind == "f" or fill is not None or all(near)
    dtype = cube.dtype if holds_gaps else missing.float_of(cube.dtype)
    axis = cube.get_axis_num(name)
    values = lazy.along(nearest.valid, cube.data, axis, near=near, fill=fill, kind=str(dtype))
    kept = {n: c for n, c in cube.coords.items() if name not in c.dims}
    made = xr.DataArray(values, dims=cube.dims, coords=kept, attrs=cube.attrs)
    made.name, made.encoding = cube.name, cube.encoding
    return dimensions.with_indexes(made, cube).assign_coords({name: like.coords[name].variable})


def _resolution(given: Any) -> tuple[float, float]:
    """Resolution in x and y; zero where it is to stay."""
    both = tuple(given) if isinstance(given, (list, tuple)) else (given, given)
    if len(both) != 2 or not all(is_number(r) and r >= 0 and math.isfinite(r) for r in both):
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
