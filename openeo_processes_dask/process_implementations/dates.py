"""Processes on dates and times, which are texts; where no time zone is given they are in UTC."""

from __future__ import annotations

import calendar
import datetime
import re
from typing import Any, NamedTuple

import numpy as np

from openeo_processes_dask import values
from openeo_processes_dask.arguments import plain
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.vocabulary import (
    UNITS,
    Flag,
    Instant,
    InstantOrTime,
    Integer,
    PlainNumber,
    Scaling,
    TimeUnit,
    Truth,
)

_WRITTEN = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?([Zz]|[+-]\d{2}:?\d{2})?)?"
)
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})[Zz]?")
_LENGTHS = {
    "millisecond": datetime.timedelta(milliseconds=1),
    "second": datetime.timedelta(seconds=1),
    "minute": datetime.timedelta(minutes=1),
    "hour": datetime.timedelta(hours=1),
    "day": datetime.timedelta(days=1),
    "week": datetime.timedelta(weeks=1),
}
_MONTHS = {"month": 1, "year": 12}


class Moment(NamedTuple):
    """A date, or a date and time, and the time zone as it was written; None for a date alone."""

    local: datetime.datetime
    zone: str | None

    @property
    def utc(self) -> datetime.datetime:
        """The instant in UTC."""
        digits = (self.zone or "Z").replace(":", "")
        if digits in ("Z", "z"):
            return self.local
        offset = datetime.timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
        return self.local + offset if digits[0] == "-" else self.local - offset

    def __str__(self) -> str:
        if self.zone is None:
            return self.local.date().isoformat()
        fraction = f"{self.local.microsecond:06}"
        fraction = fraction[:3] if fraction.endswith("000") else fraction
        written = self.local.replace(microsecond=0).isoformat()
        return f"{written}.{fraction}{self.zone}" if int(fraction) else f"{written}{self.zone}"


@declare("comparison", "date & time", scaling=Scaling.BLOCKWISE)
def date_between(x: InstantOrTime, min: InstantOrTime, max: InstantOrTime, exclude_max: Flag = False) -> Truth:
    """Whether an instant lies between two others.

    If both bounds are times of the day, the time of the instant in UTC counts. Nothing lies between bounds that are
    swapped.

    Raises
    ------
    ProcessParameterInvalid
        If something is neither a date nor a time, or a time is to be compared with dates.
    """
    exclude_max = values.flag("date_between", "exclude_max", exclude_max)
    if values.is_nodata(x) or values.is_nodata(min) or values.is_nodata(max):
        return None
    instant: Any = _read("date_between", x, time=True)
    lowest: Any = _read("date_between", min, time=True)
    highest: Any = _read("date_between", max, time=True)
    kind = type(lowest)
    if kind is datetime.time and type(highest) is kind and type(instant) is datetime.datetime:
        instant = instant.time()
    if type(highest) is not kind or type(instant) is not kind:
        raise ProcessParameterInvalid(
            f"date_between: times and dates cannot be compared: {shown(x)}, {shown(min)}, {shown(max)}"
        )
    return bool(lowest <= highest and lowest <= instant and (instant < highest if exclude_max else instant <= highest))


@declare("comparison", "date & time", scaling=Scaling.BLOCKWISE, experimental=True)
def date_difference(date1: Instant, date2: Instant, unit: TimeUnit = "second") -> PlainNumber:
    """How much later a second instant is than a first.

    Months and years are counted on the calendar; what is left over is a fraction of the month or year it lies in.
    """
    _unit("date_difference", unit)
    first: Any = _read("date_difference", date1)
    second: Any = _read("date_difference", date2)
    if unit in _LENGTHS:
        return _number((second - first) / _LENGTHS[unit])
    early, late, sign = (first, second, 1) if first <= second else (second, first, -1)
    try:
        return _number(sign * _calendar_difference(early, late, _MONTHS[unit]))
    except OverflowError as error:
        raise ProcessParameterInvalid(f"date_difference: {late} is too near to the end of all calendars") from error


