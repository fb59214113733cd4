"""Checks arguments against what a process declares of its parameters, before it does anything with them."""

from __future__ import annotations

import datetime
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from openeo_processes_dask import lazy, values
from openeo_processes_dask.arguments import plain
from openeo_processes_dask.callbacks import is_child
from openeo_processes_dask.declare import Process, declared
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.vocabulary import NOT_GIVEN

Function = TypeVar("Function", bound=Callable[..., Any])

_CRS = ("epsg-code", "wkt2-definition")
_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "an array",
    "object": "an object",
    "datacube": "a data cube",
    "labeled-array": "an array of values",
    "process-graph": "a child process",
}


def checked(function: Function) -> Function:
    """Have a process on cubes refuse arguments of other types than it declares.

    Only types are looked at, those of the elements of arrays too; what values mean the process knows best. Null stands
    for an optional array or object that is empty.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        process = declared(call)
        if process is not None:
            given = signature.bind(*args, **kwargs).arguments
            for name in process.parameters.keys() & given.keys():
                _require(process, name, given[name])
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # of the same signature


def _require(process: Process, name: str, given: Any) -> None:
    document, default = process.schemas[name].document, process.parameters[name].default
    empty = default is NOT_GIVEN or (isinstance(default, (Sequence, Mapping)) and not len(default))
    if given is default or (given is None and empty and default != "") or fits(document, plain(given)):
        return
    raise ProcessParameterInvalid(f"{process.id}: {name} must be {_wanted(document)}, not {shown(given)}")


def fits(document: Any, value: Any) -> bool:
    """Whether a value is of a type that a schema names, and its elements if it is an array."""
    return any(_is(one, kind, lazy.native(value)) for one in _alternatives(document) for kind in _kinds(one))


def _alternatives(document: Any) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = document if isinstance(document, list) else document.get("anyOf", [document])
    return found


def _kinds(document: dict[str, Any]) -> Sequence[str]:
    kinds = document.get("type", "any")
    return [kinds] if isinstance(kinds, str) else kinds


def _is(document: dict[str, Any], kind: str, value: Any) -> bool:
    subtype = document.get("subtype")
    if kind == "any" or subtype == "geojson":  # which has a reader of its own, that takes more
        return True
    if subtype in _CRS:
        return values.is_number(value) or isinstance(value, (str, Mapping)) or hasattr(value, "to_wkt")
    if kind == "array":
        return _is_array(value, document)
    if kind == "object":
        return _is_object(document, subtype, value)
    if kind == "string":
        return _is_text(document, value)
    if kind == "integer":
        return values.is_number(value) and float(value).is_integer()
    tests = {"null": lambda v: v is None, "boolean": values.is_boolean, "number": values.is_number}
    return tests[kind](value)


def _is_text(document: dict[str, Any], value: Any) -> bool:
    """Whether a value is a text, as instants are in JSON; a year may be a number."""
    if isinstance(value, str):
        pattern = "" if "subtype" in document else document.get("pattern", "")
        return len(value) >= document.get("minLength", 0) and re.search(pattern, value) is not None
    year = "format" in document and isinstance(value, int) and not isinstance(value, bool)
    return year or isinstance(value, (datetime.date, np.datetime64))


def _is_array(value: Any, document: dict[str, Any]) -> bool:
    if isinstance(value, xr.DataArray) or lazy.is_lazy(value):  # values of arrays with labels, or tasks, are left alone
        return value.ndim > 0
    if not (isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)):
        return False
    enough = document.get("minItems", 0) <= len(value) <= document.get("maxItems", len(value))
    values_of_cube = document.get("subtype") == "labeled-array"  # no-data among them, in blocks of any shape
    if values_of_cube and isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return enough
    items = document.get("items", {})
    return enough and all((values_of_cube and one is None) or fits(items, one) for one in value)


def _is_object(document: dict[str, Any], subtype: str | None, value: Any) -> bool:
    if subtype == "process-graph":
        return is_child(value)
    if subtype != "datacube":
        return isinstance(value, Mapping)
    vector = any(one.get("type") == "geometry" for one in document.get("dimensions", ()))
    return vector or isinstance(value, (xr.DataArray, xr.Dataset))  # vector cubes come as tables and GeoJSON too


def _wanted(document: Any) -> str:
    found = []
    for one in _alternatives(document):
        for kind in _kinds(one):
            word = _WORDS.get(one.get("subtype", ""), _WORDS[kind])
            items = one.get("items", {}) if kind == "array" else {}
            least, most = (one.get(limit) for limit in ("minItems", "maxItems"))
            count = f" of {least if least == most else f'at least {least}'}" if least else ""
            plain_values = not items or one.get("subtype") == "labeled-array"
            found.append(f"{word}{count}" if plain_values else f"{word}{count} (each element {_wanted(items)})")
    return " or ".join(dict.fromkeys(found))
