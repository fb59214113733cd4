"""Segments of a cube, each under a polygon, that a child process gets as cubes: several of them in one task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from openeo_processes_dask import callbacks, dimensions, geometries, neighborhoods, places, zones
from openeo_processes_dask.exceptions import GeometriesOverlap
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.kernels import missing, outlines
from openeo_processes_dask.kernels.zones import curve
from openeo_processes_dask.passages import Passage, Trial, passage

_SIDE_TRIED = 8  # pixels of the sides of a segment on which a child process is tried


class Segment(NamedTuple):
    """The pixels of a polygon as runs along rows, in order, in the smallest window of the grid that holds them.

    A polygon may hold more pixels than the memory of whoever builds the graph: they are only counted out in tasks.
    """

    rows: np.ndarray
    firsts: np.ndarray
    lasts: np.ndarray
    window: tuple[int, int, int, int]

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """The row and the column of each."""
        lengths = self.lasts - self.firsts + 1
        behind = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(self.rows, lengths), np.repeat(self.firsts, lengths) + behind


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done with each segment: values enter in a type that holds the mask, and `outside` all else comes out."""

    expression: Expression
    way: Passage
    place: places.Place
    axes: tuple[int, int]
    shape: tuple[int, ...]
    entering: np.dtype
    mask: Any
    outside: Any
    dtype: np.dtype

    def __dask_tokenize__(self) -> object:
        return ("openeo-segments", self.expression, self.way, self.axes, self.shape, str(self.entering), self.mask)


class Part(NamedTuple):
    """Where a block of the source lies among the segments of a group, and what each of them has of it."""

    others: tuple[slice, ...]
    segments: list[tuple[int, tuple[slice, slice], tuple[slice, slice]]]  # its number, in the block, in its window


def apply(expression: Expression, cube: xr.DataArray, found: geometries.Placed, mask: Any) -> tuple[Any, Passage]:
    """Run a child process of the cube `data` on each segment; pixels outside become the mask, or no-data.

    One that needs of each pixel but its own values runs on what each block has of all segments: these may then be
    larger than memory. All else brings a segment together.

    Raises
    ------
    GeometriesOverlap
        If a pixel lies in several polygons.
    DataCubePropertiesImmutable
        If the child process returns other dimensions or labels, as far as a small segment shows it.
    """
    segments = _segments(found)
    plan = _plan(expression, cube, mask)
    if isinstance(cube.data, da.Array):
        edges = [np.cumsum((0, *cube.data.chunks[axis])) for axis in plan.axes]
        if callbacks.local(plan.expression, [str(d) for i, d in enumerate(cube.dims) if i not in plan.axes]):
            groups = [[segment] for segment in _by_block(segments, edges)]
        else:
            groups = _groups(segments, edges, max(int(math.prod(cube.data.chunksize[axis] for axis in plan.axes)), 1))
        return _graph(plan, cube.data, groups, edges), plan.way
    whole = tuple(slice(0, n) for i, n in enumerate(cube.shape) if i not in plan.axes)
    shares = [(i, _span(s.window, (0, 0)), _span(s.window, s.window[::2])) for i, s in enumerate(segments)]
    part = Part(whole, shares)
    results = _on_group(plan, segments, [part], [_crop(plan, cube.values, part)])
    return _scattered(plan, cube.shape, (0, 0), [(segments, results)]), plan.way


def _segments(found: geometries.Placed) -> list[Segment]:
    runs = geometries.shapes_of(found.parts, found.owners).runs(outlines.Window(*found.size))
    runs = outlines.disjoint(runs)
    order = np.lexsort((runs.firsts, runs.rows))
    rows, firsts, lasts, _ = (column[order] for column in runs)
    if len(rows):
        line = rows * (found.size[1] + 1)
        reach = np.maximum.accumulate(lasts + line)
        met = np.flatnonzero(firsts[1:] + line[1:] <= reach[:-1])
        if len(met):
            row, column = int(rows[met[0] + 1]), int(firsts[met[0] + 1])
            raise GeometriesOverlap(f"the pixel in row {row} and column {column} of the cube lies in several polygons")
    made = []
    for some in np.split(np.arange(len(runs.rows)), np.flatnonzero(np.diff(runs.owners)) + 1) if len(rows) else ():
        made.append(_segment(runs.rows[some], runs.firsts[some], runs.lasts[some]))
    return made


