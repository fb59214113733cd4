"""Masking by polygons and filtering by geometries."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, cases.AWKWARD]
LEFT, TOP = 600_000, 5_000_000


def polygons() -> list[Any]:
    """One with a hole and one of two parts, in metres from the corner of the cube."""
    holed = shapely.Polygon(shapely.box(2, 2, 48, 52).exterior, [shapely.box(12, 17, 33, 38).exterior])
    parts = shapely.MultiPolygon([shapely.box(51, 3, 66, 12), shapely.box(70, 41, 95, 90)])
    return [shapely.transform(one, lambda at: np.stack([LEFT + at[:, 0], TOP - at[:, 1]], 1)) for one in (holed, parts)]


def collection() -> dict[str, Any]:
    """The same as GeoJSON in degrees."""
    back = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    features = []
    for one in polygons():
        degrees = shapely.transform(one, lambda at: np.stack(back.transform(at[:, 0], at[:, 1]), 1))
        features.append({"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(degrees)})
    return {"type": "FeatureCollection", "features": features}


def centres_inside(cube: xr.DataArray) -> np.ndarray:
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    return np.any([shapely.contains_xy(one, x, y) for one in polygons()], axis=0)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("inside", [False, True])
def test_pixels_outside_or_inside_become_nodata(chunks: Any, inside: bool) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.mask_polygon(cube, collection(), inside=inside)
    covered = centres_inside(cube)
    assert 0 < covered.sum() < covered.size
    np.testing.assert_array_equal(result, np.where(covered != inside, array, np.nan))
    assert result.dtype == array.dtype
    assert result.attrs == cube.attrs
    assert result.dims == cube.dims


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_geometries_come_in_many_forms(chunks: Any) -> None:
    cube = cases.cube(chunks=chunks)
    expected = cubes.mask_polygon(cube, collection())
    forms = [
        geopandas.GeoDataFrame(geometry=polygons(), crs=32632),
        geopandas.GeoSeries(polygons(), crs=32632).to_crs(3035),
        shapely.geometry.mapping(shapely.MultiPolygon(shapely.get_parts(shapely.from_geojson(_text())))),
    ]
    for form in forms:
        np.testing.assert_array_equal(cubes.mask_polygon(cube, form), expected)


def _text() -> list[str]:
    import json

    return [json.dumps(feature["geometry"]) for feature in collection()["features"]]


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_integers_keep_their_type_and_nodata_stays(chunks: Any) -> None:
    array = cases.values(dtype="uint16")
    cube = cases.cube(array, chunks, nodata=0)
    covered = centres_inside(cube)
    masked = cubes.mask_polygon(cube, collection())
    assert masked.dtype == np.uint16
    np.testing.assert_array_equal(masked, np.where(covered, array, 0))
    replaced = cubes.mask_polygon(cube, collection(), replacement=9)
    np.testing.assert_array_equal(replaced, np.where(covered | (array == 0), array, 9))
    undeclared = cubes.mask_polygon(cases.cube(array, chunks), collection())
    np.testing.assert_array_equal(undeclared, np.where(covered, array, np.nan))
    floats = cases.values()
    replaced = cubes.mask_polygon(cases.cube(floats, chunks), collection(), replacement=-1, inside=True)
    np.testing.assert_array_equal(replaced, np.where(~covered | np.isnan(floats), floats, np.float32(-1)))


def test_x_may_come_before_y() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    expected = cubes.mask_polygon(cube, collection())
    turned = cubes.mask_polygon(cube.transpose("x", "t", "y", "bands"), collection())
    np.testing.assert_array_equal(turned.transpose(*cube.dims), expected)


def test_tasks_are_one_a_chunk_and_one_a_spatial_block() -> None:
    cube = cases.cube(cases.values((16, 2, 16, 16)), {"t": 4, "y": 8, "x": 8})
    extra = []
    for shapes in (polygons()[:1], polygons() * 20):
        result = cubes.mask_polygon(cube, geopandas.GeoSeries(shapes, crs=32632))
        extra.append(cases.tasks(result.data) - cases.tasks(cube.data))
    assert extra == [16 + 4, 16 + 4]


def test_what_is_no_polygon_is_refused() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.ProcessParameterInvalid, match="there is a Point"):
        cubes.mask_polygon(cube, {"type": "Point", "coordinates": [9, 45]})
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'Volume'"):
        cubes.mask_polygon(cube, {"type": "Volume"})
    with pytest.raises(exceptions.DimensionMissing):
        cubes.mask_polygon(cube.isel(x=0, drop=True), collection())


# --- filter_spatial


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_a_filter_crops_to_what_it_keeps(chunks: Any, dtype: str) -> None:
    array = cases.values(dtype=dtype)
    cube = cases.cube(array, chunks, nodata=0 if dtype == "uint16" else None)
    second = geopandas.GeoSeries(polygons()[1:], crs=32632)
    with nothing_computed():
        result = cubes.filter_spatial(cube, second)
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    covered = shapely.contains_xy(polygons()[1], x, y)
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    gap = 0 if dtype == "uint16" else np.nan
    np.testing.assert_array_equal(result, np.where(covered, array, gap)[(..., *window)])
    np.testing.assert_array_equal(result.y, cube.y[window[0]])
    assert result.dtype == array.dtype


def test_nothing_covered_leaves_nothing() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    result = cubes.filter_spatial(cube, {"type": "Point", "coordinates": [0, 0]})
    assert dict(result.sizes) == {"t": 7, "bands": 3, "y": 0, "x": 0}
    assert cubes.filter_spatial(result, collection()).size == 0
    assert cubes.mask_polygon(result, collection()).size == 0


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_points_and_lines_keep_their_pixels(chunks: Any) -> None:
    cube = cases.cube(cases.values(gaps=0), chunks)
    points = geopandas.GeoSeries([shapely.Point(LEFT + 21, TOP - 19), shapely.Point(LEFT + 49, TOP - 41)], crs=32632)
    kept = cubes.filter_spatial(cube, points)
    assert kept.shape == (7, 3, 4, 3)
    assert np.isfinite(kept.values).any(axis=(0, 1)).tolist() == [
        [True, False, False],
        [False, False, False],
        [False, False, False],
        [False, False, True],
    ]
    line = geopandas.GeoSeries([shapely.LineString([(LEFT + 12, TOP - 25), (LEFT + 33, TOP - 25)])], crs=32632)
    np.testing.assert_array_equal(cubes.filter_spatial(cube, line), cube.values[:, :, 2:3, 1:4])
