"""Comparisons: types count among plain values, and arrays are compared value by value."""

from __future__ import annotations

import datetime
import math

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.process_implementations import comparison
from tests import oracles, strategies
from tests.laziness import nothing_computed

COMPARISONS = ("eq", "neq", "gt", "gte", "lt", "lte")
KINDS = ("is_infinite", "is_nan", "is_nodata", "is_valid")
quick = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize("name", [*COMPARISONS, *KINDS, "between"])
@given(data=st.data())
@quick
def test_comparisons_of_arrays_equal_their_oracles(name: str, data: st.DataObject) -> None:
    shape = data.draw(strategies.SHAPES)
    kinds = (*strategies.FLOATS, "uint8", "int16", "int64")
    block, other = (data.draw(strategies.blocks(*kinds, shape=shape, limit=3)) for _ in range(2))
    values = (block,) if name in KINDS else (block, -1, 2) if name == "between" else (block, other)
    process = DECLARED[name].function
    result = process(*values)
    expected = oracles.ELEMENTWISE[name](*(np.asarray(v, np.float64) for v in values))
    np.testing.assert_array_equal(np.asarray(result, np.float64), np.asarray(expected, np.float64))
    gapless = name in KINDS or all(np.asarray(v).dtype.kind != "f" for v in values)
    assert result.dtype == (np.bool_ if gapless else np.float32)
    cut = [data.draw(strategies.chunked(v)) if isinstance(v, np.ndarray) else v for v in values]
    with nothing_computed():
        lazily = process(*cut)
    assert lazily.dtype == result.dtype
    np.testing.assert_array_equal(lazily.compute(), result)


PLAIN = [None, True, False, 0, 1, 1.0, -2.5, math.inf, -math.inf, "", "a", "A", "1", [], [1], {}, {"a": 1}, 10**400]
PLAIN += [datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)]


@pytest.mark.parametrize("name", [*COMPARISONS, "between"])
def test_any_two_values_can_be_compared(name: str) -> None:
    for x in PLAIN:
        for y in PLAIN:
            result = DECLARED[name].function(x, y, y) if name == "between" else DECLARED[name].function(x, y)
            assert result in (True, False, None), (x, y)
            assert type(result) in (bool, type(None)), (x, y)


def test_types_count() -> None:
    assert comparison.eq(1, 1.0) is True
    assert comparison.eq(1, True) is False
    assert comparison.eq(1, "1") is False
    assert comparison.eq(True, True) is True
    assert comparison.neq([1], [1]) is True
    assert comparison.gte("a", "a") is True
    assert comparison.gte("b", "a") is False
    assert comparison.gt(True, False) is False
    assert comparison.eq(np.float32(1), 1) is True


@pytest.mark.parametrize("nan_is_nodata", [True, False])
def test_the_setting_says_what_nan_is(nan_is_nodata: bool) -> None:
    with dask.config.set({"openeo.nan-is-nodata": nan_is_nodata}):
        compared = comparison.gt(math.nan, 1)
        assert math.isnan(compared) if nan_is_nodata else compared is False
        assert comparison.is_nodata(math.nan) is nan_is_nodata
    assert comparison.is_nan(math.nan) is True
    assert comparison.is_valid(math.nan) is False


def test_arrays_can_be_compared_with_anything() -> None:
    block = np.array([1, 2], np.int16)
    assert comparison.eq(block, "a").tolist() == [0, 0]
    assert comparison.neq(block, "a").tolist() == [1, 1]
    assert comparison.gt(block, True).tolist() == [0, 0]
    assert comparison.eq(block, [1, 2]).tolist() == [0, 0]
    assert np.isnan(comparison.eq(block, None)).all()
    assert np.isnan(comparison.lt(da.from_array(block), None).compute()).all()
    texts = np.array(["a", "B"])
    assert comparison.eq(texts, "b", case_sensitive=False).tolist() == [0, 1]
    mixed = np.array(["a", 1, None, True], object)
    np.testing.assert_array_equal(comparison.eq(mixed, 1), [0, 1, np.nan, 0])
    assert comparison.is_nodata(mixed).tolist() == [False, False, True, False]
    assert comparison.is_valid(mixed).tolist() == [True, True, False, True]
    dates = np.array(["2020-01-01", "NaT"], "datetime64[ns]")
    assert comparison.is_nodata(dates).tolist() == [False, True]
    np.testing.assert_array_equal(comparison.between(mixed, 0, 2), [0, 1, np.nan, 0])


def test_truth_values_of_cubes_can_be_told_from_each_other() -> None:
    held = comparison.gt(np.array([1.0, np.nan, 3.0]), 2)
    np.testing.assert_array_equal(comparison.eq(held, True), [0, np.nan, 1])
    assert comparison.eq(np.array([True, False]), False).tolist() == [False, True]


def test_a_difference_can_be_allowed() -> None:
    block = np.array([1, 10], np.uint8)
    assert comparison.eq(block, 3, delta=2).tolist() == [True, False]
    assert comparison.neq(block, 3, delta=2).tolist() == [False, True]
    assert comparison.eq(1.02, 1, delta=0.01) is False
    assert comparison.eq(1, 2, delta=-5) is False
    assert comparison.eq(10**400, 0.5, delta=1) is False


def test_unsigned_and_large_integers_compare_exactly() -> None:
    assert comparison.gt(np.array([2**63], np.uint64), np.array([-1])).tolist() == [True]
    assert comparison.eq(np.array([200], np.uint8), 456).tolist() == [False]


def test_lists_are_single_values_and_arrays_are_not() -> None:
    assert comparison.is_nodata([None]) is False
    assert comparison.is_valid([None]) is True
    assert comparison.is_nan([math.nan]) is False
    assert comparison.is_infinite({"a": math.inf}) is False
    assert comparison.is_infinite(True) is False


def test_what_is_no_data_in_a_cube_is_what_the_cube_declares() -> None:
    cube = xr.DataArray(np.array([0, 1], np.uint8), dims="x", attrs={"nodata": 0})
    assert comparison.is_nodata(cube).values.tolist() == [True, False]
    assert comparison.is_valid(cube).values.tolist() == [False, True]
    np.testing.assert_array_equal(comparison.gte(cube, 1), [np.nan, 1])


def test_between_bounds_that_are_not_numbers() -> None:
    assert comparison.between(5, None, 10) is None
    assert comparison.between(5, None, 1) is False
    assert comparison.between(5, 10, 1) is False
    assert comparison.between(5, math.nan, 10) is False
    assert comparison.between(np.array([5.0, np.nan]), 10, 1).tolist()[0] == 0
