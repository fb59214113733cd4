"""Regular grids of pixels: what grid a cube lies on, and the way of its blocks to another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from rasterio.warp import calculate_default_transform

from openeo_processes_dask import dimensions
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.kernels import missing, rasters, warping

SELECTING = frozenset({"near", "mode", "max", "min", "med", "q1", "q3"})  # these return values that were there
_CLOSE = 1e-6  # of a pixel
_LARGEST = 2**31 - 1  # pixels along an axis that GDAL can count
_FAR = 2.0**40  # pixels from any cube


def of(cube: xr.DataArray) -> GeoBox:
    """The grid of a cube, from its coordinates, which are the centres of pixels.

    Raises
    ------
    DimensionMissing
        If x or y is missing.
    ProcessParameterInvalid
        If coordinates are missing or not evenly spaced.
    """
    y, x = dimensions.require_spatial(cube)
    (y0, dy), (x0, dx) = _axis(cube, y), _axis(cube, x)
    dy, dx = (dy or -(dx or 1.0)), (dx or abs(dy or 1.0))
    transform = Affine(dx, 0, x0 - dx / 2, 0, dy, y0 - dy / 2)
    crs = dimensions.crs(cube)
    return GeoBox((cube.sizes[y], cube.sizes[x]), transform, None if crs is None else crs.to_wkt())


def _axis(cube: xr.DataArray, dimension: str) -> tuple[float, float | None]:
    """The first centre and the step of a spatial dimension; no step if there is one pixel only."""
    if dimension not in cube.coords:
        raise ProcessParameterInvalid(f"dimension {dimension!r} has no coordinates, so the cube lies on no grid")
    centres = np.asarray(cube.coords[dimension].values, dtype=float)
    if centres.size == 0:
        raise ProcessParameterInvalid(f"dimension {dimension!r} is empty, so the cube lies on no grid")
    if centres.size == 1:
        return float(centres[0]), None
    step = (centres[-1] - centres[0]) / (centres.size - 1)
    if step == 0 or np.max(np.abs(np.diff(centres) - step)) > 1e-3 * abs(step):
        raise ProcessParameterInvalid(f"dimension {dimension!r} is not evenly spaced, so the cube lies on no grid")
    return float(centres[0]), float(step)


def centres(grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of the centres of pixels along y and x."""
    a = grid.affine
    return a.f + a.e * (np.arange(grid.height) + 0.5), a.c + a.a * (np.arange(grid.width) + 0.5)


def same(one: GeoBox, other: GeoBox) -> bool:
    """Whether two grids have the same pixels, up to a millionth of one."""
    if one.shape != other.shape or (one.crs is not None and other.crs is not None and one.crs != other.crs):
        return False
    corners = [(0, 0), (one.width, one.height)]
    back = ~one.affine
    return all(math.dist(back @ (other.affine @ corner), corner) < 1e3 * _CLOSE for corner in corners)


def with_crs(cube: xr.DataArray, grid: GeoBox) -> xr.DataArray:
    """The cube with a grid mapping for the CRS of a grid that has one."""
    assert grid.crs is not None
    mapping = xr.DataArray(0, attrs={**grid.crs.proj.to_cf(), "spatial_ref": grid.crs.to_wkt()})
    result = cube.assign_coords(spatial_ref=mapping)
    result.encoding = {**cube.encoding, "grid_mapping": "spatial_ref"}
    result.attrs = {k: v for k, v in cube.attrs.items() if k not in ("crs", "grid_mapping")}
    return result


