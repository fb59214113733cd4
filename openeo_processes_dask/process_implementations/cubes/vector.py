"""Vector cubes: made of GeoJSON, in another CRS, with other geometries for their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, globe, vectors
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import CountMismatch, DimensionNotAvailable, ProcessParameterInvalid
from openeo_processes_dask.values import is_number
from openeo_processes_dask.vocabulary import (
    Flag,
    GeoJson,
    OptionalCount,
    OptionalDimensionName,
    OptionalInteger,
    PointCube,
    PropertyNames,
    Scaling,
    Spacing,
    TargetProjection,
    VectorCube,
    Width,
)


@declare("import", "vector", scaling=Scaling.EAGER, experimental=True)
def load_geojson(data: GeoJson, properties: PropertyNames = ()) -> VectorCube:
    """Make a vector cube of GeoJSON.

    Each geometry or feature is a label, with its properties beside it. Without properties to make a dimension of, the
    cube holds no-data for each geometry. One property that is a list becomes a dimension of its elements, others
    one of their names; what a feature lacks is no-data. Coordinates are longitude and latitude, unless the collection
    names a CRS as older GeoJSON does.
    """
    if not isinstance(data, Mapping):
        raise ProcessParameterInvalid(f"data must be a GeoJSON object, not {type(data).__name__}")
    features = vectors.read(data, "data")
    names = [str(name) for name in properties or ()]
    if not names or data.get("type") not in ("Feature", "FeatureCollection"):
        return vectors.cube(features)
    if len(set(names)) < len(names):
        raise ProcessParameterInvalid(f"properties must be distinct, these are {names}")
    columns = [list(features.properties.get(name, [None] * len(features.shapes))) for name in names]
    if len(names) == 1 and any(isinstance(value, (list, tuple)) for value in columns[0]):
        rows = [list(v) if isinstance(v, (list, tuple)) else [] if v is None else [v] for v in columns[0]]
        names = list(range(max(map(len, rows))))  # type: ignore[arg-type]
        columns = [[row[i] if i < len(row) else None for row in rows] for i in range(len(names))]
    flat = vectors.column([_plain(value) for column in columns for value in column])
    values = flat.reshape(len(names), len(features.shapes)).T
    made = vectors.cube(features, values, [features.dimension, "properties"], properties=names)
    return dimensions.with_role(made, "properties", "other")


@declare("vector", scaling=Scaling.BLOCKWISE, experimental=True)
def vector_buffer(geometries: VectorCube, distance: Width) -> VectorCube:
    """Widen or narrow geometries by a distance in metres; the results are polygons.

    In a projected CRS its own units count, turned into metres. In longitude and latitude a buffer is made in a plane
    around each geometry, or around pieces of a large one, so that it has its width on the ground everywhere: over the
    antimeridian, where it is cut in two, and around poles. Values and properties stay as they are.

    Raises
    ------
    UnitMismatch
        If the CRS is neither projected nor in longitude and latitude.
    """
    if not is_number(distance) or not math.isfinite(distance) or distance == 0:
        raise ProcessParameterInvalid(f"distance must be a number of metres other than zero, not {distance!r}")
    cube, features = _both(geometries, "geometries")
    made = globe.buffered(features.shapes, features.crs, float(distance))
    return vectors.with_shapes(cube, features.dimension, made, features.crs)


@declare("cubes", "reproject", "vector", scaling=Scaling.BLOCKWISE, experimental=True)
def vector_reproject(
    data: VectorCube, projection: TargetProjection, dimension: OptionalDimensionName = None
) -> VectorCube:
    """Bring geometries to another CRS.

    Each of their coordinates is brought there; edges stay straight between them. Geometries without a CRS are in
    longitude and latitude. Values and properties stay as they are.

    Raises
    ------
    DimensionNotAvailable
        If there is no such dimension, or if it holds no geometries.
    """
    target = dimensions.parse_crs(projection)
    cube, _ = _both(data, "data")
    names: Sequence[str] = dimensions.of_role(cube, "geometry")
    if dimension is not None:
        if dimension not in names:
            raise DimensionNotAvailable(f"no dimension {dimension!r} of geometries among {tuple(map(str, cube.dims))}")
        names = [dimension]
    for name in names:
        crs = vectors.crs_of(cube, name)
        source = None if crs is None else dimensions.parse_crs(crs)
        moved = vectors.reprojected(cube.coords[name].values, source, target)
        cube = vectors.with_shapes(cube, name, moved, target)
    return cube


@declare("cubes", "vector", scaling=Scaling.BLOCKWISE, experimental=True)
def vector_to_random_points(
    data: VectorCube,
    geometry_count: OptionalCount = None,
    total_count: OptionalCount = None,
    group: Flag = True,
    seed: OptionalInteger = None,
) -> PointCube:
    """Draw points at random from geometries.

    Polygons are sampled evenly by area on the ground, lines by length, of points some are chosen. A total count is
    shared out by chance, as the sizes of the geometries have it, after each has got one point. The same seed gives the
    same points. Grouped points are one MultiPoint for each geometry; others become labels of their own, each with
    the values and properties of its geometry, but without its identifier. Empty geometries stay empty.

    Raises
    ------
    CountMismatch
        If fewer points are asked for in all than there are geometries.
    """
    for name, count in (("geometry_count", geometry_count), ("total_count", total_count)):
        if count is not None and not (_whole(count) and count >= 1):
            raise ProcessParameterInvalid(f"{name} must be a whole number from 1, or null, not {count!r}")
    if seed is not None and not _whole(seed):
        raise ProcessParameterInvalid(f"seed must be a whole number or null, not {seed!r}")
    cube, features = _both(data, "data")
    if total_count is not None and total_count < len(features.shapes):
        raise CountMismatch(f"{total_count} points in all are fewer than {len(features.shapes)} geometries")
    globe.require_on_ground(features.shapes, features.crs)
    every = np.random.SeedSequence(None if seed is None else [abs(int(seed)), int(seed < 0)])
    first, *others = every.spawn(1 + len(features.shapes))
    counts = _counts(features, geometry_count, total_count, np.random.default_rng(first))
    points = [
        globe.random_points(shape, features.crs, int(count), np.random.default_rng(own)) if count else np.empty((0, 2))
        for shape, count, own in zip(features.shapes, counts, others, strict=True)
    ]
    return _with_points(cube, features, points, group)


@declare("cubes", "vector", scaling=Scaling.BLOCKWISE, experimental=True)
def vector_to_regular_points(data: VectorCube, distance: Spacing, group: Flag = True) -> PointCube:
    """Take points at regular distances from geometries.

    Polygons have those middles of square cells that lie inside, counted from their upper left bound, or their first
    coordinate if there is none. Along lines a point follows each time that the distance was walked. In a projected CRS
    distances are measured in its plane, in longitude and latitude on the ground. Grouped points are one MultiPoint
    for each geometry; others become labels of their own, each with the values and properties of its geometry, but
    without its identifier. Empty geometries stay empty.

    Raises
    ------
    UnitMismatch
        If the CRS is neither projected nor in longitude and latitude.
    """
    if not is_number(distance) or not (math.isfinite(distance) and distance > 0):
        raise ProcessParameterInvalid(f"distance must be a number of metres above zero, not {distance!r}")
    cube, features = _both(data, "data")
    globe.require_on_ground(features.shapes, features.crs)
    points = [
        np.empty((0, 2)) if shape.is_empty else globe.regular_points(shape, features.crs, float(distance))
        for shape in features.shapes
    ]
    return _with_points(cube, features, points, group)


def _both(given: Any, name: str) -> tuple[xr.DataArray, vectors.Features]:
    """A vector cube, and its features."""
    cube = vectors.as_cube(given, name)
    return cube, vectors.read(cube, name)


def _with_points(
    cube: xr.DataArray, features: vectors.Features, points: Sequence[np.ndarray], group: Any
) -> xr.DataArray:
    """A vector cube with the points of each geometry for its labels; as they are, or each a label of its own."""
    if not isinstance(group, (bool, np.bool_)):
        raise ProcessParameterInvalid(f"group must be true or false, not {group!r}")
    name = features.dimension
    if group:
        made = np.empty(len(points), object)
        for index, at in enumerate(points):
            made[index] = shapely.MultiPoint(at)
        return vectors.with_shapes(cube, name, made, features.crs)
    owners = np.repeat(np.arange(len(points)), [max(len(at), 1) for at in points])
    every = [point for at in points for point in (shapely.points(at) if len(at) else [shapely.Point()])]
    made = np.empty(len(owners), object)
    made[:] = every
    single = cube.drop_vars([vectors.FEATURE_ID], errors="ignore").isel({name: owners})
    return vectors.with_shapes(single, name, made, features.crs)


def _counts(features: vectors.Features, each: int | None, total: int | None, rng: np.random.Generator) -> np.ndarray:
    """How many points each geometry gets: one, the number for each, or its share of the total; empty ones none."""
    filled = ~shapely.is_empty(features.shapes) if len(features.shapes) else np.zeros(0, bool)
    if total is None:
        return np.where(filled, each or 1, 0)
    sizes = np.array(
        [globe.size(shape, features.crs) if full else 0.0 for shape, full in zip(features.shapes, filled, strict=True)]
    )
    if len(set(shapely.get_dimensions(features.shapes[filled]).tolist())) > 1 or not sizes.sum() > 0:
        sizes = filled.astype(float)  # areas and lengths cannot be compared
    counts = filled.astype(np.int64)
    if filled.any():
        counts += rng.multinomial(total - int(filled.sum()), sizes / sizes.sum())
    return counts if each is None else np.minimum(counts, each)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value
