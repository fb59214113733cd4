"""How a statistic meets an array: at once on numpy, as one task a block or a tree of tasks on dask."""

from __future__ import annotations

import contextvars
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask import lazy, rows
from openeo_processes_dask.dimensions import with_indexes
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.kernels.reduction import Kernel, Reduction, joined

SPLIT_EVERY = 8  # so many partial results meet in one task of a tree


@dataclass(frozen=True)
class Segments:
    """Rows of values (rows, n) that are cut into segments, each of which is reduced by itself, to partial results.

    A process that reduces gets them as its array; what comes back holds the reduction and its partial results, arrays
    of (rows, segments). `starts` say where each segment begins, and where the last one ends. A statistic of order has
    no partial results of that kind; for it the values come back, with what is asked of them.
    """

    values: np.ndarray
    starts: np.ndarray
    reduction: Reduction | None = None
    partials: tuple[np.ndarray, ...] = ()
    skip_missing: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype:
        """The type of the values."""
        return self.values.dtype

    def reduced(self, reduction: Reduction, skip_missing: bool, options: dict[str, Any]) -> Segments:
        """The partial results of a reduction that can be combined."""
        if reduction.ranks is not None:
            return Segments(self.values, self.starts, reduction, (), skip_missing, options)
        assert reduction.partial is not None
        parts = [
            lazy.silent(reduction.partial, self.values[:, start:stop], 1, skip_missing, **options)
            for start, stop in itertools.pairwise(self.starts.tolist())
        ]
        together = tuple(np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
        return Segments(self.values, self.starts, reduction, together)


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
    if isinstance(data, Segments):
        return data.reduced(reduction, skip_missing, options)
    if isinstance(data, (list, tuple)):
        return _reduce_list(reduction, data, skip_missing, options)
    if isinstance(data, xr.DataArray):
        return _reduce_cube(reduction, lazy.gaps_as_nan(data), axis, keepdims, skip_missing, options)
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


# --- a child process in two halves

Parts = list[tuple[Kernel, Any]]  # partial results in the order in which they are asked for, and what merges each


class _Halfway:
    """Where the statistics of a child process begin or finish: they give away partial results, or take merged ones."""

    def __init__(self, parts: Parts | None = None) -> None:
        self.found: Parts = []
        self.given = None if parts is None else iter(parts)

    def reduced(self, reduction: Reduction, block: np.ndarray, axis: int, skip: bool, options: dict[str, Any]) -> Any:
        """What a statistic makes of rows, or of the partial results that belong to it."""
        assert reduction.partial is not None
        assert reduction.merge is not None
        assert reduction.final is not None
        if self.given is not None:
            part = next(self.given)[1]
        else:
            part = lazy.silent(reduction.partial, block, axis, skip, **options)
            self.found.append((reduction.merge, part))
        return joined(lazy.silent(reduction.final, part, reduction.dtype(block.dtype)), axis)


_HALFWAY: contextvars.ContextVar[_Halfway | None] = contextvars.ContextVar("halfway", default=None)


def begun(run: Callable[[], Any]) -> Parts:
    """The partial results that the statistics of a child process make while it runs."""
    halfway = _Halfway()
    token = _HALFWAY.set(halfway)
    try:
        run()
    finally:
        _HALFWAY.reset(token)
    return halfway.found


def merged(parts: list[Parts]) -> Parts:
    """Partial results of rows that follow each other as those of all these rows."""
    return [(of_one[0][0], lazy.silent(of_one[0][0], [p for _, p in of_one])) for of_one in zip(*parts, strict=True)]


def finished(run: Callable[[], Any], parts: Parts) -> Any:
    """What a child process makes of partial results, which take the place of those of its statistics."""
    token = _HALFWAY.set(_Halfway(parts))
    try:
        return run()
    finally:
        _HALFWAY.reset(token)


# --- a child process on groups of rows


def as_slice(positions: Sequence[int] | np.ndarray) -> Any:
    """Positions that follow each other as a slice, which copies nothing."""
    found = np.asarray(positions, np.intp)
    if not found.size:
        return slice(0, 0)
    if (np.diff(found) == 1).all():
        return slice(int(found[0]), int(found[-1]) + 1)
    return found


@dataclass
class _Grouping:
    """Where the statistics of a child process reduce each group of rows: their results lie along the axis."""

    groups: Sequence[Sequence[int]]
    met: int = 0

    def reduced(self, reduction: Reduction, block: np.ndarray, axis: int, skip: bool, options: dict[str, Any]) -> Any:
        """The results of all groups, at once where the statistic knows how."""
        self.met += 1
        if reduction.grouped is not None and not options:
            found = lazy.silent(reduction.grouped, block, axis, self.groups, skip)
            if found is not None:
                return found
        made = [self._one(reduction, block, axis, skip, options, group) for group in self.groups]
        return np.concatenate(made, axis) if made else block[(slice(None),) * axis + (slice(0, 0),)]

    def _one(
        self,
        reduction: Reduction,
        block: np.ndarray,
        axis: int,
        skip: bool,
        options: dict[str, Any],
        group: Sequence[int],
    ) -> np.ndarray:
        rows_of = block[(slice(None),) * axis + (as_slice(group),)]
        if not len(group):
            return _of_nothing(reduction, rows_of, [axis], True, skip, options)
        return lazy.silent(reduction.whole, rows_of, axis, skip, **options)


_GROUPING: contextvars.ContextVar[_Grouping | None] = contextvars.ContextVar("grouping", default=None)


def grouped(run: Callable[[], Any], groups: Sequence[Sequence[int]]) -> tuple[Any, int]:
    """What a child process makes of rows if its statistics reduce groups of them, and how many of them it has."""
    grouping = _Grouping(groups)
    token = _GROUPING.set(grouping)
    try:
        return run(), grouping.met
    finally:
        _GROUPING.reset(token)


# --- the axes


def _axes(axis: int | Sequence[int] | None, ndim: int) -> list[int]:
    if axis is None:
        return list(range(ndim))
    return sorted(lazy.axis_of(a, ndim) for a in ([axis] if isinstance(axis, (int, np.integer)) else axis))


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
    count = lazy.silent(reduction.whole, blank, axes[0], skip_missing, **options).shape[axes[0]]
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
    made = xr.DataArray(values, dims=dims, coords=coordinates, attrs=cube.attrs)
    made.name = cube.name  # where it is None, the constructor takes that of the dask array
    return with_indexes(made, cube)


def _reduce_list(reduction: Reduction, data: Sequence[Any], skip_missing: bool, options: dict[str, Any]) -> Any:
    call = functools.partial(_reduce_values, reduction, skip_missing, options)
    if any(isinstance(v, xr.DataArray) for v in data):
        return lazy.on_cubes(call, list(map(lazy.gaps_as_nan, data)), [] if reduction.results == 1 else ["results"])
    return call(*data)


def _reduce_values(reduction: Reduction, skip_missing: bool, options: dict[str, Any], *data: Any) -> Any:
    arrays = list(map(lazy.plain, data))
    lazy.require_fit(arrays)
    call = functools.partial(_stacked, reduction, skip_missing, options)
    if not any(isinstance(v, da.Array) for v in arrays):
        return call(*arrays)
    if reduction.results == 1:
        return da.core.elemwise(call, *arrays)
    dtype = np.result_type(*arrays)
    alike = da.broadcast_arrays(*(da.asarray(v).astype(dtype) for v in arrays))
    return reduce(reduction, da.stack(alike), 0, False, skip_missing, **options)


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
    halfway, grouping = _HALFWAY.get(), _GROUPING.get()
    if grouping is not None:
        result = grouping.reduced(reduction, block, axis, skip_missing, options)
    elif halfway is not None and reduction.partial is not None:
        result = halfway.reduced(reduction, block, axis, skip_missing, options)
    else:
        result = lazy.silent(reduction.whole, block, axis, skip_missing, **options)
    return result if keepdims else _without_axes(result, [axis], reduction)


def _rowwise(run: Kernel, data: da.Array, axis: int, keepdims: bool) -> da.Array:
    """Run on blocks that hold whole rows, one of which is tried; an axis of results is kept, or comes last."""
    sample = run(np.ones(tuple(n if i == axis else 1 for i, n in enumerate(data.shape)), data.dtype))
    if sample.ndim < data.ndim:
        return rows.rowwise(run, data, axis, sample.dtype)
    place = axis if keepdims else data.ndim - 1
    return rows.rowwise(run, data, axis, sample.dtype, sample.shape[place], place)


def _partial(
    reduction: Reduction, skip: bool, options: dict[str, Any], block: np.ndarray, axis: Any, keepdims: bool
) -> Any:
    assert reduction.partial is not None
    if len(axis) == 1:
        return lazy.silent(reduction.partial, block, axis[0], skip, **options)
    flat, last = _flattened(block, list(axis))
    return tuple(_restored(part, list(axis)) for part in lazy.silent(reduction.partial, flat, last, skip, **options))


def _combine(reduction: Reduction, parts: Any, axis: Any, keepdims: bool) -> Any:
    assert reduction.merge is not None
    return lazy.silent(reduction.merge, _flat(parts))


def _aggregate(reduction: Reduction, target: np.dtype, parts: Any, axis: Any, keepdims: bool) -> Any:
    assert reduction.final is not None
    result = joined(lazy.silent(reduction.final, _combine(reduction, parts, axis, keepdims), target), axis[0])
    return result if keepdims else np.squeeze(result, axis)


def _flat(parts: Any) -> list[Any]:
    """dask nests the parts in a list for each axis; a part itself is a tuple."""
    if isinstance(parts, list):
        return [part for inner in parts for part in _flat(inner)]
    return [parts]
