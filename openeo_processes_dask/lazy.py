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

from openeo_processes_dask.dimensions import nodata
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.kernels.reduction import Reduction as Reduction
from openeo_processes_dask.kernels.reduction import joined

Kernel = Callable[..., Any]
MOST_BLOCKS_TOGETHER = 4  # so many blocks of a dimension are contracted in one task; more are rechunked first
_NUMBERS = (int, float, np.integer, np.floating)
_LARGEST = int(np.finfo(np.float64).max)
SPLIT_EVERY = 8  # so many partial results meet in one task of a tree


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


# --- elementwise


def elementwise(kernel: Kernel, *operands: Any, **options: Any) -> Any:
    """Apply a kernel to each value of arrays that are broadcast, at least one of which is an array.

    The kernel gets blocks of numpy and plain numbers of Python, which leave the type of blocks alone.
    """
    if any(isinstance(o, xr.DataArray) for o in operands):
        call = functools.partial(elementwise, kernel, **options)
        return on_cubes(call, [_gaps_as_nan(o) for o in operands], [])
    operands = tuple(map(plain, operands))
    require_fit(operands)
    if any(isinstance(o, da.Array) for o in operands):
        return da.core.elemwise(functools.partial(_silent, kernel, **options), *operands)
    return _silent(kernel, *operands, **options)


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


def _silent(kernel: Kernel, *operands: Any, **options: Any) -> Any:
    with np.errstate(all="ignore"):
        return kernel(*operands, **options)


def _gaps_as_nan(value: Any) -> Any:
    """A cube of integers with a declared no-data value as a cube of floats with NaN."""
    if not isinstance(value, xr.DataArray) or value.dtype.kind not in "iu" or nodata(value) is None:
        return value
    fill = nodata(value)
    cube = value.copy(data=elementwise(missing.as_float, value.data, fill=fill))
    cube.attrs = {k: v for k, v in value.attrs.items() if k not in ("nodata", "_FillValue", "missing_value")}
    return cube


# --- along an axis


def reduce(
    reduction: Reduction,
    data: Any,
    axis: int | Sequence[int] | None,
    keepdims: bool,
    skip_missing: bool,
    **options: Any,
) -> Any:
    """Reduce an array along an axis, or a list with arrays in it elementwise; None reduces all axes to one value.

    Several results a row lie along the axis, or become the last axis if it is not kept.
    """
    if isinstance(data, (list, tuple)):
        return _reduce_list(reduction, data, skip_missing, options)
    if isinstance(data, xr.DataArray):
        return _reduce_cube(reduction, _gaps_as_nan(data), axis, keepdims, skip_missing, options)
    axes = _axes(axis, data.ndim)
    if not axes:
        data, axes = data.reshape(1), [0]
    if math.prod(data.shape[a] for a in axes) == 0:
        return _of_nothing(reduction, data, axes, keepdims, skip_missing, options)
    if len(axes) > 1 and not (isinstance(data, da.Array) and reduction.partial and not reduction.ordered):
        flat, last = _flattened(data, axes)
        result = reduce(reduction, flat, last, keepdims, skip_missing, **options)
        return _restored(result, axes) if keepdims else result
    if isinstance(data, da.Array):
        return _reduce_dask(reduction, data, axes, keepdims, skip_missing, options)
    return _reduced_block(reduction, axes[0], keepdims, skip_missing, options, data)


def _axes(axis: int | Sequence[int] | None, ndim: int) -> list[int]:
    if axis is None:
        return list(range(ndim))
    return sorted(a % ndim for a in ([axis] if isinstance(axis, (int, np.integer)) else axis))


def _flattened(data: Any, axes: list[int]) -> tuple[Any, int]:
    """Several axes as one, the last, and its number."""
    kept = [i for i in range(data.ndim) if i not in axes]
    moved = data.transpose(*kept, *axes)
    return moved.reshape((*(data.shape[i] for i in kept), math.prod(data.shape[i] for i in axes))), len(kept)


def _restored(values: Any, axes: list[int]) -> Any:
    """Results in the last axis go where the first of the reduced axes was; the others come back with length one."""
    values = np.moveaxis(values, -1, axes[0])
    for axis in axes[1:]:
        values = values[(slice(None),) * axis + (None,)]
    return values


def _without_axes(values: Any, axes: Sequence[int], reduction: Reduction) -> Any:
    """Without the reduced axes; the first is the last one then if it holds several results a row."""
    for axis in sorted(axes, reverse=True)[: len(axes) - 1]:
        values = values[(slice(None),) * axis + (0,)]
    return values[(slice(None),) * axes[0] + (0,)] if reduction.results == 1 else np.moveaxis(values, axes[0], -1)


