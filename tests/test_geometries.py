"""Geometries meet the pixels of a grid, against shapely on every centre."""

from __future__ import annotations

import tracemalloc
from typing import Any

import cloudpickle
import dask.array as da
import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask import exceptions, geometries
from openeo_processes_dask.kernels import outlines
from tests.cubes import cases

ALL = (*geometries.POINTS, *geometries.LINES, *geometries.POLYGONS)
CORNER = np.array([600_000.0, 5_000_000.0])
LEFT, TOP = CORNER  # the corner of the grid of `cases`, whose pixels have 10 m


def plane(height: int = 30, width: int = 40, chunks: Any = None, flip: bool = False) -> xr.DataArray:
    cube = cases.cube(np.zeros((1, 1, height, width), "uint8"), chunks)[0, 0]
    return cube.isel(y=slice(None, None, -1)) if flip else cube


def table(*shapes: Any) -> geopandas.GeoSeries:
    return geopandas.GeoSeries(list(shapes), crs=32632)


def mask(shapes: Any, cube: xr.DataArray) -> np.ndarray:
    return np.asarray(geometries.burned(geometries.of(shapes, cube, ALL), cube))


def oracle(shapes: Any, cube: xr.DataArray) -> np.ndarray:
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    return np.any([shapely.intersects_xy(shape, x, y) for shape in shapes], axis=0)


def star(x: float, y: float, radius: float, points: int = 7) -> shapely.Polygon:
    angles = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False)
    far = np.where(np.arange(2 * points) % 2, 0.4, 1.0) * radius
    return shapely.Polygon(np.stack([LEFT + x + far * np.cos(angles), TOP - y + far * np.sin(angles)], axis=1))


HOLED = shapely.Polygon(star(200, 150, 190).buffer(20).exterior, [star(180, 140, 60).exterior.coords])
SHAPES: dict[str, list[Any]] = {
    "star": [star(200, 150, 130)],
    "hole": [HOLED],
    "overlapping": [star(100, 150, 90), star(160, 150, 90, 5)],
    "multi": [shapely.MultiPolygon([star(90, 90, 60), star(290, 200, 80)])],
    "over the edge": [star(0, 0, 150), star(400, 300, 170)],
    "around": [star(200, 150, 3000, 3)],
    "sliver": [shapely.Polygon([(LEFT, TOP), (LEFT + 390, TOP - 290), (LEFT + 391, TOP - 290)])],
    "beside": [star(-500, 100, 200)],
}
places = st.one_of(st.integers(-100, 500), st.integers(-10, 45).map(lambda n: 10 * n + 5), st.floats(-100, 500))
LAYOUTS: list[Any] = [None, {"y": 7, "x": 11}, {"y": -1, "x": 1}]


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("kind", SHAPES)
def test_centres_in_polygons_are_covered(kind: str, flip: bool, chunks: Any) -> None:
    cube = plane(chunks=chunks, flip=flip)
    np.testing.assert_array_equal(mask(table(*SHAPES[kind]), cube), oracle(SHAPES[kind], cube))
    turned = cube.transpose("x", "y")
    np.testing.assert_array_equal(mask(table(*SHAPES[kind]), turned), oracle(SHAPES[kind], cube).T)


corners = st.tuples(st.integers(-2, 14), st.integers(-2, 11))


@settings(deadline=None, max_examples=150)
@given(st.lists(corners, min_size=3, max_size=7, unique=True))
def test_edges_and_corners_on_centres_are_covered(points: list[tuple[int, int]]) -> None:
    shape = shapely.Polygon([(LEFT + 5 + 10 * x, TOP - 5 - 10 * y) for x, y in points])
    if not shape.is_valid or shape.is_empty:
        return
    cube = plane(10, 12)
    np.testing.assert_array_equal(mask(table(shape), cube), oracle([shape], cube))


def test_the_edge_of_a_hole_is_covered() -> None:
    shape = shapely.Polygon(shapely.box(0, 0, 80, 80).exterior, [shapely.box(20, 20, 60, 60).exterior])
    shape = shapely.transform(shape, lambda at: at + np.array([LEFT + 5, TOP - 95]))
    cube = plane(10, 10)
    np.testing.assert_array_equal(mask(table(shape), cube), oracle([shape], cube))


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_lines_cover_what_they_run_through(chunks: Any) -> None:
    rng = np.random.default_rng(5)
    cube = plane(chunks=chunks)
    lines = [shapely.LineString(at) for at in rng.uniform((-50, -350), (450, 50), (12, 3, 2)) + CORNER]
    lines += [shapely.LineString([(LEFT + 33, TOP - 44), (LEFT + 95, TOP - 44), (LEFT + 95, TOP - 172)])]
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    pixels = shapely.box(x - 5, y - 5, x + 5, y + 5)
    expected = np.any([shapely.intersects(line, pixels) for line in lines], axis=0)
    np.testing.assert_array_equal(mask(table(*lines), cube), expected)


