"""Cubes as GeoTIFF and COG: one file for each date, bands as bands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import rasterio
import rasterio.shutil
import xarray as xr
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids
from openeo_processes_dask.exceptions import FileContentInvalid, FormatUnsuitable, ProcessParameterInvalid
from openeo_processes_dask.process_implementations.cubes.loading.layers import TAKEN, storable

from . import stream
from .options import lone_name
from .place import storing
from .workers import Where

GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}
CACHE = 64  # megabytes of pixels that GDAL keeps while it makes a file; by itself a twentieth of the machine's memory
TYPES = {"GTiff": tuple(GDAL_TYPES), "COG": tuple(GDAL_TYPES), "PNG": ("uint8", "uint16")}


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
    types = TYPES[format]
    if cube.dtype.name not in (*types, "bool", *(("float16",) if "float32" in types else ())):
        raise FormatUnsuitable(f"{format} cannot hold values of type {cube.dtype}; it can hold {', '.join(types)}")
    if cube.dtype.name in ("bool", "float16"):
        cube = cube.astype("uint8" if cube.dtype == bool else "float32", keep_attrs=True)
    ordered = cube.transpose(*time, *bands, y, x)
    if y in cube.coords and cube.sizes[y] > 1 and cube[y].values[0] < cube[y].values[-1]:
        ordered = ordered.isel({y: slice(None, None, -1)})
    labels = _labels(cube, time[0]) if time else (None,)
    if format == "PNG" and bands and cube.sizes[bands[0]] > 4:
        raise FormatUnsuitable(f"PNG holds at most 4 bands, and the cube has {cube.sizes[bands[0]]}")
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


def write(made: Images, paths: Sequence[Path], format: str, options: dict[str, Any]) -> None:
    """Write one file per date, and look whether each is complete."""
    kept = Raw(tuple(made.values.shape[1:]), np.dtype(made.values.dtype).newbyteorder("=").name, tuple(paths))
    dates = tuple(_description(made, kept, date) for date in range(len(paths)))
    finish = _Finish(kept, dates, made.bands, format, tuple(_creation(made, format, options).items()))
    stream.where_computed(made.values, kept, f"writing {paths[0].name}", paths[0].parent, finish)


@dataclass(frozen=True)
class Raw:
    """The pixels of each date in a file of its own, band after band, as they are in memory.

    Any number of processes can write to such files at once, each another part, which no raster format allows.
    """

    shape: tuple[int, int, int]  # bands, rows, columns
    dtype: str
    paths: tuple[Path, ...]  # of the files that become of them

    def path(self, date: int) -> Path:
        """The file of raw pixels of a date."""
        return self.paths[date].with_name(f"{self.paths[date].name}.raw")

    def __call__(self, where: Where, block: np.ndarray) -> None:
        """Write a block of dates, bands, rows and columns."""
        dates, bands, rows, columns = where
        for place, date in enumerate(range(dates.start, dates.stop)):
            with storing(self.paths[date]):
                self._write(self.path(date), bands, rows, columns, np.ascontiguousarray(block[place], self.dtype))

    def _write(self, path: Path, bands: slice, rows: slice, columns: slice, block: np.ndarray) -> None:
        _, height, width = self.shape
        # nothing but what is below the folder may come into being, so a folder that has gone is an error
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            for band, image in enumerate(block, bands.start):
                whole = columns == slice(0, width)
                for row, values in [(rows.start, image)] if whole else enumerate(image, rows.start):
                    start = ((band * height + row) * width + columns.start) * block.itemsize
                    _write_at(file, memoryview(values).cast("B"), start)
        finally:
            os.close(file)


def _write_at(file: int, content: memoryview, start: int) -> None:
    while content:
        count = os.pwrite(file, content, start)
        content, start = content[count:], start + count


@dataclass(frozen=True)
class _Finish:
    """Makes the files of some dates of their raw pixels."""

    raw: Raw
    dates: tuple[str, ...]  # what GDAL is told of the raw pixels
    bands: tuple[str, ...]
    format: str
    creation: tuple[tuple[str, Any], ...]

    def __call__(self, dates: slice) -> None:
        for date in range(dates.start, dates.stop):
            raw, final = self.raw.path(date), self.raw.paths[date]
            with storing(final):
                _check_raw(raw, int(np.prod(self.raw.shape)) * np.dtype(self.raw.dtype).itemsize)
                description = raw.with_suffix(".vrt")
                description.write_text(self.dates[date])
                options = dict(self.creation)
                if self.format != "PNG":
                    options["num_threads"] = _threads(len(self.dates))
                with rasterio.Env(GDAL_CACHEMAX=CACHE):
                    rasterio.shutil.copy(description, final, driver=self.format, **options)
                description.unlink()
                raw.unlink()
            check(final, (*self.raw.shape, self.raw.dtype), tiles=self.format in ("GTiff", "COG"))


def _threads(dates: int) -> str:
    """How many threads GDAL takes for a file: all for the tiles of a single one; several are finished at once anyway.

    Where freed memory goes back to the system at once, as dask has it on its workers, overviews that are made on
    several threads are fresh memory again and again, which takes ten times as long.
    """
    return "ALL_CPUS" if dates == 1 and "MALLOC_TRIM_THRESHOLD_" not in os.environ else "1"


def _check_raw(path: Path, size: int) -> None:
    if path.stat().st_size != size:
        raise FileContentInvalid(f"{path.stem} was not written whole: {path.stat().st_size} of {size} bytes")


def _description(made: Images, raw: Raw, date: int) -> str:
    """What GDAL must know of the raw pixels of a date."""
    bands, rows, columns = raw.shape
    size = np.dtype(raw.dtype).itemsize
    root = ElementTree.Element("VRTDataset", rasterXSize=str(columns), rasterYSize=str(rows))

    def add(parent: Any, name: str, text: str, **more: Any) -> Any:
        one = ElementTree.SubElement(parent, name, more)
        one.text = text
        return one

    if made.grid.crs:
        add(root, "SRS", made.grid.crs.to_wkt())
    add(root, "GeoTransform", ", ".join(repr(float(v)) for v in made.grid.affine.to_gdal()))
    label = made.labels[date]
    if isinstance(label, np.datetime64):
        # not in the domain IMAGERY, which does not survive the copy to COG
        about = ElementTree.SubElement(root, "Metadata")
        add(about, "MDI", f"{pd.Timestamp(label):%Y-%m-%d %H:%M:%S}", key=TAKEN)
    for band in range(bands):
        kind = {"dataType": GDAL_TYPES[raw.dtype], "band": str(band + 1), "subClass": "VRTRawRasterBand"}
        one = ElementTree.SubElement(root, "VRTRasterBand", kind)
        add(one, "Description", made.bands[band])
        if made.nodata is not None:
            add(one, "NoDataValue", repr(made.nodata))
        add(one, "SourceFilename", raw.path(date).name, relativeToVRT="1")
        add(one, "ImageOffset", str(band * rows * columns * size))
        add(one, "PixelOffset", str(size))
        add(one, "LineOffset", str(columns * size))
        add(one, "ByteOrder", "LSB" if sys.byteorder == "little" else "MSB")
    return ElementTree.tostring(root, encoding="unicode")


def _creation(made: Images, format: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of GDAL's driver."""
    if format == "PNG":
        return {"ZLEVEL": options["compression"]}
    rows, columns = made.grid.shape
    floating = np.dtype(made.values.dtype).kind == "f"
    compression = options["compression"]
    shared = {"compress": compression, "bigtiff": "IF_SAFER"}
    if format == "COG":
        given = shared | {"blocksize": options["blocksize"]}
        if compression != "none":
            given["predictor"] = "FLOATING_POINT" if floating else "STANDARD"
        if options["overviews"] == "none":
            return given | {"overviews": "NONE"}
        return given | {"overview_resampling": options["overviews"]}
    # a tile is never larger than the image needs, rounded to what the format allows
    side = min(options["blocksize"], -(-max(rows, columns) // 16) * 16)
    given = shared | {"tiled": True, "blockxsize": side, "blockysize": side}
    given["interleave"] = "pixel" if len(made.bands) <= 4 else "band"
    return given | ({"predictor": 3 if floating else 2} if compression != "none" else {})


def check(path: Path, expected: tuple[int, int, int, str], tiles: bool = True) -> None:
    """Read the file's directory: it must be what was meant, and each of its tiles must lie inside of the file.

    Raises
    ------
    FileContentInvalid
        If it is not, or does not.
    """
    size = path.stat().st_size
    with rasterio.open(path) as file:
        if (file.count, file.height, file.width, file.dtypes[0]) != expected:
            raise FileContentInvalid(f"{path.name} was not written as it was meant: {file.profile}")
        for band in file.indexes if tiles else ():
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
