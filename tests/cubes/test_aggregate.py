"""Aggregating by intervals of time and by the periods of the calendar."""

from __future__ import annotations

import datetime
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.kernels import periods
from openeo_processes_dask.process_implementations import cubes
from openeo_processes_dask.vocabulary import PERIODS
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, {"t": -1, "y": 4}, cases.AWKWARD, {"t": 1, "y": 4}]


def at(dates: list[str]) -> np.ndarray:
    return np.array(dates, dtype="datetime64[ns]")


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("reducer", ["mean", "median", "sum", "count"])
def test_months_equal_pandas_groups(chunks: Any, reducer: str) -> None:
    array = cases.values((9, 2, 5, 6))
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.aggregate_temporal_period(cube, "month", reducer)
    months = pd.DatetimeIndex(cube.t.values).strftime("%Y-%m")
    frame = pd.DataFrame(array.reshape(9, -1).astype(float)).groupby(months)
    expected = {"sum": lambda g: g.sum(min_count=1)}.get(reducer, lambda g: getattr(g, reducer)())(frame)
    assert result.t.values.tolist() == expected.index.tolist()
    np.testing.assert_allclose(result.values.reshape(len(expected), -1), expected.values, rtol=1e-4)
    assert result.dims == cube.dims
    assert result.openeo.temporal_dims == ("t",)


