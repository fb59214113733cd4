"""Metres on the ground, whatever the CRS: buffers, and points that are spread evenly over geometries.

In a projected CRS metres are its own units, turned into metres. In longitude and latitude they are those on the
ellipsoid: buffers are made in an azimuthal projection around each geometry, areas are those of an equal-area map.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyproj
import shapely

from openeo_processes_dask.exceptions import ProcessParameterInvalid, UnitMismatch
from openeo_processes_dask.vectors import LONGITUDE_LATITUDE

MOST_POINTS = 10_000_000  # of one geometry: more are a slip of the pen, and would fill the memory
_WIDE = 300_000.0  # metres from the middle of a geometry: farther off, a plane around it is not true enough
_PIECE = 1.0  # degree on a great circle: so much of an outline lies in one plane
_SEAM = 0.001  # metres that may lie between what belongs together
_FINEST = 1e-6  # metres: what lies closer together is one place, as slopes between may have no number
_QUARTER = 16  # edges of a quarter of a circle
_ROUNDS = 1000  # of drawing points, which hardly ever takes more than a few
_MOST_DRAWN = 1_000_000  # points at a time


def metres_per_unit(crs: pyproj.CRS | None) -> float | None:
    """How many metres a unit of a CRS has; None where it is in degrees.

    Raises
    ------
    UnitMismatch
        If its units are neither lengths on a plane nor degrees of longitude and latitude.
    """
    if crs is None or crs.is_geographic:
        return None
    units = {axis.unit_conversion_factor for axis in crs.axis_info[:2]}
    if not crs.is_projected or len(units) != 1:
        raise UnitMismatch(f"{crs.name} is neither projected nor in longitude and latitude, so it knows no metres")
    return units.pop()


def require_on_ground(shapes: np.ndarray, crs: pyproj.CRS | None) -> None:
    """Refuse geometries that lie nowhere on the globe, and a CRS that knows no metres.

    Raises
    ------
    ProcessParameterInvalid
        If a latitude lies beyond a pole, or a longitude beyond twice around.
    UnitMismatch
        If the units of the CRS are neither lengths nor degrees.
    """
    if metres_per_unit(crs) is None and len(shapes):
        beyond = np.nanmax(np.abs(shapely.bounds(shapes)).reshape(-1, 2, 2), axis=(0, 1), initial=0) > [360, 90]
        if beyond.any():
            raise ProcessParameterInvalid("there are geometries beyond the longitudes and latitudes of the globe")


def _ellipsoid(crs: pyproj.CRS | None) -> pyproj.Geod:
    """The ellipsoid of a CRS; that of GPS where it names none."""
    return (crs and crs.get_geod()) or pyproj.Geod(ellps="WGS84")


# --- buffers


def buffered(shapes: np.ndarray, crs: pyproj.CRS | None, distance: float) -> np.ndarray:
    """Geometries widened by so many metres, or narrowed if they are negative.

    In degrees a result that reaches over the antimeridian is cut there, as RFC 7946 asks for, and one that holds a
    pole reaches to the latitude of 90 degrees at all its longitudes.

    Raises
    ------
    ProcessParameterInvalid
        If they lie nowhere on the globe, or an outline is so tangled that no area can be told from it.
    """
    require_on_ground(shapes, crs)
    unit = metres_per_unit(crs)
    try:
        if unit is not None:
            return _grown(shapes, distance / unit, _FINEST / unit)
        out = np.empty(len(shapes), object)
        for index, shape in enumerate(shapes):
            out[index] = shape if shape.is_empty else _buffered_on_globe(shape, crs or LONGITUDE_LATITUDE, distance)
        return out
    except shapely.errors.GEOSException as problem:
        raise ProcessParameterInvalid(f"there is a geometry that no buffer can be made of: {problem}") from problem


def _grown(shapes: Any, distance: float, finest: float = _FINEST) -> Any:
    """Geometries of a plane, widened; places that lie closer together than the finest are one."""
    return shapely.buffer(_snapped(shapes, finest), distance, quad_segs=_QUARTER)


def _snapped(shapes: Any, finest: float = _FINEST) -> Any:
    """Geometries with their points on a grid, which does not bind what is made of them."""
    return shapely.set_precision(shapely.set_precision(shapes, finest, mode="pointwise"), 0, mode="pointwise")


def _buffered_on_globe(shape: Any, crs: pyproj.CRS, distance: float) -> Any:
    plane = _Plane(shape, crs)
    if abs(distance) > plane.reach_of_globe / 4:
        raise ProcessParameterInvalid(f"a buffer of {distance} metres reaches too far around the globe")
    if plane.radius + abs(distance) <= _WIDE:
        flat = plane.flat(shape, abs(distance) / 4)
        if shapely.get_dimensions(shape) == 2:  # halves that meet at 180° grow together first
            grown = shapely.buffer(shapely.get_parts(shapely.make_valid(flat)), _SEAM, join_style="mitre")
            made = _grown(shapely.union_all(grown), distance - _SEAM)
        else:
            made = _grown(flat, distance)
        return plane.degrees(shapely.simplify(made, abs(distance) * 1e-4))
    around = [_buffered_on_globe(part, crs, abs(distance)) for part in _pieces(shape)] or [shapely.Polygon()]
    rim = shapely.union_all(around)
    if shapely.get_dimensions(shape) < 2:
        return rim if distance > 0 else shapely.Polygon()
    whole = shapely.make_valid(shape)
    return shapely.union(whole, rim) if distance > 0 else shapely.difference(whole, rim)


def _pieces(shape: Any) -> Iterator[Any]:
    """The points of a geometry, and its outline in pieces that are short enough to lie in a plane."""
    for part in shapely.get_parts(shape):
        kind = shapely.get_dimensions(part)
        if kind == 0:
            yield part
            continue
        lines = shapely.get_rings(part) if kind == 2 else [part]
        for at in map(shapely.get_coordinates, lines):
            for start, end in itertools.pairwise(at):
                if kind == 2 and _on_frame(start, end):
                    continue  # where a map is cut, but not the globe
                apart = np.abs(end - start) * [math.cos(math.radians(min(abs(start[1]), abs(end[1])))), 1]
                steps = np.linspace(0, 1, 1 + max(1, math.ceil(np.hypot(*apart) / _PIECE)))[:, None]
                yield from (shapely.LineString(pair) for pair in itertools.pairwise(start + steps * (end - start)))


def _on_frame(start: np.ndarray, end: np.ndarray) -> bool:
    """Whether an edge runs along the antimeridian or is but a pole."""
    return bool(((start == end) & (np.abs(start) == [180, 90])).any())


class _Plane:
    """An azimuthal projection around a geometry, true in distance from its middle, and back."""

    def __init__(self, shape: Any, crs: pyproj.CRS):
        self._geod = _ellipsoid(crs)
        at = np.radians(shapely.get_coordinates(shape))
        middle = np.stack([np.cos(at[:, 1]) * np.cos(at[:, 0]), np.cos(at[:, 1]) * np.sin(at[:, 0]), np.sin(at[:, 1])])
        x, y, z = (middle.min(axis=1) + middle.max(axis=1)) / 2
        self.longitude = math.degrees(math.atan2(y, x))
        self.latitude = math.degrees(math.atan2(z, math.hypot(x, y)))
        self.reach_of_globe = math.pi * self._geod.a
        far = self._polar(np.degrees(at))[1]
        lengths = shapely.length(shape) / max(shapely.get_num_coordinates(shape), 1)
        self.radius = float(np.max(far, initial=0.0)) if lengths < 30 else math.inf  # long edges may bend far away

    def _polar(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which direction from the middle places lie, in radians, and how far."""
        middle = np.broadcast_to([[self.longitude], [self.latitude]], (2, len(at)))
        azimuth, _, far = self._geod.inv(middle[0], middle[1], at[:, 0], at[:, 1])
        return np.radians(azimuth), far

    def _metres(self, at: np.ndarray) -> np.ndarray:
        azimuth, far = self._polar(at)
        return np.stack([far * np.sin(azimuth), far * np.cos(azimuth)], axis=-1)

    def flat(self, shape: Any, step: float) -> Any:
        """A geometry in metres, its edges with points so close that they stay where they were."""
        degrees = max(step / 111_000, self.radius / 111_000 / 64, 1e-9)
        dense = shapely.segmentize(shape, degrees) if shapely.get_dimensions(shape) > 0 else shape
        return _snapped(shapely.transform(dense, self._metres))

    def degrees(self, shape: Any) -> Any:
        """Polygons in metres as polygons in degrees, cut at the antimeridian."""
        made = []
        for part in shapely.get_parts(shape):
            if part.is_empty:
                continue
            outer = self._unrolled(part.exterior)
            holes = [self._unrolled(ring) for ring in part.interiors]
            made.append(shapely.difference(outer, shapely.union_all(holes)) if holes else outer)
        return shapely.union_all(made) if made else shapely.Polygon()

    def _unrolled(self, ring: Any) -> Any:
        """What a ring encloses on the map; around a pole that is all between it and the pole."""
        x, y = shapely.get_coordinates(ring).T
        middle = np.broadcast_to([[self.longitude], [self.latitude]], (2, len(x)))
        longitudes, latitudes, _ = self._geod.fwd(middle[0], middle[1], np.degrees(np.arctan2(x, y)), np.hypot(x, y))
        at = np.stack([np.unwrap(longitudes, period=360), latitudes], axis=1)
        turned = at[-1, 0] - at[0, 0]
        if abs(turned) > 180:  # round a pole
            pole = math.copysign(90, self.latitude)
            at = np.concatenate([at, [[at[-1, 0], pole], [at[0, 0], pole]]])
        plain = shapely.make_valid(shapely.Polygon(at))
        first = math.floor((at[:, 0].min() + 180) / 360)
        last = math.ceil((at[:, 0].max() + 180) / 360)
        parts = [
            shapely.transform(
                shapely.intersection(plain, shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90)),
                lambda c, turn=turn: c - np.array([360 * turn, 0]),
            )
            for turn in range(first, max(last, first + 1))
        ]
        areas = [area for part in parts for area in shapely.get_parts(part) if shapely.get_dimensions(area) == 2]
        return shapely.union_all(areas)


