"""Sorting: numbers, dates, rows with gaps."""

from __future__ import annotations

import datetime
import math
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations.arrays import order, rearrange, sort
from openeo_processes_dask.values import labelled, labels_of, listed
from tests import strategies
from tests.laziness import nothing_computed


def ranked(row: list[Any], asc: bool, nodata: bool | None) -> list[int]:
    """Positions of one row in its order, found by Python."""
    gaps = [i for i, value in enumerate(row) if value != value]
    present = sorted((i for i in range(len(row)) if i not in gaps), key=lambda i: row[i], reverse=not asc)
    return present if nodata is None else present + gaps if nodata else gaps + present


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_rows_are_sorted_as_python_sorts_lists(data: st.DataObject) -> None:
    block = data.draw(strategies.blocks(*strategies.FLOATS, "uint8", "int32", limit=3))
    axis = data.draw(st.integers(0, block.ndim - 1))
    asc, nodata = data.draw(st.booleans()), data.draw(st.sampled_from([None, True, False]))
    rows = np.moveaxis(block, axis, -1)
    positions = np.full(rows.shape, np.nan)
    for index in np.ndindex(rows.shape[:-1]):
        found = ranked(rows[index].tolist(), asc, nodata)
        positions[index][: len(found)] = found
    expected = np.take_along_axis(rows, np.nan_to_num(positions).astype(int), -1).astype(float)
    expected[np.isnan(positions)] = np.nan
    result = sort(block, asc, nodata, axis=axis)
    assert result.dtype == block.dtype
    np.testing.assert_array_equal(np.moveaxis(result, axis, -1), expected)
    permutation = order(block, asc, nodata, axis=axis)
    np.testing.assert_array_equal(np.moveaxis(permutation, axis, -1), positions)
    np.testing.assert_array_equal(rearrange(block, permutation, axis=axis), result)
    cut = data.draw(strategies.chunked(block))
    with nothing_computed():
        lazily = [sort(cut, asc, nodata, axis=axis), order(cut, asc, nodata, axis=axis)]
        lazily.append(rearrange(cut, lazily[1], axis=axis))
    for found, wanted in zip(lazily, (result, permutation, result), strict=True):
        assert found.dtype == wanted.dtype or found.dtype.kind == wanted.dtype.kind == "f"
        np.testing.assert_array_equal(found, wanted)


def test_one_row_alone_loses_its_gaps() -> None:
    row = np.array([3, np.nan, 1])
    assert sort(row).tolist() == [1, 3]
    assert order(row).tolist() == [2, 0]
    assert sort([3, None, 1]) == [1, 3]


def test_equal_elements_keep_their_order() -> None:
    assert order([1, 2, 1, 2], asc=False) == [1, 3, 0, 2]
    assert order(np.array([1, 2, 1, 2]), asc=False).tolist() == [1, 3, 0, 2]
    assert order(np.array([1.0, 2, 1, 2]), asc=False).tolist() == [1, 3, 0, 2]


def test_dates_are_sorted_by_instant() -> None:
    dates = ["2020-01-01T02:00:00+03:00", "2019-12-31", "2020-01-01T00:00:00Z", None]
    assert order(dates) == [1, 0, 2]
    assert sort(dates, asc=False, nodata=True) == [dates[2], dates[0], dates[1], None]
    moments = [datetime.datetime(2020, 1, 2), datetime.datetime(2020, 1, 1)]
    assert sort(moments) == moments[::-1]


def test_nan_that_is_a_number_comes_after_all_others() -> None:
    with dask.config.set({"openeo.nan-is-nodata": False}):
        assert order([math.nan, 2, None, 1], nodata=True) == [3, 1, 0, 2]


def test_labels_move_with_their_elements() -> None:
    array = labelled([3, None, 1], ["a", "b", 7])
    result = sort(array, nodata=False)
    assert (listed(result), labels_of(result)) == ([None, 1, 3], ["b", 7, "a"])
    moved = rearrange(array, [2, 0])
    assert (listed(moved), labels_of(moved)) == ([1, 3], [7, "a"])


def test_all_rows_can_be_rearranged_alike() -> None:
    block = np.array([[1, 2, 3], [4, 5, 6]])
    for array in (block, da.from_array(block, chunks=(1, 2))):
        np.testing.assert_array_equal(rearrange(array, [2, 0], axis=1), block[:, [2, 0]])
        for positions in (np.array([1, 1]), np.array([1.0, 1.0]), da.from_array(np.array([1, 1]), chunks=1)):
            with nothing_computed():
                moved = rearrange(array, positions, axis=0)
            np.testing.assert_array_equal(moved, block[[1, 1]])
    assert rearrange(["a", None, [1]], [2, 1, 0, 0]) == [[1], None, "a", "a"]


def test_what_cannot_be_sorted() -> None:
    calls = [
        lambda: sort([1, "2020-01-01"]),
        lambda: sort(["abc"]),
        lambda: sort([True]),
        lambda: sort([[1]]),
        lambda: order(5),
        lambda: sort("abc"),
        lambda: sort(np.ones((2, 2))),
        lambda: order(np.array([["a"]]), axis=0),
        lambda: rearrange([1, 2], [2]),
        lambda: rearrange([1, 2], [-1]),
        lambda: rearrange([1, 2], ["a"]),
        lambda: rearrange([1, 2], 5),
        lambda: rearrange(None, [0]),
        lambda: rearrange(np.ones(2), [5]),
    ]
    for call in calls:
        with pytest.raises(ProcessParameterInvalid):
            call()


@pytest.mark.parametrize("nodata", [None, True, False])
@pytest.mark.parametrize("asc", [True, False])
def test_nothing_has_an_order_too(asc: bool, nodata: bool | None) -> None:
    for block in (np.empty((3, 0), np.float32), np.empty((3, 0), np.uint8)):
        for data in (block, da.from_array(block, chunks=2)):
            assert np.asarray(order(data, asc=asc, nodata=nodata, axis=1)).shape == (3, 0)
            assert np.asarray(sort(data, asc=asc, nodata=nodata, axis=1)).shape == (3, 0)
