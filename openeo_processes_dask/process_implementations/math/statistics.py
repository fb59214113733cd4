"""Statistics along an axis: an array becomes one value, or a few."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from openeo_processes_dask import callbacks, lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    AscendingProbabilitiesRequired,
    ProcessParameterInvalid,
    QuantilesParameterConflict,
    QuantilesParameterMissing,
    shown,
)
from openeo_processes_dask.kernels import sorting, statistics
from openeo_processes_dask.process_implementations.comparison import is_valid
from openeo_processes_dask.vocabulary import (
    NOT_GIVEN,
    Anything,
    Condition,
    Extrema,
    Flag,
    IntervalCount,
    Number,
    Numbers,
    PlainNumber,
    Probabilities,
    Scaling,
    Values,
)


@declare("arrays", "math > statistics", "reducer", scaling=Scaling.TREE)
def count(
    data: Values,
    condition: Condition = None,
    context: Anything = None,
    *,
    axis: int | None = None,
    keepdims: bool = False,
) -> PlainNumber:
    """Number of elements for which a condition holds.

    Without a condition those that are valid are counted, in arrays the finite ones; with true all of them. A
    condition runs inside the block that it counts in.
    """
    if isinstance(condition, (int, float)) and condition is not True:
        raise ProcessParameterInvalid(f"count: condition must be a process, true or null, not {shown(condition)}")
    check = None if condition is None or condition is True else callbacks.trace(condition, "x", context=context)
    if values.is_plain_array(data):
        data = values.listed(data)
    if isinstance(data, (list, tuple)) and not any(lazy.is_array(v) for v in data):
        if condition is True:
            return len(data)
        return sum(is_valid(v) is True if check is None else lazy.native(check({"x": v})) is True for v in data)
    if condition is True:
        return values.reduced(statistics.COUNT, data, True, axis, keepdims, _anything, _ANY_KIND, condition=_everything)
    if check is None:
        return values.reduced(statistics.COUNT, data, True, axis, keepdims, _anything, _ANY_KIND)
    return values.reduced(statistics.COUNT, data, True, axis, keepdims, _anything, _ANY_KIND, condition=_OnBlock(check))


@declare("math > statistics", scaling=Scaling.TREE)
def extrema(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Extrema:
    """Smallest and largest value, in one pass.

    Both lie along the axis that was reduced, or along the last one if that is not kept.
    """
    return values.reduced(statistics.EXTREMA, data, ignore_nodata, axis, keepdims, scalar=_extrema)


@declare("math", "math > statistics", "reducer", scaling=Scaling.TREE)
def max_(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Largest value.

    The type stays as it is.
    """
    return values.reduced(statistics.MAX, data, ignore_nodata, axis, keepdims, scalar=_max)