def test_points_cover_the_pixel_they_lie_in() -> None:
    rng = np.random.default_rng(6)
    cube = plane()
    at = rng.uniform((-50, -350), (450, 50), (60, 2)) + CORNER
    expected = np.zeros((30, 40), bool)
    for x, y in at:
        column, row = int((x - LEFT) // 10), int((TOP - y) // 10)
        if 0 <= column < 40 and 0 <= row < 30:
            expected[row, column] = True
    np.testing.assert_array_equal(mask(table(shapely.MultiPoint(at)), cube), expected)
    corner = table(shapely.Point(LEFT + 400, TOP - 300), shapely.Point(LEFT, TOP))
    assert np.argwhere(mask(corner, cube)).tolist() == [[0, 0], [29, 39]]


def to_degrees(shape: Any) -> Any:
    back = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    return shapely.transform(shape, lambda at: np.stack(back.transform(at[:, 0], at[:, 1]), axis=-1))


def in_degrees(cube: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    back = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    return back.transform(*np.meshgrid(cube.x.values, cube.y.values))


@pytest.mark.parametrize("kind", SHAPES)
def test_geojson_is_in_degrees(kind: str) -> None:
    cube = plane()
    shapes = [to_degrees(shape) for shape in SHAPES[kind]]
    features = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(s)} for s in shapes]
    expected = np.any([shapely.intersects_xy(shape, *in_degrees(cube)) for shape in shapes], axis=0)
    np.testing.assert_array_equal(mask({"type": "FeatureCollection", "features": features}, cube), expected)
    np.testing.assert_array_equal(mask(geopandas.GeoDataFrame(geometry=shapes, crs=4326), cube), expected)


@pytest.mark.parametrize("shape", [shapely.box(-170, -80, 170, 84), shapely.box(-20, 45.15, 40, 60)])
def test_polygons_much_larger_than_the_cube_keep_their_edges(shape: Any) -> None:
    """A parallel of 60 degrees is no straight line in UTM, and the ends of the globe have no place there."""
    cube = plane(40, 40, {"y": 9})
    cube = cube.assign_coords(y=5_010_000 - 1000.0 * np.arange(40), x=300_000 + 1000.0 * np.arange(40))
    np.testing.assert_array_equal(
        mask(shapely.geometry.mapping(shape), cube), shapely.intersects_xy(shape, *in_degrees(cube))
    )


def test_vector_cubes_and_old_geojson_name_their_crs() -> None:
    cube = plane()
    shape = SHAPES["hole"][0]
    coordinate = np.array([shape], object)
    vector = xr.DataArray([1.0], dims=["geometry"], coords={"geometry": ("geometry", coordinate, {"crs": 32632})})
    np.testing.assert_array_equal(mask(vector, cube), oracle([shape], cube))
    old = {**shapely.geometry.mapping(shape), "crs": {"type": "name", "properties": {"name": "EPSG:32632"}}}
    np.testing.assert_array_equal(mask(old, cube), oracle([shape], cube))


def test_nulls_and_empty_geometries_are_left_out() -> None:
    cube = plane()
    shapes = [{"type": "Feature", "geometry": None}, {"type": "Feature", "geometry": None}]
    shapes[1] = {"type": "Feature", "geometry": shapely.geometry.mapping(to_degrees(SHAPES["star"][0]))}
    one = mask({"type": "FeatureCollection", "features": shapes}, cube)
    assert one.any()
    with pytest.raises(exceptions.ProcessParameterInvalid, match="at least one"):
        mask({"type": "FeatureCollection", "features": shapes[:1]}, cube)


def test_one_pixel_is_a_grid() -> None:
    cube = plane(1, 1)
    assert mask(table(shapely.box(LEFT, TOP - 10, LEFT + 10, TOP)), cube).all()
    assert not mask(table(shapely.box(LEFT, TOP - 4, LEFT + 10, TOP)), cube).any()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"type": "GeometryCollection", "geometries": []}, exceptions.ProcessParameterInvalid),
        ({"type": "Polygon", "coordinates": [[0, 1]]}, exceptions.ProcessParameterInvalid),
        ({"type": "Polygon"}, exceptions.ProcessParameterInvalid),
        ({}, exceptions.ProcessParameterInvalid),
        ("everywhere", exceptions.ProcessParameterInvalid),
        (cases.cube(), exceptions.ProcessParameterInvalid),
        ({"type": "Point", "coordinates": [0, 1], "crs": "nonsense"}, exceptions.CRSInvalid),
    ],
)
def test_what_is_no_geometry_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        geometries.of(given, plane(), ALL)


