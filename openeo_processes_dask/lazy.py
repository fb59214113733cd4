"""How a kernel meets an array: at once on numpy, as the right graph on dask."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask import rows
from openeo_processes_dask.dimensions import nodata, with_indexes
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.kernels.reduction import Reduction as Reduction

Kernel = Callable[..., Any]
MOST_BLOCKS_TOGETHER = 4  # so many blocks of a dimension are contracted in one task; more are rechunked first
_NUMBERS = (int, float, np.integer, np.floating)
_LARGEST = int(np.finfo(np.float64).max)


def is_array(value: Any) -> bool:
    """Whether a value is an array with axes, or a cube."""
    return isinstance(value, (np.ndarray, da.Array, xr.DataArray)) and not (
        isinstance(value, np.ndarray) and value.ndim == 0
    )


def is_lazy(value: Any) -> bool:
    """Whether a value is a dask array, or a cube of one."""
    return isinstance(value, da.Array) or (isinstance(value, xr.DataArray) and isinstance(value.data, da.Array))


def nan_is_nodata() -> bool:
    """Whether NaN among plain values means no-data, as always in arrays: the setting `openeo.nan-is-nodata`."""
    return bool(dask.config.get("openeo.nan-is-nodata", True))


def nothing() -> float | None:
    """No-data where nothing was given that it could look like: None, or NaN where that means no-data."""
    return math.nan if nan_is_nodata() else None


def native(value: Any) -> Any:
    """A number of numpy, or an array without axes, as a number of Python; other values as they are."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item() if value.dtype.kind in "biufUSO" else np.asarray(value)[()]
    return value


def axis_of(axis: int, ndim: int) -> int:
    """The number of an axis, which may count from the end.

    Raises
    ------
    ProcessParameterInvalid
        If there is no such axis.
    """
    if not -ndim <= axis < ndim:
        raise ProcessParameterInvalid(f"there is no axis {axis} in an array of {ndim} axes")
    return int(axis) % ndim


# --- elementwise


def elementwise(kernel: Kernel, *operands: Any, **options: Any) -> Any:
    """Apply a kernel to each value of arrays that are broadcast, at least one of which is an array.

    The kernel gets blocks of numpy and plain numbers of Python, which leave the type of blocks alone.
    """
    if any(isinstance(o, xr.DataArray) for o in operands):
        call = functools.partial(elementwise, kernel, **options)
        return on_cubes(call, [gaps_as_nan(o) for o in operands], [])
    operands = tuple(map(plain, operands))
    require_fit(operands)
    if any(isinstance(o, da.Array) for o in operands):
        return da.core.elemwise(functools.partial(silent, kernel, **options), *operands)
    return silent(kernel, *operands, **options)


def on_cubes(call: Kernel, operands: Sequence[Any], extra: Sequence[str]) -> xr.DataArray:
    """Apply a function of arrays to cubes, whose dimensions fit together; `extra` dimensions come last.

    Raises
    ------
    ProcessParameterInvalid
        If labels or lengths of a dimension differ.
    """
    try:
        return xr.apply_ufunc(
            call, *operands, dask="allowed", keep_attrs="drop_conflicts", output_core_dims=[list(extra)]
        )
    except (xr.AlignmentError, ValueError) as error:
        raise ProcessParameterInvalid(f"the cubes do not fit together: {error}") from error


def require_fit(operands: Sequence[Any]) -> None:
    """Raise ProcessParameterInvalid if the shapes of arrays do not fit together."""
    shapes = [o.shape for o in operands if is_array(o)]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ProcessParameterInvalid(f"arrays of the shapes {shapes} do not fit together") from None


def plain(operand: Any) -> Any:
    """An operand as blocks take it: NaN for no-data, and nothing that is too large for floating point."""
    if operand is None:
        return math.nan
    operand = native(operand)
    if isinstance(operand, int) and abs(operand) > _LARGEST:
        return math.inf if operand > 0 else -math.inf
    return operand


def silent(kernel: Kernel, *operands: Any, **options: Any) -> Any:
    """Call a kernel without a word of divisions by zero and the like."""
    with np.errstate(all="ignore"):
        return kernel(*operands, **options)


