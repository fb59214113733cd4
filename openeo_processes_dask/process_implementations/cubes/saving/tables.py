"""Cubes as JSON, GeoJSON, GeoParquet and CSV: what is small enough to be written in one go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely
import shapely.geometry
import xarray as xr

from openeo_processes_dask import dimensions, vectors
from openeo_processes_dask.exceptions import FileContentInvalid, FormatUnsuitable
from openeo_processes_dask.process_implementations.cubes.loading.tables import LAYOUT, Layout

from . import stream
from .options import lone_name
from .place import storing

MOST = 20_000_000  # values; a larger cube belongs into a format that is written block by block


def suitable(cube: xr.DataArray, format: str) -> None:
    """Look whether the format can hold the cube.

    Raises
    ------
    FormatUnsuitable
        If it is too large, has no geometries where the format needs them, or holds what has no text.
    """
    if cube.size > MOST:
        raise FormatUnsuitable(f"{format} is written in one go: it holds at most {MOST} values, not {cube.size}")
    has_geometries = bool(dimensions.of_role(cube, "geometry"))
    if format in ("GeoJSON", "GeoParquet") and not has_geometries:
        raise FormatUnsuitable(f"{format} holds geometries, and the cube has none along {tuple(map(str, cube.dims))}")
    if cube.dtype.kind not in "biuf":
        raise FormatUnsuitable(f"{format} cannot hold values of type {cube.dtype} here: only numbers and truth values")
    if format != "JSON":
        _check_columns(cube, format, has_geometries)


def _check_columns(cube: xr.DataArray, format: str, has_geometries: bool) -> None:
    if has_geometries:
        features = vectors.read(cube)
        others, names = ["geometry", *features.properties], _columns(cube, features)
    else:
        others, names = _rows_and_columns(cube)
    if len(set(names) | set(others)) < len(names) + len(others):
        told = "distinct and neither properties nor geometry" if has_geometries else "distinct and no dimensions"
        raise FormatUnsuitable(f"{format} names columns by bands, which must be {told}: {names[:12]}")


def _rows_and_columns(cube: xr.DataArray) -> tuple[list[str], list[str]]:
    """The dimensions that have a column of labels each, and the names of the columns of values."""
    bands = dimensions.of_role(cube, "bands")[:1]
    names = [str(label) for label in dimensions.labels(cube, bands[0])] if bands else [lone_name(cube)]
    return [str(d) for d in cube.dims if d not in bands], names


def write(cube: xr.DataArray, format: str, path: Path) -> None:
    """Write a cube in one go, and look whether it can be read."""
    cube = cube.copy(data=stream.collected(cube.data, f"writing {path.name}"))
    with storing(path):
        {"JSON": _write_json, "GeoJSON": _write_geojson, "GeoParquet": _write_parquet, "CSV": _write_csv}[format](
            cube, path
        )
    if not path.stat().st_size:
        raise FileContentInvalid(f"{path.name} was not written")


def _write_json(cube: xr.DataArray, path: Path) -> None:
    coordinates = {str(n): _coordinate(c) for n, c in cube.coords.items() if n != "spatial_ref"}
    crs = _crs(cube)
    document = {
        "type": "DataCube",
        "dims": [str(d) for d in cube.dims],
        "dtype": cube.dtype.name,
        "crs": crs,
        "attrs": _plain_attributes(cube.attrs),
        "coords": coordinates,
        "data": _listed(cube.values),
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(document, file, allow_nan=False)


def _coordinate(one: xr.DataArray) -> dict[str, Any]:
    about: dict[str, Any] = {"dims": [str(d) for d in one.dims], "attrs": _plain_attributes(one.attrs)}
    values = one.values
    if values.dtype.kind == "M":
        return about | {"kind": "time", "data": np.datetime_as_string(values).tolist()}
    if dimensions.role(one, str(one.name)) == "geometry" and one.dtype.kind == "O":
        return about | {"kind": "geometry", "data": [shapely.geometry.mapping(shape) for shape in values]}
    return about | {"kind": "number" if values.dtype.kind in "iuf" else "other", "data": _listed(values)}


def _crs(cube: xr.DataArray) -> str | None:
    found = dimensions.of_role(cube, "geometry")
    crs = vectors.crs_of(cube, found[0]) if found else dimensions.crs(cube)
    if crs is None:
        return None
    crs = pyproj.CRS.from_user_input(crs)
    code = crs.to_authority()
    return ":".join(code) if code else crs.to_wkt()


def _plain_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in attributes.items():
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, (str, bool, int)) or (isinstance(value, float) and np.isfinite(value)):
            kept[str(name)] = value
    return kept


def _listed(values: np.ndarray) -> Any:
    """Nested lists; what is not a finite number is null, or the words for an infinite one."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()
    special = values.astype(object)
    special[np.isnan(values)] = None
    special[np.isposinf(values)] = "Infinity"
    special[np.isneginf(values)] = "-Infinity"
    return special.tolist()


