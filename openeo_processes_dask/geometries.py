"""Geometries as they are given, brought to the grid of a cube: which of its pixels they cover, block by block."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import pyproj
import shapely
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from shapely.geometry import shape as from_geojson

from openeo_processes_dask import dimensions, grids
from openeo_processes_dask.exceptions import CRSInvalid, ProcessParameterInvalid
from openeo_processes_dask.kernels import outlines

POINTS, LINES, POLYGONS = ("Point", "MultiPoint"), ("LineString", "MultiLineString"), ("Polygon", "MultiPolygon")
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
    found, crs = read(given, name)
    for geometry in found:
        if geometry.geom_type not in kinds:
            raise ProcessParameterInvalid(f"{name} must be of {', '.join(kinds)}, there is a {geometry.geom_type}")
    if not len(found):
        raise ProcessParameterInvalid(f"{name} must hold at least one of {', '.join(kinds)} that is not empty")
    grid = grids.of(cube)
    parts, owners = shapely.get_parts(found, return_index=True)
    parts, owners = _in_pixels(parts, owners, crs, grid)
    return _runs(parts, owners, grid.shape.yx)


def read(given: Any, name: str = "geometries") -> tuple[np.ndarray, pyproj.CRS | None]:
    """The geometries in GeoJSON, a table of geopandas, a vector cube or shapely's own, and the CRS that they name.

    Those that are null or empty are left out.

    Raises
    ------
    ProcessParameterInvalid
        If they cannot be understood.
    """
    crs: Any = None
    if isinstance(given, Mapping):
        shapes: Iterable[Any] = _of_geojson(given, name)
        crs = _crs_of_geojson(given)
    elif isinstance(given, (xr.DataArray, xr.Dataset)):
        shapes, crs = _of_cube(given, name)
    elif hasattr(given, "geometry") and hasattr(given, "crs"):  # geopandas, which need not be imported for this
        shapes, crs = given.geometry.to_numpy(), given.crs
    else:
        shapes = given if isinstance(given, (list, tuple, np.ndarray)) else [given]
    shapes = [one for one in shapes if one is not None]
    wrong = next((one for one in shapes if not isinstance(one, shapely.Geometry)), None)
    if wrong is not None:
        raise ProcessParameterInvalid(f"{name} must be GeoJSON or a vector cube, not {type(wrong).__name__}")
    found = np.empty(len(shapes), object)
    found[:] = shapes
    found = shapely.force_2d(found)
    return found[~shapely.is_empty(found)], None if crs is None else dimensions.parse_crs(crs)


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


def _runs(parts: np.ndarray, owners: np.ndarray, size: tuple[int, int]) -> outlines.Runs:
    kind = shapely.get_dimensions(parts)
    areas, lines, points = (kind == 2, kind == 1, kind == 0)
    rings, polygon = shapely.get_rings(parts[areas], return_index=True)
    edges, ring = _edges(rings)
    inside = outlines.of_polygons(edges, polygon[ring], *size)
    inside = inside._replace(owners=owners[areas][inside.owners])
    edges, line = _edges(parts[lines])
    along = outlines.of_lines(edges, owners[lines][line], *size)
    at, point = shapely.get_coordinates(parts[points], return_index=True)
    return outlines.joined([inside, along, outlines.of_points(at, owners[points][point], *size)])


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
    if target is None and crs is not None:
        raise CRSInvalid(f"the cube has no CRS to which geometries in {crs.name} could be brought")
    back = ~grid.affine

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return np.stack(back @ (points[:, 0], points[:, 1]), axis=-1) - 0.5

    source = crs or pyproj.CRS.from_epsg(4326)
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
    cut = shapely.intersection(shapely.make_valid(parts[outside]), shapely.box(west, south, east, north))
    outer, index = shapely.get_parts(cut, return_index=True)
    pieces, inner = shapely.get_parts(outer, return_index=True)
    index = index[inner]
    same = shapely.get_dimensions(pieces) == shapely.get_dimensions(parts[outside])[index]  # no edges that only touch
    kept = same & ~shapely.is_empty(pieces)
    return (
        np.concatenate([parts[~outside], pieces[kept]]),
        np.concatenate([owners[~outside], owners[outside][index[kept]]]),
    )


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


def _of_geojson(given: Mapping[str, Any], name: str) -> list[Any]:
    kind = given.get("type")
    if kind == "FeatureCollection":
        return [one for feature in given.get("features") or () for one in _of_geojson(feature, name)]
    if kind == "Feature":
        return [] if given.get("geometry") is None else _of_geojson(given["geometry"], name)
    if kind not in (*POINTS, *LINES, *POLYGONS):
        raise ProcessParameterInvalid(f"{name} must be GeoJSON of points, lines or polygons, this is of type {kind!r}")
    try:
        return [from_geojson(given)]
    except (KeyError, TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
        raise ProcessParameterInvalid(f"{name} holds a {kind} that cannot be read: {error}") from error


def _crs_of_geojson(given: Mapping[str, Any]) -> Any:
    """The CRS that older GeoJSON may name; without one it is in longitude and latitude."""
    crs = given.get("crs")
    return crs.get("properties", {}).get("name") if isinstance(crs, Mapping) else crs


def _of_cube(given: xr.DataArray | xr.Dataset, name: str) -> tuple[Iterable[Any], Any]:
    found = dimensions.of_role(given, "geometry")
    if not found or found[0] not in given.coords:
        raise ProcessParameterInvalid(f"{name} has no dimension of geometries among {tuple(map(str, given.dims))}")
    crs = getattr(given.xindexes.get(found[0]), "crs", None) or given.coords[found[0]].attrs.get("crs")
    return given.coords[found[0]].values, dimensions.crs(given) if crs is None else crs
