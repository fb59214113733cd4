"""Compiled loops give what plain numpy gives, compile once, and are not there before they are needed."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as arrays

from openeo_processes_dask.kernels import compiled, cumulative, interpolation, searching, sorting, statistics, truth

KERNELS: dict[str, Callable[[np.ndarray, int, bool], Any]] = {
    "cummax": cumulative.cummax,
    "cummin": cumulative.cummin,
    "cumproduct": cumulative.cumproduct,
    "cumsum": cumulative.cumsum,
    "first": searching.FIRST.whole,
    "last": searching.LAST.whole,
    "linear": lambda block, axis, skip: interpolation.linear(block, axis),
    "linear at uneven positions": lambda block, axis, skip: interpolation.linear(
        block, axis, np.cumsum(np.arange(1.0, block.shape[axis] + 1))
    ),
    "mean": statistics.MEAN.whole,
    "median": sorting.median,
    "product": statistics.PRODUCT.whole,
    "quantiles": lambda block, axis, skip: sorting.quantiles(block, axis, skip, (0.0, 0.1, 0.5, 0.77, 1.0)),
    "sd": statistics.SD.whole,
    "sum": statistics.SUM.whole,
    "variance": statistics.VARIANCE.whole,
}
PARTS = {"mean": statistics.MEAN.partial, "sum": statistics.SUM.partial, "variance": statistics.VARIANCE.partial}


@pytest.fixture
def compiled_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LEAST", 1)


def plain(kernel: Callable[..., Any], *arguments: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(compiled, "usable", lambda block: False)
        return kernel(*arguments)


def compare(kernel: Callable[..., Any], block: np.ndarray, axis: int, skip: bool) -> None:
    with np.errstate(all="ignore"):
        found = kernel(block, axis, skip)
    expected = plain(kernel, block, axis, skip)
    tolerance = 1e-5 if block.dtype == np.float32 else 1e-11
    for one, other in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def with_gaps(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    block = rng.normal(size=shape).astype(dtype)
    block[rng.random(shape) < 0.2] = np.nan
    return block


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(KERNELS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_compiled_equals_numpy(name: str, dtype: str, data: st.DataObject) -> None:
    numbers = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.5, 2.0, 3.25, 1e3])
    shapes = arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7)
    block = data.draw(arrays.arrays(dtype, shapes, elements=numbers, fill=st.nothing()))
    compare(KERNELS[name], block, data.draw(st.integers(0, block.ndim - 1)), data.draw(st.booleans()))


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("name", sorted(KERNELS))
@pytest.mark.parametrize(("shape", "axis"), [((30, 2, 2100), 0), ((3, 30, 90), 1), ((2100, 30), 1), ((300, 30, 2), 1)])
def test_tiles_meet_without_seams(name: str, shape: tuple[int, ...], axis: int) -> None:
    compare(KERNELS[name], with_gaps(shape, "float32"), axis, True)


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_any_layout_in_memory_will_do_and_stays_as_it_is(name: str) -> None:
    block = with_gaps((40, 6, 8), "float64")
    kept = block.copy()
    block.flags.writeable = False
    for view in (block, block[::-2], block.transpose(2, 0, 1), np.asfortranarray(block), block[:, :, :1]):
        compare(KERNELS[name], view, 0, True)
    np.testing.assert_array_equal(block, kept)


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["median", "quantiles", "sum", "variance", "cumsum", "linear", "first"])
def test_blocks_cut_out_of_larger_ones_are_taken_in_parts(
    name: str, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "TURNED", 300)
    block = with_gaps((14, 20, 30), "float64")[2:11, 3:18, 4:]
    compare(KERNELS[name], block, axis, True)
    found = truth.gt(block, 0.5)
    np.testing.assert_array_equal(found, plain(truth.gt, block, 0.5))
    np.testing.assert_array_equal(truth.and_(block, found), plain(truth.and_, block, found))
    np.testing.assert_array_equal(truth.lt(block, block * 2), plain(truth.lt, block, block * 2))


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("length", [1, 2, 3, 64, 65, 500, sorting.MOST_COMPILED + 1])
def test_medians_of_any_number_of_dates(length: int) -> None:
    block = with_gaps((length, 70), "float32", seed=length)
    found = sorting.median(block, 0, True)[0]
    given_any = ~np.isnan(block).all(0)
    np.testing.assert_allclose(found[given_any], np.nanmedian(block[:, given_any], axis=0), rtol=1e-6)
    assert np.isnan(found[~given_any]).all()


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("name", sorted(PARTS))
def test_partial_results_are_the_same(name: str) -> None:
    compare(PARTS[name], with_gaps((30, 5, 40), "float32"), 0, True)


GROUPS: dict[str, list[tuple[int, ...]]] = {
    "following each other": [(0, 1, 2), (3, 4, 5, 6), (7,), (8, 9)],
    "overlapping and apart": [(0, 3, 6, 9), (3, 4), (9, 3)],
    "long": [tuple(range(30)), tuple(range(5, 14)), tuple(range(0, 30, 2))],
    "some empty": [(), (2,), (), (1, 2)],
    "none": [],
}


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("groups", sorted(GROUPS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), [((30, 2, 1100), 0), ((3, 30, 70), 1), ((500, 30), 1)])
def test_groups_of_rows_are_reduced_together(
    shape: tuple[int, ...], axis: int, dtype: str, groups: str, skip: bool
) -> None:
    block, members = with_gaps(shape, dtype), GROUPS[groups]
    block[block > 2.5] = np.inf
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    for reduction, ignoring, heeding in (
        (statistics.MEAN, np.nanmean, np.mean),
        (statistics.SUM, np.nansum, np.sum),
        (sorting.MEDIAN, np.nanmedian, np.median),
    ):
        assert reduction.grouped is not None
        found = reduction.grouped(block, axis, members, skip)
        assert found.dtype == block.dtype
        assert found.shape[axis] == len(members)
        for place, group in enumerate(members):
            rows = block.take(group, axis).astype(np.float64)
            gone = np.isnan(rows).all(axis)
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of what is a gap here
                expected = np.where(gone, np.nan, (ignoring if skip else heeding)(rows, axis))
            np.testing.assert_allclose(found.take(place, axis), expected, rtol=tolerance, atol=tolerance)


def test_small_blocks_are_not_reduced_in_groups() -> None:
    block = np.zeros((4, 5), "float32")
    for reduction in (statistics.MEAN, statistics.SUM, sorting.MEDIAN):
        assert reduction.grouped is not None
        assert reduction.grouped(block, 0, [(0, 1)], True) is None


TRUTHS: dict[str, Callable[[np.ndarray, Any], Any]] = {
    "eq": truth.eq,
    "neq": truth.neq,
    "gt": truth.gt,
    "gte": truth.gte,
    "lt": truth.lt,
    "lte": truth.lte,
    "and": truth.and_,
    "or": truth.or_,
    "xor": truth.xor,
    "not": lambda x, y: truth.not_(x),
    "between": lambda x, y: truth.between(x, -1, y),
    "between, without the end": lambda x, y: truth.between(x, -1.5, y, True),
    "greater than the block": lambda x, y: truth.gt(y, x),
    "less or equal to the block": lambda x, y: truth.lte(y, x),
}


@pytest.mark.usefixtures("compiled_always")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(TRUTHS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_compiled_truth_equals_numpy(name: str, dtype: str, data: st.DataObject) -> None:
    numbers = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.5, 1.0, 0.1])
    x, y = (data.draw(arrays.arrays(dtype, (3, 4), elements=numbers, fill=st.nothing())) for _ in range(2))
    for other in (y, y[:1], y.astype("float64"), 0.1, 1, 0, np.nan, np.inf, True):
        with np.errstate(all="ignore"):
            found = TRUTHS[name](x, other)
        expected = plain(TRUTHS[name], x, other)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_small_blocks_and_integers_do_not_wait_for_a_compiler() -> None:
    assert not compiled.usable(np.zeros(10, "float32"))
    assert not compiled.usable(np.zeros(compiled.LEAST, "int16"))
    assert not compiled.usable(np.zeros(compiled.LEAST, ">f4"))
    assert compiled.usable(np.zeros(compiled.LEAST, "float32"))


def in_a_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_compiler_is_imported_when_a_large_block_comes() -> None:
    code = """if True:
        import sys
        import numpy as np
        from openeo_processes_dask.process_implementations import mean, median
        median(np.zeros((3, 10), 'float32'), axis=0)
        print('numba' in sys.modules, end=' ')
        median(np.zeros((2, 70_000), 'float32'), axis=0)
        print('numba' in sys.modules)
    """
    assert in_a_process(code) == "False True"


def test_without_a_compiler_plain_numpy_computes_the_same() -> None:
    code = """if True:
        import sys
        import numpy as np
        from openeo_processes_dask.process_implementations import median
        print(median(np.arange(210_000, dtype='float32').reshape(3, -1), axis=0).sum(), 'numba' in sys.modules)
    """
    assert in_a_process(code, NUMBA_DISABLE_JIT="1") == in_a_process(code).replace("True", "False")


def test_one_process_compiles_and_the_others_find_it_on_disk(tmp_path: Any) -> None:
    code = """if True:
        import numpy as np
        from openeo_processes_dask.kernels import compiled, loops, searching
        searching.FIRST.whole(np.zeros((2, 70_000), 'float32'), 0, True)
        print(sum(loops.first.stats.cache_misses.values()), sum(loops.first.stats.cache_hits.values()))
    """
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(in_a_process, code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(3)]
        assert sorted(run.result() for run in runs) == ["0 1", "0 1", "1 0"]
