"""Filling gaps along an axis from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def linear(block: np.ndarray, axis: int, positions: Sequence[float] | None = None) -> np.ndarray:
    """Fill gaps between two values linearly; those before the first and after the last value stay.

    Positions along the axis are counted if they are not given. Infinity is a value.
    """
    if block.dtype.kind != "f":
        return block
    rows = np.moveaxis(block, axis, -1)
    length = rows.shape[-1]
    gap = np.isnan(rows)
    if not gap.any():
        return block
    places = np.arange(length)
    before = np.maximum.accumulate(np.where(gap, -1, places), -1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(gap, length, places), -1), -1), -1)
    where = np.nonzero(gap & (before >= 0) & (after < length))
    low, high = before[where], after[where]
    x = np.asarray(places if positions is None else positions, np.float64)
    share = ((x[where[-1]] - x[low]) / (x[high] - x[low])).astype(block.dtype)
    filled = rows.copy()
    filled[where] = (1 - share) * rows[(*where[:-1], low)] + share * rows[(*where[:-1], high)]
    return np.moveaxis(filled, -1, axis)