def resampled(source: GeoBox, resolution: tuple[float, float], crs: Any, align: str) -> GeoBox:
    """The grid of a resolution (0: as it is) and CRS (None: as it is) that starts at one corner of the source."""
    affine = source.affine
    west, east = sorted((affine.c, affine.c + affine.a * source.width))
    south, north = sorted((affine.f, affine.f + affine.e * source.height))
    rx, ry = (r or abs(own) for r, own in zip(resolution, (affine.a, affine.e), strict=True))
    code = source.crs
    if crs is not None and source.crs is not None and crs != source.crs.proj:
        guess, _, _ = calculate_default_transform(
            _wkt(source), crs.to_wkt(), source.width, source.height, west, south, east, north
        )
        rx, ry = (r or abs(g) for r, g in zip(resolution, (guess.a, guess.e), strict=True))
        to = warping.transformer(_wkt(source), crs.to_wkt())
        west, south, east, north = to.transform_bounds(west, south, east, north, densify_pts=21)
        code = crs.to_wkt()
    if max((east - west) / rx, (north - south) / ry) > _LARGEST:
        raise ProcessParameterInvalid(f"a resolution of {(rx, ry)} would cut {east - west, north - south} too finely")
    width = max(1, math.ceil((east - west) / rx - _CLOSE))
    height = max(1, math.ceil((north - south) / ry - _CLOSE))
    left = west if align.endswith("left") else east - width * rx
    top = north if align.startswith("upper") else south + height * ry
    if affine.e > 0:  # south comes first, and stays first
        return GeoBox((height, width), Affine(rx, 0, left, 0, ry, top - height * ry), code)
    return GeoBox((height, width), Affine(rx, 0, left, 0, -ry, top), code)


def regrid(data: Any, source: GeoBox, target: GeoBox, method: str, fill: Any) -> Any:
    """The values of an array (..., y, x) on another grid; `fill` is no-data, or None for NaN."""
    factors = _whole_factors(source, target)
    if factors is not None and method in rasters.COARSENED:
        return _coarsened(data, factors, target, method, fill)
    way = warp(source, target, method, fill)
    dtype = data.dtype if method in SELECTING else missing.float_of(data.dtype)
    quick = _quick(way, source, target, dtype)
    if isinstance(data, da.Array):
        return _warped(data, source, target, way, quick, dtype)
    if quick is not None:
        return warping.warped(data.astype(dtype, copy=False), (0, 0), (0, 0), target.shape.yx, quick)
    return rasters.warp(data.astype(dtype, copy=False), source.affine, target.affine, target.shape.yx, way)


def _quick(way: rasters.Warp, source: GeoBox, target: GeoBox, dtype: np.dtype) -> warping.Way | None:
    """The way without GDAL, for nearest pixels and for means of four; None for others."""
    few = (
        way.method == "bilinear" and way.fill is None and dtype.itemsize >= 4 and min(way.scale) >= warping.LEAST_SCALE
    )
    if not (few or way.method == "near"):
        return None
    return warping.Way(*_grids(source, target), way.method, way.gap(dtype))


def _grids(source: GeoBox, target: GeoBox) -> tuple[warping.Grid, warping.Grid]:
    """Both grids, without CRSs if those are the same or one is not known."""
    same_crs = source.crs is None or target.crs is None or source.crs == target.crs
    source_crs, target_crs = (None, None) if same_crs else (_wkt(source), _wkt(target))
    there = warping.Grid(source_crs, source.affine, source.shape.yx)
    return there, warping.Grid(target_crs, target.affine, target.shape.yx)


def warp(source: GeoBox, target: GeoBox, method: str, fill: Any) -> rasters.Warp:
    """How pixels of one grid become pixels of another, the same for each part of it."""
    scale = _scale(source, target)
    return rasters.Warp(_wkt(source), _wkt(target), method=method, fill=fill, scale=scale)


def _wkt(grid: GeoBox) -> str | None:
    return None if grid.crs is None else grid.crs.to_wkt()


