"""Finding elements of arrays."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask import dimensions, lazy, reducing, values
from openeo_processes_dask.arguments import instant
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    ArrayElementNotAvailable,
    ArrayElementParameterConflict,
    ArrayElementParameterMissing,
    ArrayNotLabeled,
    ProcessParameterInvalid,
    shown,
)
from openeo_processes_dask.kernels import missing, searching
from openeo_processes_dask.process_implementations.comparison import eq
from openeo_processes_dask.process_implementations.logic import any_
from openeo_processes_dask.vocabulary import (
    NOT_GIVEN,
    Anything,
    Flag,
    Index,
    Label,
    Position,
    Scalar,
    Scaling,
    Values,
)

_NUMBERS = frozenset([int, float])


@declare("arrays", "comparison", "reducer", scaling=Scaling.TREE)
def array_contains(data: Values, value: Scalar, *, axis: int | None = None, keepdims: bool = False) -> Flag:
    """Whether an array contains a value.

    Values are compared as `eq` does it: types count among plain values, and no-data equals nothing.
    """
    if _of_numbers(data, value):
        return value in data
    return _true_of(any_(_matches("array_contains", data, value), axis=axis, keepdims=keepdims))


@declare("arrays", "reducer", scaling=Scaling.TREE)
def array_element(
    data: Values,
    index: Index = NOT_GIVEN,
    label: Label = NOT_GIVEN,
    return_nodata: Flag = False,
    *,
    axis: int | None = None,
    keepdims: bool = False,
    dim_labels: Sequence[Any] | None = None,
    view: bool = False,
) -> Anything:
    """One element of an array, by its index or by its label.

    Of a chunked array only the chunk with the element is touched. What is taken of a block is a copy, for a view would
    keep the whole block, unless the engine says that it uses the element up at once.

    Raises
    ------
    ArrayElementNotAvailable
        If there is no such element, and no-data was not asked for instead.
    ArrayElementParameterMissing
        If neither index nor label is given.
    ArrayElementParameterConflict
        If both are given.
    ArrayNotLabeled
        If a label is given and the array has none.
    """
    return_nodata = values.flag("array_element", "return_nodata", return_nodata)
    by_index, by_label = (given is not NOT_GIVEN and given is not None for given in (index, label))
    if not (by_index or by_label):
        raise ArrayElementParameterMissing("array_element: either an index or a label is needed")
    if by_index and by_label:
        raise ArrayElementParameterConflict(
            f"array_element: index {shown(index)} and label {shown(label)} were both given"
        )
    along = _from_start(data, axis)
    length = _length(data, along)
    if by_index:
        position = values.whole_number("array_element", "index", index, None)
        asked = f"index {shown(index)} among {length} elements"
        available = 0 <= position < length
    else:
        labels = _labels(data, along, dim_labels)
        position, asked = _position(labels, label), f"label {shown(label)} among {shown(labels)}"
        available = position >= 0
    if available:
        return _taken(data, position, along, keepdims, view)
    if not return_nodata:
        raise ArrayElementNotAvailable(f"array_element: no {asked}")
    return _gap(data, along, keepdims)


@declare("arrays", "reducer", scaling=Scaling.SHUFFLE)
def array_find(
    data: Values, value: Anything, reverse: Flag = False, *, axis: int | None = None, keepdims: bool = False
) -> Position:
    """Position of a value in an array.

    Values are compared as `eq` does it. Where there is none the position is null, and a gap among the positions in
    rows of an array, which so are floating-point numbers. The whole axis is brought into one chunk.
    """
    reverse = values.flag("array_find", "reverse", reverse)
    if _of_numbers(data, value):
        if value not in data:
            return None
        return len(data) - 1 - data[::-1].index(value) if reverse else data.index(value)
    matches = _matches("array_find", data, value)
    if isinstance(matches, list) and not any(lazy.is_array(match) for match in matches):
        found = [position for position, match in enumerate(matches) if match is True]
        return found[-1 if reverse else 0] if found else value if values.is_nodata(value) else None
    return lazy.native(reducing.reduce(searching.FIND, matches, axis, keepdims, True, reverse=reverse))


@declare("arrays", "reducer", scaling=Scaling.SHUFFLE, experimental=True)
def array_find_label(
    data: Values,
    label: Label,
    *,
    axis: int | None = None,
    keepdims: bool = False,
    dim_labels: Sequence[Any] | None = None,
) -> Position:
    """Position of a label; null where an array has no such label, or none at all."""
    labels = values.labels_of(data) if dim_labels is None else list(dim_labels)
    position = -1 if labels is None else _position(labels, label)
    return position if position >= 0 else None


@declare("arrays", "reducer", scaling=Scaling.TREE)
def first(data: Values, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Anything:
    """First element of an array.

    The first that is not no-data, unless no-data shall not be ignored.
    """
    return _end(searching.FIRST, 0, data, ignore_nodata, axis, keepdims)


@declare("arrays", "reducer", scaling=Scaling.TREE)
def last(data: Values, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Anything:
    """Last element of an array.

    The last that is not no-data, unless no-data shall not be ignored.
    """
    return _end(searching.LAST, -1, data, ignore_nodata, axis, keepdims)


def _of_numbers(data: Any, value: Any) -> bool:
    """Whether a list is one of Python's numbers and so is a value, no NaN: Python then compares them as `eq` does."""
    return type(data) is list and type(value) in _NUMBERS and value == value and _NUMBERS.issuperset(map(type, data))


