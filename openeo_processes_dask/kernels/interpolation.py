"""Filling gaps along an axis from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.tiling import mapped


def linear(block: np.ndarray, axis: int, positions: Sequence[float] | None = None) -> np.ndarray:
    """Fill gaps between two values linearly; those before the first and after the last value stay.

    Positions along the axis are counted if they are not given. Infinity is a value.
    """
    if block.dtype.kind != "f":
        return block
    x = np.arange(block.shape[axis], dtype=np.float64) if positions is None else np.asarray(positions, np.float64)
    if compiled.usable(block):
        return compiled.mapped("linear", block, axis, x)

    def fill(tile: np.ndarray, out: np.ndarray) -> None:
        value, place = np.full(tile.shape[1], np.nan, tile.dtype), np.full(tile.shape[1], np.nan)
        places = np.empty(tile.shape, np.float64)
        for i in range(len(tile) - 1, -1, -1):  # the next value after each place, and where it is
            valid = tile[i] == tile[i]
            np.copyto(value, tile[i], where=valid)
            np.copyto(place, x[i], where=valid)
            out[i], places[i] = value, place
        value[:], place[:] = np.nan, np.nan
        for i, row in enumerate(tile):  # the last value before it; where either is missing so is what is between
            valid = row == row
            share = ((x[i] - place) / (places[i] - place)).astype(tile.dtype)
            np.copyto(out[i], (1 - share) * value + share * out[i], where=~valid)
            np.copyto(value, row, where=valid)
            np.copyto(place, x[i], where=valid)

    with np.errstate(all="ignore"):  # what is computed beside gaps is not used
        return mapped(fill, block, axis)
