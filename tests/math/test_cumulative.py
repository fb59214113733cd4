"""Running totals: in blocks, over chunks and in lists."""

from __future__ import annotations

import math
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.kernels import cumulative
from openeo_processes_dask.process_implementations import math as maths
from tests import strategies
from tests.laziness import nothing_computed

RUNNING = {"cummax": np.fmax, "cummin": np.fmin, "cumproduct": np.multiply, "cumsum": np.add}


def oracle(name: str, row: list[float], ignore_nodata: bool) -> list[float]:
    """One row, value by value."""
    result, total, ended = [], None, False
    for value in row:
        ended |= not ignore_nodata and math.isnan(value)
        if ended or math.isnan(value):
            result.append(math.nan)
            continue
        total = value if total is None else float(RUNNING[name](total, value))
        result.append(total)
    return result


@pytest.mark.parametrize("name", RUNNING)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_each_row_is_cumulated(name: str, data: st.DataObject) -> None:
    block = data.draw(strategies.blocks(*strategies.FLOATS, "uint8", "int32", limit=4))
    axis = data.draw(st.integers(0, block.ndim - 1))
    ignore = data.draw(st.booleans())
    before = block.copy()
    process = DECLARED[name].function
    result = process(block, ignore, axis=axis)
    rows = np.moveaxis(block.astype(float), axis, -1)
    expected = np.apply_along_axis(lambda row: oracle(name, row.tolist(), ignore), -1, rows)
    np.testing.assert_allclose(np.moveaxis(result, axis, -1), expected, rtol=1e-6)
    np.testing.assert_array_equal(block, before)
    cut = data.draw(strategies.chunked(block))
    with nothing_computed():
        lazily = process(cut, ignore, axis=axis)
    assert lazily.dtype == result.dtype
    np.testing.assert_array_equal(lazily, result)


def test_types() -> None:
    assert maths.cumsum(np.array([200, 200], np.uint8)).tolist() == [200, 400]
    assert maths.cummax(np.array([1, 2], np.uint8)).dtype == np.uint8
    assert maths.cumsum(np.ones(2, np.float32)).dtype == np.float32
    assert maths.cumproduct(np.full(30, 10)).tolist()[-1] == 2**63 - 1
    assert maths.cumsum(np.array([2**63, 2**63], np.uint64)).tolist() == [2**63, 2**64 - 1]


def test_lists_keep_integers_and_gaps() -> None:
    assert maths.cumsum([1, None, 2]) == [1, None, 3]
    assert maths.cumsum([1, None, 2], ignore_nodata=False) == [1, None, None]
    assert maths.cummin([]) == []
    with dask.config.set({"openeo.nan-is-nodata": False}):
        assert [math.isnan(v) for v in maths.cummax([1, math.nan, 3])] == [False, True, True]
    assert maths.cummax([1, math.nan, 3])[2] == 3


def test_a_cube_keeps_its_dates() -> None:
    dates = np.array(["2020-01-01", "2020-02-01"], "datetime64[ns]")
    cube = xr.DataArray(np.array([[1, 255], [2, 3]], np.uint8), dims=("t", "x"), coords={"t": dates})
    cube.attrs["nodata"] = 255
    result = maths.cumsum(cube, axis=0)
    assert result.dims == ("t", "x")
    assert (result.t == dates).all()
    np.testing.assert_array_equal(result, [[1, np.nan], [3, 3]])


@pytest.mark.parametrize("bad", [5, None, ["1"], [True], [[1]], np.array(["a", "b"]), np.ones((2, 2))], ids=repr)
@pytest.mark.parametrize("name", RUNNING)
def test_what_cannot_be_cumulated(name: str, bad: Any) -> None:
    with pytest.raises(ProcessParameterInvalid):
        DECLARED[name].function(bad)


def test_empty_blocks() -> None:
    assert maths.cumsum(np.empty((0, 2)), axis=0).shape == (0, 2)
    assert maths.cummax(da.from_array(np.empty((2, 0))), axis=0).compute().shape == (2, 0)


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64", "float16"])
@pytest.mark.parametrize("name", RUNNING)
def test_a_block_goes_on_where_the_one_before_it_ended(name: str, dtype: str, ignore: bool) -> None:
    """Large blocks go through loops, small and narrow ones through numpy: chunked equals unchunked bit for bit."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 3, (11, 2, 300, 310)).astype(dtype)
    if values.dtype.kind == "f":
        values[rng.random(values.shape) < 0.3] = np.nan
        values[:5, 0, :50] = np.nan  # nothing yet when the second block begins
        values[1, 1, :50], values[6, 1, :50] = np.inf, -np.inf  # no sum any more from here
        if not ignore:
            values[:, :, 100:] = np.nan_to_num(values[:, :, 100:])
    process = DECLARED[name].function
    with np.errstate(all="ignore"):
        whole = process(values, ignore, axis=0)
    for chunks in ((4, 1, 300, 310), (1, 2, 300, 310), ((5, 0, 6), 2, 300, 310), (3, 2, 50, 40)):
        cut = process(da.from_array(values, chunks), ignore, axis=0)
        assert cut.chunks == da.from_array(values, chunks).chunks
        np.testing.assert_array_equal(cut.compute(scheduler="threads"), whole)
    turned = process(da.from_array(np.moveaxis(values, 0, -1), (2, 100, 310, 4)), ignore, axis=-1)
    np.testing.assert_array_equal(turned, np.moveaxis(whole, 0, -1))


def test_tasks_grow_with_the_blocks_along_the_axis() -> None:
    counts = [len(dict(maths.cumsum(da.ones((n, 4), chunks=1), axis=0).__dask_graph__())) for n in (10, 20, 40, 1000)]
    assert counts == [n * 4 * 4 - 4 for n in (10, 20, 40, 1000)]  # with the source's


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_the_next_block_starts_from_keeps_no_block(dtype: str, ignore: bool) -> None:
    block = np.ones((6, 4), dtype)
    values, after = cumulative.step(cumulative.cumsum, block, 0, None, ignore)
    assert after is not None
    assert after.tolist() == [[6] * 4]
    assert after.base is None
    assert not np.shares_memory(values, after)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kernel", list(cumulative.NEUTRAL), ids=lambda kernel: kernel.__name__)
def test_a_view_of_a_larger_array_goes_through_the_same_loop(
    kernel: cumulative.Kernel, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut from a cube in memory, as most blocks are: without the loop it took ten times the time."""
    whole = np.random.default_rng(0).random((12, 10, 2, 2000), np.float32)
    whole[whole < 0.2] = np.nan
    block = whole[:, :, 0]
    assert not block.flags.c_contiguous
    before = np.full([1 if i == axis else n for i, n in enumerate(block.shape)], 0.5, np.float64)
    plain = cumulative.step(kernel, block.copy(), axis, before, True)
    monkeypatch.setattr(cumulative, "_after", None)  # the way without the loop
    found = cumulative.step(kernel, block, axis, before, True)
    for one, other in zip(found, plain, strict=True):
        assert one is not None
        np.testing.assert_array_equal(one, other)
