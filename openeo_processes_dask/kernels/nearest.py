"""The nearest of several positions along an axis: by distance alone, or the nearest that holds a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def indices(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """For each target the index of the nearest point; of two as near, the lower one."""
    order = np.argsort(points, kind="stable")
    ascending = points[order]
    above = np.clip(np.searchsorted(ascending, targets), 1, max(len(points) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(points) - 1)
    lower = (targets - ascending[below]) <= (ascending[above] - targets)
    return order[np.where(lower, below, above)]


def candidates(points: np.ndarray, targets: np.ndarray, limit: object) -> list[list[int]]:
    """For each target the indices of the points nearer than a limit, the nearest first and the lower of two first."""
    order = np.argsort(points, kind="stable")
    ascending = points[order]
    first = np.searchsorted(ascending, targets - limit, side="right")
    last = np.searchsorted(ascending, targets + limit, side="left")
    found = []
    for target, start, stop in zip(targets, first, last, strict=True):
        near = np.argsort(np.abs(ascending[start:stop] - target), kind="stable")
        found.append(order[start:stop][near].tolist())
    return found


def valid(block: np.ndarray, axis: int, near: Sequence[Sequence[int]], fill: float | None, kind: str) -> np.ndarray:
    """For each list of candidates the first valid value of each row, or no-data: `fill`, or else NaN.

    Integers without a no-data value are asked for only where each list has a candidate.
    """
    rows = np.moveaxis(block, axis, 0)
    gap = (np.nan if np.dtype(kind).kind == "f" else 0) if fill is None else fill
    out = np.full((len(near), *rows.shape[1:]), gap, kind)
    for result, few in zip(out, near, strict=True):
        waiting = np.ones(result.shape, bool)
        for index in few:
            values = rows[index]
            held = waiting & np.isfinite(values)
            if fill is not None:
                held &= values != fill
            np.copyto(result, values, where=held, casting="unsafe")
            waiting &= ~held
    return np.moveaxis(out, 0, axis)
