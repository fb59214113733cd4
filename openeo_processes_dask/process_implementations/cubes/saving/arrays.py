"""Cubes as netCDF and zarr: one variable for each band, CF names, coordinates as they are."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5netcdf
import numpy as np
import xarray as xr
import zarr

from openeo_processes_dask import dimensions, vectors
from openeo_processes_dask.exceptions import FileContentInvalid, FormatUnsuitable
from openeo_processes_dask.process_implementations.cubes.loading.features import CUBE_DIMS
from openeo_processes_dask.process_implementations.cubes.loading.layers import storable
from openeo_processes_dask.process_implementations.cubes.loading.names import BAND_ORDER

from . import features, stream
from .options import lone_name
from .place import Patient, storing
from .workers import Where

TILE = 512  # most rows and columns of a block in the file
MOST = 2**22  # most values of a block in the file
MAPPING = "spatial_ref"


@dataclass(frozen=True)
class Variables:
    """A cube as variables: one for each band, or one where there are no bands."""

    cube: xr.DataArray
    names: tuple[str, ...]
    axis: int | None  # of the bands among the cube's dimensions
    nodata: float | int | None
    common_names: tuple[str, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions of a variable."""
        return tuple(str(d) for i, d in enumerate(self.cube.dims) if i != self.axis)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a variable."""
        return tuple(size for i, size in enumerate(self.cube.shape) if i != self.axis)

    @property
    def blocks(self) -> tuple[int, ...]:
        """The shape of a block in the file: the cube's, cut evenly where it is large."""
        sizes = []
        most = MOST
        for i, name in reversed(list(enumerate(self.cube.dims))):
            if i == self.axis:
                continue
            size = self.cube.shape[i] if self.cube.chunks is None else max(self.cube.chunks[i])
            limit = min(TILE, most) if dimensions.role(self.cube, str(name)) in ("x", "y") else most
            size = math.ceil(size / math.ceil(size / max(limit, 1)))
            most = max(most // size, 1)
            sizes.append(size)
        return tuple(reversed(sizes))

    def attributes(self, index: int) -> dict[str, Any]:
        """The attributes of a variable, but for its no-data value."""
        own = {k: v for k, v in self.cube.attrs.items() if k not in ("nodata", "_FillValue", "missing_value", "crs")}
        own["long_name"] = self.names[index]
        if self.common_names and self.common_names[index]:
            own[dimensions.COMMON_NAME] = self.common_names[index]
        geometry = dimensions.of_role(self.cube, "geometry")[:1]
        if MAPPING in self.cube.coords or (geometry and vectors.crs_of(self.cube, geometry[0]) is not None):
            own["grid_mapping"] = MAPPING
        if geometry:
            own["geometry"] = features.CONTAINER
        if self.cube.dtype == bool:
            own["dtype"] = "bool"  # how xarray marks what is stored as bytes
        return storable_attributes(own)

    @property
    def stored(self) -> np.dtype:
        """The type of the values in the file."""
        return np.dtype("int8") if self.cube.dtype == bool else np.dtype(self.cube.dtype)


def variables(cube: xr.DataArray, format: str) -> Variables:
    """The variables of a cube.

    Raises
    ------
    FormatUnsuitable
        If it holds values that are no numbers, or bands without distinct names.
    """
    if cube.dtype.kind not in "biuf":
        raise FormatUnsuitable(f"{format} cannot hold values of type {cube.dtype} here: only numbers and truth values")
    found = dimensions.of_role(cube, "bands")[:1]
    names = tuple(str(label).replace("/", "-") for label in dimensions.labels(cube, found[0])) if found else ()
    clash = {str(name) for name in (*cube.dims, *cube.coords)} & set(names)
    if len(set(names)) < len(names) or clash or "" in names:
        raise FormatUnsuitable(f"{format} names variables by bands, which must be distinct and no dimensions: {names}")
    common: tuple[str, ...] = ()
    if found and dimensions.COMMON_NAME in cube.coords and cube.coords[dimensions.COMMON_NAME].dims == found:
        common = tuple(map(str, cube.coords[dimensions.COMMON_NAME].values))
    nodata = math.nan if cube.dtype.kind == "f" else storable(dimensions.nodata(cube), cube.dtype)
    axis = cube.dims.index(found[0]) if found else None
    return Variables(cube, names or (lone_name(cube),), axis, nodata, common)


def write_netcdf(made: Variables, path: Path, options: Mapping[str, Any]) -> None:
    """Write a netCDF file, and look whether it is complete; HDF5 has one writer at a time, which is this process."""
    with dask.config.set(scheduler="synchronous"):  # or xarray asks a cluster for a lock
        start = bytes(coordinates(made).to_netcdf(engine="h5netcdf"))
    packing = {"compression": "gzip", "compression_opts": options["compression"], "shuffle": True}
    with storing(path):
        path.write_bytes(start)
    with Patient(path) as kept:
        with h5netcdf.File(kept, "a") as file:
            targets = []
            for index, name in enumerate(made.names):
                more: dict[str, Any] = {"chunks": made.blocks} if made.dims else {}
                more |= packing if options["compression"] and made.dims else {}
                target = file.create_variable(name, made.dims, made.stored, fillvalue=made.nodata, **more)
                target.attrs.update(made.attributes(index))
                targets.append(target)
            _fill_here(made, targets, path, kept)
        kept.complain()
    _check(made, path, "h5netcdf")


def write_zarr(made: Variables, path: Path, options: Mapping[str, Any]) -> None:
    """Write a zarr 3 store, each block by whoever computes it, and look whether it is complete."""
    dataset = coordinates(made)
    packing = {"compressors": None} if options["compression"] == "none" else {}
    for index, name in enumerate(made.names):
        # never computed: it stands for the shape and type that xarray lays out
        empty = da.zeros(made.shape, chunks=-1, dtype=made.stored)
        dataset[name] = xr.Variable(made.dims, empty, made.attributes(index))
        dataset[name].encoding = {"chunks": made.blocks, "_FillValue": made.nodata, **packing}
        if made.nodata is None:
            del dataset[name].encoding["_FillValue"]
    with storing(path), dask.config.set(scheduler="synchronous"):
        dataset.to_zarr(path, mode="w-", zarr_format=3, consolidated=False, compute=False, safe_chunks=False)
    region = _Regions(path, made.names, made.axis, made.stored.str)
    stream.where_computed(_aligned(made), region, f"writing {path.name}", path.parent)
    _check(made, path, "zarr")


@dataclass(frozen=True)
class _Regions:
    """Writes blocks into a zarr store, wherever it is called."""

    path: Path
    names: tuple[str, ...]
    axis: int | None
    stored: str

    def __call__(self, where: Where, block: np.ndarray) -> None:
        with storing(self.path):
            for name, inside, values in _parts(self.names, self.axis, where, block):
                _array(self.path, name)[inside] = values.astype(self.stored, copy=False)


@functools.lru_cache(maxsize=64)
def _array(path: Path, name: str) -> Any:
    """A variable of a store, opened once in a process: each result has a folder of its own until it is complete."""
    return zarr.open_array(path, path=name, mode="r+")


def _parts(
    names: Sequence[str], axis: int | None, where: Where, block: np.ndarray
) -> Iterator[tuple[str, Where, np.ndarray]]:
    """What of a block goes into each variable, and where."""
    bands = slice(0, 1) if axis is None else where[axis]
    inside = tuple(one for i, one in enumerate(where) if i != axis)
    for place, index in enumerate(range(bands.start, bands.stop)):
        yield names[index], inside, block if axis is None else block[(slice(None),) * axis + (place,)]


def _aligned(made: Variables) -> Any:
    """The values in blocks that share none of the store's, so that two never write to the same one."""
    values, blocks = made.cube.data, iter(made.blocks)
    if not isinstance(values, da.Array):
        return values
    chunks = []
    for axis, sizes in enumerate(values.chunks):
        step = 1 if axis == made.axis else next(blocks)
        if any(size % step for size in sizes[:-1]):
            step *= max(max(sizes) // step, 1)
            sizes = tuple(min(step, values.shape[axis] - start) for start in range(0, values.shape[axis], step))
        chunks.append(sizes)
    return values.rechunk(tuple(chunks))


def coordinates(made: Variables) -> xr.Dataset:
    """A dataset of the coordinates alone, named in the way of CF."""
    cube = made.cube
    bands = () if made.axis is None else (cube.dims[made.axis],)
    geometry = dimensions.of_role(cube, "geometry")[:1]
    kept = {n: c.variable for n, c in cube.coords.items() if not set(c.dims) & set(bands) and n not in geometry}
    for name, one in kept.items():
        if one.dtype.kind == "O" and not all(isinstance(v, str) for v in np.ravel(one.values)):
            raise FormatUnsuitable(f"the labels of {name} can be written to no file: {one.values[:3]!r}")
        # zarr 3 specifies texts of any length only
        values = one.values.astype(object) if one.dtype.kind == "U" else one.values
        kept[name] = xr.Variable(one.dims, values, storable_attributes({**one.attrs, **_cf(cube, str(name))}))
    # a zarr store has no order of its own
    attributes: dict[str, Any] = {"Conventions": "CF-1.10", BAND_ORDER: list(made.names)}
    if geometry:
        kept |= features.encoded(cube, geometry[0], MAPPING)
        attributes[CUBE_DIMS] = [str(name) for name in cube.dims]
    return xr.Dataset(coords=kept, attrs=attributes)


def storable_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Those attributes that files can hold: texts, numbers and lists of one of them; truth values as numbers."""
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        value = int(value) if isinstance(value, (bool, np.bool_)) else value
        simple = isinstance(value, (str, int, float, np.number))
        if not simple and isinstance(value, (list, tuple, np.ndarray)) and len(np.shape(value)) == 1 and len(value):
            simple = np.asarray(value).dtype.kind in "iuf" or all(isinstance(v, str) for v in value)
        if simple:
            kept[str(name)] = value
    return kept


def _cf(cube: xr.DataArray, name: str) -> dict[str, str]:
    role = dimensions.role(cube, name) if name in cube.dims else "other"
    if role == "temporal":
        is_time = cube[name].dtype.kind == "M"
        return {dimensions.ROLE: role, **({"standard_name": "time", "axis": "T"} if is_time else {})}
    crs = dimensions.crs(cube)
    if role not in ("x", "y") or crs is None:
        return {}
    axes = {axis.get("axis"): axis for axis in crs.cs_to_cf()}
    return {k: v for k, v in axes.get(role.upper(), {}).items() if k in ("axis", "standard_name", "units")}


def _fill_here(made: Variables, targets: list[Any], path: Path, kept: Patient) -> None:
    written = 0
    by_name = dict(zip(made.names, targets, strict=True))

    def write(where: Where, block: np.ndarray) -> None:
        nonlocal written
        for name, inside, values in _parts(made.names, made.axis, where, block):
            by_name[name][inside] = values.astype(made.stored, copy=False)
        kept.complain()
        written += block.size

    stream.each_block(made.cube.data, write, f"writing {path.name}")
    if written != made.cube.size:
        raise FileContentInvalid(f"{path.name} is incomplete: {written} of {made.cube.size} values were written")


def _check(made: Variables, path: Path, engine: Any) -> None:
    options: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}
    with xr.open_dataset(path, engine=engine, mask_and_scale=False, chunks=None, **options) as found:
        for name in made.names:
            if found[name].shape != made.shape or found[name].dtype not in (made.stored, made.cube.dtype):
                raise FileContentInvalid(f"{path.name} was not written as it was meant: {found[name]}")