def test_a_reducer_of_two_nodes_runs_for_each_period() -> None:
    array = cases.values((9, 2, 5, 6))
    process = child(m=node("mean", data=given("data")), a=node("add", x=of("m"), y=1))
    for chunks in LAYOUTS:
        cube = cases.cube(array, chunks)
        plain = cubes.aggregate_temporal_period(cube, "month", "mean")
        np.testing.assert_allclose(cubes.aggregate_temporal_period(cube, "month", process), plain.values + 1, rtol=1e-5)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize(
    "process",
    [
        child(
            m=node("max", data=given("data")),
            n=node("min", data=given("data")),
            a=node("subtract", x=of("m"), y=of("n")),
        ),
        child(b=node("multiply", x=given("data"), y=2), m=node("median", data=of("b")), a=node("add", x=of("m"), y=1)),
        child(m=node("mean", data=given("data")), a=node("max", data=[of("m"), 0])),
        child(
            m=node("mean", data=given("data")),
            d=node("subtract", x=given("data"), y=of("m")),
            s=node("sd", data=of("d")),
        ),
        child(f=node("first", data=given("data")), a=node("add", x=of("f"), y=1)),
        child(e=node("array_element", data=given("data"), index=0)),
        child(
            q=node("quantiles", data=given("data"), probabilities=[0.5]), e=node("array_element", data=of("q"), index=0)
        ),
    ],
    ids=["range", "median of twice", "with a list", "within the group", "first", "element", "quantile"],
)
def test_any_reducer_gives_for_a_period_what_it_gives_for_its_dates(chunks: Any, process: Any) -> None:
    cube = cases.cube(cases.values((9, 2, 5, 6)), chunks)
    result = cubes.aggregate_temporal_period(cube, "month", process)
    months = pd.DatetimeIndex(cube.t.values).strftime("%Y-%m")
    for label in result.t.values:
        alone = cubes.reduce_dimension(cube.isel(t=np.flatnonzero(months == label)), process, "t")
        np.testing.assert_allclose(result.sel(t=label), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_empty_periods_have_labels_and_no_data(chunks: Any) -> None:
    dates = at(["2023-01-05", "2023-01-20", "2023-04-01"])
    array = np.ones((3, 1, 2, 3), "float32")
    cube = cases.cube(array, chunks, t=dates)
    result = cubes.aggregate_temporal_period(cube, "month", "sum")
    assert result.t.values.tolist() == ["2023-01", "2023-02", "2023-03", "2023-04"]
    expected = np.array([2, np.nan, np.nan, 1])[:, None, None, None] * np.ones((4, 1, 2, 3))
    np.testing.assert_array_equal(result, expected)
    counts = cubes.aggregate_temporal_period(cube, "month", "count")
    np.testing.assert_array_equal(counts.values[:, 0, 0, 0], [2, 0, 0, 1])


def test_unsorted_dates_fall_into_their_periods() -> None:
    dates = at(["2023-02-05", "2023-01-20", "2023-02-01", "2023-01-01", "2023-02-02"])
    array = np.arange(5.0).reshape(5, 1, 1, 1) * np.ones((5, 1, 2, 3))
    for chunks in (None, {"t": -1}, {"t": 1}):
        result = cubes.aggregate_temporal_period(cases.cube(array, chunks, t=dates), "month", "sum")
        np.testing.assert_array_equal(result.values[:, 0, 0, 0], [4, 6])


def test_one_task_a_chunk_where_time_lies_in_one() -> None:
    cube = cases.cube(cases.values((24, 2, 8, 8)), {"t": -1, "y": 4, "x": 4})
    result = cubes.aggregate_temporal_period(cube, "month", "mean")
    assert cases.tasks(result.data) - cases.tasks(cube.data) == cube.data.npartitions


def test_tasks_grow_with_the_chunks_where_time_lies_in_many() -> None:
    per_chunk = []
    for dates in (36, 72, 144):
        cube = cases.cube(cases.values((dates, 1, 4, 4)), {"t": 1, "y": 2})
        result = cubes.aggregate_temporal_period(cube, "month", "mean")
        per_chunk.append((cases.tasks(result.data) - cases.tasks(cube.data)) / cube.data.npartitions)
    assert max(per_chunk) <= 2.7, per_chunk
    assert per_chunk[-1] <= per_chunk[0] * 1.05


LABELS = {
    "hour": (["2023-12-31T23:59:59", "2024-01-01T01:00"], ["2023-12-31-23", "2024-01-01-00", "2024-01-01-01"]),
    "day": (["2023-12-31", "2024-01-01T23:59"], ["2023-365", "2024-001"]),
    "week": (["2020-12-31", "2021-01-04"], ["2020-53", "2021-01"]),
    "dekad": (["2024-01-20", "2024-02-29"], ["2024-02", "2024-03", "2024-04", "2024-05", "2024-06"]),
    "month": (["2023-12-31", "2024-02-01"], ["2023-12", "2024-01", "2024-02"]),
    "season": (
        ["2023-11-30", "2023-12-01", "2024-06-01"],
        ["2023-son", "2023-djf", "2024-mam", "2024-jja"],
    ),
    "tropical-season": (["2023-10-31", "2024-04-30", "2024-05-01"], ["2023-mjjaso", "2023-ndjfma", "2024-mjjaso"]),
    "year": (["2022-01-01", "2024-12-31"], ["2022", "2023", "2024"]),
    "decade": (["2019-12-31", "2020-01-01"], ["2010", "2020"]),
    "decade-ad": (["2020-12-31", "2021-01-01"], ["2011", "2021"]),
}


@pytest.mark.parametrize("period", LABELS)
def test_labels_are_those_of_the_specification(period: str) -> None:
    dates, labels = LABELS[period]
    cube = cases.cube(np.ones((len(dates), 1, 1, 2)), t=at(dates))
    result = cubes.aggregate_temporal_period(cube, period, "sum")
    assert result.t.values.tolist() == labels
    assert np.nansum(result.values[:, 0, 0, 0]) == len(dates)


def test_weeks_are_those_of_the_iso_calendar() -> None:
    dates = [datetime.date(2015, 12, 20) + datetime.timedelta(days=i) for i in range(0, 800, 1)]
    cube = cases.cube(np.ones((800, 1, 1, 1)), t=at([str(d) for d in dates]))
    result = cubes.aggregate_temporal_period(cube, "week", "sum")
    expected: dict[str, int] = {}
    for date in dates:
        year, week, _ = date.isocalendar()
        expected[f"{year}-{week:02d}"] = expected.get(f"{year}-{week:02d}", 0) + 1
    assert dict(zip(result.t.values.tolist(), result.values[:, 0, 0, 0].tolist(), strict=True)) == expected


def test_bad_arguments_have_their_codes() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.ProcessParameterInvalid, match="no period 'moon'; there are hour, day"):
        cubes.aggregate_temporal_period(cube, "moon", "mean")
    with pytest.raises(exceptions.DimensionNotAvailable, match="'time'"):
        cubes.aggregate_temporal_period(cube, "month", "mean", dimension="time")
    with pytest.raises(exceptions.DimensionNotAvailable, match="no temporal dimension"):
        cubes.aggregate_temporal_period(cube.isel(t=0, drop=True), "month", "mean")
    with pytest.raises(exceptions.TooManyDimensions):
        cubes.aggregate_temporal_period(cube.expand_dims(date=[np.datetime64("2020-01-01", "ns")]), "month", "mean")


