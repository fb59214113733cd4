"""Geometries as they are given, brought to the grid of a cube: which of its pixels they cover, block by block."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import pyproj
import shapely
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids, turns, vectors
from openeo_processes_dask.exceptions import CRSInvalid, ProcessParameterInvalid
from openeo_processes_dask.kernels import outlines
from openeo_processes_dask.kernels.zones import curve
from openeo_processes_dask.vectors import LINES as LINES
from openeo_processes_dask.vectors import LONGITUDE_LATITUDE
from openeo_processes_dask.vectors import POINTS as POINTS
from openeo_processes_dask.vectors import POLYGONS as POLYGONS

_FAR = 2.0**31  # pixels: what lies farther off is cut away, before sums lose the digits that count
_SAG = 0.001  # of a pixel: so far may a straight edge in one CRS lie beside its straight image in another
_MOST_PIECES = 1000  # of an edge
_FIRST_TRIED = 8  # so many geometries are gone through first, then twice as many


def of(given: Any, cube: xr.DataArray, kinds: Sequence[str] = POLYGONS, name: str = "geometries") -> Placed:
    """Geometries as they are given, of which at least one is not empty, brought to the grid of a cube.

    Polygons cover the pixels whose centres lie in them or on their edges, lines those they run through, points those
    they lie in. Edges are straight in the CRS of the geometries.

    Raises
    ------
    ProcessParameterInvalid
        If what is given holds no geometry of these kinds, or others.
    CRSInvalid
        If the geometries have a CRS and the cube has none.
    """
    features = vectors.read(given, name, kinds)
    if shapely.is_empty(features.shapes).all():
        raise ProcessParameterInvalid(f"{name} must hold at least one of {', '.join(kinds)} that is not empty")
    return placed(features, cube)


class Placed(NamedTuple):
    """Geometries in pixels of a grid, where whole numbers are the centres of pixels.

    `parts` are points, lines and polygons, `owners` the positions of the geometries that they are parts of, and `size`
    the rows and columns of the grid.
    """

    parts: np.ndarray
    owners: np.ndarray
    size: tuple[int, int]


NOWHERE = Placed(np.empty(0, object), np.empty(0, np.int64), (0, 0))


def placed(features: vectors.Features, cube: xr.DataArray) -> Placed:
    """Geometries brought to the grid of a cube; empty ones have no parts.

    Raises
    ------
    CRSInvalid
        If the geometries have a CRS and the cube has none.
    """
    grid = grids.of(cube)
    parts, owners = shapely.get_parts(features.shapes, return_index=True)
    kept = ~shapely.is_empty(parts)
    parts, owners = _in_pixels(parts[kept], owners[kept], features.crs, grid)
    parts, owners = _not_far(parts, owners)
    return Placed(_points_inside(parts, grid), owners, grid.shape.yx)


class Block(NamedTuple):
    """A spatial block that geometries reach into: its place, its window, and what decides on its pixels."""

    place: tuple[int, int]
    window: outlines.Window
    shapes: outlines.Shapes
    owners: np.ndarray


def blocks(
    found: Placed, heights: Sequence[int], widths: Sequence[int], corner: tuple[int, int] = (0, 0)
) -> Iterator[Block]:
    """The spatial blocks from a corner of the grid on that geometries reach into, neighbours soon after each other.

    Each holds of the geometries what decides on its own pixels: most edges are in one block, and no more than a few
    are there of those that lie beside it.
    """
    tops, lefts = (np.cumsum((first, *sizes)) for first, sizes in zip(corner, (heights, widths), strict=True))
    rows, columns = (grid.ravel() for grid in np.indices((len(heights), len(widths))))
    before, behind = 0.5 + 2 * outlines.CLOSE, 2 * outlines.CLOSE - 0.5  # points so near to an edge are moved over it
    frames = shapely.box(
        lefts[columns] - before, tops[rows] - before, lefts[columns + 1] + behind, tops[rows + 1] + behind
    )
    part, frame = shapely.STRtree(frames).query(found.parts, predicate="intersects")
    order = np.lexsort((part, curve(rows, columns)[frame]))
    part, frame = part[order], frame[order]
    outline = Outline(found)
    for some in np.split(np.arange(len(part)), np.flatnonzero(np.diff(frame)) + 1) if len(part) else ():
        row, column = int(rows[frame[some[0]]]), int(columns[frame[some[0]]])
        window = outlines.Window(int(heights[row]), int(widths[column]), int(tops[row]), int(lefts[column]))
        shapes = outline.of(part[some]).seen_from(window)
        yield Block((row, column), window, shapes, np.unique(found.owners[part[some]]))


def burned(found: Placed, cube: xr.DataArray, corner: tuple[int, int] = (0, 0)) -> Any:
    """Whether pixels are covered, as an array with the axes of a cube, of length one but for x and y.

    The cube may be a part of the grid, from a corner on. For one of dask each spatial block is one task, which gets
    the edges that decide on its pixels and finds these itself; under polygons of a few pixels it gets their rows.
    """
    y, x = (cube.get_axis_num(name) for name in dimensions.require_spatial(cube))
    lazily = isinstance(cube.data, da.Array)
    heights, widths = (cube.data.chunks[axis] if lazily else (cube.shape[axis],) for axis in (y, x))
    nothing = shapes_of(NOWHERE.parts, NOWHERE.owners)
    tasks = {
        (row, column): (_filled, nothing, outlines.Window(height, width), (y, x), cube.ndim)
        for (row, height), (column, width) in itertools.product(enumerate(heights), enumerate(widths))
    }
    for block in blocks(found, heights, widths, corner):
        what: Any = block.shapes
        if what.crossings(block.window) < 2 * len(what.edges):  # then these are more bytes than pixels in rows
            what = what.runs(block.window)[:3]
        tasks[block.place] = (_filled, what, block.window, (y, x), cube.ndim)
    if not lazily:
        return _filled(*tasks[0, 0][1:])
    chunks = [(1,)] * cube.ndim
    chunks[y], chunks[x] = heights, widths
    name = f"openeo-covered-{tokenize(shapely.to_wkb(found.parts), chunks, corner)}"
    layer: dict[Any, Any] = {}
    for (row, column), task in tasks.items():
        place = [0] * cube.ndim
        place[y], place[x] = row, column
        layer[(name, *place)] = task
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[])
    return da.Array(graph, name, tuple(chunks), bool, meta=np.empty((0,) * cube.ndim, bool))


def _filled(what: Any, window: outlines.Window, axes: tuple[int, int], ndim: int) -> np.ndarray:
    """What is covered by shapes, or by runs of pixels."""
    if isinstance(what, outlines.Shapes):
        return outlines.on_axes(what.covered(window), axes, ndim)
    rows, firsts, lasts = what
    return outlines.on_axes(outlines.burn(rows, firsts, lasts, (window.height, window.width)), axes, ndim)


def extent(found: Placed) -> tuple[int, int, int, int] | None:
    """The window of all pixels that are covered, (top, bottom, left, right) with its end excluded; None without any.

    Only geometries whose frames reach beyond what is covered for certain are gone through, those that reach farthest
    first, and of many or high ones some rows at a time.
    """
    outer, height, width = _frames(found), *found.size
    left_over = np.flatnonzero((outer[:, 0] < outer[:, 1]) & (outer[:, 2] < outer[:, 3]))
    outline = Outline(found)
    known = np.array([height, 0, width, 0])
    outward, count = np.array([-1, 1, -1, 1]), _FIRST_TRIED
    while len(left_over):
        beyond = ((outer[left_over] - known) * outward).max(axis=1)
        order = np.argsort(-beyond, kind="stable")
        left_over = left_over[order[: int(np.count_nonzero(beyond > 0))]]
        chosen, left_over = left_over[:count], left_over[count:]
        count *= 2
        top, bottom = (int(outer[chosen, 0].min()), int(outer[chosen, 1].max())) if len(chosen) else (0, 0)
        shapes = outline.of(np.sort(chosen))
        for window in shapes.bands(outlines.Window(bottom - top, width, top)):
            box = shapes.between(window.top, window.top + window.height).runs(window).bounds()
            if box is not None:
                inner = np.array([box[0] + window.top, box[1] + window.top, *box[2:]])
                known = np.where(outward < 0, np.minimum(known, inner), np.maximum(known, inner))
    return None if known[0] >= known[1] else tuple(map(int, known))  # type: ignore[return-value]  # there are four


def _frames(found: Placed) -> np.ndarray:
    """The first and last rows and columns that parts may cover, (parts, 4) as extents, cut to the grid."""
    west, north, east, south = shapely.bounds(found.parts).reshape(-1, 4).T
    room = np.where(shapely.get_dimensions(found.parts) == 2, 0.0, 0.5) + 3 * outlines.CLOSE
    ends = [np.ceil(north - room), np.floor(south + room) + 1, np.ceil(west - room), np.floor(east + room) + 1]
    height, width = found.size
    return np.stack([np.clip(e, 0, n) for e, n in zip(ends, (height, height, width, width), strict=True)], 1)


def shapes_of(parts: np.ndarray, owners: np.ndarray) -> outlines.Shapes:
    """The edges and points of geometries, as arrays."""
    kind = shapely.get_dimensions(parts)
    areas, lines, points = (kind == 2, kind == 1, kind == 0)
    rings, polygon = shapely.get_rings(parts[areas], return_index=True)
    edges, ring = _edges(rings)
    along, line = _edges(parts[lines])
    at, point = shapely.get_coordinates(parts[points], return_index=True)
    return outlines.Shapes(edges, polygon[ring], owners[areas], along, owners[lines][line], at, owners[points][point])


class Outline:
    """The edges and points of many geometries, of which those of a few are found quickly."""

    def __init__(self, found: Placed) -> None:
        self._kinds = shapely.get_dimensions(found.parts)
        self._owners = found.owners
        self._of_kind = [np.flatnonzero(self._kinds == kind) for kind in range(3)]
        every = [shapes_of(found.parts[some], np.arange(len(some))) for some in self._of_kind]
        self._arrays = [every[0].points, every[1].lines, every[2].edges]
        numbers = [every[0].point_owners, every[1].line_owners, every[2].rings]
        self._starts = [
            np.searchsorted(number, np.arange(len(some) + 1))
            for number, some in zip(numbers, self._of_kind, strict=True)
        ]

    def of(self, parts: np.ndarray) -> outlines.Shapes:
        """The edges and points of some parts, by position."""
        points, lines, areas = (self._some(kind, parts[self._kinds[parts] == kind]) for kind in range(3))
        own = self._owners[parts[self._kinds[parts] == 2]]
        return outlines.Shapes(areas[0], areas[1], own, lines[0], lines[2], points[0], points[2])

    def _some(self, kind: int, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What belongs to parts of one kind: itself, the position of its part among them, and the owner of that."""
        number = np.searchsorted(self._of_kind[kind], parts)
        first, counts = self._starts[kind][number], np.diff(self._starts[kind])[number]
        position = np.repeat(np.arange(len(parts)), counts)
        behind = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._arrays[kind][first[position] + behind], position, self._owners[parts][position]


