"""A layer is one band of one acquisition in one file: where it lies, when it was seen, how its values are stored."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask
import numpy as np
import rasterio
from affine import Affine
from dask.utils import format_bytes
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from openeo_processes_dask import arguments, grids
from openeo_processes_dask.exceptions import (
    FileContentInvalid,
    FileNotFound,
    OpenEOException,
    ProcessParameterInvalid,
)
from openeo_processes_dask.kernels import missing, rasters

from . import address

# Formats that hold nothing but pixels; others, such as VRT, may point at any file or address.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG")
HTTP = {"GDAL_HTTP_TIMEOUT": 60, "GDAL_HTTP_CONNECTTIMEOUT": 10, "GDAL_HTTP_MAX_RETRY": 3, "GDAL_HTTP_RETRY_DELAY": 1}
TAKEN = "ACQUISITIONDATETIME"  # the item of GDAL's metadata
READERS = 8  # headers that are read at once
NEAR = 4 * READERS  # headers on this machine that are read one after the other


class Packing(NamedTuple):
    """How a measurement comes of what is stored."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Layer:
    """One band of one acquisition in one file."""

    band: str
    time: np.datetime64 | None
    path: str
    index: int
    grid: GeoBox
    dtype: np.dtype
    nodata: float | int | None
    item: str = ""
    masked: bool = False  # whether the file tells gaps by a mask or an alpha band
    packing: Packing | None = None  # None where values stay as they are stored
    way: rasters.Warp | None = None  # to the pixels of the cube; None where each gets its nearest

    @property
    def given(self) -> tuple[np.dtype, float | int | None]:
        """The type and the no-data value of what it gives to a cube."""
        mixed = self.way is not None and self.way.method not in grids.SELECTING
        if self.packing is None and not mixed:
            return self.dtype, self.nodata
        return missing.float_of(self.dtype), math.nan

    @property
    def called(self) -> str:
        """The layer's file, and its item if it is one of a catalogue."""
        return self.path + (f" of item {self.item}" if self.item else "")


@dataclass(frozen=True)
class Header:
    """What a raster file says of itself without a pixel being read."""

    grid: GeoBox
    dtypes: tuple[np.dtype, ...]
    nodata: tuple[float | int | None, ...]
    descriptions: tuple[str | None, ...]
    block: tuple[int, int]
    time: np.datetime64 | None
    masked: tuple[bool, ...]
    alpha: int = 0  # which band is an alpha band, from 1
    packings: tuple[Packing, ...] = ()

    def layer(self, band: str, time: np.datetime64 | None, path: str, place: int) -> Layer:
        """One band of the file, counted from zero."""
        about = self.grid, self.dtypes[place], self.nodata[place]
        packing = unpacked(self.packings[place])
        return Layer(band, time, path, place + 1, *about, masked=self.masked[place], packing=packing)


def unpacked(packing: Packing) -> Packing | None:
    """The packing that is to be undone: none without the setting `openeo.load.scale`, or where it changes nothing.

    Raises
    ------
    ProcessParameterInvalid
        If the setting is neither true nor false.
    """
    wanted = dask.config.get("openeo.load.scale", False)
    if not isinstance(wanted, bool):
        raise ProcessParameterInvalid(f"the setting openeo.load.scale is true or false, not {wanted!r}")
    return packing if wanted and packing != (1.0, 0.0) else None


@contextlib.contextmanager
def opened(path: str, called: str | None = None, placed: bool = True) -> Iterator[Any]:
    """A raster file that is open for one thread; what GDAL cannot do with it becomes an openEO error with its name.

    One that is known not to be `placed` says nowhere where it lies, of which rasterio would warn each time.

    Raises
    ------
    FileNotFound
        If there is no such file.
    FileContentInvalid
        If it is no raster, or a damaged one.
    """
    called = called or path
    with rasterio.Env(**_options(path)):
        try:
            known: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
            if not placed:
                known = warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning)
            with known:  # not shared: GDAL would hand the same open file to another thread
                found = rasterio.open(path, sharing=False)
            with found as file:
                if file.driver not in DRIVERS:
                    raise FileContentInvalid(f"{called} is {file.driver}, and only {', '.join(DRIVERS)} are read here")
                yield file
        except RasterioError as error:
            raise _unreadable(path, called, error) from error


