"""Kernels laid on planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from openeo_processes_dask import exceptions
from openeo_processes_dask.kernels import windows
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, {"t": 3, "bands": 2}, {"y": 4, "x": 5}, {"y": 3, "x": -1}, {"y": -1, "x": (1, 6, 1)}]
MODES = {"replicate": "nearest", "reflect": "reflect", "reflect_pixel": "mirror", "wrap": "wrap"}
RANDOM = np.random.default_rng(2).normal(size=(5, 3)).round(2).tolist()
KERNELS = {
    "random": RANDOM,
    "gauss": np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist(),
    "row": [[1, 0, -1]],
    "column": [[1], [2], [4]],
    "edges": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "zero": [[0, 0, 0]],
    "one": [[2]],
}


def expected(array: np.ndarray, kernel: Any, border: Any, invalid: float = 0) -> np.ndarray:
    values = np.where(np.isfinite(array), array, invalid).astype(float)
    mode = {"mode": MODES[border]} if isinstance(border, str) else {"mode": "constant", "cval": border}
    planes = values.reshape(-1, *values.shape[-2:])
    return np.stack([ndimage.correlate(p, np.array(kernel, float), **mode) for p in planes]).reshape(array.shape)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("border", [*MODES, 0, -1.5])
@pytest.mark.parametrize("kernel", KERNELS)
def test_sums_are_those_of_scipy(kernel: str, border: Any, chunks: Any) -> None:
    array = cases.values().astype("float64")
    array[1, 1, 2, 2] = np.inf
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.apply_kernel(cube, KERNELS[kernel], border=border, factor=0.5, replace_invalid=3)
    wanted = 0.5 * expected(array, KERNELS[kernel], border, 3)
    np.testing.assert_allclose(result, wanted, rtol=1e-12, atol=1e-12)
    assert result.dims == cube.dims
    assert result.attrs == cube.attrs
    np.testing.assert_array_equal(result.x, cube.x)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.sampled_from([*MODES, 2]),
)
def test_chunked_equals_unchunked(
    shape: tuple[int, int], chunks: tuple[int, int], half: tuple[int, int], border: Any
) -> None:
    rng = np.random.default_rng(sum(shape))
    array = rng.normal(size=(1, 1, *shape))
    kernel = rng.normal(size=(2 * half[0] + 1, 2 * half[1] + 1)).tolist()
    whole = cubes.apply_kernel(cases.cube(array), kernel, border=border)
    np.testing.assert_allclose(whole, expected(array, kernel, border), rtol=1e-9, atol=1e-9)
    cut = cubes.apply_kernel(cases.cube(array, {"y": chunks[0], "x": chunks[1]}), kernel, border=border)
    np.testing.assert_allclose(cut, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize(("dtype", "out"), [("uint8", "float32"), ("int32", "float64"), ("float32", "float32")])
def test_gaps_count_as_what_replaces_them(chunks: Any, dtype: str, out: str) -> None:
    array = cases.values(dtype=dtype)
    nodata = None if dtype == "float32" else 0
    result = cubes.apply_kernel(cases.cube(array, chunks, nodata=nodata), RANDOM, replace_invalid=7, border="reflect")
    assert result.dtype == np.dtype(out)
    np.testing.assert_allclose(
        result, expected(cases.gapped(array, nodata), RANDOM, "reflect", 7), rtol=1e-5, atol=1e-4
    )
    assert "nodata" not in result.attrs


def test_truth_values_are_zero_and_one() -> None:
    array = cases.values() > 0
    np.testing.assert_allclose(
        cubes.apply_kernel(cases.cube(array), KERNELS["gauss"]), expected(array, KERNELS["gauss"], 0)
    )


def test_x_may_come_before_y_and_other_axes_between_them() -> None:
    cube = cases.cube(chunks={"y": 4, "x": 3})
    wanted = cubes.apply_kernel(cube, RANDOM, border="wrap")
    turned = cubes.apply_kernel(cube.transpose("x", "t", "y", "bands"), RANDOM, border="wrap")
    np.testing.assert_allclose(turned.transpose(*cube.dims), wanted, rtol=1e-6, atol=1e-6)


def test_an_empty_cube_stays_empty() -> None:
    assert cubes.apply_kernel(cases.cube().isel(y=[]), RANDOM).size == 0


def test_tasks_are_one_a_chunk_or_two_where_planes_are_cut() -> None:
    whole = cases.cube(cases.values((8, 2, 16, 16)), {"t": 1})
    assert cases.tasks(cubes.apply_kernel(whole, RANDOM).data) - cases.tasks(whole.data) == whole.data.npartitions
    for size in (16, 32, 64):
        cut = cases.cube(cases.values((2, 2, size, size)), {"y": 4, "x": 4})
        extra = cases.tasks(cubes.apply_kernel(cut, RANDOM).data) - cases.tasks(cut.data)
        assert extra == 2 * cut.data.npartitions


def test_a_block_asks_only_for_the_edges_of_its_neighbours() -> None:
    cube = cases.cube(cases.values((1, 1, 64, 64)), {"y": 16, "x": 16})
    graph = cubes.apply_kernel(cube, RANDOM).data.__dask_graph__()
    inputs = {key for key in graph if key[0] == cube.data.name}
    users = [sum(key in graph.get_all_dependencies()[other] for other in graph) for key in inputs]
    assert max(users) == 2  # the task that copies its edges, and its own


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kernel": [[1, 2], [3, 4]]}, exceptions.KernelDimensionsUneven),
        ({"kernel": [[1, 2, 3], [3, 4, 5]]}, exceptions.KernelDimensionsUneven),
        ({"kernel": [[1, 2, 3], [3]]}, exceptions.ProcessParameterInvalid),
        ({"kernel": [1, 2, 3]}, exceptions.ProcessParameterInvalid),
        ({"kernel": [["a"]]}, exceptions.ProcessParameterInvalid),
        ({"kernel": [[1]], "border": "mirror"}, exceptions.ProcessParameterInvalid),
        ({"kernel": [[1]], "factor": None}, exceptions.ProcessParameterInvalid),
        ({"kernel": [[1]], "replace_invalid": float("nan")}, exceptions.ProcessParameterInvalid),
    ],
)
def test_bad_kernels_have_their_codes(arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        cubes.apply_kernel(cases.cube(), **arguments)
    with pytest.raises(exceptions.DimensionMissing):
        cubes.apply_kernel(cases.cube().isel(x=0, drop=True), [[1]])


@pytest.mark.parametrize("fill", [None, -9999.0])
@pytest.mark.parametrize("border", [0.0, 3.3, "replicate", "reflect", "reflect_pixel", "wrap"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_gives_bit_by_bit_what_numpy_gives(
    dtype: str, border: Any, fill: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large planes go through a loop and small ones through numpy: blocks of one cube may differ in that."""
    rng = np.random.default_rng(1)
    block = rng.normal(5, 3, (1, 1, 400, 500)).astype(dtype)
    block[rng.random(block.shape) < 0.1] = np.nan
    block[0, 0, 5, 5], block[0, 0, 7, 7] = np.inf, -9999
    bump, slope = np.outer([1, 4, 6], [1, 0, 3, 2, 1]), np.outer(range(1, 8), [1, 2, 3, 4, 3, 2, 1])
    for weights in (bump, slope + np.outer([3, 1, 2, 1, 2, 1, 3], range(7))):
        window = windows.Window(weights, windows.terms(weights), 1.5, border, 0.1, fill)
        assert len(window.terms) == np.linalg.matrix_rank(weights)
        high, wide = (length // 2 for length in weights.shape)
        for pads in (((high, high), (wide, wide)), ((0, high), (wide, 0)), ((0, 0), (0, 0))):
            found = windows.correlate(block, pads, window, (2, 3))
            with monkeypatch.context() as patch:
                patch.setattr(windows.compiled, "usable", lambda block: False)
                plain = windows.correlate(block, pads, window, (2, 3))
            assert found.dtype == plain.dtype
            np.testing.assert_array_equal(found, plain)
