"""Processes on arrays."""

from openeo_processes_dask.process_implementations.arrays.building import (
    array_append,
    array_concat,
    array_create,
    array_create_labeled,
    array_labels,
    array_modify,
)
from openeo_processes_dask.process_implementations.arrays.finding import (
    array_contains,
    array_element,
    array_find,
    array_find_label,
    first,
    last,
)
from openeo_processes_dask.process_implementations.arrays.mapping import (
    array_apply,
    array_filter,
    array_interpolate_linear,
)
from openeo_processes_dask.process_implementations.arrays.sorting import (
    order,
    rearrange,
    sort,
)

__all__ = [
    "array_append",
    "array_apply",
    "array_concat",
    "array_contains",
    "array_create",
    "array_create_labeled",
    "array_element",
    "array_filter",
    "array_find",
    "array_find_label",
    "array_interpolate_linear",
    "array_labels",
    "array_modify",
    "first",
    "last",
    "order",
    "rearrange",
    "sort",
]
