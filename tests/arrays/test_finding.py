"""Elements of arrays: by index, by label, and at the ends."""

from __future__ import annotations

import datetime
import math
from typing import Any

import dask
import dask.array as da
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.exceptions import (
    ArrayElementNotAvailable,
    ArrayElementParameterConflict,
    ArrayElementParameterMissing,
    ArrayNotLabeled,
    ProcessParameterInvalid,
)
from openeo_processes_dask.process_implementations.arrays import (
    array_contains,
    array_element,
    array_find,
    array_find_label,
    first,
    last,
)
from openeo_processes_dask.process_implementations.comparison import eq
from openeo_processes_dask.process_implementations.cubes import apply_dimension, reduce_dimension
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

NUMBERS = st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, 2, 2**53 + 1, 2.0**53, 10**400, math.inf, math.nan, None])
BLOCK = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.mark.parametrize("lazily", [False, True])
def test_an_element_by_index_or_label_along_an_axis(lazily: bool) -> None:
    block = da.from_array(BLOCK, chunks=(1, 2)) if lazily else BLOCK
    with nothing_computed():
        found = [
            array_element(block, 1, axis=0),
            array_element(block, 2, axis=1, keepdims=True),
            array_element(block, label="b", axis=0, dim_labels=["a", "b"]),
            array_element(block, 7, return_nodata=True, axis=0),
            array_element(block, label="c", return_nodata=True, axis=1, keepdims=True, dim_labels=["a", "b", "d"]),
        ]
    expected = [[4, 5, 6], [[3], [6]], [4, 5, 6], [np.nan] * 3, [[np.nan]] * 2]
    for result, values in zip(found, expected, strict=True):
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, values)
    with pytest.raises(ArrayElementNotAvailable, match="index 7 among 2 elements"):
        array_element(block, 7, axis=0)
    with pytest.raises(ArrayElementNotAvailable, match="'c' among"):
        array_element(block, label="c", axis=0, dim_labels=["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, ArrayElementParameterMissing),
        ({"index": 0, "label": "a"}, ArrayElementParameterConflict),
        ({"label": "a"}, ArrayNotLabeled),
        ({"index": -1}, ArrayElementNotAvailable),
        ({"index": "0"}, ProcessParameterInvalid),
        ({"index": True}, ProcessParameterInvalid),
        ({"index": 0.5}, ProcessParameterInvalid),
    ],
)
def test_what_cannot_be_found(arguments: dict[str, Any], error: type[Exception]) -> None:
    for data in ([1, 2], np.array([1, 2]), da.from_array(np.array([1, 2]))):
        with pytest.raises(error):
            array_element(data, **arguments)


def test_labels_are_numbers_texts_or_dates() -> None:
    labels = ["a", 1, "1", datetime.datetime(2020, 1, 1), np.datetime64("2020-02-01")]
    assert array_element([10, 20, 30, 40, 50], label="1", dim_labels=labels) == 30
    assert array_element([10, 20, 30, 40, 50], label=1.0, dim_labels=labels) == 20
    assert array_element([10, 20, 30, 40, 50], label="2020-01-01T00:00:00Z", dim_labels=labels) == 40
    assert array_element([10, 20, 30, 40, 50], label="2020-02-01", dim_labels=labels) == 50


def test_a_labelled_array_knows_its_labels() -> None:
    values = np.empty(2, object)
    values[:] = ["x", None]
    array = xr.DataArray(values, dims="l", coords={"l": np.array(["a", 2], object)})
    assert array_element(array, label="a") == "x"
    assert array_element(array, label=2) is None
    assert array_element(array, 0) == "x"
    assert first(array) == "x"
    assert last(array) == "x"
    assert last(array, ignore_nodata=False) is None


def test_elements_of_lists_are_what_they_are() -> None:
    block = np.ones(3)
    assert array_element([block, 5], 0) is block
    assert array_element([[1, 2], {"a": 1}], 1) == {"a": 1}
    with dask.config.set({"openeo.nan-is-nodata": False}):
        assert array_element([], 0, return_nodata=True) is None
        assert math.isnan(first([None, math.nan]))
        assert first([]) is None
    assert first([None, "a", 1]) == "a"
    assert last([math.nan, [1], None]) == [1]


