"""Aggregating over geometries, against shapely on every centre and numpy on the pixels of each."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import geopandas
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from openeo_processes_dask import exceptions, vectors
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": 1, "bands": 1, "y": 2, "x": 2}, {"t": -1, "bands": -1, "y": 3, "x": 3}]
LEFT, TOP = 600_000, 5_000_000
ORACLES: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "sum": np.nansum,
    "product": np.nanprod,
    "min": np.nanmin,
    "max": np.nanmax,
    "sd": lambda v, axis: np.nanstd(v, axis, ddof=1),
    "variance": lambda v, axis: np.nanvar(v, axis, ddof=1),
    "count": lambda v, axis: np.isfinite(v).sum(axis),
}


def metres(shape: Any) -> Any:
    """A shape that was drawn from the upper left corner of the cube, in its CRS."""
    return shapely.transform(shape, lambda at: np.stack([LEFT + at[:, 0], TOP - at[:, 1]], 1))


SHAPES = {
    "circle": shapely.Point(37, 22).buffer(21),
    "overlapping": shapely.Point(50, 30).buffer(25),
    "holed": shapely.Polygon(shapely.box(2, 2, 78, 58).exterior, [shapely.box(12, 17, 53, 38).exterior]),
    "parts": shapely.MultiPolygon([shapely.box(0, 0, 18, 12), shapely.box(40, 31, 95, 90)]),
    "parts that overlap": shapely.MultiPolygon([shapely.box(0, 0, 30, 40), shapely.box(20, 10, 60, 30)]),
    "everything": shapely.box(-1000, -1000, 1000, 1000),
    "between centres": shapely.box(11, 11, 13, 13),
    "outside": shapely.box(500, 500, 600, 600),
    "empty": shapely.Polygon(),
    "edge through centres": shapely.box(15, 15, 45, 35),
    "point": shapely.Point(33, 44),
    "points of one pixel": shapely.MultiPoint([(61, 21), (62, 22), (5, 5)]),
    "line": shapely.LineString([(3, 8), (66, 8), (66, 49)]),
}
NAMES = list(SHAPES)
TABLE = geopandas.GeoDataFrame({"name": NAMES}, geometry=[metres(s) for s in SHAPES.values()], crs=32632)


def chosen(shape: Any, cube: xr.DataArray) -> np.ndarray:
    """Which pixels a shape has: polygons those whose centres meet it, others those that it meets itself."""
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    if shape.is_empty:
        return np.zeros(x.shape, bool)
    if shapely.get_dimensions(shape) == 2:
        return np.any([shapely.intersects_xy(part, x, y) for part in shapely.get_parts(shape)], axis=0)
    return shapely.intersects(shape, shapely.box(x - 5, y - 5, x + 5, y + 5))


def oracle(array: np.ndarray, reducer: Callable[..., Any], table: Any = TABLE) -> np.ndarray:
    """What a reducer of numpy makes of the pixels of each geometry, NaN without any; (t, bands, geometry)."""
    cube = cases.cube(array)
    out = np.full((*array.shape[:2], len(table)), np.nan)
    for place, shape in enumerate(table.geometry):
        here = chosen(shape, cube)
        if here.any():
            for t, b in np.ndindex(array.shape[:2]):
                values = array[t, b][here].astype(float)
                if np.isfinite(values).any() or reducer is ORACLES["count"]:
                    out[t, b, place] = (
                        reducer(values, 0) if np.isfinite(values).sum() > 1 else reducer_of_one(values, reducer)
                    )
    return out


def reducer_of_one(values: np.ndarray, reducer: Callable[..., Any]) -> float:
    """What a statistic says of one value, without numpy's warnings."""
    if reducer in (ORACLES["sd"], ORACLES["variance"]):
        return np.nan
    return float(reducer(values, 0))


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("reducer", ORACLES)
def test_values_equal_numpy_on_the_pixels_that_shapely_finds(reducer: str, chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.aggregate_spatial(cube, TABLE, reducer)
    assert result.dims == ("t", "bands", "geometry")
    np.testing.assert_allclose(result, oracle(array, ORACLES[reducer]), rtol=2e-5)


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_pixels_are_counted(chunks: Any) -> None:
    array = cases.values()
    with nothing_computed():
        result = cubes.aggregate_spatial(cases.cube(array, chunks), TABLE, "median", target_dimension="statistics")
    assert result.dims == ("t", "bands", "geometry", "statistics")
    assert result.statistics.values.tolist() == ["value", "total_count", "valid_count"]
    assert result.openeo.other_dims == ("statistics",)
    counts = np.array([chosen(shape, cases.cube()).sum() for shape in TABLE.geometry])
    valid = np.nan_to_num(oracle(array, ORACLES["count"]))
    np.testing.assert_array_equal(result.sel(statistics="total_count"), np.broadcast_to(counts, (7, 3, len(TABLE))))
    np.testing.assert_array_equal(result.sel(statistics="valid_count"), valid)
    np.testing.assert_allclose(result.sel(statistics="value"), oracle(array, np.nanmedian), rtol=1e-6)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("reducer", ["max", "median", "mean", "sum"])
def test_integers_keep_a_declared_nodata_value(reducer: str, chunks: Any) -> None:
    array = cases.values(dtype="uint16")
    cube = cases.cube(array, chunks, nodata=0)
    result = cubes.aggregate_spatial(cube, TABLE, reducer)
    expected = oracle(cases.gapped(array, 0), ORACLES[reducer])
    if reducer == "max":  # what is computed, as a sum, could be the no-data value
        assert result.dtype.kind in "iu"
        assert result.attrs["nodata"] == 0
        expected = np.nan_to_num(expected)
    else:
        assert "nodata" not in result.attrs
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    plain = cubes.aggregate_spatial(cases.cube(array, chunks), TABLE, reducer)
    np.testing.assert_allclose(plain, oracle(array, ORACLES[reducer]), rtol=1e-6)
    assert plain.dtype.kind == "f"


CALLBACKS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "two nodes": (
        child(m=node("mean", data=given("data")), a=node("add", x=of("m"), y=1)),
        lambda v, a: np.nanmean(v) + 1,
    ),
    "before and behind": (
        child(
            p=node("multiply", x=given("data"), y=given("data")),
            s=node("sum", data=of("p")),
            m=node("count", data=given("data")),
            d=node("divide", x=of("s"), y=of("m")),
        ),
        lambda v, a: np.nansum(v * v) / np.isfinite(v).sum(),
    ),
    "a share": (
        child(g=node("gt", x=given("data"), y=0), a=node("mean", data=of("g"))),
        lambda v, a: np.mean(v[np.isfinite(v)] > 0),
    ),
    "quantile": (
        child(q=node("quantiles", data=given("data"), probabilities=[0.9])),
        lambda v, a: np.nanquantile(v, 0.9),
    ),
    "of the largest": (
        child(e=node("extrema", data=given("data")), a=node("array_element", data=of("e"), index=1)),
        lambda v, a: np.nanmax(v),
    ),
    "heeding gaps": (
        child(m=node("max", data=given("data"), ignore_nodata=False)),
        lambda v, a: np.max(v),
    ),
    "of numpy": (lambda data: np.nansum(np.abs(data)), lambda v, a: np.nansum(np.abs(v))),
}


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("kind", CALLBACKS)
def test_any_reducer_runs_on_the_pixels_of_each_geometry(kind: str, chunks: Any) -> None:
    reducer, plain = CALLBACKS[kind]
    array = cases.values()
    array[:, :, 0, 0] = 1
    with nothing_computed():
        result = cubes.aggregate_spatial(cases.cube(array, chunks), TABLE[:6], reducer)
    np.testing.assert_allclose(result, oracle(array, plain, TABLE[:6]), rtol=1e-5)


