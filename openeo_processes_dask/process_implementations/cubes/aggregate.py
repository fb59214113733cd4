"""Aggregating: labels of a dimension come together in groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask import blocks, coarsening, dimensions, vectors, zones
from openeo_processes_dask import geometries as outlined
from openeo_processes_dask.arguments import instants, interval, plain
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    DimensionExists,
    DistinctDimensionLabelsRequired,
    ProcessParameterInvalid,
    TargetDimensionExists,
    TemporalExtentEmpty,
)
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.kernels import periods
from openeo_processes_dask.values import is_number
from openeo_processes_dask.vocabulary import (
    BOUNDARIES,
    CORNERS,
    PERIODS,
    Anything,
    Corner,
    Geometries,
    Intervals,
    LabelList,
    OptionalDimensionName,
    Period,
    PixelReducer,
    PixelWindow,
    RasterCube,
    Reducer,
    Scaling,
    TemporalCube,
    VectorCube,
    WindowBoundary,
)

_TIME_OF_DAY = re.compile(r"(\d{2}):(\d{2}):(\d{2})Z?")
_SECONDS_A_DAY = 24 * 60 * 60


@declare("cubes", "aggregate", scaling=Scaling.TREE)
@checked
def aggregate_spatial(
    data: RasterCube,
    geometries: Geometries,
    reducer: PixelReducer,
    target_dimension: OptionalDimensionName = None,
    context: Anything = None,
) -> VectorCube:
    """Make one value of the pixels under each geometry (zonal statistics).

    Polygons have the pixels whose centres lie in them or on their edges, points the pixel that they lie in, lines those
    that they run through; a pixel under several geometries counts for each. The geometries, as they were given and in
    their own CRS, are the labels of a dimension in the place of x and y, with the properties of features beside them.
    A geometry that is empty, or has no pixel of the cube, has no-data, so that integers become floating point unless
    the cube declares a no-data value. With a target dimension each value is followed by the numbers of all and of
    valid pixels.

    As a rule each chunk that a geometry reaches into is read once, whatever their number. Statistics that can be
    combined (sum, mean, min …) make partial results there, which meet in a tree. Any other reducer gets the pixels of
    each geometry together. Of geometries with more pixels than a few chunks, medians and quantiles are found without
    that, and the chunks under them are read once for values of up to 16 bits, twice for 32 and four times for 64;
    other reducers (SHUFFLE) then take fewer dates and bands of them at a time, at least one plane, and a warning is
    logged that says how large that is.

    Raises
    ------
    TargetDimensionExists
        If the cube has a dimension with the name of the target dimension.
    """
    cube = dimensions.as_cube(data)
    y, x = dimensions.require_spatial(cube)
    features = vectors.read(geometries)
    kept = [name for name in cube.dims if name not in (y, x)]
    if features.dimension in kept:
        raise DimensionExists(f"the geometries' dimension {features.dimension!r} is one of {tuple(cube.dims)}")
    if target_dimension is not None and target_dimension in (*cube.dims, features.dimension):
        raise TargetDimensionExists(f"the target dimension {target_dimension!r} is one of {tuple(cube.dims)}")
    return _of_zones(cube, features, trace(reducer, "data", context=context), target_dimension)


@declare("cubes", "aggregate", scaling=Scaling.OVERLAP, experimental=True)
@checked
def aggregate_spatial_window(
    data: RasterCube,
    reducer: PixelReducer,
    size: PixelWindow,
    boundary: WindowBoundary = "pad",
    align: Corner = "upper-left",
    context: Anything = None,
) -> RasterCube:
    """Make one value of the pixels of each window.

    Windows of so many pixels along x and y lie side by side from one corner on. Where the cube ends inside a window,
    that is filled up with no-data, or cut away. Labels of x and y are the centres of windows. Blocks hold whole
    windows: a chunk that cuts one gives some rows or columns to its neighbour; else there is one task per block.
    """
    cube = dimensions.as_cube(data)
    names = dimensions.require_spatial(cube)
    across, down = _window(plain(size))
    if boundary not in BOUNDARIES:
        raise ProcessParameterInvalid(f"boundary must be one of {', '.join(BOUNDARIES)}, not {boundary!r}")
    if align not in CORNERS:
        raise ProcessParameterInvalid(f"align must be one of {', '.join(CORNERS)}, not {align!r}")
    axes = []
    for name, length, first in zip(names, (down, across), ("upper", "left"), strict=True):
        from_end = (first in align) != _starts(cube, name, first)
        rest = cube.sizes[name] % length
        if rest and boundary == "trim":
            cube = cube.isel({name: slice(rest, None) if from_end else slice(0, cube.sizes[name] - rest)})
            rest = 0
        lacking = length - rest if rest else 0
        axes.append(coarsening.Axis(cube.get_axis_num(name), length, *((lacking, 0) if from_end else (0, lacking))))
    centres = {name: _centres(cube, name, axis) for name, axis in zip(names, axes, strict=True) if name in cube.coords}
    values, way = coarsening.reduced(trace(reducer, "data", context=context), cube, axes)
    kept = {n: c for n, c in cube.coords.items() if not set(names) & set(c.dims)}
    result = xr.DataArray(values, dims=cube.dims, coords=kept, attrs=cube.attrs).assign_coords(centres)
    result.name, result.encoding = cube.name, cube.encoding
    return blocks.like(result, values, way)


@declare("cubes", "aggregate", scaling=Scaling.TREE)
@checked
def aggregate_temporal(
    data: TemporalCube,
    intervals: Intervals,
    reducer: Reducer,
    labels: LabelList = (),
    dimension: OptionalDimensionName = None,
    context: Anything = None,
) -> TemporalCube:
    """Make one value of all that falls into each interval of time.

    The start of an interval belongs to it, its end does not; null leaves it open. Intervals may overlap, and those of
    times of the day may reach over midnight. Without labels each interval is called by its start, as it was given.
    An interval without values holds no-data, as far as the reducer says so. Instants are in UTC. A temporal
    dimension in few chunks costs one task for all of them; in many, about two each, and those that share an interval
    meet.

    Raises
    ------
    TooManyDimensions
        If there are several temporal dimensions and none is named.
    DimensionNotAvailable
        If the named dimension does not exist, or there is no temporal one.
    DistinctDimensionLabelsRequired
        If the labels, or the starts where none are given, are not distinct; or if a start is open and has no label.
    TemporalExtentEmpty
        If an interval does not end after its start.
    """
    cube = dimensions.as_cube(data)
    name = dimensions.require_temporal(cube, dimension)
    pairs = [plain(pair) for pair in plain(intervals)]
    moments = instants(cube, name)
    groups = [np.flatnonzero(_inside(pair, moments)).tolist() for pair in pairs]
    names = _names(pairs, [] if labels is None else list(labels))
    return aggregated(cube, name, groups, names, reducer, context)


@declare("aggregate", "climatology", "cubes", scaling=Scaling.TREE)
@checked
def aggregate_temporal_period(
    data: TemporalCube,
    period: Period,
    reducer: Reducer,
    dimension: OptionalDimensionName = None,
    context: Anything = None,
) -> TemporalCube:
    """Make one value of all that falls into each period of the calendar.

    Every period from the first to the last instant gets a label, such as `2020-06` for a month; one without values
    holds no-data, as far as the reducer says so. Instants are in UTC. Dekads count from 01 to 36 in a year, and
    seasons that reach over the turn of the year are named after the year of their first month. A temporal
    dimension in few chunks costs one task for all of them; in many, about two each, and those that share a period
    meet.

    Raises
    ------
    TooManyDimensions
        If there are several temporal dimensions and none is named.
    DimensionNotAvailable
        If the named dimension does not exist, or there is no temporal one.
    """
    cube = dimensions.as_cube(data)
    name = dimensions.require_temporal(cube, dimension)
    if period not in PERIODS:
        raise ProcessParameterInvalid(f"no period {period!r}; there are {', '.join(PERIODS)}")
    moments = instants(cube, name)
    dated = np.flatnonzero(~np.isnat(moments))
    numbers = periods.numbers(moments[dated], period)
    every = range(int(numbers.min()), int(numbers.max()) + 1) if numbers.size else range(0)
    groups = [dated[numbers == number].tolist() for number in every]
    names = [periods.label(number, period) for number in every]
    return aggregated(cube, name, groups, names, reducer, context)


def aggregated(
    cube: xr.DataArray, dimension: str, groups: Sequence[Sequence[int]], names: list[Any], reducer: Any, context: Any
) -> xr.DataArray:
    """One value of each group of instants, under its name."""
    result = blocks.grouped(trace(reducer, "data", context=context), cube, dimension, groups, names)
    return dimensions.with_role(result, dimension, "temporal")


def _window(size: Any) -> tuple[int, int]:
    """Pixels along x and along y."""
    listed = isinstance(size, (list, tuple)) and len(size) == 2
    if not listed or not all(is_number(n) and n >= 1 and float(n).is_integer() for n in size):
        raise ProcessParameterInvalid(f"size must be two whole numbers from 1, not {size!r}")
    return int(size[0]), int(size[1])


def _starts(cube: xr.DataArray, name: str, first: str) -> bool:
    """Whether a spatial dimension starts with its upper or left end."""
    labels = cube.coords[name].values if name in cube.coords else np.empty(0)
    ascending = bool(labels[-1] >= labels[0]) if len(labels) > 1 else first == "left"
    return ascending == (first == "left")


def _centres(cube: xr.DataArray, name: str, axis: coarsening.Axis) -> Any:
    """The centres of windows along a dimension, those that reach beyond its ends too."""
    labels = np.asarray(cube.coords[name].values, np.float64)
    step = (labels[-1] - labels[0]) / (len(labels) - 1) if len(labels) > 1 else 0.0
    count = (len(labels) + axis.before + axis.behind) // axis.size
    first = labels[0] - axis.before * step if len(labels) else 0.0
    return name, first + (np.arange(count) * axis.size + (axis.size - 1) / 2) * step, cube.coords[name].attrs


def _of_zones(
    cube: xr.DataArray, features: vectors.Features, reducer: Expression, target_dimension: str | None
) -> xr.DataArray:
    """A vector cube of what a reducer makes of the pixels under features."""
    y, x = dimensions.require_spatial(cube)
    inside = outlined.placed(features, cube) if cube.sizes[y] and cube.sizes[x] else outlined.NOWHERE
    counting = target_dimension is not None
    values, way = zones.reduced(reducer, cube, inside, len(features.shapes), counting)
    others = [name for name in cube.dims if name not in (y, x)]
    mapping = {cube.encoding.get("grid_mapping", cube.attrs.get("grid_mapping")), "spatial_ref", "crs"}
    gone = {y, x, *mapping}
    coordinates = {n: c for n, c in cube.coords.items() if n not in gone and not {y, x} & set(c.dims)}
    dims = [*others, features.dimension, *([target_dimension] if counting else [])]
    attributes = {k: v for k, v in cube.attrs.items() if k not in ("crs", "grid_mapping")}
    result = xr.DataArray(values, dims=dims, coords=coordinates, attrs=attributes)
    result.name = cube.name
    result = blocks.like(result, result.data, way)
    if counting:
        result = result.assign_coords({target_dimension: list(zones.COUNTS)})
    place = min(cube.get_axis_num(name) for name in (y, x))
    order = [*others[:place], features.dimension, *others[place:], *dims[len(others) + 1 :]]
    return vectors.with_features(result.transpose(*order), features)


def _inside(pair: Any, moments: np.ndarray) -> np.ndarray:
    """Which instants lie in an interval, of dates or of times of the day."""
    if isinstance(pair, (list, tuple)) and len(pair) == 2 and any(map(_seconds, pair)):
        return _inside_times(pair, moments)
    start, end = interval(pair)
    inside = ~np.isnat(moments)
    if start is not None:
        inside &= moments >= start
    if end is not None:
        inside &= moments < end
    return inside


def _inside_times(pair: Sequence[Any], moments: np.ndarray) -> np.ndarray:
    """Which instants lie between two times of the day; a later start than end reaches over midnight."""
    found = [_seconds(one) for one in pair]
    if any(one is not None and not second for one, second in zip(pair, found, strict=True)):
        raise ProcessParameterInvalid(f"the interval {list(pair)} mixes a time of the day with something else")
    start, end = (
        second[0] if second else open_end for second, open_end in zip(found, (0, _SECONDS_A_DAY), strict=True)
    )
    if start == end:
        raise TemporalExtentEmpty(f"the interval {list(pair)} does not end after its start")
    of_day = (moments - moments.astype("datetime64[D]")) / np.timedelta64(1, "s")
    if start < end:
        return (of_day >= start) & (of_day < end)
    return (of_day >= start) | (of_day < end)


def _seconds(given: Any) -> tuple[int, ...]:
    """The second of the day that a time of the day means, alone in a tuple; nothing for what is none."""
    found = _TIME_OF_DAY.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        return ()
    hours, minutes, seconds = map(int, found.groups())
    if minutes > 59 or seconds > 60 or hours * 3600 + minutes * 60 > _SECONDS_A_DAY:
        raise ProcessParameterInvalid(f"{given!r} is no time of the day")
    return (hours * 3600 + minutes * 60 + seconds,)


def _names(pairs: Sequence[Any], labels: list[Any]) -> list[Any]:
    """The labels of intervals: those given, else their starts."""
    if labels and len(labels) != len(pairs):
        raise ProcessParameterInvalid(f"{len(labels)} labels are given for {len(pairs)} intervals")
    names = labels or [pair[0] for pair in pairs]
    if None in names:
        raise DistinctDimensionLabelsRequired(
            f"the interval {list(pairs[names.index(None)])} has no start to be its label"
        )
    if len(set(names)) < len(names):
        raise DistinctDimensionLabelsRequired(f"the labels {names} are not distinct: give labels that are")
    return names
