"""What results must be: the workflows from the files, processes from arrays, in plain numpy and rasterio."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import rasterio.warp
import rasterio.windows

Extent = Mapping[str, Any]  # west, south, east, north; in degrees or with a crs
Interval = Sequence[str | None]

HIDDEN = (3, 8, 9)  # scene classification: cloud shadow, cloud of medium and of high probability


# --- the three workflows -------------------------------------------------------------------------------------------


class Grid(NamedTuple):
    """Values over date, band, row and column, and where the rows and columns lie."""

    values: np.ndarray
    dates: list[str]
    x: np.ndarray
    y: np.ndarray


def ndvi_composite(folder: Path, spatial: Extent | None = None, temporal: Interval | None = None) -> np.ndarray:
    """Median NDVI of the dates on which a pixel was seen without cloud, row by column; NaN where there was none."""
    red, nir, classes = _read(folder, ("B04", "B08", "SCL"), spatial, temporal)[0].transpose(1, 0, 2, 3)
    ndvi = np.where(np.isin(classes, HIDDEN), np.nan, (nir - red) / (nir + red))
    return median(ndvi, 0)


def monthly_ndvi(
    folder: Path, spatial: Extent | None = None, temporal: Interval | None = None
) -> tuple[list[str], np.ndarray]:
    """Labels of all months from the first to the last, and the mean NDVI of each; clouds are not left out."""
    (values, dates, *_) = _read(folder, ("B04", "B08"), spatial, temporal)
    red, nir = values.transpose(1, 0, 2, 3)
    ndvi = (nir - red) / (nir + red)
    number = [12 * int(date[:4]) + int(date[5:7]) - 1 for date in dates]
    months = range(min(number), max(number) + 1)
    means = [mean(ndvi[[n == month for n in number]], 0) for month in months]
    return [f"{month // 12}-{month % 12 + 1:02}" for month in months], np.stack(means)


def stac_to_grid(
    folder: Path,
    spatial: Extent | None = None,
    temporal: Interval | None = None,
    bands: Sequence[str] = ("B02", "B03", "B04", "B08"),
    factor: int = 2,
) -> Grid:
    """Means of blocks of `factor` by `factor` pixels, counted from the upper-left corner, scaled to 0 … 1.

    A block that hangs over the right or lower edge is the mean of the pixels that exist.
    """
    values, dates, x, y = _read(folder, bands, spatial, temporal)
    means = block_means(values, factor)
    step_x, step_y = factor * (x[1] - x[0]), factor * (y[1] - y[0])
    left, top = x[0] - (x[1] - x[0]) / 2, y[0] - (y[1] - y[0]) / 2
    return Grid(
        np.clip(means, 0, 10_000) / 10_000,
        dates,
        left + step_x * (np.arange(means.shape[3]) + 0.5),
        top + step_y * (np.arange(means.shape[2]) + 0.5),
    )


def block_means(values: np.ndarray, factor: int) -> np.ndarray:
    """Means of square blocks over the last two axes; gaps do not count, a block of gaps is a gap."""
    *_, rows, cols = values.shape
    filled = [(0, 0)] * (values.ndim - 2) + [(0, -rows % factor), (0, -cols % factor)]
    padded = np.pad(values, filled, constant_values=np.nan)
    blocks = padded.reshape(*values.shape[:-2], -(-rows // factor), factor, -(-cols // factor), factor)
    return mean(blocks, (-3, -1))


def _read(folder: Path, bands: Sequence[str], spatial: Extent | None, temporal: Interval | None) -> Grid:
    """Read the pixels whose centres lie in the extent, of the dates in the interval, with NaN for no-data."""
    names = {path: re.search(r"_(\d{8})_(\w+)\.tif$", path.name) for path in Path(folder).rglob("*.tif")}
    files = {name.groups(): path for path, name in names.items() if name}
    start, end = temporal or (None, None)
    iso = {date: f"{date[:4]}-{date[4:6]}-{date[6:]}" for date, _ in files}
    dates = sorted(d for d in iso if (start is None or iso[d] >= start[:10]) and (end is None or iso[d] < end[:10]))
    with rasterio.open(files[dates[0], bands[0]]) as file:
        window, grid = centres_within(file, spatial), file.transform
    values = np.array([[_layer(files[date, band], window) for band in bands] for date in dates])
    x = grid.c + grid.a * (window.col_off + np.arange(window.width) + 0.5)
    y = grid.f + grid.e * (window.row_off + np.arange(window.height) + 0.5)
    return Grid(values, [iso[date] for date in dates], x, y)


def centres_within(file: rasterio.DatasetReader, spatial: Extent | None) -> rasterio.windows.Window:
    """Rows and columns whose pixel centres lie in the bounding box around the extent, seen in the file's system."""
    if spatial is None:
        return rasterio.windows.Window(0, 0, file.width, file.height)
    box = [spatial[side] for side in ("west", "south", "east", "north")]
    source = rasterio.CRS.from_user_input(spatial.get("crs", 4326))
    west, south, east, north = rasterio.warp.transform_bounds(source, file.crs, *box, densify_pts=21)
    grid = file.transform
    columns = _between((west - grid.c) / grid.a, (east - grid.c) / grid.a, file.width)
    rows = _between((north - grid.f) / grid.e, (south - grid.f) / grid.e, file.height)
    return rasterio.windows.Window.from_slices(rows, columns)


