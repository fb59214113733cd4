"""Arguments as callers hand them over: dates, intervals and bounding boxes, and what is none of these."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyproj
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.arguments import bounding_box, instant, interval
from openeo_processes_dask.dimensions import parse_crs

SQUARE = {"west": 0, "south": 0, "east": 1, "north": 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2020", "2020-01-01"),
        (2020, "2020-01-01"),
        ("2020-06", "2020-06-01"),
        ("2020-06-01Z", "2020-06-01"),
        ("2020-01-01T00:00:00+02:00", "2019-12-31T22:00"),
        ("2020-01-01t06:00:00z", "2020-01-01T06:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01"),
        ("2016-12-31T22:59:60.5-01:00", "2017-01-01"),
        ("0001-01-01", "0001-01-01"),
        ("1500-06-01T00:00:00Z", "1500-06-01"),
        ("9999-12-31T00:00:00Z", "9999-12-31"),
        ("9999-12-31", "9999-12-31"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), "0001-01-01"),
        (np.datetime64("1500-01-01", "s"), "1500-01-01"),
    ],
)
def test_an_instant_is_in_utc_in_any_year(given: Any, expected: str) -> None:
    assert instant(given) == np.datetime64(expected, "us")


NO_DATES = ["", "Z", "NaT", "today", "now", "..", "20200101", "-0044-03-15", "2020-13-01", "2020-02-30", "2020-W10"]
NO_TIMES = ["12:00:00Z", "2020-01-01T25:00:00Z", "2020-01-01T00:00:60Z", "9999-12-31T23:59:60Z"]
NO_TEXTS = [b"2020", True, 1.5, -5, 20201, [], {}, float("nan"), np.datetime64("NaT")]


@pytest.mark.parametrize("given", [*NO_DATES, *NO_TIMES, *NO_TEXTS])
def test_what_is_no_date_is_refused(given: Any) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="neither a date"):
        instant(given)


def test_an_interval_may_reach_to_the_end_of_the_calendar() -> None:
    assert interval(["0001-01-01", "9999-12-31"]) == (np.datetime64("0001-01-01"), np.datetime64("9999-12-31"))


@pytest.mark.parametrize("side", [float("nan"), float("inf"), "0", None, True, [0]])
def test_a_side_of_a_box_is_a_finite_number(side: Any) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="bounding box"):
        bounding_box({**SQUARE, "west": side})


def test_a_crs_comes_in_many_ways() -> None:
    utm = pyproj.CRS.from_epsg(32632)
    for given in (32632, np.int64(32632), "32632", "EPSG:32632", utm.to_wkt(), utm.to_json(), utm.to_json_dict()):
        assert parse_crs(given) == utm
    for given in ("nope", -1, True, 4326.0, [1], {}, {"a": 1}, 10**30):
        with pytest.raises(exceptions.CRSInvalid):
            parse_crs(given)
