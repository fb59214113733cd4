"""Running totals: each value together with all before it."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from openeo_processes_dask import lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.kernels import cumulative
from openeo_processes_dask.vocabulary import Flag, Numbers, Scaling


@declare("math > cumulative", scaling=Scaling.SCAN, experimental=True, keeps_labels=True)
def cummax(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None) -> Numbers:
    """Largest value so far.

    The type stays as it is. Of an axis in several chunks one follows the other.
    """
    return _cumulated(cumulative.cummax, _larger, data, ignore_nodata, axis)


@declare("math > cumulative", scaling=Scaling.SCAN, experimental=True, keeps_labels=True)
def cummin(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None) -> Numbers:
    """Smallest value so far.

    The type stays as it is. Of an axis in several chunks one follows the other.
    """
    return _cumulated(cumulative.cummin, _smaller, data, ignore_nodata, axis)


@declare("math > cumulative", scaling=Scaling.SCAN, experimental=True, keeps_labels=True)
def cumproduct(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None) -> Numbers:
    """Product so far.

    Integers stay integers, others are multiplied in float64. Of an axis in several chunks one follows the other.
    """
    return _cumulated(cumulative.cumproduct, operator.mul, data, ignore_nodata, axis)


@declare("math > cumulative", scaling=Scaling.SCAN, experimental=True, keeps_labels=True)
def cumsum(data: Numbers, ignore_nodata: Flag = True, *, axis: int | None = None) -> Numbers:
    """Sum so far.

    Integers stay integers, others are summed in float64. Of an axis in several chunks one follows the other.
    """
    return _cumulated(cumulative.cumsum, operator.add, data, ignore_nodata, axis)


def _larger(a: Any, b: Any) -> Any:
    return math.nan if a != a or b != b else max(a, b)


def _smaller(a: Any, b: Any) -> Any:
    return math.nan if a != a or b != b else min(a, b)


def _cumulated(
    kernel: Callable[..., Any], pair: Callable[[Any, Any], Any], data: Any, ignore_nodata: bool, axis: int | None
) -> Any:
    """Cumulate an array along an axis by `kernel`, or a list by combining two values at a time."""
    ignore_nodata = values.flag(kernel.__name__, "ignore_nodata", ignore_nodata)
    if values.is_plain_array(data):
        data = values.listed(data)
    if isinstance(data, (list, tuple)):
        return _cumulated_list(kernel.__name__, pair, data, ignore_nodata)
    if not lazy.is_array(data) or data.dtype.kind not in "biuf":
        raise ProcessParameterInvalid(f"{kernel.__name__}: data must be an array of numbers, not {shown(data)}")
    return lazy.scan(kernel, cumulative.step, data, values.axis_of(data, axis), skip=ignore_nodata)


def _cumulated_list(
    process: str, pair: Callable[[Any, Any], Any], data: Sequence[Any], ignore_nodata: bool
) -> list[Any]:
    found = [lazy.native(value) for value in data]
    for value in found:
        if not (value is None or values.is_number(value)):
            raise ProcessParameterInvalid(f"{process}: data cannot hold {shown(value)} ({type(value).__name__})")
    gaps = [values.is_nodata(value) for value in found]
    if not ignore_nodata and any(gaps):
        first = gaps.index(True)
        rest = found[first]
        return [*_cumulated_list(process, pair, found[:first], True), *[rest] * (len(found) - first)]
    running = itertools.accumulate((v for v, gap in zip(found, gaps, strict=True) if not gap), pair)
    return [value if gap else next(running) for value, gap in zip(found, gaps, strict=True)]