def test_a_reducer_gets_the_context() -> None:
    reducer = child(m=node("mean", data=given("data")), a=node("add", x=of("m"), y=given("context")))
    array = cases.values()
    for chunks in LAYOUTS:
        result = cubes.aggregate_spatial(cases.cube(array, chunks), TABLE[:3], reducer, context=7)
        np.testing.assert_allclose(result, oracle(array, np.nanmean, TABLE[:3]) + 7, rtol=1e-5)


def test_a_reducer_makes_one_value() -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="2 values"):
        cubes.aggregate_spatial(cases.cube(chunks=cases.AWKWARD), TABLE, "extrema")


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_geometries_in_another_crs_stay_in_it(chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    polygons = TABLE[TABLE.name.isin(["circle", "holed", "parts", "outside"])]
    expected = oracle(array, np.nanmean, polygons)
    for code in (4326, 3035, 3857):
        table = polygons.to_crs(code)
        result = cubes.aggregate_spatial(cube, table, "mean")
        np.testing.assert_allclose(result, expected, rtol=1e-5)
        assert result.xvec.geom_coords_indexed["geometry"].size == len(table)
        assert result.xindexes["geometry"].crs == table.crs
        assert result.xvec.to_geodataframe(name="v").crs == table.crs
        assert (
            all(a is b for a, b in zip(result.geometry.values, table.geometry, strict=True))
            or (result.geometry.values == table.geometry.values).all()
        )


def collection(**more: Any) -> dict[str, Any]:
    degrees = TABLE.to_crs(4326)
    features = [
        {
            "type": "Feature",
            "id": f"f{i}",
            "properties": {"name": name, "t": i, "only": i if i < 2 else None},
            "geometry": None if shape.is_empty else shapely.geometry.mapping(shape),
        }
        for i, (name, shape) in enumerate(zip(NAMES, degrees.geometry, strict=True))
    ]
    return {"type": "FeatureCollection", "features": features, **more}


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_properties_of_features_stay(chunks: Any) -> None:
    cube = cases.cube(chunks=chunks)
    result = cubes.aggregate_spatial(cube, collection(), "mean")
    assert result.coords["name"].values.tolist() == NAMES
    assert result.coords["t_property"].values.tolist() == list(range(len(NAMES)))
    assert result.coords["feature_id"].values.tolist() == [f"f{i}" for i in range(len(NAMES))]
    np.testing.assert_array_equal(result.coords["only"], [0, 1] + [np.nan] * (len(NAMES) - 2))
    np.testing.assert_array_equal(result.coords["t"], cube.coords["t"])
    np.testing.assert_allclose(result, cubes.aggregate_spatial(cube, TABLE, "mean"), rtol=1e-5)
    written = vectors.to_geojson(result)
    assert [f["properties"]["t"] for f in written["features"]] == list(range(len(NAMES)))
    assert [f["id"] for f in written["features"]] == [f"f{i}" for i in range(len(NAMES))]


def test_single_geometries_make_one_value() -> None:
    cube = cases.cube()
    expected = cubes.aggregate_spatial(cube, TABLE[:1].to_crs(4326), "mean").values
    feature = collection()["features"][0]
    for form in (feature, feature["geometry"], {**collection(), "features": [feature]}):
        np.testing.assert_allclose(cubes.aggregate_spatial(cube, form, "mean"), expected)


def test_a_vector_cube_lends_its_geometries() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    first = cubes.aggregate_spatial(cube, TABLE, "mean").rename(geometry="field")
    second = cubes.aggregate_spatial(cube, first, "max")
    assert second.dims == ("t", "bands", "field")
    assert second.coords["name"].values.tolist() == NAMES
    assert second.openeo.geometry_dims == ("field",)
    np.testing.assert_allclose(second, cubes.aggregate_spatial(cube, TABLE, "max").values)


def test_the_geometries_take_the_place_of_x_and_y() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    expected = cubes.aggregate_spatial(cube, TABLE, "mean")
    for order in (("y", "x", "t", "bands"), ("t", "x", "bands", "y"), ("x", "bands", "y", "t")):
        turned = cubes.aggregate_spatial(cube.transpose(*order), TABLE, "mean")
        assert turned.dims == tuple(
            "geometry" if d == min(("y", "x"), key=order.index) else d
            for d in order
            if d != max(("y", "x"), key=order.index)
        )
        np.testing.assert_allclose(turned.transpose(*expected.dims), expected)
    flipped = cubes.aggregate_spatial(cube.isel(y=slice(None, None, -1)), TABLE, "mean")
    np.testing.assert_allclose(flipped, expected)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("reducer", ["mean", "median"])
def test_nothing_makes_nothing(chunks: Any, reducer: str) -> None:
    cube = cases.cube(chunks=chunks)
    none = cubes.aggregate_spatial(cube, {"type": "FeatureCollection", "features": []}, reducer)
    assert none.shape == (7, 3, 0)
    assert np.isnan(cubes.aggregate_spatial(cube, TABLE[7:9], reducer)).all()
    assert cubes.aggregate_spatial(cube.isel(t=slice(0, 0)), TABLE, reducer).shape == (0, 3, len(TABLE))
    away = cubes.aggregate_spatial(cube.isel(x=slice(0, 0)), TABLE, reducer, target_dimension="n").values
    assert np.isnan(away[..., 0]).all()
    assert not away[..., 1:].any()


def test_the_cube_is_left_as_it_was_and_its_attributes_stay() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    before = cube.copy(deep=True)
    result = cubes.aggregate_spatial(cube, TABLE, "mean")
    assert cube.identical(before)
    assert result.attrs == {"units": "1"}
    assert "spatial_ref" not in result.coords
    assert result.name == cube.name


def test_wrong_arguments_are_refused() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.TargetDimensionExists, match="'bands'"):
        cubes.aggregate_spatial(cube, TABLE, "mean", target_dimension="bands")
    with pytest.raises(exceptions.DimensionMissing):
        cubes.aggregate_spatial(cube.isel(x=0, drop=True), TABLE, "mean")
    with pytest.raises(exceptions.CRSInvalid):
        cubes.aggregate_spatial(cube.drop_vars("spatial_ref"), TABLE, "mean")
    with pytest.raises(exceptions.DimensionExists):
        cubes.aggregate_spatial(cube.rename(bands="geometry"), TABLE, "mean")


