"""Processes on windows of a cube."""

from __future__ import annotations

import itertools
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from scipy import ndimage

from openeo_processes_dask import exceptions, overlap
from openeo_processes_dask.execution import execute
from openeo_processes_dask.process_implementations import cubes
from openeo_processes_dask.process_implementations.cubes import apply_neighborhood
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed
from tests.test_callbacks import parsed

LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": 1, "y": 2, "x": 2}, {"t": -1, "y": 5}, {"t": (1, 6), "x": (1, 7)}]


def px(**sizes: int) -> list[dict[str, Any]]:
    return [{"dimension": name, "value": value, "unit": "px"} for name, value in sizes.items()]


def less_mean(data: xr.DataArray) -> xr.DataArray:
    return data - data.mean()


def expected(array: np.ndarray, sizes: dict[int, int], rims: dict[int, int], run: Any) -> np.ndarray:
    """Window by window, on an array with no-data around it."""
    depth = [rims.get(axis, 0) for axis in range(array.ndim)]
    padded = np.pad(array.astype(float), [(d, d) for d in depth], constant_values=np.nan)
    steps = [sizes.get(axis, n) for axis, n in enumerate(array.shape)]
    out = np.empty(array.shape)
    for corner in itertools.product(*(range(0, n, s) for n, s in zip(array.shape, steps, strict=True))):
        stop = [min(c + s, n) for c, s, n in zip(corner, steps, array.shape, strict=True)]
        seen = padded[tuple(slice(c, e + 2 * d) for c, e, d in zip(corner, stop, depth, strict=True))]
        inner = tuple(slice(d, n - d) for d, n in zip(depth, seen.shape, strict=True))
        out[tuple(slice(c, e) for c, e in zip(corner, stop, strict=True))] = run(seen)[inner]
    return out


def array_less_mean(values: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        held = ~np.isnan(values)
        return values - np.where(held, values, 0).sum() / held.sum()


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize(
    ("sizes", "rims"),
    [
        ({"x": 3, "y": 2}, {"x": 1, "y": 2}),
        ({"x": 3, "y": 4, "t": 2, "bands": 1}, {"x": 2, "t": 1}),
        ({"x": 5, "y": 5}, {}),
        ({"t": 3}, {"t": 2, "y": 1}),
        ({}, {}),
        ({"x": 100, "y": 100}, {"x": 9, "y": 3}),
    ],
)
def test_windows_are_those_of_a_loop(sizes: dict[str, int], rims: dict[str, int], chunks: Any) -> None:
    array = cases.values().astype("float64")
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = apply_neighborhood(cube, less_mean, px(**sizes), px(**rims) or None)
    by_axis = [{cases.DIMS.index(n): v for n, v in one.items()} for one in (sizes, rims)]
    np.testing.assert_allclose(result, expected(array, *by_axis, array_less_mean), rtol=1e-9, atol=1e-12)
    xr.testing.assert_identical(result.drop_attrs().coords.to_dataset(), cube.drop_attrs().coords.to_dataset())
    assert result.attrs == cube.attrs


@settings(deadline=None, max_examples=60)
@drawn(
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(0, 3)), min_size=2, max_size=3),
    st.randoms(use_true_random=False),
)
def test_any_windows_on_any_chunks(dims: list[tuple[int, int, int]], random: Any) -> None:
    shape, steps, rims = (list(part) for part in zip(*dims, strict=True))
    names = ["y", "x", "t"][: len(dims)]
    array = np.random.default_rng(0).normal(size=shape)
    chunks = {}
    for name, n in zip(names, shape, strict=True):
        cuts = sorted(random.sample(range(1, n), random.randint(0, n - 1))) if n > 1 else []
        chunks[name] = tuple(np.diff([0, *cuts, n]).tolist())
    cube = xr.DataArray(array, dims=names).chunk(chunks)
    sizes = dict(zip(names, steps, strict=True))
    together = [s + 2 * r for s, r in zip(steps, rims, strict=True)]
    result = apply_neighborhood(
        cube, lambda data: data - np.nanmax(data), px(**sizes), px(**dict(zip(names, rims, strict=True)))
    )
    wanted = expected(array, dict(enumerate(steps)), dict(enumerate(rims)), lambda seen: seen - np.nanmax(seen))
    if sum(n > 1 for n in together) > 1:
        np.testing.assert_allclose(result, wanted, rtol=1e-12)
    assert result.shape == array.shape


