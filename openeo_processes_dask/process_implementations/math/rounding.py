"""Rounding."""

from __future__ import annotations

import functools
import math
from typing import Any

from openeo_processes_dask import lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.kernels import rounding
from openeo_processes_dask.vocabulary import Integer, Number, Scaling, WholeNumber


@declare("math > rounding", scaling=Scaling.BLOCKWISE)
def ceil(x: Number) -> WholeNumber:
    """Round up to a whole number.

    Infinity stays; floating-point numbers in arrays stay of their type.
    """
    return values.calculate(rounding.ceil, functools.partial(_whole, math.ceil), x=x)


@declare("math > rounding", scaling=Scaling.BLOCKWISE)
def floor(x: Number) -> WholeNumber:
    """Round down to a whole number.

    Infinity stays; floating-point numbers in arrays stay of their type.
    """
    return values.calculate(rounding.floor, functools.partial(_whole, math.floor), x=x)


@declare("math", "math > rounding", scaling=Scaling.BLOCKWISE)
def int_(x: Number) -> WholeNumber:
    """Whole part of a number.

    NaN has none: the result is no-data. Infinity stays; floating-point numbers in arrays stay of their type.
    """
    return values.calculate(rounding.int_, _int, x=x)


@declare("math > rounding", scaling=Scaling.BLOCKWISE)
def round_(x: Number, p: Integer = 0) -> Number:
    """Round to a number of digits.

    Halves go to the even neighbour, as they are after scaling by a power of ten: 0.35 becomes 0.4.

    Raises
    ------
    ProcessParameterInvalid
        If the number of digits is no whole number.
    """
    digits = values.whole_number("round", "p", p, None)
    return values.calculate(_Rounding(digits), functools.partial(_round, digits), x=x)


class _Rounding:
    """The kernel with a number of digits."""

    __name__ = "round"

    def __init__(self, digits: int) -> None:
        self.digits = digits

    def __call__(self, x: Any) -> Any:
        return rounding.round_(x, self.digits)

    def __dask_tokenize__(self) -> object:
        return ("openeo-round", self.digits)


def _whole(function: Any, x: Any) -> Any:
    return function(x) if math.isfinite(x) else x


def _int(x: Any) -> Any:
    return int(x) if math.isfinite(x) else lazy.nothing() if x != x else x


def _round(digits: int, x: Any) -> Any:
    if isinstance(x, int):
        return x if digits >= 0 else round(x, max(digits, -len(str(x)) - 1))
    if not math.isfinite(x) or digits > rounding.MOST_DIGITS:
        return x
    if digits < -rounding.MOST_DIGITS:
        return 0.0
    scale = 10.0 ** abs(digits)
    scaled = x * scale if digits > 0 else x / scale
    if not math.isfinite(scaled):
        return x
    return round(scaled) / scale if digits > 0 else round(scaled) * scale
