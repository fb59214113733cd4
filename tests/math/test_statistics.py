"""Statistics equal their oracles, whatever the type, the chunks and the axis."""

from __future__ import annotations

import math
import warnings
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import Alias
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import (
    AscendingProbabilitiesRequired,
    ProcessParameterInvalid,
    QuantilesParameterConflict,
    QuantilesParameterMissing,
)
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.process_implementations import arrays, logic
from openeo_processes_dask.process_implementations import math as maths
from tests import oracles, strategies
from tests.laziness import nothing_computed

STATISTICS = ("count", "extrema", "max", "mean", "median", "min", "product", "quantiles", "sd", "sum", "variance")
ENDS = ("first", "last")
TRUTHS = ("all", "any")
EVERY = (*STATISTICS, *ENDS, *TRUTHS)
COMBINED = tuple(name for name in EVERY if name not in ("median", "quantiles"))
quick = settings(max_examples=25, deadline=None)


def run(name: str, data: Any, axis: int | None, **options: Any) -> Any:
    """Call a reducing process; quantiles gets its probabilities."""
    if name == "quantiles":
        options = {"probabilities": [0.25, 0.5, 0.75], **options}
    return DECLARED[name].function(data, axis=axis, **options)


def tolerance(block: np.ndarray) -> dict[str, float]:
    """How far apart results may lie that come of a block: what float32 tells, or float64."""
    single = missing.float_of(block.dtype) == np.float32
    return {"rtol": 2e-5, "atol": 1e-3} if single else {"rtol": 1e-9, "atol": 1e-9}


def tasks(array: da.Array) -> int:
    """How many tasks are left once dask has fused them; names that only point to a task do not count."""
    (optimized,) = dask.optimize(array)
    return sum(not isinstance(task, Alias) for task in dict(optimized.__dask_graph__()).values())


def expected_of(oracle: Any, block: np.ndarray, axis: int) -> np.ndarray:
    """What an oracle says, whose warnings are its own."""
    with warnings.catch_warnings(action="ignore"):
        return oracle(block.astype(np.float64), axis)


@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
@quick
def test_a_reducer_equals_its_oracle(name: str, data: st.DataObject) -> None:
    limit = 3 if name == "product" else 1000
    block = data.draw(strategies.blocks(*strategies.FLOATS, "uint8", "int16", "int64", limit=limit))
    axis = data.draw(st.integers(0, block.ndim - 1))
    before = block.copy()
    result = run(name, block, axis)
    expected = expected_of(oracles.REDUCERS[name], block, axis)
    np.testing.assert_allclose(np.asarray(result, np.float64), expected, **tolerance(block))
    np.testing.assert_array_equal(block, before)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "count"])
@given(data=st.data())
@quick
def test_a_reducer_that_heeds_gaps_equals_its_oracle(name: str, data: st.DataObject) -> None:
    block = data.draw(strategies.blocks(limit=3))
    axis = data.draw(st.integers(0, block.ndim - 1))
    result = run(name, block, axis, ignore_nodata=False)
    expected = expected_of(oracles.REDUCERS_WITH_GAPS[name], block, axis)
    if name in TRUTHS:  # of nothing but gaps, all are true and none is
        expected = np.where(np.isnan(block).all(axis), name == "all", expected)
    np.testing.assert_allclose(np.asarray(result, np.float64), expected, **tolerance(block))


@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
@quick
def test_chunked_equals_unchunked_and_computes_nothing_while_it_is_built(name: str, data: st.DataObject) -> None:
    limit = 3 if name == "product" else 1000
    block = data.draw(strategies.blocks(*strategies.FLOATS, "uint8", "int32", "uint64", limit=limit))
    axis = data.draw(st.integers(0, block.ndim - 1))
    cut = data.draw(strategies.chunked(block))
    options = {"keepdims": data.draw(st.booleans())}
    if name != "count":
        options["ignore_nodata"] = data.draw(st.booleans())
    with nothing_computed():
        lazily = run(name, cut, axis, **options)
    whole = run(name, block, axis, **options)
    found = lazily.compute()
    assert isinstance(lazily, da.Array)
    assert lazily.shape == np.shape(found) == np.shape(whole)
    assert lazily.dtype == np.asarray(found).dtype
    assert lazily.dtype == np.asarray(whole).dtype or np.ndim(whole) == 0
    np.testing.assert_allclose(found.astype(np.float64), np.asarray(whole, np.float64), **tolerance(block))


