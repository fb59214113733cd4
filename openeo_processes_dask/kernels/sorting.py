"""Order along an axis: sorted values, their positions, and statistics of order, gaps left out."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.missing import as_float, counted
from openeo_processes_dask.kernels.reduction import Reduction, joined
from openeo_processes_dask.kernels.tiling import tiled

MOST_EXCHANGED = 64  # of more values to sort, a sort compares fewer
MOST_COMPILED = 2048  # compiled, exchanges are so quick that they pay for longer rows
LEAST_LENGTH = 256  # shorter rows are not worth a call of numpy for each exchange


def quantiles(block: np.ndarray, axis: int, skip: bool, probabilities: Sequence[float]) -> np.ndarray:
    """Quantiles of type 7 (linear between the neighbours), one for each probability, along the axis."""
    values = as_float(block)
    if not probabilities:
        return values.take([], axis)
    if compiled.usable(values) and values.shape[axis] <= MOST_COMPILED:
        results = [(values.dtype, len(probabilities))]
        shares = np.array(probabilities, np.float64)
        return compiled.reduced("quantiles", values, axis, results, skip, _pairs(values.shape[axis]), shares)[0]
    return joined(_quantiles(values, axis, skip, probabilities=tuple(probabilities)), axis)


def median(block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    """The value in the middle, or the mean of the two in the middle."""
    values = as_float(block)
    if compiled.usable(values) and values.shape[axis] <= MOST_COMPILED:
        return compiled.reduced("medians", values, axis, [(values.dtype, 1)], skip, _pairs(values.shape[axis]))[0]
    return _median(values, axis, skip)[0]


def medians_of_groups(block: np.ndarray, axis: int, groups: Sequence[Sequence[int]], skip: bool) -> np.ndarray | None:
    """The medians of groups of rows, one after the other along the axis; None for blocks that numpy does as well."""
    longest = max(map(len, groups), default=0)
    if not compiled.usable(block) or longest > MOST_COMPILED:
        return None
    lengths = sorted({len(group) for group in groups})
    ends = dict(zip(lengths, np.cumsum([len(_pairs(n)) for n in lengths]).tolist(), strict=True))
    networks = np.array([(ends[len(g)] - len(_pairs(len(g))), ends[len(g)]) for g in groups], np.int64).reshape(-1, 2)
    pairs = np.concatenate([_pairs(n) for n in lengths]) if lengths else _pairs(0)
    options = (*compiled.members(groups), pairs, networks)
    return compiled.reduced("loops_of_groups.medians", block, axis, [(block.dtype, len(groups))], skip, *options)[0]


@tiled
def _quantiles(block: np.ndarray, axis: int, skip: bool, probabilities: Sequence[float]) -> tuple[np.ndarray, ...]:
    ranked, valid = _ranked(block, axis, skip)
    return tuple(np.expand_dims(_quantile(ranked, valid, p), axis) for p in probabilities)


@tiled
def _median(block: np.ndarray, axis: int, skip: bool) -> tuple[np.ndarray, ...]:
    ranked, valid = _ranked(block, axis, skip)
    middle = _between_two(_at(ranked, (valid - 1) // 2), _at(ranked, valid // 2))
    return (np.expand_dims(_where_valid(valid, middle), axis),)


def _between_two(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.where(low == high, low, (low + high) / 2)


def _ranked(block: np.ndarray, axis: int, skip: bool) -> tuple[np.ndarray, np.ndarray]:
    """The values in ascending order, along the first axis, and how many there are: none where gaps are heeded.

    Behind the values, where gaps were, stands infinity.
    """
    rows = np.moveaxis(block, axis, 0)
    valid = counted(rows, 0)[0]
    rows = np.fmin(rows, rows.dtype.type(np.inf))
    if not skip:
        valid = np.where(valid < len(rows), 0, valid)
    few_and_long = 1 < len(rows) <= MOST_EXCHANGED and rows[0].size >= LEAST_LENGTH
    return (_by_exchanges(rows) if few_and_long else np.sort(rows, 0)), valid


def _by_exchanges(rows: np.ndarray) -> np.ndarray:
    """Few long rows in ascending order, place by place: a sorting network compares whole rows, without branches."""
    held, spare = list(rows), np.empty_like(rows[0])
    for i, j in _exchanges(len(rows)):
        low, high = held[i], held[j]
        held[i] = np.minimum(low, high, out=spare)
        np.maximum(low, high, out=high)
        spare = low
    return np.stack(held)


@functools.cache
def _exchanges(length: int) -> tuple[tuple[int, int], ...]:
    """Pairs of places that are put in order one after the other (Batcher's merge exchange)."""
    pairs: list[tuple[int, int]] = []
    if length < 2:
        return ()
    step = 1 << (length - 1).bit_length() - 1
    part = step
    while part:
        across, offset, distance = step, 0, part
        while True:
            pairs += [(i, i + distance) for i in range(length - distance) if i & part == offset]
            if across == part:
                break
            distance, offset, across = across - part, part, across >> 1
        part >>= 1
    return tuple(pairs)


@functools.cache
def _pairs(length: int) -> np.ndarray:
    """The same pairs as an array."""
    return np.array(_exchanges(length), np.int64).reshape(-1, 2)


def _quantile(ranked: np.ndarray, valid: np.ndarray, probability: float) -> np.ndarray:
    below, above, share = _neighbours(valid, probability)
    between = _weighed(_at(ranked, below), _at(ranked, above), share.astype(ranked.dtype))
    return _where_valid(valid, between)


def _neighbours(valid: np.ndarray, probability: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ranks between which a quantile lies, and how far it is from the lower one."""
    position = np.maximum(valid - 1, 0) * float(probability)
    below = np.floor(position).astype(np.intp)
    return below, np.minimum(below + 1, valid - 1), position - below


def _weighed(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    between = low + (high - low) * share
    infinite = ~np.isfinite(between)
    if infinite.any():  # infinity minus infinity has no value, but infinity is still the lower or the upper neighbour
        weighed = np.where(share == 0, low, (1 - share) * low + share * high)
        between = np.where(infinite, weighed, between)
    return between


def _at(ranked: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The values of a rank, which differs from place to place."""
    first = int(rank.flat[0]) if rank.size else 0
    if first >= 0 and (rank == first).all():
        return ranked[first]
    return np.take_along_axis(ranked, np.maximum(rank, 0)[None], 0)[0]


def _where_valid(valid: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(valid > 0, values, values.dtype.type(np.nan))


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
    if not length:
        return np.zeros(gap.shape, np.intp)
    places = np.arange(length).reshape([-1 if i == axis else 1 for i in range(gap.ndim)])
    count = gap.sum(axis, keepdims=True)
    at_start = gap.take([0], axis)
    return (places + np.where(at_start, count, -count)) % length


# --- from values of some ranks alone


def _median_ranks(valid: np.ndarray) -> np.ndarray:
    return np.stack([np.maximum(valid - 1, 0) // 2, np.maximum(valid, 1) // 2], -1)


def _median_of(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    low, high = np.moveaxis(as_float(values), -1, 0)
    return _where_valid(valid, _between_two(low, high))[..., None]


def _quantile_ranks(valid: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    ranks = [np.maximum(rank, 0) for p in probabilities for rank in _neighbours(valid, p)[:2]]
    return np.stack(ranks, -1) if ranks else np.zeros((*valid.shape, 0), np.intp)


def _quantiles_of(values: np.ndarray, valid: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    values = as_float(values)
    made = np.empty((*valid.shape, len(probabilities)), values.dtype)
    for place, probability in enumerate(probabilities):
        share = _neighbours(valid, probability)[2].astype(values.dtype)
        between = _weighed(values[..., 2 * place], values[..., 2 * place + 1], share)
        made[..., place] = _where_valid(valid, between)
    return made


MEDIAN = Reduction(median, name="median", grouped=medians_of_groups, ranks=_median_ranks, chosen=_median_of)
QUANTILES = Reduction(quantiles, results=0, name="quantiles", ranks=_quantile_ranks, chosen=_quantiles_of)
