"""Saving: a cube as GeoTIFF, COG, netCDF or zarr, block by block, complete or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from openeo_processes_dask import dimensions
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import DataCubeEmpty, FormatUnsuitable, ProcessParameterInvalid
from openeo_processes_dask.vocabulary import NO_OPTIONS, Anything, OutputFormat, OutputOptions, Scaling, Stac

from .saving import arrays, item, place, rasters
from .saving import options as option_table


@declare("cubes", "export", "stac", scaling=Scaling.EAGER)
def save_result(data: Anything, format: OutputFormat, options: OutputOptions = NO_OPTIONS) -> Stac:
    """Write a cube to files, and tell in a STAC Item what was written.

    This computes the cube, block by block: a block is written as soon as it is there, and no one holds more of the
    cube than that. On a cluster the workers write, if they see the folder, otherwise the blocks come to the client;
    a netCDF file has one writer, the client. Files appear under their names when they are complete; after a failure
    there are none. What cannot be stored raises StorageFailure.

    Formats, in upper or lower case: GTiff and COG (one file for each date, with the date in its name where there are
    several), netCDF and Zarr (one variable for each band). Truth values become bytes. All have the options `path`
    (the name, relative to the folder of the setting `openeo.results`, which it may not leave, or where there is no
    such setting to the working directory; by default `result` with the format's ending) and `overwrite` (false: if
    there is such a file, that is an error, FileExists). GTiff and COG have `compression` (deflate, lzw, zstd, none)
    and `blocksize` (512), COG has `overviews` (how they are resampled: nearest, average, bilinear, cubic, mode;
    or none), netCDF has `compression` (0 to 9: 1) and Zarr has `compression` (zstd, none).

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
    files = _write(cube, chosen.name, path, settings)
    return item.describe(cube, files, chosen.media_type, path.stem)


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


def _write(cube: xr.DataArray, format: str, path: Path, settings: dict[str, Any]) -> dict[Path, Any]:
    """Write the files; each with the label of the date it holds, or None where it holds all."""
    if format in ("GTiff", "COG"):
        images = rasters.images(cube, format)
        finals = rasters.file_names(path, images.labels)
        with place.unfinished(finals, settings["overwrite"]) as folder:
            rasters.write(images, [folder / final.name for final in finals], format, settings)
        return dict(zip(finals, images.labels if len(finals) > 1 else [None], strict=True))
    variables = arrays.variables(cube, format)
    with place.unfinished([path], settings["overwrite"]) as folder:
        write = arrays.write_netcdf if format == "netCDF" else arrays.write_zarr
        write(variables, folder / path.name, settings)
    return {path: None}
