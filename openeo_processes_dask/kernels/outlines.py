"""Which pixels lie in polygons, on lines and at points, as runs of pixels in rows.

Coordinates are in pixels, and whole numbers are the centres of pixels. A run says: in this row, from the first to the
last pixel. What a shape costs grows with its height and not with its area, and no run depends on how an array is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLOSE = 1e-6  # of a pixel: as near to an edge, a centre lies on it


class Runs(NamedTuple):
    """Runs of pixels: their row, their first and last column, and the number of the shape that they belong to."""

    rows: np.ndarray
    firsts: np.ndarray
    lasts: np.ndarray
    owners: np.ndarray

    def within(self, top: int, bottom: int, left: int, right: int) -> Runs:
        """What lies in a window (its end excluded), counted from its corner."""
        here = (self.rows >= top) & (self.rows < bottom) & (self.lasts >= left) & (self.firsts < right)
        firsts, lasts = np.maximum(self.firsts[here], left), np.minimum(self.lasts[here], right - 1)
        return Runs(self.rows[here] - top, firsts - left, lasts - left, self.owners[here])

    def bounds(self) -> tuple[int, int, int, int] | None:
        """The window of all pixels, (top, bottom, left, right) with its end excluded; None without any."""
        if not len(self.rows):
            return None
        return (
            int(self.rows.min()),
            int(self.rows.max()) + 1,
            int(self.firsts.min()),
            int(self.lasts.max()) + 1,
        )


def joined(parts: list[Runs]) -> Runs:
    """Runs from several sources in one."""
    columns = zip(*parts, strict=True)
    return Runs(*(np.concatenate(column).astype(np.int64) for column in columns))


def of_polygons(edges: np.ndarray, rings: np.ndarray, height: int, width: int) -> Runs:
    """The pixels whose centres lie in polygons or on their edges.

    `edges` (n, 4) lead from x, y to x, y, and `rings` say to which polygon each belongs. Holes are rings of the same
    polygon: a pixel is inside where an odd number of edges lies to its left.
    """
    whole = np.round(edges)
    edges = np.where(np.abs(edges - whole) <= CLOSE, whole, edges)
    x0, y0, x1, y1 = edges.T
    level = y0 == y1
    crossing = _crossings(edges[~level], rings[~level], height)
    flat = level & (y0 == np.round(y0))
    along = Runs(y0[flat], np.minimum(x0, x1)[flat], np.maximum(x0, x1)[flat], rings[flat])
    corner = (y0 == np.round(y0)) & (x0 == np.round(x0))
    corners = Runs(y0[corner], x0[corner], x0[corner], rings[corner])
    runs = [_whole(runs, height, width) for runs in (crossing, along, corners)]
    return joined(runs)


def of_lines(edges: np.ndarray, owners: np.ndarray, height: int, width: int) -> Runs:
    """The pixels that lines run through; `edges` (n, 4) lead from x, y to x, y."""
    up = edges[:, 1] <= edges[:, 3]
    x0, y0, x1, y1 = np.where(up[:, None], edges, edges[:, [2, 3, 0, 1]]).T
    rows, index = _rows(np.floor(y0 + 0.5), np.floor(y1 + 0.5), height)
    x0, y0, x1, y1 = x0[index], y0[index], x1[index], y1[index]
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    ends = []
    for level in (np.maximum(y0, rows - 0.5), np.minimum(y1, rows + 0.5)):
        share = np.clip((level - y0) / rise, 0.0, 1.0)
        ends.append(x0 + share * (x1 - x0))
    ends[1] = np.where(y1 > y0, ends[1], x1)
    firsts, lasts = np.floor(np.minimum(*ends) + 0.5), np.floor(np.maximum(*ends) + 0.5)
    return _whole(Runs(rows, firsts, lasts, owners[index]), height, width)


def of_points(points: np.ndarray, owners: np.ndarray, height: int, width: int) -> Runs:
    """The pixels with the nearest centres to points (n, 2) of x, y; none for points outside all pixels."""
    size = np.array([width, height])
    near = np.where(np.abs(points - (size - 0.5)) <= CLOSE, size - 1.0, np.floor(points + 0.5 + CLOSE))
    return _whole(Runs(near[:, 1], near[:, 0], near[:, 0], owners), height, width)


def burn(rows: np.ndarray, firsts: np.ndarray, lasts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """True for the pixels of runs, which lie inside the shape."""
    height, width = shape
    line = width + 1  # a run that ends with its row is closed behind it
    size = height * line
    steps = np.bincount(rows * line + firsts, minlength=size) - np.bincount(rows * line + lasts + 1, minlength=size)
    return np.cumsum(steps.reshape(height, line), axis=1)[:, :width] > 0


def burn_block(
    rows: np.ndarray, firsts: np.ndarray, lasts: np.ndarray, shape: tuple[int, int], axes: tuple[int, int], ndim: int
) -> np.ndarray:
    """The same on the axes of y and x in an array with others, of length one."""
    plane = burn(rows, firsts, lasts, shape)
    sizes = [1] * ndim
    for axis, size in zip(axes, shape, strict=True):
        sizes[axis] = size
    return (plane if axes[0] < axes[1] else plane.T).reshape(sizes)


def _crossings(edges: np.ndarray, rings: np.ndarray, height: int) -> Runs:
    """Runs between each two crossings of a row with the edges of a polygon."""
    x0, y0, x1, y1 = edges.T
    rows, index = _rows(np.ceil(np.minimum(y0, y1)), np.ceil(np.maximum(y0, y1)) - 1, height)
    x0, y0, x1, y1 = x0[index], y0[index], x1[index], y1[index]
    at = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
    owners = rings[index]
    order = np.lexsort((at, rows, owners))
    return Runs(rows[order][::2], at[order][::2], at[order][1::2], owners[order][::2])


def _rows(first: np.ndarray, last: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows from a first to a last one that there are, and the index of the edge that each belongs to."""
    first, last = np.clip(first, 0, height).astype(np.int64), np.clip(last, -1, height - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(counts)), counts)
    behind = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    return first[index] + behind, index


def _whole(runs: Runs, height: int, width: int) -> Runs:
    """Runs from pixel to pixel, without those that hold no pixel of the array."""
    firsts = np.clip(np.ceil(runs.firsts - CLOSE), 0, width).astype(np.int64)
    lasts = np.clip(np.floor(runs.lasts + CLOSE), -1, width - 1).astype(np.int64)
    kept = (firsts <= lasts) & (runs.rows >= 0) & (runs.rows < height)
    return Runs(runs.rows[kept].astype(np.int64), firsts[kept], lasts[kept], runs.owners[kept])