def _between(first: float, last: float, size: int) -> tuple[int, int]:
    """Give the half-open range of pixels i with first <= i + 0.5 <= last."""
    return max(math.ceil(first - 0.5), 0), min(math.floor(last - 0.5) + 1, size)


def _layer(path: Path, window: rasterio.windows.Window) -> np.ndarray:
    with rasterio.open(path) as file:
        values = file.read(1, window=window).astype("float64")
        return np.where(values == file.nodata, np.nan, values)


# --- reducers: (array with NaN gaps, axis) -> what the process must give --------------------------------------------


def _given(a: np.ndarray, axis: Any) -> np.ndarray:
    return np.sum(~np.isnan(a), axis=axis)


def _quiet(function: Callable[..., np.ndarray], a: np.ndarray, axis: Any, **options: Any) -> np.ndarray:
    """Call a nan-function of numpy on slices that have a value, and leave NaN where they have none."""
    given = _given(a, axis)
    if a.size == 0:
        return np.full(given.shape, np.nan)
    empty = np.expand_dims(given, axis) == 0
    with np.errstate(all="ignore"):
        result = function(np.where(empty, 0.0, a), axis=axis, **options)
    return np.where(np.squeeze(empty, axis), np.nan, result)


def mean(a: np.ndarray, axis: Any) -> np.ndarray:
    """Mean of the values; NaN where there are none."""
    return _quiet(np.nanmean, a, axis)


def median(a: np.ndarray, axis: Any) -> np.ndarray:
    """Median of the values; NaN where there are none."""
    return _quiet(np.nanmedian, a, axis)


def variance(a: np.ndarray, axis: Any) -> np.ndarray:
    """Sample variance; NaN where there are fewer than two values."""
    few = _given(a, axis) < 2
    if a.size == 0:
        return np.full(few.shape, np.nan)
    safe = np.where(np.expand_dims(few, axis), 0.0, a)
    with np.errstate(all="ignore"):
        return np.where(few, np.nan, np.nanvar(safe, axis=axis, ddof=1))


def quantiles(a: np.ndarray, axis: int, probabilities: Sequence[float] | int = (0.25, 0.5, 0.75)) -> np.ndarray:
    """Quantiles (type 7) of finite values in a last axis; a number n of intervals has n - 1 cut points."""
    if isinstance(probabilities, int):
        probabilities = [i / probabilities for i in range(1, probabilities)]
    return np.stack([_quiet(np.nanquantile, a, axis, q=q) for q in probabilities], axis=-1)


def first(a: np.ndarray, axis: int) -> np.ndarray:
    """First value that is no gap; NaN where all are."""
    return np.take_along_axis(a, np.expand_dims(np.argmax(~np.isnan(a), axis=axis), axis), axis).squeeze(axis)


REDUCERS: dict[str, Callable[..., np.ndarray]] = {
    "all": lambda a, axis: np.all(np.isnan(a) | (a != 0), axis=axis),
    "any": lambda a, axis: np.any(~np.isnan(a) & (a != 0), axis=axis),
    "count": lambda a, axis: np.sum(np.isfinite(a), axis=axis),
    "extrema": lambda a, axis: np.stack([_quiet(np.nanmin, a, axis), _quiet(np.nanmax, a, axis)], axis=-1),
    "first": first,
    "last": lambda a, axis: first(np.flip(a, axis), axis),
    "max": lambda a, axis: _quiet(np.nanmax, a, axis),
    "mean": mean,
    "median": median,
    "min": lambda a, axis: _quiet(np.nanmin, a, axis),
    "product": lambda a, axis: _quiet(np.nanprod, a, axis),
    "quantiles": quantiles,
    "sd": lambda a, axis: np.sqrt(variance(a, axis)),
    "sum": lambda a, axis: _quiet(np.nansum, a, axis),
    "variance": variance,
}


def _decided(ignoring: Callable[..., np.ndarray], decisive: bool) -> Callable[..., np.ndarray]:
    """Make `any` and `all` of three values: one decisive value settles it, else a gap leaves it open."""

    def reduce(a: np.ndarray, axis: int) -> np.ndarray:
        result = ignoring(a, axis)
        return np.where((result != decisive) & np.isnan(a).any(axis=axis), np.nan, result)

    return reduce