def circles(number: int, radius: float) -> geopandas.GeoSeries:
    """Circles anywhere on 320 by 320 metres, and the whole of it."""
    at = np.random.default_rng(1).uniform((0, 0), (320, 320), (number, 2))
    shapes = [metres(shapely.box(0, 0, 320, 320)), *(metres(s) for s in shapely.buffer(shapely.points(at), radius))]
    return geopandas.GeoSeries(shapes, crs=32632)


def extra_tasks(cube: xr.DataArray, table: Any, reducer: str) -> int:
    return cases.tasks(cubes.aggregate_spatial(cube, table, reducer).data) - cases.tasks(cube.data)


def test_tasks_are_one_a_chunk_that_a_geometry_meets_whatever_their_number() -> None:
    cube = cases.cube(cases.values((16, 2, 32, 32)), {"t": 4, "y": 8, "x": 8})
    tree = [extra_tasks(cube, circles(number, 150 / number**0.5), "mean") for number in (16, 64, 256)]
    assert tree == [64 + 16 + 4 * 2 + 4 + 1] * 3  # a part a chunk, runs a spatial block, merges, results, the plan
    parts = [extra_tasks(cube, circles(number, 150 / number**0.5)[1:], "median") for number in (16, 64, 256)]
    assert max(parts) <= 64 * 4, parts
    assert max(parts) <= 1.3 * min(parts), parts
    # in the first block of 80 m: its chunk, a part and the result for each of four, the runs and the plan
    assert cases.tasks(cubes.aggregate_spatial(cube, TABLE[:1], "mean").data) == 4 * 3 + 2


