"""Dates: calendars, time zones, and what lies between."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations.dates import date_between, date_difference, date_shift

MOMENTS = st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2100, 1, 1))


def written(moment: datetime.datetime) -> str:
    return f"{moment.isoformat()}Z"


@pytest.mark.parametrize(
    ("date", "value", "unit", "expected"),
    [
        ("2020-01-31", 1, "month", "2020-02-29"),
        ("2021-01-31", 1, "month", "2021-02-28"),
        ("2020-03-31", -1, "month", "2020-02-29"),
        ("2020-02-29", 4, "year", "2024-02-29"),
        ("2020-01-15", -13, "month", "2018-12-15"),
        ("2018-01-01", 25, "hour", "2018-01-02"),
        ("2018-01-01", 2, "week", "2018-01-15"),
        ("2021-03-31T23:00:00+02:00", 2, "hour", "2021-04-01T01:00:00+02:00"),
        ("2016-12-31T23:59:60Z", 1, "day", "2017-01-01T23:59:59Z"),
        ("2016-12-31T23:59:60Z", 0, "second", "2016-12-31T23:59:59Z"),
        ("2018-12-31T17:22:45.100Z", 900, "millisecond", "2018-12-31T17:22:46Z"),
        ("2018-12-31T17:22:45.5Z", 1, "minute", "2018-12-31T17:23:45.500Z"),
        ("2018-12-31T17:22", 1, "minute", "2018-12-31T17:23:00Z"),
    ],
)
def test_shifted_dates(date: str, value: int, unit: str, expected: str) -> None:
    assert date_shift(date, value, unit) == expected


def test_dates_of_other_kinds() -> None:
    assert date_shift(datetime.date(2020, 1, 1), 1, "day") == "2020-01-02"
    assert date_shift(datetime.datetime(2020, 1, 1, 12), 1, "day") == "2020-01-02T12:00:00Z"
    assert date_shift(np.datetime64("2020-01-01T12:00", "ns"), 1, "day") == "2020-01-02T12:00:00Z"


@given(MOMENTS, st.integers(-(10**6), 10**6), st.sampled_from(["millisecond", "second", "minute", "hour"]))
@settings(max_examples=100, deadline=None)
def test_a_shift_is_the_difference(moment: datetime.datetime, value: int, unit: str) -> None:
    moment = moment.replace(microsecond=0)
    shifted = date_shift(written(moment), value, unit)
    assert date_difference(written(moment), shifted, unit) == pytest.approx(value)


@given(MOMENTS, st.integers(-500, 500), st.sampled_from(["month", "year"]))
@settings(max_examples=100, deadline=None)
def test_whole_months_and_years_are_whole(moment: datetime.datetime, value: int, unit: str) -> None:
    moment = moment.replace(day=min(moment.day, 28), microsecond=0)
    shifted = date_shift(written(moment), value // (12 if unit == "year" else 1), unit)
    assert date_difference(written(moment), shifted, unit) == value // (12 if unit == "year" else 1)


@given(MOMENTS, MOMENTS, st.sampled_from(["second", "day", "week", "month", "year"]))
@settings(max_examples=100, deadline=None)
def test_differences_have_a_sign(first: datetime.datetime, second: datetime.datetime, unit: str) -> None:
    there = date_difference(written(first), written(second), unit)
    assert there == -date_difference(written(second), written(first), unit)
    assert (there > 0) == (second > first)


def test_shares_of_months_and_years() -> None:
    assert date_difference("2020-01-01", "2020-01-16T12:00:00Z", "month") == 0.5
    assert date_difference("2020-01-31", "2020-02-29", "month") == 1
    assert date_difference("2019-01-01", "2020-07-01T12:00:00Z", "year") == pytest.approx(1.5, abs=0.01)


def test_between_dates_and_times() -> None:
    assert date_between("2020-01-01", "2020-01-01", "2020-01-02") is True
    assert date_between("2020-01-02", "2020-01-01", "2020-01-02") is True
    assert date_between("2020-01-02", "2020-01-01", "2020-01-02", exclude_max=True) is False
    assert date_between("2020-01-01T01:00:00+02:00", "2020-01-01", "2020-01-02") is False
    assert date_between("2020-01-01", "2020-01-02", "2019-01-01") is False
    assert date_between("12:00:00", "11:00:00", "13:00:00") is True
    assert date_between("2020-01-01T14:00:00+02:00", "11:00:00Z", "13:00:00Z") is True
    assert date_between(None, "2020-01-01", "2020-01-02") is None


@pytest.mark.parametrize(
    "bad",
    ["", "yesterday", "2020-02-30", "2020-13-01", "2020-01-01T25:00:00Z", "20-1-1", 5, None, True, [], {}, "٢٠٢٠"],
)
def test_what_is_no_date(bad: Any) -> None:
    for call in (lambda: date_shift(bad, 1, "day"), lambda: date_difference(bad, "2020-01-01")):
        with pytest.raises(ProcessParameterInvalid):
            call()
    if bad is not None:
        with pytest.raises(ProcessParameterInvalid):
            date_between("2020-01-01", bad, "2020-01-02")


def test_what_makes_no_sense() -> None:
    for call in (
        lambda: date_shift("2020-01-01", 1, "fortnight"),
        lambda: date_shift("2020-01-01", 0.5, "day"),
        lambda: date_shift("2020-01-01", "1", "day"),
        lambda: date_shift("2020-01-01", 10**6, "year"),
        lambda: date_shift("2020-01-01", 10**30, "day"),
        lambda: date_difference("2020-01-01", "2020-01-02", "fortnight"),
        lambda: date_difference("9999-12-01", "9999-12-31", "month"),
        lambda: date_between("12:00:00", "2020-01-01", "2020-01-02"),
        lambda: date_between("25:00:00", "11:00:00", "12:00:00"),
    ):
        with pytest.raises(ProcessParameterInvalid):
            call()