# --- points that are spread at random


def random_points(shape: Any, crs: pyproj.CRS | None, number: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many points (n, 2) on a geometry, each place as likely as any other; never one twice.

    Polygons are sampled by area on the ground, lines by length, of points some are chosen.
    """
    kind = shapely.get_dimensions(shape)
    if kind == 0:
        at = np.unique(shapely.get_coordinates(shape), axis=0)
        return at[np.sort(rng.permutation(len(at))[:number])]
    return _along(shape, crs, number, rng) if kind == 1 else _inside(shape, crs, number, rng)


def size(shape: Any, crs: pyproj.CRS | None) -> float:
    """The area of a polygon on the ground, the length of a line, or the number of points."""
    kind = shapely.get_dimensions(shape)
    if kind == 0:
        return float(len(np.unique(shapely.get_coordinates(shape), axis=0)))
    if kind == 1:
        return float(_lengths(_edges(shape), crs).sum())
    if metres_per_unit(crs) is not None:
        return float(shapely.area(shape))
    return abs(_ellipsoid(crs).geometry_area_perimeter(shape)[0])


def _along(shape: Any, crs: pyproj.CRS | None, number: int, rng: np.random.Generator) -> np.ndarray:
    edges = _edges(shape)
    ends = np.cumsum(_lengths(edges, crs))
    if not ends[-1] > 0:
        return edges[:1, :2]
    at = rng.uniform(0, ends[-1], number)
    edge = np.minimum(np.searchsorted(ends, at, side="right"), len(edges) - 1)
    start = np.concatenate([[0.0], ends[:-1]])[edge]
    share = ((at - start) / np.maximum(ends[edge] - start, 1e-300))[:, None]
    return edges[edge, :2] + share * (edges[edge, 2:] - edges[edge, :2])


def _inside(shape: Any, crs: pyproj.CRS | None, number: int, rng: np.random.Generator) -> np.ndarray:
    """Points drawn evenly from the triangles of a polygon, and kept the more often the more ground is under them."""
    triangles = shapely.get_parts(shapely.constrained_delaunay_triangles(shapely.make_valid(shape)))
    ends = np.cumsum(shapely.area(triangles))
    if not len(ends) or not ends[-1] > 0:
        return shapely.get_coordinates(shape)[:1]
    corners = shapely.get_coordinates(triangles).reshape(-1, 4, 2)
    worth = _Worth(crs, shape)
    found: list[np.ndarray] = []
    missing = number
    for _ in range(_ROUNDS):
        drawn = min(2 * missing + 1000, _MOST_DRAWN)
        pick = np.minimum(np.searchsorted(ends, rng.uniform(0, ends[-1], drawn), side="right"), len(ends) - 1)
        share = rng.uniform(0, 1, (drawn, 2, 1))
        share = np.where(share.sum(axis=1, keepdims=True) > 1, 1 - share, share)
        first = corners[pick, 0]
        at = first + share[:, 0] * (corners[pick, 1] - first) + share[:, 1] * (corners[pick, 2] - first)
        found.append(at[rng.uniform(0, worth.most, drawn) <= worth(at[:, 0], at[:, 1])][:missing])
        missing -= len(found[-1])
        if not missing:
            break
    return np.concatenate(found)


class _Worth:
    """How much ground a unit of the map has at a place, and at most where a geometry lies."""

    def __init__(self, crs: pyproj.CRS | None, shape: Any):
        self._geod = _ellipsoid(crs)
        self._proj = None if metres_per_unit(crs) is None else pyproj.Proj(crs)
        west, south, east, north = shapely.bounds(shape)
        ys = [*np.linspace(south, north, 33), min(max(0.0, south), north)]  # the equator, if it is there
        x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(west, east, 33), ys))
        self.most = float(self(x, y).max()) * 1.001

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self._proj is None:
            sine = np.sin(np.radians(y))
            return np.cos(np.radians(y)) / (1 - self._geod.es * sine * sine) ** 2 + 1e-12
        longitude, latitude = self._proj(x, y, inverse=True)
        scale = np.asarray(self._proj.get_factors(longitude, latitude, errcheck=False).areal_scale, np.float64)
        known = np.isfinite(scale) & (scale > 0)
        return np.where(known, 1 / np.where(known, scale, 1), 1)


# --- points at regular distances


def regular_points(shape: Any, crs: pyproj.CRS | None, distance: float) -> np.ndarray:
    """Points (n, 2) at a distance in metres from each other: in polygons on a grid, along lines, points themselves.

    In degrees rows of the grid follow parallels, each as many metres from the next, and its points as many metres
    from each other as that row is long in metres.
    """
    kind = shapely.get_dimensions(shape)
    if kind == 0:
        return shapely.get_coordinates(shape)
    unit = metres_per_unit(crs)
    if kind == 1:
        return np.concatenate([_walked(line, crs, distance) for line in shapely.get_parts(shape)])
    west, south, east, north = shapely.bounds(shape)
    if unit is not None:
        up = across = distance / unit
        rows = north - up * (np.arange(_number((north - south) / up)) + 0.5)
        steps = np.full(len(rows), across)
    else:
        rows, steps = _parallels(south, north, distance, _ellipsoid(crs))
    counts = np.ceil((east - west) / steps)
    _number(float(counts.sum()))
    row = np.repeat(np.arange(len(rows)), counts.astype(np.int64))
    column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts.astype(np.int64))
    at = np.stack([west + (column + 0.5) * steps[row], rows[row]], axis=1)
    inside = at[shapely.contains_xy(shape, at)]
    return inside if len(inside) else shapely.get_coordinates(shape)[:1]


def _parallels(south: float, north: float, distance: float, geod: Any) -> tuple[np.ndarray, np.ndarray]:
    """The latitudes of rows of cells from north to south, and the degrees of longitude that a cell is wide."""
    length = geod.line_length([0, 0], [south, north])
    count = _number(length / distance)
    latitudes = geod.fwd(
        np.zeros(count), np.full(count, north), np.full(count, 180.0), (np.arange(count) + 0.5) * distance
    )[1]
    cosine, sine = np.cos(np.radians(latitudes)), np.sin(np.radians(latitudes))
    radius = geod.a * cosine / np.sqrt(1 - geod.es * sine * sine)
    return latitudes, np.degrees(np.minimum(distance / np.maximum(radius, 1e-9), 2 * math.pi))


def _walked(line: Any, crs: pyproj.CRS | None, distance: float) -> np.ndarray:
    edges = _edges(line)
    ends = np.cumsum(_lengths(edges, crs))
    at = np.arange(_number(float(ends[-1]) / distance + 1 + 1e-9, whole=True)) * distance
    edge = np.minimum(np.searchsorted(ends, at - 1e-9, side="left"), len(edges) - 1)
    start = np.concatenate([[0.0], ends[:-1]])[edge]
    share = np.clip((at - start) / np.maximum(ends[edge] - start, 1e-300), 0, 1)[:, None]
    return edges[edge, :2] + share * (edges[edge, 2:] - edges[edge, :2])


def _number(cells: float, whole: bool = False) -> int:
    """How many cells or points there are to be, which must not be too many."""
    if not cells <= MOST_POINTS:
        raise ProcessParameterInvalid(f"a geometry would get {cells:.3g} points, more than {MOST_POINTS:.3g}")
    return int(cells) if whole else max(1, math.ceil(cells - 1e-9))


def _edges(shape: Any) -> np.ndarray:
    at, index = shapely.get_coordinates(shapely.get_parts(shape), return_index=True)
    return np.concatenate([at[:-1], at[1:]], axis=1)[index[1:] == index[:-1]]


def _lengths(edges: np.ndarray, crs: pyproj.CRS | None) -> np.ndarray:
    """The lengths of edges in metres."""
    unit = metres_per_unit(crs)
    if unit is not None:
        return np.hypot(*(edges[:, 2:] - edges[:, :2]).T) * unit
    return np.abs(_ellipsoid(crs).inv(*edges.T)[2])