@pytest.mark.parametrize("dtype", ["int16", "bool", "U3", "datetime64[ns]"])
def test_ends_of_arrays_without_gaps_are_elements(dtype: str) -> None:
    block = np.array([[0, 1], [1, 0]]).astype(dtype)
    for array in (block, da.from_array(block, chunks=1)):
        assert np.array_equal(np.asarray(first(array, axis=0)), block[0])
        assert np.array_equal(np.asarray(last(array, axis=1)), block[:, 1])
        assert first(array, axis=0, keepdims=True).dtype == block.dtype


def test_ends_skip_gaps_across_chunks() -> None:
    block = np.array([[np.nan, 1], [np.nan, np.nan], [3, np.nan], [np.nan, np.nan]])
    for array in (block, da.from_array(block, chunks=1), xr.DataArray(block, dims=("t", "x"))):
        np.testing.assert_array_equal(first(array, axis=0), [3, 1])
        np.testing.assert_array_equal(last(array, axis=0), [3, 1])
        np.testing.assert_array_equal(last(array, False, axis=0), [np.nan, np.nan])
        np.testing.assert_array_equal(first(array, axis=1), [1, np.nan, 3, np.nan])


def test_a_cube_of_integers_has_gaps_where_it_declares_them() -> None:
    cube = xr.DataArray(np.array([[0, 1], [5, 0]], np.uint8), dims=("t", "x"), attrs={"nodata": 0})
    np.testing.assert_array_equal(first(cube, axis=0), [5, 1])


def test_a_cube_keeps_its_labels() -> None:
    cube = xr.DataArray(BLOCK, dims=("t", "x"), coords={"t": ["a", "b"], "x": [1, 2, 3]}, attrs={"crs": 4326})
    found = array_element(cube, label="b", axis=0)
    assert found.dims == ("x",)
    assert found.values.tolist() == [4, 5, 6]
    missing = array_element(cube, 9, return_nodata=True, axis=1)
    assert missing.dims == ("t",)
    assert np.isnan(missing).all()
    assert missing.attrs == cube.attrs


@pytest.mark.parametrize("bad", [5, "abc", None, {}])
def test_what_is_no_array_has_no_elements(bad: Any) -> None:
    for call in (lambda: first(bad), lambda: last(bad), lambda: array_element(bad, 0)):
        with pytest.raises(ProcessParameterInvalid):
            call()


def test_positions_of_values() -> None:
    assert array_find([1, "a", 1.0, None], 1, reverse=True) == 2
    assert array_find(["a", True], 1) is None
    assert array_find([None, [1]], [1]) is None
    assert array_find([None], None) is None
    assert array_contains([1, None], None) is False
    assert array_contains(["a", [1]], "a") is True
    block = np.array([[1, np.nan, 2, 1], [3, 3, np.nan, 4]])
    for array in (block, da.from_array(block, chunks=(1, 3)), xr.DataArray(block, dims=("y", "x"))):
        with nothing_computed():
            found = [
                array_find(array, 1, axis=1),
                array_find(array, 1, True, axis=1),
                array_contains(array, 3, axis=1),
                array_contains(array, "3", axis=1),
                array_find(array, None, axis=0, keepdims=True),
            ]
        expected = [[0, np.nan], [3, np.nan], [False, True], [False, False], [[np.nan] * 4]]
        for result, values in zip(found, expected, strict=True):
            np.testing.assert_array_equal(result, values)
    assert array_contains(block, 3, axis=1).dtype == bool


def test_positions_of_labels() -> None:
    array = xr.DataArray([1.5, 2.5], dims="l", coords={"l": np.array(["a", 5], object)})
    assert array_find_label(array, "a") == 0
    assert array_find_label(array, 5) == 1
    assert array_find_label(array, "5") is None
    assert array_find_label([1, 2], 1) is None
    assert array_find_label(BLOCK, "b", axis=0, dim_labels=["a", "b"]) == 1


def test_values_are_found_element_by_element_in_lists_of_arrays() -> None:
    x, y = np.array([1, 2]), np.array([3, 1])
    assert array_contains([x, y], 1).tolist() == [True, True]
    assert array_find([x, y], 1).tolist() == [0, 1]


