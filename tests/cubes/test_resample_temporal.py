"""Resampling to other instants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": 1}]
DAYS = [-100, 0, 4, 5, 6, 15, 33, 300]  # after the first date; 5 and 15 lie between two dates


def like(days: list[float] | None = None) -> xr.DataArray:
    start = cases.cube().t.values[0]
    moments = start + (np.array(DAYS if days is None else days) * 86_400_000).astype("timedelta64[ms]")
    return xr.DataArray(np.zeros(len(moments)), dims=["t"], coords={"t": moments.astype("datetime64[ns]")})


def expected(array: np.ndarray, days: list[float], limit: float | None = None) -> np.ndarray:
    """Pixel by pixel: the nearest date, or the nearest of those with a value; of two as near the earlier one."""
    out = np.full((len(days), *array.shape[1:]), np.nan)
    for place in np.ndindex(*array.shape[1:]):
        row = array[(slice(None), *place)]
        for number, day in enumerate(days):
            near = sorted(range(len(row)), key=lambda i, day=day: (abs(10 * i - day), i))
            if limit is not None:
                near = [i for i in near if abs(10 * i - day) < limit and np.isfinite(row[i])]
            if near:
                out[(number, *place)] = row[near[0]]
    return out


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_nearest_date_counts_and_of_two_the_earlier(chunks: Any, reverse: bool) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.resample_cube_temporal(cube.isel(t=slice(None, None, -1)) if reverse else cube, like())
    np.testing.assert_array_equal(result, expected(array, DAYS))
    np.testing.assert_array_equal(result.t, like().t)
    assert result.dims == cube.dims
    assert result.attrs == cube.attrs
    assert result.openeo.temporal_dims == ("t",)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("limit", [0.5, 5, 10, 25])
def test_a_valid_value_is_looked_for_within_days(chunks: Any, limit: float) -> None:
    array = cases.values()
    array[2, 0, 1, 1] = np.inf
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.resample_cube_temporal(cube, like(), valid_within=limit)
    np.testing.assert_array_equal(result, expected(array, DAYS, limit))
    assert result.dtype == array.dtype


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_integers_keep_their_type_where_they_can(chunks: Any) -> None:
    array = cases.values(dtype="uint16")
    declared = cubes.resample_cube_temporal(cases.cube(array, chunks, nodata=0), like(), "t", 15)
    assert declared.dtype == np.uint16
    np.testing.assert_array_equal(cases.gapped(declared.values, 0), expected(cases.gapped(array, 0), DAYS, 15))
    full = cubes.resample_cube_temporal(cases.cube(array, chunks), like([1, 12]), valid_within=15)
    assert full.dtype == np.uint16
    np.testing.assert_array_equal(full, expected(array.astype(float), [1, 12], 15))
    gapped = cubes.resample_cube_temporal(cases.cube(array, chunks), like(), valid_within=15)
    np.testing.assert_array_equal(gapped, expected(array.astype(float), DAYS, 15))


def test_one_date_and_none_at_all() -> None:
    cube = cases.cube()
    one = cubes.resample_cube_temporal(cube.isel(t=[2]), like())
    np.testing.assert_array_equal(one, np.repeat(cube.values[2:3], len(DAYS), 0))
    assert cubes.resample_cube_temporal(cube, like([])).sizes["t"] == 0
    assert np.isnan(cubes.resample_cube_temporal(cube.isel(t=[]), like(), valid_within=9)).all()
    with pytest.raises(exceptions.DimensionMismatch, match="no labels"):
        cubes.resample_cube_temporal(cube.isel(t=[]), like())


def test_every_temporal_dimension_that_both_have_is_resampled() -> None:
    cube = cases.cube().expand_dims(made=like([0, 50]).t.values)
    target = xr.DataArray(np.zeros((2, 1)), dims=["t", "made"], coords={"t": like([0, 10]).t.values})
    target = target.assign_coords(made=like([40]).t.values)
    result = cubes.resample_cube_temporal(cube, target)
    assert dict(result.sizes) == {"made": 1, "t": 2, "bands": 3, "y": 6, "x": 8}
    np.testing.assert_array_equal(result[0], cases.cube()[:2])


def test_tasks_grow_with_the_chunks() -> None:
    for limit in (None, 12):  # with a limit whole rows meet: of each eight blocks in time another piece of every block
        per_chunk = []
        for dates in (16, 32, 64):
            cube = cases.cube(cases.values((dates, 1, 8, 8)), {"t": 4, "y": 4, "x": 4})
            result = cubes.resample_cube_temporal(cube, like(list(range(3, 10 * dates, 20))), valid_within=limit)
            per_chunk.append(cases.tasks(result.data) / cube.data.npartitions)
        pieces = 1 if limit is None else 64 // 4 // 8
        assert per_chunk[-1] <= per_chunk[0] * 1.3 + (pieces if pieces > 1 else 0), per_chunk


def test_bad_arguments_have_their_codes() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.DimensionNotAvailable, match="in the target"):
        cubes.resample_cube_temporal(cube, like().rename(t="time"), "t")
    with pytest.raises(exceptions.DimensionMismatch, match="not temporal"):
        cubes.resample_cube_temporal(cube, cube, "bands")
    with pytest.raises(exceptions.DimensionMismatch, match="not among"):
        cubes.resample_cube_temporal(cube, like().rename(t="time"))
    with pytest.raises(exceptions.ProcessParameterInvalid, match="valid_within"):
        cubes.resample_cube_temporal(cube, like(), valid_within="soon")