INTERVALS = [
    (["2023-04-01", "2023-04-23"], [0, 1]),
    (["2023-04-13", "2023-06-02"], [1, 2, 3, 4, 5]),
    (["2023-04-23T00:00:00Z", None], [2, 3, 4, 5, 6, 7, 8]),
    (["2023-05-03T02:00:00+02:00", "2023-05-03T00:00:01Z"], [3]),
    (["2030-01-01", "2031-01-01"], []),
]
EXPECTED = {"mean": np.nanmean, "median": np.nanmedian, "max": np.nanmax}


def expected_of(array: np.ndarray, reducer: str, groups: list[list[int]]) -> np.ndarray:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [EXPECTED[reducer](array[g], axis=0) if g else np.full(array.shape[1:], np.nan) for g in groups]
    return np.stack(parts)


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("reducer", EXPECTED)
def test_intervals_may_overlap_and_be_empty(chunks: Any, reducer: str) -> None:
    array = cases.values((9, 2, 5, 6))
    cube = cases.cube(array, chunks)
    pairs, groups = map(list, zip(*INTERVALS, strict=True))
    with nothing_computed():
        result = cubes.aggregate_temporal(cube, pairs, reducer)
    np.testing.assert_allclose(result, expected_of(array.astype(float), reducer, groups), rtol=1e-5)
    assert result.t.values.tolist() == [pair[0] for pair in pairs]
    assert result.dims == cube.dims
    assert result.openeo.temporal_dims == ("t",)
    assert result.attrs == cube.attrs


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize("nodata", [0, None])
def test_integers_have_gaps_where_an_interval_is_empty(chunks: Any, nodata: int | None) -> None:
    array = cases.values((9, 2, 5, 6), "uint16")
    cube = cases.cube(array, chunks, nodata=nodata)
    pairs, groups = map(list, zip(*INTERVALS, strict=True))
    result = cubes.aggregate_temporal(cube, pairs, "max")
    expected = expected_of(cases.gapped(array, nodata), "max", groups)
    np.testing.assert_array_equal(cases.gapped(result.values, result.attrs.get("nodata")), expected)
    assert result.dtype.kind == ("u" if nodata == 0 else "f")
    counts = cubes.aggregate_temporal(cube, pairs, "count")
    assert counts.values[-1].max() == 0


def test_times_of_the_day_may_reach_over_midnight() -> None:
    dates = at(["2023-01-05T05:59:59", "2023-01-05T06:00", "2023-01-06T12:00", "2023-01-06T18:00", "2023-01-09T00:00"])
    cube = cases.cube(np.arange(5.0).reshape(5, 1, 1, 1), t=dates)
    pairs = [["06:00:00", "18:00:00"], ["18:00:00", "06:00:00"], ["12:00:00", None], [None, "06:00:00"]]
    result = cubes.aggregate_temporal(cube, pairs, "sum", labels=["day", "night", "afternoon", "morning"])
    np.testing.assert_array_equal(result.values.ravel(), [3, 7, 5, 4])
    assert result.t.values.tolist() == ["day", "night", "afternoon", "morning"]
    assert cubes.aggregate_temporal(cube, pairs[:2], "sum").t.values.tolist() == ["06:00:00", "18:00:00"]


