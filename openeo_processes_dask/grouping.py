"""How groups of rows meet the blocks that hold them: one layer of a graph, whatever the number of groups."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from openeo_processes_dask import reducing, rows
from openeo_processes_dask.declare import declared
from openeo_processes_dask.expressions import Expression, Ref, references
from openeo_processes_dask.vocabulary import Scaling

ALIGNED = 0.75  # of the groups that a block reaches over are enough for a block of results
MOST_GROWN = 4  # a block of results holds at most so many times the rows of a block of the source


class Statistic(Protocol):
    """What is made of the rows of a group, at once or from parts."""

    def whole(self, block: np.ndarray, number: int) -> np.ndarray:
        """Make the result of group `number`, on an axis of length one."""

    def begin(self, block: np.ndarray) -> reducing.Parts:
        """Make partial results of some rows of a group."""

    def finish(self, parts: reducing.Parts) -> np.ndarray:
        """Make the result of a group of its partial results."""


@dataclass(frozen=True)
class Rows:
    """Where the rows of groups are: for each group its number, and which rows it has of which piece."""

    axis: int
    dtype: np.dtype
    groups: tuple[tuple[int, tuple[tuple[int, Any], ...]], ...]

    def of(self, pieces: Sequence[np.ndarray], places: Sequence[tuple[int, Any]]) -> np.ndarray:
        """The rows of one group; copied only if they lie in several pieces or apart."""
        before = (slice(None),) * self.axis
        found = [pieces[piece][(*before, at)] for piece, at in places]
        if len(found) == 1:
            return found[0]
        return np.concatenate(found, self.axis) if found else pieces[0][(*before, slice(0, 0))]


@dataclass(frozen=True)
class _Run:
    """Groups that follow each other and make one block: their numbers, and the pieces that hold their rows."""

    numbers: range
    pieces: list[tuple[int, Any]]  # a block along the axis, and its positions; None for all


def on_array(
    statistic: Statistic, block: np.ndarray, axis: int, groups: Sequence[Sequence[int]], dtype: np.dtype
) -> np.ndarray:
    """Make the results of all groups of a block that holds them, one after the other."""
    places = ((0, reducing.as_slice(group)) for group in groups)
    return _whole(statistic, Rows(axis, dtype, tuple((i, (place,)) for i, place in enumerate(places))), [block])


def reducers(expression: Expression) -> int:
    """How many reducers a child process applies to its array; 0 if it makes something else too of whole rows.

    What comes before them needs but its own values, and what comes after them but their results.
    """
    levels: list[int] = []
    number = 0
    for node in expression.nodes:
        process, used = declared(node.function), _levels(list(node.arguments.values()), levels, expression)
        if process is None or process.callbacks or len(used) > 1:
            return 0
        gathers = process.scaling is not Scaling.BLOCKWISE
        if gathers and ("reducer" not in process.categories or used == {1}):
            return 0
        number += gathers
        levels.append(1 if gathers or used == {1} else 0)
    return number if _levels(expression.result, levels, expression) == {1} else 0


def _levels(value: Any, levels: Sequence[int], expression: Expression) -> set[int]:
    """Whether what is referred to lies along the rows, 0, or is made of reduced ones, 1."""
    free = [r for r in references(value) if isinstance(r, Ref) or r.name not in expression.bound]
    return {levels[r.index] if isinstance(r, Ref) else 0 for r in free}


def on_dask(
    statistic: Statistic, data: da.Array, axis: int, groups: Sequence[Sequence[int]], dtype: np.dtype, combines: bool
) -> da.Array:
    """Make the results of all groups of a dask array that is cut along the axis.

    Groups that begin in the same block make one block of results, in one task that gets the blocks which hold them,
    or slices where it needs less than half. If that were too many blocks, partial results of some of them come
    first, where the statistic combines; else blocks are cut across the axis.
    """
    positions = [np.asarray(group, np.intp) for group in groups]
    runs = _runs(positions, data.chunks[axis])
    longest = max(data.chunks[axis])
    if not combines:
        weights = (sum(_length(piece, data.chunks[axis]) for piece in run.pieces) for run in runs)
        data = rows.meeting(data, axis, math.ceil(max(weights, default=0) / longest))
    name = f"openeo-groups-{tokenize(data.name, axis, [list(g) for g in groups], statistic, str(dtype))}"
    layer: dict[Any, Any] = {}
    others = [range(n) for i, n in enumerate(data.numblocks) if i != axis]
    starts = np.cumsum([0, *data.chunks[axis]])
    for at, run in enumerate(runs):
        batches = _batches(run, data.chunks[axis], longest) if combines else [run.pieces]
        found = [_rows_of(run, batch, positions, starts, axis, dtype) for batch in batches]
        for place in itertools.product(*others):
            keys = [_keys(layer, name, data, axis, place, at, batch) for batch in batches]
            _tasks(layer, name, (at, *place), (*place[:axis], at, *place[axis:]), statistic, found, keys)
    chunks = tuple(tuple(len(r.numbers) for r in runs) if i == axis else c for i, c in enumerate(data.chunks))
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])  # type: ignore[list-item]  # dask types its own arrays too narrowly
    return da.Array(graph, name, chunks, dtype, meta=np.empty((0,) * data.ndim, dtype))


# --- what lies where


def _runs(groups: Sequence[np.ndarray], chunks: Sequence[int]) -> list[_Run]:
    """Groups that follow each other and begin in the same block, but at least as many as most blocks reach over.

    Groups without rows go with the ones before.
    """
    starts = np.cumsum([0, *chunks])
    most = MOST_GROWN * max(chunks)
    least = int(ALIGNED * _usual_reach(groups, starts))
    homes = [int(np.searchsorted(starts, group[0], "right")) if len(group) else None for group in groups]
    ends: list[int] = []
    first, home = 0, None
    for number, own in enumerate(homes):
        elsewhere = own is not None and home is not None and own != home
        if number > first and ((elsewhere and number - first >= least) or number - first >= most):
            ends.append(number)
            first, home = number, None
        home = own if home is None else home
    bounds = [0, *ends, len(groups)] if len(groups) else [0]
    return [_Run(range(a, b), _pieces(groups[a:b], chunks, starts)) for a, b in itertools.pairwise(bounds)]


def _usual_reach(groups: Sequence[np.ndarray], starts: np.ndarray) -> float:
    """From the first to the last group that has rows in it a block reaches over so many groups, in the median."""
    if not any(map(len, groups)):
        return 0
    numbers = np.repeat(np.arange(len(groups)), list(map(len, groups)))
    blocks = np.searchsorted(starts, np.concatenate(groups), "right") - 1
    lowest, highest = np.full(len(starts), len(groups)), np.full(len(starts), -1)
    np.minimum.at(lowest, blocks, numbers)
    np.maximum.at(highest, blocks, numbers)
    return float(np.median((highest - lowest + 1)[highest >= 0]))


def _pieces(groups: Sequence[np.ndarray], chunks: Sequence[int], starts: np.ndarray) -> list[tuple[int, Any]]:
    """The blocks that hold the rows of groups; of a block of which less than half is needed, these rows only."""
    needed = np.unique(np.concatenate(groups)) if len(groups) else np.empty(0, np.intp)
    if not needed.size:
        return [(0, slice(0, 0))]
    blocks = np.searchsorted(starts, needed, "right") - 1
    pieces: list[tuple[int, Any]] = []
    for block in np.unique(blocks):
        inside = needed[blocks == block] - starts[block]
        pieces.append((int(block), None if 2 * inside.size >= chunks[block] else reducing.as_slice(inside)))
    return pieces


def _length(piece: tuple[int, Any], chunks: Sequence[int]) -> int:
    block, inside = piece
    if inside is None:
        return chunks[block]
    return inside.stop - inside.start if isinstance(inside, slice) else len(inside)


def _batches(run: _Run, chunks: Sequence[int], longest: int) -> list[list[tuple[int, Any]]]:
    """Pieces that may meet in one task."""
    batches: list[list[tuple[int, Any]]] = [[]]
    held = 0
    for piece in run.pieces:
        length = _length(piece, chunks)
        if batches[-1] and held + length > rows.MOST_TOGETHER * longest:
            batches.append([])
            held = 0
        batches[-1].append(piece)
        held += length
    return batches


def _rows_of(
    run: _Run,
    pieces: Sequence[tuple[int, Any]],
    groups: Sequence[np.ndarray],
    starts: np.ndarray,
    axis: int,
    dtype: np.dtype,
) -> Rows:
    """Which rows of some pieces belong to each group of a run."""
    held = {}
    for number, (block, inside) in enumerate(pieces):
        every = np.arange(starts[block], starts[block + 1])
        held[number] = every if inside is None else every[inside]
    found = []
    for number in run.numbers:
        places = []
        for piece, positions in held.items():
            inside = np.flatnonzero(np.isin(positions, groups[number]))
            if inside.size:
                places.append((piece, reducing.as_slice(inside)))
        found.append((number, tuple(places)))
    return Rows(axis, dtype, tuple(found))


# --- tasks


def _keys(
    layer: dict[Any, Any],
    name: str,
    data: da.Array,
    axis: int,
    place: tuple[int, ...],
    at: int,
    pieces: Sequence[tuple[int, Any]],
) -> list[Any]:
    """The keys of pieces; a task cuts out one that is not a whole block."""
    keys = []
    for block, inside in pieces:
        key = (data.name, *place[:axis], block, *place[axis:])
        if inside is not None:
            source, key = key, (f"{name}-rows", at, block, *place)
            layer[key] = (operator.getitem, source, (*(slice(None),) * axis, inside))
        keys.append(key)
    return keys


def _tasks(
    layer: dict[Any, Any],
    name: str,
    at: tuple[int, ...],
    place: tuple[int, ...],
    statistic: Statistic,
    found: list[Rows],
    keys: list[list[Any]],
) -> None:
    """One task that makes the results of a run, or a tree of partial results of which it makes them."""
    if len(keys) == 1:
        layer[(name, *place)] = (functools.partial(_whole, statistic, found[0]), keys[0])
        return
    level = []
    for number, (of_batch, batch) in enumerate(zip(found, keys, strict=True)):
        key = (f"{name}-begun", 0, number, *at)
        layer[key] = (functools.partial(_begun, statistic, of_batch, number == 0), batch)
        level.append(key)
    depth = 1
    while len(level) > reducing.SPLIT_EVERY:
        merged = []
        for number, some in enumerate(_split(level, reducing.SPLIT_EVERY)):
            key = (f"{name}-begun", depth, number, *at)
            layer[key] = (_merged, some)
            merged.append(key)
        level, depth = merged, depth + 1
    layer[(name, *place)] = (functools.partial(_finished, statistic, found[0]), level)


def _split(keys: list[Any], most: int) -> Iterator[list[Any]]:
    for start in range(0, len(keys), most):
        yield keys[start : start + most]


def _whole(statistic: Statistic, found: Rows, pieces: list[np.ndarray]) -> np.ndarray:
    shape = tuple(len(found.groups) if i == found.axis else n for i, n in enumerate(pieces[0].shape))
    out = np.empty(shape, found.dtype)
    for place, (number, places) in enumerate(found.groups):
        made = statistic.whole(found.of(pieces, places), number)
        out[(slice(None),) * found.axis + (slice(place, place + 1),)] = made
    return out


def _begun(statistic: Statistic, found: Rows, first: bool, pieces: list[np.ndarray]) -> dict[int, Any]:
    """Partial results of each group that has rows here; the first batch answers for groups without any."""
    return {
        number: statistic.begin(found.of(pieces, places)) if places else None
        for number, places in found.groups
        if places or first
    }


def _merged(parts: list[dict[int, Any]]) -> dict[int, Any]:
    numbers = {number for part in parts for number in part}
    return {number: reducing.merged([p[number] for p in parts if p.get(number) is not None]) for number in numbers}


def _finished(statistic: Statistic, found: Rows, parts: list[dict[int, Any]]) -> np.ndarray:
    made = [statistic.finish(part) for _, part in sorted(_merged(parts).items())]
    return np.concatenate(np.broadcast_arrays(*made), found.axis).astype(found.dtype, copy=False)