@pytest.mark.parametrize("name", EVERY)
def test_all_axes_at_once(name: str) -> None:
    block = np.array([[[1, np.nan, 0.5], [4, 2, np.nan]], [[np.nan] * 3, [1.5, 0.25, 3]]], np.float32)
    cut = da.from_array(block, chunks=((1, 1), 1, (2, 1)))
    whole = run(name, block.ravel(), 0)
    for array in (block, cut):
        for axis in (None, (0, 1, 2)):
            result = np.asarray(run(name, array, axis))
            assert result.shape == np.shape(whole)
            np.testing.assert_allclose(result, whole, rtol=1e-6)
    kept = run(name, cut, None, keepdims=True)
    assert kept.shape == np.shape(kept.compute()) == (np.size(whole), 1, 1)
    some = run(name, cut, (0, 2))
    np.testing.assert_allclose(some, run(name, block.transpose(1, 0, 2).reshape(2, -1), 1), rtol=1e-6)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", "bool"])
def test_an_axis_without_values_gives_what_nothing_gives(name: str, dtype: str) -> None:
    block = np.empty((0, 3), dtype)
    expected = {"count": 0, "any": False, "all": True}.get(name, np.nan)
    for array in (block, da.from_array(block)):
        result = run(name, array, 0)
        assert result.shape[0] == 3
        np.testing.assert_array_equal(np.asarray(result, np.float64), np.full(result.shape, expected, np.float64))
        assert run(name, array, 1).shape[0] == 0


@pytest.mark.parametrize("name", COMBINED)
def test_empty_chunks_change_nothing(name: str) -> None:
    block = np.array([3, np.nan, 1, 2], np.float32)
    cut = da.concatenate([da.from_array(part) for part in (block[:0], block[:1], block[1:1], block[1:], block[:0])])
    np.testing.assert_array_equal(run(name, cut, 0), run(name, block, 0))
    whole = np.array([3, 1, 2])
    cut = da.concatenate([da.from_array(part) for part in (whole[:0], whole, whole[:0])])
    np.testing.assert_array_equal(run(name, cut, 0), run(name, whole, 0))


@pytest.mark.parametrize("name", COMBINED)
def test_a_tree_adds_one_task_a_chunk_and_a_few(name: str) -> None:
    cut = da.zeros((64, 8, 8), chunks=(1, 8, 8), dtype="float32")
    assert tasks(run(name, cut, 0)) <= 64 * 1.25 + 2


@pytest.mark.parametrize("name", ["median", "quantiles"])
def test_order_statistics_cost_one_task_a_block_where_the_axis_is_whole(name: str) -> None:
    cut = da.zeros((24, 32, 32), chunks=(24, 8, 8), dtype="float32")
    assert tasks(run(name, cut, 0)) == 16


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_keep_their_type(name: str, dtype: str) -> None:
    expected = {"count": "int64", "any": "bool", "all": "bool"}.get(name, dtype)
    assert run(name, np.ones((3, 2), dtype), 0).dtype == expected


@pytest.mark.parametrize(("dtype", "floating"), [("uint8", "float32"), ("int16", "float32"), ("uint32", "float64")])
def test_the_types_that_come_of_integers(dtype: str, floating: str) -> None:
    block = np.ones((3, 2), dtype)
    for name in ("mean", "median", "sd", "variance", "quantiles"):
        assert run(name, block, 0).dtype == floating, name
    for name in ("min", "max", "extrema", "first", "last"):
        assert run(name, block, 0).dtype == dtype, name
    for name in ("sum", "product"):
        assert run(name, block, 0).dtype == np.int64, name


def test_sums_of_small_integers_do_not_wrap_around() -> None:
    block = np.full((4, 1), 200, np.uint8)
    assert maths.sum_(block, axis=0).tolist() == [800]
    assert maths.product(block, axis=0).tolist() == [200**4]
    assert maths.sum_(da.from_array(block, chunks=1), axis=0).compute().tolist() == [800]


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_sums_and_products_beyond_64_bits_stay_at_the_limit(chunks: int) -> None:
    large = da.from_array(np.full(3, 2**62), chunks=chunks)
    assert maths.sum_(large, axis=0).compute() == 2**63 - 1
    assert maths.sum_(-large, axis=0).compute() == -(2**63)
    assert maths.product(da.from_array(np.full(20, 1000), chunks=chunks), axis=0).compute() == 2**63 - 1
    assert maths.sum_(da.from_array(np.full(3, 2**63, np.uint64), chunks=chunks), axis=0).compute() == 2**64 - 1


