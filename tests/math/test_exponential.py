"""Powers and logarithms: numbers and arrays agree, and what has no value is NaN."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pytest

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations import math as maths
from tests.laziness import nothing_computed

NUMBERS = [0, 1, -1, 2, 0.5, -0.5, 3.7, 10, 1000, -1000, math.inf, -math.inf, math.nan]
FUNCTIONS = {"exp": np.exp, "ln": np.log, "sqrt": np.sqrt}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_equal_those_of_numpy_on_numbers_and_arrays(name: str) -> None:
    process = DECLARED[name].function
    block = np.array(NUMBERS)
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name](block)
    found = [process(number) for number in NUMBERS]
    assert all(type(value) is float for value in found)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(process(block), expected)
    with nothing_computed():
        lazily = process(da.from_array(block, chunks=4))
    np.testing.assert_array_equal(lazily, expected)
    assert process(None) is None
    with pytest.raises(ProcessParameterInvalid, match=f"{name}: "):
        process("1")


@pytest.mark.parametrize("name", [*FUNCTIONS, "log", "power"])
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", "float32"), ("uint8", "float32"), ("int16", "float32"), ("int32", "float64"), ("bool", "float32")],
)
def test_types(name: str, dtype: str, expected: str) -> None:
    rest = (3,) if name in ("log", "power") else ()
    block = np.ones(2, dtype)
    assert DECLARED[name].function(block, *rest).dtype == expected
    assert DECLARED[name].function(da.from_array(block), *rest).dtype == expected


@pytest.mark.parametrize("base", [2, 10, 3, 0.5, 1, 0, -2, math.inf, math.nan])
@pytest.mark.parametrize("x", [1, 8, 1000, 0, -1, 0.125, math.inf, math.nan])
def test_logarithms_of_numbers_and_arrays_agree(x: Any, base: Any) -> None:
    number = maths.log(x, base)
    np.testing.assert_allclose(maths.log(np.array([float(x)]), base), [number], rtol=1e-13)
    np.testing.assert_allclose(maths.log(x, np.array([float(base)])), [number], rtol=1e-13)


def test_logarithms_are_exact_where_they_can_be() -> None:
    assert maths.log(1000, 10) == 3
    assert maths.log(np.array([8.0]), 2).tolist() == [3]


@pytest.mark.parametrize("p", [0, 1, 2, -1, 0.5, math.inf, -math.inf])
@pytest.mark.parametrize("base", [0, 1, -1, 2, -8, 0.5, math.inf, -math.inf])
def test_powers_of_numbers_and_arrays_agree(base: Any, p: Any) -> None:
    if (base, p) == (-math.inf, 0.5):
        pytest.skip("numpy takes a square root in some places")
    number = maths.power(base, p)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(number, np.power(float(base), float(p)))
    np.testing.assert_array_equal(maths.power(np.array([float(base)]), p), [number])
    np.testing.assert_array_equal(maths.power(base, np.array([float(p)])), [number])


def test_powers_of_gaps_are_gaps() -> None:
    block = np.array([np.nan, 1, 2], np.float32)
    np.testing.assert_array_equal(maths.power(block, 0), [np.nan, 1, 1])
    np.testing.assert_array_equal(maths.power(1, block), [np.nan, 1, 1])
    assert maths.power(block, 0).dtype == np.float32
    assert maths.power(1, None) is None
    assert math.isnan(maths.power(1, math.nan))
    assert math.isnan(maths.power(math.nan, 0))


def test_powers_of_integers() -> None:
    assert maths.power(3, 4) == 81
    assert type(maths.power(3, 4)) is int
    assert maths.power(10, 400) == math.inf
    assert maths.power(-10, 401) == -math.inf
    assert maths.power(2, 10**9) == math.inf
    assert maths.power(np.array([3], np.uint8), 5).tolist() == [243]
