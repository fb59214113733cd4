"""Powers and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from openeo_processes_dask import values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.kernels import functions
from openeo_processes_dask.vocabulary import Number, NumberFromZero, PositiveNumber, Scaling

_exp = values.on_numbers(math.exp, functions.exp.ufunc)
_ln = values.on_numbers(math.log, functions.ln.ufunc)
_sqrt = values.on_numbers(math.sqrt, functions.sqrt.ufunc)


@declare("math > exponential & logarithmic", scaling=Scaling.BLOCKWISE)
def exp(p: Number) -> PositiveNumber:
    """Exponential function: e to the power of p."""
    return values.calculate(functions.exp, _exp, p=p)


@declare("math > exponential & logarithmic", scaling=Scaling.BLOCKWISE)
def ln(x: NumberFromZero) -> Number:
    """Natural logarithm.

    Of zero it is minus infinity, of negative numbers NaN.
    """
    return values.calculate(functions.ln, _ln, x=x)


@declare("math > exponential & logarithmic", scaling=Scaling.BLOCKWISE)
def log(x: NumberFromZero, base: Number) -> Number:
    """Logarithm to a base.

    Of zero it is minus infinity, of negative numbers NaN. To the bases 2 and 10 it is exact where it can be.
    """
    return values.calculate(functions.log, _log, x=x, base=base)


@declare("math", "math > exponential & logarithmic", scaling=Scaling.BLOCKWISE)
def power(base: Number, p: Number) -> Number:
    """Power of a base.

    No-data to the power of zero, and one to the power of no-data, are no-data; so are they with NaN. Arrays of
    integers become floating point.
    """
    return values.calculate(functions.power, _power, base=base, p=p)


@declare("math", "math > exponential & logarithmic", scaling=Scaling.BLOCKWISE)
def sqrt(x: Number) -> Number:
    """Square root.

    Of negative numbers it is NaN.
    """
    return values.calculate(functions.sqrt, _sqrt, x=x)


def _log(x: Any, base: Any) -> float:
    if x > 0 and base > 0 and base not in (1, math.inf):
        return math.log2(x) if base == 2 else math.log10(x) if base == 10 else math.log(x, base)
    with np.errstate(all="ignore"):
        return float(functions.log(np.float64(x), float(base)))


def _power(base: Any, p: Any) -> Any:
    if base != base or p != p:
        return math.nan
    try:
        result = math.pow(base, p)
    except (OverflowError, ValueError):
        with np.errstate(all="ignore"):
            result = float(np.power(float(base), float(p)))
    whole = isinstance(base, int) and isinstance(p, int) and p >= 0
    return base**p if whole and abs(result) < values.LARGEST_INTEGER else result
