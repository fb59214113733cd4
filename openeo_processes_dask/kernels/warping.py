"""Nearest and bilinear pixels of another grid, from coordinates that do not depend on how a grid is cut into blocks.

Where a pixel of the target lies on the source is computed exactly for the nodes of a lattice, which are fixed pixels of
the whole target grid, and between four of them linearly. A cell of the lattice in which that would be wrong by more
than a hundredth of a pixel gets the exact coordinates of all its pixels. So each pixel has the same coordinates in
whichever block it is computed, and most of them cost next to nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from pyproj import Transformer

from openeo_processes_dask.kernels import compiled

METHODS = frozenset({"near", "bilinear"})
STEP = 16  # pixels of the target between the nodes of the lattice
TOLERANCE = 0.01  # of a source pixel
LEAST_SCALE = 0.95  # where target pixels are larger, bilinear means are taken over more than four pixels
GUARD = 1e-10  # of a pixel: what lies on an edge belongs to the pixel after it, whatever rounding did
STRIP = 512  # rows of the target at a time


@dataclass(frozen=True)
class Grid:
    """A whole grid: its CRS, None for one that is that of the other grid, its transform and size (rows, columns)."""

    crs: str | None
    affine: Affine
    size: tuple[int, int]


@functools.lru_cache(64)
def transformer(source: str, target: str) -> Transformer:
    """What brings coordinates (x, y) from one CRS to another: finding it out takes far longer than using it."""
    return Transformer.from_crs(source, target, always_xy=True)


def places(target: Grid, source: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where places of the target, in its pixels, lie in pixels of the source; infinity or NaN where nowhere."""
    across, down = _mapped(target.affine, x, y)
    if target.crs is not None and source.crs is not None and target.crs != source.crs:
        across, down = transformer(target.crs, source.crs).transform(across, down)
    with np.errstate(invalid="ignore"):
        return _mapped(~source.affine, np.asarray(across), np.asarray(down))


