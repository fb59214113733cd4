"""Windows on a cube: where they lie, and how a child process meets each of them block by block."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from openeo_processes_dask import dimensions, overlap, places
from openeo_processes_dask.arguments import instants
from openeo_processes_dask.exceptions import DataCubePropertiesImmutable, ProcessParameterInvalid
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.lazy import MOST_BLOCKS_TOGETHER
from openeo_processes_dask.passages import Passage, Trial, passage

_DURATION = re.compile(
    r"P(?=\d|T\d)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_NEARLY = 1e-6  # of a pixel
LARGEST_TRIED = 2**22  # values of a window on which a child process is tried
SIDE_TRIED = 64  # pixels of the sides of a larger one


@dataclasses.dataclass(frozen=True)
class Window:
    """What of one dimension a child process sees: labels from `start` to `stop` with so many around them.

    `absent` says how many of those around lie before the first and behind the last label of the dimension.
    """

    start: int
    stop: int
    before: int
    behind: int
    absent: tuple[int, int]


Run = Callable[[xr.DataArray], np.ndarray]


def windows(
    cube: xr.DataArray, sizes: Mapping[str, tuple[Any, Any]], overlaps: Mapping[str, tuple[Any, Any]]
) -> list[list[Window]]:
    """The windows along each dimension; sizes and overlaps are pairs of value and unit."""
    found = []
    for name in map(str, cube.dims):
        size, around = sizes.get(name, (None, None)), overlaps.get(name, (None, None))
        dated = isinstance(size[0], str) or isinstance(around[0], str)
        found.append((_dated if dated else _regular)(cube, name, size, around))
    return found


def _regular(cube: xr.DataArray, name: str, size: tuple[Any, Any], around: tuple[Any, Any]) -> list[Window]:
    length = cube.sizes[name]
    step = length if size[0] is None else max(round(_labels(cube, name, *size)), 1)
    rim = 0 if around[0] is None else math.ceil(_labels(cube, name, *around) - _NEARLY)
    made = []
    for start in range(0, length, max(step, 1)):
        stop = min(start + step, length)
        absent = max(rim - start, 0), max(stop + rim - length, 0)
        made.append(Window(start, stop, rim, rim, absent))
    return made


def _labels(cube: xr.DataArray, name: str, value: float, unit: str | None) -> float:
    """A length along a dimension in labels."""
    role = dimensions.role(cube, name)
    if unit == "px" or (unit is None and (role not in ("x", "y") or name not in cube.coords)):
        if value != int(value):
            raise ProcessParameterInvalid(f"{name!r} has whole labels, {value!r} of them cannot be taken")
        return value
    if unit != "m":
        return value / _pixel(cube, name)
    crs = dimensions.crs(cube)
    if role not in ("x", "y") or crs is None or not crs.is_projected:
        raise ProcessParameterInvalid(f"metres need a projected reference system, {name!r} has none")
    return value / (_pixel(cube, name) * crs.axis_info[0].unit_conversion_factor)


def _pixel(cube: xr.DataArray, name: str) -> float:
    labels = cube.coords[name].values if name in cube.coords else np.empty(0)
    if len(labels) < 2:
        raise ProcessParameterInvalid(f"dimension {name!r} has no resolution: give its size in the unit 'px'")
    return float(abs(labels[-1] - labels[0])) / (len(labels) - 1)


def _dated(cube: xr.DataArray, name: str, size: tuple[Any, Any], around: tuple[Any, Any]) -> list[Window]:
    """Windows that follow each other in time from the first label on; those without a label are left out."""
    if dimensions.role(cube, name) != "temporal":
        raise ProcessParameterInvalid(f"dimension {name!r} is not temporal: {size[0]!r}, {around[0]!r}")
    moments = pd.DatetimeIndex(instants(cube, name).astype("datetime64[ns]"))
    if not moments.is_monotonic_increasing:
        raise ProcessParameterInvalid(f"the labels of {name!r} do not ascend, as durations need it")
    rim = _duration(around[0]) if isinstance(around[0], str) else None
    plain = _regular(cube, name, (None, None), around)[0].before if rim is None and len(moments) else 0
    made = []
    for start, stop, first, last in _spans(moments, cube, name, size):
        if rim is not None:
            low = int(moments.searchsorted(first - rim))
            high = int(moments.searchsorted(last + rim))
            made.append(Window(start, stop, start - low, high - stop, (0, 0)))
        else:
            absent = max(plain - start, 0), max(stop + plain - len(moments), 0)
            made.append(Window(start, stop, plain, plain, absent))
    return made


def _spans(moments: pd.DatetimeIndex, cube: xr.DataArray, name: str, size: tuple[Any, Any]) -> list[tuple[Any, ...]]:
    """Labels from and to, and the instants from and to, of each window."""
    if not len(moments):
        return []
    if not isinstance(size[0], str):
        within = [(w.start, w.stop) for w in _regular(cube, name, size, (None, None))]
        return [(a, b, moments[a], moments[b - 1] + pd.Timedelta(1, "ns")) for a, b in within]
    step, number = _duration(size[0]), 0
    found: list[tuple[Any, ...]] = []
    while not found or found[-1][1] < len(moments):
        # Counted from the first label, for months that were snapped to their last day would stay short.
        start = found[-1][1] if found else 0
        while moments[0] + (number + 1) * step <= moments[start]:
            number += 1
        first, last = moments[0] + number * step, moments[0] + (number + 1) * step
        found.append((start, int(moments.searchsorted(last)), first, last))
    return found


def _duration(written: str) -> pd.DateOffset:
    match = _DURATION.fullmatch(written)
    parts = {name: float(value) for name, value in (match.groupdict() if match else {}).items() if value}
    if not any(parts.values()):
        raise ProcessParameterInvalid(f"{written!r} is no duration above zero, such as P1D or PT12H")
    return pd.DateOffset(**{name: value if name == "seconds" else int(value) for name, value in parts.items()})


# --- blocks of windows


def apply(expression: Expression, cube: xr.DataArray, along: Sequence[Sequence[Window]]) -> tuple[Any, Passage]:
    """The values that a child process of `data` makes of all windows, and how values pass through it.

    One task per block, and one more where blocks meet. Blocks hold whole windows; where that makes them large they
    hold fewer windows of the other dimensions.
    """
    expression = places.prepared(expression)
    wide = [axis for axis, found in enumerate(along) if any(w.behind + w.before + w.stop - w.start > 1 for w in found)]
    row = None if len(wide) > 1 else wide[0] if wide else cube.ndim - 1
    # Windows of one dimension are arrays, and all of a block are handed over at once.
    together = [row is not None and axis != row for axis in range(cube.ndim)]
    run = functools.partial(_on_window, expression, row)
    place = places.of(cube)
    way = _passage(expression, run, cube, along, together, place)
    data = cube.data
    chunks = _chunks(data, along) if isinstance(data, da.Array) else [(n,) for n in data.shape]
    held = [_by_chunk(windows, sizes, whole) for windows, sizes, whole in zip(along, chunks, together, strict=True)]
    depths = [_depth(windows) for windows in along]
    starts = [np.concatenate([[0], np.cumsum(sizes)]).tolist() for sizes in chunks]
    job = functools.partial(_on_block, run, place, held, starts, depths, way)
    if isinstance(data, da.Array):
        data = data.rechunk(tuple(chunks))
    return overlap.with_rims(job, data, range(cube.ndim), depths, way.dtype, located=True), way


def _passage(
    expression: Expression,
    run: Run,
    cube: xr.DataArray,
    along: Sequence[Sequence[Window]],
    together: Sequence[bool],
    place: places.Place,
) -> Passage:
    """What comes out, found by trying a first window; planes of large ones are tried in part."""
    first = [
        Window(0, 1, 0, 0, (0, 0)) if whole or not found else found[0]
        for whole, found in zip(together, along, strict=True)
    ]
    shape = [w.before + w.stop - w.start + w.behind for w in first]
    if math.prod(shape) > LARGEST_TRIED:
        spatial = set(dimensions.of_role(cube, "x", "y"))
        first = [
            Window(0, min(w.stop, SIDE_TRIED), 0, 0, (0, 0)) if d in spatial else w
            for d, w in zip(cube.dims, first, strict=True)
        ]
        shape = [w.before + w.stop - w.start + w.behind for w in first]

    def tried(values: Mapping[str, np.ndarray]) -> np.ndarray:
        return run(window_of(values["data"], first, place))

    with places.at(dataclasses.replace(place, trial=True)):
        return passage(Trial(expression, tried), {"data": (tuple(shape), cube.dtype)}, dimensions.nodata(cube), {})


def _depth(windows: Sequence[Window]) -> int:
    """How many labels around them windows see at most."""
    return max((max(w.before - w.absent[0], w.behind - w.absent[1]) for w in windows), default=0)


def _chunks(data: da.Array, along: Sequence[Sequence[Window]]) -> list[tuple[int, ...]]:
    """Chunks of whole windows that are as near to those of the array as can be, and not much larger."""
    made = []
    for sizes, windows in zip(data.chunks, along, strict=True):
        stops = [w.stop for w in windows] or [0]
        ends = {stops[min(bisect.bisect_left(stops, end), len(stops) - 1)] for end in np.cumsum(sizes).tolist()}
        made.append(_sizes(sorted(ends), windows))
    limit = MOST_BLOCKS_TOGETHER * max(math.prod(data.chunksize), 1)
    while math.prod(map(max, made)) > limit:
        halves = [_halved(sizes, windows) for sizes, windows in zip(made, along, strict=True)]
        gains = [max(old) / max(*new, 1) for old, new in zip(made, halves, strict=True)]
        best = int(np.argmax(gains))
        if gains[best] <= 1:
            break
        made[best] = halves[best]
    return made


def _sizes(ends: Sequence[int], windows: Sequence[Window]) -> tuple[int, ...]:
    """Sizes of chunks with these ends, each of which can give a whole rim to its neighbours."""
    return overlap.merged(np.diff([0, *ends]).tolist(), _depth(windows))


def _halved(sizes: tuple[int, ...], windows: Sequence[Window]) -> tuple[int, ...]:
    """Chunks with half as many windows where they have several."""
    stops = [w.stop for w in windows] or [0]
    ends: list[int] = []
    last = 0
    for end in np.cumsum(sizes).tolist():
        first, behind = bisect.bisect_right(stops, last), bisect.bisect_right(stops, end)
        if behind - first > 1:
            ends.append(stops[(first + behind) // 2 - 1])
        ends.append(end)
        last = end
    return _sizes(ends, windows)


def _by_chunk(windows: Sequence[Window], sizes: Sequence[int], whole: bool) -> list[list[Window]]:
    ends = np.cumsum(sizes)
    if whole:
        return [[Window(int(end) - size, int(end), 0, 0, (0, 0))] for size, end in zip(sizes, ends, strict=True)]
    held: list[list[Window]] = [[] for _ in sizes]
    for window in windows:
        held[int(np.searchsorted(ends, window.start, side="right"))].append(window)
    return held


# --- what runs in a task


def _on_block(
    run: Run, place: places.Place, held: Sequence[Sequence[Sequence[Window]]], starts: Sequence[Sequence[int]],
    depths: Sequence[int], way: Passage, block: np.ndarray, pads: overlap.Pads, index: tuple[int, ...],
) -> np.ndarray:  # fmt: skip
    """Run on each window of a block that brings rims of its neighbours."""
    begins = [where[i] for where, i in zip(starts, index, strict=True)]
    rims = [depth - pad[0] for depth, pad in zip(depths, pads, strict=True)]
    out = np.empty([where[i + 1] - where[i] for where, i in zip(starts, index, strict=True)], way.dtype)
    for found in itertools.product(*(windows[i] for windows, i in zip(held, index, strict=True))):
        part = tuple(
            slice(w.start - w.before + w.absent[0] - begin + rim, w.stop + w.behind - w.absent[1] - begin + rim)
            for w, begin, rim in zip(found, begins, rims, strict=True)
        )
        with np.errstate(all="ignore"), places.at(place):
            made = run(window_of(way.enter(block[part]), found, place))
        inner = tuple(slice(w.before, w.before + w.stop - w.start) for w in found)
        where = tuple(slice(w.start - b, w.stop - b) for w, b in zip(found, begins, strict=True))
        out[where] = way.leave(made[inner], tuple(w.stop - w.start for w in found))
    return out


def _on_window(expression: Expression, row: int | None, seen: xr.DataArray) -> np.ndarray:
    """Run on a window: on a cube, or on rows of its only dimension."""
    if row is None:
        return same_shape(expression({"data": seen}), seen)
    name = seen.dims[row]
    known = list(seen.coords[name].values) if name in seen.coords else list(range(seen.sizes[name]))
    place = dataclasses.replace(places.of(seen, row), trial=places.is_trial())
    with places.at(place):
        return same_shape(expression({"data": seen.values}, axis=row, keepdims=True, dim_labels=known), seen)


def window_of(values: np.ndarray, found: Sequence[Window], place: places.Place) -> xr.DataArray:
    """A window as a cube, with no-data where the cube has ended; labels go on there as far as they have steps."""
    shape = tuple(w.before + w.stop - w.start + w.behind for w in found)
    if values.shape != shape:
        floats = values if values.dtype.kind == "f" else values.astype(np.float64)
        values = np.pad(floats, [w.absent for w in found], constant_values=np.nan)
    pairs = list(zip(place.dims, found, strict=True))
    inside = {d: slice(w.start - w.before + w.absent[0], w.stop + w.behind - w.absent[1]) for d, w in pairs}
    known = place.labels.isel({d: span for d, span in inside.items() if d in place.labels.dims})
    absent = {d: w.absent for d, w in pairs if any(w.absent)}
    coordinates = {
        name: c.variable if not set(c.dims) & set(absent) else _continued(place.labels[name], c, absent)
        for name, c in known.coords.items()
    }
    sizes = dict(zip(place.dims, shape, strict=True))
    kept = {n: c for n, c in coordinates.items() if c is not None and all(c.sizes[d] == sizes[d] for d in c.dims)}
    return xr.DataArray(values, dims=place.dims, coords=kept, attrs=place.attrs, name=place.name)


def _continued(whole: xr.DataArray, known: xr.DataArray, absent: Mapping[Any, tuple[int, int]]) -> xr.Variable | None:
    """Labels of one dimension that go on in equal steps, or as what is no label."""
    if known.ndim != 1:
        return None
    before, behind = absent[known.dims[0]]
    values = known.values
    if values.dtype.kind in "iufM" and whole.size > 1 and values.size:
        step = (whole.values[-1] - whole.values[0]) / (whole.size - 1)
        first, last = values[0] - step * np.arange(before, 0, -1), values[-1] + step * np.arange(1, behind + 1)
        made = np.concatenate([first, values, last])
    else:
        nothing = {"M": np.datetime64("NaT"), "i": np.nan, "u": np.nan, "f": np.nan}.get(values.dtype.kind)
        values = values.astype(object) if nothing is None else values
        made = np.concatenate([np.full(before, nothing), values, np.full(behind, nothing)])
    return xr.Variable(known.dims, made, known.attrs)


def same_shape(made: Any, seen: xr.DataArray) -> np.ndarray:
    """What a child process made of a window, which must have its dimensions and labels.

    Raises
    ------
    DataCubePropertiesImmutable
        If it has not.
    """
    if isinstance(made, xr.DataArray):
        if set(made.dims) != set(seen.dims):
            raise DataCubePropertiesImmutable(f"the child process made the dimensions {made.dims} of {seen.dims}")
        made = made.transpose(*seen.dims)
        for name in set(map(str, seen.dims)) & set(made.coords) & set(seen.coords):
            if made.sizes[name] == seen.sizes[name] and not made.coords[name].equals(seen.coords[name]):
                raise DataCubePropertiesImmutable(f"the child process made other labels of {name!r}")
        made = made.values
    values = np.asarray(made)
    if values.shape != seen.shape:
        raise DataCubePropertiesImmutable(
            f"the child process made values of the shape {values.shape} of a window of {seen.shape}"
        )
    return values
