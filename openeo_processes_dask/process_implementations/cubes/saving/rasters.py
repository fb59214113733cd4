"""Cubes as GeoTIFF and COG: one file for each date, bands as bands."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import rasterio.shutil
import rasterio.windows
import xarray as xr
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids
from openeo_processes_dask.exceptions import FileContentInvalid, FormatUnsuitable, ProcessParameterInvalid
from openeo_processes_dask.process_implementations.cubes.loading.layers import TAKEN, storable

from . import stream
from .options import lone_name

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


@dataclass(frozen=True)
class Images:
    """A cube as images: an array of dates, bands, rows from north to south, and columns."""

    values: Any
    labels: tuple[Any, ...]  # of the dates; a single None where there is no time
    bands: tuple[str, ...]
    grid: GeoBox
    nodata: float | int | None


def images(cube: xr.DataArray, format: str) -> Images:
    """The images of a cube.

    Raises
    ------
    FormatUnsuitable
        If it has dimensions, types or coordinates that images cannot have.
    """
    y, x = dimensions.y_dim(cube), dimensions.x_dim(cube)
    time, bands = dimensions.of_role(cube, "temporal")[:1], dimensions.of_role(cube, "bands")[:1]
    more = [str(d) for d in cube.dims if d not in (y, x, *time, *bands)]
    if y is None or x is None or more:
        reason = f"{', '.join(more)} beside x, y, one of time and one of bands" if more else "no x and y"
        raise FormatUnsuitable(f"{format} holds images, and the cube has {reason}: {tuple(map(str, cube.dims))}")
    if cube.dtype.name not in (*TYPES, "bool", "float16"):
        raise FormatUnsuitable(f"{format} cannot hold values of type {cube.dtype}; it can hold {', '.join(TYPES)}")
    if cube.dtype.name in ("bool", "float16"):
        cube = cube.astype("uint8" if cube.dtype == bool else "float32", keep_attrs=True)
    ordered = cube.transpose(*time, *bands, y, x)
    if y in cube.coords and cube.sizes[y] > 1 and cube[y].values[0] < cube[y].values[-1]:
        ordered = ordered.isel({y: slice(None, None, -1)})
    labels = _labels(cube, time[0]) if time else (None,)
    names = tuple(str(b) for b in dimensions.labels(cube, bands[0])) if bands else (lone_name(cube),)
    shape = (len(labels), len(names), *ordered.shape[-2:])
    nodata = np.nan if cube.dtype.kind == "f" else storable(dimensions.nodata(cube), cube.dtype)
    return Images(ordered.data.reshape(shape), labels, names, _grid(ordered, format), nodata)


def file_names(path: Path, labels: Sequence[Any]) -> list[Path]:
    """The path itself for one date; for several, one path each, with the date before the ending.

    Raises
    ------
    FormatUnsuitable
        If labels are not distinct.
    """
    if len(labels) == 1:
        return [path]
    written = _written(labels)
    if len(set(written)) < len(written):
        raise FormatUnsuitable(f"labels along time must be distinct to name files by: {written[:12]}")
    return [path.with_name(f"{path.stem}_{label}{path.suffix}") for label in written]


def write(made: Images, paths: Sequence[Path], options: dict[str, Any], cloud_optimized: bool) -> None:
    """Write one file per date, and look whether each is complete."""
    if not cloud_optimized:
        _write_tiled(made, paths, options["compression"], options["blocksize"])
    else:
        # overviews need the whole image, so a COG is made of a plain file; it is gone before the next one is made
        plain = [path.with_name(f"{path.stem}.plain.tif") for path in paths]
        _write_tiled(made, plain, "none", options["blocksize"])
        for source, path in zip(plain, paths, strict=True):
            _copy(source, path, options)
            source.unlink()
    for path in paths:
        _check(path, made)


def _write_tiled(made: Images, paths: Sequence[Path], compression: str, blocksize: int) -> None:
    with _Files(made, paths, compression, blocksize) as files:
        stream.each_block(made.values, files.write, f"writing {paths[0].name}")


class _Files:
    """The files of all dates; each is open from its first block to its last."""

    def __init__(self, made: Images, paths: Sequence[Path], compression: str, blocksize: int) -> None:
        self.made, self.paths = made, paths
        self.profile = _profile(made, compression, blocksize)
        self.open: dict[int, Any] = {}
        self.missing = dict.fromkeys(range(len(paths)), int(np.prod(made.values.shape[1:])))

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self.open.values():
            with contextlib.suppress(rasterio.errors.RasterioError) if error[0] else contextlib.nullcontext():
                file.close()

    def write(self, where: stream.Where, block: np.ndarray) -> None:
        dates, bands, rows, columns = where
        window = rasterio.windows.Window.from_slices(rows, columns)
        for place, date in enumerate(range(dates.start, dates.stop)):
            if date not in self.open:
                self.open[date] = self._create(date)
            self.open[date].write(block[place], range(bands.start + 1, bands.stop + 1), window=window)
            self.missing[date] -= block[place].size
            if not self.missing[date]:
                self.open.pop(date).close()

    def _create(self, date: int) -> Any:
        file = rasterio.open(self.paths[date], "w", **self.profile)
        for index, name in enumerate(self.made.bands, 1):
            file.set_band_description(index, name)
        label = self.made.labels[date]
        if isinstance(label, np.datetime64):
            # not in the domain IMAGERY, which does not survive the copy to COG
            file.update_tags(**{TAKEN: f"{pd.Timestamp(label):%Y-%m-%d %H:%M:%S}"})
        return file


def _profile(made: Images, compression: str, blocksize: int) -> dict[str, Any]:
    rows, columns = made.grid.shape
    kind = np.dtype(made.values.dtype)
    # a tile is never larger than the image needs, rounded to what the format allows
    side = min(blocksize, -(-max(rows, columns) // 16) * 16)
    profile = {
        "driver": "GTiff",
        "count": len(made.bands),
        "height": rows,
        "width": columns,
        "dtype": kind.name,
        "crs": str(made.grid.crs) if made.grid.crs else None,
        "transform": made.grid.affine,
        "nodata": made.nodata,
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        "interleave": "pixel" if len(made.bands) <= 4 else "band",
        "bigtiff": "IF_SAFER",
        "num_threads": "ALL_CPUS",
    }
    if compression != "none":
        profile |= {"compress": compression, "predictor": 3 if kind.kind == "f" else 2}
    return profile


def _copy(source: Path, path: Path, options: dict[str, Any]) -> None:
    with rasterio.open(source) as file:
        kind = np.dtype(file.dtypes[0])
    given = {"compress": options["compression"], "blocksize": options["blocksize"], "bigtiff": "IF_SAFER"}
    if options["compression"] != "none":
        given["predictor"] = "FLOATING_POINT" if kind.kind == "f" else "STANDARD"
    if options["overviews"] == "none":
        given["overviews"] = "NONE"
    else:
        given["overview_resampling"] = options["overviews"]
    rasterio.shutil.copy(source, path, driver="COG", num_threads="ALL_CPUS", **given)


def _check(path: Path, made: Images) -> None:
    """Read the file's directory: it must be what was meant, and each of its tiles must lie inside of the file."""
    size = path.stat().st_size
    with rasterio.open(path) as file:
        expected = (len(made.bands), *made.grid.shape, made.values.dtype.name)
        if (file.count, file.height, file.width, file.dtypes[0]) != expected:
            raise FileContentInvalid(f"{path.name} was not written as it was meant: {file.profile}")
        for band in file.indexes:
            for row, column in ((i, j) for (i, j), _ in file.block_windows(band)):
                tile = f"{column}_{row}"
                start = int(file.get_tag_item(f"BLOCK_OFFSET_{tile}", "TIFF", bidx=band) or 0)
                length = int(file.get_tag_item(f"BLOCK_SIZE_{tile}", "TIFF", bidx=band) or 0)
                if not start or not length or start + length > size:
                    raise FileContentInvalid(f"{path.name} is incomplete: tile {tile} of band {band} is missing")


def _grid(cube: xr.DataArray, format: str) -> GeoBox:
    try:
        return grids.of(cube)
    except ProcessParameterInvalid as error:
        raise FormatUnsuitable(f"{format} needs a regular grid: {error}") from error


def _labels(cube: xr.DataArray, time: str) -> tuple[Any, ...]:
    return tuple(cube[time].values) if time in cube.coords else tuple(dimensions.labels(cube, time))


def _written(labels: Sequence[Any]) -> list[str]:
    """Labels as parts of names: dates, with the time of day if one of them has one."""
    if all(isinstance(label, np.datetime64) for label in labels):
        moments = pd.DatetimeIndex(np.array(labels, "datetime64[ns]"))
        return list(moments.strftime("%Y-%m-%d" if (moments == moments.normalize()).all() else "%Y-%m-%dT%H%M%SZ"))
    return ["".join(c if c.isalnum() or c in "-." else "-" for c in str(label)) for label in labels]
