"""Arithmetic on numbers: each value of a cube by itself."""

from __future__ import annotations

import math
import operator
from typing import Any

from openeo_processes_dask import lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import MinMaxSwapped
from openeo_processes_dask.kernels import arithmetic
from openeo_processes_dask.vocabulary import NormalizedNumber, Number, NumberFromZero, PlainNumber, Scaling, Sign


@declare("math", scaling=Scaling.BLOCKWISE)
def absolute(x: Number) -> NumberFromZero:
    """Absolute value.

    Integers stay integers.
    """
    return values.calculate(arithmetic.absolute, abs, x=x)


@declare("math", scaling=Scaling.BLOCKWISE)
def add(x: Number, y: Number) -> Number:
    """Sum of two numbers.

    Integers stay integers, which do not wrap around.
    """
    return values.calculate(arithmetic.add, operator.add, x=x, y=y)


@declare("math", scaling=Scaling.BLOCKWISE)
def clip(x: Number, min: PlainNumber, max: PlainNumber) -> Number:
    """Value brought within two bounds.

    Integers keep their type if both bounds are integers and the results fit. A bound that is NaN makes all NaN.

    Raises
    ------
    MinMaxSwapped
        If the lower bound lies above the upper one.
    """
    if values.is_number(min) and values.is_number(max) and lazy.plain(min) > lazy.plain(max):
        raise MinMaxSwapped(f"clip: the lower bound {min} lies above the upper bound {max}")
    return values.calculate(arithmetic.clip, _clip, x=x, min=min, max=max)


@declare("math", scaling=Scaling.BLOCKWISE)
def divide(x: Number, y: Number) -> Number:
    """Quotient of two numbers.

    Division by zero follows IEEE 754: it gives infinity, or NaN for zero by zero.

    Raises
    ------
    DivisionByZero
        Never here, because infinity and NaN are available.
    """
    return values.calculate(arithmetic.divide, _divide, x=x, y=y)


@declare("math", scaling=Scaling.BLOCKWISE)
def linear_scale_range(
    x: Number, inputMin: PlainNumber, inputMax: PlainNumber, outputMin: PlainNumber = 0, outputMax: PlainNumber = 1
) -> Number:
    """Move values linearly from one range to another.

    Values outside of the input range go to the ends of the output range. Either range may descend.
    """
    return values.calculate(
        arithmetic.linear_scale_range,
        _linear_scale_range,
        x=x,
        inputMin=inputMin,
        inputMax=inputMax,
        outputMin=outputMin,
        outputMax=outputMax,
    )


@declare("math", scaling=Scaling.BLOCKWISE)
def mod(x: Number, y: Number) -> Number:
    """Remainder of a division.

    It has the sign of the divisor. A finite number divided by infinity remains as it is; division by zero gives
    infinity, or NaN for zero by zero. Integers stay integers if the divisor is one number and not zero.

    Raises
    ------
    DivisionByZero
        Never here, because infinity and NaN are available.
    """
    return values.calculate(arithmetic.mod, _mod, x=x, y=y)


@declare("math", scaling=Scaling.BLOCKWISE)
def multiply(x: Number, y: Number) -> Number:
    """Product of two numbers.

    Integers stay integers, which do not wrap around.

    Raises
    ------
    MultiplicandMissing
        Never here: a missing number is reported as a missing parameter.
    """
    return values.calculate(arithmetic.multiply, operator.mul, x=x, y=y)


@declare("math > indices", "vegetation indices", scaling=Scaling.BLOCKWISE)
def normalized_difference(x: PlainNumber, y: PlainNumber) -> NormalizedNumber:
    """Difference of two bands over their sum.

    Integers are turned into floating-point numbers before the difference is taken. Two zeros give NaN, and two
    numbers whose sum is zero infinity.
    """
    return values.calculate(arithmetic.normalized_difference, _normalized_difference, x=x, y=y)


@declare("math", scaling=Scaling.BLOCKWISE)
def sgn(x: Number) -> Sign:
    """Sign of a number: minus one, zero or one."""
    return values.calculate(arithmetic.sgn, _sgn, x=x)


@declare("math", scaling=Scaling.BLOCKWISE)
def subtract(x: Number, y: Number) -> Number:
    """Difference of two numbers.

    Unsigned integers of up to 32 bits become signed ones before, those of 64 bits floating-point numbers.
    """
    return values.calculate(arithmetic.subtract, operator.sub, x=x, y=y)


# --- the same on plain numbers, which numpy would make slow


def _clip(x: Any, lowest: Any, highest: Any) -> Any:
    if x != x or lowest != lowest or highest != highest:
        return math.nan
    return lowest if x < lowest else highest if x > highest else x


def _divide(x: Any, y: Any) -> float:
    if y:
        return x / y
    if x != x or x == 0:
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1, y)


def _linear_scale_range(x: Any, in_min: Any, in_max: Any, out_min: Any, out_max: Any) -> float:
    inside = _clip(x, in_min, in_max) if in_min <= in_max else _clip(x, in_max, in_min)
    return _divide(inside - in_min, in_max - in_min) * (out_max - out_min) + out_min


def _mod(x: Any, y: Any) -> Any:
    if not y:
        return _divide(x, abs(y))
    if math.isinf(y) and math.isfinite(x):
        return x
    return x % y if math.isfinite(x) else math.nan


def _normalized_difference(x: Any, y: Any) -> float:
    return _divide(x - y, x + y)


def _sgn(x: Any) -> Any:
    return x if x != x else (x > 0) - (x < 0)