@declare("math > statistics", "reducer", scaling=Scaling.TREE)
def mean(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Arithmetic mean (average).

    An array of nothing but no-data has no mean: the result is no-data. Sums are taken in float64.
    """
    return values.reduced(statistics.MEAN, data, ignore_nodata, axis, keepdims, scalar=_mean)


@declare("math > statistics", "reducer", scaling=Scaling.SHUFFLE)
def median(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Median: the value in the middle.

    Between the two values in the middle lies their mean. The whole axis is brought into one chunk.
    """
    return values.reduced(sorting.MEDIAN, data, ignore_nodata, axis, keepdims, scalar=_median)


@declare("math", "math > statistics", "reducer", scaling=Scaling.TREE)
def min_(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Smallest value.

    The type stays as it is.
    """
    return values.reduced(statistics.MIN, data, ignore_nodata, axis, keepdims, scalar=_min)


@declare("math", "reducer", scaling=Scaling.TREE)
def product(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Product of all values.

    Integers stay integers; beyond the limits of 64 bits lie these limits. Nothing has no product, but no-data.
    """
    return values.reduced(statistics.PRODUCT, data, ignore_nodata, axis, keepdims, scalar=math.prod)


@declare("math > statistics", scaling=Scaling.SHUFFLE)
def quantiles(
    data: Numbers,
    probabilities: Probabilities = NOT_GIVEN,
    q: IntervalCount = NOT_GIVEN,
    ignore_nodata: Flag = True,
    *,
    axis: int | None = None,
    keepdims: bool = False,
) -> Numbers:
    """Quantiles: the values below which given shares of the data lie.

    Between two neighbours the value is interpolated linearly (type 7 of Hyndman and Fan). Quantiles lie along the
    axis that was reduced, or along the last one if that is not kept. The whole axis is brought into one chunk.

    Raises
    ------
    QuantilesParameterMissing
        If neither probabilities nor a number of intervals is given.
    QuantilesParameterConflict
        If both are given.
    AscendingProbabilitiesRequired
        If the probabilities do not ascend.
    """
    shares = _shares(probabilities, q)
    return values.reduced(sorting.QUANTILES, data, ignore_nodata, axis, keepdims, probabilities=shares)


@declare("math > statistics", "reducer", scaling=Scaling.TREE)
def sd(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Standard deviation of a sample.

    It is divided by the number of values less one, so a single value has none: NaN.
    """
    return values.reduced(statistics.SD, data, ignore_nodata, axis, keepdims, scalar=_sd)


@declare("math", "reducer", scaling=Scaling.TREE)
def sum_(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Sum of all values.

    Integers stay integers, others are summed in float64. Nothing has no sum, but no-data.
    """
    return values.reduced(statistics.SUM, data, ignore_nodata, axis, keepdims, scalar=sum)


@declare("math > statistics", "reducer", scaling=Scaling.TREE)
def variance(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None, keepdims: bool = False) -> Number:
    """Variance of a sample.

    It is divided by the number of values less one, so a single value has none: NaN. Chunks are combined by their
    means and squared differences, which is as precise as one pass over all values.
    """
    return values.reduced(statistics.VARIANCE, data, ignore_nodata, axis, keepdims, scalar=_variance)


def _variance(data: list[Any]) -> float:
    if len(data) < 2:
        return math.nan
    centre = sum(data) / len(data)
    apart = [float(value - centre) for value in data]
    return sum(difference * difference for difference in apart) / (len(data) - 1)


def _sd(data: list[Any]) -> float:
    return math.sqrt(_variance(data))


_ANY_KIND = "biufmMUSO"

MOST_INTERVALS = 10_000  # a result this many times as large as one value of each row is hardly meant


class _OnBlock:
    """A condition on each value of a block; a class, so that it travels to workers and has a token."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def __call__(self, block: Any) -> Any:
        held = self.condition({"x": block})
        return False if held is None else held

    def __dask_tokenize__(self) -> object:
        return ("openeo-condition", self.condition)


def _everything(block: Any) -> Any:
    return np.True_


def _anything(value: Any) -> bool:
    return True


# --- lists of a few numbers, which numpy would make slow; no number comes of NaN


def _max(numbers: list[Any]) -> Any:
    return math.nan if any(n != n for n in numbers) else max(numbers)


def _min(numbers: list[Any]) -> Any:
    return math.nan if any(n != n for n in numbers) else min(numbers)


def _extrema(numbers: list[Any]) -> list[Any]:
    return [_min(numbers), _max(numbers)]


def _mean(numbers: list[Any]) -> float:
    return sum(numbers) / len(numbers)


def _median(numbers: list[Any]) -> Any:
    if any(n != n for n in numbers):
        return math.nan
    ranked, half = sorted(numbers), len(numbers) // 2
    low, high = ranked[half - 1 + len(ranked) % 2], ranked[half]
    return low if low == high else (low + high) / 2


def _shares(probabilities: Any, q: Any) -> tuple[float, ...]:
    """The probabilities that are meant by either parameter."""
    given = [p for p in (probabilities, q) if p is not NOT_GIVEN and p is not None]
    if not given:
        raise QuantilesParameterMissing("quantiles: either probabilities or a number of intervals is needed")
    if len(given) > 1:
        raise QuantilesParameterConflict(
            f"quantiles: probabilities {shown(probabilities)} and q {shown(q)} were both given"
        )
    asked = lazy.native(given[0])
    if isinstance(asked, np.ndarray):
        asked = asked.tolist()
    if values.is_number(asked):
        intervals = values.whole_number("quantiles", "the number of intervals", asked, least=2)
        if intervals > MOST_INTERVALS:
            raise ProcessParameterInvalid(f"quantiles: {asked} intervals are more than {MOST_INTERVALS}")
        return tuple(i / intervals for i in range(1, intervals))
    if not isinstance(asked, (list, tuple)) or not all(values.is_number(p) and 0 <= p <= 1 for p in asked):
        raise ProcessParameterInvalid(
            f"quantiles: needs probabilities between 0 and 1, or a number of intervals from 2, not {shown(asked)}"
        )
    if any(before > after for before, after in itertools.pairwise(asked)):
        raise AscendingProbabilitiesRequired(f"quantiles: the probabilities {list(asked)} do not ascend")
    return tuple(float(p) for p in asked)