def test_a_kernel_on_windows_with_rims_is_a_kernel_on_planes() -> None:
    array = np.nan_to_num(cases.values().astype("float64"))
    smooth = child(k=node("apply_kernel", data=given("data"), kernel=[[1, 2, 1], [2, 4, 2], [1, 2, 1]]))
    for chunks in LAYOUTS:
        cube = cases.cube(array, chunks)
        graph = {
            "a": {
                **node(
                    "apply_neighborhood", data=given("cube"), process=smooth, size=px(x=2, y=3), overlap=px(x=1, y=1)
                ),
                "result": True,
            }
        }
        wanted = ndimage.correlate(array, np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1.0]])[None, None], mode="constant")
        for result in (execute(graph, {"cube": cube}), parsed(graph, cube=cube)):
            np.testing.assert_allclose(result, wanted, atol=1e-12)


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_windows_of_one_dimension_are_labelled_arrays(chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    process = child(m=node("mean", data=given("data")), d=node("subtract", x=given("data"), y=of("m")))
    result = apply_neighborhood(cube, process, px(x=1, y=1, bands=1, t=3), px(t=1))
    wanted = expected(array, {0: 3, 1: 1, 2: 1, 3: 1}, {0: 1}, array_less_mean)
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)
    seen: list[Any] = []
    apply_neighborhood(cube.compute(), lambda data: seen.append(data.shape) or data, px(x=1, y=1, bands=1, t=3))
    assert {shape for shape in seen if shape != (1,)} == {(3,)}


def test_metres_degrees_and_durations() -> None:
    array = cases.values().astype("float64")
    cube = cases.cube(array, cases.AWKWARD)
    metres = [{"dimension": "x", "value": 32, "unit": "m"}, {"dimension": "y", "value": 20}]
    around = [{"dimension": "x", "value": 12, "unit": "m"}]
    result = apply_neighborhood(cube, less_mean, metres, around)
    np.testing.assert_allclose(result, apply_neighborhood(cube, less_mean, px(x=3, y=2), px(x=2)))
    # Dates every ten days from April 3: windows of a month begin there too.
    month, week = [{"dimension": "t", "value": "P1M"}], [{"dimension": "t", "value": "P1W"}]
    result = apply_neighborhood(cube, less_mean, month, week)
    t = pd.DatetimeIndex(cube.t.values)
    starts = pd.DatetimeIndex(["2023-04-03", "2023-05-03", "2023-06-03"])
    for start in starts:
        end = start + pd.DateOffset(months=1)
        inside, seen = (t >= start) & (t < end), (t >= start - pd.Timedelta("7D")) & (t < end + pd.Timedelta("7D"))
        np.testing.assert_allclose(result.values[inside], array[inside] - np.nanmean(array[seen]), rtol=1e-9)
    two = [{"dimension": "t", "value": "P20D"}]
    np.testing.assert_allclose(
        apply_neighborhood(cube, less_mean, two, px(t=1)), apply_neighborhood(cube, less_mean, px(t=2), px(t=1))
    )


def test_a_duration_that_skips_gaps_in_time() -> None:
    dates = np.array(["2020-01-31", "2020-02-05", "2020-05-01", "2020-05-30", "2021-01-01"], "datetime64[ns]")
    array = np.arange(5.0 * 4).reshape(5, 1, 2, 2)
    for chunks in (None, {"t": 1}, {"t": 2}):
        cube = cases.cube(array, chunks, t=dates)
        result = apply_neighborhood(cube, less_mean, [{"dimension": "t", "value": "P1M"}])
        first = pd.Timestamp("2020-01-31")
        spans = [first + k * pd.DateOffset(months=1) for k in range(14)]
        groups = [[i for i, d in enumerate(dates) if a <= d < b] for a, b in itertools.pairwise(spans)]
        for group in filter(None, groups):
            np.testing.assert_allclose(result.values[group], array[group] - array[group].mean())


def test_windows_have_labels_reference_system_and_no_data_around() -> None:
    cube = cases.cube(np.ones((2, 1, 4, 4)), {"y": 2})
    seen: list[xr.DataArray] = []
    apply_neighborhood(cube.compute(), lambda data: seen.append(data) or data, px(x=4, y=2), px(x=1, y=1))
    first, last = seen[-2:]
    assert first.dims == cube.dims
    np.testing.assert_array_equal(first.x, cube.x.values[0] + 10 * np.arange(-1, 5))
    np.testing.assert_array_equal(last.y, cube.y.values[2] - 10 * np.arange(-1, 3))
    np.testing.assert_array_equal(first.t, cube.t)
    assert first.rio.crs == cube.rio.crs
    assert np.isnan(first.values[..., 0, :]).all()
    assert not np.isnan(first.values[..., 1:, 1:5]).any()
    assert np.isnan(last.values[..., -1, :]).all()


def test_integers_keep_their_nodata() -> None:
    array = cases.values(dtype="uint8")
    twice = child(m=node("multiply", x=given("data"), y=2))
    for chunks in (None, cases.AWKWARD):
        result = apply_neighborhood(cases.cube(array, chunks, nodata=0), twice, px(x=3, y=3), px(x=1, y=1))
        np.testing.assert_array_equal(result, array.astype(int) * 2)
        assert result.attrs["nodata"] == 0
        plain = apply_neighborhood(cases.cube(array, chunks), twice, px(x=3, y=3))
        assert plain.dtype.kind == "i"
        np.testing.assert_array_equal(plain, array.astype(int) * 2)
        np.testing.assert_array_equal(
            apply_neighborhood(cases.cube(array, chunks), twice, px(x=3, y=3), px(x=2)), array.astype(int) * 2
        )