def test_tasks_grow_with_the_chunks() -> None:
    for reducer in ("mean", "median"):
        per_chunk = []
        for length in (32, 64, 128):  # groups of polygons do not end where chunks do, but at the rim
            cube = cases.cube(cases.values((1, 1, length, length)), {"y": 4, "x": 4})
            whole = geopandas.GeoSeries(
                [
                    metres(shapely.box(x * 80, y * 80, x * 80 + 79, y * 80 + 79))
                    for x, y in np.ndindex(2 * (length // 8,))
                ],
                crs=32632,
            )
            per_chunk.append(extra_tasks(cube, whole, reducer) / cube.data.npartitions)
        assert max(per_chunk) <= 2.5, (reducer, per_chunk)
        assert per_chunk[-1] <= 1.1 * per_chunk[-2], (reducer, per_chunk)


@pytest.mark.parametrize(("reducer", "share"), [("mean", 8), ("median", 3)])
def test_memory_is_bounded_by_chunks(reducer: str, share: int) -> None:
    def block(block_info: Any = None) -> np.ndarray:
        return np.full((4, 1, 128, 128), 1.0)  # 0.5 MB

    data = da.map_blocks(block, chunks=((4,) * 2, (1,), (128,) * 8, (128,) * 8), dtype=float)  # 64 MB
    cube = xr.DataArray(data, dims=cases.DIMS).assign_coords(
        y=TOP - 5 - 10.0 * np.arange(1024), x=LEFT + 5 + 10.0 * np.arange(1024)
    )
    cube.attrs["crs"] = 32632
    shapes = [metres(shapely.box(i * 640, j * 640, i * 640 + 700, j * 640 + 700)) for i in range(16) for j in range(16)]
    result = cubes.aggregate_spatial(cube, geopandas.GeoSeries(shapes, crs=32632), reducer)
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        values = result.values
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    np.testing.assert_array_equal(values, np.ones((8, 1, 256)))
    assert peak < cube.nbytes / share, peak


corners = st.tuples(st.integers(-2, 10), st.integers(-2, 8))
rings = st.lists(st.lists(corners, min_size=3, max_size=6, unique=True), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@examples(rings, st.integers(1, 8), st.integers(1, 8))
def test_chunks_make_no_difference(shapes: list[Any], height: int, width: int) -> None:
    polygons = [metres(shapely.Polygon([(5 + 10 * x, 5 + 10 * y) for x, y in ring])) for ring in shapes]
    table = geopandas.GeoSeries(polygons, crs=32632)
    array = cases.values((2, 1, 6, 8))
    for reducer in ("sum", "median"):
        whole = cubes.aggregate_spatial(cases.cube(array), table, reducer)
        cut = cubes.aggregate_spatial(cases.cube(array, {"t": 1, "y": height, "x": width}), table, reducer)
        np.testing.assert_allclose(whole, cut, rtol=1e-6, atol=1e-6)