def _spoilt(ignoring: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Make a reducer for which one gap makes everything a gap."""

    def reduce(a: np.ndarray, axis: int, *options: Any) -> np.ndarray:
        result = ignoring(a, axis, *options)
        gap = np.isnan(a).any(axis=axis)
        return np.where(gap if result.ndim == gap.ndim else gap[..., None], np.nan, result)

    return reduce


# the same with ignore_nodata=false; `count` has no such parameter
REDUCERS_WITH_GAPS: dict[str, Callable[..., np.ndarray]] = {
    **{name: _spoilt(reduce) for name, reduce in REDUCERS.items() if name != "count"},
    "all": _decided(REDUCERS["all"], False),
    "any": _decided(REDUCERS["any"], True),
    "first": lambda a, axis: np.take(a, 0, axis=axis),
    "last": lambda a, axis: np.take(a, -1, axis=axis),
}


# --- element by element: (arrays with NaN gaps, in the specification's order) -> what the process must give ----------


def _passing_gaps(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Make a result of truth values a result of 0, 1 and NaN: NaN wherever an operand is."""

    def elementwise(*operands: Any, **options: Any) -> np.ndarray:
        gap = np.logical_or.reduce(np.broadcast_arrays(*[np.isnan(x) for x in operands]))
        return np.where(gap, np.nan, function(*operands, **options))

    return elementwise


def _ieee(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Let a division by zero give what IEEE 754 says, without a word."""

    def elementwise(*operands: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return function(*operands)

    return elementwise


def linear_scale_range(
    x: np.ndarray, input_min: float, input_max: float, output_min: float = 0, output_max: float = 1
) -> np.ndarray:
    """Values clipped to the input's range, whichever way it runs, and carried over to the output's."""
    inside = np.clip(x, min(input_min, input_max), max(input_min, input_max))
    return (inside - input_min) / (input_max - input_min) * (output_max - output_min) + output_min


def mod(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Remainder with the divisor's sign; what division gives where the divisor is 0."""
    return np.where(np.equal(y, 0), np.divide(x, y), np.mod(x, y))


def between(x: np.ndarray, least: Any, most: Any, exclude_max: bool = False) -> np.ndarray:
    """Whether x lies between the bounds; never if they are swapped."""
    return (x >= least) & ((x < most) if exclude_max else (x <= most)) & np.less_equal(least, most)


def and_(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of three values: one false settles it."""
    x, y = np.broadcast_arrays(x, y)
    return np.where((x == 0) | (y == 0), 0.0, np.where(np.isnan(x) | np.isnan(y), np.nan, 1.0))


def or_(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of three values: one true settles it."""
    x, y = np.broadcast_arrays(x, y)
    true = ((x != 0) & ~np.isnan(x)) | ((y != 0) & ~np.isnan(y))
    return np.where(true, 1.0, np.where(np.isnan(x) | np.isnan(y), np.nan, 0.0))


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    # arithmetic
    "absolute": np.abs,
    "add": lambda x, y: x + y,
    "clip": lambda x, least, most: np.minimum(np.maximum(x, least), most),
    "divide": _ieee(np.divide),
    "linear_scale_range": linear_scale_range,
    "mod": _ieee(mod),
    "multiply": lambda x, y: x * y,
    "normalized_difference": _ieee(lambda x, y: np.divide(x - y, x + y)),
    "sgn": np.sign,
    "subtract": lambda x, y: x - y,
    # comparison: 0, 1, NaN where an operand is no-data
    "between": _passing_gaps(between),
    "eq": _passing_gaps(lambda x, y, delta=0: np.abs(np.subtract(x, y)) <= delta if delta else np.equal(x, y)),
    "gt": _passing_gaps(np.greater),
    "gte": _passing_gaps(np.greater_equal),
    "lt": _passing_gaps(np.less),
    "lte": _passing_gaps(np.less_equal),
    "neq": _passing_gaps(lambda x, y, delta=0: np.abs(np.subtract(x, y)) > delta if delta else np.not_equal(x, y)),
    # always a truth value; in an array of floats, NaN and no-data are the same
    "is_infinite": np.isinf,
    "is_nan": np.isnan,
    "is_nodata": np.isnan,
    "is_valid": np.isfinite,
    # logic: of 0, 1 and NaN
    "and": and_,
    "if": lambda value, accept, reject=np.nan: np.where(~np.isnan(value) & np.not_equal(value, 0), accept, reject),
    "not": _passing_gaps(lambda x: np.equal(x, 0)),
    "or": or_,
    "xor": _passing_gaps(lambda x, y: np.not_equal(x, 0) != np.not_equal(y, 0)),
}
