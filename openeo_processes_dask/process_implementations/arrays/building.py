"""Building arrays: of values, of other arrays, with and without labels.

A labelled array is a one-dimensional DataArray of objects, along the dimension `labels`, whose labels are its
coordinate: numbers and texts side by side. Each process keeps, extends, checks or drops them as its specification
says, and returns a list where none are left. In a child process on a cube an array is a block, whose labels are those
of the dimension, dates as texts. It has them as long as its elements stay where they are, through everything that
computes value by value, `array_apply`, `array_interpolate_linear` and the running totals; an array that was made
longer or shorter, or put in another order, has none any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openeo_processes_dask import lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    ArrayElementNotAvailable,
    ArrayLabelConflict,
    ArrayLengthMismatch,
    ArrayNotLabeled,
    LabelExists,
    ProcessParameterInvalid,
    shown,
)
from openeo_processes_dask.vocabulary import (
    AnyArray,
    Anything,
    Index,
    LabeledArray,
    LabelList,
    Labels,
    OptionalLabel,
    Repetitions,
    Scaling,
    Values,
)

MOST_REPETITIONS = 1_000_000  # more are hardly meant


@declare("arrays", scaling=Scaling.SHUFFLE)
def array_append(
    data: Values,
    value: Anything,
    label: OptionalLabel = None,
    *,
    axis: int | None = None,
    dim_labels: Sequence[Any] | None = None,
) -> Values:
    """Append a value to an array.

    To an array of numbers one value is appended to each row.

    Raises
    ------
    LabelExists
        If the label, or the next index where none is given, is a label already.
    ArrayNotLabeled
        If a label is given and the array has none.
    """
    labels = values.labels_of(data) if dim_labels is None else list(dim_labels)
    if label is not None and labels is None:
        raise ArrayNotLabeled(f"array_append: label {shown(label)} was given for an array that has none")
    if values.is_list(data, axis):
        new = None if labels is None else [*labels, _next(labels, label)]
        return values.labelled([*values.listed(data), value], new)
    if label is not None and labels is not None:
        _next(labels, label)
    return values.joined([data, value], values.axis_of(_array("array_append", data), axis))


@declare("arrays", scaling=Scaling.SHUFFLE)
def array_concat(array1: Values, array2: Values, *, axis: int | None = None) -> Values:
    """Put two arrays one after the other.

    Labels are kept if both have them. Arrays of numbers are joined row by row.

    Raises
    ------
    ArrayLabelConflict
        If both have the same label.
    """
    if values.is_list(array1, axis) and values.is_list(array2, axis) and not _hold_blocks(array1, array2):
        labels1, labels2 = values.labels_of(array1), values.labels_of(array2)
        labels = None if labels1 is None or labels2 is None else _distinct(labels1, labels2)
        return values.labelled([*values.listed(array1), *values.listed(array2)], labels)
    parts = [part for one in (array1, array2) for part in (one if isinstance(one, (list, tuple)) else [one])]
    return values.joined(parts, _axis("array_concat", parts, axis))


@declare("arrays", scaling=Scaling.SHUFFLE)
def array_create(data: Values = (), repeat: Repetitions = 1, *, axis: int | None = None) -> Values:
    """Create an array, perhaps of several repetitions of another.

    Of statistics of an array's rows it makes rows.

    Raises
    ------
    ProcessParameterInvalid
        If the data are no array, or the number of repetitions is not at least one.
    """
    times = values.whole_number("array_create", "repeat", repeat, least=1)
    if times > MOST_REPETITIONS:
        raise ProcessParameterInvalid(f"array_create: {repeat} repetitions are more than {MOST_REPETITIONS}")
    if values.is_list(data, axis):
        found = values.listed(data) * times
        return values.joined(found, _axis("array_create", found, axis)) if _hold_blocks(found) else found
    along = values.axis_of(_array("array_create", data), axis)
    return data if times == 1 else values.joined([data] * times, along)


@declare("arrays", scaling=Scaling.SHUFFLE, experimental=True)
def array_create_labeled(data: Anything, labels: LabelList, *, axis: int | None = None) -> LabeledArray:
    """Create an array with labels.

    An array of numbers stays as it is where it has as many elements along the axis as there are labels.

    Raises
    ------
    ArrayLengthMismatch
        If there are not as many labels as values.
    """
    names = values.listed(labels) if values.is_list(labels) or lazy.is_array(labels) else None
    if names is None:
        raise ProcessParameterInvalid(f"array_create_labeled: labels must be an array, not {shown(labels)}")
    if not all(isinstance(name, str) or values.is_number(name) for name in names):
        raise ProcessParameterInvalid(f"array_create_labeled: labels are numbers and texts, not {shown(names)}")
    if any(values.same_label(one, other) for i, one in enumerate(names) for other in names[:i]):
        raise ProcessParameterInvalid(f"array_create_labeled: the labels {shown(names)} do not differ from each other")
    blockwise = not values.is_list(data, axis)
    along = values.axis_of(_array("array_create_labeled", data), axis) if blockwise else 0
    length = data.shape[along] if blockwise else len(data)
    if length != len(names):
        raise ArrayLengthMismatch(f"array_create_labeled: {length} values have {len(names)} labels")
    if blockwise and (axis is not None or lazy.is_lazy(data)):
        return data
    return values.labelled(values.listed(data), names)


@declare("arrays", scaling=Scaling.SHUFFLE)
def array_labels(data: AnyArray, *, axis: int | None = None, dim_labels: Sequence[Any] | None = None) -> Labels:
    """Labels of an array, or its indices if it has none."""
    if dim_labels is not None:
        return list(dim_labels)
    if values.is_list(data, axis):
        return values.labels_of(data) or list(range(len(data)))
    along = values.axis_of(_array("array_labels", data), axis)
    return list(range(data.shape[along]))


@declare("arrays", scaling=Scaling.SHUFFLE, experimental=True)
def array_modify(data: Values, values: Values, index: Index, length: Index = 0, *, axis: int | None = None) -> Values:
    """Remove elements of an array, insert others, or both.

    Labels are kept if both arrays have them, or one is empty. Arrays of numbers are changed row by row.

    Raises
    ------
    ArrayElementNotAvailable
        If the index lies behind the end of the array.
    ArrayLabelConflict
        If both arrays have the same label.
    """
    return _modified(data, values, index, length, axis)


def _modified(data: Any, inserted: Any, index: Any, length: Any, axis: int | None) -> Any:
    start = values.whole_number("array_modify", "index", index)
    removed = values.whole_number("array_modify", "length", length)
    blockwise = not values.is_list(data, axis)
    along = values.axis_of(_array("array_modify", data), axis) if blockwise else 0
    size = data.shape[along] if blockwise else len(data)
    if start > size:
        raise ArrayElementNotAvailable(f"array_modify: index {start} lies behind the end of {size} elements")
    if blockwise:
        rows = (slice(None),) * along
        middle = list(inserted) if isinstance(inserted, (list, tuple)) else [_array("array_modify", inserted)]
        return values.joined([data[(*rows, slice(start))], *middle, data[(*rows, slice(start + removed, None))]], along)
    if not values.is_list(inserted):
        inserted = list(_array("array_modify", inserted))
    kept, more = values.listed(data), values.listed(inserted)
    found = [*kept[:start], *more, *kept[start + removed :]]
    labels, others = values.labels_of(data), values.labels_of(inserted)
    if labels is None and others is None:
        return found
    labels = [] if labels is None and not kept else labels
    others = [] if others is None and not more else others
    if labels is None or others is None:
        return found
    _distinct(labels, others)
    return values.labelled(found, [*labels[:start], *others, *labels[start + removed :]])


def _next(labels: Sequence[Any], label: Any) -> Any:
    """The label of a new element, which is the next index if none is given."""
    label = len(labels) if label is None else lazy.native(label)
    if any(values.same_label(label, known) for known in labels):
        raise LabelExists(f"array_append: label {shown(label)} exists among {shown(list(labels))}")
    return label


def _distinct(labels: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    both = [one for one in labels for other in others if values.same_label(one, other)]
    if both:
        raise ArrayLabelConflict(f"both arrays have the labels {shown(both)}")
    return [*labels, *others]


def _hold_blocks(*arrays: Any) -> bool:
    return any(lazy.is_array(v) for array in arrays if isinstance(array, (list, tuple)) for v in array)


def _axis(process: str, parts: Sequence[Any], axis: int | None) -> int:
    """The axis along which blocks are joined."""
    return values.axis_of(_array(process, next((part for part in parts if lazy.is_array(part)), None)), axis)


def _array(process: str, data: Any) -> Any:
    if not lazy.is_array(data) or not data.ndim:
        raise ProcessParameterInvalid(f"{process}: an array is needed, not {type(data).__name__}")
    return data