def _whole_factors(source: GeoBox, target: GeoBox) -> tuple[int, int] | None:
    """How many source pixels make one target pixel in y and x, if they are aligned whole numbers."""
    if source.crs is not None and target.crs is not None and source.crs != target.crs:
        return None
    ratio = ~source.affine @ target.affine  # target pixels in source pixels
    fy, fx = round(ratio.e), round(ratio.a)
    exact = [ratio.e - fy, ratio.a - fx, ratio.c, ratio.f, ratio.b, ratio.d]
    fits = -(-source.height // max(fy, 1)) == target.height and -(-source.width // max(fx, 1)) == target.width
    return (fy, fx) if fy >= 1 and fx >= 1 and fits and max(map(abs, exact)) < 1e3 * _CLOSE else None


def _coarsened(data: Any, factors: tuple[int, int], target: GeoBox, method: str, fill: Any) -> Any:
    if not isinstance(data, da.Array):
        return rasters.coarsen(data, factors, method, fill)
    dtype = rasters.coarsen(np.ones((1, 1), data.dtype), (1, 1), method, fill).dtype
    chunks = list(data.chunks)
    for axis, factor in zip((-2, -1), factors, strict=True):
        if any(length % factor for length in chunks[axis][:-1]):
            step = max(factor, int(data.chunksize[axis]) // factor * factor)
            whole = int(data.shape[axis])
            chunks[axis] = tuple(min(step, whole - start) for start in range(0, whole, step))
    data = data.rechunk(tuple(chunks))
    small = [tuple(-(-n // f) for n in c) for c, f in zip(data.chunks[-2:], factors, strict=True)]
    return da.map_blocks(
        rasters.coarsen,
        data,
        factors,
        method,
        fill,
        dtype=dtype,
        meta=np.empty((0,) * data.ndim, dtype),
        chunks=(*data.chunks[:-2], *small),
    )


def _scale(source: GeoBox, target: GeoBox) -> tuple[float, float]:
    """How many target pixels there are for a source pixel in x and y, at the middle and at most one."""
    middle = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]]) + np.array([target.width // 2, target.height // 2])
    at = _source_pixels(source, target, middle)
    spans = np.abs([at[1, 0] - at[0, 0], at[2, 1] - at[0, 1]])
    return tuple(float(min(1.0, 1.0 / s)) if np.isfinite(s) and s > 0 else 1.0 for s in spans)  # type: ignore[return-value]


def _source_pixels(source: GeoBox, target: GeoBox, points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in pixels (x, y) of the target as pixels of the source."""
    there, here = _grids(source, target)
    return np.stack(warping.places(here, there, *np.asarray(points, dtype=float).T), axis=-1)


def _warped(
    data: da.Array, source: GeoBox, target: GeoBox, way: rasters.Warp, quick: warping.Way | None, dtype: np.dtype
) -> da.Array:
    """A graph with one task per target block, which gets the source blocks that lie under it."""
    chunks = tuple(_chunks(n, int(c)) for n, c in zip(target.shape.yx, data.chunksize[-2:], strict=True))
    name = f"openeo-warp-{tokenize(data.name, source, target, way)}"
    layer: dict[Any, Any] = {}
    leading = list(itertools.product(*(range(n) for n in data.numblocks[:-2])))
    sizes = [tuple(c[i] for c, i in zip(data.chunks[:-2], index, strict=True)) for index in leading]
    starts = [np.cumsum((0, *c)) for c in chunks]
    edges = [np.cumsum((0, *c)) for c in data.chunks[-2:]]
    moved = quick is not None and quick.method == "near" and quick.source.crs is None
    windows = {
        (iy, ix): window_under(source, target, (int(starts[0][iy]), int(starts[1][ix])), (height, width), way, moved)
        for (iy, height), (ix, width) in itertools.product(*map(enumerate, chunks))
    }
    met = _meets([window for window in windows.values() if window], edges)
    for (iy, ix), window in windows.items():
        top, left = int(starts[0][iy]), int(starts[1][ix])
        shape = (chunks[0][iy], chunks[1][ix])
        affine = target.affine @ Affine.translation(left, top)
        for index, size in zip(leading, sizes, strict=True):
            key = (name, *index, iy, ix)
            if window is None:
                layer[key] = (np.full, (*size, *shape), way.gap(dtype), dtype)
                continue
            rows, columns, crop = _blocks_under(window, edges, met)
            parts = [[(data.name, *index, r, c) for c in columns] for r in rows]
            if quick is not None:
                corner = (window[0], window[2])
                layer[key] = (warping.warped_parts, parts, crop, dtype, corner, (top, left), shape, quick)
                continue
            there = source.affine @ Affine.translation(window[2], window[0])
            layer[key] = (rasters.warp_parts, parts, crop, dtype, there, affine, shape, way)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])  # type: ignore[list-item]  # dask types its own arrays too narrowly
    return da.Array(graph, name, (*data.chunks[:-2], *chunks), dtype, meta=np.empty((0,) * data.ndim, dtype))


def _chunks(whole: int, size: int) -> tuple[int, ...]:
    """Chunks of equal size but for the last, of at most some size: none at the end is so thin that it needs little."""
    size = math.ceil(whole / math.ceil(whole / size))
    return tuple(min(size, whole - start) for start in range(0, whole, size))


def window_under(
    source: GeoBox, target: GeoBox, corner: tuple[int, int], shape: tuple[int, int], way: rasters.Warp,
    moved: bool = False,
) -> tuple[int, int, int, int] | None:  # fmt: skip
    """The rows and columns (from, to) of the source that a block of the target needs; None if it needs none.

    Where pixels are only `moved`, to where they lie in the same CRS, none around them are needed.
    """
    ys = np.linspace(corner[0], corner[0] + shape[0], 22)
    xs = np.linspace(corner[1], corner[1] + shape[1], 22)
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    at = _source_pixels(source, target, points)
    at = at[np.isfinite(at).all(axis=1)]
    if not len(at):
        return None
    room = [0 if moved else math.ceil(way.radius / s) + 2 for s in way.scale]
    at = at.clip(-_FAR, _FAR)  # a large pixel may reach further than integers do
    first, last = np.floor(at.min(axis=0)).astype(int) - room, np.ceil(at.max(axis=0)).astype(int) + room
    left, right = max(0, first[0]), min(source.width, last[0])
    top, bottom = max(0, first[1]), min(source.height, last[1])
    return (int(top), int(bottom), int(left), int(right)) if left < right and top < bottom else None


def _meets(windows: Sequence[tuple[int, int, int, int]], edges: Sequence[np.ndarray]) -> list[bool]:
    """Along which axes some window reaches into several source blocks."""
    found = [False, False]
    for window in windows:
        for axis, reached in enumerate(_reached(window, edges)):
            found[axis] |= len(reached) > 1
    return found


def _reached(window: tuple[int, int, int, int], edges: Sequence[np.ndarray]) -> list[range]:
    """The source blocks that a window reaches into, along each axis."""
    return [
        range(int(np.searchsorted(edge, start, side="right")) - 1, int(np.searchsorted(edge, stop, side="left")))
        for (start, stop), edge in zip((window[:2], window[2:]), edges, strict=True)
    ]


def _blocks_under(
    window: tuple[int, int, int, int], edges: Sequence[np.ndarray], met: Sequence[bool]
) -> tuple[range, range, Any]:
    """The source blocks under a window, and its place in them; at least two where others have several.

    Dask makes first what needs few blocks, which is all along the borders of the cube, and keeps those until their
    other neighbours are there. Where all tasks need two they are made side by side. What a window does not reach into
    is not copied.
    """
    ranges, crop = [], []
    for reached, several, edge, start, stop in zip(
        _reached(window, edges), met, edges, window[::2], window[1::2], strict=True
    ):
        first, last = reached.start, reached.stop - 1
        if several and first == last:
            first, last = (first, last + 1) if last + 2 < len(edge) else (first - 1, last)
        ranges.append(range(first, last + 1))
        crop.append((start - int(edge[first]), stop - int(edge[first])))
    return ranges[0], ranges[1], tuple(crop)
