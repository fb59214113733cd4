"""Loops that numba compiles: pixels side by side in tiles that stay in the cache, and no branch on a gap.

A block comes as (before, length, beside), where `length` is along the axis, and results are filled in. Only
`compiled.py` imports this module, and those of other loops beside it, when the first large block comes, because
importing numba takes its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

SIDE_BY_SIDE = 1024  # pixels in a tile
SORTED = 8192  # values in a tile that is sorted: it fits the innermost cache


def compiled_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call and keep the result on disk, if there is a place for it."""
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(function, cache=True, **settings)
    except RuntimeError:  # no directory may be written
        return numba.njit(function, **settings)


# --- order


@compiled_once
def _fill(block, place, start, rows, valid):  # type: ignore[no-untyped-def]
    """Copy a tile into rows, with infinity for gaps, and count what is valid in each column."""
    width, infinity = min(rows.shape[1], block.shape[2] - start), block.dtype.type(np.inf)
    valid[:] = 0
    for i in range(block.shape[1]):
        row, source = rows[i], block[place, i, start : start + width]
        for p in range(width):
            value = source[p]
            row[p] = value if value == value else infinity
            valid[p] += value == value
    return width


@compiled_once
def sort_columns(rows, pairs, width):  # type: ignore[no-untyped-def]
    """Sort each column; the loop over columns has no branch, so that it runs on vectors."""
    for q in range(pairs.shape[0]):
        low, high = rows[pairs[q, 0]], rows[pairs[q, 1]]
        for p in range(width):
            x, y = low[p], high[p]
            low[p] = x if x < y else y
            high[p] = y if x < y else x


@compiled_once
def medians(block, skip, pairs, out):  # type: ignore[no-untyped-def]
    """The value in the middle, or the mean of the two in the middle."""
    length = block.shape[1]
    tile = max(16, SORTED // length)
    rows, valid = np.empty((length, tile), block.dtype), np.empty(tile, np.int32)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], tile):
            width = _fill(block, place, start, rows, valid)
            sort_columns(rows, pairs, width)
            for p in range(width):
                count = valid[p] if skip or valid[p] == length else 0
                low, high = rows[max(count - 1, 0) // 2, p], rows[count // 2 if count else 0, p]
                middle = low if low == high else (low + high) / 2
                out[place, 0, start + p] = middle if count else np.nan


@compiled_once
def quantiles(block, skip, pairs, probabilities, out):  # type: ignore[no-untyped-def]
    """Quantiles of type 7; beside infinity, where no difference exists, both neighbours are weighed."""
    length, one = block.shape[1], block.dtype.type(1)
    tile = max(16, SORTED // length)
    rows, valid = np.empty((length, tile), block.dtype), np.empty(tile, np.int32)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], tile):
            width = _fill(block, place, start, rows, valid)
            sort_columns(rows, pairs, width)
            for k in range(probabilities.shape[0]):
                for p in range(width):
                    count = valid[p] if skip or valid[p] == length else 0
                    if count == 0:
                        out[place, k, start + p] = np.nan
                        continue
                    position = (count - 1) * probabilities[k]
                    below = int(position)
                    share = block.dtype.type(position - below)
                    low, high = rows[below, p], rows[min(below + 1, count - 1), p]
                    between = low + (high - low) * share
                    if not np.isfinite(between):
                        between = low if share == 0 else (one - share) * low + share * high
                    out[place, k, start + p] = between


# --- sums


@compiled_once
def totals(block, skip, total, count):  # type: ignore[no-untyped-def]
    """Sums in float64, and how many values there are."""
    every = not skip
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            sums, counts = total[place, 0, start:end], count[place, 0, start:end]
            sums[:] = 0
            counts[:] = 0
            for i in range(block.shape[1]):
                source = block[place, i, start:end]
                for p in range(end - start):
                    value = source[p]
                    known = (value == value) | every
                    sums[p] += value if known else 0
                    counts[p] += known


