"""Dates and bands from the names of files, and in which order a file has its bands."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

BAND_ORDER = "openeo_bands"  # the attribute of a store that lists the variables in their order

# Tried in this order: what says more comes first, so that a time of day is not cut off.
_TIME = r"[T_]?(?P<hour>[01]\d|2[0-3])[-:]?(?P<minute>[0-5]\d)[-:]?(?P<second>[0-5]\d)(?:\.\d+)?Z?"
_DATES = [
    r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)" + _TIME,
    r"(?P<year>(?:19|20)\d\d)(?P<gap>[-_.])(?P<month>\d\d)(?P=gap)(?P<day>\d\d)" + _TIME,
    r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<year>(?:19|20)\d\d)(?P<gap>[-_.])(?P<month>\d\d)(?P=gap)(?P<day>\d\d)",
    r"A?(?P<year>(?:19|20)\d\d)(?P<ordinal>\d{3})",
    r"(?P<year>(?:19|20)\d\d)[-_](?P<month>\d\d)",
]
_PATTERNS = [re.compile(rf"(?<!\d){date}(?!\d)") for date in _DATES]
_TOKENS = re.compile(r"[^A-Za-z0-9]+")
_KNOWN_BANDS = re.compile(
    r"(?i:B\d{1,2}A?|SCL|AOT|WVP|TCI|QA|QA60|FMASK|VV|VH|HH|HV|NDVI|EVI|DEM|"
    r"blue|green|red|nir0?8?|nir09|swir(?:16|22)?|rededge\d*|pan|coastal|cirrus|lwir\d*)"
)


def date_in(name: str) -> np.datetime64 | None:
    """The first date, with its time of day if it has one, that a name spells in one of the common ways."""
    return next((moment for _, moment in _dates(name)), None)


def bands_of(stems: Sequence[str]) -> list[str]:
    """What the names of files that hold one band each call their bands.

    Dates and what all names share are left out. Of the rest a name of a band that is in use wins, then the last
    part that varies; where nothing varies, there is one band, called as the names end.
    """
    split = [_parts(stem) for stem in stems]
    shared = set.intersection(*map(set, split)) if split else set()
    return [_band(parts, shared if len(stems) > 1 else set()) for parts in split]


def _band(parts: list[str], shared: set[str]) -> str:
    varying = [part for part in parts if part not in shared]
    known = [part for part in parts if _KNOWN_BANDS.fullmatch(part)]
    for choice in ([p for p in varying if p in known], known, varying, parts):
        if choice:
            return choice[-1]
    return "B1"


def _parts(stem: str) -> list[str]:
    for match, _ in _dates(stem):
        stem = stem.replace(match.group(), "-")
    return [part for part in _TOKENS.split(stem) if part]


def _dates(name: str) -> list[tuple[re.Match[str], np.datetime64]]:
    found = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(name):
            if (moment := _moment(match.groupdict())) is not None:
                found.append((match, moment))
        if found:
            return found
    return []


def _moment(parts: dict[str, str | None]) -> np.datetime64 | None:
    year = int(parts["year"] or 0)
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    try:
        if ordinal := parts.get("ordinal"):
            day = datetime.datetime(year, 1, 1) + datetime.timedelta(days=int(ordinal) - 1)
            return np.datetime64(day, "ns") if day.year == year else None
        moment = datetime.datetime(year, int(parts["month"] or 0), int(parts.get("day") or 1), hour, minute, second)
    except ValueError:
        return None
    return np.datetime64(moment, "ns")


def ordered(path: Path, data: xr.Dataset, names: Sequence[str]) -> tuple[str, ...]:
    """The variables in the order of a file; a zarr store has none, unless its attributes say it."""
    said = np.atleast_1d(data.attrs.get(BAND_ORDER, [])).tolist()
    if sorted(said) == sorted(names):
        return tuple(said)
    return tuple(sorted(names) if path.is_dir() else names)
