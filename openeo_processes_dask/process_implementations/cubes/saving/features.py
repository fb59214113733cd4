"""Geometries of a vector cube as variables of netCDF and zarr, in the way of CF."""

from __future__ import annotations

from collections.abc import Hashable

import pyproj
import shapely
import xarray as xr

from openeo_processes_dask import vectors
from openeo_processes_dask.exceptions import FormatUnsuitable
from openeo_processes_dask.process_implementations.cubes.loading import coverage

CONTAINER = "geometry_container"  # what cf_xarray calls the variable that describes geometries


def encoded(cube: xr.DataArray, dimension: str, mapping: str) -> dict[Hashable, xr.Variable]:
    """The variables that hold the geometries of a dimension, and their CRS under a name of its own.

    Raises
    ------
    FormatUnsuitable
        If there are geometries of several kinds, or empty ones, which CF has no place for.
    """
    from cf_xarray import geometry

    shapes = cube[dimension].values
    kinds = {str(kind).removeprefix("Multi") for kind in {one.geom_type for one in shapes}}
    if len(kinds) > 1 or shapely.is_empty(shapes).any():
        empty = int(shapely.is_empty(shapes).sum())
        raise FormatUnsuitable(
            f"CF holds geometries of one kind, none of them empty: here are {', '.join(sorted(kinds))}, {empty} empty"
        )
    crs = vectors.crs_of(cube, dimension)
    named = {} if crs is None else {"grid_mapping": mapping}
    described = geometry.shapely_to_cf(xr.DataArray(shapes, dims=dimension, attrs=named))
    described[CONTAINER].attrs["variable_name"] = dimension  # under which xvec finds them again
    made: dict[Hashable, xr.Variable] = {
        str(name): one.variable for name, one in described.reset_coords().data_vars.items()
    }
    if clash := {str(name) for name in (*cube.dims, *cube.coords)} & set(made):
        raise FormatUnsuitable(f"CF gives {', '.join(sorted(clash))} to geometries, and the cube has that too")
    if crs is not None:
        made[mapping] = coverage.mapping(pyproj.CRS.from_user_input(crs))
    return made
