"""Vector cubes pass through the processes on cubes: their geometries, CRS and properties stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import vectors
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node
from tests.cubes.test_zonal import metres
from tests.laziness import nothing_computed

TABLE = geopandas.GeoDataFrame(
    {"name": ["a", "b", "c"]},
    geometry=[metres(shapely.box(0, 0, 30, 30)), metres(shapely.box(20, 20, 60, 60)), shapely.Polygon()],
    crs=32632,
)
SQUARED = child(m=node("multiply", x=given("x"), y=given("x")))
ADDED = child(a=node("add", x=given("x"), y=given("y")))

PROCESSES: dict[str, Callable[[xr.DataArray], Any]] = {
    "apply": lambda cube: cubes.apply(cube, SQUARED),
    "apply_dimension": lambda cube: cubes.apply_dimension(cube, "cumsum", "t"),
    "reduce_dimension": lambda cube: cubes.reduce_dimension(cube, "mean", "t"),
    "reduce_dimension in the middle": lambda cube: cubes.reduce_dimension(cube, "median", "bands"),
    "aggregate_temporal_period": lambda cube: cubes.aggregate_temporal_period(cube, "month", "mean"),
    "filter_bands": lambda cube: cubes.filter_bands(cube, ["B04"]),
    "filter_temporal": lambda cube: cubes.filter_temporal(cube, ["2023-04-05", None]),
    "filter_labels": lambda cube: cubes.filter_labels(cube, child(e=node("eq", x=given("value"), y="B04")), "bands"),
    "merge_cubes": lambda cube: cubes.merge_cubes(cube, cube, ADDED),
    "add_dimension": lambda cube: cubes.add_dimension(cube, "run", "one"),
    "rename_labels": lambda cube: cubes.rename_labels(cube, "bands", ["x", "y", "z"], cases.BANDS),
    "rename_dimension": lambda cube: cubes.rename_dimension(cube, "t", "time"),
    "ndvi": lambda cube: cubes.ndvi(cube, nir="B08", red="B04"),
    "filter_vector": lambda cube: cubes.filter_vector(cube, TABLE[:2]),
}


def vector_cube(chunks: Any = cases.AWKWARD) -> xr.DataArray:
    return cubes.aggregate_spatial(cases.cube(chunks=chunks), TABLE, "mean")


@pytest.mark.parametrize("chunks", [None, cases.AWKWARD])
@pytest.mark.parametrize("name", PROCESSES)
def test_geometries_crs_and_properties_stay(name: str, chunks: Any) -> None:
    cube = vector_cube(chunks)
    before = cube.copy(deep=True)
    with nothing_computed():
        made = PROCESSES[name](cube)
    assert cube.identical(before)
    count = made.sizes["geometry"]
    assert list(made.geometry.values) == list(TABLE.geometry)[:count]
    assert vectors.read(made).crs == pyproj.CRS.from_epsg(32632)
    assert made.xindexes["geometry"].crs == pyproj.CRS.from_epsg(32632)
    assert made.coords["name"].values.tolist() == ["a", "b", "c"][:count]
    assert made.openeo.geometry_dims == ("geometry",)
    assert np.asarray(made).shape == made.shape


def test_a_vector_cube_is_an_extent_and_a_mask() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    held = vector_cube().isel(geometry=[0, 1])
    np.testing.assert_array_equal(cubes.mask_polygon(cube, held), cubes.mask_polygon(cube, TABLE[:2]))
    np.testing.assert_array_equal(cubes.filter_spatial(cube, held), cubes.filter_spatial(cube, TABLE[:2]))
    plain = xr.DataArray(np.zeros(2), dims=["field"], coords={"field": held.geometry.values})
    plain = plain.xvec.set_geom_indexes("field", crs=32632)
    plain.openeo.add_dim_type("field", "geometry")
    np.testing.assert_array_equal(cubes.mask_polygon(cube, plain), cubes.mask_polygon(cube, TABLE[:2]))
