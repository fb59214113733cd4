"""Geometries as they are given, brought to the grid of a cube: which of its pixels they cover, block by block."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import pyproj
import shapely
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids, vectors
from openeo_processes_dask.exceptions import CRSInvalid, ProcessParameterInvalid
from openeo_processes_dask.kernels import outlines
from openeo_processes_dask.vectors import LINES as LINES
from openeo_processes_dask.vectors import LONGITUDE_LATITUDE
from openeo_processes_dask.vectors import POINTS as POINTS
from openeo_processes_dask.vectors import POLYGONS as POLYGONS

_FAR = 2.0**31  # pixels: what lies farther off is cut away, before sums lose the digits that count
_SAG = 0.001  # of a pixel: so far may a straight edge in one CRS lie beside its straight image in another
_MOST_PIECES = 1000  # of an edge


def covered(given: Any, cube: xr.DataArray, kinds: Sequence[str] = POLYGONS, name: str = "geometries") -> outlines.Runs:
    """The pixels of a cube that geometries cover, as runs in the rows of its grid.

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
    found = placed(features, cube)
    return shapes_of(found.parts, found.owners).runs(outlines.Window(*found.size))


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


def burned(runs: outlines.Runs, cube: xr.DataArray) -> Any:
    """Whether pixels are covered, as an array with the axes of a cube, of length one but for x and y.

    For a cube of dask each spatial block is one task, which holds the runs of that block and nothing else.
    """
    y, x = (cube.get_axis_num(name) for name in dimensions.require_spatial(cube))
    axes = y, x
    if not isinstance(cube.data, da.Array):
        return outlines.burn_block(*runs[:3], (cube.shape[y], cube.shape[x]), axes, cube.ndim)
    chunks = [(1,)] * cube.ndim
    for axis in axes:
        chunks[axis] = cube.data.chunks[axis]
    name = f"openeo-covered-{tokenize(*runs, chunks)}"
    heights, widths = chunks[y], chunks[x]
    by_row = _by_blocks(runs, np.cumsum((0, *heights)))
    edges = np.cumsum((0, *widths)).tolist()
    layer: dict[Any, Any] = {}
    for (row, height), (column, width) in itertools.product(enumerate(heights), enumerate(widths)):
        place = [0] * cube.ndim
        place[y], place[x] = row, column
        inside = by_row[row].within(0, height, edges[column], edges[column + 1])
        layer[(name, *place)] = (outlines.burn_block, *inside[:3], (height, width), axes, cube.ndim)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[])
    return da.Array(graph, name, tuple(chunks), bool, meta=np.empty((0,) * cube.ndim, bool))


def _by_blocks(runs: outlines.Runs, edges: np.ndarray) -> list[outlines.Runs]:
    """The runs of each row of blocks, counted from its first row; sorted once, not searched for each block."""
    order = np.argsort(runs.rows, kind="stable")
    ordered = outlines.Runs(*(column[order] for column in runs))
    at = np.searchsorted(ordered.rows, edges)
    cut = [outlines.Runs(*(column[start:stop] for column in ordered)) for start, stop in itertools.pairwise(at)]
    return [part._replace(rows=part.rows - edge) for part, edge in zip(cut, edges[:-1], strict=True)]


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

    source = crs or LONGITUDE_LATITUDE
    if target is None or source == target:
        return shapely.transform(parts, to_pixels), owners
    forward = pyproj.Transformer.from_crs(source, target, always_xy=True)

    def projected(points: np.ndarray) -> np.ndarray:
        return to_pixels(np.stack(forward.transform(points[:, 0], points[:, 1]), axis=-1))

    parts, owners = _near(parts, owners, forward, grid)
    parts = shapely.transform(_with_more_points(parts, projected), projected)
    at, index = shapely.get_coordinates(parts, return_index=True)
    beyond = np.bincount(index, ~np.isfinite(at).all(axis=1), minlength=len(parts)) > 0  # where the CRS has no place
    return parts[~beyond], owners[~beyond]


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
    parts: np.ndarray, owners: np.ndarray, forward: pyproj.Transformer, grid: GeoBox
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries cut to a frame around the grid; those that lie in it stay as they are.

    A CRS may have no place for what lies far away, and an edge of half the globe would need many points.
    """
    left, bottom, right, top = grid.extent.boundingbox
    room = (right - left) / 2, (top - bottom) / 2
    frame = left - room[0], bottom - room[1], right + room[0], top + room[1]
    west, south, east, north = forward.transform_bounds(*frame, densify_pts=21, direction="INVERSE")
    if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
        return parts, owners  # over a pole or the antimeridian
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
        sag = np.abs(projected((start + end) / 2) - (projected(start) + projected(end)) / 2).max(axis=1)
    pieces = np.ceil(np.sqrt(np.where(np.isfinite(sag), sag, 0) / _SAG))
    length = np.hypot(*(end - start).T) / np.clip(pieces, 1, _MOST_PIECES)
    shortest = np.full(len(parts), np.inf)
    np.minimum.at(shortest, index[pieces > 1], length[pieces > 1])
    bent = np.isfinite(shortest)
    result = parts.copy()
    result[bent] = shapely.segmentize(parts[bent], shortest[bent])
    return result
