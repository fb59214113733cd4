"""Processes on the parts of a cube under polygons, against numpy on each of them."""

from __future__ import annotations

from typing import Any

import dask.array as da
import geopandas
import numpy as np
import pytest
import shapely
import xarray as xr
from dask.callbacks import Callback

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.cubes.test_zonal import LEFT, TOP, metres
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": 1, "bands": 1, "y": 2, "x": 2}, {"y": 3, "x": 8}]
SHAPES = {
    "holed": shapely.Polygon(shapely.box(2, 2, 48, 48).exterior, [shapely.box(12, 12, 33, 33).exterior]),
    "in the hole": shapely.box(14, 14, 31, 31),
    "parts": shapely.MultiPolygon([shapely.box(51, 3, 66, 22), shapely.box(62, 41, 95, 90)]),
    "between centres": shapely.box(1, 51, 4, 54),
    "outside": shapely.box(500, 500, 600, 600),
    "empty": shapely.Polygon(),
}
TABLE = geopandas.GeoDataFrame({"name": list(SHAPES)}, geometry=[metres(s) for s in SHAPES.values()], crs=32632)


def chosen(shape: Any, cube: xr.DataArray) -> np.ndarray:
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    return shapely.intersects_xy(shape, x, y)


def less_its_mean(data: xr.DataArray) -> xr.DataArray:
    return data - data.mean(("y", "x"))


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_a_process_gets_each_polygon_by_itself(chunks: Any) -> None:
    array = cases.values(gaps=0)
    cube = cases.cube(array, chunks)
    before = cube.copy(deep=True)
    with nothing_computed():
        result = cubes.apply_polygon(cube, TABLE, less_its_mean)
    expected = np.full(array.shape, np.nan, "float32")
    for shape in TABLE.geometry:
        here = chosen(shape, cube)
        if here.any():
            expected[..., here] = array[..., here] - np.nanmean(array[..., here], axis=-1, keepdims=True)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    assert np.isnan(expected).any()
    assert result.dtype == array.dtype
    assert result.attrs == cube.attrs
    assert result.dims == cube.dims
    assert cube.identical(before)


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_the_segment_is_the_smallest_window_and_masked_outside(chunks: Any) -> None:
    array = cases.values(gaps=0)
    cube = cases.cube(array, chunks)
    seen: list[xr.DataArray] = []

    def look(data: xr.DataArray) -> xr.DataArray:
        seen.append(data)
        return data

    result = cubes.apply_polygon(cube, TABLE[:1], look, mask_value=-99).compute(scheduler="synchronous")
    here = chosen(TABLE.geometry[0], cube)
    np.testing.assert_array_equal(result, np.where(here, array, np.float32(-99)))
    (segment,) = [one for one in seen if one.shape == (7, 3, 5, 5)]
    rows, columns = slice(0, 5), slice(0, 5)
    np.testing.assert_array_equal(segment, np.where(here, array, np.float32(-99))[..., rows, columns])
    np.testing.assert_array_equal(segment.x, cube.x[columns])
    np.testing.assert_array_equal(segment.y, cube.y[rows])
    np.testing.assert_array_equal(segment.t, cube.t)
    assert segment.bands.values.tolist() == cube.bands.values.tolist()


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_processes_of_cubes_run_on_segments(chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    process = child(
        c=node(
            "apply_dimension", data=given("data"), dimension="t", process=child(c=node("cumsum", data=given("data")))
        ),
        a=node("apply", data=of("c"), process=child(m=node("multiply", x=given("x"), y=given("context"))), context=2),
    )
    with nothing_computed():
        result = cubes.apply_polygon(cube, TABLE, process, context=2)
    here = np.any([chosen(shape, cube) for shape in TABLE.geometry], axis=0)
    whole = 2 * cubes.apply_dimension(cases.cube(array), "cumsum", "t").values
    np.testing.assert_allclose(result, np.where(here, whole, np.nan), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("chunks", LAYOUTS[1:])
@pytest.mark.parametrize("mask", [None, -7])
def test_processes_of_pixels_run_on_what_blocks_have_of_polygons(chunks: Any, dtype: str, mask: Any) -> None:
    array = cases.values(dtype=dtype)
    along = node("apply_dimension", data=given("data"), dimension="t", process="cumsum")
    results = []
    for given_chunks in (None, chunks):
        cube = cases.cube(array, given_chunks, **({} if dtype == "float32" else {"nodata": 0}))
        results.append(cubes.apply_polygon(cube, TABLE, child(c=along), mask_value=mask))
    largest = Largest()
    with largest:
        found = results[1].compute(scheduler="synchronous")
    assert found.dtype == results[0].dtype
    np.testing.assert_array_equal(found, results[0])
    blocks = results[1].data
    most = array[:, :, : blocks.chunksize[2], : blocks.chunksize[3]].size * found.dtype.itemsize
    assert 0 < largest.bytes <= most  # no polygon is brought together


class Largest(Callback):
    """The most bytes that a task on segments returned."""

    bytes = 0

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        own = isinstance(key, tuple) and key[0].startswith("openeo-segments")
        blocks = [b for b in (result if isinstance(result, list) else [result]) if own and isinstance(b, np.ndarray)]
        self.bytes = max(self.bytes, sum(block.nbytes for block in blocks))


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_integers_and_their_nodata(chunks: Any) -> None:
    array = cases.values(dtype="uint16")
    process = child(a=node("apply", data=given("data"), process=child(m=node("max", data=[given("x"), 7]))))
    here = np.any([chosen(shape, cases.cube()) for shape in TABLE.geometry], axis=0)
    declared = cubes.apply_polygon(cases.cube(array, chunks, nodata=0), TABLE, lambda data: data)
    np.testing.assert_array_equal(np.nan_to_num(declared), np.where(here, array, 0))
    plain = cubes.apply_polygon(cases.cube(array, chunks), TABLE, process)
    np.testing.assert_array_equal(plain, np.where(here, np.maximum(array, 7), np.nan))
    masked = cubes.apply_polygon(cases.cube(array, chunks), TABLE, process, mask_value=3)
    np.testing.assert_array_equal(masked, np.where(here, np.maximum(array, 7), 3))
    assert masked.dtype.kind in "iu"


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_any_order_of_dimensions_and_any_crs(chunks: Any) -> None:
    cube = cases.cube(cases.values(gaps=0), chunks)
    expected = cubes.apply_polygon(cube, TABLE, less_its_mean)
    turned = cubes.apply_polygon(cube.transpose("x", "t", "y", "bands"), TABLE.to_crs(4326), less_its_mean)
    np.testing.assert_allclose(turned.transpose(*cube.dims), expected, rtol=1e-4, atol=1e-5)
    forms = [cubes.vector_buffer(TABLE, 1e-9), cubes.vector_reproject(TABLE, 4326)]
    for form in forms:
        np.testing.assert_allclose(cubes.apply_polygon(cube, form, less_its_mean), expected, rtol=1e-4, atol=1e-5)


def test_polygons_that_share_a_pixel_are_refused() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    shapes = [shapely.box(0, 0, 20, 20), shapely.box(12, 12, 40, 40)]
    with nothing_computed(), pytest.raises(exceptions.GeometriesOverlap, match="row 1 and column 1"):
        cubes.apply_polygon(cube, geopandas.GeoSeries([metres(s) for s in shapes], crs=32632), less_its_mean)
    apart = [shapely.box(0, 0, 18, 18), shapely.box(17, 17, 40, 40)]  # they overlap where no centre lies
    cubes.apply_polygon(cube, geopandas.GeoSeries([metres(s) for s in apart], crs=32632), less_its_mean).compute()


def test_what_is_no_segment_any_more_is_refused() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    for wrong in (lambda data: data.mean("t"), lambda data: data.isel(x=slice(1)), lambda data: data.expand_dims("z")):
        with pytest.raises(exceptions.DataCubePropertiesImmutable):
            cubes.apply_polygon(cube, TABLE, wrong)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="Point"):
        cubes.apply_polygon(cube, geopandas.GeoSeries([shapely.Point(LEFT, TOP)], crs=32632), less_its_mean)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="mask_value"):
        cubes.apply_polygon(cube, TABLE, less_its_mean, mask_value="a")
    with pytest.raises(exceptions.DimensionMissing):
        cubes.apply_polygon(cube.isel(x=0, drop=True), TABLE, less_its_mean)


