"""Longitudes begin again after a turn of the globe: which of them an area counts otherwise than data does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyproj
import shapely
import xarray as xr

from openeo_processes_dask.arguments import Box

_MOST = 100  # turns: longitudes farther off are none


def turn(crs: pyproj.CRS | None) -> float | None:
    """What a turn of the globe is in units of a CRS; None where x is no longitude."""
    if crs is None or not crs.is_geographic:
        return None
    return round(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 6)


def straight(box: Box) -> Box:
    """A box whose west is not greater than its east, which may then lie beyond the antimeridian."""
    whole = turn(box.crs)
    return box if whole is None or box.west <= box.east else replace(box, east=box.east + whole)


def offsets(box: Box, west: float, east: float) -> list[float]:
    """What to add to longitudes of data from west to east so that they are those of a box, one for each turn."""
    box, whole = straight(box), turn(box.crs)
    if whole is None:
        return [0.0]
    room = 1e-9 * whole
    low, high = math.ceil((box.west - east - room) / whole), math.floor((box.east - west + room) / whole)
    return [whole * i for i in range(low, high + 1)]


def reach(shapes: np.ndarray) -> tuple[float, float]:
    """West and east of geometries that are somewhere; of nothing both are zero."""
    west, _, east, _ = shapely.total_bounds(shapes).tolist()
    return (west, east) if math.isfinite(west) and math.isfinite(east) else (0.0, 0.0)


def beside(longitudes: np.ndarray, others: np.ndarray, whole: float) -> np.ndarray:
    """Longitudes, moved by turns so that each is at most half a turn from another; what is nowhere stays there."""
    with np.errstate(invalid="ignore"):
        count = np.rint((others - longitudes) / whole * (1 - 1e-9))  # what is half a turn away stays on its side
    return longitudes + whole * np.where(np.isfinite(count), count, 0.0)


def copies(bounds: np.ndarray, whole: float, west: float, east: float) -> tuple[np.ndarray, np.ndarray]:
    """By how much which geometries must be moved to lie also where they reach into a range of x a turn or more away.

    What only touches an end of the range is moved there if it would be nowhere else: so a point is there once.

    Args
    ----
    bounds: of the geometries (n, 4), all finite.
    whole: a turn.

    Returns
    -------
    The positions of geometries and what to add to their x, one for each copy; those that stay are not among them.
    """
    room = 1e-9 * whole
    first, last = bounds[:, 0], bounds[:, 2]
    lowest = np.ceil((west - room - last) / whole).clip(-_MOST, None)
    highest = np.floor((east + room - first) / whole).clip(None, _MOST)
    counts = (highest - lowest + 1).clip(0, None).astype(np.int64)
    which = np.repeat(np.arange(len(bounds)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + lowest[which]
    inside = (last[which] + whole * number > west + room) & (first[which] + whole * number < east - room)
    somewhere = np.bincount(which, inside | (number == 0), minlength=len(bounds)) > 0
    only = ~somewhere[which] & (np.diff(which, prepend=-1) > 0)
    kept = (number != 0) & (inside | only)
    return which[kept], whole * number[kept]


def joined(parts: Sequence[tuple[float, xr.DataArray]], x: str, crs: pyproj.CRS | None) -> xr.DataArray:
    """Parts of a cube beside each other along x, with longitudes that go on from part to part, none of them twice.

    Args
    ----
    parts: at least one, each with what to add to its longitudes, in ascending order of it.
    x: the dimension.
    crs: of the cube.
    """
    moved = [_moved(cube, x, offset) for offset, cube in parts]
    whole = turn(crs)
    if whole is None or len(moved) == 1:
        return moved[0]
    labels = moved[0][x].values
    step = abs(labels[1] - labels[0]) if labels.size > 1 else 0.0
    # a file may have the meridian at which it ends twice, and an area both sides of that where it begins
    kept = moved[-1][x].values < labels.min() + whole - 1e-3 * step - 1e-9 * whole
    last = moved[-1].isel({x: slice(*_ends(kept))})
    every = [*moved[:-1], *([last] if kept.any() else [])]
    descending = any(one[x].values[0] > one[x].values[-1] for one in every)
    if len(every) == 1:
        return every[0]
    every = every[::-1] if descending else every
    cube = xr.concat(every, x, coords="minimal", compat="override", join="override", combine_attrs="override")
    return cube.transpose(*parts[0][1].dims)


def _moved(cube: xr.DataArray, x: str, offset: float) -> xr.DataArray:
    return cube.assign_coords({x: (x, cube[x].values + offset, cube[x].attrs)}) if offset else cube


def _ends(kept: np.ndarray) -> tuple[Any, Any]:
    where = np.flatnonzero(kept)
    return (int(where[0]), int(where[-1]) + 1) if where.size else (0, 0)
