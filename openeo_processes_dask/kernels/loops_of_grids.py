"""Loops that numba compiles for grids: where the pixels of one grid lie on another, and what is found there."""

from __future__ import annotations

import numpy as np

from openeo_processes_dask.kernels.loops import compiled_once


@compiled_once
def between(nodes, step, top, left, out):  # type: ignore[no-untyped-def]
    """Fill in what lies between nodes, a step of pixels apart, for pixels from a row and a column after the first."""
    row = np.empty(nodes.shape[1], np.float64)
    for i in range(out.shape[0]):
        y = top + i
        cell = y // step
        share = (y - cell * step + 0.5) / step
        for k in range(nodes.shape[1]):
            row[k] = nodes[cell, k] * (1.0 - share) + nodes[cell + 1, k] * share
        for j in range(out.shape[1]):
            x = left + j
            cell = x // step
            share = (x - cell * step + 0.5) / step
            out[i, j] = row[cell] * (1.0 - share) + row[cell + 1] * share


@compiled_once
def nearest(planes, xs, ys, corner, size, guard, gap, first, out):  # type: ignore[no-untyped-def]
    """Fill in the pixel of planes (n, y, x) under each place of a source of some size, part of which they are.

    Results lie in the rows from the first one on.
    """
    top, left = corner
    height, width = size
    for i in range(xs.shape[0]):
        for j in range(xs.shape[1]):
            x, y = xs[i, j], ys[i, j]
            inside = (x > -guard) & (y > -guard) & (x < width) & (y < height)
            column = min(int(np.floor(x + guard)), width - 1) - left if inside else -1
            row = min(int(np.floor(y + guard)), height - 1) - top if inside else -1
            there = (column >= 0) & (row >= 0) & (column < planes.shape[2]) & (row < planes.shape[1])
            for plane in range(planes.shape[0]):
                out[plane, first + i, j] = planes[plane, row, column] if there else gap


@compiled_once
def _of_four(source, r, c, south, east):  # type: ignore[no-untyped-def]
    """The mean of four pixels by their nearness, some of which may lie outside of what there is of the source."""
    rows, columns = source.shape
    total, weight = 0.0, 0.0
    for down in range(2):
        for across in range(2):
            inside = (r + down >= 0) & (r + down < rows) & (c + across >= 0) & (c + across < columns)
            value = source[r + down, c + across] if inside else source.dtype.type(np.nan)
            share = (south if down else 1.0 - south) * (east if across else 1.0 - east)
            known = value == value
            total += share * value if known else 0.0
            weight += share if known else 0.0
    return total / weight if weight < 1.0 else total


@compiled_once
def bilinear(planes, xs, ys, corner, size, guard, gap, first, out):  # type: ignore[no-untyped-def]
    """Fill in means of the four pixels around each place, by their nearness; a gap where the nearest one is a gap.

    Results lie in the rows from the first one on. Where the four lie is found once for a row of all planes.
    """
    top, left = corner
    height, width = size
    count, rows, columns = planes.shape
    flat = planes.reshape(count, rows * columns)
    across = xs.shape[1]
    near, at = np.empty(across, np.int64), np.empty(across, np.int64)
    easts, souths, whole = np.empty(across), np.empty(across), np.empty(across, np.bool_)
    for i in range(xs.shape[0]):
        for j in range(across):
            x, y = xs[i, j], ys[i, j]
            inside = (x > -guard) & (y > -guard) & (x < width) & (y < height)
            x, y = x if inside else 0.0, y if inside else 0.0
            column = min(int(np.floor(x + guard)), width - 1) - left
            row = min(int(np.floor(y + guard)), height - 1) - top
            there = inside & (column >= 0) & (row >= 0) & (column < columns) & (row < rows)
            west, north = np.floor(x - 0.5), np.floor(y - 0.5)
            easts[j], souths[j] = x - 0.5 - west, y - 0.5 - north
            c, r = int(west) - left, int(north) - top
            near[j] = row * columns + column if there else -1
            at[j] = r * columns + c
            whole[j] = there & (c >= 0) & (r >= 0) & (c + 1 < columns) & (r + 1 < rows)
        for plane in range(count):
            source, target = flat[plane], out[plane, first + i]
            for j in range(across):
                if whole[j]:
                    place, east, south = at[j], easts[j], souths[j]
                    a, b = source[place], source[place + 1]
                    c, d = source[place + columns], source[place + columns + 1]
                    own, known = (1.0 - south) * (1.0 - east), a == a
                    total, weight = own * a if known else 0.0, own if known else 0.0
                    own, known = (1.0 - south) * east, b == b
                    total, weight = total + (own * b if known else 0.0), weight + (own if known else 0.0)
                    own, known = south * (1.0 - east), c == c
                    total, weight = total + (own * c if known else 0.0), weight + (own if known else 0.0)
                    own, known = south * east, d == d
                    total, weight = total + (own * d if known else 0.0), weight + (own if known else 0.0)
                    mean = total / (weight if weight < 1.0 else 1.0)
                    nearest_one = source[near[j]]
                    target[j] = mean if nearest_one == nearest_one else gap
                elif near[j] < 0 or source[near[j]] != source[near[j]]:
                    target[j] = gap
                else:
                    r, c = int(np.floor(ys[i, j] - 0.5)) - top, int(np.floor(xs[i, j] - 0.5)) - left
                    target[j] = _of_four(planes[plane], r, c, souths[j], easts[j])
