"""Turns what the official vectors hold into values, and compares results with what they expect."""

from __future__ import annotations

import datetime
import functools
import json
import math
from typing import Any

import numpy as np
import pyproj
import xarray as xr

from openeo_processes_dask import dimensions
from tests.spec import official

ALMOST = 1e-10


def decoded(value: Any) -> Any:
    """A value of a vector: no-data, cubes, labelled arrays and files in the place of what stands for them."""
    if isinstance(value, list):
        return [decoded(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return decoded(referenced(value["$ref"]))
    if set(value) == {"from_argument"}:  # what the specifications call from_parameter
        return {"from_parameter": value["from_argument"]}
    if value.get("type") == "nodata":
        return None
    if value.get("type") == "labeled-array":
        return labelled(value["data"])
    if value.get("type") == "datacube":
        return cube(value)
    if value.get("type") == "datetime":
        return datetime.datetime.fromisoformat(value["value"])
    return {name: decoded(inner) for name, inner in value.items()}


@functools.cache
def _text(name: str) -> str:
    return (official.FOLDER / "vectors" / name).read_text("utf-8")


@functools.cache
def _json5(name: str) -> Any:
    import json5

    return json5.loads(_text(name))


def referenced(name: str) -> Any:
    """What a file beside the vectors holds."""
    return json.loads(json.dumps(_json5(name))) if name.endswith(("json", "json5")) else _text(name)


def labelled(entries: list[dict[str, Any]]) -> xr.DataArray:
    """A labelled array."""
    values, labels = (np.empty(len(entries), object) for _ in range(2))
    values[:] = [decoded(entry["value"]) for entry in entries]
    labels[:] = [entry["key"] for entry in entries]
    return xr.DataArray(values, dims=["labels"], coords={"labels": labels})


def cube(document: dict[str, Any]) -> xr.DataArray:
    """A cube as a caller makes it: dates as datetime64, no-data and CRS as attributes, types of dimensions unsaid."""
    described = [document["dimensions"][name] for name in document["order"]]
    labels = {name: _labels(one) for name, one in zip(document["order"], described, strict=True)}
    shape = tuple(map(len, labels.values()))
    data = np.zeros(shape) if not document.get("data") else numbers(document["data"]).reshape(shape)
    attrs = {"nodata": document["nodata"]} if "nodata" in document else {}
    for one in described:
        if "reference_system" in one:
            attrs["crs"] = one["reference_system"]
    return xr.DataArray(data, dims=document["order"], coords=labels, attrs=attrs)


def _labels(dimension: dict[str, Any]) -> Any:
    if dimension["type"] == "temporal" and all("T" in value for value in dimension["values"]):
        return np.array([value.removesuffix("Z") for value in dimension["values"]], "datetime64[ns]")
    return np.array(dimension["values"], object if len({*map(type, dimension["values"])}) > 1 else None)


def numbers(nested: Any) -> np.ndarray:
    """Nested lists of numbers and no-data as an array: of integers or truth values if it holds nothing else."""
    array = np.array(decoded(nested), object)
    kinds = {type(value) for value in array.flat}
    if kinds <= {int} and kinds:
        return array.astype(np.int64)
    return array.astype(np.bool_ if kinds <= {bool} and kinds else np.float64)


def same(result: Any, expected: Any, tolerance: float = ALMOST, inside: bool = False) -> bool:
    """Whether a result is what a vector expects; in lists the tolerance is absolute, else relative."""
    if isinstance(expected, dict) and expected.get("type") == "datacube":
        return same_cube(result, expected, tolerance)
    if isinstance(expected, dict) and "$ref" in expected:
        return same(result, referenced(expected["$ref"]), tolerance)
    expected = decoded(expected)
    if isinstance(expected, xr.DataArray):
        if not isinstance(result, xr.DataArray) or not same(_labels_of(result), _labels_of(expected)):
            return False
        return same(_listed(result), _listed(expected), tolerance)
    if isinstance(expected, list):
        if not isinstance(result, (list, tuple, np.ndarray, xr.DataArray)) or len(result) != len(expected):
            return False
        return all(same(r, e, tolerance, True) for r, e in zip(_listed(result), expected, strict=True))
    if isinstance(expected, datetime.datetime):
        moment = datetime.datetime.fromisoformat(result)
        return moment == expected and moment.utcoffset() == expected.utcoffset()
    if isinstance(expected, dict):
        return (
            isinstance(result, dict)
            and result.keys() == expected.keys()
            and all(same(result[name], expected[name], tolerance, inside) for name in expected)
        )
    return _same_scalar(result, expected, tolerance, inside)


def _listed(array: Any) -> list[Any]:
    return list(array) if isinstance(array, (list, tuple)) else [_native(value) for value in np.asarray(array)]


def _labels_of(array: xr.DataArray) -> list[Any]:
    return _listed(array.coords[array.dims[0]])


def _native(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, np.ndarray, xr.DataArray)) and value.ndim == 0 else value


def _same_scalar(result: Any, expected: Any, tolerance: float, inside: bool) -> bool:
    result = _native(result)
    plain = (bool, str, type(None))
    if isinstance(expected, plain) or isinstance(result, plain) or not isinstance(result, (int, float)):
        return type(result) is type(expected) and result == expected
    if math.isnan(expected) or math.isinf(expected):
        return result == expected or (math.isnan(expected) and math.isnan(result))
    return abs(result - expected) <= max(tolerance, 0 if inside else tolerance * abs(expected))


def same_cube(result: Any, expected: dict[str, Any], tolerance: float = ALMOST) -> bool:
    """Whether dimensions, labels, roles, CRS and values are as expected; values that are null or [] are not told."""
    if not isinstance(result, xr.DataArray) or list(result.dims) != expected["order"]:
        return False
    wanted = cube(expected)
    for name in expected["order"]:
        if not _same_labels(dimensions.labels(result, name), dimensions.labels(wanted, name)):
            return False
        described = expected["dimensions"][name]
        role = described.get("axis") if described["type"] == "spatial" else described["type"]
        if role is not None and dimensions.role(result, name) != role:
            return False
        crs = described.get("reference_system")
        if crs is not None and dimensions.crs(result) != pyproj.CRS.from_user_input(crs):
            return False
    return not expected.get("data") or same_values(_gapped(result), _gapped(wanted), tolerance)


def same_values(result: np.ndarray, expected: np.ndarray, tolerance: float = ALMOST) -> bool:
    """Whether arrays are equal, gaps included."""
    return result.shape == expected.shape and np.allclose(result, expected, rtol=0, atol=tolerance, equal_nan=True)


def _same_labels(found: list[Any], wanted: list[Any]) -> bool:
    return len(found) == len(wanted) and all(
        type(f) is type(w) and f == w if isinstance(f, str) or isinstance(w, str) else f == w
        for f, w in zip(found, wanted, strict=True)
    )


def _gapped(array: xr.DataArray) -> np.ndarray:
    """The values as floats, with NaN where they are the no-data value that the cube declares."""
    values = np.asarray(array.values, np.float64)
    nodata = dimensions.nodata(array)
    return values if nodata is None else np.where(values == nodata, np.nan, values)
