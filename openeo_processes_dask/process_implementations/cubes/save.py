"""Saving: a cube as files, block by block where it may be large, complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

from openeo_processes_dask import dimensions
from openeo_processes_dask.arguments import plain
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import DataCubeEmpty, FileExists, FormatUnsuitable, ProcessParameterInvalid
from openeo_processes_dask.vocabulary import (
    NO_OPTIONS,
    Changes,
    Cube,
    ExportedCollectionId,
    NewCollectionId,
    OutputFormat,
    OutputOptions,
    Scaling,
    Stac,
    WorkspaceId,
    WorkspacePath,
)

from .saving import arrays, documents, export, place, rasters, tables
from .saving import options as option_table


@declare("cubes", "export", "stac", scaling=Scaling.EAGER)
def save_result(data: Cube, format: OutputFormat, options: OutputOptions = NO_OPTIONS) -> Stac:
    """Write a cube to files, and tell in STAC what was written.

    This computes the cube, block by block: a block is written as soon as it is there, and no one holds more of the
    cube than that. On a cluster the workers write, if they see the folder, otherwise the blocks come to the client;
    a netCDF file has one writer, the client. Files appear under their names when they are complete; after a failure
    there are none. What cannot be stored raises StorageFailure, and so does a cluster that stands still, for example
    because all workers are paused, out of memory: the setting `openeo.save.standstill` (60s) says how long no worker
    may do anything, `openeo.save.timeout` (1h), which holds for local threads too, how long no block may be written.

    Formats, in upper or lower case: GTiff, COG and PNG (one file for each date, with the date in its name where there
    are several; PNG holds bytes and unsigned shorts of at most four bands, with an `.aux.xml` that says where they
    lie), netCDF and Zarr (one variable for each band; geometries of one kind in the way of CF), JSON (any small cube),
    CSV (any small cube: a row for each geometry, or for each pixel and date, with a column for each band), GeoJSON
    (small vector cubes, brought to longitude and latitude) and GeoParquet (small vector cubes). Truth values become
    bytes in images.

    All have the options `path` (the name, relative to the folder of the setting `openeo.results`, which it may not
    leave, or where there is no such setting to the working directory; by default `result` with the format's ending),
    `overwrite` (false: if there is such a file, that is an error, FileExists) and `stac` (true: beside each file there
    is its Item with the ending `.stac.json`, and where there are several files a Collection). GTiff and COG have
    `compression` (deflate, lzw, zstd, none) and `blocksize` (512), COG has `overviews` (how they are resampled:
    nearest, average, bilinear, cubic, mode; or none); netCDF has `compression` (0 to 9: 1), as have PNG (1 to 9: 6)
    and Zarr (zstd, none). The result is the Item of the file, or the Collection of several.

    An unknown format raises FormatUnsupported, an unknown option ProcessParameterInvalid.

    Raises
    ------
    FormatUnsuitable
        If the format cannot hold the cube: its dimensions, its type or its coordinates.
    DataCubeEmpty
        If the cube has no values.
    """
    chosen = option_table.named(format)
    settings = chosen.read(options)
    cube = _cube(data, chosen.name)
    path = place.final_path(settings["path"], chosen.suffix)
    return _write(cube, chosen, path, settings)


@declare("export", "stac", scaling=Scaling.EAGER, experimental=True)
def export_workspace(data: Stac, workspace: WorkspaceId, merge: WorkspacePath = None) -> Stac:
    """Copy a result with all its files into a workspace.

    A workspace is a folder in that of the setting `openeo.workspaces`. The result becomes a folder in it: a STAC
    Collection with a folder for each Item and its files. `merge` names that folder; if there is a Collection already
    the Items are added to it and its extents grow. Without it the folder is called like the result. Files appear
    when all are complete; an Item that is there already is an error, FileExists. Files at other addresses stay there.
    A missing file raises FileNotFound, one or a path that lies outside of what may be used FilePathInvalid, an
    unknown workspace ProcessParameterInvalid. The result is the Collection that is there then.
    """
    given = export.resource(data)
    folder = export.workspace(workspace)
    target = export.inside(folder, given["id"] if merge is None else merge)
    if merge is None and target.exists():
        raise FileExists(f"the workspace {workspace} holds {given['id']} already; merge names what to add it to")
    return export.export(given, target, target.name)


@declare("export", "stac", scaling=Scaling.EAGER, experimental=True)
def export_collection(data: Stac, collection: NewCollectionId) -> ExportedCollectionId:
    """Copy a result with all its files to a collection, which load_collection finds then.

    The collection is a folder in that of the setting `openeo.collections`, and is made if there is none; otherwise
    the Items are added to it. An Item that is there already is an error, FileExists; without the setting there are no
    collections to add to, which is ProcessParameterInvalid. A missing file raises FileNotFound, one that lies outside
    of the folders that may be used FilePathInvalid.
    """
    given = export.resource(data)
    root = dask.config.get("openeo.collections", None)
    if root is None:
        raise ProcessParameterInvalid("nothing can be exported: the setting openeo.collections names no folder")
    target = export.inside(Path(root).resolve(), collection)
    killed = any(target.glob(".partial-*"))  # an export, which is taken back by the next
    if target.exists() and not killed and not (target / "collection.json").exists():
        raise FileExists(f"{collection} is there already, and is no STAC collection that Items can be added to")
    export.export(given, target, str(collection))
    return str(collection)


@declare("stac", scaling=Scaling.EAGER, experimental=True)
def stac_modify(data: Stac, changes: Changes) -> Stac:
    """A STAC resource with changes merged into it.

    In the way of RFC 7386: objects are merged name by name, null removes, everything else replaces. The given
    resource stays as it is. What is no STAC resource, before or after, raises ProcessParameterInvalid.
    """
    given, changed = export.resource(data), plain(changes)
    if not isinstance(changed, Mapping):
        raise ProcessParameterInvalid(f"changes is an object, not {changed!r}")
    return export.resource(export.patched(given, changed))


def _cube(data: Any, format: str) -> xr.DataArray:
    try:
        cube = dimensions.as_cube(data)
    except ProcessParameterInvalid as error:
        raise FormatUnsuitable(f"{format} holds data cubes, not {type(data).__name__}") from error
    if not cube.size:
        raise DataCubeEmpty(f"the cube has no values, its shape is {dict(cube.sizes)}")
    return _with_date(cube)


def _with_date(cube: xr.DataArray) -> xr.DataArray:
    """The cube of a single date, cut out of a longer one, with a temporal dimension again, so that it keeps it."""
    if dimensions.of_role(cube, "temporal"):
        return cube
    dates = [name for name, one in cube.coords.items() if not one.dims and one.dtype.kind == "M"]
    return dimensions.with_role(cube.expand_dims(dates), str(dates[0]), "temporal") if len(dates) == 1 else cube


def _write(cube: xr.DataArray, chosen: option_table.Format, path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Write the files, each of which holds one date or all; give what STAC says of them."""
    images = rasters.images(cube, chosen.name) if chosen.name in rasters.TYPES else None
    variables = arrays.variables(cube, chosen.name) if chosen.name in ("netCDF", "Zarr") else None
    if images is not None and cube.dtype == np.float16:
        cube = cube.astype(images.values.dtype)  # images have no such type, and documents tell what files hold
    if images is None and variables is None:
        tables.suitable(cube, chosen.name)
    finals = [path] if images is None else rasters.file_names(path, images.labels)
    told = documents.names(finals, path) if settings["stac"] else []
    # what GDAL knows of a PNG beside its pixels, such as where they lie, stands in a file of its own
    aside = [final.with_name(f"{final.name}.aux.xml") for final in finals] if chosen.name == "PNG" else []
    with place.unfinished([*finals, *aside, *told], settings["overwrite"]) as folder:
        if images is not None:
            rasters.write(images, [folder / final.name for final in finals], chosen.name, settings)
        elif variables is not None:
            write = arrays.write_netcdf if chosen.name == "netCDF" else arrays.write_zarr
            write(variables, folder / path.name, settings)
        else:
            tables.write(cube, chosen.name, folder / path.name)
        labels = [None] if images is None or len(finals) == 1 else images.labels
        files = dict(zip(finals, labels, strict=True))
        made = documents.describe(cube, files, chosen.media_type, folder, path.stem)
        for document, content in zip(told, made.to_write(told), strict=True):
            with place.storing(document):
                (folder / document.name).write_text(content)
    return made.result(told)
