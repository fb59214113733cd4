"""Grids of pixels: one that covers many, and the part of it inside a box."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyproj
import shapely
import xarray as xr
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from openeo_processes_dask import grids
from openeo_processes_dask.arguments import Box
from openeo_processes_dask.exceptions import CRSInvalid, FileContentInvalid

from .request import Request

SAME = 1e-3  # shares of a pixel: grids that differ by less are one grid


def crs_of(grid: GeoBox) -> pyproj.CRS | None:
    """The CRS of a grid for pyproj."""
    return None if grid.crs is None else grid.crs.proj


def same_resolution(one: GeoBox, other: GeoBox) -> bool:
    """Whether pixels of two grids in one CRS have the same size and direction."""
    a, b = one.affine, other.affine
    extent = max(*one.shape, *other.shape)
    return abs(a.a - b.a) * extent < SAME * abs(a.a) and abs(a.e - b.e) * extent < SAME * abs(a.e)


def offset(inner: GeoBox, outer: GeoBox) -> tuple[int, int] | None:
    """The row and column of `outer` at which `inner` begins, if both lie on one lattice of pixels."""
    if inner.crs != outer.crs or rotated(inner) or rotated(outer) or not same_resolution(inner, outer):
        return None
    column = (inner.affine.c - outer.affine.c) / outer.affine.a
    row = (inner.affine.f - outer.affine.f) / outer.affine.e
    if abs(column - round(column)) > SAME or abs(row - round(row)) > SAME:
        return None
    return round(row), round(column)


def rotated(grid: GeoBox) -> bool:
    """Whether rows and columns of a grid are not parallel to the axes of its CRS."""
    return bool(grid.affine.b or grid.affine.d)


def different_crs(one: Any, other: Any) -> bool:
    """Whether two CRSs have different codes; those without one count as the same, however they are worded."""
    codes = [CRS(crs).to_epsg() if crs else None for crs in (one, other)]
    return None not in codes and codes[0] != codes[1]


def common(grids: Iterable[GeoBox]) -> GeoBox:
    """One grid that covers all: in the CRS of most, with the size and alignment of the finest of these.

    Raises
    ------
    FileContentInvalid
        If all of them are rotated.
    CRSInvalid
        If some have a CRS and others have none.
    """
    every = list(grids)
    distinct = distinct_grids(every)
    if len({grid.crs is None for grid in distinct}) == 2:
        raise CRSInvalid("some of the files have a CRS and others have none")
    straight = [grid for grid in distinct if not rotated(grid)]
    if not straight:
        raise FileContentInvalid("the pixels are not parallel to the axes of their CRS: no cube has such a grid")
    most = Counter(str(grid.crs) for grid in every if not rotated(grid)).most_common(1)[0][0]
    finest = min((grid for grid in straight if str(grid.crs) == most), key=lambda g: abs(g.affine.a * g.affine.e))
    corners = [_pixels(finest, _bounds(grid, finest)) for grid in distinct]
    left, top, right, bottom = zip(*corners, strict=True)
    first_row, first_column = math.floor(min(top) + SAME), math.floor(min(left) + SAME)
    return part(finest, first_row, first_column, math.ceil(max(bottom) - SAME), math.ceil(max(right) - SAME))


def crop(grid: GeoBox, box: Box) -> GeoBox | None:
    """The part of a grid whose pixels' centres lie inside a box, which must be in the grid's CRS; None if none does."""
    left, top, right, bottom = _pixels(grid, (box.west, box.south, box.east, box.north))
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return None  # the CRS has no place for the box
    # the centre of pixel i lies at i + 0.5; the millionth keeps what lies on the edge in spite of rounding
    first_row, first_column = max(math.ceil(top - 0.5 - 1e-6), 0), max(math.ceil(left - 0.5 - 1e-6), 0)
    end_row = min(math.floor(bottom - 0.5 + 1e-6) + 1, grid.shape[0])
    end_column = min(math.floor(right - 0.5 + 1e-6) + 1, grid.shape[1])
    if first_row >= end_row or first_column >= end_column:
        return None
    return part(grid, first_row, first_column, end_row, end_column)


def overlap(grid: GeoBox, other: GeoBox) -> bool:
    """Whether a grid reaches into another one."""
    left, top, right, bottom = _pixels(other, _bounds(grid, other))
    return right > SAME and bottom > SAME and left < other.shape[1] - SAME and top < other.shape[0] - SAME


def contains(outer: GeoBox, inner: GeoBox) -> bool:
    """Whether a grid leaves no pixel of another one uncovered."""
    if outer.crs != inner.crs or rotated(outer):
        return False
    left, top, right, bottom = _pixels(inner, _bounds(outer, inner))
    return left < SAME and top < SAME and right > inner.shape[1] - SAME and bottom > inner.shape[0] - SAME


class Limited(NamedTuple):
    """A part of a grid that lies in an area, whose polygons are in the grid's CRS; what to add to its longitudes."""

    grid: GeoBox
    polygons: tuple[shapely.Geometry, ...]
    turn: float = 0.0


