"""Benchmarks of process_implementations.arrays.building."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.arrays import building  # noqa: F401  (declares what is measured)

from ..suite import Family

ARGUMENTS: dict[str, dict[str, Any]] = {
    "array_append": {"value": 1},
    "array_concat": {"array2": [1, 2]},
    "array_create": {"repeat": 2},
    "array_modify": {"values": [1], "index": 1, "length": 2},
}
PLAIN: dict[str, Callable[[np.ndarray], list[Any]]] = {
    "array_append": lambda x: [*x, np.ones_like(x[0])],
    "array_concat": lambda x: [*x, np.ones_like(x[0]), 2 * np.ones_like(x[0])],
    "array_create": lambda x: [*x, *x],
    "array_modify": lambda x: [x[0], np.ones_like(x[0]), *x[3:]],
}


class BuildingLabels(Family):
    """Labels of a cube's rows: no value is looked at."""

    measures = ("array_create_labeled", "array_labels")

    def build(self, process: str) -> da.Array:
        labels = list(range(self.cube.shape[1]))
        if process == "array_labels":
            return self.cube.data[:, self.process(process)(self.cube.data, axis=1)]
        return self.process(process)(self.cube.data, labels, axis=1)

    def expected(self, process: str) -> Any:
        return self.cube.data


class Building(Family):
    """Along time: chunks are added, none is changed."""

    measures = tuple(PLAIN)

    def build(self, process: str) -> da.Array:
        return self.process(process)(self.cube.data, **ARGUMENTS[process], axis=0)

    def expected(self, process: str) -> Any:
        return np.stack(PLAIN[process](self.cube.data))