# --- tables of features


def table(cube: xr.DataArray) -> tuple[pd.DataFrame, Layout, vectors.Features]:
    """The values and properties of a vector cube with one row for each geometry, and how that came of the cube."""
    dimension = vectors.dimension_of(cube)
    others = [str(d) for d in cube.dims if d != dimension]
    ordered = cube.transpose(dimension, *others)
    labels = {name: [_text(label) for label in _labels_of(cube, name)] for name in others}
    features = vectors.read(cube)
    columns = _columns(cube, features)
    empty = not others and ordered.dtype.kind == "f" and bool(np.isnan(ordered.values).all())
    kept = dict(features.properties)
    if not empty:
        kept |= dict(zip(columns, ordered.values.reshape(cube.sizes[dimension], -1).T, strict=True))
    layout: Layout = {
        "dims": [dimension, *others],
        "labels": labels,
        "times": [name for name in others if name in cube.coords and cube[name].dtype.kind == "M"],
        "columns": [] if empty else columns,
        "dtype": cube.dtype.name,
        "nodata": dimensions.nodata(cube) if cube.dtype.kind in "iu" else None,
    }
    return pd.DataFrame(kept), layout, features


def _columns(cube: xr.DataArray, features: vectors.Features) -> list[str]:
    """The names of the columns of values, one for each combination of labels."""
    others = [str(d) for d in cube.dims if d != features.dimension]
    labels = [[_text(label) for label in _labels_of(cube, name)] for name in others]
    names = ["~".join(one) for one in _product(labels)] if others else [lone_name(cube)]
    return [name if name not in features.properties else f"{name}~value" for name in names]


def _labels_of(cube: xr.DataArray, name: str) -> Any:
    return cube[name].values if name in cube.coords else range(cube.sizes[name])


def _text(label: Any) -> str:
    if isinstance(label, np.datetime64):
        return pd.Timestamp(label).isoformat()
    return str(label)


def _product(labels: list[list[str]]) -> list[tuple[str, ...]]:
    made: list[tuple[str, ...]] = [()]
    for one in labels:
        made = [(*before, label) for before in made for label in one]
    return made


def _write_geojson(cube: xr.DataArray, path: Path) -> None:
    rows, layout, features = table(cube)
    empty = vectors.cube(vectors.Features(features.shapes, features.crs, features.properties, features.dimension))
    document = vectors.to_geojson(empty)
    for name in layout["columns"]:
        for feature, value in zip(document["features"], _listed(rows[name].to_numpy()), strict=True):
            feature["properties"][name] = value
    document[LAYOUT] = layout
    with path.open("w", encoding="utf-8") as file:
        json.dump(document, file, allow_nan=False)


def _write_parquet(cube: xr.DataArray, path: Path) -> None:
    import geopandas

    rows, layout, features = table(cube)
    made = geopandas.GeoDataFrame(rows, geometry=list(features.shapes), crs=features.crs)
    made.attrs[LAYOUT] = layout
    made.to_parquet(path, index=False)


def _write_csv(cube: xr.DataArray, path: Path) -> None:
    """One row for each geometry, or else for each combination of labels but the bands, which are columns."""
    if dimensions.of_role(cube, "geometry"):
        rows, _, features = table(cube)
        rows.insert(0, features.dimension, shapely.to_wkt(features.shapes, rounding_precision=-1))
    else:
        others, names = _rows_and_columns(cube)
        ordered = cube.transpose(*others, ...)
        grids = np.meshgrid(*(np.asarray(_labels_of(cube, name)) for name in others), indexing="ij")
        columns: dict[str, Any] = {name: grid.ravel() for name, grid in zip(others, grids, strict=True)}
        columns |= dict(zip(names, ordered.values.reshape(-1, len(names)).T, strict=True))
        rows = pd.DataFrame(columns)
    rows.to_csv(path, index=False)