def _plan(expression: Expression, cube: xr.DataArray, mask: Any) -> Plan:
    y, x = (cube.get_axis_num(name) for name in dimensions.require_spatial(cube))
    expression, place = places.prepared(expression), places.of(cube)
    fill = dimensions.nodata(cube)
    entering = cube.dtype if mask is None and fill is not None else missing.holding(cube.dtype, mask)
    sides = [min(n, _SIDE_TRIED) if i in (y, x) else n for i, n in enumerate(cube.shape)]
    first = [neighborhoods.Window(0, side, 0, 0, (0, 0)) for side in sides]

    def tried(values: Any) -> np.ndarray:
        seen = neighborhoods.window_of(values["data"], first, place)
        return neighborhoods.same_shape(expression({"data": seen}), seen)

    with places.at(replace(place, trial=True)):
        way = passage(Trial(expression, tried), {"data": (tuple(w.stop for w in first), entering)}, fill, {})
    outside = mask if mask is not None else way.fill if way.keeps_nodata else None
    dtype = missing.holding(way.dtype, outside)
    outside = np.nan if outside is None else outside
    return Plan(expression, way, place, (y, x), cube.shape, entering, mask, outside, dtype)


# --- the graph


def _graph(plan: Plan, data: da.Array, groups: list[list[Segment]], edges: Sequence[np.ndarray]) -> da.Array:
    name = f"openeo-segments-{tokenize(plan, data.name, [[s[:3] for s in group] for group in groups])}"
    lead = [c for i, c in enumerate(data.chunks) if i not in plan.axes]
    starts = [np.cumsum((0, *c)) for c in lead]
    others = {
        index: tuple(slice(int(s[i]), int(s[i + 1])) for s, i in zip(starts, index, strict=True))
        for index in itertools.product(*(range(len(c)) for c in lead))
    }
    layer: dict[Any, Any] = {f"{name}-plan": plan}
    under: dict[tuple[int, int], list[tuple[int, list[int]]]] = {}
    for number, group in enumerate(groups):
        spots: dict[tuple[int, int], list[int]] = {}
        for member, segment in enumerate(group):
            for spot in _blocks(segment, edges):
                spots.setdefault(spot, []).append(member)
        parts, pieces = [], []
        for index, (spot, members) in itertools.product(others, spots.items()):
            met = [_shared(group[m].window, spot, edges) for m in members]
            parts.append(Part(others[index], [(m, *both) for m, both in zip(members, met, strict=True)]))
            pieces.append((f"{name}-piece", number, *index, *spot))
            source = (data.name, *zones.in_order(index, spot, plan.axes))
            layer[pieces[-1]] = (_cropped, f"{name}-plan", source, _Held(parts[-1]))
        layer[f"{name}-parts-{number}"] = _Held((group, parts))
        layer[(f"{name}-group", number)] = (_on_held, f"{name}-plan", f"{name}-parts-{number}", pieces)
        for spot, members in spots.items():
            under.setdefault(spot, []).append((number, members))
            for index in others:
                share = (f"{name}-share", number, *index, *spot)
                layer[share] = (_share, (f"{name}-group", number), _Held((members, others[index])))
    for index, *place_of in itertools.product(others, *(range(len(edge) - 1) for edge in edges)):
        spot = (place_of[0], place_of[1])
        here = under.get(spot, [])
        held = _Held([[groups[number][m] for m in members] for number, members in here])
        shares = [(f"{name}-share", number, *index, *spot) for number, _ in here]
        place = zones.in_order(index, spot, plan.axes)
        shape = tuple(c[i] for c, i in zip(data.chunks, place, strict=True))
        corner = tuple(int(e[i]) for e, i in zip(edges, spot, strict=True))
        layer[(name, *place)] = (_on_block, f"{name}-plan", shape, corner, held, shares)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])  # type: ignore[list-item]  # dask types its own arrays too narrowly
    return da.Array(graph, name, data.chunks, meta=np.empty((0,) * data.ndim, plan.dtype))


