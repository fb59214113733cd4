"""Comparisons: the types of plain values count, the values of arrays are compared one by one."""

from __future__ import annotations

import datetime
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from openeo_processes_dask import lazy
from openeo_processes_dask.declare import declare
from openeo_processes_dask.kernels import truth
from openeo_processes_dask.values import flag, is_number
from openeo_processes_dask.values import is_nodata as _is_nodata
from openeo_processes_dask.vocabulary import Anything, Delta, Flag, PlainNumber, Scalar, Scaling, Truth

Function = Callable[..., Any]


@declare("comparison", scaling=Scaling.BLOCKWISE)
def between(x: Anything, min: PlainNumber, max: PlainNumber, exclude_max: Flag = False) -> Truth:
    """Whether a value lies within two bounds.

    Nothing lies between bounds that are swapped, and what is no number lies nowhere.
    """
    exclude_max = flag("between", "exclude_max", exclude_max)
    x, lowest, highest = lazy.native(x), lazy.native(min), lazy.native(max)
    if not any(map(lazy.is_array, (x, lowest, highest))):
        return _between(x, lowest, highest, exclude_max)
    if not all(map(_numeric, (x, lowest, highest))):
        return _value_by_value(_between, x, lowest, highest, exclude_max=exclude_max)
    return lazy.elementwise(truth.between, x, lowest, highest, exclude_max=exclude_max)


@declare("texts", "comparison", scaling=Scaling.BLOCKWISE)
def eq(x: Scalar, y: Scalar, delta: Delta = None, case_sensitive: Flag = True) -> Truth:
    """Whether two values are equal.

    Types count: the number 1 is not the text "1", nor true; arrays and objects equal nothing. In arrays truth values
    are 0 and 1, because they are there where no-data is among them.
    """
    return _compared(
        truth.eq, _eq, x, y, delta=_tolerance(delta), case_sensitive=flag("eq", "case_sensitive", case_sensitive)
    )


@declare("comparison", scaling=Scaling.BLOCKWISE)
def gt(x: Scalar, y: Scalar) -> Truth:
    """Whether a number is greater than another.

    Values that are no numbers are not greater than anything.
    """
    return _compared(truth.gt, _gt, x, y)


@declare("comparison", scaling=Scaling.BLOCKWISE)
def gte(x: Scalar, y: Scalar) -> Truth:
    """Whether a number is greater than another or equal.

    Values that are no numbers can only be equal.
    """
    return _compared(truth.gte, _gte, x, y)


@declare("comparison", scaling=Scaling.BLOCKWISE, experimental=True)
def is_infinite(x: Anything) -> Flag:
    """Whether a value is infinite.

    Only numbers can be. Arrays of numpy and dask, and cubes, are checked value by value; a list is one value.
    """
    x = lazy.native(x)
    if not lazy.is_array(x):
        return isinstance(x, float) and math.isinf(x)
    return _kind(truth.is_infinite, is_infinite, x)


@declare("comparison", "math > constants", scaling=Scaling.BLOCKWISE)
def is_nan(x: Anything) -> Flag:
    """Whether a value is NaN (not a number).

    Only numbers can be. In arrays NaN is no-data too, so there it is both.
    """
    x = lazy.native(x)
    if not lazy.is_array(x):
        return isinstance(x, float) and math.isnan(x)
    return _kind(_isnan, is_nan, x)


@declare("comparison", scaling=Scaling.BLOCKWISE)
def is_nodata(x: Anything) -> Flag:
    """Whether a value is no-data.

    Among plain values null is, in arrays of floating-point numbers NaN, and in cubes the no-data value they declare.
    """
    x = lazy.native(x)
    if not lazy.is_array(x):
        return _is_nodata(x)
    return _kind(truth.is_nodata, is_nodata, x)


@declare("comparison", scaling=Scaling.BLOCKWISE)
def is_valid(x: Anything) -> Flag:
    """Whether a value is valid.

    Finite numbers are, and everything else that is not no-data: texts, truth values, and lists whatever they hold.
    """
    x = lazy.native(x)
    if not lazy.is_array(x):
        return math.isfinite(x) if isinstance(x, float) else not _is_nodata(x)
    return _kind(truth.is_valid, is_valid, x)


@declare("comparison", scaling=Scaling.BLOCKWISE)
def lt(x: Scalar, y: Scalar) -> Truth:
    """Whether a number is less than another.

    Values that are no numbers are not less than anything.
    """
    return _compared(truth.lt, _lt, x, y)


@declare("comparison", scaling=Scaling.BLOCKWISE)
def lte(x: Scalar, y: Scalar) -> Truth:
    """Whether a number is less than another or equal.

    Values that are no numbers can only be equal.
    """
    return _compared(truth.lte, _lte, x, y)


@declare("texts", "comparison", scaling=Scaling.BLOCKWISE)
def neq(x: Scalar, y: Scalar, delta: Delta = None, case_sensitive: Flag = True) -> Truth:
    """Whether two values are not equal.

    The opposite of `eq` in all, but no-data remains no-data.
    """
    return _compared(
        truth.neq, _neq, x, y, delta=_tolerance(delta), case_sensitive=flag("neq", "case_sensitive", case_sensitive)
    )


# --- plain values


