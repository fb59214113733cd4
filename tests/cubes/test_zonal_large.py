"""Aggregating over geometries that are large or many: exact by rasterio and numpy, and tasks grow with the chunks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

import affine
import dask.array as da
import geopandas
import numpy as np
import pytest
import rasterio.features
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

LEFT, TOP = 600_000, 5_000_000
SIDE = 60
GRID = affine.Affine(10, 0, LEFT, 0, -10, TOP)
RING = shapely.Point(LEFT + 281.3, TOP - 307.7)
SHAPES = [
    shapely.difference(RING.buffer(277), RING.buffer(64)),
    shapely.Point(LEFT + 550.1, TOP - 41.7).buffer(402),  # reaches beyond the cube
    shapely.MultiPolygon(
        [shapely.box(LEFT - 99, TOP - 333, LEFT + 187, TOP - 1), shapely.box(LEFT + 401, 0, 9e9, 9e9)]
    ),
    shapely.Point(LEFT + 101, TOP - 101).buffer(15),
]
TABLE = geopandas.GeoSeries(SHAPES, crs=32632)
UPPER = child(q=node("quantiles", data=given("data"), probabilities=[0.9]))
SPREAD = child(s=node("sort", data=given("data")), f=node("first", data=of("s")))


def pixels(array: np.ndarray, shape: Any) -> np.ndarray:
    """The values whose centres lie in a shape, as rasterio finds them."""
    return array[..., rasterio.features.geometry_mask([shape], array.shape[-2:], GRID, invert=True)]


def values(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    if dtype.startswith("float"):
        made = rng.normal(size=(2, 2, SIDE, SIDE)) * 10.0 ** rng.integers(-9, 9, (2, 2, SIDE, SIDE))
        made[rng.random(made.shape) < 0.2] = np.nan
        return made.astype(dtype)
    ends = np.iinfo(dtype)
    return rng.integers(ends.min, ends.max, (2, 2, SIDE, SIDE), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("chunks", [6, 32])
@pytest.mark.parametrize(
    ("reducer", "plain"),
    [("median", np.nanmedian), (UPPER, lambda v, axis: np.nanquantile(v, 0.9, axis)), (SPREAD, np.nanmin)],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16", "uint32", "int64"])
def test_large_geometries_equal_numpy_on_the_pixels_that_rasterio_finds(
    dtype: str, reducer: Any, plain: Callable[..., Any], chunks: int
) -> None:
    array = values(dtype)
    for fill in (None,) if dtype.startswith("float") else (None, array[0, 0, 30, 30].item()):
        cube = cases.cube(array, {"t": 1, "bands": 2, "y": chunks, "x": chunks}, nodata=fill)
        with nothing_computed():
            result = cubes.aggregate_spatial(cube, TABLE, reducer)
        gapped = cases.gapped(array, fill)
        expected = np.stack([plain(pixels(gapped, shape), axis=-1) for shape in SHAPES], axis=-1)
        got = cases.gapped(result.values, result.attrs.get("nodata"))
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def holistic(caplog: pytest.LogCaptureFixture, call: Callable[[], Any]) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "openeo_processes_dask"), nothing_computed():
        call()
    return [record.getMessage() for record in caplog.records]


def test_a_reducer_that_gathers_pixels_says_so_and_how_many(caplog: pytest.LogCaptureFixture) -> None:
    cube = cases.cube(values("float32"), {"t": 1, "bands": 1, "y": 5, "x": 5})
    computed = cube.compute()
    (planes,) = holistic(caplog, lambda: cubes.reduce_spatial(cube, SPREAD))
    assert planes == (
        "whole planes come together in one task for a reducer of [sort, first], which needs all values at once"
        " (SHUFFLE): 3600 pixels, 0.0 MB"
    )
    (zones,) = holistic(caplog, lambda: cubes.aggregate_spatial(cube, TABLE, SPREAD))
    assert "each of 3 geometries" in zones
    assert "[sort, first]" in zones
    assert "SHUFFLE" in zones
    for quiet in (
        lambda: cubes.reduce_spatial(cube, "median"),
        lambda: cubes.reduce_spatial(computed, SPREAD),
        lambda: cubes.reduce_spatial(cube.chunk({"y": -1, "x": -1}), SPREAD),
        lambda: cubes.aggregate_spatial(cube, TABLE, "median"),
        lambda: cubes.aggregate_spatial(cube, TABLE, "mean"),
        lambda: cubes.aggregate_spatial(cube, TABLE[3:], SPREAD),
    ):
        assert holistic(caplog, quiet) == []


def test_values_that_were_gathered_are_those_of_numpy() -> None:
    array = values("float64")
    cube = cases.cube(array, {"t": 1, "bands": 1, "y": 5, "x": 5})
    np.testing.assert_array_equal(cubes.reduce_spatial(cube, SPREAD), np.nanmin(array, axis=(2, 3)))


def tasks_a_chunk(side: int, chunk: int, number: int, radius: float, reducer: str) -> float:
    """How many tasks circles anywhere on a cube cost for each chunk of it, its own one among them."""
    cube = xr.DataArray(da.zeros((1, 1, side, side), chunks=(1, 1, chunk, chunk), dtype="float32"), dims=cases.DIMS)
    cube = cube.assign_coords(y=TOP - 5 - 10.0 * np.arange(side), x=LEFT + 5 + 10.0 * np.arange(side))
    cube.attrs["crs"] = 32632
    at = np.random.default_rng(number).uniform(0, 10 * side, (number, 2)) * (1, -1) + (LEFT, TOP)
    table = geopandas.GeoSeries(shapely.buffer(shapely.points(at), radius), crs=32632)
    return cases.tasks(cubes.aggregate_spatial(cube, table, reducer).data) / cube.data.npartitions


@pytest.mark.parametrize(("side", "chunk"), [(64, 4), (128, 16), (256, 8), (512, 64)])
@pytest.mark.parametrize("reducer", ["mean", "median"])
def test_tasks_are_a_few_a_chunk_however_many_polygons_and_small_chunks(reducer: str, side: int, chunk: int) -> None:
    """Together they are half as large as the cube; 10,000 of them are smaller than pixels."""
    found = [tasks_a_chunk(side, chunk, n, 10 * side / (6 * n) ** 0.5, reducer) for n in (10, 100, 1000, 10_000)]
    assert max(found) <= (5 if reducer == "median" else 2.5), found


@pytest.mark.parametrize("number", [10, 100])
def test_polygons_that_become_too_large_to_gather_cost_no_sudden_tasks(number: int) -> None:
    """From the radius of a pixel to that of some chunks, for the same area; the step is at eight chunks each."""
    sides = [int(radius * (6 * number) ** 0.5 / 10 / 4) * 4 for radius in (40, 60, 80, 120)]
    found = [tasks_a_chunk(side, 4, number, 10 * side / (6 * number) ** 0.5, "median") for side in sides]
    assert max(found) <= 5, found
    assert max(b / a for a, b in itertools.pairwise(found)) <= 2.2, found