def _of_nothing(
    reduction: Reduction, data: Any, axes: list[int], keepdims: bool, skip_missing: bool, options: dict[str, Any]
) -> Any:
    """The results of rows without values."""
    blank = np.zeros((1,) * data.ndim, data.dtype)
    count = _silent(reduction.whole, blank, axes[0], skip_missing, **options).shape[axes[0]]
    dtype = reduction.dtype(data.dtype)
    if isinstance(reduction.empty, float):
        dtype = missing.float_of(dtype)
    shape = tuple((count if i == axes[0] else 1) if i in axes else n for i, n in enumerate(data.shape))
    chunks = tuple(shape[i] if i in axes else c for i, c in enumerate(getattr(data, "chunks", shape)))
    lazily = isinstance(data, da.Array)
    result = (
        da.full(shape, reduction.empty, dtype=dtype, chunks=chunks)
        if lazily
        else np.full(shape, reduction.empty, dtype)
    )
    return result if keepdims else _without_axes(result, axes, reduction)


def _reduce_cube(
    reduction: Reduction,
    cube: xr.DataArray,
    axis: int | Sequence[int] | None,
    keepdims: bool,
    skip_missing: bool,
    options: dict[str, Any],
) -> Any:
    """Reduce a cube; an axis that is kept, or holds several results a row, has no labels any more."""
    values = reduce(reduction, cube.data, axis, keepdims, skip_missing, **options)
    gone = [cube.dims[i] for i in _axes(axis, cube.ndim)]
    if axis is None and not keepdims and not isinstance(values, da.Array):
        return values
    dims = list(cube.dims) if keepdims else [d for d in cube.dims if d not in gone]
    if values.ndim > len(dims):
        dims.append(gone[0])
    coordinates = {name: c for name, c in cube.coords.items() if not set(gone) & set(c.dims)}
    return xr.DataArray(values, dims=dims, coords=coordinates, attrs=cube.attrs, name=cube.name)


def _reduce_list(reduction: Reduction, data: Sequence[Any], skip_missing: bool, options: dict[str, Any]) -> Any:
    call = functools.partial(_reduce_values, reduction, skip_missing, options)
    if any(isinstance(v, xr.DataArray) for v in data):
        return on_cubes(call, list(map(_gaps_as_nan, data)), [] if reduction.results == 1 else ["results"])
    return call(*data)


def _reduce_values(reduction: Reduction, skip_missing: bool, options: dict[str, Any], *data: Any) -> Any:
    arrays = list(map(plain, data))
    require_fit(arrays)
    call = functools.partial(_stacked, reduction, skip_missing, options)
    if not any(isinstance(v, da.Array) for v in arrays):
        return call(*arrays)
    if reduction.results == 1:
        return da.core.elemwise(call, *arrays)
    dtype = np.result_type(*arrays)
    rows = da.broadcast_arrays(*(da.asarray(v).astype(dtype) for v in arrays))
    return reduce(reduction, da.stack(rows), 0, False, skip_missing, **options)


def _stacked(reduction: Reduction, skip_missing: bool, options: dict[str, Any], *arrays: Any) -> Any:
    dtype, shape = np.result_type(*arrays), np.broadcast_shapes(*map(np.shape, arrays))
    values = np.stack([np.broadcast_to(np.asarray(v, dtype), shape) for v in arrays])
    return reduce(reduction, values, 0, False, skip_missing, **options)


def _reduce_dask(
    reduction: Reduction,
    data: da.Array,
    axes: list[int],
    keepdims: bool,
    skip_missing: bool,
    options: dict[str, Any],
) -> da.Array:
    """Reduce a dask array: block by block where one holds the axis, or over a tree."""
    if len(axes) == 1 and (data.numblocks[axes[0]] == 1 or reduction.partial is None):
        run = functools.partial(_reduced_block, reduction, axes[0], keepdims, skip_missing, options)
        return _rowwise(run, data, axes[0], keepdims)
    dtype = reduction.dtype(data.dtype)
    kept = keepdims or reduction.results != 1
    result = da.reduction(
        data,
        chunk=functools.partial(_partial, reduction, skip_missing, options),
        combine=functools.partial(_combine, reduction),
        aggregate=functools.partial(_aggregate, reduction, dtype),
        axis=tuple(axes),
        keepdims=kept,
        dtype=dtype,
        meta=np.empty((0,) * (data.ndim if kept else data.ndim - len(axes)), dtype),
        split_every=SPLIT_EVERY,
        concatenate=False,
        name=f"openeo-{reduction.name}",
        output_size=reduction.results,
    )
    if reduction.results == 1:
        return result
    # dask takes it that each of the axes gets so many results, but they lie along the first
    chunks = tuple((1,) if i in axes[1:] else c for i, c in enumerate(result.chunks))
    result = da.Array(result.dask, result.name, chunks, meta=result._meta)
    return result if keepdims else _without_axes(result, axes, reduction)


