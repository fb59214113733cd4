"""Files by the name of their format, as load_url and load_uploaded_files are told it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.utils import format_bytes

from openeo_processes_dask import arguments, dimensions, vectors
from openeo_processes_dask.exceptions import (
    FileContentInvalid,
    FormatUnsuitable,
    FormatUnsupported,
    ProcessParameterInvalid,
)

from . import address, arrays, files, rasters, tables
from .request import Request

FORMATS = {
    one.casefold(): name
    for name, *others in (
        ("GTiff", "COG", "GeoTIFF"),
        ("netCDF",),
        ("GeoJSON",),
        ("GeoParquet", "Parquet"),
        ("JSON",),
    )
    for one in (name, *others)
}


def named(format: Any, options: Any) -> str:
    """The format of a name, in upper or lower case; there are no options.

    Raises
    ------
    FormatUnsupported
        If there is none.
    ProcessParameterInvalid
        If there are options.
    """
    found = FORMATS.get(format.casefold()) if isinstance(format, str) else None
    if found is None:
        raise FormatUnsupported(f"no format {format!r}; there are {', '.join(dict.fromkeys(FORMATS.values()))}")
    if given := arguments.plain(options):
        raise ProcessParameterInvalid(f"{found} has no options to be read with, and {given!r} are given")
    return found


def read(paths: Sequence[Path], root: Path, format: str) -> xr.DataArray:
    """The cube of some files of one format; that of rasters is lazy.

    Raises
    ------
    FormatUnsuitable
        If they are not of the format, or make no cube together.
    """
    try:
        if format == "GTiff":
            made, chosen, block = files.layers(paths, root, Request())
            return rasters.cube(made, chosen, block, Request(), str(paths[0]))
        if format == "netCDF":
            return arrays.cube(paths, Request(), brought=True)
        return _joined([_table(path, format) for path in paths])
    except FileContentInvalid as error:
        raise FormatUnsuitable(f"no cube can be made: {error}") from error


def at_once(cube: xr.DataArray) -> xr.DataArray:
    """The cube in memory, behind dask, so that the files may go.

    Raises
    ------
    FormatUnsuitable
        If it is far larger than a file may be, or a file is damaged.
    """
    if cube.nbytes > address.most():
        most = format_bytes(address.most())
        raise FormatUnsuitable(f"the cube has {format_bytes(cube.nbytes)}, and at most {most} are read")
    try:
        values = cube.compute(scheduler="synchronous").values
        return cube.copy(data=da.from_array(values, chunks="auto"))
    except FileContentInvalid as error:
        raise FormatUnsuitable(f"no cube can be made: {error}") from error


def _table(path: Path, format: str) -> xr.DataArray:
    if path.stat().st_size > address.limit():
        raise FileContentInvalid(f"{path.name} is larger than {format_bytes(address.limit())}")
    return tables.read(path, format)


def _joined(cubes: Sequence[xr.DataArray]) -> xr.DataArray:
    """One vector cube of several; other cubes stay alone."""
    if len(cubes) == 1:
        return cubes[0]
    if not all(dimensions.of_role(cube, "geometry") for cube in cubes):
        raise FileContentInvalid(f"{len(cubes)} files make one cube only if all hold geometries")
    every = [vectors.read(cube) for cube in cubes]
    if any((one.crs, one.dimension) != (every[0].crs, every[0].dimension) for one in every):
        raise FileContentInvalid("the files differ in their CRS")
    dimension = every[0].dimension
    names = [set(one.properties) for one in every]
    plain = [cube.drop_vars([n for n, c in cube.coords.items() if dimension in c.dims]) for cube in cubes]
    if any(one.dims != plain[0].dims or names[0] != own for one, own in zip(plain, names, strict=True)):
        raise FileContentInvalid("the files differ in their dimensions or properties")
    joined = xr.concat(plain, dimension, coords="minimal", compat="override", join="outer")
    properties = {n: _concatenated([one.properties[n] for one in every]) for n in every[0].properties}
    shapes = _concatenated([one.shapes for one in every])
    return vectors.with_features(joined, vectors.Features(shapes, every[0].crs, properties, dimension))


def _concatenated(parts: Sequence[Any]) -> Any:
    return np.concatenate([np.asarray(part, object) for part in parts])
