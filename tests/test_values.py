"""Any combination of values gives a value or an openEO error, and no process changes what it gets."""

from __future__ import annotations

import contextlib
import copy
import datetime
import inspect
import math
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask import process_implementations
from openeo_processes_dask.declare import DECLARED, Process
from openeo_processes_dask.exceptions import OpenEOException
from openeo_processes_dask.values import labelled

HERE = f"{process_implementations.__name__}."
VALUES = sorted(
    id_
    for id_, process in DECLARED.items()
    if process.function.__module__.startswith(HERE) and not process.function.__module__.startswith(f"{HERE}cubes.")
)


def child(process_id: str, **arguments: Any) -> dict[str, Any]:
    arguments["x"] = {"from_parameter": "x"}
    return {"process_graph": {"child": {"process_id": process_id, "arguments": arguments, "result": True}}}


PLAIN: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e300, 10**400, math.nan, math.inf, -math.inf),
    *("", "a", "1", "2020-01-01", "2020-01-01T00:00:00Z", "day", "12:00:00"),
    *([], [1, 2], [None], [1, "a", None], [[1], 2], [True, None], [math.nan, 1], ["2020-01-01", "2019-01-01"]),
    *({}, {"a": 1}, datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)),
    *(np.float32(1.5), np.int8(3), np.True_, np.datetime64("2020-01-01"), np.complex64(1j)),
    *(object(), child("absolute"), child("gt", y=1)),
]
TYPES = ["bool", "int8", "uint8", "int16", "uint64", "int64", "float16", "float32", "float64"]
TYPES += ["datetime64[ns]", "U2", "O", "complex64"]


def blocks() -> list[Any]:
    """Arrays of all types and some shapes: without axes, empty, with gaps, upside down, read-only, lazy, labelled."""
    found: list[Any] = []
    for dtype in TYPES:
        row = np.array([0, 1, 2]).astype(dtype)
        row.flags.writeable = False
        found += [row, np.stack([row, row])[:, ::-1], row[:0], row.reshape(-1)[0:1].reshape(())]
    gapped = np.array([1, np.nan, np.inf], np.float32)
    found += [gapped, np.full((2, 3), np.nan), np.array([1, None, "a"], object)]
    found += [da.from_array(gapped, chunks=2), da.from_array(np.arange(6).reshape(2, 3), chunks=(1, 2))]
    found += [
        xr.DataArray(gapped, dims="x"),
        xr.DataArray(np.array([[1, 0]], np.uint8), dims=("y", "x"), attrs={"nodata": 0}),
    ]
    found += [labelled([1, None, "a"], ["a", 2, "c"]), labelled([], [])]
    return found


BLOCKS = blocks()
ANYTHING = st.one_of(st.sampled_from(PLAIN), st.sampled_from(BLOCKS), st.sampled_from(PLAIN))


def frozen(value: Any) -> Any:
    """What a value looks like, to be compared with what it looks like later."""
    if isinstance(value, (np.ndarray, xr.DataArray)):
        return copy.deepcopy(np.asarray(value)).tolist()
    return repr(value)


def call(process: Process, arguments: dict[str, Any]) -> None:
    before = {name: frozen(value) for name, value in arguments.items()}
    with contextlib.suppress(OpenEOException):
        result = process.function(**arguments)
        if isinstance(result, (da.Array, xr.DataArray)):
            result.compute()
    for name, value in arguments.items():
        assert repr(frozen(value)) == repr(before[name]), f"{process.id} changed {name}"


@pytest.mark.parametrize("process_id", VALUES)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_values_give_a_value_or_an_openeo_error(process_id: str, data: st.DataObject) -> None:
    process = DECLARED[process_id]
    arguments = {}
    for name, parameter in process.parameters.items():
        if parameter.default is inspect.Parameter.empty or data.draw(st.booleans(), label=f"give {name}"):
            arguments[name] = data.draw(ANYTHING, label=name)
    if arguments and "axis" in process.engine and data.draw(st.booleans()):
        first = next(iter(arguments.values()))
        arguments["axis"] = 0 if isinstance(first, (np.ndarray, da.Array, xr.DataArray)) and first.ndim else None
    with dask.config.set({"openeo.nan-is-nodata": data.draw(st.booleans())}):
        call(process, arguments)


@pytest.mark.parametrize("process_id", VALUES)
def test_results_are_no_views_of_what_was_given(process_id: str) -> None:
    """Whoever writes into a result must not write into the input, unless the result is the input itself."""
    process = DECLARED[process_id]
    block = np.array([[3.0, np.nan, 1], [2, 5, 4]])
    names = [name for name in process.parameters if name in process.required]
    arguments = {name: block.copy() for name in names}
    engine = {"axis": 1} if "axis" in process.engine else {}
    try:
        result = process.function(**arguments, **engine)
    except OpenEOException:
        return
    if isinstance(result, np.ndarray) and result.flags.writeable and not any(result is v for v in arguments.values()):
        result[...] = -1
        for value in arguments.values():
            np.testing.assert_array_equal(value, block)


HUGE: dict[str, Any] = {
    "a list": [[0] * 1000] * 1000,
    "a text": "a" * 100_000,
    "an object": {str(i): i for i in range(100_000)},
    "a block": np.full((300, 300), "x"),
}


@pytest.mark.parametrize("what", HUGE)
@pytest.mark.parametrize("process_id", VALUES)
def test_messages_stay_short(process_id: str, what: str) -> None:
    process = DECLARED[process_id]
    for name in process.parameters:
        arguments = {other: HUGE[what] if other == name else 1 for other in process.required | {name}}
        assert len(refused(process, arguments)) < 2000


def refused(process: Process, arguments: dict[str, Any]) -> str:
    """Why arguments are refused, if they are."""
    try:
        process.function(**arguments)
    except OpenEOException as error:
        return str(error)
    return ""


# Arguments beside an array, in the order of the processes' parameters; those without an axis for blocks are left out.
ALONG: dict[str, dict[str, Any]] = {
    **{id_: {} for id_ in ("count", "max", "mean", "median", "min", "sd", "sum", "variance", "product", "extrema")},
    **{id_: {} for id_ in ("all", "any", "cummax", "cumsum", "first", "last", "order", "sort")},
    "quantiles": {"probabilities": [0.5]},
    "array_element": {"index": 0},
    "array_contains": {"value": 1.0},
    "array_find": {"value": 1.0},
    "array_interpolate_linear": {},
    "array_concat": {"array2": np.ones((2, 3))},
    "array_append": {"value": 1.0},
    "fit_curve": {"parameters": [1.0], "function": lambda x, parameters: parameters[0]},
}


@pytest.mark.parametrize("id_", ALONG)
@pytest.mark.parametrize("axis", [2, -3, 10])
def test_an_axis_that_is_not_there_is_refused(id_: str, axis: int) -> None:
    assert "axis" in DECLARED[id_].engine
    block = np.arange(6.0).reshape(2, 3)
    for data in (block, da.from_array(block, chunks=(1, 2))):
        with pytest.raises(OpenEOException, match=f"no axis {axis} in an array of 2 axes"):
            DECLARED[id_].function(data, **ALONG[id_], axis=axis)
