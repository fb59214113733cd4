"""Order statistics along an axis: medians and quantiles, gaps left out."""

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


MEDIAN = Reduction(median, name="median")
QUANTILES = Reduction(quantiles, results=0, name="quantiles")