def test_nothing_covered_is_all_mask() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    assert np.isnan(cubes.apply_polygon(cube, TABLE[3:], less_its_mean)).all()
    assert (cubes.apply_polygon(cube, TABLE[3:], less_its_mean, mask_value=5) == 5).all()
    assert cubes.apply_polygon(cube.isel(t=slice(0, 0)), TABLE, less_its_mean).shape == (0, 3, 6, 8)


def fields(number: int, side: float) -> geopandas.GeoSeries:
    """Squares side by side, without a common pixel."""
    step = side / number
    corners = [(i * step, j * step) for i, j in np.ndindex(number, number)]
    shapes = [metres(shapely.box(x + 1, y + 1, x + step - 1, y + step - 1)) for x, y in corners]
    return geopandas.GeoSeries(shapes, crs=32632)


def test_tasks_do_not_count_the_polygons_and_grow_with_the_chunks() -> None:
    cube = cases.cube(cases.values((8, 1, 64, 64)), {"t": 4, "y": 16, "x": 16})
    extra = []
    for number in (4, 8, 16):
        result = cubes.apply_polygon(cube, fields(number, 640), less_its_mean)
        extra.append(cases.tasks(result.data) - cases.tasks(cube.data))
    assert max(extra) <= 1.6 * min(extra), extra
    per_chunk = []
    for length in (64, 128):
        cube = cases.cube(cases.values((2, 1, length, length)), {"t": 1, "y": 16, "x": 16})
        result = cubes.apply_polygon(cube, fields(length // 16, 10.0 * length), less_its_mean)
        per_chunk.append((cases.tasks(result.data) - cases.tasks(cube.data)) / cube.data.npartitions)
    assert per_chunk[1] <= 1.1 * per_chunk[0] <= 8, per_chunk


def test_blocks_without_polygons_are_not_read() -> None:
    def refuse(block: np.ndarray) -> np.ndarray:
        raise AssertionError("a block was read")

    cube = cases.cube(chunks={"y": 3, "x": 4})
    unreadable = cube.copy(data=da.map_blocks(refuse, cube.data, dtype=cube.dtype, meta=np.empty((0,) * 4, "float32")))
    assert np.isnan(cubes.apply_polygon(unreadable, TABLE[3:], less_its_mean)).all()
