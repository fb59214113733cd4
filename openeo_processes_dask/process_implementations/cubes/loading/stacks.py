"""What is read of one netCDF file or zarr store for a block of a cube, when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.base import tokenize
from odc.geo.geobox import GeoBox

from openeo_processes_dask.exceptions import FileContentInvalid, FileNotFound

from . import chunking, coverage, cutting, payloads
from .layers import storable


@dataclass(frozen=True)
class Asked:
    """Polygons, the cube's grid, rows and columns of the file's blocks, and where in these the grid begins."""

    polygons: cutting.Polygons
    grid: GeoBox
    tile: tuple[int, int]
    start: tuple[int, int]

    def parts(self, rows: slice, columns: slice) -> list[tuple[slice, slice]]:
        """The rows and columns of a block, counted from where it begins, that have to be read."""
        part = coverage.part(self.grid, rows.start, columns.start, rows.stop, columns.stop)
        start = self.start[0] + rows.start, self.start[1] + columns.start
        return cutting.rectangles(self.polygons, part, self.tile, start)


@dataclass(frozen=True)
class Place:
    """Where a band lies in an HDF5 file: its variable, whose dimensions begin so far inside or are one position."""

    variable: str
    starts: tuple[tuple[str, int], ...]
    dates: tuple[int, ...] | None  # positions of the cube's dates where they do not follow each other
    brought: bool

    def check(self, path: Path, where: dict[str, slice]) -> None:
        """Look at the blocks that are about to be read."""
        inside = []
        for axis, start in self.starts:
            one = where.get(axis, slice(0, 1))
            if axis == "t" and self.dates is not None:
                inside.append(slice(min(self.dates[one]), max(self.dates[one]) + 1))
            else:
                inside.append(_moved(one, start))
        payloads.check_hdf5(path, self.variable, inside, self.brought)


class Stack:
    """What dask asks of an array, over the bands of one file: a slice is read when it is asked for."""

    ndim = 4

    def __init__(
        self,
        path: Path,
        parts: Sequence[xr.Variable],
        dtype: np.dtype,
        nodata: Any,
        asked: Asked | None,
        places: Sequence[Place],
    ) -> None:
        self.path = path
        self.places = places  # of which blocks are looked at first
        self.asked = asked  # None for all
        self.parts = parts
        self.stored = [nodata_of(part) for part in parts]
        self.dtype = dtype
        self.nodata = nodata
        sizes = parts[0].sizes
        self.shape = (sizes.get("t", 1), len(parts), sizes["y"], sizes["x"])

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        """The values of a block as the common type; dask hands on what is cut out of blocks, such as one position."""
        cut = (one if isinstance(one, slice) else slice(one, one + 1) for one in key)
        dates, bands, rows, columns = (slice(*one.indices(n)[:2]) for one, n in zip(cut, self.shape, strict=True))
        sizes = [one.stop - one.start for one in (dates, bands, rows, columns)]
        if self.asked is None and sizes[1] == 1 and self._as_stored(bands.start):
            out, parts = self._read(bands.start, {"t": dates, "y": rows, "x": columns}).reshape(sizes), []
        elif self.asked is None:
            out, parts = np.empty(sizes, self.dtype), [(slice(0, sizes[2]), slice(0, sizes[3]))]
        else:
            out, parts = np.full(sizes, self.nodata, self.dtype), self.asked.parts(rows, columns)
        for place, number in enumerate(range(bands.start, bands.stop)):
            for down, across in parts:
                where = {"t": dates, "y": _moved(down, rows.start), "x": _moved(across, columns.start)}
                self._fill(out[:, place, down, across], number, where)
        return out[tuple(slice(None) if isinstance(one, slice) else 0 for one in key)]

    def _as_stored(self, number: int) -> bool:
        """Whether the values of a band, and what means no-data in it, are those of the cube already."""
        stored = self.stored[number]
        same = stored is None or stored == self.nodata or (stored != stored and self.nodata != self.nodata)
        return bool(same) and self.parts[number].dtype == self.dtype

    def _fill(self, out: np.ndarray, number: int, where: dict[str, slice]) -> None:
        """Write the values of a band as the common type into a part of a block."""
        values = self._read(number, where)
        out[:] = values
        if self._as_stored(number):
            return
        gaps = chunking.is_gap(values, self.stored[number])
        if gaps is not None and self.stored[number] != self.nodata:
            np.copyto(out, self.nodata, where=gaps)

    def _read(self, number: int, where: dict[str, slice]) -> np.ndarray:
        """Values in the order of t, y and x; turned after they were read, because xarray reads turned ones slowly."""
        part = self.parts[number]
        wanted = part.isel({axis: one for axis, one in where.items() if axis in part.dims})
        try:
            if self.places:
                self.places[number].check(self.path, where)
            values = np.asarray(wanted.values)
        except FileNotFoundError as error:
            raise FileNotFound(f"{self.path}: there is no such file") from error
        except (OSError, RuntimeError, KeyError, ValueError) as error:  # what HDF5 and decompressors raise
            raise FileContentInvalid(f"{self.path} cannot be read: {error}") from error
        return values.transpose([part.dims.index(axis) for axis in where if axis in part.dims])

    def __dask_tokenize__(self) -> object:
        about = self.path.stat()
        place = [tokenize(str(part.dims)) for part in self.parts]
        return str(self.path), about.st_mtime_ns, about.st_size, place, tokenize(self.asked and self.asked.polygons)


def _moved(part: slice, start: int) -> slice:
    return slice(part.start + start, part.stop + start)


def nodata_of(part: xr.Variable) -> Any:
    """The value of a variable that means no-data."""
    for name in ("_FillValue", "missing_value", "nodata"):
        value = storable(part.attrs.get(name), part.dtype)
        if value is not None:
            return value
    return math.nan if part.dtype.kind == "f" else None