def _edges(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges (n, 4) of lines and the number of the line that each belongs to."""
    at, index = shapely.get_coordinates(lines, return_index=True)
    joined = index[1:] == index[:-1]
    return np.concatenate([at[:-1], at[1:]], axis=1)[joined], index[1:][joined]


def _in_pixels(
    parts: np.ndarray, owners: np.ndarray, crs: pyproj.CRS | None, grid: GeoBox
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries in pixels of a grid, where whole numbers are the centres of pixels."""
    target = None if grid.crs is None else grid.crs.proj
    plain = crs is None or crs == LONGITUDE_LATITUDE  # as GeoJSON is, for want of anything else
    if target is None and not plain:
        raise CRSInvalid(f"the cube has no CRS to which geometries in {crs.name if crs else None} could be brought")
    back = ~grid.affine

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return np.stack(back @ (points[:, 0], points[:, 1]), axis=-1) - 0.5

    source, whole = crs or LONGITUDE_LATITUDE, turns.turn(target)
    if target is None or source == target:
        parts = shapely.transform(parts, to_pixels)
    else:
        parts, owners = _reprojected(parts, owners, (source, target), to_pixels, grid)
    if whole is None:
        return parts, owners
    return _turned(parts, owners, whole / abs(grid.affine.a), -0.5, grid.width - 0.5)


def _reprojected(
    parts: np.ndarray, owners: np.ndarray, way: tuple[pyproj.CRS, pyproj.CRS], to_pixels: Any, grid: GeoBox
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries brought from one CRS to another and to pixels of it; what has no place there goes."""
    forward = pyproj.Transformer.from_crs(*way, always_xy=True)
    parts, owners = _near(parts, owners, forward, grid, way)
    unrolled = _unrolled(parts, forward, way)

    def projected(points: np.ndarray, index: np.ndarray) -> np.ndarray:
        x, y = forward.transform(points[:, 0], points[:, 1])
        return to_pixels(np.stack([unrolled(x, points[:, 0], index), y], axis=-1))

    parts = _with_more_points(parts, projected)
    at, index = shapely.get_coordinates(parts, return_index=True)
    at = projected(at, index)
    parts = shapely.set_coordinates(parts.copy(), at)
    beyond = np.bincount(index, ~np.isfinite(at).all(axis=1), minlength=len(parts)) > 0  # where the CRS has no place
    return parts[~beyond], owners[~beyond]


def _unrolled(parts: np.ndarray, forward: pyproj.Transformer, way: tuple[pyproj.CRS, pyproj.CRS]) -> Any:
    """What keeps longitudes that begin again within a geometry together: with those given, or its middle.

    It gets longitudes, what was given for them, and the positions of the geometries that they belong to.
    """
    given, whole = (turns.turn(crs) for crs in way)
    if whole is None:
        return lambda x, given_x, index: x
    if given is not None:
        ratio = whole / given
        return lambda x, given_x, index: turns.beside(x, ratio * given_x, whole)
    west, south, east, north = shapely.bounds(parts).reshape(-1, 4).T
    middle, _ = forward.transform((west + east) / 2, (south + north) / 2)
    return lambda x, given_x, index: turns.beside(x, middle[index], whole)


def _turned(
    parts: np.ndarray, owners: np.ndarray, whole: float, west: float, east: float
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries, and beside them copies of those that reach into a range of x a turn away."""
    which, offset = turns.copies(shapely.bounds(parts).reshape(-1, 4), whole, west, east)
    if not len(which):
        return parts, owners
    at, index = shapely.get_coordinates(parts[which], return_index=True)
    at[:, 0] += offset[index]
    return np.concatenate([parts, shapely.set_coordinates(parts[which], at)]), np.concatenate([owners, owners[which]])


def _points_inside(parts: np.ndarray, grid: GeoBox) -> np.ndarray:
    """Points on the last edges of a grid are moved to the centre of the last pixel, the nearest there is."""
    points = shapely.get_dimensions(parts) == 0
    ends = np.array([grid.width, grid.height]) - 0.5
    if points.any():
        parts = parts.copy()
        parts[points] = shapely.transform(
            parts[points], lambda at: np.where(np.abs(at - ends) <= outlines.CLOSE, ends - 0.5, at)
        )
    return parts


def _not_far(parts: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometries in pixels, cut where they reach so far that floating point could not tell pixels apart."""
    far = (np.abs(shapely.bounds(parts)) > _FAR).any(axis=1)
    return _cut(parts, owners, far, shapely.box(-_FAR, -_FAR, _FAR, _FAR)) if far.any() else (parts, owners)


def _cut(parts: np.ndarray, owners: np.ndarray, which: np.ndarray, frame: Any) -> tuple[np.ndarray, np.ndarray]:
    """Geometries, some of them cut to a frame; what only touches its edges goes."""
    cut = shapely.intersection(shapely.make_valid(parts[which]), frame)
    outer, index = shapely.get_parts(cut, return_index=True)
    pieces, inner = shapely.get_parts(outer, return_index=True)
    index = index[inner]
    same = shapely.get_dimensions(pieces) == shapely.get_dimensions(parts[which])[index]
    kept = same & ~shapely.is_empty(pieces)
    return (
        np.concatenate([parts[~which], pieces[kept]]),
        np.concatenate([owners[~which], owners[which][index[kept]]]),
    )


def _near(
    parts: np.ndarray,
    owners: np.ndarray,
    forward: pyproj.Transformer,
    grid: GeoBox,
    way: tuple[pyproj.CRS, pyproj.CRS],
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries cut to a frame around the grid; those that lie in it stay as they are.

    A CRS may have no place for what lies far away, and an edge of half the globe would need many points.
    """
    given, whole = (turns.turn(crs) for crs in way)
    left, bottom, right, top = grid.extent.boundingbox
    room = (right - left) / 2, (top - bottom) / 2
    frame = left - room[0], bottom - room[1], right + room[0], top + room[1]
    if whole is not None and (frame[2] - frame[0] > whole or (given and max(-frame[0], frame[2]) > whole / 2)):
        return parts, owners  # around the globe, or over the antimeridian
    west, south, east, north = forward.transform_bounds(*frame, densify_pts=21, direction="INVERSE")
    if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
        return parts, owners  # over a pole or the antimeridian
    if given is not None:
        parts, owners = _turned(parts, owners, given, west, east)
    bounds = shapely.bounds(parts)
    outside = (bounds[:, :2] < (west, south)).any(axis=1) | (bounds[:, 2:] > (east, north)).any(axis=1)
    if not outside.any():
        return parts, owners
    return _cut(parts, owners, outside, shapely.box(west, south, east, north))


def _with_more_points(parts: np.ndarray, projected: Any) -> np.ndarray:
    """Geometries with points along those edges that are not straight where they are going."""
    edges, index = _edges(parts)
    if not len(edges):
        return parts
    start, end = edges[:, :2], edges[:, 2:]
    with np.errstate(invalid="ignore"):  # infinite where the CRS has no place
        sag = np.abs(projected((start + end) / 2, index) - (projected(start, index) + projected(end, index)) / 2).max(
            axis=1
        )
    pieces = np.ceil(np.sqrt(np.where(np.isfinite(sag), sag, 0) / _SAG))
    length = np.hypot(*(end - start).T) / np.clip(pieces, 1, _MOST_PIECES)
    shortest = np.full(len(parts), np.inf)
    np.minimum.at(shortest, index[pieces > 1], length[pieces > 1])
    bent = np.isfinite(shortest)
    result = parts.copy()
    result[bent] = shapely.segmentize(parts[bent], shortest[bent])
    return result
