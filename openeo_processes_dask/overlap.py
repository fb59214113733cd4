"""Blocks that meet their neighbours: each gets a rim of the blocks around it, and no more of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

Run = Callable[[np.ndarray, Any], np.ndarray]
Axes = tuple[int, int]


def with_rims(run: Run, data: Any, axes: Axes, depths: tuple[int, int], dtype: np.dtype, wrap: bool = False) -> Any:
    """Run `run(block, pads)` on blocks with rims of given depths along two axes.

    `pads` says for each axis how much of the rim is missing before and behind, because the array ends there; with
    `wrap` the blocks at the other end are neighbours. Planes in one chunk cost one task per chunk. Cut planes cost
    two: one makes copies of the edges of a block, which are all that its neighbours get.
    """
    if not isinstance(data, da.Array):
        return run(data, tuple((depth, depth) for depth in depths))
    data = _thick_enough(data, axes, depths)
    if all(data.numblocks[axis] == 1 for axis in axes) or not any(depths):
        pads = tuple((depth, depth) for depth in depths)
        return da.map_blocks(run, data, pads, dtype=dtype, meta=np.empty((0,) * data.ndim, dtype))
    name = f"openeo-rims-{tokenize(data.name, run, axes, depths, wrap)}"
    layer: dict[Any, Any] = {}
    for index in itertools.product(*map(range, data.numblocks)):
        layer[(f"{name}-edges", *index)] = (edges, (data.name, *index), axes, depths)
        around, pads = _neighbours(f"{name}-edges", index, data.numblocks, axes, depths, wrap)
        layer[(name, *index)] = (_run_with, run, (data.name, *index), around, axes, depths, pads)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])
    return da.Array(graph, name, data.chunks, dtype, meta=np.empty((0,) * data.ndim, dtype))


def edges(block: np.ndarray, axes: Axes, depths: tuple[int, int]) -> list[list[np.ndarray]]:
    """Copies of the first and the last rows, and of the first and the last columns, of a block."""
    found = []
    for axis, depth in zip(axes, depths, strict=True):
        before, behind = slice(0, depth), slice(block.shape[axis] - depth, None)
        found.append([block[(slice(None),) * axis + (side,)].copy() for side in (before, behind)])
    return found


def _neighbours(
    name: str, index: tuple[int, ...], blocks: Sequence[int], axes: Axes, depths: tuple[int, int], wrap: bool
) -> tuple[list[list[Any]], tuple[tuple[int, int], ...]]:
    """The keys of the edges of the eight blocks around one, None where there is none, and the missing rims."""
    there = []
    for axis in axes:
        count = blocks[axis]
        steps: list[int | None] = []
        for step in (-1, 0, 1):
            place = index[axis] + step
            inside = 0 <= place < count
            steps.append(place if inside else place % count if wrap and count > 1 else None)
        there.append(steps)
    around: list[list[Any]] = []
    for row in there[0]:
        keys: list[Any] = []
        for column in there[1]:
            at = {axes[0]: row, axes[1]: column}
            missing = row is None or column is None
            keys.append(None if missing else (name, *(at.get(axis, place) for axis, place in enumerate(index))))
        around.append(keys)
    around[1][1] = None  # the block itself, which is there whole
    pads = tuple(
        (depth if steps[0] is None else 0, depth if steps[2] is None else 0)
        for steps, depth in zip(there, depths, strict=True)
    )
    return around, pads


def _run_with(
    run: Run, block: np.ndarray, around: list[list[Any]], axes: Axes, depths: tuple[int, int], pads: Any
) -> np.ndarray:
    return run(_extended(block, around, axes, depths, pads), pads)


def _extended(block: np.ndarray, around: list[list[Any]], axes: Axes, depths: tuple[int, int], pads: Any) -> np.ndarray:
    """A block with the edges of its neighbours around it."""
    shape = list(block.shape)
    spans = []
    for axis, depth, pad in zip(axes, depths, pads, strict=True):
        before, behind = depth - pad[0], depth - pad[1]
        size = block.shape[axis]
        shape[axis] = size + before + behind
        spans.append((slice(0, before), slice(before, before + size), slice(before + size, None)))
    out = np.empty(shape, block.dtype)
    for row, column in itertools.product(range(3), range(3)):
        part = block if row == column == 1 else _part(around[row][column], row, column, axes, depths)
        if part is not None:
            where: list[Any] = [slice(None)] * block.ndim
            where[axes[0]], where[axes[1]] = spans[0][row], spans[1][column]
            out[tuple(where)] = part
    return out


def _part(found: Any, row: int, column: int, axes: Axes, depths: tuple[int, int]) -> Any:
    """What a neighbour gives: its last edge if it lies before, its first if behind, a corner if on both axes."""
    if found is None or 0 in (depths[0] if row != 1 else 1, depths[1] if column != 1 else 1):
        return None
    if row == 1:
        return found[1][1 if column == 0 else 0]
    edge = found[0][1 if row == 0 else 0]
    if column == 1:
        return edge
    corner = slice(edge.shape[axes[1]] - depths[1], None) if column == 0 else slice(0, depths[1])
    return edge[(slice(None),) * axes[1] + (corner,)]


def _thick_enough(data: da.Array, axes: Axes, depths: tuple[int, int]) -> da.Array:
    """The array with chunks that can give a whole rim."""
    chunks = list(data.chunks)
    for axis, depth in zip(axes, depths, strict=True):
        if len(chunks[axis]) > 1 and min(chunks[axis]) < depth:
            chunks[axis] = _merged(chunks[axis], depth)
    return data.rechunk(tuple(chunks))


def _merged(sizes: Sequence[int], least: int) -> tuple[int, ...]:
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
