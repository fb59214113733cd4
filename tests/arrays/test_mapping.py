"""Mapping arrays: processes on elements, filters, interpolation."""

from __future__ import annotations

import math
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations.arrays import array_apply, array_filter, array_interpolate_linear
from openeo_processes_dask.process_implementations.math import absolute
from openeo_processes_dask.values import labelled, labels_of, listed
from tests import strategies
from tests.laziness import nothing_computed

BLOCK = np.array([[1, np.nan, 3], [-4, 5, np.nan]], np.float32)


def call(process: str, **arguments: Any) -> dict[str, Any]:
    parameters = {k: {"from_parameter": v[1:]} if str(v).startswith("$") else v for k, v in arguments.items()}
    return {"process_graph": {"node": {"process_id": process, "arguments": parameters, "result": True}}}


def test_a_process_on_each_element_of_a_list() -> None:
    assert array_apply([1, -2, None], call("absolute", x="$x")) == [1, 2, None]
    assert array_apply([1, 2], call("multiply", x="$x", y="$context"), context=2.5) == [2.5, 5]
    assert array_apply(["a", "b"], call("constant", x="$index")) == [0, 1]
    assert array_apply([1, 2], call("constant", x="$label")) == [None, None]
    assert array_apply([-1], absolute) == [1]
    assert array_apply([4], lambda x: x + 1) == [5]
    assert array_apply([], absolute) == []


def test_labels_stay() -> None:
    result = array_apply(labelled([1, -2], ["a", 7]), call("constant", x="$label"))
    assert (listed(result), labels_of(result)) == (["a", 7], ["a", 7])


@pytest.mark.parametrize("lazily", [False, True])
def test_a_process_on_each_element_of_rows(lazily: bool) -> None:
    block = da.from_array(BLOCK, chunks=(1, 2)) if lazily else BLOCK
    labels = [10, 20, 40]
    with nothing_computed():
        results = [
            array_apply(block, call("absolute", x="$x"), axis=1),
            array_apply(block, call("add", x="$x", y="$index"), axis=1),
            array_apply(block, call("multiply", x="$x", y="$label"), axis=1, dim_labels=labels),
            array_apply(block, call("constant", x="$index"), axis=0),
            array_apply(block, call("gt", x="$x", y=2), axis=0),
            array_apply(block, call("eq", x="$label", y="b"), axis=1, dim_labels=["a", "b", "c"]),
        ]
    expected = [
        np.abs(BLOCK),
        BLOCK + np.arange(3),
        BLOCK * labels,
        [[0, 0, 0], [1, 1, 1]],
        np.where(np.isnan(BLOCK), np.nan, BLOCK > 2),
        [[0, 1, 0]] * 2,
    ]
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, values)


def test_a_process_on_elements_costs_one_task_a_chunk() -> None:
    process = call("absolute", x="$x")
    lazily = array_apply(da.from_array(BLOCK, chunks=1), process, axis=0)
    assert len(lazily.dask.layers[lazily.name]) == 6


def test_elements_of_lists_are_kept_where_a_condition_is_true() -> None:
    assert array_filter([1, -2, 3.5, None], call("gt", x="$x", y=1)) == [3.5]
    assert array_filter(["a", "b", "c"], call("lt", x="$index", y=2)) == ["a", "b"]
    result = array_filter(labelled([1, None], ["a", 7]), call("eq", x="$label", y=7))
    assert (listed(result), labels_of(result)) == ([None], [7])
    assert array_filter([1, 2], call("subtract", x="$x", y=0)) == []


@pytest.mark.parametrize("lazily", [False, True])
def test_rows_keep_their_length_unless_index_or_label_decides(lazily: bool) -> None:
    block = da.from_array(BLOCK, chunks=(1, 2)) if lazily else BLOCK
    with nothing_computed():
        by_value = array_filter(block, call("gt", x="$x", y=2), axis=1)
        by_index = array_filter(block, call("gte", x="$index", y=1), axis=1)
        by_label = array_filter(block, call("neq", x="$label", y="b"), axis=1, dim_labels=["a", "b", "c"])
    np.testing.assert_array_equal(by_value, [[np.nan, np.nan, 3], [np.nan, 5, np.nan]])
    np.testing.assert_array_equal(by_index, BLOCK[:, 1:])
    np.testing.assert_array_equal(by_label, BLOCK[:, [0, 2]])
    assert array_filter(np.array([1, 5], np.uint8), call("gt", x="$x", y=2)).dtype == np.float32