def _equated(kernel: Function, scalar: Function, x: Any, y: Any, delta: Any, case_sensitive: Any) -> Any:
    heeds_case = flag(kernel.__name__, "case_sensitive", case_sensitive)
    return _compared(kernel, scalar, x, y, delta=_tolerance(delta), case_sensitive=heeds_case)


def _compared(kernel: Function, scalar: Function, x: Any, y: Any, **options: Any) -> Any:
    """Compare plain values by `scalar`, arrays of numbers by `kernel`, and other arrays value by value."""
    x, y = lazy.native(x), lazy.native(y)
    if not (lazy.is_array(x) or lazy.is_array(y)):
        if x is None or y is None:
            return None
        if _is_nodata(x) or _is_nodata(y):
            return math.nan
        return scalar(x, y, **options)
    if not (_numeric(x) and _numeric(y)):
        return _value_by_value(functools.partial(_compared, kernel, scalar), x, y, **options)
    if scalar not in (_eq, _neq) and (isinstance(x, bool) or isinstance(y, bool)):
        return lazy.elementwise(truth.nothing, x, y)
    options.pop("case_sensitive", None)
    return lazy.elementwise(kernel, x, y, **options)


def _eq(x: Any, y: Any, delta: float | None = None, case_sensitive: bool = True) -> bool:
    if is_number(x) and is_number(y):
        return x == y if delta is None else _apart(x, y) <= delta
    if isinstance(x, str) and isinstance(y, str):
        return x == y if case_sensitive else x.casefold() == y.casefold()
    return (isinstance(x, bool) and isinstance(y, bool) and x == y) or _same_moment(x, y)


def _neq(x: Any, y: Any, delta: float | None = None, case_sensitive: bool = True) -> bool:
    return not _eq(x, y, delta, case_sensitive)


def _gt(x: Any, y: Any) -> bool:
    return is_number(x) and is_number(y) and x > y


def _lt(x: Any, y: Any) -> bool:
    return is_number(x) and is_number(y) and x < y


def _gte(x: Any, y: Any) -> bool:
    return x >= y if is_number(x) and is_number(y) else _eq(x, y)


def _lte(x: Any, y: Any) -> bool:
    return x <= y if is_number(x) and is_number(y) else _eq(x, y)


def _between(x: Any, lowest: Any, highest: Any, exclude_max: bool = False) -> Any:
    """Three-valued and of both comparisons, as the specification defines it."""
    if _is_nodata(x):
        return x
    if is_number(lowest) and is_number(highest) and not lowest <= highest:
        return False
    if not is_number(x):
        return False
    above = gte(x, lowest)
    below = lt(x, highest) if exclude_max else lte(x, highest)
    if above is False or below is False:
        return False
    return True if above is True and below is True else None


def _same_moment(x: Any, y: Any) -> bool:
    """Whether two values are equal dates, which plain values are only where they came out of arrays."""
    return isinstance(x, (np.datetime64, np.timedelta64, datetime.date)) and type(x) is type(y) and bool(x == y)


def _apart(x: Any, y: Any) -> Any:
    try:
        return abs(operator.sub(x, y))
    except OverflowError:  # an integer beyond floating point
        return math.inf


def _tolerance(delta: Any) -> float | None:
    """A difference that is allowed; only a positive number is one."""
    return lazy.plain(delta) if is_number(delta) and delta > 0 else None


# --- arrays


def _numeric(value: Any) -> bool:
    """Whether a value can be compared by the kernels: a number, a truth value, no-data, or an array of these."""
    if lazy.is_array(value):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, (bool, int, float))


def _value_by_value(scalar: Function, *operands: Any, dtype: type = np.float32, **options: Any) -> Any:
    """Ask for each value of arrays of texts, dates and objects by itself, which is slow; plain operands stay."""
    places = [place for place, operand in enumerate(operands) if lazy.is_array(operand)]
    plain = [None if place in places else operand for place, operand in enumerate(operands)]
    kernel = functools.partial(_on_each, scalar, dtype, places, plain)
    return lazy.elementwise(kernel, *(operands[place] for place in places), **options)


def _on_each(
    scalar: Function, dtype: type, places: list[int], operands: list[Any], *blocks: Any, **options: Any
) -> np.ndarray:
    def call(*values: Any) -> Any:
        given = list(operands)
        for place, value in zip(places, values, strict=True):
            given[place] = value
        held = scalar(*given, **options)
        return math.nan if held is None else held

    objects = [_with_dates(np.asarray(block)) for block in blocks]
    return np.asarray(np.frompyfunc(call, len(blocks), 1)(*objects)).astype(dtype)


def _with_dates(block: np.ndarray) -> np.ndarray:
    """A block whose dates are dates of Python: those of numpy become integers if they count nanoseconds."""
    if block.dtype.kind not in "mM":
        return block
    return block.astype(f"{'timedelta64' if block.dtype.kind == 'm' else 'datetime64'}[us]").astype(object)


def _kind(kernel: Function, scalar: Function, array: Any) -> Any:
    """Of which kind the values of an array are: at once, or one by one if it holds objects."""
    holds_objects = array.dtype.kind == "O"
    return _value_by_value(scalar, array, dtype=bool) if holds_objects else lazy.elementwise(kernel, array)


def _isnan(x: np.ndarray) -> np.ndarray:
    return np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, np.bool_)
