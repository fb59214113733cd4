"""Vector cubes: GeoJSON, buffers in metres, CRS, points at random and at regular distances."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr
from hypothesis import example, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from scipy import stats

from openeo_processes_dask import exceptions, vectors
from openeo_processes_dask.process_implementations import cubes
from openeo_processes_dask.process_implementations.data_model import VectorCube
from tests.cubes import cases
from tests.laziness import nothing_computed

GEOD = pyproj.Geod(ellps="WGS84")


def table(*shapes: Any, crs: Any = 4326, **columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def collection(*shapes: Any, **properties: Any) -> dict[str, Any]:
    features = [
        {
            "type": "Feature",
            "properties": {name: column[i] for name, column in properties.items() if column[i] is not ...},
            "geometry": shapely.geometry.mapping(shape),
        }
        for i, shape in enumerate(shapes)
    ]
    return {"type": "FeatureCollection", "features": features}


POINTS = [shapely.Point(9, 45), shapely.Point(10, 46), shapely.Point(11, 47)]


# --- load_geojson


def test_geojson_becomes_labels_with_properties_beside_them() -> None:
    cube = cubes.load_geojson(collection(*POINTS, name=["a", "b", "c"], size=[1, 2, ...]))
    assert cube.dims == ("geometry",)
    assert list(cube.geometry.values) == POINTS
    assert cube.xindexes["geometry"].crs == pyproj.CRS.from_epsg(4326)
    assert np.isnan(cube.values).all()
    assert cube.coords["name"].values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(cube.coords["size"], [1, 2, np.nan])
    assert isinstance(cube, VectorCube)
    assert not isinstance(cases.cube(), VectorCube)


def test_properties_become_a_dimension() -> None:
    data = collection(
        *POINTS, name=["a", "b", "c"], size=[1, 2, ...], series=[[1, 2, 3], [4], ...], height=[7, None, 9]
    )
    single = cubes.load_geojson(data, properties=["size"])
    assert (single.dims, single.properties.values.tolist()) == (("geometry", "properties"), ["size"])
    np.testing.assert_array_equal(single, [[1], [2], [np.nan]])
    several = cubes.load_geojson(data, properties=["height", "size"])
    np.testing.assert_array_equal(several, [[7, 1], [np.nan, 2], [9, np.nan]])
    assert several.properties.values.tolist() == ["height", "size"]
    assert several.openeo.other_dims == ("properties",)
    listed = cubes.load_geojson(data, properties=["series"])
    assert listed.properties.values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(listed, [[1, 2, 3], [4, np.nan, np.nan], [np.nan] * 3])
    texts = cubes.load_geojson(data, properties=["name", "size"])
    assert texts.values.tolist() == [["a", 1], ["b", 2], ["c", None]]
    assert cubes.load_geojson(data["features"][0]["geometry"], properties=["name"]).dims == ("geometry",)


def test_geojson_goes_round() -> None:
    shapes = [
        shapely.box(0, 0, 1, 1),
        shapely.MultiPoint([(1, 2), (3, 4)]),
        shapely.LineString([(0, 0), (5, 5)]),
        shapely.Polygon(shapely.box(0, 0, 9, 9).exterior, [shapely.box(3, 3, 4, 4).exterior]),
    ]
    data = collection(*shapes, name=["a", None, "c", "d"], n=[1, 2, 3, 4], flag=[True, False, True, True])
    for number, feature in enumerate(data["features"]):
        feature["id"] = number
    written = vectors.to_geojson(cubes.load_geojson(data))
    assert json.loads(json.dumps(written)) == json.loads(json.dumps(data))
    moved = cubes.vector_reproject(cubes.load_geojson(data), 3857)
    for one, other in zip(vectors.to_geojson(moved)["features"], shapes, strict=True):
        assert shapely.equals_exact(shapely.geometry.shape(one["geometry"]), other, 1e-9)


WRONG: dict[str, Any] = {
    "collection of geometries": {"type": "GeometryCollection", "geometries": []},
    "nested": {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": []}},
    "ring of two": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
    "ring of numbers": {"type": "Polygon", "coordinates": [0, 1, 2]},
    "ring of texts": {"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"]]]},
    "a number": {"type": "Polygon", "coordinates": 5},
    "no coordinates": {"type": "Point"},
    "null": {"type": "Point", "coordinates": None},
    "nan": {"type": "Point", "coordinates": [math.nan, 1]},
    "infinite": {"type": "LineString", "coordinates": [[0, 0], [math.inf, 1]]},
    "one coordinate": {"type": "Point", "coordinates": [1]},
    "features of texts": {"type": "FeatureCollection", "features": ["a"]},
    "no features": {"type": "FeatureCollection"},
    "features of geometries": {"type": "FeatureCollection", "features": [{"type": "Point", "coordinates": [0, 0]}]},
    "geometry of text": {"type": "Feature", "geometry": "POINT (0 0)"},
    "crs without name": {"type": "Point", "coordinates": [0, 0], "crs": {"type": "name", "properties": None}},
    "type of list": {"type": ["Point"], "coordinates": [0, 0]},
    "no type": {},
    "text": "POINT (0 0)",
    "number": 7,
    "none": None,
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_geojson_is_refused(kind: str) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.load_geojson(WRONG[kind])
    with pytest.raises(exceptions.OpenEOException):
        cubes.aggregate_spatial(cases.cube(), WRONG[kind], "mean")


numbers = st.one_of(st.floats(), st.integers(-(10**40), 10**40), st.none(), st.text(max_size=2), st.booleans())
nested = st.recursive(numbers, lambda inner: st.lists(inner, max_size=5), max_leaves=20)
geometries = st.fixed_dictionaries(
    {"type": st.sampled_from([*vectors.KINDS, "GeometryCollection", None]), "coordinates": nested}
)
features = st.fixed_dictionaries({"type": st.just("Feature"), "geometry": st.one_of(st.none(), geometries)})


collections = st.builds(
    lambda members: {"type": "FeatureCollection", "features": members}, st.lists(features, max_size=3)
)


@settings(deadline=None, max_examples=200)
@examples(st.one_of(geometries, features, collections))
def test_any_geojson_is_read_or_refused(data: Any) -> None:
    try:
        cube = cubes.load_geojson(data)
    except exceptions.OpenEOException:
        return
    assert vectors.to_geojson(cube)["type"] == "FeatureCollection"
    for number in (10.0, -10.0):
        try:
            cubes.vector_buffer(cube, number)
        except exceptions.OpenEOException:
            continue


sizes = st.one_of(st.floats(-1e308, 1e308), st.floats(-9e9, 9e9), st.floats(-1e7, 1e7))
places = st.tuples(sizes, sizes)


@settings(deadline=None, max_examples=150)
@examples(st.lists(places, min_size=1, max_size=6), st.sampled_from([4326, 32632, 3857]))
@example([(1.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 9.4e-217)], 32632)  # a slope with no number
@example([(0.0, 0.0), (1.0, -1.0), (0.0, 5e-324), (1.0, 0.0)], 3857)
@example([(0.0, 0.0), (0.0, -1e-143), (30.0, -0.238), (30.0, -0.238), (30.0, -0.238)], 4326)
@example([(1e8, -1e9), (-1e9, 1e-8), (5e-324, -1e9), (-1e9, 1e-8), (1e-12, 1.0)], 3857)
def test_coordinates_of_any_size_give_a_value_or_an_error(at: list[Any], code: int) -> None:
    shape = shapely.Polygon(at) if len(at) > 3 else shapely.MultiPoint(at)
    cube = cases.cube(cases.values((1, 1, 6, 8), gaps=0), {"y": 3, "x": 3})
    try:
        values = cubes.aggregate_spatial(cube, table(shape, crs=code), "mean").values
        assert values.shape == (1, 1, 1)
        if len(at) > 3:
            cubes.mask_polygon(cube, table(shape, crs=code)).compute()
            cubes.vector_to_regular_points(table(shape, crs=code), 1e6)
        cubes.vector_buffer(table(shape, crs=code), 5.0)
        cubes.vector_to_random_points(table(shape, crs=code), 3, seed=1)
    except exceptions.OpenEOException:
        pass


# --- buffers


@pytest.mark.parametrize(
    "at", [(9, 45), (0, 0), (179.9999, 10), (-180, -60), (20, 89.5), (0, 90), (77, -90), (-100, -89.9)]
)
@pytest.mark.parametrize("distance", [10, 2_000, 90_000])
def test_a_buffer_in_degrees_is_as_wide_in_metres_everywhere(at: tuple[float, float], distance: float) -> None:
    (shape,) = cubes.vector_buffer(table(shapely.Point(at)), distance).geometry.values
    assert shape.is_valid
    west, south, east, north = shape.bounds
    assert -180 <= west <= east <= 180
    assert -90 <= south <= north <= 90
    directions = np.linspace(0, 360, 48, endpoint=False)
    for share, inside in ((0.99, True), (1.01, False)):
        far = np.full(48, share * distance)
        x, y, _ = GEOD.fwd(np.full(48, at[0]), np.full(48, at[1]), directions, far)
        held = shapely.intersects_xy(shape, (np.asarray(x) + 180) % 360 - 180, y)
        assert held.all() if inside else not held.any()


SQUARE = shapely.box(9, 45, 9.5, 45.4)


@pytest.mark.parametrize("distance", [3_000, -3_000])
@pytest.mark.parametrize("shape", [SQUARE, shapely.box(0, 20, 30, 50)], ids=["small", "large"])
def test_polygons_grow_and_shrink_by_metres(shape: Any, distance: float) -> None:
    (made,) = cubes.vector_buffer(table(shape), distance).geometry.values
    x, y = shapely.get_coordinates(shapely.segmentize(shape.exterior, 0.005)).T
    rim = np.stack([x, y], axis=1)
    outline = shapely.get_coordinates(made.exterior)[::5]
    for one in outline[:40]:
        apart = GEOD.inv(np.full(len(rim), one[0]), np.full(len(rim), one[1]), rim[:, 0], rim[:, 1])[2]
        assert abs(np.min(apart) - 3_000) < 50  # the rim is known but every 0.005 degrees
    assert made.contains(shape) if distance > 0 else shape.contains(made)


def test_nothing_is_left_of_what_is_thinner_than_twice_the_distance() -> None:
    made = cubes.vector_buffer(table(SQUARE, shapely.LineString([(0, 0), (1, 1)]), shapely.Point(0, 0)), -30_000)
    assert shapely.is_empty(made.geometry.values).all()


def test_halves_on_both_sides_of_the_antimeridian_are_one() -> None:
    halves = shapely.MultiPolygon([shapely.box(179, -1, 180, 1), shapely.box(-180, -1, -179, 1)])
    middle = shapely.box(-1, -1, 1, 1)
    for distance in (-10_000, 10_000):
        made = cubes.vector_buffer(table(halves, middle), distance).geometry.values
        areas = [abs(GEOD.geometry_area_perimeter(one)[0]) for one in made]
        assert areas[0] == pytest.approx(areas[1], rel=1e-6)
    cap = shapely.box(-180, 80, 180, 90)
    for distance, latitude in ((10_000, 79.9104), (-10_000, 80.0896)):
        (made,) = cubes.vector_buffer(table(cap), distance).geometry.values
        np.testing.assert_allclose(made.bounds, [-180, latitude, 180, 90], atol=2e-4)


@pytest.mark.parametrize(("code", "unit"), [(32632, 1.0), (2263, 0.3048006096012192), (3857, 1.0)])
def test_a_projected_crs_has_its_own_units(code: int, unit: float) -> None:
    (made,) = cubes.vector_buffer(table(shapely.Point(5e5, 5e5), crs=code), 100).geometry.values
    np.testing.assert_allclose(made.bounds, [5e5 - 100 / unit, 5e5 - 100 / unit, 5e5 + 100 / unit, 5e5 + 100 / unit])


def test_a_buffer_keeps_values_and_properties() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    given = table(shapely.Point(600030, 4999970), shapely.Polygon(), crs=32632, n=[1, 2])
    lazy = cubes.aggregate_spatial(cube, given, "mean")
    before = lazy.copy()
    with nothing_computed():
        made = cubes.vector_buffer(lazy, 30)
    assert lazy.identical(before)
    assert made.attrs == lazy.attrs
    assert made.coords["n"].values.tolist() == [1, 2]
    assert made.geometry.values[1].is_empty
    assert made.xindexes["geometry"].crs == pyproj.CRS.from_epsg(32632)
    np.testing.assert_array_equal(made, lazy)


@pytest.mark.parametrize("distance", [0, math.nan, math.inf, "1", None, True])
def test_a_distance_is_a_number(distance: Any) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.vector_buffer(table(SQUARE), distance)


def test_what_has_no_metres_is_refused() -> None:
    engineering = pyproj.CRS.from_wkt(
        'ENGCRS["plan",EDATUM["here"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
    )
    for crs in (4978, engineering):
        with pytest.raises(exceptions.UnitMismatch):
            cubes.vector_buffer(table(shapely.Point(1, 1), crs=crs), 5)
        with pytest.raises(exceptions.UnitMismatch):
            cubes.vector_to_regular_points(table(shapely.box(0, 0, 1, 1), crs=crs), 5)
    with pytest.raises(exceptions.DimensionMissing):
        cubes.vector_buffer(cases.cube(), 5)


# --- vector_reproject


def test_geometries_change_their_crs() -> None:
    given = table(SQUARE, POINTS[0], n=[1, 2])
    made = cubes.vector_reproject(given, 32632)
    expected = given.to_crs(32632)
    assert made.xindexes["geometry"].crs == expected.crs
    assert made.coords["n"].values.tolist() == [1, 2]
    for one, other in zip(made.geometry.values, expected.geometry, strict=True):
        assert shapely.equals_exact(one, other, 1e-6)
    back = cubes.vector_reproject(made, pyproj.CRS.from_epsg(4326).to_wkt(), "geometry")
    assert shapely.equals_exact(back.geometry.values[0], SQUARE, 1e-9)
    with pytest.raises(exceptions.DimensionNotAvailable, match="'fields'"):
        cubes.vector_reproject(given, 32632, "fields")
    with pytest.raises(exceptions.CRSInvalid):
        cubes.vector_reproject(given, 999_999)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="no place"):
        cubes.vector_reproject(table(shapely.Point(0, 95)), 32632)


# --- random points


def test_random_points_are_the_same_for_a_seed_and_lie_inside() -> None:
    given = table(SQUARE, shapely.Polygon(), shapely.box(20, 0, 21, 60), name=["a", "b", "c"])
    one, other, third = (cubes.vector_to_random_points(given, 50, seed=seed) for seed in (7, 7, 8))
    assert (one.geometry.values == other.geometry.values).all()
    assert one.geometry.values[0] != third.geometry.values[0]
    assert one.coords["name"].values.tolist() == ["a", "b", "c"]
    for made, shape, count in zip(one.geometry.values, given.geometry, (50, 0, 50), strict=True):
        assert made.geom_type == "MultiPoint"
        assert shapely.get_num_geometries(made) == count
        assert shape.covers(made) or shape.is_empty
    single = cubes.vector_to_random_points(given, 50, group=False, seed=7)
    assert single.sizes["geometry"] == 101
    assert single.coords["name"].values.tolist() == ["a"] * 50 + ["b"] + ["c"] * 50
    assert {one.geom_type for one in single.geometry.values} == {"Point"}
    assert cubes.vector_to_random_points(given).geometry.values[0].geoms[0].within(SQUARE)


def ground(shape: Any) -> float:
    """The area on the ellipsoid of a shape whose edges are straight in degrees."""
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 0.1))[0])


@pytest.mark.parametrize("code", [4326, 3857, 3035, 32633])
def test_random_points_are_even_by_area_on_the_ground(code: int) -> None:
    """As many in each of eight bands as these have area on the ellipsoid: a test of chi squared with a fixed seed."""
    edges = np.linspace(20, 70, 9)
    outline = shapely.segmentize(shapely.box(5, 20, 20, 70), 0.1)
    shape = geopandas.GeoSeries([outline], crs=4326).to_crs(code)
    made = cubes.vector_to_random_points(shape, 20_000, seed=11).geometry.values[0]
    latitudes = geopandas.GeoSeries([made], crs=code).to_crs(4326).get_coordinates().y
    areas = np.array([ground(shapely.box(5, low, 20, high)) for low, high in itertools.pairwise(edges)])
    counts = np.histogram(latitudes, edges)[0]
    assert counts.sum() >= 19_990
    assert stats.chisquare(counts, areas / areas.sum() * counts.sum()).pvalue > 0.001
    plain = np.diff(edges) / np.diff(edges).sum() * counts.sum()
    assert stats.chisquare(counts, plain).pvalue < 1e-9  # what a draw by degrees would give is something else


def test_random_points_are_even_in_any_polygon() -> None:
    holed = shapely.Polygon([(0, 0), (9, 0), (0, 3)], [[(1, 0.5), (3, 0.5), (1, 1.5)]])
    made = cubes.vector_to_random_points(
        table(shapely.transform(holed, lambda at: at * 1000 + 5e5), crs=32632), 20_000, seed=2
    )
    at = (shapely.get_coordinates(made.geometry.values[0]) - 5e5) / 1000
    assert shapely.contains_xy(holed, at).all()
    cells = [shapely.box(x, y, x + 1, y + 1) for x in range(9) for y in range(3)]
    areas = np.array([cell.intersection(holed).area for cell in cells])
    counts = np.array([shapely.intersects_xy(cell, at).sum() for cell in cells])[areas > 0.01]
    areas = areas[areas > 0.01]
    assert stats.chisquare(counts, areas / areas.sum() * counts.sum()).pvalue > 0.001


def test_random_points_on_lines_are_even_by_length() -> None:
    line = shapely.LineString([(0, 0), (0, 60), (60, 60)])
    made = cubes.vector_to_random_points(table(line), 4_000, seed=3).geometry.values[0]
    north = int((shapely.get_coordinates(made)[:, 0] == 0).sum())
    along, across = GEOD.inv(0, 0, 0, 60)[2], GEOD.inv(0, 60, 60, 60)[2]
    assert stats.binomtest(north, 4_000, along / (along + across)).pvalue > 0.001


def test_points_are_chosen_once() -> None:
    several = shapely.MultiPoint([(x, x) for x in range(10)])
    made = cubes.vector_to_random_points(table(several, shapely.Point(3, 4)), 6, seed=1).geometry.values
    assert [shapely.get_num_geometries(one) for one in made] == [6, 1]
    assert several.covers(made[0])
    assert len(set(map(tuple, shapely.get_coordinates(made[0])))) == 6


def test_a_total_is_shared_out_by_size() -> None:
    given = table(shapely.box(0, 0, 1, 1), shapely.box(5, 0, 8, 3), shapely.box(0, 59, 1, 60))
    made = cubes.vector_to_random_points(given, total_count=3_000, seed=5).geometry.values
    counts = np.array([shapely.get_num_geometries(one) for one in made])
    assert counts.sum() == 3_000
    areas = np.array([abs(GEOD.geometry_area_perimeter(one)[0]) for one in given.geometry])
    assert stats.chisquare(counts - 1, areas / areas.sum() * 2_997).pvalue > 0.001
    few = cubes.vector_to_random_points(given, geometry_count=4, total_count=3_000, seed=5).geometry.values
    assert [shapely.get_num_geometries(one) for one in few] == [4, 4, 4]
    least = cubes.vector_to_random_points(given, total_count=3, seed=5).geometry.values
    assert [shapely.get_num_geometries(one) for one in least] == [1, 1, 1]
    with pytest.raises(exceptions.CountMismatch, match="2 points"):
        cubes.vector_to_random_points(given, total_count=2)


@pytest.mark.parametrize("wrong", [{"geometry_count": 0}, {"total_count": 1.5}, {"seed": "a"}, {"group": 1}])
def test_wrong_arguments_of_points_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.vector_to_random_points(table(SQUARE), **wrong)


# --- regular points


def test_regular_points_lie_on_a_grid_from_the_upper_left() -> None:
    shape = shapely.box(500_000, 5_000_000, 500_095, 5_000_050)
    (made,) = cubes.vector_to_regular_points(table(shape, crs=32632), 20).geometry.values
    x, y = np.meshgrid(500_010 + 20 * np.arange(5), 5_000_040 - 20 * np.arange(3))
    inside = shapely.contains_xy(shape, x, y)
    np.testing.assert_allclose(shapely.get_coordinates(made), np.stack([x[inside], y[inside]], axis=1))
    small = shapely.Polygon([(500_000, 5_000_000), (500_001, 5_000_000), (500_000, 5_000_001)])
    (made,) = cubes.vector_to_regular_points(table(small, crs=32632), 20).geometry.values
    np.testing.assert_array_equal(shapely.get_coordinates(made), [[500_000, 5_000_000]])


def test_regular_points_in_degrees_are_as_far_apart_in_metres() -> None:
    shape = shapely.box(5, 40, 6, 70)
    (made,) = cubes.vector_to_regular_points(table(shape), 5_000).geometry.values
    at = shapely.get_coordinates(made)
    rows = np.unique(np.round(at[:, 1], 9))
    assert np.ptp(GEOD.inv(np.zeros(len(rows) - 1), rows[:-1], np.zeros(len(rows) - 1), rows[1:])[2] - 5_000) < 0.01
    for row in rows[:: len(rows) // 5]:
        x = np.sort(at[np.isclose(at[:, 1], row), 0])
        steps = [GEOD.line_length(np.linspace(a, b, 30), np.full(30, row)) for a, b in itertools.pairwise(x)]
        np.testing.assert_allclose(steps, 5_000, rtol=1e-4)
    assert len(at) == pytest.approx(
        abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 0.1))[0]) / 25e6, rel=0.02
    )


def test_regular_points_along_lines_and_points_as_they_are() -> None:
    line = shapely.LineString([(0, 0), (30, 0), (30, 25)])
    given = table(line, shapely.MultiPoint([(1, 2), (3, 4)]), shapely.Polygon(), crs=32632, name=["a", "b", "c"])
    made = cubes.vector_to_regular_points(given, 10).geometry.values
    expected = [[0, 0], [10, 0], [20, 0], [30, 0], [30, 10], [30, 20]]
    np.testing.assert_allclose(shapely.get_coordinates(made[0]), expected)
    np.testing.assert_array_equal(shapely.get_coordinates(made[1]), [[1, 2], [3, 4]])
    assert made[2].is_empty
    single = cubes.vector_to_regular_points(given, 10, group=False)
    assert single.coords["name"].values.tolist() == ["a"] * 6 + ["b"] * 2 + ["c"]


@pytest.mark.parametrize("distance", [0, -1, math.nan, "1", None])
def test_a_distance_between_points_is_above_zero(distance: Any) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.vector_to_regular_points(table(SQUARE), distance)


def test_too_many_points_are_refused() -> None:
    for code, distance in ((4326, 0.1), (32632, 1e-5)):
        with pytest.raises(exceptions.ProcessParameterInvalid, match="more than"):
            cubes.vector_to_regular_points(table(shapely.box(0, 0, 30, 30), crs=code), distance)


# --- tables of dask-geopandas


def test_tables_of_dask_geopandas_are_taken() -> None:
    partitioned = pytest.importorskip("dask_geopandas", reason="dask-geopandas is not installed")
    whole = table(SQUARE, POINTS[0], n=[1, 2])
    cube = cubes.vector_reproject(partitioned.from_geopandas(whole, npartitions=2), 32632)
    assert isinstance(cube, xr.DataArray)
    assert cube.coords["n"].values.tolist() == [1, 2]
