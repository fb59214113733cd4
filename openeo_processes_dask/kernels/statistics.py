"""Statistics along an axis: how each reduces a block, and how partial results of several blocks combine."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from openeo_processes_dask.kernels import compiled
from openeo_processes_dask.kernels.missing import counted, gaps_as, is_true, same, wide_of
from openeo_processes_dask.kernels.reduction import Reduction, combined, folded
from openeo_processes_dask.kernels.tiling import tiled

Part = tuple[np.ndarray, ...]


# --- sums


def _sum(block: np.ndarray, axis: int, skip: bool) -> Part:
    """Total and number of values; without `skip` a gap makes the total missing."""
    return _totals(block, axis, skip) if compiled.usable(block) else _plain_sum(block, axis, skip)


def _totals(block: np.ndarray, axis: int, skip: bool) -> Part:
    return compiled.reduced("totals", block, axis, [(np.float64, 1), (np.int64, 1)], skip)


@tiled
def _plain_sum(block: np.ndarray, axis: int, skip: bool) -> Part:
    count = counted(block, axis, skip)
    if block.dtype.kind == "f":
        values = gaps_as(block, 0) if skip else block
        return values.sum(axis, dtype=np.float64, keepdims=True), count
    return _integer_sum(block, axis), count


def _integer_sum(block: np.ndarray, axis: int) -> np.ndarray:
    target = wide_of(block.dtype)
    total = block.sum(axis, dtype=target, keepdims=True)
    if block.dtype.itemsize < 8 or not block.size:
        return total
    return _within(total, block.sum(axis, dtype=np.float64, keepdims=True))


def _within(values: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Integers that may have wrapped around, at the limits of their type where the estimate lies beyond them."""
    limits = np.iinfo(values.dtype)
    values = np.where(estimate >= float(limits.max), values.dtype.type(limits.max), values)
    return np.where(estimate < float(limits.min), values.dtype.type(limits.min), values)


def _plus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return a + b
    return _within(a + b, a.astype(np.float64) + b.astype(np.float64))


def _merge_sums(parts: list[Part]) -> Part:
    return folded(_plus, [p[0] for p in parts]), folded(np.add, [p[1] for p in parts])


def _final_sum(part: Part, dtype: np.dtype) -> np.ndarray:
    total, count = part
    if total.dtype.kind != "f":
        return total.astype(dtype)
    return np.where(count == 0, np.nan, total).astype(dtype)


def _final_mean(part: Part, dtype: np.dtype) -> np.ndarray:
    total, count = part
    return np.divide(total, count).astype(dtype)


def _mean(block: np.ndarray, axis: int, skip: bool) -> Part:
    """Total in floating point and number of values."""
    return _totals(block, axis, skip) if compiled.usable(block) else _plain_mean(block, axis, skip)


@tiled
def _plain_mean(block: np.ndarray, axis: int, skip: bool) -> Part:
    values = gaps_as(block, 0) if skip and block.dtype.kind == "f" else block
    return values.sum(axis, dtype=np.float64, keepdims=True), counted(block, axis, skip)


def _of_whole_blocks(reduction: Reduction, divided: bool) -> Reduction:
    """The same statistic, for which a block that is not one of many makes no partial results."""
    whole = functools.partial(_mean_of_block, reduction.whole, divided)
    return dataclasses.replace(reduction, whole=whole, grouped=functools.partial(_means_of_groups, divided))


def _mean_of_block(plain: Callable[..., Any], divided: bool, block: np.ndarray, axis: int, skip: bool) -> np.ndarray:
    if not compiled.usable(block):
        return plain(block, axis, skip)
    return compiled.reduced("means", block, axis, [(block.dtype, 1)], skip, divided)[0]


def _means_of_groups(
    divided: bool, block: np.ndarray, axis: int, groups: Sequence[Sequence[int]], skip: bool
) -> np.ndarray | None:
    if not compiled.usable(block):
        return None
    results, options = [(block.dtype, len(groups))], compiled.members(groups)
    return compiled.reduced("loops_of_groups.means", block, axis, results, skip, divided, *options)[0]


# --- products


def _product(block: np.ndarray, axis: int, skip: bool) -> Part:
    """Product and number of values; integers are estimated in floating point too, to see where they end."""
    if compiled.usable(block):
        results = [(np.float64, 1), (np.int64, 1)]
        product, count = compiled.reduced("products", block, axis, results, skip)
        return product, product, count
    return _plain_product(block, axis, skip)


@tiled
def _plain_product(block: np.ndarray, axis: int, skip: bool) -> Part:
    count = counted(block, axis, skip)
    if block.dtype.kind == "f":
        values = gaps_as(block, 1) if skip else block
        product = values.prod(axis, dtype=np.float64, keepdims=True)
        return product, product, count
    exact = block.prod(axis, dtype=wide_of(block.dtype), keepdims=True)
    return exact, block.prod(axis, dtype=np.float64, keepdims=True), count


def _merge_products(parts: list[Part]) -> Part:
    exact, estimate, count = (folded(f, [p[i] for p in parts]) for i, f in enumerate((np.multiply,) * 2 + (np.add,)))
    return exact, estimate, count


def _final_product(part: Part, dtype: np.dtype) -> np.ndarray:
    exact, estimate, count = part
    if exact.dtype.kind != "f":
        return _within(exact, estimate).astype(dtype)
    return np.where(count == 0, np.nan, exact).astype(dtype)


# --- moments