def gaps_as_nan(value: Any) -> Any:
    """A cube of integers with a declared no-data value as a cube of floats with NaN."""
    if not isinstance(value, xr.DataArray) or value.dtype.kind not in "iu" or nodata(value) is None:
        return value
    fill = nodata(value)
    cube = value.copy(data=elementwise(missing.as_float, value.data, fill=fill))
    cube.attrs = {k: v for k, v in value.attrs.items() if k not in ("nodata", "_FillValue", "missing_value")}
    return cube


# --- along an axis


def along(kernel: Kernel, data: Any, axis: int, **options: Any) -> Any:
    """Apply `kernel(block, axis)`, which must see the whole axis, to an array; its length may change.

    On dask the axis is brought into one chunk; what length and type result is found by trying one row.
    """
    if isinstance(data, xr.DataArray):
        return _along_cube(kernel, gaps_as_nan(data), axis, options)
    if not isinstance(data, da.Array):
        return silent(kernel, data, axis, **options)
    sample = kernel(
        np.ones(tuple(n if i == axis else 1 for i, n in enumerate(data.shape)), data.dtype), axis, **options
    )
    run = functools.partial(silent, functools.partial(_along_axis, kernel, axis, options))
    return rows.rowwise(run, data, axis, sample.dtype, sample.shape[axis])


def _along_axis(kernel: Kernel, axis: int, options: dict[str, Any], block: np.ndarray) -> Any:
    return kernel(block, axis, **options)


def scan(kernel: Kernel, step: Kernel, data: Any, axis: int, **options: Any) -> Any:
    """Apply `kernel(block, axis)`, in which a value needs all before it, to an array whose shape stays.

    On dask a chunk follows the other along the axis: `step(kernel, block, axis, before)` gives its values and what the
    next one starts from; the first of them is told None.
    """
    if isinstance(data, xr.DataArray):
        cube = gaps_as_nan(data)
        return cube.copy(data=scan(kernel, step, cube.data, axis, **options))
    if not isinstance(data, da.Array) or data.numblocks[axis] == 1:
        return along(kernel, data, axis, **options)
    sample = kernel(np.ones((1,) * data.ndim, data.dtype), axis, **options)
    run = functools.partial(silent, functools.partial(_step, kernel, step, axis, options))
    return rows.one_after_the_other(run, data, axis, sample.dtype)


def _step(
    kernel: Kernel, step: Kernel, axis: int, options: dict[str, Any], block: np.ndarray, before: Any
) -> tuple[Any, Any]:
    return step(kernel, block, axis, before, **options)


def _along_cube(kernel: Kernel, cube: xr.DataArray, axis: int, options: dict[str, Any]) -> xr.DataArray:
    """A cube whose axis keeps its labels if it keeps its length."""
    values = along(kernel, cube.data, axis, **options)
    if values.shape == cube.shape:
        return cube.copy(data=values)
    kept = {name: c for name, c in cube.coords.items() if cube.dims[axis] not in c.dims}
    made = xr.DataArray(values, dims=cube.dims, coords=kept, attrs=cube.attrs)
    made.name = cube.name  # where it is None, the constructor takes that of the dask array
    return with_indexes(made, cube)


def together(data: da.Array, axis: int) -> da.Array:
    """The array with an axis in one chunk; where that makes chunks large, the others are cut."""
    blocks = data.numblocks[axis]
    if blocks == 1:
        return data
    if blocks <= MOST_BLOCKS_TOGETHER:
        return data.rechunk({axis: -1})
    limit = MOST_BLOCKS_TOGETHER * max(math.prod(data.chunksize) * data.dtype.itemsize, 1)
    return data.rechunk({i: -1 if i == axis else "auto" for i in range(data.ndim)}, block_size_limit=limit)


def require_numbers(process: str, **values: Any) -> None:
    """Raise ProcessParameterInvalid for the first value that is no number, no no-data and no array of numbers."""
    for name, value in values.items():
        if value is None or (isinstance(value, _NUMBERS) and not isinstance(value, bool)):
            continue
        if is_array(value) and value.dtype.kind in "biuf":
            continue
        raise ProcessParameterInvalid(f"{process}: {name} must be a number, not {_named(value)}")


def _named(value: Any) -> str:
    return shown(value) if is_array(value) else f"{shown(value)} ({type(value).__name__})"
