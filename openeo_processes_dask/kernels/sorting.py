"""Order along an axis: sorted values, their positions, and statistics of order, gaps left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openeo_processes_dask.kernels.missing import as_float
from openeo_processes_dask.kernels.reduction import Reduction


def quantiles(block: np.ndarray, axis: int, skip: bool, probabilities: Sequence[float]) -> np.ndarray:
    """Quantiles of type 7 (linear between the neighbours), one for each probability, along the axis."""
    ranked, valid = _ranked(block, axis, skip)
    found = [_quantile(ranked, valid, axis, p) for p in probabilities]
    return np.concatenate(found, axis) if found else ranked.take([], axis)


def median(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The value in the middle, or the mean of the two in the middle."""
    ranked, valid = _ranked(block, axis, skip)
    low, high = _at(ranked, (valid - 1) // 2, axis), _at(ranked, valid // 2, axis)
    return np.where(valid > 0, np.where(low == high, low, (low + high) / 2), np.nan).astype(ranked.dtype)


def _ranked(block: np.ndarray, axis: int, skip: bool) -> tuple[np.ndarray, np.ndarray]:
    """The values in ascending order with gaps at the end, and how many values there are: none where gaps are heeded."""
    ranked = np.sort(as_float(block), axis)
    valid = ranked.shape[axis] - np.isnan(ranked).sum(axis, dtype=np.intp, keepdims=True)
    if not skip:
        valid = np.where(valid < ranked.shape[axis], 0, valid)
    return ranked, valid


def _quantile(ranked: np.ndarray, valid: np.ndarray, axis: int, probability: float) -> np.ndarray:
    position = np.maximum(valid - 1, 0) * float(probability)
    below = np.floor(position).astype(np.intp)
    share = (position - below).astype(ranked.dtype)
    low, high = _at(ranked, below, axis), _at(ranked, np.minimum(below + 1, valid - 1), axis)
    between = low + (high - low) * share
    infinite = ~np.isfinite(between)
    if infinite.any():  # infinity minus infinity has no value, but infinity is still the lower or the upper neighbour
        weighed = np.where(share == 0, low, (1 - share) * low + share * high)
        between = np.where(infinite, weighed, between)
    return np.where(valid > 0, between, np.nan).astype(ranked.dtype)


def _at(ranked: np.ndarray, rank: Any, axis: int) -> np.ndarray:
    """The values of a rank, which differs from row to row."""
    first = rank.flat[0] if rank.size else 0
    if first >= 0 and (rank == first).all():
        return ranked.take([first], axis)
    return np.take_along_axis(ranked, np.maximum(rank, 0), axis)


# --- sorting


def order(block: np.ndarray, axis: int, asc: bool, nodata: bool | None) -> np.ndarray:
    """The positions of the values in their order, ties as they come; gaps last, or first, or left out.

    Where gaps are left out, positions are floats, and gaps stand behind those of the values.
    """
    positions = _positions(block, axis, asc)
    if block.dtype.kind != "f" or nodata is True:
        return positions
    gap = np.isnan(np.take_along_axis(block, positions, axis))
    if nodata is None:
        return np.where(gap, np.nan, positions)
    return np.take_along_axis(positions, _rolled(gap, axis), axis)


def sort(block: np.ndarray, axis: int, asc: bool, nodata: bool | None) -> np.ndarray:
    """The values in their order; gaps last, or first where `nodata` is false."""
    ranked = np.sort(block, axis)
    if block.dtype.kind != "f":
        return ranked if asc else np.flip(ranked, axis)
    gap = np.isnan(ranked)
    if not asc:
        ranked, gap = np.flip(ranked, axis), np.flip(gap, axis)
    if asc == (nodata is False) and gap.any():
        return np.take_along_axis(ranked, _rolled(gap, axis), axis)
    return ranked


def rearrange(block: np.ndarray, order: np.ndarray, axis: int) -> np.ndarray:
    """The values at positions, which differ from row to row; a gap among the positions is a gap in the result."""
    gap = np.isnan(order) if order.dtype.kind == "f" else None
    found = np.take_along_axis(block, np.where(gap, 0, order).astype(np.intp) if gap is not None else order, axis)
    return found if gap is None else np.where(gap, np.nan, found)


def _positions(block: np.ndarray, axis: int, asc: bool) -> np.ndarray:
    if asc:
        return np.argsort(block, axis, kind="stable")
    if block.dtype.kind == "f":
        return np.argsort(-block, axis, kind="stable")
    backwards = np.argsort(np.flip(block, axis), axis, kind="stable")
    return np.flip(block.shape[axis] - 1 - backwards, axis)


def _rolled(gap: np.ndarray, axis: int) -> np.ndarray:
    """Where to take values from so that gaps at one end come to the other."""
    length = gap.shape[axis]
    places = np.arange(length).reshape([-1 if i == axis else 1 for i in range(gap.ndim)])
    count = gap.sum(axis, keepdims=True)
    at_start = gap.take([0], axis)
    return (places + np.where(at_start, count, -count)) % length if length else places


MEDIAN = Reduction(median, name="median")
QUANTILES = Reduction(quantiles, results=0, name="quantiles")