def test_an_empty_cube_stays_empty() -> None:
    cube = cases.cube(chunks=cases.AWKWARD).isel(t=slice(0, 0))
    assert apply_neighborhood(cube, less_mean, px(x=3, y=3), px(x=1)).shape == cube.shape


def test_blocks_are_not_much_larger_than_those_of_the_cube() -> None:
    cube = cases.cube(np.zeros((64, 1, 64, 64)), {"t": 4, "y": 32, "x": 32})
    result = apply_neighborhood(cube, less_mean, px(x=8, y=8), px(x=2, y=2))
    assert result.data.numblocks[0] == 1
    assert np.prod(result.data.chunksize) <= 4 * 4 * 32 * 32


@pytest.mark.parametrize("many", [1, 2])
def test_tasks_grow_with_the_chunks(many: int) -> None:
    def tasks(**times: int) -> int:
        sizes = {"t": 4, "bands": 1, "y": 32, "x": 32}
        shape = tuple(sizes[n] * (4 if n != "bands" else 1) * times.get(n, 1) for n in cases.DIMS)
        cube = cases.cube(np.broadcast_to(np.float32(0), shape), sizes)
        result = apply_neighborhood(cube, less_mean, px(x=8, y=8, t=2), px(x=2, y=2, t=1)[:many])
        return cases.tasks(result.data) - cases.tasks(cube.data)

    assert tasks() <= 2 * 64
    for name in ("t", "y", "x"):
        assert tasks(**{name: 2}) == 2 * tasks()


def test_rims_on_three_axes_are_those_of_the_array() -> None:
    array = np.arange(7 * 8 * 9.0).reshape(7, 8, 9)

    def check(block: np.ndarray, pads: Any, index: Any) -> np.ndarray:
        whole = np.pad(block, pads, constant_values=-1)
        return whole[1:-1, 2:-2, 3:-3] + whole[:-2, :-4, :-6] + whole[2:, 4:, 6:]

    depths = (1, 2, 3)
    made = overlap.with_rims(
        check, da.from_array(array, chunks=(2, 3, 4)), (0, 1, 2), depths, array.dtype, located=True
    )
    wanted = overlap.with_rims(check, array, (0, 1, 2), depths, array.dtype, located=True)
    np.testing.assert_array_equal(made, wanted)


def test_bad_arguments_have_their_codes() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    with pytest.raises(exceptions.DimensionNotAvailable, match="'z' among"):
        apply_neighborhood(cube, less_mean, px(z=2))
    with pytest.raises(exceptions.DataCubePropertiesImmutable, match=r"shape \(\)"):
        apply_neighborhood(cube, "mean", px(x=2, y=2))
    with pytest.raises(exceptions.DataCubePropertiesImmutable, match="dimensions"):
        apply_neighborhood(cube, lambda data: data.mean("t"), px(x=2, y=2))
    with pytest.raises(exceptions.DataCubePropertiesImmutable, match="labels of 'x'"):
        apply_neighborhood(cube, lambda data: data.assign_coords(x=data.x + 1), px(x=2, y=2))
    for wrong in (0, -1, True, np.nan, "2 days", [], "P0D"):
        with pytest.raises(exceptions.ProcessParameterInvalid):
            apply_neighborhood(cube, less_mean, [{"dimension": "t", "value": wrong}])
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"1\.5"):
        apply_neighborhood(cube, less_mean, [{"dimension": "t", "value": 1.5}])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="not temporal"):
        apply_neighborhood(cube, less_mean, [{"dimension": "x", "value": "P1D"}])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="metres"):
        apply_neighborhood(cube, less_mean, [{"dimension": "bands", "value": 10, "unit": "m"}])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="unit 'km'"):
        apply_neighborhood(cube, less_mean, [{"dimension": "x", "value": 10, "unit": "km"}])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="resolution"):
        apply_neighborhood(cube.isel(x=[0]), less_mean, [{"dimension": "x", "value": 10, "unit": "m"}])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="do not ascend"):
        apply_neighborhood(cube.isel(t=slice(None, None, -1)), less_mean, [{"dimension": "t", "value": "P1D"}])
    with pytest.raises(exceptions.DimensionMissing):
        apply_neighborhood(cube.isel(x=0, drop=True), less_mean, px(y=2))
    with pytest.raises(exceptions.ProcessParameterInvalid, match="each element an object"):
        apply_neighborhood(cube, less_mean, [3])
    assert cubes.apply_neighborhood(cube, less_mean, []).shape == cube.shape