def test_any_name_of_a_temporal_dimension_will_do() -> None:
    cube = cubes.rename_dimension(cases.cube(), "t", "observed")
    result = cubes.aggregate_temporal(cube, [[None, None]], "max", labels=["all"], dimension="observed")
    np.testing.assert_array_equal(result, expected_of(cases.values(), "max", [list(range(7))]))


def test_an_interval_costs_one_task_a_chunk_where_time_lies_in_one() -> None:
    cube = cases.cube(cases.values((24, 2, 8, 8)), {"t": -1, "y": 4, "x": 4})
    pairs = [[f"2023-0{m}-01", f"2023-0{m + 1}-15"] for m in range(4, 9)]
    result = cubes.aggregate_temporal(cube, pairs, "mean")
    assert cases.tasks(result.data) - cases.tasks(cube.data) == cube.data.npartitions


def test_the_parsers_intervals_are_taken() -> None:
    from openeo_pg_parser_networkx.pg_schema import TemporalIntervals

    cube, pairs = cases.cube(), [["2023-04-03", "2023-05-03"], ["2023-05-03", "2023-08-03"]]
    parsed = cubes.aggregate_temporal(cube, TemporalIntervals.model_validate(pairs), "mean")
    np.testing.assert_array_equal(parsed, cubes.aggregate_temporal(cube, pairs, "mean"))


@pytest.mark.parametrize(
    ("pairs", "labels", "error"),
    [
        ([["2023-01-01", "2023-01-01"]], [], exceptions.TemporalExtentEmpty),
        ([["06:00:00", "06:00:00"]], [], exceptions.TemporalExtentEmpty),
        ([["2023-01-01", None], ["2023-01-01", "2024-01-01"]], [], exceptions.DistinctDimensionLabelsRequired),
        ([["2023-01-01", None], [None, "2024-01-01"]], [], exceptions.DistinctDimensionLabelsRequired),
        ([["2023-01-01", None], [None, "2024-01-01"]], ["a", "a"], exceptions.DistinctDimensionLabelsRequired),
        ([["2023-01-01", None]], ["a", "b"], exceptions.ProcessParameterInvalid),
        ([["06:00:00", "2023-01-01"]], [], exceptions.ProcessParameterInvalid),
        ([["25:00:00", "06:00:00"]], [], exceptions.ProcessParameterInvalid),
        (["2023-01-01"], [], exceptions.ProcessParameterInvalid),
    ],
)
def test_bad_intervals_have_their_codes(pairs: list, labels: list, error: type[Exception]) -> None:
    with pytest.raises(error):
        cubes.aggregate_temporal(cases.cube(), pairs, "mean", labels)


def test_weeks_are_those_of_iso_8601() -> None:
    days = [datetime.date(year, month, day) for year in range(1990, 2030) for month in (1, 12) for day in range(1, 32)]
    days += [datetime.date(1, 1, 1), datetime.date(999, 12, 31), datetime.date(9999, 12, 31)]
    numbers = periods.numbers(np.array(days, "datetime64[D]"), "week")
    expected = ["{:04d}-{:02d}".format(*day.isocalendar()) for day in days]
    assert [periods.label(int(number), "week") for number in numbers] == expected


def test_periods_far_away_have_labels() -> None:
    moments = np.array(["-0044-03-15", "0000-01-01", "12020-02-29"], "datetime64[s]")
    for period in PERIODS:
        labels = [periods.label(int(number), period) for number in periods.numbers(moments, period)]
        assert len(set(labels)) == 3


def test_labels_that_are_no_time_belong_to_no_period() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    dates = cube.t.values.copy()
    dates[2] = "NaT"
    result = cubes.aggregate_temporal_period(cube.assign_coords(t=dates), "month", "count")
    expected = cubes.aggregate_temporal_period(cube.isel(t=[0, 1, 3, 4, 5, 6]), "month", "count")
    np.testing.assert_array_equal(result, expected)