@compiled_once
def means(block, skip, divided, out):  # type: ignore[no-untyped-def]
    """Means, or sums where nothing is divided; both are taken in float64, and missing where there are no values."""
    every = not skip
    sums, counts = np.empty(SIDE_BY_SIDE, np.float64), np.empty(SIDE_BY_SIDE, np.int64)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            width = min(SIDE_BY_SIDE, block.shape[2] - start)
            sums[:] = 0
            counts[:] = 0
            for i in range(block.shape[1]):
                source = block[place, i, start : start + width]
                for p in range(width):
                    value = source[p]
                    known = (value == value) | every
                    sums[p] += value if known else 0
                    counts[p] += known
            for p in range(width):
                divisor = counts[p] if divided or counts[p] == 0 else 1
                out[place, 0, start + p] = sums[p] / divisor


@compiled_once
def products(block, skip, product, count):  # type: ignore[no-untyped-def]
    """Products in float64, and how many values there are."""
    every = not skip
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            made, counts = product[place, 0, start:end], count[place, 0, start:end]
            made[:] = 1
            counts[:] = 0
            for i in range(block.shape[1]):
                source = block[place, i, start:end]
                for p in range(end - start):
                    value = source[p]
                    known = (value == value) | every
                    made[p] *= value if known else 1
                    counts[p] += known


@compiled_once
def moments(block, skip, count, centre, squares):  # type: ignore[no-untyped-def]
    """How many values there are, their mean, and the sum of squared differences from it."""
    every = not skip
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            counts, means, apart = count[place, 0, start:end], centre[place, 0, start:end], squares[place, 0, start:end]
            counts[:] = 0
            means[:] = 0
            apart[:] = 0
            for i in range(block.shape[1]):
                source = block[place, i, start:end]
                for p in range(end - start):
                    value = source[p]
                    known = (value == value) | every
                    means[p] += value if known else 0
                    counts[p] += known
            for p in range(end - start):
                means[p] /= counts[p]
            for i in range(block.shape[1]):
                source = block[place, i, start:end]
                for p in range(end - start):
                    value = source[p]
                    difference = value - means[p]
                    apart[p] += difference * difference if (value == value) | every else 0


# --- choosing


@compiled_once
def first(block, step, out):  # type: ignore[no-untyped-def]
    """The first value that is no gap, or the last one where the step is -1."""
    length = block.shape[1]
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            found = out[place, 0, start:end]
            found[:] = np.nan
            for i in range(length):
                source = block[place, i if step > 0 else length - 1 - i, start:end]
                gaps = 0
                for p in range(end - start):
                    value = source[p] if found[p] != found[p] else found[p]
                    found[p] = value
                    gaps += value != value
                if gaps == 0:
                    break


# --- running


@compiled_once
def running_sums(block, skip, reached, out):  # type: ignore[no-untyped-def]
    """Sums so far, in float64, from what was reached if anything; gaps stay, and end all where they are not skipped."""
    every = not skip
    total = np.empty(SIDE_BY_SIDE, np.float64)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            if reached.size:
                total[: end - start] = reached[place, 0, start:end]
            else:
                total[:] = 0
            for i in range(block.shape[1]):
                source, target = block[place, i, start:end], out[place, i, start:end]
                for p in range(end - start):
                    value = source[p]
                    known = value == value
                    total[p] += value if known | every else 0
                    target[p] = total[p] if known else value
            if reached.size:
                reached[place, 0, start:end] = total[: end - start]


@compiled_once
def running_products(block, skip, reached, out):  # type: ignore[no-untyped-def]
    """Products so far; all else as with sums."""
    every = not skip
    total = np.empty(SIDE_BY_SIDE, np.float64)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            if reached.size:
                total[: end - start] = reached[place, 0, start:end]
            else:
                total[:] = 1
            for i in range(block.shape[1]):
                source, target = block[place, i, start:end], out[place, i, start:end]
                for p in range(end - start):
                    value = source[p]
                    known = value == value
                    total[p] *= value if known | every else 1
                    target[p] = total[p] if known else value
            if reached.size:
                reached[place, 0, start:end] = total[: end - start]


@compiled_once
def running_extremes(block, skip, sign, reached, out):  # type: ignore[no-untyped-def]
    """The largest value so far, or the smallest where the sign is -1, from what was reached if anything.

    Gaps stay, and end all where they count: nothing is larger than NaN.
    """
    best = np.empty(SIDE_BY_SIDE, block.dtype)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            end = min(start + SIDE_BY_SIDE, block.shape[2])
            if reached.size:
                best[: end - start] = reached[place, 0, start:end] * sign
            else:
                best[:] = -np.inf
            for i in range(block.shape[1]):
                source, target = block[place, i, start:end], out[place, i, start:end]
                for p in range(end - start):
                    value = source[p] * sign
                    known = value == value
                    best[p] = value if (value > best[p]) | (not (known | skip)) else best[p]
                    target[p] = best[p] * sign if known else np.nan
            if reached.size:
                reached[place, 0, start:end] = best[: end - start] * sign


