"""Masking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed


def clouds(cube: object) -> np.ndarray:
    return np.random.default_rng(3).random((cube.sizes["t"], cube.sizes["y"], cube.sizes["x"])) < 0.3


@pytest.mark.parametrize("chunks", [None, cases.AWKWARD])
@pytest.mark.parametrize("kind", ["bool", "uint8", "float32"])
def test_pixels_under_the_mask_become_nodata(chunks: dict | None, kind: str) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    hidden = clouds(cube)
    mask = cube.isel(bands=0, drop=True).copy(data=hidden.astype(kind) * (5 if kind == "uint8" else 1))
    with nothing_computed():
        result = cubes.mask(cube, mask if chunks is None else mask.chunk(t=3, y=4, x=5))
    np.testing.assert_array_equal(result, np.where(hidden[:, None], np.nan, array))
    assert result.dtype == array.dtype


def test_a_gap_in_the_mask_hides_nothing() -> None:
    cube = cases.cube(gapless := cases.values(gaps=0))
    mask = cube.isel(bands=0, t=0, drop=True).copy(data=np.full((6, 8), np.nan))
    np.testing.assert_array_equal(cubes.mask(cube, mask), gapless)


def test_integers_keep_their_type_and_nodata() -> None:
    array = cases.values(dtype="uint16")
    cube = cases.cube(array, cases.AWKWARD, nodata=0)
    hidden = clouds(cube)
    result = cubes.mask(cube, cube.isel(bands=0, drop=True).copy(data=hidden))
    assert result.dtype == np.uint16
    assert result.attrs["nodata"] == 0
    np.testing.assert_array_equal(result, np.where(hidden[:, None], 0, array))
    undeclared = cubes.mask(cases.cube(array), cube.isel(bands=0, drop=True).copy(data=hidden).compute())
    np.testing.assert_array_equal(undeclared, np.where(hidden[:, None], np.nan, array))


@pytest.mark.parametrize(("replacement", "dtype"), [(7, "uint8"), (-1, "int16"), (300, "uint16"), (0.5, "float64")])
def test_a_replacement_fits_into_the_result(replacement: float, dtype: str) -> None:
    array = cases.values(dtype="uint8")
    cube = cases.cube(array)
    hidden = clouds(cube)
    result = cubes.mask(cube, cube.isel(bands=0, drop=True).copy(data=hidden), replacement=replacement)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, np.where(hidden[:, None], replacement, array.astype(float)))


def test_a_mask_on_another_grid_is_brought_to_the_data() -> None:
    cube = cases.cube(cases.values(gaps=0), cases.AWKWARD)
    coarse = cube.isel(bands=0, t=0, drop=True).coarsen(y=2, x=2).mean()
    hidden = np.arange(12).reshape(3, 4) % 3 == 0
    result = cubes.mask(cube, coarse.copy(data=hidden))
    spread = np.kron(hidden, np.ones((2, 2), bool))
    np.testing.assert_array_equal(np.isnan(result.values), np.broadcast_to(spread, cube.shape))


def test_a_mask_that_does_not_fit_is_refused() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.IncompatibleDataCubes, match="'extra'"):
        cubes.mask(cube.isel(bands=0, drop=True), cube.isel(bands=0, drop=True).expand_dims(extra=2))
    with pytest.raises(exceptions.IncompatibleDataCubes, match="'t'"):
        cubes.mask(cube, cube.isel(t=slice(2, 4)))


def test_nothing_is_masked_by_nothing() -> None:
    for empty in ({"x": slice(0, 0)}, {"t": slice(0, 0)}):
        cube = cases.cube(chunks=cases.AWKWARD).isel(empty)
        assert cubes.mask(cube, cube.isel(bands=0, drop=True)).identical(cube)
    with pytest.raises(exceptions.IncompatibleDataCubes, match="'x'"):
        cubes.mask(cases.cube(), cases.cube().isel(x=slice(0, 0)))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *(("float32", np.nan), ("float64", -1.5), ("float16", np.inf), ("bool", True)),
        *(("uint8", 255), (">i4", -7), ("int64", 0), ("complex64", 1j), ("U3", "abc")),
    ],
)
def test_bits_are_replaced_as_numpy_replaces_values(dtype: str, value: Any) -> None:
    rng = np.random.default_rng(3)
    block = rng.integers(0, 100, (3, 4, 5, 6)).astype(dtype)
    kept = block.copy()
    for view in (block, block[:, ::-1, ::2], block.transpose(2, 0, 3, 1)):
        for shape in (view.shape, (1, 1, *view.shape[2:])):
            where = rng.random(shape) < 0.5
            found = missing.replaced(view, where, value)
            assert found.dtype == block.dtype
            np.testing.assert_array_equal(found, np.where(where, np.array(value, dtype), view))
            assert not np.shares_memory(found, block)
    np.testing.assert_array_equal(block, kept)
