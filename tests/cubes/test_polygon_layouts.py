"""Processes under polygons, on cubes laid out at random: chunked equals unchunked, and masks equal shapely."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases

CORNER = np.array([600_000.0, 5_000_000.0])


def drawn(rng: np.random.Generator) -> Any:
    """A circle, ring, pair of circles, box or triangle on a small cube or beside it."""
    at = rng.uniform(-30, 110, 2) * (1, -1) + CORNER
    point = shapely.Point(at)
    return [
        point.buffer(rng.uniform(3, 90)),
        shapely.difference(point.buffer(60), point.buffer(33)),
        shapely.MultiPolygon([point.buffer(11), shapely.Point(at + 40).buffer(14)]),
        shapely.box(*(at - rng.uniform(1, 50, 2)), *(at + rng.uniform(1, 50, 2))),
        shapely.Polygon(at + rng.normal(0, 30, (3, 2))),
    ][rng.integers(5)]


def laid_out(rng: np.random.Generator) -> xr.DataArray:
    """A cube of one to nine rows, columns and dates, in any order, upside down, without a name, with gaps or none."""
    height, width = (int(n) for n in rng.integers(1, 10, 2))
    dtype = rng.choice(["float32", "float64", "uint8", "int16"])
    array = cases.values((int(rng.choice([1, 2, height])), 2, height, width), dtype=dtype)
    cube = cases.cube(array, nodata=0 if array.dtype.kind in "iu" and rng.random() < 0.5 else None)
    cube = cube.isel(y=slice(None, None, int(rng.choice([1, -1]))))
    cube = cube.rename(None) if rng.random() < 0.3 else cube.rename("values")
    return cube.transpose(*rng.permutation(cube.dims)) if rng.random() < 0.5 else cube


@pytest.mark.parametrize("seed", range(40))
def test_cubes_in_any_layout_are_the_same_chunked_and_masked_as_by_shapely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cube, shapes = laid_out(rng), [drawn(rng) for _ in range(rng.integers(1, 5))]
    table = geopandas.GeoSeries(shapes, crs=32632)
    elsewhere = table.to_crs(int(rng.choice([32632, 4326, 3857])))
    chunked = cube.chunk({d: int(rng.integers(1, n + 1)) for d, n in cube.sizes.items()})
    for process in (
        lambda c: cubes.mask_polygon(c, elsewhere),
        lambda c: cubes.mask_polygon(c, elsewhere, replacement=3, inside=True),
        lambda c: cubes.filter_spatial(c, elsewhere),
        lambda c: cubes.aggregate_spatial(c, elsewhere, "mean"),
        lambda c: cubes.aggregate_spatial(c, elsewhere, "median", target_dimension="n"),
        lambda c: cubes.reduce_spatial(c, "median"),
    ):
        whole, cut = process(cube), process(chunked)
        xr.testing.assert_allclose(cut.compute(), whole, rtol=1e-5)
        assert (cut.dtype, cut.name, cut.attrs) == (whole.dtype, whole.name, whole.attrs)
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    inside = np.any([shapely.intersects_xy(shape, x, y) for shape in shapes], axis=0)
    expected = cube.transpose("t", "bands", "y", "x").where(inside, cube.attrs.get("nodata", np.nan))
    got = cubes.mask_polygon(chunked, table).transpose("t", "bands", "y", "x")
    np.testing.assert_array_equal(got, expected)
