"""Reducing a dimension, or planes."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests import oracles
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

ONE_VALUE = [name for name in oracles.REDUCERS if name not in ("extrema", "quantiles")]


@pytest.mark.parametrize("name", ONE_VALUE)
@pytest.mark.parametrize("dimension", ["t", "bands", "x"])
def test_each_reducer_equals_numpy_chunked_or_not(name: str, dimension: str) -> None:
    array = cases.values()
    if name in ("any", "all"):
        array = np.where(np.isnan(array), np.nan, (array > 0).astype("float32"))
    axis = cases.DIMS.index(dimension)
    with np.errstate(all="ignore"):
        expected = oracles.REDUCERS[name](array.astype(float), axis)
    for chunks in (None, {dimension: -1}, cases.AWKWARD, {dimension: 1}):
        with nothing_computed():
            result = cubes.reduce_dimension(cases.cube(array, chunks), name, dimension)
        assert result.dims == tuple(d for d in cases.DIMS if d != dimension)
        np.testing.assert_allclose(result.values.astype(float), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sum", "mean", "min", "max", "median", "count", "sd", "first", "last"])
def test_integers_with_nodata_reduce_like_floats_with_gaps(name: str) -> None:
    array = cases.values(dtype="uint16")
    expected = oracles.REDUCERS[name](cases.gapped(array, 0), 0)
    for chunks in (None, cases.AWKWARD):
        result = cubes.reduce_dimension(cases.cube(array, chunks, nodata=0), name, "t")
        fill = result.attrs.get("nodata")
        np.testing.assert_allclose(cases.gapped(result.values, fill), expected, rtol=1e-5)


def test_bands_in_one_chunk_cost_one_task_a_chunk() -> None:
    array = cases.values()
    ndvi = child(
        red=node("array_element", data=given("data"), index=1),
        nir=node("array_element", data=given("data"), label="B08"),
        difference=node("subtract", x=of("nir"), y=of("red")),
        sum=node("add", x=of("nir"), y=of("red")),
        ndvi=node("divide", x=of("difference"), y=of("sum")),
    )
    cube = cases.cube(array, {"t": 3, "bands": -1, "y": 4, "x": 5})
    with nothing_computed():
        result = cubes.reduce_dimension(cube, ndvi, "bands")
    assert cases.tasks(result.data) - cases.tasks(cube.data) == cube.data.npartitions
    red, nir = array[:, 1], array[:, 2]
    np.testing.assert_allclose(result, (nir - red) / (nir + red), rtol=1e-4)


def test_a_mean_over_a_chunked_dimension_never_rechunks() -> None:
    cube = cases.cube(cases.values((16, 2, 8, 8)), {"t": 1, "bands": 2, "y": 4, "x": 4})
    result = cubes.reduce_dimension(cube, "mean", "t")
    assert not any("rechunk" in str(key) for key in dict(result.__dask_graph__()))
    own = cases.tasks(result.data) - cases.tasks(cube.data)
    assert own <= cube.data.npartitions * 1.25


@pytest.mark.parametrize(
    ("name", "blocks", "most"),
    [("max", 4, 4.1), ("min", 3, 4.1), ("count", 4, 8.1), ("mean", 4, 24), ("mean", 8, 16.1), ("median", 4, 24)],
)
def test_what_meets_of_a_row_is_small_in_bytes(name: str, blocks: int, most: float) -> None:
    """Blocks of six dates have 24 bytes a row: partial results meet in their place if they are less than half."""
    shape = (6 * blocks, 1, 64, 64)
    cube = cases.cube(da.from_array(np.ones(shape, "float32"), (6, 1, 32, 32)), bands=["B02"]).persist()
    result = cubes.reduce_dimension(cube, name, "t")
    inputs = Inputs()
    with inputs:
        result.compute(scheduler="sync")
    assert inputs.largest / (blocks * 32 * 32) <= most


class Inputs(Callback):
    """The most bytes that the results of other tasks are, of all tasks that end what they make of several of them."""

    def __init__(self) -> None:
        self.largest = 0

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        found = [part for d in state["dependencies"][key] for part in _arrays(state["cache"].get(d))]
        if len(state["dependencies"][key]) > 1:
            self.largest = max(self.largest, sum(part.nbytes for part in found))


def _arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, (tuple, list)):
        return [part for inner in value for part in _arrays(inner)]
    return [value] if isinstance(value, np.ndarray) else []


def test_an_elementwise_tail_stays_a_tree() -> None:
    array = cases.values((16, 2, 8, 8))
    cube = cases.cube(array, {"t": 1, "bands": 2, "y": 4, "x": 4})
    process = child(
        m=node("mean", data=given("data")), s=node("sd", data=given("data")), r=node("divide", x=of("s"), y=of("m"))
    )
    result = cubes.reduce_dimension(cube, process, "t")
    assert not any("rechunk" in str(key) for key in dict(result.__dask_graph__()))
    expected = oracles.REDUCERS["sd"](array.astype(float), 0) / oracles.REDUCERS["mean"](array.astype(float), 0)
    np.testing.assert_allclose(result, expected, rtol=1e-3)


def test_what_depends_on_the_dimension_goes() -> None:
    cube = cases.cube(chunks=cases.AWKWARD).assign_coords(common_name=("bands", ["blue", "red", "nir"]))
    result = cubes.reduce_dimension(cube, "mean", "bands")
    assert "common_name" not in result.coords
    assert "t" in result.coords
    assert result.rio.crs == cube.rio.crs


def test_a_plain_numpy_function_reduces() -> None:
    array = cases.values(gaps=0)[:, :, 1:, 1:]
    cube = cases.cube(array, cases.AWKWARD)
    np.testing.assert_allclose(cubes.reduce_dimension(cube, np.ptp, "t"), np.ptp(array, axis=0), rtol=1e-6)


def test_a_reducer_that_returns_a_row_is_refused() -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="shape"):
        cubes.reduce_dimension(cases.cube(), "extrema", "t")


# --- planes

UNORDERED = [name for name in ONE_VALUE if name not in ("first", "last")]
PLANES = [None, {"t": 3}, cases.AWKWARD, {"y": 1, "x": 1}]


@pytest.mark.parametrize("name", UNORDERED)
def test_each_reducer_of_planes_equals_numpy(name: str) -> None:
    array = cases.values()
    if name in ("any", "all"):
        array = np.where(np.isnan(array), np.nan, (array > 0).astype("float32"))
    array[2] = np.nan
    with np.errstate(all="ignore"):
        expected = oracles.REDUCERS[name](array.astype(float).reshape(7, 3, -1), 2)
    for chunks in PLANES:
        cube = cases.cube(array, chunks)
        with nothing_computed():
            result = cubes.reduce_spatial(cube, name)
            turned = cubes.reduce_spatial(cube.transpose("y", "t", "x", "bands"), name)
        assert result.dims == ("t", "bands")
        np.testing.assert_allclose(result.values.astype(float), expected, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(turned.values.astype(float), expected, rtol=1e-3, atol=1e-5)
        assert result.openeo.temporal_dims == ("t",)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "median", "count"])
@pytest.mark.parametrize("chunks", PLANES)
def test_integers_with_nodata_reduce_over_planes(name: str, chunks: dict | None) -> None:
    array = cases.values(dtype="uint16")
    result = cubes.reduce_spatial(cases.cube(array, chunks, nodata=0), name)
    expected = oracles.REDUCERS[name](cases.gapped(array, 0).reshape(7, 3, -1), 2)
    np.testing.assert_allclose(cases.gapped(result.values, result.attrs.get("nodata")), expected, rtol=1e-5)


def test_planes_with_several_nodes_and_a_context() -> None:
    array = cases.values(gaps=0)
    process = child(m=node("mean", data=given("data")), a=node("add", x=of("m"), y=given("context")))
    for chunks in PLANES:
        result = cubes.reduce_spatial(cases.cube(array, chunks), process, context=3)
        np.testing.assert_allclose(result, np.nanmean(array.astype(float), (2, 3)) + 3, rtol=1e-5)


def test_planes_of_nothing_are_nodata() -> None:
    for chunks in (None, {"t": 3}):
        result = cubes.reduce_spatial(cases.cube(cases.values()[:, :, :0], chunks), "mean")
        assert result.shape == (7, 3)
        assert np.isnan(result).all()


def test_tasks_over_planes_grow_with_the_chunks() -> None:
    """A median reads its blocks twice, and counts twice: four tasks a chunk and their trees."""
    for reducer, most in (("mean", 2.5), ("median", 4)):
        per_chunk = []
        for size in (1024, 2048, 4096):
            data = da.zeros((4, 2, size, size), dtype="float32", chunks=(1, 2, 256, 256))
            cube = xr.DataArray(data, dims=cases.DIMS)
            result = cubes.reduce_spatial(cube, reducer)
            per_chunk.append((cases.tasks(result.data) - cases.tasks(cube.data)) / cube.data.npartitions)
        assert max(per_chunk) <= most, per_chunk
        assert per_chunk[-1] <= per_chunk[0] * 1.1, per_chunk


@pytest.mark.parametrize("reducer", ["mean", "median"])
def test_the_graph_of_a_huge_plane_is_built_at_once(reducer: str) -> None:
    data = da.zeros((2, 1, 65_536, 65_536), chunks=(1, 1, 1024, 2048), dtype="uint8")
    result = cubes.reduce_spatial(xr.DataArray(data, dims=cases.DIMS), reducer)
    assert result.shape == (2, 1)


def test_planes_need_x_and_y() -> None:
    with pytest.raises(exceptions.DimensionMissing):
        cubes.reduce_spatial(cases.cube().isel(y=0, drop=True), "mean")
