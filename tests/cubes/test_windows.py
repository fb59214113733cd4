"""Aggregating windows of pixels, against numpy on each window."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": 1, "bands": 1, "y": 1, "x": 2}, {"y": 2, "x": 3}]
REDUCERS = {"mean": np.nanmean, "median": np.nanmedian, "sum": np.nansum, "max": np.nanmax}


def spans(length: int, size: int, from_end: bool, trim: bool) -> list[tuple[int, int]]:
    """From where to where windows reach, before the first and behind the last pixel too."""
    rest = length % size
    if trim:
        start = rest if from_end else 0
        return [(a, a + size) for a in range(start, start + length - rest, size)]
    start = (rest - size if rest else 0) if from_end else 0
    return [(a, a + size) for a in range(start, length, size)]


def oracle(array: np.ndarray, ys: Any, xs: Any, reducer: Any) -> np.ndarray:
    out = np.full((*array.shape[:2], len(ys), len(xs)), np.nan)
    for (i, (top, bottom)), (j, (left, right)) in itertools.product(enumerate(ys), enumerate(xs)):
        window = array[:, :, max(top, 0) : bottom, max(left, 0) : right].reshape(*array.shape[:2], -1).astype(float)
        for place in np.ndindex(array.shape[:2]):
            values = window[place][np.isfinite(window[place])]
            if values.size:
                out[(*place, i, j)] = reducer(values)
    return out


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("boundary", ["pad", "trim"])
@pytest.mark.parametrize("align", ["upper-left", "upper-right", "lower-left", "lower-right"])
@pytest.mark.parametrize("flip", [False, True])
def test_windows_equal_numpy(align: str, boundary: str, flip: bool, chunks: Any) -> None:
    array = cases.values((3, 2, 7, 11))
    cube = cases.cube(array, chunks)
    cube = cube.isel(y=slice(None, None, -1)) if flip else cube
    for size, reducer in (([3, 2], "mean"), ([4, 5], "median"), ([1, 1], "max"), ([20, 3], "sum")):
        with nothing_computed():
            result = cubes.aggregate_spatial_window(cube, reducer, size, boundary, align)
        ys = spans(7, size[1], align.startswith("upper") == flip, boundary == "trim")
        xs = spans(11, size[0], align.endswith("right"), boundary == "trim")
        values = np.asarray(cube)
        np.testing.assert_allclose(result, oracle(values, ys, xs, REDUCERS[reducer]), rtol=1e-5)
        assert result.dims == cube.dims
        assert result.attrs == cube.attrs
        y0, x0 = cube.y.values[0], cube.x.values[0]
        dy = cube.y.values[1] - y0
        np.testing.assert_allclose(result.y, [y0 + dy * (a + b - 1) / 2 for a, b in ys])
        np.testing.assert_allclose(result.x, [x0 + 10 * (a + b - 1) / 2 for a, b in xs])
        assert (result.openeo.x_dim, result.openeo.y_dim) == ("x", "y")


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_integers_and_their_nodata(chunks: Any) -> None:
    array = cases.values((3, 2, 6, 8), "uint8")
    ys, xs = spans(6, 4, False, False), spans(8, 3, False, False)
    declared = cubes.aggregate_spatial_window(cases.cube(array, chunks, nodata=0), "max", [3, 4])
    expected = np.nan_to_num(oracle(cases.gapped(array, 0), ys, xs, np.max))
    np.testing.assert_array_equal(declared, expected)
    assert declared.dtype == np.uint8
    plain = cubes.aggregate_spatial_window(cases.cube(array, chunks), "max", [3, 4])
    np.testing.assert_array_equal(plain, oracle(array, ys, xs, np.max))
    whole = cubes.aggregate_spatial_window(cases.cube(array, chunks), "sum", [4, 3])
    assert whole.dtype == np.int64
    np.testing.assert_array_equal(whole, array.reshape(3, 2, 2, 3, 2, 4).sum(axis=(3, 5)))


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_padding_is_nodata_that_a_reducer_sees(chunks: Any) -> None:
    array = np.ones((1, 1, 3, 3), "float32")
    reducer = child(c=node("count", data=given("data"), condition=True))
    counted = cubes.aggregate_spatial_window(cases.cube(array, chunks), reducer, [2, 2])
    np.testing.assert_array_equal(counted, np.full((1, 1, 2, 2), 4))
    strict = child(s=node("sum", data=given("data"), ignore_nodata=False), a=node("add", x=of("s"), y=given("context")))
    summed = cubes.aggregate_spatial_window(cases.cube(array, chunks), strict, [2, 2], context=1)
    np.testing.assert_array_equal(summed, [[[[5, np.nan], [np.nan, np.nan]]]])


def test_any_function_reduces_and_x_may_come_before_y() -> None:
    array = cases.values((2, 2, 6, 8), gaps=0)
    for chunks in LAYOUTS:
        cube = cases.cube(array, chunks)
        result = cubes.aggregate_spatial_window(cube.transpose("x", "t", "y", "bands"), np.ptp, [4, 3])
        expected = np.ptp(array.reshape(2, 2, 2, 3, 2, 4).transpose(0, 1, 2, 4, 3, 5).reshape(2, 2, 2, 2, 12), axis=-1)
        np.testing.assert_allclose(result.transpose(*cube.dims), expected, rtol=1e-5)


def test_one_task_a_chunk_where_chunks_hold_whole_windows() -> None:
    cube = cases.cube(cases.values((4, 2, 16, 16)), {"t": 2, "y": 8, "x": 8})
    result = cubes.aggregate_spatial_window(cube, "mean", [4, 2])
    assert cases.tasks(result.data) - cases.tasks(cube.data) == cube.data.npartitions
    assert result.data.chunks == ((2, 2), (2,), (4, 4), (2, 2))
    per_chunk = []
    for length in (64, 128):
        cube = cases.cube(cases.values((2, 1, length, length)), {"y": 8, "x": 8})
        cut = cubes.aggregate_spatial_window(cube, "mean", [3, 3])
        per_chunk.append((cases.tasks(cut.data) - cases.tasks(cube.data)) / cube.data.npartitions)
        assert max(map(max, cut.data.chunks)) <= 4
    assert per_chunk[1] <= 1.1 * per_chunk[0] <= 9, per_chunk


def test_nothing_is_left_of_what_is_smaller_than_a_window() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    assert cubes.aggregate_spatial_window(cube, "mean", [100, 2], "trim").shape == (7, 3, 3, 0)
    assert cubes.aggregate_spatial_window(cube, "mean", [100, 100]).shape == (7, 3, 1, 1)
    assert cubes.aggregate_spatial_window(cube.isel(t=slice(0, 0)), "mean", [2, 2]).shape == (0, 3, 3, 4)
    assert cubes.aggregate_spatial_window(cube.isel(x=slice(0, 0)), "median", [2, 2]).shape == (7, 3, 3, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [0, 2]},
        {"size": [2]},
        {"size": 2},
        {"size": [1.5, 2]},
        {"size": [True, 2]},
        {"boundary": "wrap"},
        {"align": "left"},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.aggregate_spatial_window(cases.cube(), "mean", **{"size": [2, 2], **wrong})
    with pytest.raises(exceptions.ProcessParameterInvalid, match="2 values"):
        cubes.aggregate_spatial_window(cases.cube(), "extrema", [2, 2])
    with pytest.raises(exceptions.DimensionMissing):
        cubes.aggregate_spatial_window(cases.cube().isel(x=0, drop=True), "mean", [2, 2])
