"""Benchmarks of process_implementations.arrays.finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.arrays import finding  # noqa: F401  (declares what is measured)

from ..suite import Family


def _first(x: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, np.argmax(~np.isnan(x), axis=0)[None], 0)[0]


PLAIN: dict[str, Callable[[np.ndarray], Any]] = {
    "array_element": lambda x: x[3],
    "first": _first,
    "last": lambda x: _first(x[::-1]),
}


class Finding(Family):
    """One date of each pixel, along time, which lies in several chunks."""

    measures = tuple(PLAIN)

    def build(self, process: str) -> da.Array:
        arguments: dict[str, Any] = {"index": 3} if process == "array_element" else {}
        return self.process(process)(self.cube.data, axis=0, **arguments)

    def expected(self, process: str) -> Any:
        return PLAIN[process](self.cube.data)
