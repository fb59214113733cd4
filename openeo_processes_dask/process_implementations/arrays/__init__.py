"""Processes on arrays."""

from openeo_processes_dask.process_implementations.arrays.finding import array_element, first, last

__all__ = [
    "array_element",
    "first",
    "last",
]
