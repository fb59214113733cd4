"""How a reducer meets the pixels under geometries: chunk by chunk, with tasks that do not count the geometries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import shapely
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from openeo_processes_dask import dimensions, geometries, selecting
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.expressions import Expression, Stages
from openeo_processes_dask.kernels import missing, outlines, statistics
from openeo_processes_dask.kernels.reduction import Reduction
from openeo_processes_dask.kernels.zones import Part, Partials, cut, gathered, merged, of_zones, pixels, planes
from openeo_processes_dask.passages import Passage, passage
from openeo_processes_dask.reducing import SPLIT_EVERY, Segments
from openeo_processes_dask.selecting import COMBINED, ROW, segments
from openeo_processes_dask.vocabulary import Scaling

COUNTS = ("value", "total_count", "valid_count")
_MOST_BLOCKS = 8  # as many blocks may have the pixels that are brought together in one task
_FEW = 4  # results of groups meet so early that groups side by side are made soon after each other


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done with the pixels of each zone, on every block the same.

    `stages` are there if partial results can be combined, and `steps` are their reductions and the types of the
    results. With `counting` each value is followed by the number of pixels and that of valid ones.
    """

    expression: Expression
    way: Passage
    axes: tuple[int, int]
    zones: int
    counting: bool
    stages: Stages | None = None
    steps: tuple[tuple[Reduction, np.dtype], ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """The type of what comes out."""
        return np.result_type(self.way.dtype, np.int64) if self.counting else self.way.dtype

    def __dask_tokenize__(self) -> object:
        return ("openeo-zones", self.expression, self.way, self.axes, self.zones, self.counting)


class Group(NamedTuple):
    """Zones whose pixels are brought together: which of them lie in which block, and how large a share of the limit."""

    members: dict[tuple[int, int], np.ndarray]
    share: float


class Pieces(NamedTuple):
    """The values (planes, pixels) of some zones in one block."""

    zones: np.ndarray
    values: list[np.ndarray]


def reduced(
    expression: Expression, cube: xr.DataArray, found: geometries.Placed, zones: int, counting: bool
) -> tuple[Any, Passage]:
    """Run a child process of the array `data` on the pixels under each of so many geometries.

    What comes back has the axes of the cube without y and x, then one of the geometries and, with `counting`, one of
    the value, the number of pixels and that of valid ones. Geometries without pixels have no-data.

    Raises
    ------
    ProcessParameterInvalid
        If the child process makes several values of an array.
    """
    y, x = (cube.get_axis_num(name) for name in dimensions.require_spatial(cube))
    plan = _plan(expression, cube, (y, x), zones, counting)
    if isinstance(cube.data, da.Array):
        return _graph(plan, cube.data, found), plan.way
    size = tuple(n for i, n in enumerate(cube.shape) if i not in plan.axes)
    runs = _runs(geometries.shapes_of(found.parts, found.owners), outlines.Window(*found.size))
    if plan.stages is not None:
        return _finished(plan, size, [_partials(plan, runs, cube.values)]), plan.way
    return _finished(plan, size, [_of_group(plan, [_pieces(plan, runs, None, None, cube.values)])]), plan.way


def _plan(expression: Expression, cube: xr.DataArray, axes: tuple[int, int], zones: int, counting: bool) -> Plan:
    way = passage(expression, {"data": ((1, 2), cube.dtype)}, dimensions.nodata(cube), ROW)
    if way.dtype.kind in "biu" and not way.keeps_nodata:
        way = Passage(way.fill, False, missing.float_of(way.dtype))  # a geometry may have no pixel, and so no value
    sample = way.enter(np.ones((1, 2), cube.dtype))
    with np.errstate(all="ignore"):
        tried = expression({"data": sample}, **ROW)
    if np.size(np.nan if tried is None else tried) != 1:
        raise ProcessParameterInvalid(f"the reducer makes {np.size(tried)} values of an array, not one")
    stages = expression.stages() if expression.scaling is Scaling.TREE else None
    if stages is None or not all(node.id in COMBINED for node in stages.reductions):
        return Plan(expression, way, axes, zones, counting)
    found = segments(stages, sample, np.array([0, 2]))
    steps = tuple((s.reduction, s.reduction.dtype(s.dtype)) for s in found if s.reduction is not None)
    return Plan(expression, way, axes, zones, counting, stages, steps)


# --- the graph


def _graph(plan: Plan, data: da.Array, found: geometries.Placed) -> da.Array:
    name = f"openeo-zones-{tokenize(plan, data.name, shapely.to_wkb(found.parts), found.owners)}"
    lead = tuple(c for i, c in enumerate(data.chunks) if i not in plan.axes)
    meeting = list(geometries.blocks(found, *(data.chunks[axis] for axis in plan.axes)))
    groups, large = ([], []) if plan.stages is not None else _groups(found, meeting)
    chosen, jobs = _chosen(plan, data, large, meeting)
    if large and chosen is None:
        most = max(group.share for group in large) * _room(meeting)
        selecting.warn_of_gathering(plan.expression, f"those under each of {len(large)} geometries", most, data.dtype)
        groups += large
    base: dict[Any, Any] = {f"{name}-plan": plan}
    runs: dict[tuple[int, int], Any] = {block.place: (_runs, block.shapes, block.window) for block in meeting}
    if math.prod(map(len, lead)) > 1 or chosen is not None:  # several tasks use them
        base.update({(f"{name}-runs", *place): made for place, made in runs.items()})
        runs = {place: (f"{name}-runs", *place) for place in runs}
    lines = HighLevelGraph.from_collections(f"{name}-base", base)
    shared = da.Array(lines, f"{name}-base", ((1,),), dtype=object, meta=np.empty(0, object))
    indices = list(itertools.product(*(range(len(c)) for c in lead)))
    states = None
    if chosen is not None:
        shares = [
            [selecting.Share(runs[place], zones, in_order(index, place, plan.axes)) for place, zones in job.items()]
            for index, job in itertools.product(indices, jobs)
        ]
        states = selecting.under_zones(chosen, data, plan.axes, shared, shares)
    layer: dict[Any, Any] = {f"{name}-chosen": chosen}
    for number, index in enumerate(indices):
        size = tuple(c[i] for c, i in zip(lead, index, strict=True))
        sources = {
            place: (of_block, (data.name, *in_order(index, place, plan.axes))) for place, of_block in runs.items()
        }
        key = (name, *index, 0, 0) if plan.counting else (name, *index, 0)
        parts = []
        if plan.stages is not None:
            parts = _tree(layer, name, index, sources)
        elif groups:
            parts = _grouped(layer, name, index, sources, groups, math.prod(size))
        if states is not None:
            for place in range(number * len(jobs), (number + 1) * len(jobs)):
                parts.append((f"{name}-zone", place))
                layer[parts[-1]] = (selecting.as_part, f"{name}-chosen", (states.name, place))
        layer[key] = (_finished, f"{name}-plan", size, parts)
    chunks = (*lead, (plan.zones,), *([(len(COUNTS),)] if plan.counting else []))
    needed = [data, shared] if states is None else [data, shared, states]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=needed)  # type: ignore[arg-type]  # dask types its own arrays too narrowly
    return da.Array(graph, name, chunks, meta=np.empty((0,) * len(chunks), plan.dtype))


