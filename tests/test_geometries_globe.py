"""Geometries where longitudes begin again, against shapely on every centre a turn left and right."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from openeo_processes_dask import geometries, turns
from openeo_processes_dask.process_implementations import cubes
from tests.cubes.cases import child, given, node
from tests.laziness import nothing_computed

ALL = (*geometries.POINTS, *geometries.LINES, *geometries.POLYGONS)
DOUBLED = child(a=node("multiply", x=given("x"), y=2))
CLOSED = shapely.MultiPolygon([shapely.box(170, -20, 180, 20), shapely.box(-180, -20, -165, 20)])
SHAPES: dict[str, Any] = {
    "west": shapely.box(-40, -30, -10, 30),
    "over zero": shapely.box(-20, -30, 20, 30),
    "cut at 180": CLOSED,
    "over 180": shapely.box(160, -30, 200, 30),
    "over -180": shapely.Polygon([(-210, -40), (-150, -30), (-170, 50)]),
    "globe": shapely.box(-180, -90, 180, 90),
    "globe from zero": shapely.box(0, -90, 360, 90),
    "more than the globe": shapely.box(-180, -40, 270, 40),
    "a turn away": shapely.box(-178 + 360, -30, -170 + 360, 30),
    "nowhere": shapely.box(10, 89, 20, 89.5),
}


def globe(west: float, width: float = 360.0, step: float = 10.0, chunks: Any = None) -> xr.DataArray:
    """Different whole numbers on pixels from a longitude on, from north to south."""
    y, x = np.arange(90 - step / 2, -90, -step), np.arange(west + step / 2, west + width, step)
    values = np.arange(y.size * x.size, dtype=float).reshape(y.size, x.size) + 1
    cube = xr.DataArray(values, {"y": y, "x": x}, ("y", "x")).rio.write_crs("EPSG:4326")
    return cube if chunks is None else cube.chunk(chunks)


def inside(shape: Any, cube: xr.DataArray) -> np.ndarray:
    """Centres that lie in a shape, whichever longitudes they are given."""
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    return np.any([shapely.intersects_xy(shape, x + 360 * i, y) for i in range(-3, 4)], axis=0)


GRIDS: dict[str, dict[str, Any]] = {
    "from -180": {"west": -180.0},
    "from 0": {"west": 0.0},
    "from 170": {"west": 170.0, "width": 20.0},
    "from -190": {"west": -190.0, "width": 30.0},
    "from 3": {"west": 3.0, "width": 360.0, "step": 3.0},
    "more than a turn": {"west": -200.0, "width": 400.0},
}


@pytest.mark.parametrize("chunks", [None, {"y": 7, "x": 5}])
@pytest.mark.parametrize("grid", GRIDS)
def test_pixels_count_wherever_longitudes_begin(grid: str, chunks: Any) -> None:
    cube = globe(**GRIDS[grid], chunks=chunks)
    shapes = geopandas.GeoSeries(list(SHAPES.values()), crs=4326)
    with nothing_computed():
        found = cubes.aggregate_spatial(cube, shapes, "sum")
    masks = [inside(shape, cube) for shape in SHAPES.values()]
    expected = [cube.values[mask].sum() if mask.any() else np.nan for mask in masks]
    np.testing.assert_array_equal(found, expected)


def test_measured_sums_of_the_globe() -> None:
    """What numpy finds by hand: columns of a globe of ten degrees, rolled."""
    cube = globe(0.0)
    rows = cube.values[6:12]
    shapes = geopandas.GeoSeries([SHAPES["west"], SHAPES["over zero"], SHAPES["globe"]], crs=4326)
    expected = [rows[:, 32:35].sum(), rows[:, [34, 35, 0, 1]].sum(), cube.values.sum()]
    np.testing.assert_array_equal(cubes.aggregate_spatial(cube, shapes, "sum"), expected)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "nowhere"])
@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_masks_and_filters_find_both_ends(west: float, name: str) -> None:
    cube, shape = globe(west, chunks={"y": 7, "x": 5}), geopandas.GeoSeries([SHAPES[name]], crs=4326)
    mask = inside(SHAPES[name], cube)
    expected = np.where(mask, cube.values, np.nan)
    np.testing.assert_array_equal(cubes.mask_polygon(cube, shape), expected)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    cut = expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_array_equal(cubes.filter_spatial(cube, shape), cut)
    doubled = cubes.apply_polygon(cube, shape, child(a=node("apply", data=given("data"), process=DOUBLED)))
    np.testing.assert_array_equal(doubled, 2 * expected)


@pytest.mark.parametrize(("west", "width"), [(-180.0, 360.0), (0.0, 360.0), (170.0, 20.0)])
def test_points_and_lines_lie_in_one_pixel_of_a_turn(west: float, width: float) -> None:
    cube = globe(west, width)
    for x in (-190.0, -180.0, -175.0, 175.0, 180.0, 185.0, 190.0, 360.0, 540.0):
        point = geopandas.GeoSeries([shapely.Point(x, 3)], crs=4326)
        expected = (x - west) % 360 <= width or (x - west) % 360 == 0
        assert np.count_nonzero(geometries.burned(geometries.of(point, cube, ALL), cube)) == expected, x
    line = geopandas.GeoSeries([shapely.LineString([(171, 3), (189, 3)])], crs=4326)
    covered = np.asarray(geometries.burned(geometries.of(line, cube, ALL), cube))
    columns = np.isin((cube.x.values - 175) % 360, [0, 10])
    np.testing.assert_array_equal(covered, columns & (cube.y.values == 5)[:, None])


def drawn(shape: Any, crs: int, cube: xr.DataArray) -> np.ndarray:
    """Centres of a geographic cube that lie in a shape of a projected CRS, where pyproj puts them."""
    to = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    x, y = np.meshgrid((cube.x.values + 180) % 360 - 180, cube.y.values)
    return np.asarray(shapely.intersects_xy(shape, *to.transform(x, y)))


@pytest.mark.parametrize("west", [-180.0, 0.0])
@pytest.mark.parametrize(
    ("shape", "crs"),
    [
        (shapely.box(500_000, 0, 1_100_000, 500_000), 32660),
        (shapely.box(-100_000, 100_000, 600_000, 900_000), 32601),
        (shapely.Point(500_000, 3_000_000).buffer(900_000), 32660),
        (shapely.box(-20_037_508, -5_000_000, 20_037_508, 5_000_000), 3857),
        (shapely.box(19_000_000, -5_000_000, 20_037_508, 5_000_000), 3857),
        (shapely.box(-1_000_000, -1_000_000, 1_000_000, 1_000_000), 3832),
    ],
)
def test_polygons_of_another_crs_lie_over_the_antimeridian(shape: Any, crs: int, west: float) -> None:
    cube = globe(west, step=2.0, chunks={"x": 50})
    expected = drawn(shape, crs, cube)
    found = geometries.burned(geometries.of(geopandas.GeoSeries([shape], crs=crs), cube), cube)
    assert expected.sum() > 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_another_datum_keeps_longitudes_together(west: float, name: str) -> None:
    cube, shape = globe(west), shapely.affinity.translate(SHAPES[name], 0.5, 0)  # off the centres by more than datums
    for crs in (4258, 4322):
        found = geometries.burned(geometries.of(geopandas.GeoSeries([shape], crs=crs), cube), cube)
        np.testing.assert_array_equal(found, inside(shape, cube))


def test_a_projected_cube_sees_longitudes_of_another_turn() -> None:
    x, y = np.arange(450_000, 550_000, 10_000) + 5000.0, np.arange(2_100_000, 2_000_000, -10_000) - 5000.0
    cube = xr.DataArray(np.ones((10, 10)), {"y": y, "x": x}, ("y", "x")).rio.write_crs("EPSG:32620")
    shape = shapely.box(-63.2, 18.4, -62.9, 18.8)
    there = np.asarray(geometries.burned(geometries.of(geopandas.GeoSeries([shape], crs=4326), cube), cube))
    turned = geopandas.GeoSeries([shapely.affinity.translate(shape, 360)], crs=4326)
    assert there.any()
    assert not there.all()
    np.testing.assert_array_equal(geometries.burned(geometries.of(turned, cube), cube), there)


@settings(deadline=None)
@examples(middle=st.floats(-500, 500), width=st.floats(0.5, 700), west=st.integers(-400, 400), size=st.integers(1, 40))
def test_copies_are_those_that_reach_into_a_range(middle: float, width: float, west: int, size: int) -> None:
    bounds = np.array([[middle - width / 2, 0, middle + width / 2, 1]])
    _, offset = turns.copies(bounds, 360.0, west, west + 10 * size)
    first, last = bounds[0, [0, 2]]
    expected = [i * 360.0 for i in range(-9, 10) if i and first + i * 360 < west + 10 * size and last + i * 360 > west]
    assert offset.tolist() == expected


def test_geometries_that_stay_are_handed_on_as_they_are() -> None:
    bounds = shapely.bounds(shapely.box(np.arange(-180, 170), -5, np.arange(-180, 170) + 10, 5))
    which, offset = turns.copies(bounds, 360.0, -180.0, 180.0)
    assert not which.size
    assert not offset.size
