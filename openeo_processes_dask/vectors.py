"""Vector cubes: geometries as the labels of a dimension with a CRS, and properties of features beside them.

A vector cube is a DataArray with one dimension whose labels are geometries of shapely, held by xvec's `GeometryIndex`,
which knows their CRS. Properties of features are coordinates along that dimension; what a feature is called is the
coordinate `feature_id`. Features that have no values of their own are a cube of that one dimension, filled with NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyproj
import shapely
import xarray as xr
from shapely.geometry import shape as from_geojson
from xarray.indexes import PandasIndex

from openeo_processes_dask import dimensions
from openeo_processes_dask.exceptions import DimensionMissing, ProcessParameterInvalid

POINTS, LINES, POLYGONS = ("Point", "MultiPoint"), ("LineString", "MultiLineString"), ("Polygon", "MultiPolygon")
KINDS = (*POINTS, *LINES, *POLYGONS)
DIMENSION = "geometry"
_FARTHEST = 1e10  # in units of any CRS
_NOTHING_AT_ALL = 1e-20  # of these units: a coordinate so near to zero is zero, as slopes to it have no number
FEATURE_ID = "feature_id"  # the coordinate that holds the identifiers of features
PROPERTY = "property"  # the attribute of a coordinate that holds the name of its property, where that is another
NOTHING = shapely.GeometryCollection()  # stands where a feature has no geometry
LONGITUDE_LATITUDE = pyproj.CRS.from_epsg(4326)


class Features(NamedTuple):
    """Geometries, none of them null though some may be empty; their CRS if there is one; properties by name."""

    shapes: np.ndarray
    crs: pyproj.CRS | None
    properties: Mapping[str, np.ndarray]
    dimension: str = DIMENSION


def read(given: Any, name: str = "geometries", kinds: Sequence[str] = KINDS) -> Features:
    """The features in GeoJSON, a table of geopandas or dask-geopandas, a vector cube or shapely's own geometries.

    Raises
    ------
    ProcessParameterInvalid
        If they cannot be understood, are of other kinds than asked for, or have coordinates that are no numbers.
    """
    properties: Mapping[str, np.ndarray] = {}
    crs: Any = None
    dimension = DIMENSION
    if hasattr(given, "geometry") and hasattr(given, "compute") and not isinstance(given, (xr.DataArray, xr.Dataset)):
        given = given.compute()  # dask-geopandas: geometries are labels, which are known when a graph is built
    if isinstance(given, Mapping):
        features = list(_features(given, name))
        shapes = [_shape(feature.get("geometry"), name) for feature in features]
        crs = _crs_of_geojson(given, name)
        properties = _properties(features)
    elif isinstance(given, (xr.DataArray, xr.Dataset)):
        if not dimensions.of_role(given, "geometry"):
            raise ProcessParameterInvalid(f"{name} has no dimension of geometries among {tuple(map(str, given.dims))}")
        dimension = dimension_of(given)
        shapes, crs = list(given.coords[dimension].values), crs_of(given, dimension)
        along = {n: c for n, c in given.coords.items() if c.dims == (dimension,) and n != dimension}
        properties = {str(c.attrs.get(PROPERTY, n)): c.values for n, c in along.items()}
    elif hasattr(given, "geometry") and hasattr(given, "crs"):  # geopandas, which need not be imported for this
        shapes, crs = list(given.geometry.to_numpy()), given.crs
        if hasattr(given, "columns"):
            columns = [column for column in given.columns if column != given.geometry.name]
            properties = {str(column): given[column].to_numpy() for column in columns}
    else:
        shapes = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
        if given is None:
            raise ProcessParameterInvalid(f"{name} must be GeoJSON or a vector cube, not null")
    parsed = None if crs is None else dimensions.parse_crs(crs)
    return Features(_checked(shapes, name, kinds), parsed, properties, dimension)


def cube(features: Features, values: Any = None, dims: Sequence[str] = (), **labels: Any) -> xr.DataArray:
    """A vector cube of features; without values it holds NaN for each geometry."""
    values = np.full(len(features.shapes), np.nan) if values is None else values
    made = xr.DataArray(values, dims=dims or [features.dimension], coords=labels)
    return with_features(made, features)


def with_features(cube: xr.DataArray, features: Features) -> xr.DataArray:
    """A cube whose dimension of that name gets features as labels, and their properties beside them."""
    dimension = features.dimension
    stale = [n for n, c in cube.coords.items() if n == dimension or (dimension in c.dims and n not in cube.dims)]
    cube = cube.drop_vars(stale)
    taken = {str(n) for n in (*cube.dims, *cube.coords)}
    named: dict[str, Any] = {}
    for key, column in features.properties.items():
        free = key
        while free in taken:
            free = f"{free}_{PROPERTY}"
        taken.add(free)
        named[free] = (dimension, column, {} if free == key else {PROPERTY: key})
    return cube.assign_coords(_labels(features)).assign_coords(named)


def with_shapes(cube: xr.DataArray, dimension: str, shapes: np.ndarray, crs: pyproj.CRS | None) -> xr.DataArray:
    """A vector cube with other geometries for its own, and everything else as it is."""
    return cube.assign_coords(_labels(Features(shapes, crs, {}, dimension), cube.coords[dimension].attrs))


def _labels(features: Features, attributes: Mapping[Any, Any] | None = None) -> xr.Coordinates:
    from xvec import GeometryIndex

    noted = {k: v for k, v in (attributes or {}).items() if k != "crs"} | {dimensions.ROLE: "geometry"}
    if features.crs is not None:
        noted["crs"] = features.crs.to_wkt()  # for what knows no index: it is lost in many an operation
    variable = xr.Variable(features.dimension, features.shapes, noted).to_index_variable()
    index = PandasIndex(variable.to_index(), features.dimension, coord_dtype=object)
    return xr.Coordinates(
        {features.dimension: variable}, indexes={features.dimension: GeometryIndex(index, features.crs)}
    )


def dimension_of(cube: xr.DataArray | xr.Dataset) -> str:
    """The name of the dimension of geometries.

    Raises
    ------
    DimensionMissing
        If there is none, or one without labels.
    """
    found = dimensions.of_role(cube, "geometry")
    if not found or found[0] not in cube.coords:
        raise DimensionMissing(f"no dimension of geometries with labels among {tuple(map(str, cube.dims))}")
    return found[0]


def crs_of(cube: xr.DataArray | xr.Dataset, dimension: str) -> Any:
    """The CRS of a dimension of geometries: that of its index, else what its labels or the cube say."""
    index = getattr(cube.xindexes.get(dimension), "crs", None)
    noted = cube.coords[dimension].attrs.get("crs")
    return index or (dimensions.crs(cube) if noted is None else noted)


def as_cube(given: Any, name: str = "data") -> xr.DataArray:
    """A vector cube from what callers hand over; one that is a cube already keeps its values.

    Raises
    ------
    DimensionMissing
        If it is a cube without a dimension of geometries.
    ProcessParameterInvalid
        If it cannot be understood.
    """
    if not isinstance(given, (xr.DataArray, xr.Dataset)):
        return cube(read(given, name))
    dimension_of(given)
    features = read(given, name)
    made = given if isinstance(given, xr.DataArray) else _of_dataset(given)
    return with_shapes(made, features.dimension, features.shapes, features.crs)


def _of_dataset(given: xr.Dataset) -> xr.DataArray:
    if not given.data_vars:
        dimension = dimension_of(given)
        return xr.DataArray(np.full(given.sizes[dimension], np.nan), dims=[dimension], coords=given.coords)
    return dimensions.as_cube(given)


def to_geojson(given: xr.DataArray) -> dict[str, Any]:
    """The geometries of a vector cube and their properties as a FeatureCollection in longitude and latitude."""
    features = read(given, "data")
    shapes = reprojected(features.shapes, features.crs, LONGITUDE_LATITUDE)
    made = []
    for i, one in enumerate(shapes):
        properties = {k: _json(column[i]) for k, column in features.properties.items() if k != FEATURE_ID}
        feature: dict[str, Any] = {"type": "Feature", "properties": properties}
        feature["geometry"] = None if one.is_empty else shapely.geometry.mapping(one)
        if FEATURE_ID in features.properties and (label := _json(features.properties[FEATURE_ID][i])) is not None:
            feature["id"] = label
        made.append(feature)
    return {"type": "FeatureCollection", "features": made}


def reprojected(shapes: np.ndarray, source: pyproj.CRS | None, target: pyproj.CRS) -> np.ndarray:
    """Geometries in another CRS, each coordinate brought there; without a CRS they are in longitude and latitude.

    Raises
    ------
    ProcessParameterInvalid
        If the CRS has no place for one of them.
    """
    source = source or LONGITUDE_LATITUDE
    if source == target:
        return shapes
    forward = pyproj.Transformer.from_crs(source, target, always_xy=True)
    moved = shapely.transform(shapes, lambda at: np.stack(forward.transform(at[:, 0], at[:, 1]), axis=-1))
    lost = _strange(moved)
    if lost.any():
        raise ProcessParameterInvalid(f"{int(lost.sum())} of {len(shapes)} geometries have no place in {target.name}")
    return moved


# --- what callers hand over


def _checked(shapes: Iterable[Any], name: str, kinds: Sequence[str]) -> np.ndarray:
    made = [NOTHING if one is None or one is np.nan else one for one in shapes]
    for one in made:
        if not isinstance(one, shapely.Geometry):
            raise ProcessParameterInvalid(f"{name} must be GeoJSON or a vector cube, not {type(one).__name__}")
        if one.geom_type not in kinds and not one.is_empty:
            raise ProcessParameterInvalid(f"{name} must be of {', '.join(kinds)}, there is a {one.geom_type}")
    found = np.empty(len(made), object)
    found[:] = made
    found = shapely.force_2d(found) if len(found) else found
    strange = _strange(found)
    if strange.any():
        raise ProcessParameterInvalid(
            f"{name} holds coordinates that lie nowhere, first in {str(found[strange][0])[:80]}"
        )
    tiny = shapely.get_coordinates(found)
    if ((np.abs(tiny) < _NOTHING_AT_ALL) & (tiny != 0)).any():
        found = shapely.transform(found, lambda at: np.where(np.abs(at) < _NOTHING_AT_ALL, 0.0, at))
    return found


def _strange(shapes: np.ndarray) -> np.ndarray:
    """Which geometries have coordinates that are no numbers, or beyond what any CRS of the Earth has."""
    at, index = shapely.get_coordinates(shapes, return_index=True)
    return np.bincount(index, ~(np.abs(at) < _FARTHEST).all(axis=1), minlength=len(shapes)) > 0


def _features(given: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    kind = given.get("type")
    if kind == "FeatureCollection":
        members = given.get("features")
        if not isinstance(members, (list, tuple)) or not all(isinstance(m, Mapping) for m in members):
            raise ProcessParameterInvalid(f"{name} is a FeatureCollection whose features are no list of objects")
        for member in members:
            if member.get("type") != "Feature":
                raise ProcessParameterInvalid(f"{name} holds a {member.get('type')!r} among its features")
            yield member
    elif kind == "Feature":
        yield given
    elif kind in KINDS:
        yield {"geometry": given}
    else:
        raise ProcessParameterInvalid(f"{name} must be GeoJSON of points, lines or polygons, this is of type {kind!r}")


def _shape(geometry: Any, name: str) -> Any:
    if geometry is None:
        return None
    kind = geometry.get("type") if isinstance(geometry, Mapping) else geometry
    if not isinstance(geometry, Mapping) or kind not in KINDS:
        raise ProcessParameterInvalid(f"{name} must be GeoJSON of points, lines or polygons, there is {kind!r}")
    if not isinstance(geometry.get("coordinates"), (list, tuple)):
        raise ProcessParameterInvalid(f"{name} holds a {kind} without a list of coordinates")
    try:
        return from_geojson(geometry)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        OverflowError,
        shapely.errors.ShapelyError,
    ) as error:
        raise ProcessParameterInvalid(f"{name} holds a {kind} that cannot be read: {error}") from error


def _crs_of_geojson(given: Mapping[str, Any], name: str) -> Any:
    """The CRS that older GeoJSON may name; without one it is in longitude and latitude."""
    crs = given.get("crs")
    if isinstance(crs, Mapping):
        properties = crs.get("properties")
        crs = properties.get("name") if isinstance(properties, Mapping) else None
        if crs is None:
            raise ProcessParameterInvalid(f"{name} has a CRS without a name: {given['crs']!r}")
    return LONGITUDE_LATITUDE if crs is None else crs


def _properties(features: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The properties of features as columns; what a feature lacks is missing there."""
    given = [one.get("properties") for one in features]
    rows: list[Mapping[str, Any]] = [one if isinstance(one, Mapping) else {} for one in given]
    columns = {key: column([row.get(key) for row in rows]) for key in dict.fromkeys(key for row in rows for key in row)}
    if any(one.get("id") is not None for one in features):
        columns[FEATURE_ID] = column([one.get("id") for one in features])
    return columns


def column(values: Sequence[Any]) -> np.ndarray:
    """Values of one property: numbers as numbers with NaN for what is missing, else objects."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool} and None not in values:
        return np.array(values, bool)
    if kinds and kinds <= {int, float} and all(value is None or abs(value) < 2**63 for value in values):
        if kinds == {int} and None not in values:
            return np.array(values, np.int64)
        return np.array([np.nan if value is None else value for value in values], np.float64)
    made = np.empty(len(values), object)
    for index, value in enumerate(values):
        made[index] = value
    return made


def _json(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
