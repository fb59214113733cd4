"""Blocks that meet their neighbours: each gets a rim of the blocks around it, and no more of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

Run = Callable[..., np.ndarray]
Pads = tuple[tuple[int, int], ...]
Numbers = Sequence[int]
Step = tuple[int, ...]  # where a neighbour lies: -1, 0 or 1 along each of the axes that are cut

LARGEST_IN_TASK = 2**16  # bytes of a function that may lie in each task


def with_rims(
    run: Run, data: Any, axes: Numbers, depths: Numbers, dtype: np.dtype, wrap: bool = False, located: bool = False
) -> Any:
    """Run `run(block, pads)` on blocks with rims of given depths along some axes.

    `pads` says for each axis how much of the rim is missing before and behind, because the array ends there; with
    `wrap` the blocks at the other end are neighbours. With `located` the number of the block along each axis of the
    array is a third argument. Blocks without neighbours cost one task per chunk. Others cost two: one makes copies of
    the edges of a block, which are all that its neighbours get.
    """
    if not isinstance(data, da.Array):
        return run(data, _missing(depths), *([(0,) * data.ndim] if located else []))
    data = thick_enough(data, axes, depths)
    # An axis in one chunk has no neighbours, and one without a rim needs none.
    met = [i for i, axis in enumerate(axes) if data.numblocks[axis] > 1 and depths[i]]
    if not met and not located:
        return da.map_blocks(run, data, _missing(depths), dtype=dtype, meta=np.empty((0,) * data.ndim, dtype))
    name = f"openeo-rims-{tokenize(data.name, run, axes, depths, wrap, located)}"
    layer: dict[Any, Any] = {}
    if located and len(cloudpickle.dumps(run)) > LARGEST_IN_TASK:
        layer[f"{name}-run"] = run
        run = f"{name}-run"  # type: ignore[assignment]  # the key of a task
    cut, deep = tuple(axes[i] for i in met), tuple(depths[i] for i in met)
    for index in itertools.product(*map(range, data.numblocks)):
        around, pads = _neighbours(f"{name}-edges", index, data.numblocks, cut, deep, wrap)
        if met:
            layer[(f"{name}-edges", *index)] = (edges, (data.name, *index), cut, deep)
        every = list(_missing(depths))
        for i, pad in zip(met, pads, strict=True):
            every[i] = pad
        told = (tuple(every), index) if located else (tuple(every),)
        layer[(name, *index)] = (_run_with, run, (data.name, *index), *_listed(around), cut, deep, pads, told)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])
    return da.Array(graph, name, data.chunks, dtype, meta=np.empty((0,) * data.ndim, dtype))


def edges(block: np.ndarray, axes: Numbers, depths: Numbers) -> list[list[np.ndarray]]:
    """Copies of the first and the last values of a block along each axis."""
    found = []
    for axis, depth in zip(axes, depths, strict=True):
        before, behind = slice(0, depth), slice(block.shape[axis] - depth, None)
        found.append([block[(slice(None),) * axis + (side,)].copy() for side in (before, behind)])
    return found


def _missing(depths: Numbers) -> Pads:
    """The pads where nothing is around a block."""
    return tuple((depth, depth) for depth in depths)


def _listed(around: dict[Step, Any]) -> tuple[list[Step], list[Any]]:
    """Steps, which are no keys, and the keys of the edges that lie there."""
    return list(around), list(around.values())


def _neighbours(
    name: str, index: Numbers, blocks: Numbers, axes: Numbers, depths: Numbers, wrap: bool
) -> tuple[dict[Step, Any], Pads]:
    """The keys of the edges of the blocks around one, and the missing rims."""
    there: list[dict[int, int]] = []
    for axis in axes:
        places = {step: index[axis] + step for step in (-1, 0, 1)}
        there.append({s: p % blocks[axis] for s, p in places.items() if wrap or 0 <= p < blocks[axis]})
    around = {}
    for step in itertools.product(*there):
        if any(step):
            place = list(index)
            for axis, known, side in zip(axes, there, step, strict=True):
                place[axis] = known[side]
            around[step] = (name, *place)
    pads = tuple((0 if -1 in k else d, 0 if 1 in k else d) for k, d in zip(there, depths, strict=True))
    return around, pads


def _run_with(
    run: Run, block: np.ndarray, steps: list[Step], around: list[Any], axes: Numbers, depths: Numbers, pads: Pads,
    told: tuple[Any, ...],
) -> np.ndarray:  # fmt: skip
    return run(_extended(block, dict(zip(steps, around, strict=True)), axes, depths, pads) if steps else block, *told)


def _extended(block: np.ndarray, around: dict[Step, Any], axes: Numbers, depths: Numbers, pads: Pads) -> np.ndarray:
    """A block with the edges of its neighbours around it."""
    shape = list(block.shape)
    spans = []
    for axis, depth, pad in zip(axes, depths, pads, strict=True):
        before, size = depth - pad[0], block.shape[axis]
        shape[axis] = size + before + depth - pad[1]
        spans.append({-1: slice(0, before), 0: slice(before, before + size), 1: slice(before + size, None)})
    out = np.empty(shape, block.dtype)
    for step, part in {**around, (0,) * len(axes): block}.items():
        where: list[Any] = [slice(None)] * block.ndim
        for axis, span, side in zip(axes, spans, step, strict=True):
            where[axis] = span[side]
        out[tuple(where)] = part if part is block else _part(part, step, axes, depths)
    return out


def _part(found: list[list[np.ndarray]], step: Step, axes: Numbers, depths: Numbers) -> np.ndarray:
    """What a neighbour gives: its last values if it lies before, its first if behind, a corner if on several axes."""
    first = next(i for i, side in enumerate(step) if side)
    edge = found[first][1 if step[first] < 0 else 0]
    where: list[Any] = [slice(None)] * edge.ndim
    for axis, depth, side in list(zip(axes, depths, step, strict=True))[first + 1 :]:
        if side:
            where[axis] = slice(edge.shape[axis] - depth, None) if side < 0 else slice(0, depth)
    return edge[tuple(where)]


def thick_enough(data: da.Array, axes: Numbers, depths: Numbers) -> da.Array:
    """The array with chunks that can give a whole rim."""
    chunks = list(data.chunks)
    for axis, depth in zip(axes, depths, strict=True):
        if len(chunks[axis]) > 1 and min(chunks[axis]) < depth:
            chunks[axis] = merged(chunks[axis], depth)
    return data.rechunk(tuple(chunks))


def merged(sizes: Sequence[int], least: int) -> tuple[int, ...]:
    """Sizes of chunks, those that are too small joined with their neighbours."""
    made: list[int] = []
    waiting = 0
    for size in sizes:
        waiting += size
        if waiting >= least:
            made.append(waiting)
            waiting = 0
    if waiting and made:
        made[-1] += waiting
    return tuple(made) or (waiting,)
