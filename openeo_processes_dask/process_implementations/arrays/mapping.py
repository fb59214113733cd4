"""Mapping arrays: a process on each element, a choice of elements, values between elements."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openeo_processes_dask import callbacks, lazy, values
from openeo_processes_dask.arguments import instant
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.expressions import Expression, Parameter, references
from openeo_processes_dask.kernels import interpolation, missing
from openeo_processes_dask.vocabulary import (
    Anything,
    ElementCondition,
    ElementProcess,
    Numbers,
    Scaling,
    Values,
)


@declare("arrays", scaling=Scaling.BLOCKWISE, keeps_labels=True)
def array_apply(
    data: Values,
    process: ElementProcess,
    context: Anything = None,
    *,
    axis: int | None = None,
    dim_labels: Sequence[Any] | None = None,
) -> Values:
    """Apply a process to each element of an array.

    On an array of numbers it runs once on each block; where it asks for index or label, the whole axis is brought into
    one chunk before. Labels stay.
    """
    if isinstance(data, (list, tuple)) and not data:
        return []
    expression = _traced(process, context)
    if values.is_list(data, axis):
        labels = values.labels_of(data)
        return values.labelled(_on_list(expression, values.listed(data), labels), labels)
    along = values.axis_of(_array("array_apply", data), axis)
    if not _used(expression) & {"index", "label"}:
        return lazy.elementwise(functools.partial(_on_block, expression, along, None), data)
    return lazy.along(functools.partial(_on_rows, expression, dim_labels), data, along)


@declare("arrays", "filter", scaling=Scaling.SHUFFLE)
def array_filter(
    data: Values,
    condition: ElementCondition,
    context: Anything = None,
    *,
    axis: int | None = None,
    dim_labels: Sequence[Any] | None = None,
) -> Values:
    """Keep those elements of an array for which a condition holds.

    Labels stay with their elements. Rows of numbers must all keep the same length: a condition on index or label
    alone takes the same elements of each, but one on values leaves gaps where it does not hold.
    """
    expression = _traced(condition, context)
    if values.is_list(data, axis):
        found, labels = values.listed(data), values.labels_of(data)
        kept = [i for i, held in enumerate(_on_list(expression, found, labels)) if held is True]
        return values.labelled([found[i] for i in kept], None if labels is None else [labels[i] for i in kept])
    along = values.axis_of(_array("array_filter", data), axis)
    if "x" in _used(expression):
        return lazy.along(functools.partial(_kept, expression, dim_labels), data, along)
    held = _on_list(expression, [None] * data.shape[along], dim_labels)
    return _taken(data, [i for i, each in enumerate(held) if each is True], along)


@declare("arrays", "math", "math > interpolation", scaling=Scaling.SHUFFLE, keeps_labels=True)
def array_interpolate_linear(
    data: Numbers, *, axis: int | None = None, dim_labels: Sequence[Any] | None = None
) -> Numbers:
    """Fill gaps linearly from the values on both sides.

    Labels that are numbers or dates, and ascend or descend, say how far apart elements are; else they count as
    equally far apart. Gaps at the ends stay. The whole axis is brought into one chunk.
    """
    if values.is_list(data, axis):
        labels = values.labels_of(data)
        return values.labelled(_interpolated(values.listed(data), _positions(labels)), labels)
    if _array("array_interpolate_linear", data).dtype.kind not in "biuf":
        raise ProcessParameterInvalid(f"array_interpolate_linear: data must be numbers, not {data.dtype}")
    along = values.axis_of(data, axis)
    return lazy.along(interpolation.linear, data, along, positions=_positions(dim_labels))


# --- a process on elements


def _traced(process: Any, context: Any) -> Expression:
    """A child process of an element; a plain function gets nothing but the element."""
    knows_more = isinstance(process, (Mapping, Expression)) or (callable(process) and callbacks.speaks_openeo(process))
    names = ("x", "index", "label") if knows_more else ("x",)
    return callbacks.trace(process, *names, context=context)


def _used(expression: Expression) -> set[str]:
    """The parameters that a child process makes use of."""
    held = [expression.result, *(value for node in expression.nodes for value in node.arguments.values())]
    return {reference.name for value in held for reference in references(value) if isinstance(reference, Parameter)}


def _on_list(expression: Expression, elements: Sequence[Any], labels: Sequence[Any] | None) -> list[Any]:
    names = [None] * len(elements) if labels is None else labels
    return [
        lazy.native(expression({"x": element, "index": index, "label": label}))
        for index, (element, label) in enumerate(zip(elements, names, strict=True))
    ]


def _on_rows(expression: Expression, labels: Sequence[Any] | None, block: np.ndarray, axis: int) -> np.ndarray:
    return _on_block(expression, axis, labels, block)


def _on_block(expression: Expression, axis: int, labels: Sequence[Any] | None, block: np.ndarray) -> np.ndarray:
    """All elements at once: their indices and labels lie along the axis."""
    shape = tuple(-1 if i == axis else 1 for i in range(block.ndim))
    index = np.arange(block.shape[axis]).reshape(shape)
    label = None if labels is None else np.asarray(labels, None if _all_numbers(labels) else object).reshape(shape)
    result = expression({"x": block, "index": index, "label": label})
    return np.array(np.broadcast_to(math.nan if result is None else result, block.shape))


def _kept(expression: Expression, labels: Sequence[Any] | None, block: np.ndarray, axis: int) -> np.ndarray:
    held = missing.is_true(_on_block(expression, axis, labels, block))
    floats = missing.as_float(block)
    return np.where(held, floats, floats.dtype.type(np.nan))


def _all_numbers(labels: Sequence[Any]) -> bool:
    return all(values.is_number(label) for label in labels)


def _taken(data: Any, kept: list[int], axis: int) -> Any:
    if hasattr(data, "isel"):
        return data.isel({data.dims[axis]: kept})
    return data[(slice(None),) * axis + (kept,)]


# --- interpolation


def _positions(labels: Sequence[Any] | None) -> tuple[float, ...] | None:
    """How far along the axis elements lie by their labels; None if labels do not tell."""
    if labels is None or len(labels) < 2:
        return None
    found = _instants(tuple(labels)) if all(isinstance(label, str) for label in labels) else np.asarray(labels)
    if found.dtype.kind == "O" and all(values.is_number(label) for label in labels):
        found = found.astype(np.float64)
    if found.dtype.kind == "M":
        found = found.astype("datetime64[us]").astype(np.int64)
    if found.dtype.kind not in "iuf":
        return None
    steps = np.diff(found - found[0] if found.dtype.kind == "i" else found.astype(np.float64))
    if not ((steps > 0).all() or (steps < 0).all()):
        return None
    return tuple(np.concatenate([[0.0], np.cumsum(steps, dtype=np.float64)]).tolist())


@functools.lru_cache(maxsize=64)
def _instants(labels: tuple[str, ...]) -> np.ndarray:
    """Texts that are dates as such; else as they are. Each block of a cube asks again, and each strip of one."""
    try:
        found = np.array([instant(label) for label in labels], "datetime64[us]")
    except ProcessParameterInvalid:
        found = np.asarray(labels, object)
    found.flags.writeable = False
    return found


def _interpolated(elements: Sequence[Any], positions: Sequence[float] | None) -> list[Any]:
    for element in elements:
        if not (element is None or values.is_number(element)):
            raise ProcessParameterInvalid(f"array_interpolate_linear: data cannot hold {shown(element)}")
    numbers = [math.nan if element is None else lazy.plain(element) for element in elements]
    filled = _filled(numbers, range(len(numbers)) if positions is None else positions)
    return [
        new if (old is None or old != old) and new == new else old for old, new in zip(elements, filled, strict=True)
    ]


def _filled(numbers: list[Any], at: Sequence[float]) -> list[Any]:
    """A list of numbers as `interpolation.linear` fills it, without the cost of an array."""
    filled, before = list(numbers), None
    for after, value in enumerate(numbers):
        if value != value:
            continue
        if before is not None:
            for gap in range(before + 1, after):
                share = (at[gap] - at[before]) / (at[after] - at[before])
                filled[gap] = (1 - share) * numbers[before] + share * value
        before = after
    return filled


def _array(process: str, data: Any) -> Any:
    if not lazy.is_array(data) or not data.ndim:
        raise ProcessParameterInvalid(f"{process}: an array is needed, not {type(data).__name__}")
    return data