def _chosen(
    plan: Plan, data: da.Array, large: Sequence[Group], meeting: Sequence[geometries.Block]
) -> tuple[selecting.Plan | None, list[dict[tuple[int, int], np.ndarray]]]:
    """How zones that are much larger than blocks are reduced in passes, if they can be, and which of them together."""
    if not large:
        return None, []
    pixels = max(block.window.height * block.window.width for block in meeting)
    room = max(selecting.MOST_BLOCKS * data.dtype.itemsize * pixels, selecting.MOST_COUNTED)
    jobs: list[dict[tuple[int, int], np.ndarray]] = []
    filled = math.inf
    for group in large:
        counted = min(int(group.share * _room(meeting)) * selecting.BYTES_A_DIGIT, selecting.MOST_COUNTED)
        if filled + counted > room:
            jobs.append({})
            filled = 0
        filled += counted
        for place, zones in group.members.items():
            jobs[-1][place] = np.append(jobs[-1].get(place, zones[:0]), zones)
    room = selecting.MOST_COUNTED
    return selecting.plan(plan.expression, plan.way, data.dtype, plan.zones, room, plan.counting), jobs


def in_order(index: Sequence[int], place: tuple[int, int], axes: tuple[int, int]) -> tuple[int, ...]:
    """The index of a block among all axes, from that of the others and the place along y and x."""
    rest = iter(index)
    at = dict(zip(axes, place, strict=True))
    return tuple(at[axis] if axis in at else next(rest) for axis in range(len(index) + 2))