def _moments(block: np.ndarray, axis: int, skip: bool) -> Part:
    """Number of values, their mean, and the sum of squared differences from it."""
    if compiled.usable(block):
        return compiled.reduced("moments", block, axis, [(np.int64, 1), (np.float64, 1), (np.float64, 1)], skip)
    return _plain_moments(block, axis, skip)


@tiled
def _plain_moments(block: np.ndarray, axis: int, skip: bool) -> Part:
    values = (gaps_as(block, 0) if skip and block.dtype.kind == "f" else block).astype(np.float64)
    count = counted(block, axis, skip)
    centre = values.sum(axis, keepdims=True) / count
    values -= centre
    np.square(values, out=values)
    if skip and block.dtype.kind == "f":
        values *= np.equal(block, block)
    return count, centre, values.sum(axis, keepdims=True)


def _merge_moments(parts: list[Part]) -> Part:
    return folded(_pair_of_moments, parts)


def _pair_of_moments(a: Part, b: Part) -> Part:
    """Two sets of moments as one (Chan, Golub and LeVeque 1979); an empty set changes nothing."""
    count = a[0] + b[0]
    apart = b[1] - a[1]
    centre = a[1] + apart * (b[0] / count)
    squares = a[2] + b[2] + apart * apart * (a[0] * (b[0] / count))
    for one, other in ((a, b), (b, a)):
        nothing = one[0] == 0
        if nothing.any():
            centre = np.where(nothing, other[1], centre)
            squares = np.where(nothing, other[2], squares)
    return count, centre, squares


def _final_variance(part: Part, dtype: np.dtype) -> np.ndarray:
    count, _, squares = part
    return np.where(count > 1, squares / (count - 1), np.nan).astype(dtype)


def _final_sd(part: Part, dtype: np.dtype) -> np.ndarray:
    count, _, squares = part
    return np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan).astype(dtype)


# --- extremes


def _extreme(ufunc: np.ufunc, block: np.ndarray, axis: int) -> np.ndarray:
    if block.shape[axis]:
        return ufunc.reduce(block, axis, keepdims=True)
    shape = tuple(1 if i == axis else n for i, n in enumerate(block.shape))
    return np.full(shape, _NEUTRAL[ufunc](block.dtype), block.dtype)


def _most(dtype: np.dtype) -> Any:
    return np.iinfo(dtype).max if dtype.kind in "iu" else dtype.kind == "b" or np.inf


def _least(dtype: np.dtype) -> Any:
    return np.iinfo(dtype).min if dtype.kind in "iu" else 0 if dtype.kind == "b" else -np.inf


def _gap_or(integer: Callable[[np.dtype], Any]) -> Callable[[np.dtype], Any]:
    return lambda dtype: np.nan if dtype.kind == "f" else integer(dtype)


# What a block without values contributes, so that it changes nothing when it is combined.
_NEUTRAL: dict[np.ufunc, Callable[[np.dtype], Any]] = {
    np.minimum: _most,
    np.maximum: _least,
    np.fmin: _gap_or(_most),
    np.fmax: _gap_or(_least),
}


def _extremes(ufuncs: Sequence[np.ufunc], block: np.ndarray, axis: int, skip: bool) -> Part:
    return tuple(_extreme(ufunc, block, axis) for ufunc in ufuncs)


def _merge_extremes(ufuncs: Sequence[np.ufunc], parts: list[Part]) -> Part:
    return tuple(folded(ufunc, [p[i] for p in parts]) for i, ufunc in enumerate(ufuncs))


def _final(part: Part, dtype: np.dtype) -> Any:
    results = tuple(values.astype(dtype, copy=False) for values in part)
    return results if len(results) > 1 else results[0]


def _of_extremes(name: str, *ufuncs: np.ufunc) -> Reduction:
    partial, merge = functools.partial(_extremes, ufuncs), functools.partial(_merge_extremes, ufuncs)
    return combined(partial, merge, _final, same, results=len(ufuncs), name=name)


# --- counts


def _count(block: np.ndarray, axis: int, skip: bool, condition: Callable[[Any], Any] | None = None) -> Part:
    """How many values are finite, or for how many a condition holds."""
    if condition is None:
        chosen = np.isfinite(block) if block.dtype.kind == "f" else np.ones(block.shape, np.bool_)
    else:
        chosen = np.broadcast_to(is_true(condition(block)), block.shape)
    return (chosen.sum(axis, dtype=np.int64, keepdims=True),)


def _merge_counts(parts: list[Part]) -> Part:
    return (folded(np.add, [p[0] for p in parts]),)


def _int64(dtype: Any) -> np.dtype:
    return np.dtype(np.int64)


# --- all together; where gaps are heeded, not skipped, some combine in another way

SUM = _of_whole_blocks(combined(_sum, _merge_sums, _final_sum, wide_of, name="sum"), divided=False)
PRODUCT = combined(_product, _merge_products, _final_product, wide_of, name="product")
MEAN = _of_whole_blocks(combined(_mean, _merge_sums, _final_mean, name="mean"), divided=True)
VARIANCE = combined(_moments, _merge_moments, _final_variance, name="variance")
SD = combined(_moments, _merge_moments, _final_sd, name="sd")
COUNT = combined(_count, _merge_counts, _final, _int64, empty=0, name="count")
MIN = {True: _of_extremes("min", np.fmin), False: _of_extremes("min", np.minimum)}
MAX = {True: _of_extremes("max", np.fmax), False: _of_extremes("max", np.maximum)}
EXTREMA = {
    True: _of_extremes("extrema", np.fmin, np.fmax),
    False: _of_extremes("extrema", np.minimum, np.maximum),
}
