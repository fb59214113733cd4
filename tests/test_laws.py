"""Laws that every process on values keeps, with every option, on arrays of all types, shapes, strides and chunks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import OpenEOException
from openeo_processes_dask.process_implementations.cubes import apply, apply_dimension, reduce_dimension
from tests.cubes.cases import child, given, node
from tests.strategies import chunked, patterns
from tests.test_dtypes import TYPES
from tests.test_passages import cube, floating
from tests.test_scaling import EVERY

FIXED = settings(
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # explaining a failure takes minutes
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SHAPES = st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple)
# What adds or multiplies along an axis may do so in another order where the axis is cut; all else is the same to a bit.
IN_ANY_ORDER = {"mean", "product", "sd", "sum", "variance", "cumproduct", "cumsum"}
# One row by itself, known now, loses its gaps; lazily, and among other rows, it keeps its length.
SHORTER = {"array_filter", "order", "sort"}
ROUGHLY = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-9}


def called(process_id: str, chosen: dict[str, Any], first: Any, second: Any, axis: int | None) -> Any:
    """What a process makes of arrays, computed; or the class of its error."""
    process = DECLARED[process_id]
    arguments = {name: second if value is ... else value for name, value in chosen.items()}
    engine = {"axis": axis} if "axis" in process.engine and axis is not None else {}
    try:
        result = process.function(**{next(iter(process.parameters)): first}, **arguments, **engine)
    except OpenEOException as error:
        return type(error)
    if not isinstance(result, da.Array):
        return result
    made = result.compute(scheduler="synchronous")
    assert made.dtype == result.dtype
    assert all(math.isnan(n) or n == m for n, m in zip(result.shape, made.shape, strict=True))
    return made


def assert_alike(found: Any, expected: Any, tolerance: float = 0) -> None:
    if isinstance(expected, type):
        assert found is expected
        return
    found, native = np.asarray(found), not isinstance(expected, np.ndarray)
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    kinds = {found.dtype.kind, expected.dtype.kind}
    assert found.dtype == expected.dtype or (native and (len(kinds) == 1 or kinds == {"i", "u"}))  # a number of Python
    if tolerance:
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("process_id", "chosen"), EVERY)
@drawn(data=st.data())
@settings(FIXED, max_examples=7)
def test_chunked_equals_unchunked_equals_numpy(process_id: str, chosen: dict[str, Any], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(TYPES))
    shape = data.draw(SHAPES)
    first, second = data.draw(patterns(dtype, shape)), data.draw(patterns(dtype, shape))
    axis = data.draw(st.sampled_from([*range(len(shape)), *([] if process_id in SHORTER else [None])]))
    expected = called(process_id, chosen, first, second, axis)
    whole = called(process_id, chosen, *(da.from_array(block, chunks=-1) for block in (first, second)), axis)
    assert_alike(whole, expected, ROUGHLY.get(dtype, 1e-6) if process_id in IN_ANY_ORDER and axis is None else 0)
    cut = called(process_id, chosen, data.draw(chunked(first)), data.draw(chunked(second)), axis)
    assert_alike(cut, expected, ROUGHLY.get(dtype, 1e-6) if process_id in IN_ANY_ORDER else 0)


@pytest.mark.parametrize(("process_id", "chosen"), [p for p in EVERY if "axis" in DECLARED[p.values[0]].engine])
@drawn(data=st.data())
@settings(FIXED, max_examples=3)
def test_axes_count_from_the_end_too(process_id: str, chosen: dict[str, Any], data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    block = data.draw(patterns(data.draw(st.sampled_from(TYPES)), shape))
    axis = data.draw(st.integers(0, len(shape) - 1))
    cut = data.draw(chunked(block))
    for one in (block, cut):
        expected = called(process_id, chosen, one, one, axis)
        assert_alike(called(process_id, chosen, one, one, axis - len(shape)), expected)


# --- what arrays look like in memory

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": np.copy,
    "by columns": lambda block: np.array(block, order="F"),
    "every other": lambda block: np.repeat(block, 2, axis=-1)[..., ::2],
    "backwards": lambda block: block[..., ::-1].copy()[..., ::-1],
    "turned": lambda block: block.T.copy().T,
    "broadcast": lambda block: np.broadcast_to(block, block.shape),
    "big-endian": lambda block: block.astype(block.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize(("process_id", "chosen"), EVERY)
@drawn(data=st.data())
@settings(FIXED, max_examples=5)
def test_results_neither_share_memory_with_inputs_nor_depend_on_their_layout(
    process_id: str, chosen: dict[str, Any], data: st.DataObject
) -> None:
    dtype = data.draw(st.sampled_from(TYPES))
    shape = data.draw(SHAPES)
    first, second = data.draw(patterns(dtype, shape)), data.draw(patterns(dtype, shape))
    axis = data.draw(st.sampled_from([*range(len(shape)), None]))
    expected = called(process_id, chosen, first.copy(), second.copy(), axis)
    laid = [LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](block) for block in (first, second)]
    for block in laid:
        block.flags.writeable = block.flags.writeable and data.draw(st.booleans())
    result = called(process_id, chosen, *laid, axis)
    for block, before in zip(laid, (first, second), strict=True):
        np.testing.assert_array_equal(block, before)
        if isinstance(result, np.ndarray) and result is not block and result.flags.writeable:
            assert not np.shares_memory(result, block)
    tolerance = ROUGHLY.get(dtype, 1e-6) if process_id in IN_ANY_ORDER else 0
    if isinstance(result, np.ndarray):
        result = result.astype(result.dtype.newbyteorder("="))
    assert_alike(result, expected, tolerance)


TAKING_NUMBERS = [p for p in EVERY if next(iter(DECLARED[p.values[0]].parameters)) in ("x", "p", "base", "value")]
ON_TRUTH = {"and", "if", "not", "or", "xor"}  # numbers out of arrays are truth values there, as elements of arrays are


@pytest.mark.parametrize(("process_id", "chosen"), TAKING_NUMBERS)
def test_arrays_without_axes_are_numbers(process_id: str, chosen: dict[str, Any]) -> None:
    for dtype in TYPES:
        one = np.array(1, dtype)
        one.flags.writeable = False
        number = bool(one) if process_id in ON_TRUTH else one.item()
        result, expected = (called(process_id, chosen, value, value, None) for value in (one, number))
        assert one == 1
        np.testing.assert_equal(result, expected)


# --- cubes of integers with a no-data value


SEVERAL = {"extrema", "quantiles"}  # more than one value a row, so no reducers of a dimension


def as_child(process_id: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """A process as a child process of one node."""
    process = DECLARED[process_id]
    value = given("data" if "axis" in process.engine else "x")
    arguments = {name: value if v is ... else v for name, v in chosen.items() if name != "keepdims"}
    return child(only=node(process_id, **{next(iter(process.parameters)): value}, **arguments))


def on_cube(process_id: str, chosen: dict[str, Any], data: xr.DataArray) -> np.ndarray:
    """What a process makes of a cube as a child process, with NaN for gaps."""
    process = DECLARED[process_id]
    run = as_child(process_id, chosen)
    if "axis" not in process.engine:
        return floating(apply(data, run))
    reduced = "keepdims" in process.engine and process_id not in SEVERAL
    return floating((reduce_dimension if reduced else apply_dimension)(data, run, "t"))


@pytest.mark.parametrize(
    ("process_id", "chosen"), [p for p in EVERY if not p.values[1].get("keepdims") and p.values[0] != "array_concat"]
)
@drawn(data=st.data())
@settings(FIXED, max_examples=3)
def test_integer_cubes_with_nodata_behave_like_float_cubes_with_gaps(
    process_id: str, chosen: dict[str, Any], data: st.DataObject
) -> None:
    dtype = data.draw(st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32"]))
    values = data.draw(patterns(dtype, (data.draw(st.integers(2, 5)), 3), limit=9))
    fill = data.draw(st.sampled_from([0, 1, 9, 100]))
    whole = cube(values, fill, dtype)
    expected = on_cube(process_id, chosen, xr.DataArray(floating(whole), dims=whole.dims))
    for pieces in (None, {"t": data.draw(st.integers(1, 3)), "x": 2}):
        found = on_cube(process_id, chosen, whole if pieces is None else whole.chunk(pieces))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# --- rows of nothing

GAP = math.nan
# What there is of no values, and of nothing but gaps (None: what the gaps leave depends on more than that).
OF_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("max", "min", "mean", "median", "sum", "product", "sd", "variance", "first", "last"), GAP),
    "extrema": [GAP, GAP],
    "any": False,
    "all": True,
    "count": 0,
}
PROBABILITIES = [0.1, 0.5, 0.9]
ARRAYS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("cummax", "cummin", "cumproduct", "cumsum", "order", "sort", "array_interpolate_linear")},
    "array_apply": {"process": "absolute"},
    "array_filter": {"condition": "is_valid"},
    "rearrange": {"order": []},
}
NOTHING = [
    *((name, {}, expected) for name, expected in OF_NOTHING.items()),
    *(
        (name, {"ignore_nodata": skip}, v)
        for name, v in OF_NOTHING.items()
        if name != "count"
        for skip in (True, False)
    ),
    *(("quantiles", {"probabilities": PROBABILITIES, "ignore_nodata": skip}, [GAP] * 3) for skip in (True, False)),
]


@pytest.mark.parametrize(("process_id", "given_options", "expected"), NOTHING)
@drawn(data=st.data())
@settings(FIXED, max_examples=8)
def test_rows_of_nothing_and_rows_of_gaps(
    process_id: str, given_options: dict[str, Any], expected: Any, data: st.DataObject
) -> None:
    function = DECLARED[process_id].function
    length, wide = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 4))
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64"] if length else TYPES))
    block = data.draw(patterns(dtype, (wide, length)))
    empty = data.draw(st.integers(0, wide - 1))
    if length:
        block[empty] = np.nan
    axis = data.draw(st.sampled_from([0, 1]))
    turned = block.T if axis == 0 else block
    for rows in (turned, data.draw(chunked(turned))):
        result = np.asarray(function(rows, axis=axis, **given_options))
        np.testing.assert_array_equal(result[empty], expected)
        for other in range(wide if length else 0):
            alone = function(block[other], axis=0, **given_options)
            np.testing.assert_allclose(result[other], alone, rtol=ROUGHLY.get(dtype, 1e-6))
    with dask.config.set({"openeo.nan-is-nodata": data.draw(st.booleans())}):
        result = function([None] * length, **given_options)
    np.testing.assert_array_equal(np.asarray(result, float), expected)


@pytest.mark.parametrize("process_id", ARRAYS)
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_of_nothing_stay_arrays_of_nothing(process_id: str, dtype: str) -> None:
    function = DECLARED[process_id].function
    assert list(function([], **ARRAYS[process_id])) == []
    for block in (np.empty(0, dtype), np.empty((3, 0), dtype), np.empty((0, 3), dtype)):
        axis = block.shape.index(0)
        for rows in (block, da.from_array(block, chunks=2)):
            result = function(rows, axis=axis, **ARRAYS[process_id])
            assert np.asarray(result).shape == block.shape
