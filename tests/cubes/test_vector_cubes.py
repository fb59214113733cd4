"""Vector cubes pass through the processes on cubes: their geometries, CRS and properties stay."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import specs, vectors
from openeo_processes_dask.declare import DECLARED
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

LINE = child(
    a=node("array_element", data=given("parameters"), index=0),
    b=node("array_element", data=given("parameters"), index=1),
    m=node("multiply", x=cases.of("b"), y=given("x")),
    s=node("add", x=cases.of("a"), y=cases.of("m")),
)
LEFT = {"west": 599_999, "south": 4_999_000, "east": 600_031, "north": 5_000_001, "crs": 32632}


def there_and_back(cube: xr.DataArray) -> xr.DataArray:
    flat = cubes.flatten_dimensions(cube, ["t", "bands"], "both")
    return cubes.unflatten_dimension(flat, "both", ["t", "bands"])


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
    "drop_dimension": lambda cube: cubes.drop_dimension(cubes.add_dimension(cube, "run", "one"), "run"),
    "flatten_dimensions": lambda cube: cubes.flatten_dimensions(cube, ["t", "bands"], "both"),
    "unflatten_dimension": there_and_back,
    "filter_bbox": lambda cube: cubes.filter_bbox(cube, LEFT),
    "mask": lambda cube: cubes.mask(cube, cubes.apply(cube, child(g=node("gt", x=given("x"), y=0)))),
    "aggregate_temporal": lambda cube: cubes.aggregate_temporal(cube, [["2023-04-01", "2023-05-01"]], "mean"),
    "resample_cube_temporal": lambda cube: cubes.resample_cube_temporal(cube, cases.cube()[1:3]),
    "climatological_normal": lambda cube: cubes.climatological_normal(cube, "month"),
    "fit_curve": lambda cube: cubes.fit_curve(cube, [1, 0], LINE, dimension="t"),
    "predict_curve": lambda cube: cubes.predict_curve(
        cubes.fit_curve(cube, [1, 0], LINE, dimension="t"), LINE, "t", ["2023-04-05T00:00:00Z"]
    ),
    "filter_vector by a vector cube": lambda cube: cubes.filter_vector(cube, cube.isel(geometry=[0])),
    "filter_vector": lambda cube: cubes.filter_vector(cube, TABLE[:2]),
}


# What takes vector cubes and is held to it elsewhere, or here in a test of its own.
ELSEWHERE = {
    "aggregate_spatial": "below",
    "apply_polygon": "below",
    "dimension_labels": "below",
    "trim_cube": "below",
    "filter_spatial": "below",
    "mask_polygon": "below",
    "load_collection": "test_load_areas.py",
    "load_stac": "test_load_areas.py",
    "save_result": "test_save_tables.py",
    "vector_buffer": "test_vector.py",
    "vector_reproject": "test_vector.py",
    "vector_to_random_points": "test_vector.py",
    "vector_to_regular_points": "test_vector.py",
}


def takes_geometries(schema: Any) -> bool:
    """Whether a schema allows a cube with a dimension of geometries."""
    return any(
        one.get("subtype") == "datacube"
        and any(dimension.get("type") == "geometry" for dimension in one.get("dimensions", [{"type": "geometry"}]))
        for one in (schema if isinstance(schema, list) else [schema])
    )


def test_every_process_that_takes_vector_cubes_is_tested_with_one() -> None:
    documents = [json.loads(path.read_text()) for path in Path(specs.__path__[0]).glob("*/*.json")]
    official = {
        one["id"]
        for one in documents
        if any(takes_geometries(parameter["schema"]) for parameter in one["parameters"]) and not one.get("deprecated")
    }
    assert len(official) > 20
    assert official <= {name.split()[0] for name in PROCESSES} | set(ELSEWHERE)


def test_geometries_wholly_in_a_box_stay() -> None:
    cube = vector_cube(None)
    assert cubes.filter_bbox(cube, LEFT)["name"].values.tolist() == ["a"]
    around = dict(zip(("west", "south", "east", "north"), TABLE[:2].to_crs(4326).total_bounds, strict=True))
    wide = {side: value + (1e-9 if side in ("east", "north") else -1e-9) for side, value in around.items()}
    made = cubes.filter_bbox(cube, wide)
    assert made["name"].values.tolist() == ["a", "b"]  # the third has no geometry
    np.testing.assert_array_equal(made, cube[..., :2])
    assert cubes.filter_bbox(cube, wide | {"east": around["east"] - 1e-6})["name"].values.tolist() == ["a"]
    assert cubes.filter_bbox(cube, {**LEFT, "east": 600_000}).sizes["geometry"] == 0


def test_labels_of_geometries_are_texts_and_empty_rows_are_trimmed() -> None:
    cube = vector_cube()
    assert cubes.dimension_labels(cube, "geometry") == [shape.wkt for shape in TABLE.geometry]
    assert cubes.trim_cube(cube)["name"].values.tolist() == ["a", "b"]  # nothing lies under the third


def test_a_vector_cube_stands_for_its_geometries() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    held = vector_cube()
    np.testing.assert_array_equal(
        cubes.aggregate_spatial(cube, held, "sum"), cubes.aggregate_spatial(cube, TABLE, "sum")
    )
    apart = held.isel(geometry=[0])
    squared = child(m=node("multiply", x=given("data"), y=given("data")))
    np.testing.assert_array_equal(
        cubes.apply_polygon(cube, apart, squared), cubes.apply_polygon(cube, TABLE[:1], squared)
    )


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


PROBABILITIES = [0.25, 0.5]
ARRAYS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("mean", "median", "sum", "first", "last", "count", "extrema", "cumsum", "sort", "order")},
    **{name: {} for name in ("max", "sd", "product", "cummax", "array_interpolate_linear")},
    "quantiles": {"probabilities": PROBABILITIES},
    "array_find": {"value": 1},
    "array_element": {"index": 0},
    "array_element without one": {"index": 99, "return_nodata": True},
    "rearrange": {"order": [1, 0]},
}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("chunks", [None, cases.AWKWARD])
@pytest.mark.parametrize("name", ARRAYS)
def test_geometries_stay_where_arrays_are_reduced_or_changed_directly(name: str, chunks: Any, keepdims: bool) -> None:
    cube, function = vector_cube(chunks), DECLARED[name.split()[0]].function
    kept = {"keepdims": keepdims} if "keepdims" in inspect.signature(function).parameters else {}
    with nothing_computed():
        made = function(cube, **ARRAYS[name], **kept, axis=0)
    assert {"bands", "geometry"} <= set(made.dims)
    assert vectors.read(made).crs == pyproj.CRS.from_epsg(32632)
    assert made.xindexes["geometry"].crs == pyproj.CRS.from_epsg(32632)
    assert list(made.geometry.values) == list(TABLE.geometry)
    assert made.coords["name"].values.tolist() == ["a", "b", "c"]
    assert (made.name, made.attrs) == (cube.name, cube.attrs)


def test_a_vector_cube_is_an_extent_and_a_mask() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    held = vector_cube().isel(geometry=[0, 1])
    np.testing.assert_array_equal(cubes.mask_polygon(cube, held), cubes.mask_polygon(cube, TABLE[:2]))
    np.testing.assert_array_equal(cubes.filter_spatial(cube, held), cubes.filter_spatial(cube, TABLE[:2]))
    plain = xr.DataArray(np.zeros(2), dims=["field"], coords={"field": held.geometry.values})
    plain = plain.xvec.set_geom_indexes("field", crs=32632)
    plain.openeo.add_dim_type("field", "geometry")
    np.testing.assert_array_equal(cubes.mask_polygon(cube, plain), cubes.mask_polygon(cube, TABLE[:2]))
