"""Building arrays: lists of any values, labelled arrays, and rows of numbers."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.exceptions import (
    ArrayElementNotAvailable,
    ArrayLabelConflict,
    ArrayLengthMismatch,
    ArrayNotLabeled,
    LabelExists,
    ProcessParameterInvalid,
)
from openeo_processes_dask.process_implementations.arrays import (
    array_append,
    array_concat,
    array_create,
    array_create_labeled,
    array_labels,
    array_modify,
)
from openeo_processes_dask.values import labelled, labels_of, listed
from tests.laziness import nothing_computed

MIXED = [1, "a", None, [1, 2], {"b": 1}, True, math.inf]
LABELLED = labelled([1, "x"], ["a", 5])
ROWS = np.array([[1, 2, 3], [4, 5, 6]], np.int16)


def told(array: Any) -> tuple[list[Any], list[Any] | None]:
    return listed(array), labels_of(array)


def test_lists_hold_values_of_any_type() -> None:
    assert array_append(MIXED, "3") == [*MIXED, "3"]
    assert array_concat(MIXED, [None]) == [*MIXED, None]
    assert array_create(MIXED, 2) == MIXED * 2
    assert array_modify(MIXED, [0, [5]], 1, 2) == [1, 0, [5], *MIXED[3:]]
    assert array_create() == []
    assert array_labels(MIXED) == [0, 1, 2, 3, 4, 5, 6]
    assert len(MIXED) == 7


def test_labels_are_numbers_and_texts_side_by_side() -> None:
    assert told(array_append(LABELLED, None, "5")) == ([1, "x", None], ["a", 5, "5"])
    assert told(array_append(LABELLED, [1])) == ([1, "x", [1]], ["a", 5, 2])
    assert array_labels(LABELLED) == ["a", 5]
    assert told(array_concat(LABELLED, labelled([2], ["b"]))) == ([1, "x", 2], ["a", 5, "b"])
    assert array_concat(LABELLED, [2]) == [1, "x", 2]
    assert told(array_create_labeled([1, "x"], ["a", 5])) == told(LABELLED)
    assert told(array_create_labeled(np.array([1, 2]), np.array(["a", "b"]))) == ([1, 2], ["a", "b"])
    assert told(array_create_labeled([], [])) == ([], [])


def test_modified_arrays_keep_labels_if_both_have_them_or_one_is_empty() -> None:
    assert told(array_modify(LABELLED, [], 0, 1)) == (["x"], [5])
    assert told(array_modify([], LABELLED, 0)) == ([1, "x"], ["a", 5])
    assert told(array_modify(LABELLED, labelled([2], ["b"]), 1)) == ([1, 2, "x"], ["a", "b", 5])
    assert array_modify(LABELLED, [2], 1) == [1, 2, "x"]
    with pytest.raises(ArrayLabelConflict):
        array_modify(LABELLED, labelled([2], ["a"]), 0)


def test_what_cannot_be_built() -> None:
    with pytest.raises(LabelExists):
        array_append(LABELLED, 1, 5.0)
    with pytest.raises(LabelExists):
        array_append(labelled([1], [1]), 2)
    with pytest.raises(ArrayNotLabeled):
        array_append([1], 1, "a")
    with pytest.raises(ArrayLabelConflict):
        array_concat(LABELLED, labelled([2], ["a"]))
    with pytest.raises(ArrayLengthMismatch):
        array_create_labeled([1, 2], ["a"])
    with pytest.raises(ArrayElementNotAvailable):
        array_modify([1], [2], 2)
    for call in (
        lambda: array_create_labeled([1, 2], ["a", "a"]),
        lambda: array_create_labeled([1, 2], 5),
        lambda: array_create([1], 0),
        lambda: array_create(5),
        lambda: array_append("abc", 1),
        lambda: array_append(None, 1),
        lambda: array_concat([1], 5),
        lambda: array_modify([1], [2], -1),
        lambda: array_modify([1], [2], 0.5),
        lambda: array_modify([1], 5, 0),
        lambda: array_labels(7),
        lambda: array_append(np.ones(2), "a"),
    ):
        with pytest.raises(ProcessParameterInvalid):
            call()


@pytest.mark.parametrize("lazily", [False, True])
def test_rows_of_numbers_are_built_along_their_axis(lazily: bool) -> None:
    rows = da.from_array(ROWS, chunks=(1, 2)) if lazily else ROWS
    total = rows.sum(axis=1, keepdims=True)
    with nothing_computed():
        built = [
            array_append(rows, 9, axis=1),
            array_append(rows, None, axis=1),
            array_append(rows, total, axis=1),
            array_append(rows, total[:, 0], axis=1),
            array_concat(rows, rows, axis=1),
            array_concat(rows, [7, 8.5], axis=1),
            array_create(rows, 2, axis=0),
            array_create([total, 0, total], axis=1),
            array_modify(rows, [0], 1, 1, axis=1),
            array_modify(rows, rows, 3, axis=1),
            array_create_labeled(rows, ["a", "b", "c"], axis=1),
        ]
    sums = ROWS.sum(axis=1, keepdims=True)
    nine, gap = np.full((2, 1), 9), np.full((2, 1), np.nan)
    expected = [
        np.hstack([ROWS, nine]),
        np.hstack([ROWS, gap]),
        np.hstack([ROWS, sums]),
        np.hstack([ROWS, sums]),
        np.hstack([ROWS, ROWS]),
        np.hstack([ROWS, np.full((2, 1), 7), np.full((2, 1), 8.5)]),
        np.vstack([ROWS, ROWS]),
        np.hstack([sums, np.zeros((2, 1)), sums]),
        np.hstack([ROWS[:, :1], np.zeros((2, 1)), ROWS[:, 2:]]),
        np.hstack([ROWS, ROWS]),
        ROWS,
    ]
    for result, values in zip(built, expected, strict=True):
        assert isinstance(result, da.Array) == lazily
        np.testing.assert_array_equal(result, values)
    assert built[0].dtype == np.int16
    assert built[1].dtype == np.float32


def test_rows_have_the_labels_of_their_dimension() -> None:
    assert array_labels(ROWS, axis=1, dim_labels=["a", "b", "c"]) == ["a", "b", "c"]
    assert array_labels(ROWS, axis=1) == [0, 1, 2]
    assert array_append(ROWS, 1, "d", axis=1, dim_labels=["a", "b", "c"]).shape == (2, 4)
    with pytest.raises(LabelExists):
        array_append(ROWS, 1, "c", axis=1, dim_labels=["a", "b", "c"])
    with pytest.raises(ArrayNotLabeled):
        array_append(ROWS, 1, "c", axis=1)
    with pytest.raises(ArrayLengthMismatch):
        array_create_labeled(ROWS, ["a"], axis=1)


def test_a_labelled_array_is_not_changed() -> None:
    array = xr.DataArray([1.5, 2.5], dims="l", coords={"l": ["a", "b"]})
    assert told(array_append(array, None, "c")) == ([1.5, 2.5, None], ["a", "b", "c"])
    assert array.values.tolist() == [1.5, 2.5]
