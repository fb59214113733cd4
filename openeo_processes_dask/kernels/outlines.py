"""Which pixels lie in polygons, on lines and at points, as runs of pixels in rows.

Coordinates are in pixels, and whole numbers are the centres of pixels. A run says: in this row, from the first to the
last pixel. What a shape costs grows with its height and not with its area, and no run depends on how an array is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CLOSE = 1e-6  # of a pixel: as near to an edge, a centre lies on it
MOST_RUNS = 1 << 20  # are held at a time, about


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


class Window(NamedTuple):
    """A part of a grid, from its first row and column on; runs in it are counted from its corner."""

    height: int
    width: int
    top: int = 0
    left: int = 0


@dataclass(frozen=True, eq=False)
class Shapes:
    """Polygons, lines and points, and the number of the shape that each of them is a part of.

    `edges` (n, 4) lead from x, y to x, y, and `rings` say to which polygon each belongs; `lines` (n, 4) are edges too,
    and `points` (n, 2) are x, y.
    """

    edges: np.ndarray
    rings: np.ndarray
    ring_owners: np.ndarray
    lines: np.ndarray
    line_owners: np.ndarray
    points: np.ndarray
    point_owners: np.ndarray

    def runs(self, window: Window) -> Runs:
        """The pixels of a window that they cover; some may come twice."""
        inside = of_polygons(self.edges, self.rings, window)
        inside = inside._replace(owners=self.ring_owners[inside.owners])
        along = of_lines(self.lines, self.line_owners, window)
        return joined([inside, along, of_points(self.points, self.point_owners, window)])

    def covered(self, window: Window) -> np.ndarray:
        """Whether they cover the pixels of a window."""
        size = (window.height, window.width)
        bands = list(self.bands(window))
        if len(bands) == 1:
            return burn(*self.runs(window)[:3], size)
        plane = np.empty(size, bool)
        for band in bands:
            runs = self.between(band.top, band.top + band.height).runs(band)
            plane[band.top - window.top :][: band.height] = burn(*runs[:3], (band.height, band.width))
        return plane

    def bands(self, window: Window) -> Iterator[Window]:
        """A window in as few parts, one below the other, as have not too many runs each."""
        step = max(1, int(MOST_RUNS * window.height / max(self.crossings(window), 1.0)))
        for start in range(0, window.height, step):
            yield window._replace(height=min(step, window.height - start), top=window.top + start)

    def crossings(self, window: Window) -> float:
        """How often rows of a window meet edges, lines and points, about."""
        ends = np.clip(np.concatenate([self.edges, self.lines])[:, [1, 3]], window.top, window.top + window.height)
        return float(np.abs(np.diff(ends)).sum()) + len(self.points)

    def between(self, top: int, bottom: int) -> Shapes:
        """What of them decides on the rows from one to another, which is not among them."""
        edges, lines = (_meeting(some, top, bottom) for some in (self.edges, self.lines))
        points = (self.points[:, 1] >= top - 1) & (self.points[:, 1] <= bottom)
        return Shapes(
            self.edges[edges],
            self.rings[edges],
            self.ring_owners,
            self.lines[lines],
            self.line_owners[lines],
            self.points[points],
            self.point_owners[points],
        )

    def seen_from(self, window: Window) -> Shapes:
        """What of them decides on the pixels of a window; chains of edges on one side of it are one edge each."""
        near = self.between(window.top, window.top + window.height)
        left, right = window.left - 2, window.left + window.width + 1
        edges, kept = _chained(near.edges, near.rings, left, right)
        x = near.lines[:, [0, 2]]
        lines = (x.max(axis=1) >= left) & (x.min(axis=1) <= right)
        points = (near.points[:, 0] >= left) & (near.points[:, 0] <= right)
        return Shapes(
            edges,
            near.rings[kept],
            near.ring_owners,
            near.lines[lines],
            near.line_owners[lines],
            near.points[points],
            near.point_owners[points],
        )


def joined(parts: list[Runs]) -> Runs:
    """Runs from several sources in one."""
    columns = zip(*parts, strict=True)
    return Runs(*(np.concatenate(column).astype(np.int64) for column in columns))


def disjoint(runs: Runs) -> Runs:
    """The same pixels, each but once for its shape, ordered by shape, row and column."""
    if not len(runs.rows):
        return runs
    order = np.lexsort((runs.firsts, runs.rows, runs.owners))
    rows, firsts, lasts, owners = (column[order] for column in runs)
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (owners[1:] != owners[:-1])
    line = np.cumsum(new) * (int(lasts.max()) + 2)  # so far to the side that lines do not meet
    reach = np.maximum.accumulate(lasts + line)
    new[1:] |= firsts[1:] + line[1:] > reach[:-1] + 1
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(rows)) - 1
    return Runs(rows[starts], firsts[starts], reach[ends] - line[ends], owners[starts])


def of_polygons(edges: np.ndarray, rings: np.ndarray, window: Window) -> Runs:
    """The pixels whose centres lie in polygons or on their edges.

    `edges` (n, 4) lead from x, y to x, y, and `rings` say to which polygon each belongs. Holes are rings of the same
    polygon: a pixel is inside where an odd number of edges lies to its left.
    """
    whole = np.round(edges)
    edges = np.where(np.abs(edges - whole) <= CLOSE, whole, edges)
    x0, y0, x1, y1 = edges.T
    level = y0 == y1
    crossing = _crossings(edges[~level], rings[~level], window)
    flat = level & (y0 == np.round(y0))
    along = Runs(y0[flat], np.minimum(x0, x1)[flat], np.maximum(x0, x1)[flat], rings[flat])
    corner = (y0 == np.round(y0)) & (x0 == np.round(x0))
    corners = Runs(y0[corner], x0[corner], x0[corner], rings[corner])
    runs = [_whole(runs, window) for runs in (crossing, along, corners)]
    return joined(runs)


def of_lines(edges: np.ndarray, owners: np.ndarray, window: Window) -> Runs:
    """The pixels that lines run through; `edges` (n, 4) lead from x, y to x, y."""
    up = edges[:, 1] <= edges[:, 3]
    x0, y0, x1, y1 = np.where(up[:, None], edges, edges[:, [2, 3, 0, 1]]).T
    rows, index = _rows(np.floor(y0 + 0.5), np.floor(y1 + 0.5), window)
    x0, y0, x1, y1 = x0[index], y0[index], x1[index], y1[index]
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    ends = []
    for level in (np.maximum(y0, rows - 0.5), np.minimum(y1, rows + 0.5)):
        share = np.clip((level - y0) / rise, 0.0, 1.0)
        ends.append(x0 + share * (x1 - x0))
    ends[1] = np.where(y1 > y0, ends[1], x1)
    firsts, lasts = np.floor(np.minimum(*ends) + 0.5), np.floor(np.maximum(*ends) + 0.5)
    return _whole(Runs(rows, firsts, lasts, owners[index]), window)


def of_points(points: np.ndarray, owners: np.ndarray, window: Window) -> Runs:
    """The pixels with the nearest centres to points (n, 2) of x, y; none for points outside all pixels."""
    near = np.floor(points + 0.5 + CLOSE)
    return _whole(Runs(near[:, 1], near[:, 0], near[:, 0], owners), window)


def burn(rows: np.ndarray, firsts: np.ndarray, lasts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """True for the pixels of runs, which lie inside the shape."""
    height, width = shape
    line = width + 1  # a run that ends with its row is closed behind it
    size = height * line
    steps = np.bincount(rows * line + firsts, minlength=size) - np.bincount(rows * line + lasts + 1, minlength=size)
    return np.cumsum(steps.reshape(height, line), axis=1)[:, :width] > 0


def on_axes(plane: np.ndarray, axes: tuple[int, int], ndim: int) -> np.ndarray:
    """A plane on the axes of y and x in an array with others, of length one."""
    sizes = [1] * ndim
    for axis, size in zip(axes, plane.shape, strict=True):
        sizes[axis] = size
    return (plane if axes[0] < axes[1] else plane.T).reshape(sizes)


def _crossings(edges: np.ndarray, rings: np.ndarray, window: Window) -> Runs:
    """Runs between each two crossings of a row with the edges of a polygon."""
    x0, y0, x1, y1 = edges.T
    rows, index = _rows(np.ceil(np.minimum(y0, y1)), np.ceil(np.maximum(y0, y1)) - 1, window)
    x0, y0, x1, y1 = x0[index], y0[index], x1[index], y1[index]
    at = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
    owners = rings[index]
    order = np.lexsort((at, rows, owners))
    return Runs(rows[order][::2], at[order][::2], at[order][1::2], owners[order][::2])


def _rows(first: np.ndarray, last: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """All rows from a first to a last one that there are, and the index of the edge that each belongs to."""
    bottom = window.top + window.height
    first = np.clip(first, window.top, bottom).astype(np.int64)
    last = np.clip(last, window.top - 1, bottom - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(counts)), counts)
    behind = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    return first[index] + behind, index


def _whole(runs: Runs, window: Window) -> Runs:
    """Runs from pixel to pixel, without those that hold no pixel of the window."""
    left, right, bottom = window.left, window.left + window.width, window.top + window.height
    firsts = np.clip(np.ceil(runs.firsts - CLOSE), left, right).astype(np.int64) - left
    lasts = np.clip(np.floor(runs.lasts + CLOSE), left - 1, right - 1).astype(np.int64) - left
    kept = (firsts <= lasts) & (runs.rows >= window.top) & (runs.rows < bottom)
    return Runs(runs.rows[kept].astype(np.int64) - window.top, firsts[kept], lasts[kept], runs.owners[kept])


def _meeting(edges: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Which edges reach into rows, with half a pixel and a little more on either side."""
    y = edges[:, [1, 3]]
    return (y.max(axis=1) >= top - 1) & (y.min(axis=1) <= bottom)


def _chained(edges: np.ndarray, rings: np.ndarray, left: float, right: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges, those that follow each other beyond columns as upright ones there; and which of them is the first of each.

    A row crosses such a chain and its one edge an even number of times both, or an odd number.
    """
    x = edges[:, [0, 2]]
    side = np.where(x.max(axis=1) < left, -1, np.where(x.min(axis=1) > right, 1, 0))
    follows = (side[1:] == side[:-1]) & (side[1:] != 0) & (rings[1:] == rings[:-1])
    follows &= (edges[1:, :2] == edges[:-1, 2:]).all(axis=1)
    firsts, lasts = np.flatnonzero(np.append(True, ~follows)), np.flatnonzero(np.append(~follows, True))
    firsts, lasts = firsts[: len(edges)], lasts[: len(edges)]  # none where there are no edges
    chains = np.concatenate([edges[firsts, :2], edges[lasts, 2:]], axis=1)
    beyond = side[firsts] != 0
    chains[:, [0, 2]] = np.where(beyond[:, None], np.where(side[firsts] < 0, left, right)[:, None], chains[:, [0, 2]])
    kept = ~beyond | (chains[:, 1] != chains[:, 3])
    return chains[kept], firsts[kept]
