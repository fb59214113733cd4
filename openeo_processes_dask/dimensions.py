"""Which dimension is x, y, time or bands: roles travel on the attributes of coordinates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyproj
import xarray as xr

from openeo_processes_dask.exceptions import (
    CRSInvalid,
    DimensionMissing,
    DimensionNotAvailable,
    LabelNotAvailable,
    ProcessParameterInvalid,
    TooManyDimensions,
)

ROLE = "openeo_role"  # the attribute of a coordinate that holds the role of its dimension
COMMON_NAME = "common_name"  # the coordinate along bands that holds their common names
ROLES = ("x", "y", "z", "temporal", "bands", "geometry", "other")

X_GUESSES = ("x", "lon", "long", "longitude", "easting")
Y_GUESSES = ("y", "lat", "latitude", "northing")
Z_GUESSES = ("z", "level", "altitude")
TEMPORAL_GUESSES = ("t", "time", "date", "datetime", "temporal", "year", "quarter", "month", "week", "day", "hour")
BANDS_GUESSES = ("bands", "band", "b")
GEOMETRY_GUESSES = ("geometry", "geometries", "geom")
_GUESSES = {
    "x": X_GUESSES,
    "y": Y_GUESSES,
    "z": Z_GUESSES,
    "temporal": TEMPORAL_GUESSES,
    "bands": BANDS_GUESSES,
    "geometry": GEOMETRY_GUESSES,
}
_CF_AXES = {"X": "x", "Y": "y", "Z": "z", "T": "temporal"}
_TYPES = {"spatial": ("x", "y", "z"), "temporal": ("temporal",), "bands": ("bands",), "geometry": ("geometry",)}


def role(cube: xr.DataArray | xr.Dataset, dimension: str) -> str:
    """The role of a dimension: what its coordinate says, else what name and type suggest."""
    coordinate = cube.coords.variables.get(dimension)
    attributes = {} if coordinate is None else coordinate.attrs
    if attributes.get(ROLE) in ROLES:
        return str(attributes[ROLE])
    if attributes.get("axis") in _CF_AXES:
        return _CF_AXES[attributes["axis"]]
    name = str(dimension).casefold()
    for guess, names in _GUESSES.items():
        if name in names:
            return guess
    if coordinate is not None and np.issubdtype(coordinate.dtype, np.datetime64):
        return "temporal"
    return "other"


def of_role(cube: xr.DataArray | xr.Dataset, *roles: str) -> tuple[str, ...]:
    """The names of the dimensions that have one of these roles, in the order of the cube."""
    return tuple(str(dimension) for dimension in cube.dims if role(cube, str(dimension)) in roles)


def x_dim(cube: xr.DataArray | xr.Dataset) -> str | None:
    """The name of the dimension x, if there is one."""
    return next(iter(of_role(cube, "x")), None)


def y_dim(cube: xr.DataArray | xr.Dataset) -> str | None:
    """The name of the dimension y, if there is one."""
    return next(iter(of_role(cube, "y")), None)


def with_role(cube: xr.DataArray, dimension: str, new: str) -> xr.DataArray:
    """The cube with a role written to a dimension that has labels; the given cube is not changed."""
    if dimension not in cube.coords:
        return cube
    coordinate = cube.coords[dimension].copy(deep=False)
    coordinate.attrs = {**coordinate.attrs, ROLE: new}
    return cube.assign_coords({dimension: coordinate})


def with_indexes(cube: xr.DataArray, source: xr.DataArray) -> xr.DataArray:
    """A cube whose geometries have the index that they have in the cube it was made of, and which knows their CRS."""
    for name, index in source.xindexes.items():
        if hasattr(index, "crs") and name in cube.xindexes and not hasattr(cube.xindexes[name], "crs"):
            known = cube.coords[name]
            if known.shape == source.coords[name].shape and (known.values == source.coords[name].values).all():
                cube = cube.assign_coords(xr.Coordinates({name: known.variable}, indexes={name: index}))
    return cube


def require(cube: xr.DataArray, dimension: Any) -> str:
    """The name of a dimension that the cube has.

    Raises
    ------
    DimensionNotAvailable
        If the cube has no such dimension.
    """
    if dimension not in cube.dims:
        raise DimensionNotAvailable(f"no dimension {dimension!r} among {tuple(map(str, cube.dims))}")
    return str(dimension)


def require_spatial(cube: xr.DataArray) -> tuple[str, str]:
    """The names of the dimensions y and x.

    Raises
    ------
    DimensionMissing
        If one of them is missing.
    """
    y, x = y_dim(cube), x_dim(cube)
    if x is None or y is None:
        raise DimensionMissing(f"dimensions x and y are needed, there are {tuple(map(str, cube.dims))}")
    return y, x


def require_bands(cube: xr.DataArray) -> str:
    """The name of the dimension of bands.

    Raises
    ------
    DimensionMissing
        If there is none.
    """
    found = of_role(cube, "bands")
    if not found:
        raise DimensionMissing(f"no dimension of type bands among {tuple(map(str, cube.dims))}")
    return found[0]


def require_temporal(cube: xr.DataArray, dimension: str | None = None) -> str:
    """The name of the temporal dimension: the one asked for, or the only one.

    Raises
    ------
    DimensionNotAvailable
        If the one asked for does not exist, or if there is none.
    TooManyDimensions
        If none was asked for and there are several.
    """
    if dimension is not None:
        return require(cube, dimension)
    found = of_role(cube, "temporal")
    if not found:
        raise DimensionNotAvailable(f"no temporal dimension among {tuple(map(str, cube.dims))}")
    if len(found) > 1:
        raise TooManyDimensions(f"name one of the temporal dimensions {found}")
    return found[0]


def labels(cube: xr.DataArray, dimension: str) -> list[Any]:
    """The labels of a dimension, instants as texts in UTC; where there are none, they count up from zero."""
    if dimension not in cube.coords:
        return list(range(cube.sizes[dimension]))
    values = cube.coords[dimension].values
    return list(map(_written, values)) if values.dtype.kind == "M" else list(values.tolist())


def json_labels(cube: xr.DataArray, dimension: str) -> list[Any]:
    """The labels of a dimension as JSON has them: instants as texts in UTC, geometries as WKT."""
    return [getattr(label, "wkt", label) for label in labels(cube, dimension)]


def _written(moment: np.datetime64) -> str:
    """An instant as text, with milliseconds only where there are some."""
    whole = moment == moment.astype("datetime64[s]")
    return f"{np.datetime_as_string(moment, unit='s' if whole else 'ms')}Z"


def positions(chosen: np.ndarray) -> Any:
    """Where to keep labels: a slice where they follow each other, which moves no data."""
    where = np.flatnonzero(chosen)
    if where.size and where[-1] - where[0] + 1 == where.size:
        return slice(int(where[0]), int(where[-1]) + 1)
    return where.tolist() if where.size else slice(0, 0)


def band_positions(cube: xr.DataArray, dimension: str, name: str) -> list[int]:
    """The positions of the bands with a name, or else with a common name; empty where there is none."""
    names = [str(label) for label in labels(cube, dimension)]
    if name in names:
        return [i for i, label in enumerate(names) if label == name]
    if COMMON_NAME in cube.coords and cube.coords[COMMON_NAME].dims == (dimension,):
        return [i for i, common in enumerate(cube.coords[COMMON_NAME].values.tolist()) if common == name]
    return []


def require_label(cube: xr.DataArray, dimension: str, label: Any) -> int:
    """The position of a label.

    Raises
    ------
    LabelNotAvailable
        If the dimension has no such label.
    """
    known = labels(cube, dimension)
    if label not in known:
        raise LabelNotAvailable(f"no label {label!r} in dimension {dimension!r} with {_some(known)}")
    return known.index(label)


def nodata(cube: xr.DataArray) -> Any:
    """The declared no-data value of a cube, or None; NaN, which needs no declaration, counts as None."""
    for name in ("nodata", "_FillValue", "missing_value"):
        for source in (cube.attrs, cube.encoding):
            value = source.get(name)
            if value is not None and np.ndim(value) == 0 and value == value:
                return None if source is cube.encoding and cube.dtype.kind == "f" else value
    return None


def crs(cube: xr.DataArray | xr.Dataset) -> pyproj.CRS | None:
    """The CRS of a cube: that of its geometries, else of its grid mapping, else that of its attributes."""
    for dimension in of_role(cube, "geometry"):
        if (known := getattr(cube.xindexes.get(dimension), "crs", None)) is not None:
            return parse_crs(known)
    name = cube.encoding.get("grid_mapping", cube.attrs.get("grid_mapping", "spatial_ref"))
    for mapping in (name, "spatial_ref", "crs"):
        attributes = cube.coords.variables[mapping].attrs if mapping in cube.coords else {}
        if (wkt := attributes.get("crs_wkt") or attributes.get("spatial_ref")) is not None:
            return parse_crs(wkt)
    if (given := cube.attrs.get("crs")) is not None:
        return parse_crs(given)
    for dimension in of_role(cube, "x"):
        if dimension in cube.coords and (given := cube.coords[dimension].attrs.get("reference_system")) is not None:
            return parse_crs(given)
    return None


def parse_crs(given: Any) -> pyproj.CRS:
    """A CRS from an EPSG code, a WKT2 text or what else pyproj takes.

    Raises
    ------
    CRSInvalid
        If it cannot be understood.
    """
    try:
        return pyproj.CRS.from_user_input(given)
    except pyproj.exceptions.CRSError as error:
        raise CRSInvalid(f"{given!r} is no CRS: {error}") from error


def as_cube(data: Any) -> xr.DataArray:
    """A cube from what callers hand over: a DataArray, or a Dataset whose variables become bands.

    Raises
    ------
    ProcessParameterInvalid
        If it is neither.
    """
    if isinstance(data, xr.DataArray):
        return data
    if isinstance(data, xr.Dataset):
        mapping = {name for v in data.variables.values() if (name := v.attrs.get("grid_mapping")) is not None}
        mapping |= {"spatial_ref", "crs"}
        data = data.set_coords([name for name in data.data_vars if name in mapping])
        return with_role(_without_conflicts(data).to_dataarray("bands"), "bands", "bands")
    raise ProcessParameterInvalid(f"a data cube is needed, not {type(data).__name__}")


def _without_conflicts(data: xr.Dataset) -> xr.Dataset:
    """Variables with the dimensions of all, and as attributes of the set those on which all agree."""
    every = list(data.data_vars.values())
    shared = {
        name: value
        for name, value in (every[0].attrs.items() if every else ())
        if all(name in v.attrs and np.array_equal(v.attrs[name], value) for v in every)
    }
    fills = {v.encoding.get("_FillValue") for v in every}
    fill = fills.pop() if len(fills) == 1 else None
    if fill is not None and "nodata" not in shared and all(v.dtype.kind in "iu" for v in every):
        shared["nodata"] = fill
    return data.assign_attrs(shared)


def _some(values: Iterable[Any], most: int = 12) -> str:
    values = list(values)
    shown = ", ".join(map(repr, values[:most]))
    return f"[{shown}{f', … {len(values)} in all' if len(values) > most else ''}]"


class OpenEOExtension:
    """What consumers ask of a cube's dimensions, as `cube.openeo`; it holds no state of its own."""

    def __init__(self, cube: xr.DataArray | xr.Dataset) -> None:
        self._cube = cube

    @property
    def x_dim(self) -> str | None:
        """The name of the dimension x."""
        return x_dim(self._cube)

    @property
    def y_dim(self) -> str | None:
        """The name of the dimension y."""
        return y_dim(self._cube)

    @property
    def z_dim(self) -> str:
        """The name of the dimension z; NotImplementedError where there is none."""
        for found in of_role(self._cube, "z"):
            return found
        raise NotImplementedError("the cube has no dimension z")

    @property
    def spatial_dims(self) -> tuple[str, ...]:
        """The names of the dimensions x, y and z, in this order."""
        return tuple(name for one in ("x", "y", "z") for name in of_role(self._cube, one))

    @property
    def temporal_dims(self) -> tuple[str, ...]:
        """The names of the temporal dimensions."""
        return of_role(self._cube, "temporal")

    @property
    def band_dims(self) -> tuple[str, ...]:
        """The names of the dimensions of bands."""
        return of_role(self._cube, "bands")

    @property
    def geometry_dims(self) -> tuple[str, ...]:
        """The names of the dimensions of geometries."""
        return of_role(self._cube, "geometry")

    @property
    def other_dims(self) -> tuple[str, ...]:
        """The names of the dimensions of no particular type."""
        return of_role(self._cube, "other")

    def add_dim_type(self, name: str, type: str) -> None:
        """Say of which type a dimension is: spatial, temporal, bands, geometry or other.

        Raises
        ------
        ValueError
            If the cube has no such dimension, or if the type is none of these.
        """
        if name not in self._cube.dims:
            raise ValueError(f"no dimension {name!r} among {tuple(map(str, self._cube.dims))}")
        if type not in (*_TYPES, "other"):
            raise ValueError(f"{type!r} is no type of dimension: one of {(*_TYPES, 'other')}")
        if name not in self._cube.coords:
            self._cube.coords[name] = np.arange(self._cube.sizes[name])
        guess = role(self._cube, name)
        kept = guess if type == "spatial" and guess in _TYPES["spatial"] else _TYPES.get(type, ("other",))[0]
        self._cube.coords[name].attrs[ROLE] = kept


@xr.register_dataarray_accessor("openeo")
class OpenEOExtensionDa(OpenEOExtension):
    """The accessor on DataArray."""


@xr.register_dataset_accessor("openeo")
class OpenEOExtensionDs(OpenEOExtension):
    """The accessor on Dataset."""
