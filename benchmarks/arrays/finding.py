"""Benchmarks of process_implementations.arrays.finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.arrays import finding  # noqa: F401  (declares what is measured)

from ..suite import Family

HIGH = 9000  # what is looked for: values from here on are made one and the same


def _first(x: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, np.argmax(~np.isnan(x), axis=0)[None], 0)[0]


def _position(x: np.ndarray) -> np.ndarray:
    found = x == HIGH
    return np.where(found.any(0), np.argmax(found, axis=0), np.nan)


PLAIN: dict[str, tuple[dict[str, Any], Callable[[np.ndarray], Any]]] = {
    "array_contains": ({"value": HIGH}, lambda x: (x == HIGH).any(0)),
    "array_element": ({"index": 3}, lambda x: x[3]),
    "array_find": ({"value": HIGH}, _position),
    "first": ({}, _first),
    "last": ({}, lambda x: _first(x[::-1])),
}


class Finding(Family):
    """One date of each pixel, along time, which lies in several chunks."""

    measures = tuple(PLAIN)

    def inputs(self, process: str) -> None:
        self.cube = self.prepare(self.input().clip(max=HIGH))

    def build(self, process: str) -> da.Array:
        return self.process(process)(self.cube.data, axis=0, **PLAIN[process][0])

    def expected(self, process: str) -> Any:
        return PLAIN[process][1](self.cube.data)


class FindingLabels(Family):
    """A label among those of a cube: no value is looked at."""

    measures = ("array_find_label",)

    def build(self, process: str) -> da.Array:
        labels = [str(label) for label in self.cube.bands.values]
        position = self.process(process)(self.cube.data, "B08", axis=1, dim_labels=labels)
        return self.cube.data[:, position]

    def expected(self, process: str) -> Any:
        return self.cube.sel(bands="B08")
