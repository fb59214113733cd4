"""What a statistic along an axis is made of, so that it can run on one block or over a tree of blocks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openeo_processes_dask.kernels import missing

Kernel = Callable[..., Any]


@dataclass(frozen=True)
class Reduction:
    """A statistic along an axis, and how partial results of it are combined.

    `whole(block, axis, skip)` reduces a block and keeps the axis, with length one or, if there are several results a
    row, with their number. `partial(block, axis, skip)` makes a tuple of arrays whose axis has length one,
    `merge(parts)` one such tuple of a list of them along the axis, and `final(part, dtype)` the result or a tuple of
    results. `dtype` tells the type of the results from that of the block, `empty` what comes of an axis without
    values (NaN is no-data), `ordered` that the order along the axis counts, `results` how many there are a row (0 if
    that depends on options), and `name` what the statistic is called in a graph. `grouped(block, axis, groups, skip)`
    reduces groups of rows of a block at once, one after the other along the axis, where there is a quick way to do it;
    it answers None for blocks for which there is none.

    A statistic of order says with `ranks(valid, **options)` which of so many values it needs, arrays of one rank a row
    that lie along a new last axis, and makes its results, along the same axis, of these in `chosen(values, valid,
    **options)`.
    """

    whole: Kernel
    partial: Kernel | None = None
    merge: Kernel | None = None
    final: Kernel | None = None
    dtype: Callable[[np.dtype], np.dtype] = missing.float_of
    empty: Any = np.nan
    ordered: bool = False
    results: int = 1
    name: str = "reduction"
    grouped: Kernel | None = None
    ranks: Kernel | None = None
    chosen: Kernel | None = None


def combined(
    partial: Kernel,
    merge: Kernel,
    final: Kernel,
    dtype: Callable[[np.dtype], np.dtype] = missing.float_of,
    empty: Any = np.nan,
    ordered: bool = False,
    results: int = 1,
    name: str = "reduction",
) -> Reduction:
    """A statistic that reduces a whole block just as it reduces one of many."""
    whole = functools.partial(_whole, partial, final, dtype)
    return Reduction(whole, partial, merge, final, dtype, empty, ordered, results, name)


def _whole(
    partial: Kernel,
    final: Kernel,
    dtype: Callable[[np.dtype], np.dtype],
    block: Any,
    axis: int,
    skip: bool,
    **options: Any,
) -> Any:
    return joined(final(partial(block, axis, skip, **options), dtype(block.dtype)), axis)


def joined(results: Any, axis: int) -> Any:
    """Several results a row as one array, along the axis."""
    return np.concatenate(results, axis) if isinstance(results, tuple) else results


def folded(function: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    """Values combined from first to last."""
    return functools.reduce(function, values)
