"""Angles: numbers and arrays agree with numpy, and what has no value is NaN."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pytest

from benchmarks.math.trigonometry import PLAIN
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations import math as maths
from tests.laziness import nothing_computed

NUMBERS = [0, 1, -1, 2, 0.5, -0.5, 3.7, 10, 1000, -1000, math.inf, -math.inf, math.nan]
FUNCTIONS: dict[str, Any] = {name: function for name, function in PLAIN.items() if name != "arctan2"}


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


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", "float32"), ("uint8", "float32"), ("int16", "float32"), ("int32", "float64"), ("bool", "float32")],
)
def test_types(name: str, dtype: str, expected: str) -> None:
    block = np.ones(2, dtype)
    assert DECLARED[name].function(block).dtype == expected
    assert DECLARED[name].function(da.from_array(block)).dtype == expected


def test_the_angle_of_a_direction() -> None:
    y, x = np.array([1.0, -1, 0]), np.array([-1.0, 0, -1])
    np.testing.assert_array_equal(maths.arctan2(y, x), np.arctan2(y, x))
    assert maths.arctan2(1, 0) == math.pi / 2
    assert maths.arctan2(None, 1) is None