def test_float32_is_summed_in_double_precision() -> None:
    block = np.full(10_000_001, 0.1, np.float32)
    assert maths.mean(block, axis=0) == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("chunks", [1000, 7])
def test_a_variance_far_from_zero_keeps_its_digits(chunks: int) -> None:
    block = 1e9 + np.arange(1000) % 5
    expected = np.var(np.arange(1000) % 5, ddof=1)
    assert maths.variance(da.from_array(block, chunks=chunks), axis=0).compute() == pytest.approx(expected, rel=1e-7)


def test_one_value_has_no_deviation() -> None:
    assert math.isnan(maths.sd([5]))
    assert math.isnan(maths.variance(np.array([np.nan, 5]), axis=0))
    assert np.isnan(maths.sd(da.from_array(np.array([5.0, np.nan]), chunks=1), axis=0).compute())


# --- lists


@pytest.mark.parametrize("name", [*STATISTICS, *ENDS])
def test_a_list_is_an_array_whose_gaps_are_none(name: str) -> None:
    numbers = [4, None, 1.5, -2, None, 7]
    block = np.array(numbers, np.float64)
    np.testing.assert_allclose(run(name, numbers, None), run(name, block, 0))


@pytest.mark.parametrize("name", STATISTICS)
def test_results_of_lists_are_plain_values(name: str) -> None:
    result = run(name, [3, 1, 2], None)
    assert all(type(value) in (int, float) for value in (result if isinstance(result, list) else [result]))


def test_integers_stay_integers() -> None:
    assert [type(f([1, 2, 3])) for f in (maths.sum_, maths.product, maths.min_, maths.max_)] == [int] * 4
    assert maths.sum_([10**30, 1]) == pytest.approx(1e30)


@pytest.mark.parametrize("nan_is_nodata", [True, False])
def test_the_setting_says_what_nan_in_a_list_means(nan_is_nodata: bool) -> None:
    with dask.config.set({"openeo.nan-is-nodata": nan_is_nodata}):
        result = maths.max_([1, math.nan, 3])
        nothing = maths.mean([])
    assert result == 3 if nan_is_nodata else math.isnan(result)
    assert math.isnan(nothing) if nan_is_nodata else nothing is None


@pytest.mark.parametrize("bad", [5, None, "abc", {"a": 1}, ["1", 2], [True, 2], [[1], 2], [{}], np.array(["a"])])
@pytest.mark.parametrize("name", [name for name in STATISTICS if name != "count"])
def test_what_is_no_array_of_numbers_is_refused(name: str, bad: Any) -> None:
    with pytest.raises(ProcessParameterInvalid):
        run(name, bad, None)


# --- lists that hold arrays


@pytest.mark.parametrize("name", EVERY)
def test_a_list_of_arrays_is_reduced_element_by_element(name: str) -> None:
    x = np.array([[1, np.nan], [3, 4]], np.float32)
    y = np.array([[5, 6], [np.nan, 2]], np.float32)
    expected = run(name, np.stack([x, y]), 0)
    pairs: list[list[Any]] = [
        [x, y],
        [da.from_array(x, chunks=1), da.from_array(y, chunks=(1, 2))],
        [x, da.from_array(y, chunks=1)],
        [xr.DataArray(x, dims=("y", "x")), xr.DataArray(da.from_array(y), dims=("y", "x"))],
    ]
    for pair in pairs:
        with nothing_computed():
            result = run(name, pair, 0, keepdims=True)
        np.testing.assert_allclose(np.asarray(result), expected)
        assert result.dtype == expected.dtype


def test_a_list_of_arrays_may_hold_numbers_and_gaps() -> None:
    x = np.array([1, 5], np.float32)
    assert maths.max_([x, 3, None]).tolist() == [3, 5]
    assert maths.max_([x, 3]).dtype == np.float32
    assert maths.sum_([np.array([250], np.uint8), np.array([250], np.uint8)]).tolist() == [500]
    with pytest.raises(ProcessParameterInvalid):
        maths.max_([x, "3"])


def test_a_list_of_dask_arrays_costs_one_task_a_chunk() -> None:
    x, y = (da.zeros((8, 8), chunks=4, dtype="float32") for _ in range(2))
    assert tasks(maths.max_([x, y])) == 4


# --- cubes


