"""Loading a part: which pixels belong to a box and to polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio.features
import shapely
import shapely.geometry
import xarray as xr

from benchmarks.scenes import Scene
from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations.cubes import load_collection, load_stac
from tests.cubes import pictures
from tests.cubes.cases import tasks


@pytest.mark.parametrize("share", [0.013, 0.2, 0.77])
def test_a_box_keeps_the_pixels_whose_centres_lie_in_it(scene: Scene, share: float) -> None:
    extent = scene.extent(share)
    cube = load_stac(str(scene.catalog), spatial_extent=extent, bands=["B04"])
    expected, y, x = pictures.inside(scene.files["2023-04-03", "B04"], extent)
    np.testing.assert_array_equal(cube[0, 0], expected)
    np.testing.assert_array_equal(cube.y, y)
    np.testing.assert_array_equal(cube.x, x)


def test_a_box_may_have_its_own_crs(scene: Scene) -> None:
    west, _, _, north = scene.bounds
    box = {"west": west + 15, "south": north - 45, "east": west + 35, "north": north - 15, "crs": 32632}
    cube = load_stac(str(scene.catalog), spatial_extent=box)
    # the centres on the edge belong to the box
    assert cube.x.values.tolist() == [west + 15, west + 25, west + 35]
    assert cube.y.values.tolist() == [north - 15, north - 25, north - 35, north - 45]


def polygons(scene: Scene) -> list[shapely.Geometry]:
    west, south, east, north = (scene.extent(0.6)[side] for side in ("west", "south", "east", "north"))
    middle = ((west + east) / 2, (south + north) / 2)
    hole = shapely.Point(west, north).buffer((north - south) / 12)
    return [
        shapely.Polygon([(west, south), (east, south), middle]),
        shapely.Point(west, north).buffer((north - south) / 3).difference(hole),
    ]


@pytest.mark.parametrize("kind", ["Polygon", "MultiPolygon", "Feature", "FeatureCollection", "GeoDataFrame", "cube"])
def test_polygons_keep_the_pixels_whose_centres_lie_in_them(scene: Scene, kind: str) -> None:
    import geopandas

    shapes = polygons(scene) if kind != "Polygon" else polygons(scene)[:1]
    features = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(s)} for s in shapes]
    extent: Any = {
        "Polygon": shapely.geometry.mapping(shapes[0]),
        "MultiPolygon": shapely.geometry.mapping(shapely.MultiPolygon(shapes if kind != "Polygon" else [])),
        "Feature": {
            **features[0],
            "geometry": shapely.geometry.mapping(shapely.MultiPolygon(shapes if kind != "Polygon" else [])),
        },
        "FeatureCollection": {
            "type": "FeatureCollection",
            "features": [*features, {"type": "Feature", "geometry": None}],
        },
        "GeoDataFrame": geopandas.GeoDataFrame(geometry=shapes, crs=4326).to_crs(32632),
        "cube": xr.DataArray([1.0] * len(shapes), {"geometry": np.array(shapes, object)}, ("geometry",)),
    }[kind]
    cube = load_collection(str(scene.cogs), extent, None, bands=["B02", "B08"])
    full = load_collection(str(scene.cogs), None, None, bands=["B02", "B08"]).sel(x=cube.x, y=cube.y)
    moved = geopandas.GeoSeries(shapes, crs=4326).to_crs(32632)
    outside = rasterio.features.geometry_mask(moved, cube.shape[-2:], cube.rio.transform())
    assert 0.1 < outside.mean() < 0.9
    west, _, east, _ = moved.total_bounds
    assert cube.x[0] - 10 < west < cube.x[0] < cube.x[-1] < east < cube.x[-1] + 10
    np.testing.assert_array_equal(cube, np.where(outside, 0, full))


@pytest.mark.parametrize(
    "extent",
    [
        {"type": "Point", "coordinates": [10, 45]},
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[10, 45], [11, 45]]}},
        {"type": "Polygon", "coordinates": "no"},
        {"type": "Polygon"},
        {"west": 1, "south": 2},
        "everywhere",
    ],
)
def test_other_extents_are_refused(scene: Scene, extent: Any) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid):
        load_stac(str(scene.catalog), extent)


def test_polygons_are_cut_out_in_other_processes_too(scene: Scene, scheduler: str) -> None:
    extent = shapely.geometry.mapping(polygons(scene)[1])
    cube = load_collection(str(scene.cogs), extent, None)
    with_holes = cube.compute(scheduler="synchronous")
    assert 0.1 < (with_holes == 0).mean() < 0.9
    np.testing.assert_array_equal(cube, with_holes)


def test_polygons_cost_no_more_tasks(scene: Scene) -> None:
    extent = shapely.geometry.mapping(polygons(scene)[0])
    assert tasks(load_stac(str(scene.catalog), extent)) == tasks(load_stac(str(scene.catalog))) == 4
