"""How statistics of order meet pixels in many blocks: each block is read a few times, and no pixels come together.

A median or quantile is found by counting digits (`kernels/selection.py`): one pass over the blocks per digit, each a
tree of tasks whose results are a few numbers for each group of pixels. Later passes read the blocks again, for to keep
them would be to hold the cube; only where few blocks make a plane they are kept.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.graph_manipulation import bind
from dask.highlevelgraph import HighLevelGraph

from openeo_processes_dask import dimensions
from openeo_processes_dask.expressions import Expression, Stages
from openeo_processes_dask.kernels import selection, statistics
from openeo_processes_dask.kernels.outlines import Runs
from openeo_processes_dask.kernels.reduction import Reduction
from openeo_processes_dask.kernels.zones import Part, Partials, gathered, merged, of_zones, pixels
from openeo_processes_dask.kernels.zones import planes as planes_of
from openeo_processes_dask.passages import Passage, passage
from openeo_processes_dask.reducing import SPLIT_EVERY, Segments
from openeo_processes_dask.vocabulary import Scaling

logger = logging.getLogger(__name__)

# Reducers for whose partial results the order of pixels does not matter.
COMBINED = frozenset({"all", "any", "count", "max", "mean", "min", "product", "sd", "sum", "variance"})
ORDERED = frozenset({"median", "quantiles"})
ROW = {"axis": 1, "keepdims": True}
FEW = 4  # blocks of a plane are kept from one pass to the next
_SIDE = 3  # so many by so many results meet in one task of a tree
BYTES_A_DIGIT = 16  # a key and a count
MOST_COUNTED = BYTES_A_DIGIT << selection.WIDEST  # bytes that are counted of a group at most
MOST_BLOCKS = 4  # what is counted is at most as large as so many blocks


class Step(NamedTuple):
    """A reduction and the type of its results; a statistic of order also how its values are cut into digits."""

    reduction: Reduction
    dtype: np.dtype
    how: selection.Digits | None
    skip_missing: bool
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done with the pixels of each group, which is a zone in a plane."""

    expression: Expression
    way: Passage
    zones: int
    stages: Stages
    steps: tuple[Step, ...]
    counting: bool = False

    @property
    def levels(self) -> int:
        """How often the pixels are gone through."""
        return max(step.how.levels if step.how else 1 for step in self.steps)

    @property
    def merges(self) -> list[Any]:
        """What merges the partial results of the other reductions."""
        return [s.reduction.merge for s in self.steps if s.how is None] + [statistics.COUNT.merge] * self.counting

    def __dask_tokenize__(self) -> object:
        return ("openeo-selection", self.expression, self.way, self.zones, self.counting, [s.how for s in self.steps])


class Found(NamedTuple):
    """What some blocks say in one pass: partial results in the first one, and the digits of each statistic of order.

    `size` is the shape that the planes of a block are arranged in.
    """

    size: tuple[int, ...]
    part: Part
    counts: list[selection.Counts | None]


class State(NamedTuple):
    """What is known after a pass."""

    size: tuple[int, ...]
    part: Part
    chosen: list[selection.Chosen | None]


