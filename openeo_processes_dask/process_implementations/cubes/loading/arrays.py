"""netCDF files and zarr stores as one lazy cube: each of its blocks, with all bands, is read by one task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.utils import format_bytes
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids
from openeo_processes_dask.exceptions import CRSInvalid, FileContentInvalid, FileNotFound, LabelNotAvailable

from . import address, chunking, coverage, cutting, features, names, payloads
from .layers import storable
from .request import Band, Request

NETCDF = (".nc", ".nc4", ".cdf")
ZARR = (".zgroup", ".zmetadata", "zarr.json")
_AXES = ("t", "bands", "y", "x")


@dataclass(frozen=True)
class Opened:
    """A file that is open, with its dimensions renamed, and the variables that are bands, lazily."""

    path: Path
    data: xr.Dataset
    variables: tuple[str, ...]
    bands: tuple[Band, ...]
    along: bool  # whether one variable holds all bands
    time: np.datetime64 | None = None  # the only one of a file without a temporal dimension
    first: int = 0  # the position in the file of the first date that is left
    brought: bool = False  # whether a user has brought it


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

    def check(self, path: Path, where: dict[str, slice]) -> None:
        """Look at the blocks that are about to be read."""
        inside = [(start, where.get(axis, slice(0, 1))) for axis, start in self.starts]
        payloads.check_hdf5(path, self.variable, [_moved(one, start) for start, one in inside])


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
        self.stored = [_nodata(part) for part in parts]
        self.dtype = dtype
        self.nodata = nodata
        sizes = parts[0].sizes
        self.shape = (sizes.get("t", 1), len(parts), sizes["y"], sizes["x"])

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        """The values of a block as the common type; dask hands on what is cut out of blocks, such as one position."""
        cut = (one if isinstance(one, slice) else slice(one, one + 1) for one in key)
        dates, bands, rows, columns = (slice(*one.indices(n)[:2]) for one, n in zip(cut, self.shape, strict=True))
        sizes = [one.stop - one.start for one in (dates, bands, rows, columns)]
        if self.asked is None:
            out, parts = np.empty(sizes, self.dtype), [(slice(0, sizes[2]), slice(0, sizes[3]))]
        else:
            out, parts = np.full(sizes, self.nodata, self.dtype), self.asked.parts(rows, columns)
        for place, number in enumerate(range(bands.start, bands.stop)):
            for down, across in parts:
                where = {"t": dates, "y": _moved(down, rows.start), "x": _moved(across, columns.start)}
                self._fill(out[:, place, down, across], number, where)
        return out[tuple(slice(None) if isinstance(one, slice) else 0 for one in key)]

    def _fill(self, out: np.ndarray, number: int, where: dict[str, slice]) -> None:
        """Write the values of a band as the common type into a part of a block."""
        values = self._read(number, where)
        out[:] = values
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


def is_store(path: Path) -> bool:
    """Whether a path is a netCDF file or a zarr store."""
    if path.is_dir():
        return any((path / name).exists() for name in ZARR)
    return path.suffix.casefold() in NETCDF


def cube(paths: Sequence[Path], request: Request, brought: bool = False) -> xr.DataArray:
    """The cube of one file, or of several that follow each other in time.

    Where users have brought the files, compressed blocks of HDF5 that may become too much are looked at before they
    are read, which takes as long as to read them. Those of zarr mostly say it in front, and always are.

    Raises
    ------
    FileNotFound, FileContentInvalid
        If a file is missing, cannot be read, or holds no raster cube.
    NoDataAvailable
        If nothing lies in the extents.
    """
    first = _decoded(paths[0])
    if features.container(first) is not None:
        if len(paths) > 1:
            raise FileContentInvalid(f"{paths[0]} holds geometries, so it makes no cube with the files beside it")
        return features.cube(paths[0], first, request)
    every = [replace(_open(path, _decoded(path) if i else first), brought=brought) for i, path in enumerate(paths)]
    chosen = request.choose(list(dict.fromkeys(band for one in every for band in one.bands)))
    dated = [part for part in (_in_time(one, request) for one in every) if part is not None]
    if not dated:
        raise request.nothing(str(paths[0]), "no date lies")
    if len(dated) == 1:
        return _cube(dated[0], chosen, request)
    if undated := [one.path for one in dated if "t" not in one.data.dims and one.time is None]:
        raise FileContentInvalid(f"{undated[0]} has no date, so it makes no cube with the files beside it")
    parts = [_cube(one, chosen, request) for one in dated]
    joined = xr.concat(parts, "t", coords="minimal", compat="override", join="exact", combine_attrs="override")
    return joined.sortby("t")


def _open(path: Path, data: xr.Dataset) -> Opened:
    names_of = {"x": dimensions.x_dim(data), "y": dimensions.y_dim(data)}
    temporal, along = dimensions.of_role(data, "temporal"), dimensions.of_role(data, "bands")
    if names_of["x"] is None or names_of["y"] is None or len(temporal) > 1 or len(along) > 1:
        raise FileContentInvalid(f"{path} is no raster cube: its dimensions are {tuple(map(str, data.dims))}")
    renamed = {names_of["x"]: "x", names_of["y"]: "y", **dict.fromkeys(temporal, "t"), **dict.fromkeys(along, "bands")}
    data = data.rename({old: new for old, new in renamed.items() if old != new})
    numbers = {str(name): one for name, one in data.data_vars.items() if one.dtype.kind in "biuf"}
    variables = names.ordered(path, data, [name for name, one in numbers.items() if {"x", "y"} <= set(one.dims)])
    used = {str(d) for name in variables for d in data[name].dims}
    for name in variables:
        _check_blocks(path, data[name])
    if not variables:
        raise FileContentInvalid(f"{path} has no variable of x and y that holds numbers")
    if more := used - set(_AXES):
        raise FileContentInvalid(f"{path} has dimensions beside t, bands, y and x: {', '.join(sorted(more))}")
    time = None if "t" in used else _only_time(path, data)
    if "bands" not in used:
        bands = tuple(Band(name, data[name].attrs.get(dimensions.COMMON_NAME)) for name in variables)
        return Opened(path, data, variables, bands, False, time)
    if len(variables) > 1:
        raise FileContentInvalid(f"{path} has several variables with bands: {', '.join(variables)}")
    common = data.coords[dimensions.COMMON_NAME].values if dimensions.COMMON_NAME in data.coords else None
    labels = [str(label) for label in dimensions.labels(data[variables[0]], "bands")]
    bands = tuple(Band(n, (str(common[i]) or None) if common is not None else None) for i, n in enumerate(labels))
    return Opened(path, data, variables, bands, True, time)


def _check_blocks(path: Path, one: xr.DataArray) -> None:
    """A small file may claim blocks that no memory holds."""
    shape = one.encoding.get("chunks") or one.encoding.get("chunksizes") or ()
    size = math.prod(shape) * one.dtype.itemsize if shape else 0
    if size > address.most():
        raise FileContentInvalid(
            f"{path} has blocks of {format_bytes(size)}, and at most {format_bytes(address.most())} are read at once:"
            " four times the setting openeo.load.size"
        )


def _only_time(path: Path, data: xr.Dataset) -> np.datetime64 | None:
    """The date of a file without a temporal dimension: the only instant in it, else the date in its name."""
    instants = [one.values for one in data.variables.values() if not one.dims and one.dtype.kind == "M"]
    return np.asarray(instants, "datetime64[ns]")[0] if len(instants) == 1 else names.date_in(path.stem)


def _decoded(path: Path) -> xr.Dataset:
    """The file with values as they are stored, but for packed ones and dates."""
    options: dict[str, Any] = {"chunks": None, "cache": False, "decode_coords": "all"}
    if path.is_dir():
        consolidated = (path / ".zmetadata").exists() or None
        options |= {"engine": "zarr", "backend_kwargs": {"consolidated": consolidated if consolidated else False}}
    else:
        options["engine"] = "h5netcdf" if _is_hdf5(path) else "scipy"
    try:
        if options["engine"] == "h5netcdf":
            payloads.check_hdf5(path)
        source: Any = payloads.Guarded(path, read_only=True) if path.is_dir() else path
        raw = xr.open_dataset(source, mask_and_scale=False, **options)
        packed = {n for n, v in raw.variables.items() if {"scale_factor", "add_offset"} & set(v.attrs)}
        if not packed:
            return raw
        raw.close()
        return xr.open_dataset(source, mask_and_scale={str(n): n in packed for n in raw.variables}, **options)
    except FileNotFoundError as error:
        raise FileNotFound(f"{path}: there is no such file") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise FileContentInvalid(
            f"{path} cannot be read as {'zarr' if path.is_dir() else 'netCDF'}: {error}"
        ) from error


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _in_time(one: Opened, request: Request) -> Opened | None:
    """The file cut to the interval; None if nothing is left of it."""
    data = one.data
    if "t" not in data.dims:
        if one.time is not None:
            return one if request.keeps(one.time) else None
        if request.start is not None or request.end is not None:
            raise FileContentInvalid(f"{one.path} has no dates, so that {request.interval} says nothing")
        return one
    if request.start is None and request.end is None:
        return one
    if "t" not in data.coords or data["t"].dtype.kind != "M":
        raise FileContentInvalid(f"{one.path} has no dates along t, so that {request.interval} says nothing")
    kept = np.array([request.keeps(moment) for moment in data["t"].values], bool)
    if not kept.any():
        return None
    return replace(one, data=data.isel(t=_slice(kept)), first=int(np.argmax(kept)))


def _slice(kept: np.ndarray) -> Any:
    """Positions as a slice where they lie together."""
    places = np.flatnonzero(kept)
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == len(places) else places


def _cube(one: Opened, chosen: Sequence[Band], request: Request) -> xr.DataArray:
    crs = dimensions.crs(one.data) or _geographic(one.data)
    if request.area is not None and crs is not None and crs.is_geographic and "x" in one.data.coords:
        one = replace(one, data=cutting.turned(one.data, request.area.to_crs(crs).box, one.path))
    data, polygons = _in_area(one.data, crs, request, one.path)
    parts = [_variable(one, data, band) for band in chosen]
    gaps = bool(polygons)
    dtype, nodata = chunking.shared({(part.dtype, _nodata(part)) for part in parts}, gaps)
    blocks = _stored_blocks(parts[0])
    starts = one.first, _start("y", one.data, data), _start("x", one.data, data)
    shapes = cutting.Polygons.of(polygons)
    asked = None if shapes is None else Asked(shapes, grids.of(data[one.variables[0]]), blocks[1:], starts[1:])
    doubtful = one.brought and not one.path.is_dir() and _is_hdf5(one.path)
    places = [_place(one, band, starts) for band in chosen] if doubtful else []
    stack = Stack(one.path, parts, dtype, nodata, asked, places)
    sizes = chunking.chunks(stack.shape, dtype.itemsize, blocks, starts)
    # sizes alone do not tell one part of a file from another
    part_of = starts, [data[axis].values for axis in ("t", "y", "x") if axis in data.coords]
    name = "load-" + tokenize(stack, sizes, part_of, [band.name for band in chosen])
    values = da.from_array(
        stack, sizes, name=name, asarray=False, fancy=False, inline_array=True, meta=np.empty((0,) * 4, dtype)
    )
    cube = _labelled(values, data, one.time, chosen, crs, nodata)
    return cube if asked is None else cutting.masked(cube, asked.grid, asked.polygons, nodata)


def _labelled(
    values: da.Array, data: xr.Dataset, time: np.datetime64 | None, chosen: Sequence[Band], crs: Any, nodata: Any
) -> xr.DataArray:
    coordinates: dict[str, Any] = {n: data[n].variable.copy() for n in ("t", "y", "x") if n in data.dims and n in data}
    if time is not None:
        coordinates["t"] = xr.Variable("t", np.array([time], "datetime64[ns]"))
    coordinates["bands"] = xr.Variable("bands", [band.name for band in chosen])
    if any(band.common_name for band in chosen):
        coordinates[dimensions.COMMON_NAME] = xr.Variable("bands", [band.common_name or "" for band in chosen])
    if crs is not None:
        coordinates["spatial_ref"] = coverage.mapping(crs)
    attributes = {} if nodata is None or nodata != nodata else {"nodata": nodata}
    timeless = "t" not in data.dims and time is None
    axes = ("bands", "y", "x") if timeless else ("t", "bands", "y", "x")
    cube = xr.DataArray(values[0] if timeless else values, coordinates, axes, attrs=attributes)
    for name in axes:
        cube = dimensions.with_role(cube, name, "temporal" if name == "t" else name)
    return cube.rename(None)


def _in_area(data: xr.Dataset, crs: Any, request: Request, path: Path) -> tuple[xr.Dataset, Any]:
    if request.area is None:
        return data, ()
    if crs is None:
        raise CRSInvalid(f"{path} has no CRS, so that no area can be cut out of it")
    area = request.area.to_crs(crs)
    box = area.box
    if not {"x", "y"} <= set(data.coords):
        raise FileContentInvalid(f"{path} has no coordinates along x and y, so that no area can be cut out of it")
    inside = {}
    for name, low, high in (("x", box.west, box.east), ("y", box.south, box.north)):
        kept = (data[name].values >= low) & (data[name].values <= high)
        if not kept.any():
            raise request.nothing(str(path), "no pixel's centre lies")
        inside[name] = _slice(kept)
    return data.isel(inside), area.polygons


def _variable(one: Opened, data: xr.Dataset, band: Band) -> xr.Variable:
    """One band as a lazy variable of t, y and x, in any order."""
    if band not in one.bands:
        raise LabelNotAvailable(f"{one.path} has no band {band.name!r}; there are {[b.name for b in one.bands]}")
    place = one.bands.index(band)
    found = data.variables[one.variables[0] if one.along else band.name]
    return found.isel(bands=place) if one.along else found


def _place(one: Opened, band: Band, starts: tuple[int, int, int]) -> Place:
    variable = one.variables[0] if one.along else band.name
    inside = {**dict(zip(("t", "y", "x"), starts, strict=True)), "bands": one.bands.index(band)}
    return Place(variable, tuple((str(axis), inside[str(axis)]) for axis in one.data[variable].dims))


def _nodata(part: xr.Variable) -> Any:
    for name in ("_FillValue", "missing_value", "nodata"):
        value = storable(part.attrs.get(name), part.dtype)
        if value is not None:
            return value
    return math.nan if part.dtype.kind == "f" else None


def _stored_blocks(part: xr.Variable) -> tuple[int, int, int]:
    """Dates, rows and columns of the file's blocks."""
    preferred = part.encoding.get("preferred_chunks") or {}
    dates, rows, columns = (max(int(preferred.get(axis, axis == "t")), 1) for axis in ("t", "y", "x"))
    return dates, rows, columns


def _start(axis: str, whole: xr.Dataset, data: xr.Dataset) -> int:
    if axis not in data.dims or axis not in data.coords or not data.sizes[axis]:
        return 0
    return int(np.flatnonzero(whole[axis].values == data[axis].values[0])[0])


def _geographic(data: xr.Dataset) -> Any:
    """Longitude and latitude need no other word for their CRS."""
    units = {str(data[name].attrs.get("units", "")) for name in ("x", "y") if name in data.coords}
    return dimensions.parse_crs(4326) if units and all(u.startswith("degrees") for u in units) else None