DATES = np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(12, "h")
OVER_TIME = xr.DataArray(np.arange(8.0).reshape(4, 2), dims=("t", "x"), coords={"t": DATES})


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize(
    ("label", "position"),
    [("2020-01-01", 0), ("2020-01-02T00:00:00Z", 2), ("2020-01-01T13:00:00+01:00", 1), ("2020-01-02", 2)],
)
def test_a_child_process_over_time_asks_for_dates(lazily: bool, label: str, position: int) -> None:
    cube = OVER_TIME.chunk({"t": 2, "x": 1}) if lazily else OVER_TIME
    element = child(e=node("array_element", data=given("data"), label=label))
    np.testing.assert_array_equal(reduce_dimension(cube, element, "t"), OVER_TIME.isel(t=position))
    found = child(e=node("array_find_label", data=given("data"), label=label))
    assert (reduce_dimension(cube, found, "t") == position).all()
    assert array_element(OVER_TIME.isel(x=0), label=label) == 2 * position


def test_labels_of_dates_are_texts_in_a_child_process() -> None:
    labels = apply_dimension(OVER_TIME, child(a=node("array_labels", data=given("data"))), "t")
    assert labels.values[:, 0].tolist() == [f"2020-01-0{d}T{h:02}:00:00Z" for d in (1, 2) for h in (0, 12)]
    condition = child(e=node("eq", x=given("label"), y="2020-01-02T00:00:00Z"))
    kept = apply_dimension(OVER_TIME, child(f=node("array_filter", data=given("data"), condition=condition)), "t")
    assert kept.values.tolist() == [[4, 5]]


def test_an_array_of_another_origin_has_an_axis_and_labels_of_its_own() -> None:
    weights = np.array([10.0, 20.0])
    weighted = child(
        w=node("array_element", data=given("context"), index=1),
        m=node("sum", data=given("data")),
        p=node("multiply", x=of("m"), y=of("w")),
    )
    for axis in ("t", "x"):
        got = reduce_dimension(OVER_TIME, weighted, axis, context=weights)
        np.testing.assert_array_equal(got, OVER_TIME.sum(axis) * 20)
    longer = child(
        a=node("array_append", data=given("data"), value=7),
        e=node("array_element", data=of("a"), label="2020-01-02"),
    )
    with pytest.raises(ArrayNotLabeled):
        reduce_dimension(OVER_TIME, longer, "t")
    doubled = child(
        a=node("add", x=given("data"), y=given("data")),
        m=node("mean", data=of("a")),
        d=node("subtract", x=of("a"), y=of("m")),
        e=node("array_element", data=of("d"), label="2020-01-02"),
    )
    np.testing.assert_array_equal(reduce_dimension(OVER_TIME, doubled, "t"), [2, 2])


@pytest.mark.parametrize("process", [first, last, lambda data, **kw: array_element(data, index=1, **kw)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_elements_are_no_views_and_their_axis_may_count_from_the_end(process: Any, keepdims: bool) -> None:
    block = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for data in (block, da.from_array(block, chunks=2), xr.DataArray(block, dims=("t", "y", "x"))):
        for axis in range(3):
            result = process(data, axis=axis, keepdims=keepdims)
            np.testing.assert_array_equal(process(data, axis=axis - 3, keepdims=keepdims), result)
            assert not np.shares_memory(np.asarray(result), block)


@pytest.mark.parametrize("process", [first, last])
def test_cubes_without_values_have_no_first_and_no_last(process: Any) -> None:
    nothing = np.empty((0, 7, 4), np.float32)
    assert np.isnan(process(nothing, ignore_nodata=False))
    assert np.isnan(process(da.from_array(nothing, chunks=(1, 3, 4)), ignore_nodata=False).compute())


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(data=st.lists(NUMBERS, max_size=6), value=NUMBERS, reverse=st.booleans())
def test_lists_of_numbers_are_searched_as_eq_compares(data: list, value: Any, reverse: bool) -> None:
    same = [position for position, element in enumerate(data) if eq(element, value) is True]
    assert array_contains(data, value) is bool(same)
    assert array_contains(tuple(data), value) is bool(same)
    expected = same[-1 if reverse else 0] if same else None
    for given_as in (data, tuple(data)):
        found = array_find(given_as, value, reverse)
        assert found == expected or (expected is None and value != value and found != found)


def test_a_program_copies_no_element_that_it_uses_up_and_keeps_no_block_for_one_that_it_returns() -> None:
    block = np.arange(24.0, dtype=np.float32).reshape(4, 3, 2)
    program = trace(child(a=node("array_element", data=given("data"), index=1)), "data")
    alone = program({"data": block}, axis=0, keepdims=False)
    np.testing.assert_array_equal(alone, block[1])
    assert not np.shares_memory(alone, block)
    assert not np.shares_memory(array_element(block, 1, axis=0), block)
    assert np.shares_memory(array_element(block, 1, axis=0, view=True), block)
