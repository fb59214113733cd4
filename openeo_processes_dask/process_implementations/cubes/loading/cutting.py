"""Polygons on a grid: which of its tiles they meet, so that no other is read, and which pixels lie in none."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import rasterio.features
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from . import coverage

SMALLEST = 64  # rows and columns; files with smaller tiles are read by several at once

_RASTERIZING = threading.Lock()  # rasterio silences a warning meanwhile, which only one thread can do at a time


@dataclass(frozen=True)
class Polygons:
    """The polygons that are asked for, in the CRS of a cube, as what can be sent to workers."""

    shapes: tuple[bytes, ...]

    @classmethod
    def of(cls, shapes: Sequence[shapely.Geometry]) -> Polygons | None:
        """Of geometries; None if there are none, so that nothing is cut out."""
        return cls(tuple(shapely.to_wkb(shape) for shape in shapes)) if len(shapes) else None

    def meeting(self, transform: Affine, shape: tuple[int, int]) -> np.ndarray:
        """Those that meet a grid."""
        every = shapely.from_wkb(np.array(self.shapes, object))
        a, c, e, f = transform.a, transform.c, transform.e, transform.f
        return every[shapely.intersects(every, shapely.box(c, f, c + a * shape[1], f + e * shape[0]))]


def rectangles(
    polygons: Polygons | None, grid: GeoBox, tile: tuple[int, int], start: tuple[int, int]
) -> list[tuple[slice, slice]]:
    """Rows and columns of a grid that cover all tiles that polygons meet; all of the grid without polygons.

    Args
    ----
    polygons: in the grid's CRS.
    grid: whose rows and columns are parallel to the axes of its CRS.
    tile: rows and columns of a tile.
    start: the row and column at which the grid begins, counted from where a tile does.
    """
    whole = [(slice(0, grid.shape[0]), slice(0, grid.shape[1]))]
    if polygons is None:
        return whole
    near = polygons.meeting(grid.affine, grid.shape.yx)
    rows, columns = (_edges(*one) for one in zip(grid.shape.yx, tile, start, strict=True))
    if not len(near) or len(rows) == len(columns) == 2:
        return whole if len(near) else []
    a = grid.affine
    y, x = a.f + a.e * rows, a.c + a.a * columns
    tiles = shapely.box(*np.meshgrid(x[:-1], y[:-1]), *np.meshgrid(x[1:], y[1:])).ravel()
    met = np.zeros(len(tiles), bool)
    met[shapely.STRtree(tiles).query(near, predicate="intersects")[1]] = True
    return _merged(met.reshape(len(rows) - 1, len(columns) - 1), rows.tolist(), columns.tolist())


def masked(cube: xr.DataArray, grid: GeoBox, polygons: Polygons, fill: Any) -> xr.DataArray:
    """The cube with a fill value in the pixels whose centres lie in none of the polygons; blocks stay as they are."""
    values = da.map_blocks(
        _masked_block, cube.data, tuple(grid.affine)[:6], polygons, fill, dtype=cube.dtype, meta=cube.data._meta
    )
    return cube.copy(data=values)


def _masked_block(
    block: np.ndarray, transform: tuple[float, ...], polygons: Polygons, fill: Any, block_info: Any = None
) -> np.ndarray:
    (top, _), (left, _) = block_info[0]["array-location"][-2:]
    here = coverage.moved(Affine(*transform), top, left)
    near = polygons.meeting(here, block.shape[-2:])
    if not len(near):
        return np.full_like(block, fill)
    with _RASTERIZING:
        outside = rasterio.features.geometry_mask(near, block.shape[-2:], here)
    return np.where(outside, np.asarray(fill, block.dtype), block)


def _edges(size: int, tile: int, start: int) -> np.ndarray:
    """Where tiles begin and end within a side of a grid."""
    tile = -(-SMALLEST // tile) * tile  # tiles of strips would be thousands
    inner = np.arange(tile - start % tile, size, tile)
    return np.concatenate(([0], inner, [size]))


def _merged(met: np.ndarray, rows: list[int], columns: list[int]) -> list[tuple[slice, slice]]:
    """Tiles that lie beside each other as one rectangle, and equal rows of them as well."""
    found = []
    changes = [0, *(np.flatnonzero((met[1:] != met[:-1]).any(axis=1)) + 1).tolist(), len(met)]
    for top, bottom in itertools.pairwise(changes):
        ends = np.flatnonzero(np.diff(np.pad(met[top].astype(np.int8), 1))).tolist()
        sides = [slice(columns[a], columns[b]) for a, b in zip(ends[::2], ends[1::2], strict=True)]
        found += [(slice(rows[top], rows[bottom]), side) for side in sides]
    return found
