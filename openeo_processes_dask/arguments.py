"""Turns what callers hand over, plain JSON or the public parser's objects, into plain values."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import xarray as xr

from openeo_processes_dask.dimensions import parse_crs
from openeo_processes_dask.exceptions import ProcessParameterInvalid, TemporalExtentEmpty, shown

_PARSER = "openeo_pg_parser_networkx"
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?[Zz]?", re.ASCII)
_CLOCK = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:", re.ASCII)
_LEAP_SECOND = re.compile(r"(.{11}\d\d:59):60(?:\.\d+)?(.*)")


@dataclass(frozen=True)
class Box:
    """A bounding box in units of its CRS."""

    west: float
    south: float
    east: float
    north: float
    crs: pyproj.CRS

    def to_crs(self, target: pyproj.CRS) -> Box:
        """The box that encloses this one in another CRS; across the antimeridian its west is greater than its east."""
        if target == self.crs:
            return self
        transformer = pyproj.Transformer.from_crs(self.crs, target, always_xy=True)
        bounds = transformer.transform_bounds(self.west, self.south, self.east, self.north, densify_pts=21)
        return Box(*bounds, crs=target)


def plain(value: Any) -> Any:
    """The JSON value that an object of the public parser stands for; other values come back as they are."""
    if isinstance(value, (list, tuple)) and any(_of_parser(v) for v in value):
        return [plain(v) for v in value]
    if not _of_parser(value):
        return value
    kind = type(value).__name__
    if kind == "BoundingBox":
        return {name: v for name, v in value.model_dump().items() if v is not None}
    root = getattr(value, "root", value)
    if kind in ("Date", "DateTime", "Year"):
        return _written(root, kind)
    if kind == "Time":
        return root.strftime("%H:%M:%SZ")
    if isinstance(root, list):
        return [plain(v) for v in root]
    return root


def bounding_box(extent: Any) -> Box:
    """A bounding box from its JSON object or the parser's; without a CRS it is in EPSG:4326.

    In longitude and latitude one from east of Greenwich to west of it lies across the antimeridian.

    Raises
    ------
    ProcessParameterInvalid
        If sides are missing, are no numbers or lie the wrong way round.
    CRSInvalid
        If the CRS cannot be understood.
    """
    extent = plain(extent)
    if not isinstance(extent, dict):
        raise ProcessParameterInvalid(f"a bounding box has west, south, east and north, this is {shown(extent)}")
    missing = [side for side in ("west", "south", "east", "north") if not _number(extent.get(side))]
    if missing:
        raise ProcessParameterInvalid(f"the bounding box {extent} lacks a number for {', '.join(missing)}")
    west, south, east, north = sides = [float(extent[side]) for side in ("west", "south", "east", "north")]
    if not all(map(math.isfinite, sides)):
        raise ProcessParameterInvalid(f"the bounding box {extent} has a side that is not finite")
    given = extent.get("crs")
    crs = parse_crs(4326 if given in (None, "") else given)
    across = crs.is_geographic and west > 0 > east
    if south > north or (west > east and not across):
        raise ProcessParameterInvalid(f"the bounding box {extent} has its sides the wrong way round")
    return Box(west, south, east, north, crs)


def interval(extent: Any) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    """Start (included) and end (excluded) of an interval; None where it is open.

    Raises
    ------
    ProcessParameterInvalid
        If it does not have two instants, or one cannot be understood.
    TemporalExtentEmpty
        If it does not end after its start.
    """
    extent = plain(extent)
    if not isinstance(extent, (list, tuple)) or len(extent) != 2:
        raise ProcessParameterInvalid(f"an interval has a start and an end, this is {shown(extent)}")
    start, end = (instant(one) for one in extent)
    if start is not None and end is not None and start >= end:
        raise TemporalExtentEmpty(f"the interval {list(extent)} does not end after its start")
    return start, end


def instant(given: Any) -> np.datetime64 | None:
    """An instant in UTC, in microseconds, from a date, a date and time with or without offset, a year, or None.

    A leap second is the first of the next minute.

    Raises
    ------
    ProcessParameterInvalid
        If it cannot be understood.
    """
    given = plain(given)
    if given is None:
        return None
    if isinstance(given, np.datetime64) and not np.isnat(given):
        return given.astype("datetime64[us]")
    if isinstance(given, datetime.datetime):
        utc = given.replace(tzinfo=None) - (given.utcoffset() or datetime.timedelta())
        return np.datetime64(utc, "us")
    written = f"{given:04d}" if isinstance(given, int) and not isinstance(given, bool) else str(given)
    try:
        if _DATE.fullmatch(written):
            return np.datetime64(written.rstrip("Zz"), "us")
        if not _CLOCK.match(written):
            raise ValueError(written)
        leap = _LEAP_SECOND.fullmatch(written)
        moment = datetime.datetime.fromisoformat(f"{leap[1]}:59{leap[2]}" if leap else written.upper())
        return instant(moment + datetime.timedelta(seconds=1) if leap else moment)
    except (ValueError, OverflowError) as error:
        raise ProcessParameterInvalid(f"{shown(given)} is neither a date nor a date and time") from error


def instants(cube: xr.DataArray, dimension: str) -> np.ndarray:
    """The instants of a temporal dimension, in microseconds; its labels may be texts.

    Raises
    ------
    ProcessParameterInvalid
        If it has no labels, or one cannot be understood.
    """
    if dimension not in cube.coords:
        raise ProcessParameterInvalid(f"dimension {dimension!r} has no labels, so no instants in time")
    values = cube.coords[dimension].values
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    return np.array([instant(label) for label in values.tolist()], dtype="datetime64[us]")


def _of_parser(value: Any) -> bool:
    return type(value).__module__.startswith(_PARSER)


def _written(moment: datetime.datetime, kind: str) -> str:
    if kind == "Year":
        return f"{moment.year:04d}"
    if kind == "Date":
        return moment.strftime("%Y-%m-%d")
    return moment.replace(tzinfo=None).isoformat() + ("Z" if not moment.utcoffset() else moment.isoformat()[-6:])


def _number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
