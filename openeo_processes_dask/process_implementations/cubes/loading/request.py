"""What is asked of a source: an area, an interval, bands and conditions on properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyproj
import shapely
import xarray as xr

from openeo_processes_dask import arguments, callbacks, turns, vectors
from openeo_processes_dask.arguments import Box
from openeo_processes_dask.exceptions import LabelNotAvailable, NoDataAvailable, ProcessParameterInvalid
from openeo_processes_dask.expressions import Expression


@dataclass(frozen=True)
class Band:
    """A band by its names; the alias is another name that a catalogue has for it."""

    name: str
    common_name: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class Area:
    """A bounding box, and the polygons in it if it came from some."""

    box: Box
    polygons: tuple[shapely.Geometry, ...] = ()

    def to_crs(self, target: pyproj.CRS) -> Area:
        """The same area in another CRS; what becomes of polygons is the reprojection of their corners."""
        if target == self.box.crs:
            return self
        if not self.polygons:
            return Area(turns.straight(self.box.to_crs(target)))
        move = pyproj.Transformer.from_crs(self.box.crs, target, always_xy=True).transform
        moved = shapely.transform(np.array(self.polygons, object), move, interleaved=False)
        turn = turns.turn(target)
        return _around(tuple(moved) if turn is None else tuple(_unjumped(one, turn) for one in moved), target)

    def turned(self, west: float, east: float) -> list[tuple[float, Area]]:
        """The area as data from west to east counts longitudes, with what to add to these: once for each turn."""
        return [(offset, self._moved(-offset)) for offset in turns.offsets(self.box, west, east)]

    def _moved(self, offset: float) -> Area:
        if not offset:
            return self
        box = replace(self.box, west=self.box.west + offset, east=self.box.east + offset)
        shapes = shapely.transform(np.array(self.polygons, object), lambda at: at + np.array([offset, 0.0]))
        return Area(box, tuple(shapes))


@dataclass(frozen=True)
class Request:
    """What is asked of a source; what is None or empty does not limit it."""

    area: Area | None = None
    start: np.datetime64 | None = None
    end: np.datetime64 | None = None
    bands: tuple[str, ...] | None = None
    properties: Mapping[str, Expression] | None = None

    def keeps(self, moment: np.datetime64) -> bool:
        """Whether an instant lies in the interval, which its end does not belong to."""
        moment = moment.astype("datetime64[us]")  # nanoseconds end in 2262, before some open ends
        return bool((self.start is None or moment >= self.start) and (self.end is None or moment < self.end))

    def accepts(self, properties: Mapping[str, Any]) -> bool:
        """Whether all conditions are exactly true of some properties; a property that is missing is no-data."""
        conditions = (self.properties or {}).items()
        return all(_true(condition({"value": properties.get(name)})) for name, condition in conditions)

    @property
    def ends(self) -> tuple[np.datetime64 | None, np.datetime64 | None]:
        """Start and end of the interval."""
        return self.start, self.end

    @property
    def lonlat(self) -> Box | None:
        """The box in longitude and latitude; across the antimeridian its west is greater than its east."""
        if self.area is None:
            return None
        box = turns.straight(self.area.box.to_crs(pyproj.CRS.from_epsg(4326)))
        if box.west >= -180 and box.east <= 180:
            return box
        if box.east - box.west >= 360:
            return replace(box, west=-180.0, east=180.0)
        west, east = ((side + 180) % 360 - 180 for side in (box.west, box.east))
        return replace(box, west=west, east=east if east > -180 else 180.0)

    @property
    def interval(self) -> str:
        """The interval in words."""
        return f"[{self.start or '…'}, {self.end or '…'})"

    def choose(self, known: Sequence[Band]) -> list[Band]:
        """The bands asked for, in the order of the request: by name, else all of a common name, else by alias.

        Raises
        ------
        LabelNotAvailable
            If there is no such band.
        """
        if self.bands is None:
            return list(known)
        chosen: dict[Band, None] = {}
        for asked in self.bands:
            found = _called(asked, known)
            if not found:
                names = ", ".join(b.name + (f" ({b.common_name})" if b.common_name else "") for b in known)
                raise LabelNotAvailable(f"no band {asked!r}; there are {names}")
            chosen.update(dict.fromkeys(found))
        return list(chosen)

    def nothing(self, source: str, what: str) -> NoDataAvailable:
        """The error that nothing of a source lies in the extents."""
        limits = [f"the interval {self.interval}"] if self.start is not None or self.end is not None else []
        if self.area is not None:
            box = self.area.box
            limits.append(f"the box {box.west, box.south, box.east, box.north} in {box.crs.to_string()[:60]}")
        if self.properties:
            limits.append(f"the conditions on {', '.join(self.properties)}")
        return NoDataAvailable(f"{source}: {what} within {' and '.join(limits) or 'no limits at all'}")


def request(spatial_extent: Any, temporal_extent: Any, bands: Any, properties: Any) -> Request:
    """A request from the arguments of a process, plain JSON or the parser's objects.

    Raises
    ------
    ProcessParameterInvalid
        If an argument cannot be understood.
    TemporalExtentEmpty
        If the interval does not end after its start.
    CRSInvalid
        If a CRS cannot be understood.
    """
    start, end = (None, None) if temporal_extent is None else arguments.interval(temporal_extent)
    return Request(_area(spatial_extent), start, end, _names(bands), _conditions(properties))


def _called(asked: str, known: Iterable[Band]) -> list[Band]:
    for attribute in ("name", "common_name", "alias"):
        if found := [band for band in known if getattr(band, attribute) == asked]:
            return found
    return []


def _true(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) and bool(value)


def _names(bands: Any) -> tuple[str, ...] | None:
    bands = arguments.plain(bands)
    if bands is None:
        return None
    if not isinstance(bands, (list, tuple)) or not bands or not all(isinstance(b, str) for b in bands):
        raise ProcessParameterInvalid(f"bands is a list of names, or null for all, not {bands!r}")
    return tuple(bands)


def _conditions(properties: Any) -> dict[str, Expression] | None:
    if properties is None:
        return None
    if not isinstance(properties, Mapping):
        raise ProcessParameterInvalid(f"properties is an object of conditions by name, not {properties!r}")
    return {name: callbacks.trace(condition, "value") for name, condition in properties.items()}


def _area(extent: Any) -> Area | None:
    extent = arguments.plain(extent)
    if extent is None:
        return None
    of_geojson = isinstance(extent, Mapping) and extent.get("type") is not None
    if not of_geojson and not isinstance(extent, (xr.DataArray, xr.Dataset)) and not hasattr(extent, "geometry"):
        return Area(turns.straight(arguments.bounding_box(extent)))
    features = vectors.read(extent, "spatial_extent", vectors.POLYGONS)
    kept = features.shapes[~shapely.is_empty(features.shapes)]
    if not len(kept):
        raise NoDataAvailable("the extent has no polygon that is not empty")
    return _around(tuple(kept), features.crs or vectors.LONGITUDE_LATITUDE)


def _around(polygons: tuple[shapely.Geometry, ...], crs: pyproj.CRS) -> Area:
    polygons = _whole(polygons, turns.turn(crs))
    west, south, east, north = shapely.total_bounds(np.array(polygons, object)).tolist()
    if not np.isfinite([west, south, east, north]).all():
        raise ProcessParameterInvalid(f"the polygons have no place in {crs.name}: they reach from {west, south} on")
    return Area(Box(west, south, east, north, crs), polygons)


def _whole(polygons: tuple[shapely.Geometry, ...], turn: float | None) -> tuple[shapely.Geometry, ...]:
    """Polygons of both sides of the antimeridian as one area across it; others as they are."""
    if turn is None:
        return polygons
    parts = shapely.get_parts(np.array(polygons, object))
    west, _, east, _ = shapely.bounds(parts).T
    cut = np.isclose(west, -turn / 2).any() and np.isclose(east, turn / 2).any()
    if not cut and not (east > turn / 2).any():
        return polygons
    moved = parts.copy()
    moved[east <= 0] = shapely.transform(parts[east <= 0], lambda at: at + np.array([turn, 0.0]))
    after = shapely.total_bounds(moved)
    return tuple(moved) if after[2] - after[0] < turn / 2 else polygons


def _unjumped(shape: shapely.Geometry, turn: float) -> shapely.Geometry:
    """A reprojected polygon that goes around the globe because it lies across the antimeridian, with both sides of it
    beside each other.
    """
    beyond = shapely.transform(shape, lambda at: at + np.where(at[:, :1] < 0, [turn, 0.0], 0.0))
    (west, _, east, _), (left, _, right, _) = shape.bounds, beyond.bounds
    return beyond if east - west > turn / 2 > right - left else shape
