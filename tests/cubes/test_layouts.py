"""How many tasks a chunk costs, however time is cut, and that no layout changes a result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

SPREAD = child(
    hi=node("max", data=given("data")), lo=node("min", data=given("data")), d=node("subtract", x=of("hi"), y=of("lo"))
)
STEEP = child(x2=node("multiply", x=given("data"), y=2), m=node("mean", data=of("x2")), a=node("add", x=of("m"), y=1))
REDUCERS: dict[str, Any] = {
    **{name: name for name in ("mean", "sum", "sd", "product", "min", "first", "last", "count", "median")},
    "spread": SPREAD,
    "steep": STEEP,
    "any": child(g=node("gt", x=given("data"), y=0.5), a=node("any", data=of("g"))),
    "last of all": child(e=node("last", data=given("data"), ignore_nodata=False)),
}
YEARS = [["2023-01-01", "2024-01-01"], ["2024-01-01", "2025-01-01"], ["2023-11-01", "2024-03-01"], ["2030-01-01", None]]


def dated(chunks: Any, dates: int = 90, dtype: Any = "float64", nodata: Any = None) -> xr.DataArray:
    return cases.cube(cases.values((dates, 2, 3, 4), dtype), chunks, nodata)


@pytest.mark.parametrize("deep", [1, 4, 37])
@pytest.mark.parametrize(("dtype", "nodata"), [("float64", None), ("int16", 0)])
@pytest.mark.parametrize("name", sorted(REDUCERS))
def test_groups_are_the_same_however_time_is_cut(name: str, dtype: str, nodata: Any, deep: int) -> None:
    whole, cut = (dated(chunks, dtype=dtype, nodata=nodata) for chunks in (None, {"t": deep, "y": 2}))
    labels = ["first", "second", "winter", "later"]
    for run in (
        lambda c: cubes.aggregate_temporal(c, YEARS, REDUCERS[name], labels),
        lambda c: cubes.aggregate_temporal_period(c, "month", REDUCERS[name]),
    ):
        with nothing_computed():
            lazy = run(cut)
        expected = run(whole)
        assert lazy.dtype == expected.dtype
        assert lazy.attrs == expected.attrs
        assert [sum(c) for c in lazy.data.chunks] == list(expected.shape)
        np.testing.assert_allclose(lazy.values, expected.values, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("deep", [1, 4, 37])
@pytest.mark.parametrize("name", ["median", "spread", "last of all"])
def test_rows_are_the_same_however_time_is_cut(name: str, deep: int) -> None:
    whole, cut = dated(None), dated({"t": deep, "y": 2})
    with nothing_computed():
        lazy = cubes.reduce_dimension(cut, REDUCERS[name], "t")
    np.testing.assert_allclose(lazy, cubes.reduce_dimension(whole, REDUCERS[name], "t"), rtol=1e-10)
    assert max(c for axis in lazy.data.chunks for c in axis) <= 2 * 2


@pytest.mark.parametrize("process", ["cumsum", "sort", "array_interpolate_linear"])
def test_arrays_are_the_same_however_time_is_cut(process: str) -> None:
    run = child(p=node(process, data=given("data")))
    expected = cubes.apply_dimension(dated(None), run, "t")
    for deep in (1, 4, 37):
        lazy = cubes.apply_dimension(dated({"t": deep, "y": 2}), run, "t")
        np.testing.assert_allclose(lazy, expected, rtol=1e-10)


def large(dates: int, deep: int, blocks: int, side: int = 64) -> xr.DataArray:
    """A cube of zeros that nobody computes, in planes of so many blocks."""
    length = round(blocks**0.5) * side
    return xr.DataArray(
        da.zeros((dates, 4, length, length), dtype="float32", chunks=(deep, 4, side, side)),
        dims=cases.DIMS,
        coords={
            "t": np.datetime64("2001-01-01", "ns") + np.arange(dates) * np.timedelta64(3, "D"),
            "bands": list("abcd"),
            "y": -10.0 * np.arange(length),
            "x": 10.0 * np.arange(length),
        },
    )


def per_chunk(result: xr.DataArray, cube: xr.DataArray) -> float:
    return (cases.tasks(result.data) - cases.tasks(cube.data)) / cube.data.npartitions


MONTHLY: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "mean": lambda c: cubes.aggregate_temporal_period(c, "month", "mean"),
    "median": lambda c: cubes.aggregate_temporal_period(c, "month", "median"),
    "normals": lambda c: cubes.climatological_normal(c, "day", [2001, 2010]),
}


@pytest.mark.parametrize(
    ("name", "deep", "most"),
    [("mean", 1, 0.3), ("mean", 6, 1.1), ("mean", 60, 2), ("median", 1, 2.3), ("median", 6, 1.1), ("normals", 1, 1),
     ("normals", 30, 2.5)],
)  # fmt: skip
def test_groups_cost_few_tasks_a_chunk_and_no_more_when_time_doubles(name: str, deep: int, most: float) -> None:
    found = []
    for dates in (360, 720):
        cube = large(dates, deep, 4)
        found.append(per_chunk(MONTHLY[name](cube), cube))
    assert max(found) <= most, found
    assert found[1] <= found[0] * 1.2 + 0.1, found


def test_a_median_of_a_few_chunks_is_one_task_for_all_of_them() -> None:
    cube = large(24, 6, 16)
    assert per_chunk(cubes.reduce_dimension(cube, "median", "t"), cube) <= 0.25


def test_a_median_of_many_chunks_cuts_each_as_often_as_its_rows_need() -> None:
    cube = large(96, 2, 4)  # 48 chunks of a row, of which 8 may meet
    result = cubes.reduce_dimension(cube, "median", "t")
    assert per_chunk(result, cube) <= 48 / 8 + 0.2
    assert max(result.data.chunks[1]) * max(result.data.chunks[2]) * 4 * 96 <= 1.1 * 8 * 2 * 4 * 64 * 64


BUILDS: dict[str, tuple[int, int, Callable[[xr.DataArray], xr.DataArray]]] = {
    "median": (240, 6, lambda c: cubes.reduce_dimension(c, "median", "t")),
    "monthly mean": (240, 6, MONTHLY["mean"]),
    "monthly median": (240, 6, MONTHLY["median"]),
    "normals of days": (3600, 1, MONTHLY["normals"]),
}


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_graphs_of_4_tib_are_built_in_seconds(name: str) -> None:
    dates, deep, run = BUILDS[name]
    cube = large(dates, deep, 32_768 * deep // dates)
    started = time.process_time()
    layers = run(cube).data.dask.layers.values()
    assert time.process_time() - started < 30
    assert sum(map(len, layers)) < 8 * cube.data.npartitions