@declare("date & time", scaling=Scaling.BLOCKWISE)
def date_shift(date: Instant, value: Integer, unit: TimeUnit) -> Instant:
    """Move an instant by a period.

    The time zone stays as it is written, and a date without a time stays one. A day that a month does not have
    becomes its last one; a leap second becomes the second before it.

    Raises
    ------
    ProcessParameterInvalid
        If the date cannot be understood, or lies outside of the years 1 to 9999.
    """
    _unit("date_shift", unit)
    moment = _moment("date_shift", plain(date))
    period = values.whole_number("date_shift", "value", value, None)
    try:
        if unit in _LENGTHS:
            shifted = moment.local + _LENGTHS[unit] * period
        else:
            shifted = _months_later(moment.local, period * _MONTHS[unit])
    except (OverflowError, ValueError) as error:
        raise ProcessParameterInvalid(
            f"date_shift: {period} {unit}s from {shown(date)} is beyond all calendars"
        ) from error
    return str(Moment(shifted, moment.zone))


def _unit(process: str, unit: Any) -> None:
    if not isinstance(unit, str) or unit not in UNITS:
        raise ProcessParameterInvalid(f"{process}: the unit {shown(unit)} is none of {UNITS}")


def _read(process: str, value: Any, time: bool = False) -> datetime.datetime | datetime.time:
    """An instant in UTC, or a time of the day where that is allowed."""
    given = plain(value)
    found = _TIME.fullmatch(given) if time and isinstance(given, str) and given[2:3] == ":" else None
    if found is None:
        moment = _moment(process, given)
        return moment.local if moment.zone in (None, "Z") else moment.utc
    hour, minute, second = map(int, found.groups())
    try:
        return datetime.time(hour, minute, min(second, 59))
    except ValueError as error:
        raise ProcessParameterInvalid(f"{process}: {shown(value)} is no time of the day") from error


def _moment(process: str, value: Any) -> Moment:
    """What a text, an instant of numpy or of Python says."""
    if type(value) is str and (usual := _usual(value)) is not None:
        return usual
    if isinstance(value, np.datetime64):
        value = f"{np.datetime_as_string(value, 'us')}Z"
    if isinstance(value, datetime.date):
        value = value.isoformat()
    found = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ProcessParameterInvalid(f"{process}: {shown(value)} is neither a date nor a date and time")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        if hour is None:
            return Moment(datetime.datetime(int(year), int(month), int(day)), None)
        seconds, parts = int(second or 0), int(f"{fraction:0<6}"[:6]) if fraction else 0
        local = datetime.datetime(int(year), int(month), int(day), int(hour), int(minute), min(seconds, 59), parts)
    except ValueError as error:
        raise ProcessParameterInvalid(f"{process}: there is no {shown(value)}: {error}") from error
    if seconds > 60:
        raise ProcessParameterInvalid(f"{process}: there is no {shown(value)}: a minute has 60 seconds")
    return Moment(local, "Z" if zone in (None, "z") else zone)


def _usual(text: str) -> Moment | None:
    """A date, or a date and time in UTC to the second, as they are written mostly: read in a fraction of the time."""
    if text[4:5] != "-" or text[7:8] != "-":
        return None
    try:
        if len(text) == 10:
            return Moment(datetime.datetime.fromisoformat(text), None)
        if len(text) == 20 and text[10] in "Tt " and text[13] == text[16] == ":" and text[19] in "Zz":
            return Moment(datetime.datetime.fromisoformat(text[:19]), "Z")
    except ValueError:  # a leap second, or what is wrong with it is said by who reads it letter by letter
        return None
    return None


def _months_later(moment: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not datetime.MINYEAR <= year <= datetime.MAXYEAR:
        raise OverflowError
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


def _calendar_difference(first: datetime.datetime, second: datetime.datetime, months: int) -> float:
    """Whole periods of so many months, and the share of the one that is not complete."""
    whole = ((second.year - first.year) * 12 + second.month - first.month) // months
    while _months_later(first, whole * months) > second:
        whole -= 1
    start = _months_later(first, whole * months)
    if start == second:
        return whole
    return whole + (second - start) / (_months_later(first, (whole + 1) * months) - start)


def _number(value: float) -> float:
    """A whole number without a fraction."""
    return int(value) if value == int(value) else value
