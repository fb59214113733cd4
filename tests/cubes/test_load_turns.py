"""Areas across the antimeridian and across the meridian at which longitudes begin again, as numpy rolls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask
import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, exceptions
from openeo_processes_dask.process_implementations.cubes import filter_bbox, load_collection, load_geojson, load_stac
from tests.cubes import pictures

STEP, ROWS = 10.0, 6
VALUES = pictures.pixels((ROWS, 36), "int16")
KINDS = ["nc", "zarr", "tif"]
FOUR = {"south": 10, "north": 60}


def written(folder: Path, kind: str, west: float, values: np.ndarray = VALUES) -> Path:
    """The globe from a longitude on; rows from 60 degrees north to none."""
    if kind == "tif":
        path = folder / "globe.tif"
        return pictures.write(path, values, corner=(west, 60), size=STEP, epsg=4326, nodata=-1)
    path = folder / f"globe.{kind}"
    axes = {
        "lat": ("lat", 55 - np.arange(ROWS) * STEP, {"units": "degrees_north"}),
        "lon": ("lon", west + STEP / 2 + np.arange(36) * STEP, {"units": "degrees_east"}),
    }
    data = xr.Dataset({"a": (("lat", "lon"), values)}, axes)
    with dask.config.set(scheduler="synchronous"):
        if kind == "zarr":
            data.chunk({"lon": 12}).to_zarr(path, consolidated=False)
        else:
            data.to_netcdf(path, engine="h5netcdf")
    return path


def expected(west: float, low: float, high: float, values: np.ndarray = VALUES) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes from one to another and their columns, each of the globe's at most once."""
    x = np.arange(np.ceil((low - 5) / STEP) * STEP + 5, high + 1e-9, STEP)[:36]
    return x, values[:5, ((x - west - 5) / STEP).round().astype(int) % 36]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("west", [-180.0, 0.0])
@pytest.mark.parametrize(
    ("low", "high"), [(150, -150), (-30, 30), (150, 210), (-180, 180), (0, 360), (-175, 185), (-400, -350)]
)
def test_an_area_lies_on_both_ends_of_a_file(kind: str, west: float, low: float, high: float, tmp_path: Path) -> None:
    path = written(tmp_path, kind, west)
    cube = load_collection(str(path), {"west": low, "east": high, **FOUR}, None)
    x, values = expected(west, low, high + 360 * (high < low))
    np.testing.assert_allclose(cube.x, x)
    np.testing.assert_array_equal(cube[0], values)
    assert dimensions.crs(cube).to_epsg() == 4326
    assert dimensions.x_dim(cube) == "x"
    if kind == "tif":
        assert cube.attrs["nodata"] == -1
    again = filter_bbox(load_collection(str(path), None, None), {"west": low, "east": high, **FOUR})
    xr.testing.assert_identical(again.compute(), cube.compute())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "parts",
    [
        [shapely.box(161, 10, 180, 60), shapely.box(-180, 10, -156, 60)],  # cut as GeoJSON wants it
        [shapely.box(161, 10, 204, 60)],
        [shapely.box(-199, 10, -156, 60)],
    ],
)
def test_polygons_lie_across_the_antimeridian(kind: str, parts: list[Any], tmp_path: Path) -> None:
    path = written(tmp_path, kind, -180)
    hole = [shapely.difference(one, shapely.box(-179, 30, -171, 50)) for one in parts]
    cube = load_collection(str(path), shapely.geometry.mapping(shapely.MultiPolygon(hole)), None)
    _, values = expected(-180, 161, 204)
    kept = np.ones((5, 4), bool)
    kept[1:3, 2] = parts[0].bounds[2] > 200
    found = cube[0].values
    assert found.shape == (5, 4)
    assert (np.diff(cube.x) == STEP).all()
    np.testing.assert_array_equal(found[kept], values[kept])
    assert (found[~kept] == cube.attrs["nodata"]).all()


def test_a_polygon_in_metres_across_the_antimeridian_is_no_belt_around_the_globe(tmp_path: Path) -> None:
    path = written(tmp_path, "nc", -180)
    forward = pyproj.Transformer.from_crs(4326, 32601, always_xy=True)
    corners = [forward.transform(*at) for at in ((172, 12), (188, 12), (188, 42), (172, 42))]
    shape = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    shape["crs"] = {"type": "name", "properties": {"name": "EPSG:32601"}}
    cube = load_collection(str(path), shape, None)
    np.testing.assert_allclose(cube.x, [175, 185])


def test_items_of_both_sides_are_found_and_joined(tmp_path: Path) -> None:
    east, west = pictures.pixels((4, 5), "uint8"), pictures.pixels((4, 5), "uint8", seed=1)
    found = []
    for name, values, left in (("east", east, 175), ("west", west, -180)):
        path = pictures.write(tmp_path / f"{name}.tif", values, corner=(left, 4), size=1, epsg=4326)
        item = pictures.item(name, "2023-01-01T00:00:00Z", {"a": path})
        found.append(item | {"bbox": [left, 0, left + 5, 4]})
    catalogue = pictures.collection(tmp_path / "c.json", found)
    cube = load_stac(str(catalogue), {"west": 177, "south": 0, "east": -178, "north": 4})
    np.testing.assert_array_equal(cube[0, 0], np.concatenate([east[:, 2:], west[:, :2]], 1))
    np.testing.assert_allclose(cube.x, np.arange(177.5, 182))
    one = load_stac(str(catalogue), {"west": -179, "south": 0, "east": -178, "north": 4})
    np.testing.assert_array_equal(one[0, 0], west[:, 1:2])
    around = load_stac(str(catalogue), {"west": 181, "south": 0, "east": 182, "north": 4})
    np.testing.assert_array_equal(around[0, 0], west[:, 1:2])


@pytest.mark.parametrize(("west", "east", "crs"), [(11, 10, 4326), (-10, -20, 4326), (500_000, -500_000, 32632)])
def test_sides_the_wrong_way_round_lie_across_nothing(west: float, east: float, crs: int, tmp_path: Path) -> None:
    path = written(tmp_path, "nc", -180)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="wrong way round"):
        load_collection(str(path), {"west": west, "east": east, "crs": crs, **FOUR}, None)


def test_geometries_lie_across_the_antimeridian() -> None:
    shapes = [
        shapely.box(175, 1, 179, 2),
        shapely.box(-179, 1, -175, 2),
        shapely.box(175, 1, 185, 2),
        shapely.MultiPolygon([shapely.box(175, 1, 180, 2), shapely.box(-180, 1, -175, 2)]),
        shapely.box(165, 1, 175, 2),
        shapely.box(-10, 1, 10, 2),
    ]
    cube = load_geojson(json.loads(geopandas.GeoDataFrame(geometry=shapes, crs=4326).to_json()))
    kept = filter_bbox(cube, {"west": 170, "south": 0, "east": -170, "north": 5})
    assert shapely.equals(kept.geometry.values, shapes[:4]).all()
