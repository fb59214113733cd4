"""Loops that numba compiles for groups of rows of a block: one pass over its values, whatever the number of groups.

The numbers of a group's rows are `members` from one of the `starts` to the next; a row may belong to many groups.
"""

from __future__ import annotations

import numpy as np

from openeo_processes_dask.kernels.loops import SIDE_BY_SIDE, SORTED, compiled_once, sort_columns

FEW = 8  # of so few ranks each is compared with the one in the middle, on vectors; of more it is looked up


@compiled_once
def _fill(block, rows, valid, length, width, place, members, start):  # type: ignore[no-untyped-def]
    """Copy the rows of a group, with infinity for gaps, and count what is valid in each column."""
    infinity, one, zero = block.dtype.type(np.inf), block.dtype.type(1), block.dtype.type(0)
    valid[:] = 0
    for i in range(length):
        row, source = rows[i], block[place, members[i], start : start + width]
        for p in range(width):
            value = source[p]
            known = value == value
            row[p] = value if known else infinity
            valid[p] += one if known else zero


@compiled_once
def _middle_of_few(rows, valid, lower, upper, length, least, width, out):  # type: ignore[no-untyped-def]
    """The median of each sorted column: each rank is compared with those in the middle, on vectors."""
    number = rows.dtype.type
    gap, half = number(np.nan), number(0.5)
    for i in range(length):
        row, even, odd, next_even = rows[i], number(2 * i), number(2 * i + 1), number(2 * i + 2)
        for p in range(width):
            value, count, low, high = row[p], valid[p], lower[p], upper[p]
            lower[p] = value if (count == odd) | (count == next_even) else low
            upper[p] = value if (count == even) | (count == odd) else high
    for p in range(width):
        low, high = lower[p], upper[p]
        middle = (low + high) * half
        middle = low if low == high else middle
        out[p] = middle if valid[p] >= least else gap


@compiled_once
def _middle_of_many(rows, valid, length, least, width, out):  # type: ignore[no-untyped-def]
    """The same where the ranks in the middle are looked up."""
    number = rows.dtype.type
    for p in range(width):
        count = int(valid[p])
        low, high = rows[max(count - 1, 0) // 2, p], rows[min(count // 2, length - 1), p]
        middle = low if low == high else (low + high) * number(0.5)
        out[p] = middle if valid[p] >= least else number(np.nan)


@compiled_once
def medians(block, skip, starts, members, pairs, networks, out):  # type: ignore[no-untyped-def]
    """The value in the middle of each group, or the mean of the two; `networks` tells which pairs sort a group."""
    number = block.dtype.type
    longest = 1
    for g in range(starts.shape[0] - 1):
        longest = max(longest, starts[g + 1] - starts[g])
    tile = max(16, min(SORTED // longest, SIDE_BY_SIDE))
    rows, valid = np.empty((longest, tile), block.dtype), np.empty(tile, block.dtype)
    lower, upper = np.empty(tile, block.dtype), np.empty(tile, block.dtype)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], tile):
            width = min(tile, block.shape[2] - start)
            for g in range(starts.shape[0] - 1):
                length = starts[g + 1] - starts[g]
                target = out[place, g, start : start + width]
                least = number(1) if skip or length == 0 else number(length)
                _fill(block, rows, valid, length, width, place, members[starts[g] :], start)
                sort_columns(rows, pairs[networks[g, 0] : networks[g, 1]], width)
                if length <= FEW:
                    _middle_of_few(rows, valid, lower, upper, length, least, width, target)
                else:
                    _middle_of_many(rows, valid, length, least, width, target)


@compiled_once
def means(block, skip, divided, starts, members, out):  # type: ignore[no-untyped-def]
    """The mean of each group, or the sum where nothing is divided; both are taken in float64."""
    every = not skip
    sums, counts = np.empty(SIDE_BY_SIDE, np.float64), np.empty(SIDE_BY_SIDE, np.float64)
    for place in range(block.shape[0]):
        for start in range(0, block.shape[2], SIDE_BY_SIDE):
            width = min(SIDE_BY_SIDE, block.shape[2] - start)
            for g in range(starts.shape[0] - 1):
                sums[:] = 0
                counts[:] = 0
                for i in range(starts[g], starts[g + 1]):
                    source = block[place, members[i], start : start + width]
                    for p in range(width):
                        value = source[p]
                        known = (value == value) | every
                        sums[p] += value if known else 0
                        counts[p] += 1.0 if known else 0.0
                target = out[place, g, start : start + width]
                for p in range(width):
                    divisor = counts[p] if divided or counts[p] == 0 else 1.0
                    target[p] = sums[p] / divisor
