"""Cubes of JSON, GeoJSON and GeoParquet, as others write them and as save_result does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import shapely
import shapely.geometry
import xarray as xr
from dask.utils import format_bytes

from openeo_processes_dask import dimensions, vectors
from openeo_processes_dask.exceptions import FileContentInvalid, OpenEOException

from . import address, coverage

LAYOUT = "openeo_cube"  # the member or attribute that says which columns are values, of what dimensions

GEO, ATTRIBUTES = b"geo", b"PANDAS_ATTRS"  # what GeoParquet and pandas put into the metadata of a file

# What files of nonsense make the readers raise.
NONSENSE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OSError, OverflowError)


class Layout(TypedDict):
    """How the columns of a table came of the dimensions of a vector cube, the first of which is the rows."""

    dims: list[str]
    labels: dict[str, list[str]]
    times: list[str]
    columns: list[str]
    dtype: str
    nodata: float | int | None


def read(path: Path, format: str) -> xr.DataArray:
    """The cube in a file.

    Raises
    ------
    FileContentInvalid
        If the file is not what the format says.
    """
    try:
        if format == "GeoParquet":
            return _of_parquet(path)
        document = json.loads(path.read_bytes())
        if format == "JSON" and isinstance(document, Mapping) and document.get("type") == "DataCube":
            return _of_json(document)
        if format == "JSON" and not isinstance(document, Mapping):
            return _of_array(document)
        return _of_geojson(document)
    except OpenEOException as error:
        raise FileContentInvalid(f"{path.name} cannot be read as {format}: {error}") from error
    except (*NONSENSE, shapely.errors.ShapelyError) as error:
        raise FileContentInvalid(f"{path.name} cannot be read as {format}: {error!r}") from error


def _of_array(document: Any) -> xr.DataArray:
    values = np.array(document, dtype=float)  # null is NaN
    return xr.DataArray(values)


def _of_json(document: Mapping[str, Any]) -> xr.DataArray:
    dtype = np.dtype(str(document["dtype"]))
    if dtype.kind not in "biuf":
        raise ValueError(f"values of type {dtype}")
    dims = [str(name) for name in document["dims"]]
    values = _numbers(document["data"], dtype)
    if values.ndim != len(dims):
        raise ValueError(f"data have {values.ndim} dimensions, and {len(dims)} are named")
    made = xr.DataArray(values, dims=dims, attrs=dict(document.get("attrs") or {}))
    crs = document.get("crs")
    parsed = None if crs is None else dimensions.parse_crs(crs)
    for name, one in document["coords"].items():
        if one["kind"] == "geometry":
            shapes = np.array([shapely.geometry.shape(shape) for shape in one["data"]], object)
            features = vectors.Features(vectors.read(list(shapes)).shapes, parsed, {}, str(name))
            made = vectors.with_features(made, features)
    for name, one in document["coords"].items():
        if one["kind"] != "geometry":
            kind: Any = {"time": "datetime64[ns]"}.get(one["kind"])
            made = made.assign_coords({name: (one["dims"], np.array(one["data"], kind), one.get("attrs") or {})})
    if parsed is None or dimensions.of_role(made, "geometry"):
        return made
    return made.assign_coords(spatial_ref=coverage.mapping(parsed))


def _numbers(data: Any, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return np.array(data, dtype=object).astype(float).astype(dtype) if data != [] else np.zeros(0, dtype)
    values = np.array(data, dtype=object)
    if not all(isinstance(value, int) for value in values.ravel()):
        raise ValueError(f"data are no {dtype}")
    return values.astype(dtype)


def _of_geojson(document: Any) -> xr.DataArray:
    features = vectors.read(document)
    layout = document.get(LAYOUT) if isinstance(document, Mapping) else None
    return _laid_out(features, layout)


def _of_parquet(path: Path) -> xr.DataArray:
    import geopandas

    table = _decoded(path)
    about = table.schema.metadata or {}
    if GEO not in about:
        raise ValueError("no column is said to hold geometries")
    geo = json.loads(about[GEO])
    for name, one in geo["columns"].items():
        if name not in table.column_names:
            continue
        # arrow's own word for such a column; one without a CRS is in longitude and latitude
        kind, crs = str(one["encoding"]).casefold(), one.get("crs", "OGC:CRS84")
        said = {"ARROW:extension:name": f"geoarrow.{kind}", "ARROW:extension:metadata": json.dumps({"crs": crs})}
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place).with_metadata(said), table.column(place))
    rows = geopandas.GeoDataFrame.from_arrow(table, geometry=geo["primary_column"])
    attributes = json.loads(about.get(ATTRIBUTES) or "{}")
    return _laid_out(vectors.read(rows), attributes.get(LAYOUT))


def _decoded(path: Path) -> Any:
    """The table in a file, decoded bit by bit, until it is too much: a small file may say one thing many times.

    Raises
    ------
    FileContentInvalid
        If it holds far more than a file may be large.
    """
    import pyarrow as pa
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        about = file.metadata
        largest = max((about.row_group(i).total_byte_size for i in range(about.num_row_groups)), default=1)
        # no value is larger than what the values of a group are decoded of
        step = min(max(address.most() // max(largest, 1), 1), 2**16)
        parts, size = [], 0
        for batch in file.iter_batches(step) if about.num_rows else ():
            size += batch.nbytes
            if size > address.most():
                raise FileContentInvalid(
                    f"{path.name} holds more than {format_bytes(address.most())}, four times the setting"
                    " openeo.load.size"
                )
            parts.append(batch)
        return pa.Table.from_batches(parts, file.schema_arrow)


def _laid_out(features: vectors.Features, layout: Layout | None) -> xr.DataArray:
    """The vector cube of features; columns that a layout names are its values."""
    if not layout or not layout["columns"] or not set(layout["columns"]) <= set(features.properties):
        return vectors.cube(features)
    dimension, *others = layout["dims"]
    dtype = np.dtype(layout["dtype"])
    columns = [
        np.asarray(features.properties[name], None if dtype.kind != "f" else float) for name in layout["columns"]
    ]
    rest = {k: v for k, v in features.properties.items() if k not in layout["columns"]}
    sizes = [len(layout["labels"][name]) for name in others]
    values = np.stack(columns, axis=-1).astype(dtype).reshape(len(features.shapes), *sizes)
    labels: dict[str, Any] = {}
    for name in others:
        told = np.array(layout["labels"][name])
        labels[name] = told.astype("datetime64[ns]") if name in layout["times"] else told
    kept = vectors.Features(features.shapes, features.crs, rest, dimension)
    made = vectors.cube(kept, values, [dimension, *others], **labels)
    return made if layout["nodata"] is None else made.assign_attrs(nodata=layout["nodata"])
