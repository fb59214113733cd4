"""How whole rows along an axis meet a function: in a block that holds them, in a task that gets all, or in turn."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

MOST_TOGETHER = 8  # so many blocks' worth of rows meet in one task; of more, each block is cut across the rows first
MOST_PIECES = 4  # of a block in one step; cut into more, neighbours are put together first, eight at a time
STRIP = 1 << 21  # bytes of rows that are put together at a time, so that they are still in the cache when they are used


def rowwise(
    run: Callable[..., Any],
    data: da.Array,
    axis: int,
    dtype: Any,
    length: int | None = None,
    place: int | None = None,
    **carried: Any,
) -> da.Array:
    """Run on whole rows of a dask array, one task per block that holds them.

    Results of some length lie along the axis, or at another place; without a length the axis goes. An axis in
    several chunks is not concatenated: a task gets the list of its blocks, and puts rows together strip by strip.
    """
    data = meeting(data, axis)
    out = [i for i in range(data.ndim) if i != axis]
    place = axis if place is None else place
    if length is not None:
        out.insert(place, axis if data.numblocks[axis] == 1 and place == axis else data.ndim)
    settings: dict[str, Any] = {"dtype": dtype, "meta": np.empty((0,) * len(out), dtype), "concatenate": False}
    if axis in out:
        return da.blockwise(run, out, data, range(data.ndim), adjust_chunks={axis: (length,)}, **settings, **carried)
    if length is not None:
        settings["new_axes"] = {data.ndim: length}
    run = functools.partial(_on_blocks, run, axis, None if length is None else (place, length), np.dtype(dtype))
    return da.blockwise(run, out, data, range(data.ndim), **settings, **carried)


def one_after_the_other(run: Callable[..., Any], data: da.Array, axis: int, dtype: Any) -> da.Array:
    """Run on the blocks along an axis in their order: `run(block, before)` gives values, and what the next one gets.

    Three tasks a block: what it gives, and the two parts of that.
    """
    name = f"openeo-scan-{tokenize(run, data.name, axis)}"
    layer: dict[Any, Any] = {}
    for index in itertools.product(*map(range, data.numblocks)):
        before = (f"{name}-after", *index[:axis], index[axis] - 1, *index[axis + 1 :]) if index[axis] else None
        layer[(f"{name}-step", *index)] = (run, (data.name, *index), before)
        layer[(name, *index)] = (operator.getitem, (f"{name}-step", *index), 0)
        if index[axis] < data.numblocks[axis] - 1:
            layer[(f"{name}-after", *index)] = (operator.getitem, (f"{name}-step", *index), 1)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])  # type: ignore[list-item]  # as below
    return da.Array(graph, name, data.chunks, dtype, meta=np.empty((0,) * data.ndim, dtype))


def meeting(data: da.Array, axis: int, blocks: int | None = None) -> da.Array:
    """The array, its other axes cut as far as needed for so many blocks along an axis, or all, to meet in one task.

    So far apart that each block would be cut into many pieces, all of them are put together already, in a few steps.
    The number of tasks then grows with the blocks, and with the logarithm of how many meet; not with their square.
    """
    wanted = math.ceil((data.numblocks[axis] if blocks is None else blocks) / MOST_TOGETHER)
    others = sorted((i for i in range(data.ndim) if i != axis), key=lambda i: -max(data.chunks[i], default=0))
    pieces = [1] * data.ndim
    for other in others:
        pieces[other] = max(1, min(wanted, min(data.chunks[other], default=0)))
        wanted = math.ceil(wanted / pieces[other])
    if blocks is None and math.prod(pieces) > MOST_PIECES:
        return _put_together(data, axis, pieces)
    return _cut_up(data, pieces) if max(pieces) > 1 else data


def _put_together(data: da.Array, axis: int, pieces: Sequence[int]) -> da.Array:
    """One block along an axis, and along the others each in so many pieces; no step makes larger blocks than the last.

    By dask's own plan of steps, in tasks: those of another scheduler would be told apart by where a graph is built.
    """
    cut = {
        i: -1 if i == axis else tuple(itertools.chain.from_iterable(_cut(chunk, n) for chunk in chunks))
        for i, (chunks, n) in enumerate(zip(data.chunks, pieces, strict=True))
    }
    largest = MOST_TOGETHER * data.dtype.itemsize * math.prod(max(chunks, default=1) for chunks in data.chunks)
    return data.rechunk(cut, block_size_limit=max(largest, 1), method="tasks")


def _cut_up(data: da.Array, pieces: Sequence[int]) -> da.Array:
    """Each block in so many pieces along each axis: one task a piece, where dask's own way takes two."""
    name = f"openeo-cut-{tokenize(data.name, tuple(pieces))}"
    cuts = [[_cut(chunk, n) for chunk in chunks] for chunks, n in zip(data.chunks, pieces, strict=True)]
    slices = [[_slices(lengths) for lengths in of_axis] for of_axis in cuts]
    layer: dict[Any, Any] = {}
    for index in itertools.product(*map(range, data.numblocks)):
        key = (data.name, *index)
        of_block = [slices[axis][i] for axis, i in enumerate(index)]
        for piece in itertools.product(*map(range, pieces)):
            place = (i * n + p for i, n, p in zip(index, pieces, piece, strict=True))
            where = tuple(of_axis[p] for of_axis, p in zip(of_block, piece, strict=True))
            layer[(name, *place)] = (operator.getitem, key, where)
    chunks = tuple(tuple(itertools.chain.from_iterable(of_axis)) for of_axis in cuts)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])  # type: ignore[list-item]  # dask types its own arrays too narrowly
    return da.Array(graph, name, chunks, data.dtype, meta=data._meta)


def _slices(lengths: Sequence[int]) -> list[slice]:
    ends = list(itertools.accumulate(lengths, initial=0))
    return [slice(start, end) for start, end in itertools.pairwise(ends)]


def _cut(length: int, pieces: int) -> list[int]:
    """A length in so many parts, as equal as can be."""
    small, more = divmod(length, pieces)
    return [small + 1] * more + [small] * (pieces - more)


def _on_blocks(
    run: Callable[..., Any],
    axis: int,
    results: tuple[int, int] | None,
    dtype: np.dtype,
    blocks: Sequence[np.ndarray],
    **carried: Any,
) -> np.ndarray:
    """Run on blocks that follow each other along an axis: a strip of pixels after the other."""
    if len(blocks) == 1:
        return run(blocks[0], **carried)
    shape = list(blocks[0].shape)
    shape[axis] = sum(block.shape[axis] for block in blocks)
    across = max((i for i in range(len(shape)) if i != axis), key=lambda i: shape[i], default=None)
    if across is None or math.prod(shape) == 0:
        return run(np.concatenate(blocks, axis), **carried)
    kept = [i for i in range(len(shape)) if i != axis]
    target = [shape[i] for i in kept]
    position = kept.index(across)
    if results is not None:
        target.insert(*results)
        position += results[0] <= position
    out = np.empty(target, dtype)
    step = max(1, STRIP * shape[across] // (math.prod(shape) * blocks[0].dtype.itemsize))
    for start in range(0, shape[across], step):
        strip = (slice(None),) * across + (slice(start, start + step),)
        rows = np.concatenate([block[strip] for block in blocks], axis)
        out[(slice(None),) * position + (slice(start, start + step),)] = run(rows, **carried)
    return out