def test_a_cube_loses_the_axis_and_keeps_its_labels() -> None:
    cube = xr.DataArray(
        np.array([[1, 255], [3, 255]], np.uint8), dims=("t", "x"), coords={"x": [10, 20]}, attrs={"nodata": 255}
    )
    result = maths.mean(cube, axis=0)
    assert result.dims == ("x",)
    assert result.x.values.tolist() == [10, 20]
    np.testing.assert_array_equal(result, [2, np.nan])
    assert cube.attrs == {"nodata": 255}
    assert maths.extrema(cube, axis=0).dims == ("x", "t")
    assert maths.extrema(cube, axis=0, keepdims=True).shape == (2, 2)


def test_a_labelled_array_is_a_list() -> None:
    values = np.empty(3, object)
    values[:] = [1, None, 3]
    assert maths.mean(xr.DataArray(values, dims=["l"], coords={"l": ["a", "b", "c"]})) == 2


# --- count and quantiles


def above_one() -> dict[str, Any]:
    node = {"process_id": "gt", "arguments": {"x": {"from_parameter": "x"}, "y": {"from_parameter": "context"}}}
    return {"process_graph": {"gt": {**node, "result": True}}}


def test_count_takes_a_condition_of_any_kind() -> None:
    block = np.array([[1, np.nan], [2, 3], [0, np.inf]])
    arrays_of = (block, da.from_array(block, chunks=(1, 2)))
    for array in arrays_of:
        with nothing_computed():
            counts = [
                maths.count(array, axis=0),
                maths.count(array, True, axis=0),
                maths.count(array, above_one(), context=1, axis=0),
                maths.count(array, lambda x: x > 1, axis=0),
            ]
        assert [np.asarray(c).tolist() for c in counts] == [[3, 1], [3, 3], [1, 2], [1, 2]]
    assert maths.count([0, 1, 2, None, "a"], above_one(), context=1) == 1
    assert maths.count([0, "a", None, [], True]) == 4
    with pytest.raises(ProcessParameterInvalid):
        maths.count([1], 5)


def test_quantiles_by_number_and_by_probabilities() -> None:
    numbers = [2, 4, 4, 4, 5, 5, 7, 9]
    assert maths.quantiles(numbers, 4) == maths.quantiles(numbers, q=4) == maths.quantiles(numbers, [0.25, 0.5, 0.75])
    assert maths.quantiles(numbers, [0.5]) == [4.5]
    assert maths.quantiles(np.array(numbers), [0.5], axis=0).shape == (1,)
    assert maths.quantiles(np.ones((5, 2)), [0.5, 0.9, 1], axis=0, keepdims=True).shape == (3, 2)
    assert maths.quantiles(numbers, []) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, QuantilesParameterMissing),
        ({"probabilities": [0.5], "q": 4}, QuantilesParameterConflict),
        ({"probabilities": [0.5, 0.1]}, AscendingProbabilitiesRequired),
        ({"probabilities": [1.5]}, ProcessParameterInvalid),
        ({"probabilities": [True]}, ProcessParameterInvalid),
        ({"probabilities": "0.5"}, ProcessParameterInvalid),
        ({"probabilities": 1}, ProcessParameterInvalid),
        ({"q": math.nan}, ProcessParameterInvalid),
    ],
)
def test_quantiles_refuse_what_makes_no_sense(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        maths.quantiles([1, 2, 3], **arguments)


def test_infinity_is_a_value_of_quantiles() -> None:
    block = np.array([-np.inf, 1, 2, np.inf])
    assert maths.quantiles(block, [0, 0.25, 0.5, 0.75, 1], axis=0).tolist() == [-np.inf, -np.inf, 1.5, np.inf, np.inf]
    assert maths.median(np.array([np.inf, np.inf]), axis=0) == np.inf


def test_elements_at_the_ends_touch_only_their_chunks() -> None:
    block = da.zeros((64, 4), chunks=(1, 4), dtype="int16")
    for result in (arrays.first(block, axis=0), arrays.last(block, axis=0), arrays.array_element(block, 5, axis=0)):
        assert tasks(result) == 1


def test_truth_values_are_bool_where_no_gap_can_be() -> None:
    assert logic.any_(np.zeros((2, 2), np.uint8), False, axis=0).dtype == bool
    assert logic.all_(np.zeros((2, 2), np.float32), True, axis=0).dtype == bool
    assert logic.all_(np.zeros((2, 2), np.float64), False, axis=0).dtype == np.float32
