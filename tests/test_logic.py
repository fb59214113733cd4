"""Logic of three values, on plain values and on arrays."""

from __future__ import annotations

import itertools
import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations import logic
from tests import oracles
from tests.laziness import nothing_computed

TRUTHS = (True, False, None)


def as_number(truth: bool | None) -> float:
    return math.nan if truth is None else float(truth)


@pytest.mark.parametrize("name", ["and", "or", "xor", "not"])
def test_the_truth_tables_hold_for_values_and_for_arrays(name: str) -> None:
    process = DECLARED[name].function
    for given in itertools.product(TRUTHS, repeat=1 if name == "not" else 2):
        result = process(*given)
        floats = [np.array([as_number(truth)]) for truth in given]
        expected = oracles.ELEMENTWISE[name](*floats)
        np.testing.assert_array_equal([as_number(result)], expected)
        assert result in TRUTHS
        held = process(*floats)
        assert held.dtype == np.float32
        np.testing.assert_array_equal(held, expected)
        with nothing_computed():
            lazily = process(*(da.from_array(block) for block in floats))
        np.testing.assert_array_equal(lazily, expected)
        if None not in given:
            for kind in (np.bool_, np.uint8):
                gapless = process(*(np.array([truth], kind) for truth in given))
                assert gapless.dtype == np.bool_
                assert gapless.tolist() == [result]


def test_values_and_arrays_may_be_mixed() -> None:
    block = np.array([1, 0, np.nan])
    np.testing.assert_array_equal(logic.and_(block, True), [1, 0, np.nan])
    np.testing.assert_array_equal(logic.and_(None, block), [np.nan, 0, np.nan])
    np.testing.assert_array_equal(logic.or_(block, None), [1, np.nan, np.nan])
    cube = xr.DataArray(block, dims="x")
    np.testing.assert_array_equal(logic.not_(cube), [0, 1, np.nan])


@pytest.mark.parametrize("bad", [1, "true", [True], {}, np.array(["a"])], ids=repr)
def test_what_is_no_truth_value_is_refused(bad: Any) -> None:
    for call in (lambda: logic.and_(True, bad), lambda: logic.not_(bad), lambda: logic.xor(bad, None)):
        with pytest.raises(ProcessParameterInvalid, match="a truth value is needed"):
            call()
    with pytest.raises(ProcessParameterInvalid):
        logic.any_([False, bad])
    with pytest.raises(ProcessParameterInvalid):
        logic.all_(5)


def test_numbers_that_come_out_of_arrays_may_be_truth_values() -> None:
    held = np.array([1, 0], np.float32)
    assert logic.and_(held[0], True) is True
    assert logic.not_(held[1]) is True
    assert logic.any_([held[0], held[1]]) is True


@pytest.mark.parametrize(
    ("data", "ignore_nodata", "every", "some"),
    [
        ([], True, True, False),
        ([None], True, True, False),
        ([None, None], False, True, False),
        ([True, None], True, True, True),
        ([True, None], False, None, True),
        ([False, None], False, False, None),
        ([False, True], False, False, True),
    ],
)
def test_all_and_any(data: list[Any], ignore_nodata: bool, every: bool | None, some: bool | None) -> None:
    assert logic.all_(data, ignore_nodata) is every
    assert logic.any_(data, ignore_nodata) is some
    block = np.array([as_number(truth) for truth in data])[:, None]
    for array in (block, da.from_array(block, chunks=1)):
        np.testing.assert_array_equal(logic.all_(array, ignore_nodata, axis=0), [as_number(every)])
        np.testing.assert_array_equal(logic.any_(array, ignore_nodata, axis=0), [as_number(some)])


def test_if_takes_only_true() -> None:
    assert logic.if_(True, "A", "B") == "A"
    assert logic.if_(None, "A", "B") == "B"
    assert logic.if_(False, "A") is None
    assert logic.if_(1, "A", "B") == "B"
    assert logic.if_(np.True_, [1], [2]) == [1]


def test_if_chooses_for_each_value_of_an_array() -> None:
    value = np.array([True, False])
    small = np.array([3, 4], np.uint8)
    assert logic.if_(value, small, 7).dtype == np.uint8
    assert logic.if_(value, small, 300).tolist() == [3, 300]
    assert logic.if_(value, small, 300).dtype == np.int64
    assert logic.if_(value, small).dtype == np.float32
    np.testing.assert_array_equal(logic.if_(value, small), [3, np.nan])
    assert logic.if_(value, np.float32([1, 2]), 0.1).dtype == np.float32
    np.testing.assert_array_equal(logic.if_(np.array([1.0, np.nan, 0]), 1, 2), [1, 2, 2])
    with nothing_computed():
        lazily = logic.if_(da.from_array(value, chunks=1), da.from_array(small, chunks=1), None)
    assert lazily.dtype == np.float32
    np.testing.assert_array_equal(lazily, [3, np.nan])
    with pytest.raises(ProcessParameterInvalid):
        logic.if_(value, [1, 2], 3)
    cube = xr.DataArray(small, dims="x", coords={"x": [1, 2]})
    assert logic.if_(xr.DataArray(value, dims="x", coords={"x": [1, 2]}), cube, 0).values.tolist() == [3, 0]


@pytest.mark.parametrize("given", [np.array(1), np.int8(2), np.float32(0.5), np.array(True), np.bool_(True)])
def test_a_number_out_of_an_array_is_as_true_to_if_as_to_and(given: Any) -> None:
    assert logic.if_(given, "yes", "no") == "yes"
    assert logic.and_(given, True) is True
    assert logic.if_(type(given)(0) if isinstance(given, np.generic) else np.array(0), "yes", "no") == "no"
    assert logic.if_(np.float64("nan"), "yes", "no") == "no"
    assert logic.if_(1, "yes", "no") == "no"  # a plain number is no truth value
