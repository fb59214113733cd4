"""Sorting arrays."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask import lazy, values
from openeo_processes_dask.arguments import instant
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.kernels import sorting
from openeo_processes_dask.vocabulary import Flag, Positions, Scaling, Sortable, Truth, Values


@declare("arrays", "sorting", scaling=Scaling.SHUFFLE)
def order(data: Sortable, asc: Flag = True, nodata: Truth = None, *, axis: int | None = None) -> Positions:
    """Positions of the elements in their order.

    Equal elements keep their order, also where it descends. Rows of numbers all keep their length: where no-data is
    removed, the positions of the others come first and gaps after them. The whole axis is brought into one chunk.
    """
    asc, nodata = values.flag("order", "asc", asc), _placed("order", nodata)
    if values.is_list(data, axis):
        return _ordered(values.listed(data), asc, nodata)
    along = _along("order", data, axis)
    result = lazy.along(sorting.order, data, along, asc=asc, nodata=nodata)
    return _without_gaps(result) if axis is None and nodata is None and not lazy.is_lazy(result) else result


@declare("arrays", "sorting", scaling=Scaling.SHUFFLE)
def rearrange(data: Values, order: Positions, *, axis: int | None = None) -> Values:
    """Elements in the order that a list of positions gives.

    Labels move with their elements. Positions may differ from row to row, as `order` gives them.

    Raises
    ------
    ProcessParameterInvalid
        If a position is none of the array.
    """
    if values.is_list(data, axis):
        found, labels = values.listed(data), values.labels_of(data)
        positions = _checked(order, len(found))
        moved = None if labels is None else [labels[i] for i in positions]
        return values.labelled([found[i] for i in positions], moved)
    along = _along("rearrange", data, axis, "biufmMUSO")
    rowwise = lazy.is_array(order) and (order.ndim == data.ndim > 1 or order.dtype.kind == "f" or lazy.is_lazy(order))
    if lazy.is_array(order) and order.dtype.kind not in "iuf":
        raise ProcessParameterInvalid(f"rearrange: positions are whole numbers, not {order.dtype}")
    if not rowwise:
        return _taken(data, _checked(order, data.shape[along]), along)
    return _rearranged(data, order, along)


@declare("arrays", "sorting", scaling=Scaling.SHUFFLE)
def sort(data: Sortable, asc: Flag = True, nodata: Truth = None, *, axis: int | None = None) -> Sortable:
    """Elements in their order.

    Numbers are sorted by size, dates and times by instant; one array holds either. Equal elements keep their order.
    Labels move with their elements. Rows of numbers all keep their length: where no-data is removed, gaps come last.
    The whole axis is brought into one chunk.
    """
    asc, nodata = values.flag("sort", "asc", asc), _placed("sort", nodata)
    if values.is_list(data, axis):
        found, labels = values.listed(data), values.labels_of(data)
        positions = _ordered(found, asc, nodata)
        moved = None if labels is None else [labels[i] for i in positions]
        return values.labelled([found[i] for i in positions], moved)
    along = _along("sort", data, axis)
    result = lazy.along(sorting.sort, data, along, asc=asc, nodata=nodata)
    return _without_gaps(result) if axis is None and nodata is None and not lazy.is_lazy(result) else result


def _placed(process: str, nodata: Any) -> bool | None:
    """Where no-data is placed; the setting makes NaN mean null here too."""
    return None if values.is_nodata(nodata) else values.flag(process, "nodata", nodata)


def _ordered(elements: Sequence[Any], asc: bool, nodata: Any) -> list[int]:
    """Positions of plain values: numbers by size with NaN last, or instants."""
    gaps = [i for i, element in enumerate(elements) if values.is_nodata(element)]
    present = [i for i, element in enumerate(elements) if not values.is_nodata(element)]
    keys = {i: _key(elements[i]) for i in present}
    if len({isinstance(key, np.datetime64) for key in keys.values()}) > 1:
        raise ProcessParameterInvalid(f"numbers and dates cannot be sorted together: {shown(list(elements))}")
    numbers = [i for i in present if keys[i] == keys[i]]
    nans = [i for i in present if keys[i] != keys[i]]
    ranked = sorted(numbers, key=keys.__getitem__, reverse=not asc) + nans
    return ranked if nodata is None else ranked + gaps if nodata else gaps + ranked


def _key(element: Any) -> Any:
    if values.is_number(element):
        return element
    if isinstance(element, bool):
        raise ProcessParameterInvalid(f"numbers and dates can be sorted, not {shown(element)}")
    return instant(element)


def _without_gaps(row: Any) -> Any:
    """One row without its gaps."""
    return row[~np.isnan(row)] if row.dtype.kind == "f" else row


def _checked(order: Any, length: int) -> list[int]:
    if not isinstance(order, (list, tuple)) and not lazy.is_array(order):
        raise ProcessParameterInvalid(f"rearrange: order must be an array of positions, not {shown(order)}")
    positions = [values.whole_number("rearrange", "each of order", position) for position in values.listed(order)]
    for position in positions:
        if position >= length:
            raise ProcessParameterInvalid(f"rearrange: there is no position {position} among {length} elements")
    return positions


def _taken(data: Any, positions: list[int], axis: int) -> Any:
    if hasattr(data, "isel"):
        return data.isel({data.dims[axis]: positions})
    return data[(slice(None),) * axis + (positions,)]


def _rearranged(data: Any, order: Any, axis: int) -> Any:
    """Rearrange each row by positions of its own, or all by the same."""
    if order.ndim == 1 < data.ndim:
        order = order.reshape([-1 if i == axis else 1 for i in range(data.ndim)])
        shape = tuple(order.shape[axis] if i == axis else n for i, n in enumerate(data.shape))
        order = (da if lazy.is_lazy(order) else np).broadcast_to(order, shape)
    others = [n for i, n in enumerate(data.shape) if i != axis]
    if order.ndim != data.ndim or [n for i, n in enumerate(order.shape) if i != axis] != others:
        raise ProcessParameterInvalid(f"rearrange: positions of the shape {order.shape} do not fit {data.shape}")
    if not (lazy.is_lazy(data) or lazy.is_lazy(order)):
        return _in_block(np.asarray(data), np.asarray(order), axis)
    rows = lazy.together(da.asarray(data), axis)
    chunks = tuple((order.shape[axis],) if i == axis else c for i, c in enumerate(rows.chunks))
    dtype = np.dtype(np.float64) if order.dtype.kind == "f" and rows.dtype.kind != "f" else rows.dtype
    return da.map_blocks(
        functools.partial(_in_block, axis=axis), rows, da.asarray(order).rechunk(chunks), dtype=dtype, chunks=chunks
    )


def _in_block(rows: np.ndarray, order: np.ndarray, axis: int) -> np.ndarray:
    known = order[order == order]
    if known.size and not 0 <= known.min() <= known.max() < rows.shape[axis]:
        raise ProcessParameterInvalid(f"rearrange: some positions are none among {rows.shape[axis]} elements")
    return sorting.rearrange(rows, order, axis)


def _along(process: str, data: Any, axis: int | None, kinds: str = "biuf") -> int:
    if not lazy.is_array(data) or not data.ndim or data.dtype.kind not in kinds:
        raise ProcessParameterInvalid(f"{process}: an array of values that can be sorted is needed, not {shown(data)}")
    return values.axis_of(data, axis)
