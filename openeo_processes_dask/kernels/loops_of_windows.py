"""Loops that numba compiles for weighted sums of the pixels around each pixel."""

from __future__ import annotations

import numpy as np

from openeo_processes_dask.kernels.loops import compiled_once


@compiled_once
def weigh_apart(plane, pads, border, fill, invalid, columns, rows, factor, out):  # type: ignore[no-untyped-def]
    """Fill in the sums of a plane, whose weights are columns times rows, one line of it after the other.

    Before and after it, by its pads, lies the border value; what is no number, or equals a fill value that is one,
    counts as the invalid value. A line is read once, and stays in the cache for as many sums as need it.
    """
    height, width = plane.shape
    top, left = pads
    lines, terms = columns.shape[1], columns.shape[0]
    wide = out.shape[1] + rows.shape[1] - 1
    clean = np.full((lines, wide), border, np.float64)
    mixed, total = np.empty(wide, np.float64), np.empty(out.shape[1], np.float64)
    for line in range(out.shape[0] + lines - 1):
        kept = clean[line % lines]
        if top <= line < top + height:
            source = plane[line - top]
            target = kept[left : left + width]
            for x in range(width):
                value = np.float64(source[x])
                target[x] = value if (value - value == 0) & (value != fill) else invalid
            kept[:left] = border
            kept[left + width :] = border
        else:
            kept[:] = border
        if line < lines - 1:
            continue
        first = line - lines + 1
        total[:] = 0
        for term in range(terms):
            mixed[:] = 0
            for i in range(lines):
                weight = columns[term, i]
                if weight != 0:
                    above = clean[(first + i) % lines]
                    for x in range(wide):
                        mixed[x] += above[x] * weight
            for i in range(rows.shape[1]):
                weight = rows[term, i]
                if weight != 0:
                    beside = mixed[i : i + total.size]
                    for x in range(total.size):
                        total[x] += beside[x] * weight
        target = out[first]
        for x in range(total.size):
            target[x] = total[x] * factor
