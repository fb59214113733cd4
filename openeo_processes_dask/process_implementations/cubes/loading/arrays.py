"""netCDF files and zarr stores as one lazy cube: each of its blocks, with all bands, is read by one task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import shapely
import xarray as xr
from dask.base import tokenize
from dask.utils import format_bytes

from openeo_processes_dask import dimensions, grids, turns
from openeo_processes_dask.exceptions import CRSInvalid, FileContentInvalid, FileNotFound, LabelNotAvailable

from . import address, chunking, coverage, cutting, features, names, payloads
from .request import Band, Request
from .stacks import Asked, Place, Stack, nodata_of

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
    dates: tuple[int, ...] | None = None  # positions of those that are left, where they do not follow each other
    brought: bool = False  # whether a user has brought it


def is_store(path: Path) -> bool:
    """Whether a path is a netCDF file or a zarr store."""
    if path.is_dir():
        return any((path / name).exists() for name in ZARR)
    return path.suffix.casefold() in NETCDF


def cube(paths: Sequence[Path], request: Request, brought: bool = False) -> xr.DataArray:
    """The cube of one file, or of several that follow each other in time.

    Compressed blocks that may become too much are looked at before they are read. Those of zarr mostly say it in
    front; those of HDF5 are large ones only, with which it takes as long as to read them. Of files that users have
    `brought`, none may be compressed by what is not known here.

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
    chosen = _slice(kept)
    dates = None if isinstance(chosen, slice) else tuple(chosen.tolist())
    return replace(one, data=data.isel(t=chosen), first=int(np.argmax(kept)), dates=dates)


def _slice(kept: np.ndarray) -> Any:
    """Positions as a slice where they lie together."""
    places = np.flatnonzero(kept)
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == len(places) else places


def _cube(one: Opened, chosen: Sequence[Band], request: Request) -> xr.DataArray:
    crs = dimensions.crs(one.data) or _geographic(one.data)
    parts = [
        (turn, _part(one, chosen, crs, inside, polygons)) for turn, inside, polygons in _limited(one, crs, request)
    ]
    return turns.joined(parts, "x", crs)


def _part(
    one: Opened, chosen: Sequence[Band], crs: Any, inside: dict[str, Any], polygons: tuple[shapely.Geometry, ...]
) -> xr.DataArray:
    """The part of a file at some positions along y and x."""
    data = one.data.isel(inside)
    parts = [_variable(one, data, band) for band in chosen]
    gaps = bool(polygons)
    dtype, nodata = chunking.shared({(part.dtype, nodata_of(part)) for part in parts}, gaps)
    blocks = _stored_blocks(parts[0])
    starts = one.first, _start("y", one.data, data), _start("x", one.data, data)
    shapes = cutting.Polygons.of(polygons)
    asked = None if shapes is None else Asked(shapes, grids.of(data[one.variables[0]]), blocks[1:], starts[1:])
    places = [_place(one, band, starts) for band in chosen] if _doubtful(one) else []
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


def _limited(one: Opened, crs: Any, request: Request) -> list[tuple[float, dict[str, Any], Any]]:
    """Positions and polygons of what lies in the area; several, with what to add to longitudes that begin again in it.

    Raises
    ------
    NoDataAvailable
        If nothing does.
    CRSInvalid, FileContentInvalid
        If the file does not say where its pixels are.
    """
    if request.area is None:
        return [(0.0, {}, ())]
    if crs is None:
        raise CRSInvalid(f"{one.path} has no CRS, so that no area can be cut out of it")
    if not {"x", "y"} <= set(one.data.coords):
        raise FileContentInvalid(f"{one.path} has no coordinates along x and y, so that no area can be cut out of it")
    x, y = one.data["x"].values, one.data["y"].values
    found = []
    for turn, area in request.area.to_crs(crs).turned(float(x.min()), float(x.max())):
        box = area.box
        across, down = (x >= box.west) & (x <= box.east), (y >= box.south) & (y <= box.north)
        if across.any() and down.any():
            found.append((turn, {"x": _slice(across), "y": _slice(down)}, area.polygons))
    if not found:
        raise request.nothing(str(one.path), "no pixel's centre lies")
    return found


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
    axes = tuple((str(axis), inside[str(axis)]) for axis in one.data[variable].dims)
    return Place(variable, axes, one.dates, one.brought)


def _doubtful(one: Opened) -> bool:
    """Whether blocks have to be looked at before they are read; zarr's always are."""
    if one.path.is_dir() or not _is_hdf5(one.path):
        return False
    return any(payloads.doubtful(one.path, name) for name in one.variables)


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
