"""Large blocks taken tile by tile, so that what is between two passes over the values stays in the cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Tile = Callable[[np.ndarray, np.ndarray], None]
Partial = Callable[..., tuple[np.ndarray, ...]]
WIDTH = 8192  # values side by side in a tile
PART = 1 << 15  # values of a part, beside those that are between two passes over it
LEAST = 1 << 18  # smaller blocks are reduced at once


def tiled(partial: Partial) -> Partial:
    """Make a partial reduction of floats go through large blocks by tiles; others, and integers, it gets whole."""

    @functools.wraps(partial)
    def by_tiles(block: np.ndarray, axis: int, skip: bool, **options: Any) -> tuple[np.ndarray, ...]:
        before, beside = block.shape[:axis], block.shape[axis + 1 :]
        width = int(np.prod(beside))
        if block.dtype.kind != "f" or block.size < LEAST or width < WIDTH or not block.flags.c_contiguous:
            return partial(block, axis, skip, **options)
        rows = block.reshape(-1, block.shape[axis], width)
        results: list[np.ndarray] = []
        for place in range(rows.shape[0]):
            for start in range(0, width, WIDTH):
                parts = partial(rows[place, :, start : start + WIDTH], 0, skip, **options)
                if not results:
                    results = [np.empty((rows.shape[0], width), part.dtype) for part in parts]
                for result, part in zip(results, parts, strict=True):
                    result[place, start : start + WIDTH] = part[0]
        return tuple(result.reshape(*before, 1, *beside) for result in results)

    return by_tiles


def parts(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Where the parts of a block are that fit the cache: all of it, if it is small."""
    if np.prod(shape) < LEAST:
        yield (...,)
        return
    cut = next(axis for axis in range(len(shape)) if np.prod(shape[axis + 1 :]) <= PART)
    step = max(1, PART // int(np.prod(shape[cut + 1 :])))
    for index in np.ndindex(shape[:cut]):
        for start in range(0, shape[cut], step):
            yield (*index, slice(start, start + step))


def mapped(kernel: Tile, block: np.ndarray, axis: int) -> np.ndarray:
    """Fill a block of the same shape and type: `kernel(tile, out)` gets tiles whose rows lie along the first axis."""
    if not block.size:
        return block.copy()
    length, width = block.shape[axis], int(np.prod(block.shape[axis + 1 :]))
    if width >= WIDTH // 8 or axis == 0:
        rows = np.ascontiguousarray(block).reshape(-1, length, width)
    else:
        rows = np.ascontiguousarray(np.moveaxis(block, axis, 0)).reshape(1, length, -1)
    results = np.empty_like(rows)
    for row, result in zip(rows, results, strict=True):
        for start in range(0, row.shape[1], WIDTH):
            kernel(row[:, start : start + WIDTH], result[:, start : start + WIDTH])
    if results.shape[2] == width:
        return results.reshape(block.shape)
    moved = results.reshape(length, *(n for i, n in enumerate(block.shape) if i != axis))
    return np.moveaxis(moved, 0, axis)