def _matches(process: str, data: Any, value: Any) -> Any:
    """Where an array equals a value: for each element of a list, or each value of a block."""
    if values.is_list(data):
        return [eq(element, value) for element in values.listed(data)]
    if not lazy.is_array(data):
        raise ProcessParameterInvalid(f"{process}: data must be an array, not {type(data).__name__}")
    return eq(data, value)


def _true_of(held: Any) -> Any:
    """A truth value of a list as such, whatever no-data looks like."""
    return bool(held) if not lazy.is_array(held) else held


def _end(reduction: Any, index: int, data: Any, ignore_nodata: bool, axis: Any, keepdims: bool) -> Any:
    """The element at an end; where gaps can be and are ignored, a search from there."""
    ignore_nodata = values.flag(reduction.name, "ignore_nodata", ignore_nodata)
    if values.is_plain_array(data):
        data = values.listed(data)
    if isinstance(data, (list, tuple)) and not (ignore_nodata and any(lazy.is_array(v) for v in data)):
        found = [v for v in data if not (ignore_nodata and values.is_nodata(v))]
        return found[index] if found else lazy.nothing()
    if not isinstance(data, (list, tuple)) and not lazy.is_array(data):
        raise ProcessParameterInvalid(f"{reduction.name}: data must be an array, not {type(data).__name__}")
    gapless = not isinstance(data, list) and (data.dtype.kind != "f" and not isinstance(data, xr.DataArray))
    if (gapless or not ignore_nodata) and not isinstance(data, list):
        if axis is None and data.ndim > 1 and not keepdims and math.prod(data.shape):
            data, axis = (data.data if isinstance(data, xr.DataArray) else data).reshape(-1), 0
        along = _from_start(data, axis)
        if _length(data, along) and (axis is not None or data.ndim == 1):
            return _taken(data, index % _length(data, along), along, keepdims)
    return values.reduced(reduction, data, ignore_nodata, axis, keepdims, _anything)


def _anything(value: Any) -> bool:
    return True


def _from_start(data: Any, axis: int | None) -> int:
    """The number of an axis, which may be counted from the end; of no axis the first."""
    return lazy.axis_of(axis or 0, max(getattr(data, "ndim", 1), 1))


def _length(data: Any, axis: int) -> int:
    if isinstance(data, (list, tuple)):
        return len(data)
    if not lazy.is_array(data) or not data.ndim:
        raise ProcessParameterInvalid(f"array_element: data must be an array, not {type(data).__name__}")
    return int(data.shape[axis])


def _labels(data: Any, axis: int, dim_labels: Sequence[Any] | None) -> list[Any]:
    if dim_labels is not None:
        return list(dim_labels)
    if isinstance(data, xr.DataArray) and data.dims[axis] in data.coords:
        return dimensions.labels(data, str(data.dims[axis]))
    raise ArrayNotLabeled("array_element: the array has no labels, ask by index")


def _position(labels: Sequence[Any], label: Any) -> int:
    """Where a label is, -1 if nowhere: numbers equal numbers and texts texts; a date is also found by its instant."""
    label, known = lazy.native(label), list(map(lazy.native, labels))
    for position, one in enumerate(known):
        if values.same_label(one, label):
            return position
    moment = _instant(label)
    return next((i for i, one in enumerate(known) if moment is not None and _instant(one) == moment), -1)


def _instant(label: Any) -> Any:
    """What a text or a date means in time; None if nothing."""
    if not isinstance(label, (str, np.datetime64, datetime.date)):
        return None
    try:
        return instant(label)
    except ProcessParameterInvalid:
        return None


def _taken(data: Any, position: int, axis: int, keepdims: bool, view: bool = False) -> Any:
    if isinstance(data, (list, tuple)):
        return data[position]
    where = slice(position, position + 1) if keepdims else position
    if isinstance(data, xr.DataArray):
        found = data.isel({data.dims[axis]: where}, drop=True)
        found = found if lazy.is_lazy(found) else found.copy()
        return found if found.ndim or lazy.is_lazy(found) else lazy.native(found.values)
    found = data[(slice(None),) * axis + (where,)]
    return lazy.native(found if view or lazy.is_lazy(found) else found.copy())


def _gap(data: Any, axis: int, keepdims: bool) -> Any:
    """No-data instead of an element."""
    if isinstance(data, (list, tuple)) or (data.ndim == 1 and not keepdims and not lazy.is_lazy(data)):
        return lazy.nothing()
    shape = tuple(1 if i == axis else n for i, n in enumerate(data.shape) if i != axis or keepdims)
    dtype = missing.float_of(data.dtype) if data.dtype.kind in "biuf" else np.dtype(object)
    fill = np.nan if dtype.kind == "f" else None
    if isinstance(data, xr.DataArray):
        dims = [d for i, d in enumerate(data.dims) if keepdims or i != axis]
        kept = {name: c for name, c in data.coords.items() if data.dims[axis] not in c.dims}
        made = xr.DataArray(_gap(data.data, axis, keepdims), dims=dims, coords=kept, attrs=data.attrs)
        made.name = data.name
        return dimensions.with_indexes(made, data)
    if isinstance(data, da.Array):
        chunks = tuple(1 if i == axis else c for i, c in enumerate(data.chunks) if i != axis or keepdims)
        return da.full(shape, fill, dtype=dtype, chunks=chunks)
    return np.full(shape, fill, dtype)
