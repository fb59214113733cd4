"""Plain values as JSON has them, numbers, truth values and lists of them with no-data, beside arrays of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask import lazy, reducing
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.kernels.reduction import Reduction

Function = Callable[..., Any]
LARGEST_INTEGER = 2**63 - 1


def is_nodata(value: Any) -> bool:
    """Whether a plain value is no-data: None, or NaN where the setting says so."""
    if value is None:
        return True
    return isinstance(value, (float, np.floating)) and value != value and lazy.nan_is_nodata()


def is_number(value: Any) -> bool:
    """Whether a plain value is a number; truth values are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def calculate(kernel: Function, scalar: Function, /, **operands: Any) -> Any:
    """Calculate with numbers at once by `scalar`, with arrays by `kernel`; no-data among numbers makes no-data.

    Raises
    ------
    ProcessParameterInvalid
        If an operand is no number, no no-data and no array of numbers.
    """
    values = operands.values()
    for value in values:
        if type(value) is not float and type(value) is not int:
            return _calculate(kernel, scalar, operands)
    return _on_numbers(scalar, values)


def _on_numbers(scalar: Function, values: Iterable[Any]) -> Any:
    try:
        return scalar(*values)
    except OverflowError:  # integers beyond floating point
        return scalar(*map(_as_float, values))


def on_numbers(function: Function, ufunc: np.ufunc) -> Function:
    """Python's function of a number, with numpy's answer where Python raises: infinity or NaN."""

    def call(x: Any) -> Any:
        try:
            return function(x)
        except (ValueError, OverflowError):
            with np.errstate(all="ignore"):
                return float(ufunc(np.float64(_as_float(x))))

    return call


def _calculate(kernel: Function, scalar: Function, operands: dict[str, Any]) -> Any:
    operands = {name: _numeric(lazy.native(value)) for name, value in operands.items()}
    lazy.require_numbers(kernel.__name__.strip("_"), **operands)
    if any(lazy.is_array(value) for value in operands.values()):
        return lazy.elementwise(kernel, *operands.values())
    if any(value is None for value in operands.values()):
        return None
    return _on_numbers(scalar, operands.values())


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _numeric(value: Any) -> Any:
    """An array of objects, among them None, as floats if it can be; other values as they are."""
    holds_objects = lazy.is_array(value) and value.dtype.kind == "O" and not lazy.is_lazy(value)
    if holds_objects and all(v is None or is_number(v) for v in np.ravel(value)):
        return value.astype(np.float64)
    return value


def reduced(
    reduction: Reduction | Mapping[bool, Reduction],
    data: Any,
    ignore_nodata: bool,
    axis: int | Sequence[int] | None,
    keepdims: bool,
    accepts: Callable[[Any], bool] = is_number,
    kinds: str = "biuf",
    scalar: Function | None = None,
    **options: Any,
) -> Any:
    """Reduce a list of plain values to a value, a list of arrays elementwise, and an array along an axis.

    `scalar` reduces a list of numbers that is not empty; without it they become an array.

    A reduction that combines in another way where gaps are heeded comes as two: for ignored gaps and for others.

    Raises
    ------
    ProcessParameterInvalid
        If the data are no array, or hold something that `accepts` refuses or an array of none of the `kinds`.
    """
    name = (reduction if isinstance(reduction, Reduction) else reduction[False]).name
    ignore_nodata = flag(name, "ignore_nodata", ignore_nodata)
    heeding = reduction if isinstance(reduction, Reduction) else reduction[False]
    reduction = reduction if isinstance(reduction, Reduction) else reduction[ignore_nodata]
    if is_plain_array(data):
        data = listed(data)
    if isinstance(data, (list, tuple)) and not any(lazy.is_array(v) for v in data):
        return _reduced_list(heeding, list(map(lazy.native, data)), ignore_nodata, accepts, scalar, options)
    if not isinstance(data, (list, tuple)) and not hasattr(data, "dtype"):
        raise ProcessParameterInvalid(f"{reduction.name}: data must be an array, not {type(data).__name__}")
    for part in data if isinstance(data, (list, tuple)) else [data]:
        part = lazy.native(part) if not hasattr(data, "dtype") else part
        if not (part.dtype.kind in kinds if hasattr(part, "dtype") else part is None or accepts(part)):
            what = f"an array of {part.dtype}" if hasattr(part, "dtype") else repr(part)
            raise ProcessParameterInvalid(f"{reduction.name}: data cannot hold {what}")
    return lazy.native(reducing.reduce(reduction, data, axis, keepdims, ignore_nodata, **options))


def _reduced_list(
    reduction: Reduction,
    data: Sequence[Any],
    ignore_nodata: bool,
    accepts: Callable[[Any], bool],
    scalar: Function | None,
    options: dict[str, Any],
) -> Any:
    """Reduce plain values; NaN that is no gap is a number, and no number comes of it."""
    for value in data:
        if not (value is None or accepts(value)):
            raise ProcessParameterInvalid(f"{reduction.name}: data cannot hold {shown(value)} ({type(value).__name__})")
    present = [value for value in data if not is_nodata(value)]
    if not present or (len(present) < len(data) and not ignore_nodata):
        count = reducing.reduce(reduction, np.ones(1), 0, True, True, **options).size
        return lazy.nothing() if reduction.results == 1 else [lazy.nothing()] * count
    try:
        if scalar is not None:
            return scalar(present)
    except OverflowError:  # integers beyond floating point
        pass
    return reducing.reduce(reduction, as_array(present), 0, False, False, **options).tolist()


def axis_of(data: Any, axis: int | None) -> int:
    """The axis that is meant: the one that was said, or the only one.

    Raises
    ------
    ProcessParameterInvalid
        If none was said and there are several, or if there is no such axis.
    """
    if axis is None and data.ndim != 1:
        raise ProcessParameterInvalid(f"an array of {data.ndim} axes needs to be told along which")
    return 0 if axis is None else lazy.axis_of(axis, data.ndim)