# --- between


@compiled_once
def linear(block, positions, out):  # type: ignore[no-untyped-def]
    """Gaps filled from the values before and after them; those at the ends stay.

    What is chosen between is loaded first: a load on a condition would be a branch.
    """
    length, one = block.shape[1], block.dtype.type(1)
    tile = SIDE_BY_SIDE // 4
    after, place_after = np.empty((length, tile), block.dtype), np.empty((length, tile), np.float64)
    values, places = np.empty(tile, block.dtype), np.empty(tile, np.float64)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], tile):
            width = min(tile, block.shape[2] - start)
            values[:] = np.nan
            places[:] = np.nan
            for i in range(length - 1, -1, -1):
                source, here = block[place, i, start : start + width], positions[i]
                next_values, next_places = after[i], place_after[i]
                for p in range(width):
                    own, value, at = source[p], values[p], places[p]
                    known = own == own
                    value, at = own if known else value, here if known else at
                    values[p], places[p] = value, at
                    next_values[p], next_places[p] = value, at
            values[:] = np.nan
            places[:] = np.nan
            for i in range(length):
                source, target = block[place, i, start : start + width], out[place, i, start : start + width]
                next_values, next_places, here = after[i], place_after[i], positions[i]
                for p in range(width):
                    own, value, at = source[p], values[p], places[p]
                    known = own == own
                    share = block.dtype.type((here - at) / (next_places[p] - at))
                    between = (one - share) * value + share * next_values[p]
                    target[p] = own if known else between
                    values[p], places[p] = own if known else value, here if known else at


# --- truth: 1, 0 and NaN in float32


@compiled_once
def compare(x, y, greater, equal, less, out):  # type: ignore[no-untyped-def]
    """Whether values are greater than a number, equal to it or less, as far as each of these is asked for."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        held = ((x[p] > y) & greater) | ((x[p] == y) & equal) | ((x[p] < y) & less)
        out[p] = (one if held else zero) if x[p] == x[p] else gap


@compiled_once
def compare_pairs(x, y, greater, equal, less, out):  # type: ignore[no-untyped-def]
    """The same for pairs of values."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        held = ((x[p] > y[p]) & greater) | ((x[p] == y[p]) & equal) | ((x[p] < y[p]) & less)
        out[p] = (one if held else zero) if (x[p] == x[p]) & (y[p] == y[p]) else gap


@compiled_once
def between(x, lowest, highest, closed, out):  # type: ignore[no-untyped-def]
    """Whether values lie between bounds, the upper one among them where they are closed."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        held = (x[p] >= lowest) & ((x[p] < highest) | ((x[p] == highest) & closed))
        out[p] = (one if held else zero) if x[p] == x[p] else gap


@compiled_once
def conjunction(x, y, out):  # type: ignore[no-untyped-def]
    """Three-valued and."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        known = (x[p] == x[p]) & (y[p] == y[p])
        out[p] = zero if (x[p] == 0) | (y[p] == 0) else (one if known else gap)


@compiled_once
def disjunction(x, y, out):  # type: ignore[no-untyped-def]
    """Three-valued or."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        known = (x[p] == x[p]) & (y[p] == y[p])
        true = ((x[p] != 0) & (x[p] == x[p])) | ((y[p] != 0) & (y[p] == y[p]))
        out[p] = one if true else (zero if known else gap)


@compiled_once
def exclusion(x, y, out):  # type: ignore[no-untyped-def]
    """Whether exactly one is true."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        known = (x[p] == x[p]) & (y[p] == y[p])
        out[p] = (one if (x[p] != 0) ^ (y[p] != 0) else zero) if known else gap


@compiled_once
def opposite(x, out):  # type: ignore[no-untyped-def]
    """The opposite."""
    one, zero, gap = np.float32(1), np.float32(0), np.float32(np.nan)
    for p in range(x.size):
        out[p] = (one if x[p] == 0 else zero) if x[p] == x[p] else gap