def _tree(layer: dict[Any, Any], name: str, index: tuple[int, ...], sources: Mapping[Any, Any]) -> list[Any]:
    """Partial results of each block, then of several together until few are left."""
    parts = []
    for place, (runs, block) in sources.items():
        parts.append((f"{name}-part", *index, *place))
        layer[parts[-1]] = (_partials, f"{name}-plan", runs, block)
    return _brought_together(layer, name, index, parts, SPLIT_EVERY)


def _brought_together(
    layer: dict[Any, Any], name: str, index: tuple[int, ...], parts: list[Any], most: int
) -> list[Any]:
    """The last few of a tree of tasks, each of which merges what a few make."""
    level, height = parts, 0
    while len(level) > most:
        below, level = level, []
        for start in range(0, len(below), most):
            level.append((f"{name}-merge-{height}", *index, start))
            layer[level[-1]] = (_merged, f"{name}-plan", below[start : start + most])
        height += 1
    return level


def _room(meeting: Sequence[geometries.Block]) -> int:
    """How many pixels of a plane are brought together."""
    return _MOST_BLOCKS * max(block.window.height * block.window.width for block in meeting)


def _groups(found: geometries.Placed, meeting: Sequence[geometries.Block]) -> tuple[list[Group], list[Group]]:
    """Zones that lie side by side, in groups of about as many pixels as a few blocks have, and much larger zones."""
    if not meeting:
        return [], []
    most = _room(meeting)
    areas = shapely.area(found.parts)
    pixels = np.where(areas > 0, areas, shapely.length(found.parts)) + 1
    sizes = np.bincount(found.owners, np.minimum(pixels, math.prod(found.size)))
    zones = np.concatenate([block.owners for block in meeting])
    places = np.repeat(np.arange(len(meeting)), [len(block.owners) for block in meeting])
    met = zones[np.sort(np.unique(zones, return_index=True)[1])]  # as they are first met
    small, large = met[sizes[met] <= most], met[sizes[met] > most]
    number = np.zeros(len(sizes), np.int64)
    number[small] = np.cumsum(sizes[small]) // most
    number[large] = number.max() + 1 + np.arange(len(large))
    first_large = number[large[0]] if len(large) else number.max() + 1
    shares = np.bincount(number[met], sizes[met]) / most
    order = np.lexsort((places, number[zones]))
    zones, places = zones[order], places[order]
    own = number[zones]
    first = np.flatnonzero(np.append(True, (own[1:] != own[:-1]) | (places[1:] != places[:-1])))
    members: dict[int, dict[tuple[int, int], np.ndarray]] = {}
    for some, at in zip(np.split(zones, first[1:]), first.tolist(), strict=True):
        members.setdefault(int(own[at]), {})[meeting[places[at]].place] = some
    groups = {number: Group(held, float(shares[number])) for number, held in members.items()}
    return (
        [group for number, group in groups.items() if number < first_large],
        [group for number, group in groups.items() if number >= first_large],
    )


def _grouped(
    layer: dict[Any, Any],
    name: str,
    index: tuple[int, ...],
    sources: Mapping[Any, Any],
    groups: Sequence[Group],
    planes: int,
) -> list[Any]:
    """The results of each group of zones, some planes at a time where a group is much larger than a block."""
    parts: list[Any] = []
    for number, group in enumerate(groups):
        step = max(1, int(planes / max(1.0, group.share)))
        slabs: list[Any] = []
        for start in range(0, planes, step):
            pieces = []
            for place, zones in group.members.items():
                runs, block = sources[place]
                pieces.append((f"{name}-pieces", *index, number, start, *place))
                layer[pieces[-1]] = (_pieces, f"{name}-plan", runs, zones, (start, start + step), block)
            slabs.append((f"{name}-group", *index, number, start))
            layer[slabs[-1]] = (_of_group, f"{name}-plan", pieces)
        if len(slabs) > 1:
            layer[(f"{name}-planes", *index, number)] = (_stacked, slabs)
            slabs = [(f"{name}-planes", *index, number)]
        parts += slabs
    return _brought_together(layer, name, index, parts, _FEW)


# --- what runs in a task


def _runs(shapes: outlines.Shapes, window: outlines.Window) -> outlines.Runs:
    return outlines.disjoint(shapes.runs(window))


def _counted(values: np.ndarray, starts: np.ndarray) -> Partials:
    return Segments(values, starts).reduced(statistics.COUNT, True, {}).partials