def _mapped(affine: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


@dataclass(frozen=True)
class Way:
    """From which grid to which, by which method, and what stands where the source has nothing."""

    source: Grid
    target: Grid
    method: str
    gap: Any


def warped(data: np.ndarray, corner: tuple[int, int], start: tuple[int, int], shape: tuple[int, int], way: Way) -> Any:
    """Values (..., y, x) of a part of the target, of some shape, from a part of the source at a corner of it."""
    planes = np.ascontiguousarray(data).reshape(-1, *data.shape[-2:])
    out = np.empty((len(planes), *shape), planes.dtype)
    if way.method == "near":  # whose values are only moved, whatever they mean
        bits = np.dtype(f"u{planes.dtype.itemsize}")
        fill(planes.view(bits), corner, start, way, np.array(way.gap, planes.dtype).view(bits)[()], out.view(bits))
    else:
        fill(planes, corner, start, way, planes.dtype.type(way.gap), out)
    return out.reshape(*data.shape[:-2], *shape)


def fill(
    planes: np.ndarray, corner: tuple[int, int], start: tuple[int, int], way: Way, gap: Any, out: np.ndarray
) -> None:
    """Fill in values (planes, y, x), strip by strip."""
    height, width = out.shape[1:]
    quickly = compiled.available() and out.size >= compiled.LEAST
    for first in range(0, height, STRIP):
        rows = min(STRIP, height - first)
        xs, ys = coordinates(way.source, way.target, (start[0] + first, start[1]), (rows, width))
        rest = (corner, way.source.size, GUARD, gap)
        if quickly:
            compiled.run(_LOOPS[way.method], [planes, xs, ys], *rest, first, out)
        else:
            _PLAIN[way.method](planes, xs, ys, *rest, out[:, first : first + rows])


def warped_parts(
    parts: list[list[np.ndarray]],
    crop: tuple[tuple[int, int], tuple[int, int]],
    dtype: np.dtype,
    corner: tuple[int, int],
    start: tuple[int, int],
    shape: tuple[int, int],
    way: Way,
) -> np.ndarray:
    """The same from the blocks under it, cut to what is needed, which lies at a corner of the source."""
    return warped(cropped(parts, crop, dtype), corner, start, shape, way)


def cropped(
    parts: list[list[np.ndarray]], crop: tuple[tuple[int, int], tuple[int, int]], dtype: np.dtype
) -> np.ndarray:
    """A window of blocks that lie side by side; nothing beyond it is copied."""
    (top, bottom), (left, right) = crop
    out = np.empty((*parts[0][0].shape[:-2], bottom - top, right - left), dtype)
    down = -top
    for row in parts:
        height, across = row[0].shape[-2], -left
        for block in row:
            width = block.shape[-1]
            if across + width <= 0 or across >= right - left or down + height <= 0 or down >= bottom - top:
                across += width
                continue
            here = (slice(max(down, 0), down + height), slice(max(across, 0), across + width))
            from_ = (slice(max(-down, 0), bottom - top - down), slice(max(-across, 0), right - left - across))
            out[(..., *here)] = block[(..., *from_)]
            across += width
        down += height
    return out


def coordinates(
    source: Grid, target: Grid, start: tuple[int, int], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The places on the source (x, y) of the pixels' centres in a part of the target."""
    nodes, bent = _lattice(source, target, start, shape)
    inside = (start[0] % STEP, start[1] % STEP)
    xs, ys = (_between(node, inside, shape) for node in nodes)
    for cell in zip(*np.nonzero(bent), strict=True):
        rows, columns = (
            slice(max(at * STEP - begin, 0), min((at + 1) * STEP - begin, length))
            for at, begin, length in zip(map(int, cell), inside, shape, strict=True)
        )
        y, x = np.mgrid[rows, columns]
        exact = places(target, source, (x + start[1] + 0.5).ravel(), (y + start[0] + 0.5).ravel())
        xs[rows, columns], ys[rows, columns] = (one.reshape(x.shape) for one in exact)
    return xs, ys


def _lattice(
    source: Grid, target: Grid, start: tuple[int, int], shape: tuple[int, int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """The places on the source of the nodes around a part of the target, and the cells in which they do not serve."""
    first = [at // STEP for at in start]
    cells = [(at + length - 1) // STEP + 1 - cell for at, length, cell in zip(start, shape, first, strict=True)]
    half = [(np.arange(2 * n + 1) / 2 + cell) * STEP for n, cell in zip(cells, first, strict=True)]
    x, y = np.meshgrid(half[1], half[0])
    some = np.ones(x.shape, bool)
    some[1::2, 1::2] = False  # nodes, and the middles between two of them
    found = []
    wrong = np.zeros((cells[0], cells[1]))
    for values in places(target, source, x[some], y[some]):
        at = np.full(x.shape, np.nan)
        at[some] = values
        nodes = at[::2, ::2]
        with np.errstate(invalid="ignore"):
            along = np.abs(at[::2, 1::2] - (nodes[:, :-1] + nodes[:, 1:]) / 2)
            beside = np.abs(at[1::2, ::2] - (nodes[:-1] + nodes[1:]) / 2)
        wrong = np.maximum(wrong, np.maximum(along[:-1], along[1:]) + np.maximum(beside[:, :-1], beside[:, 1:]))
        found.append(np.ascontiguousarray(nodes))
    return found, ~(wrong <= TOLERANCE)


def _between(nodes: np.ndarray, inside: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    out = np.empty(shape)
    if compiled.available() and out.size >= compiled.LEAST // 8:
        compiled.run("loops_of_grids.between", [nodes], STEP, inside[0], inside[1], out)
        return out
    cells, shares = [], []
    for start, length in zip(inside, shape, strict=True):
        at = start + np.arange(length)
        cells.append(at // STEP)
        shares.append((at - cells[-1] * STEP + 0.5) / STEP)
    with np.errstate(invalid="ignore"):
        rows = nodes[cells[0]] * (1.0 - shares[0])[:, None] + nodes[cells[0] + 1] * shares[0][:, None]
        return rows[:, cells[1]] * (1.0 - shares[1]) + rows[:, cells[1] + 1] * shares[1]


def _nearest_pixel(
    xs: np.ndarray, ys: np.ndarray, corner: tuple[int, int], size: tuple[int, int], shape: tuple[int, ...], guard: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the pixel under each place, and whether it is there."""
    inside = (xs > -guard) & (ys > -guard) & (xs < size[1]) & (ys < size[0])
    columns = np.minimum(np.floor(np.where(inside, xs, 0) + guard), size[1] - 1).astype(np.intp) - corner[1]
    rows = np.minimum(np.floor(np.where(inside, ys, 0) + guard), size[0] - 1).astype(np.intp) - corner[0]
    there = inside & (rows >= 0) & (columns >= 0) & (rows < shape[1]) & (columns < shape[2])
    return np.where(there, rows, 0), np.where(there, columns, 0), there


def _nearest(
    planes: np.ndarray,
    xs: np.ndarray,
    ys: np.ndarray,
    corner: tuple[int, int],
    size: tuple[int, int],
    guard: float,
    gap: Any,
    out: np.ndarray,
) -> None:
    rows, columns, there = _nearest_pixel(xs, ys, corner, size, planes.shape, guard)
    out[...] = np.where(there, planes[:, rows, columns], gap) if 0 not in planes.shape else gap


def _bilinear(
    planes: np.ndarray,
    xs: np.ndarray,
    ys: np.ndarray,
    corner: tuple[int, int],
    size: tuple[int, int],
    guard: float,
    gap: Any,
    out: np.ndarray,
) -> None:
    rows, columns, there = _nearest_pixel(xs, ys, corner, size, planes.shape, guard)
    near = planes[:, rows, columns]
    x, y = np.where(there, xs, 0) - 0.5, np.where(there, ys, 0) - 0.5
    east, south = x - np.floor(x), y - np.floor(y)
    c, r = np.floor(x).astype(np.intp) - corner[1], np.floor(y).astype(np.intp) - corner[0]
    total, weight = np.zeros(near.shape), np.zeros(near.shape)
    for down in range(2):
        for across in range(2):
            at, beside = r + down, c + across
            inside = (at >= 0) & (beside >= 0) & (at < planes.shape[1]) & (beside < planes.shape[2])
            values = planes[:, np.where(inside, at, 0), np.where(inside, beside, 0)]
            share = (south if down else 1.0 - south) * (east if across else 1.0 - east)
            known = inside & (values == values)
            total += np.where(known, share * values, 0.0)
            weight += np.where(known, share, 0.0)
    with np.errstate(invalid="ignore"):
        made = np.where(weight < 1.0, total / np.where(weight == 0, 1.0, weight), total)
    out[...] = np.where(there & (near == near), made, gap)


_PLAIN = {"near": _nearest, "bilinear": _bilinear}
_LOOPS = {"near": "loops_of_grids.nearest", "bilinear": "loops_of_grids.bilinear"}