def _reduced_block(
    reduction: Reduction, axis: int, keepdims: bool, skip_missing: bool, options: dict[str, Any], block: np.ndarray
) -> Any:
    result = _silent(reduction.whole, block, axis, skip_missing, **options)
    return result if keepdims else _without_axes(result, [axis], reduction)


def _rowwise(run: Kernel, data: da.Array, axis: int, keepdims: bool) -> da.Array:
    """Run on blocks that hold whole rows, one of which is tried; an axis of results is kept, or comes last."""
    sample = run(np.ones(tuple(n if i == axis else 1 for i, n in enumerate(data.shape)), data.dtype))
    data = together(data, axis)
    kept = [i for i in range(data.ndim) if i != axis]
    results: dict[int, int] = {}
    if sample.ndim == data.ndim:
        place = axis if keepdims else data.ndim - 1
        kept.insert(place, data.ndim)
        results = {data.ndim: sample.shape[place]}
    return da.blockwise(
        functools.partial(_on_only_block, run),
        kept,
        data,
        range(data.ndim),
        new_axes=results,
        concatenate=False,
        dtype=sample.dtype,
        meta=np.empty((0,) * sample.ndim, sample.dtype),
    )


def _on_only_block(run: Kernel, blocks: list[np.ndarray]) -> Any:
    """An axis that is contracted comes as the list of its blocks."""
    return run(blocks[0])


def _partial(
    reduction: Reduction, skip: bool, options: dict[str, Any], block: np.ndarray, axis: Any, keepdims: bool
) -> Any:
    assert reduction.partial is not None
    if len(axis) == 1:
        return _silent(reduction.partial, block, axis[0], skip, **options)
    flat, last = _flattened(block, list(axis))
    return tuple(_restored(part, list(axis)) for part in _silent(reduction.partial, flat, last, skip, **options))


def _combine(reduction: Reduction, parts: Any, axis: Any, keepdims: bool) -> Any:
    assert reduction.merge is not None
    return _silent(reduction.merge, _flat(parts))


def _aggregate(reduction: Reduction, target: np.dtype, parts: Any, axis: Any, keepdims: bool) -> Any:
    assert reduction.final is not None
    result = joined(_silent(reduction.final, _combine(reduction, parts, axis, keepdims), target), axis[0])
    return result if keepdims else np.squeeze(result, axis)


def _flat(parts: Any) -> list[Any]:
    """dask nests the parts in a list for each axis; a part itself is a tuple."""
    if isinstance(parts, list):
        return [part for inner in parts for part in _flat(inner)]
    return [parts]


def along(kernel: Kernel, data: Any, axis: int, **options: Any) -> Any:
    """Apply `kernel(block, axis)`, which must see the whole axis, to an array; its length may change.

    On dask the axis is brought into one chunk; what length and type result is found by trying one row.
    """
    if isinstance(data, xr.DataArray):
        return _along_cube(kernel, _gaps_as_nan(data), axis, options)
    if not isinstance(data, da.Array):
        return _silent(kernel, data, axis, **options)
    sample = kernel(
        np.ones(tuple(n if i == axis else 1 for i, n in enumerate(data.shape)), data.dtype), axis, **options
    )
    chunks = together(data, axis).chunks
    return da.map_blocks(
        _silent,
        kernel,
        data.rechunk(chunks) if chunks != data.chunks else data,
        axis,
        dtype=sample.dtype,
        meta=np.empty((0,) * data.ndim, sample.dtype),
        chunks=tuple((sample.shape[axis],) if i == axis else c for i, c in enumerate(chunks)),
        **options,
    )


def _along_cube(kernel: Kernel, cube: xr.DataArray, axis: int, options: dict[str, Any]) -> xr.DataArray:
    """A cube whose axis keeps its labels if it keeps its length."""
    values = along(kernel, cube.data, axis, **options)
    if values.shape == cube.shape:
        return cube.copy(data=values)
    kept = {name: c for name, c in cube.coords.items() if cube.dims[axis] not in c.dims}
    return xr.DataArray(values, dims=cube.dims, coords=kept, attrs=cube.attrs, name=cube.name)


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
        raise ProcessParameterInvalid(f"{process}: {name} must be a number, not {_short(value)}")


def _short(value: Any) -> str:
    if is_array(value):
        return f"an array of {value.dtype}"
    shown = repr(value)
    return f"{shown if len(shown) <= 80 else shown[:80] + '…'} ({type(value).__name__})"