def limited(grid: GeoBox, request: Request, source: str) -> list[Limited]:
    """The parts of a grid that lie in the area asked for: several where longitudes begin again within it.

    Raises
    ------
    NoDataAvailable
        If there is no such part.
    CRSInvalid
        If an area is asked for and the grid has no CRS.
    """
    if request.area is None:
        return [Limited(grid, ())]
    crs = crs_of(grid)
    if crs is None:
        raise CRSInvalid(f"{source} has no CRS, so that no area can be cut out of it")
    box = grid.boundingbox
    turned = request.area.to_crs(crs).turned(box.left, box.right)
    found = [(crop(grid, area.box), area.polygons, turn) for turn, area in turned]
    parts = [Limited(inside, polygons, turn) for inside, polygons, turn in found if inside is not None]
    if not parts:
        raise request.nothing(source, "no pixel's centre lies")
    return parts


def nearest(grid: GeoBox, source: GeoBox) -> tuple[np.ndarray, np.ndarray, tuple[Any, ...]]:
    """Rows and columns of the source's pixels in which centres of a grid lie, and where in the grid these are."""
    down, across = np.arange(grid.shape[0]), np.arange(grid.shape[1])
    y, x = grids.centres(grid)
    if grid.crs == source.crs and not rotated(source):
        rows = np.floor((y - source.affine.f) / source.affine.e).astype(int)
        columns = np.floor((x - source.affine.c) / source.affine.a).astype(int)
        down = down[(rows >= 0) & (rows < source.shape[0])]
        across = across[(columns >= 0) & (columns < source.shape[1])]
        return rows[down, None], columns[None, across], (_span(down), _span(across))
    return _nearest_elsewhere(y, x, grid, source)


def _nearest_elsewhere(
    y: np.ndarray, x: np.ndarray, grid: GeoBox, source: GeoBox
) -> tuple[np.ndarray, np.ndarray, tuple[Any, ...]]:
    """The same in another CRS, pixel by pixel: so it does not matter where blocks end."""
    xs, ys = np.meshgrid(x, y)
    if grid.crs is not None and source.crs is not None and grid.crs != source.crs:
        xs, ys = pyproj.Transformer.from_crs(grid.crs.proj, source.crs.proj, always_xy=True).transform(xs, ys)
    a = ~source.affine
    with np.errstate(invalid="ignore"):  # what cannot be transformed is infinite
        columns, rows = np.floor(a.a * xs + a.b * ys + a.c), np.floor(a.d * xs + a.e * ys + a.f)
    found = (rows >= 0) & (rows < source.shape[0]) & (columns >= 0) & (columns < source.shape[1])
    return rows[found].astype(int), columns[found].astype(int), np.nonzero(found)


def _span(places: np.ndarray) -> slice:
    """Positions that follow each other, as a slice."""
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def coordinates(grid: GeoBox) -> dict[str, Any]:
    """The coordinates y and x of the pixels' centres, and the CRS as `spatial_ref`."""
    y, x = grids.centres(grid)
    crs = crs_of(grid)
    found: dict[str, Any] = {"y": xr.Variable("y", y), "x": xr.Variable("x", x)}
    return found if crs is None else {**found, "spatial_ref": mapping(crs)}


def mapping(crs: pyproj.CRS) -> xr.Variable:
    """The coordinate that holds a CRS in the way of CF and of GDAL.

    It does not hold the transform: rioxarray would believe that before the coordinates, and be wrong about a part.
    """
    return xr.Variable((), np.int32(crs.to_epsg() or 0), {**crs.to_cf(), "spatial_ref": crs.to_wkt()})


def distinct_grids(grids: Iterable[GeoBox]) -> list[GeoBox]:
    """Each object once; to compare grids would take far longer than to treat a few twice."""
    return list({id(grid): grid for grid in grids}.values())


def part(grid: GeoBox, top: int, left: int, bottom: int, right: int) -> GeoBox:
    """Rows and columns of a grid, which may lie outside of it."""
    return GeoBox((bottom - top, right - left), moved(grid.affine, top, left), grid.crs)


def moved(transform: Affine, row: int, column: int) -> Affine:
    """The transform from another corner on; written out, because affine is changing its operator for it."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a, b, c + a * column, d, e, f + e * row)


def _bounds(grid: GeoBox, target: GeoBox) -> tuple[float, float, float, float]:
    """West, south, east and north of a grid in the CRS of another."""
    box = grid.boundingbox
    if grid.crs is None or target.crs is None or grid.crs == target.crs:
        return box.left, box.bottom, box.right, box.top
    moved = Box(box.left, box.bottom, box.right, box.top, grid.crs.proj).to_crs(target.crs.proj)
    return moved.west, moved.south, moved.east, moved.north


def _pixels(grid: GeoBox, bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of bounds in pixels of a grid, whichever way its rows run."""
    west, south, east, north = bounds
    across = [(x - grid.affine.c) / grid.affine.a for x in (west, east)]
    down = [(y - grid.affine.f) / grid.affine.e for y in (north, south)]
    return min(across), min(down), max(across), max(down)
