"""Rounding: halves to even, whole numbers untouched, infinity kept."""

from __future__ import annotations

import math
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations import math as maths
from tests.laziness import nothing_computed

KERNELS = {"ceil": np.ceil, "floor": np.floor, "int": np.trunc}


@pytest.mark.parametrize("name", KERNELS)
def test_numbers_and_arrays_agree(name: str) -> None:
    numbers = [0, 1.5, -1.5, 0.4, -0.4, 2, 1e300, math.inf, -math.inf]
    process = DECLARED[name].function
    expected = KERNELS[name](np.array(numbers))
    np.testing.assert_array_equal([process(number) for number in numbers], expected)
    np.testing.assert_array_equal(process(np.array(numbers)), expected)
    with nothing_computed():
        lazily = process(da.from_array(np.array(numbers[:5], np.float32)))
    assert lazily.dtype == np.float32
    np.testing.assert_array_equal(lazily, expected[:5])
    assert type(process(1.5)) is int


@pytest.mark.parametrize("name", [*KERNELS, "round"])
def test_whole_numbers_stay_as_they_are(name: str) -> None:
    block = np.array([3, 4], np.uint8)
    assert DECLARED[name].function(block).dtype == np.uint8
    assert DECLARED[name].function(10**30) == 10**30
    assert DECLARED[name].function(None) is None


def test_nan_has_no_whole_part() -> None:
    with dask.config.set({"openeo.nan-is-nodata": False}):
        assert maths.int_(math.nan) is None
        assert math.isnan(maths.floor(math.nan))
    assert math.isnan(maths.int_(math.nan))
    assert np.isnan(maths.int_(np.array([np.nan]))[0])


@given(st.floats(-1e6, 1e6), st.integers(-4, 6))
@settings(max_examples=200, deadline=None)
def test_rounding_equals_numpy(x: float, p: int) -> None:
    expected = float(np.round(x, p))
    assert maths.round_(x, p) == expected
    assert maths.round_(np.array([x]), p).tolist() == [expected]


@given(st.integers(-(2**40), 2**40), st.integers(-6, 2))
@settings(max_examples=100, deadline=None)
def test_whole_numbers_are_rounded_exactly(x: int, p: int) -> None:
    expected = round(x, min(p, 0))
    assert maths.round_(x, p) == expected
    result = maths.round_(np.array([x]), p)
    assert result.tolist() == [expected]
    assert result.dtype == np.int64


def test_digits_that_do_not_exist() -> None:
    assert maths.round_(1.5, 400) == 1.5
    assert maths.round_(1.5, -400) == 0
    assert maths.round_(1e300, 20) == 1e300
    block = np.array([1.5, np.inf, np.nan])
    np.testing.assert_array_equal(maths.round_(block, 400), block)
    np.testing.assert_array_equal(maths.round_(block, -400), [0, np.inf, np.nan])
    np.testing.assert_array_equal(maths.round_(np.array([1e300]), 20), [1e300])
    assert maths.round_(np.array([5]), -30).tolist() == [0]
    assert maths.round_(da.from_array(np.array([1.25, 2.75])), 1).compute().tolist() == [1.2, 2.8]


@pytest.mark.parametrize("p", [0.5, "1", None, True, math.nan, math.inf, [1]], ids=repr)
def test_digits_are_a_whole_number(p: Any) -> None:
    with pytest.raises(ProcessParameterInvalid):
        maths.round_(1.5, p)