def plan(expression: Expression, way: Passage, dtype: np.dtype, zones: int, room: int, counting: bool) -> Plan | None:
    """How a child process is done in passes; None if it needs more than statistics of order and what combines.

    `room` is the size of what may be counted of a group, in bytes.
    """
    if not expression.staged(COMBINED | ORDERED):
        return None
    stages = expression.stages(ORDERED)
    steps = []
    for found in segments(stages, way.enter(np.ones((1, 2), dtype)), np.array([0, 2])):
        assert found.reduction is not None
        how = selection.digits(found.dtype, room // BYTES_A_DIGIT) if found.reduction.ranks else None
        made = found.reduction.dtype(found.dtype)
        steps.append(Step(found.reduction, made, how, found.skip_missing, dict(found.options)))
    return Plan(expression, way, zones, stages, tuple(steps), counting)


def segments(stages: Stages, values: np.ndarray, starts: np.ndarray) -> list[Segments]:
    """What each reduction of a child process makes of values that are cut into segments."""
    with np.errstate(all="ignore"):
        every = stages.before({"data": values})
        given = [{**arguments, "data": Segments(arguments["data"], starts)} for arguments in every]
        return [node.run(arguments, ROW) for node, arguments in zip(stages.reductions, given, strict=True)]


def warn_of_gathering(expression: Expression, what: str, pixels: float, dtype: np.dtype) -> None:
    """Say that a child process that cannot be done in parts gets pixels of many blocks in one task, and how many."""
    names = ", ".join(node.id or "a function" for node in expression.nodes)
    logger.warning(
        "%s come together in one task for a reducer of [%s], which needs all values at once (%s): %.0f pixels, %.1f MB",
        *(what, names, Scaling.SHUFFLE.name, pixels, pixels * dtype.itemsize / 1e6),
    )


# --- whole planes


def planes(expression: Expression, cube: xr.DataArray) -> tuple[da.Array, Passage] | None:
    """Run a child process of the array `data` on the pixels of each plane, y and x last, which are cut into blocks.

    None where it cannot be done in passes.
    """
    data = cube.data
    pixels = max(data.chunks[-2]) * max(data.chunks[-1])
    if not data.size or not expression.staged(COMBINED | ORDERED):
        return None
    way = passage(expression, {"data": ((1, 2), data.dtype)}, dimensions.nodata(cube), ROW)
    with np.errstate(all="ignore"):
        tried = expression({"data": way.enter(np.ones((1, 2), data.dtype))}, **ROW)
    if np.size(np.nan if tried is None else tried) != 1:
        return None
    made = plan(expression, way, data.dtype, 1, MOST_BLOCKS * pixels * data.dtype.itemsize, counting=False)
    return None if made is None else (_passes(made, data), way)


def _passes(plan: Plan, data: da.Array) -> da.Array:
    """The passes over the blocks of planes, one after the other."""
    every, lead = tuple(range(data.ndim)), tuple(range(data.ndim - 2))
    meta = {"dtype": object, "meta": np.empty((0,) * len(lead), object)}
    found = _tree(data, functools.partial(_whole_planes, plan, 0, None), plan)
    state = da.blockwise(functools.partial(choose, plan, 0, None), lead, found, lead, **meta)
    for level in range(1, plan.levels):
        read = again(data, state) if data.numblocks[-1] * data.numblocks[-2] > FEW else data
        leaf = functools.partial(_counted_planes, plan, level)
        whole = {"dtype": object, "meta": np.empty((0,) * data.ndim, object)}
        counted = da.blockwise(leaf, every, read, every, state, lead, align_arrays=False, **whole)
        found = _tree(counted, _as_it_is, plan)
        state = da.blockwise(functools.partial(choose, plan, level), lead, state, lead, found, lead, **meta)
    values = functools.partial(_values_of_planes, plan)
    dtype = plan.way.dtype
    result = da.blockwise(values, lead, state, lead, dtype=dtype, meta=np.empty((0,) * len(lead), dtype))
    return da.Array(result.dask, result.name, data.chunks[:-2], dtype, meta=result._meta)


def again(data: da.Array, parents: da.Array) -> da.Array:
    """The same array, read once more when others are there; so that nobody keeps its blocks till then."""
    return bind(data, parents, seed=tokenize(data.name, parents.name), assume_layers=True)


def _tree(data: da.Array, chunk: Any, plan: Plan) -> da.Array:
    split = dict.fromkeys((data.ndim - 2, data.ndim - 1), _SIDE)
    if min(data.numblocks[-2:]) == 1:
        split = dict.fromkeys(split, _SIDE * _SIDE)
    return da.reduction(
        data,
        chunk=functools.partial(_leaf, chunk),
        combine=functools.partial(_branch, plan),
        aggregate=functools.partial(_branch, plan),
        axis=tuple(split),
        keepdims=False,
        dtype=object,
        meta=np.empty((0,) * (data.ndim - 2), object),
        split_every=split,
        concatenate=False,
        name="openeo-select",
    )


# --- zones


class Share(NamedTuple):
    """What a block has of some zones: the key of its runs, the zones that are meant, and the index of the block."""

    runs: Any
    zones: np.ndarray
    block: tuple[int, ...]


def under_zones(
    plan: Plan, data: da.Array, axes: tuple[int, int], base: da.Array, jobs: Sequence[Sequence[Share]]
) -> da.Array:
    """What is known at last of zones, one state for each job, which are the shares of blocks in some zones.

    The runs are in the graph of `base`.
    """
    known: da.Array | None = None
    for level in range(plan.levels):
        read = data if known is None else again(data, known)
        name = f"openeo-digits-{tokenize(plan, level, read.name, base.name)}"
        layer: dict[Any, Any] = {f"{name}-plan": plan}
        for number, shares in enumerate(jobs):
            before = None if known is None else (known.name, number)
            parts: list[Any] = []
            for place, (runs, zones, index) in enumerate(shares):
                parts.append((f"{name}-count", number, place))
                block = (read.name, *index)
                layer[parts[-1]] = (_in_zones, f"{name}-plan", level, before, runs, zones, axes, block)
            height = 0
            while len(parts) > SPLIT_EVERY:
                below, parts = parts, []
                for start in range(0, len(below), SPLIT_EVERY):
                    parts.append((f"{name}-meet-{height}", number, start))
                    layer[parts[-1]] = (meet, f"{name}-plan", below[start : start + SPLIT_EVERY])
                height += 1
            layer[(name, number)] = (_together, f"{name}-plan", level, before, parts)
        needed = [read, base] if known is None else [read, base, known]
        graph = HighLevelGraph.from_collections(name, layer, dependencies=needed)  # type: ignore[arg-type]  # dask types its own arrays too narrowly
        known = da.Array(graph, name, ((1,) * len(jobs),), dtype=object, meta=np.empty(0, object))
    assert known is not None
    return known


# --- what runs in a task


def count(
    plan: Plan,
    level: int,
    state: State | None,
    size: tuple[int, ...],
    values: np.ndarray,
    zones: np.ndarray,
    starts: np.ndarray,
    places: np.ndarray | None = None,
) -> Found:
    """One pass over a block, as (planes, pixels): `places` are the pixels of each zone, all of them where None."""
    partials: list[list[Partials]] = []
    digits: list[list[selection.Counts]] = [[] for _ in plan.steps]
    pieces = [(0, len(zones), values)] if places is None else gathered(values, starts, places)
    for first, last, piece in pieces:
        entered, here = plan.way.enter(piece), starts[first : last + 1] - starts[first]
        groups = np.arange(len(values))[:, None] * plan.zones + zones[first:last]
        found = segments(plan.stages, entered, here)
        for number, (step, one) in enumerate(zip(plan.steps, found, strict=True)):
            if step.how is not None and level < step.how.levels:
                chosen = None if state is None else state.chosen[number]
                digits[number].append(selection.counted(step.how, level, one.values, here, groups, chosen))
        if level == 0:
            combined = [one.partials for step, one in zip(plan.steps, found, strict=True) if step.how is None]
            counts = [Segments(entered, here).reduced(statistics.COUNT, True, {}).partials] * plan.counting
            partials.append(combined + counts)
    columns = (zip(*some, strict=True) for some in zip(*partials, strict=True))
    together = [tuple(np.concatenate(column, axis=1) for column in some) for some in columns]
    counted = [selection.merged(some) if some else None for some in digits]
    return Found(size, Part(zones, np.diff(starts), together), counted)


def meet(plan: Plan, parts: Sequence[Found]) -> Found:
    """What some blocks say together; some may hold no pixels of any zone."""
    parts = [part for part in parts if len(part.part.zones)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    columns = ([one for one in some if one is not None] for some in zip(*(p.counts for p in parts), strict=True))
    counts = [selection.merged(some) if some else None for some in columns]
    merges = plan.merges if parts[0].part.results else []
    with np.errstate(all="ignore"):
        return Found(parts[0].size, merged([part.part for part in parts], merges), counts)


def choose(plan: Plan, level: int, state: State | None, found: Found) -> State:
    """What is known after a pass: after the first one which ranks are wanted, too."""
    chosen: list[selection.Chosen | None] = []
    for number, (step, counts) in enumerate(zip(plan.steps, found.counts, strict=True)):
        before = None if state is None else state.chosen[number]
        if step.how is None or counts is None:
            chosen.append(before)
        elif before is None:
            groups, valid, gaps = selection.totals(step.how, counts)
            valid = valid if step.skip_missing else np.where(gaps > 0, 0, valid)
            ranks = step.reduction.ranks(valid, **step.options) if step.reduction.ranks else np.zeros((len(valid), 0))
            chosen.append(selection.begun(step.how, counts, groups, valid, ranks))
        else:
            chosen.append(selection.refined(step.how, level, counts, before))
    return State(found.size, found.part if state is None else state.part, chosen)


def made(plan: Plan, state: State) -> np.ndarray:
    """What a child process makes of what was found, (planes, zones)."""
    found, others = [], iter(state.part.results)
    for step, chosen in zip(plan.steps, state.chosen, strict=True):
        with np.errstate(all="ignore"):
            if step.how is not None and chosen is not None and step.reduction.chosen is not None:
                values = selection.values_of(step.how, chosen)
                found.append(step.reduction.chosen(values, chosen.valid, **step.options))
            elif step.reduction.final is not None:
                found.append(step.reduction.final(next(others), step.dtype).reshape(-1, 1))
    with np.errstate(all="ignore"):
        result = plan.stages.after({f"reduced-{number}": values for number, values in enumerate(found)}, **ROW)
    return plan.way.leave(result, (len(found[0]), 1)).reshape(-1, len(state.part.zones))


def _whole_planes(plan: Plan, level: int, state: State | None, block: np.ndarray) -> Found:
    pixels = block.shape[-2] * block.shape[-1]
    rows = block.reshape(-1, pixels)
    return count(plan, level, state, block.shape[:-2], rows, np.zeros(1, np.int64), np.array([0, pixels]))


def _counted_planes(plan: Plan, level: int, block: np.ndarray, state: State) -> Found:
    return _whole_planes(plan, level, state, block)


def _as_it_is(found: Found) -> Found:
    return found


def _leaf(run: Any, block: Any, axis: Any, keepdims: bool) -> Found:
    return run(block)


def _branch(plan: Plan, parts: Any, axis: Any, keepdims: bool) -> Found:
    return meet(plan, _flat(parts))


def _flat(parts: Any) -> list[Found]:
    """dask nests the parts in a list for each axis; a part itself is a tuple."""
    return [found for inner in parts for found in _flat(inner)] if isinstance(parts, list) else [parts]


def _values_of_planes(plan: Plan, state: State) -> np.ndarray:
    return made(plan, state).reshape(state.size)


def _in_zones(
    plan: Plan,
    level: int,
    state: State | None,
    runs: Runs,
    members: np.ndarray,
    axes: tuple[int, int],
    block: np.ndarray,
) -> Found:
    zones, starts, places = pixels(of_zones(runs, members), block.shape[axes[1]])
    size = tuple(n for axis, n in enumerate(block.shape) if axis not in axes)
    return count(plan, level, state, size, planes_of(block, axes), zones, starts, places)


def _together(plan: Plan, level: int, state: State | None, parts: list[Found]) -> State:
    return choose(plan, level, state, meet(plan, parts))


def as_part(plan: Plan, state: State) -> Part:
    """The values of zones, and the numbers of their valid pixels."""
    if not len(state.part.zones):
        return state.part
    return Part(state.part.zones, state.part.totals, [(made(plan, state),), *state.part.results[-1:] * plan.counting])