# --- interpolation


def interpolated(row: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What numpy makes of one row, where it is between two values."""
    valid = ~np.isnan(row)
    if valid.sum() < 2:
        return row
    places = np.nonzero(valid)[0]
    inside = (np.arange(len(row)) >= places[0]) & (np.arange(len(row)) <= places[-1])
    return np.where(inside, np.interp(x, x[valid], row[valid]), np.nan)


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_gaps_are_filled_as_numpy_does_it(data: st.DataObject) -> None:
    block = data.draw(strategies.blocks(limit=100))
    axis = data.draw(st.integers(0, block.ndim - 1))
    steps = data.draw(st.lists(st.integers(1, 9), min_size=block.shape[axis], max_size=block.shape[axis]))
    labels = data.draw(st.sampled_from([None, np.cumsum(steps).tolist()]))
    x = np.arange(block.shape[axis]) if labels is None else np.array(labels)
    before = block.copy()
    result = array_interpolate_linear(block, axis=axis, dim_labels=labels)
    expected = np.apply_along_axis(interpolated, axis, block.astype(float), x)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)
    assert result.dtype == block.dtype
    np.testing.assert_array_equal(block, before)
    cut = data.draw(strategies.chunked(block))
    with nothing_computed():
        lazily = array_interpolate_linear(cut, axis=axis, dim_labels=labels)
    np.testing.assert_array_equal(lazily, result)


def test_labels_say_how_far_apart_elements_are() -> None:
    row = np.array([0, np.nan, 4.0])
    dates = np.array(["2020-01-01", "2020-01-02", "2020-01-05"], "datetime64[ns]")
    for labels in ([0, 1, 4], list(dates), dates.astype(int).tolist(), [10, 9, 6], [0.0, 0.25, 1.0]):
        assert array_interpolate_linear(row, dim_labels=labels).tolist() == [0, 1, 4]
    for labels in (None, ["a", "b", "c"], [1, 1, 2], [3, 1, 2], [0, math.nan, 1]):
        assert array_interpolate_linear(row, dim_labels=labels).tolist() == [0, 2, 4]
    cube = xr.DataArray(np.array([0, np.nan, 4.0]), dims="x", coords={"x": [0, 1, 4]})
    assert listed(array_interpolate_linear(cube)) == [0, 1, 4]


def test_lists_keep_what_is_no_gap_as_it_is() -> None:
    with dask.config.set({"openeo.nan-is-nodata": False}):
        result = array_interpolate_linear([None, 1, math.nan, 4, None])
    assert result == [None, 1, 2.5, 4, None]
    assert type(result[1]) is int
    assert array_interpolate_linear([]) == []
    infinite = array_interpolate_linear([-math.inf, None, 1, None, math.inf])
    assert infinite == [-math.inf, -math.inf, 1, math.inf, math.inf]


def test_integers_have_no_gaps() -> None:
    block = np.array([1, 2, 3], np.int16)
    assert array_interpolate_linear(block).dtype == np.int16
    cube = xr.DataArray(np.array([[1, 0, 3]], np.uint8), dims=("y", "x"), attrs={"nodata": 0})
    assert array_interpolate_linear(cube, axis=1).values.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("bad", [5, None, "abc", ["a"], [True], np.array([["a"]]), np.ones((2, 2))], ids=repr)
def test_what_cannot_be_interpolated(bad: Any) -> None:
    with pytest.raises(ProcessParameterInvalid):
        array_interpolate_linear(bad)


@pytest.mark.parametrize("bad", [5, None, "abc"], ids=repr)
def test_what_has_no_elements(bad: Any) -> None:
    for process in (array_apply, array_filter):
        with pytest.raises(ProcessParameterInvalid):
            process(bad, call("absolute", x="$x"))