def test_a_cube_without_crs_takes_coordinates_as_they_are() -> None:
    cube = plane().drop_vars("spatial_ref")
    del cube.encoding["grid_mapping"]
    shape = SHAPES["star"][0]
    np.testing.assert_array_equal(mask(shapely.geometry.mapping(shape), cube), oracle([shape], cube))
    with pytest.raises(exceptions.CRSInvalid, match="no CRS"):
        mask(table(shape), cube)


def large(radius: float, side: int = 8192) -> tuple[xr.DataArray, geopandas.GeoSeries]:
    """A cube in many blocks, and ten thousand circles anywhere on it, and beyond its edges."""
    rng = np.random.default_rng(8)
    data = da.zeros((1, 1, side, side), chunks=(1, 1, 512, 512), dtype="uint8")
    cube = cases.cube(np.zeros((1, 1, 1, 1), "uint8")).isel(y=0, x=0, drop=True)
    cube = xr.DataArray(data, dims=("t", "bands", "y", "x"), coords=cube.coords)
    cube = cube.assign_coords(y=TOP - 5 - 10.0 * np.arange(side), x=LEFT + 5 + 10.0 * np.arange(side))
    at = rng.uniform(0, 10 * side, (10_000, 2)) * (1, -1) + CORNER
    return cube, geopandas.GeoSeries(shapely.buffer(shapely.points(at), radius), crs=32632)


def traced_peak(run: Any) -> tuple[Any, int]:
    tracemalloc.start()
    try:
        return run(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_thousand_polygons_over_many_blocks_make_small_tasks() -> None:
    cube, shapes = large(300)
    layer = dict(geometries.burned(geometries.of(shapes, cube), cube).__dask_graph__())
    assert len(layer) == 256
    sizes = [len(cloudpickle.dumps(task)) for task in layer.values()]
    assert max(sizes) < 100_000
    assert sum(sizes) < 2 * sum(len(shapely.to_wkb(shape)) for shape in shapes) * 2  # an edge has two ends


def test_outlines_are_gone_through_in_tasks_where_they_lie() -> None:
    cube, shapes = large(20_000)
    found = geometries.of(shapes, cube)  # 36 million rows of pixels
    covered, peak = traced_peak(lambda: geometries.burned(found, cube))
    assert peak < 250e6, peak
    block, peak = traced_peak(lambda: covered.blocks[0, 0, 8, 8].compute(scheduler="sync"))
    assert block.all()
    assert peak < 250e6, peak
    window, peak = traced_peak(lambda: geometries.extent(found))
    assert window == (0, 8192, 0, 8192)
    assert peak < 250e6, peak


def test_what_lies_beside_a_block_is_a_few_edges_of_its_task() -> None:
    cube, _ = large(1)
    coast = shapely.Point(LEFT + 41_000, TOP - 41_000).buffer(40_000, quad_segs=10_000)
    layer = dict(geometries.burned(geometries.of(table(coast), cube), cube).__dask_graph__())
    assert sum(len(cloudpickle.dumps(task)) for task in layer.values()) < 2 * 40_000 * 40 + 256 * 2000


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.tuples(places, places), min_size=3, max_size=6), min_size=1, max_size=20), st.booleans())
def test_the_extent_is_that_of_the_pixels_that_are_covered(rings: list[Any], lines: bool) -> None:
    cube = plane()
    kind = shapely.LineString if lines else shapely.Polygon
    shapes = [kind([(LEFT + x, TOP - y) for x, y in ring]) for ring in rings]
    found = geometries.of(table(*shapes), cube, ALL)
    covered = np.argwhere(geometries.burned(found, cube))
    ends = None if not len(covered) else (covered.min(axis=0), covered.max(axis=0) + 1)
    assert geometries.extent(found) == (None if ends is None else tuple(np.stack(ends, 1).ravel().tolist()))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(places, places), min_size=3, max_size=30), st.integers(3, 30), st.integers(3, 40))
def test_chunks_and_bands_of_rows_make_no_difference(ring: list[Any], height: int, width: int) -> None:
    shape = shapely.Polygon([(LEFT + x, TOP - y) for x, y in ring])
    whole = mask(table(shape), plane())
    np.testing.assert_array_equal(mask(table(shape), plane(chunks={"y": height, "x": width})), whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlines, "MOST_RUNS", 7)
        np.testing.assert_array_equal(mask(table(shape), plane()), whole)


def test_a_point_beside_the_edge_of_a_block_is_in_the_same_pixel_whatever_the_chunks() -> None:
    point = table(shapely.Point(LEFT + 100 - 5e-6, TOP - 100 + 5e-6))
    whole = mask(point, plane())
    assert np.argwhere(whole).tolist() == [[10, 10]]
    np.testing.assert_array_equal(mask(point, plane(chunks={"y": 10, "x": 10})), whole)