class _Held:
    """What tasks get as it is: dask does not look inside for keys."""

    def __init__(self, value: Any):
        self.value = value


def _by_block(segments: Sequence[Segment], edges: Sequence[np.ndarray]) -> list[Segment]:
    """What each block has of all segments, as one segment."""
    if not segments:
        return []
    rows, firsts, lasts = (np.concatenate([s[column] for s in segments]) for column in range(3))
    tops, lefts, rights = (
        np.searchsorted(edge, places_of, side="right") - 1
        for edge, places_of in zip((edges[0], edges[1], edges[1]), (rows, firsts, lasts), strict=True)
    )
    counts = rights - lefts + 1  # of blocks that a run reaches into
    run = np.repeat(np.arange(len(rows)), counts)
    column = lefts[run] + np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    firsts, lasts = np.maximum(firsts[run], edges[1][column]), np.minimum(lasts[run], edges[1][column + 1] - 1)
    order = np.lexsort((firsts, rows[run], column, tops[run]))
    block = (tops[run] * len(edges[1]) + column)[order]
    return [
        _segment(rows[run[some]], firsts[some], lasts[some])
        for some in np.split(order, np.flatnonzero(np.diff(block)) + 1)
    ]


def _segment(rows: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> Segment:
    return Segment(rows, firsts, lasts, (int(rows.min()), int(rows.max()) + 1, int(firsts.min()), int(lasts.max()) + 1))


def _groups(segments: Sequence[Segment], edges: Sequence[np.ndarray], most: int) -> list[list[Segment]]:
    """Segments that lie side by side, in groups whose windows together are about as large as a block."""
    if not segments:
        return []
    rows, columns = (
        np.array([int(np.searchsorted(edge, s.window[side], side="right")) - 1 for s in segments])
        for edge, side in zip(edges, (0, 2), strict=True)
    )
    order = np.argsort(curve(rows, columns), kind="stable").tolist()
    sizes = [(s.window[1] - s.window[0]) * (s.window[3] - s.window[2]) for s in segments]
    groups: list[list[Segment]] = [[]]
    filled = 0
    for at in order:
        if groups[-1] and filled + sizes[at] > most:
            groups.append([])
            filled = 0
        groups[-1].append(segments[at])
        filled += sizes[at]
    return groups


def _blocks(segment: Segment, edges: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """The spatial blocks that the window of a segment reaches into."""
    rows, columns = (
        range(int(np.searchsorted(edge, start, side="right")) - 1, int(np.searchsorted(edge, stop, side="left")))
        for edge, start, stop in zip(edges, segment.window[::2], segment.window[1::2], strict=True)
    )
    return list(itertools.product(rows, columns))


def _shared(
    window: tuple[int, int, int, int], spot: tuple[int, int], edges: Sequence[np.ndarray]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What a window and a block share, as slices of the block and of the window."""
    corners = [int(edge[i]) for edge, i in zip(edges, spot, strict=True)]
    ends = [int(edge[i + 1]) for edge, i in zip(edges, spot, strict=True)]
    top, left = max(window[0], corners[0]), max(window[2], corners[1])
    shared = (top, min(window[1], ends[0]), left, min(window[3], ends[1]))
    return _span(shared, corners), _span(shared, window[::2])


def _span(window: tuple[int, int, int, int], corner: Sequence[int]) -> tuple[slice, slice]:
    return slice(window[0] - corner[0], window[1] - corner[0]), slice(window[2] - corner[1], window[3] - corner[1])


# --- what runs in a task


def _crop(plan: Plan, block: np.ndarray, part: Part) -> list[np.ndarray]:
    """What each segment has of a block, y and x last; copies, so that the block can go."""
    moved = np.moveaxis(block, plan.axes, (-2, -1))
    return [moved[(..., *inside)].copy() for _, inside, _ in part.segments]


def _cropped(plan: Plan, block: np.ndarray, held: _Held) -> list[np.ndarray]:
    return _crop(plan, block, held.value)


def _on_held(plan: Plan, held: _Held, pieces: list[list[np.ndarray]]) -> list[np.ndarray]:
    group, parts = held.value
    return _on_group(plan, group, parts, pieces)


def _on_group(
    plan: Plan, group: Sequence[Segment], parts: Sequence[Part], pieces: Sequence[list[np.ndarray]]
) -> list[np.ndarray]:
    """For each segment the values that the child process makes of its pixels, (…, pixels)."""
    lead = [n for i, n in enumerate(plan.shape) if i not in plan.axes]
    found: list[list[tuple[Any, np.ndarray]]] = [[] for _ in group]
    for part, piece in zip(parts, pieces, strict=True):
        for (number, _, inside), values in zip(part.segments, piece, strict=True):
            found[number].append(((*part.others, *inside), values))
    made = []
    for segment, shares in zip(group, found, strict=True):
        top, bottom, left, right = segment.window
        values = np.empty((*lead, bottom - top, right - left), plan.entering)
        for where, share in shares:
            values[where] = share
        made.append(_on_segment(plan, segment, np.moveaxis(values, (-2, -1), plan.axes)))
    return made


def _on_segment(plan: Plan, segment: Segment, values: np.ndarray) -> np.ndarray:
    top, bottom, left, right = segment.window
    entered = np.moveaxis(np.array(plan.way.enter(values)), plan.axes, (-2, -1))
    outside = np.ones((bottom - top, right - left), bool)
    rows, columns = segment.pixels()
    inside = rows - top, columns - left
    outside[inside] = False
    entered[..., outside] = np.nan if plan.mask is None else plan.mask
    spans = {plan.axes[0]: (top, bottom), plan.axes[1]: (left, right)}
    windows = [neighborhoods.Window(*spans.get(i, (0, n)), 0, 0, (0, 0)) for i, n in enumerate(plan.shape)]
    with np.errstate(all="ignore"), places.at(plan.place):
        seen = neighborhoods.window_of(np.moveaxis(entered, (-2, -1), plan.axes), windows, plan.place)
        result = neighborhoods.same_shape(plan.expression({"data": seen}), seen)
    left_over = np.moveaxis(plan.way.leave(result, values.shape), plan.axes, (-2, -1))
    return left_over[(..., *inside)].astype(plan.dtype, copy=False)


def _share(results: list[np.ndarray], held: _Held) -> list[np.ndarray]:
    members, others = held.value
    return [results[member][others].copy() for member in members]


def _on_block(
    plan: Plan, shape: tuple[int, ...], corner: tuple[int, int], held: _Held, shares: list[list[np.ndarray]]
) -> np.ndarray:
    return _scattered(plan, shape, corner, list(zip(held.value, shares, strict=True)))


def _scattered(
    plan: Plan,
    shape: tuple[int, ...],
    corner: tuple[int, int],
    found: Sequence[tuple[Sequence[Segment], Sequence[np.ndarray]]],
) -> np.ndarray:
    """A block with the results of segments where they lie, and the mask elsewhere."""
    out = np.full(shape, plan.outside, plan.dtype)
    moved = np.moveaxis(out, plan.axes, (-2, -1))
    for segments, results in found:
        for segment, values in zip(segments, results, strict=True):
            rows, columns = (places - start for places, start in zip(segment.pixels(), corner, strict=True))
            here = (rows >= 0) & (rows < moved.shape[-2]) & (columns >= 0) & (columns < moved.shape[-1])
            moved[..., rows[here], columns[here]] = values[..., here]
    return out