def header(path: str, called: str | None = None) -> Header:
    """The header of a raster file.

    Raises
    ------
    FileNotFound, FileContentInvalid
        If it cannot be opened as a raster.
    """
    with opened(path, called) as file:
        dtypes = tuple(map(np.dtype, file.dtypes))
        if any(dtype.kind not in "biuf" for dtype in dtypes):
            raise FileContentInvalid(f"{called or path} holds {', '.join(map(str, dtypes))}, which are no real numbers")
        together = file.count if file.interleaving is not None and file.interleaving.name == "pixel" else 1
        size = math.prod(file.block_shapes[0]) * dtypes[0].itemsize * together
        if size > address.most():
            raise FileContentInvalid(
                f"{called or path} has blocks of {format_bytes(size)}, and at most {format_bytes(address.most())} are"
                " read at once: four times the setting openeo.load.size"
            )
        return Header(
            geobox(file.crs.to_string() if file.crs else None, file.shape, tuple(file.transform)[:6]),
            dtypes,
            tuple(storable(v, t) for v, t in zip(file.nodatavals, dtypes, strict=True)),
            file.descriptions,
            file.block_shapes[0],
            _seen(file),
            tuple(MaskFlags.per_dataset in flags or MaskFlags.alpha in flags for flags in file.mask_flag_enums),
            file.colorinterp.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in file.colorinterp else 0,
            tuple(itertools.starmap(Packing, zip(file.scales, file.offsets, strict=True))),
        )


def headers(paths: Iterable[tuple[str, str]]) -> list[Header]:
    """The headers of many files, given as path and what to call them, several at once."""
    paths = list(paths)
    with warnings.catch_warnings():
        # such a file gets the grid of its pixels, without a CRS
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # each thread opens PROJ's database first, which takes as long as some headers of files that are near
        if len(paths) < 2 or (len(paths) < NEAR and not any(is_remote(path) for path, _ in paths)):
            return [header(*one) for one in paths]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(lambda one: header(*one), paths))


@functools.lru_cache(4096)
def geobox(crs: str | None, shape: tuple[int, int], transform: tuple[float, ...]) -> GeoBox:
    """A grid; mostly the same object for the same grid, so that objects tell grids apart without comparing them.

    Raises
    ------
    FileContentInvalid
        If it has no pixels, or they have no size or no place.
    """
    a, b, c, d, e, f = transform
    ends = (c, f, c + a * shape[1] + b * shape[0], f + d * shape[1] + e * shape[0], a * e - b * d)
    if not all(map(math.isfinite, ends)) or not ends[-1] or min(shape) < 1:
        raise FileContentInvalid(f"{shape} pixels with the transform {transform} are no grid")
    try:
        return GeoBox(shape, Affine(*transform), crs)
    except (ValueError, CRSError) as error:  # odc-geo hands on what pyproj raises
        raise FileContentInvalid(f"{str(crs)[:100]!r} is no CRS: {error}") from error


def storable(value: Any, dtype: np.dtype) -> float | int | None:
    """A declared no-data value as a number of the type; None if it is none, or one that the type cannot hold."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if dtype.kind == "f":
        return number
    if dtype.kind not in "iu" or not math.isfinite(number) or number != int(number):
        return None
    whole = int(value) if isinstance(value, (int, np.integer)) else int(number)
    return whole if np.iinfo(dtype).min <= whole <= np.iinfo(dtype).max else None


def is_remote(path: str) -> bool:
    """Whether a path is an address."""
    return "://" in path and not path.startswith("file://")


def _options(path: str) -> dict[str, Any]:
    if not is_remote(path):
        return {}
    # without this GDAL asks the server for files beside the one it was given
    return {**HTTP, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}


def _seen(file: Any) -> np.datetime64 | None:
    """When the image was taken, where GDAL's IMAGERY metadata say so, or those of a result of ours."""
    written = file.tags(ns="IMAGERY").get(TAKEN) or file.tags().get(TAKEN)
    try:
        return None if written is None else arguments.instant(written.strip().replace("/", "-"))
    except OpenEOException:
        return None


def _unreadable(path: str, called: str, error: Exception) -> OpenEOException:
    if not is_remote(path) and not os.path.exists(path):
        return FileNotFound(f"{called}: there is no such file")
    reasons = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    return FileContentInvalid(f"{called} cannot be read as a raster: {'; '.join(reasons)}")
