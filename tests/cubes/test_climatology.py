"""Normals and anomalies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, {"t": -1, "y": 2}, {"t": 100, "x": 2}]


def years(first: str = "1999-11-01", last: str = "2003-12-31", step: str = "7D", chunks: Any = None) -> xr.DataArray:
    dates = pd.date_range(first, last, freq=step).to_numpy().astype("datetime64[ns]")
    rng = np.random.default_rng(3)
    array = rng.normal(size=(len(dates), 1, 2, 3))
    array[rng.random(array.shape) < 0.2] = np.nan
    array[:, 0, 0, 0] = np.nan
    return cases.cube(array, chunks, t=dates)


def means(cube: xr.DataArray, counted: np.ndarray, keys: np.ndarray, labels: list[str]) -> np.ndarray:
    """Means of the dates that count, by what they are called."""
    frame = pd.DataFrame(cube.values.reshape(cube.sizes["t"], -1))[counted].groupby(keys[counted]).mean()
    return frame.reindex(labels).to_numpy().reshape(len(labels), *cube.shape[1:])


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize(("period", "written"), [("month", "%m"), ("day", "%j")])
def test_normals_are_means_over_whole_years(period: str, written: str, chunks: Any) -> None:
    cube = years(chunks=chunks)
    with nothing_computed():
        result = cubes.climatological_normal(cube, period, [2000, 2002])
    t = pd.DatetimeIndex(cube.t.values)
    keys = t.strftime(written).to_numpy()
    keys[keys == "366"] = "365"
    labels = [f"{n:02d}" for n in range(1, 13)] if period == "month" else [f"{n:03d}" for n in range(1, 366)]
    expected = means(cube, (t.year >= 2000) & (t.year <= 2002), keys, labels)
    assert result.t.values.tolist() == labels
    np.testing.assert_allclose(result, expected, rtol=1e-9)
    assert result.openeo.temporal_dims == ("t",)
    assert result.dims == cube.dims


def test_months_are_combined_where_time_is_cut_into_many_chunks() -> None:
    whole, cut = (cubes.climatological_normal(years(chunks=c), "month", [2000, 2002]) for c in (None, {"t": 20}))
    np.testing.assert_allclose(cut, whole, rtol=1e-9)


def seasons(cube: xr.DataArray, shift: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The year in which each date's season ends, and the number of the season."""
    moved = pd.DatetimeIndex(cube.t.values).to_period("M") + shift
    return moved.year.to_numpy(), (moved.month.to_numpy() - 1) // length


@pytest.mark.parametrize("first", ["1999-11-01", "2000-01-01"])
@pytest.mark.parametrize(
    ("period", "shift", "length", "labels"),
    [("season", 1, 3, ["djf", "mam", "jja", "son"]), ("tropical-season", 2, 6, ["ndjfma", "mjjaso"])],
)
def test_only_whole_seasons_count(first: str, period: str, shift: int, length: int, labels: list[str]) -> None:
    cube = years(first)
    result = cubes.climatological_normal(cube, period, [2000, 2002])
    ends, number = seasons(cube, shift, length)
    counted = (ends >= 2000) & (ends <= 2002)
    if first == "2000-01-01":
        counted &= (ends > 2000) | (number > 0)
    expected = means(cube, counted, np.array(labels)[number], labels)
    assert result.t.values.tolist() == labels
    np.testing.assert_allclose(result, expected, rtol=1e-9)


def test_the_whole_period_is_one_normal_and_the_default_ends_in_2010() -> None:
    cube = years("2009-06-01", "2012-06-01")
    result = cubes.climatological_normal(cube, "climatology-period")
    inside = pd.DatetimeIndex(cube.t.values).year <= 2010
    assert result.t.values.tolist() == ["climatology-period"]
    np.testing.assert_allclose(result, means(cube, inside, np.full(len(inside), "a"), ["a"]), rtol=1e-9)
    nothing = cubes.climatological_normal(cube, "month", [1950, 1960])
    assert nothing.sizes["t"] == 12
    assert np.isnan(nothing).all()


def test_integers_have_their_normals() -> None:
    cube = years()
    array = np.nan_to_num(cube.values * 100, nan=0).astype("int16")
    whole = cubes.climatological_normal(cube.copy(data=array).assign_attrs(nodata=0), "month", [2000, 2002])
    floats = cubes.climatological_normal(cube.copy(data=cases.gapped(array, 0)), "month", [2000, 2002])
    np.testing.assert_allclose(whole, floats, rtol=1e-5)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("period", ["day", "month", "season", "tropical-season"])
def test_anomalies_are_differences_from_the_normal_of_the_same_time(period: str, chunks: Any) -> None:
    cube = years("2000-10-01", "2001-02-03", step="3D", chunks=chunks)
    with nothing_computed():
        observed = cubes.aggregate_temporal_period(cube, period, "mean")
        normal = cubes.climatological_normal(cube, period, [1999, 2002])
        result = cubes.anomaly(observed, normal, period)
    known = dict(zip(normal.t.values.tolist(), normal.values, strict=True))
    names = ["365" if (n := label.rsplit("-", 1)[1]) == "366" else n for label in observed.t.values.tolist()]
    expected = observed.values - np.stack([known[n] for n in names])
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)
    assert result.t.values.tolist() == observed.t.values.tolist()
    assert result.dims == cube.dims


@pytest.mark.parametrize(
    ("period", "label"),
    [("hour", "00"), ("week", "16"), ("dekad", "12"), ("month", "04"), ("season", "mam"), ("year", "2023")],
)
def test_instants_find_their_normal(period: str, label: str) -> None:
    cube = cases.cube(np.ones((1, 1, 2, 2)), t=np.array(["2023-04-21"], "datetime64[ns]"))
    normal = cases.cube(np.full((2, 1, 2, 2), 3.0), t=["none", label])
    np.testing.assert_array_equal(cubes.anomaly(cube, normal, period), np.full((1, 1, 2, 2), -2.0))
    observed = cubes.aggregate_temporal_period(cube, period, "mean")
    np.testing.assert_array_equal(cubes.anomaly(observed, normal, period), np.full((1, 1, 2, 2), -2.0))


def test_one_normal_serves_all() -> None:
    cube = years(step="90D")
    normal = cubes.rename_dimension(cubes.climatological_normal(cube, "climatology-period", [2000, 2003]), "t", "when")
    for period in ("climatology-period", "single-period"):
        np.testing.assert_allclose(cubes.anomaly(cube, normal, period), cube.values - normal.values, rtol=1e-9)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="one label, not 12"):
        cubes.anomaly(cube, cubes.climatological_normal(cube, "month", [2000, 2003]), "single-period")


def test_bad_arguments_have_their_codes() -> None:
    cube = years(step="90D")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'week'"):
        cubes.climatological_normal(cube, "week")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="first and a last year"):
        cubes.climatological_normal(cube, "month", [2010, 1981])
    normal = cubes.climatological_normal(cube, "month", [2000, 2002])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="no normal '11' for '1999-11-01"):
        cubes.anomaly(cube, normal.isel(t=slice(0, 10)), "month")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'moon'"):
        cubes.anomaly(cube, normal, "moon")
    with pytest.raises(exceptions.IncompatibleDataCubes, match="labels"):
        cubes.anomaly(cube, normal.assign_coords(x=[1, 2, 3]), "month")
    with pytest.raises(exceptions.IncompatibleDataCubes, match="'model'"):
        cubes.anomaly(cube, normal.expand_dims("model"), "month")
    with pytest.raises(exceptions.TooManyDimensions):
        cubes.climatological_normal(cube.expand_dims(date=cube.t.values[:1]), "month")