def as_array(numbers: Sequence[Any]) -> np.ndarray:
    """Numbers as an array: of integers if all are and fit, else of floats."""
    if all(isinstance(n, int) and -LARGEST_INTEGER <= n <= LARGEST_INTEGER for n in numbers):
        return np.asarray(numbers, np.int64)
    return np.asarray([_as_float(n) for n in numbers], np.float64)


def is_plain_array(value: Any) -> bool:
    """Whether an array is a list of values of mixed types: a labelled array, or one of numpy that holds objects."""
    return isinstance(value, (np.ndarray, xr.DataArray)) and value.ndim == 1 and value.dtype.kind in "OUSmM"


def listed(array: Any) -> list[Any]:
    """The values of a list or a one-dimensional array as plain values."""
    return [lazy.native(value) for value in (array if isinstance(array, (list, tuple)) else np.asarray(array))]


# --- labelled arrays: one-dimensional DataArrays with labels, which hold values of any type


def is_list(value: Any, axis: int | None = None) -> bool:
    """Whether a value is to be handled as a list of plain values: no block of numbers along an axis."""
    if isinstance(value, (list, tuple)) or is_plain_array(value):
        return True
    return axis is None and isinstance(value, xr.DataArray) and value.ndim == 1 and not lazy.is_lazy(value)


def labels_of(array: Any) -> list[Any] | None:
    """The labels of a labelled array; None for other arrays."""
    if isinstance(array, xr.DataArray) and array.ndim == 1 and array.dims[0] in array.coords:
        return listed(array.coords[array.dims[0]])
    return None


def labelled(values: Sequence[Any], labels: Sequence[Any] | None) -> Any:
    """A labelled array; without labels a list."""
    if labels is None:
        return list(values)
    return xr.DataArray(_objects(values), dims=["labels"], coords={"labels": _objects(labels)})


def same_label(one: Any, other: Any) -> bool:
    """Whether two labels are the same: numbers and texts never are."""
    if lazy.is_array(one) or lazy.is_array(other):
        return False
    return isinstance(one, str) == isinstance(other, str) and bool(one == other)


def _objects(values: Sequence[Any]) -> np.ndarray:
    """An array that holds values as they are, lists among them."""
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = value
    return array


# --- blocks along an axis


def joined(parts: Sequence[Any], axis: int) -> Any:
    """Blocks and plain numbers as one block, one after the other along an axis; numbers count as one element.

    Raises
    ------
    ProcessParameterInvalid
        If a part is neither.
    """
    lazy.require_numbers("array", **{f"element {i}": part for i, part in enumerate(parts) if not is_boolean(part)})
    blocks: list[Any] = list(map(lazy.plain, parts))
    ndim = max(block.ndim for block in blocks if lazy.is_array(block))
    model = next(block for block in blocks if lazy.is_array(block) and block.ndim == ndim)
    shape = tuple(1 if i == axis else n for i, n in enumerate(model.shape))
    dtype = np.result_type(*(missing.float_of(b.dtype) if _with_fraction(blocks, b) else b for b in blocks))
    if dtype.kind == "f" and any(_beyond(block, dtype) for block in blocks):
        dtype = np.dtype(np.float64)
    module = da if any(map(lazy.is_lazy, blocks)) else np
    full = [module.asarray(block).astype(dtype) for block in blocks]
    rows = [_row_of(block, shape, axis) for block in full]
    for row in rows:
        if tuple(1 if i == axis else n for i, n in enumerate(row.shape)) != shape:
            raise ProcessParameterInvalid(f"arrays of the shapes {[r.shape for r in rows]} cannot be joined")
    return module.concatenate(rows, axis=axis)


def _row_of(block: Any, shape: tuple[int, ...], axis: int) -> Any:
    """A block that lost the axis with an axis of length one, and a single number for each row."""
    if block.ndim == 0:
        return (da if isinstance(block, da.Array) else np).broadcast_to(block, shape)
    lost = block.shape == tuple(n for i, n in enumerate(shape) if i != axis)
    return block.reshape(shape) if lost else block


def _with_fraction(blocks: Sequence[Any], block: Any) -> bool:
    """Whether a block of integers meets a fraction or a gap among plain numbers."""
    whole = lazy.is_array(block) and block.dtype.kind in "iu"
    return whole and any(isinstance(other, float) for other in blocks)


def _beyond(value: Any, dtype: np.dtype) -> bool:
    """Whether a plain number is too large for a floating type."""
    return is_number(value) and math.isfinite(value) and abs(value) > float(np.finfo(dtype).max)


def is_boolean(value: Any) -> bool:
    """Whether a plain value is a truth value."""
    return isinstance(value, (bool, np.bool_))


def flag(process: str, name: str, value: Any) -> bool:
    """A parameter that must be true or false.

    Raises
    ------
    ProcessParameterInvalid
        If it is neither.
    """
    value = lazy.native(value)
    if isinstance(value, bool):
        return value
    raise ProcessParameterInvalid(f"{process}: {name} must be true or false, not {shown(value)}")


def whole_number(process: str, name: str, value: Any, least: int | None = 0) -> int:
    """A parameter that must be a whole number.

    Raises
    ------
    ProcessParameterInvalid
        If it is none, or too small.
    """
    value = lazy.native(value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if whole and not isinstance(value, bool) and (least is None or value >= least):
        return int(value)
    raise ProcessParameterInvalid(f"{process}: {name} must be a whole number{_from(least)}, not {shown(value)}")


def _from(least: int | None) -> str:
    return "" if least is None else f" from {least}"
