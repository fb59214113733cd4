"""Vector cubes in netCDF files and zarr stores, whose geometries lie there in the way of CF."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, turns, vectors
from openeo_processes_dask.exceptions import CRSInvalid, FileContentInvalid

from .layers import storable
from .names import ordered
from .request import Band, Request

CUBE_DIMS = "openeo_dims"  # the attribute of a file that lists the dimensions of its cube in their order
KIND = "geometry_type"  # what CF calls the attribute of the variable that describes geometries

MEMBERS = ("coordinates", "grid_mapping", "node_coordinates", "node_count", "part_node_count", "interior_ring")


def container(data: xr.Dataset) -> Hashable | None:
    """The variable that describes the geometries of a dataset, if it has some."""
    return next((name for name, one in data.variables.items() if KIND in one.attrs), None)


def cube(path: Path, data: xr.Dataset, request: Request) -> xr.DataArray:
    """The vector cube of a dataset; values are read when they are computed, geometries at once.

    Raises
    ------
    FileContentInvalid
        If the geometries cannot be understood, or no variable has values for them.
    NoDataAvailable
        If no geometry lies within the area that is asked for, or no date in the interval.
    CRSInvalid
        If there is an area, but no CRS.
    """
    shapes, dimension, crs = _geometries(path, data)
    bands = [
        Band(str(name), one.attrs.get(dimensions.COMMON_NAME))
        for name, one in data.data_vars.items()
        if dimension in one.dims and one.dtype.kind in "biuf"
    ]
    order = ordered(path, data, [band.name for band in bands])
    bands.sort(key=lambda band: order.index(band.name))
    if not bands:
        raise FileContentInvalid(f"{path} has geometries, and no variable with values for them")
    made = _together(path, data, request.choose(bands), dimension)
    kept = [n for n, c in data.coords.items() if c.dims == (dimension,) and n != dimension and not _of_geometry(c)]
    properties = {str(data[n].attrs.get(vectors.PROPERTY, n)): data[n].values for n in kept}
    made = vectors.with_features(made, vectors.Features(shapes, crs, properties, dimension))
    return _limited(path, made, dimension, crs, request)


def _of_geometry(one: xr.DataArray) -> bool:
    """Whether a coordinate is a part of the description of geometries, and no property."""
    return bool({"nodes", "axis"} & set(one.attrs)) or str(one.name).startswith(("node_count", "crd_"))


def _geometries(path: Path, data: xr.Dataset) -> tuple[np.ndarray, str, pyproj.CRS | None]:
    """Geometries, their dimension and their CRS."""
    from cf_xarray import geometry

    name = container(data)
    described = data.copy()
    for one in described.variables.values():  # what xarray has moved aside belongs to the description
        one.attrs.update({k: one.encoding[k] for k in MEMBERS if one.encoding.get(k)})
    try:
        found = geometry.cf_to_shapely(described.reset_coords(), container=name)
        mappings = [one.attrs for one in data.variables.values() if {"crs_wkt", "grid_mapping_name"} & set(one.attrs)]
        crs = dimensions.parse_crs(mappings[0].get("crs_wkt") or pyproj.CRS.from_cf(mappings[0])) if mappings else None
        shapes = vectors.read(list(found.values)).shapes
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError) as error:
        raise FileContentInvalid(f"{path} has geometries that cannot be understood: {error!r}") from error
    except (shapely.errors.ShapelyError, pyproj.exceptions.CRSError, RuntimeError, OSError) as error:
        raise FileContentInvalid(f"{path} has geometries that cannot be read: {error}") from error
    return shapes, str(found.dims[0]), crs


def _together(path: Path, data: xr.Dataset, chosen: list[Band], dimension: str) -> xr.DataArray:
    """The variables as one cube, in the order of dimensions that it was saved with, else with the bands last."""
    parts = [data[band.name] for band in chosen]
    if len({part.dims for part in parts}) > 1:
        raise FileContentInvalid(f"{path} has variables of different dimensions: {[part.dims for part in parts]}")
    gaps = {storable(part.attrs.get("_FillValue"), part.dtype) for part in parts if part.dtype.kind in "iu"}
    if len(gaps) > 1:
        raise FileContentInvalid(f"{path} has variables with different no-data values: {gaps}")
    order = [str(name) for name in np.atleast_1d(data.attrs.get(CUBE_DIMS, []))]
    own = [str(name) for name in parts[0].dims]
    along = next((name for name in order if name not in own), None if sorted(order) == sorted(own) else "bands")
    every = {*own, *([along] if along else [])}
    lazy = [part.variable.chunk(part.encoding.get("preferred_chunks") or {}) for part in parts]
    values = xr.Variable.concat(lazy, along) if along else lazy[0]
    values = values.transpose(*(order if set(order) == every else [*own, along] if along else own))
    labels = {name: data[name].variable.copy() for name in own if name in data.coords and name != dimension}
    gap = next(iter(gaps), None)
    made = xr.DataArray(values.data, labels, values.dims, attrs={} if gap is None else {"nodata": gap})
    if along:
        made = dimensions.with_role(made.assign_coords({along: [band.name for band in chosen]}), along, "bands")
        if any(band.common_name for band in chosen):
            made = made.assign_coords({dimensions.COMMON_NAME: (along, [band.common_name or "" for band in chosen])})
    return made


def _limited(path: Path, cube: xr.DataArray, dimension: str, crs: Any, request: Request) -> xr.DataArray:
    """The geometries that lie wholly within the area that is asked for, at the dates in the interval."""
    if request.area is not None:
        if crs is None:
            raise CRSInvalid(f"{path} has no CRS, so that no area can be cut out of it")
        area = request.area.to_crs(crs)
        shapes = cube[dimension].values
        box, turned = area.box, area.turned(*turns.reach(shapes))
        boxes = [shapely.box(one.box.west, box.south, one.box.east, box.north) for _, one in turned]
        whole = shapely.union_all(np.array([p for _, one in turned for p in one.polygons] or boxes, object))
        inside = shapely.within(shapely.make_valid(shapes), whole) & ~shapely.is_empty(shapes)
        if not inside.any():
            raise request.nothing(str(path), "no geometry lies")
        cube = cube.isel({dimension: dimensions.positions(inside)})
    if request.start is None and request.end is None:
        return cube
    temporal = [n for n in dimensions.of_role(cube, "temporal") if n in cube.coords and cube[n].dtype.kind == "M"]
    if not temporal:
        raise FileContentInvalid(f"{path} has no dates, so that {request.interval} says nothing")
    kept = np.array([request.keeps(moment) for moment in cube[temporal[0]].values], bool)
    if not kept.any():
        raise request.nothing(str(path), "no date lies")
    return cube.isel({temporal[0]: dimensions.positions(kept)})
