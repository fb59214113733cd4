"""Logic with three values: true, false and no-data."""

from __future__ import annotations

import math
from typing import Any

from openeo_processes_dask import lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.kernels import truth
from openeo_processes_dask.vocabulary import Anything, Flag, Scaling, Truth, Truths


@declare("logic", "reducer", scaling=Scaling.TREE)
def all_(data: Truths, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Truth:
    """Whether all values are true.

    Of nothing, and of nothing but no-data, all are. In arrays of numbers zero is false.
    """
    return _decided(truth.ALL, False, data, ignore_nodata, axis, keepdims)


@declare("logic", scaling=Scaling.BLOCKWISE)
def and_(x: Truth, y: Truth) -> Truth:
    """Whether both values are true.

    In arrays of numbers zero is false.
    """
    x, y = _operands("and", x, y)
    if lazy.is_array(x) or lazy.is_array(y):
        return lazy.elementwise(truth.and_, x, y)
    if x is False or y is False:
        return False
    return x and y if x is True and y is True else _missing(x, y)


@declare("logic", "reducer", scaling=Scaling.TREE)
def any_(data: Truths, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Truth:
    """Whether at least one value is true.

    Of nothing, and of nothing but no-data, none is. In arrays of numbers zero is false.
    """
    return _decided(truth.ANY, True, data, ignore_nodata, axis, keepdims)


@declare("logic", "comparison", "masks", scaling=Scaling.BLOCKWISE)
def if_(value: Truth, accept: Anything, reject: Anything = None) -> Anything:
    """One value if another is true, else a third.

    Only true accepts, and a number out of an array that is not zero. On an array it chooses for each of its values;
    what is neither true nor false is rejected.

    Raises
    ------
    ProcessParameterInvalid
        If the choice for each value of an array is between things that are neither plain values nor arrays.
    """
    value = _native(value)
    if not lazy.is_array(value):
        return accept if value is True else reject
    _operands("if", value)
    for name, choice in (("accept", accept), ("reject", reject)):
        plain = choice is None or isinstance(lazy.native(choice), (bool, int, float))
        if not plain and not (lazy.is_array(choice) and choice.dtype.kind in "biuf"):
            raise ProcessParameterInvalid(f"if: {name} cannot be {shown(choice)} where each value of an array chooses")
    return lazy.elementwise(truth.choose, value, accept, reject)


@declare("logic", scaling=Scaling.BLOCKWISE)
def not_(x: Truth) -> Truth:
    """The opposite of a truth value.

    In arrays of numbers zero is false.
    """
    (x,) = _operands("not", x)
    if lazy.is_array(x):
        return lazy.elementwise(truth.not_, x)
    return not x if isinstance(x, bool) else x


@declare("logic", scaling=Scaling.BLOCKWISE)
def or_(x: Truth, y: Truth) -> Truth:
    """Whether at least one of two values is true.

    In arrays of numbers zero is false.
    """
    x, y = _operands("or", x, y)
    if lazy.is_array(x) or lazy.is_array(y):
        return lazy.elementwise(truth.or_, x, y)
    if x is True or y is True:
        return True
    return False if x is False and y is False else _missing(x, y)


@declare("logic", scaling=Scaling.BLOCKWISE)
def xor(x: Truth, y: Truth) -> Truth:
    """Whether exactly one of two values is true.

    In arrays of numbers zero is false.
    """
    x, y = _operands("xor", x, y)
    if lazy.is_array(x) or lazy.is_array(y):
        return lazy.elementwise(truth.xor, x, y)
    return x is not y if isinstance(x, bool) and isinstance(y, bool) else _missing(x, y)


def _decided(reduction: Any, decisive: bool, data: Any, ignore_nodata: bool, axis: Any, keepdims: bool) -> Any:
    """Whether a list holds the decisive value; if not, no-data among other values counts if it is not ignored."""
    ignore_nodata = values.flag(reduction[True].name, "ignore_nodata", ignore_nodata)
    if values.is_plain_array(data):
        data = values.listed(data)
    if not isinstance(data, (list, tuple)) or any(lazy.is_array(v) for v in data):
        return values.reduced(reduction, data, ignore_nodata, axis, keepdims, _is_truth)
    found = _operands(reduction[True].name, *data)
    if any(v is decisive for v in found):
        return decisive
    gaps = [v for v in found if not isinstance(v, bool)]
    if ignore_nodata or not gaps or len(gaps) == len(found):
        return not decisive
    return gaps[0]


def _operands(process: str, *operands: Any) -> list[Any]:
    """Truth values as bool, numbers that came out of arrays among them; no-data as None or NaN."""
    found = []
    for given in operands:
        value = _native(given)
        if not (_is_truth(value) or (lazy.is_array(value) and value.dtype.kind in "biuf")):
            what = f"an array of {value.dtype}" if lazy.is_array(value) else f"{shown(value)} ({type(value).__name__})"
            raise ProcessParameterInvalid(f"{process}: a truth value is needed, not {what}")
        found.append(value)
    return found


def _native(given: Any) -> Any:
    """A value as Python has it; a number that came out of an array is true where it is not zero."""
    value = lazy.native(given)
    from_array = given is not value and isinstance(value, (int, float)) and value == value
    return bool(value) if from_array else value


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or values.is_nodata(value)


def _missing(*operands: Any) -> float | None:
    """No-data as it was given: None, or NaN where that means no-data."""
    return None if any(v is None for v in operands) else math.nan
