"""The calendar's periods: which one an instant falls into, and what it is called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def numbers(instants: np.ndarray, period: str) -> np.ndarray:
    """The number of the period of each instant; periods that follow each other have consecutive numbers."""
    days = instants.astype("datetime64[D]")
    months = instants.astype("datetime64[M]").astype(np.int64) + 1970 * 12  # months since the year 0
    if period == "hour":
        return instants.astype("datetime64[h]").astype(np.int64)
    if period == "day":
        return days.astype(np.int64)
    if period == "week":
        return (days.astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday, weeks start on Mondays
    if period == "dekad":
        day_of_month = (days - instants.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
        return months * 3 + np.minimum(day_of_month // 10, 2)
    if period in _MONTHS_BEFORE:
        before, count = _MONTHS_BEFORE[period]
        return (months + before) // count
    return (months // 12 - (period == "decade-ad")) // 10  # the decades


def label(number: int, period: str) -> str:
    """The label of a period."""
    return _LABELS[period](number)


# months that a period reaches back into the year before January, and its length in months
_MONTHS_BEFORE = {"month": (0, 1), "season": (1, 3), "tropical-season": (2, 6), "year": (0, 12)}


def _hour(number: int) -> str:
    return str(np.datetime64(number, "h")).replace("T", "-")


def _day(number: int) -> str:
    day = np.datetime64(number, "D")
    return f"{_year_of(day)}-{(day - day.astype('datetime64[Y]').astype('datetime64[D]')).astype(int) + 1:03d}"


def _week(number: int) -> str:
    thursday = np.datetime64(number * 7, "D")  # a week belongs to the year of its Thursday
    return f"{_year_of(thursday)}-{(int(_day(number * 7)[-3:]) + 6) // 7:02d}"


def _dekad(number: int) -> str:
    return f"{number // 36:04d}-{number % 36 + 1:02d}"


def _month(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def _season(number: int) -> str:
    name = ("djf", "mam", "jja", "son")[number % 4]
    return f"{number // 4 - (name == 'djf'):04d}-{name}"


def _tropical_season(number: int) -> str:
    name = ("ndjfma", "mjjaso")[number % 2]
    return f"{number // 2 - (name == 'ndjfma'):04d}-{name}"


def _year_of(day: np.datetime64) -> str:
    return str(day.astype("datetime64[Y]"))


_LABELS: dict[str, Callable[[int], str]] = {
    "hour": _hour,
    "day": _day,
    "week": _week,
    "dekad": _dekad,
    "month": _month,
    "season": _season,
    "tropical-season": _tropical_season,
    "year": lambda number: f"{number:04d}",
    "decade": lambda number: f"{number * 10:04d}",
    "decade-ad": lambda number: f"{number * 10 + 1:04d}",
}