def _partials(plan: Plan, runs: outlines.Runs, block: np.ndarray) -> Part:
    """The partial results of all zones that have pixels in a block."""
    assert plan.stages is not None
    zones, starts, places = pixels(runs, block.shape[plan.axes[1]])
    found: list[list[Partials]] = []
    for first, last, values in gathered(planes(block, plan.axes), starts, places):
        entered, here = plan.way.enter(values), starts[first : last + 1] - starts[first]
        results = [segments.partials for segments in segments(plan.stages, entered, here)]
        found.append([*results, _counted(entered, here)] if plan.counting else results)
    together = [tuple(np.concatenate(c, axis=1) for c in zip(*some, strict=True)) for some in zip(*found, strict=True)]
    return Part(zones, np.diff(starts), together)


def _merged(plan: Plan, parts: list[Part]) -> Part:
    reductions = [reduction for reduction, _ in plan.steps] + [statistics.COUNT] * plan.counting
    merges = [reduction.merge for reduction in reductions if reduction.merge is not None]
    if plan.stages is None:
        merges = [_apart] * (1 + plan.counting)
    with np.errstate(all="ignore"):
        return merged([part for part in parts if len(part.zones)], merges)


def _apart(parts: list[Partials]) -> Partials:
    raise AssertionError("the pixels of a zone were not brought together")


def _finished(plan: Plan, size: tuple[int, ...], parts: list[Part]) -> np.ndarray:
    """The values of all zones, no-data for those without pixels, and how many pixels they have."""
    part = _merged(plan, parts)
    rows = math.prod(size)
    gap = plan.way.fill if plan.way.keeps_nodata else np.nan if plan.way.dtype.kind in "fc" else None
    out = np.full((rows, plan.zones), gap, plan.way.dtype)
    if len(part.zones):
        out[:, part.zones] = part.results[0][0] if plan.stages is None else _made(plan, part)
    if not plan.counting:
        return out.reshape(*size, plan.zones)
    counts = np.zeros((rows, plan.zones, 2), np.int64)
    if len(part.zones):
        counts[:, part.zones, 0], counts[:, part.zones, 1] = part.totals, part.results[-1][0]
    every = np.concatenate([out[..., None].astype(plan.dtype), counts.astype(plan.dtype)], axis=2)
    return every.reshape(*size, plan.zones, len(COUNTS))


def _made(plan: Plan, part: Part) -> np.ndarray:
    """What a child process makes of the partial results of all blocks."""
    assert plan.stages is not None
    with np.errstate(all="ignore"):
        steps = zip(plan.steps, part.results, strict=False)
        finals = [reduction.final(partials, dtype) for (reduction, dtype), partials in steps if reduction.final]
        result = plan.stages.after({f"reduced-{i}": values for i, values in enumerate(finals)})
    return plan.way.leave(result, (len(part.results[0][0]), len(part.zones)))


def _pieces(
    plan: Plan, runs: outlines.Runs, members: np.ndarray | None, slab: tuple[int, int] | None, block: np.ndarray
) -> Pieces:
    runs = runs if members is None else of_zones(runs, members)
    zones, starts, places = pixels(runs, block.shape[plan.axes[1]])
    rows = planes(block, plan.axes)[slice(*(slab or (None, None)))]
    return Pieces(zones, cut(np.take(rows, places, axis=1), starts) if len(zones) else [])


def _of_group(plan: Plan, pieces: list[Pieces]) -> Part:
    """What a child process makes of the pixels of each zone."""
    together: dict[int, list[np.ndarray]] = {}
    for piece in pieces:
        for zone, values in zip(piece.zones.tolist(), piece.values, strict=True):
            together.setdefault(zone, []).append(values)
    totals: list[int] = []
    results: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    for parts in together.values():
        values = plan.way.enter(np.concatenate(parts, axis=1))
        with np.errstate(all="ignore"):
            made = plan.expression({"data": values}, **ROW)
        results.append(plan.way.leave(made, (len(values), 1)))
        totals.append(values.shape[1])
        if plan.counting:
            counts.append(_counted(values, np.array([0, values.shape[1]]))[0])
    if not together:
        return Part(np.empty(0, np.int64), np.empty(0, np.int64), [])
    every: list[Partials] = [(np.concatenate(some, axis=1),) for some in (results, counts) if some]
    return Part(np.array(list(together)), np.array(totals), every)


def _stacked(slabs: list[Part]) -> Part:
    """The results of some planes after those of others, of the same zones."""
    first = slabs[0]
    together = [
        tuple(np.concatenate(c) for c in zip(*some, strict=True))
        for some in zip(*(s.results for s in slabs), strict=True)
    ]
    return Part(first.zones, first.totals, together)
