"""Windows that lie side by side and become one pixel each: block by block, with whole windows in every block."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask import dimensions
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.lazy import MOST_BLOCKS_TOGETHER
from openeo_processes_dask.passages import Passage, passage

_ROWS = {"axis": 0, "keepdims": True}
MOST_TRIED = 2**16


class Axis(NamedTuple):
    """An axis in windows of `size` pixels, the first of which lacks `before` and the last `behind` pixels."""

    number: int
    size: int
    before: int
    behind: int


def reduced(expression: Expression, cube: xr.DataArray, axes: Sequence[Axis]) -> tuple[Any, Passage]:
    """Run a child process of the array `data` on the pixels of each window; what windows lack is no-data.

    Raises
    ------
    ProcessParameterInvalid
        If the child process makes several values of an array.
    """
    lacking = any(axis.before or axis.behind for axis in axes)
    dtype = cube.dtype
    if lacking and dtype.kind in "biu" and dimensions.nodata(cube) is None:
        dtype = missing.float_of(dtype)
    number = min(math.prod(axis.size for axis in axes), MOST_TRIED)
    way = passage(expression, {"data": ((number, 1), dtype)}, dimensions.nodata(cube), _ROWS)
    if lacking:
        way = way.with_nothing(expression, (number, 1), dtype, _ROWS)
    with np.errstate(all="ignore"):
        tried = expression({"data": way.enter(np.ones((number, 1), dtype))}, **_ROWS)
    if np.size(np.nan if tried is None else tried) != 1:
        raise ProcessParameterInvalid(f"the reducer makes {np.size(tried)} values of an array, not one")
    run = functools.partial(_on_block, expression, way, dimensions.nodata(cube), dtype)
    if not isinstance(cube.data, da.Array):
        return run(tuple(axes), cube.values), way
    return _on_dask(run, cube.data, axes, way.dtype), way


def _on_dask(run: Any, data: da.Array, axes: Sequence[Axis], dtype: np.dtype) -> da.Array:
    """One task per block of whole windows, for which chunks are moved where they cut windows."""
    chunks: list[Any] = list(data.chunks)
    for axis in axes:
        chunks[axis.number] = _whole(chunks[axis.number], axis)
    limit = MOST_BLOCKS_TOGETHER * max(math.prod(data.chunksize), 1)
    if math.prod(map(max, chunks)) > limit:  # fewer dates and bands at a time
        spatial = {axis.number: chunks[axis.number] for axis in axes}
        sizes = {i: spatial.get(i, "auto") for i in range(data.ndim)}
        data = data.rechunk(sizes, block_size_limit=limit * data.dtype.itemsize)
    elif tuple(chunks) != data.chunks:
        data = data.rechunk(tuple(chunks))
    made = tuple(
        next((tuple(_windows(c, n, a) for n in range(len(c))) for a in axes if a.number == i), c)
        for i, c in enumerate(data.chunks)
    )
    job = functools.partial(_placed, run, tuple(axes), data.numblocks)
    return da.map_blocks(job, data, dtype=dtype, meta=np.empty((0,) * data.ndim, dtype), chunks=made)


def _whole(sizes: Sequence[int], axis: Axis) -> tuple[int, ...]:
    """Sizes of chunks that hold whole windows, as near to the given ones as can be."""
    length = sum(sizes)
    ends = {length}
    for end in np.cumsum(sizes).tolist():
        near = round((end + axis.before) / axis.size) * axis.size - axis.before
        if 0 < near < length:
            ends.add(near)
    return tuple(np.diff([0, *sorted(ends)]).tolist())


def _windows(sizes: Sequence[int], place: int, axis: Axis) -> int:
    before, behind = _lacking(axis, place, len(sizes))
    return int((sizes[place] + before + behind) // axis.size)


def _lacking(axis: Axis, place: int, count: int) -> tuple[int, int]:
    """How many pixels the windows of a block lack before and behind."""
    return axis.before if place == 0 else 0, axis.behind if place == count - 1 else 0


# --- what runs in a task


def _placed(
    run: Any, axes: Sequence[Axis], blocks: Sequence[int], block: np.ndarray, block_id: tuple[int, ...] = ()
) -> np.ndarray:
    own = [Axis(a.number, a.size, *_lacking(a, block_id[a.number], blocks[a.number])) for a in axes]
    return run(tuple(own), block)


def _on_block(
    expression: Expression, way: Passage, fill: Any, dtype: np.dtype, axes: Sequence[Axis], block: np.ndarray
) -> np.ndarray:
    pads = [(0, 0)] * block.ndim
    for axis in axes:
        pads[axis.number] = axis.before, axis.behind
    if any(map(any, pads)):
        gap = np.nan if fill is None else fill
        block = np.pad(block.astype(dtype, copy=False), pads, constant_values=gap)
    sizes = {axis.number: axis.size for axis in axes}
    split: list[int] = []
    for i, length in enumerate(block.shape):
        split += [length // sizes[i], sizes[i]] if i in sizes else [length]
    shape = tuple(length // sizes.get(i, 1) for i, length in enumerate(block.shape))
    within = [i + sum(other < i for other in sizes) + 1 for i in sorted(sizes)]
    order = [*within, *(i for i in range(len(split)) if i not in within)]
    values = block.reshape(split).transpose(order).reshape(math.prod(sizes.values()), *shape)
    with np.errstate(all="ignore"):
        made = expression({"data": way.enter(values)}, **_ROWS)
    return way.leave(made, (1, *shape))[0]
